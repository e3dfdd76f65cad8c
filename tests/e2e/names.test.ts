// Names of peers as people use them: the compiled programs, three people on one computer.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { defaultPeerName } from "../../lib/peer/options.ts";
import { DECEIVING, expectSentence, peerStage, waitForJoined } from "../helpers/peer-stage.ts";

const stage = peerStage();

/** A tracker with two people of one name who share different files. */
async function twoBens() {
  const { address, program } = await stage.tracker("--json");
  await stage.sharing(address, stage.folderWith({ "a.txt": "from the first" }), 1, "--name", "Ben");
  const first = await waitForJoined(program);
  const second = await stage.sharing(address, stage.folderWith({ "a.txt": "from the other" }), 1, "--name", " ben\u200b ");
  return { address, program, first, second };
}

describe("--name", () => {
  test("is what others see in who, list and search; the second of a name gets a number and is told it", async () => {
    const { address, second } = await twoBens();
    expect(second.program.out).toMatch(/"event":"joined"[^\n]*"you":"ben \(2\)"/);
    const me = (...args: string[]) => stage.ft(stage.visitorFolder(), address, ...args, "--name", "Ana");
    const who = await me("who");
    expect(
      who.out
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)[0]),
    ).toEqual(["WHO", "Ben", "ben (2)", "Ana (you)"]);
    const search = await me("search", "a.txt");
    expect(search.out).toMatch(/ Ben( .*)?\n/);
    expect(search.out).toMatch(/ ben \(2\)( .*)?\n/);
    const json = await me("list", "--json");
    expect(
      json.program
        .objects()
        .map(({ by }) => by)
        .sort(),
    ).toEqual(["Ana", "Ben", "ben (2)"]);
    const people = await me("who", "--json");
    expect(people.program.objects().map(({ name }) => name)).toEqual(["Ben", "ben (2)", "Ana"]);
  });

  test("chooses the holder: --from and list take it, in whatever case", async () => {
    const { address } = await twoBens();
    for (const [from, text] of [
      ["BEN", "from the first"],
      ["Ben (2)", "from the other"],
    ] as const) {
      const to = stage.folder();
      const { code } = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "--from", from, "--to", to);
      expect([code, readFileSync(join(to, "a.txt"), "utf8")]).toEqual([0, text]);
    }
    const list = await stage.ft(stage.visitorFolder(), address, "list", "ben (2)", "--json");
    expect(list.program.objects()).toMatchObject([{ name: "a.txt", by: "ben (2)" }]);
    const nobody = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "--from", "Bert", "--quiet");
    expect(nobody.code).toBe(1);
    expectSentence(nobody.err);
    expect(nobody.err).toContain('"Bert"');
  });

  test("is the computer's name when none is given, and none when it is empty", async () => {
    const { address, program } = await stage.tracker("--json");
    await stage.ft(stage.visitorFolder(), address, "who");
    const [line] = await program.waitFor(/\{"event":"joined"[^\n]*\n/);
    expect(JSON.parse(line).name ?? "").toBe(defaultPeerName(hostname()));
    const shy = await stage.ft(stage.visitorFolder(), address, "who", "--json", "--name", "");
    expect(shy.program.objects()[0]).not.toHaveProperty("name");
  });

  test.each([
    "Ben\n12:00:00  joined   Teacher",
    '"Ben"; rm -rf ~',
    "n".repeat(5_000),
    "\u202eneB\u2066",
    "👩🏽‍💻 🦊",
    "דנה",
    "Ben%0A%00",
  ])("%j misleads nobody's terminal or log", async (name) => {
    const { address, program } = await stage.tracker();
    const { code, out } = await stage.ft(stage.visitorFolder(), address, "who", "--name", name);
    expect(code).toBe(0);
    expect(out.trimEnd().split("\n")).toHaveLength(2);
    await program.waitFor(/left [^\n]*\n/);
    for (const text of [out, program.out]) {
      expect(text).not.toMatch(DECEIVING);
      expect(text.split("\n").every((line) => line.length < 250)).toBe(true);
    }
    expect(program.out).not.toMatch(/^12:00:00 {2}joined/m);
  });
});
