import { expect, test } from "bun:test";
import {
  entryFields,
  formatAlive,
  formatHeader,
  keysOf,
  parseAlive,
  parseEntries,
  parseHeader,
  recordField,
  splitField,
} from "../../../lib/tracker/group/wire.ts";
import { addressOf } from "../../helpers/channel.ts";

const KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

test("all keys begin with ft: and the name of the group, whatever is in that name", () => {
  const keys = keysOf("Hall 1:*");
  for (const key of [keys.trackers, keys.bans, keys.alive("a"), keys.peers("a", "1"), keys.log("a", "1"), keys.inbox("a")]) {
    expect(key).toStartWith("ft:Hall%201%3A*:");
  }
});

test("an entry is read again as it was written", () => {
  const event = { from: "A", what: "notice", words: "Hello, \n" } as const;
  const fields = entryFields(
    7,
    [
      ["p1", "x"],
      [recordField("p1", "a b"), ""],
    ],
    event,
  );
  expect(parseEntries([["1-0", fields]])).toEqual([
    {
      id: "1-0",
      number: 7,
      changes: [
        ["p1", "x"],
        ["p1 a b", ""],
      ],
      event,
    },
  ]);
  expect(splitField(recordField("p1", "a b"))).toEqual(["p1", "a b"]);
  expect(splitField("p1")).toEqual(["p1", undefined]);
});

test("alive and header are read again as they were written", () => {
  const at = [
    { address: addressOf("10.0.0.1"), port: 1234 },
    { address: addressOf("fd00::1"), port: 1234 },
  ];
  const alive = { epoch: "1-abc", name: "Hall 1", key: KEY, at, clock: -3.5 };
  expect(parseAlive(formatAlive(alive))).toEqual(alive);
  const header = {
    address: addressOf("10.0.0.1"),
    port: 5,
    profile: 2 as const,
    agent: "x",
    name: "Ben",
    reach: false,
    joined: 17,
    key: KEY,
    proven: true,
  };
  expect(parseHeader(formatHeader(header))).toEqual(header);
});

test.each([
  "",
  "null",
  "[]",
  "7",
  "{",
  '{"address":"nowhere","port":1,"profile":2}',
  '{"address":"10.0.0.1","port":0,"profile":2}',
  '{"address":"10.0.0.1","port":1,"profile":3}',
])("what another program wrote is no header and no tracker: %j", (text) => {
  expect(parseHeader(text)).toBeUndefined();
  expect(parseAlive(text)).toBeUndefined();
});

test("a name with what misleads is made harmless, and a reply that is no stream has no entries", () => {
  const header = formatHeader({
    address: addressOf("10.0.0.1"),
    port: 5,
    profile: 2,
    agent: "x",
    name: "Be\u202en",
    joined: 1,
  });
  expect(parseHeader(header)?.name).toBe("Ben");
  for (const reply of [null, undefined, "OK", 7, [["1-0", null]]])
    expect(parseEntries(reply).flatMap(({ changes }) => changes)).toEqual([]);
});
