// Which of a machine's addresses others can type, on several kinds of machines.

import { describe, expect, test } from "bun:test";
import { interfaces, type RawInterfaces, routedAddress } from "../../../lib/net/interfaces.ts";
import { type Address, isHostAddress } from "../../../lib/protocol/address.ts";
import { likelyAddresses } from "../../../lib/tracker/system/likely-addresses.ts";
import { addressOf } from "../../helpers/channel.ts";
import { Lan } from "../../helpers/lan.ts";
import { LINUX, MACOS, of, shown, WINDOWS } from "../../helpers/machines.ts";

/** The addresses to type, when the default route is that of these. */
function typed(raw: RawInterfaces, ...main: string[]): Promise<string[]> {
  const routed = async (family: 4 | 6): Promise<Address | undefined> =>
    main.map(addressOf).find((address) => address.includes(":") === (family === 6));
  return likelyAddresses(of(raw), routed);
}

describe("the addresses to type", () => {
  test("begin with that of the default route, then come private ones, then virtual ones, then IPv6, then what nobody wants", async () => {
    expect(await typed(LINUX, "192.168.1.17", "2001:db8:1::17")).toEqual([
      "192.168.1.17",
      "10.0.0.5",
      "172.17.0.1",
      "172.18.0.1",
      "10.8.0.2",
      "100.101.102.103",
      "2001:db8:1::17",
      "fd00::5",
      "fd7a:115c:a1e0::1",
      "169.254.7.7",
    ]);
  });

  test("do without any default route", async () => {
    expect((await typed(LINUX)).slice(0, 3)).toEqual(["192.168.1.17", "10.0.0.5", "172.17.0.1"]);
  });

  test("do not begin with a tunnel that takes all traffic", async () => {
    const addresses = await typed(LINUX, "10.8.0.2");
    expect(addresses[0]).toBe("192.168.1.17");
    expect(addresses).toContain("10.8.0.2");
  });

  test("begin with a virtual switch that holds the default route: it stands before the network card", async () => {
    expect((await typed(WINDOWS, "192.168.0.20")).slice(0, 2)).toEqual(["192.168.0.20", "192.168.0.21"]);
  });

  test("have private addresses before public ones", async () => {
    expect(await typed(MACOS)).toEqual(["192.168.1.5", "203.0.113.77", "192.168.64.1", "10.9.0.3"]);
  });

  test("begin with IPv6 where the default route is of IPv6 only", async () => {
    const raw = { eth0: [shown("169.254.1.1/16"), shown("fd00::5/64"), shown("2001:db8::5/64"), shown("fe80::5/64", 2)] };
    expect(await typed(raw, "2001:db8::5")).toEqual(["2001:db8::5", "fd00::5", "169.254.1.1"]);
  });

  test("are none on a machine without a network, and each is there once", async () => {
    expect(await typed({ lo: [shown("127.0.0.1/8"), shown("::1/128"), shown("10.5.5.5/32")] })).toEqual([]);
    expect(await typed({ eth0: [shown("10.0.0.5/8")], "eth0:1": [shown("10.0.0.5/8")] })).toEqual(["10.0.0.5"]);
  });

  test("of this machine are found, whatever routes it has", async () => {
    const own = interfaces().flatMap(({ addresses }) => addresses.map(({ address }) => address));
    for (const address of await likelyAddresses()) expect(own).toContain(address);
    for (const family of [4, 6] as const) {
      const routed = await routedAddress(family);
      if (routed !== undefined) expect(isHostAddress(routed)).toBe(true);
    }
  });

  const reason = Lan.possible();
  if (reason !== undefined) console.log(`Not tried, the address of the default route: ${reason}.`);
  test.skipIf(reason !== undefined)("know the address of the default route, without one too", () => {
    using lan = new Lan();
    const [near, far] = [lan.switch(), lan.switch()];
    const plugs = {
      eth0: { to: near, addresses: ["10.1.0.5/24"] },
      eth1: { to: far, addresses: ["10.2.0.5/24", "fd02::5/64"] },
    };
    const script = `
      const { routedAddress } = await import(${JSON.stringify(`${import.meta.dir}/../../../lib/net/interfaces.ts`)});
      const { likelyAddresses } = await import(${JSON.stringify(`${import.meta.dir}/../../../lib/tracker/system/likely-addresses.ts`)});
      console.log(JSON.stringify([await routedAddress(4), await routedAddress(6), await likelyAddresses()]));`;
    const look = (gateway?: string) =>
      JSON.parse(lan.host(plugs, gateway === undefined ? {} : { gateway }).run(process.execPath, "-e", script));
    expect(look()).toEqual([null, null, ["10.1.0.5", "10.2.0.5", "fd02::5"]]);
    expect(look("10.2.0.1")).toEqual(["10.2.0.5", null, ["10.2.0.5", "10.1.0.5", "fd02::5"]]);
  });
});
