// One connection to the tracker, from its first byte to its last. There are tens of thousands at once, so each is one small object.

import type { Clock } from "../clock.ts";
import { ProtocolError } from "../error.ts";
import { BROKEN, type Channel, type ChannelHandlers } from "../net/channel.ts";
import type { Address, Endpoint } from "../protocol/address.ts";
import { basic, SILENCE_MS } from "../protocol/basic.ts";
import type { CallBack, Profile, Push, ToTracker, Wish } from "../protocol/messages.ts";
import { TrackerInbox } from "../protocol/read.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import { encodeFromTracker } from "../protocol/write.ts";
import { Allowance } from "../rate.ts";
import { plural, printable } from "../text.ts";
import { addressFor, type Catalog, type Member, type Presence, type Seer } from "./catalog.ts";
import { LIMITS, type Limits } from "./limits.ts";
import type { Meter } from "./meter.ts";
import type { Reach } from "./prober.ts";

/** Connect-backs a second that a peer may ask for, and that it may be asked for, after a burst. */
const CALLS = 8;

const CALLS_BURST = 64;

/** Bytes that a refused stranger may go on sending: they are read only so that it hears why. */
const EXCESS = 256 * 1024;

const EXCESS_OF_PEER = 4 * 1024 * 1024;

/** A refused stranger hears why within this time. */
const REFUSED_MS = 2_000;

/** Requests that wait for their turn under the rate. */
const WAITING_LIMIT = 64 * 1024;

/** Milliseconds for which one peer is answered before the others have their turn, and answers after which the clock is looked at. */
const SLICE_MS = 2;

const MUCH_WORK = 16;

/** Inboxes that lie ready. */
const SPARE = 64;

/** A search by words that takes longer counts against its address, in milliseconds. */
const QUICK_MS = 1;

/** What the conversations of a tracker share: its table, its rules, and what it does beside talking. */
export interface House {
  readonly name: string;
  readonly limits: Limits;
  readonly timing: { readonly acceptance: number; readonly idle: number; readonly firstProbe: number };
  readonly catalog: Catalog;
  readonly conversations: Set<Conversation>;
  /** Empty inboxes of FT/2. */
  readonly spare: TrackerInbox[];
  readonly clock: Clock;
  readonly meters: Record<"requests" | "searches", Meter>;
  /** The public key of its passes. */
  readonly key: string;
  /** Whether it can be found by DNS-SD. */
  readonly announced: boolean;
  /** Milliseconds since 1970. */
  now(): number;
  newId(): string;
  passFor(id: string, channel: Channel): string;
  /** What proves that somebody is the peer with an id, in one of its connections. */
  sessionOf(id: string, connection: number): string;
  /** Tries a port, seen from the tracker's own address there; undefined when it was not possible to try. */
  reach(to: Endpoint, via: Address): Promise<Reach | undefined>;
  whyUnwanted(address: Address): string | undefined;
  /** How long searches by words of an address may still take. */
  findTime(address: Address): Allowance;
  /** Tells the operator. */
  refused(address: Address, code: string, reason: string): void;
  arrived(member: Member, files: number, renewed: boolean): void;
  unreachable(member: Member, reason: string): void;
  /** Removes a peer and tells the operator why. */
  remove(id: string, reason: string): void;
  /** Watches over a peer that holds no connection. */
  watchOver(member: Member, via: Address): void;
  onLastClosed(): void;
}

let connections = 0;

/** What counts until an FT/2 peer is accepted; FT/1 programs are guests for as long as they are connected. */
interface Guest {
  heard: boolean;
  greeted: boolean;
  /** A request of it was not answered, which was told. */
  ignored: boolean;
  agent: string;
  /** The session that it says it had. */
  former: string;
  /** The FT/1 peers that this connection has registered. */
  registered: Set<string>;
  silence: ReturnType<typeof setTimeout> | undefined;
}

/** Bounds on what only some do. */
interface Bounds {
  /** Who has made the tracker search for long. */
  findTime?: Allowance;
  /** Connect-backs that it asks for, and that it is asked for. */
  asks?: Allowance;
  asked?: Allowance;
}

export class Conversation implements ChannelHandlers, Seer, Presence {
  readonly #house: House;
  readonly channel: Channel;
  readonly address: Address;
  readonly via: Address;
  extras = false;
  /** An accepted peer of which nothing waits has none; it takes the one that lies ready for all of them. */
  #inbox: TrackerInbox | undefined;
  /** Until when its requests are paid for, at the rate that it has; milliseconds. */
  #paidUntil = 0;
  #guest: Guest | undefined;
  #bounds: Bounds | undefined;
  readonly #number = ++connections;
  /** The port that was tried, or is being tried. */
  #triedPort = 0;
  #trying = false;
  #member: Member | undefined;
  /** Nothing more is read: what is still to be sent is sent, then it closes. */
  #over = false;
  #turn: ReturnType<typeof setTimeout> | undefined;
  /** That turn comes as soon as the others have had theirs. */
  #sliced = false;

  constructor(house: House, channel: Channel) {
    this.#house = house;
    this.channel = channel;
    this.address = channel.remote.address;
    this.via = channel.local.address;
    this.#inbox = new TrackerInbox(house.limits.files, house.limits);
    this.#guest = {
      heard: false,
      greeted: false,
      ignored: false,
      agent: "",
      former: "",
      registered: new Set(),
      silence: undefined,
    };
    house.conversations.add(this);
  }

  /** Begins to listen, or says why not. */
  start(): void {
    const { limits, timing } = this.#house;
    const unwanted = this.#house.whyUnwanted(this.address);
    if (unwanted !== undefined) {
      this.#over = true;
      this.channel.start(this);
      this.#refused("banned", unwanted);
      this.#reply({ verb: "ERROR", code: "banned", words: unwanted });
      this.channel.limit({ deadline: REFUSED_MS, excess: EXCESS });
      this.#finish();
      return;
    }
    this.channel.limit({ deadline: timing.acceptance, stall: limits.stall * 1000, backlog: limits.unsent });
    this.channel.start(this);
  }

  // -------------------------------------------------------------- what the network tells

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    const inbox = this.#reading();
    inbox.push(chunk);
    this.#readOn();
    const guest = this.#guest;
    if (guest === undefined) {
      this.#rest();
      return;
    }
    guest.heard = true;
    clearTimeout(guest.silence);
    if (inbox.listensForSilence) guest.silence = setTimeout(() => this.#onSilence(), SILENCE_MS);
  }

  end(): void {
    if (this.#sliced) {
      clearTimeout(this.#turn);
      this.#turn = undefined;
      this.#sliced = false;
    }
    this.#reading().end();
    this.#readOn();
    this.#leave("closed its connection");
    if (this.#turn === undefined) this.#finish();
  }

  close(reason: string): void {
    const guest = this.#guest;
    clearTimeout(guest?.silence);
    clearTimeout(this.#turn);
    if (this.#inbox?.profile === 1 && !this.#over) {
      // An old client may be gone before its list was read: what arrived still counts.
      this.#inbox.end();
      this.#readOn();
    }
    this.#leave(reason === "" ? "closed its connection" : reason);
    // Who tries several ways to get here hangs up on all but one.
    const lost = reason === BROKEN && guest?.heard === false;
    if (this.#member === undefined && !this.#over && reason !== "" && !lost) {
      this.#refused("not-accepted", `It shared nothing: ${reason}.`);
    }
    // Also in the middle of answering: nobody that is gone may come back by what it had still to say.
    this.#over = true;
    const { conversations, onLastClosed } = this.#house;
    conversations.delete(this);
    if (conversations.size === 0) onLastClosed();
  }

  #onSilence(): void {
    this.#inbox?.silence();
    this.#readOn();
  }

  #reading(): TrackerInbox {
    const { limits, spare } = this.#house;
    this.#inbox ??= spare.pop() ?? new TrackerInbox(limits.files, limits, 2);
    return this.#inbox;
  }

  /** Gives the inbox back when nothing is in it: most peers are silent most of the time. */
  #rest(): void {
    const { spare } = this.#house;
    if (this.#inbox?.isEmpty !== true || this.#over || this.channel.ended) return;
    if (spare.length < SPARE) spare.push(this.#inbox);
    this.#inbox = undefined;
  }

  get #profile(): Profile | undefined {
    return this.#inbox === undefined ? 2 : this.#inbox.profile;
  }

  // -------------------------------------------------------------- what the others tell

  /** It is an FT/2 peer that is online. */
  get isPresent(): boolean {
    return this.#member?.profile === 2 && this.#house.catalog.member(this.#member.id) === this.#member;
  }

  /** Tells it something that it has not asked for. */
  tell(push: Push): void {
    this.#reply(push);
  }

  /** Asks it to connect to somebody; false when it is asked too often. */
  ask(call: CallBack): boolean {
    this.#bounds ??= {};
    this.#bounds.asked ??= new Allowance(CALLS, CALLS_BURST, this.#house.clock);
    if (!this.#bounds.asked.take()) return false;
    this.#reply({ verb: "CONNECT", ...call });
    return true;
  }

  isSession(session: string): boolean {
    return this.#member !== undefined && this.#house.sessionOf(this.#member.id, this.#number) === session;
  }

  /** Its new connection is here: this one ends without a trace. */
  replace(): void {
    this.#leave("is back by another connection");
    this.#member = undefined;
    this.#over = true;
    this.channel.destroy();
  }

  /** Ends it, with words for who can read them. */
  dismiss(words: string): void {
    if (this.#member?.profile === 2) this.#reply({ verb: "NOTICE", words });
    this.#leave("was dismissed");
    this.#finish();
  }

  // -------------------------------------------------------------- requests

  /** Answers the requests that are here, as far as the peer's rate allows and for as long as the others can wait. */
  #readOn(): void {
    const { meters, limits, clock } = this.#house;
    const inbox = this.#reading();
    // A clock costs as much as an answer.
    const now = clock.at();
    let work = 0;
    try {
      while (!this.#over && this.#mayAnswer(inbox, now)) {
        const message = inbox.next();
        if (message === undefined) return;
        this.#paidUntil = Math.max(this.#paidUntil, now) + 1000 / limits.rate;
        meters.requests.count(now);
        this.#answer(message, now);
        work += message.verb === "FIND" || message.verb === "LIST" || message.verb === "WHO" ? MUCH_WORK : 1;
        if (work < MUCH_WORK) continue;
        work = 0;
        // Whose requests have all come may have nothing more to be here for; who is no peer yet gets no answer that takes long.
        const mayWait = this.#guest === undefined && inbox.waiting > 0 && !this.channel.ended;
        if (mayWait && clock.at() - now >= SLICE_MS) {
          this.#sliced = true;
          // What is still to come waits where it is.
          this.channel.pause();
          this.#goOnIn(0);
        }
      }
      if (inbox.waiting > WAITING_LIMIT && !this.#sliced) {
        throw new ProtocolError("too-fast", `More than ${limits.rate} requests a second.`);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(error.code, error.message);
    }
  }

  /** Whether the next request may be answered now; if not, it is when its turn comes. */
  #mayAnswer(inbox: TrackerInbox, now: number): boolean {
    if (this.#turn !== undefined) return false;
    if (this.#member?.profile !== 2 || inbox.waiting === 0) return true;
    const { rate, burst } = this.#house.limits;
    // A clock that was set back makes nobody wait longer than a whole burst takes.
    this.#paidUntil = Math.min(this.#paidUntil, now + (burst * 1000) / rate);
    const paid = this.#paidUntil - now <= ((burst - 1) * 1000) / rate;
    if (paid && this.#bounds?.findTime?.left !== false) return true;
    this.#goOnIn(1000 / rate);
    return false;
  }

  /** Answers no more before then. */
  #goOnIn(ms: number): void {
    this.#turn = setTimeout(() => {
      this.#turn = undefined;
      if (this.#sliced) this.channel.resume();
      this.#sliced = false;
      this.#readOn();
      if (this.channel.ended && this.#turn === undefined) this.#finish();
      else if (this.#guest === undefined) this.#rest();
    }, ms);
  }

  #answer(message: ToTracker, now: number): void {
    if (this.#member === undefined && !this.#isOpening(message)) {
      const told = this.#guest?.ignored === true;
      if (!told) this.#refused("not-accepted", `${message.verb} came before any file was shared: no answer.`);
      if (this.#guest !== undefined) this.#guest.ignored = true;
      return;
    }
    const { catalog, meters, limits } = this.#house;
    switch (message.verb) {
      case "HELLO":
        if (message.profile === 1) this.#greetBasic();
        else this.#greet(message);
        break;
      case "FILES":
        if (message.profile === 1) this.#acceptBasic(message.records);
        else this.#accept(message.port, message.records);
        break;
      case "ADD":
        this.#add(message.record);
        break;
      case "DROP":
        this.#drop(message.name);
        break;
      case "SEARCH":
        meters.searches.count(now);
        if (this.#profile === 2) this.channel.send(catalog.answer(message.name, this, limits.results, encodeFound));
        else this.#searchBasic(message.name);
        break;
      case "LIST":
        if (message.root === undefined) this.#found(catalog.list(message.id, message, this));
        else this.#found(catalog.holders(message.root, message, this));
        break;
      case "FIND":
        meters.searches.count(now);
        this.#find(message);
        break;
      case "WHO":
        this.#reply({ verb: "PEERS", peers: catalog.who(message, this) });
        break;
      case "KNOWN":
        this.#reply({ verb: catalog.known(message.address, this) ? "YES" : "NO" });
        break;
      case "CONNECT":
        this.#connectBack(message);
        break;
      case "PING":
        this.#reply({ verb: "PONG" });
        break;
      case "BYE":
        this.#bye();
        break;
      case "UNKNOWN": {
        const words = `This tracker does not know "${printable(message.word.slice(0, 40))}".`;
        this.#reply({ verb: "ERROR", code: "unknown-verb", words });
        break;
      }
      default:
        message satisfies never;
    }
  }

  #reply(message: Parameters<typeof encodeFromTracker>[0]): void {
    this.channel.send(encodeFromTracker(message));
  }

  /** What somebody may say who is not accepted yet; FT/1 searches are judged by their address. */
  #isOpening({ verb }: ToTracker): boolean {
    return verb === "HELLO" || verb === "FILES" || verb === "BYE" || (verb === "SEARCH" && this.#profile !== 2);
  }

  #greetBasic(): void {
    if (this.#guest !== undefined) this.#guest.greeted = true;
    this.channel.send(basic.hi);
  }

  #greet(hello: Extract<ToTracker, { verb: "HELLO"; profile: 2 }>): void {
    const { name, key, limits } = this.#house;
    const guest = this.#guest;
    if (guest !== undefined) {
      guest.agent = hello.agent;
      guest.former = hello.session ?? "";
    }
    this.extras = hello.extras === true;
    const extras = hello.extras ? this.#extrasOfHi() : {};
    const hi = encodeFromTracker({ verb: "HI", name, max: limits.files, key, you: this.address, ...extras });
    this.channel.send(guest?.greeted ? hi.slice(basic.hi.length) : hi);
  }

  #extrasOfHi(): { announced: boolean; results?: number } {
    const { announced, limits } = this.#house;
    return limits.mostResults === LIMITS.mostResults ? { announced } : { announced, results: limits.mostResults };
  }

  #accept(port: number, all: FileRecord[]): void {
    const { catalog, timing } = this.#house;
    // Unfinished files come by ADD only.
    const records = all.filter(({ part }) => !part);
    if (records.length === 0) {
      this.#refused("no-files", "It shares nothing.");
      this.#leave("shares nothing any more");
      this.#finish();
      return;
    }
    if (this.channel.ended) {
      this.#tooLate();
      return;
    }
    const renewed = this.#member !== undefined;
    const formerId = renewed ? undefined : this.#replaceFormer();
    if (!renewed && this.#isFull()) return;
    const id = this.#member?.id ?? formerId ?? this.#house.newId();
    const { address } = this;
    const since = this.#house.now();
    this.#member = catalog.put(
      { id, profile: 2, address, agent: this.#guest?.agent ?? "", since, port, presence: this },
      records,
    );
    this.#guest = undefined;
    this.channel.limit({ deadline: undefined, idle: timing.idle });
    const pass = this.#house.passFor(id, this.channel);
    const session = this.extras ? { session: this.#house.sessionOf(id, this.#number) } : {};
    this.#reply({ verb: "WELCOME", id, pass, peers: catalog.peers, files: catalog.files, ...session });
    this.#house.arrived(this.#member, records.length, renewed);
    void this.#tryPort();
  }

  /** A peer whose connection broke may be back before that was noticed here: nobody is online twice. Gives the id that it had. */
  #replaceFormer(): string | undefined {
    const former = this.#guest?.former ?? "";
    const [id = ""] = former.split(".");
    const presence = this.#house.catalog.member(id)?.presence;
    if (presence === undefined || !presence.isSession(former)) return undefined;
    presence.replace();
    return id;
  }

  /** Tries the port of the peer's records, once for each that it has had, and says how it went. */
  async #tryPort(): Promise<void> {
    const { catalog } = this.#house;
    if (this.#member === undefined || this.#trying || this.#member.port === this.#triedPort) return;
    const { id, port } = this.#member;
    this.#triedPort = port;
    this.#trying = true;
    catalog.setReach(id, undefined);
    const reach = await this.#house.reach({ address: this.address, port }, this.via);
    this.#trying = false;
    if (this.#member === undefined || this.#over) return;
    if (this.#member.port !== port) return this.#tryPort();
    if (reach === undefined) return;
    catalog.setReach(id, reach.reachable);
    this.#reply({ verb: "REACH", ...reach });
    if (!reach.reachable) this.#house.unreachable(this.#member, reach.reason);
  }

  /** Tells a holder, where this peer sees one, that this peer asks to be connected to. */
  #connectBack({ address, port, token }: CallBack): void {
    const presence = this.#house.catalog.at({ address, port }, this)?.presence;
    if (presence === undefined || presence === this || this.#member === undefined || !this.isPresent) {
      this.#reply({ verb: "NOT FOUND" });
      return;
    }
    this.#bounds ??= {};
    this.#bounds.asks ??= new Allowance(CALLS, CALLS_BURST, this.#house.clock);
    const self = { address: addressFor(this.#member, presence), port: this.#member.port };
    if (this.#bounds.asks.take() && presence.ask({ ...self, token })) this.#reply({ verb: "OK" });
    else {
      const words = `More than ${CALLS} connections a second are asked for; try again later.`;
      this.#reply({ verb: "ERROR", code: "too-many-connects", words });
    }
  }

  /** FT/1: the list is everything this connection has said so far. Records of several ports are several peers. */
  #acceptBasic(records: FileRecord[]): void {
    const { catalog, limits } = this.#house;
    const { address } = this;
    for (const port of new Set(records.map((record) => record.port))) {
      const id = `ft1-${address}-${port}`;
      const renewed = catalog.member(id) !== undefined;
      if (!renewed && this.#isFull()) return;
      // Such a peer holds no connection that the limit on connections could count.
      if (!renewed && catalog.basicMembers(address).length >= limits.perAddress) {
        this.#refuse("too-many-peers", `There are ${limits.perAddress} FT/1 peers at ${address} already.`);
        return;
      }
      const own = records.filter((record) => record.port === port);
      this.#member = catalog.put({ id, profile: 1, address, agent: "FT/1", since: this.#house.now(), port }, own);
      this.#guest?.registered.add(id);
      this.#house.arrived(this.#member, own.length, renewed);
      if (!renewed) this.#house.watchOver(this.#member, this.via);
    }
  }

  #isFull(): boolean {
    const { catalog, limits } = this.#house;
    if (catalog.peers < limits.peers) return false;
    this.#refuse("tracker-full", `The tracker takes ${plural(limits.peers, "peer")}; try again later.`);
    return true;
  }

  #add(record: FileRecord): void {
    const { catalog, limits } = this.#house;
    const member = this.#member;
    if (this.channel.ended || member === undefined) this.#tooLate();
    else if (record.part && catalog.isLast(member.id, record.name)) this.#lastFile();
    else if (catalog.add(member.id, record, limits.files)) this.#reply({ verb: "OK" });
    else if (record.part) {
      this.#reply({ verb: "ERROR", code: "too-many-parts", words: "These are too many unfinished files." });
    } else this.#refuse("too-many-files", `This tracker takes ${plural(limits.files, "file")} a peer.`);
  }

  /** The connection is the peer's presence: after its end there is no list to change. */
  #tooLate(): void {
    this.#reply({ verb: "ERROR", code: "left", words: "This peer has ended its connection and shares nothing any more." });
  }

  #drop(name: FileName): void {
    const outcome = this.#member === undefined ? "missing" : this.#house.catalog.drop(this.#member.id, name);
    if (outcome === "dropped") this.#reply({ verb: "OK" });
    else if (outcome === "missing") this.#reply({ verb: "NOT FOUND" });
    else this.#lastFile();
  }

  #lastFile(): void {
    const words = "The last file stays: a peer shares at least one. Say BYE to leave.";
    this.#reply({ verb: "ERROR", code: "last-file", words });
  }

  #found(lines: string[]): void {
    this.#reply(lines.length === 0 ? { verb: "NOT FOUND" } : { verb: "FOUND", lines });
  }

  #find(wish: Wish): void {
    const { clock } = this.#house;
    const from = clock.at();
    try {
      const { lines, total } = this.#house.catalog.find(wish, this);
      // Who does not know of totals gets what SEARCH gives.
      if (lines.length === 0) this.#reply({ verb: "NOT FOUND" });
      else this.#reply({ verb: "FOUND", lines, ...(this.extras ? { total } : {}) });
    } catch (error) {
      // What somebody is in the middle of typing ends no session.
      if (!(error instanceof ProtocolError)) throw error;
      this.#reply({ verb: "ERROR", code: error.code, words: error.message });
    }
    const took = clock.at() - from;
    if (took < QUICK_MS) return;
    this.#bounds ??= {};
    this.#bounds.findTime ??= this.#house.findTime(this.address);
    this.#bounds.findTime.spend(took);
  }

  #searchBasic(name: FileName): void {
    const { catalog, limits } = this.#house;
    if (!catalog.known(this.address)) {
      this.#refused("not-accepted", "It searched without sharing a file: no answer.");
    } else {
      const lines = catalog.searchBasic(name, this, limits.results);
      this.channel.send(lines.length === 0 ? basic.notFound : basic.found(lines));
    }
    this.#finish();
  }

  #bye(): void {
    if (this.#profile === 2) {
      if (this.#member !== undefined) this.#reply({ verb: "BYE" });
      this.#leave("said BYE");
    } else {
      for (const { id } of this.#house.catalog.basicMembers(this.address)) this.#house.remove(id, "said BYE");
    }
    this.#finish();
  }

  /** FT/2: the connection is the peer's presence. */
  #leave(reason: string): void {
    if (this.#member?.profile === 2) this.#house.remove(this.#member.id, reason);
  }

  #finish(): void {
    this.#over = true;
    this.channel.finish();
  }

  #refuse(code: string, words: string): void {
    this.#refused(code, words);
    if (this.#member !== undefined) this.#house.remove(this.#member.id, `was refused: ${words}`);
    for (const id of this.#guest?.registered ?? []) this.#house.remove(id, `was refused: ${words}`);
    if (this.#profile === 2) this.#reply({ verb: "ERROR", code, words });
    // A peer may have said much by the time it is refused, and is told why all the same.
    this.channel.limit({ excess: this.#guest === undefined ? EXCESS_OF_PEER : EXCESS });
    this.#finish();
  }

  #refused(code: string, reason: string): void {
    this.#house.refused(this.address, code, reason);
  }
}

const utf8 = new TextEncoder();

function encodeFound(lines: string[]): Uint8Array {
  return utf8.encode(encodeFromTracker(lines.length === 0 ? { verb: "NOT FOUND" } : { verb: "FOUND", lines }));
}
