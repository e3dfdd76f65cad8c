// Keeps open pages current: makes each anew every now and then, and sends it to the browsers that have it open when it has changed
// (server-sent events). All browsers at one page share the work.

import type { Clock } from "../../clock.ts";
import type { Body } from "../../net/exchange.ts";

/** An open page is made again each time this time has passed. Milliseconds. */
const EVERY_MS = 2_000;
/** Something is sent at least this often, so that a browser that is gone is noticed. Milliseconds. */
const QUIET_MS = 20_000;
/** The most open pages that are kept current. The others stay as they were loaded. */
const MOST = 1_000;

interface Reader {
  readonly body: Body;
  last: string;
  sentAt: number;
  /** A part is being sent: a slow browser misses versions in between. */
  busy: boolean;
}

export class Live {
  readonly #clock: Clock;
  readonly #pages = new Map<string, { make: () => Promise<string | undefined>; readers: Set<Reader> }>();
  #count = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Whether one more page may be kept current. `make` gives the present inside of the page, or undefined when there is no time for it now.
   * Pages with one key are the same.
   */
  follow(key: string, make: () => Promise<string | undefined>, body: Body): boolean {
    if (this.#count >= MOST) return false;
    const page = this.#pages.get(key) ?? { make, readers: new Set() };
    const reader = { body, last: "", sentAt: this.#clock.elapsed(), busy: false };
    this.#pages.set(key, page);
    page.readers.add(reader);
    this.#count += 1;
    body.whenOver(() => {
      if (page.readers.delete(reader)) this.#count -= 1;
      if (page.readers.size === 0) this.#pages.delete(key);
    });
    this.#cancel ??= this.#clock.after(EVERY_MS, () => void this.#tell());
    return true;
  }

  stop(): void {
    this.#cancel?.();
    for (const { readers } of this.#pages.values()) for (const { body } of readers) body.end();
  }

  async #tell(): Promise<void> {
    for (const { make, readers } of [...this.#pages.values()]) {
      const text = await make();
      for (const reader of readers) void this.#send(reader, text);
    }
    this.#cancel = this.#pages.size === 0 ? undefined : this.#clock.after(EVERY_MS, () => void this.#tell());
  }

  async #send(reader: Reader, text: string | undefined): Promise<void> {
    const now = this.#clock.elapsed();
    const isNews = text !== undefined && text !== reader.last;
    if (reader.busy || (!isNews && now - reader.sentAt < QUIET_MS)) return;
    reader.busy = true;
    reader.sentAt = now;
    if (isNews) reader.last = text;
    await reader.body.write(isNews ? `data: ${JSON.stringify(text)}\n\n` : ": still here\n\n");
    reader.busy = false;
  }
}
