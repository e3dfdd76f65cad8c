// Screen: where a command shows its results, remarks and progress, to a person or to a script.

import { err, measure, out } from "./cli.ts";
import type { FetchEvent } from "./fetch.ts";
import { formatEndpoint } from "./record.ts";
import { fit, jsonLine, printable } from "./text.ts";
import { Pace, progressLine } from "./view.ts";

/** What a person, or a script, is shown. */
export class Screen {
  readonly json: boolean;
  readonly #quiet: boolean;
  readonly #live: boolean;
  #progressShown = false;

  constructor({ json, quiet }: { json: boolean; quiet: boolean }) {
    this.json = json;
    this.#quiet = quiet;
    this.#live = !json && !quiet && process.stdout.isTTY === true && process.env.TERM !== "dumb";
  }

  get width(): number | undefined {
    return process.stdout.isTTY === true ? process.stdout.columns : undefined;
  }

  /** A result: a line of it for a person. */
  line(line: string): void {
    this.clearProgress();
    out(line);
  }

  /** Something that happened, a line for a person who watches. */
  event(words: string): void {
    if (!this.#quiet) this.line(printable(words));
  }

  object(value: object): void {
    out(jsonLine(value));
  }

  /** A remark, which is no result. */
  note(words: string): void {
    if (this.#quiet) return;
    this.clearProgress();
    err(printable(words));
  }

  error(message: string, code: string): void {
    this.clearProgress();
    if (this.json) this.object({ event: "error", code, message });
    else err(message);
  }

  /** One line that is written over; only on a terminal. */
  progress(words: string): void {
    if (!this.#live) return;
    process.stdout.write(`\r\x1b[2K${fit(words, (process.stdout.columns ?? 80) - 1, measure)}`);
    this.#progressShown = true;
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    process.stdout.write("\r\x1b[2K");
    this.#progressShown = false;
  }
}

/** Progress for a person every tenth of a second, for a script twice a second. */
export function progressReporter(screen: Screen): (event: FetchEvent) => void {
  const pace = new Pace();
  const every = screen.json ? 500 : 100;
  let last = Number.NEGATIVE_INFINITY;
  return (event) => {
    switch (event.event) {
      case "asking":
        screen.progress(`asking ${formatEndpoint(event.holder)}`);
        break;
      case "progress": {
        const now = performance.now();
        if (now - last < every) return;
        last = now;
        const rate = pace.rate(now, event.received);
        if (screen.json) screen.object(event);
        else screen.progress(progressLine(event.received, event.size, rate));
        break;
      }
      case "verifying":
        screen.progress("verifying");
        break;
      case "holder-failed":
        screen.note(`${formatEndpoint(event.holder)} failed: ${event.reason}.`);
        break;
      default:
        event satisfies never;
    }
  };
}
