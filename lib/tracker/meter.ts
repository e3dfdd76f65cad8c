// How often things happen in a tracker: totals, rates a second over the last minute, and refusals by their code.

import type { Clock } from "../clock.ts";

/** A rate is over this time. Seconds. */
const SECONDS = 60;

/** Counts one kind of event. */
export class Meter {
  readonly #clock: Clock;
  readonly #from: number;
  /** The count of each second of the last minute. Second s is at index s % 60. */
  readonly #counts = new Uint32Array(SECONDS);
  /** Which second each of those counts belongs to. Seconds since 1970. */
  readonly #seconds = new Float64Array(SECONDS);
  #total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.at();
  }

  get total(): number {
    return this.#total;
  }

  /** Counts one event. `now`: the time, for a caller that knows it already. Milliseconds since 1970. */
  count(now = this.#clock.at()): void {
    const second = Math.floor(now / 1000);
    const slot = second % SECONDS;
    if (this.#seconds[slot] !== second) {
      this.#seconds[slot] = second;
      this.#counts[slot] = 0;
    }
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#total += 1;
  }

  /** A second, over the last minute, or over the time since this meter was made if that is shorter. */
  get rate(): number {
    const now = Math.floor(this.#clock.at() / 1000);
    let sum = 0;
    for (let i = 0; i < SECONDS; i++) if (now - (this.#seconds[i] ?? 0) < SECONDS) sum += this.#counts[i] ?? 0;
    const over = Math.min(SECONDS, Math.max(1, (this.#clock.at() - this.#from) / 1000));
    return sum / over;
  }

  get now(): { total: number; rate: number } {
    return { total: this.total, rate: this.rate };
  }
}

/** All that a tracker counts for its operator. */
export type Activity = ReturnType<typeof countActivity>;

/** `refusals`: by their code. */
export function countActivity(clock: Clock) {
  const meter = () => new Meter(clock);
  return { requests: meter(), searches: meter(), joins: meter(), refused: meter(), refusals: new Map<string, number>() };
}
