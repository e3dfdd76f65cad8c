// Sends ranges of files on one connection: reads, limits, sends, and counts them as uploads. It knows no requests and no slots.

import { type Clock, sleep } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { ServingState } from "./state.ts";
import type { Opened, Served, ServeOptions, Upload } from "./types.ts";

/** Files are read and sent in blocks of this size; smaller under a low limit. Bytes. */
const READ_BLOCK = 512 * 1024;
/** After this amount without a pause, other connections get their turn. Bytes. */
const YIELD_EVERY = 1024 * 1024;
/** A peer disconnects a downloader that reads fewer bytes than this. Bytes per second, over `SLOWEST_READER_MS`. */
const SLOWEST_READER = 1024;
/** The speed of a reader is measured over this time. Milliseconds. */
const SLOWEST_READER_MS = 30_000;
/** An upload ends when the downloader asks for nothing more for this long. Milliseconds. */
const UPLOAD_IDLE_MS = 10_000;

/** The way to a downloader: a connection, or the body of an answer on one. */
type Outlet = Pick<Channel, "remote" | "offer" | "destroy">;

/** Sends files to one downloader. */
export class Uploader {
  readonly #channel: Outlet;
  readonly #host: string;
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #clock: Clock;
  #upload: Upload | undefined;
  /** Each block is read into it, and sent from it. */
  #buffer: Uint8Array | undefined;
  #closed = false;
  #onDrain: (() => void) | undefined;
  #cancelEnd = () => {};
  /** The reader's speed is measured since this time, with the bytes that it has taken since. */
  #pace = { since: 0, taken: 0 };
  /** When the upload began. Milliseconds of the clock's `elapsed`. */
  #begunAt = 0;

  /** `host` is the one that the connection comes from. */
  constructor(channel: Outlet, host: string, options: ServeOptions, state: ServingState, clock: Clock) {
    this.#channel = channel;
    this.#host = host;
    this.#options = options;
    this.#state = state;
    this.#clock = clock;
  }

  /** Sends a range of a file. Fails when the file cannot be read, or has changed. Resolves when all is sent, or the connection has ended. */
  async send(found: Opened, id: string | undefined, offset: number, count: number): Promise<void> {
    const { name, file } = found;
    const upload = this.#begin(found, id, count);
    const read = async (at: number) => {
      this.#buffer ??= new Uint8Array(this.#block);
      const got = await this.#read(file, this.#buffer.subarray(0, count - at), offset + at);
      // The file is looked at after reading: bytes that were read before a change are still those of the record.
      if (got > 0 && file.unchanged()) return this.#buffer.subarray(0, got);
      this.#options.changed(name);
      throw new Error("changed");
    };
    const sent = (bytes: number) => {
      upload.sent += bytes;
      upload.seconds = (this.#clock.elapsed() - this.#begunAt) / 1000;
    };
    await this.#sendAll(count, read, (bytes) => this.#state.flows.spend(this.#host, bytes), sent);
    if (!this.#closed) this.quietFromNow();
  }

  #read(file: Served, into: Uint8Array, at: number): Promise<number> {
    const read = () => file.read(into, at);
    return at < (file.busyUntil ?? 0) ? this.#state.work.do(this.#host, read) : read();
  }

  /** Sends metadata of a content: hashes, a bit field, or dates. */
  async sendMetadata(bytes: Uint8Array): Promise<void> {
    const read = async (at: number) => bytes.subarray(at, at + this.#block);
    await this.#sendAll(bytes.length, read, (count) => this.#state.flows.spendMetadata(this.#host, count));
  }

  get #block(): number {
    return Math.min(READ_BLOCK, this.#options.limit?.step ?? READ_BLOCK);
  }

  /** `spend` counts the bytes of each block, and gives the milliseconds to wait after it. */
  async #sendAll(
    count: number,
    read: (at: number) => Promise<Uint8Array>,
    spend: (bytes: number) => number,
    sent?: (bytes: number) => void,
  ): Promise<void> {
    const { flows } = this.#state;
    flows.begin(this.#host, this);
    this.#pace = { since: this.#clock.elapsed(), taken: 0 };
    try {
      let sinceYield = 0;
      for (let at = 0; at < count; ) {
        const block = await read(at);
        await this.#wait(this.#options.limit?.spend(block.length) ?? 0);
        if (!(await this.#offer(block, sent))) return;
        await this.#wait(spend(block.length));
        at += block.length;
        sinceYield += block.length;
        if (sinceYield >= YIELD_EVERY) {
          sinceYield = 0;
          await new Promise<void>((resolve) => this.#clock.soon(resolve));
        }
      }
    } finally {
      flows.end(this.#host, this);
    }
  }

  /** Waits, which does not count as slowness of the reader. */
  async #wait(ms: number): Promise<void> {
    if (ms <= 0) return;
    await sleep(this.#clock, ms);
    this.#pace.since += ms;
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

  /** The current upload ends if the downloader asks for nothing more for UPLOAD_IDLE_MS. */
  quietFromNow(): void {
    this.#cancelEnd();
    this.#cancelEnd = this.#clock.after(UPLOAD_IDLE_MS, () => this.end(""));
  }

  /** Ends the current upload. A reason, if there is one, is a clause. */
  end(reason: string): void {
    this.#cancelEnd();
    const upload = this.#upload;
    if (upload === undefined) return;
    this.#upload = undefined;
    this.#state.uploads.delete(upload);
    this.#options.report({ event: "upload-ended", upload, complete: upload.sent === upload.wanted, reason });
  }

  /** Sends a block, as fast as the downloader takes it. False when the connection has ended. */
  async #offer(block: Uint8Array, sent?: (bytes: number) => void): Promise<boolean> {
    for (let at = 0; at < block.length; ) {
      const took = this.#channel.offer(block.subarray(at));
      at += took;
      sent?.(took);
      this.#pace.taken += took;
      if (at < block.length && !this.#closed) {
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
  #begin({ name, root, file, whole = { name, size: file.size } }: Opened, id: string | undefined, count: number): Upload {
    this.#cancelEnd();
    if (this.#upload !== undefined && this.#upload.name === name && this.#upload.root === root) {
      this.#upload.wanted += count;
      return this.#upload;
    }
    this.end("");
    const to = this.#channel.remote;
    const upload: Upload = { to, id, name, root, whole, wanted: count, sent: 0, since: this.#clock.at(), seconds: 0 };
    this.#begunAt = this.#clock.elapsed();
    this.#upload = upload;
    this.#state.uploads.add(upload);
    this.#options.report({ event: "upload-started", upload });
    return upload;
  }
}
