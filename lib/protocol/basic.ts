// Writes and reads every message of FT/1, the basic profile. FT/2 is in write.ts, read.ts and read-transfer.ts. The prose is in messages.ts.
//
// FT/1 has no line ends and no lengths. A message ends at a newline, at the end of the stream, or after a short silence.

import { ProtocolError } from "../error.ts";
import { type Endpoint, parseWhole } from "./address.ts";
import { decodeText, Frame, LINE_LIMIT } from "./lines.ts";
import type { ToHolder, ToTracker } from "./messages.ts";
import { RESULTS_LIMIT } from "./numbers.ts";
import {
  checkFileCount,
  checkNameLength,
  type FileName,
  type FileRecord,
  parseFields,
  parseFileName,
  tupleOf,
  type Unplaced,
} from "./record.ts";

/** A silence of this length ends a message. Milliseconds. */
export const SILENCE_MS = 50;
// ---------------------------------------------------------------- writing

/** Refuses a text that would end a message early: FT/1 has no escapes, so the receiver would read the rest as another message. */
function onOneLine(text: string): string {
  if (!/\p{Cc}/u.test(text)) return text;
  throw new ProtocolError("basic-name", "its name has control characters, which the basic protocol cannot carry");
}

/** Every message of a peer or a tracker, ready to send. */
export const basic = {
  hello: "HELLO",
  hi: "HI",
  bye: "BYE",
  notFound: "NOT FOUND",
  file: "FILE:",
  fileSpaced: "FILE: ",
  /** A peer's list. An old tracker reads it in one piece. */
  records: (records: FileRecord[]): string => records.map(formatBasicRecord).join("\n"),
  /** Throws a clause for a name that cannot be sent. */
  search: (name: FileName): string => `SEARCH: ${onOneLine(name)}`,
  /** `lines` are records without their names, from `formatFoundRecord`. */
  found: (lines: string[]): string => `FOUND: ${lines.join("\n")}\n`,
  /** An old peer looks for a file that has all three. A name may have commas: the last two commas count. Throws a clause, like `search`. */
  download: ({ name, type, size }: Pick<FileRecord, "name" | "type" | "size">): string =>
    onOneLine(`DOWNLOAD:${name},${type},${size}`),
};

/** A record as a peer registers it. The name is not escaped. */
export function formatBasicRecord(record: FileRecord): string {
  return `<${record.name},${record.type},${record.size},${record.date},${record.address},${record.port}>`;
}

/** A record of a `FOUND` answer, with the endpoint of its holder. It has no name. */
export function formatFoundRecord({ type, size, date }: Unplaced, { address, port }: Endpoint): string {
  return `<${type},${size},${date},${address},${port}>`;
}

// ---------------------------------------------------------------- reading records and answers

/** A record as a peer registers it. Its name is not escaped, so it is everything before the last five commas. */
export function parseBasicRecord(text: string): FileRecord {
  const parts = tupleOf(text).split(",");
  const name = parts.slice(0, -5).join(",");
  return parseFields([name, ...parts.slice(-5)]);
}

/** A record of a `FOUND` answer, `<type,size,date,address,port>`. `name` is the name in the search. */
export function parseFoundRecord(text: string, name: FileName): FileRecord {
  return parseFields([name, ...tupleOf(text).split(",")]);
}

/** A whole answer to SEARCH. Records that cannot be read are left out. */
export function parseBasicFound(answer: Uint8Array, name: FileName): FileRecord[] {
  const text = decodeText(answer).trim();
  if (text.startsWith("NOT FOUND")) return [];
  if (!text.startsWith("FOUND:")) throw new ProtocolError("bad-answer", "The tracker's answer is neither FOUND nor NOT FOUND.");
  const tuples = text.slice("FOUND:".length).match(/<[^<>]*>/g) ?? [];
  const records: FileRecord[] = [];
  for (const tuple of tuples.slice(0, RESULTS_LIMIT)) {
    try {
      records.push(parseFoundRecord(tuple, name));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
  return records;
}

/** Reads a holder's answer to a downloader: `FILE:`, then the file until the end of the stream. */
export class BasicDownloadInbox {
  readonly #frame = new Frame();
  #begun = false;

  push(chunk: Uint8Array): void {
    this.#frame.push(chunk);
  }

  /** The file's bytes that are here. Throws when the answer does not begin with `FILE:`. */
  takeBody(): Uint8Array {
    if (!this.#begun) {
      const start = this.#frame.start();
      if (!start.startsWith(basic.file)) {
        if (basic.file.startsWith(start)) return new Uint8Array(0);
        throw new ProtocolError("not-found", "The holder does not give this file.");
      }
      this.#frame.take(basic.file.length);
      this.#begun = true;
    }
    return this.#frame.take(this.#frame.length);
  }

  /** Whether `FILE:` has come. */
  get begun(): boolean {
    return this.#begun;
  }
}

// ---------------------------------------------------------------- reading requests

/** Why the bytes that wait may be a whole message although they have no newline. */
export type MessageEnd = "no" | "silence" | "end";

/** A program that speaks something else is known by its first bytes. Nothing more of it is waited for. */
export function foreignMessage(): ProtocolError {
  return new ProtocolError("unknown-message", "What arrived is no message of this protocol.");
}

const LESS_THAN = 60;
const GREATER_THAN = 62;

/** The next message as text, or undefined. A list of records is whole only after its last `>`. */
export function takeBasicMessage(frame: Frame, ending: MessageEnd, lineLimit = LINE_LIMIT): string | undefined {
  for (;;) {
    const line = frame.lineBytes(lineLimit);
    if (line !== undefined) {
      const text = decodeText(line).trim();
      if (text !== "") return text;
      continue;
    }
    const rest = frame.peek();
    if (rest.length === 0 || ending === "no") return undefined;
    if (ending === "silence" && rest[0] === LESS_THAN && rest[rest.length - 1] !== GREATER_THAN) return undefined;
    const text = decodeText(frame.take(rest.length)).trim();
    return text === "" ? undefined : text;
  }
}

/** A downloader's request to a holder: `DOWNLOAD:name,type,size` or `DOWNLOAD name`. */
export function parseBasicDownload(text: string): ToHolder {
  const request = /^DOWNLOAD(:| )\s*(.*)$/s.exec(text);
  if (request === null) throw foreignMessage();
  const [, mark = "", what = ""] = request;
  if (mark === " ") return { verb: "DOWNLOAD", profile: 1, name: what, spaced: true };
  const parts = what.split(",");
  const size = parseWhole(parts.at(-1) ?? "");
  if (parts.length < 3 || size === undefined) {
    throw new ProtocolError("bad-request", "DOWNLOAD: needs a name, a type and a size.");
  }
  return { verb: "DOWNLOAD", profile: 1, name: parts.slice(0, -2).join(","), size, spaced: false };
}

/** Limits that a tracker's operator may set. The others are the protocol's. */
export interface ReadLimits {
  /** The most files of one peer. */
  files: number;
  /** The longest file name. Bytes. */
  name: number;
  /** The longest line with its end. Bytes. */
  line: number;
  /** Records in an answer, unless the request gives a number. */
  results: number;
  /** The most records in an answer. */
  mostResults: number;
}

/** How a request to a tracker can begin. `<` begins a list of records. */
const OPENINGS = ["<", "SEARCH", "BYE"];

/** Reads the requests of an FT/1 peer to a tracker. It starts before the connection's profile is known. */
export class BasicRequests {
  /** The first line is the HELLO of FT/2. It still waits in the frame, and nothing more of it is read here. */
  isVersion2 = false;
  /** A message of FT/1 has come. */
  begun = false;
  readonly #frame: Frame;
  readonly #limits: ReadLimits;
  #awaitsHello = true;
  #greeted = false;
  readonly #records: FileRecord[] = [];
  #listChanged = false;
  /** A request that came right behind a list. The list goes first. */
  #held: ToTracker | undefined;

  constructor(frame: Frame, limits: ReadLimits) {
    this.#frame = frame;
    this.#limits = limits;
  }

  /** The next message, or undefined. Gives a list when all records that have arrived are whole; later records make it longer. */
  next(ending: MessageEnd): ToTracker | undefined {
    if (this.#held !== undefined) return this.#takeHeld();
    if (this.#awaitsHello) {
      const hello = this.#nextHello(ending);
      if (hello !== undefined || this.#awaitsHello) return hello;
    }
    while (this.#held === undefined) {
      const text = this.#nextText(ending);
      if (text === undefined) break;
      this.begun = true;
      if (text.startsWith("<")) this.#lengthenList(text);
      else this.#held = parseBasicRequest(text);
    }
    const isWhole = this.#frame.length === 0 || ending !== "no" || this.#held !== undefined;
    if (!this.#listChanged || !isWhole) return this.#takeHeld();
    this.#listChanged = false;
    return { verb: "FILES", profile: 1, records: [...this.#records] };
  }

  #takeHeld(): ToTracker | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** HELLO is answered as soon as its five bytes are there and no more follow. It may still become `HELLO FT/2 …`. */
  #nextHello(ending: MessageEnd): ToTracker | undefined {
    const start = this.#frame.start();
    if (!start.startsWith(basic.hello)) {
      this.#awaitsHello = start === "" || (basic.hello.startsWith(start) && ending !== "end");
      return undefined;
    }
    const behind = start.slice(basic.hello.length);
    this.isVersion2 = /^ FT\/2[ \r\n]/.test(behind);
    if (this.isVersion2) return undefined;
    const isOpen = " FT/2".startsWith(behind);
    if (!isOpen) {
      this.#frame.take(basic.hello.length);
      this.#awaitsHello = false;
    }
    const isAsked = !isOpen || behind === "" || (behind === " " && ending !== "no");
    if (!isAsked || this.#greeted) return undefined;
    this.#greeted = true;
    this.begun = true;
    return { verb: "HELLO", profile: 1 };
  }

  #nextText(ending: MessageEnd): string | undefined {
    const start = this.#frame.start().trimStart();
    if (!OPENINGS.some((opening) => start.startsWith(opening) || opening.startsWith(start))) throw foreignMessage();
    // The beginning of a verb is no message, even after a long silence.
    const isHalf = start !== "" && OPENINGS.some((word) => word !== start && word.startsWith(start));
    return isHalf && ending !== "end" ? undefined : takeBasicMessage(this.#frame, ending, this.#limits.line);
  }

  /** Adds records to the list. Throws for the whole list when it gets longer than the limit. */
  #lengthenList(text: string): void {
    for (const tuple of text.split(/(?<=>)\s*(?=<)/)) {
      this.#records.push(checkNameLength(parseBasicRecord(tuple), this.#limits.name));
    }
    this.#listChanged = true;
    checkFileCount(this.#records.length, this.#limits.files);
  }
}

function parseBasicRequest(text: string): ToTracker {
  const search = /^SEARCH(?::|\s)\s*(.*)$/s.exec(text);
  if (search !== null) return { verb: "SEARCH", name: parseFileName(search[1] ?? "") };
  if (text === "BYE") return { verb: "BYE" };
  throw foreignMessage();
}
