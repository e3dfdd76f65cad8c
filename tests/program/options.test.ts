// The table of options, without either program: a made-up table is read, refused and explained.

import { describe, expect, test } from "bun:test";
import {
  commandRows,
  DURATION,
  FILES,
  FLAG,
  misplacedOption,
  type Option,
  optionRows,
  readValues,
  splitArguments,
  TEXT,
  wholeNumber,
} from "../../lib/program/options.ts";

const OPTIONS = [
  { name: "size", kind: wholeNumber(1, 9), label: "N", about: "how big", standard: "4" },
  { name: "load", kind: FILES, label: "FILE", about: "what to load" },
  { name: "wait", kind: DURATION, label: "DURATION", about: "how long", command: "run" },
  { name: "a-long-name", kind: TEXT, label: "TEXT", about: "anything" },
  { name: "dry", kind: FLAG, about: "do nothing" },
] as const satisfies Option[];
const TABLE = { program: "ft-test", commands: [], options: OPTIONS };

describe("readValues", () => {
  test("gives each value by its kind, and the standard of what was not given", () => {
    const { given, words } = splitArguments("--load a one --load=b --wait 2m --dry -- --two".split(" "), TABLE);
    expect(words).toEqual(["one", "--two"]);
    const values = readValues(OPTIONS, given);
    expect(values).toEqual({ size: 4, load: ["a", "b"], wait: 120, "a-long-name": undefined, dry: true });
    expect(readValues(OPTIONS, {})).toEqual({ size: 4, load: [], wait: undefined, "a-long-name": undefined, dry: false });
  });

  test("takes the last of several values of an option that is not repeatable", () => {
    expect(readValues(OPTIONS, splitArguments(["--size", "1", "--size", "2"], TABLE).given).size).toBe(2);
  });

  test("says which option cannot take a value, with control characters made visible", () => {
    expect(() => readValues(OPTIONS, { size: "10" })).toThrow('--size needs a whole number from 1 to 9, not "10".');
    expect(() => readValues(OPTIONS, { size: "\x1b" })).toThrow('not "\\x1b".');
    expect(() => readValues(OPTIONS, { load: ["a", ""] })).toThrow('--load needs a path, not "".');
    expect(() => readValues(OPTIONS, { wait: "" })).toThrow("--wait needs a duration such as 30m, 2h or 7d");
  });
});

test("splitArguments refuses an option that the table does not have, and names the program", () => {
  expect(() => splitArguments(["--sizes", "1"], TABLE)).toThrow(
    '"--sizes" is not an option. Did you mean "--size"? Try: ft-test --help',
  );
  for (const word of ["-draft", "-rf dash.txt", "-2026"]) {
    const sentence = `"${word}" is not an option. To give it as a name or a word, put -- before it. Try: ft-test --help`;
    expect(() => splitArguments(["plan", word, "--", "-draft x"], TABLE)).toThrow(sentence);
    expect(splitArguments(["plan", "--", word], TABLE).words).toEqual(["plan", word]);
  }
  expect(() => splitArguments(["--colour"], TABLE)).toThrow('"--colour" is not an option. Try: ft-test --help');
  expect(() => splitArguments(["--size"], TABLE)).toThrow('"--size" needs a value. Try: ft-test --help');
  expect(() => splitArguments(["--dry=1"], TABLE)).toThrow('"--dry" takes no value. Try: ft-test --help');
});

test("misplacedOption gives an option of another command, and none that was not given", () => {
  expect(misplacedOption(OPTIONS, { wait: "1s", size: "1" }, "stop")?.name).toBe("wait");
  expect(misplacedOption(OPTIONS, { wait: "1s" }, undefined)?.name).toBe("wait");
  expect(misplacedOption(OPTIONS, { wait: "1s" }, "run")).toBeUndefined();
  expect(misplacedOption(OPTIONS, { size: "1" }, "stop")).toBeUndefined();
});

test("optionRows and commandRows align what things mean; a longer one has a line of its own", () => {
  expect(optionRows(OPTIONS.slice(3), 8)).toBe("  --a-long-name TEXT\n            anything\n  --dry     do nothing");
  expect(commandRows([{ name: "run", label: "NAME", about: "runs it" }], 8)).toBe("  run NAME  runs it");
});
