// The fetching engine against holders that are honest, unfinished, slow, busy, silent, gone, or lying, and against its own disk.
// Time is moved by hand; the part file refuses every byte that is not right.

import { afterEach, describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { sha256 } from "../../../lib/peer/content/hash.ts";
import { blockLayer, pieceCountOf, pieceHash, pieceSizeOf, rootOf } from "../../../lib/peer/content/merkle.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import { fetchFile } from "../../../lib/peer/fetch/fetch.ts";
import type { Range } from "../../../lib/peer/fetch/source.ts";
import type { FetchEvent, Fetched, FetchTools, Target, WantedFile } from "../../../lib/peer/fetch/types.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { RateLimit } from "../../../lib/rate.ts";
import { formatSize } from "../../../lib/text.ts";
import { addressOf, type Far, HandClock, Net, nameOf, REFUSED, settle } from "../../helpers/channel.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** The piece size of every file here. */
const PIECE = 64 * KiB;
const NAME = nameOf("report, final.pdf");
const A = "192.168.1.31";
const B = "192.168.1.32";
const C = "192.168.1.33";
const D = "192.168.1.34";
const E = "192.168.1.35";

/** The same bytes in every run, and different ones at every place. */
function bytesOf(size: number, salt = 0): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt * 7919 + 1, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

function piecesOf(bytes: Uint8Array, fileSize = bytes.length): Uint8Array {
  const step = pieceSizeOf(fileSize);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + step), sha256), fileSize, sha256));
  // Not a Buffer: a slice of one would share its memory.
  return new Uint8Array(Buffer.concat(hashes));
}

/** Numbers from 0 to 1, the same in every run. */
function diceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The pieces in a stretch. */
function piecesIn({ offset, length }: Range): number[] {
  expect(offset % PIECE).toBe(0);
  return Array.from({ length: Math.ceil(length / PIECE) }, (_, i) => offset / PIECE + i);
}

interface Request extends Range {
  verb: string;
  line: string;
  /** How many of this verb came before, on all connections. */
  count: number;
}

/** A holder that speaks FT/2 and is honest, unless `instead` handles a request. */
class Holder {
  readonly bytes: Uint8Array;
  readonly heard: string[] = [];
  readonly connections: Far[] = [];
  /** True when it took care of the request itself. */
  instead: ((far: Far, request: Request) => boolean | Promise<boolean>) | undefined;
  greeting = "HI FT/2\n";
  tree: Uint8Array;
  /** What it says that it has. */
  has: PieceSet | undefined;
  /** Bytes a second; unlimited without. */
  pace: number | undefined;
  readonly #clock: HandClock;
  readonly #counts = new Map<string, number>();

  constructor(bytes: Uint8Array, tree: Uint8Array, clock: HandClock) {
    this.bytes = bytes;
    this.tree = tree;
    this.#clock = clock;
  }

  meet(far: Far): void {
    this.connections.push(far);
    void this.#serve(far);
  }

  async #serve(far: Far): Promise<void> {
    for (;;) {
      await far.until(() => far.waiting.includes(10) || far.over);
      if (!far.waiting.includes(10)) break;
      const line = await far.line();
      this.heard.push(line);
      const verb = /^\S+/.exec(line)?.[0] ?? "";
      const count = this.#counts.get(verb) ?? 0;
      this.#counts.set(verb, count + 1);
      const [, offset, length] = / offset=(\d+) length=(\d+)$/.exec(line) ?? [];
      const request = { verb, line, offset: Number(offset), length: Number(length), count };
      if (await this.instead?.(far, request)) continue;
      await this.answer(far, request);
    }
    if (far.ended) far.close();
  }

  async answer(far: Far, request: Request): Promise<void> {
    if (request.verb === "HELLO") far.say(this.greeting);
    else if (request.verb === "TREE") {
      far.say(`TREE: ${this.tree.length / 32}\n`);
      far.say(this.tree);
    } else if (request.verb === "HAVE") {
      const bits = (this.has ?? PieceSet.whole(pieceCountOf(this.bytes.length))).toBytes();
      far.say(`HAVE: ${bits.length}\n`);
      far.say(bits);
    } else if (request.verb === "DOWNLOAD") {
      this.announce(far, request);
      await this.send(far, request.offset, request.length);
    }
  }

  announce(far: Far, { length }: Range): void {
    far.say(`FILE: length=${length} size=${this.bytes.length}\n`);
  }

  /** Sends bytes of the file at its pace. */
  async send(far: Far, offset: number, length: number): Promise<void> {
    const step = this.pace === undefined ? PIECE : Math.max(1, Math.round(this.pace / 10));
    for (let at = offset; at < offset + length && !far.closed; at += step) {
      if (this.pace !== undefined) await new Promise<void>((resolve) => this.#clock.after(100, resolve));
      far.say(this.bytes.subarray(at, Math.min(at + step, offset + length)));
    }
  }

  /** Every stretch it was asked for, on all connections. */
  get ranges(): Range[] {
    const said = this.connections.map(({ writes }) => writes.join("")).join("");
    return [...said.matchAll(/^DOWNLOAD .*offset=(\d+) length=(\d+)$/gm)].map(([, offset, length]) => ({
      offset: Number(offset),
      length: Number(length),
    }));
  }

  /** The pieces it was asked for, in the order of the requests. */
  get asked(): number[] {
    return this.ranges.flatMap(piecesIn);
  }
}

/** A part file in memory that takes only what is right. */
class Part implements Target {
  readonly bytes: Uint8Array;
  restarts = 0;
  writes = 0;
  /** Writes that should never have been. */
  readonly wrong: string[] = [];
  /** Of a file that is proven as a whole wrong bytes may be in it meanwhile. */
  trusting = false;
  /** Every write waits for it. */
  gate: Promise<void> = Promise.resolve();
  fails: ((offset: number, length: number) => Error | undefined) | undefined;
  readonly #right: Uint8Array;

  constructor(right: Uint8Array) {
    this.#right = right;
    this.bytes = new Uint8Array(right.length).fill(0xee);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    this.writes += 1;
    const right = Buffer.compare(bytes, this.#right.subarray(offset, offset + bytes.length)) === 0;
    if (!right && !this.trusting) this.wrong.push(`wrong bytes at ${offset}`);
    if (bytes.length === 0) this.wrong.push(`nothing at ${offset}`);
    await this.gate;
    const error = this.fails?.(offset, bytes.length);
    if (error !== undefined) throw error;
    this.bytes.set(bytes, offset);
  }

  async restart(): Promise<void> {
    this.restarts += 1;
    this.bytes.fill(0xee);
  }
}

const fields: Field[] = [];

/** A file that is wanted, who has it, and where it goes. */
class Field {
  readonly clock = new HandClock();
  readonly net = new Net(this.clock);
  readonly events: FetchEvent[] = [];
  readonly stop = new AbortController();
  readonly holders = new Map<string, Holder>();
  readonly bytes: Uint8Array;
  readonly tree: Uint8Array;
  readonly root: string;
  readonly part: Part;
  passes = 0;
  /** What else is handed to the engine. */
  more: Partial<FetchTools> = {};
  readonly #start = this.clock.at();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.tree = piecesOf(bytes);
    this.root = rootOf(this.tree, bytes.length, sha256).toHex();
    this.part = new Part(bytes);
    this.net.onConnection = (far) => this.holders.get(far.to.address)?.meet(far);
    fields.push(this);
  }

  /** A holder at this address. */
  add(address: string, bytes = this.bytes): Holder {
    const holder = new Holder(bytes, this.tree, this.clock);
    this.holders.set(address, holder);
    return holder;
  }

  record(address: string, more: Partial<FileRecord> = {}): FileRecord {
    return {
      name: NAME,
      type: "application/pdf",
      size: this.bytes.length,
      date: "22/11/26",
      address: addressOf(address),
      port: 5000,
      v2: true,
      root: this.root,
      ...more,
    };
  }

  /** These holders; `~` before one that is still fetching itself. */
  wanted(addresses: string[]): WantedFile {
    const holders = addresses.map((text) => this.record(text.replace("~", ""), text.startsWith("~") ? { part: true } : {}));
    return { name: NAME, size: this.bytes.length, root: this.root, holders };
  }

  fetch(wanted: WantedFile | string[]): Promise<Fetched> {
    const fetching = fetchFile(Array.isArray(wanted) ? this.wanted(wanted) : wanted, {
      dial: this.net.dial,
      target: this.part,
      pass: () => `pass${++this.passes}.sig`,
      layer: async (memory, length) => {
        await settle();
        return piecesOf(new Uint8Array(memory, 0, length), this.bytes.length);
      },
      sha256,
      report: (event) => this.events.push(event),
      signal: this.stop.signal,
      clock: this.clock,
      random: diceOf(1),
      ...this.more,
    });
    fetching.catch(() => undefined);
    return fetching;
  }

  /** Lets time pass until it is over. */
  async finish(fetching: Promise<Fetched>, withinMs = 30_000): Promise<Fetched> {
    const until = this.clock.at() + withinMs;
    while ((await stateOf(fetching)) === "waiting") {
      if (this.clock.at() >= until) throw new Error(`it should have been over within ${withinMs} ms`);
      await this.clock.pass(50);
    }
    return fetching;
  }

  /** Lets time pass until this holds. */
  async reach(holds: () => boolean, withinMs = 30_000): Promise<void> {
    const until = this.clock.at() + withinMs;
    for (await settle(); !holds(); await this.clock.pass(50)) {
      if (this.clock.at() >= until) throw new Error(`it should have happened within ${withinMs} ms: ${holds}`);
    }
  }

  /** Milliseconds since the beginning. */
  get elapsed(): number {
    return this.clock.at() - this.#start;
  }

  get failures(): string[] {
    return this.events.flatMap((event) =>
      event.event === "holder-failed" ? [`${event.holder.address}: ${event.reason}`] : [],
    );
  }

  get received(): number {
    return this.events.reduce((most, event) => (event.event === "progress" ? event.received : most), 0);
  }

  dials(address: string): number[] {
    return this.net.dialled.filter((to) => to.address === address).map(({ at }) => at - this.#start);
  }

  /** How often each piece was asked for, of all holders. */
  get timesAsked(): number[] {
    const times = new Array<number>(pieceCountOf(this.bytes.length)).fill(0);
    for (const holder of this.holders.values()) for (const piece of holder.asked) times[piece] = (times[piece] ?? 0) + 1;
    return times;
  }

  /** Whole, right, and from these. */
  expectWhole({ verified, holders }: Fetched, from?: string[]): void {
    expect(verified).toBe(true);
    expect(Buffer.compare(this.part.bytes, this.bytes)).toBe(0);
    if (from !== undefined) expect(holders.map(({ address }) => String(address)).sort()).toEqual([...from].sort());
  }

  /** Nothing of it is left in the world. */
  async expectGone(): Promise<void> {
    await settle();
    expect(getEventListeners(this.stop.signal, "abort").length).toBe(0);
    expect(this.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
    for (const { connections } of this.holders.values()) for (const far of connections) expect(far.over).toBe(true);
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

async function stateOf(promise: Promise<unknown>): Promise<"done" | "failed" | "waiting"> {
  const settled = promise.then(
    () => "done" as const,
    () => "failed" as const,
  );
  return Promise.race([settled, settle().then(() => "waiting" as const)]);
}

/** Whatever an error says, no control character of a stranger is in it. */
function expectPrintable(sentence: string): void {
  expect(sentence).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
}

afterEach(() => {
  const wrong = fields.flatMap(({ part }) => part.wrong);
  for (const { stop } of fields.splice(0)) stop.abort();
  expect(wrong).toEqual([]);
});

describe("an honest holder", () => {
  test("the conversation about a file of one piece, byte for byte", async () => {
    const field = new Field(new TextEncoder().encode("Hello, world"));
    const holder = field.add(A);
    field.expectWhole(await field.fetch([A]), [A]);
    await settle();
    expect(holder.connections[0]?.writes.join("")).toBe(
      `HELLO FT/2 pass=pass1.sig\nDOWNLOAD root=${field.root} offset=0 length=12\nBYE\n`,
    );
    expect(field.elapsed).toBe(0);
    expect([...new Set(field.events.map(({ event }) => event))]).toEqual(["asking", "progress", "verifying"]);
    expect(field.events.filter(({ event }) => event === "verifying")).toHaveLength(1);
    expect(field.part.restarts).toBe(0);
    await field.expectGone();
  });

  test("the conversation about a file of many pieces, byte for byte", async () => {
    const field = new Field(bytesOf(600 * KiB));
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    await settle();
    expect(holder.connections[0]?.writes.join("").split("\n")).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      `TREE root=${field.root} piece=65536`,
      `DOWNLOAD root=${field.root} offset=0 length=262144`,
      `DOWNLOAD root=${field.root} offset=262144 length=262144`,
      `DOWNLOAD root=${field.root} offset=524288 length=90112`,
      "BYE",
      "",
    ]);
    await field.expectGone();
  });

  test("nothing is asked for before the hashes of the pieces are there", async () => {
    const field = new Field(bytesOf(600 * KiB));
    const holder = field.add(A);
    const tree = Promise.withResolvers<boolean>();
    holder.instead = (_far, { verb }) => verb === "TREE" && tree.promise;
    const fetching = field.fetch([A]);
    await field.clock.pass(3000);
    expect(holder.ranges).toEqual([]);
    tree.resolve(false);
    field.expectWhole(await field.finish(fetching), [A]);
  });

  test.each([
    0,
    1,
    16 * KiB - 1,
    16 * KiB,
    16 * KiB + 1,
    64 * KiB - 1,
    64 * KiB,
    64 * KiB + 1,
    4 * MiB - 1,
    4 * MiB,
    4 * MiB + 1,
    9 * MiB + 7,
  ])("%d bytes: each is asked for once, and progress only grows", async (size) => {
    const field = new Field(bytesOf(size));
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), size === 0 ? [] : [A]);
    let at = 0;
    for (const { offset, length } of holder.ranges) {
      expect(offset).toBe(at);
      at += length;
    }
    expect(at).toBe(size);
    const received = field.events.flatMap((event) => (event.event === "progress" ? [event.received] : []));
    expect(received).toEqual([...received].sort((a, b) => a - b));
    if (size > 0) expect(received.at(-1)).toBe(size);
    expect(field.part.restarts).toBe(0);
  });

  test("its answers may come cut anywhere", async () => {
    const field = new Field(bytesOf(PIECE + 300));
    const holder = field.add(A);
    holder.instead = (far, { verb, offset, length }) => {
      if (verb === "TREE") far.stutter(`TREE: 2\n${""}`);
      if (verb === "TREE") far.stutter(holder.tree);
      if (verb === "HELLO") far.stutter("HI FT/2\r\n");
      if (verb === "DOWNLOAD") {
        far.stutter(`FILE: length=${length} size=${field.bytes.length}\n`);
        far.stutter(field.bytes.subarray(offset, offset + 1000));
        for (let i = offset + 1000; i < offset + length; i += 997)
          far.say(field.bytes.subarray(i, Math.min(i + 997, offset + length)));
      }
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
  });

  test("an empty file whose content id is another one's is refused", async () => {
    const field = new Field(new Uint8Array(0));
    field.add(A);
    const wanted = { ...field.wanted([A]), root: "0".repeat(64) };
    expect((await failure(field.fetch(wanted))).code).toBe("bad-root");
  });

  test("without a content id, or of old holders only, the file is fetched as a whole from its start", async () => {
    const field = new Field(bytesOf(100_000));
    field.add(A);
    const { verified } = await field.finish(field.fetch({ ...field.wanted([A]), root: undefined }));
    expect(verified).toBe(false);
    expect(field.part.restarts).toBe(1);
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
  });
});

const SIZE = 10 * PIECE + 123;

describe("a holder whose tree is wrong", () => {
  const liars: [string, (holder: Holder, far: Far) => void, RegExp][] = [
    [
      "gives the tree of another file",
      (_holder, far) => {
        far.say("TREE: 11\n");
        far.say(piecesOf(bytesOf(SIZE, 5)));
      },
      /piece hashes are not those/,
    ],
    [
      "gives a tree with one wrong bit",
      ({ tree }, far) => {
        far.say("TREE: 11\n");
        far.say(tree.with(351, (tree[351] ?? 0) ^ 1));
      },
      /piece hashes are not those/,
    ],
    [
      "gives a tree that is too short",
      ({ tree }, far) => {
        far.say("TREE: 10\n");
        far.say(tree.subarray(0, 320));
      },
      /another length/,
    ],
    [
      "gives a tree that is too long",
      (_holder, far) => {
        far.say("TREE: 16\n");
        far.say(new Uint8Array(512));
      },
      /another length/,
    ],
    ["announces a tree beyond all memory", (_holder, far) => far.say("TREE: 281474976710656\n"), /./],
    ["announces more hashes than there are numbers", (_holder, far) => far.say("TREE: 99999999999999999999\n"), /protocol/],
    ["announces minus one hash", (_holder, far) => far.say("TREE: -1\n"), /protocol/],
    ["has the file no more", (_holder, far) => far.say("NOT FOUND\n"), /does not have the file/],
    ["answers with bytes of the file", (_holder, far) => far.say(`FILE: length=1 size=${SIZE}\nx`), /protocol/],
  ];

  test("one that does not know what a tree is may still give pieces, when another one proves them", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    field.more.look = async () => [field.record(A), field.record(B)];
    const knowing = field.add(B);
    knowing.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.close();
      return verb === "DOWNLOAD";
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
  });

  test.each(liars)("one that %s is named once, and another gives the file", async (_what, act, reason) => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, { verb }) => {
      if (verb === "TREE") act(bad, far);
      return verb === "TREE";
    };
    field.more.look = async () => [field.record(A), field.record(B)];
    field.add(B);
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toStartWith(A);
    expect(field.failures[0]).toMatch(reason);
    expect(field.dials(A)).toHaveLength(1);
    expect(bad.ranges).toEqual([]);
    await field.expectGone();
  });

  test("when nobody can give a tree the file is proven as a whole", async () => {
    const field = new Field(bytesOf(SIZE));
    const plain = field.add(A);
    plain.instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.part.restarts).toBe(1);
    expect(plain.ranges).toEqual([{ offset: 0, length: SIZE }]);
  });

  test("proven as a whole means that a wrong one is no file", async () => {
    const field = new Field(bytesOf(SIZE));
    field.part.trusting = true;
    const plain = field.add(A, bytesOf(SIZE, 3));
    plain.instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is a tree?\n");
      return verb === "TREE";
    };
    const fetching = field.fetch([A]);
    expect((await failure(field.finish(fetching))).code).toBe("no-holder");
  });
});

describe("a holder whose bytes are wrong", () => {
  const flip = (at: number) => (bytes: Uint8Array) => bytes.with(at, (bytes[at] ?? 0) ^ 1);
  const spoils: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["a wrong first byte", flip(0)],
    ["a wrong byte in the middle", flip(5 * PIECE + 777)],
    ["a wrong last byte", flip(SIZE - 1)],
    ["zeros", () => new Uint8Array(SIZE)],
    [
      "two blocks of a piece exchanged",
      (bytes) => {
        const mixed = bytes.slice();
        mixed.set(bytes.subarray(2 * PIECE, 2 * PIECE + 16 * KiB), 2 * PIECE + 16 * KiB);
        mixed.set(bytes.subarray(2 * PIECE + 16 * KiB, 2 * PIECE + 32 * KiB), 2 * PIECE);
        return mixed;
      },
    ],
    [
      "two pieces exchanged",
      (bytes) => {
        const mixed = bytes.slice();
        mixed.set(bytes.subarray(PIECE, 2 * PIECE), 2 * PIECE);
        mixed.set(bytes.subarray(2 * PIECE, 3 * PIECE), PIECE);
        return mixed;
      },
    ],
  ];

  test.each(spoils)("%s: it is named once and never asked again, another gives the file", async (_what, spoil) => {
    const field = new Field(bytesOf(SIZE));
    const liar = field.add(A, spoil(field.bytes));
    field.add(B).pace = 200_000;
    field.more.look = async () => [field.record(A), field.record(B)];
    // The liar alone is asked for everything first.
    field.expectWhole(await field.finish(field.fetch([A])));
    expect(field.failures).toEqual([`${A}: what it sent is not the file it announced`]);
    expect(liar.connections).toHaveLength(1);
    expect(field.elapsed).toBeGreaterThan(0);
    expect(liar.connections[0]?.over).toBe(true);
  });

  test("beside an honest one from the start: the file is right, and the liar is out", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const liar = field.add(A, bytesOf(4 * MiB, 1));
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(field.failures).toEqual([`${A}: what it sent is not the file it announced`]);
    expect(liar.connections).toHaveLength(1);
  });

  test("the right pieces of the same stretch are kept", async () => {
    const field = new Field(bytesOf(SIZE));
    const liar = field.add(A, flip(PIECE + 5)(field.bytes));
    const honest = field.add(B);
    honest.pace = 200_000;
    liar.instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count > 0;
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect(liar.connections).toHaveLength(1);
    expect(liar.ranges[0]).toEqual({ offset: 0, length: 4 * PIECE });
    expect([...honest.asked].sort((a, b) => a - b)).toEqual([1, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("only liars: a sentence that names them, and never a wrong byte on the disk", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A, bytesOf(SIZE, 1));
    field.add(B, new Uint8Array(SIZE));
    field.more.look = async () => [field.record(A), field.record(B)];
    const { message, code } = await failure(field.finish(field.fetch([A, B])));
    expect(code).toBe("no-holder");
    expect(message).toStartWith('Cannot fetch "report, final.pdf": ');
    for (const address of [A, B]) {
      expect(message).toMatch(new RegExp(`${address}:5000.*: what it sent is not the file it announced`));
      expect(field.dials(address)).toHaveLength(1);
    }
    expect(field.part.writes).toBe(0);
    await field.expectGone();
  });

  test("a file of one piece is proven, too", async () => {
    const field = new Field(bytesOf(100));
    field.add(A, bytesOf(100, 1));
    field.add(B);
    field.more.look = async () => [field.record(B)];
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
  });
});

describe("a holder that breaks the conversation", () => {
  const BREAKS: [string, RegExp, (far: Far, request: Request, holder: Holder) => void][] = [
    ["closes before an answer", /left/, (far) => far.close()],
    ["resets before an answer", /broke|left/, (far) => far.reset()],
    [
      "is one byte short",
      /left/,
      (far, request, holder) => {
        holder.announce(far, request);
        far.say(holder.bytes.subarray(request.offset, request.offset + request.length - 1));
        far.close();
      },
    ],
    ["has the file no more", /does not have the file/, (far) => far.say("NOT FOUND\n")],
    ["says that it lacks what a whole holder has", /does not have all/, (far) => far.say("ERROR not-here Not yet.\n")],
    ["refuses", /No more today/, (far) => far.say("ERROR not-accepted No more today.\n")],
    ["fails", /The disk is on fire/, (far) => far.say("ERROR disk-failed The disk is on fire.\n")],
    ["has a file of another size", /another one/, (far, { length }) => far.say(`FILE: length=${length} size=${SIZE + 1}\n`)],
    ["gives fewer bytes", /another length/, (far, { length }) => far.say(`FILE: length=${length - 1} size=${SIZE}\n`)],
    [
      "gives more bytes",
      /another length/,
      (far, { length }) => {
        far.say(`FILE: length=${length + 1} size=${SIZE}\n`);
        far.say(new Uint8Array(length + 1));
      },
    ],
    ["announces 2^53 bytes", /./, (far) => far.say(`FILE: length=9007199254740993 size=${SIZE}\n`)],
    ["announces minus one byte", /./, (far) => far.say(`FILE: length=-1 size=${SIZE}\n`)],
    ["leaves the size out", /./, (far, { length }) => far.say(`FILE: length=${length}\n`)],
    ["answers like a web server", /protocol/, (far) => far.say("HTTP/1.1 404 Not Found\r\n\r\n")],
    ["answers with escape codes", /protocol/, (far) => far.say("ERROR x \u001b]52;c;aGk=\u0007\n")],
    ["answers with bytes that are not text", /protocol/, (far) => far.say(Uint8Array.of(0xff, 0xfe, 0x00, 10))],
    ["answers with a line without end", /protocol/, (far) => far.say("FILE: ".padEnd(10_000, "x"))],
    ["answers with hashes", /protocol/, (far) => far.say("TREE: 11\n")],
  ];

  function breaking(act: (typeof BREAKS)[number][2]): Field {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, request) => {
      if (request.verb === "DOWNLOAD") act(far, request, bad);
      return request.verb === "DOWNLOAD";
    };
    return field;
  }

  test.each(BREAKS)("one that %s is named, and another gives the file", async (_what, reason, act) => {
    const field = breaking(act);
    field.add(B).pace = 2_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toStartWith(A);
    expect(field.failures[0]).toMatch(reason);
    expectPrintable(field.failures.join());
  });

  test.each(BREAKS)("one that %s, and nobody else: a bounded number of tries, then a sentence", async (_what, reason, act) => {
    const field = breaking(act);
    const { message, code } = await failure(field.finish(field.fetch([A])));
    expect(code).toBe("no-holder");
    expect(message).toStartWith('Cannot fetch "report, final.pdf": ');
    expect(message).toContain(`${A}:5000: `);
    expect(message).toMatch(reason);
    expectPrintable(message);
    await field.expectGone();
  });

  test.each([
    ["a greeting that is none", "WHO ARE YOU\n"],
    ["a web page", "<html>\n"],
    ["an escape code", "HI FT/2 \u001b[2J\n"],
  ])("%s is not waited behind", async (_what, greeting) => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).greeting = greeting;
    field.add(B);
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(field.failures).toHaveLength(1);
  });

  test("bytes after the last answer spoil nothing", async () => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = async (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      await bad.answer(far, request);
      far.say(new Uint8Array(1000).fill(65));
      return true;
    };
    field.add(B).pace = 2_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
  });
});

describe("a holder that dies", () => {
  test("in the middle of a stretch: its whole pieces are kept, and not asked for again", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A);
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      field.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
      dying.announce(far, request);
      far.say(field.bytes.subarray(request.offset, request.offset + 2 * PIECE + PIECE / 2));
      far.close();
      return true;
    };
    const other = field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect([...other.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(other.ranges.reduce((sum, { length }) => sum + length, 0)).toBe(SIZE - 2 * PIECE);
  });

  test("whole pieces that are wrong are not kept from it either", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A, bytesOf(SIZE, 4));
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      dying.announce(far, request);
      far.say(dying.bytes.subarray(request.offset, request.offset + 2 * PIECE + 5));
      far.close();
      return true;
    };
    const other = field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(A), field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(field.failures).toContain(`${A}: what it sent is not the file it announced`);
    expect(new Set(other.asked).size).toBe(11);
    expect(dying.connections).toHaveLength(1);
  });

  test("at random points, again and again: the file comes whole, and little is asked for twice", async () => {
    const field = new Field(bytesOf(3 * MiB + 5));
    const dice = diceOf(7);
    for (const address of [A, B]) {
      const holder = field.add(address);
      holder.pace = 2_000_000;
      holder.instead = async (far, request) => {
        if (request.verb !== "DOWNLOAD" || dice() > 0.4) return false;
        holder.announce(far, request);
        await holder.send(far, request.offset, Math.floor(request.length * dice()));
        far.reset();
        return true;
      };
    }
    field.expectWhole(await field.finish(field.fetch([A, B]), 120_000));
    expect(field.failures.length).toBeGreaterThan(0);
    expect(field.timesAsked.reduce((sum, times) => sum + times, 0)).toBeLessThan(49 * 4);
    for (const address of [A, B]) expect(field.dials(address).length).toBeLessThanOrEqual(100);
  });

  test("one that cannot be reached is tried a few times, further and further apart", async () => {
    const field = new Field(bytesOf(SIZE));
    field.net.fate = () => REFUSED;
    const { message } = await failure(field.finish(field.fetch([A, B])));
    for (const address of [A, B]) {
      const dials = field.dials(address);
      const pauses = dials.slice(1).map((at, i) => at - (dials[i] ?? 0));
      expect(pauses.length).toBeGreaterThanOrEqual(2);
      expect(pauses.length).toBeLessThanOrEqual(5);
      expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
      expect(new Set(pauses).size).toBe(pauses.length);
      expect(message).toContain(`${address}:5000`);
      expect(message).toContain(REFUSED.message);
    }
    expect(field.elapsed).toBeLessThan(15_000);
    expect(field.failures).toHaveLength(2);
    await field.expectGone();
  });

  test("one that comes back after a moment is asked again", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A);
    field.net.fate = () => (field.net.dialled.length <= 2 ? REFUSED : undefined);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.dials(A)).toHaveLength(3);
  });

  test("one that gives a piece in between is not given up, however late it came", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    let attempt = 0;
    holder.instead = (far, request) => {
      if (request.verb === "HELLO") attempt += 1;
      if (request.verb !== "DOWNLOAD" || attempt > 4) return false;
      holder.announce(far, request);
      if (attempt === 4) far.say(field.bytes.subarray(request.offset, request.offset + PIECE));
      far.close();
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.dials(A)).toHaveLength(5);
  });

  test("a pass is asked for at each connection, because it is renewed meanwhile", async () => {
    const field = new Field(bytesOf(100));
    const holder = field.add(A);
    holder.instead = (far, { verb, count }) => {
      if (verb === "DOWNLOAD" && count === 0) far.reset();
      return verb === "DOWNLOAD" && count === 0;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(holder.heard.filter((line) => line.startsWith("HELLO"))).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      "HELLO FT/2 pass=pass2.sig",
    ]);
  });

  test("when all are gone the sentence says how far it came and what to do, and what is right stays", async () => {
    const field = new Field(bytesOf(SIZE));
    const dying = field.add(A);
    dying.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      field.net.fate = () => REFUSED;
      dying.announce(far, request);
      far.say(field.bytes.subarray(request.offset, request.offset + 3 * PIECE + 100));
      far.close();
      return true;
    };
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return [];
    };
    const { message, code } = await failure(field.finish(field.fetch([A])));
    expect(code).toBe("no-holder");
    expect(message).toContain(`after ${formatSize(3 * PIECE)} of ${formatSize(SIZE)}`);
    expect(message).toEndWith("Run the same command to go on.");
    expect(message).toContain(`${A}:5000`);
    expect(looks).toBeGreaterThan(0);
    expect(Buffer.compare(field.part.bytes.subarray(0, 3 * PIECE), field.bytes.subarray(0, 3 * PIECE))).toBe(0);
    expect(field.part.bytes.subarray(3 * PIECE).every((byte) => byte === 0xee)).toBe(true);
    expect(field.part.restarts).toBe(0);
    await field.expectGone();
  });

  test("nobody to ask is a sentence, and the name in it is harmless", async () => {
    const field = new Field(bytesOf(100));
    const { message, code } = await failure(field.fetch({ ...field.wanted([]), name: nameOf("a\u001b[2J\u202e.txt") }));
    expect(code).toBe("no-holder");
    expectPrintable(message);
  });
});

describe("several holders", () => {
  test.each([2, 3, 4, 5])("%d of the same speed: every one gives, and each byte is asked for about once", async (count) => {
    const field = new Field(bytesOf(6 * MiB + 1));
    const addresses = [A, B, C, D, E].slice(0, count);
    for (const address of addresses) field.add(address).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch(addresses)), addresses);
    expect(field.timesAsked.every((times) => times >= 1)).toBe(true);
    expect(field.timesAsked.reduce((sum, times) => sum + times, 0)).toBeLessThan(97 * 1.25);
    // All of them together take about that part of the time that one would take.
    expect(field.elapsed).toBeLessThan(((6.3 * 1000) / count) * 1.7 + 500);
    expect(field.failures).toEqual([]);
    // What the holders were about to send has its moment.
    await field.clock.pass(1000);
    await field.expectGone();
  });

  test("a fast one is asked for more than a slow one, and waits for nobody at the end", async () => {
    const field = new Field(bytesOf(8 * MiB));
    const slow = field.add(A);
    slow.pace = 100_000;
    field.add(B).pace = 4_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])));
    const fromSlow = slow.ranges.reduce((sum, { length }) => sum + length, 0);
    expect(fromSlow).toBeLessThan(1.5 * MiB);
    expect(field.elapsed).toBeLessThan(5000);
  });

  test("one that gives nothing at the end: its stretch is asked for elsewhere long before it is given up", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const silent = field.add(A);
    silent.instead = (_far, { verb }) => verb === "DOWNLOAD";
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(silent.asked.length).toBeGreaterThan(0);
    expect(field.elapsed).toBeLessThan(4500);
    expect(field.failures).toEqual([]);
    expect(Math.max(...field.timesAsked)).toBe(2);
  });

  test("one that was fast and falls silent at the end does not hold the last stretch up for seconds either", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const fading = field.add(A);
    fading.pace = 2_000_000;
    fading.instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count >= 3;
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.elapsed).toBeLessThan(4800);
  });

  test("one that was fast and then only trickles does not hold its stretch up either", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const fading = field.add(A);
    fading.pace = 2_000_000;
    fading.instead = (_far, { verb, count }) => {
      if (verb === "DOWNLOAD" && count >= 3) fading.pace = 2000;
      return false;
    };
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.elapsed).toBeLessThan(8000);
  });

  test("more holders than connections: those that have nothing make room for one that has", async () => {
    const field = new Field(bytesOf(SIZE));
    const addresses = Array.from({ length: 20 }, (_, i) => `10.0.0.${i + 1}`);
    for (const address of addresses) field.add(address).has = new PieceSet(11);
    field.add(A);
    field.expectWhole(await field.finish(field.fetch([...addresses.map((address) => `~${address}`), A])), [A]);
    expect(field.net.dialled.filter(({ at }) => at === field.net.dialled[0]?.at).length).toBeLessThanOrEqual(16);
    expect(field.elapsed).toBeLessThan(15_000);
  });

  test("progress says how many give bytes now", async () => {
    const field = new Field(bytesOf(2 * MiB));
    for (const address of [A, B]) field.add(address).pace = 1_000_000;
    await field.finish(field.fetch([A, B]));
    expect(field.events.some((event) => event.event === "progress" && event.holders === 2)).toBe(true);
    expect(field.events.every((event) => event.event !== "progress" || event.received <= event.size)).toBe(true);
  });
});

describe("a holder that is slow", () => {
  test.each([
    ["nothing at all", 0],
    ["one byte", 1],
    ["half a piece", PIECE / 2],
    ["all but the last byte", 4 * PIECE - 1],
  ])("one that stalls after %s is given up after five seconds, and another gives the rest", async (_what, more) => {
    const field = new Field(bytesOf(SIZE));
    const stalling = field.add(A);
    stalling.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      if (request.count === 0 && more > 0) stalling.announce(far, request);
      if (request.count === 0) far.say(field.bytes.subarray(0, more));
      return true;
    };
    field.add(B);
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    const fetching = field.fetch([A]);
    await field.clock.pass(4000);
    expect(field.failures).toEqual([]);
    await field.clock.pass(2000);
    expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
    field.expectWhole(await field.finish(fetching, 8000));
  });

  test("one that stalls, and nobody else: a bounded number of tries, further and further apart", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (_far, { verb }) => verb === "DOWNLOAD";
    const { message } = await failure(field.finish(field.fetch([A]), 120_000));
    expect(message).toContain("it was silent for 5 s");
    const dials = field.dials(A);
    const pauses = dials.slice(1).map((at, i) => at - (dials[i] ?? 0));
    expect(pauses.length).toBeGreaterThanOrEqual(2);
    expect(pauses.length).toBeLessThanOrEqual(5);
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
    expect(new Set(pauses).size).toBe(pauses.length);
  });

  test("one that does not even greet, or never sends its tree, is given up, too", async () => {
    for (const mute of ["HELLO", "TREE"]) {
      const field = new Field(bytesOf(SIZE));
      field.add(A).instead = (_far, { verb }) => mute === "HELLO" || verb === "TREE";
      const fetching = field.fetch([A]);
      await field.clock.pass(6000);
      expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
      field.stop.abort();
      await failure(fetching);
    }
  });

  test("ten bytes a second beside another holder: given up within seconds", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 10;
    field.add(B).pace = 300_000;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(11_000);
    expect(field.failures).toEqual([`${A}: it sends too slowly`]);
    field.expectWhole(await field.finish(fetching), [B]);
    expect(field.elapsed).toBeLessThan(20_000);
  });

  test("ten bytes a second and nobody else: better slowly than never", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 10;
    const fetching = field.fetch([A]);
    await field.clock.pass(60_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.failures).toEqual([]);
    expect(field.dials(A)).toHaveLength(1);
    expect(field.received).toBeGreaterThan(400);
    field.stop.abort();
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });
});

describe("new holders", () => {
  test("one that the tracker names in the middle of a transfer is used", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 300_000;
    field.add(B).pace = 3_000_000;
    let looks = 0;
    field.more.look = async () => (++looks < 3 ? [field.record(A)] : [field.record(A), field.record(B)]);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect(field.elapsed).toBeLessThan(6000);
    expect(field.dials(A)).toHaveLength(1);
    expect(field.dials(B)).toHaveLength(1);
  });

  test("the tracker is asked less and less often", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 10;
    const looks: number[] = [];
    field.more.look = async () => {
      looks.push(field.elapsed);
      return [];
    };
    void field.fetch([A]);
    await field.clock.pass(30_000);
    const pauses = looks.slice(1).map((at, i) => at - (looks[i] ?? 0));
    expect(looks.length).toBeGreaterThanOrEqual(5);
    expect(looks.length).toBeLessThanOrEqual(10);
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
  });

  test("a tracker that does not answer harms nothing", async () => {
    for (const look of [
      () => Promise.reject(new FtError("away", "the tracker is away")),
      () => new Promise<FileRecord[]>(() => undefined),
    ]) {
      const field = new Field(bytesOf(2 * MiB));
      field.add(A).pace = 500_000;
      field.more.look = look;
      field.expectWhole(await field.finish(field.fetch([A])), [A]);
      expect(field.failures).toEqual([]);
    }
  });

  test("who lied is not brought back by the tracker", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const liar = field.add(A, bytesOf(2 * MiB, 1));
    field.add(B).pace = 300_000;
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return [field.record(A), field.record(B)];
    };
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(looks).toBeGreaterThan(2);
    expect(liar.connections).toHaveLength(1);
  });

  test("one that was given up and is named again is tried once more", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 300_000;
    field.add(B).pace = 3_000_000;
    let away = true;
    field.net.fate = ({ address }) => (address === B && away ? REFUSED : undefined);
    field.more.look = async () => {
      if (field.dials(B).length < 4 || field.elapsed < 4000) return [];
      away = false;
      return [field.record(B)];
    };
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.dials(B)).toHaveLength(5);
  });

  test("records of another size, and of holders that speak the old protocol, are not asked", async () => {
    const field = new Field(bytesOf(2 * MiB));
    field.add(A).pace = 500_000;
    field.more.look = async () => [field.record(B, { size: 7 }), field.record(C, { v2: false })];
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect([...field.dials(B), ...field.dials(C)]).toEqual([]);
  });

  test("the tracker is asked once more before all is given up", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(B);
    field.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return field.dials(A).length >= 4 ? [field.record(B)] : [];
    };
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(looks).toBeGreaterThan(0);
  });
});

describe("what an earlier run has left", () => {
  const HERE = [0, 1, 5, 10];

  function begun(pieces: number[]): { field: Field; begun: { pieces: Uint8Array; have: PieceSet }[] } {
    const field = new Field(bytesOf(SIZE));
    const told: { pieces: Uint8Array; have: PieceSet }[] = [];
    for (const piece of pieces) field.part.bytes.set(field.bytes.subarray(piece * PIECE, (piece + 1) * PIECE), piece * PIECE);
    field.more.present = async (hashes, onChecked) => {
      expect(Buffer.compare(hashes, field.tree)).toBe(0);
      onChecked(300_000);
      await settle();
      onChecked(SIZE - 300_000);
      const have = new PieceSet(11);
      for (const piece of pieces) have.add(piece);
      return have;
    };
    field.more.begun = (hashes, have) => told.push({ pieces: hashes, have });
    return { field, begun: told };
  }

  test("only what is missing is asked for, and progress begins at what is here", async () => {
    const { field, begun: told } = begun(HERE);
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect([...holder.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 6, 7, 8, 9]);
    expect(field.events.find(({ event }) => event === "progress")).toMatchObject({ received: 3 * PIECE + 123, size: SIZE });
    expect(field.events.filter(({ event }) => event === "checking")).toEqual([
      { event: "checking", checked: 300_000, size: SIZE },
      { event: "checking", checked: SIZE, size: SIZE },
    ]);
    expect(field.part.restarts).toBe(0);
    expect(told).toHaveLength(1);
    expect(Buffer.compare(told[0]?.pieces ?? new Uint8Array(0), field.tree)).toBe(0);
    // The set grows with what arrives: others are served from it.
    expect(told[0]?.have.complete).toBe(true);
  });

  test("all of it: nobody is asked for a byte", async () => {
    const { field } = begun([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const holder = field.add(A);
    field.expectWhole(await field.finish(field.fetch([A])), []);
    expect(holder.ranges).toEqual([]);
    expect(field.part.writes).toBe(0);
    await field.expectGone();
  });

  test("a part file that cannot be read ends it with its own sentence", async () => {
    const { field } = begun([]);
    field.add(A);
    const broken = new FtError("EIO", 'Cannot read "/downloads/x.part".');
    field.more.present = () => Promise.reject(broken);
    expect(await failure(field.finish(field.fetch([A])))).toBe(broken);
    await field.expectGone();
  });

  test("it may take minutes to look at: a holder that hangs up meanwhile is asked again, not given up", async () => {
    const { field } = begun(HERE);
    const holder = field.add(A);
    holder.instead = (far, { verb }) => {
      // A holder closes a connection on which nothing is said for a minute.
      if (verb === "HELLO") field.clock.after(60_000, () => far.close());
      return false;
    };
    const present = field.more.present;
    field.more.present = async (hashes, onChecked) => {
      await new Promise<void>((resolve) => field.clock.after(600_000, resolve));
      return (await present?.(hashes, onChecked)) ?? new PieceSet(11);
    };
    field.expectWhole(await field.finish(field.fetch([A]), 700_000), [A]);
    expect([...holder.asked].sort((a, b) => a - b)).toEqual([2, 3, 4, 6, 7, 8, 9]);
  });

  test("the sentence at the end counts it in", async () => {
    const { field } = begun([0, 1, 5]);
    const holder = field.add(A);
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("NOT FOUND\n");
      return verb === "DOWNLOAD";
    };
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain(`after ${formatSize(3 * PIECE)} of ${formatSize(SIZE)}`);
  });
});

describe("holders that are still fetching", () => {
  function setOf(pieces: number[]): PieceSet {
    const set = new PieceSet(11);
    for (const piece of pieces) set.add(piece);
    return set;
  }

  test("the conversation, byte for byte; only what one has is asked of it", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0, 2, 3, 4, 10]);
    const whole = field.add(B);
    whole.pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [A, B]);
    expect(part.heard.slice(0, 3)).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      `TREE root=${field.root} piece=65536`,
      `HAVE root=${field.root}`,
    ]);
    for (const piece of part.asked) expect([0, 2, 3, 4, 10]).toContain(piece);
    expect(whole.heard.join()).not.toContain("HAVE");
  });

  test("it is asked again what it has, and gives what is new, until it has all", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([4]);
    const early: number[] = [];
    part.instead = (_far, request) => {
      if (request.verb === "HAVE") part.has?.add((request.count * 3) % 11);
      if (request.verb === "DOWNLOAD") early.push(...piecesIn(request).filter((piece) => !part.has?.has(piece)));
      return false;
    };
    field.expectWhole(await field.finish(field.fetch([`~${A}`])), [A]);
    expect(early).toEqual([]);
    expect(field.failures).toEqual([]);
    expect(Math.max(...field.timesAsked)).toBe(1);
    // A piece every few hundred milliseconds, and not a question a tick.
    expect(field.elapsed).toBeGreaterThan(3000);
    expect(field.elapsed).toBeLessThan(8000);
  });

  test("one that says that it has everything and gives nothing is given up after a few questions", async () => {
    const field = new Field(bytesOf(SIZE));
    const boaster = field.add(A);
    boaster.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("ERROR not-here Soon, perhaps.\n");
      return verb === "DOWNLOAD";
    };
    const { code, message } = await failure(field.finish(field.fetch([`~${A}`]), 60_000));
    expect(code).toBe("no-holder");
    expect(message).toContain("pieces which it does not give");
    expect(boaster.ranges.length).toBeLessThan(30);
  });

  test("hashes that come slowly are not silence", async () => {
    const field = new Field(bytesOf(SIZE));
    const slow = field.add(A);
    slow.instead = async (far, { verb }) => {
      if (verb !== "TREE") return false;
      far.say(`TREE: ${slow.tree.length / 32}\n`);
      for (const byte of slow.tree.subarray(0, 10)) {
        await new Promise<void>((resolve) => field.clock.after(2000, resolve));
        far.say(Uint8Array.of(byte));
      }
      far.say(slow.tree.subarray(10));
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.failures).toEqual([]);
  });

  test("of many who failed for the same reason only some are named", async () => {
    const field = new Field(bytesOf(SIZE));
    field.net.fate = () => REFUSED;
    const many = Array.from({ length: 12 }, (_, i) => `192.168.2.${i + 1}`);
    const { message } = await failure(field.finish(field.fetch(many), 60_000));
    expect(message).toContain("and 9 more: nothing listens there");
    expect(message.length).toBeLessThan(300);
  });

  test("when those who are left all lack the same pieces it waits half a minute for who has them, and then says so", async () => {
    const field = new Field(bytesOf(SIZE));
    for (const address of [A, B]) field.add(address).has = setOf([0, 1, 2, 3, 4]);
    const fetching = field.fetch([`~${A}`, `~${B}`]);
    await field.clock.pass(25_000);
    expect(await stateOf(fetching)).toBe("waiting");
    await field.clock.pass(10_000);
    expect(await stateOf(fetching)).toBe("failed");
    const { code, message } = await failure(fetching);
    expect(code).toBe("no-holder");
    expect(message).toMatch(/do not have the rest, after 328 kB of .*Run the same command to go on\.$/);
    await field.expectGone();

    const other = new Field(bytesOf(SIZE));
    const slow = other.add(A);
    slow.has = setOf([0, 1, 2, 3, 4]);
    const late = other.fetch([`~${A}`]);
    await other.clock.pass(25_000);
    slow.has = PieceSet.whole(11);
    other.expectWhole(await other.finish(late), [A]);
  });

  test("a piece that only one has is taken before those that two have", async () => {
    for (const random of [() => 0, () => 0.5, () => 0.999_999]) {
      const field = new Field(bytesOf(SIZE));
      field.more.random = random;
      const [one, two] = [field.add(A), field.add(B)];
      one.has = setOf([0, 1, 2, 3, 4, 5, 6]);
      two.has = setOf([0, 1, 2, 3, 4, 5, 6, 8]);
      for (const holder of [one, two]) holder.pace = 1_000_000;
      // The second one says what it has when the first one has said so.
      const known = Promise.withResolvers<boolean>();
      one.instead = (_far, { verb }) => {
        if (verb === "DOWNLOAD") known.resolve(false);
        return false;
      };
      two.instead = (_far, { verb }) => verb === "TREE" && known.promise;
      void field.fetch([`~${A}`, `~${B}`]);
      await field.reach(() => two.ranges.length > 0);
      expect(two.ranges[0]).toEqual({ offset: 8 * PIECE, length: PIECE });
    }
  });

  test("one that lacks what it said it has has not failed; it is asked for other pieces", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    part.has.delete(10);
    let refused = 0;
    part.instead = (far, request) => {
      if (request.verb === "HAVE" && refused > 0) part.has = setOf([0, 1, 5, 6, 7, 8, 9]);
      if (request.verb !== "DOWNLOAD" || !piecesIn(request).some((piece) => piece >= 2 && piece <= 4)) return false;
      refused += 1;
      far.say("ERROR not-here I was wrong.\n");
      return true;
    };
    field.add(B).pace = 150_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [A, B]);
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThanOrEqual(6);
    expect(field.failures).toEqual([]);
    expect(part.connections).toHaveLength(1);
  });

  test.each([
    ["a bit field that is too short", "HAVE: 1\n\u0001", /another length/],
    ["a bit field that is too long", "HAVE: 3\n\u0001\u0001\u0001", /another length/],
    ["a bit field beyond all memory", "HAVE: 9007199254740991\n", /another length/],
    ["that it does not know the question", "ERROR unknown-verb HAVE?\n", /which pieces it has/],
    ["that the file is gone", "NOT FOUND\n", /does not have the file/],
    ["rubbish", "WHAT\n", /protocol/],
  ])("%s is a failure for good, and it is not asked for bytes", async (_what, answer, reason) => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (far, { verb }) => {
      if (verb === "HAVE") far.say(answer);
      return verb === "HAVE";
    };
    field.add(B).pace = 300_000;
    field.expectWhole(await field.finish(field.fetch([`~${A}`, B])), [B]);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toMatch(reason);
    expect(part.ranges).toEqual([]);
    expect(part.connections).toHaveLength(1);
  });

  test("one that does not say what it has is given up after five seconds", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (_far, { verb }) => verb === "HAVE";
    void field.fetch([`~${A}`]);
    await field.clock.pass(6000);
    expect(field.failures).toEqual([`${A}: it was silent for 5 s`]);
  });

  test("is not asked a second time before it has answered", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.has = setOf([0]);
    part.instead = (_far, { verb, count }) => verb === "HAVE" && count === 1;
    void field.fetch([`~${A}`]);
    await field.clock.pass(4000);
    expect(part.heard.filter((line) => line.startsWith("HAVE"))).toHaveLength(2);
    expect(part.connections).toHaveLength(1);
  });

  test("bits beyond the last piece mean nothing", async () => {
    const field = new Field(bytesOf(SIZE));
    const part = field.add(A);
    part.instead = (far, { verb }) => {
      if (verb === "HAVE") far.say("HAVE: 2\n");
      if (verb === "HAVE") far.say(Uint8Array.of(255, 255));
      return verb === "HAVE";
    };
    field.expectWhole(await field.fetch([`~${A}`]), [A]);
    expect(field.elapsed).toBe(0);
    expect([...part.asked].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe("holders that are busy", () => {
  /** Says BUSY with this position until the time comes. */
  function busyUntil(field: Field, address: string, position: number, until: number): Holder {
    const holder = field.add(address);
    holder.instead = (far, { verb }) => {
      const busy = verb === "DOWNLOAD" && field.elapsed < until;
      if (busy) far.say(`BUSY position=${position}\n`);
      return busy;
    };
    return holder;
  }

  function waits(field: Field): string[] {
    return field.events.flatMap((event) => (event.event === "waiting" ? [`${event.holder.address} ${event.position}`] : []));
  }

  test("one is waited for with one request a second, and gives the file when its turn comes", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = busyUntil(field, A, 4, 3500);
    const fetching = field.fetch([A]);
    await field.clock.pass(900);
    const first = holder.ranges.length;
    expect(first).toBeLessThanOrEqual(2);
    expect(waits(field).at(-1)).toBe(`${A} 4`);
    for (let second = 1; second <= 3; second++) {
      await field.clock.pass(1000);
      expect(holder.ranges.length).toBe(first + second);
    }
    field.expectWhole(await field.finish(fetching), [A]);
    expect(field.elapsed).toBeLessThan(5500);
    expect(field.failures).toEqual([]);
    expect(holder.connections).toHaveLength(1);
  });

  test("of several the best place is reported, and only while nobody gives anything", async () => {
    const field = new Field(bytesOf(SIZE));
    busyUntil(field, A, 3, 60_000);
    busyUntil(field, B, 2, 60_000);
    busyUntil(field, C, 7, 60_000);
    const fetching = field.fetch([A, B, C]);
    await field.clock.pass(3000);
    expect(new Set(waits(field).slice(1))).toEqual(new Set([`${B} 2`]));
    expect(await stateOf(fetching)).toBe("waiting");
    const waited = waits(field).length;
    const giving = field.add(D);
    giving.pace = 100_000;
    field.stop.abort();
    await failure(fetching);
    await settle();
    expect(waits(field)).toHaveLength(waited);
    const other = new Field(bytesOf(SIZE));
    busyUntil(other, A, 3, 60_000);
    other.add(B).pace = 200_000;
    other.expectWhole(await other.finish(other.fetch([A, B])), [B]);
    // Until the first byte of the other one it may be said.
    expect(waits(other).length).toBeLessThanOrEqual(1);
    expect(other.failures).toEqual([]);
  });

  test("waiting is no failure, however long it takes", async () => {
    const field = new Field(bytesOf(SIZE));
    busyUntil(field, A, 1, 300_000);
    const fetching = field.fetch([A]);
    await field.clock.pass(299_000);
    expect(field.failures).toEqual([]);
    field.expectWhole(await field.finish(fetching), [A]);
  });

  test("a slot that comes free between two requests is used", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    holder.instead = (far, { verb, count }) => {
      if (verb !== "DOWNLOAD" || count !== 0) return false;
      far.say("BUSY position=1\n");
      return true;
    };
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.failures).toEqual([]);
    expect(field.timesAsked.filter((times) => times > 1).length).toBeLessThanOrEqual(4);
  });

  test("one that is gone while we wait has failed", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = busyUntil(field, A, 1, 60_000);
    const fetching = field.fetch([A]);
    await field.clock.pass(500);
    field.net.fate = () => REFUSED;
    holder.connections[0]?.close();
    expect((await failure(field.finish(fetching))).code).toBe("no-holder");
  });
});

describe("backpressure", () => {
  test.each([1, 5, 16])("while the disk is slow %d fast holders wait, and memory stays bounded", async (count) => {
    // So much that every request can be as long as requests get.
    const size = Math.max(48, 6 * count) * MiB;
    const field = new Field(bytesOf(size));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    const addresses = Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`);
    for (const address of addresses) field.add(address);
    const fetching = field.fetch(addresses);
    await field.clock.pass(60_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.received).toBeGreaterThan(4 * MiB);
    // With many holders every one has a stretch that is not whole yet.
    expect(field.received).toBeLessThan((count > 5 ? 48 : 32) * MiB);
    for (const holder of field.holders.values()) expect(holder.connections.map(({ near }) => near.paused)).toEqual([true]);
    disk.resolve();
    field.expectWhole(await field.finish(fetching));
    // A long wait for our own disk is not the holder's fault.
    expect(field.failures).toEqual([]);
  });

  test("a limit holds over several seconds, with several holders", async () => {
    const field = new Field(bytesOf(8 * MiB));
    const rate = 500_000;
    field.more.limit = new RateLimit(rate, field.clock);
    for (const address of [A, B]) field.add(address);
    const fetching = field.fetch([A, B]);
    await field.clock.pass(1000);
    const early = field.received;
    await field.clock.pass(6000);
    const received = field.received - early;
    expect(received).toBeGreaterThan(0.9 * 6 * rate);
    expect(received).toBeLessThan(1.1 * 6 * rate);
    expect(field.failures).toEqual([]);
    field.expectWhole(await field.finish(fetching));
    expect(field.elapsed).toBeGreaterThan(((8 * MiB) / rate) * 1000 * 0.8);
    await field.expectGone();
  });

  test("a limit below what counts as slow gives nobody up", async () => {
    const field = new Field(bytesOf(SIZE));
    field.more.limit = new RateLimit(500, field.clock);
    for (const address of [A, B]) field.add(address).pace = 100_000;
    void field.fetch([A, B]);
    await field.clock.pass(60_000);
    expect(field.failures).toEqual([]);
    expect(field.received).toBeGreaterThan(0);
  });
});

describe("a holder that refuses the pass", () => {
  const DENIES = "ERROR not-accepted The pass is for another address.\n";

  /** One that takes only this pass. */
  function strict(holder: Holder, good: string): void {
    let accepted = false;
    holder.instead = (far, { verb, line }) => {
      if (verb === "HELLO") accepted = line.endsWith(`pass=${good}`);
      if (verb === "HELLO" && !accepted) far.say(DENIES);
      return !accepted;
    };
  }

  const greetings = ({ heard }: Holder) => heard.filter((line) => line.startsWith("HELLO"));

  test("is asked again as soon as there is another pass, and not before", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    strict(holder, "new.sig");
    field.add(B).pace = 20 * KiB;
    let pass = "old.sig";
    field.more.pass = () => pass;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(10_000);
    expect(greetings(holder)).toEqual(["HELLO FT/2 pass=old.sig"]);
    pass = "new.sig";
    await field.clock.pass(500);
    expect(greetings(holder)).toEqual(["HELLO FT/2 pass=old.sig", "HELLO FT/2 pass=new.sig"]);
    const done = await field.finish(fetching);
    field.expectWhole(done);
    expect(done.holders.map(({ address }) => address)).toContain(addressOf(A));
  });

  test("is asked once for each pass, however many there are", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    strict(holder, "never.sig");
    field.add(B).pace = 40 * KiB;
    let pass = "1.sig";
    field.more.pass = () => pass;
    const fetching = field.fetch([A, B]);
    for (const next of ["2.sig", "2.sig", "3.sig"]) {
      await field.clock.pass(3000);
      pass = next;
    }
    field.expectWhole(await field.finish(fetching), [B]);
    expect(greetings(holder)).toEqual(["1.sig", "2.sig", "3.sig"].map((one) => `HELLO FT/2 pass=${one}`));
  });

  test("in the middle of the file: the same", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    let pass = "old.sig";
    field.more.pass = () => pass;
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD" && pass === "old.sig") far.say(DENIES);
      return verb === "DOWNLOAD" && pass === "old.sig";
    };
    field.add(B).pace = 20 * KiB;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(8_000);
    expect(field.dials(A)).toEqual([0]);
    pass = "new.sig";
    const done = await field.finish(fetching);
    field.expectWhole(done);
    expect(done.holders.map(({ address }) => address)).toContain(addressOf(A));
  });

  test("and nobody else: the sentence comes at once", async () => {
    const field = new Field(bytesOf(SIZE));
    strict(field.add(A), "never.sig");
    field.more = { pass: () => "old.sig", look: async () => [], away: () => false };
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain("The pass is for another address");
    expect([field.elapsed, field.dials(A)]).toEqual([0, [0]]);
  });

  test.each([
    ["says nothing more", false],
    ["refuses the old one then", true],
  ])("is not forgiven by another pass what it lied before; one that %s", async (_what, refuses) => {
    const field = new Field(bytesOf(40 * PIECE));
    const liar = field.add(A);
    let pass = "old.sig";
    field.more.pass = () => pass;
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      if (request.count === 0) {
        liar.announce(far, request);
        far.say(new Uint8Array(request.length).fill(65));
      } else if (refuses) far.say(DENIES);
      return true;
    };
    field.add(B).pace = 200 * KiB;
    const fetching = field.fetch([A, B]);
    await field.clock.pass(3000);
    pass = "new.sig";
    field.expectWhole(await field.finish(fetching), [B]);
    expect(liar.ranges.length).toBeGreaterThanOrEqual(2);
    expect(field.dials(A)).toEqual([0]);
  });
});

describe("off the network", () => {
  /** A machine that loses its network, and its tracker with it, and gets them back. */
  class Machine extends Field {
    away = false;
    pass = "old.sig";
    /** Who has the file when it is asked; nobody but those that are known. */
    online: FileRecord[] = [];

    constructor(size = SIZE) {
      super(bytesOf(size));
      this.more = {
        pass: () => this.pass,
        away: () => this.away,
        // As a session asks: while the tracker is away, for a moment and then in vain.
        look: async () => {
          if (!this.away) return this.online;
          await new Promise<void>((resolve) => this.clock.after(1500, resolve));
          throw new FtError("tracker-gone", "The tracker is away.");
        },
      };
    }

    lose(): void {
      this.away = true;
      this.net.fate = () => new FtError("unreachable", "there is no network to it");
      for (const { connections } of this.holders.values()) for (const far of connections) far.reset();
    }

    comeBack(): void {
      this.away = false;
      this.net.fate = () => undefined;
    }

    get aways(): number {
      return this.events.filter(({ event }) => event === "away").length;
    }

    /** Fetches until some of it is here. */
    async halfway(addresses: string[]): Promise<Promise<Fetched>[]> {
      const fetching = this.fetch(addresses);
      const from = this.received;
      await this.reach(() => this.received > from + 2 * PIECE && this.received < this.bytes.length - PIECE);
      // In a list, because a promise in a promise is one.
      return [fetching];
    }
  }

  async function halfway(addresses: string[]): Promise<{ machine: Machine; fetching: Promise<Fetched> }> {
    const machine = new Machine();
    for (const address of addresses) machine.add(address).pace = 200 * KiB;
    const [fetching] = await machine.halfway(addresses);
    if (fetching === undefined) throw new Error("it should be fetching");
    return { machine, fetching };
  }

  test("it waits, says so once, and goes on where it was when it is back", async () => {
    const { machine, fetching } = await halfway([A, B]);
    machine.lose();
    await machine.clock.pass(40_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 1]);
    const [here, asked] = [machine.received, machine.timesAsked];
    machine.comeBack();
    machine.pass = "new.sig";
    await machine.clock.pass(4000);
    expect(machine.dials(A).length + machine.dials(B).length).toBeGreaterThan(2);
    machine.expectWhole(await machine.finish(fetching));
    expect(machine.aways).toBe(1);
    expect(here).toBeGreaterThan(PIECE);
    // What was here is not asked for again.
    const again = machine.timesAsked.map((times, piece) => times - (asked[piece] ?? 0));
    expect(again.filter((times) => times === 0).length).toBeGreaterThanOrEqual(1);
    expect([...machine.holders.values()].flatMap(({ heard }) => heard)).toContain("HELLO FT/2 pass=new.sig");
    await machine.expectGone();
  });

  test("it goes on within a few seconds, however long it was away", async () => {
    for (const seconds of [1, 10, 30, 60, 85]) {
      const { machine, fetching } = await halfway([A]);
      machine.lose();
      await machine.clock.pass(seconds * 1000);
      expect([seconds, await stateOf(fetching)]).toEqual([seconds, "waiting"]);
      machine.comeBack();
      const from = machine.clock.at();
      machine.expectWhole(await machine.finish(fetching), [A]);
      expect([seconds, machine.clock.at() - from < 10_000]).toEqual([seconds, true]);
    }
  });

  test("again and again: every time it is waited for anew", async () => {
    const machine = new Machine(60 * PIECE);
    machine.add(A).pace = 200 * KiB;
    const fetching = machine.fetch([A]);
    for (let spell = 1; spell <= 4; spell++) {
      const from = machine.received;
      await machine.reach(() => machine.received > from + 2 * PIECE);
      machine.lose();
      await machine.clock.pass(50_000);
      expect([spell, await stateOf(fetching), machine.aways]).toEqual([spell, "waiting", spell]);
      machine.comeBack();
    }
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("the only one with the rest, silent all of a sudden, is waited for, and said so once", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    machine.away = false;
    machine.net.fate = () => new FtError("no-answer", "no answer within 5 s");
    await machine.clock.pass(40_000);
    const said = machine.events.filter(({ event }) => event === "silent");
    expect([await stateOf(fetching), said.length, machine.aways]).toEqual(["waiting", 1, 0]);
    machine.comeBack();
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("but not for ever, and not for one that refuses", async () => {
    for (const [error, most] of [
      [new FtError("no-answer", "no answer within 5 s"), 90_000],
      [REFUSED, 10_000],
    ] as const) {
      const { machine, fetching } = await halfway([A]);
      machine.lose();
      machine.away = false;
      machine.net.fate = () => error;
      const { message } = await failure(machine.finish(fetching, most));
      expect(message).toContain("what arrived is kept");
    }
  });

  test("while everybody is on the way back to a restarted tracker, a refused pass says nothing", async () => {
    const machine = new Machine();
    const holder = machine.add(A);
    holder.pace = 200 * KiB;
    machine.more.unsettled = () => true;
    const [fetching] = await machine.halfway([A]);
    if (fetching === undefined) throw new Error("it should be fetching");
    machine.lose();
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("ERROR not-accepted The pass is not from this peer's tracker.\n");
      return verb === "DOWNLOAD";
    };
    machine.comeBack();
    await machine.clock.pass(20_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 0]);
    delete (holder as { instead?: unknown }).instead;
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("a holder that has moved meanwhile is asked where it is now", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(20_000);
    machine.comeBack();
    machine.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
    machine.add(B);
    machine.online = [machine.record(B)];
    machine.expectWhole(await machine.finish(fetching), [A, B]);
  });

  test("after ninety seconds it is the ordinary sentence, and what arrived is kept", async () => {
    const { machine, fetching } = await halfway([A, B]);
    machine.lose();
    const from = machine.clock.at();
    const kept = machine.bytes.length - PIECE;
    const { message, code } = await failure(machine.finish(fetching, 120_000));
    const waited = machine.clock.at() - from;
    expect(waited).toBeGreaterThan(90_000);
    expect(waited).toBeLessThan(100_000);
    expect(code).toBe("no-holder");
    expect(message).toMatch(
      /^Cannot fetch "report, final\.pdf": .*there is no network to it.* after .* of .*; what arrived is kept/,
    );
    expect([machine.aways, machine.part.restarts]).toEqual([1, 0]);
    expect(machine.received).toBeLessThanOrEqual(kept);
    await machine.expectGone();
  });

  test("back, and the holder is gone for good: a few tries, then the sentence", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(30_000);
    machine.comeBack();
    machine.net.fate = () => REFUSED;
    const from = machine.clock.at();
    const { message } = await failure(machine.finish(fetching));
    expect(message).toContain("connection refused");
    expect(machine.clock.at() - from).toBeLessThan(15_000);
    await machine.expectGone();
  });

  test("stopping ends the waiting at once", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(20_000);
    machine.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });

  test("a liar is not forgiven", async () => {
    const machine = new Machine();
    const liar = machine.add(A);
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      liar.announce(far, request);
      far.say(new Uint8Array(request.length).fill(65));
      return true;
    };
    machine.add(B).pace = 100 * KiB;
    const fetching = machine.fetch([A, B]);
    await machine.reach(() => machine.received > PIECE);
    machine.lose();
    await machine.clock.pass(30_000);
    machine.comeBack();
    machine.pass = "new.sig";
    machine.expectWhole(await machine.finish(fetching), [B]);
    expect(machine.dials(A)).toEqual([0]);
  });

  test("when all that are left are liars there is nothing to wait for, and nobody is told to", async () => {
    const machine = new Machine();
    machine.away = true;
    const liar = machine.add(A);
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      liar.announce(far, request);
      far.say(new Uint8Array(request.length).fill(65));
      return true;
    };
    const { message } = await failure(machine.finish(machine.fetch([A])));
    expect(message).toContain("not the file it announced");
    expect([machine.aways, machine.dials(A)]).toEqual([0, [0]]);
    expect(machine.elapsed).toBeLessThan(3000);
  });

  test("who refuses the pass is not shown the same one again and again meanwhile, but the new one then", async () => {
    const { machine, fetching } = await halfway([A]);
    const [holder] = machine.holders.values();
    if (holder === undefined) throw new Error("there is no holder");
    machine.lose();
    // The holder is on this side of what is broken; only the tracker is away.
    machine.net.fate = () => undefined;
    holder.instead = (far, { verb, line }) => {
      if (verb !== "HELLO" || line.endsWith("new.sig")) return false;
      far.say("ERROR not-accepted The pass has expired.\n");
      return true;
    };
    const before = machine.dials(A).length;
    await machine.clock.pass(30_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(machine.dials(A).length - before).toBeLessThanOrEqual(3);
    machine.comeBack();
    machine.pass = "new.sig";
    machine.expectWhole(await machine.finish(fetching), [A]);
    await machine.expectGone();
  });

  test("a holder that breaks off in every piece does not keep it waiting for ever, nor tell of it again and again", async () => {
    const machine = new Machine();
    machine.away = true;
    const holder = machine.add(A);
    holder.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      holder.announce(far, request);
      far.say(holder.bytes.subarray(request.offset, request.offset + 100));
      far.close();
      return true;
    };
    const { code } = await failure(machine.finish(machine.fetch([A]), 300_000));
    expect(code).toBe("no-holder");
    expect(machine.aways).toBeLessThanOrEqual(2);
    await machine.expectGone();
  });

  test("who was kept in a queue for long after one absence is waited for in the next one all the same", async () => {
    const { machine, fetching } = await halfway([A]);
    const holder = machine.holders.get(A);
    if (holder === undefined) throw new Error("there is no holder");
    machine.lose();
    await machine.clock.pass(10_000);
    let busy = true;
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD" && busy) far.say("BUSY position=3\n");
      return verb === "DOWNLOAD" && busy;
    };
    machine.comeBack();
    await machine.clock.pass(120_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 1]);
    machine.lose();
    await machine.clock.pass(20_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 2]);
    busy = false;
    machine.comeBack();
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("only the tracker is away: a holder that can give the whole file only is asked for that at once", async () => {
    const machine = new Machine();
    machine.away = true;
    machine.part.trusting = true;
    machine.add(A).instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is that?\n");
      return verb === "TREE";
    };
    machine.expectWhole(await machine.finish(machine.fetch([A])), [A]);
    expect(machine.elapsed).toBeLessThan(5_000);
  });

  test("not away, everything fails exactly when it always did", async () => {
    const dials: number[][] = [];
    for (const away of [undefined, () => false]) {
      const field = new Field(bytesOf(SIZE));
      field.more = { look: async () => [], ...(away === undefined ? {} : { away }) };
      field.net.fate = () => REFUSED;
      await failure(field.finish(field.fetch([A, B])));
      dials.push(field.dials(A), field.dials(B), [field.elapsed]);
      expect(field.events.some(({ event }) => event === "away")).toBe(false);
    }
    expect(dials.slice(3)).toEqual(dials.slice(0, 3));
    expect(dials[2]?.[0]).toBeLessThan(5_000);
  });

  test("a file that still comes from somebody is not held up", async () => {
    const machine = new Machine();
    machine.away = true;
    machine.add(A).pace = 200 * KiB;
    machine.net.fate = ({ address }) => (address === B ? REFUSED : undefined);
    machine.expectWhole(await machine.finish(machine.fetch([A, B])), [A]);
    expect(machine.aways).toBe(0);
  });
});

describe("stopping", () => {
  const stages: [string, (field: Field) => void][] = [
    ["before it began", (field) => field.stop.abort()],
    [
      "while nobody answers the dial",
      (field) => {
        field.net.fate = () => "silence";
      },
    ],
    [
      "before the tree",
      (field) => {
        field.add(A).instead = (_far, { verb }) => verb === "TREE";
      },
    ],
    [
      "while what is here is looked at",
      (field) => {
        field.add(A);
        field.more.present = () => new Promise(() => undefined);
      },
    ],
    [
      "before the first byte",
      (field) => {
        field.add(A).instead = (_far, { verb }) => verb === "DOWNLOAD";
      },
    ],
    [
      "in the middle of a body",
      (field) => {
        const holder = field.add(A);
        holder.instead = (far, request) => {
          if (request.verb !== "DOWNLOAD") return false;
          if (request.count === 0) holder.announce(far, request);
          if (request.count === 0) far.say(field.bytes.subarray(0, 1000));
          return true;
        };
      },
    ],
    [
      "while it waits for a slot",
      (field) => {
        field.add(A).instead = (far, { verb }) => {
          if (verb === "DOWNLOAD") far.say("BUSY position=1\n");
          return verb === "DOWNLOAD";
        };
      },
    ],
    [
      "between two tries",
      (field) => {
        field.net.fate = () => REFUSED;
      },
    ],
    [
      "while the tracker is asked for somebody else",
      (field) => {
        field.net.fate = () => REFUSED;
        field.more.look = () => new Promise(() => undefined);
      },
    ],
    [
      "while the limit holds it back",
      (field) => {
        field.add(A);
        field.more.limit = new RateLimit(100, field.clock);
      },
    ],
  ];

  test.each(stages)("%s ends it at once and leaves nothing behind", async (_what, prepare) => {
    const field = new Field(bytesOf(2 * MiB));
    prepare(field);
    const fetching = field.fetch([A]);
    await field.clock.pass(field.more.look === undefined ? 100 : 20_000);
    field.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    await field.expectGone();
    const told = field.events.length;
    await field.clock.pass(60_000);
    expect(field.events).toHaveLength(told);
  });

  test("while our disk is busy: the holders are let go at once, and it ends with the write under way, which counts", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    let have: PieceSet | undefined;
    field.more.begun = (_pieces, set) => {
      have = set;
    };
    const holder = field.add(A);
    holder.pace = 1_000_000;
    const fetching = field.fetch([A]);
    await field.clock.pass(1000);
    field.stop.abort();
    await settle();
    expect(holder.connections.every(({ closed }) => closed)).toBe(true);
    expect(have?.count).toBe(0);
    // Whoever cleans up after it finds nothing that is still written.
    expect(await stateOf(fetching)).toBe("waiting");
    disk.resolve();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    expect(have?.count).toBeGreaterThan(0);
    expect(getEventListeners(field.stop.signal, "abort").length).toBe(0);
    expect(field.events.map(({ event }) => event)).not.toContain("verifying");
  });

  test("while the last write is under way: it is cancelled, and does not say that it verifies", async () => {
    const field = new Field(bytesOf(100));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    field.add(A);
    const fetching = field.fetch([A]);
    await field.clock.pass(100);
    field.stop.abort();
    disk.resolve();
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    expect(field.events.map(({ event }) => event)).not.toContain("verifying");
  });
});

describe("our own disk", () => {
  const full = new FtError("ENOSPC", 'Cannot fetch "report": the disk of "/downloads" is full; 17 MB are needed.');

  test.each([0, 4, 8, 60])("a write that fails at piece %d ends it at once, with its own sentence", async (piece) => {
    const field = new Field(bytesOf(4 * MiB + 1));
    const at = piece * PIECE;
    field.part.fails = (offset, length) => (offset <= at && at < offset + length ? full : undefined);
    for (const address of [A, B]) field.add(address).pace = 4_000_000;
    expect(await failure(field.finish(field.fetch([A, B])))).toBe(full);
    expect(field.failures).toEqual([]);
    expect(field.part.restarts).toBe(0);
    await settle();
    expect(getEventListeners(field.stop.signal, "abort").length).toBe(0);
    for (const { connections } of field.holders.values()) expect(connections.every(({ over }) => over)).toBe(true);
  });

  test("one that fails while the holder is silent is told at once, not when the holder goes on", async () => {
    const field = new Field(bytesOf(2 * MiB));
    field.part.fails = () => full;
    field.add(A).instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count > 0;
    const fetching = field.fetch([A]);
    for (let i = 0; i < 20 && (await stateOf(fetching)) === "waiting"; i++) await settle();
    expect(field.elapsed).toBe(0);
    expect(await failure(fetching)).toBe(full);
    await field.expectGone();
  });

  test("hashing that fails ends it, and is no holder's fault", async () => {
    const broken = new FtError("hash-failed", "hashing failed: out of memory");
    const field = new Field(bytesOf(2 * MiB));
    field.more.layer = () => Promise.reject(broken);
    field.add(A);
    expect(await failure(field.finish(field.fetch([A])))).toBe(broken);
    expect(field.failures).toEqual([]);
    expect(field.part.writes).toBe(0);
  });
});
