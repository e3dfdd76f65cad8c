// Says under which names the entries of a fetched folder lie on this disk. Pure: it touches no disk.

import { localNameOf, splitExtension } from "../local-name.ts";

/** An entry that has another name here than in the list. Both are paths from the folder. */
export interface Renamed {
  path: string;
  local: string;
}

interface Level {
  /** The folder's path on this disk, which ends in `/`, or is empty. */
  readonly local: string;
  /** The names that are taken in it. */
  readonly taken: Set<string>;
  /** The number to try next for a name that was wanted before. Without it, a list of names that become one would take hours. */
  readonly next: Map<string, number>;
}

/** The places of a folder's entries, from the folder; the parts stand between `/`. Each has a place of its own. */
export class FolderLayout {
  /** The places of the entries that have another name here, by path. */
  readonly #renamed = new Map<string, string>();
  /** The places of the folders, by path, an outer one before those in it. */
  readonly #folders = new Map<string, string>();
  readonly #isOneName: (name: string) => string;
  /** The folders whose entries are being placed. */
  #levels = new Map<string, Level>([["", newLevel("")]]);

  /** `tellsCase`: whether `A` and `a` are two names on this disk. The paths must be in the order of the list. */
  constructor(paths: Iterable<string>, tellsCase: boolean) {
    this.#isOneName = tellsCase ? (name) => name : (name) => name.normalize("NFC").toLowerCase();
    for (const path of paths) {
      const local = path.endsWith("/") ? this.#level(path).local : this.#fileAt(path);
      if (local !== path) this.#renamed.set(path, local);
    }
    for (const [path, { local }] of this.#levels) if (path !== "") this.#folders.set(path, local);
    // The names in them are many, and no longer needed.
    this.#levels = new Map();
  }

  /** The files and folders that have a name of their own here, without those that are only in such a folder. */
  get renamed(): Renamed[] {
    const all = [...new Map([...this.#folders, ...this.#renamed])].map(([path, local]) => ({ path, local }));
    return all.filter(({ path, local }) => lastName(path) !== lastName(local));
  }

  /** The same text for all spellings of a path that mean one file on this disk. */
  spellingOf(local: string): string {
    return this.#isOneName(local.normalize("NFC"));
  }

  /** Where an entry lies. That of an empty folder ends in `/`. */
  placeOf(path: string): string {
    return this.#renamed.get(path) ?? path;
  }

  /** The paths of all folders, and their places; an outer one before those in it. */
  get folders(): ReadonlyMap<string, string> {
    return this.#folders;
  }

  #fileAt(path: string): string {
    const level = this.#level(path.slice(0, path.lastIndexOf("/") + 1));
    return level.local + this.#freeName(level, path.slice(path.lastIndexOf("/") + 1));
  }

  /** The folder of this path, which ends in `/`. */
  #level(path: string): Level {
    const known = this.#levels.get(path);
    if (known !== undefined) return known;
    const parts = path.slice(0, -1).split("/");
    const name = parts.pop() ?? "";
    const outer = this.#level(parts.length === 0 ? "" : `${parts.join("/")}/`);
    const level = newLevel(`${outer.local}${this.#freeName(outer, name)}/`);
    this.#levels.set(path, level);
    return level;
  }

  /** A safe name that is still free: `a.txt`, or `a (1).txt` when that is taken. */
  #freeName({ taken, next }: Level, name: string): string {
    const safe = localNameOf(name);
    const [stem, extension] = splitExtension(safe);
    const wanted = this.#isOneName(safe);
    for (let count = next.get(wanted) ?? 0; ; count++) {
      const free = count === 0 ? safe : `${stem} (${count})${extension}`;
      const one = count === 0 ? wanted : this.#isOneName(free);
      if (taken.has(one)) continue;
      taken.add(one);
      if (count > 0) next.set(wanted, count + 1);
      return free;
    }
  }
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf("/", path.length - 2) + 1);
}

function newLevel(local: string): Level {
  return { local, taken: new Set(), next: new Map() };
}
