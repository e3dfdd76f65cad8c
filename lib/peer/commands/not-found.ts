// Names similar files, where a command wants a file's exact name and nobody online has one of that name.

import { FtError } from "../../error.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, printable } from "../../text.ts";
import { type CommandLine, rootArgument } from "../arguments.ts";
import { typed } from "../locate/locate.ts";
import { typedName } from "../screen/typed-name.ts";
import { notFoundSentence } from "../screen/view.ts";
import { findSimilar } from "./similar.ts";
import type { Peer } from "./types.ts";

/** Contents whose names are like this one. There are none for a content id, and none at an FT/1 tracker, which finds exact names only. */
export async function similarTo({ session: { requests, standing } }: Peer, name: string): Promise<FileRecord[]> {
  if (standing?.profile !== 2 || rootArgument(name) !== undefined) return [];
  return await findSimilar(name, (wish) => requests.find(wish));
}

/** The error for a name that nobody shares. With similar names: `No exact match. Similar: "report.pdf" (1.3 MB, 2 people). Try: …` */
export function notFound(name: string, similar: FileRecord[], { tracker }: CommandLine, command: string): FtError {
  const [best] = similar;
  if (best === undefined) return new FtError("not-found", notFoundSentence(name));
  const list = similar.map(({ name: other, size, holders = 1 }) => {
    return `"${printable(other)}" (${formatSize(size)}, ${holders === 1 ? "1 person" : `${holders} people`})`;
  });
  const at = tracker === undefined ? "" : `${typed(tracker)} `;
  // Nobody can type a name with a control character in it.
  const isTypable = printable(best.name) === best.name || command !== "get" || best.root === undefined;
  const what = isTypable ? typedName(best.name) : `root:${best.root}`;
  const sentence = `No exact match. Similar: ${list.join(", ")}. Try: ft-peer ${at}${command} ${what}`;
  return new FtError("not-found", sentence);
}
