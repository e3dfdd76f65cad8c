// Asks a holder for the dates of a folder's files and folders. They are only a hint: without them the folder arrives all the same.

import type { Clock } from "../../clock.ts";
import { LONGEST_PATH } from "../../protocol/folder.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { Source } from "./source.ts";
import type { FetchTools } from "./types.ts";

/** The dates are not waited for any longer than this. Milliseconds. */
const PATIENCE_MS = 10_000;
/** The most holders that are asked. */
const MOST_ASKED = 3;
/** A date further away from 1970 is left out: no file system keeps it. Milliseconds; the year 9999. */
const FURTHEST = 253_402_300_799_000;

const LF = 10;
/** A longer line is left out. Bytes. */
const LONGEST_LINE = LONGEST_PATH + 32;

type DateTools = Pick<FetchTools, "dial" | "pass" | "keyed" | "signal"> & { clock: Clock };

/** The dates of these paths, in milliseconds since 1970. Empty when no holder gives them. */
export async function fetchDates(
  root: string,
  holders: readonly FileRecord[],
  paths: ReadonlySet<string>,
  tools: DateTools,
): Promise<Map<string, number>> {
  for (const holder of holders.filter(({ part }) => !part).slice(0, MOST_ASKED)) {
    const bytes = await datesOf(root, holder, tools).catch(() => undefined);
    if (bytes !== undefined) return parseDates(bytes, paths);
  }
  return new Map();
}

async function datesOf(
  root: string,
  holder: FileRecord,
  { dial, pass, keyed, signal, clock }: DateTools,
): Promise<Uint8Array | undefined> {
  const channel = await dial(holder, signal === undefined ? {} : { signal });
  const answer = Promise.withResolvers<Uint8Array | undefined>();
  const source = new Source(channel, { folder: root }, 0, {
    dates: answer.resolve,
    bytes: () => undefined,
    served: () => undefined,
    busy: () => undefined,
    lacks: () => undefined,
    failed: () => answer.resolve(undefined),
  });
  const stop = () => answer.resolve(undefined);
  const cancel = clock.after(PATIENCE_MS, stop);
  signal?.addEventListener("abort", stop);
  try {
    source.start(pass(), holder, keyed?.());
    source.askDates();
    return await answer.promise;
  } finally {
    cancel();
    signal?.removeEventListener("abort", stop);
    source.leave();
  }
}

/** Reads lines of milliseconds and path. A line that cannot be read, or is about another path, is left out: dates are kept and passed on. */
export function parseDates(bytes: Uint8Array, paths: ReadonlySet<string>): Map<string, number> {
  const dates = new Map<string, number>();
  const decoder = new TextDecoder();
  for (let start = 0, end = 0; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(LF, start);
    if (end < 0) end = bytes.length;
    if (end - start > LONGEST_LINE) continue;
    const [, time = "", path = ""] = /^(-?\d{1,15}) (.+)$/.exec(decoder.decode(bytes.subarray(start, end))) ?? [];
    if (paths.has(path) && Math.abs(Number(time)) <= FURTHEST) dates.set(path, Number(time));
  }
  return dates;
}
