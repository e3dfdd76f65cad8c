// One downloader's conversation with this peer: who may have what, and how the bytes go out. Disk and passes are handed in.

import { type Clock, systemClock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import type { Address, Endpoint } from "../../protocol/address.ts";
import { basic, SILENCE_MS } from "../../protocol/basic.ts";
import { HASH, type ToHolder } from "../../protocol/messages.ts";
import { HolderInbox } from "../../protocol/read.ts";
import { encodeFromHolder } from "../../protocol/write.ts";
import type { RateLimit } from "../../rate.ts";
import { layerAbove, pieceCountOf, pieceSizeOf, type Sha256 } from "../content/merkle.ts";
import { PieceSet } from "../content/pieces.ts";
import { DEFAULT_SLOTS, type Seat, Slots } from "./slots.ts";

/** Read and sent in pieces of this size. */
const BLOCK = 256 * 1024;

/** After this much the loop lets everything else have its turn. */
const YIELD_EVERY = 1024 * 1024;

const FIRST_REQUEST_MS = 10_000;

const IDLE_MS = 60_000;

/** A reader slower than this many bytes a second, over the time below, is dropped. */
const SLOWEST = 1024;

const SLOWEST_OVER_MS = 30_000;

/** Unsent answers, in bytes, before the hashes of a huge file. */
const BACKLOG = 1024 * 1024;

/** Requests that wait for their turn. */
const WAITING_REQUESTS = 64;

/** An upload without a request for this long is over. */
const UPLOAD_IDLE_MS = 1_000;

/** FT/1 has no word for a queue: such a downloader waits, and its place is looked after this often. */
const QUEUE_MS = 500;

/** A file as the serving engine sees it. */
export interface Served {
  readonly size: number;
  read(into: Uint8Array, at: number): Promise<number>;
  unchanged(): boolean;
  /** Of a file that is still being fetched: whether all of this stretch is here and verified. */
  has?(offset: number, length: number): boolean;
  close(): void;
}

/** What is known of a content that can be served. */
export interface Known {
  size: number;
  /** The hashes of its pieces. */
  pieces: Uint8Array;
  /** Of a file that is still being fetched: which pieces are here. */
  have?: PieceSet;
}

export interface ServeOptions {
  /** Opens a file of the list that fits everything asked for; undefined for anything else. */
  open(wanted: { name?: string; root?: string; size?: number }): { name: string; file: Served } | undefined;
  /** Looks up a content by its id. */
  look(root: string): Known | undefined;
  sha256: Sha256;
  /** Uploads at once; the others queue. */
  slots?: number;
  /** Over all uploads. */
  limit?: RateLimit | undefined;
  clock?: Clock;
  /** A file was not what was announced any more. */
  changed(name: string): void;
  /** Whose pass this is, or why it is not good from this address, as a sentence. */
  readPass(pass: string, from: Address): { id: string } | { refusal: string };
  /** A connection says a token instead of a pass: true when this peer has asked for it, and takes it over. */
  arrived?(token: string, channel: Channel): boolean;
  /** FT/1: whether the tracker knows this address as an accepted peer's. */
  known(from: Address): Promise<boolean>;
  report(event: ServeEvent): void;
}

export type ServeEvent =
  | { event: "upload-started"; upload: Upload }
  | { event: "upload-ended"; upload: Upload; complete: boolean; reason: string }
  | { event: "download-refused"; address: Address; reason: string };

/** One file on its way to one downloader. */
export interface Upload {
  readonly to: Endpoint;
  readonly name: string;
  /** Bytes asked for so far on this connection, and how many of them are sent. */
  wanted: number;
  sent: number;
  /** Milliseconds since 1970. */
  readonly since: number;
}

/** Serves downloaders; `uploads` is what is going out now. */
export class Server {
  readonly uploads = new Set<Upload>();
  readonly #options: ServeOptions;
  readonly #slots: Slots;

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#slots = new Slots(options.slots ?? DEFAULT_SLOTS, options.clock ?? systemClock);
  }

  /** How many downloaders wait for a slot. */
  get waiting(): number {
    return this.#slots.waiting;
  }

  /** Takes over an accepted connection. */
  accept(channel: Channel): void {
    new Conversation(channel, this.#options, this.uploads, this.#slots).start();
  }
}

class Conversation {
  readonly #channel: Channel;
  readonly #options: ServeOptions;
  readonly #uploads: Set<Upload>;
  readonly #inbox = new HolderInbox();
  readonly #requests: (ToHolder | ProtocolError)[] = [];
  /** What arrives is thrown away: after a refused request, and after the one request of FT/1. */
  #deaf = false;
  #busy = false;
  #over = false;
  /** Once it is accepted. */
  #seat: Seat | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #onDrain: (() => void) | undefined;
  #upload: Upload | undefined;
  #buffers: [Uint8Array, Uint8Array] | undefined;
  readonly #slots: Slots;
  readonly #clock: Clock;
  #cancelEnd = () => {};

  constructor(channel: Channel, options: ServeOptions, uploads: Set<Upload>, slots: Slots) {
    this.#channel = channel;
    this.#options = options;
    this.#uploads = uploads;
    this.#slots = slots;
    this.#clock = options.clock ?? systemClock;
  }

  start(): void {
    this.#channel.limit({ deadline: FIRST_REQUEST_MS });
    this.#channel.start({
      data: (chunk) => {
        if (this.#deaf) return;
        this.#inbox.push(chunk);
        this.#read();
        clearTimeout(this.#silence);
        if (this.#inbox.profile !== 2 && this.#inbox.waiting > 0)
          this.#silence = setTimeout(() => this.#fallSilent(), SILENCE_MS);
      },
      end: () => {
        this.#inbox.end();
        this.#read();
        if (!this.#busy) this.#finish();
      },
      drain: () => this.#onDrain?.(),
      close: (reason) => {
        this.#over = true;
        this.#leaveSlot();
        clearTimeout(this.#silence);
        this.#endUpload(reason);
        this.#onDrain?.();
      },
    });
  }

  #fallSilent(): void {
    this.#inbox.silence();
    this.#read();
  }

  /** Reads requests until too many wait. They are answered one after the other, a refusal in its turn like the rest. */
  #read(): void {
    try {
      while (!this.#over && !this.#deaf && this.#requests.length < WAITING_REQUESTS) {
        const request = this.#inbox.next();
        if (request === undefined) break;
        this.#requests.push(request);
        this.#deaf = this.#inbox.profile === 1;
      }
      if (this.#requests.length >= WAITING_REQUESTS) this.#channel.pause();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#requests.push(error);
      this.#deaf = true;
    }
    this.#work();
  }

  #work(): void {
    if (this.#busy || this.#over || this.#requests.length === 0) return;
    this.#busy = true;
    void this.#answerAll().finally(() => {
      this.#busy = false;
      if (this.#requests.length > 0) this.#work();
      else if (this.#channel.ended) this.#finish();
    });
  }

  async #answerAll(): Promise<void> {
    for (let request = this.#requests.shift(); request !== undefined; request = this.#requests.shift()) {
      if (this.#over) return;
      try {
        await this.#answer(request);
      } catch {
        // The disk failed or the file changed inside a body: only a close can tell the downloader.
        this.#endUpload("the file could not be read to its end");
        this.#channel.destroy();
        return;
      }
      // It may be somebody else's by now.
      if (this.#over) return;
      if (this.#requests.length === 0) {
        this.#channel.resume();
        this.#read();
      }
    }
  }

  async #answer(request: ToHolder | ProtocolError): Promise<void> {
    if (request instanceof ProtocolError) {
      this.#refuse(request.code, request.message);
      return;
    }
    switch (request.verb) {
      case "HELLO":
        if (request.token === undefined) this.#greet(request.pass);
        else this.#handOver(request.token);
        break;
      case "DOWNLOAD":
        if (request.profile === 1) await this.#serveBasic(request);
        else await this.#serve(request);
        break;
      case "TREE":
        this.#giveTree(request.root, request.piece);
        break;
      case "HAVE":
        this.#giveHave(request.root);
        break;
      case "BYE":
        this.#finish();
        break;
      case "UNKNOWN":
        this.#say({ verb: "ERROR", code: "unknown-verb", words: "This peer does not know that request." });
        break;
      default:
        request satisfies never;
    }
  }

  #greet(pass: string): void {
    const read = this.#options.readPass(pass, this.#channel.remote.address);
    if ("refusal" in read) {
      this.#refuse("not-accepted", read.refusal);
      return;
    }
    this.#seat = { who: read.id };
    this.#channel.limit({ deadline: undefined, idle: IDLE_MS });
    this.#say({ verb: "HI" });
  }

  /** This is a holder that was asked to connect: from here on the connection is the downloading side's. */
  #handOver(token: string): void {
    if (this.#inbox.waiting > 0 || this.#requests.length > 0 || this.#seat !== undefined) {
      this.#refuse("unexpected", "After HELLO with a token it is the other side's turn.");
      return;
    }
    this.#channel.limit({ deadline: undefined });
    if (this.#options.arrived?.(token, this.#channel) === true) {
      this.#over = true;
      clearTimeout(this.#silence);
    } else this.#refuse("not-accepted", "Nobody here has asked for this connection.");
  }

  /** The content that is asked about, for who is accepted; the others, and who asks for what is not here, are told here. */
  #look(root: string): Known | undefined {
    if (this.#seat === undefined) {
      this.#refuse("not-accepted", "Say HELLO with a pass first.");
      return undefined;
    }
    const known = this.#options.look(root);
    if (known === undefined) this.#say({ verb: "NOT FOUND" });
    return known;
  }

  #giveTree(root: string, piece: number): void {
    const known = this.#look(root);
    if (known === undefined) return;
    const own = pieceSizeOf(known.size);
    const step = piece / own;
    if (step < 1 || 2 ** Math.round(Math.log2(step)) !== step) {
      this.#say({ verb: "ERROR", code: "bad-piece", words: `The pieces of this file have ${own} bytes.` });
      return;
    }
    const layer = layerAbove(known.pieces, known.size, step, this.#options.sha256);
    // A terabyte's hashes are more than is usually left unread.
    if (layer.length > BACKLOG / 2) this.#channel.limit({ backlog: 2 * layer.length });
    this.#say({ verb: "TREE", count: layer.length / HASH });
    this.#channel.send(layer);
  }

  #giveHave(root: string): void {
    const known = this.#look(root);
    if (known === undefined) return;
    const bits = (known.have ?? PieceSet.whole(pieceCountOf(known.size))).toBytes();
    this.#say({ verb: "HAVE", length: bits.length });
    this.#channel.send(bits);
  }

  async #serve({ root, name, offset, length }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 2 }>): Promise<void> {
    const seat = this.#seat;
    if (seat === undefined) {
      this.#refuse("not-accepted", "Say HELLO with a pass first.");
      return;
    }
    const found = this.#options.open({ ...(root === undefined ? {} : { root }), ...(name === undefined ? {} : { name }) });
    if (found === undefined) {
      this.#say({ verb: "NOT FOUND" });
      return;
    }
    const { file } = found;
    try {
      if (offset > file.size) {
        this.#say({ verb: "ERROR", code: "bad-range", words: "The file is shorter than that." });
        return;
      }
      const count = Math.min(length ?? file.size, file.size - offset);
      if (file.has?.(offset, count) === false) {
        this.#say({ verb: "ERROR", code: "not-here", words: "That part of the file has not arrived here yet." });
        return;
      }
      const position = this.#slots.ask(seat);
      if (position > 0) {
        this.#endUpload("it waits for its next turn");
        this.#say({ verb: "BUSY", position });
        return;
      }
      this.#say({ verb: "FILE", length: count, size: file.size });
      await this.#pump(found, offset, count, seat);
    } finally {
      file.close();
    }
  }

  async #serveBasic({ name, size, spaced }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 1 }>): Promise<void> {
    const from = this.#channel.remote.address;
    const known = await this.#options.known(from).catch(() => false);
    if (this.#over) return;
    if (!known) this.#options.report({ event: "download-refused", address: from, reason: "the tracker does not know it" });
    const wanted = { name, ...(size === undefined ? {} : { size }) };
    const found = known ? this.#options.open(wanted) : undefined;
    if (known && found === undefined) this.#channel.send(basic.notFound);
    if (found !== undefined) {
      try {
        this.#channel.limit({ deadline: undefined });
        this.#seat = { who: from };
        while (!this.#over && this.#slots.ask(this.#seat) > 0) await this.#sleep(QUEUE_MS);
        if (this.#over) return;
        this.#channel.send(spaced ? basic.fileSpaced : basic.file);
        await this.#pump(found, 0, found.file.size, this.#seat);
      } finally {
        found.file.close();
      }
    }
    this.#finish();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(ms, resolve));
  }

  #leaveSlot(): void {
    if (this.#seat !== undefined) this.#slots.leave(this.#seat);
  }

  /** Sends a stretch of a file: while one block goes out, the next is read. */
  async #pump({ name, file }: { name: string; file: Served }, offset: number, count: number, seat: Seat): Promise<void> {
    const upload = this.#beginUpload(name, count);
    const { limit } = this.#options;
    const size = Math.min(BLOCK, limit?.step ?? BLOCK);
    this.#channel.limit({ idle: undefined });
    this.#slots.use(seat, true);
    this.#buffers ??= [new Uint8Array(size), new Uint8Array(size)];
    let [current, other] = this.#buffers;
    const readAt = (at: number, into: Uint8Array) => {
      const read = file.read(into.subarray(0, Math.min(size, offset + count - at)), at);
      // It is awaited in its turn; until then a failure is nobody's unhandled rejection.
      read.catch(() => undefined);
      return read;
    };
    let at = offset;
    let sinceYield = 0;
    let pace = { at: performance.now(), sent: 0 };
    let reading = count > 0 ? readAt(at, current) : Promise.resolve(0);
    while (at < offset + count) {
      const got = await reading;
      // Looked at after reading: what was read before a change is still what was announced, later bytes may not be.
      if (got === 0 || !file.unchanged()) {
        this.#options.changed(name);
        throw new Error("changed");
      }
      const wait = limit?.spend(got) ?? 0;
      if (wait > 0) {
        await this.#sleep(wait);
        pace.at += wait;
      }
      const block = current.subarray(0, got);
      at += got;
      [current, other] = [other, current];
      if (at < offset + count) reading = readAt(at, current);
      for (let sent = 0; sent < got; ) {
        const took = this.#channel.offer(block.subarray(sent));
        sent += took;
        upload.sent += took;
        pace.sent += took;
        sinceYield += took;
        if (sent < got) await this.#drained();
        if (this.#over) {
          await reading.catch(() => undefined);
          return;
        }
        pace = this.#checkPace(pace);
      }
      if (sinceYield >= YIELD_EVERY) {
        sinceYield = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#slots.use(seat, false);
    this.#channel.limit({ idle: IDLE_MS });
    this.#cancelEnd();
    this.#cancelEnd = this.#clock.after(UPLOAD_IDLE_MS, () => this.#endUpload(""));
  }

  #checkPace(pace: { at: number; sent: number }): { at: number; sent: number } {
    const now = performance.now();
    if (now - pace.at < SLOWEST_OVER_MS) return pace;
    if (pace.sent < (SLOWEST * SLOWEST_OVER_MS) / 1000) this.#channel.destroy("it reads too slowly");
    return { at: now, sent: 0 };
  }

  #drained(): Promise<void> {
    if (this.#over) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onDrain = () => {
        this.#onDrain = undefined;
        resolve();
      };
    });
  }

  /** Pipelined requests for one file are one upload. */
  #beginUpload(name: string, count: number): Upload {
    this.#cancelEnd();
    if (this.#upload !== undefined && this.#upload.name === name) {
      this.#upload.wanted += count;
      return this.#upload;
    }
    this.#endUpload("");
    const upload: Upload = { to: this.#channel.remote, name, wanted: count, sent: 0, since: Date.now() };
    this.#upload = upload;
    this.#uploads.add(upload);
    this.#options.report({ event: "upload-started", upload });
    return upload;
  }

  #endUpload(reason: string): void {
    this.#cancelEnd();
    const upload = this.#upload;
    if (upload === undefined) return;
    this.#upload = undefined;
    this.#uploads.delete(upload);
    this.#options.report({ event: "upload-ended", upload, complete: upload.sent === upload.wanted, reason });
  }

  #say(message: Parameters<typeof encodeFromHolder>[0]): void {
    this.#channel.send(encodeFromHolder(message));
  }

  #refuse(code: string, words: string): void {
    this.#options.report({ event: "download-refused", address: this.#channel.remote.address, reason: words });
    if (this.#inbox.profile === 2) this.#say({ verb: "ERROR", code, words });
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leaveSlot();
    this.#endUpload("");
    this.#channel.finish();
  }
}
