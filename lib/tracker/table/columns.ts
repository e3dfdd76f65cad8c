// Columns of numbers that grow a page at a time, so that growing never copies much at once and unused pages cost nothing.

/** Numbers in a page; a power of two. */
export const PAGE = 4096;

const SHIFT = 12;

/** Signed 32-bit numbers by index; 0 where none was set. */
export class Ints {
  readonly #pages: (Int32Array | undefined)[] = [];

  get(at: number): number {
    return this.#pages[at >>> SHIFT]?.[at & (PAGE - 1)] ?? 0;
  }

  set(at: number, value: number): void {
    let page = this.#pages[at >>> SHIFT];
    if (page === undefined) {
      // A column of nothing takes nothing.
      if (value === 0) return;
      page = new Int32Array(PAGE);
      this.#pages[at >>> SHIFT] = page;
    }
    page[at & (PAGE - 1)] = value;
  }
}

/** Doubles by index; 0 where none was set. A class of its own, because code that sees one kind of array is quicker. */
export class Doubles {
  readonly #pages: (Float64Array | undefined)[] = [];

  get(at: number): number {
    return this.#pages[at >>> SHIFT]?.[at & (PAGE - 1)] ?? 0;
  }

  set(at: number, value: number): void {
    let page = this.#pages[at >>> SHIFT];
    if (page === undefined) {
      if (value === 0) return;
      page = new Float64Array(PAGE);
      this.#pages[at >>> SHIFT] = page;
    }
    page[at & (PAGE - 1)] = value;
  }
}

/** Indices from 0 on, given out again once they are given back. */
export class Places {
  readonly #free: number[] = [];
  #used = 0;

  /** One more than the highest that was ever given out. */
  get end(): number {
    return this.#used;
  }

  take(): number {
    return this.#free.pop() ?? this.#used++;
  }

  giveBack(place: number): void {
    this.#free.push(place);
  }
}
