// When the requests of one connection are answered: at the rate that a peer has, and with pauses in which other peers have
// their turn. What a request costs is decided here alone. Reading and answering are in conversation.ts.

import type { Clock } from "../clock.ts";
import type { Address } from "../protocol/address.ts";
import type { ToTracker } from "../protocol/messages.ts";
import { Allowance } from "../rate.ts";
import type { Limits } from "./limits.ts";

/** After this time other peers have their turn. Milliseconds. */
const SLICE_MS = 2;
/** The clock is read after this amount of work, because reading it costs as much as a small answer. A PING is 1. */
const WORK_BETWEEN_LOOKS = 16;
/** A search by words that takes less time is not charged. Milliseconds. */
const QUICK_SEARCH_MS = 1;
/** The search times of this number of addresses are remembered. */
const ADDRESSES = 1024;
/** After a pause an address may use the search time of this many seconds at once. */
const SEARCH_BURST_S = 4;

/** The time that searches by words of each address may take. */
export class SearchTimes {
  readonly #perSecond: number;
  readonly #clock: Clock;
  readonly #times = new Map<Address, Allowance>();

  /** `perSecond`: milliseconds of search a second. */
  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
  }

  of(address: Address): Allowance {
    if (this.#times.size >= ADDRESSES && !this.#times.has(address)) this.#times.clear();
    const time = this.#times.get(address) ?? new Allowance(this.#perSecond, this.#perSecond * SEARCH_BURST_S, this.#clock);
    this.#times.set(address, time);
    return time;
  }
}

/** The turns of one connection. All times are of the same clock, in milliseconds. */
export class Turns {
  readonly #limits: Pick<Limits, "rate" | "burst">;
  readonly #clock: Clock;
  /** Every request moves this on by 1 / rate. A peer whose time is a whole burst ahead of the clock has to wait. */
  #paidUntil = 0;
  /** The search time of the address; only of a peer that has made the tracker search for long. */
  #searchTime: Allowance | undefined;
  /** Work since the clock was read. */
  #work = 0;
  #cancel: (() => void) | undefined;
  /** The next turn comes as soon as others have had theirs. */
  gaveWay = false;

  constructor(limits: Pick<Limits, "rate" | "burst">, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Nothing is answered before the next turn. */
  get waiting(): boolean {
    return this.#cancel !== undefined;
  }

  /** Counts the work since `now`, the time at which a slice begins. */
  begin(): number {
    this.#work = 0;
    return this.#clock.at();
  }

  /** Counts a request that is answered now. */
  charge(verb: ToTracker["verb"], now: number): void {
    this.#paidUntil = Math.max(this.#paidUntil, now) + 1000 / this.#limits.rate;
    this.#work += verb === "FIND" || verb === "LIST" || verb === "WHO" ? WORK_BETWEEN_LOOKS : 1;
  }

  /** Counts the time that a search by words took. */
  chargeSearch(ms: number, address: Address, times: SearchTimes): void {
    if (ms < QUICK_SEARCH_MS) return;
    this.#searchTime ??= times.of(address);
    this.#searchTime.spend(ms);
  }

  /** Whether the peer's next request may be answered now. */
  mayAnswer(now: number): boolean {
    const { rate, burst } = this.#limits;
    // After a clock was set back, a peer waits no longer than a whole burst takes.
    this.#paidUntil = Math.min(this.#paidUntil, now + (burst * 1000) / rate);
    return this.#paidUntil - now <= ((burst - 1) * 1000) / rate && this.#searchTime?.left !== false;
  }

  /** Whether others should have their turn, when this slice began at `since`. */
  isOver(since: number): boolean {
    if (this.#work < WORK_BETWEEN_LOOKS) return false;
    this.#work = 0;
    return this.#clock.at() - since >= SLICE_MS;
  }

  /** Calls `act` when another request has been earned by the rate, or when others have had their turn. */
  wait(why: "rate" | "others", act: () => void): void {
    this.gaveWay = why === "others";
    this.#cancel = this.#clock.after(this.gaveWay ? 0 : 1000 / this.#limits.rate, () => {
      this.cancel();
      act();
    });
  }

  /** Waits no more. */
  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.gaveWay = false;
  }
}
