// Upload slots, and the queue for them. Knows no connection and no file: who asks again in time keeps the place.

import type { Clock } from "./clock.ts";

export const DEFAULT_SLOTS = 8;
/** While others wait, a slot is somebody else's after this long. */
export const TURN_MS = 10_000;
/** A slot that is not used for this long is free for who waits, */
const IDLE_MS = 2_000;
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
    const held = this.#holding.get(seat);
    if (held !== undefined) held.askedAt = now;
    const queued = this.#waiting.get(seat);
    if (queued !== undefined) queued.askedAt = now;
    this.#tidy(now);
    if (this.#holding.has(seat)) return 0;
    if (!this.#waiting.has(seat)) this.#waiting.set(seat, { since: now, askedAt: now, busy: false });
    const position = this.#inOrder().indexOf(seat) + 1;
    if (position > this.#count - this.#holding.size) return position;
    this.#waiting.delete(seat);
    this.#holding.set(seat, { since: now, askedAt: now, busy: false });
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

  #tidy(now: number): void {
    for (const [seat, place] of this.#waiting) if (now - place.askedAt > FORGOTTEN_MS) this.#waiting.delete(seat);
    let takers = this.#waiting.size - (this.#count - this.#holding.size);
    for (const [seat, { since, askedAt, busy }] of this.#holding) {
      if (takers <= 0) return;
      // A body under way is not cut short; its turn ends with it.
      if (busy || (now - since < TURN_MS && now - askedAt < IDLE_MS)) continue;
      this.#holding.delete(seat);
      takers -= 1;
    }
  }

  /** Who has fewest slots first, then who came first. */
  #inOrder(): Seat[] {
    const slots = new Map<string, number>();
    for (const { who } of this.#holding.keys()) slots.set(who, (slots.get(who) ?? 0) + 1);
    return [...this.#waiting]
      .sort(([a, placeA], [b, placeB]) => (slots.get(a.who) ?? 0) - (slots.get(b.who) ?? 0) || placeA.since - placeB.since)
      .map(([seat]) => seat);
  }
}
