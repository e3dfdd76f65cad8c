// Makes a channel of a TCP socket of Bun. listen.ts and dial.ts open the sockets.
//
// Bun's `write` is one non-blocking send that queues nothing, so every channel has a bounded queue. Bun's `end` and `close` can lose
// bytes that it has taken, so a channel sends its FIN and waits for the other side's. Bun's timeouts close nothing, so deadlines.ts does.

import type { Socket } from "bun";
import { concatBytes } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import { sentenceOf } from "../error.ts";
import { type Address, type Endpoint, parseAddress, withoutZone } from "../protocol/address.ts";
import { BROKEN, type Channel, type ChannelHandlers, type ChannelLimits, type Secured } from "./channel.ts";
import { type Deadlines, deadlinesOf } from "./deadlines.ts";
import { JOINED_LIMIT, Outgoing } from "./outgoing.ts";

/** The system sends the first keep-alive probe after a silence of this length. Milliseconds. */
const KEEP_ALIVE_MS = 15_000;
/** After `finish` the other side may take this long to read the last bytes. Milliseconds. */
const FINISH_MS = 30_000;
/** The channel closes after this time with bytes to send and none taken, unless `limit` sets another time. Milliseconds. */
const USUAL_STALL_MS = 30_000;
/** The channel closes when more than this waits to be sent, unless `limit` sets another number. Bytes. */
const USUAL_BACKLOG = 1024 * 1024;
/** Before `start` is called, a channel stops receiving when it holds this amount. Bytes. */
const EARLY = 64 * 1024;
/** The value of a limit that is not set. */
const NEVER = Number.POSITIVE_INFINITY;

export class TcpChannel implements Channel {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  closed = false;
  ended = false;
  /** Its place among the connections that have deadlines. */
  place = -1;
  /** Set by the TLS handshake, before anybody gets the channel. */
  secured: Secured | undefined;
  readonly #socket: Socket<TcpChannel>;
  readonly #deadlines: Deadlines;
  readonly #onClosed: (channel: TcpChannel) => void;
  #handlers: ChannelHandlers | undefined;
  /** Chunks that came before there were handlers. */
  #early: { pieces: Uint8Array[]; bytes: number } | undefined;
  /** Made when something has to wait, because most channels have nothing to send most of the time. */
  #outgoing: Outgoing | undefined;
  #reason = "";

  #deadlineAt = NEVER;
  #idle = NEVER;
  #stall = USUAL_STALL_MS;
  #excess = NEVER;
  #backlogLimit = USUAL_BACKLOG;
  /** When bytes last came. NaN: after the last check. */
  #receivedAt: number;

  /** The other side has ended, and the handlers have not been told yet. */
  #endDue = false;
  /** The channel's FIN. When it is due, the channel takes nothing more to send; it sends its FIN after the queue. */
  #fin: "no" | "due" | "sent" = "no";
  #finishing = false;
  /** `pause` was called, and `resume` was not called since. */
  #paused = false;
  /** The socket does not receive: during a pause, or because EARLY bytes came before `start` was called. */
  #held = false;
  /** A handler runs. Bytes that it sends are written when it returns. */
  #corked = false;
  /** The system took less than it was given. It tells when there is room again. */
  #blocked = false;

  /** `address`: that of the other side, for a caller that has read it already. */
  constructor(
    socket: Socket<TcpChannel>,
    clock: Clock,
    onClosed: (channel: TcpChannel) => void = nothing,
    address = canonicalAddress(socket.remoteAddress),
  ) {
    this.#socket = socket;
    this.#deadlines = deadlinesOf(clock);
    this.#onClosed = onClosed;
    this.local = localEndpoint(socket);
    this.remote = { address, port: socket.remotePort };
    this.#receivedAt = this.#now();
    socket.data = this;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#deadlines.watch(this);
  }

  get backlog(): number {
    return this.#outgoing?.bytes ?? 0;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    if (this.ended) this.#endDue = true;
    // The handlers below may close the channel. Then it calls their `closed`.
    const wasClosed = this.closed;
    this.#catchUp();
    if (wasClosed) handlers.close?.(this.#reason);
  }

  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#early = { pieces: [bytes], bytes: bytes.length };
  }

  limit(limits: ChannelLimits): void {
    if ("deadline" in limits) this.#deadlineAt = this.#now() + (limits.deadline ?? NEVER);
    if ("idle" in limits) this.#idle = limits.idle ?? NEVER;
    if ("stall" in limits) this.#stall = limits.stall ?? NEVER;
    if ("excess" in limits) this.#excess = limits.excess ?? NEVER;
    if ("backlog" in limits) this.#backlogLimit = limits.backlog ?? NEVER;
  }

  send(bytes: Uint8Array | string): void {
    if (!this.#maySend || bytes.length === 0) return;
    this.#outgoing ??= new Outgoing();
    this.#outgoing.push(bytes);
    // A large queue is written within a handler, too: only bytes that the system does not take count against the reader.
    const isMuch = this.backlog >= Math.min(JOINED_LIMIT, this.#backlogLimit);
    if (!this.#blocked && (!this.#corked || isMuch)) this.#flush();
    if (this.backlog > this.#backlogLimit) this.destroy("it does not read its answers");
  }

  offer(bytes: Uint8Array): number {
    if (!this.#maySend) return 0;
    // Bytes sent within the same handler go first. If some of them stay, `drain` is called later.
    if (this.backlog > 0 && !this.#blocked) this.#flush();
    if (this.backlog > 0) return 0;
    const taken = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
    if (taken < bytes.length) this.#block(taken);
    else this.#unblock();
    return taken;
  }

  pause(): void {
    if (this.#paused || this.closed || this.#finishing) return;
    this.#paused = true;
    this.#holdOrReceive();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.#catchUp();
  }

  halfClose(): void {
    if (this.#fin === "no") this.#fin = "due";
    this.#flush();
  }

  finish(): void {
    if (this.closed || this.#finishing) return;
    this.#finishing = true;
    this.#paused = false;
    this.#holdOrReceive();
    this.limit({ idle: undefined });
    if (this.#fin === "sent") this.#part();
    else if (!this.#corked) this.halfClose();
  }

  destroy(reason = ""): void {
    if (this.closed) return;
    this.#reason = reason;
    // From here on only `close` is called.
    this.#finishing = true;
    this.#socket.terminate();
    // Depending on how far the connection had come, `terminate` tells the close at once or never.
    this.#gone("");
  }

  // -------------------------------------------------------------- called by the socket's events, and by Deadlines

  received(chunk: Uint8Array): void {
    this.#receivedAt = Number.NaN;
    if (this.#finishing && !this.closed) this.#throwAway(chunk.length);
    if (this.#finishing || this.closed) return;
    if (this.#handlers === undefined) {
      this.#early ??= { pieces: [], bytes: 0 };
      this.#early.pieces.push(chunk);
      this.#early.bytes += chunk.length;
      this.#holdOrReceive();
      return;
    }
    this.#corked = true;
    this.#handlers.data(chunk);
    this.#uncork();
  }

  remoteEnded(): void {
    if (this.ended) return;
    this.ended = true;
    this.#endDue = true;
    this.#catchUp();
    if (this.#fin === "sent" && !this.closed) this.#part();
  }

  writable(): void {
    // TLS says this at other times, too.
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#flush();
    if (this.backlog === 0 && !this.#blocked && !this.closed && this.#fin === "no") this.#handlers?.drain?.();
  }

  socketClosed(error: Error | undefined): void {
    if (this.closed) return;
    // Once our side is shut, Bun tells the other side's end only by this.
    if (error === undefined && this.#fin === "sent") this.remoteEnded();
    this.#gone(error === undefined ? "" : BROKEN);
  }

  check(now: number): void {
    if (Number.isNaN(this.#receivedAt)) this.#receivedAt = now;
    const waitedFrom = this.#outgoing?.takenAt ?? now;
    if (now - waitedFrom > this.#stall) this.destroy(`it took no byte for ${formatSeconds(this.#stall)}`);
    else if (now > this.#deadlineAt) this.#expire();
    else if (!this.#held && now - this.#receivedAt > this.#idle) this.destroy(`it was silent for ${formatSeconds(this.#idle)}`);
  }

  // -------------------------------------------------------------- receiving

  /** Hands over the chunks that came before there were handlers, or an end that came during a pause. */
  #catchUp(): void {
    const handlers = this.#handlers;
    const early = this.#early;
    if (handlers !== undefined && !this.#paused && (early !== undefined || this.#endDue)) {
      this.#early = undefined;
      this.#corked = true;
      // One piece, so that a handler that pauses gets nothing more.
      if (early !== undefined && !this.#finishing) handlers.data(concatBytes(early.pieces));
      if (this.#endDue && !this.#paused && !this.#finishing) {
        this.#endDue = false;
        handlers.end?.();
      }
      this.#uncork();
    }
    this.#holdOrReceive();
  }

  /** After `finish` the channel still reads, because otherwise the last answer could be lost. `excess` limits the number of bytes. */
  #throwAway(length: number): void {
    const left = this.#excess;
    this.#excess -= length;
    if (left < length) this.destroy("it did not stop sending");
  }

  /** Lets the socket receive, or stops it: during a pause, and when much came before `start` was called. */
  #holdOrReceive(): void {
    const isFull = this.#handlers === undefined && !this.#finishing && (this.#early?.bytes ?? 0) >= EARLY;
    const hold = this.#paused || isFull;
    if (this.closed || hold === this.#held) return;
    this.#receivedAt = this.#now();
    this.#held = hold;
    if (hold) this.#socket.pause();
    else this.#socket.resume();
  }

  // -------------------------------------------------------------- sending

  get #maySend(): boolean {
    return !this.closed && this.#fin === "no" && !this.#finishing;
  }

  #uncork(): void {
    this.#corked = false;
    if (this.closed) return;
    if (!this.#blocked) this.#flush();
    if (this.#finishing && this.#fin === "no") this.halfClose();
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    while (outgoing !== undefined && !outgoing.isEmpty) {
      const bytes = outgoing.next();
      const taken = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
      // The write may have closed the channel: the other side was gone.
      if (this.closed) return;
      outgoing.took(bytes, taken);
      if (taken < bytes.length) {
        this.#block(taken);
        return;
      }
    }
    if (this.closed) return;
    if (!this.#blocked) this.#unblock();
    if (this.#fin !== "due") return;
    this.#fin = "sent";
    this.#socket.shutdown();
    this.#part();
  }

  #block(taken: number): void {
    this.#outgoing ??= new Outgoing();
    if (taken > 0 || !this.#blocked) this.#outgoing.takenAt = this.#now();
    this.#blocked = true;
  }

  /** The network has taken everything. */
  #unblock(): void {
    this.#blocked = false;
    this.#outgoing = undefined;
  }

  // -------------------------------------------------------------- closing

  /** Called after our FIN. Closes if the other side has ended too. After `finish` the other side has FINISH_MS to do so. */
  #part(): void {
    if (this.ended) this.#socket.end();
    else if (this.#finishing) this.limit({ deadline: Math.min(FINISH_MS, this.#deadlineAt - this.#now()) });
  }

  #expire(): void {
    if (this.#finishing && this.#fin === "sent") this.#socket.end();
    else this.destroy("it took too long");
    this.#gone("");
  }

  #gone(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.#paused = false;
    this.#outgoing = undefined;
    this.#reason ||= reason;
    this.#deadlines.forget(this);
    this.#onClosed(this);
    this.#catchUp();
    const handlers = this.#handlers;
    // They may hold much memory, and the caller may keep the channel.
    this.#handlers = undefined;
    handlers?.close?.(this.#reason);
  }

  #now(): number {
    return this.#deadlines.now();
  }
}

function nothing(): void {}

/** Milliseconds for a person: `0.3 s`, `30 s`. */
export function formatSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** The last one that was made. Most connections of a listener have the same, and share it. */
let latest: Endpoint = { address: canonicalAddress(), port: 0 };

function localEndpoint({ localAddress, localPort }: Socket<TcpChannel>): Endpoint {
  const address = canonicalAddress(localAddress);
  if (latest.address !== address || latest.port !== localPort) latest = { address, port: localPort };
  return latest;
}

/** One form for keys and limits: an IPv4 address that came by an IPv6 socket is IPv4, and a zone means nothing to others. */
export function canonicalAddress(text = ""): Address {
  return withoutZone(parseAddress(text) ?? ("0.0.0.0" as Address));
}

/** The handlers of every socket. The channel is the socket's `data`, which a refused connection does not have. */
export const socketEvents = {
  binaryType: "uint8array" as const,
  data: (socket: Socket<TcpChannel>, chunk: Uint8Array) => socket.data?.received(chunk),
  end: (socket: Socket<TcpChannel>) => socket.data?.remoteEnded(),
  drain: (socket: Socket<TcpChannel>) => socket.data?.writable(),
  close: (socket: Socket<TcpChannel>, error?: Error) => socket.data?.socketClosed(error),
  // Bun calls this when a handler threw, and leaves the socket open.
  error: (socket: Socket<TcpChannel>, error: Error) => socket.data?.destroy(`this program failed: ${sentenceOf(error)}`),
  timeout: () => undefined,
};
