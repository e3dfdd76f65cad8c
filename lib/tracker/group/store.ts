// Defines a connection to Redis as the engines of this folder see it. redis.ts makes real ones.

import { FtError } from "../../error.ts";

/** The code of the error after which a connection is of no use any more. Its message is a clause. */
export const GONE = "redis-gone";

/** About the number of fields of a hash in one read. */
const FIELDS_AT_ONCE = 1_000;

export type Command = readonly string[];

/** One connection. After a failure it is not used again: no reply of an old connection can be taken for one of a new one. */
export interface Store {
  /** Sends commands together. Gives a reply each, or rejects with a clause for a person. */
  send(commands: readonly Command[]): Promise<unknown[]>;
  close(): void;
}

/** Opens a connection. Rejects with a clause for a person. */
export type OpenStore = () => Promise<Store>;

/** Commands that Redis carries out together or not at all. Gives their replies. */
export async function together(store: Store, commands: readonly Command[]): Promise<unknown[]> {
  const replies = await store.send([["MULTI"], ...commands, ["EXEC"]]);
  const results = replies.at(-1);
  if (!Array.isArray(results)) throw new FtError(GONE, "it did not carry out a transaction");
  const failed = results.find((one) => one instanceof Error);
  if (failed !== undefined) throw failed;
  return results;
}

/** Sends one command. */
export async function ask(store: Store, ...command: string[]): Promise<unknown> {
  const [reply] = await store.send([command]);
  return reply;
}

/** All fields of a hash, read in parts so that no read takes Redis long. */
export async function hashOf(store: Store, key: string): Promise<Map<string, string>> {
  const fields = new Map<string, string>();
  for (let cursor = "0"; ; ) {
    const reply = await ask(store, "HSCAN", key, cursor, "COUNT", String(FIELDS_AT_ONCE));
    const [next, part] = Array.isArray(reply) ? reply : [];
    const texts = listOf(part);
    for (let i = 0; i + 1 < texts.length; i += 2) fields.set(texts[i] ?? "", texts[i + 1] ?? "");
    cursor = String(next ?? "0");
    if (cursor === "0") return fields;
  }
}

/** The texts of a reply; any other value is "". */
export function listOf(reply: unknown): string[] {
  const list = reply instanceof Set ? [...reply] : reply;
  return Array.isArray(list) ? list.map((one) => (typeof one === "string" ? one : "")) : [];
}
