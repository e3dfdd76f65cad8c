// Paths that this program cannot spell. A path on Unix may be any bytes, but a program's arguments and working folder come as text: bytes
// that are not UTF-8 arrive as U+FFFD, and no file has that path.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { UsageError } from "../../error.ts";
import { printable } from "../../text.ts";

const LOST_BYTES = "\ufffd";

/** Throws a sentence for a path that is not UTF-8 text. */
export function checkSpelling(paths: string[], cwd = process.cwd()): void {
  for (const path of paths) {
    const full = resolve(cwd, path);
    if (!full.includes(LOST_BYTES) || existsSync(full)) continue;
    throw new UsageError(
      `"${printable(full)}" cannot be used, because its path is not UTF-8 text. Rename it, or start ft-peer in another folder and name one that is.`,
    );
  }
}
