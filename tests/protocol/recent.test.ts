// Lines that were read lately against a list of all that were: what is remembered may be less, and never something else.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { RecentLines } from "../../lib/protocol/recent.ts";

const LONGEST = 128;
const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Asks as a reader does: what is not known is read and kept. */
function read(lines: RecentLines<string>, text: string, start = 0): { meaning: string; known: boolean } {
  const bytes = bytesOf(text);
  const known = lines.find(bytes, start);
  if (known !== undefined) return { meaning: known, known: true };
  const meaning = new TextDecoder().decode(bytes.subarray(start, bytes.indexOf(10, start) + 1));
  lines.keep(meaning);
  return { meaning, known: false };
}

test("a line that was kept is known, wherever it stands", () => {
  const lines = new RecentLines<string>();
  expect(read(lines, "SEARCH: a.pdf\n").known).toBe(false);
  expect(read(lines, "SEARCH: a.pdf\n")).toEqual({ meaning: "SEARCH: a.pdf\n", known: true });
  expect(lines.length).toBe("SEARCH: a.pdf\n".length);
  expect(read(lines, "PING\nSEARCH: a.pdf\nPING\n", 5)).toEqual({ meaning: "SEARCH: a.pdf\n", known: true });
});

test("what only begins or ends like it is not", () => {
  const lines = new RecentLines<string>();
  read(lines, "SEARCH: a.pdf\n");
  for (const other of ["SEARCH: a.pdf \n", "SEARCH: a.pd\n", "EARCH: a.pdf\n", "SEARCH: a.pdf\r\n", "SEARCH: b.pdf\n", "\n"]) {
    expect(read(lines, other)).toEqual({ meaning: other, known: false });
  }
  for (const incomplete of ["", "SEARCH: a.pdf", "S"]) expect(lines.find(bytesOf(incomplete), 0)).toBeUndefined();
});

test("a line up to the limit is remembered, a longer one is not", () => {
  for (const [length, known] of [
    [LONGEST - 1, true],
    [LONGEST, true],
    [LONGEST + 1, false],
    [4096, false],
  ] as const) {
    const lines = new RecentLines<string>();
    const line = `${"x".repeat(length - 1)}\n`;
    read(lines, line);
    expect(read(lines, line)).toEqual({ meaning: line, known });
  }
});

test("an incomplete line is kept by nobody", () => {
  const lines = new RecentLines<string>();
  lines.find(bytesOf("PIN"), 0);
  lines.keep("nothing");
  expect(lines.find(bytesOf("PIN"), 0)).toBeUndefined();
  expect(lines.find(bytesOf("PING\n"), 0)).toBeUndefined();
});

test("thousands of lines push each other out, and none is taken for another", () => {
  const lines = new RecentLines<string>();
  let known = 0;
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 8000; i++) {
      const line = `SEARCH: lecture-${(i * 7919) % 8000}.pdf\n`;
      const answer = read(lines, line);
      expect(answer.meaning).toBe(line);
      if (answer.known) known += 1;
    }
  }
  expect(known).toBeLessThan(16_000);
  // A few hundred stay.
  for (let round = 0; round < 2; round++) {
    known = 0;
    for (let i = 0; i < 200; i++) if (read(lines, `SEARCH: lecture-${i}.pdf\n`).known) known += 1;
  }
  expect(known).toBeGreaterThan(190);
});

test("any bytes mean what they did the first time", () => {
  const line = fc.array(fc.constantFrom("a", "b", "%", "é", " ", "\r"), { maxLength: 6 }).map((parts) => `${parts.join("")}\n`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 200 }), (all) => {
      const lines = new RecentLines<string>();
      for (const text of all) expect(read(lines, text).meaning).toBe(text);
    }),
    { seed: 20_261_124, numRuns: 200 },
  );
});
