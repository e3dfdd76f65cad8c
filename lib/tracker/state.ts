// Keeps the state that all conversations of one tracker share. Peers join, renew their lists, leave and are refused here, so that each
// of these is reported to the operator. The records of the peers are in catalog.ts.

import type { Clock } from "../clock.ts";
import { Crowd } from "../crowd.ts";
import { ProtocolError } from "../error.ts";
import type { Dial } from "../net/channel.ts";
import type { Address } from "../protocol/address.ts";
import type { Dismissal } from "../protocol/messages.ts";
import { PASS_LIFETIME_S } from "../protocol/numbers.ts";
import type { TrackerInbox } from "../protocol/read.ts";
import type { FileRecord } from "../protocol/record.ts";
import { plural } from "../text.ts";
import { Catalog } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import type { Credentials } from "./credentials.ts";
import type { TrackerEvent } from "./events.ts";
import type { Group } from "./group/group.ts";
import type { SharedIndex } from "./group/shared-index.ts";
import { Histogram } from "./histogram.ts";
import type { Limits } from "./limits.ts";
import { Meter } from "./meter.ts";
import { Offers } from "./offers.ts";
import type { Bans } from "./operator/bans.ts";
import { GonePeers } from "./operator/gone.ts";
import { Mutes } from "./operator/mutes.ts";
import { PeerNames } from "./peer-names.ts";
import { PortProber, type Reach } from "./prober.ts";
import type { Member } from "./shelf.ts";
import { Watches } from "./watches.ts";
import { Hosts } from "./work/hosts.ts";

/** The most ids in a line of REVOKED, so that the line is shorter than 4096 bytes. */
const REVOKED_IN_LINE = 200;

/** The bounds by which the times of searches are counted. Seconds. */
const FIND_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** The settings and tools that a tracker gets when it starts. */
interface TrackerSetup {
  readonly name: string;
  /** Peers can find the tracker by DNS-SD. */
  readonly announced: boolean;
  /** It is a private room: only peers that know its key get here. */
  readonly room?: boolean;
  /** Its web page lets guests download. */
  readonly guests?: boolean;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly bans: Bans;
  readonly credentials: Credentials;
  /** The group of trackers that this one belongs to. */
  readonly group?: Group | undefined;
  readonly dial: Dial;
  /** Gives an address as it has to be dialled on the network of `via`: a link-local one needs a zone. */
  dialable(via: Address, address: Address): string;
  report(event: TrackerEvent): void;
}

export class TrackerState {
  readonly setup: TrackerSetup;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly catalog: Catalog;
  readonly names = new PeerNames();
  readonly gone: GonePeers;
  readonly watches: Watches;
  readonly offers: Offers;
  readonly mutes = new Mutes();
  readonly connections = new Crowd<Connection>();
  /** Empty inboxes of FT/2. Most peers are silent most of the time, so a few inboxes serve all of them. */
  readonly spareInboxes: TrackerInbox[] = [];
  readonly hosts: Hosts;
  readonly activity: { readonly [Kind in "requests" | "searches" | "joins" | "refused"]: Meter };
  /** The number of refusals of each code. */
  readonly refusals = new Map<string, number>();
  /** The number of requests of each verb. */
  readonly requests: Record<string, number> = {};
  /** How long searches by words took. Seconds. */
  readonly findTimes = new Histogram(FIND_SECONDS);
  /** Joins, tries of a port and leaves since the tracker was started. */
  changes = 0;
  /** The index that other trackers share with this one. */
  shared: SharedIndex | undefined;
  readonly #prober: PortProber;
  /** The peers whose passes other peers must refuse, each with the expiry of its pass. Milliseconds of the clock's `elapsed`. */
  readonly #revoked = new Map<string, number>();
  /** The peers that have left a private room, each with the latest expiry of its pass, the earliest first. */
  readonly #leftRoom = new Map<string, number>();
  #onLastClosed = () => {};

  constructor(setup: TrackerSetup) {
    const { limits, clock } = setup;
    this.setup = setup;
    this.limits = limits;
    this.clock = clock;
    this.catalog = new Catalog(() => clock.at());
    this.gone = new GonePeers(clock);
    this.watches = new Watches(clock, (id, file) => this.catalog.sees(id, file));
    this.catalog.onRecord = (file) => this.watches.appeared(file);
    this.offers = new Offers(this.catalog, clock, (file) => this.watches.appeared(file));
    this.hosts = new Hosts(limits, clock);
    const meter = () => new Meter(clock);
    this.activity = { requests: meter(), searches: meter(), joins: meter(), refused: meter() };
    this.#prober = new PortProber(clock, setup.dial);
  }

  /** Throws the refusal that a new peer gets when the tracker is full. */
  requireRoom(): void {
    const { peers } = this.limits;
    if (this.catalog.peers - (this.shared?.foreign ?? 0) < peers) return;
    throw new ProtocolError("tracker-full", `The tracker is full (${plural(peers, "peer")}). Try again later.`);
  }

  /** Counts a request. `now`: milliseconds of the clock's `elapsed`. */
  countRequest(verb: string, now: number): void {
    this.activity.requests.count(now);
    this.requests[verb] = (this.requests[verb] ?? 0) + 1;
  }

  /** Accepts a peer with its list, or replaces the list of a peer that is online. */
  put(peer: Omit<Member, "since">, records: FileRecord[]): Member {
    const { catalog, setup } = this;
    this.shared?.table.take(peer.id);
    const renewed = catalog.member(peer.id) !== undefined;
    const named = renewed ? {} : { name: this.names.take(peer.name, peer.id) };
    const member = catalog.put({ ...peer, ...named, since: this.clock.at() }, records);
    const { id, name, address, port, agent, profile } = member;
    const who = { id, name, address, port, files: records.length };
    if (renewed) setup.report({ event: "updated", ...who });
    else {
      this.activity.joins.count();
      this.changes += 1;
      setup.report({ event: "joined", ...who, agent, profile: `FT/${profile}`, peers: catalog.peers });
      // The peer reads its WELCOME first.
      this.clock.after(0, () => {
        if (catalog.member(id) === member) this.offers.joined(member);
      });
    }
    return member;
  }

  /** Removes a peer, if it is online; `reason` is a clause for the operator. */
  remove(id: string, reason: string): void {
    const there = this.catalog.member(id);
    if (there?.tracker !== undefined) {
      this.shared?.send(there, { from: this.setup.name, what: "bye", id });
      return;
    }
    this.#prober.forget(id);
    this.watches.forget(id);
    this.offers.left(id);
    const member = this.catalog.leave(id);
    if (member === undefined) return;
    this.changes += 1;
    const { name, address, port } = member;
    this.names.free(name);
    this.gone.add(member);
    if (this.setup.room) this.#rememberPass(id);
    this.setup.report({ event: "left", id, name, address, port, reason, peers: this.catalog.peers });
  }

  /** Counts a request or a connection that gets nothing, and tells the operator. */
  refused(address: string, code: string, reason: string): void {
    this.activity.refused.count();
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
    this.setup.report({ event: "refused", address, code, reason });
  }

  /** Removes an FT/1 peer, which holds no connection, when its port does not answer any more. */
  watchPort({ id, address, port }: Member, via: Address): void {
    const to = { address: this.setup.dialable(via, address), port };
    this.#prober.watch(id, to, () => this.remove(id, "its port does not answer"));
  }

  /** Tries a peer's port once. */
  async tryPort({ address, port }: Member, via: Address): Promise<Reach | undefined> {
    const reach = await this.#prober.reach({ address: this.setup.dialable(via, address), port });
    this.changes += 1;
    return reach;
  }

  /** Ends the conversations that the operator has chosen. Their passes are then refused everywhere. Gives their number. */
  dismiss(why: Dismissal, isMeant: (connection: Connection) => boolean, log?: string): number {
    const chosen = [...this.connections].filter(isMeant);
    const ids = chosen.flatMap(({ peerId }) => peerId ?? []);
    for (const connection of chosen) connection.dismiss(why, log);
    this.revoke(ids);
    if (ids.length > 0) this.shared?.tell({ from: this.setup.name, what: "revoked", ids });
    return chosen.length;
  }

  /** A private room has another key: ends all conversations. The passes of the peers that have left before are refused, too. */
  endRoom(): void {
    const left = [...this.#leftRoom.keys()];
    this.dismiss({ code: "stopping" }, () => true, "the room has another key");
    this.revoke(left);
    this.#leftRoom.clear();
  }

  #rememberPass(id: string): void {
    const now = this.clock.elapsed();
    for (const [other, until] of this.#leftRoom) {
      if (until > now) break;
      this.#leftRoom.delete(other);
    }
    this.#leftRoom.delete(id);
    this.#leftRoom.set(id, now + PASS_LIFETIME_S * 1000);
  }

  /** Has all peers refuse the passes of these. */
  revoke(ids: string[]): void {
    for (const id of ids) this.#revoked.set(id, this.clock.elapsed() + PASS_LIFETIME_S * 1000);
    for (const connection of this.connections) if (connection.isPresent) this.tellRevoked(connection, ids);
  }

  /** Tells a peer whose passes it must refuse: those of `ids`, or all that are still good. */
  tellRevoked(connection: Connection, ids?: string[]): void {
    if (!connection.hearsRevoked) return;
    for (const [id, until] of this.#revoked) if (until <= this.clock.elapsed()) this.#revoked.delete(id);
    const all = ids ?? [...this.#revoked.keys()];
    for (let at = 0; at < all.length; at += REVOKED_IN_LINE) {
      connection.reply({ verb: "REVOKED", ids: all.slice(at, at + REVOKED_IN_LINE) });
    }
  }

  /** A connection is closed. */
  closed(connection: Connection): void {
    this.connections.delete(connection);
    if (this.connections.size === 0) this.#onLastClosed();
  }

  /** Tries no ports any more, and ends all conversations. Resolves when their connections are closed. */
  async stop(): Promise<void> {
    this.#prober.stop();
    for (const connection of [...this.connections]) connection.dismiss({ code: "stopping" });
    if (this.connections.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onLastClosed = resolve;
    });
  }
}
