// Turns a file name from another peer into a safe name for this disk.

import { byteLength } from "../../protocol/record.ts";

const DEVICE_NAMES = /^(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$/i;
const UNSAFE_CHARACTERS =
  /[/\\:*?"<>|\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** File systems allow 255 bytes; the rest is for ` (1)` and the like. Bytes. */
const LOCAL_NAME_LIMIT = 240;

/**
 * A safe name on every system: no separators, streams, devices, control or invisible characters, no leading dot or dash, no trailing
 * dot or space, at most 240 bytes, with the extension kept. `../a:b.txt` becomes `__a_b.txt`.
 */
export function localNameOf(name: string): string {
  let local = name
    .normalize("NFC")
    .replace(UNSAFE_CHARACTERS, "_")
    .replace(/^[\s.-]+/, (start) => "_".repeat(Math.min(start.length, 1)))
    .replace(/[\s.]+$/, "");
  if (local === "" || local === "_") local = "file";
  if (byteLength(local) > LOCAL_NAME_LIMIT) {
    const [base, extension] = splitExtension(local);
    local = (cutToBytes(base, LOCAL_NAME_LIMIT - 1 - byteLength(extension)).replace(/[\s.]+$/, "") || "file") + extension;
  }
  // This comes last, because cutting can leave the name of a device.
  const stem = local.split(".")[0] ?? "";
  return DEVICE_NAMES.test(stem.trimEnd()) ? `_${local}` : local;
}

/** A name as stem and extension (`.ext`, at most 16 bytes; or nothing). */
export function splitExtension(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 ? name.slice(dot) : "";
  return extension === "" || byteLength(extension) > 16 ? [name, ""] : [name.slice(0, dot), extension];
}

function cutToBytes(text: string, limit: number): string {
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += byteLength(segment);
    if (used > limit) break;
    kept += segment;
  }
  return kept;
}
