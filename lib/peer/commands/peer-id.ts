// Finds the peer that a person names.

import { FtError } from "../../error.ts";
import { formatEndpoint, parseAddress, withoutZone } from "../../protocol/address.ts";
import { printable } from "../../text.ts";
import type { Peer } from "./types.ts";

/** An endpoint as records write it, such as `[fd00::7]:1235`; other text stays as it is. */
function canonicalEndpoint(typed: string): string {
  const [, host = "", port = ""] = /^\[([^\]]*)\]:(\d+)$/.exec(typed) ?? [];
  const address = parseAddress(host);
  return address === undefined ? typed : formatEndpoint({ address: withoutZone(address), port: Number(port) });
}

/** The id of a peer that was typed as an id, an address, or an address and port. */
export async function peerId(peer: Peer, typed: string): Promise<string> {
  const at = parseAddress(typed.replace(/^\[([^\]]*)\]$/, "$1"));
  const wanted = at === undefined ? canonicalEndpoint(typed) : withoutZone(at);
  const found = (await peer.session.requests.who()).filter((one) =>
    [one.id, one.address, formatEndpoint(one)].includes(wanted),
  );
  if (found.length > 1) {
    const choices = found.map((one) => formatEndpoint(one)).join(", ");
    throw new FtError("ambiguous", `${found.length} peers are at "${printable(typed)}": ${choices}. Name one of these.`);
  }
  if (found[0] === undefined)
    throw new FtError("not-found", `No peer "${printable(typed)}" is online. Try: ft-peer ADDRESS who`);
  return found[0].id;
}
