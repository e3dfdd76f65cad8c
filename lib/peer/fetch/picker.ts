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
  readonly #start: number;
  readonly #group: number;
  readonly #reach: number;
  /** For each piece, the number of requests that have it. */
  readonly #claims: Uint8Array;
  /** For each piece, the number of holders that have it. Undefined while all holders have the whole file. */
  #spread: Uint16Array | undefined;
  /** The pieces that this peer rather than others takes from holders of the whole file. Undefined while all are. */
  #own: PieceSet | undefined;
  /** All pieces before this one are here. */
  #frontier = 0;

  /**
   * `start`: while holders are not counted, pieces are picked in order from this one on, and then from the first. `group`: ranges begin at
   * a multiple of this number of pieces, where they can. `reach`: pieces are picked at most this number behind the first missing one,
   * while there are any.
   */
  constructor(have: PieceSet, random: () => number, { start = 0, group = 1, reach = Number.POSITIVE_INFINITY } = {}) {
    this.have = have;
    this.#random = random;
    this.#start = start;
    this.#group = group;
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

  /**
   * Among equally rare pieces, those of `own` are asked for first at holders of the whole file: such a holder sends each piece to one peer,
   * and the peers give it to each other.
   */
  prefer(own: PieceSet): void {
    this.#own = own;
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
    const found = spread === undefined ? this.#lowest(has) : this.#rarestInReach(has, next, spread);
    if (found === undefined) return undefined;
    const rank = spread === undefined ? 0 : this.#rank(found, has, spread);
    const goesWith = (piece: number) =>
      this.#isFree(piece, has) && (spread === undefined || this.#rank(piece, has, spread) <= rank);
    let first = found;
    while (first % this.#group > 0 && goesWith(first - 1)) first -= 1;
    let end = first + 1;
    while (goesWith(end) && fits(first, end + 1)) end += 1;
    return { first, count: end - first };
  }

  /** Whether a piece is missing that no holder is asked for. */
  get hasFree(): boolean {
    this.#advance();
    for (let i = this.#frontier; i < this.have.total; i++) if (this.#claims[i] === 0 && !this.have.has(i)) return true;
    return false;
  }

  /** A piece with a lower rank is asked for before one with a higher rank. */
  #rank(piece: number, has: PieceSet, spread: Uint16Array): number {
    const isOthers = has.complete && this.#own?.has(piece) === false;
    return 2 * (spread[piece] ?? 0) + Number(isOthers);
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
    for (let i = Math.max(this.#start, this.#frontier); i < this.have.total; i++) if (this.#isFree(i, has)) return i;
    for (let i = this.#frontier; i < this.#start; i++) if (this.#isFree(i, has)) return i;
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
      const rank = this.#rank(i, has, spread);
      if (rank > least) continue;
      if (rank < least) ties = 0;
      least = rank;
      ties += 1;
      if (this.#random() * ties < 1) found = i;
    }
    return next < end && this.#isFree(next, has) && this.#rank(next, has, spread) <= least ? next : found;
  }
}
