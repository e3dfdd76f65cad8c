// Disk, incoming: part files, and publishing a finished file without ever harming another.
//
// A file on its way in is `.ft-KEY.part` in the download folder, KEY being its content id, with a lock beside it. It gets its
// name only when it is whole, by a link that cannot replace anything.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fdatasync,
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
import { readFully } from "../../files.ts";
import { formatSize, printable } from "../../text.ts";
import { localNameOf, splitExtension } from "./local-name.ts";
import { Lock, removeIfThere } from "./lock.ts";

const NOFOLLOW = constants.O_NOFOLLOW ?? 0;

/** A pipe in a file's place is not waited for. */
const NONBLOCK = constants.O_NONBLOCK ?? 0;

/** What is written is handed to the disk every so often, so that the last sync has little left to do. */
const SYNC_EVERY = 64 * 1024 * 1024;

/** Files from this size on are written around the page cache, where the system has a way (Linux). */
const DIRECT_FROM = 64 * 1024 * 1024;

/** Such writes begin and end at multiples of this, in the file and in memory. */
const DIRECT_ALIGN = 4096;

const COMPARE = 1024 * 1024;

const MOST_NAMES = 1000;

export interface IncomingOptions {
  folder: string;
  /** The name the record gives; it is made safe here. */
  name: string;
  size: number;
  /** What makes this file this file: its content id, or failing that where it comes from. */
  key: string;
  /** What is there of it from an earlier run is kept; without it, it is begun again. */
  resume?: boolean;
}

/** How a finished file got its name. */
export interface Published {
  path: string;
  outcome: "new" | "already here" | "replaced";
}

/** The folder is there; throws a sentence if not. */
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

/** A folder that files can be saved into, which only trying tells: rights, read-only disks and quotas differ. Throws a sentence. */
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

/** The disk has room for the file, the part of it that is there already included; throws a sentence if not. */
async function checkSpace({ folder, name, size }: IncomingOptions, part: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize + allocated(part);
  if (size <= free) return;
  throw new FtError(
    "no-space",
    `Cannot fetch "${printable(name)}": it needs ${formatSize(size)}, and "${printable(folder)}" has ${formatSize(free)} free.`,
  );
}

/** Which file a path, or a descriptor, is; undefined when there is none. */
function identityOf(file: string | number): string | undefined {
  try {
    const { dev, ino } = typeof file === "number" ? fstatSync(file, { bigint: true }) : lstatSync(file, { bigint: true });
    return `${dev} ${ino}`;
  } catch {
    return undefined;
  }
}

/** Bytes that a file takes up on its disk. */
function allocated(path: string): number {
  try {
    return lstatSync(path).blocks * 512;
  } catch {
    return 0;
  }
}

/** One file on its way in. */
export class Incoming {
  readonly fd: number;
  readonly part: string;
  readonly #options: IncomingOptions;
  readonly #lock: Lock;
  /**
   * A second descriptor, past the page cache: copying a large file into the cache costs more than everything else that is done
   * with it, and pushes out what others on this machine have there.
   */
  #direct: number | undefined;
  #writing = 0;
  #ended = false;
  #unsynced = 0;
  #syncing = false;
  #failed: FtError | undefined;
  #settled: (() => void)[] = [];

  private constructor(options: IncomingOptions, part: string, fd: number, lock: Lock) {
    this.#options = options;
    this.part = part;
    this.fd = fd;
    this.#lock = lock;
    if (options.size >= DIRECT_FROM) this.#direct = openDirect(part);
  }

  /** Opens the part file, or makes it. Throws a sentence when the folder, its space, or another fetch of the same file forbids it. */
  static async open(asked: IncomingOptions): Promise<Incoming> {
    checkFolder(asked.folder);
    // One folder may have several names; the lock must not.
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

  /** How many bytes of it may be here from an earlier run; whether they are right is not known. */
  get present(): number {
    return fstatSync(this.fd).size;
  }

  /** Whether it is as long as the file and has no holes; one may be whole and have some, but nobody makes them while it arrives. */
  get looksWhole(): boolean {
    const { size, blocks } = fstatSync(this.fd);
    return size === this.#options.size && blocks * 512 >= size;
  }

  /** A second descriptor, for reading: it goes on when the file has its name already. Throws a sentence. */
  openForReading(): { read(into: Uint8Array, at: number): Promise<number>; close(): void } {
    let fd: number | undefined;
    try {
      fd = openSync(this.part, constants.O_RDONLY | NOFOLLOW | NONBLOCK);
      const own = fd;
      if (this.#isOwn()) return { read: (into, at) => readFully(own, into, at), close: () => closeSync(own) };
    } catch (error) {
      throw writeError(error, this.#options);
    }
    closeSync(fd);
    throw new FtError("part-gone", `The part file of "${printable(this.#options.name)}" is gone.`);
  }

  /** Writes at a position, all of it. Throws a sentence that names the folder and what is needed. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    this.#writing += 1;
    try {
      const direct = await this.#writeDirect(offset, bytes);
      for (let at = direct; at < bytes.length; ) {
        const written = await writeAt(this.fd, bytes.subarray(at), offset + at);
        if (written === 0) throw new Error("nothing was written");
        at += written;
      }
      this.#syncNowAndThen(bytes.length - direct);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#writing -= 1;
      if (this.#writing === 0) for (const settle of this.#settled.splice(0)) settle();
    }
  }

  /** Resolves when nothing is being written; throws the sentence when something could not be. */
  async settled(): Promise<void> {
    if (this.#writing > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Throws away what arrived, to begin again. */
  async restart(): Promise<void> {
    await this.settled();
    await promisify(ftruncate)(this.fd, 0);
  }

  /**
   * Gives the finished file its name: synced to the disk first, then linked under the first free name (`a.txt`, `a (1).txt` …).
   * A file of the same content under that name is left as it is. With `overwrite` it takes the place of what has the name.
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

  /** Stops here; the part file stays. */
  async keep(): Promise<void> {
    await this.settled().catch(() => undefined);
    this.#end();
  }

  /** Stops here; nothing stays. */
  async discard(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (this.#isOwn()) removeIfThere(this.part);
    this.#end();
  }

  /** Writes what can be written past the page cache; gives how much that was. */
  async #writeDirect(offset: number, bytes: Uint8Array): Promise<number> {
    const length = bytes.length - (bytes.length % DIRECT_ALIGN);
    if (this.#direct === undefined || length === 0) return 0;
    if (offset % DIRECT_ALIGN !== 0 || bytes.byteOffset % DIRECT_ALIGN !== 0) return 0;
    try {
      return await writeAt(this.#direct, bytes.subarray(0, length), offset);
    } catch (error) {
      // This file system, or this memory, is not made for it: the cache is.
      if (codeOf(error) !== "EINVAL") throw error;
      return 0;
    }
  }

  #syncNowAndThen(length: number): void {
    this.#unsynced += length;
    if (this.#unsynced < SYNC_EVERY || this.#syncing) return;
    this.#unsynced = 0;
    this.#syncing = true;
    this.#writing += 1;
    fdatasync(this.fd, (error) => {
      this.#syncing = false;
      this.#writing -= 1;
      if (error !== null) this.#fail(error);
      if (this.#writing === 0) for (const settle of this.#settled.splice(0)) settle();
    });
  }

  #fail(error: unknown): FtError {
    this.#failed ??= writeError(error, this.#options);
    return this.#failed;
  }

  /** A process that was stopped for long may have lost its lock, and its part file, to another one. */
  #checkOwn(): void {
    if (this.#isOwn()) return;
    const { name, folder } = this.#options;
    throw identityOf(this.part) === undefined
      ? new FtError("part-gone", `Cannot save "${printable(name)}": its part file in "${printable(folder)}" is gone.`)
      : new FtError("taken-over", `"${printable(name)}" is being fetched by another ft-peer now; wait for that one.`);
  }

  #isOwn(): boolean {
    return identityOf(this.part) === identityOf(this.fd);
  }

  async #linkUnderFreeName(local: string): Promise<Published> {
    const [stem, extension] = splitExtension(local);
    for (let count = 0; count < MOST_NAMES; count++) {
      const path = join(this.#options.folder, count === 0 ? local : `${stem} (${count})${extension}`);
      if (await linkTo(this.part, path)) return { path, outcome: "new" };
      if (await sameContent(this.part, path)) return { path, outcome: "already here" };
    }
    throw new FtError("no-name", `Cannot save "${printable(local)}": ${MOST_NAMES} files of that name are there already.`);
  }

  async #replace(path: string): Promise<Published> {
    const there = kindOf(path);
    if (there === "folder") throw new FtError("is-folder", `Cannot replace "${printable(path)}": it is a folder.`);
    await rename(this.part, path);
    return { path, outcome: there === "nothing" ? "new" : "replaced" };
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#direct !== undefined) closeSync(this.#direct);
    closeSync(this.fd);
    this.#lock.release();
  }
}

/** What would have to make way for a file of this name; its size if it is a plain file. */
export function lookForTarget(folder: string, name: string): { path: string; size: number } | undefined {
  const path = join(folder, localNameOf(name));
  try {
    const stat = lstatSync(path);
    return stat.isFile() ? { path, size: stat.size } : undefined;
  } catch {
    return undefined;
  }
}

/** Opens a file of ours to be hashed; a link is not followed. Undefined when it may not be read. */
export function openForHashing(path: string): { fd: number; size: number; close(): void } | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | NOFOLLOW | NONBLOCK);
    return { fd, size: fstatSync(fd).size, close: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}

/** The part file's key for a file without a content id. */
export function keyOf(...words: (string | number)[]): string {
  return Bun.SHA256.hash(words.join("\n"), "hex").slice(0, 32);
}

/** A part file from an earlier run; undefined when there is none, or what has its name is something else. */
function reopenPart(part: string, size: number): number | undefined {
  let fd: number;
  try {
    fd = openSync(part, constants.O_RDWR | NOFOLLOW | NONBLOCK);
  } catch (error) {
    // What may not be written is not ours to remove either, unless it is only a link.
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ELOOP" || codeOf(error) === "ENXIO") return undefined;
    throw error;
  }
  const stat = fstatSync(fd);
  // A second name would be changed with it.
  if (!stat.isFile() || stat.nlink > 1) {
    closeSync(fd);
    return undefined;
  }
  if (stat.size > size) ftruncateSync(fd, size);
  return fd;
}

function createPart(part: string): number {
  removeIfThere(part);
  return openSync(part, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NOFOLLOW, 0o666);
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

function kindOf(path: string): "nothing" | "folder" | "file" {
  try {
    return lstatSync(path).isDirectory() ? "folder" : "file";
  } catch {
    return "nothing";
  }
}

/** Links without replacing; false when the name is taken. Where there are no hard links, the name is reserved first. */
async function linkTo(part: string, path: string): Promise<boolean> {
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

/** What may not be read is taken for something else. */
function sameContent(part: string, path: string): Promise<boolean> {
  return compareContent(part, path).catch(() => false);
}

async function compareContent(part: string, path: string): Promise<boolean> {
  if (kindOf(path) !== "file" || lstatSync(path).isSymbolicLink()) return false;
  const [ours, theirs] = [Bun.file(part), Bun.file(path)];
  if (ours.size !== theirs.size) return false;
  for (let at = 0; at < ours.size; at += COMPARE) {
    const [a, b] = await Promise.all([ours.slice(at, at + COMPARE).bytes(), theirs.slice(at, at + COMPARE).bytes()]);
    if (Buffer.compare(a, b) !== 0) return false;
  }
  return true;
}

/** Linux: a descriptor whose writes go straight to the disk; undefined where there is none to be had. */
function openDirect(path: string): number | undefined {
  if (constants.O_DIRECT === undefined) return undefined;
  try {
    return openSync(path, constants.O_WRONLY | constants.O_DIRECT | NOFOLLOW | NONBLOCK);
  } catch {
    return undefined;
  }
}

function writeAt(fd: number, bytes: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, at, (error, written) => (error === null ? resolve(written) : reject(error)));
  });
}

/** Makes the new name last; systems that cannot sync a folder do without. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const fd = await promisify(open)(folder, constants.O_RDONLY, 0);
    await promisify(fsync)(fd).finally(() => closeSync(fd));
  } catch {
    // Windows opens no folders.
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
    {
      cause: error,
    },
  );
}

/** Why nothing can be saved into a folder, as far as its rights are the reason. */
function folderSentence(code: string, where: string): string | undefined {
  if (code === "EROFS") return `Cannot save into "${where}": it is read-only. Choose another folder with --to.`;
  if (code !== "EACCES" && code !== "EPERM") return undefined;
  return `Cannot save into "${where}": you may not write there. Choose another folder with --to.`;
}
