// Answers FT/1 peers, which come for one exchange at a time and hold no connection. A list makes a peer of each port in it;
// a search or BYE counts for all FT/1 peers of its address.

import { ProtocolError } from "../error.ts";
import type { Address } from "../protocol/address.ts";
import { basic } from "../protocol/basic.ts";
import type { FileName, FileRecord } from "../protocol/record.ts";
import { SAID_BYE } from "./events.ts";
import type { Seer } from "./shelf.ts";
import type { TrackerState } from "./state.ts";

/** Accepts a list; the ids of its peers are added to `registered`. Throws the refusal when there are too many peers. */
export function registerBasic(records: FileRecord[], seer: Seer, registered: Set<string>, state: TrackerState): void {
  const { address, via } = seer;
  const { catalog, limits } = state;
  for (const port of new Set(records.map((record) => record.port))) {
    const id = `ft1-${address}-${port}`;
    const renewed = catalog.member(id) !== undefined;
    if (!renewed) state.requireRoom();
    // The limit on connections cannot count these peers.
    if (!renewed && catalog.basicMembers(address).length >= limits.perAddress) {
      throw new ProtocolError("too-many-peers", `There are ${limits.perAddress} FT/1 peers at ${address} already.`);
    }
    const own = records.filter((record) => record.port === port);
    const member = state.put({ id, profile: 1, address, agent: "FT/1", port }, own);
    registered.add(id);
    if (!renewed) state.watchPort(member, via);
  }
}

/** The answer to a search; undefined, which is silence, for an address that shares nothing. */
export function searchBasic(name: FileName, seer: Seer, state: TrackerState): string | undefined {
  const { catalog, limits } = state;
  if (!catalog.known(seer.address)) {
    state.refused(seer.address, "not-accepted", "It searched without sharing a file: no answer.");
    return undefined;
  }
  const lines = catalog.searchBasic(name, seer, limits.results);
  return lines.length === 0 ? basic.notFound : basic.found(lines);
}

/** BYE: removes all FT/1 peers of an address. */
export function removeBasic(address: Address, state: TrackerState): void {
  for (const { id } of state.catalog.basicMembers(address)) state.remove(id, SAID_BYE);
}
