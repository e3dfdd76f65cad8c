// Many short texts in little memory: as bytes by number, and numbers for texts that come again and again.

import { fits, fitsBytes, type Word } from "../search/words.ts";
import { PAGE } from "./columns.ts";

/** What the platform reads as Latin-1 gives other characters to the control codes from 0x80 on, which nobody writes. */
const latin1 = new TextDecoder("latin1");

const NO_BYTES = new Uint8Array(0);

/** Texts whose bytes lie together, so that making room for one moves few others. */
const SHIFT = 9;

const BLOCK = 1 << SHIFT;

/** A block grows by so many bytes, or by a quarter. */
const BLOCK_BYTES = 2048;

/** A text's place is where its bytes begin in their block and, in the low bits, how many they are. */
export const LENGTH_BITS = 11;

export const LENGTH = (1 << LENGTH_BITS) - 1;

/** No bytes' place: there is no text, or it is kept as a string. */
export const NO_PLACE = 0;

/** The bytes of a block begin behind this many, so that no place of a text is that one. */
const MARGIN = 1;

/** The texts of PAGE numbers. What is long, or has units beyond Latin-1 or such control codes, is kept as a string. */
export class TextPage {
  readonly places = new Uint32Array(PAGE);
  readonly wide = new Map<number, string>();
  readonly #blocks = Array.from({ length: PAGE / BLOCK }, () => NO_BYTES);
  /** Of each block how much is used, and how much of that is of texts that are dropped. */
  readonly #used = new Uint32Array(PAGE / BLOCK).fill(MARGIN);
  readonly #waste = new Uint32Array(PAGE / BLOCK);

  /** The bytes among which those of a text are. */
  bytesOf(at: number): Uint8Array {
    return this.#blocks[at >>> SHIFT] ?? NO_BYTES;
  }

  set(at: number, text: string): void {
    this.drop(at);
    if (text === "") return;
    if (text.length > LENGTH) {
      this.wide.set(at, text);
      return;
    }
    const block = at >>> SHIFT;
    if ((this.#used[block] ?? 0) + text.length > this.bytesOf(at).length) this.#makeRoom(block, text.length);
    const bytes = this.bytesOf(at);
    const from = this.#used[block] ?? 0;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 255 || (unit >= 0x80 && unit < 0xa0)) {
        this.wide.set(at, text);
        return;
      }
      bytes[from + i] = unit;
    }
    this.places[at] = (from << LENGTH_BITS) | text.length;
    this.#used[block] = from + text.length;
  }

  drop(at: number): void {
    const block = at >>> SHIFT;
    const place = this.places[at] ?? 0;
    if (place !== NO_PLACE) this.#waste[block] = (this.#waste[block] ?? 0) + (place & LENGTH);
    else if (this.wide.size > 0) this.wide.delete(at);
    this.places[at] = NO_PLACE;
  }

  length(at: number): number {
    const place = this.places[at] ?? 0;
    return place !== NO_PLACE ? place & LENGTH : this.get(at).length;
  }

  get(at: number): string {
    const place = this.places[at] ?? 0;
    if (place === NO_PLACE) return this.wide.get(at) ?? "";
    const start = place >>> LENGTH_BITS;
    return latin1.decode(this.bytesOf(at).subarray(start, start + (place & LENGTH)));
  }

  /** Whether a text fits a word of a search; an empty one fits none. */
  fits(at: number, word: Word): boolean {
    const place = this.places[at] ?? 0;
    if (place === NO_PLACE) {
      const text = this.get(at);
      return text !== "" && fits(text, word);
    }
    const start = place >>> LENGTH_BITS;
    return fitsBytes(this.bytesOf(at), start, start + (place & LENGTH), word);
  }

  /** Throws away what is dropped where that is much, else takes more memory. */
  #makeRoom(block: number, length: number): void {
    const old = this.#blocks[block] ?? NO_BYTES;
    const [used, waste] = [this.#used[block] ?? 0, this.#waste[block] ?? 0];
    const wasteful = waste > old.length / 4;
    // Throwing away makes room enough, but for a text longer than all that is thrown away.
    const grown = old.length + Math.max(BLOCK_BYTES, Math.ceil(old.length / 4)) + length;
    const bytes = new Uint8Array(wasteful ? Math.max(old.length, used - waste + length) : grown);
    if (!wasteful) bytes.set(old);
    else {
      let end = MARGIN;
      for (let at = block * BLOCK; at < (block + 1) * BLOCK; at++) {
        const place = this.places[at] ?? 0;
        if (place === NO_PLACE) continue;
        this.places[at] = (end << LENGTH_BITS) | (place & LENGTH);
        const from = place >>> LENGTH_BITS;
        for (let i = from; i < from + (place & LENGTH); i++) bytes[end++] = old[i] ?? 0;
      }
      this.#used[block] = end;
      this.#waste[block] = 0;
    }
    this.#blocks[block] = bytes;
  }
}

const NONE = new TextPage();

/** By UTF-16 units: negative when the first comes before the second. */
export function compareTexts(left: TextPage, a: number, right: TextPage, b: number): number {
  const [place, other] = [left.places[a] ?? 0, right.places[b] ?? 0];
  if (place === NO_PLACE || other === NO_PLACE) {
    const [first, second] = [left.get(a), right.get(b)];
    return first < second ? -1 : first > second ? 1 : 0;
  }
  const [from, at] = [place >>> LENGTH_BITS, other >>> LENGTH_BITS];
  const [length, most] = [place & LENGTH, other & LENGTH];
  const [bytes, others] = [left.bytesOf(a), right.bytesOf(b)];
  for (let i = 0; i < length && i < most; i++) {
    const difference = (bytes[from + i] ?? 0) - (others[at + i] ?? 0);
    if (difference !== 0) return difference;
  }
  return length - most;
}

/** Texts by number. */
export class Texts {
  readonly pages: TextPage[] = [];

  set(id: number, text: string): void {
    const page = Math.floor(id / PAGE);
    while (page >= this.pages.length) this.pages.push(new TextPage());
    this.pages[page]?.set(id % PAGE, text);
  }

  drop(id: number): void {
    this.#page(id).drop(id % PAGE);
  }

  /** The text of a number; empty when there is none. */
  get(id: number): string {
    return this.#page(id).get(id % PAGE);
  }

  length(id: number): number {
    return this.#page(id).length(id % PAGE);
  }

  /** Whether a text is this one. */
  is(id: number, text: string): boolean {
    return this.length(id) === text.length && this.has(id, text, 0);
  }

  /** Whether this stands in a text, at this place. */
  has(id: number, part: string, at: number): boolean {
    const page = this.#page(id);
    const place = page.places[id % PAGE] ?? 0;
    if (at < 0 || at + part.length > page.length(id % PAGE)) return false;
    if (place === NO_PLACE) return page.get(id % PAGE).startsWith(part, at);
    const bytes = page.bytesOf(id % PAGE);
    const from = (place >>> LENGTH_BITS) + at;
    for (let i = 0; i < part.length; i++) if (bytes[from + i] !== part.charCodeAt(i)) return false;
    return true;
  }

  includes(id: number, part: string): boolean {
    const most = this.length(id) - part.length;
    for (let place = 0; place <= most; place++) if (this.has(id, part, place)) return true;
    return false;
  }

  /** Whether a text fits a word of a search. */
  fits(id: number, word: Word): boolean {
    return this.#page(id).fits(id % PAGE, word);
  }

  /** By UTF-16 units: negative when the first comes before the second. */
  compare(a: number, b: number): number {
    return compareTexts(this.#page(a), a % PAGE, this.#page(b), b % PAGE);
  }

  /** The same number for the same text, as `hashOf` gives it. */
  hash(id: number): number {
    const page = this.#page(id);
    const place = page.places[id % PAGE] ?? 0;
    if (place === NO_PLACE) return hashOf(page.get(id % PAGE));
    const start = place >>> LENGTH_BITS;
    return hashOfBytes(page.bytesOf(id % PAGE), start, start + (place & LENGTH));
  }

  #page(id: number): TextPage {
    return this.pages[Math.floor(id / PAGE)] ?? NONE;
  }
}

const START = 0x811c9dc5 | 0;

const PRIME = 0x01000193;

/** FNV-1a over bytes, stirred so that its low bits depend on all of them: a 32-bit number. */
export function hashOfBytes(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let hash = START;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), PRIME);
  return mixed(hash);
}

/** The same over UTF-16 units. */
export function hashOf(text: string): number {
  let hash = START;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME);
  return mixed(hash);
}

function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return once ^ (once >>> 15);
}

/** Numbers for texts that many have in common, given back when nothing uses them any more. 0 is no text's. */
export class Numbers {
  readonly of = new Map<string, number>();
  readonly #texts: string[] = [""];
  readonly #uses: number[] = [0];
  readonly #free: number[] = [];

  take(text: string): number {
    const known = this.of.get(text);
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] ?? 0) + 1;
      return known;
    }
    const id = this.#free.pop() ?? this.#uses.length;
    this.of.set(text, id);
    this.#texts[id] = text;
    this.#uses[id] = 1;
    return id;
  }

  release(id: number): void {
    const uses = (this.#uses[id] ?? 0) - 1;
    if (uses < 0) return;
    this.#uses[id] = uses;
    if (uses > 0) return;
    this.of.delete(this.text(id));
    this.#texts[id] = "";
    this.#free.push(id);
  }

  /** The text of a number. */
  text(id: number): string {
    return this.#texts[id] ?? "";
  }

  /** Which numbers are of texts that fit. */
  table(fit: (text: string) => boolean): Uint8Array {
    const table = new Uint8Array(this.#uses.length);
    for (const [text, id] of this.of) if (fit(text)) table[id] = 1;
    return table;
  }
}
