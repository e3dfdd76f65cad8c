// Remembers the running downloads with their parts.

import type { Endpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";

/** The running downloads of a kind. The arrived bytes of each are its part, which other peers may read meanwhile. */
export class RunningDownloads<Part extends { record: FileRecord }> {
  /** By content id. */
  protected readonly parts = new Map<string, Part>();
  readonly #work = new Set<Promise<unknown>>();

  /** Counts a download as running until it ends, and gives it back. */
  protected track<Result>(download: Promise<Result>): Promise<Result> {
    this.#work.add(download);
    const ended = () => this.#work.delete(download);
    download.then(ended, ended);
    return download;
  }

  /** Whether a download is running. */
  get running(): boolean {
    return this.#work.size > 0;
  }

  /** Resolves when all downloads have ended, well or not, and have closed their part files. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#work);
  }

  /** The records of the parts, for the tracker. */
  records({ address, port }: Endpoint): FileRecord[] {
    return [...this.parts.values()].map(({ record }) => ({ ...record, address, port }));
  }
}
