// This machine's interfaces, as several kinds of machines show theirs.

import { describe, expect, test } from "bun:test";
import {
  dialableFrom,
  type Interface,
  interfaces,
  type RawInterfaces,
  watchInterfaces,
  zoneFor,
} from "../../lib/net/interfaces.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";
import { LINUX, MACOS, of, shown, WINDOWS } from "../helpers/machines.ts";

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
