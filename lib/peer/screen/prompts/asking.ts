// Defines the questions that the guided prompts ask. A terminal answers them, or a test.

import type { Answer, ListOptions } from "../list-prompt.ts";

/** Says things to a person. */
interface Saying {
  readonly width: number;
  say(words: string): void;
  done(words: string): void;
  warn(words: string): void;
  /** Shows lines in a frame. They must be printable. */
  show(lines: string[], title: string): void;
}

/** Asks a person. A method gives undefined when the person goes back. Ctrl-C is a `CancelledError`. */
export interface Asking extends Saying {
  choose<Value extends string | number>(
    message: string,
    options: { value: Value; label: string }[],
    at?: Value,
  ): Promise<Value | undefined>;
  /** `usual`: what an empty line stands for. */
  line(
    message: string,
    hint: string,
    check: (answer: string) => string | undefined,
    usual?: string,
  ): Promise<string | undefined>;
  list<Row>(options: ListOptions<Row>, refresh?: (draw: () => void) => void): Promise<Answer<Row> | undefined>;
  /** Shows `words` until the task is over, if that takes more than a moment. */
  waitFor<Result>(words: string, task: Promise<Result>): Promise<Result>;
  /** Shows what `lines` gives until the task is over. The person can stop it. */
  during<Result>(
    title: string,
    lines: (width: number, rows: number) => string[],
    task: (stop: AbortSignal) => Promise<Result>,
  ): Promise<Result>;
}

/** Says things above a prompt that is open. */
export interface Telling {
  /** Sets the lines above the prompt. */
  live: string[];
  readonly rows: number;
  /** Says something that must not be missed, with a bell. */
  ring(words: string): void;
}
