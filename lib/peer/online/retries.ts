// Decides when a peer tries again to reach its tracker: after a random wait, so that not all peers reconnect at the same moment. The
// longest wait doubles each time.

import type { SessionOptions } from "./session-types.ts";

/** The longest wait before the first retry. It doubles with each further retry. Milliseconds. */
const FIRST_RETRY_MS = 1_000;
/** The longest wait before any retry. Milliseconds. */
export const LONGEST_RETRY_MS = 25_000;

export class Retries {
  readonly #options: Pick<SessionOptions, "clock" | "random">;
  #count = 0;
  #cancel = () => {};

  constructor(options: Pick<SessionOptions, "clock" | "random">) {
    this.#options = options;
  }

  /** The retries since the wait was reset. The next one counts from when it is planned. */
  get count(): number {
    return this.#count;
  }

  /** Plans the next retry, instead of one that was planned before. `least`: it comes after this time at least. Milliseconds. */
  plan(least: number, retry: () => void): void {
    const { clock, random } = this.#options;
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#count);
    const jitter = this.#count === 0 ? longest * random() : longest * (0.5 + random() / 2);
    this.#count += 1;
    this.#cancel();
    this.#cancel = clock.after(jitter + least, retry);
  }

  /** The wait before the next retry is as short as before a first one. */
  resetWait(): void {
    this.#count = 0;
  }

  /** Gives up the retry that is planned. */
  stop(): void {
    this.#cancel();
  }
}
