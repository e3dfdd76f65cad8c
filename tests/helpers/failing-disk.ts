// A disk that takes every byte and keeps none: each sync fails.

import { mock } from "bun:test";

/** Lets each sync of this process fail with `EIO`. Gives the way to end that. */
export async function failSyncs(): Promise<() => Promise<void>> {
  const real = { ...(await import("node:fs")) };
  const fsync = (_fd: number, done: (error: Error | null) => void) =>
    queueMicrotask(() => done(Object.assign(new Error("i/o error"), { code: "EIO" })));
  await mock.module("node:fs", () => ({ ...real, fsync }));
  return async () => {
    await mock.module("node:fs", () => real);
  };
}
