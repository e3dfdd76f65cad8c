import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkSpelling } from "../../../lib/peer/disk/spelling.ts";

describe("checkSpelling", () => {
  test("says of a path with bytes that are not UTF-8 why it cannot be used, also where it is the working folder", () => {
    expect(() => checkSpelling(["/nowhere/f\ufffd"])).toThrow(
      '"/nowhere/f\ufffd" cannot be used, because its path is not UTF-8 text.',
    );
    expect(() => checkSpelling(["."], "/nowhere/f\ufffd")).toThrow("not UTF-8 text");
  });

  test("leaves other paths to those that open them, and a path that really has that character", () => {
    const folder = mkdtempSync(join(tmpdir(), "ft-test-"));
    try {
      mkdirSync(join(folder, "f\ufffd"));
      checkSpelling(["/nowhere", ".", join(folder, "f\ufffd")]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
