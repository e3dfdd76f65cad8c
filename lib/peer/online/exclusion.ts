// Says why a tracker does not take this peer although it could, and how long the peer waits before it tries again.

import { FtError } from "../../error.ts";
import { timeIn } from "../../protocol/values.ts";
import { formatUntil } from "../../text.ts";

/** The operator of a tracker keeps this peer out. `until`: the end of that time, if it has one. Milliseconds since 1970. */
export interface Exclusion {
  code: "kicked" | "banned";
  until: number | undefined;
}

/** A peer that is banned for longer asks again after this time, because the operator may have changed their mind. Milliseconds. */
const ASK_AGAIN_MS = 600_000;

/** The exclusion that a tracker's ERROR means; undefined for any other refusal. */
export function exclusionIn({ code, words }: { code: string; words: string }): Exclusion | undefined {
  return code === "kicked" || code === "banned" ? { code, until: timeIn(words) } : undefined;
}

/** The refusal of a tracker whose operator keeps this peer out. */
export class ExcludedError extends FtError {
  readonly exclusion: Exclusion;

  constructor(exclusion: Exclusion, now: number) {
    super(exclusion.code, describeExclusion(exclusion, now));
    this.exclusion = exclusion;
  }
}

/** The sentence for the person. */
export function describeExclusion({ code, until }: Exclusion, now: number): string {
  const end = until === undefined ? "" : ` until ${formatUntil(until, now)}`;
  return code === "kicked" ? `The tracker's operator has disconnected you${end}.` : `You are banned from this tracker${end}.`;
}

/** The sentence about what this peer does then. */
export function describeWait({ until }: Exclusion, now: number): string {
  if (until !== undefined && until - now <= ASK_AGAIN_MS) return "This computer comes back by itself then.";
  return `This computer asks again every ${ASK_AGAIN_MS / 60_000} minutes.`;
}

/** The time before this peer tries again. Milliseconds. */
export function waitFor({ until = Number.POSITIVE_INFINITY }: Exclusion, now: number): number {
  return Math.min(ASK_AGAIN_MS, Math.max(0, until - now));
}

/** The reason of a peer that left its tracker because its last file is gone. */
export function withoutFiles(): FtError {
  return new FtError("no-files", "You share no file any more, so you are offline. Share one.");
}
