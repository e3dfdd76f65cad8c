// Finds the peer or the network that an operator means by what is printed of it.

import { type Address, formatEndpoint, parseEndpoint } from "../protocol/address.ts";
import { foldPeerName } from "../protocol/peer-name.ts";
import { printable } from "../text.ts";
import type { Ban } from "./bans.ts";
import type { Member } from "./catalog.ts";
import { type Network, networkOf, parseNetwork } from "./networks.ts";
import type { TrackerState } from "./state.ts";

/** The addresses that an operator means. `peer`: only this peer is meant, as far as that is possible. */
export interface Meant {
  network: Network;
  peer?: Member;
}

/** What the typed text means: a network, or a peer online by its `address:port`, its id or its name. Else a sentence. */
export function whoIsMeant(typed: string, state: TrackerState): Meant | string {
  const network = parseNetwork(typed);
  if (network !== undefined) return { network };
  const peer = peerMeant(typed, state);
  if (peer !== undefined) return { network: networkOf(peer.address), peer };
  const at = parseEndpoint(typed);
  if (at === undefined) {
    const words = `"${printable(typed)}" is neither the name of a peer that is online, nor an address`;
    return `${words} such as 192.168.1.7, 192.168.1.7:1235 or 192.168.1.0/24.`;
  }
  const known = state.catalog.known(at.address) ? ` Everybody there is meant by the address alone: ${at.address}` : "";
  return `No peer is at ${formatEndpoint(at)}.${known}`;
}

/** Addresses and ids come before names: everybody can choose a name. */
function peerMeant(typed: string, { catalog, names, connections }: TrackerState): Member | undefined {
  const at = parseEndpoint(typed);
  if (at === undefined) return catalog.member(typed) ?? catalog.member(names.idOf(typed.trim()) ?? "");
  // A peer on the tracker's machine is listed at the address by which the others reach the tracker.
  const isHere = Iterator.from(connections).some(({ via }) => via === at.address);
  const seer = { address: at.address, via: isHere ? at.address : ("" as Address) };
  return catalog.at(at, seer) ?? catalog.basicMembers(at.address).find(({ port }) => port === at.port);
}

/** The reason of a ban that was ordered by a name: it begins with that name. */
export function reasonFor({ peer }: Meant, reason: string): string {
  return [peer?.name ?? [], reason === "" ? [] : reason].flat().join(": ");
}

/** The bans that were ordered by this name. */
export function bansOf(name: string, bans: Ban[]): Ban[] {
  const folded = foldPeerName(name.trim());
  return bans.filter(({ reason }) => `${foldPeerName(reason)}: `.startsWith(`${folded}: `));
}
