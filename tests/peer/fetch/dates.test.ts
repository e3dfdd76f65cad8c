// Reading the dates that a holder gives for the entries of a folder.

import { describe, expect, test } from "bun:test";
import { parseDates } from "../../../lib/peer/fetch/dates.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const read = (text: string, ...paths: string[]) => Object.fromEntries(parseDates(bytesOf(text), new Set(paths)));

describe("parseDates", () => {
  test("gives the date of each path", () => {
    expect(read("1000 a b/c\n-5 /\n", "a b/c", "/")).toEqual({ "a b/c": 1000, "/": -5 });
    expect(read("1 without end", "without end")).toEqual({ "without end": 1 });
  });

  test("a path that is not of the folder is left out, so that a hostile holder fills no memory", () => {
    expect(read("1 a\n2 ../x\n3 __proto__\n", "a")).toEqual({ a: 1 });
  });

  test("a line that cannot be read is left out", () => {
    expect(read(`x a\n1.5 a\n9999999999999999 a\n999999999999999 a\n${"1".repeat(100_000)} a\n\n\n7 b\n`, "a", "b")).toEqual({
      b: 7,
    });
  });
});
