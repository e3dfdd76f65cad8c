// One holder, one fetcher, loopback, one file: `ft-peer get` (verified, synced to the disk) against `nginx` + `curl` (neither), against
// `curl` and then `sync` of the file, and against `curl` and then `openssl dgst -sha256`.
// Run by hand: bun tests/bench/transfer.ts [MiB [rounds]]; TMPDIR says on which disk. All take turns in one run, so that the machine's
// mood is the same for each; whole processes are timed from outside, and the ratio of the medians is what counts.
//
// A virtual machine gives free memory back to its host, and who writes into such memory first pays for all of it: 512 KiB then take 1.3 ms in
// place of 0.1 ms, and runs of one command differ by up to 1.5 s a GiB. Memory that is taken and freed before each run makes that rare.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";
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

/** Takes and frees four times the memory of a file, or half of what is free. */
function warmMemory(mib: number): void {
  const each = Math.floor(Math.min(mib * 2 ** 20, freemem() / 8));
  const code = `[1, 2, 3, 4].map(() => new Uint8Array(new SharedArrayBuffer(${each})).fill(1))`;
  if (Bun.spawnSync([process.execPath, "-e", code]).exitCode !== 0)
    throw new Error(`${4 * each} bytes of memory could not be taken`);
}

function shuffled<T>(list: T[]): T[] {
  const mixed = [...list];
  for (let i = mixed.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [mixed[i], mixed[j]] = [mixed[j] as T, mixed[i] as T];
  }
  return mixed;
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
    const curl = ["curl", "-s", "-o", file, url];
    const commands: Record<string, string[]> = {
      "ft-peer get": [PEER, address, "get", "big.bin", "--to", target, "--json"],
      "nginx + curl": curl,
      "curl, then sync": ["sh", "-c", `${curl.join(" ")} && sync ${file}`],
      "curl, then openssl dgst -sha256": ["sh", "-c", `${curl.join(" ")} && openssl dgst -sha256 ${file}`],
    };
    const runs = new Map<string, Run[]>(Object.keys(commands).map((name) => [name, []]));
    for (let round = 0; round <= ROUNDS; round++) {
      const seen: string[] = [];
      // In another order each time: a command is slower or faster by what ran just before it.
      for (const [name, command] of shuffled(Object.entries(commands))) {
        rmSync(file, { force: true });
        warmMemory(mib);
        const run = await timed(command, own, scene.cache);
        if (round > 0) runs.get(name)?.push(run); // The first round warms the page cache.
        seen.push(`${name} ${run.seconds.toFixed(2)} s`);
      }
      console.log(`  ${round === 0 ? "warming" : `round ${round}`}: ${seen.join("   ")}`);
    }
    const ours = runs.get("ft-peer get") ?? [];
    const get = median(ours.map(({ seconds }) => seconds));
    console.log(`${mib} MiB, one holder: ft-peer get ${get.toFixed(2)} s, verified and synced. Its speed against`);
    for (const [name, timedRuns] of runs) {
      const seconds = median(timedRuns.map((run) => run.seconds));
      if (timedRuns !== ours) console.log(`  ${name}: ${(seconds / get).toFixed(2)} x (${seconds.toFixed(2)} s)`);
    }
    const most = Math.max(...ours.map(({ memory }) => memory));
    console.log(`  peak memory: fetcher ${most.toFixed(0)} MB, holder ${peakOf(holder.pid).toFixed(0)} MB`);
  } finally {
    await scene.close();
  }
}
