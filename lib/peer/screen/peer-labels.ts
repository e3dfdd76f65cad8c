// Writes which peer a row of a table is about: the name that its person chose, or its address.

import { formatEndpoint } from "../../protocol/address.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import { printable } from "../../text.ts";

/** A peer as a row has it. */
export interface Named {
  name?: string | undefined;
  address: string;
  port: number;
}

/**
 * Gives the text for a peer of these rows: its name, or its address where it has none. A name that stands for several addresses in the
 * rows has the address behind it. The tracker gives each name to one peer at a time, but rows may be of different times and trackers.
 */
export function peerLabels(rows: Iterable<Named>): (peer: Named) => string {
  const places = new Map<string, Set<string>>();
  for (const row of rows) {
    if (row.name === undefined) continue;
    const key = foldPeerName(row.name);
    const at = places.get(key) ?? new Set();
    places.set(key, at.add(formatEndpoint(row)));
  }
  return (peer) => {
    const at = formatEndpoint(peer);
    if (peer.name === undefined) return at;
    const isRepeated = (places.get(foldPeerName(peer.name))?.size ?? 0) > 1;
    return isRepeated ? `${printable(peer.name)}, ${at}` : printable(peer.name);
  };
}
