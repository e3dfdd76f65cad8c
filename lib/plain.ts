// Fetching one file: from whom, in what order, and whether what arrived is what was wanted. Network and disk are handed in.
//
// Holders are asked one after the other; a later one goes on where an earlier one stopped. What arrives is gathered in stretches
// of shared memory, each written and hashed at the same time; a file whose record has a root is complete only when it is right.

import type { Channel, Dial } from "./channel.ts";
import { CancelledError, codeOf, FtError, ProtocolError, sentenceOf } from "./error.ts";
import { concatBytes } from "./frame.ts";
import { pieceSizeOf, rootOf, type Sha256 } from "./merkle.ts";
import { BasicDownloadInbox, basic, DownloadInbox, encodeToHolder } from "./message.ts";
import { type FileName, type FileRecord, formatEndpoint } from "./record.ts";
import { formatSize, printable } from "./text.ts";

/** Bytes asked for with one request, and requests under way. */
const REQUEST = 4 * 1024 * 1024;
const WINDOW = 4;
/** Stretches in memory at once: one being filled, the others being hashed and written. Without a free one the holder waits. */
const SLOTS = 4;
/** A holder that sends nothing for this long is given up, */
const STALL_MS = 8_000;
/** and, if there are others, one that sends fewer bytes a second over that time. */
const SLOWEST = 1024;
const TRIES_A_HOLDER = 3;
const FIRST_BACKOFF_MS = 250;

/** Where the bytes go: a part file. */
export interface Target {
  /** Writes at a position; fails with a sentence. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Throws away what was written. */
  restart(): Promise<void>;
}

/** What to fetch: records of the same content, the holders to try in this order. */
export interface Wanted {
  name: FileName;
  size: number;
  root?: string | undefined;
  holders: FileRecord[];
}

export interface FetchTools {
  dial: Dial;
  target: Target;
  /** The pass to show to other peers; asked for at each connection, because it is renewed. */
  pass(): string;
  /** The hashes of the pieces in a stretch of the file; off the main thread. */
  layer(memory: SharedArrayBuffer, length: number): Promise<Uint8Array>;
  sha256: Sha256;
  report(event: FetchEvent): void;
  signal?: AbortSignal;
  sleep?: (ms: number) => Promise<void>;
}

export type FetchEvent =
  | { event: "asking"; holder: FileRecord }
  | { event: "progress"; received: number; size: number }
  | { event: "verifying" }
  | { event: "holder-failed"; holder: FileRecord; reason: string };

export interface Fetched {
  verified: boolean;
  /** Those whose bytes are in the file. */
  holders: FileRecord[];
}

/**
 * Fetches into the target until it is whole and right. Throws `CancelledError`, the target's own error, or a sentence that
 * says who failed and how far it came.
 */
export async function fetchFile(wanted: Wanted, tools: FetchTools): Promise<Fetched> {
  const sleep = tools.sleep ?? ((ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const attempt = new Attempt(wanted, tools);
  try {
    return await askInTurn(wanted, tools, attempt, sleep);
  } finally {
    attempt.end();
  }
}

async function askInTurn(
  wanted: Wanted,
  tools: FetchTools,
  attempt: Attempt,
  sleep: (ms: number) => Promise<void>,
): Promise<Fetched> {
  const failures = new Map<FileRecord, number>();
  const reasons: string[] = [];
  let candidates = [...wanted.holders];
  for (let round = 0; candidates.length > 0; round++) {
    for (const holder of candidates) {
      if (tools.signal?.aborted) throw new CancelledError();
      tools.report({ event: "asking", holder });
      try {
        await attempt.askHolder(holder, candidates.length > 1);
        const suspects = await attempt.verify();
        if (suspects === undefined) return { verified: wanted.root !== undefined, holders: [...attempt.contributors] };
        // Of several only one need have lied: from now on each has to give the whole file by itself.
        const weight = suspects.length > 1 ? 1 : TRIES_A_HOLDER;
        for (const suspect of suspects) blame(suspect, "what it sent is not the file it announced", weight);
      } catch (error) {
        if (!(error instanceof HolderError)) throw error;
        blame(holder, error.message, error.final ? TRIES_A_HOLDER : 1);
      }
    }
    candidates = candidates.filter((holder) => (failures.get(holder) ?? 0) < TRIES_A_HOLDER);
    if (candidates.length > 0) await sleep(FIRST_BACKOFF_MS * 2 ** round);
  }
  throw new FtError("no-holder", attempt.failureSentence(reasons));

  function blame(holder: FileRecord, reason: string, weight: number): void {
    failures.set(holder, (failures.get(holder) ?? 0) + weight);
    tools.report({ event: "holder-failed", holder, reason });
    const clause = `${formatEndpoint(holder)}: ${reason}`;
    if (!reasons.includes(clause)) reasons.push(clause);
  }
}

/** One holder could not give the file; another may. `final` when asking it again is of no use. */
class HolderError extends FtError {
  readonly final: boolean;

  constructor(reason: string, final: boolean) {
    super("holder-failed", reason);
    this.final = final;
  }
}

/** The state of one file under way. */
class Attempt {
  readonly contributors = new Set<FileRecord>();
  readonly #wanted: Wanted;
  readonly #tools: FetchTools;
  readonly #stretches: Stretches;
  readonly #onAbort = () => this.#abortHolder?.(new CancelledError());
  /** Holders are not mixed any more: what they sent together was wrong. */
  #apart = false;
  #received = 0;
  #failed: Error | undefined;
  #abortHolder: ((error: Error) => void) | undefined;
  #onRoom: (() => void) | undefined;

  constructor(wanted: Wanted, tools: FetchTools) {
    this.#wanted = wanted;
    this.#tools = tools;
    this.#stretches = new Stretches(wanted, tools, {
      room: () => this.#onRoom?.(),
      failed: (error) => {
        this.#failed = error;
        this.#abortHolder?.(error);
      },
    });
    tools.signal?.addEventListener("abort", this.#onAbort);
  }

  /** Nothing of it stays on the signal. */
  end(): void {
    this.#tools.signal?.removeEventListener("abort", this.#onAbort);
  }

  /** Receives from this holder what is still missing. One that trickles is given up only if there are others. */
  async askHolder(holder: FileRecord, others: boolean): Promise<void> {
    const { dial, signal } = this.#tools;
    let channel: Channel;
    try {
      channel = await dial(holder, signal === undefined ? {} : { signal });
    } catch (error) {
      if (codeOf(error) === "cancelled") throw new CancelledError();
      throw new HolderError(sentenceOf(error), false);
    }
    if (!holder.v2 || (this.#apart && !this.contributors.has(holder))) await this.#restartUnlessEmpty();
    channel.limit({ idle: STALL_MS });
    await new Promise<void>((resolve, reject) => {
      let settled = false;
      const settle = (error?: Error) => {
        // A connection that ends late has no say in the one that came after it.
        if (settled) return;
        settled = true;
        clearInterval(pace);
        this.#abortHolder = undefined;
        this.#onRoom = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#abortHolder = (error) => {
        settle(error);
        channel.destroy();
      };
      let before = this.#received;
      const pace = setInterval(() => {
        const slow = this.#received - before < (SLOWEST * STALL_MS) / 1000 && !this.#stretches.full;
        before = this.#received;
        if (slow && others) this.#abortHolder?.(new HolderError("it sends too slowly", false));
      }, STALL_MS);
      this.#onRoom = () => channel.resume();
      if (this.#failed !== undefined) this.#abortHolder(this.#failed);
      else if (holder.v2) this.#receive(channel, holder, settle);
      else this.#receiveBasic(channel, holder, settle);
    });
  }

  /** FT/2: requests are pipelined, so that the holder never waits for the next one. */
  #receive(channel: Channel, holder: FileRecord, settle: (error?: Error) => void): void {
    const { size, root } = this.#wanted;
    const inbox = new DownloadInbox();
    const asked: number[] = [];
    let next = this.#received;
    let bodies = 0;

    const ask = () => {
      while (asked.length < WINDOW && (next < size || (size === 0 && bodies + asked.length === 0))) {
        const length = Math.min(REQUEST, size - next);
        const what = root === undefined ? { name: holder.name } : { root };
        channel.send(encodeToHolder({ verb: "DOWNLOAD", profile: 2, ...what, offset: next, length }));
        asked.push(length);
        next += length;
      }
    };
    const fail = (reason: string, final: boolean) => {
      settle(new HolderError(reason, final));
      channel.destroy();
    };
    const readOn = () => {
      for (;;) {
        if (inbox.body > 0) {
          const bytes = inbox.takeBody();
          if (bytes.length === 0) return;
          this.#keep(channel, holder, bytes);
          if (inbox.body > 0) continue;
        } else {
          const message = inbox.next();
          if (message === undefined) return;
          if (message.verb === "HI") continue;
          if (message.verb === "NOT FOUND") return fail("it does not have the file any more", true);
          if (message.verb === "ERROR") return fail(`it refused: ${message.words}`, message.code === "not-accepted");
          if (message.verb === "BUSY") return fail("it is busy", false);
          if (message.size !== size) return fail("its file is another one by now", true);
          if (message.length !== asked[0]) return fail("it sent another length than was asked for", true);
          if (message.length > 0) continue;
        }
        asked.shift();
        bodies += 1;
        ask();
        if (asked.length === 0) {
          settle();
          channel.send(encodeToHolder({ verb: "BYE" }));
          channel.finish();
          return;
        }
      }
    };

    channel.start({
      data: (chunk) => {
        inbox.push(chunk);
        try {
          readOn();
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          fail(`it broke the protocol: ${error.message}`, true);
        }
      },
      end: () => fail("it left", false),
      close: (reason) => settle(new HolderError(reason === "" ? "it left" : reason, false)),
    });
    channel.send(encodeToHolder({ verb: "HELLO", pass: this.#tools.pass() }));
    ask();
  }

  /** FT/1: the whole file until the end of the stream; only its size tells whether it is whole. */
  #receiveBasic(channel: Channel, holder: FileRecord, settle: (error?: Error) => void): void {
    const { size } = this.#wanted;
    const inbox = new BasicDownloadInbox();
    const fail = (reason: string, final: boolean) => {
      settle(new HolderError(reason, final));
      channel.destroy();
    };
    channel.start({
      data: (chunk) => {
        inbox.push(chunk);
        try {
          const bytes = inbox.takeBody();
          if (this.#received + bytes.length > size) return fail(`it sent more than the ${formatSize(size)} it announced`, true);
          this.#keep(channel, holder, bytes);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          fail("it does not give the file", true);
        }
      },
      end: () => {
        if (!inbox.begun) return fail("it closed without an answer", true);
        if (this.#received < size) return fail(`it sent ${formatSize(this.#received)} of ${formatSize(size)}`, false);
        this.contributors.add(holder);
        settle();
        channel.finish();
      },
      close: (reason) => settle(new HolderError(reason === "" ? "it left" : reason, false)),
    });
    channel.send(basic.download(holder));
    channel.halfClose();
  }

  #keep(channel: Channel, holder: FileRecord, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.contributors.add(holder);
    this.#stretches.add(this.#received, bytes);
    this.#received += bytes.length;
    if (this.#stretches.full) channel.pause();
    this.#tools.report({ event: "progress", received: this.#received, size: this.#wanted.size });
  }

  /** Undefined when the file is right (or nothing is known to hold it against); else those whose bytes are in it. */
  async verify(): Promise<FileRecord[] | undefined> {
    const { report, sha256 } = this.#tools;
    const pieces = await this.#stretches.finished();
    if (this.#wanted.root === undefined) return undefined;
    report({ event: "verifying" });
    if (rootOf(pieces, this.#wanted.size, sha256).toHex() === this.#wanted.root) return undefined;
    const suspects = [...this.contributors];
    this.#apart ||= suspects.length > 1;
    await this.#restart();
    return suspects;
  }

  /** What the person is told when nobody could give the file. */
  failureSentence(reasons: string[]): string {
    const { size, name } = this.#wanted;
    const what = `Cannot fetch "${printable(name)}"`;
    const why = reasons.length === 0 ? "nobody who is online has it" : reasons.join("; ");
    if (this.#received === 0) return `${what}: ${why}. Search again to see who has it now.`;
    return `${what}: ${why}, after ${formatSize(this.#received)} of ${formatSize(size)}. Run the same command again.`;
  }

  async #restartUnlessEmpty(): Promise<void> {
    if (this.#received > 0) await this.#restart();
  }

  async #restart(): Promise<void> {
    this.#received = 0;
    this.contributors.clear();
    await this.#stretches.restart();
  }
}

interface Slot {
  readonly memory: SharedArrayBuffer;
  /** Bytes of it that are here. */
  filled: number;
}

/** The file as stretches of whole pieces: gathered in shared memory, and when one is whole, written and hashed at once. */
class Stretches {
  readonly #wanted: Wanted;
  readonly #tools: FetchTools;
  readonly #on: { room(): void; failed(error: Error): void };
  readonly #step: number;
  /** By stretch number; several only because a chunk may reach over the end of one. */
  readonly #filling = new Map<number, Slot>();
  readonly #free: Slot[] = [];
  readonly #working = new Set<Promise<void>>();
  #layers: Uint8Array[] = [];
  #failed: Error | undefined;

  constructor(wanted: Wanted, tools: FetchTools, on: { room(): void; failed(error: Error): void }) {
    this.#wanted = wanted;
    this.#tools = tools;
    this.#on = on;
    this.#step = Math.max(REQUEST, pieceSizeOf(wanted.size));
  }

  /** No more should be added until `room` is called. */
  get full(): boolean {
    return this.#working.size >= SLOTS - 1;
  }

  add(offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor((offset + at) / this.#step);
      const start = index * this.#step;
      const length = Math.min(this.#step, this.#wanted.size - start);
      const part = bytes.subarray(at, at + start + length - (offset + at));
      const slot = this.#slotFor(index);
      new Uint8Array(slot.memory).set(part, offset + at - start);
      slot.filled += part.length;
      at += part.length;
      if (slot.filled === length) this.#complete(index, start, length, slot);
    }
  }

  /** Waits for all that was added; gives the hashes of all pieces when the file has a root. */
  async finished(): Promise<Uint8Array> {
    await Promise.all(this.#working);
    if (this.#failed !== undefined) throw this.#failed;
    return concatBytes(this.#layers);
  }

  async restart(): Promise<void> {
    await this.finished();
    this.#filling.clear();
    this.#layers = [];
    await this.#tools.target.restart();
  }

  #slotFor(index: number): Slot {
    const filling = this.#filling.get(index);
    if (filling !== undefined) return filling;
    const slot = this.#free.pop() ?? { memory: new SharedArrayBuffer(Math.min(this.#step, this.#wanted.size)), filled: 0 };
    slot.filled = 0;
    this.#filling.set(index, slot);
    return slot;
  }

  #complete(index: number, start: number, length: number, slot: Slot): void {
    this.#filling.delete(index);
    const { target, layer } = this.#tools;
    const written = target.write(start, new Uint8Array(slot.memory, 0, length));
    const hashed = this.#wanted.root === undefined ? undefined : layer(slot.memory, length);
    const work = Promise.all([written, hashed])
      .then(([, pieces]) => {
        if (pieces !== undefined) this.#layers[index] = pieces;
      })
      .catch((error: Error) => {
        this.#failed ??= error;
        this.#on.failed(error);
      })
      .finally(() => {
        this.#working.delete(work);
        this.#free.push(slot);
        if (!this.full) this.#on.room();
      });
    this.#working.add(work);
  }
}
