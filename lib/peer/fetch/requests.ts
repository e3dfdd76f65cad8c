// Decides which pieces to request from which holder next, and how many at once. It does not see the bytes (arrivals.ts does).

import { formatEndpoint } from "../../protocol/address.ts";
import { PieceSet } from "../content/pieces.ts";
import { type Holder, type PieceRequest, SHORTEST_REQUEST } from "./holder.ts";
import type { Holders } from "./holders.ts";
import { Picker, type PieceRange } from "./picker.ts";
import { portionOf, startOf, turnsOf } from "./portions.ts";
import type { PieceJob } from "./types.ts";

/** The most memory for requests that are not complete, of all holders together. Bytes. */
const MOST_MEMORY = 32 * 1024 * 1024;
/** At the end of a fetch, a request is repeated at another holder if that one is faster by this factor. */
const WORTH_IT = 2;
/** A request is repeated only when it has waited longer than this. Seconds. */
const WAITED_S = 0.3;
/** While other pieces are free, a request is repeated only if it is later than this as well. Seconds. */
const LATE_S = 10;
/**
 * The first piece is picked among those before this place. A file system without holes (FAT) writes zeros in front of it. Bytes.
 */
const START_WITHIN = 64 * 1024 * 1024;
/** A file of this number of pieces has at least this number of groups. */
const FEWEST_GROUPS = 512;
/** The most other holders that may have a request for a piece when it is repeated at a holder that gave right pieces. */
const MOST_REPEATS = 3;

/** Asks holders for pieces, and remembers which pieces are here or asked for. */
export class Requests {
  readonly #job: PieceJob;
  readonly #holders: Holders;
  #picker: Picker;
  #ready = false;
  #kept = 0;
  /** The peers among which the file is divided, as text. */
  #divided = "";
  /** This peer's portion of the file; undefined while the file is not divided. */
  #portion: PieceSet | undefined;

  constructor(job: PieceJob, holders: Holders) {
    this.#job = job;
    this.#holders = holders;
    this.#picker = new Picker(new PieceSet(job.cut.count), job.random, placesOf(job));
  }

  /** Pieces may be asked for. */
  get ready(): boolean {
    return this.#ready;
  }

  /** The pieces that are here and proven. */
  get have(): PieceSet {
    return this.#picker.have;
  }

  /** Bytes of the pieces that are here. */
  get kept(): number {
    return this.#kept;
  }

  /** A piece is proven and written. */
  keep(piece: number): void {
    if (!this.have.has(piece)) this.#kept += this.#lengthOf(piece);
    this.have.add(piece);
  }

  #lengthOf(piece: number): number {
    const { cut } = this.#job;
    return cut.startOf(piece + 1) - cut.startOf(piece);
  }

  /** From now on pieces may be asked for. An earlier run has left the pieces in `have`. */
  begin(have: PieceSet | undefined): void {
    if (have !== undefined) {
      this.#picker = new Picker(have, this.#job.random, placesOf(this.#job));
      this.#kept = 0;
      for (let piece = 0; piece < have.total; piece++) if (have.has(piece)) this.#kept += this.#lengthOf(piece);
    }
    this.#ready = true;
    this.#divided = "";
    this.recount();
  }

  /** Whether all pieces of a request are here by now, because another holder gave them. */
  isHere(request: PieceRequest): boolean {
    return this.#picker.isHere(request);
  }

  /** A request has ended: its pieces may be asked for again if they are not here. */
  drop(request: PieceRequest): void {
    this.#picker.unclaim(request);
  }

  /** Asks all holders for more, as far as they can be asked. */
  askAll(): void {
    for (const holder of this.#holders.inAnyOrder()) if (holder.state === "open") this.ask(holder);
  }

  /** Asks a holder for the pieces that it can send within a short time. */
  ask(holder: Holder): void {
    if (!this.#ready) return;
    const { time, cut } = this.#job;
    const now = time.now();
    holder.starved = false;
    while (holder.wantsMore(now) && holder.has !== undefined) {
      holder.starved = !this.#hasMemory(holder);
      if (holder.starved) return;
      const most = this.#requestLength(holder);
      const fits = (first: number, end: number) => cut.startOf(end) - cut.startOf(first) <= most;
      const from = this.#keepsToPortion(holder, now) ? (this.#portion ?? holder.has) : holder.has;
      const pieces = this.#picker.pick(from, holder.next, fits) ?? this.#pickAgain(holder, holder.has, now);
      if (pieces === undefined) {
        holder.uselessSince = this.#picker.isUseful(holder.has) ? undefined : (holder.uselessSince ?? now);
        return;
      }
      holder.uselessSince = undefined;
      const { first, count } = pieces;
      const offset = cut.startOf(first);
      const range = { offset, length: cut.startOf(first + count) - offset };
      this.#picker.claim(pieces);
      holder.requests.push({ holder, first, count, range, askedAt: now });
      holder.next = first + count;
      holder.source?.ask(range);
    }
  }

  /**
   * Whether only pieces of this peer's portion are asked of a holder. Most comes from the peers that are still fetching then, so the link of
   * those that have the whole file is what all wait for: it should carry each piece once.
   */
  #keepsToPortion(holder: Holder, now: number): boolean {
    if (holder.record.part) return false;
    let fromParts = 0;
    let fromWholes = 0;
    for (const other of this.#holders.open) {
      if (!other.record.part) fromWholes += other.paceNow(now);
      else if (other.requests.length > 0) fromParts += other.paceNow(now);
    }
    return fromParts > fromWholes;
  }

  /** Counts how many holders have each piece, once some of them are still fetching the file themselves. */
  recount(): void {
    const holders = this.#holders.all;
    if (!this.#picker.counts) {
      if (!holders.some(({ record, state }) => record.part && (state === "open" || state === "dialling"))) return;
      // Each holder is asked for other pieces first. If all fetching peers took the same ones, they would have nothing to exchange.
      for (const holder of holders) holder.next = this.have.total;
    }
    this.#divide(holders);
    this.#picker.count(this.#holders.open.flatMap(({ has }) => (has === undefined ? [] : [has])));
  }

  /** Prefers this peer's portion of the file, now that these are the other peers that fetch it. */
  #divide(holders: Holder[]): void {
    const { self, random, cut } = this.#job;
    const others = holders
      .filter(({ record, state }) => record.part && state !== "out")
      .map(({ record }) => formatEndpoint(record));
    const divided = others.join(" ");
    if (divided === this.#divided) return;
    this.#divided = divided;
    const turns = turnsOf(self ?? String(random()), others, cut.count, groupOf(this.#job));
    this.#picker.prefer(turns);
    this.#portion = portionOf(turns);
  }

  /** With the largest pieces, only a few holders at a time are asked. */
  #hasMemory(holder: Holder): boolean {
    return holder.requests.length > 0 || this.#holders.active * this.#job.cut.longest < MOST_MEMORY;
  }

  #requestLength(holder: Holder): number {
    const { active } = this.#holders;
    const length = Math.min(holder.requestLength, MOST_MEMORY / Math.max(1, active));
    if (active <= 1) return length;
    // Towards the end requests become smaller, so that all holders are done at the same time.
    const left = this.#job.cut.size - this.#kept;
    return Math.min(length, left / (2 * active));
  }

  /** All missing pieces are asked for: gives those that much slower holders have not sent yet. */
  #pickAgain(holder: Holder, has: PieceSet, now: number): PieceRange | undefined {
    const late: { request: PieceRequest; theirs: number }[] = [];
    const grace = this.#picker.hasFree ? LATE_S : 0;
    for (const other of this.#holders.all) {
      if (other === holder) continue;
      let owed = 0;
      for (const request of other.requests) {
        owed += request.range.length - (request.buffer?.filled ?? 0);
        const waited = (now - request.askedAt) / 1000;
        // The pace of a request that has only just begun says little. Therefore it must have waited, too.
        if (waited <= WAITED_S + grace) continue;
        const pace = other.paceNow(now);
        const theirs = pace === 0 ? Number.POSITIVE_INFINITY : owed / pace;
        const ours = holder.secondsFor(request.range.length);
        const isLate = theirs > ours * WORTH_IT + 0.1 && waited > ours * WORTH_IT + WAITED_S + grace;
        if (isLate) late.push({ request, theirs });
      }
    }
    const open = late.flatMap(({ request, theirs }) => {
      // Several holders that send almost nothing must not keep a good one from any piece.
      const others = holder.contributed ? late.filter((other) => overlap(other.request, request)).length : 1;
      // One that is still fetching may have only some of the pieces.
      const pieces = this.#picker.repeatable(request, has, Math.min(others, MOST_REPEATS));
      return pieces === undefined ? [] : [{ pieces, theirs }];
    });
    if (open.length === 0) return undefined;
    return open.reduce((best, one) => (one.theirs >= best.theirs ? one : best)).pieces;
  }
}

function overlap(a: PieceRange, b: PieceRange): boolean {
  return a.first < b.first + b.count && b.first < a.first + a.count;
}

/** How many pieces in a row have this length together; at least one. */
function piecesIn(length: number, { cut }: PieceJob): number {
  return Math.max(1, Math.floor(length / Math.max(1, cut.longest)));
}

/** The pieces that stay together make one request of the shortest length. Of a smaller file they are fewer, so that many can divide it. */
function groupOf(job: PieceJob): number {
  return piecesIn(Math.min(SHORTEST_REQUEST, job.cut.size / FEWEST_GROUPS), job);
}

/** How pieces are picked: in groups, the first one at this peer's own place, and not far behind the first missing one. */
function placesOf(job: PieceJob): { start: number; group: number; reach?: number } {
  const { tools, file, cut, self } = job;
  const group = groupOf(job);
  const reach =
    tools.reach === undefined ? undefined : Math.max(1, Math.floor((tools.reach * cut.count) / Math.max(1, file.size)));
  const near = Math.ceil((START_WITHIN * cut.count) / Math.max(1, file.size));
  const start =
    self === undefined ? 0 : startOf(self, Math.min(cut.count, near, reach ?? near), piecesIn(SHORTEST_REQUEST, job));
  return { start, group, ...(reach === undefined ? {} : { reach }) };
}
