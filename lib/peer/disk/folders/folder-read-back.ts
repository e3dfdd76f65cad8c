// Reads the bytes of a fetched folder that have arrived: in its part folder, or in the finished folder of an earlier run.

import { closeSync, constants, openSync } from "node:fs";
import { readFullySync } from "../../../files.ts";
import type { FolderList } from "../../../protocol/folder-list.ts";
import { HASH } from "../../../protocol/numbers.ts";
import { type FolderCut, type HashUnit, isSmall, packHash } from "../../content/folder-cut.ts";
import { type HashPool, sha256 } from "../../content/hash.ts";
import { PieceSet } from "../../content/pieces.ts";
import { entryOf, isAtItsPath, PLAIN_ONLY } from "../identity.ts";
import { isOfStamp } from "./folder-hashing.ts";
import type { FolderLayout } from "./folder-layout.ts";
import type { FolderSelection } from "./folder-selection.ts";
import { stampOf } from "./folder-walk.ts";

/** The number of pieces of an earlier run that are checked at the same time. */
const CHECKED_AT_ONCE = 4;

/** A folder that is being fetched, and where its files may be. */
interface ArrivingFolder {
  readonly list: FolderList;
  readonly cut: FolderCut;
  readonly selection: FolderSelection;
  readonly layout: FolderLayout;
  /** The part folder. */
  readonly part: string;
  /** The place of the finished folder, where an earlier run or the person may have put files. */
  readonly destination: string;
}

export class FolderReadBack {
  readonly #of: ArrivingFolder;
  /** How the files in the finished folder were when they were checked, by entry. */
  readonly #checked = new Map<number, bigint>();
  /** The part folder has become the finished one: all that is in it was fetched. */
  isRenamed = false;

  constructor(folder: ArrivingFolder) {
    this.#of = folder;
  }

  /** Whether nothing of a piece is wanted. */
  isUnwanted(piece: number): boolean {
    const { cut, selection } = this.#of;
    const start = cut.startOf(piece);
    for (const { file } of cut.slices(start, cut.startOf(piece + 1) - start))
      if (selection.has(cut.entryOf(file))) return false;
    return true;
  }

  /** The pieces of which nothing is wanted. */
  unwanted(): PieceSet {
    const { cut } = this.#of;
    const pieces = new PieceSet(cut.count);
    for (let piece = 0; piece < cut.count; piece++) if (this.isUnwanted(piece)) pieces.add(piece);
    return pieces;
  }

  /** The pieces that are here, and those of which nothing is wanted. `hashes` are those of all pieces. */
  async present(hashes: Uint8Array, pool: HashPool, onChecked: (bytes: number) => void): Promise<PieceSet> {
    const { cut } = this.#of;
    const have = this.unwanted();
    let next = 0;
    const run = async () => {
      let memory: SharedArrayBuffer | undefined;
      while (next < cut.count) {
        const piece = next++;
        if (!have.has(piece)) {
          memory ??= new SharedArrayBuffer(cut.longest);
          if (await this.#isHere(piece, hashes, pool, memory)) have.add(piece);
        }
        onChecked(cut.startOf(piece + 1) - cut.startOf(piece));
      }
    };
    await Promise.all(Array.from({ length: Math.min(cut.count, CHECKED_AT_ONCE) }, run));
    this.#leaveOutTorn(have);
    return have;
  }

  /**
   * Leaves out all pieces of a large file that lies in the finished folder and is not right as a whole. Its missing pieces go into the
   * part folder, and a file that is put together from both would have holes.
   */
  #leaveOutTorn(have: PieceSet): void {
    const { cut, selection } = this.#of;
    for (let piece = 0, end = 0; piece < cut.count; piece = end) {
      const [{ file } = { file: 0 }] = cut.slices(cut.startOf(piece), 1);
      end = piece + 1;
      if (isSmall(cut.sizeOf(file))) continue;
      while (end < cut.count && cut.startOf(end) < cut.startOf(piece) + cut.sizeOf(file)) end += 1;
      const pieces = Array.from({ length: end - piece }, (_, i) => piece + i);
      const entry = cut.entryOf(file);
      if (!selection.has(entry) || pieces.every((one) => have.has(one)) || this.#isInPart(entry)) continue;
      for (const one of pieces) have.delete(one);
      this.#checked.delete(entry);
    }
  }

  /** Whether all pieces with bytes of these entries are still right. */
  async areRight(entries: ReadonlySet<number>, hashes: Uint8Array, pool: HashPool): Promise<boolean> {
    const { cut } = this.#of;
    const memory = new SharedArrayBuffer(cut.longest);
    for (let piece = 0; piece < cut.count; piece++) {
      const start = cut.startOf(piece);
      const slices = cut.slices(start, cut.startOf(piece + 1) - start);
      const isMeant = Iterator.from(slices).some(({ file }) => entries.has(cut.entryOf(file)));
      if (isMeant && !(await this.#isHere(piece, hashes, pool, memory))) return false;
    }
    return true;
  }

  #isInPart(entry: number): boolean {
    return entryOf(`${this.#of.part}/${this.#localOf(entry)}`) !== undefined;
  }

  #localOf(entry: number): string {
    const { selection, layout } = this.#of;
    return layout.placeOf(selection.pathOf(entry));
  }

  async #isHere(piece: number, hashes: Uint8Array, pool: HashPool, memory: SharedArrayBuffer): Promise<boolean> {
    if (await this.#isRight(piece, hashes, pool, memory)) return true;
    const { cut } = this.#of;
    const start = cut.startOf(piece);
    for (const { file } of cut.slices(start, cut.startOf(piece + 1) - start)) this.#checked.delete(cut.entryOf(file));
    return false;
  }

  async #isRight(piece: number, hashes: Uint8Array, pool: HashPool, memory: SharedArrayBuffer): Promise<boolean> {
    const { cut, list, selection } = this.#of;
    const start = cut.startOf(piece);
    const bytes = new Uint8Array(memory);
    const units: HashUnit[] = [];
    const expected: Uint8Array[] = [];
    let at = 0;
    for (const { file, from, length } of cut.slices(start, cut.startOf(piece + 1) - start)) {
      const entry = cut.entryOf(file);
      if (!selection.has(entry)) continue;
      if (!this.#read(entry, bytes.subarray(at, at + length), from, (fd) => this.#note(entry, fd))) return false;
      at += length;
      const isWhole = length === list.sizeOf(entry);
      // Each file of a pack is checked for itself, since some of them may not be wanted.
      if (isWhole) units.push({ files: [length] });
      else units.push(...cut.unitsOf(piece, 1));
      const root = new Uint8Array(HASH);
      list.copyRoot(entry, root, 0);
      expected.push(isWhole ? packHash(root, sha256) : hashes.subarray(piece * HASH, (piece + 1) * HASH));
    }
    const layer = await pool.layer({ memory, units });
    return expected.every((hash, i) => Buffer.compare(hash, layer.subarray(i * HASH, (i + 1) * HASH)) === 0);
  }

  /** Notes how a file in the finished folder is that is being checked. False when it has changed since a part of it was. */
  #note(entry: number, fd: number): boolean {
    const noted = this.#checked.get(entry);
    if (noted !== undefined) return isOfStamp(fd, noted);
    const found = entryOf(fd);
    if (found !== undefined) this.#checked.set(entry, stampOf(found));
    return found !== undefined;
  }

  /** Whether a file without bytes is there. */
  hasEmpty(entry: number): boolean {
    return this.#read(entry, new Uint8Array(0), 0, () => true);
  }

  /**
   * Reads a part of a file that was fetched or checked. False when it is not there in its full length. A file in the finished folder may be
   * the person's own: it is read only while it is the one that was checked.
   */
  read(entry: number, into: Uint8Array, from: number): boolean {
    const checked = this.#checked.get(entry);
    return this.#read(entry, into, from, (fd) => this.isRenamed || (checked !== undefined && isOfStamp(fd, checked)));
  }

  /** `isMeant` is asked about an open file of the finished folder, before and after it is read. */
  #read(entry: number, into: Uint8Array, from: number, isMeant: (fd: number) => boolean): boolean {
    const { list, part, destination } = this.#of;
    const size = list.sizeOf(entry);
    const local = this.#localOf(entry);
    // A large file grows in the part folder. As soon as it is there, it is not read elsewhere.
    const grows = !isSmall(size) && this.#isInPart(entry);
    if (readAt(`${part}/${local}`, { size, grows, isMeant: () => true }, into, from)) return true;
    return !grows && readAt(`${destination}/${local}`, { size, grows: false, isMeant }, into, from);
  }
}

interface ReadFile {
  size: number;
  grows: boolean;
  /** Asked about the open file, before and after it is read. */
  isMeant(fd: number): boolean;
}

/**
 * Reads a part of a file of `size` bytes. False when there is no such file, it is not meant, or has another size; one that grows may be
 * shorter.
 */
function readAt(path: string, { size, grows, isMeant }: ReadFile, into: Uint8Array, from: number): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | PLAIN_ONLY);
    // A link on the way may lead to files that nobody has fetched, and publishing does not follow it.
    if (!isAtItsPath(fd, path)) return false;
    const found = entryOf(fd);
    if (!found?.isFile() || (!grows && found.size !== BigInt(size))) return false;
    return isMeant(fd) && readFullySync(fd, into, from) === into.length && isMeant(fd);
  } catch {
    // It is not there, or cannot be read: it is fetched.
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
