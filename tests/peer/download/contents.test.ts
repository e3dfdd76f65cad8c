// Which contents a name means, and how long a content id is waited for.

import { describe, expect, test } from "bun:test";
import {
  type ContentEvent,
  groupByContent,
  rankContents,
  shortIds,
  waitForContents,
} from "../../../lib/peer/download/contents.ts";
import { EMPTY_ROOT, FOLDER_TYPE } from "../../../lib/protocol/folder.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { addressOf, HandClock, nameOf, settle } from "../../helpers/channel.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];

function record(host: number, more: Partial<FileRecord> = {}): FileRecord {
  return {
    name: nameOf("film.mkv"),
    type: "video/x-matroska",
    size: 1000,
    date: "01/02/26",
    address: addressOf(`192.168.1.${host}`),
    port: 1235,
    v2: true,
    ...more,
  };
}

/** The time of this machine in these tests. */
const NOW = Date.parse("2026-11-28T12:00:00Z");

/** The content ids of the contents that the records of one name mean, the best first; "-" for none. */
function ranked(...records: FileRecord[]): string[] {
  return rankContents(records, NOW).map(({ records: [{ root }] }) => root ?? "-");
}

describe("rankContents", () => {
  test("counts addresses, not ids: six ids of one address do not outvote four honest holders", () => {
    const liars = Array.from({ length: 6 }, (_, i) => record(66, { port: 2000 + i, root: A }));
    const honest = [1, 2, 3, 4].map((host) => record(host, { root: B }));
    expect(ranked(...liars, ...honest)).toEqual([B, A]);
    expect(rankContents([...liars, ...honest], NOW).map(({ hosts }) => hosts)).toEqual([4, 1]);
  });

  test("keeps a folder apart from a file that has the bytes of its list, and so its content id", () => {
    const folder = record(1, { type: FOLDER_TYPE, root: EMPTY_ROOT, size: 0, files: 0, list: 0 });
    const file = record(2, { root: EMPTY_ROOT, size: 0 });
    expect(rankContents([file, folder], NOW).map(({ records }) => records.map(({ type }) => type))).toEqual([
      [file.type],
      [FOLDER_TYPE],
    ]);
    expect(groupByContent([file, folder])).toHaveLength(2);
  });

  test("counts an IPv6 network of 64 bits as one host", () => {
    const at = (address: string, root: string) => record(1, { address: addressOf(address), root });
    const liars = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8::1:0:0:0:3"].map((address) => at(address, A));
    expect(ranked(...liars, at("2001:db8:0:2::1", B), at("2001:db8:0:3::1", B))).toEqual([B, A]);
    expect(rankContents(liars, NOW)[0]?.hosts).toBe(1);
  });

  test("puts a content with an id before one without, whatever its number of holders and its date", () => {
    const without = [1, 2, 3].map((host) => record(host, { size: 2000, v2: false, date: "27/11/26" }));
    expect(ranked(...without, record(9, { root: A, date: "01/01/20" }))).toEqual([A, "-"]);
  });

  test.each([
    ["a time far away", { mtime: "9999-12-31T23:59:59Z" }],
    ["a time in two days", { mtime: "2026-11-30T12:00:01Z" }],
    ["a day far away", { date: "31/12/99" }],
    ["a day far away beside a time that is right", { mtime: "2026-11-28T12:00:00Z", date: "31/12/99" }],
  ])("does not count %s, and does not show it", (_what, more) => {
    expect(ranked(record(1, { root: A, ...more }), record(2, { root: B, date: "01/01/20" }))).toEqual([B, A]);
    expect(rankContents([record(1, { root: A, ...more })], NOW)[0]?.modified).toBeUndefined();
  });

  test("of equal contents takes the newer one; a clock may be wrong by hours", () => {
    const newer = record(2, { root: B, mtime: "2026-11-29T06:00:00Z", date: "29/11/26" });
    expect(ranked(record(1, { root: A, date: "27/11/26" }), newer)).toEqual([B, A]);
    expect(rankContents([newer], NOW)[0]?.modified).toEqual({ iso: "2026-11-29T06:00:00Z", date: "29/11/26" });
  });

  test("counts only holders of the whole, then those of a part", () => {
    const part = true as const;
    expect(ranked(record(1, { root: A, part }), record(2, { root: B }), record(3, { root: A, part }))).toEqual([B, A]);
    expect(ranked(record(1, { root: A, part }), record(2, { root: B, part }), record(3, { root: B, part }))).toEqual([B, A]);
  });

  test("takes a record without an id for the content of its size that has one", () => {
    const old = record(1, { v2: false });
    expect(rankContents([old, record(2, { root: A })], NOW).map(({ records }) => records)).toEqual([[record(2, { root: A })]]);
    expect(rankContents([old, record(2, { root: A })], NOW)[0]).toMatchObject({ hosts: 1, unproven: 1 });
    expect(ranked(old, record(2, { root: A, size: 1001 }))).toEqual([A, "-"]);
  });

  test("takes records without an id for one content when their sizes are equal, and fetches from one holder", () => {
    const old = [1, 2, 3].map((host) => record(host, { v2: false }));
    expect(rankContents(old, NOW)).toMatchObject([{ records: [old[0]], hosts: 3 }]);
    expect(ranked(...old, record(4, { v2: false, size: 5 }))).toEqual(["-", "-"]);
  });

  test("of one id with two sizes makes two contents: one of them is a lie", () => {
    expect(ranked(record(1, { root: A }), record(2, { root: A, size: 5 }), record(3, { root: A, size: 5 }))).toEqual([A, A]);
  });
});

test("shortIds gives the first eight digits, and more when two begin alike", () => {
  expect([...shortIds([A, B, A]).values()]).toEqual(["aaaaaaaa", "bbbbbbbb"]);
  const twin = `${"a".repeat(20)}${"b".repeat(44)}`;
  expect([...shortIds([A, twin]).values()]).toEqual([A.slice(0, 24), twin.slice(0, 24)]);
  expect(shortIds([]).size).toBe(0);
});

/** Waits for a content; `answers` are what the tracker says, the last one for ever. */
function wait(answers: FileRecord[][], isOwn: (record: FileRecord) => boolean = () => false) {
  const clock = new HandClock();
  let asked = 0;
  const said: string[] = [];
  const report = ({ event, record: { port } }: ContentEvent) => void said.push(`${event} ${port}`);
  const look = async () => answers[Math.min(asked++, answers.length - 1)] ?? [];
  let found: FileRecord[] | "waiting" | undefined = "waiting";
  void waitForContents({ look, fits: ({ port }) => port === 1235, isOwn, report, clock }).then(([best]) => {
    found = best?.records;
  });
  return {
    asked: () => asked,
    said,
    found: async (ms: number) => {
      await clock.pass(ms);
      await settle();
      return found;
    },
  };
}

describe("waitForContents", () => {
  test("gives the content that most have, of the records that fit", async () => {
    const records = [record(1, { root: A }), record(2, { root: B }), record(3, { root: B }), record(4, { root: A, port: 1 })];
    expect(await wait([records]).found(0)).toEqual([record(2, { root: B }), record(3, { root: B })]);
  });

  test("gives undefined when nobody has it", async () => {
    expect(await wait([[]]).found(0)).toBeUndefined();
  });

  test("prefers other peers' records to this peer's own", async () => {
    const own = record(17, { root: A });
    const isOwn = ({ address }: FileRecord) => address === own.address;
    expect(await wait([[own, record(1, { root: B })]], isOwn).found(0)).toEqual([record(1, { root: B })]);
    expect(await wait([[own]], isOwn).found(0)).toEqual([own]);
  });

  test("asks again until the holder has its content id", async () => {
    const waiting = wait([[record(1)], [record(1)], [record(1, { root: A })]]);
    expect(await waiting.found(599)).toBe("waiting");
    expect(await waiting.found(1)).toEqual([record(1, { root: A })]);
    expect(waiting.asked()).toBe(3);
  });

  test("says after a second that it waits for the holder to read the file", async () => {
    const waiting = wait([
      [record(1)],
      [record(1)],
      [record(1)],
      [record(1)],
      [record(1)],
      [record(1)],
      [record(1, { root: A })],
    ]);
    await waiting.found(1_000);
    expect(waiting.said).toEqual([]);
    expect(await waiting.found(2_000)).toEqual([record(1, { root: A })]);
    expect(waiting.said).toEqual(["reading 1235"]);
  });

  test("gives a record without a content id after the time to read the file, and says so", async () => {
    const small = wait([[record(1)]]);
    expect(await small.found(4_900)).toBe("waiting");
    expect(await small.found(400)).toEqual([record(1)]);
    expect(small.said).toEqual(["reading 1235", "unproven 1235"]);
    const large = wait([[record(1, { size: 2 * 10 ** 9 })]]);
    expect(await large.found(84_000)).toBe("waiting");
    expect(await large.found(2_000)).toHaveLength(1);
    const largest = wait([[record(1, { size: 10 ** 13 })]]);
    expect(await largest.found(599_000)).toBe("waiting");
    expect(await largest.found(2_000)).toHaveLength(1);
  });

  test("does not wait for an FT/1 holder, which never has one", async () => {
    expect(await wait([[record(1, { v2: false })]]).found(0)).toHaveLength(1);
  });
});
