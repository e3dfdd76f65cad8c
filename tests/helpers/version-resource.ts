// Writes another version resource into a program for Windows. The compiler leaves the runtime's own, so Windows' firewall and the task
// manager would name the runtime and not this project. The compiler can write it on Windows only.
//
// Formats: "PE Format" and "VS_VERSIONINFO structure" in Microsoft's documentation.

import { placesOf, RESOURCE, replaceResource, viewOf } from "./resources.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The fixed part of a version resource: its size, and the number that it begins with. */
const FIXED_SIZE = 52;
const FIXED_MAGIC = 0xfeef04bd;
/** English of the United States, in UTF-16. */
const LANGUAGE = 0x0409;
const UTF16 = 1200;

/** The strings of a version resource, such as FileDescription. */
type VersionStrings = Record<string, string>;

/** The program with these strings instead of those that it has. Throws when there is no room, or no resource. */
export function withVersion(bytes: Bytes, strings: VersionStrings, version: string): Bytes {
  const out = bytes.slice();
  const places = placesOf(out, RESOURCE.version);
  if (places.length === 0) throw new RangeError("has no version resource");
  const resource = versionResource(strings, version);
  for (const place of places) replaceResource(out, place, resource, "a version resource");
  const view = viewOf(out);
  // The checksum of the whole file. 0 means that there is none; only drivers need one.
  view.setUint32(view.getUint32(0x3c, true) + 24 + 64, 0, true);
  return out;
}

/** The version resources of a program as they are, one after the other, with the characters of UTF-16. */
export function versionText(bytes: Uint8Array): string {
  const places = placesOf(bytes, RESOURCE.version);
  return places.map(({ offset, size }) => Buffer.from(bytes.slice(offset, offset + size)).toString("utf16le")).join("\n");
}

/** A version resource with these strings. */
function versionResource(strings: VersionStrings, version: string): Bytes {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map((part) => Number.parseInt(part, 10) || 0);
  const fixed = Buffer.alloc(FIXED_SIZE);
  const numbers = [
    FIXED_MAGIC,
    0x10000,
    (major << 16) | minor,
    patch << 16,
    (major << 16) | minor,
    patch << 16,
    0x3f,
    0,
    0x40004,
    1,
  ];
  for (const [i, number] of numbers.entries()) fixed.writeUInt32LE(number >>> 0, 4 * i);
  const language = `${LANGUAGE.toString(16).padStart(4, "0")}${UTF16.toString(16).padStart(4, "0")}`;
  const rows = Object.entries(strings).map(([key, value]) => node(key, utf16(`${value}\0`), 1, [], value.length + 1));
  const translation = Buffer.alloc(4);
  translation.writeUInt16LE(LANGUAGE, 0);
  translation.writeUInt16LE(UTF16, 2);
  const table = node("StringFileInfo", Buffer.alloc(0), 1, [node(language, Buffer.alloc(0), 1, rows)]);
  const languages = node("VarFileInfo", Buffer.alloc(0), 1, [node("Translation", translation, 0, [])]);
  return new Uint8Array(node("VS_VERSION_INFO", fixed, 0, [table, languages]));
}

/** One part: its length, that of its value, its kind, its name, its value, and the parts in it, each at a multiple of 4 bytes. */
function node(key: string, value: Buffer, kind: 0 | 1, children: Buffer[], valueLength = value.length): Buffer {
  const parts = [Buffer.alloc(6), utf16(`${key}\0`)];
  const pad = () => parts.push(Buffer.alloc(-Buffer.concat(parts).length & 3));
  for (const part of [value, ...children]) {
    if (part.length === 0) continue;
    pad();
    parts.push(part);
  }
  const whole = Buffer.concat(parts);
  whole.writeUInt16LE(whole.length, 0);
  whole.writeUInt16LE(valueLength, 2);
  whole.writeUInt16LE(kind, 4);
  return whole;
}

function utf16(text: string): Buffer {
  return Buffer.from(text, "utf16le");
}
