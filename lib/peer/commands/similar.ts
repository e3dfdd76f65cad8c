// Finds the file names that a person may have meant, when nobody shares a file of exactly the typed name.

import { editDistance, mistakesIn } from "../../nearest.ts";
import type { Wish } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";

/** The most records of one search that are compared with the typed name. */
const COMPARED = 200;
/** The most names that are given. */
const MOST_NAMES = 3;
/** A word of at least this length may have a mistake in it. Letters. */
const LONG_WORD = 4;

/** Searches by words; with `group`, one record stands for all of its content. */
type FindWords = (wish: Wish) => Promise<{ records: FileRecord[] }>;

/** Contents with names like the typed one, the most similar first. One name is given once, with its first content. */
export async function findSimilar(typed: string, find: FindWords): Promise<FileRecord[]> {
  const words = wordsOf(typed);
  if (words.length === 0) return [];
  const ask = (some: string[]) => find({ words: some, group: true, offset: 0, limit: COMPARED }).then(({ records }) => records);
  let found = await ask(words);
  // Somewhere in the words is a mistake. It leaves the other words whole, or one half of its own word.
  for (const word of words.toSorted((a, b) => b.length - a.length).slice(0, 3)) {
    if (found.length > 0) break;
    const [first, second] = halvesOf(word);
    if (words.length > 1) found.push(...(await ask([word])));
    if (word.length >= LONG_WORD) found.push(...(await ask([first])), ...(await ask([second])));
    found = found.filter(({ name }) => distanceOf(typed, name) !== undefined);
  }
  const near = found.flatMap((record) => {
    const distance = distanceOf(typed, record.name);
    return distance === undefined ? [] : [{ record, distance }];
  });
  near.sort((a, b) => a.distance - b.distance || (b.record.holders ?? 0) - (a.record.holders ?? 0));
  return [...new Map(near.toReversed().map(({ record }) => [record.name, record])).values()].toReversed().slice(0, MOST_NAMES);
}

/** How far a name is from the typed one; undefined when a person can hardly have meant it. A name that holds all its words is near. */
export function distanceOf(typed: string, name: string): number | undefined {
  const [wanted, plain] = [plainOf(typed), plainOf(name)];
  const stem = plain.replace(/\.[^.]{1,8}$/, "");
  const distance = Math.min(editDistance(wanted, plain), editDistance(wanted, stem));
  if (distance <= mistakesIn(wanted.length)) return distance;
  // "video" is in "Field trip video.mp4". Such names come behind those with a mistake.
  const words = wordsOf(typed);
  return words.every((word) => plain.includes(word)) ? 10 + distance : undefined;
}

/** A name without its case and accents. */
function plainOf(name: string): string {
  return name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** The words of a name: runs of letters and digits, so that none has a wildcard or a minus. */
function wordsOf(name: string): string[] {
  return plainOf(name).match(/[\p{L}\p{N}]+/gu) ?? [];
}

function halvesOf(word: string): [string, string] {
  const letters = [...word];
  const middle = Math.ceil(letters.length / 2);
  return [letters.slice(0, middle).join(""), letters.slice(middle).join("")];
}
