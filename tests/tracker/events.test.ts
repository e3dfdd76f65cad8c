import { describe, expect, test } from "bun:test";
import { describeTrackerEvent, EventDamper, type TrackerEvent } from "../../lib/tracker/events.ts";
import { HandClock } from "../helpers/channel.ts";

const refused = (address: string, code = "too-fast"): TrackerEvent => ({ event: "refused", address, code, reason: "No." });

describe("EventDamper", () => {
  test("reports ten refusals of a kind one by one, and the others as a number with the next event after 10 s", async () => {
    const clock = new HandClock();
    const events: TrackerEvent[] = [];
    const damper = new EventDamper((event) => events.push(event), clock);
    for (let i = 0; i < 25; i++) damper.report(refused("10.0.0.1"));
    damper.report(refused("10.0.0.2"));
    damper.report(refused("10.0.0.1", "banned"));
    expect(events).toHaveLength(12);
    await clock.pass(10_000);
    damper.report({ event: "announced", name: "Lab" });
    expect(events.slice(12)).toEqual([
      { event: "refused", address: "10.0.0.1", code: "too-fast", reason: "No.", more: 15 },
      { event: "announced", name: "Lab" },
    ]);
    damper.report(refused("10.0.0.1"));
    expect(events).toHaveLength(15);
  });

  test("reports the numbers before the tracker's last event", () => {
    const events: TrackerEvent[] = [];
    const damper = new EventDamper((event) => events.push(event), new HandClock());
    for (let i = 0; i < 11; i++) damper.report(refused("10.0.0.1"));
    damper.report({ event: "stopped" });
    expect(events.slice(-2)).toMatchObject([{ event: "refused", more: 1 }, { event: "stopped" }]);
  });
});

describe("describeTrackerEvent", () => {
  test("shows control characters of peers instead of printing them", () => {
    const left = { event: "left", id: "a", address: "10.0.0.1", port: 5, reason: "was refused: \u001b[2J", peers: 2 } as const;
    expect(describeTrackerEvent(left)).toEndWith("left     10.0.0.1:5: was refused: \\x1b[2J (2 peers online)");
  });

  test("says how a tracker that nobody can reach is tried on its own machine", () => {
    const line = describeTrackerEvent({ event: "addresses", addresses: [], announced: true });
    expect(line).toContain("ft-peer   or, with the address: ft-peer 127.0.0.1");
  });
});
