// Under which names the entries of a fetched folder lie on this disk.

import { describe, expect, test } from "bun:test";
import { FolderLayout } from "../../../../lib/peer/disk/folders/folder-layout.ts";

function placesOf(paths: string[], tellsCase = true): string[] {
  const layout = new FolderLayout(paths, tellsCase);
  return paths.map((path) => layout.placeOf(path));
}

describe("FolderLayout", () => {
  test("safe names stay, with all folders on the way", () => {
    const paths = ["a.txt", "b/c/d.txt", "b/c/e/", "f/g.txt"];
    expect(placesOf(paths)).toEqual(paths);
    const { folders } = new FolderLayout(paths, true);
    expect([...folders]).toEqual(["b/", "b/c/", "b/c/e/", "f/"].map((path) => [path, path]));
  });

  test("a name that is not safe is changed", () => {
    const paths = ["CON/a:b.txt", "desktop.ini"];
    expect(placesOf(paths)).toEqual(["_CON/a_b.txt", "desktop.ini.download"]);
    const { folders, renamed } = new FolderLayout(paths, true);
    expect([...folders]).toEqual([["CON/", "_CON/"]]);
    expect(renamed).toEqual([
      { path: "CON/", local: "_CON/" },
      { path: "CON/a:b.txt", local: "_CON/a_b.txt" },
      { path: "desktop.ini", local: "desktop.ini.download" },
    ]);
  });

  test("what is only in a folder with another name is not told, and an empty folder is told once", () => {
    expect(new FolderLayout(["CON/plain.txt", "a:/"], true).renamed).toEqual([
      { path: "CON/", local: "_CON/" },
      { path: "a:/", local: "a_/" },
    ]);
  });

  test("names that become one get numbers, so that no entry replaces another", () => {
    expect(placesOf(["a:b.txt", "a?b.txt", "a_b.txt"])).toEqual(["a_b.txt", "a_b (1).txt", "a_b (2).txt"]);
    expect(placesOf(["x:/1", "x?/1"])).toEqual(["x_/1", "x_ (1)/1"]);
  });

  test("many names that become one are each looked for once: a hostile list does not keep the program busy", () => {
    const characters = [":", "*", "?", "|", '"'];
    const nameOf = (n: number) => Array.from({ length: 8 }, (_, at) => characters[Math.floor(n / 5 ** at) % 5]).join("");
    const places = placesOf(Array.from({ length: 100_000 }, (_, n) => `${nameOf(n)}.txt`));
    expect(places[1]).toBe("________ (1).txt");
    expect(places.at(-1)).toBe("________ (99999).txt");
    expect(new Set(places).size).toBe(100_000);
  });

  test("names that differ in case only get numbers where the disk does not tell them apart", () => {
    const paths = ["Docs/A.txt", "Makefile", "docs/a.txt", "makefile"];
    expect(placesOf(paths, true)).toEqual(paths);
    expect(placesOf(paths, false)).toEqual(["Docs/A.txt", "Makefile", "docs (1)/a.txt", "makefile (1)"]);
  });

  test("a file and a folder that become one name are two", () => {
    expect(placesOf(["a:", "a?/b"])).toEqual(["a_", "a_ (1)/b"]);
  });
});
