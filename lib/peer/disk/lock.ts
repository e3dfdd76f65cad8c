// Keeps the lock file beside a part file. It says that this process writes the part file, so that a second process does not damage it.

import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, lutimesSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { codeOf } from "../../error.ts";
import { readPlainFile } from "../../files.ts";

/** The owner touches the lock each time this time has passed. Milliseconds. */
const BEAT_MS = 5_000;
/** A lock that was not touched for this long is not valid. Milliseconds. */
const STALE_MS = 30_000;
/** A longer file is no lock. Bytes. */
const LONGEST = 64;

/** The lock of one part file. */
export class Lock {
  static readonly #mine = new Set<string>();
  readonly #path: string;
  readonly #beat: ReturnType<typeof setInterval>;

  private constructor(path: string) {
    this.#path = path;
    Lock.#mine.add(path);
    this.#beat = setInterval(() => {
      const now = new Date();
      try {
        lutimesSync(path, now, now);
      } catch {
        // The lock was removed. Then only a second fetch of the same file is not prevented.
      }
    }, BEAT_MS);
    this.#beat.unref();
  }

  /** Takes the lock; undefined when another fetch holds it. Throws the system's error when it cannot be written. */
  static take(path: string): Lock | undefined {
    if (Lock.#mine.has(path) || isHeld(path)) return undefined;
    // It is written aside and linked, so that no process sees a lock without its owner.
    const own = asideOf(path);
    writeFileSync(own, String(process.pid), { flag: "wx", mode: 0o600 });
    try {
      return clearStale(path) && linkLock(own, path) ? new Lock(path) : undefined;
    } finally {
      tryRemove(own);
    }
  }

  /** Whether the lock still names this process. Another one may have taken it while this process was stopped for long. */
  get isOurs(): boolean {
    return lockOwner(this.#path) === process.pid;
  }

  release(): void {
    clearInterval(this.#beat);
    Lock.#mine.delete(this.#path);
    if (this.isOurs) tryRemove(this.#path);
  }
}

/** A name beside a lock that nobody else can have prepared. */
function asideOf(path: string): string {
  return `${path}.${randomBytes(6).toString("hex")}`;
}

/** Moves a lock that is not valid out of the way. False when another process has taken the lock meanwhile. */
function clearStale(path: string): boolean {
  const aside = asideOf(path);
  try {
    // A folder of that name is not moved: unlinking it fails.
    if (lstatSync(path).isDirectory()) unlinkSync(path);
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw error;
  }
  const fresh = isHeld(aside);
  if (fresh) linkLock(aside, path);
  tryRemove(aside);
  return !fresh;
}

/** Links the lock; false when the name is taken. On a disk without hard links the lock is written directly. */
function linkLock(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
  }
  try {
    writeFileSync(path, String(lockOwner(own)), { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Removes a file, if it is there. */
export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** Removes a file if that is possible. A file that another program has open, as virus scanners do on Windows, stays. */
export function tryRemove(path: string): boolean {
  try {
    removeIfThere(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether a lock is valid: its process lives and touches it. After kill -9 it is not. */
function isHeld(path: string): boolean {
  const pid = lockOwner(path);
  if (pid === undefined || pid === process.pid) return false;
  try {
    if (Date.now() - lstatSync(path).mtimeMs > STALE_MS) return false;
    process.kill(pid, 0);
    return !hasEnded(pid);
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** Whether a process has ended, and only its parent has not asked for its exit code. Linux tells; in containers that may stay so. */
function hasEnded(pid: number): boolean {
  try {
    // `1234 (name) Z 1 …`: the name may have any characters in it.
    return /\) [ZX] [^)]*$/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** The process that a lock names; undefined when the file is no lock. */
function lockOwner(path: string): number | undefined {
  try {
    const pid = Number(readPlainFile(path, LONGEST));
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
