// A tracker in this process, everything it has reported, and everybody who is connected to it: in memory with a clock that is moved
// by hand, or over real sockets. Both are spoken to in bytes written from the protocol's text.

import { EventEmitter } from "node:events";
import type net from "node:net";
import type { Listener, ListenOptions } from "../../lib/net/listen.ts";
import { SILENCE_MS } from "../../lib/protocol/basic.ts";
import type { TrackerEvent } from "../../lib/tracker/events.ts";
import type { OpenStore } from "../../lib/tracker/group/store.ts";
import { parseTrackerArguments } from "../../lib/tracker/options.ts";
import { startTracker, type Tracker, type TrackerOptions } from "../../tracker.ts";
import { addressOf, HandClock, REFUSED, Side, settle } from "./channel.ts";
import { listOf, Peer, valuesOf } from "./guests.ts";
import { Raw } from "./raw.ts";

export const LOOPBACK = "127.0.0.1";
/** A port on which nothing listens. */
export const CLOSED = 1;
/** 14 November 2023, 22:13:20 UTC. */
export const THEN = 1_700_000_000_000;
export const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

export const REPORT = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05Z;root=${ROOT}>`;
export const NOTES = "<notes.txt,text/plain,1200,21/11/26,192.168.1.17,40123;v=2>";
export const REPORT_SEEN = REPORT.replace("192.168.1.17", LOOPBACK);
export const NOTES_SEEN = NOTES.replace("192.168.1.17", LOOPBACK);
/** What an old program says of the same two files. */
export const OLD_REPORT = "<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,5001>";
export const OLD_NOTES = "<notes.txt,text/plain,1200,21/11/26,192.168.1.17,5001>";
export const OLD_REPORT_FOUND = "FOUND: <application/pdf,48213,22/11/26,127.0.0.1,5001>\n";
export const OLD_NOTES_FOUND = "FOUND: <text/plain,1200,21/11/26,127.0.0.1,5001>\n";

export function oldRecords(count: number, port = 5001): string[] {
  return Array.from({ length: count }, (_, i) => `<file ${i}.txt,data,${i},01/02/03,10.0.0.1,${port}>`);
}

/** Where somebody connects from, and to which of the tracker's addresses. */
type Seat = { from?: string; to?: string };
/** How an FT/2 peer presents itself; `more` stands at the end of its HELLO, `list` behind the port of its FILES. */
type Guise = Seat & { port?: number; agent?: string; more?: string; list?: string };

abstract class RunningTracker implements AsyncDisposable {
  readonly tracker: Tracker;
  readonly events: TrackerEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #guests: Raw[] = [];

  constructor(args: string[], more: Partial<TrackerOptions>) {
    const standard = ["--port", "0", "--host", LOOPBACK, "--name", "Lab 3", "--no-announce"];
    const parsed = parseTrackerArguments([...standard, ...args]);
    if ("text" in parsed) throw new Error(parsed.text);
    const report = (event: TrackerEvent) => {
      this.events.push(event);
      for (const look of this.#waiting) look();
    };
    this.tracker = startTracker({ ...parsed.options, bans: undefined, ...more, report });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) guest.close();
    await this.tracker.stop();
  }

  /** All events of one kind. */
  all<K extends TrackerEvent["event"]>(kind: K): Extract<TrackerEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<TrackerEvent, { event: K }> => event.event === kind);
  }

  /** The event of one kind that is or will be the `count`-th. */
  async event<K extends TrackerEvent["event"]>(kind: K, count = 1): Promise<Extract<TrackerEvent, { event: K }>> {
    for (;;) {
      const found = this.all(kind)[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }

  protected abstract open(from: string | undefined, to: string): Promise<Raw>;

  async connect({ from, to = LOOPBACK }: Seat = {}): Promise<Raw> {
    const guest = await this.open(from, to);
    this.#guests.push(guest);
    return guest;
  }

  /** One FT/1 exchange of a client that shuts nothing down: all that is answered until the tracker closes. */
  async exchange(bytes: string | Uint8Array, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send(bytes);
    await this.silence();
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** The silence that ends an FT/1 message. */
  protected async silence(): Promise<void> {}

  /** The same of a client that half-closes after its request. */
  async exchangeAndShut(bytes: string | Uint8Array, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send(bytes);
    guest.halfClose();
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** An FT/1 registration as the old client makes it: handshake, list, close. Gives what is answered to the list. */
  async register(list: string, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send("HELLO");
    const hi = (await guest.take(2)).toString();
    if (hi !== "HI") throw new Error(`HELLO was answered ${hi}`);
    guest.send(list);
    guest.halfClose();
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** An accepted FT/2 peer. */
  async join(
    records: string[] = [NOTES],
    { port = 40123, agent = "test/1", more = "", list = "", ...seat }: Guise = {},
  ): Promise<Peer> {
    const raw = await this.connect(seat);
    raw.send(`HELLO FT/2 agent=${agent}${more === "" ? "" : ` ${more}`}\n${listOf(`port=${port}${list}`, records)}`);
    return new Peer(raw, valuesOf(await raw.line()), valuesOf(await raw.line()));
  }
}

/** A tracker on real sockets. */
export class LoopbackTracker extends RunningTracker {
  constructor(args: string[] = [], more: Partial<TrackerOptions> = {}) {
    super(args, more);
  }

  protected async open(from: string | undefined, to: string): Promise<Raw> {
    return await Raw.connect(this.tracker.port, to, from);
  }
}

/** One end of a channel in memory, as a socket. */
class SideSocket extends EventEmitter {
  readonly #side: Side;

  constructor(side: Side) {
    super();
    this.#side = side;
  }

  begin(): void {
    this.#side.start({
      data: (chunk) => this.emit("data", Buffer.from(chunk)),
      end: () => this.emit("end"),
      close: () => this.emit("close"),
    });
  }

  write(bytes: string | Uint8Array): void {
    this.#side.send(bytes);
  }

  end(bytes: string | Uint8Array = "", done?: () => void): void {
    this.#side.send(bytes);
    this.#side.halfClose();
    done?.();
  }

  destroy(): void {
    this.#side.finish();
  }

  resetAndDestroy(): void {
    this.#side.destroy();
  }
}

/** A port of a peer: counts the connections to it, by the bytes that each brought. */
class Door {
  readonly port: number;
  readonly visits: number[] = [];
  isOpen = true;

  constructor(port: number) {
    this.port = port;
  }
}

/** A network in memory, on which a tracker listens and peers have ports. */
class MemoryNetwork {
  readonly doors: Door[] = [];
  readonly #clock: HandClock;
  #onConnection: ((channel: Side) => void) | undefined;
  #ports = 50_000;

  constructor(clock: HandClock) {
    this.#clock = clock;
  }

  readonly listen = ({ host, onConnection }: ListenOptions): Listener => {
    this.#onConnection = onConnection;
    const stop = () => {
      this.#onConnection = undefined;
    };
    return { address: host ?? "::", port: 1234, connections: 0, stop };
  };

  readonly dial = async (to: { address: string; port: number }): Promise<Side> => {
    const door = this.doors.find(({ port, isOpen }) => isOpen && port === to.port);
    if (door === undefined) throw REFUSED;
    const [near, far] = Side.pair(this.#here(), { address: addressOf(to.address), port: to.port }, this.#clock);
    let bytes = 0;
    far.start({
      data: (chunk) => {
        bytes += chunk.length;
      },
      end: () => far.finish(),
      close: () => door.visits.push(bytes),
    });
    return near;
  };

  /** A connection to the tracker. */
  connect(from: string, to: string): SideSocket {
    if (this.#onConnection === undefined) throw REFUSED;
    const client = { address: addressOf(from), port: this.#ports++ };
    const [near, far] = Side.pair({ address: addressOf(to), port: 1234 }, client, this.#clock);
    this.#onConnection(near);
    return new SideSocket(far);
  }

  #here() {
    return { address: addressOf(LOOPBACK), port: this.#ports++ };
  }
}

/** A tracker in memory. Its time stands still until `pass` of its clock moves it. */
export class MemoryTracker extends RunningTracker {
  readonly clock: HandClock;
  readonly #network: MemoryNetwork;

  /** `redis`: how it opens connections to the Redis of --redis. */
  constructor(args: string[] = [], clock = new HandClock(), redis?: OpenStore) {
    const network = new MemoryNetwork(clock);
    const { listen, dial } = network;
    super(args, { clock, network: redis === undefined ? network : { listen, dial, redis: () => redis } });
    this.clock = clock;
    this.#network = network;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]();
    await settle();
  }

  /** The port of a peer that others can connect to. */
  door(): Door {
    const door = new Door(7001 + this.#network.doors.length);
    this.#network.doors.push(door);
    return door;
  }

  /** Lets this amount of time pass. Milliseconds. */
  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms);
  }

  protected override async silence(): Promise<void> {
    await this.pass(SILENCE_MS);
  }

  protected async open(from: string | undefined, to: string): Promise<Raw> {
    // A program on this machine has the address that it connects to.
    const socket = this.#network.connect(from ?? to, to);
    const raw = new Raw(socket as unknown as net.Socket);
    socket.begin();
    return raw;
  }
}

/** The next replies. */
export async function replies(raw: Raw, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await raw.reply());
  return all;
}

/** The next pushes. */
export async function pushes(raw: Raw, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await raw.push());
  return all;
}
