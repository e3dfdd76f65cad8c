// Fetches the files that a person has chosen in the prompts, and shows how far each of them is.

import { systemClock } from "../../../clock.ts";
import { CancelledError, codeOf, sentenceOf } from "../../../error.ts";
import { contentKeyOf } from "../../../protocol/folder.ts";
import type { FileRecord } from "../../../protocol/record.ts";
import { formatDuration, formatSize, plural, printable, printableName } from "../../../text.ts";
import { waitForContents } from "../../download/contents.ts";
import type { Downloaded, DownloadOptions } from "../../download/download.ts";
import { type Kept, keptOf, leastOf, stoppedSentence } from "../../download/kept.ts";
import type { Session } from "../../online/session.ts";
import { holderName } from "../../people/holder-name.ts";
import { describeFailed, describeNumbered, describeRenamed } from "../folder-words.ts";
import { Transfer, transferLines, unbroken } from "../progress.ts";
import { describeRenaming } from "../view.ts";
import { withoutCommands } from "../without-commands.ts";
import type { Asking } from "./asking.ts";
import type { Found } from "./finder.ts";

/** The most files that are fetched at the same time. */
const AT_ONCE = 3;

export interface Fetching {
  prompts: Asking;
  session: { readonly requests: Pick<Session["requests"], "holders" | "search"> };
  download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded>;
  /** The folder for fetched files. */
  folder: string;
  overwrite: boolean;
  /** Milliseconds since some fixed moment. */
  elapsed(): number;
}

/** Fetches all of them, and says of each how it ended. Gives those that did not arrive. */
export async function fetchAll(found: Found[], how: Fetching): Promise<Found[]> {
  const { prompts } = how;
  const [own, wanted] = [found.filter((one) => one.own), found.filter((one) => !one.own)];
  for (const { record } of own) prompts.say(`You share "${printableName(record.name)}" yourself.`);
  if (wanted.length === 0) return [];
  const waiting = wanted.map((one) => ({ one, transfer: transferOf(one) }));
  const transfers = waiting.map(({ transfer }) => transfer);
  const left = new Set(wanted);
  /** How much of each stopped one was kept. */
  const kept = new Set<Kept>();
  const title = `Fetching ${wanted.length === 1 ? "a file" : plural(wanted.length, "file")} into ${how.folder}`;
  const stopped = await prompts.during(
    title,
    (width, rows) => transferLines(transfers, width, rows),
    async (stop) => {
      const next = async (): Promise<void> => {
        const job = stop.aborted ? undefined : waiting.shift();
        if (job === undefined) return;
        const stopped = (error: unknown) => kept.add(keptOf(error));
        if (await fetchOne(job.one, job.transfer, how, { stop, stopped })) left.delete(job.one);
        await next();
      };
      await Promise.all(Array.from({ length: AT_ONCE }, next));
      return stop.aborted;
    },
  );
  if (stopped && left.size > 0) prompts.say(stoppedSentence(leastOf(kept), "choose the file again"));
  return [...left];
}

function transferOf({ record, inside }: Found): Transfer {
  return inside === undefined ? new Transfer(record.name, record.size) : new Transfer(inside.path, inside.size);
}

interface Stopping {
  stop: AbortSignal;
  /** The download was stopped, and ended with this error. */
  stopped(error: unknown): void;
}

/** Fetches one file and says how it ended; false when it did not arrive. */
async function fetchOne(
  { record, inside }: Found,
  transfer: Transfer,
  how: Fetching,
  { stop, stopped }: Stopping,
): Promise<boolean> {
  const { prompts, session, folder, overwrite, elapsed } = how;
  const started = elapsed();
  const report = (event: Parameters<Transfer["hear"]>[0]) => transfer.hear(event, elapsed());
  transfer.phase = "asking";
  try {
    const records = await recordsOf(record, session, transfer, stop);
    const done = await how.download(records, { folder, overwrite, signal: stop, report, inside: inside?.path ?? "" });
    const taken =
      done.outcome === "already here" ? "already here" : `in ${unbroken(formatDuration((elapsed() - started) / 1000))}`;
    transfer.over = done.outcome === "already here" ? "already here" : "done";
    prompts.done(
      `${printable(done.path)}: ${unbroken(formatSize(done.size))}, ${taken}, ${done.verified ? "verified" : "not verified"}`,
    );
    const renamed = inside === undefined ? describeRenaming(record.name, done) : undefined;
    if (renamed !== undefined) prompts.say(renamed);
    return tellFiles(done, prompts);
  } catch (error) {
    transfer.over = stop.aborted ? "stopped" : "failed";
    if (stop.aborted) stopped(error);
    else if (codeOf(error) !== "cancelled") prompts.warn(withoutCommands(sentenceOf(error)));
    return false;
  }
}

/** The most files of a folder that are named one by one. */
const MOST_NAMED = 5;

/** Says which files of a folder have another name, and which are missing. False when there are any missing. */
function tellFiles({ inFolder }: Downloaded, prompts: Asking): boolean {
  if (inFolder === undefined) return true;
  const { failed, numbered, renamed } = inFolder;
  for (const words of describeRenamed(renamed, MOST_NAMED)) prompts.say(words);
  for (const one of numbered.slice(0, MOST_NAMED)) prompts.say(describeNumbered(one));
  if (numbered.length > MOST_NAMED) prompts.say(`The same with ${plural(numbered.length - MOST_NAMED, "more file")}.`);
  for (const { path, reason } of failed.slice(0, MOST_NAMED)) prompts.warn(`Not saved: "${printable(path)}" (${reason}).`);
  if (failed.length > 0) prompts.warn(`${describeFailed(inFolder)} Choose the folder again to fetch only the rest.`);
  return failed.length === 0;
}

/** The records of all holders of a content. Without a content id, those of its name and size. */
async function recordsOf(
  record: FileRecord,
  { requests }: Fetching["session"],
  transfer: Transfer,
  stop: AbortSignal,
): Promise<[FileRecord, ...FileRecord[]]> {
  const { root, name, size } = record;
  if (root !== undefined) {
    const holders = (await requests.holders(root)).filter((one) => contentKeyOf(one) === contentKeyOf(record));
    const others = holders.filter((one) => one.address !== record.address || one.port !== record.port);
    const first = holders.find((one) => !others.includes(one)) ?? record;
    // The same content may be shared under other names. It is stored under the chosen one.
    return [{ ...first, name }, ...others];
  }
  // Its holder computes the content id now, or has computed it meanwhile.
  const contents = await waitForContents({
    look: () => {
      if (stop.aborted) throw new CancelledError();
      return requests.search(name);
    },
    fits: (one) => one.size === size,
    isOwn: () => false,
    report: ({ event, record: holder }) => {
      if (event === "reading") transfer.phase = `waiting for ${holderName(holder)} to read its file`;
    },
    clock: systemClock,
  });
  return contents[0]?.records ?? [record];
}
