// Indexes the tracker's records, and finds those that fit the words and filters of a FIND, best first. Knows no peers and no protocol.
//
// There is no index of words. The folded names lie in blocks, each with its names joined to one text, and a search reads all texts:
// one `indexOf` after the other, from hit to hit. To look into each name by itself would be simpler, and takes 110 ms for
// 600,000 names, which are those of a million records. Joined, they take 4 ms for a word in none of them and 25 ms for one in all.

import { ProtocolError } from "../error.ts";
import type { Wish } from "../protocol/messages.ts";
import { counted, eachOf, type Few, oneOf, sizeOf, type Tally, withOne, withoutOne } from "./few.ts";
import { type Filtered, filterOf } from "./fit.ts";
import { beginsAt, fits, fold, parseWords, type Word } from "./words.ts";

/** A record as the index uses it. */
export interface Findable<Item extends object> extends Filtered {
  readonly name: string;
  /** The content's id; undefined while it is not known. */
  readonly root?: string | undefined;
  /** Its holder is still fetching it. */
  readonly part?: boolean | undefined;
  /** Where the index has the record. Only the index sets this. */
  title?: Title<Item> | undefined;
}

/** One content under one folded name. */
interface Title<Item extends object> {
  readonly name: string;
  readonly content: Content<Item>;
  records: Few<Item> | undefined;
}

/** The records of one root and size, or one record whose root is not known. */
interface Content<Item extends object> {
  /** Root and size; undefined when the root is not known. */
  readonly key: string | undefined;
  readonly block: Block<Item>;
  titles: Few<Title<Item>> | undefined;
  /** Records of it that are whole. */
  holders: number;
  /** The hosts that have these. One host can invent peers, so the order goes by hosts. */
  hosts: Tally;
  /** The newest time of modification that a record of it had since it is here, if that was not in the future. Seconds since 1970. */
  newest: number;
}

/** A page of a search: contents, each with its records that fit, whole ones first. */
export interface FoundPage<Item> {
  /** `holders`: records that are the whole of it, under whatever name. */
  contents: { items: Item[]; holders: number }[];
  /** The number of all contents that fit when grouped, else of all records. */
  total: number;
}

/** The most contents in a block. */
const BLOCK = 1024;
/** Stands between the names of a block. No folded name or word has a capital letter. */
const SEPARATOR = "A";
/** The most contents that a search puts in exact order. The others follow in the order in which it reads them. */
const ORDERED = 2500;
/** A content's score is its hosts times this, plus the seconds of its newest time. */
const HOST = 2 ** 33;
/** The rank of a name is worth more than any score. The sum of both is still an exact number. */
const RANK = 2 ** 51;
/** Added to the score of a content with a known root. Without a root, nobody can prove that a content is what its name says. */
const VERIFIED = RANK / 2;
/** Hosts above this do not count in the score. */
const MOST_HOSTS = VERIFIED / HOST - 1;
/** The clocks of holders may be fast by this. A later time of modification does not count as new. Seconds. */
const FAST_CLOCK_S = 86_400;

/**
 * The work of one step of a search: about a millisecond. Work is in nanoseconds of an ordinary computer. It is counted, not measured,
 * so that a search costs the same, and comes to the same end, on a slow computer and on one that has much else to do.
 */
const STEP_WORK = 1_000_000;
/** The most work of one search. */
const MOST_WORK = 500 * STEP_WORK;
/** The work of comparing one character with a word that has wildcards. */
const COMPARE_WORK = 4;
/** The work of one `indexOf` from hit to hit, or of a name that fits. A name of a new sheet is twice this. */
const NAME_WORK = 60;
/** The work of reading one record, or of a content that may be among the best. */
const RECORD_WORK = 400;
/** The work of putting a content on the page. */
const PAGE_WORK = 5000;
/** The UTF-16 units that `indexOf` reads in a nanosecond. */
const UNITS_READ = 4;

/** The names of some contents as a search reads them. The names of one content are neighbours. */
interface Sheet<Item extends object> {
  /** All names, joined. */
  readonly text: string;
  /** Where each name begins in the text, and where the one after the last would. */
  readonly starts: number[];
  readonly titles: Title<Item>[];
  /** The number and the score of each title's content. They are here because contents are far apart in memory. */
  readonly owners: number[];
  readonly scores: number[];
}

function sheetOf<Item extends object>(contents: Iterable<Content<Item>>): Sheet<Item> {
  const titles: Title<Item>[] = [];
  const starts = [0];
  const owners: number[] = [];
  const scores: number[] = [];
  let owner = 0;
  let end = 0;
  for (const content of contents) {
    const score = scoreOf(content);
    for (const title of eachOf(content.titles)) {
      titles.push(title);
      owners.push(owner);
      scores.push(score);
      end += title.name.length + SEPARATOR.length;
      starts.push(end);
    }
    owner += 1;
  }
  return { text: titles.map(({ name }) => name).join(SEPARATOR), starts, titles, owners, scores };
}

function scoreOf({ key, hosts, newest }: Content<object>): number {
  return (key === undefined ? 0 : VERIFIED) + Math.min(sizeOf(hosts), MOST_HOSTS) * HOST + newest;
}

/** Some contents. They stay in their block, so that a search finds each once while others come and go. */
interface Block<Item extends object> {
  readonly contents: Set<Content<Item>>;
  /** Made by the first search after a change, because many records may come and go between two searches. */
  sheet: Sheet<Item> | undefined;
}

/** The index: records come, go, and are found. */
export class FindIndex<Item extends Findable<Item>> {
  readonly #blocks = new Set<Block<Item>>();
  /** The blocks that have room. */
  readonly #roomy = new Set<Block<Item>>();
  /** The contents whose root is known, by their keys. */
  readonly #contents = new Map<string, Content<Item>>();
  readonly #hostOf: (item: Item) => string;
  readonly #now: () => number;

  /** `hostOf`: the host of a record's holder. `now`: milliseconds since 1970. */
  constructor(hostOf: (item: Item) => string, now: () => number) {
    this.#hostOf = hostOf;
    this.#now = now;
  }

  /** Different contents whose root is known. */
  get contents(): number {
    return this.#contents.size;
  }

  /** Adds a record, unless it is here. */
  add(item: Item): void {
    if (item.title !== undefined) return;
    const key = item.root === undefined ? undefined : `${item.root} ${item.size}`;
    const content = this.#contents.get(key ?? "") ?? this.#open(key);
    const name = fold(item.name);
    const title = oneOf(content.titles, name, nameOf) ?? { name, content, records: undefined };
    if (title.records === undefined) content.titles = withOne(content.titles, title, nameOf);
    title.records = withOne(title.records, item);
    item.title = title;
    content.newest = Math.max(content.newest, this.#newnessOf(item.modified));
    this.#count(content, item, 1);
  }

  /** Takes a record out, if it is here. */
  remove(item: Item): void {
    const { title } = item;
    if (title === undefined) return;
    const { content } = title;
    item.title = undefined;
    title.records = withoutOne(title.records, item);
    if (title.records === undefined) content.titles = withoutOne(content.titles, title, nameOf);
    this.#count(content, item, -1);
    if (content.titles === undefined) this.#close(content);
  }

  #count(content: Content<Item>, item: Item, by: 1 | -1): void {
    content.block.sheet = undefined;
    if (item.part) return;
    content.holders += by;
    content.hosts = counted(content.hosts, this.#hostOf(item), by);
  }

  /** A time of modification as it counts here. Seconds since 1970. */
  #newnessOf(time: string): number {
    const now = Math.floor(this.#now() / 1000);
    const seconds = Math.min(Math.max(0, Math.floor(Date.parse(time) / 1000) || 0), HOST - 1);
    return seconds > now + FAST_CLOCK_S ? 0 : Math.min(seconds, now);
  }

  #open(key: string | undefined): Content<Item> {
    const [block = { contents: new Set<Content<Item>>(), sheet: undefined }] = this.#roomy;
    const content = { key, block, titles: undefined, holders: 0, hosts: undefined, newest: 0 };
    block.contents.add(content);
    this.#blocks.add(block);
    if (block.contents.size < BLOCK) this.#roomy.add(block);
    else this.#roomy.delete(block);
    if (key !== undefined) this.#contents.set(key, content);
    return content;
  }

  #close(content: Content<Item>): void {
    const { key, block } = content;
    block.contents.delete(content);
    this.#roomy.add(block);
    if (key !== undefined) this.#contents.delete(key);
  }

  /**
   * Finds a page in steps of about a millisecond; `among`: only of these records. Throws a `ProtocolError` when the search would
   * take too long. Records may come and go between two steps: each that stays is found once, one that comes may be found.
   */
  *steps(wish: Wish, among?: Iterable<Item>): Generator<undefined, FoundPage<Item>> {
    const search = new Search<Item>(wish);
    const contents = among && new Set([...among].flatMap(({ title }) => title?.content ?? []));
    const blocks = contents === undefined ? this.#blocks : [{ contents, sheet: undefined }];
    for (const block of blocks) {
      if (block.sheet === undefined) {
        block.sheet = sheetOf(block.contents);
        search.spend(block.sheet.titles.length * 2 * NAME_WORK);
      }
      yield* search.read(block.sheet);
    }
    return yield* search.page();
  }
}

function nameOf({ name }: Title<object>): string {
  return name;
}

/** A content that fits. */
interface Hit<Item extends object> {
  /** Its place in the order: rank and score as one number. Of equal ones, the best title decides. */
  key: number;
  /** Its best title. */
  title: Title<Item>;
  /** Its records that fit; 1 when grouped. */
  count: number;
}

function compareHits(one: Hit<object>, other: Hit<object>): number {
  if (one.key !== other.key) return other.key - one.key;
  if (one.title.name === other.title.name) return 0;
  return one.title.name < other.title.name ? -1 : 1;
}

/** A word, and the first place of its needle that is not before the name that the search reads. */
interface Scan extends Word {
  place: number;
}

/** Where a search is in a sheet, and the content that it reads there. */
interface Reader<Item extends object> {
  at: number;
  owner: number;
  hit: Hit<Item> | undefined;
}

/** One search while it goes on. */
class Search<Item extends Findable<Item>> {
  readonly #wish: Wish;
  /** The words. Those that are usually in few names come first. */
  readonly #scans: Scan[];
  /** The first word without wildcards. It decides the rank of a name. */
  readonly #lead: Scan | undefined;
  /** All words without wildcards, joined. */
  readonly #plain: string;
  /** A name ends with one of these, such as ".pdf". */
  readonly #endings: string[] | undefined;
  readonly #passes: ((item: Item) => boolean) | undefined;
  #work = 0;
  /** The work after which this step ends. */
  #stepEnd = STEP_WORK;
  /** The offset of the page plus its limit. */
  readonly #needed: number;
  /** The number of contents that the search puts in exact order. */
  readonly #most: number;
  /** The best hits: a sorted part, then later hits. When the sorted part is full, a hit that is no better than its last one is not added. */
  readonly #best: Hit<Item>[] = [];
  #worst: Hit<Item> | undefined;
  /** A hit with a lower key is not among the best. */
  #floor = 0;
  /** All hits in the order in which they were read, as far as the page needs them. */
  readonly #read: Hit<Item>[] = [];
  #total = 0;

  constructor(wish: Wish) {
    const scans = parseWords(wish.words).map((word) => ({ ...word, place: -1 }));
    const plain = scans.filter(({ isWild, excludes }) => !isWild && !excludes);
    const use = ({ excludes, needle }: Word) => (excludes ? -1 : needle.length);
    this.#wish = wish;
    this.#scans = scans.toSorted((a, b) => use(b) - use(a));
    this.#lead = plain[0];
    this.#plain = plain.map(({ text }) => text).join(" ");
    this.#endings = wish.ext?.filter((one) => !one.includes(".")).map((one) => `.${fold(one)}`);
    this.#passes = filterOf(wish);
    this.#needed = wish.offset + wish.limit;
    this.#most = Math.min(this.#needed, ORDERED);
  }

  /** Counts work. A search may do a limited amount of it. */
  spend(work: number): void {
    this.#work += work;
    if (this.#work <= MOST_WORK) return;
    throw new ProtocolError("bad-find", "Too many names would have to be read; use longer words, or fewer wildcards.");
  }

  /** Takes in the contents of a sheet that fit. */
  *read(sheet: Sheet<Item>): Generator<undefined, void> {
    const reader: Reader<Item> = { at: 0, owner: -1, hit: undefined };
    for (const scan of this.#scans) scan.place = -1;
    while (!this.#readOn(sheet, reader)) {
      yield;
      this.#stepEnd = this.#work + STEP_WORK;
    }
    this.#take(reader.hit);
  }

  /** Reads to the end of this step, or of the sheet: then it says true. Not part of `read`, because generators are slow. */
  #readOn(sheet: Sheet<Item>, reader: Reader<Item>): boolean {
    const { titles, owners, scores } = sheet;
    while (reader.at < titles.length) {
      if (this.#work >= this.#stepEnd) return false;
      const { at } = reader;
      const next = this.#fitting(sheet, at);
      const title = titles[at];
      reader.at = Math.max(next, at + 1);
      const count = next === at && title !== undefined ? this.#countOf(title) : 0;
      if (title === undefined || count === 0) continue;
      const hit = { key: this.#keyOf(sheet, at, scores[at] ?? 0), title, count };
      const owner = owners[at] ?? -1;
      if (owner !== reader.owner) this.#take(reader.hit);
      else if (reader.hit !== undefined) {
        hit.count = this.#wish.group ? 1 : reader.hit.count + count;
        if (compareHits(reader.hit, hit) < 0) Object.assign(hit, { key: reader.hit.key, title: reader.hit.title });
      }
      reader.owner = owner;
      reader.hit = hit;
    }
    return true;
  }

  /** The place of a name if that fits; else a place behind it, before which no other name fits. */
  #fitting({ text, starts }: Sheet<Item>, at: number): number {
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
    this.spend(NAME_WORK + (scan.place - from) / UNITS_READ);
  }

  #fits(scan: Scan, text: string, start: number, end: number): boolean {
    const before = scan.compared;
    const does = fits(text, start, end, scan);
    this.spend((scan.compared - before) * COMPARE_WORK);
    return does;
  }

  /** How many records of a title pass the filters; 1 stands for any number when grouped. */
  #countOf(title: Title<Item>): number {
    const passes = this.#passes;
    const { group } = this.#wish;
    this.spend(NAME_WORK);
    // Titles are far apart in memory, so they are not read in vain.
    if (passes === undefined) return group ? 1 : sizeOf(title.records);
    let count = 0;
    for (const item of eachOf(title.records)) {
      this.spend(RECORD_WORK);
      if (passes(item)) count += 1;
      if (count > 0 && group) break;
    }
    return count;
  }

  /**
   * The rank of a name, with the score. 3: the name is the plain words; 2: it begins with the first of them; 1: a word of it does;
   * 0: it is somewhere.
   */
  #keyOf({ text, starts }: Sheet<Item>, at: number, score: number): number {
    if (this.#lead === undefined) return score;
    let { place } = this.#lead;
    const start = starts[at] ?? 0;
    const end = (starts[at + 1] ?? 0) - SEPARATOR.length;
    if (place === start)
      return score + (end - start === this.#plain.length && text.startsWith(this.#plain, start) ? 3 : 2) * RANK;
    // To find the exact rank takes longer.
    if (score + RANK < this.#floor) return score;
    const { needle } = this.#lead;
    while (place >= 0 && place < end && !beginsAt(text, place)) place = text.indexOf(needle, place + 1);
    return place >= 0 && place < end ? score + RANK : score;
  }

  /** Takes in a content whose names have been read. */
  #take(hit: Hit<Item> | undefined): void {
    if (hit === undefined) return;
    this.#total += hit.count;
    const isRead = this.#needed > this.#most && this.#read.length < this.#needed + ORDERED;
    if (!isRead && hit.key < this.#floor) return;
    this.spend(RECORD_WORK);
    if (isRead) this.#read.push(hit);
    if (this.#worst !== undefined && compareHits(hit, this.#worst) >= 0) return;
    this.#best.push(hit);
    if (this.#best.length > 2 * this.#most) this.#cut();
  }

  /** Puts the best in order and forgets the others. */
  #cut(): void {
    const best = this.#best.sort(compareHits);
    best.length = Math.min(best.length, this.#most);
    if (best.length === this.#most) this.#worst = best.at(-1);
    this.#floor = this.#worst?.key ?? 0;
  }

  /** The page, from what was read. */
  *page(): Generator<undefined, FoundPage<Item>> {
    const { offset, limit, group } = this.#wish;
    this.#cut();
    const best = new Set(this.#best);
    const contents: FoundPage<Item>["contents"] = [];
    let skip = offset;
    let room = limit;
    for (const hits of [best, this.#read]) {
      for (const hit of hits) {
        if (room <= 0) break;
        if (hits !== best && best.has(hit)) continue;
        if (skip >= hit.count) {
          skip -= hit.count;
          continue;
        }
        this.spend(PAGE_WORK);
        if (this.#work >= this.#stepEnd) {
          this.#stepEnd = this.#work + STEP_WORK;
          yield;
        }
        const items = this.#itemsOf(hit.title).slice(skip, group ? skip + 1 : skip + room);
        skip = 0;
        room -= items.length;
        if (items.length > 0) contents.push({ items, holders: hit.title.content.holders });
      }
    }
    return { contents, total: this.#total };
  }

  /** The records of a content that fit: whole ones first, and those of the best title before others. */
  #itemsOf(best: Title<Item>): Item[] {
    const wholes: Item[] = [];
    const parts: Item[] = [];
    for (const { records } of [best, ...this.#othersOf(best)]) {
      for (const item of eachOf(records)) {
        if (this.#passes?.(item) === false) continue;
        if (item.part) parts.push(item);
        else wholes.push(item);
        if (this.#wish.group && !item.part) return wholes;
      }
    }
    return [...wholes, ...parts];
  }

  /** The other titles of a content that fit. Most contents have only one. */
  #othersOf(best: Title<Item>): Title<Item>[] {
    if (sizeOf(best.content.titles) < 2) return [];
    const sheet = sheetOf([best.content]);
    for (const scan of this.#scans) scan.place = -1;
    return sheet.titles.filter((title, at) => title !== best && this.#fitting(sheet, at) === at);
  }
}
