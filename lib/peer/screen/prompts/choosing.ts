// Asks a person which files to share and where fetched files go.

import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { sentenceOf } from "../../../error.ts";
import { pathAsTyped } from "../../../program/typed-path.ts";
import { formatSize, plural, printable, printableName } from "../../../text.ts";
import { checkDefaultFolder } from "../../disk/default-folder.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import { isHidden } from "../../disk/hidden.ts";
import { type ChosenFiles, chooseFiles, type LeftOut, OWN_PROGRAM, type SharedFile } from "../../disk/share.ts";
import { tryFolder } from "../../disk/target-folder.ts";
import { columnsOf, fit, fitName } from "../columns.ts";
import { withoutCommands } from "../without-commands.ts";
import { askAsOne } from "./as-one.ts";
import type { Asking } from "./asking.ts";

/** The most files of a folder that are offered. */
const OFFERED = 2_000;
/** The most files that cannot be shared which are named. */
const UNFIT_SHOWN = 3;
/** The most folders that are offered while a path is typed. */
const FOLDERS_SHOWN = 5;

/** The key for another folder: Ctrl with this letter. */
const OTHER_FOLDER = "o";
/** The key for sharing or sending the folder as one. */
const AS_ONE = "f";

/** The files that a person has chosen to share, and the folder they were chosen from. */
export interface FileChoice {
  files: SharedFile[];
  from: string;
  /** The folder is shared or sent as one, not its files. */
  asOne?: SharedFolder;
}

interface ChoosingOptions {
  /** The most files that the tracker takes. */
  max: number;
  /** A tracker that nobody typed: a person who chooses files says yes to it. */
  where: string | undefined;
  /** Files that are marked at first, by their paths. */
  marked?: string[];
  /** The files are handed out to some people, not shared. */
  purpose?: "send";
}

/** Asks which files to share; undefined when the person goes back. */
export async function askFiles(
  prompts: Asking,
  folder: string,
  { max, where, marked, purpose }: ChoosingOptions,
): Promise<FileChoice | undefined> {
  for (let from = folder; ; ) {
    const { taken, left } = offeredIn(from);
    if (taken.length === 0) {
      sayUnfit(prompts, left);
      const instead = await askInstead(prompts, from, purpose);
      if (typeof instead !== "string") return instead;
      from = instead;
      continue;
    }
    sayUnfit(prompts, left);
    const before = taken.filter(({ path }) => marked?.includes(path));
    const first = before.length > 0 ? before.slice(0, max) : purpose === "send" ? [] : preselected(taken, from, max);
    const marks = new Map(first.map((file) => [file.path, file]));
    const to = where === undefined ? "" : ` with ${where}`;
    const instead = purpose === "send" ? "pack several into one archive" : "share this folder as one (Ctrl-F)";
    const tooMany = `Up to ${plural(max, "file")}: this is the tracker's limit for one person. Unmark one first, or ${instead}.`;
    const nothing = left.some(({ surplus }) => surplus) ? `No matches among the first ${taken.length} files.` : "No matches.";
    const answer = await prompts.list<SharedFile>({
      message: purpose === "send" ? "What do you send?" : `Which files do you want to share${to}? (up to ${max})`,
      hint: `${filesOf(taken, left)}${subfoldersOf(from, "not listed")} in ${printable(from)}`,
      look: (typed) => {
        const rows = taken.filter(({ name }) => fitsTyped(name, typed));
        return { rows, remark: rows.length === 0 ? nothing : `${marks.size} of at most ${max} marked` };
      },
      lay: layFiles,
      keyOf: ({ path }) => path,
      marks,
      refuseMark: () => (marks.size >= max ? tooMany : undefined),
      all: () => taken,
      enter: purpose === "send" ? "go on" : "share them",
      escape: "back",
      shortcuts: [
        { letter: AS_ONE, label: "this folder as one" },
        { letter: OTHER_FOLDER, label: "other folder" },
      ],
      check: ({ row }) => {
        if (marks.size > 0) return undefined;
        if (purpose !== "send") return "Mark at least one file with Space: only people who share are let in.";
        return row === undefined ? "No file is marked, and none fits what is typed. Esc clears it." : undefined;
      },
      sum: ({ marked, shortcut, row }) =>
        shortcut === undefined
          ? (marked.length > 0 || row === undefined ? marked : [row]).map(({ name }) => printableName(name)).join(", ")
          : shortcut === AS_ONE
            ? "this folder as one"
            : "another folder",
    });
    if (answer === undefined) return undefined;
    const chosen = marks.size > 0 || answer.row === undefined ? taken.filter(({ path }) => marks.has(path)) : [answer.row];
    if (answer.shortcut === undefined) return { files: chosen, from };
    if (answer.shortcut === AS_ONE) {
      const asOne = await askAsOne(prompts, from, purpose);
      if (asOne !== undefined) return { files: [], from, asOne };
    } else from = (await askFolder(prompts, "Which folder?", from, refuseUnreadable)) ?? from;
  }
}

/** The files of a folder to choose from. One that is gone meanwhile has none, so that the person is asked for another. */
function offeredIn(folder: string): ChosenFiles {
  try {
    return chooseFiles([folder], OFFERED);
  } catch {
    return { taken: [], left: [] };
  }
}

/** A folder has no files: asks whether to take it as one, or else for another folder. Undefined when the person goes back. */
async function askInstead(
  prompts: Asking,
  from: string,
  purpose: "send" | undefined,
): Promise<FileChoice | string | undefined> {
  prompts.say(`There are no files in ${printable(from)}${subfoldersOf(from)}.`);
  const asOne = foldersAt(from, true).length === 0 ? undefined : await askAsOne(prompts, from, purpose);
  if (asOne !== undefined) return { files: [], from, asOne };
  const question = `Which folder has the files that you want to ${purpose ?? "share"}?`;
  return await askFolder(prompts, question, from, refuseEmptyFolder);
}

/** The first files of a folder from which people share. */
function preselected(taken: SharedFile[], folder: string, max: number): SharedFile[] {
  try {
    checkDefaultFolder(folder);
  } catch {
    return [];
  }
  return taken.slice(0, max);
}

/** Asks for a folder, with Tab for the rest of its name; undefined when the person goes back. `refuse` gives a sentence. */
export async function askFolder(
  prompts: Asking,
  message: string,
  now: string,
  refuse: (folder: string) => string | undefined,
): Promise<string | undefined> {
  const pathOf = (typed: string) => pathAsTyped(typed, now);
  const chosen = ({ typed, row, moved }: { typed: string; row?: string | undefined; moved: boolean }) =>
    moved && row !== undefined ? row : typed === "" ? now : pathOf(typed);
  const answer = await prompts.list<string>({
    message,
    hint: `Enter keeps ${printable(now)}`,
    look: (typed) => ({ rows: typed === "" ? [] : foldersAt(pathOf(typed), /[\\/]$/.test(typed)).slice(0, FOLDERS_SHOWN) }),
    lay: (rows, width) => ({ title: "", lines: rows.map((path) => fitName(printable(path), width)) }),
    keyOf: (path) => path,
    enter: "confirm",
    escape: "back",
    complete: (typed) => completed(typed, foldersAt(pathOf(typed), /[\\/]$/.test(typed) || typed === "")),
    check: (answer) => refuse(chosen(answer)),
    sum: (answer) => printable(chosen(answer)),
  });
  return answer && chosen(answer);
}

/** The folders whose paths begin so. */
function foldersAt(path: string, isWhole: boolean): string[] {
  const [folder, start] = isWhole ? [path, ""] : [dirname(path), basename(path)];
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((one) => one.name.startsWith(start) && (start.startsWith(".") || !isHidden(join(folder, one.name))))
      .filter((one) => one.isDirectory() || (one.isSymbolicLink() && isFolder(join(folder, one.name))))
      .map(({ name }) => join(folder, name))
      .sort();
  } catch {
    return [];
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** The text, with what all folders that it can mean have in common; `~` and a relative path stay as they were typed. */
function completed(typed: string, folders: string[]): string {
  const [first, ...others] = folders.map((path) => basename(path));
  if (first === undefined) return typed;
  let common = first;
  for (const name of others) while (!name.startsWith(common)) common = common.slice(0, -1);
  const typedFolder = typed.slice(0, Math.max(typed.lastIndexOf("/"), typed.lastIndexOf("\\")) + 1);
  const kept = typed === "~" ? `~${sep}` : typedFolder;
  return `${kept}${common}${others.length === 0 ? sep : ""}`;
}

/** A sentence when no file can be saved into the folder. */
export function refuseTarget(folder: string): string | undefined {
  try {
    tryFolder(folder);
    return undefined;
  } catch (error) {
    return withoutCommands(sentenceOf(error)).replace(" Choose another one in the settings.", " Choose another folder.");
  }
}

function refuseUnreadable(folder: string): string | undefined {
  try {
    if (!statSync(folder).isDirectory()) return `"${printable(folder)}" is not a folder.`;
    readdirSync(folder);
    return undefined;
  } catch {
    return `There is no folder "${printable(folder)}" that can be read.`;
  }
}

function refuseEmptyFolder(folder: string): string | undefined {
  const unreadable = refuseUnreadable(folder);
  if (unreadable !== undefined) return unreadable;
  if (chooseFiles([folder], 1).taken.length > 0) return undefined;
  return `There are no files to share in "${printable(folder)}"${subfoldersOf(folder)}.`;
}

/** The words for the folders in a folder, whose files are not offered. */
function subfoldersOf(folder: string, why = "whose files are not listed here"): string {
  const count = foldersAt(folder, true).length;
  return count === 0 ? "" : ` (and ${plural(count, "folder")}, ${why})`;
}

/** The number of files in a folder, and how many of them are listed if that is not all. */
function filesOf(taken: SharedFile[], left: LeftOut[]): string {
  const more = left.filter(({ surplus }) => surplus).length;
  return `${more === 0 ? "" : `the first ${taken.length} of `}${plural(taken.length + more, "file")}`;
}

/** Says which files cannot be shared. */
function sayUnfit(prompts: Asking, left: LeftOut[]): void {
  const unfit = left.filter(({ surplus, reason }) => surplus === undefined && reason !== OWN_PROGRAM);
  for (const { path, reason } of unfit.slice(0, UNFIT_SHOWN)) prompts.warn(`Cannot share "${path}": ${reason}.`);
  const more = unfit.length - UNFIT_SHOWN;
  if (more > 0) prompts.warn(`${plural(more, "more file")} cannot be shared.`);
}

function layFiles(files: SharedFile[], width: number): { title: string; lines: string[] } {
  const sizes = files.map(({ size }) => formatSize(size));
  const widest = Math.max(...sizes.map(columnsOf));
  const names = files.map(({ name }) => fitName(printableName(name), Math.max(8, width - widest - 2)));
  const nameWidth = Math.max(...names.map(columnsOf));
  const lines = names.map((name, i) => {
    const pad = " ".repeat(nameWidth - columnsOf(name) + 2 + widest - columnsOf(sizes[i] ?? ""));
    return fit(`${name}${pad}${sizes[i]}`, width);
  });
  return { title: "", lines };
}

/** Whether a name has all the typed words in it, whatever their case. */
function fitsTyped(name: string, typed: string): boolean {
  const plain = (text: string) => text.normalize("NFKC").toLowerCase();
  return plain(typed)
    .split(/\s+/)
    .every((word) => plain(name).includes(word));
}
