// Gives a fetched folder its name. If a folder of that name is there, the files go into it: a file that is there already stays, and one
// with other bytes keeps its name, so the fetched one gets a number. Nothing is replaced.

import { chmodSync, closeSync, constants, mkdirSync, openSync, utimesSync } from "node:fs";
import { rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CancelledError, codeOf, FtError } from "../../../error.ts";
import { printable } from "../../../text.ts";
import { entryOf, PLAIN_ONLY } from "../identity.ts";
import { splitExtension } from "../local-name.ts";
import { tryRemove } from "../lock.ts";
import { linkUnlessTaken, sameContent, syncFolder } from "../naming.ts";
import { removeTree } from "../remove-tree.ts";
import { syncAll } from "../sync-all.ts";
import type { FolderLayout, Renamed } from "./folder-layout.ts";

/** After this number of entries, other work of the program gets its turn. */
const LOOKED_AT_ONCE = 256;
/** The most names that are tried: `a`, `a (1)` … */
const MOST_NAMES = 1000;
/** Another program may have a file of the part folder open for a moment: removing it is tried this number of times more. */
const REMOVAL_TRIES = 3;
/** The pause before the first of these tries; each later pause is longer by this time. Milliseconds. */
const REMOVAL_PAUSE_MS = 100;

interface PublishOptions {
  /** The part folder, with all files in it that are not in the destination already. */
  part: string;
  /** The place of the finished folder. */
  destination: string;
  /** One file is fetched: the destination is the folder that it goes into. */
  isFile: boolean;
  layout: FolderLayout;
  /** The number of files. */
  files: number;
  /** The paths of files and empty folders, from the fetched folder, in the order of the list. */
  paths(): Iterable<string>;
  /** The disk reports an error: not all files are on it. */
  lost(): void;
  /** Aborts when the person stops the download. Once the files get their places, it does not matter any more. */
  signal?: AbortSignal | undefined;
  /** The date of a folder by its path, which ends in `/`; that of the fetched folder by "". Milliseconds since 1970. */
  dateOf(path: string): number | undefined;
}

export interface PublishedFolder {
  /** The finished folder, or the one file. */
  path: string;
  outcome: "new" | "merged" | "already here";
  /** Files and folders that have another name than in the list, because another entry has theirs: paths from the folder. */
  numbered: Renamed[];
}

/** Syncs the part folder's files, gives them their places, and sets the dates of the folders. Throws the system's errors. */
export async function publishFolder(options: PublishOptions): Promise<PublishedFolder> {
  const { part, destination, isFile, files, layout } = options;
  await syncAll(part, files, arrivedPaths(options), options.signal).catch((error: unknown) => {
    if (!(error instanceof CancelledError)) options.lost();
    throw error;
  });
  if (!isFile && entryOf(destination) === undefined && (await renamed(options))) {
    return { path: destination, outcome: "new", numbered: [] };
  }
  const merge = new Merge(options);
  let looked = 0;
  for (const path of options.paths()) {
    if (++looked % LOOKED_AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    const local = layout.placeOf(path);
    if (isArrived(options, path)) await merge.place(path, local);
  }
  merge.finish();
  await syncFolder(merge.path);
  const outcome = merge.added === 0 ? "already here" : isFile ? "new" : "merged";
  return { path: isFile ? merge.lastFile : merge.path, outcome, numbered: merge.numbered };
}

function isArrived({ part, layout }: PublishOptions, path: string): boolean {
  return !path.endsWith("/") && entryOf(join(part, layout.placeOf(path))) !== undefined;
}

/** Where the files lie that are in the part folder. */
function* arrivedPaths(options: PublishOptions): Generator<string> {
  const { part, layout } = options;
  for (const path of options.paths()) if (isArrived(options, path)) yield join(part, layout.placeOf(path));
}

/** Gives the whole part folder its name at once. False when something has the name by now. */
async function renamed({ part, destination, layout, dateOf }: PublishOptions): Promise<boolean> {
  setFolderDates(layout, dateOf, (local) => join(part, local));
  try {
    chmodSync(part, 0o777 & ~process.umask());
  } catch {
    // This file system keeps no rights.
  }
  try {
    await rename(part, destination);
  } catch (error) {
    if (!["EEXIST", "ENOTEMPTY", "ENOTDIR", "EPERM", "EACCES", "EBUSY"].includes(codeOf(error))) throw error;
    return false;
  }
  setDate(destination, dateOf(""));
  await syncFolder(dirname(destination));
  return true;
}

/** Sets the dates of all folders inside, the inner ones first: making an entry changes the date of its folder. */
function setFolderDates(layout: FolderLayout, dateOf: PublishOptions["dateOf"], placeOf: (local: string) => string): void {
  // An inner folder comes before the one around it, whose date it would change.
  for (const [path, local] of [...layout.folders].toReversed()) setDate(placeOf(local), dateOf(path));
}

function setDate(folder: string, date: number | undefined): void {
  // A path that ends in a slash stands for what a link points to.
  const path = folder.replace(/[\\/]+$/, "");
  // A link has the place of a folder only where others put it. Its target keeps its date.
  if (date === undefined || entryOf(path)?.isDirectory() !== true) return;
  try {
    utimesSync(path, date / 1000, date / 1000);
  } catch {
    // Dates are only a hint.
  }
}

/** Brings the files of a part folder into a folder that is there. */
class Merge {
  readonly path: string;
  readonly numbered: PublishedFolder["numbered"] = [];
  added = 0;
  /** The place of the file that was placed last; before that, of the first one of the list. */
  lastFile: string;
  readonly #options: PublishOptions;
  /** The places of folders that are there, by their places in the layout. */
  readonly #folders = new Map<string, string>();

  constructor(options: PublishOptions) {
    this.#options = options;
    this.path = ensureFolder(options.destination);
    const [first = ""] = options.paths();
    this.lastFile = join(this.path, options.layout.placeOf(first));
    this.#folders.set("", this.path);
    for (const [path, local] of options.layout.folders) {
      // Its files are here already, or it could not be made: this disk may not take its name.
      if (entryOf(join(options.part, local)) === undefined) continue;
      const name = basename(this.#folder(local));
      if (name !== basename(local)) this.numbered.push({ path, local: join(dirname(local), name) });
    }
  }

  /** Gives one file its place. */
  async place(path: string, local: string): Promise<void> {
    const from = join(this.#options.part, local);
    const slash = local.lastIndexOf("/") + 1;
    const folder = this.#folder(local.slice(0, slash));
    const [stem, extension] = splitExtension(local.slice(slash));
    for (let count = 0; count < MOST_NAMES; count++) {
      const name = count === 0 ? local.slice(slash) : `${stem} (${count})${extension}`;
      this.lastFile = join(folder, name);
      const isAdded = await linkUnlessTaken(from, this.lastFile);
      if (!isAdded && !(await isSameFile(from, this.lastFile))) continue;
      if (isAdded) this.added += 1;
      if (count > 0) this.numbered.push({ path, local: `${local.slice(0, slash)}${name}` });
      return;
    }
    throw new FtError("no-name", `Cannot save "${printable(local)}": ${MOST_NAMES} files of that name are there already.`);
  }

  /** Removes the part folder, and sets the dates of the folders. */
  finish(): void {
    const { part, isFile, layout, dateOf } = this.#options;
    removeLeftovers(part);
    if (isFile) return;
    setFolderDates(layout, dateOf, (local) => this.#folders.get(local) ?? join(this.path, local));
    setDate(this.path, dateOf(""));
  }

  #folder(local: string): string {
    const known = this.#folders.get(local);
    if (known !== undefined) return known;
    const slash = local.lastIndexOf("/", local.length - 2) + 1;
    const path = ensureFolder(join(this.#folder(local.slice(0, slash)), local.slice(slash, -1)));
    this.#folders.set(local, path);
    return path;
  }
}

/**
 * Removes the rest of a part folder. All files have their names by now: when a virus scanner has one open, a file that stays does no harm.
 */
function removeLeftovers(part: string): void {
  for (let tries = 0; tries <= REMOVAL_TRIES; tries++) {
    try {
      removeTree(part);
      return;
    } catch {
      // After the last try it stays: the next download of this folder uses it again.
      if (tries < REMOVAL_TRIES) Bun.sleepSync(REMOVAL_PAUSE_MS * (tries + 1));
    }
  }
}

/** Makes a folder, unless there is one. A link or a file that has the name stays; then the folder gets a number. */
function ensureFolder(path: string): string {
  for (let count = 0; count < MOST_NAMES; count++) {
    const tried = count === 0 ? path : `${path} (${count})`;
    if (entryOf(tried)?.isDirectory() === true) return tried;
    try {
      mkdirSync(tried);
      return tried;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }
  throw new FtError("no-name", `Cannot save "${printable(path)}": ${MOST_NAMES} entries of that name are there already.`);
}

/** Whether two files have the same bytes. The first one is removed then. */
async function isSameFile(from: string, path: string): Promise<boolean> {
  const fd = openSync(from, constants.O_RDONLY | PLAIN_ONLY);
  try {
    if ((await sameContent(fd, path).catch(() => undefined)) === undefined) return false;
  } finally {
    closeSync(fd);
  }
  tryRemove(from);
  return true;
}
