// The compiled programs, run as people run them: in a folder of their own, watched by their output, ended at the end.

import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const DIST = join(import.meta.dir, "..", "..", "dist");
export const TRACKER = join(DIST, "ft-tracker");
export const PEER = join(DIST, "ft-peer");

/** A line that does not come within this time never comes, unless a stage says otherwise. Milliseconds; a test has 60 s. */
const PATIENCE_MS = 50_000;

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): number {
  const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  probe.stop(true);
  return probe.port;
}

/** Temporary folders and running programs of one test; `close` ends and removes them all. */
export class Stage {
  readonly #folders: string[] = [];
  readonly #programs: Program[] = [];
  readonly #patience: number;
  #cache: string | undefined;

  /** `patience`: how long its programs may take for a line. Milliseconds. */
  constructor(patience = PATIENCE_MS) {
    this.#patience = patience;
  }

  /** A new empty folder. */
  folder(): string {
    const path = realpathSync(mkdtempSync(join(tmpdir(), "ft-test-")));
    this.#folders.push(path);
    return path;
  }

  /** Starts a program; its cache of content ids is the stage's own. */
  run(binary: string, args: string[], { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {}): Program {
    this.#cache ??= this.folder();
    const own = { XDG_CACHE_HOME: this.#cache, XDG_STATE_HOME: this.#cache, XDG_CONFIG_HOME: this.#cache };
    const program = new Program(binary, args, cwd ?? this.folder(), { ...own, ...env }, this.#patience);
    this.#programs.push(program);
    return program;
  }

  /** A tracker on a free loopback port, ready. It says nothing on the network, where other tests look for trackers. */
  async tracker(...args: string[]): Promise<{ program: Program; port: number; address: string }> {
    const program = this.run(TRACKER, ["--port", "0", "--host", "127.0.0.1", "--no-announce", ...args]);
    const line = await program.waitFor(/listening.*?(?:127\.0\.0\.1:|"port":)(\d+)/);
    const port = Number(line[1]);
    return { program, port, address: `127.0.0.1:${port}` };
  }

  /** A peer that shares a folder and is ready: online, with `roots` content ids computed. */
  async sharing(address: string, folder: string, roots: number, ...args: string[]): Promise<{ program: Program }> {
    const program = this.run(PEER, [address, "share", "--port", "0", "--json", ...args], { cwd: folder });
    await program.waitFor(/"event":"joined"/);
    for (let i = 0; i < roots; i++) await program.waitFor(/"event":"root"/);
    return { program };
  }

  /** Ends and removes everything; the stage can be used again. */
  async close(): Promise<void> {
    const programs = this.#programs.splice(0);
    for (const program of programs) program.kill();
    await Promise.all(programs.map((program) => program.exited));
    for (const folder of this.#folders.splice(0)) rmSync(folder, { recursive: true, force: true });
    this.#cache = undefined;
  }
}

/** A running program. */
export class Program {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #read: Promise<unknown>;
  readonly #patience: number;
  #seen = 0;
  #changed: () => void = () => {};
  out = "";
  err = "";

  constructor(binary: string, args: string[], cwd: string, env: Record<string, string>, patience = PATIENCE_MS) {
    this.#patience = patience;
    this.#child = Bun.spawn([binary, ...args], {
      cwd,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const gather = async (stream: ReadableStream<Uint8Array>, keep: (text: string) => void) => {
      const decoder = new TextDecoder();
      for await (const chunk of stream) {
        keep(decoder.decode(chunk, { stream: true }));
        this.#changed();
      }
      this.#changed();
    };
    this.#read = Promise.all([
      gather(this.#child.stdout, (text) => {
        this.out += text;
      }),
      gather(this.#child.stderr, (text) => {
        this.err += text;
      }),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The exit code, once everything it printed is read; minus the signal's number when it was killed. */
  get exited(): Promise<number> {
    return this.#child.exited.then(async (code) => {
      await this.#read;
      return code;
    });
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** The next match in standard output behind the last one; fails with all that was printed. */
  async waitFor(wanted: RegExp): Promise<RegExpExecArray> {
    const until = Date.now() + this.#patience;
    for (;;) {
      const match = wanted.exec(this.out.slice(this.#seen));
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      if (this.#child.exitCode !== null || this.#child.signalCode !== null || Date.now() > until) {
        await Promise.race([this.#read, Bun.sleep(100)]);
        if (wanted.test(this.out.slice(this.#seen))) continue;
        throw new Error(`${wanted} did not come (exit code ${this.#child.exitCode}).\nout: ${this.out}\nerr: ${this.err}`);
      }
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#changed = resolve;
        }),
        this.#child.exited,
        Bun.sleep(until - Date.now()),
      ]);
    }
  }

  /** Standard output as JSON objects, a line each. */
  objects(): Record<string, unknown>[] {
    return this.out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
