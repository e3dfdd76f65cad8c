// Indexes the tracker's records, and finds those that fit the words and filters of a FIND, best first. Knows no peers and no protocol.
//
// There is no index of words. The folded names lie in blocks, each with its names joined to one string, and a search reads them
// all: one `indexOf` after the other, from hit to hit. To look into each name by itself would be simpler, and takes 110 ms for
// 600,000 names, which are those of a million records. Joined, they take 4 ms for a word in none of them and 25 ms for one in all.

import { ProtocolError } from "../error.ts";
import type { Wish } from "../protocol/messages.ts";
import {
  counted,
  countOf,
  eachOf,
  type Few,
  type FewNamed,
  named,
  type Tally,
  withNamed,
  withOne,
  withoutNamed,
  withoutOne,
} from "./few.ts";
import { beginsAt, fits, fold, parseWords, type Word } from "./words.ts";

/** A record as the index uses it. */
export interface Findable<Item extends object> {
  readonly name: string;
  /** MIME type. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Last modification, ISO 8601 or `YYYY-MM-DD`. */
  readonly modified: string;
  /** The content's id; undefined while it is not known. */
  readonly root?: string | undefined;
  /** Its holder is still fetching it. */
  readonly part?: boolean | undefined;
  /** Where the index has the record. Only the index sets this. */
  title?: Title<Item> | undefined;
}

/** One content under one folded name, with the records of it. */
interface Title<Item extends object> {
  readonly name: string;
  readonly content: Content<Item>;
  /** Titles that came later have higher numbers. */
  readonly number: number;
  records: Few<Item> | undefined;
  /** How many records it has. */
  count: number;
  /** The block that has its name, and the place there. */
  block: Block<Item>;
  at: number;
}

/** The records of one root and size, or one record whose root is not known. */
interface Content<Item extends object> {
  /** Its key among the contents; undefined when its root is not known. */
  readonly key: string | undefined;
  readonly size: number;
  titles: FewNamed<Title<Item>> | undefined;
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

/** The most names in a block. */
const BLOCK = 1024;
/** Stands between the names of a block. A search also finds a name that has one in it. */
const SEPARATOR = "\n";
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

/** Stands for the score of a content with several titles. The search ranks it after it has read all its titles. */
const SEVERAL = -1;

/** The most work of one search, in characters read by `indexOf`. It takes less than a second. */
const MOST_WORK = 1_000_000_000;

/** The work of comparing a name with a word, for each character of the name. */
const COMPARE_COST = 4;
/** The work that each character of the word adds to COMPARE_COST. */
const COMPARE_COST_EACH = 3;
/** The work of a title that fits. */
const TAKE_COST = 200;
/** The work of one step of a search. After it others may have their turn. */
const STEP_WORK = 500_000;
/** The hits of a page that take as long as one step. */
const STEP_HITS = 64;

/** Stands for the score of a title without records, whose place waits for another title. */
const GONE = -2;

/** Some titles with their names in one string. */
class Block<Item extends object> {
  readonly titles: Title<Item>[] = [];
  /** The score of each title's content, or SEVERAL. It is here because contents are far apart in memory. */
  readonly scores: number[] = [];
  /** Where each name begins in the text, and where the one after the last would. */
  readonly starts: number[] = [];
  #text: string | undefined;

  /** All names, joined. It is made when somebody asks, because many names may come and go between two searches. */
  get text(): string {
    if (this.#text !== undefined) return this.#text;
    let start = 0;
    this.starts.length = 0;
    for (const { name } of this.titles) {
      this.starts.push(start);
      start += name.length + SEPARATOR.length;
    }
    this.starts.push(start);
    this.#text = this.titles.map(({ name }) => name).join(SEPARATOR);
    return this.#text;
  }

  set(at: number, title: Title<Item>): void {
    this.titles[at] = title;
    this.#text = undefined;
  }

  pop(): Title<Item> | undefined {
    this.#text = undefined;
    return this.titles.pop();
  }
}

/** The index: records come, go, and are found. */
export class FindIndex<Item extends Findable<Item>> {
  /** Only the last block may have room. */
  readonly #blocks: Block<Item>[] = [];
  /** The contents whose root is known. */
  readonly #contents = new Map<string, Content<Item>>();
  #titles = 0;
  /** Searches between two of their steps. While there are any, titles keep their places. */
  #searches = 0;
  /** The titles without records whose places are to be filled then. */
  readonly #gone: Title<Item>[] = [];
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
    const content = this.#contentOf(item);
    this.#count(content, item, 1);
    content.newest = Math.max(content.newest, this.#newnessOf(item.modified));
    const name = fold(item.name);
    const title = named(content.titles, name) ?? this.#open(content, name);
    title.records = withOne(title.records, item);
    title.count += 1;
    item.title = title;
    rate(content, title);
  }

  /** Takes a record out, if it is here. */
  remove(item: Item): void {
    const { title } = item;
    if (title === undefined) return;
    const { content } = title;
    item.title = undefined;
    title.records = withoutOne(title.records, item);
    title.count -= 1;
    this.#count(content, item, -1);
    if (title.count === 0) this.#close(title);
    rate(content, title.count === 0 ? undefined : title);
  }

  #count(content: Content<Item>, item: Item, by: 1 | -1): void {
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

  /**
   * Finds a page in steps of about a millisecond; `among`: only of these records. Throws a `ProtocolError` when the search would
   * take too long. Records may come and go between two steps: each that stays is found once, one that comes may be found, and the total may
   * count a content twice that gets a second name. A caller that does not go on must call `return`.
   */
  *steps(wish: Wish, among?: Iterable<Item>): Generator<undefined, FoundPage<Item>> {
    const search = new Search<Item>(wish);
    this.#searches += 1;
    try {
      for (const block of among === undefined ? this.#blocks : [blockOf(among)]) yield* search.read(block);
      return yield* search.page();
    } finally {
      this.#searches -= 1;
      if (this.#searches === 0) for (const title of this.#gone.splice(0)) this.#fill(title);
    }
  }

  /** The key of most contents is the root, which is a text that the record has anyway. Another size of a root has a longer key. */
  #contentOf({ root, size }: Item): Content<Item> {
    if (root === undefined) return { key: undefined, size, titles: undefined, holders: 0, hosts: undefined, newest: 0 };
    const first = this.#contents.get(root);
    const known = first?.size === size ? first : this.#contents.get(`${root} ${size}`);
    if (known !== undefined) return known;
    const key = first === undefined ? root : `${root} ${size}`;
    const content = { key, size, titles: undefined, holders: 0, hosts: undefined, newest: 0 };
    this.#contents.set(key, content);
    return content;
  }

  /** Makes a title for a name that is new in its content, in the last block. */
  #open(content: Content<Item>, name: string): Title<Item> {
    let block = this.#blocks.at(-1);
    if (block === undefined || block.titles.length === BLOCK) {
      block = new Block();
      this.#blocks.push(block);
    }
    const at = block.titles.length;
    const title = { name, content, number: this.#titles++, records: undefined, count: 0, block, at };
    content.titles = withNamed(content.titles, title);
    block.set(at, title);
    return title;
  }

  /** Takes a title out that has no records. */
  #close(title: Title<Item>): void {
    const { name, content, block, at } = title;
    content.titles = withoutNamed(content.titles, name);
    if (content.titles === undefined && content.key !== undefined) this.#contents.delete(content.key);
    block.scores[at] = GONE;
    if (this.#searches > 0) this.#gone.push(title);
    else this.#fill(title);
  }

  /** Moves the last title of all to the place of one without records, so that no block has a hole. */
  #fill({ block, at }: Title<Item>): void {
    const last = this.#blocks.at(-1);
    const moved = last?.pop();
    if (last?.titles.length === 0) this.#blocks.pop();
    if (moved === undefined || (moved.block === block && moved.at === at)) return;
    block.scores[at] = moved.block.scores[moved.at] ?? GONE;
    moved.block = block;
    moved.at = at;
    block.set(at, moved);
  }
}

/** The titles of some records. */
function blockOf<Item extends Findable<Item>>(items: Iterable<Item>): Block<Item> {
  const block = new Block<Item>();
  for (const title of new Set(Array.from(items, (item) => item.title))) {
    if (title === undefined) continue;
    block.scores.push(title.block.scores[title.at] ?? SEVERAL);
    block.set(block.titles.length, title);
  }
  return block;
}

/** Writes the score of a changed content beside its titles. If it has more than two, all but `changed` have SEVERAL already. */
function rate<Item extends object>(content: Content<Item>, changed: Title<Item> | undefined): void {
  const { titles } = content;
  const several = titles instanceof Map;
  const score = several ? SEVERAL : scoreOf(content);
  for (const title of !several ? [titles] : titles.size > 2 ? [changed] : titles.values()) {
    if (title !== undefined) title.block.scores[title.at] = score;
  }
}

function scoreOf({ key, hosts, newest }: Content<object>): number {
  return (key === undefined ? 0 : VERIFIED) + Math.min(countOf(hosts), MOST_HOSTS) * HOST + newest;
}

/** A content that fits, with its titles that fit. */
interface Hit<Item extends object> {
  /** Its place in the order: rank and score as one number, and for equal ones the best title. */
  readonly key: number;
  readonly title: Title<Item>;
  /** The titles after the best one. */
  readonly others: Title<Item>[];
}

function compareHits({ key, title }: Hit<object>, other: Hit<object>): number {
  if (key !== other.key) return other.key - key;
  if (title.name !== other.title.name) return title.name < other.title.name ? -1 : 1;
  return title.number - other.title.number;
}

/** One search while it goes on. */
class Search<Item extends Findable<Item>> {
  readonly #wish: Wish;
  /** The search reads only names that have this in them; "": all names. */
  readonly #needle: string;
  /** The words that a name with the needle is compared with. */
  readonly #words: Word[];
  /** The words without wildcards. The first one decides the rank of a name. */
  readonly #plain: string[];
  /** The first UTF-16 unit of the first plain word; -1 if there is none. */
  readonly #first: number;
  /** The length of a name that consists of the plain words. */
  readonly #exact: number;
  /** A name ends with one of these, such as ".pdf". It is compared in the block, where it is near; records are far apart. */
  readonly #endings: string[] | undefined;
  readonly #passes: ((item: Item) => boolean) | undefined;
  #work = 0;
  /** The work after which this step ends. */
  #stepEnd = STEP_WORK;
  /** The next position of the needle in the block. A position before the current title means: not searched yet. */
  #place = -1;
  /** The offset of the page plus its limit. */
  readonly #needed: number;
  /** The number of contents that the search puts in exact order. */
  readonly #most: number;
  /** The best hits: a sorted part, then later hits. When the sorted part is full, a hit that is worse than its last one is not added. */
  readonly #best: Hit<Item>[] = [];
  #worst: Hit<Item> | undefined;
  #floor = 0;
  /** The hits in the order in which they were read, as far as the page needs them. */
  readonly #read: Hit<Item>[] = [];
  /** The contents with several titles, each with its titles that fit. */
  readonly #several = new Map<Content<Item>, Hit<Item>[]>();
  #total = 0;

  constructor(wish: Wish) {
    const words = parseWords(wish.words);
    const wanted = words.filter((word) => !word.excludes);
    // A long needle is usually in few names.
    const [longest] = wanted.toSorted((a, b) => b.needle.length - a.needle.length);
    const needle = longest?.needle ?? "";
    this.#wish = wish;
    this.#needle = needle.includes(SEPARATOR) ? "" : needle;
    this.#words = words.filter((word) => word !== longest || word.isWild || this.#needle === "");
    this.#plain = wanted.filter(({ isWild }) => !isWild).map(({ text }) => text);
    this.#first = this.#plain[0]?.charCodeAt(0) ?? -1;
    this.#exact = this.#plain.join(" ").length;
    this.#endings = wish.ext?.filter((one) => !one.includes(".")).map((one) => `.${fold(one)}`);
    this.#passes = filterOf(wish);
    this.#needed = wish.offset + wish.limit;
    this.#most = Math.min(this.#needed, ORDERED);
  }

  /** Takes in the hits of one block. Titles may come between two steps, behind all others. */
  *read(block: Block<Item>): Generator<undefined, void> {
    const { titles, text, starts } = block;
    this.#spend(titles.length + text.length);
    this.#place = -1;
    for (let at = this.#next(block, 0); at < titles.length; at = this.#next(block, at + 1)) {
      if (this.#work >= this.#stepEnd) {
        this.#stepEnd = this.#work + STEP_WORK;
        yield;
      }
      const start = starts[at] ?? 0;
      const end = (starts[at + 1] ?? 0) - SEPARATOR.length;
      if (this.#endings !== undefined && !endsWithOne(text, end, this.#endings)) continue;
      if (this.#words.length === 0 || this.#fits(text, start, end)) this.#take(block, at, start, end);
    }
  }

  /** The first title from a place on whose name has the needle; behind the last when there is none. */
  #next({ titles, text, starts }: Block<Item>, from: number): number {
    if (this.#needle === "" || from >= titles.length) return from;
    let at = from;
    if (this.#place < (starts[at] ?? 0)) this.#place = text.indexOf(this.#needle, starts[at]);
    const place = this.#place;
    if (place < 0) return titles.length;
    while ((starts[at + 1] ?? 0) <= place) at += 1;
    return at;
  }

  /** Takes in a title whose name fits, as far as its records do. */
  #take({ titles, scores, text }: Block<Item>, at: number, start: number, end: number): void {
    const { group } = this.#wish;
    const title = titles[at];
    const score = scores[at] ?? GONE;
    if (title === undefined || score === GONE) return;
    this.#spend(TAKE_COST);
    const count = this.#passes !== undefined ? this.#countOf(title) : group ? 1 : title.count;
    if (count === 0) return;
    if (score === SEVERAL) {
      const hits = this.#several.get(title.content) ?? [];
      hits.push({ key: this.#rank(title.name), title, others: [] });
      this.#several.set(title.content, hits);
      if (!group) this.#total += count;
      return;
    }
    this.#total += group ? 1 : count;
    // The score alone may tell that this is not among the best; the rank takes longer to find out.
    const first = this.#first;
    const mostRank = first < 0 ? 0 : text.charCodeAt(start) !== first ? 1 : end - start === this.#exact ? 3 : 2;
    if (this.#needed === this.#most && mostRank * RANK + score < this.#floor) return;
    this.#offer({ key: this.#rank(title.name) * RANK + score, title, others: [] });
  }

  /** The page, from the blocks that were read. */
  *page(): Generator<undefined, FoundPage<Item>> {
    const { offset, limit, group } = this.#wish;
    if (group) this.#total += this.#several.size;
    let hits = 0;
    for (const [content, titles] of this.#several) {
      if (++hits % STEP_HITS === 0) yield;
      const [best, ...others] = titles.sort(compareHits);
      if (best === undefined) continue;
      this.#offer({ ...best, key: best.key * RANK + scoreOf(content), others: others.map(({ title }) => title) });
    }
    this.#cut();
    yield;
    const seen = new Set<Content<Item>>();
    const contents: FoundPage<Item>["contents"] = [];
    let skip = offset;
    let room = limit;
    for (const list of [this.#best, this.#read]) {
      for (const { title, others } of list) {
        if (room <= 0) break;
        if (++hits % STEP_HITS === 0) yield;
        // The best are among those that were read. And a content that got a second name since its first one was read is here twice.
        if (seen.has(title.content)) continue;
        seen.add(title.content);
        const all = this.#itemsOf([title, ...others]).slice(0, group ? 1 : undefined);
        const items = all.slice(skip, skip + room);
        skip = Math.max(0, skip - all.length);
        room -= items.length;
        if (items.length > 0) contents.push({ items, holders: title.content.holders });
      }
    }
    return { contents, total: this.#total };
  }

  /** Whether the name from `start` to `end` fits the words that it is to be compared with. */
  #fits(text: string, start: number, end: number): boolean {
    for (const word of this.#words) {
      this.#spend((end - start) * (COMPARE_COST + word.pattern.length * COMPARE_COST_EACH));
      if (fits(text, start, end, word) === word.excludes) return false;
    }
    return true;
  }

  #spend(work: number): void {
    this.#work += work;
    if (this.#work <= MOST_WORK) return;
    throw new ProtocolError("bad-find", "Too many names would have to be read; use longer words, or fewer wildcards.");
  }

  /** 3: the name is the plain words; 2: it begins with the first of them; 1: a word of it does; 0: it is somewhere. */
  #rank(name: string): number {
    const [lead] = this.#plain;
    if (lead === undefined) return 0;
    if (name.startsWith(lead)) return name === this.#plain.join(" ") ? 3 : 2;
    let place = name.indexOf(lead);
    while (place >= 0 && !beginsAt(name, place)) place = name.indexOf(lead, place + 1);
    return place < 0 ? 0 : 1;
  }

  #offer(hit: Hit<Item>): void {
    if (this.#needed > this.#most && this.#read.length < this.#needed + ORDERED) this.#read.push(hit);
    if (this.#worst !== undefined && compareHits(hit, this.#worst) > 0) return;
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

  /** How many records of a title pass the filters. */
  #countOf({ records }: Title<Item>): number {
    const passes = this.#passes;
    if (passes === undefined || records === undefined) return 0;
    if (!(records instanceof Set)) return passes(records) ? 1 : 0;
    let count = 0;
    for (const item of records) if (passes(item)) count += 1;
    return count;
  }

  /** The records of titles that pass the filters, whole ones first. */
  #itemsOf(titles: Title<Item>[]): Item[] {
    const items = titles.flatMap(({ records }) => [...eachOf(records)]);
    const passing = this.#passes === undefined ? items : items.filter(this.#passes);
    if (!passing.some(({ part }) => part)) return passing;
    return [...passing.filter(({ part }) => !part), ...passing.filter(({ part }) => part)];
  }
}

/** Tells whether a record passes the filters but that on extensions; undefined when there are none. */
function filterOf<Item extends Findable<Item>>(wish: Wish): ((item: Item) => boolean) | undefined {
  const { type, min = 0, max = Number.POSITIVE_INFINITY, after = "", before = "" } = wish;
  if (type === undefined && min === 0 && wish.max === undefined && after + before === "") return undefined;
  const kind = type?.toLowerCase() ?? "";
  const last = before === "" ? "~" : `${before}~`;
  return ({ type, size, modified }) => {
    if (size < min || size > max || (kind !== "" && !type.toLowerCase().startsWith(kind))) return false;
    // Times compare as texts. All times of the last day are before its text with a "~": "2026-11-22T10:04" < "2026-11-22~".
    return modified >= after && modified <= last;
  };
}

/** Whether the text before a place ends with one of some texts. */
function endsWithOne(text: string, end: number, endings: string[]): boolean {
  return endings.some((ending) => text.endsWith(ending, end));
}
