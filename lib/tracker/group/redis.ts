// Opens connections to Redis with the runtime's own client. The client's reconnect has mixed up replies and lost subscriptions
// (oven-sh/bun #27861, #33450), so it is off: a connection that has failed is closed, and nothing of it is used again.

import { readFileSync, statSync } from "node:fs";
import { RedisClient } from "bun";
import { FtError, pathFault, UsageError } from "../../error.ts";
import { printable } from "../../text.ts";
import { type Command, GONE, type OpenStore, type Store } from "./store.ts";

/** A reply that does not come within this time never comes. Milliseconds. */
const REPLY_MS = 4_000;
/** A connection is open within this time, or fails. Milliseconds. */
const CONNECT_MS = 3_000;
/** A longer file has no URL in it. Bytes. */
const FILE_LIMIT = 4096;

const SCHEMES = ["redis:", "rediss:", "valkey:", "valkeys:"];

/** The place of a Redis: a URL that may hold a password, and a text without it for logs. */
export interface RedisPlace {
  url: string;
  shown: string;
}

/** Reads the URL of a Redis. The sentence of a `UsageError` never repeats the URL, because a password may be in it. */
export function parseRedisUrl(text: string, option: string): RedisPlace {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  const needs = "needs the URL of a Redis, such as redis://10.0.0.5:6379 or rediss://user:password@redis.example.org";
  if (url === undefined || !SCHEMES.includes(url.protocol) || url.hostname === "") {
    throw new UsageError(`${option} ${needs}.`);
  }
  if (!/^\/?\d*$/.test(url.pathname))
    throw new UsageError(`${option} ${needs}. Behind the port may only be the number of a database.`);
  return {
    url: url.href,
    shown: `${url.hostname}:${url.port || "6379"}${["rediss:", "valkeys:"].includes(url.protocol) ? " (TLS)" : ""}`,
  };
}

/** The URL in a file. Others may not read it, because a password may be in it. */
export function readRedisFile(path: string, option: string): RedisPlace {
  const shown = `"${printable(path)}"`;
  let text: string;
  try {
    const { mode, size } = statSync(path);
    if (size > FILE_LIMIT) throw new UsageError(`${option}: ${shown} is too long to be the URL of a Redis.`);
    if (process.platform !== "win32" && (mode & 0o007) !== 0) {
      throw new UsageError(`${option}: every user of this machine can read ${shown}. Try: chmod o-rwx ${shown}`);
    }
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${option}: cannot read ${shown}: ${pathFault(error)}.`);
  }
  return parseRedisUrl(text, `The file ${shown} of ${option}`);
}

/** A URL with `***` in place of its password. */
export function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return text.includes("@") ? "***" : text;
  const url = new URL(text);
  if (url.password !== "") url.password = "***";
  return url.href;
}

/** Whether a URL has a password in it. */
export function hasPassword(text: string): boolean {
  return URL.canParse(text) ? new URL(text).password !== "" : text.includes("@");
}

/** Opens connections to this Redis. */
export function openRedis({ url }: RedisPlace): OpenStore {
  return async () => {
    const client = new RedisClient(url, {
      autoReconnect: false,
      connectionTimeout: CONNECT_MS,
    });
    const store = new RedisStore(client);
    try {
      // `connect` does not say why it failed. The first command connects, too, and says that a password is wrong.
      await store.send([["PING"]]);
      return store;
    } catch (error) {
      store.close();
      throw error;
    }
  };
}

class RedisStore implements Store {
  readonly #client: RedisClient;
  /** The client would connect again for another command. */
  #closed = false;

  constructor(client: RedisClient) {
    this.#client = client;
    // Commands that wait for a reply are rejected by the client.
    client.onclose = () => {
      this.#closed = true;
    };
  }

  send(commands: readonly Command[]): Promise<unknown[]> {
    if (this.#closed) return Promise.reject(new FtError(GONE, CLOSED));
    const replies = commands.map(([name = "", ...args]) => this.#client.send(name, args));
    return this.#inTime(Promise.all(replies));
  }

  /** The value, if it comes in time. Else the connection is closed. */
  async #inTime<Value>(value: Promise<Value>): Promise<Value> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new FtError(GONE, "it does not answer"));
        this.close();
      }, REPLY_MS);
    });
    try {
      return await Promise.race([value, late]);
    } catch (error) {
      throw error instanceof FtError ? error : new FtError(GONE, clauseOf(error));
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#closed = true;
    try {
      this.#client.close();
    } catch {
      // It was never open.
    }
  }
}

const CLOSED = "it cannot be reached, or closed the connection";

/** The errors of Redis that an operator can do something about, each as a clause. */
const CLAUSES: [pattern: RegExp, clause: string][] = [
  [/WRONGPASS/i, "it refuses the password"],
  [/NOAUTH|Authentication required/i, "it wants a password"],
  [/NOPERM/i, "this user may not use the keys or commands of ft-tracker: see its ACL"],
  [/MISCONF/i, "it takes no changes, because it cannot save them to its disk (MISCONF)"],
  [/^OOM/i, "its memory is full"],
  [/READONLY/i, "it is a replica, which takes no changes"],
  [/LOADING/i, "it is still loading its data"],
  [/closed|Failed to connect|ECONN|timeout|timed out/i, CLOSED],
];

function clauseOf(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  return CLAUSES.find(([pattern]) => pattern.test(words))?.[1] ?? printable(words.slice(0, 200));
}
