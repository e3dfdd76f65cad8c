// Keeps the known holders of one fetch and their connections. Decides when to connect a holder, when to give it up, and when to disconnect
// it for another one. It does not decide which pieces are asked for (requests.ts).

import { codeOf, sentenceOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { type Address, formatEndpoint, hostOf, isLoopback, parseEndpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { PieceSet } from "../content/pieces.ts";
import { inConnectingOrder, tooSlow } from "./connecting-order.ts";
import { AWAKE_MS, HOLDER_STALL_MS, Holder, SLOW_MS, TRIES } from "./holder.ts";
import { ringDistanceOf } from "./portions.ts";
import { Source, type SourceEvents } from "./source.ts";
import type { FetchState, PieceJob } from "./types.ts";

/** The most connections at once. */
const MOST_CONNECTIONS = 16;
/** The most connections at once to holders that are fetching the file themselves. More would cost more work than they bring. */
const MOST_TO_PARTS = 8;
/** A holder on this computer that has the whole file and sends at least this gives it alone. Bytes per second. */
const FAST = 1024 * 1024;
/** The most holders that are remembered. */
const MOST_HOLDERS = 4_000;
/** The most holders of one host that are remembered. */
const MOST_OF_HOST = 250;
/** The fetch replaces its slowest holders with untried ones each time this time has passed. Milliseconds. */
const EXCHANGE_MS = 2_000;
/** A holder that has had no piece that is missing here for this long makes room for another. Others are still fetching, too. Milliseconds. */
const USELESS_MS = 5_000;
/** The fetch asks a holder with an unfinished file which pieces it has each time this time has passed. Milliseconds. */
const HAVE_MS = 400;
/** In place of HAVE_MS, while the holder has several requests to answer: there is no hurry. Milliseconds. */
const HAVE_BUSY_MS = 1_600;
/** The most holders at once that are asked for the hashes of the pieces. */
const MOST_TREES = 2;
/** The fetch asks all holders for the hashes when the first ones have not given them within this time. Milliseconds. */
const TREE_MS = 1_000;
/** The number of failures that a failed connection counts as, if the holder has never answered. */
const NEVER_ANSWERED = 2;
/** A holder that refused a pass only because it is not back at the tracker yet is asked again after this time. Milliseconds. */
const EXCUSED_PAUSE_MS = 1_500;
/**
 * A connection that failed after more than this time was not refused: the holder is silent. Windows asks three times and tells a refusal
 * after 2 seconds; Linux gives up on a computer that is off after 3. Milliseconds.
 */
const REFUSED_WITHIN_MS = 2_600;

/** The functions of the fetch that the holders call. */
export interface HolderEvents {
  /** The connection is open, and nothing is asked yet. */
  opened(holder: Holder): void;
  /** The handlers for the answers of this holder. */
  answers(holder: Holder): Omit<SourceEvents, "failed">;
  /** Its connection is gone. Its requests are still listed. */
  lost(holder: Holder): void;
}

/** A holder's own key: several behind one router have one address and port, and are told apart by their ids. */
function keyOf({ address, port, peer = "" }: FileRecord): string {
  return `${formatEndpoint({ address, port })} ${peer}`;
}

/** All holders of the file. */
export class Holders {
  readonly #job: PieceJob;
  readonly #state: FetchState;
  readonly #on: HolderEvents;
  readonly #byEndpoint = new Map<string, Holder>();
  #exchangedAt = 0;
  /** When a holder was asked for the hashes of the pieces for the first time. */
  #treesAskedAt: number | undefined;

  constructor(job: PieceJob, state: FetchState, on: HolderEvents) {
    this.#job = job;
    this.#state = state;
    this.#on = on;
  }

  /** All holders, in the order in which they became known. */
  get all(): Holder[] {
    return [...this.#byEndpoint.values()];
  }

  get open(): Holder[] {
    return this.all.filter(({ state }) => state === "open");
  }

  /** How many holders have requests to answer now. */
  get active(): number {
    let count = 0;
    for (const { requests } of this.#byEndpoint.values()) if (requests.length > 0) count += 1;
    return count;
  }

  /** Holders with which this machine waits in a queue, the best place first. */
  get queued(): Holder[] {
    return this.open.filter(({ position }) => position > 0).sort((a, b) => a.position - b.position);
  }

  /** The holders, beginning with any of them, so that none is always asked first. */
  inAnyOrder(): Holder[] {
    const holders = this.all;
    const start = Math.floor(this.#job.random() * holders.length);
    return [...holders.slice(start), ...holders.slice(0, start)];
  }

  /** Adds the holder of a record. One that was given up is tried again. */
  meet(record: FileRecord): void {
    const key = keyOf(record);
    const known = this.#byEndpoint.get(key);
    if (known !== undefined) known.revive();
    else if (this.#hasPlaceFor(record)) {
      const has = record.part ? undefined : PieceSet.whole(this.#job.cut.count);
      const holder = new Holder(record, has);
      holder.near = this.#isNear(record.address);
      const { self, random } = this.#job;
      holder.distance = self === undefined ? random() : ringDistanceOf(self, formatEndpoint(record));
      this.#byEndpoint.set(key, holder);
    }
  }

  #isNear(address: Address): boolean {
    return isLoopback(address) || address === parseEndpoint(this.#job.self ?? "")?.address;
  }

  /** Whether another holder can be remembered. It may replace a holder that was given up. */
  #hasPlaceFor({ address }: FileRecord): boolean {
    if (this.#byEndpoint.size < MOST_OF_HOST) return true;
    const host = hostOf(address);
    const ofHost = this.all.filter(({ record }) => hostOf(record.address) === host);
    if (ofHost.length < MOST_OF_HOST && this.#byEndpoint.size < MOST_HOLDERS) return true;
    const from = ofHost.length < MOST_OF_HOST ? this.all : ofHost;
    const useless = from.find(({ state, contributed }) => state === "out" && !contributed);
    return useless !== undefined && this.#byEndpoint.delete(keyOf(useless.record));
  }

  /** Connects holders that are due, and looks after those that are connected. To be called regularly. */
  tick(now: number): void {
    const due: Holder[] = [];
    for (const holder of this.all.sort((a, b) => a.distance - b.distance)) {
      // A peer that has moved gets a new pass; the old one was not good from where it is now.
      if (holder.denied && holder.shown !== this.#job.tools.pass()) holder.forgive(now);
      if (holder.state === "open") this.#watch(holder, now);
      else if (holder.state === "idle" && now >= holder.restUntil) due.push(holder);
    }
    const taken = this.all.filter(({ state }) => state === "open" || state === "dialling");
    let places = MOST_CONNECTIONS - taken.length;
    let placesOfParts = this.leavesParts(now) ? 0 : MOST_TO_PARTS - taken.filter(({ record }) => record.part).length;
    const waiting: Holder[] = [];
    for (const holder of inConnectingOrder(due, this.all)) {
      const { part } = holder.record;
      if (places <= 0 || (part && placesOfParts <= 0)) {
        waiting.push(holder);
        continue;
      }
      places -= 1;
      if (part) placesOfParts -= 1;
      void this.#connect(holder);
    }
    // While only those with unfinished files wait, none but these make room.
    const rivals = this.open.filter(({ record }) => places <= 0 || record.part);
    this.#makeRoom(rivals, waiting, now);
    this.#exchange(rivals, waiting, now);
  }

  /**
   * Whether holders with unfinished files are left alone, because one with the whole file is on this computer and gives it. No cable is
   * between, so that the others would only cost processor time.
   */
  leavesParts(now: number): boolean {
    return this.all.some((holder) => {
      if (!holder.near || holder.record.part) return false;
      if (holder.state !== "open") return holder.state === "dialling" || !holder.tried;
      if (holder.position > 0) return !holder.isDull(now);
      const pace = holder.paceNow(now);
      return pace === 0 ? !holder.isSilent(now) : pace >= FAST;
    });
  }

  /** Asks a few holders for the hashes of the pieces, and all when these do not give them soon. */
  askTrees(): void {
    const now = this.#job.time.now();
    const { longest, count } = this.#job.cut;
    this.#treesAskedAt ??= now;
    const asked = this.open.filter(({ treeAsked, treeless }) => treeAsked && !treeless).length;
    let places = now - this.#treesAskedAt < TREE_MS ? MOST_TREES - asked : Number.POSITIVE_INFINITY;
    for (const holder of this.open) {
      if (places <= 0) return;
      if (holder.treeAsked) continue;
      holder.treeAsked = true;
      holder.source?.askTree(longest, count);
      places -= 1;
    }
  }

  askHave(holder: Holder): void {
    holder.haveDue = true;
    holder.haveAskedAt = this.#job.time.now();
    holder.source?.askHave(this.#job.cut.count);
  }

  /** This holder sent wrong bytes: it is not asked again. */
  expel(holder: Holder): void {
    holder.denied = false;
    if (holder.outcast) return;
    const reason = "what it sent is not the file it announced";
    if (holder.source === undefined) this.#lose(holder, reason, Number.POSITIVE_INFINITY);
    else holder.source.fail(reason, true);
  }

  /** A holder has answered: it leaves if it is to leave and has nothing more to answer. */
  letGo(holder: Holder): void {
    if (holder.leavesAt !== undefined && holder.requests.length === 0) this.#dismiss(holder, this.#job.time.now());
  }

  leave(): void {
    for (const { source } of this.#byEndpoint.values()) source?.leave();
  }

  async #connect(holder: Holder): Promise<void> {
    const { time } = this.#job;
    const { dial, signal, report, pass, keyed } = this.#job.tools;
    holder.dialled();
    const from = time.now();
    report({ event: "asking", holder: holder.record });
    try {
      const channel = await dial(holder.record, signal === undefined ? {} : { signal });
      if (this.#state.over) return channel.destroy();
      const source = this.#converse(holder, channel);
      holder.opened(source, time.now());
      // Others behind this peer's router have its address, too. The ends of the connection tell.
      holder.near &&= channel.remote.address === channel.local.address;
      holder.shown = pass();
      source.start(holder.shown, holder.record, keyed?.());
      source.paused = this.#state.paused;
      this.#on.opened(holder);
    } catch (error) {
      if (this.#state.over) return;
      const unanswered = [codeOf(error), codeOf(error instanceof Error ? error.cause : undefined)].includes("no-answer");
      holder.silent = unanswered || time.now() - from > REFUSED_WITHIN_MS;
      // Waiting for an answer takes long. A holder that never answered gets fewer tries than one that answered before.
      const clause = sentenceOf(error);
      this.#lose(
        holder,
        holder.met ? `it cannot be reached any more, ${clause}` : clause,
        holder.silent && !holder.met ? NEVER_ANSWERED : 1,
      );
    }
  }

  #converse(holder: Holder, channel: Channel): Source {
    const { file, tools, time } = this.#job;
    const asked = file.folder === undefined ? { root: file.root } : { folder: file.root };
    return new Source(channel, asked, file.size, {
      ...this.#on.answers(holder),
      failed: (reason, final, unless) => {
        const denied = unless === "new-pass";
        // Until all peers are back at a restarted tracker, a refused pass says nothing.
        const excused = denied && tools.unsettled?.() === true;
        holder.denied = denied && !excused;
        holder.gone = unless === "back";
        const failures = holder.gone ? TRIES : final ? Number.POSITIVE_INFINITY : 1;
        this.#lose(holder, reason, excused ? 0 : failures);
        if (excused) holder.restUntil = time.now() + EXCUSED_PAUSE_MS;
      },
    });
  }

  /** A holder failed. The failures are infinite when asking it again is of no use. */
  #lose(holder: Holder, reason: string, failures: number): void {
    if (this.#state.over) return;
    const { time } = this.#job;
    // The same reason after the next try is not reported again.
    if (reason !== holder.reason) this.#job.tools.report({ event: "holder-failed", holder: holder.record, reason });
    // A holder may close the connection while this machine looks at the bytes of an earlier run: that is no failure.
    const checking = this.#state.hasHashes && !this.#state.ready;
    // And while this program was stopped, it answered nobody.
    const excused = checking ? failures === 1 : Number.isFinite(failures) && !holder.gone && time.sinceStopped() < AWAKE_MS;
    holder.lost(reason, excused ? 0 : failures, time.now());
    this.#on.lost(holder);
  }

  /** Fails a holder that sends nothing, or almost nothing. Asks a holder with an unfinished file which pieces it has by now. */
  #watch(holder: Holder, now: number): void {
    const { source, record, has, haveDue, haveAskedAt, requests } = holder;
    if (source === undefined) return;
    if (this.#state.paused || source.pending === 0) holder.restart(now);
    const slowFor = holder.slowFor(now, holder.requests.length > 0 || !this.#state.hasHashes || has === undefined);
    const inVain = holder.inVain(now);
    if (holder.isSilent(now)) {
      source.fail(`it was silent for ${HOLDER_STALL_MS / 1000} s`, false);
      holder.silent = true;
    } else if (slowFor > 0 && this.open.some((other) => other !== holder && other.position === 0)) {
      source.fail("it sends too slowly", false);
    } else if (slowFor > SLOW_MS) source.fail(`it sent next to nothing for ${SLOW_MS / 60_000} minutes`, true);
    else if (inVain !== undefined) source.fail(inVain, true);
    else if (
      record.part &&
      has?.complete !== true &&
      !haveDue &&
      now - haveAskedAt >= (requests.length > 1 ? HAVE_BUSY_MS : HAVE_MS)
    )
      this.askHave(holder);
  }

  /** All connections are taken: disconnects those of `rivals` that have nothing to give, for holders that wait for a connection. */
  #makeRoom(rivals: Holder[], waiting: Holder[], now: number): void {
    const untried = waiting.filter(({ tried }) => !tried).length;
    if (!this.#state.ready || waiting.length === 0) return;
    const spare = rivals.filter((holder) => {
      if (holder.requests.length > 0) return false;
      // A place in a queue is worth keeping, unless somebody else may have a free slot.
      return holder.position > 0 ? untried > 0 || holder.isDull(now) : holder.uselessFor(now) > USELESS_MS;
    });
    for (const holder of spare.slice(0, Math.max(1, untried))) this.#dismiss(holder, now);
  }

  /** Disconnects the slowest of `rivals` for holders that wait for a connection, or for memory. */
  #exchange(rivals: Holder[], waiting: Holder[], now: number): void {
    const { paused, hasHashes, ready } = this.#state;
    if (now - this.#exchangedAt < EXCHANGE_MS) return;
    this.#exchangedAt = now;
    const measured = this.open.filter((holder) => holder.openFor(now) >= EXCHANGE_MS);
    for (const holder of measured) holder.measure(now);
    // A holder that was not asked for anything is not slow.
    const asked = measured.filter((holder) => {
      const { requests, source, has, position, restUntil } = holder;
      const refuses = position === 0 && now < restUntil;
      const isAsked = requests.length > 0 || has === undefined || refuses || (!hasHashes && source?.pending !== 0);
      return isAsked && rivals.includes(holder);
    });
    // While holders must not send, or have nothing to send, they are not slow.
    if (paused || (hasHashes && !ready)) return;
    const starved = this.open.filter((holder) => holder.starved);
    for (const holder of tooSlow(asked, [...starved, ...waiting])) {
      // Half a piece would be thrown away. A holder that can soon answer what it was asked for does so first.
      holder.leavesAt ??= now + HOLDER_STALL_MS;
      const isSoonDone = holder.owed > 0 && holder.owed <= (holder.lately * (holder.leavesAt - now)) / 1000;
      if (!isSoonDone) this.#dismiss(holder, now);
    }
  }

  #dismiss(holder: Holder, now: number): void {
    holder.source?.leave();
    holder.dismissed(now + HOLDER_STALL_MS);
    this.#on.lost(holder);
  }
}
