// Decides whether one record fits the words and filters of a FIND. find.ts does the same for all records at once.

import type { Watch } from "../protocol/messages.ts";
import { type Filtered, filterOf } from "./find.ts";
import { fits, fold, parseWords, type Word } from "./words.ts";

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
  const endings = wish.ext?.filter((one) => one !== "").map((one) => `.${fold(one)}`);
  const passes = filterOf<Filtered>(wish);
  const isFit = (file: Fitting, folded: string) =>
    (wish.name === undefined || wish.name === file.name) &&
    (wish.root === undefined || wish.root === file.root) &&
    (endings === undefined || endings.some((ending) => folded.endsWith(ending))) &&
    words.every((word) => fits(folded, 0, folded.length, word) !== word.excludes) &&
    passes?.(file) !== false;
  return { words, isFit };
}
