// The README: what a stranger copies from it has to be true.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dependencies, devDependencies, scripts, version } from "../package.json";
import { archiveName, TARGETS } from "./release.ts";

const README = readFileSync(join(import.meta.dir, "..", "README.md"), "utf8");

test("names the archive of every target", () => {
  for (const target of TARGETS) expect(README).toContain(`\`${archiveName(target, version, true)}\``);
});

test("names every package with a reason", () => {
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) expect(README).toContain(`| \`${name}\` | `);
});

test("uses only scripts that exist", () => {
  const used = [...README.matchAll(/(?:bun|bun@[0-9.]+) run ([a-z:]+)/g)].map(([, script = ""]) => script);
  expect(used).not.toEqual([]);
  for (const script of used) expect(Object.keys(scripts)).toContain(script);
});

test("has no paragraph of more than five lines", () => {
  const prose = README.replace(/^```.*?^```/gms, "");
  for (const paragraph of prose.split(/\n{2,}/)) {
    if (/^(?: {4}|[|#-])/.test(paragraph)) continue;
    expect(paragraph.split("\n").length, paragraph).toBeLessThanOrEqual(5);
  }
});
