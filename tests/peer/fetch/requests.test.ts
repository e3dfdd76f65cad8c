// Which pieces are asked of which holder: several holders of different speed, and holders that are still fetching.

import { afterEach, describe, expect, test } from "bun:test";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { portionOf, ringDistanceOf, turnsOf } from "../../../lib/peer/fetch/portions.ts";
import { HERE, REFUSED } from "../../helpers/channel.ts";
import {
  A,
  B,
  bytesOf,
  C,
  checkFields,
  D,
  E,
  Field,
  failure,
  MiB,
  PIECE,
  piecesIn,
  SIZE,
  stateOf,
} from "../../helpers/fetching.ts";

afterEach(checkFields);

describe("Requests: several holders", () => {
  test.each([2, 3, 4, 5])("%d of the same speed: every one gives, and each byte is asked for about once", async (count) => {
    const field = new Field(bytesOf(6 * MiB + 1));
    const addresses = [A, B, C, D, E].slice(0, count);
    for (const address of addresses) field.add(address).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch(addresses)), addresses);
    expect(field.timesAsked.every((times) => times >= 1)).toBe(true);
    expect(field.timesAsked.reduce((sum, times) => sum + times, 0)).toBeLessThan(97 * 1.25);
    // All of them together take about that part of the time that one would take.
    expect(field.elapsed).toBeLessThan(((6.3 * 1000) / count) * 1.7 + 500);
    expect(field.failures).toEqual([]);
    // What the holders were about to send has its moment.
    await field.clock.pass(1000);
    await field.expectGone();
  });

  test("a fast one is asked for more than a slow one, and waits for nobody at the end", async () => {
    const field = new Field(bytesOf(8 * MiB));
    const slow = field.add(A);
    slow.pace = 100_000;
    field.add(B).pace = 4_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
    const fromSlow = slow.ranges.reduce((sum, { length }) => sum + length, 0);
    expect(fromSlow).toBeLessThan(1.5 * MiB);
    expect(field.elapsed).toBeLessThan(5000);
  });

  test("one that gives nothing at the end: its stretch is asked for elsewhere long before it is given up", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const silent = field.add(A);
    silent.instead = (_far, { verb }) => verb === "DOWNLOAD";
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(silent.asked.length).toBeGreaterThan(0);
    expect(field.elapsed).toBeLessThan(4500);
    expect(field.failures).toEqual([]);
    expect(Math.max(...field.timesAsked)).toBe(2);
  });

  test("one that was fast and falls silent at the end does not hold the last stretch up for seconds either", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const fading = field.add(A);
    fading.pace = 2_000_000;
    fading.instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count >= 3;
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.elapsed).toBeLessThan(4800);
  });

  test("one that was fast and then only trickles does not hold its stretch up either", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const fading = field.add(A);
    fading.pace = 2_000_000;
    fading.instead = (_far, { verb, count }) => {
      if (verb === "DOWNLOAD" && count >= 3) fading.pace = 2000;
      return false;
    };
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.elapsed).toBeLessThan(8000);
  });

  test("more holders than connections: those that have nothing make room for one that has", async () => {
    const field = new Field(bytesOf(SIZE));
    const addresses = Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}`);
    for (const address of addresses) field.add(address).has = new PieceSet(11);
    field.add(A);
    field.expectWhole(await field.finish(field.fetch([...addresses.map((address) => `~${address}`), A])), [A]);
    expect(field.net.dialled.filter(({ at }) => at === field.net.dialled[0]?.at).length).toBeLessThanOrEqual(16);
    expect(field.elapsed).toBeLessThan(15_000);
  });

  test("progress says how many give bytes now", async () => {
    const field = new Field(bytesOf(2 * MiB));
    for (const address of [A, B]) field.add(address).pace = 1_000_000;
    await field.finish(field.fetch([A, B]));
    expect(field.events.some((event) => event.event === "progress" && event.holders === 2)).toBe(true);
    expect(field.events.every((event) => event.event !== "progress" || event.received <= event.size)).toBe(true);
  });
});

describe("Requests: holders that are still fetching", () => {
  function setOf(pieces: number[]): PieceSet {
    const set = new PieceSet(11);
    for (const piece of pieces) set.add(piece);
    return set;
  }

  test("the conversation, byte for byte; only what one has is asked of it", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0, 2, 3, 4, 10]);
    const whole = field.add(B);
    whole.pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [A, B]);
    expect(part.heard.slice(0, 3)).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      `TREE root=${field.root} piece=65536`,
      `HAVE root=${field.root}`,
    ]);
    for (const piece of part.asked) expect([0, 2, 3, 4, 10]).toContain(piece);
    expect(whole.heard.join()).not.toContain("HAVE");
  });

  test("it is asked again what it has, and gives what is new, until it has all", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([4]);
    const early: number[] = [];
    part.instead = (_far, request) => {
      if (request.verb === "HAVE") part.has?.add((request.count * 3) % 11);
      if (request.verb === "DOWNLOAD") early.push(...piecesIn(request).filter((piece) => !part.has?.has(piece)));
      return false;
    };
    field.expectWhole(await field.finish(field.fetch([`~${A}`])), [A]);
    expect(early).toEqual([]);
    expect(field.failures).toEqual([]);
    expect(Math.max(...field.timesAsked)).toBe(1);
    // A piece every few hundred milliseconds, and not a question a tick.
    expect(field.elapsed).toBeGreaterThan(3000);
    expect(field.elapsed).toBeLessThan(8000);
  });

  test("the next eight on the ring have everything and trickle: they keep no piece from those that have some", async () => {
    const field = new Field(bytesOf(6 * MiB));
    const self = "10.0.2.1:5000";
    field.more.self = () => self;
    const far = (address: string) => ringDistanceOf(self, `${address}:5000`);
    const parts = Array.from({ length: 12 }, (_, i) => `10.0.1.${i + 1}`).sort((a, b) => far(a) - far(b));
    for (const [i, address] of parts.entries()) {
      const part = field.add(address);
      part.pace = i < 8 ? 1_400 : 300_000;
      if (i < 8) continue;
      part.has = new PieceSet(96);
      for (let piece = i % 4; piece < 96; piece += 4) part.has.add(piece);
    }
    field.expectWhole(await field.finish(field.fetch(parts.map((address) => `~${address}`)), 60_000));
  });

  test("one that says that it has everything and gives nothing is given up after a few questions", async () => {
    const field = new Field(bytesOf(SIZE));
    const boaster = field.add(A);
    boaster.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("ERROR not-here Soon, perhaps.\n");
      return verb === "DOWNLOAD";
    };
    const { code, message } = await failure(field.finish(field.fetch([`~${A}`]), 60_000));
    expect(code).toBe("no-holder");
    expect(message).toContain("pieces but does not send them");
    expect(boaster.ranges.length).toBeLessThan(30);
  });

  test("hashes that come slowly are not silence", async () => {
    const field = new Field(bytesOf(SIZE));
    const slow = field.add(A);
    slow.instead = async (far, { verb }) => {
      if (verb !== "TREE") return false;
      far.say(`TREE: ${slow.tree.length / 32}\n`);
      for (const byte of slow.tree.subarray(0, 10)) {
        await new Promise<void>((resolve) => field.clock.after(2000, resolve));
        far.say(Uint8Array.of(byte));
      }
      far.say(slow.tree.subarray(10));
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.failures).toEqual([]);
  });

  test("of many holders that failed for the same reason only some are named", async () => {
    const field = new Field(bytesOf(SIZE));
    field.net.fate = () => REFUSED;
    const many = Array.from({ length: 12 }, (_, i) => `192.168.2.${i + 1}`);
    const { message } = await failure(field.finish(field.fetch(many), 60_000));
    expect(message).toContain("and 9 more: nothing listens there");
    expect(message.length).toBeLessThan(300);
  });

  test("when all holders lack the same pieces the fetch waits half a minute for one that has them, and then fails with a sentence", async () => {
    const field = new Field(bytesOf(SIZE));
    for (const address of [A, B]) field.add(address).has = setOf([0, 1, 2, 3, 4]);
    const fetching = field.fetch([`~${A}`, `~${B}`]);
    await field.clock.pass(25_000);
    expect(await stateOf(fetching)).toBe("waiting");
    await field.clock.pass(10_000);
    expect(await stateOf(fetching)).toBe("failed");
    const { code, message } = await failure(fetching);
    expect(code).toBe("no-holder");
    expect(message).toMatch(/stopped at 328 kB of .*: nobody online has the rest\. Your progress is saved/);
    await field.expectGone();

    const other = new Field(bytesOf(SIZE));
    const slow = other.add(A);
    slow.has = setOf([0, 1, 2, 3, 4]);
    const late = other.fetch([`~${A}`]);
    await other.clock.pass(25_000);
    slow.has = PieceSet.whole(11);
    other.expectWhole(await other.finish(late), [A]);
  });

  test("a piece that only one has is taken before those that two have", async () => {
    for (const random of [() => 0, () => 0.5, () => 0.999_999]) {
      const field = new Field(bytesOf(SIZE));
      field.more.random = random;
      const [one, two] = [field.add(A), field.add(B)];
      one.has = setOf([0, 1, 2, 3, 4, 5, 6]);
      two.has = setOf([0, 1, 2, 3, 4, 5, 6, 8]);
      for (const holder of [one, two]) holder.pace = 1_000_000;
      // The second one says what it has when the first one has said so.
      const known = Promise.withResolvers<boolean>();
      one.instead = (_far, { verb }) => {
        if (verb === "DOWNLOAD") known.resolve(false);
        return false;
      };
      two.instead = (_far, { verb }) => verb === "TREE" && known.promise;
      void field.fetch([`~${A}`, `~${B}`]);
      await field.reach(() => two.ranges.length > 0);
      expect(two.ranges[0]).toEqual({ offset: 8 * PIECE, length: PIECE });
    }
  });

  test("one that lacks what it said it has has not failed; it is asked for other pieces", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    part.has.delete(10);
    let refused = 0;
    part.instead = (far, request) => {
      if (request.verb === "HAVE" && refused > 0) part.has = setOf([0, 1, 5, 6, 7, 8, 9]);
      if (request.verb !== "DOWNLOAD" || !piecesIn(request).some((piece) => piece >= 2 && piece <= 4)) return false;
      refused += 1;
      far.say("ERROR not-here I was wrong.\n");
      return true;
    };
    field.add(B).pace = 150_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [A, B]);
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThanOrEqual(6);
    expect(field.failures).toEqual([]);
    expect(part.connections).toHaveLength(1);
  });

  test("a piece that a slow holder is asked for is not asked for twice while others are free", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 20_000;
    const part = field.add(B);
    part.has = setOf([0, 1, 2, 3]);
    // It comes when the slow one is asked for its pieces already.
    field.more.look = async () => [field.record(A), field.record(B, { part: true })];
    void field.fetch([A]);
    await field.reach(() => part.connections.length > 0);
    expect([...(field.holders.get(A)?.asked ?? [])]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    await field.clock.pass(6_000);
    expect(part.ranges).toEqual([]);
  });

  test("a request that has only just begun to arrive is not repeated while others are free", async () => {
    const field = new Field(bytesOf(SIZE));
    const slow = field.add(A);
    slow.pace = 400_000;
    // After the first ones, an answer begins with a few bytes, and goes on two seconds later.
    slow.instead = async (far, request) => {
      if (request.verb !== "DOWNLOAD" || request.count < 2) return false;
      slow.announce(far, request);
      far.say(field.bytes.subarray(request.offset, request.offset + 10));
      await new Promise<void>((resolve) => field.clock.after(2_000, resolve));
      await slow.send(far, request.offset + 10, request.length - 10);
      return true;
    };
    const part = field.add(B);
    part.has = setOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    part.pace = 4_000_000;
    void field.fetch([A, `~${B}`]);
    await field.clock.pass(4_000);
    const pieces = field.timesAsked;
    expect(part.asked.length).toBeGreaterThan(0);
    expect(pieces.filter((times) => times > 1)).toEqual([]);
  });

  test("a peer that knows its own place begins there, not where everybody else begins", async () => {
    const beginnings = new Set<number>();
    for (const self of ["10.0.0.1:1235", "10.0.0.2:1235", "10.0.0.3:1235", "10.0.0.4:1235"]) {
      const field = new Field(bytesOf(6 * MiB));
      const source = field.add(A);
      field.more.self = () => self;
      field.expectWhole(await field.finish(field.fetch([A])), [A]);
      expect(field.timesAsked.every((times) => times === 1)).toBe(true);
      beginnings.add(source.asked[0] ?? -1);
    }
    expect(beginnings.size).toBeGreaterThan(1);
  });

  test("a file of one short request is asked for in one, whatever this peer's own place", async () => {
    for (const self of ["10.0.0.1:1235", "10.0.0.2:1235", "10.0.0.3:1235", "10.0.0.4:1235"]) {
      const field = new Field(bytesOf(200_000));
      const source = field.add(A);
      field.more.self = () => self;
      field.expectWhole(await field.finish(field.fetch([A])), [A]);
      expect(source.ranges).toEqual([{ offset: 0, length: 200_000 }]);
    }
  });

  test("two of many are asked for the hashes of the pieces; all are when these do not give them", async () => {
    const addresses = [A, B, C, D, E];
    const asked = (field: Field) =>
      addresses.filter((address) => field.holders.get(address)?.heard.some((line) => line.startsWith("TREE"))).length;
    const usual = new Field(bytesOf(6 * MiB));
    for (const address of addresses) usual.add(address).pace = 1_000_000;
    usual.expectWhole(await usual.finish(usual.fetch(addresses)));
    expect(asked(usual)).toBe(2);

    const deaf = new Field(bytesOf(6 * MiB));
    for (const address of addresses) deaf.add(address).instead = (_far, { verb }) => verb === "TREE";
    void deaf.fetch(addresses);
    await deaf.clock.pass(900);
    expect(asked(deaf)).toBe(2);
    await deaf.clock.pass(300);
    expect(asked(deaf)).toBe(5);
  });

  test("one that has several requests to answer is asked more rarely what it has", async () => {
    const questions = async (pace: number) => {
      const field = new Field(bytesOf(6 * MiB));
      const part = field.add(A);
      part.has = PieceSet.whole(96);
      part.has.delete(95);
      part.pace = pace;
      void field.fetch([`~${A}`]);
      await field.clock.pass(10_000);
      return part.heard.filter((line) => line.startsWith("HAVE")).length;
    };
    // The quick one has given all that it has after a second.
    expect(await questions(400_000)).toBeLessThan((await questions(10_000_000)) / 2);
  });

  test("few of many are connected, and a holder of the whole file always", async () => {
    const field = new Field(bytesOf(6 * MiB));
    const parts = Array.from({ length: 30 }, (_, i) => `10.0.1.${i + 1}`);
    for (const address of parts) {
      const part = field.add(address);
      part.has = new PieceSet(96);
      part.pace = 20_000;
    }
    field.add(A).pace = 100_000;
    void field.fetch([...parts.map((address) => `~${address}`), A]);
    await field.clock.pass(1_000);
    const connected = new Set(field.net.dialled.map(({ address }) => String(address)));
    expect(connected.size).toBe(9);
    expect(connected).toContain(A);
  });

  test("peers connect to those that follow on a ring of all, so that nobody is connected by all or by none", async () => {
    const peers = Array.from({ length: 20 }, (_, i) => `10.0.1.${i + 1}`);
    const times = new Map<string, number>();
    for (const self of peers) {
      const field = new Field(bytesOf(6 * MiB));
      field.more.self = () => `${self}:5000`;
      for (const address of peers) field.add(address).has = new PieceSet(96);
      void field.fetch(peers.filter((address) => address !== self).map((address) => `~${address}`));
      await field.clock.pass(100);
      for (const { address } of field.net.dialled) times.set(address, (times.get(address) ?? 0) + 1);
    }
    expect(peers.map((address) => times.get(address))).toEqual(peers.map(() => 8));
  });

  test("one that has nothing new keeps its connection for some seconds, and then makes room", async () => {
    const field = new Field(bytesOf(6 * MiB));
    const parts = Array.from({ length: 12 }, (_, i) => `10.0.1.${i + 1}`);
    for (const address of parts) field.add(address).has = new PieceSet(96);
    field.add(A).pace = 100_000;
    void field.fetch([A, ...parts.map((address) => `~${address}`)]);
    const connected = () => new Set(field.net.dialled.map(({ address }) => address)).size;
    await field.clock.pass(4_500);
    expect(connected()).toBe(9);
    await field.clock.pass(3_000);
    expect(connected()).toBe(13);
  });

  test("one with the whole file is asked for this peer's portion only, until the others give less than it does", async () => {
    const field = new Field(bytesOf(12 * MiB));
    const self = "10.0.2.1:5000";
    field.more.self = () => self;
    const parts = Array.from({ length: 7 }, (_, i) => `10.0.1.${i + 1}`);
    for (const address of parts) {
      const part = field.add(address);
      part.pace = 150_000;
      part.has = new PieceSet(192);
      for (let piece = 0; piece < 160; piece++) part.has.add(piece);
    }
    const whole = field.add(A);
    whole.pace = 400_000;
    const others = parts.map((address) => `${address}:5000`);
    const portion = portionOf(turnsOf(self, others, 192, 1));
    const foreign = () => whole.asked.filter((piece) => !portion.has(piece));
    const fetching = field.fetch([...parts.map((address) => `~${address}`), A]);
    // At first the speed of nobody is known.
    await field.clock.pass(2_500);
    const first = foreign();
    expect(whole.asked.length).toBeLessThan(first.length + portion.count);
    await field.clock.pass(4_000);
    expect(foreign()).toEqual(first);
    field.expectWhole(await field.finish(fetching));
    // Nobody else has the last ones.
    expect(foreign().length).toBeGreaterThan(first.length + 15);
  });

  test("a small file is divided piece by piece, a larger one in requests of 256 KiB", async () => {
    const asked = async (size: number) => {
      const field = new Field(bytesOf(size));
      field.more.self = () => "10.0.1.9:5000";
      const source = field.add(A);
      source.pace = 2_000_000;
      field.add(B).has = new PieceSet(size / PIECE);
      void field.fetch([A, `~${B}`]);
      await field.clock.pass(1_000);
      return source.ranges.map(({ length }) => length).filter((length) => length === PIECE).length;
    };
    expect(await asked(6 * MiB)).toBeGreaterThan(5);
    expect(await asked(128 * MiB)).toBe(0);
  });

  describe("beside a holder of the whole file on this computer", () => {
    const size = 6 * MiB;

    function fieldWith(near: string): Field {
      const field = new Field(bytesOf(size));
      field.more.self = () => `${near}:1235`;
      field.add(near).pace = 20 * MiB;
      field.add(B).has = PieceSet.whole(96);
      return field;
    }

    test("nobody else is asked", async () => {
      const field = fieldWith(HERE.address);
      field.expectWhole(await field.finish(field.fetch([`~${B}`, HERE.address])), [HERE.address]);
      expect(field.dials(B)).toEqual([]);
    });

    test.each([
      ["is asked once for others while it gives all", HERE.address, 1],
      ["is asked when it is only behind the same router", C, 4],
    ])("the tracker %s", async (_what, near, times) => {
      const field = fieldWith(near);
      const holder = field.holders.get(near);
      if (holder !== undefined) holder.pace = 1.5 * MiB;
      let looks = 0;
      field.more.look = async () => {
        looks += 1;
        return [];
      };
      await field.finish(field.fetch([near]));
      expect(looks).toBe(times);
    });

    test("a place in its queue is waited for; after half a minute without a step others are asked", async () => {
      const field = fieldWith(HERE.address);
      const near = field.holders.get(HERE.address);
      if (near !== undefined) {
        near.instead = (far, { verb }) => {
          if (verb === "DOWNLOAD") far.say("BUSY position=3\n");
          return verb === "DOWNLOAD";
        };
      }
      field.expectWhole(await field.finish(field.fetch([`~${B}`, HERE.address]), 60_000), [B]);
      expect(field.dials(B)[0]).toBeGreaterThan(30_000);
    });

    test.each([
      ["it is slow", HERE.address, 300_000, undefined],
      ["it cannot be reached", HERE.address, 2 * MiB, REFUSED],
      ["it only has this peer's address, because both are behind one router", C, 2 * MiB, undefined],
    ])("others are asked when %s", async (_what, near, pace, fate) => {
      const field = fieldWith(near);
      const holder = field.holders.get(near);
      if (holder !== undefined) holder.pace = pace;
      field.net.fate = ({ address }) => (address === near ? fate : undefined);
      await field.finish(field.fetch([`~${B}`, near]), 60_000);
      expect(field.dials(B)).not.toEqual([]);
    });
  });

  test.each([
    ["a bit field that is too short", "HAVE: 1\n\u0001", /another length/],
    ["a bit field that is too long", "HAVE: 3\n\u0001\u0001\u0001", /another length/],
    ["a bit field beyond all memory", "HAVE: 9007199254740991\n", /another length/],
    ["that it does not know the question", "ERROR unknown-verb HAVE?\n", /which pieces it has/],
    ["that the file is gone", "NOT FOUND\n", /does not have the file/],
    ["rubbish", "WHAT\n", /protocol/],
  ])("%s is a failure for good, and it is not asked for bytes", async (_what, answer, reason) => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (far, { verb }) => {
      if (verb === "HAVE") far.say(answer);
      return verb === "HAVE";
    };
    field.add(B).pace = 300_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [B]);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toMatch(reason);
    expect(part.ranges).toEqual([]);
    expect(part.connections).toHaveLength(1);
  });

  test("one that does not say what it has is given up after five seconds", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (_far, { verb }) => verb === "HAVE";
    void field.fetch([`~${A}`]);
    await field.clock.pass(6000);
    expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
  });

  test("is not asked a second time before it has answered", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0]);
    part.instead = (_far, { verb, count }) => verb === "HAVE" && count === 1;
    void field.fetch([`~${A}`]);
    await field.clock.pass(4000);
    expect(part.heard.filter((line) => line.startsWith("HAVE"))).toHaveLength(2);
    expect(part.connections).toHaveLength(1);
  });

  test("bits beyond the last piece mean nothing", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (far, { verb }) => {
      if (verb === "HAVE") far.say("HAVE: 2\n");
      if (verb === "HAVE") far.say(Uint8Array.of(255, 255));
      return verb === "HAVE";
    };
    field.expectWhole(await field.fetch([`~${A}`]), [A]);
    expect(field.elapsed).toBe(0);
    expect([...part.asked].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
