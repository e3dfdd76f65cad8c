// The names that a person may have meant: a search that compares words like the tracker does, and a few files.

import { describe, expect, test } from "bun:test";
import { distanceOf, findSimilar } from "../../../lib/peer/commands/similar.ts";
import type { Wish } from "../../../lib/protocol/messages.ts";
import { record } from "../../helpers/session-room.ts";

/** A tracker's FIND over these names, and the words that it was asked for. */
function finder(names: string[]) {
  const asked: string[][] = [];
  const fold = (text: string) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const find = async ({ words }: Wish) => {
    asked.push(words);
    return { records: names.filter((name) => words.every((word) => fold(name).includes(word))).map((name) => record(name)) };
  };
  return { asked, find };
}

const NAMES = ["report.pdf", "Field trip video.mp4", "réseau.txt", "week 7 slides.pdf", "zebra.png"];

async function similarTo(typed: string): Promise<string[]> {
  return (await findSimilar(typed, finder(NAMES).find)).map(({ name }) => name);
}

describe("findSimilar", () => {
  test("finds a name with another case, without accents, with a typo, and one that holds the words", async () => {
    expect(await similarTo("Report.PDF")).toEqual(["report.pdf"]);
    expect(await similarTo("raport.pdf")).toEqual(["report.pdf"]);
    expect(await similarTo("repotr")).toEqual(["report.pdf"]);
    expect(await similarTo("reseau.txt")).toEqual(["réseau.txt"]);
    expect(await similarTo("video")).toEqual(["Field trip video.mp4"]);
    expect(await similarTo("week 7 slide.pdf")).toEqual(["week 7 slides.pdf"]);
  });

  test("finds nothing for a name that is like no other, and asks few times", async () => {
    const { asked, find } = finder(NAMES);
    expect(await findSimilar("a quite different name of many words.tar.gz", find)).toEqual([]);
    expect(asked.length).toBeLessThan(12);
    expect(await findSimilar("-*?", find)).toEqual([]);
  });

  test("never asks for a wildcard or an exclusion", async () => {
    const { asked, find } = finder(NAMES);
    await findSimilar("-draft *.p?f", find);
    expect(asked.flat().join("")).not.toMatch(/[-*?]/);
  });

  test("gives the nearest first, each name once, three at most", async () => {
    const many = ["report 10.pdf", "report.pdf", "reports.pdf", "report.pdf", "report 11.pdf", "my report.pdf"];
    const names = (await findSimilar("report", finder(many).find)).map(({ name }) => String(name));
    expect(names).toHaveLength(3);
    expect(names[0]).toBe("report.pdf");
    expect(new Set(names).size).toBe(3);
  });
});

test("distanceOf is undefined for names that nobody can mean", () => {
  expect(distanceOf("report.pdf", "zebra.png")).toBeUndefined();
  expect(distanceOf("a", "b")).toBeUndefined();
  expect(distanceOf("report", "report.pdf")).toBe(0);
});
