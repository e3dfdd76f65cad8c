// Tells whether an address is on one of this machine's networks.

import { type Address, isIPv6, withoutZone } from "../../protocol/address.ts";

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

/** An address as zeros and ones, 32 or 128 of them: `10.0.0.1` is `00001010…`. */
function bitsOf(address: Address): string {
  const bits = (parts: string[], radix: number, width: number) =>
    parts.map((part) => Number.parseInt(part, radix).toString(2).padStart(width, "0")).join("");
  const bare = withoutZone(address);
  if (!isIPv6(bare)) return bits(bare.split("."), 10, 8);
  const [start = [], end = []] = bare.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const before = bits(start, 16, 16);
  const after = bits(end, 16, 16);
  // "::" stands for the groups that are not written.
  return before + "0".repeat(128 - before.length - after.length) + after;
}
