// Chooses the files that a command shares.

import { realpathSync } from "node:fs";
import { UsageError } from "../../error.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/numbers.ts";
import { formatSize, plural, printable } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import { checkDefaultFolder } from "../disk/default-folder.ts";
import { SharedFolder } from "../disk/folders/shared-folder.ts";
import { type ChosenFiles, chooseFiles, isFolder, type LeftOut, type SharedFile } from "../disk/share.ts";
import { leftInFolder } from "../screen/event-words.ts";
import { describeLeft, describeNames } from "../screen/view.ts";

/** The most shared files that a sentence names. */
const FILES_NAMED = 10;
/** The most folders that a sentence names. */
const FOLDERS_NAMED = 3;

/**
 * The files that --share names; without it the first ones of this folder, unless that is a folder from which nobody shares. `limit` is
 * the most files that the tracker takes of one peer.
 */
export function namedOrDefault({ share }: Pick<CommandLine, "share">, limit: number): ChosenFiles {
  if (share.length === 0) checkDefaultFolder(process.cwd());
  return chooseFiles(share.length === 0 ? ["."] : share, limit);
}

/** The paths behind "share": the files among them, with those of --share, and the folders, each shared as one. */
export function pathsToShare({ share, paths }: Pick<CommandLine, "share" | "paths">): {
  share: string[];
  folders: SharedFolder[];
} {
  const files: string[] = [];
  const folders: SharedFolder[] = [];
  for (const path of paths) {
    if (isFolder(path)) folders.push(new SharedFolder(realpathSync(path)));
    else files.push(path);
  }
  for (const [i, { name }] of folders.entries()) {
    if (folders.findIndex((other) => other.name === name) === i) continue;
    throw new UsageError(`Cannot share two folders of the name "${printable(name)}". Rename one of them.`);
  }
  return { share: [...share, ...files], folders };
}

/** The sentence about a folder that is shared as one. */
export function describeFolder({ name, files, size, left }: SharedFolder): string {
  const words = `Sharing the folder "${printable(name)}" as one: ${plural(files, "file")}, ${formatSize(size)}.`;
  return words + leftInFolder(Object.fromEntries(left));
}

/** The files that --share names, up to the tracker's limit. `say` gets the sentence about them. Throws when there are none. */
export function shareNamed(
  line: Pick<CommandLine, "share" | "command">,
  max: number,
  say: (words: string) => void,
): SharedFile[] {
  const chosen = namedOrDefault(line, max);
  if (chosen.taken.length === 0) throw nothingToShare(line, chosen.left);
  say(describeSharing(line, chosen));
  return chosen.taken;
}

/** The files that a command shares, before a tracker is asked for its limit. Throws a `UsageError` when there are none. */
export function filesToShare(line: Pick<CommandLine, "share" | "command">): ChosenFiles {
  const chosen = namedOrDefault(line, DEFAULT_MAX_FILES);
  if (chosen.taken.length === 0) throw nothingToShare(line, chosen.left);
  return chosen;
}

/**
 * The files to share with a tracker, up to its limit. `askLimit` asks for that limit; it matters only when there are more files than
 * were chosen. A command that only asks or fetches, and names no folder, does not share more than the usual number.
 */
export async function fillUp(
  line: Pick<CommandLine, "share" | "command">,
  chosen: ChosenFiles,
  askLimit: () => Promise<number>,
): Promise<ChosenFiles> {
  return isMeant(line) && chosen.left.some(({ surplus }) => surplus) ? namedOrDefault(line, await askLimit()) : chosen;
}

/** Whether the person means to share, by naming files or by the command `share`. Then the tracker's limit counts, not the usual number. */
function isMeant({ share, command }: Pick<CommandLine, "share" | "command">): boolean {
  return share.length > 0 || command === "share";
}

/** The sentence about the files that are shared, and about those that are not. */
export function describeSharing(line: Pick<CommandLine, "share" | "command">, { taken, left }: ChosenFiles): string {
  const names = describeNames(
    taken.map(({ name }) => name),
    FILES_NAMED,
  );
  const out = isMeant(line)
    ? " Share their folder as one: ft-peer share FOLDER. Or have ft-tracker started with --max-files N."
    : " Name the files to share with --share, or their folder for all that the tracker takes.";
  return `Sharing ${names}.${describeLeft(left)}${left.some(({ surplus }) => surplus) ? out : ""}`;
}

function nothingToShare({ share, command }: Pick<CommandLine, "share" | "command">, [left]: LeftOut[]): UsageError {
  const folders = share.length === 0 ? [process.cwd()] : share;
  const named = folders.slice(0, FOLDERS_NAMED).map((folder) => `"${printable(folder)}"`);
  const more = folders.length > named.length ? ` and ${folders.length - named.length} more` : "";
  const how = command === "share" ? "Try: ft-peer share FILE" : "Give --share FILE or --share FOLDER.";
  const why = left === undefined ? "" : ` ("${printable(left.path)}": ${left.reason})`;
  return new UsageError(`There is no file to share in ${named.join(", ")}${more}${why}. A peer shares at least one. ${how}`);
}
