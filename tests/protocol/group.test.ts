import { expect, test } from "bun:test";
import { formatGroup, type GroupTracker, parseGroup } from "../../lib/protocol/group.ts";
import { addressOf } from "../helpers/channel.ts";

const KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER = "22qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

test("formatGroup and parseGroup: one word a tracker, and the same trackers again", () => {
  const trackers: GroupTracker[] = [
    {
      key: KEY,
      at: [
        { address: addressOf("10.0.0.2"), port: 1234 },
        { address: addressOf("fd00::2"), port: 1234 },
      ],
    },
    { key: OTHER, at: [{ address: addressOf("10.0.0.3"), port: 1236 }], ahead: -12 },
  ];
  const text = formatGroup(trackers);
  expect(text).toBe(`${KEY}@10.0.0.2:1234,[fd00::2]:1234 ${OTHER}@10.0.0.3:1236@-12`);
  expect(parseGroup(text)).toEqual(trackers);
});

test("parseGroup leaves out words that it cannot read", () => {
  const words = [
    "",
    "later=1",
    `${KEY}@`,
    `${KEY}@nowhere:1`,
    "short@10.0.0.2:1",
    `${KEY}@10.0.0.2:99999`,
    `${KEY}@10.0.0.2:1@1.5`,
  ];
  expect(parseGroup(words.join(" "))).toEqual([]);
  expect(parseGroup(`${words.join(" ")} ${KEY}@10.0.0.2:1`)).toHaveLength(1);
});

test("formatGroup: however many trackers there are, a line of them is short enough", () => {
  const one = {
    key: KEY,
    at: Array.from({ length: 9 }, () => ({ address: addressOf("fd00:1111:2222:3333:4444:5555:6666:7777"), port: 65_535 })),
    ahead: -1e8,
  };
  expect(formatGroup(Array.from({ length: 100 }, () => one)).length).toBeLessThan(4000);
});
