// Writes and reads the list of a shared folder. The content id of the list stands for the folder, so a folder has one list only:
//
//     size SP root SP path LF
//
// One line for each file, in the order of the bytes of the paths. `size` is in bytes, `root` the content id of the file, `path` its way
// from the folder, with `/` between the parts, in UTF-8 and normalised (NFC). A folder without any file or folder in it has a line, too:
// its path ends in `/`, its size is 0, and its root that of an empty file. There are no dates, owners and rights in a list. A list has at
// most 100,000 files and folders; a folder counts once, however many entries are in it.

import { ProtocolError } from "../error.ts";
import { byteLength } from "../text.ts";
import { parseWhole } from "./address.ts";
import { NAME_LIMIT, parseRoot } from "./record.ts";

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

const encoder = new TextEncoder();

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

/** Entries in the order in which they stand in a list. */
export function sortEntries(entries: readonly FolderEntry[]): FolderEntry[] {
  return entries.toSorted((a, b) => comparePaths(a.path, b.path));
}

/** The list of these entries, which may come in any order. Their paths must be fit for a list, and each must be there once. */
export function formatFolderList(entries: readonly FolderEntry[]): Uint8Array {
  return encoder.encode(
    sortEntries(entries)
      .map(({ size, root, path }) => `${size} ${root} ${path}\n`)
      .join(""),
  );
}

/**
 * Reads a list. Throws a `ProtocolError` when it is not exactly as `formatFolderList` writes it, when it is longer than the limits, or
 * when a path is given twice or leads out of the folder.
 */
export function parseFolderList(bytes: Uint8Array): FolderEntry[] {
  if (bytes.length > LONGEST_LIST) throw bad(`it is longer than ${LONGEST_LIST} bytes`);
  const text = decodeStrictly(bytes);
  if (text !== "" && !text.endsWith("\n")) throw bad("its last line does not end");
  const lines = text.split("\n");
  if (lines.length - 1 > MOST_ENTRIES) throw bad(`it has more than ${MOST_ENTRIES} entries`);
  const entries: FolderEntry[] = [];
  let total = 0;
  for (const line of lines.slice(0, -1)) {
    const entry = parseLine(line);
    const last = entries.at(-1);
    if (last !== undefined) checkOrder(last.path, entry.path);
    total += entry.size;
    if (!Number.isSafeInteger(total)) throw bad("its sizes are too large");
    entries.push(entry);
  }
  checkTree(entries);
  return entries;
}

function decodeStrictly(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad("it is not UTF-8");
  }
}

function parseLine(line: string): FolderEntry {
  const [, sizeText = "", rootText = "", path = ""] = /^(\d+) ([0-9a-f]{64}) (.+)$/s.exec(line) ?? [];
  const size = parseWhole(sizeText);
  const root = parseRoot(rootText);
  if (size === undefined || root === undefined || String(size) !== sizeText) throw bad("a line is not size, root and path");
  const refusal = refusalOfPath(path);
  if (refusal !== undefined) throw bad(refusal);
  if ((path.endsWith("/") || size === 0) && (size !== 0 || root !== EMPTY_ROOT)) throw bad("an empty entry has bytes");
  return { path, size, root };
}

function checkOrder(before: string, path: string): void {
  const order = comparePaths(before, path);
  if (order === 0) throw bad("a path is there twice");
  if (order > 0) throw bad("its lines are not in order");
}

/** No file and no empty folder may be the folder of another entry, and the folders count, too: a short list can name millions of them. */
function checkTree(entries: readonly FolderEntry[]): void {
  const leaves = new Set(entries.map(({ path }) => (path.endsWith("/") ? path.slice(0, -1) : path)));
  if (leaves.size < entries.length) throw bad("a path is both a file and a folder");
  const folders = new Set<string>();
  for (const { path } of entries) {
    // The inner folder first: where it was seen before, so were those around it.
    for (let slash = path.lastIndexOf("/", path.length - 2); slash > 0; slash = path.lastIndexOf("/", slash - 1)) {
      const folder = path.slice(0, slash);
      if (leaves.has(folder)) throw bad("a path is both a file and a folder");
      if (folders.has(folder)) break;
      folders.add(folder);
      if (entries.length + folders.size > MOST_ENTRIES) throw bad(`it has more than ${MOST_ENTRIES} entries`);
    }
  }
}

function bad(why: string): ProtocolError {
  return new ProtocolError("bad-list", `The list of the folder cannot be used: ${why}.`);
}
