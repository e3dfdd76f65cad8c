// Writes the results, remarks and progress of a command, for a person or for a script.

import { err, measure, out } from "../../program/cli.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { fit, formatSize, jsonLine, printable } from "../../text.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { fetchEventObject, Pace, progressLine } from "./view.ts";

/** Standard output and error of one command; with `json` for a script, with `quiet` results and errors only. */
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

  /** An event, as a line for a person. */
  event(words: string): void {
    if (!this.#quiet) this.line(printable(words));
  }

  object(value: object): void {
    out(jsonLine(value));
  }

  /** A remark, to standard error. */
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

  /** A line that the next one overwrites; only on a terminal. */
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

/** Shows a download's events: to a person as a line that changes 10 times a second at most, to a script as an object every 500 ms. */
export function progressReporter(screen: Screen): (event: FetchEvent) => void {
  const pace = new Pace();
  const every = screen.json ? 500 : 100;
  let last = Number.NEGATIVE_INFINITY;
  let lastEvent = "";
  let wasWhole = false;
  return (event) => {
    const now = performance.now();
    // The beginning and the end of a phase are always shown.
    const whole = event.event === "progress" && event.received === event.size;
    const due = event.event !== lastEvent || now - last >= every || (whole && !wasWhole);
    wasWhole = whole;
    if (!due && event.event !== "holder-failed") return;
    if (event.event !== "asking") lastEvent = event.event;
    last = now;
    const rate = event.event === "progress" ? pace.rate(now, event.received) : 0;
    if (screen.json) {
      screen.object(fetchEventObject(event, rate));
      return;
    }
    switch (event.event) {
      case "asking":
        if (lastEvent === "") screen.progress(`asking ${formatEndpoint(event.holder)}`);
        break;
      case "checking":
        screen.progress(`checking what is already here: ${formatSize(event.checked)} of ${formatSize(event.size)}`);
        break;
      case "progress":
        screen.progress(progressLine(event.received, event.size, rate, event.holders));
        break;
      case "waiting":
        screen.progress(`${formatEndpoint(event.holder)} is busy: waiting at position ${event.position} of its queue`);
        break;
      case "away":
        screen.note("The network or the tracker is away, and nobody answers; waiting for it to come back.");
        break;
      case "silent":
        screen.note(`${formatEndpoint(event.holder)} has the rest and does not answer any more; waiting for it.`);
        break;
      case "verifying":
        screen.progress("verified; writing the last of it to the disk");
        break;
      case "holder-failed":
        screen.note(`${formatEndpoint(event.holder)} failed: ${event.reason}.`);
        break;
      default:
        event satisfies never;
    }
  };
}
