// Lets a person look into a shared folder, and choose what of it to fetch.

import { contentKeyOf, type FolderEntry, isFolderEntry } from "../../../protocol/folder.ts";
import type { FileRecord } from "../../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../../text.ts";
import type { Session } from "../../online/session.ts";
import { columnsOf, fit, fitName } from "../columns.ts";
import type { Asking } from "./asking.ts";
import type { Found } from "./finder.ts";

/** The most entries that are shown for a typed text. */
const MOST_FOUND = 500;

interface LookingTools {
  prompts: Asking;
  session: { readonly requests: Pick<Session["requests"], "holders"> };
  /** The list of a folder; the records are its holders. Throws a sentence. */
  listOf(records: [FileRecord, ...FileRecord[]], how: { signal: AbortSignal }): Promise<FolderEntry[]>;
}

/** A file or a folder in a folder. */
interface Inside {
  /** Its path in the whole folder. That of a folder ends in `/`. */
  path: string;
  /** Bytes. */
  size: number;
  /** The number of files in it. */
  files: number;
}

/** Asks what of a folder to fetch: all of it, or some files and folders inside. Undefined when the person goes back. */
export async function askInside(found: Found, tools: LookingTools): Promise<Found[] | undefined> {
  const { prompts } = tools;
  const { name, files = 0, size } = found.record;
  const words = `"${printableName(name)}" is a folder: ${plural(files, "file")}, ${formatSize(size)}.`;
  const answer = await prompts.choose(words, [
    { value: "all" as const, label: "Fetch all of it" },
    { value: "look" as const, label: "Look inside, and choose" },
    { value: "back" as const, label: "Back to the search" },
  ]);
  if (answer === "all") return [found];
  if (answer !== "look") return undefined;
  const entries = await readList(found.record, tools);
  const chosen = await choose(printableName(name), entries, prompts);
  return chosen?.map(({ path, size }) => ({ ...found, inside: { path: path.replace(/\/$/, ""), size } }));
}

async function readList(record: FileRecord, { prompts, session, listOf }: LookingTools): Promise<FolderEntry[]> {
  return await prompts.during(
    "Looking inside",
    () => [printableName(record.name)],
    async (signal) => {
      const holders = record.root === undefined ? [] : await session.requests.holders(record.root);
      const [first = record, ...others] = holders.filter((one) => contentKeyOf(one) === contentKeyOf(record));
      return await listOf([first, ...others], { signal });
    },
  );
}

async function choose(name: string, entries: FolderEntry[], prompts: Asking): Promise<Inside[] | undefined> {
  const marks = new Map<string, Inside>();
  for (let at = ""; ; ) {
    const here = insideOf(entries, at);
    const answer = await prompts.list<Inside>({
      message: `What do you want of ${name}/${printable(at)}`,
      hint: "letters of a name; Enter opens a folder, Space marks a file or a folder",
      look: (typed) => {
        const rows = typed.trim() === "" ? here : findIn(entries, at, typed);
        const remark = rows.length === 0 ? "No matches." : marks.size > 0 ? `${marks.size} marked` : "";
        return { rows, remark };
      },
      lay: (rows, width) => layInside(rows, at, width),
      keyOf: ({ path }) => path,
      marks,
      enter: "fetch",
      escape: at === "" ? "back" : "up",
      check: ({ row, marked }) => (row === undefined && marked.length === 0 ? "There is nothing to fetch." : undefined),
      sum: ({ row, marked }) =>
        (marked.length > 0 ? marked : row === undefined ? [] : [row]).map(({ path }) => printable(path)).join(", "),
    });
    if (answer === undefined && at === "") return undefined;
    if (answer === undefined) at = at.slice(0, at.lastIndexOf("/", at.length - 2) + 1);
    else if (marks.size > 0) return withoutInner([...marks.values()]);
    else if (answer.row?.path.endsWith("/") && answer.row.files > 0) at = answer.row.path;
    else return answer.row === undefined ? [] : [answer.row];
  }
}

/** The files and folders that are in a folder: the folders first. */
function insideOf(entries: FolderEntry[], at: string): Inside[] {
  const rows = new Map<string, Inside>();
  for (const entry of entries) {
    if (!entry.path.startsWith(at)) continue;
    const slash = entry.path.indexOf("/", at.length);
    const path = slash < 0 ? entry.path : entry.path.slice(0, slash + 1);
    const row = rows.get(path) ?? { path, size: 0, files: 0 };
    row.size += entry.size;
    row.files += isFolderEntry(entry) ? 0 : 1;
    rows.set(path, row);
  }
  const all = [...rows.values()];
  return [...all.filter(({ path }) => path.endsWith("/")), ...all.filter(({ path }) => !path.endsWith("/"))];
}

/** The files in a folder, and in the folders in it, whose paths have all the typed words. */
function findIn(entries: FolderEntry[], at: string, typed: string): Inside[] {
  const words = plainOf(typed)
    .split(/\s+/)
    .filter((word) => word !== "");
  const rows: Inside[] = [];
  for (const { path, size } of entries) {
    if (!path.startsWith(at) || path.endsWith("/")) continue;
    const inner = plainOf(path.slice(at.length));
    if (words.every((word) => inner.includes(word))) rows.push({ path, size, files: 1 });
    if (rows.length === MOST_FOUND) break;
  }
  return rows;
}

function plainOf(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}

/** Without those that are in a folder that is chosen, too. */
function withoutInner(chosen: Inside[]): Inside[] {
  return chosen.filter(({ path }) => !chosen.some((other) => other.path !== path && path.startsWith(withSlash(other.path))));
}

function withSlash(path: string): string {
  return path.endsWith("/") ? path : `${path}/`;
}

function layInside(rows: Inside[], at: string, width: number): { title: string; lines: string[] } {
  const notes = rows.map(({ path, size, files }) =>
    path.endsWith("/") ? `${plural(files, "file")}, ${formatSize(size)}` : formatSize(size),
  );
  const widest = Math.max(...notes.map(columnsOf));
  const names = rows.map(({ path }) => fitName(printable(path.slice(at.length)), Math.max(8, width - widest - 2)));
  const nameWidth = Math.max(...names.map(columnsOf));
  const lines = names.map((name, i) => {
    const pad = " ".repeat(nameWidth - columnsOf(name) + 2 + widest - columnsOf(notes[i] ?? ""));
    return fit(`${name}${pad}${notes[i]}`, width);
  });
  return { title: "", lines };
}
