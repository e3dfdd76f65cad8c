// Remembers the hashes of the files in shared folders between runs, so that only changed files are hashed again.

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { encodeAll } from "../../../bytes.ts";
import { readOwnFile, replaceOwnFile } from "../../../files.ts";
import { comparePaths } from "../../../protocol/folder.ts";
import { parseRoot } from "../../../protocol/record.ts";
import type { WalkedFile } from "./folder-walk.ts";

/** The hashes of a folder that are longer than this are not kept. Bytes. */
const LONGEST = 64 * 1024 * 1024;
/** The most folders whose hashes are kept. */
const MOST_FOLDERS = 20;
/** A file that changed more recently than this is not remembered: it could change again without a new time. Milliseconds. */
export const SETTLED_MS = 2_000;
const LF = 10;

/** The hash of a file: its content id, and the hashes of its pieces as the folder is cut, if there are several. */
export interface HashedFile {
  root: string;
  pieces?: Uint8Array | undefined;
}

/**
 * The hashes of one folder: a file in `folder` each, with a line `stamp TAB root TAB pieces TAB path` for each of its files, in the
 * order of the paths.
 */
export class FolderCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The remembered hashes of a shared folder. A cache that cannot be read costs only time. */
  load(shared: string): RememberedHashes {
    try {
      return new RememberedHashes(readOwnFile(this.#fileOf(shared), LONGEST));
    } catch {
      // This is the first run, or the file is damaged: all files are hashed again.
      return new RememberedHashes(new Uint8Array(0));
    }
  }

  /** Remembers the hashes of a shared folder. Its files come in the order of their paths. */
  save(shared: string, files: Iterable<WalkedFile & HashedFile>): void {
    try {
      const content = encodeAll(linesOf(files));
      if (content.length > LONGEST) return;
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      replaceOwnFile(this.#fileOf(shared), content);
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

/** The remembered lines of one folder. It stays as it was read, and is gone through once: 100,000 objects would be much memory. */
export class RememberedHashes {
  readonly #bytes: Uint8Array;
  readonly #decoder = new TextDecoder();
  #at = 0;
  #line = { stamp: "", root: "", pieces: "", path: "" };

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The hash of a file, if it has not changed. The files must be asked for in the order of their paths. */
  get({ path, stamp }: Pick<WalkedFile, "path" | "stamp">): HashedFile | undefined {
    while (this.#at < this.#bytes.length && comparePaths(this.#line.path, path) < 0) this.#next();
    const { root, pieces } = this.#line;
    if (this.#line.path !== path || this.#line.stamp !== String(stamp) || parseRoot(root) === undefined) return undefined;
    if (pieces === "") return { root };
    try {
      return { root, pieces: Uint8Array.fromBase64(pieces) };
    } catch {
      // The line is damaged.
      return undefined;
    }
  }

  #next(): void {
    let end = this.#bytes.indexOf(LF, this.#at);
    if (end < 0) end = this.#bytes.length;
    const line = this.#decoder.decode(this.#bytes.subarray(this.#at, end));
    const [stamp = "", root = "", pieces = "", path = ""] = line.split("\t");
    this.#line = { stamp, root, pieces, path };
    this.#at = end + 1;
  }
}

function* linesOf(files: Iterable<WalkedFile & HashedFile>): Generator<string> {
  const now = Date.now();
  for (const { stamp, root, pieces, path, modified } of files) {
    if (now - modified >= SETTLED_MS) yield `${stamp}\t${root}\t${pieces?.toBase64() ?? ""}\t${path}\n`;
  }
}
