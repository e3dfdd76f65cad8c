// Names of peers at a tracker: no two are one, they go only to peers that know names, and they end with the peer.

import { describe, expect, test } from "bun:test";
import { byteLength } from "../../lib/text.ts";
import { PeerNames } from "../../lib/tracker/peer-names.ts";
import { LOOPBACK, MemoryTracker, NOTES, NOTES_SEEN, OLD_NOTES, OLD_NOTES_FOUND, REPORT, ROOT } from "../helpers/tracker.ts";

describe("PeerNames.take", () => {
  test("puts a number behind a name that is taken, in whatever case", () => {
    const names = new PeerNames();
    expect(["Ben", "Ben", "BEN", "ben (2)", "Ann", "Ｂen"].map((name, i) => names.take(name, `id${i}`))).toEqual([
      "Ben",
      "Ben (2)",
      "BEN (3)",
      "ben (4)",
      "Ann",
      "Ｂen (5)",
    ]);
  });

  test("gives a number back when its peer has left", () => {
    const names = new PeerNames();
    for (const id of ["a", "b", "c"]) names.take("Ben", id);
    names.free("ben (2)");
    names.free(undefined);
    expect([names.idOf("BEN"), names.idOf("Ben (2)"), names.idOf("Ben (3)")]).toEqual(["a", undefined, "c"]);
    expect(names.take("Ben", "d")).toBe("Ben (2)");
  });

  test("a name that somebody gave a number is not taken from them", () => {
    const names = new PeerNames();
    expect(["Ben (2)", "Ben", "Ben"].map((name, i) => names.take(name, `${i}`))).toEqual(["Ben (2)", "Ben", "Ben (3)"]);
  });

  test("thousands of one name all get one", () => {
    const names = new PeerNames();
    const given = Array.from({ length: 5_000 }, (_, i) => names.take("é".repeat(32), `id${i}`) ?? "");
    expect(new Set(given.map((name) => name.toLowerCase())).size).toBe(5_000);
    expect(Math.max(...given.map(byteLength))).toBe(64);
  });

  test("without a name there is none", () => {
    expect(new PeerNames().take(undefined, "a")).toBeUndefined();
  });
});

describe("a peer's name", () => {
  test("is said in WELCOME, WHO and every record, in the form that the tracker gave it", async () => {
    await using house = new MemoryTracker();
    const one = await house.join([REPORT], { more: "extras=1 name=Ben%20S." });
    const two = await house.join([NOTES], { more: "extras=1 name=ben%20s." });
    expect([one.welcome.get("name"), two.welcome.get("name")]).toEqual(["Ben%20S.", "ben%20s.%20(2)"]);
    // Both peers are at one address and port: their records say which is which.
    const named = NOTES_SEEN.replace(">", `;reach=no;id=${two.welcome.get("id")};by=ben%20s.%20(2)>`);
    expect(await one.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${named}`);
    expect(await one.ask(`LIST id=${two.id}`)).toBe(`FOUND: 1\n${named}`);
    expect(await one.ask("FIND notes")).toBe("FOUND: 1 total=1");
    expect(await one.raw.line()).toBe(named);
    expect(await one.ask(`FIND root=${ROOT} group=1`)).toBe("FOUND: 1 total=1");
    expect(await one.raw.line()).toMatch(/;holders=1;id=[0-9a-f]+;by=Ben%20S\.>$/);
    expect(await one.ask(`LIST root=${ROOT}`)).toContain(";by=Ben%20S.>");
    expect((await one.ask("WHO")).match(/ name=\S+/g)).toEqual([" name=Ben%20S.", " name=ben%20s.%20(2)"]);
    expect((await house.event("joined", 2)).name).toBe("ben s. (2)");
  });

  test("is not said to a peer that does not say name=; one that says an empty name has none and is told the others", async () => {
    await using house = new MemoryTracker();
    await house.join([NOTES], { more: "extras=1 name=Ben" });
    const old = await house.join([REPORT], { more: "extras=1" });
    const shy = await house.join([REPORT], { more: "name=" });
    expect([old.welcome.has("name"), shy.welcome.get("name")]).toEqual([false, ""]);
    for (let turn = 0; turn < 2; turn++) {
      const withoutId = async (peer: typeof old) => (await peer.ask("SEARCH: notes.txt")).replace(/;id=[0-9a-f]+/, "");
      expect(await withoutId(old)).toBe(`FOUND: 1\n${NOTES_SEEN.replace(">", ";reach=no>")}`);
      expect(await withoutId(shy)).toBe(`FOUND: 1\n${NOTES_SEEN.replace(">", ";by=Ben>")}`);
    }
    expect(await old.ask("WHO")).not.toContain("name=");
    expect((await shy.ask("WHO")).match(/ name=\S*/g)).toEqual([" name=Ben"]);
    expect(await shy.ask("SEARCH: report.pdf")).not.toContain("by=");
  });

  test("is never in a line of FT/1", async () => {
    await using house = new MemoryTracker();
    await house.join([NOTES], { more: "name=Ben", port: 5001 });
    await house.register(OLD_NOTES.replace("5001", "5002"), { from: LOOPBACK });
    const answer = await house.exchange("SEARCH: notes.txt");
    expect(answer.split("\n")[0]).toBe(OLD_NOTES_FOUND.trimEnd());
    expect(answer).not.toContain("Ben");
  });

  test("cannot be given to a record by its holder", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES.replace(">", ";by=Teacher>")], { more: "name=Ben" });
    await peer.ask(`ADD ${REPORT.replace(">", ";by=Teacher>")}`);
    expect((await peer.ask("LIST")).match(/;by=\w+/g)).toEqual([";by=Ben", ";by=Ben"]);
  });

  test("stays through a new list, and is free again when the peer has left", async () => {
    await using house = new MemoryTracker();
    const one = await house.join([NOTES], { more: "name=Ben" });
    await one.renew(40123, REPORT);
    expect(one.welcome.get("name")).toBe("Ben");
    const two = await house.join([NOTES], { more: "name=Ben" });
    expect(await one.ask("BYE")).toBe("BYE");
    expect(two.welcome.get("name")).toBe("Ben%20(2)");
    expect((await house.join([NOTES], { more: "name=Ben" })).welcome.get("name")).toBe("Ben");
  });

  test("stays with a peer that takes the place of its own lost connection", async () => {
    await using house = new MemoryTracker();
    const first = await house.join([NOTES], { more: "extras=1 name=Ben" });
    const lost = await house.join([NOTES], { more: "extras=1 name=Ben" });
    await first.ask("BYE");
    const back = await house.join([NOTES], { more: `extras=1 name=Ben session=${lost.session}` });
    expect([back.id, back.welcome.get("name")]).toEqual([lost.id, "Ben%20(2)"]);
  });

  test.each([
    ["a line break", "Ben%0AFILES%200%0A", "Ben%20FILES%200"],
    ["quotes and the marks of the grammar", "%22B%22%3Be%3D1%2C%3E", '"B"%3Be=1%2C%3E'],
    ["a bidi override and invisible characters", "%E2%80%AEB%E2%80%8Ben", "Ben"],
    ["an address", "192.168.1.7%3A1235", ""],
    ["nothing visible", "%20%E2%80%8B", ""],
  ])("with %s is harmless on the wire", async (_, said, given) => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES], { more: `name=${said}` });
    expect(peer.welcome.get("name")).toBe(given);
    expect(await peer.ask("SEARCH: notes.txt")).toBe(
      `FOUND: 1\n${given === "" ? NOTES_SEEN : NOTES_SEEN.replace(">", `;by=${given}>`)}`,
    );
    expect(await peer.ask("PING")).toBe("PONG");
  });

  test("that differs only by invisible characters is the same name", async () => {
    await using house = new MemoryTracker();
    await house.join([NOTES], { more: "name=Ben" });
    expect((await house.join([NOTES], { more: "name=B%E2%80%8Ben" })).welcome.get("name")).toBe("Ben%20(2)");
  });

  test("of 64 KB is refused with its line", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 name=${"n".repeat(65_536)}\n`);
    expect(await guest.line()).toStartWith("ERROR line-too-long");
  });
});
