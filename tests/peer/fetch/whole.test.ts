// The fetching engine against holders that are honest, old, slow, silent, gone, or lying, and against its own disk.

import { describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { dial } from "../../../lib/net/dial.ts";
import { listen } from "../../../lib/net/listen.ts";
import { HashPool, sha256 } from "../../../lib/peer/content/hash.ts";
import { blockLayer, pieceHash, pieceSizeOf, rootOf } from "../../../lib/peer/content/merkle.ts";
import { Incoming } from "../../../lib/peer/disk/incoming.ts";
import { chooseFiles, Share } from "../../../lib/peer/disk/share.ts";
import type { FetchEvent, Fetched, FetchTools, Target, WantedFile } from "../../../lib/peer/fetch/types.ts";
import { fetchWhole as fetchFile } from "../../../lib/peer/fetch/whole.ts";
import { Server } from "../../../lib/peer/serve/serve.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, type Far, HandClock, Net, nameOf, REFUSED, settle } from "../../helpers/channel.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const NAME = nameOf("report, final.pdf");
const A = "192.168.1.31";
const B = "192.168.1.32";
const C = "192.168.1.33";

/** The same bytes in every run, and different ones at every place. */
function bytesOf(size: number, salt = 0): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt * 7919, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

function piecesOf(bytes: Uint8Array, fileSize: number): Uint8Array {
  const step = pieceSizeOf(fileSize);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + step), sha256), fileSize, sha256));
  return Buffer.concat(hashes);
}

const roots = new WeakMap<Uint8Array, string>();

function rootOfBytes(bytes: Uint8Array): string {
  const root = roots.get(bytes) ?? rootOf(piecesOf(bytes, bytes.length), bytes.length, sha256).toHex();
  roots.set(bytes, root);
  return root;
}

interface Request {
  line: string;
  offset: number;
  length: number;
}

/** A holder that speaks FT/2 and is honest, unless `instead` handles a request. */
class Holder {
  readonly bytes: Uint8Array;
  readonly heard: string[] = [];
  readonly connections: Far[] = [];
  /** True when it took care of the request itself. */
  instead: ((far: Far, request: Request, count: number) => boolean) | undefined;
  greeting = "HI FT/2\n";
  /** Keeps its own side open after the BYE, until a test closes it. */
  lingers = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  meet(far: Far): void {
    this.connections.push(far);
    void this.#serve(far);
  }

  async #serve(far: Far): Promise<void> {
    for (let count = 0; ; ) {
      await far.until(() => far.waiting.includes(10) || far.over);
      if (!far.waiting.includes(10)) break;
      const line = await far.line();
      this.heard.push(line);
      if (line.startsWith("HELLO")) far.say(this.greeting);
      const [, offset = "", length = ""] = /^DOWNLOAD .*offset=(\d+) length=(\d+)$/.exec(line) ?? [];
      if (offset === "") continue;
      const request = { line, offset: Number(offset), length: Number(length) };
      if (this.instead?.(far, request, count++)) continue;
      this.give(far, request);
    }
    if (far.ended && !this.lingers) far.close();
  }

  give(far: Far, { offset, length }: Request, bytes = this.bytes): void {
    far.say(`FILE: length=${length} size=${bytes.length}\n`);
    far.say(bytes.subarray(offset, offset + length));
  }
}

/** A part file in memory. What is written is taken over when the disk is done with it, not before. */
class Part implements Target {
  readonly bytes: Uint8Array;
  restarts = 0;
  /** Bytes handed over for writing and not written yet, and the most there ever were. */
  pending = 0;
  most = 0;
  /** Every write waits for it. */
  gate: Promise<void> = Promise.resolve();
  fails: ((offset: number) => Error | undefined) | undefined;

  constructor(size: number) {
    this.bytes = new Uint8Array(size).fill(0xee);
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (offset + bytes.length > this.bytes.length) throw new Error("a write beyond the file's end");
    this.pending += bytes.length;
    this.most = Math.max(this.most, this.pending);
    await this.gate;
    const error = this.fails?.(offset);
    if (error !== undefined) throw error;
    this.bytes.set(bytes, offset);
    this.pending -= bytes.length;
  }

  async restart(): Promise<void> {
    this.restarts += 1;
    this.bytes.fill(0xee);
  }
}

/** A file that is wanted, who has it, and where it goes. */
class Field {
  readonly clock = new HandClock();
  readonly net = new Net(this.clock);
  readonly events: FetchEvent[] = [];
  readonly sleeps: number[] = [];
  readonly stop = new AbortController();
  readonly holders = new Map<string, { meet(far: Far): void }>();
  readonly bytes: Uint8Array;
  readonly part: Part;
  passes = 0;
  /** Pauses are noted and over at once. Only looking after a holder waits for `clock`. */
  readonly #pauses: Clock = {
    at: () => this.clock.at(),
    elapsed: () => this.clock.elapsed(),
    soon: (act) => this.clock.soon(act),
    after: (ms, act) => {
      if (ms === 200) return this.clock.after(ms, act);
      this.sleeps.push(ms);
      void settle().then(act);
      return () => {};
    },
  };
  layer: FetchTools["layer"] = async (memory, length) => {
    await settle();
    return piecesOf(new Uint8Array(memory, 0, length), this.bytes.length);
  };

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.part = new Part(bytes.length);
    this.net.onConnection = (far) => this.holders.get(far.to.address)?.meet(far);
  }

  /** A holder at this address. */
  add(address: string, bytes = this.bytes): Holder {
    const holder = new Holder(bytes);
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
      root: rootOfBytes(this.bytes),
      ...more,
    };
  }

  /** Records of these holders; without a root when that is said. */
  wanted(addresses: string[], root: string | undefined = rootOfBytes(this.bytes)): WantedFile {
    return { name: NAME, size: this.bytes.length, root, holders: addresses.map((address) => this.record(address)) };
  }

  fetch(wanted: WantedFile): Promise<Fetched> {
    return fetchFile(wanted, {
      dial: this.net.dial,
      target: this.part,
      pass: () => `pass${++this.passes}.sig`,
      layer: (memory, length, offset) => this.layer(memory, length, offset),
      sha256,
      report: (event) => this.events.push(event),
      signal: this.stop.signal,
      clock: this.#pauses,
    });
  }

  get failures(): string[] {
    return this.events.flatMap((event) =>
      event.event === "holder-failed" ? [`${event.holder.address}: ${event.reason}`] : [],
    );
  }

  asked(): string[] {
    return this.net.dialled.map(({ address }) => address);
  }

  /** What came of it: whole, right, and from these. */
  async expectWhole(fetching: Promise<Fetched>, from: string[]): Promise<void> {
    const { verified, holders } = await fetching;
    expect(verified).toBe(true);
    expect(holders.map(({ address }) => String(address))).toEqual(from);
    expect(Buffer.compare(this.part.bytes, this.bytes)).toBe(0);
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

/** Waits until this holds: hashing and writing take several turns of the event loop. */
async function reach(holds: () => boolean): Promise<void> {
  while (!holds()) await settle();
}

/** Whatever an error says, no control character of a stranger is in it. */
function expectPrintable(sentence: string): void {
  expect(sentence).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
}

describe("fetchWhole: an honest holder", () => {
  test("the conversation, byte for byte", async () => {
    const field = new Field(new TextEncoder().encode("Hello, world"));
    const holder = field.add(A);
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    await settle();
    expect(holder.heard).toEqual([
      "HELLO FT/2 pass=pass1.sig",
      `DOWNLOAD root=${rootOfBytes(field.bytes)} offset=0 length=12`,
      "BYE",
    ]);
    expect(holder.connections[0]?.closed).toBe(true);
    expect(field.events.map(({ event }) => event)).toEqual(["asking", "progress", "verifying"]);
    expect(field.events[1]).toEqual({ event: "progress", received: 12, size: 12, holders: 1 });
    expect(field.sleeps).toEqual([]);
    expect(field.part.restarts).toBe(0);
  });

  test.each([0, 1, 16_383, 16_384, 16_385, 65_537, 4 * MiB - 1, 4 * MiB, 4 * MiB + 1, 17 * MiB + 12_345])(
    "%d bytes",
    async (size) => {
      const field = new Field(bytesOf(size));
      const holder = field.add(A);
      const { verified, holders } = await field.fetch(field.wanted([A]));
      expect(verified).toBe(true);
      expect(holders.length).toBe(size === 0 ? 0 : 1);
      expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
      await settle();
      const ranges = holder.heard.flatMap((line) => /offset=(\d+) length=(\d+)/.exec(line)?.slice(1).map(Number) ?? []);
      // Every byte is asked for once, in order.
      let at = 0;
      for (let i = 0; i < ranges.length; i += 2) {
        expect(ranges[i]).toBe(at);
        at += ranges[i + 1] ?? 0;
      }
      expect(at).toBe(size);
    },
  );

  test("its answers may come cut anywhere", async () => {
    const field = new Field(bytesOf(300));
    const holder = field.add(A);
    holder.instead = (far, { length }) => {
      far.stutter(`FILE: length=${length} size=300\n`);
      far.stutter(field.bytes);
      return true;
    };
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    const received = field.events.flatMap((event) => (event.event === "progress" ? [event.received] : []));
    expect(received).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  });

  test("without a root the name is asked for, escaped, and nothing is verified", async () => {
    const field = new Field(bytesOf(100));
    const holder = field.add(A);
    const { verified, holders } = await field.fetch({ ...field.wanted([A]), root: undefined });
    expect([verified, holders.length]).toEqual([false, 1]);
    expect(holder.heard[1]).toBe("DOWNLOAD name=report%2C%20final.pdf offset=0 length=100");
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
    expect(field.events.map(({ event }) => event)).not.toContain("verifying");
  });

  test("requests are under way before the first is answered, and few at a time", async () => {
    const field = new Field(bytesOf(33 * MiB));
    const holder = field.add(A);
    const waiting: [Far, Request][] = [];
    let most = 0;
    holder.instead = (far, request) => {
      waiting.push([far, request]);
      most = Math.max(most, waiting.length);
      return true;
    };
    const fetching = field.fetch(field.wanted([A]));
    const state = () => stateOf(fetching);
    while ((await state()) === "waiting") {
      const next = waiting.shift();
      if (next !== undefined) holder.give(...next);
    }
    await field.expectWhole(fetching, [A]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
  });

  test("while the disk is busy the holder waits; memory stays small and nothing is mixed up", async () => {
    const field = new Field(bytesOf(40 * MiB + 7));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    const holder = field.add(A);
    const fetching = field.fetch(field.wanted([A]));
    await reach(() => holder.connections[0]?.near.paused === true && field.part.pending > 0);
    expect(await stateOf(fetching)).toBe("waiting");
    // A long wait for our own disk is not the holder's fault.
    await field.clock.pass(120_000);
    expect(await stateOf(fetching)).toBe("waiting");
    disk.resolve();
    await field.expectWhole(fetching, [A]);
    expect(field.part.most).toBeLessThanOrEqual(16 * MiB);
    expect(field.failures).toEqual([]);
  });
});

describe("fetchWhole: a holder that fails", () => {
  const SIZE = 4 * MiB + 11;

  test("a later holder goes on where it stopped", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { offset, length }) => {
      far.say(`FILE: length=${length} size=${SIZE}\n`);
      far.say(field.bytes.subarray(offset, 1_000_003));
      far.close();
      return true;
    };
    const second = field.add(B);
    await field.expectWhole(field.fetch(field.wanted([A, B])), [A, B]);
    expect(second.heard[1]).toMatch(/ offset=1000003 length=\d+$/);
    expect(field.failures).toEqual([`${A}: it disconnected`]);
    expect(field.part.restarts).toBe(0);
  });

  test("a pass is asked for at each connection, because it is renewed meanwhile", async () => {
    const field = new Field(bytesOf(100));
    field.add(A).instead = (far) => {
      far.reset();
      return true;
    };
    const second = field.add(B);
    await field.fetch(field.wanted([A, B]));
    expect(second.heard[0]).toBe("HELLO FT/2 pass=pass2.sig");
  });

  const LEAVES: [string, RegExp, (far: Far, request: Request, holder: Holder) => void][] = [
    ["closes before an answer", /disconnected/, (far) => far.close()],
    ["resets before an answer", /broke|left/, (far) => far.reset()],
    [
      "closes after the line that announces the bytes",
      /disconnected/,
      (far, { length }) => {
        far.say(`FILE: length=${length} size=${SIZE}\n`);
        far.close();
      },
    ],
    [
      "is one byte short",
      /disconnected/,
      (far, { offset, length }, { bytes }) => {
        far.say(`FILE: length=${length} size=${SIZE}\n`);
        far.say(bytes.subarray(offset, offset + length - 1));
        far.close();
      },
    ],
    ["has the file no more", /does not have the file/, (far) => far.say("NOT FOUND\n")],
    ["refuses", /No more today/, (far) => far.say("ERROR not-accepted No more today.\n")],
    ["fails", /The disk is on fire/, (far) => far.say("ERROR disk-failed The disk is on fire.\n")],
    ["has a file of another size", /has changed/, (far, { length }) => far.say(`FILE: length=${length} size=${SIZE + 1}\n`)],
    [
      "gives fewer bytes than asked for",
      /another length/,
      (far, { length }) => {
        far.say(`FILE: length=${length - 1} size=${SIZE}\n`);
      },
    ],
    [
      "gives more bytes than asked for",
      /another length/,
      (far) => {
        far.say(`FILE: length=${SIZE + 1} size=${SIZE}\n`);
        far.say(new Uint8Array(SIZE + 1));
      },
    ],
    ["announces 2^53 bytes", /./, (far) => far.say(`FILE: length=9007199254740993 size=${SIZE}\n`)],
    ["announces minus one byte", /./, (far) => far.say(`FILE: length=-1 size=${SIZE}\n`)],
    ["leaves the size out", /./, (far, { length }) => far.say(`FILE: length=${length}\n`)],
    ["answers like a web server", /protocol/, (far) => far.say("HTTP/1.1 404 Not Found\r\n\r\n")],
    ["answers with escape codes", /protocol/, (far) => far.say("ERROR x \u001b]52;c;aGk=\u0007\n")],
    ["answers with bytes that are not text", /protocol/, (far) => far.say(Uint8Array.of(0xff, 0xfe, 0x00, 10))],
    ["answers with a line without end", /protocol/, (far) => far.say("FILE: ".padEnd(10_000, "x"))],
  ];

  test.each(LEAVES)("one that %s is named, and another gives the file", async (_what, reason, act) => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, request) => {
      act(far, request, bad);
      return true;
    };
    field.add(B);
    const { verified } = await field.fetch(field.wanted([A, B]));
    expect(verified).toBe(true);
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toMatch(reason);
    expect(field.failures[0]).toStartWith(A);
    expectPrintable(field.failures.join());
    expect(field.asked()).toEqual([A, B]);
    await settle();
    expect(bad.connections.every((far) => far.over)).toBe(true);
  });

  test.each(LEAVES)("one that %s, and nobody else: a bounded number of tries, then a sentence", async (_what, reason, act) => {
    const field = new Field(bytesOf(SIZE));
    const bad = field.add(A);
    bad.instead = (far, request) => {
      act(far, request, bad);
      return true;
    };
    const { message, code } = await failure(field.fetch(field.wanted([A])));
    expect(code).toBe("no-holder");
    expect(message).toMatch(/^(?:Cannot fetch|The download of) "report, final\.pdf"/);
    expect(message).toContain(`${A}:5000`);
    expect(message).toMatch(reason);
    expectPrintable(message);
    expect(field.asked().length).toBeLessThanOrEqual(5);
    // Tries come further and further apart.
    expect(field.sleeps).toEqual([...field.sleeps].sort((a, b) => a - b));
    expect(new Set(field.sleeps).size).toBe(field.sleeps.length);
    expect(field.sleeps.reduce((sum, ms) => sum + ms, 0)).toBeLessThan(10_000);
    expect(field.sleeps.length).toBe(field.asked().length - 1);
  });

  test.each([
    ["a greeting that is none", "WHO ARE YOU\n"],
    ["a web page", "<html>\n"],
    ["an escape code", "HI FT/2 \u001b[2J\n"],
  ])("%s is not waited behind", async (_what, greeting) => {
    const field = new Field(bytesOf(100));
    field.add(A).greeting = greeting;
    field.add(B);
    const { verified } = await field.fetch(field.wanted([A, B]));
    expect(verified).toBe(true);
    expect(field.failures).toHaveLength(1);
  });

  test("one that refuses for good is not asked again; one that fails is", async () => {
    const field = new Field(bytesOf(100));
    field.add(A).instead = (far) => {
      far.say("ERROR not-accepted Your pass has expired.\n");
      return true;
    };
    const failing = field.add(B);
    failing.instead = (far) => {
      if (failing.connections.length > 2) return false;
      far.say("ERROR disk-failed The disk is on fire.\n");
      return true;
    };
    await field.expectWhole(field.fetch(field.wanted([A, B])), [B]);
    expect(field.asked()).toEqual([A, B, B, B]);
    expect(field.sleeps.length).toBe(2);
  });

  test("more bytes than announced spoil nothing", async () => {
    for (const size of [100, 5 * MiB]) {
      const field = new Field(bytesOf(size));
      const holder = field.add(A);
      holder.instead = (far, request) => {
        holder.give(far, request);
        far.say(new Uint8Array(1000).fill(65));
        return true;
      };
      field.add(B);
      const { verified } = await field.fetch(field.wanted([A, B]));
      expect(verified).toBe(true);
      expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
    }
  });

  test("one that says nothing, or nothing more, is given up within seconds", async () => {
    const head = `FILE: length=${4 * MiB} size=${SIZE}\n`;
    const starts: [string, number][] = [
      ["", 0],
      ["FILE: le", 0],
      [head, 0],
      [head, 3],
      [head, 4 * MiB - 1],
    ];
    for (const [start, more] of starts) {
      const field = new Field(bytesOf(SIZE));
      field.add(A).instead = (far, _request, count) => {
        if (count === 0) far.say(start);
        if (count === 0) far.say(field.bytes.subarray(0, more));
        return true;
      };
      field.add(B);
      const fetching = field.fetch(field.wanted([A, B]));
      expect(await stateOf(fetching)).toBe("waiting");
      await field.clock.pass(3_000);
      expect(field.asked()).toEqual([A]);
      await field.clock.pass(9_000);
      expect(field.asked()).toEqual([A, B]);
      expect((await fetching).verified).toBe(true);
      // Both limits are eight seconds; either of them may notice first.
      expect(field.failures[0]).toMatch(/silent|too slowly/);
    }
  });

  /** Lets A trickle ten bytes a second for a minute, or until somebody else is asked; gives who was asked. */
  async function trickle(field: Field, addresses: string[]): Promise<{ asked: string[]; fetching: Promise<Fetched> }> {
    const slow = field.add(A);
    slow.instead = (far, { length }, count) => {
      if (count === 0) far.say(`FILE: length=${length} size=${SIZE}\n`);
      return true;
    };
    const fetching = field.fetch(field.wanted(addresses));
    fetching.catch(() => undefined);
    await settle();
    for (let second = 0; second < 60 && field.asked().length === 1; second++) {
      await field.clock.pass(1000);
      slow.connections[0]?.say(field.bytes.subarray(second * 10, second * 10 + 10));
      await settle();
    }
    return { asked: field.asked(), fetching };
  }

  test("one that trickles ten bytes a second is given up for another one within seconds", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(B);
    const { asked, fetching } = await trickle(field, [A, B]);
    if (asked.length === 1) field.stop.abort();
    expect(asked).toEqual([A, B]);
    expect((await fetching).verified).toBe(true);
  });

  test("one that trickles, and nobody else has the file: better slowly than never", async () => {
    const field = new Field(bytesOf(SIZE));
    const { asked, fetching } = await trickle(field, [A]);
    expect(asked).toEqual([A]);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.events.at(-1)).toEqual({ event: "progress", received: 600, size: SIZE, holders: 1 });
    field.stop.abort();
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });

  test("holders that cannot be reached are tried a few times, further and further apart", async () => {
    const field = new Field(bytesOf(100));
    field.net.fate = ({ address }) => (address === C ? new FtError("no-answer", "no answer within 5 s") : REFUSED);
    const { message } = await failure(field.fetch(field.wanted([A, B, C])));
    for (const address of [A, B, C]) {
      const tries = field.asked().filter((asked) => asked === address).length;
      expect(tries).toBeGreaterThanOrEqual(2);
      expect(tries).toBeLessThanOrEqual(5);
      expect(message).toContain(`${address}:5000`);
    }
    expect(message).toContain("connection refused");
    expect(message).toContain("no answer within 5 s");
    expect(field.sleeps.length).toBeGreaterThanOrEqual(1);
    expect(field.sleeps).toEqual([...field.sleeps].sort((a, b) => a - b));
  });

  test("one that comes back after a moment is asked again", async () => {
    const field = new Field(bytesOf(100));
    field.add(A);
    field.net.fate = () => (field.net.dialled.length === 1 ? REFUSED : undefined);
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    expect(field.asked()).toEqual([A, A]);
  });

  test("when all are gone the sentence says how far it came", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { length }) => {
      field.net.fate = () => REFUSED;
      far.say(`FILE: length=${length} size=${SIZE}\n`);
      far.say(field.bytes.subarray(0, 2_000_000));
      far.close();
      return true;
    };
    const { message } = await failure(field.fetch(field.wanted([A, B])));
    expect(message).toContain("2.0 MB of 4.2 MB");
    expect(message).toMatch(/same command/);
  });

  test("nobody to ask is a sentence, and the name in it is harmless", async () => {
    const field = new Field(bytesOf(100));
    const { message, code } = await failure(field.fetch({ ...field.wanted([]), name: nameOf("a\u001b[2J\u202e.txt") }));
    expect(code).toBe("no-holder");
    expectPrintable(message);
    expect(message).toContain('"a\\x1b[2J\\u202e.txt"');
  });
});

describe("fetchWhole: a busy holder", () => {
  const SIZE = 9 * MiB + 11;

  function waits(field: Field): string[] {
    return field.events.flatMap((event) => (event.event === "waiting" ? [`${event.holder.address} ${event.position}`] : []));
  }

  test("is waited for, asked again every second on the same connection, and gives the file in its turn", async () => {
    const field = new Field(bytesOf(SIZE));
    const busy = field.add(A);
    let position = 7;
    busy.instead = (far) => {
      if (field.sleeps.length >= 6) return false;
      position = 7 - field.sleeps.length;
      far.say(`BUSY position=${position}\n`);
      return true;
    };
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    expect([...new Set(waits(field))]).toEqual([7, 6, 5, 4, 3, 2].map((place) => `${A} ${place}`));
    expect(field.sleeps).toEqual([1000, 1000, 1000, 1000, 1000, 1000]);
    expect(field.failures).toEqual([]);
    expect(busy.connections).toHaveLength(1);
  });

  test("that is busy again in the middle is waited for there, and nothing is asked for twice that came", async () => {
    const field = new Field(bytesOf(SIZE));
    const busy = field.add(A);
    const given: number[] = [];
    busy.instead = (far, { offset }) => {
      if (offset > 0 && field.sleeps.length === 0) {
        far.say("BUSY position=1\n");
        return true;
      }
      given.push(offset);
      return false;
    };
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    expect(given).toEqual([0, 4 * MiB, 8 * MiB]);
    expect(field.failures).toEqual([]);
  });

  test("whose slot comes free between two requests under way has not failed", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, _request, count) => {
      if (count === 0) far.say("BUSY position=1\n");
      return count === 0;
    };
    await field.expectWhole(field.fetch(field.wanted([A])), [A]);
    expect(field.failures).toEqual([]);
  });

  test("is no failure for as long as it lives, and has failed when it is gone", async () => {
    const field = new Field(bytesOf(100));
    const busy = field.add(A);
    busy.instead = (far) => {
      far.say("BUSY position=1\n");
      return true;
    };
    const fetching = field.fetch(field.wanted([A]));
    fetching.catch(() => undefined);
    await reach(() => field.sleeps.length > 50);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.failures).toEqual([]);
    expect(field.asked()).toEqual([A]);
    field.net.fate = () => REFUSED;
    busy.connections[0]?.close();
    expect((await failure(fetching)).code).toBe("no-holder");
    expect(field.failures[0]).toBe(`${A}: it disconnected`);
  });

  test("is let go at once when it is stopped, and asked nothing more", async () => {
    const field = new Field(bytesOf(100));
    const busy = field.add(A);
    busy.instead = (far) => {
      far.say("BUSY position=1\n");
      return true;
    };
    const fetching = field.fetch(field.wanted([A]));
    fetching.catch(() => undefined);
    await reach(() => field.sleeps.length > 3);
    field.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    await settle();
    expect(busy.connections[0]?.closed).toBe(true);
    const { length } = busy.heard;
    const slept = field.sleeps.length;
    for (let turn = 0; turn < 10; turn++) await settle();
    expect(busy.heard).toHaveLength(length);
    expect(field.sleeps.length).toBeLessThanOrEqual(slept + 1);
  });

  test("does not keep a free one waiting, and is not said to be slow", async () => {
    const field = new Field(bytesOf(100));
    field.add(A).instead = (far) => {
      far.say("BUSY position=9\n");
      return true;
    };
    field.add(B);
    const fetching = field.fetch(field.wanted([A, B]));
    fetching.catch(() => undefined);
    await settle();
    for (let second = 0; second < 30 && (await stateOf(fetching)) === "waiting"; second++) await field.clock.pass(1000);
    if ((await stateOf(fetching)) === "waiting") field.stop.abort();
    await field.expectWhole(fetching, [B]);
    expect(field.failures.join()).not.toContain("slowly");
  });
});

describe("fetchWhole: patience", () => {
  const SIZE = 9 * MiB;
  const MINUTE = 60_000;

  /** Sends next to nothing for as long as it is listened to. */
  function trickles(field: Field, address: string, perSecond: number): void {
    field.add(address).instead = (far, { offset, length }, count) => {
      if (count > 0) return true;
      far.say(`FILE: length=${length} size=${field.bytes.length}\n`);
      let at = offset;
      const more = () => {
        if (far.closed) return;
        far.say(field.bytes.subarray(at, at + perSecond));
        at += perSecond;
        field.clock.after(1000, more);
      };
      more();
      return true;
    };
  }

  async function finish(field: Field, fetching: Promise<Fetched>, withinMs: number): Promise<Fetched> {
    fetching.catch(() => undefined);
    for (let ms = 0; (await stateOf(fetching)) === "waiting"; ms += 1000) {
      if (ms >= withinMs) throw new Error(`it should have been over within ${withinMs} ms`);
      await field.clock.pass(1000);
    }
    return fetching;
  }

  test.each([
    ["three addresses", (i: number) => `10.0.0.${1 + (i % 3)}`],
    ["one IPv6 network", (i: number) => `2001:db8:0:1::${(i + 1).toString(16)}`],
  ])("96 invented holders of %s that trickle do not hold a download up", async (_what, addressAt) => {
    const field = new Field(bytesOf(SIZE));
    const invented = Array.from({ length: 96 }, (_, i) => addressAt(i));
    for (const address of new Set(invented)) trickles(field, address, 1_400);
    field.add(A);
    const fetching = field.fetch(field.wanted([...invented, A], undefined));
    await finish(field, fetching, 20_000);
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
  });

  test("a slow holder is left for an untried one, and the faster of two slow ones gives the rest", async () => {
    const field = new Field(bytesOf(MiB));
    trickles(field, A, 3_000);
    trickles(field, B, 60_000);
    const { holders } = await finish(field, field.fetch(field.wanted([A, B])), MINUTE);
    expect(holders.map(({ address }) => String(address))).toEqual([A, B]);
    expect(field.asked()).toEqual([A, B]);
    expect(field.failures).toEqual([]);
  });

  test("one that trickles and is alone: ten minutes, then a sentence", async () => {
    const field = new Field(bytesOf(SIZE));
    trickles(field, A, 10);
    const { message } = await failure(finish(field, field.fetch(field.wanted([A])), 12 * MINUTE));
    expect(message).toContain("it sent next to nothing for 10 minutes");
  });

  test("one that says BUSY for ever and is alone: ten minutes, then a sentence", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far) => {
      far.say("BUSY position=2\n");
      return true;
    };
    const { message } = await failure(finish(field, field.fetch(field.wanted([A])), 12 * MINUTE));
    expect(message).toContain("its queue did not move for 10 minutes");
    expect(field.asked()).toEqual([A]);
  });

  test("while all are busy a place in a queue is kept as long as it moves", async () => {
    const field = new Field(bytesOf(100));
    let moved = 100;
    for (const address of [A, B]) {
      field.add(address).instead = (far) => {
        if (moved <= 0) return false;
        if (address === B) moved -= 1;
        far.say(`BUSY position=${address === B ? moved + 1 : 7}\n`);
        return true;
      };
    }
    await field.expectWhole(finish(field, field.fetch(field.wanted([A, B])), MINUTE), [B]);
    expect(field.asked()).toEqual([A, B]);
  });

  test("an old holder that takes a request and says nothing: an end", async () => {
    const field = new Field(bytesOf(100));
    field.holders.set(A, { meet: () => undefined });
    const wanted = { ...field.wanted([A], undefined), holders: [field.record(A, { v2: false })] };
    const { message } = await failure(finish(field, field.fetch(wanted), MINUTE));
    expect(message).toContain("silent");
  });

  test("the time in which this program was stopped is no holder's fault", async () => {
    const field = new Field(bytesOf(MiB));
    trickles(field, A, 60_000);
    trickles(field, B, 60_000);
    const fetching = field.fetch(field.wanted([A, B]));
    await field.clock.pass(2_000);
    field.clock.spend(80_000);
    await field.clock.pass(1_000);
    expect(field.asked()).toEqual([A]);
    await finish(field, fetching, MINUTE);
    expect(field.failures).toEqual([]);
  });
});

describe("fetchWhole: a lying holder", () => {
  const SIZE = 5 * MiB + 3;

  test.each([
    ["one wrong bit in the last byte", (bytes: Uint8Array) => bytes.with(SIZE - 1, (bytes[SIZE - 1] ?? 0) ^ 1)],
    ["one wrong bit in the first byte", (bytes: Uint8Array) => bytes.with(0, (bytes[0] ?? 0) ^ 128)],
    ["another file of the same size", () => bytesOf(SIZE, 9)],
    ["zeros", () => new Uint8Array(SIZE)],
    [
      "two blocks exchanged",
      (bytes: Uint8Array) => {
        const mixed = bytes.slice();
        mixed.set(bytes.subarray(0, 16_384), 16_384);
        mixed.set(bytes.subarray(16_384, 32_768), 0);
        return mixed;
      },
    ],
  ])("%s: it is named, the file is begun again, another holder gives the right one", async (_what, spoil) => {
    const field = new Field(bytesOf(SIZE));
    field.add(A, spoil(field.bytes));
    field.add(B);
    await field.expectWhole(field.fetch(field.wanted([A, B])), [B]);
    expect(field.failures).toHaveLength(1);
    expect(field.failures[0]).toMatch(new RegExp(`^${A}: .*not the file`));
    expect(field.part.restarts).toBe(1);
    expect(field.asked()).toEqual([A, B]);
  });

  test("only liars: a sentence that names them, never a finished file", async () => {
    const field = new Field(bytesOf(100));
    field.add(A, bytesOf(100, 1));
    field.add(B, bytesOf(100, 2));
    const { message, code } = await failure(field.fetch(field.wanted([A, B])));
    expect(code).toBe("no-holder");
    expect(message).toContain(`${A}:5000`);
    expect(message).toContain(`${B}:5000`);
    expect(field.asked().length).toBeLessThanOrEqual(6);
    expect(field.part.restarts).toBe(field.asked().length);
  });

  test("an empty file where one is wanted, and bytes where none are", async () => {
    const field = new Field(bytesOf(10));
    field.add(A).instead = (far) => {
      far.say("FILE: length=0 size=0\n");
      return true;
    };
    field.add(B);
    await field.expectWhole(field.fetch(field.wanted([A, B])), [B]);
    const empty = new Field(new Uint8Array(0));
    empty.add(A).instead = (far) => {
      far.say("FILE: length=5 size=5\nHello");
      return true;
    };
    const honest = empty.add(B);
    expect(await empty.fetch(empty.wanted([A, B]))).toEqual({ verified: true, holders: [] });
    expect(honest.heard[1]).toMatch(/offset=0 length=0$/);
    expect(empty.failures).toHaveLength(1);
  });

  test("one that gives a wrong beginning and leaves does not get the honest one expelled with it", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { length }) => {
      far.say(`FILE: length=${length} size=${SIZE}\n`);
      far.say(new Uint8Array(1_000_000));
      far.close();
      return true;
    };
    field.add(B);
    await field.expectWhole(field.fetch(field.wanted([A, B])), [B]);
  });

  test("an honest one that left halfway is asked again, although what came after it was a lie", async () => {
    const field = new Field(bytesOf(SIZE));
    const honest = field.add(A);
    honest.instead = (far, { length }, count) => {
      if (honest.connections.length > 1 || count > 0) return false;
      far.say(`FILE: length=${length} size=${SIZE}\n`);
      far.say(field.bytes.subarray(0, 1_000_000));
      far.close();
      return true;
    };
    field.add(B, new Uint8Array(SIZE));
    await field.expectWhole(field.fetch(field.wanted([A, B])), [A]);
  });

  test("one honest holder among many liars is enough", async () => {
    const field = new Field(bytesOf(SIZE));
    const liars = ["192.168.1.41", "192.168.1.42", "192.168.1.43", "192.168.1.44"];
    for (const [i, address] of liars.entries()) {
      const liar = field.add(address, bytesOf(SIZE, i + 1));
      // Some give all of it, some leave in the middle.
      if (i % 2 === 0) continue;
      liar.instead = (far, { length }) => {
        far.say(`FILE: length=${length} size=${SIZE}\n`);
        far.say(liar.bytes.subarray(0, 1_000_000));
        far.close();
        return true;
      };
    }
    field.add(C);
    await field.expectWhole(field.fetch(field.wanted([...liars, C])), [C]);
    expect(field.asked().length).toBeLessThanOrEqual(15);
  });

  test("a liar that hangs up late does not disturb the transfer after it", async () => {
    const size = 20 * MiB + 1;
    const field = new Field(bytesOf(size));
    const liar = field.add(A, new Uint8Array(size));
    liar.lingers = true;
    const disk = Promise.withResolvers<void>();
    const honest = field.add(B);
    honest.instead = (_far, _request, count) => {
      if (count === 0) field.part.gate = disk.promise;
      return false;
    };
    const fetching = field.fetch(field.wanted([A, B]));
    for (let i = 0; i < 100 && honest.connections[0]?.near.paused !== true; i++) await settle();
    expect(field.asked()).toEqual([A, B]);
    expect(honest.connections[0]?.near.paused).toBe(true);
    expect(liar.connections[0]?.near.closed).toBe(false);
    liar.connections[0]?.close();
    await settle();
    disk.resolve();
    for (let i = 0; i < 100 && (await stateOf(fetching)) === "waiting"; i++) await settle();
    expect(await stateOf(fetching)).toBe("done");
    await field.expectWhole(fetching, [B]);
  });

  test("a liar that hangs up late does not make the transfer after it unstoppable", async () => {
    const field = new Field(bytesOf(1000));
    const liar = field.add(A, new Uint8Array(1000));
    liar.lingers = true;
    field.add(B).instead = () => true;
    const fetching = field.fetch(field.wanted([A, B]));
    for (let i = 0; i < 100 && field.asked().length < 2; i++) await settle();
    await settle();
    expect(field.asked()).toEqual([A, B]);
    expect(liar.connections[0]?.near.closed).toBe(false);
    liar.connections[0]?.close();
    await settle();
    field.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });
});

describe("fetchWhole: an old holder", () => {
  const HELLO = new TextEncoder().encode(" Hello, world");

  /** Fetches from one holder that reads the request to its end and answers with these pieces. */
  function basicField(bytes: Uint8Array, answer: (far: Far, count: number) => void): Field {
    const field = new Field(bytes);
    let count = 0;
    field.holders.set(A, {
      meet: (far) => {
        const mine = count++;
        void far.until(() => far.over).then(() => answer(far, mine));
      },
    });
    return field;
  }

  function wantedFrom(field: Field, addresses = [A]): WantedFile {
    const holders = addresses.map((address) => {
      const { root: _root, ...record } = field.record(address, { v2: false });
      return record;
    });
    return { name: NAME, size: field.bytes.length, holders };
  }

  test("the conversation, byte for byte; a file that begins with a space keeps it", async () => {
    let asked = "";
    const field = basicField(HELLO, (far) => {
      asked = far.waiting.toString();
      far.say("FILE:");
      far.say(HELLO);
      far.close();
    });
    const { verified, holders } = await field.fetch(wantedFrom(field));
    expect(asked).toBe("DOWNLOAD:report, final.pdf,application/pdf,13");
    expect(verified).toBe(false);
    expect(holders.map(({ address }) => String(address))).toEqual([A]);
    expect(Buffer.from(field.part.bytes).toString()).toBe(" Hello, world");
    expect(field.passes).toBe(0);
  });

  test("a record whose name would be a second request is refused before anybody is dialled", async () => {
    const field = basicField(HELLO, () => undefined);
    const wanted = wantedFrom(field);
    for (const holder of wanted.holders) holder.name = nameOf("x\r\nFLUSHALL\r\n");
    const { message } = await failure(field.fetch(wanted));
    expect(message).toContain(`${A}:5000: its name has control characters, which the basic protocol cannot carry`);
    expect(field.asked()).toEqual([]);
  });

  test.each([0, 1, 65_536, 9 * MiB + 1])("%d bytes in pieces", async (size) => {
    const bytes = bytesOf(size);
    const field = basicField(bytes, (far) => {
      far.stutter("FILE:");
      for (let at = 0; at < size; at += 300_007) far.say(bytes.subarray(at, at + 300_007));
      far.close();
    });
    await field.fetch(wantedFrom(field));
    expect(Buffer.compare(field.part.bytes, field.bytes)).toBe(0);
  });

  test("a record with a root is held against it, whoever gives the bytes", async () => {
    const right = basicField(HELLO, (far) => {
      far.say(`FILE:${Buffer.from(HELLO)}`);
      far.close();
    });
    const wanted = { ...wantedFrom(right), root: rootOfBytes(HELLO) };
    expect((await right.fetch(wanted)).verified).toBe(true);
    const wrong = basicField(HELLO, (far) => {
      far.say("FILE: Hello, wOrld");
      far.close();
    });
    expect((await failure(wrong.fetch({ ...wantedFrom(wrong), root: rootOfBytes(HELLO) }))).code).toBe("no-holder");
  });

  test.each([
    ["fewer bytes", "FILE: Hello", /6 B of 13 B/],
    ["more bytes", "FILE: Hello, world!", /more than/],
    ["NOT FOUND", "NOT FOUND", /does not send/],
    ["nothing", "", /without an answer/],
    ["half a word", "FIL", /without an answer/],
    ["a web page", "HTTP/1.1 200 OK\r\n\r\n Hello, world", /does not send/],
  ])("%s: named, bounded, never a finished file", async (_what, answer, reason) => {
    const field = basicField(HELLO, (far) => {
      far.say(answer);
      far.close();
    });
    const { message, code } = await failure(field.fetch(wantedFrom(field)));
    expect(code).toBe("no-holder");
    expect(message).toMatch(reason);
    expect(message).toContain(`${A}:5000`);
    expect(field.asked().length).toBeLessThanOrEqual(5);
  });

  test("one that fails halfway is begun again from the start, not gone on from", async () => {
    const field = basicField(HELLO, (far, count) => {
      far.say(count === 0 ? "FILE: Hexxx" : "FILE: Hello, world");
      if (count === 0) far.reset();
      else far.close();
    });
    await field.fetch(wantedFrom(field));
    expect(Buffer.from(field.part.bytes).toString()).toBe(" Hello, world");
    expect(field.part.restarts).toBe(1);
  });

  test("one that stalls is given up within seconds", async () => {
    const field = basicField(HELLO, (far) => far.say("FILE: Hel"));
    field.holders.set(B, {
      meet: (far) => {
        void far
          .until(() => far.over)
          .then(() => {
            far.say("FILE: Hello, world");
            far.close();
          });
      },
    });
    const fetching = field.fetch(wantedFrom(field, [A, B]));
    expect(await stateOf(fetching)).toBe("waiting");
    await field.clock.pass(12_000);
    expect((await fetching).holders.map(({ address }) => String(address))).toEqual([B]);
    expect(Buffer.from(field.part.bytes).toString()).toBe(" Hello, world");
  });
});

describe("fetchWhole: stopping", () => {
  const stops: [string, (field: Field) => Promise<void>][] = [
    ["before it began", async () => {}],
    [
      "while nobody answers the dial",
      async (field) => {
        field.net.fate = () => "silence";
      },
    ],
    [
      "before the first byte",
      async (field) => {
        field.add(A).instead = () => true;
      },
    ],
    [
      "in the middle of a body",
      async (field) => {
        field.add(A).instead = (far, { length }) => {
          far.say(`FILE: length=${length} size=${field.bytes.length}\n`);
          far.say(field.bytes.subarray(0, 1000));
          return true;
        };
      },
    ],
    [
      "while our disk is busy",
      async (field) => {
        field.part.gate = new Promise(() => {});
        field.add(A);
      },
    ],
  ];

  test.each(stops)("%s ends it at once, and the connection with it", async (what, prepare) => {
    const field = new Field(bytesOf(13 * MiB));
    await prepare(field);
    if (what === "before it began") field.stop.abort();
    const fetching = field.fetch(field.wanted([A, B]));
    fetching.catch(() => undefined);
    await settle();
    field.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
    await settle();
    for (const holder of field.holders.values()) {
      if (holder instanceof Holder) expect(holder.connections.every((far) => far.closed)).toBe(true);
    }
    expect(field.asked()).not.toContain(B);
    expect(field.failures).toEqual([]);
  });

  test("a fetch that is over leaves nothing hanging on the signal", async () => {
    for (const outcome of ["done", "failed"]) {
      const field = new Field(bytesOf(100));
      if (outcome === "done") field.add(A);
      else field.net.fate = () => REFUSED;
      await field.fetch(field.wanted([A])).catch(() => undefined);
      await settle();
      expect([outcome, getEventListeners(field.stop.signal, "abort").length]).toEqual([outcome, 0]);
    }
  });
});

describe("fetchWhole: our own disk", () => {
  const full = new FtError("ENOSPC", 'Cannot fetch "report": the disk of "/downloads" is full; 17 MB are needed.');

  test.each([0, 4 * MiB, 8 * MiB, 16 * MiB])(
    "a write that fails at %d stops everything at once, with its own sentence",
    async (at) => {
      const field = new Field(bytesOf(17 * MiB));
      const holder = field.add(A);
      field.add(B);
      field.part.fails = (offset) => (offset === at ? full : undefined);
      const fetching = field.fetch(field.wanted([A, B]));
      expect(await failure(fetching)).toBe(full);
      await settle();
      expect(field.asked()).toEqual([A]);
      expect(holder.connections[0]?.over).toBe(true);
      expect(field.failures).toEqual([]);
      expect(field.part.restarts).toBe(0);
    },
  );

  test("a disk that fails while the holder is silent is told at once, not when the holder goes on", async () => {
    const field = new Field(bytesOf(9 * MiB));
    field.part.fails = () => full;
    field.add(A).instead = (_far, _request, count) => count > 0;
    let over = false;
    const fetching = field.fetch(field.wanted([A, B]));
    fetching.catch(() => {
      over = true;
    });
    await reach(() => over);
    expect(await failure(fetching)).toBe(full);
    expect(field.asked()).toEqual([A]);
  });

  test("beginning again may fail, too", async () => {
    const field = new Field(bytesOf(100));
    field.add(A, bytesOf(100, 1));
    field.add(B);
    field.part.restart = () => Promise.reject(full);
    expect(await failure(field.fetch(field.wanted([A, B])))).toBe(full);
    expect(field.asked()).toEqual([A]);
  });

  test("hashing that fails stops it, and is no holder's fault", async () => {
    const broken = new FtError("hash-failed", "hashing failed: out of memory");
    const field = new Field(bytesOf(6 * MiB));
    field.layer = () => Promise.reject(broken);
    field.add(A);
    expect(await failure(field.fetch(field.wanted([A])))).toBe(broken);
    expect(field.failures).toEqual([]);
  });
});

describe("fetchWhole: on the real network, from disk to disk", () => {
  test("a file of eleven million odd bytes, served, fetched, verified, published", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ft-fetch-"));
    const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 2);
    const bytes = bytesOf(11_111_111);
    const source = join(folder, "odd.bin");
    writeFileSync(source, bytes);
    const share = new Share(chooseFiles([source], 5).taken);
    const server = new Server({
      open: (wanted) => {
        const found = share.find(wanted);
        const file = found === undefined ? undefined : share.open(found);
        return found === undefined || file === undefined ? undefined : { name: found.name, file };
      },
      changed: () => {},
      readPass: () => ({ id: "anybody" }),
      look: () => undefined,
      sha256,
      known: async () => true,
      report: () => {},
    });
    const listener = listen({ host: "127.0.0.1", port: 0, onConnection: (channel) => server.accept(channel) });
    const name = nameOf("odd.bin");
    const to = mkdtempSync(join(tmpdir(), "ft-fetch-"));
    try {
      for (const v2 of [true, false]) {
        for (const file of share.files) file.root = rootOfBytes(bytes);
        const root = v2 ? rootOfBytes(bytes) : undefined;
        const holder: FileRecord = {
          name,
          type: "application/octet-stream",
          size: bytes.length,
          date: "22/11/26",
          address: addressOf("127.0.0.1"),
          port: listener.port,
          v2,
        };
        const incoming = await Incoming.open({
          folder: to,
          name: v2 ? "two.bin" : "one.bin",
          size: bytes.length,
          key: `k${v2}`,
        });
        const { verified } = await fetchFile(
          { name, size: bytes.length, root, holders: [holder] },
          {
            dial,
            target: incoming,
            pass: () => "any.pass",
            layer: (memory, length) => pool.layer({ memory, length, fileSize: bytes.length }),
            sha256,
            report: () => {},
          },
        );
        expect(verified).toBe(v2);
        const { path } = await incoming.publish(false);
        expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
      }
      expect(readdirSync(to).sort()).toEqual(["one.bin", "two.bin"]);
    } finally {
      listener.stop();
      pool.close();
      rmSync(folder, { recursive: true, force: true });
      rmSync(to, { recursive: true, force: true });
    }
  });
});
