// Content ids and piece hashes remembered between runs, so that a file is hashed once.

import { readFileSync } from "node:fs";
import { mkdir, readdir, rename, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HASH } from "../../protocol/messages.ts";
import { rootHex } from "./hash.ts";
import { pieceCountOf, type Tree } from "./merkle.ts";

const ENTRIES = 2000;

/** Bytes of piece hashes that are kept; those not used for longest go first. */
const LAYERS_BYTES = 64 * 1024 * 1024;

/** A file changed this recently may change again within the same tick of the file system's clock. */
const SETTLED_MS = 2_000;

/** What a file must still be for its remembered tree to hold. */
export interface Identified {
  path: string;
  /** Device, inode, size and times. */
  identity: string;
  size: number;
  modified: Date;
}

/**
 * Trees by path and identity: the roots in one file, each one's piece hashes in a file of its own beside it. What is read back is
 * held against the root. A cache that cannot be read or written costs only time.
 */
export class TreeCache {
  readonly #path: string;
  readonly #layers: string;
  readonly #roots = new Map<string, string>();
  readonly #unsaved = new Map<string, Uint8Array>();
  #changed = false;

  /** `path` is the file of the roots. */
  constructor(path: string) {
    this.#path = path;
    this.#layers = join(dirname(path), "trees");
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

  get(file: Identified): Tree | undefined {
    const root = this.#roots.get(keyOf(file));
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
    // The only piece of a small file is its tree.
    if (pieceCountOf(size) <= 1) return size === 0 ? new Uint8Array(0) : Uint8Array.fromHex(root);
    return this.#unsaved.get(root) ?? new Uint8Array(readFileSync(join(this.#layers, root)));
  }

  set(file: Identified, { root, pieces }: Tree): void {
    if (Date.now() - file.modified.getTime() < SETTLED_MS) return;
    const key = keyOf(file);
    this.#roots.delete(key);
    this.#roots.set(key, root);
    if (pieces.length > HASH) this.#unsaved.set(root, pieces);
    this.#changed = true;
    for (const old of this.#roots.keys()) {
      if (this.#roots.size <= ENTRIES) break;
      this.#roots.delete(old);
    }
  }

  /** Writes what is new aside and puts it in place, so that a reader never sees half of it. */
  async save(): Promise<void> {
    if (!this.#changed) return;
    this.#changed = false;
    try {
      await mkdir(this.#unsaved.size > 0 ? this.#layers : dirname(this.#path), { recursive: true });
      for (const [root, pieces] of this.#unsaved) {
        await replaceFile(join(this.#layers, root), pieces);
        this.#unsaved.delete(root);
      }
      await replaceFile(this.#path, JSON.stringify(Object.fromEntries(this.#roots)));
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

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const aside = `${path}.${process.pid}`;
  await writeFile(aside, content, { mode: 0o600 });
  await rename(aside, path);
}

function keyOf({ identity, path }: Identified): string {
  return `${identity} ${path}`;
}
