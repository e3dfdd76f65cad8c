// The list of a shared folder: its bytes, and everything that a hostile list may have in it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  comparePaths,
  DEEPEST_PATH,
  EMPTY_ROOT,
  type FolderEntry,
  isFolderEntry,
  LONGEST_LIST,
  MOST_ENTRIES,
  refusalOfPath,
} from "../../lib/protocol/folder.ts";
import { parseFolderList } from "../../lib/protocol/folder-list.ts";
import { folderList } from "../helpers/folder-list.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const bytesOf = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => [...parseFolderList(bytesOf(text))];
/** Expects that a list is refused for this reason. */
function expectRefusal(list: string | Uint8Array, why: string): void {
  expect(() => parseFolderList(typeof list === "string" ? bytesOf(list) : list)).toThrow(why);
}

describe("formatFolderList", () => {
  test("one line an entry, in the order of the bytes", () => {
    const entries = [
      { path: "notes/2.txt", size: 7, root: B },
      { path: "empty/", size: 0, root: EMPTY_ROOT },
      { path: "notes.txt", size: 3, root: A },
    ];
    const list = new TextDecoder().decode(folderList(entries));
    expect(list).toBe(`0 ${EMPTY_ROOT} empty/\n3 ${A} notes.txt\n7 ${B} notes/2.txt\n`);
  });

  test("a folder without entries has an empty list", () => {
    expect(folderList([])).toEqual(new Uint8Array(0));
    expect(parse("")).toEqual([]);
  });

  test("what it writes is read again, whatever the order of the entries", () => {
    const part = fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).filter((text) => {
      return (
        /^[^/\u0000-\u001f\u007f\ufffd]+$/.test(text) &&
        text.isWellFormed() &&
        text.normalize("NFC") === text &&
        !/^\.\.?$/.test(text)
      );
    });
    const entry = fc.record({
      path: part,
      size: fc.nat({ max: 2 ** 40 }).map((size) => size + 1),
      root: fc.constantFrom(A, B),
    });
    fc.assert(
      fc.property(fc.uniqueArray(entry, { selector: ({ path }) => path, maxLength: 20 }), (entries) => {
        const read = [...parseFolderList(folderList(entries))];
        expect(read).toEqual(entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path))));
      }),
    );
  });
});

describe("comparePaths", () => {
  test("orders like the bytes of UTF-8, also beyond U+FFFF", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(Math.sign(comparePaths(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
    expect(comparePaths("\u{1F600}", "\uFF21")).toBeGreaterThan(0);
  });
});

describe("parseFolderList", () => {
  test("files and empty folders, as they stand", () => {
    const entries: FolderEntry[] = parse(`0 ${EMPTY_ROOT} a/\n0 ${EMPTY_ROOT} b\n12 ${A} c d/e.txt\n`);
    expect(entries).toEqual([
      { path: "a/", size: 0, root: EMPTY_ROOT },
      { path: "b", size: 0, root: EMPTY_ROOT },
      { path: "c d/e.txt", size: 12, root: A },
    ]);
    expect(entries.map(isFolderEntry)).toEqual([true, false, false]);
  });

  const lines: [what: string, list: string | Uint8Array, why: string][] = [
    ["a way up", `1 ${A} ../x\n`, "made of dots"],
    ["a way up in the middle", `1 ${A} a/../../x\n`, "made of dots"],
    ["a dot", `1 ${A} ./x\n`, "made of dots"],
    ["an absolute path", `1 ${A} /etc/passwd\n`, "empty"],
    ["an empty part", `1 ${A} a//b\n`, "empty"],
    ["two slashes at the end", `0 ${EMPTY_ROOT} a//\n`, "empty"],
    ["only a slash", `0 ${EMPTY_ROOT} /\n`, "empty"],
    ["a NUL", `1 ${A} a\0b\n`, "control character"],
    ["a carriage return", `1 ${A} a\r\n`, "control character"],
    ["a name that is not normalised", `1 ${A} cafe\u0301\n`, "not normalised"],
    ["a replacement character", `1 ${A} a\ufffd\n`, "UTF-8"],
    ["bytes that are not UTF-8", Buffer.concat([bytesOf(`1 ${A} a`), new Uint8Array([0xff, 0x0a])]), "UTF-8"],
    ["half a character", Buffer.concat([bytesOf(`1 ${A} a`), new Uint8Array([0xc3, 0x0a])]), "UTF-8"],
    ["a deleted character", `1 ${A} a\x7f\n`, "control character"],
    ["three dots as a part are a name, two are not", `1 ${A} .../..\n`, "made of dots"],
    ["a byte order mark", `\ufeff1 ${A} a\n`, "size, root and path"],
    ["a long name", `1 ${A} ${"n".repeat(256)}\n`, "255 bytes"],
    ["a long path", `1 ${A} ${Array(17).fill("n".repeat(250)).join("/")}\n`, "4096 bytes"],
    [
      "a deep path",
      `1 ${A} ${Array(DEEPEST_PATH + 1)
        .fill("d")
        .join("/")}\n`,
      "64 folders",
    ],
    ["a path twice", `1 ${A} a\n1 ${A} a\n`, "twice"],
    ["another order", `1 ${A} b\n1 ${A} a\n`, "in order"],
    ["a file that is a folder, too", `1 ${A} a\n1 ${A} a/b\n`, "both a file and a folder"],
    ["a file that is a folder, with others between", `1 ${A} a\n1 ${A} a.b\n1 ${A} a/b\n`, "both a file and a folder"],
    ["a file that is an empty folder, too", `1 ${A} a\n0 ${EMPTY_ROOT} a/\n`, "both a file and a folder"],
    ["an empty folder with a file", `0 ${EMPTY_ROOT} a/\n1 ${A} a/b\n`, "both a file and a folder"],
    ["an empty folder with bytes", `1 ${A} a/\n`, "has bytes"],
    ["an empty file with the id of another", `0 ${A} a\n`, "has bytes"],
    ["a size with zeros", `01 ${A} a\n`, "size, root and path"],
    ["a size below zero", `-1 ${A} a\n`, "size, root and path"],
    ["a size beyond all disks", `9007199254740993 ${A} a\n`, "size, root and path"],
    ["sizes that add up to more", `9007199254740991 ${A} a\n1 ${A} b\n`, "too large"],
    ["a root in capitals", `1 ${A.toUpperCase()} a\n`, "size, root and path"],
    ["a short root", `1 ${A.slice(1)} a\n`, "size, root and path"],
    ["two spaces", `1  ${A} a\n`, "size, root and path"],
    ["no path", `1 ${A} \n`, "size, root and path"],
    ["an empty line", `1 ${A} a\n\n`, "size, root and path"],
    ["a last line without an end", `1 ${A} a`, "does not end"],
  ];
  test.each(lines)("%s is refused", (_what, list, why) => {
    expectRefusal(list, why);
  });

  test("the limits of length and number hold", () => {
    const most = Array.from({ length: MOST_ENTRIES }, (_, i) => `1 ${A} ${String(i).padStart(6, "0")}\n`);
    expect(parse(most.join(""))).toHaveLength(MOST_ENTRIES);
    expectRefusal([...most, `1 ${A} 1000000\n`].join(""), "more than 100000 entries");
  });

  test("a short list that names very many folders", () => {
    const deep = "/a".repeat(DEEPEST_PATH - 2);
    const lineOf = (_: unknown, n: number) => `1 ${A} ${String(n).padStart(5, "0")}${deep}/f\n`;
    const folders = DEEPEST_PATH - 1;
    const fits = Math.floor(MOST_ENTRIES / (folders + 1));
    expect(parse(Array.from({ length: fits }, lineOf).join(""))).toHaveLength(fits);
    expectRefusal(Array.from({ length: fits + 1 }, lineOf).join(""), "more than 100000 entries");
    expectRefusal(new Uint8Array(LONGEST_LIST + 1).fill(0x31), "longer than 16777216 bytes");
  });

  test("deep and long paths that fit are read", () => {
    const deep = Array(DEEPEST_PATH).fill("d").join("/");
    const long = Array(16).fill("n".repeat(255)).join("/").slice(0, 4095);
    expect(parse(`1 ${A} ${deep}\n1 ${A} ${long}\n`).map(({ path }) => path)).toEqual([deep, long]);
  });
});

describe("FolderList", () => {
  const list = parseFolderList(
    bytesOf(
      `0 ${EMPTY_ROOT} a/\n12 ${A} b\n1 ${B} b-c/d\n2 ${A} b.txt\n3 ${B} c/d/e\n4 ${A} c/f\n5 ${A} c0\n6 ${A} \u00e9/\u{1F600}\n`,
    ),
  );

  test("gives each entry by its number", () => {
    expect(list.length).toBe(8);
    expect(list.entry(2)).toEqual({ path: "b-c/d", size: 1, root: B });
    expect([list.isFolder(0), list.isFolder(1)]).toEqual([true, false]);
    const root = new Uint8Array(34);
    list.copyRoot(0, root, 1);
    expect(root.subarray(1, 33).toHex()).toBe(EMPTY_ROOT);
    expect([root[0], root[33]]).toEqual([0, 0]);
  });

  test("finds an entry by its path", () => {
    for (const [entry, { path }] of [...list].entries()) expect(list.find(bytesOf(path))).toBe(entry);
    for (const path of ["", "a", "b/", "c", "c/", "c/d", "z", "\u{1F600}"]) expect(list.find(bytesOf(path))).toBe(-1);
  });

  test("tells which entries a path inside means: one file, or everything that is in a folder", () => {
    const inside = (path: string) => {
      const [first, end] = list.rangeOf(path);
      return [...list].slice(first, end).map((entry) => entry.path);
    };
    expect(inside("")).toHaveLength(8);
    expect(inside("b")).toEqual(["b"]);
    expect(inside("c")).toEqual(["c/d/e", "c/f"]);
    expect(inside("c/d")).toEqual(["c/d/e"]);
    expect(inside("a")).toEqual(["a/"]);
    expect(inside("\u00e9")).toEqual(["\u00e9/\u{1F600}"]);
    for (const nothing of ["b-", "c/d/", "x", "c/d/e/f"]) expect(inside(nothing)).toEqual([]);
  });

  test("whatever is in it, the checks that need no text agree with those that do", () => {
    const path = fc.array(fc.constantFrom("a", "b", ".", "..", "/", "a/", "\u00e9", "e\u0301", "\n", "\x1f", " "), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(path, (parts) => {
        const text = parts.join("");
        const isEmptyFolder = text.endsWith("/");
        const isRight = refusalOfPath(text) === undefined;
        const read = () => parse(`${isEmptyFolder ? `0 ${EMPTY_ROOT}` : `1 ${A}`} ${text}\n`);
        if (isRight) expect(read().map((entry) => entry.path)).toEqual([text]);
        else expect(read).toThrow();
      }),
    );
  });
});
