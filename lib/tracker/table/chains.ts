// A hash table of rows in columns of numbers: rows with the same key are one list, in the order in which they came. It grows a
// bucket at a time (linear hashing, Litwin 1980), so that no row pays for all others.

import { Ints } from "./columns.ts";

/** What rows are told apart by. */
export interface Keys {
  /** 32 bits, signed. */
  hash(row: number): number;
  same(row: number, other: number): boolean;
}

const FIRST_BUCKETS = 64;

const NONE = -1;

const LATER = -1;

export class Chains {
  readonly #keys: Keys;
  /** For each bucket the first row of its first key, and one more. */
  readonly #buckets = new Ints();
  /**
   * For the first row of a key that of the next in the bucket, and one more; for its other rows LATER. And for each row its hash, so
   * that those with another one are passed by.
   */
  readonly #below = new Ints();
  /** The rows of a key are a ring; how far it is from one to the next and to the one before, so that lone rows need no column. */
  readonly #ring = new Ints();
  /** Buckets when all were split last, and how many have been since. */
  #size = FIRST_BUCKETS;
  #split = 0;
  #count = 0;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  /** How many different keys there are. */
  get count(): number {
    return this.#count;
  }

  /** Adds a row as the last of its key. Gives the first one of that key, or -1. */
  add(row: number): number {
    const hash = this.#keys.hash(row);
    const first = this.first(hash, (other) => this.#keys.same(row, other));
    this.#below.set(row * 2 + 1, hash);
    if (first >= 0) {
      const last = this.#beforeOf(first);
      this.#join(last, row);
      this.#join(row, first);
      this.#below.set(row * 2, LATER);
      return first;
    }
    this.#lead(row, this.#bucketOf(hash));
    this.#count += 1;
    if (this.#count > this.#size + this.#split) this.#splitOne();
    return NONE;
  }

  /** Takes a row out that is in. */
  remove(row: number): void {
    const next = this.#nextOf(row);
    if (this.#below.get(row * 2) === LATER) {
      this.#join(this.#beforeOf(row), next);
      this.#join(row, row);
      return;
    }
    const bucket = this.#bucketOf(this.#hashOf(row));
    let above = NONE;
    let at = this.#buckets.get(bucket) - 1;
    while (at !== row) {
      if (at < 0) throw new RangeError(`Row ${row} is not in the table.`);
      above = at;
      at = this.#belowOf(at);
    }
    let heir = NONE;
    if (next === row) {
      heir = this.#belowOf(row);
      this.#count -= 1;
    } else {
      this.#join(this.#beforeOf(row), next);
      this.#join(row, row);
      heir = next;
      this.#below.set(next * 2, this.#below.get(row * 2));
    }
    if (above === NONE) this.#buckets.set(bucket, heir + 1);
    else this.#below.set(above * 2, heir + 1);
  }

  /** The first row of the key that fits, or -1. */
  first(hash: number, fits: (row: number) => boolean): number {
    let row = this.#buckets.get(this.#bucketOf(hash)) - 1;
    while (row >= 0 && !(this.#hashOf(row) === hash && fits(row))) row = this.#belowOf(row);
    return row;
  }

  /** The first rows of all keys that have a hash. */
  firsts(hash: number): number[] {
    const rows: number[] = [];
    for (let row = this.#buckets.get(this.#bucketOf(hash)) - 1; row >= 0; row = this.#belowOf(row)) {
      if (this.#hashOf(row) === hash) rows.push(row);
    }
    return rows;
  }

  /** The row of the same key behind one, or -1 behind the last; `first` is the first of them. */
  after(row: number, first: number): number {
    const next = this.#nextOf(row);
    return next === first ? NONE : next;
  }

  #belowOf(row: number): number {
    return this.#below.get(row * 2) - 1;
  }

  #hashOf(row: number): number {
    return this.#below.get(row * 2 + 1);
  }

  #nextOf(row: number): number {
    return row + this.#ring.get(row * 2);
  }

  #beforeOf(row: number): number {
    return row + this.#ring.get(row * 2 + 1);
  }

  #join(row: number, next: number): void {
    this.#ring.set(row * 2, next - row);
    this.#ring.set(next * 2 + 1, row - next);
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (this.#size - 1);
    return bucket < this.#split ? hash & (this.#size * 2 - 1) : bucket;
  }

  /** Makes a row the first of a bucket. */
  #lead(row: number, bucket: number): void {
    this.#below.set(row * 2, this.#buckets.get(bucket));
    this.#buckets.set(bucket, row + 1);
  }

  /** Moves the half of one bucket that belongs into a new one. */
  #splitOne(): void {
    let row = this.#buckets.get(this.#split) - 1;
    this.#buckets.set(this.#split, 0);
    this.#split += 1;
    if (this.#split === this.#size) {
      this.#size *= 2;
      this.#split = 0;
    }
    while (row >= 0) {
      const below = this.#belowOf(row);
      this.#lead(row, this.#bucketOf(this.#hashOf(row)));
      row = below;
    }
  }
}
