// A file to fetch by pieces, its holders, and a part file that refuses wrong bytes, all in memory. Time is moved by hand.

import { expect } from "bun:test";
import { getEventListeners } from "node:events";
import { FtError } from "../../lib/error.ts";
import { sha256 } from "../../lib/peer/content/hash.ts";
import { blockLayer, pieceCountOf, pieceHash, pieceSizeOf, rootOf } from "../../lib/peer/content/merkle.ts";
import { PieceSet } from "../../lib/peer/content/pieces.ts";
import { fetchFile } from "../../lib/peer/fetch/fetch.ts";
import type { Range } from "../../lib/peer/fetch/source.ts";
import type { FetchEvent, Fetched, FetchTools, Target, WantedFile } from "../../lib/peer/fetch/types.ts";
import type { FileRecord } from "../../lib/protocol/record.ts";
import { addressOf, type Far, HandClock, Net, nameOf, settle } from "./channel.ts";

export const KiB = 1024;
export const MiB = 1024 * KiB;
/** The piece size of every file here. */
export const PIECE = 64 * KiB;
export const NAME = nameOf("report, final.pdf");
export const A = "192.168.1.31";
export const B = "192.168.1.32";
export const C = "192.168.1.33";
export const D = "192.168.1.34";
export const E = "192.168.1.35";

/** The same bytes in every run, and different ones at every place. */
export function bytesOf(size: number, salt = 0): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + salt * 7919 + 1, 2654435761);
  return new Uint8Array(words.buffer, 0, size);
}

export function piecesOf(bytes: Uint8Array, fileSize = bytes.length): Uint8Array {
  const step = pieceSizeOf(fileSize);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + step), sha256), fileSize, sha256));
  // Not a Buffer: a slice of one would share its memory.
  return new Uint8Array(Buffer.concat(hashes));
}

/** Numbers from 0 to 1, the same in every run. */
export function diceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The pieces in a stretch. */
export function piecesIn({ offset, length }: Range): number[] {
  expect(offset % PIECE).toBe(0);
  return Array.from({ length: Math.ceil(length / PIECE) }, (_, i) => offset / PIECE + i);
}

export interface Request extends Range {
  verb: string;
  line: string;
  /** How many of this verb came before, on all connections. */
  count: number;
}

/** A holder that speaks FT/2 and is honest, unless `instead` handles a request. */
export class Holder {
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
export class Part implements Target {
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

export const fields: Field[] = [];

/** A file that is wanted, who has it, and where it goes. */
export class Field {
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

export async function failure(promise: Promise<unknown>): Promise<FtError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a sentence: ${outcome}`);
  return outcome;
}

export async function stateOf(promise: Promise<unknown>): Promise<"done" | "failed" | "waiting"> {
  const settled = promise.then(
    () => "done" as const,
    () => "failed" as const,
  );
  return Promise.race([settled, settle().then(() => "waiting" as const)]);
}

/** Whatever an error says, no control character of a stranger is in it. */
export function expectPrintable(sentence: string): void {
  expect(sentence).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
}

/** To be called after each test: ends what is under way, and fails if a part file was given wrong bytes. */
export function checkFields(): void {
  const wrong = fields.flatMap(({ part }) => part.wrong);
  for (const { stop } of fields.splice(0)) stop.abort();
  expect(wrong).toEqual([]);
}

export const SIZE = 10 * PIECE + 123;
