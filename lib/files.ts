// Reads and writes the small files that a program keeps for its user. `userFolder` says where they are.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { posix, win32 } from "node:path";

/** Fills `into` from a position of an open file. Gives the number of bytes read; it is smaller only at the file's end. */
export function readFullySync(fd: number, into: Uint8Array, at: number): number {
  let have = 0;
  while (have < into.length) {
    const got = readSync(fd, into, have, into.length - have, at + have);
    if (got === 0) break;
    have += got;
  }
  return have;
}

/** Reads a small plain file, at most `limit` bytes; a link is not followed, a pipe not waited for. Throws when it is anything else. */
export function readPlainFile(path: string, limit: number, isFit: (entry: Stats) => boolean = () => true): Buffer {
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
  try {
    const entry = fstatSync(fd);
    if (!entry.isFile() || entry.size > limit || !isFit(entry)) throw new Error(`"${path}" is not a file to be read here`);
    const bytes = Buffer.alloc(entry.size);
    return bytes.subarray(0, readFullySync(fd, bytes, 0));
  } finally {
    closeSync(fd);
  }
}

/** Reads a file that this program keeps. Throws, too, when it is another user's, or one that others may write to. */
export function readOwnFile(path: string, limit: number): Buffer {
  const self = process.getuid?.();
  return readPlainFile(path, limit, ({ uid, mode }) => self === undefined || (uid === self && (mode & 0o022) === 0));
}

/** Writes a file that only this user may read. A reader never sees half of it, because it is written aside and renamed. */
export function replaceOwnFile(path: string, content: string | Uint8Array): void {
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    writeFileSync(aside, content, { flag: "wx", mode: 0o600 });
    renameSync(aside, path);
  } catch (error) {
    try {
      unlinkSync(aside);
    } catch {
      // It was never made.
    }
    throw error;
  }
}

/** The system and the user whose folders are looked up. */
interface Place {
  platform: NodeJS.Platform;
  environment: Record<string, string | undefined>;
  home: string;
}

/** This user's home folder; the root folder for a user without any, as systemd makes one for each service (`DynamicUser`). */
export function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return "/";
  }
}

/**
 * This user's folder for files that can be made anew (`cache`), that must outlive the program (`state`), or in which the person writes
 * settings (`config`). It may not exist yet.
 */
export function userFolder(
  kind: "cache" | "state" | "config",
  { platform, environment, home }: Place = { platform: process.platform, environment: process.env, home: homeFolder() },
): string {
  const { join } = platform === "win32" ? win32 : posix;
  const local = environment.LOCALAPPDATA || join(home, "AppData", "Local");
  const support = join(home, "Library", "Application Support");
  const usual = {
    win32: { cache: local, state: local, config: environment.APPDATA || join(home, "AppData", "Roaming") },
    darwin: { cache: join(home, "Library", "Caches"), state: support, config: support },
    other: { cache: join(home, ".cache"), state: join(home, ".local", "state"), config: join(home, ".config") },
  }[platform === "win32" || platform === "darwin" ? platform : "other"];
  return join(environment[`XDG_${kind.toUpperCase()}_HOME`] || usual[kind], "filetracker");
}
