// A folder that is shared as one: what is in it, its list, its bytes, and what happens when it changes.

import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { HashPool } from "../../../../lib/peer/content/hash.ts";
import { FolderCache } from "../../../../lib/peer/disk/folders/folder-cache.ts";
import { walkFolder } from "../../../../lib/peer/disk/folders/folder-walk.ts";
import { SharedFolder } from "../../../../lib/peer/disk/folders/shared-folder.ts";

const pool = new HashPool(new URL("../../../../lib/peer/content/hasher.ts", import.meta.url), 2);
const signal = new AbortController().signal;
let top = "";
let folder = "";
let cache = new FolderCache("");

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "ft-folder-"));
  folder = join(top, "Lesson 7");
  cache = new FolderCache(join(top, "cache"));
  mkdirSync(folder);
});
afterEach(() => rmSync(top, { recursive: true }));
afterAll(() => pool.close());

/** Writes a file that was last changed an hour ago. */
function put(path: string, content: string | Uint8Array = path): void {
  const full = join(folder, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, content);
  const hourAgo = new Date(Date.now() - 3_600_000);
  utimesSync(full, hourAgo, hourAgo);
}

async function shared(): Promise<SharedFolder> {
  const one = new SharedFolder(folder);
  await one.refresh(pool, cache, signal);
  return one;
}

/** The number of files that are hashed at once is lower. */
const MANY = 40;

const pathsOf = (one: SharedFolder) => Array.from(one.state?.list ?? [], ({ path }) => path);

async function bytesOf(one: SharedFolder): Promise<Uint8Array> {
  const served = one.open(one.state?.tree.root ?? "");
  const bytes = new Uint8Array(served?.size ?? 0);
  try {
    // A read may give fewer bytes than there is room for.
    for (let at = 0; at < bytes.length; ) at += (await served?.read(bytes.subarray(at, at + 1000), at)) ?? 1000;
  } finally {
    served?.close();
  }
  return bytes;
}

describe("walkFolder", () => {
  test("hidden entries, links and everything that is no file are left out and counted", async () => {
    put("a.txt");
    put(".hidden");
    for (const name of ["Thumbs.db", "~$report.docx", "$RECYCLE.BIN/old"]) put(name);
    put(".git/config");
    put("bad\u0001name");
    symlinkSync("/etc/passwd", join(folder, "link"));
    symlinkSync("/etc", join(folder, "folder link"));
    const walk = await walkFolder(folder);
    expect(walk.files.map(({ path }) => path)).toEqual(["a.txt"]);
    expect(Object.fromEntries(walk.left)).toEqual({ hidden: 5, links: 2, "its name has a control character": 1 });
  });

  test("files that a system makes by itself are left out, in any case", async () => {
    for (const name of ["desktop.ini", "Thumbs.db", "sub/THUMBS.DB", "$RECYCLE.BIN/x", "System Volume Information/x"])
      put(name);
    put("sub/thumbs.txt");
    const walk = await walkFolder(folder);
    expect(walk.files.map(({ path }) => path)).toEqual(["sub/thumbs.txt"]);
    expect(Object.fromEntries(walk.left)).toEqual({ hidden: 5 });
  });

  test("an empty folder is named, and one that has only hidden entries", async () => {
    mkdirSync(join(folder, "empty", "inner"), { recursive: true });
    put("only/.hidden");
    const { empty, folders } = await walkFolder(folder);
    expect(empty.sort()).toEqual(["empty/inner/", "only/"]);
    expect(folders.map(({ path }) => path).sort()).toEqual(["/", "empty/", "empty/inner/", "only/"]);
  });

  test("a name that is not normalised is listed normalised, and of two that become one only the first", async () => {
    put("cafe\u0301.txt", "1");
    expect((await walkFolder(folder)).files).toMatchObject([{ path: "café.txt", local: "cafe\u0301.txt" }]);
    put("café.txt", "2");
    const { files, left } = await walkFolder(folder);
    expect(files).toHaveLength(1);
    expect(left.get("another entry has the same name") ?? 0).toBeLessThanOrEqual(1);
  });

  test("folders deeper than 64 are left out", async () => {
    put(`${Array(64).fill("d").join("/")}/deep.txt`);
    put(`${Array(63).fill("d").join("/")}/fits.txt`);
    const { files, left } = await walkFolder(folder);
    expect(files.map(({ path }) => path.split("/").at(-1))).toEqual(["fits.txt"]);
    expect([...left.values()].reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  test("a folder that is not there is a sentence", async () => {
    await expect(walkFolder(join(top, "nothing"))).rejects.toThrow(
      /Cannot share the folder ".*nothing": there is no such folder\./,
    );
  });
});

describe("SharedFolder", () => {
  test("the list has every file by its bytes, whatever dates and rights they have", async () => {
    put("b.txt", "two");
    put("a/long.bin", new Uint8Array(3_000_000).fill(7));
    mkdirSync(join(folder, "empty"));
    const one = await shared();
    expect(pathsOf(one)).toEqual(["a/long.bin", "b.txt", "empty/"]);
    expect(one).toMatchObject({ name: "Lesson 7", files: 2, size: 3_000_003, hashed: 2 });
    const root = one.state?.tree.root;
    utimesSync(join(folder, "b.txt"), 5, 5);
    expect((await shared()).state?.tree.root).toBe(root ?? "");
  });

  test("its bytes are the small files first, then the others", async () => {
    put("a-large.bin", new Uint8Array(1_500_000).fill(1));
    put("b", "bee");
    put("c", "");
    put("d/e", "dee");
    const bytes = await bytesOf(await shared());
    expect(Buffer.from(bytes.subarray(0, 6)).toString()).toBe("beedee");
    expect(bytes.length).toBe(1_500_006);
    expect(bytes.subarray(6).every((byte) => byte === 1)).toBe(true);
  });

  test("a file that has changed, or was swapped for a link, is not read", async () => {
    put("a", "old");
    put("b", "bee");
    const one = await shared();
    writeFileSync(join(folder, "a"), "new");
    await expect(bytesOf(one)).rejects.toThrow("has changed");
    writeFileSync(join(top, "secret"), "old");
    rmSync(join(folder, "a"));
    symlinkSync(join(top, "secret"), join(folder, "a"));
    await expect(bytesOf(one)).rejects.toThrow();
  });

  test("of a large file that is changed while it is being sent, nothing is read any more", async () => {
    put("large.bin", new Uint8Array(3_000_000).fill(1));
    const one = await shared();
    const served = one.open(one.root ?? "");
    const bytes = new Uint8Array(1000);
    expect(await served?.read(bytes, 0)).toBe(1000);
    put("large.bin", new Uint8Array(3_000_000).fill(2));
    const next = served?.read(bytes, 1000);
    await expect(next).rejects.toThrow();
    expect(bytes).toEqual(new Uint8Array(1000).fill(1));
    served?.close();
  });

  test("a folder on the way that was swapped for a link leads to no file outside", async () => {
    put("in/a", "mine");
    const one = await shared();
    mkdirSync(join(top, "other"));
    writeFileSync(join(top, "other", "a"), "mine");
    renameSync(join(folder, "in"), join(top, "away"));
    symlinkSync(join(top, "other"), join(folder, "in"));
    await expect(bytesOf(one)).rejects.toThrow("has changed");
  });

  test("counts only what it shares: a file that cannot be read is left out, and that is said", async () => {
    for (let i = 10; i < 10 + MANY; i++) put(`${i}.txt`, "12345");
    put("last.txt", "1234567");
    const one = new SharedFolder(folder);
    await one.look();
    expect([one.files, one.size]).toEqual([MANY + 1, 5 * MANY + 7]);
    await one.refresh(pool, cache, signal, () => rmSync(join(folder, "last.txt"), { force: true }));
    expect(pathsOf(one)).toHaveLength(MANY);
    expect([one.files, one.size]).toEqual([MANY, 5 * MANY]);
    expect(Object.fromEntries(one.left)).toEqual({ "unreadable, or being changed": 1 });
  });

  test("after a change the list is another one, and the old one is not served any more", async () => {
    put("a", "one");
    const one = await shared();
    const before = one.state?.tree.root ?? "";
    const open = one.open(before);
    put("b", "two");
    expect(await one.refresh(pool, cache, signal)).toBe(true);
    expect(open?.unchanged()).toBe(false);
    expect(one.open(before)).toBeUndefined();
    expect(one.openList(before)).toBeUndefined();
    expect(await one.refresh(pool, cache, signal)).toBe(false);
  });

  test("a transfer goes on when the folder is looked at again, also when a file was touched", async () => {
    put("a", "one");
    put("b", "two");
    const one = await shared();
    const open = one.open(one.state?.tree.root ?? "");
    utimesSync(join(folder, "b"), 77, 77);
    expect(await one.refresh(pool, cache, signal)).toBe(false);
    expect(open?.unchanged()).toBe(true);
    const bytes = new Uint8Array(6);
    for (let at = 0; at < 6; ) at += (await open?.read(bytes.subarray(at), at)) ?? 6;
    expect(Buffer.from(bytes).toString()).toBe("onetwo");
  });

  test("unchanged files are not hashed again, also in the next run", async () => {
    put("a", "one");
    put("large", new Uint8Array(2_500_000).fill(3));
    const { state } = await shared();
    const closed = new HashPool(new URL("file:///nothing.ts"), 1);
    const again = new SharedFolder(folder);
    await again.refresh(closed, cache, signal);
    expect(again.state?.tree.root).toBe(state?.tree.root ?? "");
    expect(again.state?.hashes.toHex()).toBe(state?.hashes.toHex() ?? "");
    closed.close();
  });

  test("a read of many small files ends after a moment, with a part of the bytes: others have their turn", async () => {
    for (let n = 0; n < 2000; n++) put(`${n}`, "x");
    const one = await shared();
    const served = one.open(one.state?.tree.root ?? "");
    const got = await served?.read(new Uint8Array(2000), 0);
    served?.close();
    expect(got).toBeGreaterThan(0);
    expect(got).toBeLessThan(2000);
    expect(served?.busyUntil).toBe(2000);
  });

  test("only the small files of a folder keep the program waiting while they are read", async () => {
    put("a", "12");
    put("b", new Uint8Array(1024 * 1024));
    put("c", "345");
    const one = await shared();
    expect(one.open(one.state?.tree.root ?? "")?.busyUntil).toBe(5);
  });

  test("the dates are made once, and again when something has changed", async () => {
    put("a", "1");
    const one = await shared();
    const dates = one.dates();
    expect(one.dates()).toBe(dates);
    put("b", "2");
    await one.refresh(pool, cache, signal);
    expect(new TextDecoder().decode(one.dates())).toContain(" b\n");
  });

  test("the dates of files and folders, one a line", async () => {
    put("d/a", "one");
    utimesSync(join(folder, "d/a"), 1000.5, 1000.5);
    utimesSync(join(folder, "d"), 2000, 2000);
    utimesSync(folder, 3000, 3000);
    const dates = new TextDecoder().decode((await shared()).dates());
    expect(dates.split("\n").sort()).toEqual(["", "1000500 d/a", "2000000 d/", "3000000 /"]);
  });

  test("a folder that is as it was is not hashed again, and one that changed only in its dates tells the new ones", async () => {
    put("a.txt", "one");
    put("d/b.txt", "two");
    const one = await shared();
    const counted = () => {
      hashed += 1;
    };
    let hashed = 0;
    expect(await one.refresh(pool, cache, signal, counted)).toBe(false);
    expect(hashed).toBe(0);
    utimesSync(join(folder, "d"), 2000, 2000);
    expect(await one.refresh(pool, cache, signal, counted)).toBe(false);
    expect(new TextDecoder().decode(one.dates())).toContain("2000000 d/\n");
    put("d/b.txt", "six");
    expect(await one.refresh(pool, cache, signal, counted)).toBe(true);
    mkdirSync(join(folder, "empty"));
    expect(await one.refresh(pool, cache, signal, counted)).toBe(true);
    rmSync(join(folder, "a.txt"));
    expect(await one.refresh(pool, cache, signal, counted)).toBe(true);
    expect(pathsOf(one)).toEqual(["d/b.txt", "empty/"]);
  });

  test("the list is served like a file", async () => {
    put("a", "one");
    const one = await shared();
    const { list, tree } = one.state ?? {};
    const open = one.openList(tree?.root ?? "");
    const bytes = new Uint8Array(open?.size ?? 0);
    expect(await open?.read(bytes, 0)).toBe(list?.bytes.length ?? -1);
    expect(bytes.toHex()).toBe(list?.bytes.toHex() ?? "");
    expect(readFileSync(join(folder, "a"), "utf8")).toBe("one");
  });
});
