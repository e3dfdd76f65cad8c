import { describe, expect, test } from "bun:test";
import type { Peer } from "../helpers/guests.ts";
import { LOOPBACK, MemoryTracker, NOTES, REPORT, ROOT } from "../helpers/tracker.ts";

const MORE = "extras=1 offers=1 name=";
const SECRET = REPORT.replace(">", ";only=circle>");
const OFFER = `OFFER offer=o1 root=${ROOT}`;

/** Anna, who has the report, and three others, of whom Dan's program knows no offers. */
async function room(report = REPORT) {
  const house = new MemoryTracker();
  const anna = await house.join([report], { more: `${MORE}Anna`, from: "10.0.0.1", port: house.door().port });
  const ben = await house.join([NOTES], { more: `${MORE}Ben`, from: "10.0.0.2" });
  const chloe = await house.join([NOTES], { more: `${MORE}Chloe`, from: "10.0.0.3" });
  const dan = await house.join([NOTES], { more: "extras=1 name=Dan", from: "10.0.0.4" });
  await house.pass(1);
  return { house, anna, ben, chloe, dan };
}

/** The offers that a peer was told of. */
async function told(peer: Peer): Promise<string[]> {
  await peer.ask("PING");
  return peer.raw.pushes.filter((line) => line.startsWith("OFFERED "));
}

/** The answer to a FIND of a peer that is told totals. */
async function find(peer: Peer, what: string): Promise<string> {
  const lines = [await peer.ask(`FIND ${what}`)];
  const count = Number(/^FOUND: (\d+)/.exec(lines[0] ?? "")?.[1] ?? 0);
  while (lines.length <= count) lines.push(await peer.raw.line());
  return lines.join("\n");
}

const seen = (record: string, more: string) =>
  `OFFERED ${record.replace("192.168.1.17,40123", "10.0.0.1,7001").replace(">", `;by=Anna;offer=o1${more}>`)}`;

describe("an offer", () => {
  test("to some is pushed to them with its words, once, and to those alone", async () => {
    const { house, anna, ben, chloe, dan } = await room();
    await using _ = house;
    expect(anna.hi.get("offers")).toBe("yes");
    const to = `to=${ben.id},${dan.id},nobody say=for%20Monday%3B%20bye`;
    expect(await anna.ask(`${OFFER} ${to}`)).toBe("OK");
    expect(await anna.ask(`${OFFER} ${to}`)).toBe("OK");
    expect(await told(ben)).toEqual([seen(REPORT, ";say=for%20Monday%3B%20bye")]);
    for (const other of [anna, chloe, dan]) expect(await told(other)).toEqual([]);
    expect(await anna.ask(`${OFFER} to=${ben.id},${chloe.id} say=for%20Monday%3B%20bye`)).toBe("OK");
    expect(await told(ben)).toHaveLength(1);
    expect(await told(chloe)).toHaveLength(1);
  });

  test("that a peer does not want is told to its maker once; nobody says no to what was not offered to it", async () => {
    const { house, anna, ben, chloe } = await room();
    await using _ = house;
    await anna.ask(`${OFFER} to=${ben.id}`);
    expect([await chloe.ask("DECLINE offer=o1"), await ben.ask("DECLINE offer=o2")]).toEqual(["NOT FOUND", "NOT FOUND"]);
    for (let i = 0; i < 3; i++) expect(await ben.ask("DECLINE offer=o1")).toBe("OK");
    await anna.ask("PING");
    expect(anna.raw.pushes.filter((line) => line.startsWith("DECLINED"))).toEqual([`DECLINED offer=o1 id=${ben.id}`]);
    // The offer is made again, as after a change of its receivers.
    await anna.ask(`${OFFER} to=${ben.id},${chloe.id}`);
    expect([await ben.ask("DECLINE offer=o1"), await chloe.ask("DECLINE offer=o1")]).toEqual(["OK", "OK"]);
    await anna.ask("PING");
    expect(anna.raw.pushes.filter((line) => line.startsWith("DECLINED"))).toHaveLength(2);
  });

  test("to all is told to those that join later, and asked for with LIST offers=1 until its maker leaves", async () => {
    const { house, anna, ben } = await room();
    await using _ = house;
    expect(await anna.ask(`${OFFER} to=all`)).toBe("OK");
    expect(await told(ben)).toEqual([seen(REPORT, "")]);
    const eve = await house.join([NOTES], { more: `${MORE}Eve`, from: "10.0.0.5" });
    await house.pass(1);
    expect(await told(eve)).toEqual([seen(REPORT, "")]);
    expect(await eve.ask("LIST offers=1")).toBe(`FOUND: 1\n${seen(REPORT, "").slice("OFFERED ".length)}`);
    expect(await anna.ask("LIST offers=1")).toBe("NOT FOUND");
    await anna.ask("BYE");
    expect(await eve.ask("LIST offers=1")).toBe("NOT FOUND");
  });

  test("that is made again with other receivers or none is told to new ones only", async () => {
    const { house, anna, ben, chloe } = await room();
    await using _ = house;
    await anna.ask(`${OFFER} to=${ben.id}`);
    expect(await anna.ask(`${OFFER} to=`)).toBe("OK");
    expect(await ben.ask("LIST offers=1")).toBe("NOT FOUND");
    await anna.ask(`${OFFER} to=all`);
    expect([await told(ben), await told(chloe)].map((all) => all.length)).toEqual([1, 1]);
  });

  test("is refused with a sentence when its maker does not have the file, or the line is wrong", async () => {
    const { house, anna, ben } = await room();
    await using _ = house;
    expect(await ben.ask(`${OFFER} to=all`)).toStartWith("ERROR no-such-file ");
    expect(await anna.ask(`OFFER offer=o%20 root=${ROOT} to=all`)).toStartWith("ERROR bad-token ");
  });

  test("counts against twenty a minute, unless only its receivers change", async () => {
    const { house, anna, ben } = await room();
    await using _ = house;
    for (let i = 0; i < 20; i++) expect(await anna.ask(`OFFER offer=x${i} root=${ROOT} to=${ben.id}`)).toBe("OK");
    expect(await anna.ask(`OFFER offer=x20 root=${ROOT} to=all`)).toStartWith("ERROR too-many-offers ");
    expect(await anna.ask(`OFFER offer=x3 root=${ROOT} to=all`)).toBe("OK");
    expect(await told(ben)).toHaveLength(5);
    await house.pass(1_000);
    expect((await told(ben)).slice(5)).toEqual(["OFFERED more=15"]);
    expect(await ben.ask("LIST offers=1")).toStartWith("FOUND: 20\n");
    await house.pass(3_000);
    expect(await anna.ask(`OFFER offer=x20 root=${ROOT} to=all`)).toBe("OK");
    // The tracker keeps the last twenty.
    expect(await ben.ask("LIST offers=1")).toStartWith("FOUND: 20\n");
  });

  test("is told again to a peer that comes back under its id", async () => {
    const { house, anna, ben } = await room(SECRET);
    await using _ = house;
    await anna.ask(`${OFFER} to=${ben.id}`);
    const back = await house.join([NOTES], { more: `${MORE}Ben session=${ben.session}`, from: "10.0.0.2" });
    expect(back.id).toBe(ben.id);
    await house.pass(1);
    expect(await told(back)).toHaveLength(1);
    expect(await back.ask("SEARCH: report.pdf")).toStartWith("FOUND: 1\n");
  });

  test("is told to many peers in several turns", async () => {
    const house = new MemoryTracker(["--max-per-address", "1000"]);
    await using _ = house;
    const anna = await house.join([REPORT], { more: `${MORE}Anna`, from: "10.0.0.1" });
    const others: Peer[] = [];
    for (let i = 0; i < 450; i++) others.push(await house.join([NOTES], { more: MORE, port: 2000 + i, from: "10.0.0.2" }));
    await anna.ask(`${OFFER} to=all`);
    await house.pass(1);
    await house.pass(1);
    await house.pass(1);
    for (const other of others) expect(await told(other)).toHaveLength(1);
  });
});

describe("a record with only=", () => {
  const outsider = async (peer: Peer, anna: Peer) => [
    await peer.ask("SEARCH: report.pdf"),
    await peer.ask(`LIST root=${ROOT}`),
    await peer.ask(`LIST id=${anna.id}`),
    await find(peer, "report group=1"),
    await find(peer, `root=${ROOT}`),
  ];

  test("is found by its circle in each way, and by nobody else", async () => {
    const { house, anna, ben, chloe, dan } = await room(SECRET);
    await using _ = house;
    const other = "<report for all.pdf,application/pdf,5,22/11/26,192.168.1.17,40123;v=2>";
    await anna.ask(`ADD ${other}`);
    for (const peer of [ben, chloe]) expect(await peer.ask("WATCH watch=w report")).toBe("OK");
    await anna.ask(`${OFFER} to=${ben.id},${dan.id}`);
    const shown = SECRET.replace("192.168.1.17,40123", "10.0.0.1,7001").replace(">", ";by=Anna>");
    const open = other.replace("192.168.1.17,40123", "10.0.0.1,7001").replace(">", ";by=Anna>");
    const grouped = (record: string) => record.replace(";by=", ";holders=1;by=");
    for (const peer of [chloe, dan]) {
      expect(await outsider(peer, anna)).toEqual([
        "NOT FOUND",
        "NOT FOUND",
        `FOUND: 1\n${open}`,
        `FOUND: 1 total=1\n${grouped(open)}`,
        "NOT FOUND",
      ]);
      expect(peer.raw.pushes.filter((line) => line.startsWith("APPEARED "))).toEqual([]);
    }
    for (const peer of [ben, anna]) {
      expect(await outsider(peer, anna)).toEqual([
        `FOUND: 1\n${shown}`,
        `FOUND: 1\n${shown}`,
        `FOUND: 2\n${shown}\n${open}`,
        `FOUND: 2 total=2\n${grouped(shown)}\n${grouped(open)}`,
        `FOUND: 1 total=1\n${shown}`,
      ]);
    }
    expect(ben.raw.pushes.filter((line) => line.startsWith("APPEARED "))).toEqual([`APPEARED w ${shown}`]);
    expect(await find(ben, "report group=1 offset=1 limit=1")).toBe(`FOUND: 1 total=2\n${grouped(open)}`);
    expect(await find(ben, "report group=1 offset=0 limit=1")).toBe(`FOUND: 1 total=2\n${grouped(shown)}`);
    expect(await chloe.ask("WHO")).toContain("files=1 bytes=5 ");
  });

  test("is in no answer to FT/1 and in none of the operator's lists", async () => {
    const { house, anna, ben } = await room(SECRET);
    await using _ = house;
    await anna.ask(`${OFFER} to=${ben.id}`);
    await house.register("<old.txt,data,5,01/01/26,10.0.0.1,5001>\n", { from: "10.0.0.77" });
    expect(await house.exchange("SEARCH: report.pdf", { from: "10.0.0.77" })).toBe("NOT FOUND");
    expect(house.tracker.obey({ order: "files" }).lines.join()).not.toContain("report");
    expect(house.tracker.obey({ order: "holders", file: "report.pdf" }).done).toBe(false);
    expect(house.all("offered")).toEqual([
      { event: "offered", id: anna.id, name: "Anna", address: "10.0.0.1" as never, port: 7001, size: 48213, to: 1 },
    ]);
  });

  test("is shown to a peer that has told its token in a record of its own, also after the tracker was restarted", async () => {
    const { house, ben, chloe } = await room(SECRET);
    await using _ = house;
    expect(await ben.ask(`ADD ${SECRET.replace(">", ";part=1>")}`)).toBe("OK");
    expect(await ben.ask(`LIST root=${ROOT}`)).toStartWith("FOUND: 2\n");
    expect(await chloe.ask(`LIST root=${ROOT}`)).toBe("NOT FOUND");
    expect(await ben.ask("DROP report.pdf")).toBe("OK");
  });

  test("becomes one for all when it is told without a token", async () => {
    const { house, anna, chloe } = await room(SECRET);
    await using _ = house;
    expect(await chloe.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await anna.ask(`ADD ${REPORT}`)).toBe("OK");
    expect(await chloe.ask("SEARCH: report.pdf")).toStartWith("FOUND: 1\n");
    expect(await anna.ask(`ADD ${SECRET}`)).toBe("OK");
    expect(await chloe.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await find(chloe, "report")).toBe("NOT FOUND");
    expect(await anna.ask(`ADD ${REPORT.replace(">", ";only=%20x>")}`)).toStartWith("ERROR bad-record ");
  });
});

describe("mute", () => {
  test("ends the offers of a peer and refuses further ones, also under another number of its name, until unmute", async () => {
    const { house, anna, ben } = await room();
    await using _ = house;
    await anna.ask(`${OFFER} to=all`);
    expect(house.tracker.obey({ order: "mute", address: "anna" })).toEqual({
      done: true,
      lines: ['Muted "Anna" at 10.0.0.1:7001: nobody is told of its offers until this tracker ends. To end it: unmute'],
    });
    expect(await ben.ask("LIST offers=1")).toBe("NOT FOUND");
    expect(await anna.ask(`${OFFER} to=all`)).toStartWith("ERROR muted ");
    expect(anna.raw.pushes).toContainEqual(expect.stringContaining("NOTICE The tracker's operator has muted you"));
    expect(house.tracker.obey({ order: "mute" }).lines).toEqual(["10.0.0.1"]);
    expect(house.tracker.obey({ order: "unmute", address: "Ben" }).done).toBe(false);
    expect(house.tracker.obey({ order: "unmute", address: "Anna" }).lines).toEqual(["Unmuted 10.0.0.1."]);
    expect(await anna.ask(`${OFFER} to=all`)).toBe("OK");
  });

  test("of a peer that shares its address with others is of its name there", async () => {
    const house = new MemoryTracker();
    await using _ = house;
    const anna = await house.join([REPORT], { more: `${MORE}Anna`, port: 1 });
    const ben = await house.join([REPORT], { more: `${MORE}Ben`, port: 2 });
    house.tracker.obey({ order: "mute", address: "Anna" });
    expect(house.tracker.obey({ order: "mute" }).lines).toEqual([`"Anna" at ${LOOPBACK}`]);
    expect(await ben.ask(`${OFFER} to=all`)).toBe("OK");
    await anna.ask("BYE");
    const again = await house.join([REPORT], { more: `${MORE}ANNA`, port: 3 });
    expect(await again.ask(`${OFFER} to=all`)).toStartWith("ERROR muted ");
    expect(house.tracker.obey({ order: "unmute", address: "anna" }).done).toBe(true);
  });
});
