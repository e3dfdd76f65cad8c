// Limits on what may happen in a second: on bytes, and on requests. A limit only says how long to wait. It does not wait itself.

import type { Clock } from "./clock.ts";

/** What may be sent at once after a pause. Seconds of the rate. */
const BURST_S = 0.1;

/** The smallest piece worth sending, however low the rate is. Bytes. */
const SMALLEST_STEP = 1024;

/** A limit on bytes a second, which several transfers may share. */
export class RateLimit {
  readonly #rate: number;
  readonly #clock: Clock;
  #balance: number;
  #at: number;

  /** `rate` is in bytes a second. */
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

/** A limit on requests a second. After a pause, `burst` requests may come at once. */
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

  /** Counts requests, whether they are allowed or not. `left` stays false until the ones above the limit are earned. */
  spend(count = 1): void {
    this.#tokens -= count;
  }

  /** Whether a request may be made now. */
  get left(): boolean {
    const now = this.#clock.elapsed();
    // A clock that was set back gives nothing, and takes nothing away.
    this.#tokens = Math.min(this.#burst, this.#tokens + (Math.max(0, now - this.#at) / 1000) * this.#rate);
    this.#at = now;
    return this.#tokens >= 1;
  }

  /** Counts one request if it may be made now. Says whether it may. */
  take(): boolean {
    if (!this.left) return false;
    this.#tokens -= 1;
    return true;
  }
}
