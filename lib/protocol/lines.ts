// Cuts a stream of bytes into lines and counted raw bytes. It knows neither messages nor sockets.

import { concatBytes } from "../bytes.ts";
import { ProtocolError } from "../error.ts";
import type { RecentLines } from "./recent.ts";

/** The longest line, with its end. Bytes. */
export const LINE_LIMIT = 4096;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
/** The longest start by which a message is recognised: `HELLO FT/2` with its CR LF. Bytes. */
const START_LENGTH = 12;
const LF = 10;
const CR = 13;
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/** Bytes as text. Throws when they are not UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return text.decode(bytes);
  } catch {
    throw new ProtocolError("bad-encoding", "What arrived is not UTF-8 text.");
  }
}

/** Received bytes that are not used yet. `push` copies a chunk only when bytes of earlier chunks are left. */
export class Frame {
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  /** Where the search for a line end goes on, so that a line that arrives byte by byte is not searched again and again. */
  #searched = 0;

  /** Takes in bytes that arrived. */
  push(chunk: Uint8Array): void {
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

  /** Takes up to `count` of the bytes that wait. */
  take(count: number): Uint8Array {
    const end = Math.min(this.#bytes.length, this.#start + count);
    const taken = this.#bytes.subarray(this.#start, end);
    this.#skipTo(end);
    return taken;
  }

  /** The next whole line, without its LF or CR LF, or undefined while it is incomplete. Throws when it is over the limit. */
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

  /** The next whole line as text. A control character in it breaks the grammar. */
  line(limit = LINE_LIMIT): string | undefined {
    const bytes = this.lineBytes(limit);
    if (bytes === undefined) return undefined;
    const line = decodeText(bytes);
    if (CONTROL.test(line)) throw new ProtocolError("bad-line", "A line has a control character in it.");
    return line;
  }

  #skipTo(start: number): void {
    this.#start = start;
    if (start === this.#bytes.length) {
      this.#bytes = EMPTY;
      this.#start = 0;
    }
    this.#searched = this.#start;
  }
}
