// Which names have a character in them, and which have a word that begins with it: a matrix of bits, as a search index needs it.

import { PAGE } from "./columns.ts";
import { type Bits, Posting, removeFrom } from "./posting.ts";
import { isWordUnit } from "./words.ts";

const PAGE_WORDS = PAGE / 32;
/** Usual units, letters and digits first; the others are looked up by themselves. */
const USUAL = "abcdefghijklmnopqrstuvwxyz0123456789 ._-()[]&',+!#=@~;{}%$^`";
const INITIALS = 36;
/** Words of bits for 32 slots: one for each usual unit, and one for each that words begin with. */
const ROW = USUAL.length + INITIALS;

const columnOf = new Int8Array(128).fill(-1);
for (let i = 0; i < USUAL.length; i++) columnOf[USUAL.charCodeAt(i)] = i;

/** Slots are those of the index; a slot's name has UTF-16 units, folded. */
export class Units {
  /** All that is known of 32 slots lies together: a slot comes and goes without waking the whole matrix. */
  readonly #pages: Int32Array[] = [];
  readonly #counts = new Int32Array(ROW);
  readonly #others = new Map<number, Posting>();
  readonly #otherInitials = new Map<number, Posting>();

  /** Adds a slot that is not here. `words`: how many words of bits all slots need. */
  add(slot: number, name: string, words: number): void {
    while (slot >= this.#pages.length * PAGE) this.#pages.push(new Int32Array(PAGE_WORDS * ROW));
    if (this.#mark(slot, name, true)) return;
    for (const [map, units] of this.#unusual(name)) {
      for (const unit of units) {
        let posting = map.get(unit);
        if (posting === undefined) {
          posting = new Posting();
          map.set(unit, posting);
        }
        posting.add(slot, words);
      }
    }
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
    if (column >= 0) this.#addColumn(column, bits);
    else this.#others.get(unit)?.addTo(bits);
  }

  /** Adds the slots in which a word begins with a letter or digit. */
  addInitialTo(unit: number, bits: Bits): void {
    const column = usual(unit);
    if (column >= 0) this.#addColumn(USUAL.length + column, bits);
    else this.#otherInitials.get(unit)?.addTo(bits);
  }

  #addColumn(column: number, bits: Bits): void {
    for (const [p, page] of this.#pages.entries()) {
      const base = p * PAGE_WORDS;
      for (let w = 0; w < PAGE_WORDS; w++) bits[base + w] = (bits[base + w] ?? 0) | (page[w * ROW + column] ?? 0);
    }
  }

  /** Sets or clears the bits of the usual units; gives whether there are no others. */
  #mark(slot: number, name: string, present: boolean): boolean {
    const page = this.#pages[Math.floor(slot / PAGE)];
    if (page === undefined) return true;
    const counts = this.#counts;
    const row = ((slot % PAGE) >>> 5) * ROW;
    const bit = 1 << (slot & 31);
    const by = present ? 1 : -1;
    const was = present ? 0 : bit;
    let plain = true;
    let inWord = false;
    for (let at = 0; at < name.length; at++) {
      const unit = name.charCodeAt(at);
      const column = usual(unit);
      const begins = !inWord;
      inWord = column >= 0 ? column < INITIALS : isWordUnit(unit);
      if (column < 0) {
        plain = false;
        continue;
      }
      for (let k = begins && inWord ? 2 : 1; k > 0; k--) {
        const cell = k === 2 ? USUAL.length + column : column;
        const bits = page[row + cell] ?? 0;
        if ((bits & bit) !== was) continue;
        page[row + cell] = bits ^ bit;
        counts[cell] = (counts[cell] ?? 0) + by;
      }
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

/** The column of a unit, or -1. */
function usual(unit: number): number {
  return unit < 128 ? (columnOf[unit] ?? -1) : -1;
}
