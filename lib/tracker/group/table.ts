// Stands between the catalog and the fields in Redis: gives the fields of this tracker's own peers, and puts the peers of other trackers in
// the catalog. Of one peer at two trackers, the newer session counts.

import type { Clock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import { type Address, isLoopback } from "../../protocol/address.ts";
import { type FileName, type FileRecord, formatRecordAt, parseFileName, parseRecord } from "../../protocol/record.ts";
import type { Catalog } from "../catalog.ts";
import type { PeerNames } from "../peer-names.ts";
import type { Member } from "../shelf.ts";
import { type Change, formatHeader, type Header, isPeerId, parseHeader, recordField, splitField } from "./wire.ts";

/** The number of peers that are put in the catalog, or taken out, between two pauses. */
const PEERS_A_PAUSE = 50;

/** The state of a tracker, as far as its table needs it. */
export interface TableState {
  readonly catalog: Catalog;
  readonly names: PeerNames;
  readonly clock: Clock;
  /** Removes a peer of this tracker; `reason` is a clause for the operator. */
  remove(id: string, reason: string): void;
}

/** One session of a peer, here or at another tracker. */
interface Session {
  /** Own peers: milliseconds of the clock's `elapsed`. Others: by the time of Redis. */
  at: number;
  /** Own peers: `joined` is not before this. By the time of Redis. */
  least: number;
  key: string | undefined;
  proven: boolean;
}

/** The fields that came for one peer: its header, and the names and texts of its records. */
interface PeerChange {
  header: string | undefined;
  records: Change[];
}

/** Long work on many peers pauses after each PEERS_A_PAUSE of them, so that other work goes on. */
class Pauses {
  readonly #clock: Clock;
  #left = PEERS_A_PAUSE;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async next(): Promise<void> {
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#left = PEERS_A_PAUSE;
    await new Promise<void>((resolve) => this.#clock.soon(resolve));
  }
}

export class SharedTable {
  readonly #state: TableState;
  /** This tracker's id among the trackers of the group. */
  readonly #self: string;
  readonly #sessions = new Map<string, Session>();
  /** The peers by the public keys of their sessions. */
  readonly #byKey = new Map<string, string>();
  /** The time of Redis minus the clock's `elapsed`. Milliseconds. */
  #ahead: number;
  /** Where this tracker is, for peers on its own machine. */
  advertised: Address | undefined;
  /** Called with each field of own peers that has changed. */
  onOwnChange: (field: string) => void = () => {};
  #foreign = 0;

  constructor(self: string, state: TableState) {
    this.#self = self;
    this.#state = state;
    this.#ahead = state.clock.at() - state.clock.elapsed();
    state.catalog.onChange = (holder, name) => this.#changed(holder, name);
  }

  /** The peers of other trackers. */
  get foreign(): number {
    return this.#foreign;
  }

  /** The time of Redis. Milliseconds since 1970. */
  get now(): number {
    return this.#state.clock.elapsed() + this.#ahead;
  }

  /** Learns the time of Redis. */
  set now(time: number) {
    this.#ahead = time - this.#state.clock.elapsed();
  }

  // -------------------------------------------------------------- own peers

  /** Each field of this tracker's own table. */
  *ownFields(): Generator<Change, void> {
    const ids = [...this.#state.catalog.everything()].flatMap(({ member }) => (member.tracker === undefined ? member.id : []));
    for (const id of ids) {
      const header = this.valueOf(id);
      if (header !== "") yield [id, header];
      for (const { name } of [...this.#state.catalog.recordsOf(id)]) {
        const field = recordField(id, name);
        const value = this.valueOf(field);
        if (value !== "") yield [field, value];
      }
    }
  }

  /** The value of a field of this tracker's own table now; "" when it is not there. */
  valueOf(field: string): string {
    const [id, name] = splitField(field);
    const member = this.#state.catalog.member(id);
    if (member === undefined || member.tracker !== undefined) return "";
    if (name === undefined) return formatHeader(this.#headerOf(member));
    const [file] = this.#state.catalog.recordsOf(id, name as FileName);
    // A record for a few people alone is told to nobody else.
    return file === undefined || file.only !== undefined
      ? ""
      : formatRecordAt(file, { address: this.addressOf(member), port: member.port });
  }

  /** A peer joins here under an id that may be known from another tracker: then it is not there any more. */
  take(id: string): void {
    const member = this.#state.catalog.member(id);
    if (member?.tracker === undefined) return;
    const least = (this.#sessions.get(id)?.at ?? 0) + 1;
    this.#drop(member);
    this.#sessions.set(id, { at: this.#state.clock.elapsed(), least, key: undefined, proven: false });
  }

  /** Notes the key of an own peer that has just joined. One that has proven it is not at another tracker any more. */
  keyed(id: string, key: string, proven: boolean): void {
    const session = this.#sessions.get(id);
    if (session === undefined || key === "") return;
    const other = this.#byKey.get(key);
    Object.assign(session, { key, proven });
    if (proven && other !== undefined && other !== id) {
      session.least = Math.max(session.least, this.#joined(other) + 1);
      this.#evict(other);
    }
    this.#byKey.set(key, id);
    this.onOwnChange(id);
  }

  /** Whether a peer that joins here is one of another tracker: it has the key of that peer. */
  isBack(id: string, key: string, isProven: () => boolean): boolean {
    const isElsewhere = this.#state.catalog.member(id)?.tracker !== undefined;
    return isElsewhere && key !== "" && this.#sessions.get(id)?.key === key && isProven();
  }

  #changed(holder: Member, name: FileName | undefined): void {
    if (holder.tracker !== undefined) return;
    const { id } = holder;
    if (this.#state.catalog.member(id) === undefined) this.#forget(id);
    else if (!this.#sessions.has(id)) {
      this.#sessions.set(id, { at: this.#state.clock.elapsed(), least: 0, key: undefined, proven: false });
    }
    this.onOwnChange(name === undefined ? id : recordField(id, name));
  }

  #headerOf({ id, port, profile, agent, name, reach, address }: Member): Header {
    const { key, proven } = this.#sessions.get(id) ?? {};
    const at = this.addressOf({ address });
    return { address: at, port, profile, agent, name, reach, joined: Math.round(this.#joined(id)), key, proven };
  }

  /** The address of a peer for others. On this machine it is that of the tracker, if that has one. */
  addressOf({ address }: Pick<Member, "address">): Address {
    const { advertised } = this;
    return isLoopback(address) && advertised !== undefined && !isLoopback(advertised) ? advertised : address;
  }

  /** When a peer has joined, by the time of Redis. */
  #joined(id: string): number {
    const session = this.#sessions.get(id);
    if (session === undefined) return 0;
    const isOwn = this.#state.catalog.member(id)?.tracker === undefined;
    return isOwn ? Math.max(session.least, session.at + this.#ahead) : session.at;
  }

  // -------------------------------------------------------------- peers of other trackers

  /** Makes changes that another tracker has told. */
  apply(tracker: string, changes: Iterable<Change>): void {
    for (const [id, change] of byPeer(changes)) this.#applyTo(tracker, id, change);
  }

  /** Makes the peers of another tracker equal to its whole table. Others have their turn meanwhile. */
  async replace(tracker: string, fields: Iterable<Change>): Promise<void> {
    const peers = byPeer(fields);
    await this.#dropAll(this.#membersOf(tracker).filter(({ id }) => peers.get(id)?.header === undefined));
    const pauses = new Pauses(this.#state.clock);
    for (const [id, change] of peers) {
      if (change.header === undefined) continue;
      const names = new Set(change.records.map(([name]) => name));
      const there = this.#state.catalog.member(id)?.tracker === tracker ? [...this.#state.catalog.recordsOf(id)] : [];
      const gone = there.flatMap(({ name }): Change[] => (names.has(name) ? [] : [[name, ""]]));
      this.#applyTo(tracker, id, { header: change.header, records: [...change.records, ...gone] });
      await pauses.next();
    }
  }

  /** Removes all peers of another tracker. Others have their turn meanwhile. */
  async clear(tracker: string): Promise<void> {
    await this.#dropAll(this.#membersOf(tracker));
  }

  async #dropAll(members: Member[]): Promise<void> {
    const pauses = new Pauses(this.#state.clock);
    for (const member of members) {
      // Meanwhile it may have joined elsewhere.
      if (this.#state.catalog.member(member.id) === member) this.#drop(member);
      await pauses.next();
    }
  }

  #membersOf(tracker: string): Member[] {
    const all = [...this.#state.catalog.everything()];
    return all.flatMap(({ member }) => (member.tracker === tracker ? member : []));
  }

  #applyTo(tracker: string, id: string, { header, records: changes }: PeerChange): void {
    const { catalog } = this.#state;
    const before = catalog.member(id);
    const isThere = before?.tracker === tracker;
    if (header === undefined) {
      const { records, gone } = readRecords(isThere ? changes : []);
      catalog.mirror(id, records, gone);
      return;
    }
    if (header === "") {
      if (before !== undefined && isThere) this.#drop(before);
      return;
    }
    const parsed = parseHeader(header);
    if (parsed === undefined || !this.#admits(tracker, id, parsed)) return;
    const { records, gone } = readRecords(changes);
    this.#put(tracker, id, parsed, records, gone);
  }

  /** Puts a peer in the catalog, or changes it. */
  #put(tracker: string, id: string, header: Header, records: FileRecord[], gone: FileName[]): void {
    const { catalog, names, clock } = this.#state;
    const { address, port, profile, agent, name, reach, joined, key, proven } = header;
    const before = catalog.member(id);
    const isSame = before?.address === address && before.name === name && before.profile === profile && before.port === port;
    const kept = before === undefined || isSame ? [] : [...catalog.recordsOf(id)];
    if (before !== undefined && !isSame) this.#drop(before);
    if (before === undefined || !isSame) {
      this.#foreign += 1;
      const since = clock.at() - (this.now - joined);
      catalog.put({ id, profile, address, agent, name, port, since, tracker }, kept);
      if (name !== undefined && names.idOf(name) === undefined) names.take(name, id);
    }
    catalog.mirror(id, records, gone);
    catalog.setReach(id, reach);
    this.#sessions.set(id, { at: joined, least: 0, key, proven: proven === true });
    if (key !== undefined) this.#byKey.set(key, id);
  }

  /** Whether a session of a peer counts. Older sessions of the same peer, which it replaces, end. */
  #admits(tracker: string, id: string, { joined, key, proven }: Header): boolean {
    const { catalog } = this.#state;
    const isNewer = (other: string) => {
      const theirs = this.#joined(other);
      return joined > theirs || (joined === theirs && tracker > (catalog.member(other)?.tracker ?? this.#self));
    };
    const before = catalog.member(id);
    if (before !== undefined && before.tracker !== tracker) {
      if (!isNewer(id)) return false;
      this.#evict(id);
    }
    const twin = key === undefined ? undefined : this.#byKey.get(key);
    if (twin === undefined || twin === id || catalog.member(twin) === undefined) return true;
    if (proven && isNewer(twin)) this.#evict(twin);
    else if (this.#sessions.get(twin)?.proven && !isNewer(twin)) return false;
    return true;
  }

  /** Ends the session of a peer that has a newer one elsewhere. */
  #evict(id: string): void {
    const member = this.#state.catalog.member(id);
    if (member === undefined) return;
    if (member.tracker !== undefined) this.#drop(member);
    else if (member.presence !== undefined) member.presence.replace();
    else this.#state.remove(id, "it has joined another tracker of the group");
  }

  /** Removes a peer of another tracker from the catalog. */
  #drop({ id, name }: Member): void {
    const { catalog, names } = this.#state;
    if (catalog.leave(id) !== undefined) this.#foreign -= 1;
    if (name !== undefined && names.idOf(name) === id) names.free(name);
    this.#forget(id);
  }

  #forget(id: string): void {
    const key = this.#sessions.get(id)?.key;
    this.#sessions.delete(id);
    if (key !== undefined && this.#byKey.get(key) === id) this.#byKey.delete(key);
  }
}

/** Changes by the peers that they are of. A field that no tracker writes is left out. */
function byPeer(changes: Iterable<Change>): Map<string, PeerChange> {
  const peers = new Map<string, PeerChange>();
  for (const [field, value] of changes) {
    const [id, name] = splitField(field);
    if (!isPeerId(id)) continue;
    const change = peers.get(id) ?? { header: undefined, records: [] };
    peers.set(id, change);
    if (name === undefined) change.header = value;
    else change.records.push([name, value]);
  }
  return peers;
}

/** The records that are new, and the names of those that are gone. Fields that cannot be read are left out. */
function readRecords(changes: Change[]): { records: FileRecord[]; gone: FileName[] } {
  const gone = changes.flatMap(([name, value]) => (value === "" ? (name as FileName) : []));
  return { records: changes.flatMap(([name, value]) => (value === "" ? [] : recordIn(value, name))), gone };
}

function recordIn(value: string, name: string): FileRecord[] {
  try {
    const record = parseRecord(value, "peer");
    return record.name === parseFileName(name) ? [record] : [];
  } catch (error) {
    if (error instanceof ProtocolError) return [];
    throw error;
  }
}
