// The runs of letters and digits in names: which slots each is in, and which of them contain a text.

import { Chains } from "../table/chains.ts";
import { PAGE, Places } from "../table/columns.ts";
import { hashOf, Texts } from "../table/texts.ts";
import { Matrix } from "./matrix.ts";
import { type Bits, countOf, eachOf, keepIn, type Posting, postingOf, removeFrom } from "./posting.ts";
import { Sets } from "./sets.ts";
import { usual, WORD_COLUMNS } from "./units.ts";
import { isWordUnit, type Word } from "./words.ts";

/** Where in a token a text must be. */
export type Where = "any" | "start" | "end" | "whole";

/** Tokens have numbers; 3-grams lead to them, the last of which is the token's last two units and its end. */
export class Tokens {
  readonly #texts = new Texts();
  readonly #places = new Places();
  readonly #chains: Chains;
  readonly #slots = new Sets();
  /** Which of them have a usual letter or digit, and which end with it. */
  readonly #units = new Matrix(WORD_COLUMNS);
  readonly #ends = new Matrix(WORD_COLUMNS);
  readonly #grams = new Map<number, Posting>();
  /** By the first two units of grams: their third ones. */
  readonly #thirds = new Map<number, number[]>();

  constructor() {
    const texts = this.#texts;
    this.#chains = new Chains({ hash: (id) => texts.hash(id), same: (id, other) => texts.compare(id, other) === 0 });
  }

  /** One more than the highest number of a token. */
  get end(): number {
    return this.#places.end;
  }

  /** The number of a token, or -1. */
  find(text: string): number {
    return this.#chains.first(hashOf(text), (id) => this.#texts.is(id, text));
  }

  /** Puts a slot that is not there yet to a token; gives its number. `words`: how many words of bits all slots need. */
  add(text: string, slot: number, words: number): number {
    const known = this.find(text);
    const id = known < 0 ? this.#make(text) : known;
    this.#slots.add(id, slot, words);
    return id;
  }

  /** Takes a slot off a token that it is in. */
  remove(text: string, slot: number): void {
    const id = this.find(text);
    if (id < 0) return;
    this.#slots.delete(id, slot);
    if (this.#slots.count(id) > 0) return;
    for (const gram of gramsOf(text)) {
      removeFrom(this.#grams, gram, id);
      if (!this.#grams.has(gram)) this.#forgetThird(gram);
    }
    this.#mark(id, text, false);
    this.#chains.remove(id);
    this.#texts.drop(id);
    this.#places.giveBack(id);
  }

  /** How many slots a token is in. */
  count(id: number): number {
    return this.#slots.count(id);
  }

  addSlotsTo(id: number, bits: Bits): void {
    this.#slots.addTo(id, bits);
  }

  startsWith(id: number, text: string): boolean {
    return this.#texts.has(id, text, 0);
  }

  /** Visits the tokens that have a text where it must be; one of a single unit must be their end or all of them. */
  each(text: string, where: Where, visit: (id: number) => void): void {
    if (where === "whole") {
      const id = this.find(text);
      if (id >= 0) visit(id);
      return;
    }
    const texts = this.#texts;
    const known = text.length <= 3 && where === "any";
    const look = (id: number) => {
      if (
        known ||
        (where === "start"
          ? texts.has(id, text, 0)
          : where === "end"
            ? texts.has(id, text, texts.length(id) - text.length)
            : texts.includes(id, text))
      )
        visit(id);
    };
    if (text.length > 1) this.#eachCandidate(text, look);
    else this.#eachWith([text], this.#ends, look);
  }

  /** How many tokens are looked at, at most, for those that have a text somewhere, or end with it. */
  visits(text: string, where: "any" | "end"): number {
    if (text.length > 1) return this.#candidates(text).reduce((sum, { count }) => sum + count, 0);
    const column = usual(text.charCodeAt(0));
    if (column < 0) return this.end;
    const bits = this.#none();
    (where === "end" ? this.#ends : this.#units).addTo(column, bits);
    return countOf(bits, Number.POSITIVE_INFINITY);
  }

  /** Visits the tokens that fit a word by themselves; `parts` is what they must contain, the longest first. */
  eachFitting(word: Word, parts: string[], visit: (id: number) => void): void {
    const look = (id: number) => {
      if (this.#texts.fits(id, word)) visit(id);
    };
    const [longest = ""] = parts;
    if (longest.length > 1) this.#eachCandidate(longest, look);
    else this.#eachWith(parts, this.#units, look);
  }

  /** Visits the tokens that have all of these units, or end with them, and perhaps more if some of them are unusual. */
  #eachWith(units: string[], matrix: Matrix, visit: (id: number) => void): void {
    const bits = this.#none().fill(-1);
    for (const unit of units) {
      const column = usual(unit.charCodeAt(0));
      if (column < 0) continue;
      const more = this.#none();
      matrix.addTo(column, more);
      keepIn(bits, more);
    }
    eachOf(bits, visit);
  }

  /** In how many slots a text of two units or more is at most, as far as that is quickly told; `most` when it is not. */
  weight(text: string, few: number, most: number): number {
    const lists = this.#candidates(text);
    const tokens = lists.reduce((sum, { count }) => sum + count, 0);
    if (tokens > few) return most;
    let weight = 0;
    for (const list of lists) {
      list.each((id) => {
        weight += this.count(id);
      });
    }
    return weight;
  }

  /** Visits the tokens that may have a text of two units or more; of two units some more than once. */
  #eachCandidate(text: string, visit: (id: number) => void): void {
    for (const list of this.#candidates(text)) list.each(visit);
  }

  /** An empty set of tokens. */
  #none(): Bits {
    return new Int32Array(Math.ceil(this.end / PAGE) * (PAGE / 32));
  }

  #candidates(text: string): Posting[] {
    if (text.length === 2) {
      const two = gramOf(text, 0, 0);
      return (this.#thirds.get(Math.floor(two / UNITS)) ?? []).flatMap((third) => this.#grams.get(two + third) ?? []);
    }
    let shortest: Posting | undefined;
    for (let at = 0; at + 3 <= text.length; at++) {
      const ids = this.#grams.get(gramOf(text, at, text.charCodeAt(at + 2)));
      if (ids === undefined) return [];
      if (shortest === undefined || ids.count < shortest.count) shortest = ids;
    }
    return shortest === undefined ? [] : [shortest];
  }

  #mark(id: number, text: string, present: boolean): void {
    for (let at = 0; at < text.length; at++) {
      const column = usual(text.charCodeAt(at));
      if (column < 0) continue;
      this.#units.set(id, column, present);
      if (at === text.length - 1) this.#ends.set(id, column, present);
    }
  }

  #noteThird(gram: number): void {
    const two = Math.floor(gram / UNITS);
    const thirds = this.#thirds.get(two);
    if (thirds === undefined) this.#thirds.set(two, [gram % UNITS]);
    else thirds.push(gram % UNITS);
  }

  #forgetThird(gram: number): void {
    const two = Math.floor(gram / UNITS);
    const thirds = (this.#thirds.get(two) ?? []).filter((third) => third !== gram % UNITS);
    if (thirds.length === 0) this.#thirds.delete(two);
    else this.#thirds.set(two, thirds);
  }

  #make(text: string): number {
    const id = this.#places.take();
    this.#texts.set(id, text);
    this.#chains.add(id);
    this.#mark(id, text, true);
    const words = Math.ceil(this.#places.end / 32);
    for (const gram of gramsOf(text)) {
      if (!this.#grams.has(gram)) this.#noteThird(gram);
      postingOf(this.#grams, gram).add(id, words);
    }
    return id;
  }
}

/** Whether a run of a name is a token: letters and digits are, what stands between them is not. */
export function isToken(run: string): boolean {
  return isWordUnit(run.charCodeAt(0));
}

const UNITS = 65_536;

/** Stands behind the last two units of a token; no unit of a token is 0. */
const END = 0;

/** Two UTF-16 units and a third as one number. */
function gramOf(text: string, at: number, third: number): number {
  return (text.charCodeAt(at) * UNITS + text.charCodeAt(at + 1)) * UNITS + third;
}

/** The different grams of a token. */
function gramsOf(text: string): Iterable<number> {
  const grams: number[] = [];
  for (let at = 0; at + 1 < text.length; at++)
    grams.push(gramOf(text, at, at + 2 < text.length ? text.charCodeAt(at + 2) : END));
  if (grams.length > 24) return new Set(grams);
  return grams.filter((gram, i) => grams.indexOf(gram) === i);
}
