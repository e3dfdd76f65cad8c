// Finds the records that fit the words and filters of a FIND, best first. Knows no peers and no protocol.

import type { Wish } from "../protocol/messages.ts";
import { eachOf, sizeOf } from "./compact/few.ts";
import { type Columns, columnsOf } from "./find-columns.ts";
import { bitOf, type Findable, type FindIndex, SCORE_LIMIT, SEPARATOR, type Sheet, sheetOf, type Title } from "./find-index.ts";
import { endingsOf, type Filter, filterOf, isOfKind, isWithin, passes } from "./fit.ts";
import { InOrder, type Ranked } from "./found-order.ts";
import { beginsAt, fits, parseWords, type Word } from "./words.ts";
import { SearchWork } from "./work/search-work.ts";

/** A page of a search: contents, each with its records that fit, whole ones first. */
interface FoundPage<Item> {
  /** `holders`: the number of peers that have the whole of it, under whatever names. */
  contents: { items: Item[]; holders: number }[];
  /** The number of all contents that fit when grouped, else of all records. */
  total: number;
}

/** The work of comparing one character with a word that has wildcards. Nanoseconds, as all work. */
const COMPARE_WORK = 4;
/** The work of one `indexOf` from hit to hit, or of a name that fits. A name of a new sheet is twice this. */
const NAME_WORK = 60;
/** The work of looking at the letters of one name. */
const LETTERS_WORK = 3;
/** The work of comparing a record with the filters. */
const FILTER_WORK = 10;
/** The work of reading one record for the columns. */
const COLUMNS_WORK = 300;
/** The work of a content that may be among the best. */
const HIT_WORK = 400;
/** The work of putting a content on the page. */
const PAGE_WORK = 5000;
/** The UTF-16 units that `indexOf` reads in a nanosecond. */
const UNITS_READ = 4;

/**
 * Finds a page in steps of about a millisecond; `among`: only of these records. Throws a `ProtocolError` when the search would
 * take too long. Records may come and go between two steps: each that stays is found once, one that comes may be found.
 */
export function* find<Item extends Findable<Item>>(
  index: FindIndex<Item>,
  wish: Wish,
  among?: Iterable<Item>,
): Generator<undefined, FoundPage<Item>> {
  const search = new Search<Item>(wish);
  const contents = among && new Set([...among].flatMap(({ title }) => title?.content ?? []));
  for (const block of contents === undefined ? index.blocks : [{ contents, sheet: undefined }]) {
    if (block.sheet === undefined) {
      block.sheet = sheetOf(block.contents);
      search.work.spend(block.sheet.titles.length * 2 * NAME_WORK);
    }
    yield* search.read(block.sheet);
  }
  return yield* search.page();
}

/** A content that fits. Its key is rank and score as one number, its title the best one. */
interface Hit<Item extends object> extends Ranked {
  title: Title<Item>;
  /** Its records that fit; 1 when grouped. */
  count: number;
}

/** A word as a search looks for it. */
interface Scan extends Word {
  /** The bit of a plain word of one letter; else 0. Sheets know the letters of each name, so that such a word is not looked for. */
  readonly letter: number;
  /** The first place of another word's needle that is not before the name that the search reads. */
  place: number;
}

function scanOf(word: Word): Scan {
  const { text, isWild } = word;
  return { ...word, letter: text.length === 1 && !isWild ? bitOf(text.charCodeAt(0)) : 0, place: -1 };
}

/** One search while it goes on. */
class Search<Item extends Findable<Item>> {
  readonly #wish: Wish;
  /** The words that are one letter: bits of those that a name must have, and of those that it must not have. */
  #letters = 0;
  #banned = 0;
  /** The other words. Those that are usually in few names come first. */
  readonly #scans: Scan[];
  /** The first word without wildcards, and its first UTF-16 unit. It decides the rank of a name. */
  readonly #lead: Scan | undefined;
  readonly #first: number;
  /** All words without wildcards, joined. */
  readonly #plain: string;
  /** A name ends with one of these, such as ".pdf". */
  readonly #endings: string[] | undefined;
  readonly #filter: Filter | undefined;
  /** Of the sheet that is being read: its columns when there are filters, and which of its types pass. */
  #columns: Columns | undefined;
  #kinds: boolean[] = [];
  readonly work = new SearchWork();
  readonly #hits: InOrder<Hit<Item>>;
  /** The number of the content that is being read. The next name may be another one of it. */
  #owner = -1;
  /** Of that content: its best name so far, the key of that, and its records that fit; 1 when grouped. */
  #best = 0;
  #key = 0;
  #count = 0;
  #total = 0;

  constructor(wish: Wish) {
    const words = parseWords(wish.words).map(scanOf);
    const plain = words.filter(({ isWild, excludes }) => !isWild && !excludes);
    const use = ({ excludes, needle }: Word) => (excludes ? -1 : needle.length);
    this.#wish = wish;
    this.#scans = words.filter(({ letter }) => letter === 0).toSorted((a, b) => use(b) - use(a));
    for (const { letter, excludes } of words) {
      if (excludes) this.#banned |= letter;
      else this.#letters |= letter;
    }
    this.#lead = plain[0];
    this.#first = plain[0]?.text.charCodeAt(0) ?? 0;
    this.#plain = plain.map(({ text }) => text).join(" ");
    this.#endings = endingsOf(wish);
    this.#filter = filterOf(wish);
    this.#hits = new InOrder(wish.offset + wish.limit);
  }

  /** Takes in the contents of a sheet that fit. */
  *read(sheet: Sheet<Item>): Generator<undefined, void> {
    for (const scan of this.#scans) scan.place = -1;
    if (this.#filter !== undefined) this.#lookAt(sheet, this.#filter);
    for (let at = this.#readOn(sheet, 0); at < sheet.titles.length; at = this.#readOn(sheet, at)) {
      yield;
      this.work.beginStep();
    }
    this.#close(sheet);
  }

  /** Makes a sheet ready for the filters. */
  #lookAt(sheet: Sheet<Item>, filter: Filter): void {
    if (sheet.columns === undefined) {
      sheet.columns = columnsOf(sheet.titles);
      this.work.spend(sheet.columns.sizes.length * COLUMNS_WORK);
    }
    this.#columns = sheet.columns;
    this.#kinds = this.#columns.kinds.map((type) => isOfKind(filter, type));
    this.work.spend(this.#kinds.length * NAME_WORK);
  }

  /** Reads to the end of this step, or of the sheet; gives the place to go on from. Not part of `read`, because generators are slow. */
  #readOn(sheet: Sheet<Item>, from: number): number {
    let at = from;
    while (at < sheet.titles.length && !this.work.isStepOver) {
      const next = this.#fitting(sheet, at);
      if (next === at) this.#take(sheet, at);
      at = Math.max(next, at + 1);
    }
    return at;
  }

  /** Takes in a name that fits. */
  #take(sheet: Sheet<Item>, at: number): void {
    const { owners, titles } = sheet;
    const count = this.#countOf(titles, at);
    if (count === 0) return;
    const key = this.#keyOf(sheet, at);
    const isNext = owners[at] !== this.#owner;
    if (isNext) {
      this.#close(sheet);
      this.#owner = owners[at] ?? -1;
      this.#count = count;
    } else if (!this.#wish.group) this.#count += count;
    if (!isNext && (key < this.#key || (key === this.#key && nameAt(titles, at) >= nameAt(titles, this.#best)))) return;
    this.#key = key;
    this.#best = at;
  }

  /** All names of a content have been read. */
  #close({ titles }: Sheet<Item>): void {
    const title = titles[this.#best];
    if (this.#owner < 0 || title === undefined) return;
    this.#total += this.#count;
    if (this.#hits.needs(this.#key)) {
      this.#hits.add({ key: this.#key, title, count: this.#count });
      this.work.spend(HIT_WORK);
    }
    this.#owner = -1;
  }

  /** The place of the next name that has the right letters; behind the last one when there is none. */
  #lettered({ letters }: Sheet<Item>, from: number): number {
    const wanted = this.#letters;
    const banned = this.#banned;
    if (wanted === 0 && banned === 0) return from;
    let at = from;
    for (; at < letters.length; at++) {
      const has = letters[at] ?? 0;
      if ((has & wanted) === wanted && (has & banned) === 0) break;
    }
    this.work.spend((at - from + 1) * LETTERS_WORK);
    return at;
  }

  /** The place of a name if that fits; else a place behind it, before which no other name fits. */
  #fitting(sheet: Sheet<Item>, at: number): number {
    const lettered = this.#lettered(sheet, at);
    if (lettered !== at) return lettered;
    const { text, starts } = sheet;
    const start = starts[at] ?? 0;
    const end = (starts[at + 1] ?? 0) - SEPARATOR.length;
    for (const scan of this.#scans) {
      if (scan.place < start) this.#scan(scan, text, start);
      const has = scan.place < end;
      if (!has && !scan.excludes) {
        let next = at + 1;
        while ((starts[next + 1] ?? Number.POSITIVE_INFINITY) <= scan.place) next += 1;
        return next;
      }
      if (has && (!scan.isWild || this.#fits(scan, text, start, end)) === scan.excludes) return at + 1;
    }
    const ends = this.#endings === undefined || this.#endings.some((ending) => text.endsWith(ending, end));
    return ends ? at : at + 1;
  }

  /** Finds the next place of a word's needle; behind the text when there is none. */
  #scan(scan: Scan, text: string, from: number): void {
    const place = text.indexOf(scan.needle, from);
    scan.place = place < 0 ? text.length : place;
    this.work.spend(NAME_WORK + (scan.place - from) / UNITS_READ);
  }

  #fits(scan: Scan, text: string, start: number, end: number): boolean {
    const before = scan.compared;
    const does = fits(text, start, end, scan);
    this.work.spend((scan.compared - before) * COMPARE_WORK);
    return does;
  }

  /** How many records of a title pass the filters; 1 stands for any number when grouped. */
  #countOf(titles: Title<Item>[], at: number): number {
    const { group } = this.#wish;
    this.work.spend(NAME_WORK);
    // Titles are far apart in memory, so they are not read in vain.
    if (this.#filter === undefined) return group ? 1 : sizeOf(titles[at]?.records);
    if (this.#columns === undefined) return 0;
    const { firsts, sizes, days, types } = this.#columns;
    const first = firsts[at] ?? 0;
    const end = firsts[at + 1] ?? 0;
    let count = 0;
    for (let i = first; i < end && !(group && count > 0); i++) {
      if (isWithin(this.#filter, sizes[i] ?? 0, days[i] ?? 0) && this.#kinds[types[i] ?? 0] === true) count += 1;
    }
    this.work.spend((end - first) * FILTER_WORK);
    return count;
  }

  /**
   * The rank of a name, with the score. 3: the name is the plain words; 2: it begins with the first of them; 1: a word of it does;
   * 0: it is somewhere.
   */
  #keyOf({ text, starts, scores, initials }: Sheet<Item>, at: number): number {
    const score = scores[at] ?? 0;
    if (this.#lead === undefined) return score;
    const { needle, place, letter } = this.#lead;
    const start = starts[at] ?? 0;
    const end = (starts[at + 1] ?? 0) - SEPARATOR.length;
    const rank = end - start === this.#plain.length ? 3 : 2;
    const { floor } = this.#hits;
    // The text is far memory, so it is not read where even the best rank is too low. The same below, where it would take longer.
    if (score + rank * SCORE_LIMIT < floor) return score;
    if (letter === 0 ? place === start : text.charCodeAt(start) === this.#first)
      return score + (rank === 3 && text.startsWith(this.#plain, start) ? 3 : 2) * SCORE_LIMIT;
    if (score + SCORE_LIMIT < floor) return score;
    const bit = bitOf(this.#first);
    if (bit !== 0 && ((initials[at] ?? 0) & bit) === 0) return score;
    if (letter !== 0) return score + SCORE_LIMIT;
    let next = place;
    while (next >= 0 && next < end && !beginsAt(text, next)) next = text.indexOf(needle, next + 1);
    return next >= 0 && next < end ? score + SCORE_LIMIT : score;
  }

  /** The page of the hits that were found. */
  *page(): Generator<undefined, FoundPage<Item>> {
    const { offset, limit, group } = this.#wish;
    const contents: FoundPage<Item>["contents"] = [];
    let skip = offset;
    let room = limit;
    for (const hit of this.#hits.inOrder()) {
      if (room <= 0) break;
      if (skip >= hit.count) {
        skip -= hit.count;
        continue;
      }
      this.work.spend(PAGE_WORK);
      if (this.work.isStepOver) {
        yield;
        this.work.beginStep();
      }
      const items = this.#itemsOf(hit.title).slice(skip, group ? skip + 1 : skip + room);
      skip = 0;
      room -= items.length;
      if (items.length > 0) contents.push({ items, holders: hit.title.content.holders });
    }
    return { contents, total: this.#total };
  }

  /** The records of a content that fit: whole ones first, and those of the best title before others. */
  #itemsOf(best: Title<Item>): Item[] {
    const wholes: Item[] = [];
    const parts: Item[] = [];
    for (const { records } of this.#titlesOf(best)) {
      for (const item of eachOf(records)) {
        if (this.#filter !== undefined && !passes(item, this.#filter)) continue;
        if (item.part) parts.push(item);
        else wholes.push(item);
        if (this.#wish.group && !item.part) return wholes;
      }
    }
    return [...wholes, ...parts];
  }

  /** The best title of a content, then the others that fit. Most contents have only one. */
  *#titlesOf(best: Title<Item>): Generator<Title<Item>, void> {
    yield best;
    if (sizeOf(best.content.titles) < 2) return;
    const sheet = sheetOf([best.content]);
    const { titles } = sheet;
    this.work.spend(titles.length * 2 * NAME_WORK);
    for (const scan of this.#scans) scan.place = -1;
    for (let at = 0; at < titles.length; ) {
      const next = this.#fitting(sheet, at);
      const title = titles[at];
      if (next === at && title !== undefined && title !== best) yield title;
      // Of names that do not fit, those before the next hit are passed over together: there may be a hundred thousand.
      at = Math.max(next, at + 1);
    }
  }
}

function nameAt(titles: Title<object>[], at: number): string {
  return titles[at]?.name ?? "";
}
