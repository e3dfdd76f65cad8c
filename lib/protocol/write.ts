// Writes every FT/2 message as text. FT/1 is in basic.ts.

import { formatGroup } from "./group.ts";
import type { CallBack, FromHolder, FromTracker, Page, PeerLine, ToHolder, ToTracker, Watch, Wish } from "./messages.ts";
import { escapeField, escapeValue, formatRecord } from "./record.ts";

/** FT/2, peer → tracker. */
export function encodeToTracker(message: Exclude<ToTracker, { profile: 1 } | { verb: "UNKNOWN" | "UNFIT" }>): string {
  switch (message.verb) {
    case "HELLO":
      return `HELLO FT/2 agent=${escapeValue(message.agent)}${message.extras ? " extras=1" : ""}${message.offers ? " offers=1" : ""}${valueIf("session", message.session)}${valueIf("challenge", message.challenge)}${valueIf("key", message.key)}${valueIf("name", message.name)}${valueIf("home", message.home)}\n`;
    case "FILES": {
      const lines = message.records.map((record) => `${formatRecord(record)}\n`);
      return `FILES ${message.records.length} port=${message.port}${valueIf("proof", message.proof)}${valueIf("guests", message.guests)}\n${lines.join("")}`;
    }
    case "ADD":
      return `ADD ${formatRecord(message.record)}\n`;
    case "DROP":
      return `DROP ${escapeField(message.name)}\n`;
    case "SEARCH":
      return `SEARCH: ${escapeField(message.name)}\n`;
    case "LIST":
      return `LIST${valueIf("id", message.id)}${valueIf("root", message.root)}${message.offers ? " offers=1" : ""} ${encodePage(message)}\n`;
    case "FIND":
      return encodeWish(message);
    case "WATCH":
      return encodeWatch(message);
    case "UNWATCH":
      return `UNWATCH watch=${message.watch}\n`;
    case "OFFER": {
      const to = message.to === "all" ? "all" : message.to.join(",");
      const say = message.say === "" ? undefined : message.say;
      return `OFFER offer=${message.offer} root=${message.root} to=${to}${valueIf("say", say)}\n`;
    }
    case "DECLINE":
      return `DECLINE offer=${message.offer}\n`;
    case "WHO":
      return `WHO ${encodePage(message)}\n`;
    case "KNOWN":
      return `KNOWN ${escapeField(message.address)}\n`;
    case "CONNECT":
      return encodeCallBack(message, message.id);
    case "PING":
    case "BYE":
      return `${message.verb}\n`;
    default:
      return message satisfies never;
  }
}

function encodeWish({ offset, limit, ...wish }: Wish): string {
  const { said, asked } = encodeFilters(wish);
  return `FIND ${said}${encodePage({ offset, limit })}${asked}${wish.group ? " group=1" : ""}\n`;
}

function encodeWatch({ watch, name, ...wish }: Watch): string {
  const { said, asked } = encodeFilters(wish);
  return `WATCH ${said}watch=${watch}${valueIf("name", name)}${asked}\n`;
}

/** The words, each with a space behind it, and the filters, each with a space before it. */
function encodeFilters({ words, ext, type, min, max, after, before, root }: Omit<Wish, keyof Page>) {
  const said = words.map((word) => `${escapeValue(word).replaceAll("=", "%3D")} `).join("");
  const filters = { ext: ext?.join(","), type, min, max, after, before, root };
  return {
    said,
    asked: Object.entries(filters)
      .map(([key, value]) => valueIf(key, value))
      .join(""),
  };
}

function encodeCallBack({ address, port, token, fingerprint }: CallBack, id?: string): string {
  return `CONNECT address=${escapeValue(address)} port=${port} token=${token}${valueIf("id", id)}${valueIf("fp", fingerprint)}\n`;
}

function encodePage({ offset, limit }: Page): string {
  return `offset=${offset} limit=${limit}`;
}

/** FT/2, tracker → peer. The records of an answer are lines already, from `formatRecord`. */
export function encodeFromTracker(
  message:
    | Exclude<FromTracker, { verb: "UNKNOWN" | "FOUND" | "PEERS" | "APPEARED" | "OFFERED" }>
    | { verb: "OFFERED"; line?: string; more?: number }
    | { verb: "APPEARED"; watch: string; line?: string; more?: number }
    | { verb: "FOUND"; lines: string[]; total?: number }
    | { verb: "PEERS"; peers: PeerLine[] },
): string {
  switch (message.verb) {
    case "HI":
      return `HI FT/2 name=${escapeValue(message.name)} max=${message.max} key=${message.key} you=${escapeValue(message.you)}${valueIf("announced", message.announced)}${valueIf("results", message.results)}${valueIf("proof", message.proof)}${valueIf("nonce", message.nonce)}${valueIf("guests", message.guests)}${valueIf("offers", message.offers)}${valueIf("group", message.group)}\n`;
    case "WELCOME":
      return `WELCOME id=${message.id} pass=${message.pass} peers=${message.peers} files=${message.files}${valueIf("session", message.session)}${valueIf("now", message.now)}${valueIf("keyed", message.keyed)}${valueIf("name", message.name)}\n`;
    case "FOUND":
      return `FOUND: ${message.lines.length}${valueIf("total", message.total)}\n${message.lines.map((line) => `${line}\n`).join("")}`;
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
    case "DISMISSED": {
      const { code, until } = message;
      return `DISMISSED ${code}${valueIf("until", until === undefined ? undefined : new Date(until).toISOString())}\n`;
    }
    case "APPEARED":
      return `APPEARED ${message.watch} ${message.line ?? `more=${message.more ?? 0}`}\n`;
    case "GROUP":
      return `GROUP ${formatGroup(message.trackers)}\n`;
    case "OFFERED":
      return `OFFERED ${message.line ?? `more=${message.more ?? 0}`}\n`;
    case "DECLINED":
      return `DECLINED offer=${message.offer} id=${message.id}\n`;
    case "REVOKED":
      return `REVOKED ${message.ids.join(",")}\n`;
    case "HOME":
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

/** Words for a person are the rest of their line. Only characters that would break the line are escaped. */
function oneLine(words: string): string {
  return words.replace(/[\u0000-\u001f\u007f-\u009f]/g, escapeField);
}

function encodePeerLine(peer: PeerLine): string {
  return `id=${peer.id} address=${escapeValue(peer.address)} port=${peer.port} files=${peer.files} bytes=${peer.bytes} agent=${escapeValue(peer.agent)} since=${peer.since}${valueIf("reach", peer.reach)}${valueIf("name", peer.name)}${valueIf("offers", peer.offers)}\n`;
}

/** ` key=value`, or "" without a value. */
function valueIf(key: string, value: string | number | boolean | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "boolean") return ` ${key}=${value ? "yes" : "no"}`;
  return ` ${key}=${escapeValue(String(value))}`;
}

/** FT/2, downloader → holder. */
export function encodeToHolder(message: Exclude<ToHolder, { profile: 1 } | { verb: "UNKNOWN" }>): string {
  switch (message.verb) {
    case "HELLO":
      if (message.token !== undefined) return `HELLO FT/2${valueIf("token", message.token)}\n`;
      return `HELLO FT/2 pass=${escapeValue(message.pass)}${valueIf("keyed", message.keyed)}\n`;
    case "PROOF":
      return `PROOF address=${escapeValue(message.address)} port=${message.port} proof=${escapeValue(message.proof)}\n`;
    case "DOWNLOAD": {
      const { root, folder, name, offset, length } = message;
      return `DOWNLOAD${valueIf("root", root)}${valueIf("folder", folder)}${valueIf("name", name)} offset=${offset}${valueIf("length", length)}\n`;
    }
    case "TREE":
      return "folder" in message ? `TREE folder=${message.folder}\n` : `TREE root=${message.root} piece=${message.piece}\n`;
    case "HAVE":
      return "folder" in message ? `HAVE folder=${message.folder}\n` : `HAVE root=${message.root}\n`;
    case "DATES":
      return `DATES folder=${message.folder}\n`;
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
    case "PROVE":
      return `PROVE nonce=${message.nonce}\n`;
    case "FILE":
      return `FILE: length=${message.length} size=${message.size}\n`;
    case "BUSY":
      return `BUSY position=${message.position}\n`;
    case "TREE":
      return `TREE: ${message.count}\n`;
    case "HAVE":
    case "DATES":
      return `${message.verb}: ${message.length}\n`;
    case "NOT FOUND":
      return "NOT FOUND\n";
    case "ERROR":
      return `ERROR ${message.code} ${oneLine(message.words)}\n`;
    default:
      return message satisfies never;
  }
}
