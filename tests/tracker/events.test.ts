import { describe, expect, test } from "bun:test";
import { describeTrackerEvent, EventDamper, type TrackerEvent } from "../../lib/tracker/events.ts";
import { HandClock } from "../helpers/channel.ts";

const refused = (address: string, code = "too-fast") => ({ event: "refused", address, code, reason: "No." }) as const;

function stage() {
  const clock = new HandClock();
  const events: TrackerEvent[] = [];
  return { clock, events, damper: new EventDamper((event) => events.push(event), clock) };
}

describe("EventDamper", () => {
  test("reports ten events of a kind one by one, and the others as a number after 10 s", async () => {
    const { clock, events, damper } = stage();
    for (let i = 0; i < 25; i++) damper.report(refused("10.0.0.1"));
    damper.report(refused("10.0.0.2"));
    damper.report(refused("10.0.0.1", "banned"));
    expect(events).toHaveLength(12);
    await clock.pass(10_000);
    expect(events.slice(12)).toEqual([{ event: "refused", address: "10.0.0.1", code: "too-fast", reason: "No.", more: 15 }]);
  });

  test("renewals, joins and leaves are limited like refusals, and the tracker's own events are not", () => {
    const { events, damper } = stage();
    const peer = { id: "a", address: "10.0.0.1", port: 5, files: 1 };
    for (let i = 0; i < 1000; i++) {
      damper.report({ event: "joined", ...peer, agent: "x/1", profile: "FT/2", peers: 1 });
      damper.report({ event: "updated", ...peer });
      damper.report({ event: "left", ...peer, reason: "said BYE", peers: 0 });
    }
    expect(events).toHaveLength(20);
    for (let i = 0; i < 15; i++) damper.report({ event: "operator", order: "kick", words: "Disconnected 10.0.0.1." });
    expect(events).toHaveLength(35);
  });

  test("the addresses of one IPv6 network count as one", () => {
    const { events, damper } = stage();
    for (let i = 1; i <= 500; i++) damper.report(refused(`fd77:0:0:1::${i.toString(16)}`));
    expect(events).toHaveLength(10);
  });

  test("reports the numbers before the tracker's last event", () => {
    const { events, damper } = stage();
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

  test("tells the number of events that a line stands for", () => {
    const event = { ...refused("10.0.0.1"), more: 15 } as const;
    expect(describeTrackerEvent(event)).toEndWith("refused  10.0.0.1: No. (one of 15 such lines)");
    const several = describeTrackerEvent({ ...event, several: true });
    expect(several).toEndWith("refused  10.0.0.1: No. (one of 15 such lines, from several addresses)");
  });

  test("says how a tracker that nobody can reach is tried on its own machine", () => {
    const line = describeTrackerEvent({ event: "addresses", addresses: [], announced: true });
    expect(line).toContain("ft-peer   or, with the address: ft-peer 127.0.0.1");
  });
});
