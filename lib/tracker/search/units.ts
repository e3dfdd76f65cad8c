// What a search index knows of the characters of names: where they stand, and what they stand next to.

import { Matrix } from "./matrix.ts";
import { type Bits, type Posting, postingOf, removeFrom } from "./posting.ts";
import { isWordUnit } from "./words.ts";

/** Usual units: letters and digits, what else names begin with, and others. The rest is looked up by itself. */
const USUAL = "abcdefghijklmnopqrstuvwxyz0123456789._-([ #)]&',+!=@~;{}%$^`";

/** How many of them letters and digits are, and what names begin with. */
export const WORD_COLUMNS = 36;

const FIRSTS = 43;

/** Behind what stands between tokens: whether there is a dot before the last one. */
const INNER_DOT = USUAL.length - WORD_COLUMNS;

/** Tokens of a name are told apart by their place: the first four, all that follow, and what stands after the last dot. */
export const TOKEN_PLACES = 6;

/** Joints, what a token ends with and the next one begins with, are told apart in so many ways, as a power of two. */
const JOINT_BITS = 7;

/** Names are told apart by their length as far as that is one of so many: modulo this. */
const LENGTHS = 32;

const columnOf = new Int8Array(128).fill(-1);
for (let i = 0; i < USUAL.length; i++) columnOf[USUAL.charCodeAt(i)] = i;

/** Slots are those of the index; a slot's name has UTF-16 units, folded. */
export class Units {
  /** Letters and digits by the place of their token; what stands between tokens by itself. */
  readonly #inToken = new Matrix(WORD_COLUMNS * TOKEN_PLACES);
  readonly #between = new Matrix(USUAL.length - WORD_COLUMNS + 1);
  readonly #joint = new Matrix(2 ** JOINT_BITS);
  readonly #initial = new Matrix(WORD_COLUMNS);
  readonly #first = new Matrix(FIRSTS);
  readonly #length = new Matrix(LENGTHS);
  /** How many slots have a usual unit. */
  readonly #counts = new Int32Array(USUAL.length);
  /** Which units the name at hand has had already: those that are marked with its number. */
  readonly #seen = new Int32Array(USUAL.length);
  #marked = 0;
  readonly #others = new Map<number, Posting>();
  readonly #otherInitials = new Map<number, Posting>();

  /** Adds a slot that is not here. `words`: how many words of bits all slots need. */
  add(slot: number, name: string, words: number): void {
    if (this.#mark(slot, name, true)) return;
    for (const [map, units] of this.#unusual(name)) for (const unit of units) postingOf(map, unit).add(slot, words);
  }

  /** Takes a slot out that is here under this name. */
  remove(slot: number, name: string): void {
    if (this.#mark(slot, name, false)) return;
    for (const [map, units] of this.#unusual(name)) for (const unit of units) removeFrom(map, unit, slot);
  }

  /** How many slots have a unit. */
  count(unit: number): number {
    const column = usual(unit);
    return column >= 0 ? (this.#counts[column] ?? 0) : (this.#others.get(unit)?.count ?? 0);
  }

  /** Adds the slots with a unit to a set. */
  addTo(unit: number, bits: Bits): void {
    const column = usual(unit);
    if (column < 0) this.#others.get(unit)?.addTo(bits);
    else if (column >= WORD_COLUMNS) this.#between.addTo(column - WORD_COLUMNS, bits);
    else for (let place = 0; place < TOKEN_PLACES; place++) this.#inToken.addTo(column * TOKEN_PLACES + place, bits);
  }

  /** Letters and digits by the place of their token: column `usual(unit) * TOKEN_PLACES + place`. */
  get inToken(): Matrix {
    return this.#inToken;
  }

  /** Adds the slots in which the next token after one that ends with a unit begins with another, and some others. */
  addJointTo(last: number, first: number, bits: Bits): void {
    this.#joint.addTo(jointOf(last, first), bits);
  }

  /** The same for the extension and the token before it. */
  addExtensionJointTo(last: number, first: number, bits: Bits): void {
    this.#joint.addTo(jointOf(last, EXTENSION + first), bits);
  }

  /** Adds the slots with a dot before the last one. */
  addInnerDotTo(bits: Bits): void {
    this.#between.addTo(INNER_DOT, bits);
  }

  /** Adds the slots in which a word begins with a letter or digit. */
  addInitialTo(unit: number, bits: Bits): void {
    const column = usual(unit);
    if (column >= 0) this.#initial.addTo(column, bits);
    else this.#otherInitials.get(unit)?.addTo(bits);
  }

  /** Adds the slots whose name begins with a unit; false if that is not known of this one. */
  addFirstTo(unit: number, bits: Bits): boolean {
    const column = usual(unit);
    if (column < 0 || column >= FIRSTS) return false;
    this.#first.addTo(column, bits);
    return true;
  }

  /** Adds the slots whose name may have a length, and some others. */
  addLengthTo(length: number, bits: Bits): void {
    this.#length.addTo(length % LENGTHS, bits);
  }

  /** Notes the usual units, or that they are gone; gives whether there are no others. */
  #mark(slot: number, name: string, present: boolean): boolean {
    const counts = this.#counts;
    this.#marked += 1;
    this.#length.set(slot, name.length % LENGTHS, present);
    let plain = true;
    let inWord = false;
    const dot = name.lastIndexOf(".");
    let place = -1;
    let last = -1;
    for (let at = 0; at < name.length; at++) {
      const unit = name.charCodeAt(at);
      const column = usual(unit);
      const begins = !inWord;
      inWord = column >= 0 ? column < WORD_COLUMNS : isWordUnit(unit);
      if (begins && inWord) {
        const opens = dot >= 0 && at > dot && place < TOKEN_PLACES - 1;
        if (last >= 0) this.#joint.set(slot, jointOf(last, opens ? EXTENSION + unit : unit), present);
        place = dot >= 0 && at > dot ? TOKEN_PLACES - 1 : Math.min(place + 1, TOKEN_PLACES - 2);
      }
      if (inWord) last = unit;
      if (column < 0) {
        plain = false;
        continue;
      }
      if (inWord) this.#inToken.set(slot, column * TOKEN_PLACES + place, present);
      else this.#between.set(slot, column - WORD_COLUMNS, present);
      if (unit === DOT && at < dot) this.#between.set(slot, INNER_DOT, present);
      if (at === 0 && column < FIRSTS) this.#first.set(slot, column, present);
      if (begins && inWord) this.#initial.set(slot, column, present);
      if (this.#seen[column] === this.#marked) continue;
      this.#seen[column] = this.#marked;
      counts[column] = (counts[column] ?? 0) + (present ? 1 : -1);
    }
    return plain;
  }

  /** The units of a name that have no column: all of them, and those with which words begin. */
  #unusual(name: string): [Map<number, Posting>, Set<number>][] {
    const all = new Set<number>();
    const initials = new Set<number>();
    let inWord = false;
    for (let at = 0; at < name.length; at++) {
      const unit = name.charCodeAt(at);
      const begins = !inWord;
      inWord = isWordUnit(unit);
      if (usual(unit) >= 0) continue;
      all.add(unit);
      if (begins && inWord) initials.add(unit);
    }
    return [
      [this.#others, all],
      [this.#otherInitials, initials],
    ];
  }
}

const DOT = 46;

/** Added to the unit that an extension begins with. */
const EXTENSION = 0x10000;

/** The column of a joint; others may have the same. */
function jointOf(last: number, first: number): number {
  return Math.imul(last * 0x10001 + first * 0x101, 0x9e3779b1) >>> (32 - JOINT_BITS);
}

/** The column of a usual unit, letters and digits first; -1 for the others. */
export function usual(unit: number): number {
  return unit < 128 ? (columnOf[unit] ?? -1) : -1;
}
