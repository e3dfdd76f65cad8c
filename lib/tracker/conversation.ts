// Serves one connection to the tracker, from its first byte to its last: decides which requests to answer and when it ends. There are tens
// of thousands at once, so each is a few small objects. The answers are in accepted.ts (FT/2) and basic-peers.ts (FT/1).

import { ProtocolError } from "../error.ts";
import { BROKEN, type Channel, type ChannelHandlers } from "../net/channel.ts";
import type { Address } from "../protocol/address.ts";
import { basic, SILENCE_MS } from "../protocol/basic.ts";
import type { Dismissal, Profile, ToTracker } from "../protocol/messages.ts";
import { PING_MS, RESULTS_LIMIT } from "../protocol/numbers.ts";
import { isSessionProven } from "../protocol/pass.ts";
import { TrackerInbox } from "../protocol/read.ts";
import { type FileName, isCounted } from "../protocol/record.ts";
import { encodeFromTracker } from "../protocol/write.ts";
import { AcceptedPeer, type PeerRequest, TOO_LATE } from "./accepted.ts";
import { registerBasic, removeBasic, searchBasic } from "./basic-peers.ts";
import { detached } from "./compact/texts.ts";
import { type Connection, DISMISSED, type TrackerReply } from "./connection.ts";
import { SAID_BYE } from "./events.ts";
import type { TrackerState } from "./state.ts";
import { type Host, SLICE_MS } from "./work/hosts.ts";
import { LongSearch } from "./work/long-search.ts";
import { Turns } from "./work/turns.ts";

/** The most that a refused guest may still send. The tracker reads it so that the guest gets the reason. Bytes. */
const EXCESS_OF_GUEST = 256 * 1024;
/** The most that an accepted peer may still send after the tracker has refused it: many requests may be on the way. Bytes. */
const EXCESS_OF_PEER = 4 * 1024 * 1024;
/** A banned guest has this time to read the reason. Milliseconds. */
const REFUSED_MS = 2_000;
/** An accepted peer that is silent for this long is gone: two of its pings did not come. Milliseconds. */
const IDLE_MS = 2 * PING_MS;
/** The most empty inboxes that are kept for the next request of any peer. */
const SPARE_INBOXES = 64;
/** The most bytes of requests that may wait because of the rate. The tracker refuses a peer with more. */
const WAITING_LIMIT = 64 * 1024;
/** The most requests of a guest, beside HELLO and its list. */
const GUEST_REQUESTS = 10;

/** The state of a connection before it is an accepted FT/2 peer. An FT/1 program stays a guest. */
class Guest {
  /** It has sent something. */
  heard = false;
  /** It was answered `HI` as an FT/1 program. */
  greeted = false;
  /** Its requests, without HELLO and lists. */
  requests = 0;
  /** A request got no answer, and the operator was told. */
  ignored = false;
  agent = "";
  /** The name that it asks for. */
  name: string | undefined;
  /** The session that it claims to have had. */
  session = "";
  /** The public key of its session; "" when it has none. */
  key = "";
  /** The text that it must sign with its session key. */
  nonce = "";
  /** The FT/1 peers that this connection has registered. */
  readonly registered = new Set<string>();
  /** Stops the wait for the silence that ends an FT/1 message. */
  cancelSilence = () => {};
}

/** A peer that sends another list keeps what its HELLO said. */
const UNCHANGED = { agent: "", name: undefined };

export class Conversation implements ChannelHandlers, Connection {
  readonly #state: TrackerState;
  readonly channel: Channel;
  readonly address: Address;
  readonly via: Address;
  readonly host: Host;
  /** Its place among the tracker's connections. */
  place = -1;
  /** It has said `extras=1`. */
  extras = false;
  /** It has said `name=`. */
  knowsNames = false;
  /** It has said `offers=1`. */
  hearsOffers = false;
  /** It has said `key=`. */
  hearsRevoked = false;
  /** It has said `home=`, with the key of another tracker. */
  home: string | undefined;
  /** An accepted peer whose requests are all answered has none. It takes a spare one for the next request. */
  #inbox: TrackerInbox | undefined;
  readonly #turns: Turns;
  /** The search by words that is being answered. */
  #search: LongSearch | undefined;
  /** The bytes that were sent since the last request, or nearly that number. */
  #sent = 0;
  /** Undefined once there is a peer. */
  #guest: Guest | undefined = new Guest();
  #peer: AcceptedPeer | undefined;
  /** The tracker reads nothing more. It sends the rest of its queue, then closes the connection. */
  #over = false;

  constructor(state: TrackerState, channel: Channel) {
    const { limits } = state;
    this.#state = state;
    this.channel = channel;
    this.address = channel.remote.address;
    this.via = channel.local.address;
    // Nobody speaks FT/1 in a private room.
    this.#inbox = channel.secured === undefined ? new TrackerInbox(limits) : new TrackerInbox(limits, 2, true);
    this.host = state.hosts.enter(this.address);
    this.#turns = new Turns(state.hosts, this.host);
    state.connections.add(this);
  }

  /** Begins to read, or says why this address is refused. */
  start(): void {
    const { limits, setup } = this.#state;
    const refused = setup.bans.whyRefused(this.address);
    if (refused !== undefined) {
      this.#over = true;
      this.channel.start(this);
      this.#state.refused(this.address, refused.code, refused.words);
      this.reply({ verb: "ERROR", ...refused });
      this.channel.limit({ deadline: REFUSED_MS, excess: EXCESS_OF_GUEST });
      this.#finish();
      return;
    }
    this.channel.limit({ deadline: limits.acceptance * 1000, stall: limits.stall * 1000, backlog: limits.unsent });
    this.channel.start(this);
  }

  // -------------------------------------------------------------- events of the network

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    const inbox = this.#reading();
    inbox.push(chunk);
    this.#takeTurn();
    const guest = this.#guest;
    if (guest === undefined) return;
    guest.heard = true;
    guest.cancelSilence();
    if (!inbox.listensForSilence) return;
    guest.cancelSilence = this.#state.clock.after(SILENCE_MS, () => {
      inbox.silence();
      this.#takeTurn();
    });
  }

  end(): void {
    this.#reading().end();
    this.#takeTurn();
    this.#peer?.leave("closed its connection");
  }

  close(reason: string): void {
    const guest = this.#guest;
    guest?.cancelSilence();
    this.#turns.end();
    this.#endSearch();
    if (this.#inbox?.profile === 1 && !this.#over) {
      // An FT/1 program may close before its list is read. The list still counts.
      this.#inbox.end();
      this.#readOn();
    }
    this.#peer?.leave(reason === "" ? "closed its connection" : reason);
    // A peer that dials several addresses of this tracker closes all connections but one.
    const unused = reason === BROKEN && guest?.heard === false;
    const accepted = this.#peer !== undefined || (guest?.registered.size ?? 0) > 0;
    if (!accepted && !this.#over && reason !== "" && !unused) {
      this.#state.refused(this.address, "not-accepted", `It shared nothing: ${reason}.`);
    }
    // The requests that still wait are not answered: a list among them would bring the peer back.
    this.#over = true;
    this.#state.hosts.leave(this.address, this.host);
    this.#state.closed(this);
  }

  #reading(): TrackerInbox {
    const { limits, spareInboxes } = this.#state;
    this.#inbox ??= spareInboxes.pop() ?? new TrackerInbox(limits, 2);
    return this.#inbox;
  }

  /** Gives the inbox back when nothing is in it. */
  #rest(): void {
    if (this.#inbox?.isEmpty !== true || this.#over || this.channel.ended) return;
    const { spareInboxes } = this.#state;
    if (spareInboxes.length < SPARE_INBOXES) spareInboxes.push(this.#inbox);
    this.#inbox = undefined;
  }

  get #profile(): Profile | undefined {
    return this.#inbox === undefined ? 2 : this.#inbox.profile;
  }

  // -------------------------------------------------------------- events of the tracker and its peer

  get isPresent(): boolean {
    return this.#peer?.isPresent === true;
  }

  get peerId(): string | undefined {
    return this.isPresent ? this.#peer?.id : undefined;
  }

  dismiss(why: Dismissal, log: string = DISMISSED[why.code].log): void {
    const { notice } = DISMISSED[why.code];
    if (this.#peer !== undefined)
      this.reply(this.knowsNames ? { verb: "DISMISSED", ...why } : { verb: "NOTICE", words: notice });
    this.#peer?.leave(log);
    this.#finish();
  }

  reply(message: TrackerReply | Uint8Array): void {
    this.#send(message instanceof Uint8Array ? message : encodeFromTracker(message));
  }

  #send(bytes: Uint8Array | string): void {
    this.#sent += bytes.length;
    this.channel.send(bytes);
  }

  // -------------------------------------------------------------- requests

  /** Answers the requests that have come, now or when it is this connection's turn. */
  #takeTurn(): void {
    if (this.#turns.waiting) return;
    if (this.#turns.mustQueue && this.#hasMore) this.#wait("others");
    else this.#readOn();
  }

  /** Answers requests now, as far as the rate allows and for as long as the others can wait. */
  #readOn(): void {
    const inbox = this.#reading();
    try {
      this.#answerAll(inbox, this.#turns.begin());
      if (inbox.waiting > WAITING_LIMIT && this.#guest === undefined && !this.#turns.gaveWay) {
        throw new ProtocolError("too-fast", `More than ${this.#state.limits.rate} requests a second.`);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(error.code, error.message);
    }
    if (this.channel.ended && !this.#turns.waiting) this.#finish();
    else if (this.#guest === undefined) this.#rest();
  }

  #answerAll(inbox: TrackerInbox, since: number): void {
    const turns = this.#turns;
    while (!this.#over && !turns.waiting) {
      if (this.#hasMore && !this.#mayGoOn(since)) {
        this.#wait("rate");
        return;
      }
      this.#sent = 0;
      const search = this.#search;
      if (search !== undefined) this.#searchOn(search, since);
      else {
        const { waiting } = inbox;
        const message = inbox.next();
        if (message === undefined) return;
        this.#state.countRequest(message.verb, since);
        this.#answer(message, since);
        turns.charge(message, this.#sent, since, waiting - inbox.waiting);
      }
      if (turns.isOver(since) && this.#hasMore) this.#wait("others");
    }
  }

  /** Whether the next request, or the search that waits, may be answered now. */
  #mayGoOn(since: number): boolean {
    const search = this.#search;
    if (search === undefined) return this.#turns.mayAnswer(since, this.#guest !== undefined);
    return search.begun || this.#turns.maySearch(since);
  }

  get #hasMore(): boolean {
    return !this.#over && !this.channel.closed && (this.#search !== undefined || (this.#inbox?.waiting ?? 0) > 0);
  }

  /** Waits for the next turn. Meanwhile it reads only from a peer above its rate, and refuses that when it sends too much. */
  #wait(why: "rate" | "others"): void {
    if (why === "others" || this.#guest !== undefined) this.channel.pause();
    this.#turns.wait(why, () => {
      this.channel.resume();
      this.#readOn();
    });
  }

  /** FT/1 searches are judged by their address, so a guest may send them. */
  #answer(message: ToTracker, now: number): void {
    if (message.verb === "HELLO") this.#greet(message);
    else if (message.verb === "FILES") this.#share(message);
    else if (this.#guest !== undefined && ++this.#guest.requests > GUEST_REQUESTS) {
      throw new ProtocolError("not-accepted", "These are too many requests before the first file is shared; send FILES first.");
    } else if (message.verb === "BYE") this.#bye();
    else if (message.verb === "SEARCH" && this.#profile !== 2) this.#searchBasic(message.name, now);
    else if (this.#peer === undefined) this.#ignore(message.verb);
    else this.#answerPeer(message, this.#peer, now);
  }

  #answerPeer(request: PeerRequest, peer: AcceptedPeer, now: number): void {
    const { activity, clock } = this.#state;
    if (request.verb === "FIND" || request.verb === "SEARCH") activity.searches.count(now);
    if (request.verb === "FIND") this.#search = new LongSearch(peer.find(request), this.host, clock);
    else this.reply(peer.answer(request, this.channel.ended));
  }

  /** Goes on with a search by words. Its answer is sent when it comes to its end. */
  #searchOn(search: LongSearch, since: number): void {
    const { work, answer } = search.goOn(SLICE_MS);
    if (answer !== undefined) {
      this.#search = undefined;
      this.#state.findTimes.add(search.seconds);
      this.reply(answer);
    }
    this.#turns.chargeSearch(work, this.#sent, since);
  }

  #endSearch(): void {
    this.#search?.end();
    this.#search = undefined;
  }

  /** A guest's request gets no answer. The operator is told once. */
  #ignore(verb: string): void {
    const guest = this.#guest;
    if (guest === undefined || guest.ignored) return;
    guest.ignored = true;
    this.#state.refused(this.address, "not-accepted", `${verb} came before any file was shared: no answer.`);
  }

  #greet(hello: Extract<ToTracker, { verb: "HELLO" }>): void {
    const guest = this.#guest;
    if (hello.profile === 1) {
      if (guest !== undefined) guest.greeted = true;
      this.#send(basic.hi);
      return;
    }
    const { agent, session = "", key = "" } = hello;
    if (guest !== undefined) Object.assign(guest, { agent, name: hello.name || undefined, session, key });
    this.extras = hello.extras === true;
    this.knowsNames = hello.name !== undefined;
    this.hearsOffers = hello.offers === true;
    this.hearsRevoked = hello.key !== undefined;
    const { limits, setup } = this.#state;
    const { name, announced, guests, credentials, group } = setup;
    if (hello.home !== credentials.key) this.home = detached(hello.home);
    const results = limits.mostResults === RESULTS_LIMIT ? {} : { results: limits.mostResults };
    const more = { ...results, ...(guests ? { guests } : {}), group: group?.name };
    const extras = this.extras ? { announced, offers: true, ...more } : {};
    const about = { name, max: limits.files, key: credentials.key, you: this.address, ...extras };
    const proof = hello.challenge === undefined ? undefined : credentials.prove(hello.challenge);
    const nonce = hello.key === undefined ? undefined : credentials.newNonce();
    if (guest !== undefined) guest.nonce = nonce ?? "";
    const hi = encodeFromTracker({ verb: "HI", ...about, proof, nonce });
    // The first line may come in two pieces, "HELLO" and " FT/2 …": then the first piece has its "HI" already.
    this.#send(guest?.greeted ? hi.slice(basic.hi.length) : hi);
  }

  /** The guest becomes a peer, or the peer has another list. */
  #share(list: Extract<ToTracker, { verb: "FILES" }>): void {
    const guest = this.#guest;
    if (list.profile === 1) {
      if (guest !== undefined) registerBasic(list.records, this, guest.registered, this.#state);
      return;
    }
    // Unfinished files, and those beyond the limit, come by ADD only.
    const records = list.records.filter(isCounted);
    if (records.length === 0) {
      this.#state.refused(this.address, "no-files", "It shares nothing.");
      this.#peer?.leave("stopped sharing");
      this.#finish();
    } else if (this.channel.ended) this.reply(TOO_LATE);
    else {
      this.#peer ??= this.#join(list.proof ?? "");
      this.#guest = undefined;
      this.reply(this.#peer.share({ ...list, records }, guest ?? UNCHANGED));
      const { words } = list.unfit ?? {};
      if (words !== undefined) this.reply({ verb: "NOTICE", words: `The tracker leaves a file of yours out. ${words}` });
      if (guest !== undefined) {
        const { key, nonce, session } = guest;
        this.#state.shared?.table.keyed(this.#peer.id, key, isSessionProven(key, nonce, session, list.proof ?? ""));
        this.#state.tellRevoked(this);
        this.#state.setup.group?.tell(this);
      }
    }
  }

  /** A peer whose connection broke may be back before this tracker notices: then it takes its own place, with the id that it had. */
  #join(proof: string): AcceptedPeer {
    const { session = "", key = "", nonce = "" } = this.#guest ?? {};
    const [id = ""] = session.split(".");
    const member = this.#state.catalog.member(id);
    const former = member?.presence;
    const isProven = () => isSessionProven(key, nonce, session, proof);
    const isBack = former?.isBack({ session, address: this.address, key, isProven }) === true;
    if (isBack && this.#guest !== undefined) this.#guest.name = member?.name;
    if (isBack) former.replace();
    // It may come from another tracker that shares its index.
    const hasMoved = !isBack && this.#state.shared?.table.isBack(id, key, isProven) === true;
    if (hasMoved && this.#guest !== undefined) this.#guest.name = member?.name;
    this.#state.requireRoom();
    this.channel.limit({ deadline: undefined, idle: IDLE_MS });
    return new AcceptedPeer(isBack || hasMoved ? id : this.#state.setup.credentials.newId(), key, this, this.#state);
  }

  #searchBasic(name: FileName, now: number): void {
    this.#state.activity.searches.count(now);
    const answer = searchBasic(name, this, this.#state);
    if (answer !== undefined) this.#send(answer);
    this.#finish();
  }

  #bye(): void {
    if (this.#profile !== 2) removeBasic(this.address, this.#state);
    else if (this.#peer !== undefined) this.reply({ verb: "BYE" });
    this.#peer?.leave(SAID_BYE);
    this.#finish();
  }

  #finish(): void {
    this.#over = true;
    this.#turns.end();
    this.#endSearch();
    this.channel.finish();
  }

  #refuse(code: string, words: string): void {
    this.#state.refused(this.address, code, words);
    this.#peer?.leave(`was refused: ${words}`);
    for (const id of this.#guest?.registered ?? []) this.#state.remove(id, `was refused: ${words}`);
    if (this.#profile === 2) this.reply({ verb: "ERROR", code, words });
    this.channel.limit({ excess: this.#guest === undefined ? EXCESS_OF_PEER : EXCESS_OF_GUEST });
    this.#finish();
  }
}
