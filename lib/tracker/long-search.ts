// A search by words that goes on while others have their turns.

import type { Clock } from "../clock.ts";
import type { Host } from "./hosts.ts";
import type { TrackerReply } from "./state.ts";

/** A search that has taken this much time of its own ends without a result. Milliseconds. */
const MOST_MS = 500;

/** The answer to a search, in steps. Whoever does not go on to its end calls `return`. */
export type Steps = Generator<undefined, TrackerReply>;

export class LongSearch {
  readonly #steps: Steps;
  readonly #host: Host;
  readonly #clock: Clock;
  /** The time that it has taken, without the turns of others. Milliseconds. */
  #took = 0;
  begun = false;

  constructor(steps: Steps, host: Host, clock: Clock) {
    this.#steps = steps;
    this.#host = host;
    this.#clock = clock;
  }

  /** Goes on for `slice` milliseconds or to the end. Gives the answer then, and the time that it has taken since the last call. */
  goOn(slice: number): { took: number; answer: TrackerReply | undefined } {
    this.begun = true;
    this.#host.isSearching = true;
    const from = this.#clock.elapsed();
    for (;;) {
      const { done, value } = this.#steps.next();
      const took = this.#clock.elapsed() - from;
      if (done) {
        this.#host.isSearching = false;
        return { took, answer: value };
      }
      if (this.#took + took >= MOST_MS) {
        this.end();
        const words = `The search takes longer than ${MOST_MS} ms; use longer words, or fewer wildcards.`;
        return { took, answer: { verb: "ERROR", code: "bad-find", words } };
      }
      if (took < slice) continue;
      this.#took += took;
      return { took, answer: undefined };
    }
  }

  /** Ends it without an answer. */
  end(): void {
    if (this.begun) this.#host.isSearching = false;
    this.#steps.return({ verb: "NOT FOUND" });
  }
}
