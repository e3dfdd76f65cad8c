// The dates of a folder's entries, which are not in its list: a number for each entry, and one for each folder that has something in it.

import { encodeAll } from "../../bytes.ts";
import type { FolderList } from "../../protocol/folder-list.ts";

const SLASH = 47;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Dates in milliseconds since 1970. Paths are those of the list; that of a folder ends in `/`, and the folder itself is `/`. */
export class FolderDates {
  readonly #list: FolderList;
  readonly #ofEntries: Float64Array;
  readonly #ofFolders = new Map<string, number>();
  /** The entry whose date comes next, if they come in the order of the list. */
  #next = 0;

  constructor(list: FolderList) {
    this.#list = list;
    this.#ofEntries = new Float64Array(list.length).fill(Number.NaN);
  }

  /** Sets the date of a path in UTF-8. A path that is not of the folder is left out. */
  set(path: Uint8Array, date: number): void {
    const entry = this.#list.find(path, this.#next);
    if (entry >= 0) {
      this.#ofEntries[entry] = date;
      this.#next = entry + 1;
    }
    if (entry < 0 && path.at(-1) === SLASH && this.#isFolder(path)) this.#ofFolders.set(decoder.decode(path), date);
  }

  /** The date of an entry of the list. */
  ofEntry(entry: number): number | undefined {
    const date = this.#ofEntries[entry] ?? Number.NaN;
    return Number.isNaN(date) ? undefined : date;
  }

  /** The date of a folder, by its path. */
  ofFolder(path: string): number | undefined {
    return this.#ofFolders.get(path) ?? this.ofEntry(this.#list.find(encoder.encode(path)));
  }

  /** All dates as DATES carries them. */
  format(): Uint8Array {
    return formatDates(this.#lines());
  }

  *#lines(): Generator<[path: string, date: number]> {
    yield* this.#ofFolders;
    for (let entry = 0; entry < this.#list.length; entry++) {
      const date = this.ofEntry(entry);
      if (date !== undefined) yield [this.#list.pathOf(entry), date];
    }
  }

  #isFolder(path: Uint8Array): boolean {
    if (path.length === 1) return true;
    const text = decoder.decode(path);
    const [first, end] = this.#list.rangeOf(text.slice(0, -1));
    return first < end && this.#list.pathOf(first).startsWith(text);
  }
}

/** Paths and their dates as DATES carries them. Milliseconds since 1970. */
export function formatDates(dates: Iterable<readonly [path: string, date: number]>): Uint8Array {
  return encodeAll(Iterator.from(dates).map(([path, date]) => `${date} ${path}\n`));
}
