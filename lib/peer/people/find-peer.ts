// Finds the peer that a person means by what is printed of it: its id, its address with or without the port, or its name.

import { FtError } from "../../error.ts";
import { type Address, formatEndpoint, parseAddress, parseEndpoint, withoutZone } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";

/** An address as typed, with brackets or without. */
export function typedAddress(text: string): Address | undefined {
  const address = parseAddress(text.replace(/^\[([^\]]*)\]$/, "$1"));
  return address === undefined ? undefined : withoutZone(address);
}

/** The peer that the typed text means. Throws a sentence when there is none, or when several are at that address. */
export function findPeer(typed: string, peers: PeerLine[]): PeerLine {
  const found = peersMeant(typed, peers);
  const [peer, second] = found;
  if (peer === undefined) {
    throw new FtError("not-found", `No peer "${printable(typed)}" is online. See who is: ft-peer who`);
  }
  if (second === undefined) return peer;
  const choices = found.map((one) => formatEndpoint(one) + (one.name === undefined ? "" : ` (${printable(one.name)})`));
  const words = `${found.length} peers are at "${printable(typed)}": ${choices.join(", ")}. Name one of these.`;
  throw new FtError("ambiguous", words);
}

/** Whether a record is of this peer. `id` is said only where several peers have one address and port. */
export function isRecordOf({ address, port, peer }: Pick<FileRecord, "address" | "port" | "peer">, one: PeerLine): boolean {
  return peer === undefined ? address === one.address && port === one.port : peer === one.id;
}

/** An id and an address come before names: everybody can choose a name. */
function peersMeant(typed: string, peers: PeerLine[]): PeerLine[] {
  const byId = peers.filter(({ id }) => id === typed);
  if (byId.length > 0) return byId;
  const at = parseEndpoint(typed);
  if (at !== undefined) return peers.filter(({ address, port }) => address === at.address && port === at.port);
  const address = typedAddress(typed);
  if (address !== undefined) return peers.filter((one) => one.address === address);
  const folded = foldPeerName(typed.trim());
  return peers.filter(({ name }) => name !== undefined && foldPeerName(name) === folded);
}
