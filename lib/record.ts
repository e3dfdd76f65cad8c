// One file's record, and the file names and addresses in it, parsed from strangers' text at this one door.

import { ProtocolError } from "./error.ts";

/** A shared file's name as the protocol carries it: 1 to 255 bytes of UTF-8, no NUL. Any other text is possible: see `localNameOf`. */
export type FileName = string & { readonly [fileName]: true };
declare const fileName: unique symbol;

/** An IP address in its one canonical form: IPv4 dotted, IPv6 by RFC 5952, IPv4-mapped IPv6 as IPv4. */
export type Address = string & { readonly [address]: true };
declare const address: unique symbol;

/** Where something listens. */
export interface Endpoint {
  address: Address;
  port: number;
}

/** What a peer says of one file. `root` is its content id (64 hex digits), absent until it is computed. */
export interface FileRecord extends Endpoint {
  name: FileName;
  /** MIME type; old programs write `data` for what they do not know. */
  type: string;
  /** Bytes. */
  size: number;
  /** Last modification, `DD/MM/YY`, the holder's local time. */
  date: string;
  /** The holder speaks FT/2. */
  v2: boolean;
  /** Exact time of last modification, ISO 8601 UTC. */
  mtime?: string;
  root?: string;
  /** Its holder is still fetching it, and has some of its pieces. */
  part?: true;
  /** The tracker could not connect to its holder: a firewall may stand before it. */
  unreachable?: true;
  /** Where one record stands for all of a content: how many have the whole of it. */
  holders?: number;
}

export const NAME_LIMIT = 255;

const utf8 = new TextEncoder();

/** How many bytes a text takes in UTF-8. */
export function byteLength(text: string): number {
  return utf8.encode(text).length;
}

/** A stranger's text as a file name; refused when empty, longer than 255 bytes, or with a NUL or half a character in it. */
export function parseFileName(text: string): FileName {
  if (text === "") throw new ProtocolError("bad-name", "The file name is empty.");
  if (text.length * 3 > NAME_LIMIT && (text.length > NAME_LIMIT || byteLength(text) > NAME_LIMIT)) {
    throw new ProtocolError("bad-name", `The file name is longer than ${NAME_LIMIT} bytes.`);
  }
  if (text.includes("\0") || !text.isWellFormed()) throw new ProtocolError("bad-name", "The file name is not text.");
  return text as FileName;
}

/** A stranger's text as an address, or undefined. Zones (`fe80::1%eth0`) are kept. */
export function parseAddress(text: string): Address | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets !== null) {
    return octets.slice(1).every((octet) => String(Number(octet)) === octet && Number(octet) < 256)
      ? (text as Address)
      : undefined;
  }
  const [, bare = "", zone = ""] = /^([0-9a-f:.]+)(%[\w.-]{1,32})?$/i.exec(text) ?? [];
  if (!bare.includes(":")) return undefined;
  const url = `http://[${bare.replace(/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/, hexGroups)}]/`;
  if (!URL.canParse(url)) return undefined;
  const canonical = new URL(url).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped === null) return `${canonical}${zone}` as Address;
  const high = Number.parseInt(mapped[1] ?? "", 16);
  const low = Number.parseInt(mapped[2] ?? "", 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}` as Address;
}

/** The dotted end of an IPv6 address as two groups: Bun's URL refuses some that are valid. */
function hexGroups(dotted: string, ...octets: string[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number);
  const valid = octets.slice(0, 4).every((octet) => String(Number(octet)) === octet && Number(octet) < 256);
  return valid ? `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}` : dotted;
}

/** An address without its zone, which means something on one machine only: what is published and compared. */
export function withoutZone(of: Address): Address {
  const zone = of.indexOf("%");
  return zone < 0 ? of : (of.slice(0, zone) as Address);
}

export function isIPv6(of: Address): boolean {
  return of.includes(":");
}

/** Whether an address is good on one link only (RFC 4291), so that connecting to it needs a zone. */
export function isLinkLocal(of: Address): boolean {
  return /^fe[89ab][0-9a-f]:/.test(of);
}

/** Whether this is the machine itself. */
export function isLoopback(of: Address): boolean {
  return of.startsWith("127.") || of === "::1";
}

/** Whether one host can be meant: not unspecified, multicast or broadcast. */
export function isHostAddress(of: Address): boolean {
  if (of.includes(":")) return of !== "::" && !/^ff[0-9a-f]{2}:/.test(of);
  const first = Number(of.slice(0, of.indexOf(".")));
  return first > 0 && first < 224;
}

/** `address:port`, IPv6 in brackets. */
export function formatEndpoint({ address, port }: { address: string; port: number }): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A whole number as the protocol writes it: no sign, fraction, exponent or leading zero, at most 2^53 − 1; or undefined. */
export function parseWhole(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A port from 1 to 65535, or undefined. */
export function parsePort(text: string): number | undefined {
  const port = parseWhole(text);
  return port !== undefined && port > 0 && port < 65536 ? port : undefined;
}

/** A content id: 64 hex digits, given in lower case; or undefined. */
export function parseRoot(text: string): string | undefined {
  return /^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : undefined;
}

const FIELD_SPECIAL = /[%,;<>\u0000-\u001f\u007f-\u009f]/g;
const VALUE_SPECIAL = /[%,;<> \u0000-\u001f\u007f-\u009f]/g;

/** A text as a record field or the rest of a line: `%XX` for what the grammar needs for itself. */
export function escapeField(text: string): string {
  return text.replace(FIELD_SPECIAL, percent);
}

/** A text as the value of `key=value`: as a field, and the space escaped too. */
export function escapeValue(text: string): string {
  return text.replace(VALUE_SPECIAL, percent);
}

function percent(character: string): string {
  return Array.from(utf8.encode(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** Undoes both escapes; a stray `%`, or bytes that are not UTF-8, are refused. */
export function unescapeField(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ProtocolError("bad-escape", "A percent sign is not followed by the hex digits of a character.");
  }
}

/** FT/2: `<name,type,size,date,address,port;key=value…>`, fields escaped. Unknown attributes are ignored. */
export function parseRecord(text: string): FileRecord {
  const [tuple = "", ...attributes] = tupleOf(text).split(";");
  const fields = tuple.split(",").map(unescapeField);
  const record = recordOf(fields);
  for (const attribute of attributes) {
    const equals = attribute.indexOf("=");
    const value = unescapeField(attribute.slice(equals + 1));
    switch (equals < 0 ? "" : attribute.slice(0, equals)) {
      case "v":
        record.v2 = value === "2";
        break;
      case "mtime":
        if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/.test(value) || Number.isNaN(Date.parse(value))) {
          throw new ProtocolError("bad-record", "The record's mtime is not an ISO 8601 time in UTC.");
        }
        record.mtime = value;
        break;
      case "part":
        if (value === "1") record.part = true;
        break;
      case "reach":
        if (value === "no") record.unreachable = true;
        break;
      case "holders": {
        const holders = parseWhole(value);
        if (holders === undefined) throw new ProtocolError("bad-record", "The record's holders are not a whole number.");
        record.holders = holders;
        break;
      }
      case "root": {
        const root = parseRoot(value);
        if (root === undefined) throw new ProtocolError("bad-record", "The record's root is not 64 hex digits.");
        record.root = root;
      }
    }
  }
  return record;
}

/** FT/1: the same six fields with the name raw, so it is whatever stands before the last five commas. */
export function parseBasicRecord(text: string): FileRecord {
  const parts = tupleOf(text).split(",");
  const name = parts.slice(0, -5).join(",");
  return recordOf([name, ...parts.slice(-5)]);
}

/** FT/1: one record of a `FOUND` answer, `<type,size,date,address,port>`, which leaves the name out. */
export function parseFoundRecord(text: string, name: FileName): FileRecord {
  return recordOf([name, ...tupleOf(text).split(",")]);
}

function tupleOf(text: string): string {
  if (!text.startsWith("<") || !text.endsWith(">")) {
    throw new ProtocolError("bad-record", "A record does not stand between < and >.");
  }
  return text.slice(1, -1);
}

function recordOf(fields: string[]): FileRecord {
  const [name = "", type = "", sizeText = "", date = "", addressText = "", portText = ""] = fields;
  if (fields.length !== 6) throw new ProtocolError("bad-record", `A record has ${fields.length} fields, not six.`);
  const parsedName = parseFileName(name);
  if (!/^[^<>,\u0000-\u001f\u007f-\u009f]{1,127}$/.test(type)) {
    throw new ProtocolError("bad-record", "The record's type is not a MIME type.");
  }
  const size = parseWhole(sizeText);
  if (size === undefined) throw new ProtocolError("bad-record", "The record's size is not a whole number of bytes.");
  if (!/^(?:0[1-9]|[12]\d|3[01])\/(?:0[1-9]|1[0-2])\/\d\d$/.test(date)) {
    throw new ProtocolError("bad-record", "The record's date is not DD/MM/YY.");
  }
  const parsedAddress = parseAddress(addressText);
  if (parsedAddress === undefined) throw new ProtocolError("bad-record", "The record's address is not an IP address.");
  const port = parsePort(portText);
  if (port === undefined) throw new ProtocolError("bad-port", "The record's port is not from 1 to 65535.");
  return { name: parsedName, type, size, date, address: parsedAddress, port, v2: false };
}

/** FT/2: the record in two parts, what stands before its address and what stands after, for who fills in the address late. */
export function formatRecordAround(record: Omit<FileRecord, "address">): [before: string, after: string] {
  const attributes = [
    record.v2 ? ";v=2" : "",
    record.mtime === undefined ? "" : `;mtime=${record.mtime}`,
    record.root === undefined ? "" : `;root=${record.root}`,
    record.part ? ";part=1" : "",
    record.unreachable ? ";reach=no" : "",
    record.holders === undefined ? "" : `;holders=${record.holders}`,
  ].join("");
  return [
    `<${escapeField(record.name)},${escapeField(record.type)},${record.size},${record.date},`,
    `,${record.port}${attributes}>`,
  ];
}

/** FT/2: one record. */
export function formatRecord(record: FileRecord): string {
  const [before, after] = formatRecordAround(record);
  return before + escapeField(record.address) + after;
}

/** FT/1: one record as a peer registers it, the name raw. */
export function formatBasicRecord(record: FileRecord): string {
  return `<${record.name},${record.type},${record.size},${record.date},${record.address},${record.port}>`;
}

const DEVICE_NAMES = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
const UNSAFE_CHARACTERS =
  /[/\\:*?"<>|\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;
/** Room is left for ` (1)` and the like within the 255 bytes that file systems allow. */
const LOCAL_NAME_LIMIT = 240;

/**
 * A stranger's file name as one harmless component of a path here, on every system: no separators, streams, devices, control or
 * invisible characters, no leading dot or dash, no trailing dot or space, at most 240 bytes with the extension kept.
 */
export function localNameOf(name: string): string {
  let local = name
    .normalize("NFC")
    .replace(UNSAFE_CHARACTERS, "_")
    .replace(/^[\s.-]+/, (start) => "_".repeat(Math.min(start.length, 1)))
    .replace(/[\s.]+$/, "");
  if (local === "" || local === "_") local = "file";
  if (byteLength(local) > LOCAL_NAME_LIMIT) {
    const [base, extension] = splitExtension(local);
    local = (cutToBytes(base, LOCAL_NAME_LIMIT - 1 - byteLength(extension)).replace(/[\s.]+$/, "") || "file") + extension;
  }
  // Last, because cutting can leave a device's name behind.
  const stem = local.split(".")[0] ?? "";
  return DEVICE_NAMES.test(stem.trimEnd()) ? `_${local}` : local;
}

/** A name as stem and extension (`.ext`, at most 16 bytes; or nothing). */
export function splitExtension(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 ? name.slice(dot) : "";
  return extension === "" || byteLength(extension) > 16 ? [name, ""] : [name.slice(0, dot), extension];
}

function cutToBytes(text: string, limit: number): string {
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += byteLength(segment);
    if (used > limit) break;
    kept += segment;
  }
  return kept;
}

/** Records of the same content: by root where there is one, else each by itself. Most whole holders first, then the newest. */
export function groupByContent(records: FileRecord[]): [FileRecord, ...FileRecord[]][] {
  const groups = new Map<string, [FileRecord, ...FileRecord[]]>();
  for (const record of records) {
    const key = record.root === undefined ? formatEndpoint(record) + record.name : `${record.root} ${record.size}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  return [...groups.values()].sort(
    (a, b) => wholeHolders(b) - wholeHolders(a) || b.length - a.length || modifiedOf(b[0]).localeCompare(modifiedOf(a[0])),
  );
}

/** How many of these have the whole file. */
export function wholeHolders(records: FileRecord[]): number {
  return records.filter(({ part }) => !part).length;
}

/** When the file was last modified: exactly where that is known, else the day, as ISO 8601. */
export function modifiedOf({ mtime, date }: Pick<FileRecord, "mtime" | "date">): string {
  return mtime ?? `20${date.slice(6)}-${date.slice(3, 5)}-${date.slice(0, 2)}`;
}

/** Days from 0000-03-01, where a year of the formula below begins, to 1970-01-01. */
const DAYS_TO_1970 = 719_468;
const DAY_MS = 86_400_000;

/**
 * Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ` and `YYYY-MM-DDTHH:MM:SS.mmmZ`, where there is such a time; undefined for all
 * other texts. Ten times as quick as `Date.parse`, and the text can be told from the number (days as in ISO 8601's calendar).
 */
export function plainTime(text: string): number | undefined {
  const fine = text.length === 24;
  if (!fine && text.length !== 20) return undefined;
  for (let at = 4; at < text.length; at++) {
    const wanted = at === 19 ? (fine ? DOT : ZULU) : at === 23 ? ZULU : (SEPARATORS[at] ?? 0);
    if (wanted !== 0 && text.charCodeAt(at) !== wanted) return undefined;
  }
  const [year, month, day] = [digitsAt(text, 0, 4), digitsAt(text, 5, 2), digitsAt(text, 8, 2)];
  const [hour, minute, second] = [digitsAt(text, 11, 2), digitsAt(text, 14, 2), digitsAt(text, 17, 2)];
  const ms = fine ? digitsAt(text, 20, 3) : 0;
  const isTime = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60 && ms >= 0;
  if (!isTime || year < 0 || month < 1 || month > 12 || day < 1 || day > daysOf(month, year)) return undefined;
  // A leap day is the last of a year that begins in March.
  const begun = month < 3 ? year - 1 : year;
  const leaps = Math.floor(begun / 4) - Math.floor(begun / 100) + Math.floor(begun / 400);
  const inYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const days = 365 * begun + leaps + inYear - DAYS_TO_1970;
  return days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + ms;
}

const DOT = 46;
const ZULU = 90;
const SEPARATORS = [0, 0, 0, 0, 45, 0, 0, 45, 0, 0, 84, 0, 0, 58, 0, 0, 58];

/** So many digits as a number; negative when one of them is none. */
function digitsAt(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function daysOf(month: number, year: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
