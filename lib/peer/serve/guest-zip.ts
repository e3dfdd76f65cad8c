// Makes a zip of a folder while it is sent. The files in it are stored, not compressed: a LAN is faster than a compressor.

import { makeZip, predictLength } from "client-zip";
import type { FolderList } from "../../protocol/folder-list.ts";
import type { SafePaths, Served, ServeOptions } from "./types.ts";

/** Files are read in blocks of this size. Bytes. */
const BLOCK = 256 * 1024;
/** A zip has no earlier date than 1980. Milliseconds since 1970. */
const EARLIEST_MS = Date.UTC(1980, 0, 1);
/** A zip has no later date than 2107. Milliseconds since 1970. */
const LATEST_MS = Date.UTC(2107, 11, 31);
const [LF, SPACE] = [10, 32];

const decoder = new TextDecoder();

/** The folder that a zip is made of. */
interface ZippedFolder {
  readonly name: string;
  readonly list: FolderList;
  /** Where each entry begins in the folder's bytes, by its number in the list. */
  readonly places: Float64Array;
}

/** The zip of a folder, ready to be sent. */
export interface PreparedZip {
  /** The folder's name in the zip. */
  readonly name: string;
  readonly layout: SafePaths;
  /** The date of each entry, by its number in the list. Milliseconds since 1970. */
  readonly dates: Float64Array;
  /** Bytes of the zip. */
  readonly size: number;
}

/**
 * Prepares a zip. The names in it are safe on every system, and no two are one: programs that unpack zips have followed `..`, and Windows
 * takes `\` for a separator. `dates` are the lines of DATES.
 */
export function prepareZip(
  { name: sharedAs, list }: ZippedFolder,
  dates: Uint8Array,
  safePaths: NonNullable<ServeOptions["safePaths"]>,
): PreparedZip {
  const entries = Array.from({ length: list.length }, (_, entry) => entry);
  const layout = safePaths(entries.values().map((entry) => list.pathOf(entry)));
  const zip = { name: safePaths([sharedAs]).placeOf(sharedAs), layout, dates: datesOf(list, dates) };
  const heads = entries.values().map((entry) => headOf(zip, list, entry));
  return { ...zip, size: Number(predictLength(heads)) };
}

function headOf({ name, layout, dates }: Omit<PreparedZip, "size">, list: FolderList, entry: number) {
  const head = { name: `${name}/${layout.placeOf(list.pathOf(entry))}`, lastModified: new Date(dates[entry] ?? EARLIEST_MS) };
  return list.isFolder(entry) ? head : { ...head, size: list.sizeOf(entry) };
}

/** A folder as a zip that is read from its beginning to its end. `bytes` are the folder's; it is closed with the zip. */
export function zipOf({ list, places }: ZippedFolder, zip: PreparedZip, bytes: Served): Served {
  const files = function* () {
    for (let entry = 0; entry < list.length; entry++) {
      const head = headOf(zip, list, entry);
      yield list.isFolder(entry) ? head : { ...head, input: blocksOf(bytes, places[entry] ?? 0, list.sizeOf(entry)) };
    }
  };
  // It begins to read as soon as it is made, and a HEAD wants nothing of it.
  let reader: AsyncIterator<Uint8Array> | undefined;
  let rest: Uint8Array = new Uint8Array();
  let position = 0;
  const read = async (into: Uint8Array, at: number) => {
    if (at !== position) throw new Error("a zip is read from its beginning to its end");
    while (rest.length === 0) {
      reader ??= makeZip(files(), { buffersAreUTF8: true })[Symbol.asyncIterator]();
      const { done, value } = await reader.next();
      if (done) return 0;
      rest = value;
    }
    const got = Math.min(rest.length, into.length);
    into.set(rest.subarray(0, got));
    rest = rest.subarray(got);
    position += got;
    return got;
  };
  const close = () => {
    void reader?.return?.().catch(() => undefined);
    bytes.close();
  };
  // Each part is computed, and many files are opened.
  return { size: zip.size, busyUntil: zip.size, read, unchanged: () => bytes.unchanged(), close };
}

async function* blocksOf(bytes: Served, from: number, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; ) {
    const block = new Uint8Array(Math.min(BLOCK, size - at));
    const got = await bytes.read(block, from + at);
    if (got === 0 || !bytes.unchanged()) throw new Error("changed");
    at += got;
    yield block.subarray(0, got);
  }
}

/** Reads lines like `1764288000000 notes/a.txt`, in the order of the list. */
function datesOf(list: FolderList, lines: Uint8Array): Float64Array {
  const dates = new Float64Array(list.length).fill(EARLIEST_MS);
  let next = 0;
  for (let from = 0; from < lines.length; ) {
    const end = lines.indexOf(LF, from) < 0 ? lines.length : lines.indexOf(LF, from);
    const space = lines.indexOf(SPACE, from);
    const entry = list.find(lines.subarray(space + 1, end), next);
    const date = Number.parseInt(decoder.decode(lines.subarray(from, Math.min(space, end))), 10);
    if (entry >= 0 && date >= EARLIEST_MS) dates[entry] = Math.min(LATEST_MS, date);
    next = entry + 1;
    from = end + 1;
  }
  return dates;
}
