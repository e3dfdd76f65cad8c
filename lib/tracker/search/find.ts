// The tracker's search index: which records fit words and filters, best first. Records are numbers to it.

import type { Wish } from "../../protocol/messages.ts";
import { Ints, PAGE, Places } from "../table/columns.ts";
import { compareTexts, Numbers } from "../table/texts.ts";
import { plainTime } from "../table/time.ts";
import { Best } from "./best.ts";
import {
  countAt,
  dayIn,
  ELSEWHERE,
  type Held,
  holdersAt,
  isPartIn,
  MIXED,
  PAGE_WORDS,
  SECONDS,
  Slots,
  scoreOf,
  stampOf,
  typeIn,
  type Whole,
} from "./findpage.ts";
import { FEW, Matcher } from "./match.ts";
import { type Bits, clearBit, countOf, Posting, setBit } from "./posting.ts";
import { type Group, type Lead, RANK, scanPage } from "./scan.ts";
import { isToken, Tokens } from "./tokens.ts";
import { Units } from "./units.ts";
import { fold, parseWords, runsOf, unitsOf } from "./words.ts";

/** What the index knows of a record. */
export interface Findable {
  readonly name: string;
  /** MIME type. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Last modification, ISO 8601 or `YYYY-MM-DD`. */
  readonly modified: string;
  /** Its holder is still fetching it. */
  readonly part: boolean;
}

export type FindWish = Wish;

/** Those records of one content that fit, whole ones first. */
export interface Content {
  items: number[];
  /** How many have the whole of it, under whatever name. */
  holders: number;
}

/** Contents that are put in exact order; those after them follow in the index's own order. */
const ORDERED = 5000;

/**
 * Names are cut into tokens, their runs of letters and digits; each token knows the slots it is in, and 3-grams lead to tokens. A
 * word is thus looked up among tokens, which are few, and is the union of their slots. Of words that span tokens, what stands
 * where in names (`units`, `order`) and how names end tells most; only what is left is read. Everything is taken out at once when
 * a record goes, so there is nothing to clean up later.
 */
export class FindIndex {
  readonly #pages: Slots[] = [];
  readonly #places = new Places();
  /** The slot of each record, and one more; 0: it is not here. */
  readonly #slotOf = new Ints();
  readonly #live = new Posting();
  readonly #units = new Units();
  readonly #tokens = new Tokens();
  readonly #exts = new Numbers();
  readonly #types = new Numbers();
  readonly #matcher = new Matcher(this.#pages, this.#live, this.#units, this.#tokens, this.#exts);

  /** Adds a record; `twin` is another one here of the same content, -1 if none is, undefined if its content is not known. */
  add(id: number, item: Findable, twin: number | undefined): void {
    const name = fold(item.name);
    const seconds = secondsOf(item.modified);
    const holders = item.part ? 0 : 1;
    const other = twin === undefined ? 0 : this.#slotOf.get(twin);
    if (other === 0) {
      const slot = this.#open(name, id, item);
      this.#page(slot).rate(slot % PAGE, scoreOf(holders, seconds));
      return;
    }
    const there = other - 1;
    const { names, wholes } = this.#page(there);
    const known = wholes.get(there % PAGE);
    const slot = known === undefined ? (names.get(there % PAGE) === name ? there : undefined) : known.slots.get(name);
    if (slot !== undefined) {
      this.#join(slot, id, item);
      this.#count(slot, holders, seconds);
      return;
    }
    const whole = known ?? this.#spread(there);
    const opened = this.#open(name, id, item);
    const page = this.#page(opened);
    page.rate(opened % PAGE, ELSEWHERE);
    setBit(page.spread, opened % PAGE);
    page.wholes.set(opened % PAGE, whole);
    whole.slots.set(name, opened);
    whole.holders += holders;
    whole.newest = Math.max(whole.newest, seconds);
  }

  /** Takes a record out that is here. */
  remove(id: number): void {
    const slot = this.#slotOf.get(id) - 1;
    if (slot < 0) return;
    this.#slotOf.set(id, 0);
    const page = this.#page(slot);
    const at = slot % PAGE;
    const held = page.held.get(at);
    const part = held === undefined ? page.part[at] === 1 : isPartIn(held.stamps.get(id) ?? 0);
    if (held !== undefined) {
      this.#part(slot, held, id);
      this.#count(slot, part ? 0 : -1, 0);
      return;
    }
    const whole = page.wholes.get(at);
    if (whole !== undefined) {
      whole.slots.delete(page.names.get(at));
      whole.holders -= part ? 0 : 1;
      page.wholes.delete(at);
      const [last] = whole.slots.values();
      if (whole.slots.size === 1 && last !== undefined) this.#gather(last, whole);
    }
    this.#close(slot);
  }

  /**
   * A page of what fits, best first, and how much there is of it; one item for each content when grouped, else as many as fit.
   * The order is exact for the first 5,000 contents; complete and the same from page to page, while nothing changes, for all.
   * `among`: only these records are meant.
   */
  find(wish: FindWish, among?: Iterable<number>): { contents: Content[]; total: number } {
    try {
      return this.#search(wish, among);
    } finally {
      this.#matcher.rest();
    }
  }

  #search(wish: FindWish, among: Iterable<number> | undefined): { contents: Content[]; total: number } {
    const words = parseWords(wish.words);
    const plain = words.filter((word) => !word.excludes && word.pieces === undefined);
    const text = plain[0]?.text;
    const whole = plain.map((word) => word.text).join(" ");
    const lead: Lead | undefined =
      text === undefined
        ? undefined
        : {
            text,
            whole,
            textUnits: unitsOf(text),
            wholeUnits: unitsOf(whole),
            begins: undefined,
            beginsSurely: true,
            tokens: undefined,
            starts: undefined,
            exact: undefined,
          };
    const bits = among === undefined ? this.#matcher.everything() : this.#slotsOf(among);
    this.#matcher.keep(bits, words, lead);
    const passes = this.#filter(wish);
    const most = wish.offset + wish.limit;
    const best = new Best(Math.min(most, ORDERED), (a, b) => this.#compareNames(a, b));
    // Of those in the index's own order so many are enough, as some of them are among the best.
    const all = most > ORDERED ? { slots: [] as number[], most: most + ORDERED } : undefined;
    const groups = new Map<Whole, Group>();
    if (lead !== undefined && countOf(bits, FEW) > FEW) {
      const [starts, exact] = [this.#matcher.none(), this.#matcher.none()];
      if (this.#units.addFirstTo(lead.text.charCodeAt(0), starts)) lead.starts = starts;
      this.#units.addLengthTo(lead.whole.length, exact);
      lead.exact = exact;
    }
    let total = 0;
    for (const [p, page] of this.#pages.entries()) {
      total += scanPage(page, p * PAGE, bits, { passes, lead, best, all, groups, group: wish.group });
    }
    if (wish.group) total += groups.size;
    for (const [content, group] of groups) {
      this.#sortGroup(group);
      const [slot = 0] = group.slots;
      const key = (group.ranks[0] ?? 0) * RANK + scoreOf(content.holders, content.newest);
      if (key >= best.floor) best.offer(key, slot);
      if (all !== undefined && all.slots.length < all.most) all.slots.push(slot);
    }
    const order = best.sorted();
    if (all !== undefined) {
      const ordered = new Set(order);
      for (const slot of all.slots) if (order.length < most && !ordered.has(slot)) order.push(slot);
    }
    return { contents: this.#cut(order, groups, wish), total };
  }

  #slotsOf(records: Iterable<number>): Bits {
    const bits = this.#matcher.none();
    for (const id of records) {
      const slot = this.#slotOf.get(id) - 1;
      if (slot >= 0) setBit(bits, slot);
    }
    return bits;
  }

  #cut(order: number[], groups: Map<Whole, Group>, wish: FindWish): Content[] {
    const contents: Content[] = [];
    const single = this.#stampFilter(wish);
    const groupOf = (slot: number): Group | undefined => {
      const whole = this.#page(slot).wholes.get(slot % PAGE);
      return whole === undefined ? undefined : groups.get(whole);
    };
    if (wish.group) {
      for (const slot of order.slice(wish.offset, wish.offset + wish.limit)) {
        const [item] = this.#items(slot, groupOf(slot), single, 1);
        if (item !== undefined) contents.push({ items: [item], holders: this.#holders(slot) });
      }
      return contents;
    }
    let skip = wish.offset;
    let room = wish.limit;
    for (const slot of order) {
      if (room <= 0) break;
      const page = this.#page(slot);
      const group = groupOf(slot);
      if (group === undefined && single === undefined && countAt(page, slot % PAGE) <= skip) {
        skip -= countAt(page, slot % PAGE);
        continue;
      }
      const items = [...this.#items(slot, group, single, skip + room)];
      const taken = items.slice(skip);
      skip = Math.max(0, skip - items.length);
      room -= taken.length;
      if (taken.length > 0) contents.push({ items: taken, holders: this.#holders(slot) });
    }
    return contents;
  }

  #holders(slot: number): number {
    const page = this.#page(slot);
    return page.wholes.get(slot % PAGE)?.holders ?? holdersAt(page, slot % PAGE);
  }

  /** The records of a content that fit, whole ones first. */
  *#items(
    slot: number,
    group: Group | undefined,
    single: ((stamp: number) => boolean) | undefined,
    most: number,
  ): Generator<number> {
    let left = most;
    for (const part of [false, true]) {
      for (const one of group?.slots ?? [slot]) {
        for (const [id, stamp] of this.#held(one)) {
          if (left <= 0) return;
          if (isPartIn(stamp) !== part || (single !== undefined && !single(stamp))) continue;
          left -= 1;
          yield id;
        }
      }
    }
  }

  /** The records of a slot, with their stamps. */
  #held(slot: number): Iterable<[number, number]> {
    const page = this.#page(slot);
    const at = slot % PAGE;
    return (
      page.held.get(at)?.stamps ?? [[page.item[at] ?? 0, stampOf(page.type[at] ?? 0, page.day[at] ?? 0, page.part[at] ?? 0)]]
    );
  }

  #sortGroup(group: Group): void {
    const { slots, ranks } = group;
    if (slots.length < 2) return;
    const at = slots.map((_, i) => i);
    at.sort((a, b) => (ranks[b] ?? 0) - (ranks[a] ?? 0) || this.#compareNames(slots[a] ?? 0, slots[b] ?? 0));
    group.slots = at.map((i) => slots[i] ?? 0);
    group.ranks = at.map((i) => ranks[i] ?? 0);
  }

  #compareNames(a: number, b: number): number {
    return compareTexts(this.#page(a).names, a % PAGE, this.#page(b).names, b % PAGE);
  }

  /** Tells how many records of a slot pass the filters; undefined when there are none that a slot could fail. */
  #filter(wish: FindWish): ((page: Slots, at: number) => number) | undefined {
    const { min, max, after, before } = wish;
    const single = this.#stampFilter(wish);
    const wanted = wish.ext?.map((ext) => fold(ext));
    if (single === undefined && wanted === undefined && min === undefined && max === undefined) return undefined;
    const exts = wanted === undefined ? undefined : this.#exts.table((ext) => wanted.includes(ext));
    const type = wish.type?.toLowerCase();
    const types = type === undefined ? undefined : this.#types.table((one) => one.startsWith(type));
    const least = min ?? 0;
    const most = max ?? Number.POSITIVE_INFINITY;
    const first = after === undefined ? 0 : dayOf(after);
    const last = before === undefined ? Number.POSITIVE_INFINITY : dayOf(before);
    const dated = after !== undefined || before !== undefined;
    return (page, at) => {
      const size = page.size[at] ?? 0;
      if (size < least || size > most) return 0;
      if (exts !== undefined && exts[page.ext[at] ?? 0] !== 1) return 0;
      const kind = page.type[at] ?? 0;
      const day = page.day[at] ?? 0;
      const mixed = (types !== undefined && kind === MIXED) || (dated && day === MIXED);
      if (types !== undefined && kind !== MIXED && types[kind] !== 1) return 0;
      if (dated && day !== MIXED && (day < first || day > last)) return 0;
      if (!mixed) return countAt(page, at);
      let count = 0;
      for (const stamp of page.held.get(at)?.stamps.values() ?? []) if (single === undefined || single(stamp)) count += 1;
      return count;
    };
  }

  /** The filters that records of one slot may pass or fail; undefined when there are none. */
  #stampFilter({ type, after, before }: FindWish): ((stamp: number) => boolean) | undefined {
    if (type === undefined && after === undefined && before === undefined) return undefined;
    const kind = type?.toLowerCase() ?? "";
    const types = this.#types.table((one) => one.startsWith(kind));
    const first = after === undefined ? 0 : dayOf(after);
    const last = before === undefined ? Number.POSITIVE_INFINITY : dayOf(before);
    return (stamp) => types[typeIn(stamp)] === 1 && dayIn(stamp) >= first && dayIn(stamp) <= last;
  }

  #page(slot: number): Slots {
    const page = this.#pages[Math.floor(slot / PAGE)];
    if (page === undefined) throw new RangeError(`There is no slot ${slot}.`);
    return page;
  }

  /** Notes that a slot's content has so many holders more, which the slot knows already, and a time. */
  #count(slot: number, holders: number, seconds: number): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const whole = page.wholes.get(at);
    if (whole !== undefined) {
      whole.holders += holders;
      whole.newest = Math.max(whole.newest, seconds);
      return;
    }
    page.rate(at, scoreOf(holdersAt(page, at), Math.max((page.score[at] ?? 0) % SECONDS, seconds)));
  }

  /** A content that had one slot gets another. */
  #spread(slot: number): Whole {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const whole = {
      holders: holdersAt(page, at),
      newest: (page.score[at] ?? 0) % SECONDS,
      slots: new Map([[page.names.get(at), slot]]),
    };
    page.wholes.set(at, whole);
    page.rate(at, ELSEWHERE);
    setBit(page.spread, at);
    return whole;
  }

  /** A content has one slot again. */
  #gather(slot: number, { holders, newest }: Whole): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    page.wholes.delete(at);
    page.rate(at, scoreOf(holders, newest));
    clearBit(page.spread, at);
  }

  /** Takes a slot for a name that is new in its content. */
  #open(name: string, id: number, item: Findable): number {
    const slot = this.#places.take();
    if (slot >= this.#pages.length * PAGE) this.#pages.push(new Slots());
    const page = this.#page(slot);
    const at = slot % PAGE;
    this.#slotOf.set(id, slot + 1);
    page.names.set(at, name);
    page.item[at] = id;
    page.size[at] = item.size;
    const ext = extensionOf(name);
    page.ext[at] = ext === undefined ? 0 : this.#exts.take(ext);
    page.type[at] = this.#types.take(item.type.toLowerCase());
    page.day[at] = dayOf(item.modified);
    page.part[at] = item.part ? 1 : 0;
    page.unit[at] = name.charCodeAt(0);
    const words = this.#pages.length * PAGE_WORDS;
    this.#live.add(slot, words);
    const runs = runsOf(name);
    const dot = name.lastIndexOf(".");
    let end = 0;
    page.stem[at] = 0;
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] ?? "";
      end += run.length;
      if (!isToken(run)) continue;
      const token = runs.indexOf(run) < i ? this.#tokens.find(run) : this.#tokens.add(run, slot, words);
      if (i === 0) page.first[at] = token;
      if (end === dot) page.stem[at] = token + 1;
    }
    this.#units.add(slot, name, words);
    return slot;
  }

  /** Gives a slot back that has one record. */
  #close(slot: number): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const name = page.names.get(at);
    page.rate(at, ELSEWHERE);
    clearBit(page.spread, at);
    this.#exts.release(page.ext[at] ?? 0);
    this.#types.release(page.type[at] ?? 0);
    page.names.drop(at);
    this.#live.delete(slot);
    const runs = runsOf(name);
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] ?? "";
      if (isToken(run) && runs.indexOf(run) === i) this.#tokens.remove(run, slot);
    }
    this.#units.remove(slot, name);
    this.#places.giveBack(slot);
  }

  /** Puts another record into a slot. */
  #join(slot: number, id: number, item: Findable): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const kind = this.#types.take(item.type.toLowerCase());
    const day = dayOf(item.modified);
    const held = page.held.get(at) ?? { stamps: new Map(this.#held(slot)), holders: holdersAt(page, at) };
    held.stamps.set(id, stampOf(kind, day, item.part ? 1 : 0));
    held.holders += item.part ? 0 : 1;
    page.held.set(at, held);
    page.item[at] = -held.stamps.size;
    setBit(page.many, at);
    this.#slotOf.set(id, slot + 1);
    if (page.type[at] !== kind) page.type[at] = MIXED;
    if (page.day[at] !== day) page.day[at] = MIXED;
  }

  /** Takes a record out of a slot that has others. */
  #part(slot: number, held: Held, id: number): void {
    const { stamps } = held;
    const page = this.#page(slot);
    const at = slot % PAGE;
    const gone = stamps.get(id) ?? 0;
    this.#types.release(typeIn(gone));
    stamps.delete(id);
    held.holders -= isPartIn(gone) ? 0 : 1;
    page.item[at] = -stamps.size;
    const [last] = stamps;
    if (stamps.size > 1 || last === undefined) return;
    const [only, stamp] = last;
    page.held.delete(at);
    page.item[at] = only;
    clearBit(page.many, at);
    page.type[at] = typeIn(stamp);
    page.day[at] = dayIn(stamp);
    page.part[at] = isPartIn(stamp) ? 1 : 0;
  }
}

function extensionOf(name: string): string | undefined {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? undefined : name.slice(dot + 1);
}

/** `YYYY-MM-DD` as a number; 0 when it is none. */
function dayOf(text: string): number {
  let day = 0;
  for (let at = 0; at < 10; at++) {
    if (at === 4 || at === 7) continue;
    const digit = text.charCodeAt(at) - 48;
    if (!(digit >= 0 && digit <= 9)) return 0;
    day = day * 10 + digit;
  }
  return day;
}

function secondsOf(text: string): number {
  const seconds = Math.floor((plainTime(text) ?? Date.parse(text)) / 1000);
  return seconds > 0 ? Math.min(seconds, SECONDS - 1) : 0;
}
