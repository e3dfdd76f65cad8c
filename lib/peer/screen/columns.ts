// Text in the columns of a terminal: cut, broken into lines, laid out in tables. It prints nothing.

/** How many columns a text takes in a terminal. */
export function columnsOf(text: string): number {
  return Bun.stringWidth(text);
}

/** Cuts a text to at most `width` columns. `…` stands for the part that is left out. */
export function fit(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  return width < 1 ? "" : `${firstOf(graphemesOf(text), width - 1).join("")}…`;
}

/** Cuts a file's name to at most `width` columns, in the middle, because its end says what kind of file it is: `annual rep…ool.pdf`. */
export function fitName(name: string, width: number): string {
  if (columnsOf(name) <= width) return name;
  if (width < 1) return "";
  const graphemes = graphemesOf(name);
  const end = firstOf(graphemes.toReversed(), Math.floor((width - 1) / 2))
    .reverse()
    .join("");
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
  for (const word of text.split(" ")) push(word);
  return [...lines, line];
}

/** A column that may shrink is never narrower than this. Terminal columns. */
const NARROWEST = 8;

export interface Column {
  title: string;
  align?: "left" | "right";
  /** Cells that are too long are cut in the middle, as names of files are. */
  names?: true;
  /** When the lines are too long, this column shrinks to this width, and below it only when no column can be left out. */
  shrinksTo?: number;
  /** Columns with a rank shrink first. If that is not enough they are left out, the highest rank first. */
  spare?: number;
}

/**
 * Lays out cells in aligned columns, at most `width` columns wide when that is given.
 * Cells must be printable already. Gives the lines, the title line first.
 */
export function table(columns: Column[], rows: string[][], width = Number.POSITIVE_INFINITY): string[] {
  const gap = 2;
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, i) => lines.reduce((most, line) => Math.max(most, columnsOf(line[i] ?? "")), 0));
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
    return table(keep(columns), rows.map(keep), width);
  }
  return lines.map((line) =>
    columns
      .map((column, i) => {
        const cell = (column.names ? fitName : fit)(line[i] ?? "", widths[i] ?? 0);
        const pad = " ".repeat(Math.max(0, (widths[i] ?? 0) - columnsOf(cell)));
        return column.align === "right" ? pad + cell : cell + pad;
      })
      .join(" ".repeat(gap))
      .trimEnd(),
  );
}
