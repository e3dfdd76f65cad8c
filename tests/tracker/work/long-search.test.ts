import { describe, expect, test } from "bun:test";
import { Hosts } from "../../../lib/tracker/work/hosts.ts";
import { LongSearch, type Steps } from "../../../lib/tracker/work/long-search.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

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
    expect(search.goOn(2)).toEqual({ work: 2, answer: undefined });
    expect([search.begun, seen.steps]).toEqual([true, 1]);
    expect(search.goOn(2)).toEqual({ work: 2, answer: undefined });
    expect(search.goOn(2)).toEqual({ work: 1, answer: { verb: "NOT FOUND" } });
    expect(host.isSearching).toBe(false);
  });

  test.each([0.5, 1, 600])("costs its steps and comes to its end, also where each step takes %p ms", (ms) => {
    const { clock, search } = stage(1000, ms);
    let all = 0;
    for (;;) {
      const { work, answer } = search.goOn(2);
      all += work;
      if (answer !== undefined) {
        expect([all, answer]).toEqual([1000, { verb: "NOT FOUND" }]);
        break;
      }
      clock.spend(100);
    }
  });

  test("a search of less than a step costs nothing", () => {
    expect(stage(0, 1).search.goOn(2)).toEqual({ work: 0, answer: { verb: "NOT FOUND" } });
  });

  test("lets go of the index when it is ended early", () => {
    const { seen, host, search } = stage(10, 1);
    search.goOn(2);
    expect(host.isSearching).toBe(true);
    search.end();
    expect([seen.ended, host.isSearching]).toEqual([true, false]);
  });
});
