// A folder from the look at its list to its files on this disk, over real sockets, and what others can have of it meanwhile.

import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CancelledError } from "../../../lib/error.ts";
import { dial } from "../../../lib/net/dial.ts";
import { listen } from "../../../lib/net/listen.ts";
import { HashPool, sha256, treeOfBytes } from "../../../lib/peer/content/hash.ts";
import { FolderCache } from "../../../lib/peer/disk/folders/folder-cache.ts";
import { SharedFolder } from "../../../lib/peer/disk/folders/shared-folder.ts";
import type { DownloadOptions } from "../../../lib/peer/download/download.ts";
import { FolderDownloads, type FolderDownloadTools, fetchFolderList } from "../../../lib/peer/download/folder-downloads.ts";
import { keptOf } from "../../../lib/peer/download/kept.ts";
import type { FetchEvent } from "../../../lib/peer/fetch/types.ts";
import { Server } from "../../../lib/peer/serve/serve.ts";
import type { ServeOptions } from "../../../lib/peer/serve/types.ts";
import { FolderSharing } from "../../../lib/peer/share/folder-sharing.ts";
import { FOLDER_TYPE } from "../../../lib/protocol/folder.ts";
import { HASH } from "../../../lib/protocol/numbers.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, HandClock, nameOf } from "../../helpers/channel.ts";
import { failSyncs } from "../../helpers/failing-disk.ts";

const LOOPBACK = addressOf("127.0.0.1");
const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 2);
afterAll(() => pool.close());

let top = "";
const ends: (() => unknown)[] = [];
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), "ft-folders-")));
  mkdirSync(join(top, "to"));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(top, { recursive: true, force: true });
});

const LARGE = new Uint8Array(3_300_000).map((_, i) => i * 13 + (i >> 10));

/** Makes a folder with these files, which were last changed an hour ago. */
function make(files: Record<string, string | Uint8Array>): string {
  const folder = join(top, "from", "Lesson");
  rmSync(folder, { recursive: true, force: true });
  for (const [path, content] of Object.entries(files)) {
    const full = join(folder, path);
    mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
    if (path.endsWith("/")) continue;
    writeFileSync(full, content);
    utimesSync(full, 1_700_000_000, 1_700_000_000);
  }
  return folder;
}

/** Serves with these options on a free port. */
function serve(options: Pick<ServeOptions, "open" | "look" | "lookFolder">): number {
  const server = new Server({
    ...options,
    sha256,
    changed: () => undefined,
    readPass: () => ({ id: "one" }),
    known: async () => false,
    report: () => undefined,
  });
  const listener = listen({
    port: 0,
    host: "127.0.0.1",
    maxPerAddress: 100,
    onConnection: (channel) => server.accept(channel),
  });
  ends.push(() => listener.stop());
  return listener.port;
}

/** What the holders of a test share, the latest one last. */
const sharings: FolderSharing[] = [];

/** A holder of a folder. `change` may change what it sends of the folder's bytes. */
async function share(folder: string, change?: (bytes: Uint8Array, at: number) => unknown): Promise<FileRecord> {
  const sharing = new FolderSharing([new SharedFolder(folder)], {
    pool,
    cache: new FolderCache(join(top, "cache")),
    watch: () => () => undefined,
    tell: async () => undefined,
    hasRoom: () => true,
    drop: async () => undefined,
    report: () => undefined,
    clock: new HandClock(),
  });
  sharings.push(sharing);
  ends.push(() => {
    for (const one of sharings.splice(0)) one.stop();
  });
  await sharing.compute();
  const port = serve({
    look: (root) => sharing.look(root),
    lookFolder: (root) => sharing.lookFolder(root),
    open: (asked) => {
      const opened = sharing.open(asked);
      if (opened === undefined || asked.folder === undefined || change === undefined) return opened;
      const read = async (into: Uint8Array, at: number) => {
        const got = await opened.file.read(into, at);
        await change(into, at);
        return got;
      };
      return { ...opened, file: { ...opened.file, read } };
    },
  });
  const [record] = sharing.records({ address: LOOPBACK, port });
  if (record === undefined) throw new Error("no record");
  return record;
}

/** A holder of a list that it made up. Its folder has these bytes. */
function shareList(list: string, bytes = new Uint8Array(0)): FileRecord {
  const content = new TextEncoder().encode(list);
  const tree = treeOfBytes(content);
  const open = (of: Uint8Array) => ({
    size: of.length,
    read: async (into: Uint8Array, at: number) => {
      into.set(of.subarray(at, at + into.length));
      return Math.min(into.length, of.length - at);
    },
    unchanged: () => true,
    close: () => undefined,
  });
  const port = serve({
    look: () => ({ size: content.length, pieces: tree.pieces }),
    lookFolder: () => ({ hashes: new Uint8Array(32), dates: () => new Uint8Array(0) }),
    open: ({ folder }) => ({ name: "x", file: open(folder === undefined ? content : bytes) }),
  });
  return {
    name: nameOf("Lesson"),
    type: FOLDER_TYPE,
    size: 3,
    date: "28/11/26",
    address: LOOPBACK,
    port,
    v2: true,
    root: tree.root,
    files: 1,
    list: content.length,
  };
}

class Fetching {
  readonly announced: FileRecord[] = [];
  readonly withdrawn: FileRecord[] = [];
  readonly finished: string[] = [];
  readonly withheld: string[] = [];
  readonly events: FetchEvent[] = [];
  readonly downloads: FolderDownloads;
  readonly tools: FolderDownloadTools;

  constructor(tools: Partial<FolderDownloadTools> = {}) {
    this.tools = {
      dial: ({ address, port }, how) => dial({ address, port }, how),
      pool,
      limit: undefined,
      self: () => undefined,
      pass: () => "a.b",
      away: () => false,
      unsettled: () => false,
      held: async () => [],
      look: async () => [],
      isFetchable: () => true,
      announce: (record) => this.announced.push(record),
      withdraw: (record) => this.withdrawn.push(record),
      finished: async (path) => void this.finished.push(path),
      withhold: (places) => this.withheld.push(...places),
      ...tools,
    };
    this.downloads = new FolderDownloads(this.tools);
  }

  start(records: [FileRecord, ...FileRecord[]], options: Partial<DownloadOptions> = {}) {
    const { signal } = new AbortController();
    const report = (event: FetchEvent) => this.events.push(event);
    return this.downloads.start(records, { folder: join(top, "to"), overwrite: false, signal, report, ...options });
  }
}

/** The sentence with which a promise fails; "" when it does not. */
async function sentenceIn(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "",
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

const arrived = (path = "") =>
  readdirSync(join(top, "to", path), { recursive: true })
    .map(String)
    .sort();

describe("FolderDownloads", () => {
  test("the whole folder arrives with its dates, and is handed over to be shared", async () => {
    const record = await share(make({ "a.txt": "one", "b/c.txt": "two", "b/empty/": "", "large.bin": LARGE }));
    const fetching = new Fetching();
    const done = await fetching.start([record]);
    expect(done).toMatchObject({
      path: join(top, "to/Lesson"),
      size: LARGE.length + 6,
      verified: true,
      outcome: "new",
      inFolder: { files: 3, failed: [], numbered: [] },
    });
    expect(arrived()).toEqual(["Lesson", "Lesson/a.txt", "Lesson/b", "Lesson/b/c.txt", "Lesson/b/empty", "Lesson/large.bin"]);
    expect(Buffer.compare(readFileSync(join(top, "to/Lesson/large.bin")), LARGE)).toBe(0);
    for (const path of ["a.txt", "b/c.txt", "large.bin"]) {
      expect(statSync(join(top, "to/Lesson", path)).mtimeMs).toBe(1_700_000_000_000);
    }
    expect(fetching.finished).toEqual([join(top, "to/Lesson")]);
    expect(fetching.announced).toMatchObject([{ root: record.root ?? "", part: true, files: 3 }]);
    expect(fetching.events.at(-1)).toEqual({ event: "verifying" });
    const progress = fetching.events.filter((event) => event.event === "progress");
    expect(progress.at(-1)).toMatchObject({ files: { done: 3, total: 3 }, size: LARGE.length + 6 });
  });

  test("of two holders one lies: it is named, and the folder is right", async () => {
    const folder = make({ "a.txt": "one", "b.txt": "two", "large.bin": LARGE });
    const liar = await share(folder, (bytes) => bytes.fill(0, 0, 1));
    const honest = await share(folder);
    const fetching = new Fetching();
    await fetching.start([liar, honest]);
    expect(Buffer.compare(readFileSync(join(top, "to/Lesson/large.bin")), LARGE)).toBe(0);
    expect(readFileSync(join(top, "to/Lesson/a.txt"), "utf8")).toBe("one");
    const failed = fetching.events.filter((event) => event.event === "holder-failed");
    for (const event of failed) expect(event.holder.port).toBe(liar.port);
  });

  test("when only a liar has it, nothing of it stands under the folder's name", async () => {
    const liar = await share(make({ "a.txt": "one", "b.txt": "two" }), (bytes) => bytes.fill(0, 0, 1));
    expect(await sentenceIn(new Fetching().start([liar], { only: true }))).toMatch("what it sent is not the file it announced");
    expect(arrived()).toEqual([]);
  });

  test("a break in the middle keeps what arrived, and the next run fetches the rest", async () => {
    const folder = make({ "a.txt": "one", "large.bin": LARGE });
    const stop = new AbortController();
    let sent = 0;
    const record = await share(folder, (bytes) => {
      sent += bytes.length;
      if (sent > 1_500_000) stop.abort();
    });
    expect(await sentenceIn(new Fetching().start([record], { signal: stop.signal }))).not.toBe("");
    sent = Number.NEGATIVE_INFINITY;
    const fetching = new Fetching();
    await fetching.start([record]);
    const first = fetching.events.find((event) => event.event === "progress");
    expect(first?.event === "progress" && first.received).toBeGreaterThan(0);
    expect(Buffer.compare(readFileSync(join(top, "to/Lesson/large.bin")), LARGE)).toBe(0);
  });

  test("a disk that cannot keep what came: the sentence does not say that it is saved", async () => {
    const record = await share(make({ "a.txt": "one", "large.bin": LARGE }));
    ends.push(await failSyncs());
    const sentence = await sentenceIn(new Fetching().start([record]));
    expect(sentence).toContain("Part of your progress may be fetched again.");
    expect(sentence).not.toContain("saved");
  });

  test("a disk that cannot keep a file, noticed when a person stops the download: the error says it", async () => {
    const stop = new AbortController();
    const record = await share(make({ "large.bin": new Uint8Array(12 << 20) }));
    ends.push(await failSyncs());
    const fetching = new Fetching();
    // The first sync begins after 8 MiB. Its error is noticed when the download ends.
    const report = () => {
      const part = fetching.downloads.lookFolder(record.root ?? "");
      if (part?.have !== undefined && part.have.count >= 0.75 * (part.hashes.length / HASH)) stop.abort();
    };
    const error = await fetching.start([record], { signal: stop.signal, report }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CancelledError);
    expect(keptOf(error)).toBe("part");
  });

  test("a folder that changes meanwhile is fetched as it is now, and what is the same is not fetched again", async () => {
    const folder = make({ "a.txt": "one", "large.bin": LARGE });
    let changed = false;
    const record = await share(folder, async (_, at) => {
      if (changed || at < 1_500_000) return;
      changed = true;
      writeFileSync(join(folder, "a.txt"), "other");
      writeFileSync(join(folder, "new.txt"), "new");
      await sharings.at(-1)?.compute();
    });
    const fetching = new Fetching({
      held: async (holder) => sharings.flatMap((one) => one.records(holder)),
    });
    const done = await fetching.start([record]);
    expect(done.inFolder).toMatchObject({ root: sharings.at(-1)?.records(record)[0]?.root, files: 3 });
    expect(fetching.events.filter(({ event }) => event === "folder-changed")).toHaveLength(1);
    expect(arrived("Lesson")).toEqual(["a.txt", "large.bin", "new.txt"]);
    expect(readFileSync(join(top, "to/Lesson/a.txt"), "utf8")).toBe("other");
    const begun = fetching.events.slice(fetching.events.findIndex(({ event }) => event === "folder-changed"));
    const progress = begun.find((event) => event.event === "progress");
    expect(progress?.event === "progress" && progress.received).toBeGreaterThan(0);
  });

  test("one file inside, and one folder inside", async () => {
    const record = await share(make({ "a.txt": "one", "b/c.txt": "two", "b/d/e.txt": "three", "large.bin": LARGE }));
    const fetching = new Fetching();
    await fetching.start([record], { inside: "b/c.txt" });
    expect(arrived()).toEqual(["c.txt"]);
    expect(fetching.announced).toEqual([]);
    await fetching.start([record], { inside: "b" });
    expect(arrived()).toEqual(["b", "b/c.txt", "b/d", "b/d/e.txt", "c.txt"]);
    expect(await sentenceIn(fetching.start([record], { inside: "b/x" }))).toMatch('There is no "b/x" in the folder "Lesson".');
    expect(fetching.finished).toEqual([]);
  });

  test("others are served from what has arrived", async () => {
    const record = await share(make({ "a.txt": "one", "b.txt": "two" }));
    const ready = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    // The first download is held at its end: its folder is still a part.
    const first = new Fetching({ finished: () => go.promise, announce: () => ready.resolve() });
    const done = first.start([record]);
    await ready.promise;
    await done;
    const { downloads } = first;
    const port = serve({
      look: (root) => downloads.look(root),
      lookFolder: (root) => downloads.lookFolder(root),
      open: (asked) => downloads.open(asked),
    });
    mkdirSync(join(top, "to/second"));
    const second = new Fetching();
    const [part] = downloads.records({ address: LOOPBACK, port });
    if (part === undefined) throw new Error("no part");
    await second.start([part], { folder: join(top, "to/second") });
    expect(arrived("second")).toEqual(["Lesson", "Lesson/a.txt", "Lesson/b.txt"]);
    go.resolve();
    await downloads.settled();
  });

  test("a holder that is still reading its files is a sentence", async () => {
    const record = { ...shareList(""), root: undefined, list: undefined };
    expect(await sentenceIn(new Fetching().start([record]))).toMatch("its holder is still reading its files");
  });
});

describe("a hostile list", () => {
  const id = "a".repeat(64);
  const lists: [what: string, list: string, why: string][] = [
    ["a way out of the folder", `3 ${id} ../evil\n`, "made of dots"],
    ["an absolute path", `3 ${id} /tmp/evil\n`, "empty"],
    ["a path twice", `3 ${id} a\n3 ${id} a\n`, "twice"],
    ["a file that is a folder, too", `3 ${id} a\n3 ${id} a/b\n`, "both a file and a folder"],
    ["more bytes than any disk", `9007199254740991 ${id} a\n`, "too large"],
    ["rubbish", "hello\n", "size, root and path"],
  ];
  test.each(lists)("%s: a sentence, and nothing is written", async (_what, list, why) => {
    const fetching = new Fetching();
    expect(await sentenceIn(fetching.start([shareList(list)]))).toMatch(why);
    expect(arrived()).toEqual([]);
    expect(readdirSync(top)).toEqual(["to"]);
  });

  test("a list that is longer than it may be is not fetched", async () => {
    const record = { ...shareList(""), list: 17 * 1024 * 1024 };
    expect(await sentenceIn(new Fetching().start([record]))).toMatch("its list is too long");
  });

  test("more bytes than this disk has are refused before the first one", async () => {
    const record = shareList(`1000000000000000 ${id} a\n`);
    expect(await sentenceIn(new Fetching().start([record]))).toMatch(/it needs 1 PB|too large|has .* free/);
    expect(arrived()).toEqual([]);
  });

  test("the list alone can be looked at", async () => {
    const record = shareList(`3 ${id} a\n`);
    const list = await fetchFolderList([record], new Fetching().tools, { signal: new AbortController().signal });
    expect([...list]).toEqual([{ path: "a", size: 3, root: id }]);
  });
});
