// Sizes, rates, dates, and the safe display of other people's names. Pure: text in, text out.

/** Characters that can mislead a terminal, a log or a reader: C0, DEL, C1, zero-width, bidi controls, tags. */
const MISLEADING =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

const NAMED_ESCAPES: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Text from outside, made safe to print: control, bidi and invisible characters become visible escapes. */
export function printable(text: string): string {
  return text.replace(MISLEADING, (character) => {
    const named = NAMED_ESCAPES[character];
    if (named !== undefined) return named;
    const code = character.codePointAt(0) ?? 0;
    if (code > 0xffff) return `\\u{${code.toString(16)}}`;
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

/** A value as JSON on one line. Characters that can mislead are JSON escapes, so parsing gives the exact text back. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(MISLEADING, (character) =>
    character
      .split("")
      .map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`)
      .join(""),
  );
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
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

/** Bytes a second for a person: `112 MB/s`. */
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

/** Gives how many terminal columns a text takes. It is handed in, because the runtime has the Unicode tables. */
export type Measure = (text: string) => number;

/** Cuts a text to at most `width` columns. `…` stands for the part that is left out. */
export function fit(text: string, width: number, measure: Measure): string {
  if (measure(text) <= width) return text;
  if (width < 1) return "";
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const columns = measure(segment);
    if (used + columns > width - 1) break;
    kept += segment;
    used += columns;
  }
  return `${kept}…`;
}

/** Breaks a text between words into lines of at most `width` columns. A longer word is broken, too. */
export function wrap(text: string, width: number, measure: Measure): string[] {
  const lines: string[] = [];
  let line = "";
  const push = (word: string) => {
    if (line !== "" && measure(`${line} ${word}`) <= width) {
      line += ` ${word}`;
      return;
    }
    if (line !== "") lines.push(line);
    line = "";
    for (const { segment } of new Intl.Segmenter().segment(word)) {
      if (line !== "" && measure(line + segment) > width) {
        lines.push(line);
        line = "";
      }
      line += segment;
    }
  };
  for (const word of text.split(" ")) push(word);
  return [...lines, line];
}

/** A column that may shrink is never narrower than this. Terminal columns. */
const NARROWEST = 8;

export interface Column {
  title: string;
  align?: "left" | "right";
  /** When the lines are too long, this column shrinks to this width, and below it only when no column can be left out. */
  shrinksTo?: number;
  /** Columns with a rank shrink first. If that is not enough they are left out, the highest rank first. */
  spare?: number;
}

/**
 * Lays out cells in aligned columns, at most `width` columns wide when that is given.
 * Cells must be printable already. Gives the lines, the title line first.
 */
export function table(columns: Column[], rows: string[][], measure: Measure, width = Number.POSITIVE_INFINITY): string[] {
  const gap = 2;
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => lines.reduce((most, line) => Math.max(most, measure(line[i] ?? "")), 0));
  const total = widths.reduce((sum, w) => sum + w, gap * (columns.length - 1));
  let excess = Math.max(0, total - width);
  const ranks = columns.map((column) => column.spare ?? 0);
  const inOrder = columns.map((_, i) => i).sort((a, b) => (ranks[b] ?? 0) - (ranks[a] ?? 0));
  const last = inOrder[0] ?? 0;
  const canLeaveOut = (ranks[last] ?? 0) > 0;
  for (const i of inOrder) {
    const least = columns[i]?.shrinksTo;
    if (least === undefined) continue;
    const before = widths[i] ?? 0;
    widths[i] = Math.min(before, Math.max(canLeaveOut ? least : Math.min(least, NARROWEST), before - excess));
    excess -= before - (widths[i] ?? 0);
  }
  if (excess > 0 && canLeaveOut) {
    const keep = <Item>(items: Item[]) => items.filter((_, i) => i !== last);
    return table(keep(columns), rows.map(keep), measure, width);
  }
  return lines.map((line) =>
    columns
      .map((column, i) => {
        const cell = fit(line[i] ?? "", widths[i] ?? 0, measure);
        const pad = " ".repeat(Math.max(0, (widths[i] ?? 0) - measure(cell)));
        return column.align === "right" ? pad + cell : cell + pad;
      })
      .join(" ".repeat(gap))
      .trimEnd(),
  );
}

const SECONDS_IN: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Reads a duration as typed (`90s`, `30m`, `2h`, `7d`). Gives seconds, or undefined. */
export function parseDuration(text: string): number | undefined {
  const [, number = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(number) * (SECONDS_IN[unit] ?? 0);
  return seconds > 0 ? seconds : undefined;
}
