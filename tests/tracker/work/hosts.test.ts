import { describe, expect, test } from "bun:test";
import { Hosts } from "../../../lib/tracker/work/hosts.ts";
import { addressOf, HandClock, settle } from "../../helpers/channel.ts";

const LIMITS = { rate: 50, burst: 200, perAddress: 32, findTime: 250 };

function stage() {
  const clock = new HandClock();
  return { clock, hosts: new Hosts(LIMITS, clock) };
}

const numbered = (i: number) => addressOf(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);

describe("Hosts", () => {
  test("a debt is remembered however many other addresses come and go", async () => {
    const { clock, hosts } = stage();
    const debtor = numbered(0);
    const host = hosts.enter(debtor);
    host.searches.charge(60_000, clock.elapsed());
    hosts.leave(debtor, host);
    for (let i = 1; i <= 40_000; i++) {
      const other = hosts.enter(numbered(i));
      other.work.charge(1, clock.elapsed());
      hosts.leave(numbered(i), other);
    }
    const again = hosts.enter(debtor);
    expect([again === host, again.searches.mayWork(clock.elapsed())]).toEqual([true, false]);
    expect(hosts.size).toBeLessThan(40_000);
  });

  test("hosts that owe nothing are forgotten when they have no connection, and connected ones never", async () => {
    const { clock, hosts } = stage();
    const here = hosts.enter(numbered(0));
    for (let i = 1; i <= 5000; i++) {
      const other = hosts.enter(numbered(i));
      other.work.charge(1, clock.elapsed());
      hosts.leave(numbered(i), other);
      if (i % 1000 === 0) await clock.pass(10);
    }
    expect(hosts.size).toBeLessThan(2100);
    expect(hosts.enter(numbered(0))).toBe(here);
  });

  test("turns go from host to host, and within a host from connection to connection; others have theirs after each", async () => {
    const { clock, hosts } = stage();
    const acted: string[] = [];
    const [one, two] = [hosts.enter(numbered(1)), hosts.enter(numbered(2))];
    for (const [host, name] of [
      [one, "1a"],
      [one, "1b"],
      [one, "1c"],
      [two, "2a"],
      [two, "2b"],
    ] as const) {
      hosts.queue(host, () => {
        acted.push(name);
        clock.soon(() => acted.push("others"));
        clock.spend(2);
      });
    }
    expect(acted).toEqual([]);
    await settle();
    expect(acted.filter((name) => name !== "others")).toEqual(["1a", "2a", "1b", "2b", "1c"]);
    for (let i = 1; i < 10; i += 2) expect(acted[i]).toBe("others");
  });

  test("one that goes on behind its turn has a turn alone, so that others are not kept by all of a host's requests at once", async () => {
    const { clock, hosts } = stage();
    const acted: string[] = [];
    const host = hosts.enter(numbered(1));
    const page = async (name: string) => {
      await hosts.turn(host);
      acted.push(name);
    };
    const others = () => {
      acted.push("others");
      if (acted.length < 8) clock.soon(others);
    };
    clock.soon(others);
    await Promise.all([page("a"), page("b"), page("c"), clock.pass(10)]);
    expect(acted.join(" ")).toMatch(/a( others)+ b( others)+ c/);
  });

  test("one that waits again while it acts has its turn after the others", async () => {
    const { clock, hosts } = stage();
    const acted: string[] = [];
    const [one, two] = [hosts.enter(numbered(1)), hosts.enter(numbered(2))];
    const again = (left: number) => () => {
      acted.push(`1 ${left}`);
      clock.spend(2);
      if (left > 0) hosts.queue(one, again(left - 1));
    };
    hosts.queue(one, again(2));
    hosts.queue(two, () => acted.push("2"));
    hosts.queue(two, () => expect.unreachable())();
    await settle();
    expect(acted).toEqual(["1 2", "2", "1 1", "1 0"]);
  });
});
