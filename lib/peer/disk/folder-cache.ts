// Remembers the hashes of the files in shared folders between runs, so that only changed files are hashed again.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { readOwnFile, replaceOwnFile } from "../../files.ts";
import { parseRoot } from "../../protocol/record.ts";
import type { WalkedFile } from "./folder-walk.ts";
import type { HashedFile } from "./shared-folder.ts";

/** The hashes of a folder that are longer than this are not kept. Bytes. */
const LONGEST = 64 * 1024 * 1024;
/** The most folders whose hashes are kept. */
const MOST_FOLDERS = 20;
/** A file that changed more recently than this is not remembered: it could change again without a new time. Milliseconds. */
const SETTLED_MS = 2_000;

/** The hashes of one folder: a file in `folder` each, with a line `identity TAB root TAB pieces TAB path` for each of its files. */
export class FolderCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The remembered hashes of a shared folder. A cache that cannot be read costs only time. */
  load(shared: string): { get(file: WalkedFile): HashedFile | undefined } {
    const known = new Map<string, { identity: string; root: string; pieces: string }>();
    try {
      for (const line of readOwnFile(this.#fileOf(shared), LONGEST).toString().split("\n")) {
        const [identity = "", root = "", pieces = "", path = ""] = line.split("\t");
        if (parseRoot(root) !== undefined) known.set(path, { identity, root, pieces });
      }
    } catch {
      // This is the first run, or the file is damaged: all files are hashed again.
    }
    return {
      get: ({ path, identity }) => {
        const saved = known.get(path);
        if (saved?.identity !== identity) return undefined;
        const { root, pieces } = saved;
        return pieces === "" ? { root } : { root, pieces: Uint8Array.fromBase64(pieces) };
      },
    };
  }

  /** Remembers the hashes of a shared folder. */
  save(shared: string, files: readonly WalkedFile[], hashes: ReadonlyMap<string, HashedFile>): void {
    const settled = files.filter(({ modified }) => Date.now() - modified >= SETTLED_MS);
    const lines = settled.flatMap(({ identity, path }) => {
      const hash = hashes.get(path);
      return hash === undefined ? [] : [`${identity}\t${hash.root}\t${hash.pieces?.toBase64() ?? ""}\t${path}`];
    });
    const text = lines.join("\n");
    if (text.length > LONGEST) return;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      replaceOwnFile(this.#fileOf(shared), text);
      this.#prune();
    } catch {
      // Without a cache the next run hashes again.
    }
  }

  #fileOf(shared: string): string {
    return join(this.#folder, createHash("sha256").update(shared).digest("hex"));
  }

  #prune(): void {
    const files = readdirSync(this.#folder).map((name) => join(this.#folder, name));
    const byAge = files.map((path) => ({ path, age: statSync(path).mtimeMs })).sort((a, b) => b.age - a.age);
    for (const { path } of byAge.slice(MOST_FOLDERS)) unlinkSync(path);
  }
}
