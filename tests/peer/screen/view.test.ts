// Records, peers, progress and events, as people and scripts see them; whatever strangers put into them.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Content } from "../../../lib/peer/download/contents.ts";
import { groupByContent } from "../../../lib/peer/download/contents.ts";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import { describeEvent, eventObject, howToOpen, leftInFolder } from "../../../lib/peer/screen/event-words.ts";
import { Pace, progressLine } from "../../../lib/peer/screen/progress-line.ts";
import {
  choiceLines,
  choiceObjects,
  choiceTable,
  contentTable,
  describeDownload,
  describeLeft,
  describeRenaming,
  downloadObject,
  notFoundSentence,
  peerTable,
  recordObjects,
  recordTable,
} from "../../../lib/peer/screen/view.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, nameOf } from "../../helpers/channel.ts";

const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const measure = (text: string) => Bun.stringWidth(text);
const HOSTILE = "a\u001b[2J\u0007\u202egnp.exe\u200b\nb";
/** A terminal in which every column has room. */
const WIDE = 300;
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b\u202e]/;

function record(name: string, more: Partial<FileRecord> = {}): FileRecord {
  return {
    name: nameOf(name),
    type: "application/pdf",
    size: 48_213,
    date: "22/11/26",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    v2: true,
    ...more,
  };
}

function peer(more: Partial<PeerLine> = {}): PeerLine {
  return {
    id: "7f",
    address: addressOf("192.168.1.17"),
    port: 40_123,
    files: 2,
    bytes: 48_225,
    agent: "ft-peer/1.0.0",
    since: "2026-11-22T10:04:05Z",
    ...more,
  };
}

/** Without the colours that a terminal is given. */
function plain(text: string): string {
  return Bun.stripANSI(text);
}

describe("tables", () => {
  test("records, a line each, columns aligned", () => {
    expect(recordTable([record("report.pdf"), record("notes.txt", { type: "text/plain", size: 12 })], WIDE)).toEqual([
      "NAME         SIZE  TYPE             DATE        WHO",
      "report.pdf  48 kB  application/pdf  2026-11-22  192.168.1.17:40123",
      "notes.txt    12 B  text/plain       2026-11-22  192.168.1.17:40123",
    ]);
  });

  test("in a pipe: six fields with tabs between them, nothing cut or padded, no title", () => {
    const long = `${"x".repeat(200)}.pdf`;
    const records = [record(long, { root: ROOT, by: "Ben" }), record("tab\there", { type: "text/plain", size: 12 })];
    const expected = [
      [long, "48 kB", "application/pdf", "2026-11-22", "Ben", ROOT],
      ["tab\\there", "12 B", "text/plain", "2026-11-22", "192.168.1.17:40123", ""],
    ];
    for (const show of [recordTable, contentTable]) expect(show(records).map((line) => line.split("\t"))).toEqual(expected);
    const [line] = peerTable([peer({ name: "Ben" })], "7f");
    const fields = ["Ben (you)", "192.168.1.17:40123", "2", "48 kB", "ft-peer/1.0.0", "2026-11-22T10:04:05Z", "7f"];
    expect(line?.split("\t")).toEqual(fields);
  });

  test("the type is left out before a name is cut, and a name keeps its extension", () => {
    const records = [record("IMG_20240112_183001_of_the_trip_to_the_sea.jpeg", { type: "image/jpeg" })];
    expect(recordTable(records, 110)[0]).toBe(`${"NAME".padEnd(49)} SIZE  TYPE        DATE        WHO`);
    expect(recordTable(records, 80)).toEqual([
      `${"NAME".padEnd(43)} SIZE  DATE        WHO`,
      "IMG_20240112_183001_…trip_to_the_sea.jpeg  48 kB  2026-11-22  192.168.1.17:40123",
    ]);
  });

  test("a long name does not push the other columns away in a wide terminal", () => {
    const [title = ""] = recordTable([record(`${"x".repeat(198)}.pdf`)], 200);
    expect(title.indexOf("SIZE")).toBeLessThan(65);
  });

  test("today's files show their time, others their day, in local time; old programs tell the day only", () => {
    const now = new Date(2026, 10, 28, 18, 0).getTime();
    const at = (day: number) => ({ mtime: new Date(2026, 10, day, 17, 40).toISOString() });
    const records = [record("a", at(28)), record("b", at(27)), record("c", { date: "28/11/26" }), record("d")];
    const dates = recordTable(records, WIDE, { now }).map((line) => line.split(/ {2,}/)[3]);
    expect(dates).toEqual(["DATE", "today 17:40", "2026-11-27", "today", "2026-11-22"]);
  });

  test("own files are marked", () => {
    const isMine = ({ port }: FileRecord) => port === 7;
    const mine = record("a", { port: 7 });
    const last = (lines: string[]) => lines.slice(1).map((line) => line.split(/ {2,}/).at(-1));
    expect(last(recordTable([mine, record("a")], WIDE, { isMine }))).toEqual(["192.168.1.17:7 (you)", "192.168.1.17:40123"]);
    const rows = [0, 1, 2, 30].map((holders) => ({ ...mine, holders }));
    expect(last(contentTable(rows, WIDE, { isMine }))).toEqual([
      "you (unfinished)",
      "you",
      "you and 1 other",
      "you and 29 others",
    ]);
    expect(last(contentTable(rows, WIDE))).toEqual(["unfinished", "192.168.1.17:7", "2 people", "30 people"]);
  });

  test("thirty copies are one row, whatever they are called; a copy without an id yet belongs to its name and size", () => {
    const copies = Array.from({ length: 30 }, (_, i) =>
      record(i === 3 ? "copy.pdf" : "report.pdf", { root: ROOT, port: i + 1 }),
    );
    const others = [
      record("report.pdf", { port: 99 }),
      record("report.pdf", { root: ROOT, port: 98, part: true }),
      record("other.pdf", { port: 1 }),
    ];
    const grouped = groupByContent([...copies, ...others]);
    expect(grouped.map(({ name, holders }) => [String(name), holders])).toEqual([
      ["report.pdf", 31],
      ["other.pdf", 1],
    ]);
    const own = groupByContent([...copies, ...others], ({ port }) => port === 99);
    expect(own[0]).toMatchObject({ port: 99, root: ROOT, holders: 31 });
  });

  test("no records are a title on a terminal, and nothing in a pipe", () => {
    expect(recordTable([], WIDE)).toHaveLength(1);
    expect(recordTable([])).toEqual([]);
  });

  test("peers, and which one is oneself", () => {
    const since = new Date(2026, 10, 28, 10, 4).toISOString();
    const earlier = new Date(2026, 10, 27, 10, 4).toISOString();
    const now = new Date(2026, 10, 28, 18, 0).getTime();
    const peers = [peer({ since }), peer({ id: "80", port: 5, files: 1, bytes: 0, since: earlier })];
    expect(peerTable(peers, "80", WIDE, now)).toEqual([
      "WHO                   FILES   SIZE  PROGRAM        SINCE             ID",
      "192.168.1.17:40123        2  48 kB  ft-peer/1.0.0  10:04             7f",
      "192.168.1.17:5 (you)      1    0 B  ft-peer/1.0.0  2026-11-27 10:04  80",
    ]);
    expect(peerTable([peer({ since, name: "Ben" }), peer({ since, port: 5 })], "", WIDE, now)).toEqual([
      "WHO             ADDRESS             FILES   SIZE  PROGRAM        SINCE  ID",
      "Ben             192.168.1.17:40123      2  48 kB  ft-peer/1.0.0  10:04  7f",
      "192.168.1.17:5  192.168.1.17:5          2  48 kB  ft-peer/1.0.0  10:04  7f",
    ]);
  });

  test("peers with names, each with its address", () => {
    const lines = peerTable([peer({ name: "Ben" }), peer({ id: "80", port: 5, name: "李雷" }), peer({ port: 6 })], "80", 60);
    expect(lines.map((line) => line.split(/ {2,}/).slice(0, 2))).toEqual([
      ["WHO", "ADDRESS"],
      ["Ben", "192.168.1.17:40123"],
      ["李雷 (you)", "192.168.1.17:5"],
      ["192.168.1.17:6", "192.168.1.17:6"],
    ]);
  });

  test("holders by their names; where rows repeat a name for another peer, the address stands behind it", () => {
    const ben = record("a.pdf", { by: "Ben" });
    const other = record("a.pdf", { by: "BEN", address: addressOf("192.168.1.9") });
    const zoe = record("b.pdf", { by: "Zoë", part: true });
    const who = (lines: string[]) => lines.slice(1).map((line) => line.split(/ {2,}/).at(-1));
    expect(who(recordTable([ben, ben, zoe, record("c.pdf")], WIDE))).toEqual([
      "Ben",
      "Ben",
      "Zoë (unfinished)",
      "192.168.1.17:40123",
    ]);
    for (const show of [recordTable, contentTable]) {
      expect(who(show([ben, other], WIDE))).toEqual(["Ben, 192.168.1.17:40123", "BEN, 192.168.1.9:40123"]);
    }
    expect(who(contentTable([record("a.pdf", { by: "Ben", holders: 3 }), ben], WIDE))).toEqual(["3 people", "Ben"]);
    expect(recordObjects([ben, record("c.pdf")]).map((one) => ("by" in one ? one.by : "none"))).toEqual(["Ben", "none"]);
  });

  test("peers that nobody can connect to are marked; of which it is not known are not", () => {
    const lines = peerTable(
      [peer({ reach: true }), peer({ id: "80", port: 5, reach: false }), peer({ id: "81", port: 6, reach: false }), peer()],
      "80",
      WIDE,
    );
    expect(lines.map((line) => line.split(/ {2,}/)[0])).toEqual([
      "WHO",
      "192.168.1.17:40123",
      "192.168.1.17:5 (you) (firewalled)",
      "192.168.1.17:6 (firewalled)",
      "192.168.1.17:40123",
    ]);
  });

  test("whatever strangers send, no line has a control character in it", () => {
    const lines = [
      ...recordTable([record(HOSTILE, { type: "x\u202e/y", by: HOSTILE })], WIDE),
      ...peerTable([peer({ agent: HOSTILE, id: HOSTILE, name: HOSTILE, since: "2026-11-22T\u001b[2J\u0007" })], "", WIDE),
    ];
    for (const line of lines) expect(line).not.toMatch(UNSAFE);
    expect(lines.join("\n")).toContain("\\x1b[2J");
  });

  test.each([
    ["80 columns", 80, "192.168.1.17"],
    ["60 columns", 60, "192.168.1.17"],
    ["40 columns", 40, "192.168.1.17"],
    ["80 columns, and a long address", 80, "2001:db8:1234:5678:9abc:def0:1234:5678"],
  ])("a name of 255 bytes in %s: no line is wider, the size is still there", (_what, width, address) => {
    for (const name of ["漢".repeat(85), "x".repeat(255), "e\u0301".repeat(85), "👩‍👩‍👧‍👦".repeat(10)]) {
      const lines = recordTable([record(name, { address: addressOf(address), type: "application/octet-stream" })], width);
      expect(lines[1]).toContain("48 kB");
      expect(lines[1]).toContain("…");
      expect(lines.map((line) => measure(line) <= width)).toEqual([true, true]);
    }
  });

  test("a name that fits is not cut", () => {
    expect(recordTable([record("report.pdf")], 80)[1]).toContain("report.pdf  48 kB  application/pdf  2026-11-22");
  });

  test("a hundred thousand records are no problem", () => {
    const many = Array.from({ length: 100_000 }, () => record("x"));
    expect(recordTable(many, 80)).toHaveLength(100_001);
  });
});

describe("one name, several contents", () => {
  const OTHER = "00".repeat(32);
  const named = (root: string | undefined, more: Partial<FileRecord> = {}) =>
    record("report.pdf", root === undefined ? more : { root, ...more });

  test("tables show the start of the content id, for that name only", () => {
    const records = [
      named(ROOT),
      named(OTHER, { size: 12 }),
      named(undefined, { size: 5 }),
      record("notes.txt", { root: ROOT }),
    ];
    const last = (lines: string[]) => lines.map((line) => line.split(/ {2,}/).slice(4).join(" "));
    const expected = [
      "WHO CONTENT",
      "192.168.1.17:40123 9f86d081",
      "192.168.1.17:40123 00000000",
      "192.168.1.17:40123 no id",
      "192.168.1.17:40123",
    ];
    expect(last(recordTable(records, WIDE))).toEqual(expected);
    expect(last(contentTable(records, WIDE))).toEqual(expected);
  });

  test("tables show no content id where a name means one content, with or without its id", () => {
    for (const records of [
      [named(ROOT), named(ROOT)],
      [named(ROOT), named(undefined)],
      [named(undefined), named(undefined)],
    ]) {
      for (const show of [recordTable, contentTable]) expect(show(records, WIDE)[0]).not.toContain("CONTENT");
    }
  });

  const contents = [
    { records: [named(ROOT)], hosts: 3, unproven: 0, modified: { iso: "2026-11-22T10:04:05Z", date: "22/11/26" } },
    { records: [named(OTHER, { size: 12 })], hosts: 0, unproven: 0, modified: undefined },
    { records: [record("it's.pdf", { size: 5 })], hosts: 1, unproven: 1, modified: { iso: "2026-01-01", date: "01/01/26" } },
  ] satisfies Content[];

  test("the choice shows size, date, holders and id of each", () => {
    expect(choiceTable(contents)).toEqual([
      " SIZE  DATE           HOLDERS  CONTENT   TYPE",
      "48 kB  2026-11-22           3  9f86d081  application/pdf",
      " 12 B  ?           unfinished  00000000  application/pdf",
      "  5 B  2026-01-01           1  no id     application/pdf",
    ]);
  });

  test("the choice has a command for each: its content id, or the holder where there is no id", () => {
    const commands = [
      `ft-peer get root:${ROOT}`,
      `ft-peer get root:${OTHER}`,
      "ft-peer get --from 192.168.1.17:40123 'it'\\''s.pdf'",
    ];
    expect(choiceObjects(contents, "").map(({ command }) => command)).toEqual(commands);
    expect(choiceLines(contents, "").filter((line) => line.startsWith("    "))).toEqual(commands.map((one) => `    ${one}`));
    const objects: object[] = choiceObjects(contents, "10.0.0.1:99");
    expect(objects[0]).toEqual({
      name: "report.pdf",
      root: ROOT,
      type: "application/pdf",
      size: 48_213,
      modified: "2026-11-22T10:04:05Z",
      holders: 3,
      address: "192.168.1.17",
      port: 40_123,
      command: `ft-peer 10.0.0.1:99 get root:${ROOT}`,
    });
    expect(choiceObjects(contents, "")[1]).toMatchObject({ modified: null, holders: 0 });
    const many = Array.from(
      { length: 200 },
      (_, i) => ({ ...contents[2], records: [named(undefined, { size: i })] }) as Content,
    );
    expect(choiceLines(many, "")).toHaveLength(22);
    expect(choiceLines(many, "").at(-1)).toBe("… and 190 more");
  });

  test("the command names a holder too where one content id comes with two sizes", () => {
    const twice = [contents[0], { ...contents[0], records: [named(ROOT, { size: 7, port: 7 })] }] as Content[];
    expect(choiceObjects(twice, "").map(({ command }) => command)).toEqual([
      `ft-peer get --from 192.168.1.17:40123 root:${ROOT}`,
      `ft-peer get --from 192.168.1.17:7 root:${ROOT}`,
    ]);
  });

  test("whatever strangers send, no line has a control character in it", () => {
    const hostile = [{ ...contents[2], records: [record(HOSTILE, { type: "x\u202e/y" })] }] as Content[];
    for (const line of choiceLines(hostile, "")) expect(line).not.toMatch(UNSAFE);
  });
});

describe("records for a script", () => {
  test("their keys, in order", () => {
    expect(JSON.stringify(recordObjects([record("report.pdf", { root: ROOT, mtime: "2026-11-22T10:04:05.000Z" })]))).toBe(
      `[{"name":"report.pdf","type":"application/pdf","size":48213,"modified":"2026-11-22T10:04:05.000Z","address":"192.168.1.17","port":40123,"root":"${ROOT}","holders":1}]`,
    );
    expect(recordObjects([record("a", { date: "01/02/26" })])).toMatchObject([
      { modified: "2026-02-01", root: null, holders: 1 },
    ]);
  });

  test("holders are those of the same content, whatever they call it", () => {
    const records = [
      record("a.pdf", { root: ROOT }),
      record("b.pdf", { root: ROOT, port: 2 }),
      record("a.pdf", { root: "00".repeat(32), port: 3 }),
      record("a.pdf", { port: 4 }),
      record("a.pdf", { port: 5 }),
    ];
    expect(recordObjects(records)).toMatchObject([
      { port: 40_123, holders: 2 },
      { port: 2, holders: 2 },
      { port: 3, holders: 1 },
      { port: 4, holders: 1 },
      { port: 5, holders: 1 },
    ]);
  });

  test("who is still fetching it is said so, and is no holder of the whole", () => {
    const parts = { root: ROOT, part: true } as const;
    const objects = recordObjects([
      record("a.pdf", { root: ROOT }),
      record("b.pdf", { ...parts, address: addressOf("192.168.1.18") }),
      record("c.pdf", { root: ROOT, address: addressOf("192.168.1.19") }),
      record("only.pdf", { ...parts, root: ROOT.replace("9", "8") }),
    ]);
    expect(objects).toMatchObject([
      { name: "a.pdf", holders: 2 },
      { name: "b.pdf", holders: 2, part: true },
      { name: "c.pdf", holders: 2 },
      { name: "only.pdf", holders: 0, part: true },
    ]);
    expect(objects.map((one) => "part" in one)).toEqual([false, true, false, true]);
    expect(recordTable([record("b.pdf", parts)], WIDE).at(-1)).toEndWith("192.168.1.17:40123 (unfinished)");
  });

  test("names are what they are", () => {
    expect(recordObjects([record(HOSTILE)])).toMatchObject([{ name: HOSTILE }]);
  });
});

describe("progress", () => {
  test("one line", () => {
    expect(progressLine(431_000_000, 1_026_000_000, 890_000_000)).toBe(" 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left");
    expect(progressLine(0, 100, 0)).toBe("  0 %  0 B of 100 B  0 B/s");
    expect(progressLine(100, 100, 50)).toBe("100 %  100 B of 100 B  50 B/s  0.0 s left");
    expect(progressLine(0, 0, 0)).toBe("100 %  0 B of 0 B  0 B/s");
    expect(progressLine(999, 1000, 1)).toStartWith(" 99 %");
  });

  test("from how many holders, when there are several", () => {
    expect(progressLine(431_000_000, 1_026_000_000, 890_000_000, 3)).toBe(
      " 42 %  431 MB of 1.0 GB  890 MB/s  0.7 s left  from 3 holders",
    );
    expect(progressLine(1, 4, 0, 2)).toBe(" 25 %  1 B of 4 B  0 B/s  from 2 holders");
    for (const holders of [0, 1]) expect(progressLine(1, 4, 0, holders)).toBe(" 25 %  1 B of 4 B  0 B/s");
  });

  test("the rate is that of the last seconds, not of the whole time", () => {
    const pace = new Pace();
    expect(pace.rate(0, 0)).toBe(0);
    expect(pace.rate(1000, 1_000_000)).toBe(1_000_000);
    for (let second = 2; second <= 20; second++) pace.rate(second * 1000, 1_000_000);
    expect(pace.rate(21_000, 1_000_000)).toBe(0);
    for (let second = 22; second <= 30; second++) pace.rate(second * 1000, 1_000_000 + (second - 21) * 500);
    expect(pace.rate(31_000, 1_000_000 + 10 * 500)).toBeCloseTo(500);
  });

  test("two looks at the same moment are no division by zero", () => {
    const pace = new Pace();
    pace.rate(5, 100);
    expect(pace.rate(5, 200)).toBe(0);
  });

  test("a file that is begun again has no negative rate", () => {
    const pace = new Pace();
    for (let second = 0; second <= 10; second++) pace.rate(second * 1000, second * 100_000_000);
    // A liar was found out: all of it is fetched once more.
    const rate = pace.rate(10_100, 0);
    expect(rate).toBeGreaterThanOrEqual(0);
    expect(pace.rate(10_200, 10_000_000)).toBeGreaterThanOrEqual(0);
    expect(progressLine(0, 100_000_000, rate)).not.toContain("-");
  });
});

describe("downloads, as sentences", () => {
  const done = { path: "/downloads/report.pdf", size: 48_213, verified: true, outcome: "new" as const, holders: [] };

  test("path, size, rate, and whether it is verified", () => {
    expect(plain(describeDownload(done, 0.5))).toBe("/downloads/report.pdf  48 kB  96 kB/s  verified");
    expect(plain(describeDownload({ ...done, verified: false }, 0.5))).toEndWith("  not verified");
    expect(plain(describeDownload({ ...done, outcome: "already here" }, 0))).toBe(
      "/downloads/report.pdf  48 kB  already here  verified",
    );
    expect(plain(describeDownload({ ...done, resumed: done.size - 1000 }, 0.5))).toEndWith("  48 kB  2.0 kB/s  verified");
    expect(plain(describeDownload({ ...done, resumed: done.size }, 0.5))).toEndWith("  48 kB  already here  verified");
    expect(plain(describeDownload(done, 0))).not.toMatch(/Infinity|NaN/);
    expect(plain(describeDownload({ ...done, path: `/x/${HOSTILE}` }, 1))).not.toMatch(UNSAFE);
  });

  test("without a terminal there are no colours, wherever it runs", () => {
    const script = `
      const { describeDownload } = await import(${JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "screen", "view.ts"))});
      console.log(describeDownload(${JSON.stringify(done)}, 0.5));
    `;
    const { FORCE_COLOR: _force, NO_COLOR: _no, CI: _ci, ...env } = process.env;
    for (const more of [{}, { CI: "true" }, { TERM: "xterm-256color", COLORTERM: "truecolor" }]) {
      const { stdout } = Bun.spawnSync([process.execPath, "-e", script], { env: { ...env, ...more } });
      expect([more, stdout.toString()]).toEqual([more, "/downloads/report.pdf  48 kB  96 kB/s  verified\n"]);
    }
  });

  test("a file that is stored under another name: which and why", () => {
    const stored = { ...done, path: "/downloads/desktop.ini.download" };
    expect(describeRenaming("desktop.ini", stored)).toBe(
      '"desktop.ini" is stored as "desktop.ini.download", because a computer may act by itself on a file of that name.',
    );
    expect(describeRenaming("a:b\u3164", { ...done, path: "/x/a_b_ (1)" })).toBe(
      '"a:b\\u3164" is stored as "a_b_ (1)", because that name is not safe on every computer.',
    );
    expect(describeRenaming("report.pdf", done)).toBeUndefined();
    expect(describeRenaming("report.pdf", { ...done, path: "/downloads/report (1).pdf" })).toBeUndefined();
    expect(downloadObject(record("desktop.ini"), stored, 1)).toMatchObject({
      name: "desktop.ini",
      path: "/downloads/desktop.ini.download",
      root: null,
      renamed: "a computer may act by itself on a file of that name",
    });
    expect(downloadObject(record("report.pdf", { root: ROOT }), done, 1)).toMatchObject({ root: ROOT });
    expect(Object.keys(downloadObject(record("report.pdf"), done, 1))).not.toContain("renamed");
  });

  test("what is not found is quoted harmlessly", () => {
    expect(notFoundSentence("a.txt")).toContain('"a.txt"');
    expect(notFoundSentence(HOSTILE)).not.toMatch(UNSAFE);
  });

  test("what was left out, by reason, a screenful at most", () => {
    expect(describeLeft([])).toBe("");
    const left = (names: string[], reason: string) => names.map((name) => ({ path: `/shared/${name}`, reason }));
    expect(describeLeft([...left(["a", "b"], "it is a link"), ...left(["c"], "permission denied")])).toBe(
      ' Not shared (it is a link): "a", "b". Not shared (permission denied): "c".',
    );
    const many = left(
      Array.from({ length: 5000 }, (_, i) => `f${i}`),
      "the limit is 5 files",
    );
    expect(describeLeft(many).length).toBeLessThan(200);
    expect(describeLeft(many)).toContain("4,995 more");
  });
});

describe("events", () => {
  const upload = {
    to: { address: addressOf("192.168.1.30"), port: 51_000 },
    name: "a.txt",
    id: "p7",
    root: ROOT,
    whole: { name: "a.txt", size: 1000 },
    wanted: 1000,
    sent: 400,
    since: 1_795_345_200_000,
    seconds: 1.25,
  };
  const EVENTS: [PeerEvent, RegExp, object][] = [
    [
      { event: "joined", profile: 2, name: "Lab 3", peers: 1, files: 52, left: [] },
      /^Online at "Lab 3": 1 peer, 52 files\.$/,
      { event: "joined", profile: 2, name: "Lab 3", peers: 1, files: 52, left: [] },
    ],
    [
      { event: "joined", profile: 2, name: "Lab 3", you: "Ben (2)", peers: 2, files: 52, left: [] },
      /^Online at "Lab 3": 2 peers, 52 files\. You are "Ben \(2\)"\.$/,
      { event: "joined", profile: 2, name: "Lab 3", you: "Ben (2)", peers: 2, files: 52, left: [] },
    ],
    [
      { event: "joined", profile: 2, name: "Lab 3", peers: 14, files: 1, left: [record("b.txt")] },
      /14 peers, 1 file\..*"b\.txt"/,
      { event: "joined", profile: 2, name: "Lab 3", peers: 14, files: 1, left: ["b.txt"] },
    ],
    [
      { event: "joined", profile: 1, name: "", peers: 0, files: 0, left: [record("song 2.mp3")] },
      /speaks the basic protocol.*"song 2\.mp3"/,
      { event: "joined", profile: 1, name: "", peers: 0, files: 0, left: ["song 2.mp3"] },
    ],
    [
      { event: "away", reason: "it closed the connection" },
      /^Lost the tracker \(it closed the connection\)\. Reconnecting…$/,
      { event: "away", reason: "it closed the connection" },
    ],
    [
      { event: "notice", words: "Stopping at 18:00." },
      /says: Stopping at 18:00\./,
      { event: "notice", words: "Stopping at 18:00." },
    ],
    [
      { event: "unread", count: 1 },
      /^Could not read 1 entry of the tracker's answer, so it may be incomplete\.$/,
      { event: "unread", count: 1 },
    ],
    [
      { event: "root", name: "a.txt", size: 3, root: ROOT },
      /^"a\.txt" is ready \(9f86d081…\)\.$/,
      { event: "root", name: "a.txt", size: 3, root: ROOT },
    ],
    [
      { event: "changed", name: "a.txt", size: 48_213 },
      /^"a\.txt" has changed: 48 kB now\.$/,
      { event: "changed", name: "a.txt", size: 48_213 },
    ],
    [
      { event: "renamed", name: "b.txt", was: "a.txt" },
      /^"a\.txt" is shared as "b\.txt" now: it was renamed\.$/,
      { event: "renamed", name: "b.txt", was: "a.txt" },
    ],
    [
      { event: "withdrawn", name: "a.txt", reason: "it cannot be read any more" },
      /"a\.txt".*cannot be read any more/,
      { event: "withdrawn", name: "a.txt", reason: "it cannot be read any more" },
    ],
    [
      { event: "upload-started", upload },
      /^$/,
      {
        event: "upload-started",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        name: "a.txt",
        root: ROOT,
        sent: 400,
        wanted: 1000,
      },
    ],
    [
      { event: "upload-ended", upload: { ...upload, by: "Ben (2)" }, complete: true, reason: "" },
      /^$/,
      {
        event: "upload-ended",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        by: "Ben (2)",
        name: "a.txt",
        root: ROOT,
        seconds: 1.25,
        sent: 400,
        wanted: 1000,
        complete: true,
        reason: "",
      },
    ],
    [
      { event: "has-all", upload: { ...upload, by: "Ben (2)" }, has: 14, online: 30 },
      /^Ben \(2\) has all of "a\.txt" \(14 of 30\)\.$/,
      {
        event: "has-all",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        by: "Ben (2)",
        name: "a.txt",
        root: ROOT,
        has: 14,
        online: 30,
      },
    ],
    [
      { event: "has-all", upload },
      /^192\.168\.1\.30:51000 \(peer p7\) has all of "a\.txt"\.$/,
      { event: "has-all", address: "192.168.1.30", port: 51_000, id: "p7", name: "a.txt", root: ROOT },
    ],
    [
      { event: "dismissed", code: "kicked", until: "2026-11-22T10:04:05.000Z" },
      /^The tracker's operator has disconnected you until \S+ \d\d:\d\d\. This computer comes back by itself then\.$/,
      { event: "dismissed", code: "kicked", until: "2026-11-22T10:04:05.000Z" },
    ],
    [
      { event: "offline", reason: "no-files" },
      /^You share no file any more, so you are offline\. Share one\.$/,
      { event: "offline", reason: "no-files" },
    ],
    [
      { event: "upload-ended", upload, complete: false, reason: "it left" },
      /^$/,
      {
        event: "upload-ended",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        name: "a.txt",
        root: ROOT,
        seconds: 1.25,
        sent: 400,
        wanted: 1000,
        complete: false,
        reason: "it left",
      },
    ],
    [
      { event: "upload-ended", upload: { ...upload, sent: 1000 }, complete: true, reason: "" },
      /^$/,
      {
        event: "upload-ended",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        name: "a.txt",
        root: ROOT,
        seconds: 1.25,
        sent: 1000,
        wanted: 1000,
        complete: true,
        reason: "",
      },
    ],
    [
      { event: "download-refused", address: addressOf("192.168.1.30"), reason: "The pass has expired." },
      /192\.168\.1\.30: The pass has expired\./,
      { event: "download-refused", address: "192.168.1.30", reason: "The pass has expired." },
    ],
    [
      { event: "download-refused", address: addressOf("192.168.1.30"), reason: "The pass has expired.", more: 7 },
      /192\.168\.1\.30: The pass has expired\. \(one of 7 such events\)$/,
      { event: "download-refused", address: "192.168.1.30", reason: "The pass has expired.", more: 7 },
    ],
    [
      { event: "upload-started", upload, more: 90, several: true },
      /^$/,
      {
        event: "upload-started",
        address: "192.168.1.30",
        port: 51_000,
        id: "p7",
        name: "a.txt",
        root: ROOT,
        sent: 400,
        wanted: 1000,
        more: 90,
        several: true,
      },
    ],
  ];

  const REACH = [
    { event: "reach", reachable: true, reason: "", port: 1235 },
    { event: "reach", reachable: false, reason: "no answer within 5 s", port: 1235 },
  ] as const satisfies PeerEvent[];

  test("whether others can connect is told with the port, why not, what that means, and what to do", () => {
    const [open, shut] = REACH.map(describeEvent);
    expect(open).toBe("Others can connect to this machine: port 1235 is open.");
    expect(shut).toStartWith("Others cannot connect to this machine: port 1235 is blocked (no answer within 5 s). ");
    expect(shut).toContain("They can still get your files");
    expect(shut).toEndWith(howToOpen(1235));
    for (const event of REACH) expect(eventObject(event)).toEqual(event);
  });

  test("each is one sentence, and one object", () => {
    for (const [event, sentence, object] of EVENTS) {
      expect(describeEvent(event)).toMatch(sentence);
      expect(JSON.parse(JSON.stringify(eventObject(event)))).toEqual(object);
    }
    expect(new Set(EVENTS.map(([{ event }]) => event)).size).toBe(14);
  });
});

describe("how to let others in", () => {
  test("is told for each system, with the port, in words that can be typed there", () => {
    expect(howToOpen(40_123, "win32")).toEndWith(
      ": netsh advfirewall firewall add rule name=FileTracker dir=in action=allow protocol=TCP localport=40123",
    );
    expect(howToOpen(40_123, "win32")).toContain("Windows Defender Firewall");
    expect(howToOpen(40_123, "darwin")).toBe(
      "To let them in, allow incoming connections for ft-peer in System Settings, Network, Firewall (TCP port 40123).",
    );
    expect(howToOpen(40_123, "linux")).toBe(
      'To let them in, allow TCP port 40123: "sudo ufw allow 40123/tcp" with ufw, "sudo firewall-cmd --add-port=40123/tcp" with firewalld.',
    );
  });

  test("says of no system what is another one's", () => {
    const words = { win32: /netsh|Defender/, darwin: /System Settings/, linux: /ufw|firewall-cmd/ };
    for (const platform of ["win32", "darwin", "linux", "freebsd"] as const) {
      const told = howToOpen(1235, platform);
      for (const [other, word] of Object.entries(words)) {
        const own = other === platform || (other === "linux" && platform === "freebsd");
        expect([platform, other, word.test(told)]).toEqual([platform, other, own]);
      }
    }
  });

  test("is of this system when none is named", () => {
    expect(howToOpen(1235)).toBe(howToOpen(1235, process.platform));
  });
});

describe("while everybody is away", () => {
  const MODULE = JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "screen", "screen.ts"));

  /** What a command writes when a download tells these events. */
  function written(options: { json: boolean; quiet: boolean }, event = '{ event: "away" }'): { out: string; err: string } {
    const script = `
      const { Screen, progressReporter } = await import(${MODULE});
      const report = progressReporter(new Screen(${JSON.stringify(options)}));
      report({ event: "progress", received: 1, size: 2, holders: 1 });
      report(${event});
    `;
    const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
    return { out: stdout.toString(), err: stderr.toString() };
  }

  test("a person is told what is waited for, as a remark", () => {
    expect(written({ json: false, quiet: false })).toEqual({
      out: "",
      err: "Lost the network; waiting for it to come back.\n",
    });
  });

  test("a person is told about a holder that has stopped responding", () => {
    const event = `{ event: "silent", holder: { address: "10.77.0.12", port: 1235 } }`;
    expect(written({ json: false, quiet: false }, event).err).toBe(
      "10.77.0.12:1235 has stopped responding and is the only one with the rest. Waiting…\n",
    );
  });

  test("a script gets an object, and who wants only results gets nothing", () => {
    const { out, err } = written({ json: true, quiet: false });
    expect([JSON.parse(out.trim().split("\n").at(-1) ?? ""), err]).toEqual([{ event: "away" }, ""]);
    expect(written({ json: false, quiet: true })).toEqual({ out: "", err: "" });
  });
});

describe("folders", () => {
  test("the progress counts files, and names a unit once", () => {
    const files = { done: 3120, total: 10_000 };
    expect(progressLine(12_800_000, 41_000_000, 2_350_000, 2, files)).toBe(
      "3,120 of 10,000 files · 13 of 41 MB · from 2 · 0:12 left",
    );
    expect(progressLine(500, 41_000_000, 0, 1, files)).toBe("3,120 of 10,000 files · 500 B of 41 MB");
    expect(progressLine(0, 8_000_000_000, 1_000_000, 1, files)).toEndWith(" · 2:13:20 left");
  });

  test("what is left out is one sentence", () => {
    expect(leftInFolder({})).toBe("");
    expect(leftInFolder({ hidden: 2, links: 1 })).toBe(" Left out: 2 hidden entries, 1 link.");
    expect(leftInFolder({ "its name is not valid UTF-8": 1, "its name has a control character": 2 })).toBe(
      " Left out: 2 entries (their names have a control character), 1 entry (its name is not valid UTF-8).",
    );
    expect(leftInFolder({ hidden: 1, "permission denied": 1_200 })).toBe(
      " Left out: 1,200 entries (permission denied), 1 hidden entry.",
    );
  });
});
