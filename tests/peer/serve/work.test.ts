// Time for the requests of downloaders. Time is moved by hand: a job "takes" as long as it moves the clock.

import { describe, expect, test } from "bun:test";
import { Work } from "../../../lib/peer/serve/work.ts";
import { HandClock, settle } from "../../helpers/channel.ts";

function stage(isShared = true) {
  const clock = new HandClock();
  const work = new Work(clock, () => isShared);
  const done: string[] = [];
  const job = (host: string, ms: number) =>
    work.do(host, () => {
      clock.spend(ms);
      done.push(host);
    });
  return { clock, work, done, job };
}

describe("Work.do", () => {
  test("does a job at once, and gives its result or its error", async () => {
    const { work, done, job } = stage();
    void job("a", 1);
    expect(done).toEqual(["a"]);
    expect(await work.do("a", () => 7)).toBe(7);
    const fails = () => {
      throw new Error("disk");
    };
    expect(await work.do("a", fails).catch(String)).toBe("Error: disk");
  });

  test("other events have their turn after three milliseconds of work, however many hosts ask", async () => {
    const { done, job } = stage();
    for (let i = 0; i < 32; i++) void job(`h${i}`, 1);
    expect(done).toHaveLength(3);
    await settle();
    expect(done).toHaveLength(32);
  });

  test("the hosts take turns, whatever the number of their jobs", async () => {
    const { done, job } = stage();
    for (let i = 0; i < 50; i++) void job("greedy", 2);
    void job("honest", 2);
    await settle();
    expect(done.indexOf("honest")).toBeLessThanOrEqual(4);
    expect(done).toHaveLength(51);
  });

  test("while others are served, a host has a quarter of the time after 250 ms at once, and all its jobs are done in the end", async () => {
    const { clock, done, job } = stage();
    for (let i = 0; i < 400; i++) void job("greedy", 2);
    await settle();
    const atOnce = done.length;
    expect(atOnce * 2).toBeGreaterThanOrEqual(250);
    expect(atOnce * 2).toBeLessThan(350);
    const [from, before] = [clock.elapsed(), done.length];
    await clock.pass(1000);
    const share = ((done.length - before) * 2) / (clock.elapsed() - from);
    expect(share).toBeGreaterThan(0.15);
    expect(share).toBeLessThan(0.3);
    void job("honest", 2);
    expect(done.at(-1)).toBe("honest");
    await clock.pass(10_000);
    expect(done).toHaveLength(401);
  });

  test("a host that is alone uses all the time, and owes a second of it at most when others come", async () => {
    let isShared = false;
    const clock = new HandClock();
    const work = new Work(clock, () => isShared);
    let done = 0;
    const job = () =>
      work.do("a", () => {
        clock.spend(2);
        done += 1;
      });
    for (let i = 0; i < 5000; i++) void job();
    await settle();
    expect(done).toBe(5000);
    isShared = true;
    void job();
    await clock.pass(2_900);
    expect(done).toBe(5000);
    await clock.pass(200);
    expect(done).toBe(5001);
  });

  test("a host that leaves and comes back has its debt still, and hosts without one are forgotten", async () => {
    const { clock, done, job } = stage();
    for (let i = 0; i < 200; i++) void job("greedy", 2);
    await settle();
    for (let i = 0; i < 1000; i++) void job(`h${i}`, 0);
    await settle();
    const before = done.filter((host) => host === "greedy").length;
    void job("greedy", 0);
    await settle();
    expect(done.filter((host) => host === "greedy")).toHaveLength(before);
    await clock.pass(5_000);
    expect(done.filter((host) => host === "greedy")).toHaveLength(201);
  });
});

describe("Work.steps", () => {
  test("a long computation lets other events and hosts go on after each millisecond", async () => {
    const { clock, work, done, job } = stage();
    function* long(): Generator<void, string> {
      for (let i = 0; i < 60; i++) {
        clock.spend(0.5);
        yield;
      }
      return "layer";
    }
    const result = work.steps("a", long());
    void job("b", 0);
    expect(done).toEqual(["b"]);
    expect(await result).toBe("layer");
  });
});
