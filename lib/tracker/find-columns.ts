// Keeps the sizes, days and types of a sheet's records in arrays of numbers, for the filters of FIND. (A sheet is a part of the index in
// find-index.ts.) The first search with filters makes them.
//
// To look at each record by itself would be simpler. A record, its type and its time are far apart in memory, so that each search
// takes 150 to 420 ms for a million records. From the arrays it takes 20 to 70 ms. They take 19 bytes a record, and only where
// there was such a search.

import { eachOf, type Few } from "./compact/few.ts";
import { dayOf, type Filtered } from "./fit.ts";

/** Each array but `firsts` and `kinds` has one number for each record. */
export interface Columns {
  /** Where the records of each title begin, and where those of the one after the last would. */
  readonly firsts: Uint32Array;
  readonly sizes: Float64Array;
  /** As `dayOf` gives them. */
  readonly days: Uint32Array;
  /** The place of each record's type in `kinds`. */
  readonly types: Uint32Array;
  /** The different types. */
  readonly kinds: string[];
}

export function columnsOf<Item extends Filtered & object>(titles: { readonly records: Few<Item> | undefined }[]): Columns {
  const records: Item[] = [];
  const firsts = new Uint32Array(titles.length + 1);
  for (const [at, title] of titles.entries()) {
    for (const record of eachOf(title.records)) records.push(record);
    firsts[at + 1] = records.length;
  }
  const sizes = new Float64Array(records.length);
  const days = new Uint32Array(records.length);
  const types = new Uint32Array(records.length);
  const places = new Map<string, number>();
  let at = 0;
  for (const { size, modified, type } of records) {
    const place = places.get(type) ?? places.size;
    if (place === places.size) places.set(type, place);
    sizes[at] = size;
    days[at] = dayOf(modified);
    types[at] = place;
    at += 1;
  }
  return { firsts, sizes, days, types, kinds: [...places.keys()] };
}
