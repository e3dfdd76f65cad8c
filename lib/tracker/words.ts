// The words of a search: how names and words are compared, and whether a name fits a word. Knows no records and no index.
//
// A plain word stands anywhere in a name. A word with wildcards at both ends, or only inside, does too: `a*e` fits "parent".
// A wildcard at one end alone ties the other end: `*.pdf` fits names that end in ".pdf", `report*` fits names in which a word
// begins with "report".

import { ProtocolError } from "../error.ts";
import { byteLength, NAME_LIMIT } from "../protocol/record.ts";

/** Words in one search. */
const MAX_WORDS = 16;

/** Wildcards in one word. */
const MAX_WILDCARDS = 8;

const ASCII = /^[\0-\x7f]*$/;

/** A name or a word as it is compared: without case, accents and compatibility forms. Hangul stays in syllables. */
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

/** What words of a folded name consist of: letters and digits; beyond ASCII all but common punctuation and emoji. */
const LETTER = "[a-z0-9\\u{c0}-\\u{1fff}\\u{2070}-\\u{2fff}\\u{3040}-\\u{d7ff}\\u{e000}-\\u{ffff}]";

const IS_LETTER = new RegExp(LETTER, "u");

/** Whether a word can begin at a place of a text. It cannot between two letters. */
export function beginsAt(text: string, at: number): boolean {
  return at === 0 || !IS_LETTER.test(text.charAt(at - 1)) || !IS_LETTER.test(text.charAt(at));
}

/** One word of a search. */
export interface Word {
  /** Folded, with its wildcards. */
  readonly text: string;
  /** Names that fit it are not wanted: it was written `-word`. */
  readonly excludes: boolean;
  /** What must come one after the other in a name, for a word with wildcards: `a*b?` has /a/ and /b[^]/. */
  readonly pieces: readonly RegExp[] | undefined;
  /** The longest part without a wildcard: names without it do not fit. Empty for words like `*` and `??`. */
  readonly needle: string;
}

/** The words of a search. Throws a `ProtocolError` when they are too many, too long, or have too many wildcards. */
export function parseWords(raw: string[]): Word[] {
  if (raw.length > MAX_WORDS) {
    throw new ProtocolError("bad-find", `${raw.length} words are too many to find at once; use at most ${MAX_WORDS}.`);
  }
  return raw.flatMap((one) => parseWord(one) ?? []);
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
  // `*word*` is the plain word.
  const plain = wildcards === 0 ? text : /^\*+([^*?]+)\*+$/.exec(text)?.[1];
  if (plain !== undefined) return { text: plain, excludes, pieces: undefined, needle: plain };
  const needle = text.split(/[*?]/).reduce((longest, part) => (part.length > longest.length ? part : longest));
  return { text, excludes, pieces: piecesOf(text), needle };
}

/** The parts of a word between its `*`. Each has one length, so that no name takes long to compare. */
function piecesOf(text: string): RegExp[] {
  const opens = /^[*?]/.test(text);
  const closes = /[*?]$/.test(text);
  const pieces = text.split("*").map((piece) => RegExp.escape(piece).replaceAll("\\?", "[^]"));
  const last = pieces.length - 1;
  if (closes && !opens && IS_LETTER.test(text.charAt(0))) pieces[0] = `(?<!${LETTER})${pieces[0]}`;
  if (opens && !closes) pieces[last] = `${pieces[last]}$`;
  return pieces.filter((piece) => piece !== "").map((piece) => new RegExp(piece, "gu"));
}

/** Whether a folded name fits a word. Each piece is laid as far left as it goes, so nothing is tried twice. */
export function fits(name: string, { text, pieces }: Word): boolean {
  if (pieces === undefined) return name.includes(text);
  let place = 0;
  return pieces.every((piece) => {
    piece.lastIndex = place;
    const found = piece.test(name);
    place = piece.lastIndex;
    return found;
  });
}
