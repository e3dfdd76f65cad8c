// The one TCP edge against counterparts that are slow, deaf, talkative, rude or gone. The counterparts are bare sockets that do
// only what a test tells them to; what a channel may promise is written in lib/net/channel.ts.

import { afterEach, describe, expect, jest, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { Socket } from "bun";
import { FtError } from "../../lib/error.ts";
import type { Channel, ChannelHandlers } from "../../lib/net/channel.ts";
import { dial } from "../../lib/net/dial.ts";
import { descriptorLimit, type Listener, type ListenOptions, listen } from "../../lib/net/listen.ts";
import type { Address } from "../../lib/protocol/address.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const LOOPBACK = "127.0.0.1";

/** Something that changes by events; `until` resolves as soon as its condition holds. */
class Watched {
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
class Received extends Watched {
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
class Tape extends Received implements ChannelHandlers {
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

/** A counterpart on a bare socket. It never closes by itself, not even when the other side has. */
class Bare extends Received {
  readonly socket: Socket<Bare>;
  sent = 0;
  /** The kernel took less than was given. */
  blocked = false;
  ended = false;
  closed = false;
  /** How it reads: at once, or each time only this many milliseconds after the last. */
  sipMs = 0;
  /** Keeps sending rubbish until the other side has ended. */
  babbles = false;
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

  static async connect(port: number, { address = LOOPBACK, deaf = false } = {}): Promise<Bare> {
    const socket = await Bun.connect<Bare>({
      hostname: address,
      port,
      allowHalfOpen: true,
      socket: {
        ...Bare.handlers,
        open(opened) {
          opened.data = new Bare(opened);
          if (deaf) opened.pause();
        },
      },
    });
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
    setImmediate(() => this.babble());
  }
}

/** Everything that a test opened; all of it is gone when the test is. */
class Room implements Disposable {
  readonly #things = new DisposableStack();

  [Symbol.dispose](): void {
    this.#things.dispose();
  }

  listen(options: Partial<ListenOptions> = {}): House {
    return this.#things.use(new House(options));
  }

  async dial(port: number, address = LOOPBACK): Promise<Channel> {
    return this.#things.adopt(await dial({ address, port }), (channel) => channel.destroy());
  }

  async bare(port: number, options: { address?: string; deaf?: boolean } = {}): Promise<Bare> {
    return this.#things.adopt(await Bare.connect(port, options), (bare) => bare.socket.terminate());
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
    const server = Bun.listen<Bare>({
      hostname: LOOPBACK,
      port: 0,
      allowHalfOpen: true,
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
class House extends Watched implements Disposable {
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
function noise(size: number, seed = 1): Uint8Array {
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

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** A few turns of the event loop: whatever was already under way has been handled. */
async function breath(): Promise<void> {
  for (let i = 0; i < 5; i += 1) await new Promise((go) => setImmediate(go));
}

/** Waits for something that has no event of its own. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((go) => setImmediate(go));
}

/** Waits until something has stopped to change. */
async function still(value: () => number): Promise<void> {
  for (let last = Number.NaN; last !== value(); ) {
    last = value();
    await Bun.sleep(30);
  }
}

/** Sends as serving code does: what the network takes, the rest after `drain`, a breath after each MiB. */
function pump(channel: Channel, bytes: Uint8Array, done: () => void): () => void {
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
async function failure(act: () => unknown): Promise<[code: string, message: string]> {
  try {
    await act();
  } catch (error) {
    if (error instanceof FtError) return [error.code, error.message];
    throw error;
  }
  throw new Error("it did not fail");
}

/** Not every machine has IPv6, not even to itself. */
const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

const six = noise(6 * MiB);
const sixHash = sha256(six);

describe("a long answer", () => {
  test("reaches a slow reader whole, and what waits stays small", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    bare.sipMs = 2;
    let at = 0;
    let most = 0;
    const more = () => {
      while (at < six.length && channel.backlog < 64 * KiB) {
        channel.send(six.subarray(at, at + 64 * KiB));
        at += 64 * KiB;
        most = Math.max(most, channel.backlog);
      }
      if (at >= six.length) channel.finish();
    };
    const tape = new Tape({ drain: more });
    channel.start(tape);
    more();
    await bare.until(() => bare.ended);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(128 * KiB);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
  });

  test("of 64 MiB is pumped with offer and drain, and arrives the same", async () => {
    using room = new Room();
    const whole = noise(64 * MiB, 7);
    const house = room.listen();
    const receiver = await room.dial(house.port);
    // The receiver stops for a moment after each chunk, so that the sender is held back again and again.
    const incoming = new Tape({
      data() {
        receiver.pause();
        setTimeout(() => receiver.resume(), 1);
      },
      end: () => receiver.finish(),
    });
    receiver.start(incoming);
    const sender = await house.accepted(0);
    const go = pump(sender, whole, () => sender.finish());
    const outgoing = new Tape({ drain: go });
    sender.start(outgoing);
    go();
    expect(await outgoing.closed()).toEqual([""]);
    expect(await incoming.closed()).toEqual([""]);
    expect(incoming.received).toBe(whole.length);
    expect(incoming.digest()).toBe(sha256(whole));
    expect(outgoing.drains).toBeGreaterThan(0);
    expect(house.listener.connections).toBe(0);
  });

  test("keeps the order of texts and bytes, also where characters take several bytes", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair({ deaf: true });
    channel.limit({ backlog: undefined });
    channel.start(new Tape());
    const parts: Buffer[] = [];
    for (let i = 0; i < 4000; i += 1) {
      const text = `line ${i}: naïve Ωμέγα 漢字 😀\n`.repeat(1 + (i % 3));
      const bytes = noise(1 + ((i * 37) % 4000), i + 1);
      channel.send(text);
      channel.send(bytes);
      if (i % 5 === 0) channel.send("");
      parts.push(Buffer.from(text), Buffer.from(bytes));
    }
    expect(channel.backlog).toBeGreaterThan(MiB);
    channel.finish();
    bare.socket.resume();
    await bare.until(() => bare.ended);
    const all = Buffer.concat(parts);
    expect(bare.received).toBe(all.length);
    expect(bare.digest()).toBe(sha256(all));
    expect(channel.backlog).toBe(0);
  });

  test("of one channel never mixes with another's, though all are held back in the middle of small pieces", async () => {
    using room = new Room();
    const readers = await Promise.all(
      Array.from({ length: 4 }, async (_, number) => {
        const { channel, bare } = await room.pair({ deaf: true });
        const tape = new Tape();
        channel.limit({ backlog: undefined });
        channel.start(tape);
        bare.sipMs = number;
        return { number, channel, bare, tape, sent: new Bun.CryptoHasher("sha256"), bytes: 0 };
      }),
    );
    const say = (reader: (typeof readers)[number], piece: Uint8Array | string) => {
      reader.channel.send(piece);
      reader.sent.update(piece);
      reader.bytes += Buffer.byteLength(piece);
    };
    // In turns, until much waits for each: what the network took last ends anywhere within a piece.
    for (let i = 0; readers.some(({ channel }) => channel.backlog < 2 * MiB); i += 1) {
      for (const reader of readers) {
        const seed = 1 + i * readers.length + reader.number;
        say(reader, `${reader.number}: naïve 漢字 😀 ${i}\n`.repeat(1 + ((i * 7) % 40)));
        say(reader, noise(1 + ((i * 131) % 3000), seed));
        // Some are too long to be joined.
        if (i % 50 === reader.number) say(reader, noise(100 * KiB, seed));
        if (i % 50 === 10 + reader.number) say(reader, "Ωμέγα ".repeat(15_000));
      }
    }
    for (const { channel, bare } of readers) {
      channel.finish();
      bare.socket.resume();
    }
    for (const { channel, bare, tape, sent, bytes } of readers) {
      await bare.until(() => bare.ended);
      expect(bare.received).toBe(bytes);
      expect(bare.digest()).toBe(sent.digest("hex"));
      expect(channel.backlog).toBe(0);
      bare.socket.shutdown();
      expect(await tape.closed()).toEqual([""]);
    }
  });

  test("is not changed by what others are sent while it is given out", async () => {
    using room = new Room();
    const one = await room.pair();
    const other = await room.pair();
    other.channel.start(new Tape());
    one.channel.start(
      new Tape({
        data() {
          one.channel.send("first ");
          other.channel.send("for ");
          one.channel.send(Buffer.from("second "));
          other.channel.send(Buffer.from("the other"));
          one.channel.send("third");
        },
      }),
    );
    one.bare.say("go");
    await one.bare.until(() => one.bare.text === "first second third");
    await other.bare.until(() => other.bare.text === "for the other");
  });

  test("arrives to its last byte at somebody who keeps talking", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape({
      data() {
        channel.send(six);
        channel.finish();
      },
    });
    channel.limit({ backlog: undefined });
    channel.start(tape);
    bare.sipMs = 1;
    bare.babble();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    // It went on talking long after the answer had begun, and nobody had to hear it.
    expect(bare.sent).toBeGreaterThan(MiB);
    expect(tape.received).toBeLessThan(bare.sent);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
  });

  test("arrives at somebody who half-closed right after asking", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape({
      data() {
        channel.send(six);
        channel.finish();
      },
    });
    channel.limit({ backlog: undefined });
    channel.start(tape);
    bare.sipMs = 1;
    bare.say("GET");
    bare.socket.shutdown();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
  });

  test("of a dialled channel arrives at somebody who half-closed as well", async () => {
    using room = new Room();
    const { channel, bare } = await room.dialled();
    const go = pump(channel, six, () => channel.finish());
    const tape = new Tape({ end: go, drain: go });
    channel.start(tape);
    bare.sipMs = 1;
    bare.socket.shutdown();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    expect(await tape.closed()).toEqual([""]);
  });

  test("that is pumped begins after the half-close and still arrives", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const go = pump(channel, six, () => channel.finish());
    const tape = new Tape({ end: go, drain: go });
    channel.start(tape);
    bare.sipMs = 1;
    bare.say("DOWNLOAD:a,b,6");
    bare.socket.shutdown();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    expect(await tape.closed()).toEqual([""]);
    expect(tape.text).toBe("DOWNLOAD:a,b,6");
  });

  test("may begin with a sent head and go on with an offered body, from within the request", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const go = pump(channel, six, () => channel.finish());
    const tape = new Tape({
      data() {
        channel.send("FILE: ");
        go();
      },
      drain: go,
    });
    channel.start(tape);
    bare.say("DOWNLOAD a");
    await bare.until(() => bare.ended);
    expect(bare.received).toBe(6 + six.length);
    expect(bare.digest()).toBe(sha256(Buffer.concat([Buffer.from("FILE: "), six])));
  });

  test("to many requests in one piece does not count against who reads it", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const answer = noise(32 * KiB);
    const tape = new Tape({
      data(chunk) {
        for (const byte of chunk) if (byte === 0x0a) channel.send(answer);
      },
    });
    channel.start(tape);
    bare.say("SEARCH: a\n".repeat(40));
    await bare.until(() => bare.received >= 40 * answer.length || bare.closed);
    expect(bare.received).toBe(40 * answer.length);
    expect(tape.closes).toEqual([]);
  });

  test("offered while others wait is refused, and never overtakes them", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair({ deaf: true });
    channel.limit({ backlog: undefined });
    const tape = new Tape();
    channel.start(tape);
    channel.send(six);
    expect(channel.backlog).toBeGreaterThan(0);
    expect(channel.offer(Buffer.from("overtaking"))).toBe(0);
    let overtook = 0;
    bare.socket.resume();
    // Each time something was read there is room, and the channel may not have heard of it yet.
    await bare.until(() => {
      if (channel.backlog > 0) overtook += channel.offer(Buffer.from("overtaking"));
      return bare.received === six.length;
    });
    expect(overtook).toBe(0);
    await tape.until(() => tape.drains > 0);
    expect(channel.backlog).toBe(0);
    expect(channel.offer(Buffer.from("after"))).toBe(5);
    await bare.until(() => bare.received === six.length + 5);
    expect(bare.digest()).toBe(sha256(Buffer.concat([six, Buffer.from("after")])));
  });
});

describe.concurrent("a reader that never reads", () => {
  test("is given up when it takes no byte for the stall limit", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ stall: 300, backlog: undefined });
    channel.send(six);
    expect(channel.backlog).toBeGreaterThan(0);
    expect(await tape.closed()).toEqual(["it took no byte for 0.3 s"]);
    expect(channel.backlog).toBe(0);
    expect(house.listener.connections).toBe(0);
    bare.socket.resume();
    await bare.until(() => bare.closed);
    expect(bare.received).toBeLessThan(six.length);
  });

  test("is given up when more waits for it than the backlog limit", async () => {
    using room = new Room();
    const { house, channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ backlog: 128 * KiB });
    const piece = noise(64 * KiB);
    let most = 0;
    for (let i = 0; i < 1000 && !channel.closed; i += 1) {
      channel.send(piece);
      most = Math.max(most, channel.backlog);
    }
    expect(await tape.closed()).toEqual(["it does not read its answers"]);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(128 * KiB);
    expect(channel.backlog).toBe(0);
    expect(house.listener.connections).toBe(0);
  });

  test("is allowed 1 MiB unless another limit is set", async () => {
    using room = new Room();
    const { channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    const piece = noise(64 * KiB);
    while (channel.backlog === 0) channel.send(piece);
    while (channel.backlog + piece.length <= MiB) channel.send(piece);
    expect(channel.closed).toBe(false);
    channel.send(piece);
    expect(channel.closed).toBe(true);
    expect(await tape.closed()).toEqual(["it does not read its answers"]);
  });
});

describe("finish", () => {
  test("ends under its deadline when the other side never closes, and lets go of the socket", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 300 });
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("goodbye");
    expect(channel.closed).toBe(false);
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
    // Nobody is there any more: what it says now is answered with a reset.
    bare.say("hello?");
    await bare.until(() => bare.closed);
  });

  test("ends under its deadline when the other side neither reads nor closes", async () => {
    using room = new Room();
    const { house, channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.send(noise(64 * KiB));
    channel.finish();
    channel.limit({ deadline: 250 });
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
  });

  test("hands nothing more to the handlers, and sends nothing that comes later", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.send("last");
    channel.finish();
    channel.send("too late");
    expect(channel.offer(Buffer.from("too late"))).toBe(0);
    channel.finish();
    bare.say("anything else?");
    bare.socket.shutdown();
    await tape.closed();
    await bare.until(() => bare.ended || bare.closed);
    expect(tape.events).toEqual(["close"]);
    expect(bare.text).toBe("last");
  });

  test("sends nothing that comes later, though much still waits or the request is not yet over", async () => {
    using room = new Room();
    const waiting = await room.pair({ deaf: true });
    waiting.channel.limit({ backlog: undefined });
    waiting.channel.start(new Tape());
    waiting.channel.send(six);
    waiting.channel.finish();
    waiting.channel.send("too late");
    waiting.bare.socket.resume();
    await waiting.bare.until(() => waiting.bare.ended);
    expect(waiting.bare.received).toBe(six.length);
    expect(waiting.bare.digest()).toBe(sixHash);

    const { channel, bare } = await room.pair();
    const tape = new Tape({
      data() {
        channel.send("last");
        channel.finish();
        channel.send("too late");
        channel.offer(Buffer.from("too late"));
      },
    });
    channel.start(tape);
    bare.say("go");
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("last");
  });

  test("lets somebody whose words were held back by a pause finish them", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.pause();
    bare.say(six);
    bare.say(six);
    bare.shut();
    await eventually(() => bare.blocked);
    channel.send("enough");
    channel.finish();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.text).toBe("enough");
    expect(await tape.closed()).toEqual([""]);
    expect(tape.received).toBe(0);
  });

  test("takes only so much more from somebody who goes on sending, each counted alone", async () => {
    using room = new Room();
    const talkers = [await room.pair(), await room.pair()] as const;
    const tapes = talkers.map(({ channel }) => {
      const tape = new Tape();
      channel.start(tape);
      channel.limit({ excess: 1000 });
      channel.finish();
      return tape;
    });
    for (const { bare } of talkers) bare.say("x".repeat(600));
    await breath();
    expect(talkers.map(({ channel }) => channel.closed)).toEqual([false, false]);
    talkers[0].bare.say("x".repeat(401));
    expect(await tapes[0]?.closed()).toEqual(["it did not stop sending"]);
    talkers[1].bare.say("x".repeat(400));
    talkers[1].bare.socket.shutdown();
    expect(await tapes[1]?.closed()).toEqual([""]);
  });

  test("after a half-close closes as well", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.send("all of it");
    channel.halfClose();
    await bare.until(() => bare.ended);
    channel.finish();
    bare.say("thrown away");
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(tape.events).toEqual(["close"]);
    expect(bare.text).toBe("all of it");
  });
});

describe("half-close", () => {
  test("says that nothing more is sent, and goes on receiving to the other side's end", async () => {
    using room = new Room();
    const { channel, bare } = await room.dialled();
    const tape = new Tape();
    channel.start(tape);
    channel.send("DOWNLOAD:a,b,3");
    channel.halfClose();
    channel.send("too late");
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("DOWNLOAD:a,b,3");
    bare.say("FILE:");
    bare.say(six);
    await tape.until(() => tape.received === 5 + six.length);
    expect(tape.closes).toEqual([]);
    expect(channel.ended).toBe(false);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(channel.ended).toBe(true);
    expect(tape.events.slice(-2)).toEqual(["end", "close"]);
    expect(tape.digest()).toBe(sha256(Buffer.concat([Buffer.from("FILE:"), six])));
  });

  test("and a pause after each chunk lose nothing before the other side's end", async () => {
    using room = new Room();
    const { channel, bare } = await room.dialled();
    const tape = new Tape({
      data() {
        channel.pause();
        setTimeout(() => channel.resume(), 1);
      },
    });
    channel.start(tape);
    channel.send("DOWNLOAD a");
    channel.halfClose();
    bare.say(six);
    bare.shut();
    expect(await tape.closed()).toEqual([""]);
    expect(tape.received).toBe(six.length);
    expect(tape.digest()).toBe(sixHash);
    expect(tape.events.slice(-3)).toEqual(["data", "end", "close"]);
  });

  test("waits for what is queued", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.limit({ backlog: undefined });
    channel.start(tape);
    channel.send(six);
    channel.halfClose();
    expect(channel.backlog).toBeGreaterThan(0);
    bare.socket.resume();
    await bare.until(() => bare.ended);
    expect(bare.digest()).toBe(sixHash);
    expect(tape.closes).toEqual([]);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(tape.ends).toBe(1);
  });

  test("of both sides is a plain close, whoever was first", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape({ end: () => channel.halfClose() });
    channel.start(tape);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(tape.events).toEqual(["end", "close"]);
    expect(channel.ended).toBe(true);
    expect(house.listener.connections).toBe(0);
  });

  test("of both sides with much still queued sends all of it first", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.limit({ backlog: undefined });
    channel.start(tape);
    bare.socket.shutdown();
    await tape.until(() => tape.ends === 1);
    channel.send(six);
    channel.halfClose();
    bare.socket.resume();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.digest()).toBe(sixHash);
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
  });
});

describe("a counterpart that vanishes", () => {
  test("closes the channel once, and its place is free", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    expect(house.listener.connections).toBe(1);
    bare.socket.terminate();
    expect(await tape.closed()).toEqual(["the connection broke"]);
    expect(channel.closed).toBe(true);
    expect(house.listener.connections).toBe(0);
  });

  test("is noticed while the channel is paused", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.pause();
    bare.socket.terminate();
    expect(await tape.closed()).toEqual(["the connection broke"]);
    expect(house.listener.connections).toBe(0);
  });

  test("is noticed while much waits to be sent", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.limit({ backlog: undefined });
    channel.start(tape);
    channel.send(six);
    bare.socket.terminate();
    expect(await tape.closed()).toEqual(["the connection broke"]);
    expect(channel.backlog).toBe(0);
    expect(house.listener.connections).toBe(0);
  });

  test("is noticed after finish", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.send("goodbye");
    channel.finish();
    bare.socket.terminate();
    expect((await tape.closed()).length).toBe(1);
    expect(house.listener.connections).toBe(0);
  });

  test("before the handlers are there is told when they come", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    bare.socket.terminate();
    await eventually(() => channel.closed);
    expect(house.listener.connections).toBe(0);
    const tape = new Tape();
    channel.start(tape);
    expect(tape.closes).toEqual(["the connection broke"]);
    expect(await tape.closed()).toHaveLength(1);
  });
});

describe.concurrent("a silent counterpart", () => {
  test("is given up at the idle limit", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    const began = performance.now();
    channel.limit({ idle: 300 });
    expect(await tape.closed()).toEqual(["it was silent for 0.3 s"]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(299);
    expect(house.listener.connections).toBe(0);
    await bare.until(() => bare.closed);
  });

  test("is given up at the absolute deadline", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    const began = performance.now();
    channel.limit({ deadline: 300 });
    expect(await tape.closed()).toEqual(["it took too long"]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(299);
    expect(house.listener.connections).toBe(0);
    await bare.until(() => bare.closed);
  });

  test("is given up before any handlers are there, too", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    channel.limit({ deadline: 100 });
    await bare.until(() => bare.closed);
    expect(channel.closed).toBe(true);
    expect(house.listener.connections).toBe(0);
  });

  test("cannot put off the absolute deadline with a byte now and then", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 500 });
    const dripping = setInterval(() => bare.say("."), 25);
    const closes = await tape.closed();
    clearInterval(dripping);
    expect(closes).toEqual(["it took too long"]);
    expect(tape.received).toBeGreaterThan(2);
  });
});

describe("with a clock that is moved by hand", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test("a reader that takes nothing is closed after 30 s", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ backlog: undefined });
    channel.send(six);
    jest.advanceTimersByTime(29_500);
    expect(channel.closed).toBe(false);
    jest.advanceTimersByTime(1_000);
    expect(tape.closes).toEqual(["it took no byte for 30 s"]);
  });

  test("so is one that stops in the middle of a pumped file", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel } = await room.pair({ deaf: true });
    const go = pump(channel, six, () => undefined);
    const tape = new Tape({ drain: go });
    channel.start(tape);
    go();
    await eventually(() => channel.offer(six) === 0);
    jest.advanceTimersByTime(31_000);
    expect(tape.closes).toEqual(["it took no byte for 30 s"]);
  });

  test("a reader that takes a little now and then is not", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ backlog: undefined });
    const whole = noise(32 * MiB, 11);
    channel.send(whole);
    let steps = 0;
    for (let before = channel.backlog; before > 0; before = channel.backlog) {
      jest.advanceTimersByTime(20_000);
      bare.socket.resume();
      await eventually(() => channel.closed || channel.backlog < before);
      bare.socket.pause();
      steps += 1;
    }
    expect(tape.closes).toEqual([]);
    expect(steps).toBeGreaterThan(2);
    bare.socket.resume();
    await bare.until(() => bare.received === whole.length);
    expect(bare.digest()).toBe(sha256(whole));
    // And when everything is taken, nothing stalls.
    jest.advanceTimersByTime(100_000);
    expect(tape.closes).toEqual([]);
  });

  test("somebody who never closes is left 30 s after the last byte was sent", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    jest.advanceTimersByTime(100_000);
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    jest.advanceTimersByTime(29_500);
    expect(channel.closed).toBe(false);
    jest.advanceTimersByTime(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("somebody who never closes is left 30 s even if an idle limit was set", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    jest.advanceTimersByTime(29_500);
    expect(channel.closed).toBe(false);
    jest.advanceTimersByTime(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("so is somebody who never closes after a half-close and a finish", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.send("goodbye");
    channel.halfClose();
    await bare.until(() => bare.ended);
    channel.finish();
    jest.advanceTimersByTime(29_500);
    expect(channel.closed).toBe(false);
    jest.advanceTimersByTime(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("a byte each second does not hold a connection beyond ten", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 10_000, idle: 5_000 });
    for (let second = 1; second <= 9; second += 1) {
      jest.advanceTimersByTime(1_000);
      bare.say(".");
      await tape.until(() => tape.received === second);
    }
    expect(channel.closed).toBe(false);
    jest.advanceTimersByTime(1_500);
    expect(tape.closes).toEqual(["it took too long"]);
  });

  test("silence counts from the last byte", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    for (let said = 1; said <= 3; said += 1) {
      jest.advanceTimersByTime(4_900);
      bare.say(".");
      await tape.until(() => tape.received === said);
    }
    jest.advanceTimersByTime(4_900);
    expect(tape.closes).toEqual([]);
    // Deadlines are looked at five times a second, and so is whether something was heard.
    jest.advanceTimersByTime(500);
    expect(tape.closes).toEqual(["it was silent for 5 s"]);
  });

  test("one channel's limits are not another's, and who is gone holds up nobody's", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const limits = [5_000, 5_000, 9_000, 13_000];
    const tapes: Tape[] = [];
    for (const idle of limits) {
      const { channel } = await room.pair();
      const tape = new Tape();
      channel.start(tape);
      channel.limit({ idle });
      tapes.push(tape);
    }
    const open = () => tapes.map(({ closes }) => closes.length === 0);
    jest.advanceTimersByTime(4_500);
    expect(open()).toEqual([true, true, true, true]);
    jest.advanceTimersByTime(1_000);
    expect(open()).toEqual([false, false, true, true]);
    jest.advanceTimersByTime(4_000);
    expect(open()).toEqual([false, false, false, true]);
    jest.advanceTimersByTime(4_000);
    expect(tapes.map(({ closes }) => closes)).toEqual(limits.map((idle) => [`it was silent for ${idle / 1000} s`]));
  });

  test("silence is nobody's fault while the channel is paused", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    channel.pause();
    jest.advanceTimersByTime(60_000);
    expect(tape.closes).toEqual([]);
    channel.resume();
    jest.advanceTimersByTime(4_500);
    expect(tape.closes).toEqual([]);
    jest.advanceTimersByTime(1_000);
    expect(tape.closes).toEqual(["it was silent for 5 s"]);
  });

  test("nobody is closed once the limits are taken away, nor by limits that were not named", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000, deadline: 5_000 });
    channel.limit({ idle: undefined, deadline: undefined });
    channel.limit({ stall: 5_000, backlog: 5_000 });
    jest.advanceTimersByTime(3_600_000);
    expect(tape.closes).toEqual([]);
    bare.say("still here");
    await tape.until(() => tape.text === "still here");
  });

  test("one limit stays when another is replaced", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const { channel } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 10_000 });
    channel.limit({ idle: undefined });
    jest.advanceTimersByTime(11_000);
    expect(tape.closes).toEqual(["it took too long"]);
  });

  test("a refused connection that never closes is left after two seconds", async () => {
    jest.useFakeTimers();
    using room = new Room();
    const house = room.listen({ maxConnections: 0, onRefused: () => "no room\n" });
    const bare = await room.bare(house.port);
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("no room\n");
    jest.advanceTimersByTime(1_500);
    await breath();
    bare.say("hello?");
    await breath();
    expect(bare.closed).toBe(false);
    jest.advanceTimersByTime(1_000);
    bare.say("hello?");
    await bare.until(() => bare.closed);
  });
});

describe("pause", () => {
  test("holds the sender back, and resume brings every byte", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const whole = noise(32 * MiB, 3);
    const tape = new Tape();
    channel.start(tape);
    channel.pause();
    bare.say(whole);
    // Until the kernels of both sides are full; nothing moves before we read.
    await still(() => bare.sent);
    expect(bare.blocked).toBe(true);
    expect(bare.sent).toBeLessThan(whole.length);
    expect(tape.received).toBe(0);
    channel.resume();
    await tape.until(() => tape.received >= whole.length);
    expect(tape.received).toBe(whole.length);
    expect(tape.digest()).toBe(sha256(whole));
  });

  test("from within the data handler takes effect with that very chunk", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    let paused = false;
    let wrong = 0;
    const tape = new Tape({
      data() {
        if (paused) wrong += 1;
        paused = true;
        channel.pause();
        setImmediate(() => {
          paused = false;
          channel.resume();
        });
      },
    });
    channel.start(tape);
    bare.say(six);
    bare.shut();
    await tape.until(() => tape.ends === 1);
    expect(tape.received).toBe(six.length);
    expect(wrong).toBe(0);
    expect(tape.events.length).toBeGreaterThan(2);
    expect(tape.digest()).toBe(sixHash);
  });

  test("keeps the other side's end behind its last bytes", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.pause();
    bare.say("last words");
    bare.socket.shutdown();
    await breath();
    expect(tape.events).toEqual([]);
    expect(channel.ended).toBe(false);
    channel.resume();
    await tape.until(() => tape.ends === 1);
    expect(tape.text).toBe("last words");
    expect(tape.events).toEqual(["data", "end"]);
  });

  test("does not stop what is sent", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    channel.start(new Tape());
    channel.pause();
    channel.limit({ backlog: undefined });
    channel.send(six);
    await bare.until(() => bare.received === six.length);
    expect(bare.digest()).toBe(sixHash);
  });
});

describe("before start", () => {
  test("what is sent arrives", async () => {
    using room = new Room();
    const house = room.listen({
      onConnection(channel) {
        channel.send("HI");
        channel.send(Buffer.from(" there"));
      },
    });
    const bare = await room.bare(house.port);
    await bare.until(() => bare.text === "HI there");
    const { channel, bare: server } = await room.dialled();
    channel.send("HELLO");
    await server.until(() => server.text === "HELLO");
  });

  test("what arrives is handed over, in order, with its end", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    bare.say("HELLO ");
    await breath();
    bare.say("FT/2");
    bare.socket.shutdown();
    await eventually(() => channel.ended);
    const tape = new Tape();
    channel.start(tape);
    expect(tape.text).toBe("HELLO FT/2");
    expect(tape.ends).toBe(1);
    expect(tape.events.at(-1)).toBe("end");
    expect(tape.closes).toEqual([]);
  });

  test("what arrives is bounded, and nothing of it is lost", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const whole = noise(32 * MiB, 5);
    bare.say(whole);
    await still(() => bare.sent);
    expect(bare.sent).toBeLessThan(whole.length);
    const tape = new Tape();
    channel.start(tape);
    await tape.until(() => tape.received >= whole.length);
    expect(tape.digest()).toBe(sha256(whole));
  });

  test("what arrived is handed over even if the other side is gone by then", async () => {
    using room = new Room();
    const { channel, bare } = await room.dialled();
    bare.say("ERROR too-many-connections\n");
    bare.socket.end();
    await eventually(() => channel.ended);
    channel.halfClose();
    await eventually(() => channel.closed);
    const tape = new Tape();
    channel.start(tape);
    expect(tape.text).toBe("ERROR too-many-connections\n");
    expect(tape.events).toEqual(["data", "end", "close"]);
  });

  test("a pause holds what arrived until it is taken back", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    bare.say("not yet");
    bare.socket.shutdown();
    await eventually(() => channel.ended);
    channel.pause();
    const tape = new Tape();
    channel.start(tape);
    await breath();
    expect(tape.events).toEqual([]);
    channel.resume();
    expect(tape.text).toBe("not yet");
    expect(tape.events).toEqual(["data", "end"]);
    channel.pause();
    channel.resume();
    expect(tape.events).toEqual(["data", "end"]);
  });

  test("a pause holds it until the close at the latest", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    bare.say("HELLO");
    bare.socket.shutdown();
    await eventually(() => channel.ended);
    channel.pause();
    const tape = new Tape();
    channel.start(tape);
    expect(tape.events).toEqual([]);
    channel.halfClose();
    await tape.closed();
    expect(tape.events).toEqual(["data", "end", "close"]);
    expect(tape.text).toBe("HELLO");
  });

  for (const way of ["destroy", "finish"] as const) {
    test(`${way} from within the first data is told once, and the rest is not handed over`, async () => {
      using room = new Room();
      const { house, channel, bare } = await room.pair();
      bare.say("one");
      await breath();
      bare.say("two");
      bare.socket.shutdown();
      await eventually(() => channel.ended);
      const tape = new Tape({ data: () => channel[way]() });
      channel.start(tape);
      expect(await tape.closed()).toEqual([""]);
      expect(tape.events).toEqual(["data", "close"]);
      expect(house.listener.connections).toBe(0);
    });
  }
});

describe("the caps", () => {
  const words = (code: string) => `ERROR ${code} try later\n`;

  test("the 33rd connection of one address is told why and closed, and a place is free again when one leaves", async () => {
    using room = new Room();
    const house = room.listen({ maxPerAddress: 32, onRefused: (code) => words(code) });
    const guests: Bare[] = [];
    for (let i = 0; i < 32; i += 1) guests.push(await room.bare(house.port));
    await house.accepted(31);
    const late = await room.bare(house.port);
    await late.until(() => late.ended);
    expect(late.text).toBe("ERROR too-many-connections try later\n");
    late.say("but");
    late.socket.shutdown();
    await late.until(() => late.closed);
    expect(house.listener.connections).toBe(32);
    expect(house.channels.length).toBe(32);

    const gone = new Tape();
    (await house.accepted(0)).start(gone);
    guests[0]?.socket.terminate();
    await gone.closed();
    expect(house.listener.connections).toBe(31);
    const next = await room.bare(house.port);
    const channel = await house.accepted(32);
    channel.send("welcome");
    await next.until(() => next.text === "welcome");
    expect(house.listener.connections).toBe(32);
  });

  test.skipIf(!hasIPv6)("of one address do not touch another", async () => {
    using room = new Room();
    const house = room.listen({ host: "::", maxPerAddress: 2, onRefused: (code) => words(code) });
    for (let i = 0; i < 2; i += 1) await room.bare(house.port);
    const third = await room.bare(house.port);
    await third.until(() => third.ended);
    const other = await room.bare(house.port, { address: "::1" });
    const channel = await house.accepted(2);
    expect<string>(channel.remote.address).toBe("::1");
    channel.send("welcome");
    await other.until(() => other.text === "welcome");
  });

  test.skipIf(!hasIPv6)("count an IPv4 address once, however it is written", async () => {
    using room = new Room();
    const refused: string[] = [];
    const house = room.listen({
      host: "::",
      maxPerAddress: 2,
      onRefused(code, remote) {
        refused.push(remote.address);
        return words(code);
      },
    });
    const plain = await room.dial(house.port, "127.0.0.1");
    const mapped = await room.dial(house.port, "::ffff:127.0.0.1");
    const third = await room.bare(house.port, { address: "::ffff:127.0.0.1" });
    await third.until(() => third.ended);
    expect(third.text).toBe("ERROR too-many-connections try later\n");
    expect(refused).toEqual(["127.0.0.1"]);
    const first = await house.accepted(0);
    const second = await house.accepted(1);
    expect([first, second, plain, mapped].map(({ remote }) => remote.address)).toEqual(Array(4).fill("127.0.0.1"));
    expect([first, second, plain, mapped].map(({ local }) => local.address)).toEqual(Array(4).fill("127.0.0.1"));
    expect(plain.remote.port).toBe(house.port);
    expect(first.local.port).toBe(house.port);
    expect([plain.local.port, mapped.local.port]).toEqual([first.remote.port, second.remote.port]);
  });

  test("more connections than there are places in all are told so, and a place is free again when one leaves", async () => {
    using room = new Room();
    const house = room.listen({ maxConnections: 3, maxPerAddress: 32, onRefused: (code) => words(code) });
    const guests: Bare[] = [];
    for (let i = 0; i < 3; i += 1) guests.push(await room.bare(house.port));
    await house.accepted(2);
    const late = await room.bare(house.port);
    await late.until(() => late.ended);
    expect(late.text).toBe("ERROR tracker-full try later\n");
    const gone = new Tape();
    (await house.accepted(1)).start(gone);
    guests[1]?.socket.terminate();
    await gone.closed();
    await room.bare(house.port);
    await house.accepted(3);
    expect(house.listener.connections).toBe(3);
  });

  test("without words for the refused they are closed without", async () => {
    using room = new Room();
    const house = room.listen({ maxConnections: 0 });
    for (let i = 0; i < 5; i += 1) {
      const bare = await room.visit(house.port);
      await bare?.until(() => bare.closed);
      expect(bare?.received ?? 0).toBe(0);
    }
    expect(house.channels).toEqual([]);
    expect(house.listener.connections).toBe(0);
  });

  test("hold against a flood: some are told, all are closed, who is inside notices nothing", async () => {
    using room = new Room();
    const house = room.listen({ maxPerAddress: 1, onRefused: (code) => words(code) });
    const inside = await room.bare(house.port);
    const channel = await house.accepted(0);
    channel.start(new Tape({ data: (chunk) => channel.send(chunk) }));
    const visits = await Promise.all(Array.from({ length: 800 }, () => room.visit(house.port)));
    const flood = visits.filter((one) => one !== undefined);
    await Promise.all(flood.map((one) => one.until(() => one.ended || one.closed)));
    const told = flood.filter((one) => one.text === "ERROR too-many-connections try later\n");
    const cut = flood.filter((one) => one.text === "");
    expect(told.length + cut.length).toBe(flood.length);
    // Nobody who was told has left yet, so not everybody could be waited for.
    expect(told.length).toBeGreaterThan(0);
    expect(told.length).toBeLessThan(visits.length / 2);
    expect(cut.every((one) => one.closed)).toBe(true);
    expect(house.listener.connections).toBe(1);
    inside.say("ping");
    await inside.until(() => inside.text === "ping");

    // When the flood is over, the next one is told again.
    for (const one of told) one.socket.terminate();
    await breath();
    const next = await room.bare(house.port);
    await next.until(() => next.ended);
    expect(next.text).toBe("ERROR too-many-connections try later\n");
  });

  test("tell a flood why only now and then", async () => {
    using room = new Room();
    const house = room.listen({ maxConnections: 0, onRefused: (code) => words(code) });
    const began = performance.now();
    let told = 0;
    const visits = 600;
    // One after another, so that nobody waits to be told.
    for (let i = 0; i < visits; i += 1) {
      const bare = await room.visit(house.port);
      await bare?.until(() => bare.ended || bare.closed);
      if (bare?.text === "ERROR tracker-full try later\n") told += 1;
      else expect(bare?.received ?? 0).toBe(0);
      bare?.socket.terminate();
    }
    // The first 256, and 64 a second after that.
    expect(told).toBeGreaterThanOrEqual(256);
    expect(told).toBeLessThanOrEqual(257 + (64 * (performance.now() - began)) / 1000);
    expect(told).toBeLessThan(visits);
  });

  test("let the refused go a few at a time, so that a flood is not back at once", async () => {
    using room = new Room();
    const house = room.listen({ maxConnections: 0 });
    const flood = await Promise.all(Array.from({ length: 30 }, () => room.bare(house.port)));
    const gone = () => flood.filter((one) => one.closed).length;
    await Promise.race(flood.map((one) => one.until(() => one.closed)));
    // Those who were cut off together are all seen now.
    await breath();
    expect(gone()).toBeLessThan(15);
    await Promise.all(flood.map((one) => one.until(() => one.closed)));
    expect(house.listener.connections).toBe(0);
  });

  test("know nothing of somebody who was gone before being accepted", async () => {
    using room = new Room();
    const refused: string[] = [];
    const house = room.listen({
      maxPerAddress: 1,
      onRefused(code, remote) {
        refused.push(remote.address);
        return words(code);
      },
    });
    const program = `
      for (let i = 0; i < 5; i += 1) {
        await new Promise((go) =>
          Bun.connect({
            hostname: "${LOOPBACK}",
            port: ${house.port},
            socket: { open: (socket) => (socket.terminate(), go()), data() {} },
          }),
        );
      }
      process.exit();`;
    // Nobody is accepted meanwhile.
    expect(Bun.spawnSync([process.execPath, "-e", program]).exitCode).toBe(0);
    const bare = await room.bare(house.port);
    const channel = await house.accepted(0);
    expect(channel.remote).toEqual({ address: LOOPBACK as Address, port: bare.socket.localPort });
    expect(house.listener.connections).toBe(1);
    expect(refused).toEqual([]);
  });

  test.skipIf(process.platform !== "linux")("leave descriptors for files, whatever the system allows", async () => {
    expect(descriptorLimit()).toBeGreaterThan(128);
    using room = new Room();
    // A program that may open 200 descriptors and opens a file for everybody who asks.
    const program = `
      import { openSync, closeSync, writeSync } from "node:fs";
      import { descriptorLimit, listen } from ${JSON.stringify(import.meta.resolve("../../lib/net/listen.ts"))};
      const { port } = listen({
        host: "${LOOPBACK}",
        port: 0,
        onRefused: (code) => "ERROR " + code + "\\n",
        onConnection: (channel) =>
          channel.start({
            data() {
              closeSync(openSync(process.execPath, "r"));
              channel.send("opened");
            },
            end: () => channel.finish(),
          }),
      });
      writeSync(1, descriptorLimit() + " " + port + "\\n");`;
    const [limit, port = 0] = await room.program(["sh", "-c", `ulimit -n 200; exec "$0" -e "$1"`, process.execPath, program]);
    expect(limit).toBe(200);
    const visit = async () => {
      const guest = await room.visit(port);
      guest?.say("?");
      await guest?.until(() => guest.text !== "" || guest.ended || guest.closed);
      return guest;
    };
    const guests = await Promise.all(Array.from({ length: 300 }, visit));
    // 128 are kept free.
    expect(guests.filter((guest) => guest?.text === "opened").length).toBe(72);
    expect(guests.filter((guest) => guest?.text === "ERROR tracker-full\n").length).toBeGreaterThan(0);
    for (const guest of guests) guest?.socket.terminate();
    // The program sees them leave one by one, so the first who come may still be refused, but soon nobody is.
    for (let answer = ""; answer !== "opened"; ) answer = (await visit())?.text ?? "";
  });

  test("200 connections at once are all served, and all their places come back", async () => {
    using room = new Room();
    const house = room.listen({
      onConnection(channel) {
        channel.start({
          data(chunk) {
            channel.send(chunk);
            channel.finish();
          },
        });
      },
    });
    const guests = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const channel = await room.dial(house.port);
        const tape = new Tape({ end: () => channel.finish() });
        channel.start(tape);
        return { channel, tape, i };
      }),
    );
    await house.accepted(199);
    expect(house.listener.connections).toBe(200);
    for (const { channel, i } of guests) channel.send(`guest ${i}`);
    for (const { tape, i } of guests) {
      expect(await tape.closed()).toEqual([""]);
      expect(tape.text).toBe(`guest ${i}`);
    }
    await eventually(() => house.listener.connections === 0);
  });
});

describe("listen", () => {
  const onConnection = () => undefined;

  test("says that the port is in use", async () => {
    using room = new Room();
    const { port } = room.listen();
    expect(await failure(() => listen({ host: LOOPBACK, port, onConnection }))).toEqual([
      "port-in-use",
      `Cannot listen on "127.0.0.1:${port}": the port is in use. Choose another with --port.`,
    ]);
  });

  for (const host of ["203.0.113.5", "2001:db8::1", "256.1.1.1", "no such host", ""]) {
    test(`says that "${host}" is not an address of this machine`, async () => {
      const shown = host.includes(":") ? `[${host}]` : host;
      expect(await failure(() => listen({ host, port: 0, onConnection }))).toEqual([
        "bad-host",
        `Cannot listen on "${shown}:0": this machine has no such address. Check --host.`,
      ]);
    });
  }

  test("says where it listens", () => {
    using room = new Room();
    const { listener } = room.listen();
    expect(listener.address).toBe(LOOPBACK);
    expect(listener.port).toBeGreaterThan(0);
    expect(listener.connections).toBe(0);
  });

  test("accepts nobody after stop, while the open ones go on and the port is free", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    channel.start(new Tape({ data: (chunk) => channel.send(chunk) }));
    house.listener.stop();
    expect((await failure(() => dial({ address: LOOPBACK, port: house.port })))[0]).toBe("unreachable");
    expect(house.channels.length).toBe(1);
    bare.say("still there?");
    await bare.until(() => bare.text === "still there?");
    expect(house.listener.connections).toBe(1);

    const again = room.listen({ port: house.port });
    await room.bare(again.port);
    await again.accepted(0);
    expect(house.channels.length).toBe(1);
    bare.say(" yes");
    await bare.until(() => bare.text === "still there? yes");
    house.listener.stop();
  });

  test("survives a connection handler that destroys or finishes at once", async () => {
    using room = new Room();
    const ways = ["destroy", "finish"] as const;
    const house = room.listen({
      onConnection(channel) {
        channel.send("no");
        channel[ways[house.channels.length % 2] ?? "destroy"]();
      },
    });
    for (let i = 0; i < 6; i += 1) {
      const bare = await room.visit(house.port);
      await bare?.until(() => bare.ended || bare.closed);
      bare?.socket.end();
    }
    await house.accepted(5);
    await eventually(() => house.listener.connections === 0);
  });
});

describe("dial", () => {
  test("says that nothing listens there", async () => {
    using room = new Room();
    const { listener } = room.listen();
    listener.stop();
    expect(await failure(() => dial({ address: LOOPBACK, port: listener.port }))).toEqual([
      "unreachable",
      "nothing listens there (connection refused)",
    ]);
  });

  test("gives up when nobody answers in time", async () => {
    using room = new Room();
    const port = await room.fullPort();
    const began = performance.now();
    expect(await failure(() => dial({ address: LOOPBACK, port }, { timeoutMs: 200 }))).toEqual([
      "no-answer",
      "no answer within 0.2 s",
    ]);
    expect(performance.now() - began).toBeGreaterThanOrEqual(199);

    const stop = new AbortController();
    const waiting = failure(() => dial({ address: LOOPBACK, port }, { signal: stop.signal }));
    await breath();
    stop.abort();
    expect(await waiting).toEqual(["cancelled", "stopped"]);
  });

  for (const [address, port] of [
    ["", 1234],
    ["no such host", 1234],
    [LOOPBACK, 70_000],
    [LOOPBACK, -1],
  ] as const) {
    test(`fails with a clause for what cannot be: "${address}" and ${port}`, async () => {
      const [code, words] = await failure(() => dial({ address, port }));
      expect(code).toBe("unreachable");
      expect(words).toMatch(/^(the connection could not be made|no host has that name)$/);
    });
  }

  test("does nothing for who has stopped already", async () => {
    using room = new Room();
    const house = room.listen();
    const { port } = house;
    expect((await failure(() => dial({ address: LOOPBACK, port }, { signal: AbortSignal.abort() })))[0]).toBe("cancelled");
    await room.dial(port);
    await house.accepted(0);
    expect(house.channels.length).toBe(1);
  });

  test("lets go of a connection that opens after it was given up", async () => {
    using room = new Room();
    const house = room.listen();
    const stop = new AbortController();
    const dialling = failure(() => dial({ address: LOOPBACK, port: house.port }, { signal: stop.signal }));
    stop.abort();
    expect((await dialling)[0]).toBe("cancelled");
    const tape = new Tape();
    (await house.accepted(0)).start(tape);
    await tape.closed();
    expect(house.listener.connections).toBe(0);
  });

  test("takes no notice of a stop that comes after the connection", async () => {
    using room = new Room();
    const house = room.listen();
    const stop = new AbortController();
    const channel = await dial({ address: LOOPBACK, port: house.port }, { signal: stop.signal });
    stop.abort();
    await breath();
    expect(channel.closed).toBe(false);
    channel.send("hello");
    const tape = new Tape();
    (await house.accepted(0)).start(tape);
    await tape.until(() => tape.text === "hello");
    channel.destroy();
    await tape.closed();
  });
});

describe("the close handler is called exactly once", () => {
  /** Each way a channel can come to its end; `channel` is ours, `bare` the other side. */
  const paths: Record<string, (channel: Channel, bare: Bare, tape: Tape) => void | Promise<void>> = {
    "after destroy": (channel) => channel.destroy(),
    "after two times destroy": (channel) => {
      channel.destroy("first");
      channel.destroy("second");
    },
    "after finish and a polite end": (channel, bare) => {
      channel.finish();
      bare.socket.shutdown();
    },
    "after finish and a reset": (channel, bare) => {
      channel.finish();
      bare.socket.terminate();
    },
    "after finish and destroy": (channel) => {
      channel.finish();
      channel.destroy();
    },
    "after an end and finish": async (channel, bare, tape) => {
      bare.socket.shutdown();
      await tape.until(() => tape.ends === 1);
      channel.finish();
    },
    "after an end and half-close": async (channel, bare, tape) => {
      bare.socket.shutdown();
      await tape.until(() => tape.ends === 1);
      channel.halfClose();
    },
    "after half-close and an end": (channel, bare) => {
      channel.halfClose();
      bare.socket.shutdown();
    },
    "after half-close and a reset": (channel, bare) => {
      channel.halfClose();
      bare.socket.terminate();
    },
    "after a plain close of the other side and finish": async (channel, bare, tape) => {
      bare.socket.end();
      await tape.until(() => tape.ends === 1);
      channel.finish();
    },
    "after the other side closed and we went on sending": async (channel, bare, tape) => {
      bare.socket.end();
      await tape.until(() => tape.ends === 1);
      channel.send("anybody?");
    },
    "after a reset": (_, bare) => {
      bare.socket.terminate();
    },
    "after the deadline": (channel) => channel.limit({ deadline: 0 }),
    "after the deadline within finish": (channel) => {
      channel.finish();
      channel.limit({ deadline: 0 });
    },
    "after the idle limit": (channel) => channel.limit({ idle: 0 }),
    "after the backlog limit": (channel) => {
      channel.limit({ backlog: 0 });
      while (!channel.closed) channel.send(six);
    },
  };

  for (const [how, act] of Object.entries(paths)) {
    test(how, async () => {
      using room = new Room();
      const { house, channel, bare } = await room.pair();
      let seen: unknown;
      const tape = new Tape({
        close() {
          seen = { closed: channel.closed, backlog: channel.backlog, connections: house.listener.connections };
        },
      });
      channel.start(tape);
      await act(channel, bare, tape);
      await tape.closed();
      expect(tape.closes.length).toBe(1);
      // Who hears of it finds the channel closed, nothing waiting, and the place free.
      expect(seen).toEqual({ closed: true, backlog: 0, connections: 0 });
      // Nothing that is done to it afterwards does anything.
      channel.destroy("again");
      channel.finish();
      channel.halfClose();
      channel.pause();
      channel.resume();
      channel.limit({ deadline: 0, idle: 0, stall: 0, backlog: 0 });
      channel.send("again");
      expect(channel.offer(Buffer.from("again"))).toBe(0);
      bare.say("again");
      bare.socket.end();
      await breath();
      expect(tape.closes.length).toBe(1);
      expect(house.listener.connections).toBe(0);
      expect(channel.backlog).toBe(0);
    });
  }

  for (const handler of ["data", "end", "drain"] as const) {
    test(`when destroyed from within ${handler}`, async () => {
      using room = new Room();
      const { house, channel, bare } = await room.pair({ deaf: true });
      const tape = new Tape({ [handler]: () => channel.destroy(`within ${handler}`) });
      channel.limit({ backlog: undefined });
      channel.start(tape);
      if (handler === "drain") {
        channel.send(six);
        bare.socket.resume();
      } else if (handler === "data") bare.say("go");
      else bare.socket.shutdown();
      expect(await tape.closed()).toEqual([`within ${handler}`]);
      expect(house.listener.connections).toBe(0);
    });
  }

  test("when destroyed from within itself", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape({
      close() {
        channel.destroy("again");
        channel.finish();
      },
    });
    channel.start(tape);
    bare.socket.terminate();
    expect(await tape.closed()).toEqual(["the connection broke"]);
  });

  test("when a handler breaks its promise and throws; the socket is let go", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair();
    const tape = new Tape({
      data() {
        throw new Error("a mistake of ours");
      },
    });
    channel.start(tape);
    bare.say("go");
    expect((await tape.closed()).length).toBe(1);
    expect(house.listener.connections).toBe(0);
    await bare.until(() => bare.closed);
  });
});

test("a closed channel lets go of its handlers, and of what they hold", async () => {
  using room = new Room();
  const house = room.listen();
  // The wheel turns for this one.
  await room.bare(house.port);
  const handlers: WeakRef<Tape>[] = [];
  for (let i = 1; i <= 20; i += 1) {
    const bare = await room.bare(house.port);
    const channel = await house.accepted(i);
    const tape = new Tape();
    channel.start(tape);
    handlers.push(new WeakRef(tape));
    bare.socket.terminate();
    await tape.until(() => channel.closed);
  }
  await breath();
  Bun.gc(true);
  // The stack may still name one or the other.
  expect(handlers.filter((one) => one.deref() !== undefined).length).toBeLessThan(10);
});

test("both ends of a channel are known also after its close", async () => {
  using room = new Room();
  const house = room.listen();
  const near = await room.dial(house.port);
  const far = await house.accepted(0);
  const ends = (channel: Channel) => ({ local: channel.local, remote: channel.remote });
  const before = [ends(near), ends(far)];
  expect(before[0]).toEqual({ local: far.remote, remote: far.local });
  expect(near.remote).toEqual({ address: LOOPBACK as Address, port: house.port });
  near.destroy();
  await eventually(() => far.closed);
  expect([ends(near), ends(far)]).toEqual(before);
});

describe("a reason", () => {
  test("given to destroy reaches the close handler", async () => {
    using room = new Room();
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.destroy("it said nonsense");
    expect(await tape.closed()).toEqual(["it said nonsense"]);
    await bare.until(() => bare.closed);
  });
});

// The kernel's table of connections shows what no handler tells.
describe.skipIf(process.platform !== "linux")("as the kernel sees it", () => {
  test("keep-alive is on, on both sides, so a pulled cable is noticed", async () => {
    using room = new Room();
    const house = room.listen();
    const near = await room.dial(house.port);
    const far = await house.accepted(0);
    for (const { local, remote } of [near, far]) {
      const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
      const row = new RegExp(` [0-9A-F]{8}:${hex(local.port)} [0-9A-F]{8}:${hex(remote.port)} 01 .*`);
      const [found] = row.exec(readFileSync("/proc/net/tcp", "utf8")) ?? [];
      // The column after the queues is the running timer; 02 is keep-alive.
      expect(found?.trim().split(" ")[4]?.slice(0, 2)).toBe("02");
    }
  });

  const nextDescriptor = () => {
    const descriptor = openSync("/dev/null", "r");
    closeSync(descriptor);
    return descriptor;
  };

  test("a hundred refused connections leave no descriptor behind, whether they waited for their end or not", async () => {
    using room = new Room();
    const house = room.listen({ maxConnections: 0 });
    const before = nextDescriptor();
    const bares = await Promise.all(Array.from({ length: 100 }, () => room.bare(house.port)));
    expect(nextDescriptor()).toBeGreaterThan(before + 100);
    for (const [i, { socket }] of bares.entries()) {
      if (i % 3 === 1) socket.terminate();
      if (i % 3 === 2) socket.shutdown();
    }
    for (const bare of bares) await bare.until(() => bare.closed);
    await breath();
    expect(nextDescriptor()).toBeLessThanOrEqual(before + 2);
  });

  test("a hundred connections that ended in every way leave no descriptor behind", async () => {
    using room = new Room();
    const house = room.listen();
    const before = nextDescriptor();
    const bares = await Promise.all(Array.from({ length: 100 }, () => room.bare(house.port)));
    await house.accepted(99);
    const tapes = house.channels.map((channel, i) => {
      const tape = new Tape();
      channel.start(tape);
      channel.send("something");
      if (i % 5 === 0) channel.destroy();
      else if (i % 5 !== 3) channel.finish();
      if (i % 5 === 2) channel.limit({ deadline: 0 });
      return tape;
    });
    // Whose channel is not over by itself now leaves, politely or rudely.
    for (const [i, { socket }] of bares.entries()) {
      if (i % 5 === 1) socket.shutdown();
      if (i % 5 > 2) socket.terminate();
    }
    for (const tape of tapes) await tape.until(() => tape.closes.length > 0);
    for (const { socket } of bares) socket.terminate();
    await breath();
    expect(nextDescriptor()).toBeLessThanOrEqual(before + 2);
  });
});
