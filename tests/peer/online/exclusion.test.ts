// A peer that the tracker's operator keeps out: what its person is told, and when it comes back.

import { describe, expect, test } from "bun:test";
import { describeExclusion, describeWait, waitFor, withoutFiles } from "../../../lib/peer/online/exclusion.ts";
import { formatUntil } from "../../../lib/text.ts";
import { settle } from "../../helpers/channel.ts";
import { HELLO, HI, SessionRoom } from "../../helpers/session-room.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A time as a tracker says it, `ms` after now. */
function at(room: SessionRoom, ms: number): string {
  return new Date(room.clock.at() + ms).toISOString();
}

describe("describeExclusion", () => {
  const now = Date.UTC(2026, 10, 28, 12);
  test.each([
    [
      { code: "kicked", until: now + MINUTE },
      `The tracker's operator has disconnected you until ${formatUntil(now + MINUTE, now)}.`,
    ],
    [
      { code: "banned", until: now + 48 * HOUR },
      `You are banned from this tracker until ${formatUntil(now + 48 * HOUR, now)}.`,
    ],
    [{ code: "banned", until: undefined }, "You are banned from this tracker."],
  ] as const)("%j", (exclusion, words) => {
    expect(describeExclusion(exclusion, now)).toBe(words);
  });

  test("the peer waits for the end, and no longer than ten minutes, because the operator may end a ban early", () => {
    const waits = [MINUTE, 48 * HOUR, -MINUTE, undefined].map((ms) => {
      const exclusion = { code: "banned", until: ms === undefined ? undefined : now + ms } as const;
      return [waitFor(exclusion, now), describeWait(exclusion, now)];
    });
    expect(waits).toEqual([
      [MINUTE, "This computer comes back by itself then."],
      [10 * MINUTE, "This computer asks again every 10 minutes."],
      [0, "This computer comes back by itself then."],
      [10 * MINUTE, "This computer asks again every 10 minutes."],
    ]);
  });
});

describe("a peer that the operator disconnects", () => {
  test("says so once, says why it is offline, and comes back when the time is over", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    const until = at(room, MINUTE);
    far.say(`DISMISSED kicked until=${until}\n`);
    await settle();
    far.near.destroy("it closed the connection");
    await settle();
    expect(room.events.slice(1)).toEqual([{ event: "dismissed", code: "kicked", until }]);
    expect(room.session.whyOffline).toMatch(/^The tracker's operator has disconnected you until (?:\S+ )?\d\d:\d\d\.$/);
    const refusal = await room.session.requests.who().catch((error: Error) => error);
    expect(refusal).toMatchObject({ code: "kicked", message: room.session.whyOffline });
    expect(room.session.away).toBe(true);
    await room.clock.pass(59_000);
    expect(room.net.untaken).toBe(0);
    await room.clock.pass(3_000);
    await room.accept(await room.net.next());
    expect([room.session.online, room.session.whyOffline]).toEqual([true, undefined]);
  });

  test("and that is refused when it comes back too early learns it from the refusal", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.near.destroy("it closed the connection");
    const again = await room.nextTry();
    const until = new Date(Math.ceil((room.clock.at() + MINUTE) / 1000) * 1000).toISOString();
    again.say(`ERROR kicked This tracker's operator has disconnected 192.168.1.17 until ${until.replace(".000Z", "Z")}.\n`);
    await settle();
    expect(room.events.slice(1)).toEqual([
      { event: "away", reason: "it closed the connection" },
      { event: "dismissed", code: "kicked", until },
    ]);
    await room.clock.pass(58_000);
    expect(room.net.untaken).toBe(0);
    await room.accept(await room.nextTry());
    expect(room.session.online).toBe(true);
  });

  test("and bans for good asks again every ten minutes, and tells its person only once", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.say("DISMISSED banned\n");
    await settle();
    far.near.destroy("it closed the connection");
    await settle();
    for (let turn = 0; turn < 3; turn++) {
      await room.clock.pass(9 * MINUTE);
      expect(room.net.untaken).toBe(0);
      const again = await room.nextTry();
      again.say("ERROR banned You are banned from this tracker.\n");
      await settle();
    }
    expect(room.events.slice(1)).toEqual([{ event: "dismissed", code: "banned" }]);
    expect(room.session.whyOffline).toBe("You are banned from this tracker.");
  });

  test("tries at once when its network changes: the ban is of an address", async () => {
    const room = new SessionRoom();
    const far = await room.online();
    far.say(`DISMISSED banned until=${at(room, HOUR)}\n`);
    await settle();
    far.near.destroy("it closed the connection");
    await settle();
    room.session.networkChanged(new Set());
    await room.clock.pass(1_000);
    await room.accept(await room.net.next());
    expect(room.session.online).toBe(true);
  });

  test("a first join that is refused fails with the sentence", async () => {
    const room = new SessionRoom();
    const joining = room.session.join().catch((error: Error) => error);
    const far = await room.net.next();
    expect(await far.line()).toBe(HELLO);
    far.say("ERROR banned You are banned from this tracker.\n");
    expect(await joining).toMatchObject({ code: "banned", message: "You are banned from this tracker." });
  });

  test.each(["DISMISSED tomorrow until=x", "DISMISSED", "DISMISSED banned until=soon"])(
    "%p ends nothing by itself",
    async (line) => {
      const room = new SessionRoom();
      const far = await room.online();
      far.say(`${line}\nNOTICE still here\n`);
      await settle();
      expect(room.session.online).toBe(true);
      expect(room.named("notice")).toHaveLength(1);
    },
  );
});

test("a tracker that stops is away, with that reason", async () => {
  const room = new SessionRoom();
  const far = await room.online();
  far.say("DISMISSED stopping\n");
  await settle();
  far.near.destroy("it closed the connection");
  await settle();
  expect(room.events.slice(1)).toEqual([{ event: "away", reason: "it was stopped" }]);
  await room.accept(await room.nextTry());
  expect(room.session.online).toBe(true);
});

test("a peer that left because it shares no file says that, and not that the tracker is away, until it is back", async () => {
  const room = new SessionRoom();
  const far = await room.online();
  const leaving = room.session.leave(withoutFiles());
  expect(await far.line()).toBe("BYE");
  far.say("BYE\n");
  await leaving;
  const words = "You share no file any more, so you are offline. Share one.";
  expect(room.session.whyOffline).toBe(words);
  expect(await room.session.requests.who().catch((error: Error) => error)).toMatchObject({ code: "no-files", message: words });
  room.session.comeBack();
  const again = await room.nextTry();
  expect(await again.line()).toBe(HELLO);
  again.say(HI);
  await again.lines(3);
  room.welcome(again);
  await settle();
  expect(room.session.whyOffline).toBeUndefined();
});
