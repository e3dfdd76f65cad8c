// Divides the tracker's work between hosts: the connections of one host share its work, its search time and its turns. A host is an IPv4
// address or an IPv6 network of 64 bits.

import type { Clock } from "../../clock.ts";
import { type Address, hostOf } from "../../protocol/address.ts";
import { eachOf, type Few, oneOf, withOne, withoutOne } from "../compact/few.ts";
import type { Limits } from "../limits.ts";

/** The part of a host's allowed connections that may all send small requests at the full rate. 1 / 4 is one quarter. */
const SHARE = 1 / 4;
/** The work per second, and at once, that every host may cause even when the limits are lower: it can share its files. */
const LEAST_WORK = 10;
/** The burst of search time: after a pause a host may search for `findTime` multiplied by this at once. Seconds. */
const SEARCH_BURST_S = 4;
/** The most connect requests of one host. */
export const CONNECTS_OF_HOST = { perSecond: 8, burst: 64 };
/** The most offers that the peers of one host make. */
const OFFERS_OF_HOST = { perSecond: 1, burst: 60 };
/** The work of comparing new records with the watches of one host. In compared characters; a million are a few milliseconds. */
const COMPARED_OF_HOST = { perSecond: 1_000_000, burst: 4_000_000 };
/** At this number of hosts the tracker first looks for hosts to forget; then each time their number has doubled. */
const HOSTS = 1024;
/** The most hosts without a connection that the tracker remembers because they owe something. */
const DEBTORS = 16_384;
/** The tracker works for one host for about this long, then it is the turn of others. Milliseconds. */
export const SLICE_MS = 2;

/** Work that is paid for by the time that passes. After a pause, `burst` of it may be done at once. */
interface Budget {
  readonly perSecond: number;
  readonly burst: number;
}

/** The debt of one host or connection in one budget. All times are of one clock, in milliseconds. */
export class Account {
  readonly budget: Budget;
  /** Work moves this on. A time that is a whole burst ahead of the clock stops the work. */
  paidUntil = 0;

  constructor(budget: Budget) {
    this.budget = budget;
  }

  /** Counts work, however much is owed already. */
  charge(work: number, now: number): void {
    this.paidUntil = Math.max(this.paidUntil, now) + (work * 1000) / this.budget.perSecond;
  }

  /** Whether more work may be done. */
  mayWork(now: number): boolean {
    return this.paidUntil - now <= ((this.budget.burst - 1) * 1000) / this.budget.perSecond;
  }

  /** Counts one unit of work if it may be done. Says whether it may. */
  take(now: number): boolean {
    if (!this.mayWork(now)) return false;
    this.charge(1, now);
    return true;
  }
}

/** One host. Most are idle, so a host gets an account of a budget only when it needs one. */
export class Host {
  /** The work of its requests, in small requests such as PING. */
  readonly work: Account;
  /** The functions that its connections run when it is their turn. */
  waiting: Few<() => void> | undefined;
  /** Its connections that wait for work, the longest first. The first one has the work that is earned next. */
  line: Few<object> | undefined;
  connections = 0;
  /** A search of one of its connections goes on. The others wait, so that their memory is that of one search. */
  isSearching = false;
  readonly #searchTime: Budget;
  /** The accounts that it has needed so far, by their budgets. */
  #others: Few<Account> | undefined;

  constructor(work: Budget, searches: Budget) {
    this.work = new Account(work);
    this.#searchTime = searches;
  }

  /** The counted work of searches by words. Milliseconds of an ordinary computer. */
  get searches(): Account {
    return this.#accountOf(this.#searchTime);
  }

  /** Connect requests. */
  get connects(): Account {
    return this.#accountOf(CONNECTS_OF_HOST);
  }

  get offers(): Account {
    return this.#accountOf(OFFERS_OF_HOST);
  }

  /** New records are compared with its watches. */
  get comparing(): Account {
    return this.#accountOf(COMPARED_OF_HOST);
  }

  #accountOf(budget: Budget): Account {
    const known = oneOf(this.#others, budget, budgetOf);
    if (known !== undefined) return known;
    const account = new Account(budget);
    this.#others = withOne(this.#others, account, budgetOf);
    return account;
  }

  /** The time at which it owes nothing any more. */
  get paidUntil(): number {
    return Math.max(this.work.paidUntil, ...Array.from(eachOf(this.#others), ({ paidUntil }) => paidUntil));
  }
}

function budgetOf({ budget }: Account): Budget {
  return budget;
}

/** All hosts that are connected or owe something. */
export class Hosts {
  readonly clock: Clock;
  /** The requests of one connection. */
  readonly own: Budget;
  readonly #work: Budget;
  readonly #searches: Budget;
  readonly #hosts = new Map<string, Host>();
  #tidyAt = HOSTS;
  /** The hosts of which connections wait, in the order of their turns. */
  readonly #waiting = new Set<Host>();
  #turnIsDue = false;
  #turnIsTaken = false;

  constructor({ rate, burst, perAddress, findTime }: Pick<Limits, "rate" | "burst" | "perAddress" | "findTime">, clock: Clock) {
    const share = perAddress * SHARE;
    this.clock = clock;
    this.own = { perSecond: rate, burst };
    this.#work = { perSecond: Math.max(LEAST_WORK, rate * share), burst: Math.max(LEAST_WORK, burst * share) };
    this.#searches = { perSecond: findTime, burst: findTime * SEARCH_BURST_S };
  }

  /** Hosts that are remembered. */
  get size(): number {
    return this.#hosts.size;
  }

  /** A connection of an address is open. */
  enter(address: Address): Host {
    if (this.#hosts.size >= this.#tidyAt) this.#tidy();
    const key = hostOf(address);
    const host = this.#hosts.get(key) ?? new Host(this.#work, this.#searches);
    this.#hosts.set(key, host);
    host.connections += 1;
    return host;
  }

  /** A connection is closed. A host that owes something is not forgotten with it. */
  leave(address: Address, host: Host): void {
    host.connections -= 1;
    if (host.connections === 0 && host.paidUntil <= this.clock.elapsed()) this.#hosts.delete(hostOf(address));
  }

  /** Calls `act` when it is this host's turn, and its connection's turn among those of the host. Gives a function that cancels it. */
  queue(host: Host, act: () => void): () => void {
    this.#waiting.add(host);
    host.waiting = withOne(host.waiting, act);
    this.#goOn();
    return () => {
      host.waiting = withoutOne(host.waiting, act);
    };
  }

  /** Resolves when it is this host's turn. The turn lasts until the caller waits again. */
  turn(host: Host): Promise<void> {
    return new Promise((resolve) => {
      this.queue(host, () => {
        // The caller goes on after this function: the time that it takes is not seen here.
        this.#turnIsTaken = true;
        resolve();
      });
    });
  }

  #goOn(): void {
    if (this.#turnIsDue || this.#waiting.size === 0) return;
    this.#turnIsDue = true;
    this.clock.soon(() => {
      this.#nextTurns();
      this.#turnIsDue = false;
      this.#goOn();
    });
  }

  /** One turn, or several that are short together. Then everything else that happens has its turn. */
  #nextTurns(): void {
    const since = this.clock.elapsed();
    for (const host of this.#waiting) {
      const [act] = eachOf(host.waiting);
      // The host goes to the end of the queue if more of its connections wait.
      this.#waiting.delete(host);
      if (act === undefined) continue;
      host.waiting = withoutOne(host.waiting, act);
      if (host.waiting !== undefined) this.#waiting.add(host);
      act();
      if (this.#turnIsTaken || this.clock.elapsed() - since >= SLICE_MS) break;
    }
    this.#turnIsTaken = false;
  }

  /** Forgets hosts without a connection: those that owe nothing, and if the others are too many, those that owe the least. */
  #tidy(): void {
    const now = this.clock.elapsed();
    const gone = [...this.#hosts].filter(([, { connections }]) => connections === 0);
    gone.sort(([, a], [, b]) => a.paidUntil - b.paidUntil);
    for (const [i, [key, { paidUntil }]] of gone.entries()) {
      if (paidUntil <= now || gone.length - i > DEBTORS) this.#hosts.delete(key);
    }
    this.#tidyAt = Math.max(HOSTS, 2 * this.#hosts.size);
  }
}
