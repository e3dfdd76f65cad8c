// Parses and formats records, file names and their escapes. A stranger's text becomes a record or a file name here, or is refused.

import { ProtocolError } from "../error.ts";
import { byteLength, cutTo, plural } from "../text.ts";
import { type Endpoint, parseAddress, parsePort, parseWhole } from "./address.ts";
import { peerName } from "./peer-name.ts";

/** A shared file's name as the protocol carries it: 1 to 255 bytes of UTF-8, no NUL. It is not safe as a name on disk: see `localNameOf`. */
export type FileName = string & { readonly [fileName]: true };

declare const fileName: unique symbol;

/** A peer's description of one file. `root` is its content id (64 hex digits), absent until it is computed. */
export interface FileRecord extends Endpoint {
  name: FileName;
  /** MIME type; old programs write `data` when they do not know it. */
  type: string;
  /** Bytes. */
  size: number;
  /** Last modification, `DD/MM/YY`, the holder's local time. */
  date: string;
  /** The holder speaks FT/2. */
  v2: boolean;
  /** Exact time of last modification, ISO 8601 UTC. */
  mtime?: string | undefined;
  root?: string | undefined;
  /** Only for a folder: how many files are in it. Its `root` is the content id of its list. */
  files?: number | undefined;
  /** Only for a folder: the length of its list. Bytes. */
  list?: number | undefined;
  /** Its holder is still fetching it, and has some of its pieces. */
  part?: true | undefined;
  /** Only with `part`: how much of it is there, as far as its holder has said it. Per cent. */
  have?: number | undefined;
  /** Its holder has the whole of it, and it does not count among the files of that peer: it was fetched when the list was full. */
  beyond?: true | undefined;
  /** The tracker could not connect to its holder: a firewall may stand before it. */
  unreachable?: true | undefined;
  /** The record stands for all records of its content. The number of peers that have the whole of it. */
  holders?: number | undefined;
  /** The name of its holder: a label that a person chose. */
  by?: string | undefined;
  /** The id of its holder, where several peers have this address and port. */
  peer?: string | undefined;
  /** In a private room: the fingerprint of its holder's certificate, which the tracker saw. 64 hex digits. */
  fingerprint?: string | undefined;
  /** The record is shown only to peers that were told this token. */
  only?: string | undefined;
  /** Its holder offers it to this peer: the holder's token for the offer. */
  offer?: string | undefined;
  /** Only with `offer`: the words of the holder's person, as a stranger wrote them. */
  say?: string | undefined;
}

/** A record without the endpoint of its holder. */
export type Unplaced = Omit<FileRecord, keyof Endpoint>;

/** The longest file name. Bytes of UTF-8. */
export const NAME_LIMIT = 255;
/** The most attributes of a record, so that a line of them is read quickly. */
const MOST_ATTRIBUTES = 64;
const utf8 = new TextEncoder();

/** A token that a peer makes up: for a watch, an offer, or the circle of a record. */
export const TOKEN = /^[\w-]{1,64}$/;
/** The longest words of an offer. Bytes of UTF-8. */
export const SAY_LIMIT = 200;

/** A stranger's text as a file name. Throws when it is empty, longer than 255 bytes, or has a NUL or half a character in it. */
export function parseFileName(text: string): FileName {
  if (text === "") throw new ProtocolError("bad-name", "The file name is empty.");
  if (text.length * 3 > NAME_LIMIT && (text.length > NAME_LIMIT || byteLength(text) > NAME_LIMIT)) {
    throw new ProtocolError("bad-name", `The file name is longer than ${NAME_LIMIT} bytes.`);
  }
  if (text.includes("\0") || !text.isWellFormed()) throw new ProtocolError("bad-name", "The file name is not text.");
  return text as FileName;
}

/** A content id: 64 hex digits, given in lower case; or undefined. */
export function parseRoot(text: string): string | undefined {
  return /^[0-9a-f]{64}$/i.test(text) ? text.toLowerCase() : undefined;
}

const FIELD_SPECIAL = /[%,;<>\u0000-\u001f\u007f-\u009f]/g;
const VALUE_SPECIAL = /[%,;<> \u0000-\u001f\u007f-\u009f]/g;

/** A text as a record field or the rest of a line: the grammar's own characters become `%XX`. `a,b` becomes `a%2Cb`. */
export function escapeField(text: string): string {
  return text.replace(FIELD_SPECIAL, percent);
}

/** A text as the value of `key=value`: like a field, and spaces are escaped too. */
export function escapeValue(text: string): string {
  return text.replace(VALUE_SPECIAL, percent);
}

function percent(character: string): string {
  return Array.from(utf8.encode(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** Undoes both escapes. Throws when a `%` stands alone, or when the bytes are not UTF-8. */
export function unescapeField(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ProtocolError("bad-escape", "A percent sign is not followed by the hex digits of a character.");
  }
}

/**
 * FT/2: `<name,type,size,date,address,port;key=value…>`, fields escaped. Unknown attributes are ignored, and what trackers alone say is
 * not read in the record of a peer.
 */
export function parseRecord(text: string, from: "peer" | "tracker" = "tracker"): FileRecord {
  const [tuple = "", ...attributes] = tupleOf(text).split(";", MOST_ATTRIBUTES + 2);
  if (attributes.length > MOST_ATTRIBUTES) throw new ProtocolError("bad-record", "The record has too many attributes.");
  const fields = tuple.split(",").map(unescapeField);
  const record = parseFields(fields);
  let whole = false;
  let by = "";
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
      case "whole":
        whole = value === "1";
        break;
      case "have":
        if (/^(?:\d{1,2}|100)$/.test(value)) record.have = Number(value);
        break;
      case "reach":
        if (value === "no") record.unreachable = true;
        break;
      case "holders":
        record.holders = countOf(value, "holders");
        break;
      case "files":
        record.files = countOf(value, "files");
        break;
      case "list":
        record.list = countOf(value, "list");
        break;
      case "id":
        if (/^[\w-]{1,64}$/.test(value)) record.peer = value;
        break;
      case "by":
        by = value;
        break;
      case "fp":
        // Only the tracker knows it, because it has seen the certificate.
        if (from === "tracker") record.fingerprint = parseRoot(value);
        break;
      case "only":
        // Without it the record would be shown to everybody.
        if (!TOKEN.test(value)) throw new ProtocolError("bad-record", "The record's only= is not a token.");
        record.only = value;
        break;
      case "offer":
        if (from === "tracker" && TOKEN.test(value)) record.offer = value;
        break;
      case "say":
        if (from === "tracker") record.say = cutTo(value, SAY_LIMIT);
        break;
      case "root": {
        const root = parseRoot(value);
        if (root === undefined) throw new ProtocolError("bad-record", "The record's root is not 64 hex digits.");
        record.root = root;
      }
    }
  }
  if (record.part && whole) {
    delete record.part;
    record.beyond = true;
  }
  if (!record.part) delete record.have;
  if (record.offer === undefined) delete record.say;
  // To make a name harmless takes longer than all the rest.
  if (by !== "" && from === "tracker") record.by = peerName(by) || undefined;
  return record;
}

function countOf(value: string, what: string): number {
  const count = parseWhole(value);
  if (count === undefined) throw new ProtocolError("bad-record", `The record's ${what} are not a whole number.`);
  return count;
}

/** The text between a record's `<` and `>`. */
export function tupleOf(text: string): string {
  if (!text.startsWith("<") || !text.endsWith(">")) {
    throw new ProtocolError("bad-record", "A record does not stand between < and >.");
  }
  return text.slice(1, -1);
}

/** The six fields of a record, not escaped. It has no attributes yet. */
export function parseFields(fields: string[]): FileRecord {
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

/** FT/2: one record, with the endpoint of its holder. */
export function formatRecordAt(record: Unplaced, { address, port }: Endpoint): string {
  const attributes = [
    record.v2 ? ";v=2" : "",
    record.mtime === undefined ? "" : `;mtime=${record.mtime}`,
    record.root === undefined ? "" : `;root=${record.root}`,
    record.files === undefined ? "" : `;files=${record.files}`,
    record.list === undefined ? "" : `;list=${record.list}`,
    record.part ? ";part=1" : "",
    record.have === undefined ? "" : `;have=${record.have}`,
    // Programs that do not know "whole" take it for an unfinished file, and ask its holder for the pieces that it has: all of them.
    record.beyond ? ";part=1;whole=1" : "",
    record.only === undefined ? "" : `;only=${record.only}`,
    record.unreachable ? ";reach=no" : "",
    record.holders === undefined ? "" : `;holders=${record.holders}`,
  ].join("");
  const fields = `${escapeField(record.name)},${escapeField(record.type)},${record.size},${record.date}`;
  return `<${fields},${escapeField(address)},${port}${attributes}>`;
}

/** FT/2: one record. */
export function formatRecord(record: FileRecord): string {
  return formatRecordAt(record, record);
}

/** Whether a record counts among the files of its peer. */
export function isCounted({ part, beyond }: Pick<FileRecord, "part" | "beyond">): boolean {
  return !part && !beyond;
}

/** A tracker's own limit on names, in bytes. Gives the record back. */
export function checkNameLength(record: FileRecord, most: number): FileRecord {
  if (byteLength(record.name) <= most) return record;
  throw new ProtocolError("bad-name", `This tracker takes file names of ${most} bytes at most.`);
}

/** A tracker's limit on the files of one peer. */
export function checkFileCount(count: number, most: number): void {
  if (count <= most) return;
  throw new ProtocolError("too-many-files", `This tracker allows ${plural(most, "file")} per person, and these are ${count}.`);
}

/** The time of last modification if it is known, else the day. ISO 8601. */
export function modifiedOf({ mtime, date }: Pick<FileRecord, "mtime" | "date">): string {
  return mtime ?? `20${date.slice(6)}-${date.slice(3, 5)}-${date.slice(0, 2)}`;
}
