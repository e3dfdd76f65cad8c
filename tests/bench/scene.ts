// Programs, folders and files for benchmarks on one machine; `close` takes all of it away.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endAll, lineOf, TRACKER } from "./lan.ts";

export { makeFile, median, PEER, TRACKER } from "./lan.ts";

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

export class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "ft-bench-"));
  readonly cache = join(this.folder, "cache");
  readonly #started = new Set<Child>();
  readonly #lines = new Map<Child, ReturnType<typeof lineOf>>();

  place(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  start(command: string[], cwd: string, more: Record<string, string> = {}): Child {
    const env = { ...process.env, XDG_CACHE_HOME: this.cache, ...more };
    const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    void new Response(child.stderr).text();
    this.#started.add(child);
    this.#lines.set(child, lineOf(child));
    return child;
  }

  /** The next output that fits. */
  async line(child: Child, wanted: RegExp): Promise<RegExpExecArray> {
    const lines = this.#lines.get(child);
    if (lines === undefined) throw new Error("it was not started here");
    return await lines(wanted);
  }

  /** Starts a tracker; gives its address. */
  async tracker(more: Record<string, string> = {}): Promise<string> {
    const child = this.start([TRACKER, "--port", "0", "--host", "127.0.0.1", "--json"], this.folder, more);
    const [, port = ""] = await this.line(child, /"port":(\d+)/);
    return `127.0.0.1:${port}`;
  }

  async stop(child: Child, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    child.kill(signal);
    await child.exited;
    this.forget(child);
  }

  forget(child: Child): void {
    this.#started.delete(child);
    this.#lines.delete(child);
  }

  async close(): Promise<void> {
    await endAll(this.#started);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
