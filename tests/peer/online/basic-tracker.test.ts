// A peer and a tracker of the basic protocol (FT/1), and an FT/2 tracker that is so busy that it looks like one.

import { describe, expect, test } from "bun:test";
import type { Dial } from "../../../lib/net/channel.ts";
import { addressOf, Net, nameOf, REFUSED, settle } from "../../helpers/channel.ts";
import { failure, HELLO, HI, record, report, SessionRoom, stateOf, WHERE } from "../../helpers/session-room.ts";

describe("an old tracker", () => {
  test("its silence is waited for one second, then HELLO comes alone and the list in one piece", async () => {
    const room = new SessionRoom();
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
    const { session, net, clock } = new SessionRoom();
    const joining = session.join();
    await net.next();
    await clock.pass(1000);
    const second = await net.next();
    second.say("H");
    await clock.pass(10);
    expect(second.writes).toEqual(["HELLO"]);
    second.say("I");
    await clock.pass(5_490);
    await joining;
    expect(session.standing?.profile).toBe(1);
  });

  test("names it cannot take are left out and named, types it cannot take become data", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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

  test("one that is of FT/2 is not taken for it when its answer is late, although it says HI", async () => {
    const room = new SessionRoom();
    const joining = room.session.join();
    const first = await room.net.next();
    await room.clock.pass(1000);
    const second = await room.net.next();
    second.say("HI");
    await room.clock.pass(2900);
    expect(second.writes).toEqual(["HELLO"]);
    await room.accept(first);
    await joining;
    expect(room.session.standing?.profile).toBe(2);
    expect(second.over).toBe(true);
  });

  test("one that is of FT/2 and was taken for it is joined anew when it answers", async () => {
    const room = new SessionRoom();
    await room.onlineBasic();
    await room.clock.pass(999);
    expect(room.net.untaken).toBe(0);
    await room.clock.pass(1);
    const silent = await room.net.next();
    expect(await silent.line()).toBe(HELLO);
    await room.clock.pass(15_000);
    expect([silent.over, room.session.online]).toEqual([true, true]);
    await room.clock.pass(4_000);
    const again = await room.net.next();
    expect(await again.line()).toBe(HELLO);
    again.say(HI);
    const bye = await room.net.next();
    await bye.until(() => bye.ended);
    expect(bye.waiting.toString()).toBe("BYE");
    bye.close();
    await again.lines(3);
    room.welcome(again);
    await settle();
    expect(room.session.standing?.profile).toBe(2);
    expect(room.events.map((event) => ("profile" in event ? event.profile : event.event))).toEqual([1, 2]);
    const asked = room.session.requests.known(addressOf("192.168.1.9"));
    expect(await again.line()).toBe("KNOWN 192.168.1.9");
    again.say("NO\n");
    expect(await asked).toBe(false);
  });

  test("a tracker that is slow in everything is of FT/2, if its reply comes at last", async () => {
    const room = new SessionRoom();
    const joining = room.session.join();
    const first = await room.net.next();
    await first.line();
    await room.clock.pass(1_000);
    const second = await room.net.next();
    await room.clock.pass(11_000);
    expect([second.closed, await stateOf(joining)]).toEqual([true, "waiting"]);
    first.say(HI);
    await first.lines(3);
    room.welcome(first);
    await joining;
    expect(room.session.standing?.profile).toBe(2);
  });

  test("one that says nothing at all does not answer, which is another sentence than for a program that is no tracker", async () => {
    const room = new SessionRoom();
    const failed = failure(room.session.join());
    await room.clock.pass(20_000);
    expect((await failed).message).toBe(`The tracker at "${WHERE}" does not answer. Try again later.`);
  });

  test("one that was reached at this address before, under a host's name, is never taken for it", async () => {
    const tracker = { address: "lab.local", port: 1234 };
    const wasFull = (at: { address: string; port: number }) => at.address === "192.168.1.2" && at.port === 1234;
    const net = new Net();
    const dial: Dial = (to, how) => net.dial({ ...to, address: "192.168.1.2" }, how);
    const room = new SessionRoom(undefined, { tracker, wasFull, dial });
    const failed = failure(room.session.join());
    const far = await net.next();
    await room.clock.pass(14_999);
    expect([far.over, net.dialled.length]).toEqual([false, 1]);
    await room.clock.pass(1);
    expect((await failed).message).toContain("is unreachable (it does not answer)");
  });

  test.each([
    ["announced itself", { announced: true as const }],
    ["has spoken FT/2 before", { full: true }],
  ])("one that %s is never taken for it, however long it is silent", async (_what, more) => {
    const room = new SessionRoom(undefined, { tracker: { address: "192.168.1.2", port: 1234, ...more } });
    const failed = failure(room.session.join());
    const far = await room.net.next();
    await room.clock.pass(14_999);
    expect([far.over, room.net.dialled.length]).toEqual([false, 1]);
    await room.clock.pass(1);
    expect((await failed).message).toBe(`The tracker at "${WHERE}" is unreachable (it does not answer).`);
    expect(room.net.dialled).toHaveLength(1);
  });

  test("one that hangs up on HELLO FT/2 is not waited for", async () => {
    const { session, net, clock } = new SessionRoom();
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
    const { session, net, clock } = new SessionRoom();
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

  test("a web server answers a whole line, and waits for the end of the bare HELLO: it is no tracker", async () => {
    const { session, net, clock } = new SessionRoom();
    const failed = failure(session.join());
    const first = await net.next();
    first.say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    first.close();
    await clock.pass(1000);
    await net.next();
    await clock.pass(30_000);
    expect((await failed).message).toContain(`"${WHERE}" is not a FileTracker tracker`);
  });

  test("an endless answer to HELLO does not keep the peer waiting", async () => {
    const { session, net, clock } = new SessionRoom();
    const failed = failure(session.join());
    await net.next();
    await clock.pass(1000);
    const second = await net.next();
    second.say("H".repeat(100_000));
    expect((await failed).message).toContain("is not a FileTracker tracker");
  });

  test("searching takes a connection of its own, and the answer may come in pieces until its end", async () => {
    const { session, net } = await basicRoom();
    const searching = session.requests.search(nameOf("notes.txt"));
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

  test("a name with a line end in it is refused before anybody is dialled", async () => {
    const { session, net } = await basicRoom();
    const before = net.dialled.length;
    const { message } = await failure(session.requests.search(nameOf("x\r\nBYE\r\n")));
    expect(message).toBe(
      'Cannot ask the tracker for "x\\r\\nBYE\\r\\n": its name has control characters, which the basic protocol cannot carry. Give another name.',
    );
    expect(net.dialled).toHaveLength(before);
  });

  test("NOT FOUND is no record", async () => {
    const { session, net } = await basicRoom();
    const searching = session.requests.search(nameOf("nobody.has"));
    const far = await net.next();
    far.say("NOT FOUND");
    far.close();
    expect(await searching).toEqual([]);
  });

  test("records that cannot be are left out of an answer", async () => {
    const { session, net } = await basicRoom();
    const searching = session.requests.search(nameOf("x"));
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
    const failed = failure(session.requests.search(nameOf("x")));
    const far = await net.next();
    far.say("HTTP/1.1 200 OK\r\n\r\n");
    far.close();
    expect((await failed).message).toMatch(/neither FOUND nor NOT FOUND/);
  });

  test("an answer without end is cut off", async () => {
    const { session, net } = await basicRoom();
    const searching = session.requests.search(nameOf("x"));
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
    for (const asked of [session.requests.list(), session.requests.who()]) {
      expect((await failure(asked)).message).toMatch(/basic protocol.*search for an exact name/);
    }
    expect(await session.requests.known(addressOf("192.168.1.9"))).toBeUndefined();
    await session.requests.add(report);
    expect(await session.requests.drop(nameOf("notes.txt"))).toBe(true);
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

  async function basicRoom(): Promise<SessionRoom> {
    const room = new SessionRoom();
    await room.onlineBasic();
    return room;
  }
});

describe("a busy FT/2 tracker", () => {
  test("an HI that comes late, but before the bare one, is FT/2; the second connection is given nothing", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
