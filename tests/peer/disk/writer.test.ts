// Writing a file that grows: in turn, and synced meanwhile. The syncs of the disk end when a test says so.

import { afterEach, beforeEach, describe, expect, mock, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CancelledError } from "../../../lib/error.ts";
import { Incoming } from "../../../lib/peer/disk/incoming.ts";
import { OpenFiles } from "../../../lib/peer/disk/open-files.ts";
import { syncAll } from "../../../lib/peer/disk/sync-all.ts";
import { Writer } from "../../../lib/peer/disk/writer.ts";
import { HandClock } from "../../helpers/channel.ts";

const real = { ...(await import("node:fs")) };
/** As many bytes as begin the first sync. */
const MUCH = new Uint8Array(8 * 1024 * 1024);
const KEY = "0123456789abcdef0123456789abcdef";
const QUIET = { begins() {}, ends() {} };

let folder = "";
/** The ends of the syncs that are under way. */
let syncs: ((error: Error | null) => void)[] = [];
/** Writes under way, and the most of them at once. */
let writing = 0;
let most = 0;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "ft-writer-"));
  syncs = [];
  writing = most = 0;
  const fsync = (_fd: number, done: (error: Error | null) => void) => syncs.push(done);
  const write = (...words: unknown[]) => {
    writing += 1;
    most = Math.max(most, writing);
    const done = words.pop() as (...answer: unknown[]) => void;
    (real.write as (...words: unknown[]) => void)(...words, (...answer: unknown[]) => {
      writing -= 1;
      done(...answer);
    });
  };
  await mock.module("node:fs", () => ({ ...real, fsync, write: promising(write) }));
});
afterEach(async () => {
  // All files of a process wait for one sync after the other.
  while (syncs.length > 0) await endSync();
  await mock.module("node:fs", () => real);
  rmSync(folder, { recursive: true, force: true });
});

/** `promisify` of this gives what it gives of the real `write`. */
function promising(write: (...words: unknown[]) => void): unknown {
  const promised = (...words: unknown[]) =>
    new Promise((resolve, reject) => {
      write(...words, (error: Error | null, bytesWritten: number) => (error ? reject(error) : resolve({ bytesWritten })));
    });
  return Object.assign(write, { [promisify.custom]: promised });
}

function file(name: string): number {
  return openSync(join(folder, name), "w+");
}

/** Ends the sync that is under way. */
async function endSync(error: Error | null = null): Promise<void> {
  syncs.shift()?.(error);
  await Bun.sleep(0);
}

/** Whether a promise has an outcome, once everything that can go on has gone on. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  // A write that was asked for begins a little later.
  do await Bun.sleep(1);
  while (writing > 0);
  await Bun.sleep(1);
  return Bun.peek.status(promise) !== "pending";
}

describe("Writer", () => {
  test("writes one after the other; every byte is at its place, and the caller is told of each", async () => {
    const told: string[] = [];
    const fd = file("a");
    const writer = new Writer(fd, {
      begins: () => told.push("begins"),
      ends: () => told.push("ends"),
      idle: () => told.push("idle"),
    });
    const writes = Array.from({ length: 20 }, (_, i) => writer.write(new Uint8Array(1000).fill(i), (19 - i) * 1000));
    expect(writer.busy).toBe(true);
    await Promise.all(writes);
    expect(most).toBe(1);
    expect(writer.busy).toBe(false);
    expect(told).toEqual([...Array(20).fill(["begins", "ends"]).flat(), "idle"]);
    const bytes = readFileSync(join(folder, "a"));
    for (let i = 0; i < 20; i++) expect(bytes.subarray((19 - i) * 1000, (20 - i) * 1000)).toEqual(Buffer.alloc(1000, i));
    closeSync(fd);
  });

  test("syncs while it goes on; a disk that is behind makes it wait", async () => {
    const told: string[] = [];
    const fd = file("a");
    const writer = new Writer(fd, {
      begins: () => told.push("begins"),
      ends: () => told.push("ends"),
      idle: () => told.push("idle"),
    });
    await writer.write(MUCH.subarray(1), 0);
    expect(syncs).toHaveLength(0);
    await writer.write(MUCH.subarray(0, 1), 0);
    expect(syncs).toHaveLength(1);
    await writer.write(MUCH.subarray(1), 0);
    // It is busy, but what changes now is changed by another program.
    expect(writer.busy).toBe(true);
    expect(told.at(-1)).toBe("ends");
    const behind = writer.write(MUCH, 0);
    expect(await isOver(behind)).toBe(false);
    await endSync();
    expect(await isOver(behind)).toBe(true);
    expect(syncs).toHaveLength(1);
    const settled = writer.settled();
    expect(await isOver(settled)).toBe(false);
    await endSync();
    await settled;
    expect(told.at(-1)).toBe("idle");
    closeSync(fd);
  });

  test("a sync that failed is thrown once it is waited for, by a write or at the end", async () => {
    const lost = Object.assign(new Error("i/o"), { code: "EIO" });
    for (const waits of [(writer: Writer) => writer.write(MUCH, 0), (writer: Writer) => writer.settled()]) {
      const fd = file("a");
      const writer = new Writer(fd, QUIET);
      await writer.write(MUCH, 0);
      await endSync(lost);
      expect(writer.failed).toBe(true);
      const outcome = await waits(writer).catch((error: unknown) => error);
      expect(outcome).toBe(lost);
      closeSync(fd);
    }
  });

  test("one file is synced at a time, and one whose sync failed keeps no other from it", async () => {
    const fds = ["a", "b"].map(file);
    const writers = fds.map((fd) => new Writer(fd, QUIET));
    await writers[0]?.write(MUCH, 0);
    const other = Promise.resolve(writers[1]?.write(MUCH, 0));
    expect(await isOver(other)).toBe(false);
    expect(syncs).toHaveLength(1);
    await endSync(new Error("i/o"));
    await other;
    expect(syncs).toHaveLength(1);
    await endSync();
    await writers[1]?.settled();
    for (const fd of fds) closeSync(fd);
  });

  test("what is written between two syncs is less on a slow disk, and more on a quick one", async () => {
    const clock = new HandClock();
    const fd = file("a");
    const writer = new Writer(fd, QUIET, { clock });
    await writer.write(MUCH, 0);
    for (const [ms, next] of [
      [1500, MUCH.length / 2],
      [1500, MUCH.length / 4],
      [600, MUCH.length / 4],
      [100, MUCH.length / 2],
      [100, MUCH.length],
    ] as const) {
      await clock.pass(ms);
      await endSync();
      await writer.settled();
      await writer.write(MUCH.subarray(0, next - 1), 0);
      expect(syncs).toHaveLength(0);
      await writer.write(MUCH.subarray(0, 1), 0);
      expect(syncs).toHaveLength(1);
    }
    closeSync(fd);
  });
});

describe("another program that changes the part file", () => {
  test.each<[string, boolean]>([
    ["and then more of it arrives", true],
    ["and nothing more arrives", false],
  ])("while it is synced, %s: it is noticed, and the file does not get its name", async (_what, more) => {
    const incoming = await Incoming.open({ folder, name: "a", size: MUCH.length + 1, key: KEY });
    await incoming.write(0, MUCH);
    expect(syncs).toHaveLength(1);
    const timeOf = () => statSync(incoming.part, { bigint: true }).ctimeNs;
    const theirs = openSync(incoming.part, "r+");
    for (const before = timeOf(); timeOf() === before; ) real.writeSync(theirs, "rubbish", 0);
    closeSync(theirs);
    if (more) await incoming.write(MUCH.length, new Uint8Array(1));
    await endSync();
    await incoming.settled();
    expect(incoming.changedByOthers).toBe(true);
    const published = incoming.publish(false).catch((error: unknown) => error);
    while (syncs.length === 0) await Bun.sleep(1);
    await endSync();
    expect(await published).toMatchObject({ code: "part-changed" });
  });
});

describe("a download that is stopped", () => {
  test("one file: waits for the sync that is under way, and for no other", async () => {
    const incoming = await Incoming.open({ folder, name: "a", size: 100 * MUCH.length, key: KEY });
    await incoming.write(0, MUCH);
    const behind = incoming.write(MUCH.length, MUCH);
    expect(await isOver(behind)).toBe(false);
    incoming.stop();
    await endSync();
    await behind;
    await incoming.write(2 * MUCH.length, MUCH);
    await incoming.keep();
    expect(syncs).toHaveLength(0);
    expect(statSync(incoming.part).size).toBe(3 * MUCH.length);
  });

  test("files of a folder: the same, also for one whose sync has its turn later", async () => {
    const files = new OpenFiles(QUIET);
    const pathOf = (number: number) => () => join(folder, String(number));
    await files.write(0, pathOf(0), MUCH, 0);
    const next = [1, 2].map((number) => files.write(number, pathOf(number), MUCH, 0));
    const all = Promise.all(next);
    expect(await isOver(all)).toBe(false);
    files.stop();
    const closed = all.then(() => files.close());
    await endSync();
    await closed;
    expect(syncs).toHaveLength(0);
  });

  test("files of a folder that are being brought to the disk at the end: no further sync begins", async () => {
    const paths = Array.from({ length: 40 }, (_, i) => join(folder, String(i)));
    for (const path of paths) writeFileSync(path, "abc");
    const stop = new AbortController();
    const synced = syncAll(folder, paths.length, paths, stop.signal).catch((error: unknown) => error);
    while (syncs.length === 0) await Bun.sleep(1);
    const begun = syncs.length;
    expect(begun).toBeLessThan(paths.length);
    stop.abort();
    for (let i = 0; i < begun; i++) await endSync();
    expect(await synced).toBeInstanceOf(CancelledError);
    expect(syncs).toHaveLength(0);
    expect(paths.map((path) => statSync(path).size)).toEqual(paths.map(() => 3));
  });
});

describe("a sync that failed", () => {
  const LOST = Object.assign(new Error("i/o"), { code: "EIO" });
  // The system shows them from its memory, and the next sync succeeds: a later run would give the file its name without them.
  test("one file: of the first sync, none of its bytes are kept for the next run", async () => {
    const incoming = await Incoming.open({ folder, name: "a", size: 100 * MUCH.length, key: KEY });
    await incoming.write(MUCH.length, MUCH);
    await incoming.write(0, MUCH.subarray(1));
    await endSync(LOST);
    await incoming.keep();
    expect(readdirSync(folder)).toEqual([]);
  });

  test("one file: of a later sync, each piece that was written since the one before is wrong in the next run", async () => {
    const incoming = await Incoming.open({ folder, name: "a", size: 100 * MUCH.length, key: KEY });
    await incoming.write(2 * MUCH.length, MUCH);
    // This is written while the sync before is under way.
    await incoming.write(3 * MUCH.length, MUCH.subarray(1));
    await endSync();
    await incoming.write(0, MUCH.subarray(1));
    await incoming.write(MUCH.length, MUCH.subarray(0, 2));
    await endSync(LOST);
    await incoming.keep();
    const bytes = readFileSync(incoming.part);
    const piece = 64 * 1024;
    const lost = Array.from({ length: Math.ceil(bytes.length / piece) }, (_, i) =>
      bytes.subarray(i * piece, (i + 1) * piece).some(Boolean),
    );
    const each = MUCH.length / piece;
    expect(lost.slice(0, each)).toEqual(Array(each).fill(true));
    expect(lost.slice(2 * each, 3 * each)).toEqual(Array(each).fill(false));
    expect(lost.slice(3 * each)).toEqual(Array(each).fill(true));
  });

  test("one file, as it gets its name: the same", async () => {
    const incoming = await Incoming.open({ folder, name: "a", size: 3, key: KEY });
    await incoming.write(0, new Uint8Array(3));
    const published = incoming.publish(false).catch((error: unknown) => error);
    while (syncs.length === 0) await Bun.sleep(1);
    await endSync(LOST);
    expect(await published).toMatchObject({ code: "EIO" });
    expect(statSync(incoming.part).size).toBe(0);
  });

  test("files of a folder: the same, and other files keep theirs", async () => {
    const files = new OpenFiles(QUIET);
    const paths = ["a", "b"].map((name) => join(folder, name));
    await files.write(0, () => join(folder, "a"), MUCH, 0);
    const other = files.write(1, () => join(folder, "b"), MUCH, 0);
    await endSync(LOST);
    await other;
    await endSync();
    expect(await files.close().catch((error: unknown) => error)).toBe(LOST);
    expect(paths.map((path) => statSync(path).size)).toEqual([0, MUCH.length]);
  });

  test("files of a folder, as it gets its name: the same", async () => {
    const paths = ["a", "b"].map((name) => join(folder, name));
    for (const path of paths) writeFileSync(path, "abc");
    const synced = syncAll(folder, 2, paths).catch((error: unknown) => error);
    while (syncs.length < 2) await Bun.sleep(1);
    await endSync(LOST);
    await endSync();
    expect(await synced).toBe(LOST);
    expect(paths.map((path) => statSync(path).size)).toEqual([0, 3]);
  });
});

describe("OpenFiles", () => {
  test("a file whose sync failed is not closed in silence when many others are written", async () => {
    const files = new OpenFiles(QUIET);
    const pathOf = (number: number) => () => join(folder, String(number));
    await files.write(0, pathOf(0), MUCH, 0);
    await endSync(Object.assign(new Error("i/o"), { code: "EIO" }));
    for (let number = 1; number < 40; number++) await files.write(number, pathOf(number), new Uint8Array(10), 0);
    const outcome = await files.close().catch((error: unknown) => error);
    expect(outcome).toMatchObject({ code: "EIO" });
  });

  test("while the disk is behind with one file, the next one that needs a sync waits", async () => {
    const begun = new Set<number>();
    const files = new OpenFiles({ begins: (file) => begun.add(file), ends() {} });
    const writeAll = async () => {
      for (let number = 0; number < 24; number++) await files.write(number, () => join(folder, String(number)), MUCH, 0);
    };
    const written = writeAll();
    for (let most = 2; !(await isOver(written)); most++) {
      expect(begun.size).toBe(most);
      await endSync();
    }
    const closed = files.close();
    while (!(await isOver(closed))) await endSync();
    await closed;
  });

  test("on a slow disk, the next files begin with less between two syncs", async () => {
    const clock = new HandClock();
    const pace = { step: Number.POSITIVE_INFINITY };
    const fds = ["a", "b"].map(file);
    const [slow, next] = fds.map((fd) => () => new Writer(fd, QUIET, { clock, pace }));
    const first = slow?.();
    await first?.write(MUCH, 0);
    await clock.pass(1500);
    await endSync();
    await first?.settled();
    const second = next?.();
    await second?.write(MUCH.subarray(0, MUCH.length / 2), 0);
    expect(syncs).toHaveLength(1);
    await endSync();
    await second?.settled();
    for (const fd of fds) closeSync(fd);
  });

  test("is closed when the last sync has ended", async () => {
    const files = new OpenFiles(QUIET);
    await files.write(0, () => join(folder, "a"), MUCH, 0);
    const closed = files.close();
    expect(await isOver(closed)).toBe(false);
    await endSync();
    await closed;
  });
});
