// A folder that is shared as one: hashes its files, makes its list, and reads its bytes for downloaders. It does not watch the folder.

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { EMPTY_ROOT, type FolderEntry, formatFolderList, sortEntries } from "../../protocol/folder.ts";
import { type FileName, parseFileName } from "../../protocol/record.ts";
import { type FileSlice, FolderCut, isSmall, pieceLengthOf } from "../content/folder-cut.ts";
import { type HashPool, sha256, treeOfBytes } from "../content/hash.ts";
import { layerAbove, pieceSizeOf, type Tree } from "../content/merkle.ts";
import type { Served } from "../serve/types.ts";
import type { FolderCache } from "./folder-cache.ts";
import { type Walk, type WalkedFile, walkFolder } from "./folder-walk.ts";
import { identityOf, isAtItsPath, learnNumbering, PLAIN_ONLY } from "./identity.ts";
import { readFully } from "./read-fully.ts";

const OPEN_FLAGS = constants.O_RDONLY | PLAIN_ONLY;
/** The number of files that are hashed at once. */
const HASHED_AT_ONCE = 16;

/** A read of small files ends after this time, with the bytes that it has by then. Milliseconds. */
export const READ_MS = 1;

/** A folder as it was when it was last looked at, with everything hashed. */
export interface FolderState {
  readonly list: Uint8Array;
  /** The tree of the list, which is fetched like a file. Its root stands for the folder. */
  readonly tree: Tree;
  readonly cut: FolderCut;
  /** The hashes of all packs and pieces. */
  readonly hashes: Uint8Array;
  /** Where the files are that the cut names, in its order. */
  readonly places: readonly WalkedFile[];
  readonly walk: Walk;
}

/** The hash of a file: its content id, and the hashes of its pieces as the folder is cut, if there are several. */
export interface HashedFile {
  root: string;
  pieces?: Uint8Array | undefined;
}

export class SharedFolder {
  readonly path: string;
  readonly name: FileName;
  /** Undefined until everything is hashed. */
  state: FolderState | undefined;
  /** Its files and their bytes, as they were when the folder was last walked. */
  files = 0;
  size = 0;
  /** The number of files that are hashed, while the folder is being hashed. */
  hashed = 0;
  /** Milliseconds since 1970. */
  modified = Date.now();
  /** What the last walk left out, by reason. */
  left: ReadonlyMap<string, number> = new Map();
  #dates: { walk: Walk | undefined; bytes: Uint8Array } | undefined;

  constructor(path: string) {
    this.path = path;
    this.name = parseFileName(basename(path).normalize("NFC"));
  }

  /** Counts the files, so that the folder has a record at once. Throws a sentence when it cannot be shared. */
  async look(signal?: AbortSignal): Promise<Walk> {
    learnNumbering(this.path);
    const walk = await walkFolder(this.path, signal);
    this.files = walk.files.length;
    this.size = walk.files.reduce((sum, { size }) => sum + size, 0);
    this.modified = walk.folders[0]?.modified ?? this.modified;
    this.left = walk.left;
    return walk;
  }

  /**
   * Hashes what the cache does not know, and makes the list. Calls `onHashed` after each file. False when the folder is as it was. Files that cannot be read, or change
   * meanwhile, are left out.
   */
  async refresh(pool: HashPool, cache: FolderCache, signal: AbortSignal, onHashed = () => {}): Promise<boolean> {
    const walk = await this.look(signal);
    const known = cache.load(this.path);
    const hashes = new Map<string, HashedFile>();
    const queue = walk.files.values();
    this.hashed = 0;
    const run = async () => {
      for (const file of queue) {
        signal.throwIfAborted();
        const hashed = known.get(file) ?? (await hashFile(file, pool, signal));
        if (hashed === undefined) continue;
        hashes.set(file.path, hashed);
        this.hashed += 1;
        onHashed();
      }
    };
    await Promise.all(Array.from({ length: HASHED_AT_ONCE }, run));
    const files = walk.files.filter(({ path }) => hashes.has(path));
    cache.save(this.path, files, hashes);
    const before = this.state?.tree.root;
    this.state = stateOf({ ...walk, files }, hashes);
    this.left = walk.left;
    return this.state.tree.root !== before;
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
    return servedBytes(state.list, () => this.state?.tree.root === root);
  }

  /** The dates of the files and folders, as DATES carries them. They are made once: a request for them is short. */
  dates(): Uint8Array {
    const { walk } = this.state ?? {};
    if (this.#dates === undefined || this.#dates.walk !== walk) {
      const entries = [...(walk?.files ?? []), ...(walk?.folders ?? [])];
      this.#dates = { walk, bytes: formatDates(entries.map(({ path, modified }) => [path, modified])) };
    }
    return this.#dates.bytes;
  }
}

/** Paths and their dates as DATES carries them. Milliseconds since 1970. */
export function formatDates(dates: Iterable<readonly [path: string, date: number]>): Uint8Array {
  return new TextEncoder().encode(Array.from(dates, ([path, date]) => `${date} ${path}\n`).join(""));
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
  #open: { file: number; fd: number } | undefined;

  constructor(state: () => FolderState) {
    this.#state = state;
  }

  /** Reads small files, for a moment, or a part of a large one. Gives how many bytes it read. */
  async read(into: Uint8Array, at: number): Promise<number> {
    const until = performance.now() + READ_MS;
    let have = 0;
    for (const slice of this.#state().cut.slices(at, into.length)) {
      const part = into.subarray(have, have + slice.length);
      const place = this.#state().places[slice.file];
      if (place === undefined) throw new Error("there is no such file in the folder");
      const got = isSmall(place.size)
        ? this.#readSmall(place, slice, part)
        : await readFully(this.#keepOpen(slice.file, place), part, slice.from);
      if (got < part.length) throw new Error("a file of the folder became shorter");
      have += got;
      if (performance.now() >= until) break;
    }
    return have;
  }

  /** Opens, reads and closes a small file at once: waiting for each of these would take longer. */
  #readSmall(place: WalkedFile, { from }: FileSlice, into: Uint8Array): number {
    const fd = openUnchanged(place);
    try {
      return readAll(fd, into, from);
    } finally {
      closeSync(fd);
    }
  }

  #keepOpen(file: number, place: WalkedFile): number {
    if (this.#open?.file === file) return this.#open.fd;
    this.close();
    const fd = openUnchanged(place);
    this.#open = { file, fd };
    return fd;
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }
}

/** Opens a file if it is still the one that was seen. Throws otherwise. */
function openUnchanged({ local, identity }: WalkedFile): number {
  const fd = openSync(local, OPEN_FLAGS);
  if (identityOf(fstatSync(fd, { bigint: true })) === identity) return fd;
  closeSync(fd);
  throw new Error("a file of the folder has changed");
}

function readAll(fd: number, into: Uint8Array, from: number): number {
  let have = 0;
  while (have < into.length) {
    const got = readSync(fd, into, have, into.length - have, from + have);
    if (got === 0) break;
    have += got;
  }
  return have;
}

/** The hash of a file; undefined when it cannot be read, or changes meanwhile. */
async function hashFile(file: WalkedFile, pool: HashPool, signal: AbortSignal): Promise<HashedFile | undefined> {
  if (file.size === 0) return { root: EMPTY_ROOT };
  let fd: number | undefined;
  try {
    fd = openUnchanged(file);
    // A folder on the way may have been swapped for a link: then this is a file outside of the shared folder.
    if (!isAtItsPath(fd, file.local)) return undefined;
    const { root, pieces } = await pool.tree(fd, file.size, { signal });
    if (identityOf(fstatSync(fd, { bigint: true })) !== file.identity) return undefined;
    return file.size > pieceLengthOf(file.size) ? { root, pieces: joinPieces(pieces, file.size) } : { root };
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** The hashes of a file's pieces as the folder is cut, from those of its own tree. */
function joinPieces(pieces: Uint8Array, size: number): Uint8Array {
  const steps = layerAbove(pieces, size, pieceLengthOf(size) / pieceSizeOf(size), sha256);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Makes the list of a folder and everything that follows from it. Each file has its hash. */
function stateOf(walk: Walk, hashes: ReadonlyMap<string, HashedFile>): FolderState {
  const files = walk.files.map(({ path, size }): FolderEntry => ({ path, size, root: hashes.get(path)?.root ?? EMPTY_ROOT }));
  const entries = sortEntries([...files, ...walk.empty.map((path) => ({ path, size: 0, root: EMPTY_ROOT }))]);
  const list = formatFolderList(entries);
  const cut = new FolderCut(entries);
  const byPath = new Map(walk.files.map((file) => [file.path, file]));
  const layers = new Map<string, Uint8Array>();
  for (const [path, { pieces }] of hashes) if (pieces !== undefined) layers.set(path, pieces);
  return {
    list,
    tree: treeOfBytes(list),
    cut,
    hashes: cut.hashes(sha256, layers) ?? new Uint8Array(0),
    places: cut.files.flatMap(({ path }) => byPath.get(path) ?? []),
    walk,
  };
}
