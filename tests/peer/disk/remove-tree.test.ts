// Removing a folder with all that is in it.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "../../../lib/peer/disk/remove-tree.ts";

let top = "";
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "ft-remove-tree-"));
});
afterEach(() => rmSync(top, { recursive: true }));

test("removeTree: a file, and a folder with everything in it", () => {
  mkdirSync(join(top, "a", "b", "c"), { recursive: true });
  writeFileSync(join(top, "a", "b", "file"), "x");
  writeFileSync(join(top, "one"), "x");
  removeTree(join(top, "a"));
  removeTree(join(top, "one"));
  expect(readdirSync(top)).toEqual([]);
});

test("removeTree: a path that is not there, or cannot be, is left alone", () => {
  writeFileSync(join(top, "one"), "x");
  for (const path of ["none", "one/inside", "x".repeat(300)]) removeTree(join(top, path));
  expect(readdirSync(top)).toEqual(["one"]);
});

test.skipIf(process.platform === "win32")("removeTree: a link goes, what it leads to stays", () => {
  mkdirSync(join(top, "a"));
  mkdirSync(join(top, "others"));
  writeFileSync(join(top, "others", "file"), "x");
  symlinkSync(join(top, "others"), join(top, "a", "link"));
  removeTree(join(top, "a"));
  expect(existsSync(join(top, "others", "file"))).toBe(true);
  expect(existsSync(join(top, "a"))).toBe(false);
});
