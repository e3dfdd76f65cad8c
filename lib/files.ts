// Files: reading at a position, and where this user's programs keep things.

import { read } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
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

/** This user's folder for files that can be made anew (`cache`) or that must outlive the program (`state`). It may not exist yet. */
export function userFolder(kind: "cache" | "state"): string {
  const home = homedir();
  const usual = {
    win32: { cache: localAppData(home), state: localAppData(home) },
    darwin: { cache: join(home, "Library", "Caches"), state: join(home, "Library", "Application Support") },
    other: { cache: join(home, ".cache"), state: join(home, ".local", "state") },
  }[process.platform === "win32" || process.platform === "darwin" ? process.platform : "other"];
  const chosen = kind === "cache" ? process.env.XDG_CACHE_HOME : process.env.XDG_STATE_HOME;
  return join(chosen || usual[kind], "filetracker");
}

function localAppData(home: string): string {
  return process.env.LOCALAPPDATA || join(home, "AppData", "Local");
}
