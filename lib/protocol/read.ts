// Reads what peers and trackers say to each other in FT/2: bytes in, messages out. FT/1 is in basic.ts. The reader of requests finds out
// which of the two profiles a connection speaks.

import { ProtocolError } from "../error.ts";
import { cutTo } from "../text.ts";
import { parseAddress, parsePort, parseWhole } from "./address.ts";
import { BasicRequests, type ReadLimits } from "./basic.ts";
import { parseGroup } from "./group.ts";
import { errorOf, Inbox } from "./inbox.ts";
import type { CallBack, FromTracker, Offer, Page, PeerLine, Profile, ToTracker, Unfit, Wish } from "./messages.ts";
import { RESULTS_LIMIT } from "./numbers.ts";
import { RecentLines } from "./recent.ts";
import {
  checkFileCount,
  checkNameLength,
  type FileRecord,
  parseFileName,
  parseRecord,
  parseRoot,
  SAY_LIMIT,
  TOKEN,
  tupleOf,
  unescapeField,
} from "./record.ts";
import {
  cutVerb,
  dayValue,
  endpointOf,
  nameValue,
  optional,
  rootValue,
  textValue,
  timeIn,
  valuesOf,
  wholeValue,
  yesValue,
} from "./values.ts";

/** A longer agent is cut, because every line of WHO repeats it. Characters. */
const AGENT_LIMIT = 64;

/** A cache of parsed requests that come often and mean the same on every connection, such as PING and SEARCH. */
const recentRequests = new RecentLines<ToTracker>();

/** Peer → tracker: reads both profiles, and finds out which one this connection speaks. */
export class TrackerInbox extends Inbox<ToTracker> {
  readonly #limits: ReadLimits;
  /** Until the first line turns out to be FT/2. */
  #basic: BasicRequests | undefined;
  #awaitsHello: boolean;
  /** A FILES request whose records have not all come. */
  #files:
    | {
        port: number;
        left: number;
        records: FileRecord[];
        proof: string | undefined;
        guests: true | undefined;
        unfit?: (Unfit & { count: number }) | undefined;
      }
    | undefined;

  /** `profile` is given for a connection that is FT/2 whatever it says: its HELLO was read before, or it is in a private room. */
  constructor(limits: ReadLimits, profile?: 2, awaitsHello = profile === undefined) {
    super();
    this.#limits = limits;
    this.#awaitsHello = awaitsHello;
    if (profile === undefined) this.#basic = new BasicRequests(this.frame, limits);
  }

  /** The connection's profile once it is known: FT/2 by its first line, else FT/1. */
  get profile(): Profile | undefined {
    if (this.#basic === undefined) return 2;
    return this.#basic.begun ? 1 : undefined;
  }

  /** Whether another FT/2 connection can use this inbox: HELLO is read, and no part of another request has come. */
  get isEmpty(): boolean {
    return this.profile === 2 && !this.#awaitsHello && this.frame.length === 0 && this.#files === undefined;
  }

  /** Whether the waiting bytes become a message after a silence: FT/1 only. */
  get listensForSilence(): boolean {
    return this.profile !== 2 && this.frame.length > 0;
  }

  override next(): ToTracker | undefined {
    const message = this.#basic?.next(this.ending);
    if (this.#basic?.isVersion2) this.#basic = undefined;
    return this.#basic === undefined ? this.#nextLine() : message;
  }

  #nextLine(): ToTracker | undefined {
    while (this.frame.length > 0) {
      const files = this.#files;
      const known = files === undefined ? this.frame.recent(recentRequests) : undefined;
      if (known !== undefined) return known;
      const line = this.frame.line(this.#limits.line);
      if (line === undefined) return undefined;
      if (files === undefined) {
        const message = this.#request(line);
        if (message?.verb === "SEARCH" || message?.verb === "PING") recentRequests.keep(Object.freeze(message));
        if (message !== undefined) return message;
      } else {
        const record = this.#record(line);
        if ("words" in record) files.unfit = { ...(files.unfit ?? record), count: (files.unfit?.count ?? 0) + 1 };
        else files.records.push(record);
        files.left -= 1;
        if (files.left > 0) continue;
        this.#files = undefined;
        const { port, records, proof, guests, unfit } = files;
        if (records.length === 0 && unfit !== undefined) throw new ProtocolError(unfit.code, unfit.words);
        return { verb: "FILES", profile: 2, port, records, proof, guests, unfit };
      }
    }
    return undefined;
  }

  #request(line: string): ToTracker | undefined {
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HELLO": {
        if (!this.#awaitsHello) throw new ProtocolError("unexpected", "HELLO comes once, at the start.");
        this.#awaitsHello = false;
        const values = valuesOf(rest);
        const agent = (values.get("agent") ?? "").slice(0, AGENT_LIMIT);
        const [session, challenge, key, home] = ["session", "challenge", "key", "home"].map((name) => values.get(name));
        const [extras, offers] = ["extras", "offers"].map((name) => values.get(name) === "1" || undefined);
        const name = optional(values, "name", nameValue);
        return { verb, profile: 2, agent, extras, offers, session, challenge, key, name, home };
      }
      case "FILES": {
        const count = parseWhole(rest.split(" ")[0] ?? "");
        if (count === undefined) throw new ProtocolError("bad-number", "FILES needs a whole number of files.");
        checkFileCount(count, this.#limits.files);
        const values = valuesOf(rest);
        const port = parsePort(values.get("port") ?? "");
        if (count === 0) return { verb, profile: 2, port: port ?? 0, records: [] };
        if (port === undefined) throw new ProtocolError("bad-port", "FILES needs port= with a port from 1 to 65535.");
        const guests = values.get("guests") === "yes" || undefined;
        this.#files = { port, left: count, records: [], proof: values.get("proof"), guests };
        return undefined;
      }
      case "ADD": {
        const record = this.#record(rest);
        return "words" in record ? { verb: "UNFIT", ...record } : { verb, record };
      }
      case "DROP":
        return { verb, name: parseFileName(unescapeField(rest)) };
      case "SEARCH:":
      case "SEARCH":
        return { verb: "SEARCH", name: parseFileName(unescapeField(rest)) };
      case "LIST": {
        const values = valuesOf(rest);
        const offers = values.get("offers") === "1" || undefined;
        return { verb, id: values.get("id"), root: optional(values, "root", rootValue), offers, ...this.#pageOf(values) };
      }
      case "FIND":
        return { verb, ...wishOf(rest), ...this.#pageOf(valuesOf(rest)) };
      case "WATCH": {
        const values = valuesOf(rest);
        const name = values.has("name") ? parseFileName(textValue(values, "name")) : undefined;
        return { verb, ...wishOf(rest), watch: watchValue(values), name };
      }
      case "UNWATCH":
        return { verb, watch: watchValue(valuesOf(rest)) };
      case "OFFER":
        return { verb, ...offerOf(valuesOf(rest)) };
      case "DECLINE":
        return { verb, offer: tokenValue(valuesOf(rest), "offer") };
      case "WHO":
        return { verb, ...this.#pageOf(valuesOf(rest)) };
      case "KNOWN": {
        const address = parseAddress(unescapeField(rest));
        if (address === undefined) throw new ProtocolError("bad-address", "KNOWN needs an IP address.");
        return { verb, address };
      }
      case "CONNECT":
        return { verb, ...callBackOf(rest), id: valuesOf(rest).get("id") };
      case "PING":
      case "BYE":
        return { verb };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }

  /** The record; or, when one of its values is not taken, the reason. Throws when it is no record at all. */
  #record(text: string): FileRecord | Unfit {
    tupleOf(text);
    try {
      return checkNameLength(parseRecord(text, "peer"), this.#limits.name);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return { code: error.code, words: error.message };
    }
  }

  #pageOf(values: Map<string, string>): Page {
    const { results, mostResults } = this.#limits;
    const limit = optional(values, "limit", wholeValue) ?? results;
    return { offset: optional(values, "offset", wholeValue) ?? 0, limit: Math.min(limit, mostResults) };
  }
}

/** Tracker → peer, FT/2. */
export class SessionInbox extends Inbox<FromTracker> {
  /** The list whose lines have not all come, as a message that `read` makes longer. */
  #list: { left: number; read(line: string): void; message: Extract<FromTracker, { unread?: number }> } | undefined;

  override next(): FromTracker | undefined {
    for (;;) {
      const line = this.frame.line();
      if (line === undefined) return undefined;
      const list = this.#list;
      if (list === undefined) {
        const message = this.#reply(line);
        if (message !== undefined) return message;
        continue;
      }
      try {
        list.read(line);
      } catch (error) {
        // The line comes from another peer: an error in it is not the tracker's fault, and this peer goes on without it.
        if (!(error instanceof ProtocolError)) throw error;
        list.message.unread = (list.message.unread ?? 0) + 1;
      }
      list.left -= 1;
      if (list.left > 0) continue;
      this.#list = undefined;
      return list.message;
    }
  }

  #reply(line: string): FromTracker | undefined {
    if (line === "NOT FOUND") return { verb: line };
    const [verb, rest] = cutVerb(line);
    switch (verb) {
      case "HI": {
        const values = valuesOf(rest);
        const you = parseAddress(textValue(values, "you"));
        if (!/^FT\/2(?: |$)/.test(rest) || you === undefined)
          throw new ProtocolError("bad-line", "The tracker's HI is not FT/2.");
        return {
          verb,
          name: values.get("name") ?? "",
          max: wholeValue(values, "max"),
          key: textValue(values, "key"),
          you,
          announced: optional(values, "announced", yesValue),
          results: optional(values, "results", wholeValue),
          proof: values.get("proof"),
          nonce: values.get("nonce"),
          group: values.get("group"),
          guests: optional(values, "guests", yesValue),
          offers: optional(values, "offers", yesValue),
        };
      }
      case "WELCOME": {
        const values = valuesOf(rest);
        return {
          verb,
          id: textValue(values, "id"),
          pass: textValue(values, "pass"),
          peers: wholeValue(values, "peers"),
          files: wholeValue(values, "files"),
          session: values.get("session"),
          now: optional(values, "now", wholeValue),
          keyed: values.get("keyed"),
          name: optional(values, "name", nameValue) || undefined,
        };
      }
      case "FOUND:":
      case "PEERS:": {
        const [, number = ""] = /^(\d+)(?: [a-z]+=\S*)*$/.exec(rest) ?? [];
        const count = parseWhole(number);
        if (count === undefined || count > RESULTS_LIMIT) {
          throw new ProtocolError("bad-number", "The tracker announces an answer of impossible length.");
        }
        const total = optional(valuesOf(rest), "total", wholeValue);
        const records: FileRecord[] = [];
        const peers: PeerLine[] = [];
        if (count === 0) return verb === "FOUND:" ? { verb: "FOUND", records } : { verb: "PEERS", peers };
        this.#list =
          verb === "FOUND:"
            ? { left: count, read: (text) => records.push(parseRecord(text)), message: { verb: "FOUND", records, total } }
            : { left: count, read: (text) => peers.push(parsePeerLine(text)), message: { verb: "PEERS", peers } };
        return undefined;
      }
      case "OK":
      case "YES":
      case "NO":
      case "PONG":
      case "BYE":
      case "HOME":
        return { verb };
      case "ERROR":
        return errorOf(rest);
      case "NOTICE":
        return { verb, words: rest };
      case "REACH":
        return { verb, reachable: /^yes(?: |$)/.test(rest), reason: valuesOf(rest).get("reason") ?? "" };
      case "CONNECT":
        return { verb, ...callBackOf(rest) };
      case "DISMISSED":
        return dismissalOf(line, rest);
      case "APPEARED":
        return appearedOf(line, rest);
      case "OFFERED":
        return offeredOf(line, rest);
      case "DECLINED":
        return { verb, offer: valuesOf(rest).get("offer") ?? "", id: valuesOf(rest).get("id") ?? "" };
      case "REVOKED":
        return { verb, ids: rest.split(",") };
      case "GROUP":
        return { verb, trackers: parseGroup(rest) };
      default:
        return { verb: "UNKNOWN", word: verb };
    }
  }
}

// ---------------------------------------------------------------- parts of messages

/** FIND's words and filters. */
function wishOf(rest: string): Omit<Wish, keyof Page> {
  const values = valuesOf(rest);
  const words = rest.split(" ").filter((word) => word !== "" && !word.includes("="));
  return {
    words: words.map(unescapeField),
    ext: values.get("ext")?.split(","),
    type: values.get("type"),
    min: optional(values, "min", wholeValue),
    max: optional(values, "max", wholeValue),
    after: optional(values, "after", dayValue),
    before: optional(values, "before", dayValue),
    root: optional(values, "root", rootValue),
    group: values.get("group") === "1",
  };
}

function callBackOf(rest: string): CallBack {
  const values = valuesOf(rest);
  const endpoint = endpointOf(values, "CONNECT needs an IP address.", "CONNECT needs a port from 1 to 65535.");
  const token = textValue(values, "token");
  if (!TOKEN.test(token)) throw new ProtocolError("bad-token", "CONNECT needs a token of 1 to 64 letters, digits, - and _.");
  const fingerprint = parseRoot(values.get("fp") ?? "");
  return { ...endpoint, token, ...(fingerprint === undefined ? {} : { fingerprint }) };
}

function watchValue(values: Map<string, string>): string {
  return tokenValue(values, "watch");
}

function tokenValue(values: Map<string, string>, key: string): string {
  const token = textValue(values, key);
  if (!TOKEN.test(token)) throw new ProtocolError("bad-token", `${key}= needs a token of 1 to 64 letters, digits, - and _.`);
  return token;
}

function offerOf(values: Map<string, string>): Offer {
  const to = textValue(values, "to");
  return {
    offer: tokenValue(values, "offer"),
    root: rootValue(values, "root"),
    to: to === "all" ? to : to.split(",").filter((id) => id !== ""),
    say: cutTo(values.get("say") ?? "", SAY_LIMIT),
  };
}

/** The record is another peer's. One that cannot be read counts as one that was not said. */
function appearedOf(line: string, rest: string): FromTracker {
  const [watch, what] = cutVerb(rest);
  const more = parseWhole(/^more=(\d+)$/.exec(what)?.[1] ?? "");
  if (more !== undefined) return { verb: "APPEARED", watch, more };
  if (!what.startsWith("<")) return { verb: "UNKNOWN", word: line };
  try {
    return { verb: "APPEARED", watch, record: parseRecord(what) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { verb: "APPEARED", watch, more: 1 };
  }
}

/** The record is another peer's, too. */
function offeredOf(line: string, rest: string): FromTracker {
  const more = parseWhole(/^more=(\d+)$/.exec(rest)?.[1] ?? "");
  if (more !== undefined) return { verb: "OFFERED", more };
  if (!rest.startsWith("<")) return { verb: "UNKNOWN", word: line };
  try {
    return { verb: "OFFERED", record: parseRecord(rest) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { verb: "UNKNOWN", word: line };
  }
}

/** Why the tracker closes the connection. A reason of a later version is not known here. */
function dismissalOf(line: string, rest: string): FromTracker {
  const [code] = cutVerb(rest);
  if (code !== "kicked" && code !== "banned" && code !== "stopping") return { verb: "UNKNOWN", word: line };
  return { verb: "DISMISSED", code, until: timeIn(valuesOf(rest).get("until") ?? "") };
}

function parsePeerLine(line: string): PeerLine {
  const values = valuesOf(line);
  return {
    id: textValue(values, "id"),
    ...endpointOf(values, "A peer's address is not an IP address.", "A peer's port is not from 1 to 65535."),
    files: wholeValue(values, "files"),
    bytes: wholeValue(values, "bytes"),
    agent: values.get("agent") ?? "",
    since: values.get("since") ?? "",
    reach: optional(values, "reach", yesValue),
    name: optional(values, "name", nameValue) || undefined,
    offers: optional(values, "offers", yesValue),
  };
}
