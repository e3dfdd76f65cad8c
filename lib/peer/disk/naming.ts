// Gives a finished file its name without replacing another one, and looks whether a file of that name has the same bytes.

import { type BigIntStats, closeSync, constants, fstatSync, fsync, futimesSync, open, openSync } from "node:fs";
import { link, rename } from "node:fs/promises";
import { promisify } from "node:util";
import { codeOf } from "../../error.ts";
import { readFully } from "./fully.ts";
import { entryOf, PLAIN_ONLY, stateOf } from "./identity.ts";
import { tryRemove } from "./lock.ts";

/** A rename that another program prevents is tried this number of times. */
const RENAME_TRIES = 4;
/** The pause between two tries. Milliseconds. */
const RENAME_PAUSE_MS = 200;
/** Two files are compared in blocks of this size. Bytes. */
const COMPARE = 1024 * 1024;

/**
 * Links without replacing; false when the name is taken. Systems have many different errors for a disk without hard links: after any
 * of them an empty file reserves the name, and the part file is renamed to it.
 */
export async function linkUnlessTaken(part: string, path: string): Promise<boolean> {
  try {
    await link(part, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
  }
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
  try {
    await renamePatiently(part, path);
  } catch (error) {
    // The empty file that reserved the name.
    if (entryOf(path)?.size === 0n && entryOf(part) !== undefined) tryRemove(path);
    throw error;
  }
  return true;
}

/** Renames a file, which may replace another one. While another program has one of them open, as on Windows, it tries again. */
export async function renamePatiently(from: string, to: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await rename(from, to);
    } catch (error) {
      if (tries === RENAME_TRIES || !["EACCES", "EBUSY", "EPERM"].includes(codeOf(error))) throw error;
      await Bun.sleep(RENAME_PAUSE_MS);
    }
  }
}

/** The entry of the file at a path when its bytes are those of the open file. A link is not followed. */
export async function sameContent(fd: number, path: string): Promise<BigIntStats | undefined> {
  const other = openSync(path, constants.O_RDONLY | PLAIN_ONLY);
  try {
    const entry = fstatSync(other, { bigint: true });
    const size = fstatSync(fd).size;
    if (!entry.isFile() || entry.size !== BigInt(size)) return undefined;
    const [ours, theirs] = [new Uint8Array(Math.min(size, COMPARE)), new Uint8Array(Math.min(size, COMPARE))];
    for (let at = 0; at < size; at += COMPARE) {
      const length = Math.min(size - at, COMPARE);
      const [a, b] = [ours.subarray(0, length), theirs.subarray(0, length)];
      const read = await Promise.all([readFully(fd, a, at), readFully(other, b, at)]);
      if (read.some((got) => got < length) || Buffer.compare(a, b) !== 0) return undefined;
    }
    return stateOf(entry) === stateOf(fstatSync(other, { bigint: true })) ? entry : undefined;
  } finally {
    closeSync(other);
  }
}

/** Gives a file its date. A date of before 1970 becomes 1970. One in the future is a wrong clock's: the time of arrival stays. */
export function keepDate(fd: number, modified: Date | undefined): void {
  if (modified === undefined || !(modified.getTime() <= Date.now())) return;
  try {
    futimesSync(fd, new Date(), new Date(Math.max(0, modified.getTime())));
  } catch {
    // This file system keeps no such date.
  }
}

/** Syncs the folder, so that the new name is on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const fd = await promisify(open)(folder, constants.O_RDONLY, 0);
    await promisify(fsync)(fd).finally(() => closeSync(fd));
  } catch {
    // Windows syncs no folders.
  }
}
