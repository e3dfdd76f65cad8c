import { describe, expect, test } from "bun:test";
import { EventDamper, type TrackerEvent, TrackerLog } from "../../lib/tracker/events.ts";
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
      damper.report({ event: "left", ...peer, reason: "left", peers: 0 });
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

describe("TrackerLog", () => {
  const NOON = new Date(2026, 10, 28, 12, 0, 5);
  const joined = {
    event: "joined",
    id: "a",
    name: "Ben (2)",
    address: "10.0.0.1",
    port: 5,
    files: 1,
    agent: "x/1",
    profile: "FT/2",
    peers: 2,
  } as const;
  const linesOf = (...events: TrackerEvent[]) => events.flatMap((event) => new TrackerLog().lines(event, NOON).slice(1));

  test("names the peer of a line, and a peer without a name by its address", () => {
    const { id, name, address, port } = joined;
    const who = { id, name, address, port };
    expect(
      linesOf(
        joined,
        { ...joined, name: undefined },
        { event: "updated", ...who, files: 3 },
        { event: "unreachable", ...who, reason: "it does not answer" },
        { event: "left", ...who, reason: "left", peers: 1 },
        { event: "left", ...who, name: undefined, address: "fd00::7", reason: "reconnected", peers: 0 },
      ),
    ).toEqual([
      '12:00:05  joined   "Ben (2)" at 10.0.0.1:5, 1 file, x/1 (2 peers online)',
      "12:00:05  joined   10.0.0.1:5, 1 file, x/1 (2 peers online)",
      '12:00:05  updated  "Ben (2)" at 10.0.0.1:5, 3 files',
      '12:00:05  blocked  "Ben (2)" at 10.0.0.1:5: its port does not let others in (it does not answer); it will connect to them instead',
      '12:00:05  left     "Ben (2)" at 10.0.0.1:5 (1 peer online)',
      "12:00:05  left     [fd00::7]:5: reconnected (0 peers online)",
    ]);
  });

  test("says the date before the first event, and again when it changes", () => {
    const log = new TrackerLog();
    const stopped = { event: "stopped" } as const;
    expect(log.lines({ event: "listening", address: "::", port: 1234 }, NOON)).toEqual([
      expect.stringMatching(/^ft-tracker \S+ listening on \[::\]:1234$/),
    ]);
    expect(log.lines(stopped, NOON)).toEqual(["2026-11-28", "12:00:05  stopped"]);
    expect(log.lines(stopped, new Date(2026, 10, 28, 23, 59, 59))).toEqual(["23:59:59  stopped"]);
    expect(log.lines(stopped, new Date(2026, 10, 29, 0, 0, 0))).toEqual(["2026-11-29", "00:00:00  stopped"]);
  });

  test("shows control characters of peers instead of printing them", () => {
    const left = { event: "left", id: "a", address: "10.0.0.1", port: 5, reason: "was refused: \u001b[2J", peers: 2 } as const;
    expect(linesOf({ ...left, name: "\u202eneB" })).toEqual([
      '12:00:05  left     "\\u202eneB" at 10.0.0.1:5: was refused: \\x1b[2J (2 peers online)',
    ]);
  });

  test("tells the number of events that a line stands for", () => {
    const event = { ...refused("10.0.0.1"), more: 15 } as const;
    expect(linesOf({ ...event, more: 1 }, event, { ...event, several: true })).toEqual([
      "12:00:05  refused  10.0.0.1: No.",
      "12:00:05  refused  10.0.0.1: No. (one of 15 such lines)",
      "12:00:05  refused  10.0.0.1: No. (one of 15 such lines, from several addresses)",
    ]);
  });

  test("has each address on a line of its own, so that no terminal breaks one", () => {
    const addresses = ["10.77.0.10", "[fd00::7]:4321"];
    expect(new TrackerLog().lines({ event: "addresses", addresses, announced: true }, NOON)).toEqual([
      "Other computers: run",
      "    ft-peer",
      "If they can't find it:",
      "    ft-peer 10.77.0.10",
      "    ft-peer [fd00::7]:4321",
    ]);
    expect(new TrackerLog().lines({ event: "addresses", addresses, announced: false }, NOON)).toEqual([
      "Other computers: run",
      "    ft-peer 10.77.0.10",
      "    ft-peer [fd00::7]:4321",
    ]);
  });

  test.each([true, false])(
    "says how a tracker that nobody can reach is tried on its own machine (announced: %p)",
    (announced) => {
      expect(new TrackerLog().lines({ event: "addresses", addresses: [], announced }, NOON)).toEqual([
        "This computer has no network address now. On this computer, run:",
        announced ? "    ft-peer" : "    ft-peer 127.0.0.1",
      ]);
    },
  );

  test("has the colours that it gets, and none inside what a peer wrote", () => {
    const mark = (text: string) => `<${text}>`;
    const colours = { dim: mark, bold: mark, green: mark, yellow: mark, red: mark, cyan: mark };
    expect(new TrackerLog(colours).lines(joined, NOON)).toEqual([
      "<2026-11-28>",
      '<12:00:05>  <joined  > "Ben (2)" at 10.0.0.1:5, 1 file, x/1 (2 peers online)',
    ]);
  });
});
