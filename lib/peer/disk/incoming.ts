// Writes one fetched file into a folder: first into a part file, which gets the file's name when it is whole. It gives the name by a
// hard link, which cannot replace another file.

import { randomBytes } from "node:crypto";
import { type BigIntStats, closeSync, constants, fstatSync, ftruncate, openSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { FtError } from "../../error.ts";
import { printable } from "../../text.ts";
import { copyReadable } from "./copying.ts";
import { readFully } from "./fully.ts";
import { entryOf, isSameEntry, PLAIN_ONLY, realOf, stateOf } from "./identity.ts";
import { localNameOf, splitExtension } from "./local-name.ts";
import { Lock, removeIfThere, tryRemove } from "./lock.ts";
import { keepDate, linkUnlessTaken, renamePatiently, sameContent, syncFolder } from "./naming.ts";
import { markOrigin } from "./origin.ts";
import { choosePart, createPart, giveUsualRights, looksWhole, reopenPart } from "./part-file.ts";
import { checkFolder, checkSpace, checkTarget, tryFolder, tryLength, writeError } from "./target-folder.ts";
import { Writer } from "./writer.ts";

/** The most names that are tried for a file: `a.txt`, `a (1).txt` … */
const MOST_NAMES = 1000;

/** Another program may have the part file open for a moment: removing it is tried this number of times. */
const REMOVAL_TRIES = 5;
/** The pause between two tries. Milliseconds. */
const REMOVAL_PAUSE_MS = 200;
/** The part file is looked at each time this time has passed. Milliseconds. */
const LOOK_MS = 2_000;

interface IncomingOptions {
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

/** One file that is being fetched. */
export class Incoming {
  /** Writes the part file. It is another one after `moveElsewhere`. */
  #writer: Writer;
  readonly part: string;
  /** The file of another user that has the usual name of the part file, or of its lock. */
  readonly foreign: string | undefined;
  readonly #options: IncomingOptions;
  readonly #lock: Lock;
  /** The part file as this process left it. When it differs, another program has written to it. */
  #left: string;
  #changed = false;
  #ended = false;
  #failed: FtError | undefined;

  private constructor(options: IncomingOptions, part: string, fd: number, lock: Lock, foreign: string | undefined) {
    this.#options = options;
    this.part = part;
    this.#writer = this.#writerOf(fd);
    this.#lock = lock;
    this.foreign = foreign;
    this.#left = this.#state;
  }

  /** Opens or makes the part file. Throws a sentence when the folder or its space will not do, or the file is being fetched already. */
  static async open(asked: IncomingOptions): Promise<Incoming> {
    checkFolder(asked.folder);
    // One folder may have several names. The lock needs the same one each time.
    const options = { ...asked, folder: realOf(asked.folder) };
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

  /** The open part file. */
  get fd(): number {
    return this.#writer.fd;
  }

  #writerOf(fd: number): Writer {
    return new Writer(fd, {
      begins: () => {
        this.#changed = this.changedByOthers;
      },
      ends: () => {
        this.#left = this.#state;
      },
    });
  }

  get #state(): string {
    const entry = entryOf(this.fd);
    return entry === undefined ? "" : stateOf(entry);
  }

  /** The length of the part file in bytes. Whether the bytes of an earlier run are right is not known. */
  get present(): number {
    return fstatSync(this.fd).size;
  }

  /** Whether the part file is as long as the file and has no holes. Holes are parts that have not arrived. */
  get looksWhole(): boolean {
    return looksWhole(fstatSync(this.fd), this.#options.size, process.platform);
  }

  /** Whether another program has changed the part file since `trust`: then its bytes have to be checked again. */
  get changedByOthers(): boolean {
    return this.#changed || this.#left !== this.#state;
  }

  /** From now on the bytes in the part file count as checked: earlier changes do not matter any more. */
  trust(): void {
    this.#changed = false;
    this.#left = this.#state;
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
    try {
      await this.#writer.write(bytes, offset);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Resolves when nothing is being written. Throws the sentence of a write that failed. */
  async settled(): Promise<void> {
    await this.#writer.settled().catch((error: unknown) => {
      throw this.#fail(error);
    });
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Writes everything to the disk, where the file system can. Throws the sentence of a write that failed. */
  async flush(): Promise<void> {
    await this.settled();
    await this.#writer.sync().catch((error: unknown) => {
      throw this.#fail(error);
    });
  }

  /** Copies everything that can be read into a new part file, away from a bad place of the disk. Throws a sentence. */
  async moveElsewhere(): Promise<void> {
    await this.settled().catch(() => undefined);
    if (!this.#isOwn()) throw this.#lostError();
    const aside = `${this.part.slice(0, -".part".length)}-${randomBytes(4).toString("hex")}.part`;
    let fd: number | undefined;
    try {
      fd = createPart(aside);
      await copyReadable(this.fd, fd);
      await rename(aside, this.part);
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      tryRemove(aside);
      throw writeError(error, this.#options);
    }
    closeSync(this.fd);
    this.#writer = this.#writerOf(fd);
    this.#failed = undefined;
    this.trust();
  }

  /** Empties the part file, to begin again. */
  async restart(): Promise<void> {
    await this.settled();
    // Where a file cannot be made shorter, all its bytes are written again all the same.
    await promisify(ftruncate)(this.fd, 0).catch(() => undefined);
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
      await this.#removePart();
      await syncFolder(folder);
      return { ...named, entry: named.entry ?? fstatSync(this.fd, { bigint: true }) };
    } catch (error) {
      throw error instanceof FtError ? error : writeError(error, this.#options);
    } finally {
      this.#end();
    }
  }

  /** Removes the part file after the file got its name. One that stays does no harm: the file has its name all the same. */
  async #removePart(): Promise<void> {
    for (let tries = 0; tries < REMOVAL_TRIES && this.#isOwn() && !tryRemove(this.part); tries++)
      await Bun.sleep(REMOVAL_PAUSE_MS);
  }

  /** The error for a part file that another program writes to. */
  changedError(): FtError {
    const { name, folder } = this.#options;
    return new FtError(
      "part-changed",
      `Cannot save "${printable(name)}": another program changes its part file in "${printable(folder)}". End that program and run the same command again.`,
    );
  }

  /** Looks at the part file every few seconds, and calls `lost` when it is gone or another one has its name. Gives the way to stop. */
  watch(lost: (error: FtError) => void): () => void {
    const look = setInterval(() => {
      if (this.#isOwn()) return;
      clearInterval(look);
      lost(this.#fail(this.#lostError()));
    }, LOOK_MS);
    look.unref();
    return () => clearInterval(look);
  }

  /** The person has stopped the download: no sync begins any more until the file gets its name. */
  stop(): void {
    this.#writer.stop();
  }

  /** Stops, and keeps the part file. An empty one stays only with `evenEmpty`. False when the disk could not keep all of it. */
  async keep(evenEmpty = false): Promise<boolean> {
    this.stop();
    await this.settled().catch(() => undefined);
    if (!this.#ended) this.#writer.spoilLost();
    if (!evenEmpty && !this.#ended && this.present === 0 && this.#isOwn()) tryRemove(this.part);
    this.#end();
    return !this.#writer.failed;
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
    if (named === undefined || open === undefined) return false;
    // While this process writes, the times differ from one look to the next. Before the file gets its name, it looks again.
    return isSameEntry(named, open) || (this.#writer.busy && named.dev === open.dev && named.uid === open.uid);
  }

  #lostError(): FtError {
    const [name, folder] = [printable(this.#options.name), printable(this.#options.folder)];
    if (entryOf(this.part) === undefined) {
      const words = `its part file in "${folder}" is gone. Run the same command to fetch it again.`;
      return new FtError("part-gone", `Cannot save "${name}": ${words}`);
    }
    if (this.#lock.isOurs) {
      const words = `another program has put another file in place of its part file in "${folder}". Run the same command again.`;
      return new FtError("part-replaced", `Cannot save "${name}": ${words}`);
    }
    return new FtError("taken-over", `"${name}" is being fetched by another ft-peer now; wait for that one.`);
  }

  async #linkUnderFreeName(local: string): Promise<Named> {
    const [stem, extension] = splitExtension(local);
    for (let count = 0; count < MOST_NAMES; count++) {
      const path = join(this.#options.folder, count === 0 ? local : `${stem} (${count})${extension}`);
      if (await linkUnlessTaken(this.part, path)) {
        if (this.#isAt(path)) return { path, outcome: "new" };
        const copy = await sameContent(this.fd, path).catch(() => undefined);
        if (copy !== undefined) return { path, outcome: "new", entry: copy };
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
    await renamePatiently(this.part, path);
    if (!this.#isAt(path)) throw this.#lostError();
    return { path, outcome: there === undefined ? "new" : "replaced" };
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#writer.spoilLost();
    closeSync(this.fd);
    this.#lock.release();
  }
}

/** The key of the part file for a file without a content id. */
export function partKeyOf(...words: (string | number)[]): string {
  return Bun.SHA256.hash(words.join("\n"), "hex").slice(0, 32);
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
