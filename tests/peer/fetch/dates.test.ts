// Reading the dates that a holder gives for the entries of a folder.

import { describe, expect, test } from "bun:test";
import { parseDates } from "../../../lib/peer/fetch/dates.ts";
import { EMPTY_ROOT } from "../../../lib/protocol/folder.ts";
import { parseFolderList } from "../../../lib/protocol/folder-list.ts";
import { folderList } from "../../helpers/folder-list.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The dates in a text, of a folder with these files and empty folders: as they are passed on. */
function read(text: string, ...paths: string[]): string[] {
  const list = parseFolderList(folderList(paths.map((path) => ({ path, size: 0, root: EMPTY_ROOT }))));
  return new TextDecoder()
    .decode(parseDates(bytesOf(text), list).format())
    .trim()
    .split("\n")
    .sort();
}

describe("parseDates", () => {
  test("gives the date of each file and folder", () => {
    expect(read("1000 a b/c\n-5 /\n7 a b/\n8 e/\n", "a b/c", "e/")).toEqual(["-5 /", "1000 a b/c", "7 a b/", "8 e/"]);
    expect(read("1 without end", "without end")).toEqual(["1 without end"]);
  });

  test("a path that is not of the folder is left out, so that a hostile holder fills no memory", () => {
    expect(read("1 a\n2 ../x\n3 __proto__\n4 a/\n5 b\n6 x/\n7 //\n8 a/b/\n", "a", "b/c")).toEqual(["1 a"]);
  });

  test("a line that cannot be read is left out", () => {
    const text = `x a\n1.5 a\n9999999999999999 a\n999999999999999 a\n${"1".repeat(100_000)} a\n\n\n7\n 8 a\n7 b\n`;
    expect(read(text, "a", "b")).toEqual(["7 b"]);
  });
});
