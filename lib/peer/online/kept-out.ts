// Knows why this peer is offline although its tracker may be there, and tells its person once.

import type { FtError } from "../../error.ts";
import { ExcludedError, type Exclusion, waitFor } from "./exclusion.ts";
import type { SessionOptions } from "./session-types.ts";

export class KeptOut {
  readonly #options: Pick<SessionOptions, "clock" | "report">;
  /** The operator keeps this peer out. */
  #exclusion: Exclusion | undefined;
  #toldOpen = false;
  /** The reason why this peer has left, when its person did not ask for that. */
  leftBecause: FtError | undefined;

  constructor(options: Pick<SessionOptions, "clock" | "report">) {
    this.#options = options;
  }

  /** Whether the operator keeps this peer out. */
  get isExcluded(): boolean {
    return this.#exclusion !== undefined;
  }

  /** The time before this peer may try again. Milliseconds. */
  get wait(): number {
    return this.#exclusion === undefined ? 0 : waitFor(this.#exclusion, this.#options.clock.at());
  }

  /** The error of requests of a peer that is kept out, or has no file left. */
  get error(): FtError | undefined {
    if (this.leftBecause !== undefined || this.#exclusion === undefined) return this.leftBecause;
    return new ExcludedError(this.#exclusion, this.#options.clock.at());
  }

  /** The operator keeps this peer out. */
  exclude(exclusion: Exclusion): void {
    const before = this.#exclusion;
    this.#exclusion = exclusion;
    const { code, until } = exclusion;
    // The end is told to the second in one message and to the millisecond in the other.
    const isKnown = before?.code === code && Math.abs((before.until ?? 0) - (until ?? 0)) <= 1000;
    if (isKnown) return;
    const end = until === undefined ? {} : { until: new Date(until).toISOString() };
    this.#options.report({ event: "dismissed", code, ...end });
  }

  /** Another tracker may let this peer in. */
  forgetExclusion(): void {
    this.#exclusion = undefined;
  }

  /** Where the private room was, another program answers. The room may come back. */
  foundOpen(): void {
    if (this.#toldOpen) return;
    this.#toldOpen = true;
    const reason = "a program answers there that does not encrypt, as the private room did; nothing was sent to it";
    this.#options.report({ event: "away", reason });
  }

  /** This peer is online. */
  joined(): void {
    this.#exclusion = undefined;
    this.#toldOpen = false;
  }
}
