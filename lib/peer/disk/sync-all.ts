// Writes many files to the disk at once. Syncing one after the other takes some 5 ms for each; with several at a time the disk joins
// their work: 3,000 files of 4 KiB on ext4 took 0.7 s, as long as one call for the whole file system.

import { closeSync, fsync, openSync } from "node:fs";
import { promisify } from "node:util";
import { codeOf } from "../../error.ts";

/** The number of files that are synced at the same time. */
const AT_ONCE = 16;

/** Syncs the files at these paths. Throws the system's error when the disk reports one. */
export async function syncAll(paths: Iterable<string>): Promise<void> {
  const queue = paths[Symbol.iterator]();
  const run = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const fd = openSync(next.value, "r+");
      await sync(fd).finally(() => closeSync(fd));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
}

/** Syncs a file to the disk, where the file system can. */
export async function sync(fd: number): Promise<void> {
  try {
    await promisify(fsync)(fd);
  } catch (error) {
    if (!["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(codeOf(error))) throw error;
  }
}
