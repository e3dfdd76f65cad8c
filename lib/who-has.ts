// Says who has a content, who is still fetching it, and who has none of it yet. Both programs print that. Pure: values in, text out.

import { formatSize, printable, printableName } from "./text.ts";

/** The part of a record that says how much of a content its holder has. */
export interface Holding {
  name: string;
  size: number;
  root?: string | undefined;
  /** Its holder is still fetching it. */
  part?: boolean | undefined;
  /** How much of it the holder has, if the holder says that. Per cent. */
  have?: number | undefined;
}

/** How much of a content one person has. `percent`: only while that person fetches it, where the number is known. */
export type Having<Person> = { person: Person } & (
  | { state: "all" }
  | { state: "part"; percent?: number | undefined }
  | { state: "none" }
);

/** A content, and how much of it each person has. People with all of it come first, people with nothing of it last. */
export interface WhoHas<Person> {
  name: string;
  size: number;
  root: string | undefined;
  people: Having<Person>[];
}

/**
 * Who has each content among these holdings. `keyOf` tells contents apart by their ids. A record without one counts as the content of its
 * name and size. The first record gives a content its name.
 */
export function whoHas<Person, Record extends Holding>(
  people: readonly Person[],
  holdings: readonly { person: Person; record: Record }[],
  keyOf: (record: Record) => string | undefined,
): WhoHas<Person>[] {
  const byName = ({ name, size }: Holding) => `${size} ${name}`;
  const known = holdings.filter(({ record }) => record.root !== undefined);
  const proven = new Map(known.map(({ record }) => [byName(record), keyOf(record)]));
  const contentOf = (record: Record) => keyOf(record) ?? proven.get(byName(record)) ?? byName(record);
  const groups = Map.groupBy(holdings, ({ record }) => contentOf(record));
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { name, size } = first.record;
    const root = group.find(({ record }) => record.root !== undefined)?.record.root;
    const own = Map.groupBy(group, ({ person }) => person);
    const having = people.map((person) => havingOf(person, own.get(person)?.map(({ record }) => record) ?? []));
    return { name, size, root, people: having.sort((a, b) => RANK[a.state] - RANK[b.state]) };
  });
}

const RANK = { all: 0, part: 1, none: 2 };

function havingOf<Person>(person: Person, records: Holding[]): Having<Person> {
  if (records.length === 0) return { person, state: "none" };
  if (records.some(({ part }) => !part)) return { person, state: "all" };
  const known = records.flatMap(({ have = [] }) => have);
  return { person, state: "part", percent: known.length === 0 ? undefined : Math.max(...known) };
}

/** `"Lesson 7.pdf" (4.2 MB): 14 of 30 have it, 3 are fetching (61 %), 13 not yet` */
function describeWhoHas<Person>({ name, size, people }: WhoHas<Person>): string {
  const count = (state: Having<Person>["state"]) => people.filter((one) => one.state === state).length;
  const fetching = count("part");
  const known = people.flatMap((one) => (one.state === "part" ? (one.percent ?? []) : []));
  const mean = known.length === 0 ? "" : ` (${Math.floor(known.reduce((sum, one) => sum + one, 0) / known.length)} %)`;
  const parts = [
    `${count("all")} of ${people.length} ${count("all") === 1 ? "has" : "have"} it`,
    ...(fetching === 0 ? [] : [`${fetching} ${fetching === 1 ? "is" : "are"} fetching${mean}`]),
    ...(count("none") === 0 ? [] : [`${count("none")} not yet`]),
  ];
  return `"${printableName(name)}" (${formatSize(size)}): ${parts.join(", ")}`;
}

/** How much a person has, in words of one width: `has all   Anna`, `fetching  Ben (61 %)`, `not yet   Chloe`. `label` is printable. */
function describeHaving(having: Having<unknown>, label: string): string {
  if (having.state === "all") return `has all   ${label}`;
  if (having.state === "none") return `not yet   ${label}`;
  return `fetching  ${label}${having.percent === undefined ? "" : ` (${having.percent} %)`}`;
}

/** The lines about a content for a person: a sentence, and a line a person. */
export function whoHasLines<Person>(content: WhoHas<Person>, labelOf: (person: Person) => string): string[] {
  return [describeWhoHas(content), ...content.people.map((one) => `  ${describeHaving(one, printable(labelOf(one.person)))}`)];
}
