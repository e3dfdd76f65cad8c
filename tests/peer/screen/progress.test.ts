import { describe, expect, test } from "bun:test";
import { bar, fitParts, Transfer, transferLine, transferLines } from "../../../lib/peer/screen/progress.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";

function running(name: string, size: number, received: number, holders = 1): Transfer {
  const transfer = new Transfer(name, size);
  transfer.hear({ event: "progress", received: 0, size, holders }, 0);
  transfer.hear({ event: "progress", received, size, holders }, 1000);
  return transfer;
}

const HOLDER = { address: "10.0.0.7", port: 1235 } as FileRecord;

describe("the line of a download", () => {
  test("has name, bar, percent, rate, time left, and from how many", () => {
    const line = transferLine(running("film.mkv", 100_000_000, 25_000_000, 3), 90);
    expect(line).toMatch(/^film\.mkv {2}█+░+ {3}25 % {2}25 MB\/s {2}3\.0 s left {2}from 3$/);
  });

  test("loses from how many, then the rate, then the bar; the time left is the last to go", () => {
    const transfer = running("a name that is rather long for a bar.mkv", 100_000_000, 25_000_000, 3);
    for (const width of [90, 60, 50, 40, 30, 24]) {
      const line = transferLine(transfer, width);
      expect(Bun.stringWidth(line)).toBeLessThanOrEqual(width);
      expect(line).toContain("25 %");
      expect(line).toContain("3.0 s left");
      if (line.includes("from 3")) expect(line).toContain("25 MB/s");
    }
    expect(transferLine(transfer, 90)).toContain("from 3");
    expect(transferLine(transfer, 40)).not.toContain("from 3");
  });

  test("says why a holder is asked again, by the name of its person", () => {
    const transfer = new Transfer("a.txt", 100);
    const holder = { ...HOLDER, by: "Ann" };
    transfer.hear({ event: "asking", holder }, 0);
    expect(transferLine(transfer, 70)).toBe("a.txt  asking Ann");
    transfer.hear({ event: "holder-failed", holder, reason: "no answer within 5 s" }, 0);
    transfer.hear({ event: "asking", holder }, 0);
    expect(transferLine(transfer, 70)).toBe("a.txt  asking Ann again: no answer within 5 s");
    transfer.hear({ event: "asking", holder: { ...holder, port: 9 } }, 0);
    expect(transferLine(transfer, 70)).toBe("a.txt  asking Ann");
  });

  test("says why nothing comes when the only holder has failed, until bytes come again", () => {
    const transfer = new Transfer("a.txt", 100);
    const holder = { ...HOLDER, by: "Ann" };
    transfer.hear({ event: "progress", received: 40, size: 100, holders: 1 }, 0);
    transfer.hear({ event: "progress", received: 40, size: 100, holders: 0 }, 1);
    transfer.hear({ event: "holder-failed", holder, reason: "the connection broke" }, 1);
    transfer.hear({ event: "progress", received: 40, size: 100, holders: 0 }, 2);
    expect(transferLine(transfer, 70)).toBe("a.txt  40 %  Ann: the connection broke; trying again");
    transfer.hear({ event: "progress", received: 60, size: 100, holders: 1 }, 3);
    expect(transferLine(transfer, 70)).toContain("60 %");
    expect(transferLine(transfer, 70)).not.toContain("broke");
    // While another one sends, a failed one is no news.
    transfer.hear({ event: "holder-failed", holder, reason: "the connection broke" }, 4);
    expect(transferLine(transfer, 70)).not.toContain("broke");
  });

  test("says what it does while no bytes come", () => {
    const transfer = new Transfer("文".repeat(50), 100);
    const phases = [
      [{ event: "asking", holder: HOLDER }, "asking 10.0.0.7:1235"],
      [{ event: "waiting", holder: HOLDER, position: 3 }, "you are number 3 in its queue"],
      [{ event: "away" }, "lost the network"],
      [{ event: "verifying" }, "saving"],
    ] as const;
    for (const [event, words] of phases) {
      transfer.hear(event, 0);
      expect(transferLine(transfer, 100)).toContain(words);
      expect(Bun.stringWidth(transferLine(transfer, 37))).toBeLessThanOrEqual(37);
    }
    transfer.hear({ event: "holder-failed", holder: HOLDER, reason: "it left" }, 0);
    expect(transferLine(transfer, 100)).toContain("saving");
  });

  test("a hostile name is shown as escapes", () => {
    expect(transferLine(running("\x1b[2J\u202e.txt", 10, 5), 80)).not.toMatch(/[\x1b\u202e]/);
  });
});

describe("several downloads", () => {
  test("have a total of files, bytes, rate and time", () => {
    const all = [running("a", 100_000_000, 20_000_000), running("b", 100_000_000, 30_000_000), new Transfer("c", 50_000_000)];
    const lines = transferLines(all, 90, 20);
    expect(lines).toHaveLength(4);
    expect(lines[3]).toBe("0 of 3 files  20 %  50 MB of 250 MB  50 MB/s  4.0 s left");
  });

  test("of which the screen has no room for all: those that run come first, and the total stays", () => {
    const all = Array.from({ length: 30 }, (_, i) => new Transfer(`file ${i}`, 10));
    for (const one of all.slice(0, 10)) one.over = "done";
    const lines = transferLines(all, 60, 6);
    expect(lines).toHaveLength(6);
    expect(lines[0]).toStartWith("file 10");
    expect(lines[5]).toStartWith("10 of 30 files");
  });
});

test("a bar is as long as it should be, whatever the part", () => {
  expect([bar(0, 4), bar(0.5, 4), bar(1, 4), bar(2, 4), bar(-1, 4)]).toEqual(["░░░░", "██░░", "████", "████", "░░░░"]);
});

test("the parts of a line go in the given order, and the rest is cut", () => {
  const parts: [string, string][] = [
    ["a", "aaaa"],
    ["b", "bbbb"],
    ["c", "cccc"],
  ];
  expect(fitParts(parts, ["c", "a"], 16)).toBe("aaaa  bbbb  cccc");
  expect(fitParts(parts, ["c", "a"], 10)).toBe("aaaa  bbbb");
  expect(fitParts(parts, ["c", "a"], 4)).toBe("bbbb");
  expect(fitParts(parts, ["c", "a"], 3)).toBe("bb…");
});
