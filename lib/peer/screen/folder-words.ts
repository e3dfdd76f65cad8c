// Sentences about the files in a fetched folder.

import { plural, printable } from "../../text.ts";
import type { Renamed } from "../disk/folders/folder-layout.ts";
import { whyRenamed } from "../disk/local-name.ts";
import type { Downloaded } from "../download/download.ts";

/** Says under which names the files and folders are stored that could not keep theirs: the first `most` of them one by one. */
export function describeRenamed(renamed: readonly Renamed[], most: number): string[] {
  const lines = renamed.slice(0, most).map(({ path, local }) => {
    const why = whyRenamed(nameOf(path)) ?? "another one there has this name";
    return `"${printable(path)}" is stored as "${printable(nameOf(local))}", because ${why}.`;
  });
  const more = renamed.length - most;
  return more > 0 ? [...lines, `And ${more} more.`] : lines;
}

/** Says under which name a file or a folder is stored whose place was taken by something else. */
export function describeNumbered({ path, local }: Renamed): string {
  if (path.endsWith("/")) return `Something else is at "${printable(path)}": the fetched folder is "${printable(local)}".`;
  return `Another file is at "${printable(path)}": the fetched one is "${printable(local)}".`;
}

/** Says how many files could not be saved; or, when all files were, how many folders. */
export function describeFailed({ files, saved, failed }: NonNullable<Downloaded["inFolder"]>): string {
  const what = saved < files ? `${files - saved} of ${plural(files, "file")}` : plural(failed.length, "empty folder");
  return `${what} could not be saved.`;
}

/** The last part of a path. */
function nameOf(path: string): string {
  const whole = path.endsWith("/") ? path.slice(0, -1) : path;
  return whole.slice(whole.lastIndexOf("/") + 1);
}
