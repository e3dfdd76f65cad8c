// Joins a tracker again when the connection is lost: where the tracker was, where it may be now, or at another tracker of its group.
// retries.ts decides when.

import { codeOf } from "../../error.ts";
import { NOT_SECURED } from "../../net/channel.ts";
import { ExcludedError } from "./exclusion.ts";
import type { KeptOut } from "./kept-out.ts";
import { Retries } from "./retries.ts";
import { RoomRefusal } from "./room.ts";
import type { SessionOptions, TrackerPlace } from "./session-types.ts";
import type { TrackerGroup } from "./tracker-group.ts";

/** After this number of failed retries the peer looks for the tracker at another address. */
const RETRIES_BEFORE_LOOKING = 2;

/** The session that joins again. */
interface RejoiningSession {
  isOnline(): boolean;
  hasLeft(): boolean;
  /** The key of the tracker at which this peer was online last. */
  key(): string | undefined;
  /** Joins the tracker at `place`. */
  join(): Promise<void>;
  /** Closes the connection that is not online yet. */
  giveUp(): void;
  /** The private room does not take this peer back. */
  shutOut(refusal: RoomRefusal): void;
}

export class Rejoining {
  readonly #options: Pick<SessionOptions, "find">;
  readonly #group: TrackerGroup;
  readonly #keptOut: KeptOut;
  readonly #session: RejoiningSession;
  readonly #retries: Retries;
  /** The tracker that this peer has joined last, or is joining. */
  place: TrackerPlace;
  /** Counts the retries that began or were given up: one that finds another number stops. */
  #attempt = 0;
  #busy = false;

  constructor(
    options: Pick<SessionOptions, "tracker" | "find" | "clock" | "random">,
    group: TrackerGroup,
    keptOut: KeptOut,
    session: RejoiningSession,
  ) {
    this.#options = options;
    this.#group = group;
    this.#keptOut = keptOut;
    this.#session = session;
    this.#retries = new Retries(options);
    this.place = options.tracker;
  }

  /** Whether a retry is going on. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Gives a function that tells whether no retry has begun, or was given up, since now. */
  mark(): () => boolean {
    const attempt = this.#attempt;
    return () => attempt === this.#attempt;
  }

  planRetry(): void {
    this.#retries.plan(this.#keptOut.wait, () => this.#retry());
  }

  /** The wait before the next retry is as short as before a first one. Plans none. */
  resetWait(): void {
    this.#retries.resetWait();
  }

  /** Gives up the retry that is planned or going on. */
  stop(): void {
    this.#attempt += 1;
    this.#busy = false;
    this.#retries.stop();
  }

  /** The tracker is away for long: this peer tries the others of its group now, whatever it waits for. */
  goElsewhere(): void {
    if (this.#session.isOnline() || this.#session.hasLeft() || this.#keptOut.isExcluded) return;
    this.#retries.stop();
    this.#session.giveUp();
    this.place = this.#group.current ?? this.place;
    this.#retry();
  }

  #retry(): void {
    this.#attempt += 1;
    const isCurrent = this.mark();
    this.#rejoin(isCurrent).catch((error: unknown) => {
      if (!isCurrent()) return;
      if (error instanceof ExcludedError) this.#keptOut.exclude(error.exclusion);
      this.#session.giveUp();
      if (this.#session.hasLeft()) return;
      // Another try at a private room would be a wrong key again.
      if (error instanceof RoomRefusal) {
        this.#session.shutOut(error);
        return;
      }
      if (codeOf(error) === NOT_SECURED) this.#keptOut.foundOpen();
      this.planRetry();
    });
  }

  async #rejoin(isCurrent: () => boolean): Promise<void> {
    this.#busy = true;
    try {
      for (const place of this.#group.takeElsewhere()) if (await this.#isAt(place, isCurrent)) return;
      if (this.#retries.count > RETRIES_BEFORE_LOOKING) {
        const group = this.#group.isGone ? this.#group.name : undefined;
        const found = (await this.#options.find?.(group).catch(() => undefined)) ?? [];
        // The session was left meanwhile; if it came back since then, that is another attempt.
        if (!isCurrent()) return;
        for (const place of found) if (await this.#isAt(place, isCurrent)) return;
      }
      await this.#session.join();
    } finally {
      if (isCurrent()) this.#busy = false;
    }
  }

  /** Joins the tracker where it may be now. False when it is not there: another one may announce itself by the same name. */
  async #isAt(place: TrackerPlace, isCurrent: () => boolean): Promise<boolean> {
    const before = this.place;
    const key = place.vouched || this.#group.isOther(place) ? place.key : this.#session.key();
    this.place = key ? { ...place, key } : place;
    try {
      await this.#session.join();
      return true;
    } catch (error) {
      if (!isCurrent()) throw error;
      this.place = before;
      return false;
    }
  }
}
