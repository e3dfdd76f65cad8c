// Remembers for an hour how many peers were online and how many downloads went on, for the plots of the web page.

import type { Clock } from "../../clock.ts";
import type { Sample } from "./plot.ts";

/** The time that is remembered. Milliseconds. */
export const HISTORY_MS = 3_600_000;
/** The numbers are noted each time this time has passed. Milliseconds. */
const EVERY_MS = 10_000;

export class History<Kind extends string> {
  readonly #clock: Clock;
  readonly #read: () => Record<Kind, number>;
  #samples: { at: number; values: Record<Kind, number> }[] = [];
  #cancel: () => void = () => {};

  /** `read` gives the present numbers. */
  constructor(clock: Clock, read: () => Record<Kind, number>) {
    this.#clock = clock;
    this.#read = read;
    this.#note();
  }

  /** One number over the last hour, the present one last. */
  of(kind: Kind): Sample[] {
    const now = { at: this.#clock.elapsed(), values: this.#read() };
    return [...this.#samples, now].map(({ at, values }) => ({ at, value: values[kind] }));
  }

  stop(): void {
    this.#cancel();
  }

  #note(): void {
    const now = this.#clock.elapsed();
    this.#samples = this.#samples.filter(({ at }) => at > now - HISTORY_MS);
    this.#samples.push({ at: now, values: this.#read() });
    this.#cancel = this.#clock.after(EVERY_MS, () => this.#note());
  }
}
