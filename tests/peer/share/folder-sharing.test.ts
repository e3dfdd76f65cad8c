// A fetched folder that is shared on: only as it was fetched.

import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HashPool } from "../../../lib/peer/content/hash.ts";
import { FolderCache } from "../../../lib/peer/disk/folders/folder-cache.ts";
import { type FetchedFolder, SharedFolder } from "../../../lib/peer/disk/folders/shared-folder.ts";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { FolderSharing } from "../../../lib/peer/share/folder-sharing.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const OWN = { address: addressOf("127.0.0.1"), port: 1235 };
const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 1);
afterAll(() => pool.close());

let top = "";
let lesson = "";
let sharing: FolderSharing;
const told: (string | undefined)[] = [];
/** The tokens of those that were told. */
const tokens: (string | undefined)[] = [];
const dropped: string[] = [];
const events: PeerEvent[] = [];

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "ft-folder-sharing-")));
  lesson = join(top, "Lesson");
  mkdirSync(lesson);
  writeFileSync(join(lesson, "lesson.txt"), "fetched");
  for (const list of [told, tokens, dropped, events]) list.length = 0;
  sharing = new FolderSharing([], {
    pool,
    cache: new FolderCache(join(top, "cache")),
    watch: () => () => undefined,
    tell: async (record) => {
      const { root, only } = record(OWN);
      told.push(root);
      tokens.push(only);
    },
    hasRoom: () => true,
    drop: async (name) => void dropped.push(name),
    report: (event) => void events.push(event),
    clock: new HandClock(),
  });
});
afterEach(() => {
  sharing.stop();
  rmSync(top, { recursive: true });
});

/** The folder as it is now, as it would be fetched. */
async function now(): Promise<FetchedFolder> {
  const folder = new SharedFolder(lesson);
  await folder.refresh(pool, new FolderCache(join(top, "other cache")), new AbortController().signal);
  const { state } = folder;
  if (state === undefined) throw new Error("it is not hashed");
  return { root: state.tree.root, list: state.list, numbered: [] };
}

const sharedAs = (fetched: FetchedFolder) => Object.assign(new SharedFolder(lesson), { fetched });
const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

/** All that downloaders get of these bytes, as text. */
async function bytesOf(asked: { root: string } | { folder: string }): Promise<string> {
  const opened = sharing.open(asked);
  const bytes = new Uint8Array(opened?.file.size ?? 0);
  // A folder is read for a moment at a time. On a busy computer that may be one file.
  for (let at = 0; at < bytes.length; ) at += (await opened?.file.read(bytes.subarray(at), at)) ?? bytes.length;
  opened?.file.close();
  return text(bytes);
}

test("a folder is shared as it was fetched", async () => {
  const fetched = await now();
  const adding = sharing.add(sharedAs(fetched));
  expect(sharing.records(OWN)).toEqual([]);
  await adding;
  expect(told).toEqual([fetched.root]);
  expect(sharing.records(OWN).map(({ root }) => root)).toEqual([fetched.root]);
});

test("a folder that had own files in it before is shared without them: nobody is told of them", async () => {
  mkdirSync(join(lesson, "empty"));
  mkdirSync(join(lesson, "part"));
  writeFileSync(join(lesson, "part", "two.txt"), "fetched too");
  const fetched = await now();
  writeFileSync(join(lesson, "a private file.txt"), "mine");
  writeFileSync(join(lesson, "empty", "private.txt"), "mine");
  writeFileSync(join(lesson, "part", "private.txt"), "mine");
  mkdirSync(join(lesson, "private", "empty"), { recursive: true });
  writeFileSync(join(lesson, "private", "private.txt"), "mine");
  await sharing.add(sharedAs(fetched));
  expect([told, dropped]).toEqual([[fetched.root], []]);
  const [record] = sharing.records(OWN);
  expect([record?.root, record?.files, record?.size]).toEqual([fetched.root, 2, 18]);

  expect(await bytesOf({ root: fetched.root })).toBe(text(fetched.list.bytes));
  expect(await bytesOf({ folder: fetched.root })).toBe("fetchedfetched too");
  const dates = text(sharing.lookFolder(fetched.root)?.dates());
  expect(dates.match(/(?<= ).*/g)?.sort()).toEqual(["/", "empty/", "lesson.txt", "part/", "part/two.txt"]);
  // Neither does anybody get the folder with the own files.
  expect(sharing.lookFolder((await now()).root)).toBeUndefined();
});

test("a file that got a number is shared under its own name, and the other one of that name is not", async () => {
  mkdirSync(join(lesson, "part"));
  writeFileSync(join(lesson, "part", "two.txt"), "fetched too");
  const fetched = await now();
  renameSync(join(lesson, "part", "two.txt"), join(lesson, "part", "two (1).txt"));
  writeFileSync(join(lesson, "part", "two.txt"), "mine");
  await sharing.add(sharedAs({ ...fetched, numbered: [{ path: "part/two.txt", local: "part/two (1).txt" }] }));
  expect([told, events.filter(({ event }) => event === "withdrawn")]).toEqual([[fetched.root], []]);
  expect(await bytesOf({ folder: fetched.root })).toBe("fetchedfetched too");
  const dates = text(sharing.lookFolder(fetched.root)?.dates());
  expect(dates.match(/(?<= ).*/g)?.sort()).toEqual(["/", "lesson.txt", "part/", "part/two.txt"]);
});

test("a folder that is fetched once more, with a new file, is shared as it is then", async () => {
  await sharing.add(sharedAs(await now()));
  writeFileSync(join(lesson, "second.txt"), "fetched later");
  const fetched = await now();
  await sharing.add(sharedAs(fetched));
  expect(told.at(-1)).toBe(fetched.root);
  writeFileSync(join(lesson, "private.txt"), "mine");
  await sharing.add(sharedAs(fetched));
  expect(told.at(-1)).toBe(fetched.root);
  expect(sharing.records(OWN).map(({ root }) => root)).toEqual([fetched.root]);
});

test("a list that is only for some is shown to nobody else, also when everybody has seen an earlier one of the folder", async () => {
  const fetched = await now();
  await sharing.add(sharedAs(fetched));
  writeFileSync(join(lesson, "secret.txt"), "for Ben");
  const secret = await now();
  const adding = sharing.add(Object.assign(sharedAs(secret), { only: "a token" }));
  expect(sharing.records(OWN)).toEqual([]);
  await adding;
  expect([told, tokens]).toEqual([
    [fetched.root, secret.root],
    [undefined, "a token"],
  ]);
  expect(sharing.records(OWN)).toMatchObject([{ root: secret.root, only: "a token" }]);
});

test("a list that is for everybody does not show an earlier one of the folder that was only for some", async () => {
  const secret = await now();
  await sharing.add(Object.assign(sharedAs(secret), { only: "a token" }));
  writeFileSync(join(lesson, "second.txt"), "for all");
  const fetched = await now();
  const adding = sharing.add(sharedAs(fetched));
  expect(sharing.records(OWN)).toEqual([]);
  await adding;
  expect([told, tokens]).toEqual([
    [secret.root, fetched.root],
    ["a token", undefined],
  ]);
  // The same list is fetched once more, now as one for everybody.
  await sharing.add(Object.assign(sharedAs(fetched), { only: "a token" }));
  expect(sharing.records(OWN)).toMatchObject([{ root: fetched.root }]);
  expect(sharing.records(OWN)[0]?.only).toBeUndefined();
});

test("what comes into a chosen folder for some only is shown to nobody else, neither its bytes nor its names", async () => {
  mkdirSync(join(lesson, "own"));
  writeFileSync(join(lesson, "own", "mine.txt"), "mine");
  await sharing.add(new SharedFolder(lesson));
  const [before] = sharing.records(OWN);
  writeFileSync(join(lesson, "secret.txt"), "for Ben");
  mkdirSync(join(lesson, "Secret", "inner"), { recursive: true });
  writeFileSync(join(lesson, "Secret", "inner", "two.txt"), "for Ben");
  mkdirSync(join(lesson, "own", "secrets"));
  writeFileSync(join(lesson, "own", "secrets", "three.txt"), "for Ben");
  // The third is in a folder that was there; the last one was shared before.
  const places = ["secret.txt", "Secret", "own/secrets/three.txt", "own/mine.txt"].map((place) => join(lesson, place));
  sharing.withhold(places);
  await sharing.compute();
  const [after] = sharing.records(OWN);
  expect([after?.root, after?.files]).toEqual([before?.root, 2]);
  const dates = text(sharing.lookFolder(after?.root ?? "")?.dates());
  expect(dates.match(/(?<= ).*/g)?.sort()).toEqual(["/", "lesson.txt", "own/", "own/mine.txt"]);

  // One that replaces a shared file is not shown in its place.
  writeFileSync(join(lesson, "lesson.txt"), "for Ben, too");
  sharing.withhold([join(lesson, "lesson.txt")], true);
  await sharing.compute();
  expect(await bytesOf({ folder: sharing.records(OWN)[0]?.root ?? "" })).toBe("mine");
});

test("a folder of which a fetched file was changed is shared no longer", async () => {
  const fetched = await now();
  await sharing.add(sharedAs(fetched));
  writeFileSync(join(lesson, "lesson.txt"), "changed here");
  await sharing.add(sharedAs(fetched));
  expect([told, dropped, sharing.folders, sharing.records(OWN)]).toEqual([[fetched.root], ["Lesson"], [], []]);
  expect(events.at(-1)).toMatchObject({ event: "withdrawn", reason: "not all that was fetched is in it as it was" });
});
