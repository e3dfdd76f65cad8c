// Makes lists of folders from entries in any order.

import { comparePaths, type FolderEntry, formatFolderList } from "../../lib/protocol/folder.ts";

/** The list of these entries, which may come in any order. */
export function folderList(entries: readonly FolderEntry[]): Uint8Array {
  return formatFolderList(entries.toSorted((a, b) => comparePaths(a.path, b.path)));
}
