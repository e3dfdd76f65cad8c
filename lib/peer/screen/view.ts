// Turns records, peers and finished downloads into lines for a person and objects for a script. Writes nothing itself.

import { basename } from "node:path";
import { colours } from "../../program/cli.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf, FOLDER_TYPE } from "../../protocol/folder.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import { type FileRecord, modifiedOf } from "../../protocol/record.ts";
import { formatModified, formatRate, formatSize, localDay, plural, printable, printableName } from "../../text.ts";
import { whyRenamed } from "../disk/local-name.ts";
import type { LeftOut } from "../disk/share.ts";
import { type Content, divideByContent, shortIds } from "../download/contents.ts";
import type { Downloaded } from "../download/download.ts";
import { type Column, table } from "./columns.ts";
import { peerLabels } from "./peer-labels.ts";
import { typedName } from "./typed-name.ts";

/** How a table of files is shown. Every table without a width goes into a pipe or a file: tabs, nothing cut, no title. */
interface TableLook {
  /** Whether this peer has the file of a record. */
  isMine?: (record: FileRecord) => boolean;
  /** The time now, in milliseconds since 1970. */
  now?: number;
}

/** Records as a table, one line per record. */
export function recordTable(records: FileRecord[], width?: number, look: TableLook = {}): string[] {
  const label = holderCells(records);
  const { isMine = () => false } = look;
  return fileTable(records, (record) => label(record) + (isMine(record) ? " (you)" : ""), width, look);
}

/** Contents as a table, one line per content: one record stands for all its holders. */
export function contentTable(records: FileRecord[], width?: number, look: TableLook = {}): string[] {
  const label = labelsOf(records);
  const { isMine = () => false } = look;
  const holdersCell = (record: FileRecord) => {
    const { holders = 1 } = record;
    const mine = isMine(record);
    if (holders === 0) return mine ? "you (unfinished)" : "unfinished";
    if (holders === 1) return mine ? "you" : label(record);
    return mine ? `you and ${holders - 1} ${holders === 2 ? "other" : "others"}` : `${holders} people`;
  };
  return fileTable(records, holdersCell, width, look);
}

/** A name is never shown wider than this, whatever the terminal's width. Columns. */
const NAME_WIDTH = 60;
/** A name shrinks to this width before another column is left out. Columns. */
const NAME_LEAST = 24;
/** The name of a peer or its address is never shown wider than this. Columns. */
const WHO_WIDTH = 48;
/** A type is never shown wider than this. Columns. */
const TYPE_WIDTH = 30;

const TYPE_COLUMN: Column = { title: "TYPE", most: TYPE_WIDTH, dispensable: true };

function fileTable(
  records: FileRecord[],
  lastCell: (record: FileRecord) => string,
  width: number | undefined,
  { now = Date.now() }: TableLook,
): string[] {
  if (width === undefined) return tabbed(records.map((record) => pipeCells(record, lastCell(record))));
  const columns: Column[] = [
    { title: "NAME", most: NAME_WIDTH, shrinksTo: NAME_LEAST, names: true },
    { title: "SIZE", align: "right" },
    TYPE_COLUMN,
    { title: "DATE", spare: 3 },
    { title: "WHO", most: WHO_WIDTH, spare: 1 },
  ];
  const rows = records.map((record) => {
    const { name, size, type } = record;
    const date = formatModified(modifiedOf(record), now);
    const shown = printableName(name) + (type === FOLDER_TYPE ? "/" : "");
    return [shown, formatSize(size), typeCell(record), date, lastCell(record)];
  });
  return tableWithContents(records, columns, rows, width);
}

/** The type of a file, for a person: `text/plain`, `folder of 12 files`. */
function typeCell({ type, files }: FileRecord): string {
  if (type !== FOLDER_TYPE) return printable(type);
  return files === undefined ? "folder" : `folder of ${files.toLocaleString("en")} ${files === 1 ? "file" : "files"}`;
}

/**
 * The fields of one file in a pipe or a file. Their order and number stay the same in every version: name, size, type, day, holder,
 * content id ("" where it is not known).
 */
function pipeCells(record: FileRecord, who: string): string[] {
  const { name, size, type, root = "" } = record;
  const modified = modifiedOf(record);
  const day = modified.length === 10 ? modified : localDay(new Date(modified));
  return [printableName(name), formatSize(size), printable(type), day, who, root];
}

/** Lines for another program, such as `cut -f1`. No cell has a tab in it: `printable` has made that visible. */
function tabbed(rows: string[][]): string[] {
  return rows.map((row) => row.join("\t"));
}

/** The table, with a column for the start of the content id where one name means several contents. */
function tableWithContents(records: FileRecord[], columns: Column[], rows: string[][], width: number | undefined): string[] {
  const cells = new Map<FileRecord, string>();
  for (const same of Map.groupBy(records, ({ name }) => name).values()) {
    if (same.length < 2 || divideByContent(same).length < 2) continue;
    const ids = shortIds(same.flatMap(({ root = [] }) => root));
    if (ids.size === 0) continue;
    for (const record of same) cells.set(record, ids.get(record.root ?? "") ?? NO_ID);
  }
  if (cells.size === 0) return table(columns, rows, width);
  const more = rows.map((row, i) => [...row, cells.get(records[i] as FileRecord) ?? ""]);
  return table([...columns, { title: "CONTENT", spare: 2 }], more, width);
}

/** Shown instead of a content id that is not known. */
const NO_ID = "no id";

/** The contents that one name means, as a table. */
export function choiceTable(contents: Content[], width?: number, now = Date.now()): string[] {
  const columns: Column[] = [
    { title: "SIZE", align: "right" },
    { title: "DATE" },
    { title: "HOLDERS", align: "right" },
    { title: "CONTENT" },
    TYPE_COLUMN,
  ];
  const ids = shortIds(contents.flatMap(({ records: [{ root = [] }] }) => root));
  const rows = contents.map(({ records: [record], hosts, modified }) => [
    formatSize(record.size),
    modified === undefined ? "?" : formatModified(modified.iso, now),
    hosts === 0 ? "unfinished" : String(hosts),
    ids.get(record.root ?? "") ?? NO_ID,
    typeCell(record),
  ]);
  return table(columns, rows, width);
}

/** The contents that one name means, as objects for a script. `tracker` is its address as typed, or "". */
export function choiceObjects(contents: Content[], tracker: string) {
  return contents.map(({ records: [record], hosts, modified }) => {
    const { name, root, type, size, address, port } = record;
    const twice = contents.some(({ records: [other] }) => other !== record && other.root === root);
    const from = root === undefined || twice ? ` --from ${formatEndpoint(record)}` : "";
    const what = root === undefined ? typedName(name) : `root:${root}`;
    const command = `ft-peer ${tracker === "" ? "" : `${tracker} `}get${from} ${what}`;
    return { name, root: root ?? null, type, size, modified: modified?.iso ?? null, holders: hosts, address, port, command };
  });
}

/** The most contents of one name that a person without a terminal sees. */
const CHOICES_SHOWN = 10;

/** The choice for a person without a terminal: the table, with a command below each line. */
export function choiceLines(contents: Content[], tracker: string): string[] {
  const shown = contents.slice(0, CHOICES_SHOWN);
  const commands = choiceObjects(shown, tracker).map(({ command }) => command);
  const [title = "", ...lines] = choiceTable(shown);
  const more = contents.length - shown.length;
  return [title, ...lines.flatMap((line, i) => [line, `    ${commands[i]}`]), ...(more > 0 ? [`… and ${more} more`] : [])];
}

/** Gives the name or the address of a record's holder. */
function labelsOf(records: FileRecord[]): (record: FileRecord) => string {
  const named = ({ by: name, address, port }: FileRecord) => ({ name, address, port });
  const label = peerLabels(records.map(named));
  return (record) => label(named(record));
}

/** The same, and whether the holder has only a part of the file. */
function holderCells(records: FileRecord[]): (record: FileRecord) => string {
  const label = labelsOf(records);
  return (record) => label(record) + (record.part ? " (unfinished)" : "");
}

/** Records as objects for a script. `holders`: the number of these records that have the same content, and the whole of it. */
export function recordObjects(records: FileRecord[]): object[] {
  const groups = Map.groupBy(records, (record) => contentKeyOf(record) ?? record);
  const holders = new Map<FileRecord, number>();
  for (const group of groups.values())
    for (const record of group) holders.set(record, group.filter(({ part }) => !part).length);
  return records.map((record) => {
    const { name, type, size, address, port, by, root = null } = record;
    const whole = record.holders ?? holders.get(record) ?? 1;
    return {
      name,
      type,
      size,
      modified: modifiedOf(record),
      address,
      port,
      ...(by !== undefined && { by }),
      root,
      holders: whole,
      ...(record.files !== undefined && { files: record.files }),
      ...(record.part && { part: true }),
    };
  });
}

/** The peers online as a table; `self` is marked. On a terminal there is no column of addresses where no peer has a name. */
export function peerTable(peers: PeerLine[], self: string, width?: number, now = Date.now()): string[] {
  const showsAddress = width === undefined || peers.some(({ name }) => name !== undefined);
  const columns: Column[] = [
    { title: "WHO", most: WHO_WIDTH },
    ...(showsAddress ? [{ title: "ADDRESS", spare: 1 }] : []),
    { title: "FILES", align: "right", spare: 1 },
    { title: "SIZE", align: "right", spare: 2 },
    { title: "PROGRAM", most: TYPE_WIDTH, spare: 3 },
    { title: "SINCE", spare: 4 },
    { title: "ID", spare: 5 },
  ];
  const label = (peer: PeerLine) => (peer.name === undefined ? formatEndpoint(peer) : printable(peer.name));
  const since = (peer: PeerLine) => (width === undefined ? peer.since : sinceWhen(peer.since, now));
  const rows = peers.map((peer) => [
    label(peer) + (peer.id === self ? " (you)" : "") + (peer.reach === false ? " (firewalled)" : ""),
    ...(showsAddress ? [formatEndpoint(peer)] : []),
    String(peer.files),
    formatSize(peer.bytes),
    ...[peer.agent, since(peer), peer.id].map(printable),
  ]);
  return width === undefined ? tabbed(rows) : table(columns, rows, width);
}

/** Since when a peer is online, in local time: `17:40`, and since another day `2026-11-27 17:40`. */
function sinceWhen(since: string, now: number): string {
  const time = new Date(since);
  if (Number.isNaN(time.getTime())) return "?";
  const clock = time.toTimeString().slice(0, 5);
  return localDay(time) === localDay(new Date(now)) ? clock : `${localDay(time)} ${clock}`;
}

/** A finished download for a person: path, size, the rate of what was fetched now, and whether it is verified. */
export function describeDownload(done: Downloaded, seconds: number): string {
  const { path, size, resumed = 0, verified, outcome, inFolder } = done;
  const files = inFolder === undefined ? "" : `${plural(inFolder.saved, "file")}  `;
  const isHere = outcome === "already here" || (resumed > 0 && resumed >= size);
  const how = isHere ? "already here" : formatRate((size - resumed) / Math.max(seconds, 0.001));
  const checked = verified ? colours.green("verified") : colours.yellow("not verified");
  return `${printable(path)}  ${files}${formatSize(size)}  ${how}  ${checked}`;
}

/** A finished download as an object for a script. `record` is one of the records that it was fetched by. */
export function downloadObject({ name, root }: FileRecord, done: Downloaded, seconds: number): object {
  const { path, size, verified, outcome, holders, inFolder } = done;
  const renamed = whyRenamed(name);
  return {
    event: "done",
    name,
    path,
    size,
    seconds: Number(seconds.toFixed(3)),
    verified,
    holders: holders.length,
    outcome,
    root: inFolder?.root ?? root ?? null,
    ...(inFolder !== undefined && { files: inFolder.files, failed: inFolder.failed.length }),
    ...(renamed !== undefined && { renamed }),
  };
}

/** The sentence for a file that is not stored under the name under which it is shared; undefined for any other. */
export function describeRenaming(name: string, { path }: Downloaded): string | undefined {
  const why = whyRenamed(name);
  return why === undefined
    ? undefined
    : `"${printableName(name)}" is stored as "${printable(basename(path))}", because ${why}.`;
}

/** The sentence for a search that found nothing. */
export function notFoundSentence(name: string): string {
  return `Nobody online is sharing a file called "${printable(name)}".`;
}

/** The most files of one kind that a sentence names. */
const FILES_NAMED = 5;

/** The names of files for a sentence: the first ones, and how many more there are. */
export function describeNames(names: string[], shown = FILES_NAMED): string {
  const more = names.length > shown ? ` and ${(names.length - shown).toLocaleString("en")} more` : "";
  return (
    names
      .slice(0, shown)
      .map((name) => `"${name}"`)
      .join(", ") + more
  );
}

/** The files that are not shared, by reason, each as a sentence. */
export function describeLeft(left: LeftOut[]): string {
  const byReason = Map.groupBy(left, ({ reason }) => reason);
  return [...byReason]
    .map(([reason, files]) => {
      return ` Not shared (${reason}): ${describeNames(files.map(({ path }) => basename(path)))}.`;
    })
    .join("");
}
