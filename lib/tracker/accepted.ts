// Serves an accepted FT/2 peer for as long as its connection lasts: its list, the test of its port, its session, and the replies to its
// requests. conversation.ts decides when to answer a request.

import { ProtocolError } from "../error.ts";
import type { Address } from "../protocol/address.ts";
import type { CallBack, Offer, ToTracker, Watch, Wish } from "../protocol/messages.ts";
import { type FileName, type FileRecord, isCounted } from "../protocol/record.ts";
import { encodeFromTracker } from "../protocol/write.ts";
import { Allowance } from "../rate.ts";
import { plural, printable } from "../text.ts";
import { addressFor } from "./answer-lines.ts";
import { detached } from "./compact/texts.ts";
import type { Connection, TrackerReply } from "./connection.ts";
import { OFFERS } from "./offers.ts";
import type { Member, Presence, SessionClaim, Unasked } from "./shelf.ts";
import type { TrackerState } from "./state.ts";
import { MOST_WATCHES, PUSHES_A_SECOND } from "./watches.ts";
import { Account, CONNECTS_OF_HOST } from "./work/hosts.ts";
import type { Steps } from "./work/long-search.ts";

/** The most connect requests that a peer gets. One host may ask for at most half of this number, so others can ask as well. */
const CONNECTS = { perSecond: 2 * CONNECTS_OF_HOST.perSecond, burst: 2 * CONNECTS_OF_HOST.burst };

/** The requests that only an accepted peer may make. */
export type PeerRequest = Exclude<ToTracker, { verb: "HELLO" | "FILES" | "BYE" }>;

/** A list of a peer, as FILES brings it. */
type SharedList = Pick<Extract<ToTracker, { verb: "FILES"; profile: 2 }>, "port" | "records" | "guests">;

/** The reply to a peer that changes its list after the end of its connection. */
export const TOO_LATE = error("left", "This peer has ended its connection and shares nothing any more.");

const LAST_FILE = error("last-file", "The last file stays: a peer shares at least one. Say BYE to leave.");

const TOO_MANY_CONNECTS = error(
  "too-many-connects",
  `More than ${CONNECTS_OF_HOST.perSecond} connections a second are asked for; try again later.`,
);
const MUTED = error("muted", "The tracker's operator has muted you: nobody is told of your offers.");

const utf8 = new TextEncoder();

/** Numbers the connections on which a peer was accepted. A session belongs to one of them. */
let connections = 0;

export class AcceptedPeer implements Presence {
  readonly id: string;
  readonly address: Address;
  readonly via: Address;
  readonly #connection: Connection;
  readonly #state: TrackerState;
  readonly #number = ++connections;
  /** The public key of its session; "" when it has none. */
  readonly #key: string;
  #member: Member | undefined;
  #trying = false;
  /** The connect requests that it gets. Most peers get none. */
  #got: Account | undefined;
  /** Most peers are told nothing. */
  #pushes: Allowance | undefined;

  constructor(id: string, key: string, connection: Connection, state: TrackerState) {
    this.id = id;
    this.#key = detached(key);
    this.address = connection.address;
    this.via = connection.via;
    this.#connection = connection;
    this.#state = state;
  }

  get extras(): boolean {
    return this.#connection.extras === true;
  }

  get fingerprint(): string | undefined {
    return this.#connection.channel.secured?.fingerprint;
  }

  get hearsOffers(): boolean {
    return this.#connection.hearsOffers === true;
  }

  get pushes(): Allowance {
    this.#pushes ??= new Allowance(PUSHES_A_SECOND, PUSHES_A_SECOND, this.#state.clock);
    return this.#pushes;
  }

  push(message: Unasked): void {
    this.#connection.reply(message);
  }

  get knowsNames(): boolean {
    return this.#connection.knowsNames === true;
  }

  /** It is online, by this connection. */
  get isPresent(): boolean {
    return this.#member !== undefined && this.#state.catalog.member(this.id) === this.#member;
  }

  /** Puts its first list, or another one, in the catalog. Gives the reply. */
  share({ port, records, guests }: SharedList, { agent, name }: Pick<Member, "agent" | "name">): TrackerReply {
    const { catalog, setup } = this.#state;
    const { id, address } = this;
    const before = this.#member?.port;
    const { channel } = this.#connection;
    const own = { id, profile: 2 as const, address, agent, name, port, guests, presence: this };
    this.#member = this.#state.put(own, records);
    if (before !== port) void this.#tryPort(this.#member);
    const pass = setup.credentials.passFor(id, channel);
    const session = this.extras
      ? { session: this.#session, now: setup.credentials.now, keyed: setup.credentials.keyedPassFor(id, this.#key, channel) }
      : {};
    const named = this.knowsNames ? { name: this.#member.name ?? "" } : {};
    return { verb: "WELCOME", id, pass, peers: catalog.peers, files: catalog.files, ...session, ...named };
  }

  /** Tries the port of its records and tells it the result. One port is tried at a time: the last one that it has named. */
  async #tryPort(member: Member): Promise<void> {
    const { catalog, setup } = this.#state;
    if (this.#trying) return;
    this.#trying = true;
    catalog.setReach(this.id, undefined);
    const { id, address } = this;
    const { port } = member;
    const reach = await this.#state.tryPort(member, this.via);
    this.#trying = false;
    if (this.#member === undefined || !this.isPresent) return;
    if (this.#member.port !== port) return this.#tryPort(this.#member);
    if (reach === undefined) return;
    catalog.setReach(id, reach.reachable);
    this.#connection.reply({ verb: "REACH", ...reach });
    if (!reach.reachable) setup.report({ event: "unreachable", id, address, port, reason: reach.reason });
  }

  get #session(): string {
    return this.#state.setup.credentials.sessionOf(this.id, this.#number);
  }

  isBack({ session, address, key, isProven }: SessionClaim): boolean {
    if (session !== this.#session) return false;
    return this.#key === "" ? address === this.address : key === this.#key && isProven();
  }

  /** Leaves, because the same peer is back by another connection. */
  replace(): void {
    this.leave("reconnected");
    this.#connection.channel.destroy();
  }

  /** `reason` is a clause for the operator. */
  leave(reason: string): void {
    if (this.isPresent) this.#state.remove(this.id, reason);
  }

  /** The reply to a request. `ended`: the peer has sent its last byte. Throws the refusal that ends the connection. */
  answer(request: Exclude<PeerRequest, { verb: "FIND" }>, ended: boolean): TrackerReply | Uint8Array {
    const { catalog, limits } = this.#state;
    switch (request.verb) {
      case "ADD":
        return ended ? TOO_LATE : this.#add(request.record);
      case "DROP":
        return this.#drop(request.name);
      case "SEARCH":
        return catalog.answer(request.name, this, limits.results, (lines) => utf8.encode(encodeFromTracker(found(lines))));
      case "LIST":
        if (request.offers) return found(this.#member === undefined ? [] : this.#state.offers.to(this.#member, request));
        if (request.root === undefined) return found(catalog.list(request.id, request, this));
        return found(catalog.holders(request.root, request, this));
      case "WHO":
        return { verb: "PEERS", peers: catalog.who(request, this) };
      case "KNOWN":
        return { verb: catalog.known(request.address, this) ? "YES" : "NO" };
      case "WATCH":
        return ended || !this.isPresent ? TOO_LATE : this.#watch(request);
      case "UNWATCH":
        return { verb: this.#state.watches.remove(this.id, request.watch) ? "OK" : "NOT FOUND" };
      case "OFFER":
        return ended || !this.isPresent ? TOO_LATE : this.#offer(request);
      case "DECLINE":
        return { verb: this.#state.offers.decline(this.id, request.offer) ? "OK" : "NOT FOUND" };
      case "CONNECT":
        return this.#callBack(request);
      case "PING":
        return { verb: "PONG" };
      case "UNFIT":
        return error(request.code, request.words);
      case "UNKNOWN":
        return error("unknown-verb", `This tracker does not know "${printable(request.word.slice(0, 40))}".`);
      default:
        return request satisfies never;
    }
  }

  #add(record: FileRecord): TrackerReply {
    const { catalog, limits } = this.#state;
    if (!isCounted(record) && catalog.isLast(this.id, record.name)) return LAST_FILE;
    if (catalog.add(this.id, record, limits.files)) return { verb: "OK" };
    if (!isCounted(record)) return error("too-many-parts", "These are too many files beside the list of the peer.");
    throw new ProtocolError("too-many-files", `This tracker allows ${plural(limits.files, "file")} per person.`);
  }

  #drop(name: FileName): TrackerReply {
    const outcome = this.#state.catalog.drop(this.id, name);
    if (outcome === "last") return LAST_FILE;
    return { verb: outcome === "dropped" ? "OK" : "NOT FOUND" };
  }

  #watch(watch: Watch): TrackerReply {
    try {
      const { id, pushes } = this;
      const reply = (message: TrackerReply) => this.#connection.reply(message);
      if (this.#state.watches.add({ id, seer: this, pushes, host: this.#connection.host, reply }, watch)) return { verb: "OK" };
      return error("too-many-watches", `This tracker takes ${MOST_WATCHES} watches of a peer.`);
    } catch (failure) {
      if (!(failure instanceof ProtocolError)) throw failure;
      return error(failure.code, failure.message);
    }
  }

  #offer(offer: Offer): TrackerReply {
    const { offers, mutes, setup } = this.#state;
    if (this.#member === undefined || mutes.isMuted(this.#member)) return MUTED;
    const { id, address } = this;
    const { name, port } = this.#member;
    const file = offers.make(id, this.#connection.host, offer);
    if (file === "no-such-file") return error(file, "A peer offers files that it has, and whose content id it has told.");
    if (file === "too-many-offers") return error(file, `This tracker takes ${OFFERS.burst} offers a minute of a peer.`);
    const to = offer.to === "all" ? offer.to : offer.to.length;
    const what = file.only === undefined ? { file: file.name, size: file.size } : { size: file.size };
    if (to !== 0) setup.report({ event: "offered", id, name, address, port, ...what, to });
    return { verb: "OK" };
  }

  /** The reply to FIND, in steps between which others have their turn. A peer that has not said `extras=1` gets no total. */
  *find(wish: Wish): Steps {
    try {
      const { lines, total } = yield* this.#state.catalog.find(wish, this);
      return found(lines, this.extras ? total : undefined);
    } catch (failure) {
      // The person may be in the middle of typing the words: the connection goes on.
      if (!(failure instanceof ProtocolError)) throw failure;
      return error(failure.code, failure.message);
    }
  }

  /** Asks the peer to connect to another one; false when it gets too many such requests. */
  ask(call: CallBack): boolean {
    this.#got ??= new Account(CONNECTS);
    if (!this.#got.take(this.#state.clock.elapsed())) return false;
    this.#connection.reply({ verb: "CONNECT", ...call });
    return true;
  }

  /** Asks the holder at an address, as this peer sees it, to connect to this peer. */
  #callBack({ address, port, token, id }: CallBack & { id?: string | undefined }): TrackerReply {
    const member = this.#state.catalog.at({ address, port }, this, id);
    const holder = member?.presence;
    if (member === undefined || holder === this || this.#member === undefined || !this.isPresent) return { verb: "NOT FOUND" };
    if (holder === undefined) return this.#callFromElsewhere(member, token);
    const { fingerprint } = this;
    const self = { address: addressFor(this.#member, holder), port: this.#member.port, fingerprint };
    const isAllowed = this.#connection.host.connects.take(this.#state.clock.elapsed());
    return isAllowed && holder.ask({ ...self, token }) ? { verb: "OK" } : TOO_MANY_CONNECTS;
  }

  /** The holder is online at another tracker, which asks it. */
  #callFromElsewhere(holder: Member, token: string): TrackerReply {
    const { shared, clock, setup } = this.#state;
    if (shared === undefined || this.#member === undefined) return { verb: "NOT FOUND" };
    if (!this.#connection.host.connects.take(clock.elapsed())) return TOO_MANY_CONNECTS;
    const address = shared.table.addressOf(this.#member);
    const errand = { from: setup.name, what: "connect", id: holder.id, address, port: this.#member.port, token } as const;
    return shared.send(holder, errand) ? { verb: "OK" } : { verb: "NOT FOUND" };
  }
}

function found(lines: string[], total?: number): TrackerReply {
  if (lines.length === 0) return { verb: "NOT FOUND" };
  return { verb: "FOUND", lines, ...(total === undefined ? {} : { total }) };
}

function error(code: string, words: string): TrackerReply {
  return { verb: "ERROR", code, words };
}
