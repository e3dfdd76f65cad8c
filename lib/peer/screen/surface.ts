// Draws on the terminal: lines that stay, and below them a frame that changes, such as a prompt. The package of the prompts takes it for
// its output. Because the frame is drawn here, a line can be put above an open prompt, and a prompt can be drawn again after a resize.

import { Writable } from "node:stream";
import { columnsOf, fit } from "./columns.ts";

/** The terminal, as far as a surface needs it. */
interface Screenful {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: "resize", act: () => void): unknown;
  off(event: "resize", act: () => void): unknown;
}

/** The size of a terminal that does not say it. Columns and rows. */
const USUAL = { columns: 80, rows: 24 };
/** The smallest size that is drawn for. Columns and rows. */
const LEAST = { columns: 20, rows: 6 };

/**
 * The few control sequences that the package writes: the cursor hidden and shown, moved up and down, a line and all below erased. Colours
 * belong to the text.
 */
const TOKENS = /\x1b\[\?25([hl])|\x1b\[(\d*)([ABCDGJK])|(\n)|((?:\x1b\[[\d;]*m|[^\x1b\n])+)/g;

const HIDE = "\x1b[?25l";
const SHOW = "\x1b[?25h";
const ERASE_BELOW = "\x1b[J";

export class Surface extends Writable {
  readonly #screen: Screenful;
  /** The lines of the prompt that is open, and where the package has its cursor in them. */
  #prompt: string[] | undefined;
  #row = 0;
  /** The prompt leaves nothing behind when it is closed. */
  #leavesNothing = false;
  /** Lines between those that stay and the prompt. */
  #live: string[] = [];
  /** The lines of this program's own frame, while no prompt is open. */
  #frame: string[] = [];
  /** The start of a line outside of a prompt. */
  #begun = "";
  /** The lines below those that stay, as the terminal shows them. The cursor is at the beginning of the last one. */
  #shown: string[] = [""];
  /** The rows of the lines that came to stay since the person has last pressed a key. */
  #unread = 0;
  #held = false;
  /** Lines that came to stay while another program has the terminal; undefined while this program has it. */
  #missed: string[] | undefined;
  #opened = false;
  readonly #resized = () => this.#resize();

  constructor(screen: Screenful) {
    super();
    this.#screen = screen;
  }

  get columns(): number {
    return Math.max(LEAST.columns, this.#screen.columns || USUAL.columns);
  }

  /** The rows that a prompt may take. */
  get rows(): number {
    return Math.max(LEAST.rows, (this.#screen.rows || USUAL.rows) - this.#live.length);
  }

  /** The rows above the prompt that the person may not have read yet: they came after the last key. */
  get unread(): number {
    return this.#unread;
  }

  /** The person has pressed a key: the lines above the prompt may leave the screen. */
  keyPressed(): void {
    this.#unread = 0;
  }

  /** Hides the cursor and follows the size of the terminal until `close`. */
  open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.#screen.on("resize", this.#resized);
    this.#screen.write(HIDE);
  }

  /** Takes away the lines that are not to stay, and shows the cursor. */
  close(): void {
    if (!this.#opened) return;
    this.#opened = false;
    this.#screen.off("resize", this.#resized);
    this.#live = [];
    this.#frame = [];
    this.#draw();
    this.#screen.write(SHOW);
  }

  /** Lines that stay, above everything that changes. They must be printable. */
  print(lines: string[], bell = false): void {
    this.#unread += this.#rowsOf(lines);
    if (this.#prompt === undefined) this.#draw(lines);
    else this.#layAnew(lines);
    if (bell) this.#screen.write("\x07");
  }

  /** Sets the lines above the prompt. */
  set live(lines: string[]) {
    if (lines.length === this.#live.length) {
      this.#live = lines;
      this.#draw();
      return;
    }
    this.#live = lines;
    this.#layAnew();
  }

  /** Sets the frame that is shown while no prompt is open. */
  set frame(lines: string[]) {
    this.#frame = lines;
    if (this.#prompt === undefined) this.#draw();
  }

  /** The prompt that is open will leave nothing behind. */
  leaveNothing(): void {
    this.#leavesNothing = true;
  }

  /** Takes the frame away, for another program that gets the terminal. `redraw` brings it back. */
  erase(): void {
    this.#screen.write(`${this.#toTop()}${ERASE_BELOW}${SHOW}`);
    this.#shown = [""];
    // A program that goes on after it was stopped runs its timers before it hears of that.
    this.#missed ??= [];
  }

  /** Draws the frame anew where the cursor is: another program has had the terminal. */
  redraw(): void {
    this.#screen.write(`\n\r${this.#opened ? HIDE : ""}`);
    this.#shown = [""];
    const missed = this.#missed;
    this.#missed = undefined;
    this.#layAnew(missed);
  }

  /** The texts that the package writes. */
  override write(chunk: unknown): boolean {
    for (const [, cursor, count, act, lineEnd, text] of String(chunk).matchAll(TOKENS)) {
      if (cursor !== undefined) this.#turn(cursor === "l");
      else if (this.#prompt === undefined) this.#begun += lineEnd ?? text ?? "";
      else this.#edit(this.#prompt, Number(count || 1), act ?? lineEnd, text);
    }
    const lines = this.#begun.split("\n");
    this.#begun = lines.pop() ?? "";
    if (lines.length > 0) this.print(lines);
    else this.#draw();
    return true;
  }

  /** A prompt begins or ends. Its last state stays as lines. */
  #turn(begins: boolean): void {
    if (begins) {
      this.#prompt ??= [""];
      this.#row = 0;
      return;
    }
    const lines = this.#prompt?.slice(0, -1) ?? [];
    this.#prompt = undefined;
    if (!this.#leavesNothing) this.#begun += lines.map((line) => `${line}\n`).join("");
    this.#leavesNothing = false;
  }

  /** Changes the lines of the prompt as a terminal would. The package always begins at the first column. */
  #edit(lines: string[], count: number, act: string | undefined, text: string | undefined): void {
    const top = Math.max(0, lines.length - this.rows);
    if (act === "A") this.#row = Math.max(top, this.#row - count);
    else if (act === "B") this.#row = Math.min(lines.length - 1, this.#row + count);
    else if (act === "J") lines.splice(this.#row, lines.length, "");
    else if (act === "K") lines[this.#row] = "";
    else if (act === "\n") {
      this.#row += 1;
      if (this.#row === lines.length) lines.push("");
    } else if (text !== undefined) lines[this.#row] += text;
  }

  /** Lets the prompt lay itself out again, and draws everything. */
  #layAnew(stay: string[] = []): void {
    this.#held = true;
    this.emit("resize");
    this.#held = false;
    this.#draw(stay);
  }

  /** The terminal has broken lines that are too long now into several rows. */
  #resize(): void {
    this.#screen.write(`${up(this.#rowsOf(this.#shown.slice(0, -1)))}\r${ERASE_BELOW}`);
    this.#shown = [""];
    this.#layAnew();
  }

  /** The rows of the terminal that these lines take. */
  #rowsOf(lines: string[]): number {
    return lines.reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / this.columns)), 0);
  }

  #toTop(): string {
    return `${up(this.#shown.length - 1)}\r`;
  }

  /** Draws the lines that have changed; first the new ones that stay. */
  #draw(stay: string[] = []): void {
    if (this.#held) return;
    if (this.#missed !== undefined) {
      this.#missed.push(...stay);
      return;
    }
    const { columns } = this;
    const below = [...this.#live, ...(this.#prompt ?? this.#frame)].slice(
      -Math.max(LEAST.rows, this.#screen.rows || USUAL.rows),
    );
    const wanted =
      below.length === 0 ? [""] : below.map((line) => (columnsOf(line) <= columns ? line : fit(Bun.stripANSI(line), columns)));
    const shown = this.#shown;
    let first = stay.length > 0 ? 0 : wanted.findIndex((line, i) => line !== shown[i]);
    if (first < 0 && wanted.length === shown.length) return;
    if (first < 0) first = wanted.length - 1;
    first = Math.min(first, shown.length - 1);
    const lines = [...stay, ...wanted.slice(first)].join("\n");
    this.#shown = wanted;
    this.#screen.write(`${up(shown.length - 1 - first)}\r${ERASE_BELOW}${lines}\r`);
  }
}

function up(rows: number): string {
  return rows > 0 ? `\x1b[${rows}A` : "";
}
