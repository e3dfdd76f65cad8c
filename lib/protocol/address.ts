// Parses addresses, ports and whole numbers from strangers' text.

/** An IP address in its one canonical form: IPv4 dotted, IPv6 by RFC 5952, IPv4-mapped IPv6 as IPv4. */
export type Address = string & { readonly [address]: true };

declare const address: unique symbol;

/** An address and a port there. */
export interface Endpoint {
  address: Address;
  port: number;
}

/** A stranger's text as an address, or undefined. Zones (`fe80::1%eth0`) are kept. */
export function parseAddress(text: string): Address | undefined {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets !== null) {
    return octets.slice(1).every((octet) => String(Number(octet)) === octet && Number(octet) < 256)
      ? (text as Address)
      : undefined;
  }
  const [, bare = "", zone = ""] = /^([0-9a-f:.]+)(%[\w.-]{1,32})?$/i.exec(text) ?? [];
  if (!bare.includes(":")) return undefined;
  const url = `http://[${bare.replace(/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/, hexGroups)}]/`;
  if (!URL.canParse(url)) return undefined;
  const canonical = new URL(url).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped === null) return `${canonical}${zone}` as Address;
  const high = Number.parseInt(mapped[1] ?? "", 16);
  const low = Number.parseInt(mapped[2] ?? "", 16);
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}` as Address;
}

/** The dotted end of an IPv6 address as two groups, because Bun's URL refuses some valid ones. `1.2.3.4` becomes `102:304`. */
function hexGroups(dotted: string, ...octets: string[]): string {
  const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number);
  const valid = octets.slice(0, 4).every((octet) => String(Number(octet)) === octet && Number(octet) < 256);
  return valid ? `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}` : dotted;
}

/** An address without its zone. A zone means something on one machine only, so it is neither published nor compared. */
export function withoutZone(of: Address): Address {
  const zone = of.indexOf("%");
  return zone < 0 ? of : (of.slice(0, zone) as Address);
}

export function isIPv6(of: Address): boolean {
  return of.includes(":");
}

/**
 * The host of an address: the IPv4 address itself, or the IPv6 network of 64 bits in which a host chooses its address. Limits and bans are
 * for hosts: else one host would have the limits of thousands.
 */
export function hostOf(of: string): string {
  if (!of.includes(":")) return of;
  return `${groupsOf(of).slice(0, 4).join(":")}::/64`;
}

/** The eight groups of an IPv6 address without a zone. */
export function groupsOf(ipv6: string): string[] {
  const [start = [], end = []] = ipv6.split("::").map((part) => (part === "" ? [] : part.split(":")));
  // "::" stands for the groups that are not written.
  const zeros = Array<string>(8 - start.length - end.length).fill("0");
  return [...start, ...zeros, ...end];
}

/** An address without its zone as zeros and ones, 32 or 128 of them: `10.0.0.1` is `00001010…`. */
export function bitsOf(of: Address): string {
  const [numbers, width] = isIPv6(of)
    ? [groupsOf(withoutZone(of)).map((group) => Number.parseInt(group, 16)), 16]
    : [of.split(".").map(Number), 8];
  return numbers.map((number) => number.toString(2).padStart(width, "0")).join("");
}

/** Whether an address works on one link only (RFC 4291). Connecting to it needs a zone. */
export function isLinkLocal(of: Address): boolean {
  return /^fe[89ab][0-9a-f]:/.test(of);
}

/** Whether this is the machine itself. */
export function isLoopback(of: Address): boolean {
  return of.startsWith("127.") || of === "::1";
}

/** Whether an address can be that of one host: not unspecified, multicast or broadcast. */
export function isHostAddress(of: Address): boolean {
  if (of.includes(":")) return of !== "::" && !/^ff[0-9a-f]{2}:/.test(of);
  const first = Number(of.slice(0, of.indexOf(".")));
  return first > 0 && first < 224;
}

/** `address:port`, IPv6 in brackets. */
export function formatEndpoint({ address, port }: { address: string; port: number }): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** `address:port` as a person types it, IPv6 in brackets; undefined for other text. The zone is left out: records have none. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const [, bracketed, bare = "", portText = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  const address = parseAddress(bracketed ?? bare);
  const port = parsePort(portText);
  return address === undefined || port === undefined ? undefined : { address: withoutZone(address), port };
}

/** A whole number as the protocol writes it: no sign, fraction, exponent or leading zero, at most 2^53 − 1; or undefined. */
export function parseWhole(text: string): number | undefined {
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A port from 1 to 65535, or undefined. */
export function parsePort(text: string): number | undefined {
  const port = parseWhole(text);
  return port !== undefined && port > 0 && port < 65536 ? port : undefined;
}
