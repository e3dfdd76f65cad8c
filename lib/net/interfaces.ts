// Lists this machine's network addresses and watches their changes. Adds the zone that a link-local address needs: `fe80::1%eth0`.

import { networkInterfaces } from "node:os";
import { quietClock } from "../clock.ts";
import { type Address, isHostAddress, isLinkLocal, isLoopback, parseAddress, withoutZone } from "../protocol/address.ts";

export interface InterfaceAddress {
  /** Without a zone. */
  address: Address;
  family: 4 | 6;
  /** The address works on this link only: fe80::/10, 169.254/16. */
  linkLocal: boolean;
  /** All hosts of this network share this number of leading bits. */
  prefix: number;
  /** The number that stands for the interface in IPv6 zones on Windows; 0 if there is none. */
  scope: number;
}

export interface Interface {
  name: string;
  addresses: InterfaceAddress[];
  loopback: boolean;
  /** Its name says that software made it: a bridge of containers or virtual machines, or a tunnel. */
  virtual: boolean;
  /** Its name says that it is a VPN. */
  tunnel: boolean;
}

/** The part of the result of `os.networkInterfaces` that this file uses. Tests hand it in. */
export type RawInterfaces = Record<
  string,
  { address: string; family: string; internal: boolean; cidr?: string | null; scopeid?: number | undefined }[] | undefined
>;

/** Names of interfaces that stand for containers and virtual machines. */
const BRIDGES =
  /^(?:docker|br-[0-9a-f]{8,}$|bridge\d{3}|veth|virbr|vnet\d|vmnet|vboxnet|lxcbr|lxdbr|incusbr|podman|cni|flannel|cali|awdl|llw|anpi|vEthernet)|VirtualBox|VMware|Hyper-V|WSL/i;

/** Names of interfaces that are VPNs. */
const TUNNELS =
  /^(?:tun|tap|wg|utun|tailscale|zt[0-9a-z]{6}|ppp|ham\d|wt\d|ipsec|gpd\d)|WireGuard|TAP-Windows|ZeroTier|Hamachi|NordLynx|VPN/i;

/** The interfaces that have an address. Never throws; an address that cannot be read is left out. */
export function interfaces(raw: () => RawInterfaces = networkInterfaces): Interface[] {
  let all: RawInterfaces;
  try {
    all = raw();
  } catch {
    // Some systems do not let programs see their interfaces.
    return [];
  }
  const found: Interface[] = [];
  for (const [name, entries = []] of Object.entries(all)) {
    const addresses: InterfaceAddress[] = [];
    for (const { address: text, cidr, scopeid } of entries) {
      const parsed = parseAddress(text);
      if (parsed === undefined) continue;
      const address = withoutZone(parsed);
      const family = address.includes(":") ? 6 : 4;
      const bits = family === 4 ? 32 : 128;
      const prefix = Number(cidr?.split("/")[1] ?? bits);
      addresses.push({
        address,
        family,
        linkLocal: isLinkLocal(address) || address.startsWith("169.254."),
        prefix: prefix >= 0 && prefix <= bits ? prefix : bits,
        scope: scopeid ?? 0,
      });
    }
    if (addresses.length === 0) continue;
    const loopback = entries.some(({ internal }) => internal) || addresses.every(({ address }) => isLoopback(address));
    const tunnel = !loopback && TUNNELS.test(name);
    found.push({ name, addresses, loopback, tunnel, virtual: tunnel || (!loopback && BRIDGES.test(name)) });
  }
  return found;
}

/** Whether an interface of this machine has the address. */
export function isOfThisMachine(address: Address): boolean {
  return interfaces().some(({ addresses }) => addresses.some((own) => own.address === address));
}

/** Addresses for documentation (RFC 5737, RFC 3849). No host has them, and the default route leads to them. */
const DOCUMENTATION_ADDRESSES = { 4: "203.0.113.1", 6: "2001:db8::1" } as const;

/** The address of this machine that packets to the internet would carry; undefined without a default route. Sends nothing. */
export async function routedAddress(family: 4 | 6): Promise<Address | undefined> {
  try {
    const connect = { hostname: DOCUMENTATION_ADDRESSES[family], port: 9 };
    const socket = await Bun.udpSocket({ hostname: family === 4 ? "0.0.0.0" : "::", connect });
    const address = parseAddress(socket.address.address);
    socket.close();
    return address !== undefined && isHostAddress(address) ? withoutZone(address) : undefined;
  } catch {
    // There is no route.
    return undefined;
  }
}

/** The zone of an interface: the text behind `%` in its link-local addresses on this machine. */
export function zoneFor({ name, addresses }: Interface, platform: string = process.platform): string {
  if (platform !== "win32") return name;
  return String(addresses.find(({ scope }) => scope !== 0)?.scope ?? "");
}

/** When the regular look is late by more than this, the machine slept, or somebody set its clock. Milliseconds. */
const JUMP_MS = 5_000;

/** Calls `changed` when this machine gets or loses an address, and when it has slept. Gives a function that stops this. */
export function watchInterfaces(
  changed: (now: Interface[]) => void,
  { everyMs = 2_000, clock = quietClock, networks = interfaces } = {},
): () => void {
  let known = fingerprint(networks());
  let stopped = false;
  let cancel = wait();

  function wait(): () => void {
    const from = clock.at();
    return clock.after(everyMs, () => {
      const now = networks();
      const seen = fingerprint(now);
      const jumped = Math.abs(clock.at() - from - everyMs) > JUMP_MS;
      if (jumped || seen !== known) {
        known = seen;
        changed(now);
      }
      if (!stopped) cancel = wait();
    });
  }

  return () => {
    stopped = true;
    cancel();
  };
}

/** A text that is the same for the same addresses, whatever their order. */
function fingerprint(networks: Interface[]): string {
  return networks
    .flatMap(({ name, addresses }) => addresses.map(({ address, prefix }) => `${name} ${address}/${prefix}`))
    .sort()
    .join("\n");
}

/** An address as this machine can dial it. A link-local address gets the zone of the interface that has the address `local`. */
export function dialableFrom(
  local: Address,
  address: Address,
  { networks = interfaces, platform = process.platform } = {},
): string {
  if (!isLinkLocal(address) || address.includes("%")) return address;
  const bare = withoutZone(local);
  const owner = networks().find(({ addresses }) => addresses.some((own) => own.address === bare));
  const zone = owner === undefined ? "" : zoneFor(owner, platform);
  return zone === "" ? address : `${address}%${zone}`;
}

/** A link-local address that a person typed without a zone, once with the zone of each interface that it can be on. */
export function zonesFor(address: Address, networks: () => Interface[] = interfaces): string[] {
  return networks()
    .filter(({ loopback, addresses }) => !loopback && addresses.some((own) => isLinkLocal(own.address)))
    .map((network) => `${address}%${zoneFor(network)}`);
}
