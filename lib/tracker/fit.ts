// Decides whether one record fits the words and filters of a FIND. watches.ts and circles.ts ask about one record at a time. A search of
// all records (find.ts) looks for the words by itself, and asks here about the filters only.

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
  const filter = filterOf(wish);
  const isFit = (file: Fitting, folded: string) =>
    (wish.name === undefined || wish.name === file.name) &&
    (wish.root === undefined || wish.root === file.root) &&
    (endings === undefined || endings.some((ending) => folded.endsWith(ending))) &&
    words.every((word) => hasWord(folded, word) !== word.excludes) &&
    (filter === undefined || passes(file, filter));
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

/** The filters of a FIND but that on extensions. */
export interface Filter {
  /** The beginning of the type, in small letters. */
  readonly kind: string;
  readonly min: number;
  readonly max: number;
  /** Days, as `dayOf` gives them. */
  readonly after: number;
  readonly before: number;
}

/** The filters of a wish but that on extensions; undefined when there are none. */
export function filterOf(wish: Pick<Wish, "type" | "min" | "max" | "after" | "before">): Filter | undefined {
  const { type, min, max, after, before } = wish;
  if ([type, min, max, after, before].every((one) => one === undefined)) return undefined;
  return {
    kind: type?.toLowerCase() ?? "",
    min: min ?? 0,
    max: max ?? Number.POSITIVE_INFINITY,
    after: after === undefined ? 0 : dayOf(after),
    before: before === undefined ? Number.POSITIVE_INFINITY : dayOf(before),
  };
}

/** Whether a record passes all of them. */
export function passes({ type, size, modified }: Filtered, filter: Filter): boolean {
  return isWithin(filter, size, dayOf(modified)) && isOfKind(filter, type);
}

/** Whether a type passes. */
export function isOfKind({ kind }: Filter, type: string): boolean {
  return kind === "" || type.toLowerCase().startsWith(kind);
}

/** Whether a size and a day pass. */
export function isWithin({ min, max, after, before }: Filter, size: number, day: number): boolean {
  return size >= min && size <= max && day >= after && day <= before;
}

/** The day of an ISO 8601 time as a number: 20261122. To read it in a loop takes twice as long. */
export function dayOf(time: string): number {
  return twoDigits(time, 0) * 1_000_000 + twoDigits(time, 2) * 10_000 + twoDigits(time, 5) * 100 + twoDigits(time, 8) || 0;
}

function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - 0x30) * 10 + text.charCodeAt(at + 1) - 0x30;
}
