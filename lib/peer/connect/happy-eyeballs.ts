// Connects in several ways, begun one after the other, and takes the first connection that opens (RFC 8305, "Happy Eyeballs").

import type { Clock } from "../../clock.ts";
import { CancelledError, codeOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";

/** An attempt has this time to itself before the next one begins too (RFC 8305, section 5). Milliseconds. */
const ATTEMPT_DELAY_MS = 250;

/**
 * Gives the first connection that opens. Each attempt connects in one way. When an attempt fails, the next one begins at once. When a
 * connection has opened, the signal of the attempts stops the others, and a connection that opens later is closed. Fails with an
 * `AggregateError` of all reasons, in the order of the attempts, or with a `CancelledError`.
 */
export function firstToOpen(
  attempts: ((signal: AbortSignal) => Promise<Channel>)[],
  { clock, headStartMs = ATTEMPT_DELAY_MS, signal }: { clock: Clock; headStartMs?: number; signal?: AbortSignal | undefined },
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const tooLate = new AbortController();
    const errors: unknown[] = [];
    let begun = 0;
    let failed = 0;
    let cancelNext = () => {};

    function end(): void {
      cancelNext();
      signal?.removeEventListener("abort", stop);
      tooLate.abort();
    }

    function stop(): void {
      end();
      reject(new CancelledError());
    }

    function next(): void {
      cancelNext();
      const index = begun;
      const attempt = attempts[index];
      if (attempt === undefined) return;
      begun += 1;
      cancelNext = clock.after(headStartMs, next);
      attempt(tooLate.signal).then(
        (channel) => {
          // Closed in order, not reset: the other side then reports no broken connection.
          if (tooLate.signal.aborted) return channel.finish();
          end();
          resolve(channel);
        },
        (error: unknown) => {
          if (tooLate.signal.aborted) return;
          errors[index] = error;
          failed += 1;
          if (failed < attempts.length) return next();
          end();
          reject(new AggregateError(errors));
        },
      );
    }

    if (signal?.aborted) return stop();
    if (attempts.length === 0) return reject(new AggregateError([]));
    signal?.addEventListener("abort", stop);
    next();
  });
}

/** The most useful reason of several: that a host did not answer in time, else the first. */
export function mainReason(error: unknown): unknown {
  if (!(error instanceof AggregateError)) return error;
  return error.errors.find((reason) => codeOf(reason) === "no-answer") ?? error.errors[0];
}
