// Part files: where a file is written while it is fetched, and how it gets its name when it is whole, without harm to another file.
//
// The part file is `.ft-KEY.part` in the download folder, with a lock beside it; KEY is the content id. The name is given by a hard
// link, which cannot replace another file.

import { randomBytes } from "node:crypto";
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncate,
  ftruncateSync,
  lstatSync,
  open,
  openSync,
  realpathSync,
  statSync,
  unlinkSync,
  write,
} from "node:fs";
import { link, rename, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { codeOf, FtError } from "../../error.ts";
import { formatSize, printable } from "../../text.ts";
import { localNameOf, splitExtension } from "./local-name.ts";
import { Lock, removeIfThere } from "./lock.ts";
import { readFully } from "./read-fully.ts";

/** A symbolic link is not followed, and opening a pipe does not wait. Windows has neither flag. */
const PLAIN_ONLY = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
/** Two files are compared in blocks of this size. Bytes. */
const COMPARE = 1024 * 1024;
/** The most names that are tried for a file: `a.txt`, `a (1).txt` … */
const MOST_NAMES = 1000;

export interface IncomingOptions {
  folder: string;
  /** The name in the record. It is made safe here. */
  name: string;
  size: number;
  /** The content id, or the key of `partKeyOf` for a file that has none. */
  key: string;
  /** Keeps the bytes of an earlier run. Without it, the part file is begun again. */
  resume?: boolean;
}

/** How a finished file got its name. */
export interface Published {
  path: string;
  outcome: "new" | "already here" | "replaced";
}

/** Throws a sentence when the folder is not there. */
export function checkFolder(folder: string): void {
  const shown = printable(folder);
  try {
    if (!statSync(folder).isDirectory()) throw new FtError("no-folder", `Cannot save into "${shown}": it is not a folder.`);
  } catch (error) {
    if (error instanceof FtError) throw error;
    throw new FtError(
      "no-folder",
      `Cannot save into "${shown}": there is no such folder. Make it, or choose another with --to.`,
    );
  }
}

/** Throws a sentence when no file can be saved into the folder. It makes a file to see that: rights are not the only reason. */
export function tryFolder(folder: string): void {
  checkFolder(folder);
  const path = join(folder, `.ft-${randomBytes(8).toString("hex")}.try`);
  try {
    closeSync(openSync(path, "wx", 0o600));
    unlinkSync(path);
  } catch (error) {
    const code = codeOf(error);
    throw new FtError(
      code || "write-failed",
      folderSentence(code, printable(folder)) ?? `Cannot save into "${printable(folder)}": ${code || String(error)}.`,
      { cause: error },
    );
  }
}

/** Throws a sentence when the disk has no room for the file. The room of its part file counts as free. */
async function checkSpace({ folder, name, size }: IncomingOptions, part: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize + Number(entryOf(part)?.blocks ?? 0) * 512;
  if (size <= free) return;
  throw new FtError(
    "no-space",
    `Cannot fetch "${printable(name)}": it needs ${formatSize(size)}, and "${printable(folder)}" has ${formatSize(free)} free.`,
  );
}

/** The entry at a path, or an open file; a link is not followed. Undefined when there is none. */
function entryOf(file: string | number): BigIntStats | undefined {
  try {
    return typeof file === "number" ? fstatSync(file, { bigint: true }) : lstatSync(file, { bigint: true });
  } catch {
    return undefined;
  }
}

/** One file that is being fetched. */
export class Incoming {
  readonly fd: number;
  readonly part: string;
  readonly #options: IncomingOptions;
  readonly #lock: Lock;
  #writing = 0;
  #ended = false;
  #failed: FtError | undefined;
  #settled: (() => void)[] = [];

  private constructor(options: IncomingOptions, part: string, fd: number, lock: Lock) {
    this.#options = options;
    this.part = part;
    this.fd = fd;
    this.#lock = lock;
  }

  /** Opens or makes the part file. Throws a sentence when the folder or its space will not do, or the file is being fetched already. */
  static async open(asked: IncomingOptions): Promise<Incoming> {
    checkFolder(asked.folder);
    // One folder may have several names. The lock needs the same one each time.
    const options = { ...asked, folder: realpathSync(asked.folder) };
    const { folder, name, key, size, resume } = options;
    const part = join(folder, `.ft-${key}.part`);
    await checkSpace(options, part);
    const lock = takeLock(join(folder, `.ft-${key}.lock`), options);
    try {
      const fd = (resume ? reopenPart(part, size) : undefined) ?? createPart(part);
      return new Incoming(options, part, fd, lock);
    } catch (error) {
      lock.release();
      throw writeError(error, { ...options, name });
    }
  }

  /** The length of the part file in bytes. Whether the bytes of an earlier run are right is not known. */
  get present(): number {
    return fstatSync(this.fd).size;
  }

  /** Whether the part file is as long as the file and has no holes. Holes are parts that have not arrived. */
  get looksWhole(): boolean {
    const { size, blocks } = fstatSync(this.fd);
    return size === this.#options.size && blocks * 512 >= size;
  }

  /** Opens the part file for reading. The reader can go on after the file got its name. Throws a sentence. */
  openForReading(): { read(into: Uint8Array, at: number): Promise<number>; close(): void } {
    let fd: number | undefined;
    try {
      fd = openSync(this.part, constants.O_RDONLY | PLAIN_ONLY);
      const own = fd;
      if (this.#isOwn()) return { read: (into, at) => readFully(own, into, at), close: () => closeSync(own) };
    } catch (error) {
      throw writeError(error, this.#options);
    }
    closeSync(fd);
    throw new FtError("part-gone", `The part file of "${printable(this.#options.name)}" is gone.`);
  }

  /** Writes all bytes at a position. Throws a sentence that names the folder and the space that is needed. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    this.#writing += 1;
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await promisify(write)(this.fd, bytes, at, bytes.length - at, offset + at);
        if (bytesWritten === 0) throw new Error("nothing was written");
        at += bytesWritten;
      }
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#writing -= 1;
      if (this.#writing === 0) for (const settle of this.#settled.splice(0)) settle();
    }
  }

  /** Resolves when nothing is being written. Throws the sentence of a write that failed. */
  async settled(): Promise<void> {
    if (this.#writing > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Empties the part file, to begin again. */
  async restart(): Promise<void> {
    await this.settled();
    await promisify(ftruncate)(this.fd, 0);
  }

  /**
   * Gives the finished file its name: it is synced to the disk, then linked under the first free name (`a.txt`, `a (1).txt` …).
   * If a file of the same content has the name, that one stays instead. With `overwrite` the file replaces the one that has the name.
   */
  async publish(overwrite: boolean): Promise<Published> {
    const { folder, name } = this.#options;
    try {
      await this.settled();
      await promisify(fsync)(this.fd);
      this.#checkOwn();
      const local = localNameOf(name);
      const published = overwrite ? await this.#replace(join(folder, local)) : await this.#linkUnderFreeName(local);
      removeIfThere(this.part);
      await syncFolder(folder);
      return published;
    } catch (error) {
      throw error instanceof FtError ? error : writeError(error, this.#options);
    } finally {
      this.#end();
    }
  }

  /** Stops, and keeps the part file. */
  async keep(): Promise<void> {
    await this.settled().catch(() => undefined);
    this.#end();
  }

  #fail(error: unknown): FtError {
    this.#failed ??= writeError(error, this.#options);
    return this.#failed;
  }

  /** While this process was stopped for long, another one may have taken over the lock and the part file. */
  #checkOwn(): void {
    if (this.#isOwn()) return;
    const { name, folder } = this.#options;
    throw entryOf(this.part) === undefined
      ? new FtError("part-gone", `Cannot save "${printable(name)}": its part file in "${printable(folder)}" is gone.`)
      : new FtError("taken-over", `"${printable(name)}" is being fetched by another ft-peer now; wait for that one.`);
  }

  #isOwn(): boolean {
    const [named, open] = [entryOf(this.part), entryOf(this.fd)];
    return named?.dev === open?.dev && named?.ino === open?.ino;
  }

  async #linkUnderFreeName(local: string): Promise<Published> {
    const [stem, extension] = splitExtension(local);
    for (let count = 0; count < MOST_NAMES; count++) {
      const path = join(this.#options.folder, count === 0 ? local : `${stem} (${count})${extension}`);
      if (await linkUnlessTaken(this.part, path)) return { path, outcome: "new" };
      // A file that cannot be read counts as another one.
      if (await sameContent(this.part, path).catch(() => false)) return { path, outcome: "already here" };
    }
    throw new FtError("no-name", `Cannot save "${printable(local)}": ${MOST_NAMES} files of that name are there already.`);
  }

  async #replace(path: string): Promise<Published> {
    const there = entryOf(path);
    if (there?.isDirectory()) throw new FtError("is-folder", `Cannot replace "${printable(path)}": it is a folder.`);
    await rename(this.part, path);
    return { path, outcome: there === undefined ? "new" : "replaced" };
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    closeSync(this.fd);
    this.#lock.release();
  }
}

/** The plain file that has this name in the folder already, with its size; undefined when there is none. */
export function lookForTarget(folder: string, name: string): { path: string; size: number } | undefined {
  const path = join(folder, localNameOf(name));
  const entry = entryOf(path);
  return entry?.isFile() ? { path, size: Number(entry.size) } : undefined;
}

/** Opens a file to hash it; a link is not followed. Undefined when it cannot be read. */
export function openForHashing(path: string): { fd: number; size: number; close(): void } | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | PLAIN_ONLY);
    return { fd, size: fstatSync(fd).size, close: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}

/** The key of the part file for a file without a content id. */
export function partKeyOf(...words: (string | number)[]): string {
  return Bun.SHA256.hash(words.join("\n"), "hex").slice(0, 32);
}

/** Opens the part file of an earlier run; undefined when there is none, or something else has its name. */
function reopenPart(part: string, size: number): number | undefined {
  let fd: number;
  try {
    fd = openSync(part, constants.O_RDWR | PLAIN_ONLY);
  } catch (error) {
    // If it is missing, a link or a pipe, a new part file takes its place. Anything else that cannot be opened is left alone.
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ELOOP" || codeOf(error) === "ENXIO") return undefined;
    throw error;
  }
  const stat = fstatSync(fd);
  // The file has a second name: writing would change that file, too.
  if (!stat.isFile() || stat.nlink > 1) {
    closeSync(fd);
    return undefined;
  }
  if (stat.size > size) ftruncateSync(fd, size);
  return fd;
}

function createPart(part: string): number {
  removeIfThere(part);
  return openSync(part, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | PLAIN_ONLY, 0o666);
}

function takeLock(path: string, options: IncomingOptions): Lock {
  let lock: Lock | undefined;
  try {
    lock = Lock.take(path);
  } catch (error) {
    throw writeError(error, options);
  }
  if (lock !== undefined) return lock;
  throw new FtError(
    "already-fetching",
    `"${printable(options.name)}" is being fetched into this folder already; wait for that one.`,
  );
}

/** Links without replacing; false when the name is taken. On a disk without hard links, an empty file reserves the name first. */
async function linkUnlessTaken(part: string, path: string): Promise<boolean> {
  try {
    await link(part, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL", "UNKNOWN"].includes(codeOf(error))) throw error;
  }
  try {
    closeSync(openSync(path, "wx"));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
  await rename(part, path);
  return true;
}

/** Whether two files are the same, byte by byte. */
async function sameContent(part: string, path: string): Promise<boolean> {
  if (!entryOf(path)?.isFile()) return false;
  const [ours, theirs] = [Bun.file(part), Bun.file(path)];
  if (ours.size !== theirs.size) return false;
  for (let at = 0; at < ours.size; at += COMPARE) {
    const [a, b] = await Promise.all([ours.slice(at, at + COMPARE).bytes(), theirs.slice(at, at + COMPARE).bytes()]);
    if (Buffer.compare(a, b) !== 0) return false;
  }
  return true;
}

/** Syncs the folder, so that the new name is on the disk. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const fd = await promisify(open)(folder, constants.O_RDONLY, 0);
    await promisify(fsync)(fd).finally(() => closeSync(fd));
  } catch {
    // Windows cannot open a folder.
  }
}

function writeError(error: unknown, { folder, name, size }: IncomingOptions): FtError {
  const file = printable(name);
  const where = printable(folder);
  const code = codeOf(error);
  const sentence: Record<string, string> = {
    ENOSPC: `Cannot fetch "${file}": the disk of "${where}" is full; ${formatSize(size)} are needed. What arrived is kept.`,
    EDQUOT: `Cannot fetch "${file}": your quota in "${where}" is used up; ${formatSize(size)} are needed. What arrived is kept.`,
    EFBIG: `Cannot fetch "${file}": files of ${formatSize(size)} are not allowed in "${where}".`,
  };
  return new FtError(
    code || "write-failed",
    folderSentence(code, where) ?? sentence[code] ?? `Cannot write "${file}" in "${where}": ${code || String(error)}.`,
    { cause: error },
  );
}

/** The sentence for a folder that may not be written; undefined for any other error. */
function folderSentence(code: string, where: string): string | undefined {
  if (code === "EROFS") return `Cannot save into "${where}": it is read-only. Choose another folder with --to.`;
  if (code !== "EACCES" && code !== "EPERM") return undefined;
  return `Cannot save into "${where}": you may not write there. Choose another folder with --to.`;
}
