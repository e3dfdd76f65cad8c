// startTracker over real sockets: where it listens, its limits on connections and on what waits to be read, and how it stops.

import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { likelyAddresses } from "../lib/tracker/system/likely-addresses.ts";
import { settle } from "./helpers/channel.ts";
import { files } from "./helpers/guests.ts";
import {
  LOOPBACK,
  LoopbackTracker,
  MemoryTracker,
  NOTES,
  NOTES_SEEN,
  OLD_REPORT,
  OLD_REPORT_FOUND,
  REPORT,
  REPORT_SEEN,
} from "./helpers/tracker.ts";

/** Every address of 127/8 is this machine on Linux; elsewhere only the first is. */
const manyLoopbacks = process.platform === "linux";
const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
const hasIPv6 = interfaces.some(({ address }) => address === "::1");
if (!hasIPv6) console.log("This machine has no IPv6: what a tracker is to peers that have it is not tested here.");
/** This machine as the others on its network see it. */
const lan = interfaces.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "";
if (lan === "") console.log("This machine is on no network: how loopback records look from elsewhere is not tested here.");

/** Resolves when the condition holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((go) => setImmediate(go));
}

/** From now on each search by words takes this time of the tracker's clock. Milliseconds. */
function makeSearchesTake(ms: number, { tracker, clock }: MemoryTracker): void {
  const { catalog } = tracker;
  const find = catalog.find.bind(catalog);
  catalog.find = function* (wish, seer) {
    for (let step = 0; step < ms; step += 1) {
      clock.spend(1);
      yield;
    }
    return yield* find(wish, seer);
  };
}

describe("IPv4 and IPv6 on one listener", () => {
  const everywhere = { host: undefined };

  test.skipIf(!hasIPv6)("are both served when no host is named, each seen by its own kind of address", async () => {
    await using house = new LoopbackTracker([], everywhere);
    const six = await house.join([NOTES], { to: "::1", port: 4001 });
    const four = await house.join([REPORT], { port: 4002 });
    expect([six.hi.get("you"), four.hi.get("you")]).toEqual(["::1", LOOPBACK]);
    expect(await four.ask("SEARCH: notes.txt")).toBe("FOUND: 1\n<notes.txt,text/plain,1200,21/11/26,::1,4001;v=2>");
    expect(await six.ask("SEARCH: report.pdf")).toStartWith(
      "FOUND: 1\n<report.pdf,application/pdf,48213,22/11/26,127.0.0.1,4002;",
    );
    for (const peer of [six, four]) expect(await peer.raw.push()).toStartWith("REACH ");
    expect(await four.ask("CONNECT address=0:0:0:0:0:0:0:1 port=4001 token=t")).toBe("OK");
    expect(await six.raw.push()).toBe("CONNECT address=127.0.0.1 port=4002 token=t");
    expect(await six.ask("CONNECT address=127.0.0.1 port=4002 token=t")).toBe("OK");
    expect(await four.raw.push()).toBe("CONNECT address=::1 port=4001 token=t");
  });

  test.skipIf(!hasIPv6)("one address has one count of connections, in whatever form it comes", async () => {
    await using house = new LoopbackTracker(["--max-per-address", "3"], everywhere);
    const mapped = "::ffff:127.0.0.1";
    for (const to of [LOOPBACK, mapped, LOOPBACK]) await house.connect({ to });
    for (const to of [mapped, LOOPBACK]) {
      const refused = await house.connect({ to });
      expect((await refused.rest()).toString()).toMatch(/^ERROR too-many-connections \S[^\n]+\n$/);
    }
    expect(house.all("refused").map(({ address }) => address)).toEqual([LOOPBACK, LOOPBACK]);
    // The other address of this machine has a count of its own.
    const six = await house.join([NOTES], { to: "::1" });
    expect(six.hi.get("you")).toBe("::1");
  });

  test.skipIf(!hasIPv6)("an FT/1 program that came by IPv4 is not given IPv6 addresses, one that came by IPv6 is", async () => {
    await using house = new LoopbackTracker([], everywhere);
    const six = await house.join([NOTES], { to: "::1", port: 4001 });
    await house.register(`${OLD_REPORT}\n`);
    expect(await house.exchange("SEARCH: notes.txt")).toBe("NOT FOUND");
    const found = "FOUND: <text/plain,1200,21/11/26,::1,4001>\n";
    expect(await house.exchange("SEARCH: notes.txt", { to: "::1" })).toBe(found);
    expect(await house.exchange("SEARCH: report.pdf", { to: "::1" })).toBe(OLD_REPORT_FOUND);
    // What it cannot use takes no place from what it can.
    await house.join([NOTES], { port: 4002 });
    expect(await house.exchange("SEARCH: notes.txt")).toBe("FOUND: <text/plain,1200,21/11/26,127.0.0.1,4002>\n");
    expect(await six.ask("SEARCH: notes.txt")).toStartWith("FOUND: 2\n");
  });

  test("says first where it listens, then what can be typed", async () => {
    await using house = new LoopbackTracker([], everywhere);
    const { port, address } = house.tracker;
    expect(house.events).toEqual([{ event: "listening", address, port }]);
    // Where IPv6 is only switched off, a listener on `::` is still possible.
    expect(hasIPv6 ? ["::"] : ["::", "0.0.0.0"]).toContain(address);
    const { addresses } = await house.event("addresses");
    expect(house.events).toHaveLength(2);
    for (const typed of addresses)
      expect(typed).toMatch(new RegExp(`^(?:(?!127\\.)[\\d.]+|\\[(?!fe80:|::1\\])[0-9a-f:]+\\]):${port}$`));
    if (lan !== "") expect(addresses).toContain(`${lan}:${port}`);
  });

  test("says nothing more after it has stopped, however soon that is", async () => {
    const house = new LoopbackTracker([], everywhere);
    await house.tracker.stop();
    // The tracker began to look its addresses up before this does.
    await likelyAddresses();
    await settle();
    expect(house.events.at(-1)).toEqual({ event: "stopped" });
  });

  test("a port that is taken is said in a sentence, also where no host was named", async () => {
    await using house = new LoopbackTracker([], everywhere);
    const { port } = house.tracker;
    expect(() => new LoopbackTracker(["--port", String(port)], everywhere)).toThrow(
      new RegExp(`^Cannot listen on "(?:\\[::\\]|0\\.0\\.0\\.0):${port}": the port is in use\\. \\S.+\\.$`),
    );
  });
});

describe("too much", () => {
  test("of 200 connections from one address 32 are served, the 33rd is refused with a reason, others are not touched", async () => {
    await using house = new LoopbackTracker();
    const first = await house.join([NOTES]);
    const inside = await Promise.all(Array.from({ length: 31 }, () => house.connect()));
    const refused = await house.connect();
    expect((await refused.rest()).toString()).toMatch(/^ERROR too-many-connections \S[^\n]+\n$/);
    expect(await house.event("refused")).toMatchObject({ address: LOOPBACK, code: "too-many-connections" });
    // Some of a crowd are told why, all are closed; for some that is so quick that they never see a connection.
    const crowd = await Promise.allSettled(Array.from({ length: 167 }, () => house.connect()));
    for (const guest of crowd) if (guest.status === "fulfilled") await guest.value.rest();
    for (const guest of crowd) if (guest.status === "fulfilled") guest.value.close();
    refused.close();
    expect(inside.some(({ ended }) => ended)).toBe(false);
    inside[0]?.send("HELLO");
    expect((await inside[0]?.take(2))?.toString()).toBe("HI");
    expect(await first.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    if (manyLoopbacks) expect((await house.join([REPORT], { from: "127.0.0.2" })).hi.get("you")).toBe("127.0.0.2");
    // A place that is free again is given away.
    const { connections } = house.tracker.summary();
    inside[1]?.close();
    await until(() => house.tracker.summary().connections < connections);
    expect((await house.join([REPORT])).hi.get("you")).toBe(LOOPBACK);
  });

  test("searches by words that take long wait for their address's turn, and nobody else does", async () => {
    await using house = new MemoryTracker("--burst 1000 --find-time 1".split(" "));
    makeSearchesTake(2, house);
    const peer = await house.join([NOTES], { from: "10.0.0.1" });
    const other = await house.join([REPORT], { from: "10.0.0.2" });
    const answers = () => peer.raw.waiting.toString().split("FOUND").length - 1;
    peer.raw.send("FIND n*s t*t limit=1\n".repeat(300));
    expect(await peer.raw.reply()).toStartWith("FOUND: 1");
    for (let i = 0; i < 20; i += 1) expect(await other.ask("SEARCH: report.pdf")).toStartWith("FOUND: 1\n<report.pdf,");
    await house.pass(0);
    // The address has used up the time of a burst, 4 ms. It earns 1 ms a second.
    const first = answers();
    expect(first).toBeLessThan(4);
    await house.pass(900);
    expect(answers()).toBe(first);
    await house.pass(20_000);
    expect(answers()).toBeWithin(first + 5, first + 20);
    expect(await other.ask("FIND report")).toContain("report.pdf");
  });

  test("many searches by words in one piece leave the others their turn, and are all answered, also after a half-close", async () => {
    await using house = new MemoryTracker("--burst 1000 --find-time 1000".split(" "));
    makeSearchesTake(3, house);
    const peer = await house.join([NOTES]);
    const other = await house.join([REPORT]);
    peer.raw.send("FIND n*s t*t limit=1\n".repeat(300));
    const before = new Promise((resolve) => {
      other.raw.socket.once("data", () => resolve(peer.raw.waiting.toString().split("FOUND").length - 1));
    });
    other.raw.send("SEARCH: report.pdf\n");
    expect(await before).toBeLessThan(30);
    expect(await other.raw.reply()).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    peer.raw.halfClose();
    await house.pass(1000);
    expect((await peer.raw.replies()).match(/^FOUND: 1$/gm)).toHaveLength(300);
  });

  test("100,000 requests in one piece are cut off, whether their sender was accepted or not", async () => {
    await using house = new LoopbackTracker();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    const stranger = await house.connect();
    const flood = "SEARCH: report.pdf\n".repeat(100_000);
    peer.raw.send(flood);
    stranger.send(`HELLO FT/2 agent=x\n${flood}`);
    for (let i = 0; i < 20; i += 1) expect(await other.ask("PING")).toBe("PONG");
    const lines = (await peer.raw.replies()).trimEnd().split("\n");
    expect(lines.length).toBeLessThan(1_000);
    expect(lines.at(-1)).toMatch(/^ERROR too-fast \S.+$/);
    expect(await stranger.replies()).toMatch(/^HI FT\/2 [^\n]+\nERROR not-accepted \S[^\n]+\n$/);
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });

  test("a client that is closed because it never reads does not come back by what it had still to say", async () => {
    await using house = new LoopbackTracker(["--max-files", "2000"]);
    const records = Array.from({ length: 2000 }, (_, i) => `<${"n".repeat(200)}${i},data,1,01/02/03,127.0.0.1,40123>`);
    const other = await house.join([REPORT]);
    const peer = await house.join(records);
    peer.raw.socket.pause();
    peer.raw.send(`${"LIST limit=2000\n".repeat(100)}${files(40124, NOTES)}`);
    await house.event("left");
    await until(() => house.tracker.summary().connections === 1);
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(house.all("updated")).toEqual([]);
  });

  test("a client that never reads its answers is closed, and its records are gone", async () => {
    await using house = new LoopbackTracker(["--max-files", "2000"]);
    const records = Array.from({ length: 2000 }, (_, i) => `<${"n".repeat(200)}${i},data,1,01/02/03,127.0.0.1,40123>`);
    const other = await house.join([REPORT]);
    const peer = await house.join(records);
    peer.raw.socket.pause();
    peer.raw.send("LIST limit=2000\n".repeat(100));
    expect(await house.event("left")).toMatchObject({ id: peer.id, peers: 1 });
    expect(await other.ask("LIST")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
  });
});

describe("stopping", () => {
  test("tells the peers, ends every connection and accepts nobody any more", async () => {
    await using house = new LoopbackTracker();
    const peer = await house.join();
    const stranger = await house.connect();
    const greeted = await house.connect();
    greeted.send("HELLO");
    await greeted.take(2);
    for (const guest of [peer.raw, stranger, greeted]) guest.socket.on("end", () => guest.close());
    await house.tracker.stop();
    expect(await peer.raw.replies()).toBe("");
    expect(peer.raw.pushes.at(-1)).toMatch(/^NOTICE \S.+$/);
    expect((await stranger.rest()).toString()).toBe("");
    expect((await greeted.rest()).toString()).toBe("");
    expect(house.events.at(-1)).toEqual({ event: "stopped" });
    await expect(house.connect()).rejects.toThrow();
  });

  test("does not wait for ever for a peer that does not close", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    expect(await peer.raw.push()).toStartWith("REACH ");
    let stopped = false;
    const stop = house.tracker.stop().then(() => {
      stopped = true;
    });
    expect(await peer.raw.push()).toStartWith("NOTICE ");
    await settle();
    expect(stopped).toBe(false);
    await house.pass(2_000);
    expect(stopped).toBe(true);
    await stop;
  });
});

describe("starting", () => {
  test("reports where it listens and what peers can type, before anything else", async () => {
    await using house = new LoopbackTracker();
    const { port } = house.tracker;
    expect(port).toBeGreaterThan(0);
    expect(house.events).toEqual([
      { event: "listening", address: LOOPBACK, port },
      { event: "addresses", addresses: [`127.0.0.1:${port}`], announced: false },
    ]);
  });

  test.skipIf(lan === "")("on every interface names the addresses of this machine, not its loopback", async () => {
    await using house = new LoopbackTracker(["--host", "0.0.0.0"]);
    const { addresses } = await house.event("addresses");
    expect(addresses).toContain(`${lan}:${house.tracker.port}`);
    // Nobody gets in there by IPv6.
    expect(addresses.filter((address) => address.startsWith("127.") || address.includes("["))).toEqual([]);
  });

  test("says in a sentence that the port is in use, and which", async () => {
    await using house = new LoopbackTracker();
    const { port } = house.tracker;
    expect(() => new LoopbackTracker(["--port", String(port)])).toThrow(
      new RegExp(`^Cannot listen on "127\\.0\\.0\\.1:${port}": .+\\.$`),
    );
  });

  test("says in a sentence that an address is not this machine's", () => {
    expect(() => new LoopbackTracker(["--host", "203.0.113.9"])).toThrow(/^Cannot listen on "203\.0\.113\.9:0": .+\.$/);
  });
});
