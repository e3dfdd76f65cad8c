// Bytes for downloaders, shared by host. The network divides a link that is too narrow between connections, so that a host with eight
// connections would get eight times the bytes of a host with one. Therefore, while others are served too, a host that is sent bytes on
// several connections gets less than they do. Nothing has to be known of the speed of a link.

import type { Clock } from "../../clock.ts";

/** A host counts as served until it got nothing for this long: between two requests it is. Milliseconds. */
const LINGER_MS = 500;
/** The speed of a host is measured over this time. Milliseconds. */
const MEASURE_MS = 250;
/** A host with several connections gets this share of the bytes of the quickest other host. */
const SHARE = 0.5;
/** It gets this at least, because the others may be slow for reasons of their own. Bytes a second. */
const LEAST = 1024 * 1024;

interface HostFlows {
  /** Connections on which bytes are being sent. */
  count: number;
  cancelLeave: () => void;
  /** When the measurement began, and the bytes since. */
  since: number;
  bytes: number;
  /** Bytes a second in the last measurement. */
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
    return this.#hosts.size > (this.#hosts.has(host) ? 1 : 0);
  }

  /** Bytes begin to be sent on a connection. Gives a function to call when they end. */
  begin(host: string): () => void {
    const since = this.#clock.elapsed();
    const flows = this.#hosts.get(host) ?? { count: 0, cancelLeave: () => {}, since, bytes: 0, rate: 0, nextAt: 0 };
    this.#hosts.set(host, flows);
    flows.cancelLeave();
    flows.count += 1;
    return () => {
      flows.count -= 1;
      if (flows.count === 0) flows.cancelLeave = this.#clock.after(LINGER_MS, () => this.#hosts.delete(host));
    };
  }

  /** Counts bytes that were sent to a host. Gives the milliseconds to wait before more may be sent on that connection. */
  spend(host: string, bytes: number): number {
    const own = this.#hosts.get(host);
    if (own === undefined) return 0;
    const now = this.#clock.elapsed();
    measure(own, now);
    own.bytes += bytes;
    if (own.count < 2 || !this.isShared(host)) return 0;
    let quickest = 0;
    for (const [name, other] of this.#hosts) {
      measure(other, now);
      if (name !== host) quickest = Math.max(quickest, other.rate);
    }
    own.nextAt = Math.max(now, own.nextAt) + (bytes / Math.max(LEAST, SHARE * quickest)) * 1000;
    return own.nextAt - now;
  }
}

function measure(flows: HostFlows, now: number): void {
  const passed = now - flows.since;
  if (passed < MEASURE_MS) return;
  flows.rate = (flows.bytes / passed) * 1000;
  flows.since = now;
  flows.bytes = 0;
}
