// Follows the other trackers of the group in Redis on one connection: sees which are there, reads the whole table of each, and then its
// changes. The changes are numbered: where a number is missing, it reads the whole table again.

import type { Clock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { ask, GONE, hashOf, listOf, type Store } from "./store.ts";
import type { SharedTable } from "./table.ts";
import { type Alive, EPOCH_FIELD, type GroupEvent, type Keys, parseAlive, parseEntries } from "./wire.ts";

/** The trackers of the group are looked for each time after this. Milliseconds. */
const LOOK_MS = 1_000;
/** A read waits for changes for this long. The next read has the trackers that are known by then. Milliseconds. */
const WAIT_MS = 1_000;
/** The most entries of each tracker in one read. */
const ENTRIES_AT_ONCE = 100;
/** After a new connection, the other trackers have this time to be there again: Redis may have been away for them too. Milliseconds. */
const GRACE_MS = 10_000;

/** Another tracker, as this one knows it. */
export interface Followed {
  /** What it has said of itself last. */
  alive: Alive;
  /** When that was. Milliseconds of the clock's `elapsed`. */
  seenAt: number;
  /** The epoch whose table was read, and the last entry of its log that was read. Undefined: the table is to be read. */
  place: { epoch: string; id: string; number: number } | undefined;
}

interface FollowerTools {
  /** For short commands, and for those that wait. */
  store: Store;
  waiting: Store;
  keys: Keys;
  table: SharedTable;
  clock: Clock;
  self: string;
  epoch: string;
  /** The trackers that are known, also from an earlier connection. */
  others: Map<string, Followed>;
  /** The trackers, or what they say of themselves, have changed. */
  changed(): void;
  /** A tracker has told something that is no record. */
  heard(event: GroupEvent): void;
}

export class Follower {
  readonly #tools: FollowerTools;
  readonly #since: number;
  #inbox = "0";
  #stopped = false;
  #wake = () => {};

  constructor(tools: FollowerTools) {
    this.#tools = tools;
    this.#since = tools.clock.elapsed();
  }

  /** Follows until the connection fails: then it rejects. */
  async run(): Promise<never> {
    return await Promise.race([this.#keepLooking(), this.#keepReading()]);
  }

  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  async #keepLooking(): Promise<never> {
    for (;;) {
      await this.look();
      await this.#pause(LOOK_MS);
    }
  }

  async #keepReading(): Promise<never> {
    for (;;) {
      await this.readOn();
      if (this.#stopped) throw new FtError(GONE, "stopped");
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#tools.clock.after(ms, resolve);
    });
    if (this.#stopped) throw new FtError(GONE, "stopped");
  }

  /** Sees which trackers are there, and reads the tables that are new. */
  async look(): Promise<void> {
    const { store, keys, self, epoch, others } = this.#tools;
    const members = await ask(store, "SMEMBERS", keys.trackers);
    const known = new Set([self, ...listOf(members), ...others.keys()]);
    const ids = [...known].filter((id) => /^[\w-]{1,64}$/.test(id));
    const texts = listOf(await ask(store, "MGET", ...ids.map((id) => keys.alive(id))));
    const alive = new Map(ids.map((id, i) => [id, parseAlive(texts[i])]));
    // Nobody else writes this key. Without it the table of this tracker may be gone, too.
    if (alive.get(self)?.epoch !== epoch) throw new FtError(GONE, "it was emptied");
    alive.delete(self);
    for (const [id, now] of alive) {
      if (now === undefined) this.#missing(id);
      else this.#seen(id, now);
    }
    for (const [id, other] of [...others]) {
      const isThere = alive.get(id) !== undefined;
      if (isThere && other.place?.epoch !== other.alive.epoch) await this.#load(id, other);
    }
  }

  #seen(id: string, alive: Alive): void {
    const { others, clock, changed } = this.#tools;
    const other = others.get(id);
    if (other === undefined) others.set(id, { alive, seenAt: clock.elapsed(), place: undefined });
    else Object.assign(other, { alive, seenAt: clock.elapsed() });
    changed();
  }

  /** A tracker does not say that it is there. */
  #missing(id: string): void {
    const { others, clock, table, changed, store, keys } = this.#tools;
    if (clock.elapsed() - this.#since < GRACE_MS) return;
    if (others.delete(id)) {
      void table.clear(id);
      changed();
    }
    void ask(store, "SREM", keys.trackers, id).catch(() => undefined);
  }

  /** Reads the whole table of a tracker. */
  async #load(id: string, other: Followed): Promise<void> {
    const { store, keys, table, changed } = this.#tools;
    const { epoch } = other.alive;
    const hash = keys.peers(id, epoch);
    const [last] = parseEntries(await ask(store, "XREVRANGE", keys.log(id, epoch), "+", "-", "COUNT", "1"));
    const fields = await hashOf(store, hash);
    // It was removed while it was read: the tracker has begun another epoch.
    if (fields.get(EPOCH_FIELD) !== epoch) return;
    fields.delete(EPOCH_FIELD);
    other.place = undefined;
    await table.replace(id, fields);
    other.place = { epoch, id: last?.id ?? "0", number: last?.number ?? 0 };
    changed();
  }

  /** Reads the changes that come next, and the requests to this tracker. */
  async readOn(): Promise<void> {
    const { waiting, keys, others, self } = this.#tools;
    const inbox = keys.inbox(self);
    const streams = new Map<string, [id: string, other: Followed]>();
    for (const [id, other] of others) {
      if (other.place !== undefined) streams.set(keys.log(id, other.place.epoch), [id, other]);
    }
    const from = [...streams.values()].map(([, { place }]) => place?.id ?? "0");
    const names = [inbox, ...streams.keys()];
    const block = ["BLOCK", String(WAIT_MS)];
    const how = ["COUNT", String(ENTRIES_AT_ONCE), ...block, "STREAMS"];
    const reply = await ask(waiting, "XREAD", ...how, ...names, this.#inbox, ...from);
    for (const [stream, entries] of streamsOf(reply)) {
      if (stream === inbox) this.#takeIn(entries);
      else await this.#follow(streams.get(stream), stream, entries);
    }
  }

  #takeIn(reply: unknown): void {
    for (const { id, event } of parseEntries(reply)) {
      this.#inbox = id;
      if (event !== undefined) this.#tools.heard(event);
    }
  }

  async #follow(whose: [id: string, other: Followed] | undefined, stream: string, reply: unknown): Promise<void> {
    const { table, keys, others, clock, heard } = this.#tools;
    if (whose === undefined) return;
    const [tracker, other] = whose;
    for (const { id, number, changes, event } of parseEntries(reply)) {
      const { place } = other;
      // Meanwhile the tracker has gone, or its table is read anew.
      if (place === undefined || others.get(tracker) !== other || keys.log(tracker, place.epoch) !== stream) return;
      if (number !== place.number + 1) {
        // Changes are missing.
        other.place = undefined;
        return;
      }
      other.place = { ...place, id, number };
      table.apply(tracker, changes);
      if (event !== undefined) heard(event);
      await new Promise<void>((resolve) => clock.soon(resolve));
    }
  }
}

/** The streams of a reply to XREAD with their entries: RESP3 gives an object, RESP2 a list of pairs. */
function streamsOf(reply: unknown): [string, unknown][] {
  if (Array.isArray(reply)) return reply.map((pair) => [String((pair as unknown[])[0]), (pair as unknown[])[1]]);
  return typeof reply === "object" && reply !== null ? Object.entries(reply) : [];
}
