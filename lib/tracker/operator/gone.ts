// Remembers the peers that have left, for an operator who bans a peer after it was kicked or has gone by itself.

import type { Clock } from "../../clock.ts";
import type { Address } from "../../protocol/address.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import type { Member } from "../shelf.ts";

/** A peer that left earlier than this is forgotten: another computer may have its address. Milliseconds. */
const REMEMBERED_MS = 3_600_000;
/** The most peers that are remembered. */
const MOST = 500;

export interface GonePeer {
  readonly id: string;
  readonly name: string | undefined;
  readonly address: Address;
  readonly port: number;
  /** When it left. Milliseconds since 1970. */
  readonly at: number;
}

export class GonePeers {
  readonly #clock: Clock;
  /** By name and place, the latest last. */
  readonly #peers = new Map<string, GonePeer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add({ id, name, address, port }: Pick<Member, "id" | "name" | "address" | "port">): void {
    const key = `${formatEndpoint({ address, port })} ${foldPeerName(name ?? "")}`;
    this.#peers.delete(key);
    this.#peers.set(key, { id, name, address, port, at: this.#clock.at() });
    const [oldest] = this.#peers.keys();
    if (this.#peers.size > MOST && oldest !== undefined) this.#peers.delete(oldest);
  }

  /** The peers that left within the last hour and had this name, id or `address:port`: the latest of each address, the latest first. */
  find(typed: string): GonePeer[] {
    const folded = foldPeerName(typed.trim());
    const since = this.#clock.at() - REMEMBERED_MS;
    const isMeant = ({ id, name, address, port, at }: GonePeer) =>
      at >= since && (id === typed || foldPeerName(name ?? "") === folded || formatEndpoint({ address, port }) === typed);
    const found = [...this.#peers.values()].reverse().filter((peer) => folded !== "" && isMeant(peer));
    return found.filter(({ address }, i) => found.findIndex((one) => one.address === address) === i);
  }
}
