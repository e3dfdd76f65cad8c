// Keeps sets that mostly have one member or a few. One member needs no memory of its own, a few are in an array, more in a Map.
//
// A Set or Map each would be simpler. Most names have one record and most contents one name: a Set or Map with one member takes 264
// bytes, and together they would be more than half of the memory of a record. One with nine members takes 900 bytes, an array of them 130;
// each file that some people share has four such sets.

/** One object, or several in the order in which they came. Members have different keys. */
export type Few<One extends object> = One | One[] | Map<unknown, One>;

/** The most members that are kept in an array. To look through that number takes no longer than a Map. */
const MOST_IN_ARRAY = 16;

/** The key of a member. Without one, the member is its own key. */
type KeyOf<One> = (one: One) => unknown;

/** The set with the member `one` added. It replaces a member with the same key. */
export function withOne<One extends object>(few: Few<One> | undefined, one: One, keyOf: KeyOf<One> = itself): Few<One> {
  if (few === undefined) return one;
  if (few instanceof Map) return few.set(keyOf(one), one);
  const all = Array.isArray(few) ? few : [few];
  const place = placeOf(all, keyOf(one), keyOf);
  if (place >= 0) all[place] = one;
  else all.push(one);
  if (all.length > MOST_IN_ARRAY) return new Map(all.map((each) => [keyOf(each), each]));
  return all.length === 1 ? one : all;
}

/** The set without the member `one`; undefined if it was the only member. A caller that goes through the members still gets the others. */
export function withoutOne<One extends object>(
  few: Few<One> | undefined,
  one: One,
  keyOf: KeyOf<One> = itself,
): Few<One> | undefined {
  if (few instanceof Map) {
    few.delete(keyOf(one));
    // To find the first member, a Map goes past all that left before it. In a large set that would take a millisecond each time.
    if (few.size > 1) return few;
    const [only] = few.values();
    return only;
  }
  const others = [...eachOf(few)].filter((each) => keyOf(each) !== keyOf(one));
  return others.length > 1 ? others : others[0];
}

/** Adds a member to the set that a key has in a table. */
export function putIn<Key, One extends object>(all: Map<Key, Few<One>>, key: Key, one: One, keyOf: KeyOf<One> = itself): void {
  all.set(key, withOne(all.get(key), one, keyOf));
}

/** Takes a member out of the set that a key has in a table, and the key with its last member. */
export function takeFrom<Key, One extends object>(
  all: Map<Key, Few<One>>,
  key: Key,
  one: One,
  keyOf: KeyOf<One> = itself,
): void {
  const others = withoutOne(all.get(key), one, keyOf);
  if (others === undefined) all.delete(key);
  else all.set(key, others);
}

/** The member with this key. */
export function oneOf<One extends object>(few: Few<One> | undefined, key: unknown, keyOf: KeyOf<One>): One | undefined {
  if (few instanceof Map) return few.get(key);
  if (Array.isArray(few)) return few[placeOf(few, key, keyOf)];
  return few !== undefined && keyOf(few) === key ? few : undefined;
}

/** The members, in the order in which they came. */
export function eachOf<One extends object>(few: Few<One> | undefined): Iterable<One> {
  if (few === undefined) return [];
  if (few instanceof Map) return few.values();
  return Array.isArray(few) ? few : [few];
}

/** The number of members. */
export function sizeOf(few: Few<object> | Tally): number {
  if (few instanceof Map) return few.size;
  if (Array.isArray(few)) return few.length;
  return few === undefined ? 0 : 1;
}

function placeOf<One>(all: One[], key: unknown, keyOf: KeyOf<One>): number {
  return all.findIndex((one) => keyOf(one) === key);
}

function itself<One>(one: One): unknown {
  return one;
}

/** How often each text is counted: one text once, a few texts once each, or several by their numbers. */
export type Tally = string | string[] | Map<string, number> | undefined;

/** How often a text is counted. */
export function countIn(tally: Tally, text: string): number {
  if (tally instanceof Map) return tally.get(text) ?? 0;
  return Number(Array.isArray(tally) ? tally.includes(text) : tally === text);
}

/** The tally after one text was added (1) or removed (-1). */
export function counted(tally: Tally, text: string, by: 1 | -1): Tally {
  if (tally === undefined) return by === 1 ? text : undefined;
  if (!(tally instanceof Map)) {
    const texts = Array.isArray(tally) ? tally : [tally];
    const others = texts.filter((each) => each !== text);
    if (by === -1) return others.length > 1 ? others : others[0];
    if (others.length === texts.length && texts.length < MOST_IN_ARRAY) return [...texts, text];
    return counted(new Map(texts.map((each) => [each, 1])), text, by);
  }
  const count = (tally.get(text) ?? 0) + by;
  if (count <= 0) tally.delete(text);
  else tally.set(text, count);
  return tally.size === 0 ? undefined : tally;
}
