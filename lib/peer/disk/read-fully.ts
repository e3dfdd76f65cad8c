// Reads a part of an open file. It neither opens nor closes one.

import { read } from "node:fs";
import { promisify } from "node:util";

const readAt = promisify(read);

/** Fills `into` from a position of an open file. Gives the number of bytes read; it is smaller only at the file's end. */
export async function readFully(fd: number, into: Uint8Array, at: number): Promise<number> {
  let have = 0;
  while (have < into.length) {
    const { bytesRead } = await readAt(fd, into, have, into.length - have, at + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return have;
}
