// A program on a pseudo-terminal, used as a person uses it: keys go in, and what could be read on the screen is waited for.

/** Text that does not come within this time never comes. Milliseconds; a test has 60 s. */
const PATIENCE_MS = 50_000;

export const KEY = {
  up: "\x1b[A",
  down: "\x1b[B",
  enter: "\r",
  space: " ",
  escape: "\x1b",
  ctrlC: "\x03",
  ctrlZ: "\x1a",
  /** The keys of the guided prompts. */
  online: "\x0f",
  shared: "\x13",
  settings: "\x14",
  leave: "\x18",
  otherFolder: "\x0f",
  asOne: "\x06",
} as const;

/** The bits of a terminal's local flags that raw mode takes away. */
const ISIG = 0o1;
const ICANON = 0o2;
const ECHO = 0o10;
const COOKED = ISIG | ICANON | ECHO;

/** Marks that a list's chosen line begins with. */
const ACTIVE_LINE = /● ([^\n]*)\n/;
const ACTIVE_LINES = /● ([^\n]*)\n/g;

export class Screen {
  readonly #child: Bun.Subprocess;
  readonly #ended = Promise.withResolvers<void>();
  #seen = 0;
  #over = false;
  #changed: () => void = () => {};
  /** Everything the program wrote to its terminal, escape sequences and all. */
  raw = "";

  constructor(
    command: string[],
    { cwd, env, columns = 80, rows = 24 }: { cwd: string; env: Record<string, string>; columns?: number; rows?: number },
  ) {
    const decoder = new TextDecoder();
    const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, CI: _ci, ...inherited } = process.env;
    this.#child = Bun.spawn(command, {
      cwd,
      env: { ...inherited, TERM: "xterm-256color", ...env },
      terminal: {
        cols: columns,
        rows,
        data: (_, bytes) => {
          this.raw += decoder.decode(bytes, { stream: true });
          this.#changed();
        },
        exit: () => this.#end(),
      },
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The exit code, once everything that was written is here. */
  get exited(): Promise<number> {
    return this.#child.exited.then(async (code) => {
      await this.#ended.promise;
      return code;
    });
  }

  /** What could be read, one after the other: no colours; wherever the cursor was moved to, a new line begins. */
  get text(): string {
    return (
      this.raw
        // The rest of a sequence that is cut here has yet to come.
        .replace(/\x1b(?:\[[\d;?]*)?$/, "")
        .replace(/\x1b\[[\d;]*m/g, "")
        .replace(/\x1b\[\?\d+[hl]/g, "")
        .replace(/\x1b\[[\d;]*[A-Za-z]/g, "\n")
        .replace(/\r\n?/g, "\n")
    );
  }

  /** What was read behind the last match. */
  get unread(): string {
    return this.text.slice(this.#seen);
  }

  /** How many columns the longest line that was written takes. */
  get widest(): number {
    return Math.max(...this.text.split("\n").map((line) => Bun.stringWidth(line)));
  }

  /** Whether lines are edited and echoed by the terminal and Ctrl-C is a signal, as a shell expects it. */
  get cooked(): boolean {
    return ((this.#child.terminal?.localFlags ?? 0) & COOKED) === COOKED;
  }

  /** Whether the cursor is shown. */
  get cursorShown(): boolean {
    return this.raw.lastIndexOf("\x1b[?25l") <= this.raw.lastIndexOf("\x1b[?25h");
  }

  /** The window gets another size. */
  resize(columns: number, rows: number): void {
    this.#child.terminal?.resize(columns, rows);
  }

  press(...keys: string[]): void {
    this.#child.terminal?.write(keys.join(""));
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#child.kill(signal);
  }

  /** The terminal goes away, as when its window is closed; the program may live on. */
  hangUp(): void {
    this.#child.terminal?.close();
    this.#end();
  }

  async close(): Promise<void> {
    this.kill();
    await this.#child.exited;
    this.hangUp();
  }

  /**
   * The next match in what can be read behind the last one; fails with all that was there. A text is found however its words
   * are broken into lines.
   */
  async waitFor(wanted: RegExp | string): Promise<RegExpExecArray> {
    const pattern = typeof wanted === "string" ? wordsOf(wanted) : wanted;
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const match = pattern.exec(this.unread);
      if (match !== null) {
        this.#seen += match.index + match[0].length;
        return match;
      }
      await this.#more(until, wanted);
    }
  }

  /** Waits until the chosen line of the list that is shown begins with `label`, and takes it. */
  async take(label: string): Promise<void> {
    const until = Date.now() + PATIENCE_MS;
    while (!this.#active.startsWith(label)) await this.#more(until, `"${label}" as the chosen line`);
    this.press(KEY.enter);
  }

  /** In the list that comes next: goes down to the line that begins with `label` and takes it. Gives the whole line. */
  async choose(label: string): Promise<string> {
    const passed: string[] = [];
    for (;;) {
      const [, line = ""] = await this.waitFor(ACTIVE_LINE);
      if (line.startsWith(label)) {
        this.press(KEY.enter);
        return line;
      }
      if (line === passed[0]) throw new Error(`No "${label}" among ${passed.join(" | ")}.`);
      passed.push(line);
      this.press(KEY.down);
    }
  }

  /** The line that was last shown as the chosen one. */
  get #active(): string {
    return [...this.text.matchAll(ACTIVE_LINES)].at(-1)?.[1] ?? "";
  }

  async #more(until: number, wanted: RegExp | string): Promise<void> {
    if (Date.now() >= until || this.#over) {
      throw new Error(`${wanted} did not come (exit code ${this.#child.exitCode}); there was:\n${this.unread}`);
    }
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#changed = resolve;
      }),
      Bun.sleep(until - Date.now()),
    ]);
  }

  #end(): void {
    this.#over = true;
    this.#ended.resolve();
    this.#changed();
  }
}

/** Words with any white space, and the frame at a line's beginning, between them. */
function wordsOf(text: string): RegExp {
  return new RegExp(text.split(/ +/).map(RegExp.escape).join("(?:\\s+│)?\\s+"));
}
