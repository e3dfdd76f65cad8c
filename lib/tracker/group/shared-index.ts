// Shares one index with the other trackers of the group, by Redis: keeps a connection, and begins a new epoch with each new one. Nothing
// waits for Redis: while it is away, this tracker goes on with its own peers, and for a while with what it knows of the others.

import type { Clock } from "../../clock.ts";
import { sentenceOf } from "../../error.ts";
import type { Address, Endpoint } from "../../protocol/address.ts";
import type { GroupTracker } from "../../protocol/group.ts";
import type { TrackerEvent } from "../events.ts";
import type { Member } from "../shelf.ts";
import { type BanTools, SharedBans } from "./bans.ts";
import { type Followed, Follower } from "./follower.ts";
import { Publisher } from "./publisher.ts";
import type { OpenStore, Store } from "./store.ts";
import { SharedTable, type TableState } from "./table.ts";
import { entryFields, type GroupEvent, keysOf } from "./wire.ts";

/** This tracker says that it is there each time after this. Milliseconds. */
const BEAT_MS = 5_000;
/** The records of others stay for this long while Redis is away. Milliseconds. */
const KEPT_MS = 60_000;
/** The pause before another connection is tried; it doubles up to the longest one. Milliseconds. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;
/** The passes of a tracker that is gone are good for as long as they can be. Milliseconds. */
const KEY_KEPT_MS = 600_000;
/** A clock of another tracker that has moved by less than this is told to no peer. Seconds. */
const CLOCK_STEP_S = 3;
/** While Redis is away, another reason for that is reported after this time at least. Milliseconds. */
const REPORT_MS = 30_000;
/** An inbox has this number of entries at most, about; it is removed when nobody wrote for this time. */
const INBOX_LENGTH = 1_000;
const INBOX_KEPT_MS = 60_000;

/** An event that is for one tracker alone. */
type Errand = Extract<GroupEvent, { what: "connect" | "bye" }>;

interface SharedIndexTools {
  /** The group's name. */
  group: string;
  /** An id that no other tracker has. A tracker that is restarted has another one. */
  self: string;
  /** Where Redis is, without its password. */
  redis: string;
  open: OpenStore;
  clock: Clock;
  /** From 0 to 1. */
  random(): number;
  state: TableState;
  /** Where this tracker can be reached. */
  places(): Promise<Endpoint[]>;
  name: string;
  key: string;
  /** The time in this tracker's passes. Seconds. */
  passTime(): number;
  bans: Pick<BanTools, "list" | "add" | "remove">;
  report(event: TrackerEvent): void;
  /** Other trackers than before, or other keys, are in the group. */
  changed(): void;
  /** Another tracker has told something that is no record. */
  heard(event: GroupEvent): void;
}

/** Another tracker of the group, for the operator. */
interface OtherTracker {
  name: string;
  at: Endpoint[];
  peers: number;
  files: number;
  /** Its records are as they were at this time ago. Seconds. */
  age: number;
}

export class SharedIndex {
  readonly table: SharedTable;
  readonly #tools: SharedIndexTools;
  readonly #keys: ReturnType<typeof keysOf>;
  readonly #bans: SharedBans;
  readonly #others = new Map<string, Followed>();
  /** The trackers that were there of late: their passes are good. */
  readonly #keysOfOthers = new Map<string, { at: Endpoint[]; ahead: number; until: number }>();
  #names = new Map<string, string>();
  #publisher: Publisher | undefined;
  #store: Store | undefined;
  /** When the present connection opened; undefined while Redis is away. Times here are milliseconds of the clock's `elapsed`. */
  #connectedAt: number | undefined;
  #awayAt: number;
  #reason = "";
  #reportedAt = 0;
  #epochs = 0;
  #lastEpoch: string | undefined;
  #stopped = false;
  #end = (_reason: unknown) => {};
  #cancelPause = () => {};
  #cancelClear = () => {};

  constructor(tools: SharedIndexTools) {
    this.#tools = tools;
    this.#keys = keysOf(tools.group);
    this.table = new SharedTable(tools.self, tools.state);
    this.table.onOwnChange = (field) => this.#publisher?.changed(field);
    this.#awayAt = tools.clock.elapsed();
    const { clock, bans } = tools;
    this.#bans = new SharedBans({ ...bans, keys: this.#keys, now: () => this.table.now, at: () => clock.at() });
  }

  /** The other trackers, with the keys that their passes are signed with. */
  get trackers(): GroupTracker[] {
    return [...this.#keysOfOthers].map(([key, { at, ahead }]) => ({ key, at, ahead }));
  }

  /** The peers of other trackers. */
  get foreign(): number {
    return this.table.foreign;
  }

  /** The present state, for the operator. */
  get summary() {
    const { clock, redis, state } = this.#tools;
    const counts = state.catalog.countsByTracker();
    const none = { peers: 0, files: 0 };
    const connected = this.#connectedAt !== undefined;
    const since = connected ? (this.#connectedAt ?? 0) : this.#awayAt;
    const trackers = [...this.#others].map(([id, { alive, seenAt, place }]): OtherTracker => {
      const age = place === undefined || !connected ? Math.round((clock.elapsed() - seenAt) / 1000) : 0;
      return { name: alive.name, at: alive.at, ...(counts.get(id) ?? none), age };
    });
    trackers.sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      redis,
      connected,
      seconds: Math.round((clock.elapsed() - since) / 1000),
      reason: this.#reason,
      own: counts.get(undefined) ?? none,
      trackers,
    };
  }

  /** Connects, and connects again whenever the connection is lost, until `stop`. */
  async run(): Promise<void> {
    const { clock, random } = this.#tools;
    for (let pause = FIRST_PAUSE_MS; !this.#stopped; pause = Math.min(LONGEST_PAUSE_MS, 2 * pause)) {
      try {
        await this.#beOnline(() => {
          pause = FIRST_PAUSE_MS;
        });
      } catch (error) {
        if (this.#stopped) return;
        this.#offline(sentenceOf(error));
      }
      await new Promise<void>((resolve) => {
        this.#cancelPause = resolve;
        clock.after(pause * (0.5 + random() / 2), resolve);
      });
    }
  }

  /** Says that this tracker is gone, and stops. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelPause();
    this.#cancelClear();
    await this.#publisher?.end().catch(() => undefined);
    this.#end(undefined);
  }

  // -------------------------------------------------------------- one connection

  /** Is online on one connection, until it fails: then it rejects. */
  async #beOnline(isOnline: () => void): Promise<void> {
    const { clock, open, self, name, key, passTime, places, heard, changed } = this.#tools;
    const keys = this.#keys;
    const epoch = `${++this.#epochs}-${Math.floor(this.#tools.random() * 2 ** 40).toString(36)}`;
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => undefined);
    this.#end = broken.reject;
    const stores: Store[] = [];
    let follower: Follower | undefined;
    let cancelBeat = () => {};
    try {
      const at = await places();
      this.table.advertised = at[0]?.address as Address | undefined;
      const store = await open();
      stores.push(store);
      const waiting = await open();
      stores.push(waiting);
      if (this.#stopped) return;
      const alive = () => ({ name, key, at, clock: passTime() - this.table.now / 1000 });
      const failed = broken.reject;
      const tools = { store, keys, table: this.table, clock, self, epoch };
      const publisher = new Publisher({ ...tools, alive, failed });
      // Fields that change while the table is written are written again after it.
      this.#publisher = publisher;
      await publisher.begin(this.#lastEpoch);
      this.#lastEpoch = epoch;
      await this.#bans.join(store);
      this.#store = store;
      follower = new Follower({
        ...tools,
        waiting,
        others: this.#others,
        changed: () => {
          this.#learnKeys();
          changed();
        },
        heard,
      });
      const beat = () => {
        cancelBeat = clock.after(BEAT_MS, () => publisher.beat().then(beat, failed));
      };
      beat();
      await follower.look();
      this.#online();
      isOnline();
      await Promise.race([broken.promise, follower.run()]);
    } finally {
      cancelBeat();
      follower?.stop();
      this.#publisher = undefined;
      this.#store = undefined;
      for (const store of stores) store.close();
    }
  }

  #online(): void {
    const { clock, report, redis } = this.#tools;
    this.#cancelClear();
    this.#connectedAt = clock.elapsed();
    this.#reason = "";
    report({ event: "redis", state: "connected", redis, trackers: this.#others.size });
  }

  #offline(reason: string): void {
    const { clock, report, redis } = this.#tools;
    const isNew = this.#connectedAt !== undefined || this.#reason === "";
    const isOther = reason !== this.#reason && clock.elapsed() - this.#reportedAt >= REPORT_MS;
    if (this.#connectedAt !== undefined) {
      this.#awayAt = clock.elapsed();
      this.#cancelClear = clock.after(KEPT_MS, () => this.#forgetOthers());
    }
    this.#connectedAt = undefined;
    if (!isNew && !isOther) return;
    report({ event: "redis", state: "away", redis, reason });
    this.#reportedAt = clock.elapsed();
    this.#reason = reason;
  }

  /** Redis is away for so long that the records of others say nothing any more. */
  #forgetOthers(): void {
    for (const id of this.#others.keys()) void this.table.clear(id);
    this.#others.clear();
    this.#learnKeys();
    this.#tools.changed();
  }

  /** Notes the keys and clocks of the other trackers, and reports which have come and gone. */
  #learnKeys(): void {
    const { clock, passTime, report } = this.#tools;
    const own = passTime() - this.table.now / 1000;
    for (const { alive } of this.#others.values()) {
      const ahead = alive.clock - own;
      const known = this.#keysOfOthers.get(alive.key)?.ahead;
      const kept = known !== undefined && Math.abs(known - ahead) < CLOCK_STEP_S ? known : Math.round(ahead);
      this.#keysOfOthers.set(alive.key, { at: alive.at, ahead: kept, until: clock.elapsed() + KEY_KEPT_MS });
    }
    for (const [key, { until }] of this.#keysOfOthers) if (until < clock.elapsed()) this.#keysOfOthers.delete(key);
    const names = new Map([...this.#others].map(([id, { alive }]) => [id, alive.name]));
    for (const [id, name] of names) if (!this.#names.has(id)) report({ event: "tracker", state: "here", name });
    for (const [id, name] of this.#names) if (!names.has(id)) report({ event: "tracker", state: "gone", name });
    this.#names = names;
  }

  // -------------------------------------------------------------- events beside records

  /** Tells all trackers of the group. While Redis is away, nobody is told. */
  tell(event: GroupEvent): boolean {
    this.#publisher?.tell(event);
    return this.#publisher !== undefined;
  }

  /** Asks the tracker of a peer for something. False when it cannot be asked. */
  send(to: Member, errand: Errand): boolean {
    const store = this.#store;
    if (store === undefined || to.tracker === undefined) return false;
    const inbox = this.#keys.inbox(to.tracker);
    const add = ["XADD", inbox, "MAXLEN", "~", String(INBOX_LENGTH), "*", ...entryFields(0, [], errand)];
    store.send([add, ["PEXPIRE", inbox, String(INBOX_KEPT_MS)]]).catch((error: unknown) => this.#end(error));
    return true;
  }

  /** A network is banned here: the others ban it, too. */
  ban(network: string, until: number | undefined, reason: string): void {
    this.tell({ from: this.#tools.name, what: "ban", network, until: this.#bans.shared(until), reason });
    if (this.#store !== undefined) this.#bans.add(this.#store, network, until, reason).catch(this.#end);
  }

  unban(network: string): void {
    this.tell({ from: this.#tools.name, what: "unban", network });
    if (this.#store !== undefined) this.#bans.remove(this.#store, network).catch(this.#end);
  }

  /** A time of Redis by this tracker's clock, and the other way round. Milliseconds since 1970. */
  ownTime(time: number): number {
    return this.#bans.own(time) ?? 0;
  }

  sharedTime(time: number): number {
    return this.#bans.shared(time) ?? 0;
  }
}
