// Checks that a disk has room for a folder that is to be fetched, and has the sentences for when it has not.

import { type StatsFs, statfsSync } from "node:fs";
import { FtError } from "../../../error.ts";
import { formatSize, printable } from "../../../text.ts";

/** The folder that is to be fetched. */
interface ToFetch {
  /** The folder into which it goes. */
  into: string;
  /** The name in the record. */
  name: string;
  /** How much room the file system of a folder has. Tests hand in another one. */
  room?: typeof roomIn;
}

/** Throws a sentence when the disk has no room for these bytes, or for these files and folders. */
export function checkRoom(folder: ToFetch, bytes: number, files: number): void {
  const { into, name, room: roomOf = roomIn } = folder;
  const room = roomOf(into);
  if (room === undefined) return;
  const free = room.bavail * room.bsize;
  if (room.blocks > 0 && bytes > free) throw tooLarge(folder, bytes, free);
  if (room.files > 0 && files > room.ffree) {
    throw new FtError(
      "no-space",
      `Cannot fetch the folder "${printable(name)}": it has ${files} files and folders to save, and "${printable(into)}" has room for ${room.ffree} more.`,
    );
  }
}

/** Throws a sentence when the whole disk is too small. A hostile list names any sizes, and the hashes of these would fill the memory. */
export function checkDisk(folder: ToFetch, bytes: number): void {
  const { into, room: roomOf = roomIn } = folder;
  const room = roomOf(into);
  if (room !== undefined && room.blocks > 0 && bytes > room.blocks * room.bsize) {
    throw tooLarge(folder, bytes, room.bavail * room.bsize);
  }
}

function tooLarge({ into, name }: ToFetch, bytes: number, free: number): FtError {
  const words = `it needs ${formatSize(bytes)}, and "${printable(into)}" has ${formatSize(free)} free.`;
  return new FtError("no-space", `Cannot fetch the folder "${printable(name)}": ${words}`);
}

/** How much room a file system has; undefined when it does not say. */
export function roomIn(folder: string): StatsFs | undefined {
  try {
    return statfsSync(folder);
  } catch {
    return undefined;
  }
}
