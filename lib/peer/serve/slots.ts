// Fairness between downloaders: upload slots, and the queue for them. It decides which connection may have bytes now and which is next;
// it knows no channel and no file. The limit on bytes a second is in upload.ts.

import type { Clock } from "../../clock.ts";

/** The most uploads at once, unless an option says otherwise. */
export const DEFAULT_SLOTS = 8;
/** While others wait, a claim has to give its slot back after this time. Milliseconds. */
export const TURN_MS = 10_000;
/** A slot that is not used for this long is given to a waiting claim. Milliseconds. */
const SLOT_IDLE_MS = 2_000;
/** A claim that gave its slot back takes no slot from others for this long. Milliseconds. */
const AGAIN_MS = 1_000;
/** A place in the queue is lost when its claim does not ask for this long. Milliseconds. */
const FORGOTTEN_MS = 10_000;

/** One connection's claim to a slot. */
export interface SlotClaim {
  /** The id of the downloader. Its claims without a slot wait behind those of downloaders that have fewer slots. */
  readonly downloader: string;
}

/** A claim that has a slot, or waits for one. Times are the clock's, in milliseconds. */
interface ClaimState {
  /** Since when it has its slot, or waits. */
  since: number;
  askedAt: number;
  /** Bytes are being sent: it cannot be idle. */
  busy: boolean;
  /** It has had a turn. */
  served: boolean;
}

/** The claims that have a slot now, and those that wait. */
export class UploadSlots {
  readonly #count: number;
  readonly #clock: Clock;
  readonly #holding = new Map<SlotClaim, ClaimState>();
  readonly #waiting = new Map<SlotClaim, ClaimState>();

  constructor(count: number, clock: Clock) {
    this.#count = count;
    this.#clock = clock;
  }

  /** How many claims wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** 0 when the claim has a slot now; else its position in the queue, from 1. To be asked before each request. */
  ask(claim: SlotClaim): number {
    const now = this.#clock.at();
    for (const [other, { askedAt }] of this.#waiting) {
      if (other !== claim && now - askedAt > FORGOTTEN_MS) this.#waiting.delete(other);
    }
    const held = this.#holding.get(claim);
    if (held !== undefined) {
      held.askedAt = now;
      if (!this.#isTurnOver(claim, held, now)) return 0;
      this.#holding.delete(claim);
    }
    const queued = this.#waiting.get(claim) ?? { since: now, askedAt: now, busy: false, served: held !== undefined };
    queued.askedAt = now;
    this.#waiting.set(claim, queued);
    const position = this.#inOrder().indexOf(claim) + 1;
    if (position > this.#free) {
      const unused = this.#unused(claim, queued, now);
      const [first] = unused;
      if (first === undefined || position > this.#free + unused.length) return position;
      this.#holding.delete(first);
    }
    this.#waiting.delete(claim);
    this.#holding.set(claim, { since: now, askedAt: now, busy: false, served: true });
    return 0;
  }

  /** Bytes begin, or stop, being sent for this claim. */
  use(claim: SlotClaim, busy: boolean): void {
    const state = this.#holding.get(claim);
    if (state === undefined) return;
    state.busy = busy;
    state.askedAt = this.#clock.at();
  }

  /** The connection is over. */
  leave(claim: SlotClaim): void {
    this.#holding.delete(claim);
    this.#waiting.delete(claim);
  }

  get #free(): number {
    return this.#count - this.#holding.size;
  }

  /**
   * Whether a claim has had its slot for a turn, and a waiting claim takes it: one whose downloader has fewer slots, and that has not
   * given a slot back a moment ago. Without the last condition two claims would take the same slot from each other again and again.
   */
  #isTurnOver({ downloader }: SlotClaim, { since }: ClaimState, now: number): boolean {
    if (now - since < TURN_MS) return false;
    const slots = this.#slotsOf();
    const own = slots.get(downloader) ?? 0;
    let takers = 0;
    for (const [other, state] of this.#waiting) {
      if (isDue(state, now) && (slots.get(other.downloader) ?? 0) < own) takers += 1;
    }
    return takers > this.#free;
  }

  /** The claims that lose their slot to this one: idle ones, and those between two requests whose turn is over. */
  #unused(claim: SlotClaim, state: ClaimState, now: number): SlotClaim[] {
    const slots = this.#slotsOf();
    const own = slots.get(claim.downloader) ?? 0;
    const due = isDue(state, now);
    return [...this.#holding].flatMap(([other, { since, askedAt, busy }]) => {
      const over = due && now - since >= TURN_MS && (slots.get(other.downloader) ?? 0) > own;
      return !busy && (over || now - askedAt >= SLOT_IDLE_MS) ? [other] : [];
    });
  }

  #slotsOf(): Map<string, number> {
    const slots = new Map<string, number>();
    for (const { downloader } of this.#holding.keys()) slots.set(downloader, (slots.get(downloader) ?? 0) + 1);
    return slots;
  }

  /** The claims of downloaders with the fewest slots first; among those, the claims that wait longest. */
  #inOrder(): SlotClaim[] {
    const slots = this.#slotsOf();
    return [...this.#waiting]
      .sort(
        ([a, stateA], [b, stateB]) =>
          (slots.get(a.downloader) ?? 0) - (slots.get(b.downloader) ?? 0) || stateA.since - stateB.since,
      )
      .map(([claim]) => claim);
  }
}

/** Whether a waiting claim may take the slot of another: not when it gave its own back a moment ago. */
function isDue({ served, since }: ClaimState, now: number): boolean {
  return !served || now - since >= AGAIN_MS;
}
