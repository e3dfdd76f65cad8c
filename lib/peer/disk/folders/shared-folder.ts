// A folder that is shared as one: has its files hashed, makes its list, and reads its bytes for downloaders. It does not watch the folder.

import { closeSync } from "node:fs";
import { basename, sep } from "node:path";
import { readFullySync } from "../../../files.ts";
import { comparePaths, EMPTY_ROOT, type FolderEntry, formatFolderList } from "../../../protocol/folder.ts";
import { type FolderList, parseFolderList } from "../../../protocol/folder-list.ts";
import { type FileName, parseFileName } from "../../../protocol/record.ts";
import { FolderCut, isSmall } from "../../content/folder-cut.ts";
import { formatDates } from "../../content/folder-dates.ts";
import { type HashPool, sha256, treeOfBytes } from "../../content/hash.ts";
import type { Tree } from "../../content/merkle.ts";
import type { Served } from "../../serve/types.ts";
import { readFully } from "../fully.ts";
import { learnNumbering } from "../identity.ts";
import { type FolderCache, type HashedFile, SETTLED_MS } from "./folder-cache.ts";
import { type HashedFiles, hashFiles, isOfStamp, openUnchanged, placeOf } from "./folder-hashing.ts";
import type { Renamed } from "./folder-layout.ts";
import { COLLECTED_AFTER, type Walk, type WalkedFile, walkFolder } from "./folder-walk.ts";

/** A read of small files ends after this time, with the bytes that it has by then. Milliseconds. */
export const READ_MS = 1;

/** A folder as it was when it was last looked at, with everything hashed. */
interface FolderState {
  readonly list: FolderList;
  /** The tree of the list, which is fetched like a file. Its root stands for the folder. */
  readonly tree: Tree;
  readonly cut: FolderCut;
  /** The hashes of all packs and pieces. */
  readonly hashes: Uint8Array;
  readonly seen: SeenFiles;
  readonly folders: Walk["folders"];
}

/** The content id of a folder that was fetched, its list, and the files that got a number because another one had their name. */
export interface FetchedFolder {
  readonly root: string;
  readonly list: FolderList;
  readonly numbered: readonly Renamed[];
}

export class SharedFolder {
  readonly path: string;
  readonly name: FileName;
  /** The tracker shows the folder only to peers that were told this token. */
  only: string | undefined;
  /** It was fetched when the list was full: it does not count among this peer's files. */
  beyond = false;
  /**
   * What was fetched; undefined for a folder that the person has chosen. Of a fetched one only these entries are shared: the person may have
   * had other files in a folder of this name, or put some into it.
   */
  fetched: FetchedFolder | undefined;
  /** Files that came into it for some people only, and folders with all that is in them. Nobody else is shown these. */
  readonly #withheld = new Set<string>();
  /** Undefined until everything is hashed. */
  state: FolderState | undefined;
  /** Its files and their bytes, as they were when the folder was last walked. */
  files = 0;
  size = 0;
  /** The number of files that are hashed, while the folder is being hashed. */
  hashed = 0;
  /** Milliseconds since 1970. */
  modified = Date.now();
  /** The entries that are left out, by reason. */
  left: ReadonlyMap<string, number> = new Map();
  #dates: { of: FolderState | undefined; bytes: Uint8Array } | undefined;

  constructor(path: string) {
    this.path = path;
    this.name = parseFileName(basename(path).normalize("NFC"));
  }

  /** Its content id, once everything is hashed. */
  get root(): string | undefined {
    return this.state?.tree.root;
  }

  /**
   * A file or folder came to this place for some people only. False when that is not in this folder, or one that was shared before and has
   * not been replaced.
   */
  withhold(place: string, isReplacement: boolean): boolean {
    if (!place.startsWith(this.path + sep)) return false;
    const local = place.slice(this.path.length + 1).replaceAll(sep, "/");
    const [first, end] = this.state?.list.rangeOf(local.normalize("NFC")) ?? [0, 0];
    if (first < end && !isReplacement) return false;
    this.#withheld.add(spellingOf(local));
    return true;
  }

  /** Counts the files, so that the folder has a record at once. Throws a sentence when it cannot be shared. */
  async look(signal?: AbortSignal): Promise<Walk> {
    learnNumbering(this.path);
    const whole = await walkFolder(this.path, signal);
    const walk = this.fetched === undefined ? withoutWithheld(whole, this.#withheld) : listedOf(whole, this.fetched);
    this.files = walk.files.length;
    this.size = walk.files.reduce((sum, { size }) => sum + size, 0);
    this.modified = walk.folders[0]?.modified ?? this.modified;
    this.left = walk.left;
    return walk;
  }

  /**
   * Hashes what the cache does not know, and makes the list. Calls `onHashed` after each file. False when the folder is as it was. Files
   * that cannot be read, or change meanwhile, are left out.
   */
  async refresh(pool: HashPool, cache: FolderCache, signal: AbortSignal, onHashed = () => {}): Promise<boolean> {
    const walk = await this.look(signal);
    const { state } = this;
    if (state?.seen.isSame(walk)) {
      this.state = { ...state, folders: walk.folders };
      return false;
    }
    this.hashed = 0;
    const hashes = await hashFiles(this.path, walk.files, {
      pool,
      known: cache.load(this.path),
      signal,
      onHashed: () => {
        this.hashed += 1;
        onHashed();
      },
    });
    this.#leaveOut(walk.files.filter((_, number) => !hashes.has(number)));
    collectAfter(walk.files.length);
    cache.save(this.path, hashedFiles(walk.files, hashes));
    collectAfter(walk.files.length);
    this.state = stateOf(this.path, walk, hashes);
    collectAfter(walk.files.length);
    return this.state.tree.root !== state?.tree.root;
  }

  /** These files were found, and could not be hashed. */
  #leaveOut(files: WalkedFile[]): void {
    if (files.length === 0) return;
    this.files -= files.length;
    for (const { size } of files) this.size -= size;
    this.left = new Map(this.left).set("unreadable, or being changed", files.length);
  }

  /** Opens the bytes of the folder; undefined when this is not its list any more. */
  open(root: string): Served | undefined {
    const { state } = this;
    if (state?.tree.root !== root) return undefined;
    const unchanged = () => this.state?.tree.root === root;
    // The folder may be looked at again meanwhile: then its files have the same bytes, but perhaps other times.
    const reader = new FolderReader(() => (unchanged() ? this.state : undefined) ?? state);
    const read = (into: Uint8Array, at: number) => reader.read(into, at);
    return { size: state.cut.size, busyUntil: state.cut.smallEnd, read, unchanged, close: () => reader.close() };
  }

  /** Opens the list, which is served like a file. */
  openList(root: string): Served | undefined {
    const { state } = this;
    if (state?.tree.root !== root) return undefined;
    return servedBytes(state.list.bytes, () => this.state?.tree.root === root);
  }

  /** The dates of the files and folders, as DATES carries them. They are made once: a request for them is short. */
  dates(): Uint8Array {
    const { state } = this;
    if (this.#dates === undefined || this.#dates.of !== state) {
      this.#dates = { of: state, bytes: formatDates(state === undefined ? [] : datesOf(state)) };
      collectAfter(state?.list.length ?? 0);
    }
    return this.#dates.bytes;
  }
}

/** Bytes in memory, such as a folder's list, as a file that is served. */
export function servedBytes(bytes: Uint8Array, unchanged: () => boolean): Served {
  const read = async (into: Uint8Array, at: number) => {
    const part = bytes.subarray(at, at + into.length);
    into.set(part);
    return part.length;
  };
  return { size: bytes.length, read, unchanged, close: () => undefined };
}

/** Reads the bytes of a folder. A file that is not as it was when it was hashed is not read. */
class FolderReader {
  readonly #state: () => FolderState;
  /** The large file that was read last. */
  #open: { entry: number; fd: number } | undefined;

  constructor(state: () => FolderState) {
    this.#state = state;
  }

  /** Reads small files, for a moment, or a part of a large one. Gives how many bytes it read. */
  async read(into: Uint8Array, at: number): Promise<number> {
    const until = performance.now() + READ_MS;
    let have = 0;
    for (const { file, from, length } of this.#state().cut.slices(at, into.length)) {
      const part = into.subarray(have, have + length);
      const { cut, seen } = this.#state();
      const entry = cut.entryOf(file);
      const got = isSmall(cut.sizeOf(file))
        ? readSmall(seen, entry, part, from)
        : await this.#readLarge(seen, entry, part, from);
      if (got < part.length) throw new Error("a file of the folder became shorter");
      have += got;
      if (performance.now() >= until) break;
    }
    return have;
  }

  async #readLarge(seen: SeenFiles, entry: number, into: Uint8Array, from: number): Promise<number> {
    if (this.#open?.entry !== entry || !seen.isUnchanged(entry, this.#open.fd)) {
      this.close();
      this.#open = { entry, fd: seen.open(entry) };
    }
    const { fd } = this.#open;
    const got = await readFully(fd, into, from);
    // Another program may write to the file while it is read. Its bytes are not the shared ones.
    if (!seen.isUnchanged(entry, fd)) throw new Error("a file of the folder has changed");
    return got;
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }
}

/** Opens, reads and closes a small file at once: waiting for each of these would take longer. */
function readSmall(seen: SeenFiles, entry: number, into: Uint8Array, from: number): number {
  const fd = seen.open(entry);
  try {
    return readFullySync(fd, into, from);
  } finally {
    closeSync(fd);
  }
}

/** Where the files of a list lie, and how they were when they were hashed; by their numbers in the list. */
class SeenFiles {
  readonly #folder: string;
  readonly #list: FolderList;
  readonly #stamps: BigUint64Array;
  readonly #dates: Float64Array;
  /** The paths on this disk that are not as in the list. */
  readonly #locals = new Map<number, string>();

  /** Whether no file has changed shortly before. It could change again without another stamp. */
  readonly #isSettled: boolean;

  /** The files are those of the list, in its order, without its empty folders. */
  constructor(folder: string, list: FolderList, files: readonly WalkedFile[]) {
    this.#folder = folder;
    this.#list = list;
    this.#stamps = new BigUint64Array(list.length);
    this.#dates = new Float64Array(list.length);
    const settled = Date.now() - SETTLED_MS;
    this.#isSettled = files.every(({ modified }) => modified <= settled);
    let entry = 0;
    for (const { stamp, modified, local } of files) {
      while (list.isFolder(entry)) entry += 1;
      this.#stamps[entry] = stamp;
      this.#dates[entry] = modified;
      if (local !== undefined) this.#locals.set(entry, local);
      entry += 1;
    }
  }

  /** Whether a walk finds the same files, unchanged, and the same empty folders. */
  isSame({ files, empty }: Walk): boolean {
    if (!this.#isSettled || this.#list.length !== files.length + empty.length) return false;
    const [nextFile, nextFolder] = [files.values(), empty.toSorted(comparePaths).values()];
    for (let entry = 0; entry < this.#list.length; entry++) {
      const path = this.#list.pathOf(entry);
      if (this.#list.isFolder(entry)) {
        if (nextFolder.next().value !== path) return false;
        continue;
      }
      const file = nextFile.next().value;
      if (file?.path !== path || file.stamp !== this.#stamps[entry]) return false;
    }
    return true;
  }

  dateOf(entry: number): number {
    return this.#dates[entry] ?? 0;
  }

  /** Opens a file if it is still the one that was hashed. Throws otherwise. */
  open(entry: number): number {
    const place = placeOf(this.#folder, { path: this.#list.pathOf(entry), local: this.#locals.get(entry) });
    return openUnchanged(place, this.#stamps[entry] ?? 0n);
  }

  /** Whether an open file is still as it was when it was hashed. */
  isUnchanged(entry: number, fd: number): boolean {
    return isOfStamp(fd, this.#stamps[entry] ?? 0n);
  }
}

/** The part of a walk that was fetched. A folder that was empty may have other files in it by now. */
function listedOf({ files, folders }: Walk, { list, numbered }: FetchedFolder): Walk {
  const encoder = new TextEncoder();
  const has = (path: string) => list.find(encoder.encode(path)) >= 0;
  const pathAt = new Map(numbered.map(({ path, local }) => [local, path]));
  // Another file has the name of a numbered one.
  const others = new Set(numbered.map(({ path }) => path));
  const listed = files.flatMap((file) => {
    const { path, local = path } = file;
    const numberedPath = pathAt.get(local);
    if (numberedPath !== undefined) return [{ ...file, path: numberedPath, local }];
    return has(path) && !others.has(path) ? [file] : [];
  });
  const isAround = (path: string) => {
    const [first, end] = list.rangeOf(path.slice(0, -1));
    return first < end;
  };
  return {
    files: listed.sort((a, b) => comparePaths(a.path, b.path)),
    // The first one is the folder itself.
    folders: folders.filter(({ path }) => isAround(path)),
    empty: folders.filter(({ path }) => has(path)).map(({ path }) => path),
    left: new Map(),
  };
}

/** A walk without these files, and without what is in these folders. */
function withoutWithheld(walk: Walk, withheld: ReadonlySet<string>): Walk {
  if (withheld.size === 0) return walk;
  const isShown = (path: string) => {
    const parts = spellingOf(path).split("/");
    return !parts.some((_, i) => withheld.has(parts.slice(0, i + 1).join("/")));
  };
  const files = walk.files.filter(({ path }) => isShown(path));
  const empty = walk.empty.filter((path) => isShown(path));
  // The names of folders go out with their dates.
  const shown = new Set(["/"]);
  for (const path of [...files.map((file) => file.path), ...empty])
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) shown.add(path.slice(0, end + 1));
  const left = new Map(walk.left);
  if (files.length < walk.files.length) left.set("sent to you only", walk.files.length - files.length);
  return { files, empty, folders: walk.folders.filter(({ path }) => shown.has(path)), left };
}

/** The same text for all spellings of a path that may mean one file. */
function spellingOf(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

/** Gives memory back after a step with this number of files, if they are many. */
function collectAfter(files: number): void {
  if (files >= COLLECTED_AFTER) Bun.gc(true);
}

/** The dates of the files and folders of a list. */
function* datesOf({ list, seen, folders }: FolderState): Generator<[path: string, date: number]> {
  for (let entry = 0; entry < list.length; entry++) if (!list.isFolder(entry)) yield [list.pathOf(entry), seen.dateOf(entry)];
  for (const { path, modified } of folders) yield [path, modified];
}

/** The files that could be hashed, with their hashes. */
function* hashedFiles(files: readonly WalkedFile[], hashes: HashedFiles): Generator<WalkedFile & HashedFile> {
  for (const [number, file] of files.entries()) {
    const hash = hashes.get(number);
    if (hash !== undefined) yield { ...file, ...hash };
  }
}

/** The lines of the list: files and empty folders, in order. */
function* entriesOf(walk: Walk, hashes: HashedFiles): Generator<FolderEntry> {
  const empty = walk.empty.toSorted(comparePaths).values();
  let folder = empty.next();
  for (const { path, size, root } of hashedFiles(walk.files, hashes)) {
    for (; !folder.done && comparePaths(folder.value, path) < 0; folder = empty.next()) yield emptyFolder(folder.value);
    yield { path, size, root };
  }
  for (; !folder.done; folder = empty.next()) yield emptyFolder(folder.value);
}

function emptyFolder(path: string): FolderEntry {
  return { path, size: 0, root: EMPTY_ROOT };
}

/** Makes the list of a folder and everything that follows from it. */
function stateOf(folder: string, walk: Walk, hashes: HashedFiles): FolderState {
  const bytes = formatFolderList(entriesOf(walk, hashes));
  const list = parseFolderList(bytes);
  const cut = new FolderCut(list);
  const layers = new Map<number, Uint8Array>();
  const encoder = new TextEncoder();
  for (const [number, pieces] of hashes.pieces) layers.set(list.find(encoder.encode(walk.files[number]?.path)), pieces);
  return {
    list,
    tree: treeOfBytes(list.bytes),
    cut,
    hashes: cut.hashes(sha256, layers) ?? new Uint8Array(0),
    seen: new SeenFiles(
      folder,
      list,
      walk.files.filter((_, number) => hashes.has(number)),
    ),
    folders: walk.folders,
  };
}
