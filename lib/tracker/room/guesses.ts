// Limits how many wrong keys a private room hears in a minute: a few from each host, and some more from all hosts together. A host above
// its limit waits, even with the right key. Guesses from many addresses at once must not keep out people with the right key. So the last
// tries of the common limit are only for hosts that were never wrong, and an address that has shown the key does not need them.

import type { Clock } from "../../clock.ts";
import { type Address, hostOf } from "../../protocol/address.ts";
import { Allowance } from "../../rate.ts";

/** The most wrong keys of one host in a minute. */
const OF_HOST = 5;
/** The most wrong keys of all hosts in a minute. */
const OF_ALL = 30;
/** The part of OF_ALL that is kept for hosts without a wrong key. */
const KEPT_FOR_NEW_HOSTS = 10;
/** The time in which these numbers are counted. Seconds. */
const SECONDS = 60;
/** The most hosts that are remembered. The oldest are forgotten: at `OF_ALL` a minute, that is after an hour or two. */
const HOSTS_KEPT = 4096;

export class Guesses {
  readonly #clock: Clock;
  readonly #all: Allowance;
  readonly #ofHost = new Map<string, Allowance>();
  /**
   * Addresses that have shown the key. Each of them is counted by itself: all computers of a LAN may have IPv6 addresses of one network of
   * 64 bits, and wrong keys of one of them must not keep out the others.
   */
  readonly #members = new Set<Address>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new Allowance(OF_ALL / SECONDS, OF_ALL, clock);
  }

  /** Whether a key from this address may be looked at now. */
  mayTry(address: Address): boolean {
    const own = this.#ofHost.get(this.#countedAs(address));
    if (own?.left === false) return false;
    return this.#members.has(address) || this.#all.has(own === undefined ? 1 : 1 + KEPT_FOR_NEW_HOSTS);
  }

  /** A key from this address was wrong. */
  wrong(address: Address): void {
    const host = this.#countedAs(address);
    const own = this.#ofHost.get(host) ?? new Allowance(OF_HOST / SECONDS, OF_HOST, this.#clock);
    own.spend();
    this.#all.spend();
    this.#ofHost.delete(host);
    this.#ofHost.set(host, own);
    const [oldest] = this.#ofHost.keys();
    if (this.#ofHost.size > HOSTS_KEPT && oldest !== undefined) this.#ofHost.delete(oldest);
  }

  /** A key from this address was right. */
  right(address: Address): void {
    const [oldest] = this.#members;
    if (this.#members.size >= HOSTS_KEPT && oldest !== undefined) this.#members.delete(oldest);
    this.#members.add(address);
  }

  #countedAs(address: Address): string {
    return this.#members.has(address) ? address : hostOf(address);
  }

  /** The room has another key: nobody has shown it yet. */
  forgetMembers(): void {
    this.#members.clear();
  }
}
