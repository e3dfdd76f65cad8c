// Removes a folder with all that is in it, one entry after the other. `rmSync` with `recursive` would be simpler. Under Wine it fails
// with EFAULT, for files too, and a download that finds what an earlier one left could not begin.

import { readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { entryOf } from "./identity.ts";
import { removeIfThere } from "./lock.ts";

/** Removes a file, a link (not what it leads to), or a folder with everything in it, if it is there. Throws the system's errors. */
export function removeTree(path: string): void {
  const entry = entryOf(path);
  if (entry?.isDirectory()) {
    for (const name of readdirSync(path)) removeTree(join(path, name));
    rmdirSync(path);
  } else if (entry !== undefined) removeIfThere(path);
}
