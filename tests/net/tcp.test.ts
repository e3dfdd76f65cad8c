// A channel on a TCP socket against counterparts that are slow, deaf, talkative, rude or gone. What a channel promises is written in
// lib/net/channel.ts. tls.test.ts runs this file again, with TLS on every connection.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Channel } from "../../lib/net/channel.ts";
import type { Address } from "../../lib/protocol/address.ts";
import { HandClock } from "../helpers/channel.ts";
import {
  type Bare,
  breath,
  certificate,
  eventually,
  KiB,
  LOOPBACK,
  MiB,
  noise,
  openSockets,
  Room as PlainRoom,
  pump,
  sha256,
  six,
  sixHash,
  still,
  Tape,
} from "../helpers/sockets.ts";

const tls = import.meta.url.endsWith("?tls") ? certificate : undefined;

class Room extends PlainRoom {
  constructor(clock?: HandClock) {
    super(clock, tls);
  }
}

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

  test("arrives to its last byte at a client that keeps talking", async () => {
    using room = new Room();
    const { house, channel, bare } = await room.pair({ deaf: true });
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
    // It goes on talking long after the answer has begun, before it reads, and nobody has to hear it.
    await bare.until(() => bare.sent > MiB);
    bare.socket.resume();
    await bare.until(() => bare.ended || bare.closed);
    expect(bare.received).toBe(six.length);
    expect(bare.digest()).toBe(sixHash);
    expect(tape.received).toBeLessThan(bare.sent);
    bare.socket.shutdown();
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
  });

  test("arrives at a client that half-closed right after asking", async () => {
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

  test("of a dialled channel arrives at a client that half-closed as well", async () => {
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

  test("to many requests in one piece does not count against a client that reads it", async () => {
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

describe("a reader that never reads", () => {
  test("is given up when it takes no byte for the stall limit", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ stall: 300, backlog: undefined });
    channel.send(six);
    expect(channel.backlog).toBeGreaterThan(0);
    // The system may take a little more of it yet, which counts as progress.
    while (!channel.closed) await clock.pass(200);
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
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 300 });
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("goodbye");
    expect(channel.closed).toBe(false);
    await clock.pass(600);
    expect(await tape.closed()).toEqual([""]);
    expect(house.listener.connections).toBe(0);
    // Nobody is there any more: what it says now is answered with a reset.
    bare.say("hello?");
    await bare.until(() => bare.closed);
  });

  test("ends under its deadline when the other side neither reads nor closes", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.send(noise(64 * KiB));
    channel.finish();
    channel.limit({ deadline: 250 });
    await clock.pass(600);
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

  test("takes no more than the excess limit from a client that goes on sending, each counted alone", async () => {
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

  test("of both sides is a plain close, whichever was first", async () => {
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

describe("a silent counterpart", () => {
  test("is given up at the idle limit", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 300 });
    await clock.pass(299);
    expect(tape.closes).toEqual([]);
    await clock.pass(301);
    expect(await tape.closed()).toEqual(["it was silent for 0.3 s"]);
    expect(house.listener.connections).toBe(0);
    await bare.until(() => bare.closed);
  });

  test("is given up at the absolute deadline", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 300 });
    await clock.pass(299);
    expect(tape.closes).toEqual([]);
    await clock.pass(301);
    expect(await tape.closed()).toEqual(["it took too long"]);
    expect(house.listener.connections).toBe(0);
    await bare.until(() => bare.closed);
  });

  test("is given up before any handlers are there, too", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { house, channel, bare } = await room.pair();
    channel.limit({ deadline: 100 });
    await clock.pass(400);
    await bare.until(() => bare.closed);
    expect(channel.closed).toBe(true);
    expect(house.listener.connections).toBe(0);
  });

  test("is given up by the system's clock as well", async () => {
    using room = new Room();
    const { channel } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 1 });
    expect(await tape.closed()).toEqual(["it took too long"]);
  });
});

describe("with a clock that is moved by hand", () => {
  test("a reader that takes nothing is closed after 30 s", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ backlog: undefined });
    channel.send(six);
    await clock.pass(29_500);
    expect(channel.closed).toBe(false);
    await clock.pass(1_000);
    expect(tape.closes).toEqual(["it took no byte for 30 s"]);
  });

  test("so is one that stops in the middle of a pumped file", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel } = await room.pair({ deaf: true });
    const go = pump(channel, six, () => undefined);
    const tape = new Tape({ drain: go });
    channel.start(tape);
    go();
    await eventually(() => channel.offer(six) === 0);
    await clock.pass(31_000);
    expect(tape.closes).toEqual(["it took no byte for 30 s"]);
  });

  test("a reader that takes a little now and then is not", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair({ deaf: true });
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ backlog: undefined });
    const whole = noise(32 * MiB, 11);
    channel.send(whole);
    let steps = 0;
    while (channel.backlog > 0) {
      await clock.pass(20_000);
      // Counted from here: what the system still took meanwhile was taken at an earlier time of the clock.
      const before = channel.backlog;
      if (before === 0) break;
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
    await clock.pass(100_000);
    expect(tape.closes).toEqual([]);
  });

  test("a client that never closes is left 30 s after the last byte was sent", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    await clock.pass(100_000);
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    await clock.pass(29_500);
    expect(channel.closed).toBe(false);
    await clock.pass(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("a client that never closes is left 30 s even if an idle limit was set", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    channel.send("goodbye");
    channel.finish();
    await bare.until(() => bare.ended);
    await clock.pass(29_500);
    expect(channel.closed).toBe(false);
    await clock.pass(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("so is a client that never closes after a half-close and a finish", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.send("goodbye");
    channel.halfClose();
    await bare.until(() => bare.ended);
    channel.finish();
    await clock.pass(29_500);
    expect(channel.closed).toBe(false);
    await clock.pass(1_000);
    expect(tape.closes).toEqual([""]);
  });

  test("a byte each second does not hold a connection beyond ten", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 10_000, idle: 5_000 });
    for (let second = 1; second <= 9; second += 1) {
      await clock.pass(1_000);
      bare.say(".");
      await tape.until(() => tape.received === second);
    }
    expect(channel.closed).toBe(false);
    await clock.pass(1_500);
    expect(tape.closes).toEqual(["it took too long"]);
  });

  test("silence counts from the last byte", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    for (let said = 1; said <= 3; said += 1) {
      await clock.pass(4_900);
      bare.say(".");
      await tape.until(() => tape.received === said);
    }
    await clock.pass(4_900);
    expect(tape.closes).toEqual([]);
    // Deadlines are looked at five times a second, and so is whether something was heard.
    await clock.pass(500);
    expect(tape.closes).toEqual(["it was silent for 5 s"]);
  });

  test("one channel's limits are not another's, and a closed channel holds up no other", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
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
    await clock.pass(4_500);
    expect(open()).toEqual([true, true, true, true]);
    await clock.pass(1_000);
    expect(open()).toEqual([false, false, true, true]);
    await clock.pass(4_000);
    expect(open()).toEqual([false, false, false, true]);
    await clock.pass(4_000);
    expect(tapes.map(({ closes }) => closes)).toEqual(limits.map((idle) => [`it was silent for ${idle / 1000} s`]));
  });

  test("silence is nobody's fault while the channel is paused", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000 });
    channel.pause();
    await clock.pass(60_000);
    expect(tape.closes).toEqual([]);
    channel.resume();
    await clock.pass(4_500);
    expect(tape.closes).toEqual([]);
    await clock.pass(1_000);
    expect(tape.closes).toEqual(["it was silent for 5 s"]);
  });

  test("nobody is closed once the limits are taken away, nor by limits that were not named", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel, bare } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ idle: 5_000, deadline: 5_000 });
    channel.limit({ idle: undefined, deadline: undefined });
    channel.limit({ stall: 5_000, backlog: 5_000 });
    await clock.pass(3_600_000);
    expect(tape.closes).toEqual([]);
    bare.say("still here");
    await tape.until(() => tape.text === "still here");
  });

  test("one limit stays when another is replaced", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const { channel } = await room.pair();
    const tape = new Tape();
    channel.start(tape);
    channel.limit({ deadline: 10_000 });
    channel.limit({ idle: undefined });
    await clock.pass(11_000);
    expect(tape.closes).toEqual(["it took too long"]);
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
      // Inside TLS even a close is polite, and waits for our end.
      if (tls === undefined) bare.socket.end();
      else bare.socket.shutdown();
      await tape.until(() => tape.ends === 1);
      if (tls !== undefined) bare.socket.terminate();
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
      const timer = () => row.exec(readFileSync("/proc/net/tcp", "utf8"))?.[0].trim().split(" ")[4]?.slice(0, 2);
      // The column after the queues is the running timer; 02 is keep-alive. The last bytes of a TLS handshake have one of their own.
      await eventually(() => timer() !== "01");
      expect(timer()).toBe("02");
    }
  });

  test("a hundred connections that ended in every way leave no descriptor behind", async () => {
    using room = new Room();
    const house = room.listen();
    const before = openSockets();
    const bares: Bare[] = [];
    // One after the other, so that each has the number of its channel.
    for (let i = 0; i < 100; i += 1) {
      bares.push(await room.bare(house.port));
      await house.accepted(i);
    }
    const ours = openSockets().difference(before);
    expect(ours.size).toBe(200);
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
    await eventually(() => ours.isDisjointFrom(openSockets()));
  });
});
