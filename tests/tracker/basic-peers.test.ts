// FT/1 at the tracker, as the old programs say it: registration, search, BYE, and the port that is tried.

import { describe, expect, test } from "bun:test";
import {
  LOOPBACK,
  MemoryTracker,
  NOTES,
  OLD_NOTES,
  OLD_NOTES_FOUND,
  OLD_REPORT,
  OLD_REPORT_FOUND,
  oldRecords,
  REPORT,
  REPORT_SEEN,
} from "../helpers/tracker.ts";

describe("FT/1: the handshake", () => {
  test("HELLO is answered with the two bytes HI and nothing else", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO");
    expect((await guest.take(2)).toString()).toBe("HI");
    guest.halfClose();
    expect((await guest.rest()).toString()).toBe("");
  });

  test("HELLO is answered at once, without the silence that ends other messages", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO");
    // No time passes here at all.
    expect((await guest.take(2)).toString()).toBe("HI");
  });

  test("HELLO with a newline is a HELLO too", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO\n");
    expect((await guest.take(2)).toString()).toBe("HI");
    guest.send(OLD_NOTES);
    guest.halfClose();
    expect((await guest.rest()).toString()).toBe("");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });
});

describe("FT/1: registration", () => {
  const lists: [string, string][] = [
    ["a newline after each record", `${OLD_REPORT}\n${OLD_NOTES}\n`],
    ["no newline after the last record", `${OLD_REPORT}\n${OLD_NOTES}`],
    ["no newline anywhere", `${OLD_REPORT}${OLD_NOTES}`],
    ["CR LF", `${OLD_REPORT}\r\n${OLD_NOTES}\r\n`],
  ];
  for (const [how, list] of lists) {
    test(`with ${how} is accepted without an answer, and both files are found`, async () => {
      await using house = new MemoryTracker();
      expect(await house.register(list)).toBe("");
      expect(await house.exchange("SEARCH: report.pdf")).toBe(OLD_REPORT_FOUND);
      expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
    });
  }

  test("counts although the client closed at once and waits for nothing", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO");
    await guest.take(2);
    guest.socket.end(OLD_NOTES, () => guest.close());
    expect(await house.event("joined")).toMatchObject({ address: LOOPBACK, port: 5001, files: 1, profile: "FT/1" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("in one piece with its HELLO is accepted", async () => {
    await using house = new MemoryTracker();
    expect(await house.exchangeAndShut(`HELLO${OLD_NOTES}\n`)).toBe("HI");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("counts 50 ms after its last byte, although the client neither ends its line nor closes", async () => {
    await using house = new MemoryTracker();
    const guest = await house.connect();
    guest.send("HELLO");
    await guest.take(2);
    guest.send(`${OLD_REPORT}${OLD_NOTES}`);
    await house.pass(49);
    expect(house.all("joined")).toEqual([]);
    await house.pass(2);
    expect(house.all("joined")).toMatchObject([{ port: 5001, files: 2 }]);
    // The connection is closed at the deadline; the peer stays, because it never held one.
    await house.pass(10_500);
    expect((await guest.rest()).toString()).toBe("");
    expect(await house.exchangeAndShut("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
    expect(house.all("left")).toEqual([]);
  });

  test("in one piece with a search counts before the search", async () => {
    await using house = new MemoryTracker();
    expect(await house.exchange(`HELLO${OLD_NOTES}\nSEARCH: notes.txt`)).toBe(`HI${OLD_NOTES_FOUND}`);
  });

  test("again with the same port replaces the list", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_REPORT}\n${OLD_NOTES}\n`);
    await house.register(`${OLD_NOTES.replace("1200", "1300")}\n`);
    expect(await house.exchange("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND.replace("1200", "1300"));
  });

  test("takes names raw: with commas, spaces, percent signs, beyond ASCII", async () => {
    await using house = new MemoryTracker();
    const names = ["a, b,c.txt", "100%25.txt", "50% off.txt", "Größe ∞.txt", "__proto__"];
    const records = names.map((name, i) => `<${name},data,${i},01/02/03,10.0.0.1,5001>\n`);
    await house.register(records.join(""));
    const answers = await Promise.all(names.map((name) => house.exchange(`SEARCH: ${name}`)));
    expect(answers).toEqual(names.map((_, i) => `FOUND: <data,${i},01/02/03,127.0.0.1,5001>\n`));
    expect(await house.exchange("SEARCH: 100%.txt")).toBe("NOT FOUND");
    const peer = await house.join([NOTES]);
    expect(await peer.ask("SEARCH: a%2C b%2Cc.txt")).toBe("FOUND: 1\n<a%2C b%2Cc.txt,data,0,01/02/03,127.0.0.1,5001>");
    expect(await peer.ask("SEARCH: 100%2525.txt")).toBe("FOUND: 1\n<100%2525.txt,data,1,01/02/03,127.0.0.1,5001>");
  });

  test("without any file is not accepted and gets no answer beyond HI", async () => {
    await using house = new MemoryTracker();
    expect(await house.register("")).toBe("");
    expect(await house.register("\n")).toBe("");
    expect(await house.exchange("SEARCH: notes.txt")).toBe("");
    expect(house.all("joined")).toEqual([]);
  });

  for (const [how, between] of [
    ["with newlines", "\n"],
    ["without newlines", ""],
  ] as const) {
    test(`of five files is accepted, of six is not and gets no answer, ${how}`, async () => {
      await using house = new MemoryTracker();
      expect(await house.register(oldRecords(6).join(between))).toBe("");
      expect(house.all("refused")).toMatchObject([{ address: LOOPBACK, code: "too-many-files" }]);
      expect(await house.exchange("SEARCH: file 0.txt")).toBe("");
      expect(house.all("joined")).toEqual([]);
      expect(await house.register(oldRecords(5).join(between))).toBe("");
      expect(await house.exchange("SEARCH: file 4.txt")).toBe("FOUND: <data,4,01/02/03,127.0.0.1,5001>\n");
    });
  }

  test("of six files is accepted where the operator allows six", async () => {
    await using house = new MemoryTracker(["--max-files", "6"]);
    await house.register(oldRecords(6).join("\n"));
    expect(await house.exchange("SEARCH: file 5.txt")).toBe("FOUND: <data,5,01/02/03,127.0.0.1,5001>\n");
  });

  const bad: [string, string][] = [
    ["port 0", "<a.txt,data,1,01/02/03,10.0.0.1,0>"],
    ["port 70000", "<a.txt,data,1,01/02/03,10.0.0.1,70000>"],
    ["a port with a sign", "<a.txt,data,1,01/02/03,10.0.0.1,+5001>"],
    ["a negative size", "<a.txt,data,-1,01/02/03,10.0.0.1,5001>"],
    ["a size with a fraction", "<a.txt,data,1.5,01/02/03,10.0.0.1,5001>"],
    ["a size with an exponent", "<a.txt,data,1e3,01/02/03,10.0.0.1,5001>"],
    ["a size with a leading zero", "<a.txt,data,007,01/02/03,10.0.0.1,5001>"],
    ["a size above 2^53", "<a.txt,data,9007199254740993,01/02/03,10.0.0.1,5001>"],
    ["five fields", "<a.txt,data,1,01/02/03,5001>"],
    ["no name", "<,data,1,01/02/03,10.0.0.1,5001>"],
    ["a name of 256 bytes", `<${"a".repeat(256)},data,1,01/02/03,10.0.0.1,5001>`],
    ["a NUL in its name", "<a\0.txt,data,1,01/02/03,10.0.0.1,5001>"],
    ["a date that is none", "<a.txt,data,1,41/02/03,10.0.0.1,5001>"],
    ["an address that is none", "<a.txt,data,1,01/02/03,10.0.0.256,5001>"],
  ];
  for (const [what, record] of bad) {
    test(`with ${what} is refused without an answer`, async () => {
      await using house = new MemoryTracker();
      expect(await house.register(`${record}\n`)).toBe("");
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("joined")).toEqual([]);
      expect(await house.exchange("SEARCH: a.txt")).toBe("");
    });
  }

  test("of another host's address counts for the address that was seen", async () => {
    await using house = new MemoryTracker();
    await house.register("<a.txt,data,1,01/02/03,203.0.113.9,5001>\n");
    expect(await house.exchange("SEARCH: a.txt")).toBe("FOUND: <data,1,01/02/03,127.0.0.1,5001>\n");
    const peer = await house.join();
    expect(await peer.ask("KNOWN 203.0.113.9")).toBe("NO");
  });

  test("FT/1 peers of one address are bounded like its connections: they hold none that could be counted", async () => {
    await using house = new MemoryTracker(["--max-per-address", "3"]);
    for (let port = 5001; port <= 5004; port += 1) await house.register(`${OLD_NOTES.replace("5001", String(port))}\n`);
    expect(house.all("joined").map(({ port }) => port)).toEqual([5001, 5002, 5003]);
    expect(house.all("refused")).toHaveLength(1);
    // Who is here may renew, and a place is free after BYE.
    await house.register(`${OLD_REPORT.replace("5001", "5003")}\n`);
    expect(await house.exchange("SEARCH: report.pdf")).toBe(OLD_REPORT_FOUND.replace("5001", "5003"));
    await house.exchange("BYE");
    await house.register(`${OLD_NOTES.replace("5001", "5004")}\n`);
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND.replace("5001", "5004"));
  });
});

describe("FT/1: search", () => {
  const forms = [
    "SEARCH: notes.txt",
    "SEARCH notes.txt",
    "SEARCH:notes.txt",
    "SEARCH:    notes.txt   ",
    "SEARCH: notes.txt\n",
    "SEARCH notes.txt\r\n",
  ];
  for (const form of forms) {
    test(`${JSON.stringify(form)} is answered with the list, whether or not the client half-closes`, async () => {
      await using house = new MemoryTracker();
      await house.register(`${OLD_NOTES}\n`);
      expect(await house.exchange(form)).toBe(OLD_NOTES_FOUND);
      expect(await house.exchangeAndShut(form)).toBe(OLD_NOTES_FOUND);
    });
  }

  test("of a client that neither ends its line nor half-closes is answered after 50 ms of silence", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    const guest = await house.connect();
    guest.send("SEARCH: note");
    await house.pass(40);
    guest.send("s.txt");
    await house.pass(49);
    expect(guest.waiting.toString()).toBe("");
    await house.pass(2);
    expect((await guest.rest()).toString()).toBe(OLD_NOTES_FOUND);
  });

  test("gives five fields and a newline for each holder, also for one that speaks FT/2", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_REPORT}\n`);
    await house.register(`${OLD_REPORT.replace("5001", "5002")}\n`);
    await house.join([REPORT]);
    expect(await house.exchange("SEARCH: report.pdf")).toBe(
      "FOUND: <application/pdf,48213,22/11/26,127.0.0.1,40123>\n" +
        "<application/pdf,48213,22/11/26,127.0.0.1,5001>\n" +
        "<application/pdf,48213,22/11/26,127.0.0.1,5002>\n",
    );
  });

  test("for what nobody has is answered with the nine bytes NOT FOUND", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    for (const name of ["absent.txt", "Notes.txt", "notes", "notes.txt.bak", "constructor", "__proto__", "toString"]) {
      expect(await house.exchange(`SEARCH: ${name}`)).toBe("NOT FOUND");
    }
  });

  test("of somebody who is not accepted gets no answer", async () => {
    await using house = new MemoryTracker();
    expect(await house.exchange("SEARCH: notes.txt")).toBe("");
    expect(await house.exchangeAndShut("SEARCH: notes.txt\n")).toBe("");
    expect(house.all("refused")).toMatchObject([{ code: "not-accepted" }, { code: "not-accepted" }]);
  });

  test("is answered to the address of an accepted FT/2 peer, and no longer when that peer is gone", async () => {
    await using house = new MemoryTracker();
    const peer = await house.join([REPORT]);
    expect(await house.exchange("SEARCH: report.pdf")).toBe(OLD_REPORT_FOUND.replace("5001", "40123"));
    expect(await peer.ask("BYE")).toBe("BYE");
    expect(await house.exchange("SEARCH: report.pdf")).toBe("");
  });

  test("of another address than the accepted one gets no answer", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    expect(await house.exchange("SEARCH: notes.txt", { from: "127.0.0.2" })).toBe("");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("gives at most 200 holders", async () => {
    await using house = new MemoryTracker(["--max-per-address", "300"]);
    await Promise.all(Array.from({ length: 205 }, (_, i) => house.join([NOTES], { port: 10_001 + i })));
    const answer = await house.exchange("SEARCH: notes.txt");
    expect(answer).toStartWith("FOUND: <text/plain,1200,21/11/26,127.0.0.1,10");
    expect(answer.match(/<text\/plain,1200,21\/11\/26,127\.0\.0\.1,10\d\d\d>\n/g)).toHaveLength(200);
  });
});

describe("FT/1: BYE", () => {
  for (const word of ["BYE", "BYE\n"]) {
    test(`${JSON.stringify(word)} removes every FT/1 peer of the address, without an answer`, async () => {
      await using house = new MemoryTracker();
      await house.register(`${OLD_NOTES}\n`);
      await house.register(`${OLD_NOTES.replace("5001", "5002")}\n`);
      const peer = await house.join([REPORT]);
      expect(await peer.ask("SEARCH: notes.txt")).toStartWith("FOUND: 2\n");
      expect(await house.exchange(word)).toBe("");
      expect(house.all("left").map(({ port }) => port)).toEqual([5001, 5002]);
      expect(await peer.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      // The FT/2 peer of the same address is not touched.
      expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    });
  }

  test("of a client that closes at once is heard", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    const guest = await house.connect();
    guest.socket.end("BYE", () => guest.close());
    expect(await house.event("left")).toMatchObject({ address: LOOPBACK, port: 5001, peers: 0 });
    expect(await house.exchange("SEARCH: notes.txt")).toBe("");
  });

  test("of somebody who was never here is nothing", async () => {
    await using house = new MemoryTracker();
    expect(await house.exchange("BYE")).toBe("");
    expect(house.all("left")).toEqual([]);
  });

  test("and registrations of another address touch nobody else", async () => {
    await using house = new MemoryTracker();
    await house.register(`${OLD_NOTES}\n`);
    // It claims the same address and port, shares the same name, and leaves.
    await house.register(`${OLD_NOTES.replace("192.168.1.17", LOOPBACK).replace("1200", "6")}\n`, { from: "127.0.0.2" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(`${OLD_NOTES_FOUND}<text/plain,6,21/11/26,127.0.0.2,5001>\n`);
    await house.exchange("BYE", { from: "127.0.0.2" });
    await house.exchange("BYE", { from: "127.0.0.3" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });
});

describe("FT/1: the port of a peer that holds no connection", () => {
  test("is tried after 30 s and then every minute by a bare connect and close", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    await house.register(OLD_NOTES.replace("5001", String(door.port)));
    await house.pass(29_500);
    expect(door.visits).toEqual([]);
    await house.pass(1_000);
    expect(door.visits).toEqual([0]);
    await house.pass(59_000);
    expect(door.visits).toEqual([0]);
    await house.pass(1_500);
    expect(door.visits).toEqual([0, 0]);
    expect(house.all("left")).toEqual([]);
  });

  test("is dropped after two failures in a row; a success between them forgives the first", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    await house.register(OLD_NOTES.replace("5001", String(door.port)));
    door.isOpen = false;
    await house.pass(31_000);
    expect(house.all("left")).toEqual([]);
    door.isOpen = true;
    await house.pass(61_000);
    expect(door.visits).toEqual([0]);
    door.isOpen = false;
    await house.pass(61_000);
    expect(house.all("left")).toEqual([]);
    await house.pass(61_000);
    expect(house.all("left")).toMatchObject([{ address: LOOPBACK, port: door.port, peers: 0 }]);
    const peer = await house.join([REPORT]);
    expect(await peer.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });

  test("is not tried any more after BYE, nor after the tracker has stopped", async () => {
    await using house = new MemoryTracker();
    const door = house.door();
    await house.register(OLD_NOTES.replace("5001", String(door.port)));
    await house.exchangeAndShut("BYE");
    await house.pass(200_000);
    await house.register(OLD_NOTES.replace("5001", String(door.port)));
    await house.tracker.stop();
    await house.pass(200_000);
    expect(door.visits).toEqual([]);
  });

  test("of an FT/2 peer is not tried for life: its connection tells", async () => {
    await using house = new MemoryTracker();
    // Nothing listens on this port.
    const peer = await house.join([NOTES], { port: 1 });
    for (let minute = 0; minute < 5; minute += 1) {
      await house.pass(60_000);
      expect(await peer.ask("PING")).toBe("PONG");
    }
  });
});
