// Limits the lines that a program writes to its log: in a flood it passes on the first few lines, then a number. Without it a
// stranger could fill the disk, or hide one line among thousands.

import type { Clock } from "./clock.ts";

/** The limits below hold for a period of this length, which begins with its first line. Milliseconds. */
const PERIOD_MS = 10_000;
/** The most lines in a period, of one kind from one address, that are told one by one. */
const OF_ONE_KIND = 10;
/** The most lines in a period from one address that are told one by one. */
const FROM_ONE_ADDRESS = 20;
/** The most lines in a period that are told one by one, of all kinds and addresses. Together with the numbers about ten per second. */
const IN_ALL = 80;
/** The most addresses that get a number of their own at the end of a period. Further addresses share one number for each kind. */
const NUMBERS = 10;

/** The lines that were not told one by one; `several`: not all of them came from the address of the line that stands for them. */
export interface More {
  count: number;
  several: boolean;
}

export class Damper<Line> {
  readonly #tell: (line: Line, more?: More) => void;
  readonly #clock: Clock;
  #began = Number.NEGATIVE_INFINITY;
  /** How many lines were told of each kind and address, and of each address. */
  readonly #told = new Map<string, number>();
  #all = 0;
  readonly #held = new Map<string, { last: Line; more: More }>();
  #cancel: (() => void) | undefined;

  /** `tell` gets a line, or the last line of a kind with the number of those like it that it did not get. */
  constructor(tell: (line: Line, more?: More) => void, clock: Clock) {
    this.#tell = tell;
    this.#clock = clock;
  }

  /** `kind` is a word of this program, never a stranger's; `from` is the address, or the network, that the line is about. */
  tell(kind: string, from: string, line: Line): void {
    if (this.#clock.elapsed() - this.#began >= PERIOD_MS) this.flush();
    const both = `${kind} ${from}`;
    const [ofKind, ofAddress] = [this.#told.get(both) ?? 0, this.#told.get(from) ?? 0];
    if (ofKind >= OF_ONE_KIND || ofAddress >= FROM_ONE_ADDRESS || this.#all >= IN_ALL) {
      this.#hold(kind, both, line);
      return;
    }
    this.#told.set(both, ofKind + 1).set(from, ofAddress + 1);
    this.#all += 1;
    this.#tell(line);
  }

  /** Tells the numbers, and begins a new period. A program that ends calls this. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const held = [...this.#held.values()];
    this.#held.clear();
    this.#told.clear();
    this.#all = 0;
    this.#began = this.#clock.elapsed();
    for (const { last, more } of held) this.#tell(last, more);
  }

  #hold(kind: string, both: string, line: Line): void {
    this.#cancel ??= this.#clock.after(this.#began + PERIOD_MS - this.#clock.elapsed(), () => this.flush());
    const several = !this.#held.has(both) && this.#held.size >= NUMBERS;
    const key = several ? kind : both;
    const count = (this.#held.get(key)?.more.count ?? 0) + 1;
    this.#held.set(key, { last: line, more: { count, several: several && count > 1 } });
  }
}
