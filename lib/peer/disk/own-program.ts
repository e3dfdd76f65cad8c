// Recognises the programs and the archives of this project, which nobody means to share when they lie in a folder: the programs are often
// started where they were downloaded and unpacked.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { PLAIN_ONLY } from "./identity.ts";

/** The beginnings of programs: Linux, Windows, macOS. */
const PROGRAM_STARTS = ["7f454c46", "4d5a", "cffaedfe", "cafebabe"];

/**
 * The name of an archive of this project, such as `filetracker-1.0.0-linux-x64.tar.xz`, `filetracker_1.0.0-1_amd64.deb`, or the second
 * download `filetracker-1.0.0-windows-x64 (1).zip`.
 */
const ARCHIVE = /^filetracker[-_]\d[\w.+-]*(?: ?\(\d+\))?\.(?:tar\.[gx]z|zip|deb)$/i;
const PROGRAM = /^ft-(?:peer|tracker)(?:\.exe)?$/i;

/** Whether a plain file is the program that runs now, one of this project's programs, or an archive of them. */
export function isOwnProgram(path: string, running: string = process.execPath): boolean {
  const name = basename(path);
  return ARCHIVE.test(name) || isSameFile(path, running) || (PROGRAM.test(name) && isProgram(path));
}

function isSameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [statSync(one, { bigint: true }), statSync(other, { bigint: true })];
    return a.ino !== 0n && a.dev === b.dev && a.ino === b.ino;
  } catch {
    return false;
  }
}

function isProgram(path: string): boolean {
  try {
    const fd = openSync(path, PLAIN_ONLY);
    try {
      const start = Buffer.alloc(4);
      readSync(fd, start, 0, start.length, 0);
      return PROGRAM_STARTS.some((one) => start.toString("hex").startsWith(one));
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}
