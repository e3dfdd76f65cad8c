// Paths as people give them: dropped into a terminal, pasted from a file manager, or typed for a shell that does not read them.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { homeFolder } from "../files.ts";

/** The system that a path is typed on. Tests hand in another one. */
interface TypedOn {
  platform: string;
  home: string;
  /** A variable of the environment. */
  variable(name: string): string | undefined;
  exists(path: string): boolean;
}

function here(): TypedOn {
  const variable = (name: string) => process.env[name];
  return { platform: process.platform, home: homeFolder(), variable, exists: existsSync };
}

/** A part of a word that a shell reads as it stands: `'…'`, `"…"`, or a character behind a backslash. */
const QUOTED_PART = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs;
/** A word that begins with a quote and has nothing outside of such parts. */
const QUOTED_PARTS = /^(?=["'])(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+$/s;

/** A path that a person typed, from `folder` on. */
export function pathAsTyped(typed: string, folder: string): string {
  return resolve(folder, meantPath(typed, folder));
}

/**
 * The path that a person means; a relative one stays relative. A path that exists as it is written stays as it is.
 *
 * - `"C:\My Files"` → `C:\My Files`: Windows' "Copy as path"
 * - `My\ Files ` → `My Files`: dropped into the Terminal of macOS
 * - `'Ada'\''s Files'` and `'Ada'"'"'s Files'` → `Ada's Files`, `file:///home/ada/a.txt` → `/home/ada/a.txt`: dropped into a terminal
 *   on Linux
 * - `~\Documents`, `%USERPROFILE%\Documents` → `C:\Users\ada\Documents`: cmd and Explorer read variables, PowerShell does not
 */
export function meantPath(typed: string, folder = ".", { platform, home, variable, exists }: TypedOn = here()): string {
  const isPlain = !/^[\s~&]|["'\\%]|\s$|^file:/.test(typed) || typed.trim() === "";
  if (isPlain || exists(resolve(folder, typed))) return typed;
  // PowerShell puts `& ` before a path that is dropped into it.
  let path = typed.trim().replace(/^& (?=["'])/, "");
  const quoted = /^(["'])(.*)\1$/s.exec(path)?.[2];
  if (platform !== "win32" && QUOTED_PARTS.test(path)) path = path.replace(QUOTED_PART, asShellReads);
  else if (quoted !== undefined) path = quoted;
  // No name on Windows has a double quote. cmd reads `"C:\My Files\"` as `C:\My Files"`.
  else if (platform === "win32") path = path.replaceAll('"', "");
  else if (!path.startsWith("~\\")) path = path.replace(/\\(.)/g, "$1");
  if (platform === "win32") path = path.replace(/%([^%]+)%/g, (as, name) => variable(name) || as);
  if (path.startsWith("file://")) path = pathOfUrl(path) ?? path;
  if (!/^~(?:[\\/]|$)/.test(path)) return path;
  const rest = path.slice(1);
  return home + (platform === "win32" ? rest : rest.replaceAll("\\", "/"));
}

function asShellReads(_part: string, single?: string, double?: string, escaped?: string): string {
  return single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? "";
}

function pathOfUrl(url: string): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}
