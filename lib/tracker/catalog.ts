// The tracker's table: who is online, and a hash table from file name to records. No sockets, no clock of its own.

import { type Address, type Endpoint, isIPv6, isLoopback } from "../protocol/address.ts";
import { formatFoundRecord } from "../protocol/basic.ts";
import type { CallBack, Page, PeerLine, Profile, Wish } from "../protocol/messages.ts";
import { escapeField, type FileName, type FileRecord, formatRecordAround, modifiedOf } from "../protocol/record.ts";
import { FindIndex } from "./search/find.ts";
import { Chains } from "./table/chains.ts";
import { Places } from "./table/columns.ts";
import { Rows, type Said } from "./table/rows.ts";
import { hashOf, Numbers } from "./table/texts.ts";

/** An accepted peer. Its address is the one the tracker saw, whatever the peer wrote. */
export interface Member {
  readonly id: string;
  readonly profile: Profile;
  readonly address: Address;
  readonly agent: string;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The port of all its records. */
  readonly port: number;
  /** Whether the tracker could connect to that port; undefined until it has tried. */
  readonly reach?: boolean | undefined;
  /** FT/1 peers have none. */
  readonly presence?: Presence | undefined;
}

/** How an FT/2 peer that is online is reached by what the others do. */
export interface Presence extends Seer {
  /** Asks it to connect to somebody; false when it is asked too often. */
  ask(call: CallBack): boolean;
  /** Whether this is what it was told as its session. */
  isSession(session: string): boolean;
  /** Its new connection is here: this one ends without a trace. */
  replace(): void;
}

/** Who asks, and the tracker's own address on that connection: peers on the tracker's machine are reached there. */
export interface Seer {
  address: Address;
  via: Address;
  /** It knows what `reach` means. */
  extras?: boolean;
}

/** A member and what it shares: a list of rows, in the order in which they came. */
class Shelf implements Member {
  readonly id: string;
  readonly profile: Profile;
  readonly address: Address;
  readonly since: number;
  /** What it is called in the rows' columns. */
  readonly number: number;
  readonly presence: Presence | undefined;
  readonly #agents: Numbers;
  readonly agentNumber: number;
  port: number;
  reach: boolean | undefined = undefined;
  /** -1: none. */
  first = -1;
  last = -1;
  count = 0;
  /** How many of them are of files that are still being fetched: those do not count. */
  parts = 0;
  bytes = 0;

  constructor(member: Member, number: number, agents: Numbers) {
    this.id = member.id;
    this.profile = member.profile;
    this.address = member.address;
    this.since = member.since;
    this.port = member.port;
    this.presence = member.presence;
    this.number = number;
    this.#agents = agents;
    this.agentNumber = agents.take(member.agent);
  }

  get agent(): string {
    return this.#agents.text(this.agentNumber);
  }
}

/** Answers that are kept ready, and bytes of one at most. */
const ANSWERS_KEPT = 1024;

const ANSWER_KEPT = 4096;

/** Records of a peer that are quickly looked through. */
const SHORT_LIST = 8;

/** Unfinished files that a peer may announce. */
const MAX_PARTS = 32;

export class Catalog {
  readonly #rows = new Rows();
  readonly #find = new FindIndex();
  readonly #shelves: (Shelf | undefined)[] = [];
  readonly #numbers = new Places();
  readonly #byId = new Chains({
    hash: (number) => hashOf(this.#shelves[number]?.id ?? ""),
    same: (number, other) => this.#shelves[number]?.id === this.#shelves[other]?.id,
  });
  readonly #agents = new Numbers();
  /** Who comes from an address. */
  readonly #byAddress = new Chains({
    hash: (number) => hashOf(this.#shelves[number]?.address ?? ""),
    same: (number, other) => this.#shelves[number]?.address === this.#shelves[other]?.address,
  });
  /** The loopback addresses among them: who asks for the tracker's own address may mean somebody there. */
  readonly #here = new Set<Address>();
  #files = 0;
  /** Answers to searches, as they were sent last. */
  readonly #answers = new Map<FileName, { via: string; extras: boolean; bytes: Uint8Array }>();

  /** FT/2: the answer to a search for an exact file name, as bytes; what is asked for again and again is kept ready. */
  answer(name: FileName, seer: Seer, limit: number, encode: (lines: string[]) => Uint8Array): Uint8Array {
    // The same for all who are shown the tracker's own machine at the same address.
    const via = isLoopback(seer.address) ? "" : seer.via;
    const extras = seer.extras === true;
    const ready = this.#answers.get(name);
    if (ready !== undefined && ready.via === via && ready.extras === extras) return ready.bytes;
    const lines = this.search(name, seer, limit);
    const bytes = encode(lines);
    if (lines.length > 0 && bytes.length <= ANSWER_KEPT) {
      if (this.#answers.size >= ANSWERS_KEPT) this.#answers.clear();
      this.#answers.set(name, { via, extras, bytes });
    }
    return bytes;
  }

  /** Peers online. */
  get peers(): number {
    return this.#byId.count;
  }

  /** Records of whole files in the index. */
  get files(): number {
    return this.#files;
  }

  /** Bytes of whole files in the index, each as often as it is shared. */
  get bytes(): number {
    let sum = 0;
    for (const shelf of this.#shelves) sum += shelf?.bytes ?? 0;
    return sum;
  }

  /** Contents in the index of which the id is known. */
  get contents(): number {
    return this.#rows.contents;
  }

  /** Accepts a peer with its list, or replaces the list (and the port) of a peer that is here. A name that comes twice counts once. */
  put(member: Member, records: FileRecord[]): Member {
    let shelf = this.#shelf(member.id);
    if (shelf === undefined) {
      shelf = new Shelf(member, this.#numbers.take(), this.#agents);
      this.#shelves[shelf.number] = shelf;
      this.#byId.add(shelf.number);
      this.#byAddress.add(shelf.number);
      if (isLoopback(member.address)) this.#here.add(member.address);
    } else {
      this.#clear(shelf);
      shelf.port = member.port;
    }
    for (const record of records) this.#shelve(shelf, record);
    return shelf;
  }

  /** Adds a record to a peer's list, or renews the one of that name; false when the list is full. */
  add(id: string, record: FileRecord, maxFiles: number): boolean {
    const shelf = this.#shelf(id);
    if (shelf === undefined) return false;
    const old = this.#rowOf(shelf, record.name);
    const parts = shelf.parts - (old >= 0 && this.#rows.isPart(old) ? 1 : 0);
    const files = shelf.count - (old < 0 ? 0 : 1) - parts;
    if (record.part ? parts >= MAX_PARTS || this.isLast(id, record.name) : files >= maxFiles) return false;
    this.#shelve(shelf, record);
    return true;
  }

  /** Whether this is the only whole file of a peer. */
  isLast(id: string, name: FileName): boolean {
    const shelf = this.#shelf(id);
    if (shelf === undefined || shelf.count - shelf.parts !== 1) return false;
    const row = this.#rowOf(shelf, name);
    return row >= 0 && !this.#rows.isPart(row);
  }

  /** Takes a record off a peer's list; the last one stays. */
  drop(id: string, name: FileName): "dropped" | "missing" | "last" {
    const shelf = this.#shelf(id);
    const row = shelf === undefined ? -1 : this.#rowOf(shelf, name);
    if (shelf === undefined || row < 0) return "missing";
    if (this.isLast(id, name)) return "last";
    this.#unlist(shelf, row);
    return "dropped";
  }

  /** Removes a peer and its records; gives it back if it was here. */
  leave(id: string): Member | undefined {
    const shelf = this.#shelf(id);
    if (shelf === undefined) return undefined;
    this.#clear(shelf);
    this.#byId.remove(shelf.number);
    this.#byAddress.remove(shelf.number);
    this.#shelves[shelf.number] = undefined;
    this.#numbers.giveBack(shelf.number);
    const { address } = shelf;
    if (isLoopback(address) && !this.known(address)) this.#here.delete(address);
    // What it was is still told of it.
    const { profile, agent, since, port } = shelf;
    this.#agents.release(shelf.agentNumber);
    return { id, profile, address, agent, since, port };
  }

  /** Notes whether a peer's port could be connected to; undefined when that is not known any more. */
  setReach(id: string, reach: boolean | undefined): void {
    const shelf = this.#shelf(id);
    if (shelf === undefined || shelf.reach === reach) return;
    const told = shelf.reach === false || reach === false;
    shelf.reach = reach;
    if (told) for (const row of this.#rowsOf(shelf)) this.#answers.delete(this.#rows.name(row));
  }

  /** The FT/2 peer that is where a record, as somebody was shown it, says. */
  at({ address, port }: Endpoint, seer: Seer): Member | undefined {
    const isIt = (member: Member) => member.profile === 2 && member.port === port;
    const found = this.#from(address).find(isIt);
    if (found !== undefined || address !== seer.via) return found;
    return [...this.#here].flatMap((place) => [...this.#from(place)]).find(isIt);
  }

  /** Who is online under an id. */
  member(id: string): Member | undefined {
    return this.#shelf(id);
  }

  /** Whether an accepted peer comes from this address; seen by others, the tracker's own machine has the tracker's address. */
  known(address: Address, seer?: Seer): boolean {
    return this.#firstFrom(address) >= 0 || (address === seer?.via && this.#here.size > 0);
  }

  /** The FT/1 peers, of one address or of all; they hold no connection that could tell when they go. */
  basicMembers(address?: Address): Member[] {
    const shelves = address === undefined ? this.#shelves : [...this.#from(address)];
    return shelves.flatMap((shelf) => (shelf?.profile === 1 ? [shelf] : []));
  }

  /** FT/2: the answer lines for an exact file name. */
  search(name: FileName, seer: Seer, limit: number): string[] {
    const lines: string[] = [];
    const first = this.#rows.named(name);
    for (let row = first; row >= 0 && lines.length < limit; row = this.#rows.afterNamed(row, first)) {
      lines.push(this.#line(row, seer));
    }
    return lines;
  }

  /**
   * FT/1: the same, five fields a line. An FT/1 peer could not tell an unfinished file from a whole one, and does not know what
   * an IPv6 address is unless it came from one.
   */
  searchBasic(name: FileName, seer: Seer, limit: number): string[] {
    const lines: string[] = [];
    const first = this.#rows.named(name);
    for (let row = first; row >= 0 && lines.length < limit; row = this.#rows.afterNamed(row, first)) {
      const holder = this.#holderOf(row);
      const address = addressFor(holder, seer);
      if (this.#rows.isPart(row) || (isIPv6(address) && !isIPv6(seer.address))) continue;
      lines.push(formatFoundRecord({ ...this.#rows.said(row), address, port: holder.port }));
    }
    return lines;
  }

  /** A page of the records of one content, whatever its holders call it. */
  holders(root: string, { offset, limit }: Page, seer: Seer): string[] {
    const rows = this.#rows.ofRoot(root).drop(Math.min(offset, Number.MAX_SAFE_INTEGER)).take(limit);
    return [...rows].map((row) => this.#line(row, seer));
  }

  /** A page of what fits words and filters, best first; records of one content together, or one for each content. */
  find(wish: Wish, seer: Seer): { lines: string[]; total: number } {
    const among = wish.root === undefined ? undefined : this.#rows.ofRoot(wish.root);
    const { contents, total } = this.#find.find(wish, among);
    const lines = contents.flatMap(({ items, holders }) => {
      if (!wish.group) return items.map((row) => this.#line(row, seer));
      const [first] = items;
      return first === undefined ? [] : [`${this.#line(first, seer).slice(0, -1)};holders=${holders}>`];
    });
    return { lines, total };
  }

  /** A page of one peer's records, or of all. */
  list(id: string | undefined, { offset, limit }: Page, seer: Seer): string[] {
    const lines: string[] = [];
    const chosen = id === undefined ? this.#shelves : [this.#shelf(id)];
    let skip = offset;
    for (const shelf of chosen) {
      if (lines.length >= limit) break;
      if (shelf === undefined) continue;
      if (skip >= shelf.count) {
        skip -= shelf.count;
        continue;
      }
      for (const row of this.#rowsOf(shelf)) {
        if (skip > 0) skip -= 1;
        else if (lines.length < limit) lines.push(this.#line(row, seer));
      }
    }
    return lines;
  }

  /** A page of the peers online. */
  who({ offset, limit }: Page, seer: Seer): PeerLine[] {
    const lines: PeerLine[] = [];
    let at = 0;
    for (const shelf of this.#shelves) {
      if (lines.length >= limit) break;
      if (shelf === undefined || at++ < offset) continue;
      const { id, port, agent, since, reach, count, parts, bytes } = shelf;
      lines.push({
        id,
        address: addressFor(shelf, seer),
        port,
        files: count - parts,
        bytes: Math.min(bytes, Number.MAX_SAFE_INTEGER),
        agent,
        since: new Date(since).toISOString(),
        ...(seer.extras ? { reach } : {}),
      });
    }
    return lines;
  }

  #shelf(id: string): Shelf | undefined {
    return this.#shelves[this.#byId.first(hashOf(id), (number) => this.#shelves[number]?.id === id)];
  }

  #firstFrom(address: Address): number {
    return this.#byAddress.first(hashOf(address), (number) => this.#shelves[number]?.address === address);
  }

  /** Who comes from an address. */
  *#from(address: Address): Generator<Shelf> {
    const first = this.#firstFrom(address);
    for (let number = first; number >= 0; number = this.#byAddress.after(number, first)) {
      const shelf = this.#shelves[number];
      if (shelf !== undefined) yield shelf;
    }
  }

  *#rowsOf({ first }: Shelf): Generator<number> {
    for (let row = first; row >= 0; row = this.#rows.sibling(row)) yield row;
  }

  /** The row of a name in a list, or -1. */
  #rowOf(shelf: Shelf, name: FileName): number {
    let own = shelf.first;
    if (shelf.count <= SHORT_LIST) {
      while (own >= 0 && !this.#rows.isNamed(own, name)) own = this.#rows.sibling(own);
      return own;
    }
    const first = this.#rows.named(name);
    let other = first;
    // A list may be long, and a name may have many holders; what is at its end first tells.
    while (own >= 0 && other >= 0) {
      if (this.#rows.isNamed(own, name)) return own;
      if (this.#rows.holder(other) === shelf.number) return other;
      own = this.#rows.sibling(own);
      other = this.#rows.afterNamed(other, first);
    }
    return -1;
  }

  #shelve(shelf: Shelf, record: FileRecord): void {
    const old = this.#rowOf(shelf, record.name);
    if (old >= 0) this.#unlist(shelf, old);
    const { row, twin } = this.#rows.add(record, shelf.number);
    if (shelf.last < 0) shelf.first = row;
    else this.#rows.setSibling(shelf.last, row);
    this.#rows.setSibling(row, -1);
    shelf.last = row;
    this.#count(shelf, row, 1);
    this.#answers.delete(record.name);
    const { name, type, size, part, root } = record;
    const item = { name, type, size, modified: modifiedOf(record), part: part === true };
    this.#find.add(row, item, root === undefined ? undefined : twin);
  }

  /** Takes one row off a list. */
  #unlist(shelf: Shelf, row: number): void {
    let before = -1;
    for (let at = shelf.first; at !== row; at = this.#rows.sibling(at)) before = at;
    const next = this.#rows.sibling(row);
    if (before < 0) shelf.first = next;
    else this.#rows.setSibling(before, next);
    if (next < 0) shelf.last = before;
    this.#forget(shelf, row);
  }

  /** Takes all rows off a list. */
  #clear(shelf: Shelf): void {
    for (let row = shelf.first; row >= 0; ) {
      const next = this.#rows.sibling(row);
      this.#forget(shelf, row);
      row = next;
    }
    shelf.first = -1;
    shelf.last = -1;
  }

  #forget(shelf: Shelf, row: number): void {
    this.#count(shelf, row, -1);
    if (this.#answers.size > 0) this.#answers.delete(this.#rows.name(row));
    this.#find.remove(row);
    this.#rows.remove(row);
  }

  #count(shelf: Shelf, row: number, by: 1 | -1): void {
    shelf.count += by;
    if (this.#rows.isPart(row)) shelf.parts += by;
    else {
      shelf.bytes += by * this.#rows.size(row);
      this.#files += by;
    }
  }

  #holderOf(row: number): Shelf {
    const shelf = this.#shelves[this.#rows.holder(row)];
    if (shelf === undefined) throw new RangeError(`Row ${row} has no holder.`);
    return shelf;
  }

  /** Whether its holder can be reached is the tracker's word alone, and comes last. */
  #line(row: number, seer: Seer): string {
    const holder = this.#holderOf(row);
    const said: Said = this.#rows.said(row);
    const [before, after] = formatRecordAround({ ...said, port: holder.port });
    const line = before + escapeField(addressFor(holder, seer)) + after;
    return seer.extras && holder.reach === false ? `${line.slice(0, -1)};reach=no>` : line;
  }
}

/** A member's address as somebody is told it. */
export function addressFor(member: Pick<Member, "address">, seer: Seer): Address {
  return isLoopback(member.address) && !isLoopback(seer.address) ? seer.via : member.address;
}
