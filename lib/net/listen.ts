// TCP, incoming: who is let in, and what the refused are told.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { systemClock } from "../clock.ts";
import { codeOf, FtError } from "../error.ts";
import { type Address, type Endpoint, formatEndpoint } from "../protocol/address.ts";
import { Allowance } from "../rate.ts";
import type { Channel } from "./channel.ts";
import { canonical, type Door, localEnd, NEVER, socketEvents, TcpChannel } from "./tcp.ts";

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
