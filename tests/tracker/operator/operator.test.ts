import { describe, expect, test } from "bun:test";
import { formatUntil } from "../../../lib/text.ts";
import { describeSummary } from "../../../lib/tracker/operator/operator.ts";
import { HandClock } from "../../helpers/channel.ts";
import { LOOPBACK, MemoryTracker, NOTES, OLD_NOTES, REPORT, THEN } from "../../helpers/tracker.ts";

const OTHER = "127.0.0.2";

/** The end of a time as the operator reads it: the local time of day, rounded up to a minute. The tests' clock stays on one day or says it. */
function clockAt(end: number): string {
  return formatUntil(end, THEN);
}

/** The ids in a line of REVOKED. */
function revokedIn(line: string): Set<string> {
  const [, ids = ""] = /^REVOKED (.+)$/.exec(line) ?? [];
  return new Set(ids.split(","));
}

describe("Operator.obey", () => {
  test("kick ends the connections and FT/1 peers of an address, which is refused for a minute", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const peer = await house.join([NOTES]);
    const other = await house.join([REPORT], { from: OTHER });
    await house.register(`${OLD_NOTES}\n`);
    const words = `Disconnected 127.0.0.1 until ${clockAt(THEN + 60_000)}.`;
    expect(house.tracker.obey({ order: "kick", address: LOOPBACK })).toEqual({ done: true, lines: [words] });
    expect(await peer.raw.replies()).toBe("");
    expect(peer.raw.pushes.at(-1)).toMatch(/^NOTICE \S.+$/);
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
    expect(house.all("operator")).toEqual([{ event: "operator", order: "kick", words }]);
    const early = await house.connect();
    expect((await early.rest()).toString()).toMatch(
      /^ERROR kicked .* has disconnected 127\.0\.0\.1 until 2023-11-14T22:14:20Z\.\n$/,
    );
    expect(house.all("refused")).toMatchObject([{ code: "kicked", address: LOOPBACK }]);
    for (let second = 0; second < 60; second += 30) {
      await house.pass(30_000);
      expect(await other.ask("PING")).toBe("PONG");
    }
    expect((await house.join()).welcome.get("peers")).toBe("2");
  });

  test("kick and ban tell the peers whose passes are good no more: those that said key=, and for as long as such a pass lives", async () => {
    await using house = new MemoryTracker();
    const { tracker } = house;
    const port = { port: house.door().port };
    const more = "extras=1 key=x";
    const young = await house.join([NOTES], { ...port, from: "10.0.0.1", more });
    const old = await house.join([NOTES], { ...port, from: "10.0.0.2", more: "extras=1" });
    const ids = [];
    for (const from of ["10.0.1.1", "10.0.1.2", "10.0.1.2"]) ids.push((await house.join([REPORT], { ...port, from, more })).id);
    const kept = await house.join([REPORT], { ...port, from: "10.0.2.1" });
    tracker.obey({ order: "ban", address: "10.0.1.0/24" });
    expect(await young.raw.push()).toBe("REACH yes");
    expect(revokedIn(await young.raw.push())).toEqual(new Set(ids));
    tracker.obey({ order: "kick", address: "10.0.2.1" });
    expect(await young.raw.push()).toBe(`REVOKED ${kept.id}`);
    expect(await old.ask("PING")).toBe("PONG");
    expect(old.raw.pushes.some((line) => line.startsWith("REVOKED"))).toBe(false);
    const late = await house.join([NOTES], { ...port, from: "10.0.0.3", more });
    expect(revokedIn(await late.raw.push())).toEqual(new Set([...ids, kept.id]));
    for (let second = 0; second < 600; second += 60) {
      await house.pass(60_000);
      expect(await old.ask("PING")).toBe("PONG");
    }
    const later = await house.join([NOTES], { ...port, from: "10.0.0.4", more });
    expect(await later.raw.push()).toBe("REACH yes");
  });

  test("kick of an address from which nobody came has not been done", async () => {
    await using house = new MemoryTracker();
    expect(house.tracker.obey({ order: "kick", address: OTHER })).toEqual({
      done: false,
      lines: ["No peer connected from 127.0.0.2."],
    });
    expect(house.all("operator")).toEqual([]);
  });

  test("ban holds for its time, unban ends it, and bans lists it", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    await house.join([NOTES]);
    const { lines } = tracker.obey({ order: "ban", address: LOOPBACK, seconds: 3600, words: "too loud" });
    expect(lines).toEqual([`Banned 127.0.0.1 until ${clockAt(THEN + 3_600_000)}.`]);
    expect(tracker.catalog.peers).toBe(0);
    const out = await house.connect();
    expect((await out.rest()).toString()).toBe("ERROR banned You are banned from this tracker until 2023-11-14T23:13:20Z.\n");
    expect(tracker.obey({ order: "bans" }).lines).toEqual([`127.0.0.1 until ${clockAt(THEN + 3_600_000)}: too loud`]);
    await house.pass(3_600_000);
    await house.join([NOTES]);
    expect(tracker.obey({ order: "unban", address: LOOPBACK })).toMatchObject({ done: false });
    tracker.obey({ order: "ban", address: "::ffff:127.0.0.1" });
    expect(tracker.obey({ order: "unban", address: LOOPBACK })).toEqual({ done: true, lines: ["Unbanned 127.0.0.1."] });
    await house.join([NOTES]);
    expect(tracker.obey({ order: "bans" })).toEqual({ done: true, lines: ["No bans."], data: [] });
  });

  test("ban and kick of a network concern everybody in it, FT/1 peers too, and nobody else", async () => {
    await using house = new MemoryTracker();
    const { tracker } = house;
    const other = await house.join([REPORT], { from: "10.0.1.1" });
    const all = () => Promise.all(["10.0.0.1", "10.0.0.200"].map((from) => house.join([NOTES], { from })));
    for (const order of ["kick", "ban"] as const) {
      await all();
      await house.register(`${OLD_NOTES}\n`, { from: "10.0.0.77" });
      expect(tracker.catalog.peers).toBe(4);
      expect(tracker.obey({ order, address: "10.0.0.77/24" })).toMatchObject({ done: true });
      expect(tracker.catalog.peers).toBe(1);
      const next = await house.connect({ from: "10.0.0.3" });
      expect((await next.rest()).toString()).toStartWith(`ERROR ${order === "kick" ? "kicked" : "banned"} `);
      tracker.obey({ order: "unban", address: "10.0.0.0/24" });
    }
    await all();
    expect(await other.ask("PING")).toBe("PONG");
    tracker.obey({ order: "ban", address: "10.0.0.0/24" });
    expect(tracker.obey({ order: "unban", address: "10.0.0.1" })).toEqual({
      done: false,
      lines: ["10.0.0.1 is in 10.0.0.0/24, which is banned: unban that."],
    });
  });

  test("ban of an IPv6 address keeps its host out, whatever address that host takes next, unless one address was meant", async () => {
    await using house = new MemoryTracker();
    const { tracker } = house;
    const isOut = async (from: string) => {
      const guest = await house.connect({ from });
      guest.send("BYE");
      guest.halfClose();
      return (await guest.rest()).toString().startsWith("ERROR banned");
    };
    const { lines } = tracker.obey({ order: "ban", address: "2001:db8::7" });
    expect(lines).toEqual([
      "Banned 2001:db8::/64.",
      "A host can have every address of its IPv6 network. To ban one address alone: ban 2001:db8::7/128",
    ]);
    expect([await isOut("2001:db8::8"), await isOut("2001:db8:0:1::8")]).toEqual([true, false]);
    expect(tracker.obey({ order: "unban", address: "2001:db8::7" }).lines).toEqual(["Unbanned 2001:db8::/64."]);
    tracker.obey({ order: "ban", address: "2001:db8::7/128" });
    expect([await isOut("2001:db8::7"), await isOut("2001:db8::8")]).toEqual([true, false]);
    expect(tracker.obey({ order: "unban", address: "2001:db8::7" })).toMatchObject({ done: true });
    expect(tracker.obey({ order: "ban", address: "fe80::7" }).lines).toEqual(["Banned fe80::7."]);
    expect([await isOut("fe80::7"), await isOut("fe80::8")]).toEqual([true, false]);
  });

  test("notice is told to every FT/2 peer, and needs words", async () => {
    await using house = new MemoryTracker();
    const peers = [await house.join([NOTES]), await house.join([REPORT])];
    await house.connect();
    for (const peer of peers) expect(await peer.raw.push()).toStartWith("REACH ");
    expect(house.tracker.obey({ order: "notice", words: "We move\nat noon" })).toMatchObject({ done: true });
    for (const peer of peers) expect(await peer.raw.push()).toBe("NOTICE We move at noon");
    expect(house.tracker.obey({ order: "notice", words: " " })).toEqual({ done: false, lines: ["A notice needs a message."] });
  });

  test.each(["kick", "ban"] as const)("%s of something that is no address and no peer has not been done", async (order) => {
    await using house = new MemoryTracker();
    await house.join([NOTES], { more: "name=Ben" });
    const words =
      "is neither the name of a peer that is online, nor an address such as 192.168.1.7, 192.168.1.7:1235 or 192.168.1.0/24.";
    expect(house.tracker.obey({ order, address: "lab\u0007" })).toEqual({ done: false, lines: [`"lab\\x07" ${words}`] });
    expect(house.tracker.obey({ order, address: "Be" })).toEqual({ done: false, lines: [`"Be" ${words} Did you mean "Ben"?`] });
    expect(house.tracker.obey({ order, address: "127.0.0.1:9" })).toEqual({
      done: false,
      lines: ["No peer is at 127.0.0.1:9. Everybody there is meant by the address alone: 127.0.0.1"],
    });
    expect(house.tracker.obey({ order, address: "10.0.0.1:9" })).toEqual({ done: false, lines: ["No peer is at 10.0.0.1:9."] });
    expect(house.tracker.catalog.peers).toBe(1);
  });

  test.each(["ben (2)", "10.0.0.1:40124", "ID"])(
    "kick of %p disconnects this peer alone, and says until when",
    async (typed) => {
      await using house = new MemoryTracker([], new HandClock(THEN));
      const ben = await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben" });
      const other = await house.join([NOTES], { from: "10.0.0.1", port: 40124, more: "name=Ben" });
      expect(house.tracker.obey({ order: "kick", address: typed === "ID" ? other.id : typed })).toEqual({
        done: true,
        lines: [`Disconnected "Ben (2)" at 10.0.0.1:40124 until ${clockAt(THEN + 60_000)}.`],
      });
      expect(await other.raw.replies()).toBe("");
      expect(other.raw.pushes.at(-1)).toBe("DISMISSED kicked until=2023-11-14T22:14:20.000Z");
      expect(await ben.ask("PING")).toBe("PONG");
      expect(house.all("left")).toMatchObject([{ name: "Ben (2)", reason: "disconnected by the operator" }]);
      const again = await house.connect({ from: "10.0.0.1" });
      expect((await again.rest()).toString()).toStartWith("ERROR kicked ");
    },
  );

  test("kick of a name or address that peers see finds a peer on the tracker's own machine", async () => {
    await using house = new MemoryTracker();
    await house.join([NOTES], { more: "name=Teacher" });
    await house.join([REPORT], { from: "192.168.1.9", to: "192.168.1.2" });
    expect(house.tracker.obey({ order: "kick", address: "192.168.1.9:40124" })).toMatchObject({ done: false });
    expect(house.tracker.obey({ order: "kick", address: "192.168.1.7:40123" })).toMatchObject({ done: false });
    expect(house.tracker.obey({ order: "kick", address: "192.168.1.2:40123" })).toMatchObject({ done: true });
    expect(house.all("left")).toMatchObject([{ name: "Teacher" }]);
  });

  test("an FT/1 peer is kicked by its address and port", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    await house.join([NOTES]);
    expect(house.tracker.obey({ order: "kick", address: "127.0.0.1:5001" })).toMatchObject({ done: true });
    expect(house.all("left")).toMatchObject([{ id: "ft1-127.0.0.1-5001", reason: "disconnected by the operator" }]);
    expect(house.tracker.catalog.peers).toBe(1);
  });

  test("ban of a name bans the address of that peer; unban knows the name when the peer is gone", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    const ben = await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben%20S." });
    expect(tracker.obey({ order: "ban", address: "ben s.", words: "too loud" })).toEqual({
      done: true,
      lines: ['Banned 10.0.0.1 ("Ben S.").'],
    });
    await ben.raw.replies();
    expect(ben.raw.pushes.at(-1)).toBe("DISMISSED banned");
    expect(tracker.obey({ order: "bans" }).lines).toEqual(["10.0.0.1: Ben S.: too loud"]);
    expect(tracker.obey({ order: "unban", address: "Ben" })).toEqual({
      done: false,
      lines: ['No ban has the name "Ben". Unban an address of this list: ft-tracker bans'],
    });
    expect(tracker.obey({ order: "unban", address: "BEN S." })).toEqual({ done: true, lines: ["Unbanned 10.0.0.1."] });
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben%20S." });
    expect(tracker.obey({ order: "ban", address: "10.0.0.1:40123" }).lines).toEqual(['Banned 10.0.0.1 ("Ben S.").']);
    expect(tracker.obey({ order: "unban", address: "10.0.0.1:40123" }).lines).toEqual(["Unbanned 10.0.0.1."]);
  });

  test("a peer that was kicked or has left is banned by its name or address:port; a kick of it has not been done", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben" });
    tracker.obey({ order: "kick", address: "Ben" });
    await house.pass(120_000);
    expect(tracker.obey({ order: "kick", address: "Ben" })).toEqual({
      done: false,
      lines: ['"Ben" at 10.0.0.1:40123 has left 2 min 00 s ago. To keep it out: ft-tracker ban 10.0.0.1'],
    });
    expect(tracker.obey({ order: "ban", address: "ben", words: "too loud" })).toEqual({
      done: true,
      lines: ['Banned 10.0.0.1 ("Ben").', '"Ben" at 10.0.0.1:40123 had left 2 min 00 s ago.'],
    });
    expect(tracker.obey({ order: "bans" }).lines).toEqual(["10.0.0.1: Ben: too loud"]);
    expect(tracker.obey({ order: "unban", address: "Ben" }).lines).toEqual(["Unbanned 10.0.0.1."]);
    expect(tracker.obey({ order: "ban", address: "10.0.0.1:40123" }).lines[0]).toBe('Banned 10.0.0.1 ("Ben").');
    tracker.obey({ order: "unban", address: "10.0.0.1" });
    // An hour later another computer may have the address.
    await house.pass(3_600_000);
    expect(tracker.obey({ order: "ban", address: "Ben" })).toMatchObject({ done: false });
  });

  test("a name that peers of several addresses had does not say which of them is meant", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    for (const from of ["10.0.0.1", "10.0.0.2"]) {
      await house.join([NOTES], { from, more: "name=Ben" });
      tracker.obey({ order: "kick", address: from });
    }
    expect(tracker.obey({ order: "ban", address: "Ben" })).toEqual({
      done: false,
      lines: ['Several peers with the name "Ben" have left: from 10.0.0.2, 10.0.0.1. Give the address.'],
    });
    // The one that is online is meant first; the others are named.
    await house.join([NOTES], { from: "10.0.0.3", more: "name=Ben" });
    expect(tracker.obey({ order: "ban", address: "Ben" }).lines).toEqual([
      'Banned 10.0.0.3 ("Ben").',
      '"Ben" at 10.0.0.2:40123 has left just now. To keep that one out, too: ft-tracker ban 10.0.0.2',
      '"Ben" at 10.0.0.1:40123 has left just now. To keep that one out, too: ft-tracker ban 10.0.0.1',
    ]);
  });

  test("unban says what it ended: a ban, a kick, or nothing", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben" });
    expect(tracker.obey({ order: "unban", address: "Ben" })).toEqual({ done: false, lines: ["10.0.0.1 is not banned."] });
    tracker.obey({ order: "kick", address: "Ben" });
    expect(tracker.obey({ order: "unban", address: "Ben" })).toEqual({
      done: true,
      lines: ["10.0.0.1 was not banned but kicked, for a minute: it may come back now."],
    });
    expect(tracker.obey({ order: "unban", address: "10.0.0.1" })).toMatchObject({ done: false });
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben" });
    // Both at once: the peer may come back.
    for (const order of ["kick", "ban"] as const) tracker.obey({ order, address: "10.0.0.1" });
    expect(tracker.obey({ order: "unban", address: "10.0.0.1" }).lines).toEqual(["Unbanned 10.0.0.1."]);
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Ben" });
  });

  test("a kick that found nobody keeps nobody out; a mistyped name brings the nearest one", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const { tracker } = house;
    tracker.obey({ order: "kick", address: "10.0.0.1" });
    await house.join([NOTES], { from: "10.0.0.1", more: "name=Benjamin" });
    expect(tracker.obey({ order: "kick", address: "Benjamn" }).lines[0]).toEndWith(' Did you mean "Benjamin"?');
  });

  test("of two bans with one name neither is ended by the name", async () => {
    await using house = new MemoryTracker();
    const { tracker } = house;
    for (const address of ["10.0.0.1", "10.0.0.2"]) tracker.obey({ order: "ban", address, words: "Ben" });
    expect(tracker.obey({ order: "unban", address: "Ben" })).toMatchObject({ done: false });
    expect(tracker.obey({ order: "bans" }).lines).toHaveLength(2);
  });

  test("an order that there is not has not been done", async () => {
    await using house = new MemoryTracker();
    const result = house.tracker.obey({ order: "dance" } as never);
    expect(result).toEqual({ done: false, lines: ['"dance" is no order.'] });
  });

  test("status counts peers, files, requests and refusals", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT, NOTES]);
    await peer.ask("SEARCH: notes.txt");
    await house.exchangeAndShut("GET /\n");
    await house.pass(10_000);
    const { summary } = house.tracker;
    expect(summary()).toMatchObject({
      name: "Lab 3",
      seconds: 10,
      peers: 1,
      files: 2,
      contents: 1,
      bytes: 49_413,
      connections: 1,
      rates: { requests: { total: 3, rate: 0.3 }, searches: { total: 1 }, joins: { total: 1 }, refused: { total: 1 } },
      bans: 0,
    });
    expect(Object.values(summary().refused)).toEqual([1]);
    expect(describeSummary(summary()).slice(1, 5)).toEqual([
      "peers        1 online, 1 connection",
      expect.stringMatching(/^files {8}2 \(.+\), 1 content$/),
      "requests     3, 0.3 a second",
      "searches     1, 0.1 a second",
    ]);
  });
});
