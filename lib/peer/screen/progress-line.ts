// The rate of a download, and its progress as one line of text without a bar. progress.ts draws the bars.

import { formatDuration, formatRate, formatSize, plural } from "../../text.ts";

/** A rate is the average over this time, up to now. Milliseconds. */
const PACE_MS = 3_000;

/** The rate of a transfer over the last few seconds. */
export class Pace {
  readonly #samples: { at: number; bytes: number }[] = [];

  /** Bytes per second; `at` is the time now in milliseconds, `bytes` all bytes so far. */
  rate(at: number, bytes: number): number {
    // A download that starts again has a new rate.
    if (bytes < (this.#samples.at(-1)?.bytes ?? 0)) this.#samples.length = 0;
    this.#samples.push({ at, bytes });
    while (this.#samples.length > 2 && at - (this.#samples[0]?.at ?? at) > PACE_MS) this.#samples.shift();
    const first = this.#samples[0];
    return first === undefined || at === first.at ? 0 : ((bytes - first.bytes) * 1000) / (at - first.at);
  }
}

/** One line of progress: ` 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left  from 3 holders`. */
export function progressLine(
  done: number,
  size: number,
  rate: number,
  holders = 1,
  files?: { done: number; total: number },
): string {
  const percent = size === 0 ? 100 : Math.floor((done / size) * 100);
  if (files !== undefined) return folderParts({ done, size, rate, holders, files }).join(" · ");
  const left = rate > 0 ? `  ${formatDuration((size - done) / rate)} left` : "";
  const from = holders > 1 ? `  from ${plural(holders, "holder")}` : "";
  return `${String(percent).padStart(3)} %  ${formatSize(done)} of ${formatSize(size)}  ${formatRate(rate)}${left}${from}`;
}

/** The progress of a folder in parts: `3,120 of 10,000 files`, `12.8 of 41 MB`, `from 2`, `0:12 left`. */
export function folderParts(progress: {
  done: number;
  size: number;
  rate: number;
  holders: number;
  files: { done: number; total: number };
}): string[] {
  const { done, size, rate, holders, files } = progress;
  const [number = "", unit = ""] = formatSize(done).split(" ");
  const whole = formatSize(size);
  const received = whole.endsWith(` ${unit}`) ? number : `${number} ${unit}`;
  return [
    `${files.done.toLocaleString("en")} of ${files.total.toLocaleString("en")} files`,
    `${received} of ${whole}`,
    ...(holders > 1 ? [`from ${holders}`] : []),
    ...(rate > 0 ? [`${clockTime((size - done) / rate)} left`] : []),
  ];
}

/** A time as on a clock: `0:12`, `1:05:00`. */
function clockTime(seconds: number): string {
  const whole = Math.ceil(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const start = hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}` : String(minutes);
  return `${start}:${String(whole % 60).padStart(2, "0")}`;
}
