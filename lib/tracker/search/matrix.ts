// Bits in rows and columns: which of a million things have which of a few properties.

import { PAGE } from "../table/columns.ts";
import type { Bits } from "./posting.ts";

/** Rows whose bits of one column lie together: with 512 that is a line of the processor's cache. */
const RUN = 512;

const RUN_WORDS = RUN / 32;

/** How far the words of bits of two columns are apart. */
export const COLUMN_STEP = RUN_WORDS;

/** A row's bits are near each other, so that it comes and goes quickly; so are a column's, so that it is read quickly. */
export class Matrix {
  readonly #width: number;
  readonly #pages: Int32Array[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  /** Sets or clears a bit. */
  set(row: number, column: number, present: boolean): void {
    while (row >= this.#pages.length * PAGE) this.#pages.push(new Int32Array((PAGE / 32) * this.#width));
    const page = this.#pages[Math.floor(row / PAGE)];
    if (page === undefined) return;
    const within = row % PAGE;
    const at = (Math.floor(within / RUN) * this.#width + column) * RUN_WORDS + ((within % RUN) >>> 5);
    const bits = page[at] ?? 0;
    const bit = 1 << (row & 31);
    page[at] = present ? bits | bit : bits & ~bit;
  }

  /** The page that has a word of bits. */
  page(w: number): Int32Array | undefined {
    return this.#pages[Math.floor(w / (PAGE / 32))];
  }

  /** Where a word of bits of the first column is in its page; that of each other column is COLUMN_STEP further. */
  start(w: number): number {
    const within = w % (PAGE / 32);
    return Math.floor(within / RUN_WORDS) * this.#width * RUN_WORDS + (within % RUN_WORDS);
  }

  /** Adds the rows that have a column's property to a set with room for all of them. */
  addTo(column: number, bits: Bits): void {
    for (const [p, page] of this.#pages.entries()) {
      for (let run = 0; run < PAGE / RUN; run++) {
        const from = (run * this.#width + column) * RUN_WORDS;
        const to = (p * PAGE) / 32 + run * RUN_WORDS;
        for (let w = 0; w < RUN_WORDS; w++) bits[to + w] = (bits[to + w] ?? 0) | (page[from + w] ?? 0);
      }
    }
  }
}
