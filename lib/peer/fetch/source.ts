// One holder as a fetching engine sees it: a conversation in FT/2. Requests go out, answers come back in their order.

import { release } from "../../bytes.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { type FromHolder, HASH } from "../../protocol/messages.ts";
import { DownloadInbox } from "../../protocol/read.ts";
import type { FileName } from "../../protocol/record.ts";
import { encodeToHolder } from "../../protocol/write.ts";

/** A stretch of a file, in bytes. */
export interface Range {
  offset: number;
  length: number;
}

export interface SourceEvents {
  /** The hashes of the pieces; undefined when this holder does not know how to give them. */
  tree?(pieces: Uint8Array | undefined): void;
  /** Some of the hashes, or of the bit field, has come. */
  gathered?(): void;
  /** The bit field of what it has; undefined when it does not know how to say. */
  have?(bits: Uint8Array | undefined): void;
  /** Bytes of the range that was asked for first; they are gone when this returns. */
  bytes(at: number, bytes: Uint8Array): void;
  /** All of a range has come. */
  served(range: Range): void;
  /** A range is not given now: this holder's slots are taken. */
  busy(range: Range, position: number): void;
  /** A range is not given now: this holder does not have it yet. */
  lacks(range: Range): void;
  /** It is over, and not by `leave`; `final` when asking again is of no use, `denied` when another pass might be. The reason is a clause. */
  failed(reason: string, final: boolean, denied?: boolean): void;
}

type Asked = { verb: "HELLO" } | { verb: "DOWNLOAD"; range: Range } | { verb: "TREE" | "HAVE"; bytes: number };

/** A conversation about one file: `what` names it by its content id or, without one, by its name. */
export class Source {
  readonly #channel: Channel;
  readonly #what: { root: string } | { name: FileName };
  readonly #size: number;
  readonly #on: SourceEvents;
  readonly #inbox = new DownloadInbox();
  readonly #asked: Asked[] = [];
  /** Raw bytes of the answer under way that have come: their number, or of a TREE or HAVE themselves. */
  #received = 0;
  #gathered = new Uint8Array(0);
  #over = false;

  constructor(channel: Channel, what: { root: string } | { name: FileName }, size: number, on: SourceEvents) {
    this.#channel = channel;
    this.#what = what;
    this.#size = size;
    this.#on = on;
  }

  /** How many requests are without an answer. */
  get pending(): number {
    return this.#asked.length;
  }

  /** Begins the conversation. */
  start(pass: string): void {
    this.#asked.push({ verb: "HELLO" });
    this.#channel.start({
      data: (chunk) => this.#hear(chunk),
      end: () => this.fail("it left", false),
      close: (reason) => this.fail(reason === "" ? "it left" : reason, false),
    });
    this.#channel.send(encodeToHolder({ verb: "HELLO", pass }));
  }

  /** Asks for the hashes of all `count` pieces of this size. */
  askTree(root: string, piece: number, count: number): void {
    this.#asked.push({ verb: "TREE", bytes: count * HASH });
    this.#channel.send(encodeToHolder({ verb: "TREE", root, piece }));
  }

  /** Asks which of the file's `count` pieces it has. */
  askHave(root: string, count: number): void {
    this.#asked.push({ verb: "HAVE", bytes: Math.ceil(count / 8) });
    this.#channel.send(encodeToHolder({ verb: "HAVE", root }));
  }

  ask(range: Range): void {
    this.#asked.push({ verb: "DOWNLOAD", range });
    this.#channel.send(encodeToHolder({ verb: "DOWNLOAD", profile: 2, ...this.#what, ...range }));
  }

  /** Lets it send, or not. */
  set paused(paused: boolean) {
    if (paused) this.#channel.pause();
    else this.#channel.resume();
  }

  /** Ends the conversation in order, or at once when answers are still under way. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#asked.length > 0) {
      this.#channel.destroy();
      return;
    }
    this.#channel.send(encodeToHolder({ verb: "BYE" }));
    this.#channel.finish();
  }

  /** Gives this holder up. */
  fail(reason: string, final: boolean, denied = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#channel.destroy();
    this.#on.failed(reason, final, denied);
  }

  #hear(chunk: Uint8Array): void {
    this.#inbox.push(chunk);
    try {
      while (!this.#over && this.#hearOne());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fail(`it broke the protocol: ${error.message.replace(/\.$/, "")}`, true);
    }
    if (this.#inbox.waiting === 0) release(chunk);
  }

  /** Takes one thing out of what has arrived; false when there is none. */
  #hearOne(): boolean {
    if (this.#inbox.body > 0) return this.#hearBody();
    const message = this.#inbox.next();
    if (message === undefined) return false;
    const asked = this.#asked[0];
    if (asked === undefined) throw new ProtocolError("unexpected", "it sent more than it was asked for.");
    this.#answer(message, asked);
    return true;
  }

  #answer(message: FromHolder, asked: Asked): void {
    if (message.verb === "NOT FOUND") this.fail("it does not have the file any more", true);
    else if (message.verb === "ERROR") this.#refused(message, asked);
    else if (message.verb === "HI" && asked.verb === "HELLO") this.#asked.shift();
    else if (message.verb === "BUSY" && asked.verb === "DOWNLOAD") {
      this.#asked.shift();
      this.#on.busy(asked.range, message.position);
    } else if (message.verb === "FILE" && asked.verb === "DOWNLOAD") {
      if (message.size !== this.#size) this.fail("its file is another one by now", true);
      else if (message.length !== asked.range.length) this.fail("it sent another length than was asked for", true);
      else this.#begin(message.length);
    } else if (message.verb === "TREE" && asked.verb === "TREE") this.#gather(message.count * HASH, asked.bytes);
    else if (message.verb === "HAVE" && asked.verb === "HAVE") this.#gather(message.length, asked.bytes);
    else throw new ProtocolError("unexpected", `it answered ${asked.verb} with ${message.verb}.`);
  }

  #refused({ code, words }: Extract<FromHolder, { verb: "ERROR" }>, asked: Asked): void {
    if (code === "not-here" && asked.verb === "DOWNLOAD") {
      this.#asked.shift();
      this.#on.lacks(asked.range);
    } else if ((asked.verb === "TREE" || asked.verb === "HAVE") && code !== "not-accepted") {
      this.#asked.shift();
      this.#on[asked.verb === "TREE" ? "tree" : "have"]?.(undefined);
    } else this.fail(`it refused: ${words.replace(/\.$/, "")}`, code === "not-accepted", code === "not-accepted");
  }

  #gather(length: number, expected: number): void {
    if (length !== expected) {
      this.fail("what it says of the file's pieces is of another length than the file's", true);
      return;
    }
    this.#gathered = new Uint8Array(length);
    this.#begin(length);
  }

  #begin(length: number): void {
    this.#received = 0;
    if (length === 0) this.#finishBody();
  }

  #hearBody(): boolean {
    const bytes = this.#inbox.takeBody();
    if (bytes.length === 0) return false;
    const asked = this.#asked[0];
    const at = this.#received;
    this.#received += bytes.length;
    if (asked?.verb === "DOWNLOAD") this.#on.bytes(asked.range.offset + at, bytes);
    else {
      this.#gathered.set(bytes, at);
      this.#on.gathered?.();
    }
    if (this.#inbox.body === 0 && !this.#over) this.#finishBody();
    return true;
  }

  #finishBody(): void {
    const asked = this.#asked.shift();
    if (asked?.verb === "DOWNLOAD") this.#on.served(asked.range);
    else if (asked?.verb === "TREE") this.#on.tree?.(this.#gathered);
    else if (asked?.verb === "HAVE") this.#on.have?.(this.#gathered);
  }
}
