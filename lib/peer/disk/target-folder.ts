// What the folder that a file is saved into allows, and the sentences for what it does not.

import { fstatSync, ftruncate, type StatsFs, statfsSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { codeOf, FtError } from "../../error.ts";
import { formatSize, printable } from "../../text.ts";
import { entryOf } from "./identity.ts";
import { localNameOf } from "./local-name.ts";
import { type OwnMarks, tryNewFile } from "./part-file.ts";

/** The file that is to be saved. */
export interface ToSave {
  folder: string;
  name: string;
  size: number;
}

/** Throws a sentence when the folder is not there. */
export function checkFolder(folder: string): void {
  const shown = printable(folder);
  try {
    if (!statSync(folder).isDirectory()) throw new FtError("no-folder", `Cannot save into "${shown}": it is not a folder.`);
  } catch (error) {
    if (error instanceof FtError) throw error;
    throw new FtError(
      "no-folder",
      `Cannot save into "${shown}": there is no such folder. Make it, or choose another with --to.`,
    );
  }
}

/** Throws a sentence when no file can be saved into the folder. It makes a file to see that: rights are not the only reason. */
export function tryFolder(folder: string): OwnMarks {
  checkFolder(folder);
  try {
    return tryNewFile(folder);
  } catch (error) {
    const code = codeOf(error);
    throw new FtError(
      code || "write-failed",
      folderSentence(code, printable(folder)) ?? `Cannot save into "${printable(folder)}": ${code || String(error)}.`,
      { cause: error },
    );
  }
}

/** Throws a sentence when a file cannot replace the entry that has its name. */
export function checkTarget({ folder, name }: ToSave): void {
  const path = join(folder, localNameOf(name));
  if (entryOf(path)?.isDirectory()) throw new FtError("is-folder", `Cannot replace "${printable(path)}": it is a folder.`);
}

/** Throws a sentence when the disk has no room for the file. The room of its part file counts as free. */
export async function checkSpace({ folder, name, size }: ToSave, part: string): Promise<void> {
  // Some file systems do not say how much is free.
  const { blocks, bavail, bsize } = await statfs(folder).catch(() => ({ blocks: 0, bavail: 0, bsize: 0 }));
  if (blocks === 0) return;
  const free = bavail * bsize + Number(entryOf(part)?.blocks ?? 0) * 512;
  if (size <= free) return;
  throw new FtError(
    "no-space",
    `Cannot fetch "${printable(name)}": it needs ${formatSize(size)}, and "${printable(folder)}" has ${formatSize(free)} free.`,
  );
}

/** The number by which Linux names the file system of a FAT disk. */
const FAT = 0x4d44;
/** The longest file on a FAT disk. Bytes. */
const FAT_LONGEST = 2 ** 32 - 1;

/** Throws where files of this length are not allowed. To see that, makes the file for a short time as long as it will be. */
export async function tryLength(fd: number, { folder, size }: ToSave): Promise<void> {
  const before = fstatSync(fd).size;
  if (size <= before) return;
  // There, zeros would be written up to the length.
  if (size <= FAT_LONGEST && (await statfs(folder).catch(() => ({ type: FAT }))).type === FAT) return;
  try {
    await promisify(ftruncate)(fd, size);
  } catch (error) {
    if (codeOf(error) === "EFBIG") throw error;
  }
  await promisify(ftruncate)(fd, before);
}

export function writeError(error: unknown, { folder, name, size }: ToSave): FtError {
  const file = printable(name);
  const where = printable(folder);
  const code = codeOf(error);
  const sentence: Record<string, string> = {
    ENOSPC: `Cannot fetch "${file}": the disk of "${where}" is full; ${formatSize(size)} are needed. Your progress is saved.`,
    EDQUOT: `Cannot fetch "${file}": your quota in "${where}" is used up; ${formatSize(size)} are needed. Your progress is saved.`,
    EFBIG: `Cannot fetch "${file}": files of ${formatSize(size)} are not allowed in "${where}".`,
  };
  return new FtError(
    code || "write-failed",
    folderSentence(code, where) ?? sentence[code] ?? `Cannot write "${file}" in "${where}": ${code || String(error)}.`,
    { cause: error },
  );
}

/** The sentence for a folder that may not be written; undefined for any other error. */
function folderSentence(code: string, where: string): string | undefined {
  if (code === "EROFS") return `Cannot save into "${where}": it is read-only. Choose another folder with --to.`;
  if (code !== "EACCES" && code !== "EPERM") return undefined;
  return `Cannot save into "${where}": you may not write there. Choose another folder with --to.`;
}

/** How much room a file system has; undefined when it does not say. */
export function roomIn(folder: string): StatsFs | undefined {
  try {
    return statfsSync(folder);
  } catch {
    return undefined;
  }
}
