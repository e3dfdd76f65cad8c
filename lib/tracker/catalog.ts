// Keeps the tracker's table: the peers online, each with its records. A search by exact name reads this table. find-index.ts has the
// records by content, circles.ts has those that only some peers are shown. Knows no sockets and no clock.

import { type Address, type Endpoint, isIPv6, isLoopback } from "../protocol/address.ts";
import { formatFoundRecord } from "../protocol/basic.ts";
import { FOLDER_TYPE } from "../protocol/folder.ts";
import type { Page, PeerLine, Wish } from "../protocol/messages.ts";
import { type FileName, isCounted, type Unplaced } from "../protocol/record.ts";
import { addressFor, fairly, lineOf, linesOf, pageOf } from "./answer-lines.ts";
import { Circles } from "./circles.ts";
import { eachOf, type Few, putIn, takeFrom, withOne, withoutOne } from "./compact/few.ts";
import { SharedTexts } from "./compact/texts.ts";
import { find } from "./find.ts";
import { FindIndex } from "./find-index.ts";
import { ReadyAnswers } from "./ready-answers.ts";
import { haveOf, type Listed, type Member, nameOf, type Seer, SharedFile, Shelf } from "./shelf.ts";

/** The lines of an answer to FIND that take as long as one step of a search: about a millisecond. */
const LINES_A_STEP = 250;

/** The most records of a peer that do not count: of unfinished files, and of whole ones beyond its limit. */
const MAX_UNCOUNTED = 32;

/** The peers online and their records. */
export class Catalog {
  readonly #shelves = new Map<string, Shelf>();
  readonly #byAddress = new Map<Address, Few<Shelf>>();
  /** The loopback addresses of peers. For another peer, the tracker's own address may stand for one of these. */
  readonly #here = new Set<Address>();
  readonly #byName = new Map<FileName, Few<SharedFile>>();
  readonly #index: FindIndex<SharedFile>;
  readonly #texts = new SharedTexts();
  readonly #answers = new ReadyAnswers();
  readonly #circles = new Circles<SharedFile>();
  /** The number of records that have come. */
  #arrivals = 0;
  #files = 0;
  #bytes = 0n;
  #fetching = 0;
  /** Called with each record that is new or has changed. */
  onRecord: ((file: SharedFile) => void) | undefined;
  /** Called with each change of a record that is for everybody, by its name, and with each change of a peer. */
  onChange: ((holder: Member, name?: FileName) => void) | undefined;

  /** `now`: milliseconds since 1970. Without it every date counts as it is. */
  constructor(now: () => number = () => Number.POSITIVE_INFINITY) {
    this.#index = new FindIndex<SharedFile>(({ holder }) => holder.host, now);
  }

  /** Peers online. */
  get peers(): number {
    return this.#shelves.size;
  }

  /** Records of whole files that everybody is shown. */
  get files(): number {
    return this.#files;
  }

  /** The peers of each tracker and their whole files; those of this tracker under undefined. */
  countsByTracker(): Map<string | undefined, { peers: number; files: number }> {
    const counts = new Map<string | undefined, { peers: number; files: number }>();
    for (const { tracker, count, parts } of this.#shelves.values()) {
      const { peers, files } = counts.get(tracker) ?? { peers: 0, files: 0 };
      counts.set(tracker, { peers: peers + 1, files: files + count - parts });
    }
    return counts;
  }

  /** Bytes of whole files, each as often as it is shared. */
  get bytes(): number {
    return Number(this.#bytes);
  }

  /** Records of unfinished files. */
  get fetching(): number {
    return this.#fetching;
  }

  /** Different contents whose id is known. */
  get contents(): number {
    return this.#index.contents;
  }

  /**
   * Accepts a peer with its list, or replaces the list and the port of a peer that is here. A name that comes twice counts once. Records
   * that the peer had keep their places: else the peers that renew their lists would be behind those that never do.
   */
  put(member: Member, records: Unplaced[]): Member {
    let shelf = this.#shelves.get(member.id);
    if (shelf === undefined) {
      shelf = new Shelf(member, this.#texts);
      this.#shelves.set(shelf.id, shelf);
      putIn(this.#byAddress, shelf.address, shelf);
      if (isLoopback(member.address)) this.#here.add(member.address);
      this.#markTwins(shelf);
      this.onChange?.(shelf);
    } else {
      const kept = new Set(records.map(({ name }) => name));
      for (const file of eachOf(shelf.records)) if (!kept.has(file.name)) this.#forget(shelf, file);
      if (shelf.port !== member.port) {
        // The answers that are kept ready have the old port.
        this.#forgetAnswers(shelf);
        const { address, port } = shelf;
        shelf.port = member.port;
        this.#markTwins({ address, port });
        this.#markTwins(shelf);
        this.onChange?.(shelf);
      }
    }
    for (const record of records) this.#shelve(shelf, record);
    return shelf;
  }

  /** Changes records of a peer of another tracker, as that tracker says. Its limits count, not those of this one. */
  mirror(id: string, records: Iterable<Unplaced>, gone: Iterable<FileName>): void {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return;
    for (const name of gone) {
      const file = shelf.record(name);
      if (file !== undefined) this.#forget(shelf, file);
    }
    for (const record of records) this.#shelve(shelf, record);
  }

  /** The records of a peer, or the one of this name. */
  recordsOf(id: string, name?: FileName): Iterable<SharedFile> {
    const shelf = this.#shelves.get(id);
    return eachOf(name === undefined ? shelf?.records : shelf?.record(name));
  }

  /** Adds a record to a peer's list, or renews the record of that name; false when the list is full. */
  add(id: string, record: Unplaced, maxFiles: number): boolean {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return false;
    const old = shelf.record(record.name);
    const uncounted = shelf.uncounted - (old === undefined || isCounted(old) ? 0 : 1);
    const files = shelf.count - (old === undefined ? 0 : 1) - uncounted;
    if (isCounted(record) ? files >= maxFiles : uncounted >= MAX_UNCOUNTED || this.isLast(id, record.name)) return false;
    this.#shelve(shelf, record);
    return true;
  }

  /** Whether this is the only file of a peer that counts. */
  isLast(id: string, name: FileName): boolean {
    const shelf = this.#shelves.get(id);
    const file = shelf?.record(name);
    return shelf !== undefined && file !== undefined && isCounted(file) && shelf.count - shelf.uncounted === 1;
  }

  /** Takes a record off a peer's list. The last one that counts stays. */
  drop(id: string, name: FileName): "dropped" | "missing" | "last" {
    const shelf = this.#shelves.get(id);
    const file = shelf?.record(name);
    if (shelf === undefined || file === undefined) return "missing";
    if (this.isLast(id, name)) return "last";
    this.#forget(shelf, file);
    return "dropped";
  }

  /** Removes a peer and its records; gives it back if it was here. */
  leave(id: string): Member | undefined {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined) return undefined;
    this.#clear(shelf);
    this.#circles.forget(id);
    this.#shelves.delete(id);
    const { profile, address, agent, name, since, port, tracker } = shelf;
    this.onChange?.(shelf);
    takeFrom(this.#byAddress, address, shelf);
    this.#markTwins(shelf);
    if (!this.#byAddress.has(address)) this.#here.delete(address);
    return { id, profile, address, agent, name, since, port, ...(tracker === undefined ? {} : { tracker }) };
  }

  /** Notes whether the tracker can connect to a peer's port; undefined when it does not know any more. */
  setReach(id: string, reach: boolean | undefined): void {
    const shelf = this.#shelves.get(id);
    if (shelf === undefined || shelf.reach === reach) return;
    const isToldApart = shelf.reach === false || reach === false;
    shelf.reach = reach;
    this.onChange?.(shelf);
    if (isToldApart) this.#forgetAnswers(shelf);
  }

  /** The FT/2 peer at the endpoint of a record, as a receiver got it. `id` names one where several have that endpoint. */
  at({ address, port }: Endpoint, seer: Seer, id?: string): Member | undefined {
    const places = address === seer.via ? [address, ...this.#here] : [address];
    for (const place of places) {
      for (const shelf of eachOf(this.#byAddress.get(place))) {
        if (shelf.profile === 2 && shelf.port === port && (id ?? shelf.id) === shelf.id) return shelf;
      }
    }
    return undefined;
  }

  /** The peer that is online under an id. */
  member(id: string): Member | undefined {
    return this.#shelves.get(id);
  }

  /** All peers online. */
  members(): IteratorObject<Member> {
    return this.#shelves.values();
  }

  /** The record of a content of which a peer has the whole. */
  wholeOf(id: string, root: string): SharedFile | undefined {
    return Iterator.from(eachOf(this.#shelves.get(id)?.records)).find((file) => file.root === root && !file.part);
  }

  /** From now on a peer is shown the records with this token. */
  tell(id: string, token: string): void {
    this.#circles.tell(id, token);
  }

  /** Whether a record is shown to the peer with this id. */
  sees(id: string | undefined, file: SharedFile): boolean {
    return this.#circles.sees(id, file);
  }

  /** Whether an accepted peer comes from this address. To a seer, the tracker's own machine has the tracker's address. */
  known(address: Address, seer?: Seer): boolean {
    return this.#byAddress.has(address) || (address === seer?.via && this.#here.size > 0);
  }

  /** The FT/1 peers, of one address or of all. They hold no connection that could tell when they go. */
  basicMembers(address?: Address): Member[] {
    const shelves = address === undefined ? this.#shelves.values() : eachOf(this.#byAddress.get(address));
    return Array.from(shelves).filter(({ profile }) => profile === 1);
  }

  /** FT/2: the answer to a search for an exact file name, as bytes. */
  answer(name: FileName, seer: Seer, limit: number, encode: (lines: string[]) => Uint8Array): Uint8Array {
    const ready = this.#answers.get(name, seer);
    if (ready !== undefined) return ready;
    const lines = this.search(name, seer, limit);
    const bytes = encode(lines);
    const isForAll = Iterator.from(eachOf(this.#byName.get(name))).every(({ only }) => only === undefined);
    if (lines.length > 0 && isForAll) this.#answers.keep(name, seer, bytes);
    return bytes;
  }

  /** FT/2: the answer lines for an exact file name. */
  search(name: FileName, seer: Seer, limit: number): string[] {
    return linesOf(this.#seen(fairly(this.#byName.get(name)), seer), { offset: 0, limit }, seer);
  }

  /**
   * FT/1: the answer lines for an exact file name, five fields per line. Leaves out unfinished files and folders, which an FT/1 peer
   * cannot recognise, and IPv6 addresses, unless the receiver has one.
   */
  searchBasic(name: FileName, seer: Seer, limit: number): string[] {
    const lines: string[] = [];
    for (const file of fairly(this.#byName.get(name))) {
      if (lines.length >= limit) break;
      const address = addressFor(file.holder, seer);
      if (file.only !== undefined || file.part || file.type === FOLDER_TYPE || (isIPv6(address) && !isIPv6(seer.address)))
        continue;
      lines.push(formatFoundRecord(file, { address, port: file.holder.port }));
    }
    return lines;
  }

  /** A page of the records of one content, whatever its holders call it. */
  holders(root: string, page: Page, seer: Seer): string[] {
    return linesOf(fairly(this.#ofContent(root, seer)), page, seer);
  }

  /** The records of one content that a seer is shown, in the order in which they came. */
  #ofContent(root: string, { id }: Seer): SharedFile[] {
    const contents = [...this.#index.contentsOf(root)];
    const open = contents.flatMap(({ titles }) => [...eachOf(titles)].flatMap(({ records }) => [...eachOf(records)]));
    const own = [...this.recordsOf(id ?? "")].filter(({ only }) => only !== undefined);
    const enclosed = [...new Set([...this.#circles.seenBy(id), ...own])].filter((file) => file.root === root);
    return [...open, ...enclosed].sort((a, b) => a.arrival - b.arrival);
  }

  #seen(files: Iterable<SharedFile>, { id }: Seer): Iterable<SharedFile> {
    return Iterator.from(files).filter((file) => this.#circles.sees(id, file));
  }

  /** Where a guest may download the whole of a content: from peers that agree and can be reached at an address of the guest's kind. */
  forGuests(root: string, seer: Seer): Endpoint[] {
    return this.#ofContent(root, seer).flatMap(({ part, holder }) => {
      const address = addressFor(holder, seer);
      const mayServe = holder.guests && holder.reach !== false && !holder.isTwin && isIPv6(address) === isIPv6(seer.address);
      return mayServe && !part ? [{ address, port: holder.port }] : [];
    });
  }

  /**
   * Finds a page for words and filters in steps, best first; records of one content together, or one for each content. A caller that
   * does not go on to the end must call `return`.
   */
  *find(wish: Wish, seer: Seer): Generator<undefined, { lines: string[]; total: number }> {
    const among = wish.root === undefined ? undefined : this.#ofContent(wish.root, seer);
    const isOpen = ({ root }: SharedFile) => [...this.#index.contentsOf(root)].some(({ holders }) => holders > 0);
    const enclosed = this.#circles.find(wish, seer.id).filter(({ file }) => !wish.group || !isOpen(file));
    const first = enclosed.slice(wish.offset, wish.offset + wish.limit);
    const page = { offset: Math.max(0, wish.offset - enclosed.length), limit: wish.limit - first.length };
    const { contents, total } = yield* find(this.#index, { ...wish, ...page }, among);
    const lines = first.map(({ file, holders }) => lineOf(file, seer, wish.group ? holders : undefined));
    for (const { items, holders } of contents) {
      for (const file of items) {
        lines.push(lineOf(file, seer, wish.group ? holders : undefined));
        if (lines.length % LINES_A_STEP === 0) yield;
      }
    }
    return { lines, total: total + enclosed.length };
  }

  /** A page of one peer's records, or of all. */
  list(id: string | undefined, { offset, limit }: Page, seer: Seer): string[] {
    const lines: string[] = [];
    let skip = offset;
    for (const shelf of id === undefined ? this.#shelves.values() : [this.#shelves.get(id)]) {
      if (lines.length >= limit) break;
      if (shelf === undefined) break;
      const isOpen = shelf.enclosed === 0 && shelf.parts === 0;
      const records = isOpen ? eachOf(shelf.records) : [...this.#seen(eachOf(shelf.records), seer)];
      const count = Array.isArray(records) ? records.length : shelf.count;
      if (skip < count) lines.push(...linesOf(records, { offset: skip, limit: limit - lines.length }, seer));
      skip = Math.max(0, skip - count);
    }
    return lines;
  }

  /** Every peer online with its records that are for everybody. */
  *everything(): Generator<{ member: Member; files: IteratorObject<Listed> }, void> {
    for (const shelf of this.#shelves.values()) {
      yield { member: shelf, files: Iterator.from(eachOf(shelf.records)).filter(({ only }) => only === undefined) };
    }
  }

  /** A page of the peers online. */
  who({ offset, limit }: Page, seer: Seer): PeerLine[] {
    const lines: PeerLine[] = [];
    for (const shelf of pageOf(this.#shelves.values(), { offset, limit })) {
      const { id, port, agent, since, reach, count, parts, enclosed, bytes, name } = shelf;
      lines.push({
        id,
        address: addressFor(shelf, seer),
        port,
        files: count - parts - enclosed,
        bytes: Math.min(Number(bytes), Number.MAX_SAFE_INTEGER),
        agent,
        since: new Date(since).toISOString(),
        ...(seer.extras ? { reach } : {}),
        ...(seer.knowsNames ? { name } : {}),
        ...(seer.extras && shelf.presence?.hearsOffers ? { offers: true } : {}),
      });
    }
    return lines;
  }

  /** Notes which FT/2 peers have this address and port together with others. */
  #markTwins({ address, port }: Endpoint): void {
    const there: Shelf[] = [];
    for (const shelf of eachOf(this.#byAddress.get(address))) if (shelf.profile === 2 && shelf.port === port) there.push(shelf);
    for (const shelf of there) {
      if (shelf.isTwin === there.length > 1) continue;
      shelf.isTwin = there.length > 1;
      this.#forgetAnswers(shelf);
    }
  }

  /** The answers with records of this peer are made anew. */
  #forgetAnswers(shelf: Shelf): void {
    for (const { name } of eachOf(shelf.records)) this.#answers.forget(name);
  }

  /** Puts a record at the end of a list, or replaces the record of the same name where it is. */
  #shelve(shelf: Shelf, record: Unplaced): void {
    let file = shelf.record(record.name);
    if (file === undefined) {
      file = new SharedFile(record, shelf, this.#texts);
      file.arrival = ++this.#arrivals;
      shelf.records = withOne(shelf.records, file, nameOf);
      putIn(this.#byName, file.name, file);
    } else {
      const { name, root } = file;
      const have = haveOf(record);
      if (file.have !== have) this.#answers.forget(name);
      if (file.have !== have && file.only === undefined) this.onChange?.(shelf, name);
      file.have = have;
      // How far a download is changes every few seconds, and no search depends on it.
      if (file.isLike(record)) return;
      this.#unfind(file);
      this.#count(shelf, file, -1);
      file.change(record, this.#texts);
      if (file.root !== root) file.arrival = ++this.#arrivals;
    }
    if (file.only === undefined) this.#index.add(file);
    else this.#circles.add(file);
    this.#count(shelf, file, 1);
    this.onRecord?.(file);
  }

  /** Takes all records off a list. */
  #clear(shelf: Shelf): void {
    for (const file of eachOf(shelf.records)) this.#forget(shelf, file);
  }

  #forget(shelf: Shelf, file: SharedFile): void {
    const { name } = file;
    shelf.records = withoutOne(shelf.records, file, nameOf);
    takeFrom(this.#byName, name, file);
    this.#unfind(file);
    this.#count(shelf, file, -1);
  }

  #unfind(file: SharedFile): void {
    this.#index.remove(file);
    this.#circles.remove(file);
  }

  /** Notes that a list has a record more or less. */
  #count(shelf: Shelf, file: SharedFile, by: 1 | -1): void {
    const { name, size, part, only } = file;
    this.#answers.forget(name);
    if (only === undefined) this.onChange?.(shelf, name);
    if (!isCounted(file)) shelf.uncounted += by;
    if (part) {
      shelf.parts += by;
      this.#fetching += by;
    } else if (only !== undefined) shelf.enclosed += by;
    else {
      shelf.bytes += BigInt(by * size);
      this.#bytes += BigInt(by * size);
      this.#files += by;
    }
  }
}
