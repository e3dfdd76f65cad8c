import { describe, expect, test } from "bun:test";
import { Finder, keyOfFound, layFound } from "../../../../lib/peer/screen/prompts/finder.ts";
import type { Wish } from "../../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../../lib/protocol/record.ts";
import { addressOf } from "../../../helpers/channel.ts";
import { record } from "../../../helpers/session-room.ts";

const NOW = Date.UTC(2026, 10, 28);

/** A finder, what it asked the tracker, and the timers that it has set. */
function finding({ profile = 2, answer = [], total }: { profile?: number; answer?: FileRecord[]; total?: number } = {}) {
  const asked: (Wish | string)[] = [];
  const timers: { ms: number; act: () => void }[] = [];
  let changes = 0;
  const finder = new Finder({
    session: {
      online: true,
      standing: { profile } as never,
      requests: {
        find: async (wish: Wish) => {
          asked.push(wish);
          return { records: answer, total: total ?? answer.length };
        },
        search: async (name: string) => {
          asked.push(name);
          return answer;
        },
      } as never,
    },
    isOwn: ({ port }) => port === 1,
    changed: () => {
      changes += 1;
    },
    after: (ms, act) => {
      const timer = { ms, act };
      timers.push(timer);
      return () => void timers.splice(timers.indexOf(timer), 1);
    },
    now: () => NOW,
  });
  return { finder, asked, timers, changes: () => changes };
}

describe("the list of the search line", () => {
  test("is asked for when the person pauses, once for each text", async () => {
    const { finder, asked, timers, changes } = finding({ answer: [record("a.txt", { root: "0".repeat(64) })] });
    for (const typed of ["a", "a", "a b", "a b"]) finder.look(typed);
    expect(timers).toHaveLength(1);
    timers[0]?.act();
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(asked).toEqual([{ words: ["a", "b"], group: true, offset: 0, limit: 100 }]);
    expect(changes()).toBe(1);
    expect(finder.look("a b").rows.map(({ record }) => String(record.name))).toEqual(["a.txt"]);
  });

  test("is everything when nothing is typed: the newest first, a date in the future last, and own files behind all", async () => {
    const answer = [
      record("old", { mtime: "2020-01-01T00:00:00Z" }),
      record("own", { mtime: "2026-11-27T00:00:00Z", port: 1 }),
      record("future", { mtime: "2036-01-01T00:00:00Z" }),
      record("new", { mtime: "2026-11-26T00:00:00Z" }),
    ];
    const { finder, asked } = finding({ answer, total: 90 });
    await finder.ask("");
    const { rows, remark } = finder.look("");
    expect(rows.map(({ record }) => String(record.name))).toEqual(["new", "old", "future", "own"]);
    expect(remark).toBe("… and 86 more");
    expect(asked).toEqual([{ words: [], min: 0, group: true, offset: 0, limit: 500 }]);
  });

  test("is asked for again soon when something has changed, and after a while when one screen shows it", async () => {
    const { finder, asked, timers } = finding({ answer: [record("a.txt", { root: "0".repeat(64) })] });
    await finder.ask("a");
    expect(timers.map(({ ms }) => ms)).toEqual([3_000]);
    finder.again();
    finder.again();
    expect(timers.map(({ ms }) => ms)).toEqual([120]);
    timers[0]?.act();
    expect(asked).toHaveLength(2);
    finder.stop();
    expect(timers).toHaveLength(0);
  });

  test("says when there is nothing, and does not ask for a text that is longer than any name", async () => {
    const { finder, asked } = finding();
    await finder.ask("zebra");
    expect(finder.look("zebra").remark).toBe("No matches.");
    await finder.ask("x".repeat(300));
    expect(asked).toHaveLength(1);
  });

  test("with a tracker of FT/1 is asked for with Enter, by the exact name", async () => {
    const answer = [record("a.txt", { address: addressOf("10.0.0.7") }), record("a.txt", { address: addressOf("10.0.0.8") })];
    const { finder, asked, timers } = finding({ profile: 1, answer });
    expect(finder.look("a.txt").rows).toEqual([]);
    expect(timers).toHaveLength(0);
    expect(finder.enter("")).toBe(false);
    expect(finder.enter("a.txt")).toBe(true);
    await Promise.resolve();
    await Promise.resolve();
    await Promise.resolve();
    expect(asked).toEqual(["a.txt"]);
    const { rows } = finder.look("a.txt");
    expect(rows).toHaveLength(1);
    expect(rows[0]?.record.holders).toBe(2);
    expect(finder.enter("a.txt")).toBe(false);
    expect(finder.look("a.tx").rows).toEqual([]);
  });
});

test("lines mark own files and fit; contents have different keys", () => {
  const rows = [
    { record: record("a\x1b[2J.txt", { root: "a".repeat(64) }), own: true },
    { record: record("文".repeat(80), { root: "b".repeat(64) }), own: false },
  ];
  for (const width of [30, 60, 200]) {
    const { title, lines } = layFound(rows, width);
    for (const line of [title, ...lines]) {
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
      expect(line).not.toContain("\x1b");
    }
    expect(lines[0]).toEndWith("yours");
    expect(lines[1]).not.toContain("yours");
  }
  expect(new Set(rows.map(keyOfFound)).size).toBe(2);
});
