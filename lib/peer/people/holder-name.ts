// Names a peer, or the holder of a record, in lines and sentences for a person.

import { formatEndpoint } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";

type Holder = Pick<FileRecord, "address" | "port" | "by">;

/** The name that a peer's person chose, or its address where there is none. */
export function peerLabel({ name, ...at }: Pick<PeerLine, "address" | "port" | "name">): string {
  return holderName({ by: name, ...at });
}

/** The name that the holder's person chose, or its address where there is none. */
export function holderName({ by, ...at }: Holder): string {
  return by === undefined ? formatEndpoint(at) : printable(by);
}

/** `Ben (192.168.1.7:1235)`: a name proves nothing, and the address says where to look. */
export function holderWithAddress({ by, ...at }: Holder): string {
  return by === undefined ? formatEndpoint(at) : `${printable(by)} (${formatEndpoint(at)})`;
}
