// What an accepted FT/2 peer is answered.

import { describe, expect, test } from "bun:test";
import { readPass } from "../../lib/protocol/pass.ts";
import { HandClock } from "../helpers/channel.ts";
import { files, valuesOf } from "../helpers/guests.ts";
import {
  LOOPBACK,
  MemoryTracker,
  NOTES,
  NOTES_SEEN,
  OLD_NOTES,
  OLD_NOTES_FOUND,
  OLD_REPORT,
  OLD_REPORT_FOUND,
  REPORT,
  REPORT_SEEN,
  ROOT,
  THEN,
} from "../helpers/tracker.ts";

/** An address of the tracker on its network. */
const LAN = "192.168.1.2";

describe("FT/2: requests", () => {
  test("FILES again replaces the whole list", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT, NOTES]);
    await peer.renew(40124, "<new.txt,data,7,01/02/03,10.0.0.1,1>");
    expect([peer.welcome.get("peers"), peer.welcome.get("files")]).toEqual(["1", "1"]);
    expect(await peer.ask("LIST")).toBe("FOUND: 1\n<new.txt,data,7,01/02/03,127.0.0.1,40124>");
    expect(await peer.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await peer.ask("WHO")).toContain(" port=40124 files=1 bytes=7 ");
  });

  test("ADD adds a record, or renews the one of that name", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([NOTES]);
    expect(await peer.ask(`ADD ${REPORT.replace(`;root=${ROOT}`, "")}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(`;root=${ROOT}`, "")}`);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    expect(await peer.ask("WHO")).toContain(" files=2 bytes=49413 ");
  });

  test("ADD beyond the limit is ERROR too-many-files; renewing at the limit is not", async () => {
    await using house = new MemoryTracker(["--max-files", "2"]);
    const peer = await house.join([REPORT, NOTES]);
    expect(await peer.ask(`ADD ${NOTES.replace("1200", "1300")}`)).toBe("OK");
    expect(await peer.ask("ADD <third.txt,data,1,01/02/03,10.0.0.1,1>")).toMatch(/^ERROR too-many-files \S.+$/);
  });

  test("DROP takes one record off; what is not there is NOT FOUND; the last one stays", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT, NOTES, "<a%2Cb c.txt,data,1,01/02/03,10.0.0.1,1>"]);
    expect(await peer.ask("DROP a%2Cb c.txt")).toBe("OK");
    expect(await peer.ask("DROP notes.txt")).toBe("OK");
    expect(await peer.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(await peer.ask("DROP notes.txt")).toBe("NOT FOUND");
    expect(await peer.ask("DROP report.pdf")).toMatch(/^ERROR last-file \S.+$/);
    expect(await peer.ask("LIST")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    // That was no offence: the session goes on.
    expect(await peer.ask(`ADD ${NOTES}`)).toBe("OK");
    expect(await peer.ask("DROP report.pdf")).toBe("OK");
  });

  test("unfinished files come by ADD, do not count, and leave room for all whole ones", async () => {
    await using house = new MemoryTracker();
    const part = (name: string, port = 40123) => `<${name},data,9,01/02/03,127.0.0.1,${port};v=2;root=${ROOT};part=1>`;
    const peer = await house.join();
    expect(await peer.ask(`ADD ${part("p0")}`)).toBe("OK");
    for (let i = 0; i < 4; i++) expect(await peer.ask(`ADD <w${i},data,1,01/02/03,127.0.0.1,40123>`)).toBe("OK");
    expect(await peer.ask("WHO")).toMatch(/ files=5 bytes=\d+ /);
    expect(await peer.ask("SEARCH: p0")).toBe(`FOUND: 1\n${part("p0")}`);
    expect(await house.exchange("SEARCH: p0")).toBe("NOT FOUND");
    const other = await house.join([NOTES], { port: 40124 });
    expect(other.welcome.get("files")).toBe("6");
    expect(await other.ask(`ADD ${part("called otherwise", 40124)}`)).toBe("OK");
    const both = `FOUND: 2\n${part("p0")}\n${part("called otherwise", 40124)}`;
    expect(await other.ask(`LIST root=${ROOT}`)).toBe(both);
    expect(await other.ask(`LIST root=${ROOT.toUpperCase()} offset=0 limit=2`)).toBe(both);
    expect(await other.ask(`LIST root=${ROOT} offset=1 limit=1`)).toBe(`FOUND: 1\n${part("called otherwise", 40124)}`);
    expect(await other.ask(`LIST root=${ROOT.replace("9", "8")}`)).toBe("NOT FOUND");
    expect(await peer.ask("DROP p0")).toBe("OK");
    expect(await peer.ask("SEARCH: p0")).toBe("NOT FOUND");
    expect(await other.ask("DROP notes.txt")).toMatch(/^ERROR last-file /);
  });

  test("a whole file beyond the limit is counted by FIND as a holder", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    for (let i = 0; i < 4; i++) expect(await peer.ask(`ADD <w${i},data,1,01/02/03,127.0.0.1,40123>`)).toBe("OK");
    const sixth = `<big.iso,data,9,01/02/03,127.0.0.1,40123;v=2;root=${ROOT};part=1;whole=1>`;
    expect(await peer.ask(`ADD ${sixth}`)).toBe("OK");
    expect(await peer.ask("SEARCH: big.iso")).toBe(`FOUND: 1\n${sixth}`);
    expect(await peer.ask("FIND big group=1")).toMatch(/^FOUND: 1[^\n]*\n<big\.iso,.*;part=1;whole=1;holders=1[;>]/);
    expect(await house.exchange("SEARCH: big.iso")).toBe("FOUND: <data,9,01/02/03,127.0.0.1,40123>\n");
  });

  test("the 33rd unfinished file is refused, and the session goes on", async () => {
    await using house = new MemoryTracker();
    const part = (i: number) => `<p${i},data,9,01/02/03,127.0.0.1,40123;v=2;root=${ROOT};part=1>`;
    const peer = await house.join();
    for (let i = 0; i < 32; i++) expect(await peer.ask(`ADD ${part(i)}`)).toBe("OK");
    expect(await peer.ask(`ADD ${part(32)}`)).toMatch(/^ERROR too-many-parts \S.+$/);
    expect(await peer.ask("PING")).toBe("PONG");
    expect(await peer.ask(`ADD ${part(3)}`)).toBe("OK");
    expect(await peer.ask("DROP p3")).toBe("OK");
    expect(await peer.ask(`ADD ${part(32)}`)).toBe("OK");
    expect(house.all("refused")).toEqual([]);
  });

  test("the last whole file cannot become an unfinished one, and the session goes on", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    const part = NOTES.replace(/>$/, `${NOTES.includes(";v=2") ? "" : ";v=2"};part=1>`);
    expect(await peer.ask(`ADD ${part}`)).toMatch(/^ERROR \S+ \S.+$/);
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
  });

  test("a list of unfinished files only is no list: silence and a close", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=x\nFILES 1 port=5\n<p,data,9,01/02/03,127.0.0.1,5;v=2;root=${ROOT};part=1>\n`);
    await guest.line();
    expect((await guest.rest()).length).toBe(0);
    expect(house.tracker.port).toBeGreaterThan(0);
  });

  test("a list that says the same name whole and unfinished leaves nobody online without a whole file", async () => {
    await using house = new MemoryTracker();
    const watcher = await house.join([NOTES], { port: 40124 });
    const guest = await house.connect();
    const whole = "<twice,data,9,01/02/03,127.0.0.1,5;v=2>";
    guest.send(`HELLO FT/2 agent=x\nFILES 2 port=5\n${whole}\n${whole.replace(">", ";part=1>")}\n`);
    await guest.line();
    // Accepted or refused: either is an answer, if what WHO says is true.
    await guest.line().catch(() => undefined);
    expect(await watcher.ask("WHO")).not.toMatch(/ files=0 /);
  });

  test("SEARCH is exact, in both spellings, and gives every attribute of every holder", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT.replace(";v=2", ";v=2;colour=blue;part")]);
    await house.join([REPORT], { port: 40124 });
    const both = `FOUND: 2\n${REPORT_SEEN}\n${REPORT_SEEN.replace(",40123", ",40124")}`;
    expect(await peer.ask("SEARCH: report.pdf")).toBe(both);
    expect(await peer.ask("SEARCH report.pdf")).toBe(both);
    expect(await peer.ask("SEARCH: Report.pdf")).toBe("NOT FOUND");
    expect(await peer.ask("SEARCH: report")).toBe("NOT FOUND");
  });

  test("SEARCH takes the rest of the line as an escaped name, and names come back escaped", async () => {
    await using house = new MemoryTracker();
    const names = ["my%2C %3Cb%3E%3B 100%25.txt", "zeile%0Aumbruch", "Größe ∞ 🦊.txt", "__proto__", "constructor"];
    const records = names.map((name, i) => `<${name},data,${i},01/02/03,127.0.0.1,40123>`);
    const peer = await house.join(records);
    for (const [i, name] of names.entries()) expect(await peer.ask(`SEARCH: ${name}`)).toBe(`FOUND: 1\n${records[i]}`);
    expect(await peer.ask("SEARCH: toString")).toBe("NOT FOUND");
    expect(await peer.ask("DROP __proto__")).toBe("OK");
    expect(await peer.ask("SEARCH: __proto__")).toBe("NOT FOUND");
    expect(await peer.ask("LIST id=__proto__")).toBe("NOT FOUND");
    expect(await peer.ask("WHO __proto__=1 constructor=2")).toStartWith("PEERS: 1\n");
  });

  test("LIST gives everything in pages, or one peer's records", async () => {
    await using house = new MemoryTracker();
    const letters = ["a", "b", "c", "d"];
    const records = letters.map((name) => `<${name},data,1,01/02/03,127.0.0.1,40123>`);
    const peer = await house.join(records);
    const other = await house.join([NOTES], { port: 40124 });
    const notes = NOTES_SEEN.replace(",40123", ",40124");
    expect(await peer.ask("LIST")).toBe(["FOUND: 5", ...records, notes].join("\n"));
    expect(await peer.ask("LIST offset=0 limit=2")).toBe(["FOUND: 2", ...records.slice(0, 2)].join("\n"));
    expect(await peer.ask("LIST limit=2 offset=2")).toBe(["FOUND: 2", ...records.slice(2, 4)].join("\n"));
    expect(await peer.ask("LIST offset=3 limit=9")).toBe(["FOUND: 2", ...records.slice(3), notes].join("\n"));
    expect(await peer.ask("LIST offset=5")).toBe("NOT FOUND");
    expect(await peer.ask(`LIST id=${other.id}`)).toBe(`FOUND: 1\n${notes}`);
    expect(await peer.ask(`LIST id=${peer.id} offset=1 limit=1`)).toBe(`FOUND: 1\n${records[1]}`);
    expect(await peer.ask("LIST id=nobody")).toBe("NOT FOUND");
  });

  test("a page is 200 records unless asked, and 2000 at most; the pages hold everything once", async () => {
    await using house = new MemoryTracker(["--max-files", "2500"]);
    const records = Array.from({ length: 2300 }, (_, i) => `<f${i},data,1,01/02/03,127.0.0.1,40123>`);
    const peer = await house.join(records);
    expect(await peer.ask("LIST")).toBe(["FOUND: 200", ...records.slice(0, 200)].join("\n"));
    const first = await peer.ask("LIST limit=1000000");
    expect(first).toStartWith("FOUND: 2000\n");
    const second = await peer.ask("LIST limit=2000 offset=2000");
    expect(second).toStartWith("FOUND: 300\n");
    expect([...first.split("\n").slice(1), ...second.split("\n").slice(1)]).toEqual(records);
  });

  test("SEARCH gives at most 200 holders, WHO a page of as many as asked", async () => {
    await using house = new MemoryTracker(["--max-per-address", "300"]);
    const peers = await Promise.all(Array.from({ length: 205 }, (_, i) => house.join([NOTES], { port: 10_001 + i })));
    const [peer] = peers;
    if (peer === undefined) throw new Error("nobody joined");
    expect(await peer.ask("SEARCH: notes.txt")).toStartWith("FOUND: 200\n");
    expect(await peer.ask("WHO")).toStartWith("PEERS: 200\n");
    const pages = [await peer.ask("WHO limit=150"), await peer.ask("WHO limit=150 offset=150")];
    expect(pages.map((page) => page.split("\n")[0])).toEqual(["PEERS: 150", "PEERS: 55"]);
    const ids = pages.flatMap((page) => Array.from(page.matchAll(/^id=(\S+) /gm), ([, id]) => id));
    expect(ids.toSorted()).toEqual(peers.map(({ id }) => id).toSorted());
  });

  test("WHO says who is online: address, port, files, bytes, program and since when", async () => {
    await using house = new MemoryTracker([], new HandClock(THEN));
    const peer = await house.join([REPORT, NOTES], { agent: "my%20peer/2" });
    await house.register(`${OLD_NOTES}\n`);
    const lines = (await peer.ask("WHO")).split("\n");
    expect(lines[0]).toBe("PEERS: 2");
    expect(lines[1]).toBe(
      `id=${peer.id} address=127.0.0.1 port=40123 files=2 bytes=49413 agent=my%20peer/2 since=2023-11-14T22:13:20.000Z`,
    );
    expect(lines[2]).toMatch(
      /^id=\S+ address=127\.0\.0\.1 port=5001 files=1 bytes=1200 agent=\S+ since=2023-11-14T22:13:20\S*Z$/,
    );
    expect(await peer.ask("WHO offset=2")).toBe("PEERS: 0");
  });

  test("KNOWN says whether an address is an accepted peer's, of either profile", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    expect(await peer.ask("KNOWN 127.0.0.1")).toBe("YES");
    expect(await peer.ask("KNOWN ::ffff:127.0.0.1")).toBe("YES");
    expect(await peer.ask("KNOWN 127.0.0.9")).toBe("NO");
    expect(await peer.ask("KNOWN fe80::1")).toBe("NO");
  });

  test("KNOWN follows the peers as they come and go", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    await house.register(`${OLD_NOTES}\n`, { from: "127.0.0.2" });
    const third = await house.join([NOTES], { from: "127.0.0.3" });
    expect(third.hi.get("you")).toBe("127.0.0.3");
    expect(readPass(third.welcome.get("pass") ?? "", third.hi.get("key") ?? "")?.address as string).toBe("127.0.0.3");
    expect([await peer.ask("KNOWN 127.0.0.2"), await peer.ask("KNOWN 127.0.0.3")]).toEqual(["YES", "YES"]);
    await house.exchange("BYE", { from: "127.0.0.2" });
    expect(await third.ask("BYE")).toBe("BYE");
    expect([await peer.ask("KNOWN 127.0.0.2"), await peer.ask("KNOWN 127.0.0.3")]).toEqual(["NO", "NO"]);
  });

  test("an unknown verb is ERROR unknown-verb, and the session goes on", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    expect(await peer.ask("FROBNICATE all=1")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("ping")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("__proto__")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("PING")).toBe("PONG");
  });

  test("CR LF ends a line, too", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=test/1\r\nFILES 1 port=40123\r\n${NOTES}\r\nSEARCH: notes.txt\r\nPING\r\n`);
    expect(await guest.line()).toMatch(/^HI FT\/2 .*you=127\.0\.0\.1$/);
    expect(await guest.line()).toStartWith("WELCOME ");
    expect(await guest.reply()).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await guest.reply()).toBe("PONG");
  });

  test("a half-close right after the requests takes no answer away", async () => {
    await using house = new MemoryTracker(["--max-files", "2500"]);
    const records = Array.from({ length: 2000 }, (_, i) => `<f${i},data,1,01/02/03,127.0.0.1,40123>`);
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=test/1\n${files(40123, ...records)}LIST limit=2000\nSEARCH: f1999\n`);
    guest.halfClose();
    const lines = (await guest.replies()).split("\n");
    expect(lines[0]).toStartWith("HI FT/2 ");
    expect(lines[1]).toStartWith("WELCOME ");
    expect(lines.slice(2)).toEqual(["FOUND: 2000", ...records, "FOUND: 1", records[1999] ?? "", ""]);
  });

  test("requests beyond the rate are answered in their turn, also after a half-close, one reply each", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join();
    peer.raw.send(`${"PING\n".repeat(205)}ADD ${REPORT}\nFILES 1 port=40123\n${NOTES}\nPING\n`);
    peer.raw.halfClose();
    await house.pass(1_000);
    const lines = (await peer.raw.replies()).split("\n");
    expect(lines.slice(0, 205)).toEqual(Array.from({ length: 205 }, () => "PONG"));
    // What a peer that has left may still add is nobody's concern; that each request has its reply is.
    expect(lines.slice(205)).toEqual([expect.stringMatching(/^\S/), expect.stringMatching(/^\S/), "PONG", ""]);
  });
});

describe("other peers' records", () => {
  test("cannot be dropped, replaced or taken over by an FT/2 peer", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([REPORT, NOTES], { port: 40123 });
    const thief = await house.join(["<own.txt,data,1,01/02/03,10.0.0.1,1>"], { port: 40123 });
    expect(await thief.ask("DROP notes.txt")).toBe("NOT FOUND");
    expect(await thief.ask(`DROP notes.txt id=${owner.id}`)).toBe("NOT FOUND");
    expect(await thief.ask("ADD <notes.txt,data,6,01/02/03,127.0.0.1,40123>")).toBe("OK");
    expect(await thief.ask("DROP own.txt")).toBe("OK");
    await thief.renew(40123, "<report.pdf,data,6,01/02/03,127.0.0.1,40123>");
    expect(await owner.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await owner.ask(`LIST id=${owner.id}`)).toBe(`FOUND: 2\n${REPORT_SEEN}\n${NOTES_SEEN}`);
    expect(await thief.ask("BYE")).toBe("BYE");
    expect(await owner.ask("LIST")).toBe(`FOUND: 2\n${REPORT_SEEN}\n${NOTES_SEEN}`);
  });

  test("of FT/2 cannot be touched by an FT/1 registration of the same address and port, nor by its BYE", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([NOTES], { port: 5001 });
    await house.register("<notes.txt,data,6,01/02/03,127.0.0.1,5001>\n");
    expect(await owner.ask("SEARCH: notes.txt")).toStartWith("FOUND: 2\n");
    await house.exchange("BYE");
    expect(await owner.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(",40123", ",5001")}`);
  });

  test("of FT/1 cannot be dropped over FT/2, nor replaced by an FT/2 peer of the same address and port", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    const thief = await house.join([REPORT], { port: 5001 });
    expect(await thief.ask("DROP notes.txt")).toBe("NOT FOUND");
    expect(await thief.ask("BYE")).toBe("BYE");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("stay when somebody claims their holder's id in every key", async () => {
    await using house = new MemoryTracker();
    const owner = await house.join([NOTES]);
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=x id=${owner.id} you=127.0.0.1\nFILES 1 port=40123 id=${owner.id}\n${REPORT}\n`);
    await guest.line();
    expect(valuesOf(await guest.line()).get("id")).not.toBe(owner.id);
    guest.send(`DROP id=${owner.id}\nBYE id=${owner.id}\n`);
    await guest.rest();
    expect(await owner.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
  });
});

describe("addresses", () => {
  test("a peer on the tracker's machine is given by the tracker's own address to who came from elsewhere", async () => {
    await using house = new MemoryTracker(["--host", "0.0.0.0"]);
    const local = await house.join([NOTES]);
    await house.register(`${OLD_REPORT}\n`);
    const remote = await house.join(["<own.txt,data,1,01/02/03,10.0.0.1,1>"], { to: LAN, port: 40124 });
    expect([local.hi.get("you"), remote.hi.get("you")]).toEqual([LOOPBACK, LAN]);
    expect(await remote.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(LOOPBACK, LAN)}`);
    expect(await remote.ask("LIST limit=1")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(LOOPBACK, LAN)}`);
    expect(await remote.ask("WHO")).not.toContain(` address=${LOOPBACK}`);
    expect(await house.exchange("SEARCH: report.pdf", { to: LAN })).toBe(OLD_REPORT_FOUND.replace(LOOPBACK, LAN));
    // Who is on the tracker's machine keeps to loopback, and is told the others' real addresses.
    expect(await local.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await local.ask("SEARCH: own.txt")).toBe(`FOUND: 1\n<own.txt,data,1,01/02/03,${LAN},40124>`);
  });

  test("IPv6 is written bare, and IPv4 in its own form on a listener for both", async () => {
    await using house = new MemoryTracker(["--host", "::"]);
    const six = await house.join([NOTES], { to: "::1" });
    const four = await house.join([REPORT], { port: 40124 });
    expect([six.hi.get("you"), four.hi.get("you")]).toEqual(["::1", LOOPBACK]);
    expect(await six.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES.replace("192.168.1.17", "::1")}`);
    expect(await six.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(",40123", ",40124")}`);
    expect(await six.ask("KNOWN 0:0:0:0:0:0:0:1")).toBe("YES");
    expect(readPass(six.welcome.get("pass") ?? "", six.hi.get("key") ?? "")?.address as string).toBe("::1");
  });
});
