// The holders of one file that is being fetched: which are known, and their connections. This file decides when a holder is connected,
// given up, or makes room for another. It does not decide which pieces are asked for (requests.ts).

import { codeOf, sentenceOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { PieceSet } from "../content/pieces.ts";
import { HOLDER_STALL_MS, Holder } from "./holder.ts";
import { Source, type SourceEvents } from "./source.ts";
import type { FetchState, PieceJob } from "./types.ts";

/** The most connections at once. */
const MOST_CONNECTIONS = 16;
/** A holder whose file is not complete is asked this often which pieces it has. Milliseconds. */
const HAVE_MS = 400;
/** A failed connection counts as this many failures when the holder has never answered. */
const NEVER_ANSWERED = 2;
/** A holder that refused a pass only because it is not back at the tracker yet is asked again after this time. Milliseconds. */
const EXCUSED_PAUSE_MS = 1_500;
/** A connection that failed after more than this time was not refused: the holder is silent. Milliseconds. */
const REFUSED_WITHIN_MS = 900;

/** What the fetch does with the holders. */
export interface HolderEvents {
  /** The connection is open, and nothing is asked yet. */
  opened(holder: Holder): void;
  /** What is to be done with the answers of this holder. */
  answers(holder: Holder): Omit<SourceEvents, "failed">;
  /** Its connection is gone. Its requests are still listed. */
  lost(holder: Holder): void;
}

/** All holders of the file, each at its own address and port. */
export class Holders {
  readonly #job: PieceJob;
  readonly #state: FetchState;
  readonly #on: HolderEvents;
  readonly #byEndpoint = new Map<string, Holder>();

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
    const key = formatEndpoint(record);
    const known = this.#byEndpoint.get(key);
    if (known !== undefined) known.revive();
    else {
      const has = record.part ? undefined : PieceSet.whole(this.#job.pieceCount);
      this.#byEndpoint.set(key, new Holder(record, has));
    }
  }

  /** Connects holders that are due, and looks after those that are connected. To be called regularly. */
  tick(now: number): void {
    let taken = this.all.filter(({ state }) => state === "open" || state === "dialling").length;
    for (const holder of this.inAnyOrder()) {
      // A peer that has moved gets a new pass; the old one was not good from where it is now.
      if (holder.denied && holder.shown !== this.#job.tools.pass()) holder.forgive(now);
      if (holder.state === "open") this.#watch(holder, now);
      else if (holder.state === "idle" && now >= holder.restUntil && taken < MOST_CONNECTIONS) {
        taken += 1;
        void this.#connect(holder);
      }
    }
    if (taken >= MOST_CONNECTIONS) this.#makeRoom(now);
  }

  askHave(holder: Holder): void {
    holder.haveDue = true;
    holder.haveAskedAt = this.#job.clock.at();
    holder.source?.askHave(this.#job.file.root, this.#job.pieceCount);
  }

  /** This holder sent wrong bytes: it is not asked again. */
  expel(holder: Holder): void {
    holder.denied = false;
    if (holder.outcast) return;
    const reason = "what it sent is not the file it announced";
    if (holder.source === undefined) this.#lose(holder, reason, Number.POSITIVE_INFINITY);
    else holder.source.fail(reason, true);
  }

  leave(): void {
    for (const { source } of this.#byEndpoint.values()) source?.leave();
  }

  async #connect(holder: Holder): Promise<void> {
    const { clock } = this.#job;
    const { dial, signal, report, pass } = this.#job.tools;
    holder.dialled();
    const from = clock.at();
    report({ event: "asking", holder: holder.record });
    try {
      const channel = await dial(holder.record, signal === undefined ? {} : { signal });
      if (this.#state.over) return channel.destroy();
      const source = this.#converse(holder, channel);
      holder.opened(source, clock.at());
      holder.shown = pass();
      source.start(holder.shown);
      source.paused = this.#state.paused;
      this.#on.opened(holder);
    } catch (error) {
      if (this.#state.over) return;
      const silent = [codeOf(error), codeOf(error instanceof Error ? error.cause : undefined)].includes("no-answer");
      holder.silent = silent || clock.at() - from > REFUSED_WITHIN_MS;
      // Waiting for an answer takes long. A holder that never answered gets fewer tries than one that was there a moment ago.
      this.#lose(holder, sentenceOf(error), silent && !holder.met ? NEVER_ANSWERED : 1);
    }
  }

  #converse(holder: Holder, channel: Channel): Source {
    const { file, tools, clock } = this.#job;
    return new Source(channel, { root: file.root }, file.size, {
      ...this.#on.answers(holder),
      failed: (reason, final, denied) => {
        // Until all peers are back at a restarted tracker, a refused pass says nothing.
        const excused = denied === true && tools.unsettled?.() === true;
        holder.denied = denied === true && !excused;
        this.#lose(holder, reason, excused ? 0 : final ? Number.POSITIVE_INFINITY : 1);
        if (excused) holder.restUntil = clock.at() + EXCUSED_PAUSE_MS;
      },
    });
  }

  /** A holder failed. The failures are infinite when asking it again is of no use. */
  #lose(holder: Holder, reason: string, failures: number): void {
    if (this.#state.over) return;
    // The same reason after the next try is not reported again.
    if (reason !== holder.reason) this.#job.tools.report({ event: "holder-failed", holder: holder.record, reason });
    // A holder may hang up while this machine looks at the bytes of an earlier run: that is no failure.
    const checking = this.#state.hasHashes && !this.#state.ready;
    holder.lost(reason, checking && failures === 1 ? 0 : failures, this.#job.clock.at());
    this.#on.lost(holder);
  }

  /** Fails a holder that sends nothing, or next to nothing; asks one whose file is not complete which pieces it has by now. */
  #watch(holder: Holder, now: number): void {
    const { source, record, has, haveDue, haveAskedAt } = holder;
    if (source === undefined) return;
    if (this.#state.paused || source.pending === 0) holder.restart(now);
    if (holder.isSilent(now)) {
      source.fail(`it was silent for ${HOLDER_STALL_MS / 1000} s`, false);
      holder.silent = true;
    } else if (holder.isTrickling(now) && this.open.some((other) => other !== holder && other.position === 0)) {
      source.fail("it sends too slowly", false);
    } else if (record.part && has?.complete !== true && !haveDue && now - haveAskedAt >= HAVE_MS) this.askHave(holder);
  }

  /** All connections are taken: one that has nothing to give makes room for a holder that waits for a connection. */
  #makeRoom(now: number): void {
    if (!this.#state.ready || !this.all.some(({ state, restUntil }) => state === "idle" && now >= restUntil)) return;
    const spare = this.open.find(({ requests }) => requests.length === 0);
    if (spare === undefined) return;
    spare.source?.leave();
    Object.assign(spare, { state: "idle", source: undefined, restUntil: now + HOLDER_STALL_MS });
    this.#on.lost(spare);
  }
}
