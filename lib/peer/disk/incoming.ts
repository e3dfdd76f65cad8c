// Writes one fetched file into a folder: first into a part file, which gets the file's name when it is whole. It gives the name by a
// hard link, which cannot replace another file.

import { randomBytes } from "node:crypto";
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncate,
  futimesSync,
  open,
  openSync,
  readdirSync,
  realpathSync,
  statSync,
  write,
} from "node:fs";
import { link, rename, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { codeOf, FtError } from "../../error.ts";
import { formatSize, printable } from "../../text.ts";
import { entryOf, identityOf, inodeOf, PLAIN_ONLY } from "./identity.ts";
import { localNameOf, splitExtension } from "./local-name.ts";
import { Lock, removeIfThere } from "./lock.ts";
import { markOrigin } from "./origin.ts";
import { choosePart, createPart, giveUsualRights, type OwnMarks, reopenPart, tryNewFile } from "./part-file.ts";
import { readFully } from "./read-fully.ts";

/** Two files are compared in blocks of this size. Bytes. */
const COMPARE = 1024 * 1024;
/** A part file on a bad disk is copied in blocks of this size. Bytes; the smallest piece of a file. */
const COPIED = 64 * 1024;
/** The most files with a number behind the name that are compared with the one to fetch. */
const MOST_COMPARED = 20;
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
  /** The file will replace the one that has its name. */
  overwrite?: boolean;
  /** When the file was last modified where it comes from; undefined when that is not known exactly. */
  modified?: Date | undefined;
}

/** How a finished file got its name. */
export interface Published {
  path: string;
  outcome: "new" | "already here" | "replaced";
  /** The file that has the name now. */
  entry: BigIntStats;
}

/** A published file. The entry is known only if it is another file than the part file. */
type Named = Omit<Published, "entry"> & { entry?: BigIntStats };

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
export function tryFolder(folder: string): OwnMarks {
  checkFolder(folder);
  try {
    return tryNewFile(folder);
  } catch (error) {
    const code = codeOf(error);
    throw new FtError(
      code || "write-failed",
      folderSentence(code, printable(folder)) ?? `Cannot save into "${printable(folder)}": ${code || String(error)}.`,
      { cause: error },
    );
  }
}

/** Throws a sentence when a file cannot replace the entry that has its name. */
function checkTarget({ folder, name }: IncomingOptions): void {
  const path = join(folder, localNameOf(name));
  if (entryOf(path)?.isDirectory()) throw new FtError("is-folder", `Cannot replace "${printable(path)}": it is a folder.`);
}

/** Throws a sentence when the disk has no room for the file. The room of its part file counts as free. */
async function checkSpace({ folder, name, size }: IncomingOptions, part: string): Promise<void> {
  // Some file systems do not say how much is free.
  const { blocks, bavail, bsize } = await statfs(folder).catch(() => ({ blocks: 0, bavail: 0, bsize: 0 }));
  if (blocks === 0) return;
  const free = bavail * bsize + Number(entryOf(part)?.blocks ?? 0) * 512;
  if (size <= free) return;
  throw new FtError(
    "no-space",
    `Cannot fetch "${printable(name)}": it needs ${formatSize(size)}, and "${printable(folder)}" has ${formatSize(free)} free.`,
  );
}

/** One file that is being fetched. */
export class Incoming {
  /** The part file. It is another one after `moveElsewhere`. */
  fd: number;
  readonly part: string;
  /** The file of another user that has the usual name of the part file, or of its lock. */
  readonly foreign: string | undefined;
  readonly #options: IncomingOptions;
  readonly #lock: Lock;
  /** The part file as this process left it. When it differs, another program has written to it. */
  #left: string;
  #changed = false;
  #writing = 0;
  #ended = false;
  #failed: FtError | undefined;
  #settled: (() => void)[] = [];

  private constructor(options: IncomingOptions, part: string, fd: number, lock: Lock, foreign: string | undefined) {
    this.#options = options;
    this.part = part;
    this.fd = fd;
    this.#lock = lock;
    this.foreign = foreign;
    this.#left = this.#identity;
  }

  /** Opens or makes the part file. Throws a sentence when the folder or its space will not do, or the file is being fetched already. */
  static async open(asked: IncomingOptions): Promise<Incoming> {
    checkFolder(asked.folder);
    // One folder may have several names. The lock needs the same one each time.
    const options = { ...asked, folder: realpathSync(asked.folder) };
    const { folder, key, size, resume } = options;
    const own = tryFolder(folder);
    if (options.overwrite) checkTarget(options);
    const { stem, foreign } = choosePart(folder, key, own);
    const part = `${stem}.part`;
    await checkSpace(options, part);
    const lock = takeLock(`${stem}.lock`, options);
    let fd: number | undefined;
    try {
      fd = (resume ? reopenPart(part, size, own) : undefined) ?? createPart(part);
      await tryLength(fd, options);
      return new Incoming(options, part, fd, lock, foreign);
    } catch (error) {
      if (fd !== undefined) {
        if (fstatSync(fd).size === 0) removeIfThere(part);
        closeSync(fd);
      }
      lock.release();
      throw writeError(error, options);
    }
  }

  get #identity(): string {
    const entry = entryOf(this.fd);
    return entry === undefined ? "" : identityOf(entry);
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

  /** Whether another program has changed the part file since `trust`: then its bytes have to be checked again. */
  get changedByOthers(): boolean {
    return this.#changed || this.#left !== this.#identity;
  }

  /** From now on the bytes in the part file count as checked: earlier changes do not matter any more. */
  trust(): void {
    this.#changed = false;
    this.#left = this.#identity;
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
    if (!this.#isOwn()) throw this.#fail(this.#lostError());
    if (this.#writing === 0) this.#changed = this.changedByOthers;
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
      if (this.#writing === 0) {
        this.#left = this.#identity;
        for (const settle of this.#settled.splice(0)) settle();
      }
    }
  }

  /** Resolves when nothing is being written. Throws the sentence of a write that failed. */
  async settled(): Promise<void> {
    if (this.#writing > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Writes everything to the disk, where the file system can. Throws the sentence of a write that failed. */
  async flush(): Promise<void> {
    await this.settled();
    await sync(this.fd).catch((error: unknown) => {
      throw this.#fail(error);
    });
  }

  /** Copies everything that can be read into a new part file: it gets another place on a disk that has a bad one. Throws a sentence. */
  async moveElsewhere(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (!this.#isOwn()) throw this.#lostError();
    const aside = `${this.part.slice(0, -".part".length)}-${randomBytes(4).toString("hex")}.part`;
    const fd = createPart(aside);
    try {
      await copyReadable(this.fd, fd);
      await rename(aside, this.part);
    } catch (error) {
      closeSync(fd);
      removeIfThere(aside);
      throw writeError(error, this.#options);
    }
    closeSync(this.fd);
    this.fd = fd;
    this.#failed = undefined;
    this.trust();
  }

  /** Empties the part file, to begin again. */
  async restart(): Promise<void> {
    await this.settled();
    await promisify(ftruncate)(this.fd, 0);
    this.trust();
  }

  /**
   * Gives the finished file its name: it is synced to the disk, then linked under the first free name (`a.txt`, `a (1).txt` …).
   * If a file of the same content has the name, that one stays instead. With `overwrite` the file replaces the one that has the name.
   * `from` is the address that it came from, for the system's mark of files from the network.
   */
  async publish(overwrite: boolean, from?: string): Promise<Published> {
    const { folder, name } = this.#options;
    try {
      await this.flush();
      if (!this.#isOwn()) throw this.#lostError();
      if (this.changedByOthers) throw this.changedError();
      await markOrigin(this.part, from);
      giveUsualRights(this.fd);
      keepDate(this.fd, this.#options.modified);
      const local = localNameOf(name);
      const named = overwrite ? await this.#replace(join(folder, local)) : await this.#linkUnderFreeName(local);
      this.#removePart();
      await syncFolder(folder);
      return { ...named, entry: named.entry ?? fstatSync(this.fd, { bigint: true }) };
    } catch (error) {
      throw error instanceof FtError ? error : writeError(error, this.#options);
    } finally {
      this.#end();
    }
  }

  /** Removes the part file after the file got its name. */
  #removePart(): void {
    try {
      if (this.#isOwn()) removeIfThere(this.part);
    } catch {
      // Another program has it open, as virus scanners on Windows do. The file has its name all the same.
    }
  }

  /** The error for a part file that another program writes to. */
  changedError(): FtError {
    const { name, folder } = this.#options;
    return new FtError(
      "part-changed",
      `Cannot save "${printable(name)}": another program changes its part file in "${printable(folder)}". End that program and run the same command again.`,
    );
  }

  /** Stops, and keeps the part file. */
  async keep(): Promise<void> {
    await this.settled().catch(() => undefined);
    this.#end();
  }

  #fail(error: unknown): FtError {
    this.#failed ??= error instanceof FtError ? error : writeError(error, this.#options);
    return this.#failed;
  }

  /** Whether the part file still has its name. While this process was stopped for long, another one may have taken it over. */
  #isOwn(): boolean {
    return this.#isAt(this.part);
  }

  #isAt(path: string): boolean {
    const [named, open] = [entryOf(path), entryOf(this.fd)];
    return named !== undefined && open !== undefined && inodeOf(named) === inodeOf(open);
  }

  #lostError(): FtError {
    const { name, folder } = this.#options;
    return entryOf(this.part) === undefined
      ? new FtError("part-gone", `Cannot save "${printable(name)}": its part file in "${printable(folder)}" is gone.`)
      : new FtError("taken-over", `"${printable(name)}" is being fetched by another ft-peer now; wait for that one.`);
  }

  async #linkUnderFreeName(local: string): Promise<Named> {
    const [stem, extension] = splitExtension(local);
    for (let count = 0; count < MOST_NAMES; count++) {
      const path = join(this.#options.folder, count === 0 ? local : `${stem} (${count})${extension}`);
      if (await linkUnlessTaken(this.part, path)) {
        if (this.#isAt(path)) return { path, outcome: "new" };
        // Another user has just swapped the part file: the file that got the name is not the fetched one.
        removeIfThere(path);
        throw this.#lostError();
      }
      // A file that cannot be read counts as another one.
      const entry = await sameContent(this.fd, path).catch(() => undefined);
      if (entry !== undefined) return { path, outcome: "already here", entry };
    }
    throw new FtError("no-name", `Cannot save "${printable(local)}": ${MOST_NAMES} files of that name are there already.`);
  }

  async #replace(path: string): Promise<Named> {
    checkTarget(this.#options);
    const there = entryOf(path);
    await rename(this.part, path);
    if (!this.#isAt(path)) throw this.#lostError();
    return { path, outcome: there === undefined ? "new" : "replaced" };
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    closeSync(this.fd);
    this.#lock.release();
  }
}

/** Gives a file its date. A date of before 1970 becomes 1970. One in the future is a wrong clock's: the time of arrival stays. */
function keepDate(fd: number, modified: Date | undefined): void {
  if (modified === undefined || !(modified.getTime() <= Date.now())) return;
  try {
    futimesSync(fd, new Date(), new Date(Math.max(0, modified.getTime())));
  } catch {
    // This file system keeps no such date.
  }
}

/** The plain files of this size in the folder that have the name, or the name with a number, such as `a (1).txt`. */
export function lookForTargets(folder: string, name: string, size: number): string[] {
  const local = localNameOf(name);
  const [stem, extension] = splitExtension(local);
  const isNumbered = (one: string) =>
    one.startsWith(`${stem} (`) &&
    one.endsWith(`)${extension}`) &&
    /^[0-9]+$/.test(one.slice(stem.length + 2, -extension.length - 1));
  let numbered: string[] = [];
  try {
    numbered = readdirSync(folder).filter(isNumbered).sort().slice(0, MOST_COMPARED);
  } catch {
    // The folder may be written, but not read.
  }
  const paths = [local, ...numbered].map((one) => join(folder, one));
  return paths.filter((path) => {
    const entry = entryOf(path);
    return entry?.isFile() && entry.size === BigInt(size);
  });
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

/** The number by which Linux names the file system of a FAT disk. */
const FAT = 0x4d44;
/** The longest file on a FAT disk. Bytes. */
const FAT_LONGEST = 2 ** 32 - 1;

/** Throws where files of this length are not allowed. To see that, makes the file for a short time as long as it will be. */
async function tryLength(fd: number, { folder, size }: IncomingOptions): Promise<void> {
  const before = fstatSync(fd).size;
  if (size <= before) return;
  // There, zeros would be written up to the length.
  if (size <= FAT_LONGEST && (await statfs(folder).catch(() => ({ type: FAT }))).type === FAT) return;
  try {
    await promisify(ftruncate)(fd, size);
  } catch (error) {
    if (codeOf(error) === "EFBIG") throw error;
  }
  await promisify(ftruncate)(fd, before);
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
  await rename(part, path);
  return true;
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
    return identityOf(entry) === identityOf(fstatSync(other, { bigint: true })) ? entry : undefined;
  } finally {
    closeSync(other);
  }
}

/** Copies the blocks that can be read and written. The others become holes. Throws for any error but EIO. */
async function copyReadable(from: number, to: number): Promise<void> {
  const { size } = fstatSync(from);
  const block = new Uint8Array(COPIED);
  for (let at = 0; at < size; at += COPIED) {
    try {
      const got = await readFully(from, block, at);
      for (let done = 0; done < got; ) {
        done += (await promisify(write)(to, block, done, got - done, at + done)).bytesWritten;
      }
    } catch (error) {
      if (codeOf(error) !== "EIO") throw error;
    }
  }
}

/** Syncs a file to the disk, where the file system can. */
async function sync(fd: number): Promise<void> {
  try {
    await promisify(fsync)(fd);
  } catch (error) {
    if (!["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(codeOf(error))) throw error;
  }
}

/** Syncs the folder, so that the new name is on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const fd = await promisify(open)(folder, constants.O_RDONLY, 0);
    await promisify(fsync)(fd).finally(() => closeSync(fd));
  } catch {
    // Windows cannot open a folder.
  }
}

export function writeError(error: unknown, { folder, name, size }: Pick<IncomingOptions, "folder" | "name" | "size">): FtError {
  const file = printable(name);
  const where = printable(folder);
  const code = codeOf(error);
  const sentence: Record<string, string> = {
    ENOSPC: `Cannot fetch "${file}": the disk of "${where}" is full; ${formatSize(size)} are needed. Your progress is saved.`,
    EDQUOT: `Cannot fetch "${file}": your quota in "${where}" is used up; ${formatSize(size)} are needed. Your progress is saved.`,
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
