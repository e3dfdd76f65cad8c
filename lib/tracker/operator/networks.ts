// Reads networks as operators write them (`192.168.1.7`, `192.168.1.0/24`, `2001:db8::/64`), and finds those that an address is in.

import { type Address, bitsOf, isIPv6, parseAddress, withoutZone } from "../../protocol/address.ts";

/** All addresses whose first bits are the same. */
export interface Network {
  /** Its one canonical form. A network of one address is written as that address. */
  readonly text: string;
  readonly family: 4 | 6;
  /** The bits that its addresses share, as "0" and "1". */
  readonly prefix: string;
}

/** A person's text as a network, or undefined. Bits behind the prefix do not count: `10.1.2.3/8` is `10.0.0.0/8`. */
export function parseNetwork(text: string): Network | undefined {
  const [, addressText = "", lengthText] = /^([^/]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const parsed = parseAddress(addressText);
  if (parsed === undefined) return undefined;
  const address = withoutZone(parsed);
  const width = isIPv6(address) ? 128 : 32;
  // The IPv4 address of `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
  const mapped = addressText.includes(":") && width === 32 ? 96 : 0;
  const length = lengthText === undefined ? width : Number(lengthText) - mapped;
  return length < 0 || length > width ? undefined : networkOf(address, length);
}

/** The network that has the first `length` bits of an address; without `length`, the address alone. */
export function networkOf(address: Address, length = isIPv6(address) ? 128 : 32): Network {
  const bits = bitsOf(address);
  const prefix = bits.slice(0, length);
  const isOne = length === bits.length;
  const text = isOne ? withoutZone(address) : `${addressOf(prefix.padEnd(bits.length, "0"))}/${length}`;
  return { text, family: isIPv6(address) ? 6 : 4, prefix };
}

/** Whether an address is in a network. */
export function isIn(address: Address, { family, prefix }: Network): boolean {
  return isIPv6(address) === (family === 6) && bitsOf(address).startsWith(prefix);
}

function addressOf(bits: string): Address | undefined {
  const width = bits.length === 128 ? 16 : 8;
  const numbers = Array.from({ length: bits.length / width }, (_, i) =>
    Number.parseInt(bits.slice(i * width).slice(0, width), 2),
  );
  return parseAddress(width === 8 ? numbers.join(".") : numbers.map((number) => number.toString(16)).join(":"));
}

/** Values by networks. */
export class NetworkTable<Value> {
  readonly #values = new Map<string, Value>();
  /** The lengths of the prefixes that have been in the table. There are few. */
  readonly #lengths = { 4: new Set<number>(), 6: new Set<number>() };

  set({ family, prefix }: Network, value: Value): void {
    this.#lengths[family].add(prefix.length);
    this.#values.set(`${family} ${prefix}`, value);
  }

  /** Removes the value of a network, and gives it. */
  take({ family, prefix }: Network): Value | undefined {
    const key = `${family} ${prefix}`;
    const value = this.#values.get(key);
    this.#values.delete(key);
    return value;
  }

  /** The values of all networks that an address is in. */
  of(address: Address): Value[] {
    const family = isIPv6(address) ? 6 : 4;
    const lengths = [...this.#lengths[family]];
    const bits = lengths.length === 0 ? "" : bitsOf(address);
    const found = lengths.map((length) => this.#values.get(`${family} ${bits.slice(0, length)}`));
    return found.filter((value) => value !== undefined);
  }
}
