// One holder of a file that is being fetched: what it has, what it was asked for, how fast it is, and when it has failed too often.

import type { FileRecord } from "../../protocol/record.ts";
import type { PieceSet } from "../content/pieces.ts";
import type { Stretch } from "./landing.ts";
import type { Run } from "./picker.ts";
import type { Range, Source } from "./source.ts";

/** A request is as long as its holder gives in this time, between these bounds (and a piece at least); */
const REQUEST_S = 0.2;

const FIRST_REQUEST = 256 * 1024;

const LONGEST_REQUEST = 4 * 1024 * 1024;

/** as many are under way as it gives in this time: two at least. */
const AHEAD_S = 0.5;

const FEWEST_AHEAD = 2;

const MOST_AHEAD = 4;

/** A holder that owes something and sends nothing for this long is given up, */
export const STALL_MS = 5_000;

/** and, if there are others, one that sends fewer bytes a second over that time. */
const SLOWEST = 1024;

/** Failures without a piece in between before a holder is given up; pauses between them double. */
const TRIES = 4;

const FIRST_PAUSE_MS = 250;

/** However often it gives a piece in between. */
const MOST_TRIES = 100;

/** What it says that it has and does not give, without a piece in between. */
const MOST_LACKS = 6;

/** A request that takes this many times as long as expected is late. */
const LATE = 1.5;

/** A request is not served faster than the clock can tell. */
const SHORTEST_S = 0.000_5;

/** One request under way. */
export interface Flight extends Run {
  readonly holder: Holder;
  readonly range: Range;
  readonly askedAt: number;
  stretch?: Stretch;
}

/** Times are the clock's, in milliseconds. */
export class Holder {
  readonly record: FileRecord;
  /** `out`: given up. `idle`: not connected. */
  state: "idle" | "dialling" | "open" | "out" = "idle";
  source: Source | undefined;
  /** What it has; undefined until it has said so. */
  has: PieceSet | undefined;
  /** In the order of the requests. */
  flights: Flight[] = [];
  /** Why it failed last, as a clause. */
  reason = "";
  /** Not before this time is it dialled, or asked for more. */
  restUntil = 0;
  /** Its place in the holder's queue; 0 when it does not wait. */
  position = 0;
  /** The piece after the last one that it was asked for. */
  next = 0;
  /** When it was asked what it has; the answer is due. */
  haveAskedAt = 0;
  haveDue = false;
  /** The pass that it was shown, and whether it refused it. */
  shown = "";
  denied = false;
  /** It failed without a word: by silence, or by not answering. */
  silent = false;
  /** It was connected to, at least once. */
  met = false;
  /** It cannot prove its pieces. */
  treeless = false;
  /** Bytes of it are in the file. */
  contributed = false;
  /** Bytes a second; 0 until it is known. */
  #rate = 0;
  /** Bytes of a request at most. */
  #longest = FIRST_REQUEST;
  #failures = 0;
  #tries = 0;
  #lacks = 0;
  /** When the last answer was complete, and when the last byte came. */
  #servedAt = 0;
  #heardAt = 0;
  /** Bytes since the pace was looked at. */
  #heard = 0;
  #pacedAt = 0;

  constructor(record: FileRecord, has: PieceSet | undefined) {
    this.record = record;
    this.has = has;
  }

  get rate(): number {
    return this.#rate;
  }

  /** What it sent was wrong, or asking it again is of no other use. */
  get outcast(): boolean {
    return this.#failures === Number.POSITIVE_INFINITY;
  }

  /** Bytes that it was asked for and that have not come. */
  get owed(): number {
    return this.flights.reduce((sum, { range, stretch }) => sum + range.length - (stretch?.filled ?? 0), 0);
  }

  /** Bytes a second as far as one can tell now: a holder that takes longer than it did is not believed to be as fast as it was. */
  paceNow(now: number): number {
    const [flight] = this.flights;
    if (flight === undefined || this.#rate === 0) return this.#rate;
    const seconds = (now - Math.max(this.#servedAt, flight.askedAt)) / 1000;
    if (seconds <= (LATE * flight.range.length) / this.#rate) return this.#rate;
    return Math.min(this.#rate, (flight.stretch?.filled ?? 0) / seconds);
  }

  /** It can be asked for one more request. */
  wantsMore(now: number): boolean {
    if (this.source === undefined || this.has === undefined || now < this.restUntil) return false;
    const { length } = this.flights;
    // Who waits for a slot asks with one request.
    if (this.position > 0) return length === 0;
    return length < FEWEST_AHEAD || (length < MOST_AHEAD && this.owed < this.#rate * AHEAD_S);
  }

  /** How many bytes to ask for at once. */
  get requestLength(): number {
    return this.#rate === 0 ? FIRST_REQUEST : Math.min(this.#longest, this.#rate * REQUEST_S);
  }

  /** How long it would take for so many bytes; one that nothing is known of is believed to be quick. */
  secondsFor(length: number): number {
    return this.#rate === 0 ? REQUEST_S : length / this.#rate;
  }

  dialled(): void {
    this.state = "dialling";
    this.denied = false;
    this.#tries += 1;
  }

  opened(source: Source, now: number): void {
    this.state = "open";
    this.met = true;
    this.source = source;
    this.position = 0;
    this.haveDue = false;
    this.#servedAt = now;
    this.restart(now);
  }

  /** Nothing counts against it that was before now. */
  restart(now: number): void {
    this.#heardAt = this.#pacedAt = now;
    this.#heard = 0;
  }

  /** Bytes came, or an answer without any. */
  heard(bytes: number, now: number): void {
    this.#heardAt = now;
    this.#heard += bytes;
  }

  /** The oldest request is served, and taken out. */
  served(now: number): Flight | undefined {
    const flight = this.flights.shift();
    if (flight === undefined) return undefined;
    const seconds = Math.max(SHORTEST_S, (now - Math.max(this.#servedAt, flight.askedAt)) / 1000);
    const { length } = flight.range;
    // What came out of a buffer says little: the time a byte takes is averaged, and requests grow step by step.
    this.#rate = this.#rate === 0 ? length / seconds : 2 / (1 / this.#rate + seconds / length);
    this.#longest = Math.min(LONGEST_REQUEST, Math.max(this.#longest, 2 * length));
    this.#servedAt = now;
    return flight;
  }

  isSilent(now: number): boolean {
    return now - this.#heardAt > STALL_MS;
  }

  /** Whether it has next to nothing to show for the time since this was last asked; asked too early, it has not. */
  isTrickling(now: number): boolean {
    if (now - this.#pacedAt < STALL_MS) return false;
    const slow = this.flights.length > 0 && this.#heard < (SLOWEST * STALL_MS) / 1000;
    this.#pacedAt = now;
    this.#heard = 0;
    return slow;
  }

  /** The connection is gone for `failures` reasons more: it is tried again later, or given up. */
  lost(reason: string, failures: number, now: number): void {
    this.source = undefined;
    this.reason = reason;
    this.#failures += failures;
    this.restUntil = now + FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 5);
    this.state = this.#failures >= TRIES || this.#tries >= MOST_TRIES ? "out" : "idle";
  }

  /** It did not give what it says that it has; true when that has happened too often since it gave something. */
  lacked(now: number): boolean {
    this.#lacks += 1;
    this.restUntil = now + FIRST_PAUSE_MS * 2 ** Math.min(this.#lacks - 1, 5);
    return this.#lacks > MOST_LACKS;
  }

  /** A piece of it was right: earlier failures are forgiven. */
  proved(): void {
    this.#lacks = 0;
    this.contributed = true;
    if (!this.outcast) this.#failures = 0;
    if (this.state === "out" && !this.outcast && this.#tries < MOST_TRIES) this.state = "idle";
  }

  /** What it failed at was not its fault, or is over: it is asked as if for the first time, from this time on. */
  forgive(from: number): void {
    if (this.outcast && !this.denied) return;
    this.denied = false;
    this.#failures = 0;
    this.#tries = 0;
    this.restUntil = from;
    if (this.state === "out") this.state = "idle";
  }

  /** The tracker says that it is online: one try more, if that can be of use. */
  revive(): void {
    if (this.state !== "out" || this.outcast || this.#tries >= MOST_TRIES) return;
    this.state = "idle";
    this.#failures = TRIES - 1;
  }
}
