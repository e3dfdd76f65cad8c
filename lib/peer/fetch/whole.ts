// Fetches a file whose pieces cannot be proven one by one: its record has no content id, or its holders speak FT/1.
//
// Holders are asked one after the other; the next one goes on where the last one stopped. A slow or busy one is left for the others.
// If there is a content id, the whole file is compared with it at the end (whole-file.ts).

import { type Clock, RunningTime, sleep, systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, ProtocolError, sentenceOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { BasicDownloadInbox, basic } from "../../protocol/basic.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize } from "../../text.ts";
import { holderWithAddress } from "../people/holder-name.ts";
import { type Connectable, inConnectingOrder, WORTH_IT } from "./connecting-order.ts";
import { failureSentence } from "./failure.ts";
import { AWAKE_MS, SLOW_MS, SLOWEST } from "./holder.ts";
import { QUEUE_MS, QueuePlace } from "./queue.ts";
import { Source } from "./source.ts";
import type { Fetched, FetchTools, WantedFile } from "./types.ts";
import { WholeFile } from "./whole-file.ts";

/** The length of a request. Bytes. */
const REQUEST = 4 * 1024 * 1024;
/** The most requests without an answer. */
const MOST_REQUESTS = 4;
/** A holder that sends nothing for this long has failed. Milliseconds. */
const STALL_WHOLE_MS = 8_000;
/** The speed of a holder is measured over this time. Milliseconds. */
const PACE_WHOLE_MS = 4_000;
/** A holder that is slower than this is left for an untried one. Bytes per second. */
const SLOW_WHOLE = 256 * 1024;
/** After it was left this number of times, a holder is no rival for another one. An FT/1 holder begins at the start each time. */
const MOST_LEFT = 3;
/** The fetch looks after its current holder each time this time has passed. Milliseconds. */
const TICK_WHOLE_MS = 200;
/** The fetch gives a holder up after this number of failures. */
const TRIES_A_HOLDER = 3;
/** The pause after the first round in which all holders failed. Each further round doubles it. Milliseconds. */
const FIRST_BACKOFF_MS = 250;
/** The longest pause after a round in which all holders failed. Milliseconds. */
const LONGEST_BACKOFF_MS = 2_000;

/**
 * Fetches into the target, from the start, until the file is whole. Throws `CancelledError`, the target's own error, or a sentence
 * that says which holders failed and how far it came.
 */
export async function fetchWhole(wanted: WantedFile, tools: FetchTools): Promise<Fetched> {
  const clock = tools.clock ?? systemClock;
  const fetch = new WholeFetch(wanted, tools, clock);
  const stop = () => fetch.fail(new CancelledError());
  tools.signal?.addEventListener("abort", stop);
  fetch.tick();
  try {
    return await askOneByOne(wanted, tools, fetch, clock);
  } finally {
    fetch.end();
    tools.signal?.removeEventListener("abort", stop);
  }
}

async function askOneByOne(wanted: WantedFile, tools: FetchTools, fetch: WholeFetch, clock: Clock): Promise<Fetched> {
  const reasons: string[] = [];
  let candidates = wanted.holders.map((record) => new Candidate(record));
  for (let round = 0; candidates.length > 0; round++) {
    for (const holder of inConnectingOrder(candidates, candidates)) {
      if (tools.signal?.aborted) throw new CancelledError();
      tools.report({ event: "asking", holder: holder.record });
      const rivals = candidates.filter((other) => other !== holder && other.failures < TRIES_A_HOLDER);
      try {
        await fetch.askHolder(holder, rivals);
        const suspects = await fetch.file.verify();
        if (suspects === undefined) {
          const holders = [...fetch.file.contributors];
          return wanted.root === undefined
            ? { verified: false, arrived: fetch.file.arrived, holders }
            : { verified: true, holders };
        }
        // When several holders gave the bytes, one of them is enough to spoil the file. From now on each gives the whole file by itself.
        const weight = suspects.length > 1 ? 1 : TRIES_A_HOLDER;
        for (const suspect of candidates) {
          if (suspects.includes(suspect.record)) blame(suspect, "what it sent is not the file it announced", weight);
        }
      } catch (error) {
        if (!(error instanceof HolderError)) throw error;
        if (error.weight > 0) blame(holder, error.message, error.weight);
      }
    }
    candidates = candidates.filter(({ failures }) => failures < TRIES_A_HOLDER);
    if (candidates.length > 0) await sleep(clock, Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** round));
  }
  throw new FtError("no-holder", failureSentence(wanted, reasons.join("; "), fetch.file.received, false));

  function blame(holder: Candidate, reason: string, weight: number): void {
    // While this program was stopped, it answered nobody.
    if (weight < TRIES_A_HOLDER && fetch.time.sinceStopped() < AWAKE_MS) return;
    holder.failures += weight;
    tools.report({ event: "holder-failed", holder: holder.record, reason });
    const clause = `${holderWithAddress(holder.record)}: ${reason}`;
    if (!reasons.includes(clause)) reasons.push(clause);
  }
}

/** A holder that can be asked. */
class Candidate implements Connectable {
  readonly record: FileRecord;
  readonly queue = new QueuePlace();
  tried = false;
  lately = 0;
  failures = 0;
  /** How often it was left for another one, because it was slow. */
  left = 0;
  /** Its last answer was that it is busy. */
  busy = false;

  constructor(record: FileRecord) {
    this.record = record;
  }
}

/** A holder could not give the file. */
class HolderError extends FtError {
  /** The number of its `TRIES_A_HOLDER` that this costs; 0 when it is only busy or slow, and there are other holders to ask. */
  readonly weight: number;

  constructor(reason: string, weight: number) {
    super("holder-failed", reason);
    this.weight = weight;
  }
}

/** The request to an FT/1 holder. A record whose name cannot be sent fails here, before the peer dials. */
function requestOf(holder: FileRecord): string {
  try {
    return basic.download(holder);
  } catch (error) {
    throw new HolderError(sentenceOf(error), TRIES_A_HOLDER);
  }
}

/** Receives a file from one holder at a time. */
class WholeFetch {
  readonly file: WholeFile;
  readonly time: RunningTime;
  readonly #wanted: WantedFile;
  readonly #tools: FetchTools;
  readonly #clock: Clock;
  #abortHolder: ((error: Error) => void) | undefined;
  /** Checks the current holder; called at each tick. */
  #watch: (() => void) | undefined;
  #cancelTick = () => {};
  #onRoom: (() => void) | undefined;

  constructor(wanted: WantedFile, tools: FetchTools, clock: Clock) {
    this.#clock = clock;
    this.time = new RunningTime(clock);
    this.#wanted = wanted;
    this.#tools = tools;
    this.file = new WholeFile(wanted, tools, clock, {
      room: () => this.#onRoom?.(),
      failed: (error) => this.#abortHolder?.(error),
    });
  }

  /** Ends the current connection with this error. */
  fail(error: Error): void {
    this.#abortHolder?.(error);
  }

  /** Looks after the current holder until `end`. The caller calls it once. */
  tick(): void {
    this.time.now();
    this.#watch?.();
    this.#cancelTick = this.#clock.after(TICK_WHOLE_MS, () => this.tick());
  }

  end(): void {
    this.#cancelTick();
  }

  /** Receives the missing bytes from this holder. `rivals` are the others that can be asked. */
  async askHolder(holder: Candidate, rivals: Candidate[]): Promise<void> {
    const { dial, signal } = this.#tools;
    const { record } = holder;
    const request = record.v2 ? "" : requestOf(record);
    holder.tried = true;
    let channel: Channel;
    try {
      channel = await dial(record, signal === undefined ? {} : { signal });
    } catch (error) {
      if (codeOf(error) === "cancelled") throw new CancelledError();
      throw new HolderError(sentenceOf(error), 1);
    }
    const alone = !record.v2 || (this.file.apart && !this.file.contributors.has(record));
    if (alone && this.file.received > 0) await this.file.restart();
    channel.limit({ idle: STALL_WHOLE_MS });
    holder.busy = false;
    holder.queue.begin();
    await new Promise<void>((resolve, reject) => {
      let settled = false;
      const settle = (error?: Error) => {
        // A connection may end after the next one has begun: that must not end the next one.
        if (settled) return;
        settled = true;
        this.#abortHolder = this.#watch = this.#onRoom = undefined;
        if (error === undefined) resolve();
        else reject(error);
      };
      this.#abortHolder = (error) => {
        settle(error);
        channel.destroy();
      };
      this.#onRoom = () => channel.resume();
      this.#watch = this.#paceWatch(holder, rivals);
      if (this.file.failure !== undefined) this.#abortHolder(this.file.failure);
      else if (record.v2) this.#receive(channel, holder, rivals, settle);
      else this.#receiveBasic(channel, record, request, settle);
    });
  }

  /** Measures the holder's speed. Leaves it when it is too slow, and for another one that may be faster. */
  #paceWatch(holder: Candidate, rivals: Candidate[]): () => void {
    let from = this.time.now();
    let before = this.file.received;
    let slowSince = from;
    return () => {
      const now = this.time.now();
      if (this.file.full || holder.busy) {
        from = slowSince = now;
        before = this.file.received;
      }
      if (now - from < PACE_WHOLE_MS) return;
      holder.lately = ((this.file.received - before) * 1000) / (now - from);
      from = now;
      before = this.file.received;
      if (holder.lately >= SLOWEST) slowSince = now;
      const others = rivals.filter(({ busy }) => !busy);
      const better = (rival: Candidate) => !rival.tried || (rival.left < MOST_LEFT && rival.lately > holder.lately * WORTH_IT);
      if (now - slowSince > SLOW_MS) {
        this.fail(new HolderError(`it sent next to nothing for ${SLOW_MS / 60_000} minutes`, TRIES_A_HOLDER));
      } else if (holder.lately < SLOWEST && others.length > 0) this.fail(new HolderError("it sends too slowly", 1));
      else if (holder.lately < SLOW_WHOLE && others.some(better)) {
        holder.left += 1;
        this.fail(new HolderError("it is slow", 0));
      }
    };
  }

  /** FT/2: requests are pipelined, so that the holder never waits for the next one. */
  #receive(channel: Channel, holder: Candidate, rivals: Candidate[], settle: (error?: Error) => void): void {
    const { size, root } = this.#wanted;
    const { record, queue } = holder;
    let next = this.file.received;
    let refused = false;
    const ask = () => {
      while (source.pending <= MOST_REQUESTS && (next < size || (size === 0 && source.pending < 2))) {
        const length = Math.min(REQUEST, size - next);
        source.ask({ offset: next, length });
        next += length;
        if (size === 0) return;
      }
    };
    const askAgain = () => {
      void sleep(this.#clock, QUEUE_MS).then(() => {
        refused = false;
        next = this.file.received;
        ask();
      });
    };
    const source = new Source(channel, root === undefined ? { name: record.name } : { root }, size, {
      // Behind a request that was refused, later ranges may still come. They are asked for again with the refused one.
      bytes: (at, bytes) => {
        if (at !== this.file.received) return;
        holder.busy = false;
        queue.leave();
        this.#keep(channel, record, bytes);
      },
      served: () => {
        if (!refused && next < size) ask();
        if (source.pending > 0) return;
        if (refused) return askAgain();
        settle();
        source.leave();
      },
      busy: (_range, position) => {
        this.#tools.report({ event: "waiting", holder: record, position });
        refused = holder.busy = true;
        const now = this.time.now();
        queue.take(position, now);
        const inVain = queue.inVain(now);
        // A place in a queue is worth keeping while all others are busy, too.
        const isElsewhereBetter = rivals.length > 0 && (queue.isDull(now) || rivals.some(({ busy }) => !busy));
        if (inVain !== undefined) source.fail(inVain, true);
        else if (isElsewhereBetter) {
          settle(new HolderError("it is busy", 0));
          source.leave();
        } else if (source.pending === 0) askAgain();
      },
      lacks: () => source.fail("it does not have all of the file", false),
      failed: (reason, final) => settle(new HolderError(reason, final ? TRIES_A_HOLDER : 1)),
    });
    source.start(this.#tools.pass(), holder.record, this.#tools.keyed?.());
    ask();
  }

  /** FT/1: the file is sent until the end of the stream. Only its size shows whether it is whole. */
  #receiveBasic(channel: Channel, holder: FileRecord, request: string, settle: (error?: Error) => void): void {
    const { size } = this.#wanted;
    const inbox = new BasicDownloadInbox();
    const fail = (reason: string, final: boolean) => {
      settle(new HolderError(reason, final ? TRIES_A_HOLDER : 1));
      channel.destroy();
    };
    channel.start({
      data: (chunk) => {
        inbox.push(chunk);
        try {
          const bytes = inbox.takeBody();
          if (this.file.received + bytes.length > size)
            return fail(`it sent more than the ${formatSize(size)} it announced`, true);
          this.#keep(channel, holder, bytes);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          fail("it does not send the file", true);
        }
      },
      end: () => {
        if (!inbox.begun) return fail("it closed without an answer", true);
        if (this.file.received < size) return fail(`it sent ${formatSize(this.file.received)} of ${formatSize(size)}`, false);
        this.file.contributors.add(holder);
        settle();
        channel.finish();
      },
      close: (reason) => settle(new HolderError(reason === "" ? "it disconnected" : reason, 1)),
    });
    channel.send(request);
    channel.halfClose();
  }

  #keep(channel: Channel, holder: FileRecord, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.file.take(holder, bytes);
    if (this.file.full) channel.pause();
    this.#tools.report({ event: "progress", received: this.file.received, size: this.#wanted.size, holders: 1 });
  }
}
