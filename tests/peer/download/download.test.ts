// One download from the first look into the folder to the finished file, over real sockets and a real disk, and what others can have
// of it meanwhile.

import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CancelledError, FtError } from "../../../lib/error.ts";
import type { Dial } from "../../../lib/net/channel.ts";
import { dial } from "../../../lib/net/dial.ts";
import { type Listener, listen } from "../../../lib/net/listen.ts";
import { HashPool, rootHex, sha256 } from "../../../lib/peer/content/hash.ts";
import type { HashInput } from "../../../lib/peer/content/hasher.ts";
import { blockLayer, pieceHash, pieceSizeOf } from "../../../lib/peer/content/merkle.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { type Downloaded, type DownloadOptions, Downloads, type DownloadTools } from "../../../lib/peer/download/download.ts";
import { keptOf } from "../../../lib/peer/download/kept.ts";
import type { FetchEvent } from "../../../lib/peer/fetch/types.ts";
import { Server } from "../../../lib/peer/serve/serve.ts";
import type { Known, Served } from "../../../lib/peer/serve/types.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, nameOf } from "../../helpers/channel.ts";
import { failSyncs } from "../../helpers/failing-disk.ts";
import { type Raw, rawServer } from "../../helpers/raw.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const PIECE = 64 * KiB;
const LOOPBACK = addressOf("127.0.0.1");

const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 2);
afterAll(() => pool.close());

let folder = "";
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-download-")));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true, force: true });
});

const at = (...names: string[]) => join(folder, ...names);
const listing = (path = folder) => readdirSync(path).sort();

/** The same bytes in every run, and different ones in every block. */
function bytesOf(size: number, salt = 0): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

/** A content and what is known of it. */
class Content {
  readonly bytes: Uint8Array;
  readonly pieces: Uint8Array;
  readonly root: string;

  constructor(size: number, salt = 0) {
    this.bytes = bytesOf(size, salt);
    const step = pieceSizeOf(size);
    const hashes: Uint8Array[] = [];
    for (let i = 0; i < size; i += step)
      hashes.push(pieceHash(blockLayer(this.bytes.subarray(i, i + step), sha256), size, sha256));
    this.pieces = new Uint8Array(Buffer.concat(hashes));
    this.root = rootHex(this.pieces, size);
  }

  record(port: number, more: Partial<FileRecord> = {}): FileRecord {
    const { root, bytes } = this;
    const described = { name: nameOf("big.bin"), type: "data", size: bytes.length, date: "22/11/26", v2: true };
    return { ...described, address: LOOPBACK, port, root, ...more };
  }
}

function listenWith(
  open: (root: string | undefined) => { name: string; file: Served } | undefined,
  look: (root: string) => Known | undefined,
): Listener {
  const server = new Server({
    open: ({ root }) => open(root),
    look,
    sha256,
    changed: () => {},
    readPass: () => ({ id: "anybody" }),
    known: async () => true,
    report: () => {},
  });
  const listener = listen({ host: "127.0.0.1", port: 0, onConnection: (channel) => server.accept(channel) });
  ends.push(() => listener.stop());
  return listener;
}

/** Somebody who has a whole content, and counts what is taken of it. */
class Holder {
  readonly content: Content;
  readonly listener: Listener;
  /** Bytes that were read to be sent. */
  given = 0;
  /** Nothing from here on is given, until it is raised. */
  #end = Number.POSITIVE_INFINITY;
  #raised = Promise.withResolvers<void>();

  constructor(content: Content, end = Number.POSITIVE_INFINITY) {
    this.content = content;
    this.#end = end;
    const { bytes, root, pieces } = content;
    const read = async (into: Uint8Array, offset: number) => {
      if (offset + into.length > this.#end) await this.#raised.promise;
      const part = bytes.subarray(offset, offset + into.length);
      into.set(part);
      this.given += part.length;
      return part.length;
    };
    const file: Served = { size: bytes.length, read, unchanged: () => true, close: () => {} };
    this.listener = listenWith(
      (wanted) => (wanted === undefined || wanted === root ? { name: "big.bin", file } : undefined),
      (wanted) => (wanted === root ? { size: bytes.length, pieces } : undefined),
    );
    ends.push(() => this.raise());
  }

  get record(): FileRecord {
    return this.content.record(this.listener.port);
  }

  raise(): void {
    this.#end = Number.POSITIVE_INFINITY;
    this.#raised.resolve();
  }
}

/** A peer that downloads: what it told about parts, and what it reported. */
class Peer {
  readonly folder: string;
  readonly downloads: Downloads;
  readonly said: string[] = [];
  readonly finished: { path: string; root: string; pieces: Uint8Array }[] = [];
  readonly events: FetchEvent[] = [];
  readonly stop = new AbortController();
  dialled = 0;
  #look = () => {};

  constructor(into = "to", more: Partial<DownloadTools> = {}) {
    this.folder = at(into);
    mkdirSync(this.folder, { recursive: true });
    const counted: Dial = (to, options) => {
      this.dialled += 1;
      return dial(to, options);
    };
    this.downloads = new Downloads({
      dial: counted,
      pool,
      limit: undefined,
      self: () => undefined,
      pass: () => "any.pass",
      away: () => false,
      unsettled: () => false,
      held: async () => [],
      look: async () => [],
      isFetchable: () => true,
      isOwn: () => false,
      announce: ({ name, part }) => this.#say(`announce ${name} ${part}`),
      withdraw: ({ name }) => this.#say(`withdraw ${name}`),
      finished: ({ path }, { root, pieces }) => {
        this.finished.push({ path, root, pieces });
        this.#say("finished");
      },
      ...more,
    });
    ends.push(async () => {
      this.stop.abort();
      await this.downloads.settled();
    });
  }

  #say(what: string): void {
    this.said.push(what);
    this.#look();
  }

  start(records: [FileRecord, ...FileRecord[]], more: Partial<DownloadOptions> = {}): Promise<Downloaded> {
    const report = (event: FetchEvent) => {
      this.events.push(event);
      this.#look();
    };
    const started = this.downloads.start(records, {
      folder: this.folder,
      overwrite: false,
      signal: this.stop.signal,
      report,
      ...more,
    });
    started.catch(() => undefined);
    return started;
  }

  /** Resolves when this holds; it is looked at whenever something is reported. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve) => {
      const before = this.#look;
      this.#look = () => {
        before();
        if (holds()) resolve();
      };
    });
  }

  /** How many pieces of a content are here and verified. */
  have({ root }: Content): number {
    return this.downloads.look(root)?.have?.count ?? 0;
  }

  /** Where others can have its parts, and what it has finished. */
  serve(): Listener {
    const whole = (root: string | undefined) => {
      const done = this.finished.find((one) => one.root === root);
      return done === undefined ? undefined : { ...done, bytes: readFileSync(done.path) };
    };
    return listenWith(
      (root) => {
        const done = whole(root);
        if (done === undefined) return root === undefined ? undefined : this.downloads.open(root);
        const read = async (into: Uint8Array, offset: number) => done.bytes.copy(into, 0, offset);
        return { name: "big.bin", file: { size: done.bytes.length, read, unchanged: () => true, close: () => {} } };
      },
      (root) => {
        const done = whole(root);
        return done === undefined ? this.downloads.look(root) : { size: done.bytes.length, pieces: done.pieces };
      },
    );
  }
}

async function failure(promise: Promise<unknown>): Promise<FtError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a sentence: ${outcome}`);
  return outcome;
}

function partOf({ root }: Content): string {
  return `.ft-${root.slice(0, 32)}.part`;
}

function expectSame(path: string, { bytes }: Content): void {
  expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
}

describe("a part file that another program changes", () => {
  const content = new Content(2 * MiB + 5);
  const part = (peer: Peer) => join(peer.folder, partOf(content));

  /** Writes rubbish over the beginning, so that the file's times differ from before. */
  function spoil(path: string): void {
    const timesOf = () => statSync(path, { bigint: true }).ctimeNs;
    const fd = openSync(path, "r+");
    for (const before = timesOf(); timesOf() === before; ) writeSync(fd, "rubbish", 0);
    closeSync(fd);
  }

  test("while it is fetched: the wrong pieces are fetched again, and what is published is right", async () => {
    const holder = new Holder(content, MiB);
    const peer = new Peer();
    const download = peer.start([holder.record]);
    await peer.until(() => peer.have(content) === 16);
    spoil(part(peer));
    holder.raise();
    expect(await download).toMatchObject({ outcome: "new", verified: true });
    expectSame(join(peer.folder, "big.bin"), content);
    expect(listing(peer.folder)).toEqual(["big.bin"]);
  });

  test("when all has arrived: the same", async () => {
    const holder = new Holder(content);
    const peer = new Peer();
    let spoilt = 0;
    const report = ({ event }: FetchEvent) => {
      if (event === "verifying" && spoilt++ === 0) spoil(part(peer));
    };
    expect(await peer.start([holder.record], { report })).toMatchObject({ outcome: "new", verified: true });
    expect(spoilt).toBe(2);
    expectSame(join(peer.folder, "big.bin"), content);
  });

  test("again and again: nothing gets the name, and it says why", async () => {
    const holder = new Holder(content);
    const peer = new Peer();
    const report = ({ event }: FetchEvent) => event === "verifying" && spoil(part(peer));
    const { code, message } = await failure(peer.start([holder.record], { report }));
    expect([code, message]).toEqual([
      "part-changed",
      expect.stringContaining(`"big.bin": another program changes its part file`),
    ]);
    expect(listing(peer.folder)).toEqual([partOf(content)]);
  });

  test("that is removed meanwhile ends the download at the next write", async () => {
    const holder = new Holder(content, MiB);
    const peer = new Peer();
    const download = peer.start([holder.record]);
    await peer.until(() => peer.have(content) >= 8);
    unlinkSync(part(peer));
    holder.raise();
    expect((await failure(download)).code).toBe("part-gone");
    expect(listing(peer.folder)).toEqual([]);
  });
});

describe("a download", () => {
  test.each([0, 1, PIECE, PIECE + 1, 2 * MiB + 5])(
    "of %d bytes: announced, published, handed on and withdrawn, each once and in this order",
    async (size) => {
      const content = new Content(size);
      const holder = new Holder(content);
      const peer = new Peer();
      const done = await peer.start([holder.record]);
      const path = join(peer.folder, "big.bin");
      expect(done).toMatchObject({ path, size, verified: true, outcome: "new" });
      expect(done.holders.map(({ port }) => port)).toEqual(size === 0 ? [] : [holder.listener.port]);
      expectSame(path, content);
      expect(listing(peer.folder)).toEqual(["big.bin"]);
      expect(peer.said).toEqual(["announce big.bin true", "finished", "withdraw big.bin"]);
      expect(peer.finished).toEqual([{ path, root: content.root, pieces: content.pieces }]);
      expect([peer.downloads.look(content.root), peer.downloads.open(content.root)]).toEqual([undefined, undefined]);
      expect(peer.downloads.records({ address: LOOPBACK, port: 1 })).toEqual([]);
    },
  );

  test("of a file without a content id is neither announced nor handed on", async () => {
    const content = new Content(100_000);
    const { root: _, ...record } = new Holder(content).record;
    const peer = new Peer();
    expect(await peer.start([record])).toMatchObject({ verified: false, outcome: "new" });
    expectSame(join(peer.folder, "big.bin"), content);
    expect(peer.said).toEqual([]);
  });

  test("whose file is here already asks nobody, and is finished", async () => {
    const content = new Content(300_000);
    const peer = new Peer();
    writeFileSync(join(peer.folder, "big.bin"), content.bytes);
    const done = await peer.start([content.record(1)]);
    expect(done).toEqual({
      path: join(peer.folder, "big.bin"),
      size: 300_000,
      verified: true,
      outcome: "already here",
      holders: [],
    });
    expect([peer.dialled, peer.said, listing(peer.folder)]).toEqual([0, ["finished"], ["big.bin"]]);
    expect(peer.events).toContainEqual({ event: "checking", checked: 300_000, size: 300_000 });
  });

  test("whose file is here already under any other name asks nobody, unless it shall have a certain name", async () => {
    const content = new Content(300_000);
    const peer = new Peer();
    writeFileSync(join(peer.folder, "my film"), content.bytes);
    writeFileSync(join(peer.folder, "another"), bytesOf(300_000, 99));
    const holder = new Holder(content);
    expect(await peer.start([holder.record])).toMatchObject({ path: join(peer.folder, "my film"), outcome: "already here" });
    expect([peer.dialled, listing(peer.folder)]).toEqual([0, ["another", "my film"]]);
    expect(await peer.start([holder.record], { as: "film" })).toMatchObject({
      path: join(peer.folder, "film"),
      outcome: "new",
    });
  });

  test("whose file is here already with a number behind its name asks nobody", async () => {
    const content = new Content(300_000);
    const peer = new Peer();
    writeFileSync(join(peer.folder, "big.bin"), bytesOf(300_000, 99));
    writeFileSync(join(peer.folder, "big (1).bin"), bytesOf(300_000, 98));
    writeFileSync(join(peer.folder, "big (2).bin"), content.bytes);
    const done = await peer.start([content.record(1)]);
    expect(done).toMatchObject({ path: join(peer.folder, "big (2).bin"), outcome: "already here" });
    expect(peer.dialled).toBe(0);
  });

  test("that is to replace a folder is refused before anybody is asked", async () => {
    const content = new Content(300_000);
    const peer = new Peer();
    mkdirSync(join(peer.folder, "big.bin"));
    const { code } = await failure(peer.start([new Holder(content).record], { overwrite: true }));
    expect([code, peer.dialled, listing(peer.folder)]).toEqual(["is-folder", 0, ["big.bin"]]);
  });

  test("does not take a file of the same name and size for the same one, and leaves it as it is", async () => {
    const content = new Content(300_000);
    const holder = new Holder(content);
    const peer = new Peer();
    const other = bytesOf(300_000, 99);
    writeFileSync(join(peer.folder, "big.bin"), other);
    expect(await peer.start([holder.record])).toMatchObject({ path: join(peer.folder, "big (1).bin"), outcome: "new" });
    expect(Buffer.compare(readFileSync(join(peer.folder, "big.bin")), other)).toBe(0);
    expect(await peer.start([holder.record], { overwrite: true })).toMatchObject({
      path: join(peer.folder, "big.bin"),
      outcome: "replaced",
    });
    expectSame(join(peer.folder, "big.bin"), content);
    expect(listing(peer.folder)).toEqual(["big (1).bin", "big.bin"]);
  });

  test("with nobody to fetch from says why, before anything is made", async () => {
    const content = new Content(100);
    const own = new Peer("own", { isOwn: () => true, isFetchable: () => false });
    expect((await failure(own.start([content.record(1)]))).message).toContain("only you share it");
    const odd = new Peer("odd", { isFetchable: () => false });
    expect((await failure(odd.start([content.record(1)]))).message).toContain("not reachable from here");
    expect((await failure(odd.start([content.record(1)], { folder: at("nowhere") }))).code).toBe("no-folder");
    expect([own.dialled, odd.dialled, own.said, listing(own.folder), listing(odd.folder)]).toEqual([0, 0, [], [], []]);
  });

  test("the same twice at once: the second is told so, and the first goes on and is served on", async () => {
    const content = new Content(2 * MiB + 5);
    const holder = new Holder(content, MiB);
    const peer = new Peer();
    const first = peer.start([holder.record]);
    await peer.until(() => peer.have(content) >= 8);
    expect((await failure(peer.start([holder.record]))).code).toBe("already-fetching");
    expect(peer.have(content)).toBeGreaterThanOrEqual(8);
    expect(peer.said).toEqual(["announce big.bin true"]);
    holder.raise();
    expect(await first).toMatchObject({ outcome: "new" });
    expect(peer.said).toEqual(["announce big.bin true", "finished", "withdraw big.bin"]);
  });

  test("hashes that are not those of the content id: nothing is announced, nothing has the name", async () => {
    const content = new Content(MiB);
    const lie = new Content(MiB, 5);
    const listener = listenWith(
      () => undefined,
      () => ({ size: MiB, pieces: lie.pieces }),
    );
    const peer = new Peer();
    const { message } = await failure(peer.start([content.record(listener.port)]));
    expect(message).toContain("piece hashes");
    expect(peer.said).toEqual([]);
    expect(existsSync(join(peer.folder, "big.bin"))).toBe(false);
  });

  test("settled waits for all that run, and for nothing when none does", async () => {
    const peer = new Peer();
    await peer.downloads.settled();
    const content = new Content(2 * MiB);
    const holder = new Holder(content, MiB);
    const running = peer.start([holder.record]);
    await peer.until(() => peer.have(content) >= 8);
    peer.stop.abort();
    await peer.downloads.settled();
    expect(listing(peer.folder)).toEqual([partOf(content)]);
    expect(await failure(running)).toBeInstanceOf(CancelledError);
  });
});

describe("a disk that cannot keep what came", () => {
  test("as the file gets its name: the sentence does not say that it is saved", async () => {
    ends.push(await failSyncs());
    const content = new Content(MiB);
    const error = await failure(new Peer().start([new Holder(content).record]));
    expect(error.code).toBe("EIO");
    expect(error.message).toContain("Part of your progress may be fetched again.");
    expect(error.message).not.toContain("saved");
  });

  test("noticed when a person stops the download: the error says that not all was kept", async () => {
    ends.push(await failSyncs());
    const content = new Content(12 * MiB);
    const peer = new Peer();
    // The first sync is of 8 MiB. Its error is noticed when the download ends.
    const running = peer.start([new Holder(content, 9 * MiB).record]);
    await peer.until(() => peer.have(content) >= 128);
    peer.stop.abort();
    const error = await failure(running);
    expect(error).toBeInstanceOf(CancelledError);
    expect(keptOf(error)).toBe("part");
  });

  test("one without a content id is never resumed: nothing says that it was saved", async () => {
    const content = new Content(2 * MiB);
    const peer = new Peer();
    const { root: _, ...record } = new Holder(content, MiB).record;
    const running = peer.start([record]);
    await peer.until(() => peer.events.some((event) => event.event === "progress" && event.received > 0));
    peer.stop.abort();
    expect(keptOf(await failure(running))).toBe("nothing");
  });
});

describe("a download that was stopped", () => {
  const content = new Content(3 * MiB + 5);

  /** The first run: stopped when eight pieces or more are here. Gives how many are. */
  async function interrupted(into: string): Promise<{ kept: number; peer: Peer }> {
    const holder = new Holder(content, MiB);
    const peer = new Peer(into);
    const running = peer.start([holder.record]);
    await peer.until(() => peer.have(content) >= 8);
    const have: PieceSet | undefined = peer.downloads.look(content.root)?.have;
    peer.stop.abort();
    expect(await failure(running)).toBeInstanceOf(CancelledError);
    expect(peer.said).toEqual(["announce big.bin true", "withdraw big.bin"]);
    expect(listing(peer.folder)).toEqual([partOf(content)]);
    return { kept: have?.count ?? 0, peer };
  }

  test("goes on: what is here is checked, not fetched again", async () => {
    const { kept } = await interrupted("to");
    expect(kept).toBeGreaterThanOrEqual(8);
    const holder = new Holder(content);
    const again = new Peer("to");
    const resumed = kept * PIECE;
    expect(await again.start([holder.record])).toMatchObject({ verified: true, outcome: "new", resumed });
    expectSame(join(again.folder, "big.bin"), content);
    expect(holder.given).toBe(content.bytes.length - resumed);
    expect(again.events.some(({ event }) => event === "checking")).toBe(true);
    expect(again.said).toEqual(["announce big.bin true", "finished", "withdraw big.bin"]);
  });

  test("whose part is cut while it arrives is looked at again: nothing wrong is ever published", async () => {
    const late: FileRecord[] = [];
    const peer = new Peer("to", { look: async () => late });
    const running = peer.start([new Holder(content, MiB).record]);
    await peer.until(() => peer.have(content) >= 8);
    truncateSync(join(peer.folder, partOf(content)), 0);
    late.push(new Holder(content).record);
    expect(await running).toMatchObject({ verified: true, outcome: "new" });
    expectSame(join(peer.folder, "big.bin"), content);
  });

  test.each<[string, RegExp, (part: string) => void]>([
    ["removed", /part file in .* is gone/, (part) => unlinkSync(part)],
    ["renamed", /part file in .* is gone/, (part) => renameSync(part, `${part}.old`)],
    ["in a folder that is removed", /part file in .* is gone/, (part) => rmSync(dirname(part), { recursive: true })],
    ["in a folder that is renamed", /part file in .* is gone/, (part) => renameSync(dirname(part), at("moved"))],
    [
      "replaced",
      /another program has put another file in place of its part file/,
      (part) => {
        unlinkSync(part);
        writeFileSync(part, "other");
      },
    ],
  ])("whose part is %s ends with a sentence, even while nothing arrives", async (_what, sentence, damage) => {
    const peer = new Peer();
    const running = peer.start([new Holder(content, MiB).record]);
    await peer.until(() => peer.have(content) >= 8);
    damage(join(peer.folder, partOf(content)));
    expect((await failure(running)).message).toMatch(sentence);
  });

  test("without a content id, whose part is changed while it arrives, is fetched again", async () => {
    const large = new Content(9 * MiB);
    const holder = new Holder(large, 8 * MiB + 1);
    const { root: _, ...record } = holder.record;
    const peer = new Peer();
    const running = peer.start([record]);
    const part = () => listing(peer.folder).find((name) => name.endsWith(".part")) ?? "";
    // What has come is written when the part has not changed for a while.
    for (let [quiet, before] = [0, ""]; quiet < 20; ) {
      const { size = 0, mtimeMs = 0 } = part() === "" ? {} : statSync(join(peer.folder, part()));
      const now = `${size} ${mtimeMs}`;
      quiet = size >= 8 * MiB && now === before ? quiet + 1 : 0;
      before = now;
      await Bun.sleep(5);
    }
    const fd = openSync(join(peer.folder, part()), "r+");
    writeSync(fd, "rubbish", 1000);
    closeSync(fd);
    holder.raise();
    expect(await running).toMatchObject({ verified: false });
    expectSame(join(peer.folder, "big.bin"), large);
    expect(holder.given).toBeGreaterThan(9 * MiB);
  });

  test("with its part tampered with: the bad pieces are fetched again, and only those", async () => {
    const { kept, peer } = await interrupted("to");
    const part = join(peer.folder, partOf(content));
    const bytes = readFileSync(part);
    for (const piece of [1, 5]) bytes.writeUInt8(bytes.readUInt8(piece * PIECE + 77) ^ 1, piece * PIECE + 77);
    writeFileSync(part, bytes);
    const holder = new Holder(content);
    const again = new Peer("to");
    await again.start([holder.record]);
    expectSame(join(again.folder, "big.bin"), content);
    expect(holder.given).toBe(content.bytes.length - (kept - 2) * PIECE);
  });

  test("with a part on a bad place of the disk: only the pieces that cannot be read are fetched again", async () => {
    class BadDisk extends HashPool {
      override async layer(input: HashInput): Promise<Uint8Array> {
        const bad = "fd" in input && input.offset <= 5 * PIECE && input.offset + input.length > 5 * PIECE;
        if (bad) throw new FtError("EIO", "EIO: i/o error, read");
        return await super.layer(input);
      }
    }
    const bad = new BadDisk(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 1);
    ends.push(() => bad.close());
    const { kept, peer } = await interrupted("to");
    const holder = new Holder(content);
    const again = new Peer("to", { pool: bad });
    await again.start([holder.record]);
    expectSame(join(peer.folder, "big.bin"), content);
    expect(holder.given).toBe(content.bytes.length - (kept - 1) * PIECE);
  });

  test.each<[string, (part: string) => void]>([
    ["longer than the file", (part) => writeFileSync(part, Buffer.concat([readFileSync(part), Buffer.alloc(5 * MiB, 7)]))],
    ["rubbish", (part) => writeFileSync(part, Buffer.alloc(2 * MiB, 7))],
    ["empty", (part) => writeFileSync(part, "")],
    ["cut in the middle of a piece", (part) => writeFileSync(part, readFileSync(part).subarray(0, 3 * PIECE + 100))],
    ["whole, and only never published", (part) => writeFileSync(part, content.bytes)],
  ])("with a part that is %s: the file is right at the end", async (what, damage) => {
    const peer = new Peer();
    const part = join(peer.folder, partOf(content));
    writeFileSync(part, content.bytes.subarray(0, 10 * PIECE), { mode: 0o600 });
    damage(part);
    const holder = new Holder(content);
    expect(await peer.start([holder.record])).toMatchObject({ outcome: "new", verified: true });
    expectSame(join(peer.folder, "big.bin"), content);
    expect(listing(peer.folder)).toEqual(["big.bin"]);
    const kept = what.startsWith("longer") ? 10 : what.startsWith("cut") ? 3 : what.startsWith("whole") ? 49 : 0;
    expect(holder.given).toBe(Math.max(0, content.bytes.length - kept * PIECE));
  });

  test("before it began makes nothing", async () => {
    const peer = new Peer();
    peer.stop.abort();
    await failure(peer.start([new Holder(content).record]));
    expect([peer.said, existsSync(join(peer.folder, "big.bin"))]).toEqual([[], false]);
  });
});

describe("what others can have of an unfinished file", () => {
  const content = new Content(2 * MiB + 5);

  async function halfway(): Promise<{ holder: Holder; peer: Peer; running: Promise<Downloaded> }> {
    const holder = new Holder(content, MiB);
    const peer = new Peer("first");
    const running = peer.start([holder.record]);
    await peer.until(() => peer.have(content) >= 8);
    return { holder, peer, running };
  }

  test("is said by its record, with this peer's address and part=1", async () => {
    const { holder, peer, running } = await halfway();
    const own = { address: addressOf("192.168.1.17"), port: 40_123 };
    expect(peer.downloads.records(own)).toEqual([{ ...holder.record, ...own, part: true, have: 0 }]);
    expect(peer.downloads.look(content.root)).toMatchObject({ size: content.bytes.length, pieces: content.pieces });
    expect(peer.downloads.look("0".repeat(64))).toBeUndefined();
    expect(peer.downloads.open("0".repeat(64))).toBeUndefined();
    holder.raise();
    await running;
  });

  test("is what is verified and written, nothing else", async () => {
    const { holder, peer, running } = await halfway();
    const opened = peer.downloads.open(content.root);
    const have = peer.downloads.look(content.root)?.have;
    if (opened?.file.has === undefined || have === undefined) throw new Error("it is not to be had");
    const { file } = opened;
    const has = (offset: number, length: number) => opened.file.has?.(offset, length);
    expect([String(opened.name), file.size, file.unchanged()]).toEqual(["big.bin", content.bytes.length, true]);
    expect(has(0, content.bytes.length)).toBe(false);
    let seen = 0;
    for (let i = 0; i * PIECE < content.bytes.length; i++) {
      const length = Math.min(PIECE, content.bytes.length - i * PIECE);
      expect([i, has(i * PIECE, length), has(i * PIECE + 1, 1)]).toEqual([i, have.has(i), have.has(i)]);
      if (!have.has(i)) continue;
      seen += 1;
      const into = new Uint8Array(length);
      expect(await file.read(into, i * PIECE)).toBe(length);
      expect(Buffer.compare(into, content.bytes.subarray(i * PIECE, i * PIECE + length))).toBe(0);
    }
    expect(seen).toBeGreaterThanOrEqual(8);
    const last = have.count;
    // A stretch that begins in what is here and ends in what is not.
    if (!have.has(last)) expect(has((last - 1) * PIECE, PIECE + 1)).toBe(false);
    file.close();
    file.close();
    holder.raise();
    await running;
  });

  test.skipIf(process.platform !== "linux")(
    "can be read to its end by who has it open, and then leaves no descriptor behind",
    async () => {
      const { holder, peer, running } = await halfway();
      const descriptors = () =>
        readdirSync("/proc/self/fd").filter((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`).startsWith(peer.folder);
          } catch {
            return false;
          }
        }).length;
      const before = descriptors();
      const readers = Array.from({ length: 50 }, () => peer.downloads.open(content.root));
      expect(descriptors()).toBe(before);
      holder.raise();
      await running;
      for (const reader of readers) {
        const into = new Uint8Array(1000);
        expect(await reader?.file.read(into, 2 * MiB - 500)).toBe(505);
        expect(Buffer.compare(into.subarray(0, 505), content.bytes.subarray(2 * MiB - 500))).toBe(0);
        reader?.file.close();
        reader?.file.close();
      }
      while (descriptors() > 0) await Bun.sleep(1);
    },
  );

  test("a second peer fetches from the first while that one is fetching, and both have it whole", async () => {
    const { holder, peer, running } = await halfway();
    const port = peer.serve().port;
    const [record] = peer.downloads.records({ address: LOOPBACK, port });
    if (record === undefined) throw new Error("it announces nothing");
    const second = new Peer("second");
    const fetching = second.start([record]);
    await second.until(() => second.have(content) >= 8);
    expect(existsSync(join(second.folder, "big.bin"))).toBe(false);
    holder.raise();
    expect(await running).toMatchObject({ outcome: "new", verified: true });
    expect(await fetching).toMatchObject({ outcome: "new", verified: true });
    for (const { folder } of [peer, second]) expectSame(join(folder, "big.bin"), content);
    // The one who has it whole gave it once.
    expect(holder.given).toBe(content.bytes.length);
    expect(second.said).toEqual(["announce big.bin true", "finished", "withdraw big.bin"]);
  });

  test("each gives the other what it has: two halves make two wholes, with nobody else there", async () => {
    const peers: Peer[] = ["left", "right"].map((name) => new Peer(name, { look: async () => found() }));
    const [left, right] = peers;
    if (left === undefined || right === undefined) throw new Error("two were made");
    const ports = peers.map((peer) => peer.serve().port);
    const half = Math.floor(content.bytes.length / 2 / PIECE) * PIECE;
    const put = (peer: Peer, from: number, to: number) => {
      const part = Buffer.alloc(content.bytes.length);
      part.set(content.bytes.subarray(from, to), from);
      writeFileSync(join(peer.folder, partOf(content)), part, { mode: 0o600 });
    };
    put(left, 0, half);
    put(right, half, content.bytes.length);
    const found = (): FileRecord[] =>
      peers.flatMap((peer, i) => peer.downloads.records({ address: LOOPBACK, port: ports[i] ?? 0 }));
    // The hashes of the pieces come from somebody who has nothing else yet.
    const nothing = new PieceSet(content.pieces.length / 32);
    const scribe = listenWith(
      () => undefined,
      () => ({ size: content.bytes.length, pieces: content.pieces, have: nothing }),
    );
    const done = peers.map((peer) => peer.start([content.record(scribe.port, { part: true })]));
    for (const one of await Promise.all(done)) expect(one).toMatchObject({ outcome: "new", verified: true });
    for (const peer of peers) expectSame(join(peer.folder, "big.bin"), content);
  });

  test("is never what nobody has verified, even when the rest can only be had without proof", async () => {
    const whole = new Content(5 * MiB);
    // One gives the hashes and the beginning, and then does not have the file any more; the other one is of a version that knows
    // no hashes, and gives something else.
    let gone = false;
    const first = listenWith(
      () =>
        gone
          ? undefined
          : {
              name: "big.bin",
              file: {
                size: whole.bytes.length,
                read: async (into, offset) => {
                  if (offset >= MiB) throw new Error("gone");
                  const part = whole.bytes.subarray(offset, offset + into.length);
                  into.set(part);
                  gone ||= offset + part.length >= MiB;
                  return part.length;
                },
                unchanged: () => true,
                close: () => {},
              },
            },
      () => ({ size: whole.bytes.length, pieces: whole.pieces }),
    );
    const garbage = Buffer.alloc(4 * MiB, 7);
    let plain = false;
    const old = await rawServer(async (raw: Raw) => {
      try {
        for (;;) {
          const line = await raw.line();
          if (line.startsWith("HELLO")) raw.send("HI FT/2\n");
          else if (line.startsWith("DOWNLOAD")) {
            plain = true;
            const [, offset = "0", length = "0"] = /offset=(\d+) length=(\d+)/.exec(line) ?? [];
            raw.send(`FILE: length=${length} size=${whole.bytes.length}\n`);
            raw.send(garbage.subarray(0, Math.max(0, Math.min(Number(length), 4 * MiB - Number(offset)))));
          } else raw.send("ERROR unknown-verb What is that?\n");
        }
      } catch {
        raw.close();
      }
    });
    ends.push(() => old.close());
    const peer = new Peer();
    const running = peer.start([whole.record(first.port), whole.record(old.port)]);
    await peer.until(() => plain);
    for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
    const opened = peer.downloads.open(whole.root);
    for (let i = 0; opened !== undefined && i < 80; i++) {
      if (opened.file.has?.(i * PIECE, PIECE) === false) continue;
      const into = new Uint8Array(PIECE);
      const got = await opened.file.read(into, i * PIECE);
      expect([i, got, Buffer.compare(into, whole.bytes.subarray(i * PIECE, (i + 1) * PIECE))]).toEqual([i, PIECE, 0]);
    }
    opened?.file.close();
    peer.stop.abort();
    await failure(running);
  });
});
