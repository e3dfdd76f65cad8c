// Ends a fetch that cannot get the whole file: no holder is left and the tracker names no other, or nothing has come for too long.
// While this machine is off the network, or the last holder is silent, the fetch waits first.

import { FtError } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { failureSentence, reasonsClause } from "./failure.ts";
import { HOLDER_STALL_MS, type Holder } from "./holder.ts";
import type { Holders } from "./holders.ts";
import type { FetchState, PieceJob } from "./types.ts";

/** A fetch that can ask no holder for anything for this long is given up. Milliseconds. */
const STUCK_MS = 30_000;
/**
 * A fetch that can ask no holder goes on up to this time while known holders wait for a connection: each of them gets one turn, because it
 * may have the rest by now. Milliseconds.
 */
const LONGEST_STUCK_MS = 300_000;
/** How long the fetch waits for the last holder when that sends nothing any more. Milliseconds. */
const SILENT_MS = 60_000;
/** How long the fetch waits while this machine is off the network. Milliseconds. */
const AWAY_MS = 90_000;
/** How long the fetch waits for the last holder when that said that it does not have the file any more. Milliseconds. */
const GONE_MS = 10_000;
/** A holder computes the content id again when anything about its file changes. We expect at least this speed. Bytes per millisecond. */
const HASH_SPEED = 50_000;
/** The fetch waits no longer than this for a holder that computes the content id again. Milliseconds. */
const LONGEST_HASHING_MS = 600_000;
/** A holder that was connected for longer than this was not silent. Milliseconds. */
const ANSWERS_MS = 2 * HOLDER_STALL_MS;
/** While the fetch waits, all holders are tried again after this time. Milliseconds. */
const AWAY_PAUSE_MS = 1_000;
/** The pauses between questions to the tracker for new holders. The last one repeats. Milliseconds. */
const TRACKER_PAUSES_MS = [300, 700, 1_000, 2_000, 5_000];
/** A fetch that has enough holders asks the tracker later by this, after the first questions. Milliseconds. */
const ENOUGH_MS = 25_000;
/** A fetch without new bytes for this long does not count as one that has enough holders. Milliseconds. */
const MOVES_MS = 2_000;

/** Watches a fetch, looks for more holders, and ends it when it cannot succeed. Times are those of `RunningTime`, in milliseconds. */
export class GivingUp {
  readonly #job: PieceJob;
  readonly #holders: Holders;
  readonly #state: FetchState;
  /** When bytes came last, or there was a reason for none. */
  #movedAt: number;
  /** When bytes came last. */
  #cameAt = 0;
  /** Since when the fetch waits for the network or for a silent holder. */
  #waitsSince: number | undefined;
  /** The last report of a holder that does not have the file any more: its endpoint, and whether one reads the file again. */
  #saidGone = "";
  #looks = 0;
  #lookAt: number;
  #looking: Promise<void> | undefined;
  #cancel = () => {};

  constructor(job: PieceJob, holders: Holders, state: FetchState) {
    this.#job = job;
    this.#holders = holders;
    this.#state = state;
    this.#movedAt = job.time.now();
    this.#lookAt = this.#movedAt + (TRACKER_PAUSES_MS[0] ?? 0);
  }

  /** Holders that can only be asked for the whole file. None once pieces can be proven, because proven pieces stay. */
  get withoutTree(): FileRecord[] {
    if (this.#state.hasHashes) return [];
    return this.#holders.all.filter(({ treeless }) => treeless).map(({ record }) => record);
  }

  /** Bytes came. */
  moved(): void {
    this.#cameAt = this.#movedAt = this.#job.time.now();
  }

  /** A piece was proven: the next wait for the network or a holder gets its full time again. */
  proved(): void {
    this.#waitsSince = undefined;
  }

  /** Asks the tracker for new holders when that is due. To be called regularly, before holders are connected. */
  tick(now: number): void {
    const answers = this.#holders.open.some((holder) => holder.openFor(now) > ANSWERS_MS);
    if (answers && this.#job.tools.away?.() !== true) this.#waitsSince = undefined;
    if (now < this.#lookAt) return;
    if (this.#hasEnough(now) && now < this.#lookAt + ENOUGH_MS) return;
    this.#looks += 1;
    this.#lookAt = now + (TRACKER_PAUSES_MS[Math.min(this.#looks, TRACKER_PAUSES_MS.length - 1)] ?? 0);
    void this.#look();
  }

  /**
   * Whether the tracker need not be asked again now: the whole file comes from this computer, or bytes come and there are more holders than
   * connections already. The first question is always asked: another holder may have the content under another name.
   */
  #hasEnough(now: number): boolean {
    if (this.#looks > 0 && this.#holders.leavesParts(now)) return true;
    if (this.#looks < TRACKER_PAUSES_MS.length || now - this.#cameAt > MOVES_MS) return false;
    return this.#holders.all.some(({ state, reason }) => state === "idle" && reason === "");
  }

  /** Ends the fetch when the connected holders have had no piece that is missing here for too long. False when it goes on. */
  endIfStuck(now: number, canAsk: boolean): boolean {
    if (!canAsk || this.#holders.queued.length > 0 || this.#holders.open.length === 0) this.#movedAt = now;
    const stuckFor = now - this.#movedAt;
    if (stuckFor <= STUCK_MS) return false;
    const waits = this.#holders.all.some(({ state, openedAt }) => state === "idle" && openedAt < this.#movedAt + STUCK_MS);
    if (waits && stuckFor <= LONGEST_STUCK_MS) return false;
    this.#end("nobody online has the rest");
    return true;
  }

  /** Ends the fetch when no holder is left and the tracker knows no other. */
  endIfAlone(): void {
    // The bytes that the last holder has sent may still be proven; then it is asked again.
    if (this.#isAlone) void this.#state.settled().then(() => this.#endIfStillAlone());
  }

  stop(): void {
    this.#cancel();
  }

  get #isAlone(): boolean {
    const { over, hasHashes } = this.#state;
    const hopeless = ({ state, treeless }: Holder) => state === "out" || (treeless && !hasHashes);
    return !over && this.#holders.all.every(hopeless);
  }

  #endIfStillAlone(): void {
    if (!this.#isAlone) return;
    const known = this.#holders.all;
    void Promise.all([this.#rereads(), this.#look()]).then(([rereads]) => {
      const foundMore = this.#holders.all.length > known.length;
      if (this.#state.over || (!foundMore && this.#waits(rereads))) return;
      for (const holder of known) if (holder.state === "idle") holder.state = "out";
      if (!foundMore) this.#end(reasonsClause(this.#holders.all));
    });
  }

  /** Whether a holder that does not have the file now reads one of this size again: it may be the same. False when nobody can say. */
  async #rereads(): Promise<boolean> {
    const gone = this.#holders.all.filter((holder) => holder.gone && (!holder.outcast || holder.denied));
    const asked = gone.map(({ record }) => this.#job.tools.rereads?.(record).catch(() => false));
    return (await Promise.all(asked)).includes(true);
  }

  #reportGone(holder: FileRecord, rereads: boolean): void {
    const said = `${formatEndpoint(holder)} ${rereads}`;
    if (said !== this.#saidGone) this.#job.tools.report({ event: "gone", holder, rereads });
    this.#saidGone = said;
  }

  /**
   * Whether the network, or a holder that fell silent, may come back. All holders are tried again then. `rereads`: a holder computes
   * the content id of its file again.
   */
  #waits(rereads: boolean): boolean {
    const { tools, clock, time } = this.#job;
    const now = time.now();
    const pass = tools.pass();
    const hopeful = this.#holders.all.filter(({ outcast, denied }) => !outcast || denied);
    // A holder can still be asked for the whole file.
    if (hopeful.length === 0 || this.withoutTree.length > 0) return false;
    const away = tools.away?.() === true;
    const silent = hopeful.find((holder) => holder.silent && holder.contributed);
    // A holder takes a file off its list for a moment when anything about it changes.
    const gone = hopeful.find((holder) => holder.gone);
    const goneMs = GONE_MS + (rereads ? Math.min(LONGEST_HASHING_MS, this.#job.file.size / HASH_SPEED) : 0);
    const waits = away || gone !== undefined || silent !== undefined;
    if (!waits && this.#waitsSince === undefined) return false;
    if (gone !== undefined && !away) this.#reportGone(gone.record, rereads);
    else if (this.#waitsSince === undefined) {
      tools.report(away || silent === undefined ? { event: "away" } : { event: "silent", holder: silent.record });
    }
    this.#waitsSince ??= now;
    if (now - this.#waitsSince > (away ? AWAY_MS : silent === undefined ? goneMs : SILENT_MS)) return false;
    // The network is back, or the holder answered: all holders get a last try.
    if (!waits) this.#waitsSince = undefined;
    for (const holder of hopeful) if (!holder.denied || holder.shown !== pass) holder.forgive(now + AWAY_PAUSE_MS);
    if (this.#isAlone) this.#cancel = clock.after(AWAY_PAUSE_MS, () => this.#endIfStillAlone());
    return true;
  }

  /** Asks which peers have the file by now. When that is being asked already, waits for the same answer. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    try {
      const records = (await this.#job.tools.look?.()) ?? [];
      for (const record of records) if (record.v2 && record.size === this.#job.file.size) this.#holders.meet(record);
    } catch {
      // The tracker is away; the known holders go on.
    }
  }

  #end(why: string): void {
    this.#state.end(new FtError("no-holder", failureSentence(this.#job.file, why, this.#state.kept, true)));
  }
}
