// The proof that two programs know a room's key: four lines, and attacks on them.

import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { multiply } from "../../lib/protocol/cpace.ts";
import { RoomKeeper, RoomOpener } from "../../lib/protocol/room.ts";

const secret = randomBytes(32);
const binding = randomBytes(32);
const opener = (change = {}) => new RoomOpener({ secret, binding, random: randomBytes(32), ...change });
const keeper = (change = {}) => new RoomKeeper({ secret, binding, random: randomBytes(32), ...change });
const line = (text: string | undefined) => (text ?? "").trimEnd();

/** Whether each side took the other's proof. */
function run(peer: RoomOpener, tracker: RoomKeeper): [tracker: boolean, peer: boolean] {
  const share = tracker.answer(line(peer.hello));
  const proof = tracker.prove(line(peer.answer(line(share))));
  return [proof !== undefined, peer.isProven(line(proof))];
}

describe("a proof", () => {
  test("convinces both sides when the keys are the same", () => {
    expect(run(opener(), keeper())).toEqual([true, true]);
  });

  test("fails with another key, and on another connection", () => {
    expect(run(opener({ secret: randomBytes(32) }), keeper())).toEqual([false, false]);
    expect(run(opener({ binding: randomBytes(32) }), keeper())).toEqual([false, false]);
  });

  test("has four lines of this form", () => {
    const [peer, tracker] = [opener(), keeper()];
    const share = tracker.answer(line(peer.hello));
    const proof = peer.answer(line(share));
    expect(peer.hello).toMatch(/^ROOM FT\/2 share=[0-9a-f]{64}\n$/);
    expect(share).toMatch(/^ROOM share=[0-9a-f]{64}\n$/);
    expect(proof).toMatch(/^ROOM proof=[0-9a-f]{128}\n$/);
    expect(tracker.prove(line(proof))).toMatch(/^ROOM proof=[0-9a-f]{128}\n$/);
  });

  test("shows another point each time", () => {
    expect(opener().hello).not.toBe(opener().hello);
  });
});

describe("an attacker", () => {
  test("who replays a recorded proof is refused", () => {
    const [peer, tracker] = [opener(), keeper()];
    const hello = line(peer.hello);
    const proof = line(peer.answer(line(tracker.answer(hello))));
    expect(tracker.prove(proof)).toBeDefined();
    const second = keeper();
    second.answer(hello);
    expect(second.prove(proof)).toBeUndefined();
  });

  test("gets one guess a connection", () => {
    const [peer, tracker] = [opener(), keeper()];
    const proof = line(peer.answer(line(tracker.answer(line(peer.hello)))));
    expect(tracker.prove(`ROOM proof=${"00".repeat(64)}`)).toBeUndefined();
    expect(tracker.prove(proof)).toBeUndefined();
  });

  test("who sends a peer its own words back proves nothing", () => {
    const peer = opener();
    const proof = peer.answer(line(peer.hello).replace("FT/2 ", ""));
    expect(peer.isProven(line(proof))).toBe(false);
    expect(peer.isProven("ROOM proof=")).toBe(false);
  });

  test("gets nothing for points of low order, and for lines of another form", () => {
    const low = ["00".repeat(32), `01${"00".repeat(31)}`, "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"];
    for (const point of low) {
      expect(multiply(randomBytes(32), Buffer.from(point, "hex"))).toBeUndefined();
      expect(keeper().answer(`ROOM FT/2 share=${point}`)).toBeUndefined();
      expect(opener().answer(`ROOM share=${point}`)).toBeUndefined();
    }
    const point = "09".padEnd(64, "0");
    for (const wrong of ["", "HELLO FT/2", `ROOM FT/2 share=${point}00`, `ROOM FT/2 share=${point.toUpperCase()}x`]) {
      expect(keeper().answer(wrong)).toBeUndefined();
    }
  });

  test("who proves before the shares is refused", () => {
    expect(keeper().prove(`ROOM proof=${"00".repeat(64)}`)).toBeUndefined();
    expect(opener().isProven(`ROOM proof=${"00".repeat(64)}`)).toBe(false);
  });
});
