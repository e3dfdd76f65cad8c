// Formats sizes, rates and dates, and makes other people's names safe to show. Pure: text in, text out.

/**
 * Characters that can mislead a terminal, a log or a reader:
 * - control characters, half characters, and all that Unicode draws as nothing (zero-width, bidi controls, fillers, tags);
 * - blank characters that are no spaces (an empty Braille pattern, a placeholder for an object);
 * - a variation selector, except where it makes a character an emoji: behind "❤", and in a keycap such as "1️⃣";
 * - an accent without a letter before it, and each accent after the fourth on one letter.
 */
const MISLEADING =
  /[\p{Cc}\p{Surrogate}\u2028\u2029\u2800\ufff9-\ufffc\u{13430}-\u{1343f}\u{16fe4}\u{1d159}]|(?!\ufe0f)\p{Default_Ignorable_Code_Point}|(?<!(?![\0-\x7f]|\p{Emoji_Presentation})\p{Emoji})(?<![0-9#*](?=\ufe0f\u20e3))\ufe0f|(?<=^|\p{M}{4})\p{M}/gu;

/** Replaces each character that can mislead. */
export function replaceMisleading(text: string, replacement: (character: string) => string): string {
  return text.replace(MISLEADING, replacement);
}

const NAMED_ESCAPES: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text from outside, made safe to print: control, bidi and invisible characters become visible escapes. */
export function printable(text: string): string {
  return replaceMisleading(text, visibleEscape);
}

/** A file's name, made safe to print. Blanks at its ends are visible escapes too: `"a.txt "` is not `"a.txt"`. */
export function printableName(name: string): string {
  return printable(name).replace(/^\p{Zs}+|\p{Zs}+$/gu, (blanks) => Array.from(blanks, visibleEscape).join(""));
}

function visibleEscape(character: string): string {
  const named = NAMED_ESCAPES[character];
  if (named !== undefined) return named;
  const code = character.codePointAt(0) ?? 0;
  if (code > 0xffff) return `\\u{${code.toString(16)}}`;
  return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
}

/** A value as JSON on one line. Characters that can mislead are JSON escapes, so parsing gives the exact text back. */
export function jsonLine(value: unknown): string {
  return replaceMisleading(JSON.stringify(value), (character) =>
    character
      .split("")
      .map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`)
      .join(""),
  );
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}

const encoder = new TextEncoder();

/** The length of a text in UTF-8. Bytes. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** The beginning of a text, at most `limit` bytes of UTF-8. No character is cut in two. */
export function cutTo(text: string, limit: number): string {
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += byteLength(segment);
    if (used > limit) break;
    kept += segment;
  }
  return kept;
}

const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** Bytes for a person, in powers of ten: `999 B`, `1.2 kB`, `48 MB`. */
export function formatSize(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${SIZE_UNITS[unit]}`;
}

/** Bytes per second for a person: `112 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatSize(bytesPerSecond)}/s`;
}

/** Seconds for a person: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A record's date, `DD/MM/YY`, in local time. */
export function formatDate(time: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${two(time.getDate())}/${two(time.getMonth() + 1)}/${two(time.getFullYear() % 100)}`;
}

/**
 * The end of a time for a person, behind "until": `17:52` in local time, and on another day than `now` `2026-11-29 17:52`. Rounded up, so
 * that it has not passed. Milliseconds since 1970.
 */
export function formatUntil(end: number, now: number): string {
  const time = new Date(Math.ceil(end / 60_000) * 60_000);
  const day = localDay(time);
  const clock = time.toTimeString().slice(0, 5);
  return day === localDay(new Date(now)) ? clock : `${day} ${clock}`;
}

/** The day of a time, `YYYY-MM-DD`, in local time. */
export function localDay(time: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  return `${String(time.getFullYear()).padStart(4, "0")}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
}

/**
 * A file's date for a person, in local time: `today 17:40`, or the day, `2026-11-28`. `iso` is ISO 8601; where it is a day only, that is
 * a day of the holder's. `now` is in milliseconds since 1970.
 */
export function formatModified(iso: string, now: number): string {
  const today = localDay(new Date(now));
  if (/^\d{4}-\d\d-\d\d$/.test(iso)) return iso === today ? "today" : iso;
  const time = new Date(iso);
  const day = localDay(time);
  return day === today ? `today ${time.toTimeString().slice(0, 5)}` : day;
}

/** `count` with its noun: `1 file`, `3 files`. */
export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Reads `500`, `64kB`, `10MB`, `1.5 GB/s` (powers of ten; `KiB`, `MiB`, `GiB` powers of two) as bytes, or undefined. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*(?:([kmgt])(i?))?b?(?:\/s)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = " kmgt".indexOf((match[2] ?? "").toLowerCase() || " ");
  const bytes = Math.round(Number(match[1]) * (match[3] ? 1024 : 1000) ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

const SECONDS_IN: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads a duration as typed (`90s`, `30m`, `2h`, `7d`). Gives seconds, or undefined. */
export function parseDuration(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * (SECONDS_IN[unit] ?? 0);
  return seconds > 0 ? seconds : undefined;
}

/** A name as a person reads it: `Lab 3` and `lab  3 ` are one. */
export function plainName(name: string): string {
  return name.normalize("NFKC").replace(/\s+/gu, " ").trim().toLowerCase();
}
