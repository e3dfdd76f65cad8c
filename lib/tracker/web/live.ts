// Keeps the open pages of browsers current, by server-sent events. Every EVERY_MS it makes each page again. If the page has changed, all
// browsers that have it open get it. So browsers at one page share the work of making it.

import type { Clock } from "../../clock.ts";
import type { Body } from "../../net/exchange.ts";

/** An open page is made again each time this time has passed. Milliseconds. */
const EVERY_MS = 2_000;
/** Something is sent at least this often, so that a browser that is gone is noticed. Milliseconds. */
const QUIET_MS = 20_000;
/** The most open pages that are kept current. The others stay as they were loaded. */
const MOST = 1_000;
/** The most open pages of one host that are kept current. A person has a few. */
const MOST_OF_HOST = 8;

/** An open page of a browser. */
interface OpenPage {
  /** The host of the browser. */
  readonly host: string;
  readonly body: Body;
  /** Gives the present inside of the page, or undefined when this host has no time left for it. */
  make(): Promise<string | undefined>;
}

interface Reader extends OpenPage {
  last: string;
  sentAt: number;
  /** A version is still being sent. A slow browser misses the versions that come meanwhile. */
  busy: boolean;
}

export class Live {
  readonly #clock: Clock;
  readonly #pages = new Map<string, Set<Reader>>();
  readonly #ofHosts = new Map<string, number>();
  #count = 0;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keeps a page current from now on. False when too many are kept current already. Pages with one key are the same. */
  follow(key: string, follower: OpenPage): boolean {
    const { host, body } = follower;
    if (this.#count >= MOST || (this.#ofHosts.get(host) ?? 0) >= MOST_OF_HOST) return false;
    const readers = this.#pages.get(key) ?? new Set();
    const reader = { ...follower, last: "", sentAt: this.#clock.elapsed(), busy: false };
    this.#pages.set(key, readers);
    readers.add(reader);
    this.#add(host, 1);
    body.whenOver(() => {
      if (readers.delete(reader)) this.#add(host, -1);
      if (readers.size === 0 && this.#pages.get(key) === readers) this.#pages.delete(key);
    });
    this.#cancel ??= this.#clock.after(EVERY_MS, () => void this.#tell());
    return true;
  }

  stop(): void {
    this.#cancel?.();
    for (const readers of this.#pages.values()) for (const { body } of readers) body.end();
  }

  #add(host: string, count: 1 | -1): void {
    this.#count += count;
    const ofHost = (this.#ofHosts.get(host) ?? 0) + count;
    if (ofHost > 0) this.#ofHosts.set(host, ofHost);
    else this.#ofHosts.delete(host);
  }

  async #tell(): Promise<void> {
    for (const readers of [...this.#pages.values()]) {
      const text = await newest(readers);
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

/** One host makes the page for all. The next one does when the first has no time left: its requests must not keep the page from others. */
async function newest(readers: ReadonlySet<Reader>): Promise<string | undefined> {
  const byHost = new Map([...readers].map((reader) => [reader.host, reader]));
  for (const { make } of byHost.values()) {
    const text = await make();
    if (text !== undefined) return text;
  }
  return undefined;
}
