import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/error.ts";
import { forOldTracker } from "../../lib/peer/online/basic-tracker.ts";
import { type Address, parseAddress } from "../../lib/protocol/address.ts";
import { BasicDownloadInbox, basic, formatFoundRecord, parseBasicFound } from "../../lib/protocol/basic.ts";
import { LINE_LIMIT } from "../../lib/protocol/lines.ts";
import type { FromHolder, FromTracker, ToHolder, ToTracker } from "../../lib/protocol/messages.ts";
import { SessionInbox, TrackerInbox } from "../../lib/protocol/read.ts";
import { DownloadInbox, HolderInbox } from "../../lib/protocol/read-transfer.ts";
import { type FileName, type FileRecord, formatRecord, parseFileName } from "../../lib/protocol/record.ts";
import { encodeFromHolder, encodeFromTracker, encodeToHolder, encodeToTracker } from "../../lib/protocol/write.ts";
import { byteLength } from "../../lib/text.ts";
import { LIMITS } from "../../lib/tracker/limits.ts";

/** Fixed, so that a run can be repeated; what is looked for does not depend on luck. */
const SEED = 20_261_122;
const utf8 = new TextEncoder();

// ---------------------------------------------------------------- how the tests read

type Body = { verb: "BODY"; hex: string };
type Said = ToTracker | FromTracker | ToHolder | FromHolder | Body;

interface Reader {
  push(chunk: Uint8Array): void;
  silence(): void;
  end(): void;
  next(): Said | undefined;
}

/** Raw bytes as messages between the others. */
function downloadReader(): Reader {
  const inbox = new DownloadInbox();
  return {
    push: (chunk) => inbox.push(chunk),
    silence: () => inbox.silence(),
    end: () => inbox.end(),
    next: () => inbox.next() ?? bodyOf(inbox.takeBody()),
  };
}

function basicDownloadReader(): Reader {
  const inbox = new BasicDownloadInbox();
  return {
    push: (chunk) => inbox.push(chunk),
    silence: () => undefined,
    end: () => undefined,
    next: () => bodyOf(inbox.takeBody()),
  };
}

function bodyOf(bytes: Uint8Array): Body | undefined {
  return bytes.length === 0 ? undefined : { verb: "BODY", hex: bytes.toHex() };
}

const trackerReader = (): Reader => new TrackerInbox(LIMITS);
const sessionReader = (): Reader => new SessionInbox();
const holderReader = (): Reader => new HolderInbox();

/** Why no more bytes come: none (they are on their way), nothing for 50 ms, or never any more. */
type Last = "" | "silence" | "end";

function drain(reader: Reader): Said[] {
  const messages: Said[] = [];
  for (let message = reader.next(); message !== undefined; message = reader.next()) {
    messages.push(message);
    if (messages.length > 10_000) throw new Error("The reader never comes to an end.");
  }
  return messages;
}

function read(make: () => Reader, chunks: (string | Uint8Array)[], last: Last = ""): Said[] {
  const reader = make();
  const messages: Said[] = [];
  for (const chunk of chunks) {
    reader.push(typeof chunk === "string" ? utf8.encode(chunk) : chunk);
    messages.push(...drain(reader));
  }
  if (last === "silence") reader.silence();
  if (last === "end") reader.end();
  messages.push(...drain(reader));
  return messages;
}

/**
 * What the messages come to. Three things may come in more than one step, because nobody can know yet that more follows: the
 * answer to a bare HELLO that becomes an FT/2 line, an FT/1 list that grows, and a body.
 */
function settled(messages: Said[]): Said[] {
  const result: Said[] = [];
  for (const message of messages) {
    const before = result.at(-1);
    if (message.verb === "BODY" && before?.verb === "BODY") before.hex += message.hex;
    else {
      const early = before?.verb === "HELLO" && message.verb === "HELLO" && "profile" in before && before.profile === 1;
      const grown = before?.verb === "FILES" && message.verb === "FILES" && message.profile === 1;
      if (early || grown) result.pop();
      result.push(message.verb === "BODY" ? { ...message } : message);
    }
  }
  return result;
}

/** The same bytes whole, in two pieces at every boundary, byte by byte, and byte by byte without reading in between. */
function expectHoweverCut(make: () => Reader, text: string | Uint8Array, last: Last, expected: Said[]): void {
  const bytes = typeof text === "string" ? utf8.encode(text) : text;
  expect(settled(read(make, [bytes], last))).toEqual(expected);
  for (let cut = 1; cut < bytes.length; cut++) {
    expect([cut, settled(read(make, [bytes.subarray(0, cut), bytes.subarray(cut)], last))]).toEqual([cut, expected]);
  }
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  expect(settled(read(make, single, last))).toEqual(expected);
  const reader = make();
  for (const byte of single) reader.push(byte);
  expect(settled([...drain(reader), ...read(() => reader, [], last)])).toEqual(expected);
}

/** The code of a refusal, of the connection or of a record alone; or what came instead. A line of another peer in an answer is no reason to refuse the tracker: it is "left out". */
function refusal(make: () => Reader, chunks: (string | Uint8Array)[], last: Last = ""): string {
  return refusalOf(() => {
    const all = read(make, chunks, last);
    for (const one of all) {
      if (typeof one !== "object" || one === null) continue;
      if ("unread" in one) throw new ProtocolError(LEFT_OUT, "");
      if ("verb" in one && one.verb === "UNFIT" && "code" in one) throw new ProtocolError(String(one.code), "");
    }
    return all;
  });
}

const LEFT_OUT = "left out";

function refusalOf(run: () => unknown): string {
  try {
    return `no refusal but ${JSON.stringify(run())}`;
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
}

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`The test's own address ${text} is none.`);
  return address;
}

// ---------------------------------------------------------------- the bytes, by hand

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const PASS = "eyJpZCI6ImszSl94In0.dGhpcyBpcyBub3QgYSBzaWduYXR1cmU";

const REPORT = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05Z;root=${ROOT}>`;
const report: FileRecord = {
  name: parseFileName("report.pdf"),
  type: "application/pdf",
  size: 48_213,
  date: "22/11/26",
  address: addressOf("192.168.1.17"),
  port: 40_123,
  v2: true,
  mtime: "2026-11-22T10:04:05Z",
  root: ROOT,
};
const NOTES = "<my notes%2C 2.txt,text/plain,120,01/02/25,fe80::17,40123;v=2>";
const notes: FileRecord = {
  name: parseFileName("my notes, 2.txt"),
  type: "text/plain",
  size: 120,
  date: "01/02/25",
  address: addressOf("fe80::17"),
  port: 40_123,
  v2: true,
};

type Written<M> = M extends { profile: 1 } | { verb: "UNKNOWN" | "UNFIT" } ? never : M;

/** A file that its holder is still fetching. */
const PART = REPORT.replace(">", ";part=1>");
const part: FileRecord = { ...report, part: true };

/** Somebody to connect to. */
const caller = { address: addressOf("192.168.1.7"), port: 40_123, token: "k3J-x_" };
const SESSION = "k3J_x.Pq0-_w";

/** FT/2, peer → tracker. */
const TO_TRACKER: [bytes: string, message: Written<ToTracker>][] = [
  [`FILES 2 port=40123\n${REPORT}\n${NOTES}\n`, { verb: "FILES", profile: 2, port: 40_123, records: [report, notes] }],
  [`FILES 1 port=1\n${NOTES}\n`, { verb: "FILES", profile: 2, port: 1, records: [notes] }],
  [`ADD ${REPORT}\n`, { verb: "ADD", record: report }],
  [`ADD ${PART}\n`, { verb: "ADD", record: part }],
  ["DROP report.pdf\n", { verb: "DROP", name: report.name }],
  ["DROP my notes%2C 2.txt\n", { verb: "DROP", name: notes.name }],
  ["SEARCH: report.pdf\n", { verb: "SEARCH", name: report.name }],
  ["SEARCH: 100%25 %3Cnew%3E%3B%0A.txt\n", { verb: "SEARCH", name: parseFileName("100% <new>;\n.txt") }],
  ["SEARCH: Übung 漢字 😀\n", { verb: "SEARCH", name: parseFileName("Übung 漢字 😀") }],
  ["SEARCH: __proto__\n", { verb: "SEARCH", name: parseFileName("__proto__") }],
  ["LIST id=k3J_x offset=0 limit=200\n", { verb: "LIST", id: "k3J_x", offset: 0, limit: 200 }],
  ["LIST offset=400 limit=2000\n", { verb: "LIST", offset: 400, limit: 2000 }],
  [`LIST root=${ROOT} offset=0 limit=2000\n`, { verb: "LIST", root: ROOT, offset: 0, limit: 2000 }],
  [`LIST id=a root=${ROOT} offset=7 limit=1\n`, { verb: "LIST", id: "a", root: ROOT, offset: 7, limit: 1 }],
  ["WHO offset=0 limit=200\n", { verb: "WHO", offset: 0, limit: 200 }],
  ["KNOWN 192.168.1.7\n", { verb: "KNOWN", address: addressOf("192.168.1.7") }],
  ["KNOWN 2001:db8::7\n", { verb: "KNOWN", address: addressOf("2001:db8::7") }],
  ["CONNECT address=192.168.1.7 port=40123 token=k3J-x_\n", { verb: "CONNECT", ...caller }],
  ["CONNECT address=192.168.1.7 port=40123 token=k3J-x_ id=p7\n", { verb: "CONNECT", ...caller, id: "p7" }],
  [
    `CONNECT address=2001:db8::7 port=1 token=${"t".repeat(64)}\n`,
    { verb: "CONNECT", address: addressOf("2001:db8::7"), port: 1, token: "t".repeat(64) },
  ],
  ["PING\n", { verb: "PING" }],
  ["BYE\n", { verb: "BYE" }],
];
const HELLO_TRACKER = "HELLO FT/2 agent=ft-peer/1.0.0\n";
const helloTracker: Written<ToTracker> = { verb: "HELLO", profile: 2, agent: "ft-peer/1.0.0" };

/** What another implementation may write for the same. */
const TO_TRACKER_READ: [bytes: string, message: ToTracker][] = [
  ["PING\r\n", { verb: "PING" }],
  [`FILES 1 port=5 future=1 __proto__=2\r\n${NOTES}\r\n`, { verb: "FILES", profile: 2, port: 5, records: [notes] }],
  ["SEARCH report.pdf\n", { verb: "SEARCH", name: report.name }],
  ["SEARCH: %72eport%2epdf\n", { verb: "SEARCH", name: report.name }],
  ["LIST\n", { verb: "LIST", offset: 0, limit: 200 }],
  ["LIST limit=7 future=x offset=3 id=a\n", { verb: "LIST", id: "a", offset: 3, limit: 7 }],
  ["LIST limit=2001\n", { verb: "LIST", offset: 0, limit: 2000 }],
  [`LIST limit=5 root=${ROOT.toUpperCase()} future=1\r\n`, { verb: "LIST", root: ROOT, offset: 0, limit: 5 }],
  ["WHO\n", { verb: "WHO", offset: 0, limit: 200 }],
  ["WHO limit=9007199254740991\n", { verb: "WHO", offset: 0, limit: 2000 }],
  ["KNOWN ::ffff:10.0.0.7\n", { verb: "KNOWN", address: addressOf("10.0.0.7") }],
  ["CONNECT future=1 token=k3J-x_ port=40123 address=::ffff:192.168.1.7\r\n", { verb: "CONNECT", ...caller }],
  ["CONNECT address=192.168%2E1.7 port=40123 token=k3J-x%5f\n", { verb: "CONNECT", ...caller }],
  ["FROBNICATE all=1\n", { verb: "UNKNOWN", word: "FROBNICATE" }],
  ["__proto__ x\n", { verb: "UNKNOWN", word: "__proto__" }],
  ["constructor\n", { verb: "UNKNOWN", word: "constructor" }],
];

/** FT/2, tracker → peer. */
const FROM_TRACKER: [bytes: string, message: Exclude<FromTracker, { verb: "FOUND" | "UNKNOWN" }>][] = [
  [
    `HI FT/2 name=Lab%203 max=5 key=${KEY} you=192.168.1.17\n`,
    { verb: "HI", name: "Lab 3", max: 5, key: KEY, you: addressOf("192.168.1.17") },
  ],
  [`WELCOME id=k3J_x pass=${PASS} peers=14 files=52\n`, { verb: "WELCOME", id: "k3J_x", pass: PASS, peers: 14, files: 52 }],
  ...(["yes", "no"] as const).map((said): [string, Exclude<FromTracker, { verb: "FOUND" | "UNKNOWN" }>] => [
    `HI FT/2 name=x max=5 key=${KEY} you=fe80::7 announced=${said}\n`,
    { verb: "HI", name: "x", max: 5, key: KEY, you: addressOf("fe80::7"), announced: said === "yes" },
  ]),
  [
    `WELCOME id=k3J_x pass=${PASS} peers=14 files=52 session=${SESSION}\n`,
    { verb: "WELCOME", id: "k3J_x", pass: PASS, peers: 14, files: 52, session: SESSION },
  ],
  [
    `WELCOME id=k3J_x pass=${PASS} peers=14 files=52 now=1795000000 keyed=key.ed\n`,
    { verb: "WELCOME", id: "k3J_x", pass: PASS, peers: 14, files: 52, now: 1_795_000_000, keyed: "key.ed" },
  ],
  ["REACH yes\n", { verb: "REACH", reachable: true, reason: "" }],
  [
    "REACH no reason=nothing%20listens%20there%20(connection%20refused)\n",
    { verb: "REACH", reachable: false, reason: "nothing listens there (connection refused)" },
  ],
  ["REACH no reason=a%3B%20b%2C%0A100%25\n", { verb: "REACH", reachable: false, reason: "a; b,\n100%" }],
  ["CONNECT address=192.168.1.7 port=40123 token=k3J-x_\n", { verb: "CONNECT", ...caller }],
  [
    "PEERS: 2\n" +
      "id=a address=10.0.0.1 port=1 files=1 bytes=2 agent=x since=2026-11-22T10:04:05.000Z reach=yes\n" +
      "id=b address=10.0.0.2 port=2 files=3 bytes=4 agent=y since=2026-11-22T10:04:05.000Z reach=no\n",
    {
      verb: "PEERS",
      peers: [
        {
          id: "a",
          address: addressOf("10.0.0.1"),
          port: 1,
          files: 1,
          bytes: 2,
          agent: "x",
          since: "2026-11-22T10:04:05.000Z",
          reach: true,
        },
        {
          id: "b",
          address: addressOf("10.0.0.2"),
          port: 2,
          files: 3,
          bytes: 4,
          agent: "y",
          since: "2026-11-22T10:04:05.000Z",
          reach: false,
        },
      ],
    },
  ],
  ["OK\n", { verb: "OK" }],
  ["NOT FOUND\n", { verb: "NOT FOUND" }],
  [
    "PEERS: 2\n" +
      "id=k3J_x address=192.168.1.17 port=40123 files=2 bytes=48333 agent=ft-peer/1.0.0 since=2026-11-22T10:04:05.000Z\n" +
      "id=ft1 address=2001:db8::7 port=1235 files=1 bytes=0 agent=FT%201 since=2026-11-22T10:05:00.000Z\n",
    {
      verb: "PEERS",
      peers: [
        {
          id: "k3J_x",
          address: addressOf("192.168.1.17"),
          port: 40_123,
          files: 2,
          bytes: 48_333,
          agent: "ft-peer/1.0.0",
          since: "2026-11-22T10:04:05.000Z",
        },
        {
          id: "ft1",
          address: addressOf("2001:db8::7"),
          port: 1235,
          files: 1,
          bytes: 0,
          agent: "FT 1",
          since: "2026-11-22T10:05:00.000Z",
        },
      ],
    },
  ],
  ["PEERS: 0\n", { verb: "PEERS", peers: [] }],
  ["YES\n", { verb: "YES" }],
  ["NO\n", { verb: "NO" }],
  ["PONG\n", { verb: "PONG" }],
  ["BYE\n", { verb: "BYE" }],
  ["ERROR last-file The last file stays.\n", { verb: "ERROR", code: "last-file", words: "The last file stays." }],
  ["NOTICE The tracker stops.\n", { verb: "NOTICE", words: "The tracker stops." }],
];

const FROM_TRACKER_READ: [bytes: string, message: FromTracker][] = [
  [`FOUND: 2\n${REPORT}\n${NOTES}\n`, { verb: "FOUND", records: [report, notes] }],
  [`FOUND: 1\r\n${REPORT}\r\n`, { verb: "FOUND", records: [report] }],
  [`FOUND: 2\n${PART}\n${REPORT}\n`, { verb: "FOUND", records: [part, report] }],
  [`FOUND: 1\n${PART.replace(">", ";reach=no>")}\n`, { verb: "FOUND", records: [{ ...part, unreachable: true }] }],
  ["REACH no\n", { verb: "REACH", reachable: false, reason: "" }],
  ["REACH yes future=1\r\n", { verb: "REACH", reachable: true, reason: "" }],
  ["REACH no future=1 reason=x\n", { verb: "REACH", reachable: false, reason: "x" }],
  ["REACH yesterday\n", { verb: "REACH", reachable: false, reason: "" }],
  ["CONNECT token=k3J-x_ address=192.168.1.7 future=1 port=40123\r\n", { verb: "CONNECT", ...caller }],
  ["FOUND: 0\n", { verb: "FOUND", records: [] }],
  [
    `HI FT/2 you=::ffff:10.0.0.7 future=1 key=${KEY} max=50 constructor=x\r\n`,
    { verb: "HI", name: "", max: 50, key: KEY, you: addressOf("10.0.0.7") },
  ],
  ["ERROR busy\n", { verb: "ERROR", code: "busy", words: "" }],
  ["ADVICE eat=more\n", { verb: "UNKNOWN", word: "ADVICE" }],
  ["__proto__\n", { verb: "UNKNOWN", word: "__proto__" }],
];

/** FT/2, downloader → holder. */
const TO_HOLDER: [bytes: string, message: Written<ToHolder>][] = [
  [
    `DOWNLOAD root=${ROOT} offset=0 length=4194304\n`,
    { verb: "DOWNLOAD", profile: 2, root: ROOT, offset: 0, length: 4_194_304 },
  ],
  [
    "DOWNLOAD name=my%20notes%2C%202.txt offset=9007199254740991\n",
    { verb: "DOWNLOAD", profile: 2, name: notes.name, offset: Number.MAX_SAFE_INTEGER },
  ],
  [
    `DOWNLOAD root=${ROOT} name=report.pdf offset=7 length=0\n`,
    { verb: "DOWNLOAD", profile: 2, root: ROOT, name: report.name, offset: 7, length: 0 },
  ],
  [`TREE root=${ROOT} piece=65536\n`, { verb: "TREE", root: ROOT, piece: 65_536 }],
  [`TREE root=${ROOT} piece=0\n`, { verb: "TREE", root: ROOT, piece: 0 }],
  [`HAVE root=${ROOT}\n`, { verb: "HAVE", root: ROOT }],
  [`DOWNLOAD folder=${ROOT} offset=5 length=7\n`, { verb: "DOWNLOAD", profile: 2, folder: ROOT, offset: 5, length: 7 }],
  [`TREE folder=${ROOT}\n`, { verb: "TREE", folder: ROOT }],
  [`HAVE folder=${ROOT}\n`, { verb: "HAVE", folder: ROOT }],
  [`DATES folder=${ROOT}\n`, { verb: "DATES", folder: ROOT }],
  ["BYE\n", { verb: "BYE" }],
];
const HELLO_HOLDER = `HELLO FT/2 pass=${PASS}\n`;
const helloHolder: Written<ToHolder> = { verb: "HELLO", pass: PASS };

const TO_HOLDER_READ: [bytes: string, message: ToHolder][] = [
  [`DOWNLOAD root=${ROOT.toUpperCase()}\r\n`, { verb: "DOWNLOAD", profile: 2, root: ROOT, offset: 0 }],
  [
    "DOWNLOAD length=5 name=__proto__ future=1 __proto__=2\n",
    { verb: "DOWNLOAD", profile: 2, name: parseFileName("__proto__"), offset: 0, length: 5 },
  ],
  ["DOWNLOAD name=../x\n", { verb: "DOWNLOAD", profile: 2, name: parseFileName("../x"), offset: 0 }],
  [
    `TREE piece=9007199254740991 future=1 root=${ROOT.toUpperCase()}\r\n`,
    { verb: "TREE", root: ROOT, piece: Number.MAX_SAFE_INTEGER },
  ],
  [`HAVE root=${ROOT.toUpperCase()} __proto__=1\n`, { verb: "HAVE", root: ROOT }],
  ["FROBNICATE\n", { verb: "UNKNOWN", word: "FROBNICATE" }],
  ["HAVE: 1\n", { verb: "UNKNOWN", word: "HAVE:" }],
];

/** FT/2, holder → downloader; a body follows where the line says so. */
const FROM_HOLDER: [bytes: string, message: FromHolder, body?: string][] = [
  ["HI FT/2\n", { verb: "HI" }],
  ["PROVE nonce=k3J-x_\n", { verb: "PROVE", nonce: "k3J-x_" }],
  ["FILE: length=12 size=48213\n", { verb: "FILE", length: 12, size: 48_213 }, "PING\nBYE\r\n\0\n"],
  ["FILE: length=0 size=0\n", { verb: "FILE", length: 0, size: 0 }],
  ["BUSY position=3\n", { verb: "BUSY", position: 3 }],
  ["TREE: 2\n", { verb: "TREE", count: 2 }, `${"NOT FOUND\n".repeat(6)}HAVE`],
  ["TREE: 0\n", { verb: "TREE", count: 0 }],
  ["HAVE: 3\n", { verb: "HAVE", length: 3 }, "\n\0B"],
  ["HAVE: 0\n", { verb: "HAVE", length: 0 }],
  ["DATES: 4\n", { verb: "DATES", length: 4 }, "1 a\n"],
  ["NOT FOUND\n", { verb: "NOT FOUND" }],
  ["ERROR not-accepted Your pass has expired.\n", { verb: "ERROR", code: "not-accepted", words: "Your pass has expired." }],
];

const BASIC_NOTES = "<my notes.txt,text/plain,120,01/02/25,192.168.1.17,1235>";
const basicNotes: FileRecord = {
  name: parseFileName("my notes.txt"),
  type: "text/plain",
  size: 120,
  date: "01/02/25",
  address: addressOf("192.168.1.17"),
  port: 1235,
  v2: false,
};
const BASIC_DATA = "<a,b.bin,data,0,31/12/99,10.0.0.1,65535>";
const basicData: FileRecord = {
  name: parseFileName("a,b.bin"),
  type: "data",
  size: 0,
  date: "31/12/99",
  address: addressOf("10.0.0.1"),
  port: 65_535,
  v2: false,
};

/** FT/1, peer → tracker: without the newline, silence or end that makes it whole. */
const BASIC_TO_TRACKER: [bytes: string, messages: ToTracker[]][] = [
  [BASIC_NOTES, [{ verb: "FILES", profile: 1, records: [basicNotes] }]],
  [`${BASIC_NOTES}\n${BASIC_DATA}`, [{ verb: "FILES", profile: 1, records: [basicNotes, basicData] }]],
  [`${BASIC_NOTES}\r\n${BASIC_DATA}`, [{ verb: "FILES", profile: 1, records: [basicNotes, basicData] }]],
  [
    `HELLO${BASIC_NOTES}\n${BASIC_DATA}`,
    [
      { verb: "HELLO", profile: 1 },
      { verb: "FILES", profile: 1, records: [basicNotes, basicData] },
    ],
  ],
  ["SEARCH: my notes.txt", [{ verb: "SEARCH", name: basicNotes.name }]],
  ["SEARCH my notes.txt", [{ verb: "SEARCH", name: basicNotes.name }]],
  ["SEARCH:my notes.txt", [{ verb: "SEARCH", name: basicNotes.name }]],
  ["SEARCH:   my notes.txt  ", [{ verb: "SEARCH", name: basicNotes.name }]],
  ["SEARCH: 100%25", [{ verb: "SEARCH", name: parseFileName("100%25") }]],
  ["SEARCH: __proto__", [{ verb: "SEARCH", name: parseFileName("__proto__") }]],
  ["SEARCH: Übung 漢字", [{ verb: "SEARCH", name: parseFileName("Übung 漢字") }]],
  ["BYE", [{ verb: "BYE" }]],
];

/** FT/1, downloader → holder, likewise. */
const BASIC_TO_HOLDER: [bytes: string, message: ToHolder][] = [
  ["DOWNLOAD:my notes.txt,text/plain,120", { verb: "DOWNLOAD", profile: 1, name: basicNotes.name, size: 120, spaced: false }],
  ["DOWNLOAD:a,b.bin,data,0", { verb: "DOWNLOAD", profile: 1, name: basicData.name, size: 0, spaced: false }],
  ["DOWNLOAD my notes.txt", { verb: "DOWNLOAD", profile: 1, name: basicNotes.name, spaced: true }],
  ["DOWNLOAD a,b.bin,data,0", { verb: "DOWNLOAD", profile: 1, name: parseFileName("a,b.bin,data,0"), spaced: true }],
  ["DOWNLOAD constructor", { verb: "DOWNLOAD", profile: 1, name: parseFileName("constructor"), spaced: true }],
];

// ---------------------------------------------------------------- golden bytes

describe("writing", () => {
  test.each(TO_TRACKER)("FT/2, peer → tracker: %j", (bytes, message) => {
    expect(encodeToTracker(message)).toBe(bytes);
  });

  test.each(FROM_TRACKER)("FT/2, tracker → peer: %j", (bytes, message) => {
    expect(encodeFromTracker(message)).toBe(bytes);
  });

  test.each(TO_HOLDER)("FT/2, downloader → holder: %j", (bytes, message) => {
    expect(encodeToHolder(message)).toBe(bytes);
  });

  test.each(FROM_HOLDER)("FT/2, holder → downloader: %j", (bytes, message) => {
    expect(encodeFromHolder(message)).toBe(bytes);
  });

  test("the greetings", () => {
    expect(encodeToTracker(helloTracker)).toBe(HELLO_TRACKER);
    expect(encodeToTracker({ verb: "HELLO", profile: 2, agent: "a b,c" })).toBe("HELLO FT/2 agent=a%20b%2Cc\n");
    expect(encodeToHolder(helloHolder)).toBe(HELLO_HOLDER);
  });

  test("the greetings of a peer that knows extras, and of a holder that was asked to connect", () => {
    const hello: Written<ToTracker> = { ...helloTracker, extras: true };
    expect(encodeToTracker(hello)).toBe("HELLO FT/2 agent=ft-peer/1.0.0 extras=1\n");
    expect(encodeToTracker({ ...helloTracker, extras: false, session: undefined })).toBe(HELLO_TRACKER);
    const known = `HELLO FT/2 agent=ft-peer/1.0.0 extras=1 session=${SESSION}\n`;
    expect(encodeToTracker({ ...hello, session: SESSION })).toBe(known);
    expectHoweverCut(trackerReader, known, "", [{ ...hello, session: SESSION }]);
    expectHoweverCut(trackerReader, `HELLO FT/2 session=${SESSION} future=1\r\n`, "", [
      { verb: "HELLO", profile: 2, agent: "", session: SESSION },
    ]);
    expectHoweverCut(trackerReader, "HELLO FT/2 session= extras=1\n", "", [
      { verb: "HELLO", profile: 2, agent: "", extras: true, session: "" },
    ]);
    for (const no of ["0", "", "2", "11", "yes", "true"]) {
      expect(read(trackerReader, [`HELLO FT/2 agent=a extras=${no}\n`])).toEqual([{ verb: "HELLO", profile: 2, agent: "a" }]);
    }
    const called = "HELLO FT/2 token=k3J-x_\n";
    expect(encodeToHolder({ verb: "HELLO", pass: "", token: "k3J-x_" })).toBe(called);
    expectHoweverCut(holderReader, called, "", [{ verb: "HELLO", pass: "", token: "k3J-x_" }]);
    expectHoweverCut(holderReader, "HELLO FT/2 token=\n", "", [{ verb: "HELLO", pass: "", token: "" }]);
  });

  test("an answer of records", () => {
    const lines = [formatRecord(report), formatRecord(notes)];
    expect(encodeFromTracker({ verb: "FOUND", lines })).toBe(`FOUND: 2\n${REPORT}\n${NOTES}\n`);
  });

  test("an answer of no records is one line", () => {
    expect(encodeFromTracker({ verb: "FOUND", lines: [] })).toBe("FOUND: 0\n");
  });

  test("everything of FT/1", () => {
    expect([basic.hello, basic.hi, basic.bye, basic.notFound]).toEqual(["HELLO", "HI", "BYE", "NOT FOUND"]);
    expect([basic.file, basic.fileSpaced]).toEqual(["FILE:", "FILE: "]);
    expect(basic.records([basicNotes, basicData])).toBe(`${BASIC_NOTES}\n${BASIC_DATA}`);
    expect(basic.search(basicNotes.name)).toBe("SEARCH: my notes.txt");
    expect(basic.download(basicNotes)).toBe("DOWNLOAD:my notes.txt,text/plain,120");
    expect(basic.download({ ...basicNotes, name: parseFileName("a, b.txt") })).toBe("DOWNLOAD:a, b.txt,text/plain,120");
    const found = [basicNotes, basicData].map((record) => formatFoundRecord(record, record));
    expect(basic.found(found)).toBe("FOUND: <text/plain,120,01/02/25,192.168.1.17,1235>\n<data,0,31/12/99,10.0.0.1,65535>\n");
  });

  test.each(["x\r\nFLUSHALL\r\n", "x\n", "\rx", "x\u0000y", "x\u001b[2J", "x\u007f", "x\u0085y", "x\ty"])(
    "a request of the basic protocol never carries control characters: %j",
    (name) => {
      const refused = "its name has control characters, which the basic protocol cannot carry";
      expect(() => basic.search(name as FileName)).toThrow(refused);
      expect(() => basic.download({ ...basicNotes, name: name as FileName })).toThrow(refused);
      expect(() => basic.download({ ...basicNotes, type: name })).toThrow(refused);
    },
  );

  test("words for a person stay one line and come back as they were, but for control characters", () => {
    const words = fc.string({ unit: fc.constantFrom("a", " ", "%", ",", ";", "<", "\n", "\r", "\x1b", "\x9b", "é", '"', "=") });
    fc.assert(
      fc.property(words, (text) => {
        for (const line of [
          encodeFromTracker({ verb: "ERROR", code: "some-code", words: text }),
          encodeFromHolder({ verb: "ERROR", code: "some-code", words: text }),
          encodeFromTracker({ verb: "NOTICE", words: text }),
        ]) {
          expect(line).toMatch(/^[^\u0000-\u001f\u007f-\u009f]*\n$/);
          const said = read(sessionReader, [line]);
          expect(said.map((message) => "words" in message && message.words)).toEqual([
            text.replace(/[\u0000-\u001f\u007f-\u009f]/g, encodeURIComponent),
          ]);
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});

describe("FT/2, however it is cut", () => {
  test.each([...TO_TRACKER, ...TO_TRACKER_READ])("peer → tracker: %j", (bytes, message) => {
    expectHoweverCut(trackerReader, HELLO_TRACKER + bytes, "", [helloTracker, message]);
  });

  test.each([...FROM_TRACKER, ...FROM_TRACKER_READ])("tracker → peer: %j", (bytes, message) => {
    expectHoweverCut(sessionReader, bytes, "", [message]);
  });

  test.each([...TO_HOLDER, ...TO_HOLDER_READ])("downloader → holder: %j", (bytes, message) => {
    expectHoweverCut(holderReader, HELLO_HOLDER + bytes, "", [helloHolder, message]);
  });

  test.each(FROM_HOLDER)("holder → downloader: %j", (bytes, message, body = "") => {
    const raw: Said[] = body === "" ? [] : [{ verb: "BODY", hex: utf8.encode(body).toHex() }];
    expectHoweverCut(downloadReader, bytes + body, "", [message, ...raw]);
  });

  test.each(["", "silence", "end"] as const)("everything a peer can say, in one piece and in any two; then: %j", (last) => {
    const all = [...TO_TRACKER, ...TO_TRACKER_READ];
    const bytes = HELLO_TRACKER + all.map(([text]) => text).join("");
    expectHoweverCut(trackerReader, bytes, last, [helloTracker, ...all.map(([, message]) => message)]);
  });

  test.each(["", "silence", "end"] as const)("everything a tracker can say, in one piece and in any two; then: %j", (last) => {
    const all = [...FROM_TRACKER, ...FROM_TRACKER_READ];
    const bytes = all.map(([text]) => text).join("");
    expectHoweverCut(
      sessionReader,
      bytes,
      last,
      all.map(([, message]) => message),
    );
  });

  test.each(["", "silence", "end"] as const)(
    "everything a downloader can say, in one piece and in any two; then: %j",
    (last) => {
      const all = [...TO_HOLDER, ...TO_HOLDER_READ];
      const bytes = HELLO_HOLDER + all.map(([text]) => text).join("");
      expectHoweverCut(holderReader, bytes, last, [helloHolder, ...all.map(([, message]) => message)]);
    },
  );

  test.each(["", "silence", "end"] as const)("everything a holder can say, in one piece and in any two; then: %j", (last) => {
    const bytes = FROM_HOLDER.map(([text, , body = ""]) => text + body).join("");
    const expected = FROM_HOLDER.flatMap(([, message, body = ""]): Said[] =>
      body === "" ? [message] : [message, { verb: "BODY", hex: utf8.encode(body).toHex() }],
    );
    expectHoweverCut(downloadReader, bytes, last, expected);
  });

  test("many requests in one piece come in their order", () => {
    const requests = Array.from({ length: 5000 }, (_, i) => `SEARCH: file ${i}\n`);
    const [first, ...said] = read(trackerReader, [HELLO_TRACKER + requests.join("")]);
    expect(first).toEqual(helloTracker);
    expect(said).toEqual(requests.map((_, i) => ({ verb: "SEARCH", name: parseFileName(`file ${i}`) })));
  });

  test("a line without its end is not a message, even when nothing more comes", () => {
    for (const last of ["", "silence", "end"] as const) {
      expect(read(trackerReader, [`${HELLO_TRACKER}PING`], last)).toEqual([helloTracker]);
      expect(read(trackerReader, [`${HELLO_TRACKER}FILES 2 port=5\n${REPORT}\n`], last)).toEqual([helloTracker]);
      expect(read(sessionReader, ["HI"], last)).toEqual([]);
      expect(read(sessionReader, [`FOUND: 2\n${REPORT}\n`], last)).toEqual([]);
      expect(read(holderReader, [`${HELLO_HOLDER}BYE`], last)).toEqual([helloHolder]);
      expect(read(downloadReader, ["NOT FOUND"], last)).toEqual([]);
    }
  });

  test("a list may be replaced by another on the same connection", () => {
    const lists = `FILES 1 port=5\n${REPORT}\nFILES 2 port=6\n${NOTES}\n${REPORT}\n`;
    expectHoweverCut(trackerReader, HELLO_TRACKER + lists, "", [
      helloTracker,
      { verb: "FILES", profile: 2, port: 5, records: [report] },
      { verb: "FILES", profile: 2, port: 6, records: [notes, report] },
    ]);
  });

  test("a list of nothing is heard as such", () => {
    for (const line of ["FILES 0 port=40123\n", "FILES 0\n"]) {
      expect(read(trackerReader, [HELLO_TRACKER + line])).toMatchObject([helloTracker, { verb: "FILES", records: [] }]);
    }
  });

  test("a body is handed over as it comes, and nothing of what follows it", () => {
    const inbox = new DownloadInbox();
    inbox.push(utf8.encode("FILE: length=6 size=100\nab\n"));
    expect(inbox.takeBody()).toHaveLength(0);
    expect(inbox.next()).toEqual({ verb: "FILE", length: 6, size: 100 });
    expect([inbox.body, inbox.next()]).toEqual([6, undefined]);
    expect(inbox.takeBody()).toEqual(utf8.encode("ab\n"));
    expect([inbox.body, inbox.takeBody().length, inbox.next()]).toEqual([3, 0, undefined]);
    inbox.push(utf8.encode("c\ndNOT FOUND\n"));
    expect(inbox.next()).toBeUndefined();
    expect(inbox.takeBody()).toEqual(utf8.encode("c\nd"));
    expect([inbox.body, inbox.takeBody().length]).toEqual([0, 0]);
    expect(inbox.next()).toEqual({ verb: "NOT FOUND" });
    expect(inbox.waiting).toBe(0);
  });

  test("hashes and bit fields are bodies: 32 bytes a hash, and as many as the line says", () => {
    const inbox = new DownloadInbox();
    for (const [line, body] of [
      ["TREE: 3\n", 96],
      ["HAVE: 5\n", 5],
      ["TREE: 0\n", 0],
      ["HAVE: 0\n", 0],
    ] as const) {
      inbox.push(utf8.encode(line));
      expect([inbox.next()?.verb, inbox.body]).toEqual([line.slice(0, 4) as "TREE" | "HAVE", body]);
      // One byte too few, then the last one with the next answer behind it.
      inbox.push(new Uint8Array(Math.max(0, body - 1)));
      expect(inbox.takeBody().length).toBe(Math.max(0, body - 1));
      if (body > 0) expect(inbox.next()).toBeUndefined();
      inbox.push(utf8.encode(`${body > 0 ? "x" : ""}NOT FOUND\n`));
      expect(inbox.takeBody().length).toBe(body > 0 ? 1 : 0);
      expect(inbox.next()).toEqual({ verb: "NOT FOUND" });
    }
  });

  test("an announced body of any length takes no memory before it comes", () => {
    const inbox = new DownloadInbox();
    inbox.push(utf8.encode(`HAVE: ${Number.MAX_SAFE_INTEGER}\nab`));
    expect(inbox.next()).toEqual({ verb: "HAVE", length: Number.MAX_SAFE_INTEGER });
    expect(inbox.takeBody().length).toBe(2);
    expect(inbox.body).toBe(Number.MAX_SAFE_INTEGER - 2);
    expect(inbox.next()).toBeUndefined();
  });

  test("a body may be longer than any line and hold any bytes", () => {
    const body = new Uint8Array(100_000).map((_, i) => i * 7);
    const bytes = new Uint8Array([...utf8.encode("FILE: length=100000 size=100000\n"), ...body, ...utf8.encode("HI FT/2\n")]);
    for (const size of [1000, 4096, 65_536, bytes.length]) {
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      expect(settled(read(downloadReader, chunks))).toEqual([
        { verb: "FILE", length: 100_000, size: 100_000 },
        { verb: "BODY", hex: body.toHex() },
        { verb: "HI" },
      ]);
    }
  });

  test("what was a request before is none in the middle of a list, and half of it is none either", () => {
    const ping: Said = { verb: "PING" };
    const cut = [`${HELLO_TRACKER}PIN`, "G", "\nPI", "NNG\n"];
    expect(read(trackerReader, [`${HELLO_TRACKER}PING\nPING\n`]).slice(1)).toEqual([ping, ping]);
    expect(refusal(trackerReader, [`${HELLO_TRACKER}FILES 1 port=5000\nPING\n`])).toBe("bad-record");
    expect(read(trackerReader, cut).slice(1)).toEqual([ping, { verb: "UNKNOWN", word: "PINNG" }]);
  });

  test("a message that is read cannot be changed for the next peer that says it", () => {
    const said = [`${HELLO_TRACKER}SEARCH: my notes.txt\n`];
    const [, first] = read(trackerReader, said);
    expect(() => Object.assign(first ?? {}, { name: "other.txt" })).toThrow();
    expect(read(trackerReader, said)[1]).toEqual({ verb: "SEARCH", name: basicNotes.name });
  });
});

describe("FT/1, however it is cut", () => {
  const ENDINGS: [newline: string, last: Last][] = [
    ["\n", ""],
    ["\r\n", ""],
    ["\n", "silence"],
    ["\n", "end"],
    ["", "silence"],
    ["", "end"],
  ];

  test.each(BASIC_TO_TRACKER)("peer → tracker: %j", (bytes, messages) => {
    for (const [newline, last] of ENDINGS) expectHoweverCut(trackerReader, bytes + newline, last, messages);
  });

  test.each(BASIC_TO_HOLDER)("downloader → holder: %j", (bytes, message) => {
    for (const [newline, last] of ENDINGS) expectHoweverCut(holderReader, bytes + newline, last, [message]);
  });

  test("a message without a newline waits for silence or the end", () => {
    for (const bytes of [BASIC_NOTES, "SEARCH: my notes.txt", "BYE"]) expect(read(trackerReader, [bytes])).toEqual([]);
    for (const [bytes] of BASIC_TO_HOLDER) expect(read(holderReader, [bytes])).toEqual([]);
  });

  test("bytes that follow a silence that was not read yet belong to the same message", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(utf8.encode("SEARCH: my no"));
    inbox.silence();
    inbox.push(utf8.encode("tes.txt"));
    expect(inbox.next()).toBeUndefined();
    inbox.silence();
    expect(inbox.next()).toEqual({ verb: "SEARCH", name: basicNotes.name });
  });

  test("a pause inside a record does not end it, and a list goes on after a pause", () => {
    const inbox = new TrackerInbox(LIMITS);
    const said: Said[] = [];
    for (const piece of [BASIC_NOTES.slice(0, 9), BASIC_NOTES.slice(9), `\n${BASIC_DATA.slice(0, 4)}`, BASIC_DATA.slice(4)]) {
      inbox.push(utf8.encode(piece));
      said.push(...drain(inbox));
      inbox.silence();
      said.push(...drain(inbox));
    }
    inbox.end();
    said.push(...drain(inbox));
    expect(settled(said)).toEqual([{ verb: "FILES", profile: 1, records: [basicNotes, basicData] }]);
  });

  test("a list is handed over when all that has arrived is whole, once", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(utf8.encode(`${BASIC_NOTES}\n${BASIC_DATA}`));
    expect(drain(inbox)).toEqual([]);
    expect(inbox.listensForSilence).toBe(true);
    inbox.push(utf8.encode("\n"));
    expect(drain(inbox)).toHaveLength(1);
    expect(inbox.listensForSilence).toBe(false);
    inbox.silence();
    inbox.end();
    expect(drain(inbox)).toEqual([]);
  });

  test("a list does not grow after it was handed over", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(utf8.encode(`${BASIC_NOTES}\n`));
    const [first] = drain(inbox);
    inbox.push(utf8.encode(`${BASIC_DATA}\n`));
    drain(inbox);
    expect(first).toEqual({ verb: "FILES", profile: 1, records: [basicNotes] });
  });

  test("the last record is refused if the stream ends inside it", () => {
    expect(refusal(trackerReader, [`${BASIC_NOTES}\n${BASIC_DATA.slice(0, -3)}`], "end")).toBe("bad-record");
  });

  test("spaces and empty lines around messages are nothing", () => {
    const list: Said[] = [{ verb: "FILES", profile: 1, records: [basicNotes] }];
    expectHoweverCut(trackerReader, `\n\r\n ${BASIC_NOTES} \n\n`, "end", list);
    expectHoweverCut(trackerReader, `\n  SEARCH: my notes.txt\n`, "", [{ verb: "SEARCH", name: basicNotes.name }]);
  });

  test("spaces behind the last newline are nothing, whatever ends the message", () => {
    const list: Said[] = [{ verb: "FILES", profile: 1, records: [basicNotes] }];
    expect(settled(read(trackerReader, [`${BASIC_NOTES}\n `], "end"))).toEqual(list);
    expect(settled(read(trackerReader, [`${BASIC_NOTES}\n `], "silence"))).toEqual(list);
  });

  test("a list and the request behind it come in their order", () => {
    const expected: Said[] = [
      { verb: "FILES", profile: 1, records: [basicNotes] },
      { verb: "SEARCH", name: basicNotes.name },
    ];
    expectHoweverCut(trackerReader, `${BASIC_NOTES}\nSEARCH: my notes.txt\n`, "end", expected);
  });

  test("silence before the first byte decides nothing", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.silence();
    expect(inbox.next()).toBeUndefined();
    inbox.push(utf8.encode(HELLO_TRACKER));
    expect(drain(inbox)).toEqual([helloTracker]);
  });

  test("one record more than the tracker takes is refused", () => {
    const five = `${BASIC_NOTES}\n`.repeat(5);
    expect(settled(read(trackerReader, [five], "end"))).toMatchObject([{ verb: "FILES", records: { length: 5 } }]);
    expect(refusal(trackerReader, [five + BASIC_NOTES], "end")).toBe("too-many-files");
    expect(refusal(trackerReader, [`${BASIC_NOTES}\n`, five], "end")).toBe("too-many-files");
  });

  test("a long list is read when the operator allows it", () => {
    const reader = () => new TrackerInbox({ ...LIMITS, files: 20_000 });
    const said = settled(read(reader, [`${BASIC_NOTES}\n`.repeat(20_000)], "end"));
    expect(said).toMatchObject([{ verb: "FILES", records: { length: 20_000 } }]);
  });

  test("a file comes behind FILE:, byte for byte", () => {
    const file = Uint8Array.from([10, 13, 0, 255, 70, 73, 76, 69, 58, 32, 10]);
    const answer = new Uint8Array([...utf8.encode("FILE:"), ...file]);
    expectHoweverCut(basicDownloadReader, answer, "", [{ verb: "BODY", hex: file.toHex() }]);
    expectHoweverCut(basicDownloadReader, "FILE:", "", []);
  });

  test("whether FILE: has come is known, and an empty file is one", () => {
    const inbox = new BasicDownloadInbox();
    expect([inbox.takeBody().length, inbox.begun]).toEqual([0, false]);
    inbox.push(utf8.encode("FILE"));
    expect([inbox.takeBody().length, inbox.begun]).toEqual([0, false]);
    inbox.push(utf8.encode(":"));
    expect([inbox.takeBody().length, inbox.begun]).toEqual([0, true]);
  });

  test("anything else than FILE: is no file", () => {
    for (const answer of ["NOT FOUND", "file:abc", "FILE abc", "FI:", "\nFILE:", "HTTP/1.1 404 Not Found\r\n", "\0"]) {
      expect([answer, refusal(basicDownloadReader, [answer])]).toEqual([answer, "not-found"]);
      expect([answer, refusal(basicDownloadReader, answer.split(""))]).toEqual([answer, "not-found"]);
    }
  });
});

describe("HELLO, which both profiles begin with", () => {
  test("is answered at its fifth byte when no more follows", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(utf8.encode("HELL"));
    expect([inbox.next(), inbox.profile]).toEqual([undefined, undefined]);
    inbox.push(utf8.encode("O"));
    expect([inbox.next(), inbox.profile]).toEqual([{ verb: "HELLO", profile: 1 }, 1]);
    expect(inbox.next()).toBeUndefined();
    inbox.silence();
    inbox.end();
    expect(inbox.next()).toBeUndefined();
  });

  test.each(["HELLO\n", "HELLO\r\n", "HELLO ", "HELLO \n"])("as %j is the same", (bytes) => {
    expectHoweverCut(trackerReader, bytes, "silence", [{ verb: "HELLO", profile: 1 }]);
  });

  test("answered, and then ' FT/2 …' following, completes its line", () => {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(utf8.encode("HELLO"));
    expect([inbox.next(), inbox.profile]).toEqual([{ verb: "HELLO", profile: 1 }, 1]);
    inbox.push(utf8.encode(" FT/2 agent=ft-peer/1.0.0\nPING\n"));
    expect([inbox.next(), inbox.profile]).toEqual([helloTracker, 2]);
    expect([inbox.next(), inbox.next(), inbox.waiting]).toEqual([{ verb: "PING" }, undefined, 0]);
  });

  test("is answered early only where the cut is right behind it", () => {
    const bytes = utf8.encode(HELLO_TRACKER);
    for (let cut = 1; cut < bytes.length; cut++) {
      const said = read(trackerReader, [bytes.subarray(0, cut), bytes.subarray(cut)]);
      expect([cut, said]).toEqual([cut, cut === 5 ? [{ verb: "HELLO", profile: 1 }, helloTracker] : [helloTracker]]);
    }
  });

  test("answered, with silence anywhere in ' FT/2 …', still completes its line", () => {
    const rest = utf8.encode(" FT/2 agent=ft-peer/1.0.0\n");
    for (let cut = 0; cut < rest.length; cut++) {
      const inbox = new TrackerInbox(LIMITS);
      const said: Said[] = [];
      for (const piece of [utf8.encode("HELLO"), rest.subarray(0, cut), rest.subarray(cut)]) {
        inbox.push(piece);
        said.push(...drain(inbox));
        inbox.silence();
        said.push(...drain(inbox));
      }
      expect([cut, said]).toEqual([cut, [{ verb: "HELLO", profile: 1 }, helloTracker]]);
    }
  });

  test("without an agent is FT/2 too", () => {
    for (const line of ["HELLO FT/2\n", "HELLO FT/2\r\n", "HELLO FT/2 future=1\n"]) {
      expectHoweverCut(trackerReader, line, "", [{ verb: "HELLO", profile: 2, agent: "" }]);
    }
  });

  test("of another version is not FT/2", () => {
    for (const line of [
      "HELLO FT/3 agent=x\n",
      "HELLO FT/20\n",
      "HELLO FT/2x\n",
      "HELLO FT2\n",
      "HELLO WORLD\n",
      "HELLOFT/2\n",
    ]) {
      expect([line, refusal(trackerReader, [line], "end")]).toEqual([line, "unknown-message"]);
    }
    for (const line of ["HELLO FT/3 pass=x\n", "HELLO\n", "HELLO ft/2 pass=x\n", "HELLO WORLD\n"]) {
      expect([line, refusal(holderReader, [line], "end")]).toEqual([line, "unknown-message"]);
    }
  });

  test("of version 20 is not FT/2 for a holder either", () => {
    expect(refusal(holderReader, ["HELLO FT/20 pass=x\n"], "end")).toBe("unknown-message");
  });

  test("comes once", () => {
    expect(refusal(trackerReader, [HELLO_TRACKER, HELLO_TRACKER])).toBe("unexpected");
    expect(refusal(holderReader, [HELLO_HOLDER, HELLO_HOLDER])).toBe("unexpected");
    expect(refusal(trackerReader, ["HELLO", "\nHELLO"], "end")).toBe("unknown-message");
  });

  test("tells the profile of a holder's connection", () => {
    const session = new HolderInbox();
    session.push(utf8.encode("HELLO FT/"));
    expect([session.next(), session.profile]).toEqual([undefined, undefined]);
    session.push(utf8.encode(`2 pass=${PASS}\n`));
    expect([session.next(), session.profile]).toEqual([helloHolder, 2]);
    const plain = new HolderInbox();
    plain.push(utf8.encode("DOWNLOAD"));
    expect([plain.next(), plain.profile]).toEqual([undefined, 1]);
  });

  test("against an old tracker, its HI is not taken for a message", () => {
    const inbox = new SessionInbox();
    inbox.push(utf8.encode("HI"));
    expect([inbox.next(), inbox.waiting]).toEqual([undefined, 2]);
  });
});

// ---------------------------------------------------------------- what must be refused

describe("hostile numbers", () => {
  const HOSTILE = [
    "-1",
    "-0",
    "+1",
    "1.5",
    "1e3",
    "01",
    "00",
    "0x10",
    "9007199254740992",
    "9".repeat(30),
    "",
    "NaN",
    "Infinity",
    "١",
  ];

  const places: [what: string, make: () => Reader, line: (number: string) => string][] = [
    ["FILES n", trackerReader, (n) => `${HELLO_TRACKER}FILES ${n} port=5\n`],
    ["FILES port", trackerReader, (n) => `${HELLO_TRACKER}FILES 1 port=${n}\n`],
    ["LIST offset", trackerReader, (n) => `${HELLO_TRACKER}LIST offset=${n}\n`],
    ["LIST limit", trackerReader, (n) => `${HELLO_TRACKER}LIST limit=${n}\n`],
    ["WHO offset", trackerReader, (n) => `${HELLO_TRACKER}WHO offset=${n}\n`],
    ["WHO limit", trackerReader, (n) => `${HELLO_TRACKER}WHO limit=${n}\n`],
    ["ADD size", trackerReader, (n) => `${HELLO_TRACKER}ADD <a,data,${n},22/11/26,10.0.0.1,5>\n`],
    ["ADD port", trackerReader, (n) => `${HELLO_TRACKER}ADD <a,data,1,22/11/26,10.0.0.1,${n}>\n`],
    ["CONNECT port", trackerReader, (n) => `${HELLO_TRACKER}CONNECT address=10.0.0.1 port=${n} token=t\n`],
    ["CONNECT port, pushed", sessionReader, (n) => `CONNECT address=10.0.0.1 port=${n} token=t\n`],
    ["FT/1 size", trackerReader, (n) => `<a,data,${n},22/11/26,10.0.0.1,5>\n`],
    ["FT/1 port", trackerReader, (n) => `<a,data,1,22/11/26,10.0.0.1,${n}>\n`],
    ["HI max", sessionReader, (n) => `HI FT/2 name=x max=${n} key=k you=10.0.0.1\n`],
    ["WELCOME peers", sessionReader, (n) => `WELCOME id=a pass=b peers=${n} files=1\n`],
    ["WELCOME files", sessionReader, (n) => `WELCOME id=a pass=b peers=1 files=${n}\n`],
    ["FOUND n", sessionReader, (n) => `FOUND: ${n}\n`],
    ["FOUND size", sessionReader, (n) => `FOUND: 1\n<a,data,${n},22/11/26,10.0.0.1,5>\n`],
    ["FOUND port", sessionReader, (n) => `FOUND: 1\n<a,data,1,22/11/26,10.0.0.1,${n}>\n`],
    ["PEERS n", sessionReader, (n) => `PEERS: ${n}\n`],
    ["PEERS port", sessionReader, (n) => `PEERS: 1\nid=a address=10.0.0.1 port=${n} files=1 bytes=1\n`],
    ["PEERS files", sessionReader, (n) => `PEERS: 1\nid=a address=10.0.0.1 port=1 files=${n} bytes=1\n`],
    ["PEERS bytes", sessionReader, (n) => `PEERS: 1\nid=a address=10.0.0.1 port=1 files=1 bytes=${n}\n`],
    ["DOWNLOAD offset", holderReader, (n) => `${HELLO_HOLDER}DOWNLOAD name=a offset=${n}\n`],
    ["DOWNLOAD length", holderReader, (n) => `${HELLO_HOLDER}DOWNLOAD name=a length=${n}\n`],
    ["FT/1 DOWNLOAD size", holderReader, (n) => `DOWNLOAD:a,data,${n}\n`],
    ["FILE length", downloadReader, (n) => `FILE: length=${n} size=1\n`],
    ["FILE size", downloadReader, (n) => `FILE: length=1 size=${n}\n`],
    ["BUSY position", downloadReader, (n) => `BUSY position=${n}\n`],
    ["TREE piece", holderReader, (n) => `${HELLO_HOLDER}TREE root=${ROOT} piece=${n}\n`],
    ["LIST root offset", trackerReader, (n) => `${HELLO_TRACKER}LIST root=${ROOT} offset=${n}\n`],
    ["TREE n", downloadReader, (n) => `TREE: ${n}\n`],
    ["HAVE n", downloadReader, (n) => `HAVE: ${n}\n`],
  ];

  test.each(places)("%s is read strictly", (_, make, line) => {
    for (const number of HOSTILE) {
      const code = refusal(make, [line(number)]);
      expect([number, code]).toEqual([number, expect.stringMatching(/^(?:bad-(?:number|port|record|request)|left out)$/)]);
    }
  });

  test("ports are from 1 to 65535", () => {
    for (const port of ["0", "65536", "70000"]) {
      const code = [
        refusal(trackerReader, [`${HELLO_TRACKER}FILES 1 port=${port}\n`]),
        refusal(trackerReader, [`${HELLO_TRACKER}ADD <a,data,1,22/11/26,10.0.0.1,${port}>\n`]),
        refusal(trackerReader, [`<a,data,1,22/11/26,10.0.0.1,${port}>\n`]),
        refusal(sessionReader, [`FOUND: 1\n<a,data,1,22/11/26,10.0.0.1,${port}>\n`]),
      ];
      expect([port, ...code]).toEqual([port, "bad-port", "bad-port", "bad-port", LEFT_OUT]);
    }
  });

  test("a tracker cannot name a peer's port that does not exist", () => {
    for (const port of ["0", "65536", "70000"]) {
      const code = refusal(sessionReader, [`PEERS: 1\nid=a address=10.0.0.1 port=${port} files=1 bytes=1\n`]);
      expect([port, code]).toEqual([port, LEFT_OUT]);
    }
  });

  test("more files than the tracker takes are refused before they come", () => {
    for (const count of ["6", "4294967297", "9007199254740991"]) {
      expect(refusal(trackerReader, [`${HELLO_TRACKER}FILES ${count} port=5\n`])).toBe("too-many-files");
    }
    expect(read(trackerReader, [`${HELLO_TRACKER}FILES 5 port=5\n`])).toEqual([helloTracker]);
  });

  test("an answer of more than 2000 is refused before it comes", () => {
    for (const count of ["2001", "4294967297", "9007199254740991"]) {
      expect(refusal(sessionReader, [`FOUND: ${count}\n`])).toBe("bad-number");
      expect(refusal(sessionReader, [`PEERS: ${count}\n`])).toBe("bad-number");
    }
    const many = `FOUND: 2000\n${`${NOTES}\n`.repeat(2000)}`;
    expect(read(sessionReader, [many])).toMatchObject([{ verb: "FOUND", records: { length: 2000 } }]);
  });
});

describe("hostile names", () => {
  const places: [what: string, make: () => Reader, line: (name: string) => string][] = [
    ["SEARCH:", trackerReader, (name) => `${HELLO_TRACKER}SEARCH: ${name}\n`],
    ["DROP", trackerReader, (name) => `${HELLO_TRACKER}DROP ${name}\n`],
    ["ADD", trackerReader, (name) => `${HELLO_TRACKER}ADD <${name},data,1,22/11/26,10.0.0.1,5>\n`],
    ["FILES", trackerReader, (name) => `${HELLO_TRACKER}FILES 1 port=5\n<${name},data,1,22/11/26,10.0.0.1,5>\n`],
    ["FOUND", sessionReader, (name) => `FOUND: 1\n<${name},data,1,22/11/26,10.0.0.1,5>\n`],
  ];

  test.each(places)("in %s: 255 bytes are a name, 256 and none are not", (_, make, line) => {
    for (const name of ["x".repeat(255), `%41${"%C3%A9".repeat(127)}`, `a${"é".repeat(127)}`, "%F0%9F%98%80".repeat(63)]) {
      expect(() => read(make, [line(name)])).not.toThrow();
    }
    for (const name of ["", "x".repeat(256), "é".repeat(128), "%C3%A9".repeat(128), "%F0%9F%98%80".repeat(64)]) {
      expect([name, refusal(make, [line(name)])]).toEqual([name, make === sessionReader ? LEFT_OUT : "bad-name"]);
    }
  });

  test.each(places)("in %s: NUL, halves of characters and bad escapes are refused", (_, make, line) => {
    const isList = make === sessionReader;
    const code = isList ? LEFT_OUT : "bad-name";
    expect([refusal(make, [line("%00")]), refusal(make, [line("a%00.txt")])]).toEqual([code, code]);
    for (const name of ["%", "a%4", "%zz", "100%", "%ff", "%c0%af", "%ed%a0%80", "%ed%b0%80", "%c3", "%u0041"]) {
      expect([name, refusal(make, [line(name)])]).toEqual([name, isList ? LEFT_OUT : "bad-escape"]);
    }
    for (const name of ["a\0b", "a\tb", "\x1b[2J", "a\rb", "\x7f", "\u0085", "\u009b1m"]) {
      expect([name, refusal(make, [line(name)])]).toEqual([name, "bad-line"]);
    }
  });

  test.each(places)("in %s: names with a meaning elsewhere are names", (_, make, line) => {
    const names = [
      "__proto__",
      "constructor",
      "toString",
      "../x",
      "/etc/passwd",
      "C:\\x",
      ".",
      "..",
      "-rf",
      "CON",
      "\u202e.exe",
    ];
    for (const name of names) expect(JSON.stringify(read(make, [line(name)]))).toContain(JSON.stringify(name));
  });

  test("in FT/1 are raw, and held to the same limits", () => {
    expect(read(trackerReader, [`SEARCH: ${"é".repeat(127)}\n`])).toEqual([
      { verb: "SEARCH", name: parseFileName("é".repeat(127)) },
    ]);
    expect(read(trackerReader, ["SEARCH: %00%zz\n"])).toEqual([{ verb: "SEARCH", name: parseFileName("%00%zz") }]);
    for (const name of ["", " ", "x".repeat(256), "é".repeat(128), "a\0b"]) {
      expect([name, refusal(trackerReader, [`SEARCH: ${name}\n`])]).toEqual([name, "bad-name"]);
      expect([name, refusal(trackerReader, [`SEARCH: ${name}`], "end")]).toEqual([name, "bad-name"]);
    }
    for (const name of ["", "x".repeat(256), "a\0b"]) {
      expect([name, refusal(trackerReader, [`<${name},data,1,22/11/26,10.0.0.1,5>\n`])]).toEqual([name, "bad-name"]);
    }
  });
});

describe("what breaks the grammar", () => {
  test("a list of one content needs its content id", () => {
    for (const root of ["", "x", ROOT.slice(1), `${ROOT}0`, ROOT.replace("9", "g")]) {
      expect([root, refusal(trackerReader, [`${HELLO_TRACKER}LIST root=${root}\n`])]).toEqual([root, "bad-request"]);
    }
  });

  test("a line of very many values is refused before it is read, by trackers and by holders", () => {
    const [few, many] = [" a=%41".repeat(62), " a=%41".repeat(600)];
    const { verb } = read(trackerReader, [`${HELLO_TRACKER}WHO${few}\n`])[1] as { verb: string };
    expect(verb).toBe("WHO");
    for (const request of ["WHO", "FIND", "LIST", `CONNECT address=10.0.0.1 port=1 token=a`]) {
      expect([request, refusal(trackerReader, [`${HELLO_TRACKER}${request}${many}\n`])]).toEqual([request, "bad-line"]);
    }
    expect(refusal(holderReader, [`HELLO FT/2 pass=a.b\nRUBBISH${many}\n`])).toBe("bad-line");
  });

  test("a record with a value that is not taken is left out; the others, and the connection, go on", () => {
    const bad = REPORT.replace("<report.pdf", `<${"x".repeat(256)}`);
    const lists = `FILES 3 port=5\n${bad}\n${REPORT}\n${NOTES}\nADD ${bad}\nFILES 1 port=5\n${REPORT}\nPING\n`;
    const [, files, unfit, again, ping] = read(trackerReader, [HELLO_TRACKER + lists]);
    expect(files).toMatchObject({
      verb: "FILES",
      records: [{ name: "report.pdf" }, { name: "my notes, 2.txt" }],
      unfit: { code: "bad-name", count: 1 },
    });
    expect(unfit).toMatchObject({ verb: "UNFIT", code: "bad-name", words: "The file name is longer than 255 bytes." });
    expect(again).toMatchObject({ verb: "FILES", records: [{ name: "report.pdf" }] });
    expect(ping).toEqual({ verb: "PING" });
    expect(refusal(trackerReader, [`${HELLO_TRACKER}FILES 1 port=5\n${bad}\n`])).toBe("bad-name");
  });

  test("requests that lack something are refused", () => {
    const lines: [string, string][] = [
      ["FILES\n", "bad-number"],
      ["FILES port=5\n", "bad-number"],
      ["FILES 1\n", "bad-port"],
      ["FILES 2 port=5\nPING\n", "bad-record"],
      ["FILES 1 port=5\n\n", "bad-record"],
      ["ADD\n", "bad-record"],
      ["ADD report.pdf\n", "bad-record"],
      [`ADD  ${REPORT}\n`, "bad-record"],
      [`ADD ${REPORT} \n`, "bad-record"],
      ["DROP\n", "bad-name"],
      ["SEARCH:\n", "bad-name"],
      ["KNOWN\n", "bad-address"],
      ["KNOWN localhost\n", "bad-address"],
      ["KNOWN 1.2.3.4 \n", "bad-address"],
      ["KNOWN 1.2.3.4:5\n", "bad-address"],
    ];
    for (const [line, code] of lines) expect([line, refusal(trackerReader, [HELLO_TRACKER + line])]).toEqual([line, code]);
  });

  test("a line of another peer that cannot be read is left out of an answer, and counted", () => {
    const peer = "id=b address=10.0.0.1 port=5 files=1 bytes=1 agent= since=";
    const bad = peer.replace("bytes=1", "bytes=-1");
    const [found, peers, pong] = read(sessionReader, [
      `FOUND: 4 total=9\n<a>\n${REPORT}\n<%,data,1,22/11/26,10.0.0.1,5>\n${NOTES}\nPEERS: 3\n${bad}\n${peer}\n${bad}\nPONG\n`,
    ]);
    expect(found).toMatchObject({
      verb: "FOUND",
      records: [{ name: "report.pdf" }, { name: "my notes, 2.txt" }],
      unread: 2,
      total: 9,
    });
    expect(peers).toMatchObject({ verb: "PEERS", peers: [{ id: "b" }], unread: 2 });
    expect(pong).toEqual({ verb: "PONG" });
    expect(read(sessionReader, ["FOUND: 1\nx\n"])).toEqual([{ verb: "FOUND", records: [], unread: 1 }]);
    expect(refusal(sessionReader, [`FOUND: 2\n${"x".repeat(4096)}\n`])).toBe("line-too-long");
    expect(refusal(sessionReader, [Uint8Array.of(...Buffer.from("FOUND: 1\n<"), 0xff, 10)])).toBe("bad-encoding");
  });

  test("replies that lack something are refused", () => {
    const lines: [string, string][] = [
      ["HI\n", "bad-line"],
      ["HI FT/2\n", "bad-line"],
      [`HI FT/3 max=5 key=${KEY} you=10.0.0.1\n`, "bad-line"],
      [`HI FT/2 max=5 key=${KEY}\n`, "bad-line"],
      [`HI FT/2 max=5 key=${KEY} you=localhost\n`, "bad-line"],
      [`HI FT/2 key=${KEY} you=10.0.0.1\n`, "bad-line"],
      ["HI FT/2 max=5 you=10.0.0.1\n", "bad-line"],
      ["WELCOME id=a peers=1 files=1\n", "bad-line"],
      ["WELCOME pass=a peers=1 files=1\n", "bad-line"],
      ["WELCOME id=a pass=b\n", "bad-line"],
      ["FOUND:\n", "bad-number"],
      [`FOUND: 1 ${REPORT}\n`, "bad-number"],
      ["FOUND: 1\nPONG\n", LEFT_OUT],
      ["PEERS: 1\nid=a\n", LEFT_OUT],
      ["PEERS: 1\nid=a address=x port=1 files=1 bytes=1\n", LEFT_OUT],
      ["WELCOME id=a pass=b peers=1 files=1 session=%\n", "bad-escape"],
      ["REACH no reason=%zz\n", "bad-escape"],
      // In the middle of a list nothing is pushed.
      [`FOUND: 2\n${REPORT}\nREACH yes\n`, LEFT_OUT],
      ["PEERS: 1\nCONNECT address=10.0.0.1 port=5 token=t\n", LEFT_OUT],
    ];
    for (const [line, code] of lines) expect([line, refusal(sessionReader, [line])]).toEqual([line, code]);
  });

  test("a CONNECT of either side has an address, a port and a token that can mean nothing else", () => {
    const lines: [string, string][] = [
      ["CONNECT\n", "bad-line"],
      ["CONNECT 10.0.0.1 5 t\n", "bad-line"],
      ["CONNECT port=5 token=t\n", "bad-line"],
      ["CONNECT address=10.0.0.1 token=t\n", "bad-line"],
      ["CONNECT address=10.0.0.1 port=5\n", "bad-line"],
      ["CONNECT address= port=5 token=t\n", "bad-address"],
      ["CONNECT address=localhost port=5 token=t\n", "bad-address"],
      ["CONNECT address=10.0.0.1:5 port=5 token=t\n", "bad-address"],
      ["CONNECT address=10.0.0.256 port=5 token=t\n", "bad-address"],
      ["CONNECT address=[::1] port=5 token=t\n", "bad-address"],
      ["CONNECT address=10.0.0.1%20 port=5 token=t\n", "bad-address"],
      ["CONNECT address=10.0.0.1 port=0 token=t\n", "bad-port"],
      ["CONNECT address=10.0.0.1 port=65536 token=t\n", "bad-port"],
      ["CONNECT address=10.0.0.1 port=5 token=\n", "bad-token"],
      [`CONNECT address=10.0.0.1 port=5 token=${"t".repeat(65)}\n`, "bad-token"],
      ["CONNECT address=10.0.0.1 port=5 token=%zz\n", "bad-escape"],
    ];
    for (const token of ["%0A", "t%0A", "t%0D%0AFILES", "a%20b", "a.b", "a=b", "a+b", "a/b", "ü", "%00", "\u202e", "%25"]) {
      lines.push([`CONNECT address=10.0.0.1 port=5 token=${token}\n`, "bad-token"]);
    }
    for (const [line, code] of lines) {
      const codes = [refusal(trackerReader, [HELLO_TRACKER + line]), refusal(sessionReader, [line])];
      expect([line, ...codes]).toEqual([line, code, code]);
    }
  });

  test.each(["id", "pass", "session"] as const)(
    "the %s that a tracker gives to a peer is one word of what the peer says",
    (key) => {
      const hostile = [
        "x%0ABYE",
        "x%0D%0ASET%20a%20b%0D%0A",
        "%0A",
        "a%20token=b",
        "100%25",
        "%22",
        "ü",
        "a%C2%85b",
        "x".repeat(3000),
      ];
      for (const value of hostile) {
        const words = Object.entries({ id: "a", pass: "b", peers: "1", files: "1", session: "c", [key]: value });
        let heard: Said | undefined;
        try {
          [heard] = read(sessionReader, [`WELCOME ${words.map((pair) => pair.join("=")).join(" ")}\n`]);
        } catch (error) {
          // To refuse it is a good answer, too.
          if (error instanceof ProtocolError) continue;
          throw error;
        }
        if (heard?.verb !== "WELCOME") throw new Error(`${value}: ${heard?.verb}`);
        const { id, pass, session = "" } = heard;
        const says = {
          id: () => read(trackerReader, [HELLO_TRACKER, encodeToTracker({ verb: "LIST", id, offset: 0, limit: 5 })]).slice(1),
          pass: () => read(holderReader, [encodeToHolder({ verb: "HELLO", pass })]),
          session: () => read(trackerReader, [encodeToTracker({ verb: "HELLO", profile: 2, agent: "x", session })]),
        };
        const meant = {
          id: { verb: "LIST", id, offset: 0, limit: 5 },
          pass: { verb: "HELLO", pass },
          session: { verb: "HELLO", profile: 2, agent: "x", session },
        };
        expect([value, says[key]()]).toEqual([value, [meant[key]]] as never);
      }
    },
  );

  test("requests for a file that lack something are refused", () => {
    const lines: [string, string][] = [
      ["DOWNLOAD\n", "bad-request"],
      ["DOWNLOAD offset=0 length=5\n", "bad-request"],
      ["DOWNLOAD report.pdf\n", "bad-request"],
      [`DOWNLOAD root=${ROOT.slice(1)}\n`, "bad-request"],
      [`DOWNLOAD root=${ROOT}0\n`, "bad-request"],
      ["DOWNLOAD root=\n", "bad-request"],
      [`TREE root=${ROOT.slice(1)} piece=65536\n`, "bad-request"],
      [`TREE root=${ROOT}\n`, "bad-line"],
      ["TREE piece=65536\n", "bad-line"],
      ["TREE\n", "bad-line"],
      [`HAVE root=${ROOT}0\n`, "bad-request"],
      [`HAVE ${ROOT}\n`, "bad-line"],
      ["HAVE\n", "bad-line"],
    ];
    for (const [line, code] of lines) expect([line, refusal(holderReader, [HELLO_HOLDER + line])]).toEqual([line, code]);
    for (const request of ["DOWNLOAD:", "DOWNLOAD:a", "DOWNLOAD:a,data", "DOWNLOAD:a,data,", "DOWNLOAD:a,1"]) {
      expect([request, refusal(holderReader, [request], "end")]).toEqual([request, "bad-request"]);
    }
    for (const request of ["DOWNLOAD", "DOWNLOADER", "DOWNLOAD\n", "DOWNLOADa,b,1"]) {
      expect([request, refusal(holderReader, [request], "end")]).toEqual([request, "unknown-message"]);
    }
  });

  test("answers of a holder that lack something, or are none, are refused", () => {
    const lines = [
      "FILE:\n",
      "FILE: length=1\n",
      "FILE: size=1\n",
      "BUSY\n",
      "TREE\n",
      "HAVE\n",
      `TREE root=${ROOT} piece=65536\n`,
      `HAVE root=${ROOT}\n`,
      "PONG\n",
      "\n",
      "FOUND: 0\n",
      "HTTP/1.1 200 OK\r\n",
    ];
    for (const line of lines) {
      expect([line, refusal(downloadReader, [line])]).toEqual([line, expect.stringMatching(/^(?:bad-line|unknown-message)$/)]);
    }
  });

  test("FT/1 requests from nowhere are refused", () => {
    const requests = [
      "SEARCH",
      "SEARCHING",
      "BYEBYE",
      "BYE NOW",
      "PING",
      "FILES 1 port=5",
      "<>",
      "<a>",
      "<",
      "hello",
      " HELLO",
    ];
    for (const request of requests) {
      for (const [newline, last] of [
        ["\n", ""],
        ["", "end"],
      ] as const) {
        const code = refusal(trackerReader, [request + newline], last);
        expect([request, code]).toEqual([request, expect.stringMatching(/^(?:unknown-message|bad-record)$/)]);
      }
    }
  });

  test("a sentence of refusal is one sentence for a person", () => {
    for (const line of ["FILES 6 port=5\n", "FILES x\n", "KNOWN x\n", "DROP \n", "ADD x\n", "SEARCH: %\n", "LIST offset=x\n"]) {
      expect(() => read(trackerReader, [HELLO_TRACKER + line])).toThrow(/^[^\n]{10,}\.$/);
    }
  });
});

describe("endless input", () => {
  const states: [what: string, make: () => Reader, start: string][] = [
    ["an FT/1 list", trackerReader, "<"],
    ["an FT/1 search", trackerReader, "SEARCH: "],
    ["an FT/1 BYE", trackerReader, "BYE"],
    ["spaces to a tracker", trackerReader, " "],
    ["a session with a tracker", trackerReader, HELLO_TRACKER],
    ["a first line to a tracker", trackerReader, "HELLO FT/2 agent="],
    ["a list to a tracker", trackerReader, `${HELLO_TRACKER}FILES 5 port=5\n<`],
    ["a reply", sessionReader, ""],
    ["a list of records", sessionReader, "FOUND: 2000\n<"],
    ["a list of peers", sessionReader, "PEERS: 2000\nid="],
    ["an FT/1 request for a file", holderReader, "DOWNLOAD:"],
    ["a session with a holder", holderReader, HELLO_HOLDER],
    ["a first line to a holder", holderReader, "HELLO FT/2 pass="],
    ["a holder's answer", downloadReader, ""],
    ["what follows a body", downloadReader, "FILE: length=2 size=2\nab"],
    ["what follows piece hashes", downloadReader, `TREE: 1\n${"h".repeat(32)}`],
  ];

  test.each(states)("in %s is refused at 4096 bytes", (_, make, start) => {
    for (const filler of ["x", " ", "漢", "<"]) {
      for (const size of [1, 100, 1000]) {
        const reader = make();
        reader.push(utf8.encode(start));
        drain(reader);
        const piece = utf8.encode(filler.repeat(size));
        let sent = 0;
        const code = refusalOf(() => {
          while (sent <= LINE_LIMIT + piece.length) {
            reader.push(piece);
            sent += piece.length;
            drain(reader);
            reader.silence();
          }
          return `${sent} bytes were taken`;
        });
        const refused = expect.stringMatching(/^(?:line-too-long|unknown-message|bad-record|bad-name)$/);
        expect([filler, size, code]).toEqual([filler, size, refused]);
      }
    }
  });

  test("of empty lines to a tracker leaves nothing behind", () => {
    const inbox = new TrackerInbox(LIMITS);
    for (let i = 0; i < 100; i++) {
      inbox.push(utf8.encode("\n\r\n  \n".repeat(1000)));
      expect(inbox.next()).toBeUndefined();
      expect(inbox.waiting).toBeLessThanOrEqual(LINE_LIMIT);
    }
  });

  test.each(["\n", " ", "\r\n", "\t\v\f"])("of %j to a holder is refused, or leaves nothing behind", (filler) => {
    const inbox = new HolderInbox();
    let waiting = 0;
    try {
      for (let i = 0; i < 20; i++) {
        inbox.push(utf8.encode(filler.repeat(1000)));
        drain(inbox);
        waiting = Math.max(waiting, inbox.waiting);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
    expect(waiting).toBeLessThanOrEqual(LINE_LIMIT);
  });
});

describe("what is no text", () => {
  const BROKEN = [
    [0xff],
    [0x80],
    [0xc3],
    [0xc0, 0xaf],
    [0xed, 0xa0, 0x80],
    [0xe2, 0x82],
    [0xf5, 0x80, 0x80, 0x80],
    [0xfe, 0xff],
  ];
  const places: [what: string, make: () => Reader, start: string][] = [
    ["an FT/1 name", trackerReader, "SEARCH: "],
    ["an FT/1 record", trackerReader, "<"],
    ["an FT/2 request", trackerReader, `${HELLO_TRACKER}SEARCH: `],
    ["a record", trackerReader, `${HELLO_TRACKER}FILES 1 port=5\n<`],
    ["a reply", sessionReader, "NOTICE "],
    ["a record found", sessionReader, "FOUND: 1\n<"],
    ["an FT/1 request for a file", holderReader, "DOWNLOAD "],
    ["a request for a file", holderReader, `${HELLO_HOLDER}DOWNLOAD name=`],
    ["a holder's answer", downloadReader, "ERROR x "],
  ];

  test.each(places)("is refused in %s", (_, make, start) => {
    for (const bytes of BROKEN) {
      const line = new Uint8Array([...utf8.encode(start), ...bytes, 10]);
      expect([bytes, refusal(make, [line])]).toEqual([bytes, "bad-encoding"]);
      const single = Array.from(line, (byte) => Uint8Array.of(byte));
      expect([bytes, refusal(make, single)]).toEqual([bytes, "bad-encoding"]);
    }
  });

  test("control characters are refused in every line of FT/2", () => {
    for (const character of ["\0", "\x01", "\t", "\r", "\x1b", "\x7f", "\u0080", "\u009f"]) {
      const code = [
        refusal(trackerReader, [`${HELLO_TRACKER}PING ${character}x\n`]),
        refusal(sessionReader, [`NOTICE a${character}b\n`]),
        refusal(holderReader, [`${HELLO_HOLDER}DOWNLOAD name=a${character}b\n`]),
        refusal(downloadReader, [`ERROR a ${character}b\n`]),
      ];
      expect([character, ...code]).toEqual([character, "bad-line", "bad-line", "bad-line", "bad-line"]);
    }
  });
});

describe("strangers that speak something else", () => {
  const OPENINGS: [what: string, bytes: Uint8Array][] = [
    ["a browser", utf8.encode("GET / HTTP/1.1\r\nHost: 192.168.1.1:1234\r\n\r\n")],
    ["a form", utf8.encode("POST /upload HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")],
    ["a HEAD request", utf8.encode("HEAD / HTTP/1.0\r\n\r\n")],
    ["HTTP/2", utf8.encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
    ["TLS", Uint8Array.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x0a])],
    ["SSH", utf8.encode("SSH-2.0-OpenSSH_9.6\r\n")],
    ["BitTorrent", utf8.encode("\x13BitTorrent protocol\0\0\0\0\0\0\0\0")],
    ["mail", utf8.encode("EHLO example.org\r\n")],
    ["Redis", utf8.encode("*1\r\n$4\r\nPING\r\n")],
    ["a proxy", Uint8Array.from([0x05, 0x01, 0x00])],
    ["NULs", new Uint8Array(64)],
    ["rubbish", Uint8Array.from({ length: 64 }, (_, i) => (i * 37 + 200) & 255)],
    ["a byte order mark", utf8.encode("\ufeffHELLO")],
    ["small letters", utf8.encode("hello")],
  ];

  test.each(OPENINGS)("%s is refused by its first bytes, by tracker and holder", (_, bytes) => {
    for (const make of [trackerReader, holderReader]) {
      expect(refusal(make, [bytes])).toBe("unknown-message");
      const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
      expect(refusal(make, single.slice(0, 12))).toBe("unknown-message");
    }
  });

  test("a message from the wrong side is refused by its type", () => {
    expect(refusal(trackerReader, [FROM_TRACKER[0]?.[0] ?? ""])).toBe("unknown-message");
    expect(refusal(trackerReader, [`DOWNLOAD:a,data,1\n`])).toBe("unknown-message");
    expect(refusal(holderReader, ["SEARCH: a\n"])).toBe("unknown-message");
    expect(refusal(holderReader, [`${BASIC_NOTES}\n`])).toBe("unknown-message");
    expect(refusal(downloadReader, ["WELCOME id=a pass=b peers=1 files=1\n"])).toBe("unknown-message");
    expect(read(trackerReader, [`${HELLO_TRACKER}DOWNLOAD name=a\n`])).toEqual([
      helloTracker,
      { verb: "UNKNOWN", word: "DOWNLOAD" },
    ]);
    expect(read(holderReader, [`${HELLO_HOLDER}SEARCH: a\n`])).toEqual([helloHolder, { verb: "UNKNOWN", word: "SEARCH:" }]);
  });
});

// ---------------------------------------------------------------- FT/1 answers and old trackers

describe("an old tracker's answer", () => {
  const name = parseFileName("my notes.txt");

  test("has the records of the name that was asked for", () => {
    const expected = [basicNotes, { ...basicData, name }];
    const lines = ["<text/plain,120,01/02/25,192.168.1.17,1235>", "<data,0,31/12/99,10.0.0.1,65535>"];
    for (const answer of [`FOUND: ${lines.join("\n")}\n`, `FOUND: ${lines.join("\n")}`, `FOUND: ${lines.join("\r\n")}\r\n`]) {
      expect(parseBasicFound(utf8.encode(answer), name)).toEqual(expected);
    }
    expect(parseBasicFound(utf8.encode(`FOUND:${lines.join("")}`), name)).toEqual(expected);
  });

  test("NOT FOUND has none", () => {
    expect(parseBasicFound(utf8.encode("NOT FOUND"), name)).toEqual([]);
    expect(parseBasicFound(utf8.encode("NOT FOUND\n"), name)).toEqual([]);
    expect(parseBasicFound(utf8.encode("FOUND: "), name)).toEqual([]);
  });

  test("anything else is refused", () => {
    for (const answer of ["", "HI", "ERROR", "FOUND", "found: <data,0,31/12/99,10.0.0.1,5>", "<data,0,31/12/99,10.0.0.1,5>"]) {
      expect([answer, refusalOf(() => parseBasicFound(utf8.encode(answer), name))]).toEqual([answer, "bad-answer"]);
    }
    expect(refusalOf(() => parseBasicFound(Uint8Array.of(0x46, 0xff), name))).toBe("bad-encoding");
  });

  test("records that cannot be read are left out, the others stay", () => {
    const hostile = ["<data,-1,31/12/99,10.0.0.1,5>", "<data,1e3,31/12/99,10.0.0.1,5>", "<data,1,31/12/99,10.0.0.1,0>"];
    const more = ["<data,1,31/12/99,nowhere,5>", "<a,data,1,31/12/99,10.0.0.1,5>", "<>", "<<", "rubbish"];
    const answer = `FOUND: ${[...hostile, "<data,0,31/12/99,10.0.0.1,65535>", ...more].join("\n")}`;
    expect(parseBasicFound(utf8.encode(answer), name)).toEqual([{ ...basicData, name }]);
  });

  test("is cut at 2000 records, and read in one pass whatever it holds", () => {
    const many = `FOUND: ${"<data,0,31/12/99,10.0.0.1,5>\n".repeat(3000)}`;
    expect(parseBasicFound(utf8.encode(many), name)).toHaveLength(2000);
    expect(parseBasicFound(utf8.encode(`FOUND: ${"<".repeat(200_000)}`), name)).toEqual([]);
  });
});

describe("towards an old tracker", () => {
  const named = (name: string): FileRecord => ({ ...basicNotes, name: parseFileName(name) });

  test("only names of letters, dot, underscore, dash and space are taken, and the others are named", () => {
    const taken = ["notes.txt", "My Notes.txt", "a_b-c.d", "README"].map(named);
    const left = ["notes2.txt", "Übung.txt", "a,b.txt", "a+b", "50%", " lead", "trail ", "a\nb", "<x>", "漢字"].map(named);
    expect(forOldTracker([...taken, ...left])).toEqual({ taken, left });
    expect(forOldTracker([left[0] ?? named("1"), taken[0] ?? named("a")])).toEqual({
      taken: taken.slice(0, 1),
      left: left.slice(0, 1),
    });
  });

  test("a type it would not read becomes data", () => {
    const types = [
      "text/plain",
      "application/x-7z-compressed",
      "text/plain;charset=utf-8",
      "video/mp4",
      "data",
      "image/svg+xml",
    ];
    const { taken, left } = forOldTracker(types.map((type, i) => ({ ...named(`file ${"abcdef"[i]}`), type })));
    expect(taken.map(({ type }) => type)).toEqual(["text/plain", "data", "data", "data", "data", "data"]);
    expect(left).toEqual([]);
  });

  test("an address it cannot read is left out", () => {
    const six = { ...basicNotes, address: addressOf("2001:db8::7") };
    expect(forOldTracker([six, basicNotes])).toEqual({ taken: [basicNotes], left: [six] });
  });

  test("what does not fit in the 1024 bytes it reads is left out", () => {
    const records = ["a", "b", "c", "d", "e"].map((letter) => named(letter.repeat(250)));
    const { taken, left } = forOldTracker(records);
    expect([taken.length, left.length]).toEqual([3, 2]);
    expect(byteLength(basic.records(taken))).toBeLessThanOrEqual(1024);
    expect(taken).toEqual(records.slice(0, 3));
    expect(left).toEqual(records.slice(3));
  });

  test("what is taken is read back by the tracker as it was meant", () => {
    const { taken } = forOldTracker([named("My Notes.txt"), { ...named("video.mov"), type: "video/mp4" }]);
    expect(settled(read(trackerReader, [basic.records(taken)], "end"))).toEqual([
      { verb: "FILES", profile: 1, records: taken },
    ]);
  });
});

describe("FIND", () => {
  const line =
    "FIND Annual Stra%C3%9Fe a%3Db -draft *.pdf ext=pdf,odt type=video/ min=10 max=2000 after=2026-01-02 before=2026-11-22 limit=7 offset=3 group=1 new=1\n";
  const wish = {
    verb: "FIND",
    words: ["Annual", "Straße", "a=b", "-draft", "*.pdf"],
    ext: ["pdf", "odt"],
    type: "video/",
    min: 10,
    max: 2000,
    after: "2026-01-02",
    before: "2026-11-22",
    offset: 3,
    limit: 7,
    group: true,
  } as const;

  function readRequest(text: string) {
    const inbox = new TrackerInbox(LIMITS);
    inbox.push(new TextEncoder().encode(`HELLO FT/2 agent=x\n${text}`));
    inbox.next();
    return inbox.next();
  }

  test("is words, and filters by key; what else comes is ignored", () => {
    expect(readRequest(line)).toEqual({ ...wish, words: [...wish.words], ext: [...wish.ext] });
    expect(readRequest("FIND report\n")).toEqual({ verb: "FIND", words: ["report"], offset: 0, limit: 200, group: false });
    expect(readRequest("FIND\n")).toMatchObject({ words: [] });
    expect(readRequest("FIND x limit=99999\n")).toMatchObject({ limit: 2000 });
  });

  test("is read as it was written, whatever the words are", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }), { maxLength: 5 }), (words) => {
        const asked = { ...wish, words, ext: [...wish.ext] };
        expect(readRequest(encodeToTracker(asked))).toEqual(asked);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });

  test.each(["min=-1", "max=1e3", "after=yesterday", "before=2026-13-01", "root=12", "limit=x"])(
    "%s breaks the grammar",
    (bad) => {
      expect(() => readRequest(`FIND x ${bad}\n`)).toThrow(ProtocolError);
    },
  );

  test("is answered with how many there are, and one record for each content", () => {
    const inbox = new SessionInbox();
    const record = "<a.txt,text/plain,2,22/11/26,10.0.0.2,1235;v=2;holders=17>";
    inbox.push(new TextEncoder().encode(`FOUND: 1 total=40\n${record}\n`));
    expect(inbox.next()).toMatchObject({ verb: "FOUND", total: 40, records: [{ name: "a.txt", holders: 17 }] });
    expect(encodeFromTracker({ verb: "FOUND", lines: [record], total: 40 })).toBe(`FOUND: 1 total=40\n${record}\n`);
  });
});
