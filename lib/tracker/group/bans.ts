// Keeps the bans of all trackers of a group the same, by a hash in Redis. An ended ban keeps its field there for a while, so that a tracker
// that was away learns that the ban is over.

import type { Ban } from "../operator/bans.ts";
import { parseNetwork } from "../operator/networks.ts";
import { ask, hashOf, type Store } from "./store.ts";
import { type Keys, objectIn, timeIn } from "./wire.ts";

/** The end of a ban is remembered for this long. Milliseconds. */
const ENDED_KEPT_MS = 30 * 86_400_000;

/** A ban as Redis has it. Times are by the clock of Redis, milliseconds since 1970. */
interface Field {
  until?: number | undefined;
  reason: string;
  /** When it was ended. */
  ended?: number | undefined;
}

export interface BanTools {
  keys: Keys;
  /** The time of Redis, and that of this tracker's clock. Milliseconds since 1970. */
  now(): number;
  at(): number;
  list(): Ban[];
  /** Makes a ban of another tracker count here. */
  add(network: string, until: number | undefined, reason: string): void;
  remove(network: string): void;
}

export class SharedBans {
  readonly #tools: BanTools;

  constructor(tools: BanTools) {
    this.#tools = tools;
  }

  /** A time of this tracker's clock by the clock of Redis. */
  shared(time: number | undefined): number | undefined {
    return time === undefined ? undefined : time + this.#tools.now() - this.#tools.at();
  }

  /** A time of Redis by this tracker's clock. */
  own(time: number | undefined): number | undefined {
    return time === undefined ? undefined : time - this.#tools.now() + this.#tools.at();
  }

  /** After a connection to Redis: takes over the bans that Redis has, and adds those that only this tracker has. */
  async join(store: Store): Promise<void> {
    const { keys, list, add, remove, now } = this.#tools;
    const known = new Set<string>();
    for (const [network, text] of await hashOf(store, keys.bans)) {
      const field = fieldIn(text);
      if (field === undefined || parseNetwork(network) === undefined) continue;
      known.add(network);
      const isOver = field.ended !== undefined || (field.until !== undefined && field.until <= now());
      const own = list().find(({ address }) => address === network);
      if (!isOver && own?.reason !== field.reason) add(network, this.own(field.until), field.reason);
      if (isOver && own !== undefined) remove(network);
      const isOld = isOver && (field.ended ?? field.until ?? 0) < now() - ENDED_KEPT_MS;
      if (isOld) await ask(store, "HDEL", keys.bans, network);
    }
    for (const { address, until, reason } of list()) if (!known.has(address)) await this.add(store, address, until, reason);
  }

  async add(store: Store, network: string, until: number | undefined, reason: string): Promise<void> {
    await ask(
      store,
      "HSET",
      this.#tools.keys.bans,
      network,
      JSON.stringify({ until: this.shared(until), reason } satisfies Field),
    );
  }

  async remove(store: Store, network: string): Promise<void> {
    const field: Field = { reason: "", ended: Math.round(this.#tools.now()) };
    await ask(store, "HSET", this.#tools.keys.bans, network, JSON.stringify(field));
  }
}

function fieldIn(text: unknown): Field | undefined {
  const { until, reason, ended } = objectIn(text);
  // A ban whose end cannot be read is none: it would be one for good.
  if (typeof reason !== "string" || (until !== undefined && timeIn(until) === undefined)) return undefined;
  return { until: timeIn(until), reason, ended: timeIn(ended) };
}
