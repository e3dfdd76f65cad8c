// Files: reading at a position, and where this user's programs keep things.

import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  read,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const readAt = promisify(read);

/** Fills `into` from a position of an open file. Gives the number of bytes read; it is smaller only at the file's end. */
export async function readFully(fd: number, into: Uint8Array, at: number): Promise<number> {
  let have = 0;
  while (have < into.length) {
    const { bytesRead } = await readAt(fd, into, have, into.length - have, at + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return have;
}

/**
 * The text of a file that this user alone could have written; undefined when there is none. Another user could have put a file, a link
 * or a second name of a file there. With `secret` others must not be able to read it either. A longer file than `limit` bytes is not read.
 */
export function readOwnFile(path: string, limit: number, { secret = false } = {}): string | undefined {
  let fd: number | undefined;
  try {
    // A link is not followed, and opening a pipe does not wait. Windows has neither flag.
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0));
    const file = fstatSync(fd);
    const isOurs =
      process.getuid === undefined || (file.uid === process.getuid() && (file.mode & (secret ? 0o077 : 0o022)) === 0);
    return isOurs && file.isFile() && file.nlink === 1 && file.size <= limit ? readFileSync(fd, "utf8") : undefined;
  } catch {
    // There is none, or it cannot be read.
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Writes a file of this user that others cannot read, in one step; replaces an earlier one if `over`. False when it could not. */
export function writeOwnFile(path: string, text: string, { over }: { over: boolean }): boolean {
  const part = over ? `${path}.${process.pid}-${Math.random().toString(36).slice(2)}` : path;
  let begun = false;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // `wx`: nothing that is there already is written to.
    const fd = openSync(part, "wx", 0o600);
    begun = true;
    try {
      writeFileSync(fd, text);
    } finally {
      closeSync(fd);
    }
    if (over) renameSync(part, path);
    return true;
  } catch {
    if (begun) unlinkSync(part);
    return false;
  }
}

/** This user's folder for files that can be made anew (`cache`) or that must outlive the program (`state`). It may not exist yet. */
export function userFolder(kind: "cache" | "state"): string {
  const home = homedir();
  const usual = {
    win32: { cache: localAppData(home), state: localAppData(home) },
    darwin: { cache: join(home, "Library", "Caches"), state: join(home, "Library", "Application Support") },
    other: { cache: join(home, ".cache"), state: join(home, ".local", "state") },
  }[process.platform === "win32" || process.platform === "darwin" ? process.platform : "other"];
  const chosen = kind === "cache" ? process.env.XDG_CACHE_HOME : process.env.XDG_STATE_HOME;
  return join(chosen || usual[kind], "filetracker");
}

function localAppData(home: string): string {
  return process.env.LOCALAPPDATA || join(home, "AppData", "Local");
}
