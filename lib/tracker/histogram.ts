// Counts values by size.

export class Histogram {
  /** A value is counted at the first bound that is not below it. */
  readonly bounds: readonly number[];
  /** The number of values at each bound. Those above the last bound are only in `count`. */
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  add(value: number): void {
    const at = this.bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
    this.count += 1;
  }
}
