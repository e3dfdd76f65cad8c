import { describe, expect, test } from "bun:test";
import { SearchTimes, Turns } from "../../lib/tracker/turns.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";

const LIMITS = { rate: 50, burst: 200 };
const HERE = addressOf("10.0.0.1");

/** Answers requests for as long as it may; gives their number. */
function answerAll(turns: Turns): number {
  const now = turns.begin();
  let count = 0;
  for (; turns.mayAnswer(now); count++) turns.charge("PING", now);
  return count;
}

describe("Turns.mayAnswer", () => {
  test("allows a burst, then the rate, and another burst after a pause", async () => {
    const clock = new HandClock();
    const turns = new Turns(LIMITS, clock);
    expect(answerAll(turns)).toBe(200);
    await clock.pass(20);
    expect(answerAll(turns)).toBe(1);
    await clock.pass(1000);
    expect(answerAll(turns)).toBe(50);
    await clock.pass(3_600_000);
    expect(answerAll(turns)).toBe(200);
  });

  test("makes nobody wait longer than a burst takes after the clock was set back", async () => {
    let now = Date.UTC(2026, 10, 22);
    const turns = new Turns(LIMITS, Object.assign(new HandClock(), { at: () => now }));
    expect(answerAll(turns)).toBe(200);
    now -= 3_600_000;
    expect(answerAll(turns)).toBe(0);
    now += 4000;
    expect(answerAll(turns)).toBe(200);
  });

  test("refuses while the address has used its search time up", async () => {
    const clock = new HandClock();
    const times = new SearchTimes(250, clock);
    const turns = new Turns(LIMITS, clock);
    const same = new Turns(LIMITS, clock);
    turns.chargeSearch(0.5, HERE, times);
    turns.chargeSearch(1500, HERE, times);
    expect(turns.mayAnswer(clock.at())).toBe(false);
    // Another connection of this address is concerned once it searches for long itself.
    expect(same.mayAnswer(clock.at())).toBe(true);
    same.chargeSearch(1, HERE, times);
    expect(same.mayAnswer(clock.at())).toBe(false);
    await clock.pass(2100);
    expect([turns.mayAnswer(clock.at()), same.mayAnswer(clock.at())]).toEqual([true, true]);
  });
});

describe("Turns.isOver", () => {
  test("is true after 2 ms, and reads the clock only after some work", async () => {
    const clock = new HandClock();
    const turns = new Turns(LIMITS, clock);
    const since = turns.begin();
    await clock.pass(2);
    turns.charge("PING", since);
    expect(turns.isOver(since)).toBe(false);
    turns.charge("FIND", since);
    expect(turns.isOver(since)).toBe(true);
    turns.charge("FIND", clock.at());
    expect(turns.isOver(clock.at())).toBe(false);
  });
});

describe("Turns.wait", () => {
  test("acts after the time of one request, or as soon as others had their turn", async () => {
    const clock = new HandClock();
    const turns = new Turns(LIMITS, clock);
    const acted: string[] = [];
    turns.wait("rate", () => acted.push("rate"));
    expect([turns.waiting, turns.gaveWay, clock.untilNext]).toEqual([true, false, 20]);
    await clock.pass(20);
    expect([turns.waiting, acted]).toEqual([false, ["rate"]]);
    turns.wait("others", () => acted.push("others"));
    expect([turns.waiting, turns.gaveWay, clock.untilNext]).toEqual([true, true, 0]);
    await clock.pass(0);
    expect([turns.waiting, turns.gaveWay, acted]).toEqual([false, false, ["rate", "others"]]);
  });

  test("does not act after cancel", async () => {
    const clock = new HandClock();
    const turns = new Turns(LIMITS, clock);
    turns.wait("others", () => expect.unreachable());
    turns.cancel();
    await clock.pass(1000);
    expect([turns.waiting, turns.gaveWay]).toEqual([false, false]);
  });
});
