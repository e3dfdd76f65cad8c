// Limits on what may happen in a second: bytes, over all transfers of one direction, and requests. They wait for nobody themselves.

import type { Clock } from "./clock.ts";

/** What may go at once after a pause, in seconds of the rate. */
const BURST_S = 0.1;

export class RateLimit {
  readonly #rate: number;
  readonly #clock: Clock;
  #balance: number;
  #at: number;

  /** `rate` in bytes a second. */
  constructor(rate: number, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#balance = rate * BURST_S;
    this.#at = clock.at();
  }

  /** The largest piece to move in one go, so that many transfers get their turn within a second. */
  get step(): number {
    return Math.max(1024, Math.floor(this.#rate * BURST_S));
  }

  /** Counts bytes that go now, and gives the milliseconds to wait before any more may. */
  spend(bytes: number): number {
    const now = this.#clock.at();
    const earned = ((now - this.#at) / 1000) * this.#rate;
    this.#at = now;
    this.#balance = Math.min(this.#balance + earned, this.#rate * BURST_S) - bytes;
    return this.#balance >= 0 ? 0 : (-this.#balance / this.#rate) * 1000;
  }
}

/** A limit on requests: so many a second, after a burst. */
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
    this.#at = clock.at();
  }

  /** Makes one that `left` has allowed; or takes so much at once that it may be more than is left. */
  spend(count = 1): void {
    this.#tokens -= count;
  }

  /** Whether one more may be made now. */
  get left(): boolean {
    const now = this.#clock.at();
    // A clock that was set back gives nothing, and takes nothing away.
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    return this.#tokens >= 1;
  }

  /** Makes one, if that may be; says whether it was. */
  take(): boolean {
    if (!this.left) return false;
    this.#tokens -= 1;
    return true;
  }
}
