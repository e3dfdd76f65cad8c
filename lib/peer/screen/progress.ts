// Lays out the progress of downloads in the prompts as lines: a bar for each, and a total for several. Writes nothing itself. The commands
// show the same events in screen.ts.

import { formatEndpoint } from "../../protocol/address.ts";
import { formatDuration, formatRate, formatSize, plural, printableName } from "../../text.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { holderName } from "../people/holder-name.ts";
import { columnsOf, fit, fitName } from "./columns.ts";
import { folderParts, Pace } from "./progress-line.ts";

/** The widest and the narrowest bar. Columns. */
const BAR = { most: 30, least: 8 };
/** The widest and the narrowest name beside a bar. Columns. */
const NAME = { most: 40, least: 8 };

/** One download, as its events tell of it. */
export class Transfer {
  readonly name: string;
  readonly size: number;
  readonly #pace = new Pace();
  received = 0;
  rate = 0;
  holders = 0;
  /** Only of a folder: how many of its files are complete. */
  files: { done: number; total: number } | undefined;
  /** What it does while no bytes come, as words; "" while they come. */
  phase = "waiting for its turn";
  /** Why holders failed that may be asked again, by their addresses. */
  readonly #failed = new Map<string, string>();
  #isVerified = false;
  /** It is over: how, as words. */
  over: string | undefined;

  constructor(name: string, size: number) {
    this.name = name;
    this.size = size;
  }

  /** `now` is in milliseconds. */
  hear(event: FetchEvent, now: number): void {
    if (event.event === "progress") {
      const { received, holders, files } = event;
      if (received > this.received) this.#failed.clear();
      Object.assign(this, { received, holders, files, rate: this.#pace.rate(now, received) });
      // Nobody sends anything: the line says why, not that the rate is 0.
      if (holders > 0 || this.#failed.size === 0) this.phase = "";
    } else {
      this.phase = this.#phaseOf(event) ?? this.phase;
      if (event.event === "away" || event.event === "silent" || event.event === "gone" || event.event === "waiting")
        this.rate = 0;
    }
  }

  #phaseOf(event: FetchEvent): string | undefined {
    if (event.event === "holder-failed") {
      this.#failed.set(formatEndpoint(event.holder), event.reason);
      const isNews = this.holders === 0 && !this.#isVerified;
      return !isNews ? undefined : `${holderName(event.holder)}: ${event.reason}; trying again`;
    }
    if (event.event === "verifying") this.#isVerified = true;
    if (event.event !== "asking") return phaseOf(event);
    const failed = this.#failed.get(formatEndpoint(event.holder));
    return `asking ${holderName(event.holder)}${failed === undefined ? "" : ` again: ${failed}`}`;
  }

  get secondsLeft(): number {
    return this.rate > 0 ? (this.size - this.received) / this.rate : Number.POSITIVE_INFINITY;
  }
}

function phaseOf(event: FetchEvent): string | undefined {
  switch (event.event) {
    case "checking":
      return `checking what is already here: ${formatSize(event.checked)} of ${formatSize(event.size)}`;
    case "waiting":
      return `${holderName(event.holder)} is busy; you are number ${event.position} in its queue`;
    case "away":
      return "lost the network; waiting for it to come back";
    case "silent":
      return `${holderName(event.holder)} is the only one with the rest and has stopped responding; waiting`;
    case "gone":
      return `${holderName(event.holder)} ${event.rereads ? "reads its file again, because it was changed; waiting" : "does not have the file any more; waiting if it comes back"}`;
    case "folder-changed":
      return "the folder was changed meanwhile: going on with what is in it now";
    case "verifying":
      return "verified; saving…";
    case "asking":
    case "progress":
    case "holder-failed":
    case "foreign-part":
      return undefined;
    default:
      return event satisfies never;
  }
}

/** The words of an amount, such as `0.5 s`, which stay on one line. */
export function unbroken(words: string): string {
  return words.replaceAll(" ", "\u00a0");
}

/** The parts of a line that fit, in their order. The first of `dropped` goes first; the others stay, cut if they are wider than `most`. */
export function fitParts(parts: [name: string, words: string][], dropped: string[], width: number, most = width): string {
  const line = (left: typeof parts) =>
    left
      .map(([, words]) => words)
      .filter((words) => words !== "")
      .join("  ");
  let left = parts;
  for (const name of dropped) {
    if (columnsOf(line(left)) <= width) break;
    left = left.filter(([one]) => one !== name);
  }
  return fit(line(left), most);
}

/** A bar of this width, filled to this part of it. */
export function bar(part: number, width: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, part)) * width);
  return "█".repeat(filled) + "░".repeat(width - filled);
}

/** One line of a folder's download: name, `3,120 of 10,000 files · 12.8 of 41 MB · from 2 · 0:12 left`. */
function folderLine({ name, size, received, rate, holders }: Transfer, files: { done: number; total: number }, width: number) {
  const parts = folderParts({ done: received, size, rate, holders, files });
  while (parts.length > 1 && columnsOf(parts.join(" · ")) > width - NAME.least - 2) parts.splice(-1 - Number(rate > 0), 1);
  const state = parts.join(" · ");
  return fit(`${fitName(printableName(name), Math.max(NAME.least, width - columnsOf(state) - 2))}  ${state}`, width);
}

/** One line of a download: name, bar, percent, rate, time left, and from how many. The time left is the last to go. */
export function transferLine(transfer: Transfer, width: number, hasBar = true): string {
  const { name, size, received, rate, holders, phase, over, secondsLeft, files } = transfer;
  if (files !== undefined && phase === "" && over === undefined) return folderLine(transfer, files, width);
  const percent = size === 0 ? 100 : Math.floor((received / size) * 100);
  const part = size === 0 ? 1 : received / size;
  const left = Number.isFinite(secondsLeft) ? `${formatDuration(secondsLeft)} left` : "";
  const words: [string, string][] =
    over !== undefined
      ? [["state", over]]
      : phase !== ""
        ? [
            ["percent", received > 0 ? `${percent} %` : ""],
            ["state", phase],
          ]
        : [
            ["percent", `${String(percent).padStart(3)} %`],
            ["rate", formatRate(rate)],
            ["left", left],
            ["from", holders > 1 ? `from ${holders}` : ""],
          ];
  const wide = phase === "" && over === undefined;
  const beside = wide ? BAR.least + NAME.least + 4 : NAME.least + 2;
  const state = fitParts(words, ["from", "rate"], width - beside, wide ? width : width - beside);
  const room = width - columnsOf(state) - 2;
  const shown = printableName(name);
  const most = wide ? Math.max(NAME.least, room - BAR.least - 2) : room;
  const nameWidth = Math.max(0, Math.min(NAME.most, columnsOf(shown), most, room));
  const barWidth = wide && hasBar ? Math.min(BAR.most, room - nameWidth - 2) : 0;
  const cells = [fitName(shown, nameWidth), ...(barWidth >= BAR.least ? [bar(part, barWidth)] : []), state];
  return fit(cells.filter((cell) => cell !== "").join("  "), width);
}

/** The lines of several downloads, and of all together. At most `rows` lines; without end for a reader of the screen, which reads no bar. */
export function transferLines(transfers: Transfer[], width: number, rows: number): string[] {
  const hasBar = Number.isFinite(rows);
  if (transfers.length < 2) return transfers.map((one) => transferLine(one, width, hasBar));
  const running = transfers.filter(({ over }) => over === undefined);
  const shown = [...running, ...transfers.filter(({ over }) => over !== undefined).reverse()].slice(0, Math.max(1, rows - 1));
  return [
    ...transfers.filter((one) => shown.includes(one)).map((one) => transferLine(one, width, hasBar)),
    totalLine(transfers, width),
  ];
}

function totalLine(transfers: Transfer[], width: number): string {
  const sum = (of: (one: Transfer) => number) => transfers.reduce((all, one) => all + of(one), 0);
  const size = sum((one) => one.size);
  const received = sum((one) => (one.over === undefined ? one.received : one.size));
  const rate = sum((one) => (one.over === undefined ? one.rate : 0));
  const done = transfers.filter(({ over }) => over !== undefined).length;
  const percent = size === 0 ? 100 : Math.floor((received / size) * 100);
  const parts: [string, string][] = [
    ["count", `${done} of ${plural(transfers.length, "file")}`],
    ["percent", `${percent} %`],
    ["bytes", `${formatSize(received)} of ${formatSize(size)}`],
    ["rate", formatRate(rate)],
    ["left", rate > 0 ? `${formatDuration((size - received) / rate)} left` : ""],
  ];
  return fitParts(parts, ["bytes", "rate", "count"], width);
}
