// Fetching a file whose pieces cannot be proven one by one: its record has no content id, or its holders speak FT/1.
//
// Holders are asked one after the other; a later one goes on where an earlier one stopped. Where there is a content id, the whole
// file is held against it at the end.

import { concatBytes } from "../../bytes.ts";
import { CancelledError, codeOf, FtError, ProtocolError, sentenceOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { BasicDownloadInbox, basic } from "../../protocol/basic.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, printable } from "../../text.ts";
import { pieceSizeOf, rootOf } from "../content/merkle.ts";
import { Landing, type Stretch } from "./landing.ts";
import { Source } from "./source.ts";
import type { Fetched, FetchTools, Wanted } from "./types.ts";

/** Bytes asked for with one request, and requests under way. */
const REQUEST = 4 * 1024 * 1024;

const WINDOW = 4;

/** A holder that sends nothing for this long is given up, */
const STALL_MS = 8_000;

/** and, if there are others, one that sends fewer bytes a second over that time. */
const SLOWEST = 1024;

const TRIES_A_HOLDER = 3;

const FIRST_BACKOFF_MS = 250;

const LONGEST_BACKOFF_MS = 2_000;

/** Who waits for a slot asks again after this long. */
const BUSY_MS = 1_000;

/**
 * Fetches into the target, from the start, until it is whole. Throws `CancelledError`, the target's own error, or a sentence that
 * says who failed and how far it came.
 */
export async function fetchPlain(wanted: Wanted, tools: FetchTools): Promise<Fetched> {
  const sleep = tools.sleep ?? ((ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const attempt = new Attempt(wanted, tools, sleep);
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
        if (error instanceof BusyError) continue;
        if (!(error instanceof HolderError)) throw error;
        blame(holder, error.message, error.final ? TRIES_A_HOLDER : 1);
      }
    }
    candidates = candidates.filter((holder) => (failures.get(holder) ?? 0) < TRIES_A_HOLDER);
    if (candidates.length > 0) await sleep(Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** round));
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

/** All slots of a holder are taken, and there are others to ask: that is no failure. */
class BusyError extends FtError {
  constructor() {
    super("busy", "it is busy");
  }
}

/** The state of one file under way. */
class Attempt {
  readonly contributors = new Set<FileRecord>();
  readonly #wanted: Wanted;
  readonly #tools: FetchTools;
  readonly #sleep: (ms: number) => Promise<void>;
  readonly #landing: Landing;
  readonly #step: number;
  /** By number; several only because a chunk may reach over the end of one. */
  readonly #filling = new Map<number, Stretch>();
  readonly #onAbort = () => this.#abortHolder?.(new CancelledError());
  /** Holders are not mixed any more: what they sent together was wrong. */
  #apart = false;
  #received = 0;
  /** Waits for the limit that are not over. */
  #throttled = 0;
  #layers: Uint8Array[] = [];
  #failed: Error | undefined;
  #abortHolder: ((error: Error) => void) | undefined;
  #onRoom: (() => void) | undefined;

  constructor(wanted: Wanted, tools: FetchTools, sleep: (ms: number) => Promise<void>) {
    this.#sleep = sleep;
    this.#wanted = wanted;
    this.#tools = tools;
    this.#step = Math.max(REQUEST, pieceSizeOf(wanted.size));
    this.#landing = new Landing({
      write: (offset, bytes) => tools.target.write(offset, bytes),
      layer: wanted.root === undefined ? undefined : tools.layer,
      room: () => this.#resume(),
      failed: (error) => {
        this.#failed ??= error;
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
        const slow = this.#received - before < (SLOWEST * STALL_MS) / 1000 && !this.#isFull;
        before = this.#received;
        if (slow && others) this.#abortHolder?.(new HolderError("it sends too slowly", false));
      }, STALL_MS);
      this.#onRoom = () => channel.resume();
      if (this.#failed !== undefined) this.#abortHolder(this.#failed);
      else if (holder.v2) this.#receive(channel, holder, others, settle);
      else this.#receiveBasic(channel, holder, settle);
    });
  }

  /** FT/2: requests are pipelined, so that the holder never waits for the next one. */
  #receive(channel: Channel, holder: FileRecord, others: boolean, settle: (error?: Error) => void): void {
    const { size, root } = this.#wanted;
    let next = this.#received;
    let refused = false;
    const ask = () => {
      while (source.pending <= WINDOW && (next < size || (size === 0 && source.pending < 2))) {
        const length = Math.min(REQUEST, size - next);
        source.ask({ offset: next, length });
        next += length;
        if (size === 0) return;
      }
    };
    const askAgain = () => {
      void this.#sleep(BUSY_MS).then(() => {
        refused = false;
        next = this.#received;
        ask();
      });
    };
    const source = new Source(channel, root === undefined ? { name: holder.name } : { root }, size, {
      // What comes behind a stretch that was refused is asked for again, with it.
      bytes: (at, bytes) => at === this.#received && this.#keep(channel, holder, bytes),
      served: () => {
        if (!refused && next < size) ask();
        if (source.pending > 0) return;
        if (refused) return askAgain();
        settle();
        source.leave();
      },
      busy: (_range, position) => {
        this.#tools.report({ event: "waiting", holder, position });
        refused = true;
        if (others) {
          settle(new BusyError());
          source.leave();
        } else if (source.pending === 0) askAgain();
      },
      lacks: () => source.fail("it does not have all of the file", false),
      failed: (reason, final) => settle(new HolderError(reason, final)),
    });
    source.start(this.#tools.pass());
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
    this.#land(bytes);
    this.#throttle(bytes.length);
    if (this.#isFull) channel.pause();
    this.#tools.report({ event: "progress", received: this.#received, size: this.#wanted.size, holders: 1 });
  }

  /** No more should come for now: the disk, or the limit, needs a moment. */
  get #isFull(): boolean {
    return this.#landing.full || this.#throttled > 0;
  }

  #throttle(bytes: number): void {
    const wait = this.#tools.limit?.spend(bytes) ?? 0;
    if (wait === 0) return;
    this.#throttled += 1;
    void this.#sleep(wait).then(() => {
      this.#throttled -= 1;
      this.#resume();
    });
  }

  #resume(): void {
    if (!this.#isFull) this.#onRoom?.();
  }

  /** Gathers what comes in stretches of whole pieces; each goes on its way when it is whole. */
  #land(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor(this.#received / this.#step);
      const offset = index * this.#step;
      const length = Math.min(this.#step, this.#wanted.size - offset);
      const stretch = this.#filling.get(index) ?? this.#landing.open({ offset, length });
      this.#filling.set(index, stretch);
      const part = bytes.subarray(at, at + length - stretch.filled);
      this.#landing.fill(stretch, part);
      this.#received += part.length;
      at += part.length;
      if (stretch.filled < length) continue;
      this.#filling.delete(index);
      const judge = (layer: Uint8Array) => {
        this.#layers[index] = layer;
        return [stretch.range];
      };
      this.#landing.land(stretch, length, judge, () => undefined);
    }
  }

  async #landed(): Promise<void> {
    await this.#landing.settled();
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Undefined when the file is right (or nothing is known to hold it against); else those whose bytes are in it. */
  async verify(): Promise<FileRecord[] | undefined> {
    const { report, sha256 } = this.#tools;
    await this.#landed();
    const pieces = concatBytes(this.#layers);
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
    await this.#landed();
    for (const stretch of this.#filling.values()) this.#landing.drop(stretch);
    this.#filling.clear();
    this.#layers = [];
    await this.#tools.target.restart();
  }
}
