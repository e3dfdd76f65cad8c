// Runs the holders command: says who of the people online has a file, who is fetching it, and who has none of it yet.

import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, printable, printableName } from "../../text.ts";
import { type WhoHas, whoHas, whoHasLines } from "../../who-has.ts";
import { type CommandLine, nameArgument, rootArgument } from "../arguments.ts";
import { isRecordOf } from "../people/find-peer.ts";
import type { Screen } from "../screen/screen.ts";
import { notFound, similarTo } from "./not-found.ts";
import type { Peer } from "./types.ts";

/** Says who has the file of this name or content id. Throws a sentence when nobody has. */
export async function holders(peer: Peer, line: CommandLine, screen: Screen): Promise<void> {
  const { requests, standing } = peer.session;
  const typed = line.argument ?? "";
  const root = rootArgument(typed);
  const records = root === undefined ? await namesakes(peer, typed) : await requests.holders(root);
  if (records.length === 0) throw notFound(typed, await similarTo(peer, typed), line, "holders");
  const everybody = await requests.who();
  // The person who asks is online for this question only, and counts only with the file.
  const people = everybody.filter((one) => one.id !== standing?.id || records.some((record) => isRecordOf(record, one)));
  const holdings = records.flatMap((record) => {
    const person = people.find((one) => isRecordOf(record, one));
    return person === undefined ? [] : [{ person, record }];
  });
  for (const content of whoHas(people, holdings, contentKeyOf)) {
    if (screen.json) screen.results(objectsOf(content));
    else if (screen.width === undefined) screen.results(tabbed(content));
    else screen.results(whoHasLines(content, labelOf));
  }
}

/** The records of a name, and of the same contents under other names. */
async function namesakes({ session: { requests } }: Peer, typed: string): Promise<FileRecord[]> {
  const named = await requests.search(nameArgument(typed));
  const roots = new Set(named.flatMap(({ root = [] }) => root));
  const contents = new Set(named.map(contentKeyOf));
  const all = await Promise.all([...roots].map((root) => requests.holders(root)));
  const same = all.flat().filter((record) => contents.has(contentKeyOf(record)));
  return [...named.filter(({ root }) => root === undefined), ...same].sort(
    (a, b) => Number(b.name === typed) - Number(a.name === typed),
  );
}

function labelOf(person: PeerLine): string {
  return person.name ?? formatEndpoint(person);
}

/** One object a person. */
function objectsOf({ people, ...content }: WhoHas<PeerLine>): object[] {
  return people.map(({ person: { id, name: by, address, port }, ...having }) => ({
    ...content,
    root: content.root ?? null,
    ...having,
    id,
    ...(by !== undefined && { by }),
    address,
    port,
  }));
}

/** Lines for another program: name, size, state, per cent ("" where it is not known), person, content id. */
function tabbed({ name, size, root = "", people }: WhoHas<PeerLine>): string[] {
  const words = { all: "has all", part: "fetching", none: "not yet" };
  return people.map((having) => {
    const percent = having.state === "part" ? String(having.percent ?? "") : "";
    const cells = [
      printableName(name),
      formatSize(size),
      words[having.state],
      percent,
      printable(labelOf(having.person)),
      root,
    ];
    return cells.join("\t");
  });
}
