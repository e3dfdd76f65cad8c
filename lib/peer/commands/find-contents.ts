// Finds the contents that a person means by a name, by a content id, or by a path in a shared folder. Where a name means several contents,
// the person chooses one.

import { systemClock } from "../../clock.ts";
import { CancelledError, FtError } from "../../error.ts";
import { parseEndpoint } from "../../protocol/address.ts";
import { FOLDER_TYPE } from "../../protocol/folder.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { type CommandLine, nameArgument, rootArgument, slashed } from "../arguments.ts";
import { orCancelled } from "../cancel.ts";
import { type Content, type ContentEvent, SeveralContentsError, waitForContents } from "../download/contents.ts";
import { typed } from "../locate/locate.ts";
import { findPeer } from "../people/find-peer.ts";
import { holderWithAddress } from "../people/holder-name.ts";
import { chooseContent } from "../screen/prompts/questions.ts";
import type { Screen } from "../screen/screen.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";
import { choiceLines, choiceObjects, choiceTable, notFoundSentence } from "../screen/view.ts";
import { notFound, similarTo } from "./not-found.ts";
import type { Peer } from "./types.ts";

/** One run of get, and the name that it fetches now. */
export interface Getting {
  peer: Peer;
  line: CommandLine;
  screen: Screen;
  signal: AbortSignal;
  /** A file's name, or root: and a content id. */
  name: string;
  /** This name was looked for before. */
  isAgain?: boolean;
}

/**
 * The contents that a name means. `FOLDER/path` means something inside of a folder, unless there is a file of this whole name: then
 * `inside` is the path in the folder.
 */
export async function findInside(getting: Getting): Promise<{ contents: Content[]; inside: string }> {
  const { name } = getting;
  const path = slashed(name);
  const slash = rootArgument(name) === undefined ? path.indexOf("/") : -1;
  if (slash <= 0) return { contents: await findContents(getting), inside: "" };
  const folder = { ...getting, name: path.slice(0, slash) };
  const contents = await findContents(folder, ({ type }) => type === FOLDER_TYPE).catch((error: unknown) => error);
  if (!Array.isArray(contents)) return { contents: await findContents(getting), inside: "" };
  return {
    contents,
    inside: path
      .slice(slash + 1)
      .replace(/\/+$/, "")
      .normalize("NFC"),
  };
}

/** The contents that a file's name or a content id means, the best first. Throws a sentence when nobody has one. */
async function findContents(getting: Getting, isMeant = (_: FileRecord) => true): Promise<Content[]> {
  const { peer, line, screen, signal, name } = getting;
  const root = rootArgument(name);
  const { requests } = peer.session;
  const from =
    line.from === undefined
      ? undefined
      : (parseEndpoint(line.from) ?? findPeer(line.from, await orCancelled(requests.who(), signal)));
  const contents = await waitForContents({
    look: () => orCancelled(root === undefined ? requests.search(nameArgument(name)) : requests.holders(root), signal),
    fits: (record) =>
      isMeant(record) &&
      (root === undefined || record.root === root) &&
      (from === undefined || (record.address === from.address && record.port === from.port)),
    isOwn: peer.isOwn,
    report: (event) => tellReading(event, screen),
    clock: systemClock,
  });
  if (contents.length > 0) return contents;
  if (line.from !== undefined) {
    throw new FtError("not-found", `"${printable(line.from)}" does not share "${printable(name)}".`);
  }
  if (root !== undefined) throw new FtError("not-found", notFoundSentence(name));
  return await askForSimilar(getting, isMeant);
}

/** Says that a holder has no content id for its file yet. */
function tellReading({ event, record }: ContentEvent, screen: Screen): void {
  const { name, address, port } = record;
  const holder = holderWithAddress(record);
  if (screen.json) screen.object({ event, name, address, port });
  else if (event === "unproven")
    screen.note(`${holder} has not read "${printable(name)}" to the end: what it sends cannot be verified.`);
  else screen.note(`Waiting for ${holder} to read "${printable(name)}": it cannot be verified before. Ctrl-C stops.`);
}

/** Nobody shares a file of exactly this name: offers a similar one to a person, or names similar ones in the error. */
async function askForSimilar(getting: Getting, isMeant: (record: FileRecord) => boolean): Promise<Content[]> {
  const { peer, line, screen, signal, name } = getting;
  const similar = await orCancelled(similarTo(peer, name), signal).catch(() => []);
  if (signal.aborted) throw new CancelledError();
  // Its holder has joined in this moment.
  if (!getting.isAgain && similar.some((one) => one.name === nameArgument(name))) {
    return await findContents({ ...getting, isAgain: true }, isMeant);
  }
  const [best, second] = similar;
  if (best !== undefined && second === undefined && !screen.json && !line.quiet && hasTerminal()) {
    const answer = await promptsOn(signal).choose(`Nobody shares "${printable(name)}". Fetch "${printable(best.name)}"?`, [
      { value: "yes", label: "Yes" },
      { value: "no", label: "No" },
    ]);
    if (answer === "yes") return await findContents({ ...getting, name: best.name });
  }
  throw notFound(name, similar, line, "get");
}

/**
 * The contents to try, in this order. Where a name means several, a person chooses one; without a terminal that is an error, except with
 * --any. For a content id these are all contents that claim it: if they differ in size, only one of them can be right.
 */
export async function contentsToTry(contents: Content[], { line, screen, signal, name: wanted }: Getting): Promise<Content[]> {
  const { any, json, quiet, tracker } = line;
  const [best, second] = contents;
  if (best === undefined || rootArgument(wanted) !== undefined) return contents;
  const name = printable(best.records[0].name);
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
  if (!json && !quiet && hasTerminal()) return [await chooseContent(promptsOn(signal), best.records[0].name, contents)];
  const at = tracker === undefined ? "" : typed(tracker);
  const words = `${count}. Fetch one of them by its content id, or give --any for the first of this list.`;
  throw new SeveralContentsError(words, choiceObjects(contents, at), choiceLines(contents, at));
}
