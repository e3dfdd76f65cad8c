// A hash table of rows in columns of numbers: rows with the same key are one list, in the order in which they came. It grows a
// bucket at a time (linear hashing, Litwin 1980), so that no row pays for all others.

import { Ints } from "./columns.ts";

/** What rows are told apart by; a row keeps its key for as long as it is in the table. */
export interface Keys {
  /** 32 bits. */
  hash(row: number): number;
  same(row: number, other: number): boolean;
}

const FIRST_BUCKETS = 64;
const NONE = -1;

export class Chains {
  readonly #keys: Keys;
  /** For each bucket the first row of its first key, and one more; and for the first row of a key that of the next. */
  readonly #buckets = new Ints();
  readonly #below = new Ints();
  /** The rows of a key are a ring; how far it is from one to the next and to the one before, so that lone rows need no column. */
  readonly #next = new Ints();
  readonly #before = new Ints();
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
    if (first >= 0) {
      const last = this.#beforeOf(first);
      this.#join(last, row);
      this.#join(row, first);
      return first;
    }
    const bucket = this.#bucketOf(hash);
    this.#below.set(row, this.#buckets.get(bucket));
    this.#buckets.set(bucket, row + 1);
    this.#count += 1;
    if (this.#count > this.#size + this.#split) this.#splitOne();
    return NONE;
  }

  /** Takes a row out that is in. */
  remove(row: number): void {
    const next = this.#nextOf(row);
    const bucket = this.#bucketOf(this.#keys.hash(row));
    let above = NONE;
    let at = this.#buckets.get(bucket) - 1;
    while (at >= 0 && at !== row) {
      above = at;
      at = this.#below.get(at) - 1;
    }
    let heir = 0;
    if (next === row) {
      heir = this.#below.get(row);
      this.#count -= 1;
    } else {
      this.#join(this.#beforeOf(row), next);
      this.#join(row, row);
      if (at !== row) return;
      heir = next + 1;
      this.#below.set(next, this.#below.get(row));
    }
    if (above === NONE) this.#buckets.set(bucket, heir);
    else this.#below.set(above, heir);
  }

  /** The first row of the key that fits, or -1. */
  first(hash: number, fits: (row: number) => boolean): number {
    let row = this.#buckets.get(this.#bucketOf(hash)) - 1;
    while (row >= 0 && !fits(row)) row = this.#below.get(row) - 1;
    return row;
  }

  /** The first rows of all keys that may have a hash. */
  firsts(hash: number): number[] {
    const rows: number[] = [];
    for (let row = this.#buckets.get(this.#bucketOf(hash)) - 1; row >= 0; row = this.#below.get(row) - 1) rows.push(row);
    return rows;
  }

  /** The row of the same key behind one, or -1 behind the last; `first` is the first of them. */
  after(row: number, first: number): number {
    const next = this.#nextOf(row);
    return next === first ? NONE : next;
  }

  #nextOf(row: number): number {
    return row + this.#next.get(row);
  }

  #beforeOf(row: number): number {
    return row + this.#before.get(row);
  }

  #join(row: number, next: number): void {
    this.#next.set(row, next - row);
    this.#before.set(next, row - next);
  }

  #bucketOf(hash: number): number {
    const bucket = hash & (this.#size - 1);
    return bucket < this.#split ? hash & (this.#size * 2 - 1) : bucket;
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
      const below = this.#below.get(row) - 1;
      const bucket = this.#bucketOf(this.#keys.hash(row));
      this.#below.set(row, this.#buckets.get(bucket));
      this.#buckets.set(bucket, row + 1);
      row = below;
    }
  }
}
