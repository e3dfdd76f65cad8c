// The protocol: every message of both profiles, its type, how it is written and how it is read. Bytes in, messages out:
// nothing here knows a socket, a clock or a log.
//
// FT/1, the basic profile (the plain programs of 2020). A message is what arrives until a newline, the end of the stream, or
// 50 ms of silence. One exchange a connection:
//
//     peer → tracker   HELLO                          tracker → peer   HI                  (two bytes)
//     peer → tracker   <name,type,size,DD/MM/YY,IP,port>\n   once per file, names raw; the peer closes, nothing is answered
//     peer → tracker   SEARCH: name                   tracker → peer   FOUND: <type,size,DD/MM/YY,IP,port>\n…  or  NOT FOUND
//     peer → tracker   BYE                            every FT/1 peer of that address is removed, nothing is answered
//     peer → peer      DOWNLOAD:name,type,size        peer → peer      FILE: + the bytes, then the end of the stream
//     peer → peer      DOWNLOAD name                  peer → peer      FILE: + one space + the bytes
//
// A list of records is one list however it arrives: what comes later makes it longer, and one record too many refuses all of it.
//
// FT/2. UTF-8 lines ending in LF (CR LF is read too), 4096 bytes at most with the LF. `VERB arg … key=value …`, one space between.
// `% , ; < >`, control characters and, in values, the space are written %XX. Unknown keys are ignored, unknown verbs answered
// with ERROR unknown-verb. After a line that breaks the grammar or a limit comes ERROR code words, and a close; the words are the
// rest of the line, not escaped.
//
//     peer → tracker, one connection for as long as the peer is online
//       HELLO FT/2 agent=… extras=1 session=…   → HI FT/2 name=… max=… key=… you=… announced=yes|no results=…
//       FILES n port=p, n records     → WELCOME id=… pass=… peers=… files=… session=…   (later again: a new list, a new pass)
//                                       Who says the session of an earlier WELCOME takes the place of that connection.
//                                       announced=, results= (records in an answer at most, if not 2000), session=, and reach=
//                                       in records and WHO, come to those who said extras=1.
//       ADD <record>  ·  DROP name    → OK  ·  NOT FOUND (no such record)  ·  ERROR last-file
//                                       A record with part=1 comes by ADD only, and is not counted among the files of the peer.
//       SEARCH: name                  → FOUND: n, n records  ·  NOT FOUND
//       LIST id=… root=… offset=… limit=…  → the same; of one peer, of one content, or everything
//       FIND word… ext=… type=… min=… max=… after=YYYY-MM-DD before=YYYY-MM-DD root=… offset=… limit=… group=1
//                                     → FOUND: n total=m, n records  ·  NOT FOUND  ·  ERROR bad-find
//                                       Best first, records of one content together; with group=1 one record for each content, with
//                                       holders=, how many have the whole of it. A word's = is written %3D. How words are matched is
//                                       said in words.ts. Who makes a tracker search for long waits longer for its next answer.
//       WHO offset=… limit=…          → PEERS: n, n lines id=… address=… port=… files=… bytes=… agent=… since=… reach=yes|no
//       KNOWN address                 → YES  ·  NO
//       CONNECT address=… port=… token=…   → OK  ·  NOT FOUND (no such peer)  ·  ERROR too-many-connects
//       PING                          → PONG
//       BYE                           → BYE, close
//     tracker → peer, between replies (what else comes there is for later versions, and is passed over)
//       NOTICE words
//       REACH yes  ·  REACH no reason=…    whether the tracker could connect to the peer's port, once after it joined
//       CONNECT address=… port=… token=…   a peer there asks to be connected to
//     peer → peer
//       HELLO FT/2 pass=…             → HI FT/2
//       DOWNLOAD root=…|name=… offset=… length=…   → FILE: length=n size=total, n raw bytes  ·  BUSY position=k  ·  NOT FOUND  ·  ERROR
//       TREE root=… piece=bytes       → TREE: n, n × 32 raw bytes  ·  NOT FOUND  ·  ERROR
//       HAVE root=…                   → HAVE: n, n raw bytes  ·  NOT FOUND
//       BYE                           → close
//
// A piece has the size that `pieceSizeOf` gives for the file; TREE may ask for larger ones too. HAVE's bit 7 of byte 0 is piece 0;
// a whole file is all ones, spare bits too, which mean nothing. DOWNLOAD of what an unfinished holder has not verified yet is ERROR
// not-here. BUSY: all slots are taken and position is the place in the queue; who asks again every second or so keeps the place,
// and the slot, once it is free. While others wait, a slot goes to the next after ten seconds.
//
// Connect-back, for a holder whose firewall lets nobody in. The downloader makes up a token and asks its tracker with CONNECT and
// the holder's address and port; the tracker tells the holder, with the address that it sees of the downloader and the port of the
// downloader's records; the holder dials there and says HELLO FT/2 token=…. From there on it is as if the downloader had dialled:
// it says HELLO FT/2 pass=… and asks. A token is good once, for a few seconds, with the peer that made it up.
//
// A record is <name,type,size,DD/MM/YY,address,port;v=2;mtime=…;root=…;part=1;reach=no>; the tracker alone says reach=no, of a
// holder that it could not connect to. Addresses are published without zones: who is told a link-local one uses its own. Replies come in the order of the requests, which may
// be pipelined. What is not accepted gets no answer: FILES 0, and every request before FILES. A tracker that has already
// answered `HELLO` with `HI` and then sees ` FT/2 …` follow completes its line, so the bytes are the same however they were cut.

import { ProtocolError } from "./error.ts";
import { decodeText, Frame, LINE_LIMIT } from "./frame.ts";
import { HASH } from "./merkle.ts";
import { RecentLines } from "./recent.ts";
import {
  type Address,
  byteLength,
  type Endpoint,
  escapeField,
  escapeValue,
  type FileName,
  type FileRecord,
  formatBasicRecord,
  formatRecord,
  NAME_LIMIT,
  parseAddress,
  parseBasicRecord,
  parseFileName,
  parseFoundRecord,
  parsePort,
  parseRecord,
  parseRoot,
  parseWhole,
  unescapeField,
} from "./record.ts";

export const DEFAULT_TRACKER_PORT = 1234;
export const DEFAULT_MAX_FILES = 5;
/** FT/1: this much silence ends a message. */
export const SILENCE_MS = 50;
/** How long an FT/1 tracker's silence after `HELLO FT/2` is waited for. */
export const PROFILE_WAIT_MS = 1000;
/** A peer pings after this much silence; its tracker drops it after twice as much. */
export const PING_MS = 45_000;
/** A pass is good for this long after it was issued. */
export const PASS_LIFETIME_S = 3600;
export const RESULTS_DEFAULT = 200;
export const RESULTS_LIMIT = 2000;

/** It is said to a third peer as it is, so that there is nothing else that it could mean. */
const TOKEN = /^[\w-]{1,64}$/;

/** Characters of an agent that are kept: it comes back in a line of WHO. */
const AGENT_LIMIT = 64;

export type Profile = 1 | 2;

/** A page of a long answer. */
export interface Page {
  offset: number;
  limit: number;
}

/** What FIND asks for. Words and filters are ANDed; which words there can be is find.ts's business. */
export interface Wish extends Page {
  words: string[];
  /** Extensions without the dot, any of them. */
  ext?: string[];
  /** What the MIME type begins with. */
  type?: string;
  /** Bytes, both included. */
  min?: number;
  max?: number;
  /** Days of last modification, `YYYY-MM-DD`, both included. */
  after?: string;
  before?: string;
  root?: string;
  /** One record for each content. */
  group: boolean;
}

/** One line of the answer to WHO. */
export interface PeerLine {
  id: string;
  address: Address;
  port: number;
  files: number;
  bytes: number;
  agent: string;
  /** ISO 8601 UTC. */
  since: string;
  /** Whether the tracker could connect to its port; undefined until that is known. */
  reach?: boolean | undefined;
}

/** Somebody to connect to, and what to say there. */
export interface CallBack extends Endpoint {
  token: string;
}

export type ToTracker =
  | { verb: "HELLO"; profile: 1 }
  /** `extras`: it knows what later versions added to answers. */
  | { verb: "HELLO"; profile: 2; agent: string; extras?: boolean; session?: string | undefined }
  | { verb: "FILES"; profile: 1; records: FileRecord[] }
  | { verb: "FILES"; profile: 2; port: number; records: FileRecord[] }
  | { verb: "ADD"; record: FileRecord }
  | { verb: "DROP"; name: FileName }
  | { verb: "SEARCH"; name: FileName }
  | ({ verb: "LIST"; id?: string; root?: string } & Page)
  | ({ verb: "FIND" } & Wish)
  | ({ verb: "WHO" } & Page)
  | { verb: "KNOWN"; address: Address }
  | ({ verb: "CONNECT" } & CallBack)
  | { verb: "PING" }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

export type FromTracker =
  /** `announced`: whether it can be found by DNS-SD; `results`: records in an answer at most; as far as it says. */
  | {
      verb: "HI";
      name: string;
      max: number;
      key: string;
      you: Address;
      announced?: boolean | undefined;
      results?: number | undefined;
    }
  | { verb: "WELCOME"; id: string; pass: string; session?: string | undefined; peers: number; files: number }
  | { verb: "OK" }
  /** `total`: how many there are, if these are not all. */
  | { verb: "FOUND"; records: FileRecord[]; total?: number }
  | { verb: "NOT FOUND" }
  | { verb: "PEERS"; peers: PeerLine[] }
  | { verb: "YES" }
  | { verb: "NO" }
  | { verb: "PONG" }
  | { verb: "BYE" }
  | { verb: "ERROR"; code: string; words: string }
  | { verb: "NOTICE"; words: string }
  | { verb: "REACH"; reachable: boolean; reason: string }
  | ({ verb: "CONNECT" } & CallBack)
  | { verb: "UNKNOWN"; word: string };

/** What a tracker says without being asked. */
export type Push = Extract<FromTracker, { verb: "NOTICE" | "REACH" | "CONNECT" }>;

/** A name that is asked for may be any text: what is not on the list is not found, whatever it looks like. */
export type ToHolder =
  /** With a pass from who wants something; with a token from who was asked to connect back. */
  | { verb: "HELLO"; pass: string; token?: string | undefined }
  | { verb: "DOWNLOAD"; profile: 1; name: string; size?: number; spaced: boolean }
  | { verb: "DOWNLOAD"; profile: 2; root?: string; name?: string; offset: number; length?: number }
  | { verb: "TREE"; root: string; piece: number }
  | { verb: "HAVE"; root: string }
  | { verb: "BYE" }
  | { verb: "UNKNOWN"; word: string };

export type FromHolder =
  | { verb: "HI" }
  /** `length` raw bytes follow; the whole file has `size`. */
  | { verb: "FILE"; length: number; size: number }
  | { verb: "BUSY"; position: number }
  /** `count` hashes of 32 raw bytes follow. */
  | { verb: "TREE"; count: number }
  /** `length` raw bytes follow. */
  | { verb: "HAVE"; length: number }
  | { verb: "NOT FOUND" }
  | { verb: "ERROR"; code: string; words: string };

// ---------------------------------------------------------------- writing

/** FT/2, peer → tracker. */
export function encodeToTracker(message: Exclude<ToTracker, { profile: 1 } | { verb: "UNKNOWN" }>): string {
  switch (message.verb) {
    case "HELLO":
      return `HELLO FT/2 agent=${escapeValue(message.agent)}${message.extras ? " extras=1" : ""}${valueIf("session", message.session)}\n`;
    case "FILES": {
      const lines = message.records.map((record) => `${formatRecord(record)}\n`);
      return `FILES ${message.records.length} port=${message.port}\n${lines.join("")}`;
    }
    case "ADD":
      return `ADD ${formatRecord(message.record)}\n`;
    case "DROP":
      return `DROP ${escapeField(message.name)}\n`;
    case "SEARCH":
      return `SEARCH: ${escapeField(message.name)}\n`;
    case "LIST": {
      const id = message.id === undefined ? "" : `id=${escapeValue(message.id)} `;
      const root = message.root === undefined ? "" : `root=${message.root} `;
      return `LIST ${id}${root}${encodePage(message)}\n`;
    }
    case "FIND":
      return encodeWish(message);
    case "WHO":
      return `WHO ${encodePage(message)}\n`;
    case "KNOWN":
      return `KNOWN ${escapeField(message.address)}\n`;
    case "CONNECT":
      return encodeCallBack(message);
    case "PING":
    case "BYE":
      return `${message.verb}\n`;
    default:
      return message satisfies never;
  }
}

function encodeWish({ words, ext, type, min, max, after, before, root, group, ...page }: Wish): string {
  const said = words.map((word) => `${escapeValue(word).replaceAll("=", "%3D")} `).join("");
  const filters = [
    ["ext", ext?.join(",")],
    ["type", type],
    ["min", min?.toString()],
    ["max", max?.toString()],
    ["after", after],
    ["before", before],
    ["root", root],
  ] as const;
  const asked = filters.map(([key, value]) => valueIf(key, value)).join("");
  return `FIND ${said}${encodePage(page)}${asked}${group ? " group=1" : ""}\n`;
}

function encodeCallBack({ address, port, token }: CallBack): string {
  return `CONNECT address=${escapeValue(address)} port=${port} token=${token}\n`;
}

function encodePage({ offset, limit }: Page): string {
  return `offset=${offset} limit=${limit}`;
}

/** FT/2, tracker → peer. An answer of records takes them as lines, which the catalogue keeps ready. */
export function encodeFromTracker(
  message: Exclude<FromTracker, { verb: "UNKNOWN" | "FOUND" }> | { verb: "FOUND"; lines: string[]; total?: number },
): string {
  switch (message.verb) {
    case "HI":
      return `HI FT/2 name=${escapeValue(message.name)} max=${message.max} key=${message.key} you=${escapeValue(message.you)}${valueIf("announced", yesNo(message.announced))}${valueIf("results", message.results?.toString())}\n`;
    case "WELCOME":
      return `WELCOME id=${message.id} pass=${message.pass} peers=${message.peers} files=${message.files}${valueIf("session", message.session)}\n`;
    case "FOUND":
      return `FOUND: ${message.lines.length}${valueIf("total", message.total?.toString())}\n${message.lines.map((line) => `${line}\n`).join("")}`;
    case "PEERS":
      return `PEERS: ${message.peers.length}\n${message.peers.map(encodePeerLine).join("")}`;
    case "ERROR":
      return `ERROR ${message.code} ${oneLine(message.words)}\n`;
    case "NOTICE":
      return `NOTICE ${oneLine(message.words)}\n`;
    case "REACH":
      return message.reachable ? "REACH yes\n" : `REACH no reason=${escapeValue(message.reason)}\n`;
    case "CONNECT":
      return encodeCallBack(message);
    case "OK":
    case "NOT FOUND":
    case "YES":
    case "NO":
    case "PONG":
    case "BYE":
      return `${message.verb}\n`;
    default:
      return message satisfies never;
  }
}

/** Words for a person are the rest of their line, not escaped; only what would break the line is. */
function oneLine(words: string): string {
  return words.replace(/[\u0000-\u001f\u007f-\u009f]/g, escapeField);
}

function encodePeerLine(peer: PeerLine): string {
  return `id=${peer.id} address=${escapeValue(peer.address)} port=${peer.port} files=${peer.files} bytes=${peer.bytes} agent=${escapeValue(peer.agent)} since=${peer.since}${valueIf("reach", yesNo(peer.reach))}\n`;
}

function valueIf(key: string, value: string | undefined): string {
  return value === undefined ? "" : ` ${key}=${escapeValue(value)}`;
}

function yesNo(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? "yes" : "no";
}

/** FT/2, downloader → holder. */
export function encodeToHolder(message: Exclude<ToHolder, { profile: 1 } | { verb: "UNKNOWN" }>): string {
  switch (message.verb) {
    case "HELLO":
      return `HELLO FT/2${message.token === undefined ? ` pass=${escapeValue(message.pass)}` : valueIf("token", message.token)}\n`;
    case "DOWNLOAD": {
      const root = message.root === undefined ? "" : ` root=${message.root}`;
      const name = message.name === undefined ? "" : ` name=${escapeValue(message.name)}`;
      const length = message.length === undefined ? "" : ` length=${message.length}`;
      return `DOWNLOAD${root}${name} offset=${message.offset}${length}\n`;
    }
    case "TREE":
      return `TREE root=${message.root} piece=${message.piece}\n`;
    case "HAVE":
      return `HAVE root=${message.root}\n`;
    case "BYE":
      return "BYE\n";
    default:
      return message satisfies never;
  }
}

/** FT/2, holder → downloader. */
export function encodeFromHolder(message: FromHolder): string {
  switch (message.verb) {
    case "HI":
      return "HI FT/2\n";
    case "FILE":
      return `FILE: length=${message.length} size=${message.size}\n`;
    case "BUSY":
      return `BUSY position=${message.position}\n`;
    case "TREE":
      return `TREE: ${message.count}\n`;
    case "HAVE":
      return `HAVE: ${message.length}\n`;
    case "NOT FOUND":
      return "NOT FOUND\n";
    case "ERROR":
      return `ERROR ${message.code} ${oneLine(message.words)}\n`;
    default:
      return message satisfies never;
  }
}

/** FT/1: everything a peer or a tracker says, ready to send. */
export const basic = {
  hello: "HELLO",
  hi: "HI",
  bye: "BYE",
  notFound: "NOT FOUND",
  file: "FILE:",
  fileSpaced: "FILE: ",
  /** A peer's list, which an old tracker reads in one piece. */
  records: (records: FileRecord[]): string => records.map(formatBasicRecord).join("\n"),
  search: (name: FileName): string => `SEARCH: ${name}`,
  /** Lines as the catalogue keeps them ready: five fields, no name. */
  found: (lines: string[]): string => `FOUND: ${lines.join("\n")}\n`,
  /** An old peer finds the file by all three. */
  download: ({ name, type, size }: Pick<FileRecord, "name" | "type" | "size">): string => `DOWNLOAD:${name},${type},${size}`,
};

/** FT/1: one record of a `FOUND` answer. */
export function formatFoundRecord(record: FileRecord): string {
  return `<${record.type},${record.size},${record.date},${record.address},${record.port}>`;
}

const OLD_TRACKER_READS = 1024;

/**
 * Which of these records an old tracker can take. It knows only names of letters, `.`, `_`, `-` and space, forgets a whole list
 * with another name in it, refuses types with digits in them (they become `data`), and reads at most 1024 bytes.
 */
export function forOldTracker(records: FileRecord[]): { taken: FileRecord[]; left: FileRecord[] } {
  const taken: FileRecord[] = [];
  const left: FileRecord[] = [];
  for (const record of records) {
    const plain = { ...record, type: /^[A-Za-z/-]{3,70}$/.test(record.type) ? record.type : "data" };
    const fits = basic.records([...taken, plain]).length <= OLD_TRACKER_READS;
    const known = /^[._A-Za-z -]+$/.test(plain.name) && plain.name.trim() === plain.name && !plain.address.includes(":");
    if (known && fits) taken.push(plain);
    else left.push(record);
  }
  return { taken, left };
}

// ---------------------------------------------------------------- reading

/** What every reader does: bytes and events go in, `next` gives messages until it has none. */
abstract class Inbox<Message> {
  protected readonly frame = new Frame();
  /** Bytes of a line with its end. */
  protected lineLimit = LINE_LIMIT;
  /** Why the bytes that wait may be a whole message without a newline; FT/1 only. */
  protected over: "no" | "silence" | "end" = "no";

  /** Takes in what arrived. */
  push(chunk: Uint8Array): void {
    this.frame.push(chunk);
    this.over = "no";
  }

  /** Nothing has arrived for `SILENCE_MS`. */
  silence(): void {
    if (this.over === "no") this.over = "silence";
  }

  /** Nothing will arrive any more. */
  end(): void {
    this.over = "end";
  }

  /** How many bytes are not read yet. */
  get waiting(): number {
    return this.frame.length;
  }

  /** The next whole message, or undefined. Throws `ProtocolError`; nothing may be read after that. */
  abstract next(): Message | undefined;

  /** FT/1: the next message as text; a list of records is whole only after its last `>`. */
  protected basicMessage(): string | undefined {
    for (;;) {
      const line = this.frame.lineBytes(this.lineLimit);
      if (line !== undefined) {
        const text = decodeText(line).trim();
        if (text !== "") return text;
        continue;
      }
      const rest = this.frame.peek();
      if (rest.length === 0 || this.over === "no") return undefined;
      if (this.over === "silence" && rest[0] === LESS_THAN && rest[rest.length - 1] !== GREATER_THAN) return undefined;
      const text = decodeText(this.frame.take(rest.length)).trim();
      return text === "" ? undefined : text;
    }
  }

  /** The next FT/2 line; a control character in it breaks the grammar. */
  protected line(): string | undefined {
    return this.frame.line(this.lineLimit);
  }
}

const LESS_THAN = 60;
const GREATER_THAN = 62;

/** What a tracker's operator may set otherwise than the protocol does. */
interface ReadLimits {
  line?: number;
  name?: number;
  results?: number;
  mostResults?: number;
}

/** Requests that mean the same on every connection, and come often. */
const recentRequests = new RecentLines<ToTracker>();

/** Peer → tracker: reads both profiles, and finds out which one this connection speaks. */
export class TrackerInbox extends Inbox<ToTracker> {
  readonly #maxFiles: number;
  readonly #limits: ReadLimits;
  #profile: Profile | undefined;
  #greeted = false;
  #hello = true;
  #records: FileRecord[] | undefined;
  #recordsChanged = false;
  /** A request that came in one piece with a list, which goes first. */
  #held: ToTracker | undefined;
  #files: { port: number; count: number; records: FileRecord[] } | undefined;

  /** `profile`: of a connection whose HELLO was read before. */
  constructor(maxFiles: number, limits: ReadLimits = {}, profile?: 2) {
    super();
    this.#profile = profile;
    this.#hello = profile === undefined;
    this.#maxFiles = maxFiles;
    this.#limits = limits;
    this.lineLimit = limits.line ?? LINE_LIMIT;
  }

  /** The connection's profile once it is known: FT/2 by its first line, else FT/1. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  /** Whether it is as any other inbox of FT/2: nothing of a request has come, and HELLO is behind it. */
  get isEmpty(): boolean {
    return this.#profile === 2 && !this.#hello && this.frame.length === 0 && this.#files === undefined;
  }

  /** Whether silence would make a message of what has come: FT/1 only. */
  get listensForSilence(): boolean {
    return this.#profile !== 2 && this.frame.length > 0;
  }

  override next(): ToTracker | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held ?? (this.#profile === 2 ? this.#nextLine() : this.#nextBasic());
  }

  #nextBasic(): ToTracker | undefined {
    if (this.#hello) {
      const rest = decodeStart(this.frame.peek());
      if (!rest.startsWith("HELLO")) {
        if (rest === "" || ("HELLO".startsWith(rest) && this.over !== "end")) return undefined;
        this.#hello = false;
      } else {
        const behind = rest.slice(5);
        if (/^ FT\/2[ \r\n]/.test(behind)) {
          this.#profile = 2;
          return this.#nextLine();
        }
        const undecided = " FT/2".startsWith(behind);
        if (!undecided) {
          this.frame.take(5);
          this.#hello = false;
        }
        const asked = !undecided || behind === "" || (behind === " " && this.over !== "no");
        if (asked && !this.#greeted) {
          this.#greeted = true;
          this.#profile = 1;
          return { verb: "HELLO", profile: 1 };
        }
        if (undecided) return undefined;
      }
    }
    const start = decodeStart(this.frame.peek()).trimStart();
    if (!["<", "SEARCH", "BYE"].some((opening) => start.startsWith(opening) || opening.startsWith(start))) throw foreign();
    // Half a word is no message, however long the silence behind it.
    const half = start !== "" && ["SEARCH", "BYE"].some((word) => word !== start && word.startsWith(start));
    const text = half && this.over !== "end" ? undefined : this.basicMessage();
    if (text !== undefined) {
      this.#profile = 1;
      const message = this.#basicRequest(text);
      if (message === undefined) return this.#nextBasic();
      this.#held = message;
    }
    if (this.#recordsChanged && (this.frame.length === 0 || this.over !== "no" || this.#held !== undefined)) {
      this.#recordsChanged = false;
      return { verb: "FILES", profile: 1, records: [...(this.#records ?? [])] };
    }
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** A list is handed over when all that has arrived is whole; what comes later makes it longer, or refuses all of it. */
  #basicRequest(text: string): ToTracker | undefined {
    if (text.startsWith("<")) {
      this.#records ??= [];
      for (const tuple of text.split(/(?<=>)\s*(?=<)/)) this.#records.push(this.#checked(parseBasicRecord(tuple)));
      this.#recordsChanged = true;
      this.#refuseTooMany(this.#records.length);
      return undefined;
    }
    const search = /^SEARCH(?::|\s)\s*(.*)$/s.exec(text);
    if (search !== null) return { verb: "SEARCH", name: parseFileName(search[1] ?? "") };
    if (text === "BYE") return { verb: "BYE" };
    throw foreign();
  }

  #nextLine(): ToTracker | undefined {
    while (this.frame.length > 0) {
      const files = this.#files;
      const known = files === undefined ? this.frame.recent(recentRequests) : undefined;
      if (known !== undefined) return known;
      const line = this.line();
      if (line === undefined) return undefined;
      if (files === undefined) {
        const message = this.#request(line);
        if (message?.verb === "SEARCH" || message?.verb === "PING") recentRequests.keep(Object.freeze(message));
        if (message !== undefined) return message;
      } else {
        files.records.push(this.#checked(parseRecord(line)));
        if (files.records.length < files.count) continue;
        this.#files = undefined;
        return { verb: "FILES", profile: 2, port: files.port, records: files.records };
      }
    }
    return undefined;
  }

  #request(line: string): ToTracker | undefined {
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HELLO":
        if (!this.#hello) throw new ProtocolError("unexpected", "HELLO comes once, at the start.");
        this.#hello = false;
        {
          const values = valuesOf(rest);
          const agent = (values.get("agent") ?? "").slice(0, AGENT_LIMIT);
          const session = values.get("session");
          const extras = values.get("extras") === "1" ? { extras: true } : {};
          return { verb, profile: 2, agent, ...extras, ...(session === undefined ? {} : { session }) };
        }
      case "FILES": {
        const count = parseWhole(rest.split(" ")[0] ?? "");
        if (count === undefined) throw new ProtocolError("bad-number", "FILES needs a whole number of files.");
        this.#refuseTooMany(count);
        const port = parsePort(valuesOf(rest).get("port") ?? "");
        if (count === 0) return { verb, profile: 2, port: port ?? 0, records: [] };
        if (port === undefined) throw new ProtocolError("bad-port", "FILES needs port= with a port from 1 to 65535.");
        this.#files = { port, count, records: [] };
        return undefined;
      }
      case "ADD":
        return { verb, record: this.#checked(parseRecord(rest)) };
      case "DROP":
        return { verb, name: parseFileName(unescapeField(rest)) };
      case "SEARCH:":
      case "SEARCH":
        return { verb: "SEARCH", name: parseFileName(unescapeField(rest)) };
      case "LIST": {
        const values = valuesOf(rest);
        const id = values.get("id");
        const root = values.has("root") ? rootOf(values) : undefined;
        return { verb, ...(id === undefined ? {} : { id }), ...(root === undefined ? {} : { root }), ...this.#pageOf(values) };
      }
      case "FIND":
        return { verb, ...wishOf(rest), ...this.#pageOf(valuesOf(rest)) };
      case "WHO":
        return { verb, ...this.#pageOf(valuesOf(rest)) };
      case "KNOWN": {
        const address = parseAddress(unescapeField(rest));
        if (address === undefined) throw new ProtocolError("bad-address", "KNOWN needs an IP address.");
        return { verb, address };
      }
      case "CONNECT":
        return { verb, ...callBackOf(rest) };
      case "PING":
      case "BYE":
        return { verb };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }

  #checked(record: FileRecord): FileRecord {
    const most = this.#limits.name ?? NAME_LIMIT;
    if (byteLength(record.name) <= most) return record;
    throw new ProtocolError("bad-name", `This tracker takes file names of ${most} bytes at most.`);
  }

  #pageOf(values: Map<string, string>): Page {
    const offset = values.has("offset") ? wholeOf(values, "offset") : 0;
    const limit = values.has("limit") ? wholeOf(values, "limit") : (this.#limits.results ?? RESULTS_DEFAULT);
    return { offset, limit: Math.min(limit, this.#limits.mostResults ?? RESULTS_LIMIT) };
  }

  #refuseTooMany(count: number): void {
    if (count <= this.#maxFiles) return;
    throw new ProtocolError("too-many-files", `${count} files are too many: this tracker takes ${this.#maxFiles} a peer.`);
  }
}

/** Tracker → peer, FT/2. */
export class SessionInbox extends Inbox<FromTracker> {
  #list:
    | { kind: "FOUND"; count: number; items: FileRecord[]; total?: number }
    | { kind: "PEERS"; count: number; items: PeerLine[] }
    | undefined;

  override next(): FromTracker | undefined {
    for (;;) {
      const line = this.line();
      if (line === undefined) return undefined;
      const list = this.#list;
      if (list === undefined) {
        const message = this.#reply(line);
        if (message !== undefined) return message;
        continue;
      }
      if (list.kind === "FOUND") list.items.push(parseRecord(line));
      else list.items.push(parsePeerLine(line));
      if (list.items.length < list.count) continue;
      this.#list = undefined;
      if (list.kind === "PEERS") return { verb: "PEERS", peers: list.items };
      return { verb: "FOUND", records: list.items, ...(list.total === undefined ? {} : { total: list.total }) };
    }
  }

  #reply(line: string): FromTracker | undefined {
    if (line === "NOT FOUND") return { verb: line };
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HI": {
        const values = valuesOf(rest);
        const you = parseAddress(need(values, "you"));
        if (!/^FT\/2(?: |$)/.test(rest) || you === undefined)
          throw new ProtocolError("bad-line", "The tracker's HI is not FT/2.");
        return {
          verb,
          name: values.get("name") ?? "",
          max: wholeOf(values, "max"),
          key: need(values, "key"),
          you,
          ...(values.has("announced") ? { announced: values.get("announced") === "yes" } : {}),
          ...(values.has("results") ? { results: wholeOf(values, "results") } : {}),
        };
      }
      case "WELCOME": {
        const values = valuesOf(rest);
        return {
          verb,
          id: need(values, "id"),
          pass: need(values, "pass"),
          peers: wholeOf(values, "peers"),
          files: wholeOf(values, "files"),
          ...(values.has("session") ? { session: need(values, "session") } : {}),
        };
      }
      case "FOUND:":
      case "PEERS:": {
        const [, number = ""] = /^(\d+)(?: [a-z]+=\S*)*$/.exec(rest) ?? [];
        const count = parseWhole(number);
        if (count === undefined || count > RESULTS_LIMIT) {
          throw new ProtocolError("bad-number", "The tracker announces an answer of impossible length.");
        }
        const kind = verb === "FOUND:" ? "FOUND" : "PEERS";
        const total = valuesOf(rest).has("total") ? { total: wholeOf(valuesOf(rest), "total") } : {};
        if (count > 0) this.#list = { kind, count, items: [], ...total };
        else return kind === "FOUND" ? { verb: kind, records: [] } : { verb: kind, peers: [] };
        return undefined;
      }
      case "OK":
      case "YES":
      case "NO":
      case "PONG":
      case "BYE":
        return { verb };
      case "ERROR":
        return errorOf(rest);
      case "NOTICE":
        return { verb, words: rest };
      case "REACH":
        return { verb, reachable: /^yes(?: |$)/.test(rest), reason: valuesOf(rest).get("reason") ?? "" };
      case "CONNECT":
        return { verb, ...callBackOf(rest) };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }
}

/** FT/1, tracker → peer: a whole answer to SEARCH. Records that cannot be read are left out. */
export function parseBasicFound(answer: Uint8Array, name: FileName): FileRecord[] {
  const text = decodeText(answer).trim();
  if (text.startsWith("NOT FOUND")) return [];
  if (!text.startsWith("FOUND:")) throw new ProtocolError("bad-answer", "The tracker's answer is neither FOUND nor NOT FOUND.");
  const records: FileRecord[] = [];
  for (const tuple of text
    .slice(6)
    .match(/<[^<>]*>/g)
    ?.slice(0, RESULTS_LIMIT) ?? []) {
    try {
      records.push(parseFoundRecord(tuple, name));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
  return records;
}

/** Downloader → holder: reads both profiles. */
export class HolderInbox extends Inbox<ToHolder> {
  #profile: Profile | undefined;
  #hello = true;

  /** The connection's profile once it is known. */
  get profile(): Profile | undefined {
    return this.#profile;
  }

  override next(): ToHolder | undefined {
    if (this.#profile === undefined) {
      const start = decodeStart(this.frame.peek());
      if (/^HELLO FT\/2[ \r\n]/.test(start)) this.#profile = 2;
      else if (start.startsWith("DOWNLOAD")) this.#profile = 1;
      else if (!"HELLO FT/2".startsWith(start) && !"DOWNLOAD".startsWith(start)) throw foreign();
    }
    if (this.#profile === undefined) return undefined;
    return this.#profile === 2 ? this.#nextLine() : this.#nextBasic();
  }

  #nextBasic(): ToHolder | undefined {
    const text = this.basicMessage();
    if (text === undefined) return undefined;
    const request = /^DOWNLOAD(:| )\s*(.*)$/s.exec(text);
    if (request === null) throw foreign();
    const [, mark = "", what = ""] = request;
    if (mark === " ") return { verb: "DOWNLOAD", profile: 1, name: what, spaced: true };
    const parts = what.split(",");
    const size = parseWhole(parts.at(-1) ?? "");
    if (parts.length < 3 || size === undefined) {
      throw new ProtocolError("bad-request", "DOWNLOAD: needs a name, a type and a size.");
    }
    return { verb: "DOWNLOAD", profile: 1, name: parts.slice(0, -2).join(","), size, spaced: false };
  }

  #nextLine(): ToHolder | undefined {
    const line = this.line();
    if (line === undefined) return undefined;
    const [verb, rest] = cutVerb(line);
    const values = valuesOf(rest);
    switch (verb) {
      case "HELLO":
        if (!this.#hello) throw new ProtocolError("unexpected", "HELLO comes once, at the start.");
        this.#hello = false;
        return { verb, pass: values.get("pass") ?? "", ...(values.has("token") ? { token: need(values, "token") } : {}) };
      case "DOWNLOAD": {
        const root = values.has("root") ? rootOf(values) : undefined;
        const name = values.get("name");
        const length = values.has("length") ? wholeOf(values, "length") : undefined;
        if (root === undefined && name === undefined) throw new ProtocolError("bad-request", "DOWNLOAD needs root= or name=.");
        return {
          verb,
          profile: 2,
          ...(root === undefined ? {} : { root }),
          ...(name === undefined ? {} : { name }),
          offset: values.has("offset") ? wholeOf(values, "offset") : 0,
          ...(length === undefined ? {} : { length }),
        };
      }
      case "TREE":
        return { verb, root: rootOf(values), piece: wholeOf(values, "piece") };
      case "HAVE":
        return { verb, root: rootOf(values) };
      case "BYE":
        return { verb };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }
}

/** Holder → downloader, FT/2: lines, and raw bytes where a line says so. */
export class DownloadInbox extends Inbox<FromHolder> {
  #body = 0;

  /** How many raw bytes are still to come before the next line. */
  get body(): number {
    return this.#body;
  }

  /** The raw bytes that are here; empty if none are, or none are due. */
  takeBody(): Uint8Array {
    const bytes = this.frame.take(this.#body);
    this.#body -= bytes.length;
    return bytes;
  }

  override next(): FromHolder | undefined {
    if (this.#body > 0) return undefined;
    const line = this.line();
    if (line === undefined) return undefined;
    if (line === "NOT FOUND") return { verb: line };
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HI":
        return { verb };
      case "FILE:": {
        const values = valuesOf(rest);
        const length = wholeOf(values, "length");
        this.#body = length;
        return { verb: "FILE", length, size: wholeOf(values, "size") };
      }
      case "BUSY":
        return { verb, position: wholeOf(valuesOf(rest), "position") };
      case "TREE:":
      case "HAVE:": {
        const count = parseWhole(rest);
        if (count === undefined) throw new ProtocolError("bad-number", `${verb} needs a whole number.`);
        this.#body = verb === "TREE:" ? count * HASH : count;
        return verb === "TREE:" ? { verb: "TREE", count } : { verb: "HAVE", length: count };
      }
      case "ERROR":
        return errorOf(rest);
      default:
        throw new ProtocolError(
          "unknown-message",
          `The holder's answer "${verb.slice(0, 40)}" is no message of this protocol.`,
        );
    }
  }
}

/** FT/1, holder → downloader: `FILE:`, then the file until the end of the stream. */
export class BasicDownloadInbox {
  readonly #frame = new Frame();
  #begun = false;

  push(chunk: Uint8Array): void {
    this.#frame.push(chunk);
  }

  /** The file's bytes that are here. Throws when what came first is not `FILE:`. */
  takeBody(): Uint8Array {
    if (!this.#begun) {
      const start = decodeStart(this.#frame.peek());
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

// ---------------------------------------------------------------- words of a line

/** The first bytes, one character a byte: enough to recognise a message by. */
function decodeStart(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes.subarray(0, 12));
}

/** A stranger that speaks something else is known by its first bytes; nothing more of it is waited for. */
function foreign(): ProtocolError {
  return new ProtocolError("unknown-message", "What arrived is no message of this protocol.");
}

function cutVerb(line: string): [verb: string, rest: string] {
  const space = line.indexOf(" ");
  return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
}

/** The `key=value` words of a line; other words are not its business. */
function valuesOf(rest: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const word of rest.split(" ")) {
    const equals = word.indexOf("=");
    if (equals > 0) values.set(word.slice(0, equals), unescapeField(word.slice(equals + 1)));
  }
  return values;
}

function need(values: Map<string, string>, key: string): string {
  const value = values.get(key);
  if (value === undefined) throw new ProtocolError("bad-line", `A line lacks its ${key}=.`);
  return value;
}

function wholeOf(values: Map<string, string>, key: string): number {
  const value = parseWhole(need(values, key));
  if (value === undefined) throw new ProtocolError("bad-number", `${key}= needs a whole number.`);
  return value;
}

function rootOf(values: Map<string, string>): string {
  const root = parseRoot(need(values, "root"));
  if (root === undefined) throw new ProtocolError("bad-request", "root= needs 64 hex digits.");
  return root;
}

/** FIND's words and filters; unknown keys are ignored like everywhere. */
function wishOf(rest: string): Omit<Wish, keyof Page> {
  const values = valuesOf(rest);
  const words = rest.split(" ").filter((word) => word !== "" && !word.includes("="));
  const whole = (key: "min" | "max") => (values.has(key) ? { [key]: wholeOf(values, key) } : {});
  const day = (key: "after" | "before") => (values.has(key) ? { [key]: dayOf(values, key) } : {});
  const ext = values.get("ext");
  const type = values.get("type");
  return {
    words: words.map(unescapeField),
    ...(ext === undefined ? {} : { ext: ext.split(",") }),
    ...(type === undefined ? {} : { type }),
    ...whole("min"),
    ...whole("max"),
    ...day("after"),
    ...day("before"),
    ...(values.has("root") ? { root: rootOf(values) } : {}),
    group: values.get("group") === "1",
  };
}

function dayOf(values: Map<string, string>, key: string): string {
  const day = need(values, key);
  if (!/^\d{4}-\d\d-\d\d$/.test(day) || Number.isNaN(Date.parse(day))) {
    throw new ProtocolError("bad-find", `${key}= needs a day such as 2026-11-22.`);
  }
  return day;
}

function callBackOf(rest: string): CallBack {
  const values = valuesOf(rest);
  const address = parseAddress(need(values, "address"));
  const port = parsePort(need(values, "port"));
  const token = need(values, "token");
  if (address === undefined) throw new ProtocolError("bad-address", "CONNECT needs an IP address.");
  if (port === undefined) throw new ProtocolError("bad-port", "CONNECT needs a port from 1 to 65535.");
  if (!TOKEN.test(token)) throw new ProtocolError("bad-token", "CONNECT needs a token of 1 to 64 letters, digits, - and _.");
  return { address, port, token };
}

function errorOf(rest: string): { verb: "ERROR"; code: string; words: string } {
  const [code, words] = cutVerb(rest);
  return { verb: "ERROR", code, words };
}

function parsePeerLine(line: string): PeerLine {
  const values = valuesOf(line);
  const address = parseAddress(need(values, "address"));
  const port = parsePort(need(values, "port"));
  if (address === undefined) throw new ProtocolError("bad-address", "A peer's address is not an IP address.");
  if (port === undefined) throw new ProtocolError("bad-port", "A peer's port is not from 1 to 65535.");
  return {
    id: need(values, "id"),
    address,
    port,
    files: wholeOf(values, "files"),
    bytes: wholeOf(values, "bytes"),
    agent: values.get("agent") ?? "",
    since: values.get("since") ?? "",
    ...(values.has("reach") ? { reach: values.get("reach") === "yes" } : {}),
  };
}
