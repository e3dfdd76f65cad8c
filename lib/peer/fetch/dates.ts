// Asks a holder for the dates of a folder's files and folders. They are only a hint: without them the folder arrives all the same.

import type { Clock } from "../../clock.ts";
import type { FolderList } from "../../protocol/folder-list.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { FolderDates } from "../content/folder-dates.ts";
import { Source } from "./source.ts";
import type { FetchTools } from "./types.ts";

/** The dates are not waited for any longer than this. Milliseconds. */
const PATIENCE_MS = 10_000;
/** The most holders that are asked. */
const MOST_ASKED = 3;
/** A date further away from 1970 is left out: no file system keeps it. Milliseconds; the year 9999. */
const FURTHEST = 253_402_300_799_000;

const LF = 10;
const SPACE = 32;
/** The longest date: a sign and 15 digits. Bytes. */
const LONGEST_DATE = 16;

type DateTools = Pick<FetchTools, "dial" | "pass" | "keyed" | "signal"> & { clock: Clock };

/** The dates of a folder's entries, as DATES carries them. Empty when no holder gives them. */
export async function fetchDates(root: string, holders: readonly FileRecord[], tools: DateTools): Promise<Uint8Array> {
  for (const holder of holders.filter(({ part }) => !part).slice(0, MOST_ASKED)) {
    const bytes = await datesOf(root, holder, tools).catch(() => undefined);
    if (bytes !== undefined) return bytes;
  }
  return new Uint8Array(0);
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
export function parseDates(bytes: Uint8Array, list: FolderList): FolderDates {
  const dates = new FolderDates(list);
  const decoder = new TextDecoder();
  for (let start = 0, end = 0; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(LF, start);
    if (end < 0) end = bytes.length;
    const space = bytes.indexOf(SPACE, start);
    if (space < 0 || space > end || space - start > LONGEST_DATE) continue;
    const time = decoder.decode(bytes.subarray(start, space));
    if (/^-?\d{1,15}$/.test(time) && Math.abs(Number(time)) <= FURTHEST)
      dates.set(bytes.subarray(space + 1, end), Number(time));
  }
  return dates;
}
