// Hears the other trackers of this tracker's group, as they announce themselves by DNS-SD. Nothing proves what they say: a peer that goes
// to one of them lets it prove its key.

import type { Clock } from "../../clock.ts";
import { type Address, isHostAddress, isLinkLocal, isLoopback, parsePort } from "../../protocol/address.ts";
import type { GroupTracker } from "../../protocol/group.ts";

/** Announced trackers are asked again after this time. Milliseconds. */
const ASK_MS = 60_000;
/** A tracker that was not heard for this long is forgotten. Milliseconds. */
const FORGET_MS = 4 * ASK_MS;
/** The most trackers that are known. Anybody on the network can make some up. */
const MOST = 16;
/** The most addresses of one tracker. */
const MOST_ADDRESSES = 3;

/** The part of a DNS-SD packet that tells of a tracker. */
export interface HeardPacket {
  answers: HeardRecord[];
  additionals: HeardRecord[];
}

interface HeardRecord {
  name: string;
  type: string;
  ttl?: number | undefined;
  data?: unknown;
}

interface Neighbour {
  port: number;
  addresses: Address[];
  /** Milliseconds of the clock's `elapsed`. */
  heardAt: number;
}

interface NeighbourTools {
  /** The group's name. */
  group: string;
  /** This tracker's own key. */
  key: string;
  clock: Clock;
  /** Asks all trackers on the network to announce themselves. */
  ask(): void;
  /** Called when other trackers are known than before. */
  changed(): void;
}

export class Neighbours {
  readonly #tools: NeighbourTools;
  readonly #known = new Map<string, Neighbour>();
  #cancel = () => {};

  constructor(tools: NeighbourTools) {
    this.#tools = tools;
    this.#askLater();
  }

  /** The trackers that were heard of late. */
  get trackers(): GroupTracker[] {
    return [...this.#known].map(([key, { port, addresses }]) => ({ key, at: addresses.map((address) => ({ address, port })) }));
  }

  /** Reads a packet that came from this address. */
  hear({ answers, additionals }: HeardPacket, from: Address): void {
    const records = [...answers, ...additionals];
    for (const { name, data, ttl = 1 } of records.filter(({ type }) => type === "TXT")) {
      const key = textIn(data, "key");
      if (textIn(data, "group") !== this.#tools.group || !/^[\w-]{43}$/.test(key) || key === this.#tools.key) continue;
      const place = records.find((one) => one.type === "SRV" && one.name.toLowerCase() === name.toLowerCase());
      const port = parsePort(String((place?.data as { port?: unknown } | undefined)?.port));
      if (ttl === 0) this.#forget(key);
      else if (port !== undefined) this.#note(key, port, from);
    }
  }

  stop(): void {
    this.#cancel();
  }

  #note(key: string, port: number, from: Address): void {
    // A link-local address means something on one link only.
    if (!isHostAddress(from) || isLinkLocal(from)) return;
    const known = this.#known.get(key);
    const heardAt = this.#tools.clock.elapsed();
    if (known !== undefined && known.port === port && known.addresses.includes(from)) {
      known.heardAt = heardAt;
      return;
    }
    if (known === undefined && this.#known.size >= MOST) return;
    const before = known?.port === port ? known.addresses : [];
    // Loopback reaches the tracker from its own machine only, so it comes last.
    const addresses = [...before, from].sort((a, b) => Number(isLoopback(a)) - Number(isLoopback(b))).slice(0, MOST_ADDRESSES);
    this.#known.set(key, { port, addresses, heardAt });
    this.#tools.changed();
  }

  #forget(key: string): void {
    if (this.#known.delete(key)) this.#tools.changed();
  }

  #askLater(): void {
    const { clock, ask } = this.#tools;
    this.#cancel = clock.after(ASK_MS, () => {
      const oldest = clock.elapsed() - FORGET_MS;
      for (const [key, { heardAt }] of this.#known) if (heardAt < oldest) this.#forget(key);
      ask();
      this.#askLater();
    });
  }
}

/** The value of a key in a TXT record; "" if it has none. */
function textIn(data: unknown, key: string): string {
  const texts = Array.isArray(data) ? data.slice(0, 16).map(String) : [];
  return texts.find((text) => text.startsWith(`${key}=`))?.slice(key.length + 1) ?? "";
}
