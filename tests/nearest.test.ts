// The word that a person most likely meant.

import { describe, expect, test } from "bun:test";
import { didYouMean, editDistance, nearest } from "../lib/nearest.ts";

describe("editDistance", () => {
  test("counts letters that were added, left out, replaced or swapped", () => {
    expect(editDistance("search", "search")).toBe(0);
    expect(editDistance("serch", "search")).toBe(1);
    expect(editDistance("searrch", "search")).toBe(1);
    expect(editDistance("raport", "report")).toBe(1);
    expect(editDistance("kcik", "kick")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("abc", "")).toBe(3);
    expect(editDistance("空文件", "空件文")).toBe(1);
  });
});

describe("nearest", () => {
  const commands = ["search", "find", "get", "list", "who", "share", "doctor"];

  test("is the one with the fewest mistakes", () => {
    expect(nearest("serch", commands)).toBe("search");
    expect(nearest("gte", commands)).toBe("get");
    expect(nearest("SHARE", commands)).toBe("share");
    expect(nearest("lsit", commands)).toBe("list");
    expect(nearest("docter", commands)).toBe("doctor");
  });

  test("is none for a word that is near to nothing", () => {
    for (const word of ["library", "x", "", "laboratory", "é".repeat(300)]) expect(nearest(word, commands)).toBeUndefined();
  });

  test("didYouMean is a question, or nothing", () => {
    expect(didYouMean("serch", commands)).toBe(' Did you mean "search"?');
    expect(didYouMean("library", commands)).toBe("");
  });
});
