// Sockets of multicast DNS: whose packets they take, and what is said when they cannot be used.

import { describe, expect, test } from "bun:test";
import { bindAddress, multicastReason } from "../../lib/net/mdns.ts";
import { addressOf } from "../helpers/channel.ts";
import { DiscoveryLan, impossible, NOTHING_MS, one, unfiltered } from "../helpers/discovery.ts";
import type { Host } from "../helpers/lan.ts";

describe.skipIf(impossible !== undefined)("multicast DNS on a LAN", () => {
  test("an interface hears only of addresses that are its own", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const [wire, inside] = [lan.switch(), lan.switch()];
    const tracker = lan.host({
      docker0: { to: inside, addresses: ["172.17.0.1/16"] },
      eth0: { to: wire, addresses: ["10.1.0.1/24"] },
    });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    const container = lan.host({ eth0: { to: inside, addresses: ["172.17.0.2/16"] } });
    await house.announce(tracker, {}, ["eth0 (IPv4)", "docker0 (IPv4)"]);
    const [outer, inner] = await Promise.all([house.find(peer), house.find(container)]);
    const own = await house.findUntil(tracker, ({ trackers }) => trackers[0]?.addresses.length === 4);
    expect<string[]>(one(outer).addresses).toEqual(["10.1.0.1"]);
    expect<string[]>(one(inner).addresses).toEqual(["172.17.0.1"]);
    // On its own machine it is one tracker, though it is heard three times.
    expect(one(own).addresses.toSorted()).toEqual(["10.1.0.1", "127.0.0.1", "172.17.0.1", "::1"].map(addressOf));
    expect(one(own).addresses.slice(-2)).toEqual(["127.0.0.1", "::1"].map(addressOf));
  });

  test("a packet to this machine alone goes to the program that had the port before", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const [host, peer] = [1, 2].map((n) => lan.host({ eth0: { to: wire, addresses: [`10.1.0.${n}/24`] } })) as [Host, Host];
    const before = house.script(
      host,
      `const { createSocket } = await import("node:dgram");
       const socket = createSocket({ type: "udp4", reuseAddr: true });
       socket.on("message", (bytes) => console.log("got " + bytes));
       socket.bind(5353, "0.0.0.0", () => console.log("ready"));`,
    );
    await before.waitFor(/ready/);
    await house.announce(host, {}, ["eth0 (IPv4)"]);
    const script = `const { createSocket } = await import("node:dgram");
      const socket = createSocket("udp4");
      socket.send("mail", 5353, "10.1.0.1", () => socket.close());`;
    expect(await house.script(peer, script).exited).toBe(0);
    await before.waitFor(/got mail/);
  });

  test("another program that keeps the port to itself is told; nothing fails, and questions go out from another port", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const host = lan.host({ eth0: { to: lan.switch(), addresses: ["10.1.0.1/24", "fd01::1/64"] } });
    const holder = house.script(
      host,
      `const { createSocket } = await import("node:dgram");
       createSocket("udp4").bind(5353, "0.0.0.0", () => console.log("holds"));`,
    );
    await holder.waitFor(/holds/);
    const sentence = "Cannot use eth0 (IPv4) to find others: another program keeps UDP port 5353 to itself.";
    // The other family is not its.
    const program = await house.announce(host, {}, ["eth0 (IPv6)"]);
    expect(program.out).toContain(sentence);
    const found = await house.find(host);
    // From a free port it can ask all the same.
    expect([found.asked.sort(), found.trackers.length]).toEqual([["eth0 (IPv4)", "eth0 (IPv6)"], 1]);
    expect(found.problems).toContain(sentence);
    const lone = lan.host({ eth0: { to: lan.switch(), addresses: ["10.1.0.1/24"] } });
    const other = house.script(
      lone,
      `const { createSocket } = await import("node:dgram");
       createSocket("udp4").bind(5353, "0.0.0.0", () => console.log("holds"));`,
    );
    await other.waitFor(/holds/);
    const nothing = await house.find(lone, NOTHING_MS);
    expect([nothing.asked, nothing.trackers, nothing.problems.length]).toEqual([["eth0 (IPv4)"], [], 2]);
  });

  test.skipIf(unfiltered !== undefined)(
    "a firewall of this machine that lets nothing out is told; the announcement comes through once it is gone",
    async () => {
      await using house = new DiscoveryLan();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
      for (const host of [tracker, peer]) host.drop({ protocol: "udp", port: 5353, way: "out" });
      const program = await house.announce(tracker, { host: "10.1.0.1" }, ["eth0 (IPv4)"]);
      const sentence = "Cannot use eth0 (IPv4) to find others: this system refuses UDP port 5353; allow it in its firewall.";
      expect(program.out).toContain(sentence);
      const mute = await house.find(peer, NOTHING_MS);
      expect([mute.trackers, mute.echo]).toEqual([[], false]);
      expect(mute.problems).toContain(sentence);
      for (const host of [tracker, peer]) host.dropNothing();
      expect((await house.find(peer)).problems).toEqual([]);
      expect(one(await house.find(peer)).name).toBe("lab");
      await program.waitFor(/"problems":\[\]/);
    },
  );
});

describe("multicastReason", () => {
  const told = (code: string, platform: string) => multicastReason(Object.assign(new Error("send"), { code }), platform);

  test("names the permission of macOS, which no other system has", () => {
    expect(told("EHOSTUNREACH", "darwin")).toBe(
      "macOS keeps this program from the network; allow your terminal in System Settings, Privacy & Security, Local Network",
    );
    expect(told("EHOSTUNREACH", "linux")).toBe("it carries no multicast now");
    expect(told("ENETUNREACH", "darwin")).toBe("it carries no multicast now");
  });
});

describe("bindAddress", () => {
  const network = {
    name: "Ethernet 2",
    virtual: false,
    tunnel: false,
    loopback: false,
    addresses: [
      { address: addressOf("169.254.7.7"), family: 4 as const, prefix: 16, linkLocal: true, scope: 0 },
      { address: addressOf("10.1.0.7"), family: 4 as const, prefix: 24, linkLocal: false, scope: 0 },
      { address: addressOf("fe80::7"), family: 6 as const, prefix: 64, linkLocal: true, scope: 7 },
    ],
  };
  const bound = (family: 4 | 6, port: "mdns" | "free", platform: string) =>
    bindAddress({ network, family, addresses: [] }, port, platform);

  test("is the interface's own on Windows, the group on Linux, and every address elsewhere", () => {
    expect(bound(4, "mdns", "win32")).toBe("10.1.0.7");
    expect(bound(4, "mdns", "linux")).toBe("224.0.0.251");
    expect(bound(4, "mdns", "darwin")).toBe("0.0.0.0");
    expect(bound(6, "mdns", "linux")).toBe("ff02::fb%Ethernet 2");
    expect(bound(6, "mdns", "win32")).toBe("::");
  });

  test("is the interface's own for a free port, which takes no packets of others", () => {
    for (const platform of ["linux", "darwin", "win32"]) {
      expect(bound(4, "free", platform)).toBe("10.1.0.7");
      expect(bound(6, "free", platform)).toBe("::");
    }
  });
});
