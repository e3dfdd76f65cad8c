// Fetches one file to standard output. Writes the verified pieces in their order, while later ones still arrive.

import { closeSync, mkdtempSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FtError } from "../../error.ts";
import { writeOut } from "../../program/cli.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { pieceSizeOf } from "../content/merkle.ts";
import { readFully } from "../disk/fully.ts";
import { removeTree } from "../disk/remove-tree.ts";
import type { DownloadOptions } from "../download/download.ts";
import { withKept } from "../download/kept.ts";
import type { FetchEvent } from "../fetch/types.ts";
import type { Served } from "../serve/types.ts";
import type { Peer } from "./types.ts";

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
  const output = new Output(name, size, () => peer.openPart(root));
  const folder = mkdtempSync(join(tmpdir(), "ft-"));
  try {
    const signal = AbortSignal.any([how.signal, output.failed]);
    const report = (event: FetchEvent) => {
      output.writeMore();
      how.report(event);
    };
    const { path } = await peer.download(records, { ...how, folder, overwrite: false, inOrder: true, signal, report });
    await output.finish(path);
  } catch (error) {
    await output.settled();
    throw output.failed.aborted ? output.failed.reason : withKept(error, "nothing");
  } finally {
    removeTree(folder);
  }
}

/** Standard output, to which one file goes from its beginning to its end. */
class Output {
  readonly #name: string;
  readonly #size: number;
  readonly #openPart: () => Served | undefined;
  readonly #stop = new AbortController();
  #written = 0;
  #writing: Promise<void> | undefined;

  /** `openPart` opens the part of the file that has arrived. */
  constructor(name: string, size: number, openPart: () => Served | undefined) {
    this.#name = name;
    this.#size = size;
    this.#openPart = openPart;
  }

  /** Aborts with the error when the part cannot be read, or standard output takes no more. */
  get failed(): AbortSignal {
    return this.#stop.signal;
  }

  /** Writes the bytes that have arrived, unless that is going on already. */
  writeMore(): void {
    this.#writing ??= this.#writePart()
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** Writes the rest, from the file that is fetched. */
  async finish(path: string): Promise<void> {
    await this.#writing;
    this.failed.throwIfAborted();
    const fd = openSync(path, "r");
    try {
      await this.#write({ read: (into, at) => readFully(fd, into, at) });
    } finally {
      closeSync(fd);
    }
  }

  async #writePart(): Promise<void> {
    const part = this.#openPart();
    if (part === undefined) return;
    try {
      await this.#write(part);
    } finally {
      part.close();
    }
  }

  /** Writes from where the output is to the first bytes that have not arrived. */
  async #write(file: Pick<Served, "read" | "has">): Promise<void> {
    const step = pieceSizeOf(this.#size);
    while (this.#written < this.#size && !this.failed.aborted) {
      const length = Math.min(step, this.#size - this.#written);
      if (file.has?.(this.#written, length) === false) return;
      const bytes = new Uint8Array(length);
      if ((await file.read(bytes, this.#written)) < length) {
        throw new FtError("part-gone", `The part file of "${printable(this.#name)}" is gone.`);
      }
      await writeOut(bytes);
      this.#written += length;
    }
  }
}
