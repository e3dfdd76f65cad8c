// Tidies the part folder of an earlier run before it is used again. That run may have had another list, or another folder of this name.

import { readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import type { FolderList } from "../../../protocol/folder-list.ts";
import { entryOf } from "../identity.ts";
import { removeTree } from "../remove-tree.ts";
import type { FolderLayout } from "./folder-layout.ts";
import type { FolderSelection } from "./folder-selection.ts";

/** Removes from a part folder all entries that are not of this list, and cuts files that are too long. Throws the system's errors. */
export function keepListed(
  part: string,
  { list, selection, layout }: { list: FolderList; selection: FolderSelection; layout: FolderLayout },
): void {
  const sizes = new Map<string, number>();
  for (const entry of selection.entries())
    if (!list.isFolder(entry)) sizes.set(layout.spellingOf(layout.placeOf(selection.pathOf(entry))), list.sizeOf(entry));
  const folders = new Set(Iterator.from(layout.folders.values()).map((local) => layout.spellingOf(local)));
  const tidy = (local: string) => {
    for (const name of readdirSync(join(part, local))) {
      const inner = `${local}${name}`;
      const path = join(part, inner);
      const found = entryOf(path);
      // A run that was killed while it gave the names leaves files that have two. Writing here would change the finished file.
      const isOurs = found?.isFile() === true && found.nlink <= 1n;
      const size = isOurs ? sizes.get(layout.spellingOf(inner)) : undefined;
      if (found?.isDirectory() && folders.has(layout.spellingOf(`${inner}/`))) tidy(`${inner}/`);
      else if (size === undefined) removeTree(path);
      else if (found !== undefined && found.size > BigInt(size)) truncateSync(path, size);
    }
  };
  tidy("");
}
