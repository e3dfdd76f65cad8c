// Writes a file's name as a person types it on a command line.

import { printable } from "../../text.ts";

/** A name as one word for the shell of this system. Only a name that looks like an option gets `--` before it. */
export function typedName(name: string, platform: string = process.platform): string {
  const shown = printable(name);
  const options = shown.startsWith("-") ? "-- " : "";
  if (/^[\p{L}\p{N}._-]+$/u.test(shown)) return options + shown;
  // The command prompt of Windows knows double quotes only; no file there has one in its name.
  const quoted = platform === "win32" ? `"${shown.replaceAll('"', "'")}"` : `'${shown.replaceAll("'", "'\\''")}'`;
  return options + quoted;
}
