import { describe, expect, test } from "bun:test";
import { Flows } from "../../../lib/peer/serve/flows.ts";
import { HandClock } from "../../helpers/channel.ts";

const MB = 1_000_000;

function stage() {
  const clock = new HandClock();
  const flows = new Flows(clock);
  /** Ten times a second a host is sent the bytes of a rate. Gives the last wait. */
  const send = async (seconds: number, rates: Record<string, number>) => {
    let wait: Record<string, number> = {};
    for (let i = 0; i < seconds * 10; i++) {
      wait = Object.fromEntries(Object.entries(rates).map(([host, rate]) => [host, flows.spend(host, rate / 10)]));
      await clock.pass(100);
    }
    return wait;
  };
  return { clock, flows, send };
}

describe("Flows", () => {
  test("a host that is alone never waits, whatever the number of its connections", async () => {
    const { flows, send } = stage();
    for (let i = 0; i < 32; i++) flows.begin("a", {});
    expect(flows.isShared("a")).toBe(false);
    expect(flows.isShared("b")).toBe(true);
    expect(await send(2, { a: 1000 * MB })).toEqual({ a: 0 });
  });

  test("a host with one connection never waits, whoever else is served", async () => {
    const { flows, send } = stage();
    flows.begin("a", {});
    for (let i = 0; i < 8; i++) flows.begin("b", {});
    expect((await send(2, { a: 100 * MB, b: MB })).a).toBe(0);
  });

  test("a host with several connections gets half of the bytes of the quickest other host", async () => {
    const { clock, flows, send } = stage();
    flows.begin("a", {});
    flows.begin("slow", {});
    for (let i = 0; i < 8; i++) flows.begin("b", {});
    await send(1, { a: 20 * MB, slow: 1000 });
    expect(flows.spend("b", 5 * MB)).toBeCloseTo(500, -1);
    // The next connection of the host comes after the first one.
    expect(flows.spend("b", 5 * MB)).toBeCloseTo(1000, -1);
    await clock.pass(1000);
    expect(flows.spend("b", 1 * MB)).toBeGreaterThan(0);
  });

  test("but one MiB a second, however slow the others are", async () => {
    const { flows, send } = stage();
    flows.begin("a", {});
    for (let i = 0; i < 8; i++) flows.begin("b", {});
    await send(1, { a: 10 });
    expect(flows.spend("b", 1024 * 1024)).toBeCloseTo(1000, -1);
  });

  test("a host counts as served for half a second after its last bytes", async () => {
    const { clock, flows } = stage();
    const connection = {};
    flows.begin("a", connection);
    await clock.pass(10_000);
    expect(flows.isShared("b")).toBe(true);
    flows.end("a", connection);
    await clock.pass(499);
    flows.begin("a", connection);
    flows.end("a", connection);
    await clock.pass(499);
    expect(flows.isShared("b")).toBe(true);
    await clock.pass(1);
    expect(flows.isShared("b")).toBe(false);
  });

  test("short answers on many connections count like long ones", async () => {
    const { flows } = stage();
    flows.begin("a", {});
    const connections = [{}, {}];
    let wait = 0;
    for (const connection of [...connections, ...connections]) {
      flows.begin("b", connection);
      wait = flows.spend("b", 128 * 1024);
      flows.end("b", connection);
    }
    expect(wait).toBeGreaterThan(100);
  });

  test("hashes for one host are limited even while it is alone, after 20 MiB at once", () => {
    const { flows } = stage();
    flows.begin("a", {});
    for (let i = 0; i < 160; i++) expect(flows.spendMetadata("a", 128 * 1024)).toBeLessThanOrEqual(0);
    expect(flows.spendMetadata("a", 4 * 1024 * 1024)).toBeCloseTo(1000, -1);
  });
});
