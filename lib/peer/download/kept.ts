// What a person is told of the bytes of a download that did not end: how much of them the next run still has. Where the sentence is made,
// that is not known yet.

import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";

/**
 * How much of what arrived the next run has. `part`: the disk could not keep all of it. `nothing`: it begins again, because there is no
 * content id to prove old bytes with, or nothing was kept.
 */
export type Kept = "all" | "part" | "nothing";

/** A download that the person stopped, and of which not all was kept. */
class StoppedError extends CancelledError {
  readonly kept: Kept;

  constructor(kept: Kept) {
    super();
    this.kept = kept;
  }
}

/**
 * The promise in sentences about downloads that failed: `Your progress is saved.`, or `…; run the same command to resume.` An error that was
 * given to `withKept` before may have the other one.
 */
const PROMISE =
  / (?:Your progress is saved|Part of your progress may be fetched again)(?:\.|(; run the same command to resume)\.)/;

/** The error with a sentence that promises no more than was kept. */
export function withKept(error: unknown, kept: Kept): unknown {
  if (kept === "all") return error;
  if (error instanceof CancelledError) return new StoppedError(kept);
  const sentence = sentenceOf(error);
  const trueOne = sentence.replace(PROMISE, (_, resume: string = "") => {
    if (kept === "part") return ` Part of your progress may be fetched again${resume}.`;
    return resume === "" ? "" : " Run the same command again.";
  });
  return trueOne === sentence ? error : new FtError(codeOf(error) || "failed", trueOne, { cause: error });
}

/** How much was kept of a download that ended with this error, which `withKept` has seen. */
export function keptOf(error: unknown): Kept {
  return error instanceof StoppedError ? error.kept : "all";
}

/** What a person is told who has stopped a download. `again` is how it goes on, such as "run the same command". */
export function stoppedSentence(kept: Kept, again: string): string {
  if (kept === "all") return `Stopped. Progress saved; ${again} to resume.`;
  if (kept === "nothing") return `Stopped. It cannot be resumed: ${again} to fetch it from its beginning.`;
  return `Stopped. Part of your progress may be fetched again; ${again} to resume.`;
}

/** How much was kept of several downloads together. */
export function leastOf(kept: ReadonlySet<Kept>): Kept {
  if (kept.has("part") || (kept.has("nothing") && kept.size > 1)) return "part";
  return kept.has("nothing") ? "nothing" : "all";
}
