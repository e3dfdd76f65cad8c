// How often something happens: in all, and a second over the last minute. Time is handed in.

import type { Clock } from "../clock.ts";

const SECONDS = 60;

export class Meter {
  readonly #clock: Clock;
  readonly #from: number;
  /** A count for each second of the last minute, by the second modulo their number; and which second each of them is. */
  readonly #counts = new Uint32Array(SECONDS);
  readonly #seconds = new Float64Array(SECONDS);
  #total = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.at();
  }

  get total(): number {
    return this.#total;
  }

  /** Counts one, now or at a time that is known already, in milliseconds. */
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

  /** A second, over the last minute or since it was made. */
  get rate(): number {
    const now = Math.floor(this.#clock.at() / 1000);
    let sum = 0;
    for (let i = 0; i < SECONDS; i++) if (now - (this.#seconds[i] ?? 0) < SECONDS) sum += this.#counts[i] ?? 0;
    const over = Math.min(SECONDS, Math.max(1, (this.#clock.at() - this.#from) / 1000));
    return sum / over;
  }
}
