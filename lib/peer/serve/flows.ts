// Divides the bytes for downloaders between hosts. The network divides a link that is too narrow between connections, so that a host with
// eight connections would get eight times the bytes of a host with one. Therefore, while this peer serves others too, it sends less to a
// host with several connections than to them. It need not know the speed of any link.

import type { Clock } from "../../clock.ts";

/** A host, or a connection, counts as served until it got nothing for this long: between two requests it is. Milliseconds. */
const LINGER_MS = 500;
/** The speed of a host is measured over this time. Milliseconds. */
const MEASURE_MS = 250;
/** The part of the quickest other host's speed that a host with several connections gets. 0.5 is one half. */
const SHARE = 0.5;
/** A host with several connections gets at least this, because the others may be slow for their own reasons. Bytes per second. */
const LEAST = 1024 * 1024;

/** The most metadata that one host gets: hashes, bit fields and dates. They need no slot. Bytes per second. */
const METADATA = 4 * 1024 * 1024;
/** The burst of METADATA: after a pause a host gets those of this time at once, enough for the largest files. Milliseconds. */
const METADATA_AT_ONCE_MS = 5_000;

/** Times are of the clock's `elapsed`, in milliseconds. */
interface HostFlows {
  /** When each of its connections was sent bytes last; infinite while it is. By any object that stands for the connection. */
  readonly connections: Map<object, number>;
  /** When the measurement began, and the bytes since. */
  since: number;
  bytes: number;
  /** Bytes per second in the last measurement. */
  rate: number;
  /** While it has to be slow: when it may go on. */
  nextAt: number;
}

export class Flows {
  readonly #clock: Clock;
  readonly #hosts = new Map<string, HostFlows>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether other hosts than this one are served now. */
  isShared(host: string): boolean {
    for (const [other, flows] of this.#hosts) if (other !== host && this.#countOf(other, flows) > 0) return true;
    return false;
  }

  /** Bytes begin to be sent on a connection of a host. */
  begin(host: string, connection: object): void {
    const since = this.#clock.elapsed();
    const flows = this.#hosts.get(host) ?? { connections: new Map(), since, bytes: 0, rate: 0, nextAt: 0 };
    this.#hosts.set(host, flows);
    flows.connections.set(connection, Number.POSITIVE_INFINITY);
  }

  end(host: string, connection: object): void {
    this.#hosts.get(host)?.connections.set(connection, this.#clock.elapsed());
  }

  /** Counts bytes of files that were sent to a host. Gives the milliseconds to wait before more may be sent on that connection. */
  spend(host: string, bytes: number): number {
    return this.#spend(host, bytes, Number.POSITIVE_INFINITY, 0);
  }

  /** Counts bytes of metadata that were sent to a host. Gives the milliseconds to wait, like `spend`. */
  spendMetadata(host: string, bytes: number): number {
    return this.#spend(host, bytes, METADATA, METADATA_AT_ONCE_MS);
  }

  #spend(host: string, bytes: number, most: number, atOnce: number): number {
    const own = this.#hosts.get(host);
    if (own === undefined) return 0;
    const now = this.#clock.elapsed();
    measure(own, now);
    own.bytes += bytes;
    const rate = Math.min(most, this.#rateFor(host, own, now));
    if (rate === Number.POSITIVE_INFINITY) return 0;
    own.nextAt = Math.max(now - atOnce, own.nextAt) + (bytes / rate) * 1000;
    return own.nextAt - now;
  }

  #rateFor(host: string, own: HostFlows, now: number): number {
    if (!this.isShared(host) || this.#countOf(host, own) < 2) return Number.POSITIVE_INFINITY;
    let quickest = 0;
    for (const [name, other] of this.#hosts) {
      measure(other, now);
      if (name !== host) quickest = Math.max(quickest, other.rate);
    }
    return Math.max(LEAST, SHARE * quickest);
  }

  /** The connections on which a host is served now. */
  #countOf(host: string, { connections }: HostFlows): number {
    const before = this.#clock.elapsed() - LINGER_MS;
    for (const [connection, at] of connections) if (at <= before) connections.delete(connection);
    if (connections.size === 0) this.#hosts.delete(host);
    return connections.size;
  }
}

function measure(flows: HostFlows, now: number): void {
  const passed = now - flows.since;
  if (passed < MEASURE_MS) return;
  flows.rate = (flows.bytes / passed) * 1000;
  flows.since = now;
  flows.bytes = 0;
}
