// The two sides of a TCP connection for tests: our channels on one, bare sockets that do only what a test tells them on the other.

import { expect } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Socket } from "bun";
import type { Clock } from "../../lib/clock.ts";
import { FtError } from "../../lib/error.ts";
import { type Certificate, newCertificate } from "../../lib/net/certificate.ts";
import type { Channel, ChannelHandlers } from "../../lib/net/channel.ts";
import { dial } from "../../lib/net/dial.ts";
import { type Listener, type ListenOptions, listen } from "../../lib/net/listen.ts";
import { tlsOptions } from "../../lib/net/tls.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const LOOPBACK = "127.0.0.1";

/** Something that changes by events; `until` resolves as soon as its condition holds. */
export class Watched {
  readonly #waiting = new Set<{ holds: () => boolean; go: () => void }>();

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((go) => {
      this.#waiting.add({ holds, go });
    });
  }

  changed(): void {
    for (const waiter of this.#waiting) {
      if (!waiter.holds()) continue;
      this.#waiting.delete(waiter);
      waiter.go();
    }
  }
}

/** What came in: its length, its hash, and the bytes themselves as long as they are few. */
export class Received extends Watched {
  received = 0;
  #few: Uint8Array[] = [];
  readonly #hash = new Bun.CryptoHasher("sha256");

  protected keep(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.#hash.update(chunk);
    if (this.received <= MiB) this.#few.push(chunk);
    else this.#few = [];
  }

  get text(): string {
    return Buffer.concat(this.#few).toString();
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

/** The handlers of a channel, and what they were told in which order. `act` is what an engine would do then. */
export class Tape extends Received implements ChannelHandlers {
  readonly events: string[] = [];
  readonly closes: string[] = [];
  ends = 0;
  drains = 0;
  readonly #act: Partial<ChannelHandlers>;

  constructor(act: Partial<ChannelHandlers> = {}) {
    super();
    this.#act = act;
  }

  data(chunk: Uint8Array): void {
    this.events.push("data");
    this.keep(chunk);
    this.#act.data?.(chunk);
    this.changed();
  }

  end(): void {
    this.events.push("end");
    this.ends += 1;
    this.#act.end?.();
    this.changed();
  }

  drain(): void {
    this.drains += 1;
    this.#act.drain?.();
    this.changed();
  }

  close(reason: string): void {
    this.events.push("close");
    this.closes.push(reason);
    this.#act.close?.(reason);
    this.changed();
  }

  /** Resolves when the channel is over, then waits for what would be a second call. */
  async closed(): Promise<readonly string[]> {
    await this.until(() => this.closes.length > 0);
    await breath();
    return this.closes;
  }
}

interface BareOptions {
  address?: string;
  deaf?: boolean;
  tls?: Certificate | undefined;
}

/** A certificate for all tests. */
export const certificate = newCertificate();

/** A counterpart on a bare socket. It never closes by itself, not even when the other side has. */
export class Bare extends Received {
  readonly socket: Socket<Bare>;
  sent = 0;
  /** The kernel took less than was given. */
  blocked = false;
  ended = false;
  closed = false;
  /** How it reads: at once, or each time only this many milliseconds after the last. */
  sipMs = 0;
  #queue: Uint8Array[] = [];
  #shutting = false;

  constructor(socket: Socket<Bare>) {
    super();
    this.socket = socket;
  }

  static readonly handlers = {
    data({ data: bare }: Socket<Bare>, chunk: Uint8Array) {
      bare.keep(chunk);
      if (bare.sipMs > 0) bare.sip();
      bare.changed();
    },
    end({ data: bare }: Socket<Bare>) {
      bare.ended = true;
      bare.changed();
    },
    drain({ data: bare }: Socket<Bare>) {
      bare.flush();
      bare.changed();
    },
    close({ data: bare }: Socket<Bare>) {
      bare.closed = true;
      bare.changed();
    },
    error() {},
  };

  static async connect(port: number, { address = LOOPBACK, deaf = false, tls }: BareOptions = {}): Promise<Bare> {
    const shaken = Promise.withResolvers<void>();
    const socket = await Bun.connect<Bare>({
      hostname: address,
      port,
      allowHalfOpen: true,
      ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
      socket: {
        ...Bare.handlers,
        ...(tls === undefined
          ? {}
          : {
              handshake(secured: Socket<Bare>) {
                if (deaf) secured.pause();
                shaken.resolve();
              },
            }),
        open(opened) {
          opened.data = new Bare(opened);
          if (deaf && tls === undefined) opened.pause();
        },
        close(closed) {
          Bare.handlers.close(closed);
          shaken.resolve();
        },
      },
    });
    if (tls !== undefined) await shaken.promise;
    return socket.data;
  }

  say(bytes: Uint8Array | string): void {
    this.#queue.push(Buffer.from(bytes));
    if (!this.blocked) this.flush();
  }

  flush(): void {
    this.blocked = false;
    for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
      const taken = Math.max(0, this.socket.write(bytes, 0, bytes.length));
      this.sent += taken;
      if (taken === bytes.length) continue;
      this.#queue.unshift(bytes.subarray(taken));
      this.blocked = true;
      return;
    }
    if (this.#shutting) this.socket.shutdown();
  }

  /** Half-closes after what it still has to say. */
  shut(): void {
    this.#shutting = true;
    this.flush();
  }

  sip(): void {
    this.socket.pause();
    setTimeout(() => this.socket.resume(), this.sipMs);
  }

  babble(): void {
    if (this.ended || this.closed) return;
    if (!this.blocked) this.say(new Uint8Array(16 * KiB).fill(0x2e));
    this.changed();
    setImmediate(() => this.babble());
  }
}

/** Everything that a test opened; all of it is gone when the test is. */
export class Room implements Disposable {
  readonly #things = new DisposableStack();
  readonly #clock: { clock?: Clock; tls: Certificate | undefined };

  /** The clock drives all deadlines; without one it is the system's. With a certificate, all connections speak TLS. */
  constructor(clock?: Clock, tls?: Certificate) {
    this.#clock = { ...(clock === undefined ? {} : { clock }), tls };
  }

  [Symbol.dispose](): void {
    this.#things.dispose();
  }

  listen(options: Partial<ListenOptions> = {}): House {
    return this.#things.use(new House({ ...this.#clock, ...options }));
  }

  async dial(port: number, address = LOOPBACK): Promise<Channel> {
    return this.#things.adopt(await dial({ address, port }, this.#clock), (channel) => channel.destroy());
  }

  async bare(port: number, options: { address?: string; deaf?: boolean } = {}): Promise<Bare> {
    const { tls } = this.#clock;
    return this.#things.adopt(await Bare.connect(port, { ...options, tls }), (bare) => bare.socket.terminate());
  }

  /** As `bare`; undefined when it was cut off so early that the connection looks as if it had never been. */
  visit(port: number): Promise<Bare | undefined> {
    return this.bare(port).catch(() => undefined);
  }

  /** One accepted channel and its counterpart. */
  async pair(options: { deaf?: boolean } = {}): Promise<{ house: House; channel: Channel; bare: Bare }> {
    const house = this.listen();
    const bare = await this.bare(house.port, options);
    return { house, channel: await house.accepted(0), bare };
  }

  /** A dialled channel and the bare socket that accepted it. */
  async dialled(): Promise<{ channel: Channel; bare: Bare }> {
    const { promise, resolve } = Promise.withResolvers<Bare>();
    const { tls } = this.#clock;
    const server = Bun.listen<Bare>({
      hostname: LOOPBACK,
      port: 0,
      allowHalfOpen: true,
      ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
      socket: {
        ...Bare.handlers,
        open(socket) {
          socket.data = new Bare(socket);
          resolve(socket.data);
        },
      },
    });
    this.#things.defer(() => server.stop(true));
    return { channel: await this.dial(server.port), bare: await promise };
  }

  /** Another program; the numbers on its first line. */
  async program(command: string[]): Promise<number[]> {
    const child = this.#things.adopt(Bun.spawn(command, { stdout: "pipe" }), (it) => it.kill());
    const first = await child.stdout.getReader().read();
    const numbers = new TextDecoder().decode(first.value).trim().split(" ").map(Number);
    expect(numbers.every((number) => number > 0)).toBe(true);
    return numbers;
  }

  /** A port on which everybody is kept waiting: its process sleeps, and its queue of connections is full. */
  async fullPort(): Promise<number> {
    const program = `
      const server = Bun.listen({ hostname: "${LOOPBACK}", port: 0, socket: { data() {} } });
      require("node:fs").writeSync(1, server.port + "\\n");
      Bun.sleepSync(60_000);`;
    const [port = 0] = await this.program([process.execPath, "-e", program]);
    for (let i = 0; i < 600; i += 1) {
      const waits = Bun.connect({
        hostname: LOOPBACK,
        port,
        socket: { open: (socket) => this.#things.defer(() => socket.terminate()), data() {}, connectError() {} },
      });
      waits.catch(() => undefined);
    }
    return port;
  }
}

/** A listener and the channels it has accepted. */
export class House extends Watched implements Disposable {
  readonly channels: Channel[] = [];
  readonly listener: Listener;

  constructor(options: Partial<ListenOptions>) {
    super();
    this.listener = listen({
      host: LOOPBACK,
      port: 0,
      ...options,
      onConnection: (channel) => {
        this.channels.push(channel);
        options.onConnection?.(channel);
        this.changed();
      },
    });
  }

  get port(): number {
    return this.listener.port;
  }

  async accepted(index: number): Promise<Channel> {
    await this.until(() => this.channels.length > index);
    const channel = this.channels[index];
    if (channel === undefined) throw new Error(`connection ${index} never came`);
    return channel;
  }

  [Symbol.dispose](): void {
    this.listener.stop();
    for (const channel of this.channels) channel.destroy();
  }
}

/** Bytes without a pattern, the same in every run: nothing lost, doubled or swapped goes unnoticed. */
export function noise(size: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  let x = seed;
  for (let i = 0; i < words.length; i += 1) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer, 0, size);
}

export function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** A few turns of the event loop: whatever was already under way has been handled. */
export async function breath(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise((go) => setImmediate(go));
}

/** Waits for something that has no event of its own. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((go) => setImmediate(go));
}

/** Waits until something has stopped to change. */
export async function still(value: () => number): Promise<void> {
  for (let last = Number.NaN; last !== value(); ) {
    last = value();
    await Bun.sleep(30);
  }
}

/** The sockets that this process has open, each by a word that no other one has. Linux only. */
export function openSockets(): Set<string> {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ""; // The folder's own, which is closed by now.
    }
  });
  return new Set(links.filter((link) => link.startsWith("socket:")));
}

/** Sends as serving code does: what the network takes, the rest after `drain`, a breath after each MiB. */
export function pump(channel: Channel, bytes: Uint8Array, done: () => void): () => void {
  let at = 0;
  let finished = false;
  return function go(): void {
    const breathAt = at + MiB;
    while (at < bytes.length && at < breathAt) {
      const piece = bytes.subarray(at, at + 256 * KiB);
      const taken = channel.offer(piece);
      at += taken;
      if (taken < piece.length) return;
    }
    if (at < bytes.length) setImmediate(go);
    else if (!finished) {
      finished = true;
      done();
    }
  };
}

/** The code and the words of what `act` throws. */
export async function failure(act: () => unknown): Promise<[code: string, message: string]> {
  try {
    await act();
  } catch (error) {
    if (error instanceof FtError) return [error.code, error.message];
    throw error;
  }
  throw new Error("it did not fail");
}

/** Not every machine has IPv6, not even to itself. */
export const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

export const six = noise(6 * MiB);
export const sixHash = sha256(six);
