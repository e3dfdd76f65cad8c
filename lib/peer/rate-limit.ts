// Limits bytes per second. It only says how long to wait. It does not wait itself.

import type { Clock } from "../clock.ts";

/** The burst: after a pause, the bytes of this time may move at once. Seconds. */
const BURST_S = 0.1;

/** The smallest piece worth sending, however low the rate is. Bytes. */
const SMALLEST_STEP = 1024;

/** A limit on bytes per second, which several transfers may share. */
export class RateLimit {
  readonly #rate: number;
  readonly #clock: Clock;
  #balance: number;
  #at: number;

  /** `rate` is in bytes per second. */
  constructor(rate: number, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#balance = rate * BURST_S;
    this.#at = clock.elapsed();
  }

  /** The largest piece to move in one go, in bytes: small, so that many transfers get their turn within a second. */
  get step(): number {
    return Math.max(SMALLEST_STEP, Math.floor(this.#rate * BURST_S));
  }

  /** Counts bytes that are moved now. Gives the milliseconds to wait before more bytes may be moved. */
  spend(bytes: number): number {
    const now = this.#clock.elapsed();
    const earned = ((now - this.#at) / 1000) * this.#rate;
    this.#at = now;
    this.#balance = Math.min(this.#balance + earned, this.#rate * BURST_S) - bytes;
    return this.#balance >= 0 ? 0 : (-this.#balance / this.#rate) * 1000;
  }
}
