import { expect, test } from "bun:test";
import { randomInt } from "node:crypto";
import { roomKey } from "../../../lib/program/room-key.ts";
import { newRoomKey, WORDS } from "../../../lib/tracker/room/key-words.ts";

test("the list has 1296 different short words", () => {
  expect(WORDS).toHaveLength(1296);
  expect(new Set(WORDS).size).toBe(1296);
  expect([WORDS[0], WORDS.at(-1)]).toEqual(["acid", "zoom"]);
  for (const word of WORDS) expect(word).toMatch(/^[a-z-]{3,5}$/);
});

test("newRoomKey is six words that a room takes as they are", () => {
  const places = [0, 1295, 1, 2, 3, 4];
  const bounds: number[] = [];
  const key = newRoomKey((bound) => {
    bounds.push(bound);
    return places[bounds.length - 1] ?? 0;
  });
  expect(key).toBe(`acid zoom ${WORDS.slice(1, 5).join(" ")}`);
  expect(bounds).toEqual(Array(6).fill(1296));
  const random = newRoomKey((bound) => randomInt(bound));
  expect(roomKey(random)).toBe(random);
});
