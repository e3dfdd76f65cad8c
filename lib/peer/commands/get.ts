// Runs the get command: finds the contents that a name means, lets a person choose one, and fetches it.

import { resolve } from "node:path";
import { systemClock } from "../../clock.ts";
import { FtError, sentenceOf } from "../../error.ts";
import { parseEndpoint } from "../../protocol/address.ts";
import { printable } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { type Content, SeveralContentsError, waitForContents } from "../contents.ts";
import type { DownloadOptions } from "../download.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { findPeer } from "../find-peer.ts";
import { typed } from "../locate.ts";
import { type CommandLine, nameArgument, rootArgument } from "../options.ts";
import { progressReporter, type Screen } from "../screen/screen.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";
import {
  choiceLines,
  choiceObjects,
  choiceTable,
  describeDownload,
  describeRenaming,
  downloadObject,
  notFoundSentence,
} from "../screen/view.ts";
import type { Peer } from "./types.ts";

/** Fetches the file that the line names. Throws a sentence. */
export async function get(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const contents = await chooseContent(await findContents(peer, line, signal), line, screen, signal);
  const progress = progressReporter(screen);
  const started = performance.now();
  let received = 0;
  const report = (event: FetchEvent) => {
    if (event.event === "progress") received = event.received;
    progress(event);
  };
  const how = { folder: resolve(line.to), overwrite: line.overwrite, only: line.from !== undefined, signal, report };
  const { record, done } = await downloadFirst(peer, contents, how, screen).catch((error: unknown) => {
    if (signal.aborted && received > 0) screen.note("Stopped; what arrived is kept. Run the same command to go on.");
    throw error;
  });
  const seconds = (performance.now() - started) / 1000;
  screen.results(screen.json ? [downloadObject(record, done, seconds)] : [describeDownload(done, seconds)]);
  const renamed = describeRenaming(record.name, done);
  if (renamed !== undefined) screen.note(renamed);
}

/** Downloads the first of these contents that can be fetched. Throws the sentence of the last one. */
async function downloadFirst(peer: Peer, [content, ...others]: Content[], how: DownloadOptions, screen: Screen) {
  if (content === undefined) throw new FtError("no-holder", "There is no holder to fetch from.");
  try {
    return { record: content.records[0], done: await peer.download(content.records, how) };
  } catch (error) {
    if (others.length === 0 || how.signal.aborted) throw error;
    screen.note(sentenceOf(error));
    return await downloadFirst(peer, others, how, screen);
  }
}

/** The contents that a file's name or a content id means, the best first. Throws a sentence when nobody has one. */
async function findContents(peer: Peer, line: CommandLine, signal: AbortSignal): Promise<Content[]> {
  const { argument = "" } = line;
  const root = rootArgument(argument);
  const { requests } = peer.session;
  const from =
    line.from === undefined
      ? undefined
      : (parseEndpoint(line.from) ?? findPeer(line.from, await orCancelled(requests.who(), signal)));
  const contents = await waitForContents({
    look: () => orCancelled(root === undefined ? requests.search(nameArgument(argument)) : requests.holders(root), signal),
    fits: (record) =>
      (root === undefined || record.root === root) &&
      (from === undefined || (record.address === from.address && record.port === from.port)),
    isOwn: peer.isOwn,
    clock: systemClock,
  });
  if (contents.length > 0) return contents;
  const words =
    from === undefined
      ? notFoundSentence(argument)
      : `"${printable(line.from ?? "")}" does not share "${printable(argument)}".`;
  throw new FtError("not-found", words);
}

/**
 * The contents to try, in this order. Where a name means several, a person chooses one; without a terminal that is an error, except with
 * --any. For a content id these are all contents that claim it: if they differ in size, only one of them can be right.
 */
async function chooseContent(contents: Content[], line: CommandLine, screen: Screen, signal: AbortSignal): Promise<Content[]> {
  const { argument = "", any, json, quiet, tracker } = line;
  const [best, second] = contents;
  if (best === undefined || rootArgument(argument) !== undefined) return contents;
  const name = printable(argument);
  if (second === undefined) {
    const { hosts, unproven, records } = best;
    if (records[0].root !== undefined && unproven > hosts) {
      const where = unproven === 1 ? "1 host has" : `${unproven} hosts have`;
      screen.note(`${where} a "${name}" of the same size without a content id; it may be another file.`);
    }
    return [best];
  }
  const count = `${contents.length} different files are called "${name}"`;
  if (any) {
    for (const words of [`${count}. Taking this one:`, ...choiceTable([best])]) screen.note(words);
    return [best];
  }
  if (!json && !quiet && hasTerminal()) return [await promptsOn(signal).chooseContent(argument, contents)];
  const at = tracker === undefined ? "" : typed(tracker);
  const words = `${count}. Fetch one of them by its content id, or give --any for the first of this list.`;
  throw new SeveralContentsError(words, choiceObjects(contents, at), choiceLines(contents, at));
}
