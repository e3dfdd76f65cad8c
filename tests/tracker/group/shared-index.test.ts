// Trackers that share one index, with a Redis in memory and a clock that is moved by hand.

import { describe, expect, test } from "bun:test";
import { SessionKey } from "../../../lib/protocol/pass.ts";
import { HandClock, settle } from "../../helpers/channel.ts";
import { files, Peer, valuesOf } from "../../helpers/guests.ts";
import { MemoryRedis } from "../../helpers/redis.ts";
import { MemoryTracker, NOTES, REPORT } from "../../helpers/tracker.ts";

/** Trackers A, B … of one group on one Redis, all connected. */
class Campus implements AsyncDisposable {
  readonly clock = new HandClock();
  readonly redis = new MemoryRedis(this.clock);
  readonly doors: ReturnType<MemoryRedis["door"]>[] = [];
  readonly trackers: MemoryTracker[] = [];

  static async of(count: number, ...args: string[]): Promise<Campus> {
    const campus = new Campus();
    for (let i = 0; i < count; i++) campus.add(...args);
    await campus.pass(2_000);
    return campus;
  }

  add(...args: string[]): MemoryTracker {
    const door = this.redis.door();
    this.doors.push(door);
    const name = String.fromCharCode(65 + this.trackers.length);
    const options = ["--name", name, "--group", "lab", "--redis", "redis://:secret@redis.test:6380", ...args];
    const tracker = new MemoryTracker(options, this.clock, door.open);
    this.trackers.push(tracker);
    return tracker;
  }

  get a(): MemoryTracker {
    return this.at(0);
  }

  get b(): MemoryTracker {
    return this.at(1);
  }

  at(i: number): MemoryTracker {
    const tracker = this.trackers[i];
    if (tracker === undefined) throw new Error(`There is no tracker ${i}.`);
    return tracker;
  }

  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms);
    await settle();
  }

  /** Every peer with its records, as a tracker knows them. */
  table(i: number): string[] {
    const all = [...this.at(i).tracker.catalog.everything()];
    return all
      .map(({ member: { id, address, port, name = "" }, files: own }) => {
        const records = [...own].map((file) => `${file.name} ${file.size} ${file.root ?? ""} ${file.part ?? ""}`).sort();
        return `${id} ${name} ${address}:${port} ${records.join("; ")}`;
      })
      .sort();
  }

  expectEqual(peers?: number): void {
    const tables = this.trackers.map((_, i) => this.table(i));
    for (const table of tables.slice(1)) expect(table).toEqual(tables[0] ?? []);
    if (peers !== undefined) expect(tables[0]).toHaveLength(peers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tracker of this.trackers) await tracker[Symbol.asyncDispose]();
  }
}

const from = (n: number) => ({ from: `10.0.0.${n}` });
const BEN = { more: "extras=1 name=Ben" };

describe("one index of several trackers", () => {
  test("a record is found at every tracker, changes there, and is gone when it is dropped or its peer leaves", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], { ...from(1), ...BEN });
    const ann = await campus.b.join([NOTES], from(2));
    await campus.pass(10);
    campus.expectEqual(2);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("10.0.0.1,40123");
    expect(await ben.ask("SEARCH: notes.txt")).toContain("10.0.0.2,40123");
    expect(await ben.ask(`ADD ${NOTES.replace("notes.txt", "more.txt")}`)).toBe("OK");
    await campus.pass(10);
    expect(await ann.ask("SEARCH: more.txt")).toContain("FOUND: 1");
    expect(await ben.ask("DROP report.pdf")).toBe("OK");
    await campus.pass(10);
    expect(await ann.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await ann.ask("FIND more limit=5 offset=0")).toContain("more.txt");
    expect(await ann.ask("KNOWN 10.0.0.1")).toBe("YES");
    expect(await ann.ask("WHO offset=0 limit=9")).toContain(`id=${ben.id} `);
    expect(await ben.ask("BYE")).toBe("BYE");
    await campus.pass(10);
    campus.expectEqual(1);
    expect(await ann.ask("KNOWN 10.0.0.1")).toBe("NO");
  });

  test("Redis never hears the name of a record that is for a few people; it is gone when it was for everybody before", async () => {
    await using campus = await Campus.of(2);
    const written: string[] = [];
    const run = campus.redis.run.bind(campus.redis);
    campus.redis.run = (command) => {
      written.push(command.join(" "));
      return run(command);
    };
    const plan = NOTES.replace("notes.txt", "plan.txt").replace(">", ";only=circle>");
    const ben = await campus.a.join([REPORT, plan], { ...from(1), ...BEN });
    const ann = await campus.b.join([NOTES], from(2));
    expect(await ben.ask(`ADD ${plan.replace(">", ";part=1;have=50>")}`)).toBe("OK");
    expect(await ben.ask(`ADD ${plan}`)).toBe("OK");
    expect(await ben.ask("DROP plan.txt")).toBe("OK");
    await campus.pass(10);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 1");
    expect(written.join("\n")).toContain("report.pdf");
    expect(written.join("\n")).not.toContain("plan.txt");
    expect(await ben.ask(`ADD ${REPORT.replace(">", ";only=circle>")}`)).toBe("OK");
    await campus.pass(10);
    expect(await ann.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await ben.ask(`ADD ${REPORT}`)).toBe("OK");
    await campus.pass(10);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 1");
  });

  test("a tracker that starts later reads the whole table; one that stops takes its peers along at once", async () => {
    await using campus = await Campus.of(1);
    for (let i = 1; i <= 120; i++) await campus.a.join([REPORT, NOTES], from(i));
    const late = campus.add();
    await campus.pass(2_000);
    campus.expectEqual(120);
    const ann = await late.join([NOTES], from(200));
    await campus.pass(10);
    expect(await ann.ask("LIST offset=0 limit=2000")).toStartWith("FOUND: 241");
    const stopping = campus.a.tracker.stop();
    await campus.pass(2_000);
    await stopping;
    await campus.pass(9_000);
    expect(campus.table(1)).toHaveLength(1);
    expect(late.all("tracker").map(({ state }) => state)).toEqual(["here", "gone"]);
  });

  test("a tracker that is killed is gone for the others within 15 seconds", async () => {
    await using campus = await Campus.of(3);
    await campus.a.join([REPORT], from(1));
    await campus.pass(20_000);
    campus.expectEqual(1);
    const [door] = campus.doors;
    if (door !== undefined) door.closed = true;
    door?.cut();
    await campus.pass(15_000);
    expect([campus.table(1), campus.table(2)]).toEqual([[], []]);
  });

  test("the peer of a file is asked to connect back through its own tracker", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    const ann = await campus.b.join([NOTES], { ...from(2), port: 40_777 });
    await campus.pass(10);
    expect(await ann.ask("CONNECT address=10.0.0.1 port=40123 token=abc")).toBe("OK");
    await campus.pass(10);
    expect(await ben.ask("PING")).toBe("PONG");
    expect(ben.raw.pushes).toContain("CONNECT address=10.0.0.2 port=40777 token=abc");
    expect(await ann.ask("CONNECT address=10.0.0.9 port=40123 token=abc")).toBe("NOT FOUND");
  });

  test("a watch is told of a file that appears at another tracker", async () => {
    await using campus = await Campus.of(2);
    const ann = await campus.b.join([NOTES], from(2));
    expect(await ann.ask("WATCH watch=w report")).toBe("OK");
    await campus.a.join([REPORT], from(1));
    await campus.pass(10);
    expect(await ann.ask("PING")).toBe("PONG");
    expect(ann.raw.pushes.some((line) => line.startsWith("APPEARED w <report.pdf"))).toBe(true);
  });

  test("a name that is taken at another tracker gets a number", async () => {
    await using campus = await Campus.of(2);
    await campus.a.join([REPORT], { ...from(1), ...BEN });
    await campus.pass(10);
    const second = await campus.b.join([REPORT], { ...from(2), ...BEN });
    expect(second.welcome.get("name")).toBe("Ben%20(2)");
  });

  test("each tracker counts its own peers towards its limit", async () => {
    await using campus = await Campus.of(2, "--max-peers", "2");
    for (let i = 1; i <= 2; i++) await campus.a.join([REPORT], from(i));
    await campus.pass(10);
    for (let i = 3; i <= 4; i++) await campus.b.join([REPORT], from(i));
    await campus.pass(10);
    campus.expectEqual(4);
  });

  test("FT/1 peers are shared, too, and leave by any tracker", async () => {
    await using campus = await Campus.of(2);
    await campus.a.register("<old.txt,data,5,01/02/03,10.0.0.1,5001>\n", from(1));
    await campus.pass(10);
    expect(await campus.b.exchangeAndShut("SEARCH: old.txt", from(1))).toContain("FOUND: <data,5,01/02/03,10.0.0.1,5001>");
    await campus.b.exchangeAndShut("BYE", from(1));
    await campus.pass(1_100);
    campus.expectEqual(0);
  });
});

describe("what is no record", () => {
  test("a notice, a kick and a ban reach the peers of every tracker, and an unban ends the ban everywhere", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.b.join([REPORT], { ...from(1), ...BEN });
    const ann = await campus.b.join([NOTES], { ...from(2), more: "extras=1 name=Ann" });
    await campus.pass(10);
    expect(campus.a.tracker.obey({ order: "notice", words: "Hello" }).lines).toEqual([
      "Told 0 peers, and those of the other trackers: Hello",
    ]);
    await campus.pass(10);
    expect(await ann.ask("PING")).toBe("PONG");
    expect(ann.raw.pushes).toContain("NOTICE Hello");
    expect(campus.a.tracker.obey({ order: "kick", address: "Ben" }).done).toBe(true);
    await campus.pass(10);
    expect((await ben.raw.rest()).toString()).toContain("DISMISSED kicked until=");
    expect(campus.a.tracker.obey({ order: "ban", address: "10.0.0.2", words: "too loud" }).done).toBe(true);
    await campus.pass(10);
    expect(campus.b.tracker.obey({ order: "bans" }).lines).toEqual(["10.0.0.2: too loud"]);
    expect((await ann.raw.rest()).toString()).toContain("DISMISSED banned\n");
    expect(campus.b.tracker.obey({ order: "unban", address: "10.0.0.2" }).done).toBe(true);
    await campus.pass(10);
    expect(campus.a.tracker.obey({ order: "bans" }).lines).toEqual(["No bans."]);
  });

  test("a tracker that was away learns which bans are new, and which are over", async () => {
    await using campus = await Campus.of(2);
    campus.a.tracker.obey({ order: "ban", address: "10.0.0.7" });
    await campus.pass(10);
    const [, door] = campus.doors;
    if (door !== undefined) door.closed = true;
    door?.cut();
    await campus.pass(1_000);
    campus.a.tracker.obey({ order: "unban", address: "10.0.0.7" });
    campus.a.tracker.obey({ order: "ban", address: "10.0.0.8", seconds: 3_600 });
    campus.b.tracker.obey({ order: "ban", address: "10.0.0.9" });
    await campus.pass(1_000);
    if (door !== undefined) door.closed = false;
    await campus.pass(5_000);
    const bans = (i: number) =>
      (campus.at(i).tracker.obey({ order: "bans" }).data as { address: string }[]).map(({ address }) => address);
    expect(bans(1)).toEqual(["10.0.0.8", "10.0.0.9"]);
    const third = campus.add();
    await campus.pass(2_000);
    expect(bans(2)).toEqual(["10.0.0.8", "10.0.0.9"]);
    expect(third.tracker.summary().bans).toBe(2);
  });

  test("GROUP tells the keys of the others, and how far their clocks are ahead", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], { ...from(1), more: "extras=1" });
    const ann = await campus.b.join([REPORT], { ...from(2), more: "extras=1" });
    await campus.pass(10);
    const told = (ben.raw.pushes.length > 0 ? ben.raw.pushes[0] : await ben.raw.push()) ?? "";
    expect(told).toBe(`GROUP ${ann.hi.get("key")}@127.0.0.1:1234@0`);
  });

  test("status shows the group, and the password is nowhere", async () => {
    await using campus = await Campus.of(2);
    await campus.b.join([REPORT], from(1));
    await campus.pass(3_000);
    const lines = campus.a.tracker.obey({ order: "status" }).lines.slice(-3);
    expect(lines).toEqual([
      'group        "lab", Redis at redis.test:6380 connected for 5.0 s',
      "  this one   0 peers, 0 files",
      '  tracker    "B" at 127.0.0.1:1234: 1 peer, 1 file',
    ]);
    campus.redis.down = true;
    campus.redis.kill();
    await campus.pass(40_000);
    const away = campus.a.tracker.obey({ order: "status" }).lines.slice(-3);
    expect(away[0]).toMatch(/Redis at redis\.test:6380 away for 40 s: it cannot be reached/);
    expect(away[2]).toMatch(/1 file, as known 4\d s ago$/);
    expect(JSON.stringify([lines, away, campus.a.events, campus.a.tracker.summary()])).not.toContain("secret");
  });
});

describe("a Redis that fails", () => {
  test("while it is away all goes on, others' records stay for a minute, and then they go", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    const ann = await campus.b.join([NOTES], from(2));
    await campus.pass(10);
    campus.redis.down = true;
    campus.redis.kill();
    await campus.pass(59_000);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 1");
    expect(await ben.ask(`ADD ${NOTES.replace("notes.txt", "more.txt")}`)).toBe("OK");
    await campus.pass(2_000);
    expect(await ann.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await ann.ask("SEARCH: notes.txt")).toContain("FOUND: 1");
    const said = campus.b.all("redis");
    expect(said.map(({ state }) => state)).toEqual(["connected", "away"]);
    campus.redis.down = false;
    await campus.pass(5_000);
    campus.expectEqual(2);
    expect(await ann.ask("SEARCH: more.txt")).toContain("FOUND: 1");
  });

  test.each([
    ["loses all its keys", (redis: MemoryRedis) => redis.flushAll()],
    ["closes all connections", (redis: MemoryRedis) => redis.kill()],
    [
      "is restarted without its data",
      (redis: MemoryRedis) => {
        redis.flushAll();
        redis.kill();
      },
    ],
  ])("when it %s, no search fails, and the tables are equal within 10 seconds", async (_what, fail) => {
    await using campus = await Campus.of(3);
    for (let i = 1; i <= 3; i++) await campus.at(i - 1).join([REPORT], from(i));
    const ann = await campus.b.join([NOTES], from(9));
    await campus.pass(10);
    fail(campus.redis);
    await campus.a.join([NOTES.replace("notes", "new")], from(10));
    for (let i = 0; i < 100; i++) {
      await campus.pass(100);
      expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 3");
    }
    campus.expectEqual(5);
  });

  test("when it takes no changes, everything stays, and changes come when it takes them again", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    const ann = await campus.b.join([NOTES], from(2));
    await campus.pass(10);
    campus.redis.refuses = "it takes no changes, because it cannot save them to its disk (MISCONF)";
    expect(await ben.ask(`ADD ${NOTES.replace("notes.txt", "more.txt")}`)).toBe("OK");
    await campus.pass(30_000);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 1");
    expect(campus.b.all("redis").at(-1)).toMatchObject({ state: "away", reason: campus.redis.refuses });
    campus.redis.refuses = undefined;
    await campus.pass(10_000);
    campus.expectEqual(2);
  });

  test("after a partition of a minute the tables are equal, without the peers that left meanwhile", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    await campus.b.join([NOTES], from(2));
    await campus.pass(10);
    const [door] = campus.doors;
    if (door !== undefined) door.closed = true;
    door?.cut();
    await campus.pass(30_000);
    expect(await ben.ask("BYE")).toBe("BYE");
    await campus.a.join([REPORT], from(3));
    await campus.pass(30_000);
    if (door !== undefined) door.closed = false;
    await campus.pass(10_000);
    campus.expectEqual(2);
    expect(campus.table(1).some((line) => line.startsWith(ben.id))).toBe(false);
  });

  test("a reader that has missed changes reads the whole table again", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    await campus.pass(10);
    // B is busy, and meanwhile the changes are trimmed away.
    const read = campus.redis.run.bind(campus.redis);
    campus.redis.run = (command) => (command[0] === "XREAD" ? null : read(command));
    for (let i = 0; i < 5; i++) {
      expect(await ben.ask(`ADD ${NOTES.replace("notes", `n${i % 4}`)}`)).toBe("OK");
      await campus.pass(10);
    }
    campus.redis.trim(1);
    campus.redis.run = read;
    await campus.pass(3_000);
    campus.expectEqual(1);
    expect(campus.table(1)[0]).toContain("n3.txt");
  });

  test("what waits for Redis is never more than the table", async () => {
    await using campus = await Campus.of(1);
    campus.redis.down = true;
    campus.redis.kill();
    await campus.pass(1_000);
    const before = campus.redis.heard.length;
    const ben = await campus.a.join([REPORT], from(1));
    for (let i = 0; i < 50; i++) {
      await ben.ask(`ADD ${NOTES}`);
      await ben.ask("DROP notes.txt");
    }
    await campus.pass(1_000);
    expect(campus.redis.heard.length).toBe(before);
    campus.redis.down = false;
    await campus.pass(3_000);
    expect(campus.redis.hash(campus.redis.names.find((name) => name.includes(":peers:")) ?? "").size).toBe(3);
  });

  test("clocks that differ by minutes change nothing", async () => {
    const campus = new Campus();
    await using _ = campus;
    campus.redis.ahead = 400_000;
    campus.add();
    campus.add();
    await campus.pass(2_000);
    await campus.a.join([REPORT], from(1));
    const ann = await campus.b.join([NOTES], from(2));
    await campus.pass(10);
    campus.expectEqual(2);
    campus.clock.step(-3_600_000);
    await campus.pass(30_000);
    campus.expectEqual(2);
    expect(await ann.ask("SEARCH: report.pdf")).toContain("FOUND: 1");
  });
});

describe("what another program has written into Redis", () => {
  const EVIL = {
    epoch: "1-x",
    name: "Evil",
    key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    at: ["10.0.0.66:1"],
    clock: 0,
  };
  const PEER = { address: "10.0.0.66", port: 9, profile: 2, agent: "x", joined: 1 };

  /** Writes a tracker with these fields. */
  function add({ redis }: Campus, fields: Record<string, string>, alive: object = {}): void {
    for (const [field, value] of Object.entries({ ...fields, "@": EVIL.epoch }))
      redis.hash(`ft:lab:peers:evil:${EVIL.epoch}`).set(field, value);
    redis.run(["SADD", "ft:lab:trackers", "evil"]);
    redis.run(["SET", "ft:lab:alive:evil", JSON.stringify({ ...EVIL, ...alive }), "PX", "60000"]);
  }

  /** Tells all trackers something. */
  function tell({ redis }: Campus, event: object): void {
    for (const [, tracker = ""] of redis.names.join("\n").matchAll(/^ft:lab:alive:(.*)$/gm))
      redis.run(["XADD", `ft:lab:inbox:${tracker}`, "MAXLEN", "~", "9", "*", "!", JSON.stringify({ from: "Evil", ...event })]);
  }

  test.each([
    ["a peer that joined at no time", { p1: JSON.stringify({ ...PEER, joined: 1e300 }) }],
    ["a peer that joined before all time", { p1: JSON.stringify({ ...PEER, joined: -1e300 }) }],
    ["an id of several lines", { "p1\nPONG": JSON.stringify(PEER) }],
    ["an id without end", { ["p".repeat(5_000)]: JSON.stringify(PEER) }],
  ])("%s is left out, and every answer is right", async (_what, fields) => {
    await using campus = await Campus.of(1);
    const ben = await campus.a.join([REPORT], from(1));
    add(campus, { ...fields, p2: JSON.stringify(PEER), "p2 notes.txt": NOTES });
    await campus.pass(3_000);
    expect(campus.table(0).map((line) => line.split(" ")[0])).toEqual([ben.id, "p2"].sort());
    const words = (await ben.ask("WHO offset=0 limit=9")).split("\n").map((line) => line.split(" ")[0]);
    expect(words.sort()).toEqual(["PEERS:", `id=${ben.id}`, "id=p2"].sort());
    expect(await ben.ask("PING")).toBe("PONG");
  });

  test("a kick or a ban that ends at no time is none, and notices that are no text are not told", async () => {
    await using campus = await Campus.of(2);
    const ben = await campus.a.join([REPORT], from(1));
    for (const until of [1e300, -1, "soon"]) {
      tell(campus, { what: "kick", network: "10.0.0.1", until });
      tell(campus, { what: "ban", network: "10.0.0.1", until, reason: "" });
      campus.redis.hash("ft:lab:bans").set("10.0.0.1", JSON.stringify({ until, reason: "" }));
    }
    tell(campus, { what: "notice", words: { a: 1 } });
    await campus.pass(10);
    campus.redis.kill();
    await campus.pass(5_000);
    expect(await ben.ask("PING")).toBe("PONG");
    expect(ben.raw.pushes.filter((line) => line.startsWith("NOTICE"))).toEqual([]);
    expect(campus.a.all("redis").map(({ state }) => state)).toEqual(["connected", "away", "connected"]);
    expect(campus.a.tracker.obey({ order: "bans" }).lines).toEqual(["No bans."]);
    await campus.a.join([NOTES], { ...from(1), port: 4_444 });
    campus.expectEqual(2);
  });

  test("a long name of a tracker is cut", async () => {
    await using campus = await Campus.of(1);
    add(campus, {}, { name: "E".repeat(10_000) });
    await campus.pass(3_000);
    expect(campus.a.tracker.obey({ order: "status" }).lines.at(-1)?.length).toBeLessThan(400);
  });
});

describe("one peer at two trackers", () => {
  /** A peer with a session key joins. `before`: the session that it had. */
  async function join(tracker: MemoryTracker, n: number, key: SessionKey, before = ""): Promise<Peer> {
    const raw = await tracker.connect(from(n));
    const session = before === "" ? "" : ` session=${before}`;
    raw.send(`HELLO FT/2 agent=test/1 extras=1 name=Ben key=${key.key}${session}\n`);
    const hi = valuesOf(await raw.line());
    const proof = before === "" ? "" : ` proof=${key.prove(hi.get("nonce") ?? "", before)}`;
    raw.send(files(40_123, REPORT).replace("\n", `${proof}\n`));
    return new Peer(raw, hi, valuesOf(await raw.line()));
  }

  test("a peer that goes to another tracker and proves its session keeps its id and its name; the old one lets it go", async () => {
    await using campus = await Campus.of(2);
    const key = new SessionKey();
    const first = await join(campus.a, 1, key);
    await campus.pass(10);
    const second = await join(campus.b, 2, key, first.session);
    expect([second.id, second.welcome.get("name")]).toEqual([first.id, "Ben"]);
    await campus.pass(10);
    campus.expectEqual(1);
    expect(campus.table(0)[0]).toContain("10.0.0.2");
    expect(first.raw.ended).toBe(true);
    expect(campus.a.all("left").map(({ reason }) => reason)).toEqual(["reconnected"]);
    const back = await join(campus.a, 1, key, second.session);
    await campus.pass(10);
    expect(back.id).toBe(first.id);
    campus.expectEqual(1);
    expect(campus.table(1)[0]).toContain("10.0.0.1");
  });

  test("without the private key nobody takes the place of a peer", async () => {
    await using campus = await Campus.of(2);
    const key = new SessionKey();
    const first = await join(campus.a, 1, key);
    await campus.pass(10);
    const thief = Object.assign(new SessionKey(), { key: key.key });
    const second = await join(campus.b, 2, thief, first.session);
    expect(second.id).not.toBe(first.id);
    await campus.pass(10);
    campus.expectEqual(2);
    expect(first.raw.ended).toBe(false);
  });

  test("a peer that moved while its trackers could not see each other is once in the tables afterwards", async () => {
    await using campus = await Campus.of(2);
    const key = new SessionKey();
    const [door] = campus.doors;
    if (door !== undefined) door.closed = true;
    door?.cut();
    const first = await join(campus.a, 1, key);
    await campus.pass(2_000);
    const second = await join(campus.b, 2, key, first.session);
    expect(second.id).not.toBe(first.id);
    await campus.pass(2_000);
    if (door !== undefined) door.closed = false;
    await campus.pass(10_000);
    campus.expectEqual(1);
    expect(campus.table(0)[0]).toContain("10.0.0.2");
    expect(first.raw.ended).toBe(true);
  });
});
