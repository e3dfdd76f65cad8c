// Checks the deadlines of all connections with one timer. Bun's socket timeout fires once, on a grid of four seconds, and closes nothing.

import { type Clock, RunningTime } from "../clock.ts";
import { Crowd, type Placed } from "../crowd.ts";

/** The time between two checks of every connection. Milliseconds. */
const CHECK_EVERY_MS = 200;

interface HasDeadlines extends Placed {
  /** Called every CHECK_EVERY_MS, sometimes twice. `now` is that of `Deadlines`. */
  check(now: number): void;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #time: RunningTime;
  readonly #watched = new Crowd<HasDeadlines>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#time = new RunningTime(clock);
  }

  /** Milliseconds in which this program ran. The other side is not blamed for the time in which it was stopped. */
  now(): number {
    return this.#time.now();
  }

  watch(one: HasDeadlines): void {
    this.#watched.add(one);
    this.#wait();
  }

  forget(one: HasDeadlines): void {
    this.#watched.delete(one);
    if (this.#watched.size > 0) return;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #wait(): void {
    this.#cancel ??= this.#clock.after(CHECK_EVERY_MS, () => {
      this.#cancel = undefined;
      const now = this.now();
      for (const one of this.#watched) one.check(now);
      if (this.#watched.size > 0) this.#wait();
    });
  }
}

const byClock = new WeakMap<Clock, Deadlines>();

/** All connections with the same clock share one timer. */
export function deadlinesOf(clock: Clock): Deadlines {
  const known = byClock.get(clock) ?? new Deadlines(clock);
  byClock.set(clock, known);
  return known;
}
