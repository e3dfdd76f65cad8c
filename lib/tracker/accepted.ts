// An accepted FT/2 peer for as long as its connection lasts: its list, whether its port can be reached, its session, and the
// requests to connect that it makes and gets. What it asks of the catalog is in requests.ts.

import type { Channel } from "../net/channel.ts";
import type { Address } from "../protocol/address.ts";
import type { CallBack } from "../protocol/messages.ts";
import type { FileRecord } from "../protocol/record.ts";
import type { encodeFromTracker } from "../protocol/write.ts";
import { Allowance } from "../rate.ts";
import { addressFor, type Member, type Presence, type Seer } from "./catalog.ts";
import type { TrackerParts } from "./parts.ts";

/** Connect requests a second that a peer may make, and that it may get. */
const CONNECTS_PER_S = 8;

/** Connect requests at once after a pause. */
const CONNECTS_BURST = 64;

/** Numbers the connections on which a peer was accepted. A session belongs to one of them. */
let connections = 0;

/** A message to a peer. A list of records is given as lines. */
export type TrackerReply = Parameters<typeof encodeFromTracker>[0];

/** The connection of a peer. */
export interface PeerConnection extends Seer {
  readonly channel: Channel;
  reply(message: TrackerReply): void;
  /** Closes the connection at once; nothing of it is answered any more. */
  abandon(): void;
}

/** Ends the connection whose session this is. Gives the id of its peer; undefined when no peer that is online has this session. */
export function takeOver(session: string, { catalog }: TrackerParts): string | undefined {
  const [id = ""] = session.split(".");
  const presence = catalog.member(id)?.presence;
  if (presence === undefined || !presence.isSession(session)) return undefined;
  presence.replace();
  return id;
}

export class AcceptedPeer implements Presence {
  readonly id: string;
  readonly address: Address;
  readonly via: Address;
  readonly #connection: PeerConnection;
  readonly #parts: TrackerParts;
  readonly #number = ++connections;
  #member: Member | undefined;
  #trying = false;
  /** The connect requests that it makes, and that it gets. Most peers have neither. */
  #made: Allowance | undefined;
  #got: Allowance | undefined;

  constructor(id: string, connection: PeerConnection, parts: TrackerParts) {
    this.id = id;
    this.address = connection.address;
    this.via = connection.via;
    this.#connection = connection;
    this.#parts = parts;
  }

  get extras(): boolean {
    return this.#connection.extras === true;
  }

  /** It is online, by this connection. */
  get isPresent(): boolean {
    return this.#member !== undefined && this.#parts.catalog.member(this.id) === this.#member;
  }

  /** Puts its first list, or another one, in the catalog. Gives the reply. */
  share(port: number, records: FileRecord[], agent: string): TrackerReply {
    const { catalog, members, credentials } = this.#parts;
    const { id, address } = this;
    const before = this.#member?.port;
    this.#member = members.put({ id, profile: 2, address, agent, port, presence: this }, records);
    if (before !== port) void this.#tryPort(this.#member);
    const pass = credentials.passFor(id, this.#connection.channel);
    const session = this.extras ? { session: this.#session } : {};
    return { verb: "WELCOME", id, pass, peers: catalog.peers, files: catalog.files, ...session };
  }

  /** Tries the port of its records and tells it the result. One port is tried at a time: the last one that it has named. */
  async #tryPort({ port }: Member): Promise<void> {
    const { catalog, members } = this.#parts;
    if (this.#trying) return;
    this.#trying = true;
    catalog.setReach(this.id, undefined);
    const reach = await members.tryPort({ address: this.address, port }, this.via);
    this.#trying = false;
    if (this.#member === undefined || !this.isPresent) return;
    if (this.#member.port !== port) return this.#tryPort(this.#member);
    if (reach === undefined) return;
    catalog.setReach(this.id, reach.reachable);
    this.#connection.reply({ verb: "REACH", ...reach });
    if (!reach.reachable) members.unreachable(this.#member, reach.reason);
  }

  get #session(): string {
    return this.#parts.credentials.sessionOf(this.id, this.#number);
  }

  isSession(session: string): boolean {
    return session === this.#session;
  }

  /** Leaves, because the same peer is back by another connection. */
  replace(): void {
    this.leave("is back by another connection");
    this.#connection.abandon();
  }

  /** `reason` is a clause for the operator. */
  leave(reason: string): void {
    if (this.isPresent) this.#parts.members.remove(this.id, reason);
  }

  /** Asks the peer to connect to another one; false when it gets too many such requests. */
  ask(call: CallBack): boolean {
    this.#got ??= new Allowance(CONNECTS_PER_S, CONNECTS_BURST, this.#parts.clock);
    if (!this.#got.take()) return false;
    this.#connection.reply({ verb: "CONNECT", ...call });
    return true;
  }

  /** Asks the holder at an address, as this peer sees it, to connect to this peer. Gives the reply. */
  callBack({ address, port, token }: CallBack): TrackerReply {
    const holder = this.#parts.catalog.at({ address, port }, this)?.presence;
    if (holder === undefined || holder === this || this.#member === undefined || !this.isPresent) return { verb: "NOT FOUND" };
    this.#made ??= new Allowance(CONNECTS_PER_S, CONNECTS_BURST, this.#parts.clock);
    const self = { address: addressFor(this.#member, holder), port: this.#member.port };
    if (this.#made.take() && holder.ask({ ...self, token })) return { verb: "OK" };
    const words = `More than ${CONNECTS_PER_S} connections a second are asked for; try again later.`;
    return { verb: "ERROR", code: "too-many-connects", words };
  }
}
