import { describe, expect, test } from "bun:test";
import { isIn, NetworkTable, networkOf, parseNetwork } from "../../../lib/tracker/operator/networks.ts";
import { addressOf } from "../../helpers/channel.ts";

function network(text: string) {
  const parsed = parseNetwork(text);
  if (parsed === undefined) throw new Error(`"${text}" is no network`);
  return parsed;
}

describe("parseNetwork", () => {
  test.each([
    ["10.0.0.1", "10.0.0.1"],
    ["10.0.0.1/32", "10.0.0.1"],
    ["192.168.1.77/24", "192.168.1.0/24"],
    ["10.255.255.255/9", "10.128.0.0/9"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8:0:0:1::7/64", "2001:db8::/64"],
    ["2001:db8::7", "2001:db8::7"],
    ["2001:db8::7/128", "2001:db8::7"],
    ["2001:db8:ffff::/33", "2001:db8:8000::/33"],
    ["::/0", "::/0"],
    ["fe80::1%eth0", "fe80::1"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3/104", "10.0.0.0/8"],
    ["::ffff:a01:203/128", "10.1.2.3"],
  ])("reads %s as %s", (text, canonical) => {
    expect(network(text).text).toBe(canonical);
    expect(network(canonical)).toEqual(network(text));
  });

  test.each([
    "",
    "10.0.0",
    "10.0.0.1/",
    "10.0.0.1/33",
    "10.0.0.1/-1",
    "10.0.0.1/08",
    "10.0.0.1/8/8",
    "10.0.0.1/255.0.0.0",
    "10.0.0.*",
    "::1/129",
    "::ffff:10.0.0.1/24",
    "lab/8",
    "/8",
  ])("refuses %p", (text) => {
    expect(parseNetwork(text)).toBeUndefined();
  });
});

describe("isIn", () => {
  test.each([
    ["192.168.1.255", "192.168.1.0/24", true],
    ["192.168.2.0", "192.168.1.0/24", false],
    ["10.0.0.1", "::/0", false],
    ["::1", "0.0.0.0/0", false],
    ["2001:db8:0:0:ffff::1", "2001:db8::/64", true],
    ["2001:db8:0:1::1", "2001:db8::/64", false],
    ["fe80::1%eth0", "fe80::1", true],
  ])("%s in %s: %p", (address, range, inside) => {
    expect(isIn(addressOf(address), network(range))).toBe(inside);
  });
});

describe("NetworkTable.of", () => {
  test("finds every network of an address, of any length and family", () => {
    const table = new NetworkTable<string>();
    for (const text of ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "::/0", "2001:db8::/64"]) table.set(network(text), text);
    expect(table.of(addressOf("10.1.2.3")).toSorted()).toEqual(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3"]);
    expect(table.of(addressOf("10.2.0.1"))).toEqual(["10.0.0.0/8"]);
    expect(table.of(addressOf("11.0.0.1"))).toEqual([]);
    expect(table.of(addressOf("2001:db8::9")).toSorted()).toEqual(["2001:db8::/64", "::/0"]);
    expect(table.take(networkOf(addressOf("10.1.2.3")))).toBe("10.1.2.3");
    expect(table.take(networkOf(addressOf("10.1.2.3")))).toBeUndefined();
    expect(table.of(addressOf("10.1.2.3")).toSorted()).toEqual(["10.0.0.0/8", "10.1.0.0/16"]);
  });
});
