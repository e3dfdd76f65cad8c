// A peer's session with trackers that are friendly, old, busy, gone, or lying. Time stands still until a test moves it.

import { describe, expect, test } from "bun:test";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { FtError } from "../../lib/error.ts";
import { dial } from "../../lib/net/dial.ts";
import { Session, type SessionEvent, type SessionOptions, type TrackerPlace } from "../../lib/peer/session.ts";
import type { Endpoint } from "../../lib/protocol/address.ts";
import type { FileRecord } from "../../lib/protocol/record.ts";
import { startTracker } from "../../tracker.ts";
import { addressOf, connection, type Far, HandClock, Net, nameOf, REFUSED, settle } from "../helpers/channel.ts";
import { type Raw, rawServer } from "../helpers/raw.ts";

const TRACKER = { address: "192.168.1.2", port: 1234 };
const WHERE = "192.168.1.2:1234";
const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

const HELLO = "HELLO FT/2 agent=ft-peer/1.0.0 extras=1";
const HI = "HI FT/2 name=Lab%203 max=5 key=11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo you=192.168.1.17\n";
const REPORT = `<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123;v=2;mtime=2026-11-22T10:04:05.000Z;root=${ROOT}>`;
const NOTES = "<notes.txt,text/plain,12,01/02/26,192.168.1.17,40123;v=2;mtime=2026-02-01T08:00:00.000Z>";

function record(name: string, more: Partial<FileRecord> = {}): FileRecord {
  return {
    name: nameOf(name),
    type: "text/plain",
    size: 12,
    date: "01/02/26",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    v2: true,
    mtime: "2026-02-01T08:00:00.000Z",
    ...more,
  };
}

const report = record("report.pdf", {
  type: "application/pdf",
  size: 48_213,
  date: "22/11/26",
  mtime: "2026-11-22T10:04:05.000Z",
  root: ROOT,
});

/** A pass as a tracker writes it: base64url(payload).base64url(signature); nobody checks the signature here. */
function passOf(expiresAt: number): string {
  return `${Buffer.from(`p1 192.168.1.17 ${expiresAt}`).toString("base64url")}.c2ln`;
}

/** A session, its clock, its network, and what it reported. */
class Room {
  readonly clock = new HandClock();
  readonly net = new Net(this.clock);
  readonly events: SessionEvent[] = [];
  shared = [report, record("notes.txt")];
  chance = 0.5;
  readonly session: Session;

  constructor(parts?: (own: Endpoint) => FileRecord[], more: Partial<SessionOptions> = {}) {
    this.session = new Session({
      dial: this.net.dial,
      tracker: TRACKER,
      agent: "ft-peer/1.0.0",
      port: 40_123,
      records: (own) => this.shared.map((one) => ({ ...one, ...own })),
      ...(parts === undefined ? {} : { parts }),
      report: (event) => this.events.push(event),
      clock: this.clock,
      random: () => this.chance,
      ...more,
    });
  }

  named(event: SessionEvent["event"]): SessionEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  welcome(far: Far): void {
    far.say(`WELCOME id=p1 pass=${passOf(this.clock.at() / 1000 + 3600)} peers=14 files=52\n`);
  }

  /** Plays the tracker until the peer is online. */
  async accept(far: Far): Promise<void> {
    expect(await far.line()).toBe(HELLO);
    far.say(HI);
    await far.lines(1 + this.shared.length);
    this.welcome(far);
    await settle();
  }

  /** Joins an FT/2 tracker; gives the tracker's end. */
  async online(): Promise<Far> {
    const joining = this.session.join();
    const far = await this.net.next();
    await this.accept(far);
    await joining;
    return far;
  }

  /** Lets time pass until the peer dials once more; gives the tracker's end. */
  async nextTry(): Promise<Far> {
    for (let i = 0; i < 1000 && this.net.untaken === 0; i++) await this.clock.pass(100);
    expect(this.net.untaken).toBe(1);
    return this.net.next();
  }

  /** The second connection to a tracker that is silent on the first, after its bare HELLO. */
  async basicConnection(): Promise<Far> {
    await this.net.next();
    await this.clock.pass(1000);
    return this.net.next();
  }

  async sayHi(second: Far): Promise<void> {
    second.say("HI");
    await this.clock.pass(0);
  }

  /** Joins an FT/1 tracker. */
  async onlineBasic(): Promise<void> {
    const joining = this.session.join();
    await this.sayHi(await this.basicConnection());
    await joining;
  }
}

/** Answers every line by a script, for as long as the connection lasts; `heard` is all that was said. */
function play(far: Far, heard: string[], answer: (line: string) => string): void {
  const run = async () => {
    for (;;) {
      await far.until(() => far.waiting.includes(10) || far.over);
      if (!far.waiting.includes(10)) return;
      const line = await far.line();
      heard.push(line);
      far.say(answer(line));
    }
  };
  void run();
}

async function failure(promise: Promise<unknown>): Promise<FtError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a sentence: ${outcome}`);
  return outcome;
}

/** Whether a promise is settled once everything that can happen without time has happened. */
async function stateOf(promise: Promise<unknown>): Promise<"done" | "failed" | "waiting"> {
  const settled = promise.then(
    () => "done" as const,
    () => "failed" as const,
  );
  return Promise.race([settled, settle().then(() => "waiting" as const)]);
}

describe("joining", () => {
  test("the conversation, byte for byte", async () => {
    const { session, net, events } = new Room();
    const joining = session.join();
    const far = await net.next();
    expect(await far.line()).toBe("HELLO FT/2 agent=ft-peer/1.0.0 extras=1");
    far.say(HI);
    expect(await far.lines(3)).toEqual(["FILES 2 port=40123", REPORT, NOTES]);
    expect(session.online).toBe(false);
    far.say("WELCOME id=7f pass=abc.def peers=14 files=52\n");
    await joining;
    expect(session.online).toBe(true);
    expect(far.waiting.length).toBe(0);
    expect(net.dialled).toHaveLength(1);
    expect(session.standing).toMatchObject({
      profile: 2,
      you: "192.168.1.17",
      tracker: "192.168.1.2",
      max: 5,
      key: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
      pass: "abc.def",
      id: "7f",
    });
    expect(events).toEqual([{ event: "joined", profile: 2, name: "Lab 3", peers: 14, files: 52, left: [] }]);
  });

  test("the tracker's answers may come cut anywhere", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.stutter(HI);
    await far.lines(3);
    far.stutter("WELCOME id=7f pass=abc.def peers=14 files=52\n");
    await joining;
    expect(room.session.standing?.pass).toBe("abc.def");
  });

  test("more files than the tracker takes: the first are sent, the others are named", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say(HI.replace("max=5", "max=1"));
    expect(await far.lines(2)).toEqual(["FILES 1 port=40123", REPORT]);
    room.welcome(far);
    await joining;
    expect(far.waiting.length).toBe(0);
    expect(room.events[0]).toMatchObject({ event: "joined", left: [{ name: "notes.txt" }] });
  });

  test("the tracker's clock is learnt from the pass", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    const ahead = 90;
    far.say(`WELCOME id=p1 pass=${passOf(room.clock.at() / 1000 + 3600 + ahead)} peers=1 files=2\n`);
    await joining;
    expect(room.session.standing?.skew).toBe(ahead * 1000);
  });

  test("a tracker that cannot be reached is a sentence with its address and what to do", async () => {
    const { session, net } = new Room();
    net.fate = () => REFUSED;
    const { message } = await failure(session.join());
    expect(message).toContain(`"${WHERE}"`);
    expect(message).toContain("connection refused");
    expect(message).toMatch(/Check the address/);
    expect(net.dialled).toHaveLength(1);
  });

  test.each([
    ["the greeting", "ERROR too-many-connections There are 32 connections from 192.168.1.17 already.\n", ""],
    ["the list", HI, "ERROR too-many-files 2 files are too many: this tracker takes 1 a peer.\n"],
  ])("a refusal of %s is told in the tracker's words", async (_what, first, second) => {
    const { session, net, clock, events } = new Room();
    const joining = session.join();
    const failed = failure(joining);
    const far = await net.next();
    await far.line();
    far.say(first);
    if (second !== "") {
      await far.lines(3);
      far.say(second);
    }
    far.close();
    const { message, code } = await failed;
    expect(code).toMatch(/^too-many-/);
    expect(message).toContain(`"${WHERE}"`);
    expect(message).toMatch(/There are 32 connections from 192\.168\.1\.17|2 files are too many/);
    await clock.pass(60_000);
    expect(session.online).toBe(false);
    expect(far.over).toBe(true);
    expect(net.dialled).toHaveLength(1);
    expect(events).toEqual([]);
  });

  test("a tracker that closes instead of a welcome is a sentence that promises nothing", async () => {
    const { session, net, clock } = new Room();
    const failed = failure(session.join());
    const far = await net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    far.close();
    const { message } = await failed;
    expect(message).toContain(`"${WHERE}"`);
    await clock.pass(120_000);
    // Nobody comes back after a first join that failed: the program ends, and must not say otherwise.
    expect(net.dialled).toHaveLength(1);
    expect(message).not.toMatch(/comes back by itself/);
  });

  test("a tracker that says nothing after the list is given up", async () => {
    const { session, net, clock } = new Room();
    const failed = failure(session.join());
    const far = await net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    await clock.pass(30_000);
    expect((await failed).message).toContain("does not answer");
    expect(far.closed).toBe(true);
  });

  test("stopping while nobody answers the dial ends it at once", async () => {
    const { session, net } = new Room();
    net.fate = () => "silence";
    const stop = new AbortController();
    const failed = failure(session.join(stop.signal));
    await settle();
    stop.abort();
    expect((await failed).code).toBe("cancelled");
  });

  test("stopping while a tracker that took the connection stays silent ends it at once", async () => {
    const { session, net } = new Room();
    const stop = new AbortController();
    const joining = session.join(stop.signal);
    const far = await net.next();
    await far.line();
    stop.abort();
    expect(await stateOf(joining)).toBe("failed");
    expect((await failure(joining)).code).toBe("cancelled");
    await settle();
    expect(far.over).toBe(true);
  });
});

describe("an old tracker", () => {
  test("its silence is waited for one second, then HELLO comes alone and the list in one piece", async () => {
    const room = new Room();
    const { session, net, clock, events } = room;
    const joining = session.join();
    const first = await net.next();
    expect(await first.line()).toBe(HELLO);
    await clock.pass(999);
    expect(net.dialled).toHaveLength(1);
    await clock.pass(1);
    expect(net.dialled).toHaveLength(2);
    const second = await net.next();
    await settle();
    expect(second.writes).toEqual(["HELLO"]);
    await clock.pass(400);
    expect(second.writes).toEqual(["HELLO"]);
    await room.sayHi(second);
    await joining;
    await second.until(() => second.ended);
    expect(second.writes).toHaveLength(2);
    expect(second.writes[1]?.replace(/\n$/, "")).toBe(
      "<report.pdf,application/pdf,48213,22/11/26,192.168.1.17,40123>\n<notes.txt,text/plain,12,01/02/26,192.168.1.17,40123>",
    );
    expect(first.closed).toBe(true);
    expect(session.online).toBe(true);
    expect(session.standing).toMatchObject({ profile: 1, you: "192.168.1.17", pass: "" });
    expect(events).toMatchObject([{ event: "joined", profile: 1, left: [] }]);
  });

  test("an HI in two pieces is an HI", async () => {
    const { session, net, clock } = new Room();
    const joining = session.join();
    await net.next();
    await clock.pass(1000);
    const second = await net.next();
    second.say("H");
    await clock.pass(10);
    expect(second.writes).toEqual(["HELLO"]);
    second.say("I");
    await clock.pass(0);
    await joining;
    expect(session.standing?.profile).toBe(1);
  });

  test("names it cannot take are left out and named, types it cannot take become data", async () => {
    const room = new Room();
    room.shared = [
      record("Übung.txt"),
      record("song 2.mp3"),
      record("a,b.txt"),
      record("film.mp", { type: "video/mp4" }),
      record("My_notes-old.txt"),
    ];
    const joining = room.session.join();
    const second = await room.basicConnection();
    await room.sayHi(second);
    await joining;
    await second.until(() => second.ended);
    expect(second.writes[1]?.trim()).toBe(
      "<film.mp,data,12,01/02/26,192.168.1.17,40123>\n<My_notes-old.txt,text/plain,12,01/02/26,192.168.1.17,40123>",
    );
    expect(room.events[0]).toMatchObject({ left: [{ name: "Übung.txt" }, { name: "song 2.mp3" }, { name: "a,b.txt" }] });
  });

  test("with no name that it takes, nothing is sent and the sentence says which it would", async () => {
    const room = new Room();
    room.shared = [record("1.txt"), record("Ж.txt")];
    const failed = failure(room.session.join());
    const second = await room.basicConnection();
    await room.sayHi(second);
    const { message } = await failed;
    expect(message).toMatch(/letters/);
    expect(message).toContain("2 shared files");
    await settle();
    expect(second.closed).toBe(true);
    expect(second.writes).toEqual(["HELLO"]);
    expect(room.events).toEqual([]);
  });

  test("one that hangs up on HELLO FT/2 is not waited for", async () => {
    const { session, net, clock } = new Room();
    const joining = session.join();
    const first = await net.next();
    await first.line();
    first.close();
    await clock.pass(0);
    const second = await net.next();
    second.say("HI");
    await clock.pass(0);
    await joining;
    expect(session.standing?.profile).toBe(1);
  });

  test.each([
    ["a web server", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"],
    ["a secure shell", "SSH-2.0-OpenSSH_9.9\r\n"],
    ["rubbish", "\u0000\u0001\ufffd\n\n"],
    ["nothing", ""],
  ])("%s is no tracker, and is not given the list", async (_what, answer) => {
    const { session, net, clock } = new Room();
    const failed = failure(session.join());
    const first = await net.next();
    first.say(answer);
    first.close();
    await clock.pass(1000);
    const second = await net.next();
    second.say(answer);
    await settle();
    second.close();
    await clock.pass(30_000);
    expect((await failed).message).toContain(`"${WHERE}" is not a FileTracker tracker`);
    expect([...first.writes, ...second.writes].join("")).not.toContain("report.pdf");
    expect(first.over && second.over).toBe(true);
  });

  test("an endless answer to HELLO does not keep the peer waiting", async () => {
    const { session, net, clock } = new Room();
    const failed = failure(session.join());
    await net.next();
    await clock.pass(1000);
    const second = await net.next();
    second.say("H".repeat(100_000));
    expect((await failed).message).toContain("is not a FileTracker tracker");
  });

  test("searching takes a connection of its own, and the answer may come in pieces until its end", async () => {
    const { session, net } = await basicRoom();
    const searching = session.search(nameOf("notes.txt"));
    const far = await net.next();
    await settle();
    expect(far.waiting.toString()).toBe("SEARCH: notes.txt");
    far.stutter("FOUND: <text/plain,12,01/02/26,192.168.1.30,5001>\n<data,7,31/12/99,192.168.1.31,5002>\n");
    far.close();
    expect(await searching).toEqual([
      {
        name: nameOf("notes.txt"),
        type: "text/plain",
        size: 12,
        date: "01/02/26",
        address: addressOf("192.168.1.30"),
        port: 5001,
        v2: false,
      },
      {
        name: nameOf("notes.txt"),
        type: "data",
        size: 7,
        date: "31/12/99",
        address: addressOf("192.168.1.31"),
        port: 5002,
        v2: false,
      },
    ]);
    await settle();
    expect(far.closed).toBe(true);
  });

  test("NOT FOUND is no record", async () => {
    const { session, net } = await basicRoom();
    const searching = session.search(nameOf("nobody.has"));
    const far = await net.next();
    far.say("NOT FOUND");
    far.close();
    expect(await searching).toEqual([]);
  });

  test("records that cannot be are left out of an answer", async () => {
    const { session, net } = await basicRoom();
    const searching = session.search(nameOf("x"));
    const far = await net.next();
    far.say(
      "FOUND: <data,-1,01/02/26,192.168.1.30,5001>\n<data,1e9,01/02/26,192.168.1.30,5001>\n<data,1,01/02/26,localhost,5001>\n" +
        "<data,1,01/02/26,192.168.1.30,0>\n<data,1,01/02/26,192.168.1.30,70000>\n<data,1,99/99/99,192.168.1.30,1>\n<<<\n" +
        "<data,8,01/02/26,192.168.1.30,5001>\n",
    );
    far.close();
    expect((await searching).map(({ size }) => size)).toEqual([8]);
  });

  test("an answer that is none is an error, not an empty list", async () => {
    const { session, net } = await basicRoom();
    const failed = failure(session.search(nameOf("x")));
    const far = await net.next();
    far.say("HTTP/1.1 200 OK\r\n\r\n");
    far.close();
    expect((await failed).message).toMatch(/neither FOUND nor NOT FOUND/);
  });

  test("an answer without end is cut off", async () => {
    const { session, net } = await basicRoom();
    const searching = session.search(nameOf("x"));
    const far = await net.next();
    far.say("FOUND: <data,8,01/02/26,192.168.1.30,5001>\n");
    for (let i = 0; i < 80; i++) far.say(new Uint8Array(64 * 1024).fill(60));
    // By its length, not by the time it takes.
    expect(await stateOf(searching)).toBe("done");
    expect((await searching).length).toBeLessThanOrEqual(2000);
    await settle();
    expect(far.closed).toBe(true);
  });

  test("what it cannot do is a sentence, whether somebody is known it cannot say", async () => {
    const { session, net } = await basicRoom();
    for (const asked of [session.list(), session.who()]) {
      expect((await failure(asked)).message).toMatch(/basic protocol.*search for an exact name/);
    }
    expect(await session.known(addressOf("192.168.1.9"))).toBeUndefined();
    await session.add(report);
    expect(await session.drop(nameOf("notes.txt"))).toBe(true);
    expect(net.untaken).toBe(0);
  });

  test("leaving says BYE on a connection of its own", async () => {
    const { session, net, clock } = await basicRoom();
    const leaving = session.leave();
    const far = await net.next();
    await far.until(() => far.ended);
    expect(far.waiting.toString()).toBe("BYE");
    far.close();
    await clock.pass(5_000);
    await leaving;
    expect(session.online).toBe(false);
    expect(far.closed).toBe(true);
  });

  test("leaving does not wait long for a tracker that is gone or does not close", async () => {
    const gone = await basicRoom();
    gone.net.fate = () => REFUSED;
    await gone.session.leave();
    const deaf = await basicRoom();
    const leaving = deaf.session.leave();
    await deaf.net.next();
    await deaf.clock.pass(2_000);
    await leaving;
    expect(deaf.session.online).toBe(false);
  });

  async function basicRoom(): Promise<Room> {
    const room = new Room();
    await room.onlineBasic();
    return room;
  }
});

describe("a busy FT/2 tracker", () => {
  test("an HI that comes late, but before the bare one, is FT/2; the second connection is given nothing", async () => {
    const room = new Room();
    const joining = room.session.join();
    const first = await room.net.next();
    await first.line();
    await room.clock.pass(1000);
    const second = await room.net.next();
    await settle();
    expect(second.writes).toEqual(["HELLO"]);
    first.say(HI);
    second.say("HI");
    await room.clock.pass(0);
    expect((await first.lines(3))[0]).toBe("FILES 2 port=40123");
    room.welcome(first);
    await joining;
    await settle();
    expect(room.session.standing?.profile).toBe(2);
    expect(second.over).toBe(true);
    expect(second.writes).toEqual(["HELLO"]);
  });

  test("an HI that comes late counts at once, whether or not the second connection is ever answered", async () => {
    const room = new Room();
    const joining = room.session.join();
    joining.catch(() => undefined);
    const first = await room.net.next();
    await first.line();
    await room.clock.pass(1000);
    await room.net.next();
    await room.clock.pass(1500);
    first.say(HI);
    await room.clock.pass(1000);
    expect(first.waiting.toString()).toStartWith("FILES 2 port=40123\n");
    room.welcome(first);
    await joining;
    expect(room.session.standing?.profile).toBe(2);
  });

  test("a late refusal is the tracker's sentence, and no connection stays open", async () => {
    const room = new Room();
    const failed = failure(room.session.join());
    const first = await room.net.next();
    await first.line();
    await room.clock.pass(1000);
    const second = await room.net.next();
    first.say("ERROR tracker-full The tracker has no room for more connections; try again later.\n");
    second.say("HI");
    await room.clock.pass(0);
    expect((await failed).message).toContain("no room for more connections");
    await settle();
    expect(first.over).toBe(true);
    expect(second.over).toBe(true);
  });

  test("a tracker that spoke FT/2 before is waited for longer than a stranger", async () => {
    const room = new Room();
    const far = await room.online();
    far.reset();
    await room.clock.pass(1000);
    const again = await room.net.next();
    await again.line();
    await room.clock.pass(8_000);
    expect(room.net.dialled).toHaveLength(2);
    again.say(HI);
    await again.lines(3);
    room.welcome(again);
    await settle();
    expect(room.session.standing?.profile).toBe(2);
    expect(room.named("joined")).toHaveLength(2);
  });
});

describe("staying online", () => {
  test("it pings after 45 s of silence, again and again", async () => {
    const room = new Room();
    const far = await room.online();
    const heard: string[] = [];
    await room.clock.pass(44_999);
    expect(far.waiting.length).toBe(0);
    await room.clock.pass(1);
    expect(far.waiting.toString()).toBe("PING\n");
    play(far, heard, () => "PONG\n");
    await room.clock.pass(44_999);
    expect(heard).toEqual(["PING"]);
    await room.clock.pass(1 + 45_000);
    expect(heard).toEqual(["PING", "PING", "PING"]);
    expect(room.session.online).toBe(true);
  });

  test("anything that is asked is as good as a ping", async () => {
    const room = new Room();
    const far = await room.online();
    const heard: string[] = [];
    play(far, heard, (line) => (line === "PING" ? "PONG\n" : "NOT FOUND\n"));
    await room.clock.pass(40_000);
    await room.session.search(nameOf("x"));
    await room.clock.pass(40_000);
    expect(heard).toEqual(["SEARCH: x"]);
    await room.clock.pass(5_000);
    expect(heard).toEqual(["SEARCH: x", "PING"]);
  });

  test("a tracker that does not answer the ping is away", async () => {
    const room = new Room();
    const far = await room.online();
    await room.clock.pass(45_000 + 30_000);
    expect(room.named("away")).toEqual([{ event: "away", reason: "it does not answer" }]);
    expect(far.closed).toBe(true);
    expect(room.net.dialled.length).toBeGreaterThan(1);
  });

  test("the pass is renewed before it expires, hour after hour", async () => {
    const room = new Room();
    const far = await room.online();
    const heard: string[] = [];
    const renewals: number[] = [room.clock.at()];
    let expected = 0;
    play(far, heard, (line) => {
      if (line === "PING") return "PONG\n";
      if (line.startsWith("FILES")) {
        expected = Number(line.split(" ")[1]);
        renewals.push(room.clock.at());
        return "";
      }
      expected -= 1;
      return expected === 0
        ? `WELCOME id=p1 pass=${passOf(room.clock.at() / 1000 + 3600)} peers=${renewals.length} files=2\n`
        : "";
    });
    const first = room.session.standing?.pass;
    await room.clock.pass(4 * 3600 * 1000);
    const gaps = renewals.slice(1).map((at, i) => at - (renewals[i] ?? 0));
    expect(gaps.length).toBeGreaterThanOrEqual(4);
    for (const gap of gaps) expect(gap).toBeLessThan(3_500_000);
    expect(heard.filter((line) => line === REPORT)).toHaveLength(gaps.length);
    expect(room.session.standing?.pass).not.toBe(first);
    expect(room.session.standing?.pass).toBe(passOf((renewals.at(-1) ?? 0) / 1000 + 3600));
    // Joining is told once; a renewal is nothing to speak of.
    expect(room.named("joined")).toHaveLength(1);
  });

  test("a renewal carries what is shared by then", async () => {
    const room = new Room();
    const far = await room.online();
    const heard: string[] = [];
    play(far, heard, (line) => (line === "PING" ? "PONG\n" : line === NOTES ? "WELCOME id=p1 pass=a.b peers=1 files=1\n" : ""));
    room.shared = [record("notes.txt")];
    await room.clock.pass(3_600_000);
    expect(heard.filter((line) => line !== "PING").slice(0, 2)).toEqual(["FILES 1 port=40123", NOTES]);
    expect(room.session.online).toBe(true);
  });
});

describe("unfinished files", () => {
  const OTHER = ROOT.replace("9", "8");
  const PARTS = [
    `ADD <big.iso,text/plain,9,01/02/26,192.168.1.17,40123;v=2;mtime=2026-02-01T08:00:00.000Z;root=${ROOT};part=1>`,
    `ADD <other.iso,text/plain,9,01/02/26,192.168.1.17,40123;v=2;mtime=2026-02-01T08:00:00.000Z;root=${OTHER};part=1>`,
  ];

  /** Plays a tracker that takes every list and answers everything; what it hears is kept without pings. */
  function playTracker(room: Room, far: Far, answer: (line: string) => string = () => "OK\n"): string[] {
    const heard: string[] = [];
    let expected = 0;
    play(far, heard, (line) => {
      if (line === "PING") {
        heard.pop();
        return "PONG\n";
      }
      if (line.startsWith("HELLO")) return HI;
      if (line.startsWith("FILES")) {
        expected = Number(line.split(" ")[1]);
        return "";
      }
      if (expected === 0) return answer(line);
      expected -= 1;
      return expected > 0 ? "" : `WELCOME id=p1 pass=${passOf(room.clock.at() / 1000 + 3600)} peers=1 files=2\n`;
    });
    return heard;
  }

  function room(): { one: Room; parts: FileRecord[] } {
    const parts = [
      record("big.iso", { size: 9, root: ROOT, part: true }),
      record("other.iso", { size: 9, root: OTHER, part: true }),
    ];
    return { one: new Room((own) => parts.map((part) => ({ ...part, ...own }))), parts };
  }

  const list = ["FILES 2 port=40123", REPORT, NOTES];

  test("are announced one by one after the list, never in it", async () => {
    const { one } = room();
    const joining = one.session.join();
    const heard = playTracker(one, await one.net.next());
    await joining;
    await settle();
    expect(heard).toEqual([HELLO, ...list, ...PARTS]);
  });

  test("nothing is announced before the tracker has accepted the list", async () => {
    const { one } = room();
    const joining = one.session.join();
    const far = await one.net.next();
    await far.line();
    far.say(HI);
    expect(await far.lines(3)).toEqual(list);
    await settle();
    expect(far.waiting.length).toBe(0);
    one.welcome(far);
    await joining;
    expect(await far.lines(2)).toEqual(PARTS);
  });

  test("come back with the peer, as they are by then", async () => {
    const { one, parts } = room();
    const joining = one.session.join();
    const far = await one.net.next();
    playTracker(one, far);
    await joining;
    await settle();
    parts.shift();
    far.reset();
    const again = await one.nextTry();
    const heard = playTracker(one, again);
    await settle();
    expect(heard).toEqual([HELLO, ...list, ...PARTS.slice(1)]);
  });

  test("are announced again when the pass is renewed, because the new list has replaced everything", async () => {
    const { one } = room();
    const joining = one.session.join();
    const heard = playTracker(one, await one.net.next());
    await joining;
    await one.clock.pass(1_800_000);
    await settle();
    expect(heard).toEqual([HELLO, ...list, ...PARTS, ...list, ...PARTS]);
  });

  test("that the tracker does not take cost nothing but themselves", async () => {
    const { one } = room();
    const joining = one.session.join();
    const heard = playTracker(one, await one.net.next(), (line) =>
      line.startsWith("ADD") ? "ERROR too-many-parts These are too many.\n" : "NOT FOUND\n",
    );
    await joining;
    await settle();
    expect(heard.slice(-2)).toEqual(PARTS);
    expect(await one.session.search(nameOf("x"))).toEqual([]);
    expect(one.session.online).toBe(true);
    expect(one.named("away")).toEqual([]);
  });

  test("are not told to an old tracker", async () => {
    const { one } = room();
    const joining = one.session.join();
    const second = await one.basicConnection();
    await one.sayHi(second);
    await joining;
    await settle();
    expect(second.waiting.toString()).not.toContain("iso");
    expect(one.net.dialled).toHaveLength(2);
  });
});

describe("who has a content", () => {
  const line = (name: string, root?: string, port = 1) =>
    `<${name},data,9,01/02/26,10.0.0.7,${port};v=2${root === undefined ? "" : `;root=${root}`}>\n`;

  test("is asked by its content id, all pages of it", async () => {
    const one = new Room();
    const far = await one.online();
    const heard: string[] = [];
    const page = Array.from({ length: 2000 }, (_, i) => line(`f${i}`, ROOT)).join("");
    play(far, heard, (request) => (request.includes("offset=0") ? `FOUND: 2000\n${page}` : `FOUND: 1\n${line("last", ROOT)}`));
    const holders = await one.session.holders(ROOT);
    expect(heard).toEqual([`LIST root=${ROOT} offset=0 limit=2000`, `LIST root=${ROOT} offset=2000 limit=2000`]);
    expect([holders.length, String(holders.at(-1)?.name)]).toEqual([2001, "last"]);
  });

  test("a tracker that does not know root= gives everything: only this content is taken from it", async () => {
    const one = new Room();
    const far = await one.online();
    const all = line("a", ROOT) + line("b") + line("c", ROOT.replace("9", "8")) + line("d", ROOT, 2);
    play(far, [], () => `FOUND: 4\n${all}`);
    expect((await one.session.holders(ROOT)).map(({ name }) => String(name))).toEqual(["a", "d"]);
  });

  test("nobody is an answer, too", async () => {
    const one = new Room();
    const far = await one.online();
    play(far, [], () => "NOT FOUND\n");
    expect(await one.session.holders(ROOT)).toEqual([]);
  });

  test("an old tracker cannot say, and a refusal is a sentence", async () => {
    const old = new Room();
    await old.onlineBasic();
    expect((await failure(old.session.holders(ROOT))).code).toBe("basic-tracker");
    const one = new Room();
    const far = await one.online();
    play(far, [], () => "ERROR busy Later, please.\n");
    expect((await failure(one.session.holders(ROOT))).message).toContain("Later, please.");
  });
});

describe("leaving and coming back", () => {
  test("after leave, comeBack joins within a second with what is shared by then, and keeps trying", async () => {
    const one = new Room();
    const far = await one.online();
    const leaving = one.session.leave();
    expect(await far.line()).toBe("BYE");
    far.say("BYE\n");
    await leaving;
    far.close();
    await settle();
    await one.clock.pass(60_000);
    expect(one.net.untaken).toBe(0);
    one.shared = [record("notes.txt")];
    one.net.fate = () => REFUSED;
    one.session.comeBack();
    await one.clock.pass(1000);
    const tries = one.net.dialled.length;
    expect(tries).toBe(2);
    one.net.fate = () => undefined;
    const again = await one.nextTry();
    expect(await again.line()).toBe(HELLO);
    again.say(HI);
    expect(await again.lines(2)).toEqual(["FILES 1 port=40123", NOTES]);
    one.welcome(again);
    await settle();
    expect(one.session.online).toBe(true);
    expect(one.named("joined")).toHaveLength(2);
  });

  test("comeBack of a session that is not left changes nothing", async () => {
    const one = new Room();
    await one.online();
    one.session.comeBack();
    await one.clock.pass(30_000);
    expect(one.net.dialled).toHaveLength(1);
    expect(one.session.online).toBe(true);
  });

  test("leaving again before the try stops it", async () => {
    const one = new Room();
    const far = await one.online();
    play(far, [], () => "BYE\n");
    await one.session.leave();
    one.session.comeBack();
    await one.session.leave();
    await one.clock.pass(60_000);
    expect(one.net.dialled).toHaveLength(1);
  });
});

describe("asking", () => {
  const FOUND = `FOUND: 2\n${REPORT}\n<report.pdf,data,9,01/01/26,10.0.0.9,5001>\n`;

  test("a search, byte for byte both ways", async () => {
    const room = new Room();
    const far = await room.online();
    const searching = room.session.search(nameOf("50% of a,b;c <d>.pdf"));
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

  test("an answer in single bytes is the same answer", async () => {
    const room = new Room();
    const far = await room.online();
    const searching = room.session.search(nameOf("report.pdf"));
    await far.line();
    far.stutter(FOUND);
    expect((await searching).map(({ size }) => size)).toEqual([48_213, 9]);
  });

  test("requests at once are answered in their order, and what the tracker says between is told apart", async () => {
    const room = new Room();
    const far = await room.online();
    const a = room.session.search(nameOf("a"));
    expect(await far.line()).toBe("SEARCH: a");
    const known = room.session.known(addressOf("192.168.1.9"));
    expect(await far.line()).toBe("KNOWN 192.168.1.9");
    const b = room.session.search(nameOf("b"));
    expect(await far.line()).toBe("SEARCH: b");
    const unknown = room.session.known(addressOf("2001:db8::1"));
    expect(await far.line()).toBe("KNOWN 2001:db8::1");
    far.say(
      `REACH yes\nNOTICE Maintenance at 18:00\nNOT FOUND\nCONNECT address=10.0.0.9 port=5 token=t\nYES\n${FOUND}SOMETHING new=1\nNO\n`,
    );
    expect([(await a).length, await known, (await b).length, await unknown]).toEqual([0, true, 2, false]);
    expect(room.named("notice")).toEqual([{ event: "notice", words: "Maintenance at 18:00" }]);
  });

  test("everybody online and every file of one", async () => {
    const room = new Room();
    const far = await room.online();
    const who = room.session.who();
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
    const list = room.session.list("7f");
    expect(await far.line()).toMatch(/^LIST id=7f\b/);
    far.say(FOUND);
    expect(await list).toHaveLength(2);
    const everything = room.session.list();
    expect(await far.line()).not.toContain("id=");
    far.say("NOT FOUND\n");
    expect(await everything).toEqual([]);
  });

  test("a long list is fetched page by page", async () => {
    const room = new Room();
    const far = await room.online();
    const line = (i: number) => `<f${i},data,1,01/01/26,10.0.0.9,5001>`;
    const page = (from: number, count: number) =>
      `FOUND: ${count}\n${Array.from({ length: count }, (_, i) => line(from + i)).join("\n")}\n`;
    const list = room.session.list();
    expect(await far.line()).toBe("LIST offset=0 limit=2000");
    far.say(page(0, 2000));
    expect(await far.line()).toBe("LIST offset=2000 limit=2000");
    far.say(page(2000, 3));
    expect((await list).map(({ name }) => String(name)).slice(-4)).toEqual(["f1999", "f2000", "f2001", "f2002"]);
  });

  test("records are added and dropped; the last one is not", async () => {
    const room = new Room();
    const far = await room.online();
    const added = room.session.add(report);
    expect(await far.line()).toBe(`ADD ${REPORT}`);
    far.say("OK\n");
    await added;
    const dropped = room.session.drop(nameOf("a, b.txt"));
    expect(await far.line()).toBe("DROP a%2C b.txt");
    far.say("OK\n");
    expect(await dropped).toBe(true);
    const last = room.session.drop(nameOf("notes.txt"));
    await far.line();
    far.say("ERROR last-file The list never becomes empty.\n");
    expect(await last).toBe(false);
    expect(room.session.online).toBe(true);
  });

  test("an ERROR is a sentence, and the session goes on", async () => {
    const room = new Room();
    const far = await room.online();
    const failed = failure(room.session.search(nameOf("x")));
    await far.line();
    far.say("ERROR too-fast Ask more slowly, please.\n");
    const { message, code } = await failed;
    expect([code, message]).toEqual(["too-fast", `The tracker at "${WHERE}" refused: Ask more slowly, please.`]);
    const searching = room.session.search(nameOf("y"));
    expect(await far.line()).toBe("SEARCH: y");
    far.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });
});

describe("when the tracker goes away", () => {
  test.each([
    ["closes", (far: Far) => far.close()],
    ["breaks down", (far: Far) => far.reset()],
  ])("it %s: said once, what was asked fails with a sentence, the peer comes back", async (_how, go) => {
    const room = new Room();
    const far = await room.online();
    const failed = failure(room.session.search(nameOf("x")));
    await far.line();
    go(far);
    const { code, message } = await failed;
    expect(code).toBe("tracker-gone");
    expect(message).toContain(`"${WHERE}"`);
    await settle();
    expect(room.session.online).toBe(false);
    expect(room.named("away")).toHaveLength(1);
    room.shared = [record("notes.txt")];
    await room.clock.pass(1000);
    const again = await room.net.next();
    await room.accept(again);
    expect(room.session.online).toBe(true);
    expect(room.events.map(({ event }) => event)).toEqual(["joined", "away", "joined"]);
    const searching = room.session.search(nameOf("x"));
    expect(await again.line()).toBe("SEARCH: x");
    again.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test.each([0, 0.25, 0.5, 0.999999])("the tries are jittered and bounded (chance %d)", async (chance) => {
    const room = new Room();
    room.chance = chance;
    const far = await room.online();
    room.net.fate = () => REFUSED;
    const left = room.clock.at();
    far.reset();
    await room.clock.pass(600_000);
    const tries = room.net.dialled.slice(1).map(({ at }) => at - left);
    const waits = tries.slice(1).map((at, i) => at - (tries[i] ?? 0));
    expect(tries[0]).toBeLessThanOrEqual(1000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(500);
    expect(waits.at(-1)).toBeGreaterThan(waits[0] ?? 0);
    expect(tries.length).toBeGreaterThanOrEqual(20);
    expect(room.named("away")).toHaveLength(1);
  });

  test("chance spreads a thousand peers over the first second, and over every later wait", async () => {
    const rooms = Array.from({ length: 20 }, (_, i) => {
      const room = new Room();
      room.chance = i / 20;
      return room;
    });
    const firsts: number[] = [];
    const seconds: number[] = [];
    for (const room of rooms) {
      const far = await room.online();
      room.net.fate = () => REFUSED;
      far.reset();
      const left = room.clock.at();
      await room.clock.pass(5_000);
      const [, first = { at: 0 }, second = { at: 0 }] = room.net.dialled;
      firsts.push(first.at - left);
      seconds.push(second.at - first.at);
    }
    const spread = (waits: number[]) => Math.max(...waits) - Math.min(...waits);
    expect(new Set(firsts).size).toBe(20);
    expect(new Set(seconds).size).toBe(20);
    expect(spread(firsts)).toBeGreaterThan(700);
    expect(spread(seconds)).toBeGreaterThan(700);
  });

  test("after it was back, the next absence begins with a quick try again", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await room.clock.pass(100_000);
    room.net.fate = () => undefined;
    const again = await room.nextTry();
    await room.accept(again);
    expect(room.session.online).toBe(true);
    const before = room.net.dialled.length;
    again.reset();
    await room.clock.pass(1000);
    expect(room.net.dialled).toHaveLength(before + 1);
  });

  test.each([
    ["refuses", "ERROR tracker-full The tracker has no room for more connections; try again later.\n"],
    ["talks rubbish", "\u0000\u0000\u0000\n"],
    ["hangs up", ""],
  ])("a tracker that %s when the peer comes back is tried again later", async (_how, answer) => {
    const room = new Room();
    const far = await room.online();
    far.reset();
    await room.clock.pass(1000);
    room.net.onConnection = (refused) => {
      refused.say(answer);
      refused.close();
    };
    const first = await room.net.next();
    first.say(answer);
    first.close();
    await room.clock.pass(120_000);
    expect(room.session.online).toBe(false);
    const tries = room.net.dialled.length;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(60);
    room.net.onConnection = undefined;
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
  });

  test("a search meanwhile waits a little, and is asked when the tracker is back", async () => {
    const room = new Room();
    const far = await room.online();
    far.reset();
    await settle();
    const searching = room.session.search(nameOf("x"));
    await room.clock.pass(1000);
    const again = await room.net.next();
    await room.accept(again);
    expect(await again.line()).toBe("SEARCH: x");
    again.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("a search meanwhile does not wait for ever", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const searching = room.session.search(nameOf("x"));
    expect(await stateOf(searching)).toBe("waiting");
    const failed = failure(searching);
    await room.clock.pass(15_000);
    const { code, message } = await failed;
    expect(code).toBe("tracker-gone");
    expect(message).toMatch(/is away/);
  });

  test("records that change meanwhile are told by coming back; nobody can be vouched for", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    await room.session.add(report);
    expect(await room.session.drop(nameOf("notes.txt"))).toBe(true);
    expect(await stateOf(room.session.known(addressOf("192.168.1.9")))).toBe("failed");
    // The last pass goes on being shown, and other peers' passes being checked.
    expect(room.session.standing).toMatchObject({ profile: 2, id: "p1" });
  });
});

describe("a lying tracker", () => {
  const LIES: [string, string | Uint8Array][] = [
    ["bytes that are not UTF-8", Uint8Array.of(0xff, 0xfe, 0xc0, 0x80, 10)],
    ["a NUL", "NOT\0FOUND\n"],
    ["an escape code", "NOTICE \u001b[2J\n"],
    ["a C1 control", "NOTICE \u009b2J\n"],
    ["a line without end", "A".repeat(5000)],
    ["a line of 5000 bytes", `NOTICE ${"A".repeat(5000)}\n`],
    ["an answer of two thousand million records", "FOUND: 2000000000\n"],
    ["an answer of more than 2^53 records", "FOUND: 99999999999999999999\n"],
    ["an answer of minus one records", "FOUND: -1\n"],
    ["an answer of 1e3 records", "FOUND: 1e3\n"],
    ["a record that is none", "FOUND: 1\nreport.pdf\n"],
    ["a record with five fields", "FOUND: 1\n<report.pdf,application/pdf,48213,22/11/26,192.168.1.17>\n"],
    ["a size that is none", "FOUND: 1\n<report.pdf,application/pdf,4.5,22/11/26,192.168.1.17,40123>\n"],
    ["a port that is none", "FOUND: 1\n<report.pdf,application/pdf,4,22/11/26,192.168.1.17,0>\n"],
    ["a root that is none", "FOUND: 1\n<report.pdf,application/pdf,4,22/11/26,192.168.1.17,1;root=xyz>\n"],
    ["a name with a NUL in it", "FOUND: 1\n<a%00b,application/pdf,4,22/11/26,192.168.1.17,1>\n"],
    ["a stray percent sign", "FOUND: 1\n<100%,application/pdf,4,22/11/26,192.168.1.17,1>\n"],
  ];

  test.each(LIES)("%s ends the connection with a sentence, and the peer comes back", async (_what, lie) => {
    const room = new Room();
    const far = await room.online();
    const failed = failure(room.session.search(nameOf("x")));
    await far.line();
    far.say(lie);
    const { code, message } = await failed;
    expect(code).toBe("tracker-gone");
    expect(message).toContain("broke the protocol");
    // No control character gets into the sentence.
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    await settle();
    expect(far.over).toBe(true);
    expect(room.named("away")).toHaveLength(1);
    await room.clock.pass(1000);
    await room.accept(await room.net.next());
    expect(room.session.online).toBe(true);
  });

  test("answers that nobody asked for change nothing", async () => {
    const room = new Room();
    const far = await room.online();
    far.say("YES\nOK\nPONG\nFOUND: 0\nERROR odd words\nWELCOME id=evil pass=evil.evil peers=1 files=1\n");
    await settle();
    expect(room.session.standing?.id).toBe("p1");
    const searching = room.session.search(nameOf("x"));
    await far.line();
    far.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("the answer to another question is an error, not a result", async () => {
    const room = new Room();
    const far = await room.online();
    const failed = failure(room.session.search(nameOf("x")));
    await far.line();
    far.say("PONG\n");
    expect((await failed).message).toContain("PONG");
    const who = failure(room.session.who());
    await far.line();
    far.say("OK\n");
    expect((await who).message).toContain("OK");
  });

  test.each(["FOUND", "PEERS"])("%s pages that always say the same are not gathered for ever", async (kind) => {
    const room = new Room();
    const far = await room.online();
    const line =
      kind === "FOUND"
        ? "<f,data,1,01/01/26,10.0.0.9,5001>\n"
        : "id=7f address=192.168.1.9 port=5001 files=3 bytes=1000 agent=a since=2026-11-22T09:00:00Z\n";
    const page = `${kind}: 2000\n${line.repeat(2000)}`;
    const asked = kind === "FOUND" ? room.session.list() : room.session.who();
    const outcome = asked.then(
      () => "ended",
      () => "ended",
    );
    let pages = 0;
    while (pages < 40 && (await Promise.race([outcome, far.line()])) !== "ended") {
      far.say(page);
      pages += 1;
    }
    if (pages >= 40) far.reset();
    expect(pages).toBeLessThan(40);
  });

  test("control characters in a greeting are text, never a line", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say("HI FT/2 name=%1B[2J%0AWELCOME max=5 key=k you=192.168.1.17\n");
    await far.lines(3);
    room.welcome(far);
    await joining;
    expect(room.events[0]).toMatchObject({ event: "joined", name: "\u001b[2J\nWELCOME" });
  });
});

describe("leaving", () => {
  test("says BYE, waits for the answer, closes, and never comes back", async () => {
    const room = new Room();
    const far = await room.online();
    const leaving = room.session.leave();
    expect(await far.line()).toBe("BYE");
    expect(await stateOf(leaving)).toBe("waiting");
    far.say("BYE\n");
    far.close();
    await leaving;
    expect(room.session.online).toBe(false);
    await room.clock.pass(3_600_000);
    expect(far.closed).toBe(true);
    expect(room.net.dialled).toHaveLength(1);
    expect(room.named("away")).toEqual([]);
    await room.session.leave();
  });

  test("a tracker that hangs up on BYE is left just the same", async () => {
    const room = new Room();
    const far = await room.online();
    const leaving = room.session.leave();
    await far.line();
    far.close();
    await leaving;
    await room.clock.pass(3_600_000);
    expect(room.net.dialled).toHaveLength(1);
    expect(room.named("away")).toEqual([]);
  });

  test("a tracker that does not answer BYE is not waited for", async () => {
    const room = new Room();
    const far = await room.online();
    const leaving = room.session.leave();
    await far.line();
    await room.clock.pass(2_000);
    expect(await stateOf(leaving)).toBe("done");
    expect(far.ended).toBe(true);
  });

  test("while the tracker is away, leaving ends the tries and what waits for it", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const searching = failure(room.session.search(nameOf("x")));
    await room.session.leave();
    expect((await searching).code).toBe("tracker-gone");
    const tries = room.net.dialled.length;
    await room.clock.pass(600_000);
    expect(room.net.dialled).toHaveLength(tries);
  });

  test("in the middle of coming back, leaving ends that too", async () => {
    const room = new Room();
    const far = await room.online();
    far.reset();
    await room.clock.pass(1000);
    const again = await room.net.next();
    await again.line();
    await room.session.leave();
    again.say(HI);
    await settle();
    if (!again.over) {
      await again.lines(3);
      room.welcome(again);
    }
    await room.clock.pass(5_000);
    expect(room.session.online).toBe(false);
    expect(room.named("joined")).toHaveLength(1);
    expect(again.over).toBe(true);
  });
});

describe("leaving, in the middle of coming back to a tracker that became an old one,", () => {
  test("gives it no list", async () => {
    const room = new Room();
    const far = await room.online();
    far.reset();
    await room.clock.pass(1000);
    await room.net.next();
    await room.clock.pass(10_000);
    const bare = await room.net.next();
    await settle();
    expect(bare.writes).toEqual(["HELLO"]);
    await room.session.leave();
    await room.sayHi(bare);
    await room.clock.pass(1000);
    expect(bare.writes).toEqual(["HELLO"]);
    expect(bare.over).toBe(true);
    expect(room.session.online).toBe(false);
    expect(room.named("joined")).toHaveLength(1);
  });
});

describe("what the tracker says of this peer's port", () => {
  const NO = "REACH no reason=no%20answer%20within%205%20s\n";

  /** Plays the tracker up to the list. */
  async function introduced(room: Room): Promise<Far> {
    const far = await room.net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    return far;
  }

  test("is told after joining, also when it comes in one piece with the welcome", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await introduced(room);
    far.say(`WELCOME id=p1 pass=abc.def peers=14 files=52\n${NO}`);
    await joining;
    expect(room.events).toMatchObject([
      { event: "joined" },
      { event: "reach", reachable: false, reason: "no answer within 5 s", port: 40_123 },
    ]);
    expect(room.session.standing?.reach).toBe(false);
  });

  test("is told when it comes, each time", async () => {
    const room = new Room();
    const far = await room.online();
    expect(room.session.standing?.reach).toBeUndefined();
    far.say("REACH yes\n");
    await settle();
    expect(room.events.at(-1)).toEqual({ event: "reach", reachable: true, reason: "", port: 40_123 });
    expect(room.session.standing?.reach).toBe(true);
    far.say(NO);
    await settle();
    expect(room.named("reach")).toHaveLength(2);
    expect(room.session.standing?.reach).toBe(false);
  });

  test("comes between replies, and is none", async () => {
    const room = new Room();
    const far = await room.online();
    const searching = room.session.search(nameOf("x"));
    await far.line();
    far.say("REACH yes\nNOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("before the welcome is kept until then, and forgotten with its connection", async () => {
    const room = new Room();
    const joining = room.session.join();
    const far = await introduced(room);
    far.say(NO);
    await settle();
    expect(room.events).toEqual([]);
    room.welcome(far);
    await joining;
    expect(room.events.map(({ event }) => event)).toEqual(["joined", "reach"]);

    far.reset();
    const broken = await room.nextTry();
    await broken.line();
    broken.say(`${HI}${NO}`);
    await broken.lines(3);
    broken.reset();
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
    expect(room.named("reach")).toHaveLength(1);
    expect(room.session.standing?.reach).toBeUndefined();
  });
});

describe("connecting back", () => {
  const CALL = { address: addressOf("192.168.1.31"), port: 5000, token: "aB3-_x" };
  const PUSH = "CONNECT address=192.168.1.31 port=5000 token=aB3-_x\n";

  test("somebody who asks to be connected to is told of while this peer is online, and only then", async () => {
    const calls: unknown[] = [];
    const room = new Room(undefined, { callBack: (to) => calls.push(to) });
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
    const room = new Room(undefined, { callBack: (to) => calls.push(to) });
    const far = await room.online();
    far.say(`${line}\n`);
    await settle();
    expect([far.over, calls]).toEqual([true, []]);
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
  });

  test("a peer that connects to nobody passes such wishes over", async () => {
    const room = new Room();
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
    const room = new Room();
    const far = await room.online();
    const asking = room.session.connect(CALL);
    expect(await far.line()).toBe("CONNECT address=192.168.1.31 port=5000 token=aB3-_x");
    far.say(`${answer}\n`);
    expect(await asking).toBe(asked);
    expect(room.session.online).toBe(true);
  });

  test("while away nobody is asked, and nothing is waited for", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const asking = room.session.connect(CALL);
    expect(await stateOf(asking)).toBe("done");
    expect(await asking).toBe(false);
  });

  test("a tracker that goes away meanwhile is a failure, like that of any request", async () => {
    const room = new Room();
    const far = await room.online();
    const failed = failure(room.session.connect(CALL));
    await far.line();
    far.reset();
    expect((await failed).code).toBe("tracker-gone");
  });

  test("an old tracker cannot do it, and is not asked", async () => {
    const room = new Room();
    await room.onlineBasic();
    const dialled = room.net.dialled.length;
    expect(await room.session.connect(CALL)).toBe(false);
    expect(room.net.dialled).toHaveLength(dialled);
  });
});

describe("the place of a lost connection", () => {
  const WELCOME = "WELCOME id=p1 pass=abc.def peers=1 files=2";

  async function join(room: Room, far: Far, hello: string, session: string): Promise<void> {
    expect(await far.line()).toBe(hello);
    far.say(HI);
    await far.lines(3);
    far.say(`${WELCOME}${session}\n`);
    await settle();
    expect(room.session.online).toBe(true);
  }

  test("is taken with the session that the tracker gave, each time with the latest", async () => {
    const room = new Room();
    const joining = room.session.join();
    const first = await room.net.next();
    await join(room, first, HELLO, " session=7f.aB3-_x");
    await joining;
    first.reset();
    const second = await room.nextTry();
    await join(room, second, `${HELLO} session=7f.aB3-_x`, " session=80.other");
    second.reset();
    const third = await room.nextTry();
    await join(room, third, `${HELLO} session=80.other`, "");
    third.reset();
    await join(room, await room.nextTry(), HELLO, "");
  });

  test("a session that failed to come back says it again", async () => {
    const room = new Room();
    const joining = room.session.join();
    const first = await room.net.next();
    await join(room, first, HELLO, " session=7f.abc");
    await joining;
    first.reset();
    const broken = await room.nextTry();
    expect(await broken.line()).toBe(`${HELLO} session=7f.abc`);
    broken.say(HI);
    await broken.lines(3);
    broken.reset();
    await join(room, await room.nextTry(), `${HELLO} session=7f.abc`, "");
  });

  test.each([
    ["7f%20x=1", "7f%20x=1"],
    ["a%0AFILES%200%20port=1%0A", "a%0AFILES%200%20port=1%0A"],
    ["%3Cx%3E%2C%3B%25", "%3Cx%3E%2C%3B%25"],
  ])("whatever a tracker gives (%s), it is said as one word of one line", async (given, said) => {
    const room = new Room();
    const joining = room.session.join();
    const first = await room.net.next();
    await join(room, first, HELLO, ` session=${given}`);
    await joining;
    first.reset();
    const second = await room.nextTry();
    expect(await second.line()).toBe(`${HELLO} session=${said}`);
    await settle();
    expect(second.waiting.toString()).toBe("");
  });
});

describe("a tracker with several addresses", () => {
  const PLACE: TrackerPlace = { address: "192.168.1.2", port: 1234, others: ["10.0.0.2", "fd00::2"] };
  const SILENT = new FtError("no-answer", "no answer within 5 s");
  const dialledBy = ({ net }: Room) => net.dialled.map(({ address }) => address);

  test("is joined at the first of them when that answers, and no other is tried", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    await room.online();
    await room.clock.pass(10_000);
    expect(dialledBy(room)).toEqual(["192.168.1.2"]);
    expect(room.session.standing?.tracker).toBe(addressOf("192.168.1.2"));
  });

  test("one that refuses is followed by the next at once, one that is silent after a moment; the first that answers counts", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    room.net.fate = ({ address }) => (address === "192.168.1.2" ? REFUSED : address === "10.0.0.2" ? "silence" : undefined);
    const joining = room.session.join();
    await settle();
    expect(dialledBy(room)).toEqual(["192.168.1.2", "10.0.0.2"]);
    await room.clock.pass(250);
    expect(dialledBy(room)).toEqual(["192.168.1.2", "10.0.0.2", "fd00::2"]);
    await room.accept(await room.net.next());
    await joining;
    expect(room.session.standing?.tracker).toBe(addressOf("fd00::2"));
  });

  test("all of them are tried each time it comes back", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    const far = await room.online();
    room.net.fate = ({ address }) => (address === "fd00::2" ? undefined : REFUSED);
    far.reset();
    await room.accept(await room.nextTry());
    expect(dialledBy(room)).toEqual(["192.168.1.2", "192.168.1.2", "10.0.0.2", "fd00::2"]);
    expect(room.session.online).toBe(true);
  });

  test("none of which answers is one sentence, with the first address and the reason that says most", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    room.net.fate = ({ address }) => (address === "10.0.0.2" ? SILENT : REFUSED);
    const { message, code } = await failure(room.session.join());
    expect(code).toBe("no-answer");
    expect(message).toBe(
      `Cannot reach the tracker at "${WHERE}": no answer within 5 s. Check the address and that ft-tracker runs there.`,
    );
  });

  test("stopping ends all tries at once", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    room.net.fate = () => "silence";
    const stop = new AbortController();
    const failed = failure(room.session.join(stop.signal));
    await room.clock.pass(600);
    expect(room.net.dialled).toHaveLength(3);
    stop.abort();
    expect((await failed).code).toBe("cancelled");
    expect(room.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
  });

  test("may be an old one", async () => {
    const room = new Room(undefined, { tracker: PLACE });
    room.net.fate = ({ address }) => (address === "192.168.1.2" ? REFUSED : undefined);
    await room.onlineBasic();
    expect(room.session.standing).toMatchObject({ profile: 1, tracker: "10.0.0.2" });
  });
});

describe("when the machine's network changes", () => {
  const STILL = new Set([addressOf("127.0.0.1"), addressOf("192.168.1.17")]);
  const MOVED = new Set([addressOf("127.0.0.1"), addressOf("192.168.7.4")]);

  test("a connection from an address that is gone is given up at once, and the peer comes back with the same list", async () => {
    const room = new Room();
    const far = await room.online();
    room.session.networkChanged(MOVED);
    await settle();
    expect(far.over).toBe(true);
    expect(room.session.away).toBe(true);
    expect(room.events.at(-1)).toEqual({ event: "away", reason: "this machine's address has changed" });
    await room.clock.pass(1000);
    const again = await room.net.next();
    expect(await again.line()).toBe(HELLO);
    again.say(HI);
    expect(await again.lines(3)).toEqual(["FILES 2 port=40123", REPORT, NOTES]);
    room.welcome(again);
    await settle();
    expect([room.session.online, room.session.away]).toEqual([true, false]);
    expect(room.events.map(({ event }) => event)).toEqual(["joined", "away", "joined"]);
  });

  test("with no address at all it is the same", async () => {
    const room = new Room();
    const far = await room.online();
    room.session.networkChanged(new Set());
    await settle();
    expect([far.over, room.session.away]).toEqual([true, true]);
  });

  test("a tracker on this machine stays, whatever addresses there are", async () => {
    const { near, far } = connection({ address: addressOf("127.0.0.1"), port: 1234 });
    Object.assign(near, { local: { address: addressOf("127.0.0.1"), port: 50_000 } });
    const room = new Room(undefined, { dial: async () => near });
    const joining = room.session.join();
    await room.accept(far);
    await joining;
    room.session.networkChanged(new Set());
    expect(await far.line()).toBe("PING");
    far.say("PONG\n");
    await room.clock.pass(10_000);
    expect([room.session.online, far.over]).toEqual([true, false]);
  });

  test("an address that is still there: a tracker that answers a PING stays, and nothing else happens", async () => {
    const room = new Room();
    const far = await room.online();
    room.session.networkChanged(STILL);
    expect(await far.line()).toBe("PING");
    await room.clock.pass(3_999);
    far.say("PONG\n");
    await room.clock.pass(44_000);
    expect([room.session.online, far.over, far.waiting.toString()]).toEqual([true, false, ""]);
    expect(room.events.map(({ event }) => event)).toEqual(["joined"]);
    expect(room.net.dialled).toHaveLength(1);
  });

  test("one that does not answer within four seconds is gone, and the peer comes back", async () => {
    const room = new Room();
    const far = await room.online();
    room.session.networkChanged(STILL);
    await far.line();
    await room.clock.pass(3_999);
    expect(room.session.online).toBe(true);
    await room.clock.pass(1);
    expect([room.session.online, far.over]).toEqual([false, true]);
    expect(room.named("away")).toEqual([{ event: "away", reason: "it does not answer" }]);
    await room.clock.pass(1000);
    await room.accept(await room.net.next());
    expect(room.session.online).toBe(true);
  });

  test("a late word of an earlier check does not end the next connection", async () => {
    const room = new Room();
    const far = await room.online();
    room.session.networkChanged(STILL);
    await far.line();
    await room.clock.pass(2_000);
    far.reset();
    const again = await room.nextTry();
    await room.accept(again);
    await room.clock.pass(5_000);
    expect([room.session.online, again.over]).toEqual([true, false]);
  });

  test("while away it tries at once, and the waits begin anew", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await room.clock.pass(120_000);
    for (const _again of [1, 2]) {
      await room.clock.pass(60_000);
      const before = room.net.dialled.length;
      const from = room.clock.at();
      room.session.networkChanged(MOVED);
      await room.clock.pass(10_000);
      const tries = room.net.dialled.slice(before).map(({ at }) => at - from);
      // Half a second, then 0.75 of 2, 4 and 8 seconds: chance is a half here.
      expect(tries.slice(0, 3)).toEqual([500, 2000, 5000]);
    }
  });

  test("however often it changes while away, there is one row of tries", async () => {
    const room = new Room();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await room.clock.pass(60_000);
    const before = room.net.dialled.length;
    for (let i = 0; i < 20; i++) {
      room.session.networkChanged(MOVED);
      await room.clock.pass(100);
    }
    // Each change puts the try off by half a second at most, and leaves no other behind.
    expect(room.net.dialled.length - before).toBeLessThanOrEqual(1);
    await room.clock.pass(5_000);
    expect(room.net.dialled.length - before).toBeLessThanOrEqual(4);
    expect(room.net.dialled.length - before).toBeGreaterThanOrEqual(2);
  });

  test("a try under way is the only one, while it connects and while the tracker is slow to greet", async () => {
    const dials: PromiseWithResolvers<void>[] = [];
    const net = new Net();
    const room = new Room(undefined, {
      dial: async (to, how) => {
        const gate = Promise.withResolvers<void>();
        dials.push(gate);
        await gate.promise;
        return await net.dial(to, how);
      },
    });
    const joining = room.session.join();
    dials[0]?.resolve();
    const far = await net.next();
    await room.accept(far);
    await joining;
    far.reset();
    await room.clock.pass(1000);
    expect(dials).toHaveLength(2);
    for (let i = 0; i < 4; i++) {
      room.session.networkChanged(MOVED);
      await room.clock.pass(1500);
    }
    expect(dials).toHaveLength(2);
    dials[1]?.resolve();
    const again = await net.next();
    await again.line();
    for (let i = 0; i < 4; i++) {
      room.session.networkChanged(MOVED);
      await room.clock.pass(1500);
    }
    expect(dials).toHaveLength(2);
    again.say(HI);
    await again.lines(3);
    room.welcome(again);
    await room.clock.pass(10_000);
    expect(room.session.online).toBe(true);
    expect([dials.length, again.over, room.named("joined").length]).toEqual([2, false, 2]);
  });

  test("left and back again while a try is connecting: one of the two connections is used, the other is closed", async () => {
    const dials: PromiseWithResolvers<void>[] = [];
    const net = new Net();
    const room = new Room(undefined, {
      dial: async (to) => {
        const gate = Promise.withResolvers<void>();
        dials.push(gate);
        await gate.promise;
        return await net.dial(to);
      },
    });
    const joining = room.session.join();
    dials[0]?.resolve();
    const far = await net.next();
    await room.accept(far);
    await joining;
    far.reset();
    await room.clock.pass(1000);
    expect(dials).toHaveLength(2);
    await room.session.leave();
    room.session.comeBack();
    await room.clock.pass(1000);
    expect(dials).toHaveLength(3);
    const heard: string[] = [];
    const fars: Far[] = [];
    for (const gate of dials.slice(1)) {
      gate.resolve();
      const one = await net.next();
      fars.push(one);
      play(one, heard, (line) => {
        if (line.startsWith("HELLO")) return HI;
        return line.startsWith("<notes") ? "WELCOME id=p1 pass=abc.def peers=1 files=2\n" : "";
      });
      await room.clock.pass(100);
    }
    await room.clock.pass(30_000);
    expect([room.session.online, room.named("joined").length]).toEqual([true, 2]);
    expect(fars.map(({ over }) => over).sort()).toEqual([false, true]);
  });

  test("nothing happens before the first join, during it, while leaving, or after", async () => {
    const room = new Room();
    room.session.networkChanged(MOVED);
    await room.clock.pass(5_000);
    expect(room.net.dialled).toEqual([]);
    const joining = room.session.join();
    const far = await room.net.next();
    room.session.networkChanged(MOVED);
    await room.accept(far);
    await joining;
    expect([room.session.online, room.net.dialled.length]).toEqual([true, 1]);
    const leaving = room.session.leave();
    room.session.networkChanged(MOVED);
    expect(await far.line()).toBe("BYE");
    await settle();
    expect(far.waiting.toString()).toBe("");
    far.say("BYE\n");
    await leaving;
    room.session.networkChanged(MOVED);
    room.session.networkChanged(STILL);
    await room.clock.pass(60_000);
    expect(room.net.dialled).toHaveLength(1);
    expect(room.events.map(({ event }) => event)).toEqual(["joined"]);
  });

  test("with an old tracker nothing happens either", async () => {
    const room = new Room();
    await room.onlineBasic();
    const dialled = room.net.dialled.length;
    const { untilNext } = room.clock;
    for (const addresses of [MOVED, STILL]) room.session.networkChanged(addresses);
    expect(room.clock.untilNext).toBe(untilNext);
    await room.clock.pass(60_000);
    expect([room.session.online, room.net.dialled.length]).toEqual([true, dialled]);
  });
});

describe("whether a peer is away", () => {
  test("is so from the loss of the tracker until it is back, not before the first join and not after leaving", async () => {
    const room = new Room();
    const seen = [room.session.away];
    const far = await room.online();
    seen.push(room.session.away);
    far.reset();
    await settle();
    seen.push(room.session.away);
    const again = await room.nextTry();
    seen.push(room.session.away);
    await room.accept(again);
    seen.push(room.session.away);
    again.reset();
    await settle();
    await room.session.leave();
    seen.push(room.session.away);
    expect(seen).toEqual([false, false, true, true, false, false]);
  });
});

describe("a tracker that may have moved", () => {
  const MOVED_TO: TrackerPlace = { address: "192.168.1.99", port: 4321 };

  /** One that is lost; `find` gives what the test says. */
  async function lost(find: () => Promise<TrackerPlace | undefined>): Promise<{ room: Room; asked: () => number }> {
    let asked = 0;
    const counted = () => {
      asked += 1;
      return find();
    };
    const room = new Room(undefined, { find: counted });
    const far = await room.online();
    room.net.fate = ({ address }) => (address === TRACKER.address ? REFUSED : undefined);
    far.reset();
    await settle();
    return { room, asked: () => asked };
  }

  test("is looked for after two tries in vain, and joined where it is now", async () => {
    const { room, asked } = await lost(async () => MOVED_TO);
    const at: [number, number][] = [];
    for (let i = 0; i < 100 && room.net.untaken === 0; i++) {
      await room.clock.pass(100);
      at.push([room.net.dialled.length, asked()]);
    }
    // The first try comes from before it was lost.
    expect(at.findLast(([, times]) => times === 0)).toEqual([3, 0]);
    expect(room.net.dialled.slice(1).map(({ address, port }) => `${address}:${port}`)).toEqual([
      WHERE,
      WHERE,
      "192.168.1.99:4321",
    ]);
    const far = await room.net.next();
    await room.accept(far);
    expect(room.session.standing?.tracker).toBe(addressOf("192.168.1.99"));
    // From then on that is where it is, also in sentences.
    const failed = failure(room.session.search(nameOf("x")));
    await far.line();
    far.reset();
    expect((await failed).message).toContain('"192.168.1.99:4321"');
    await room.accept(await room.nextTry());
    expect([room.session.online, asked()]).toEqual([true, 1]);
  });

  test.each([
    ["finds nobody", async () => undefined],
    ["fails", async () => Promise.reject(new Error("no network"))],
  ])("looking that %s changes nothing: it is tried where it was, and looked for again", async (_what, find) => {
    const { room, asked } = await lost(find);
    await room.clock.pass(60_000);
    const before = room.net.dialled.length;
    expect(asked()).toBeGreaterThanOrEqual(2);
    expect(new Set(room.net.dialled.map(({ address }) => address))).toEqual(new Set([TRACKER.address]));
    room.net.fate = () => undefined;
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
    expect(room.net.dialled).toHaveLength(before + 1);
  });

  test("is not looked for by a first join, nor when it is back soon", async () => {
    let asked = 0;
    const find = async () => {
      asked += 1;
      return MOVED_TO;
    };
    const refused = new Room(undefined, { find });
    refused.net.fate = () => REFUSED;
    await failure(refused.session.join());
    await refused.clock.pass(60_000);
    const room = new Room(undefined, { find });
    const far = await room.online();
    far.reset();
    await room.accept(await room.nextTry());
    expect(asked).toBe(0);
  });

  test("leaving while it is looked for ends it: nobody is dialled any more", async () => {
    const found = Promise.withResolvers<TrackerPlace>();
    const { room, asked } = await lost(() => found.promise);
    await room.clock.pass(10_000);
    expect(asked()).toBe(1);
    const dialled = room.net.dialled.length;
    await room.session.leave();
    found.resolve(MOVED_TO);
    await room.clock.pass(60_000);
    expect([room.net.dialled.length, room.session.online]).toEqual([dialled, false]);
  });

  test.each([
    ["the network changes", (room: Room) => room.session.networkChanged(new Set())],
    [
      "it is left and comes back",
      (room: Room) => {
        void room.session.leave();
        room.session.comeBack();
      },
    ],
  ])("%s while it is looked for: there are never two joins at the same time", async (_what, act) => {
    const found = Promise.withResolvers<TrackerPlace>();
    const { room, asked } = await lost(() => found.promise);
    await room.clock.pass(10_000);
    expect(asked()).toBe(1);
    const before = room.net.dialled.length;
    room.net.fate = () => undefined;
    act(room);
    await room.clock.pass(1_000);
    found.resolve(MOVED_TO);
    await room.clock.pass(2_000);
    // Whichever it was, it is one.
    expect(room.net.dialled.length - before).toBe(1);
    await room.accept(await room.net.next());
    await room.clock.pass(30_000);
    expect([room.session.online, room.net.untaken, room.named("joined").length]).toEqual([true, 0, 2]);
  });
});

describe("on the real network", () => {
  /** The real clock, except that an old tracker's silence is a short one. */
  const impatient: Clock = { ...systemClock, after: (ms, act) => systemClock.after(ms === 1000 ? 60 : ms, act) };

  function sessionWith(port: number, events: SessionEvent[]): Session {
    return new Session({
      dial,
      tracker: { address: "127.0.0.1", port },
      agent: "ft-peer/1.0.0",
      port: 40_123,
      records: (own) => [report, record("notes.txt")].map((one) => ({ ...one, ...own })),
      report: (event) => events.push(event),
      clock: impatient,
    });
  }

  test("an old tracker, which reads once for each message, reads HELLO alone and the whole list in one piece", async () => {
    const pieces: string[][] = [];
    const raws: Raw[] = [];
    const server = await rawServer((raw) => {
      const mine: string[] = [];
      pieces.push(mine);
      raws.push(raw);
      raw.socket.on("data", (chunk: Buffer) => {
        mine.push(chunk.toString());
        if (chunk.toString() === "HELLO") raw.send("HI");
        if (chunk.toString().startsWith("SEARCH")) {
          raw.send("FOUND: <text/plain,12,01/02/26,127.0.0.1,40123>");
          raw.halfClose();
        }
      });
      raw.socket.on("end", () => raw.halfClose());
    });
    try {
      const events: SessionEvent[] = [];
      const session = sessionWith(server.port, events);
      await session.join();
      await raws[1]?.rest();
      expect(pieces[0]).toEqual(["HELLO FT/2 agent=ft-peer/1.0.0 extras=1\n"]);
      expect(pieces[1]).toEqual([
        "HELLO",
        "<report.pdf,application/pdf,48213,22/11/26,127.0.0.1,40123>\n<notes.txt,text/plain,12,01/02/26,127.0.0.1,40123>",
      ]);
      expect(await session.search(nameOf("notes.txt"))).toMatchObject([{ name: "notes.txt", size: 12, port: 40_123 }]);
      await session.leave();
      expect(pieces.at(-1)).toEqual(["BYE"]);
    } finally {
      server.close();
    }
  });

  test("our own tracker, stopped and started again on the same port", async () => {
    const options = { host: "127.0.0.1", name: "Lab", report: () => {} };
    const first = startTracker({ ...options, port: 0 });
    const events: SessionEvent[] = [];
    const away = Promise.withResolvers<void>();
    const back = Promise.withResolvers<void>();
    const watch: SessionEvent[] = new Proxy(events, {
      set: (target, key, value: SessionEvent) => {
        Reflect.set(target, key, value);
        if (value.event === "away") away.resolve();
        if (value.event === "joined" && events.some(({ event }) => event === "away")) back.resolve();
        return true;
      },
    });
    const session = sessionWith(first.port, watch);
    let second: ReturnType<typeof startTracker> | undefined;
    try {
      await session.join();
      expect(await session.search(nameOf("report.pdf"))).toMatchObject([{ size: 48_213, address: "127.0.0.1", root: ROOT }]);
      expect(await session.known(addressOf("127.0.0.1"))).toBe(true);
      expect(await session.who()).toMatchObject([{ port: 40_123, files: 2 }]);
      await first.stop();
      await away.promise;
      second = startTracker({ ...options, port: first.port });
      await back.promise;
      expect(await session.list()).toHaveLength(2);
      await session.leave();
      expect(events.map(({ event }) => event).filter((event) => event !== "notice" && event !== "reach")).toEqual([
        "joined",
        "away",
        "joined",
      ]);
    } finally {
      await session.leave();
      await second?.stop();
    }
  });
});
