// Runs a search by words in steps, while others have their turns between the steps.

import type { Clock } from "../../clock.ts";
import type { TrackerReply } from "../connection.ts";
import type { Host } from "./hosts.ts";
import { STEP_MS } from "./search-work.ts";

/** The answer to a search, in steps. A caller that does not go on to its end must call `return`. */
export type Steps = Generator<undefined, TrackerReply>;

export class LongSearch {
  readonly #steps: Steps;
  readonly #host: Host;
  readonly #clock: Clock;
  begun = false;
  #begunAt = 0;

  constructor(steps: Steps, host: Host, clock: Clock) {
    this.#steps = steps;
    this.#host = host;
    this.#clock = clock;
  }

  /** Goes on for `slice` milliseconds of the clock, or to the end. Gives the answer then, and the work since the last call in milliseconds. */
  goOn(slice: number): { work: number; answer: TrackerReply | undefined } {
    if (!this.begun) this.#begunAt = this.#clock.elapsed();
    this.begun = true;
    this.#host.isSearching = true;
    const from = this.#clock.elapsed();
    for (let work = 0; ; ) {
      const { done, value } = this.#steps.next();
      if (done) {
        this.#host.isSearching = false;
        return { work, answer: value };
      }
      work += STEP_MS;
      if (this.#clock.elapsed() - from >= slice) return { work, answer: undefined };
    }
  }

  /** The time since its first step. */
  get seconds(): number {
    return (this.#clock.elapsed() - this.#begunAt) / 1000;
  }

  /** Ends it without an answer. */
  end(): void {
    if (this.begun) this.#host.isSearching = false;
    this.#steps.return({ verb: "NOT FOUND" });
  }
}
