import { describe, expect, test } from "bun:test";
import { Damper, type More } from "../lib/damper.ts";
import { HandClock } from "./helpers/channel.ts";

function stage() {
  const clock = new HandClock();
  const told: [line: string, more?: More][] = [];
  const damper = new Damper<string>((line, more) => told.push(more === undefined ? [line] : [line, more]), clock);
  const pour = (count: number, kind: string, from: string) => {
    for (let i = 1; i <= count; i++) damper.tell(kind, from, `${kind} ${from} ${i}`);
  };
  return { clock, told, damper, pour };
}

describe("Damper", () => {
  test("tells ten lines of a kind and an address at once, and the number of the others after 10 s without a further line", async () => {
    const { clock, told, pour } = stage();
    pour(25, "left", "10.0.0.1");
    pour(2, "left", "10.0.0.2");
    expect(told).toHaveLength(12);
    await clock.pass(9_999);
    expect(told).toHaveLength(12);
    await clock.pass(1);
    expect(told.slice(12)).toEqual([["left 10.0.0.1 25", { count: 15, several: false }]]);
    pour(1, "left", "10.0.0.1");
    expect(told).toHaveLength(14);
  });

  test("waits with no timer while it holds nothing back", () => {
    const { clock, pour } = stage();
    pour(10, "left", "10.0.0.1");
    expect(clock.untilNext).toBe(Number.POSITIVE_INFINITY);
  });

  test("one address with many kinds does not take the lines of the others", () => {
    const { told, pour } = stage();
    for (let i = 0; i < 50; i++) pour(30, `kind ${i}`, "10.0.0.1");
    expect(told).toHaveLength(20);
    pour(1, "left", "10.0.0.2");
    expect(told.at(-1)).toEqual(["left 10.0.0.2 1"]);
  });

  test("a flood from thousands of addresses is ten lines a second, and every line is counted", async () => {
    const { clock, told, pour } = stage();
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 1000; i++) {
        for (const kind of ["joined", "left"]) pour(1, kind, `10.0.${second}.${i}`);
      }
      await clock.pass(1000);
    }
    expect(told.length).toBeLessThanOrEqual(600);
    expect(told.reduce((sum, [, more]) => sum + (more?.count ?? 1), 0)).toBe(120_000);
    expect(told.filter(([, more]) => more?.several).length).toBe(12);
  });

  test("flush tells the numbers at once", () => {
    const { told, damper, pour } = stage();
    pour(11, "left", "10.0.0.1");
    damper.flush();
    damper.flush();
    expect(told.slice(10)).toEqual([["left 10.0.0.1 11", { count: 1, several: false }]]);
  });
});
