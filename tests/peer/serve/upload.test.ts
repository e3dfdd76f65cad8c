// Sending files: limits, files that fail or change, slow readers, and what is reported of uploads.

import { describe, expect, test } from "bun:test";
import { RateLimit } from "../../../lib/peer/rate-limit.ts";
import { addressOf, type Far, type Side, settle } from "../../helpers/channel.ts";
import { bytesOf, DOWNLOADER, Hall, KiB, MiB, OTHER_ROOT, ROOT } from "../../helpers/serving.ts";

describe("Uploader: reading that keeps the program waiting", () => {
  /** One host reads a folder of small files while another host is served, too. Gives how often the disk was read. */
  async function readsOf(busyUntil: number): Promise<{ hall: Hall; atOnce: number }> {
    const hall = new Hall();
    hall.disk.files.set("other", { bytes: bytesOf(MiB), root: OTHER_ROOT });
    hall.disk.files.set("small files", { bytes: bytesOf(100_000), busyUntil });
    const { far: other, near } = await hall.welcome({ address: addressOf("192.168.1.31"), port: 1 });
    near.capacity = 64 * KiB;
    other.stopReading();
    other.say(`DOWNLOAD root=${OTHER_ROOT}\n`);
    await settle();
    const before = hall.disk.reads.length;
    hall.disk.onRead = () => {
      hall.clock.spend(2);
      return Promise.resolve(100);
    };
    const { far } = await hall.welcome();
    far.say("DOWNLOAD name=small%20files\n");
    await settle();
    await settle();
    return { hall, atOnce: hall.disk.reads.length - before };
  }

  test("is done in the share of the downloader's host, and to its end", async () => {
    const { hall, atOnce } = await readsOf(100_000);
    expect(atOnce * 2).toBeGreaterThanOrEqual(200);
    expect(atOnce * 2).toBeLessThan(350);
    await hall.clock.pass(10_000);
    expect(hall.disk.reads.length).toBeGreaterThanOrEqual(1000);
  });

  test("of large files it needs no share", async () => {
    expect((await readsOf(0)).atOnce).toBe(1000);
  });
});

describe("Uploader: a limit on uploads", () => {
  const RATE = 100_000;
  const limited = () => new Hall((hall) => ({ limit: new RateLimit(RATE, hall.clock) }));

  test("holds, for one and for several together", async () => {
    for (const count of [1, 3]) {
      const hall = limited();
      const bytes = bytesOf(600_000 / count);
      hall.disk.files.set("big", { bytes });
      const fars: Far[] = [];
      for (let i = 0; i < count; i++) fars.push((await hall.welcome({ ...DOWNLOADER, port: i + 1 })).far);
      const before = fars.map(({ total }) => total);
      const received = () => fars.reduce((sum, { total }, i) => sum + total - (before[i] ?? 0), 0);
      for (const far of fars) far.say("DOWNLOAD name=big\n");
      await settle();
      const heads = count * `FILE: length=${bytes.length} size=${bytes.length}\n`.length;
      for (let tenth = 1; tenth <= 55; tenth++) {
        await hall.clock.pass(100);
        // What goes at once, and a piece each that was on its way, on top.
        expect(received()).toBeLessThanOrEqual(heads + (tenth * RATE) / 10 + 10_000 + count * 10_000);
        expect(received()).toBeGreaterThanOrEqual(((tenth - 1) * RATE) / 10 - count * 10_000);
      }
      await hall.clock.pass(2000);
      expect(received()).toBe(heads + 600_000);
      for (const far of fars) {
        await far.line();
        expect((await far.take(bytes.length)).equals(bytes)).toBe(true);
      }
      await hall.clock.pass(10_000);
      await hall.expectTidy();
    }
  });

  test("is not the reader's fault: one that reads all it is given is not dropped as too slow", async () => {
    const hall = new Hall((hall) => ({ limit: new RateLimit(300, hall.clock) }));
    hall.disk.files.set("big", { bytes: bytesOf(40_000) });
    const { far, near } = await hall.welcome();
    far.say("DOWNLOAD name=big\n");
    for (let second = 0; second < 150 && !near.closed; second++) await hall.clock.pass(1000);
    expect(near.closed).toBe(false);
    expect(await far.line()).toBe("FILE: length=40000 size=40000");
    expect((await far.take(40_000)).equals(bytesOf(40_000))).toBe(true);
  });

  test("a downloader that leaves while it waits for the limit leaves nothing behind", async () => {
    const hall = limited();
    hall.disk.files.set("big", { bytes: bytesOf(600_000) });
    const { far } = await hall.welcome();
    far.say("DOWNLOAD name=big\n");
    await hall.clock.pass(500);
    far.reset();
    await hall.clock.pass(1000);
    await hall.expectTidy();
  });
});

describe("Uploader: files that fail", () => {
  const SIZE = 2048 * KiB + 77;

  async function downloading(hall: Hall): Promise<{ near: Side; far: Far }> {
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    const both = await hall.welcome();
    // One read is 512 KiB at most: the file takes several, and the first ones are not all under way at once.
    both.near.capacity = 64 * KiB;
    both.far.stopReading();
    both.far.say("DOWNLOAD name=big\n");
    await settle();
    return both;
  }

  /** What came of the body until the end; fewer bytes than announced, each of them right. */
  async function shortBody(far: Far): Promise<number> {
    far.readOn();
    expect(await far.line()).toBe(`FILE: length=${SIZE} size=${SIZE}`);
    const body = await far.rest();
    expect(body.equals(bytesOf(SIZE).subarray(0, body.length))).toBe(true);
    expect(body.length).toBeLessThan(SIZE);
    return body.length;
  }

  test("a file that changes while it is served ends with a short body, said to the owner", async () => {
    const hall = new Hall();
    const { far } = await downloading(hall);
    hall.disk.stale = true;
    // What was read before the change may still go out.
    const read = Math.max(...hall.disk.reads) + 512 * KiB;
    expect(await shortBody(far)).toBeLessThanOrEqual(read);
    await hall.expectTidy();
    expect(far.closed).toBe(true);
    expect(hall.disk.changed).toEqual(["big"]);
    expect(hall.events.at(-1)).toMatchObject({ event: "upload-ended", complete: false, upload: { name: "big" } });
    expect(hall.events.at(-1)).not.toMatchObject({ reason: "" });
  });

  test("what is read after a change never goes out", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    // The change comes while the second block is being read, and the bytes are the new ones already.
    hall.disk.onRead = (_name, at) => {
      if (at < 512 * KiB) return undefined;
      hall.disk.stale = true;
      return Promise.resolve(512 * KiB);
    };
    const { far } = await hall.welcome();
    far.say("DOWNLOAD name=big\n");
    expect(await shortBody(far)).toBeLessThanOrEqual(512 * KiB);
    expect(hall.disk.changed).toEqual(["big"]);
    await hall.expectTidy();
  });

  test("a file that became shorter ends with a short body, said to the owner", async () => {
    const hall = new Hall();
    hall.disk.onRead = (_name, at) => (at >= 512 * KiB ? Promise.resolve(0) : undefined);
    const { far } = await downloading(hall);
    expect(await shortBody(far)).toBe(512 * KiB);
    await hall.expectTidy();
    expect(hall.disk.changed).toEqual(["big"]);
  });

  test("FT/1: a file that changes ends early, too", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    hall.disk.onRead = (_name, at) => (at >= 512 * KiB ? Promise.resolve(0) : undefined);
    const { far } = hall.connect();
    far.say(`DOWNLOAD:big,data,${SIZE}\n`);
    expect((await far.rest()).length).toBe("FILE:".length + 512 * KiB);
    await hall.expectTidy();
    expect(hall.disk.changed).toEqual(["big"]);
  });

  test("a read error ends that transfer only", async () => {
    const hall = new Hall();
    const healthy = bytesOf(700 * KiB);
    hall.disk.files.set("healthy", { bytes: healthy });
    hall.disk.onRead = (name, at) =>
      name === "big" && at >= 512 * KiB ? Promise.reject(Object.assign(new Error("i/o"), { code: "EIO" })) : undefined;
    const { far: other, near } = await hall.welcome({ ...DOWNLOADER, port: 51_001 });
    near.capacity = 64 * KiB;
    other.stopReading();
    other.say("DOWNLOAD name=healthy\n");
    const { far } = await downloading(hall);
    expect(await shortBody(far)).toBeLessThanOrEqual(512 * KiB);
    expect(far.closed).toBe(true);
    other.readOn();
    expect(await other.line()).toBe(`FILE: length=${700 * KiB} size=${700 * KiB}`);
    expect((await other.take(700 * KiB)).equals(healthy)).toBe(true);
    other.say("BYE\n");
    await other.rest();
    await hall.expectTidy();
    // The disk failed; nobody changed the file.
    expect(hall.disk.changed).toEqual([]);
    const ended = hall.events.filter(({ event }) => event === "upload-ended");
    expect(ended).toMatchObject([
      { upload: { name: "big" }, complete: false },
      { upload: { name: "healthy" }, complete: true },
    ]);
  });

  test("short reads are gone on from", async () => {
    const hall = new Hall();
    const bytes = bytesOf(1000);
    hall.disk.files.set("odd", { bytes });
    const open = hall.disk.open.bind(hall.disk);
    hall.disk.open = (wanted) => {
      const found = open(wanted);
      if (found === undefined) return undefined;
      const { file } = found;
      return { ...found, file: { ...file, read: (into, at) => file.read(into.subarray(0, 7), at) } };
    };
    const { far } = await hall.welcome();
    far.say("DOWNLOAD name=odd offset=3 length=990\n");
    await far.line();
    expect((await far.take(990)).equals(bytes.subarray(3, 993))).toBe(true);
  });
});

describe("Uploader: slow, deaf and leaving downloaders", () => {
  const SIZE = 5 * MiB + 3;

  test("a slow reader gets every byte, and no more is read ahead of it than two blocks", async () => {
    const hall = new Hall();
    const bytes = bytesOf(SIZE);
    hall.disk.files.set("big", { bytes });
    const { far, near } = await hall.welcome();
    near.capacity = 50_000;
    far.stopReading();
    far.say("DOWNLOAD name=big\n");
    let furthest = 0;
    for (let i = 0; i < 80; i++) {
      await settle();
      far.sip();
      furthest = Math.max(furthest, Math.max(0, ...hall.disk.reads) - far.total);
    }
    expect(furthest).toBeLessThanOrEqual(2 * 512 * KiB);
    expect(hall.disk.reads.length).toBeGreaterThan(2);
    far.readOn();
    expect(await far.line()).toBe(`FILE: length=${SIZE} size=${SIZE}`);
    expect((await far.take(SIZE)).equals(bytes)).toBe(true);
  });

  test("a reader that has stopped costs two blocks", async () => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    const { far, near } = await hall.welcome();
    near.capacity = 50_000;
    far.stopReading();
    far.say("DOWNLOAD name=big\n");
    for (let i = 0; i < 20; i++) await settle();
    expect(hall.disk.reads.length).toBeLessThanOrEqual(2);
    expect([...hall.server.uploads]).toMatchObject([{ name: "big", wanted: SIZE }]);
    expect([...hall.server.uploads][0]?.sent).toBeLessThanOrEqual(50_000);
    far.reset();
    await hall.expectTidy();
  });

  test.each([
    [100, true],
    [3000, false],
  ])("a reader of %d bytes a second for a minute is dropped: %p", async (pace, dropped) => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    const { far, near } = await hall.welcome();
    near.capacity = pace;
    far.stopReading();
    far.say("DOWNLOAD name=big\n");
    await settle();
    for (let second = 0; second < 65 && !near.closed; second++) {
      await hall.clock.pass(1000);
      far.sip();
      await settle();
    }
    expect(near.closed).toBe(dropped);
    far.reset();
    await hall.expectTidy();
    if (dropped)
      expect(hall.events.at(-1)).toMatchObject({
        event: "upload-ended",
        complete: false,
        reason: expect.stringMatching(/slow/),
      });
  });

  test.each([
    ["resets", (far: Far) => far.reset()],
    ["closes", (far: Far) => far.close()],
  ])("a downloader that %s in the middle leaves nothing behind", async (_how, go) => {
    const hall = new Hall();
    hall.disk.files.set("big", { bytes: bytesOf(SIZE) });
    const { far, near } = await hall.welcome();
    near.capacity = 50_000;
    far.stopReading();
    far.say("DOWNLOAD name=big\nDOWNLOAD name=big\n");
    await settle();
    expect(hall.server.uploads.size).toBe(1);
    go(far);
    for (let i = 0; i < 40; i++) await settle();
    far.reset();
    await hall.expectTidy();
    expect(hall.events.filter(({ event }) => event === "upload-ended").length).toBe(1);
  });

  test("a downloader that leaves while the tracker is asked about it is served nothing", async () => {
    const hall = new Hall();
    const answer = Promise.withResolvers<boolean>();
    hall.known = () => answer.promise;
    const { far } = hall.connect();
    far.say("DOWNLOAD hello.txt\n");
    await settle();
    far.reset();
    await settle();
    answer.resolve(true);
    await hall.expectTidy();
  });
});

describe("Uploader: what is reported", () => {
  test("pipelined requests for one file are one upload, another file another", async () => {
    const hall = new Hall();
    hall.disk.files.set("b", { bytes: bytesOf(100) });
    const { far } = await hall.welcome();
    far.say(
      "DOWNLOAD name=hello.txt length=6\nDOWNLOAD name=hello.txt offset=6\nDOWNLOAD name=b\nDOWNLOAD name=nobody.has\nBYE\n",
    );
    await far.rest();
    await hall.expectTidy();
    expect(hall.events).toMatchObject([
      { event: "upload-started", upload: { name: "hello.txt", to: DOWNLOADER } },
      { event: "upload-ended", upload: { name: "hello.txt", wanted: 12, sent: 12 }, complete: true, reason: "" },
      { event: "upload-started", upload: { name: "b" } },
      { event: "upload-ended", upload: { name: "b", wanted: 100, sent: 100 }, complete: true },
    ]);
  });
});

describe("Uploader: when an upload is over", () => {
  test("ten seconds without a request end it; a request before that goes on with it", async () => {
    const hall = new Hall();
    const { far } = await hall.welcome();
    const ask = async () => {
      far.say("DOWNLOAD name=hello.txt length=1\n");
      await far.line();
      await far.take(1);
      await settle();
    };
    await ask();
    await hall.clock.pass(9_900);
    await ask();
    await hall.clock.pass(9_900);
    expect(hall.server.uploads.size).toBe(1);
    await hall.clock.pass(100);
    expect(hall.server.uploads.size).toBe(0);
    await ask();
    far.say("BYE\n");
    await far.rest();
    await hall.clock.pass(5000);
    expect(hall.events).toMatchObject([
      { event: "upload-started" },
      { event: "upload-ended", upload: { wanted: 2, sent: 2, seconds: 9.9 }, complete: true, reason: "" },
      { event: "upload-started" },
      { event: "upload-ended", upload: { wanted: 1, sent: 1 }, complete: true, reason: "" },
    ]);
  });

  test("all turns of a downloader for one content are one upload, with its id, content id, bytes and seconds", async () => {
    const hall = new Hall(() => ({ slots: 1 }));
    hall.disk.files.set("big", { bytes: bytesOf(400_000), root: OTHER_ROOT });
    const { far } = await hall.welcome();
    const { far: next } = await hall.welcome({ address: addressOf("192.168.1.31"), port: 1 });
    const left = new Map([far, next].map((one) => [one, 0]));
    let turns = 0;
    let lastServed: Far | undefined;
    for (let i = 0; i < 400 && Math.min(...left.values()) < 10; i++) {
      for (const one of [far, next]) {
        const at = left.get(one) ?? 0;
        if (at === 10) continue;
        one.say(`DOWNLOAD root=${OTHER_ROOT} offset=${at * 40_000} length=40000\n`);
        if ((await one.line()).startsWith("BUSY")) continue;
        await one.take(40_000);
        left.set(one, at + 1);
        if (one !== lastServed) turns += 1;
        lastServed = one;
      }
      await hall.clock.pass(1500);
    }
    expect(turns).toBeGreaterThan(2);
    far.say("BYE\n");
    next.say("BYE\n");
    await Promise.all([far.rest(), next.rest()]);
    const ended = hall.events.flatMap((event) => (event.event === "upload-ended" ? [event] : []));
    const whole = { name: "big", root: OTHER_ROOT, wanted: 400_000, sent: 400_000 };
    expect(ended).toMatchObject([
      { upload: { ...whole, to: DOWNLOADER, id: DOWNLOADER.address }, complete: true, reason: "" },
      { upload: { ...whole, id: "192.168.1.31" }, complete: true, reason: "" },
    ]);
    for (const { upload } of ended) expect(upload.seconds).toBeGreaterThan(13);
    expect(hall.events.filter(({ event }) => event === "upload-started")).toHaveLength(2);
  });

  test("an FT/1 downloader has no id, and its upload ends with the connection", async () => {
    const hall = new Hall();
    const { far } = hall.connect();
    far.say("DOWNLOAD hello.txt\n");
    await far.rest();
    expect(hall.events.at(-1)).toMatchObject({ event: "upload-ended", upload: { id: undefined, root: ROOT, sent: 12 } });
  });
});
