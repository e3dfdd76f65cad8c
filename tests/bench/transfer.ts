// One holder, one fetcher, loopback, one file: `ft-peer get` (verified, synced to the disk) against `nginx` + `curl` (neither).
// Run by hand: bun run bench [-- MiB [rounds]]. The two take turns in one run, so that the machine's mood is the same for both;
// whole processes are timed from outside, and the ratio of the medians is what counts.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MIB = Number(process.argv[2] ?? 1024);
const ROUNDS = Number(process.argv[3] ?? 5);
const dist = join(import.meta.dir, "..", "..", "dist");
const folder = mkdtempSync(join(tmpdir(), "ft-bench-"));
const env = { ...process.env, XDG_CACHE_HOME: join(folder, "cache") };
const started: Bun.Subprocess[] = [];

function place(name: string): string {
  const path = join(folder, name);
  Bun.spawnSync(["mkdir", "-p", path]);
  return path;
}

/** A file of pseudo-random bytes that no layer can compress. */
function makeFile(path: string): void {
  const block = new Uint8Array(1024 * 1024);
  const fd = openSync(path, "w");
  for (let i = 0; i < MIB; i++) {
    crypto.getRandomValues(block.subarray(0, 65_536));
    for (let at = 65_536; at < block.length; at += 65_536) block.copyWithin(at, 0, 65_536);
    writeSync(fd, block);
  }
  closeSync(fd);
}

/** Waits for a line, and goes on reading: a program whose output nobody reads any more ends. */
function firstLine(child: Bun.Subprocess<"ignore", "pipe", "inherit">, wanted: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    void (async () => {
      let text = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        text += decoder.decode(chunk);
        const match = wanted.exec(text);
        if (match !== null) resolve(match[1] ?? "");
      }
      reject(new Error(`It ended before ${wanted}: ${text}`));
    })();
  });
}

function start(command: string[], cwd: string): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  started.push(child);
  return child;
}

interface Run {
  seconds: number;
  rssMiB: number;
}

async function timed(command: string[], cwd: string): Promise<Run> {
  const from = performance.now();
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const code = await child.exited;
  const seconds = (performance.now() - from) / 1000;
  if (code !== 0)
    throw new Error(
      `${command.join(" ")} ended with ${code}: ${await new Response(child.stdout).text()} ${await new Response(child.stderr).text()}`,
    );
  return { seconds, rssMiB: (child.resourceUsage()?.maxRSS ?? 0) / 1024 / 1024 };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function peakMiB(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
}

try {
  const source = place("source");
  const target = place("target");
  const own = place("own");
  writeFileSync(join(own, "mine.txt"), "a peer shares at least one file\n");
  makeFile(join(source, "big.bin"));

  const tracker = start([join(dist, "ft-tracker"), "--port", "0", "--host", "127.0.0.1", "--json"], folder);
  const trackerPort = await firstLine(tracker, /"port":(\d+)/);
  const address = `127.0.0.1:${trackerPort}`;
  const holder = start([join(dist, "ft-peer"), address, "share", "--json"], source);
  await firstLine(holder, /"event":"root".*"root":"([0-9a-f]{64})"/);

  const nginxPort = 20_000 + Math.floor(Math.random() * 20_000);
  const conf = join(folder, "nginx.conf");
  writeFileSync(
    conf,
    `daemon off; pid ${folder}/nginx.pid; error_log /dev/null; worker_processes 1; user root;
events {} http { access_log off; sendfile on; server { listen 127.0.0.1:${nginxPort}; root ${source}; } }`,
  );
  start(["nginx", "-c", conf, "-e", "/dev/null"], folder);
  for (let i = 0; i < 100; i++) {
    if (Bun.spawnSync(["curl", "-sI", `http://127.0.0.1:${nginxPort}/big.bin`]).exitCode === 0) break;
    await Bun.sleep(50);
  }

  const file = join(target, "big.bin");
  const ours: Run[] = [];
  const reference: Run[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    rmSync(file, { force: true });
    const a = await timed([join(dist, "ft-peer"), address, "get", "big.bin", "--to", target, "--json"], own);
    rmSync(file, { force: true });
    const b = await timed(["curl", "-s", "-o", file, `http://127.0.0.1:${nginxPort}/big.bin`], own);
    if (round === 0) continue; // The first round warms the page cache.
    ours.push(a);
    reference.push(b);
    console.log(`round ${round}: ft-peer get ${a.seconds.toFixed(2)} s   nginx + curl ${b.seconds.toFixed(2)} s`);
  }
  const [get, curl] = [median(ours.map((run) => run.seconds)), median(reference.map((run) => run.seconds))];
  console.log(`${MIB} MiB, medians of ${ROUNDS}: ft-peer get ${get.toFixed(2)} s, nginx + curl ${curl.toFixed(2)} s`);
  console.log(`speed against nginx + curl: ${(curl / get).toFixed(2)} x (verified and synced, against neither)`);
  console.log(
    `peak memory: fetcher ${Math.max(...ours.map((run) => run.rssMiB)).toFixed(0)} MiB, holder ${peakMiB(holder.pid).toFixed(0)} MiB`,
  );
} finally {
  for (const child of started) child.kill();
  await Promise.all(started.map((child) => child.exited));
  rmSync(folder, { recursive: true, force: true });
}
