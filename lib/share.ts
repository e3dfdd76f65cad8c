// Disk, outgoing: chooses the files to share, opens and reads them, and notices when one is not what it was.

import {
  close,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  read,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { codeOf, UsageError } from "./error.ts";
import type { HashPool } from "./hash.ts";
import { type Endpoint, type FileName, type FileRecord, NAME_LIMIT, parseFileName } from "./record.ts";
import { formatDate, printable } from "./text.ts";

/** A symlink swapped in is not followed, a pipe is not waited for. Windows knows neither flag. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** One file as it was when it was last looked at. */
export interface SharedFile {
  readonly name: FileName;
  readonly path: string;
  readonly type: string;
  size: number;
  modified: Date;
  /** Device, inode, size and times: equal means that nobody has touched it. */
  identity: string;
  /** Content id, once it is computed. */
  root?: string | undefined;
}

/** A file that was not taken, and why, as a clause. */
export interface LeftOut {
  path: string;
  reason: string;
  /** Nothing is wrong with it; there were enough. */
  surplus?: true;
}

/** An open shared file. Reads are at positions; nothing is shared between readers but the descriptor. */
export interface OpenFile {
  readonly size: number;
  /** How many bytes were read: as many as `into` holds, fewer only at the file's end. */
  read(into: Uint8Array, at: number): Promise<number>;
  /** Whether the file is still what was announced. */
  unchanged(): boolean;
  close(): void;
}

/**
 * Chooses what to share: files as named, then each folder's plain files by name, hidden ones left out, until there are `limit`.
 * Files named one by one are all taken. Throws a `UsageError` for a path that does not exist.
 */
export function chooseFiles(paths: string[], limit: number): { taken: SharedFile[]; left: LeftOut[] } {
  const taken: SharedFile[] = [];
  const left: LeftOut[] = [];
  const named: string[] = [];
  const folders: string[] = [];
  for (const path of paths) (isFolder(path) ? folders : named).push(path);

  const take = (path: string, atMost: number) => {
    if (taken.length >= atMost) {
      left.push({ path, reason: `${limit} files are the most`, surplus: true });
      return;
    }
    const looked = lookAt(path);
    if (!("name" in looked)) left.push(looked);
    else if (taken.some(({ name }) => name === looked.name)) left.push({ path, reason: "another file has the same name" });
    else taken.push(looked);
  };
  // A link that somebody named is what it points to; links inside folders are not followed.
  for (const path of named) take(realpathSync(path), Number.POSITIVE_INFINITY);
  for (const folder of folders) for (const path of filesIn(folder, left)) take(path, limit);
  return { taken, left };
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`Cannot share "${printable(path)}": ${reasonOf(error)}. Check the path after --share.`);
  }
}

/** The paths of a folder's visible entries that could be shared, by name. */
function filesIn(folder: string, left: LeftOut[]): string[] {
  const real = realpathSync(folder);
  const paths: string[] = [];
  try {
    const entries = readdirSync(real, { withFileTypes: true }).filter(({ name }) => !name.startsWith("."));
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) if (!entry.isDirectory()) paths.push(join(real, entry.name));
  } catch (error) {
    left.push({ path: folder, reason: reasonOf(error) });
  }
  return paths;
}

/** Opens a path once to see whether it can be shared, without following a link and without waiting. */
function lookAt(path: string): SharedFile | LeftOut {
  const name = basename(path).normalize("NFC");
  if (name.includes("\ufffd")) return { path, reason: "its name is not valid UTF-8" };
  if (Buffer.byteLength(name) > NAME_LIMIT) return { path, reason: `its name is longer than ${NAME_LIMIT} bytes` };
  try {
    // The path was real when it was chosen: a folder on the way that is a link now leads somewhere else.
    if (realpathSync(dirname(path)) !== dirname(path)) return { path, reason: "its folder is a link now" };
    const kind = lstatSync(path);
    if (kind.isSymbolicLink()) return { path, reason: "it is a link" };
    if (!kind.isFile()) return { path, reason: "it is not a plain file" };
    const fd = openSync(path, OPEN_FLAGS);
    try {
      const file: SharedFile = {
        name: parseFileName(name),
        path,
        type: Bun.file(path).type.split(";")[0] || "application/octet-stream",
        size: 0,
        modified: new Date(0),
        identity: "",
      };
      return setIdentity(file, fd) ? file : { path, reason: "it is not a plain file" };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return { path, reason: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  const clause: Record<string, string> = {
    ENOENT: "there is no such file",
    EACCES: "it may not be read",
    EPERM: "it may not be read",
    ELOOP: "it is a link",
    ENXIO: "it is not a plain file",
    ENAMETOOLONG: "its name is too long",
  };
  return clause[codeOf(error)] ?? `it cannot be read (${codeOf(error) || "unknown error"})`;
}

/** Notes what the open file is now; false when it is no plain file. */
function setIdentity(file: SharedFile, fd: number): boolean {
  const stat = fstatSync(fd, { bigint: true });
  if (!stat.isFile()) return false;
  file.size = Number(stat.size);
  file.modified = new Date(Number(stat.mtimeMs));
  file.identity = identityOf(fd);
  return true;
}

function identityOf(fd: number): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = fstatSync(fd, { bigint: true });
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

/** What this peer shares. The list is what the records say; nothing else is ever opened. */
export class Share {
  readonly files: SharedFile[];

  constructor(files: SharedFile[]) {
    this.files = files;
  }

  /** The file that fits everything asked for. */
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

  /** Opens a file of the list, if it is still what was announced; else undefined. */
  open(file: SharedFile): OpenFile | undefined {
    let fd: number;
    try {
      fd = openSync(file.path, OPEN_FLAGS);
    } catch {
      return undefined;
    }
    const announced = file.identity;
    const unchanged = () => file.identity === announced && identityOf(fd) === announced;
    if (!unchanged()) {
      closeSync(fd);
      return undefined;
    }
    return { size: file.size, read: (into, at) => readFully(fd, into, at), unchanged, close: () => close(fd) };
  }

  /** Looks at a file again after it changed: true when it can still be shared. Its root is unknown then. */
  renew(file: SharedFile): boolean {
    const looked = lookAt(file.path);
    if (!("name" in looked)) return false;
    Object.assign(file, { size: looked.size, modified: looked.modified, identity: looked.identity, root: undefined });
    return true;
  }
}

function readFully(fd: number, into: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let have = 0;
    const step = () => {
      read(fd, into, have, into.length - have, at + have, (error, got) => {
        if (error !== null) return reject(error);
        have += got;
        if (got === 0 || have === into.length) return resolve(have);
        step();
      });
    };
    step();
  });
}

/** A file's record; the address is what this peer knows of itself, the tracker puts in what it saw. */
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
  };
}

/**
 * Computes a file's content id, or takes it from the cache. Gives undefined, and leaves the file without one, when it changed
 * or could not be read meanwhile.
 */
export async function computeRoot(
  file: SharedFile,
  pool: HashPool,
  cache: RootCache,
  onHashed?: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const known = cache.get(file);
  if (known !== undefined) {
    onHashed?.(file.size);
    file.root = known;
    return known;
  }
  const identity = file.identity;
  let fd: number | undefined;
  try {
    fd = openSync(file.path, OPEN_FLAGS);
    if (identityOf(fd) !== identity) return undefined;
    const root = await pool.root(fd, file.size, onHashed, signal);
    if (identityOf(fd) !== identity || file.identity !== identity) return undefined;
    file.root = root;
    cache.set(file, root);
    return root;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const CACHE_ENTRIES = 2000;
/** A file changed this recently may change again within the same tick of the file system's clock. */
const SETTLED_MS = 2_000;

/** Content ids remembered between runs, by path and identity. A cache that cannot be read or written costs only time. */
export class RootCache {
  readonly #path: string;
  readonly #roots = new Map<string, string>();

  constructor(path: string) {
    this.#path = path;
    try {
      const saved: unknown = JSON.parse(readFileSync(path, "utf8"));
      if (typeof saved !== "object" || saved === null) return;
      for (const [key, root] of Object.entries(saved)) {
        if (typeof root === "string" && /^[0-9a-f]{64}$/.test(root)) this.#roots.set(key, root);
      }
    } catch {
      // The first run, or a file that somebody damaged: everything is computed again.
    }
  }

  get(file: SharedFile): string | undefined {
    return this.#roots.get(keyOf(file));
  }

  set(file: SharedFile, root: string): void {
    if (Date.now() - file.modified.getTime() < SETTLED_MS) return;
    this.#roots.set(keyOf(file), root);
    for (const key of this.#roots.keys()) {
      if (this.#roots.size <= CACHE_ENTRIES) break;
      this.#roots.delete(key);
    }
  }

  /** Writes the cache aside and puts it in place, so that a reader never sees half of it. */
  async save(): Promise<void> {
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      const aside = `${this.#path}.${process.pid}`;
      await writeFile(aside, JSON.stringify(Object.fromEntries(this.#roots)), { mode: 0o600 });
      await rename(aside, this.#path);
    } catch {
      // Without a cache the next run hashes again.
    }
  }
}

function keyOf(file: SharedFile): string {
  return `${file.identity} ${file.path}`;
}
