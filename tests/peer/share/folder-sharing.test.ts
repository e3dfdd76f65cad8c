// A fetched folder that is shared on: only as it was fetched.

import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HashPool } from "../../../lib/peer/content/hash.ts";
import { FolderCache } from "../../../lib/peer/disk/folder-cache.ts";
import { SharedFolder } from "../../../lib/peer/disk/shared-folder.ts";
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
const dropped: string[] = [];
const events: PeerEvent[] = [];

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "ft-folder-sharing-")));
  lesson = join(top, "Lesson");
  mkdirSync(lesson);
  writeFileSync(join(lesson, "lesson.txt"), "fetched");
  for (const list of [told, dropped, events]) list.length = 0;
  sharing = new FolderSharing([], {
    pool,
    cache: new FolderCache(join(top, "cache")),
    watch: () => () => undefined,
    tell: async (record) => void told.push(record(OWN).root),
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

/** The content id of the folder as it is now. */
async function rootNow(): Promise<string> {
  const folder = new SharedFolder(lesson);
  await folder.refresh(pool, new FolderCache(join(top, "other cache")), new AbortController().signal);
  return folder.root ?? "";
}

const fetched = (root: string) => Object.assign(new SharedFolder(lesson), { fetched: root });

test("a folder is shared as it was fetched", async () => {
  const root = await rootNow();
  await sharing.add(fetched(root));
  expect(told).toEqual([root]);
  expect(sharing.records(OWN).map((record) => record.root)).toEqual([root]);
});

test("a folder that had own files in it before is not shared: nobody is told of them", async () => {
  const root = await rootNow();
  writeFileSync(join(lesson, "private.txt"), "mine");
  const adding = sharing.add(fetched(root));
  expect(sharing.records(OWN)).toEqual([]);
  await adding;
  expect([told, dropped, sharing.folders, sharing.records(OWN)]).toEqual([[], [], [], []]);
  expect(events.filter(({ event }) => event !== "hashing")).toEqual([
    {
      event: "withdrawn",
      name: sharing.folders[0]?.name ?? fetched(root).name,
      reason: "other files are in it than were fetched",
    },
  ]);
  expect(sharing.lookFolder(await rootNow())).toBeUndefined();
});

test("a folder that is fetched once more, with a new file, is shared as it is then; with an own file no longer", async () => {
  await sharing.add(fetched(await rootNow()));
  writeFileSync(join(lesson, "second.txt"), "fetched later");
  const root = await rootNow();
  await sharing.add(fetched(root));
  expect(told.at(-1)).toBe(root);
  writeFileSync(join(lesson, "private.txt"), "mine");
  await sharing.add(fetched(root));
  expect(told.at(-1)).toBe(root);
  expect(dropped).toEqual(["Lesson"]);
  expect(sharing.folders).toEqual([]);
});
