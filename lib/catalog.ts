// The tracker's table: who is online, and a hash table from file name to records. No sockets, no clock of its own.

import { FindIndex } from "./find.ts";
import { formatFoundRecord, type Page, type PeerLine, type Profile, type Wish } from "./message.ts";
import {
  type Address,
  type Endpoint,
  escapeField,
  type FileName,
  type FileRecord,
  formatRecordAround,
  isIPv6,
  isLoopback,
  modifiedOf,
} from "./record.ts";

/** An accepted peer. Its address is the one the tracker saw, whatever the peer wrote. */
export interface Member {
  readonly id: string;
  readonly profile: Profile;
  readonly address: Address;
  readonly agent: string;
  /** ISO 8601 UTC. */
  readonly since: string;
  /** The port of all its records. */
  port: number;
  /** Whether the tracker could connect to that port; undefined until it has tried. */
  reach?: boolean | undefined;
}

/** Who asks, and the tracker's own address on that connection: peers on the tracker's machine are reached there. */
export interface Seer {
  address: Address;
  via: Address;
  /** It knows what `reach` means. */
  extras?: boolean;
}

class Entry {
  readonly holder: Shelf;
  readonly record: FileRecord;
  /** The answer line, ready but for the address. */
  readonly before: string;
  readonly after: string;

  constructor(holder: Shelf, record: FileRecord) {
    this.holder = holder;
    this.record = record;
    [this.before, this.after] = formatRecordAround(record);
  }

  get name(): string {
    return this.record.name;
  }

  get type(): string {
    return this.record.type;
  }

  get size(): number {
    return this.record.size;
  }

  get modified(): string {
    return modifiedOf(this.record);
  }

  get root(): string | undefined {
    return this.record.root;
  }

  get part(): boolean {
    return this.record.part === true;
  }
}

/** A member and what it shares. */
interface Shelf {
  member: Member;
  entries: Map<FileName, Entry>;
  /** How many of them are of files that are still being fetched: those do not count. */
  parts: number;
  bytes: number;
}

/** Answers that are kept ready, and bytes of one at most. */
const ANSWERS_KEPT = 1024;
const ANSWER_KEPT = 4096;
/** Unfinished files that a peer may announce. */
const MAX_PARTS = 32;

export class Catalog {
  readonly #names = new Map<FileName, Entry[]>();
  readonly #roots = new Map<string, Entry[]>();
  readonly #find = new FindIndex<Entry>();
  readonly #shelves = new Map<string, Shelf>();
  /** Who comes from an address. */
  readonly #addresses = new Map<Address, Shelf[]>();
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
    return this.#shelves.size;
  }

  /** Records of whole files in the index. */
  get files(): number {
    return this.#files;
  }

  /** Bytes of whole files in the index, each as often as it is shared. */
  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#shelves.values()) sum += bytes;
    return sum;
  }

  /** Contents in the index of which the id is known. */
  get contents(): number {
    return this.#roots.size;
  }

  /** Accepts a peer with its list, or replaces the list of a peer that is here. A name that comes twice counts once. */
  put(member: Member, records: FileRecord[]): void {
    let shelf = this.#shelves.get(member.id);
    if (shelf === undefined) {
      shelf = { member, entries: new Map(), parts: 0, bytes: 0 };
      this.#shelves.set(member.id, shelf);
      list(this.#addresses, member.address, shelf);
      if (isLoopback(member.address)) this.#here.add(member.address);
    } else {
      for (const entry of shelf.entries.values()) this.#unlist(entry);
      shelf.member.port = member.port;
    }
    for (const record of records) this.#shelve(shelf, record);
  }

  /** Adds a record to a peer's list, or renews the one of that name; false when the list is full. */
  add(id: string, record: FileRecord, maxFiles: number): boolean {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return false;
    const old = shelf.entries.get(record.name)?.record;
    const parts = shelf.parts - (old?.part ? 1 : 0);
    const files = shelf.entries.size - (old === undefined ? 0 : 1) - parts;
    if (record.part ? parts >= MAX_PARTS || this.isLast(id, record.name) : files >= maxFiles) return false;
    this.#shelve(shelf, record);
    return true;
  }

  /** Whether this is the only whole file of a peer. */
  isLast(id: string, name: FileName): boolean {
    const shelf = this.#shelves.get(id);
    const entry = shelf?.entries.get(name);
    return shelf !== undefined && entry !== undefined && !entry.record.part && shelf.entries.size - shelf.parts === 1;
  }

  /** Takes a record off a peer's list; the last one stays. */
  drop(id: string, name: FileName): "dropped" | "missing" | "last" {
    const entry = this.#shelves.get(id)?.entries.get(name);
    if (entry === undefined) return "missing";
    if (this.isLast(id, name)) return "last";
    this.#unlist(entry);
    return "dropped";
  }

  /** Removes a peer and its records; gives it back if it was here. */
  leave(id: string): Member | undefined {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return undefined;
    for (const entry of shelf.entries.values()) this.#unlist(entry);
    this.#shelves.delete(id);
    const { address } = shelf.member;
    unlist(this.#addresses, address, shelf);
    if (!this.#addresses.has(address)) this.#here.delete(address);
    return shelf.member;
  }

  /** Notes whether a peer's port could be connected to; undefined when that is not known any more. */
  setReach(id: string, reach: boolean | undefined): void {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return;
    shelf.member.reach = reach;
    for (const name of shelf.entries.keys()) this.#answers.delete(name);
  }

  /** The FT/2 peer that is where a record, as somebody was shown it, says. */
  at({ address, port }: Endpoint, seer: Seer): Member | undefined {
    const isIt = ({ member }: Shelf) => member.profile === 2 && member.port === port;
    const found = this.#addresses.get(address)?.find(isIt)?.member;
    if (found !== undefined || address !== seer.via) return found;
    return [...this.#here].flatMap((place) => this.#addresses.get(place) ?? []).find(isIt)?.member;
  }

  has(id: string): boolean {
    return this.#shelves.has(id);
  }

  /** Whether an accepted peer comes from this address; seen by others, the tracker's own machine has the tracker's address. */
  known(address: Address, seer?: Seer): boolean {
    return this.#addresses.has(address) || (address === seer?.via && this.#here.size > 0);
  }

  /** The FT/1 peers, of one address or of all; they hold no connection that could tell when they go. */
  basicMembers(address?: Address): Member[] {
    const shelves = address === undefined ? [...this.#shelves.values()] : (this.#addresses.get(address) ?? []);
    return shelves.flatMap(({ member }) => (member.profile === 1 ? [member] : []));
  }

  /** FT/2: the answer lines for an exact file name. */
  search(name: FileName, seer: Seer, limit: number): string[] {
    const entries = this.#names.get(name) ?? [];
    return entries.slice(0, limit).map((entry) => lineFor(entry, seer));
  }

  /**
   * FT/1: the same, five fields a line. An FT/1 peer could not tell an unfinished file from a whole one, and does not know what
   * an IPv6 address is unless it came from one.
   */
  searchBasic(name: FileName, seer: Seer, limit: number): string[] {
    const lines: string[] = [];
    for (const { holder, record } of this.#names.get(name) ?? []) {
      const address = addressFor(holder.member, seer);
      if (lines.length >= limit) break;
      if (record.part || (isIPv6(address) && !isIPv6(seer.address))) continue;
      lines.push(formatFoundRecord({ ...record, address }));
    }
    return lines;
  }

  /** A page of the records of one content, whatever its holders call it. */
  holders(root: string, { offset, limit }: Page, seer: Seer): string[] {
    const entries = this.#roots.get(root) ?? [];
    return entries.slice(offset, offset + limit).map((entry) => lineFor(entry, seer));
  }

  /** A page of what fits words and filters, best first; records of one content together, or one for each content. */
  find(wish: Wish, seer: Seer): { lines: string[]; total: number } {
    const { contents, total } = this.#find.find(wish);
    const lines = contents.flatMap(({ items, holders }) => {
      if (!wish.group) return items.map((entry) => lineFor(entry, seer));
      const [first] = items;
      return first === undefined ? [] : [`${lineFor(first, seer).slice(0, -1)};holders=${holders}>`];
    });
    return { lines, total };
  }

  /** A page of one peer's records, or of all. */
  list(id: string | undefined, { offset, limit }: Page, seer: Seer): string[] {
    const lines: string[] = [];
    const chosen = id === undefined ? this.#shelves.values() : [this.#shelves.get(id)];
    let skip = offset;
    for (const shelf of chosen) {
      if (shelf === undefined || lines.length >= limit) break;
      if (skip >= shelf.entries.size) {
        skip -= shelf.entries.size;
        continue;
      }
      for (const entry of shelf.entries.values()) {
        if (skip > 0) skip -= 1;
        else if (lines.length < limit) lines.push(lineFor(entry, seer));
      }
    }
    return lines;
  }

  /** A page of the peers online. */
  who({ offset, limit }: Page, seer: Seer): PeerLine[] {
    const lines: PeerLine[] = [];
    let at = 0;
    for (const { member, entries, parts, bytes } of this.#shelves.values()) {
      if (lines.length >= limit) break;
      if (at++ < offset) continue;
      const { id, port, agent, since, reach } = member;
      const bounded = Math.min(bytes, Number.MAX_SAFE_INTEGER);
      const address = addressFor(member, seer);
      lines.push({
        id,
        address,
        port,
        files: entries.size - parts,
        bytes: bounded,
        agent,
        since,
        ...(seer.extras ? { reach } : {}),
      });
    }
    return lines;
  }

  #shelve(shelf: Shelf, record: FileRecord): void {
    const old = shelf.entries.get(record.name);
    if (old !== undefined) this.#unlist(old);
    const { unreachable: _, ...said } = record;
    // Whether its holder can be reached is the tracker's word alone, and comes last.
    const own = { ...said, address: shelf.member.address, port: shelf.member.port };
    const entry = new Entry(shelf, own);
    shelf.entries.set(record.name, entry);
    if (record.part) shelf.parts += 1;
    else {
      shelf.bytes += record.size;
      this.#files += 1;
    }
    list(this.#names, record.name, entry);
    this.#answers.delete(record.name);
    this.#find.add(entry);
    if (record.root !== undefined) list(this.#roots, record.root, entry);
  }

  #unlist(entry: Entry): void {
    const { holder, record } = entry;
    holder.entries.delete(record.name);
    if (record.part) holder.parts -= 1;
    else {
      holder.bytes -= record.size;
      this.#files -= 1;
    }
    unlist(this.#names, record.name, entry);
    this.#answers.delete(record.name);
    this.#find.remove(entry);
    if (record.root !== undefined) unlist(this.#roots, record.root, entry);
  }
}

function list<Key, Item>(index: Map<Key, Item[]>, key: Key, item: Item): void {
  const items = index.get(key);
  if (items === undefined) index.set(key, [item]);
  else items.push(item);
}

function unlist<Key, Item>(index: Map<Key, Item[]>, key: Key, item: Item): void {
  const items = index.get(key) ?? [];
  items.splice(items.indexOf(item), 1);
  if (items.length === 0) index.delete(key);
}

function lineFor({ holder, before, after }: Entry, seer: Seer): string {
  const line = before + escapeField(addressFor(holder.member, seer)) + after;
  return seer.extras && holder.member.reach === false ? `${line.slice(0, -1)};reach=no>` : line;
}

/** A member's address as somebody is told it. */
export function addressFor(member: Pick<Member, "address">, seer: Seer): Address {
  return isLoopback(member.address) && !isLoopback(seer.address) ? seer.via : member.address;
}
