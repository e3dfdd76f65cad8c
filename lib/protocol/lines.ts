// Cuts a stream of bytes into lines and counted raw bytes. Knows no message and no socket.

import { concatBytes } from "../bytes.ts";
import { ProtocolError } from "../error.ts";
import type { RecentLines } from "./recent.ts";

/** A line with its end, in bytes. */
export const LINE_LIMIT = 4096;

/** A control character that ends no line. */
const CONTROL = /[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]|\r(?!\n)/;

/** The longest start by which a message is recognised: `HELLO FT/2` with its CR LF. Bytes. */
const START_LENGTH = 12;

const LF = 10;

const CR = 13;

const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const EMPTY = new Uint8Array(0);

/** Bytes as UTF-8 text; what is not UTF-8 is refused. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return text.decode(bytes);
  } catch {
    throw new ProtocolError("bad-encoding", "What arrived is not UTF-8 text.");
  }
}

/** Received bytes that are not used yet. A chunk given to `push` is kept, not copied, when nothing was left of the ones before. */
export class Frame {
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  /** Where the search for a line end goes on, so that a line that arrives byte by byte is searched once. */
  #searched = 0;
  /** What waits as text, if it is short and ASCII, so that a character is a byte; and where it begins. */
  #text: string | undefined;
  #textTried = false;
  #clean = false;

  /** Takes in what arrived. */
  push(chunk: Uint8Array): void {
    this.#text = undefined;
    this.#textTried = false;
    const left = this.#bytes.length - this.#start;
    if (left === 0) {
      this.#bytes = chunk;
      this.#searched = 0;
    } else {
      this.#bytes = concatBytes([this.peek(), chunk]);
      this.#searched = Math.max(0, this.#searched - this.#start);
    }
    this.#start = 0;
  }

  /** How many bytes wait. */
  get length(): number {
    return this.#bytes.length - this.#start;
  }

  /** All bytes that wait, without using them. */
  peek(): Uint8Array {
    return this.#bytes.subarray(this.#start);
  }

  /** The first bytes that wait, one character a byte: enough to recognise a message by. */
  start(): string {
    return String.fromCharCode(...this.peek().subarray(0, START_LENGTH));
  }

  /** Uses up to `count` of the bytes that wait; empty if none do. */
  take(count: number): Uint8Array {
    const end = Math.min(this.#bytes.length, this.#start + count);
    const taken = this.#bytes.subarray(this.#start, end);
    this.#skipTo(end);
    return taken;
  }

  /** The next whole line, without its LF or CR LF, as bytes; undefined while it is incomplete. Throws when it is over the limit. */
  lineBytes(limit = LINE_LIMIT): Uint8Array | undefined {
    const end = this.#bytes.indexOf(LF, Math.max(this.#searched, this.#start));
    const length = (end < 0 ? this.#bytes.length : end + 1) - this.#start;
    if (length > limit || (end < 0 && length === limit)) {
      throw new ProtocolError("line-too-long", `A line is longer than ${limit} bytes.`);
    }
    if (end < 0) {
      this.#searched = this.#bytes.length;
      return undefined;
    }
    const line = this.take(length);
    const cut = line.length > 1 && line[line.length - 2] === CR ? 2 : 1;
    return line.subarray(0, line.length - cut);
  }

  /** What the next line means if `lines` knows it, which uses the line up. */
  recent<Meaning>(lines: RecentLines<Meaning>): Meaning | undefined {
    const meaning = lines.find(this.#bytes, this.#start);
    if (meaning !== undefined) this.#skipTo(this.#start + lines.length);
    return meaning;
  }

  /** Decodes what waits at once, if that is short and plain: a character is a byte then. */
  #mirror(): void {
    this.#textTried = true;
    if (this.#bytes.length > LINE_LIMIT) return;
    try {
      const all = text.decode(this.#bytes);
      if (all.length !== this.#bytes.length) return;
      this.#text = all;
      this.#clean = !CONTROL.test(all);
    } catch {
      // Line by line it is found where it is wrong.
    }
  }

  /** The next whole line as text; one with a control character in it is refused. */
  line(limit = LINE_LIMIT): string | undefined {
    if (this.#start === this.#bytes.length) return undefined;
    const mirrored = this.#mirroredLine(limit);
    // What waits was looked at in one go.
    if (mirrored !== undefined && this.#clean) return mirrored;
    const line = mirrored ?? this.#decodedLine(limit);
    if (line !== undefined && /[\u0000-\u001f\u007f-\u009f]/.test(line)) {
      throw new ProtocolError("bad-line", "A line has a control character in it.");
    }
    return line;
  }

  #decodedLine(limit: number): string | undefined {
    const bytes = this.lineBytes(limit);
    return bytes === undefined ? undefined : decodeText(bytes);
  }

  #mirroredLine(limit: number): string | undefined {
    if (!this.#textTried) this.#mirror();
    const all = this.#text;
    if (all === undefined) return undefined;
    const end = all.indexOf("\n", this.#start);
    if (end < 0 || end + 1 - this.#start > limit) return undefined;
    const cut = all.charCodeAt(end - 1) === CR && end > this.#start ? 1 : 0;
    const line = all.slice(this.#start, end - cut);
    this.#skipTo(end + 1);
    return line;
  }

  #skipTo(start: number): void {
    this.#start = start;
    if (start === this.#bytes.length) {
      this.#bytes = EMPTY;
      this.#start = 0;
      this.#text = undefined;
    }
    this.#searched = this.#start;
  }
}
