// Writes the results, remarks and progress of a command, for a person or for a script.

import { err, out } from "../../program/cli.ts";
import { formatSize, jsonLine, printable } from "../../text.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { holderWithAddress } from "../people/holder-name.ts";
import { columnsOf, fit } from "./columns.ts";
import { fetchEventObject } from "./event-words.ts";
import { Pace, progressLine } from "./progress-line.ts";

/** Things beside the sentence of an error: contents to choose from, as objects and as printable lines, and the file that it is about. */
interface MoreOfError {
  choices?: object[] | undefined;
  lines?: string[] | undefined;
  about?: object;
}

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

  /** Results: objects for a script, or lines for a person. */
  results(results: (object | string)[]): void {
    this.clearProgress();
    for (const one of results) out(typeof one === "string" ? one : jsonLine(one));
  }

  /** An event, as a line for a person. */
  event(words: string): void {
    if (this.#quiet) return;
    this.clearProgress();
    out(printable(words));
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

  /** An error. */
  error(message: string, code: string, more?: MoreOfError): void {
    this.clearProgress();
    const { choices, about } = more ?? {};
    if (this.json) this.object({ event: "error", ...about, code, message, ...(choices && { choices }) });
    else for (const line of [message, ...(more?.lines ?? [])]) err(line);
  }

  /** A line that the next one overwrites; only on a terminal. */
  progress(words: string): void {
    if (!this.#live) return;
    process.stdout.write(`\r\x1b[2K${narrowed(words, (process.stdout.columns ?? 80) - 1)}`);
    this.#progressShown = true;
  }

  /** A person has typed Enter behind the line, which stays. */
  answered(): void {
    this.#progressShown = false;
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    process.stdout.write("\r\x1b[2K");
    this.#progressShown = false;
  }
}

/** The parts of a line of progress that go first where it is too wide: from how many, the rate, the bytes. The time left stays. */
const SPARE_PARTS = [/ {2}from [^ ]+ holders$/, / {2}[\d.]+ [kMGTP]?B\/s/, / {2}[\d.]+ [kMGTP]?B of [\d.]+ [kMGTP]?B/];

/** A line of progress that fits: without its spare parts, and cut only if that is not enough. */
function narrowed(line: string, width: number): string {
  let short = line;
  for (const part of SPARE_PARTS) if (columnsOf(short) > width) short = short.replace(part, "");
  return fit(short, width);
}

/**
 * Shows a download's events: to a person as a line that changes 10 times a second at most, to a script as an object every 500 ms, to which
 * `about` is added.
 */
export function progressReporter(screen: Screen, about: object = {}): (event: FetchEvent) => void {
  const pace = new Pace();
  const every = screen.json ? 500 : 100;
  let last = Number.NEGATIVE_INFINITY;
  let lastEvent = "";
  let wasWhole = false;
  const failed = new Set<string>();
  return (event) => {
    const now = performance.now();
    // The beginning and the end of a phase are always shown.
    const whole = event.event === "progress" && event.received === event.size;
    const due = event.event !== lastEvent || now - last >= every || (whole && !wasWhole);
    wasWhole = whole;
    if (!due && event.event !== "holder-failed") return;
    if (event.event !== "asking" && event.event !== "foreign-part") lastEvent = event.event;
    last = now;
    const rate = event.event === "progress" ? pace.rate(now, event.received) : 0;
    if (screen.json) return screen.object({ ...fetchEventObject(event, rate), ...about });
    const holder = "holder" in event ? holderWithAddress(event.holder) : "";
    switch (event.event) {
      case "foreign-part":
        return screen.note(`"${event.path}" belongs to another user and is not used: the part file has another name.`);
      case "asking":
        // While others send, their progress says more.
        if (lastEvent !== "" && lastEvent !== "holder-failed") return;
        return screen.progress(`asking ${holder}${failed.has(holder) ? " again" : ""}`);
      case "checking":
        return screen.progress(`checking what is already here: ${formatSize(event.checked)} of ${formatSize(event.size)}`);
      case "progress":
        return screen.progress(progressLine(event.received, event.size, rate, event.holders, event.files));
      case "waiting":
        return screen.progress(`${holder} is busy; you are number ${event.position} in its queue`);
      case "away":
        return screen.note("Lost the network; waiting for it to come back.");
      case "silent":
        return screen.note(`${holder} has stopped responding and is the only one with the rest. Waiting…`);
      case "gone":
        return screen.note(
          event.rereads
            ? `${holder} reads its file again, because something about it has changed. Waiting…`
            : `${holder} does not have the file now, and nobody else has the rest. Waiting some seconds…`,
        );
      case "folder-changed":
        return screen.note("The folder was changed meanwhile: going on with what is in it now.");
      case "verifying":
        return screen.progress("Verified. Saving…");
      case "holder-failed":
        failed.add(holder);
        return screen.note(`${holder} failed: ${event.reason}.`);
      default:
        event satisfies never;
    }
  };
}
