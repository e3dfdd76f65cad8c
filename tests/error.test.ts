import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathFault } from "../lib/error.ts";

test("pathFault says in words why a path cannot be read", () => {
  const folder = mkdtempSync(join(tmpdir(), "ft-error-"));
  writeFileSync(join(folder, "file"), "");
  symlinkSync("circle", join(folder, "circle"));
  const why = (...path: string[]) => {
    try {
      return String(readFileSync(join(folder, ...path)));
    } catch (error) {
      return pathFault(error);
    }
  };
  expect(why("none")).toBe("there is no such file");
  expect(why(".")).toBe("it is a folder");
  expect(why("x".repeat(300))).toBe("its name is too long");
  expect(why("a\0b")).toBe("its name has a character that no name can have");
  if (process.platform !== "win32") {
    expect(why("file", "in it")).toBe("a part of its path is not a folder");
    expect(why("circle")).toBe("its links lead in a circle");
  }
  expect(pathFault(Object.assign(new Error("odd"), { code: "EODD" }))).toBe("EODD");
  rmSync(folder, { recursive: true });
});
