// Identifies the file at a path without following links, and finds out whether another user can put another file there.

import { type BigIntStats, constants, fstatSync, lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { codeOf } from "../../error.ts";

/** For opening: a symbolic link is not followed, and opening a pipe does not wait. Windows has neither flag. */
export const PLAIN_ONLY = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** The entry at a path, or an open file; a link is not followed. Undefined when there is none. */
export function entryOf(file: string | number): BigIntStats | undefined {
  try {
    return typeof file === "number" ? fstatSync(file, { bigint: true }) : lstatSync(file, { bigint: true });
  } catch {
    return undefined;
  }
}

/** Device and inode, which a file keeps while it is changed or renamed. */
export function inodeOf({ dev, ino }: { dev: bigint; ino: bigint }): string {
  return `${dev} ${ino}`;
}

/** Device, inode and time of birth: the number of an inode is used again when its file is gone. */
export function originalOf(entry: BigIntStats): string {
  return `${inodeOf(entry)} ${entry.birthtimeNs}`;
}

/** The devices whose file system gives a file another number each time it is asked. Some network drives do. */
const renumbering = new Set<bigint>();

/**
 * Looks whether the file system of a file, a folder or an open file numbers it anew each time. Then its numbers say nothing. Tests hand
 * in another `look`.
 */
export function learnNumbering(file: string | number, look = entryOf): void {
  const [one, other] = [look(file), look(file)];
  if (one !== undefined && other !== undefined && one.dev === other.dev && one.ino !== other.ino) renumbering.add(one.dev);
}

/** Device, inode, size and times. While they are the same, the file has not changed. */
export function identityOf(entry: BigIntStats): string {
  const place = renumbering.has(entry.dev) ? `${entry.dev} -` : inodeOf(entry);
  return `${place} ${entry.size} ${entry.mtimeNs} ${entry.ctimeNs}`;
}

/** Size and times. While they are the same, an open file has not changed. Some file systems number an open file anew now and then. */
export function stateOf({ size, mtimeNs, ctimeNs }: Pick<BigIntStats, "size" | "mtimeNs" | "ctimeNs">): string {
  return `${size} ${mtimeNs} ${ctimeNs}`;
}

/**
 * Whether two entries are of one file. Some file systems give each name of a file its own number, or a new one later: there, owner,
 * size and times tell, of which nobody can choose the last one.
 */
export function isSameEntry(one: BigIntStats, other: BigIntStats): boolean {
  if (inodeOf(one) === inodeOf(other)) return true;
  return one.dev === other.dev && one.uid === other.uid && stateOf(one) === stateOf(other);
}

/** The path without links. Some virtual disks cannot tell it: then the path as it is. Throws where nothing is. */
export function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    lstatSync(path);
    if (["EACCES", "ELOOP", "ENOENT", "ENOTDIR", "EPERM"].includes(codeOf(error))) throw error;
    return resolve(path);
  }
}

/** The device and inode of the folder that a file is in; nothing when it is gone. */
export function folderOf(path: string): string {
  const entry = entryOf(dirname(path));
  return entry === undefined ? "" : inodeOf(entry);
}

/**
 * Whether an open file is really the one at its path. A folder on the way can be swapped for a link and back while the file is being
 * opened; only Linux tells where an open file is.
 */
export function isAtItsPath(fd: number, path: string): boolean {
  let real: string;
  try {
    real = readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    const [named, open] = [entryOf(path), entryOf(fd)];
    return named !== undefined && open !== undefined && isSameEntry(named, open);
  }
  // Some file systems do not tell "A" from "a", or two forms of one letter.
  return real === path || plainName(real) === plainName(path);
}

function plainName(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

/** The identity of a shared file when it was chosen. */
export interface FirstChoice {
  readonly owner: number;
  /** Device, inode and time of birth. */
  readonly original: string;
  /** Device and inode of its folder. */
  readonly folder: string;
}

/**
 * Why the file that is at a path now is not shared in place of the one that was chosen, as a clause. Undefined when its owner has
 * put it there, as editors do that write a new file and rename it.
 *
 * In a folder that others may write to, anybody can give a private file of this user the name of the shared one. There, only a file
 * that everybody on this machine may read takes its place.
 */
export function refuseInPlaceOf(first: FirstChoice, path: string, now: BigIntStats): string | undefined {
  const uid = Number(now.uid);
  const isTheirs = uid !== first.owner && uid !== process.getuid?.();
  // An administrator can give a file to another user. Without a time of birth, that user's own file may have the same number by now.
  const isGiven = isTheirs && now.birthtimeNs > 0n && originalOf(now) === first.original;
  if (isGiven) return (now.mode & 0o004n) !== 0n ? undefined : "it belongs to another user now, and not everybody may read it";
  if (isTheirs) return "a file of another user has its name now";
  if (originalOf(now) === first.original || !othersMayReplace(path)) return undefined;
  const isPublic = (now.mode & 0o004n) !== 0n && now.nlink === 1n && folderOf(path) === first.folder;
  return isPublic ? undefined : "another file has its name now, which may be private, and others may write to its folder";
}

/** Whether another user can put a file at this path: in its folder, or by putting another folder on the way. */
export function othersMayReplace(path: string): boolean {
  const self = process.getuid?.();
  if (self === undefined) return false;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const { uid, gid, mode } = statSync(folder);
    if (uid !== 0 && uid !== self) return true;
    // On many systems each user has a group of the same number, in which nobody else is.
    const byGroup = (mode & 0o020) !== 0 && gid !== self;
    const sticky = (mode & 0o1000) !== 0;
    // In a sticky folder others can make new names, but cannot rename or remove those of this user.
    if ((byGroup || (mode & 0o002) !== 0) && (folder === dirname(path) || !sticky)) return true;
    if (folder === dirname(folder)) return false;
  }
}
