// Finds the peer or the network that an operator means by a printed id, address or name.

import { didYouMean } from "../../nearest.ts";
import { type Address, formatEndpoint, parseEndpoint } from "../../protocol/address.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import { printable } from "../../text.ts";
import type { Member } from "../shelf.ts";
import type { TrackerState } from "../state.ts";
import type { Ban } from "./bans.ts";
import type { GonePeer } from "./gone.ts";
import { type Network, networkOf, parseNetwork } from "./networks.ts";

/** The addresses that an operator means. `peer`: only this peer is meant, as far as that is possible. `gone`: it is not online any more. */
export interface Meant {
  network: Network;
  peer?: Member;
  gone?: GonePeer;
}

/**
 * What the typed text means: a network, or a peer by its `address:port`, its id or its name. A peer that is online comes before one that
 * has left. Else a sentence.
 */
export function whoIsMeant(typed: string, state: TrackerState): Meant | string {
  const network = parseNetwork(typed);
  if (network !== undefined) return { network };
  const peer = peerMeant(typed, state);
  if (peer !== undefined) return { network: networkOf(peer.address), peer };
  const [gone, another] = state.gone.find(typed);
  if (gone !== undefined && another === undefined) return { network: networkOf(gone.address), gone };
  if (gone !== undefined) return severalHaveLeft(typed, state);
  const at = parseEndpoint(typed);
  if (at === undefined) {
    const names = [...state.catalog.everything()].flatMap(({ member }) => member.name ?? []);
    const words = `"${printable(typed)}" is neither the name of a peer that is online, nor an address`;
    return `${words} such as 192.168.1.7, 192.168.1.7:1235 or 192.168.1.0/24.${printable(didYouMean(typed, names))}`;
  }
  const known = state.catalog.known(at.address) ? ` Everybody there is meant by the address alone: ${at.address}` : "";
  return `No peer is at ${formatEndpoint(at)}.${known}`;
}

/** The most peers that a sentence names. */
const NAMED = 5;

function severalHaveLeft(typed: string, { gone }: TrackerState): string {
  const found = gone.find(typed);
  const list = found.slice(0, NAMED).map(({ address }) => address);
  const more = found.length > NAMED ? ` and ${found.length - NAMED} more` : "";
  return `Several peers with the name "${printable(typed)}" have left: from ${list.join(", ")}${more}. Give the address.`;
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
export function reasonFor({ peer, gone }: Meant, reason: string): string {
  return [peer?.name ?? gone?.name ?? [], reason === "" ? [] : reason].flat().join(": ");
}

/** The bans that were ordered by this name. */
export function bansOf(name: string, bans: Ban[]): Ban[] {
  const folded = foldPeerName(name.trim());
  return bans.filter(({ reason }) => `${foldPeerName(reason)}: `.startsWith(`${folded}: `));
}
