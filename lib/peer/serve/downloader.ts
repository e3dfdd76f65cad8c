// Serves one downloader's connection, from its first byte to its last: accepts the downloader, and has its requests answered one after the
// other. The answers of FT/2 are in answers.ts; the one answer of FT/1 is here.

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { type Endpoint, hostOf } from "../../protocol/address.ts";
import { basic, SILENCE_MS } from "../../protocol/basic.ts";
import type { ToHolder } from "../../protocol/messages.ts";
import { HolderInbox } from "../../protocol/read-transfer.ts";
import { encodeFromHolder } from "../../protocol/write.ts";
import { Answers, type ContentRequest, REQUEST_IDLE_MS, type Rest } from "./answers.ts";
import type { SlotClaim } from "./slots.ts";
import type { ServingState } from "./state.ts";
import type { Opened, ProofWanted, ServeOptions } from "./types.ts";
import { Uploader } from "./upload.ts";

/** A connection closes if its downloader is not accepted, and asks for no file in FT/1, within this time. Milliseconds. */
const FIRST_REQUEST_MS = 10_000;
/** The most unanswered requests. At this number the connection reads no further ones. */
const MOST_WAITING_REQUESTS = 64;
/** A waiting FT/1 downloader asks for its slot again each time this time has passed. Milliseconds. */
const QUEUE_LOOK_MS = 500;

/** One connection of a downloader. */
export class Downloader {
  readonly #channel: Channel;
  readonly #options: ServeOptions;
  readonly #state: ServingState;
  readonly #clock: Clock;
  readonly #host: string;
  readonly #uploader: Uploader;
  readonly #answers: Answers;
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
    this.#answers = new Answers(options, state, {
      channel,
      host: this.#host,
      uploader: this.#uploader,
      isOver: () => this.#over,
      say: (message) => this.#say(message),
    });
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
        return request.profile === 1 ? () => this.#giveWhole(request) : this.#giveContent(request);
      case "TREE":
      case "HAVE":
      case "DATES":
        return this.#giveContent(request);
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

  /** Refuses a downloader that is not accepted. */
  #giveContent(request: ContentRequest): Rest {
    if (this.#claim !== undefined) return this.#answers.begin(request, this.#claim);
    this.#refuse("not-accepted", "Say HELLO with a pass first.");
    return undefined;
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
    await this.#answers.send(found, 0, found.file.size, claim, undefined);
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
