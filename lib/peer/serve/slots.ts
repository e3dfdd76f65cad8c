// Gives upload slots to downloaders, and keeps the queue for slots. Decides which connection may have bytes now and which is next. It knows
// no channel and no file. It divides slots by host first, then by id, because one host can invent any number of ids. upload.ts limits the
// bytes per second.

import type { Clock } from "../../clock.ts";

/** The most uploads at once, unless an option says otherwise. */
export const DEFAULT_SLOTS = 8;
/** While others wait, a claim has to give its slot back after this time. Milliseconds. */
export const TURN_MS = 10_000;
/** A claim loses its slot to a waiting claim if fewer than `EARNING` bytes were sent with the slot in this time. Milliseconds. */
const SLOT_IDLE_MS = 2_000;
/** A claim keeps its slot if this amount was sent with it in SLOT_IDLE_MS. Bytes. */
const EARNING = 32 * 1024;
/** A claim that gave its slot back takes no slot from others for this long. Milliseconds. */
const AGAIN_MS = 1_000;
/** A claim that does not ask for this long loses its place in the queue. Milliseconds. */
const FORGOTTEN_MS = 10_000;

/** One connection's claim to a slot. */
export interface SlotClaim {
  /** The host of the downloader. While other hosts use slots too, it may use one. */
  readonly host: string;
  /** The id of the downloader. At one host, ids with fewer slots come first. */
  readonly downloader: string;
}

/** A claim that has a slot, or waits for one. Times are the clock's, in milliseconds. */
interface ClaimState {
  /** Since when it has its slot, or waits. */
  since: number;
  askedAt: number;
  /** When it got its slot, or had sent enough bytes to keep it. */
  earnedAt: number;
  /** Bytes that it sent since then. */
  bytes: number;
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
    const now = this.#clock.elapsed();
    for (const [other, { askedAt }] of this.#waiting) {
      if (other !== claim && now - askedAt > FORGOTTEN_MS) this.#waiting.delete(other);
    }
    const held = this.#holding.get(claim);
    if (held !== undefined) {
      if (!this.#isTurnOver(claim, held, now)) return 0;
      this.#holding.delete(claim);
    }
    const queued = this.#waiting.get(claim) ?? newState(now, held !== undefined);
    queued.askedAt = now;
    this.#waiting.set(claim, queued);
    const order = this.#inOrder();
    const position = order.indexOf(claim) + 1;
    const isFirstOfHost = order.find(({ host }) => host === claim.host) === claim;
    if (this.#isShared(claim, now) && (!isFirstOfHost || this.#isHostServed(claim, now))) return position;
    if (position > this.#free) {
      const unused = this.#unused(claim, queued, now);
      const [first] = unused;
      if (first !== undefined && position <= this.#free + unused.length) this.#holding.delete(first);
      else if (!this.#isOneMore(claim)) return position;
    }
    this.#waiting.delete(claim);
    this.#holding.set(claim, newState(now, true));
    return 0;
  }

  /** Bytes begin to be sent for this claim (`busy`), or stop; `bytes` were sent since then. */
  use(claim: SlotClaim, busy: boolean, bytes = 0): void {
    const state = this.#holding.get(claim);
    if (state === undefined) return;
    state.busy = busy;
    state.bytes += bytes;
    if (state.bytes < EARNING) return;
    state.bytes = 0;
    state.earnedAt = this.#clock.elapsed();
  }

  /** The connection has ended. */
  leave(claim: SlotClaim): void {
    this.#holding.delete(claim);
    this.#waiting.delete(claim);
  }

  get #free(): number {
    return Math.max(0, this.#count - this.#holding.size);
  }

  /** Whether other hosts use slots too. Then each host may use one. */
  #isShared({ host }: SlotClaim, now: number): boolean {
    for (const [other, state] of this.#holding) if (other.host !== host && isUsed(state, now)) return true;
    return false;
  }

  /** Whether another claim of the host uses a slot. */
  #isHostServed(claim: SlotClaim, now: number): boolean {
    for (const [other, state] of this.#holding) {
      if (other !== claim && other.host === claim.host && isUsed(state, now)) return true;
    }
    return false;
  }

  /**
   * A host that has no slot gets one at once while there are fewer hosts than slots. Another host has several then, and gives all but
   * one back at its next requests: until it does, there are more slots than usual, but never twice the number.
   */
  #isOneMore({ host }: SlotClaim): boolean {
    const hosts = this.#slotsOf("host");
    return this.#holding.size >= this.#count && hosts.size < this.#count && !hosts.has(host);
  }

  /**
   * Whether a claim must give its slot back: after TURN_MS, when a waiting claim takes it. That claim's host or downloader must have
   * fewer slots, or this claim's host may use no second slot. `isDue` keeps two claims from taking one slot from each other again and
   * again.
   */
  #isTurnOver(claim: SlotClaim, { since }: ClaimState, now: number): boolean {
    const isShared = this.#isShared(claim, now);
    if (isShared && this.#isHostServed(claim, now)) return true;
    if (now - since < TURN_MS) return false;
    const hasMore = this.#compare();
    let takers = 0;
    for (const [other, state] of this.#waiting) {
      if (!isDue(state, now)) continue;
      if (isShared && other.host === claim.host) return true;
      if (hasMore(claim, other) > 0) takers += 1;
    }
    return takers > this.#free;
  }

  /** The claims that lose their slot to this one: idle ones, and those between two requests whose turn is over. */
  #unused(claim: SlotClaim, state: ClaimState, now: number): SlotClaim[] {
    const hasMore = this.#compare();
    const due = isDue(state, now);
    return [...this.#holding].flatMap(([other, holder]) => {
      const over = due && now - holder.since >= TURN_MS && hasMore(other, claim) > 0;
      return !isUsed(holder, now) || (over && !holder.busy) ? [other] : [];
    });
  }

  #slotsOf(whose: "host" | "downloader"): Map<string, number> {
    const slots = new Map<string, number>();
    for (const claim of this.#holding.keys()) slots.set(claim[whose], (slots.get(claim[whose]) ?? 0) + 1);
    return slots;
  }

  /** Compares two claims by the slots of their hosts, and then by those of their downloaders. */
  #compare(): (a: SlotClaim, b: SlotClaim) => number {
    const [hosts, downloaders] = [this.#slotsOf("host"), this.#slotsOf("downloader")];
    const difference = (slots: Map<string, number>, a: string, b: string) => (slots.get(a) ?? 0) - (slots.get(b) ?? 0);
    return (a, b) => difference(hosts, a.host, b.host) || difference(downloaders, a.downloader, b.downloader);
  }

  /** The claims of hosts and downloaders with the fewest slots first; among those, the claims that wait longest. */
  #inOrder(): SlotClaim[] {
    const compare = this.#compare();
    const waiting = [...this.#waiting].sort(([a, stateA], [b, stateB]) => compare(a, b) || stateA.since - stateB.since);
    return waiting.map(([claim]) => claim);
  }
}

function isUsed({ busy, earnedAt }: ClaimState, now: number): boolean {
  return busy || now - earnedAt < SLOT_IDLE_MS;
}

function newState(now: number, served: boolean): ClaimState {
  return { since: now, askedAt: now, earnedAt: now, bytes: 0, busy: false, served };
}

/** Whether a waiting claim may take the slot of another. It may not for AGAIN_MS after it gave its own back. */
function isDue({ served, since }: ClaimState, now: number): boolean {
  return !served || now - since >= AGAIN_MS;
}
