// The protocol, read: bytes in, messages out. A reader for each direction.

import { ProtocolError } from "../error.ts";
import { parseAddress, parsePort, parseWhole } from "./address.ts";
import { decodeText, Frame, LINE_LIMIT } from "./lines.ts";
import {
  type CallBack,
  type FromHolder,
  type FromTracker,
  HASH,
  type Page,
  type PeerLine,
  type Profile,
  RESULTS_DEFAULT,
  RESULTS_LIMIT,
  type ToHolder,
  type ToTracker,
  type Wish,
} from "./messages.ts";
import { RecentLines } from "./recent.ts";
import {
  byteLength,
  type FileName,
  type FileRecord,
  NAME_LIMIT,
  parseBasicRecord,
  parseFileName,
  parseFoundRecord,
  parseRecord,
  parseRoot,
  unescapeField,
} from "./record.ts";
import { basic } from "./write.ts";

/** It is said to a third peer as it is, so that there is nothing else that it could mean. */
const TOKEN = /^[\w-]{1,64}$/;

/** Characters of an agent that are kept: it comes back in a line of WHO. */
const AGENT_LIMIT = 64;

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
