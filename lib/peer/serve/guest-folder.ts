// Caches the shared folders that guests have asked for last. To read a list of 100,000 files anew for each request would let one browser
// with a reload key keep this peer from everybody else.

import { type FolderList, parseFolderList } from "../../protocol/folder-list.ts";
import { isSmall } from "../content/folder-cut.ts";
import { readAll } from "./guest-files.ts";
import { type PreparedZip, prepareZip } from "./guest-zip.ts";
import type { ServeOptions } from "./types.ts";
import type { Work } from "./work.ts";

/** The most bytes of all lists in the cache together. The most recently used list stays in any case. */
const CACHED = 16 * 1024 * 1024;

/** A folder as guests see it. */
export interface GuestFolder {
  readonly name: string;
  readonly list: FolderList;
  /** The number of its files; empty folders do not count. */
  readonly files: number;
  /** The bytes of all files. */
  readonly size: number;
  /** Where each entry begins in the folder's bytes, by its number in the list. */
  readonly places: Float64Array;
  /** Made when a guest asks for the zip. */
  zip?: PreparedZip;
}

export class GuestFolders {
  readonly #options: Pick<ServeOptions, "open" | "lookFolder" | "safePaths">;
  readonly #work: Work;
  /** By content id; the most recently used one is last. */
  readonly #folders = new Map<string, GuestFolder>();

  constructor(options: Pick<ServeOptions, "open" | "lookFolder" | "safePaths">, work: Work) {
    this.#options = options;
    this.#work = work;
  }

  /** A folder that is shared now. To read its list is work of the host that asks first. Fails when the folder is not here. */
  async get(host: string, root: string): Promise<GuestFolder> {
    const found = this.#options.open({ root });
    if (found === undefined) throw new Error("not here");
    const { name, file } = found;
    try {
      const known = this.#folders.get(root);
      const isKnown = known?.name === name;
      const bytes = isKnown ? undefined : await readAll(file);
      const folder = bytes === undefined ? known : await this.#work.do(host, () => folderOf(name, parseFolderList(bytes)));
      if (folder === undefined) throw new Error("not here");
      this.#folders.delete(root);
      this.#folders.set(root, folder);
      this.#forgetOld();
      return folder;
    } finally {
      file.close();
    }
  }

  /** The zip of a folder, ready to be sent. The first request prepares it. */
  async zip(host: string, root: string, folder: GuestFolder): Promise<PreparedZip> {
    const { safePaths, lookFolder } = this.#options;
    if (safePaths === undefined) throw new Error("no zips");
    folder.zip ??= await this.#work.do(host, () => {
      const dates = lookFolder?.(root)?.dates() ?? new Uint8Array();
      return folder.zip ?? prepareZip(folder, dates, safePaths);
    });
    return folder.zip;
  }

  #forgetOld(): void {
    let kept = 0;
    for (const { list } of this.#folders.values()) kept += list.bytes.length;
    for (const [root, { list }] of this.#folders) {
      if (kept <= CACHED || this.#folders.size === 1) return;
      kept -= list.bytes.length;
      this.#folders.delete(root);
    }
  }
}

function folderOf(name: string, list: FolderList): GuestFolder {
  const places = new Float64Array(list.length);
  let files = 0;
  let size = 0;
  // First come the small ones, then the others, both in the order of the list.
  for (const small of [true, false]) {
    for (let entry = 0; entry < list.length; entry++) {
      const length = list.sizeOf(entry);
      if (isSmall(length) !== small) continue;
      places[entry] = size;
      size += length;
      if (!list.isFolder(entry)) files += 1;
    }
  }
  return { name, list, files, size, places };
}
