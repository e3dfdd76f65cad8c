// One holder, one fetcher, loopback, one file: `ft-peer get` (verified, synced to the disk) against `nginx` + `curl` (neither).
// Run by hand: bun tests/bench/transfer.ts [MiB [rounds]]. The two take turns in one run, so that the machine's mood is the same for
// both; whole processes are timed from outside, and the ratio of the medians is what counts.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFile, median, PEER, Scene } from "./scene.ts";

const SIZES = process.argv[2] === undefined ? [1024, 4096] : [Number(process.argv[2])];
const ROUNDS = Number(process.argv[3] ?? 5);

interface Run {
  seconds: number;
  /** Peak resident memory, MB. */
  memory: number;
}

async function timed(command: string[], cwd: string, cache: string): Promise<Run> {
  const from = performance.now();
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const code = await child.exited;
  const seconds = (performance.now() - from) / 1000;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${await new Response(child.stderr).text()}`);
  return { seconds, memory: (child.resourceUsage()?.maxRSS ?? 0) / 1e6 };
}

function peakOf(pid: number): number {
  return (Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024) / 1e6;
}

for (const mib of SIZES) {
  const scene = new Scene();
  try {
    const source = scene.place("source");
    const target = scene.place("target");
    const own = scene.place("own");
    writeFileSync(join(own, "mine.txt"), "a peer shares at least one file\n");
    makeFile(join(source, "big.bin"), mib * 1024 * 1024);
    const address = await scene.tracker();
    const holder = scene.start([PEER, address, "share", "--json"], source);
    await scene.line(holder, /"event":"root"/);

    const port = 20_000 + Math.floor(Math.random() * 20_000);
    const conf = join(scene.folder, "nginx.conf");
    writeFileSync(
      conf,
      `daemon off; pid ${scene.folder}/nginx.pid; error_log /dev/null; worker_processes 1; user root;
events {} http { access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${source}; } }`,
    );
    scene.start(["nginx", "-c", conf, "-e", "/dev/null"], scene.folder);
    const url = `http://127.0.0.1:${port}/big.bin`;
    for (let i = 0; i < 100 && Bun.spawnSync(["curl", "-sI", url]).exitCode !== 0; i++) await Bun.sleep(50);

    const file = join(target, "big.bin");
    const ours: Run[] = [];
    const reference: Run[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      rmSync(file, { force: true });
      const a = await timed([PEER, address, "get", "big.bin", "--to", target, "--json"], own, scene.cache);
      rmSync(file, { force: true });
      const b = await timed(["curl", "-s", "-o", file, url], own, scene.cache);
      if (round === 0) continue; // The first round warms the page cache.
      ours.push(a);
      reference.push(b);
      console.log(`  round ${round}: ft-peer get ${a.seconds.toFixed(2)} s   nginx + curl ${b.seconds.toFixed(2)} s`);
    }
    const [get, curl] = [median(ours.map(({ seconds }) => seconds)), median(reference.map(({ seconds }) => seconds))];
    console.log(`${mib} MiB, one holder: ft-peer get ${get.toFixed(2)} s, nginx + curl ${curl.toFixed(2)} s`);
    console.log(`  speed against nginx + curl: ${(curl / get).toFixed(2)} x (verified and synced, against neither)`);
    const most = Math.max(...ours.map(({ memory }) => memory));
    console.log(`  peak memory: fetcher ${most.toFixed(0)} MB, holder ${peakOf(holder.pid).toFixed(0)} MB`);
  } finally {
    await scene.close();
  }
}
