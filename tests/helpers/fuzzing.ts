// Seeded rubbish, half-valid bytes and bad luck for everything that reads strangers' bytes, and what must hold whatever they are.

import { ProtocolError } from "../../lib/error.ts";
import { parseAddress, parsePort } from "../../lib/protocol/address.ts";
import { BasicDownloadInbox, parseBasicFound } from "../../lib/protocol/basic.ts";
import { LINE_LIMIT } from "../../lib/protocol/lines.ts";
import type { FromHolder, FromTracker, ToHolder, ToTracker } from "../../lib/protocol/messages.ts";
import { SessionInbox, TrackerInbox } from "../../lib/protocol/read.ts";
import { DownloadInbox, HolderInbox } from "../../lib/protocol/read-transfer.ts";
import { type FileRecord, formatRecord, parseFileName, parseRecord } from "../../lib/protocol/record.ts";
import { LIMITS } from "../../lib/tracker/limits.ts";

const MAX_FILES = 5;
const utf8 = new TextEncoder();

/** Small, fast and the same everywhere (mulberry32): a whole number from 0 to `below` − 1. */
export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export function pick<T>(random: Random, list: readonly T[]): T {
  const one = list[random(list.length)];
  if (one === undefined) throw new Error("There is nothing to pick from.");
  return one;
}

// ---------------------------------------------------------------- what is said

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const RECORD = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05Z;root=${ROOT}>`;
const SMALL = "<a%2Cb%25 ü.txt,data,0,01/01/00,fe80::1,1>";
const BASIC = "<my notes.txt,text/plain,120,01/02/25,192.168.1.17,1235>";
const PEER = "id=k3J_x address=10.0.0.7 port=40123 files=2 bytes=48333 agent=ft%20x since=2026-11-22T10:04:05Z";

/** Valid messages; the first one opens a connection. */
type Corpus = readonly string[];

export const TO_TRACKER: Corpus = [
  "HELLO FT/2 agent=ft-peer/1.0.0 extras=1 session=k3J_x.eyJ\n",
  `FILES 2 port=40123\n${RECORD}\n${SMALL}\n`,
  `FILES 1 port=1\r\n${SMALL}\r\n`,
  "FILES 0 port=5\n",
  `ADD ${RECORD}\n`,
  "DROP a%2Cb.txt\n",
  "SEARCH: report.pdf\n",
  "LIST id=k3J_x offset=0 limit=200\n",
  "FIND repo* -draft ext=pdf,txt type=text/ min=1 max=9007199254740991 after=2026-01-01 offset=0 limit=5\n",
  `FIND r%C3%A9port root=${ROOT} group=1\n`,
  "WHO\n",
  "KNOWN ::ffff:10.0.0.7\n",
  "CONNECT address=10.0.0.7 port=40123 token=k3J-x_\n",
  "PING\n",
  "BYE\n",
  "HELLO",
  `${BASIC}\n${BASIC}\n`,
  BASIC,
  "SEARCH: my notes.txt",
  "SEARCH x",
  "BYE",
];

const FROM_TRACKER: Corpus = [
  "HI FT/2 name=Lab%203 max=5 key=11qYAYKxCrfVS_7 you=192.168.1.17\n",
  "WELCOME id=k3J_x pass=eyJ.abc peers=14 files=52\n",
  "WELCOME id=k3J_x pass=eyJ.abc peers=14 files=52 session=k3J_x.eyJ\n",
  "OK\n",
  `FOUND: 2\n${RECORD}\n${SMALL}\n`,
  `FOUND: 1 total=3\n${SMALL.slice(0, -1)};holders=3;reach=no>\n`,
  "FOUND: 0\n",
  "NOT FOUND\n",
  `PEERS: 2\n${PEER}\n${PEER} reach=no\n`,
  "YES\n",
  "PONG\r\n",
  "BYE\n",
  "ERROR last-file The last file%2C stays.\n",
  "NOTICE The tracker stops.\n",
  "REACH yes\n",
  "REACH no reason=no%20answer\n",
  "CONNECT address=10.0.0.7 port=40123 token=k3J-x_\n",
];

const TO_HOLDER: Corpus = [
  "HELLO FT/2 pass=eyJ.abc token=k3J-x_\n",
  `DOWNLOAD root=${ROOT} offset=0 length=4194304\n`,
  "DOWNLOAD name=a%2Cb%20.txt offset=5\n",
  `TREE root=${ROOT} piece=65536\n`,
  `HAVE root=${ROOT}\n`,
  "BYE\n",
  "DOWNLOAD:my notes.txt,text/plain,120",
  "DOWNLOAD my notes.txt\n",
];

const FROM_HOLDER: Corpus = [
  "HI FT/2\n",
  "FILE: length=12 size=48213\nPING\nBYE\r\n\0\n",
  "FILE: length=0 size=0\n",
  "BUSY position=3\n",
  `TREE: 2\n${"\n".repeat(64)}`,
  "HAVE: 3\n\0>\n",
  "NOT FOUND\n",
  "ERROR not-accepted Your pass has expired.\n",
];

const BASIC_ANSWERS: Corpus = ["FILE:", "FILE: some bytes\n", "FILE:\0\xff", "NOT FOUND"];
const BASIC_FOUND: Corpus = [
  "FOUND: <data,0,31/12/99,10.0.0.1,5>\n<text/plain,7,31/12/99,10.0.0.2,6>\n",
  "NOT FOUND",
  "FOUND: ",
];

/** What parsers trip over. */
const TOKENS: Corpus = [
  ...["\0", "\n", "\r\n", "\r", " ", "  ", ",", ";", "<", ">", "%", "%0", "%zz", "%00", "%C3", "%ED%A0%80", "=", ":", "-", "+"],
  ...[
    "0",
    "-1",
    "1.5",
    "1e9",
    "007",
    "9007199254740992",
    "9".repeat(40),
    "NaN",
    "__proto__",
    "constructor",
    "__proto__=1",
    "=x",
  ],
  ...[
    "::",
    "::ffff:1.2.3.4",
    "fe80::1",
    "255.255.255.255",
    "localhost",
    "FT/2",
    "HELLO",
    " FT/2",
    " FT/2 ",
    "HI",
    "FILE:",
    "BYE",
  ],
  ...[
    "\x1b[2J",
    "\u202e",
    "\ufeff",
    "\u0301",
    "漢",
    "😀",
    "x".repeat(300),
    " ".repeat(300),
    "GET / HTTP/1.1\r\n",
    "SSH-2.0-x\r\n",
  ],
];

/** Bytes that no encoder makes: overlong, cut, half of a pair, beyond Unicode. */
const BROKEN_TEXT = [
  [0xff],
  [0xc0, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xe2, 0x82],
  [0xf5, 0x80, 0x80, 0x80],
  [0x16, 0x03, 0x01],
] as const;

/** One input: valid messages, damaged a little or not at all; or noise; now and then with far too much of something. */
export function inputOf(random: Random, corpus: Corpus): Uint8Array {
  if (random(10) === 0) return Uint8Array.from({ length: random(200) }, () => random(256));
  let text = random(2) === 0 ? (corpus[0] ?? "") : "";
  for (let count = 1 + random(5); count > 0; count--) text += pick(random, corpus);
  let bytes = utf8.encode(text);
  for (let damage = random(4); damage > 0; damage--) {
    const at = random(bytes.length + 1);
    const until = Math.min(bytes.length, at + random(12));
    switch (random(8)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
        break;
      case 1:
        bytes = joined(bytes.subarray(0, at), bytes.subarray(until));
        break;
      case 2:
        bytes = joined(bytes.subarray(0, until), bytes.subarray(at));
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4:
        bytes = joined(bytes.subarray(0, at), Uint8Array.from(pick(random, BROKEN_TEXT)), bytes.subarray(at));
        break;
      case 5:
        bytes = joined(bytes.subarray(0, at), utf8.encode(pick(random, corpus)), bytes.subarray(at));
        break;
      default:
        bytes = joined(bytes.subarray(0, at), utf8.encode(pick(random, TOKENS)), bytes.subarray(at));
    }
  }
  if (random(100) === 0) {
    const at = random(2) === 0 ? 0 : random(bytes.length + 1);
    const much = new Uint8Array(random(4 * LINE_LIMIT)).fill(pick(random, [32, 10, 60, 65, 37, 0, 0xe2]));
    bytes = joined(bytes.subarray(0, at), much, bytes.subarray(at));
  }
  return bytes;
}

export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The input in one to nine pieces, most of them small. */
export function piecesOf(random: Random, bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let cuts = random(9); cuts > 0 && at < bytes.length; cuts--) {
    const until = at + random(random(3) === 0 ? bytes.length - at + 1 : 12);
    pieces.push(bytes.subarray(at, until));
    at = until;
  }
  pieces.push(bytes.subarray(at));
  return pieces;
}

// ---------------------------------------------------------------- what must hold

type Said = ToTracker | FromTracker | ToHolder | FromHolder | { verb: "BODY"; bytes: Uint8Array };

interface Reader {
  push(chunk: Uint8Array): void;
  silence(): void;
  end(): void;
  next(): Said | undefined;
  readonly waiting: number;
}

/** Everything a run says, in a form that can be compared; a refusal is the last of it. */
interface Heard {
  said: string[];
  refused: string;
}

/**
 * Pushes the pieces and reads after each. Whatever they are: messages or one ProtocolError and nothing else, in a bounded number
 * of steps, with no more kept than one line.
 */
function hear(reader: Reader, pieces: Uint8Array[], random?: Random): Heard {
  const heard: Heard = { said: [], refused: "" };
  let pushed = 0;
  let steps = 0;
  let body = 0;
  const readAll = () => {
    for (;;) {
      // A message needs a byte; besides that there is the one HELLO, the one list, and the answer that there is no more.
      if (++steps > 2 * pushed + 16) throw new Error("The reader goes on and on.");
      const message = reader.next();
      if (message === undefined) break;
      if (message.verb === "BODY") body += message.bytes.length;
      checkMessage(message);
      heard.said.push(JSON.stringify(message));
    }
    if (body > pushed) throw new Error("There is more of a body than arrived.");
    if (reader.waiting > LINE_LIMIT) throw new Error(`${reader.waiting} bytes are kept.`);
  };
  try {
    for (const piece of pieces) {
      reader.push(piece);
      pushed += piece.length;
      readAll();
      steps = 0;
      if (random?.(4) === 0) {
        reader.silence();
        readAll();
        steps = 0;
      }
    }
    const last = random?.(3);
    if (last === 1) reader.silence();
    if (last === 2) reader.end();
    readAll();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (!/^[a-z]+(?:-[a-z]+)*$/.test(error.code) || !/^[^\u0000-\u001f\u007f-\u009f]+\.$/.test(error.message)) {
      throw new Error(`The refusal is no code and sentence: ${JSON.stringify([error.code, error.message])}`);
    }
    heard.refused = error.code;
  }
  return heard;
}

/** Behind the door nobody checks again, so what comes through it must be right. */
function checkMessage(message: Said): void {
  for (const [key, value] of Object.entries(message)) {
    if (typeof value === "number" && (!Number.isSafeInteger(value) || value < 0)) throw new Error(`${key} is ${value}.`);
    if (typeof value === "string" && !value.isWellFormed()) throw new Error(`${key} is half a character.`);
  }
  if ("name" in message && message.name !== undefined && message.verb !== "HI") parseFileName(message.name);
  if ("record" in message) checkRecord(message.record);
  if (message.verb === "CONNECT") {
    const { address, port, token } = message;
    if (!/^[\w-]{1,64}$/.test(token)) throw new Error(`The token ${token} would be said to somebody else.`);
    if (parseAddress(address) !== address || parsePort(String(port)) !== port) throw new Error("Nobody can connect there.");
  }
  if ("records" in message) for (const record of message.records) checkRecord(record);
  if (message.verb === "FILES" && message.records.length > MAX_FILES) throw new Error("There are too many files.");
}

/** A record that was read can be written, and is then the same. */
function checkRecord(record: FileRecord): void {
  const again = parseRecord(formatRecord(record));
  if (JSON.stringify(sorted(again)) !== JSON.stringify(sorted(record))) throw new Error(`${record.name} does not come back.`);
}

function sorted(record: FileRecord): [string, unknown][] {
  return Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}

function downloadReader(random: Random): Reader {
  const inbox = new DownloadInbox();
  return {
    push: (chunk) => inbox.push(chunk),
    silence: () => inbox.silence(),
    end: () => inbox.end(),
    next: () => {
      // Asking twice, or in the wrong order, gives nothing wrong.
      if (random(8) === 0 && inbox.body === 0 && inbox.takeBody().length > 0) throw new Error("A body comes unannounced.");
      const message = inbox.next();
      if (message !== undefined) return message;
      const bytes = inbox.takeBody();
      return bytes.length === 0 ? undefined : { verb: "BODY", bytes };
    },
    get waiting() {
      return inbox.waiting;
    },
  };
}

function basicDownloadReader(): Reader {
  const inbox = new BasicDownloadInbox();
  return {
    push: (chunk) => inbox.push(chunk),
    silence: () => undefined,
    end: () => undefined,
    next: () => {
      const bytes = inbox.takeBody();
      return bytes.length === 0 ? undefined : { verb: "BODY", bytes };
    },
    waiting: 0,
  };
}

// ---------------------------------------------------------------- trials

/** One property of one reader: what is tried, and its part of all inputs. */
interface Trial {
  what: string;
  /** Tells its inputs from those of the others. */
  kind: number;
  share: number;
  /** Messages, and refusals, in a hundred inputs at least: inputs that are all refused, or all fine, would try nothing. */
  leastSaid: number;
  leastRefused: number;
  /** Runs one input. Throws what does not hold; gives how many messages it was and whether it was refused. */
  run(random: Random): { said: number; refused: boolean };
}

function listening(what: string, kind: number, share: number, corpus: Corpus, make: (random: Random) => Reader): Trial {
  return {
    what: `${what}: messages or one refusal, and nothing is kept`,
    kind,
    share,
    leastSaid: 20,
    leastRefused: 10,
    run: (random) => {
      const bytes = inputOf(random, corpus);
      const { said, refused } = hear(make(random), piecesOf(random, bytes), random);
      return { said: said.length, refused: refused !== "" };
    },
  };
}

function cutting(what: string, kind: number, corpus: Corpus, greeting: string, make: () => Reader): Trial {
  // The greeting goes ahead whole: cut, it may be answered early, which has tests of its own.
  const hello = utf8.encode(greeting);
  return {
    what: `${what}: FT/2 comes to the same however it is cut`,
    kind,
    share: 0.02,
    leastSaid: 20,
    leastRefused: 10,
    run: (random) => {
      const bytes = inputOf(random, corpus);
      const whole = hear(make(), [joined(hello, bytes)]);
      const cut = hear(make(), [hello, ...piecesOf(random, bytes)]);
      if (JSON.stringify(cut) !== JSON.stringify(whole)) {
        throw new Error(`Whole: ${JSON.stringify(whole)}; cut: ${JSON.stringify(cut)}`);
      }
      return { said: whole.said.length, refused: whole.refused !== "" };
    },
  };
}

const NAME = parseFileName("a.txt");

function basicAnswer(random: Random): { said: number; refused: boolean } {
  try {
    const found = parseBasicFound(inputOf(random, BASIC_FOUND), NAME);
    for (const record of found) checkRecord(record);
    return { said: found.length, refused: false };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { said: 0, refused: true };
  }
}

export const TRIALS: readonly Trial[] = [
  listening("peer → tracker", 1, 0.3, TO_TRACKER, () => new TrackerInbox(LIMITS)),
  listening("tracker → peer", 2, 0.2, FROM_TRACKER, () => new SessionInbox()),
  listening("downloader → holder", 3, 0.2, TO_HOLDER, () => new HolderInbox()),
  listening("holder → downloader", 4, 0.14, FROM_HOLDER, downloadReader),
  listening("holder → downloader, FT/1", 5, 0.05, BASIC_ANSWERS, basicDownloadReader),
  { what: "tracker → peer, FT/1", kind: 6, share: 0.05, leastSaid: 20, leastRefused: 10, run: basicAnswer },
  cutting("peer → tracker", 7, TO_TRACKER, TO_TRACKER[0] ?? "", () => new TrackerInbox(LIMITS)),
  cutting("tracker → peer", 8, FROM_TRACKER, "", () => new SessionInbox()),
  cutting("downloader → holder", 9, TO_HOLDER, TO_HOLDER[0] ?? "", () => new HolderInbox()),
];

/** Runs a trial's part of so many inputs; gives how many it was. Throws the seed and the run of the first that fails. */
export function runTrial(trial: Trial, seed: number, inputs: number): { runs: number; said: number; refused: number } {
  const runs = Math.ceil(inputs * trial.share);
  let said = 0;
  let refused = 0;
  for (let i = 0; i < runs; i++) {
    try {
      const heard = trial.run(randomOf(Math.imul(seed + trial.kind, 0x9e3779b1) + i));
      said += heard.said;
      if (heard.refused) refused += 1;
    } catch (error) {
      const why = error instanceof Error ? error.message : error;
      throw new Error(`${trial.what}: FT_FUZZ_SEED=${seed}, run ${i}: ${why}`, { cause: error });
    }
  }
  if (said < (runs * trial.leastSaid) / 100 || refused < (runs * trial.leastRefused) / 100) {
    throw new Error(
      `${trial.what}: FT_FUZZ_SEED=${seed}: ${said} messages and ${refused} refusals in ${runs} runs try too little.`,
    );
  }
  return { runs, said, refused };
}
