// This machine's interfaces, as several kinds of machines show theirs, and which addresses others can type.

import { describe, expect, test } from "bun:test";
import {
  dialableFrom,
  type Interface,
  interfaces,
  likelyAddresses,
  type RawInterfaces,
  routedAddress,
  watchInterfaces,
  zoneFor,
} from "../../lib/net/interfaces.ts";
import { type Address, isHostAddress } from "../../lib/protocol/address.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";
import { Lan } from "../helpers/lan.ts";

/** What a system shows of one address. */
function shown(
  cidr: string,
  scopeid = 0,
): { address: string; family: string; internal: boolean; cidr: string; scopeid: number } {
  const [address = ""] = cidr.split("/");
  const internal = address.startsWith("127.") || address === "::1";
  return { address, family: address.includes(":") ? "IPv6" : "IPv4", internal, cidr, scopeid };
}

const LINUX: RawInterfaces = {
  lo: [shown("127.0.0.1/8"), shown("::1/128")],
  docker0: [shown("172.17.0.1/16"), shown("fe80::42:1/64", 4)],
  "br-0a1b2c3d4e5f": [shown("172.18.0.1/16")],
  veth12ab: [shown("fe80::12/64", 6)],
  wg0: [shown("10.8.0.2/24")],
  tailscale0: [shown("100.101.102.103/32"), shown("fd7a:115c:a1e0::1/128")],
  wlan0: [shown("169.254.7.7/16"), shown("192.168.1.17/24"), shown("2001:db8:1::17/64"), shown("fe80::17/64", 3)],
  eth0: [shown("10.0.0.5/8"), shown("fd00::5/64"), shown("fe80::5/64", 2)],
};

const WINDOWS: RawInterfaces = {
  "vEthernet (Default Switch)": [shown("fe80::1111/64", 33), shown("172.29.0.1/20")],
  "vEthernet (External)": [shown("fe80::2222/64", 12), shown("192.168.0.20/24")],
  "VMware Network Adapter VMnet8": [shown("192.168.77.1/24")],
  "VirtualBox Host-Only Network": [shown("192.168.56.1/24")],
  "Wi-Fi": [shown("fe80::3333/64", 7), shown("192.168.0.21/24")],
  "Loopback Pseudo-Interface 1": [shown("::1/128"), shown("127.0.0.1/8")],
};

const MACOS: RawInterfaces = {
  lo0: [shown("127.0.0.1/8"), shown("::1/128"), shown("fe80::1/64", 1)],
  en0: [shown("fe80::aa/64", 11), shown("192.168.1.5/24")],
  awdl0: [shown("fe80::bb/64", 13)],
  bridge100: [shown("192.168.64.1/24")],
  utun3: [shown("10.9.0.3/32")],
  en7: [shown("203.0.113.77/24")],
};

const of = (raw: RawInterfaces) => () => interfaces(() => raw);

/** The addresses to type, when the default route is that of these. */
function typed(raw: RawInterfaces, ...main: string[]): Promise<string[]> {
  const routed = async (family: 4 | 6): Promise<Address | undefined> =>
    main.map(addressOf).find((address) => address.includes(":") === (family === 6));
  return likelyAddresses(of(raw), routed);
}

describe("the interfaces", () => {
  test("are told apart by their names: real, made by software, tunnels, loopback", () => {
    const kinds = (raw: RawInterfaces) =>
      Object.fromEntries(
        of(raw)().map(({ name, loopback, virtual, tunnel }) => [
          name,
          loopback ? "loopback" : tunnel ? "tunnel" : virtual ? "virtual" : "real",
        ]),
      );
    expect(kinds(LINUX)).toEqual({
      lo: "loopback",
      docker0: "virtual",
      "br-0a1b2c3d4e5f": "virtual",
      veth12ab: "virtual",
      wg0: "tunnel",
      tailscale0: "tunnel",
      wlan0: "real",
      eth0: "real",
    });
    expect(kinds(WINDOWS)).toEqual({
      "vEthernet (Default Switch)": "virtual",
      "vEthernet (External)": "virtual",
      "VMware Network Adapter VMnet8": "virtual",
      "VirtualBox Host-Only Network": "virtual",
      "Wi-Fi": "real",
      "Loopback Pseudo-Interface 1": "loopback",
    });
    expect(kinds(MACOS)).toEqual({
      lo0: "loopback",
      en0: "real",
      awdl0: "virtual",
      bridge100: "virtual",
      utun3: "tunnel",
      en7: "real",
    });
    // Routers and servers name the bridge that is their LAN.
    const lan = { "br-lan": [shown("192.168.1.1/24")], br0: [shown("10.0.0.1/8")], vmbr0: [shown("10.1.0.1/16")] };
    expect(kinds(lan)).toEqual({ "br-lan": "real", br0: "real", vmbr0: "real" });
  });

  test("have addresses in their one form, without zones, with prefix and scope", () => {
    const raw = {
      eth0: [shown("FE80:0::5%eth0/64", 2), shown("169.254.1.1/16"), shown("::ffff:10.0.0.5/104"), shown("fd00::/8")],
    };
    expect(of(raw)().flatMap(({ addresses }) => addresses)).toEqual([
      { address: addressOf("fe80::5"), family: 6, linkLocal: true, prefix: 64, scope: 2 },
      { address: addressOf("169.254.1.1"), family: 4, linkLocal: true, prefix: 16, scope: 0 },
      { address: addressOf("10.0.0.5"), family: 4, linkLocal: false, prefix: 32, scope: 0 },
      { address: addressOf("fd00::"), family: 6, linkLocal: false, prefix: 8, scope: 0 },
    ]);
  });

  test("that cannot be read are left out, without harm to the others", () => {
    const broken: RawInterfaces = {
      none: undefined,
      empty: [],
      odd: [{ address: "what", family: "IPv9", internal: false, cidr: null }],
      eth0: [{ address: "10.0.0.5", family: "IPv4", internal: false, cidr: null }, shown("x/8")],
    };
    expect(of(broken)().map(({ name, addresses }) => [name, addresses.length, addresses[0]?.prefix])).toEqual([
      ["eth0", 1, 32],
    ]);
    const refused = () => {
      throw new Error("EACCES");
    };
    expect(interfaces(refused)).toEqual([]);
  });

  test("of this machine can be read", () => {
    for (const { name, addresses } of interfaces()) {
      expect(name).not.toBe("");
      expect(addresses.length).toBeGreaterThan(0);
    }
  });
});

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
      const { likelyAddresses, routedAddress } = await import(${JSON.stringify(`${import.meta.dir}/../../lib/net/interfaces.ts`)});
      console.log(JSON.stringify([await routedAddress(4), await routedAddress(6), await likelyAddresses()]));`;
    const look = (gateway?: string) =>
      JSON.parse(lan.host(plugs, gateway === undefined ? {} : { gateway }).run(process.execPath, "-e", script));
    expect(look()).toEqual([null, null, ["10.1.0.5", "10.2.0.5", "fd02::5"]]);
    expect(look("10.2.0.1")).toEqual(["10.2.0.5", null, ["10.2.0.5", "10.1.0.5", "fd02::5"]]);
  });
});

describe("the zone of a link-local address", () => {
  const FAR = addressOf("fe80::77");

  test("is the one of the interface by which it is dialled; its number on Windows", () => {
    for (const [local, networks, platform, zone] of [
      ["fe80::5", LINUX, "linux", "eth0"],
      ["fe80::5%lost", LINUX, "linux", "eth0"],
      ["fe80::aa", MACOS, "darwin", "en0"],
      ["fe80::3333", WINDOWS, "win32", "7"],
    ] as const) {
      expect(dialableFrom(addressOf(local), FAR, { networks: of(networks), platform })).toBe(`fe80::77%${zone}`);
    }
  });

  test("is nothing where no interface has the near end, for other addresses, and where there is one already", () => {
    const asked = { networks: of(LINUX), platform: "linux" as const };
    for (const local of ["fe80::99", "2001:db8::99", "10.99.0.5"]) expect(dialableFrom(addressOf(local), FAR, asked)).toBe(FAR);
    for (const address of ["fd00::5", "10.0.0.5", "169.254.7.7", "::1", "127.0.0.1", "fe80::77%wlan0"]) {
      expect(dialableFrom(addressOf("fe80::5"), addressOf(address), asked)).toBe(address);
    }
  });

  test("is nothing where Windows tells no number", () => {
    const [only] = of({ "Wi-Fi": [shown("fe80::1/64")] })();
    expect(only && zoneFor(only, "win32")).toBe("");
  });
});

describe("watching the interfaces", () => {
  /** A machine whose interfaces change, and what was told of them. */
  class Machine {
    readonly clock = new HandClock();
    readonly told: Interface[][] = [];
    raw: RawInterfaces = { eth0: [shown("10.0.0.5/8"), shown("fd00::5/64")], lo: [shown("127.0.0.1/8")] };
    readonly stop = watchInterfaces((now) => this.told.push(now), {
      everyMs: 1000,
      clock: this.clock,
      networks: () => interfaces(() => this.raw),
    });
  }

  test("tells nothing while nothing changes, in whatever order the system shows it", async () => {
    const machine = new Machine();
    await machine.clock.pass(10_000);
    machine.raw = { lo: [shown("127.0.0.1/8")], eth0: [shown("fd00::5/64"), shown("10.0.0.5/8")] };
    await machine.clock.pass(10_000);
    expect(machine.told).toEqual([]);
  });

  test("tells of an address that comes, changes, moves to another interface, and goes", async () => {
    const machine = new Machine();
    const pictures: RawInterfaces[] = [
      { ...machine.raw, wlan0: [shown("192.168.1.17/24")] },
      { ...machine.raw, wlan0: [shown("192.168.1.18/24")] },
      { ...machine.raw, wlan1: [shown("192.168.1.18/24")] },
      machine.raw,
    ];
    for (const picture of pictures) {
      machine.raw = picture;
      await machine.clock.pass(3000);
    }
    expect(machine.told).toEqual(pictures.map((picture) => interfaces(() => picture)));
  });

  test("tells when the machine slept, though it has the same addresses", async () => {
    const machine = new Machine();
    // The timer that was to act after a second does so an hour later.
    const clock = machine.clock;
    const at = clock.at.bind(clock);
    await clock.pass(1500);
    clock.at = () => at() + 3_600_000;
    await clock.pass(5000);
    expect(machine.told.length).toBe(1);
  });

  test("ends when it is stopped, by what is told too", async () => {
    const machine = new Machine();
    machine.stop();
    machine.raw = {};
    await machine.clock.pass(10_000);
    expect(machine.told).toEqual([]);
    expect(machine.clock.untilNext).toBe(Number.POSITIVE_INFINITY);

    const clock = new HandClock();
    let calls = 0;
    const stop = watchInterfaces(() => stop(), {
      everyMs: 1000,
      clock,
      networks: () => interfaces(() => ({ eth0: [shown(`10.0.0.${++calls}/8`)] })),
    });
    await clock.pass(10_000);
    expect(calls).toBe(2);
    expect(clock.untilNext).toBe(Number.POSITIVE_INFINITY);
  });

  test("does not keep the program running", async () => {
    const script = `
      const { watchInterfaces } = await import(${JSON.stringify(`${import.meta.dir}/../../lib/net/interfaces.ts`)});
      watchInterfaces(() => {}, { everyMs: 600_000 });`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "ignore", stderr: "inherit", timeout: 55_000 });
    expect(await child.exited).toBe(0);
  });
});
