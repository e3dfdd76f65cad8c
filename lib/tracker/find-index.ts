// The index of the tracker's records: by content and folded name, joined to texts that a search can read. Knows no words.
//
// There is no index of words. The folded names lie in blocks, each with its names joined to one text, and a search reads all texts:
// one `indexOf` after the other, from hit to hit. To look into each name by itself would be simpler, and takes 110 ms for
// 600,000 names, which are those of a million records. Joined, they take 4 ms for a word in none of them and 25 ms for one in all.
//
// A word of one letter is in most names. To go from hit to hit and read there whether a word of the name begins takes 40 to 90 ms
// for these names, and two such words take as long again. So a sheet keeps the letters of each name as bits: 25 ms, for two as well.

import { FOLDER_TYPE } from "../protocol/folder.ts";
import {
  counted,
  countIn,
  eachOf,
  type Few,
  oneOf,
  putIn,
  sizeOf,
  type Tally,
  takeFrom,
  withOne,
  withoutOne,
} from "./compact/few.ts";
import type { Columns } from "./find-columns.ts";
import type { Filtered } from "./fit.ts";
import { beginsAt, fold } from "./words.ts";

/** A record as the index uses it. */
export interface Findable<Item extends object> extends Filtered {
  readonly name: string;
  /** The content's id; undefined while it is not known. */
  readonly root?: string | undefined;
  /** Its holder is still fetching it. */
  readonly part?: boolean | undefined;
  /** Its holder, with all records that are of it. Without one, no other record is of the same holder. */
  readonly holder?: { readonly records: Few<Item> | undefined };
  /** Where the index has the record. Only the index sets this. */
  title?: Title<Item> | undefined;
}

/** One content under one folded name. */
export interface Title<Item extends object> {
  readonly name: string;
  readonly content: Content<Item>;
  records: Few<Item> | undefined;
}

/** The records of one root, size and form, or one record whose root is not known. */
export interface Content<Item extends object> {
  /** Undefined when it is not known. */
  readonly root: string | undefined;
  /** Tells the contents of one root apart, as `keyIn` says. */
  readonly key: number;
  readonly block: Block<Item>;
  titles: Few<Title<Item>> | undefined;
  /** The holders that have the whole of it. One that has it under two names counts once. */
  holders: number;
  /** The hosts of these records. One host can invent peers, so the order goes by hosts. */
  hosts: Tally;
  /** The newest time of modification that a record of it had since it is here, if that was not in the future. Seconds since 1970. */
  newest: number;
}

/** The most contents in a block. */
const BLOCK = 1024;
/** Stands between the names of a sheet. No folded name or word has a capital letter. */
export const SEPARATOR = "A";
/** The 32 characters that are in most names: one for each bit of a number. */
const LETTERS = "abcdefghijklmnopqrstuvwxyz.01234";
const BITS = new Uint32Array(128);
for (let i = 0; i < LETTERS.length; i++) BITS[LETTERS.charCodeAt(i)] = 1 << i;
/** Each score is below this. */
export const SCORE_LIMIT = 2 ** 51;
/** A content's score is its hosts times this, plus the seconds of its newest time. */
const HOST = 2 ** 33;
/** Added to the score of a content with a known root. Without a root, nobody can prove that a content is what its name says. */
const VERIFIED = SCORE_LIMIT / 2;
/** Hosts above this do not count in the score. */
const MOST_HOSTS = VERIFIED / HOST - 1;
/** The clocks of holders may be fast by this. A later time of modification does not count as new. Seconds. */
const FAST_CLOCK_S = 86_400;

/** The names of some contents as a search reads them. The names of one content are neighbours. */
export interface Sheet<Item extends object> {
  /** All names, joined. */
  readonly text: string;
  /** Where each name begins in the text, and where the one after the last would. */
  readonly starts: Uint32Array;
  readonly titles: Title<Item>[];
  /**
   * The number of each title's content, and the score of that. They are here because titles and contents are far apart in memory: to
   * compare two contents by `===` reads both.
   */
  readonly owners: Uint32Array;
  readonly scores: Float64Array;
  /** Those of `LETTERS` that each name has, and those with which a word of it begins: a bit for each. */
  readonly letters: Uint32Array;
  readonly initials: Uint32Array;
  /** Made by the first search with filters. */
  columns: Columns | undefined;
}

export function sheetOf<Item extends object>(contents: Iterable<Content<Item>>): Sheet<Item> {
  const titles: Title<Item>[] = [];
  for (const content of contents) for (const title of eachOf(content.titles)) titles.push(title);
  const text = titles.map(({ name }) => name).join(SEPARATOR);
  const starts = new Uint32Array(titles.length + 1);
  const owners = new Uint32Array(titles.length);
  const scores = new Float64Array(titles.length);
  const letters = new Uint32Array(titles.length);
  const initials = new Uint32Array(titles.length);
  let owner = -1;
  let before: Content<Item> | undefined;
  let unit = 0;
  for (const [at, { name, content }] of titles.entries()) {
    if (content !== before) owner += 1;
    before = content;
    owners[at] = owner;
    scores[at] = scoreOf(content);
    let some = 0;
    let first = 0;
    for (const end = unit + name.length; unit < end; unit++) {
      const bit = bitOf(text.charCodeAt(unit));
      some |= bit;
      if (bit !== 0 && beginsAt(text, unit)) first |= bit;
    }
    letters[at] = some;
    initials[at] = first;
    unit += SEPARATOR.length;
    starts[at + 1] = unit;
  }
  return { text, starts, titles, owners, scores, letters, initials, columns: undefined };
}

/** The bit of a UTF-16 unit that is one of `LETTERS`; 0 for all others. */
export function bitOf(unit: number): number {
  return BITS[unit] ?? 0;
}

function scoreOf({ root, hosts, newest }: Content<object>): number {
  return (root === undefined ? 0 : VERIFIED) + Math.min(sizeOf(hosts), MOST_HOSTS) * HOST + newest;
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
  /** The contents whose root is known, by root, and those of one root by their keys. A key of both would be a text more for each content. */
  readonly #byRoot = new Map<string, Few<Content<Item>>>();
  #known = 0;
  readonly #hostOf: (item: Item) => string;
  readonly #now: () => number;

  /** `hostOf`: the host of a record's holder. `now`: milliseconds since 1970. */
  constructor(hostOf: (item: Item) => string, now: () => number) {
    this.#hostOf = hostOf;
    this.#now = now;
  }

  /** Different contents whose root is known. */
  get contents(): number {
    return this.#known;
  }

  /** All records that are here lie in these. */
  get blocks(): Iterable<Block<Item>> {
    return this.#blocks;
  }

  /** The contents with this root. */
  contentsOf(root: string | undefined): Iterable<Content<Item>> {
    return eachOf(this.#byRoot.get(root ?? ""));
  }

  /** Adds a record, unless it is here. */
  add(item: Item): void {
    if (item.title !== undefined) return;
    const content = oneOf(this.#byRoot.get(item.root ?? ""), keyIn(item), keyOf) ?? this.#open(item);
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
    const host = this.#hostOf(item);
    const before = content.hosts;
    content.hosts = counted(before, host, by);
    const isOnlyOfHost = countIn(by === 1 ? before : content.hosts, host) === 0;
    if (isOnlyOfHost || !hasAnother(content, item)) content.holders += by;
  }

  /** A time of modification as it counts here. Seconds since 1970. */
  #newnessOf(time: string): number {
    const now = Math.floor(this.#now() / 1000);
    const seconds = Math.min(Math.max(0, Math.floor(Date.parse(time) / 1000) || 0), HOST - 1);
    return seconds > now + FAST_CLOCK_S ? 0 : Math.min(seconds, now);
  }

  #open(item: Item): Content<Item> {
    const { root } = item;
    const [block = { contents: new Set<Content<Item>>(), sheet: undefined }] = this.#roomy;
    const content = { root, key: keyIn(item), block, titles: undefined, holders: 0, hosts: undefined, newest: 0 };
    block.contents.add(content);
    this.#blocks.add(block);
    if (block.contents.size < BLOCK) this.#roomy.add(block);
    else this.#roomy.delete(block);
    if (root === undefined) return content;
    putIn(this.#byRoot, root, content, keyOf);
    this.#known += 1;
    return content;
  }

  #close(content: Content<Item>): void {
    const { root, block } = content;
    block.contents.delete(content);
    this.#roomy.add(block);
    if (root === undefined) return;
    takeFrom(this.#byRoot, root, content, keyOf);
    this.#known -= 1;
  }
}

/**
 * Whether the holder of a record has the whole of this content under another name, too. It looks through the records of the content and
 * those of the holder in turns, because either may be a hundred thousand.
 */
function hasAnother<Item extends Findable<Item>>(content: Content<Item>, item: Item): boolean {
  const { holder } = item;
  if (holder === undefined) return false;
  const all = Iterator.from(eachOf(content.titles)).flatMap(({ records }) => eachOf(records));
  for (const own of eachOf(holder.records)) {
    const { done, value } = all.next();
    if (done) return false;
    for (const one of [own, value]) {
      if (one !== item && one.holder === holder && !one.part && one.title?.content === content) return true;
    }
  }
  return false;
}

function nameOf({ name }: Title<object>): string {
  return name;
}

function keyOf({ key }: Content<object>): number {
  return key;
}

/** The size of a file; of a folder `-1 - size`, because its list may be shared as a file, too. */
function keyIn({ type, size }: Pick<Filtered, "type" | "size">): number {
  return type === FOLDER_TYPE ? -1 - size : size;
}
