// Accepts TCP connections up to two limits, one per host and one for the listener. refusals.ts ends the other connections.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { type Clock, systemClock } from "../clock.ts";
import { codeOf, FtError } from "../error.ts";
import { type Address, type Endpoint, formatEndpoint, hostOf } from "../protocol/address.ts";
import type { Certificate } from "./certificate.ts";
import type { Channel } from "./channel.ts";
import { Refusals } from "./refusals.ts";
import { canonicalAddress, socketEvents, TcpChannel } from "./tcp.ts";
import { HANDSHAKE_MS, securedBy, tlsOptions } from "./tls.ts";

/** File descriptors that the listener leaves free for files, workers and the terminal. */
const DESCRIPTORS_KEPT = 128;
/** The part of the places that is kept for hosts that have no connection yet. 0.1 is one tenth. */
const KEPT_FOR_NEW_HOSTS = 0.1;

/** Connections that a listener accepts even when the system allows few descriptors. */
const CONNECTIONS_LEAST = 8;
/** The descriptor limit that we assume on a system without `/proc`. macOS gives a process at most this number. */
const DESCRIPTORS_ELSEWHERE = 10_240;
/** The number that stands for "unlimited" descriptors. */
const DESCRIPTORS_UNLIMITED = 65_536;

/** On Linux and macOS, only an administrator's programs may listen on the ports up to this one. */
const LAST_PRIVILEGED = 1_023;

export interface ListenOptions {
  /** Undefined: every interface, IPv4 and, where the machine has it, IPv6. */
  host?: string | undefined;
  /** 0 takes a free one. */
  port: number;
  maxConnections?: number;
  /** All addresses of one IPv6 network of 64 bits count as one. */
  maxPerAddress?: number;
  clock?: Clock;
  /** With it the listener speaks TLS 1.3 only. A connection is told to `onConnection` after its handshake. */
  tls?: Certificate | undefined;
  onConnection(channel: Channel): void;
  /** Gives the words that a refused client gets before the listener closes its connection; "" for none. */
  onRefused?(code: RefusalCode, remote: Endpoint): string;
}

export type RefusalCode = "too-many-connections" | "tracker-full";

export interface Listener {
  readonly address: string;
  readonly port: number;
  /** Connections that are open. */
  readonly connections: number;
  /** Accepts no more. The open connections go on. */
  stop(): void;
}

/**
 * Listens for TCP connections. Accepts at most `maxPerAddress` from one host, and stops when only DESCRIPTORS_KEPT descriptors are free.
 * Throws a sentence when the port is taken or the address is not this machine's.
 */
export function listen(options: ListenOptions): Listener {
  const entrance = new Entrance(options);
  const bind = (hostname: string) =>
    Bun.listen<TcpChannel>({
      hostname,
      port: options.port,
      allowHalfOpen: true,
      exclusive: true,
      ...(options.tls === undefined ? {} : { tls: tlsOptions(options.tls) }),
      socket: {
        ...socketEvents,
        open: (socket) => entrance.admit(socket),
        ...(options.tls === undefined ? {} : { handshake: (socket: Socket<TcpChannel>) => entrance.shaken(socket) }),
        close: (socket, error) => {
          entrance.refusals.closed(socket);
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
        return entrance.open;
      },
      stop: () => server.stop(),
    };
  } catch (error) {
    throw listenError(error, options);
  }
}

/** Accepts or refuses each new connection of a listener. */
class Entrance {
  readonly refusals: Refusals;
  readonly #options: ListenOptions & { clock: Clock };
  /** The most connections for which this process has descriptors. Refused ones count until they are closed. */
  readonly #most: number;
  readonly #places: Places;
  /** One function for all channels, because there may be tens of thousands. */
  readonly #onClosed = ({ remote }: Channel) => this.#places.leave(remote.address);

  constructor(options: ListenOptions) {
    const descriptors = descriptorLimit();
    this.#options = { ...options, clock: options.clock ?? systemClock };
    this.#most = Math.max(CONNECTIONS_LEAST, descriptors - DESCRIPTORS_KEPT);
    this.#places = new Places(Math.min(options.maxConnections ?? this.#most, this.#most), options.maxPerAddress);
    this.refusals = new Refusals(descriptors, this.#options.clock);
  }

  /** Connections that are open. */
  get open(): number {
    return this.#places.taken;
  }

  admit(socket: Socket<TcpChannel>): void {
    const from: string | undefined = socket.remoteAddress;
    if (from === undefined) {
      // It was reset before it was accepted.
      socket.terminate();
      return;
    }
    const address = canonicalAddress(from);
    const { clock, onConnection, onRefused, tls } = this.#options;
    const isFull = this.open + this.refusals.lingering >= this.#most;
    const code = this.#places.whyNot(address) ?? (isFull ? "tracker-full" : undefined);
    if (code !== undefined) {
      const told = onRefused?.(code, { address, port: socket.remotePort }) ?? "";
      // Before the handshake there is nobody to talk to.
      const words = tls === undefined ? told : "";
      this.refusals.refuse(socket, words, this.#most - this.open);
      return;
    }
    this.#places.take(address);
    const channel = new TcpChannel(socket, clock, this.#onClosed, address);
    if (tls === undefined) onConnection(channel);
    else channel.limit({ deadline: HANDSHAKE_MS });
  }

  /** The TLS handshake of a connection has ended, well or not. */
  shaken(socket: Socket<TcpChannel>): void {
    // A refused connection has no channel.
    const channel: TcpChannel | undefined = socket.data;
    if (channel === undefined || channel.closed) return;
    channel.secured = securedBy(socket);
    channel.limit({ deadline: undefined });
    if (channel.secured === undefined) channel.destroy();
    else this.#options.onConnection(channel);
  }
}

/** Counts the open connections of each host and of all hosts. */
export class Places {
  taken = 0;
  readonly #most: number;
  readonly #mostOfHost: number;
  readonly #takenBy = new Map<string, number>();

  constructor(most: number, mostOfHost = Number.POSITIVE_INFINITY) {
    this.#most = most;
    this.#mostOfHost = mostOfHost;
  }

  whyNot(address: Address): RefusalCode | undefined {
    const taken = this.#takenBy.get(hostOf(address)) ?? 0;
    if (taken >= this.#mostOfHost) return "too-many-connections";
    const kept = taken === 0 ? 0 : Math.floor(this.#most * KEPT_FOR_NEW_HOSTS);
    return this.taken >= this.#most - kept ? "tracker-full" : undefined;
  }

  take(address: Address): void {
    this.#add(hostOf(address), 1);
  }

  leave(address: Address): void {
    this.#add(hostOf(address), -1);
  }

  #add(host: string, count: 1 | -1): void {
    this.taken += count;
    const taken = (this.#takenBy.get(host) ?? 0) + count;
    if (taken > 0) this.#takenBy.set(host, taken);
    else this.#takenBy.delete(host);
  }
}

/** `::` takes IPv4 as well. A machine without IPv6 refuses it. */
function bindEverywhere<Server>(bind: (hostname: string) => Server): Server {
  try {
    return bind("::");
  } catch (error) {
    if (["EADDRINUSE", "EACCES", "EPERM"].includes(codeOf(error))) throw error;
    return bind("0.0.0.0");
  }
}

/** The sentence for a port that cannot be had. */
export function listenError(
  error: unknown,
  { host = "::", port }: Pick<ListenOptions, "host" | "port">,
  platform: string = process.platform,
): FtError {
  const where = formatEndpoint({ address: host, port });
  const cannot = `Cannot listen on "${where}"`;
  const code = codeOf(error);
  if (code === "EADDRINUSE") {
    return new FtError("port-in-use", `${cannot}: the port is in use. Choose another with --port.`);
  }
  if (code === "EACCES" || code === "EPERM") return new FtError("port-forbidden", `${cannot}: ${whyForbidden(port, platform)}`);
  return new FtError("bad-host", `${cannot}: this machine has no such address. Check --host.`);
}

/** Why a system forbids a port, and what to do. Windows reserves ports of any number, for example for Hyper-V, and others at each start. */
function whyForbidden(port: number, platform: string): string {
  if (platform === "win32") {
    const list = '"netsh int ipv4 show excludedportrange tcp" lists the ports that Windows keeps.';
    return `another program, or Windows itself, keeps this port. Choose another with --port; ${list}`;
  }
  if (port <= LAST_PRIVILEGED) return `the system forbids this port. Choose one above ${LAST_PRIVILEGED} with --port.`;
  return "the system keeps this port to itself. Choose another with --port.";
}

/** Listens on the usual port, or on a free one when another program or the system has that. */
export function listenNear(options: ListenOptions, open: (options: ListenOptions) => Listener = listen): Listener {
  try {
    return open(options);
  } catch (error) {
    if (!["port-in-use", "port-forbidden"].includes(codeOf(error))) throw error;
    return open({ ...options, port: 0 });
  }
}

/** The number of descriptors that this process may open. Bun has raised the soft limit to the hard one already. */
export function descriptorLimit(): number {
  try {
    const [, limit] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return limit === undefined || limit === "unlimited" ? DESCRIPTORS_UNLIMITED : Number(limit);
  } catch {
    // Not Linux. Windows has no limit that matters here.
    return DESCRIPTORS_ELSEWHERE;
  }
}
