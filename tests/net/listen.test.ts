// Who is accepted and who is refused by a listener, and what the refused are told.

import { describe, expect, test } from "bun:test";
import { dial } from "../../lib/net/dial.ts";
import { descriptorLimit, type Listener, listen, listenError, listenNear, Places } from "../../lib/net/listen.ts";
import type { Address } from "../../lib/protocol/address.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";
import { type Bare, breath, eventually, failure, hasIPv6, LOOPBACK, openSockets, Room, Tape } from "../helpers/sockets.ts";

describe("Places", () => {
  const fill = (places: Places, addressOfOne: (i: number) => string, count: number) => {
    const refusals: string[] = [];
    for (let i = 0; i < count; i++) {
      const code = places.whyNot(addressOf(addressOfOne(i)));
      if (code === undefined) places.take(addressOf(addressOfOne(i)));
      else refusals.push(code);
    }
    return refusals;
  };

  test("all addresses of one IPv6 network of 64 bits have the places of one host", () => {
    const places = new Places(1000, 32);
    const six = (i: number) => `2001:db8:0:1:${(i * 7).toString(16)}::${i.toString(16)}`;
    expect(fill(places, six, 600)).toEqual(Array(568).fill("too-many-connections"));
    expect(places.taken).toBe(32);
    expect(fill(places, (i) => `2001:db8:0:2::${i + 1}`, 1)).toEqual([]);
    places.leave(addressOf(six(5)));
    expect(fill(places, six, 2)).toEqual(["too-many-connections"]);
  });

  test("the last tenth is for hosts that have none yet", () => {
    const places = new Places(100, 1000);
    expect(fill(places, () => "10.0.0.1", 1000)).toEqual(Array(910).fill("tracker-full"));
    expect(fill(places, (i) => `10.0.1.${i}`, 11)).toEqual(["tracker-full"]);
    expect(places.taken).toBe(100);
    for (let i = 0; i < 90; i++) places.leave(addressOf("10.0.0.1"));
    expect(fill(places, () => "10.0.1.1", 100)).toHaveLength(20);
  });

  test("are given away to the last one where there are few", () => {
    const places = new Places(3);
    expect(fill(places, () => "10.0.0.1", 4)).toEqual(["tracker-full"]);
  });
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

  test("hold against a flood: some are told, all are closed, and the connections inside notice nothing", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    let refused = 0;
    const onRefused = (code: string) => {
      refused += 1;
      return words(code);
    };
    const house = room.listen({ maxPerAddress: 1, onRefused });
    const inside = await room.bare(house.port);
    const channel = await house.accepted(0);
    channel.start(new Tape({ data: (chunk) => channel.send(chunk) }));
    const visits = await Promise.all(Array.from({ length: 800 }, () => room.visit(house.port)));
    await eventually(() => refused === 800);
    const flood = visits.filter((one) => one !== undefined);
    while (!flood.every((one) => one.ended || one.closed)) await clock.pass(10);
    const told = flood.filter((one) => one.text === "ERROR too-many-connections try later\n");
    const cut = flood.filter((one) => one.text === "");
    expect(told.length + cut.length).toBe(flood.length);
    // Nobody who was told has left yet, so not everybody could be waited for.
    expect(told.length).toBeGreaterThan(0);
    expect(told.length).toBeLessThanOrEqual(256);
    expect(cut.every((one) => one.closed)).toBe(true);
    expect(house.listener.connections).toBe(1);
    inside.say("ping");
    await inside.until(() => inside.text === "ping");

    // When the flood is over, the next one is told again.
    await clock.pass(3_000);
    const next = await room.bare(house.port);
    await next.until(() => next.ended);
    expect(next.text).toBe("ERROR too-many-connections try later\n");
  });

  test("tell a flood why only now and then", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    let refused = 0;
    const onRefused = (code: string) => {
      refused += 1;
      return words(code);
    };
    const house = room.listen({ maxConnections: 0, onRefused });
    const began = clock.elapsed();
    let told = 0;
    const visits = 600;
    const ends: Promise<void>[] = [];
    for (let i = 1; i <= visits; i += 1) {
      const bare = await room.visit(house.port);
      await eventually(() => refused === i);
      await clock.pass(1);
      // Each leaves as soon as it was told, so that nobody has to wait for that.
      const leave = () => {
        if (bare?.text === "ERROR tracker-full try later\n") told += 1;
        else expect(bare?.received ?? 0).toBe(0);
        bare?.socket.terminate();
      };
      if (bare !== undefined) ends.push(bare.until(() => bare.ended || bare.closed).then(leave));
    }
    const took = clock.elapsed() - began;
    await clock.pass(30_000);
    await Promise.all(ends);
    // The first 256, and 64 a second after that.
    expect(told).toBeGreaterThanOrEqual(256);
    expect(told).toBeLessThanOrEqual(257 + (64 * took) / 1000);
    expect(told).toBeLessThan(visits);
  });

  test("let the refused go a few at a time, so that a flood is not back at once", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    let refused = 0;
    const onRefused = () => {
      refused += 1;
      return "";
    };
    const house = room.listen({ maxConnections: 0, onRefused });
    const flood = await Promise.all(Array.from({ length: 30 }, () => room.bare(house.port)));
    const gone = () => flood.filter((one) => one.closed).length;
    await eventually(() => refused === 30);
    expect(gone()).toBe(0);
    for (const left of [27, 24, 21, 18]) {
      await clock.pass(10);
      await eventually(() => gone() >= 30 - left);
      expect(gone()).toBe(30 - left);
    }
    await clock.pass(1_000);
    await Promise.all(flood.map((one) => one.until(() => one.closed)));
    expect(house.listener.connections).toBe(0);
  });

  test("do not count a client that was gone before it was accepted", async () => {
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
    // 128 are kept free, and a tenth of the rest is kept for other hosts.
    expect(guests.filter((guest) => guest?.text === "opened").length).toBe(65);
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

describe("refused connections", () => {
  test("a refused connection that never closes is left after two seconds", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    const house = room.listen({ maxConnections: 0, onRefused: () => "no room\n" });
    const bare = await room.bare(house.port);
    await bare.until(() => bare.ended);
    expect(bare.text).toBe("no room\n");
    await clock.pass(1_500);
    bare.say("hello?");
    await breath();
    expect(bare.closed).toBe(false);
    await clock.pass(1_000);
    bare.say("hello?");
    await bare.until(() => bare.closed);
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

describe.skipIf(process.platform !== "linux")("as the kernel sees it", () => {
  test("a hundred refused connections leave no descriptor behind, whether they waited for their end or not", async () => {
    const clock = new HandClock();
    using room = new Room(clock);
    let refused = 0;
    const onRefused = () => {
      refused += 1;
      return "";
    };
    const house = room.listen({ maxConnections: 0, onRefused });
    const before = openSockets();
    const bares = await Promise.all(Array.from({ length: 100 }, () => room.bare(house.port)));
    await eventually(() => refused === 100);
    const ours = openSockets().difference(before);
    expect(ours.size).toBe(200);
    for (const [i, { socket }] of bares.entries()) {
      if (i % 3 === 1) socket.terminate();
      if (i % 3 === 2) socket.shutdown();
    }
    await clock.pass(1_000);
    for (const bare of bares) await bare.until(() => bare.closed);
    await eventually(() => ours.isDisjointFrom(openSockets()));
  });
});

describe("a port that cannot be had", () => {
  const denied = (code = "EACCES") => Object.assign(new Error("bind"), { code });

  test("is told as what it is, with the way out, on each system", () => {
    const told = (port: number, platform: string, code = "EACCES") => listenError(denied(code), { port }, platform).message;
    expect(told(1234, "win32")).toBe(
      'Cannot listen on "[::]:1234": another program, or Windows itself, keeps this port. Choose another with --port; ' +
        '"netsh int ipv4 show excludedportrange tcp" lists the ports that Windows keeps.',
    );
    // Windows has no ports for administrators only.
    expect(told(80, "win32")).toBe(told(1234, "win32").replace("1234", "80"));
    for (const platform of ["linux", "darwin"]) {
      expect(told(80, platform)).toBe(
        'Cannot listen on "[::]:80": the system forbids this port. Choose one above 1023 with --port.',
      );
      expect(told(1234, platform, "EPERM")).toBe(
        'Cannot listen on "[::]:1234": the system keeps this port to itself. Choose another with --port.',
      );
    }
    expect(told(1234, "linux", "EADDRINUSE")).toContain("the port is in use");
    expect(told(1234, "linux", "EADDRNOTAVAIL")).toContain("no such address");
  });

  test("is replaced by a free one when it is only the usual one, whether it is taken or reserved", () => {
    for (const code of ["EACCES", "EADDRINUSE", "EADDRNOTAVAIL"]) {
      const tried: number[] = [];
      const open = (options: Parameters<typeof listen>[0]): Listener => {
        tried.push(options.port);
        if (options.port !== 0) throw listenError(denied(code), options, "win32");
        return { address: "::", port: 49_200, connections: 0, stop: () => undefined };
      };
      const near = () => listenNear({ port: 1235, onConnection: () => undefined }, open).port;
      if (code === "EADDRNOTAVAIL") expect(near).toThrow("no such address");
      else expect(near()).toBe(49_200);
      expect(tried).toEqual(code === "EADDRNOTAVAIL" ? [1235] : [1235, 0]);
    }
  });
});
