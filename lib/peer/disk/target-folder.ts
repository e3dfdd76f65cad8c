// Finds out what the folder that a file is saved into allows, and has the sentences for what it does not.

import { fstatSync, ftruncate, readFileSync, statSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { codeOf, FtError, pathFault } from "../../error.ts";
import { formatSize, printable } from "../../text.ts";
import { entryOf } from "./identity.ts";
import { localNameOf } from "./local-name.ts";
import { type OwnMarks, tryNewFile } from "./part-file.ts";

/** The file that is to be saved. */
interface ToSave {
  folder: string;
  name: string;
  size: number;
  /** The folder inside of it that the write was for, if another one. */
  inner?: string | undefined;
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
      folderSentence(code, printable(folder)) ??
        `Cannot save into "${printable(folder)}": ${code === "ENOENT" ? "no file can be made there" : pathFault(error)}.`,
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
/**
 * The numbers of file systems that make a file longer without writing zeros: ext4, XFS, Btrfs, tmpfs, ramfs, overlay, ZFS, F2FS, NFS,
 * bcachefs; and 0, because Windows gives none. Others may write zeros for minutes.
 */
const SPARSE = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x858458f6, 0x794c7630, 0x2fc12fc1, 0xf2f52010, 0x6969, 0xca451a4e, 0,
]);

/** Throws where files of this length are not allowed. To see that, makes the file for a short time as long as it will be. */
export async function tryLength(fd: number, { folder, size }: ToSave): Promise<void> {
  const { type } = await statfs(folder).catch(() => ({ type: -1 }));
  if (size > ownLimit() || (type === FAT && size > FAT_LONGEST)) throw tooLong();
  const before = fstatSync(fd).size;
  if (size <= before || !SPARSE.has(type)) return;
  try {
    await promisify(ftruncate)(fd, size);
  } catch (error) {
    const isFat = type === 0 && size > FAT_LONGEST && ["UNKNOWN", "EINVAL"].includes(codeOf(error));
    if (codeOf(error) === "EFBIG" || isFat) throw tooLong();
  }
  if (fstatSync(fd).size !== before) await promisify(ftruncate)(fd, before);
}

function tooLong(): Error {
  return Object.assign(new Error("file too large"), { code: "EFBIG" });
}

/** The length that this process may give a file, as `ulimit -f` sets it. Only Linux tells. Bytes. */
function ownLimit(): number {
  try {
    const soft = /^Max file size +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** The sentence for a file that could not be written, on a platform as `process.platform` names it. */
export function writeError(
  error: unknown,
  { folder, name, size, inner = folder }: ToSave,
  platform: string = process.platform,
): FtError {
  const file = printable(name);
  const where = printable(folder);
  const code = codeOf(error);
  const sentence: Record<string, string> = {
    ENOSPC: `Cannot fetch "${file}": the disk of "${where}" is full; ${formatSize(size)} are needed. Your progress is saved.`,
    EDQUOT: `Cannot fetch "${file}": your quota in "${where}" is used up; ${formatSize(size)} are needed. Your progress is saved.`,
    EIO: `Cannot fetch "${file}": the disk of "${where}" reports an error when it is written (EIO). Your progress is saved. Try another folder with --to.`,
    EFBIG: `Cannot fetch "${file}": files of ${formatSize(size)} are not allowed in "${where}".`,
  };
  // Windows says EPERM or EACCES of a file that another program has open, too.
  if (code === "EBUSY" || (platform === "win32" && (code === "EPERM" || code === "EACCES"))) {
    const why = "another program, such as an editor or a virus scanner, has a file of this name open, or it is read-only";
    return new FtError(
      code,
      `Cannot save "${file}" into "${where}": ${why}. Close that program and run the same command again. Your progress is saved.`,
      { cause: error },
    );
  }
  return new FtError(
    code || "write-failed",
    folderSentence(code, printable(inner)) ?? sentence[code] ?? `Cannot write "${file}" in "${where}": ${pathFault(error)}.`,
    { cause: error },
  );
}

/** The sentence for a folder that may not be written; undefined for any other error. */
function folderSentence(code: string, where: string): string | undefined {
  if (code === "EROFS") return `Cannot save into "${where}": it is read-only. Choose another folder with --to.`;
  if (code !== "EACCES" && code !== "EPERM") return undefined;
  return `Cannot save into "${where}": you may not write there. Choose another folder with --to.`;
}
