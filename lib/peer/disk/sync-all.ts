// Writes many files to the disk at once. Syncing one after the other takes some 5 ms for each. The simple code would sync several at a
// time, as is done where there is nothing better: 10,000 files of 4 KiB on ext4 take 3 to 5 s then. One call for the whole file system
// takes 0.3 to 1.2 s, so Linux' own command for that is used where there is one.

import { closeSync, fsync, ftruncateSync, openSync } from "node:fs";
import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { CancelledError, codeOf } from "../../error.ts";
import { orCancelled } from "../cancel.ts";

/** The most files that are synced at the same time. The runtime has a thread for each of the processor's cores, and no more syncs run. */
const AT_ONCE = Math.min(16, Math.max(2, availableParallelism()));
/** From this number of files on, one call for the whole file system is quicker. */
const MANY = 200;

/**
 * Syncs `count` files at these paths, which lie in `folder`. Throws the system's error when the disk reports one. A file that could not be
 * synced is emptied: the system still shows its bytes from memory, and a later run would take them for saved. When the signal aborts, begins
 * no further sync and throws a `CancelledError`.
 */
export async function syncAll(
  folder: string,
  count: number,
  paths: Iterable<string>,
  signal = new AbortController().signal,
): Promise<void> {
  if (count >= MANY && (await orCancelled(syncFileSystem(folder), signal))) return;
  const queue = Iterator.from(paths);
  const run = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      if (signal.aborted) throw new CancelledError();
      const fd = openSync(next.value, "r+");
      try {
        await sync(fd);
      } catch (error) {
        tryCut(fd, 0);
        throw error;
      } finally {
        closeSync(fd);
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, run));
  const errors = ended.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  if (errors.length > 0) throw errors.find((error) => !(error instanceof CancelledError)) ?? errors[0];
}

/** Syncs the file system that a folder is on. False when that cannot be, or the disk reports an error. */
async function syncFileSystem(folder: string): Promise<boolean> {
  if (process.platform !== "linux") return false;
  try {
    const command = Bun.spawn(["sync", "-f", folder], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    return (await command.exited) === 0;
  } catch {
    // There is no such command here.
    return false;
  }
}

/** Syncs a file to the disk, where the file system can. */
export async function sync(fd: number): Promise<void> {
  try {
    await promisify(fsync)(fd);
  } catch (error) {
    if (!["EINVAL", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"].includes(codeOf(error))) throw error;
  }
}

/** Makes a file shorter, where the disk still takes that. */
export function tryCut(fd: number, length: number): void {
  try {
    ftruncateSync(fd, length);
  } catch {
    // It has become read-only, for example.
  }
}
