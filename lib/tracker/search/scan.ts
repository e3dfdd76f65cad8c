// One page of the search index: which of its names fit a word, and which of those that fit can be among the best.

import { PAGE } from "../table/columns.ts";
import { LENGTH, LENGTH_BITS, NO_PLACE } from "../table/texts.ts";
import type { Best } from "./best.ts";
import { atOf, countAt, ELSEWHERE, PAGE_WORDS, type Slots, type Whole } from "./findpage.ts";
import { type Bits, bitCount, clearBit } from "./posting.ts";
import { fits, fitsBytes, isWordUnit, rankOf, rankOfBytes, type Word } from "./words.ts";

/** What a rank is worth: more than any score. */
export const RANK = 2 ** 51;

/** What is known about the word that ranks. */
export interface Lead {
  readonly text: string;
  readonly whole: string;
  readonly textUnits: number[];
  readonly wholeUnits: number[];
  /** Slots in which a word begins with it; undefined when each name must be looked at. */
  begins: Bits | undefined;
  /** Whether a word does in all of them. */
  beginsSurely: boolean;
  /** The tokens that begin with it. */
  tokens: Uint8Array | undefined;
  /** Slots whose name begins as it does, and those of them that may be the whole; undefined when that is not known. */
  starts: Bits | undefined;
  exact: Bits | undefined;
}

/** What the end of a name tells, by the number of its extension and that in `stem`. */
export interface Ending {
  /** Names with one of these extensions, and before it one of these tokens, fit. */
  exts: Uint8Array;
  stems: Uint8Array | undefined;
  /** Of the others only names with one of these extensions may fit. */
  others: Uint8Array | undefined;
}

/** What a scan asks of each slot, and where it puts it. */
interface Scan {
  /** How many records of a slot pass the filters. */
  passes: ((page: Slots, at: number) => number) | undefined;
  lead: Lead | undefined;
  best: Best;
  all: { slots: number[]; most: number } | undefined;
  groups: Map<Whole, Group>;
  group: boolean;
}

/** A content that fits, with those of its slots that do. */
export interface Group {
  slots: number[];
  ranks: number[];
}

/** Offers what fits in one page to the best, and tells how much it is; contents with several slots are put aside. */
export function scanPage(page: Slots, base: number, bits: Bits, { passes, lead, best, all, groups, group: one }: Scan): number {
  const { score, item, wholes, spread, many, top } = page;
  const { begins, starts, exact } = lead ?? {};
  // Without filters most need not be looked at: they are counted, and are not among the best.
  const quick = passes === undefined && all === undefined;
  const start = base / 32;
  let total = 0;
  let { floor } = best;
  for (let w = 0; w < PAGE_WORDS; w++) {
    const word = bits[start + w] ?? 0;
    if (word === 0) continue;
    let look = word;
    // Those that may have a rank of at least 1, 2 and 3.
    let begun = word;
    let started = word;
    let same = word;
    if (quick) {
      const alone = word & ~(spread[w] ?? 0);
      total += bitCount(alone);
      if (!one) for (let left = alone & (many[w] ?? 0); left !== 0; left &= left - 1) total += -(item[atOf(w, left)] ?? 0) - 1;
      begun = lead === undefined ? 0 : begins === undefined ? alone : alone & (begins[start + w] ?? 0);
      started = starts === undefined ? begun : begun & (starts[start + w] ?? 0);
      same = exact === undefined ? started : started & (exact[start + w] ?? 0);
      const most = top[w] ?? 0;
      look = word & (spread[w] ?? 0);
      if (most + 3 * RANK >= floor) look |= same;
      if (most + 2 * RANK >= floor) look |= started;
      if (most + RANK >= floor) look |= begun;
      if (most >= floor) look |= alone;
    }
    for (let left = look; left !== 0; left &= left - 1) {
      const at = atOf(w, left);
      const scored = score[at] ?? 0;
      if (quick && scored !== ELSEWHERE) {
        const bit = left & -left;
        const likely = (begun & bit) === 0 ? 0 : (started & bit) === 0 ? 1 : (same & bit) === 0 ? 2 : 3;
        if (likely * RANK + scored < floor) continue;
      }
      const records = passes !== undefined ? passes(page, at) : countAt(page, at);
      if (records === 0) continue;
      let rank = 0;
      if (begins !== undefined) {
        const does = ((begins[start + w] ?? 0) & left & -left) !== 0;
        if (does && lead !== undefined) rank = lead.beginsSurely ? rankBegun(page, at, lead) : rankByName(page, at, lead);
      } else if (lead !== undefined) rank = rankByName(page, at, lead);
      if (scored !== ELSEWHERE) {
        if (!quick) total += one ? 1 : records;
        const key = rank * RANK + scored;
        if (key >= floor) {
          best.offer(key, base + at);
          floor = best.floor;
        }
        if (all !== undefined && all.slots.length < all.most) all.slots.push(base + at);
        continue;
      }
      if (!one) total += records;
      const whole = wholes.get(at);
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

function rankByName(page: Slots, at: number, { text, whole, textUnits, wholeUnits }: Lead): number {
  const unit = text.charCodeAt(0);
  if (page.unit[at] !== unit && !isWordUnit(unit)) return 1;
  const place = page.names.places[at] ?? 0;
  if (place === NO_PLACE) return rankOf(page.names.get(at), text, whole);
  const from = place >>> LENGTH_BITS;
  return rankOfBytes(page.names.bytesOf(at), from, from + (place & LENGTH), textUnits, wholeUnits);
}

/** The rank of a slot in which a word begins with the leading one. */
function rankBegun({ unit, first, names }: Slots, at: number, { text, wholeUnits, whole, tokens }: Lead): number {
  if (unit[at] !== text.charCodeAt(0) || (tokens !== undefined && tokens[first[at] ?? 0] !== 1)) return 1;
  if (names.length(at) !== wholeUnits.length) return 2;
  return names.get(at) === whole ? 3 : 2;
}

/** Moves the slots of a page whose names fit by their end from `bits` to `sure`, and takes out those that cannot fit. */
export function siftEnds({ ext, stem }: Slots, base: number, bits: Bits, { exts, stems, others }: Ending, sure: Bits): void {
  for (let w = 0; w < PAGE_WORDS; w++) {
    let does = 0;
    let may = 0;
    for (let left = bits[base + w] ?? 0; left !== 0; left &= left - 1) {
      const at = atOf(w, left);
      const bit = left & -left;
      if ((stems === undefined || stems[stem[at] ?? 0] === 1) && exts[ext[at] ?? 0] === 1) does |= bit;
      else if (others === undefined || others[ext[at] ?? 0] === 1) may |= bit;
    }
    bits[base + w] = may;
    sure[base + w] = (sure[base + w] ?? 0) | does;
  }
}

/** So few slots of a page that their names are far apart. */
const SPARSE = PAGE / 8;

/** Slots of a page that are looked at. */
const looked = new Int32Array(PAGE);

/** What was read only to be near; it is kept so that the reading is not left out. */
const touched = new Uint8Array(1);

/** A unit of a name that is a string costs as much as so many of one that is bytes. */
const STRING_COST = 8;

/** Takes out the slots of a page whose names do not fit a word, or, if not `wanted`, those that do; gives how much was read. */
export function siftPage({ names }: Slots, base: number, bits: Bits, word: Word, wanted: boolean): number {
  const { places } = names;
  let count = 0;
  for (let w = 0; w < PAGE_WORDS; w++) {
    for (let left = bits[base + w] ?? 0; left !== 0; left &= left - 1) looked[count++] = atOf(w, left);
  }
  // Few are far apart: those that are fetched one after the other without a look at them are waited for together.
  for (let i = 0; i < count && count < SPARSE; i++) {
    const at = looked[i] ?? 0;
    touched[0] = (touched[0] ?? 0) ^ (names.bytesOf(at)[(places[at] ?? 0) >>> LENGTH_BITS] ?? 0);
  }
  let read = 0;
  for (let i = 0; i < count; i++) {
    const at = looked[i] ?? 0;
    const place = places[at] ?? 0;
    let does = false;
    if (place === NO_PLACE) {
      const name = names.get(at);
      read += name.length * STRING_COST;
      does = fits(name, word);
    } else {
      const from = place >>> LENGTH_BITS;
      read += place & LENGTH;
      does = fitsBytes(names.bytesOf(at), from, from + (place & LENGTH), word);
    }
    if (does !== wanted) clearBit(bits, base * 32 + at);
  }
  return read;
}
