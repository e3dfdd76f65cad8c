// Looking for trackers: what is made of what is heard, and searches on LANs of several kinds and among strangers.

import { describe, expect, test } from "bun:test";
import { type Announced, findTrackers, type Sighting, Sightings } from "../../../lib/peer/locate/look.ts";
import { byteLength } from "../../../lib/text.ts";
import { addressOf } from "../../helpers/channel.ts";
import { DiscoveryLan, impossible, LIAR, NOTHING_MS, one, PATIENCE_MS, unfiltered } from "../../helpers/discovery.ts";

describe("what is heard of trackers", () => {
  const SERVICE = "_filetracker._tcp.local";
  const KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  const sighting = (more: Partial<Sighting> = {}): Sighting => ({
    fqdn: `lab.${SERVICE}`,
    port: 1234,
    addresses: [],
    txt: { id: "a1", version: "1.0.0", key: KEY },
    ...more,
  });
  const heard = (sightings: Sightings): Announced[] => sightings.trackers;

  test("is one tracker, by whatever interfaces it comes: first where it came from, IPv4 first, then what it says", () => {
    const sightings = new Sightings();
    const addresses = ["10.0.0.7", "fd00::7", "FE80:0::7"];
    expect(sightings.hear(sighting({ addresses }), addressOf("fe80::7"), "eth0")).toBe(true);
    sightings.hear(sighting({ addresses: ["10.0.0.7", "10.9.9.9"] }), addressOf("10.0.0.7"), "eth0");
    sightings.hear(sighting({ fqdn: `lab (2).${SERVICE}` }), addressOf("192.168.1.7"), "wlan0");
    expect(heard(sightings)).toEqual([
      {
        name: "lab",
        version: "1.0.0",
        key: KEY,
        port: 1234,
        addresses: ["10.0.0.7", "192.168.1.7", "fd00::7", "fe80::7%eth0", "10.9.9.9"].map(addressOf),
      },
    ]);
  });

  test("is two trackers, if two have one name", () => {
    const sightings = new Sightings();
    sightings.hear(sighting({ txt: { id: "a1" } }), addressOf("10.0.0.7"), "eth0");
    sightings.hear(sighting({ txt: { id: "b2" } }), addressOf("10.0.0.8"), "eth0");
    expect(heard(sightings).map(({ name, version, addresses }) => [name, version, addresses.join()])).toEqual([
      ["lab", "", "10.0.0.7"],
      ["lab", "", "10.0.0.8"],
    ]);
  });

  test("is told apart by name and port, if there is no id", () => {
    const sightings = new Sightings();
    for (const txt of [undefined, null, "id=1", { id: undefined }, { id: "no words" }, { id: 5 }]) {
      sightings.hear(sighting({ txt }), addressOf("10.0.0.7"), "eth0");
    }
    sightings.hear(sighting({ txt: {}, port: 1235 }), addressOf("10.0.0.7"), "eth0");
    expect(heard(sightings).map(({ port }) => port)).toEqual([1234, 1235]);
  });

  test("has loopback last, and only if it comes from this machine", () => {
    const own = [addressOf("10.0.0.5"), addressOf("127.0.0.1")];
    const addresses = ["127.0.0.1", "::1", "10.0.0.5"];
    for (const [from, expected] of [
      ["10.0.0.5", ["10.0.0.5", "127.0.0.1", "::1"]],
      ["127.0.0.1", ["10.0.0.5", "127.0.0.1", "::1"]],
      ["10.0.0.9", ["10.0.0.9", "10.0.0.5"]],
    ] as const) {
      const sightings = new Sightings(own);
      sightings.hear(sighting({ addresses }), addressOf(from), "eth0");
      expect(heard(sightings)[0]?.addresses).toEqual(expected.map(addressOf));
    }
  });

  test("has no addresses that are not a host's, none of one link without its zone, and no more than eight", () => {
    const sightings = new Sightings();
    const bad = ["0.0.0.0", "224.0.0.251", "255.255.255.255", "::", "ff02::fb", "what", "10.0.0.1:80", "", "fe80::1"];
    sightings.hear(sighting({ addresses: bad.slice(0, 8) }), addressOf("10.0.0.7"), "");
    sightings.hear(sighting({ addresses: bad.slice(8) }), addressOf("10.0.0.7"), "");
    expect(heard(sightings)[0]?.addresses).toEqual([addressOf("10.0.0.7")]);
    for (let i = 1; i < 99; i++) sightings.hear(sighting({ addresses: [`10.1.1.${i}`] }), addressOf(`10.2.2.${i}`), "");
    expect(heard(sightings)[0]?.addresses.length).toBe(8);
  });

  test("is ignored, if its port or its name is impossible", () => {
    const sightings = new Sightings();
    const impossible: Partial<Sighting>[] = [
      ...[0, -1, 65_536, 1.5, Number.NaN].map((port) => ({ port })),
      ...["", "lab", SERVICE, `lab._http._tcp.local`, `lab.${SERVICE}.x`].map((fqdn) => ({ fqdn })),
    ];
    for (const one of impossible) expect(sightings.hear(sighting(one), addressOf("10.0.0.7"), "")).toBe(false);
    expect(sightings.hear(sighting(), addressOf("0.0.0.0"), "")).toBe(false);
    expect(heard(sightings)).toEqual([]);
  });

  test("is bounded: names of 63 bytes, versions of 32, 32 trackers", () => {
    const sightings = new Sightings();
    const long = { id: "x", version: "9".repeat(33) };
    sightings.hear(sighting({ fqdn: `${"ü".repeat(60)}.a.b.${SERVICE}`, txt: long }), addressOf("10.0.0.7"), "");
    expect(heard(sightings)[0]?.name).toBe("ü".repeat(31));
    expect(heard(sightings)[0]?.version).toBe("");
    // One machine does not hide the others behind made-up names.
    for (let i = 0; i < 100; i++) sightings.hear(sighting({ txt: { id: `n${i}` } }), addressOf("10.0.0.7"), "");
    expect(heard(sightings).length).toBe(8);
    for (let i = 0; i < 100; i++) sightings.hear(sighting({ txt: { id: `m${i}` } }), addressOf(`10.0.1.${i}`), "");
    expect(heard(sightings).length).toBe(32);
    // Those that are known are still listened to.
    expect(sightings.hear(sighting({ txt: { id: "n0" } }), addressOf("10.0.0.8"), "")).toBe(true);
    expect(sightings.hear(sighting({ txt: { id: "new" } }), addressOf("10.0.0.8"), "")).toBe(false);
  });
});

describe("looking for trackers", () => {
  test("on a machine without any interface finds nothing, at once", async () => {
    const found = await findTrackers({ patienceMs: PATIENCE_MS, networks: () => [] });
    expect(found).toEqual({ trackers: [], asked: [], problems: [], echo: false });
  });

  test("that was called off before it began asks nobody", async () => {
    const found = await findTrackers({ patienceMs: PATIENCE_MS, signal: AbortSignal.abort() });
    expect(found).toEqual({ trackers: [], asked: [], problems: [], echo: false });
  });
});

describe.skipIf(impossible !== undefined)("looking on a LAN", () => {
  test("a tracker is found through every network that both are on, without a default route, and its address on each comes first", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const [near, far] = [lan.switch(), lan.switch()];
    const tracker = lan.host({
      eth0: { to: near, addresses: ["10.1.0.1/24"] },
      eth1: { to: far, addresses: ["10.2.0.1/24", "fd02::1/64"] },
    });
    const peer = lan.host({ eth0: { to: near, addresses: ["10.1.0.2/24"] }, wlan0: { to: far, addresses: ["fd02::2/64"] } });
    await house.announce(tracker, {}, ["eth0 (IPv4)", "eth1 (IPv4)", "eth1 (IPv6)"]);
    const found = await house.findUntil(peer, ({ trackers }) => trackers[0]?.addresses.length === 4);
    const { name, version, port, addresses } = one(found);
    expect([name, version, port]).toEqual(["lab", "1.2.3", 1234]);
    expect<string[]>(addresses).toEqual(["10.1.0.1", "fd02::1", `${tracker.linkLocal("eth1")}%wlan0`, "10.2.0.1"]);
    expect(found.asked.toSorted()).toEqual(["eth0 (IPv4)", "wlan0 (IPv6)"]);
    expect([found.problems, found.echo, found.open]).toEqual([[], true, 0]);
  });

  test.skipIf(unfiltered !== undefined)(
    "a tracker is found behind a firewall that lets in only answers to what was sent, on each of two networks",
    async () => {
      await using house = new DiscoveryLan();
      const { lan } = house;
      const [near, far] = [lan.switch(), lan.switch()];
      const peer = lan.host({
        eth0: { to: near, addresses: ["10.1.0.2/24"] },
        eth1: { to: far, addresses: ["10.2.0.2/24"] },
      });
      for (const [wire, address, name] of [
        [near, "10.1.0.1", "near"],
        [far, "10.2.0.1", "far"],
      ] as const) {
        const tracker = lan.host({ eth0: { to: wire, addresses: [`${address}/24`] } });
        await house.announce(tracker, { name }, ["eth0 (IPv4)"]);
      }
      peer.letInAnswersOnly();
      const found = await house.findUntil(peer, ({ trackers }) => trackers.length === 2);
      expect(found.trackers.map(({ name, port }) => `${name} ${port}`).sort()).toEqual(["far 1234", "near 1234"]);
      expect(found.trackers.map(({ version }) => version)).toEqual(["1.2.3", "1.2.3"]);
    },
  );

  test("a tracker is found where there is only IPv6", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["fd01::1/64"] } });
    const peer = lan.host({ enp3s0: { to: wire, ipv6: true } });
    await house.announce(tracker, {}, ["eth0 (IPv6)"]);
    const found = await house.find(peer);
    expect<string[]>(one(found).addresses).toEqual(["fd01::1", `${tracker.linkLocal("eth0")}%enp3s0`]);
    expect(found.echo).toBe(true);
  });

  test("a tracker on a machine without a network is found there, and not taken for an echo of the LAN", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const host = lan.host();
    await house.announce(host, {}, ["lo (IPv4)"]);
    const found = await house.find(host);
    expect<string[]>(one(found).addresses).toEqual(["127.0.0.1", "::1"]);
    expect([found.asked, found.problems, found.echo]).toEqual([[], [], false]);
  });

  test("looking that is called off gives what was found, and leaves nothing open", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const host = lan.host({ eth0: { to: lan.switch(), addresses: ["10.1.0.1/24"] } });
    const found = await house.find(host, PATIENCE_MS, 200);
    expect([found.trackers, found.open]).toEqual([[], 0]);
  });

  test.skipIf(unfiltered !== undefined)(
    "behind a firewall of this machine that lets nothing in, our own question does not come back either",
    async () => {
      await using house = new DiscoveryLan();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24", "fd01::2/64"] } });
      await house.announce(tracker, {}, ["eth0 (IPv4)"]);
      peer.drop({ protocol: "udp", port: "all" });
      const deaf = await house.find(peer, NOTHING_MS);
      expect([deaf.trackers, deaf.echo, deaf.problems]).toEqual([[], false, []]);
      peer.dropNothing();
      const found = await house.find(peer);
      expect([found.trackers.length, found.echo]).toEqual([1, true]);
    },
  );

  test("among strangers that send rubbish and lies, the tracker is found, and the rest is bounded", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    const liar = lan.host({ eth0: { to: wire, addresses: ["10.1.0.66/24"] } });
    const program = await house.announce(tracker, {}, ["eth0 (IPv4)"]);
    const lies = house.script(liar, LIAR);
    await lies.waitFor(/ready/);
    const named = (name: string) => (tracker: Announced) => tracker.name === name;
    const found = await house.findUntil(peer, ({ trackers }) => trackers.some(named("lab")) && trackers.some(named("trap")));
    lies.kill();
    await lies.exited;
    expect(found.trackers.map(({ name }) => name)).not.toContain("huge");
    expect(found.trackers.map(({ name }) => name)).not.toContain("astray");
    expect(found.trackers.length).toBeLessThanOrEqual(32);
    for (const { name, port, addresses } of found.trackers) {
      expect(byteLength(name)).toBeLessThanOrEqual(63);
      expect(port).toBeWithin(1, 65_536);
      expect(addresses[0]).toBe(addressOf(name === "lab" ? "10.1.0.1" : "10.1.0.66"));
      for (const address of addresses) expect<string>(address).not.toMatch(/^(?:127|224|0)\.|^::1$/);
    }
    // Nor did it harm the tracker.
    const names = (await house.find(peer)).trackers.map(({ name }) => name);
    expect(names).toEqual(["lab"]);
    expect(program.err).toBe("");
  });
});
