// Sending ranges of files on one connection: read, limited, sent, and counted as uploads. It knows no requests and no slots.

import { type Clock, sleep } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { Served, ServeOptions, Upload } from "./types.ts";

/** Files are read and sent in blocks of this size; smaller under a low limit. Bytes. */
const READ_BLOCK = 256 * 1024;
/** After this many bytes without a pause, other connections get their turn. */
const YIELD_EVERY = 1024 * 1024;
/** A downloader that reads fewer bytes than this is disconnected. Bytes a second, over `SLOWEST_READER_MS`. */
const SLOWEST_READER = 1024;
/** Milliseconds. */
const SLOWEST_READER_MS = 30_000;
/** An upload ends when the downloader asks for nothing more for this long. Milliseconds. */
const UPLOAD_IDLE_MS = 1_000;

/** Sends files to one downloader. */
export class Uploader {
  readonly #channel: Channel;
  readonly #options: ServeOptions;
  readonly #uploads: Set<Upload>;
  readonly #clock: Clock;
  #upload: Upload | undefined;
  /** Each block is read into it, and sent from it. */
  #buffer: Uint8Array | undefined;
  #closed = false;
  #onDrain: (() => void) | undefined;
  #cancelEnd = () => {};
  /** The reader's speed is measured since this time, with the bytes that it has taken since. */
  #pace = { since: 0, taken: 0 };

  /** `uploads` gets the upload that is under way. */
  constructor(channel: Channel, options: ServeOptions, uploads: Set<Upload>, clock: Clock) {
    this.#channel = channel;
    this.#options = options;
    this.#uploads = uploads;
    this.#clock = clock;
  }

  /** Sends a range of a file. Fails when the file cannot be read, or has changed. Resolves when all is sent, or the connection has ended. */
  async send({ name, file }: { name: string; file: Served }, offset: number, count: number): Promise<void> {
    const upload = this.#begin(name, count);
    const { limit } = this.#options;
    const end = offset + count;
    this.#buffer ??= new Uint8Array(Math.min(READ_BLOCK, limit?.step ?? READ_BLOCK));
    const buffer = this.#buffer;
    this.#pace = { since: this.#clock.elapsed(), taken: 0 };
    let sinceYield = 0;
    for (let at = offset; at < end; ) {
      const got = await file.read(buffer.subarray(0, end - at), at);
      // The file is looked at after reading: bytes that were read before a change are still those of the record.
      if (got === 0 || !file.unchanged()) {
        this.#options.changed(name);
        throw new Error("changed");
      }
      const wait = limit?.spend(got) ?? 0;
      if (wait > 0) {
        await sleep(this.#clock, wait);
        this.#pace.since += wait;
      }
      if (!(await this.#offer(buffer.subarray(0, got), upload))) return;
      at += got;
      sinceYield += got;
      if (sinceYield >= YIELD_EVERY) {
        sinceYield = 0;
        await new Promise<void>((resolve) => this.#clock.soon(resolve));
      }
    }
    this.#cancelEnd();
    this.#cancelEnd = this.#clock.after(UPLOAD_IDLE_MS, () => this.end(""));
  }

  /** The channel takes bytes again. */
  drained(): void {
    this.#onDrain?.();
  }

  /** The connection has ended. */
  closed(reason: string): void {
    this.#closed = true;
    this.end(reason);
    this.#onDrain?.();
  }

  /** Ends the upload under way. A reason, if there is one, is a clause. */
  end(reason: string): void {
    this.#cancelEnd();
    const upload = this.#upload;
    if (upload === undefined) return;
    this.#upload = undefined;
    this.#uploads.delete(upload);
    this.#options.report({ event: "upload-ended", upload, complete: upload.sent === upload.wanted, reason });
  }

  /** Sends a block, as fast as the downloader takes it. False when the connection has ended. */
  async #offer(block: Uint8Array, upload: Upload): Promise<boolean> {
    for (let sent = 0; sent < block.length; ) {
      const took = this.#channel.offer(block.subarray(sent));
      sent += took;
      upload.sent += took;
      this.#pace.taken += took;
      if (sent < block.length && !this.#closed) {
        await new Promise<void>((resolve) => {
          this.#onDrain = resolve;
        });
      }
      if (this.#closed) return false;
      this.#checkPace();
    }
    return true;
  }

  #checkPace(): void {
    const now = this.#clock.elapsed();
    const { since, taken } = this.#pace;
    if (now - since < SLOWEST_READER_MS) return;
    if (taken < (SLOWEST_READER * SLOWEST_READER_MS) / 1000) this.#channel.destroy("it reads too slowly");
    this.#pace = { since: now, taken: 0 };
  }

  /** Several requests for the same file count as one upload. */
  #begin(name: string, count: number): Upload {
    this.#cancelEnd();
    if (this.#upload !== undefined && this.#upload.name === name) {
      this.#upload.wanted += count;
      return this.#upload;
    }
    this.end("");
    const upload: Upload = { to: this.#channel.remote, name, wanted: count, sent: 0, since: this.#clock.at() };
    this.#upload = upload;
    this.#uploads.add(upload);
    this.#options.report({ event: "upload-started", upload });
    return upload;
  }
}
