// Which entries of a folder are hidden: those that their system hides, or that programs put there for themselves.

import { dlopen } from "bun:ffi";
import { basename, win32 } from "node:path";

/**
 * Names that Windows, macOS and office programs hide or make for themselves. Folders are copied between systems, so each system knows
 * all of them. `~$report.docx` is there while Word has report.docx open; `Icon\r` holds a folder's icon.
 */
const HIDDEN =
  /^(?:\.|~\$|desktop\.ini$|thumbs\.db$|ehthumbs.*\.db$|ntuser\.|\$recycle\.bin$|system volume information$|icon\r$|@eadir$|lost\+found$|__macosx$)/i;

/** The bit of a file on Windows that Explorer and `attrib +h` set to hide it. */
const HIDDEN_BIT = 0x2;
/** Windows gives this instead of the bits when it cannot tell them. */
const NO_BITS = 0xffffffff;

/** The attributes of a file as Windows keeps them, as bits. */
type AttributesOf = (path: string) => number;

/** Whether an entry of a folder is hidden, by its whole path. A file that a person names is shared all the same. */
export function isHidden(path: string, attributesOf: AttributesOf | undefined = windowsAttributes()): boolean {
  if (HIDDEN.test(basename(path))) return true;
  const bits = attributesOf?.(path) ?? 0;
  return bits !== NO_BITS && (bits & HIDDEN_BIT) !== 0;
}

let known: { attributesOf: AttributesOf | undefined } | undefined;

/** Asks Windows for attributes, which neither Node nor Bun has in what it says of a file. Undefined on other systems. */
function windowsAttributes(): AttributesOf | undefined {
  known ??= { attributesOf: process.platform === "win32" ? openKernel() : undefined };
  return known.attributesOf;
}

function openKernel(): AttributesOf | undefined {
  try {
    const { symbols } = dlopen("kernel32.dll", { GetFileAttributesW: { args: ["ptr"], returns: "u32" } });
    // Windows takes text as UTF-16 with a 0 behind it, and a path of more than 259 characters only in a form of its own.
    return (path) => symbols.GetFileAttributesW(Buffer.from(`${win32.toNamespacedPath(path)}\0`, "utf16le"));
  } catch {
    // Then only its name can tell that a file is hidden.
    return undefined;
  }
}
