// Opens the part file of a fetch: `.ft-KEY.part` in the download folder, with a lock beside it. Only this user makes and uses it.
//
// The name can be foreseen, so another user may have prepared it, or may be fetching the same file. This program never uses,
// changes or waits for another user's file: then the part file gets another name, `.ft-KEY-12345678.part`.

import { randomBytes } from "node:crypto";
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { codeOf } from "../../error.ts";
import { entryOf, isSameEntry, PLAIN_ONLY } from "./identity.ts";
import { removeIfThere } from "./lock.ts";

/** Rights to write for others than the owner. */
const OTHERS_WRITE = 0o022n;

/** The owner and rights that a new file gets in one folder. Some file systems keep neither. */
export type OwnMarks = Pick<BigIntStats, "uid" | "mode">;

/** Makes a file in the folder and removes it again. Gives its owner and rights. Throws the system's error. */
export function tryNewFile(folder: string): OwnMarks {
  const path = join(folder, `.ft-${randomBytes(8).toString("hex")}.try`);
  const fd = openSync(path, "wx", 0o600);
  try {
    return fstatSync(fd, { bigint: true });
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

/** The part file for a key, without its extension; and the file of another user that has the usual name. */
export function choosePart(folder: string, key: string, own: OwnMarks): { stem: string; foreign?: string } {
  const usual = join(folder, `.ft-${key}`);
  const foreign = foreignAt(usual, own);
  if (foreign === undefined) return { stem: usual };
  const earlier = earlierParts(folder, `.ft-${key}-`).find((stem) => foreignAt(stem, own) === undefined);
  return { stem: earlier ?? `${usual}-${randomBytes(4).toString("hex")}`, foreign };
}

/** A file of another user that has the name of this part or of its lock. */
function foreignAt(stem: string, own: OwnMarks): string | undefined {
  return [`${stem}.part`, `${stem}.lock`].find((path) => (entryOf(path)?.uid ?? own.uid) !== own.uid);
}

function earlierParts(folder: string, start: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => name.startsWith(start) && name.endsWith(".part"));
    return names.map((name) => join(folder, name.slice(0, -".part".length)));
  } catch {
    // The folder may be written, but not read.
    return [];
  }
}

/** The part files of unfinished downloads in a folder, and the bytes of all of them on the disk. */
export function unfinishedIn(folder: string): { count: number; bytes: number } {
  const stems = earlierParts(folder, ".ft-");
  const bytes = stems.reduce((sum, stem) => sum + Number(entryOf(`${stem}.part`)?.blocks ?? 0) * 512, 0);
  return { count: stems.length, bytes };
}

/**
 * Opens the part file of an earlier run, cut to `size`. Undefined when there is none, or it is not safe: a link, not a plain file, with
 * a second name, of another user, or one that others may write to.
 */
export function reopenPart(path: string, size: number, own: OwnMarks, plainOnly = PLAIN_ONLY): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDWR | plainOnly);
  } catch (error) {
    // If it is missing, a link or a pipe, a new part file takes its place. Anything else that cannot be opened is left alone.
    if (["ENOENT", "ELOOP", "ENXIO"].includes(codeOf(error))) return undefined;
    throw error;
  }
  const entry = fstatSync(fd, { bigint: true });
  // Windows opens what a link points to.
  const named = entryOf(path);
  const isNamed = named !== undefined && isSameEntry(named, entry);
  // With a second name, writing would change that file, too. Others who may write to it may have it open.
  const isSafe =
    isNamed && entry.isFile() && entry.nlink <= 1n && entry.uid === own.uid && (entry.mode & OTHERS_WRITE & ~own.mode) === 0n;
  if (!isSafe) {
    closeSync(fd);
    return undefined;
  }
  try {
    if (entry.size > size) ftruncateSync(fd, size);
    return fd;
  } catch {
    // It cannot be made shorter.
    closeSync(fd);
    return undefined;
  }
}

/** Whether a part file is as long as the file and has no holes. Windows compresses files, and stores the smallest without a block. */
export function looksWhole({ size, blocks }: { size: number; blocks: number }, wanted: number, platform: string): boolean {
  return size === wanted && (platform === "win32" || blocks * 512 >= size);
}

/** Windows fills a file with zeros up to the place that is written: it must not be far behind the rest. Bytes. */
const WINDOWS_REACH = 64 * 1024 * 1024;

/** How far behind the first missing byte a part file is written, on a platform as `process.platform` names it; undefined: anywhere. */
export function writeReach(platform: string): number | undefined {
  return platform === "win32" ? WINDOWS_REACH : undefined;
}

/** Makes an empty part file. */
export function createPart(path: string): number {
  removeIfThere(path);
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | PLAIN_ONLY, 0o600);
}

/** Gives a finished file the rights that any new file of this user has. It still cannot be run. */
export function giveUsualRights(fd: number): void {
  try {
    fchmodSync(fd, 0o666 & ~process.umask());
  } catch {
    // This file system keeps no rights.
  }
}
