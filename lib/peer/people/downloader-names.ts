// Gives the events of uploads the name of the downloader. Its pass says its id only, so the tracker is asked once for each downloader.

import { type Clock, sleep } from "../../clock.ts";
import type { PeerEvent } from "../events.ts";

/** An event waits for the name of its downloader no longer than this. Milliseconds. */
const PATIENCE_MS = 1_000;
/** The most downloaders whose names are remembered. */
const REMEMBERED = 1_000;

interface DownloaderNamesTools {
  /** The name of the peer with this id; undefined when it has none or when the tracker cannot say. */
  ask(id: string): Promise<string | undefined>;
  report(event: PeerEvent): void;
  clock: Clock;
}

/** Passes events on in their order. */
export class DownloaderNames {
  readonly #tools: DownloaderNamesTools;
  readonly #names = new Map<string, Promise<string | undefined>>();
  /** The number of events that wait for a name, or behind one that does. */
  #waiting = 0;
  /** Resolves when the last of these was passed on. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(tools: DownloaderNamesTools) {
    this.#tools = tools;
  }

  report(event: PeerEvent): void {
    const { report } = this.#tools;
    const naming = this.#named(event);
    if (naming === undefined && this.#waiting === 0) {
      report(event);
      return;
    }
    this.#waiting += 1;
    this.#last = Promise.all([naming, this.#last]).then(([named = event]) => {
      this.#waiting -= 1;
      report(named);
    });
  }

  /** Resolves when no event waits. */
  async settled(): Promise<void> {
    await this.#last;
  }

  /** The event with the name; undefined when it is of no downloader that can have one. */
  #named(event: PeerEvent): Promise<PeerEvent> | undefined {
    if (!("upload" in event)) return undefined;
    const { id, by: known } = event.upload;
    if (id === undefined || known !== undefined) return undefined;
    // The upload goes on meanwhile.
    const upload = { ...event.upload };
    return this.#nameOf(id).then((by) => ({ ...event, upload: by === undefined ? upload : { ...upload, by } }));
  }

  #nameOf(id: string): Promise<string | undefined> {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const { ask, clock } = this.#tools;
    const [oldest] = this.#names.keys();
    if (this.#names.size >= REMEMBERED && oldest !== undefined) this.#names.delete(oldest);
    const asked = Promise.race([ask(id).catch(() => undefined), sleep(clock, PATIENCE_MS).then(() => undefined)]);
    this.#names.set(id, asked);
    return asked;
  }
}
