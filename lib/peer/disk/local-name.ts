// Turns a file name from another peer into a safe name for this disk.

import { byteLength, cutTo, replaceMisleading } from "../../text.ts";

const DEVICE_NAMES = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
/** Most names are such: a folder has many, and the search for hazards takes its time. */
const PLAIN = /^[a-z0-9][a-z0-9_-]{0,99}(?:\.[a-z0-9_-]{1,30}){0,3}$/i;
const SEPARATORS = /[/\\:*?"<>|]/g;

/**
 * Files that a system reads or follows without being asked, as soon as they lie in a folder that is looked at; links and shortcuts,
 * whose extension Windows hides; files that macOS runs in a terminal; an extension that is the number of a Windows program.
 */
const ACTED_UPON =
  /^(?:desktop\.ini|autorun\.inf|(?:eh)?thumbs\.db|folder\.htt)$|\.(?:lnk|url|website|scf|pif|sh[bs]|xnk|library-ms|search-ms|searchconnector-ms|settingcontent-ms|appref-ms|desklink|mapimail|mydocs|zfsendtotarget|theme|themepack|deskthemepack|desktop|command|terminal|tool|webloc|inetloc|fileloc|ftploc|afploc|vncloc|mailloc|\{[0-9a-f-]{36}\})$/iu;
/** Put behind the name of such a file, it makes an ordinary file of it. */
const HARMLESS = ".download";

/** File systems allow 255 bytes; the rest is for ` (1)` and the like. Bytes. */
const LOCAL_NAME_LIMIT = 240;

/**
 * A safe name on every system: no separators, streams, devices, control or invisible characters, no leading dot or dash, no trailing
 * dot or space, at most 240 bytes, with the extension kept. `../a:b.txt` becomes `__a_b.txt`. A file that a system acts upon by itself
 * gets another extension: `desktop.ini` becomes `desktop.ini.download`.
 */
export function localNameOf(name: string): string {
  const local = PLAIN.test(name) ? name : withoutHazards(name);
  const whole = ACTED_UPON.test(local) ? cutName(local, LOCAL_NAME_LIMIT - HARMLESS.length) + HARMLESS : local;
  // This comes last, because cutting can leave the name of a device.
  const stem = whole.split(".")[0] ?? "";
  return DEVICE_NAMES.test(stem.trimEnd()) ? `_${whole}` : whole;
}

function withoutHazards(name: string): string {
  // Accents that are too many are left out; every other character that can mislead becomes "_".
  let local = replaceMisleading(name.normalize("NFC").replace(/^\p{M}+/u, "_"), (character) =>
    /(?!\p{Default_Ignorable_Code_Point})\p{M}/u.test(character) ? "" : "_",
  )
    .replace(SEPARATORS, "_")
    .replace(/^[\s.-]+/, (start) => "_".repeat(Math.min(start.length, 1)))
    .replace(/[\s.]+$/, "");
  if (/^_?$/.test(local)) local = "file";
  return cutName(local, LOCAL_NAME_LIMIT);
}

/** Why a file is stored under another name than it is shared under, as a sentence; undefined when its name is safe. */
export function whyRenamed(name: string): string | undefined {
  const local = localNameOf(name);
  if (local === name.normalize("NFC")) return undefined;
  return local.endsWith(HARMLESS) && !name.endsWith(HARMLESS)
    ? "a computer may act by itself on a file of that name"
    : "that name is not safe on every computer";
}

/** Cuts the stem of a name, so that all of it has at most `limit` bytes. */
function cutName(name: string, limit: number): string {
  if (byteLength(name) <= limit) return name;
  const [base, extension] = splitExtension(name);
  return (cutTo(base, limit - 1 - byteLength(extension)).replace(/[\s.]+$/, "") || "file") + extension;
}

/** A name as stem and extension (`.ext`, at most 16 bytes; or nothing). */
export function splitExtension(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 ? name.slice(dot) : "";
  return extension === "" || byteLength(extension) > 16 ? [name, ""] : [name.slice(0, dot), extension];
}
