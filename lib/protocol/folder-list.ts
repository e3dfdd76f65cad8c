// Reads the list of a shared folder, and keeps it as the bytes that it is. A list has up to 100,000 lines: an object and two strings for
// each of them took 60 MB and a third of a second, where the bytes and some numbers take 12 MB and a twentieth. The simple code would be
// an array of FolderEntry; `[...list]` gives that.

import { ProtocolError } from "../error.ts";
import {
  DEEPEST_PATH,
  EMPTY_ROOT,
  type FolderEntry,
  LONGEST_LIST,
  LONGEST_PATH,
  MOST_ENTRIES,
  refusalOfPath,
} from "./folder.ts";
import { NAME_LIMIT } from "./record.ts";

const [LF, SPACE, DOT, SLASH, ZERO, NINE, LETTER_A, LETTER_F, DELETE] = [10, 32, 46, 47, 48, 57, 97, 102, 127];
/** Hex digits of a content id. */
const ROOT_DIGITS = 64;
/** Bytes of a content id. */
const ROOT_BYTES = 32;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The entries of a folder, by number, in the order of its list. */
export class FolderList implements Iterable<FolderEntry> {
  /** The list as it is sent. */
  readonly bytes: Uint8Array;
  /** The number of entries. */
  readonly length: number;
  /** Where the path of each entry begins and ends in the bytes. */
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  readonly #sizes: Float64Array;

  constructor(bytes: Uint8Array, starts: Uint32Array, ends: Uint32Array, sizes: Float64Array) {
    this.bytes = bytes;
    this.length = sizes.length;
    this.#starts = starts;
    this.#ends = ends;
    this.#sizes = sizes;
  }

  /** Bytes of a file. */
  sizeOf(entry: number): number {
    return this.#sizes[entry] ?? 0;
  }

  pathOf(entry: number): string {
    return decoder.decode(this.bytes.subarray(this.#starts[entry], this.#ends[entry]));
  }

  /** Whether an entry is an empty folder: its path ends in `/`. */
  isFolder(entry: number): boolean {
    return this.bytes[(this.#ends[entry] ?? 0) - 1] === SLASH;
  }

  /** The content id of an entry, as 64 hex digits. */
  rootOf(entry: number): string {
    const end = (this.#starts[entry] ?? 0) - 1;
    return decoder.decode(this.bytes.subarray(end - ROOT_DIGITS, end));
  }

  /** Writes the content id of an entry into `into`: 32 bytes. */
  copyRoot(entry: number, into: Uint8Array, at: number): void {
    const begin = (this.#starts[entry] ?? 0) - 1 - ROOT_DIGITS;
    for (let i = 0; i < ROOT_BYTES; i++) {
      into[at + i] = 16 * digitOf(this.bytes[begin + 2 * i]) + digitOf(this.bytes[begin + 2 * i + 1]);
    }
  }

  entry(entry: number): FolderEntry {
    return { path: this.pathOf(entry), size: this.sizeOf(entry), root: this.rootOf(entry) };
  }

  *[Symbol.iterator](): Generator<FolderEntry> {
    for (let entry = 0; entry < this.length; entry++) yield this.entry(entry);
  }

  /** The number of the entry with this path, in UTF-8; -1 when there is none. The entry `guess` is looked at first. */
  find(path: Uint8Array, guess = this.length): number {
    if (guess < this.length && this.#compare(guess, path) === 0) return guess;
    const at = this.#firstFrom(path);
    return at < this.length && this.#compare(at, path) === 0 ? at : -1;
  }

  /** The first entry that a path inside of the folder means, and the one behind the last: a file, or all that is in a folder. */
  rangeOf(inside: string): [first: number, end: number] {
    if (inside === "") return [0, this.length];
    const file = this.find(encoder.encode(inside));
    if (file >= 0) return [file, file + 1];
    // "0" is the character after "/".
    return [this.#firstFrom(encoder.encode(`${inside}/`)), this.#firstFrom(encoder.encode(`${inside}0`))];
  }

  /** The number of the first entry that does not come before a path. */
  #firstFrom(path: Uint8Array): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(middle, path) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Negative when an entry comes before a path. */
  #compare(entry: number, path: Uint8Array): number {
    const [start, end] = [this.#starts[entry] ?? 0, this.#ends[entry] ?? 0];
    for (let i = 0; i < path.length && start + i < end; i++) {
      const difference = (this.bytes[start + i] ?? 0) - (path[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return end - start - path.length;
  }
}

/** The value of a hex digit. */
function digitOf(digit = ZERO): number {
  return digit <= NINE ? digit - ZERO : digit - LETTER_A + 10;
}

/**
 * Reads a list. Throws a `ProtocolError` when it is not exactly as `formatFolderList` writes it, when it is longer than the limits, or
 * when a path is given twice or leads out of the folder.
 */
export function parseFolderList(bytes: Uint8Array): FolderList {
  if (bytes.length > LONGEST_LIST) throw bad(`it is longer than ${LONGEST_LIST} bytes`);
  if (bytes.length > 0 && bytes.at(-1) !== LF) throw bad("its last line does not end");
  const count = countLines(bytes);
  const [starts, ends, sizes] = [new Uint32Array(count), new Uint32Array(count), new Float64Array(count)];
  const tree = new Tree(bytes);
  let total = 0;
  for (let entry = 0, at = 0; entry < count; entry++) {
    const end = bytes.indexOf(LF, at);
    const [size, start] = parseSize(bytes, at, end);
    checkPath(bytes, start, end);
    if ((bytes[end - 1] === SLASH || size === 0) && (size !== 0 || !isEmptyRoot(bytes, start - 1 - ROOT_DIGITS)))
      throw bad("an empty entry has bytes");
    tree.add(start, end);
    if (entry + 1 + tree.folders > MOST_ENTRIES) throw tooMany();
    total += size;
    if (!Number.isSafeInteger(total)) throw bad("its sizes are too large");
    [starts[entry], ends[entry], sizes[entry]] = [start, end, size];
    at = end + 1;
  }
  return new FolderList(bytes, starts, ends, sizes);
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    count += 1;
    if (count > MOST_ENTRIES) throw tooMany();
  }
  return count;
}

/** Reads the size of a line, and gives where its path begins. The content id between them is checked. */
function parseSize(bytes: Uint8Array, from: number, end: number): [size: number, start: number] {
  let at = from;
  let size = 0;
  for (; at < end && isDigit(bytes[at]); at++) size = size * 10 + ((bytes[at] ?? 0) - ZERO);
  const isWhole = at > from && Number.isSafeInteger(size) && (bytes[from] !== ZERO || at === from + 1);
  let isRight = isWhole && bytes[at] === SPACE && bytes[at + 1 + ROOT_DIGITS] === SPACE && at + 2 + ROOT_DIGITS < end;
  for (let i = at + 1; isRight && i <= at + ROOT_DIGITS; i++) isRight = isDigit(bytes[i]) || isLetter(bytes[i]);
  if (!isRight) throw bad("a line is not size, root and path");
  return [size, at + 2 + ROOT_DIGITS];
}

function isDigit(byte = 0): boolean {
  return byte >= ZERO && byte <= NINE;
}

function isLetter(byte = 0): boolean {
  return byte >= LETTER_A && byte <= LETTER_F;
}

function isEmptyRoot(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < ROOT_DIGITS; i++) if (bytes[at + i] !== EMPTY_ROOT.charCodeAt(i)) return false;
  return true;
}

function checkPath(bytes: Uint8Array, start: number, end: number): void {
  if (isPlainPath(bytes, start, end)) return;
  let path: string;
  try {
    path = strictDecoder.decode(bytes.subarray(start, end));
  } catch {
    throw bad("it is not UTF-8");
  }
  const refusal = refusalOfPath(path);
  if (refusal !== undefined) throw bad(refusal);
}

/** Whether a path is surely right: short parts of ASCII characters that begin with no dot. Most paths are such, and need no string. */
function isPlainPath(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > LONGEST_PATH) return false;
  let [parts, length] = [1, 0];
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < SPACE || byte >= DELETE || length > NAME_LIMIT || (length === 0 && (byte === DOT || byte === SLASH)))
      return false;
    if (byte === SLASH && at < end - 1) parts += 1;
    length = byte === SLASH ? 0 : length + 1;
  }
  return parts <= DEEPEST_PATH && length <= NAME_LIMIT;
}

/**
 * Checks that each path comes after the one before it, and that no file and no empty folder is the folder of another entry. It counts
 * the folders, too: a short list can name millions of them. The order makes both simple: everything that begins with the same
 * characters stands together.
 */
class Tree {
  /** The number of folders around the entries. */
  folders = 0;
  readonly #bytes: Uint8Array;
  #last = { start: 0, end: 0 };
  /** The lengths of those earlier paths with which the last one begins, and its own; without the `/` of a folder. Growing. */
  readonly #leaves: number[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  add(start: number, end: number): void {
    const bytes = this.#bytes;
    const same = this.#sameAsLast(start, end);
    while ((this.#leaves.at(-1) ?? 0) > same) this.#leaves.pop();
    const leaf = this.#leaves.at(-1);
    if (leaf !== undefined && bytes[start + leaf] === SLASH && start + leaf < end)
      throw bad("a path is both a file and a folder");
    const isFolder = bytes[end - 1] === SLASH;
    for (let at = start + same; at < end - 1; at++) if (bytes[at] === SLASH) this.folders += 1;
    this.#leaves.push(end - start - (isFolder ? 1 : 0));
    this.#last = { start, end };
  }

  /** How many bytes of a path are as in the last one. Throws when it does not come after that. */
  #sameAsLast(start: number, end: number): number {
    const bytes = this.#bytes;
    const length = end - start;
    const lastLength = this.#last.end - this.#last.start;
    let same = 0;
    while (same < length && same < lastLength && bytes[start + same] === bytes[this.#last.start + same]) same += 1;
    if (same === length && same === lastLength) throw bad("a path is there twice");
    if (same === length || (same < lastLength && (bytes[start + same] ?? 0) < (bytes[this.#last.start + same] ?? 0)))
      throw bad("its lines are not in order");
    return same;
  }
}

function tooMany(): ProtocolError {
  return bad(`it has more than ${MOST_ENTRIES} entries`);
}

function bad(why: string): ProtocolError {
  return new ProtocolError("bad-list", `The list of the folder cannot be used: ${why}.`);
}
