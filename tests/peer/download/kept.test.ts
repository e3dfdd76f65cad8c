import { expect, test } from "bun:test";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { type Kept, keptOf, leastOf, stoppedSentence, withKept } from "../../../lib/peer/download/kept.ts";

test.each<[sentence: string, kept: Kept, instead: string]>([
  ["It is full. Your progress is saved.", "all", "It is full. Your progress is saved."],
  ["It is full. Your progress is saved.", "part", "It is full. Part of your progress may be fetched again."],
  ["It is full. Your progress is saved.", "nothing", "It is full."],
  [
    "It fails. Your progress is saved. Try another folder with --to.",
    "part",
    "It fails. Part of your progress may be fetched again. Try another folder with --to.",
  ],
  [
    "It left. Your progress is saved; run the same command to resume.",
    "part",
    "It left. Part of your progress may be fetched again; run the same command to resume.",
  ],
  ["It left. Your progress is saved; run the same command to resume.", "nothing", "It left. Run the same command again."],
  ["It is read-only.", "part", "It is read-only."],
])("withKept: %s kept: %s", (sentence, kept, instead) => {
  const told = withKept(new FtError("some-code", sentence), kept);
  expect(told).toBeInstanceOf(FtError);
  expect(told).toMatchObject({ code: "some-code", message: instead });
});

test("withKept: a sentence that was changed for a part can still say that nothing is kept", () => {
  const error = withKept(new FtError("x", "It fails. Your progress is saved."), "part");
  expect(withKept(error, "nothing")).toMatchObject({ message: "It fails." });
});

test("keptOf: a download that was stopped stays one, and says how much was kept", () => {
  for (const kept of ["all", "part", "nothing"] as const) {
    const error = withKept(new CancelledError(), kept);
    expect(error).toBeInstanceOf(CancelledError);
    expect(keptOf(error)).toBe(kept);
  }
});

test("stoppedSentence promises no more than was kept", () => {
  const sentences = (["all", "part", "nothing"] as const).map((kept) => stoppedSentence(kept, "run the same command"));
  expect(sentences).toEqual([
    "Stopped. Progress saved; run the same command to resume.",
    "Stopped. Part of your progress may be fetched again; run the same command to resume.",
    "Stopped. It cannot be resumed: run the same command to fetch it from its beginning.",
  ]);
});

test.each<[Kept[], Kept]>([
  [[], "all"],
  [["all"], "all"],
  [["nothing"], "nothing"],
  [["all", "nothing"], "part"],
  [["all", "part"], "part"],
])("leastOf %j", (kept, least) => {
  expect(leastOf(new Set(kept))).toBe(least);
});
