// Makes this peer's offers at the tracker, and takes in the offers of others, each once. The tracker forgets the offers of a peer that is
// gone, so this peer makes them again each time it is back.

import type { Clock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import type { Offer } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { Allowance } from "../../rate.ts";

/** The most offers that are remembered as taken in. */
const REMEMBERED = 2_000;
/** This peer ignores offers above this rate. A tracker should send five a second at most. */
const TAKEN = { perSecond: 10, burst: 200 };

interface OffersTools {
  /** Makes an offer at the tracker. Throws a sentence when that is refused, or the tracker is away. */
  make(offer: Offer): Promise<void>;
  /** The records that others offer to this peer now. */
  look(): Promise<FileRecord[]>;
  /** Whether this peer has the content of a record, or is fetching it. It shows its own copy to those to whom this is offered. */
  has(record: FileRecord): boolean;
  /** Somebody offers this. */
  told(record: FileRecord): void;
  clock: Clock;
}

export class Offers {
  readonly #tools: OffersTools;
  readonly #made = new Map<string, Offer>();
  readonly #taken = new Set<string>();
  readonly #allowance: Allowance;

  constructor(tools: OffersTools) {
    this.#tools = tools;
    this.#allowance = new Allowance(TAKEN.perSecond, TAKEN.burst, tools.clock);
  }

  /** Makes an offer, or replaces the one with this token. Throws a sentence when the tracker refuses it. */
  async make(offer: Offer): Promise<void> {
    this.#made.set(offer.offer, offer);
    await this.#tools.make(offer);
  }

  /** Ends an offer: nobody is told of it any more. */
  end(token: string): void {
    const offer = this.#made.get(token);
    this.#made.delete(token);
    if (offer !== undefined) this.#tools.make({ ...offer, to: [] }).catch(() => undefined);
  }

  /** This peer is online again: the tracker has forgotten its offers. */
  joined(): void {
    for (const offer of this.#made.values()) this.#tools.make(offer).catch(() => undefined);
  }

  /** The tracker tells of an offer; without a record, it has more than it says. */
  offered({ record }: { record?: FileRecord | undefined }): void {
    if (record !== undefined) this.#take(record);
    else
      this.#tools.look().then(
        (records) => {
          for (const one of records) this.#take(one);
        },
        // The tracker is away. It tells again when this peer is back.
        () => undefined,
      );
  }

  /** An offer could not be fetched: when it is made again it counts as a new one. */
  forget(record: FileRecord): void {
    this.#taken.delete(keyOf(record));
  }

  #take(record: FileRecord): void {
    const key = keyOf(record);
    if (record.offer === undefined || record.root === undefined || this.#taken.has(key)) return;
    if (!this.#allowance.take()) return;
    const [first] = this.#taken;
    if (this.#taken.size >= REMEMBERED && first !== undefined) this.#taken.delete(first);
    this.#taken.add(key);
    if (!this.#tools.has(record)) this.#tools.told(record);
  }
}

function keyOf({ offer, root }: FileRecord): string {
  return `${offer} ${root}`;
}

/** The error of a peer that wants to hand out files at a tracker that cannot pass offers on. */
export function oldTracker(): FtError {
  const words =
    "The tracker there is of an older version and cannot hand out files. Share them with everybody: ft-peer share PATH...";
  return new FtError("old-tracker", words);
}
