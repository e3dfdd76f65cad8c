// Which content a name means, and how long a content id is waited for.

import { describe, expect, test } from "bun:test";
import { groupByContent, waitForContent } from "../../lib/peer/contents.ts";
import type { FileRecord } from "../../lib/protocol/record.ts";
import { addressOf, HandClock, nameOf, settle } from "../helpers/channel.ts";

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

/** Waits for a content; `answers` are what the tracker says, the last one for ever. */
function wait(answers: FileRecord[][], isOwn: (record: FileRecord) => boolean = () => false) {
  const clock = new HandClock();
  let asked = 0;
  const look = async () => answers[Math.min(asked++, answers.length - 1)] ?? [];
  let found: FileRecord[] | "waiting" | undefined = "waiting";
  void waitForContent({ look, fits: ({ port }) => port === 1235, isOwn, clock }).then((records) => {
    found = records;
  });
  return {
    asked: () => asked,
    found: async (ms: number) => {
      await clock.pass(ms);
      await settle();
      return found;
    },
  };
}

test("groupByContent puts the content with the most whole holders first", () => {
  const groups = groupByContent([
    record(1, { root: A, part: true }),
    record(2, { root: B }),
    record(3, { root: A, part: true }),
  ]);
  expect(groups.map(([{ root }]) => root)).toEqual([B, A]);
});

describe("waitForContent", () => {
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

  test("gives a record without a content id after a second and the time to hash the file", async () => {
    const small = wait([[record(1)]]);
    expect(await small.found(900)).toBe("waiting");
    expect(await small.found(300)).toEqual([record(1)]);
    const large = wait([[record(1, { size: 10 ** 12 })]]);
    expect(await large.found(7_900)).toBe("waiting");
    expect(await large.found(300)).toHaveLength(1);
  });

  test("does not wait for an FT/1 holder, which never has one", async () => {
    expect(await wait([[record(1, { v2: false })]]).found(0)).toHaveLength(1);
  });
});
