// Fits text into the columns of a terminal: cuts it, breaks it into lines, lays it out in tables. It prints nothing.

/** The number of columns that a text takes in a terminal. */
export function columnsOf(text: string): number {
  return Bun.stringWidth(text);
}

/** Cuts a text to at most `width` columns. `…` stands for the part that is left out. */
export function fit(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  return width < 1 ? "" : `${firstOf(graphemesOf(text), width - 1).join("")}…`;
}

/** A longer extension is none: it is the end of a sentence with a dot in it. Columns. */
const EXTENSION_WIDTH = 10;

/**
 * Cuts a file's name to at most `width` columns, in the middle: its extension stays whole where there is room for it, because it says
 * what kind of file this is. `annual rep…ool.pdf`, `IMG_2…1.tar.gz`.
 */
export function fitName(name: string, width: number): string {
  if (columnsOf(name) <= width) return name;
  if (width < 1) return "";
  const graphemes = graphemesOf(name);
  const extension = /(?:\.[\p{L}\p{N}_-]+){1,2}$/u.exec(name)?.[0] ?? "";
  const longest = columnsOf(extension) > EXTENSION_WIDTH ? 0 : columnsOf(extension);
  const room = Math.min(width - 2, Math.max(longest, Math.floor((width - 1) / 2)));
  const end = firstOf(graphemes.toReversed(), Math.max(room, 0)).reverse().join("");
  return `${firstOf(graphemes, width - 1 - columnsOf(end)).join("")}…${end}`;
}

function graphemesOf(text: string): string[] {
  return Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
}

/** The first graphemes, up to `width` columns. */
function firstOf(graphemes: string[], width: number): string[] {
  let used = 0;
  const end = graphemes.findIndex((one) => {
    used += columnsOf(one);
    return used > width;
  });
  return end < 0 ? graphemes : graphemes.slice(0, end);
}

/** Where a line may be broken: at a space, but not between a number and its unit, as in `48 MB` or `0.5 s`. */
const BREAKABLE = /(?<!\d) | (?!(?:%|B|[kMGTP]B|s|min|h)(?![\p{L}\p{N}]))/u;

/** Breaks a text between words into lines of at most `width` columns. A longer word is broken, too. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  const push = (word: string) => {
    if (line !== "" && columnsOf(`${line} ${word}`) <= width) {
      line += ` ${word}`;
      return;
    }
    if (line !== "") lines.push(line);
    line = "";
    for (const { segment } of new Intl.Segmenter().segment(word)) {
      if (line !== "" && columnsOf(line + segment) > width) {
        lines.push(line);
        line = "";
      }
      line += segment;
    }
  };
  for (const word of text.split(BREAKABLE)) push(word);
  return [...lines, line];
}

/** A column that may shrink is never narrower than this. Terminal columns. */
const NARROWEST = 8;

export interface Column {
  title: string;
  align?: "left" | "right";
  /** Cells that are too long are cut in the middle, as names of files are. */
  names?: true;
  /** The column is never wider than this. Terminal columns. */
  most?: number;
  /** When the lines are too long, this column shrinks to this width, and below it only when no column can be left out. */
  shrinksTo?: number;
  /** If shrinking is not enough, columns with a rank are left out, the highest rank first. */
  spare?: number;
  /** The column is left out before any other shrinks, because it says little. */
  dispensable?: true;
}

/** The gap between two columns. Terminal columns. */
const GAP = 2;

/**
 * Lays out cells in aligned columns, at most `width` columns wide when that is given.
 * Cells must be printable already. Gives the lines, the title line first.
 */
export function table(columns: Column[], rows: string[][], width = Number.POSITIVE_INFINITY): string[] {
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map(({ most = Number.POSITIVE_INFINITY }, i) =>
    Math.min(
      most,
      lines.reduce((widest, line) => Math.max(widest, columnsOf(line[i] ?? "")), 0),
    ),
  );
  let excess = Math.max(0, widths.reduce((sum, w) => sum + w, GAP * (columns.length - 1)) - width);
  const without = (left: number) => {
    const keep = <Item>(items: Item[]) => items.filter((_, i) => i !== left);
    return table(keep(columns), rows.map(keep), width);
  };
  const dispensable = columns.findIndex((column) => column.dispensable);
  if (excess > 0 && dispensable >= 0) return without(dispensable);
  const ranks = columns.map((column) => column.spare ?? 0);
  const last = ranks.indexOf(Math.max(...ranks));
  const canLeaveOut = (ranks[last] ?? 0) > 0;
  for (const [i, { shrinksTo: least }] of columns.entries()) {
    if (least === undefined) continue;
    const before = widths[i] ?? 0;
    widths[i] = Math.min(before, Math.max(canLeaveOut ? least : Math.min(least, NARROWEST), before - excess));
    excess -= before - (widths[i] ?? 0);
  }
  if (excess > 0 && canLeaveOut) return without(last);
  return lines.map((line) =>
    columns
      .map((column, i) => {
        const cell = (column.names ? fitName : fit)(line[i] ?? "", widths[i] ?? 0);
        const pad = " ".repeat(Math.max(0, (widths[i] ?? 0) - columnsOf(cell)));
        return column.align === "right" ? pad + cell : cell + pad;
      })
      .join(" ".repeat(GAP))
      .trimEnd(),
  );
}
