// The part of a shared folder that is wanted: all of it, or one file or folder inside. Pure: it touches no disk.

import type { FolderList } from "../../../protocol/folder-list.ts";

export class FolderSelection {
  /** The number of wanted files, and their bytes. */
  readonly files: number;
  readonly size: number;
  /** Whether one file inside of the folder is wanted. */
  readonly isOneFile: boolean;
  readonly #list: FolderList;
  /** The first wanted entry, and the one behind the last. */
  readonly #first: number;
  readonly #end: number;
  /** The path of the folder in which the wanted entries are. It ends in `/`, or is empty. */
  readonly #around: string;

  /** `inside`: the path of a file or folder, or nothing for the whole folder. */
  constructor(list: FolderList, inside: string) {
    this.#list = list;
    const [first, end] = list.rangeOf(inside);
    this.isOneFile = inside !== "" && end === first + 1 && list.pathOf(first) === inside;
    this.#around = this.isOneFile ? inside.slice(0, inside.lastIndexOf("/") + 1) : inside === "" ? "" : `${inside}/`;
    // An empty folder that is wanted itself is no entry in its place.
    this.#first = first < end && list.pathOf(first) === this.#around ? first + 1 : first;
    this.#end = end;
    let [files, size] = [0, 0];
    for (const entry of this.entries()) {
      if (!list.isFolder(entry)) files += 1;
      size += list.sizeOf(entry);
    }
    this.files = files;
    this.size = size;
  }

  has(entry: number): boolean {
    return entry >= this.#first && entry < this.#end;
  }

  /** The numbers of the wanted entries, without the wanted folder itself. */
  *entries(): Generator<number> {
    for (let entry = this.#first; entry < this.#end; entry++) yield entry;
  }

  /** The path of a wanted entry, from the place where it is saved. */
  pathOf(entry: number): string {
    return this.#list.pathOf(entry).slice(this.#around.length);
  }

  *paths(): Generator<string> {
    for (const entry of this.entries()) yield this.pathOf(entry);
  }

  /** The path in the whole folder of a path in the wanted part. That of the folder itself is `/`. */
  wholePathOf(path: string): string {
    return this.#around + path || "/";
  }
}
