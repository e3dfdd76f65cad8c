// Upload slots, and the queue for them. Knows no connection and no file: who asks again in time keeps the place.

import type { Clock } from "../../clock.ts";

export const DEFAULT_SLOTS = 8;

/** While others wait, a slot is somebody else's after this long. */
export const TURN_MS = 10_000;

/** A slot that is not used for this long is free for who waits. */
const IDLE_MS = 2_000;

/** Who gave way takes no slot from others for this long, */
const AGAIN_MS = 1_000;

/** and a place in the queue whose owner does not ask any more is gone. */
const FORGOTTEN_MS = 10_000;

/** One connection's claim to a slot. */
export interface Seat {
  /** Who it is for: of several seats of one downloader, those without a slot wait behind everybody who has none. */
  readonly who: string;
}

interface Place {
  since: number;
  askedAt: number;
  /** Bytes are on their way: it cannot be idle. */
  busy: boolean;
  /** It has had a turn. */
  served: boolean;
}

/** Who may upload now and who comes next. */
export class Slots {
  readonly #count: number;
  readonly #clock: Clock;
  readonly #holding = new Map<Seat, Place>();
  readonly #waiting = new Map<Seat, Place>();

  constructor(count: number, clock: Clock) {
    this.#count = count;
    this.#clock = clock;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** 0 when the seat has a slot now; else its position in the queue, from 1. To be asked before each request. */
  ask(seat: Seat): number {
    const now = this.#clock.at();
    for (const [other, { askedAt }] of this.#waiting) {
      if (other !== seat && now - askedAt > FORGOTTEN_MS) this.#waiting.delete(other);
    }
    const held = this.#holding.get(seat);
    if (held !== undefined) {
      held.askedAt = now;
      if (!this.#isTurnOver(seat, held, now)) return 0;
      this.#holding.delete(seat);
    }
    const queued = this.#waiting.get(seat) ?? { since: now, askedAt: now, busy: false, served: held !== undefined };
    queued.askedAt = now;
    this.#waiting.set(seat, queued);
    const position = this.#inOrder().indexOf(seat) + 1;
    if (position > this.#free) {
      const unused = this.#unused(seat, queued, now);
      const [first] = unused;
      if (first === undefined || position > this.#free + unused.length) return position;
      this.#holding.delete(first);
    }
    this.#waiting.delete(seat);
    this.#holding.set(seat, { since: now, askedAt: now, busy: false, served: true });
    return 0;
  }

  /** Bytes begin, or end, to go out on this seat. */
  use(seat: Seat, busy: boolean): void {
    const place = this.#holding.get(seat);
    if (place === undefined) return;
    place.busy = busy;
    place.askedAt = this.#clock.at();
  }

  /** The connection is over. */
  leave(seat: Seat): void {
    this.#holding.delete(seat);
    this.#waiting.delete(seat);
  }

  get #free(): number {
    return this.#count - this.#holding.size;
  }

  /**
   * Whether who had a slot for long enough has to let somebody else have it: one who waits, has fewer slots, and has not had a turn
   * just now; otherwise those who gave way would chase out everybody after them.
   */
  #isTurnOver({ who }: Seat, { since }: Place, now: number): boolean {
    if (now - since < TURN_MS) return false;
    const slots = this.#slotsOf();
    const own = slots.get(who) ?? 0;
    let takers = 0;
    for (const [other, place] of this.#waiting) {
      if (isDue(place, now) && (slots.get(other.who) ?? 0) < own) takers += 1;
    }
    return takers > this.#free;
  }

  /** Who makes room for a seat without noticing: slots that nobody uses, and those between two requests whose turn is over. */
  #unused(seat: Seat, place: Place, now: number): Seat[] {
    const slots = this.#slotsOf();
    const own = slots.get(seat.who) ?? 0;
    const due = isDue(place, now);
    return [...this.#holding].flatMap(([other, { since, askedAt, busy }]) => {
      const over = due && now - since >= TURN_MS && (slots.get(other.who) ?? 0) > own;
      return !busy && (over || now - askedAt >= IDLE_MS) ? [other] : [];
    });
  }

  #slotsOf(): Map<string, number> {
    const slots = new Map<string, number>();
    for (const { who } of this.#holding.keys()) slots.set(who, (slots.get(who) ?? 0) + 1);
    return slots;
  }

  /** Who has fewest slots first, then who came first. */
  #inOrder(): Seat[] {
    const slots = this.#slotsOf();
    return [...this.#waiting]
      .sort(([a, placeA], [b, placeB]) => (slots.get(a.who) ?? 0) - (slots.get(b.who) ?? 0) || placeA.since - placeB.since)
      .map(([seat]) => seat);
  }
}

/** Who gave way a moment ago does not chase out the next one. */
function isDue({ served, since }: Place, now: number): boolean {
  return !served || now - since >= AGAIN_MS;
}
