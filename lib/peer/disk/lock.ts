// A lock beside a part file: says that this process is at work on it, so that a second one does not damage it.

import { linkSync, lstatSync, readFileSync, renameSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { codeOf } from "../../error.ts";

const BEAT_MS = 5_000;

const STALE_MS = 30_000;

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
        utimesSync(path, now, now);
      } catch {
        // Somebody removed it; nothing depends on that but a second fetch of the same file.
      }
    }, BEAT_MS);
    this.#beat.unref();
  }

  /** The lock, or undefined when somebody holds it. Throws the system's error when it cannot be written. */
  static take(path: string): Lock | undefined {
    if (Lock.#mine.has(path) || isHeld(path)) return undefined;
    // It is written aside and linked, so that nobody ever sees one without its process.
    const own = `${path}.${process.pid}`;
    removeIfThere(own);
    writeFileSync(own, String(process.pid), { flag: "wx" });
    try {
      return clearStale(path) && linkTo(own, path) ? new Lock(path) : undefined;
    } finally {
      removeIfThere(own);
    }
  }

  release(): void {
    clearInterval(this.#beat);
    Lock.#mine.delete(this.#path);
    if (holderOf(this.#path) === process.pid) removeIfThere(this.#path);
  }
}

/** Takes a lock that does not count out of the way; false when another process was quicker and has taken it. */
function clearStale(path: string): boolean {
  const aside = `${path}.${process.pid}.stale`;
  try {
    // Only a file, or a link, is ever moved.
    if (lstatSync(path).isDirectory()) unlinkSync(path);
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw error;
  }
  const fresh = isHeld(aside);
  if (fresh) linkTo(aside, path);
  removeIfThere(aside);
  return !fresh;
}

/** False when the name is taken. Where there are no hard links, the lock is written in its place. */
function linkTo(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
  }
  try {
    writeFileSync(path, readFileSync(own), { flag: "wx" });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Removes a file; one that is not there is as good. */
export function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** A lock counts while its process lives and beats; kill -9 leaves one that does not count. */
function isHeld(path: string): boolean {
  const pid = holderOf(path);
  if (pid === undefined || pid === process.pid) return false;
  try {
    if (Date.now() - lstatSync(path).mtimeMs > STALE_MS) return false;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** The process that a lock names, if it is a lock. */
function holderOf(path: string): number | undefined {
  try {
    const pid = lstatSync(path).isFile() ? Number(readFileSync(path, "utf8")) : 0;
    return Number.isInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
