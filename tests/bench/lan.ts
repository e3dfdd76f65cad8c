// A LAN of network namespaces for benchmarks: every host has a link of a given rate, both ways, to one switch. Needs root, `ip`, `tc`.

import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const dist = join(import.meta.dir, "..", "..", "dist");
export const TRACKER = join(dist, "ft-tracker");
export const PEER = join(dist, "ft-peer");

export interface Host {
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  /** A command line that runs there. */
  command(...words: string[]): string[];
}

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

/** The links, the hosts on them and the processes that were started; `close` takes all of it away. */
export class Lan {
  readonly folder = mkdtempSync(join(tmpdir(), "ft-bench-"));
  readonly #hub = `ftb${process.pid}`;
  readonly #spaces: string[] = [];
  readonly #started = new Set<Child>();
  #next = 1;

  constructor() {
    // Servers that give up being root must still get in.
    chmodSync(this.folder, 0o755);
    run("ip", "netns", "add", this.#hub);
    this.#spaces.push(this.#hub);
    run("ip", "-n", this.#hub, "link", "add", "br0", "type", "bridge");
    run("ip", "-n", this.#hub, "link", "set", "br0", "up");
    run("ip", "-n", this.#hub, "link", "set", "lo", "up");
  }

  /** A host with a link of this many megabits a second both ways; without a number as fast as the machine is. */
  host(megabits?: number): Host {
    const n = this.#next++;
    const name = `${this.#hub}h${n}`;
    const address = `10.77.0.${n}`;
    run("ip", "netns", "add", name);
    this.#spaces.push(name);
    run("ip", "-n", this.#hub, "link", "add", `v${n}`, "type", "veth", "peer", "name", "eth0", "netns", name);
    run("ip", "-n", this.#hub, "link", "set", `v${n}`, "master", "br0", "up");
    run("ip", "-n", name, "addr", "add", `${address}/24`, "dev", "eth0");
    run("ip", "-n", name, "link", "set", "eth0", "up");
    run("ip", "-n", name, "link", "set", "lo", "up");
    if (megabits !== undefined) {
      const shape = ["root", "tbf", "rate", `${megabits}mbit`, "burst", "128kb", "latency", "50ms"];
      run("tc", "-n", name, "qdisc", "add", "dev", "eth0", ...shape);
      run("tc", "-n", this.#hub, "qdisc", "add", "dev", `v${n}`, ...shape);
    }
    const folder = join(this.folder, `h${n}`);
    run("mkdir", "-p", folder);
    return { name, address, folder, command: (...words) => ["ip", "netns", "exec", name, ...words] };
  }

  /** Starts a program on a host. */
  start(host: Host, ...words: string[]): Child {
    const child = Bun.spawn(host.command(...words), {
      cwd: host.folder,
      // Orders must not reach a tracker of this user that runs elsewhere on this machine.
      env: { ...process.env, XDG_CACHE_HOME: join(host.folder, ".cache"), XDG_STATE_HOME: join(host.folder, ".state") },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#started.add(child);
    return child;
  }

  /** Starts one and waits for a line of it. */
  async startUntil(host: Host, wanted: RegExp, ...words: string[]): Promise<{ child: Child; match: RegExpExecArray }> {
    const child = this.start(host, ...words);
    void new Response(child.stderr).text();
    return { child, match: await lineOf(child)(wanted) };
  }

  /** Runs a program to its end; gives the seconds it took. */
  async timed(host: Host, ...words: string[]): Promise<number> {
    const from = performance.now();
    const child = this.start(host, ...words);
    const [code, out, err] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${out.slice(-2000)} ${err.slice(-2000)}`);
    return (performance.now() - from) / 1000;
  }

  async stop(child: Child, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    child.kill(signal);
    await child.exited;
    this.#started.delete(child);
  }

  async close(): Promise<void> {
    await endAll(this.#started);
    for (const name of this.#spaces) Bun.spawnSync(["ip", "netns", "del", name]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Ends programs, politely at first: one that is killed leaves the processes that it has started. */
export async function endAll(children: Iterable<Child>): Promise<void> {
  await Promise.all(
    [...children].map(async (child) => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
      await child.exited;
      clearTimeout(timer);
    }),
  );
}

function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command);
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
}

/** Waits for output that fits, each time after what was found before; goes on reading, because a program whose output nobody reads ends. */
export function lineOf(child: Child): (wanted: RegExp) => Promise<RegExpExecArray> {
  let text = "";
  let ended = false;
  let changed = () => {};
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      text += decoder.decode(chunk);
      changed();
    }
    ended = true;
    changed();
  })();
  return async (wanted) => {
    for (;;) {
      const match = wanted.exec(text);
      if (match !== null) {
        text = text.slice(match.index + match[0].length);
        return match;
      }
      if (ended) throw new Error(`It ended before ${wanted}: ${text.slice(0, 2000)}`);
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  };
}

/** A file of pseudo-random bytes that no layer can compress. */
export function makeFile(path: string, bytes: number): void {
  const block = new Uint8Array(1024 * 1024);
  const fd = openSync(path, "w");
  for (let left = bytes; left > 0; left -= block.length) {
    crypto.getRandomValues(block.subarray(0, 65_536));
    for (let at = 65_536; at < block.length; at += 65_536) block.copyWithin(at, 0, 65_536);
    writeSync(fd, block, 0, Math.min(left, block.length));
  }
  closeSync(fd);
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
