// Many sets of numbers, by number: those of one member are that, those of a few are chained in columns, and larger ones postings.

import { Ints, Places } from "../table/columns.ts";
import { type Bits, Posting, setBit } from "./posting.ts";

/** Members of a chain at most; a posting of so few becomes one again. */
const LONGEST = 12;

const SHORT = 6;

export class Sets {
  /** 0: empty; above 0 the only member and one more; below 0 what `#chainOf` and `#postingOf` read. */
  readonly #sets = new Ints();
  /** In chains a member, and the next place of the chain and one more. */
  readonly #links = new Ints();
  readonly #places = new Places();
  readonly #postings: (Posting | undefined)[] = [];
  readonly #freePostings = new Places();

  count(set: number): number {
    const state = this.#sets.get(set);
    if (state >= 0) return state > 0 ? 1 : 0;
    const posting = this.#postingOf(state);
    if (posting !== undefined) return posting.count;
    let count = 0;
    for (let at = chainOf(state); at >= 0; at = this.#nextOf(at)) count += 1;
    return count;
  }

  /** Adds a number that is not in the set. `words`: how many words of bits the greatest number of all needs. */
  add(set: number, member: number, words: number): void {
    const state = this.#sets.get(set);
    const posting = this.#postingOf(state);
    if (state === 0) this.#sets.set(set, member + 1);
    else if (state > 0) this.#setChain(set, this.#link(member, this.#link(state - 1, -1)));
    else if (posting !== undefined) posting.add(member, words);
    else if (this.count(set) < LONGEST) this.#setChain(set, this.#link(member, chainOf(state)));
    else this.#setPosting(set, [member, ...this.#unchain(state)], words);
  }

  /** Takes out a number that is in the set. */
  delete(set: number, member: number): void {
    const state = this.#sets.get(set);
    const posting = this.#postingOf(state);
    if (state >= 0) this.#sets.set(set, 0);
    else if (posting === undefined) this.#deleteFromChain(set, chainOf(state), member);
    else {
      posting.delete(member);
      if (posting.count > SHORT) return;
      let chain = -1;
      posting.each((one) => {
        chain = this.#link(one, chain);
      });
      const place = placeOf(state);
      this.#postings[place] = undefined;
      this.#freePostings.giveBack(place);
      this.#setChain(set, chain);
    }
  }

  addTo(set: number, bits: Bits): void {
    const state = this.#sets.get(set);
    if (state > 0) setBit(bits, state - 1);
    else if (state < 0) {
      const posting = this.#postingOf(state);
      if (posting !== undefined) posting.addTo(bits);
      else for (let at = chainOf(state); at >= 0; at = this.#nextOf(at)) setBit(bits, this.#memberAt(at));
    }
  }

  /** Chains are odd below 0, postings even. */
  #setChain(set: number, first: number): void {
    this.#sets.set(set, -first * 2 - 1);
  }

  #setPosting(set: number, members: number[], words: number): void {
    const posting = new Posting();
    // In order each goes to the end.
    for (const member of members.sort((a, b) => a - b)) posting.add(member, words);
    const place = this.#freePostings.take();
    this.#postings[place] = posting;
    this.#sets.set(set, -place * 2 - 2);
  }

  #postingOf(state: number): Posting | undefined {
    return state < 0 && (state & 1) === 0 ? this.#postings[placeOf(state)] : undefined;
  }

  #link(member: number, next: number): number {
    const place = this.#places.take();
    this.#links.set(place * 2, member);
    this.#links.set(place * 2 + 1, next + 1);
    return place;
  }

  #memberAt(place: number): number {
    return this.#links.get(place * 2);
  }

  #nextOf(place: number): number {
    return this.#links.get(place * 2 + 1) - 1;
  }

  /** The members of a chain, whose places are free from then on. */
  #unchain(state: number): number[] {
    const members: number[] = [];
    for (let at = chainOf(state); at >= 0; at = this.#nextOf(at)) {
      members.push(this.#memberAt(at));
      this.#places.giveBack(at);
    }
    return members;
  }

  #deleteFromChain(set: number, first: number, member: number): void {
    let before = -1;
    let at = first;
    while (at >= 0 && this.#memberAt(at) !== member) {
      before = at;
      at = this.#nextOf(at);
    }
    if (at < 0) return;
    const next = this.#nextOf(at);
    this.#places.giveBack(at);
    const head = before < 0 ? next : first;
    if (before >= 0) this.#links.set(before * 2 + 1, next + 1);
    if (this.#nextOf(head) >= 0) {
      this.#setChain(set, head);
      return;
    }
    this.#sets.set(set, this.#memberAt(head) + 1);
    this.#places.giveBack(head);
  }
}

/** The place of a posting. */
function placeOf(state: number): number {
  return (-state - 2) >> 1;
}

/** The first place of a chain. */
function chainOf(state: number): number {
  return (-state - 1) >> 1;
}
