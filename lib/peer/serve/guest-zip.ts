// Makes a zip of a folder while it is sent. The files in it are stored, not compressed: a LAN is faster than a compressor.

import { makeZip, predictLength } from "client-zip";
import { type FolderEntry, isFolderEntry } from "../../protocol/folder.ts";
import { placesIn } from "./guest-files.ts";
import type { Served } from "./types.ts";

/** Files are read in blocks of this size. Bytes. */
const BLOCK = 256 * 1024;
/** A zip has no earlier date than 1980. Milliseconds since 1970. */
const EARLIEST_MS = Date.UTC(1980, 0, 1);
/** And no later one than 2107. */
const LATEST_MS = Date.UTC(2107, 11, 31);

/**
 * A folder as a zip that is read from its beginning to its end. `dates` are the lines of DATES. `bytes` are the folder's; it is closed with
 * the zip.
 */
export function zipOf(name: string, entries: readonly FolderEntry[], dates: Uint8Array, bytes: Served): Served {
  const modified = readDates(dates);
  const places = placesIn(entries);
  const headOf = ({ path }: FolderEntry) => ({
    name: `${name}/${path}`,
    lastModified: new Date(Math.min(LATEST_MS, Math.max(EARLIEST_MS, modified.get(path) ?? EARLIEST_MS))),
  });
  const files = function* () {
    for (const entry of entries) {
      if (isFolderEntry(entry)) yield headOf(entry);
      else yield { ...headOf(entry), size: entry.size, input: blocksOf(bytes, places.get(entry.path) ?? 0, entry.size) };
    }
  };
  const reader = makeZip(files(), { buffersAreUTF8: true }).getReader();
  let rest: Uint8Array = new Uint8Array();
  let position = 0;
  const read = async (into: Uint8Array, at: number) => {
    if (at !== position) throw new Error("a zip is read from its beginning to its end");
    while (rest.length === 0) {
      const { done, value } = await reader.read();
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
    void reader.cancel().catch(() => undefined);
    bytes.close();
  };
  const sizes = entries.map((entry) => (isFolderEntry(entry) ? headOf(entry) : { ...headOf(entry), size: entry.size }));
  return { size: Number(predictLength(sizes)), read, unchanged: () => bytes.unchanged(), close };
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

/** `1764288000000 notes/a.txt` */
function readDates(dates: Uint8Array): Map<string, number> {
  const lines = new TextDecoder().decode(dates).split("\n");
  return new Map(lines.map((line) => [line.slice(line.indexOf(" ") + 1), Number.parseInt(line, 10)]));
}
