// Writes the list of a shared folder, and says which entries may be in it; folder-list.ts reads it. The content id of the list stands for the
// folder, so a folder has one list only:
//
//     size SP root SP path LF
//
// One line for each file, in the order of the bytes of the paths. `size` is in bytes, `root` the content id of the file, `path` its way
// from the folder, with `/` between the parts, in UTF-8 and normalised (NFC). A folder without any file or folder in it has a line, too:
// its path ends in `/`, its size is 0, and its root that of an empty file. There are no dates, owners and rights in a list. A list has at
// most 100,000 files and folders; a folder counts once, however many entries are in it.

import { encodeAll } from "../bytes.ts";
import { byteLength } from "../text.ts";
import { NAME_LIMIT } from "./record.ts";

/** The MIME type of a folder's record. */
export const FOLDER_TYPE = "inode/directory";
/** The content id of an empty file: SHA-256 of nothing. */
export const EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/** The most files and folders of a list together. */
export const MOST_ENTRIES = 100_000;
/** The longest list. Bytes. */
export const LONGEST_LIST = 16 * 1024 * 1024;
/** The longest path. Bytes of UTF-8. */
export const LONGEST_PATH = 4096;
/** The most parts of a path. */
export const DEEPEST_PATH = 64;

/** A line of a folder's list. */
export interface FolderEntry {
  /** Parts with `/` between them. That of an empty folder ends in `/`. */
  path: string;
  /** Bytes. */
  size: number;
  /** The content id, 64 hex digits. */
  root: string;
}

/**
 * Tells contents apart: the same text for the records of one content, undefined while its id is not known. The size counts too, because
 * a holder may lie about it. The form counts, because a file with the bytes of a folder's list has the content id of the folder: each
 * empty file has that of an empty folder.
 */
export function contentKeyOf({ root, size, type }: ContentRecord): string | undefined {
  return root === undefined ? undefined : `${root} ${size}${type === FOLDER_TYPE ? "/" : ""}`;
}

/** What of a record says which content it is of. */
interface ContentRecord {
  root?: string | undefined;
  size: number;
  type: string;
}

export function isFolderEntry({ path }: Pick<FolderEntry, "path">): boolean {
  return path.endsWith("/");
}

/** Why a path cannot stand in a list, as a clause; undefined when it can. An empty folder's path ends in `/`. */
export function refusalOfPath(path: string): string | undefined {
  const parts = (path.endsWith("/") ? path.slice(0, -1) : path).split("/");
  if (parts.length > DEEPEST_PATH) return `it has more than ${DEEPEST_PATH} folders in one another`;
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "a part of its path is empty or made of dots";
  if (!path.isWellFormed() || path.includes("\ufffd")) return "its name is not valid UTF-8";
  if (/[\u0000-\u001f\u007f]/.test(path)) return "its name has a control character";
  if (path.normalize("NFC") !== path) return "its name is not normalised";
  if (parts.some((part) => byteLength(part) > NAME_LIMIT)) return `a name in its path is longer than ${NAME_LIMIT} bytes`;
  if (byteLength(path) > LONGEST_PATH) return `its path is longer than ${LONGEST_PATH} bytes`;
  return undefined;
}

/** Whether path `a` comes before path `b` in a list, by the bytes of their UTF-8: negative, 0 or positive. */
export function comparePaths(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [left, right] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (left === right) continue;
    // Characters beyond U+FFFF are two units from D800 to DFFF here, but come last in UTF-8: `\u{1F600}` after `\uFF21`.
    const [leftIsHalf, rightIsHalf] = [isSurrogate(left), isSurrogate(right)];
    return leftIsHalf === rightIsHalf ? left - right : leftIsHalf ? 1 : -1;
  }
  return a.length - b.length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** The list of these entries. They come in the order of the list, with paths that are fit for it, and each path once. */
export function formatFolderList(entries: Iterable<FolderEntry>): Uint8Array {
  return encodeAll(Iterator.from(entries).map(({ size, root, path }) => `${size} ${root} ${path}\n`));
}
