// Reads and writes parts of open files to their end: one call of the system may do less than it was asked. Neither opens nor closes a file.

import { read, write } from "node:fs";
import { promisify } from "node:util";

const readSome = promisify(read);

/** Fills `into` from a position of an open file. Gives the number of bytes read; it is smaller only at the file's end. */
export async function readFully(fd: number, into: Uint8Array, at: number): Promise<number> {
  let have = 0;
  while (have < into.length) {
    const { bytesRead } = await readSome(fd, into, have, into.length - have, at + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  return have;
}

/** Writes all bytes at a position of an open file. */
export async function writeFully(fd: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await promisify(write)(fd, bytes, done, bytes.length - done, at + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
}
