// Decides when a tracker that was taken for a basic one is tried with FT/2 again.
//
// A tracker of FT/2 that was very busy may have been taken for a basic one. On FT/1 a peer serves everybody, so a mistake must end soon.

import type { Clock } from "../../clock.ts";

/** The first try comes after this time, and each further one after four times as long. Milliseconds. */
const FIRST_MS = 1_000;
/** The longest time before a try. Milliseconds. */
const LONGEST_MS = 600_000;

export class FullTries {
  readonly #clock: Clock;
  #cancel = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tries until `tryFull` succeeds, or `isBasic` is no longer so. */
  begin(tryFull: () => Promise<void>, isBasic: () => boolean, wait = FIRST_MS): void {
    this.stop();
    this.#cancel = this.#clock.after(wait, () => {
      tryFull().catch(() => {
        if (isBasic()) this.begin(tryFull, isBasic, Math.min(LONGEST_MS, 4 * wait));
      });
    });
  }

  stop(): void {
    this.#cancel();
  }
}
