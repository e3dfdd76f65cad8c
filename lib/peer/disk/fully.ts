// Reads and writes parts of open files to their end: one call of the system may do less than it was asked. Neither opens nor closes a file.

import { read, write } from "node:fs";
import { promisify } from "node:util";

const readSome = promisify(read);

/**
 * More than this is not written by one call: Linux takes memory in blocks as large as the call, and large blocks can be slow to get. On ext4
 * in a virtual machine 1 GiB took 0.6 to 2.4 s by calls of 2 MiB, and 0.2 s by calls of this length. Bytes.
 */
const MOST_AT_ONCE = 512 * 1024;

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
    const length = Math.min(MOST_AT_ONCE, bytes.length - done);
    const { bytesWritten } = await promisify(write)(fd, bytes, done, length, at + done);
    if (bytesWritten === 0) throw new Error("nothing was written");
    done += bytesWritten;
  }
}
