// Says how the bytes of a shared folder are cut into pieces. Both sides compute it from the folder's list, so it is part of the
// protocol. Pure.
//
// The bytes of a folder are those of its files, one behind the other: first the files below 1 MiB, then the others, both in the order of
// the list. Small files are joined into packs: a pack takes the next file while it has no more than 4 MiB
// and no more than 1024 files with it. A larger file is cut
// into pieces of 1 MiB, or longer ones if it is so large that the pieces of its own tree are longer. The hash of a pack is the SHA-256 of
// the content ids of its files, one behind the other; that of a piece is its hash in the tree of its file.

import { FtError } from "../../error.ts";
import type { FolderEntry } from "../../protocol/folder.ts";
import { HASH } from "../../protocol/messages.ts";
import type { Cut } from "./cut.ts";
import { pieceSizeOf, rootOf, type Sha256 } from "./merkle.ts";

/** Files below this size go into packs. Also the shortest piece of a larger file. Bytes. */
const SMALL = 1024 * 1024;
/** The longest pack. Bytes. */
const PACK = 4 * 1024 * 1024;
/** The most files in a pack: opening each of them takes its time, however short they are. */
const MOST_IN_PACK = 1024;
/** A folder with more pieces is not shared. With 1 MiB each, these are 4 TiB. */
const MOST_PIECES = 4 * 1024 * 1024;

/** The part of a file that lies in a range of the folder's bytes. */
export interface FileSlice {
  /** The number of the file in `FolderCut.files`. */
  file: number;
  /** Where the part begins, in the file. */
  from: number;
  /** Where the part begins, in the folder's bytes. */
  offset: number;
  length: number;
}

/** What is hashed for one piece of a folder: whole files of these lengths, or one piece of a file of `fileSize` bytes. */
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
  /** The files that have bytes, in the order of the folder's bytes. */
  readonly files: readonly FolderEntry[];
  /** Where each file begins; behind them the size of all. */
  readonly #fileStarts: Float64Array;
  /** Where each piece begins; behind them the size of all. */
  readonly #starts: Float64Array;
  /** The number of the first file of each piece. */
  readonly #firstFiles: Uint32Array;

  /** Throws when the folder has too many pieces. */
  constructor(entries: readonly FolderEntry[]) {
    const filled = entries.filter(({ size }) => size > 0);
    this.files = [...filled.filter(({ size }) => size < SMALL), ...filled.filter(({ size }) => size >= SMALL)];
    this.#fileStarts = new Float64Array(this.files.length + 1);
    let count = 0;
    for (const { size } of this.files) count += size < SMALL ? 1 : Math.ceil(size / pieceLengthOf(size));
    if (count > MOST_PIECES) throw new FtError("folder-too-large", "The folder is too large.");
    const starts: number[] = [];
    const firstFiles: number[] = [];
    let at = 0;
    this.files.forEach(({ size }, file) => {
      this.#fileStarts[file] = at;
      const length = pieceLengthOf(size);
      const isFull = file - (firstFiles.at(-1) ?? 0) >= MOST_IN_PACK || at + size - (starts.at(-1) ?? 0) > PACK;
      const fits = size < SMALL && starts.length > 0 && !isFull;
      for (let from = 0; !fits && from < size; from += length) {
        starts.push(at + from);
        firstFiles.push(file);
      }
      at += size;
    });
    this.size = at;
    this.smallEnd = filled.reduce((sum, { size }) => (size < SMALL ? sum + size : sum), 0);
    this.#fileStarts[this.files.length] = at;
    this.count = starts.length;
    this.#starts = Float64Array.from([...starts, at]);
    this.#firstFiles = Uint32Array.from(firstFiles);
    this.longest = 0;
    for (let piece = 0; piece < this.count; piece++) {
      this.longest = Math.max(this.longest, this.startOf(piece + 1) - this.startOf(piece));
    }
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
    for (let at = offset, file = lastAtMost(this.#fileStarts, this.files.length, offset); at < end; file++) {
      const start = this.#fileStarts[file] ?? 0;
      const stop = Math.min(end, this.#fileStarts[file + 1] ?? end);
      yield { file, from: at - start, offset: at, length: stop - at };
      at = stop;
    }
  }

  /** What is hashed for some pieces in a row, in order. */
  unitsOf(first: number, count: number): HashUnit[] {
    return Array.from({ length: count }, (_, i): HashUnit => {
      const piece = first + i;
      const files = this.#filesOf(piece);
      const { size } = files[0] ?? { size: 0 };
      if (size < SMALL) return { files: files.map((file) => file.size) };
      return { length: this.startOf(piece + 1) - this.startOf(piece), fileSize: size, pieceSize: pieceLengthOf(size) };
    });
  }

  /**
   * The hashes of all pieces. `layers` has those of the pieces of larger files, by path. Undefined when a file of several pieces is
   * not in it.
   */
  hashes(sha256: Sha256, layers: ReadonlyMap<string, Uint8Array> = new Map()): Uint8Array | undefined {
    const hashes = new Uint8Array(this.count * HASH);
    for (let piece = 0; piece < this.count; ) {
      const known = this.#hashOf(piece, sha256) ?? layers.get(this.#filesOf(piece)[0]?.path ?? "");
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
      const [file] = this.#filesOf(piece);
      const known = this.#hashOf(piece, sha256);
      const pieces = known === undefined && file ? Math.ceil(file.size / pieceLengthOf(file.size)) : 1;
      const given = hashes.subarray(piece * HASH, (piece + pieces) * HASH);
      if (known !== undefined && Buffer.compare(known, given) !== 0) return false;
      if (known === undefined && file && rootOf(given, file.size, sha256, pieceLengthOf(file.size)).toHex() !== file.root)
        return false;
      piece += pieces;
    }
    return true;
  }

  /** The files of which a piece has bytes. */
  #filesOf(piece: number): readonly FolderEntry[] {
    const first = this.#firstFiles[piece] ?? 0;
    const end = this.startOf(piece + 1);
    let last = first + 1;
    while (last < this.files.length && (this.#fileStarts[last] ?? end) < end) last += 1;
    return this.files.slice(first, last);
  }

  /** The hash of a piece, as far as the list tells it; undefined for a piece of a file that has several. */
  #hashOf(piece: number, sha256: Sha256): Uint8Array | undefined {
    const files = this.#filesOf(piece);
    const [file] = files;
    if (file === undefined) return undefined;
    if (file.size >= SMALL) return file.size <= pieceLengthOf(file.size) ? Uint8Array.fromHex(file.root) : undefined;
    return packHash(
      files.map(({ root }) => Uint8Array.fromHex(root)),
      sha256,
    );
  }
}

/** The hash of a pack, from the content ids of its files. */
export function packHash(roots: Uint8Array[], sha256: Sha256): Uint8Array {
  const joined = new Uint8Array(roots.length * HASH);
  roots.forEach((root, i) => {
    joined.set(root, i * HASH);
  });
  const hash = new Uint8Array(HASH);
  sha256(joined, hash);
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
