// A connection of a downloader: its requests are read, and answered one after the other. Bytes of files are sent in upload.ts.

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { basic, SILENCE_MS } from "../../protocol/basic.ts";
import { HASH, type ToHolder } from "../../protocol/messages.ts";
import { HolderInbox } from "../../protocol/read.ts";
import { encodeFromHolder } from "../../protocol/write.ts";
import { layerAbove, pieceCountOf, pieceSizeOf } from "../content/merkle.ts";
import { PieceSet } from "../content/pieces.ts";
import type { SlotClaim, UploadSlots } from "./slots.ts";
import type { Known, Served, ServeOptions, Upload } from "./types.ts";
import { Uploader } from "./upload.ts";

/** A downloader has to be accepted, or ask for a file in FT/1, within this time. Milliseconds. */
const FIRST_REQUEST_MS = 10_000;
/** A connection without a request for this long is closed. Milliseconds. */
const REQUEST_IDLE_MS = 60_000;
/** The usual limit on bytes that are sent and not read yet. Only the hashes of a huge file need more. Bytes. */
const USUAL_BACKLOG = 1024 * 1024;
/** With this many requests unanswered, no more are read. */
const MOST_WAITING_REQUESTS = 64;
/** An FT/1 downloader that waits for a slot is looked after this often. Milliseconds. */
const QUEUE_LOOK_MS = 500;

/** One connection of a downloader. */
export class Downloader {
  readonly #channel: Channel;
  readonly #options: ServeOptions;
  readonly #slots: UploadSlots;
  readonly #clock: Clock;
  readonly #uploader: Uploader;
  readonly #inbox = new HolderInbox();
  readonly #requests: (ToHolder | ProtocolError)[] = [];
  /** Bytes that arrive are thrown away: after a refused request, and after the one request of FT/1. */
  #deaf = false;
  #busy = false;
  #over = false;
  /** Undefined until the downloader is accepted. */
  #claim: SlotClaim | undefined;
  #cancelSilence = () => {};
  #unwatchPass = () => {};

  constructor(channel: Channel, options: ServeOptions, uploads: Set<Upload>, slots: UploadSlots) {
    this.#channel = channel;
    this.#options = options;
    this.#slots = slots;
    this.#clock = options.clock ?? systemClock;
    this.#uploader = new Uploader(channel, options, uploads, this.#clock);
  }

  start(): void {
    this.#channel.limit({ deadline: FIRST_REQUEST_MS });
    this.#channel.start({
      data: (chunk) => {
        if (this.#deaf) return;
        this.#inbox.push(chunk);
        this.#read();
        this.#awaitSilence();
      },
      end: () => {
        this.#inbox.end();
        this.#read();
        if (!this.#busy) this.#finish();
      },
      drain: () => this.#uploader.drained(),
      close: (reason) => {
        this.#over = true;
        this.#leaveSlot();
        this.#cancelSilence();
        this.#unwatchPass();
        this.#uploader.closed(reason);
      },
    });
  }

  /** Reads requests until too many wait. A refusal waits for its turn like an answer. */
  #read(): void {
    try {
      while (!this.#over && !this.#deaf && this.#requests.length < MOST_WAITING_REQUESTS) {
        const request = this.#inbox.next();
        if (request === undefined) break;
        this.#requests.push(request);
        this.#deaf = this.#inbox.profile === 1;
      }
      if (this.#requests.length >= MOST_WAITING_REQUESTS) this.#channel.pause();
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
        // The disk failed, or the file changed, in the middle of an answer. Only closing the connection can tell the downloader.
        this.#uploader.end("the file could not be read to its end");
        this.#channel.destroy();
        return;
      }
      // The connection may belong to the downloading side by now.
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
        if (request.profile === 1) await this.#giveWhole(request);
        else await this.#giveRange(request);
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

  // -------------------------------------------------------------- passes and tokens

  #greet(pass: string): void {
    const read = this.#options.readPass(pass, this.#channel.remote.address);
    if ("refusal" in read) {
      this.#refuse("not-accepted", read.refusal);
      return;
    }
    this.#claim = { downloader: read.id };
    const revoked = () => this.#channel.destroy("the operator of the tracker has disconnected it");
    this.#unwatchPass();
    this.#unwatchPass = this.#options.whenRevoked?.(read.id, revoked) ?? this.#unwatchPass;
    this.#channel.limit({ deadline: undefined, idle: REQUEST_IDLE_MS });
    this.#say({ verb: "HI" });
  }

  /** The other side is a holder that was asked to connect. From now on the connection belongs to the downloading side. */
  #handOver(token: string): void {
    if (this.#inbox.waiting > 0 || this.#requests.length > 0 || this.#claim !== undefined) {
      this.#refuse("unexpected", "After HELLO with a token it is the other side's turn.");
      return;
    }
    this.#channel.limit({ deadline: undefined });
    if (this.#options.arrived?.(token, this.#channel) === true) {
      this.#over = true;
      this.#cancelSilence();
    } else this.#refuse("not-accepted", "Nobody here has asked for this connection.");
  }

  /** The slot claim of an accepted downloader. Any other is refused here, and undefined is given. */
  #acceptedClaim(): SlotClaim | undefined {
    if (this.#claim === undefined) this.#refuse("not-accepted", "Say HELLO with a pass first.");
    return this.#claim;
  }

  // -------------------------------------------------------------- what is given

  /** What is known of the content that is asked about. When it is not given, the answer is sent here. */
  #look(root: string): Known | undefined {
    if (this.#acceptedClaim() === undefined) return undefined;
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
    if (layer.length > USUAL_BACKLOG / 2) this.#channel.limit({ backlog: 2 * layer.length });
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

  async #giveRange({ root, name, offset, length }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 2 }>): Promise<void> {
    const claim = this.#acceptedClaim();
    if (claim === undefined) return;
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
      const position = this.#slots.ask(claim);
      if (position > 0) {
        this.#uploader.end("it waits for its next turn");
        this.#say({ verb: "BUSY", position });
        return;
      }
      this.#say({ verb: "FILE", length: count, size: file.size });
      await this.#send(found, offset, count, claim);
    } finally {
      file.close();
    }
  }

  async #send(found: { name: string; file: Served }, offset: number, count: number, claim: SlotClaim): Promise<void> {
    this.#channel.limit({ idle: undefined });
    this.#slots.use(claim, true);
    await this.#uploader.send(found, offset, count);
    if (this.#over) return;
    this.#slots.use(claim, false);
    this.#channel.limit({ idle: REQUEST_IDLE_MS });
  }

  // -------------------------------------------------------------- FT/1: one request a connection, without a pass

  /** An FT/1 request may have no end that can be seen: it ends when nothing arrives for `SILENCE_MS`. */
  #awaitSilence(): void {
    this.#cancelSilence();
    if (this.#inbox.profile === 2 || this.#inbox.waiting === 0) return;
    this.#cancelSilence = this.#clock.after(SILENCE_MS, () => {
      this.#inbox.silence();
      this.#read();
    });
  }

  /** Sends the whole file; the end of the stream ends the answer. An address that the tracker does not know gets no answer. */
  async #giveWhole({ name, size, spaced }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 1 }>): Promise<void> {
    const from = this.#channel.remote.address;
    const known = await this.#options.known(from).catch(() => false);
    if (this.#over) return;
    if (!known) this.#options.report({ event: "download-refused", address: from, reason: "the tracker does not know it" });
    const found = known ? this.#options.open({ name, ...(size === undefined ? {} : { size }) }) : undefined;
    if (known && found === undefined) this.#channel.send(basic.notFound);
    if (found !== undefined) {
      try {
        this.#channel.limit({ deadline: undefined });
        const claim = { downloader: from };
        this.#claim = claim;
        // FT/1 has no word for a queue: the downloader waits without an answer.
        while (!this.#over && this.#slots.ask(claim) > 0) await sleep(this.#clock, QUEUE_LOOK_MS);
        if (this.#over) return;
        this.#channel.send(spaced ? basic.fileSpaced : basic.file);
        await this.#send(found, 0, found.file.size, claim);
      } finally {
        found.file.close();
      }
    }
    this.#finish();
  }

  // -------------------------------------------------------------- how it ends

  #say(message: Parameters<typeof encodeFromHolder>[0]): void {
    this.#channel.send(encodeFromHolder(message));
  }

  #refuse(code: string, words: string): void {
    this.#options.report({ event: "download-refused", address: this.#channel.remote.address, reason: words });
    if (this.#inbox.profile === 2) this.#say({ verb: "ERROR", code, words });
    this.#finish();
  }

  #leaveSlot(): void {
    if (this.#claim !== undefined) this.#slots.leave(this.#claim);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leaveSlot();
    this.#uploader.end("");
    this.#channel.finish();
  }
}
