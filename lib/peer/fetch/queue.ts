// Our place in a holder's queue, and for how long waiting there is of use.

/** A holder that has put us into its queue is asked again after this time. Milliseconds. */
export const QUEUE_MS = 1_000;
/** A queue that does not move for this long is left if other holders can be asked. Milliseconds. */
const DULL_MS = 30_000;
/** A holder whose queue does not move for this long has failed. Milliseconds. */
const UNMOVED_MS = 600_000;
/** A holder that has given nothing but places in its queue for this long has failed. Milliseconds. */
const MOST_MS = 3_600_000;

/** Times are those of `RunningTime`, in milliseconds. */
export class QueuePlace {
  /** Since when the holder gives nothing but places. */
  #since: number | undefined;
  #best = Number.POSITIVE_INFINITY;
  /** When the place became better. */
  #advancedAt = 0;

  /** The holder said that it is busy. */
  take(position: number, now: number): void {
    this.#since ??= now;
    if (position >= this.#best) return;
    this.#best = position;
    this.#advancedAt = now;
  }

  /** A new connection begins at the end of the queue. */
  begin(): void {
    this.#best = Number.POSITIVE_INFINITY;
  }

  /** The holder gave something: the next waiting counts anew. */
  leave(): void {
    this.#since = undefined;
    this.begin();
  }

  /** Whether other holders are worth more. */
  isDull(now: number): boolean {
    return this.#since !== undefined && now - this.#advancedAt > DULL_MS;
  }

  /** Why waiting is of no use any more, as a clause; undefined when it is of use. */
  inVain(now: number): string | undefined {
    if (this.#since === undefined) return undefined;
    if (now - this.#advancedAt > UNMOVED_MS) return `its queue did not move for ${UNMOVED_MS / 60_000} minutes`;
    return now - this.#since > MOST_MS ? `it was busy for ${MOST_MS / 60_000} minutes` : undefined;
  }
}
