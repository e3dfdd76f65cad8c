// The world of the engines, in memory: a clock that is moved by hand, channels without a network, and a far side that speaks
// bytes. What a channel promises is written in lib/net/channel.ts; the network keeps the same promises in lib/net/tcp.ts.

import type { Clock } from "../../lib/clock.ts";
import { FtError } from "../../lib/error.ts";
import type { Channel, ChannelHandlers, ChannelLimits, Dial } from "../../lib/net/channel.ts";
import { type Address, type Endpoint, parseAddress } from "../../lib/protocol/address.ts";
import { type FileName, parseFileName } from "../../lib/protocol/record.ts";

/** Kept, so that a test may take the timers over and the channels still work. */
const soon = setImmediate;
/** Events of all channels that are about to happen. */
let due = 0;

/** Everything that only waited for its turn has had it: what was sent has arrived, and all promises that could settle did. */
export async function settle(): Promise<void> {
  let quiet = 0;
  while (quiet < 3) {
    await new Promise((resolve) => soon(resolve));
    quiet = due === 0 ? quiet + 1 : 0;
  }
}

export function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`"${text}" is no address`);
  return address;
}

export function nameOf(text: string): FileName {
  return parseFileName(text);
}

interface Timer {
  at: number;
  act: () => void;
}

/** Time that stands still until `pass` moves it. */
export class HandClock implements Clock {
  #now: number;
  /** The time of day minus `elapsed`. */
  #set = 0;
  readonly #timers = new Set<Timer>();

  constructor(start = Date.UTC(2026, 10, 22, 10, 0, 0)) {
    this.#now = start;
  }

  at(): number {
    return this.#now + this.#set;
  }

  /** Somebody sets the clock: the time of day jumps. Milliseconds. */
  step(ms: number): void {
    this.#set += ms;
  }

  elapsed(): number {
    return this.#now;
  }

  soon(act: () => void): void {
    due += 1;
    soon(() => {
      due -= 1;
      act();
    });
  }

  after(ms: number, act: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), act };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How long until the next timer acts; infinite when there is none. */
  get untilNext(): number {
    return Math.min(...[...this.#timers].map(({ at }) => at)) - this.#now;
  }

  /** The program is busy for this time: no timer acts before the next `pass`. Milliseconds. */
  spend(ms: number): void {
    this.#now += ms;
  }

  /** Lets this much time pass; every timer acts at its moment, and what follows from it happens before time goes on. */
  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.act();
      await settle();
    }
    this.#now = Math.max(this.#now, until);
  }
}

/** Something that changes by events. */
class Watched {
  readonly #waiting = new Set<{ holds: () => boolean; go: () => void }>();

  /** Resolves as soon as the condition holds. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((go) => {
      this.#waiting.add({ holds, go });
    });
  }

  protected changed(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue;
      this.#waiting.delete(waiter);
      waiter.go();
    }
  }
}

/**
 * One end of a channel in memory. What one end sends arrives at the other a moment later, never within the call, each event in
 * a turn of its own as the runtime does it; only what came before `start` is handed over within it.
 */
export class Side implements Channel {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly backlog = 0;
  closed = false;
  ended = false;
  /** The limits in force. */
  readonly limits: ChannelLimits = {};
  /** How many bytes may be under way before `offer` takes no more. */
  capacity = Number.POSITIVE_INFINITY;
  /** How often `pause` made this end stop receiving. */
  pauses = 0;
  readonly #clock: Clock | undefined;
  #other: Side | undefined;
  #handlers: ChannelHandlers | undefined;
  #arriving: Uint8Array[] = [];
  #under = 0;
  #endArriving = false;
  #breaking = false;
  #paused = false;
  #finishing = false;
  #shut = false;
  #reason = "";
  #scheduled = false;
  #refused = false;
  #cancelDeadline = () => {};
  #cancelIdle = () => {};

  private constructor(remote: Endpoint, local: Endpoint, clock: Clock | undefined) {
    this.remote = remote;
    this.local = local;
    this.#clock = clock;
  }

  /** Both ends; the clock drives the limits of the first. */
  static pair(near: Endpoint, far: Endpoint, clock?: Clock): [Side, Side] {
    const [a, b] = [new Side(far, near, clock), new Side(near, far, undefined)];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  get paused(): boolean {
    return this.#paused;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    if (this.closed) {
      handlers.close?.(this.#reason);
      return;
    }
    if (this.#arriving.length > 1) this.#arriving = [Buffer.concat(this.#arriving)];
    this.#deliverOne();
    if (this.#arriving.length === 0) this.#deliverOne();
    this.#later();
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#arriving.unshift(bytes);
    this.#under += bytes.length;
    // The end comes again behind them.
    this.ended = false;
  }

  limit(limits: ChannelLimits): void {
    Object.assign(this.limits, limits);
    if ("deadline" in limits) {
      this.#cancelDeadline();
      const { deadline } = limits;
      if (deadline !== undefined && this.#clock !== undefined)
        this.#cancelDeadline = this.#clock.after(deadline, () => this.destroy("it took too long"));
    }
    if ("idle" in limits) this.#watchIdle();
  }

  send(bytes: Uint8Array | string): void {
    if (this.closed || this.#shut || bytes.length === 0) return;
    this.#other?.arrive(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes.slice());
  }

  offer(bytes: Uint8Array): number {
    if (this.closed || this.#shut) return 0;
    const room = Math.max(0, this.capacity - (this.#other?.under ?? 0));
    const taken = Math.min(bytes.length, room);
    // The caller may use its buffer again as soon as this returns.
    if (taken > 0) this.#other?.arrive(bytes.slice(0, taken));
    this.#refused = taken < bytes.length;
    return taken;
  }

  pause(): void {
    if (this.#paused || this.closed || this.#finishing) return;
    this.#paused = true;
    this.pauses += 1;
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.#watchIdle();
    this.#later();
  }

  halfClose(): void {
    if (this.#shut || this.closed) return;
    this.#shut = true;
    this.#other?.arriveEnd();
    if (this.ended) this.#gone("");
  }

  finish(): void {
    if (this.#finishing || this.closed) return;
    this.#finishing = true;
    this.#paused = false;
    this.halfClose();
    this.#later();
  }

  destroy(reason = ""): void {
    if (this.closed) return;
    this.#other?.arriveBreak();
    this.#gone(reason);
  }

  /** Takes in one piece that has arrived, although this end is paused. */
  sip(): void {
    const bytes = this.#arriving.shift();
    if (bytes === undefined || this.closed) return;
    this.#under -= bytes.length;
    this.#handlers?.data(bytes);
    this.#other?.drainLater();
  }

  /** What the other end does, below: called by this class only. */

  get under(): number {
    return this.#under;
  }

  arrive(bytes: Uint8Array): void {
    if (this.closed) return;
    this.#arriving.push(bytes);
    this.#under += bytes.length;
    this.#later();
  }

  arriveEnd(): void {
    this.#endArriving = true;
    this.#later();
  }

  arriveBreak(): void {
    this.#breaking = true;
    this.#later();
  }

  drainLater(): void {
    if (!this.#refused) return;
    due += 1;
    soon(() => {
      due -= 1;
      if (!this.#refused || this.closed || this.#shut) return;
      this.#refused = false;
      this.#handlers?.drain?.();
    });
  }

  #later(): void {
    const listening = this.#handlers !== undefined || this.#finishing;
    const waiting = (this.#arriving.length > 0 && !this.#paused) || this.#breaking || (this.#endArriving && !this.ended);
    if (this.#scheduled || this.closed || !listening || !waiting) return;
    this.#scheduled = true;
    due += 1;
    soon(() => {
      due -= 1;
      this.#scheduled = false;
      if (this.#deliverOne()) this.#later();
    });
  }

  /** One event, if one can happen now. */
  #deliverOne(): boolean {
    if (this.closed) return false;
    // A reset is noticed by who does not read, too; what was on its way is lost then.
    if (this.#paused && this.#breaking) this.#gone("the connection broke");
    if (this.#paused || this.closed) return false;
    const bytes = this.#arriving.shift();
    if (bytes !== undefined) {
      this.#under -= bytes.length;
      this.#watchIdle();
      if (!this.#finishing) this.#handlers?.data(bytes);
      this.#other?.drainLater();
      return true;
    }
    if (this.#breaking) {
      this.#gone("the connection broke");
      return true;
    }
    if (!this.#endArriving || this.ended) return false;
    this.ended = true;
    if (!this.#finishing) this.#handlers?.end?.();
    if (this.#shut) this.#gone("");
    return true;
  }

  #watchIdle(): void {
    this.#cancelIdle();
    const { idle } = this.limits;
    if (idle === undefined || this.#clock === undefined || this.closed || this.#finishing) return;
    this.#cancelIdle = this.#clock.after(idle, () => {
      if (this.#paused) this.#watchIdle();
      else this.destroy(`it was silent for ${idle / 1000} s`);
    });
  }

  #gone(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.#reason = reason;
    this.#cancelDeadline();
    this.#cancelIdle();
    this.#handlers?.close?.(reason);
  }
}

/** The other side of a channel, for scripts written from the protocol's text. */
export class Far extends Watched {
  /** Where the near side wanted to go. */
  readonly to: { address: string; port: number };
  /** The near side's end. */
  readonly near: Side;
  /** Every piece the near side wrote, as it wrote it. */
  readonly writes: string[] = [];
  ended = false;
  closed = false;
  #chunks: Uint8Array[] = [];
  #length = 0;
  #total = 0;
  readonly #side: Side;

  constructor(near: Side, side: Side) {
    super();
    this.near = near;
    this.#side = side;
    this.to = near.remote;
    side.start({
      data: (chunk) => {
        if (chunk.length < 4096) this.writes.push(Buffer.from(chunk).toString());
        this.#chunks.push(chunk);
        this.#length += chunk.length;
        this.#total += chunk.length;
        this.changed();
      },
      end: () => {
        this.ended = true;
        this.changed();
      },
      close: () => {
        this.closed = true;
        this.changed();
      },
    });
  }

  /** Nothing more will come from the near side. */
  get over(): boolean {
    return this.ended || this.closed;
  }

  /** Everything received and not taken. */
  get waiting(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }

  /** How many bytes were received in all. */
  get total(): number {
    return this.#total;
  }

  say(bytes: string | Uint8Array): void {
    this.#side.send(bytes);
  }

  /** Says it byte by byte, each of which arrives by itself. */
  stutter(bytes: string | Uint8Array): void {
    for (const byte of Buffer.from(bytes)) this.#side.send(Uint8Array.of(byte));
  }

  /** Sends nothing more, and goes on receiving. */
  halfClose(): void {
    this.#side.halfClose();
  }

  /** Closes in order. */
  close(): void {
    this.#side.finish();
  }

  /** Is gone all of a sudden. */
  reset(): void {
    this.#side.destroy();
  }

  /** Stops reading, so that the near side cannot get rid of more than the capacity. */
  stopReading(): void {
    this.#side.pause();
  }

  readOn(): void {
    this.#side.resume();
  }

  /** Reads one piece of what has arrived, after `stopReading`. */
  sip(): void {
    this.#side.sip();
  }

  async take(count: number): Promise<Buffer> {
    await this.until(() => this.#length >= count || this.over);
    const all = this.waiting;
    if (all.length < count) {
      throw new Error(`it ended after ${all.length} of ${count} bytes: ${all.toString().slice(0, 300)}`);
    }
    this.#chunks = [all.subarray(count)];
    this.#length -= count;
    return all.subarray(0, count);
  }

  /** Takes a line, without its end. */
  async line(): Promise<string> {
    await this.until(() => this.waiting.includes(10) || this.over);
    const end = this.waiting.indexOf(10);
    if (end < 0) throw new Error(`it ended before a line did: ${this.waiting.toString().slice(0, 300)}`);
    return (await this.take(end + 1)).toString().slice(0, -1);
  }

  async lines(count: number): Promise<string[]> {
    const lines: string[] = [];
    while (lines.length < count) lines.push(await this.line());
    return lines;
  }

  /** Takes everything until the near side sends no more. */
  async rest(): Promise<Buffer> {
    await this.until(() => this.over);
    return this.take(this.#length);
  }
}

/** The endpoint of the near side in every test. */
export const HERE: Endpoint = { address: addressOf("192.168.1.17"), port: 50_000 };

/** A connection between somebody far away and the program that is tested. */
export function connection(from: Endpoint, clock?: Clock): { near: Side; far: Far } {
  const [near, side] = Side.pair(HERE, from, clock);
  return { near, far: new Far(near, side) };
}

/** A network on which everybody that is dialled answers, unless the test says otherwise. */
export class Net {
  /** Every attempt, in order. */
  readonly dialled: { address: string; port: number; at: number }[] = [];
  /** What becomes of an attempt: an error, nothing ever, or (undefined) a connection. */
  fate: (to: { address: string; port: number }) => FtError | "silence" | undefined = () => undefined;
  /** Called with each new connection; without it, connections wait for `next`. */
  onConnection: ((far: Far) => void) | undefined;
  readonly #clock: Clock | undefined;
  readonly #ready: Far[] = [];
  readonly #waiting: ((far: Far) => void)[] = [];

  constructor(clock?: Clock) {
    this.#clock = clock;
  }

  readonly dial: Dial = (to, { signal } = {}) => {
    this.dialled.push({ address: to.address, port: to.port, at: this.#clock?.at() ?? 0 });
    return new Promise((resolve, reject) => {
      const stop = () => reject(new FtError("cancelled", "stopped"));
      if (signal?.aborted) return stop();
      const fate = this.fate(to);
      if (fate instanceof FtError) return reject(fate);
      if (fate === "silence") return signal?.addEventListener("abort", stop, { once: true });
      const { near, far } = connection({ address: addressOf(to.address), port: to.port }, this.#clock);
      resolve(near);
      const taker = this.onConnection ?? this.#waiting.shift();
      if (taker === undefined) this.#ready.push(far);
      else taker(far);
    });
  };

  /** The next connection that is made. */
  next(): Promise<Far> {
    const far = this.#ready.shift();
    return far === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(far);
  }

  /** How many connections nobody has taken with `next`. */
  get untaken(): number {
    return this.#ready.length;
  }
}

/** What `dial` fails with when nothing listens. */
export const REFUSED = new FtError("unreachable", "nothing listens there (connection refused)");
