// Reads lines that a person types while a command shows its events. The terminal stays as it is: Ctrl-C and editing work as in a shell.

import { hasTerminal } from "./terminal.ts";

/** Whether a person can be asked: there is a terminal, and this program is not in the background of a shell, where reading would stop it. */
export function canAskHere(): boolean {
  return hasTerminal() && isInForeground();
}

/** `ps` marks the processes in the foreground of their terminal with `+`. */
function isInForeground(): boolean {
  if (process.platform === "win32") return true;
  try {
    const { stdout, exitCode } = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(process.pid)], { stderr: "ignore" });
    return exitCode !== 0 || stdout.toString().includes("+");
  } catch {
    return true;
  }
}

export class TypedLines {
  readonly #input: NodeJS.ReadStream;
  #text = "";
  #ended = false;
  #waiting: ((line: string | undefined) => void) | undefined;
  readonly #data = (chunk: Buffer | string) => this.#take(String(chunk));

  constructor(input: NodeJS.ReadStream, signal: AbortSignal) {
    this.#input = input;
    const end = () => this.#end();
    for (const event of ["end", "error"]) input.once(event, end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  }

  /** No line will come any more: the input has ended, as after Ctrl-D. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Begins to read. A line that was typed before the first question is no answer to it. */
  open(): void {
    if (this.#ended) return;
    this.#input.on("data", this.#data);
    this.#input.resume();
  }

  /** The next line that is typed from now on; undefined when there will be none. */
  next(): Promise<string | undefined> {
    if (this.#ended) return Promise.resolve(undefined);
    this.#text = "";
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Reads nothing until the next question. */
  rest(): void {
    this.#input.off("data", this.#data);
    this.#input.pause();
  }

  #take(chunk: string): void {
    this.#text += chunk;
    const end = this.#text.search(/[\r\n]/);
    if (end >= 0) this.#give(this.#text.slice(0, end));
  }

  #give(line: string | undefined): void {
    this.#waiting?.(line);
    this.#waiting = undefined;
  }

  #end(): void {
    this.#ended = true;
    this.rest();
    this.#give(undefined);
  }
}
