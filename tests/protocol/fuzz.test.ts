// Rubbish, half-valid bytes and bad luck for everything that reads strangers' bytes. Every run is the same unless FT_FUZZ_SEED says
// otherwise; FT_FUZZ_RUNS makes it longer. A failure names the seed and the run, and those two bring it back.

import { describe, expect, test } from "bun:test";
import { runTrial, TRIALS } from "../helpers/fuzzing.ts";

const SEED = Number(process.env.FT_FUZZ_SEED ?? 20_261_122);
const RUNS = Number(process.env.FT_FUZZ_RUNS ?? 100_000);
const TIMEOUT_MS = 60_000 * Math.max(1, RUNS / 100_000);

describe("whatever arrives", () => {
  for (const trial of TRIALS) {
    test(trial.what, () => expect(runTrial(trial, SEED, RUNS).runs).toBe(Math.ceil(RUNS * trial.share)), TIMEOUT_MS);
  }

  test("all inputs are used", () => {
    expect(TRIALS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });
});
