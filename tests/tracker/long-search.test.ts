import { describe, expect, test } from "bun:test";
import { Hosts } from "../../lib/tracker/hosts.ts";
import { LongSearch, type Steps } from "../../lib/tracker/long-search.ts";
import { addressOf, HandClock } from "../helpers/channel.ts";

/** A search of steps of `ms` each. */
function stage(count: number, ms: number) {
  const clock = new HandClock();
  const seen = { steps: 0, ended: false };
  function* steps(): Steps {
    try {
      for (; seen.steps < count; seen.steps++) {
        clock.spend(ms);
        yield;
      }
      return { verb: "NOT FOUND" };
    } finally {
      seen.ended = true;
    }
  }
  const host = new Hosts({ rate: 50, burst: 200, perAddress: 32, findTime: 250 }, clock).enter(addressOf("10.0.0.1"));
  return { clock, seen, host, search: new LongSearch(steps(), host, clock) };
}

describe("LongSearch", () => {
  test("goes on for a slice at a time, and gives its answer at its end", () => {
    const { seen, host, search } = stage(5, 1);
    expect(search.begun).toBe(false);
    expect(search.goOn(2)).toEqual({ took: 2, answer: undefined });
    expect([search.begun, seen.steps]).toEqual([true, 1]);
    expect(search.goOn(2)).toEqual({ took: 2, answer: undefined });
    expect(search.goOn(2)).toEqual({ took: 1, answer: { verb: "NOT FOUND" } });
    expect(host.isSearching).toBe(false);
  });

  test("ends with a sentence after 500 ms of its own, however long others had their turns between", () => {
    const { clock, seen, search } = stage(10_000, 1);
    let turns = 0;
    for (let answer = search.goOn(2).answer; answer === undefined; answer = search.goOn(2).answer) {
      turns += 1;
      clock.spend(100);
    }
    expect([turns, seen.ended]).toEqual([249, true]);
    const slow = stage(10, 600).search.goOn(2);
    expect(slow.answer).toMatchObject({ verb: "ERROR", code: "bad-find", words: expect.stringContaining("500 ms") });
  });

  test("lets go of the index when it is ended early", () => {
    const { seen, host, search } = stage(10, 1);
    search.goOn(2);
    expect(host.isSearching).toBe(true);
    search.end();
    expect([seen.ended, host.isSearching]).toEqual([true, false]);
  });
});
