// Files between compiled programs, while everything happens that can happen to them: kill -9, damaged part files, lying and slow
// holders, several fetchers, queues, limits, files that change, full disks.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type Answers, contentId, giveBytes, type Holder, noise, pieceLayer, startHolder } from "../helpers/holder.ts";
import { PEER, type Program, Stage } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

const PIECE = 65_536;
const MIB = 1024 * 1024;
/** What a transfer may leave in a folder before it is done. */
const HIDDEN = /^\.ft-[^/]*\.(?:part|lock)$/;

let stage: Stage;
let cleanups: (() => void | Promise<void>)[];

beforeEach(() => {
  stage = new Stage();
  cleanups = [];
});

afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean();
  await stage.close();
});

// ---------------------------------------------------------------- what the tests are made of

function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** A running `get` of somebody who shares one small file; its events are on standard output. */
function get(address: string, wanted: string, inbox: string, ...args: string[]): Program {
  return stage.run(PEER, [address, "get", wanted, "--to", inbox, "--port", "0", "--json", ...args], {
    cwd: folderWith({ "visitor.txt": "I share this.\n" }),
  });
}

/** The objects of one kind that a program printed so far. */
function events(program: Program, event: string): Record<string, unknown>[] {
  return program.objects().filter((object) => object.event === event);
}

/** Resolves at the first progress of a download that has come at least so far. */
async function waitForProgress(program: Program, least: number): Promise<number> {
  for (;;) {
    const [, received] = await program.waitFor(/"event":"progress","received":(\d+)/);
    if (Number(received) >= least) return Number(received);
  }
}

/** A program that does not end within this time never ends. */
const PATIENCE_MS = 20_000;

/** The exit code of a program that is expected to end by itself. */
async function ended(program: Program): Promise<number> {
  const code = await Promise.race([program.exited, Bun.sleep(PATIENCE_MS)]);
  if (code === undefined) throw new Error(`it does not end; out:\n${program.out}\nerr: ${program.err}`);
  return code;
}

/** The outcome of a `get` that is expected to work: its last object. */
async function done(program: Program): Promise<Record<string, unknown>> {
  const code = await ended(program);
  const last = program.objects().at(-1) ?? {};
  expect({ code, err: program.err, last }).toMatchObject({ code: 0, last: { event: "done", verified: true } });
  return last;
}

/** The sentence of a `get` that is expected to fail. */
async function failed(program: Program): Promise<string> {
  const code = await ended(program);
  const last = program.objects().at(-1) ?? {};
  expect({ code, event: last.event, message: typeof last.message }).toEqual({ code: 1, event: "error", message: "string" });
  expect(program.err).not.toMatch(/\n\s+at |Error:/);
  return String(last.message);
}

/** Bytes that a sharing peer says it sent, once all its uploads are over. */
async function sentBy(holder: Program): Promise<number> {
  while (events(holder, "upload-ended").length < events(holder, "upload-started").length) {
    await holder.waitFor(/"event":"upload-ended"[^\n]*\n/);
  }
  return events(holder, "upload-ended").reduce((sum, { sent }) => sum + Number(sent), 0);
}

/** A raw FT/2 session with a tracker that shares these records; it stays open. Gives its pass. */
async function enlist(tracker: number, port: number, records: string[]): Promise<string> {
  const session = await Raw.connect(tracker);
  cleanups.push(() => session.close());
  session.send(`HELLO FT/2 agent=raw\nFILES ${records.length} port=${port}\n${records.map((line) => `${line}\n`).join("")}`);
  expect(await session.line()).toStartWith("HI FT/2 ");
  return /pass=(\S+)/.exec(await session.line())?.[1] ?? "";
}

function record(name: string, size: number, port: number, root: string): string {
  return `<${name},application/octet-stream,${size},22/11/26,127.0.0.1,${port};v=2;root=${root}>`;
}

/** A raw holder that is online at a tracker with one content under this name. */
async function rawHolder(tracker: number, name: string, content: Uint8Array, answers: Answers = {}): Promise<Holder> {
  const holder = await startHolder(content, answers);
  cleanups.push(() => holder.close());
  await enlist(tracker, holder.port, [record(name, content.length, holder.port, contentId(content))]);
  return holder;
}

/** The records that a search finds now. */
async function search(address: string, name: string): Promise<Record<string, unknown>[]> {
  const program = stage.run(PEER, [address, "search", name, "--json", "--port", "0"], {
    cwd: folderWith({ "visitor.txt": "I share this.\n" }),
  });
  await program.exited;
  return program.objects().filter(({ event }) => event === undefined);
}

/** The file is there, whole and right, and nothing of the transfer is. */
function expectOnly(inbox: string, name: string, content: Uint8Array): void {
  expect(readdirSync(inbox)).toEqual([name]);
  expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
}

/** What came is kept, and no file has the name. */
function expectUnfinished(inbox: string): void {
  const names = readdirSync(inbox);
  expect(names.filter((name) => !HIDDEN.test(name))).toEqual([]);
  expect(names.filter((name) => name.endsWith(".part"))).toHaveLength(1);
}

/** Numbers from 0 to 1 that look random, the same ones for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

// ---------------------------------------------------------------- kill -9

describe("a fetcher that is killed with -9", () => {
  test("again and again at any moment fetches hardly anything twice, and shows the name only when the file is right", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(120_000_000);
    const { program: slow } = await stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "10MB");
    const inbox = stage.folder();
    const random = seeded(20_261_122);
    /** Requests under way are two of 4 MiB at most; a third may be on its way to the disk. */
    const UNDER_WAY = 12 * MIB;
    let sent = 0;
    let allowed = content.length;
    for (let kills = 0; kills < 25; kills++) {
      const killed = get(address, "film.mkv", inbox);
      await killed.waitFor(/"event":"progress"/);
      // Most are killed early; some have come so far that what they kept matters.
      await Bun.sleep(kills % 8 === 0 ? 500 + random() * 300 : random() * 80);
      killed.kill("SIGKILL");
      await killed.exited;
      expect(readdirSync(inbox).filter((name) => !HIDDEN.test(name))).toEqual([]);
      const before = sent;
      sent = await sentBy(slow);
      allowed += Math.min(sent - before, UNDER_WAY);
    }
    expect(events(slow, "upload-ended")).toHaveLength(25);
    slow.kill();
    const { program: quick } = await stage.sharing(address, folderWith({ "film.mkv": content }), 1);
    expect(await done(get(address, "film.mkv", inbox))).toMatchObject({ path: join(inbox, "film.mkv") });
    expectOnly(inbox, "film.mkv", content);
    const last = await sentBy(quick);
    expect(last).toBeLessThan(content.length);
    expect(sent + last).toBeLessThanOrEqual(allowed);
  });
});

describe("a holder that is killed with -9", () => {
  test("when it was the only one: exit code 1, how far it came and what to do; the same command goes on at another holder", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(8_000_000);
    const folder = folderWith({ "film.mkv": content });
    const { program: first } = await stage.sharing(address, folder, 1, "--limit", "5MB");
    const inbox = stage.folder();
    const program = get(address, "film.mkv", inbox);
    await waitForProgress(program, 4_000_000);
    first.kill();
    const message = await failed(program);
    expect(message).toMatch(/^Cannot fetch "film\.mkv": .*127\.0\.0\.1:\d+.*after \d[\d.]* MB of 8\.0 MB/);
    expect(message).toEndWith("Run the same command to go on.");
    expectUnfinished(inbox);
    const kept = Number(/after ([\d.]+) MB/.exec(message)?.[1]) * 1e6;
    expect(kept).toBeGreaterThan(2_000_000);

    const { program: second } = await stage.sharing(address, folder, 1);
    await done(get(address, "film.mkv", inbox));
    expectOnly(inbox, "film.mkv", content);
    // The number in the sentence is rounded.
    expect(await sentBy(second)).toBeWithin(1, content.length - kept + 100_000);
  });
});

// ---------------------------------------------------------------- part files

describe("a part file", () => {
  const NAME = "film.mkv";
  const content = noise(2_000_000, 77);
  let address: string;
  let holder: Program;
  let part: string;

  beforeEach(async () => {
    ({ address } = await stage.tracker());
    ({ program: holder } = await stage.sharing(address, folderWith({ [NAME]: content }), 1));
    // What a part file is called is seen after a kill.
    const inbox = stage.folder();
    const stuck = await startHolder(content, { download: () => undefined });
    const { address: elsewhere, port } = await stage.tracker();
    cleanups.push(() => stuck.close());
    await enlist(port, stuck.port, [record(NAME, content.length, stuck.port, contentId(content))]);
    const killed = get(elsewhere, NAME, inbox);
    await killed.waitFor(/"event":"asking"/);
    while (!stuck.asked.some((line) => line.startsWith("DOWNLOAD"))) await Bun.sleep(10);
    killed.kill();
    await killed.exited;
    [part = ""] = readdirSync(inbox).filter((name) => name.endsWith(".part"));
    expect(part).toMatch(HIDDEN);
  });

  function flipped(...places: number[]): Buffer {
    const bytes = Buffer.from(content);
    for (const at of places) bytes[at] = (bytes[at] ?? 0) ^ 255;
    return bytes;
  }

  /** What lies there, and how many bytes may be fetched at most: those of the pieces that are wrong or missing. */
  const damages: [string, Buffer, number][] = [
    ["is whole and right", content, 0],
    ["has wrong bytes in three pieces", flipped(0, 1, 700_000, 1_999_999), 3 * PIECE],
    ["is cut in the middle of a piece", content.subarray(0, 1_000_000), content.length - 15 * PIECE],
    ["has rubbish behind its end", Buffer.concat([content, noise(500_000, 5)]), 0],
    ["has rubbish behind its end and within", Buffer.concat([flipped(PIECE), noise(500_000, 5)]), PIECE],
    ["is nothing but zeros", Buffer.alloc(content.length), content.length],
    ["is empty", Buffer.alloc(0), content.length],
  ];

  test.each(damages)("that %s is believed as far as it is right", async (_, bytes, most) => {
    const inbox = folderWith({ [part]: bytes });
    await done(get(address, NAME, inbox));
    expectOnly(inbox, NAME, content);
    expect(await sentBy(holder)).toBeLessThanOrEqual(most);
  });

  const impostors: [string, (path: string, precious: string) => unknown][] = [
    ["a link to a precious file", (path, precious) => symlinkSync(precious, path)],
    ["a link to nothing", (path, precious) => symlinkSync(`${precious}.new`, path)],
    ["another name of a precious file", (path, precious) => linkSync(precious, path)],
    ["a pipe", (path) => Bun.spawnSync(["mkfifo", path])],
  ];

  test.each(impostors)("whose place is taken by %s is begun anew, and nothing else is touched", async (_, make) => {
    // Almost the file itself: whoever believed it would write only a little into it.
    const outside = folderWith({ "precious.bin": flipped(100_000) });
    const precious = join(outside, "precious.bin");
    const inbox = stage.folder();
    make(join(inbox, part), precious);
    expect(lstatSync(join(inbox, part), { throwIfNoEntry: false })).toBeDefined();
    await done(get(address, NAME, inbox));
    expectOnly(inbox, NAME, content);
    expect(lstatSync(join(inbox, NAME)).isFile()).toBe(true);
    expect(statSync(join(inbox, NAME)).nlink).toBe(1);
    expect(readdirSync(outside)).toEqual(["precious.bin"]);
    expect(readFileSync(precious).equals(flipped(100_000))).toBe(true);
  });

  test("whose place is taken by a folder is a sentence with exit code 1, and the folder stays as it is", async () => {
    const inbox = stage.folder();
    mkdirSync(join(inbox, part));
    writeFileSync(join(inbox, part, "precious.txt"), "precious");
    const message = await failed(get(address, NAME, inbox));
    expect(message).toContain(`"${NAME}"`);
    expect(message).toEndWith(".");
    expect(readdirSync(inbox)).toEqual([part]);
    expect(readFileSync(join(inbox, part, "precious.txt"), "utf8")).toBe("precious");
  });
});

// ---------------------------------------------------------------- several holders

describe("several holders", () => {
  test("of the same content are used together, whatever they call it", async () => {
    const { address } = await stage.tracker();
    const content = randomBytes(14_000_000);
    await Promise.all([
      stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "7MB"),
      stage.sharing(address, folderWith({ "the same film.mkv": content }), 1, "--limit", "7MB"),
    ]);
    for (const wanted of [`root:${contentId(content)}`, "film.mkv"]) {
      const inbox = stage.folder();
      const { holders, name } = await done(get(address, wanted, inbox));
      expect({ wanted, holders }).toEqual({ wanted, holders: 2 });
      expectOnly(inbox, String(name), content);
    }
  });

  test("share a file of a few megabytes, too: what a slow one still owes is had from a faster one that turns up", async () => {
    const { address } = await stage.tracker();
    const content = noise(6_000_000, 3);
    await Promise.all([
      stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "1MB"),
      stage.sharing(address, folderWith({ "the same film.mkv": content }), 1),
    ]);
    const inbox = stage.folder();
    // By its name only the slow one is found at first; by itself it needs six seconds.
    const { holders, seconds } = await done(get(address, "film.mkv", inbox));
    expect(holders).toBe(2);
    expect(Number(seconds)).toBeLessThan(4);
    expectOnly(inbox, "film.mkv", content);
  });

  test("one of which lies in one piece, one trickles and one resets: the file is right and soon there, and the liar is named", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(6_000_000, 4);
    const random = seeded(4);
    let lied = false;
    const liar = await rawHolder(port, "film.mkv", content, {
      download: (asked, connection) => {
        const bytes = Buffer.from(content);
        if (!lied) bytes[asked.offset] = (bytes[asked.offset] ?? 0) ^ 1;
        lied = true;
        giveBytes(bytes)(asked, connection);
      },
    });
    await rawHolder(port, "film.mkv", content, {
      download: async ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        for (let at = offset; at < offset + length && !connection.ended; at++) {
          connection.send(content.subarray(at, at + 1));
          await Bun.sleep(100);
        }
      },
    });
    await rawHolder(port, "film.mkv", content, {
      download: async ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + Math.floor(random() * length)));
        await Bun.sleep(random() * 50);
        connection.socket.resetAndDestroy();
      },
    });
    await stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "4MB");
    const inbox = stage.folder();
    const started = Date.now();
    const program = get(address, "film.mkv", inbox);
    await done(program);
    expectOnly(inbox, "film.mkv", content);
    expect(Date.now() - started).toBeLessThan(15_000);
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
    const generous = await rawHolder(port, "film.mkv", content, { download: tooMuch });
    const alone = stage.folder();
    const message = await failed(get(address, "film.mkv", alone));
    expect(message).toContain(`127.0.0.1:${generous.port}`);
    expect(readdirSync(alone).filter((name) => !HIDDEN.test(name))).toEqual([]);
    await stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "4MB");
    await done(get(address, "film.mkv", alone));
    expectOnly(alone, "film.mkv", content);
  });
});

// ---------------------------------------------------------------- unfinished files

describe("what has arrived of a file", () => {
  test("is exchanged by two who fetch it from one slow source, and announced as unfinished to those who understand", async () => {
    const { address, port } = await stage.tracker();
    const content = randomBytes(6_000_000);
    const { program: source } = await stage.sharing(address, folderWith({ "film.mkv": content }), 1, "--limit", "1MB");
    const inboxes = [stage.folder(), stage.folder()];
    const programs = inboxes.map((inbox) => get(address, "film.mkv", inbox));
    await Promise.all(programs.map((program) => waitForProgress(program, 500_000)));

    const records = await search(address, "film.mkv");
    expect(records.map(({ part }) => part ?? false).sort()).toEqual([false, true, true]);
    // Those who have only a part are no holders of it.
    for (const { holders } of records) expect(holders).toBe(1);
    const root = records.find(({ part }) => part === undefined)?.root;
    expect(root).toBe(contentId(content));
    const plain = await Raw.connect(port);
    cleanups.push(() => plain.close());
    plain.send("SEARCH: film.mkv");
    plain.halfClose();
    expect((await plain.rest()).toString()).toMatch(/^FOUND: <[^<>]*>\n?$/);
    const who = stage.run(PEER, [address, "who", "--json", "--port", "0"], { cwd: folderWith({ "v.txt": "v" }) });
    expect(await who.exited).toBe(0);
    expect(who.objects().map(({ files }) => files)).toEqual([1, 1, 1, 1]);
    // All of that was while they were at it.
    for (const program of programs) expect(events(program, "done")).toEqual([]);

    const outcomes = await Promise.all(programs.map(done));
    for (const inbox of inboxes) expectOnly(inbox, "film.mkv", content);
    // Who is a little ahead all the time has nothing to take from the other one.
    expect(outcomes.map(({ holders }) => holders)).toContain(2);
    expect(await sentBy(source)).toBeLessThan(1.8 * content.length);
    for (const { part } of await search(address, "film.mkv")) expect(part).toBeUndefined();
  });

  test("is given to others piece by piece, and nothing that is not verified yet", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(1_000_000, 17);
    // Four pieces come; of the rest only a beginning, which nobody can hold against anything.
    await rawHolder(port, "film.mkv", content, {
      download: (asked, connection) => {
        if (asked.offset + asked.length <= 4 * PIECE) giveBytes(content)(asked, connection);
        else {
          connection.send(`FILE: length=${asked.length} size=${content.length}\n`);
          connection.send(Buffer.alloc(100_000, "?"));
        }
      },
    });
    const program = get(address, "film.mkv", stage.folder());
    await program.waitFor(/"event":"progress"/);
    const part = (await search(address, "film.mkv")).find((one) => one.part === true);
    const root = contentId(content);
    expect(part).toMatchObject({ size: content.length, root });
    const pass = await enlist(port, 40_000, [record("raw.txt", 1, 40_000, contentId("r"))]);
    const raw = await Raw.connect(Number(part?.port));
    cleanups.push(() => raw.close());
    raw.send(`HELLO FT/2 pass=${pass}\n`);
    expect(await raw.line()).toBe("HI FT/2");
    for (let tries = 0; ; tries++) {
      raw.send(`HAVE root=${root}\n`);
      expect(await raw.line()).toBe("HAVE: 2");
      const bits = (await raw.take(2)).toString("hex");
      if (bits === "f000") break;
      expect(bits).toBe("0000");
      expect(tries).toBeLessThan(100);
      await Bun.sleep(20);
    }
    raw.send(`TREE root=${root} piece=65536\n`);
    expect(await raw.line()).toBe("TREE: 16");
    expect((await raw.take(16 * 32)).equals(pieceLayer(content, PIECE))).toBe(true);
    for (const [offset, length] of [
      [3 * PIECE, PIECE],
      [10, 20],
      [0, 4 * PIECE],
    ] as const) {
      raw.send(`DOWNLOAD root=${root} offset=${offset} length=${length}\n`);
      expect(await raw.line()).toBe(`FILE: length=${length} size=1000000`);
      expect((await raw.take(length)).equals(content.subarray(offset, offset + length))).toBe(true);
    }
    for (const range of ["offset=0", `offset=${4 * PIECE} length=1`, `offset=${4 * PIECE - 1} length=2`, "offset=999999"]) {
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
      const { program: first } = await stage.sharing(address, folderWith({ "film.mkv": content }), 1);
      const files = Object.fromEntries(Array.from({ length: own }, (_, i) => [`mine ${i}.txt`, `mine ${i}`]));
      const to = stage.folder();
      const screen = new Screen([PEER, address, "--port", "0", "--to", to], {
        cwd: folderWith(files),
        env: { XDG_CACHE_HOME: stage.folder() },
      });
      cleanups.push(() => screen.close());
      await screen.choose("Choose from these");
      await screen.waitFor(/Which to share\?.*confirm/s);
      screen.press(KEY.enter);
      await screen.waitFor("What next?");
      await screen.choose("Search");
      await screen.waitFor("File name?");
      screen.press("film.mkv", KEY.enter);
      await screen.choose("");
      await screen.waitFor(", verified");
      await screen.waitFor("What next?");
      first.kill();
      await first.exited;
      const inbox = stage.folder();
      await done(get(address, `root:${contentId(content)}`, inbox));
      expectOnly(inbox, "film.mkv", content);
    },
  );
});

// ---------------------------------------------------------------- the queue, the limit

describe("a busy holder", () => {
  test("tells the ninth downloader its position, and serves it when one of eight slow ones leaves", async () => {
    const { address, port } = await stage.tracker();
    const folder = folderWith({ "film.mkv": "", "notes.bin": noise(300_000, 10) });
    truncateSync(join(folder, "film.mkv"), 64_000_000);
    await stage.sharing(address, folder, 2);
    const [{ port: serving } = {}] = await search(address, "notes.bin");
    const readers = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const pass = await enlist(port, 40_000 + i, [`<raw ${i}.txt,text/plain,1,22/11/26,127.0.0.1,${40_000 + i};v=2>`]);
        const reader = await Raw.connect(Number(serving));
        cleanups.push(() => reader.close());
        reader.send(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=film.mkv\n`);
        expect(await reader.line()).toBe("HI FT/2");
        expect(await reader.line()).toBe("FILE: length=64000000 size=64000000");
        reader.socket.pause();
        return reader;
      }),
    );
    const inbox = stage.folder();
    const ninth = get(address, "notes.bin", inbox);
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
    const content = noise(6_000_000, 11);
    const limit = ["--limit", "2MB"];
    const folder = folderWith({ "film.mkv": content });
    await stage.sharing(address, folder, 1, ...(who === "the holder" ? limit : []));
    const inbox = stage.folder();
    const { seconds } = await done(get(address, "film.mkv", inbox, ...(who === "the fetcher" ? limit : [])));
    // Three seconds without the burst at the beginning and what is under way at the end.
    expect(Number(seconds)).toBeWithin(2, 12);
    expectOnly(inbox, "film.mkv", content);
  });

  test("slows down a download without a content id, too", async () => {
    const { address, port } = await stage.tracker();
    const content = noise(1_250_000, 16);
    const holder = await startHolder(content);
    cleanups.push(() => holder.close());
    await enlist(port, holder.port, [`<film.mkv,video/x-matroska,${content.length},22/11/26,127.0.0.1,${holder.port};v=2>`]);
    const inbox = stage.folder();
    const program = get(address, "film.mkv", inbox, "--limit", "500kB");
    expect(await ended(program)).toBe(0);
    const { seconds, verified } = program.objects().at(-1) ?? {};
    expect(verified).toBe(false);
    // For what comes last, up to half a megabyte at once, nobody has to wait.
    expect(Number(seconds)).toBeWithin(1, 12);
    expectOnly(inbox, "film.mkv", content);
  });

  test("with a value that is no rate, or too small for one, is a sentence and exit code 2", async () => {
    const bad = ["", "0", "-1", "fast", "10", "999", "1e9", "5XB", "NaN", "Infinity", "10MB/h", "1,5MB", "\u001b[2J"];
    const attempts = bad.map(async (value) => {
      const program = stage.run(PEER, ["127.0.0.1:1", "get", "x", `--limit=${value}`, "--quiet"], {
        cwd: folderWith({ "visitor.txt": "visitor" }),
      });
      expect({ value, code: await program.exited, out: program.out }).toEqual({ value, code: 2, out: "" });
      expect(program.err).toMatch(/^--limit [^\n\u001b]*\.\n$/);
    });
    await Promise.all(attempts);
  });
});

// ---------------------------------------------------------------- files that change

describe("a shared file", () => {
  /** Searches until the record is as wanted; nobody asks the holder for anything. */
  async function waitForRecord(address: string, name: string, holds: (records: Record<string, unknown>[]) => boolean) {
    const until = Date.now() + 10_000;
    for (;;) {
      const records = await search(address, name);
      if (holds(records)) return;
      if (Date.now() > until) throw new Error(`the records did not change: ${JSON.stringify(records)}`);
      await Bun.sleep(200);
    }
  }

  test("that changes, is replaced, is deleted or comes back has its record follow by itself", async () => {
    const { address } = await stage.tracker();
    const folder = folderWith({ "page.txt": "the first text", "stays.txt": "stays" });
    await stage.sharing(address, folder, 2);
    const path = join(folder, "page.txt");
    const shows = (text: string) => (records: Record<string, unknown>[]) =>
      records.length === 1 && records[0]?.root === contentId(text) && records[0]?.size === text.length;
    expect(shows("the first text")(await search(address, "page.txt"))).toBe(true);
    writeFileSync(path, "a longer second text");
    await waitForRecord(address, "page.txt", shows("a longer second text"));
    // As editors save: beside it, and then in its place.
    writeFileSync(join(folder, ".page.tmp"), "the third");
    renameSync(join(folder, ".page.tmp"), path);
    await waitForRecord(address, "page.txt", shows("the third"));
    unlinkSync(path);
    await waitForRecord(address, "page.txt", (records) => records.length === 0);
    expect(await search(address, "stays.txt")).toHaveLength(1);
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
      const folder = folderWith({ "film.mkv": content, "stays.txt": "stays" });
      await stage.sharing(address, folder, 2, "--limit", "3MB");
      const inbox = stage.folder();
      const program = get(address, "film.mkv", inbox);
      await waitForProgress(program, 1_000_000);
      change(join(folder, "film.mkv"));
      expect(await failed(program)).toContain('"film.mkv"');
      expectUnfinished(inbox);
    };
    for (const some of [changes.slice(0, 4), changes.slice(4)]) await Promise.all(some.map(([, change]) => attempt(change)));
  });
});

// ---------------------------------------------------------------- folders and disks

/** Whether mounts can be made that nobody else sees. */
const canMount = Bun.spawnSync(["unshare", "-m", "true"], { stdout: "ignore", stderr: "ignore" }).exitCode === 0;

describe("the folder that files go to", () => {
  /** A `get` into a file system of its own at `inbox`, which is gone with it. `listing` gets what is left there at the end. */
  function getMounted(address: string, inbox: string, options: string, listing: string, meanwhile = ""): Program {
    const script = `mount -t tmpfs -o ${options} none '${inbox}' || exit 99; ${meanwhile}
"$@"; code=$?; ls -lA '${inbox}' > '${listing}'; exit $code`;
    const command = [PEER, address, "get", "film.mkv", "--to", inbox, "--port", "0", "--json"];
    return stage.run("unshare", ["-m", "sh", "-c", script, "sh", ...command], { cwd: folderWith({ "visitor.txt": "v" }) });
  }

  test.skipIf(!canMount)(
    "is on a disk that fills up meanwhile: the sentence names it and the need, and the part is kept",
    async () => {
      const { address } = await stage.tracker();
      await stage.sharing(address, folderWith({ "film.mkv": noise(6_000_000, 15) }), 1, "--limit", "3MB");
      const [inbox, listing, gate] = [stage.folder(), join(stage.folder(), "listing"), join(stage.folder(), "gate")];
      expect(Bun.spawnSync(["mkfifo", gate]).exitCode).toBe(0);
      // Somebody else's file takes what was free at the beginning.
      const filler = `{ read go < '${gate}'; head -c 10000000 /dev/zero > '${inbox}/theirs'; } 2>/dev/null &`;
      const program = getMounted(address, inbox, "size=8m", listing, filler);
      await waitForProgress(program, 1_000_000);
      writeFileSync(gate, "now\n");
      const message = await failed(program);
      expect(message).toContain(`"${inbox}"`);
      expect(message).toContain('"film.mkv"');
      expect(message).toContain("6.0 MB");
      expect(message).toContain("full");
      const left = readFileSync(listing, "utf8");
      expect(left).toMatch(/ \.ft-\S+\.part\n/);
      expect(left).not.toContain("film.mkv");
      expect(events(program, "done")).toEqual([]);
    },
  );

  test.skipIf(!canMount)("has too little room: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, folderWith({ "film.mkv": noise(6_000_000, 15) }), 1);
    const [inbox, listing] = [stage.folder(), join(stage.folder(), "listing")];
    const message = await failed(getMounted(address, inbox, "size=2m", listing));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("6.0 MB");
    expect(readFileSync(listing, "utf8")).toBe("total 0\n");
    expect(events(holder, "upload-started")).toEqual([]);
  });

  test.skipIf(!canMount)("is read-only: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, folderWith({ "film.mkv": noise(600_000, 15) }), 1);
    const [inbox, listing] = [stage.folder(), join(stage.folder(), "listing")];
    const message = await failed(getMounted(address, inbox, "ro", listing));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("--to");
    expect(events(holder, "upload-started")).toEqual([]);
  });

  test.skipIf(process.getuid?.() === 0)("may not be written to: said before anything is transferred", async () => {
    const { address } = await stage.tracker();
    const { program: holder } = await stage.sharing(address, folderWith({ "film.mkv": noise(600_000, 15) }), 1);
    const inbox = stage.folder();
    chmodSync(inbox, 0o555);
    const message = await failed(get(address, "film.mkv", inbox));
    expect(message).toContain(`"${inbox}"`);
    expect(message).toContain("--to");
    expect(events(holder, "upload-started")).toEqual([]);
  });
});
