// Copies a part file that lies on a bad place of the disk.

import { fstatSync } from "node:fs";
import { codeOf } from "../../error.ts";
import { readFully, writeFully } from "./fully.ts";

/** A part file on a bad disk is copied in blocks of this size. Bytes; the smallest piece of a file. */
const COPIED = 64 * 1024;

/** Copies the blocks that can be read and written. The others become holes. Throws for any error but EIO. */
export async function copyReadable(from: number, to: number): Promise<void> {
  const { size } = fstatSync(from);
  const block = new Uint8Array(COPIED);
  for (let at = 0; at < size; at += COPIED) {
    try {
      const got = await readFully(from, block, at);
      await writeFully(to, block.subarray(0, got), at);
    } catch (error) {
      if (codeOf(error) !== "EIO") throw error;
    }
  }
}
