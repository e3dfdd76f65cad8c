// Decides when to answer the requests of one connection: at the peer's rate, within the work that its host may cause, and with pauses in
// which others have their turn. Only this file decides the cost of a request. conversation.ts reads and answers.

import type { ToTracker } from "../../protocol/messages.ts";
import { eachOf, withOne, withoutOne } from "../compact/few.ts";
import { Account, type Host, type Hosts, SLICE_MS } from "./hosts.ts";

/** The clock is read after this amount of work, because reading it costs as much as a small answer. A PING is 1. */
const WORK_BETWEEN_LOOKS = 16;
/** The work of an answer grows by one small request for each piece of this length: about 40 records. Bytes. */
const ANSWER_UNIT = 4096;
/** The work of an answer grows by one small request for each group of this number of records before its page. */
const OFFSET_UNIT = 4096;
/** The work of a request grows by one small request for each piece of its own line of this length, because reading it takes time. Bytes. */
const LINE_UNIT = 512;
/** The work of a list beside its records, because the tracker signs a pass for it. In small requests. */
const LIST_WORK = 2;
/** The work of a list grows by one small request for each group of this number of records, because each changes the index. */
const LIST_UNIT = 10;

/** The work of a request, in small requests. `answered`: bytes of its answer; `read`: bytes of its line. */
function workOf(request: ToTracker, answered: number, read: number): number {
  let work = 1 + Math.floor(answered / ANSWER_UNIT);
  if (request.verb === "FILES") {
    // A record that is left out was read, too.
    const unfit = request.profile === 2 ? (request.unfit?.count ?? 0) : 0;
    return work + LIST_WORK + Math.floor((request.records.length + unfit) / LIST_UNIT);
  }
  work += Math.floor(read / LINE_UNIT);
  // A page of everything passes over whole lists.
  const passes = request.verb === "LIST" && (request.id !== undefined || request.root !== undefined);
  return passes ? work + Math.floor(Math.min(request.offset, 1_000_000) / OFFSET_UNIT) : work;
}

/** The turns of one connection. All times are of one clock that nobody sets, in milliseconds. */
export class Turns {
  readonly #hosts: Hosts;
  readonly #host: Host;
  /** Requests of this connection. */
  readonly #own: Account;
  /** Work since the clock was read. */
  #work = 0;
  #cancel: (() => void) | undefined;
  /** The next turn comes as soon as others have had theirs. */
  gaveWay = false;

  constructor(hosts: Hosts, host: Host) {
    this.#hosts = hosts;
    this.#host = host;
    this.#own = new Account(hosts.own);
  }

  /** Nothing is answered before the next turn. */
  get waiting(): boolean {
    return this.#cancel !== undefined;
  }

  /** Other connections of this host wait for their turn. This one comes after them. */
  get mustQueue(): boolean {
    return this.#host.waiting !== undefined;
  }

  /** Counts the work since now, the time at which a slice begins. */
  begin(): number {
    this.#work = 0;
    return this.#hosts.clock.elapsed();
  }

  /** Counts a request that was answered. `answered`: bytes of the answer; `read`: bytes of the request. */
  charge(request: ToTracker, answered: number, now: number, read = 0): void {
    const work = workOf(request, answered, read);
    this.#own.charge(1, now);
    this.#host.work.charge(work, now);
    this.#work += work;
  }

  /** Counts the work of a search by words, in milliseconds of an ordinary computer, and the bytes of its answer. A quick one has no work. */
  chargeSearch(ms: number, answered: number, now: number): void {
    this.#host.searches.charge(ms, now);
    this.#host.work.charge(Math.floor(answered / ANSWER_UNIT), now);
    this.#work = WORK_BETWEEN_LOOKS;
  }

  /** Whether the next request may be answered now. A guest has no rate of its own. */
  mayAnswer(now: number, isGuest = false): boolean {
    if (!isGuest && !this.#own.mayWork(now)) return false;
    const host = this.#host;
    if (host.line === undefined && host.work.mayWork(now)) return true;
    host.line = withOne<object>(host.line, this);
    const [first] = eachOf(host.line);
    if (first !== this || !host.work.mayWork(now)) return false;
    host.line = withoutOne<object>(host.line, this);
    return true;
  }

  /** Whether a search by words may begin now. */
  maySearch(now: number): boolean {
    return !this.#host.isSearching && this.#host.searches.mayWork(now);
  }

  /** Whether the slice that began at `since` is over, so that others have their turn. */
  isOver(since: number): boolean {
    if (this.#work < WORK_BETWEEN_LOOKS) return false;
    this.#work = 0;
    return this.#hosts.clock.elapsed() - since >= SLICE_MS;
  }

  /** Calls `act` when the rate allows another request, or when others have had their turn. */
  wait(why: "rate" | "others", act: () => void): void {
    const { clock, own } = this.#hosts;
    const next = () => {
      this.cancel();
      act();
    };
    this.gaveWay = why === "others";
    this.#cancel = why === "rate" ? clock.after(1000 / own.perSecond, next) : this.#hosts.queue(this.#host, next);
  }

  /** Answers nothing more. */
  end(): void {
    this.cancel();
    this.#host.line = withoutOne<object>(this.#host.line, this);
  }

  /** Waits no more. */
  cancel(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.gaveWay = false;
  }
}
