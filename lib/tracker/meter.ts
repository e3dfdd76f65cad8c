// Counts one kind of event: its total, and its rate per second over the last minute.

import type { Clock } from "../clock.ts";

/** The rate is the average over this time. Seconds. */
const SECONDS = 60;

export class Meter {
  readonly #clock: Clock;
  readonly #from: number;
  /** The count of each second in which something happened, of the last 60 such seconds. The keys are seconds of the clock's `elapsed`. */
  readonly #counts = new Map<number, number>();
  total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.elapsed();
  }

  /** Counts one event. `now`: the time, for a caller that knows it already. Milliseconds of the clock's `elapsed`. */
  count(now = this.#clock.elapsed()): void {
    const second = Math.floor(now / 1000);
    this.#counts.set(second, (this.#counts.get(second) ?? 0) + 1);
    if (this.#counts.size > SECONDS) this.#counts.delete(this.#counts.keys().next().value ?? 0);
    this.total += 1;
  }

  /** Events per second, over the last minute, or over the time since this meter was made if that is shorter. */
  get rate(): number {
    const now = Math.floor(this.#clock.elapsed() / 1000);
    let sum = 0;
    for (const [second, count] of this.#counts) if (now - second < SECONDS) sum += count;
    const over = Math.min(SECONDS, Math.max(1, (this.#clock.elapsed() - this.#from) / 1000));
    return sum / over;
  }
}
