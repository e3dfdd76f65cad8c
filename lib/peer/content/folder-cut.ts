// Says how the bytes of a shared folder are cut into pieces. Both sides compute it from the folder's list, so it is part of the
// protocol. Pure.
//
// The bytes of a folder are those of its files, one behind the other: first the files below 1 MiB, then the others, both in the order of
// the list. Small files are joined into packs: a pack takes the next file while it is no longer than `packLengthOf` and has no more than
// 1024 files with it. A larger file is cut into pieces of 1 MiB, or longer ones if it is so large that the pieces of its own tree are
// longer. The hash of a pack is the SHA-256 of the content ids of its files, one behind the other; that of a piece is its hash in the tree
// of its file.
//
// Packs of one length would do, but a pack is passed on only when all of it is there. With packs of 4 MiB the last of ten peers that
// fetched 60 MB from one source was done after 2.8 times one copy.

import { FtError } from "../../error.ts";
import type { FolderList } from "../../protocol/folder-list.ts";
import { HASH } from "../../protocol/numbers.ts";
import type { Cut } from "./cut.ts";
import { pieceSizeOf, rootOf, type Sha256 } from "./merkle.ts";

/** Files below this size go into packs. Also the shortest piece of a larger file. Bytes. */
const SMALL = 1024 * 1024;
/** The length of the packs of a large folder. Bytes. */
const LONGEST_PACK = 4 * 1024 * 1024;
/** The length of the packs of a small folder. Bytes. */
const SHORTEST_PACK = 256 * 1024;
/** Packs become longer while the folder is longer than this number of them. */
const PACKS_WANTED = 256;
/** The most files in a pack: opening each of them takes its time, however short they are. */
const MOST_IN_PACK = 1024;
/** A folder with more pieces is not shared. With 1 MiB each, these are 4 TiB. */
const MOST_PIECES = 4 * 1024 * 1024;

/** The part of a file that lies in a range of the folder's bytes. */
interface FileSlice {
  /** The number of the file in `FolderCut.files`. */
  file: number;
  /** Where the part begins, in the file. */
  from: number;
  /** Where the part begins, in the folder's bytes. */
  offset: number;
  length: number;
}

/** The bytes that are hashed for one piece of a folder: whole files of these lengths, or one piece of a file of `fileSize` bytes. */
export type HashUnit = { files: number[] } | { length: number; fileSize: number; pieceSize: number };

/** Whether a file of this size goes into a pack, so that all of it comes at once. */
export function isSmall(size: number): boolean {
  return size < SMALL;
}

/** The length of the pieces of a file in a folder. Bytes. */
export function pieceLengthOf(fileSize: number): number {
  return Math.max(SMALL, pieceSizeOf(fileSize));
}

export class FolderCut implements Cut {
  readonly size: number;
  readonly count: number;
  readonly longest: number;
  /** Where the small files end, which come first. */
  readonly smallEnd: number;
  readonly #list: FolderList;
  /** The files that have bytes, in the order of the folder's bytes: their numbers in the list. */
  readonly #entries: Uint32Array;
  /** Where each file begins; behind them the size of all. */
  readonly #fileStarts: Float64Array;
  /** Where each piece begins; behind them the size of all. */
  readonly #starts: Float64Array;
  /** The number of the first file of each piece. */
  readonly #firstFiles: Uint32Array;

  /** Throws when the folder has too many pieces. */
  constructor(list: FolderList) {
    this.#list = list;
    this.#entries = inOrder(list);
    const most = mostPieces(list, this.#entries);
    const pack = packLengthOf(list, this.#entries);
    this.#fileStarts = new Float64Array(this.#entries.length + 1);
    this.#starts = new Float64Array(most + 1);
    this.#firstFiles = new Uint32Array(most);
    let [at, smallEnd, piece] = [0, 0, 0];
    for (let file = 0; file < this.#entries.length; file++) {
      const size = this.sizeOf(file);
      this.#fileStarts[file] = at;
      const isOpen =
        piece > 0 &&
        isSmall(size) &&
        file - this.#firstOf(piece - 1) < MOST_IN_PACK &&
        at + size - this.startOf(piece - 1) <= pack;
      for (let from = 0; !isOpen && from < size; from += pieceLengthOf(size)) {
        this.#starts[piece] = at + from;
        this.#firstFiles[piece] = file;
        piece += 1;
      }
      at += size;
      if (isSmall(size)) smallEnd = at;
    }
    this.size = at;
    this.smallEnd = smallEnd;
    this.#fileStarts[this.#entries.length] = at;
    this.#starts.fill(at, piece);
    this.count = piece;
    this.longest = 0;
    for (let i = 0; i < this.count; i++) this.longest = Math.max(this.longest, this.startOf(i + 1) - this.startOf(i));
  }

  /** The number of files that have bytes. */
  get files(): number {
    return this.#entries.length;
  }

  /** The number in the list of a file. */
  entryOf(file: number): number {
    return this.#entries[file] ?? 0;
  }

  /** The size of a file. Bytes. */
  sizeOf(file: number): number {
    return this.#list.sizeOf(this.entryOf(file));
  }

  startOf(piece: number): number {
    return this.#starts[piece] ?? this.size;
  }

  pieceAt(offset: number): number {
    return lastAtMost(this.#starts, this.count, offset);
  }

  /** The parts of files in a range of the folder's bytes, in order. */
  *slices(offset: number, length: number): Generator<FileSlice> {
    const end = Math.min(this.size, offset + length);
    for (let at = offset, file = lastAtMost(this.#fileStarts, this.files, offset); at < end; file++) {
      const start = this.#fileStarts[file] ?? 0;
      const stop = Math.min(end, this.#fileStarts[file + 1] ?? end);
      yield { file, from: at - start, offset: at, length: stop - at };
      at = stop;
    }
  }

  /** The bytes that are hashed for some pieces in a row, in order. */
  unitsOf(first: number, count: number): HashUnit[] {
    return Array.from({ length: count }, (_, i): HashUnit => {
      const piece = first + i;
      const from = this.#firstOf(piece);
      const size = this.sizeOf(from);
      if (isSmall(size)) return { files: Array.from({ length: this.#filesIn(piece) }, (_, n) => this.sizeOf(from + n)) };
      return { length: this.startOf(piece + 1) - this.startOf(piece), fileSize: size, pieceSize: pieceLengthOf(size) };
    });
  }

  /**
   * The hashes of all pieces. `layers` has those of the pieces of larger files, by their numbers in the list. Undefined when a file of
   * several pieces is not in it.
   */
  hashes(sha256: Sha256, layers: ReadonlyMap<number, Uint8Array> = new Map()): Uint8Array | undefined {
    const hashes = new Uint8Array(this.count * HASH);
    for (let piece = 0; piece < this.count; ) {
      const known = this.#hashOf(piece, sha256) ?? layers.get(this.entryOf(this.#firstOf(piece)));
      if (known === undefined) return undefined;
      hashes.set(known, piece * HASH);
      piece += known.length / HASH;
    }
    return hashes;
  }

  /** Whether these are the hashes of all pieces: they must fit the content ids in the list. */
  isRight(hashes: Uint8Array, sha256: Sha256): boolean {
    if (hashes.length !== this.count * HASH) return false;
    for (let piece = 0; piece < this.count; ) {
      const file = this.#firstOf(piece);
      const size = this.sizeOf(file);
      const known = this.#hashOf(piece, sha256);
      const pieces = known === undefined ? Math.ceil(size / pieceLengthOf(size)) : 1;
      const given = hashes.subarray(piece * HASH, (piece + pieces) * HASH);
      if (known !== undefined && Buffer.compare(known, given) !== 0) return false;
      if (
        known === undefined &&
        rootOf(given, size, sha256, pieceLengthOf(size)).toHex() !== this.#list.rootOf(this.entryOf(file))
      )
        return false;
      piece += pieces;
    }
    return true;
  }

  /** The first file of which a piece has bytes. */
  #firstOf(piece: number): number {
    return this.#firstFiles[piece] ?? 0;
  }

  /** The number of files of which a piece has bytes. */
  #filesIn(piece: number): number {
    const first = this.#firstOf(piece);
    const end = this.startOf(piece + 1);
    let last = first + 1;
    while (last < this.files && (this.#fileStarts[last] ?? end) < end) last += 1;
    return last - first;
  }

  /** The hash of a piece, as far as the list tells it; undefined for a piece of a file that has several. */
  #hashOf(piece: number, sha256: Sha256): Uint8Array | undefined {
    const first = this.#firstOf(piece);
    const size = this.sizeOf(first);
    if (!isSmall(size) && size > pieceLengthOf(size)) return undefined;
    const roots = new Uint8Array((isSmall(size) ? this.#filesIn(piece) : 1) * HASH);
    for (let at = 0; at < roots.length; at += HASH) this.#list.copyRoot(this.entryOf(first + at / HASH), roots, at);
    return isSmall(size) ? packHash(roots, sha256) : roots;
  }
}

/** The files that have bytes: first the small ones, then the others. Their numbers in the list. */
function inOrder(list: FolderList): Uint32Array {
  const order = new Uint32Array(list.length);
  let count = 0;
  for (const small of [true, false]) {
    for (let entry = 0; entry < list.length; entry++) {
      const size = list.sizeOf(entry);
      if (size > 0 && isSmall(size) === small) order[count++] = entry;
    }
  }
  return order.slice(0, count);
}

/** The most pieces that these files can have. Throws when they are too many. */
function mostPieces(list: FolderList, entries: Uint32Array): number {
  let count = 0;
  for (const entry of entries) {
    const size = list.sizeOf(entry);
    count += isSmall(size) ? 1 : Math.ceil(size / pieceLengthOf(size));
  }
  if (count > MOST_PIECES) throw new FtError("folder-too-large", "The folder is too large.");
  return count;
}

/** The most bytes of a pack, unless one file is longer. A power of two. */
function packLengthOf(list: FolderList, entries: Uint32Array): number {
  const size = entries.reduce((sum, entry) => sum + list.sizeOf(entry), 0);
  let length = SHORTEST_PACK;
  while (length < LONGEST_PACK && size / length > PACKS_WANTED) length *= 2;
  return length;
}

/** The hash of a pack, from the content ids of its files, one behind the other. */
export function packHash(roots: Uint8Array, sha256: Sha256): Uint8Array {
  const hash = new Uint8Array(HASH);
  sha256(roots, hash);
  return hash;
}

/** The number of the last of the first `count` values, which grow, that is at most `value`. */
function lastAtMost(values: Float64Array, count: number, value: number): number {
  let [low, high] = [0, count - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((values[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
