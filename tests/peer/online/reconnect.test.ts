// How a session comes back: retries, several addresses, a changed network, a tracker that moved.

import { describe, expect, test } from "bun:test";
import { FtError } from "../../../lib/error.ts";
import type { TrackerPlace } from "../../../lib/peer/online/session-types.ts";
import { addressOf, connection, type Far, Net, nameOf, REFUSED, settle } from "../../helpers/channel.ts";
import {
  failure,
  HELLO,
  HI,
  NOTES,
  play,
  REPORT,
  record,
  report,
  SessionRoom,
  stateOf,
  TRACKER,
  WHERE,
} from "../../helpers/session-room.ts";

describe("when the tracker goes away", () => {
  test.each([
    ["closes", (far: Far) => far.close()],
    ["breaks down", (far: Far) => far.reset()],
  ])("it %s: said once, what was asked fails with a sentence, the peer comes back", async (_how, go) => {
    const room = new SessionRoom();
    const far = await room.online();
    const failed = failure(room.session.requests.search(nameOf("x")));
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
    const searching = room.session.requests.search(nameOf("x"));
    expect(await again.line()).toBe("SEARCH: x");
    again.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test.each([0, 0.25, 0.5, 0.999999])("the tries are jittered and bounded (chance %d)", async (chance) => {
    const room = new SessionRoom();
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
      const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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

  test("a reply to a retry is not taken for one to the try before, which got none", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.reset();
    const silent = await room.nextTry();
    expect(await silent.line()).toBe(HELLO);
    room.net.fate = () => REFUSED;
    await room.clock.pass(15_000);
    expect(silent.over).toBe(true);
    room.net.fate = () => undefined;
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
    expect(room.session.standing?.profile).toBe(2);
  });

  test("a search meanwhile waits a little, and is asked when the tracker is back", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.reset();
    await settle();
    const searching = room.session.requests.search(nameOf("x"));
    await room.clock.pass(1000);
    const again = await room.net.next();
    await room.accept(again);
    expect(await again.line()).toBe("SEARCH: x");
    again.say("NOT FOUND\n");
    expect(await searching).toEqual([]);
  });

  test("a search meanwhile does not wait for ever", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    const searching = room.session.requests.search(nameOf("x"));
    expect(await stateOf(searching)).toBe("waiting");
    const failed = failure(searching);
    await room.clock.pass(15_000);
    const { code, message } = await failed;
    expect(code).toBe("tracker-gone");
    expect(message).toMatch(/is unreachable/);
  });

  test("records that change meanwhile are told by coming back; nobody can be vouched for", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    room.net.fate = () => REFUSED;
    far.reset();
    await settle();
    await room.session.requests.add(report);
    expect(await room.session.requests.drop(nameOf("notes.txt"))).toBe(true);
    expect(await stateOf(room.session.requests.known(addressOf("192.168.1.9")))).toBe("failed");
    // The last pass goes on being shown, and other peers' passes being checked.
    expect(room.session.standing).toMatchObject({ profile: 2, id: "p1" });
  });
});

describe("a tracker with several addresses", () => {
  const PLACE: TrackerPlace = { address: "192.168.1.2", port: 1234, others: ["10.0.0.2", "fd00::2"] };
  const SILENT = new FtError("no-answer", "no answer within 5 s");
  const dialledBy = ({ net }: SessionRoom) => net.dialled.map(({ address }) => address);

  test("is joined at the first of them when that answers, and no other is tried", async () => {
    const room = new SessionRoom(undefined, { tracker: PLACE });
    await room.online();
    await room.clock.pass(10_000);
    expect(dialledBy(room)).toEqual(["192.168.1.2"]);
    expect(room.session.standing?.tracker).toBe(addressOf("192.168.1.2"));
  });

  test("one that refuses is followed by the next at once, one that is silent after a moment; the first that answers counts", async () => {
    const room = new SessionRoom(undefined, { tracker: PLACE });
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
    const room = new SessionRoom(undefined, { tracker: PLACE });
    const far = await room.online();
    room.net.fate = ({ address }) => (address === "fd00::2" ? undefined : REFUSED);
    far.reset();
    await room.accept(await room.nextTry());
    expect(dialledBy(room)).toEqual(["192.168.1.2", "192.168.1.2", "10.0.0.2", "fd00::2"]);
    expect(room.session.online).toBe(true);
  });

  test("none of which answers is one sentence, with the first address and the reason that says most", async () => {
    const room = new SessionRoom(undefined, { tracker: PLACE });
    room.net.fate = ({ address }) => (address === "10.0.0.2" ? SILENT : REFUSED);
    const { message, code } = await failure(room.session.join());
    expect(code).toBe("no-answer");
    expect(message).toBe(
      `Cannot reach the tracker at "${WHERE}": no answer within 5 s. Check the address and that ft-tracker runs there.`,
    );
  });

  test("stopping ends all tries at once", async () => {
    const room = new SessionRoom(undefined, { tracker: PLACE });
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
    const room = new SessionRoom(undefined, { tracker: PLACE });
    room.net.fate = ({ address }) => (address === "192.168.1.2" ? REFUSED : undefined);
    await room.onlineBasic();
    expect(room.session.standing).toMatchObject({ profile: 1, tracker: "10.0.0.2" });
  });
});

describe("when the machine's network changes", () => {
  const STILL = new Set([addressOf("127.0.0.1"), addressOf("192.168.1.17")]);
  const MOVED = new Set([addressOf("127.0.0.1"), addressOf("192.168.7.4")]);

  test("a connection from an address that is gone is given up at once, and the peer comes back with the same list", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    const far = await room.online();
    room.session.networkChanged(new Set());
    await settle();
    expect([far.over, room.session.away]).toEqual([true, true]);
  });

  test("a tracker on this machine stays, whatever addresses there are", async () => {
    const { near, far } = connection({ address: addressOf("127.0.0.1"), port: 1234 });
    Object.assign(near, { local: { address: addressOf("127.0.0.1"), port: 50_000 } });
    const room = new SessionRoom(undefined, { dial: async () => near });
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
    const room = new SessionRoom();
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

  test("after the clock has jumped, as in a sleep, the list is sent again for a new pass and the tracker's time", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    room.clock.step(3_600_000);
    room.session.networkChanged(STILL);
    expect(await far.line()).toBe("PING");
    far.say("PONG\n");
    expect(await far.line()).toBe("FILES 2 port=40123");
    await far.lines(2);
    const now = room.clock.elapsed() / 1000 + 90;
    far.say(`WELCOME id=p1 pass=new.pass peers=1 files=2 now=${now}\n`);
    await room.clock.pass(0);
    expect(room.session.standing).toMatchObject({ pass: "new.pass", ahead: 90_000 });
  });

  test("one that does not answer within four seconds is gone, and the peer comes back", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom(undefined, {
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

  test("a try that was given up ends, and the one that followed it is still the only one", async () => {
    const dials: PromiseWithResolvers<void>[] = [];
    const net = new Net();
    const room = new SessionRoom(undefined, {
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
    await room.session.leave();
    room.session.comeBack();
    await room.clock.pass(1000);
    expect(dials).toHaveLength(3);
    dials[1]?.reject(new Error("refused"));
    await settle();
    for (let i = 0; i < 4; i++) {
      room.session.networkChanged(MOVED);
      await room.clock.pass(1500);
    }
    expect(dials).toHaveLength(3);
    await room.session.leave();
  });

  test("left and back again while a try is connecting: one of the two connections is used, the other is closed", async () => {
    const dials: PromiseWithResolvers<void>[] = [];
    const net = new Net();
    const room = new SessionRoom(undefined, {
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
    await room.onlineBasic();
    const dialled = room.net.dialled.length;
    const { untilNext } = room.clock;
    for (const addresses of [MOVED, STILL]) room.session.networkChanged(addresses);
    expect(room.clock.untilNext).toBe(untilNext);
    // Only FT/2 is tried again, as always.
    await room.clock.pass(999);
    expect([room.session.online, room.net.dialled.length]).toEqual([true, dialled]);
  });
});

describe("whether a peer is away", () => {
  test("is so from the loss of the tracker until it is back, not before the first join and not after leaving", async () => {
    const room = new SessionRoom();
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
  async function lost(find: () => Promise<TrackerPlace[]>): Promise<{ room: SessionRoom; asked: () => number }> {
    let asked = 0;
    const counted = () => {
      asked += 1;
      return find();
    };
    const room = new SessionRoom(undefined, { find: counted });
    const far = await room.online();
    room.net.fate = ({ address }) => (address === TRACKER.address ? REFUSED : undefined);
    far.reset();
    await settle();
    return { room, asked: () => asked };
  }

  test("is looked for after two tries in vain, and joined where it is now", async () => {
    const { room, asked } = await lost(async () => [MOVED_TO]);
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
    const failed = failure(room.session.requests.search(nameOf("x")));
    await far.line();
    far.reset();
    expect((await failed).message).toContain('"192.168.1.99:4321"');
    await room.accept(await room.nextTry());
    expect([room.session.online, asked()]).toEqual([true, 1]);
  });

  test.each([
    ["finds nobody", async () => []],
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
      return [MOVED_TO];
    };
    const refused = new SessionRoom(undefined, { find });
    refused.net.fate = () => REFUSED;
    await failure(refused.session.join());
    await refused.clock.pass(60_000);
    const room = new SessionRoom(undefined, { find });
    const far = await room.online();
    far.reset();
    await room.accept(await room.nextTry());
    expect(asked).toBe(0);
  });

  test("leaving while it is looked for ends it: nobody is dialled any more", async () => {
    const found = Promise.withResolvers<TrackerPlace[]>();
    const { room, asked } = await lost(() => found.promise);
    await room.clock.pass(10_000);
    expect(asked()).toBe(1);
    const dialled = room.net.dialled.length;
    await room.session.leave();
    found.resolve([MOVED_TO]);
    await room.clock.pass(60_000);
    expect([room.net.dialled.length, room.session.online]).toEqual([dialled, false]);
  });

  test.each([
    ["the network changes", (room: SessionRoom) => room.session.networkChanged(new Set())],
    [
      "it is left and comes back",
      (room: SessionRoom) => {
        void room.session.leave();
        room.session.comeBack();
      },
    ],
  ])("%s while it is looked for: there are never two joins at the same time", async (_what, act) => {
    const found = Promise.withResolvers<TrackerPlace[]>();
    const { room, asked } = await lost(() => found.promise);
    await room.clock.pass(10_000);
    expect(asked()).toBe(1);
    const before = room.net.dialled.length;
    room.net.fate = () => undefined;
    act(room);
    await room.clock.pass(1_000);
    found.resolve([MOVED_TO]);
    await room.clock.pass(2_000);
    // Whichever it was, it is one.
    expect(room.net.dialled.length - before).toBe(1);
    await room.accept(await room.net.next());
    await room.clock.pass(30_000);
    expect([room.session.online, room.net.untaken, room.named("joined").length]).toEqual([true, 0, 2]);
  });
});

describe("the place of a lost connection", () => {
  const WELCOME = "WELCOME id=p1 pass=abc.def peers=1 files=2";

  async function join(room: SessionRoom, far: Far, hello: string, session: string): Promise<void> {
    expect(await far.line()).toBe(hello);
    far.say(HI);
    await far.lines(3);
    far.say(`${WELCOME}${session}\n`);
    await settle();
    expect(room.session.online).toBe(true);
  }

  test("is taken with the session that the tracker gave, each time with the latest", async () => {
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
    const room = new SessionRoom();
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
