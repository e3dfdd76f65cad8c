// The tracker's search index: which records fit words and filters, best first. A wildcard at one end of a word ties down its
// other end (`*.pdf` must reach the name's end, `report*` begin where a word of the name does); other words may stand anywhere.

import { ProtocolError } from "./error.ts";
import type { Wish } from "./message.ts";
import { byteLength, NAME_LIMIT } from "./record.ts";

/** What the index knows of a record; it must not change while it is in the index. */
export interface Findable {
  readonly name: string;
  /** MIME type. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Last modification, ISO 8601 or `YYYY-MM-DD`. */
  readonly modified: string;
  readonly root: string | undefined;
  /** Its holder is still fetching it. */
  readonly part: boolean;
}

export type FindWish = Wish;

/** Those records of one content that fit, whole ones first. */
export interface Content<Item> {
  items: Item[];
  /** How many have the whole of it, under whatever name. */
  holders: number;
}

const MAX_WORDS = 16;
const MAX_WILDCARDS = 8;

const ASCII = /^[\0-\x7f]*$/;

/** A name or a word as it is compared: without case, accents and compatibility forms; Hangul stays in syllables. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  const bare = text.normalize("NFKD").replace(/\p{M}+/gu, "");
  return bare
    .toLowerCase()
    .replace(/ß/g, "ss")
    .replace(/ς/g, "σ")
    .replace(/\p{M}+/gu, "")
    .normalize("NFC");
}

/** Whether a UTF-16 unit belongs to a word: letters and digits; beyond ASCII all but common punctuation and emoji. */
function isWordUnit(unit: number): boolean {
  if (unit < 0x80) return (unit >= 97 && unit <= 122) || (unit >= 48 && unit <= 57);
  if (unit < 0x2000) return unit >= 0xc0;
  return unit > 0x206f && !(unit >= 0x3000 && unit <= 0x303f) && !(unit >= 0xd800 && unit <= 0xdfff);
}

/** Whether something can begin here: not inside a word of the name. */
function begins(name: string, at: number): boolean {
  return at === 0 || !isWordUnit(name.charCodeAt(at - 1)) || !isWordUnit(name.charCodeAt(at));
}

function codePointEnd(name: string, at: number): number {
  return at + ((name.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
}

function codePointStart(name: string, end: number): number {
  return end >= 2 && (name.codePointAt(end - 2) ?? 0) > 0xffff ? end - 2 : end - 1;
}

/** Where a piece with `?` in it ends when it is laid at this place, or -1. */
function endFrom(name: string, piece: string, at: number): number {
  let place = at;
  for (let i = 0; i < piece.length; i++) {
    if (place >= name.length) return -1;
    if (piece[i] === "?") place = codePointEnd(name, place);
    else if (piece.charCodeAt(i) === name.charCodeAt(place)) place += 1;
    else return -1;
  }
  return place;
}

/** Where a piece with `?` in it begins when it ends at the name's end, or -1. */
function startAtEnd(name: string, piece: string): number {
  let place = name.length;
  for (let i = piece.length - 1; i >= 0; i--) {
    if (place <= 0) return -1;
    if (piece[i] === "?") place = codePointStart(name, place);
    else if (piece.charCodeAt(i) === name.charCodeAt(place - 1)) place -= 1;
    else return -1;
  }
  return place;
}

interface Word {
  /** Folded; with its wildcards. */
  readonly text: string;
  readonly excludes: boolean;
  /** What stands between the `*`; undefined for a plain word. */
  readonly pieces: string[] | undefined;
  /** Which of them have a `?`. */
  readonly loose: boolean[];
  /** The same in UTF-16 units, a `?` as ANY; one piece for a plain word. */
  readonly codes: number[][];
  readonly tied: "start" | "end" | undefined;
}

/** Stands for a `?` among units. */
const ANY = -1;

function codesOf(pieces: string[]): number[][] {
  return pieces.map((piece) => Array.from(piece.split(""), (unit) => (unit === "?" ? ANY : unit.charCodeAt(0))));
}

function parseWord(raw: string): Word | undefined {
  if (raw.length > NAME_LIMIT || byteLength(raw) > NAME_LIMIT) {
    throw new ProtocolError("bad-find", `A word to find is longer than ${NAME_LIMIT} bytes; use a shorter one.`);
  }
  const excludes = raw.length > 1 && raw.startsWith("-");
  const text = fold(excludes ? raw.slice(1) : raw);
  if (text === "") return undefined;
  const wildcards = text.replace(/[^*?]/g, "").length;
  if (wildcards > MAX_WILDCARDS) {
    throw new ProtocolError("bad-find", `The word "${raw}" has more than ${MAX_WILDCARDS} wildcards; use fewer.`);
  }
  if (wildcards === 0) return { text, excludes, pieces: undefined, loose: [], codes: codesOf([text]), tied: undefined };
  const [, inside] = /^\*+([^*?]+)\*+$/.exec(text) ?? [];
  if (inside !== undefined)
    return { text: inside, excludes, pieces: undefined, loose: [], codes: codesOf([inside]), tied: undefined };
  const opens = /^[*?]/.test(text);
  const closes = /[*?]$/.test(text);
  const pieces = text.split("*");
  const loose = pieces.map((piece) => piece.includes("?"));
  return {
    text,
    excludes,
    pieces,
    loose,
    codes: codesOf(pieces),
    tied: opens === closes ? undefined : opens ? "end" : "start",
  };
}

function parseWords(raw: string[]): Word[] {
  if (raw.length > MAX_WORDS) {
    throw new ProtocolError("bad-find", `${raw.length} words are too many to find at once; use at most ${MAX_WORDS}.`);
  }
  return raw.flatMap((one) => parseWord(one) ?? []);
}

/** Whether a folded name fits a word. Pieces are laid as far left as they go, so nothing is tried twice. */
function fits(name: string, { text, pieces, loose, tied }: Word): boolean {
  if (pieces === undefined) return name.includes(text);
  const last = tied === "end" ? (pieces.at(-1) ?? "") : "";
  const limit = tied === "end" ? startAtEnd(name, last) : name.length;
  if (limit < 0) return false;
  const count = tied === "end" ? pieces.length - 1 : pieces.length;
  let place = 0;
  for (let i = 0; i < count; i++) {
    const piece = pieces[i] ?? "";
    if (piece === "") continue;
    let end = -1;
    if (loose[i] !== true && !(i === 0 && tied === "start")) {
      const found = name.indexOf(piece, place);
      end = found < 0 ? -1 : found + piece.length;
    } else {
      for (let at = place; at < name.length && end < 0; at = codePointEnd(name, at)) {
        if (i === 0 && tied === "start" && !begins(name, at)) continue;
        end = endFrom(name, piece, at);
      }
    }
    if (end < 0 || end > limit) return false;
    place = end;
  }
  return true;
}

/** The same for a name of Latin-1 units that stands among others in a row of bytes; it is quicker than a string far away. */
function fitsBytes(bytes: Uint8Array, from: number, to: number, { codes, tied }: Word): boolean {
  let limit = to;
  let count = codes.length;
  if (tied === "end") {
    count -= 1;
    const last = codes[count] ?? [];
    limit -= last.length;
    if (limit < from || !isAt(bytes, limit, last)) return false;
  }
  let place = from;
  for (let i = 0; i < count; i++) {
    const piece = codes[i] ?? [];
    const end = limit - piece.length;
    const starts = tied === "start" && i === 0;
    const first = piece[0] ?? ANY;
    let at = place;
    for (; at <= end; at++) {
      if (first !== ANY && bytes[at] !== first) continue;
      if (starts && at > from && isWordUnit(bytes[at - 1] ?? 0) && isWordUnit(bytes[at] ?? 0)) continue;
      if (isAt(bytes, at, piece)) break;
    }
    if (at > end) return false;
    place = at + piece.length;
  }
  return true;
}

function isAt(bytes: Uint8Array, at: number, piece: number[]): boolean {
  for (let i = 0; i < piece.length; i++) if (piece[i] !== ANY && piece[i] !== bytes[at + i]) return false;
  return true;
}

/** 3: it is the name; 2: the name begins with it; 1: a word of the name does; 0: it is somewhere. */
function rankOf(name: string, lead: string | undefined, whole: string): number {
  if (lead === undefined) return 0;
  if (name === whole) return 3;
  if (name.startsWith(lead)) return 2;
  for (let at = name.indexOf(lead); at >= 0; at = name.indexOf(lead, at + 1)) if (begins(name, at)) return 1;
  return 0;
}

function extensionOf(name: string): string | undefined {
  const dot = name.lastIndexOf(".");
  return dot < 0 ? undefined : name.slice(dot + 1);
}

/** Records have slots in pages of this many, so that growing never copies much at once. */
const PAGE = 65_536;
const PAGE_WORDS = PAGE / 32;

/** Candidates so few that looking at each name is quicker than anything else. */
const FEW = 2048;

/** Contents that are put in exact order; those after them follow in the index's own order. */
const ORDERED = 5000;

/** A content's score: holders, then seconds since 1970; together with two bits for the rank still an exact number. */
const SECONDS = 2 ** 33;
const MOST_HOLDERS = 2 ** 18 - 1;
const RANK = 2 ** 51;

/** In a column: not all records of the slot have the same value. */
const MIXED = -1;

/** The score of a slot whose content has other slots too. */
const ELSEWHERE = -1;

/** Signed, so that a word is always a small integer to the engine. */
type Bits = Int32Array;

/** A set of numbers: one, a sorted list, or bits when they are many. */
class Posting {
  count = 0;
  #only = 0;
  #list: Uint32Array | undefined;
  #bits: Bits | undefined;

  /** `words`: how many words of bits the greatest number needs. */
  add(id: number, words: number): void {
    if (this.#bits !== undefined) {
      if (id >>> 5 >= this.#bits.length) this.#bits = widened(this.#bits, words);
      const bits = this.#bits;
      bits[id >>> 5] = (bits[id >>> 5] ?? 0) | (1 << (id & 31));
      this.count += 1;
      return;
    }
    if (this.count === 0) {
      this.#only = id;
      this.count = 1;
      return;
    }
    let list = this.#list;
    if (list === undefined) {
      list = new Uint32Array(2);
      list[0] = this.#only;
    } else if (this.count === list.length) list = resized(list, Math.ceil(list.length * 1.5));
    this.#list = list;
    if ((list[this.count - 1] ?? 0) < id) list[this.count] = id;
    else {
      const at = placeOf(list, this.count, id);
      list.copyWithin(at + 1, at, this.count);
      list[at] = id;
    }
    this.count += 1;
    if (this.count > Math.max(512, words / 2)) {
      this.#bits = new Int32Array(Math.max(words, ((list[this.count - 1] ?? 0) >>> 5) + 1));
      this.addTo(this.#bits);
      this.#list = undefined;
    }
  }

  /** The number must be in the set. */
  delete(id: number): void {
    this.count -= 1;
    const bits = this.#bits;
    if (bits !== undefined) {
      bits[id >>> 5] = (bits[id >>> 5] ?? 0) & ~(1 << (id & 31));
      if (this.count < Math.max(128, bits.length / 8)) {
        const list = new Uint32Array(this.count + 16);
        let at = 0;
        eachOf(bits, (one) => {
          list[at++] = one;
        });
        this.#list = list;
        this.#bits = undefined;
      }
      return;
    }
    const list = this.#list;
    if (list === undefined) return;
    const at = placeOf(list, this.count + 1, id);
    list.copyWithin(at, at + 1, this.count + 1);
    if (this.count === 1) {
      this.#only = list[0] ?? 0;
      this.#list = undefined;
    } else if (this.count < list.length / 3) this.#list = list.slice(0, this.count + 1);
  }

  each(visit: (id: number) => void): void {
    if (this.#bits !== undefined) eachOf(this.#bits, visit);
    else if (this.#list === undefined) {
      if (this.count > 0) visit(this.#only);
    } else for (let i = 0; i < this.count; i++) visit(this.#list[i] ?? 0);
  }

  addTo(target: Bits): void {
    const bits = this.#bits;
    if (this.#list !== undefined) {
      const list = this.#list;
      for (let i = 0; i < this.count; i++) {
        const id = list[i] ?? 0;
        target[id >>> 5] = (target[id >>> 5] ?? 0) | (1 << (id & 31));
      }
    } else if (bits !== undefined) for (let i = 0; i < bits.length; i++) target[i] = (target[i] ?? 0) | (bits[i] ?? 0);
    else if (this.count > 0) target[this.#only >>> 5] = (target[this.#only >>> 5] ?? 0) | (1 << (this.#only & 31));
  }
}

function resized(from: Uint32Array, length: number): Uint32Array {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}

function widened(from: Bits, length: number): Bits {
  const to = new Int32Array(length);
  to.set(from);
  return to;
}

/** Where a number stands, or would stand, in the first `count` of a sorted list. */
function placeOf(list: Uint32Array, count: number, id: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] ?? 0) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

function eachOf(bits: Bits, visit: (id: number) => void): void {
  for (let i = 0; i < bits.length; i++) {
    for (let word = bits[i] ?? 0; word !== 0; word &= word - 1) visit(i * 32 + 31 - Math.clz32(word & -word));
  }
}

/** How many bits are set; stops counting above `most`. */
function countOf(bits: Bits, most: number): number {
  let count = 0;
  for (let i = 0; i < bits.length && count <= most; i++) for (let word = bits[i] ?? 0; word !== 0; word &= word - 1) count += 1;
  return count;
}

/** Numbers for texts, given back when nothing uses them any more. 0 is no text's. */
class Numbers {
  readonly of = new Map<string, number>();
  readonly #uses: number[] = [0];
  readonly #free: number[] = [];

  get size(): number {
    return this.#uses.length;
  }

  take(text: string): number {
    const id = this.of.get(text) ?? this.#free.pop() ?? this.#uses.length;
    const uses = this.#uses[id] ?? 0;
    if (uses === 0) this.of.set(text, id);
    this.#uses[id] = uses + 1;
    return id;
  }

  release(text: string): void {
    const id = this.of.get(text);
    if (id === undefined) return;
    const uses = (this.#uses[id] ?? 1) - 1;
    this.#uses[id] = uses;
    if (uses > 0) return;
    this.of.delete(text);
    this.#free.push(id);
  }

  /** Which numbers are of texts that fit. */
  table(fit: (text: string) => boolean): Uint8Array {
    const table = new Uint8Array(this.size);
    for (const [text, id] of this.of) if (fit(text)) table[id] = 1;
    return table;
  }
}

const WIDE = -1;

/** The records of a slot that has several, in the order in which they came, with what the filters need of each. */
type Held<Item> = Map<Item, number>;

/** What the filters need of a record: the number of its type, and its day. */
function stampOf(type: number, day: number): number {
  return type * DAYS + day;
}

const DAYS = 1e8;

/** All records of one root and size. */
interface Whole {
  holders: number;
  /** The newest time it was announced with since it is here, in seconds. */
  newest: number;
  /** By folded name, when there are several. */
  slots: number | Map<string, number>;
}

/** A run of letters and digits in names, or of what stands between. */
interface Token {
  readonly id: number;
  readonly text: string;
  readonly slots: Posting;
}

/** The columns of 65,536 slots. A slot is one folded name of one content. */
class Slots<Item> {
  readonly names: string[] = new Array(PAGE).fill("");
  readonly items: (Item | Held<Item> | undefined)[] = new Array(PAGE).fill(undefined);
  /** Undefined where the content id is unknown. */
  readonly wholes: (Whole | undefined)[] = new Array(PAGE).fill(undefined);
  readonly score = new Float64Array(PAGE);
  readonly size = new Float64Array(PAGE);
  readonly count = new Uint32Array(PAGE);
  readonly ext = new Int32Array(PAGE);
  readonly type = new Int32Array(PAGE);
  readonly day = new Int32Array(PAGE);
  /** The id of the name's first token. */
  readonly first = new Int32Array(PAGE);
  readonly unit = new Uint16Array(PAGE);
  readonly length = new Uint16Array(PAGE);
  /** Where the name's copy begins in the bytes; WIDE when it has units beyond Latin-1, and no copy. */
  readonly start = new Int32Array(PAGE).fill(WIDE);
  bytes = new Uint8Array(16_384);
  #used = 0;
  #waste = 0;

  keepBytes(at: number, name: string): void {
    if (this.#used + name.length > this.bytes.length) this.#makeRoom(name.length);
    const { bytes } = this;
    let to = this.#used;
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i);
      if (unit > 255) return;
      bytes[to++] = unit;
    }
    this.start[at] = this.#used;
    this.#used = to;
  }

  dropBytes(at: number): void {
    if (this.start[at] === WIDE) return;
    this.start[at] = WIDE;
    this.#waste += this.length[at] ?? 0;
  }

  #makeRoom(length: number): void {
    const old = this.bytes;
    const wasteful = this.#waste > old.length / 4;
    const bytes = new Uint8Array(wasteful ? old.length : Math.ceil(old.length * 1.25) + length);
    if (!wasteful) bytes.set(old);
    else {
      this.#used = 0;
      this.#waste = 0;
      for (let at = 0; at < PAGE; at++) {
        const from = this.start[at] ?? WIDE;
        if (from === WIDE) continue;
        this.start[at] = this.#used;
        const end = from + (this.length[at] ?? 0);
        for (let i = from; i < end; i++) bytes[this.#used++] = old[i] ?? 0;
      }
    }
    this.bytes = bytes;
  }
}

/** What is known about the word that ranks. */
interface Lead {
  readonly text: string;
  readonly whole: string;
  /** Slots in which a word begins with it, and the tokens that do; undefined when each name must be looked at. */
  begins: Bits | undefined;
  tokens: Uint8Array | undefined;
}

/** Which slots fit a word: all of them and perhaps more, unless exact. */
interface Fit {
  bits: Bits;
  exact: boolean;
  /** Extensions whose slots need no second look. */
  sure?: Uint8Array;
}

/** What a scan asks of each slot, and where it puts it. */
interface Scan<Item> {
  /** How many records of a slot pass the filters. */
  passes: ((page: Slots<Item>, at: number) => number) | undefined;
  lead: Lead | undefined;
  /** Few names are looked at, whatever is known. */
  looks: boolean;
  best: Best;
  all: number[] | undefined;
  groups: Map<Whole, Group>;
  group: boolean;
}

/** A content that fits, with those of its slots that do. */
interface Group {
  slots: number[];
  ranks: number[];
}

function runsOf(text: string): string[] {
  const runs: string[] = [];
  let from = 0;
  let inWord = isWordUnit(text.charCodeAt(0));
  for (let at = 1; at <= text.length; at++) {
    const now = at < text.length && isWordUnit(text.charCodeAt(at));
    if (at < text.length && now === inWord) continue;
    runs.push(text.slice(from, at));
    from = at;
    inWord = now;
  }
  return runs;
}

/** Two or three UTF-16 units as one number. */
function gramOf(text: string, at: number, length: number): number {
  const two = text.charCodeAt(at) * 65_536 + text.charCodeAt(at + 1);
  return length === 2 ? two : (two + 65_536 ** 2) * 65_536 + text.charCodeAt(at + 2);
}

/** The different grams of a token. */
function gramsOf(text: string): Iterable<number> {
  const grams: number[] = [];
  for (let at = 0; at + 1 < text.length; at++) {
    grams.push(gramOf(text, at, 2));
    if (at + 2 < text.length) grams.push(gramOf(text, at, 3));
  }
  if (grams.length > 24) return new Set(grams);
  return grams.filter((gram, i) => grams.indexOf(gram) === i);
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
  const seconds = Math.floor(Date.parse(text) / 1000);
  return seconds > 0 ? Math.min(seconds, SECONDS - 1) : 0;
}

/** Maps that share their keys by a hash, because a large map stops the world when it grows. */
class Shards<Key, Value> {
  readonly #maps: Map<Key, Value>[] = Array.from({ length: 256 }, () => new Map());

  /** The part for what hashes to a text. */
  for(text: string): Map<Key, Value> {
    let hash = text.length;
    for (let i = Math.max(0, text.length - 16); i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
    return this.#maps[(hash ^ (hash >>> 8)) & 255] ?? new Map();
  }
}

/** The best so many of what it is shown, found with a heap whose top is the worst of them. */
class Best {
  readonly #keys: number[] = [];
  readonly #slots: number[] = [];
  readonly #most: number;
  readonly #nameOf: (slot: number) => string;
  /** A key below this one does not get in. */
  floor = -1;

  constructor(most: number, nameOf: (slot: number) => string) {
    this.#most = most;
    this.#nameOf = nameOf;
  }

  #isBefore(aKey: number, a: number, bKey: number, b: number): boolean {
    if (aKey !== bKey) return aKey > bKey;
    const aName = this.#nameOf(a);
    const bName = this.#nameOf(b);
    return aName === bName ? a < b : aName < bName;
  }

  offer(key: number, slot: number): void {
    const keys = this.#keys;
    const slots = this.#slots;
    if (keys.length < this.#most) {
      let at = keys.length;
      keys.push(key);
      slots.push(slot);
      for (let up = (at - 1) >> 1; at > 0 && this.#isBefore(keys[up] ?? 0, slots[up] ?? 0, key, slot); up = (at - 1) >> 1) {
        keys[at] = keys[up] ?? 0;
        slots[at] = slots[up] ?? 0;
        at = up;
      }
      keys[at] = key;
      slots[at] = slot;
    } else if (this.#most > 0 && this.#isBefore(key, slot, keys[0] ?? 0, slots[0] ?? 0)) this.#sink(key, slot);
    if (keys.length === this.#most) this.floor = keys[0] ?? Number.POSITIVE_INFINITY;
  }

  #sink(key: number, slot: number): void {
    const keys = this.#keys;
    const slots = this.#slots;
    let at = 0;
    for (;;) {
      let down = at * 2 + 1;
      if (down >= keys.length) break;
      const right = down + 1;
      if (right < keys.length && this.#isBefore(keys[down] ?? 0, slots[down] ?? 0, keys[right] ?? 0, slots[right] ?? 0))
        down = right;
      if (!this.#isBefore(key, slot, keys[down] ?? 0, slots[down] ?? 0)) break;
      keys[at] = keys[down] ?? 0;
      slots[at] = slots[down] ?? 0;
      at = down;
    }
    keys[at] = key;
    slots[at] = slot;
  }

  sorted(): number[] {
    const at = this.#keys.map((_, i) => i);
    const [keys, slots] = [this.#keys, this.#slots];
    at.sort((a, b) => (this.#isBefore(keys[a] ?? 0, slots[a] ?? 0, keys[b] ?? 0, slots[b] ?? 0) ? -1 : 1));
    return at.map((i) => slots[i] ?? 0);
  }
}

/**
 * Names are cut into tokens; each token knows the slots it is in, and 2- and 3-grams lead to tokens. A word is thus looked up
 * among tokens, which are few, and is the union of their slots; only words that span tokens are checked against names. Everything is
 * taken out at once when a record goes, so there is nothing to clean up later.
 */
export class FindIndex<Item extends Findable> {
  readonly #pages: Slots<Item>[] = [];
  readonly #free: number[] = [];
  #slots = 0;
  readonly #wholes = new Shards<string, Whole | Map<number, Whole>>();
  /** Records whose content id is unknown, and their slots. */
  readonly #loose = new Shards<Item, number>();
  readonly #live = new Posting();
  readonly #units = new Map<number, Posting>();
  /** Letters and digits with which words begin. */
  readonly #initials = new Map<number, Posting>();
  readonly #tokens: (Token | undefined)[] = [];
  /** The first two units of each token as a gram: nearer than its text. */
  readonly #heads: number[] = [];
  readonly #freeTokens: number[] = [];
  readonly #tokenOf = new Shards<string, Token>();
  readonly #grams = new Map<number, Posting>();
  /** In which round a unit was last seen: a set that needs no clearing. */
  readonly #seen = new Uint32Array(65_536);
  #round = 0;
  readonly #exts = new Numbers();
  readonly #types = new Numbers();

  add(item: Item): void {
    const name = fold(item.name);
    const seconds = secondsOf(item.modified);
    const { root, size } = item;
    if (root === undefined) {
      const loose = this.#loose.for(item.name);
      if (loose.has(item)) return;
      const slot = this.#open(name, item, undefined);
      loose.set(item, slot);
      this.#page(slot).score[slot % PAGE] = scoreOf(item.part ? 0 : 1, seconds);
      return;
    }
    const roots = this.#wholes.for(root);
    const there = roots.get(root);
    let whole = there instanceof Map ? there.get(size) : undefined;
    if (there !== undefined && !(there instanceof Map)) {
      if (this.#sizeOf(there) === size) whole = there;
      else roots.set(root, new Map([[this.#sizeOf(there), there]]));
    }
    if (whole === undefined) {
      whole = { holders: item.part ? 0 : 1, newest: seconds, slots: -1 };
      whole.slots = this.#open(name, item, whole);
      const others = roots.get(root);
      if (others instanceof Map) others.set(size, whole);
      else roots.set(root, whole);
      this.#rescore(whole);
      return;
    }
    let slot = this.#slotOf(whole, name);
    if (slot === undefined) {
      slot = this.#open(name, item, whole);
      if (typeof whole.slots === "number") {
        const other = whole.slots;
        const page = this.#page(other);
        page.score[other % PAGE] = ELSEWHERE;
        whole.slots = new Map([[page.names[other % PAGE] ?? "", other]]);
      }
      whole.slots.set(name, slot);
      this.#page(slot).score[slot % PAGE] = ELSEWHERE;
    } else if (!this.#join(slot, item)) return;
    if (!item.part) whole.holders += 1;
    whole.newest = Math.max(whole.newest, seconds);
    this.#rescore(whole);
  }

  remove(item: Item): void {
    const { root, size } = item;
    if (root === undefined) {
      const loose = this.#loose.for(item.name);
      const slot = loose.get(item);
      if (slot === undefined) return;
      loose.delete(item);
      this.#close(slot, item);
      return;
    }
    const roots = this.#wholes.for(root);
    const there = roots.get(root);
    const whole = there instanceof Map ? there.get(size) : there;
    if (whole === undefined || this.#sizeOf(whole) !== size) return;
    const name = fold(item.name);
    const slot = this.#slotOf(whole, name);
    if (slot === undefined) return;
    const { items } = this.#page(slot);
    const held = items[slot % PAGE];
    if (held instanceof Map) {
      if (!held.has(item)) return;
      this.#part(slot, held, item);
    } else if (held !== item) return;
    else if (typeof whole.slots === "number") {
      if (there instanceof Map && there.size > 1) there.delete(size);
      else roots.delete(root);
      this.#close(slot, item);
      return;
    } else {
      whole.slots.delete(name);
      this.#close(slot, item);
      const [last] = whole.slots.values();
      if (whole.slots.size === 1 && last !== undefined) whole.slots = last;
    }
    if (!item.part) whole.holders -= 1;
    this.#rescore(whole);
  }

  /**
   * A page of what fits, best first, and how much there is of it; one item for each content when grouped, else as many as fit.
   * The order is exact for the first 5,000 contents; complete and the same from page to page, while nothing changes, for all.
   */
  find(wish: FindWish): { contents: Content<Item>[]; total: number } {
    const words = parseWords(wish.words);
    const plain = words.filter((word) => !word.excludes && word.pieces === undefined);
    const text = plain[0]?.text;
    const whole = plain.map((word) => word.text).join(" ");
    const lead: Lead | undefined = text === undefined ? undefined : { text, whole, begins: undefined, tokens: undefined };
    const bits = this.#match(words, wish, lead);
    const passes = this.#filter(wish);
    const most = wish.offset + wish.limit;
    const best = new Best(Math.min(most, ORDERED), (slot) => this.#name(slot));
    const all: number[] | undefined = most > ORDERED ? [] : undefined;
    const groups = new Map<Whole, Group>();
    const looks = lead !== undefined && (lead.begins === undefined || countOf(bits, FEW) <= FEW);
    let total = 0;
    for (const [p, page] of this.#pages.entries()) {
      total += this.#scan(page, p * PAGE, bits, { passes, lead, looks, best, all, groups, group: wish.group });
    }
    if (wish.group) total += groups.size;
    for (const [content, group] of groups) {
      this.#sortGroup(group);
      const [slot = 0] = group.slots;
      const key = (group.ranks[0] ?? 0) * RANK + scoreOf(content.holders, content.newest);
      if (key >= best.floor) best.offer(key, slot);
      all?.push(slot);
    }
    const order = best.sorted();
    if (all !== undefined) {
      const ordered = new Set(order);
      for (const slot of all) if (!ordered.has(slot)) order.push(slot);
    }
    return { contents: this.#cut(order, groups, wish), total };
  }

  /** Offers what fits in one page to the best, and tells how much it is; contents with several slots are put aside. */
  #scan(
    page: Slots<Item>,
    base: number,
    bits: Bits,
    { passes, lead, looks, best, all, groups, group: one }: Scan<Item>,
  ): number {
    const { score, count, wholes } = page;
    const begins = lead === undefined || looks ? undefined : lead.begins;
    const start = base / 32;
    let total = 0;
    let { floor } = best;
    for (let w = 0; w < PAGE_WORDS; w++) {
      for (let word = bits[start + w] ?? 0; word !== 0; word &= word - 1) {
        const at = w * 32 + 31 - Math.clz32(word & -word);
        const records = passes === undefined ? (count[at] ?? 0) : passes(page, at);
        if (records === 0) continue;
        let rank = 0;
        if (begins !== undefined) {
          const begun = (begins[start + w] ?? 0) & word & -word;
          if (begun !== 0 && lead !== undefined) rank = this.#rankBegun(page, at, lead);
        } else if (lead !== undefined) rank = this.#rankByName(page, at, lead);
        const scored = score[at] ?? 0;
        if (scored !== ELSEWHERE) {
          total += one ? 1 : records;
          const key = rank * RANK + scored;
          if (key >= floor) {
            best.offer(key, base + at);
            floor = best.floor;
          }
          if (all !== undefined) all.push(base + at);
          continue;
        }
        if (!one) total += records;
        const whole = wholes[at];
        if (whole === undefined) continue;
        const group = groups.get(whole);
        if (group === undefined) groups.set(whole, { slots: [base + at], ranks: [rank] });
        else {
          group.slots.push(base + at);
          group.ranks.push(rank);
        }
      }
    }
    return total;
  }

  #cut(order: number[], groups: Map<Whole, Group>, wish: FindWish): Content<Item>[] {
    const contents: Content<Item>[] = [];
    const single = this.#itemFilter(wish);
    if (wish.group) {
      for (const slot of order.slice(wish.offset, wish.offset + wish.limit)) {
        const whole = this.#page(slot).wholes[slot % PAGE];
        const [item] = this.#items(slot, whole === undefined ? undefined : groups.get(whole), single, 1);
        if (item !== undefined) contents.push({ items: [item], holders: whole?.holders ?? (item.part ? 0 : 1) });
      }
      return contents;
    }
    let skip = wish.offset;
    let room = wish.limit;
    for (const slot of order) {
      if (room <= 0) break;
      const page = this.#page(slot);
      const whole = page.wholes[slot % PAGE];
      const group = whole === undefined ? undefined : groups.get(whole);
      if (group === undefined && single === undefined && (page.count[slot % PAGE] ?? 0) <= skip) {
        skip -= page.count[slot % PAGE] ?? 0;
        continue;
      }
      const items = [...this.#items(slot, group, single, skip + room)];
      const taken = items.slice(skip);
      skip = Math.max(0, skip - items.length);
      room -= taken.length;
      const [first] = taken;
      if (first !== undefined) contents.push({ items: taken, holders: whole?.holders ?? (first.part ? 0 : 1) });
    }
    return contents;
  }

  /** The items of a content that fit, whole ones first. */
  *#items(
    slot: number,
    group: Group | undefined,
    single: ((item: Item) => boolean) | undefined,
    most: number,
  ): Generator<Item> {
    let left = most;
    for (const part of [false, true]) {
      for (const one of group?.slots ?? [slot]) {
        const held = this.#page(one).items[one % PAGE];
        if (held === undefined) continue;
        for (const item of held instanceof Map ? held.keys() : [held]) {
          if (left <= 0) return;
          if (item.part !== part || (single !== undefined && !single(item))) continue;
          left -= 1;
          yield item;
        }
      }
    }
  }

  #sortGroup(group: Group): void {
    const { slots, ranks } = group;
    if (slots.length < 2) return;
    const at = slots.map((_, i) => i);
    at.sort((a, b) => {
      const [left, right] = [this.#name(slots[a] ?? 0), this.#name(slots[b] ?? 0)];
      return (ranks[b] ?? 0) - (ranks[a] ?? 0) || (left < right ? -1 : 1);
    });
    group.slots = at.map((i) => slots[i] ?? 0);
    group.ranks = at.map((i) => ranks[i] ?? 0);
  }

  #rankByName(page: Slots<Item>, at: number, { text, whole }: Lead): number {
    const unit = text.charCodeAt(0);
    return page.unit[at] !== unit && !isWordUnit(unit) ? 1 : rankOf(page.names[at] ?? "", text, whole);
  }

  /** The rank of a slot in which a word begins with the leading one. */
  #rankBegun(page: Slots<Item>, at: number, { text, whole, tokens }: Lead): number {
    if (page.unit[at] !== text.charCodeAt(0) || (tokens !== undefined && tokens[page.first[at] ?? 0] !== 1)) return 1;
    return page.length[at] === whole.length && page.names[at] === whole ? 3 : 2;
  }

  /** Which slots fit all words. */
  #match(words: Word[], wish: FindWish, lead: Lead | undefined): Bits {
    let bits = this.#everything();
    if (wish.root !== undefined) {
      bits = this.#none();
      const there = this.#wholes.for(wish.root).get(wish.root);
      for (const whole of there instanceof Map ? there.values() : there === undefined ? [] : [there]) {
        for (const slot of typeof whole.slots === "number" ? [whole.slots] : whole.slots.values()) set(bits, slot);
      }
    }
    const weighed = words.map((word) => ({ word, weight: word.excludes ? Number.POSITIVE_INFINITY : this.#weight(word) }));
    weighed.sort((a, b) => (a.weight < b.weight ? -1 : a.weight > b.weight ? 1 : 0));
    let few = countOf(bits, FEW) <= FEW;
    for (const { word } of weighed) {
      if (few) {
        this.#sift(bits, word, !word.excludes);
        continue;
      }
      const leads =
        lead !== undefined && !word.excludes && word.pieces === undefined && word.text === lead.text ? lead : undefined;
      const fit = this.#fit(word, leads);
      if (word.excludes) {
        if (!fit.exact) {
          for (let i = 0; i < bits.length; i++) fit.bits[i] = (fit.bits[i] ?? 0) & (bits[i] ?? 0);
          this.#sift(fit.bits, word, true, fit.sure);
        }
        for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] ?? 0) & ~(fit.bits[i] ?? 0);
      } else {
        for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] ?? 0) & (fit.bits[i] ?? 0);
        if (!fit.exact) this.#sift(bits, word, true, fit.sure);
      }
      few = countOf(bits, FEW) <= FEW;
    }
    return bits;
  }

  /** Takes out the slots whose names do not fit a word, or, if not `wanted`, those that do. */
  #sift(bits: Bits, word: Word, wanted: boolean, sure?: Uint8Array): void {
    for (const [p, page] of this.#pages.entries()) siftPage(page, p * PAGE_WORDS, bits, word, wanted, sure);
  }

  /** About how many slots a word leads to. */
  #weight({ text, pieces }: Word): number {
    const longest = (pieces === undefined ? [text] : text.split(/[*?]+/))
      .flatMap((piece) => (piece === "" ? [] : runsOf(piece)))
      .reduce((most, run) => (run.length > most.length ? run : most), "");
    if (longest === "") return this.#live.count;
    if (longest.length === 1) return this.#units.get(longest.charCodeAt(0))?.count ?? 0;
    const ids = this.#shortest(longest);
    if (ids === undefined) return 0;
    if (ids.count > FEW) return this.#live.count;
    let weight = 0;
    ids.each((id) => {
      weight += this.#tokens[id]?.slots.count ?? 0;
    });
    return weight;
  }

  #fit(word: Word, lead: Lead | undefined): Fit {
    const { text, pieces, tied } = word;
    if (pieces === undefined) return this.#containing(text, lead);
    const fragments = text.split(/[*?]+/).filter((fragment) => fragment !== "");
    const [only = ""] = fragments;
    if (fragments.length === 0) return { bits: this.#everything(), exact: !text.includes("?") };
    if (fragments.length === 1 && !text.includes("?")) {
      if (tied === undefined) return this.#containing(only, undefined);
      if (tied === "start" && isWordUnit(only.charCodeAt(0)) && runsOf(only).length === 1) {
        const bits = this.#none();
        this.#collect(only, "start", bits, undefined);
        return { bits, exact: true };
      }
      if (tied === "end" && only.lastIndexOf(".") === 0) {
        const sure = this.#exts.table((ext) => ext === only.slice(1));
        return { ...this.#containing(only, undefined), exact: false, sure };
      }
    }
    fragments.sort((a, b) => b.length - a.length);
    const { bits } = this.#containing(fragments[0] ?? "", undefined);
    for (const fragment of fragments.slice(1, 4)) {
      const more = this.#containing(fragment, undefined).bits;
      for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] ?? 0) & (more[i] ?? 0);
    }
    return { bits, exact: false };
  }

  /** The slots whose names contain a text. */
  #containing(text: string, lead: Lead | undefined): Fit {
    const runs = runsOf(text);
    const bits = this.#none();
    const [first = ""] = runs;
    if (runs.length === 1) {
      this.#collect(text, "any", bits, lead);
      return { bits, exact: true };
    }
    this.#collect(first, "end", bits, undefined);
    for (let i = 1; i < runs.length; i++) {
      const more = this.#none();
      this.#collect(runs[i] ?? "", i === runs.length - 1 ? "start" : "whole", more, undefined);
      for (let w = 0; w < bits.length; w++) bits[w] = (bits[w] ?? 0) & (more[w] ?? 0);
    }
    if (text.lastIndexOf(".") !== 0) return { bits, exact: false };
    return { bits, exact: false, sure: this.#exts.table((ext) => ext.startsWith(text.slice(1))) };
  }

  /** Adds the slots with a token that has a text somewhere, at an end, or is it. For one unit at the end it may add more. */
  #collect(text: string, where: "any" | "start" | "end" | "whole", bits: Bits, lead: Lead | undefined): void {
    if (where === "whole") {
      this.#tokenOf.for(text).get(text)?.slots.addTo(bits);
      return;
    }
    const unit = text.charCodeAt(0);
    if (text.length === 1) {
      const initial = where === "start" && isWordUnit(unit);
      (initial ? this.#initials : this.#units).get(unit)?.addTo(bits);
      if (lead === undefined) return;
      lead.begins = this.#none();
      (isWordUnit(unit) ? this.#initials : this.#units).get(unit)?.addTo(lead.begins);
      return;
    }
    const tokens = this.#tokens;
    const starts = lead === undefined || !isWordUnit(unit) ? undefined : this.#none();
    const marks = lead === undefined ? undefined : new Uint8Array(tokens.length);
    const heads = this.#heads;
    const head = gramOf(text, 0, 2);
    const known = text.length <= 3 && where === "any";
    this.#shortest(text)?.each((id) => {
      const token = tokens[id];
      if (token === undefined) return;
      if (
        where === "start"
          ? !token.text.startsWith(text)
          : where === "end"
            ? !token.text.endsWith(text)
            : !known && !token.text.includes(text)
      )
        return;
      token.slots.addTo(bits);
      if (marks === undefined || heads[id] !== head || (text.length > 2 && !token.text.startsWith(text))) return;
      marks[id] = 1;
      if (starts !== undefined) token.slots.addTo(starts);
    });
    if (lead === undefined) return;
    lead.begins = starts ?? bits.slice();
    lead.tokens = marks;
  }

  /** The shortest list of tokens that a text of two units or more must be in; undefined when there is none. */
  #shortest(text: string): Posting | undefined {
    const length = Math.min(3, text.length);
    let shortest: Posting | undefined;
    for (let at = 0; at + length <= text.length; at++) {
      const ids = this.#grams.get(gramOf(text, at, length));
      if (ids === undefined) return undefined;
      if (shortest === undefined || ids.count < shortest.count) shortest = ids;
    }
    return shortest;
  }

  #everything(): Bits {
    const bits = this.#none();
    this.#live.addTo(bits);
    return bits;
  }

  #none(): Bits {
    return new Int32Array(this.#pages.length * PAGE_WORDS);
  }

  /** Tells how many records of a slot pass the filters; undefined when there are none that a slot could fail. */
  #filter(wish: FindWish): ((page: Slots<Item>, at: number) => number) | undefined {
    const { min, max, after, before } = wish;
    const single = this.#itemFilter(wish);
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
      if (!mixed) return page.count[at] ?? 0;
      let count = 0;
      const held = page.items[at];
      if (!(held instanceof Map)) return count;
      for (const stamp of held.values()) {
        const on = stamp % DAYS;
        if ((types === undefined || types[(stamp - on) / DAYS] === 1) && (!dated || (on >= first && on <= last))) count += 1;
      }
      return count;
    };
  }

  /** The filters that records of one slot may pass or fail; undefined when there are none. */
  #itemFilter({ type, after, before }: FindWish): ((item: Item) => boolean) | undefined {
    if (type === undefined && after === undefined && before === undefined) return undefined;
    const kind = type?.toLowerCase() ?? "";
    const first = after === undefined ? 0 : dayOf(after);
    const last = before === undefined ? Number.POSITIVE_INFINITY : dayOf(before);
    return (item) => {
      if (kind !== "" && !item.type.toLowerCase().startsWith(kind)) return false;
      const day = dayOf(item.modified);
      return day >= first && day <= last;
    };
  }

  #page(slot: number): Slots<Item> {
    const page = this.#pages[Math.floor(slot / PAGE)];
    if (page === undefined) throw new RangeError(`There is no slot ${slot}.`);
    return page;
  }

  #name(slot: number): string {
    return this.#page(slot).names[slot % PAGE] ?? "";
  }

  #sizeOf({ slots }: Whole): number {
    const [slot = 0] = typeof slots === "number" ? [slots] : slots.values();
    return this.#page(slot).size[slot % PAGE] ?? 0;
  }

  #slotOf({ slots }: Whole, name: string): number | undefined {
    if (typeof slots !== "number") return slots.get(name);
    return this.#name(slots) === name ? slots : undefined;
  }

  #rescore({ slots, holders, newest }: Whole): void {
    if (typeof slots === "number") this.#page(slots).score[slots % PAGE] = scoreOf(holders, newest);
  }

  /** Takes a slot for a name that is new in its content. */
  #open(name: string, item: Item, whole: Whole | undefined): number {
    const slot = this.#free.pop() ?? this.#slots++;
    if (slot >= this.#pages.length * PAGE) this.#pages.push(new Slots());
    const page = this.#page(slot);
    const at = slot % PAGE;
    page.names[at] = name;
    page.items[at] = item;
    page.wholes[at] = whole;
    page.size[at] = item.size;
    page.count[at] = 1;
    const ext = extensionOf(name);
    page.ext[at] = ext === undefined ? 0 : this.#exts.take(ext);
    page.type[at] = this.#types.take(item.type.toLowerCase());
    page.day[at] = dayOf(item.modified);
    page.unit[at] = name.charCodeAt(0);
    page.length[at] = name.length;
    page.keepBytes(at, name);
    const words = this.#pages.length * PAGE_WORDS;
    this.#live.add(slot, words);
    const runs = runsOf(name);
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] ?? "";
      if (runs.indexOf(run) < i) continue;
      const token = this.#token(run);
      token.slots.add(slot, words);
      if (i === 0) page.first[at] = token.id;
    }
    this.#eachUnit(name, (unit) => list(this.#units, unit).add(slot, words));
    this.#eachInitial(runs, (unit) => list(this.#initials, unit).add(slot, words));
    return slot;
  }

  /** Gives a slot back with its last item. */
  #close(slot: number, item: Item): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const name = page.names[at] ?? "";
    const ext = extensionOf(name);
    if (ext !== undefined) this.#exts.release(ext);
    this.#types.release(item.type.toLowerCase());
    page.dropBytes(at);
    page.names[at] = "";
    page.items[at] = undefined;
    page.wholes[at] = undefined;
    this.#live.delete(slot);
    const runs = runsOf(name);
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] ?? "";
      if (runs.indexOf(run) < i) continue;
      const tokens = this.#tokenOf.for(run);
      const token = tokens.get(run);
      if (token === undefined) continue;
      token.slots.delete(slot);
      if (token.slots.count > 0) continue;
      tokens.delete(run);
      this.#tokens[token.id] = undefined;
      this.#freeTokens.push(token.id);
      for (const gram of gramsOf(run)) unlist(this.#grams, gram, token.id);
    }
    this.#eachUnit(name, (unit) => unlist(this.#units, unit, slot));
    this.#eachInitial(runs, (unit) => unlist(this.#initials, unit, slot));
    this.#free.push(slot);
  }

  /** Visits each different unit of a name. */
  #eachUnit(name: string, visit: (unit: number) => void): void {
    const [seen, round] = [this.#seen, this.#nextRound()];
    for (let at = 0; at < name.length; at++) {
      const unit = name.charCodeAt(at);
      if (seen[unit] === round) continue;
      seen[unit] = round;
      visit(unit);
    }
  }

  /** Visits each different unit with which words begin. */
  #eachInitial(runs: string[], visit: (unit: number) => void): void {
    const [seen, round] = [this.#seen, this.#nextRound()];
    for (const run of runs) {
      const unit = run.charCodeAt(0);
      if (seen[unit] === round || !isWordUnit(unit)) continue;
      seen[unit] = round;
      visit(unit);
    }
  }

  #nextRound(): number {
    this.#round = (this.#round + 1) >>> 0;
    if (this.#round === 0) {
      this.#seen.fill(0);
      this.#round = 1;
    }
    return this.#round;
  }

  #token(text: string): Token {
    const tokens = this.#tokenOf.for(text);
    const there = tokens.get(text);
    if (there !== undefined) return there;
    const id = this.#freeTokens.pop() ?? this.#tokens.length;
    const token = { id, text, slots: new Posting() };
    this.#tokens[id] = token;
    this.#heads[id] = text.length < 2 ? 0 : gramOf(text, 0, 2);
    tokens.set(text, token);
    const words = Math.ceil(this.#tokens.length / PAGE) * PAGE_WORDS;
    for (const gram of gramsOf(text)) list(this.#grams, gram).add(id, words);
    return token;
  }

  /** Puts another record into a slot; false when it is there. */
  #join(slot: number, item: Item): boolean {
    const page = this.#page(slot);
    const at = slot % PAGE;
    const held = page.items[at];
    if (held === undefined || held === item) return false;
    if (held instanceof Map && held.has(item)) return false;
    const kind = this.#types.take(item.type.toLowerCase());
    const day = dayOf(item.modified);
    if (held instanceof Map) held.set(item, stampOf(kind, day));
    else {
      const first = stampOf(page.type[at] ?? 0, page.day[at] ?? 0);
      page.items[at] = new Map([
        [held, first],
        [item, stampOf(kind, day)],
      ]);
    }
    page.count[at] = (page.count[at] ?? 0) + 1;
    if (page.type[at] !== kind) page.type[at] = MIXED;
    if (page.day[at] !== day) page.day[at] = MIXED;
    return true;
  }

  /** Takes a record out of a slot that has others. */
  #part(slot: number, held: Held<Item>, item: Item): void {
    const page = this.#page(slot);
    const at = slot % PAGE;
    held.delete(item);
    page.count[at] = held.size;
    this.#types.release(item.type.toLowerCase());
    if (held.size > 1) return;
    const [last] = held.keys();
    if (last === undefined) return;
    page.items[at] = last;
    page.type[at] = this.#types.of.get(last.type.toLowerCase()) ?? 0;
    page.day[at] = dayOf(last.modified);
  }
}

function siftPage(page: Slots<unknown>, base: number, bits: Bits, word: Word, wanted: boolean, sure?: Uint8Array): void {
  const { start, length, names, ext, bytes } = page;
  for (let w = 0; w < PAGE_WORDS; w++) {
    for (let left = bits[base + w] ?? 0; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const at = w * 32 + 31 - Math.clz32(bit);
      if (sure !== undefined && sure[ext[at] ?? 0] === 1) continue;
      const from = start[at] ?? WIDE;
      const does = from === WIDE ? fits(names[at] ?? "", word) : fitsBytes(bytes, from, from + (length[at] ?? 0), word);
      if (does !== wanted) bits[base + w] = (bits[base + w] ?? 0) & ~bit;
    }
  }
}

function scoreOf(holders: number, seconds: number): number {
  return Math.min(holders, MOST_HOLDERS) * SECONDS + seconds;
}

function set(bits: Bits, id: number): void {
  bits[id >>> 5] = (bits[id >>> 5] ?? 0) | (1 << (id & 31));
}

function list<Key>(index: Map<Key, Posting>, key: Key): Posting {
  const there = index.get(key);
  if (there !== undefined) return there;
  const made = new Posting();
  index.set(key, made);
  return made;
}

function unlist<Key>(index: Map<Key, Posting>, key: Key, id: number): void {
  const there = index.get(key);
  there?.delete(id);
  if (there?.count === 0) index.delete(key);
}
