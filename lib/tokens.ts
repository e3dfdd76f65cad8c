// The runs of letters and digits in names: which slots each is in, and which of them contain a text.

import { Chains } from "./chains.ts";
import { Ints, Places } from "./columns.ts";
import { type Bits, Posting, postingOf, removeFrom, setBit } from "./posting.ts";
import { hashOf, Texts } from "./texts.ts";
import type { Word } from "./words.ts";

/** Where in a token a text must be. */
export type Where = "any" | "start" | "end" | "whole";

/** Tokens have numbers; 2- and 3-grams lead to them. Most are in one slot only, so that slot is all that is kept. */
export class Tokens {
  readonly #texts = new Texts();
  readonly #places = new Places();
  readonly #chains: Chains;
  /** The only slot and one more, or below 0 the number of the posting; 0: no such token. */
  readonly #slots = new Ints();
  readonly #postings: (Posting | undefined)[] = [];
  readonly #freePostings = new Places();
  readonly #grams = new Map<number, Posting>();

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
    if (known < 0) return this.#make(text, slot);
    const only = this.#slots.get(known);
    if (only > 0) {
      const posting = new Posting();
      const place = this.#freePostings.take();
      this.#postings[place] = posting;
      this.#slots.set(known, -place - 1);
      posting.add(only - 1, words);
      posting.add(slot, words);
    } else this.#posting(only)?.add(slot, words);
    return known;
  }

  /** Takes a slot off a token that it is in. */
  remove(text: string, slot: number): void {
    const id = this.find(text);
    if (id < 0) return;
    const only = this.#slots.get(id);
    if (only < 0) {
      const posting = this.#posting(only);
      posting?.delete(slot);
      if (posting === undefined || posting.count > 1) return;
      posting.each((last) => this.#slots.set(id, last + 1));
      this.#postings[-only - 1] = undefined;
      this.#freePostings.giveBack(-only - 1);
      return;
    }
    for (const gram of gramsOf(text)) removeFrom(this.#grams, gram, id);
    this.#chains.remove(id);
    this.#slots.set(id, 0);
    this.#texts.drop(id);
    this.#places.giveBack(id);
  }

  /** How many slots a token is in. */
  count(id: number): number {
    const only = this.#slots.get(id);
    return only > 0 ? 1 : (this.#posting(only)?.count ?? 0);
  }

  addSlotsTo(id: number, bits: Bits): void {
    const only = this.#slots.get(id);
    if (only > 0) setBit(bits, only - 1);
    else this.#posting(only)?.addTo(bits);
  }

  startsWith(id: number, text: string): boolean {
    return this.#texts.has(id, text, 0);
  }

  /** Visits the tokens that have a text of two units or more where it must be. */
  each(text: string, where: Where, visit: (id: number) => void): void {
    if (where === "whole") {
      const id = this.find(text);
      if (id >= 0) visit(id);
      return;
    }
    const texts = this.#texts;
    const known = text.length <= 3 && where === "any";
    this.shortest(text)?.each((id) => {
      if (
        known ||
        (where === "start"
          ? texts.has(id, text, 0)
          : where === "end"
            ? texts.has(id, text, texts.length(id) - text.length)
            : texts.includes(id, text))
      )
        visit(id);
    });
  }

  /** Visits the tokens that fit a word by themselves; `part` is what they must contain. */
  eachFitting(word: Word, part: string, visit: (id: number) => void): void {
    const look = (id: number) => {
      if (this.#texts.fits(id, word)) visit(id);
    };
    if (part.length > 1) this.shortest(part)?.each(look);
    else for (let id = 0; id < this.end; id++) look(id);
  }

  /** The shortest list of tokens that a text of two units or more must be in; undefined when there is none. */
  shortest(text: string): Posting | undefined {
    const length = Math.min(3, text.length);
    let shortest: Posting | undefined;
    for (let at = 0; at + length <= text.length; at++) {
      const ids = this.#grams.get(gramOf(text, at, length));
      if (ids === undefined) return undefined;
      if (shortest === undefined || ids.count < shortest.count) shortest = ids;
    }
    return shortest;
  }

  #make(text: string, slot: number): number {
    const id = this.#places.take();
    this.#texts.set(id, text);
    this.#chains.add(id);
    this.#slots.set(id, slot + 1);
    const words = Math.ceil(this.#places.end / 32);
    for (const gram of gramsOf(text)) postingOf(this.#grams, gram).add(id, words);
    return id;
  }

  #posting(place: number): Posting | undefined {
    return this.#postings[-place - 1];
  }
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
