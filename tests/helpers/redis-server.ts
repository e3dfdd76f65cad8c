// A real redis-server for tests, on a free port of this machine, with nothing of it on the disk but its folder.

import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./programs.ts";

/** A server that does not answer within this time does not start. Milliseconds. */
const PATIENCE_MS = 50_000;

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly #folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-redis-")));
  readonly #options: string[];
  #child: Bun.Subprocess<"ignore", "ignore", "ignore"> | undefined;

  /** Why there can be no such server here; undefined if there can. */
  static possible(): string | undefined {
    if (Bun.which("redis-server") === null || Bun.which("redis-cli") === null) return "there is no redis-server";
    return undefined;
  }

  static async start(...options: string[]): Promise<RedisServer> {
    const server = new RedisServer(options);
    await server.start();
    return server;
  }

  private constructor(options: string[]) {
    this.port = freePort();
    this.#options = options;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, or starts it again. */
  async start(): Promise<void> {
    const own = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", this.#folder];
    const allowed = ["--enable-debug-command", "yes", "--enable-protected-configs", "yes"];
    this.#child = Bun.spawn(["redis-server", ...own, ...allowed, ...this.#options], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    for (const until = Date.now() + PATIENCE_MS; ; await Bun.sleep(20)) {
      if (/^(?:PONG|NOAUTH)/.test(this.#try("PING"))) return;
      if (Date.now() > until) throw new Error("redis-server did not start.");
    }
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
  }

  /** Sends a command; gives the answer. */
  ask(...command: string[]): string {
    const answer = this.#try(...command);
    if (/^(?:ERR|NOAUTH|WRONGPASS|MISCONF)/.test(answer)) throw new Error(`redis-server answered ${answer}`);
    return answer;
  }

  /** It cannot save its data any more, as on a full disk, and takes no changes therefore. */
  async fillDisk(): Promise<void> {
    // No file can be written there.
    this.ask("CONFIG", "SET", "save", "1 1", "dir", "/proc/self");
    for (const until = Date.now() + PATIENCE_MS; ; await Bun.sleep(20)) {
      if (this.#try("SET", "other", "1").startsWith("MISCONF")) return;
      if (Date.now() > until) throw new Error("redis-server still takes changes.");
    }
  }

  /** Has it do nothing for this time. */
  async hang(seconds: number): Promise<void> {
    const asking = Bun.spawn(["redis-cli", "-p", String(this.port), "DEBUG", "SLEEP", String(seconds)], { stdout: "ignore" });
    await asking.exited;
  }

  #try(...command: string[]): string {
    const { stdout } = Bun.spawnSync(["redis-cli", "--no-auth-warning", "-p", String(this.port), ...command]);
    return stdout.toString().trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
