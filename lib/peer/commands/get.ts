// Runs the get command: fetches the files that were named, one after another. find-contents.ts finds what each name means.

import { type Stats, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, pathFault, sentenceOf, UsageError } from "../../error.ts";
import { goOnWithoutOutput } from "../../program/cli.ts";
import { FOLDER_TYPE } from "../../protocol/folder.ts";
import { formatDuration, formatSize, plural, printable } from "../../text.ts";
import { type CommandLine, rootArgument, slashed } from "../arguments.ts";
import { checkFolder } from "../disk/target-folder.ts";
import { type Content, SeveralContentsError } from "../download/contents.ts";
import type { Downloaded, DownloadOptions } from "../download/download.ts";
import { keptOf, stoppedSentence } from "../download/kept.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { describeFailed, describeNumbered, describeRenamed } from "../screen/folder-words.ts";
import { progressReporter, type Screen } from "../screen/screen.ts";
import { describeDownload, describeRenaming, downloadObject } from "../screen/view.ts";
import { contentsToTry, findInside, type Getting } from "./find-contents.ts";
import { pour } from "./pour.ts";
import { sayIfSlow } from "./slow-stop.ts";
import type { Peer } from "./types.ts";

/** A file that has arrived. Its time is in seconds. */
interface Arrived {
  bytes: number;
  seconds: number;
}

/** Checks that files can be saved where the line says. Throws a sentence. */
export function checkWhere(line: CommandLine): void {
  const { to, output } = line;
  if (to === "-" || output === "-") return;
  try {
    checkFolder(output === undefined ? resolve(to) : placeOf(output).folder);
  } catch (error) {
    throw asTyped(error, line);
  }
}

/** The error with the option that the person has typed, in a sentence that advises to give another folder. */
function asTyped(error: unknown, { output, outputOption }: CommandLine): unknown {
  if (output === undefined || !(error instanceof FtError)) return error;
  const sentence = error.message.replace(/another(?: folder)? with --to\b/, `another path with ${outputOption}`);
  return sentence === error.message ? error : new FtError(error.code, sentence, { cause: error });
}

/** Fetches the files that the line names. Throws a sentence; for one of several files only at the end. */
export async function get(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const { names, to, output } = line;
  const [name = ""] = names;
  if (to === "-" || output === "-") return await getToOutput({ peer, line, screen, signal, name });
  // The file matters more than the lines about it.
  goOnWithoutOutput();
  if (names.length === 1) await getOne({ peer, line, screen, signal, name });
  else await getSeveral({ peer, line, screen, signal });
}

/** Fetches several files one after another. One that fails does not keep the others from coming. */
async function getSeveral(all: Omit<Getting, "name">): Promise<void> {
  const { screen, signal, line } = all;
  const { names } = line;
  // One that is no content id is said before anything is fetched.
  for (const name of names) rootArgument(name);
  const arrived: Arrived[] = [];
  const failed: string[] = [];
  for (const [i, name] of names.entries()) {
    if (signal.aborted) throw new CancelledError();
    screen.note(`${i + 1} of ${names.length}: ${printable(name)}`);
    try {
      arrived.push(await getOne({ ...all, name }));
    } catch (error) {
      if (signal.aborted) throw error;
      failed.push(name);
      const choice = error instanceof SeveralContentsError ? error : undefined;
      const about = { name };
      screen.error(printable(sentenceOf(error)), codeOf(error) || "failed", {
        choices: choice?.choices,
        lines: choice?.lines,
        about,
      });
    }
  }
  const bytes = arrived.reduce((sum, one) => sum + one.bytes, 0);
  const seconds = arrived.reduce((sum, one) => sum + one.seconds, 0);
  if (screen.json)
    screen.object({ event: "total", files: arrived.length, size: bytes, seconds: Number(seconds.toFixed(3)), failed });
  else screen.event(`${arrived.length} of ${plural(names.length, "file")}  ${formatSize(bytes)}  ${formatDuration(seconds)}`);
  if (failed.length === 0) return;
  const quoted = failed.map((name) => `"${printable(name)}"`).join(", ");
  const spaces = failed.length === names.length ? " If this is one name with spaces, put it in quotes." : "";
  throw new FtError("incomplete", `Not fetched: ${quoted}.${spaces}`);
}

async function getOne(getting: Getting): Promise<Arrived> {
  const { peer, line, screen, signal, name } = getting;
  const { contents: found, inside } = await findInside(getting);
  const contents = await contentsToTry(found, getting);
  if (contents[0]?.records[0].type === FOLDER_TYPE) refusePlaceOfFolder(line, name);
  const progress = progressReporter(screen, line.names.length > 1 ? { name } : {});
  const started = performance.now();
  let received = 0;
  const report = (event: FetchEvent) => {
    if (event.event === "progress") received = event.received;
    progress(event);
  };
  const where = line.output === undefined ? { folder: resolve(line.to) } : placeOf(line.output);
  const how = { ...where, inside, overwrite: line.overwrite, only: line.from !== undefined, signal, report };
  const ended = sayIfSlow(systemClock, signal, () => {
    if (received > 0) screen.note("Stopped, while the disk is still being written; run the same command to resume.");
  });
  const { record, done } = await firstOf(contents, how, screen, (content) => peer.download(content.records, how)).catch(
    (error: unknown) => {
      if (!ended() && signal.aborted && received > 0) screen.note(stoppedSentence(keptOf(error), "run the same command"));
      throw asTyped(error, line);
    },
  );
  ended();
  const seconds = (performance.now() - started) / 1000;
  screen.results(screen.json ? [downloadObject(record, done, seconds)] : [describeDownload(done, seconds)]);
  const renamed = describeRenaming("as" in where ? where.as : record.name, done);
  if (renamed !== undefined) screen.note(renamed);
  tellFolder(done, line, screen);
  return { bytes: done.size, seconds };
}

/** Writes one file to standard output, where nothing else is written then. */
async function getToOutput(getting: Getting): Promise<void> {
  const { peer, line, screen, signal, name } = getting;
  const { contents: found, inside } = await findInside(getting);
  if (inside !== "") refusePlaceOfFolder(line, name);
  const contents = await contentsToTry(found, getting);
  const notes = progressReporter(screen);
  const report = (event: FetchEvent) => {
    if (event.event === "away" || event.event === "silent" || event.event === "holder-failed") notes(event);
  };
  const [content] = contents;
  if (content?.records[0].type === FOLDER_TYPE) refusePlaceOfFolder(line, name);
  if (content === undefined) throw new FtError("no-holder", `There is nobody to fetch "${printable(name)}" from.`);
  await pour(peer, content.records, { only: line.from !== undefined, signal, report });
}

/** Throws when a folder, or something in it, is to be saved as one file, or to go to standard output. */
function refusePlaceOfFolder({ to, output, outputOption }: CommandLine, name: string): void {
  const what = slashed(name).includes("/") ? "is in a shared folder" : "is a folder";
  if (to === "-" || output === "-") {
    throw new UsageError(`"${printable(name)}" ${what} and cannot go to standard output. Give --to DIR.`);
  }
  if (output !== undefined)
    throw new UsageError(`"${printable(name)}" ${what} and keeps its name. Give --to DIR instead of ${outputOption}.`);
}

/** The entry at a path that a person typed for a file; undefined when there is none. Throws a sentence when no file can be there. */
function statOf(path: string, shown: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw new UsageError(`Cannot save as "${shown}": ${pathFault(error)}.`);
  }
}

/** The folder and the name of a path that a person typed for a file. Throws a sentence when it is a folder. */
function placeOf(path: string): { folder: string; as: string } {
  const whole = resolve(path);
  const there = statOf(whole, printable(path));
  if (/[\\/]$/.test(path) || there?.isDirectory())
    throw new UsageError(`"${printable(path)}" is a folder. To save into it, give --to.`);
  // A device, a pipe or a socket cannot be replaced by a file, and "null (1)" is not what a person means by /dev/null.
  if (there !== undefined && !there.isFile())
    throw new UsageError(`"${printable(path)}" is not a regular file. For standard output, give -o -`);
  return { folder: dirname(whole), as: basename(whole) };
}

/** Fetches the first of these contents that can be fetched. Throws the sentence of the last one. */
async function firstOf<Done>(
  [content, ...others]: Content[],
  how: Pick<DownloadOptions, "signal">,
  screen: Screen,
  fetch: (content: Content) => Promise<Done>,
) {
  if (content === undefined) throw new FtError("no-holder", "There is no holder to fetch from.");
  try {
    return { record: content.records[0], done: await fetch(content) };
  } catch (error) {
    if (others.length === 0 || how.signal.aborted) throw error;
    screen.note(sentenceOf(error));
    return await firstOf(others, how, screen, fetch);
  }
}

/** The most files of a folder that are named one by one. */
const MOST_NAMED = 20;

/** Says which files of a folder have another name, and which are missing. Throws when there are any of these. */
function tellFolder({ inFolder }: Downloaded, { overwrite }: CommandLine, screen: Screen): void {
  if (inFolder === undefined) return;
  const { failed, numbered, renamed } = inFolder;
  for (const words of describeRenamed(renamed, MOST_NAMED)) screen.note(words);
  for (const one of numbered.slice(0, MOST_NAMED)) screen.note(describeNumbered(one));
  if (numbered.length > MOST_NAMED) screen.note(`And ${numbered.length - MOST_NAMED} more.`);
  if (numbered.length > 0 && overwrite) screen.note("--overwrite replaces single files, and nothing in a folder.");
  if (failed.length === 0) return;
  for (const { path, reason } of failed.slice(0, screen.json ? failed.length : MOST_NAMED)) {
    if (screen.json) screen.object({ event: "file", path, error: reason });
    else screen.note(`Not saved: "${printable(path)}" (${reason}).`);
  }
  throw new FtError("incomplete", `${describeFailed(inFolder)} Run the same command to fetch only the rest.`);
}
