// Tells from the connection to the tracker which addresses are this machine's, and which this machine can dial. Pure.

import { type Address, type Endpoint, isHostAddress, isLoopback } from "../../protocol/address.ts";

/**
 * The ends of the connection to the tracker: its address, and our own end. This machine sees both itself. `you` is our address as
 * the tracker says that it sees it: where this peer believes it, a lie must do no harm.
 */
export interface TrackerEnds {
  tracker: Address;
  local: Address;
  you: Address;
}

/** Whether the tracker runs on this machine. The ends of the connection alone say so, because a tracker could lie about the rest. */
export function isTrackerHere(ends: TrackerEnds | undefined): boolean {
  return ends !== undefined && (isLoopback(ends.tracker) || ends.tracker === ends.local);
}

/** Whether a record's address can be dialled: one host's address, and loopback only where the tracker is on this machine too. */
export function isDialable({ address }: Endpoint, ends: TrackerEnds | undefined): boolean {
  return isHostAddress(address) && (!isLoopback(address) || isTrackerHere(ends));
}

/** The holder of a record: its endpoint, and its id where several peers have that endpoint. */
export interface RecordHolder extends Endpoint {
  peer?: string | undefined;
}

/** Whether a record is of this peer, which serves at `ownPort` of this machine. Behind one router, others have the same address and port. */
export function isOwnRecord(
  { address, port, peer }: RecordHolder,
  ownPort: number,
  ends: (TrackerEnds & { id: string }) | undefined,
): boolean {
  if (port !== ownPort || ends === undefined) return false;
  if (peer !== undefined) return peer === ends.id;
  return address === ends.local || address === ends.you || (isLoopback(address) && isTrackerHere(ends));
}

/**
 * Whether a pass for the address `passed` is good on a connection from `from`. On one machine the tracker may see a peer by
 * loopback, and this peer may see the same one by a network address, or the other way round.
 */
export function isSameHost(
  passed: Address,
  from: Address,
  ends: TrackerEnds,
  isOfThisMachine: (address: Address) => boolean,
): boolean {
  if (passed === from) return true;
  if (isLoopback(from)) return isLoopback(passed) || passed === ends.you;
  return isLoopback(passed) && (from === ends.tracker || (isTrackerHere(ends) && isOfThisMachine(from)));
}
