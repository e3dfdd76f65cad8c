// Runs the want command, and the waiting of get: both wait until somebody has a file.

import { CancelledError, FtError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatDuration, formatSize, printable, printableName } from "../../text.ts";
import { type CommandLine, nameArgument, rootArgument, slashed } from "../arguments.ts";
import type { Want } from "../online/wants.ts";
import { holderName } from "../people/holder-name.ts";
import type { Screen } from "../screen/screen.ts";
import { recordObjects } from "../screen/view.ts";
import { get } from "./get.ts";
import type { Peer } from "./types.ts";

/** A longer time is not said: the wait has no end that a person would see. Seconds. */
const LONG_S = 365 * 86_400;
/** The longest timer of the system. Milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Prints each file that fits, and fetches it where that is wanted, until Ctrl-C. */
export async function want(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const found: FileRecord[] = [];
  let arrived = () => {};
  const stop = peer.wants.add(line.wish, (record) => {
    found.push(record);
    arrived();
  });
  screen.note("Waiting for files that fit. Ctrl-C ends that.");
  try {
    while (!signal.aborted) {
      const record = found.shift();
      if (record === undefined) {
        await new Promise<void>((resolve) => {
          arrived = resolve;
          signal.addEventListener("abort", () => resolve(), { once: true });
          if (signal.aborted || found.length > 0) resolve();
        });
        continue;
      }
      tell(record, screen);
      if (line.get) await fetchOne(peer, record, line, screen, signal);
    }
  } finally {
    stop();
  }
}

function tell(record: FileRecord, screen: Screen): void {
  if (screen.json) {
    for (const one of recordObjects([record])) screen.object({ event: "appeared", ...one });
    return;
  }
  const id = record.root === undefined ? "" : `  root:${record.root}`;
  screen.results([`${printableName(record.name)}  ${formatSize(record.size)}  ${holderName(record)}${screen.width ? "" : id}`]);
}

/** A file that cannot be fetched does not keep later ones from coming. */
async function fetchOne(peer: Peer, record: FileRecord, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const name = record.root === undefined ? record.name : `root:${record.root}`;
  try {
    await get(peer, { ...line, names: [name], any: true }, screen, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    screen.error(printable(sentenceOf(error)), "failed", { about: { name: record.name } });
  }
}

/** Waits until somebody has each of the files that get is to fetch. Throws a sentence when the time is over. */
export async function waitForHolders(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const seconds = line.wait ?? 0;
  const ends = performance.now() + seconds * 1000;
  for (const name of line.names) {
    const shown = printable(name);
    const late = setTimeout(
      () => screen.note(`Nobody has "${shown}" yet. Waiting until somebody does; Ctrl-C ends that.`),
      1_000,
    );
    try {
      if (await appears(peer, wantOf(name), line.from, Math.max(0, ends - performance.now()), signal)) continue;
    } finally {
      clearTimeout(late);
    }
    const time = seconds >= LONG_S ? "" : ` within ${formatDuration(seconds)}`;
    throw new FtError("not-found", `Nobody has shared "${shown}"${time}.`);
  }
}

/** The file that a name of get means: by a content id, by a file's name, or by the folder before the first slash. */
function wantOf(name: string): Want {
  const root = rootArgument(name);
  if (root !== undefined) return { words: [], group: true, root };
  const slash = slashed(name).indexOf("/");
  return { words: [], group: true, name: nameArgument(slash > 0 ? name.slice(0, slash) : name) };
}

/** Resolves when it is there: true, or false when the time is over. Ctrl-C is a `CancelledError`. */
async function appears(peer: Peer, want: Want, from: string | undefined, ms: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const cancel = () => reject(new CancelledError());
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  const timer = setTimeout(() => resolve(false), Math.min(ms, LONGEST_TIMER_MS));
  const stop = peer.wants.add(want, (record) => {
    if (from === undefined || isFrom(record, from)) resolve(true);
  });
  try {
    return await promise;
  } finally {
    stop();
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  }
}

function isFrom(record: FileRecord, typed: string): boolean {
  const isNamed = record.by !== undefined && foldPeerName(record.by) === foldPeerName(typed.trim());
  return isNamed || formatEndpoint(record) === typed || record.address === typed;
}
