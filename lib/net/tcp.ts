// TCP: the only file that names Bun.listen and Bun.connect, and the place where their traps are known.
//
// A Bun socket's `write` is one non-blocking send that queues nothing, `end` and `close` can lose what was taken, timeouts
// fire once and close nothing, and keep-alive is off. So: one bounded queue a channel, an orderly shutdown that waits for the
// other side's FIN, and one wheel that watches every deadline.

import type { Socket } from "bun";
import { concatBytes } from "../bytes.ts";
import { sentenceOf } from "../error.ts";
import { type Address, type Endpoint, parseAddress, withoutZone } from "../protocol/address.ts";
import { BROKEN, type Channel, type ChannelHandlers, type ChannelLimits } from "./channel.ts";

const WHEEL_MS = 200;

const KEEP_ALIVE_MS = 15_000;

/** How long the other side may take to read the last bytes before it is left to the system. */
const FINISH_MS = 30_000;

const STALL_MS = 30_000;

const BACKLOG = 1024 * 1024;

/** Queued pieces are joined up to this size, so that many small answers are one write. */
const JOIN = 256 * 1024;

/** A piece of this length is written as it is: that costs less than copying it. */
const ALONE = 64 * 1024;

/** What is taken from the system before anybody has asked for it with `start`. */
const EARLY = 64 * 1024;

export const NEVER = Number.POSITIVE_INFINITY;

/** An array, because a set of thousands takes ten times the memory; who is closed leaves it when the wheel turns. */
const watched: TcpChannel[] = [];

let watchedOpen = 0;

let wheel: ReturnType<typeof setInterval> | undefined;

function watch(channel: TcpChannel): void {
  watched.push(channel);
  watchedOpen += 1;
  wheel ??= setInterval(turn, WHEEL_MS);
}

/** Called once a channel is closed. */
function unwatch(): void {
  watchedOpen -= 1;
  if (watchedOpen > 0) return;
  watched.length = 0;
  clearInterval(wheel);
  wheel = undefined;
}

function turn(): void {
  const now = performance.now();
  // A check may close channels, and whoever hears of it may open others.
  for (const channel of watched) if (!channel.closed) channel.check(now);
  if (watched.length > watchedOpen) forgetClosed();
}

function forgetClosed(): void {
  let kept = 0;
  for (const channel of watched) if (!channel.closed) watched[kept++] = channel;
  watched.length = kept;
}

type Piece = Uint8Array | string;

/** What waits to be sent on one channel. */
class Outgoing {
  readonly pieces: Piece[] = [];
  /** Of texts the length, until they are written. */
  bytes = 0;
  /** When the network last took some of it, or refused to take any. */
  takenAt = 0;
  /** Bytes of the last `next`. */
  size = 0;

  push(piece: Piece): void {
    this.pieces.push(piece);
    this.bytes += piece.length;
  }

  /** Takes what can be written at once off the front: a piece as it is, or the first `size` bytes of `scratch`. */
  next(): Uint8Array {
    const { pieces } = this;
    const first = pieces[0] ?? "";
    if (typeof first !== "string" && (pieces.length === 1 || first.length >= ALONE)) {
      this.size = first.length;
      // The usual case, and `shift` is slow.
      if (pieces.length === 1) pieces.pop();
      else pieces.shift();
      return first;
    }
    if (typeof first === "string" && first.length >= ALONE) {
      const bytes = Buffer.from(first);
      this.size = bytes.length;
      this.bytes += bytes.length - first.length;
      pieces.shift();
      return bytes;
    }
    this.#gather();
    return scratch;
  }

  /** What of it was not taken goes first the next time. */
  putBack(bytes: Uint8Array, taken: number): void {
    const rest = bytes.subarray(taken, this.size);
    // A copy, as others need `scratch` next; a Buffer's own `slice` would be none.
    this.pieces.unshift(bytes === scratch ? new Uint8Array(rest) : rest);
  }

  #gather(): void {
    let used = 0;
    this.size = 0;
    for (const piece of this.pieces) {
      const room = scratch.length - this.size;
      if (piece.length >= ALONE || piece.length * (typeof piece === "string" ? UTF8_MOST : 1) > room) break;
      this.size += typeof piece === "string" ? this.#write(piece) : this.#copy(piece);
      used += 1;
    }
    if (used === this.pieces.length) this.pieces.length = 0;
    else this.pieces.splice(0, used);
  }

  #write(text: string): number {
    const written = scratch.write(text, this.size);
    this.bytes += written - text.length;
    return written;
  }

  #copy(bytes: Uint8Array): number {
    scratch.set(bytes, this.size);
    return bytes.length;
  }
}

/** Bytes of UTF-8 that a unit of a string takes at most. */
const UTF8_MOST = 3;

/** Where small pieces are joined. The system copies them at once, so one is enough for all channels. */
const scratch = Buffer.allocUnsafeSlow(JOIN);

/** Most channels have nothing to send most of the time: this one goes round. */
let spare: Outgoing | undefined = new Outgoing();

function borrowOutgoing(): Outgoing {
  const outgoing = spare ?? new Outgoing();
  spare = undefined;
  return outgoing;
}

/** Limits that last; most channels have the same ones, and share them. Times in milliseconds. */
interface Terms {
  readonly idle: number;
  readonly stall: number;
  readonly excess: number;
  readonly backlog: number;
}

const USUAL: Terms = { idle: NEVER, stall: STALL_MS, excess: NEVER, backlog: BACKLOG };

const TERMS_KEPT = 64;

const sharedTerms = new Map<string, Terms>();

function shared(terms: Terms): Terms {
  const key = `${terms.idle} ${terms.stall} ${terms.excess} ${terms.backlog}`;
  const known = sharedTerms.get(key);
  if (known !== undefined) return known;
  if (sharedTerms.size >= TERMS_KEPT) sharedTerms.clear();
  sharedTerms.set(key, terms);
  return terms;
}

/** What is true of a channel: the bits of its state. */
const CLOSED = 1;

/** The other side has sent its last byte; */
const ENDED = 2;

/** the handlers have not been told of it yet. */
const END_DUE = 4;

/** Nothing more is accepted for sending, and our end is said after what is queued; */
const SHUTTING = 8;

/** it has been said. */
const SHUT = 16;

const FINISHING = 32;

const PAUSED = 64;

/** The socket is paused: by `pause`, or because nobody has called `start`. */
const HELD = 128;

/** Within a `data` call: what is sent is written at its end. */
const CORKED = 256;

/** The system took less than it was given: `drain` tells when to go on. */
const BLOCKED = 512;

/** A byte came since the wheel's last turn. */
const HEARD = 1024;

/** Where a channel came in, or went out: what those that came the same way have in common. */
export interface Door {
  readonly local: Endpoint;
  /** A channel that came this way is closed. */
  left(remote: Address): void;
}

/** Thousands of these are idle at once, so they are small: what only some need is made when they need it. */
export class TcpChannel implements Channel {
  readonly #socket: Socket<TcpChannel>;
  readonly #door: Door;
  readonly #address: Address;
  readonly #port: number;
  #handlers: ChannelHandlers | undefined;
  /** What came before there were handlers. */
  #early: { pieces: Uint8Array[]; bytes: number } | undefined;
  #outgoing: Outgoing | undefined;
  #state = 0;
  #terms = USUAL;
  #deadlineAt = NEVER;
  /** To the wheel's grain. */
  #receivedAt = performance.now();
  #reason = "";

  constructor(socket: Socket<TcpChannel>, address: Address, door: Door) {
    this.#socket = socket;
    this.#door = door;
    this.#address = address;
    this.#port = socket.remotePort;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    watch(this);
  }

  /** Made when it is asked for: it is larger than what it is made of. */
  get remote(): Endpoint {
    return { address: this.#address, port: this.#port };
  }

  get local(): Endpoint {
    return this.#door.local;
  }

  get closed(): boolean {
    return this.#is(CLOSED);
  }

  get ended(): boolean {
    return this.#is(ENDED);
  }

  get backlog(): number {
    return this.#outgoing?.bytes ?? 0;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    if (this.#is(ENDED)) this.#set(END_DUE);
    // The handlers below may close the channel, which tells `close` by itself.
    const wasClosed = this.#is(CLOSED);
    this.#catchUp();
    if (wasClosed) handlers.close?.(this.#reason);
  }

  limit(limits: ChannelLimits): void {
    if ("deadline" in limits) this.#deadlineAt = performance.now() + (limits.deadline ?? NEVER);
    const { idle, stall, excess, backlog } = this.#terms;
    this.#terms = shared({
      idle: "idle" in limits ? (limits.idle ?? NEVER) : idle,
      stall: "stall" in limits ? (limits.stall ?? NEVER) : stall,
      excess: "excess" in limits ? (limits.excess ?? NEVER) : excess,
      backlog: "backlog" in limits ? (limits.backlog ?? NEVER) : backlog,
    });
  }

  send(bytes: Uint8Array | string): void {
    if (this.#is(CLOSED | SHUTTING | FINISHING) || bytes.length === 0) return;
    this.#outgoing ??= borrowOutgoing();
    this.#outgoing.push(bytes);
    // Also within a `data` call the system gets what it takes; only what it does not take counts against the reader.
    if (!this.#is(BLOCKED) && (!this.#is(CORKED) || this.backlog >= Math.min(JOIN, this.#terms.backlog))) this.#flush();
    if (this.backlog > this.#terms.backlog) this.destroy("it does not read its answers");
  }

  offer(bytes: Uint8Array): number {
    if (this.#is(CLOSED | SHUTTING | FINISHING)) return 0;
    // What was sent within the same `data` call goes first. If some of it stays, `drain` will tell; if it only waited for the
    // end of the call, nothing would.
    if (this.backlog > 0 && !this.#is(BLOCKED)) this.#flush();
    if (this.backlog > 0) return 0;
    const taken = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
    if (taken < bytes.length) this.#block(taken);
    else this.#unblock();
    return taken;
  }

  pause(): void {
    if (this.#is(PAUSED | CLOSED | FINISHING)) return;
    this.#set(PAUSED);
    this.#turnTap();
  }

  resume(): void {
    if (!this.#is(PAUSED) || this.#is(CLOSED)) return;
    this.#clear(PAUSED);
    this.#catchUp();
  }

  halfClose(): void {
    this.#set(SHUTTING);
    this.#flush();
  }

  finish(): void {
    if (this.#is(CLOSED | FINISHING)) return;
    this.#set(FINISHING);
    this.#clear(PAUSED);
    this.#turnTap();
    this.limit({ idle: undefined });
    if (this.#is(SHUT)) this.#part();
    else if (!this.#is(CORKED)) this.halfClose();
  }

  destroy(reason = ""): void {
    if (this.#is(CLOSED)) return;
    this.#reason = reason;
    // Nothing but `close` is told from here on.
    this.#set(FINISHING);
    this.#socket.terminate();
    // `terminate` tells the close handler at once or never, depending on how far the connection had come.
    this.gone("");
  }

  /** Socket events and the wheel, below: called by this file only. */

  received(chunk: Uint8Array): void {
    this.#set(HEARD);
    if (this.#is(FINISHING) && !this.#is(CLOSED)) this.#throwAway(chunk.length);
    if (this.#is(FINISHING | CLOSED)) return;
    if (this.#handlers === undefined) {
      this.#keep(chunk);
      return;
    }
    this.#set(CORKED);
    this.#handlers.data(chunk);
    this.#uncork();
  }

  remoteEnded(): void {
    if (this.#is(ENDED)) return;
    this.#set(ENDED | END_DUE);
    this.#catchUp();
    if (this.#is(SHUT) && !this.#is(CLOSED)) this.#part();
  }

  /** The socket is closed. Once our side is shut, Bun tells the other side's end by this alone. */
  over(error: Error | undefined): void {
    if (this.#is(CLOSED)) return;
    if (error === undefined && this.#is(SHUT)) this.remoteEnded();
    this.gone(error === undefined ? "" : BROKEN);
  }

  writable(): void {
    this.#clear(BLOCKED);
    this.#flush();
    if (this.backlog === 0 && !this.#is(BLOCKED | CLOSED | SHUTTING)) this.#handlers?.drain?.();
  }

  gone(reason: string): void {
    if (this.#is(CLOSED)) return;
    this.#set(CLOSED);
    this.#clear(PAUSED);
    this.#outgoing = undefined;
    this.#reason ||= reason;
    unwatch();
    this.#door.left(this.#address);
    this.#catchUp();
    const handlers = this.#handlers;
    // What they hold on to may be much, and the wheel remembers the channel for a moment.
    this.#handlers = undefined;
    handlers?.close?.(this.#reason);
  }

  check(now: number): void {
    if (this.#is(HEARD)) {
      this.#clear(HEARD);
      this.#receivedAt = now;
    }
    const { idle, stall } = this.#terms;
    const outgoing = this.#outgoing;
    if (outgoing !== undefined && now - outgoing.takenAt > stall) this.destroy(`it took no byte for ${seconds(stall)}`);
    else if (now > this.#deadlineAt) this.#expire();
    else if (!this.#is(HELD) && now - this.#receivedAt > idle) this.destroy(`it was silent for ${seconds(idle)}`);
  }

  #is(any: number): boolean {
    return (this.#state & any) !== 0;
  }

  #set(bits: number): void {
    this.#state |= bits;
  }

  #clear(bits: number): void {
    this.#state &= ~bits;
  }

  #keep(chunk: Uint8Array): void {
    this.#early ??= { pieces: [], bytes: 0 };
    this.#early.pieces.push(chunk);
    this.#early.bytes += chunk.length;
    this.#turnTap();
  }

  /** Hands over what came before there were handlers, or an end that a pause held back. */
  #catchUp(): void {
    const handlers = this.#handlers;
    const early = this.#early;
    if (handlers !== undefined && !this.#is(PAUSED) && (early !== undefined || this.#is(END_DUE))) {
      this.#early = undefined;
      this.#set(CORKED);
      // One piece, so that a handler that pauses gets nothing more.
      if (early !== undefined && !this.#is(FINISHING)) handlers.data(concatBytes(early.pieces));
      if (this.#is(END_DUE) && !this.#is(PAUSED | FINISHING)) {
        this.#clear(END_DUE);
        handlers.end?.();
      }
      this.#uncork();
    }
    this.#turnTap();
  }

  /** What comes after `finish` is read, so that the last answer arrives; from a stranger only so much of it. */
  #throwAway(length: number): void {
    const { excess } = this.#terms;
    if (excess === NEVER) return;
    this.#terms = { ...this.#terms, excess: excess - length };
    if (excess < length) this.destroy("it did not stop sending");
  }

  /** Lets the socket receive, or not: nobody may want more for now, or nobody be there yet. */
  #turnTap(): void {
    const early = this.#handlers === undefined && !this.#is(FINISHING) && (this.#early?.bytes ?? 0) >= EARLY;
    const held = this.#is(PAUSED) || early;
    if (this.#is(CLOSED) || held === this.#is(HELD)) return;
    this.#receivedAt = performance.now();
    if (held) {
      this.#set(HELD);
      this.#socket.pause();
    } else {
      this.#clear(HELD);
      this.#socket.resume();
    }
  }

  /** Our side is shut: it is over if the other's is too, else the other side has a while to follow. */
  #part(): void {
    if (this.#is(ENDED)) this.#socket.end();
    else if (this.#is(FINISHING)) this.limit({ deadline: Math.min(FINISH_MS, this.#deadlineAt - performance.now()) });
  }

  #expire(): void {
    if (this.#is(FINISHING) && this.#is(SHUT)) this.#socket.end();
    else this.destroy("it took too long");
    this.gone("");
  }

  #uncork(): void {
    this.#clear(CORKED);
    if (this.#is(CLOSED)) return;
    if (!this.#is(BLOCKED)) this.#flush();
    if (this.#is(FINISHING) && !this.#is(SHUTTING)) this.halfClose();
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    while (outgoing !== undefined && outgoing.pieces.length > 0) {
      const bytes = outgoing.next();
      const taken = Math.max(0, this.#socket.write(bytes, 0, outgoing.size));
      // The write itself may have found out that nobody is there.
      if (this.#is(CLOSED)) return;
      outgoing.bytes -= taken;
      if (taken < outgoing.size) {
        outgoing.putBack(bytes, taken);
        this.#block(taken);
        return;
      }
    }
    if (this.#is(CLOSED)) return;
    if (!this.#is(BLOCKED)) this.#unblock();
    if (!this.#is(SHUTTING) || this.#is(SHUT)) return;
    this.#set(SHUT);
    this.#socket.shutdown();
    this.#part();
  }

  #block(taken: number): void {
    this.#outgoing ??= borrowOutgoing();
    if (taken > 0 || !this.#is(BLOCKED)) this.#outgoing.takenAt = performance.now();
    this.#set(BLOCKED);
  }

  /** Everything is taken. */
  #unblock(): void {
    this.#clear(BLOCKED);
    spare ??= this.#outgoing;
    this.#outgoing = undefined;
  }
}

export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** One form for keys and limits: IPv4 that came by an IPv6 socket is IPv4, and a zone means nothing to anybody else. */
export function canonical(text = ""): Address {
  const dotted = text.startsWith("::ffff:") ? text.slice("::ffff:".length) : text;
  return withoutZone(parseAddress(dotted) ?? parseAddress(text) ?? ("0.0.0.0" as Address));
}

export function localEnd(socket: Socket<TcpChannel>): Endpoint {
  return { address: canonical(socket.localAddress), port: socket.localPort };
}

/** The handlers that every socket shares; the channel is its `data`. */
export const socketEvents = {
  binaryType: "uint8array" as const,
  data: (socket: Socket<TcpChannel>, chunk: Uint8Array) => socket.data?.received(chunk),
  end: (socket: Socket<TcpChannel>) => socket.data?.remoteEnded(),
  drain: (socket: Socket<TcpChannel>) => socket.data?.writable(),
  close: (socket: Socket<TcpChannel>, error?: Error) => socket.data?.over(error),
  // Bun calls this when a handler threw, and leaves the socket open.
  error: (socket: Socket<TcpChannel>, error: Error) => socket.data?.destroy(`this program failed: ${sentenceOf(error)}`),
  timeout: () => undefined,
};
