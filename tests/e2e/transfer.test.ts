// Files between compiled programs: several, lying and slow holders, several fetchers, queues, limits, files that change.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readdirSync, renameSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atFiles, fetchFound, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { type Answers, contentId, giveBytes, noise, pieceLayer, startHolder } from "../helpers/holder.ts";
import { PEER } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";
import { KEY, Screen } from "../helpers/terminal.ts";
import {
  binaryRecord,
  done,
  events,
  exitOf,
  expectOnly,
  expectUnfinished,
  failed,
  HIDDEN,
  seeded,
  sentBy,
  transferStage,
  waitForProgress,
} from "../helpers/transfer-stage.ts";

const stage = transferStage();
const PIECE = 65_536;

describe("several holders", () => {
  test("of the same content are used together, whatever they call it", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(14_000_000);
    await Promise.all([
      stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "7MB"),
      stage.sharing(address, stage.folderWith({ "the same film.mkv": content }), 1, "--limit", "7MB"),
    ]);
    for (const wanted of [`root:${contentId(content)}`, "film.mkv"]) {
      const inbox = stage.folder();
      const { holders, name } = await done(stage.get(address, wanted, inbox));
      expect({ wanted, holders }).toEqual({ wanted, holders: 2 });
      expectOnly(inbox, String(name), content);
    }
  });

  test("share a file of a few megabytes, too: what a slow one still owes is had from a faster one that turns up", async () => {
    const { address } = await stage.tracker();
    const content = noise(6_000_000, 3);
    await Promise.all([
      stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "1MB"),
      stage.sharing(address, stage.folderWith({ "the same film.mkv": content }), 1),
    ]);
    const inbox = stage.folder();
    // By its name only the slow one is found at first; by itself it needs six seconds.
    const { holders } = await done(stage.get(address, "film.mkv", inbox));
    expect(holders).toBe(2);
    expectOnly(inbox, "film.mkv", content);
  });

  test("one of which lies in one piece, one trickles and one resets: the file is right, and the liar is named", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(6_000_000, 4);
    const random = seeded(4);
    let lied = false;
    const liar = await stage.rawHolder(port, "film.mkv", content, {
      download: (asked, connection) => {
        const bytes = Buffer.from(content);
        if (!lied) bytes[asked.offset] = (bytes[asked.offset] ?? 0) ^ 1;
        lied = true;
        giveBytes(bytes)(asked, connection);
      },
    });
    await stage.rawHolder(port, "film.mkv", content, {
      download: async ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        for (let at = offset; at < offset + length && !connection.ended; at++) {
          connection.send(content.subarray(at, at + 1));
          await Bun.sleep(100);
        }
      },
    });
    await stage.rawHolder(port, "film.mkv", content, {
      download: async ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + Math.floor(random() * length)));
        await Bun.sleep(random() * 50);
        connection.socket.resetAndDestroy();
      },
    });
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "4MB");
    const inbox = stage.folder();
    const program = stage.get(address, "film.mkv", inbox);
    await done(program);
    expectOnly(inbox, "film.mkv", content);
    const named = events(program, "holder-failed").filter((event) => event.port === liar.port);
    expect(named).toEqual([{ event: "holder-failed", address: "127.0.0.1", port: liar.port, reason: expect.any(String) }]);
    expect(String(named[0]?.reason)).toContain("not the file");
  });

  test("that answer with more than was asked for put nothing wrong into the file", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(1_000_000, 6);
    const tooMuch: Answers["download"] = (asked, connection) => {
      giveBytes(content)(asked, connection);
      connection.send(Buffer.alloc(100_000, "x"));
    };
    const generous = await stage.rawHolder(port, "film.mkv", content, { download: tooMuch });
    const alone = stage.folder();
    const message = await failed(stage.get(address, "film.mkv", alone));
    expect(message).toContain(`127.0.0.1:${generous.port}`);
    expect(readdirSync(alone).filter((name) => !HIDDEN.test(name))).toEqual([]);
    await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "4MB");
    await done(stage.get(address, "film.mkv", alone));
    expectOnly(alone, "film.mkv", content);
  });
});

describe("what has arrived of a file", () => {
  test("is exchanged by two peers that fetch it from one slow source, and announced as unfinished to clients of FT/2", async () => {
    const { address, port } = await stage.tracker();
    const content = randomBytes(6_000_000);
    const { program: source } = await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1, "--limit", "1MB");
    const inboxes = [stage.folder(), stage.folder()];
    const programs = inboxes.map((inbox) => stage.get(address, "film.mkv", inbox));
    await Promise.all(programs.map((program) => waitForProgress(program, 500_000)));

    const records = await stage.search(address, "film.mkv");
    expect(records.map(({ part }) => part ?? false).sort()).toEqual([false, true, true]);
    // Peers that have only a part are not counted as holders.
    for (const { holders } of records) expect(holders).toBe(1);
    const root = records.find(({ part }) => part === undefined)?.root;
    expect(root).toBe(contentId(content));
    const plain = await Raw.connect(port);
    stage.atEnd(() => plain.close());
    plain.send("SEARCH: film.mkv");
    plain.halfClose();
    expect((await plain.rest()).toString()).toMatch(/^FOUND: <[^<>]*>\n?$/);
    const who = stage.run(PEER, [address, "who", "--json", "--port", "0"], { cwd: stage.folderWith({ "v.txt": "v" }) });
    expect(await who.exited).toBe(0);
    expect(who.objects().map(({ files }) => files)).toEqual([1, 1, 1, 1]);
    // All of that was while they were at it.
    for (const program of programs) expect(events(program, "done")).toEqual([]);

    const outcomes = await Promise.all(programs.map(done));
    for (const inbox of inboxes) expectOnly(inbox, "film.mkv", content);
    // A peer that is a little ahead all the time has nothing to take from the other one.
    expect(outcomes.map(({ holders }) => holders)).toContain(2);
    expect(await sentBy(source)).toBeLessThan(2 * content.length);
    for (const { part } of await stage.search(address, "film.mkv")) expect(part).toBeUndefined();
  });

  test("is given to others piece by piece, and nothing that is not verified yet", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(1_000_000, 17);
    // What is asked for first comes, some pieces; of the rest only a beginning, which nobody can hold against anything.
    const given = Promise.withResolvers<{ offset: number; length: number }>();
    let count = 0;
    await stage.rawHolder(port, "film.mkv", content, {
      download: (asked, connection) => {
        count += 1;
        if (count === 1) {
          given.resolve(asked);
          giveBytes(content)(asked, connection);
        } else if (count === 2) {
          connection.send(`FILE: length=${asked.length} size=${content.length}\n`);
          connection.send(Buffer.alloc(100_000, "?"));
        }
      },
    });
    const program = stage.get(address, "film.mkv", stage.folder());
    await program.waitFor(/"event":"progress"/);
    const part = (await stage.search(address, "film.mkv")).find((one) => one.part === true);
    const root = contentId(content);
    expect(part).toMatchObject({ size: content.length, root });
    const pass = await stage.enlist(port, 40_000, [binaryRecord("raw.txt", 1, 40_000, contentId("r"))]);
    const raw = await Raw.connect(Number(part?.port));
    stage.atEnd(() => raw.close());
    raw.send(`HELLO FT/2 pass=${pass}\n`);
    expect(await raw.line()).toBe("HI FT/2");
    const { offset: start, length: all } = await given.promise;
    expect(start % (4 * PIECE)).toBe(0);
    const four = 0xf000 >>> (start / PIECE);
    for (;;) {
      raw.send(`HAVE root=${root}\n`);
      expect(await raw.line()).toBe("HAVE: 2");
      const bits = (await raw.take(2)).toString("hex");
      if (bits === four.toString(16).padStart(4, "0")) break;
      expect(bits).toBe("0000");
      await Bun.sleep(20);
    }
    raw.send(`TREE root=${root} piece=65536\n`);
    expect(await raw.line()).toBe("TREE: 16");
    expect((await raw.take(16 * 32)).equals(pieceLayer(content, PIECE))).toBe(true);
    for (const [offset, length] of [
      [start + 2 * PIECE, PIECE],
      [start + 10, 20],
      [start, all],
    ] as const) {
      raw.send(`DOWNLOAD root=${root} offset=${offset} length=${length}\n`);
      expect(await raw.line()).toBe(`FILE: length=${length} size=1000000`);
      expect((await raw.take(length)).equals(content.subarray(offset, offset + length))).toBe(true);
    }
    const behind = (start + 4 * PIECE) % (16 * PIECE);
    const across = start === 0 ? 4 * PIECE : start;
    for (const range of ["offset=0", `offset=${behind} length=1`, `offset=${across - 1} length=2`]) {
      raw.send(`DOWNLOAD root=${root} ${range}\n`);
      expect(await raw.line()).toMatch(/^ERROR not-here ./);
    }
    // Nobody asks for it by a name: it has none yet.
    raw.send("DOWNLOAD name=film.mkv\nBYE\n");
    expect((await raw.rest()).toString()).toBe("NOT FOUND\n");
  });

  test.each([1, 5])(
    "is served on by a peer in guided prompts that shares %d others, when the first holder has left",
    async (own) => {
      const { address } = await stage.tracker();
      const content = noise(1_500_000, 9);
      const { program: first } = await stage.sharing(address, stage.folderWith({ "film.mkv": content }), 1);
      const files = Object.fromEntries(Array.from({ length: own }, (_, i) => [`mine ${i}.txt`, `mine ${i}`]));
      const to = stage.folder();
      const screen = new Screen([PEER, address, "--port", "0", "--to", to, "--name", "Tester"], {
        cwd: stage.folderWith(files),
        env: { XDG_CACHE_HOME: stage.folder(), XDG_STATE_HOME: stage.folder() },
      });
      stage.atEnd(() => screen.close());
      await atFiles(screen);
      screen.press(KEY.enter);
      await screen.waitFor(SEARCH);
      await fetchFound(screen, "film.mkv");
      await screen.waitFor(VERIFIED);
      await screen.waitFor(SEARCH);
      first.kill();
      await first.exited;
      const inbox = stage.folder();
      await done(stage.get(address, `root:${contentId(content)}`, inbox));
      expectOnly(inbox, "film.mkv", content);
    },
  );
});

describe("a busy holder", () => {
  test("tells the ninth downloader its position, and serves it when one of eight slow ones leaves", async () => {
    const { address, port } = await stage.tracker();
    const folder = stage.folderWith({ "film.mkv": "", "notes.bin": noise(300_000, 10) });
    truncateSync(join(folder, "film.mkv"), 64_000_000);
    await stage.sharing(address, folder, 2);
    const [{ port: serving } = {}] = await stage.search(address, "notes.bin");
    const readers = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const pass = await stage.enlist(port, 40_000 + i, [`<raw ${i}.txt,text/plain,1,22/11/26,127.0.0.1,${40_000 + i};v=2>`]);
        const reader = await Raw.connect(Number(serving));
        stage.atEnd(() => reader.close());
        reader.send(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=film.mkv\n`);
        expect(await reader.line()).toBe("HI FT/2");
        expect(await reader.line()).toBe("FILE: length=64000000 size=64000000");
        reader.socket.pause();
        return reader;
      }),
    );
    const inbox = stage.folder();
    const ninth = stage.get(address, "notes.bin", inbox);
    await ninth.waitFor(/"event":"waiting"/);
    // And again: it does not get in while all slots are in use.
    await ninth.waitFor(/"event":"waiting"/);
    expect(events(ninth, "waiting")).toContainEqual({
      event: "waiting",
      address: "127.0.0.1",
      port: Number(serving),
      position: 1,
    });
    expect(events(ninth, "progress")).toEqual([]);
    readers[3]?.close();
    await done(ninth);
    expectOnly(inbox, "notes.bin", noise(300_000, 10));
    expect(readers.filter(({ closed }) => closed)).toHaveLength(1);
  });
});

describe("--limit", () => {
  test.each(["the fetcher", "the holder"])("slows down a download when %s has it", async (who) => {
    const { address } = await stage.tracker();
    const content = noise(1_250_000, 11);
    const limit = ["--limit", "500kB"];
    const folder = stage.folderWith({ "film.mkv": content });
    await stage.sharing(address, folder, 1, ...(who === "the holder" ? limit : []));
    const inbox = stage.folder();
    const { seconds } = await done(stage.get(address, "film.mkv", inbox, ...(who === "the fetcher" ? limit : [])));
    // Two and a half seconds without the burst at the beginning and what is under way at the end.
    expect(Number(seconds)).toBeGreaterThan(1);
    expectOnly(inbox, "film.mkv", content);
  });

  test("slows down a download without a content id, too", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(1_250_000, 16);
    const holder = await startHolder(content);
    stage.atEnd(() => holder.close());
    await stage.enlist(port, holder.port, [
      `<film.mkv,video/x-matroska,${content.length},22/11/26,127.0.0.1,${holder.port};v=2>`,
    ]);
    const inbox = stage.folder();
    const program = stage.get(address, "film.mkv", inbox, "--limit", "500kB");
    expect(await exitOf(program)).toBe(0);
    const { seconds, verified } = program.objects().at(-1) ?? {};
    expect(verified).toBe(false);
    // For what comes last, up to half a megabyte at once, nobody has to wait.
    expect(Number(seconds)).toBeGreaterThan(1);
    expectOnly(inbox, "film.mkv", content);
  });

  test("with a value that is no rate, or too small for one, is a sentence and exit code 2", async () => {
    const bad = ["", "0", "-1", "fast", "10", "999", "1e9", "5XB", "NaN", "Infinity", "10MB/h", "1,5MB", "\u001b[2J"];
    const attempts = bad.map(async (value) => {
      const program = stage.run(PEER, ["127.0.0.1:1", "get", "x", `--limit=${value}`, "--quiet"], {
        cwd: stage.folderWith({ "visitor.txt": "visitor" }),
      });
      expect({ value, code: await program.exited, out: program.out }).toEqual({ value, code: 2, out: "" });
      expect(program.err).toMatch(/^--limit [^\n\u001b]*\.\n$/);
    });
    await Promise.all(attempts);
  });
});

describe("a shared file", () => {
  /** Searches until the record is as wanted; nobody asks the holder for anything. */
  async function waitForRecord(address: string, name: string, holds: (records: Record<string, unknown>[]) => boolean) {
    while (!holds(await stage.search(address, name))) await Bun.sleep(50);
  }

  test("that changes, is replaced, is deleted or comes back has its record follow by itself", async () => {
    const { address } = await stage.tracker();
    const folder = stage.folderWith({ "page.txt": "the first text", "stays.txt": "stays" });
    await stage.sharing(address, folder, 2);
    const path = join(folder, "page.txt");
    const shows = (text: string) => (records: Record<string, unknown>[]) =>
      records.length === 1 && records[0]?.root === contentId(text) && records[0]?.size === text.length;
    expect(shows("the first text")(await stage.search(address, "page.txt"))).toBe(true);
    writeFileSync(path, "a longer second text");
    await waitForRecord(address, "page.txt", shows("a longer second text"));
    // As editors save: beside it, and then in its place.
    writeFileSync(join(folder, ".page.tmp"), "the third");
    renameSync(join(folder, ".page.tmp"), path);
    await waitForRecord(address, "page.txt", shows("the third"));
    unlinkSync(path);
    await waitForRecord(address, "page.txt", (records) => records.length === 0);
    expect(await stage.search(address, "stays.txt")).toHaveLength(1);
    writeFileSync(path, "back again");
    await waitForRecord(address, "page.txt", shows("back again"));
  });

  const changes: [string, (path: string) => void][] = [
    ["is written over", (path) => writeFileSync(path, noise(8_000_000, 13))],
    [
      "is written over from the middle on",
      (path) => writeFileSync(path, Buffer.concat([noise(4_000_000, 12), noise(4_000_000, 14)])),
    ],
    ["shrinks", (path) => truncateSync(path, 3_000_000)],
    ["shrinks to nothing", (path) => truncateSync(path, 0)],
    ["grows", (path) => truncateSync(path, 9_000_000)],
    [
      "is replaced",
      (path) => {
        writeFileSync(`${path}.new`, noise(8_000_000, 13));
        renameSync(`${path}.new`, path);
      },
    ],
    ["is deleted", (path) => unlinkSync(path)],
  ];

  test("that changes in any way while it is served ends the download with a sentence, and nothing wrong is published", async () => {
    const content = noise(8_000_000, 12);
    const attempt = async (change: (path: string) => void) => {
      const { address } = await stage.tracker();
      const folder = stage.folderWith({ "film.mkv": content, "stays.txt": "stays" });
      await stage.sharing(address, folder, 2, "--limit", "3MB");
      const inbox = stage.folder();
      const program = stage.get(address, "film.mkv", inbox);
      await waitForProgress(program, 1_000_000);
      change(join(folder, "film.mkv"));
      expect(await failed(program)).toContain('"film.mkv"');
      expectUnfinished(inbox);
    };
    for (const some of [changes.slice(0, 4), changes.slice(4)]) await Promise.all(some.map(([, change]) => attempt(change)));
  });
});
