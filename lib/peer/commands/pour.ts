// Fetches one file to standard output. Writes the verified pieces in their order, while later ones still arrive.

import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FtError } from "../../error.ts";
import { writeOut } from "../../program/cli.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { pieceSizeOf } from "../content/merkle.ts";
import { readFully } from "../disk/read-fully.ts";
import type { DownloadOptions } from "../download/download.ts";
import type { FetchEvent } from "../fetch/types.ts";
import type { Peer } from "./types.ts";

/** A part file, as far as it is read here. */
type Readable = (into: Uint8Array, at: number) => Promise<number>;

/** Fetches one content into a folder of its own, which is removed at the end. Throws a sentence; then the output is not whole. */
export async function pour(
  peer: Peer,
  records: [FileRecord, ...FileRecord[]],
  how: Omit<DownloadOptions, "folder" | "overwrite">,
): Promise<void> {
  const [{ name, size, root }] = records;
  if (root === undefined) {
    const words = `"${printable(name)}" has no content id, so that it cannot be verified while it arrives. Fetch it into a folder.`;
    throw new FtError("not-verified", words);
  }
  const step = pieceSizeOf(size);
  const stop = new AbortController();
  let written = 0;
  let failed: unknown;
  let pouring: Promise<void> | undefined;

  const write = async (read: Readable, isHere: (at: number, length: number) => boolean) => {
    while (written < size && failed === undefined) {
      const length = Math.min(step, size - written);
      if (!isHere(written, length)) return;
      const bytes = new Uint8Array(length);
      if ((await read(bytes, written)) < length)
        throw new FtError("part-gone", `The part file of "${printable(name)}" is gone.`);
      await writeOut(bytes);
      written += length;
    }
  };
  const writeWhatIsHere = async () => {
    const part = peer.openPart(root);
    if (part === undefined) return;
    try {
      await write(part.read, (at, length) => part.has?.(at, length) === true);
    } finally {
      part.close();
    }
  };
  const report = (event: FetchEvent) => {
    pouring ??= writeWhatIsHere()
      .catch((error: unknown) => {
        failed = error;
        stop.abort();
      })
      .finally(() => {
        pouring = undefined;
      });
    how.report(event);
  };

  const folder = mkdtempSync(join(tmpdir(), "ft-"));
  try {
    const signal = AbortSignal.any([how.signal, stop.signal]);
    const { path } = await peer.download(records, { ...how, folder, overwrite: false, inOrder: true, signal, report });
    await pouring;
    if (failed !== undefined) throw failed;
    const fd = openSync(path, "r");
    try {
      await write(
        (into, at) => readFully(fd, into, at),
        () => true,
      );
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    await pouring;
    throw failed ?? error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
