// Answers the requests of one downloader's connection, one after the other. upload.ts sends the bytes of files.

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { type Endpoint, hostOf } from "../../protocol/address.ts";
import { basic, SILENCE_MS } from "../../protocol/basic.ts";
import type { ToHolder } from "../../protocol/messages.ts";
import { HASH } from "../../protocol/numbers.ts";
import { HolderInbox } from "../../protocol/read-transfer.ts";
import { encodeFromHolder } from "../../protocol/write.ts";
import { pieceCountOf, pieceSizeOf } from "../content/merkle.ts";
import type { SlotClaim } from "./slots.ts";
import type { ServingState } from "./state.ts";
import type { Known, Opened, ProofWanted, ServeOptions } from "./types.ts";
import { Uploader } from "./upload.ts";

/** A connection closes if its downloader is not accepted, and asks for no file in FT/1, within this time. Milliseconds. */
const FIRST_REQUEST_MS = 10_000;
/** A connection without a request for this long is closed. Milliseconds. */
const REQUEST_IDLE_MS = 60_000;
/** The most unanswered requests. At this number the connection reads no further ones. */
const MOST_WAITING_REQUESTS = 64;
/** A waiting FT/1 downloader asks for its slot again each time this time has passed. Milliseconds. */
const QUEUE_LOOK_MS = 500;

/** The part of an answer that takes a while, such as the bytes of a file. */
type Rest = (() => Promise<void>) | undefined;

/** One connection of a downloader. */
export class Downloader {
  readonly #channel: Channel;
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #clock: Clock;
  readonly #host: string;
  readonly #uploader: Uploader;
  readonly #inbox = new HolderInbox();
  readonly #requests: (ToHolder | ProtocolError)[] = [];
  /** Ignores all further bytes: after a refused request, and after the one request of FT/1. */
  #deaf = false;
  #busy = false;
  #over = false;
  /** The downloader has to prove that its pass is its own. Its other requests wait for that. */
  #wanted: ProofWanted | undefined;
  /** Undefined until the downloader is accepted. */
  #claim: SlotClaim | undefined;
  #cancelSilence = () => {};
  #unwatchPass = () => {};

  constructor(channel: Channel, options: ServeOptions, state: ServingState) {
    this.#channel = channel;
    this.#options = options;
    this.#state = state;
    this.#clock = options.clock ?? systemClock;
    this.#host = hostOf(channel.remote.address);
    this.#uploader = new Uploader(channel, this.#host, options, state, this.#clock);
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
    if (this.#busy || this.#over || this.#nextAt < 0) return;
    this.#busy = true;
    void this.#answerAll().finally(() => {
      this.#busy = false;
      if (this.#nextAt >= 0) this.#work();
      else if (this.#channel.ended) this.#finish();
    });
  }

  /** The place of the request to answer next; -1 when there is none. */
  get #nextAt(): number {
    if (this.#wanted === undefined) return this.#requests.length > 0 ? 0 : -1;
    return this.#requests.findIndex((request) => request instanceof ProtocolError || request.verb === "PROOF");
  }

  #takeNext(): ToHolder | ProtocolError | undefined {
    const at = this.#nextAt;
    return at < 0 ? undefined : this.#requests.splice(at, 1)[0];
  }

  async #answerAll(): Promise<void> {
    for (let request = this.#takeNext(); request !== undefined; request = this.#takeNext()) {
      if (this.#over) return;
      try {
        await this.#answer(request);
      } catch {
        // The disk failed, or the file changed, in the middle of an answer. Only closing the connection can tell the downloader.
        this.#uploader.end("the file could not be read to its end");
        this.#channel.destroy();
        return;
      }
      // `#handOver` may have given the connection to the downloading side meanwhile.
      if (this.#over) return;
      if (this.#requests.length === 0) {
        this.#channel.resume();
        this.#read();
      }
    }
  }

  async #answer(request: ToHolder | ProtocolError): Promise<void> {
    const rest = await this.#inTurn(() => (this.#over ? undefined : this.#begin(request)));
    await rest?.();
  }

  /** Does a job in the time of this connection's host. */
  #inTurn<Result>(job: () => Result): Promise<Result> {
    return this.#state.work.do(this.#host, job);
  }

  #begin(request: ToHolder | ProtocolError): Rest {
    if (request instanceof ProtocolError) {
      this.#refuse(request.code, request.message);
      return undefined;
    }
    switch (request.verb) {
      case "HELLO":
        if (request.token === undefined) this.#greet(request.pass, request.keyed ?? "");
        else this.#handOver(request.token);
        return undefined;
      case "PROOF":
        this.#prove(request, request.proof);
        return undefined;
      case "DOWNLOAD":
        return request.profile === 1 ? () => this.#giveWhole(request) : this.#giveRange(request);
      case "TREE":
        return "folder" in request ? this.#giveFolder(request) : this.#giveTree(request.root, request.piece);
      case "HAVE":
        return "folder" in request ? this.#giveFolder(request) : this.#giveHave(request.root);
      case "DATES":
        return this.#giveFolder(request);
      case "BYE":
        this.#finish();
        return undefined;
      case "UNKNOWN":
        this.#say({ verb: "ERROR", code: "unknown-verb", words: "This peer does not know that request." });
        return undefined;
      default:
        return request satisfies never;
    }
  }

  // -------------------------------------------------------------- passes and tokens

  #greet(pass: string, keyed: string): void {
    const { remote, secured } = this.#channel;
    const read = this.#options.readPass(pass, remote.address, keyed, secured?.fingerprint);
    if ("refusal" in read) this.#refuse("not-accepted", read.refusal);
    else if ("nonce" in read) {
      this.#wanted = read;
      this.#say({ verb: "PROVE", nonce: read.nonce });
    } else this.#accept(read.id);
  }

  #prove(at: Endpoint, proof: string): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted?.accepts(at, proof) === true) this.#accept(wanted.id);
    else this.#refuse("not-accepted", "This is no proof that the pass is this peer's own.");
  }

  #accept(id: string): void {
    this.#claim = { host: this.#host, downloader: id };
    const revoked = (why: string) => this.#channel.destroy(why);
    this.#unwatchPass();
    this.#unwatchPass = this.#options.whenRevoked?.(id, revoked) ?? this.#unwatchPass;
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

  /** The slot claim of an accepted downloader. Refuses any other downloader, and then gives undefined. */
  #acceptedClaim(): SlotClaim | undefined {
    if (this.#claim === undefined) this.#refuse("not-accepted", "Say HELLO with a pass first.");
    return this.#claim;
  }

  // -------------------------------------------------------------- answers

  /** Looks up a content. If the downloader is not accepted, or the content not served, sends the answer and gives undefined. */
  #look(root: string): Known | undefined {
    if (this.#acceptedClaim() === undefined) return undefined;
    const known = this.#options.look(root);
    if (known === undefined) this.#say({ verb: "NOT FOUND" });
    return known;
  }

  #giveTree(root: string, piece: number): Rest {
    const known = this.#look(root);
    if (known === undefined) return undefined;
    const own = pieceSizeOf(known.size);
    const step = piece / own;
    if (step < 1 || 2 ** Math.round(Math.log2(step)) !== step) {
      this.#say({ verb: "ERROR", code: "bad-piece", words: `The pieces of this file have ${own} bytes.` });
      return undefined;
    }
    return async () => {
      const layer = await this.#state.layers.get(this.#host, root, known, step);
      this.#say({ verb: "TREE", count: layer.length / HASH });
      await this.#sending(this.#uploader.sendMetadata(layer));
    };
  }

  #giveHave(root: string): Rest {
    const known = this.#look(root);
    if (known === undefined) return undefined;
    const bits = known.have?.toBytes() ?? new Uint8Array(Math.ceil(pieceCountOf(known.size) / 8)).fill(255);
    this.#say({ verb: "HAVE", length: bits.length });
    return () => this.#sending(this.#uploader.sendMetadata(bits));
  }

  /** Says something about a folder: the hashes of its pieces, which ones are here, or its dates. */
  #giveFolder({ verb, folder }: Extract<ToHolder, { folder: string }>): Rest {
    if (this.#acceptedClaim() === undefined) return undefined;
    const known = this.#options.lookFolder?.(folder);
    if (known === undefined) {
      this.#say({ verb: "NOT FOUND" });
      return undefined;
    }
    const { hashes, have } = known;
    const count = hashes.length / HASH;
    if (verb === "TREE") this.#say({ verb, count });
    const bits = () => have?.toBytes() ?? new Uint8Array(Math.ceil(count / 8)).fill(255);
    const bytes = verb === "TREE" ? hashes : verb === "HAVE" ? bits() : known.dates();
    if (verb !== "TREE") this.#say({ verb, length: bytes.length });
    return () => this.#sending(this.#uploader.sendMetadata(bytes));
  }

  #giveRange({ root, folder, name, offset, length }: Extract<ToHolder, { verb: "DOWNLOAD"; profile: 2 }>): Rest {
    const claim = this.#acceptedClaim();
    if (claim === undefined) return undefined;
    const found = this.#options.open({
      ...(root === undefined ? {} : { root }),
      ...(folder === undefined ? {} : { folder }),
      ...(name === undefined ? {} : { name }),
    });
    if (found === undefined) {
      this.#say({ verb: "NOT FOUND" });
      return undefined;
    }
    const { file } = found;
    const count = Math.min(length ?? file.size, file.size - offset);
    if (this.#mayHave(found, offset, count, claim)) {
      this.#say({ verb: "FILE", length: count, size: file.size });
      return () => this.#send(found, offset, count, claim);
    }
    file.close();
    return undefined;
  }

  /** Whether to send a range now. If not, sends the downloader the reason. */
  #mayHave({ file }: Opened, offset: number, count: number, claim: SlotClaim): boolean {
    if (offset > file.size) {
      this.#say({ verb: "ERROR", code: "bad-range", words: "The file is shorter than that." });
      return false;
    }
    if (file.has?.(offset, count) === false) {
      this.#say({ verb: "ERROR", code: "not-here", words: "That part of the file has not arrived here yet." });
      return false;
    }
    const position = this.#state.slots.ask(claim);
    if (position === 0) return true;
    this.#uploader.quietFromNow();
    this.#say({ verb: "BUSY", position });
    return false;
  }

  /** Sends bytes of a file for a claim that has a slot, and closes the file. */
  async #send(found: Opened, offset: number, count: number, claim: SlotClaim): Promise<void> {
    const { slots } = this.#state;
    try {
      if (this.#over) return;
      slots.use(claim, true);
      const id = this.#inbox.profile === 2 ? claim.downloader : undefined;
      await this.#sending(this.#uploader.send(found, id, offset, count));
      if (!this.#over) slots.use(claim, false, count);
    } finally {
      found.file.close();
    }
  }

  /** While bytes are sent, a downloader may be silent. */
  async #sending(bytes: Promise<void>): Promise<void> {
    this.#channel.limit({ idle: undefined });
    await bytes;
    if (!this.#over) this.#channel.limit({ idle: REQUEST_IDLE_MS });
  }

  // -------------------------------------------------------------- FT/1: one request per connection, without a pass

  /** An FT/1 request may have no end mark: then it ends when nothing arrives for `SILENCE_MS`. */
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
    if (known) {
      const found = await this.#inTurn(() => this.#options.open({ name, ...(size === undefined ? {} : { size }) }));
      if (found === undefined) this.#channel.send(basic.notFound);
      else await this.#sendWhole(found, spaced ? basic.fileSpaced : basic.file);
    } else this.#options.report({ event: "download-refused", address: from, reason: "the tracker does not know it" });
    this.#finish();
  }

  /** FT/1 has no word for a queue: the downloader waits without an answer. */
  async #sendWhole(found: Opened, head: string): Promise<void> {
    const claim = { host: this.#host, downloader: this.#channel.remote.address };
    this.#claim = claim;
    this.#channel.limit({ deadline: undefined });
    while (!this.#over && this.#state.slots.ask(claim) > 0) await sleep(this.#clock, QUEUE_LOOK_MS);
    if (!this.#over) this.#channel.send(head);
    await this.#send(found, 0, found.file.size, claim);
  }

  // -------------------------------------------------------------- the end

  #say(message: Parameters<typeof encodeFromHolder>[0]): void {
    this.#channel.send(encodeFromHolder(message));
  }

  #refuse(code: string, words: string): void {
    this.#options.report({ event: "download-refused", address: this.#channel.remote.address, reason: words });
    if (this.#inbox.profile === 2) this.#say({ verb: "ERROR", code, words });
    this.#finish();
  }

  #leaveSlot(): void {
    if (this.#claim !== undefined) this.#state.slots.leave(this.#claim);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#leaveSlot();
    this.#uploader.end("");
    this.#channel.finish();
  }
}
