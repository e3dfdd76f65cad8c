// A peer's life with its tracker: join, renew, ask, leave, and come back by itself. The network, the clock and chance are handed in.

import { concatBytes } from "../bytes.ts";
import { type Clock, systemClock } from "../clock.ts";
import { CancelledError, codeOf, FtError, ProtocolError, sentenceOf } from "../error.ts";
import type { Channel, Dial } from "../net/channel.ts";
import { type Address, type Endpoint, formatEndpoint, isLoopback } from "../protocol/address.ts";
import { basic, forOldTracker, parseBasicFound } from "../protocol/basic.ts";
import {
  type CallBack,
  DEFAULT_MAX_FILES,
  type FromTracker,
  PASS_LIFETIME_S,
  type Page,
  type PeerLine,
  PING_MS,
  PROFILE_WAIT_MS,
  type Profile,
  type Push,
  RESULTS_LIMIT,
  type Wish,
} from "../protocol/messages.ts";
import { SessionInbox } from "../protocol/read.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import { encodeToTracker } from "../protocol/write.ts";
import { plural } from "../text.ts";
import { firstToOpen, mainReason } from "./happy-eyeballs.ts";

/** An answer that takes longer than this means that the tracker is gone. */
const ANSWER_MS = 15_000;

/** A tracker that spoke FT/2 before is given more time than a stranger: after a restart everybody asks it at once. */
const KNOWN_PROFILE_WAIT_MS = 10_000;

/** A request while the tracker is away waits this long for the first try to come back. */
const AWAY_PATIENCE_MS = 1_500;

const BYE_MS = 1_000;

/** An old tracker says HI at once. */
const HI_MS = 3_000;

/** After a pause of the whole machine the tracker shows within this time that it is still there. */
const CHECK_MS = 4_000;

/** Tries in vain before a tracker that was found by its announcement is looked for anew. */
const FRUITLESS = 2;

const FIRST_RETRY_MS = 1_000;

const LONGEST_RETRY_MS = 25_000;

/** Everybody is back within this time after a tracker's restart. */
const SETTLING_MS = LONGEST_RETRY_MS + 10_000;

/** An FT/1 answer is this long at most. */
const BASIC_ANSWER_LIMIT = 4 * 1024 * 1024;

export type SessionEvent =
  | { event: "joined"; profile: Profile; name: string; peers: number; files: number; left: FileRecord[] }
  | { event: "away"; reason: string }
  | { event: "notice"; words: string }
  /** Whether the tracker could connect to this peer's port. */
  | { event: "reach"; reachable: boolean; reason: string; port: number };

/** Where a tracker is: at the first of these addresses that answers. */
export interface TrackerPlace {
  address: string;
  port: number;
  others?: string[];
}

export interface SessionOptions {
  dial: Dial;
  tracker: TrackerPlace;
  /** Looks for that tracker anew when it cannot be reached any more: it may have moved. */
  find?(): Promise<TrackerPlace | undefined>;
  agent: string;
  /** Where this peer serves. */
  port: number;
  /** What this peer shares now, as seen from its own address. */
  records(own: Endpoint): FileRecord[];
  /** What it has of files that it is still fetching; those are announced one by one. */
  parts?(own: Endpoint): FileRecord[];
  /** A peer that cannot connect to this one asks to be connected to. */
  callBack?(to: CallBack): void;
  report(event: SessionEvent): void;
  clock?: Clock;
  /** From 0 to 1. */
  random?: () => number;
}

type Reply = Exclude<FromTracker, Push | { verb: "UNKNOWN" }>;

interface Pending {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** What is known while the peer is online. */
interface Standing {
  profile: Profile;
  /** This peer as its tracker sees it. */
  you: Address;
  /** The tracker as this peer reached it, and this peer's own end of that connection. */
  tracker: Address;
  local: Address;
  max: number;
  key: string;
  pass: string;
  id: string;
  /** The tracker's clock minus ours, in milliseconds, from the expiry of our own pass. */
  skew: number;
  /** Whether the tracker could connect to this peer's port; undefined until it has said so. */
  reach?: boolean;
  /** Whether it can be found by DNS-SD; undefined when it does not say. */
  announced?: boolean | undefined;
  /** Records in an answer at most, if not as many as the protocol allows. */
  results?: number | undefined;
}

/** One peer's session. `join` once; after that it comes back by itself until `leave`. */
export class Session {
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  #tracker: TrackerPlace;
  #joining = false;
  #returnedAt = Number.NEGATIVE_INFINITY;
  /** Counts the ways back that were begun or given up. */
  #attempt = 0;
  /** What the tracker has said of this peer's port, until it is told. */
  #reach: Extract<Push, { verb: "REACH" }> | undefined;
  /** Only this peer and its tracker know it: with it, a new connection takes the place of a lost one. */
  #secret: string | undefined;
  #channel: Channel | undefined;
  #pending: Pending[] = [];
  #standing: Standing | undefined;
  #online = false;
  #leaving = false;
  #retries = 0;
  #cancelRetry = () => {};
  #cancelPing = () => {};
  #cancelRenewal = () => {};
  #returned: (() => void)[] = [];

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#tracker = options.tracker;
  }

  /** Records that are asked for at once: as many as the tracker gives. */
  get #page(): number {
    return Math.max(1, Math.min(RESULTS_LIMIT, this.#standing?.results ?? RESULTS_LIMIT));
  }

  get #where(): string {
    return formatEndpoint(this.#tracker);
  }

  get online(): boolean {
    return this.#online;
  }

  /** As it was when the peer was last online. */
  get standing(): Standing | undefined {
    return this.#standing;
  }

  /** Joins for the first time. Throws a sentence when the tracker cannot be reached or refuses. */
  async join(signal?: AbortSignal): Promise<void> {
    await this.#join(signal);
  }

  /** Records for an exact file name. */
  async search(name: FileName): Promise<FileRecord[]> {
    if ((await this.#profile()) === 1) return this.#searchBasic(name);
    return recordsOf(await this.#ask(encodeToTracker({ verb: "SEARCH", name })));
  }

  /** Every record, or every record of one peer. */
  list(id?: string): Promise<FileRecord[]> {
    return this.#listAll(id === undefined ? {} : { id });
  }

  async #listAll(what: { id?: string; root?: string }): Promise<FileRecord[]> {
    await this.#needFull("list files");
    const all: FileRecord[] = [];
    const seen = new Set<string>();
    for (;;) {
      const request = encodeToTracker({ verb: "LIST", ...what, offset: all.length, limit: this.#page });
      const page = recordsOf(await this.#ask(request));
      if (!addNew(all, seen, page, this.#page, (record) => `${formatEndpoint(record)} ${record.name}`)) return all;
    }
  }

  /** A page of what fits words and filters, best first, and how much there is. */
  async find(wish: Wish): Promise<{ records: FileRecord[]; total: number }> {
    await this.#needFull("find files by words");
    const reply = await this.#ask(encodeToTracker({ verb: "FIND", ...wish, limit: Math.min(wish.limit, this.#page) }));
    const records = recordsOf(reply);
    const total = reply.verb === "FOUND" ? reply.total : undefined;
    return { records, total: total ?? wish.offset + records.length };
  }

  /** Everything that fits. */
  async findAll(wish: Omit<Wish, keyof Page>): Promise<FileRecord[]> {
    const all: FileRecord[] = [];
    const seen = new Set<string>();
    for (;;) {
      const { records } = await this.find({ ...wish, offset: all.length, limit: this.#page });
      if (!addNew(all, seen, records, this.#page, (record) => `${formatEndpoint(record)} ${record.name}`)) return all;
    }
  }

  /** Everybody who has this content, whatever they call it. */
  async holders(root: string): Promise<FileRecord[]> {
    // A tracker that does not know `root=` gives everything.
    return (await this.#listAll({ root })).filter((record) => record.root === root);
  }

  /** Everybody online. */
  async who(): Promise<PeerLine[]> {
    await this.#needFull("say who is online");
    const all: PeerLine[] = [];
    const seen = new Set<string>();
    for (;;) {
      const reply = await this.#ask(encodeToTracker({ verb: "WHO", offset: all.length, limit: this.#page }));
      const page = reply.verb === "PEERS" ? reply.peers : unexpected(reply);
      if (!addNew(all, seen, page, this.#page, ({ id }) => id)) return all;
    }
  }

  /** Whether the tracker knows an address as an accepted peer's. A basic tracker cannot say. */
  async known(address: Address): Promise<boolean | undefined> {
    if (this.#standing?.profile === 1) return undefined;
    const reply = await this.#ask(encodeToTracker({ verb: "KNOWN", address }));
    return reply.verb === "YES";
  }

  /** Tells the tracker what became of a record: its root is known, or it changed. Does nothing while away: joining says it all. */
  async add(record: FileRecord): Promise<void> {
    if (!this.#online || this.#standing?.profile === 1) return;
    await this.#ask(encodeToTracker({ verb: "ADD", record }));
  }

  /** Takes a record off the list at the tracker; false when it was the last one. */
  async drop(name: FileName): Promise<boolean> {
    if (!this.#online || this.#standing?.profile === 1) return true;
    const reply = await this.#ask(encodeToTracker({ verb: "DROP", name }), ["ERROR"]);
    return reply.verb !== "ERROR";
  }

  /** Asks for a connection from a holder; false when the tracker does not know it, or does not do that. */
  async connect({ address, port, token }: CallBack): Promise<boolean> {
    if (!this.#online || this.#standing?.profile === 1) return false;
    const reply = await this.#ask(encodeToTracker({ verb: "CONNECT", address, port, token }), ["ERROR"]);
    return reply.verb === "OK";
  }

  /** Whether this peer is on its way back, or came back so short a while ago that others may still be on theirs. */
  get unsettled(): boolean {
    return this.away || this.#clock.at() - this.#returnedAt < SETTLING_MS;
  }

  /** Whether this peer was online and is on its way back. */
  get away(): boolean {
    return !this.#online && !this.#leaving && this.#standing !== undefined;
  }

  /**
   * The network has changed, or the machine was asleep: `addresses` are its own now. A connection from an address that is gone is
   * given up at once; another one has to show that it is still there.
   */
  networkChanged(addresses: ReadonlySet<Address>): void {
    const channel = this.#channel;
    if (this.#leaving || this.#standing === undefined || this.#standing.profile === 1) return;
    if (!this.#online || channel === undefined) {
      this.#retries = 0;
      if (!this.#joining) this.#retryLater();
      return;
    }
    const { address } = channel.local;
    if (!isLoopback(address) && !addresses.has(address)) {
      channel.destroy("this machine's address has changed");
      return;
    }
    const cancel = this.#clock.after(CHECK_MS, () => channel.destroy("it does not answer"));
    this.#ask(encodeToTracker({ verb: "PING" })).then(cancel, cancel);
  }

  /** Says BYE and ends the session. */
  async leave(): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#attempt += 1;
    this.#joining = false;
    this.#cancelRetry();
    this.#cancelPing();
    this.#cancelRenewal();
    if (this.#online && this.#standing?.profile === 1) await this.#leaveBasic();
    const channel = this.#channel;
    if (this.#online && channel !== undefined && !channel.closed) {
      const answered = this.#ask(encodeToTracker({ verb: "BYE" })).catch(() => undefined);
      await Promise.race([answered, this.#sleep(BYE_MS)]);
      channel.finish();
    }
    if (!this.#online) channel?.destroy();
    this.#online = false;
    for (const waiting of this.#returned.splice(0)) waiting();
  }

  /** After `leave`: joins again, and keeps trying. */
  comeBack(): void {
    if (!this.#leaving) return;
    this.#leaving = false;
    this.#retries = 0;
    this.#retryLater();
  }

  // -------------------------------------------------------------- joining

  async #join(signal?: AbortSignal): Promise<void> {
    this.#joining = true;
    try {
      await this.#joinNow(signal);
    } finally {
      this.#joining = false;
    }
  }

  async #joinNow(signal?: AbortSignal): Promise<void> {
    let channel: Channel;
    const attempt = this.#attempt;
    try {
      channel = await this.#dial(signal);
      if (attempt !== this.#attempt) {
        channel.destroy();
        throw new CancelledError();
      }
    } catch (error) {
      if (codeOf(error) === "cancelled") throw new CancelledError();
      const reason = mainReason(error);
      const hint = "Check the address and that ft-tracker runs there.";
      throw new FtError(codeOf(reason), `Cannot reach the tracker at "${this.#where}": ${sentenceOf(reason)}. ${hint}`);
    }
    const stop = () => channel.destroy();
    signal?.addEventListener("abort", stop);
    try {
      await this.#introduce(channel, signal);
    } catch (error) {
      if (this.#channel === channel) this.#channel = undefined;
      channel.destroy();
      throw signal?.aborted ? new CancelledError() : error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
    this.#retries = 0;
    for (const waiting of this.#returned.splice(0)) waiting();
  }

  /** Connects to the first of the tracker's addresses that answers. */
  async #dial(signal: AbortSignal | undefined): Promise<Channel> {
    const { port, address, others = [] } = this.#tracker;
    const how = signal === undefined ? {} : { signal };
    if (others.length === 0) return await this.#options.dial({ address, port }, how);
    const ways = [address, ...others].map(
      (one) => (signal: AbortSignal) => this.#options.dial({ address: one, port }, { signal }),
    );
    return await firstToOpen(ways, { ...how, clock: this.#clock });
  }

  /** Says HELLO FT/2; an old tracker keeps silent, and is tried with the bare HELLO on a second connection. */
  async #introduce(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
    this.#attach(channel);
    const answer = this.#ask(
      encodeToTracker({ verb: "HELLO", profile: 2, agent: this.#options.agent, extras: true, session: this.#secret }),
    ).catch((error: unknown) => {
      if (codeOf(error) === "tracker-gone") return undefined;
      throw error;
    });
    const wait = this.#standing?.profile === 2 ? KNOWN_PROFILE_WAIT_MS : PROFILE_WAIT_MS;
    let hi = await Promise.race([answer, this.#sleep(wait)]);
    if (signal?.aborted) throw new CancelledError();
    hi ??= await this.#tryBasic(channel, answer, signal);
    if (hi === undefined) return;
    if (hi.verb !== "HI") unexpected(hi);
    await this.#accept(channel, hi);
  }

  /** The bare HELLO, on a second connection; undefined once that is accepted. A busy tracker's HI that comes meanwhile wins. */
  async #tryBasic(
    silent: Channel,
    answer: Promise<Reply | undefined>,
    signal: AbortSignal | undefined,
  ): Promise<Reply | undefined> {
    const second = this.#greetBasic(signal);
    let accepted = false;
    try {
      // A connection that ended says nothing: then only the second one can.
      const late = answer.then((reply) => reply ?? new Promise<never>(() => {}));
      const first = await Promise.race([late, second]);
      if (this.#leaving) throw new CancelledError();
      if ("verb" in first) return first;
      this.#channel = undefined;
      this.#pending = [];
      silent.destroy();
      accepted = this.#acceptBasic(first);
      return undefined;
    } finally {
      if (!accepted) {
        second.then(
          (spare) => spare.destroy(),
          () => undefined,
        );
      }
    }
  }

  async #accept(channel: Channel, hi: Extract<Reply, { verb: "HI" }>): Promise<void> {
    const all = this.#options.records({ address: channel.local.address, port: this.#options.port });
    const records = all.slice(0, hi.max);
    const standing: Standing = {
      profile: 2,
      you: hi.you,
      tracker: channel.remote.address,
      local: channel.local.address,
      max: hi.max,
      key: hi.key,
      announced: hi.announced,
      results: hi.results,
      pass: "",
      id: "",
      skew: 0,
    };
    const welcome = await this.#sendFiles(records);
    Object.assign(standing, welcomeParts(welcome, this.#clock.at()));
    this.#secret = welcome.session;
    if (this.#standing !== undefined) this.#returnedAt = this.#clock.at();
    this.#standing = standing;
    this.#online = true;
    this.#pingLater();
    this.#renewLater();
    this.#addParts(channel);
    const { peers, files } = welcome;
    this.#options.report({ event: "joined", profile: 2, name: hi.name, peers, files, left: all.slice(hi.max) });
    this.#tellReach();
  }

  async #sendFiles(records: FileRecord[]): Promise<Extract<Reply, { verb: "WELCOME" }>> {
    const reply = await this.#ask(encodeToTracker({ verb: "FILES", profile: 2, port: this.#options.port, records }));
    return reply.verb === "WELCOME" ? reply : unexpected(reply);
  }

  /** The list that was sent has replaced everything. */
  #addParts(channel: Channel): void {
    const parts = this.#options.parts?.({ address: channel.local.address, port: this.#options.port }) ?? [];
    for (const record of parts) this.add(record).catch(() => undefined);
  }

  /** A pass is renewed at half its life, by sending the list again. */
  #renewLater(): void {
    this.#cancelRenewal();
    this.#cancelRenewal = this.#clock.after((PASS_LIFETIME_S * 1000) / 2, async () => {
      const channel = this.#channel;
      if (!this.#online || channel === undefined || this.#standing === undefined) return;
      const own = { address: channel.local.address, port: this.#options.port };
      try {
        const welcome = await this.#sendFiles(this.#options.records(own).slice(0, this.#standing.max));
        Object.assign(this.#standing, welcomeParts(welcome, this.#clock.at()));
        this.#addParts(channel);
        this.#renewLater();
      } catch {
        // The connection broke meanwhile; coming back brings a new pass.
      }
    });
  }

  #pingLater(): void {
    this.#cancelPing();
    this.#cancelPing = this.#clock.after(PING_MS, () => {
      this.#ask(encodeToTracker({ verb: "PING" })).catch(() => undefined);
    });
  }

  // -------------------------------------------------------------- asking

  #attach(channel: Channel): void {
    const inbox = new SessionInbox();
    this.#channel = channel;
    this.#reach = undefined;
    channel.start({
      data: (chunk) => {
        inbox.push(chunk);
        try {
          for (let message = inbox.next(); message !== undefined; message = inbox.next()) this.#hear(message);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
          channel.destroy(`the tracker broke the protocol: ${error.message}`);
        }
      },
      end: () => channel.finish(),
      close: (reason) => this.#lost(channel, reason),
    });
  }

  #hear(message: FromTracker): void {
    switch (message.verb) {
      case "NOTICE":
        this.#options.report({ event: "notice", words: message.words });
        break;
      case "REACH":
        this.#hearReach(message);
        break;
      case "CONNECT":
        if (this.#online) this.#options.callBack?.(message);
        break;
      case "UNKNOWN":
        break;
      default:
        this.#pending.shift()?.resolve(message);
    }
  }

  #hearReach(reach: Extract<Push, { verb: "REACH" }>): void {
    // It may come in one piece with the WELCOME before it.
    this.#reach = reach;
    if (this.#online) this.#tellReach();
  }

  #tellReach(): void {
    if (this.#reach === undefined || this.#standing === undefined) return;
    const { reachable, reason } = this.#reach;
    this.#reach = undefined;
    this.#standing.reach = reachable;
    this.#options.report({ event: "reach", reachable, reason, port: this.#options.port });
  }

  /** Sends a request and gives its reply; an ERROR is thrown as a sentence unless it is among `allowed`. */
  async #ask(request: string, allowed: string[] = []): Promise<Reply> {
    const channel = this.#channel;
    if (channel === undefined || channel.closed) throw this.#gone("");
    const reply = await new Promise<Reply>((resolve, reject) => {
      const cancel = this.#clock.after(ANSWER_MS, () => channel.destroy("it does not answer"));
      this.#pending.push({
        resolve: (answer) => {
          cancel();
          resolve(answer);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      });
      channel.send(request);
    });
    if (this.#online) this.#pingLater();
    if (reply.verb === "ERROR" && !allowed.includes("ERROR")) {
      throw new FtError(reply.code || "refused", `The tracker at "${this.#where}" refused: ${reply.words}`);
    }
    return reply;
  }

  #gone(reason: string): FtError {
    const why = reason === "" ? "it closed the connection" : reason;
    // Only who was online comes back; a first join that fails ends the program.
    const then = this.#standing === undefined ? "." : "; this peer comes back by itself.";
    return new FtError("tracker-gone", `The tracker at "${this.#where}" is away (${why})${then}`);
  }

  #lost(channel: Channel, reason: string): void {
    if (channel !== this.#channel) return;
    this.#channel = undefined;
    this.#cancelPing();
    this.#cancelRenewal();
    for (const { reject } of this.#pending.splice(0)) reject(this.#gone(reason));
    if (!this.#online || this.#leaving) return;
    this.#online = false;
    this.#options.report({ event: "away", reason: reason === "" ? "it closed the connection" : reason });
    this.#retryLater();
  }

  /** Jittered, doubling waits; the first try comes within a second, so that a restart is hardly noticed. */
  #retryLater(): void {
    this.#cancelRetry();
    const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#retries);
    const wait = this.#retries === 0 ? longest * this.#random() : longest * (0.5 + this.#random() / 2);
    this.#retries += 1;
    this.#cancelRetry = this.#clock.after(wait, () => {
      const attempt = ++this.#attempt;
      this.#rejoin(attempt).catch(() => {
        if (attempt !== this.#attempt) return;
        if (this.#channel !== undefined) {
          const channel = this.#channel;
          this.#channel = undefined;
          channel.destroy();
        }
        if (!this.#leaving) this.#retryLater();
      });
    });
  }

  async #rejoin(attempt: number): Promise<void> {
    this.#joining = true;
    if (this.#retries > FRUITLESS) {
      const found = await this.#options.find?.().catch(() => undefined);
      // It was left meanwhile; somebody who came back since then makes an attempt of their own.
      if (attempt !== this.#attempt) return;
      if (found !== undefined) this.#tracker = found;
    }
    await this.#join();
  }

  /** The profile spoken; waits a little for a tracker that is just being rejoined. */
  async #profile(): Promise<Profile> {
    if (!this.#online && !this.#leaving) {
      await Promise.race([new Promise<void>((resolve) => this.#returned.push(resolve)), this.#sleep(AWAY_PATIENCE_MS)]);
    }
    if (!this.#online || this.#standing === undefined) throw this.#gone("it cannot be reached");
    return this.#standing.profile;
  }

  async #needFull(what: string): Promise<void> {
    if ((await this.#profile()) === 2) return;
    const words = `The tracker at "${this.#where}" speaks the basic protocol and cannot ${what}; search for an exact name instead.`;
    throw new FtError("basic-tracker", words);
  }

  // -------------------------------------------------------------- FT/1

  async #greetBasic(signal: AbortSignal | undefined): Promise<Channel> {
    const channel = await this.#dialBasic(signal);
    signal?.addEventListener("abort", () => channel.destroy(), { once: true });
    const hi = await this.#readBasic(channel, basic.hello, (bytes) => bytes.length >= basic.hi.length, { within: HI_MS });
    if (new TextDecoder().decode(hi).startsWith(basic.hi)) return channel;
    channel.destroy();
    throw new FtError(
      "no-tracker",
      `What answers at "${this.#where}" is not a FileTracker tracker. Check the address and port.`,
    );
  }

  /** The old tracker reads once for each message: HELLO was alone, now comes the whole list in one piece. */
  #acceptBasic(channel: Channel): true {
    const own = { address: channel.local.address, port: this.#options.port };
    const { taken, left } = forOldTracker(this.#options.records(own).slice(0, DEFAULT_MAX_FILES));
    if (taken.length === 0) {
      throw new FtError(
        "basic-names",
        `The tracker at "${this.#where}" speaks the basic protocol and takes only names of letters, ".", "_", "-" and spaces; none of ` +
          `the ${plural(left.length, "shared file")} has one. Rename a file, or share another with --share.`,
      );
    }
    channel.send(basic.records(taken));
    channel.finish();
    const { address } = channel.local;
    this.#standing = {
      profile: 1,
      you: address,
      tracker: channel.remote.address,
      local: address,
      max: DEFAULT_MAX_FILES,
      key: "",
      pass: "",
      id: "",
      skew: 0,
    };
    this.#online = true;
    this.#options.report({ event: "joined", profile: 1, name: "", peers: 0, files: 0, left });
    return true;
  }

  async #searchBasic(name: FileName): Promise<FileRecord[]> {
    const channel = await this.#dialBasic();
    const answer = await this.#readBasic(channel, basic.search(name), () => false);
    channel.destroy();
    return parseBasicFound(answer, name);
  }

  async #leaveBasic(): Promise<void> {
    const channel = await this.#dialBasic().catch(() => undefined);
    if (channel === undefined) return;
    await Promise.race([this.#readBasic(channel, basic.bye, () => false, { last: true }), this.#sleep(BYE_MS)]);
    channel.destroy();
  }

  async #dialBasic(signal?: AbortSignal): Promise<Channel> {
    try {
      return await this.#dial(signal);
    } catch (error) {
      const reason = mainReason(error);
      throw new FtError(codeOf(reason), `Cannot reach the tracker at "${this.#where}": ${sentenceOf(reason)}.`);
    }
  }

  /** Says one FT/1 message on a channel and gathers the answer until it is whole or the stream ends. */
  #readBasic(
    channel: Channel,
    request: string,
    whole: (bytes: Uint8Array) => boolean,
    { last = false, within = ANSWER_MS }: { last?: boolean; within?: number } = {},
  ): Promise<Uint8Array> {
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      const settle = () => {
        cancel();
        resolve(concatBytes(chunks));
      };
      const cancel = this.#clock.after(within, settle);
      channel.start({
        data: (chunk) => {
          chunks.push(chunk);
          size += chunk.length;
          if (size > BASIC_ANSWER_LIMIT || whole(concatBytes(chunks))) settle();
        },
        end: settle,
        close: settle,
      });
      channel.send(request);
      if (last) channel.finish();
    });
  }

  #sleep(ms: number): Promise<undefined> {
    return new Promise((resolve) => this.#clock.after(ms, () => resolve(undefined)));
  }
}

/** Adds a page to what is gathered; false when it was the last one, or only said again what is known. */
function addNew<Item>(all: Item[], seen: Set<string>, page: Item[], full: number, keyOf: (item: Item) => string): boolean {
  const before = seen.size;
  for (const item of page) seen.add(keyOf(item));
  all.push(...page);
  return page.length === full && seen.size > before;
}

function recordsOf(reply: Reply): FileRecord[] {
  if (reply.verb === "NOT FOUND") return [];
  return reply.verb === "FOUND" ? reply.records : unexpected(reply);
}

function unexpected(reply: Reply): never {
  throw new FtError("bad-answer", `The tracker answered ${reply.verb}, which was not asked for.`);
}

function welcomeParts({ id, pass }: { id: string; pass: string }, at: number): Pick<Standing, "id" | "pass" | "skew"> {
  return { id, pass, skew: skewOf(pass, at) };
}

/** A fresh pass expires a known time after it was issued, which tells the tracker's clock. */
function skewOf(pass: string, at: number): number {
  const [payload = ""] = pass.split(".");
  try {
    const expires = Number(atob(payload.replaceAll("-", "+").replaceAll("_", "/")).split(" ")[2]);
    return Number.isFinite(expires) ? (expires - PASS_LIFETIME_S) * 1000 - at : 0;
  } catch {
    return 0;
  }
}
