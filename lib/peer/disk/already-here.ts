// Finds the files in the download folder that may be the one to fetch.

import { closeSync, constants, fstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { entryOf, PLAIN_ONLY } from "./identity.ts";
import { localNameOf, splitExtension } from "./local-name.ts";

/** The most files with a number behind the name that are compared with the one to fetch. */
const MOST_COMPARED = 20;

/** The plain files of this size in the folder that have the name, or the name with a number, such as `a (1).txt`. */
export function lookForTargets(folder: string, name: string, size: number): string[] {
  const local = localNameOf(name);
  const [stem, extension] = splitExtension(local);
  const isNumbered = (one: string) =>
    one.startsWith(`${stem} (`) &&
    one.endsWith(`)${extension}`) &&
    /^[0-9]+$/.test(one.slice(stem.length + 2, -extension.length - 1));
  let numbered: string[] = [];
  try {
    numbered = readdirSync(folder).filter(isNumbered).sort().slice(0, MOST_COMPARED);
  } catch {
    // The folder may be written, but not read.
  }
  const paths = [local, ...numbered].map((one) => join(folder, one));
  return paths.filter((path) => {
    const entry = entryOf(path);
    return entry?.isFile() && entry.size === BigInt(size);
  });
}

/** Opens a file to hash it; a link is not followed. Undefined when it cannot be read. */
export function openForHashing(path: string): { fd: number; size: number; close(): void } | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | PLAIN_ONLY);
    return { fd, size: fstatSync(fd).size, close: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}
