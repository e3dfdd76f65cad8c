// TCP: the only file that names Bun.listen and Bun.connect, and the place where their traps are known.
//
// A Bun socket's `write` is one non-blocking send that queues nothing, `end` and `close` can lose what was taken, timeouts
// fire once and close nothing, and keep-alive is off. So: one bounded queue a channel, an orderly shutdown that waits for the
// other side's FIN, and one wheel that watches every deadline.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { BROKEN, type Channel, type ChannelHandlers, type ChannelLimits } from "./channel.ts";
import { systemClock } from "./clock.ts";
import { codeOf, FtError, sentenceOf } from "./error.ts";
import { concatBytes } from "./frame.ts";
import { Allowance } from "./rate.ts";
import { type Address, type Endpoint, formatEndpoint, parseAddress, withoutZone } from "./record.ts";

const WHEEL_MS = 200;
const KEEP_ALIVE_MS = 15_000;
const CONNECT_MS = 5_000;
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
/** Descriptors kept free for files, workers and the terminal. */
const DESCRIPTORS_KEPT = 128;
/** Refused connections that are told why: as many at once, and as many a second after so many. */
const TELLING = 256;
const TOLD_PER_S = 64;
const REFUSED_MS = 2_000;
/** The others linger, as many as there is room for, and at most; of them this share, the oldest, is let go every so often. */
const LINGERING_LEAST = 32;
const LINGERING_MOST = 2048;
const RELEASED = 0.1;
const RELEASE_MS = 10;
/** Local addresses that are remembered. */
const DOORS_KEPT = 256;
const NEVER = Number.POSITIVE_INFINITY;

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
interface Door {
  readonly local: Endpoint;
  /** A channel that came this way is closed. */
  left(remote: Address): void;
}

/** Thousands of these are idle at once, so they are small: what only some need is made when they need it. */
class TcpChannel implements Channel {
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

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** One form for keys and limits: IPv4 that came by an IPv6 socket is IPv4, and a zone means nothing to anybody else. */
function canonical(text = ""): Address {
  const dotted = text.startsWith("::ffff:") ? text.slice("::ffff:".length) : text;
  return withoutZone(parseAddress(dotted) ?? parseAddress(text) ?? ("0.0.0.0" as Address));
}

function localEnd(socket: Socket<TcpChannel>): Endpoint {
  return { address: canonical(socket.localAddress), port: socket.localPort };
}

/** The handlers that every socket shares; the channel is its `data`. */
const socketEvents = {
  binaryType: "uint8array" as const,
  data: (socket: Socket<TcpChannel>, chunk: Uint8Array) => socket.data?.received(chunk),
  end: (socket: Socket<TcpChannel>) => socket.data?.remoteEnded(),
  drain: (socket: Socket<TcpChannel>) => socket.data?.writable(),
  close: (socket: Socket<TcpChannel>, error?: Error) => socket.data?.over(error),
  // Bun calls this when a handler threw, and leaves the socket open.
  error: (socket: Socket<TcpChannel>, error: Error) => socket.data?.destroy(`this program failed: ${sentenceOf(error)}`),
  timeout: () => undefined,
};

export interface ListenOptions {
  /** Undefined: every interface, IPv4 and, where the machine has it, IPv6. */
  host?: string | undefined;
  /** 0 takes a free one. */
  port: number;
  maxConnections?: number;
  maxPerAddress?: number;
  onConnection(channel: Channel): void;
  /** What a refused connection is told before it is closed; `reason` is a clause for a person. */
  onRefused?(code: RefusalCode, remote: Endpoint): string;
}

/** An address with connections here. */
interface Guest {
  readonly address: Address;
  open: number;
}

export type RefusalCode = "too-many-connections" | "tracker-full";

export interface Listener {
  readonly address: string;
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Accepts no more; the open ones go on. */
  stop(): void;
}

/**
 * Listens for TCP connections, at most `maxPerAddress` from one address and, in all, as many as leave 128 descriptors free.
 * Throws a sentence when the port is taken or the address is not this machine's.
 */
export function listen(options: ListenOptions): Listener {
  const descriptors = descriptorLimit();
  const tellingLimit = Math.min(TELLING, descriptors / 8);
  const most = Math.max(8, descriptors - DESCRIPTORS_KEPT);
  const limit = Math.min(options.maxConnections ?? NEVER, most);
  const guests = new Map<Address, Guest>();
  const doors = new Map<string, Door>();
  const tellings = new Allowance(TOLD_PER_S, TELLING, systemClock);
  const lingering = new Set<Socket<TcpChannel>>();
  let releasing: ReturnType<typeof setInterval> | undefined;
  let open = 0;
  let telling = 0;

  function accept(socket: Socket<TcpChannel>): void {
    const from: string | undefined = socket.remoteAddress;
    if (from === undefined) {
      // It was reset before it was accepted.
      socket.terminate();
      return;
    }
    const address = canonical(from);
    const guest = guests.get(address) ?? { address, open: 0 };
    const code: RefusalCode | undefined =
      guest.open >= (options.maxPerAddress ?? NEVER)
        ? "too-many-connections"
        : open >= limit || open + lingering.size >= most
          ? "tracker-full"
          : undefined;
    if (code !== undefined) {
      refuse(socket, address, code);
      return;
    }
    open += 1;
    guest.open += 1;
    guests.set(address, guest);
    const channel = new TcpChannel(socket, guest.address, doorOf(socket));
    socket.data = channel;
    options.onConnection(channel);
  }

  /** One for each address of this machine; they are few, except where a whole network is routed to it. */
  function doorOf(socket: Socket<TcpChannel>): Door {
    const key = socket.localAddress;
    const known = doors.get(key);
    if (known !== undefined) return known;
    if (doors.size >= DOORS_KEPT) doors.clear();
    const door: Door = { local: localEnd(socket), left };
    doors.set(key, door);
    return door;
  }

  function left(address: Address): void {
    open -= 1;
    const guest = guests.get(address);
    if (guest === undefined) return;
    guest.open -= 1;
    if (guest.open === 0) guests.delete(address);
  }

  function refuse(socket: Socket<TcpChannel>, address: Address, code: RefusalCode): void {
    const words = options.onRefused?.(code, { address, port: socket.remotePort }) ?? "";
    if (words !== "" && telling < tellingLimit && tellings.take()) tell(socket, address, words);
    else if (lingering.size < Math.min(LINGERING_MOST, Math.max(LINGERING_LEAST, most - open))) linger(socket);
    else socket.terminate();
  }

  function tell(socket: Socket<TcpChannel>, address: Address, words: string): void {
    telling += 1;
    const aside: Door = { local: localEnd(socket), left: () => (telling -= 1) };
    const channel = new TcpChannel(socket, address, aside);
    socket.data = channel;
    channel.limit({ deadline: REFUSED_MS });
    channel.send(words);
    channel.finish();
  }

  /**
   * In a flood nobody hears why. Bun accepts connections until none waits any more, and serves nobody meanwhile; who is cut off
   * at once may be back before that, again and again. So the refused are let go later, and a few at a time.
   */
  function linger(socket: Socket<TcpChannel>): void {
    lingering.add(socket);
    releasing ??= setInterval(release, RELEASE_MS);
  }

  function release(): void {
    let due = Math.ceil(lingering.size * RELEASED);
    for (const socket of lingering) {
      if (due === 0) break;
      due -= 1;
      lingering.delete(socket);
      socket.terminate();
    }
    if (lingering.size > 0) return;
    clearInterval(releasing);
    releasing = undefined;
  }

  const bind = (hostname: string) =>
    Bun.listen<TcpChannel>({
      hostname,
      port: options.port,
      allowHalfOpen: true,
      exclusive: true,
      socket: {
        ...socketEvents,
        open: accept,
        close: (socket, error) => {
          lingering.delete(socket);
          socketEvents.close(socket, error);
        },
      },
    });
  try {
    const server = options.host === undefined ? bindEverywhere(bind) : bind(options.host);
    return {
      address: server.hostname,
      port: server.port,
      get connections() {
        return open;
      },
      stop: () => server.stop(),
    };
  } catch (error) {
    throw listenError(error, options);
  }
}

/** On `::` IPv4 comes as well; a machine without IPv6 refuses it. */
function bindEverywhere<Server>(bind: (hostname: string) => Server): Server {
  try {
    return bind("::");
  } catch (error) {
    if (["EADDRINUSE", "EACCES", "EPERM"].includes(codeOf(error))) throw error;
    return bind("0.0.0.0");
  }
}

function listenError(error: unknown, { host = "::", port }: ListenOptions): FtError {
  const where = formatEndpoint({ address: host, port });
  const code = codeOf(error);
  if (code === "EADDRINUSE") {
    return new FtError("port-in-use", `Cannot listen on "${where}": the port is in use. Choose another with --port.`);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new FtError("port-forbidden", `Cannot listen on "${where}": the system forbids this port. Choose one above 1023.`);
  }
  return new FtError("bad-host", `Cannot listen on "${where}": this machine has no such address. Check --host.`);
}

/**
 * Connects within `timeoutMs`. Fails with an `FtError` whose message is a clause (`connection refused`), for the caller to say
 * what was wanted from whom.
 */
export function dial(
  { address, port }: { address: string; port: number },
  { timeoutMs = CONNECT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<Channel> {
  return new Promise((resolve, reject) => {
    const from = performance.now();
    let settled = false;
    const settle = (act: () => void) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      act();
    };
    const abort = () => settle(() => reject(new FtError("cancelled", "stopped")));
    const timer = setTimeout(
      () => settle(() => reject(new FtError("no-answer", `no answer within ${seconds(timeoutMs)}`))),
      timeoutMs,
    );
    if (signal?.aborted) {
      abort();
      return;
    }
    signal?.addEventListener("abort", abort);
    // `Promise.try`, because a port or an address that cannot be is thrown, not rejected.
    Promise.try(() =>
      Bun.connect<TcpChannel>({
        hostname: address,
        port,
        allowHalfOpen: true,
        socket: {
          ...socketEvents,
          open: (socket) => {
            if (settled) {
              socket.terminate();
              return;
            }
            const door: Door = { local: localEnd(socket), left: () => undefined };
            const channel = new TcpChannel(socket, canonical(socket.remoteAddress), door);
            socket.data = channel;
            settle(() => resolve(channel));
          },
          connectError: (_socket, error) => settle(() => reject(connectError(error, performance.now() - from))),
        },
      }),
    ).catch((error: unknown) => settle(() => reject(connectError(error, performance.now() - from))));
  });
}

/** Longer than this no refusal takes to come. */
const REFUSAL_MS = 900;

function connectError(error: unknown, took: number): FtError {
  // Bun says ECONNREFUSED for a host that does not answer on its own network, too.
  const code = codeOf(error) === "ECONNREFUSED" && took > REFUSAL_MS ? "EHOSTUNREACH" : codeOf(error);
  const clause: Record<string, string> = {
    ECONNREFUSED: "nothing listens there (connection refused)",
    EHOSTUNREACH: "the host cannot be reached",
    ENETUNREACH: "there is no network to it",
    ETIMEDOUT: "no answer",
    ENOTFOUND: "no host has that name",
    EAI_AGAIN: "no host has that name, as far as one can tell now",
    EAI_NONAME: "no host has that name",
    EMFILE: "this program has too many files open",
  };
  const fallback = code.startsWith("DNS") ? "no host has that name" : "the connection could not be made";
  return new FtError("unreachable", clause[code] ?? fallback, { cause: error });
}

/** How many descriptors this process may open. Bun has raised the soft limit to the hard one already. */
export function descriptorLimit(): number {
  try {
    const match = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return match?.[1] === undefined || match[1] === "unlimited" ? 65_536 : Number(match[1]);
  } catch {
    // Not Linux: macOS gives a process 10,240 at the most, and Windows sets no limit that matters here.
    return 10_240;
  }
}
