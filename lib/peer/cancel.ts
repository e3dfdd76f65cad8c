// Waiting that a signal ends.

import { CancelledError } from "../error.ts";

/** Waits for a promise, but throws a `CancelledError` as soon as the signal aborts. The promise's result is then ignored. */
export async function orCancelled<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise: cancelled, reject } = Promise.withResolvers<never>();
  const cancel = () => reject(new CancelledError());
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  promise.catch(() => undefined);
  try {
    return await Promise.race([cancelled, promise]);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
