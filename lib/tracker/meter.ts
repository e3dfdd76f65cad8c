// Counts one kind of event: its total, and its rate per second over the last minute.

import type { Clock } from "../clock.ts";

/** The rate is the average over this time. Seconds. */
const SECONDS = 60;

/** The events of one second. */
interface Count {
  readonly second: number;
  events: number;
}

export class Meter {
  readonly #clock: Clock;
  readonly #from: number;
  /** The count of each second in which something happened, of the last 60 such seconds. The keys are seconds of the clock's `elapsed`. */
  readonly #counts = new Map<number, Count>();
  /** The count of the second in which something happened last. Most events come in the second of the event before. */
  #latest: Count = { second: Number.NaN, events: 0 };
  total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.elapsed();
  }

  /** Counts one event. `now`: the time, for a caller that knows it already. Milliseconds of the clock's `elapsed`. */
  count(now = this.#clock.elapsed()): void {
    const second = Math.floor(now / 1000);
    if (this.#latest.second !== second) this.#latest = this.#countOf(second);
    this.#latest.events += 1;
    this.total += 1;
  }

  #countOf(second: number): Count {
    const count = this.#counts.get(second) ?? { second, events: 0 };
    this.#counts.set(second, count);
    if (this.#counts.size > SECONDS) this.#counts.delete(this.#counts.keys().next().value ?? 0);
    return count;
  }

  /** Events per second, over the last minute, or over the time since this meter was made if that is shorter. */
  get rate(): number {
    const now = Math.floor(this.#clock.elapsed() / 1000);
    let sum = 0;
    for (const { second, events } of this.#counts.values()) if (now - second < SECONDS) sum += events;
    const over = Math.min(SECONDS, Math.max(1, (this.#clock.elapsed() - this.#from) / 1000));
    return sum / over;
  }
}
