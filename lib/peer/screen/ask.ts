// Asks a person in a terminal, and makes all text from other machines printable. It owns the terminal: a prompt, a line that appears above
// it, and the progress of downloads never write over each other.

import { intro, isCancel, log, note, outro, password, S_BAR, S_BAR_END, S_STEP_ACTIVE, select } from "@clack/prompts";
import { CancelledError } from "../../error.ts";
import { colours } from "../../program/cli.ts";
import { printable } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { fit, wrap } from "./columns.ts";
import { Keyboard, type Special } from "./keyboard.ts";
import { type Answer, type ListOptions, ListPrompt } from "./list-prompt.ts";
import { Surface } from "./surface.ts";

/** The terminal of the prompts, and the signal that ends them. */
interface Terminal {
  input: NodeJS.ReadStream;
  output: NodeJS.WriteStream;
  signal: AbortSignal;
}

/** Columns that the package needs beside our text: its own marks, and the colours of lists, which it counts as columns. */
const MARK_COLUMNS = 15;
/** Columns of the frame beside a sentence. */
const FRAME_COLUMNS = 4;
/** The smallest width of a line, also in a terminal that is narrower. Columns. */
const LEAST_COLUMNS = 20;
/** The rows of a terminal that does not say them. */
const USUAL_ROWS = 24;
/** The progress of downloads is drawn again after this time. Milliseconds. */
const FRAME_MS = 100;
/** Work that takes longer than this is more than a moment. Milliseconds. */
const MOMENT_MS = 500;
/** For a reader of the screen, progress is a line of its own after this time. Milliseconds. */
const SPOKEN_MS = 5_000;

/** Asks questions, one at a time. A method gives undefined when the person goes back (Esc). Ctrl-C is a `CancelledError`. */
export class Prompts {
  readonly #terminal: Terminal;
  readonly #surface: Surface;
  readonly #keyboard: Keyboard;
  /** How many hold the terminal: the session, and the prompt that is open. */
  #holds = 0;
  #interrupt: () => void = () => {};
  readonly #continued = () => this.#goOn();

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    const { input, output } = terminal;
    this.#surface = new Surface(output);
    this.#keyboard = new Keyboard({ input, output, special: (what) => this.#special(what) });
    this.#keyboard.pressed = () => this.#surface.keyPressed();
  }

  /** Takes the terminal until `release` is called once for each `hold`. `interrupt` is called for Ctrl-C where no prompt is open. */
  hold(interrupt?: () => void): void {
    if (interrupt !== undefined) this.#interrupt = interrupt;
    this.#holds += 1;
    if (this.#holds > 1) return;
    process.on("SIGCONT", this.#continued);
    this.#keyboard.open();
    this.#surface.open();
  }

  release(): void {
    this.#holds -= 1;
    if (this.#holds > 0) return;
    process.off("SIGCONT", this.#continued);
    this.#surface.close();
    this.#keyboard.close();
  }

  /** The width of a line in a prompt. Columns. */
  get width(): number {
    return Math.max(LEAST_COLUMNS, this.#surface.columns - MARK_COLUMNS);
  }

  /** The rows of the terminal. */
  get rows(): number {
    return this.#terminal.output.rows || USUAL_ROWS;
  }

  greet(title: string): void {
    intro(this.#short(title), this.#output);
  }

  goodbye(words: string): void {
    outro(this.#short(words), this.#output);
  }

  say(words: string): void {
    log.message(this.#wrapped(words), this.#output);
  }

  done(words: string): void {
    log.success(this.#wrapped(words), this.#output);
  }

  warn(words: string): void {
    log.warn(this.#wrapped(words), this.#output);
  }

  /** Shows lines in a frame. They must be printable. */
  show(lines: string[], title: string): void {
    note(lines.map((line) => fit(line, this.width)).join("\n"), this.#short(title), {
      ...this.#output,
      format: (line) => line,
    });
  }

  /** Says something of importance at once, above a prompt that is open, with a bell. */
  ring(words: string): void {
    const [first = "", ...more] = this.#wrapped(words).split("\n");
    const bar = colours.gray(S_BAR);
    this.#surface.print([bar, `${colours.yellow("▲")}  ${first}`, ...more.map((line) => `${bar}  ${line}`)], true);
  }

  /** Shows these lines above the prompt, in place of the last ones. A long one takes two rows. */
  set live(lines: string[]) {
    const width = this.#surface.columns - 3;
    const rows = lines.flatMap((line) => {
      const [first = "", ...more] = wrap(printable(line), width);
      return more.length === 0 ? [first] : [first, fit(more.join(" "), width)];
    });
    this.#surface.live = rows.map((row) => `${colours.gray(S_BAR)}  ${colours.dim(row)}`);
  }

  /** Asks for one of some things. */
  async choose<Value extends string | number>(
    message: string,
    options: { value: Value; label: string }[],
    initialValue?: Value,
  ): Promise<Value | undefined> {
    // The package's type of options depends on the type of the value; this list has the right shape for both types.
    const shown = options.map(({ value, label }) => ({ value, label: this.#short(label) })) as Parameters<
      typeof select<Value>
    >[0]["options"];
    const { signal } = this.#terminal;
    const output = {
      input: this.#keyboard,
      output: this.#surface,
      signal,
      ...(initialValue !== undefined && { initialValue }),
    };
    const title = wrap(printable(message), this.width).join("\n");
    return await this.#answer(() => select<Value>({ ...output, message: title, options: shown, maxItems: 12 }));
  }

  /** Asks with a line to type in, and a list. `refresh` is given a way to draw the list again. */
  async list<Row>(options: ListOptions<Row>, refresh?: (draw: () => void) => void): Promise<Answer<Row> | undefined> {
    const terminal = { surface: this.#surface, keyboard: this.#keyboard, signal: this.#terminal.signal };
    const prompt = new ListPrompt<Row>(options, terminal);
    refresh?.(() => prompt.refresh());
    const answer = await this.#answer(
      () => prompt.prompt(),
      () => prompt.stepBack(),
    );
    return answer as Answer<Row> | undefined;
  }

  /** Asks for a line that only the person may know: the terminal shows none of its characters. */
  async secret(message: string): Promise<string | undefined> {
    const { signal } = this.#terminal;
    // Unlike its lists, the package's question for a password does not put a bar before a second line.
    const title = this.#wrapped(message).replaceAll("\n", `\n${colours.gray(S_BAR)}  `);
    const shown = { input: this.#keyboard, output: this.#surface, signal, message: title };
    return await this.#answer(() => password(shown));
  }

  /** Asks for a line of text. `check` gives the sentence that refuses an answer; `usual` is what an empty line stands for. */
  async line(
    message: string,
    hint: string,
    check: (answer: string) => string | undefined,
    usual = "",
  ): Promise<string | undefined> {
    const answer = await this.list<never>({
      message: printable(message),
      hint: printable(hint),
      look: () => ({ rows: [] }),
      lay: () => ({ title: "", lines: [] }),
      keyOf: () => "",
      enter: "confirm",
      escape: "back",
      check: ({ typed }) => {
        const refusal = check(typed);
        return refusal === undefined ? undefined : printable(refusal);
      },
      sum: ({ typed }) => printable(typed || usual),
    });
    return answer?.typed;
  }

  /** Shows `words` until the task is over, if that takes more than a moment. A prompt that is open meanwhile hides it. */
  async waitFor<Result>(words: string, task: Promise<Result>): Promise<Result> {
    const show = () => {
      const line = fit(printable(words), this.#surface.columns - 3);
      if (isForReader()) this.say(words);
      else this.#surface.frame = [colours.gray(S_BAR), `${colours.gray(S_BAR)}  ${colours.dim(line)}`];
    };
    const timer = setTimeout(show, MOMENT_MS);
    try {
      return await task;
    } finally {
      clearTimeout(timer);
      this.#surface.frame = [];
    }
  }

  /**
   * Shows what `lines` gives until the task is over. Esc and Ctrl-C abort the signal of the task, which ends as it likes. Aborts it, too,
   * when the program is to end.
   */
  async during<Result>(
    title: string,
    lines: (width: number, rows: number) => string[],
    task: (stop: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#terminal.signal]);
    const draw = () => {
      this.#surface.frame = this.#progress(title, lines, signal.aborted);
    };
    const isSpoken = isForReader();
    const speak = () => {
      const words = lines(this.width, Number.POSITIVE_INFINITY).join("\n");
      if (words !== "") this.say(words);
    };
    this.hold();
    this.#keyboard.watcher = (name) => {
      if (name === "interrupt" || name === "escape") stop.abort();
      if (!isSpoken) draw();
    };
    if (isSpoken) this.say(`${title}. Esc or Ctrl-C: stop`);
    else draw();
    const timer = setInterval(isSpoken ? speak : draw, isSpoken ? SPOKEN_MS : FRAME_MS);
    try {
      return await task(signal);
    } finally {
      clearInterval(timer);
      this.#keyboard.watcher = undefined;
      this.#surface.frame = [];
      this.release();
    }
  }

  #progress(title: string, lines: (width: number, rows: number) => string[], stopping: boolean): string[] {
    const width = this.#surface.columns - 3;
    const side = `${colours.cyan(S_BAR)}  `;
    const keys = stopping ? "Stopping…" : "Esc or Ctrl-C: stop";
    return [
      colours.gray(S_BAR),
      `${colours.cyan(S_STEP_ACTIVE)}  ${fit(printable(title), width)}`,
      ...lines(width, this.#surface.rows - 5).map((line) => side + line),
      `${side}${colours.dim(fit(keys, width))}`,
      colours.cyan(S_BAR_END),
    ];
  }

  // -------------------------------------------------------------- the terminal

  get #output() {
    return { output: this.#surface };
  }

  /** A prompt's answer; undefined for Esc, which leaves nothing on the screen. Ctrl-C and the signal are a `CancelledError`. */
  async #answer<Answer>(ask: () => Promise<Answer>, stepBack = () => false): Promise<Exclude<Answer, symbol> | undefined> {
    const { signal } = this.#terminal;
    if (signal.aborted) throw new CancelledError();
    this.#keyboard.interrupted = false;
    this.#keyboard.escape = () => {
      if (stepBack()) return true;
      this.#surface.leaveNothing();
      return false;
    };
    this.hold();
    try {
      const answer = await orCancelled(ask(), signal);
      if (!isCancel(answer)) return answer as Exclude<Answer, symbol>;
      if (this.#keyboard.interrupted || signal.aborted) throw new CancelledError();
      return undefined;
    } finally {
      this.#keyboard.escape = undefined;
      this.release();
    }
  }

  #special(what: Special): void {
    if (what === "interrupt") this.#interrupt();
    else if (what === "redraw") this.#surface.redraw();
    else if (process.platform !== "win32") this.#suspend();
  }

  /** Ctrl-Z: the shell gets the terminal as it was. */
  #suspend(): void {
    this.#surface.erase();
    this.#keyboard.close();
    process.kill(process.pid, "SIGTSTP");
  }

  /** This program goes on after it was stopped. */
  #goOn(): void {
    this.#keyboard.open();
    this.#keyboard.reopen();
    this.#surface.redraw();
  }

  #wrapped(words: string): string {
    return words
      .split("\n")
      .flatMap((line) => wrap(printable(line), Math.max(LEAST_COLUMNS, this.#surface.columns - FRAME_COLUMNS)))
      .join("\n");
  }

  #short(words: string): string {
    return fit(printable(words), this.width);
  }
}

/** Whether a program reads the screen to the person, so that nothing may move on it. The package has the same rule. */
function isForReader(): boolean {
  return !["", "0", "false"].includes(process.env.ACCESSIBLE ?? "");
}
