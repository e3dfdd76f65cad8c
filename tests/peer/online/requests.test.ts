// What a peer asks its tracker, and what it makes of the replies.

import { describe, expect, test } from "bun:test";
import { addressOf, nameOf, REFUSED, settle } from "../../helpers/channel.ts";
import { failure, HI, play, REPORT, ROOT, report, SessionRoom, stateOf, WHERE } from "../../helpers/session-room.ts";

describe("asking", () => {
  const FOUND = `FOUND: 2\n${REPORT}\n<report.pdf,data,9,01/01/26,10.0.0.9,5001>\n`;

  test("a search, byte for byte both ways", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const searching = room.session.requests.search(nameOf("50% of a,b;c <d>.pdf"));
    expect(await far.line()).toBe("SEARCH: 50%25 of a%2Cb%3Bc %3Cd%3E.pdf");
    far.say(FOUND);
    expect(await searching).toEqual([
      report,
      {
        name: nameOf("report.pdf"),
        type: "data",
        size: 9,
        date: "01/01/26",
        address: addressOf("10.0.0.9"),
        port: 5001,
        v2: false,
      },
    ]);
  });

  test("entries that cannot be read are left out, are told once as a number, and the session goes on", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const { requests } = room.session;
    const peer = (id: number, bytes: string) => `id=${id} address=10.0.0.1 port=5 files=1 bytes=${bytes} agent=a since=s\n`;
    const who = requests.who();
    await far.line();
    far.say(`PEERS: 2000\n${peer(1, "-1")}${Array.from({ length: 1999 }, (_, i) => peer(i + 2, "5")).join("")}`);
    // The page was full: the entry that could not be read counts as one of it.
    expect(await far.line()).toBe("WHO offset=2000 limit=2000");
    far.say(`PEERS: 2\n${peer(3000, "5")}${peer(3001, "1e3")}`);
    expect((await who).length).toBe(2000);
    const finding = requests.search(nameOf("a"));
    await far.line();
    far.say("FOUND: 2\n<a,data,9,01/01/26,10.0.0.9,5001>\n<a,data,-9,01/01/26,10.0.0.9,5001>\n");
    expect((await finding).length).toBe(1);
    // The later answer is of the same command, or likely has the same entries.
    expect(room.named("unread")).toEqual([{ event: "unread", count: 2 }]);
    expect(room.session.online).toBe(true);
  });

  test("the records of a holder are those of the peer at its address, or of its id", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const line = (id: string) => `id=${id} address=10.0.0.9 port=5001 files=1 bytes=1 agent=a since=s\n`;
    for (const [peer, ids] of [
      [undefined, ["p1", "p2"]],
      ["p2", ["p2"]],
    ] as const) {
      const asked = room.session.requests.ofHolder({ address: addressOf("10.0.0.9"), port: 5001, ...(peer && { peer }) });
      expect(await far.line()).toStartWith("WHO");
      far.say(`PEERS: 3\n${line("p1")}${line("p2")}id=p3 address=10.0.0.8 port=5001 files=1 bytes=1 agent=a since=s\n`);
      for (const id of ids) {
        expect(await far.line()).toContain(`id=${id}`);
        far.say(`FOUND: 1\n${REPORT}\n`);
      }
      expect(await asked).toHaveLength(ids.length);
    }
  });

  test("an answer in single bytes is the same answer", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const searching = room.session.requests.search(nameOf("report.pdf"));
    await far.line();
    far.stutter(FOUND);
    expect((await searching).map(({ size }) => size)).toEqual([48_213, 9]);
  });

  test("requests at once are answered in their order, and what the tracker says between is told apart", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const a = room.session.requests.search(nameOf("a"));
    expect(await far.line()).toBe("SEARCH: a");
    const known = room.session.requests.known(addressOf("192.168.1.9"));
    expect(await far.line()).toBe("KNOWN 192.168.1.9");
    const b = room.session.requests.search(nameOf("b"));
    expect(await far.line()).toBe("SEARCH: b");
    const unknown = room.session.requests.known(addressOf("2001:db8::1"));
    expect(await far.line()).toBe("KNOWN 2001:db8::1");
    far.say(
      `REACH yes\nNOTICE Maintenance at 18:00\nNOT FOUND\nCONNECT address=10.0.0.9 port=5 token=t\nYES\n${FOUND}SOMETHING new=1\nNO\n`,
    );
    expect([(await a).length, await known, (await b).length, await unknown]).toEqual([0, true, 2, false]);
    expect(room.named("notice")).toEqual([{ event: "notice", words: "Maintenance at 18:00" }]);
  });

  test("everybody online and every file of one", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const who = room.session.requests.who();
    expect(await far.line()).toMatch(/^WHO\b/);
    far.say(
      "PEERS: 1\nid=7f address=192.168.1.9 port=5001 files=3 bytes=1000 agent=ft-peer/1.0.0 since=2026-11-22T09:00:00Z\n",
    );
    expect(await who).toEqual([
      {
        id: "7f",
        address: addressOf("192.168.1.9"),
        port: 5001,
        files: 3,
        bytes: 1000,
        agent: "ft-peer/1.0.0",
        since: "2026-11-22T09:00:00Z",
      },
    ]);
    const list = room.session.requests.list("7f");
    expect(await far.line()).toMatch(/^LIST id=7f\b/);
    far.say(FOUND);
    expect(await list).toHaveLength(2);
    const everything = room.session.requests.list();
    expect(await far.line()).not.toContain("id=");
    far.say("NOT FOUND\n");
    expect(await everything).toEqual([]);
  });

  test("a long list is fetched page by page", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const line = (i: number) => `<f${i},data,1,01/01/26,10.0.0.9,5001>`;
    const page = (from: number, count: number) =>
      `FOUND: ${count}\n${Array.from({ length: count }, (_, i) => line(from + i)).join("\n")}\n`;
    const list = room.session.requests.list();
    expect(await far.line()).toBe("LIST offset=0 limit=2000");
    far.say(page(0, 2000));
    expect(await far.line()).toBe("LIST offset=2000 limit=2000");
    far.say(page(2000, 3));
    expect((await list).map(({ name }) => String(name)).slice(-4)).toEqual(["f1999", "f2000", "f2001", "f2002"]);
  });

  describe("a list without end", () => {
    /** A tracker that gives a full page for each request: its lines are `line` of their number. */
    async function endless(line: (i: number) => string, { total = "", pauseMs = 0 } = {}) {
      const room = new SessionRoom();
      const far = await room.online();
      const heard: string[] = [];
      play(far, heard, (request) => {
        const verb = request.startsWith("WHO") ? "PEERS" : "FOUND";
        const from = Number(/offset=(\d+)/.exec(request)?.[1]);
        room.clock.spend(pauseMs);
        return `${verb}: 2000${total}\n${Array.from({ length: 2000 }, (_, i) => `${line(from + i)}\n`).join("")}`;
      });
      return { requests: room.session.requests, heard };
    }
    const file = (i: number) => `<f${i},data,1,01/01/26,10.0.0.9,5001;v=2;root=${ROOT}>`;
    const peer = (i: number) => `id=p${i} address=10.0.0.9 port=5001 files=1 bytes=1 agent=x since=2026-11-22T09:00:00Z`;

    test.each(["list", "find", "who", "holders"] as const)("%s ends with a sentence after 100,000 entries", async (what) => {
      const { requests, heard } = await endless(what === "who" ? peer : file);
      const asking = {
        list: () => requests.list(),
        find: () => requests.findAll({ words: ["f"], group: true }),
        who: () => requests.who(),
        holders: () => requests.holders(ROOT),
      }[what]();
      const { code, message } = await failure(asking);
      expect([code, heard.length]).toEqual(["too-long", 50]);
      expect(message).toBe(
        `The list of the tracker at "${WHERE}" has more than 100000 entries. Ask for less: find with words, or search for an exact name.`,
      );
    });

    test("pages that are slow end with a sentence after a minute", async () => {
      const { requests, heard } = await endless(file, { pauseMs: 10_000 });
      expect((await failure(requests.list())).message).toContain("has no end after 60 s");
      expect(heard.length).toBeLessThanOrEqual(7);
    });

    test("the tracker's own total ends it", async () => {
      const { requests, heard } = await endless(file, { total: " total=4000" });
      expect(await requests.findAll({ words: ["f"], group: true })).toHaveLength(4000);
      expect(heard).toHaveLength(2);
    });

    test("a page that brings nothing new ends it, and nothing is kept twice", async () => {
      const { requests, heard } = await endless((i) => file(i % 1000));
      expect(await requests.list()).toHaveLength(1000);
      expect(heard).toHaveLength(2);
    });

    test("pages with one new entry each end with a sentence too", async () => {
      const { requests, heard } = await endless((i) => file(i % 2000 === 0 ? i : 1));
      expect((await failure(requests.list())).code).toBe("too-long");
      expect(heard).toHaveLength(50);
    });
  });

  test("records are added and dropped; the last one is not", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const added = room.session.requests.add(report);
    expect(await far.line()).toBe(`ADD ${REPORT}`);
    far.say("OK\n");
    await added;
    const dropped = room.session.requests.drop(nameOf("a, b.txt"));
    expect(await far.line()).toBe("DROP a%2C b.txt");
    far.say("OK\n");
    expect(await dropped).toBe(true);
    const last = room.session.requests.drop(nameOf("notes.txt"));
    await far.line();
    far.say("ERROR last-file The list never becomes empty.\n");
    expect(await last).toBe(false);
    expect(room.session.online).toBe(true);
  });

  test("an ERROR is a sentence, and the session goes on", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const failed = failure(room.session.requests.search(nameOf("x")));
    await far.line();
    far.say("ERROR too-fast Ask more slowly, please.\n");
    const { message, code } = await failed;
    expect([code, message]).toEqual(["too-fast", `The tracker at "${WHERE}" refused: Ask more slowly, please.`]);
    const searching = room.session.requests.search(nameOf("y"));
    expect(await far.line()).toBe("SEARCH: y");
    far.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });
});

describe("who has a content", () => {
  const line = (name: string, root?: string, port = 1) =>
    `<${name},data,9,01/02/26,10.0.0.7,${port};v=2${root === undefined ? "" : `;root=${root}`}>\n`;

  test("is asked by its content id, all pages of it", async () => {
    const one = new SessionRoom();
    const far = await one.online();
    const heard: string[] = [];
    const page = Array.from({ length: 2000 }, (_, i) => line(`f${i}`, ROOT)).join("");
    play(far, heard, (request) => (request.includes("offset=0") ? `FOUND: 2000\n${page}` : `FOUND: 1\n${line("last", ROOT)}`));
    const holders = await one.session.requests.holders(ROOT);
    expect(heard).toEqual([`LIST root=${ROOT} offset=0 limit=2000`, `LIST root=${ROOT} offset=2000 limit=2000`]);
    expect([holders.length, String(holders.at(-1)?.name)]).toEqual([2001, "last"]);
  });

  test("a tracker that does not know root= gives everything: only this content is taken from it", async () => {
    const one = new SessionRoom();
    const far = await one.online();
    const all = line("a", ROOT) + line("b") + line("c", ROOT.replace("9", "8")) + line("d", ROOT, 2);
    play(far, [], () => `FOUND: 4\n${all}`);
    expect((await one.session.requests.holders(ROOT)).map(({ name }) => String(name))).toEqual(["a", "d"]);
  });

  test("for a watch it is asked by its content id alone, or with the filters of the watch", async () => {
    const one = new SessionRoom();
    const far = await one.online();
    const { requests } = one.session;
    const any = requests.wanted({ words: [], ext: undefined, root: ROOT, group: true });
    expect(await far.line()).toMatch(/^LIST .*root=/);
    far.say("FOUND: 0\n");
    expect(await any).toEqual([]);
    const filtered = requests.wanted({ words: [], ext: ["pdf"], root: ROOT, group: true });
    expect(await far.line()).toMatch(/^FIND .*ext=pdf/);
    far.say("FOUND: 0 total=0\n");
    expect(await filtered).toEqual([]);
  });

  test("nobody is an answer, too", async () => {
    const one = new SessionRoom();
    const far = await one.online();
    play(far, [], () => "NOT FOUND\n");
    expect(await one.session.requests.holders(ROOT)).toEqual([]);
  });

  test("an old tracker cannot say, and a refusal is a sentence", async () => {
    const old = new SessionRoom();
    await old.onlineBasic();
    expect((await failure(old.session.requests.holders(ROOT))).code).toBe("basic-tracker");
    const one = new SessionRoom();
    const far = await one.online();
    play(far, [], () => "ERROR busy Later, please.\n");
    expect((await failure(one.session.requests.holders(ROOT))).message).toContain("Later, please.");
  });
});

describe("connecting back", () => {
  const CALL = { address: addressOf("192.168.1.31"), port: 5000, token: "aB3-_x" };
  const PUSH = "CONNECT address=192.168.1.31 port=5000 token=aB3-_x\n";

  test("somebody who asks to be connected to is told of while this peer is online, and only then", async () => {
    const calls: unknown[] = [];
    const room = new SessionRoom(undefined, { callBack: (to) => calls.push(to) });
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say(`${HI}${PUSH}`);
    await far.lines(3);
    await settle();
    expect(calls).toEqual([]);
    room.welcome(far);
    await joining;
    expect(calls).toEqual([]);
    far.say(PUSH);
    far.say("CONNECT address=fe80::1 port=1 token=t\n");
    await settle();
    expect(calls).toMatchObject([CALL, { address: "fe80::1", port: 1, token: "t" }]);
    const leaving = room.session.leave();
    await far.line();
    far.say("BYE\n");
    await leaving;
    far.say(PUSH);
    await settle();
    expect(calls).toHaveLength(2);
  });

  test.each([
    "CONNECT address=192.168.1.31 port=0 token=t",
    "CONNECT address=nobody port=5000 token=t",
    "CONNECT address=192.168.1.31 port=5000 token=",
    "CONNECT address=192.168.1.31 port=5000 token=a%0Ab",
    `CONNECT address=192.168.1.31 port=5000 token=${"x".repeat(65)}`,
    "CONNECT",
  ])("%j is no such wish: the tracker has broken the protocol", async (line) => {
    const calls: unknown[] = [];
    const room = new SessionRoom(undefined, { callBack: (to) => calls.push(to) });
    const far = await room.online();
    far.say(`${line}\n`);
    await settle();
    expect([far.over, calls]).toEqual([true, []]);
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
  });

  test("a peer that connects to nobody passes such wishes over", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.say(PUSH);
    await settle();
    expect([room.session.online, far.over]).toEqual([true, false]);
  });

  test.each([
    ["OK", true],
    ["NOT FOUND", false],
    ["ERROR too-many-connects You ask for too many connections.", false],
    ["ERROR unknown-verb CONNECT is not known here.", false],
    ["YES", false],
  ])("asking for one, answered %s, is %p", async (answer, asked) => {
    const room = new SessionRoom();
    const far = await room.online();
    const asking = room.session.requests.connect(CALL);
    expect(await far.line()).toBe("CONNECT address=192.168.1.31 port=5000 token=aB3-_x");
    far.say(`${answer}\n`);
    expect(await asking).toBe(asked);
    expect(room.session.online).toBe(true);
  });

  test("while away nobody is asked, and nothing is waited for", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const asking = room.session.requests.connect(CALL);
    expect(await stateOf(asking)).toBe("done");
    expect(await asking).toBe(false);
  });

  test("a tracker that goes away meanwhile is a failure, like that of any request", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const failed = failure(room.session.requests.connect(CALL));
    await far.line();
    far.reset();
    expect((await failed).code).toBe("tracker-gone");
  });

  test("an old tracker cannot do it, and is not asked", async () => {
    const room = new SessionRoom();
    await room.onlineBasic();
    const dialled = room.net.dialled.length;
    expect(await room.session.requests.connect(CALL)).toBe(false);
    expect(room.net.dialled).toHaveLength(dialled);
  });
});
