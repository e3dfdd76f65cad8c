// Keeps the state of one holder during a fetch: its pieces, unanswered requests, speed and failures. It sends nothing itself.

import type { FileRecord } from "../../protocol/record.ts";
import type { PieceSet } from "../content/pieces.ts";
import type { RangeBuffer } from "./landing.ts";
import type { PieceRange } from "./picker.ts";
import { QUEUE_MS, QueuePlace } from "./queue.ts";
import type { Range, Source } from "./source.ts";

/** The length of a request is the bytes that the holder sends in this time; at least one piece, at most LONGEST_REQUEST. Seconds. */
const REQUEST_S = 0.2;
/** The length of the first request, and of others while the speed is unknown. Bytes. */
const FIRST_REQUEST = 256 * 1024;
/** No request is shorter than this, because each costs both sides time. Bytes. */
export const SHORTEST_REQUEST = 256 * 1024;
/**
 * A holder that needs more than this time for SHORTEST_REQUEST gets shorter requests all the same, so that its pieces soon go round.
 * Seconds.
 */
const SHORTEST_REQUEST_S = 1;
/** The longest request, unless one piece is longer. Bytes. */
const LONGEST_REQUEST = 2 * 1024 * 1024;
/**
 * We send requests ahead for the bytes that the holder sends in this time: no more, because what one holder is asked for cannot come from
 * another that gets it sooner. With 0.5 s, the source of ten sent 17 % more than the file, and 14 % with this. Seconds.
 */
const AHEAD_S = 0.2;
/**
 * This number of requests is sent ahead, however slow the holder is; but not behind one that is longer than it should be, because a piece
 * is: with a pack of a folder in front of it, the second one would only keep its pieces from being asked of others.
 */
const FEWEST_AHEAD = 2;
/** The most requests that are sent ahead. */
const MOST_AHEAD = 8;
/** A holder that has requests to answer and sends nothing for this long has failed. Milliseconds. */
export const HOLDER_STALL_MS = 5_000;
/** A holder that sends fewer bytes than this has failed if there are others. Bytes per second. */
export const SLOWEST = 1024;
/** A holder that sends fewer bytes per second than SLOWEST for this long has failed, even when there is no other. Milliseconds. */
export const SLOW_MS = 600_000;
/** A failure within this time after the program was stopped is no holder's fault. Milliseconds. */
export const AWAKE_MS = 5_000;
/** The fetch gives a holder up after this number of failures without a right piece in between. */
export const TRIES = 4;
/** The pause after the first failure. Each further failure doubles it. Milliseconds. */
const FIRST_PAUSE_MS = 250;
/** The fetch gives a holder up after this number of connections, even if it gave pieces in between. */
const MOST_TRIES = 100;
/** A holder has failed after more refusals than this of pieces that it announced, with no right piece in between. */
const MOST_LACKS = 6;
/** A request is late when it takes the expected time multiplied by this. */
const LATE = 1.5;
/** A request counts as served in no less than this time, because clocks are not exact. Seconds. */
const SHORTEST_S = 0.000_5;

/** A request to a holder that is not answered yet. */
export interface PieceRequest extends PieceRange {
  readonly holder: Holder;
  readonly range: Range;
  readonly askedAt: number;
  buffer?: RangeBuffer;
}

/** Times are those of `RunningTime`, in milliseconds. */
export class Holder {
  readonly record: FileRecord;
  /** `out`: given up. `idle`: not connected. */
  state: "idle" | "dialling" | "open" | "out" = "idle";
  source: Source | undefined;
  /** The pieces that it has; undefined until it has said so. */
  has: PieceSet | undefined;
  /** Its unanswered requests, in the order in which they were sent. */
  requests: PieceRequest[] = [];
  /** The reason of its last failure, as a clause. */
  reason = "";
  /** It is not connected, and not asked for more, before this time. */
  restUntil = 0;
  /** Its place in the holder's queue; 0 when it does not wait. */
  position = 0;
  /** The piece after those of its last request. */
  next = 0;
  /** When it was asked which pieces it has. */
  haveAskedAt = 0;
  /** It has not answered that yet. */
  haveDue = false;
  /** The pass that it was shown last. */
  shown = "";
  /** It refused that pass. */
  denied = false;
  /** It said that it does not have the file any more. */
  gone = false;
  /** It was asked for a connection at least once. */
  tried = false;
  /** When the last connection to it was opened. */
  openedAt = 0;
  /** Since when it has no piece that is missing here; undefined when it has one, even if that is asked of others. */
  uselessSince: number | undefined;
  /** It would be asked for pieces if there were memory for them. */
  starved = false;
  /** The bytes per second that it sent when it was measured last. */
  lately = 0;
  /** Its last failure was silence: it did not answer, or sent nothing. */
  silent = false;
  /** A connection to it was open at least once. */
  met = false;
  /** It is on this computer. */
  near = false;
  /** Untried holders at a small distance are connected first. */
  distance = 0;
  /** Another holder gets its connection as soon as it has answered what it was asked for, or at this time. Undefined: it stays. */
  leavesAt: number | undefined;
  /** It was asked for the hashes of the pieces on this connection. */
  treeAsked = false;
  /** It does not give the hashes of the pieces. */
  treeless = false;
  /** It gave a right piece. */
  contributed = false;
  /** Its speed in bytes per second; 0 while it is unknown. */
  #rate = 0;
  /** The longest request now, in bytes. It grows. */
  #longest = FIRST_REQUEST;
  #failures = 0;
  #tries = 0;
  #lacks = 0;
  /** When the last answer was complete. */
  #servedAt = 0;
  /** When the last byte came. */
  #heardAt = 0;
  /** Bytes since `#pacedAt`. */
  #heard = 0;
  #pacedAt = 0;
  /** Since when it sends too few bytes. */
  #slowSince: number | undefined;
  /** Bytes since `#measuredAt`. */
  #measured = 0;
  #measuredAt = 0;
  readonly #queue = new QueuePlace();

  constructor(record: FileRecord, has: PieceSet | undefined) {
    this.record = record;
    this.has = has;
  }

  /** It sent wrong bytes, or gave a final refusal: the fetch does not ask it again. */
  get outcast(): boolean {
    return this.#failures === Number.POSITIVE_INFINITY;
  }

  /** Bytes of its requests that have not come yet. */
  get owed(): number {
    return this.requests.reduce((sum, { range, buffer }) => sum + range.length - (buffer?.filled ?? 0), 0);
  }

  /** Its speed now, in bytes per second. It is less than the last measured speed when the current request is late. */
  paceNow(now: number): number {
    const [request] = this.requests;
    if (request === undefined || this.#rate === 0) return this.#rate;
    const seconds = (now - Math.max(this.#servedAt, request.askedAt)) / 1000;
    if (seconds <= (LATE * request.range.length) / this.#rate) return this.#rate;
    return Math.min(this.#rate, (request.buffer?.filled ?? 0) / seconds);
  }

  /** Whether it can be sent another request now. */
  wantsMore(now: number): boolean {
    if (this.source === undefined || this.has === undefined || this.leavesAt !== undefined || now < this.restUntil)
      return false;
    const { length } = this.requests;
    // In a queue, a single request asks for our turn.
    if (length === 0 || this.position > 0) return length === 0;
    const { owed } = this;
    return (length < FEWEST_AHEAD && owed <= this.requestLength) || (length < MOST_AHEAD && owed < this.#rate * AHEAD_S);
  }

  /** The length of the next request, in bytes. */
  get requestLength(): number {
    if (this.#rate === 0) return FIRST_REQUEST;
    const shortest = Math.min(SHORTEST_REQUEST, this.#rate * SHORTEST_REQUEST_S);
    return Math.min(this.#longest, Math.max(shortest, this.#rate * REQUEST_S));
  }

  /** How long it needs for `length` bytes, in seconds. A holder whose speed is unknown counts as fast. */
  secondsFor(length: number): number {
    return this.#rate === 0 ? REQUEST_S : length / this.#rate;
  }

  dialled(): void {
    this.state = "dialling";
    this.tried = true;
    this.denied = this.gone = false;
    this.#tries += 1;
  }

  opened(source: Source, now: number): void {
    this.state = "open";
    this.met = true;
    this.source = source;
    this.position = 0;
    this.haveDue = this.starved = this.treeAsked = false;
    this.leavesAt = undefined;
    this.#servedAt = this.openedAt = this.#measuredAt = now;
    this.#measured = this.lately = 0;
    this.#queue.begin();
    this.restart(now);
  }

  /** For how long it is connected. Milliseconds. */
  openFor(now: number): number {
    return now - this.openedAt;
  }

  /** For how long it has had no piece that is missing here. Milliseconds. */
  uselessFor(now: number): number {
    return this.uselessSince === undefined ? 0 : now - Math.max(this.uselessSince, this.openedAt);
  }

  /** Its silence and its slowness count from now on. */
  restart(now: number): void {
    this.#heardAt = now;
    this.#beginPace(now);
    this.#slowSince = undefined;
  }

  #beginPace(now: number): void {
    this.#pacedAt = now;
    this.#heard = 0;
  }

  /** An answer came, with these bytes of the file or without any. */
  heard(bytes: number, now: number): void {
    this.#heardAt = now;
    this.#heard += bytes;
    this.#measured += bytes;
  }

  /** Sets `lately`, from the bytes since this was called last. */
  measure(now: number): void {
    this.lately = (this.#measured * 1000) / Math.max(1, now - this.#measuredAt);
    this.#measured = 0;
    this.#measuredAt = now;
  }

  /** It has put us into its queue. */
  queued(position: number, now: number): void {
    this.position = position;
    this.restUntil = now + QUEUE_MS;
    this.#queue.take(position, now);
  }

  /** We wait in its queue, which has not moved for a while. */
  isDull(now: number): boolean {
    return this.position > 0 && this.#queue.isDull(now);
  }

  /** Why waiting in its queue is of no use, as a clause; undefined when it is. */
  inVain(now: number): string | undefined {
    return this.position > 0 ? this.#queue.inVain(now) : undefined;
  }

  /** Its first request is answered: takes it off the list and gives it. */
  served(now: number): PieceRequest | undefined {
    const request = this.requests.shift();
    if (request === undefined) return undefined;
    const seconds = Math.max(SHORTEST_S, (now - Math.max(this.#servedAt, request.askedAt)) / 1000);
    const { length } = request.range;
    // The first answers may come out of a buffer, much faster than the rest. Therefore the time for a byte is averaged (not the
    // speed), and requests grow step by step.
    this.#rate = this.#rate === 0 ? length / seconds : 2 / (1 / this.#rate + seconds / length);
    this.#longest = Math.min(LONGEST_REQUEST, Math.max(this.#longest, 2 * length));
    this.#servedAt = now;
    return request;
  }

  isSilent(now: number): boolean {
    return now - this.#heardAt > HOLDER_STALL_MS;
  }

  /**
   * For how long it has sent too few bytes while it owed some. It is 0 for the first `HOLDER_STALL_MS`. Milliseconds. To be called
   * regularly.
   */
  slowFor(now: number, owes: boolean): number {
    if (!owes) {
      this.#beginPace(now);
      this.#slowSince = undefined;
    } else if (now - this.#pacedAt >= HOLDER_STALL_MS) {
      const slow = this.#heard < (SLOWEST * HOLDER_STALL_MS) / 1000;
      this.#slowSince = slow ? (this.#slowSince ?? this.#pacedAt) : undefined;
      this.#beginPace(now);
    }
    return this.#slowSince === undefined ? 0 : now - this.#slowSince;
  }

  /** Another holder gets its connection, through no fault of its own. */
  dismissed(restUntil: number): void {
    this.state = "idle";
    this.source = undefined;
    this.starved = false;
    this.position = 0;
    this.restUntil = restUntil;
  }

  /** Its connection is gone, which counts as `failures` failures: it is tried again later, or given up. */
  lost(reason: string, failures: number, now: number): void {
    this.source = undefined;
    this.starved = false;
    this.reason = reason;
    this.#failures += failures;
    this.restUntil = now + FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 5);
    this.state = this.#failures >= TRIES || this.#tries >= MOST_TRIES ? "out" : "idle";
  }

  /** It refused a piece that it says it has. True when that has happened too often since its last right piece. */
  lacked(now: number): boolean {
    this.#lacks += 1;
    this.restUntil = now + FIRST_PAUSE_MS * 2 ** Math.min(this.#lacks - 1, 5);
    return this.#lacks > MOST_LACKS;
  }

  /** It gave a right piece: earlier failures do not count any more. */
  proved(): void {
    this.#lacks = 0;
    this.#queue.leave();
    this.contributed = true;
    if (!this.outcast) this.#failures = 0;
    if (this.state === "out" && !this.outcast && this.#tries < MOST_TRIES) this.state = "idle";
  }

  /** Its failures were not its fault: from this time on it is tried like a new holder. */
  forgive(from: number): void {
    if (this.outcast && !this.denied) return;
    this.denied = this.gone = false;
    this.#failures = 0;
    this.#tries = 0;
    this.#queue.leave();
    this.restUntil = from;
    if (this.state === "out") this.state = "idle";
  }

  /** The tracker says that it is online: a holder that was given up gets another try. */
  revive(): void {
    if (this.state !== "out" || this.outcast || this.#tries >= MOST_TRIES) return;
    this.state = "idle";
    this.#failures = TRIES - 1;
  }
}
