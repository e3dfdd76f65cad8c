// Remembers content ids and piece hashes between runs, so that a file is hashed once.

import { mkdir, readdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readOwnFile, replaceOwnFile } from "../../files.ts";
import { HASH } from "../../protocol/numbers.ts";
import { rootHex } from "./hash.ts";
import { pieceCountOf, type Tree } from "./merkle.ts";

/** The most content ids that are kept. */
const ENTRIES = 2000;
/** A longer file of content ids is not read. Bytes; the path in an entry has at most 4,096. */
const ROOTS_BYTES = ENTRIES * 8 * 1024;
/** The most bytes of piece hashes that are kept. The oldest are removed first. */
const LAYERS_BYTES = 64 * 1024 * 1024;
/** A file that changed more recently than this is not remembered: it could change again without a new time. Milliseconds. */
const SETTLED_MS = 2_000;

/** A file as it is now. Its remembered tree is valid only while all of this is the same. */
export interface Identified {
  path: string;
  /** Device, inode, size and times. */
  identity: string;
  size: number;
  modified: Date;
}

/**
 * Trees by path and identity. The content ids are in one file; the piece hashes of each are in a file beside it, and are checked against
 * the content id when they are read. A cache that cannot be read or written costs only time.
 */
export class TreeCache {
  readonly #path: string;
  readonly #layers: string;
  readonly #roots = new Map<string, string>();
  readonly #unsaved = new Map<string, Uint8Array>();
  #changed = false;

  /** `path` is the file of the content ids. */
  constructor(path: string) {
    this.#path = path;
    this.#layers = join(dirname(path), "trees");
    try {
      const saved: unknown = JSON.parse(readOwnFile(path, ROOTS_BYTES).toString());
      if (typeof saved !== "object" || saved === null) return;
      for (const [key, root] of Object.entries(saved)) {
        if (typeof root === "string" && /^[0-9a-f]{64}$/.test(root)) this.#roots.set(key, root);
      }
    } catch {
      // This is the first run, or the file is damaged: all files are hashed again.
    }
  }

  get(file: Identified): Tree | undefined {
    const root = this.#roots.get(cacheKeyOf(file));
    if (root === undefined) return undefined;
    try {
      const pieces = this.#piecesOf(root, file.size);
      return pieces.length === pieceCountOf(file.size) * HASH && rootHex(pieces, file.size) === root
        ? { root, pieces }
        : undefined;
    } catch {
      return undefined;
    }
  }

  #piecesOf(root: string, size: number): Uint8Array {
    // A file of one piece needs no tree: the hash of its only piece is the content id.
    if (pieceCountOf(size) <= 1) return size === 0 ? new Uint8Array(0) : Uint8Array.fromHex(root);
    return this.#unsaved.get(root) ?? new Uint8Array(readOwnFile(join(this.#layers, root), pieceCountOf(size) * HASH));
  }

  set(file: Identified, { root, pieces }: Tree): void {
    if (Date.now() - file.modified.getTime() < SETTLED_MS) return;
    const key = cacheKeyOf(file);
    this.#roots.delete(key);
    this.#roots.set(key, root);
    if (pieces.length > HASH) this.#unsaved.set(root, pieces);
    this.#changed = true;
    for (const old of this.#roots.keys()) {
      if (this.#roots.size <= ENTRIES) break;
      this.#roots.delete(old);
    }
  }

  /** Writes new trees to the disk. */
  async save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    try {
      await mkdir(this.#unsaved.size > 0 ? this.#layers : dirname(this.#path), { recursive: true, mode: 0o700 });
      for (const [root, pieces] of this.#unsaved) {
        replaceOwnFile(join(this.#layers, root), pieces);
        this.#unsaved.delete(root);
      }
      replaceOwnFile(this.#path, JSON.stringify(Object.fromEntries(this.#roots)));
      await this.#prune();
    } catch {
      // Without a cache the next run hashes again.
    }
  }

  async #prune(): Promise<void> {
    const names = await readdir(this.#layers).catch(() => []);
    const layers = await Promise.all(names.map(async (name) => ({ name, ...(await stat(join(this.#layers, name))) })));
    layers.sort((a, b) => b.mtimeMs - a.mtimeMs);
    let kept = 0;
    for (const { name, size } of layers) {
      kept += size;
      if (kept > LAYERS_BYTES) await unlink(join(this.#layers, name));
    }
  }
}

function cacheKeyOf({ identity, path }: Identified): string {
  return `${identity} ${path}`;
}
