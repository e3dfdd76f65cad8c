// Screen: where a command shows its results, remarks and progress, to a person or to a script.

import { err, measure, out } from "../../program/cli.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { fit, formatSize, jsonLine, printable } from "../../text.ts";
import type { FetchEvent } from "../fetch/types.ts";
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

/** What a download is doing: for a person a line that is written over, for a script objects; not oftener than can be read. */
export function progressReporter(screen: Screen): (event: FetchEvent) => void {
  const pace = new Pace();
  const every = screen.json ? 500 : 100;
  let last = Number.NEGATIVE_INFINITY;
  let lastEvent = "";
  let wasWhole = false;
  return (event) => {
    const now = performance.now();
    // The beginning and the end of a phase are always told.
    const whole = event.event === "progress" && event.received === event.size;
    const due = event.event !== lastEvent || now - last >= every || (whole && !wasWhole);
    wasWhole = whole;
    if (!due && event.event !== "holder-failed") return;
    if (event.event !== "asking") lastEvent = event.event;
    last = now;
    switch (event.event) {
      case "asking":
        if (screen.json) screen.object({ event: event.event, address: event.holder.address, port: event.holder.port });
        else if (lastEvent === "") screen.progress(`asking ${formatEndpoint(event.holder)}`);
        break;
      case "checking":
        if (screen.json) screen.object(event);
        else screen.progress(`checking what is already here: ${formatSize(event.checked)} of ${formatSize(event.size)}`);
        break;
      case "progress": {
        const rate = pace.rate(now, event.received);
        if (screen.json) screen.object({ ...event, rate: Math.round(rate) });
        else screen.progress(progressLine(event.received, event.size, rate, event.holders));
        break;
      }
      case "waiting": {
        const { address, port } = event.holder;
        if (screen.json) screen.object({ event: event.event, address, port, position: event.position });
        else screen.progress(`${formatEndpoint(event.holder)} is busy: waiting at position ${event.position} of its queue`);
        break;
      }
      case "away":
        if (screen.json) screen.object(event);
        else screen.note("The network or the tracker is away, and nobody answers; waiting for it to come back.");
        break;
      case "silent": {
        const { address, port } = event.holder;
        if (screen.json) screen.object({ event: event.event, address, port });
        else screen.note(`${formatEndpoint(event.holder)} has the rest and does not answer any more; waiting for it.`);
        break;
      }
      case "verifying":
        if (screen.json) screen.object(event);
        else screen.progress("verified; writing the last of it to the disk");
        break;
      case "holder-failed": {
        const { address, port } = event.holder;
        if (screen.json) screen.object({ event: event.event, address, port, reason: event.reason });
        else screen.note(`${formatEndpoint(event.holder)} failed: ${event.reason}.`);
        break;
      }
      default:
        event satisfies never;
    }
  };
}
