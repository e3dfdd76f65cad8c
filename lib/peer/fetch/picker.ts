// Which pieces to ask a holder for next. Knows what is here, what is asked for and what the others have; no time, no network.

import type { PieceSet } from "../content/pieces.ts";

/** Pieces in a row. */
export interface Run {
  first: number;
  count: number;
}

export class Picker {
  /** What is here and verified. */
  readonly have: PieceSet;
  readonly #random: () => number;
  /** How many requests each piece is in. */
  readonly #claims: Uint8Array;
  /** How many holders have each piece; undefined while that does not matter. */
  #spread: Uint16Array | undefined;
  /** All pieces before this one are here. */
  #frontier = 0;

  constructor(have: PieceSet, random: () => number) {
    this.have = have;
    this.#random = random;
    this.#claims = new Uint8Array(have.total);
  }

  /** Whether it is counted who has what, and the rarest are taken first. */
  get counts(): boolean {
    return this.#spread !== undefined;
  }

  /** Counts how many have each piece. From then on the rarest are taken first, so that there is something to exchange. */
  count(sets: Iterable<PieceSet>): void {
    const spread = new Uint16Array(this.have.total);
    for (const set of sets) for (let i = 0; i < spread.length; i++) if (set.has(i)) spread[i] = (spread[i] ?? 0) + 1;
    this.#spread = spread;
  }

  claim({ first, count }: Run): void {
    for (let i = first; i < first + count; i++) this.#claims[i] = (this.#claims[i] ?? 0) + 1;
  }

  unclaim({ first, count }: Run): void {
    for (let i = first; i < first + count; i++) this.#claims[i] = Math.max(0, (this.#claims[i] ?? 0) - 1);
  }

  /** Whether all of it is here. */
  isHere({ first, count }: Run): boolean {
    for (let i = first; i < first + count; i++) if (!this.have.has(i)) return false;
    return true;
  }

  /**
   * Up to `most` pieces in a row that nobody is asked for and this holder has: the lowest, or among the rarest. `next` is where the
   * last request to this holder ended: going on there makes long runs.
   */
  pick(has: PieceSet, next: number, most: number): Run | undefined {
    const spread = this.#spread;
    const first = spread === undefined ? this.#lowest(has) : this.#rarest(has, next, spread);
    if (first === undefined) return undefined;
    const rarity = spread?.[first] ?? 0;
    let end = first + 1;
    while (end < first + most && this.#isFree(end, has) && (spread?.[end] ?? 0) <= rarity) end += 1;
    return { first, count: end - first };
  }

  /** Whether a run that somebody is asked for may be asked of this holder, too: once, and if nothing of it has come. */
  canRepeat({ first, count }: Run, has: PieceSet): boolean {
    for (let i = first; i < first + count; i++) {
      if ((this.#claims[i] ?? 0) > 1 || this.have.has(i) || !has.has(i)) return false;
    }
    return true;
  }

  #isFree(piece: number, has: PieceSet): boolean {
    return this.#claims[piece] === 0 && !this.have.has(piece) && has.has(piece);
  }

  #lowest(has: PieceSet): number | undefined {
    while (this.have.has(this.#frontier)) this.#frontier += 1;
    for (let i = this.#frontier; i < this.have.total; i++) if (this.#isFree(i, has)) return i;
    return undefined;
  }

  /** Any of the rarest, so that everybody takes others. */
  #rarest(has: PieceSet, next: number, spread: Uint16Array): number | undefined {
    let least = Number.POSITIVE_INFINITY;
    let found: number | undefined;
    let ties = 0;
    for (let i = 0; i < this.have.total; i++) {
      if (!this.#isFree(i, has)) continue;
      const rarity = spread[i] ?? 0;
      if (rarity > least) continue;
      if (rarity < least) ties = 0;
      least = rarity;
      ties += 1;
      if (this.#random() * ties < 1) found = i;
    }
    return this.#isFree(next, has) && (spread[next] ?? 0) <= least ? next : found;
  }
}
