// Fetching one file from everybody who has it: which pieces from whom, and whether what arrived is right. Network, disk and time
// are handed in.
//
// The hashes of all pieces come first and are held against the content id; after that every piece proves itself. Each holder is
// asked for stretches as long as it gives in a fraction of a second, so fast holders are asked for more; what a slow one still owes
// at the end is asked for again elsewhere. While others fetch the same file the rarest pieces are taken first, so that there is
// something to exchange; otherwise the file is taken in order.

import { type Clock, systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { HASH } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, printable } from "../../text.ts";
import { pieceCountOf, pieceSizeOf, rootOf } from "../content/merkle.ts";
import { PieceSet } from "../content/pieces.ts";
import { type Flight, Holder, STALL_MS } from "./holder.ts";
import { Landing } from "./landing.ts";
import { Picker, type Run } from "./picker.ts";
import { type Range, Source } from "./source.ts";
import type { Fetched, FetchTools, Wanted } from "./types.ts";
import { fetchPlain } from "./whole.ts";

/** Connections at once. */
const OPEN = 16;

/** Bytes of unfinished stretches in memory, all holders together. */
const MEMORY = 32 * 1024 * 1024;

/** An unfinished holder is asked this often what it has by now. */
const HAVE_MS = 400;

/** Who waits for a slot asks again after this long. */
const BUSY_MS = 1_000;

const TICK_MS = 200;

/** Who has nothing to ask of anybody for this long gives up: the rest may never come. */
const STUCK_MS = 30_000;

/** A failure to reach somebody who never answered counts this often. */
const NEVER_ANSWERED = 2;

/** Who refused a pass only because it has not come back to the tracker itself is asked again after this long. */
const EXCUSED_PAUSE_MS = 1_500;

/** The last holder may have fallen asleep: it is waited for this long. A failure that took as long as this was no refusal. */
const SILENT_MS = 60_000;

const REFUSAL_MS = 900;

/** A machine that is off the network may come back within this time; then everybody is asked again. */
const AWAY_MS = 90_000;

const AWAY_PAUSE_MS = 1_000;

/** The tracker is asked for new holders after this long, and again after each of the last ones. */
const LOOK_MS = [300, 700, 1_000, 2_000, 5_000];

/** At the end a stretch is asked for a second time where it will be here in less than half the time. */
const WORTH_IT = 2;

/**
 * Fetches into the target until it is whole and right. Throws `CancelledError`, the target's own error, or a sentence that
 * says who failed and how far it came; what is right of it stays in the target then.
 */
export async function fetchFile(wanted: Wanted, tools: FetchTools): Promise<Fetched> {
  const { root, holders } = wanted;
  const proven = holders.filter(({ v2 }) => v2);
  if (root === undefined || proven.length === 0) return startPlain(wanted, tools);
  const fetch = new Fetch({ ...wanted, root, holders: proven }, tools);
  try {
    return await fetch.run();
  } catch (error) {
    // Nobody left can prove pieces: then the whole file is what is proven.
    if (fetch.withoutTree.length === 0 || codeOf(error) !== "no-holder") throw error;
    return await startPlain({ ...wanted, holders: fetch.withoutTree }, tools);
  }
}

async function startPlain(wanted: Wanted, tools: FetchTools): Promise<Fetched> {
  await tools.target.restart();
  return await fetchPlain(wanted, tools);
}

/** One file under way. */
class Fetch {
  readonly #wanted: Wanted & { root: string };
  readonly #tools: FetchTools;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #landing: Landing;
  readonly #pieceSize: number;
  readonly #count: number;
  readonly #holders = new Map<string, Holder>();
  readonly #outcome = Promise.withResolvers<void>();
  /** The hashes of all pieces, once they are known to be right. */
  #pieces: Uint8Array | undefined;
  /** Which are here, and which come next. */
  #picker: Picker;
  #ready = false;
  /** Bytes of unfinished stretches. */
  #arriving = 0;
  #over = false;
  /** When bytes last came, or there was a reason for none. */
  #movedAt: number;
  /** Since when nobody can be asked because this machine is off the network. */
  #awaySince: number | undefined;
  #looks = 0;
  #lookAt: number;
  #looking: Promise<void> | undefined;
  #throttled = false;
  #paused = false;
  #cancelTick = () => {};
  #cancelThrottle = () => {};
  #cancelLook = () => {};

  constructor(wanted: Wanted & { root: string }, tools: FetchTools) {
    this.#wanted = wanted;
    this.#tools = tools;
    this.#clock = tools.clock ?? systemClock;
    this.#random = tools.random ?? Math.random;
    this.#pieceSize = pieceSizeOf(wanted.size);
    this.#count = pieceCountOf(wanted.size);
    this.#picker = new Picker(new PieceSet(this.#count), this.#random);
    this.#movedAt = this.#clock.at();
    this.#lookAt = this.#movedAt + (LOOK_MS[0] ?? 0);
    this.#landing = new Landing({
      write: (offset, bytes) => tools.target.write(offset, bytes),
      layer: tools.layer,
      room: () => this.#turnTaps(),
      failed: (error) => this.#end(error),
    });
  }

  /** Those who could only be asked for the whole file; nobody once pieces can be proven, because what is proven stays. */
  get withoutTree(): FileRecord[] {
    if (this.#pieces !== undefined) return [];
    return [...this.#holders.values()].filter(({ treeless }) => treeless).map(({ record }) => record);
  }

  async run(): Promise<Fetched> {
    const { signal } = this.#tools;
    const stop = () => this.#end(new CancelledError());
    signal?.addEventListener("abort", stop);
    try {
      if (signal?.aborted) stop();
      else this.#begin();
      await this.#outcome.promise;
    } finally {
      this.#end();
      signal?.removeEventListener("abort", stop);
      await this.#landing.settled();
    }
    const holders = [...this.#holders.values()].filter(({ contributed }) => contributed).map(({ record }) => record);
    return { verified: true, holders };
  }

  #begin(): void {
    const { size, root, holders } = this.#wanted;
    if (this.#count <= 1) {
      // The only piece of a small file is its tree.
      const pieces = size === 0 ? new Uint8Array(0) : Uint8Array.fromHex(root);
      if (this.#isRight(pieces)) void this.#learn(pieces);
      else
        this.#end(
          new FtError(
            "bad-root",
            `Cannot fetch "${printable(this.#wanted.name)}": its content id is not that of an empty file.`,
          ),
        );
    }
    for (const record of holders) this.#meet(record);
    this.#tick();
  }

  /** It is over: done, or failed. */
  #end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTick();
    this.#cancelThrottle();
    this.#cancelLook();
    for (const { source } of this.#holders.values()) source?.leave();
    if (error === undefined) this.#outcome.resolve();
    else this.#outcome.reject(error);
  }

  // -------------------------------------------------------------- holders come and go

  #meet(record: FileRecord): void {
    const key = formatEndpoint(record);
    const known = this.#holders.get(key);
    if (known !== undefined) known.revive();
    else this.#holders.set(key, new Holder(record, record.part ? undefined : PieceSet.whole(this.#count)));
  }

  async #dial(holder: Holder): Promise<void> {
    const { dial, signal, report, pass } = this.#tools;
    holder.dialled();
    const from = this.#clock.at();
    report({ event: "asking", holder: holder.record });
    try {
      const channel = await dial(holder.record, signal === undefined ? {} : { signal });
      if (this.#over) return channel.destroy();
      const source = new Source(channel, { root: this.#wanted.root }, this.#wanted.size, {
        tree: (pieces) => this.#hearTree(holder, pieces),
        gathered: () => holder.heard(0, this.#clock.at()),
        have: (bits) => this.#hearHave(holder, bits),
        bytes: (_at, bytes) => this.#hearBytes(holder, bytes),
        served: () => this.#hearServed(holder),
        busy: (_range, position) => this.#hearBusy(holder, position),
        lacks: () => this.#hearLacks(holder),
        failed: (reason, final, denied) => {
          // Until everybody is back at the tracker, a refused pass says nothing.
          const excused = denied === true && this.#tools.unsettled?.() === true;
          holder.denied = denied === true && !excused;
          this.#lose(holder, reason, excused ? 0 : final ? Number.POSITIVE_INFINITY : 1);
          if (excused) holder.restUntil = this.#clock.at() + EXCUSED_PAUSE_MS;
        },
      });
      holder.opened(source, this.#clock.at());
      holder.shown = pass();
      source.start(holder.shown);
      source.paused = this.#paused;
      if (this.#pieces === undefined) source.askTree(this.#wanted.root, this.#pieceSize, this.#count);
      if (holder.record.part) this.#askHave(holder);
      this.#recount();
      this.#askMore(holder);
    } catch (error) {
      // Waiting in vain takes long: who never answered is not worth as much patience as who was there a moment ago.
      const silent = [codeOf(error), codeOf(error instanceof Error ? error.cause : undefined)].includes("no-answer");
      if (this.#over) return;
      holder.silent = silent || this.#clock.at() - from > REFUSAL_MS;
      this.#lose(holder, sentenceOf(error), silent && !holder.met ? NEVER_ANSWERED : 1);
    }
  }

  /** A holder failed; infinitely often when asking it again is of no use. */
  #lose(holder: Holder, reason: string, failures: number): void {
    if (this.#over) return;
    // The same again, try after try, is said once.
    if (reason !== holder.reason) this.#tools.report({ event: "holder-failed", holder: holder.record, reason });
    // Who was kept waiting while our own disk was looked at may hang up.
    const patience = this.#pieces !== undefined && !this.#ready && failures === 1;
    holder.lost(reason, patience ? 0 : failures, this.#clock.at());
    for (const flight of holder.flights.splice(0)) this.#salvage(flight);
    this.#recount();
    this.#askAll();
    this.#giveUpIfAlone();
  }

  /** Nobody is left to ask: the tracker may know somebody else. */
  #giveUpIfAlone(): void {
    // What the last one has sent may still be proven, and then it is not given up.
    if (this.#isAlone) void this.#landing.settled().then(() => this.#giveUp());
  }

  get #isAlone(): boolean {
    const hopeless = ({ state, treeless }: Holder) => state === "out" || (treeless && this.#pieces === undefined);
    return !this.#over && [...this.#holders.values()].every(hopeless);
  }

  #giveUp(): void {
    if (!this.#isAlone) return;
    const before = this.#holders.size;
    void this.#lookForMore().then(() => {
      const others = [...this.#holders.values()].slice(before);
      if (this.#over || (others.length === 0 && this.#waitsForReturn())) return;
      for (const [, holder] of [...this.#holders].slice(0, before)) if (holder.state === "idle") holder.state = "out";
      if (others.length === 0 && !this.#over) this.#end(new FtError("no-holder", this.#failureSentence()));
    });
  }

  /** Off the network nobody is to blame, and nothing is over: everybody is asked again until it is back, and once more then. */
  #waitsForReturn(): boolean {
    const now = this.#clock.at();
    const pass = this.#tools.pass();
    const hopeful = [...this.#holders.values()].filter(({ outcast, denied }) => !outcast || denied);
    // Somebody can still be asked for the whole file.
    if (hopeful.length === 0 || this.withoutTree.length > 0) return false;
    const away = this.#tools.away?.() === true;
    const silent = hopeful.find((holder) => holder.silent && holder.contributed);
    const waits = away || silent !== undefined;
    if (!waits && this.#awaySince === undefined) return false;
    if (this.#awaySince === undefined) {
      this.#tools.report(away || silent === undefined ? { event: "away" } : { event: "silent", holder: silent.record });
    }
    this.#awaySince ??= now;
    if (now - this.#awaySince > (away ? AWAY_MS : SILENT_MS)) return false;
    if (!waits) this.#awaySince = undefined;
    for (const holder of hopeful) if (!holder.denied || holder.shown !== pass) holder.forgive(now + AWAY_PAUSE_MS);
    if (this.#isAlone) this.#cancelLook = this.#clock.after(AWAY_PAUSE_MS, () => this.#giveUp());
    return true;
  }

  /** Asks who has the file by now; when that is being asked already, waits for the answer. */
  #lookForMore(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    try {
      const records = (await this.#tools.look?.()) ?? [];
      for (const record of records) if (record.v2 && record.size === this.#wanted.size) this.#meet(record);
    } catch {
      // The tracker is away; those that are known go on.
    }
  }

  // -------------------------------------------------------------- time

  #tick(): void {
    if (this.#over) return;
    const now = this.#clock.at();
    const someoneIsOpen = [...this.#holders.values()].some(({ state }) => state === "open");
    if (this.#awaySince !== undefined && someoneIsOpen && this.#tools.away?.() !== true) this.#awaySince = undefined;
    if (now >= this.#lookAt) {
      this.#looks += 1;
      this.#lookAt = now + (LOOK_MS[Math.min(this.#looks, LOOK_MS.length - 1)] ?? 0);
      void this.#lookForMore();
    }
    let open = 0;
    for (const holder of this.#holders.values()) if (holder.state === "open" || holder.state === "dialling") open += 1;
    for (const holder of this.#inAnyOrder()) {
      // A peer that has moved gets a new pass; the old one was not good from where it is now.
      if (holder.denied && holder.shown !== this.#tools.pass()) holder.forgive(now);
      if (holder.state === "open") this.#watch(holder, now);
      else if (holder.state === "idle" && now >= holder.restUntil && open < OPEN) {
        open += 1;
        void this.#dial(holder);
      }
    }
    if (open >= OPEN) this.#makeRoom();
    this.#askAll();
    if (this.#isStuck(now)) {
      this.#end(new FtError("no-holder", this.#failureSentence("those who are online do not have the rest")));
      return;
    }
    // Also when nothing comes: the rate that is shown is the one of now.
    if (!this.#reportWaiting()) this.#reportProgress();
    this.#cancelTick();
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
  }

  /** Whether all that is left are holders that lack the same pieces: whoever had those has been away for a while. */
  #isStuck(now: number): boolean {
    const waits = [...this.#holders.values()].some(({ state, position }) => state === "open" && position > 0);
    const asks = [...this.#holders.values()].some(({ state }) => state === "open");
    if (!this.#ready || waits || this.#paused || !asks) this.#movedAt = now;
    return now - this.#movedAt > STUCK_MS;
  }

  /** Gives up who sends nothing, or next to nothing; asks the unfinished what they have by now. */
  #watch(holder: Holder, now: number): void {
    const { source } = holder;
    if (source === undefined) return;
    if (this.#paused || source.pending === 0) holder.restart(now);
    if (holder.isSilent(now)) {
      source.fail(`it was silent for ${STALL_MS / 1000} s`, false);
      holder.silent = true;
    } else if (holder.isTrickling(now) && this.#hasOther(holder)) source.fail("it sends too slowly", false);
    else if (this.#isHaveDue(holder, now)) this.#askHave(holder);
  }

  #isHaveDue({ record, has, haveDue, haveAskedAt }: Holder, now: number): boolean {
    return record.part === true && has?.complete !== true && !haveDue && now - haveAskedAt >= HAVE_MS;
  }

  #hasOther(holder: Holder): boolean {
    return [...this.#holders.values()].some((other) => other !== holder && other.state === "open" && other.position === 0);
  }

  /** With all connections taken, one that has nothing for us makes room for somebody who may. */
  #makeRoom(): void {
    const now = this.#clock.at();
    if (![...this.#holders.values()].some(({ state, restUntil }) => state === "idle" && now >= restUntil)) return;
    for (const holder of this.#holders.values()) {
      if (holder.state !== "open" || holder.flights.length > 0 || !this.#ready) continue;
      holder.source?.leave();
      Object.assign(holder, { state: "idle", source: undefined, restUntil: now + STALL_MS });
      this.#recount();
      return;
    }
  }

  /** False when there is nobody to wait for, or somebody to wait with. */
  #reportWaiting(): boolean {
    const waiting = [...this.#holders.values()].filter(({ state, position }) => state === "open" && position > 0);
    const [best] = waiting.sort((a, b) => a.position - b.position);
    if (best === undefined || [...this.#holders.values()].some(({ position, flights }) => position === 0 && flights.length > 0))
      return false;
    this.#tools.report({ event: "waiting", holder: best.record, position: best.position });
    return true;
  }

  // -------------------------------------------------------------- answers

  #hearTree(holder: Holder, pieces: Uint8Array | undefined): void {
    if (pieces === undefined) {
      // It may still have right pieces, for who can prove them.
      holder.treeless = true;
      holder.reason = "it does not give the hashes of its pieces";
      this.#giveUpIfAlone();
    } else if (!this.#isRight(pieces)) {
      holder.source?.fail("its piece hashes are not those of the file it announced", true);
    } else if (this.#pieces === undefined) void this.#learn(pieces);
  }

  #isRight(pieces: Uint8Array): boolean {
    return rootOf(pieces, this.#wanted.size, this.#tools.sha256).toHex() === this.#wanted.root;
  }

  /** The tree is known: what is here already counts as far as it is right, and the transfer begins. */
  async #learn(pieces: Uint8Array): Promise<void> {
    this.#pieces = pieces;
    const { present, begun, report } = this.#tools;
    const { size } = this.#wanted;
    let checked = 0;
    try {
      const have = await present?.(pieces, (bytes) => {
        checked += bytes;
        report({ event: "checking", checked, size });
      });
      if (this.#over) return;
      if (have !== undefined) this.#picker = new Picker(have, this.#random);
      this.#recount();
    } catch (error) {
      return this.#end(error instanceof Error ? error : new Error(String(error)));
    }
    begun?.(pieces, this.#picker.have);
    this.#ready = true;
    if (this.#picker.have.count > 0) this.#reportProgress();
    if (this.#picker.have.complete) this.#complete();
    else this.#askAll();
  }

  #askHave(holder: Holder): void {
    holder.haveDue = true;
    holder.haveAskedAt = this.#clock.at();
    holder.source?.askHave(this.#wanted.root, this.#count);
  }

  #hearHave(holder: Holder, bits: Uint8Array | undefined): void {
    holder.haveDue = false;
    holder.heard(0, this.#clock.at());
    if (bits === undefined) holder.source?.fail("it does not say which pieces it has", true);
    else {
      holder.has = PieceSet.parse(bits, this.#count);
      this.#recount();
      this.#askMore(holder);
    }
  }

  #hearBytes(holder: Holder, bytes: Uint8Array): void {
    this.#movedAt = this.#clock.at();
    holder.heard(bytes.length, this.#movedAt);
    holder.position = 0;
    const flight = holder.flights[0];
    if (flight === undefined) return;
    if (flight.stretch !== undefined || !this.#picker.isHere(flight)) {
      flight.stretch ??= this.#landing.open(flight.range);
      this.#landing.fill(flight.stretch, bytes);
      this.#arriving += bytes.length;
    }
    this.#throttle(bytes.length);
    this.#reportProgress();
  }

  #hearServed(holder: Holder): void {
    const flight = holder.served(this.#clock.at());
    if (flight === undefined) return;
    if (flight.stretch === undefined) this.#picker.unclaim(flight);
    else this.#land(flight, flight.range.length);
    this.#askMore(holder);
  }

  #hearBusy(holder: Holder, position: number): void {
    const flight = holder.flights.shift();
    if (flight !== undefined) this.#picker.unclaim(flight);
    const now = this.#clock.at();
    holder.heard(0, now);
    Object.assign(holder, { position, restUntil: now + BUSY_MS });
    this.#askAll();
  }

  /** It said that it has something and has it not: it is asked again what it has. */
  #hearLacks(holder: Holder): void {
    const flight = holder.flights.shift();
    if (flight === undefined) return;
    this.#picker.unclaim(flight);
    if (!holder.record.part) {
      holder.source?.fail("it does not have all of the file", true);
      return;
    }
    for (let i = flight.first; i < flight.first + flight.count; i++) holder.has?.delete(i);
    const now = this.#clock.at();
    holder.heard(0, now);
    if (holder.lacked(now)) holder.source?.fail("it says that it has pieces which it does not give", true);
    this.#recount();
    this.#askAll();
  }

  // -------------------------------------------------------------- what arrived

  /** A connection that ended in the middle of a stretch: the whole pieces at its start are as good as any. */
  #salvage(flight: Flight): void {
    const { stretch } = flight;
    const whole = stretch === undefined ? 0 : stretch.filled - (stretch.filled % this.#pieceSize);
    if (whole > 0) {
      this.#land(flight, whole);
      return;
    }
    this.#picker.unclaim(flight);
    if (stretch === undefined) return;
    this.#arriving -= stretch.filled;
    this.#landing.drop(stretch);
  }

  #land(flight: Flight, length: number): void {
    const { stretch, holder } = flight;
    if (stretch === undefined) return;
    this.#landing.land(
      stretch,
      length,
      (layer) => this.#judge(flight, layer),
      (ranges) => {
        this.#arriving -= stretch.filled;
        this.#picker.unclaim(flight);
        for (const { offset, length } of ranges) {
          const first = offset / this.#pieceSize;
          for (let i = first; i < first + Math.ceil(length / this.#pieceSize); i++) this.#picker.have.add(i);
        }
        if (ranges.length > 0) {
          holder.proved();
          this.#awaySince = undefined;
        }
        this.#reportProgress();
        if (this.#picker.have.complete) this.#complete();
        else this.#askAll();
      },
    );
    this.#turnTaps();
  }

  /** Which of these pieces are right and still wanted, as ranges; who sent a wrong one is dropped. */
  #judge(flight: Flight, layer: Uint8Array): Range[] {
    const ranges: Range[] = [];
    const { size } = this.#wanted;
    let wrong = false;
    for (let i = 0; i < layer.length / HASH; i++) {
      const piece = flight.first + i;
      if (!equal(layer, i * HASH, this.#pieces ?? layer, piece * HASH)) {
        wrong = true;
        continue;
      }
      if (this.#picker.have.has(piece)) continue;
      const offset = piece * this.#pieceSize;
      const length = Math.min(this.#pieceSize, size - offset);
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === offset) last.length += length;
      else ranges.push({ offset, length });
    }
    if (wrong) this.#expel(flight.holder);
    return ranges;
  }

  #expel(holder: Holder): void {
    holder.denied = false;
    if (holder.outcast) return;
    const reason = "what it sent is not the file it announced";
    if (holder.source === undefined) this.#lose(holder, reason, Number.POSITIVE_INFINITY);
    else holder.source.fail(reason, true);
  }

  #complete(): void {
    if (this.#over) return;
    this.#tools.report({ event: "verifying" });
    this.#end();
  }

  #reportProgress(): void {
    if (!this.#ready) return;
    const { size } = this.#wanted;
    const lastShort = this.#count > 0 && this.#picker.have.has(this.#count - 1) ? this.#count * this.#pieceSize - size : 0;
    const here = this.#picker.have.count * this.#pieceSize - lastShort;
    const received = Math.min(size, here + this.#arriving);
    this.#tools.report({ event: "progress", received, size, holders: this.#active });
  }

  // -------------------------------------------------------------- backpressure

  #throttle(bytes: number): void {
    const wait = this.#tools.limit?.spend(bytes) ?? 0;
    if (wait > 0) {
      this.#throttled = true;
      this.#cancelThrottle();
      this.#cancelThrottle = this.#clock.after(wait, () => {
        this.#throttled = false;
        this.#turnTaps();
      });
      this.#turnTaps();
    }
  }

  /** Lets the holders send, or not: the disk, or the limit, may need a moment. */
  #turnTaps(): void {
    if (this.#over) return;
    const paused = this.#landing.full || this.#throttled;
    if (paused === this.#paused) return;
    this.#paused = paused;
    const now = this.#clock.at();
    for (const holder of this.#holders.values()) {
      holder.restart(now);
      if (holder.source !== undefined) holder.source.paused = paused;
    }
  }

  // -------------------------------------------------------------- which pieces from whom

  #askAll(): void {
    for (const holder of this.#inAnyOrder()) if (holder.state === "open") this.#askMore(holder);
  }

  /** Asks a holder for as much as it will give within a moment. */
  #askMore(holder: Holder): void {
    if (this.#over || !this.#ready) return;
    const now = this.#clock.at();
    while (holder.wantsMore(now) && holder.has !== undefined && this.#hasMemory(holder)) {
      const most = Math.max(1, Math.floor(this.#requestLength(holder) / this.#pieceSize));
      const run = this.#picker.pick(holder.has, holder.next, most) ?? this.#pickAgain(holder, holder.has);
      if (run === undefined) return;
      const { first, count } = run;
      const offset = first * this.#pieceSize;
      const range = { offset, length: Math.min(count * this.#pieceSize, this.#wanted.size - offset) };
      this.#picker.claim(run);
      holder.flights.push({ holder, first, count, range, askedAt: now });
      holder.next = first + count;
      holder.source?.ask(range);
    }
  }

  /** With the largest pieces, a few holders at a time have to do. */
  #hasMemory(holder: Holder): boolean {
    if (holder.flights.length > 0) return true;
    return this.#active * this.#pieceSize < MEMORY;
  }

  /** How many holders owe something now. */
  get #active(): number {
    let count = 0;
    for (const { flights } of this.#holders.values()) if (flights.length > 0) count += 1;
    return count;
  }

  #requestLength(holder: Holder): number {
    const active = this.#active;
    const length = Math.min(holder.requestLength, MEMORY / Math.max(1, active));
    if (active <= 1) return length;
    // Towards the end everybody's share becomes smaller, so that all are done at the same time.
    const left = (this.#count - this.#picker.have.count) * this.#pieceSize;
    return Math.min(length, left / (2 * active));
  }

  /** Nothing is free any more: what a slower holder still owes for long is asked for a second time. */
  #pickAgain(holder: Holder, has: PieceSet): Run | undefined {
    let best: Flight | undefined;
    let longest = 0;
    for (const other of this.#holders.values()) {
      if (other === holder) continue;
      let owed = 0;
      for (const flight of other.flights) {
        owed += flight.range.length - (flight.stretch?.filled ?? 0);
        const pace = other.paceNow(this.#clock.at());
        const theirs = pace === 0 ? Number.POSITIVE_INFINITY : owed / pace;
        const ours = holder.secondsFor(flight.range.length);
        const waited = (this.#clock.at() - flight.askedAt) / 1000;
        const late = theirs === Number.POSITIVE_INFINITY ? waited > ours * WORTH_IT + 0.3 : theirs > ours * WORTH_IT + 0.1;
        if (!late || theirs < longest || !this.#picker.canRepeat(flight, has)) continue;
        best = flight;
        longest = theirs;
      }
    }
    return best === undefined ? undefined : { first: best.first, count: best.count };
  }

  /** Counts how many have each piece; only while others fetch does it matter. */
  #recount(): void {
    const holders = [...this.#holders.values()];
    if (!holders.some(({ record }) => record.part)) return;
    // Everybody begins somewhere else; going on in step with the others, there would be nothing to exchange.
    if (!this.#picker.counts) for (const holder of holders) holder.next = this.#count;
    const sets = holders.flatMap(({ state, has }) => (state === "open" && has !== undefined ? [has] : []));
    this.#picker.count(sets);
  }

  /** The holders, beginning with any of them, so that none is always asked first. */
  #inAnyOrder(): Holder[] {
    const holders = [...this.#holders.values()];
    const start = Math.floor(this.#random() * holders.length);
    return [...holders.slice(start), ...holders.slice(0, start)];
  }

  /** What the person is told when nobody is left. */
  #failureSentence(said?: string): string {
    const { size, name } = this.#wanted;
    const what = `Cannot fetch "${printable(name)}"`;
    const why = said ?? (reasonsOf([...this.#holders.values()]) || "nobody who is online has it");
    const received = Math.min(size, this.#picker.have.count * this.#pieceSize);
    if (received === 0) return `${what}: ${why}. Search again to see who has it now.`;
    return `${what}: ${why}, after ${formatSize(received)} of ${formatSize(size)}; what arrived is kept. Run the same command to go on.`;
  }
}

function equal(a: Uint8Array, atA: number, b: Uint8Array, atB: number): boolean {
  for (let i = 0; i < HASH; i++) if (a[atA + i] !== b[atB + i]) return false;
  return true;
}

/** Reasons, and holders for each, that are named before "and more". */
const NAMED = 3;

/** Why holders failed: who failed for the same reason is named together, and of many only some. */
function reasonsOf(holders: Holder[]): string {
  const byReason = new Map<string, string[]>();
  for (const { record, reason } of holders) {
    if (reason === "") continue;
    const endpoint = formatEndpoint(record);
    const same = byReason.get(reason);
    if (same === undefined) byReason.set(reason, [endpoint]);
    else same.push(endpoint);
  }
  const clauses = [...byReason].slice(0, NAMED).map(([reason, endpoints]) => {
    const more = endpoints.length > NAMED ? ` and ${endpoints.length - NAMED} more` : "";
    return `${endpoints.slice(0, NAMED).join(", ")}${more}: ${reason}`;
  });
  return clauses.join("; ") + (byReason.size > NAMED ? "; and others for other reasons" : "");
}
