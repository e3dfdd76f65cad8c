// Writes one fetched folder: into a part folder beside its place, which gets the folder's name when everything is there.
// folder-read-back.ts finds what an earlier run left, folder-publish.ts gives the names.

import {
  closeSync,
  constants,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { codeOf, FtError, pathFault, sentenceOf } from "../../../error.ts";
import type { FolderList } from "../../../protocol/folder-list.ts";
import { printable } from "../../../text.ts";
import { type FolderCut, isSmall } from "../../content/folder-cut.ts";
import type { FolderDates } from "../../content/folder-dates.ts";
import type { HashPool } from "../../content/hash.ts";
import type { PieceSet } from "../../content/pieces.ts";
import { entryOf, PLAIN_ONLY } from "../identity.ts";
import { partKeyOf } from "../incoming.ts";
import { localNameOf } from "../local-name.ts";
import { Lock } from "../lock.ts";
import { OpenFiles } from "../open-files.ts";
import { choosePart } from "../part-file.ts";
import { removeTree } from "../remove-tree.ts";
import { checkFolder, tryFolder, writeError } from "../target-folder.ts";
import { FolderLayout, type Renamed } from "./folder-layout.ts";
import { type PublishedFolder, publishFolder } from "./folder-publish.ts";
import { FolderReadBack } from "./folder-read-back.ts";
import { checkDisk, checkRoom, type roomIn } from "./folder-room.ts";
import { FolderSelection } from "./folder-selection.ts";
import { keepListed } from "./folder-tidy.ts";
import { READ_MS } from "./shared-folder.ts";

/** After this number of small files, other work of the program gets its turn. */
const FILES_AT_ONCE = 32;
/** The same for entries that are only looked at. */
const LOOKED_AT_ONCE = 256;
/** The bytes of an empty file. */
const NOTHING = new Uint8Array(0);
/** These errors are the disk's: no other file can be written either. */
const DISK_ERRORS = ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE"];

export interface IncomingFolderOptions {
  /** The folder into which it goes. */
  into: string;
  /** The name in the record. It is made safe here. */
  name: string;
  /** The entries of the whole folder, and how its bytes are cut. */
  list: FolderList;
  cut: FolderCut;
  /** The file or folder inside that is wanted; empty for the whole folder. */
  inside: string;
  dates: FolderDates;
  /** How much room the file system of a folder has. Tests hand in another one. */
  room?: typeof roomIn;
}

/** A file that could not be saved, and why, as a clause. */
export interface FailedFile {
  path: string;
  reason: string;
}

/** One folder that is being fetched. */
export class IncomingFolder {
  /** The number of wanted files, and their bytes. */
  readonly files: number;
  readonly size: number;
  readonly failed: FailedFile[] = [];
  /** The numbers of these. */
  readonly #failedEntries = new Set<number>();
  readonly #options: IncomingFolderOptions;
  readonly #part: string;
  readonly #lock: Lock;
  readonly #selection: FolderSelection;
  readonly #layout: FolderLayout;
  readonly #arrived: FolderReadBack;
  /** No earlier run has left anything. */
  readonly #isFresh: boolean;
  readonly #made = new Set<string>();
  /** When each file in the part folder was last changed, as this process left it; 0 for one that it has not seen. Nanoseconds. */
  readonly #left: Float64Array;
  /** The entries that another program has changed meanwhile. */
  readonly #suspects = new Set<number>();
  /** Proves the pieces: their right hashes, and the threads that compute hashes. */
  #proof: { hashes: Uint8Array; pool: HashPool } | undefined;
  /** Large files that are open, by entry. Between two writes to one, its date of change tells whether another program writes to it. */
  readonly #open = new OpenFiles({
    begins: (entry, fd) => this.#look(entry, fd),
    ends: (entry, fd) => {
      this.#left[entry] = changedAt(fd);
    },
  });
  /** A file could not be brought to the disk when the folder was to get its name. */
  #lost = false;
  #ended = false;

  private constructor(options: IncomingFolderOptions, { path, isNew }: PartFolder, lock: Lock) {
    this.#options = options;
    this.#part = path;
    this.#lock = lock;
    const { list, cut, inside } = options;
    const selection = new FolderSelection(list, inside);
    const layout = new FolderLayout(selection.paths(), tellsCase(path));
    this.#selection = selection;
    this.#layout = layout;
    this.#left = new Float64Array(list.length);
    this.#arrived = new FolderReadBack({ list, cut, selection, layout, part: path, destination: this.#destination });
    if (!isNew) keepListed(path, { list, selection, layout });
    this.#isFresh = isNew && !selection.isOneFile && entryOf(this.#destination) === undefined;
    this.files = selection.files;
    this.size = selection.size;
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
        checkDisk(options, incoming.size);
      } catch (error) {
        incoming.#leave();
        throw error;
      }
      return incoming;
    } catch (error) {
      lock.release();
      throw error instanceof FtError ? error : writeError(error, { folder: into, name, size: options.cut.size });
    }
  }

  /** The files and folders that have another name here, because theirs is not safe on this disk, or taken by another entry. */
  get renamed(): Renamed[] {
    return this.#layout.renamed;
  }

  /** Where everything lies that was published: the folder itself, if it is new, else its entries. */
  *places({ path, outcome, numbered }: PublishedFolder): Generator<string> {
    if (outcome === "new" || this.#selection.isOneFile) {
      yield path;
      return;
    }
    const numberedAt = new Map(numbered.map((one) => [one.path, one.local]));
    for (const [folder, local] of numberedAt) if (folder.endsWith("/")) yield join(path, local);
    for (const wanted of this.#selection.paths()) {
      const place = numberedAt.get(wanted) ?? this.#layout.placeOf(wanted);
      yield join(path, place.replace(/\/$/, ""));
    }
  }

  /** The number of wanted files without those that could not be saved, and their bytes. */
  get saved(): { files: number; size: number } {
    const { list } = this.#options;
    const failed = [...this.#failedEntries].filter((entry) => !list.isFolder(entry));
    const lost = failed.reduce((sum, entry) => sum + list.sizeOf(entry), 0);
    return { files: this.files - failed.length, size: this.size - lost };
  }

  /** Whether nothing of a piece is wanted. */
  isUnwanted(piece: number): boolean {
    return this.#arrived.isUnwanted(piece);
  }

  /** The number of wanted files whose pieces are all in a set. Files without bytes count from the start. */
  filesIn(have: PieceSet): number {
    const { cut } = this.#options;
    let missing = 0;
    let last = -1;
    for (let piece = 0; piece < cut.count; piece++) {
      if (have.has(piece)) continue;
      const start = cut.startOf(piece);
      for (const { file } of cut.slices(start, cut.startOf(piece + 1) - start)) {
        if (file !== last && this.#selection.has(cut.entryOf(file))) missing += 1;
        last = file;
      }
    }
    return this.files - missing;
  }

  /**
   * Which pieces an earlier run left, in the part folder or in the finished one, and those of which nothing is wanted. `hashes` are those
   * of all pieces. Throws a sentence when the disk has no room for the rest.
   */
  async present(hashes: Uint8Array, pool: HashPool, onChecked: (bytes: number) => void): Promise<PieceSet> {
    this.#proof = { hashes, pool };
    const have = this.#isFresh ? this.#arrived.unwanted() : await this.#arrived.present(hashes, pool, onChecked);
    this.#checkRoom(have);
    if (!this.#isFresh) this.#noteLeft();
    return have;
  }

  /** Notes when the files that an earlier run left were changed. They have just been checked. */
  #noteLeft(): void {
    for (const entry of this.#selection.entries()) {
      const path = `${this.#part}/${this.#layout.placeOf(this.#selection.pathOf(entry))}`;
      if (!this.#options.list.isFolder(entry)) this.#left[entry] = Number(entryOf(path)?.ctimeNs ?? 0n);
    }
  }

  /** Throws a sentence when the disk has no room for the pieces that are missing, or for their files. */
  #checkRoom(have: PieceSet): void {
    const { cut } = this.#options;
    let bytes = 0;
    for (let piece = 0; piece < cut.count; piece++) if (!have.has(piece)) bytes += cut.startOf(piece + 1) - cut.startOf(piece);
    // Folders need room as well. Those that are there already are few.
    checkRoom(this.#options, bytes, this.files - this.filesIn(have) + this.#layout.folders.size);
  }

  /** Writes bytes of the folder at a position. A file that cannot be written is remembered in `failed`; a disk that cannot, throws. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    const { cut } = this.#options;
    const large: { entry: number; part: Uint8Array; from: number }[] = [];
    let seen = 0;
    for (const { file, from, offset: at, length } of cut.slices(offset, bytes.length)) {
      const entry = cut.entryOf(file);
      if (!this.#selection.has(entry)) continue;
      const part = bytes.subarray(at - offset, at - offset + length);
      if (isSmall(cut.sizeOf(file))) this.#trySmall(entry, part);
      else large.push({ entry, part, from });
      if (++seen % FILES_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // All at once: one after the other, 1,000 files of 1 MiB took a fifth longer. All end before this does, because the caller uses the
    // memory again.
    const ended = await Promise.allSettled(
      large.map(({ entry, part, from }) =>
        this.#open.write(entry, () => this.#placeFor(entry), part, from).catch((error) => this.#fail(entry, error)),
      ),
    );
    for (const one of ended) if (one.status === "rejected") throw one.reason;
  }

  #trySmall(entry: number, bytes: Uint8Array): void {
    try {
      this.#writeSmall(entry, bytes);
    } catch (error) {
      this.#fail(entry, error);
    }
  }

  /** All bytes that have come are on the disk as soon as `write` ends: nothing is thrown away. */
  async restart(): Promise<void> {}

  #fail(entry: number, error: unknown): void {
    const { into, name, cut, list } = this.#options;
    const lost = entryOf(this.#part) === undefined;
    if (lost)
      throw new FtError("part-gone", `Cannot save "${printable(name)}": its part folder in "${printable(into)}" is gone.`);
    if (DISK_ERRORS.includes(codeOf(error))) throw writeError(error, { folder: into, name, size: cut.size });
    if (this.#failedEntries.has(entry)) return;
    this.#failedEntries.add(entry);
    this.failed.push({
      path: list.pathOf(entry),
      reason: error instanceof FtError ? sentenceOf(error) : pathFault(error),
    });
  }

  #writeSmall(entry: number, bytes: Uint8Array): void {
    const path = this.#placeFor(entry);
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
      const date = this.#options.dates.ofEntry(entry);
      if (date !== undefined) futimesSync(fd, date / 1000, date / 1000);
      this.#left[entry] = changedAt(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** The path of an entry in the part folder, with its folder made. */
  #placeFor(entry: number): string {
    const local = this.#layout.placeOf(this.#selection.pathOf(entry));
    const folder = local.slice(0, local.lastIndexOf("/") + 1);
    if (folder !== "" && !this.#made.has(folder)) {
      mkdirSync(join(this.#part, folder), { recursive: true });
      this.#made.add(folder);
    }
    return `${this.#part}/${local}`;
  }

  /** The bytes of wanted files that were fetched, for downloaders: for a moment. Gives how many bytes it read, or throws. */
  async read(into: Uint8Array, at: number): Promise<number> {
    const until = performance.now() + READ_MS;
    const { cut } = this.#options;
    let have = 0;
    for (const { file, from, length } of cut.slices(at, into.length)) {
      const entry = cut.entryOf(file);
      if (!this.#selection.has(entry) || !this.#arrived.read(entry, into.subarray(have, have + length), from)) {
        throw new Error("a file of the folder is not here");
      }
      have += length;
      if (performance.now() >= until) break;
    }
    return have;
  }

  /**
   * Everything is here: sets the dates, syncs the files, and gives the folder its name. Throws a sentence; or a `CancelledError` when the
   * signal aborts before all is synced.
   */
  async publish(signal?: AbortSignal): Promise<PublishedFolder> {
    const { into, name, dates, cut } = this.#options;
    const selection = this.#selection;
    try {
      await this.#open.close();
      this.#removeFailed();
      await this.#checkUntouched();
      await this.#makeEmpty();
      this.#setLargeDates();
      const published = await publishFolder({
        part: this.#part,
        destination: this.#destination,
        isFile: selection.isOneFile,
        layout: this.#layout,
        files: selection.files,
        paths: () => selection.paths(),
        signal,
        lost: () => {
          this.#lost = true;
        },
        dateOf: (path) => dates.ofFolder(selection.wholePathOf(path)),
      });
      this.#arrived.isRenamed = published.outcome === "new" && !selection.isOneFile;
      return published;
    } catch (error) {
      throw error instanceof FtError
        ? error
        : writeError(error, { folder: into, name, size: cut.size, inner: this.#folderOf(error) });
    } finally {
      this.#end();
    }
  }

  /** The folder outside of the part folder in which the system could not make something; undefined where it does not say. */
  #folderOf(error: unknown): string | undefined {
    const { path, dest = path } = error as { path?: string; dest?: string };
    return dest === undefined || dest.startsWith(this.#part) ? undefined : dirname(dest);
  }

  /** Notes that another program has changed a file since this process did. */
  #look(entry: number, file: number | string): void {
    const left = this.#left[entry] ?? 0;
    if (left !== 0 && left !== changedAt(file)) this.#suspects.add(entry);
  }

  /** Throws a sentence when another program has changed what arrived: a file gets its name only as it was proven. */
  async #checkUntouched(): Promise<void> {
    const { list, name, into } = this.#options;
    let looked = 0;
    for (const entry of this.#selection.entries()) {
      if (++looked % LOOKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      if ((this.#left[entry] ?? 0) === 0 || this.#failedEntries.has(entry)) continue;
      this.#look(entry, `${this.#part}/${this.#layout.placeOf(this.#selection.pathOf(entry))}`);
    }
    for (const entry of this.#failedEntries) this.#suspects.delete(entry);
    const [first] = this.#suspects;
    if (first === undefined || this.#proof === undefined) return;
    const { hashes, pool } = this.#proof;
    if (await this.#arrived.areRight(this.#suspects, hashes, pool)) return;
    throw new FtError(
      "part-changed",
      `Cannot save "${printable(name)}": another program changes "${printable(list.pathOf(first))}" in its part folder in "${printable(into)}". End that program and run the same command again.`,
    );
  }

  /** The written part of a file that could not be saved does not get the file's name. */
  #removeFailed(): void {
    for (const entry of this.#failedEntries) removeTree(join(this.#part, this.#layout.placeOf(this.#selection.pathOf(entry))));
  }

  /** Makes the folders and the files that have no bytes. */
  async #makeEmpty(): Promise<void> {
    const { list } = this.#options;
    let looked = 0;
    for (const entry of this.#selection.entries()) {
      if (++looked % LOOKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
      try {
        if (list.isFolder(entry)) this.#placeFor(entry);
        else if (list.sizeOf(entry) === 0 && !this.#arrived.hasEmpty(entry)) this.#writeSmall(entry, NOTHING);
      } catch (error) {
        this.#fail(entry, error);
      }
    }
  }

  /** A file that was written in pieces gets its date at the end. */
  #setLargeDates(): void {
    const { cut, dates } = this.#options;
    for (let file = 0; file < cut.files; file++) {
      const entry = cut.entryOf(file);
      const date = isSmall(cut.sizeOf(file)) || !this.#selection.has(entry) ? undefined : dates.ofEntry(entry);
      if (date === undefined) continue;
      const path = this.#placeFor(entry);
      if (entryOf(path) !== undefined) utimesSync(path, date / 1000, date / 1000);
    }
  }

  /** The person has stopped the download: no sync begins any more until the folder gets its name. */
  stop(): void {
    this.#open.stop();
  }

  /** Stops, and keeps what arrived. False when the disk could not keep all of it. */
  async keep(): Promise<boolean> {
    this.stop();
    await this.#open.close().catch(() => undefined);
    this.#leave();
    return !this.#lost && !this.#open.failed;
  }

  #leave(): void {
    try {
      rmdirSync(this.#part);
    } catch {
      // It has something in it, which the next run uses.
    }
    this.#end();
  }

  /** The place of the finished folder. One file inside of it goes into the folder that was named. */
  get #destination(): string {
    const { into, name, inside } = this.#options;
    if (this.#selection.isOneFile) return into;
    const last = inside.slice(inside.lastIndexOf("/") + 1);
    return join(into, localNameOf(inside === "" ? name : last));
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#lock.release();
  }
}

/** When a file was last changed, in whatever way. Nanoseconds, rounded. */
function changedAt(file: number | string): number {
  return Number(entryOf(file)?.ctimeNs ?? Number.NaN);
}

function createFile(path: string): number {
  return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | PLAIN_ONLY, 0o666);
}

interface PartFolder {
  readonly path: string;
  /** No earlier run has left it. */
  readonly isNew: boolean;
}

/** Opens the part folder of an earlier run, or makes one. Only this user can write into it. */
function openPartFolder(path: string): PartFolder {
  try {
    mkdirSync(path, { mode: 0o700 });
    return { path, isNew: true };
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  const entry = lstatSync(path, { bigint: true });
  const self = process.getuid?.();
  const isOwn = self === undefined || (entry.uid === BigInt(self) && (entry.mode & 0o022n) === 0n);
  if (entry.isDirectory() && isOwn) return { path, isNew: false };
  throw new FtError("foreign-part", `"${printable(path)}" is in the way, and not a folder of this program. Remove it.`);
}

/** Whether the disk tells `A` from `a`. */
function tellsCase(part: string): boolean {
  const other = part.replace(/\.part$/, ".PART");
  return entryOf(other) === undefined;
}
