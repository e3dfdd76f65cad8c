// Finds the files in the download folder that may be the one to fetch.

import { closeSync, constants, fstatSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { entryOf, PLAIN_ONLY } from "./identity.ts";
import { localNameOf, splitExtension } from "./local-name.ts";

/** The most files of one kind that are compared with the one to fetch. */
const MOST_COMPARED = 20;
/** The most files in the folder that are looked at. */
const MOST_LOOKED_AT = 20_000;
/** The most bytes that are read of files with another name and another date. */
const MOST_READ = 1024 ** 3;
/** The most files with another name and another date that are read. */
const MOST_OTHERS = 4;
/** Two dates are one if they differ by at most this: some disks keep even seconds only. Milliseconds. */
const SAME_DATE_MS = 2_000;

/** The plain files of this size in the folder that have the name, or the name with a number, such as `a (1).txt`. */
export function lookForTargets(folder: string, name: string, size: number): string[] {
  return usualNames(folder, name)
    .map((one) => join(folder, one))
    .filter((path) => isOfSize(path, size));
}

/**
 * The plain files of this size in the folder that have any other name, because a person may have renamed one. A fetched file keeps the
 * date of its record. Of the files with another date only a few are taken, because each of them has to be read.
 */
export function lookForRenamed(folder: string, name: string, size: number, modified: Date | undefined): string[] {
  // Empty files are all the same.
  if (size === 0) return [];
  const usual = new Set(usualNames(folder, name));
  const others = namesIn(folder).filter((one) => !one.startsWith(".") && !usual.has(one));
  const fitting = others
    .slice(0, MOST_LOOKED_AT)
    .map((one) => join(folder, one))
    .filter((path) => isOfSize(path, size));
  const isOfDate = (path: string) => {
    const date = Number(entryOf(path)?.mtimeMs ?? 0);
    return modified !== undefined && Math.abs(date - modified.getTime()) <= SAME_DATE_MS;
  };
  const [dated, undated] = [fitting.filter(isOfDate), fitting.filter((path) => !isOfDate(path))];
  const few = Math.min(MOST_OTHERS, Math.floor(MOST_READ / size));
  return [...dated.slice(0, MOST_COMPARED), ...undated.slice(0, few)];
}

/** The name under which a file is saved, and those with a number that are in the folder. */
function usualNames(folder: string, name: string): string[] {
  const local = localNameOf(name);
  const [stem, extension] = splitExtension(local);
  const isNumbered = (one: string) =>
    one.startsWith(`${stem} (`) &&
    one.endsWith(`)${extension}`) &&
    /^[0-9]+$/.test(one.slice(stem.length + 2, -extension.length - 1));
  return [local, ...namesIn(folder).filter(isNumbered).sort().slice(0, MOST_COMPARED)];
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // The folder may be written, but not read.
    return [];
  }
}

function isOfSize(path: string, size: number): boolean {
  const entry = entryOf(path);
  return entry?.isFile() === true && entry.size === BigInt(size);
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
