// Decides which connections back a peer makes. A tracker could name any address and port, and make a thousand peers scan the ports of
// a network. So a peer dials only some addresses, and rarely dials an address at which no peer shows its pass.

import type { Clock } from "../../clock.ts";
import { type Address, type Endpoint, hostOf, isLinkLocal, withoutZone } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import { Allowance } from "../../rate.ts";

/** The most connections back that this peer opens, for all other peers together. Connections per second. */
const CALL_BACKS_PER_SECOND = 8;
/** The most connections back that this peer opens at once, after a pause. */
const CALL_BACKS_BURST = 32;
/** The most connections back that this peer dials at the same time. */
const MAX_DIALLING = 16;
/** The most connections back that this peer dials at the same time to one host. */
const MAX_DIALLING_TO_HOST = 4;
/** The most connections back to one host after a pause, while no peer there shows a good pass. */
const TRIES = 8;
/** A host at which no peer has shown a good pass is dialled again after this time. Milliseconds. */
const TRY_AGAIN_MS = 60_000;
/** A host is remembered this long after the last connection back to it. Then it has all its tries again. Milliseconds. */
const REMEMBERED_MS = TRIES * TRY_AGAIN_MS;
/** The most hosts that this peer remembers. Until it forgets one, it dials no further host. */
const MAX_HOSTS = 64;
/** Ports below this belong to services of the system. A peer that serves there is looked up at the tracker first. */
const FIRST_FREE_PORT = 1024;

interface Host {
  tries: Allowance;
  dialling: number;
  /** When it was dialled last. Milliseconds of the clock's `elapsed`. */
  at: number;
}

/** Limits the connections back of this peer, in all and to each host. */
export class CallBackLimits {
  readonly #clock: Clock;
  readonly #all: Allowance;
  readonly #hosts = new Map<string, Host>();
  #dialling = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#all = new Allowance(CALL_BACKS_PER_SECOND, CALL_BACKS_BURST, clock);
  }

  /** Counts a connection back that begins now. False when it may not begin. */
  begin(address: Address): boolean {
    if (this.#dialling >= MAX_DIALLING) return false;
    const host = this.#hostAt(address);
    if (host === undefined || host.dialling >= MAX_DIALLING_TO_HOST || !host.tries.left || !this.#all.take()) return false;
    host.tries.spend();
    host.dialling += 1;
    host.at = this.#clock.elapsed();
    this.#hosts.set(keyOf(address), host);
    this.#dialling += 1;
    return true;
  }

  /** A connection back is made, or has failed. */
  end(address: Address): void {
    const host = this.#hosts.get(keyOf(address));
    if (host !== undefined) host.dialling -= 1;
    this.#dialling -= 1;
  }

  /** A peer at this address has shown a good pass: the host has all its tries again. */
  proven(address: Address): void {
    const host = this.#hosts.get(keyOf(address));
    if (host !== undefined) host.tries = this.#tries();
  }

  #hostAt(address: Address): Host | undefined {
    const known = this.#hosts.get(keyOf(address));
    if (known !== undefined) return known;
    const now = this.#clock.elapsed();
    for (const [key, { at, dialling }] of this.#hosts) {
      if (dialling === 0 && now - at >= REMEMBERED_MS) this.#hosts.delete(key);
    }
    return this.#hosts.size >= MAX_HOSTS ? undefined : { tries: this.#tries(), dialling: 0, at: now };
  }

  #tries(): Allowance {
    return new Allowance(1000 / TRY_AGAIN_MS, TRIES, this.#clock);
  }
}

/** All hosts of a link have link-local addresses of one network. */
function keyOf(address: Address): string {
  return isLinkLocal(address) ? withoutZone(address) : hostOf(address);
}

/**
 * Whether an address that the tracker names may be dialled: one on a network of this machine, or one of a peer that the tracker lists.
 * An address of this machine would lead to its own services, past its firewall: it may be dialled only where the tracker runs here.
 */
export async function mayCallBack(
  to: Endpoint,
  tools: {
    isTrackerHere: boolean;
    /** Whether an interface of this machine has the address. */
    isOfThisMachine(address: Address): boolean;
    /** Whether the address is on a network that this machine is on. */
    isOnNetwork(address: Address): boolean;
    known(address: Address): Promise<boolean | undefined>;
    who(): Promise<PeerLine[]>;
  },
): Promise<boolean> {
  if (tools.isOfThisMachine(to.address) && !tools.isTrackerHere) return false;
  if (to.port < FIRST_FREE_PORT) {
    return (await tools.who()).some(({ address, port }) => address === to.address && port === to.port);
  }
  return tools.isOnNetwork(to.address) || (await tools.known(to.address)) === true;
}
