// Recognises the programs of this project, which nobody means to share when they lie in a folder: they are often started where they were
// unpacked.

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { PLAIN_ONLY } from "./identity.ts";

/** The beginnings of programs: Linux, Windows, macOS. */
const PROGRAM_STARTS = ["7f454c46", "4d5a", "cffaedfe", "cafebabe"];

/** Whether a plain file is the program that runs now, or has the name of one of this project's programs and is a program. */
export function isOwnProgram(path: string, running: string = process.execPath): boolean {
  return isSameFile(path, running) || (/^ft-(?:peer|tracker)(?:\.exe)?$/i.test(basename(path)) && isProgram(path));
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
