// Decides whether one record fits the words and filters of a FIND. A search of all records (find.ts) asks here for the filters only.

import type { Watch, Wish } from "../protocol/messages.ts";
import { fits, fold, parseWords, type Word } from "./words.ts";

/** The part of a record that filters look at. */
export interface Filtered {
  /** MIME type. */
  readonly type: string;
  /** Bytes. */
  readonly size: number;
  /** Last modification, ISO 8601 or `YYYY-MM-DD`. */
  readonly modified: string;
}

/** A record, as far as words and filters look at it. */
export type Fitting = Filtered & { readonly name: string; readonly root?: string | undefined };

/** Words and filters, ready to be compared with many records. */
export interface Fit {
  readonly words: Word[];
  /** Whether a record fits; `folded` is its name as `fold` gives it. */
  isFit(file: Fitting, folded: string): boolean;
}

/** Reads words and filters once. Throws a `ProtocolError` about words that are no search. */
export function fitOf(wish: Omit<Watch, "watch" | "group">): Fit {
  const words = parseWords(wish.words);
  const endings = endingsOf(wish);
  const passes = filterOf<Filtered>(wish);
  const isFit = (file: Fitting, folded: string) =>
    (wish.name === undefined || wish.name === file.name) &&
    (wish.root === undefined || wish.root === file.root) &&
    (endings === undefined || endings.some((ending) => folded.endsWith(ending))) &&
    words.every((word) => hasWord(folded, word) !== word.excludes) &&
    passes?.(file) !== false;
  return { words, isFit };
}

/** The folded ends of names that have one of the extensions: `tar.gz` is ".tar.gz". Undefined when any name will do. */
export function endingsOf({ ext }: Pick<Wish, "ext">): string[] | undefined {
  return ext?.filter((one) => one !== "").map((one) => `.${fold(one)}`);
}

/** Of a plain word the whole text stands somewhere in the name. To compare it like one with wildcards takes ten times as long. */
function hasWord(folded: string, word: Word): boolean {
  return folded.includes(word.needle) && (!word.isWild || fits(folded, 0, folded.length, word));
}

/** Tells whether a record passes the filters but that on extensions; undefined when there are none. */
export function filterOf<Item extends Filtered>({
  type,
  min,
  max,
  after,
  before,
}: Pick<Wish, "type" | "min" | "max" | "after" | "before">): ((item: Item) => boolean) | undefined {
  // Times compare as texts. All times of the last day are before its text with a "~": "2026-11-22T10:04" < "2026-11-22~".
  const last = `${before}~`;
  const kind = type?.toLowerCase();
  if ([type, min, max, after, before].every((one) => one === undefined)) return undefined;
  return (item) =>
    (min === undefined || item.size >= min) &&
    (max === undefined || item.size <= max) &&
    (kind === undefined || item.type.toLowerCase().startsWith(kind)) &&
    (after === undefined || item.modified >= after) &&
    (before === undefined || item.modified <= last);
}
