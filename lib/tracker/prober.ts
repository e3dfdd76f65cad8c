// Whether a port can be connected to: a bare connect and close, so many at a time. The network is handed in.

import { codeOf, sentenceOf } from "../error.ts";
import type { Dial } from "../net/channel.ts";

const AT_ONCE = 64;

const TIMEOUT_MS = 3_000;

/** Bytes that the other side may say before it is hung up on. */
const EXCESS = 4096;

/** What a try has told; `reason` is a clause for a person. */
export interface Reach {
  reachable: boolean;
  reason: string;
}

export class Prober {
  readonly #dial: Dial;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(dial: Dial) {
    this.#dial = dial;
  }

  /** Tries a port once; undefined when it is this program that could not. */
  async reach(to: { address: string; port: number }): Promise<Reach | undefined> {
    // Thousands may join at once after a restart; each of them costs a descriptor for up to the timeout.
    if (this.#running >= AT_ONCE) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
    try {
      const channel = await this.#dial(to, { timeoutMs: TIMEOUT_MS });
      channel.start({ data: () => undefined, close: () => this.#release() });
      // Who does not close is not waited for, and who talks is not listened to.
      channel.limit({ deadline: TIMEOUT_MS, excess: EXCESS });
      channel.finish();
      return { reachable: true, reason: "" };
    } catch (error) {
      this.#release();
      const cause = codeOf(error instanceof Error ? error.cause : undefined);
      return cause === "EMFILE" || cause === "ENFILE" ? undefined : { reachable: false, reason: sentenceOf(error) };
    }
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
