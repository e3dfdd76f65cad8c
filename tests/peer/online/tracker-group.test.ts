// A session whose tracker is in a group: the way to another tracker, and the way home.

import { expect, test } from "bun:test";
import { FtError } from "../../../lib/error.ts";
import type { SessionOptions } from "../../../lib/peer/online/session-types.ts";
import { addressOf, type Far, REFUSED, settle } from "../../helpers/channel.ts";
import { HELLO, HI, passOf, SessionRoom, TRACKER } from "../../helpers/session-room.ts";

const HOME_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_KEY = "22qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const THIRD_KEY = "33qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER = { address: addressOf("192.168.1.3"), port: 1234 };
const CHALLENGE = "challenge-challenge";

/** A tracker of the group lab accepts the peer; gives its HELLO. */
async function accept(room: SessionRoom, far: Far, key: string, { group = "lab", after = "" } = {}): Promise<string> {
  const hello = await far.line();
  far.say(`${HI.trim().replace(/key=\S+/, `key=${key}`)} proof=p${group === "" ? "" : ` group=${group}`}\n`);
  await far.lines(1 + room.shared.length);
  far.say(`WELCOME id=p1 pass=${passOf(room.clock.at() / 1000 + 3600)} peers=14 files=52\n${after}`);
  await settle();
  return hello;
}

const group = (...words: string[]) => `GROUP ${words.join(" ")}\n`;
const TOLD = group(`${OTHER_KEY}@192.168.1.3:1234`);

async function online(more: Partial<SessionOptions> = {}, after = TOLD, name = "lab") {
  const room = new SessionRoom(undefined, {
    challenge: () => CHALLENGE,
    isProven: (_key, _challenge, proof) => proof === "p",
    ...more,
  });
  const joining = room.session.join();
  const far = await room.net.next();
  await accept(room, far, HOME_KEY, { after, group: name });
  await joining;
  room.net.fate = (to) => (to.address === TRACKER.address ? REFUSED : undefined);
  return { room, far };
}

test("a tracker that is gone for five seconds is replaced by another one of its group, which must prove its key", async () => {
  const approved: unknown[] = [];
  const { room, far } = await online({ approve: ({ key, proven, place }) => approved.push([key, proven, place.vouched]) });
  far.reset();
  await room.clock.pass(4_999);
  expect(room.net.dialled.map(({ address }) => address)).not.toContain(OTHER.address);
  await room.clock.pass(1_501);
  const next = await room.net.next();
  const hello = await accept(room, next, OTHER_KEY);
  expect(hello).toBe(`${HELLO} challenge=${CHALLENGE} home=${HOME_KEY}`);
  expect(room.session.online).toBe(true);
  expect(room.session.standing?.key).toBe(OTHER_KEY);
  expect(approved.at(-1)).toEqual([OTHER_KEY, true, true]);
});

test("a tracker that is back within five seconds keeps its peers", async () => {
  const { room, far } = await online();
  room.net.fate = () => undefined;
  far.reset();
  await room.clock.pass(1_000);
  await accept(room, await room.net.next(), HOME_KEY);
  await room.clock.pass(60_000);
  expect(room.net.dialled.map(({ address }) => address)).toEqual([TRACKER.address, TRACKER.address]);
});

test("a program that took the other tracker's address, with another key, gets no list", async () => {
  const { room, far } = await online();
  far.reset();
  await room.clock.pass(6_500);
  const next = await room.net.next();
  await next.line();
  next.say(`${HI.trim().replace(/key=\S+/, `key=${THIRD_KEY}`)} group=lab proof=p\n`);
  await settle();
  expect(next.waiting.length).toBe(0);
  expect(room.session.online).toBe(false);
});

test("a peer that its tracker has put out does not go elsewhere", async () => {
  const { room, far } = await online({ name: "Ben" });
  far.say("DISMISSED banned\n");
  await settle();
  far.close();
  await room.clock.pass(60_000);
  expect(room.net.dialled.map(({ address }) => address)).not.toContain(OTHER.address);
});

test("without a group, a peer goes nowhere", async () => {
  const { room, far } = await online({}, TOLD, "");
  far.reset();
  await room.clock.pass(60_000);
  expect(room.net.dialled.map(({ address }) => address)).not.toContain(OTHER.address);
});

test("a tracker that hangs while the peer tries again does not hold it up", async () => {
  const { room, far } = await online();
  room.net.fate = () => undefined;
  far.reset();
  await room.clock.pass(1_000);
  const hanging = await room.net.next();
  await hanging.line();
  await room.clock.pass(5_500);
  const next = await room.net.next();
  expect(hanging.over).toBe(true);
  await accept(room, next, OTHER_KEY);
  expect(room.session.standing?.key).toBe(OTHER_KEY);
});

test("of the group's trackers that announce themselves now, one is joined when none was told", async () => {
  const asked: (string | undefined)[] = [];
  const place = { ...OTHER, key: OTHER_KEY, group: "lab", announced: true as const };
  const find = async (name?: string) => {
    asked.push(name);
    return [place];
  };
  const { room, far } = await online({ find }, "");
  far.reset();
  await room.clock.pass(6_500);
  await accept(room, await room.net.next(), OTHER_KEY);
  expect(room.session.standing?.key).toBe(OTHER_KEY);
  expect(asked.at(-1)).toBe("lab");
});

/** A peer that is the guest of the other tracker; its own one is back. */
async function guest() {
  const { room, far } = await online();
  far.reset();
  await room.clock.pass(6_500);
  const other = await room.net.next();
  await accept(room, other, OTHER_KEY, { after: group(`${HOME_KEY}@192.168.1.2:1234`) });
  room.net.fate = () => undefined;
  return { room, other };
}

test("a guest that is asked to go home joins its own tracker, and then leaves the other one", async () => {
  const { room, other } = await guest();
  other.say("HOME\n");
  await room.clock.pass(5_000);
  const back = await room.net.next();
  expect(room.session.online).toBe(true);
  const hello = await accept(room, back, HOME_KEY, { after: TOLD });
  expect(hello).toBe(HELLO);
  expect(room.session.standing?.key).toBe(HOME_KEY);
  expect(await other.line()).toBe("BYE");
  expect(room.named("away")).toHaveLength(1);
  back.reset();
  await room.clock.pass(60_000);
  expect(room.session.online).toBe(false);
});

test("a guest whose own tracker is not there stays where it is", async () => {
  const { room, other } = await guest();
  room.net.fate = () => REFUSED;
  other.say("HOME\n");
  await room.clock.pass(5_000);
  expect(room.session.online).toBe(true);
  expect(room.session.standing?.key).toBe(OTHER_KEY);
  const asking = room.session.requests.known(addressOf("10.0.0.1"));
  expect(await other.line()).toBe("KNOWN 10.0.0.1");
  other.say("YES\n");
  expect(await asking).toBe(true);
});

test("a guest whose own tracker has another key now stays where it is", async () => {
  const { room, other } = await guest();
  other.say("HOME\n");
  await room.clock.pass(5_000);
  const back = await room.net.next();
  await back.line();
  back.say(`${HI.trim().replace(/key=\S+/, `key=${THIRD_KEY}`)} group=lab\n`);
  await settle();
  expect(back.over).toBe(true);
  expect(room.session.standing?.key).toBe(OTHER_KEY);
  const asking = room.session.requests.known(addressOf("10.0.0.1"));
  expect(await other.line()).toBe("KNOWN 10.0.0.1");
  other.close();
  await expect(asking).rejects.toBeInstanceOf(FtError);
});
