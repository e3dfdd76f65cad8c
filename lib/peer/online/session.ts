// Keeps a peer online at its tracker: joins, hears what the tracker says, and leaves. own-list.ts sends the list and renews the pass,
// requests.ts makes the requests, and rejoining.ts joins again when the connection is lost. The caller hands in network, clock and chance.

import { type Clock, sleep } from "../../clock.ts";
import { CancelledError, codeOf, FtError } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { type Address, formatEndpoint, isLoopback } from "../../protocol/address.ts";
import type { Dismissal, Profile, Push } from "../../protocol/messages.ts";
import { DEFAULT_MAX_FILES, PING_MS, RESULTS_LIMIT } from "../../protocol/numbers.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { dialTracker } from "../connect/dial-tracker.ts";
import { BasicTracker, BYE_MS } from "./basic-tracker.ts";
import { ExcludedError, exclusionIn } from "./exclusion.ts";
import { FullTries } from "./full-tries.ts";
import { type Greeted, Greeting, type Hi } from "./greeting.ts";
import { KeptOut } from "./kept-out.ts";
import { isDialable } from "./own-address.ts";
import { OwnList } from "./own-list.ts";
import { Rejoining } from "./rejoining.ts";
import { TrackerRequests } from "./requests.ts";
import { LONGEST_RETRY_MS } from "./retries.ts";
import { IS_ROOM, isRoomsAnswer, type RoomRefusal } from "./room.ts";
import type { SessionOptions, TrackerPlace } from "./session-types.ts";
import { type Standing, standingOn } from "./standing.ts";
import { type Reply, TrackerConnection, unexpected } from "./tracker-connection.ts";
import { TrackerGroup } from "./tracker-group.ts";

/** A request that is made while the tracker is away waits this long for it to come back. Milliseconds. */
const AWAY_PATIENCE_MS = 1_500;
/** After a change of the network, a tracker that does not reply within this time is away. Milliseconds. */
const CHECK_MS = 4_000;
/** After a restart of the tracker, other peers may take this long to reconnect. Milliseconds. */
const SETTLING_MS = LONGEST_RETRY_MS + 10_000;

/** One peer's session. `join` is called once; after that the session reconnects by itself until `leave`. */
export class Session {
  readonly requests: TrackerRequests;
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #basic: BasicTracker;
  readonly #list: OwnList;
  readonly #greeting: Greeting;
  readonly #rejoining: Rejoining;
  readonly #group: TrackerGroup;
  readonly #keptOut: KeptOut;
  readonly #fullTries: FullTries;
  #joining = false;
  #returnedAt = Number.NEGATIVE_INFINITY;
  /** The tracker's result for this peer's port, until it is reported. */
  #reach: Extract<Push, { verb: "REACH" }> | undefined;
  /** The tracker closes the connection for this reason. */
  #dismissal: Dismissal | undefined;
  #connection: TrackerConnection | undefined;
  #standing: Standing | undefined;
  #online = false;
  #leaving = false;
  /** A person was told that entries could not be read. */
  #isUnreadTold = false;
  #cancelPing = () => {};
  /** Called when this peer is online again, or has left. */
  #waitingForReturn: (() => void)[] = [];

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#basic = new BasicTracker({
      dial: (signal) => this.#dial(this.#rejoining.place, "", signal),
      where: () => this.#where,
      clock: this.#clock,
    });
    this.requests = new TrackerRequests({
      ready: () => this.#ready(),
      profile: () => (this.#online ? this.#standing?.profile : undefined),
      ask: (request, how) => this.#ask(request, how),
      pageSize: () => Math.max(1, Math.min(RESULTS_LIMIT, this.#standing?.results ?? RESULTS_LIMIT)),
      where: () => this.#where,
      searchBasic: (name) => this.#basic.search(name),
      takes: (record) => this.#list.takes(record),
      dropped: (name) => this.#list.dropped(name),
      unread: (count) => this.#tellUnread(count),
      clock: this.#clock,
    });
    this.#list = new OwnList(options, {
      ask: (request) => this.#ask(request),
      add: (record) => this.requests.add(record),
      isUsed: (channel) => this.#online && channel === this.#connection?.channel,
    });
    this.#greeting = new Greeting(options);
    this.#keptOut = new KeptOut(options);
    this.#fullTries = new FullTries(this.#clock);
    this.#group = new TrackerGroup({ ...options, isDialable: (at) => isDialable(at, this.#standing) });
    this.#rejoining = new Rejoining(options, this.#group, this.#keptOut, {
      isOnline: () => this.#online,
      hasLeft: () => this.#leaving,
      key: () => this.#standing?.key,
      join: () => this.join(),
      giveUp: () => this.#giveUpJoining(),
      shutOut: (refusal) => this.#shutOut(refusal),
    });
  }

  get #where(): string {
    return formatEndpoint(this.#rejoining.place);
  }

  get online(): boolean {
    return this.#online;
  }

  /** The state from when the peer was last online. */
  get standing(): Standing | undefined {
    return this.#standing;
  }

  /** The other trackers of the group whose passes are good. */
  get signers(): TrackerGroup["signers"] {
    return this.#group.signers;
  }

  /** Joins for the first time. Throws a sentence when the tracker cannot be reached or refuses. */
  async join(signal?: AbortSignal): Promise<void> {
    this.#joining = true;
    const isCurrent = this.#rejoining.mark();
    let channel: Channel | undefined;
    const stop = () => channel?.destroy();
    signal?.addEventListener("abort", stop);
    try {
      channel = await this.#dial(this.#rejoining.place, " Check the address and that ft-tracker runs there.", signal);
      if (!isCurrent()) throw new CancelledError();
      await this.#introduce(channel, signal);
    } catch (error) {
      if (this.#connection?.channel === channel) this.#connection = undefined;
      channel?.destroy();
      throw signal?.aborted ? new CancelledError() : error;
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#joining = false;
    }
    this.#rejoining.resetWait();
    for (const go of this.#waitingForReturn.splice(0)) go();
  }

  /** Whether this peer is reconnecting, or was until so recently that other peers may not be online yet. */
  get unsettled(): boolean {
    return this.away || this.#clock.elapsed() - this.#returnedAt < SETTLING_MS;
  }

  /** The sentence why this peer is offline although its tracker may be there; undefined when that is not so. */
  get whyOffline(): string | undefined {
    return this.#online ? undefined : this.#keptOut.error?.message;
  }

  /** Whether this peer was online and is reconnecting. */
  get away(): boolean {
    return !this.#online && !this.#leaving && this.#standing !== undefined;
  }

  /**
   * The network has changed, or the machine was asleep. `addresses` are the machine's addresses now. A connection from an address
   * that is gone is closed at once; any other is checked with a PING.
   */
  networkChanged(addresses: ReadonlySet<Address>): void {
    const channel = this.#connection?.channel;
    if (this.#leaving || this.#standing === undefined || this.#standing.profile === 1) return;
    if (!this.#online || channel === undefined) {
      this.#rejoining.resetWait();
      // On another network the tracker may be another one, or see this peer at another address.
      this.#keptOut.forgetExclusion();
      if (!this.#joining && !this.#rejoining.busy) this.#rejoining.planRetry();
      return;
    }
    const { address } = channel.local;
    if (!isLoopback(address) && !addresses.has(address)) {
      channel.destroy("this machine's address has changed");
      return;
    }
    const cancel = this.#clock.after(CHECK_MS, () => channel.destroy("it does not answer"));
    const standing = this.#standing;
    const answered = () => {
      cancel();
      this.#list.renewIfClockJumped(channel, standing);
    };
    this.#ask(encodeToTracker({ verb: "PING" })).then(answered, cancel);
  }

  /**
   * Sends the whole list again, because other files are shared now. While the tracker is away that is done when it is back. A peer that
   * left because it had no file comes back.
   */
  async sendAgain(): Promise<void> {
    const channel = this.#connection?.channel;
    if (this.#keptOut.leftBecause !== undefined) {
      this.comeBack();
      return;
    }
    if (!this.#online || this.#standing === undefined) return;
    if (channel === undefined) {
      await this.leave();
      this.comeBack();
      return;
    }
    await this.#list.sendAgain(channel, this.#standing);
  }

  /** Says BYE and ends the session. `because`: the error of requests after that, for a person who did not ask to leave. */
  async leave(because?: FtError): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    this.#keptOut.leftBecause = because;
    this.#joining = false;
    this.#rejoining.stop();
    this.#list.stop();
    this.#group.stop();
    this.#cancelPing();
    this.#fullTries.stop();
    if (this.#online && this.#standing?.profile === 1) await this.#basic.leave();
    const channel = this.#connection?.channel;
    if (this.#online && channel !== undefined && !channel.closed) {
      const answered = this.#ask(encodeToTracker({ verb: "BYE" })).catch(() => undefined);
      await Promise.race([answered, sleep(this.#clock, BYE_MS)]);
      channel.finish();
    }
    if (!this.#online) channel?.destroy();
    this.#online = false;
    for (const go of this.#waitingForReturn.splice(0)) go();
  }

  /** After `leave`: joins again, and keeps trying. */
  comeBack(): void {
    if (!this.#leaving) return;
    this.#leaving = false;
    this.#keptOut.leftBecause = undefined;
    this.#rejoining.resetWait();
    this.#rejoining.planRetry();
  }

  // -------------------------------------------------------------- joining

  #dial(at: TrackerPlace, hint: string, signal: AbortSignal | undefined): Promise<Channel> {
    const { dial, enter } = this.#options;
    return dialTracker(at, { dial, enter, clock: this.#clock, signal, hint });
  }

  /** Greets the tracker and sends it the list, in the protocol that it speaks. */
  async #introduce(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
    this.#reach = undefined;
    this.#dismissal = undefined;
    const connection = this.#connect(channel);
    this.#connection = connection;
    const { hello, greeted } = this.#hello(this.#rejoining.place);
    const reply = this.#ask(hello);
    // A tracker of FT/2 that is silent is busy, or its answer was lost: it is no basic one, which would have this peer serve everybody.
    const wasFull = this.#rejoining.place.full || this.#options.wasFull?.(channel.remote) === true;
    const isFull = this.#rejoining.place.announced || wasFull || this.#standing?.profile === 2;
    const found = isFull
      ? await reply
      : await this.#basic.greetUnless(reply.catch(goneIsUndefined), () => connection.heard, signal);
    if (!("verb" in found)) this.#acceptBasic(channel, found);
    else if (found.verb === "HI") await this.#accept(channel, found, greeted);
    else unexpected(found);
  }

  /** The HELLO for a tracker, and what to check its HI with. */
  #hello(place: TrackerPlace): { hello: string; greeted: Greeted } {
    const challenge = this.#greeting.challenge(place);
    return { hello: this.#greeting.hello(challenge, this.#group.homeFor(place)), greeted: { place, challenge } };
  }

  /** Connects to a tracker of FT/2 and greets it. `act` gets its HI; when that throws, the connection is closed. */
  async #greet(
    place: TrackerPlace,
    isWanted: () => boolean,
    act: (connection: TrackerConnection, hi: Hi, greeted: Greeted) => Promise<void>,
  ): Promise<void> {
    const channel = await this.#dial(place, "", undefined);
    try {
      const { hello, greeted } = this.#hello(place);
      const connection = this.#connect(channel);
      const reply = await connection.ask(hello);
      if (reply.verb !== "HI" || !isWanted()) throw new CancelledError();
      await act(connection, reply, greeted);
    } catch (error) {
      channel.destroy();
      throw error;
    }
  }

  /** Sends the list to a basic tracker; after that this peer is online, and no connection stays open. */
  #acceptBasic(silent: Channel, channel: Channel): void {
    this.#connection = undefined;
    silent.destroy();
    let left: FileRecord[];
    try {
      if (this.#leaving) throw new CancelledError();
      left = this.#basic.sendList(channel, this.#list.on(channel, { offers: false }));
    } catch (error) {
      channel.destroy();
      throw error;
    }
    this.#standing = standingOn(channel, { profile: 1, you: channel.local.address, max: DEFAULT_MAX_FILES, key: "" });
    this.#online = true;
    this.#options.report({ event: "joined", profile: 1, name: "", peers: 0, files: 0, left });
    this.#fullTries.begin(
      () => this.#tryFull(),
      () => this.#online && !this.#leaving && this.#standing?.profile === 1,
    );
  }

  /** Says HELLO FT/2 to a tracker that was taken for a basic one. When it answers, this peer joins it anew. */
  async #tryFull(): Promise<void> {
    const isCurrent = this.#rejoining.mark();
    const isWanted = () => isCurrent() && !this.#leaving;
    await this.#greet(this.#rejoining.place, isWanted, async (connection, hi, greeted) => {
      await this.#basic.leave();
      this.#connection = connection;
      await this.#accept(connection.channel, hi, greeted);
    });
  }

  /** Speaks FT/2 on a channel. The loss of the connection counts only while this session uses it. */
  #connect(channel: Channel): TrackerConnection {
    let isRoom = false;
    return new TrackerConnection(channel, this.#clock, {
      bytes: (chunk) => {
        isRoom ||= isRoomsAnswer(chunk);
      },
      push: (message) => {
        // On its way back to its own tracker, this peer has two connections: the last one counts.
        if (message.verb !== "GROUP" || channel === this.#connection?.channel) this.#hear(message);
      },
      lost: (reason) => {
        this.#lost(channel, reason);
        return isRoom ? new FtError(IS_ROOM, `The tracker at "${this.#where}" is a private room.`) : this.#gone(reason);
      },
    });
  }

  /** One command asks several times, and most answers have the same entries: they are told once. */
  #tellUnread(count: number): void {
    if (this.#isUnreadTold) return;
    this.#isUnreadTold = true;
    this.#options.report({ event: "unread", count });
  }

  /** Sends the list after an FT/2 HI; after the WELCOME this peer is online. */
  async #accept(channel: Channel, hi: Hi, greeted: Greeted): Promise<void> {
    const standing = this.#greeting.check(channel, hi, greeted);
    const list = this.#list.on(channel, standing);
    const { session, peers, files } = await this.#list.send(list, standing, this.#greeting.prove(hi));
    this.#greeting.session = session;
    if (this.#standing !== undefined) this.#returnedAt = this.#clock.elapsed();
    this.#standing = standing;
    this.#group.joined(this.#rejoining.place, hi.key, hi.group);
    this.#online = true;
    this.#keptOut.joined();
    this.#pingLater();
    this.#list.addParts(channel, standing);
    const left = list.slice(standing.max);
    const { name } = hi;
    const { guests } = standing;
    const room = channel.secured === undefined ? {} : { room: true as const };
    this.#options.report({ event: "joined", profile: 2, name, you: standing.name, peers, files, left, guests, ...room });
    this.#tellReach();
  }

  #pingLater(): void {
    this.#cancelPing();
    this.#cancelPing = this.#clock.after(PING_MS, () => {
      this.#ask(encodeToTracker({ verb: "PING" })).catch(() => undefined);
    });
  }

  // -------------------------------------------------------------- connection

  #hear(message: Push): void {
    if (message.verb === "NOTICE") this.#options.report({ event: "notice", words: message.words });
    else if (message.verb === "DISMISSED") this.#dismissal = message;
    else if (message.verb === "REVOKED") this.#options.revoked?.(message.ids);
    else if (message.verb === "OFFERED") this.#options.offered?.(message);
    else if (message.verb === "DECLINED") this.#options.declined?.(message);
    else if (message.verb === "APPEARED") this.#options.appeared?.(message);
    else if (message.verb === "GROUP") this.#group.heard(message.trackers);
    else if (message.verb === "CONNECT") {
      if (this.#online) this.#options.callBack?.(message);
    } else if (message.verb === "HOME") {
      if (this.#online) this.#group.sentHome(() => void this.#goHome());
    } else if (message.verb === "REACH") {
      // It may come in one piece with the WELCOME before it: then it waits until this peer is online.
      this.#reach = message;
      if (this.#online) this.#tellReach();
    } else message satisfies never;
  }

  #tellReach(): void {
    if (this.#reach === undefined || this.#standing === undefined) return;
    const { reachable, reason } = this.#reach;
    this.#reach = undefined;
    this.#standing.reach = reachable;
    this.#options.report({ event: "reach", reachable, reason, port: this.#options.port });
  }

  /** Sends a request and gives its reply. An `ERROR` is thrown as a sentence, unless `mayRefuse`. */
  async #ask(request: string, { mayRefuse } = { mayRefuse: false }): Promise<Reply> {
    const connection = this.#connection;
    if (connection === undefined || connection.channel.closed) throw this.#gone("it closed the connection");
    const reply = await connection.ask(request);
    if (this.#online) this.#pingLater();
    if (reply.verb === "ERROR" && !mayRefuse) {
      const exclusion = exclusionIn(reply);
      if (exclusion !== undefined) throw new ExcludedError(exclusion, this.#clock.at());
      throw new FtError(reply.code || "refused", `The tracker at "${this.#where}" refused: ${reply.words}`);
    }
    return reply;
  }

  /** The error of a request without a reply. `reason` is a clause. */
  #gone(reason = ""): FtError {
    const kept = this.#keptOut.error;
    if (kept !== undefined) return kept;
    // Only a peer that was online reconnects; a first join that fails ends the program.
    const then = this.#standing === undefined ? "" : " Trying again in the background.";
    const why = reason === "" ? "" : ` (${reason})`;
    return new FtError("tracker-gone", `The tracker at "${this.#where}" is unreachable${why}.${then}`);
  }

  #lost(channel: Channel, reason: string): void {
    if (channel !== this.#connection?.channel) return;
    this.#connection = undefined;
    this.#cancelPing();
    this.#list.stop();
    if (!this.#online || this.#leaving) return;
    this.#online = false;
    const { code, until } = this.#dismissal ?? {};
    if (code === "kicked" || code === "banned") this.#keptOut.exclude({ code, until });
    else this.#options.report({ event: "away", reason: code === undefined ? reason : "it was stopped" });
    if (!this.#keptOut.isExcluded) this.#group.lost(() => this.#rejoining.goElsewhere());
    this.#rejoining.planRetry();
  }

  // -------------------------------------------------------------- coming back

  /** The private room does not take this peer back. */
  #shutOut(refusal: RoomRefusal): void {
    this.#options.report({ event: "shut-out", code: refusal.code, words: refusal.message });
    void this.leave(refusal);
  }

  #giveUpJoining(): void {
    const channel = this.#connection?.channel;
    this.#connection = undefined;
    channel?.destroy();
  }

  /** Joins this peer's own tracker again, and then leaves the one whose guest it is. When it cannot, it stays where it is. */
  async #goHome(): Promise<void> {
    const { home } = this.#group;
    const [before, from] = [this.#rejoining.place, this.#connection];
    if (home === undefined || from === undefined || !this.#online) return;
    const isCurrent = this.#rejoining.mark();
    const isWanted = () => isCurrent() && this.#connection === from;
    try {
      await this.#greet(home, isWanted, async (connection, hi, greeted) => {
        this.#rejoining.place = home;
        this.#connection = connection;
        try {
          await this.#accept(connection.channel, hi, greeted);
        } catch (error) {
          // From here on the loss of the new connection changes nothing.
          if (this.#connection === connection) [this.#rejoining.place, this.#connection] = [before, from];
          throw error;
        }
      });
      from.channel.send(encodeToTracker({ verb: "BYE" }));
      from.channel.finish();
    } catch {
      if (this.#connection !== from) from.channel.destroy();
      else if (from.channel.closed) this.#lost(from.channel, "it closed the connection");
    }
  }

  /** The profile that the tracker speaks. A tracker that is away has a moment to come back. */
  async #ready(): Promise<Profile> {
    if (!this.#online && !this.#leaving && !this.#keptOut.isExcluded) {
      const returned = new Promise<void>((resolve) => this.#waitingForReturn.push(resolve));
      await Promise.race([returned, sleep(this.#clock, AWAY_PATIENCE_MS)]);
    }
    if (!this.#online || this.#standing === undefined) throw this.#gone();
    return this.#standing.profile;
  }
}

/** A tracker that closes the connection after HELLO FT/2 may be a basic one. */
function goneIsUndefined(error: unknown): undefined {
  if (codeOf(error) !== "tracker-gone") throw error;
}
