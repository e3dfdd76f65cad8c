// Ranks the addresses of this machine by how likely a person on the LAN reaches it there.

import { type Interface, type InterfaceAddress, interfaces, routedAddress } from "../../net/interfaces.ts";
import { type Address, isLinkLocal, isLoopback } from "../../protocol/address.ts";

/**
 * The addresses that a person on the LAN can type to reach this machine, the most likely first. Loopback is left out. fe80::/10 is
 * left out too, because it needs a zone, and every machine has other zones.
 */
export async function likelyAddresses(networks = interfaces, routed = routedAddress): Promise<Address[]> {
  const main = await Promise.all([routed(4), routed(6)]);
  const ranked = networks()
    .filter(({ loopback }) => !loopback)
    .flatMap((network) => network.addresses.map((one) => ({ ...one, rank: likelihoodRank(one, network, main) })))
    .filter(({ address }) => !isLinkLocal(address) && !isLoopback(address))
    .sort((a, b) => a.rank - b.rank);
  // Two interfaces can have the same address.
  return [...new Set(ranked.map(({ address }) => address))];
}

/** A lower rank is more likely. `main` are the addresses that packets to the internet would carry. */
function likelihoodRank(
  { address, family, linkLocal }: InterfaceAddress,
  network: Interface,
  main: (Address | undefined)[],
): number {
  if (linkLocal) return 7;
  // A VPN can have the default route, but the LAN does not reach this machine through it. A bridge of virtual machines that has the
  // default route is the LAN's interface: Hyper-V puts its switch before the network card.
  const isMain = main.includes(address) && !network.tunnel;
  if (isMain && (family === 4 || main[0] === undefined)) return 0;
  if (family === 6) return network.virtual ? 6 : isMain ? 4 : 5;
  if (network.virtual) return 3;
  return isPrivate(address) ? 1 : 2;
}

/** Whether this is an IPv4 address of a private network (RFC 1918). */
function isPrivate(address: Address): boolean {
  return /^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)/.test(address);
}
