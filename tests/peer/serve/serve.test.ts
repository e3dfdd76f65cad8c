// Several downloaders of one server: the queue for upload slots, and the real network.

import { afterEach, describe, expect, test } from "bun:test";
import { type Listener, listen } from "../../../lib/net/listen.ts";
import { pieceCountOf, pieceSizeOf } from "../../../lib/peer/content/merkle.ts";
import type { Endpoint } from "../../../lib/protocol/address.ts";
import { addressOf, type Far, settle } from "../../helpers/channel.ts";
import { Raw } from "../../helpers/raw.ts";
import { bytesOf, Hall, HELLO, MiB, ROOT } from "../../helpers/serving.ts";

describe("Server: the queue", () => {
  const at = (i: number): Endpoint => ({ address: addressOf(`192.168.1.${i}`), port: 51_000 });
  const ASK = `DOWNLOAD root=${ROOT} length=1\n`;
  const FILE = "FILE: length=1 size=12";

  /** Enough bytes to keep a slot. */
  const MUCH = 40_000;

  /** Asks once; `0` when a byte came, else the position. */
  async function ask(far: Far): Promise<number> {
    return await askFor(far, ASK, FILE, 1);
  }

  /** Asks for so much that a slot is kept. */
  async function askMuch(hall: Hall, far: Far): Promise<number> {
    hall.disk.files.set("big", { bytes: bytesOf(MUCH) });
    return await askFor(far, "DOWNLOAD name=big\n", `FILE: length=${MUCH} size=${MUCH}`, MUCH);
  }

  async function askFor(far: Far, request: string, answer: string, length: number): Promise<number> {
    far.say(request);
    const line = await far.line();
    const busy = /^BUSY position=([1-9]\d*)$/.exec(line);
    if (busy !== null) return Number(busy[1]);
    expect(line).toBe(answer);
    await far.take(length);
    return 0;
  }

  async function many(hall: Hall, count: number, from = 1): Promise<Far[]> {
    const fars: Far[] = [];
    for (let i = 0; i < count; i++) fars.push((await hall.welcome(at(from + i))).far);
    return fars;
  }

  async function askAll(fars: Far[]): Promise<number[]> {
    const positions: number[] = [];
    for (const far of fars) positions.push(await ask(far));
    return positions;
  }

  const one = (fars: Far[], index: number): Far => {
    const far = fars[index];
    if (far === undefined) throw new Error(`there is no ${index}`);
    return far;
  };

  test("eight are served; the ninth is BUSY with position 1, the tenth with position 2", async () => {
    const hall = new Hall();
    const fars = await many(hall, 10);
    expect(await askAll(fars)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    expect(hall.server.waiting).toBe(2);
    // Asking keeps the place; it does not better it.
    expect(await askAll(fars.slice(8).toReversed())).toEqual([2, 1]);
    // BUSY is no end: other requests are answered.
    one(fars, 8).say(`HAVE root=${ROOT}\n`);
    expect(await one(fars, 8).line()).toBe("HAVE: 1");
  });

  test("a downloader that leaves, in whatever way, makes room for the first in the queue, and the others move up", async () => {
    for (const go of [(far: Far) => far.reset(), (far: Far) => far.close(), (far: Far) => far.say("BYE\n")]) {
      const hall = new Hall(() => ({ slots: 2 }));
      const fars = await many(hall, 5);
      expect(await askAll(fars)).toEqual([0, 0, 1, 2, 3]);
      go(one(fars, 0));
      await settle();
      expect(await askAll(fars.slice(3))).toEqual([2, 3]);
      expect(await ask(one(fars, 2))).toBe(0);
      expect(await askAll(fars.slice(3))).toEqual([1, 2]);
      // Leaving the queue counts, too.
      go(one(fars, 3));
      await settle();
      expect(await ask(one(fars, 4))).toBe(1);
    }
  });

  test("a turn is ten seconds while others wait; after it the next one has the slot, and no BUSY comes inside a body", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const fars = await many(hall, 2);
    const [a, b] = [one(fars, 0), one(fars, 1)];
    expect([await ask(a), await ask(b)]).toEqual([0, 1]);
    for (let second = 1; second < 10; second++) {
      await hall.clock.pass(1000);
      expect([second, await askMuch(hall, a), await ask(b)]).toEqual([second, 0, 1]);
    }
    await hall.clock.pass(1000);
    // Its turn is over: it is behind the one who waits.
    expect(await ask(a)).toBe(2);
    expect(await ask(b)).toBe(0);
    expect(await ask(a)).toBe(1);
  });

  test("nobody waits: the turn has no end", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const [a] = (await many(hall, 1)) as [Far];
    for (let second = 0; second < 40; second++) {
      expect(await ask(a)).toBe(0);
      await hall.clock.pass(1000);
    }
  });

  test("a slot that is idle for two seconds is given to a waiting downloader; a place whose owner is silent for ten is forgotten", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const fars = await many(hall, 3);
    const [a, b, c] = [one(fars, 0), one(fars, 1), one(fars, 2)];
    expect(await askAll([a, b, c])).toEqual([0, 1, 2]);
    await hall.clock.pass(1999);
    expect(await ask(c)).toBe(2);
    await hall.clock.pass(1);
    // The slot is free, and the first in the queue has it as soon as it asks.
    expect(await ask(c)).toBe(2);
    await hall.clock.pass(7000);
    expect(await ask(c)).toBe(2);
    await hall.clock.pass(1001);
    expect(await ask(c)).toBe(0);
    expect(await askAll([b, a])).toEqual([1, 2]);
  });

  test("a body under way is not cut short, however long it takes and whoever waits", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const bytes = bytesOf(2 * MiB);
    hall.disk.files.set("big", { bytes });
    const reader = await hall.welcome(at(1));
    const [b] = (await many(hall, 1, 2)) as [Far];
    reader.near.capacity = 300_000;
    reader.far.stopReading();
    reader.far.say("DOWNLOAD name=big\n");
    await settle();
    for (let second = 0; second < 20; second++) {
      expect(await ask(b)).toBe(1);
      await hall.clock.pass(1000);
    }
    reader.far.readOn();
    expect(await reader.far.line()).toBe(`FILE: length=${bytes.length} size=${bytes.length}`);
    expect((await reader.far.take(bytes.length)).equals(bytes)).toBe(true);
    await settle();
    expect(await ask(b)).toBe(0);
    reader.far.say(ASK);
    expect(await reader.far.line()).toBe("BUSY position=1");
  });

  test("one host with many connections does not keep the others out, and keeps one slot", async () => {
    const hall = new Hall(() => ({ slots: 2 }));
    const greedy: Far[] = [];
    for (let i = 0; i < 12; i++) greedy.push((await hall.welcome({ ...at(1), port: 40_000 + i })).far);
    expect(await askAll(greedy)).toEqual([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const [b, c] = (await many(hall, 2, 2)) as [Far, Far];
    expect(await askAll([b, c])).toEqual([0, 1]);
    expect(await ask(one(greedy, 2))).toBe(2);
    // It has two slots, and gives one back at its next request.
    expect(await ask(one(greedy, 0))).toBeGreaterThan(0);
    expect(await ask(one(greedy, 1))).toBe(0);
    one(greedy, 1).reset();
    await settle();
    // Its own next connection waits longest, and it has no slot now.
    expect(await ask(one(greedy, 2))).toBe(0);
    expect(await ask(c)).toBe(1);
  });

  test("what is asked for besides bytes needs no slot", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const fars = await many(hall, 2);
    expect(await askAll(fars)).toEqual([0, 1]);
    one(fars, 1).say(`TREE root=${ROOT} piece=65536\nDOWNLOAD name=nobody.has\nDOWNLOAD root=${ROOT} offset=99\n`);
    expect(await one(fars, 1).line()).toBe("TREE: 1");
    await one(fars, 1).take(32);
    expect(await one(fars, 1).line()).toBe("NOT FOUND");
    expect(await one(fars, 1).line()).toMatch(/^ERROR bad-range /);
  });

  test("pipelined requests of a waiting downloader are all answered BUSY, in their order", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const fars = await many(hall, 2);
    await askAll(fars);
    one(fars, 1).say(ASK.repeat(5));
    expect(await one(fars, 1).lines(5)).toEqual(Array(5).fill("BUSY position=1"));
    await hall.clock.pass(10_000);
    await hall.expectTidy();
  });

  test("FT/1 has no word for it: such a downloader waits in the queue, and then gets its file", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const [a] = (await many(hall, 1)) as [Far];
    expect(await ask(a)).toBe(0);
    const { far: old } = hall.connect(at(2));
    old.say("DOWNLOAD:hello.txt,text/plain,12");
    old.halfClose();
    await settle();
    expect(hall.server.waiting).toBe(1);
    const [c] = (await many(hall, 1, 3)) as [Far];
    expect(await ask(c)).toBe(2);
    for (let i = 0; i < 9; i++) {
      await hall.clock.pass(1000);
      expect(await askMuch(hall, a)).toBe(0);
      expect(await ask(c)).toBe(2);
    }
    expect(old.total).toBe(0);
    await hall.clock.pass(1000);
    expect(await ask(a)).toBeGreaterThan(0);
    await hall.clock.pass(500);
    expect((await old.rest()).toString()).toBe("FILE:Hello, world");
    old.close();
    await settle();
    expect(await ask(c)).toBe(0);
  });

  test("FT/1: a downloader that gives up waiting leaves nothing behind", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    const [a] = (await many(hall, 1)) as [Far];
    await ask(a);
    const { far: old } = hall.connect(at(2));
    old.say("DOWNLOAD:hello.txt,text/plain,12\n");
    await settle();
    expect(hall.server.waiting).toBe(1);
    old.reset();
    await settle();
    expect(hall.server.waiting).toBe(0);
    await hall.clock.pass(10_000);
    await hall.expectTidy();
  });
});

describe("Server: on the real network", () => {
  let listener: Listener | undefined;
  const raws: Raw[] = [];
  afterEach(() => {
    listener?.stop();
    for (const raw of raws.splice(0)) raw.close();
  });

  async function serving(hall: Hall): Promise<() => Promise<Raw>> {
    const started = listen({ host: "127.0.0.1", port: 0, onConnection: (channel) => hall.server.accept(channel) });
    listener = started;
    return async () => {
      const raw = await Raw.connect(started.port);
      raws.push(raw);
      return raw;
    };
  }

  test("FT/1: a downloader that keeps talking while it receives gets its last byte", async () => {
    const hall = new Hall();
    const bytes = bytesOf(8 * MiB + 1);
    hall.disk.files.set("big", { bytes });
    const connect = await serving(hall);
    const raw = await connect();
    raw.send(`DOWNLOAD:big,data,${bytes.length}\n`);
    const talking = setInterval(() => raw.send("And another thing. ".repeat(50)), 1);
    try {
      // Now and then it does not even listen.
      for (let i = 0; i < 5; i++) {
        raw.socket.pause();
        await Bun.sleep(15);
        raw.socket.resume();
        await Bun.sleep(1);
      }
      const all = await raw.rest();
      expect(all.subarray(0, 5).toString()).toBe("FILE:");
      expect(all.subarray(5).equals(bytes)).toBe(true);
    } finally {
      clearInterval(talking);
    }
  });

  test("FT/2: a downloader that keeps talking while it receives gets its last byte, and every answer after it", async () => {
    const hall = new Hall();
    const bytes = bytesOf(8 * MiB + 1);
    hall.disk.files.set("big", { bytes });
    const connect = await serving(hall);
    const raw = await connect();
    raw.send(`${HELLO}DOWNLOAD name=big\n`);
    for (let i = 0; i < 500; i++) raw.send(`CHATTER ${i}\n`);
    raw.send(`DOWNLOAD name=big offset=${bytes.length - 1}\nBYE\n`);
    raw.send("CHATTER for ever\n".repeat(2000));
    expect(await raw.line()).toBe("HI FT/2");
    expect(await raw.line()).toBe(`FILE: length=${bytes.length} size=${bytes.length}`);
    expect((await raw.take(bytes.length)).equals(bytes)).toBe(true);
    for (let i = 0; i < 500; i++) expect(await raw.line()).toMatch(/^ERROR unknown-verb /);
    expect(await raw.line()).toBe(`FILE: length=1 size=${bytes.length}`);
    expect((await raw.rest()).equals(bytes.subarray(-1))).toBe(true);
  });

  test("many downloaders at once, one of them asleep, one rude", async () => {
    const hall = new Hall();
    const bytes = bytesOf(2 * MiB + 9);
    hall.disk.files.set("big", { bytes });
    const connect = await serving(hall);
    const asleep = await connect();
    asleep.socket.pause();
    asleep.send(`${HELLO}DOWNLOAD name=big\n`.concat("DOWNLOAD name=big\n".repeat(20)));
    const rude = await connect();
    rude.send(`${HELLO}DOWNLOAD name=big\n`);
    await rude.line();
    rude.socket.resetAndDestroy();
    const others = Array.from({ length: 30 }, async () => {
      const raw = await connect();
      raw.send(HELLO);
      expect(await raw.line()).toBe("HI FT/2");
      for (;;) {
        raw.send("DOWNLOAD name=big offset=9\n");
        const answer = await raw.line();
        if (answer.startsWith("FILE: ")) break;
        // Somebody who leaves makes room; the one who sleeps keeps its slot, because its bytes are on their way.
        expect(answer).toMatch(/^BUSY position=[1-9]\d*$/);
        await Bun.sleep(5);
      }
      raw.send("BYE\n");
      const whole = (await raw.rest()).equals(bytes.subarray(9));
      raw.close();
      return whole;
    });
    expect(await Promise.all(others)).toEqual(Array(30).fill(true));
  });

  test("the piece hashes of a file of two terabytes arrive, all 16 megabytes of them", async () => {
    const size = 2 ** 41;
    const pieces = bytesOf(pieceCountOf(size) * 32);
    const hall = new Hall(() => ({ look: () => ({ size, pieces }) }));
    const connect = await serving(hall);
    const raw = await connect();
    raw.send(`${HELLO}TREE root=${ROOT} piece=${pieceSizeOf(size)}\nHAVE root=${ROOT}\nBYE\n`);
    expect(await raw.line()).toBe("HI FT/2");
    expect(await raw.line()).toBe("TREE: 524288");
    expect((await raw.take(pieces.length)).equals(pieces)).toBe(true);
    expect(await raw.line()).toBe("HAVE: 65536");
    expect((await raw.rest()).length).toBe(65_536);
  });
});
