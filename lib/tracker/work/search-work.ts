// Counts the work of one search: when a step of it is over, so that others have their turns, and when it is refused.
//
// Work is in nanoseconds of an ordinary computer. It is counted, not measured, so that a search costs the same, and comes to the
// same end, on a slow computer and on one that has much else to do.

import { ProtocolError } from "../../error.ts";

/** The work of one step. Milliseconds. */
export const STEP_MS = 1;

const STEP_WORK = STEP_MS * 1_000_000;

/** The most work of one search. */
const MOST_WORK = 500 * STEP_WORK;

export class SearchWork {
  #done = 0;
  #stepEnd = STEP_WORK;

  /** Counts work. Throws a `ProtocolError` when the search has done too much. */
  spend(work: number): void {
    this.#done += work;
    if (this.#done <= MOST_WORK) return;
    throw new ProtocolError("bad-find", "Too many names would have to be read; use longer words, or fewer wildcards.");
  }

  get isStepOver(): boolean {
    return this.#done >= this.#stepEnd;
  }

  beginStep(): void {
    this.#stepEnd = this.#done + STEP_WORK;
  }
}
