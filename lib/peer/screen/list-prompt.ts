// A line to type in, with a list below it: it finds while the person types, and its entries can be marked. It is the package's basic prompt
// with a look of its own, because the package's lists cannot be replaced, marked and refused in place.

import type { Key } from "node:readline";
import { Prompt } from "@clack/core";
import {
  S_BAR,
  S_BAR_END,
  S_CHECKBOX_INACTIVE,
  S_CHECKBOX_SELECTED,
  S_RADIO_ACTIVE,
  S_RADIO_INACTIVE,
  symbol,
} from "@clack/prompts";
import pc from "picocolors";
import { colours } from "../../program/cli.ts";
import { columnsOf, fit, wrap } from "./columns.ts";
import type { Keyboard } from "./keyboard.ts";
import type { Surface } from "./surface.ts";

/** Page up and page down go so far. Entries. */
const PAGE = 10;
/** A list keeps this many rows, with its titles, whatever was said above it, where the terminal has them. */
const LEAST_LIST = 7;
/** A terminal with fewer rows than this is small: while something above is unread, the list is shorter and the keys take one line. */
const SMALL_ROWS = 18;
/** The same as LEAST_LIST, in a small terminal. */
const LEAST_SMALL = 3;
/** If the keys leave fewer rows than this, only their first line is shown. */
const LOW_ROWS = 8;
/** Columns of the frame at the left. */
const FRAME = 3;
/** Columns of the mark before an entry. */
const MARK = 2;

/** The list for the typed text. */
interface ListView<Row> {
  rows: Row[];
  /** A line below the list. */
  remark?: string;
}

/** A key that ends the prompt: Ctrl with this letter. */
interface Shortcut {
  letter: string;
  label: string;
}

export interface ListOptions<Row> {
  message: string;
  /** Shown while nothing is typed. */
  hint: string;
  /** The typed text at first. */
  text?: string;
  /** The place of the cursor at first: an entry's key. */
  at?: string | undefined;
  look(typed: string): ListView<Row>;
  /** The title and the lines of these entries, at most so wide. They must be printable. */
  lay(rows: Row[], width: number): { title: string; lines: string[] };
  keyOf(row: Row): string;
  /** The marked entries, by their keys; without it none can be marked. */
  marks?: Map<string, Row>;
  /** A sentence that refuses to mark an entry, or undefined. */
  refuseMark?(row: Row): string | undefined;
  /** Ctrl-A marks these entries, or none when they are marked already. */
  all?(): Row[];
  /** A sentence that refuses the answer, or undefined. */
  check?(answer: Answer<Row>): string | undefined;
  /** The word for Enter, such as `fetch`. */
  enter: string;
  /** Enter does this instead of ending the prompt; true when it did. */
  onEnter?(typed: string): boolean;
  /** Whether the list is the one for the text. Enter waits for that, so that it never takes an entry of an earlier text. */
  isCurrent?(typed: string): boolean;
  /** Gets the list for the text at once, and not when the person pauses. */
  hurry?(typed: string): void;
  /** The text after Tab, for a list that completes it. */
  complete?(typed: string): string;
  shortcuts?: Shortcut[];
  /** The word for Esc, such as `back`. */
  escape: string;
  /** The line that stays when the prompt is over. */
  sum(answer: Answer<Row>): string;
}

export interface Answer<Row> {
  typed: string;
  /** The entry at the cursor. */
  row: Row | undefined;
  /** The person has moved the cursor to that entry. */
  moved: boolean;
  marked: Row[];
  /** The letter of the shortcut that ended the prompt. */
  shortcut?: string;
}

export class ListPrompt<Row> extends Prompt<Answer<Row>> {
  readonly #options: ListOptions<Row>;
  readonly #surface: Surface;
  readonly #keyboard: Keyboard;
  /** The key of the entry at the cursor; the cursor stays with it when the list changes. */
  #at: string | undefined;
  #moved = false;
  #refusal = "";
  #shortcut: string | undefined;
  /** Enter was pressed, and the list for the text has not come yet. */
  #waiting = false;

  constructor(options: ListOptions<Row>, terminal: { surface: Surface; keyboard: Keyboard; signal: AbortSignal }) {
    const { surface, keyboard, signal } = terminal;
    const render = () => this.#lines().join("\n");
    const validate = (answer: Answer<Row> | undefined) => this.#refusalOf(answer ?? this.#answer());
    super({ render, validate, input: keyboard, output: surface, signal, initialUserInput: options.text ?? "" });
    this.#options = options;
    this.#surface = surface;
    this.#keyboard = keyboard;
    this.#at = options.at;
    this.#moved = options.at !== undefined;
    this.on("key", (text, key) => this.#key(text, key));
    this.on("finalize", () => {
      this.value = this.#answer();
    });
  }

  /** Draws itself again, because its list has changed. */
  refresh(): void {
    // A key press without a key: the package has no other way to say that.
    if (this.#waiting && this.#isCurrent) this.#keyboard.emit("keypress", "\r", { name: "return" });
    else this.#keyboard.emit("keypress", undefined, {});
  }

  get #isCurrent(): boolean {
    return this.#moved || this.#options.isCurrent?.(this.userInput.trim()) !== false;
  }

  /** Esc: first the typed text goes away. False when there is nothing. */
  stepBack(): boolean {
    if (this.userInput === "" && !this.#moved) return false;
    this._clearUserInput();
    this.#moved = false;
    this.#at = undefined;
    this.refresh();
    return true;
  }

  /** Whether Space marks, and is no letter of the text. */
  get #spaceMarks(): boolean {
    return this.#options.marks !== undefined && (this.#moved || this.userInput.trim() === "");
  }

  /** Characters that are no text, although line editing has taken them for text. */
  protected override _isActionKey(text: string | undefined, key: Key): boolean {
    return text === "\t" || (key.name === "space" && this.#spaceMarks);
  }

  protected override _shouldSubmit(): boolean {
    const typed = this.userInput.trim();
    const isEnter = this.#shortcut === undefined;
    const isEnterTaken = isEnter && this.#options.onEnter?.(typed) === true;
    this.#waiting = isEnter && (this.#options.marks?.size ?? 0) === 0 && !this.#isCurrent;
    if (this.#waiting) this.#options.hurry?.(typed);
    if (!isEnterTaken && !this.#waiting) {
      this.value = this.#answer();
      return true;
    }
    this._setUserInput(this.userInput, true);
    return false;
  }

  get #view(): ListView<Row> {
    return this.#options.look(this.userInput.trim());
  }

  #place(rows: Row[]): number {
    const place = rows.findIndex((row) => this.#options.keyOf(row) === this.#at);
    return Math.max(place, 0);
  }

  #answer(): Answer<Row> {
    const { rows } = this.#view;
    return {
      typed: this.userInput.trim(),
      row: rows[this.#place(rows)],
      moved: this.#moved,
      marked: [...(this.#options.marks?.values() ?? [])],
      ...(this.#shortcut !== undefined && { shortcut: this.#shortcut }),
    };
  }

  #refusalOf(answer: Answer<Row>): string | undefined {
    return answer.shortcut === undefined ? this.#options.check?.(answer) : undefined;
  }

  #key(text: string | undefined, key: Key): void {
    if (text === undefined && key.name === undefined) return;
    this.#refusal = "";
    if (key.name !== "return") this.#waiting = false;
    const { rows } = this.#view;
    const { name = "" } = key;
    const step = { up: -1, down: 1, pageup: -PAGE, pagedown: PAGE }[name];
    if (key.ctrl) this.#control(name, rows);
    else if (step !== undefined) this.#move(rows, step);
    else if (name === "tab") this.#tab(rows);
    else if (name === "space" && this.#spaceMarks) this.#mark(rows[this.#place(rows)]);
    else if (text !== undefined && name !== "return") {
      this.#moved = false;
      this.#at = undefined;
    }
  }

  #control(letter: string, rows: Row[]): void {
    const { shortcuts = [], all, marks } = this.#options;
    if (letter === "a" && all !== undefined && marks !== undefined) this.#markAll(all(), marks);
    if (!shortcuts.some((one) => one.letter === letter) || rows === undefined) return;
    this.#shortcut = letter;
    this.value = this.#answer();
    this.state = "submit";
    this.#surface.leaveNothing();
  }

  #move(rows: Row[], step: number): void {
    if (rows.length === 0) return;
    const from = this.#place(rows);
    const to = from + step;
    const last = rows.length - 1;
    const single = Math.abs(step) === 1;
    const place = to < 0 ? (single ? last : 0) : to > last ? (single ? 0 : last) : to;
    const row = rows[place];
    this.#at = row === undefined ? undefined : this.#options.keyOf(row);
    this.#moved = true;
  }

  #tab(rows: Row[]): void {
    const { complete } = this.#options;
    if (complete === undefined) {
      this.#mark(rows[this.#place(rows)]);
      return;
    }
    const completed = complete(this.userInput);
    this._clearUserInput();
    this._setUserInput(completed, true);
    this.#moved = false;
    this.#at = undefined;
  }

  #mark(row: Row | undefined): void {
    const { marks, keyOf, refuseMark } = this.#options;
    if (row === undefined || marks === undefined) return;
    const key = keyOf(row);
    // The cursor stays here while the list changes.
    this.#at = key;
    if (marks.delete(key)) return;
    const refusal = refuseMark?.(row);
    if (refusal === undefined) marks.set(key, row);
    else this.#refusal = refusal;
  }

  #markAll(rows: Row[], marks: Map<string, Row>): void {
    const { keyOf, refuseMark } = this.#options;
    if (rows.every((row) => marks.has(keyOf(row)))) {
      for (const row of rows) marks.delete(keyOf(row));
      return;
    }
    for (const row of rows) {
      if (marks.has(keyOf(row))) continue;
      const refusal = refuseMark?.(row);
      if (refusal !== undefined) {
        this.#refusal = refusal;
        return;
      }
      marks.set(keyOf(row), row);
    }
  }

  // -------------------------------------------------------------- its look

  #lines(): string[] {
    const { message, sum } = this.#options;
    const width = this.#surface.columns - FRAME;
    const bar = colours.gray(S_BAR);
    const [title = "", ...more] = wrap(message, width);
    const head = [bar, `${symbol(this.state)}  ${title}`, ...more.map((line) => `${bar}  ${line}`)];
    if (this.state === "submit") return [...head, `${bar}  ${colours.dim(fit(sum(this.value ?? this.#answer()), width))}`];
    if (this.state === "cancel") return [...head, bar];
    const colour = this.state === "error" ? colours.yellow : colours.cyan;
    const side = `${colour(S_BAR)}  `;
    const refusal = this.state === "error" ? this.error : this.#waiting ? "Looking…" : this.#refusal;
    const keys = this.#keyLines(width);
    const { rows, unread } = this.#surface;
    const isSmall = rows < SMALL_ROWS;
    const isLow = rows - keys.length < LOW_ROWS || (isSmall && unread > 0);
    const below = [
      ...(refusal === "" ? [] : wrap(refusal, width).map((line) => colours.yellow(line))),
      ...(isLow ? keys.slice(0, 1) : keys).map((line) => colours.dim(line)),
    ];
    const all = rows - head.length - 1 - below.length - 1;
    // Lines that the person has not read yet stay in sight above a shorter list.
    const room = Math.max(Math.min(all, isSmall ? LEAST_SMALL : LEAST_LIST), all - unread);
    const body = [this.#typed(width), ...this.#list(width, room), ...below];
    return [...head, ...body.map((line) => (side + line).trimEnd()), colour(S_BAR_END)];
  }

  /** The line that is typed, with the cursor; its end when it is too long. */
  #typed(width: number): string {
    const text = this.userInput;
    if (text === "") return `${cursorOn("")} ${colours.dim(fit(this.#options.hint, width - 2))}`;
    const before = text.slice(0, this._cursor);
    const after = text.slice(this._cursor);
    if (columnsOf(text) + 2 < width) return before + cursorOn(after.slice(0, 1)) + after.slice(1);
    return `…${lastOf(before, width - 4)}${cursorOn(after.slice(0, 1))}`;
  }

  #list(width: number, room: number): string[] {
    const { lay, keyOf, marks } = this.#options;
    const { rows, remark = "" } = this.#view;
    const lines = remark === "" ? [] : [colours.dim(fit(remark, width))];
    if (rows.length === 0) return lines;
    const boxes = marks !== undefined && (marks.size > 0 || this.#options.all !== undefined);
    const { title, lines: labels } = lay(rows, width - MARK * (boxes ? 2 : 1));
    const titles = title === "" ? [] : [colours.dim(`${" ".repeat(MARK * (boxes ? 2 : 1))}${title}`)];
    const most = Math.max(1, room - titles.length - lines.length);
    const place = this.#place(rows);
    const from = Math.max(0, Math.min(place - Math.floor(most / 2), rows.length - most));
    const shown = rows.slice(from, from + most).map((row, i) => {
      const active = from + i === place;
      const mark = active ? colours.green(S_RADIO_ACTIVE) : colours.dim(S_RADIO_INACTIVE);
      const isMarked = marks?.has(keyOf(row)) === true;
      const box = !boxes ? "" : isMarked ? `${colours.green(S_CHECKBOX_SELECTED)} ` : `${colours.dim(S_CHECKBOX_INACTIVE)} `;
      const label = labels[from + i] ?? "";
      return `${mark} ${box}${active || isMarked ? label : colours.dim(label)}`;
    });
    const hidden = rows.length - shown.length;
    if (hidden > 0 && lines.length === 0 && shown.length > 2) {
      shown.pop();
      lines.push(colours.dim(`… ${place + 1} of ${rows.length}`));
    }
    return [...titles, ...shown, ...lines];
  }

  /** The words for all keys, in lines that are full. */
  #keyLines(width: number): string[] {
    const { marks, enter, escape: back, shortcuts = [], complete, all } = this.#options;
    const hasRows = this.#view.rows.length > 0;
    const keys = [
      ...(hasRows ? ["↑↓ choose"] : []),
      `Enter ${enter}`,
      ...(marks === undefined || !hasRows ? [] : [this.#spaceMarks ? "Space mark" : "Tab mark"]),
      ...(complete === undefined ? [] : ["Tab complete"]),
      ...(all === undefined ? [] : ["Ctrl-A all"]),
      `Esc ${this.userInput !== "" || this.#moved ? "clear" : back}`,
      ...shortcuts.map(({ letter, label }) => `^${letter.toUpperCase()} ${label}`),
    ];
    const lines: string[] = [];
    for (const key of keys) {
      const last = lines.at(-1);
      const longer = `${last} · ${key}`;
      if (last !== undefined && columnsOf(longer) <= width) lines[lines.length - 1] = longer;
      else lines.push(fit(key, width));
    }
    return lines;
  }
}

/** The cursor on a character of the text, or behind it. Without colours it is a block, too. */
function cursorOn(character: string): string {
  if (character === "") return "█";
  return pc.isColorSupported ? colours.inverse(character) : `█${character}`;
}

/** The end of a text, at most `columns` wide. */
function lastOf(text: string, width: number): string {
  const all = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
  let used = 0;
  let from = all.length;
  while (from > 0 && used + columnsOf(all[from - 1] ?? "") <= width) {
    from -= 1;
    used += columnsOf(all[from] ?? "");
  }
  return all.slice(from).join("");
}
