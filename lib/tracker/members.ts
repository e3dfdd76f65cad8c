// The peers that are online: they join, renew their lists, leave or are refused, and the operator is told. What they share is in
// catalog.ts.

import type { Clock } from "../clock.ts";
import { ProtocolError } from "../error.ts";
import type { Address, Endpoint } from "../protocol/address.ts";
import type { FileRecord } from "../protocol/record.ts";
import { plural } from "../text.ts";
import type { Catalog, Member } from "./catalog.ts";
import type { TrackerEvent } from "./events.ts";
import type { Activity } from "./meter.ts";
import { PortWatch, type Prober, type Reach } from "./prober.ts";

export interface MembersOptions {
  clock: Clock;
  catalog: Catalog;
  activity: Activity;
  prober: Prober;
  /** Gives an address as it has to be dialled on the network of `via`: a link-local one needs a zone. */
  dialable(via: Address, address: Address): string;
  /** Peers online at once. */
  most: number;
  report(event: TrackerEvent): void;
}

export class Members {
  readonly #options: MembersOptions;
  readonly #watch: PortWatch;
  #changes = 0;

  constructor(options: MembersOptions) {
    this.#options = options;
    this.#watch = new PortWatch(options.prober, options.clock);
  }

  /** Joins, tries of a port and leaves since the tracker was started. */
  get changes(): number {
    return this.#changes;
  }

  /** Throws the refusal that a new peer gets when the tracker is full. */
  requireRoom(): void {
    const { catalog, most } = this.#options;
    if (catalog.peers < most) return;
    throw new ProtocolError("tracker-full", `The tracker takes ${plural(most, "peer")}; try again later.`);
  }

  /** Accepts a peer with its list, or replaces the list of a peer that is online. */
  put(peer: Omit<Member, "since">, records: FileRecord[]): Member {
    const { catalog, clock, activity, report } = this.#options;
    const renewed = catalog.member(peer.id) !== undefined;
    const member = catalog.put({ ...peer, since: clock.at() }, records);
    const { id, address, port, agent, profile } = member;
    const files = records.length;
    if (renewed) report({ event: "updated", id, address, port, files });
    else {
      activity.joins.count();
      this.#changes += 1;
      report({ event: "joined", id, address, port, files, agent, profile: `FT/${profile}`, peers: catalog.peers });
    }
    return member;
  }

  /** Removes a peer, if it is online; `reason` is a clause for the operator. */
  remove(id: string, reason: string): void {
    const { catalog, report } = this.#options;
    this.#watch.forget(id);
    const member = catalog.leave(id);
    if (member === undefined) return;
    this.#changes += 1;
    const { address, port } = member;
    report({ event: "left", id, address, port, reason, peers: catalog.peers });
  }

  /** Removes an FT/1 peer, which holds no connection, when its port does not answer any more. */
  watch({ id, address, port }: Member, via: Address): void {
    const to = { address: this.#options.dialable(via, address), port };
    this.#watch.watch(id, to, () => this.remove(id, "its port does not answer"));
  }

  /** Tries a port once. */
  async tryPort({ address, port }: Endpoint, via: Address): Promise<Reach | undefined> {
    const { prober, dialable } = this.#options;
    const reach = await prober.reach({ address: dialable(via, address), port });
    this.#changes += 1;
    return reach;
  }

  /** Tells the operator that a peer's port could not be connected to. */
  unreachable({ id, address, port }: Member, reason: string): void {
    this.#options.report({ event: "unreachable", id, address, port, reason });
  }

  /** Counts a request or a connection that gets nothing, and tells the operator. */
  refused(address: string, code: string, reason: string): void {
    const { activity, report } = this.#options;
    activity.refused.count();
    activity.refusals.set(code, (activity.refusals.get(code) ?? 0) + 1);
    report({ event: "refused", address, code, reason });
  }

  /** Tries no ports any more. */
  stop(): void {
    this.#watch.stop();
  }
}
