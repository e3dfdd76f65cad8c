import { expect, test } from "bun:test";
import { failureSentence, reasonsClause } from "../../../lib/peer/fetch/failure.ts";
import { parseFileName } from "../../../lib/protocol/record.ts";
import { addressOf } from "../../helpers/channel.ts";
import { record } from "../../helpers/session-room.ts";

const FILE = { name: parseFileName("film.mkv"), size: 50_000_000, root: undefined, holders: [] };
const GONE = "10.77.0.12:1235: it disconnected";

test.each<[what: string, why: string, received: number, kept: boolean, sentence: string]>([
  [
    "what arrived can be resumed",
    GONE,
    16_000_000,
    true,
    `The download of "film.mkv" stopped at 16 MB of 50 MB: ${GONE}. Your progress is saved; run the same command to resume.`,
  ],
  [
    "what arrived is of no use later",
    GONE,
    16_000_000,
    false,
    `The download of "film.mkv" stopped at 16 MB of 50 MB: ${GONE}. Run the same command again.`,
  ],
  ["nothing arrived", GONE, 0, true, `Cannot fetch "film.mkv": ${GONE}. Search again to see who has it now.`],
  ["there is no reason", "", 0, true, 'Cannot fetch "film.mkv": nobody online has it. Search again to see who has it now.'],
])("failureSentence where %s", (_what, why, received, kept, sentence) => {
  expect(failureSentence(FILE, why, received, kept)).toBe(sentence);
});

test("reasonsClause names holders by their persons' names and addresses", () => {
  const at = { ...record("film.mkv"), address: addressOf("10.77.0.12"), port: 1235 };
  const silent = { record: { ...at, by: "Ann" }, reason: "it was silent for 5 s" };
  expect(reasonsClause([silent, { record: at, reason: "it disconnected" }])).toBe(
    "Ann (10.77.0.12:1235): it was silent for 5 s; 10.77.0.12:1235: it disconnected",
  );
});
