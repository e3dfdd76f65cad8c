// Tells whether an address is on one of this machine's networks.

import { type Address, bitsOf } from "../../protocol/address.ts";

/** A network with fewer common bits than this is taken for a mistake: half of the internet is no network of this machine. */
const SHORTEST_PREFIX = 8;

/** Whether an address is in one of the networks that this machine is on. */
export function isOnNetwork(address: Address, networks: { addresses: { address: Address; prefix: number }[] }[]): boolean {
  const bits = bitsOf(address);
  return networks.some(({ addresses }) =>
    addresses.some((own) => {
      const ownBits = bitsOf(own.address);
      const prefix = own.prefix < SHORTEST_PREFIX ? ownBits.length : own.prefix;
      return ownBits.length === bits.length && ownBits.slice(0, prefix) === bits.slice(0, prefix);
    }),
  );
}
