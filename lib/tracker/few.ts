// Keeps sets that mostly have one member, and need no memory of their own until they have two.
//
// A Set or Map each would be simpler. Most names have one record and most contents one name, and a Set or Map with one member
// takes 264 bytes: together they would be more than half of the memory of a record.

/** One object, or several in the order in which they came. */
export type Few<One extends object> = One | Set<One>;

/** The set with the member `one` added. */
export function withOne<One extends object>(few: Few<One> | undefined, one: One): Few<One> {
  if (few === undefined) return one;
  return (few instanceof Set ? few : new Set([few])).add(one);
}

/** The set without the member `one`; undefined if it was the only member. */
export function withoutOne<One extends object>(few: Few<One> | undefined, one: One): Few<One> | undefined {
  if (!(few instanceof Set)) return few === one ? undefined : few;
  few.delete(one);
  const [only] = few;
  return few.size > 1 ? few : only;
}

/** The members, in the order in which they came. */
export function eachOf<One extends object>(few: Few<One> | Map<string, One> | undefined): Iterable<One> {
  if (few === undefined) return [];
  return few instanceof Set || few instanceof Map ? few.values() : [few];
}

interface Named {
  readonly name: string;
}

/** One object, or several by their names. */
export type FewNamed<One extends Named> = One | Map<string, One>;

/** The member with this name. */
export function named<One extends Named>(few: FewNamed<One> | undefined, name: string): One | undefined {
  if (few instanceof Map) return few.get(name);
  return few?.name === name ? few : undefined;
}

/** The set with the member `one` added. It replaces a member with the same name. */
export function withNamed<One extends Named>(few: FewNamed<One> | undefined, one: One): FewNamed<One> {
  if (few === undefined) return one;
  return (few instanceof Map ? few : new Map([[few.name, few]])).set(one.name, one);
}

/** The set without the member called `name`; undefined if it was the only member. */
export function withoutNamed<One extends Named>(few: FewNamed<One> | undefined, name: string): FewNamed<One> | undefined {
  if (!(few instanceof Map)) return few?.name === name ? undefined : few;
  few.delete(name);
  const [only] = few.values();
  return few.size > 1 ? few : only;
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

/** The number of members. */
export function sizeOf(few: Few<object> | FewNamed<Named> | Tally): number {
  if (few instanceof Set || few instanceof Map) return few.size;
  return few === undefined ? 0 : 1;
}
