import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { columnsOf, fit, fitName, table, wrap } from "../../../lib/peer/screen/columns.ts";
import { printable } from "../../../lib/text.ts";

/** Fixed, so that a run can be repeated; what is looked for does not depend on luck. */
const SEED = 20_261_122;

describe("fit", () => {
  test("leaves what has room and cuts the rest with an ellipsis", () => {
    expect(fit("notes.txt", 9)).toBe("notes.txt");
    expect(fit("notes.txt", 8)).toBe("notes.t…");
    expect(fit("notes.txt", 1)).toBe("…");
    expect(fit("notes.txt", 0)).toBe("");
    expect(fit("", 0)).toBe("");
  });

  test("counts columns, not characters, and never tears one apart", () => {
    expect(fit("報告書報告書", 6)).toBe("報告…");
    expect(fit("報告書報告書", 5)).toBe("報告…");
    expect(fit("e\u0301e\u0301e\u0301e\u0301", 3)).toBe("e\u0301e\u0301…");
    expect(fit("👍🏽👍🏽👍🏽", 4)).toBe("👍🏽…");
  });

  test("never takes more columns than it is given", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), fc.integer({ min: 0, max: 40 }), (text, width) => {
        const shown = fit(printable(text), width);
        expect(columnsOf(shown)).toBeLessThanOrEqual(width);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

describe("fitName", () => {
  test("leaves what has room, and cuts the rest in the middle: the end says what kind of file it is", () => {
    expect(fitName("notes.txt", 9)).toBe("notes.txt");
    expect(fitName("annual report of the school.pdf", 18)).toBe("annual re…hool.pdf");
    expect(fitName("invoice.pdf                    .exe", 13)).toBe("invoic…  .exe");
    expect(fitName("notes.txt", 2)).toBe("n…");
    expect(fitName("notes.txt", 1)).toBe("…");
    expect(fitName("notes.txt", 0)).toBe("");
  });

  test("counts columns, never tears a character apart, and never takes more columns than it is given", () => {
    expect(fitName("報告書報告書.pdf", 12)).toBe("報告書….pdf");
    expect(fitName("👍🏽👍🏽👍🏽👍🏽", 6)).toBe("👍🏽…👍🏽");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), fc.integer({ min: 0, max: 40 }), (text, width) => {
        expect(columnsOf(fitName(printable(text), width))).toBeLessThanOrEqual(width);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

describe("fitName and extensions", () => {
  test("the extension stays whole where there is room for it", () => {
    expect(fitName("Physics lecture, chapter one.docx", 10)).toBe("Phys….docx");
    expect(fitName("backup.tar.gz", 10)).toBe("ba….tar.gz");
    expect(fitName("漢字漢字漢字漢字.jpeg", 10)).toBe("漢字….jpeg");
    expect(fitName("👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦👩‍👩‍👧‍👦.mp4", 8)).toBe("👩‍👩‍👧‍👦….mp4");
    expect(fitName("a.b-very-long-thing-that-is-no-extension", 11)).toBe("a.b-v…nsion");
  });
});

describe("wrap", () => {
  test("never breaks between a number and its unit, at any width", () => {
    const words = "It got 48 MB of 1.2 GB in 0.5 s, and 3 min 05 s are left (42 %). Sizes are fine";
    for (let width = 8; width < 60; width++) {
      for (const line of wrap(words, width)) {
        expect(line).not.toMatch(/\d$(?<!^\d+$)/);
        expect(line).not.toMatch(/^(?:MB|GB|s|min|%)(?!\p{L})/u);
        expect(columnsOf(line)).toBeLessThanOrEqual(width);
      }
      expect(wrap(words, width).join(" ")).toBe(words);
    }
    expect(wrap("chapter 3 starts here", 10)).toEqual(["chapter 3", "starts", "here"]);
  });
});

describe("table", () => {
  const layout = [{ title: "name", shrinksTo: 12 }, { title: "size", align: "right" as const }, { title: "holder" }];

  test("aligns its columns under their titles", () => {
    const rows = [
      ["notes.txt", "1.2 kB", "192.168.1.7"],
      ["報告.pdf", "48 MB", "192.168.1.17"],
    ];
    expect(table(layout, rows)).toEqual([
      "name         size  holder",
      "notes.txt  1.2 kB  192.168.1.7",
      "報告.pdf    48 MB  192.168.1.17",
    ]);
  });

  test("without rows there is the title line only", () => {
    expect(table(layout, [])).toEqual(["name  size  holder"]);
  });

  test("a cell that is missing is empty", () => {
    expect(table(layout, [["a"]])).toEqual(["name  size  holder", "a"]);
  });

  test("a 255-byte wide name in 40 columns is cut, and the size stays visible", () => {
    const rows = [
      ["漢".repeat(85), "4.7 GB", "10.0.0.1"],
      ["short", "3 B", "192.168.100.200"],
    ];
    const lines = table(layout, rows, 40);
    for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(40);
    expect(lines[1]).toMatch(/^漢+… +4\.7 GB {2}10\.0\.0\.1$/);
    expect(lines[2]).toMatch(/^short +3 B {2}192\.168\.100\.200$/);
  });

  test("only columns that may shrink give way, and not below eight", () => {
    const lines = table(layout, [["a-very-long-name.tar.gz", "999 MB", "192.168.100.200"]], 20);
    expect(lines[1]).toBe("a-very-…  999 MB  192.168.100.200");
  });

  test("a dispensable column goes before anything is cut; spare ones go when cutting is not enough, the highest rank first", () => {
    const spared = [
      { title: "name", shrinksTo: 12 },
      { title: "type", dispensable: true as const },
      { title: "date", spare: 1 },
    ];
    const rows = [["a-very-long-name.tar.gz", "application/gzip", "22/11/26"]];
    const lineAt = (width: number) => table(spared, rows, width)[1];
    expect(lineAt(51)).toBe("a-very-long-name.tar.gz  application/gzip  22/11/26");
    expect(lineAt(50)).toBe("a-very-long-name.tar.gz  22/11/26");
    expect(lineAt(24)).toBe("a-very-long-n…  22/11/26");
    expect(lineAt(16)).toBe("a-very-long-nam…");
  });

  test("a column is never wider than its most, however wide the terminal is", () => {
    const columns = [{ title: "name", most: 10, names: true as const }, { title: "size" }];
    expect(table(columns, [["a-very-long-name.pdf", "1 B"]], 200)[1]).toBe("a-ver….pdf  1 B");
  });

  test("lays out a long list", () => {
    const rows = Array.from({ length: 20_000 }, (_, i) => [`file ${i}`, `${i} B`, "10.0.0.1"]);
    const lines = table(layout, rows, 80);
    expect(lines).toHaveLength(20_001);
    expect(lines[20_000]).toBe("file 19999  19999 B  10.0.0.1");
  });

  test("a column of names is cut in the middle", () => {
    const names = [{ title: "name", shrinksTo: 12, names: true as const }, { title: "size" }];
    expect(table(names, [["a-very-long-name.tar.gz", "1 B"]], 17)[1]).toBe("a-v….tar.gz  1 B");
  });
});
