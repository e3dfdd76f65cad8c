// TCP: the only file that names Bun.listen and Bun.connect, and the place where their traps are known.
//
// A Bun socket's `write` is one non-blocking send that queues nothing, `end` and `close` can lose what was taken, timeouts
// fire once and close nothing, and keep-alive is off. So: one bounded queue a channel, an orderly shutdown that waits for the
// other side's FIN, and one wheel that watches every deadline.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { BROKEN, type Channel, type ChannelHandlers, type ChannelLimits } from "./channel.ts";
import { codeOf, FtError, sentenceOf } from "./error.ts";
import { concatBytes } from "./frame.ts";
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
/** What is taken from the system before anybody has asked for it with `start`. */
const EARLY = 64 * 1024;
/** Descriptors kept free for files, workers and the terminal. */
const DESCRIPTORS_KEPT = 128;
/** Refused connections that may wait to be told why. */
const REFUSED_WAITING = 64;
const REFUSED_MS = 2_000;

const encoder = new TextEncoder();
const watched = new Set<TcpChannel>();
let wheel: ReturnType<typeof setInterval> | undefined;

function watch(channel: TcpChannel): void {
  watched.add(channel);
  wheel ??= setInterval(turn, WHEEL_MS);
}

function unwatch(channel: TcpChannel): void {
  watched.delete(channel);
  if (watched.size > 0) return;
  clearInterval(wheel);
  wheel = undefined;
}

function turn(): void {
  const now = performance.now();
  for (const channel of watched) channel.check(now);
}

class TcpChannel implements Channel {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly #socket: Socket<TcpChannel>;
  #handlers: ChannelHandlers | undefined;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  /** The end that the handlers have not been told of yet. */
  #endDue = false;
  #queue: (Uint8Array | string)[] = [];
  #backlog = 0;
  #corked = false;
  #closed = false;
  #ended = false;
  #shut = false;
  #shutting = false;
  #finishing = false;
  #paused = false;
  /** The socket is paused: by `pause`, or because nobody has called `start`. */
  #held = false;
  #blocked = false;
  #deadlineAt = Number.POSITIVE_INFINITY;
  #idleMs = Number.POSITIVE_INFINITY;
  #stallMs = STALL_MS;
  #backlogLimit = BACKLOG;
  #receivedAt = performance.now();
  #sentAt = performance.now();
  #reason = "";
  #excess = Number.POSITIVE_INFINITY;
  onClosed: (() => void) | undefined;

  constructor(socket: Socket<TcpChannel>) {
    this.#socket = socket;
    this.remote = endpointOf(socket.remoteAddress, socket.remotePort);
    this.local = endpointOf(socket.localAddress, socket.localPort);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    watch(this);
  }

  get closed(): boolean {
    return this.#closed;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get backlog(): number {
    return this.#backlog;
  }

  start(handlers: ChannelHandlers): void {
    this.#handlers = handlers;
    this.#endDue = this.#ended;
    // The handlers below may close the channel, which tells `close` by itself.
    const wasClosed = this.#closed;
    this.#catchUp();
    if (wasClosed) handlers.close?.(this.#reason);
  }

  limit(limits: ChannelLimits): void {
    const now = performance.now();
    if ("deadline" in limits) this.#deadlineAt = now + (limits.deadline ?? Number.POSITIVE_INFINITY);
    if ("idle" in limits) this.#idleMs = limits.idle ?? Number.POSITIVE_INFINITY;
    if ("stall" in limits) this.#stallMs = limits.stall ?? Number.POSITIVE_INFINITY;
    if ("excess" in limits) this.#excess = limits.excess ?? Number.POSITIVE_INFINITY;
    if ("backlog" in limits) this.#backlogLimit = limits.backlog ?? Number.POSITIVE_INFINITY;
  }

  send(bytes: Uint8Array | string): void {
    if (this.#closed || this.#shutting || this.#finishing || bytes.length === 0) return;
    if (this.#backlog === 0) this.#sentAt = performance.now();
    this.#queue.push(bytes);
    this.#backlog += bytes.length;
    // Also within a `data` call the system gets what it takes; only what it does not take counts against the reader.
    if (!this.#blocked && (!this.#corked || this.#backlog >= JOIN)) this.#flush();
    if (this.#backlog > this.#backlogLimit) this.destroy("it does not read its answers");
  }

  offer(bytes: Uint8Array): number {
    if (this.#closed || this.#shutting || this.#finishing) return 0;
    // What was sent within the same `data` call goes first. If some of it stays, `drain` will tell; if it only waited for the
    // end of the call, nothing would.
    if (this.#backlog > 0 && !this.#blocked) this.#flush();
    if (this.#backlog > 0) return 0;
    const taken = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
    if (taken > 0 || !this.#blocked) this.#sentAt = performance.now();
    this.#blocked = taken < bytes.length;
    return taken;
  }

  pause(): void {
    if (this.#paused || this.#closed || this.#finishing) return;
    this.#paused = true;
    this.#turnTap();
  }

  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    this.#catchUp();
  }

  halfClose(): void {
    this.#shutting = true;
    this.#flush();
  }

  finish(): void {
    if (this.#closed || this.#finishing) return;
    this.#finishing = true;
    this.#paused = false;
    this.#turnTap();
    this.#idleMs = Number.POSITIVE_INFINITY;
    if (this.#shut) this.#part();
    else if (!this.#corked) this.halfClose();
  }

  destroy(reason = ""): void {
    if (this.#closed) return;
    this.#reason = reason;
    // Nothing but `close` is told from here on.
    this.#finishing = true;
    this.#socket.terminate();
    // `terminate` tells the close handler at once or never, depending on how far the connection had come.
    this.gone("");
  }

  /** Socket events and the wheel, below: called by this file only. */

  received(chunk: Uint8Array): void {
    this.#receivedAt = performance.now();
    if (this.#finishing && !this.#closed) this.#throwAway(chunk.length);
    if (this.#finishing || this.#closed) return;
    if (this.#handlers === undefined) {
      this.#early.push(chunk);
      this.#earlyBytes += chunk.length;
      this.#turnTap();
      return;
    }
    this.#corked = true;
    this.#handlers.data(chunk);
    this.#uncork();
  }

  remoteEnded(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endDue = true;
    this.#catchUp();
    if (this.#shut && !this.#closed) this.#part();
  }

  /** The socket is closed. Once our side is shut, Bun tells the other side's end by this alone. */
  over(error: Error | undefined): void {
    if (this.#closed) return;
    if (error === undefined && this.#shut) this.remoteEnded();
    this.gone(error === undefined ? "" : BROKEN);
  }

  writable(): void {
    this.#blocked = false;
    this.#flush();
    if (this.#backlog === 0 && !this.#blocked && !this.#closed && !this.#shutting) this.#handlers?.drain?.();
  }

  gone(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#paused = false;
    this.#queue = [];
    this.#backlog = 0;
    this.#reason ||= reason;
    unwatch(this);
    this.onClosed?.();
    this.#catchUp();
    this.#handlers?.close?.(this.#reason);
  }

  check(now: number): void {
    const waitsToSend = this.#blocked || this.#backlog > 0;
    if (waitsToSend && now - this.#sentAt > this.#stallMs) this.destroy(`it took no byte for ${seconds(this.#stallMs)}`);
    else if (now > this.#deadlineAt) this.#expire();
    else if (!this.#held && now - this.#receivedAt > this.#idleMs) this.destroy(`it was silent for ${seconds(this.#idleMs)}`);
  }

  /** Hands over what came before there were handlers, or an end that a pause held back. */
  #catchUp(): void {
    const handlers = this.#handlers;
    if (handlers !== undefined && !this.#paused && (this.#early.length > 0 || this.#endDue)) {
      const early = this.#early;
      this.#early = [];
      this.#earlyBytes = 0;
      this.#corked = true;
      // One piece, so that a handler that pauses gets nothing more.
      if (early.length > 0 && !this.#finishing) handlers.data(concatBytes(early));
      if (this.#endDue && !this.#paused && !this.#finishing) {
        this.#endDue = false;
        handlers.end?.();
      }
      this.#uncork();
    }
    this.#turnTap();
  }

  /** What comes after `finish` is read, so that the last answer arrives; from a stranger only so much of it. */
  #throwAway(length: number): void {
    this.#excess -= length;
    if (this.#excess < 0) this.destroy("it did not stop sending");
  }

  /** Lets the socket receive, or not: nobody may want more for now, or nobody be there yet. */
  #turnTap(): void {
    const early = this.#handlers === undefined && !this.#finishing && this.#earlyBytes >= EARLY;
    const held = this.#paused || early;
    if (this.#closed || held === this.#held) return;
    this.#held = held;
    this.#receivedAt = performance.now();
    if (held) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Our side is shut: it is over if the other's is too, else the other side has a while to follow. */
  #part(): void {
    if (this.#ended) this.#socket.end();
    else if (this.#finishing) this.limit({ deadline: Math.min(FINISH_MS, this.#deadlineAt - performance.now()) });
  }

  #expire(): void {
    if (this.#finishing && this.#shut) this.#socket.end();
    else this.destroy("it took too long");
    this.gone("");
  }

  #uncork(): void {
    this.#corked = false;
    if (this.#closed) return;
    if (!this.#blocked) this.#flush();
    if (this.#finishing && !this.#shutting) this.halfClose();
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#closed) {
      const bytes = this.#join();
      const taken = Math.max(0, this.#socket.write(bytes, 0, bytes.length));
      if (taken > 0) this.#sentAt = performance.now();
      this.#backlog -= taken;
      if (taken < bytes.length) {
        this.#queue.unshift(bytes.subarray(taken));
        this.#blocked = true;
        return;
      }
    }
    if (this.#closed) return;
    if (!this.#shutting || this.#shut || this.#backlog > 0) return;
    this.#shut = true;
    this.#socket.shutdown();
    this.#part();
  }

  /** The front of the queue as one piece; `#backlog` counts bytes, also of what was queued as text. */
  #join(): Uint8Array {
    const pieces: Uint8Array[] = [];
    let size = 0;
    while (this.#queue.length > 0 && size < JOIN) {
      const first = this.#queue.shift() ?? "";
      if (typeof first !== "string") {
        pieces.push(first);
        size += first.length;
        continue;
      }
      let text = first;
      while (typeof this.#queue[0] === "string" && text.length < JOIN) text += this.#queue.shift();
      const bytes = encoder.encode(text);
      this.#backlog += bytes.length - text.length;
      pieces.push(bytes);
      size += bytes.length;
    }
    return concatBytes(pieces);
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

function endpointOf(address: string | undefined, port: number | undefined): Endpoint {
  // One form for keys and limits: IPv4 that came by an IPv6 socket is IPv4, and a zone means nothing to anybody else.
  return { address: withoutZone(parseAddress(address ?? "") ?? ("0.0.0.0" as Address)), port: port ?? 0 };
}

/** The handlers that every socket shares; the channel is its `data`. */
const socketEvents = {
  data: (socket: Socket<TcpChannel>, chunk: Uint8Array) => socket.data.received(chunk),
  end: (socket: Socket<TcpChannel>) => socket.data.remoteEnded(),
  drain: (socket: Socket<TcpChannel>) => socket.data.writable(),
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
  const limit = Math.min(options.maxConnections ?? Number.POSITIVE_INFINITY, Math.max(8, descriptors - DESCRIPTORS_KEPT));
  const refusedWaiting = Math.min(REFUSED_WAITING, descriptors / 8);
  const perAddress = new Map<Address, number>();
  let open = 0;
  let refused = 0;

  function accept(socket: Socket<TcpChannel>): void {
    const channel = new TcpChannel(socket);
    socket.data = channel;
    const { address } = channel.remote;
    const here = perAddress.get(address) ?? 0;
    const code: RefusalCode | undefined =
      here >= (options.maxPerAddress ?? Number.POSITIVE_INFINITY)
        ? "too-many-connections"
        : open >= limit
          ? "tracker-full"
          : undefined;
    if (code !== undefined) {
      refuse(channel, code);
      return;
    }
    open += 1;
    perAddress.set(address, here + 1);
    channel.onClosed = () => {
      open -= 1;
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    };
    options.onConnection(channel);
  }

  function refuse(channel: TcpChannel, code: RefusalCode): void {
    const words = options.onRefused?.(code, channel.remote) ?? "";
    if (words === "" || refused >= refusedWaiting) {
      channel.destroy();
      return;
    }
    refused += 1;
    channel.onClosed = () => {
      refused -= 1;
    };
    channel.limit({ deadline: REFUSED_MS });
    channel.send(words);
    channel.finish();
  }

  const bind = (hostname: string) =>
    Bun.listen<TcpChannel>({
      hostname,
      port: options.port,
      allowHalfOpen: true,
      exclusive: true,
      socket: { ...socketEvents, open: accept },
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
            const channel = new TcpChannel(socket);
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
