// The protocol, written: every message of both profiles as text.

import type { CallBack, FromHolder, FromTracker, Page, PeerLine, ToHolder, ToTracker, Wish } from "./messages.ts";
import { escapeField, escapeValue, type FileName, type FileRecord, formatBasicRecord, formatRecord } from "./record.ts";

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
