import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatDate,
  formatDuration,
  formatRate,
  formatSize,
  jsonLine,
  parseSize,
  plural,
  printable,
  printableName,
} from "../lib/text.ts";

/** Fixed, so that a run can be repeated; what is looked for does not depend on luck. */
const SEED = 20_261_122;

/** Any code points, halves of pairs among them. */
const anyText = fc.string({
  unit: fc.oneof(fc.nat(0x7f), fc.nat(0xffff), fc.nat(0x10ffff)).map((code) => String.fromCodePoint(code)),
});

/** Everything that could move a cursor, hide or reorder text, as the ranges the contract names. */
const DECEIVING: [from: number, to: number][] = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0x61c, 0x61c],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x2069],
  [0xfeff, 0xfeff],
  [0xd800, 0xdfff],
];

const DECEIVERS = DECEIVING.flatMap(([from, to]) =>
  Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)),
);
const oneDeceiver = fc.nat(DECEIVERS.length - 1).map((i) => DECEIVERS[i] ?? "");

describe("printable", () => {
  test("shows every control, bidi, zero-width character and half a pair as a visible escape", () => {
    for (const character of DECEIVERS) {
      const shown = printable(`a${character}b`);
      expect(shown).toMatch(/^a\\(?:[nrt]|x[0-9a-f]{2}|u[0-9a-f]{4})b$/);
    }
  });

  test("writes the escapes that people know", () => {
    expect(printable("\x1b[2Jgone")).toBe("\\x1b[2Jgone");
    expect(printable("\x1b]52;c;aGk=\x07")).toBe("\\x1b]52;c;aGk=\\x07");
    expect(printable("one\r\ntwo\tthree")).toBe("one\\r\\ntwo\\tthree");
    expect(printable("a\u0008b\u007f\u009b1m")).toBe("a\\x08b\\x7f\\x9b1m");
    expect(printable("annual\u202efdp.exe")).toBe("annual\\u202efdp.exe");
    expect(printable("in\u200bvisible\ufeff")).toBe("in\\u200bvisible\\ufeff");
    expect(printable("half \ud83d pair")).toBe("half \\ud83d pair");
    expect(printable("tag \u{e0041}")).toBe("tag \\u{e0041}");
  });

  test("shows everything that Unicode draws as nothing, and every blank that is no space, as a visible escape", () => {
    for (const [character, shown] of [
      ["\u3164", "\\u3164"],
      ["\u2800", "\\u2800"],
      ["\u115f", "\\u115f"],
      ["\u1160", "\\u1160"],
      ["\uffa0", "\\uffa0"],
      ["\ufe0f", "\\ufe0f"],
      ["\u034f", "\\u034f"],
      ["\u180b", "\\u180b"],
      ["\ufffc", "\\ufffc"],
      ["\u{e0101}", "\\u{e0101}"],
      ["\u{1d159}", "\\u{1d159}"],
    ]) {
      expect(printable(`a${character}b.pdf`)).toBe(`a${shown}b.pdf`);
      expect(printable(`${character}`)).toBe(`${shown}`);
    }
    for (let code = 0; code <= 0x10ffff; code++) {
      const character = String.fromCodePoint(code);
      if (/\p{Default_Ignorable_Code_Point}/u.test(character)) expect(printable(`a${character}`)).toMatch(/^a\\[ux]/);
    }
  });

  test("leaves a variation selector only where it makes an emoji of a character", () => {
    for (const name of ["I ❤\ufe0f you.txt", "1\ufe0f\u20e3.pdf", "©\ufe0f"]) expect(printable(name)).toBe(name);
    expect(printable("1\ufe0f.pdf")).toBe("1\\ufe0f.pdf");
    expect(printable("❤\ufe0f\ufe0f")).toBe("❤\ufe0f\\ufe0f");
    expect(printable("🎉\ufe0f")).toBe("🎉\\ufe0f");
    expect(printable("❤\ufe0e")).toBe("❤\\ufe0e");
    expect(printable("report\ufe0f.pdf")).toBe("report\\ufe0f.pdf");
  });

  test("leaves four accents on a letter, and shows the others as escapes; an accent needs a letter", () => {
    const accents = (count: number) => "\u0301".repeat(count);
    expect(printable(`a${accents(4)}b${accents(4)}`)).toBe(`a${accents(4)}b${accents(4)}`);
    expect(printable(`a${accents(6)}b`)).toBe(`a${accents(4)}\\u0301\\u0301b`);
    expect(printable(`${accents(1)}a`)).toBe("\\u0301a");
    expect(printable(`a${"\u20dd".repeat(5)}`)).toBe(`a${"\u20dd".repeat(4)}\\u20dd`);
  });

  test("leaves the names of every language alone", () => {
    for (const name of [
      "",
      "notes.txt",
      "Übung №3.pdf",
      "résumé",
      "отчёт.doc",
      "報告書.pdf",
      "تقرير.pdf",
      "🎉 party 🇰🇿.mp4",
      "báo cáo thường niên.pdf".normalize("NFD"),
      "보고서.hwp".normalize("NFD"),
      "กำลังทำ.txt",
      "प्रतिवेदन.pdf",
      "בְּרֵאשִׁית.txt",
      "50 % off",
    ]) {
      expect(printable(name)).toBe(name);
    }
  });

  test("changes nothing the second time, and lets nothing deceiving through, whatever comes", () => {
    fc.assert(
      fc.property(anyText, oneDeceiver, (text, extra) => {
        const shown = printable(text + extra);
        expect(printable(shown)).toBe(shown);
        expect(shown.isWellFormed()).toBeTrue();
        for (const character of shown) {
          const code = character.codePointAt(0) ?? 0;
          expect(DECEIVING.some(([from, to]) => from <= code && code <= to)).toBeFalse();
        }
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
});

test("printableName shows blanks at its ends, and a name of nothing else, as escapes", () => {
  expect(printableName("a b.txt")).toBe("a b.txt");
  expect(printableName(" a.txt \u3000")).toBe("\\x20a.txt\\x20\\u3000");
  expect(printableName("\u00a0\u2003")).toBe("\\xa0\\u2003");
});

describe("jsonLine", () => {
  test("writes one line that gives the exact text back and deceives no terminal", () => {
    fc.assert(
      fc.property(anyText, oneDeceiver, (text, extra) => {
        const value = { [`${extra}key`]: text + extra, list: [`\\${extra}`, `"${text}`] };
        const line = jsonLine(value);
        expect(JSON.parse(line)).toEqual(value);
        expect(printable(line)).toBe(line);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("leaves what is harmless readable", () => {
    expect(jsonLine({ event: "done", name: "Übung.pdf", size: 3, holders: ["a"] })).toBe(
      '{"event":"done","name":"Übung.pdf","size":3,"holders":["a"]}',
    );
    expect(jsonLine({ name: "a\u202eb\u{e0041}" })).toBe('{"name":"a\\u202eb\\udb40\\udc41"}');
  });
});

describe("sizes, rates, times", () => {
  test("a size has at most three digits and the unit people use", () => {
    const shown: [number, string][] = [
      [0, "0 B"],
      [1, "1 B"],
      [999, "999 B"],
      [1000, "1.0 kB"],
      [1023, "1.0 kB"],
      [1234, "1.2 kB"],
      [9949, "9.9 kB"],
      [9950, "10 kB"],
      [48_213, "48 kB"],
      [999_499, "999 kB"],
      [999_500, "1.0 MB"],
      [12_000_000, "12 MB"],
      [5_000_000_000, "5.0 GB"],
      [16 * 2 ** 40, "18 TB"],
      [Number.MAX_SAFE_INTEGER, "9.0 PB"],
    ];
    for (const [bytes, text] of shown) expect(formatSize(bytes)).toBe(text);
  });

  test("every size is short and within 6 % of the truth", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 53, noNaN: true }), (exponent) => {
        const bytes = Math.floor(2 ** exponent);
        const match = /^(\d{1,3}|\d\.\d) (B|kB|MB|GB|TB|PB)$/.exec(formatSize(bytes));
        expect(match).not.toBeNull();
        const shown = Number(match?.[1]) * 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].indexOf(match?.[2] ?? "");
        expect(Math.abs(shown - bytes)).toBeLessThanOrEqual(bytes * 0.06);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  test("a rate is a size a second", () => {
    expect(formatRate(0)).toBe("0 B/s");
    expect(formatRate(112_300_000)).toBe("112 MB/s");
    expect(formatRate(0.4)).toBe("0 B/s");
  });

  test("a duration rolls over into minutes and hours, never into sixty of something", () => {
    const shown: [number, string][] = [
      [0, "0.0 s"],
      [0.44, "0.4 s"],
      [9.94, "9.9 s"],
      [9.96, "10 s"],
      [59.4, "59 s"],
      [59.6, "1 min 00 s"],
      [185, "3 min 05 s"],
      [3599.4, "59 min 59 s"],
      [3599.6, "1 h 00 min"],
      [7800, "2 h 10 min"],
      [360_000, "100 h 00 min"],
      [Number.POSITIVE_INFINITY, "?"],
      [Number.NaN, "?"],
    ];
    for (const [seconds, text] of shown) expect(formatDuration(seconds)).toBe(text);
  });

  test("a date is DD/MM/YY in local time", () => {
    expect(formatDate(new Date(2026, 10, 22, 23, 59, 59))).toBe("22/11/26");
    expect(formatDate(new Date(2005, 0, 1, 0, 0, 0))).toBe("01/01/05");
    expect(formatDate(new Date(1999, 11, 31))).toBe("31/12/99");
    expect(formatDate(new Date(2000, 1, 29))).toBe("29/02/00");
  });

  test("a noun agrees with its number", () => {
    expect([0, 1, 2, 52].map((count) => plural(count, "file"))).toEqual(["0 files", "1 file", "2 files", "52 files"]);
  });
});

describe("sizes that somebody types", () => {
  test("are bytes, in powers of ten, or of two where they say so", () => {
    const cases: [string, number][] = [
      ["0", 0],
      ["500", 500],
      ["500B", 500],
      ["64kB", 64_000],
      ["64 KB", 64_000],
      ["64k", 64_000],
      ["10MB", 10_000_000],
      ["10mb/s", 10_000_000],
      [" 1.5 GB/s ", 1_500_000_000],
      ["2T", 2_000_000_000_000],
      ["1KiB", 1024],
      ["1.5MiB/s", 1_572_864],
      ["3 gib", 3_221_225_472],
      ["0.5", 1],
      ["1.0000000001".slice(0, 11), 1],
      ["9007199254740991".slice(0, 15), 900_719_925_474_099],
    ];
    for (const [text, bytes] of cases) expect([text, parseSize(text)]).toEqual([text, bytes]);
  });

  test("are nothing when they are anything else", () => {
    for (const text of [
      "",
      " ",
      "MB",
      "-1",
      "+1",
      "1e3",
      "0x10",
      "1,5MB",
      ".5MB",
      "1.MB",
      "1..5",
      "1 0",
      "10 MB / s",
      "10MBps",
      "10PB",
      "10 M B",
      "10MB/h",
      "10 MB\n5",
      "NaN",
      "Infinity",
      "١MB",
      "1".repeat(16),
      "999999999999999TB",
      "1.0000000001",
    ]) {
      expect([text, parseSize(text)]).toEqual([text, undefined]);
    }
  });

  test("as they are shown are read back, within what three digits can say", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_000_000_000_000 }), (bytes) => {
        for (const text of [formatSize(bytes), formatRate(bytes)]) {
          const read = parseSize(text);
          expect(read).toBeDefined();
          expect(Math.abs((read ?? 0) - bytes)).toBeLessThanOrEqual(bytes * 0.06);
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});
