// Chooses the files that a command shares.

import { UsageError } from "../../error.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/messages.ts";
import { printable } from "../../text.ts";
import { checkDefaultFolder } from "../disk/default-folder.ts";
import { type ChosenFiles, chooseFiles, type LeftOut, type SharedFile } from "../disk/share.ts";
import type { CommandLine } from "../options.ts";
import { describeLeft } from "../screen/view.ts";

/**
 * The files that --share names; without it the first ones of this folder, unless that is a folder from which nobody shares. `limit` is
 * the most files that the tracker takes of one peer.
 */
export function namedOrDefault({ share }: Pick<CommandLine, "share">, limit: number): ChosenFiles {
  if (share.length === 0) checkDefaultFolder(process.cwd());
  return chooseFiles(share.length === 0 ? ["."] : share, limit);
}

/** The files that --share names, up to the tracker's limit. `say` gets the sentence about them. Throws when there are none. */
export function shareNamed(line: Pick<CommandLine, "share">, max: number, say: (words: string) => void): SharedFile[] {
  const chosen = namedOrDefault(line, max);
  if (chosen.taken.length === 0) throw nothingToShare(line, chosen.left);
  say(describeSharing(chosen));
  return chosen.taken;
}

/** The files that a command shares, before a tracker is asked for its limit. Throws a `UsageError` when there are none. */
export function filesToShare(line: Pick<CommandLine, "share">): ChosenFiles {
  const chosen = namedOrDefault(line, DEFAULT_MAX_FILES);
  if (chosen.taken.length === 0) throw nothingToShare(line, chosen.left);
  return chosen;
}

/**
 * The files to share with a tracker, up to its limit. `askLimit` asks for that limit; it matters only when a folder has more files than
 * were chosen. A command that only asks or fetches, and names no folder, does not share more than the usual number.
 */
export async function fillUp(
  line: Pick<CommandLine, "share" | "command">,
  chosen: ChosenFiles,
  askLimit: () => Promise<number>,
): Promise<ChosenFiles> {
  const isMeant = line.share.length > 0 || line.command === "share";
  return isMeant && chosen.left.some(({ surplus }) => surplus) ? namedOrDefault(line, await askLimit()) : chosen;
}

/** The sentence about the files that are shared, and about those that are not. */
export function describeSharing({ taken, left }: ChosenFiles): string {
  const names = taken.map((file) => `"${file.name}"`).join(", ");
  const more = left.some(({ surplus }) => surplus)
    ? " Pack them into one file, or have ft-tracker started with --max-files N."
    : "";
  return `Sharing ${names}.${describeLeft(left)}${more}`;
}

function nothingToShare({ share }: Pick<CommandLine, "share">, [left]: LeftOut[]): UsageError {
  const where = share.length === 0 ? `the folder "${printable(process.cwd())}"` : "what --share names";
  const why = left === undefined ? "" : ` ("${printable(left.path)}": ${left.reason})`;
  return new UsageError(
    `There is no file to share in ${where}${why}. A peer shares at least one: give --share FILE or --share FOLDER.`,
  );
}
