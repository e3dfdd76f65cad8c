// Limits how often something may happen per second. It only says whether it may happen now. It does not wait itself.

import type { Clock } from "./clock.ts";

/** A limit on requests per second. After a pause, `burst` requests may come at once. */
export class Allowance {
  readonly #rate: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #at: number;

  constructor(rate: number, burst: number, clock: Clock) {
    this.#rate = rate;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#at = clock.elapsed();
  }

  /** Counts requests that were already made, even above the limit. `left` stays false until enough time has passed for them. */
  spend(count = 1): void {
    this.#tokens -= count;
  }

  /** Whether a request may be made now. */
  get left(): boolean {
    return this.has(1);
  }

  /** Whether this number of requests may be made now, all at once. */
  has(count: number): boolean {
    const now = this.#clock.elapsed();
    // A clock that was set back gives nothing, and takes nothing away.
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    return this.#tokens >= count;
  }

  /** Counts one request if it may be made now. Says whether it may. */
  take(): boolean {
    if (!this.left) return false;
    this.#tokens -= 1;
    return true;
  }
}
