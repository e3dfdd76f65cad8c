// Keeps sets that mostly have one member, and need no memory of their own until they have two.
//
// A Set or Map each would be simpler. Most names have one record and most contents one name, and a Set or Map with one member
// takes 264 bytes: together they would be more than half of the memory of a record.

/** One object, or several by their keys, in the order in which they came. */
export type Few<One extends object> = One | Map<unknown, One>;

/** The key of a member. Without one, the member is its own key. */
type KeyOf<One> = (one: One) => unknown;

/** The set with the member `one` added. It replaces a member with the same key. */
export function withOne<One extends object>(few: Few<One> | undefined, one: One, keyOf: KeyOf<One> = itself): Few<One> {
  if (few === undefined) return one;
  return (few instanceof Map ? few : new Map([[keyOf(few), few]])).set(keyOf(one), one);
}

/** The set without the member `one`; undefined if it was the only member. */
export function withoutOne<One extends object>(
  few: Few<One> | undefined,
  one: One,
  keyOf: KeyOf<One> = itself,
): Few<One> | undefined {
  if (!(few instanceof Map)) return few !== undefined && keyOf(few) === keyOf(one) ? undefined : few;
  few.delete(keyOf(one));
  const [only] = few.values();
  return few.size > 1 ? few : only;
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
  return few !== undefined && keyOf(few) === key ? few : undefined;
}

/** The members, in the order in which they came. */
export function eachOf<One extends object>(few: Few<One> | undefined): Iterable<One> {
  if (few === undefined) return [];
  return few instanceof Map ? few.values() : [few];
}

/** The number of members. */
export function sizeOf(few: Few<object> | Tally): number {
  if (few instanceof Map) return few.size;
  return few === undefined ? 0 : 1;
}

function itself<One>(one: One): unknown {
  return one;
}

/** How often each text is counted: one text once, or several by their numbers. Most contents have one holder, which needs no Map. */
export type Tally = string | Map<string, number> | undefined;

/** The tally after one text was added (1) or removed (-1). */
export function counted(tally: Tally, text: string, by: 1 | -1): Tally {
  if (tally === undefined) return by === 1 ? text : undefined;
  if (typeof tally === "string" && by === -1) return tally === text ? undefined : tally;
  const counts = tally instanceof Map ? tally : new Map([[tally, 1]]);
  const count = (counts.get(text) ?? 0) + by;
  if (count <= 0) counts.delete(text);
  else counts.set(text, count);
  return counts.size === 0 ? undefined : counts;
}
