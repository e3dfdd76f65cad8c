// Tries whether a port takes a connection, and closes that at once. Tries the port of an FT/2 peer once, and that of an FT/1 peer
// regularly, because an FT/1 peer holds no connection that could tell when it goes. The caller hands in network and time.

import type { Clock } from "../clock.ts";
import { codeOf, sentenceOf } from "../error.ts";
import type { Dial } from "../net/channel.ts";

/** The most tries at the same time. Each costs a descriptor, and thousands of peers may join at once after a restart. */
const TRIES_AT_ONCE = 64;
/** A try fails after this time. Milliseconds. */
const TIMEOUT_MS = 3_000;
/** The most bytes that a try reads. Above it, the connection is closed. Bytes. */
const EXCESS = 4096;
/** The port of an FT/1 peer is tried for the first time after this time. Milliseconds. */
const FIRST_TRY_MS = 30_000;
/** The time between two tries of an FT/1 peer's port. Milliseconds. */
const NEXT_TRY_MS = 60_000;
/** An FT/1 peer is removed after this number of failed tries in a row. */
const FAILURES = 2;

/** The result of a try; `reason` is a clause for a person. */
export interface Reach {
  reachable: boolean;
  reason: string;
}

/** Tries ports: of FT/2 peers once, of FT/1 peers again and again. */
export class PortProber {
  readonly #dial: Dial;
  readonly #clock: Clock;
  readonly #queue: (() => void)[] = [];
  #running = 0;
  /** Cancels the next try of each FT/1 peer's port. */
  readonly #watched = new Map<string, () => void>();

  constructor(clock: Clock, dial: Dial) {
    this.#dial = dial;
    this.#clock = clock;
  }

  /** Tries a port once. Undefined when this program has no descriptor left for the try. */
  async reach(to: { address: string; port: number }): Promise<Reach | undefined> {
    if (this.#running >= TRIES_AT_ONCE) await new Promise<void>((go) => this.#queue.push(go));
    else this.#running += 1;
    try {
      const channel = await this.#dial(to, { timeoutMs: TIMEOUT_MS });
      channel.start({ data: () => undefined, close: () => this.#release() });
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
    const next = this.#queue.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
  /** Watches a peer; `onGone` is called once, when its port does not answer any more. */
  watch(id: string, to: { address: string; port: number }, onGone: () => void): void {
    const tryIn = (ms: number, failures: number) => {
      const cancel = this.#clock.after(ms, async () => {
        const reach = await this.reach(to);
        if (this.#watched.get(id) !== cancel) return;
        const failed = reach === undefined ? failures : reach.reachable ? 0 : failures + 1;
        if (failed < FAILURES) return tryIn(NEXT_TRY_MS, failed);
        this.#watched.delete(id);
        onGone();
      });
      this.#watched.set(id, cancel);
    };
    tryIn(FIRST_TRY_MS, 0);
  }

  /** Watches a peer no more. */
  forget(id: string): void {
    this.#watched.get(id)?.();
    this.#watched.delete(id);
  }

  /** Watches no peer any more. */
  stop(): void {
    for (const id of [...this.#watched.keys()]) this.forget(id);
  }
}
