// A peer's session: joining, staying online, leaving. Time stands still until a test moves it.

import { describe, expect, test } from "bun:test";
import { type Clock, systemClock } from "../../../lib/clock.ts";
import { UsageError } from "../../../lib/error.ts";
import { dial } from "../../../lib/net/dial.ts";
import { Session } from "../../../lib/peer/online/session.ts";
import {
  type Introduced,
  type SessionEvent,
  type SessionOptions,
  type TrackerPlace,
  UNTRUSTED,
} from "../../../lib/peer/online/session-types.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { startTracker } from "../../../tracker.ts";
import { addressOf, type Far, nameOf, REFUSED, settle } from "../../helpers/channel.ts";
import { type Raw, rawServer } from "../../helpers/raw.ts";
import {
  failure,
  HELLO,
  HI,
  NOTES,
  passOf,
  play,
  REPORT,
  ROOT,
  record,
  report,
  SessionRoom,
  stateOf,
  WHERE,
} from "../../helpers/session-room.ts";

describe("joining", () => {
  test("the conversation, byte for byte", async () => {
    const { session, net, events } = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    const joining = room.session.join();
    const far = await room.net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    const ahead = 90;
    far.say(`WELCOME id=p1 pass=${passOf(room.clock.at() / 1000 + 3600 + ahead)} peers=1 files=2\n`);
    await joining;
    expect(room.session.standing?.ahead).toBe(ahead * 1000);
  });

  test("a tracker that cannot be reached is a sentence with its address and what to do", async () => {
    const { session, net } = new SessionRoom();
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
    const { session, net, clock, events } = new SessionRoom();
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
    const { session, net, clock } = new SessionRoom();
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
    expect(message).not.toMatch(/Trying again/);
  });

  test("a tracker that says nothing after the list is given up", async () => {
    const { session, net, clock } = new SessionRoom();
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
    const { session, net } = new SessionRoom();
    net.fate = () => "silence";
    const stop = new AbortController();
    const failed = failure(session.join(stop.signal));
    await settle();
    stop.abort();
    expect((await failed).code).toBe("cancelled");
  });

  test("stopping while a tracker that took the connection stays silent ends it at once", async () => {
    const { session, net } = new SessionRoom();
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

describe("staying online", () => {
  test("it pings after 45 s of silence, again and again", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    const far = await room.online();
    const heard: string[] = [];
    play(far, heard, (line) => (line === "PING" ? "PONG\n" : "NOT FOUND\n"));
    await room.clock.pass(40_000);
    await room.session.requests.search(nameOf("x"));
    await room.clock.pass(40_000);
    expect(heard).toEqual(["SEARCH: x"]);
    await room.clock.pass(5_000);
    expect(heard).toEqual(["SEARCH: x", "PING"]);
  });

  test("a tracker that does not answer the ping is away", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    await room.clock.pass(45_000 + 30_000);
    expect(room.named("away")).toEqual([{ event: "away", reason: "it does not answer" }]);
    expect(far.closed).toBe(true);
    expect(room.net.dialled.length).toBeGreaterThan(1);
  });

  test("the pass is renewed before it expires, hour after hour", async () => {
    const room = new SessionRoom();
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

  test("a pass of ten minutes is renewed before it expires, and peers that joined together renew at different times", async () => {
    const gaps: number[] = [];
    for (const chance of [0, 0.99]) {
      const room = new SessionRoom();
      room.chance = chance;
      const joining = room.session.join();
      const far = await room.net.next();
      // The clock of this tracker is an hour ahead.
      const now = () => Math.floor(room.clock.at() / 1000) + 3600;
      const welcome = () => far.say(`WELCOME id=p1 pass=${passOf(now() + 600)} peers=1 files=2 now=${now()}\n`);
      await far.line();
      far.say(HI);
      await far.lines(3);
      welcome();
      await joining;
      expect(room.session.standing?.ahead).toBe(3_600_000);
      const from = room.clock.at();
      let renewed = false;
      play(far, [], (line) => {
        if (line.startsWith("FILES")) {
          gaps.push(room.clock.at() - from);
          renewed = true;
        }
        return line === "PING" ? "PONG\n" : "";
      });
      while (!renewed) await room.clock.pass(1000);
    }
    expect(gaps).toEqual([240_000, expect.closeTo(358_800, 0)]);
  });

  test("asks for its name, and learns the name that the tracker gives it, each time it joins", async () => {
    const room = new SessionRoom(undefined, { name: "Ben S." });
    const joining = room.session.join();
    const first = await room.net.next();
    expect(await first.line()).toBe(`${HELLO} name=Ben%20S.`);
    first.say(HI);
    await first.lines(3);
    first.say(`WELCOME id=p1 pass=${passOf(1)} peers=2 files=2 name=Ben%20S.%20(2)\n`);
    await joining;
    expect(room.session.standing?.name).toBe("Ben S. (2)");
    expect(room.named("joined")).toMatchObject([{ name: "Lab 3", you: "Ben S. (2)" }]);
    first.near.destroy("it broke");
    const second = await room.nextTry();
    expect(await second.line()).toBe(`${HELLO} name=Ben%20S.`);
    second.say(HI);
    await second.lines(3);
    second.say(`WELCOME id=p2 pass=${passOf(1)} peers=1 files=2 name=%1B[2J\n`);
    await settle();
    expect(room.session.standing?.name).toBe("[2J");
  });

  test("says the key of its run, and proves its session with it when it comes back", async () => {
    const proved: string[][] = [];
    const sessionKey = {
      key: "KEY",
      prove: (...what: [string, string]) => {
        proved.push(what);
        return "PROOF";
      },
    };
    const told: string[][] = [];
    const room = new SessionRoom(undefined, { sessionKey, revoked: (ids) => told.push(ids) });
    const joining = room.session.join();
    const first = await room.net.next();
    expect(await first.line()).toBe(`${HELLO} key=KEY`);
    first.say(HI.replace("\n", " nonce=n1\n"));
    expect((await first.lines(3))[0]).toBe("FILES 2 port=40123");
    first.say(`WELCOME id=p1 pass=${passOf(1)} peers=1 files=2 session=p1.secret\nREVOKED p8,p9\n`);
    await joining;
    first.near.destroy("it broke");
    const second = await room.nextTry();
    expect(await second.line()).toBe(`${HELLO} session=p1.secret key=KEY`);
    second.say(HI.replace("\n", " nonce=n2\n"));
    expect((await second.lines(3))[0]).toBe("FILES 2 port=40123 proof=PROOF");
    expect(proved).toEqual([["n2", "p1.secret"]]);
    expect(told).toEqual([["p8", "p9"]]);
  });

  test("a renewal carries what is shared by then", async () => {
    const room = new SessionRoom();
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
  function playTracker(room: SessionRoom, far: Far, answer: (line: string) => string = () => "OK\n"): string[] {
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

  function room(): { one: SessionRoom; parts: FileRecord[] } {
    const parts = [
      record("big.iso", { size: 9, root: ROOT, part: true }),
      record("other.iso", { size: 9, root: OTHER, part: true }),
    ];
    return { one: new SessionRoom((own) => parts.map((part) => ({ ...part, ...own }))), parts };
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
    expect(await one.session.requests.search(nameOf("x"))).toEqual([]);
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

describe("leaving and coming back", () => {
  test("after leave, comeBack joins within a second with what is shared by then, and keeps trying", async () => {
    const one = new SessionRoom();
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
    const one = new SessionRoom();
    await one.online();
    one.session.comeBack();
    await one.clock.pass(30_000);
    expect(one.net.dialled).toHaveLength(1);
    expect(one.session.online).toBe(true);
  });

  test("leaving again before the try stops it", async () => {
    const one = new SessionRoom();
    const far = await one.online();
    play(far, [], () => "BYE\n");
    await one.session.leave();
    one.session.comeBack();
    await one.session.leave();
    await one.clock.pass(60_000);
    expect(one.net.dialled).toHaveLength(1);
  });
});

describe("leaving", () => {
  test("says BYE, waits for the answer, closes, and never comes back", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    const far = await room.online();
    const leaving = room.session.leave();
    await far.line();
    await room.clock.pass(2_000);
    expect(await stateOf(leaving)).toBe("done");
    expect(far.ended).toBe(true);
  });

  test("while the tracker is away, leaving ends the tries and what waits for it", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const searching = failure(room.session.requests.search(nameOf("x")));
    await room.session.leave();
    expect((await searching).code).toBe("tracker-gone");
    const tries = room.net.dialled.length;
    await room.clock.pass(600_000);
    expect(room.net.dialled).toHaveLength(tries);
  });

  test("in the middle of coming back, leaving ends that too", async () => {
    const room = new SessionRoom();
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

describe("a tracker of FT/2 that is silent when the peer comes back", () => {
  test("is not taken for an old one", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.reset();
    await room.clock.pass(1000);
    const silent = await room.net.next();
    await room.clock.pass(14_000);
    expect(room.net.untaken).toBe(0);
    expect(silent.writes).toEqual([`${HELLO}\n`]);
    await room.session.leave();
    expect(room.named("joined")).toHaveLength(1);
  });
});

describe("a tracker that announced itself", () => {
  const PLACE = { address: "192.168.1.2", port: 1234, announced: true } as const;

  /** A session whose tracker is challenged, and what is made of its HI. */
  function challenged(refuse = false, more: Partial<SessionOptions> = {}) {
    const met: Introduced[] = [];
    const approve = (tracker: Introduced) => {
      met.push(tracker);
      if (refuse && tracker.place.announced) throw new UsageError("Not this one.", UNTRUSTED);
    };
    const isProven = (key: string, challenge: string, proof: string) => proof === `${key.slice(0, 3)}-${challenge}`;
    const options = { tracker: PLACE, challenge: () => "a-challenge", approve, isProven, ...more };
    return { room: new SessionRoom(undefined, options), met };
  }

  test.each([
    ["its proof is good", " proof=11q-a-challenge", true],
    ["its proof is not good", " proof=11q-other", false],
    ["it has none", "", false],
  ])("gets a challenge, and is approved before it gets the list: %s", async (_what, proof, proven) => {
    const { room, met } = challenged();
    const joining = room.session.join();
    const far = await room.net.next();
    expect(await far.line()).toBe(`${HELLO} challenge=a-challenge`);
    far.say(HI.replace("\n", `${proof}\n`));
    await far.lines(3);
    room.welcome(far);
    await joining;
    expect(met).toMatchObject([{ place: PLACE, name: "Lab 3", proven }]);
  });

  test("and is refused gets nothing", async () => {
    const { room } = challenged(true);
    const failed = failure(room.session.join());
    const far = await room.net.next();
    await far.line();
    far.say(HI);
    expect((await failed).message).toBe("Not this one.");
    await settle();
    expect([far.total, far.over]).toEqual([`${HELLO} challenge=a-challenge\n`.length, true]);
  });

  test("and is refused when the peer looks for its tracker: the place where it was is tried again at once", async () => {
    const tracker = { address: "192.168.1.2", port: 1234 };
    const find = async () => [{ ...PLACE, address: "192.168.1.66" }];
    const { room } = challenged(true, { tracker, find });
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await room.clock.pass(3500);
    room.net.fate = () => undefined;
    let other = await room.nextTry();
    for (; other.to.address !== "192.168.1.66"; other = await room.nextTry()) other.close();
    await other.line();
    other.say(HI);
    await settle();
    await room.accept(await room.net.next());
    expect([room.session.online, other.over]).toEqual([true, true]);
    expect(room.net.dialled.at(-1)?.address).toBe("192.168.1.2");
  });
});

describe("a tracker that is looked for", () => {
  test("is the one with the same key: others that announce themselves are passed by", async () => {
    const at = (address: string): TrackerPlace => ({ address, port: 1234, name: "Lab 3", announced: true });
    const find = async () => [at("192.168.1.66"), at("192.168.1.77"), at("192.168.1.88")];
    const room = new SessionRoom(undefined, { find });
    const far = await room.online();
    room.net.fate = ({ address }) => (["192.168.1.2", "192.168.1.66"].includes(address) ? REFUSED : undefined);
    far.reset();
    const other = await room.nextTry();
    expect([other.to.address, await other.line()]).toEqual(["192.168.1.77", HELLO]);
    other.say(HI.replace("key=11q", "key=22q"));
    const same = await room.nextTry();
    expect(same.to.address).toBe("192.168.1.88");
    await room.accept(same);
    await settle();
    expect([room.session.online, other.over, other.total]).toEqual([true, true, HELLO.length + 1]);
  });
});

describe("what the tracker says of this peer's port", () => {
  const NO = "REACH no reason=no%20answer%20within%205%20s\n";

  /** Plays the tracker up to the list. */
  async function introduced(room: SessionRoom): Promise<Far> {
    const far = await room.net.next();
    await far.line();
    far.say(HI);
    await far.lines(3);
    return far;
  }

  test("is told after joining, also when it comes in one piece with the welcome", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    const far = await room.online();
    const searching = room.session.requests.search(nameOf("x"));
    await far.line();
    far.say("REACH yes\nNOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("before the welcome is kept until then, and forgotten with its connection", async () => {
    const room = new SessionRoom();
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

describe("on the real network", () => {
  /** The real clock, except that an old tracker's silence is a short one. */
  const impatient: Clock = { ...systemClock, after: (ms, act) => systemClock.after(ms === 1000 ? 60 : ms, act) };

  function sessionWith(port: number, events: SessionEvent[], clock: Clock): Session {
    return new Session({
      dial,
      tracker: { address: "127.0.0.1", port },
      agent: "ft-peer/1.0.0",
      port: 40_123,
      records: (own) => [report, record("notes.txt")].map((one) => ({ ...one, ...own })),
      report: (event) => events.push(event),
      clock,
      random: Math.random,
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
      const session = sessionWith(server.port, events, impatient);
      await session.join();
      await raws[1]?.rest();
      expect(pieces[0]).toEqual(["HELLO FT/2 agent=ft-peer/1.0.0 extras=1\n"]);
      expect(pieces[1]).toEqual([
        "HELLO",
        "<report.pdf,application/pdf,48213,22/11/26,127.0.0.1,40123>\n<notes.txt,text/plain,12,01/02/26,127.0.0.1,40123>",
      ]);
      expect(await session.requests.search(nameOf("notes.txt"))).toMatchObject([{ name: "notes.txt", size: 12, port: 40_123 }]);
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
    const session = sessionWith(first.port, watch, systemClock);
    let second: ReturnType<typeof startTracker> | undefined;
    try {
      await session.join();
      expect(await session.requests.search(nameOf("report.pdf"))).toMatchObject([
        { size: 48_213, address: "127.0.0.1", root: ROOT },
      ]);
      expect(await session.requests.known(addressOf("127.0.0.1"))).toBe(true);
      expect(await session.requests.who()).toMatchObject([{ port: 40_123, files: 2 }]);
      await first.stop();
      await away.promise;
      second = startTracker({ ...options, port: first.port });
      await back.promise;
      expect(await session.requests.list()).toHaveLength(2);
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
