// Fetches one file from all peers that have it. The caller hands in network, disk and time.
//
// First a holder gives the hashes of all pieces, which must fit the content id; then each piece is proven by its hash. The work is
// divided: holders.ts connects, requests.ts chooses pieces, arrivals.ts proves and writes them, giving-up.ts ends a hopeless fetch.

import { RunningTime, systemClock } from "../../clock.ts";
import { CancelledError, codeOf, FtError } from "../../error.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { cutOfFile } from "../content/cut.ts";
import { rootOf } from "../content/merkle.ts";
import { PieceSet } from "../content/pieces.ts";
import { Arrivals } from "./arrivals.ts";
import { GivingUp } from "./giving-up.ts";
import type { Holder } from "./holder.ts";
import { type HolderEvents, Holders } from "./holders.ts";
import { Requests } from "./requests.ts";
import type { SourceEvents } from "./source.ts";
import type { Fetched, FetchState, FetchTools, PieceJob, WantedFile } from "./types.ts";
import { fetchWhole } from "./whole.ts";

/** The fetch looks after its connections each time this time has passed. Milliseconds. */
const TICK_MS = 200;

/**
 * Fetches into the target until the file is whole and right. Throws `CancelledError`, the target's own error, or a sentence that
 * says which holders failed and how far it came; right pieces stay in the target then.
 */
export async function fetchFile(wanted: WantedFile, tools: FetchTools): Promise<Fetched> {
  const { root, holders } = wanted;
  const proven = holders.filter(({ v2 }) => v2);
  if (root === undefined || (proven.length === 0 && wanted.folder === undefined)) return fetchWholeAnew(wanted, tools);
  const { size, folder } = wanted;
  const clock = tools.clock ?? systemClock;
  const fetch = new PieceFetch({
    file: { ...wanted, root, holders: proven },
    tools,
    clock,
    time: new RunningTime(clock),
    random: tools.random ?? Math.random,
    self: tools.self?.(),
    cut: folder ?? cutOfFile(size),
  });
  try {
    return await fetch.run();
  } catch (error) {
    // No holder can prove pieces: the file is fetched as a whole and proven at the end.
    if (folder !== undefined || fetch.withoutTree.length === 0 || codeOf(error) !== "no-holder") throw error;
    return await fetchWholeAnew({ ...wanted, holders: fetch.withoutTree }, tools);
  }
}

async function fetchWholeAnew(wanted: WantedFile, tools: FetchTools): Promise<Fetched> {
  await tools.target.restart();
  return await fetchWhole(wanted, tools);
}

/** Fetches one file piece by piece. */
class PieceFetch implements FetchState, HolderEvents {
  readonly #job: PieceJob;
  readonly #holders: Holders;
  readonly #requests: Requests;
  readonly #arrivals: Arrivals;
  readonly #givingUp: GivingUp;
  readonly #outcome = Promise.withResolvers<void>();
  #over = false;
  /** The bytes that were here before it began. */
  #resumed = 0;
  #cancelTick = () => {};

  constructor(job: PieceJob) {
    this.#job = job;
    this.#holders = new Holders(job, this, this);
    this.#requests = new Requests(job, this.#holders);
    this.#arrivals = new Arrivals(job, this.#requests, {
      landed: (holder, pieces) => this.#landed(holder, pieces),
      wrong: (holder) => this.#holders.expel(holder),
      paused: (paused) => this.#pause(paused),
      failed: (error) => this.end(error),
    });
    this.#givingUp = new GivingUp(job, this.#holders, this);
  }

  get withoutTree(): FileRecord[] {
    return this.#givingUp.withoutTree;
  }

  async run(): Promise<Fetched> {
    const { signal } = this.#job.tools;
    const stop = () => this.end(new CancelledError());
    signal?.addEventListener("abort", stop);
    try {
      if (signal?.aborted) stop();
      else this.#begin();
      await this.#outcome.promise;
    } finally {
      this.end();
      signal?.removeEventListener("abort", stop);
      await this.settled();
    }
    const holders = this.#holders.all.filter(({ contributed }) => contributed).map(({ record }) => record);
    return { verified: true, holders, resumed: this.#resumed };
  }

  #begin(): void {
    const { name, holders } = this.#job.file;
    const hashes = this.#knownHashes();
    if (hashes !== undefined) {
      if (this.#isRight(hashes)) void this.#learn(hashes);
      else {
        const sentence = `Cannot fetch "${printable(name)}": its content id is not that of an empty file.`;
        this.end(new FtError("bad-root", sentence));
      }
    }
    for (const record of holders) this.#holders.meet(record);
    this.#tick();
  }

  /** Ends the fetch: done, or failed. */
  end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelTick();
    this.#arrivals.stop();
    this.#givingUp.stop();
    this.#holders.leave();
    if (error === undefined) this.#outcome.resolve();
    else this.#outcome.reject(error);
  }

  #tick(): void {
    if (this.#over) return;
    const now = this.#job.time.now();
    this.#givingUp.tick(now);
    this.#holders.tick(now);
    this.#askTrees();
    this.#askAll();
    if (this.#givingUp.endIfStuck(now, this.ready && !this.paused)) return;
    // Progress is reported even when no bytes come: the rate on the screen is that of now.
    if (!this.#reportQueue()) this.#reportProgress();
    this.#cancelTick();
    this.#cancelTick = this.#job.clock.after(TICK_MS, () => this.#tick());
  }

  // -------------------------------------------------------------- progress

  get over(): boolean {
    return this.#over;
  }

  get paused(): boolean {
    return this.#arrivals.paused;
  }

  get ready(): boolean {
    return this.#requests.ready;
  }

  get hasHashes(): boolean {
    return this.#arrivals.hashes !== undefined;
  }

  get kept(): number {
    return this.#requests.kept;
  }

  settled(): Promise<void> {
    return this.#arrivals.settled();
  }

  // -------------------------------------------------------------- answers of holders

  opened(holder: Holder): void {
    this.#askTrees();
    if (holder.record.part) this.#holders.askHave(holder);
    this.#requests.recount();
    this.#ask(holder);
  }

  lost(holder: Holder): void {
    for (const request of holder.requests.splice(0)) this.#arrivals.salvage(request);
    this.#askTrees();
    this.#requests.recount();
    this.#askAll();
    this.#givingUp.endIfAlone();
  }

  answers(holder: Holder): Omit<SourceEvents, "failed"> {
    return {
      tree: (hashes) => this.#tree(holder, hashes),
      gathered: (bytes) => holder.heard(bytes, this.#job.time.now()),
      have: (bits) => this.#have(holder, bits),
      bytes: (_at, bytes) => this.#bytes(holder, bytes),
      served: () => this.#served(holder),
      busy: (_range, position) => this.#busy(holder, position),
      lacks: () => this.#lacks(holder),
    };
  }

  #tree(holder: Holder, hashes: Uint8Array | undefined): void {
    if (hashes === undefined) {
      // It may still give right pieces when another holder gives the hashes.
      holder.treeless = true;
      holder.reason = "it does not send the hashes of its pieces";
      this.#askTrees();
      this.#givingUp.endIfAlone();
    } else if (!this.#isRight(hashes)) {
      holder.source?.fail("its piece hashes are not those of the file it announced", true);
    } else if (!this.hasHashes) void this.#learn(hashes);
  }

  #have(holder: Holder, bits: Uint8Array | undefined): void {
    holder.haveDue = false;
    holder.heard(0, this.#job.time.now());
    if (bits === undefined) holder.source?.fail("it does not say which pieces it has", true);
    else {
      holder.has ??= new PieceSet(this.#job.cut.count);
      holder.has.read(bits);
      this.#requests.recount();
      this.#ask(holder);
    }
  }

  #bytes(holder: Holder, bytes: Uint8Array): void {
    this.#givingUp.moved();
    holder.heard(bytes.length, this.#job.time.now());
    holder.position = 0;
    const request = holder.requests[0];
    if (request === undefined) return;
    this.#arrivals.take(request, bytes);
    this.#reportProgress();
  }

  #served(holder: Holder): void {
    const request = holder.served(this.#job.time.now());
    if (request === undefined) return;
    this.#arrivals.finish(request);
    this.#holders.letGo(holder);
    this.#ask(holder);
  }

  #busy(holder: Holder, position: number): void {
    const request = holder.requests.shift();
    if (request !== undefined) this.#requests.drop(request);
    const now = this.#job.time.now();
    holder.heard(0, now);
    holder.queued(position, now);
    this.#holders.letGo(holder);
    this.#askAll();
  }

  #lacks(holder: Holder): void {
    const request = holder.requests.shift();
    if (request === undefined) return;
    this.#requests.drop(request);
    if (!holder.record.part) {
      holder.source?.fail("it does not have all of the file", true);
      return;
    }
    for (let i = request.first; i < request.first + request.count; i++) holder.has?.delete(i);
    const now = this.#job.time.now();
    holder.heard(0, now);
    if (holder.lacked(now)) holder.source?.fail("it claims to have pieces but does not send them", true);
    else this.#holders.letGo(holder);
    this.#requests.recount();
    this.#askAll();
  }

  // -------------------------------------------------------------- the pieces

  /** The hashes of all pieces, as far as they follow from the content id of a file, or from the list of a folder. */
  #knownHashes(): Uint8Array | undefined {
    const { file, cut, tools } = this.#job;
    if (file.folder !== undefined) return file.folder.hashes(tools.sha256);
    // A file of one piece needs no tree: the hash of its only piece is the content id.
    if (cut.count > 1) return undefined;
    return file.size === 0 ? new Uint8Array(0) : Uint8Array.fromHex(file.root);
  }

  #isRight(hashes: Uint8Array): boolean {
    const { file, tools } = this.#job;
    if (file.folder !== undefined) return file.folder.isRight(hashes, tools.sha256);
    return rootOf(hashes, file.size, tools.sha256).toHex() === file.root;
  }

  /** The hashes are known: right pieces of an earlier run count, and the transfer begins. */
  async #learn(hashes: Uint8Array): Promise<void> {
    this.#arrivals.hashes = hashes;
    const { present, begun, report } = this.#job.tools;
    const { size } = this.#job.file;
    let checked = 0;
    try {
      const have = await present?.(hashes, (bytes) => {
        checked += bytes;
        report({ event: "checking", checked, size });
      });
      if (this.#over) return;
      this.#requests.begin(have);
    } catch (error) {
      return this.end(error instanceof Error ? error : new Error(String(error)));
    }
    begun?.(hashes, this.#requests.have);
    this.#resumed = this.#requests.kept;
    if (this.#resumed > 0) this.#reportProgress();
    this.#completeOrAsk();
  }

  #landed(holder: Holder, pieces: number): void {
    if (pieces > 0) {
      holder.proved();
      this.#givingUp.proved();
    }
    this.#reportProgress();
    this.#completeOrAsk();
  }

  #completeOrAsk(): void {
    if (this.#over) return;
    if (this.#requests.have.complete) {
      this.#job.tools.report({ event: "verifying" });
      this.end();
    } else this.#askAll();
  }

  #askTrees(): void {
    if (!this.#over && !this.hasHashes) this.#holders.askTrees();
  }

  #ask(holder: Holder): void {
    if (!this.#over) this.#requests.ask(holder);
  }

  #askAll(): void {
    if (!this.#over) this.#requests.askAll();
  }

  #pause(paused: boolean): void {
    const now = this.#job.time.now();
    for (const holder of this.#holders.all) {
      holder.restart(now);
      if (holder.source !== undefined) holder.source.paused = paused;
    }
  }

  // -------------------------------------------------------------- reports

  #reportProgress(): void {
    if (!this.ready) return;
    const { received } = this.#arrivals;
    this.#job.tools.report({ event: "progress", received, size: this.#job.file.size, holders: this.#holders.active });
  }

  /** Reports the best place in a queue. False when this machine waits in no queue, or another holder gives bytes. */
  #reportQueue(): boolean {
    const [best] = this.#holders.queued;
    if (best === undefined) return false;
    if (this.#holders.all.some(({ position, requests }) => position === 0 && requests.length > 0)) return false;
    this.#job.tools.report({ event: "waiting", holder: best.record, position: best.position });
    return true;
  }
}
