// Writes this tracker's own table to Redis on one connection, and then each change of it. One epoch is one connection.

import type { Clock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { ask, type Command, GONE, type Store, together } from "./store.ts";
import type { SharedTable } from "./table.ts";
import { type Alive, type Change, EPOCH_FIELD, entryFields, formatAlive, type GroupEvent, type Keys } from "./wire.ts";

/** The most fields in one command, so that no command takes Redis long. */
const FIELDS_AT_ONCE = 500;
/** Older entries of the log are removed from about this number on. A reader that has not seen them reads the whole table. */
const LOG_LENGTH = 2_000;
/** The alive key says for this long that the tracker is there. Milliseconds. */
const ALIVE_MS = 13_000;
/** The keys of a tracker that is not there any more are removed after this time. Milliseconds. */
const KEYS_KEPT_MS = 600_000;
/** Events that wait for Redis. Further ones are dropped. */
const MOST_EVENTS = 100;

interface PublisherTools {
  store: Store;
  keys: Keys;
  table: SharedTable;
  clock: Clock;
  /** This tracker's id among the trackers of the group. */
  self: string;
  epoch: string;
  alive(): Omit<Alive, "epoch">;
  /** The connection is of no use any more. */
  failed(error: unknown): void;
}

export class Publisher {
  readonly #tools: PublisherTools;
  readonly #log: string;
  readonly #hash: string;
  /** Fields that have changed since they were written last. Each is written with its value of then, so this is never more than the table. */
  readonly #dirty = new Set<string>();
  readonly #events: GroupEvent[] = [];
  #number = 0;
  /** The table is written, and the changes may follow. */
  #ready = false;
  #flushing = false;

  constructor(tools: PublisherTools) {
    const { keys, self, epoch } = tools;
    this.#tools = tools;
    this.#log = keys.log(self, epoch);
    this.#hash = keys.peers(self, epoch);
  }

  /** Writes the whole table, and then says the epoch. `last`: the epoch before, whose keys are removed. */
  async begin(last: string | undefined): Promise<void> {
    const { store, table, epoch, keys, self } = this.#tools;
    let fields: string[] = [EPOCH_FIELD, epoch];
    const write = async () => {
      await ask(store, "HSET", this.#hash, ...fields);
      fields = [];
    };
    for (const [field, value] of table.ownFields()) {
      fields.push(field, value);
      if (fields.length >= 2 * FIELDS_AT_ONCE) await write();
    }
    if (fields.length > 0) await write();
    await this.beat();
    if (last !== undefined) await ask(store, "UNLINK", keys.peers(self, last), keys.log(self, last));
    this.#ready = true;
    this.#flushSoon();
  }

  /** A field of the own table has changed. */
  changed(field: string): void {
    this.#dirty.add(field);
    this.#flushSoon();
  }

  /** Tells all trackers of the group. */
  tell(event: GroupEvent): void {
    if (this.#events.length < MOST_EVENTS) this.#events.push(event);
    this.#flushSoon();
  }

  /** Says that this tracker is there, and learns the time of Redis. Throws when its keys are not in Redis any more. */
  async beat(): Promise<void> {
    const { store, keys, self, epoch, table, clock } = this.#tools;
    const alive = formatAlive({ ...this.#tools.alive(), epoch });
    const from = clock.elapsed();
    const [, kept, , , time] = await together(store, [
      ["SET", keys.alive(self), alive, "PX", String(ALIVE_MS)],
      ["PEXPIRE", this.#hash, String(KEYS_KEPT_MS)],
      ["PEXPIRE", this.#log, String(KEYS_KEPT_MS)],
      ["SADD", keys.trackers, self],
      ["TIME"],
    ]);
    if (kept !== 1) throw new FtError(GONE, "it was emptied");
    const [seconds, micros] = Array.isArray(time) ? time.map(Number) : [];
    // The reply was on its way for half of the time.
    if (seconds !== undefined) table.now = seconds * 1000 + (micros ?? 0) / 1000 + (clock.elapsed() - from) / 2;
  }

  /** This tracker stops: its peers are gone for the others. */
  async end(): Promise<void> {
    const { store, keys, self } = this.#tools;
    await store.send([
      ["DEL", keys.alive(self)],
      ["SREM", keys.trackers, self],
      ["UNLINK", this.#hash, this.#log, keys.inbox(self)],
    ]);
  }

  /** Writes what has changed, as soon as other events have had their turn; one write at a time. */
  #flushSoon(): void {
    if (!this.#ready || this.#flushing || this.#dirty.size + this.#events.length === 0) return;
    this.#flushing = true;
    this.#tools.clock.soon(() => {
      this.#flush().then(
        () => {
          this.#flushing = false;
          this.#flushSoon();
        },
        (error: unknown) => this.#tools.failed(error),
      );
    });
  }

  async #flush(): Promise<void> {
    const { store, table } = this.#tools;
    const event = this.#events.shift();
    const changes: Change[] = [];
    for (const field of this.#dirty) {
      if (changes.length === FIELDS_AT_ONCE) break;
      this.#dirty.delete(field);
      changes.push([field, table.valueOf(field)]);
    }
    const there = changes.filter(([, value]) => value !== "");
    const gone = changes.filter(([, value]) => value === "");
    this.#number += 1;
    const commands: Command[] = [
      ["XADD", this.#log, "MAXLEN", "~", String(LOG_LENGTH), "*", ...entryFields(this.#number, changes, event)],
    ];
    if (there.length > 0) commands.push(["HSET", this.#hash, ...there.flat()]);
    if (gone.length > 0) commands.push(["HDEL", this.#hash, ...gone.map(([field]) => field)]);
    await together(store, commands);
  }
}
