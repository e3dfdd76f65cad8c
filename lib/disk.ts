// What both sides of the disk need: reading at a position until there is nothing more to read.

import { read } from "node:fs";

/** Fills `into` from a position of an open file. Gives how many bytes were read: fewer only at the file's end. */
export function readFully(fd: number, into: Uint8Array, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let have = 0;
    const step = () => {
      read(fd, into, have, into.length - have, at + have, (error, got) => {
        if (error !== null) return reject(error);
        have += got;
        if (got === 0 || have === into.length) return resolve(have);
        step();
      });
    };
    step();
  });
}
