// The tracker in this process, spoken to over real sockets in bytes written from the protocol's text: both profiles, its limits,
// and what is done to it. Hours pass where a test says so: the clock is then moved by hand.

import { describe, expect, jest, setDefaultTimeout, test } from "bun:test";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { likelyAddresses } from "../lib/net/interfaces.ts";
import { readPass } from "../lib/protocol/pass.ts";
import { parseTrackerArguments } from "../lib/tracker/options.ts";
import { startTracker, type Tracker, type TrackerEvent, type TrackerOptions } from "../tracker.ts";
import { files, Peer, valuesOf } from "./helpers/guests.ts";
import { Raw } from "./helpers/raw.ts";

setDefaultTimeout(20_000);

const LOOPBACK = "127.0.0.1";
/** Every address of 127/8 is this machine on Linux; elsewhere only the first is. */
const manyLoopbacks = process.platform === "linux";
const interfaces = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
const hasIPv6 = interfaces.some(({ address }) => address === "::1");
if (!hasIPv6) console.log("This machine has no IPv6: what a tracker is to peers that have it is not tested here.");
/** This machine as the others on its network see it. */
const lan = interfaces.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "";
if (lan === "") console.log("This machine is on no network: how loopback records look from elsewhere is not tested here.");

/** A port on which nothing listens. */
const CLOSED = 1;
/** 14 November 2023, 22:13:20 UTC. */
const THEN = 1_700_000_000_000;
const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/** Where somebody connects from, and to which of the tracker's addresses. */
type Seat = { from?: string; to?: string };
/** How an FT/2 peer presents itself; `more` stands at the end of its HELLO. */
type Guise = Seat & { port?: number; agent?: string; more?: string };

/** A tracker, everything it has reported, and everybody who is connected to it; all gone at the end. */
class House implements AsyncDisposable {
  readonly tracker: Tracker;
  readonly events: TrackerEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #guests: Raw[] = [];

  constructor(args: string[] = [], more: Partial<TrackerOptions> = {}) {
    const parsed = parseTrackerArguments(["--port", "0", "--host", LOOPBACK, "--name", "Lab 3", "--no-announce", ...args]);
    if ("text" in parsed) throw new Error(parsed.text);
    const report = (event: TrackerEvent) => {
      this.events.push(event);
      for (const look of this.#waiting) look();
    };
    this.tracker = startTracker({ ...parsed.options, ...more, report });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) guest.close();
    await this.tracker.stop();
    await breath();
  }

  /** All events of one kind. */
  all<K extends TrackerEvent["event"]>(kind: K): Extract<TrackerEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<TrackerEvent, { event: K }> => event.event === kind);
  }

  /** The event of one kind that is or will be the `count`-th. */
  async event<K extends TrackerEvent["event"]>(kind: K, count = 1): Promise<Extract<TrackerEvent, { event: K }>> {
    for (;;) {
      const found = this.all(kind)[count - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }

  async connect({ from, to = LOOPBACK }: Seat = {}): Promise<Raw> {
    const guest = await Raw.connect(this.tracker.port, to, from);
    this.#guests.push(guest);
    return guest;
  }

  /** One FT/1 exchange of a client that shuts nothing down: all that is answered until the tracker closes. */
  async exchange(bytes: string | Uint8Array, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send(bytes);
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** The same of a client that half-closes after its request. */
  async exchangeAndShut(bytes: string | Uint8Array, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send(bytes);
    guest.halfClose();
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** An FT/1 registration as the old client makes it: handshake, list, close. Gives what is answered to the list. */
  async register(list: string, seat: Seat = {}): Promise<string> {
    const guest = await this.connect(seat);
    guest.send("HELLO");
    expect((await guest.take(2)).toString()).toBe("HI");
    guest.send(list);
    guest.halfClose();
    const answer = await guest.rest();
    guest.close();
    return answer.toString();
  }

  /** An accepted FT/2 peer. */
  async join(records: string[] = [NOTES], { port = 40123, agent = "test/1", more = "", ...seat }: Guise = {}): Promise<Peer> {
    const raw = await this.connect(seat);
    raw.send(`HELLO FT/2 agent=${agent}${more === "" ? "" : ` ${more}`}\n${files(port, ...records)}`);
    return new Peer(raw, valuesOf(await raw.line()), valuesOf(await raw.line()));
  }
}

/** The next so many replies. */
async function replies(raw: Raw, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await raw.reply());
  return all;
}

/** The next so many pushes. */
async function pushes(raw: Raw, count: number): Promise<string[]> {
  const all: string[] = [];
  while (all.length < count) all.push(await raw.push());
  return all;
}

/** A few turns of the event loop: whatever was already under way on loopback has been handled. */
async function breath(): Promise<void> {
  for (let i = 0; i < 25; i += 1) await new Promise((go) => setImmediate(go));
}

/** Runs a script during which time passes only where it says so. */
async function withOurClock(script: () => Promise<void>): Promise<void> {
  jest.useFakeTimers();
  try {
    await script();
  } finally {
    jest.useRealTimers();
  }
}

async function pass(ms: number): Promise<void> {
  await breath();
  jest.advanceTimersByTime(ms);
  await breath();
}

const REPORT = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05Z;root=${ROOT}>`;
const NOTES = "<notes.txt,text/plain,1200,21/11/26,192.168.1.17,40123;v=2>";
const REPORT_SEEN = REPORT.replace("192.168.1.17", LOOPBACK);
const NOTES_SEEN = NOTES.replace("192.168.1.17", LOOPBACK);
/** What an old program says of the same two files. */
const OLD_REPORT = "<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,5001>";
const OLD_NOTES = "<notes.txt,text/plain,1200,21/11/26,192.168.1.17,5001>";
const OLD_REPORT_FOUND = "FOUND: <application/pdf,48213,22/11/26,127.0.0.1,5001>\n";
const OLD_NOTES_FOUND = "FOUND: <text/plain,1200,21/11/26,127.0.0.1,5001>\n";

function oldRecords(count: number, port = 5001): string[] {
  return Array.from({ length: count }, (_, i) => `<file ${i}.txt,data,${i},01/02/03,10.0.0.1,${port}>`);
}

describe("FT/1: the handshake", () => {
  test("HELLO is answered with the two bytes HI and nothing else", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send("HELLO");
    expect((await guest.take(2)).toString()).toBe("HI");
    guest.halfClose();
    expect((await guest.rest()).toString()).toBe("");
  });

  test("HELLO is answered at once, without the silence that ends other messages", () =>
    withOurClock(async () => {
      await using house = new House();
      const guest = await house.connect();
      guest.send("HELLO");
      // No time passes here at all.
      expect((await guest.take(2)).toString()).toBe("HI");
    }));

  test("HELLO with a newline is a HELLO too", async () => {
    await using house = new House();
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
      await using house = new House();
      expect(await house.register(list)).toBe("");
      expect(await house.exchange("SEARCH: report.pdf")).toBe(OLD_REPORT_FOUND);
      expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
    });
  }

  test("counts although the client closed at once and waits for nothing", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send("HELLO");
    await guest.take(2);
    guest.socket.end(OLD_NOTES, () => guest.close());
    expect(await house.event("joined")).toMatchObject({ address: LOOPBACK, port: 5001, files: 1, profile: "FT/1" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("in one piece with its HELLO is accepted", async () => {
    await using house = new House();
    expect(await house.exchangeAndShut(`HELLO${OLD_NOTES}\n`)).toBe("HI");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("counts 50 ms after its last byte, although the client neither ends its line nor closes", () =>
    withOurClock(async () => {
      await using house = new House();
      const guest = await house.connect();
      guest.send("HELLO");
      await guest.take(2);
      guest.send(`${OLD_REPORT}${OLD_NOTES}`);
      await pass(49);
      expect(house.all("joined")).toEqual([]);
      await pass(2);
      expect(house.all("joined")).toMatchObject([{ port: 5001, files: 2 }]);
      // The connection is closed at the deadline; the peer stays, because it never held one.
      await pass(10_500);
      expect((await guest.rest()).toString()).toBe("");
      expect(await house.exchangeAndShut("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
      expect(house.all("left")).toEqual([]);
    }));

  test("in one piece with a search counts before the search", async () => {
    await using house = new House();
    expect(await house.exchange(`HELLO${OLD_NOTES}\nSEARCH: notes.txt`)).toBe(`HI${OLD_NOTES_FOUND}`);
  });

  test("again with the same port replaces the list", async () => {
    await using house = new House();
    await house.register(`${OLD_REPORT}\n${OLD_NOTES}\n`);
    await house.register(`${OLD_NOTES.replace("1200", "1300")}\n`);
    expect(await house.exchange("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND.replace("1200", "1300"));
  });

  test("takes names raw: with commas, spaces, percent signs, beyond ASCII", async () => {
    await using house = new House();
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
    await using house = new House();
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
      await using house = new House();
      expect(await house.register(oldRecords(6).join(between))).toBe("");
      expect(house.all("refused")).toMatchObject([{ address: LOOPBACK, code: "too-many-files" }]);
      expect(await house.exchange("SEARCH: file 0.txt")).toBe("");
      expect(house.all("joined")).toEqual([]);
      expect(await house.register(oldRecords(5).join(between))).toBe("");
      expect(await house.exchange("SEARCH: file 4.txt")).toBe("FOUND: <data,4,01/02/03,127.0.0.1,5001>\n");
    });
  }

  test("of six files is accepted where the operator allows six", async () => {
    await using house = new House(["--max-files", "6"]);
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
      await using house = new House();
      expect(await house.register(`${record}\n`)).toBe("");
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("joined")).toEqual([]);
      expect(await house.exchange("SEARCH: a.txt")).toBe("");
    });
  }

  test("of another host's address counts for the address that was seen", async () => {
    await using house = new House();
    await house.register("<a.txt,data,1,01/02/03,203.0.113.9,5001>\n");
    expect(await house.exchange("SEARCH: a.txt")).toBe("FOUND: <data,1,01/02/03,127.0.0.1,5001>\n");
    const peer = await house.join();
    expect(await peer.ask("KNOWN 203.0.113.9")).toBe("NO");
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
      await using house = new House();
      await house.register(`${OLD_NOTES}\n`);
      expect(await house.exchange(form)).toBe(OLD_NOTES_FOUND);
      expect(await house.exchangeAndShut(form)).toBe(OLD_NOTES_FOUND);
    });
  }

  test("of a client that neither ends its line nor half-closes is answered after 50 ms of silence", () =>
    withOurClock(async () => {
      await using house = new House();
      await house.register(`${OLD_NOTES}\n`);
      const guest = await house.connect();
      guest.send("SEARCH: note");
      await pass(40);
      guest.send("s.txt");
      await pass(49);
      expect(guest.waiting.toString()).toBe("");
      await pass(2);
      expect((await guest.rest()).toString()).toBe(OLD_NOTES_FOUND);
    }));

  test("gives five fields and a newline for each holder, also for one that speaks FT/2", async () => {
    await using house = new House();
    await house.register(`${OLD_REPORT}\n`);
    await house.register(`${OLD_REPORT.replace("5001", "5002")}\n`);
    await house.join([REPORT]);
    expect(await house.exchange("SEARCH: report.pdf")).toBe(
      "FOUND: <application/pdf,48213,22/11/26,127.0.0.1,5001>\n" +
        "<application/pdf,48213,22/11/26,127.0.0.1,5002>\n" +
        "<application/pdf,48213,22/11/26,127.0.0.1,40123>\n",
    );
  });

  test("for what nobody has is answered with the nine bytes NOT FOUND", async () => {
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    for (const name of ["absent.txt", "Notes.txt", "notes", "notes.txt.bak", "constructor", "__proto__", "toString"]) {
      expect(await house.exchange(`SEARCH: ${name}`)).toBe("NOT FOUND");
    }
  });

  test("of somebody who is not accepted gets no answer", async () => {
    await using house = new House();
    expect(await house.exchange("SEARCH: notes.txt")).toBe("");
    expect(await house.exchangeAndShut("SEARCH: notes.txt\n")).toBe("");
    expect(house.all("refused")).toMatchObject([{ code: "not-accepted" }, { code: "not-accepted" }]);
  });

  test("is answered to the address of an accepted FT/2 peer, and no longer when that peer is gone", async () => {
    await using house = new House();
    const peer = await house.join([REPORT]);
    expect(await house.exchange("SEARCH: report.pdf")).toBe(OLD_REPORT_FOUND.replace("5001", "40123"));
    expect(await peer.ask("BYE")).toBe("BYE");
    expect(await house.exchange("SEARCH: report.pdf")).toBe("");
  });

  test.skipIf(!manyLoopbacks)("of another address than the accepted one gets no answer", async () => {
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    expect(await house.exchange("SEARCH: notes.txt", { from: "127.0.0.2" })).toBe("");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("gives at most 200 holders", async () => {
    await using house = new House(["--max-per-address", "300"]);
    await Promise.all(Array.from({ length: 205 }, (_, i) => house.join([NOTES], { port: 10_001 + i })));
    const answer = await house.exchange("SEARCH: notes.txt");
    expect(answer).toStartWith("FOUND: <text/plain,1200,21/11/26,127.0.0.1,10");
    expect(answer.match(/<text\/plain,1200,21\/11\/26,127\.0\.0\.1,10\d\d\d>\n/g)).toHaveLength(200);
  });
});

describe("FT/1: BYE", () => {
  for (const word of ["BYE", "BYE\n"]) {
    test(`${JSON.stringify(word)} removes every FT/1 peer of the address, without an answer`, async () => {
      await using house = new House();
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
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    const guest = await house.connect();
    guest.socket.end("BYE", () => guest.close());
    expect(await house.event("left")).toMatchObject({ address: LOOPBACK, port: 5001, peers: 0 });
    expect(await house.exchange("SEARCH: notes.txt")).toBe("");
  });

  test("of somebody who was never here is nothing", async () => {
    await using house = new House();
    expect(await house.exchange("BYE")).toBe("");
    expect(house.all("left")).toEqual([]);
  });

  test.skipIf(!manyLoopbacks)("and registrations of another address touch nobody else", async () => {
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    // It claims the same address and port, shares the same name, and leaves.
    await house.register(`${OLD_NOTES.replace("192.168.1.17", LOOPBACK).replace("1200", "6")}\n`, { from: "127.0.0.2" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(`${OLD_NOTES_FOUND}<text/plain,6,21/11/26,127.0.0.2,5001>\n`);
    await house.exchange("BYE", { from: "127.0.0.2" });
    await house.exchange("BYE", { from: "127.0.0.3" });
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });
});

/** The port of an FT/1 peer: counts who comes, and how many bytes they bring. */
class Doorbell implements Disposable {
  readonly visits: number[] = [];
  #server: net.Server | undefined;
  port = 0;

  async open(): Promise<void> {
    const server = net.createServer((socket) => {
      let bytes = 0;
      socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
      socket.on("close", () => this.visits.push(bytes));
      socket.on("error", () => undefined);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, LOOPBACK, resolve);
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.port = address.port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  }

  [Symbol.dispose](): void {
    this.#server?.close();
  }
}

describe("FT/1: the port of a peer that holds no connection", () => {
  test("is tried after 30 s and then every minute by a bare connect and close", () =>
    withOurClock(async () => {
      using door = new Doorbell();
      await door.open();
      await using house = new House();
      await house.register(OLD_NOTES.replace("5001", String(door.port)));
      await pass(29_500);
      expect(door.visits).toEqual([]);
      await pass(1_000);
      expect(door.visits).toEqual([0]);
      await pass(59_000);
      expect(door.visits).toEqual([0]);
      await pass(1_500);
      expect(door.visits).toEqual([0, 0]);
      expect(house.all("left")).toEqual([]);
    }));

  test("is dropped after two failures in a row; a success between them forgives the first", () =>
    withOurClock(async () => {
      using door = new Doorbell();
      await door.open();
      await using house = new House();
      await house.register(OLD_NOTES.replace("5001", String(door.port)));
      await door.close();
      await pass(31_000);
      expect(house.all("left")).toEqual([]);
      await door.open();
      await pass(61_000);
      expect(door.visits).toEqual([0]);
      await door.close();
      await pass(61_000);
      expect(house.all("left")).toEqual([]);
      await pass(61_000);
      expect(house.all("left")).toMatchObject([{ address: LOOPBACK, port: door.port, peers: 0 }]);
      const peer = await house.join([REPORT]);
      expect(await peer.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    }));

  test("is not tried any more after BYE, nor after the tracker has stopped", () =>
    withOurClock(async () => {
      using door = new Doorbell();
      await door.open();
      await using house = new House();
      await house.register(OLD_NOTES.replace("5001", String(door.port)));
      await house.exchangeAndShut("BYE");
      await pass(200_000);
      await house.register(OLD_NOTES.replace("5001", String(door.port)));
      await house.tracker.stop();
      await pass(200_000);
      expect(door.visits).toEqual([]);
    }));

  test("of an FT/2 peer is not tried for life: its connection tells", () =>
    withOurClock(async () => {
      await using house = new House();
      // Nothing listens on this port.
      const peer = await house.join([NOTES], { port: 1 });
      for (let minute = 0; minute < 5; minute += 1) {
        await pass(60_000);
        expect(await peer.ask("PING")).toBe("PONG");
      }
    }));
});

describe("FT/2: joining", () => {
  test("HELLO is answered with the tracker's name, limit, key and the address it sees", async () => {
    await using house = new House(["--max-files", "7"]);
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=ft-peer/1.0.0\n");
    expect(await guest.line()).toMatch(/^HI FT\/2 name=Lab%203 max=7 key=[\w-]{43} you=127\.0\.0\.1$/);
  });

  test("FILES is answered with an id, a pass and how much there is", async () => {
    await using house = new House();
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
    await using house = new House([], { now: () => THEN });
    await using other = new House();
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
    let now = THEN;
    await using house = new House([], { now: () => now });
    const peer = await house.join();
    const key = peer.hi.get("key") ?? "";
    const before = readPass(peer.welcome.get("pass") ?? "", key);
    now += 1_800_000;
    await peer.renew(40123, NOTES);
    const after = readPass(peer.welcome.get("pass") ?? "", key);
    expect(after).toEqual({ id: before?.id ?? "", address: expect.anything(), expires: (before?.expires ?? 0) + 1800 });
  });

  test("the address in pass, HI, records and WHO is the one that was seen, whatever the record says", async () => {
    await using house = new House();
    const peer = await house.join([NOTES.replace("192.168.1.17", "203.0.113.9")]);
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await peer.ask("WHO")).toContain(" address=127.0.0.1 ");
    expect(await peer.ask("KNOWN 203.0.113.9")).toBe("NO");
  });

  test("the port of all records is that of FILES", async () => {
    await using house = new House();
    const peer = await house.join([NOTES.replace(",40123", ",9")], { port: 40777 });
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(",40123", ",40777")}`);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(",40123", ",40777")}`);
  });

  test("FILES 0 gets no answer: the tracker closes", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nFILES 0 port=40123\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect((await guest.rest()).toString()).toBe("");
    expect(house.all("refused")).toHaveLength(1);
  });

  test("FILES 0 of a peer that was accepted is its end, at once, even if it does not close", async () => {
    await using house = new House();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("FILES 0 port=40123\n");
    expect(await peer.raw.replies()).toBe("");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });

  test("more files than allowed are refused before they are sent, with a reason", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nFILES 6 port=40123\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect(await guest.line()).toMatch(/^ERROR too-many-files \S.+$/);
    expect((await guest.rest()).toString()).toBe("");
    expect(house.all("joined")).toEqual([]);
  });

  test("five files are accepted, and a name that comes twice counts once, the last time", async () => {
    await using house = new House();
    const names = ["a", "b", "c", "a", "d"];
    const peer = await house.join(names.map((name, i) => `<${name},data,${i},01/02/03,10.0.0.1,1>`));
    expect(peer.welcome.get("files")).toBe("4");
    expect(await peer.ask("SEARCH: a")).toBe("FOUND: 1\n<a,data,3,01/02/03,127.0.0.1,40123>");
  });

  test("nobody who is not accepted is served: no answer to anything before FILES", async () => {
    await using house = new House();
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
    await using house = new House();
    const guest = await house.connect();
    guest.send("HELLO FT/2 agent=test/1\nBYE\n");
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect((await guest.rest()).toString()).toBe("");
  });

  test("above --max-peers a newcomer is refused with a reason, a member renews, and a free place is given away", async () => {
    await using house = new House(["--max-peers", "1"]);
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

describe("FT/2: requests", () => {
  test("FILES again replaces the whole list", async () => {
    await using house = new House();
    const peer = await house.join([REPORT, NOTES]);
    await peer.renew(40124, "<new.txt,data,7,01/02/03,10.0.0.1,1>");
    expect([peer.welcome.get("peers"), peer.welcome.get("files")]).toEqual(["1", "1"]);
    expect(await peer.ask("LIST")).toBe("FOUND: 1\n<new.txt,data,7,01/02/03,127.0.0.1,40124>");
    expect(await peer.ask("SEARCH: report.pdf")).toBe("NOT FOUND");
    expect(await peer.ask("WHO")).toContain(" port=40124 files=1 bytes=7 ");
  });

  test("ADD adds a record, or renews the one of that name", async () => {
    await using house = new House();
    const peer = await house.join([NOTES]);
    expect(await peer.ask(`ADD ${REPORT.replace(`;root=${ROOT}`, "")}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(`;root=${ROOT}`, "")}`);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    expect(await peer.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    expect(await peer.ask("WHO")).toContain(" files=2 bytes=49413 ");
  });

  test("ADD beyond the limit is ERROR too-many-files; renewing at the limit is not", async () => {
    await using house = new House(["--max-files", "2"]);
    const peer = await house.join([REPORT, NOTES]);
    expect(await peer.ask(`ADD ${NOTES.replace("1200", "1300")}`)).toBe("OK");
    expect(await peer.ask("ADD <third.txt,data,1,01/02/03,10.0.0.1,1>")).toMatch(/^ERROR too-many-files \S.+$/);
  });

  test("DROP takes one record off; what is not there is NOT FOUND; the last one stays", async () => {
    await using house = new House();
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
    await using house = new House();
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

  test("the 33rd unfinished file is refused, and the session goes on", async () => {
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join();
    const part = NOTES.replace(/>$/, `${NOTES.includes(";v=2") ? "" : ";v=2"};part=1>`);
    expect(await peer.ask(`ADD ${part}`)).toMatch(/^ERROR \S+ \S.+$/);
    expect(await peer.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
  });

  test("a list of unfinished files only is no list: silence and a close", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=x\nFILES 1 port=5\n<p,data,9,01/02/03,127.0.0.1,5;v=2;root=${ROOT};part=1>\n`);
    await guest.line();
    expect((await guest.rest()).length).toBe(0);
    expect(house.tracker.port).toBeGreaterThan(0);
  });

  test("a list that says the same name whole and unfinished leaves nobody online without a whole file", async () => {
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join([REPORT.replace(";v=2", ";v=2;colour=blue;part")]);
    await house.join([REPORT], { port: 40124 });
    const both = `FOUND: 2\n${REPORT_SEEN}\n${REPORT_SEEN.replace(",40123", ",40124")}`;
    expect(await peer.ask("SEARCH: report.pdf")).toBe(both);
    expect(await peer.ask("SEARCH report.pdf")).toBe(both);
    expect(await peer.ask("SEARCH: Report.pdf")).toBe("NOT FOUND");
    expect(await peer.ask("SEARCH: report")).toBe("NOT FOUND");
  });

  test("SEARCH takes the rest of the line as an escaped name, and names come back escaped", async () => {
    await using house = new House();
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
    await using house = new House();
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
    await using house = new House(["--max-files", "2500"]);
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
    await using house = new House(["--max-per-address", "300"]);
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
    await using house = new House([], { now: () => THEN });
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
    await using house = new House();
    const peer = await house.join();
    expect(await peer.ask("KNOWN 127.0.0.1")).toBe("YES");
    expect(await peer.ask("KNOWN ::ffff:127.0.0.1")).toBe("YES");
    expect(await peer.ask("KNOWN 127.0.0.9")).toBe("NO");
    expect(await peer.ask("KNOWN fe80::1")).toBe("NO");
  });

  test.skipIf(!manyLoopbacks)("KNOWN follows the peers as they come and go", async () => {
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join();
    expect(await peer.ask("FROBNICATE all=1")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("ping")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("__proto__")).toMatch(/^ERROR unknown-verb \S.+$/);
    expect(await peer.ask("PING")).toBe("PONG");
  });

  test("CR LF ends a line, too", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=test/1\r\nFILES 1 port=40123\r\n${NOTES}\r\nSEARCH: notes.txt\r\nPING\r\n`);
    expect(await guest.line()).toMatch(/^HI FT\/2 .*you=127\.0\.0\.1$/);
    expect(await guest.line()).toStartWith("WELCOME ");
    expect(await guest.reply()).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    expect(await guest.reply()).toBe("PONG");
  });

  test("a half-close right after the requests takes no answer away", async () => {
    await using house = new House(["--max-files", "2500"]);
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
    await using house = new House();
    const peer = await house.join();
    peer.raw.send(`${"PING\n".repeat(205)}ADD ${REPORT}\nFILES 1 port=40123\n${NOTES}\nPING\n`);
    peer.raw.halfClose();
    const lines = (await peer.raw.replies()).split("\n");
    expect(lines.slice(0, 205)).toEqual(Array.from({ length: 205 }, () => "PONG"));
    // What a peer that has left may still add is nobody's concern; that each request has its reply is.
    expect(lines.slice(205)).toEqual([expect.stringMatching(/^\S/), expect.stringMatching(/^\S/), "PONG", ""]);
  });
});

const SCRIPT = `HELLO FT/2 agent=test/1
FILES 2 port=40123
${REPORT}
<Größe %25.txt,text/plain,5,01/02/03,10.0.0.1,1>
PING
SEARCH: Größe %25.txt
SEARCH: absent.txt
KNOWN 127.0.0.1
KNOWN 203.0.113.1
ADD <third.txt,data,0,01/01/00,1.2.3.4,9>
LIST offset=2 limit=1
DROP third.txt
DROP third.txt
DROP Größe %25.txt
DROP report.pdf
FROBNICATE
WHO
BYE
`;

const SCRIPT_ANSWERS = `HI FT/2 name=Lab%203 max=5 key=KEY you=127.0.0.1
WELCOME id=ID pass=PASS peers=1 files=2
PONG
FOUND: 1
<Größe %25.txt,text/plain,5,01/02/03,127.0.0.1,40123>
NOT FOUND
YES
NO
OK
FOUND: 1
<third.txt,data,0,01/01/00,127.0.0.1,40123>
OK
NOT FOUND
OK
ERROR last-file WORDS
ERROR unknown-verb WORDS
PEERS: 1
id=ID address=127.0.0.1 port=40123 files=1 bytes=48213 agent=test/1 since=2023-11-14T22:13:20.000Z
BYE
`;

/** An answer with what is random in it replaced. */
function plain(answer: string): string {
  return answer
    .replace(/ key=\S+/, " key=KEY")
    .replace(/\bid=\S+/g, "id=ID")
    .replace(/ pass=\S+/, " pass=PASS")
    .replace(/^(ERROR \S+) .+$/gm, "$1 WORDS");
}

/** Says a script in pieces that arrive one by one. */
async function sayCut(guest: Raw, pieces: Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    guest.send(piece);
    for (let i = 0; i < 4; i += 1) await new Promise((go) => setImmediate(go));
  }
}

/** Every way to cut a script in two, the script in one piece, and byte by byte. */
function cutsOf(script: string): Uint8Array[][] {
  const bytes = Buffer.from(script);
  const inTwo = Array.from({ length: bytes.length - 1 }, (_, i) => [bytes.subarray(0, i + 1), bytes.subarray(i + 1)]);
  return [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte)), ...inTwo];
}

/** Does something with each, some at a time. */
async function each<T, R>(items: T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += 50) results.push(...(await Promise.all(items.slice(i, i + 50).map(act))));
  return results;
}

// The clock stands still here: on a busy machine 50 ms could pass between two pieces, and that would end an FT/1 message.
describe("cut at every byte boundary, byte by byte and in one piece", () => {
  test("an FT/2 session gets the same answers in the same order", () =>
    withOurClock(async () => {
      const answers = await each(cutsOf(SCRIPT), async (pieces) => {
        await using house = new House([], { now: () => THEN });
        const guest = await house.connect();
        await sayCut(guest, pieces);
        return plain(await guest.replies());
      });
      expect(answers).toHaveLength(Buffer.byteLength(SCRIPT) + 1);
      expect([...new Set(answers)]).toEqual([SCRIPT_ANSWERS]);
    }));

  for (const [how, list] of [
    ["with newlines", `${OLD_REPORT}\n<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n`],
    ["without newlines", `${OLD_REPORT}<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>`],
  ] as const) {
    test(`an FT/1 registration ${how} is the same registration`, () =>
      withOurClock(async () => {
        const answers = await each(cutsOf(`HELLO${list}`), async (pieces) => {
          await using house = new House();
          const guest = await house.connect();
          await sayCut(guest, pieces);
          guest.halfClose();
          const answer = (await guest.rest()).toString();
          const found = [
            await house.exchangeAndShut("SEARCH: report.pdf"),
            await house.exchangeAndShut("SEARCH: Größe, 1.txt"),
          ];
          return [answer, ...found].join("|");
        });
        expect([...new Set(answers)]).toEqual([`HI|${OLD_REPORT_FOUND}|FOUND: <data,5,01/02/03,127.0.0.1,5001>\n`]);
      }));
  }

  test("FT/1 searches and BYE are the same searches and the same BYE", () =>
    withOurClock(async () => {
      await using house = new House(["--max-per-address", "1000"]);
      const say = async (pieces: Uint8Array[]) => {
        const guest = await house.connect();
        await sayCut(guest, pieces);
        guest.halfClose();
        return (await guest.rest()).toString();
      };
      await house.register("<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n");
      const found = "FOUND: <data,5,01/02/03,127.0.0.1,5001>\n";
      expect([...new Set(await each(cutsOf("SEARCH: Größe, 1.txt"), say))]).toEqual([found]);
      expect([...new Set(await each(cutsOf("SEARCH Größe, 1.txt\r\n"), say))]).toEqual([found]);
      expect([...new Set(await each(cutsOf("SEARCH: Größe, 2.txt\n"), say))]).toEqual(["NOT FOUND"]);
      for (const pieces of cutsOf("BYE")) {
        expect(await say(pieces)).toBe("");
        expect(await house.exchangeAndShut("SEARCH: Größe, 1.txt")).toBe("");
        await house.register("<Größe, 1.txt,data,5,01/02/03,10.0.0.1,5001>\n");
      }
    }));

  test("an FT/1 list with one file too many is refused whole, also when its records name two ports", () =>
    withOurClock(async () => {
      const list = [...oldRecords(3, 5001), ...oldRecords(3, 5002)].join("\n");
      const outcomes = await each(cutsOf(`HELLO${list}\n`), async (pieces) => {
        await using house = new House();
        const guest = await house.connect();
        await sayCut(guest, pieces);
        guest.halfClose();
        const answer = (await guest.rest()).toString();
        return [answer, await house.exchangeAndShut("SEARCH: file 0.txt")].join("|");
      });
      expect([...new Set(outcomes)]).toEqual(["HI|"]);
    }));
});

describe("FT/2: a first line that is held up on its way", () => {
  test("is still FT/2, wherever it was cut: no FT/1 message begins like it", () =>
    withOurClock(async () => {
      const line = "HELLO FT/2 agent=test/1\n";
      const cuts = Array.from({ length: line.length - 1 }, (_, i) => i + 1);
      const accepted: number[] = [];
      for (const cut of cuts) {
        await using house = new House();
        const guest = await house.connect();
        guest.send(line.slice(0, cut));
        await pass(1_000);
        guest.send(`${line.slice(cut)}${files(40123, NOTES)}BYE\n`);
        if (/^HI FT\/2 [^\n]+\nWELCOME [^\n]+\nBYE\n$/.test(await guest.replies())) accepted.push(cut);
      }
      expect(accepted).toEqual(cuts);
    }));
});

describe("FT/2: the connection is the peer's presence", () => {
  const ways: [string, (raw: Raw) => void][] = [
    ["closed", (raw) => raw.close()],
    ["half-closed", (raw) => raw.halfClose()],
    ["reset", (raw) => raw.socket.resetAndDestroy()],
  ];
  for (const [how, leave] of ways) {
    test(`${how}, its records are gone at once`, async () => {
      await using house = new House();
      const other = await house.join([REPORT]);
      const peer = await house.join([NOTES]);
      expect(await other.ask("SEARCH: notes.txt")).toStartWith("FOUND: 1\n");
      leave(peer.raw);
      expect(await house.event("left")).toMatchObject({ id: peer.id, port: 40123, peers: 1 });
      expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
      expect(house.all("left")).toHaveLength(1);
    });
  }

  test("half-closed with requests that still wait for their turn, its records are gone before those are answered", async () => {
    await using house = new House();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("PING\n".repeat(230));
    peer.raw.halfClose();
    await house.event("left");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(peer.raw.ended).toBe(false);
  });

  test("BYE is answered with BYE and a close, and its records are gone", async () => {
    await using house = new House();
    const other = await house.join([REPORT]);
    const peer = await house.join([NOTES]);
    peer.raw.send("BYE\nPING\n");
    expect(await peer.raw.replies()).toBe("BYE\n");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(house.all("left")).toHaveLength(1);
  });

  test("who pings every 45 s stays for hours; who is silent for 90 s is gone", () =>
    withOurClock(async () => {
      await using house = new House();
      const steady = await house.join([REPORT]);
      for (let i = 0; i < 40; i += 1) {
        await pass(45_000);
        expect(await steady.ask("PING")).toBe("PONG");
      }
      const silent = await house.join([NOTES]);
      await pass(45_000);
      expect(await steady.ask("PING")).toBe("PONG");
      await pass(44_000);
      expect(await steady.ask("SEARCH: notes.txt")).toStartWith("FOUND: 1\n");
      await pass(2_000);
      expect(await house.event("left")).toMatchObject({ id: silent.id });
      expect(await steady.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      expect(await silent.raw.replies()).toBe("");
    }));

  test("one byte is a sign of life, too", () =>
    withOurClock(async () => {
      await using house = new House();
      const peer = await house.join();
      await pass(80_000);
      peer.raw.send("P");
      await pass(80_000);
      peer.raw.send("ING\n");
      expect(await peer.raw.reply()).toBe("PONG");
    }));
});

describe("FT/2: whether others can connect to a peer", () => {
  const NO = "REACH no reason=nothing%20listens%20there%20(connection%20refused)";

  test("is told to it once it is accepted, after one bare connect and close", () =>
    withOurClock(async () => {
      using door = new Doorbell();
      await door.open();
      await using house = new House();
      const peer = await house.join([NOTES], { port: door.port });
      expect(await peer.raw.push()).toBe("REACH yes");
      for (let minute = 0; minute < 5; minute += 1) {
        await pass(60_000);
        expect(await peer.ask("PING")).toBe("PONG");
      }
      expect(door.visits).toEqual([0]);
      expect(peer.raw.pushes).toEqual([]);
      expect(house.all("unreachable")).toEqual([]);
    }));

  test("is told to it with the reason, and to the operator, when its port is closed", async () => {
    await using house = new House();
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
    using door = new Doorbell();
    await door.open();
    await using house = new House();
    const peer = await house.join([NOTES], { port: door.port, more: "extras=1" });
    expect(await peer.raw.push()).toBe("REACH yes");
    for (let i = 0; i < 3; i += 1) await peer.renew(door.port, NOTES);
    expect(await peer.ask(`ADD ${REPORT}`)).toBe("OK");
    await breath();
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
      using door = new Doorbell();
      await door.open();
      await using house = new House();
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
    await using house = new House();
    const guest = await house.connect();
    guest.send(`HELLO FT/2 agent=x\n${files(CLOSED, NOTES)}BYE\n`);
    expect((await guest.rest()).toString()).toMatch(/^HI [^\n]+\nWELCOME [^\n]+\nBYE\n$/);
    const peer = await house.join([NOTES], { port: CLOSED });
    expect(await peer.raw.push()).toBe(NO);
    expect(house.all("unreachable").map(({ id }) => id)).toEqual([peer.id]);
  });

  test("is the tracker's word alone: what a record says of it is not repeated", async () => {
    using door = new Doorbell();
    await door.open();
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join([NOTES], { port: CLOSED, more: "extras=1" });
    expect(await peer.raw.push()).toBe(NO);
    await house.register(`${OLD_REPORT.replace("5001", "2")}\n`);
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND.replace("5001", String(CLOSED)));
    const [, own, old] = (await peer.ask("WHO")).split("\n");
    expect([own, old]).toEqual([expect.stringMatching(/ reach=no$/), expect.not.stringContaining("reach")]);
    expect(await peer.ask("SEARCH: report.pdf")).toEndWith(",127.0.0.1,2>");
  });

  test("may take its time for one: the others are served meanwhile, and no push stands within a reply", async () => {
    await using house = new House(["--max-files", "2000", "--max-per-address", "200"]);
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
    await using house = new House([], { now: () => THEN });
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
    await using house = new House();
    const guest = await house.connect();
    guest.send(talk("HELLO FT/2 agent=a extras=1"));
    expect(await guest.line()).toMatch(/^HI FT\/2 name=Lab%203 max=5 key=[\w-]{43} you=127\.0\.0\.1 announced=no$/);
    expect(await guest.line()).toMatch(/^WELCOME id=(\w+) pass=\S+ peers=1 files=1 session=\1\.[\w-]{22}$/);
    expect(await guest.push()).toStartWith("REACH no ");
    guest.send("SEARCH: report.pdf\nWHO\n");
    expect(await guest.reply()).toBe(
      `FOUND: 1\n${REPORT.replace("192.168.1.17,40123", `127.0.0.1,1`).replace(">", ";reach=no>")}`,
    );
    expect(await guest.reply()).toMatch(/ since=\S+ reach=no$/);
  });

  test("is each listener's own affair: two peers that are online together are answered differently", async () => {
    await using house = new House();
    const old = await house.join([NOTES], { port: CLOSED });
    const young = await house.join([REPORT], { port: CLOSED, more: "extras=1" });
    for (const peer of [old, young]) expect(await peer.raw.push()).toStartWith("REACH no ");
    expect([await old.ask("LIST"), await old.ask("WHO")].join("\n")).not.toContain("reach");
    expect((await young.ask("LIST")).match(/;reach=no>/g)).toHaveLength(2);
    expect((await young.ask("WHO")).match(/ reach=no$/gm)).toHaveLength(2);
  });
});

describe("FT/2: asking a holder to connect", () => {
  test("tells it the asker's observed address, the port of its FILES and its token, and answers OK", async () => {
    await using house = new House();
    const from = manyLoopbacks ? "127.0.0.3" : LOOPBACK;
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
    expect(await asker.ask("CONNECT future=1 token=again port=4001 address=::ffff:127.0.0.1 id=x you=y")).toBe("OK");
    expect(await holder.raw.push()).toBe(`CONNECT address=${from} port=4002 token=again`);
    expect(await holder.ask("PING")).toBe("PONG");
    for (const peer of [asker, bystander]) {
      expect(await peer.ask("PING")).toBe("PONG");
      expect(peer.raw.pushes.filter((push) => !push.startsWith("REACH "))).toEqual([]);
    }
  });

  test("is NOT FOUND for nobody, for another port, for an FT/1 peer and for who has left", async () => {
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join([REPORT], { port: 4002 });
    expect(await peer.raw.push()).toStartWith("REACH ");
    expect(await peer.ask("CONNECT address=127.0.0.1 port=4002 token=t")).toBe("NOT FOUND");
    expect(peer.raw.pushes).toEqual([]);
  });

  test("finds an FT/2 holder although an FT/1 program has registered its address and port before", async () => {
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    const holder = await house.join([NOTES], { port: 5001 });
    const asker = await house.join([REPORT], { port: 4002 });
    expect(await holder.raw.push()).toStartWith("REACH ");
    expect(await asker.ask("CONNECT address=127.0.0.1 port=5001 token=t")).toBe("OK");
    expect(await holder.raw.push()).toBe("CONNECT address=127.0.0.1 port=4002 token=t");
  });

  test("gets no answer from who has shared nothing, and disturbs nobody", async () => {
    await using house = new House();
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
    await using house = new House();
    const holder = await house.join([NOTES], { port: 4001 });
    await house.register(`${OLD_NOTES}\n`);
    expect(await house.exchange("CONNECT address=127.0.0.1 port=4001 token=t\n")).toBe("");
    expect(await holder.raw.push()).toStartWith("REACH ");
    expect(await holder.ask("PING")).toBe("PONG");
    expect(holder.raw.pushes).toEqual([]);
  });

  test("64 times at once and then 8 times a second is the most; beyond that it is an error, and the session goes on", () =>
    withOurClock(async () => {
      await using house = new House();
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
      await pass(2_000);
      const later = await ask(20);
      expect(later.filter((answer) => answer === "OK")).toHaveLength(16);
      expect(later.filter((answer) => answer.startsWith("ERROR too-many-connects "))).toHaveLength(4);
      const call = "CONNECT address=127.0.0.1 port=4002 token=t";
      expect(await pushes(holder.raw, 80)).toEqual(Array(80).fill(call));
      expect(await holder.ask("PING")).toBe("PONG");
      expect(holder.raw.pushes).toEqual([]);
      expect(house.all("refused")).toEqual([]);
    }));

  test("is bounded for an asker, however many holders it asks", () =>
    withOurClock(async () => {
      await using house = new House();
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
    }));

  test("is bounded for a holder, too, however many ask; another holder is not concerned", () =>
    withOurClock(async () => {
      await using house = new House();
      const holder = await house.join([NOTES], { port: 4001 });
      const other = await house.join([NOTES], { port: 4009 });
      const askers = await Promise.all([4002, 4003, 4004].map((port) => house.join([REPORT], { port })));
      for (const peer of [holder, other]) expect(await peer.raw.push()).toStartWith("REACH ");
      const answers = await Promise.all(
        askers.map(async ({ raw }) => {
          raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(40));
          return await replies(raw, 40);
        }),
      );
      expect(answers.flat().filter((answer) => answer === "OK")).toHaveLength(64);
      expect(answers.flat().filter((answer) => answer.startsWith("ERROR too-many-connects "))).toHaveLength(56);
      const call = expect.stringMatching(/^CONNECT address=127\.0\.0\.1 port=400[234] token=t$/);
      expect(await pushes(holder.raw, 64)).toEqual(Array(64).fill(call));
      for (const asker of askers) expect(await asker.ask("CONNECT address=127.0.0.1 port=4009 token=t")).toBe("OK");
      expect(await pushes(other.raw, 3)).toEqual(Array(3).fill(call));
      expect(await holder.ask("PING")).toBe("PONG");
      expect(holder.raw.pushes).toEqual([]);
    }));

  test("does not take from a holder, by being asked, the right to ask somebody itself", () =>
    withOurClock(async () => {
      await using house = new House();
      const holder = await house.join([NOTES], { port: 4001 });
      const other = await house.join([NOTES], { port: 4009 });
      const asker = await house.join([REPORT], { port: 4002 });
      asker.raw.send("CONNECT address=127.0.0.1 port=4001 token=t\n".repeat(64));
      expect(await replies(asker.raw, 64)).toEqual(Array(64).fill("OK"));
      expect(await holder.ask("CONNECT address=127.0.0.1 port=4009 token=mine")).toBe("OK");
      expect(await other.raw.push()).toStartWith("REACH ");
      expect(await other.raw.push()).toBe("CONNECT address=127.0.0.1 port=4001 token=mine");
    }));

  test.skipIf(lan === "")(
    "shows an asker on the tracker's machine by the tracker's address on the holder's connection",
    async () => {
      await using house = new House(["--host", "0.0.0.0"]);
      const local = await house.join([NOTES], { port: 4001 });
      const near = await house.join([NOTES], { port: 4002 });
      const far = await house.join([REPORT], { port: 4003, to: lan });
      for (const peer of [local, near, far]) expect(await peer.raw.push()).toStartWith("REACH ");
      expect(await local.ask(`CONNECT address=${lan} port=4003 token=out`)).toBe("OK");
      expect(await far.raw.push()).toBe(`CONNECT address=${lan} port=4001 token=out`);
      // The other way round, the holder is where the asker sees it.
      expect(await far.ask(`CONNECT address=${lan} port=4001 token=in`)).toBe("OK");
      expect(await local.raw.push()).toBe(`CONNECT address=${lan} port=4003 token=in`);
      // Nobody elsewhere has a peer at the tracker's loopback address.
      expect(await local.ask("CONNECT address=127.0.0.1 port=4002 token=loop")).toBe("OK");
      expect(await near.raw.push()).toBe("CONNECT address=127.0.0.1 port=4001 token=loop");
      // Where the tracker is to one peer, others are not.
      expect(await local.ask(`CONNECT address=${lan} port=4002 token=lost`)).toBe("NOT FOUND");
    },
  );
});

describe("FT/2: a peer whose connection broke before the tracker noticed", () => {
  const more = "extras=1";

  test("takes its own place by its session: same id, one entry, and the old connection is closed", async () => {
    await using house = new House();
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
    await using house = new House();
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
    await using house = new House();
    const peer = await house.join([NOTES], { more });
    const { session } = peer;
    await peer.renew(4002, REPORT);
    expect(peer.session).toBe(session);
    expect((await house.join([NOTES], { more: `session=${session}` })).id).toBe(peer.id);
  });

  test("may be of few words: a session without extras=1 is enough, and is not told", async () => {
    await using house = new House();
    const old = await house.join([NOTES], { more });
    const back = await house.join([NOTES], { more: `session=${old.session}` });
    expect([back.id, back.welcome.has("session"), back.hi.has("announced")]).toEqual([old.id, false, false]);
  });

  test("has, when it has left in order, no place that it could take", async () => {
    await using house = new House();
    const old = await house.join([NOTES], { more });
    expect(await old.ask("BYE")).toBe("BYE");
    expect((await house.join([NOTES], { more: `${more} session=${old.session}` })).id).not.toBe(old.id);
  });

  test("can do nothing more on the old connection: what it had still to say there is not heard", () =>
    withOurClock(async () => {
      await using house = new House();
      const watcher = await house.join([REPORT], { port: 4009 });
      const old = await house.join([NOTES], { port: 4001, more });
      // More than its rate allows: the list waits for its turn.
      old.raw.send(`${"PING\n".repeat(230)}${files(4005, "<late.txt,data,1,01/02/03,10.0.0.1,1>")}BYE\n`);
      await breath();
      const back = await house.join([NOTES], { port: 4002, more: `${more} session=${old.session}` });
      expect(back.id).toBe(old.id);
      old.raw.send("ADD <later.txt,data,1,01/02/03,10.0.0.1,1>\nBYE\n");
      await pass(5_000);
      expect(old.raw.ended).toBe(true);
      expect(await watcher.ask("LIST")).toBe(
        ["FOUND: 2", REPORT_SEEN.replace("40123", "4009"), NOTES_SEEN.replace("40123", "4002")].join("\n"),
      );
      expect(await back.ask("PING")).toBe("PONG");
      expect(house.all("updated")).toEqual([]);
      expect(house.all("left")).toHaveLength(1);
    }));

  test("takes its place also where the tracker is full; who only says so does not", async () => {
    await using house = new House(["--max-peers", "1"]);
    const old = await house.join([NOTES], { more });
    const liar = await house.connect();
    liar.send(`HELLO FT/2 agent=x extras=1 session=${old.id}.${"A".repeat(22)}\n${files(4002, REPORT)}`);
    expect(await liar.line()).toStartWith("HI ");
    expect((await liar.rest()).toString()).toMatch(/^ERROR tracker-full \S[^\n]+\n$/);
    const back = await house.join([REPORT], { more: `${more} session=${old.session}` });
    expect([back.id, back.welcome.get("peers")]).toEqual([old.id, "1"]);
    expect(await back.ask("LIST")).toStartWith("FOUND: 1\n<report.pdf,");
  });

  test.skipIf(!manyLoopbacks)("may come from another address, and is known by that one alone", async () => {
    await using house = new House();
    const watcher = await house.join([REPORT], { from: "127.0.0.9" });
    const old = await house.join([NOTES], { from: "127.0.0.2", more });
    const back = await house.join([NOTES], { from: "127.0.0.3", more: `${more} session=${old.session}` });
    expect([back.id, back.hi.get("you")]).toEqual([old.id, "127.0.0.3"]);
    expect(readPass(back.welcome.get("pass") ?? "", back.hi.get("key") ?? "")?.address as string).toBe("127.0.0.3");
    expect([await watcher.ask("KNOWN 127.0.0.2"), await watcher.ask("KNOWN 127.0.0.3")]).toEqual(["NO", "YES"]);
    expect(await watcher.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES.replace("192.168.1.17", "127.0.0.3")}`);
  });

  test("is not put out by who guesses, borrows or makes up a session", async () => {
    await using house = new House();
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
    for (const guess of guesses) {
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
    await using house = new House();
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
    await using house = new House();
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

describe("IPv4 and IPv6 on one listener", () => {
  const everywhere = { host: undefined };

  test.skipIf(!hasIPv6)("are both served when no host is named, each seen by its own kind of address", async () => {
    await using house = new House([], everywhere);
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
    await using house = new House(["--max-per-address", "3"], everywhere);
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
    await using house = new House([], everywhere);
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
    await using house = new House([], everywhere);
    const { port } = house.tracker;
    const address = hasIPv6 ? "::" : "0.0.0.0";
    expect(house.events).toEqual([{ event: "listening", address, port }]);
    const { addresses } = await house.event("addresses");
    expect(house.events).toHaveLength(2);
    for (const typed of addresses)
      expect(typed).toMatch(new RegExp(`^(?:(?!127\\.)[\\d.]+|\\[(?!fe80:|::1\\])[0-9a-f:]+\\]):${port}$`));
    if (lan !== "") expect(addresses).toContain(`${lan}:${port}`);
  });

  test("says nothing more after it has stopped, however soon that is", async () => {
    const house = new House([], everywhere);
    await house.tracker.stop();
    // What it had begun to find out is found out by now.
    await likelyAddresses();
    await breath();
    expect(house.events.at(-1)).toEqual({ event: "stopped" });
  });

  test("a port that is taken is said in a sentence, also where no host was named", async () => {
    await using house = new House([], everywhere);
    const { port } = house.tracker;
    expect(() => new House(["--port", String(port)], everywhere)).toThrow(
      new RegExp(`^Cannot listen on "(?:\\[::\\]|0\\.0\\.0\\.0):${port}": the port is in use\\. \\S.+\\.$`),
    );
  });
});

describe("other peers' records", () => {
  test("cannot be dropped, replaced or taken over by an FT/2 peer", async () => {
    await using house = new House();
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
    await using house = new House();
    const owner = await house.join([NOTES], { port: 5001 });
    await house.register("<notes.txt,data,6,01/02/03,127.0.0.1,5001>\n");
    expect(await owner.ask("SEARCH: notes.txt")).toStartWith("FOUND: 2\n");
    await house.exchange("BYE");
    expect(await owner.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(",40123", ",5001")}`);
  });

  test("of FT/1 cannot be dropped over FT/2, nor replaced by an FT/2 peer of the same address and port", async () => {
    await using house = new House();
    await house.register(`${OLD_NOTES}\n`);
    const thief = await house.join([REPORT], { port: 5001 });
    expect(await thief.ask("DROP notes.txt")).toBe("NOT FOUND");
    expect(await thief.ask("BYE")).toBe("BYE");
    expect(await house.exchange("SEARCH: notes.txt")).toBe(OLD_NOTES_FOUND);
  });

  test("stay when somebody claims their holder's id in every key", async () => {
    await using house = new House();
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
  test.skipIf(lan === "")(
    "a peer on the tracker's machine is given by the tracker's own address to who came from elsewhere",
    async () => {
      await using house = new House(["--host", "0.0.0.0"]);
      const local = await house.join([NOTES]);
      await house.register(`${OLD_REPORT}\n`);
      const remote = await house.join(["<own.txt,data,1,01/02/03,10.0.0.1,1>"], { to: lan, port: 40124 });
      expect([local.hi.get("you"), remote.hi.get("you")]).toEqual([LOOPBACK, lan]);
      expect(await remote.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(LOOPBACK, lan)}`);
      expect(await remote.ask("LIST limit=1")).toBe(`FOUND: 1\n${NOTES_SEEN.replace(LOOPBACK, lan)}`);
      expect(await remote.ask("WHO")).not.toContain(` address=${LOOPBACK}`);
      expect(await house.exchange("SEARCH: report.pdf", { to: lan })).toBe(OLD_REPORT_FOUND.replace(LOOPBACK, lan));
      // Who is on the tracker's machine keeps to loopback, and is told the others' real addresses.
      expect(await local.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
      expect(await local.ask("SEARCH: own.txt")).toBe(`FOUND: 1\n<own.txt,data,1,01/02/03,${lan},40124>`);
    },
  );

  test.skipIf(!hasIPv6)("IPv6 is written bare, and IPv4 in its own form on a listener for both", async () => {
    await using house = new House(["--host", "::"]);
    const six = await house.join([NOTES], { to: "::1" });
    const four = await house.join([REPORT], { port: 40124 });
    expect([six.hi.get("you"), four.hi.get("you")]).toEqual(["::1", LOOPBACK]);
    expect(await six.ask("SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES.replace("192.168.1.17", "::1")}`);
    expect(await six.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN.replace(",40123", ",40124")}`);
    expect(await six.ask("KNOWN 0:0:0:0:0:0:0:1")).toBe("YES");
    expect(readPass(six.welcome.get("pass") ?? "", six.hi.get("key") ?? "")?.address as string).toBe("::1");
  });
});

describe("a line that breaks the grammar or a limit is told why, then the connection is closed", () => {
  const offences: [string, string | Uint8Array, string][] = [
    ["FILES -1", "FILES -1 port=1\n", "bad-number"],
    ["FILES 1.5", "FILES 1.5 port=1\n", "bad-number"],
    ["FILES 1e1", "FILES 1e1 port=1\n", "bad-number"],
    ["FILES 01", "FILES 01 port=1\n", "bad-number"],
    ["FILES 2^53 + 1", "FILES 9007199254740993 port=1\n", ""],
    ["FILES without a number", "FILES port=1\n", "bad-number"],
    ["FILES without a port", `FILES 1\n${NOTES}\n`, "bad-port"],
    ["port 0", `FILES 1 port=0\n${NOTES}\n`, "bad-port"],
    ["port 70000", `FILES 1 port=70000\n${NOTES}\n`, "bad-port"],
    ["a negative port", `FILES 1 port=-1\n${NOTES}\n`, "bad-port"],
    ["a record with port 0", "FILES 1 port=1\n<a,data,1,01/02/03,10.0.0.1,0>\n", "bad-port"],
    ["a record with a negative size", "ADD <a,data,-1,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with a fraction of a byte", "ADD <a,data,1.5,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with an exponent", "ADD <a,data,1e9,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with a leading zero", "ADD <a,data,010,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record above 2^53", "ADD <a,data,9007199254740993,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record with seven fields", "ADD <a,b,data,1,01/02/03,10.0.0.1,1>\n", "bad-record"],
    ["a record without brackets", "ADD a,data,1,01/02/03,10.0.0.1,1\n", "bad-record"],
    ["a root that is none", "ADD <a,data,1,01/02/03,10.0.0.1,1;root=abc>\n", "bad-record"],
    ["an mtime that is none", "ADD <a,data,1,01/02/03,10.0.0.1,1;mtime=yesterday>\n", "bad-record"],
    ["a line of another kind among the records", `FILES 2 port=1\n${NOTES}\nPING\n`, "bad-record"],
    ["an escape that is none", "SEARCH: 100%\n", "bad-escape"],
    ["an escape that is not UTF-8", "SEARCH: %ff%fe\n", "bad-escape"],
    ["an escaped NUL in a name", "SEARCH: a%00b\n", "bad-name"],
    ["an empty name", "SEARCH: \n", "bad-name"],
    ["a name of 256 bytes", `SEARCH: ${"ü".repeat(128)}\n`, "bad-name"],
    ["a negative offset", "LIST offset=-1\n", "bad-number"],
    ["a limit with an exponent", "WHO limit=1e3\n", "bad-number"],
    ["an offset above 2^53", "LIST offset=9007199254740993\n", "bad-number"],
    ["an address that is none", "KNOWN nowhere\n", "bad-address"],
    ["an address with a port", "KNOWN 127.0.0.1:80\n", "bad-address"],
    ["a second HELLO", "HELLO FT/2 agent=again\n", "unexpected"],
    ["CONNECT without anything", "CONNECT\n", "bad-line"],
    ["CONNECT without an address", "CONNECT port=5 token=t\n", "bad-line"],
    ["CONNECT without a port", "CONNECT address=10.0.0.1 token=t\n", "bad-line"],
    ["CONNECT without a token", "CONNECT address=10.0.0.1 port=5\n", "bad-line"],
    ["CONNECT to a name", "CONNECT address=localhost port=5 token=t\n", "bad-address"],
    ["CONNECT to an endpoint", "CONNECT address=10.0.0.1:5 port=5 token=t\n", "bad-address"],
    ["CONNECT to port 0", "CONNECT address=10.0.0.1 port=0 token=t\n", "bad-port"],
    ["CONNECT to port 65536", "CONNECT address=10.0.0.1 port=65536 token=t\n", "bad-port"],
    ["CONNECT to a negative port", "CONNECT address=10.0.0.1 port=-5 token=t\n", "bad-port"],
    ["CONNECT with an empty token", "CONNECT address=10.0.0.1 port=5 token=\n", "bad-token"],
    ["CONNECT with a token of 65 letters", `CONNECT address=10.0.0.1 port=5 token=${"x".repeat(65)}\n`, "bad-token"],
    ["CONNECT with a token that is a line of its own", "CONNECT address=10.0.0.1 port=5 token=t%0ABYE\n", "bad-token"],
    ["CONNECT with a token that says more", "CONNECT address=10.0.0.1 port=5 token=t%20address=6.6.6.6\n", "bad-token"],
    ["CONNECT with a token that is not ASCII", "CONNECT address=10.0.0.1 port=5 token=ü\n", "bad-token"],
    ["a NUL", "PING\0\n", "bad-line"],
    ["an escape sequence", "SEARCH: \x1b[2J\n", "bad-line"],
    [
      "bytes that are not UTF-8",
      Uint8Array.of(0x53, 0x45, 0x41, 0x52, 0x43, 0x48, 0x3a, 0x20, 0xff, 0xfe, 0x0a),
      "bad-encoding",
    ],
    ["a line of 4097 bytes", `WHO x=${"y".repeat(4090)}\n`, "line-too-long"],
    ["an endless line", "x".repeat(5000), "line-too-long"],
  ];
  for (const [what, bytes, code] of offences) {
    test(`${what}`, async () => {
      await using house = new House();
      const other = await house.join([REPORT]);
      const peer = await house.join([NOTES]);
      peer.raw.send(bytes);
      // Whatever follows is not looked at any more.
      peer.raw.send("PING\nSEARCH: report.pdf\n");
      const answer = await peer.raw.replies();
      expect(answer).toMatch(/^ERROR [a-z-]+ \S[^\n]+\n$/);
      if (code !== "") expect(answer).toStartWith(`ERROR ${code} `);
      // The offender is gone, and nobody else has noticed.
      expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
      expect(await other.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("left")).toHaveLength(1);
    });
  }

  test("but what is just within the limits is served: a line of 4096 bytes, a name of 255", async () => {
    await using house = new House();
    const name = `${"ü".repeat(127)}y`;
    const peer = await house.join([`<${name},data,9007199254740991,01/02/03,10.0.0.1,65535>`], { port: 65535 });
    expect(await peer.ask(`WHO x=${"y".repeat(4089)}`)).toStartWith("PEERS: 1\n");
    expect(await peer.ask(`SEARCH: ${name}`)).toBe(`FOUND: 1\n<${name},data,9007199254740991,01/02/03,127.0.0.1,65535>`);
  });
});

describe("strangers that speak something else", () => {
  const hello = Buffer.from("16030100c8010000c40303", "hex");
  const strangers: [string, string | Uint8Array][] = [
    ["HTTP", "GET / HTTP/1.1\r\nHost: tracker\r\n\r\n"],
    ["TLS", Buffer.concat([hello, Buffer.alloc(189, 7)])],
    ["SSH", "SSH-2.0-OpenSSH_9.9\r\n"],
    ["NUL", new Uint8Array(64)],
    ["bytes that are not UTF-8", Buffer.alloc(64, 0xff)],
    [
      "a search for bytes that are not UTF-8",
      Buffer.concat([Buffer.from("SEARCH: "), Buffer.alloc(8, 0xfe), Buffer.from("\n")]),
    ],
    ["an endless search", `SEARCH: ${"x".repeat(9000)}`],
    ["an endless record", `<${"x".repeat(9000)}`],
    ["an endless HELLO FT/2", `HELLO FT/2 ${"x".repeat(9000)}`],
    ["words after HELLO", "HELLO there, tracker\n"],
  ];
  for (const [what, bytes] of strangers) {
    test(`${what}: closed at once, said in one event, and the next is served`, async () => {
      await using house = new House();
      const guest = await house.connect();
      guest.send(bytes);
      const answer = (await guest.rest()).toString();
      // Who came with HELLO had its HI; a line in FT/2 is refused in words; nobody else is told anything.
      expect(answer).toMatch(/^(?:HI)?(?:ERROR [^\n]+\n)?$/);
      expect(house.all("refused")).toHaveLength(1);
      expect(house.all("refused")[0]?.reason).toMatch(/\S/);
      const peer = await house.join();
      expect(await peer.ask("PING")).toBe("PONG");
    });
  }

  test("one that sends for as long as it is let is stopped at the limit", async () => {
    await using house = new House();
    const guest = await house.connect();
    guest.send("<");
    const chunk = Buffer.alloc(64 * 1024, "x");
    const flood = setInterval(() => guest.send(chunk), 1);
    expect((await guest.rest()).toString()).toBe("");
    clearInterval(flood);
    expect(house.all("refused")).toMatchObject([{ code: "line-too-long" }]);
  });
});

describe("a connection that does not come to the point is closed 10 s after it was made", () => {
  const tactics: [string, string, string][] = [
    ["says nothing", "", ""],
    ["sends its first line byte by byte", "", "HELLO FT/"],
    ["sends an FT/2 HELLO byte by byte", "HELLO FT/2 agent=", "abcdefghi"],
    ["sends an FT/1 record byte by byte", "<", "abcdefghi"],
    ["says HELLO and then sends a record byte by byte", "HELLO<", "abcdefghi"],
    ["greets and sends its list byte by byte", "HELLO FT/2 agent=x\nFILES 1 port=1\n<", "abcdefghi"],
    ["greets and then sends empty lines", "HELLO\n", "\n\n\n\n\n\n\n\n\n"],
    ["greets, is heard no more", "HELLO FT/2 agent=x\n", ""],
  ];
  for (const [what, first, drip] of tactics) {
    test(`which ${what}`, () =>
      withOurClock(async () => {
        await using house = new House();
        const guest = await house.connect();
        guest.send(first);
        for (let second = 0; second < 9; second += 1) {
          await pass(1_000);
          guest.send(drip.slice(second, second + 1));
        }
        await pass(500);
        expect(guest.ended).toBe(false);
        await pass(1_000);
        await guest.rest();
        expect(house.all("joined")).toEqual([]);
        expect(house.all("refused")).toHaveLength(1);
      }));
  }

  test("which asks without ever sharing", () =>
    withOurClock(async () => {
      await using house = new House();
      const guest = await house.connect();
      guest.send("HELLO FT/2 agent=x\n");
      await guest.line();
      for (let second = 0; second < 9; second += 1) {
        guest.send("PING\n");
        await pass(1_000);
      }
      expect(guest.ended).toBe(false);
      await pass(1_500);
      expect((await guest.rest()).toString()).toBe("");
    }));

  test("but one that was accepted in time stays", () =>
    withOurClock(async () => {
      await using house = new House();
      const guest = await house.connect();
      await pass(9_000);
      guest.send(`HELLO FT/2 agent=x\n${files(40123, NOTES)}`);
      await guest.line();
      await guest.line();
      await pass(20_000);
      guest.send("PING\n");
      expect(await guest.reply()).toBe("PONG");
    }));
});

describe("too much", () => {
  test("of 200 connections from one address 32 are served, the 33rd is refused with a reason, others are not touched", async () => {
    await using house = new House();
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
    inside[1]?.close();
    await breath();
    expect((await house.join([REPORT])).hi.get("you")).toBe(LOOPBACK);
  });

  test("requests are answered 200 at once, then 50 a second, in order", async () => {
    await using house = new House();
    const peer = await house.join([NOTES]);
    const began = performance.now();
    // 220 requests after FILES: at least 20 of them have to wait for their turn.
    peer.raw.send(`${"PING\nSEARCH: notes.txt\n".repeat(109)}KNOWN 127.0.0.1\nKNOWN 203.0.113.1\n`);
    for (let i = 0; i < 109; i += 1) {
      expect(await peer.raw.reply()).toBe("PONG");
      expect(await peer.raw.reply()).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    }
    expect([await peer.raw.reply(), await peer.raw.reply()]).toEqual(["YES", "NO"]);
    expect(performance.now() - began).toBeGreaterThan(300);
  });

  test("searches by words that take long wait for their address's turn, and nobody else does", async () => {
    await using house = new House("--max-files 10000 --rate 1000000 --burst 1000000 --find-time 1".split(" "));
    const many = Array.from({ length: 10_000 }, (_, i) => NOTES.replace("notes.txt", `all the notes ${i} of everybody.txt`));
    const peer = await house.join(many);
    const other = await house.join([REPORT]);
    peer.raw.send("FIND a*e o*y limit=1\n".repeat(300));
    expect(await peer.raw.reply()).toStartWith("FOUND: 1");
    for (let i = 0; i < 20; i += 1) expect(await other.ask("SEARCH: report.pdf")).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    // What it has used up is earned again in many seconds.
    expect(peer.raw.waiting.toString().split("FOUND").length).toBeLessThan(300);
    expect(await other.ask("FIND report")).toContain("report.pdf");
  });

  test("many searches by words in one piece leave the others their turn, and are all answered, also after a half-close", async () => {
    await using house = new House("--max-files 10000 --rate 1000000 --burst 1000000 --find-time 1000".split(" "));
    const many = Array.from({ length: 10_000 }, (_, i) => NOTES.replace("notes.txt", `all the notes ${i} of everybody.txt`));
    const peer = await house.join(many);
    const other = await house.join([REPORT]);
    peer.raw.send("FIND a*e o*y limit=1\n".repeat(300));
    other.raw.send("SEARCH: report.pdf\n");
    expect(await other.raw.reply()).toBe(`FOUND: 1\n${REPORT_SEEN}`);
    expect(peer.raw.waiting.toString().split("FOUND").length).toBeLessThan(300);
    peer.raw.halfClose();
    expect((await peer.raw.replies()).match(/^FOUND: 1$/gm)).toHaveLength(300);
  });

  test("100,000 requests in one piece are cut off, whether their sender was accepted or not", async () => {
    await using house = new House();
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
    expect(await stranger.line()).toStartWith("HI FT/2 ");
    expect(stranger.waiting.toString()).toBe("");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
  });

  test("FT/1 peers of one address are bounded like its connections: they hold none that could be counted", async () => {
    await using house = new House(["--max-per-address", "3"]);
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

  test("an agent as long as a line does not make a line of WHO too long", async () => {
    await using house = new House();
    const peer = await house.join([NOTES], { agent: "<".repeat(3000) });
    const [, line = ""] = (await peer.ask("WHO")).split("\n");
    expect(line).toMatch(/ agent=\S+ since=\S+$/);
    expect(Buffer.byteLength(`${line}\n`)).toBeLessThanOrEqual(4096);
  });

  test("a client that is closed because it never reads does not come back by what it had still to say", async () => {
    await using house = new House(["--max-files", "2000"]);
    const records = Array.from({ length: 2000 }, (_, i) => `<${"n".repeat(200)}${i},data,1,01/02/03,127.0.0.1,40123>`);
    const other = await house.join([REPORT]);
    const peer = await house.join(records);
    peer.raw.socket.pause();
    peer.raw.send(`${"LIST limit=2000\n".repeat(100)}${files(40124, NOTES)}`);
    await house.event("left");
    await breath();
    expect(await other.ask("WHO")).toStartWith("PEERS: 1\n");
    expect(await other.ask("SEARCH: notes.txt")).toBe("NOT FOUND");
    expect(house.all("updated")).toEqual([]);
  });

  test("a client that never reads its answers is closed, and its records are gone", async () => {
    await using house = new House(["--max-files", "2000"]);
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
    await using house = new House();
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

  test("does not wait for ever for who does not close", () =>
    withOurClock(async () => {
      await using house = new House();
      const peer = await house.join();
      expect(await peer.raw.push()).toStartWith("REACH ");
      let stopped = false;
      const stop = house.tracker.stop().then(() => {
        stopped = true;
      });
      expect(await peer.raw.push()).toStartWith("NOTICE ");
      expect(stopped).toBe(false);
      await pass(5_000);
      expect(stopped).toBe(true);
      await stop;
    }));
});

describe("starting", () => {
  test("reports where it listens and what peers can type, before anything else", async () => {
    await using house = new House();
    const { port } = house.tracker;
    expect(port).toBeGreaterThan(0);
    expect(house.events).toEqual([
      { event: "listening", address: LOOPBACK, port },
      { event: "addresses", addresses: [`127.0.0.1:${port}`], announced: false },
    ]);
  });

  test.skipIf(lan === "")("on every interface names the addresses of this machine, not its loopback", async () => {
    await using house = new House(["--host", "0.0.0.0"]);
    const { addresses } = await house.event("addresses");
    expect(addresses).toContain(`${lan}:${house.tracker.port}`);
    // Nobody gets in there by IPv6.
    expect(addresses.filter((address) => address.startsWith("127.") || address.includes("["))).toEqual([]);
  });

  test("says in a sentence that the port is in use, and which", async () => {
    await using house = new House();
    const { port } = house.tracker;
    expect(() => new House(["--port", String(port)])).toThrow(
      new RegExp(`^Cannot listen on "127\\.0\\.0\\.1:${port}": .+\\.$`),
    );
  });

  test("says in a sentence that an address is not this machine's", () => {
    expect(() => new House(["--host", "203.0.113.9"])).toThrow(/^Cannot listen on "203\.0\.113\.9:0": .+\.$/);
  });
});
