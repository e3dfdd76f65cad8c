// Accepted FT/2 peers: how they join, whether others can connect to them, requests to connect, and sessions.

import { describe, expect, test } from "bun:test";
import { readPass, SessionKey } from "../../lib/protocol/pass.ts";
import { HandClock, settle } from "../helpers/channel.ts";
import { files, Peer, valuesOf } from "../helpers/guests.ts";
import {
  CLOSED,
  LOOPBACK,
  MemoryTracker,
  NOTES,
  NOTES_SEEN,
  OLD_NOTES,
  OLD_NOTES_FOUND,
  OLD_REPORT,
  pushes,
  REPORT,
  REPORT_SEEN,
  ROOT,
  replies,
  THEN,
} from "../helpers/tracker.ts";

/** An address of the tracker on its network. */
const LAN = "192.168.1.2";

describe("FT/2: joining", () => {
  test("HELLO is answered with the tracker's name, limit, key and the address it sees", async () => {
    await using house = new MemoryTracker(["--max-files", "7"]);
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=ft-peer/1.0.0\n");
    expect(await guest.line()).toMatch(/^HI FT\/2 name=Lab%203 max=7 key=[\w-]{43} you=127\.0\.0\.1$/);
  });

  test("a pass is good for ten minutes, with extras=1 and without", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    for (const more of ["", "extras=1", "extras=1 key=x"]) {
      const { hi, welcome } = await house.join([NOTES], { more });
      expect(readPass(welcome.get("pass") ?? "", hi.get("key") ?? "")?.expires).toBe(THEN / 1000 + 600);
      expect([welcome.get("now"), hi.has("nonce")]).toEqual([more === "" ? undefined : `${THEN / 1000}`, more.includes("key")]);
    }
  });

  test("FILES is answered with an id, a pass and how much there is", async () => {
    await using house = new MemoryTracker();
    const first = await house.join([REPORT, NOTES]);
    expect([first.welcome.get("peers"), first.welcome.get("files")]).toEqual(["1", "2"]);
    const second = await house.join([NOTES]);
    expect([second.welcome.get("peers"), second.welcome.get("files")]).toEqual(["2", "3"]);
    expect(first.id).toMatch(/^[\w-]+$/);
    expect(second.id).not.toBe(first.id);
    expect(await house.event("joined")).toMatchObject({
      id: first.id,
      port: 40123,
      files: 2,
      agent: "test/1",
      profile: "FT/2",
    });
  });

  test("the pass is signed by the tracker's key for that peer, that address and a time", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    await using other = new MemoryTracker();
    const peer = await house.join();
    const stranger = await other.join();
    const pass = peer.welcome.get("pass") ?? "";
    const key = peer.hi.get("key") ?? "";
    expect(pass).toMatch(/^[\w-]+\.[\w-]{86}$/);
    expect(readPass(pass, key)).toEqual({ id: peer.id, address: expect.anything(), expires: expect.any(Number) });
    expect(readPass(pass, key)?.address as string).toBe(LOOPBACK);
    expect(readPass(pass, key)?.expires).toBeGreaterThan(THEN / 1000);
    expect(readPass(pass, stranger.hi.get("key") ?? "")).toBeUndefined();
    expect(readPass(stranger.welcome.get("pass") ?? "", key)).toBeUndefined();
    const [payload = "", signature = ""] = pass.split(".");
    const forged = Buffer.from(Buffer.from(payload, "base64url").toString().replace(LOOPBACK, "127.0.0.2"));
    expect(readPass(`${forged.toString("base64url")}.${signature}`, key)).toBeUndefined();
  });

  test("sending the list again brings a pass that is good for longer, under the same id and key", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    const key = peer.hi.get("key") ?? "";
    const before = readPass(peer.welcome.get("pass") ?? "", key);
    for (let s = 0; s < 1800; s += 45) {
      await house.pass(45_000);
      expect(await peer.ask("PING")).toBe("PONG");
    }
    await peer.renew(40123, NOTES);
    const after = readPass(peer.welcome.get("pass") ?? "", key);
    expect(after).toEqual({ id: before?.id ?? "", address: expect.anything(), expires: (before?.expires ?? 0) + 1800 });
  });

  test("the address in pass, HI, records and WHO is the one that was seen, whatever the record says", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES.replace("192.168.1.17", "203.0.113.9")]);
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await peer.ask("WHO")).toContain(" address=127.0.0.1 ");
    expect(await peer.ask("KNOWN 203.0.113.9")).toBe("NO");
  });

  test("the port of all records is that of FILES", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES.replace(",40123", ",9")], { port: 40777 });
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(",40123", ",40777")}`);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(",40123", ",40777")}`);
  });

  test("FILES 0 gets no answer: the tracker closes", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nFILES 0 port=40123\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect((await guest.rest()).toString()).toBe("");
    expect(house.all("refused")).toHaveLength(1);
  });

  test("FILES 0 of a peer that was accepted is its end, at once, even if it does not close", async () => {
    await using house = new MemoryTracker();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("FILES 0 port=40123\n");
    expect(await peer.raw.replies()).toBe("");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });

  test("more files than allowed are refused before they are sent, with a reason", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nFILES 6 port=40123\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect(await guest.line()).toMatch(/^ERROR too-many-files \S.+$/);
    expect((await guest.rest()).toString()).toBe("");
    expect(house.all("joined")).toEqual([]);
  });

  test("five files are accepted, and a name that comes twice counts once, the last time", async () => {
    await using house = new MemoryTracker();
    const names = ["a", "b", "c", "a", "d"];
    const peer = await house.join(names.map((name, i) => `<${name},data,${i},01/02/03,10.0.0.1,1>`));
    expect(peer.welcome.get("files")).toBe("4");
    expect(await peer.ask("SEARCH: a")).toBe("FOUND: 1\n<a,data,3,01/02/03,127.0.0.1,40123>");
  });

  test("nobody who is not accepted is served: no answer to anything before FILES", async () => {
    await using house = new MemoryTracker();
    await house.join([NOTES]);
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    guest.send(`SEARCH: notes.txt\nWHO\nLIST\nKNOWN 127.0.0.1\nPING\nADD ${REPORT}\nDROP notes.txt\nWHAT\n`);
    guest.send(files(40124, REPORT));
    // The first answer is the one to FILES.
    expect(await guest.line()).toMatch(/^WELCOME .* peers=2 files=2$/);
  });

  test("an FT/2 peer that says BYE before it shared anything gets no answer", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nBYE\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect((await guest.rest()).toString()).toBe("");
  });

  test("above --max-peers a newcomer is refused with a reason, a member renews, and a free place is given away", async () => {
    await using house = new MemoryTracker(["--max-peers", "1"]);
    const peer = await house.join([NOTES]);
    const late = await house.connect();
    late.send(`HELLO FT/2 agent=test/1\n${files(40124, REPORT)}`);
    expect(await late.line()).toStartWith("HI FT/2 ");
    expect(await late.line()).toMatch(/^ERROR tracker-full \S.+$/);
    expect((await late.rest()).toString()).toBe("");
    expect(await house.register(`${OLD_REPORT}\n`)).toBe("");
    expect(await house.exchange("SEARCH: report.pdf")).toBe("NOT FOUND");
    await peer.renew(40123, NOTES);
    expect(peer.welcome.get("peers")).toBe("1");
    expect(await peer.ask("BYE")).toBe("BYE");
    expect((await house.join([REPORT])).welcome.get("peers")).toBe("1");
  });
});

describe("FT/2: whether others can connect to a peer", () => {
  const NO = "REACH no reason=nothing%20listens%20there%20(connection%20refused)";

  test("is told to it once it is accepted, after one bare connect and close", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    const peer = await house.join([NOTES], { port: door.port });
    expect(await peer.raw.push()).toBe("REACH yes");
    for (let minute = 0; minute < 5; minute += 1) {
      await house.pass(60_000);
      expect(await peer.ask("PING")).toBe("PONG");
    }
    expect(door.visits).toEqual([0]);
    expect(peer.raw.pushes).toEqual([]);
    expect(house.all("unreachable")).toEqual([]);
  });

  test("is told to it with the reason, and to the operator, when its port is closed", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES], { port: CLOSED });
    expect(await peer.raw.push()).toBe(NO);
    expect(await house.event("unreachable")).toEqual({
      event: "unreachable",
      id: peer.id,
      address: LOOPBACK,
      port: CLOSED,
      reason: "nothing listens there (connection refused)",
    });
    expect(await peer.ask("PING")).toBe("PONG");
    expect(house.all("left")).toEqual([]);
  });

  test("is tried again for another port, and not for the same", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    const peer = await house.join([NOTES], { port: door.port, more: "extras=1" });
    expect(await peer.raw.push()).toBe("REACH yes");
    for (let i = 0; i < 3; i += 1) await peer.renew(door.port, NOTES);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    await settle();
    expect(await peer.ask("WHO")).toEndWith(" reach=yes");
    expect([peer.raw.pushes, door.visits]).toEqual([[], [0]]);
    // What was so for the old port is not said of the new one.
    peer.raw.send(`${files(CLOSED, NOTES)}WHO\n`);
    expect(await peer.raw.reply()).toStartWith("WELCOME ");
    expect(await peer.raw.reply()).not.toContain("reach");
    expect(await peer.raw.push()).toBe(NO);
    expect(await peer.ask("WHO")).toEndWith(" reach=no");
    expect(await peer.ask("SEARCH: notes.txt")).toEndWith(`,${CLOSED};v=2;reach=no>`);
    await peer.renew(door.port, NOTES);
    expect(await peer.raw.push()).toBe("REACH yes");
    expect(await peer.ask("WHO")).toEndWith(" reach=yes");
    expect(await peer.ask("SEARCH: notes.txt")).toEndWith(`,${door.port};v=2>`);
    expect(house.all("unreachable")).toMatchObject([{ port: CLOSED }]);
  });

  for (const [how, first, last] of [
    ["opens", "REACH yes", NO],
    ["closes", NO, "REACH yes"],
  ] as const) {
    test(`is said of the last port only, when another one comes before it is known; the first ${how}`, async () => {
      await using house = new MemoryTracker();
      const door = house.door();
      const ports = first === NO ? [CLOSED, door.port] : [door.port, CLOSED];
      const guest = await house.connect();
      guest.send(`HELLO FT/2 agent=x extras=1\n${ports.map((port) => files(port, NOTES)).join("")}WHO\n`);
      expect(await guest.line()).toStartWith("HI ");
      expect([await guest.line(), await guest.line()]).toEqual(Array(2).fill(expect.stringMatching(/^WELCOME /)));
      // Nobody says anything of what is not known yet.
      expect(await guest.reply()).toMatch(/^PEERS: 1\nid=(?!.* reach=)/);
      expect(await guest.push()).toBe(last);
      guest.send("PING\nWHO\n");
      expect(await guest.reply()).toBe("PONG");
      expect(await guest.reply()).toEndWith(` reach=${last === NO ? "no" : "yes"}`);
      expect(guest.pushes).toEqual([]);
      expect(house.all("unreachable").map(({ port }) => port)).toEqual(last === NO ? [CLOSED] : []);
    });
  }

  test("is nobody's concern any more once it has left", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=x\n${files(CLOSED, NOTES)}BYE\n`);
    expect((await guest.rest()).toString()).toMatch(/^HI [^\n]+\nWELCOME [^\n]+\nBYE\n$/);
    const peer = await house.join([NOTES], { port: CLOSED });
    expect(await peer.raw.push()).toBe(NO);
    expect(house.all("unreachable").map(({ id }) => id)).toEqual([peer.id]);
  });

  test("is the tracker's word alone: what a record says of it is not repeated", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    const liar = await house.join([NOTES.replace(">", ";reach=no>")], { port: door.port, more: "extras=1" });
    expect(await liar.raw.push()).toBe("REACH yes");
    expect(await liar.ask(`ADD ${REPORT.replace(";v=2", ";reach=no;v=2")}`)).toBe("OK");
    const closed = await house.join([NOTES.replace(">", ";reach=yes>")], { port: CLOSED, more: "extras=1" });
    expect(await closed.raw.push()).toBe(NO);
    const seen = (record: string, port: number) => record.replace("192.168.1.17,40123", `127.0.0.1,${port}`);
    for (const asker of [liar, closed]) {
      expect(await asker.ask("LIST")).toBe(
        ["FOUND: 3", seen(NOTES, door.port), seen(REPORT, door.port), seen(NOTES.replace(">", ";reach=no>"), CLOSED)].join(
          "\n",
        ),
      );
      expect(await asker.ask(`LIST root=${ROOT}`)).toBe(`FOUND: 1\n${seen(REPORT, door.port)}`);
    }
  });

  test("is not said in FT/1, and of an FT/1 peer nothing is said", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES], { port: CLOSED, more: "extras=1" });
    expect(await peer.raw.push()).toBe(NO);
    await house.register(`${OLD_REPORT.replace("5001", "2")}\n`);
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND.replace("5001", String(CLOSED)));
    const [, own, old] = (await peer.ask("WHO")).split("\n");
    expect([own, old]).toEqual([expect.stringMatching(/ reach=no$/), expect.not.stringContaining("reach")]);
    expect(await peer.ask("SEARCH: report.pdf")).toEndWith(",127.0.0.1,2>");
  });

  test("may take its time for one: the others are served meanwhile, and no push stands within a reply", async () => {
    await using house = new MemoryTracker(["--max-files", "2000", "--max-per-address", "200"]);
    const records = Array.from({ length: 2000 }, (_, i) => `<f${i},data,1,01/02/03,127.0.0.1,40123>`);
    const peer = await house.join(records, { port: CLOSED });
    const askers = await Promise.all(Array.from({ length: 60 }, (_, i) => house.join([NOTES], { port: 3000 + i })));
    peer.raw.send("LIST limit=2000\n".repeat(30));
    for (const asker of askers) asker.raw.send(`CONNECT address=127.0.0.1 port=${CLOSED} token=${asker.id}\n`);
    for (const list of await replies(peer.raw, 30)) {
      const [first, ...lines] = list.split("\n");
      expect(first).toBe("FOUND: 2000");
      expect(lines.every((line) => line.startsWith("<"))).toBe(true);
    }
    for (const asker of askers) expect(await asker.raw.reply()).toBe("OK");
    const pushed = await pushes(peer.raw, 61);
    expect(pushed.toSorted()).toEqual(
      [NO, ...askers.map(({ id }, i) => `CONNECT address=127.0.0.1 port=${3000 + i} token=${id}`)].toSorted(),
    );
    expect(await peer.ask("PING")).toBe("PONG");
  });
});

describe("FT/2: what later versions added to the answers", () => {
  const talk = (hello: string) => `${hello}\n${files(CLOSED, REPORT)}`;

  test("comes to nobody who did not ask for it: the bytes are those of the protocol's text", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const id = "[0-9a-f]{16}";
    for (const hello of [
      "HELLO FT/2 agent=a",
      "HELLO FT/2 agent=a extras=0",
      "HELLO FT/2 agent=a extras=",
      "HELLO FT/2 agent=a extra=1",
    ]) {
      const guest = await house.connect();
      guest.send(talk(hello));
      expect(await guest.line()).toMatch(/^HI FT\/2 name=Lab%203 max=5 key=[\w-]{43} you=127\.0\.0\.1$/);
      expect(await guest.line()).toMatch(new RegExp(`^WELCOME id=${id} pass=[\\w-]+\\.[\\w-]{86} peers=1 files=1$`));
      expect(await guest.push()).toStartWith("REACH no ");
      guest.send("SEARCH: report.pdf\nLIST\nWHO\nBYE\n");
      const record = REPORT.replace("192.168.1.17,40123", `127.0.0.1,${CLOSED}`);
      expect([await guest.reply(), await guest.reply()]).toEqual(Array(2).fill(`FOUND: 1\n${record}`));
      expect(await guest.reply()).toMatch(
        new RegExp(
          `^PEERS: 1\nid=${id} address=127\\.0\\.0\\.1 port=1 files=1 bytes=48213 agent=a since=2023-11-14T22:13:20\\.000Z$`,
        ),
      );
      expect(await guest.reply()).toBe("BYE");
    }
  });

  test("comes to who said extras=1, at the end of its line", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send(talk("HELLO FT/2 agent=a extras=1"));
    expect(await guest.line()).toMatch(/^HI FT\/2 name=Lab%203 max=5 key=[\w-]{43} you=127\.0\.0\.1 announced=no offers=yes$/);
    expect(await guest.line()).toMatch(/^WELCOME id=(\w+) pass=\S+ peers=1 files=1 session=\1\.[\w-]{22} now=\d{10}$/);
    expect(await guest.push()).toStartWith("REACH no ");
    guest.send("SEARCH: report.pdf\nWHO\n");
    expect(await guest.reply()).toBe(
      `FOUND: 1\n${REPORT.replace("192.168.1.17,40123", `127.0.0.1,1`).replace(">", ";reach=no>")}`,
    );
    expect(await guest.reply()).toMatch(/ since=\S+ reach=no$/);
  });

  test("is each listener's own affair: two peers that are online together are answered differently", async () => {
    await using house = new MemoryTracker();
    const old = await house.join([NOTES], { port: CLOSED });
    const young = await house.join([REPORT], { port: CLOSED, more: "extras=1" });
    for (const peer of [old, young]) expect(await peer.raw.push()).toStartWith("REACH no ");
    expect([await old.ask("LIST"), await old.ask("WHO")].join("\n")).not.toContain("reach");
    expect((await young.ask("LIST")).match(/;reach=no;id=\w+>/g)).toHaveLength(2);
    expect((await young.ask("WHO")).match(/ reach=no$/gm)).toHaveLength(2);
  });
});

describe("FT/2: asking a holder to connect", () => {
  test("tells it the asker's observed address, the port of its FILES and its token, and answers OK", async () => {
    await using house = new MemoryTracker();
    const from = "127.0.0.3";
    const holder = await house.join([NOTES], { port: 4001 });
    const asker = await house.join(["<own.txt,data,1,01/02/03,203.0.113.9,6>"], { port: 4002, from });
    const bystander = await house.join([REPORT], { port: 4003 });
    for (const token of ["a", "-_0Zz", "x".repeat(64)]) {
      expect(await asker.ask(`CONNECT address=127.0.0.1 port=4001 token=${token}`)).toBe("OK");
      for (;;) {
        const push = await holder.raw.push();
        if (push.startsWith("REACH ")) continue;
        expect(push).toBe(`CONNECT address=${from} port=4002 token=${token}`);
        break;
      }
    }
    // In any order, with keys of later versions, in another spelling of the address.
    expect(await asker.ask("CONNECT future=1 token=again port=4001 address=::ffff:127.0.0.1 who=x you=y")).toBe("OK");
    expect(await holder.raw.push()).toBe(`CONNECT address=${from} port=4002 token=again`);
    expect(await holder.ask("PING")).toBe("PONG");
    for (const peer of [asker, bystander]) {
      expect(await peer.ask("PING")).toBe("PONG");
      expect(peer.raw.pushes.filter((push) => !push.startsWith("REACH "))).toEqual([]);
    }
  });

  test("is NOT FOUND for nobody, for another port, for an FT/1 peer and for who has left", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    const asker = await house.join([REPORT], { port: 4002 });
    const gone = await house.join([NOTES], { port: 4003 });
    const halfGone = await house.join([NOTES], { port: 4004 });
    expect(await gone.ask("BYE")).toBe("BYE");
    halfGone.raw.halfClose();
    await house.event("left", 2);
    for (const where of [
      "address=203.0.113.1 port=4002",
      "address=fe80::1%25eth0 port=4002",
      "address=0.0.0.0 port=4002",
      "address=127.0.0.1 port=4009",
      "address=127.0.0.1 port=5001",
      "address=127.0.0.1 port=4003",
      "address=127.0.0.1 port=4004",
    ]) {
      expect([where, await asker.ask(`CONNECT ${where} token=t`)]).toEqual([where, "NOT FOUND"]);
    }
    expect(await asker.ask("PING")).toBe("PONG");
  });

  test("is NOT FOUND for oneself", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT], { port: 4002 });
    expect(await peer.raw.push()).toStartWith("REACH ");
    expect(await peer.ask("CONNECT address=127.0.0.1 port=4002 token=t")).toBe("NOT FOUND");
    expect(peer.raw.pushes).toEqual([]);
  });

  test("finds an FT/2 holder although an FT/1 program has registered its address and port before", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    const holder = await house.join([NOTES], { port: 5001 });
    const asker = await house.join([REPORT], { port: 4002 });
    expect(await holder.raw.push()).toStartWith("REACH ");
    expect(await asker.ask("CONNECT address=127.0.0.1 port=5001 token=t")).toBe("OK");
    expect(await holder.raw.push()).toBe("CONNECT address=127.0.0.1 port=4002 token=t");
  });

  test("gets no answer from who has shared nothing, and disturbs nobody", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=x\nCONNECT address=127.0.0.1 port=4001 token=t\n");
    expect(await guest.line()).toStartWith("HI ");
    guest.send(files(4002, REPORT));
    expect(await guest.reply()).toStartWith("WELCOME ");
    expect(await holder.raw.push()).toStartWith("REACH ");
    expect(await holder.ask("PING")).toBe("PONG");
    expect(holder.raw.pushes).toEqual([]);
  });

  test("is no verb of FT/1", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    await house.register(`${OLD_NOTES}\n`);
    expect(await house.exchange("CONNECT address=127.0.0.1 port=4001 token=t\n")).toBe("");
    expect(await holder.raw.push()).toStartWith("REACH ");
    expect(await holder.ask("PING")).toBe("PONG");
    expect(holder.raw.pushes).toEqual([]);
  });

  test("64 times at once and then 8 times a second is the most; beyond that it is an error, and the session goes on", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    const asker = await house.join([REPORT], { port: 4002 });
    expect(await holder.raw.push()).toStartWith("REACH ");
    const ask = (count: number) => {
      asker.raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(count));
      return replies(asker.raw, count);
    };
    expect(await ask(64)).toEqual(Array(64).fill("OK"));
    const [error] = await ask(1);
    expect(error).toMatch(/^ERROR too-many-connects \S.+$/);
    expect(await asker.ask("PING")).toBe("PONG");
    await house.pass(2_000);
    const later = await ask(20);
    expect(later.filter((answer) => answer === "OK")).toHaveLength(16);
    expect(later.filter((answer) => answer.startsWith("ERROR too-many-connects "))).toHaveLength(4);
    const call = "CONNECT address=127.0.0.1 port=4002 token=t";
    expect(await pushes(holder.raw, 80)).toEqual(Array(80).fill(call));
    expect(await holder.ask("PING")).toBe("PONG");
    expect(holder.raw.pushes).toEqual([]);
    expect(house.all("refused")).toEqual([]);
  });

  test("is bounded for an asker, however many holders it asks", async () => {
    await using house = new MemoryTracker();
    const asker = await house.join([REPORT], { port: 4001 });
    const ports = [4002, 4003, 4004, 4005];
    const holders = await Promise.all(ports.map((port) => house.join([NOTES], { port })));
    asker.raw.send(
      ports
        .map((port) => `CONNECT address=127.0.0.1 port=${port} token=t\n`)
        .join("")
        .repeat(20),
    );
    const answers = await replies(asker.raw, 80);
    expect(answers.slice(0, 64)).toEqual(Array(64).fill("OK"));
    expect(answers.slice(64)).toEqual(Array(16).fill(expect.stringMatching(/^ERROR too-many-connects \S.+$/)));
    for (const holder of holders) {
      expect(await holder.ask("PING")).toBe("PONG");
      expect(holder.raw.pushes.filter((push) => push.startsWith("CONNECT "))).toHaveLength(16);
    }
  });

  test("is bounded for a holder, too, however many ask; another holder is not concerned", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    const other = await house.join([NOTES], { port: 4009 });
    const askers = await Promise.all(
      [4002, 4003, 4004].map((port, i) => house.join([REPORT], { port, from: `10.0.0.${i + 1}` })),
    );
    for (const peer of [holder, other]) expect(await peer.raw.push()).toStartWith("REACH ");
    const answers = await Promise.all(
      askers.map(async ({ raw }) => {
        raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(50));
        return await replies(raw, 50);
      }),
    );
    expect(answers.flat().filter((answer) => answer === "OK")).toHaveLength(128);
    expect(answers.flat().filter((answer) => answer.startsWith("ERROR too-many-connects "))).toHaveLength(22);
    const call = expect.stringMatching(/^CONNECT address=10\.0\.0\.[123] port=400[234] token=t$/);
    expect(await pushes(holder.raw, 128)).toEqual(Array(128).fill(call));
    for (const asker of askers) expect(await asker.ask("CONNECT address=127.0.0.1 port=4009 token=t")).toBe("OK");
    expect(await pushes(other.raw, 3)).toEqual(Array(3).fill(call));
    expect(await holder.ask("PING")).toBe("PONG");
    expect(holder.raw.pushes).toEqual([]);
  });

  test("is bounded for a host, however many ids it has: the holder can still be asked by others", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    const from = (i: number) => (i % 2 === 0 ? "10.0.0.1" : `2001:db8:0:1::${i}`);
    const joins = [...Array(20).keys()].map((i) => house.join([REPORT], { port: 5000 + i, from: from(i) }));
    const ids = await Promise.all(joins);
    const answers = await Promise.all(
      ids.map(async ({ raw }) => {
        raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(20));
        return await replies(raw, 20);
      }),
    );
    for (const host of [0, 1]) {
      expect(
        answers
          .filter((_, i) => i % 2 === host)
          .flat()
          .filter((answer) => answer === "OK"),
      ).toHaveLength(64);
    }
    const one = await house.join([REPORT], { port: 6000, from: "10.0.0.1" });
    expect(await one.ask("CONNECT address=127.0.0.1 port=4001 token=t")).toStartWith("ERROR too-many-connects ");
    await house.pass(1000);
    const other = await house.join([REPORT], { port: 6000, from: "10.0.0.3" });
    expect(await other.ask("CONNECT address=127.0.0.1 port=4001 token=t")).toBe("OK");
    expect(await holder.ask("PING")).toBe("PONG");
  });

  test("does not take from a holder, by being asked, the right to ask somebody itself", async () => {
    await using house = new MemoryTracker();
    const holder = await house.join([NOTES], { port: 4001 });
    const other = await house.join([NOTES], { port: 4009 });
    const asker = await house.join([REPORT], { port: 4002, from: "10.0.0.1" });
    asker.raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(64));
    expect(await replies(asker.raw, 64)).toEqual(Array(64).fill("OK"));
    expect(await holder.ask("CONNECT address=127.0.0.1 port=4009 token=mine")).toBe("OK");
    expect(await other.raw.push()).toStartWith("REACH ");
    expect(await other.raw.push()).toBe("CONNECT address=127.0.0.1 port=4001 token=mine");
  });

  test("shows an asker on the tracker's machine by the tracker's address on the holder's connection", async () => {
    await using house = new MemoryTracker(["--host", "0.0.0.0"]);
    const local = await house.join([NOTES], { port: 4001 });
    const near = await house.join([NOTES], { port: 4002 });
    const far = await house.join([REPORT], { port: 4003, to: LAN });
    for (const peer of [local, near, far]) expect(await peer.raw.push()).toStartWith("REACH ");
    expect(await local.ask(`CONNECT address=${LAN} port=4003 token=out`)).toBe("OK");
    expect(await far.raw.push()).toBe(`CONNECT address=${LAN} port=4001 token=out`);
    // The other way round, the holder is where the asker sees it.
    expect(await far.ask(`CONNECT address=${LAN} port=4001 token=in`)).toBe("OK");
    expect(await local.raw.push()).toBe(`CONNECT address=${LAN} port=4003 token=in`);
    // Nobody elsewhere has a peer at the tracker's loopback address.
    expect(await local.ask("CONNECT address=127.0.0.1 port=4002 token=loop")).toBe("OK");
    expect(await near.raw.push()).toBe("CONNECT address=127.0.0.1 port=4001 token=loop");
    // Where the tracker is to one peer, others are not.
    expect(await local.ask(`CONNECT address=${LAN} port=4002 token=lost`)).toBe("NOT FOUND");
  });
});

describe("FT/2: a peer whose connection broke before the tracker noticed", () => {
  const more = "extras=1";

  test("takes its own place by its session: same id, one entry, and the old connection is closed", async () => {
    await using house = new MemoryTracker();
    const watcher = await house.join([REPORT], { port: 4009 });
    const old = await house.join([NOTES, "<old.txt,data,1,01/02/03,10.0.0.1,1>"], { port: 4001, more });
    const back = await house.join([NOTES], { port: 4002, more: `${more} session=${old.session}` });
    expect([back.id, back.welcome.get("peers"), back.welcome.get("files")]).toEqual([old.id, "2", "2"]);
    expect(readPass(back.welcome.get("pass") ?? "", back.hi.get("key") ?? "")?.id).toBe(old.id);
    expect(await old.raw.replies()).toBe("");
    expect(await watcher.ask("LIST")).toBe(
      ["FOUND: 2", REPORT_SEEN.replace("40123", "4009"), NOTES_SEEN.replace("40123", "4002")].join("\n"),
    );
    expect(await watcher.ask("WHO")).toStartWith("PEERS: 2\n");
    expect(house.all("left")).toMatchObject([{ id: old.id, port: 4001, peers: 1 }]);
    expect(house.all("joined").map(({ id }) => id)).toEqual([watcher.id, old.id, old.id]);
    expect(house.all("refused")).toEqual([]);
    // Whoever is to be asked to connect is where the peer is now.
    expect(await watcher.ask("CONNECT address=127.0.0.1 port=4001 token=t")).toBe("NOT FOUND");
    expect(await watcher.ask("CONNECT address=127.0.0.1 port=4002 token=t")).toBe("OK");
    expect(await back.raw.push()).toStartWith("REACH ");
    expect(await back.raw.push()).toBe("CONNECT address=127.0.0.1 port=4009 token=t");
  });

  test("has a new session then, and its old one is worth nothing any more", async () => {
    await using house = new MemoryTracker();
    const first = await house.join([NOTES], { more });
    const second = await house.join([NOTES], { more: `${more} session=${first.session}` });
    expect(second.session).not.toBe(first.session);
    const third = await house.join([REPORT], { more: `${more} session=${first.session}` });
    expect(third.id).not.toBe(first.id);
    expect(await second.ask("PING")).toBe("PONG");
    const fourth = await house.join([NOTES], { more: `${more} session=${second.session}` });
    expect(fourth.id).toBe(first.id);
    expect(await second.raw.replies()).toBe("");
    expect(await third.ask("PING")).toBe("PONG");
    expect(house.tracker.catalog.peers).toBe(2);
  });

  test("keeps its session when it sends its list again", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES], { more });
    const { session } = peer;
    await peer.renew(4002, REPORT);
    expect(peer.session).toBe(session);
    expect((await house.join([NOTES], { more: `session=${session}` })).id).toBe(peer.id);
  });

  test("may be of few words: a session without extras=1 is enough, and is not told", async () => {
    await using house = new MemoryTracker();
    const old = await house.join([NOTES], { more });
    const back = await house.join([NOTES], { more: `session=${old.session}` });
    expect([back.id, back.welcome.has("session"), back.hi.has("announced")]).toEqual([old.id, false, false]);
  });

  test("has, when it has left in order, no place that it could take", async () => {
    await using house = new MemoryTracker();
    const old = await house.join([NOTES], { more });
    expect(await old.ask("BYE")).toBe("BYE");
    expect((await house.join([NOTES], { more: `${more} session=${old.session}` })).id).not.toBe(old.id);
  });

  test("can do nothing more on the old connection: what it had still to say there is not heard", async () => {
    await using house = new MemoryTracker();
    const watcher = await house.join([REPORT], { port: 4009 });
    const old = await house.join([NOTES], { port: 4001, more });
    // More than its rate allows: the list waits for its turn.
    old.raw.send(`${"PING\n".repeat(230)}${files(4005, "<late.txt,data,1,01/02/03,10.0.0.1,1>")}BYE\n`);
    await settle();
    const back = await house.join([NOTES], { port: 4002, more: `${more} session=${old.session}` });
    expect(back.id).toBe(old.id);
    old.raw.send("ADD <later.txt,data,1,01/02/03,10.0.0.1,1>\nBYE\n");
    await house.pass(5_000);
    expect(old.raw.ended).toBe(true);
    expect(await watcher.ask("LIST")).toBe(
      ["FOUND: 2", REPORT_SEEN.replace("40123", "4009"), NOTES_SEEN.replace("40123", "4002")].join("\n"),
    );
    expect(await back.ask("PING")).toBe("PONG");
    expect(house.all("updated")).toEqual([]);
    expect(house.all("left")).toHaveLength(1);
  });

  test("takes its place also where the tracker is full; who only says so does not", async () => {
    await using house = new MemoryTracker(["--max-peers", "1"]);
    const old = await house.join([NOTES], { more });
    const liar = await house.connect();
    liar.send(`HELLO FT/2 agent=x extras=1 session=${old.id}.${"A".repeat(22)}\n${files(4002, REPORT)}`);
    expect(await liar.line()).toStartWith("HI ");
    expect((await liar.rest()).toString()).toMatch(/^ERROR tracker-full \S[^\n]+\n$/);
    const back = await house.join([REPORT], { more: `${more} session=${old.session}` });
    expect([back.id, back.welcome.get("peers")]).toEqual([old.id, "1"]);
    expect(await back.ask("LIST")).toStartWith("FOUND: 1\n<report.pdf,");
  });

  /** Joins with a session key, and proves a session with one. */
  async function prove(
    house: MemoryTracker,
    key: SessionKey,
    prover: SessionKey,
    session: string,
    from: string,
  ): Promise<Peer> {
    const raw = await house.connect({ from });
    raw.send(`HELLO FT/2 agent=a ${more} session=${session} key=${key.key}\n`);
    const hi = valuesOf(await raw.line());
    const proof = prover.prove(hi.get("nonce") ?? "", session);
    raw.send(files(4001, NOTES).replace("\n", ` proof=${proof}\n`));
    return new Peer(raw, hi, valuesOf(await raw.line()));
  }

  test("and that has no session key cannot take its place from another address: anybody could have overheard the session", async () => {
    await using house = new MemoryTracker();
    const old = await house.join([NOTES], { from: "127.0.0.2", more });
    const thief = await house.join([REPORT], { from: "127.0.0.3", more: `${more} session=${old.session}` });
    expect(thief.id).not.toBe(old.id);
    expect(await old.ask("PING")).toBe("PONG");
    const back = await house.join([NOTES], { from: "127.0.0.2", more: `${more} session=${old.session}` });
    expect(back.id).toBe(old.id);
  });

  test("and that has a session key has to prove it, from the same address too, with the nonce of this connection", async () => {
    await using house = new MemoryTracker();
    const [own, other] = [new SessionKey(), new SessionKey()];
    const old = await house.join([NOTES], { from: "127.0.0.2", more: `${more} key=${own.key}` });
    for (const from of ["127.0.0.2", "127.0.0.3"]) {
      const thieves = [
        await house.join([NOTES], { from, more: `${more} session=${old.session}` }),
        await house.join([NOTES], { from, more: `${more} session=${old.session} key=${own.key}` }),
        await prove(house, own, other, old.session, from),
        await prove(house, other, other, old.session, from),
        await prove(house, other, own, old.session, from),
      ];
      expect(thieves.filter(({ id }) => id === old.id)).toEqual([]);
    }
    expect(await old.ask("PING")).toBe("PONG");
    // A proof that was overheard is for another connection.
    const raw = await house.connect({ from: "127.0.0.3" });
    raw.send(`HELLO FT/2 agent=a ${more} session=${old.session} key=${own.key}\n`);
    await raw.line();
    raw.send(files(4001, NOTES).replace("\n", ` proof=${own.prove("another nonce", old.session)}\n`));
    expect(valuesOf(await raw.line()).get("id")).not.toBe(old.id);
  });

  test("may come from another address with a proof, and is known by that one alone", async () => {
    await using house = new MemoryTracker();
    const watcher = await house.join([REPORT], { from: "127.0.0.9" });
    const own = new SessionKey();
    const old = await house.join([NOTES], { from: "127.0.0.2", more: `${more} key=${own.key}` });
    const back = await prove(house, own, own, old.session, "127.0.0.3");
    expect([back.id, back.hi.get("you")]).toEqual([old.id, "127.0.0.3"]);
    expect(readPass(back.welcome.get("pass") ?? "", back.hi.get("key") ?? "")?.address as string).toBe("127.0.0.3");
    expect([await watcher.ask("KNOWN 127.0.0.2"), await watcher.ask("KNOWN 127.0.0.3")]).toEqual(["NO", "YES"]);
    const seen = NOTES.replace("192.168.1.17", "127.0.0.3").replace("40123", "4001");
    expect(await watcher.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${seen}`);
  });

  test("is not put out by who guesses, borrows or makes up a session", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([NOTES], { port: 4001, more });
    const other = await house.join([REPORT], { port: 4002, more });
    const [id = "", secret = ""] = owner.session.split(".");
    const [otherId = "", otherSecret = ""] = other.session.split(".");
    await house.register(`${OLD_NOTES}\n`);
    const guesses = [
      "",
      ".",
      id,
      `${id}.`,
      `.${secret}`,
      `${id}.${otherSecret}`,
      `${otherId}.${secret}`,
      `${id}.${secret.slice(1)}`,
      `${id}.${secret}x`,
      `${id}.${secret}.`,
      `${id}.${"A".repeat(22)}`,
      `${id.toUpperCase()}.${secret}`,
      "__proto__",
      "__proto__.x",
      "constructor.",
      "undefined",
      "ft1-127.0.0.1-5001",
      "x".repeat(3000),
    ];
    // An id of digits alone has no capitals: then that guess is the session itself.
    for (const guess of guesses.filter((one) => one !== owner.session)) {
      const thief = await house.join(["<t.txt,data,1,01/02/03,10.0.0.1,1>"], { port: 4003, more: `${more} session=${guess}` });
      expect([guess, [owner.id, other.id].includes(thief.id)]).toEqual([guess, false]);
      expect(await thief.ask("BYE")).toBe("BYE");
    }
    for (const peer of [owner, other]) expect(await peer.ask("PING")).toBe("PONG");
    expect(await owner.ask(`LIST id=${owner.id}`)).toStartWith("FOUND: 1\n<notes.txt,");
    expect(await owner.ask(`LIST id=${other.id}`)).toStartWith("FOUND: 1\n<report.pdf,");
    expect(await house.exchange("SEARCH: notes.txt")).toContain(",5001>");
  });

  test("is not disturbed by a right session before a list comes with it, or when the list is refused", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([NOTES], { more });
    for (const rest of [
      "",
      "BYE\n",
      "FILES 0 port=5\n",
      "FILES 6 port=5\n",
      "FILES 1 port=0\n",
      "FILES 1 port=5\nrubbish\n",
      `FILES 1 port=5\n<p,data,9,01/02/03,127.0.0.1,5;v=2;root=${ROOT};part=1>\n`,
    ]) {
      const guest = await house.connect();
      guest.send(`HELLO FT/2 agent=x extras=1 session=${owner.session}\n${rest}`);
      guest.halfClose();
      expect(await guest.replies()).toMatch(/^HI [^\n]+\n(?:ERROR [^\n]+\n)?$/);
    }
    expect(await owner.ask("PING")).toBe("PONG");
    expect(house.all("left")).toEqual([]);
  });

  test("need not fear that its session is told to anybody else", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([NOTES], { port: 4001, more });
    const other = await house.join([REPORT], { port: 4002, more });
    expect(await owner.raw.push()).toStartWith("REACH ");
    expect(await owner.ask("CONNECT address=127.0.0.1 port=4002 token=t")).toBe("OK");
    const heard = [await other.ask("WHO"), await other.ask("LIST"), await other.ask("SEARCH: notes.txt")];
    heard.push(JSON.stringify([...other.hi, ...other.welcome, ...other.raw.pushes]), JSON.stringify(house.events));
    const [, secret = ""] = owner.session.split(".");
    expect(secret).toMatch(/^[\w-]{22}$/);
    expect(heard.join("\n")).not.toContain(secret);
  });
});
