// Makes the lists that the operator asks for: the peers online, the contents that they share, and who has a file.

import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import { parseRoot } from "../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../text.ts";
import { type WhoHas, whoHas, whoHasLines } from "../../who-has.ts";
import type { Catalog } from "../catalog.ts";
import type { Listed, Member } from "../shelf.ts";
import type { OrderResult } from "./orders.ts";

/** The most rows of a list. A longer list is cut, and says so. */
const MOST_ROWS = 20_000;

/** Every peer online, the one with most files first. */
export function listPeers(catalog: Catalog): OrderResult {
  const peers = [...catalog.everything()].map(({ member, files }) => {
    const { id, name, address, port, agent, profile, reach, since } = member;
    const count = { files: 0, bytes: 0, fetching: 0 };
    for (const { size, part } of files) {
      if (part) count.fetching += 1;
      else count.files += 1;
      if (!part) count.bytes += size;
    }
    return { id, name, address, port, ...count, reach, agent, profile: `FT/${profile}`, since: new Date(since).toISOString() };
  });
  peers.sort((a, b) => b.files - a.files || b.fetching - a.fetching);
  const rows = peers.map((peer) => [
    formatEndpoint(peer),
    plural(peer.files, "file"),
    formatSize(peer.bytes),
    peer.fetching === 0 ? "" : `${peer.fetching} fetching`,
    printable(peer.name ?? "") + (peer.reach === false ? " (firewalled)" : ""),
  ]);
  return listed(peers, rows, "Nobody is online.");
}

/** Every content, the one with most holders first. */
export function listFiles(catalog: Catalog): OrderResult {
  const contents = new Map<
    string,
    { name: string; size: number; root?: string | undefined; holders: number; fetching: number }
  >();
  for (const { files } of catalog.everything()) {
    // A person who has it under two names counts once.
    const counted = new Set<string>();
    for (const file of files) {
      const { name, size, root, part } = file;
      const key = contentKeyOf(file) ?? `${size} ${name}`;
      const content = contents.get(key) ?? { name, size, root, holders: 0, fetching: 0 };
      if (part) content.fetching += 1;
      else if (!counted.has(key)) content.holders += 1;
      if (!part) counted.add(key);
      contents.set(key, content);
    }
  }
  const all = [...contents.values()].sort((a, b) => b.holders - a.holders || b.fetching - a.fetching);
  const rows = all.map(({ name, size, holders, fetching }) => [
    `${holders} have it`.replace(/^1 have/, "1 has"),
    fetching === 0 ? "" : `${fetching} fetching`,
    formatSize(size),
    printableName(name),
  ]);
  return listed(all, rows, "Nobody shares a file.");
}

/** Who has a file: by its name, in any case of letters, or by root: and its content id. */
export function listHolders(typed: string, catalog: Catalog): OrderResult {
  const contents = holdersOf(typed, catalog);
  if (contents.length === 0) return { done: false, lines: [`Nobody online has a file called "${printable(typed)}".`] };
  const lines = contents.flatMap((content) => whoHasLines(content, labelOf));
  const data = contents.map(({ people, ...content }) => ({
    ...content,
    people: people.map(({ person: { id, name, address, port }, ...having }) => ({ id, name, address, port, ...having })),
  }));
  return { done: true, ...cut(lines, data) };
}

function labelOf(member: Member): string {
  return member.name ?? formatEndpoint(member);
}

/** The contents that have this name or id, under whatever names their holders have them. */
function holdersOf(typed: string, catalog: Catalog): WhoHas<Member>[] {
  const root = typed.startsWith("root:") ? parseRoot(typed.slice(5)) : undefined;
  const name = folded(typed);
  const isNamed = (file: Listed) => (root === undefined ? folded(file.name) === name : file.root === root);
  const all = [...catalog.everything()].map(({ member, files }) => ({ member, files: [...files] }));
  const named = all.flatMap(({ files }) => files.filter(isNamed));
  const contents = new Set(named.map(contentKeyOf));
  const isMeant = (file: Listed) => (file.root === undefined ? isNamed(file) : contents.has(contentKeyOf(file)));
  // A record of the name that was asked for comes first: it gives the content its name.
  const holdings = all
    .flatMap(({ member, files }) => files.filter(isMeant).map((record) => ({ person: member, record })))
    .sort((a, b) => Number(isNamed(b.record)) - Number(isNamed(a.record)));
  return whoHas(
    all.map(({ member }) => member),
    holdings,
    contentKeyOf,
  );
}

function folded(name: string): string {
  return name.normalize("NFC").toLowerCase();
}

/** A list as lines with columns, the last one of any width, and as objects. */
function listed(objects: object[], rows: string[][], nothing: string): OrderResult {
  const widths = rows[0]?.map((_, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0)) ?? [];
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  return { done: true, ...cut(rows.length === 0 ? [nothing] : lines, objects) };
}

function cut(lines: string[], data: object[]): { lines: string[]; data: object[] } {
  const more = lines.length - MOST_ROWS;
  return { lines: more > 0 ? [...lines.slice(0, MOST_ROWS), `And ${more} more.`] : lines, data: data.slice(0, MOST_ROWS) };
}
