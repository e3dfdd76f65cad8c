// Tells when a file appears that somebody here waits for. It sets a watch at the tracker, and then searches for files that are there
// already. Where a tracker has no watches, it searches again and again.

import type { Clock } from "../../clock.ts";
import type { Watch } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";

/** Where the tracker has no watches, or is away, the next search comes after this time. Milliseconds. */
const ASK_AGAIN_MS = 5_000;

/** The files that somebody waits for: words and filters, or an exact name or content id. */
export type Want = Omit<Watch, "watch">;

interface WantsTools {
  /** Sets a watch at the tracker. False when the tracker has none: it is older, or speaks the basic protocol. Throws while it is away. */
  watch(watch: Watch): Promise<boolean>;
  unwatch(token: string): Promise<void>;
  /** The records that fit now. */
  look(want: Want): Promise<FileRecord[]>;
  /** Whether a record is this peer's own, or of a file that it has. */
  isOwn(record: FileRecord): boolean;
  clock: Clock;
}

/** One thing that is waited for. */
interface Waiting {
  token: string;
  want: Want;
  told(record: FileRecord): void;
  /** The contents that were told. */
  seen: Set<string>;
  cancel(): void;
}

export class Wants {
  readonly #tools: WantsTools;
  readonly #waiting = new Map<string, Waiting>();
  #last = 0;

  constructor(tools: WantsTools) {
    this.#tools = tools;
  }

  /** Calls `told` once for each content that fits, now and later. Gives a function that ends this. */
  add(want: Want, told: (record: FileRecord) => void): () => void {
    const token = `w${++this.#last}`;
    const one: Waiting = { token, want, told, seen: new Set(), cancel: () => {} };
    this.#waiting.set(token, one);
    void this.#ask(one);
    return () => {
      one.cancel();
      if (this.#waiting.delete(token)) this.#tools.unwatch(token).catch(() => undefined);
    };
  }

  /** This peer is online again: the tracker has forgotten its watches. */
  joined(): void {
    for (const one of this.#waiting.values()) void this.#ask(one);
  }

  /** The tracker tells of a record; without one, it has more than it says. */
  appeared({ watch, record }: { watch: string; record?: FileRecord }): void {
    const one = this.#waiting.get(watch);
    if (one === undefined) return;
    if (record !== undefined) this.#tell(one, record);
    else void this.#look(one).catch(() => this.#askLater(one));
  }

  stop(): void {
    for (const one of this.#waiting.values()) one.cancel();
    this.#waiting.clear();
  }

  /** Watches first and looks then, so that nothing is missed between the two. */
  async #ask(one: Waiting): Promise<void> {
    one.cancel();
    try {
      const tells = await this.#tools.watch({ ...one.want, watch: one.token });
      await this.#look(one);
      if (!tells) this.#askLater(one);
    } catch {
      // The tracker is away. It is asked when this peer is back, or a moment later.
      this.#askLater(one);
    }
  }

  #askLater(one: Waiting): void {
    one.cancel();
    if (!this.#waiting.has(one.token)) return;
    one.cancel = this.#tools.clock.after(ASK_AGAIN_MS, () => void this.#ask(one));
  }

  async #look(one: Waiting): Promise<void> {
    for (const record of await this.#tools.look(one.want)) this.#tell(one, record);
  }

  #tell({ token, seen, told }: Waiting, record: FileRecord): void {
    // An FT/2 holder that still computes the content id says the record again with it.
    if (record.part || (record.v2 && record.root === undefined) || this.#tools.isOwn(record)) return;
    const content = record.root ?? `${record.size} ${record.name}`;
    if (!this.#waiting.has(token) || seen.has(content)) return;
    seen.add(content);
    told(record);
  }
}
