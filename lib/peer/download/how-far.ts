// Tells the tracker how far a download is, so that others see it: now and then, and only when it has changed.

import type { Clock } from "../../clock.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { PieceSet } from "../content/pieces.ts";

/** The tracker is told how far a download is no more often than this. Milliseconds. */
const TELL_MS = 3_000;

/** The progress of one download, as its record says it. */
export class HowFar {
  readonly #record: FileRecord;
  readonly #have: PieceSet;
  readonly #tell: (record: FileRecord) => void;
  readonly #clock: Clock;
  #last: number;

  /** Tells the tracker of the record at once. It changes the record. */
  constructor(record: FileRecord, have: PieceSet, tell: (record: FileRecord) => void, clock: Clock) {
    this.#record = record;
    this.#have = have;
    this.#tell = tell;
    this.#clock = clock;
    this.#last = clock.elapsed();
    record.have = this.#percent;
    tell(record);
  }

  /** Something has arrived. */
  moved(): void {
    const now = this.#clock.elapsed();
    if (now - this.#last < TELL_MS || this.#record.have === this.#percent) return;
    this.#last = now;
    this.#record.have = this.#percent;
    this.#tell(this.#record);
  }

  get #percent(): number {
    const { count, total } = this.#have;
    return total === 0 ? 0 : Math.floor((count * 100) / total);
  }
}
