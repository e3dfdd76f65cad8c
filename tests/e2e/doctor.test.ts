// The doctor, on LANs of several hosts on which something is wrong.

import { describe, expect } from "bun:test";
import { behindFirewall, House, onLan, PORT } from "../helpers/house.ts";
import type { Host } from "../helpers/lan.ts";

/** What the doctor says of each thing. */
async function examine(
  house: House,
  host: Host,
  args: string[],
  cwd?: string,
): Promise<{ code: number; checks: Record<string, string>; out: string }> {
  const { code, out } = await house.peer(host, [...args, "doctor", "--json"], cwd);
  const checks: Record<string, string> = {};
  for (const line of out.trim().split("\n")) {
    const { event, check, status } = JSON.parse(line) as Record<string, string>;
    if (event === "check" && check !== undefined && status !== undefined) checks[check] = status;
  }
  return { code, checks, out };
}

describe("the doctor names the fault", () => {
  onLan("none, when all is well", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    const { code, checks } = await examine(house, b, []);
    expect(code).toBe(0);
    const ok = "ok" as const;
    expect(checks).toEqual({ network: ok, discovery: ok, tracker: ok, port: ok, share: ok, receive: ok, clock: ok });
    const { out } = await house.peer(b, ["doctor"]);
    expect(out).toContain("Everything looks fine.");
  });

  onLan("no tracker: nothing listens at the address, or nobody is heard", async () => {
    await using house = new House();
    const [, b] = house.hosts();
    const named = await examine(house, b, ["10.77.0.1"]);
    expect(named.code).toBe(1);
    expect(named.checks).toMatchObject({ network: "ok", tracker: "fault", share: "ok", receive: "ok" });
    expect(named.out).toContain("connection refused");
    const unnamed = await examine(house, b, []);
    expect(unnamed.checks).toMatchObject({ discovery: "warning", tracker: "fault" });
  });

  behindFirewall("a blocked port", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    b.drop({ protocol: "tcp", port: PORT });
    const { code, checks, out } = await examine(house, b, []);
    expect(code).toBe(1);
    expect(checks).toMatchObject({ discovery: "ok", tracker: "ok", port: "fault", receive: "ok" });
    expect(out).toContain("sudo ufw allow 1235/tcp");
  });

  behindFirewall("multicast that this machine, or the tracker's, keeps out", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    await house.track(a);
    b.drop({ protocol: "udp", port: "all" });
    const here = await examine(house, b, ["10.77.0.1"]);
    expect(here.code).toBe(1);
    expect(here.checks).toMatchObject({ discovery: "fault", tracker: "ok", port: "ok" });
    expect(here.out).toContain("blocked by a firewall on this machine");
    // It goes by the address of last time when none is given.
    expect((await examine(house, b, [])).checks).toMatchObject({ discovery: "fault", tracker: "ok" });
    a.drop({ protocol: "udp", port: 5353 }, { protocol: "udp", port: 5353, way: "out" });
    const there = await examine(house, c, ["10.77.0.1"]);
    expect(there.checks).toMatchObject({ discovery: "fault", tracker: "ok" });
    expect(there.out).toContain("blocked between the tracker and this machine");
  });

  onLan("a folder that cannot be written to, and nothing to share", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    // A folder that nobody may write to, not even root.
    const { code, checks, out } = await examine(house, b, ["--to", "/proc"]);
    expect(code).toBe(1);
    expect(checks).toMatchObject({ tracker: "ok", port: "ok", receive: "fault" });
    expect(out).toContain('Cannot save into \\"/proc\\"');
    const empty = await examine(house, b, [], house.stage.folder());
    expect(empty.checks).toMatchObject({ tracker: "ok", port: "skipped", share: "fault", receive: "ok" });
    expect(empty.out).toContain("Not tested: you are not sharing any files.");
  });
});
