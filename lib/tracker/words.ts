// Reads the words of a search, and decides whether a name fits a word. Knows no records and no index.
//
// A plain word stands anywhere in a name. A word with wildcards at both ends, or only inside, does too: `a*e` fits "parent".
// A wildcard at one end alone ties the other end: `*.pdf` fits names that end in ".pdf", `report*` fits names in which a word
// begins with "report".

import { ProtocolError } from "../error.ts";
import { NAME_LIMIT } from "../protocol/record.ts";
import { byteLength } from "../text.ts";

/** The most words in one search. */
const MAX_WORDS = 16;

/** The most wildcards in one word. */
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

/** Whether a UTF-16 unit of a folded text is of a letter or digit: beyond ASCII all but common punctuation and emoji. */
function isLetter(unit: number): boolean {
  if (unit < 0x80) return (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x30 && unit <= 0x39);
  if (unit < 0x3040) return (unit >= 0xc0 && unit <= 0x1fff) || (unit >= 0x2070 && unit <= 0x2fff);
  return unit <= 0xd7ff || unit >= 0xe000;
}

/** Whether a word can begin at a place of a text. It cannot between two letters. */
export function beginsAt(text: string, at: number): boolean {
  return at === 0 || !isLetter(text.charCodeAt(at - 1)) || !isLetter(text.charCodeAt(at));
}

/** One word of a search. */
export interface Word {
  /** Folded, with its wildcards. */
  readonly text: string;
  /** Names that fit it are not wanted: it was written `-word`. */
  readonly excludes: boolean;
  /** It has wildcards. */
  readonly isWild: boolean;
  /** The pattern of a whole name that fits it: `*word*` for "word", `*a*e*` for "a*e", `*?e` for "?e". */
  readonly pattern: string;
  /** The part after the first `*` of the pattern must stand where a word of the name begins. */
  readonly begins: boolean;
  /** The longest part without a wildcard: names without it do not fit. Empty for words like `*` and `??`. */
  readonly needle: string;
  /** The part after the last wildcard: names that do not end with it do not fit. Empty when a name may go on after the word. */
  readonly ending: string;
  /** The comparisons of characters that `fits` has made with it. */
  compared: number;
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
  const folded = fold(excludes ? raw.slice(1) : raw);
  if (folded === "") return undefined;
  if (folded.replace(/[^*?]/g, "").length > MAX_WILDCARDS) {
    throw new ProtocolError("bad-find", `The word "${raw}" has more than ${MAX_WILDCARDS} wildcards; use fewer.`);
  }
  // `*word*` is the plain word.
  const text = /^\*+([^*?]+)\*+$/.exec(folded)?.[1] ?? folded;
  const isWild = /[*?]/.test(text);
  const opens = /^[*?]/.test(text);
  const closes = /[*?]$/.test(text);
  const pattern = opens && !closes ? `*${text}` : `*${text}*`;
  const begins = closes && !opens && isLetter(text.charCodeAt(0));
  const needle = text.split(/[*?]/).reduce((longest, part) => (part.length > longest.length ? part : longest));
  const ending = pattern.slice(1 + Math.max(pattern.lastIndexOf("*"), pattern.lastIndexOf("?")));
  return { text, excludes, isWild, pattern, begins, needle, ending, compared: 0 };
}

const STAR = 0x2a;
const QUESTION = 0x3f;

/**
 * Whether the folded name from `start` to `end` in a text fits a word. Puts the part after a `*` at its first position, so only
 * the last `*` is ever tried again. (A regular expression for each part is shorter, and takes four times as long.)
 */
export function fits(text: string, start: number, end: number, word: Word): boolean {
  const { pattern, begins, ending } = word;
  if (!text.endsWith(ending, end)) return false;
  const { length } = pattern;
  // Where the part after the last `*` begins in the pattern, and (`laid`) its present position in the name.
  let part = 0;
  let laid = start;
  let i = 0;
  let at = start;
  let compared = 0;
  let does = false;
  while (!does) {
    compared += 1;
    const wanted = pattern.charCodeAt(i);
    if (wanted === STAR) {
      i += 1;
      part = i;
      laid = at;
      does = i === length;
      continue;
    }
    if (i === length) {
      does = at === end;
      if (does) continue;
    } else if (at < end) {
      const unit = text.charCodeAt(at);
      const isFree = !begins || i > 1 || at === start || !isLetter(text.charCodeAt(at - 1));
      if (isFree && (unit === wanted || wanted === QUESTION)) {
        // A "?" is a whole character, which may be two units.
        at += wanted === QUESTION && unit >= 0xd800 && unit <= 0xdbff ? 2 : 1;
        i += 1;
        continue;
      }
    }
    if (laid >= end) break;
    laid += 1;
    at = laid;
    i = part;
  }
  word.compared += compared;
  return does;
}
