// Several ways to one channel, begun one after the other; the first that opens is taken (as in RFC 8305, "Happy Eyeballs").

import { type Clock, systemClock } from "../clock.ts";
import { CancelledError, codeOf } from "../error.ts";
import type { Channel } from "../net/channel.ts";

/** A way gets this much of a head start before the next one is tried as well. */
const HEAD_START_MS = 250;

export type Attempt = (signal: AbortSignal) => Promise<Channel>;

/**
 * Opens by whichever way is first; a way that fails lets the next one begin at once. Those that lose are told by their signal, and
 * what they open late is closed. Fails with an `AggregateError` of all reasons, in the order of the ways, or a `CancelledError`.
 */
export function firstToOpen(
  ways: Attempt[],
  {
    headStartMs = HEAD_START_MS,
    signal,
    clock = systemClock,
  }: { headStartMs?: number; signal?: AbortSignal | undefined; clock?: Clock } = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const losers = new AbortController();
    const errors: unknown[] = [];
    let begun = 0;
    let failed = 0;
    let over = false;
    let cancelNext = () => {};

    function end(act: () => void): void {
      if (over) return;
      over = true;
      cancelNext();
      signal?.removeEventListener("abort", stop);
      losers.abort();
      act();
    }

    function stop(): void {
      end(() => reject(new CancelledError()));
    }

    function next(): void {
      cancelNext();
      const index = begun;
      const way = ways[index];
      if (over || way === undefined) return;
      begun += 1;
      cancelNext = clock.after(headStartMs, next);
      way(losers.signal).then(
        (channel) => {
          // In order: nothing was said on it, and nobody is to be told that it broke.
          if (over) channel.finish();
          else end(() => resolve(channel));
        },
        (error: unknown) => {
          errors[index] = error;
          failed += 1;
          if (failed === ways.length) end(() => reject(new AggregateError(errors)));
          else next();
        },
      );
    }

    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    else if (ways.length === 0) end(() => reject(new AggregateError([])));
    else next();
  });
}

/** The reason that says most: of several ways the one that got furthest, else the first. */
export function mainReason(error: unknown): unknown {
  if (!(error instanceof AggregateError)) return error;
  return error.errors.find((reason) => codeOf(reason) === "no-answer") ?? error.errors[0];
}
