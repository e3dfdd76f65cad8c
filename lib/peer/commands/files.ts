// Chooses the files that a command shares.

import { UsageError } from "../../error.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/messages.ts";
import { printable } from "../../text.ts";
import { checkDefaultFolder } from "../disk/default-folder.ts";
import { chooseFiles, type SharedFile } from "../disk/share.ts";
import type { CommandLine } from "../options.ts";
import { describeLeft } from "../screen/view.ts";

/** The files that --share names; without it the first ones of this folder, unless that is a folder from which nobody shares. */
export function namedOrDefault({ share }: CommandLine): ReturnType<typeof chooseFiles> {
  if (share.length === 0) checkDefaultFolder(process.cwd());
  return chooseFiles(share.length === 0 ? ["."] : share, DEFAULT_MAX_FILES);
}

/** Chooses the files to share and names them. Throws a `UsageError` when there are none. */
export function filesToShare(line: CommandLine, say: (words: string) => void): SharedFile[] {
  const { taken, left } = namedOrDefault(line);
  if (taken.length === 0) {
    const where = line.share.length === 0 ? `the folder "${printable(process.cwd())}"` : "what --share names";
    const why = left[0] === undefined ? "" : ` ("${printable(left[0].path)}": ${left[0].reason})`;
    throw new UsageError(
      `There is no file to share in ${where}${why}. A peer shares at least one: give --share FILE or --share FOLDER.`,
    );
  }
  say(`Sharing ${taken.map((file) => `"${file.name}"`).join(", ")}.${describeLeft(left)}`);
  return taken;
}
