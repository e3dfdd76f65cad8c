// Chooses the files to share, opens and reads them, and notices when one has changed. It recognises a file by its identity, never by
// its path alone: another user may put another file there.

import { type BigIntStats, close, closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UsageError } from "../../error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { type FileName, type FileRecord, NAME_LIMIT, parseFileName } from "../../protocol/record.ts";
import { formatDate, formatSize, plural, printable } from "../../text.ts";
import type { HashPool } from "../content/hash.ts";
import type { TreeCache } from "../content/tree-cache.ts";
import type { Served } from "../serve/types.ts";
import { readFully } from "./fully.ts";
import { isHidden } from "./hidden.ts";
import {
  entryOf,
  type FirstChoice,
  folderOf,
  identityOf,
  inodeOf,
  isAtItsPath,
  learnNumbering,
  originalOf,
  PLAIN_ONLY,
  realOf,
  refuseInPlaceOf,
} from "./identity.ts";
import { isOwnProgram } from "./own-program.ts";
import { whyUnreadable } from "./unreadable.ts";

/** Files are opened with flags that refuse links and pipes. */
const OF_FILE = {
  ENOENT: "there is no such file",
  ELOOP: "it is a link",
  ENXIO: "it is not a regular file",
  ENAMETOOLONG: "its name is too long",
};

const OPEN_FLAGS = constants.O_RDONLY | PLAIN_ONLY;
/** The largest file that a record can describe. Bytes. */
const LARGEST = BigInt(Number.MAX_SAFE_INTEGER);
/** The earliest time of a file that a record can carry. Milliseconds since 1970. */
const EARLIEST_MS = Date.parse("0001-01-02T00:00:00Z");
/** The latest time of a file that a record can carry: its year has four digits in every time zone. Milliseconds since 1970. */
const LATEST_MS = Date.parse("9999-12-30T00:00:00Z");

/** A shared file as it was when it was last looked at. */
export interface SharedFile extends FirstChoice {
  name: FileName;
  path: string;
  type: string;
  size: number;
  modified: Date;
  /** While it is the same, the file has not changed. */
  identity: string;
  /** The content id, once it is computed. */
  root?: string | undefined;
  /** The hashes of the pieces, once they are computed. */
  pieces?: Uint8Array | undefined;
  /** It was fetched when the list was full: it does not count among this peer's files. */
  beyond?: true;
  /** The tracker shows the file only to peers that were told this token. */
  only?: string | undefined;
}

/** A file that is not shared, and the reason as a clause. */
export interface LeftOut {
  path: string;
  reason: string;
  /** It could be shared, but the list is full. */
  surplus?: true;
}

/** The files of some paths that are shared, and those that are not. */
export interface ChosenFiles {
  taken: SharedFile[];
  left: LeftOut[];
}

/** The reason for a program or an archive of this project in a folder. */
export const OWN_PROGRAM = "it belongs to FileTracker; name the file to share it";

/**
 * Chooses the files to share: first the named files, then the plain files of each named folder in the order of their names, without
 * hidden ones and this project's programs and archives, until there are `limit`. Throws a `UsageError` for a path that does not exist.
 */
export function chooseFiles(paths: string[], limit: number): ChosenFiles {
  const taken: SharedFile[] = [];
  const left: LeftOut[] = [];
  const named: string[] = [];
  const folders: string[] = [];
  for (const path of paths) (isFolder(path) ? folders : named).push(path);

  const take = (path: string) => {
    if (taken.length >= limit) {
      left.push({ path, reason: `the limit is ${plural(limit, "file")}`, surplus: true });
      return;
    }
    const looked = lookAt(path);
    if (!("name" in looked)) left.push(looked);
    else if (taken.some(({ name }) => name === looked.name)) left.push({ path, reason: "another file has the same name" });
    else taken.push(looked);
  };
  // A named link stands for the file that it points to. Links inside folders are not followed.
  for (const path of named) take(realOf(path));
  for (const folder of folders) {
    for (const path of filesIn(folder, left)) {
      if (isOwnProgram(path)) left.push({ path, reason: OWN_PROGRAM });
      else take(path);
    }
  }
  return { taken, left };
}

/** Whether a path is that of a folder. Throws a `UsageError` when there is nothing. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`Cannot share "${printable(path)}": ${whyUnreadable(error, OF_FILE)}. Check the path.`);
  }
}

/** The paths of the visible entries of a folder that are no folders, sorted by name. */
function filesIn(folder: string, left: LeftOut[]): string[] {
  try {
    return visibleFilesIn(realOf(folder));
  } catch (error) {
    left.push({ path: folder, reason: whyUnreadable(error, OF_FILE) });
    return [];
  }
}

function visibleFilesIn(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.map(({ name }) => join(folder, name)).filter((path) => !isHidden(path));
}

/**
 * Looks whether a path can be shared, or can be shared again after the file that was chosen there has changed. It follows no link
 * and does not wait for a pipe.
 */
function lookAt(path: string, first?: FirstChoice): SharedFile | LeftOut {
  const name = basename(path).normalize("NFC");
  if (name.includes("\ufffd") || !name.isWellFormed()) return { path, reason: "its name is not valid UTF-8" };
  if (Buffer.byteLength(name) > NAME_LIMIT) return { path, reason: `its name is longer than ${NAME_LIMIT} bytes` };
  try {
    // The path had no links when it was chosen. If a folder on the way is a link now, it leads somewhere else.
    if (realOf(dirname(path)) !== dirname(path)) return { path, reason: "its folder is a link now" };
    const kind = lstatSync(path, { bigint: true });
    if (kind.isSymbolicLink()) return { path, reason: "it is a link" };
    if (!kind.isFile()) return { path, reason: "it is not a regular file" };
    if (isOwnOutput(kind)) return { path, reason: "this program's output is being written to it" };
    const fd = openSync(path, OPEN_FLAGS);
    try {
      learnNumbering(fd);
      const entry = fstatSync(fd, { bigint: true });
      if (!entry.isFile()) return { path, reason: "it is not a regular file" };
      if (!isAtItsPath(fd, path)) return { path, reason: "its folder is a link now" };
      if (entry.size > LARGEST) return { path, reason: `it is larger than ${formatSize(Number(LARGEST))}` };
      const reason = first && refuseInPlaceOf(first, path, entry);
      return reason === undefined ? describeFile(path, entry) : { path, reason };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { path, reason: whyUnreadable(error, OF_FILE) };
  }
}

/** A file with this entry, as it is shared. */
export function describeFile(path: string, entry: BigIntStats): SharedFile {
  return {
    name: parseFileName(basename(path).normalize("NFC")),
    path,
    type: typeOf(path),
    size: Number(entry.size),
    modified: timeOf(entry),
    identity: identityOf(entry),
    owner: Number(entry.uid),
    original: originalOf(entry),
    folder: folderOf(path),
  };
}

/** The media type of a file, by its name. */
function typeOf(path: string): string {
  return Bun.file(path).type.split(";")[0] || "application/octet-stream";
}

/** The time of last modification, or the nearest one that a record can carry. */
function timeOf({ mtimeMs }: BigIntStats): Date {
  return new Date(Math.min(Math.max(Number(mtimeMs), EARLIEST_MS), LATEST_MS));
}

/** Whether our standard output or error goes into this file. If it were shared, each line about its change would change it again. */
function isOwnOutput(entry: BigIntStats): boolean {
  return [1, 2].map(entryOf).some((output) => output?.isFile() && inodeOf(output) === inodeOf(entry));
}

/** The identity of a path, or an open file; undefined when there is none. A link is not followed. */
function identify(file: string | number): string | undefined {
  const entry = entryOf(file);
  return entry && identityOf(entry);
}

/** One descriptor of a file, for all its readers. */
interface SharedDescriptor {
  readonly fd: number;
  readonly identity: string;
  users: number;
}

/** The list of shared files. No other file is ever opened for a downloader. */
export class Share {
  readonly files: SharedFile[];
  readonly #handles = new Map<SharedFile, SharedDescriptor>();

  constructor(files: SharedFile[]) {
    this.files = files;
  }

  /** The first file that fits everything that is asked for. */
  find(wanted: { name?: string; root?: string; size?: number }): SharedFile | undefined {
    return this.files.find(
      (file) =>
        (wanted.name === undefined || file.name === wanted.name) &&
        (wanted.root === undefined || file.root === wanted.root) &&
        (wanted.size === undefined || file.size === wanted.size),
    );
  }

  /** Takes a file off the list. */
  remove(file: SharedFile): void {
    const index = this.files.indexOf(file);
    if (index >= 0) this.files.splice(index, 1);
  }

  /** Puts a file on the list. It replaces one of the same name. */
  add(file: SharedFile): void {
    const index = this.files.findIndex(({ name }) => name === file.name);
    if (index < 0) this.files.push(file);
    else this.files[index] = file;
  }

  /** Puts these files on the list instead of those that are there. A file that stays keeps its content id. */
  replace(files: SharedFile[]): void {
    const kept = new Map(this.files.map((file) => [file.path, file]));
    this.files.splice(0, this.files.length, ...files.map((file) => kept.get(file.path) ?? file));
  }

  /**
   * Opens a file of the list; undefined when it is not what its record says any more. Several readers share its descriptor; each reads
   * at its own positions.
   */
  open(file: SharedFile): Served | undefined {
    const announced = file.identity;
    const handle = this.#take(file, announced);
    if (handle === undefined) return undefined;
    const { fd } = handle;
    const unchanged = () => file.identity === announced && identify(fd) === announced;
    let open = true;
    return {
      size: file.size,
      read: (into, at) => readFully(fd, into, at),
      unchanged,
      close: () => {
        if (open) this.#giveBack(file, handle);
        open = false;
      },
    };
  }

  #take(file: SharedFile, announced: string): SharedDescriptor | undefined {
    let handle = this.#handles.get(file);
    if (handle?.identity !== announced) {
      try {
        handle = { fd: openSync(file.path, OPEN_FLAGS), identity: announced, users: 0 };
      } catch {
        return undefined;
      }
      this.#handles.set(file, handle);
    }
    handle.users += 1;
    if (identify(handle.fd) === announced) return handle;
    this.#giveBack(file, handle);
    return undefined;
  }

  #giveBack(file: SharedFile, handle: SharedDescriptor): void {
    handle.users -= 1;
    if (handle.users > 0) return;
    if (this.#handles.get(file) === handle) this.#handles.delete(file);
    close(handle.fd);
  }

  /** Whether the file at the path of a shared file is another one, or has changed. */
  hasChanged(file: SharedFile): boolean {
    return identify(file.path) !== file.identity;
  }

  /** Why a changed file cannot be shared any more, as a clause; undefined when it can. */
  refusalOf(file: SharedFile): string | undefined {
    const looked = lookAt(file.path, file);
    return "reason" in looked ? looked.reason : undefined;
  }

  /**
   * Looks for a missing file under another name in its folder: a file that was renamed is shared under its new name. Gives the name that
   * it had; undefined when it is not there, or the new name is on the list already.
   */
  follow(file: SharedFile): FileName | undefined {
    const was = file.name;
    const path = renamedPathOf(file);
    if (path === undefined) return undefined;
    const name = parseFileName(basename(path).normalize("NFC"));
    if (this.files.some((other) => other !== file && other.name === name)) return undefined;
    Object.assign(file, { name, path, type: typeOf(path) });
    return was;
  }

  /** Looks at a changed file again: true when it can still be shared. Its content id is unknown then. */
  renew(file: SharedFile): boolean {
    const looked = lookAt(file.path, file);
    if ("reason" in looked) return false;
    const { size, modified, identity, original, folder } = looked;
    Object.assign(file, { size, modified, identity, original, folder, root: undefined, pieces: undefined });
    return true;
  }
}

/** The path that a shared file has now, if it was renamed inside its folder, and under which it can be shared. */
function renamedPathOf(file: SharedFile): string | undefined {
  if (folderOf(file.path) !== file.folder || entryOf(file.path) !== undefined) return undefined;
  const isSame = (path: string) => {
    const entry = entryOf(path);
    return entry !== undefined && originalOf(entry) === file.original;
  };
  let path: string | undefined;
  try {
    path = visibleFilesIn(dirname(file.path)).find(isSame);
  } catch {
    // The folder may not be read.
  }
  return path === undefined || "reason" in lookAt(path, file) ? undefined : path;
}

/** The record of a file. The tracker replaces the address by that from which it sees this peer. */
export function recordOf(file: SharedFile, { address, port }: Endpoint): FileRecord {
  return {
    name: file.name,
    type: file.type,
    size: file.size,
    date: formatDate(file.modified),
    address,
    port,
    v2: true,
    mtime: file.modified.toISOString(),
    ...(file.root === undefined ? {} : { root: file.root }),
    ...(file.beyond ? { beyond: true } : {}),
    ...(file.only === undefined ? {} : { only: file.only }),
  };
}

/**
 * Computes the content id of a file with the hashes of its pieces, or takes them from the cache. False, and the file has none, when it
 * changed or could not be read meanwhile.
 */
export async function computeTree(
  file: SharedFile,
  pool: HashPool,
  cache: TreeCache,
  options: { onHashed?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<boolean> {
  const known = cache.get(file);
  if (known !== undefined) {
    options.onHashed?.(file.size);
    Object.assign(file, known);
    return true;
  }
  const identity = file.identity;
  let fd: number | undefined;
  try {
    fd = openSync(file.path, OPEN_FLAGS);
    if (identify(fd) !== identity) return false;
    const tree = await pool.tree(fd, file.size, options);
    if (identify(fd) !== identity || file.identity !== identity) return false;
    Object.assign(file, tree);
    cache.set(file, tree);
    return true;
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
