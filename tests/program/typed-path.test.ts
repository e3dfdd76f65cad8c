// Paths as people give them.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { meantPath, pathAsTyped } from "../../lib/program/typed-path.ts";

const meant = (typed: string, platform: string, exists: (path: string) => boolean = () => false) =>
  meantPath(typed, "/work", {
    platform,
    home: platform === "win32" ? "C:\\Users\\ada" : "/home/ada",
    variable: (name) => ({ USERPROFILE: "C:\\Users\\ada", EMPTY: "" })[name],
    exists,
  });

describe("meantPath", () => {
  test.each([
    ['"C:\\My Files\\a.txt"', "C:\\My Files\\a.txt"],
    ["& 'C:\\My Files'", "C:\\My Files"],
    ['C:\\My Files"', "C:\\My Files"],
    ["C:\\Users\\ben", "C:\\Users\\ben"],
    ["\\\\server\\share", "\\\\server\\share"],
    ["~\\Documents", "C:\\Users\\ada\\Documents"],
    ["~", "C:\\Users\\ada"],
    ["%USERPROFILE%\\Music", "C:\\Users\\ada\\Music"],
    ['"%USERPROFILE%\\My Music"', "C:\\Users\\ada\\My Music"],
    ["50 % of %NOTHING%, %EMPTY%", "50 % of %NOTHING%, %EMPTY%"],
  ])("on Windows reads %s as %s", (typed, path) => {
    expect(meant(typed, "win32")).toBe(path);
  });

  test.each([
    ["/Users/ada/My\\ Files\\ \\(1\\) ", "/Users/ada/My Files (1)"],
    ["'/home/ada/My Files'", "/home/ada/My Files"],
    ["'/home/ada/Ada'\\''s \"best\" Files' ", '/home/ada/Ada\'s "best" Files'],
    ["'/home/ada/Ada'\"'\"'s Files'", "/home/ada/Ada's Files"],
    ['"/home/ada/a \\"b\\" \\$c"', '/home/ada/a "b" $c'],
    ["'it's here'", "it's here"],
    ["file:///home/ada/My%20Files/a.txt", "/home/ada/My Files/a.txt"],
    ["~/Documents", "/home/ada/Documents"],
    ["~\\Documents", "/home/ada/Documents"],
    ["~ada", "~ada"],
    ["%USERPROFILE%/a", "%USERPROFILE%/a"],
    ["it's here", "it's here"],
    ["plain name", "plain name"],
    ["-", "-"],
    ["", ""],
    [" ", " "],
    ["../up", "../up"],
  ])("elsewhere reads %s as %s", (typed, path) => {
    expect(meant(typed, "darwin")).toBe(path);
    expect(meant(typed, "linux")).toBe(path);
  });

  test("leaves a path that exists as it is written", () => {
    const asked: string[] = [];
    const exists = (path: string) => {
      asked.push(path);
      return true;
    };
    for (const typed of ["~", "'quoted'", "back\\slash", " spaces "]) expect(meant(typed, "linux", exists)).toBe(typed);
    expect(asked).toEqual(["/work/~", "/work/'quoted'", "/work/back\\slash", "/work/ spaces "]);
  });
});

describe("pathAsTyped", () => {
  test("starts from a folder, and looks there for the path as it is written", () => {
    const folder = mkdtempSync(join(tmpdir(), "ft-typed-"));
    try {
      mkdirSync(join(folder, "'a'"));
      expect(pathAsTyped("'a'", folder)).toBe(join(folder, "'a'"));
      expect(pathAsTyped("'b'", folder)).toBe(join(folder, "b"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
