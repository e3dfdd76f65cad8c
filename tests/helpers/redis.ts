// A Redis in memory with a clock that is moved by hand, for tests of the trackers that share one index: the commands that they use, and
// the ways in which it fails.

import { FtError } from "../../lib/error.ts";
import type { OpenStore, Store } from "../../lib/tracker/group/store.ts";
import type { HandClock } from "./channel.ts";

type Entry = [id: string, fields: string[]];
type Value = string | Map<string, string> | Set<string> | Entry[];

const GONE = new FtError("redis-gone", "it cannot be reached, or closed the connection");

export class MemoryRedis {
  readonly #clock: HandClock;
  readonly #keys = new Map<string, { value: Value; until: number }>();
  readonly #stores = new Set<MemoryStore>();
  readonly #waiting = new Set<() => void>();
  #entries = 0;
  /** How far its clock is ahead of the clock of the tests. Milliseconds. */
  ahead = 0;
  /** Nobody can connect. */
  down = false;
  /** Why it takes no changes. */
  refuses: string | undefined;
  /** The commands that came, without their arguments. */
  readonly heard: string[] = [];

  constructor(clock: HandClock) {
    this.#clock = clock;
  }

  /** A way to connect; `cut` breaks only the connections of that way. */
  door(): { open: OpenStore; cut(): void; closed: boolean } {
    const own = new Set<MemoryStore>();
    const door = {
      closed: false,
      open: async (): Promise<Store> => {
        if (this.down || door.closed) throw GONE;
        const store = new MemoryStore(this);
        own.add(store);
        this.#stores.add(store);
        return store;
      },
      cut: () => {
        for (const store of own) store.break();
      },
    };
    return door;
  }

  /** Breaks all connections. */
  kill(): void {
    for (const store of this.#stores) store.break();
    this.#stores.clear();
  }

  flushAll(): void {
    this.#keys.clear();
  }

  /** The keys that it has. */
  get names(): string[] {
    return [...this.#keys.keys()].filter((key) => this.#value(key) !== undefined).sort();
  }

  /** Removes the oldest entries of all streams, so that `left` of each are there. */
  trim(left: number): void {
    for (const { value } of this.#keys.values()) if (Array.isArray(value)) value.splice(0, Math.max(0, value.length - left));
  }

  hash(key: string): Map<string, string> {
    return this.#kept(key, () => new Map()) as Map<string, string>;
  }

  /** Carries out one command. Undefined: it waits for `changed`. */
  run([name = "", ...args]: readonly string[]): unknown {
    this.heard.push(name);
    const isWrite = ["HSET", "HDEL", "SET", "XADD", "SADD", "SREM", "DEL", "UNLINK", "PEXPIRE"].includes(name);
    if (isWrite && this.refuses !== undefined) throw new FtError("redis-gone", this.refuses);
    const [key = "", ...rest] = args;
    switch (name) {
      case "PING":
        return "PONG";
      case "TIME": {
        const now = this.#clock.at() + this.ahead;
        return [String(Math.floor(now / 1000)), String(Math.floor((now % 1000) * 1000))];
      }
      case "SET":
        this.#keys.set(key, { value: rest[0] ?? "", until: this.#clock.elapsed() + Number(rest[2]) });
        return "OK";
      case "MGET":
        return args.map((one) => this.#value(one) ?? null);
      case "PEXPIRE": {
        const kept = this.#keys.get(key);
        if (kept === undefined || this.#value(key) === undefined) return 0;
        kept.until = this.#clock.elapsed() + Number(rest[0]);
        return 1;
      }
      case "DEL":
      case "UNLINK":
        for (const one of args) this.#keys.delete(one);
        return args.length;
      case "SADD":
        (this.#kept(key, () => new Set()) as Set<string>).add(rest[0] ?? "");
        return 1;
      case "SREM":
        (this.#kept(key, () => new Set()) as Set<string>).delete(rest[0] ?? "");
        return 1;
      case "SMEMBERS":
        return [...((this.#value(key) as Set<string> | undefined) ?? [])];
      case "HSET":
        for (let i = 0; i < rest.length; i += 2) this.hash(key).set(rest[i] ?? "", rest[i + 1] ?? "");
        return rest.length / 2;
      case "HDEL":
        for (const field of rest) this.hash(key).delete(field);
        return rest.length;
      case "HSCAN": {
        // Two pages, so that a reader has to ask again.
        const all = [...((this.#value(key) as Map<string, string> | undefined) ?? [])];
        const half = Math.ceil(all.length / 2);
        return rest[0] === "0" && all.length > 1
          ? ["7", all.slice(0, half).flat()]
          : ["0", (rest[0] === "0" ? all : all.slice(half)).flat()];
      }
      case "XADD": {
        const id = `${++this.#entries}-0`;
        (this.#kept(key, () => []) as Entry[]).push([id, rest.slice(4)]);
        for (const go of [...this.#waiting]) go();
        return id;
      }
      case "XREVRANGE":
        return ((this.#value(key) as Entry[] | undefined) ?? []).slice(-1);
      case "XREAD":
        return this.#read(args);
      default:
        throw new Error(`This Redis does not know ${name}.`);
    }
  }

  /** Resolves with the next entry of any stream, or after this time. */
  async wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const go = () => {
        this.#waiting.delete(go);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(ms, go);
      this.#waiting.add(go);
    });
  }

  #read(args: string[]): unknown {
    const names = args.slice(args.indexOf("STREAMS") + 1);
    const half = names.length / 2;
    const found = names.slice(0, half).flatMap((key, i) => {
      const after = Number.parseInt(names[half + i] ?? "0", 10);
      const entries = ((this.#value(key) as Entry[] | undefined) ?? []).filter(([id]) => Number.parseInt(id, 10) > after);
      return entries.length === 0 ? [] : [[key, entries]];
    });
    return found.length === 0 ? null : Object.fromEntries(found);
  }

  #value(key: string): Value | undefined {
    const kept = this.#keys.get(key);
    if (kept === undefined || kept.until > this.#clock.elapsed()) return kept?.value;
    this.#keys.delete(key);
    return undefined;
  }

  #kept(key: string, make: () => Value): Value {
    const there = this.#value(key);
    if (there !== undefined) return there;
    const value = make();
    this.#keys.set(key, { value, until: Number.POSITIVE_INFINITY });
    return value;
  }
}

class MemoryStore implements Store {
  readonly #redis: MemoryRedis;
  readonly #broken = Promise.withResolvers<never>();

  constructor(redis: MemoryRedis) {
    this.#redis = redis;
    this.#broken.promise.catch(() => undefined);
  }

  break(): void {
    this.#broken.reject(GONE);
  }

  async send(commands: readonly (readonly string[])[]): Promise<unknown[]> {
    return await Promise.race([this.#broken.promise, this.#carryOut(commands)]);
  }

  async #carryOut(commands: readonly (readonly string[])[]): Promise<unknown[]> {
    await Promise.resolve();
    const [first] = commands;
    if (first?.[0] === "MULTI") {
      const results = commands.slice(1, -1).map((command) => this.#redis.run(command));
      return ["OK", ...results.map(() => "QUEUED"), results];
    }
    if (first?.[0] !== "XREAD") return commands.map((command) => this.#redis.run(command));
    const now = this.#redis.run(first);
    if (now !== null) return [now];
    await this.#redis.wait(Number(first[first.indexOf("BLOCK") + 1]));
    return [this.#redis.run(first)];
  }

  close(): void {
    this.break();
  }
}
