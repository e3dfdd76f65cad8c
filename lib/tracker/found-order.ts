// Puts the hits of a search in order, the best first. It sorts only the ORDERED best hits, because to sort more would take long. The
// other hits follow in the order in which the search found them.

/** The most hits that are sorted. */
const ORDERED = 2500;

/** A hit. */
export interface Ranked {
  /** The one with the highest key comes first. Of equal ones, the name decides. */
  key: number;
  title: { readonly name: string };
}

/** Negative when the first one comes before the other. */
function compareRanked(one: Ranked, other: Ranked): number {
  if (one.key !== other.key) return other.key - one.key;
  if (one.title.name === other.title.name) return 0;
  return one.title.name < other.title.name ? -1 : 1;
}

export class InOrder<Hit extends Ranked> {
  readonly #needed: number;
  /** The number of hits that are sorted. */
  readonly #most: number;
  /** The best hits: a sorted part, then later hits. When the sorted part is full, a hit that is no better than its last one is not added. */
  readonly #best: Hit[] = [];
  /** The last one of the sorted part, when that is full. */
  #worst: Hit | undefined;
  /** All hits in the order in which they were found, as far as they are needed. */
  readonly #found: Hit[] = [];

  /** `needed`: the number of hits, from the first one on, that the caller will read. */
  constructor(needed: number) {
    this.#needed = needed;
    this.#most = Math.min(needed, ORDERED);
  }

  /** A hit with a lower key is not among the best. */
  get floor(): number {
    return this.#worst?.key ?? 0;
  }

  /** All hits are kept, also those below the floor. */
  get #keepsAll(): boolean {
    return this.#needed > this.#most && this.#found.length < this.#needed + ORDERED;
  }

  /** False when the key alone tells that a hit is not needed. */
  needs(key: number): boolean {
    return key >= this.floor || this.#keepsAll;
  }

  /** Adds a hit that it needs. */
  add(hit: Hit): void {
    if (this.#keepsAll) this.#found.push(hit);
    if (this.#worst !== undefined && compareRanked(hit, this.#worst) >= 0) return;
    this.#best.push(hit);
    if (this.#best.length > 2 * this.#most) this.#cut();
  }

  /** The hits that the caller needs, in order. */
  *inOrder(): Generator<Hit, void> {
    this.#cut();
    const best = new Set(this.#best);
    yield* best;
    for (const hit of this.#found) if (!best.has(hit)) yield hit;
  }

  /** Puts the best in order and forgets the others. */
  #cut(): void {
    this.#best.sort(compareRanked);
    this.#best.length = Math.min(this.#best.length, this.#most);
    if (this.#best.length === this.#most) this.#worst = this.#best.at(-1);
  }
}
