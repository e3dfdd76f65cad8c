// Finds out that standard output was closed when the program was started, as `ft-peer list >&-` does.
//
// Bun opens /dev/null in the place of a closed file: everything that is written there is lost, and no error tells it.
// Only Linux shows the difference.

import { readFileSync } from "node:fs";

/** The flag of a file that a child process does not get. A program never inherits such a file: it was opened in this process. */
const CLOSE_ON_EXEC = 0o2000000;

/** Whether the file of this number was closed when the program was started. */
export function wasClosed(fd: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) !== 0;
  } catch {
    return false;
  }
}
