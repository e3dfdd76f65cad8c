// Watches a folder with everything in it, and reports that something may have changed. It does not look what.

import { type FSWatcher, watch } from "node:fs";

/** The folder is looked at each time this time has passed, because some file systems report no changes. Milliseconds. */
const LOOK_AGAIN_MS = 60_000;

/** Calls `changed` when something in the folder may have changed, until the returned function is called. */
export function watchFolder(folder: string, changed: () => void): () => void {
  const regularly = setInterval(changed, LOOK_AGAIN_MS);
  regularly.unref();
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(folder, { persistent: false, recursive: true }, changed);
    watcher.on("error", () => watcher?.close());
  } catch {
    // It cannot be watched, or has more folders than the system watches. It is still looked at regularly.
  }
  return () => {
    clearInterval(regularly);
    watcher?.close();
  };
}
