import { describe, expect, test } from "bun:test";
import type { ToTracker } from "../../../lib/protocol/messages.ts";
import { parseRecord } from "../../../lib/protocol/record.ts";
import { Hosts } from "../../../lib/tracker/work/hosts.ts";
import { Turns } from "../../../lib/tracker/work/turns.ts";
import { addressOf, HandClock, settle } from "../../helpers/channel.ts";
import { NOTES } from "../../helpers/tracker.ts";

const LIMITS = { rate: 50, burst: 200, perAddress: 32, findTime: 250 };
const HERE = addressOf("10.0.0.1");
const PING: ToTracker = { verb: "PING" };

function stage(limits = LIMITS) {
  const clock = new HandClock();
  const hosts = new Hosts(limits, clock);
  return { clock, hosts, turns: (address = HERE) => new Turns(hosts, hosts.enter(address)) };
}

/** Answers requests for as long as it may; gives their number. */
function answerAll(turns: Turns, request = PING, answered = 5): number {
  const now = turns.begin();
  let count = 0;
  for (; turns.mayAnswer(now); count++) turns.charge(request, answered, now);
  return count;
}

describe("Turns.mayAnswer", () => {
  test("allows a burst, then the rate, and another burst after a pause", async () => {
    const { clock, turns } = stage();
    const one = turns();
    expect(answerAll(one)).toBe(200);
    await clock.pass(20);
    expect(answerAll(one)).toBe(1);
    await clock.pass(1000);
    expect(answerAll(one)).toBe(50);
    await clock.pass(3_600_000);
    expect(answerAll(one)).toBe(200);
  });

  test("is not concerned when somebody sets the computer's clock", async () => {
    const { clock, turns } = stage();
    const one = turns();
    expect(answerAll(one)).toBe(200);
    clock.at = () => 0;
    await clock.pass(1000);
    expect(answerAll(one)).toBe(50);
  });

  test("counts for the host what a request makes the tracker do", async () => {
    const records = Array(100).fill(parseRecord(NOTES));
    const page = { limit: 2000, offset: 0 };
    const costs: [ToTracker, answered: number, work: number][] = [
      [PING, 5, 1],
      [{ verb: "LIST", id: undefined, root: undefined, ...page }, 4095, 1],
      [{ verb: "LIST", id: undefined, root: undefined, ...page }, 172_000, 42],
      [{ verb: "LIST", id: "a", root: undefined, ...page, offset: 1_000_000 }, 10, 245],
      [{ verb: "WHO", ...page }, 172_000, 42],
      [{ verb: "FILES", profile: 2, port: 5, records: [] }, 200, 3],
      [{ verb: "FILES", profile: 2, port: 5, records }, 200, 13],
      [{ verb: "FILES", profile: 2, port: 5, records, unfit: { code: "bad-name", words: "", count: 900 } }, 200, 103],
    ];
    for (const [request, answered, work] of costs) {
      const { clock, hosts } = stage();
      const host = hosts.enter(HERE);
      new Turns(hosts, host).charge(request, answered, clock.elapsed());
      expect([request.verb, host.work.paidUntil - clock.elapsed()]).toEqual([request.verb, (work * 1000) / 400]);
    }
  });

  test("counts a long line as much as it takes to read: an ordinary one is one small request", () => {
    const cost = (read: number) => {
      const { clock, hosts } = stage();
      const host = hosts.enter(HERE);
      new Turns(hosts, host).charge({ verb: "UNFIT", code: "bad-name", words: "" }, 40, clock.elapsed(), read);
      return ((host.work.paidUntil - clock.elapsed()) * 400) / 1000;
    };
    expect([300, 511, 1024, 4096].map(cost)).toEqual([1, 1, 3, 9]);
  });

  test("a debt above a whole burst is paid in full", async () => {
    const { clock, turns } = stage();
    const one = turns();
    one.charge(PING, 4096 * 16_000, one.begin());
    await clock.pass(35_000);
    expect(answerAll(one)).toBe(0);
    await clock.pass(2000);
    expect(answerAll(one)).toBeGreaterThan(0);
  });

  test("all connections of a host share a budget, those of one IPv6 network too, and others are not concerned", async () => {
    for (const address of [() => HERE, (i: number) => addressOf(`2001:db8:0:1::${(i + 1).toString(16)}`)]) {
      const { clock, turns } = stage();
      const all = Array.from({ length: 32 }, (_, i) => turns(address(i)));
      const counts = all.map(() => 0);
      const answered = () => {
        const before = counts.reduce((sum, count) => sum + count);
        // Each connection looks again and again whether it may go on.
        for (let round = 0; round < 1000; round++)
          for (const [i, one] of all.entries()) counts[i] = (counts[i] ?? 0) + answerAll(one);
        return counts.reduce((sum, count) => sum + count) - before;
      };
      expect(answered()).toBe(8 * 200);
      expect(answerAll(turns(addressOf("10.0.0.2")))).toBe(200);
      expect(answerAll(turns(addressOf("2001:db8:0:2::1")))).toBe(200);
      await clock.pass(1000);
      expect(answered()).toBe(8 * 50);
      // The ones that have waited longest went on first.
      expect(Math.min(...counts)).toBeGreaterThan(5);
    }
  });

  test("coming back does not pay a debt", async () => {
    const { clock, hosts } = stage();
    for (let i = 0; i < 8; i++) {
      const host = hosts.enter(HERE);
      const one = new Turns(hosts, host);
      expect(answerAll(one)).toBe(200);
      one.end();
      hosts.leave(HERE, host);
    }
    const host = hosts.enter(HERE);
    const one = new Turns(hosts, host);
    expect(answerAll(one)).toBe(0);
    one.end();
    hosts.leave(HERE, host);
    await clock.pass(1000);
    expect(answerAll(new Turns(hosts, hosts.enter(HERE)))).toBe(200);
  });
});

describe("Turns.maySearch", () => {
  test("is false while the host has used its search time up, and everything else goes on", async () => {
    const { clock, hosts, turns } = stage();
    const [one, same, other] = [turns(), turns(), turns(addressOf("10.0.0.2"))];
    one.chargeSearch(0.5, 10, one.begin());
    one.chargeSearch(1500, 10, one.begin());
    const may = () => [one, same, other].map((turn) => turn.maySearch(clock.elapsed()));
    expect(may()).toEqual([false, false, true]);
    expect(one.mayAnswer(clock.elapsed())).toBe(true);
    await clock.pass(2100);
    expect(may()).toEqual([true, true, true]);
    // One search of a host goes on at a time.
    hosts.enter(HERE).isSearching = true;
    expect(may()).toEqual([false, false, true]);
  });
});

describe("Turns.isOver", () => {
  test("is true after 2 ms, and reads the clock only after some work", async () => {
    const { clock, turns } = stage();
    const one = turns();
    const since = one.begin();
    await clock.pass(2);
    one.charge(PING, 5, since);
    expect(one.isOver(since)).toBe(false);
    one.charge(PING, 100_000, since);
    expect(one.isOver(since)).toBe(true);
    one.chargeSearch(0, 5, clock.elapsed());
    expect(one.isOver(clock.elapsed())).toBe(false);
  });
});

describe("Turns.wait", () => {
  test("acts after the time of one request, or as soon as others had their turn", async () => {
    const { clock, turns } = stage();
    const one = turns();
    const acted: string[] = [];
    one.wait("rate", () => acted.push("rate"));
    expect([one.waiting, one.gaveWay, clock.untilNext]).toEqual([true, false, 20]);
    await clock.pass(20);
    expect([one.waiting, acted]).toEqual([false, ["rate"]]);
    one.wait("others", () => acted.push("others"));
    expect([one.waiting, one.gaveWay, one.mustQueue, acted]).toEqual([true, true, true, ["rate"]]);
    await settle();
    expect([one.waiting, one.gaveWay, one.mustQueue, acted]).toEqual([false, false, false, ["rate", "others"]]);
  });

  test("does not act after cancel", async () => {
    const { clock, turns } = stage();
    const one = turns();
    for (const why of ["others", "rate"] as const) {
      one.wait(why, () => expect.unreachable());
      one.cancel();
      await clock.pass(1000);
      expect([one.waiting, one.gaveWay, one.mustQueue]).toEqual([false, false, false]);
    }
  });
});
