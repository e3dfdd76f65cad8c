// Trackers that announce themselves, and peers that look for them, on LANs of several kinds and among strangers.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { type Announced, type Found, findTrackers, type Sighting, Sightings } from "../../lib/peer/look.ts";
import { byteLength } from "../../lib/protocol/record.ts";
import { addressOf } from "../helpers/channel.ts";
import { type Host, Lan } from "../helpers/lan.ts";
import { type Program, Stage } from "../helpers/programs.ts";

setDefaultTimeout(40_000);

/** Longer than any test waits for what comes. */
const PATIENCE_MS = 15_000;
/** How long it takes to be sure that nothing comes. */
const NOTHING_MS = 1_200;

const LIB = join(import.meta.dir, "..", "..", "lib");
const ANNOUNCE = JSON.stringify(join(LIB, "tracker", "announce.ts"));
const LOOK = JSON.stringify(join(LIB, "peer", "look.ts"));

describe("what is heard of trackers", () => {
  const SERVICE = "_filetracker._tcp.local";
  const sighting = (more: Partial<Sighting> = {}): Sighting => ({
    fqdn: `lab.${SERVICE}`,
    port: 1234,
    addresses: [],
    txt: { id: "a1", version: "1.0.0" },
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

/** The processes of one test and the LAN they run on. */
class House implements AsyncDisposable {
  readonly lan = new Lan();
  readonly stage = new Stage();

  script(host: Host, text: string): Program {
    return this.stage.run(...host.command(process.execPath, "-e", text), { cwd: import.meta.dir });
  }

  /** A tracker's announcement, as soon as it stands on these links. It prints whenever something about it changes. */
  async announce(
    host: Host,
    options: { name?: string; host?: string; port?: number } = {},
    on: string[] = [],
  ): Promise<Program> {
    const program = this.script(
      host,
      `const { announce } = await import(${ANNOUNCE});
       const it = announce(${JSON.stringify({ name: "lab", port: 1234, version: "1.2.3", host: "::", ...options })});
       let last = "";
       const look = setInterval(() => {
         const now = JSON.stringify({ names: it.names, on: it.announcedOn, problems: it.problems });
         if (now !== last) console.log((last = now));
       }, 10);
       process.once("SIGTERM", async () => {
         clearInterval(look);
         await it.stop();
         console.log("stopped");
       });`,
    );
    const all = on.map((link) => `(?=[^\\n]*"${link.replace(/[()]/g, "\\$&")}")`).join("");
    if (all !== "") await program.waitFor(new RegExp(`"on":${all}`));
    return program;
  }

  /** What is found from a host, how long it took, and how many sockets of discovery are still open when it resolves. */
  async find(host: Host, patienceMs = PATIENCE_MS, abortMs?: number): Promise<Found & { ms: number; open: number }> {
    const program = this.script(
      host,
      `const { findTrackers } = await import(${LOOK});
       const { readFileSync } = await import("node:fs");
       const abort = new AbortController();
       ${abortMs === undefined ? "" : `setTimeout(() => abort.abort(), ${abortMs});`}
       const from = performance.now();
       const found = await findTrackers({ patienceMs: ${patienceMs}, signal: abort.signal });
       const ms = performance.now() - from;
       const sockets = ["udp", "udp6"].map((file) => readFileSync("/proc/self/net/" + file, "utf8").split("\\n")).flat();
       console.log(JSON.stringify({ ...found, ms, open: sockets.filter((line) => line.includes(":14E9 ")).length }));`,
    );
    expect([await program.exited, program.err]).toEqual([0, ""]);
    return JSON.parse(program.out);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage.close();
    this.lan.close();
  }
}

const impossible = Lan.possible();
const unfiltered = Lan.firewalls();
const avahi = ["avahi-daemon", "avahi-browse", "dbus-daemon", "unshare"].find((one) => Bun.which(one) === null);
if (impossible !== undefined) console.log(`Not tried, discovery on LANs of several kinds: ${impossible}.`);
else if (unfiltered !== undefined) console.log(`Not tried, discovery behind firewalls: ${unfiltered}.`);
if (avahi !== undefined) console.log(`Not tried, discovery beside the system's own DNS-SD: there is no \`${avahi}\`.`);

describe.concurrent.skipIf(impossible !== undefined)("on a LAN", () => {
  const one = (found: Found): Announced => {
    const [first] = found.trackers;
    if (first === undefined || found.trackers.length !== 1) throw new Error(`not one tracker: ${JSON.stringify(found)}`);
    return first;
  };

  test("a tracker is found through every network that both are on, without a default route, and its address on each comes first", async () => {
    await using house = new House();
    const { lan } = house;
    const [near, far] = [lan.switch(), lan.switch()];
    const tracker = lan.host({
      eth0: { to: near, addresses: ["10.1.0.1/24"] },
      eth1: { to: far, addresses: ["10.2.0.1/24", "fd02::1/64"] },
    });
    const peer = lan.host({ eth0: { to: near, addresses: ["10.1.0.2/24"] }, wlan0: { to: far, addresses: ["fd02::2/64"] } });
    await house.announce(tracker, {}, ["eth0 (IPv4)", "eth1 (IPv4)", "eth1 (IPv6)"]);
    const found = await house.find(peer);
    const { name, version, port, addresses } = one(found);
    expect([name, version, port]).toEqual(["lab", "1.2.3", 1234]);
    expect<string[]>(addresses).toEqual(["10.1.0.1", "fd02::1", `${tracker.linkLocal("eth1")}%wlan0`, "10.2.0.1"]);
    expect(found.asked.toSorted()).toEqual(["eth0 (IPv4)", "wlan0 (IPv6)"]);
    expect([found.problems, found.echo, found.open]).toEqual([[], true, 0]);
    // It did not wait for more than what follows the first.
    expect(found.ms).toBeLessThan(PATIENCE_MS / 2);
  });

  test("a tracker is found where there is only IPv6", async () => {
    await using house = new House();
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
    await using house = new House();
    const { lan } = house;
    const host = lan.host();
    await house.announce(host, {}, ["lo (IPv4)"]);
    const found = await house.find(host);
    expect<string[]>(one(found).addresses).toEqual(["127.0.0.1", "::1"]);
    expect([found.asked, found.problems, found.echo]).toEqual([[], [], false]);
  });

  test("an interface hears only of addresses that are its own", async () => {
    await using house = new House();
    const { lan } = house;
    const [wire, inside] = [lan.switch(), lan.switch()];
    const tracker = lan.host({
      docker0: { to: inside, addresses: ["172.17.0.1/16"] },
      eth0: { to: wire, addresses: ["10.1.0.1/24"] },
    });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    const container = lan.host({ eth0: { to: inside, addresses: ["172.17.0.2/16"] } });
    await house.announce(tracker, {}, ["eth0 (IPv4)", "docker0 (IPv4)"]);
    const [outer, inner, own] = await Promise.all([house.find(peer), house.find(container), house.find(tracker)]);
    expect<string[]>(one(outer).addresses).toEqual(["10.1.0.1"]);
    expect<string[]>(one(inner).addresses).toEqual(["172.17.0.1"]);
    // On its own machine it is one tracker, though it is heard three times.
    expect(one(own).addresses.toSorted()).toEqual(["10.1.0.1", "127.0.0.1", "172.17.0.1", "::1"].map(addressOf));
    expect(one(own).addresses.slice(-2)).toEqual(["127.0.0.1", "::1"].map(addressOf));
  });

  test("a tracker that listens at one address is announced only there", async () => {
    await using house = new House();
    const { lan } = house;
    const [near, far] = [lan.switch(), lan.switch()];
    const tracker = lan.host({
      eth0: { to: near, addresses: ["10.1.0.1/24", "fd01::1/64"] },
      eth1: { to: far, addresses: ["10.2.0.1/24"] },
    });
    const peer = lan.host({ eth0: { to: near, addresses: ["10.1.0.2/24", "fd01::2/64"] } });
    const other = lan.host({ eth0: { to: far, addresses: ["10.2.0.2/24"] } });
    await Promise.all([
      house.announce(tracker, { name: "near", host: "10.1.0.1" }, ["eth0 (IPv4)"]),
      house.announce(tracker, { name: "alone", host: "127.0.0.1", port: 1235 }, ["lo (IPv4)"]),
      house.announce(tracker, { name: "old", host: "0.0.0.0", port: 1236 }, ["eth0 (IPv4)", "eth1 (IPv4)", "lo (IPv4)"]),
    ]);
    const [fromNear, fromFar, own] = await Promise.all([house.find(peer), house.find(other), house.find(tracker)]);
    const told = ({ trackers }: Found) =>
      Object.fromEntries(trackers.map(({ name, addresses }) => [name, addresses.toSorted().join(" ")]));
    expect(told(fromNear)).toEqual({ near: "10.1.0.1", old: "10.1.0.1" });
    expect(told(fromFar)).toEqual({ old: "10.2.0.1" });
    expect(told(own)).toEqual({ near: "10.1.0.1", alone: "127.0.0.1", old: "10.1.0.1 10.2.0.1 127.0.0.1" });
  });

  test("a tracker that stops says goodbye and leaves nothing running; nobody finds it any more", async () => {
    await using house = new House();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    const program = await house.announce(tracker, {}, ["eth0 (IPv4)"]);
    const ear = house.script(peer, LISTENER);
    await ear.waitFor(/ready/);
    program.kill("SIGTERM");
    await program.waitFor(/stopped/);
    expect(await program.exited).toBe(0);
    // Records that nobody is to remember: the type's pointer with a lifetime of nothing.
    await ear.waitFor(/heard goodbye/);
    const found = await house.find(peer, NOTHING_MS);
    expect([found.trackers, found.echo]).toEqual([[], true]);
    expect(found.ms).toBeGreaterThan(NOTHING_MS - 50);
  });

  test("two trackers of one name are both found, under two names", async () => {
    await using house = new House();
    const { lan } = house;
    const wire = lan.switch();
    const name = `${"ü".repeat(40)}.lab`;
    const [first, second, peer] = [1, 2, 3].map((n) => lan.host({ eth0: { to: wire, addresses: [`10.1.0.${n}/24`] } })) as [
      Host,
      Host,
      Host,
    ];
    await house.announce(first, { name }, ["eth0 (IPv4)"]);
    const program = await house.announce(second, { name }, ["eth0 (IPv4)"]);
    const found = await house.find(peer);
    expect(found.trackers.map((tracker) => [tracker.addresses.join(), tracker.name]).sort()).toEqual([
      ["10.1.0.1", "ü".repeat(31)],
      ["10.1.0.2", `${"ü".repeat(29)} (2)`],
    ]);
    for (const tracker of found.trackers) expect(byteLength(tracker.name)).toBeLessThanOrEqual(63);
    expect([program.err, program.out.includes("already")]).toEqual(["", false]);
  });

  test("two trackers that took one name before they could hear each other: one gives way once they can", async () => {
    await using house = new House();
    const { lan } = house;
    const [wire, apart] = [lan.switch(), lan.switch()];
    const first = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const second = lan.host({ eth0: { to: apart, addresses: ["10.1.0.2/24"] } });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.3/24"] } });
    const ear = house.script(peer, LISTENER);
    await ear.waitFor(/ready/);
    await Promise.all([first, second].map((host) => house.announce(host, {}, ["eth0 (IPv4)"])));
    second.replug("eth0", wire);
    // Both answer who asks, and each hears the other.
    await house.find(peer);
    await ear.waitFor(/heard a second/);
    const later = await house.find(peer);
    expect(later.trackers.map(({ name }) => name).sort()).toEqual(["lab", "lab (2)"]);
  });

  test("a name in any script survives; what a domain name cannot hold is replaced", async () => {
    await using house = new House();
    const { lan } = house;
    const host = lan.host();
    await Promise.all(
      ["Größe 🏫 教室", "a.b\n..c", "\u0000.", "\ud800x", "e\u0301"].map((name, index) =>
        house.announce(host, { name, port: 2000 + index }, ["lo (IPv4)"]),
      ),
    );
    const found = await house.find(host);
    expect(found.trackers.toSorted((a, b) => a.port - b.port).map(({ name }) => name)).toEqual([
      "Größe 🏫 教室",
      "a-b --c",
      "-",
      "\ufffdx",
      "é",
    ]);
  });

  test("a tracker is announced on a network that comes later, and at an address that changes", async () => {
    await using house = new House();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host();
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.9/24", "10.3.0.9/24"] } });
    const program = await house.announce(tracker, {}, ["lo (IPv4)"]);
    tracker.plug("wlan0", { to: wire, addresses: ["10.1.0.1/24"] });
    await program.waitFor(/wlan0/);
    expect<string[]>(one(await house.find(peer)).addresses).toEqual(["10.1.0.1"]);
    tracker.readdress("wlan0", "10.3.0.1/24");
    // It lets go of the old one, and comes back.
    await program.waitFor(/"on":\["lo \(IPv4\)"\]/);
    await program.waitFor(/wlan0/);
    expect<string[]>(one(await house.find(peer)).addresses).toEqual(["10.3.0.1"]);
    tracker.link("wlan0", "down");
    await program.waitFor(/"on":\["lo \(IPv4\)"\]/);
    program.kill("SIGTERM");
    expect(await program.exited).toBe(0);
  });

  test("what is sent to this machine alone goes to the program that had the port before", async () => {
    await using house = new House();
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

  test("an announcement does not keep a program running", async () => {
    await using house = new House();
    const program = house.script(
      house.lan.host({ eth0: { to: house.lan.switch(), addresses: ["10.1.0.1/24"] } }),
      `const { announce } = await import(${ANNOUNCE});
       const it = announce({ name: "lab", port: 1234, version: "1.2.3", host: "::" });
       const look = setInterval(() => {
         if (it.announcedOn.length < 2) return;
         clearInterval(look);
         console.log("announced");
       }, 10);`,
    );
    await program.waitFor(/announced/);
    expect([await program.exited, program.err]).toEqual([0, ""]);
  });

  test("looking that is called off gives what was found, and leaves nothing open", async () => {
    await using house = new House();
    const { lan } = house;
    const host = lan.host({ eth0: { to: lan.switch(), addresses: ["10.1.0.1/24"] } });
    const found = await house.find(host, PATIENCE_MS, 200);
    expect([found.trackers, found.open]).toEqual([[], 0]);
    expect(found.ms).toBeLessThan(PATIENCE_MS / 2);
  });

  test("where another program keeps the port to itself, that is said; nothing fails, nobody waits", async () => {
    await using house = new House();
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
    expect([found.asked, found.trackers.length]).toEqual([["eth0 (IPv6)"], 1]);
    expect(found.problems).toContain(sentence);
    const lone = lan.host({ eth0: { to: lan.switch(), addresses: ["10.1.0.1/24"] } });
    const other = house.script(
      lone,
      `const { createSocket } = await import("node:dgram");
       createSocket("udp4").bind(5353, "0.0.0.0", () => console.log("holds"));`,
    );
    await other.waitFor(/holds/);
    const nothing = await house.find(lone);
    expect([nothing.asked, nothing.trackers, nothing.problems.length]).toEqual([[], [], 2]);
    expect(nothing.ms).toBeLessThan(PATIENCE_MS / 2);
  });

  describe.concurrent.skipIf(unfiltered !== undefined)("behind a firewall", () => {
    test("of this machine that lets nothing in, our own question does not come back either", async () => {
      await using house = new House();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24", "fd01::2/64"] } });
      await house.announce(tracker, {}, ["eth0 (IPv4)"]);
      peer.drop({ protocol: "udp", port: 5353 });
      const deaf = await house.find(peer, NOTHING_MS);
      expect([deaf.trackers, deaf.echo, deaf.problems]).toEqual([[], false, []]);
      peer.dropNothing();
      const found = await house.find(peer);
      expect([found.trackers.length, found.echo]).toEqual([1, true]);
    });

    test("of this machine that lets nothing out, that is said; the announcement comes through once it is gone", async () => {
      await using house = new House();
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
    });
  });

  describe.concurrent("among strangers", () => {
    test("who send rubbish and lies, the tracker is found, and the rest is bounded", async () => {
      await using house = new House();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
      const liar = lan.host({ eth0: { to: wire, addresses: ["10.1.0.66/24"] } });
      const program = await house.announce(tracker, {}, ["eth0 (IPv4)"]);
      const lies = house.script(liar, LIAR);
      await lies.waitFor(/ready/);
      const found = await house.find(peer);
      lies.kill();
      expect(found.trackers.map(({ name }) => name)).toContain("lab");
      expect(found.trackers.map(({ name }) => name)).toContain("trap");
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
      expect([program.err, found.ms < PATIENCE_MS / 2]).toEqual(["", true]);
    });

    test("who ask without end, a tracker answers a few times a second", async () => {
      await using house = new House();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const asker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
      await house.announce(tracker, {}, ["eth0 (IPv4)"]);
      const program = house.script(asker, ASKER);
      const answers = Number((await program.waitFor(/answers: (\d+) in/))[1]);
      const seconds = Number((await program.waitFor(/ (\d+) s/))[1]);
      expect(answers).toBeGreaterThan(0);
      expect(answers).toBeLessThan(60 + 25 * seconds);
      // A question with room for a thousand answers, and a tracker that still has some to give.
      expect(one(await house.find(asker)).name).toBe("lab");
    });

    test("who claim every name, a tracker gets one that is nobody else's", async () => {
      await using house = new House();
      const { lan } = house;
      const wire = lan.switch();
      const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
      const claimer = house.script(lan.host({ eth0: { to: wire, addresses: ["10.1.0.66/24"] } }), CLAIMER);
      await claimer.waitFor(/ready/);
      const program = await house.announce(tracker, { host: "10.1.0.1" }, ["eth0 (IPv4)"]);
      await program.waitFor(/$/);
      expect(program.out).toMatch(/"names":\["lab \([0-9a-f]{12}\)"\],"on":\["eth0 \(IPv4\)"\]/);
    });
  });

  test.skipIf(avahi !== undefined)("the system's own DNS-SD lists the tracker, on the same port, and both go on", async () => {
    await using house = new House();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24", "fd01::1/64"] } });
    const peer = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    await house.announce(tracker, { name: "Lab 1" }, ["eth0 (IPv4)", "eth0 (IPv6)"]);
    // On the tracker's machine and on the peer's, each with a bus and a folder of its own.
    const look = `const { findTrackers } = await import(${LOOK}); console.log("FOUND " + JSON.stringify(await findTrackers()));`;
    const programs = [tracker, peer].map((host) =>
      house.stage.run(...host.command("unshare", "-m", "sh", "-c", AVAHI, "avahi", process.execPath, "-e", look), {
        cwd: import.meta.dir,
      }),
    );
    for (const program of programs) {
      await program.exited;
      // Which of the tracker's addresses it shows is its own affair.
      expect(program.out).toMatch(
        /^=;eth0;IPv4;Lab\\0321;_filetracker\._tcp;local;filetracker-[0-9a-f]{12}\.local;(10\.1\.0\.1|f[de][0-9a-f:]+);1234;.*"version=1\.2\.3"/m,
      );
      const found = JSON.parse(/FOUND (.*)/.exec(program.out)?.[1] ?? "{}") as Found;
      expect(one(found).addresses[0]).toBe(addressOf("10.1.0.1"));
    }
  });
});

/** For scripts: a socket in the group, and packets by hand (RFC 1035, section 4). */
const BY_HAND = `
  const { createSocket } = await import("node:dgram");
  const GROUP = "224.0.0.251", SERVICE = "_filetracker._tcp.local";
  const two = (n) => [n >> 8 & 255, n & 255];
  const name = (text, last = [0]) =>
    [...text.split(".").flatMap((label) => { const bytes = [...Buffer.from(label)]; return [bytes.length, ...bytes]; }), ...last];
  const record = (of, type, data, ttl = 120) => [...of, ...two(type), 0, 1, 0, 0, ...two(ttl), ...two(data.length), ...data];
  const packet = (flags, questions, answers) =>
    Buffer.from([0, 0, ...two(flags), ...two(questions.length), ...two(answers.length), 0, 0, 0, 0, ...questions.flat(), ...answers.flat()]);
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const own = Object.values(require("os").networkInterfaces()).flat().find((one) => one.address.startsWith("10.")).address;
  const send = (bytes) => socket.send(bytes, 5353, GROUP);
  await new Promise((resolve) => socket.bind(5353, "0.0.0.0", resolve));
  socket.addMembership(GROUP, own);
  socket.setMulticastInterface(own);
`;

/** Says when it hears a pointer to a tracker that lives no longer, and one to a second tracker of the same name. */
const LISTENER = `${BY_HAND}
  const pointer = Buffer.from([...name(SERVICE), 0, 12, 0, 1, 0, 0, 0, 0]);
  socket.on("message", (bytes) => {
    if (bytes[2] & 128 && bytes.includes(pointer)) console.log("heard goodbye");
    if (bytes[2] & 128 && bytes.includes("lab (2)")) console.log("heard a second");
  });
  console.log("ready");
`;

/** Sends what no tracker would. */
const LIAR = `${BY_HAND}
  const tracker = (label, port, address, id) => {
    const full = name(label + "." + SERVICE), host = name(label.slice(0, 9) + "-host.local");
    const txt = ("id=" + id), bytes = [txt.length, ...Buffer.from(txt)];
    return [
      record(name(SERVICE), 12, full),
      record(full, 33, [0, 0, 0, 0, ...two(port), ...host]),
      record(full, 16, bytes),
      ...address.map((one) => one.length === 4 ? record(host, 1, one) : record(host, 28, one)),
    ];
  };
  const answer = (...records) => packet(0x8400, [], records.flat());
  const loop = [12, ...Buffer.from("x"), 0xc0, 12];
  const lies = [
    Buffer.alloc(0), Buffer.alloc(11), Buffer.alloc(12), Buffer.alloc(1400, 255), Buffer.alloc(1400, 0xc0),
    Buffer.from([0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
    packet(0x8400, [], [loop, loop]),
    answer(tracker("zero", 0, [], "z")),
    answer(tracker("trap", 4000, [[127, 0, 0, 1], [224, 0, 0, 1], [0, 0, 0, 0], [...Array(15).fill(0), 1], [10, 1, 0, 1]], "t")),
    answer(tracker("w".repeat(63), 4001, [], "w")),
    answer(tracker("\\x1b[2J\\x07", 4002, [], "e")),
    answer([record(name(SERVICE), 12, name("half." + SERVICE))], [record(name("other." + SERVICE), 33, [0])]),
    answer([record(name(SERVICE), 12, name("__proto__." + SERVICE)), record(name("__proto__." + SERVICE), 16, [11, ...Buffer.from("__proto__=1")])]),
    Buffer.concat([answer(tracker("cut", 4003, [], "c")).subarray(0, -20)]),
    Buffer.concat([packet(0x8400, [], []), Buffer.alloc(60_000)]),
    Buffer.concat([answer(tracker("huge", 4005, [], "h")), Buffer.alloc(10_000)]),
    packet(0, Array(200).fill([...name(SERVICE), 0, 12, 0, 1]), []),
    packet(0, [[0, 0, 255, 0, 255]], []),
  ];
  const valid = answer(tracker("flip", 4004, [], "f"));
  let count = 0;
  const stray = createSocket({ type: "udp4" });
  await new Promise((resolve) => stray.bind(0, own, resolve));
  const turn = () => {
    stray.send(answer(tracker("astray", 4006, [], "a")), 5353, GROUP);
    for (const lie of lies) send(lie);
    const flipped = Buffer.from(valid);
    flipped[count % flipped.length] ^= 1 << count % 8;
    send(flipped);
    if (count > 20) send(answer(tracker("many" + count, 5000, [], "m" + count)));
    count += 1;
  };
  turn();
  setInterval(turn, 5);
  console.log("ready");
`;

/** Asks a thousand times, and says how often it is answered within how many seconds. */
const ASKER = `${BY_HAND}
  let answers = 0;
  socket.on("message", (bytes, { address }) => { if (address !== own && bytes[2] & 128) answers += 1; });
  const question = [...name(SERVICE), 0, 12, 0, 1];
  const from = performance.now();
  for (let i = 0; i < 100; i++) {
    for (let k = 0; k < 10; k++) send(packet(0, Array(20).fill(question), []));
    await Bun.sleep(5);
  }
  await Bun.sleep(300);
  console.log("answers: " + answers + " in " + Math.ceil((performance.now() - from) / 1000) + " s");
  process.exit();
`;

/** Says of every name of a tracker that somebody asks for that it is its own. */
const CLAIMER = `${BY_HAND}
  socket.on("message", (bytes, { address }) => {
    if (address === own || bytes[2] & 128) return;
    let end = 12;
    while (bytes[end] !== 0) end += bytes[end] + 1;
    const asked = [...bytes.subarray(12, end + 1)];
    if (bytes[end + 2] !== 255) return;
    send(packet(0x8400, [], [record(asked, 33, [0, 0, 0, 0, 1, 1, ...name("claimer.local")])]));
  });
  console.log("ready");
`;

/** A bus and the system's DNS-SD in a folder of their own; lists the trackers, runs what is given, and takes both away. */
const AVAHI = `
  mount -t tmpfs none /run && mkdir -p /run/dbus /run/avahi-daemon && chown avahi /run/avahi-daemon
  dbus-daemon --system --fork --print-pid > /run/dbus.pid
  printf '[server]\\nuse-ipv4=yes\\nuse-ipv6=yes\\n' > /run/avahi.conf
  avahi-daemon -D --no-rlimits -f /run/avahi.conf
  avahi-browse -rpt _filetracker._tcp
  "$@"
  avahi-daemon -k
  kill $(cat /run/dbus.pid)
`;
