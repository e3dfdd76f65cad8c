// Sends requests to a holder on an FT/2 connection, and reads the answers, which come in the same order. It decides nothing.

import { release } from "../../bytes.ts";
import { ProtocolError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { FromHolder } from "../../protocol/messages.ts";
import { HASH } from "../../protocol/numbers.ts";
import { DownloadInbox } from "../../protocol/read-transfer.ts";
import type { FileName } from "../../protocol/record.ts";
import { encodeToHolder } from "../../protocol/write.ts";
import type { ProvablePass } from "./types.ts";

/** A holder's own words are cut to this length. Characters. */
const MOST_WORDS = 200;

/** Longer dates of a folder are not read. Bytes. */
const LONGEST_DATES = 32 * 1024 * 1024;

/** A range of a file, in bytes. */
export interface Range {
  offset: number;
  length: number;
}

export interface SourceEvents {
  /** The hashes of the pieces; undefined when this holder cannot give them. */
  tree?(pieces: Uint8Array | undefined): void;
  /** Some bytes of the hashes, or of the bit field, have come. */
  gathered?(bytes: number): void;
  /** The bit field of its pieces; undefined when this holder cannot give it. */
  have?(bits: Uint8Array | undefined): void;
  /** The dates of a folder's entries, as DATES carries them; undefined when this holder cannot give them. */
  dates?(bytes: Uint8Array | undefined): void;
  /** Bytes of the first unanswered range. They are valid only during the call. */
  bytes(at: number, bytes: Uint8Array): void;
  /** All of a range has come. */
  served(range: Range): void;
  /** A range is not given now: all upload slots of this holder are taken. */
  busy(range: Range, position: number): void;
  /** A range is not given now: this holder does not have it yet. */
  lacks(range: Range): void;
  /**
   * The connection ended, and not by `leave`. The reason is a clause. `final`: asking again is of no use, unless `unless` comes true.
   */
  failed(reason: string, final: boolean, unless?: Unless): void;
}

/** `new-pass`: the pass was refused, and another one may be accepted. `back`: the file is gone, and may soon come back. */
type Unless = "new-pass" | "back";

/** A request without an answer. */
type AskedOfHolder =
  | { verb: "HELLO" }
  | { verb: "DOWNLOAD"; range: Range }
  | { verb: "TREE" | "HAVE"; bytes: number }
  | { verb: "DATES" };

/** The file that a connection is about: by its content id, by its name, or the bytes of a folder by the content id of its list. */
export type Asked = { root: string } | { name: FileName } | { folder: string };

/** A connection about one file, or one folder. */
export class Source {
  readonly #channel: Channel;
  readonly #what: Asked;
  readonly #size: number;
  readonly #on: SourceEvents;
  readonly #inbox = new DownloadInbox();
  readonly #asked: AskedOfHolder[] = [];
  /** The bytes of the current answer that have come. */
  #received = 0;
  /** The bytes of a TREE or HAVE that is arriving. */
  #gathered = new Uint8Array(0);
  /** The keyed pass that was shown, and the holder's endpoint in its record. */
  #shown: { keyed: ProvablePass; at: Endpoint } | undefined;
  #over = false;

  constructor(channel: Channel, what: Asked, size: number, on: SourceEvents) {
    this.#channel = channel;
    this.#what = what;
    this.#size = size;
    this.#on = on;
  }

  /** How many requests are without an answer. */
  get pending(): number {
    return this.#asked.length;
  }

  /** Says HELLO to the holder whose record has the address and port `at`. */
  start(pass: string, at?: Endpoint, keyed?: ProvablePass): void {
    if (at !== undefined && keyed !== undefined) this.#shown = { keyed, at };
    this.#asked.push({ verb: "HELLO" });
    this.#channel.start({
      data: (chunk) => this.#hear(chunk),
      end: () => this.fail("it disconnected", false),
      close: (reason) => this.fail(reason === "" ? "it disconnected" : reason, false),
    });
    this.#channel.send(encodeToHolder({ verb: "HELLO", pass, keyed: keyed?.text }));
  }

  /** Asks for the hashes of all `count` pieces; those of a file have this size. */
  askTree(piece: number, count: number): void {
    if ("name" in this.#what) return;
    this.#asked.push({ verb: "TREE", bytes: count * HASH });
    this.#channel.send(encodeToHolder({ verb: "TREE", ...this.#what, piece }));
  }

  /** Asks which of the `count` pieces it has. */
  askHave(count: number): void {
    if ("name" in this.#what) return;
    this.#asked.push({ verb: "HAVE", bytes: Math.ceil(count / 8) });
    this.#channel.send(encodeToHolder({ verb: "HAVE", ...this.#what }));
  }

  /** Asks for the dates of a folder's entries. */
  askDates(): void {
    if (!("folder" in this.#what)) return;
    this.#asked.push({ verb: "DATES" });
    this.#channel.send(encodeToHolder({ verb: "DATES", ...this.#what }));
  }

  ask(range: Range): void {
    this.#asked.push({ verb: "DOWNLOAD", range });
    this.#channel.send(encodeToHolder({ verb: "DOWNLOAD", profile: 2, ...this.#what, ...range }));
  }

  /** Stops reading from the holder, or goes on. */
  set paused(paused: boolean) {
    if (paused) this.#channel.pause();
    else this.#channel.resume();
  }

  /** Ends the connection with BYE, or at once when answers are still under way. */
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

  /** Ends the connection, and reports it as failed. */
  fail(reason: string, final: boolean, unless?: Unless): void {
    if (this.#over) return;
    this.#over = true;
    this.#channel.destroy();
    this.#on.failed(reason, final, unless);
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

  /** Reads one answer, or some bytes of it; false when more has to arrive first. */
  #hearOne(): boolean {
    if (this.#inbox.body > 0) return this.#hearBody();
    const message = this.#inbox.next();
    if (message === undefined) return false;
    const asked = this.#asked[0];
    if (asked === undefined) throw new ProtocolError("unexpected", "it sent more than it was asked for.");
    this.#answer(message, asked);
    return true;
  }

  #answer(message: FromHolder, asked: AskedOfHolder): void {
    if (message.verb === "NOT FOUND") this.fail("it does not have the file any more", true, "back");
    else if (message.verb === "ERROR") this.#refused(message, asked);
    else if (message.verb === "HI" && asked.verb === "HELLO") this.#asked.shift();
    else if (message.verb === "PROVE" && asked.verb === "HELLO" && this.#shown !== undefined)
      this.#prove(message.nonce, this.#shown);
    else if (message.verb === "BUSY" && asked.verb === "DOWNLOAD") {
      this.#asked.shift();
      this.#on.busy(asked.range, message.position);
    } else if (message.verb === "FILE" && asked.verb === "DOWNLOAD") {
      if (message.size !== this.#size) this.fail("its copy has changed", true);
      else if (message.length !== asked.range.length) this.fail("it sent another length than was asked for", true);
      else this.#begin(message.length);
    } else if (message.verb === "TREE" && asked.verb === "TREE") this.#gather(message.count * HASH, asked.bytes);
    else if (message.verb === "HAVE" && asked.verb === "HAVE") this.#gather(message.length, asked.bytes);
    else if (message.verb === "DATES" && asked.verb === "DATES")
      this.#gather(message.length, Math.min(message.length, LONGEST_DATES));
    else throw new ProtocolError("unexpected", `it answered ${asked.verb} with ${message.verb}.`);
  }

  /** The holder sees another address than the tracker: this peer proves that the keyed pass is its own, once. */
  #prove(nonce: string, { keyed, at }: { keyed: ProvablePass; at: Endpoint }): void {
    this.#shown = undefined;
    const proof = keyed.prove(nonce, at);
    if (proof === undefined) throw new ProtocolError("bad-nonce", "its PROVE has no nonce.");
    this.#channel.send(encodeToHolder({ verb: "PROOF", address: at.address, port: at.port, proof }));
  }

  #refused({ code, words }: Extract<FromHolder, { verb: "ERROR" }>, asked: AskedOfHolder): void {
    if (code === "not-here" && asked.verb === "DOWNLOAD") {
      this.#asked.shift();
      this.#on.lacks(asked.range);
    } else if ((asked.verb === "TREE" || asked.verb === "HAVE" || asked.verb === "DATES") && code !== "not-accepted") {
      this.#asked.shift();
      this.#on[({ TREE: "tree", HAVE: "have", DATES: "dates" } as const)[asked.verb]]?.(undefined);
    } else {
      const denied = code === "not-accepted";
      // A reason is printed in a sentence, and kept for each holder.
      const reason = words.slice(0, MOST_WORDS).replace(/\.$/, "");
      this.fail(`it refused: ${reason}`, denied, denied ? "new-pass" : undefined);
    }
  }

  #gather(length: number, expected: number): void {
    if (length !== expected) {
      this.fail("its list of pieces has another length than the file needs", true);
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
      this.#on.gathered?.(bytes.length);
    }
    if (this.#inbox.body === 0 && !this.#over) this.#finishBody();
    return true;
  }

  #finishBody(): void {
    const asked = this.#asked.shift();
    if (asked?.verb === "DOWNLOAD") this.#on.served(asked.range);
    else if (asked?.verb === "TREE") this.#on.tree?.(this.#gathered);
    else if (asked?.verb === "HAVE") this.#on.have?.(this.#gathered);
    else if (asked?.verb === "DATES") this.#on.dates?.(this.#gathered);
  }
}
