// Says that a stopped download waits for a slow disk, before the program ends without waiting any longer.

import type { Clock } from "../../clock.ts";
import { LEAVING_MS } from "../../program/cli.ts";

/** A stopped download that has not ended after this time is said to wait, a second before the program ends. Milliseconds. */
const SLOW_MS = LEAVING_MS - 1_000;

/** Calls `say` when the download goes on for long after the signal has aborted. Gives a function for its end: whether `say` was called. */
export function sayIfSlow(clock: Clock, signal: AbortSignal, say: () => void): () => boolean {
  let said = false;
  let cancel = () => {};
  const begin = () => {
    cancel = clock.after(SLOW_MS, () => {
      said = true;
      say();
    });
  };
  signal.addEventListener("abort", begin);
  return () => {
    signal.removeEventListener("abort", begin);
    cancel();
    return said;
  };
}
