// Writes one fetched folder: into a part folder beside its place, which gets the folder's name when everything is there. It checks what an
// earlier run left. folder-publish.ts gives the names.

import {
  closeSync,
  constants,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  write,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { codeOf, FtError, sentenceOf } from "../../error.ts";
import type { FolderEntry } from "../../protocol/folder.ts";
import { HASH } from "../../protocol/messages.ts";
import { formatSize, printable } from "../../text.ts";
import { type FolderCut, type HashUnit, isSmall, packHash } from "../content/folder-cut.ts";
import { type HashPool, sha256 } from "../content/hash.ts";
import { PieceSet } from "../content/pieces.ts";
import { FolderLayout } from "./folder-layout.ts";
import { type PublishedFolder, publishFolder } from "./folder-publish.ts";
import { entryOf, isAtItsPath, PLAIN_ONLY } from "./identity.ts";
import { partKeyOf } from "./incoming.ts";
import { localNameOf } from "./local-name.ts";
import { Lock } from "./lock.ts";
import { choosePart } from "./part-file.ts";
import { READ_MS } from "./shared-folder.ts";
import { checkFolder, roomIn, tryFolder, writeError } from "./target-folder.ts";

/** The most large files that are open at once. */
const MOST_OPEN = 16;
/** After this number of small files, other work of the program gets its turn. */
const FILES_AT_ONCE = 32;
/** The number of pieces of an earlier run that are checked at the same time. */
const CHECKED_AT_ONCE = 4;
/** These errors are the disk's: no other file can be written either. */
const DISK_ERRORS = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE"];

export interface IncomingFolderOptions {
  /** The folder into which it goes. */
  into: string;
  /** The name in the record. It is made safe here. */
  name: string;
  /** The entries of the whole folder, and how its bytes are cut. */
  entries: readonly FolderEntry[];
  cut: FolderCut;
  /** The file or folder inside that is wanted; empty for the whole folder. */
  inside: string;
  /** The dates of files and folders by path (that of a folder ends in `/`). Milliseconds since 1970. */
  dates: ReadonlyMap<string, number>;
}

/** A file that could not be saved, and why, as a clause. */
export interface FailedFile {
  path: string;
  reason: string;
}

/** A wanted file, in the order of the folder's bytes. Undefined stands for a file that is not wanted. */
interface WantedFile {
  readonly entry: FolderEntry;
  /** Its path from the fetched folder, on this disk. */
  readonly local: string;
}

/** One folder that is being fetched. */
export class IncomingFolder {
  /** The number of wanted files, and their bytes. */
  readonly files: number;
  readonly size: number;
  readonly failed: FailedFile[] = [];
  readonly #failedPaths = new Set<string>();
  readonly #options: IncomingFolderOptions;
  readonly #part: string;
  readonly #lock: Lock;
  readonly #layout: FolderLayout;
  readonly #wanted: (WantedFile | undefined)[];
  /** The wanted part of the list; paths from the place of the fetched folder. */
  readonly #entries: FolderEntry[];
  readonly #made = new Set<string>();
  /** Large files that are open, by number, with the number of writes under way. The one that was used last is last. */
  readonly #open = new Map<number, { fd: number; writing: number }>();
  #ended = false;

  private constructor(options: IncomingFolderOptions, part: string, lock: Lock) {
    this.#options = options;
    this.#part = part;
    this.#lock = lock;
    const { entries, cut, inside } = options;
    const cutOff = startOfInside(entries, inside);
    const inner = entries.filter(({ path }) => isInside(path, inside));
    this.#entries = inner.map((entry) => ({ ...entry, path: entry.path.slice(cutOff) })).filter(({ path }) => path !== "");
    this.#layout = new FolderLayout(this.#entries, tellsCase(part));
    this.#wanted = cut.files.map((entry) => {
      if (!isInside(entry.path, inside)) return undefined;
      return { entry, local: this.#layout.placeOf({ path: entry.path.slice(cutOff) }) };
    });
    const files = inner.filter(({ path }) => !path.endsWith("/"));
    this.files = files.length;
    this.size = files.reduce((sum, { size }) => sum + size, 0);
  }

  /** Makes or opens the part folder. Throws a sentence when that cannot be, or the folder is being fetched already. */
  static open(asked: IncomingFolderOptions): IncomingFolder {
    checkFolder(asked.into);
    const options = { ...asked, into: realpathSync(asked.into) };
    const { into, name, inside } = options;
    const own = tryFolder(into);
    const { stem } = choosePart(into, partKeyOf("folder", name, inside), own);
    const lock = Lock.take(`${stem}.lock`);
    if (lock === undefined) {
      throw new FtError(
        "already-fetching",
        `The folder "${printable(name)}" is being fetched into this folder already; wait for that one.`,
      );
    }
    try {
      const part = openPartFolder(`${stem}.part`);
      const incoming = new IncomingFolder(options, part, lock);
      try {
        incoming.#checkDisk();
      } catch (error) {
        incoming.keep();
        throw error;
      }
      return incoming;
    } catch (error) {
      lock.release();
      throw error instanceof FtError ? error : writeError(error, { folder: into, name, size: options.cut.size });
    }
  }

  /** Whether nothing of a piece is wanted. */
  isUnwanted(piece: number): boolean {
    const { cut } = this.#options;
    const start = cut.startOf(piece);
    for (const { file } of cut.slices(start, cut.startOf(piece + 1) - start))
      if (this.#wanted[file] !== undefined) return false;
    return true;
  }

  /** The number of wanted files whose pieces are all in a set. Files without bytes count from the start. */
  filesIn(have: PieceSet): number {
    const { cut } = this.#options;
    const missing = new Set<number>();
    for (let piece = 0; piece < cut.count; piece++) {
      if (have.has(piece)) continue;
      const start = cut.startOf(piece);
      for (const { file } of cut.slices(start, cut.startOf(piece + 1) - start)) if (this.#wanted[file]) missing.add(file);
    }
    return this.files - missing.size;
  }

  /**
   * Which pieces an earlier run left, in the part folder or in the finished one, and those of which nothing is wanted. `hashes` are those
   * of all pieces. Throws a sentence when the disk has no room for the rest.
   */
  async present(hashes: Uint8Array, pool: HashPool, onChecked: (bytes: number) => void): Promise<PieceSet> {
    const { cut } = this.#options;
    const have = new PieceSet(cut.count);
    let next = 0;
    const run = async () => {
      const memory = new SharedArrayBuffer(cut.longest);
      while (next < cut.count) {
        const piece = next++;
        if (this.isUnwanted(piece) || (await this.#isHere(piece, hashes, pool, memory))) have.add(piece);
        onChecked(cut.startOf(piece + 1) - cut.startOf(piece));
      }
    };
    await Promise.all(Array.from({ length: Math.min(cut.count, CHECKED_AT_ONCE) }, run));
    this.#checkRoom(have);
    return have;
  }

  async #isHere(piece: number, hashes: Uint8Array, pool: HashPool, memory: SharedArrayBuffer): Promise<boolean> {
    const { cut } = this.#options;
    const start = cut.startOf(piece);
    const bytes = new Uint8Array(memory);
    const units: HashUnit[] = [];
    const expected: Uint8Array[] = [];
    let at = 0;
    for (const { file, from, length } of cut.slices(start, cut.startOf(piece + 1) - start)) {
      const wanted = this.#wanted[file];
      if (wanted === undefined) continue;
      if (!this.#readBack(wanted, bytes.subarray(at, at + length), from)) return false;
      at += length;
      const { size, root } = wanted.entry;
      // Each file of a pack is checked for itself, since some of them may not be wanted.
      if (length === size) units.push({ files: [size] });
      else units.push(...cut.unitsOf(piece, 1));
      expected.push(
        length === size ? packHash([Uint8Array.fromHex(root)], sha256) : hashes.subarray(piece * HASH, (piece + 1) * HASH),
      );
    }
    const layer = await pool.layer({ memory, units });
    return expected.every((hash, i) => Buffer.compare(hash, layer.subarray(i * HASH, (i + 1) * HASH)) === 0);
  }

  /** Reads a part of a file that an earlier run left. False when it is not there in its full length. */
  #readBack({ entry, local }: WantedFile, into: Uint8Array, from: number): boolean {
    for (const folder of [this.#part, this.#destination]) {
      let fd: number | undefined;
      try {
        const path = join(folder, local);
        fd = openSync(path, constants.O_RDONLY | PLAIN_ONLY);
        // A link on the way may lead to files that nobody has fetched, and publishing does not follow it.
        if (!isAtItsPath(fd, path)) continue;
        const found = entryOf(fd);
        if (!found?.isFile() || (isSmall(entry.size) && found.size !== BigInt(entry.size))) continue;
        let have = 0;
        for (let got = -1; have < into.length && got !== 0; have += got)
          got = readSync(fd, into, have, into.length - have, from + have);
        if (have === into.length) return true;
      } catch {
        // It is not there, or cannot be read: it is fetched.
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
    }
    return false;
  }

  /** Throws a sentence when the disk has no room for the pieces that are missing, or for their files. */
  #checkRoom(have: PieceSet): void {
    const { cut, into, name } = this.#options;
    let bytes = 0;
    for (let piece = 0; piece < cut.count; piece++) if (!have.has(piece)) bytes += cut.startOf(piece + 1) - cut.startOf(piece);
    // Folders need room as well. Those that are there already are few.
    const files = this.files - this.filesIn(have) + this.#layout.folders.length;
    const where = `"${printable(into)}"`;
    const room = roomIn(into);
    if (room === undefined) return;
    const free = room.bavail * room.bsize;
    if (room.blocks > 0 && bytes > free) throw this.#tooLarge(bytes, free);
    if (room.files > 0 && files > room.ffree) {
      throw new FtError(
        "no-space",
        `Cannot fetch the folder "${printable(name)}": it has ${files} files and folders to save, and ${where} has room for ${room.ffree} more.`,
      );
    }
  }

  /** Throws a sentence when the whole disk is too small. A hostile list names any sizes, and the hashes of these would fill the memory. */
  #checkDisk(): void {
    const room = roomIn(this.#options.into);
    if (room !== undefined && room.blocks > 0 && this.size > room.blocks * room.bsize) {
      throw this.#tooLarge(this.size, room.bavail * room.bsize);
    }
  }

  #tooLarge(bytes: number, free: number): FtError {
    const { into, name } = this.#options;
    const words = `it needs ${formatSize(bytes)}, and "${printable(into)}" has ${formatSize(free)} free.`;
    return new FtError("no-space", `Cannot fetch the folder "${printable(name)}": ${words}`);
  }

  /** Writes bytes of the folder at a position. A file that cannot be written is remembered in `failed`; a disk that cannot, throws. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    let small = 0;
    for (const { file, from, offset: at, length } of this.#options.cut.slices(offset, bytes.length)) {
      const wanted = this.#wanted[file];
      if (wanted === undefined) continue;
      const part = bytes.subarray(at - offset, at - offset + length);
      try {
        if (isSmall(wanted.entry.size)) this.#writeSmall(wanted, part);
        else await this.#writeLarge(file, wanted, part, from);
      } catch (error) {
        this.#fail(wanted.entry, error);
      }
      if (++small % FILES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** All bytes that have come are on the disk as soon as `write` ends: nothing is thrown away. */
  async restart(): Promise<void> {}

  #fail(entry: FolderEntry, error: unknown): void {
    const { into, name, cut } = this.#options;
    const lost = entryOf(this.#part) === undefined;
    if (lost)
      throw new FtError("part-gone", `Cannot save "${printable(name)}": its part folder in "${printable(into)}" is gone.`);
    if (DISK_ERRORS.includes(codeOf(error))) throw writeError(error, { folder: into, name, size: cut.size });
    if (this.#failedPaths.has(entry.path)) return;
    this.#failedPaths.add(entry.path);
    this.failed.push({
      path: entry.path,
      reason: error instanceof FtError ? sentenceOf(error) : codeOf(error) || sentenceOf(error),
    });
  }

  #writeSmall({ entry, local }: WantedFile, bytes: Uint8Array): void {
    const path = this.#placeFor(local);
    let fd: number;
    try {
      fd = createFile(path);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      // An earlier run left it, and it was not right or is asked for once more.
      unlinkSync(path);
      fd = createFile(path);
    }
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      const date = this.#options.dates.get(entry.path);
      if (date !== undefined) futimesSync(fd, date / 1000, date / 1000);
    } finally {
      closeSync(fd);
    }
  }

  async #writeLarge(file: number, { local }: WantedFile, bytes: Uint8Array, from: number): Promise<void> {
    const open = this.#openLarge(file, local);
    open.writing += 1;
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await promisify(write)(open.fd, bytes, at, bytes.length - at, from + at);
        if (bytesWritten === 0) throw new Error("nothing was written");
        at += bytesWritten;
      }
    } finally {
      open.writing -= 1;
      this.#closeUnused(MOST_OPEN);
    }
  }

  #openLarge(file: number, local: string): { fd: number; writing: number } {
    const flags = constants.O_RDWR | constants.O_CREAT | PLAIN_ONLY;
    const open = this.#open.get(file) ?? { fd: openSync(this.#placeFor(local), flags, 0o666), writing: 0 };
    this.#open.delete(file);
    this.#open.set(file, open);
    return open;
  }

  /** Closes the files that were used the longest time ago, until only `most` are open. A file that is being written stays open. */
  #closeUnused(most: number): void {
    for (const [file, { fd, writing }] of this.#open) {
      if (this.#open.size <= most) return;
      if (writing > 0) continue;
      this.#open.delete(file);
      closeSync(fd);
    }
  }

  /** The path in the part folder, with its folder made. */
  #placeFor(local: string): string {
    const path = join(this.#part, local);
    const folder = local.slice(0, local.lastIndexOf("/") + 1);
    if (folder !== "" && !this.#made.has(folder)) {
      mkdirSync(join(this.#part, folder), { recursive: true });
      this.#made.add(folder);
    }
    return path;
  }

  /** The bytes of wanted files that were fetched, for downloaders: for a moment. Gives how many bytes it read, or throws. */
  async read(into: Uint8Array, at: number): Promise<number> {
    const until = performance.now() + READ_MS;
    let have = 0;
    for (const { file, from, length } of this.#options.cut.slices(at, into.length)) {
      const wanted = this.#wanted[file];
      if (wanted === undefined || !this.#readBack(wanted, into.subarray(have, have + length), from)) {
        throw new Error("a file of the folder is not here");
      }
      have += length;
      if (performance.now() >= until) break;
    }
    return have;
  }

  /** Everything is here: sets the dates, syncs the files, and gives the folder its name. Throws a sentence. */
  async publish(): Promise<PublishedFolder> {
    const { into, name, dates, cut } = this.#options;
    try {
      this.#closeUnused(0);
      let made = 0;
      for (const entry of this.#entries) {
        if (++made % FILES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
        if (entry.path.endsWith("/")) this.#placeFor(`${this.#layout.placeOf(entry)}x`);
        else if (entry.size === 0 && !this.#isThere(entry))
          this.#writeSmall({ entry, local: this.#layout.placeOf(entry) }, new Uint8Array(0));
      }
      for (const wanted of this.#wanted) {
        const date = wanted && dates.get(wanted.entry.path);
        if (wanted === undefined || date === undefined || isSmall(wanted.entry.size)) continue;
        const path = join(this.#part, wanted.local);
        if (entryOf(path) !== undefined) utimesSync(path, date / 1000, date / 1000);
      }
      return await publishFolder({
        part: this.#part,
        destination: this.#destination,
        isFile: this.#isOneFile,
        layout: this.#layout,
        entries: this.#entries,
        dateOf: (path) => dates.get(this.#pathInFolder(path)),
      });
    } catch (error) {
      throw error instanceof FtError ? error : writeError(error, { folder: into, name, size: cut.size });
    } finally {
      this.#end();
    }
  }

  /** The path in the whole folder of a path in the fetched part of it. The fetched folder itself is "". */
  #pathInFolder(path: string): string {
    const { entries, inside } = this.#options;
    const start = inside === "" || this.#isOneFile ? inside.slice(0, startOfInside(entries, inside)) : `${inside}/`;
    return start + path || "/";
  }

  /** Stops, and keeps what arrived. */
  keep(): void {
    this.#closeUnused(0);
    try {
      rmdirSync(this.#part);
    } catch {
      // It has something in it, which the next run uses.
    }
    this.#end();
  }

  get #isOneFile(): boolean {
    const { inside, entries } = this.#options;
    return inside !== "" && entries.some(({ path }) => path === inside);
  }

  /** The place of the finished folder. One file inside of it goes into the folder that was named. */
  get #destination(): string {
    const { into, name, inside } = this.#options;
    if (this.#isOneFile) return into;
    const last = inside.slice(inside.lastIndexOf("/") + 1);
    return join(into, localNameOf(inside === "" ? name : last));
  }

  #isThere(entry: FolderEntry): boolean {
    const local = this.#layout.placeOf(entry);
    const found = entryOf(join(this.#part, local)) ?? entryOf(join(this.#destination, local));
    return found?.isFile() === true && found.size === BigInt(entry.size);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lock.release();
  }
}

function isInside(path: string, inside: string): boolean {
  return inside === "" || path === inside || path.startsWith(`${inside}/`);
}

/** How much of the paths is left out, when only something inside of the folder is fetched. Characters. */
function startOfInside(entries: readonly FolderEntry[], inside: string): number {
  if (inside === "") return 0;
  const isFile = entries.some(({ path }) => path === inside);
  return isFile ? inside.lastIndexOf("/") + 1 : inside.length + 1;
}

function createFile(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | PLAIN_ONLY, 0o666);
}

/** Opens the part folder of an earlier run, or makes one. Only this user can write into it. */
function openPartFolder(path: string): string {
  try {
    mkdirSync(path, { mode: 0o700 });
    return path;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  const entry = lstatSync(path, { bigint: true });
  const self = process.getuid?.();
  const isOwn = self === undefined || (entry.uid === BigInt(self) && (entry.mode & 0o022n) === 0n);
  if (entry.isDirectory() && isOwn) return path;
  throw new FtError("foreign-part", `"${printable(path)}" is in the way, and not a folder of this program. Remove it.`);
}

/** Whether the disk tells `A` from `a`. */
function tellsCase(part: string): boolean {
  const other = part.replace(/\.part$/, ".PART");
  return entryOf(other) === undefined;
}
