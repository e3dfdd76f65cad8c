// Looks through a folder that is shared as one: which files and folders are in it, and which are left out. It reads no file, and follows no
// link.

import { type BigIntStats, lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { FtError } from "../../../error.ts";
import { comparePaths, DEEPEST_PATH, EMPTY_ROOT, LONGEST_LIST, MOST_ENTRIES, refusalOfPath } from "../../../protocol/folder.ts";
import { printable } from "../../../text.ts";
import { isHidden } from "../hidden.ts";
import { identityOf } from "../identity.ts";
import { whyUnreadable } from "../unreadable.ts";

const OF_FOLDER = { ENOENT: "there is no such folder", ENOTDIR: "it is not a folder" };
/** Another program has just removed it, or it has a name that Windows cannot open. */
const OF_ENTRY = { ...OF_FOLDER, ENOENT: "cannot be found" };

/** After this number of entries, other work of the program gets its turn. */
const ENTRIES_AT_ONCE = 256;

/**
 * After this number of files, unused memory is collected: some 30 ms. Each file leaves some kilobytes, and by itself the runtime lets
 * them become 100 MB.
 */
export const COLLECTED_AFTER = 10_000;

/** A file in a shared folder. */
export interface WalkedFile {
  /** Its path in the list of the folder. */
  readonly path: string;
  /** Its path from the folder on this disk, where that is another one: it may not be normalised. */
  readonly local: string | undefined;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** While it is the same, the file has not changed. */
  readonly stamp: bigint;
}

/**
 * Device, inode, size and times of a file, as one number: a folder may have 100,000 files. Two of them have the same number with a
 * probability of one in 2^64, which is no matter: it is only compared with the earlier one of the same file.
 */
export function stampOf(entry: BigIntStats): bigint {
  return Bun.hash.wyhash(identityOf(entry));
}

/** The files and folders in a folder. */
export interface Walk {
  /** In the order of the list. */
  files: WalkedFile[];
  /** All folders, with the one that was walked: its path is `/`, those of the others end in `/`. */
  folders: { path: string; modified: number }[];
  /** The paths of the folders that have nothing in them; they end in `/`. */
  empty: string[];
  /** How many entries are left out, by the reason: a clause. */
  left: Map<string, number>;
}

/**
 * Walks a folder. Hidden entries, links, and everything that is neither a file nor a folder are left out and counted. Throws a
 * sentence when the folder cannot be read, or has more entries, or longer names together, than a list can have.
 */
export async function walkFolder(folder: string, signal?: AbortSignal): Promise<Walk> {
  const walk: Walk = { files: [], folders: [], empty: [], left: new Map() };
  const leave = (reason: string) => walk.left.set(reason, (walk.left.get(reason) ?? 0) + 1);
  const waiting = [{ local: "", path: "", depth: 0 }];
  let seen = 0;
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { local, path, depth } = next;
    let entries: string[];
    try {
      const here = join(folder, local);
      entries = readdirSync(here);
      walk.folders.push({ path: path === "" ? "/" : path, modified: Number(lstatSync(here, { bigint: true }).mtimeMs) });
    } catch (error) {
      if (path === "")
        throw new FtError("unreadable", `Cannot share the folder "${printable(folder)}": ${whyUnreadable(error, OF_FOLDER)}.`);
      leave(whyUnreadable(error, OF_FOLDER));
      continue;
    }
    const taken = new Set<string>();
    for (const name of entries) {
      if (++seen % ENTRIES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if (seen % COLLECTED_AFTER === 0) Bun.gc(true);
      signal?.throwIfAborted();
      const own = path + name.normalize("NFC");
      const reason = isHidden(join(folder, local, name))
        ? "hidden"
        : depth + 1 > DEEPEST_PATH
          ? "too deep"
          : refusalOfPath(own);
      const found = reason === undefined ? look(join(folder, local, name)) : { reason };
      if ("reason" in found) leave(found.reason);
      else if (taken.has(own)) leave("another entry has the same name");
      else {
        taken.add(own);
        const there = local + name;
        if (found.isFolder) waiting.push({ local: `${there}/`, path: `${own}/`, depth: depth + 1 });
        else walk.files.push({ path: own, local: there === own ? undefined : there, ...found.file });
      }
      if (walk.files.length + walk.folders.length + waiting.length > MOST_ENTRIES) throw tooMany(folder);
    }
    if (taken.size === 0 && path !== "") walk.empty.push(path);
  }
  if (listLengthOf(walk) > LONGEST_LIST) {
    throw new FtError(
      "too-many-entries",
      `The names in the folder "${printable(folder)}" are too long together. Share a part of it.`,
    );
  }
  walk.files.sort((a, b) => comparePaths(a.path, b.path));
  return walk;
}

/** The length of the list that these files and empty folders make, before they are hashed. Bytes. */
function listLengthOf({ files, empty }: Walk): number {
  // The size, a space, the content id, a space, the path, and the end of the line.
  const lineOf = (size: number, path: string) => String(size).length + EMPTY_ROOT.length + Buffer.byteLength(path) + 3;
  let length = 0;
  for (const { size, path } of files) length += lineOf(size, path);
  for (const path of empty) length += lineOf(0, path);
  return length;
}

type Found = { reason: string } | { isFolder: true } | { isFolder: false; file: Omit<WalkedFile, "path" | "local"> };

function look(local: string): Found {
  try {
    const entry = lstatSync(local, { bigint: true });
    if (entry.isSymbolicLink()) return { reason: "links" };
    if (entry.isDirectory()) return { isFolder: true };
    if (!entry.isFile()) return { reason: "neither files nor folders" };
    if (entry.size > BigInt(Number.MAX_SAFE_INTEGER)) return { reason: "too large" };
    const file = { size: Number(entry.size), modified: Number(entry.mtimeMs), stamp: stampOf(entry) };
    return { isFolder: false, file };
  } catch (error) {
    return { reason: whyUnreadable(error, OF_ENTRY) };
  }
}

function tooMany(folder: string): FtError {
  const most = MOST_ENTRIES.toLocaleString("en");
  return new FtError(
    "too-many-entries",
    `The folder "${printable(folder)}" has more than ${most} entries. Share a part of it.`,
  );
}
