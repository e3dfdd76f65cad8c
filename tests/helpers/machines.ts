// The interfaces of several kinds of machines, as their systems show them.

import { interfaces, type RawInterfaces } from "../../lib/net/interfaces.ts";

/** What a system shows of one address. */
export function shown(
  cidr: string,
  scopeid = 0,
): { address: string; family: string; internal: boolean; cidr: string; scopeid: number } {
  const [address = ""] = cidr.split("/");
  const internal = address.startsWith("127.") || address === "::1";
  return { address, family: address.includes(":") ? "IPv6" : "IPv4", internal, cidr, scopeid };
}

export const LINUX: RawInterfaces = {
  lo: [shown("127.0.0.1/8"), shown("::1/128")],
  docker0: [shown("172.17.0.1/16"), shown("fe80::42:1/64", 4)],
  "br-0a1b2c3d4e5f": [shown("172.18.0.1/16")],
  veth12ab: [shown("fe80::12/64", 6)],
  wg0: [shown("10.8.0.2/24")],
  tailscale0: [shown("100.101.102.103/32"), shown("fd7a:115c:a1e0::1/128")],
  wlan0: [shown("169.254.7.7/16"), shown("192.168.1.17/24"), shown("2001:db8:1::17/64"), shown("fe80::17/64", 3)],
  eth0: [shown("10.0.0.5/8"), shown("fd00::5/64"), shown("fe80::5/64", 2)],
};

export const WINDOWS: RawInterfaces = {
  "vEthernet (Default Switch)": [shown("fe80::1111/64", 33), shown("172.29.0.1/20")],
  "vEthernet (External)": [shown("fe80::2222/64", 12), shown("192.168.0.20/24")],
  "VMware Network Adapter VMnet8": [shown("192.168.77.1/24")],
  "VirtualBox Host-Only Network": [shown("192.168.56.1/24")],
  "Wi-Fi": [shown("fe80::3333/64", 7), shown("192.168.0.21/24")],
  "Loopback Pseudo-Interface 1": [shown("::1/128"), shown("127.0.0.1/8")],
};

export const MACOS: RawInterfaces = {
  lo0: [shown("127.0.0.1/8"), shown("::1/128"), shown("fe80::1/64", 1)],
  en0: [shown("fe80::aa/64", 11), shown("192.168.1.5/24")],
  awdl0: [shown("fe80::bb/64", 13)],
  bridge100: [shown("192.168.64.1/24")],
  utun3: [shown("10.9.0.3/32")],
  en7: [shown("203.0.113.77/24")],
};

/** These interfaces, as the product is handed them. */
export const of = (raw: RawInterfaces) => () => interfaces(() => raw);
