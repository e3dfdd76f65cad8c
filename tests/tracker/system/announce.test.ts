// Announcing a tracker on LANs of several kinds, beside other trackers and among strangers.

import { describe, expect, test } from "bun:test";
import type { Found } from "../../../lib/peer/locate/look.ts";
import { byteLength } from "../../../lib/text.ts";
import { addressOf } from "../../helpers/channel.ts";
import {
  ANNOUNCE,
  ASKER,
  AVAHI,
  CLAIMER,
  DiscoveryLan,
  impossible,
  LISTENER,
  LONE_ASKER,
  LOOK,
  NOTHING_MS,
  one,
  RESOLVER,
} from "../../helpers/discovery.ts";
import type { Host } from "../../helpers/lan.ts";

const avahi = ["avahi-daemon", "avahi-browse", "dbus-daemon", "unshare"].find((one) => Bun.which(one) === null);
if (avahi !== undefined) console.log(`Not tried, discovery beside the system's own DNS-SD: there is no \`${avahi}\`.`);

describe.skipIf(impossible !== undefined)("an announcement on a LAN", () => {
  test("a tracker that listens at one address is announced only there", async () => {
    await using house = new DiscoveryLan();
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
    const told = ({ trackers }: Found) =>
      Object.fromEntries(trackers.map(({ name, addresses }) => [name, addresses.toSorted().join(" ")]));
    for (const [host, expected] of [
      [peer, { near: "10.1.0.1", old: "10.1.0.1" }],
      [other, { old: "10.2.0.1" }],
      [tracker, { near: "10.1.0.1", alone: "127.0.0.1", old: "10.1.0.1 10.2.0.1 127.0.0.1" }],
    ] as const) {
      const count = (all: Record<string, string>) => Object.values(all).join(" ").split(" ").length;
      const found = await house.findUntil(host, (now) => count(told(now)) >= count(expected));
      expect(told(found)).toEqual(expected);
    }
  });

  test("a tracker that stops says goodbye and leaves nothing running; nobody finds it any more", async () => {
    await using house = new DiscoveryLan();
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
    await using house = new DiscoveryLan();
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
    const found = await house.findUntil(peer, ({ trackers }) => trackers.length > 1);
    expect(found.trackers.map((tracker) => [tracker.addresses.join(), tracker.name]).sort()).toEqual([
      ["10.1.0.1", "ü".repeat(31)],
      ["10.1.0.2", `${"ü".repeat(29)} (2)`],
    ]);
    for (const tracker of found.trackers) expect(byteLength(tracker.name)).toBeLessThanOrEqual(63);
    expect([program.err, program.out.includes("already")]).toEqual(["", false]);
  });

  test("two trackers that took one name before they could hear each other: one gives way once they can", async () => {
    await using house = new DiscoveryLan();
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
    const later = await house.findUntil(peer, ({ trackers }) => trackers.length > 1);
    expect(later.trackers.map(({ name }) => name).sort()).toEqual(["lab", "lab (2)"]);
  });

  test("a name in any script survives; what a domain name cannot hold is replaced", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const host = lan.host();
    await Promise.all(
      ["Größe 🏫 教室", "a.b\n..c", "\u0000.", "\ud800x", "e\u0301"].map((name, index) =>
        house.announce(host, { name, port: 2000 + index }, ["lo (IPv4)"]),
      ),
    );
    const found = await house.findUntil(host, ({ trackers }) => trackers.length > 4);
    expect(found.trackers.toSorted((a, b) => a.port - b.port).map(({ name }) => name)).toEqual([
      "Größe 🏫 教室",
      "a-b --c",
      "-",
      "\ufffdx",
      "é",
    ]);
  });

  test("a tracker is announced on a network that comes later, and at an address that changes", async () => {
    await using house = new DiscoveryLan();
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

  test("an announcement does not keep a program running", async () => {
    await using house = new DiscoveryLan();
    const program = house.script(
      house.lan.host({ eth0: { to: house.lan.switch(), addresses: ["10.1.0.1/24"] } }),
      `const { announce } = await import(${ANNOUNCE});
       const it = announce({ name: "lab", port: 1234, version: "1.2.3", host: "::" });
       const look = setInterval(() => {
         if (it.announcedOn().length < 2) return;
         clearInterval(look);
         console.log("announced");
       }, 10);`,
    );
    await program.waitFor(/announced/);
    expect([await program.exited, program.err]).toEqual([0, ""]);
  });

  test("a plain DNS program, and a question for a lone answer, are answered to the sender alone", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const asker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    await house.announce(tracker, {}, ["eth0 (IPv4)"]);
    const program = house.script(asker, LONE_ASKER);
    // The plain program gets its own question and number back.
    await program.waitFor(/plain from 5353: id 4242, questions 1, lab true, key true/);
    await program.waitFor(/alone: id 0, questions 0, lab true, key true/);
  });

  test("a tracker that is asked only where it is does not take its own answer for another tracker's", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const asker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.2/24"] } });
    const program = await house.announce(tracker, { host: "10.1.0.1" }, ["eth0 (IPv4)"]);
    const resolver = house.script(asker, RESOLVER);
    const [said] = await resolver.waitFor(/answer 2|renamed/);
    expect(said).toBe("answer 2");
    expect(program.out).not.toContain("lab (2)");
  });

  test("a tracker answers a stranger that asks without end a few times a second", async () => {
    await using house = new DiscoveryLan();
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

  test("a tracker gets a name that is nobody else's beside a stranger that claims every name", async () => {
    await using house = new DiscoveryLan();
    const { lan } = house;
    const wire = lan.switch();
    const tracker = lan.host({ eth0: { to: wire, addresses: ["10.1.0.1/24"] } });
    const claimer = house.script(lan.host({ eth0: { to: wire, addresses: ["10.1.0.66/24"] } }), CLAIMER);
    await claimer.waitFor(/ready/);
    const program = await house.announce(tracker, { host: "10.1.0.1" }, ["eth0 (IPv4)"]);
    await program.waitFor(/$/);
    expect(program.out).toMatch(/"names":\["lab \([0-9a-f]{12}\)"\],"on":\["eth0 \(IPv4\)"\]/);
  });

  test.skipIf(avahi !== undefined)("the system's own DNS-SD lists the tracker, on the same port, and both go on", async () => {
    await using house = new DiscoveryLan();
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
