// The words of a search: how names and words are compared, and whether a name fits a word. A wildcard at one end of a word ties
// down its other end (`*.pdf` must reach the name's end, `report*` begin where a word of the name does); others may stand anywhere.

import { ProtocolError } from "../../error.ts";
import { byteLength, NAME_LIMIT } from "../../protocol/record.ts";

const MAX_WORDS = 16;

const MAX_WILDCARDS = 8;

const ASCII = /^[\0-\x7f]*$/;

/** A name or a word as it is compared: without case, accents and compatibility forms; Hangul stays in syllables. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  const bare = text.normalize("NFKD").replace(/\p{M}+/gu, "");
  return bare
    .toLowerCase()
    .replace(/ß/g, "ss")
    .replace(/ς/g, "σ")
    .replace(/\p{M}+/gu, "")
    .normalize("NFC");
}

/** Whether a UTF-16 unit belongs to a word: letters and digits; beyond ASCII all but common punctuation and emoji. */
export function isWordUnit(unit: number): boolean {
  if (unit < 0x80) return (unit >= 97 && unit <= 122) || (unit >= 48 && unit <= 57);
  if (unit < 0x2000) return unit >= 0xc0;
  return unit > 0x206f && !(unit >= 0x3000 && unit <= 0x303f) && !(unit >= 0xd800 && unit <= 0xdfff);
}

/** Whether something can begin here: not inside a word of the name. */
function begins(name: string, at: number): boolean {
  return at === 0 || !isWordUnit(name.charCodeAt(at - 1)) || !isWordUnit(name.charCodeAt(at));
}

function codePointEnd(name: string, at: number): number {
  return at + ((name.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
}

function codePointStart(name: string, end: number): number {
  return end >= 2 && (name.codePointAt(end - 2) ?? 0) > 0xffff ? end - 2 : end - 1;
}

/** Where a piece with `?` in it ends when it is laid at this place, or -1. */
function endFrom(name: string, piece: string, at: number): number {
  let place = at;
  for (let i = 0; i < piece.length; i++) {
    if (place >= name.length) return -1;
    if (piece[i] === "?") place = codePointEnd(name, place);
    else if (piece.charCodeAt(i) === name.charCodeAt(place)) place += 1;
    else return -1;
  }
  return place;
}

/** Where a piece with `?` in it begins when it ends at the name's end, or -1. */
function startAtEnd(name: string, piece: string): number {
  let place = name.length;
  for (let i = piece.length - 1; i >= 0; i--) {
    if (place <= 0) return -1;
    if (piece[i] === "?") place = codePointStart(name, place);
    else if (piece.charCodeAt(i) === name.charCodeAt(place - 1)) place -= 1;
    else return -1;
  }
  return place;
}

export interface Word {
  /** Folded; with its wildcards. */
  readonly text: string;
  readonly excludes: boolean;
  /** What stands between the `*`; undefined for a plain word. */
  readonly pieces: string[] | undefined;
  /** Which of them have a `?`. */
  readonly loose: boolean[];
  /** The same in UTF-16 units, a `?` as ANY; one piece for a plain word. */
  readonly codes: number[][];
  readonly tied: "start" | "end" | undefined;
  /** The pieces of a word like `a*e`: one plain unit each, tied to nothing. */
  readonly singles: Int32Array | undefined;
}

/** Stands for a `?` among units. */
const ANY = -1;

function codesOf(pieces: string[]): number[][] {
  return pieces.map((piece) => Array.from(piece.split(""), (unit) => (unit === "?" ? ANY : unit.charCodeAt(0))));
}

function parseWord(raw: string): Word | undefined {
  if (raw.length > NAME_LIMIT || byteLength(raw) > NAME_LIMIT) {
    throw new ProtocolError("bad-find", `A word to find is longer than ${NAME_LIMIT} bytes; use a shorter one.`);
  }
  const excludes = raw.length > 1 && raw.startsWith("-");
  const text = fold(excludes ? raw.slice(1) : raw);
  if (text === "") return undefined;
  const wildcards = text.replace(/[^*?]/g, "").length;
  if (wildcards > MAX_WILDCARDS) {
    throw new ProtocolError("bad-find", `The word "${raw}" has more than ${MAX_WILDCARDS} wildcards; use fewer.`);
  }
  if (wildcards === 0) return wordOf(text, excludes, undefined);
  const [, inside] = /^\*+([^*?]+)\*+$/.exec(text) ?? [];
  if (inside !== undefined) return wordOf(inside, excludes, undefined);
  return wordOf(text, excludes, text.split("*"));
}

function wordOf(text: string, excludes: boolean, pieces: string[] | undefined): Word {
  const opens = /^[*?]/.test(text);
  const closes = /[*?]$/.test(text);
  const tied = pieces === undefined || opens === closes ? undefined : opens ? "end" : "start";
  const codes = codesOf(pieces ?? [text]);
  const single = tied === undefined && codes.every((piece) => piece.length === 1 && piece[0] !== ANY);
  return {
    text,
    excludes,
    pieces,
    loose: pieces?.map((piece) => piece.includes("?")) ?? [],
    codes,
    tied,
    singles: single ? Int32Array.from(codes.flat()) : undefined,
  };
}

/** A folded piece of a word, with its `?`, as a word of its own. */
export function pieceOf(text: string): Word {
  return wordOf(text, false, [text]);
}

/** The words of a search, ready to be compared. Throws a `ProtocolError` when they are too many or too long. */
export function parseWords(raw: string[]): Word[] {
  if (raw.length > MAX_WORDS) {
    throw new ProtocolError("bad-find", `${raw.length} words are too many to find at once; use at most ${MAX_WORDS}.`);
  }
  return raw.flatMap((one) => parseWord(one) ?? []);
}

/** Whether a folded name fits a word. Pieces are laid as far left as they go, so nothing is tried twice. */
export function fits(name: string, { text, pieces, loose, tied }: Word): boolean {
  if (pieces === undefined) return name.includes(text);
  const last = tied === "end" ? (pieces.at(-1) ?? "") : "";
  const limit = tied === "end" ? startAtEnd(name, last) : name.length;
  if (limit < 0) return false;
  const count = tied === "end" ? pieces.length - 1 : pieces.length;
  let place = 0;
  for (let i = 0; i < count; i++) {
    const piece = pieces[i] ?? "";
    if (piece === "") continue;
    let end = -1;
    if (loose[i] !== true && !(i === 0 && tied === "start")) {
      const found = name.indexOf(piece, place);
      end = found < 0 ? -1 : found + piece.length;
    } else {
      for (let at = place; at < name.length && end < 0; at = codePointEnd(name, at)) {
        if (i === 0 && tied === "start" && !begins(name, at)) continue;
        end = endFrom(name, piece, at);
      }
    }
    if (end < 0 || end > limit) return false;
    place = end;
  }
  return true;
}

/** The same for a name of Latin-1 units that stands among others in a row of bytes; it is quicker than a string far away. */
export function fitsBytes(bytes: Uint8Array, from: number, to: number, word: Word): boolean {
  const { codes, tied, singles } = word;
  if (singles !== undefined) return hasInOrder(bytes, from, to, singles);
  let limit = to;
  let count = codes.length;
  if (tied === "end") {
    count -= 1;
    const last = codes[count] ?? [];
    limit -= last.length;
    if (limit < from || !isAt(bytes, limit, last)) return false;
  }
  let place = from;
  for (let i = 0; i < count; i++) {
    const piece = codes[i] ?? [];
    const end = limit - piece.length;
    const starts = tied === "start" && i === 0;
    const first = piece[0] ?? ANY;
    let at = place;
    for (; at <= end; at++) {
      if (first !== ANY && bytes[at] !== first) continue;
      if (starts && at > from && isWordUnit(bytes[at - 1] ?? 0) && isWordUnit(bytes[at] ?? 0)) continue;
      if (isAt(bytes, at, piece)) break;
    }
    if (at > end) return false;
    place = at + piece.length;
  }
  return true;
}

function hasInOrder(bytes: Uint8Array, from: number, to: number, units: Int32Array): boolean {
  let at = from;
  for (let i = 0; i < units.length; i++) {
    const unit = units[i] ?? 0;
    while (at < to && bytes[at] !== unit) at += 1;
    if (at >= to) return false;
    at += 1;
  }
  return true;
}

function isAt(bytes: Uint8Array, at: number, piece: number[]): boolean {
  for (let i = 0; i < piece.length; i++) if (piece[i] !== ANY && piece[i] !== bytes[at + i]) return false;
  return true;
}

/** 3: it is the name; 2: the name begins with it; 1: a word of the name does; 0: it is somewhere. */
export function rankOf(name: string, lead: string | undefined, whole: string): number {
  if (lead === undefined) return 0;
  if (name === whole) return 3;
  if (name.startsWith(lead)) return 2;
  for (let at = name.indexOf(lead); at >= 0; at = name.indexOf(lead, at + 1)) if (begins(name, at)) return 1;
  return 0;
}

/** The same in bytes; both texts as units. */
export function rankOfBytes(bytes: Uint8Array, from: number, to: number, lead: number[], whole: number[]): number {
  if (to - from === whole.length && isAt(bytes, from, whole)) return 3;
  const last = to - lead.length;
  if (last >= from && isAt(bytes, from, lead)) return 2;
  const inWord = isWordUnit(lead[0] ?? 0);
  for (let at = from + 1; at <= last; at++) {
    if (isAt(bytes, at, lead) && !(inWord && isWordUnit(bytes[at - 1] ?? 0))) return 1;
  }
  return 0;
}

/** A text as UTF-16 units. */
export function unitsOf(text: string): number[] {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}

/** A text cut into runs of letters and digits, and of what stands between. */
export function runsOf(text: string): string[] {
  const runs: string[] = [];
  let from = 0;
  let inWord = isWordUnit(text.charCodeAt(0));
  for (let at = 1; at <= text.length; at++) {
    const now = at < text.length && isWordUnit(text.charCodeAt(at));
    if (at < text.length && now === inWord) continue;
    runs.push(text.slice(from, at));
    from = at;
    inWord = now;
  }
  return runs;
}
