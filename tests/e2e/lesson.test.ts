// A lesson with the compiled programs: who has a file.

import { describe, expect, test } from "bun:test";
import { peerStage } from "../helpers/peer-stage.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";

const stage = peerStage();

describe("who has it", () => {
  test("is told to a peer, to the tracker's operator and to the sharer, a line a person", async () => {
    const { address, port } = await stage.tracker();
    const teacher = stage.run(PEER, [address, "share", "--port", "0", "--name", "Anna"], { cwd: stage.notesFolder() });
    await teacher.waitFor(/"notes\.txt" is ready/);
    await stage.sharing(address, stage.folderWith({ "own.txt": "of Chloe" }), 1, "--name", "Chloe");
    await stage.sharing(address, stage.folderWith({ "copy.txt": "twelve bytes" }), 1, "--name", "Dan");
    const asked = await stage.ft(stage.visitorFolder(), address, "holders", "notes.txt", "--name", "Visitor");
    expect({ code: asked.code, rows: asked.out.split("\n").map((row) => row.split("\t").slice(0, 5)) }).toEqual({
      code: 0,
      rows: [
        ["notes.txt", "12 B", "has all", "", "Anna"],
        ["notes.txt", "12 B", "has all", "", "Dan"],
        ["notes.txt", "12 B", "not yet", "", "Chloe"],
        [""],
      ],
    });
    const json = await stage.ft(stage.visitorFolder(), address, "holders", "notes.txt", "--json");
    expect(json.program.objects()).toMatchObject([
      { name: "notes.txt", state: "all", by: "Anna" },
      { state: "all", by: "Dan" },
      { state: "none", by: "Chloe" },
    ]);
    const order = stage.run(TRACKER, ["holders", "notes.txt", "--port", String(port)]);
    expect(await order.exited).toBe(0);
    expect(order.out).toBe(
      '"notes.txt" (12 B): 2 of 3 have it, 1 not yet\n  has all   Anna\n  has all   Dan\n  not yet   Chloe\n',
    );
    const get = await stage.ft(stage.visitorFolder(), address, "get", "notes.txt", "--from", "Anna", "--name", "Ben");
    expect(get.code).toBe(0);
    await teacher.waitFor(/Ben has all of "notes\.txt"\.\n/);
    expect(teacher.out).not.toMatch(/started downloading|got 12 B/);
    const nobody = await stage.ft(stage.visitorFolder(), address, "holders", "nothing.txt", "--quiet");
    expect(nobody).toMatchObject({ code: 1, err: 'Nobody online is sharing a file called "nothing.txt".\n' });
  });
});
