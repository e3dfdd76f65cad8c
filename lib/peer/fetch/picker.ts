// Picks the pieces to ask a holder for next. Knows which pieces are here, asked for and common; knows no time and no network.

import type { PieceSet } from "../content/pieces.ts";

/** Pieces in a row. */
export interface PieceRange {
  first: number;
  count: number;
}

/** Remembers which pieces are here and which are asked for, and picks the next ones. */
export class Picker {
  /** The pieces that are here and proven. */
  readonly have: PieceSet;
  readonly #random: () => number;
  readonly #reach: number;
  /** For each piece, the number of requests that have it. */
  readonly #claims: Uint8Array;
  /** For each piece, the number of holders that have it. Undefined while all holders have the whole file. */
  #spread: Uint16Array | undefined;
  /** All pieces before this one are here. */
  #frontier = 0;

  /** `reach`: pieces are picked at most this number behind the first missing one, while there are any. */
  constructor(have: PieceSet, random: () => number, reach = Number.POSITIVE_INFINITY) {
    this.have = have;
    this.#random = random;
    this.#reach = reach;
    this.#claims = new Uint8Array(have.total);
  }

  /** Whether holders are counted, and the rarest pieces are taken first. */
  get counts(): boolean {
    return this.#spread !== undefined;
  }

  /** Counts how many holders have each piece. From then on the rarest are taken first, so that peers have something to exchange. */
  count(sets: Iterable<PieceSet>): void {
    const spread = new Uint16Array(this.have.total);
    for (const set of sets) for (let i = 0; i < spread.length; i++) if (set.has(i)) spread[i] = (spread[i] ?? 0) + 1;
    this.#spread = spread;
  }

  claim({ first, count }: PieceRange): void {
    for (let i = first; i < first + count; i++) this.#claims[i] = (this.#claims[i] ?? 0) + 1;
  }

  unclaim({ first, count }: PieceRange): void {
    for (let i = first; i < first + count; i++) this.#claims[i] = Math.max(0, (this.#claims[i] ?? 0) - 1);
  }

  /** Whether all of it is here. */
  isHere({ first, count }: PieceRange): boolean {
    for (let i = first; i < first + count; i++) if (!this.have.has(i)) return false;
    return true;
  }

  /**
   * Pieces in a row that this holder has and that no holder is asked for: the first ones, or some of the rarest. There is one at least,
   * and there are more while `fits` allows the pieces from `first` up to (not including) `end`. `next` is the piece after those of
   * the last request to this holder: going on there makes long ranges.
   */
  pick(has: PieceSet, next: number, fits: (first: number, end: number) => boolean): PieceRange | undefined {
    const spread = this.#spread;
    const first = spread === undefined ? this.#lowest(has) : this.#rarestInReach(has, next, spread);
    if (first === undefined) return undefined;
    const rarity = spread?.[first] ?? 0;
    let end = first + 1;
    while (this.#isFree(end, has) && fits(first, end + 1) && (spread?.[end] ?? 0) <= rarity) end += 1;
    return { first, count: end - first };
  }

  /** Whether this holder has a piece that is not here. */
  isUseful(has: PieceSet): boolean {
    if (has.complete) return true;
    for (let i = this.#frontier; i < this.have.total; i++) if (has.has(i) && !this.have.has(i)) return true;
    return false;
  }

  /** Whether these pieces may be requested from this holder too: none is here, and each is in at most `most` requests. */
  canRepeat({ first, count }: PieceRange, has: PieceSet, most = 1): boolean {
    for (let i = first; i < first + count; i++) {
      if ((this.#claims[i] ?? 0) > most || this.have.has(i) || !has.has(i)) return false;
    }
    return true;
  }

  #isFree(piece: number, has: PieceSet): boolean {
    return this.#claims[piece] === 0 && !this.have.has(piece) && has.has(piece);
  }

  #lowest(has: PieceSet): number | undefined {
    this.#advance();
    for (let i = this.#frontier; i < this.have.total; i++) if (this.#isFree(i, has)) return i;
    return undefined;
  }

  #rarestInReach(has: PieceSet, next: number, spread: Uint16Array): number | undefined {
    this.#advance();
    for (let reach = this.#reach; ; reach *= 4) {
      const end = Math.min(this.have.total, this.#frontier + reach);
      const found = this.#rarest(has, next, spread, end);
      if (found !== undefined || end === this.have.total) return found;
    }
  }

  #advance(): void {
    while (this.have.has(this.#frontier)) this.#frontier += 1;
  }

  /** Any of the rarest, chosen at random so that each peer takes another one. */
  #rarest(has: PieceSet, next: number, spread: Uint16Array, end: number): number | undefined {
    let least = Number.POSITIVE_INFINITY;
    let found: number | undefined;
    let ties = 0;
    for (let i = this.#frontier; i < end; i++) {
      if (!this.#isFree(i, has)) continue;
      const rarity = spread[i] ?? 0;
      if (rarity > least) continue;
      if (rarity < least) ties = 0;
      least = rarity;
      ties += 1;
      if (this.#random() * ties < 1) found = i;
    }
    return next < end && this.#isFree(next, has) && (spread[next] ?? 0) <= least ? next : found;
  }
}
