// A lesson with the compiled programs: who has a file, being told when somebody has it, and collecting.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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

describe("being told", () => {
  test("get --wait fetches the moment somebody has it, also after the tracker was started again", async () => {
    const { address, port, program } = await stage.tracker();
    const to = stage.folder();
    const args = [address, "get", "notes.txt", "--wait", "--port", "0", "--to", to, "--name", "Ben", "--json"];
    const ben = stage.run(PEER, args, { cwd: stage.visitorFolder() });
    await program.waitFor(/joined[^\n]*Ben/);
    // The tracker has answered Ben before it answers this.
    expect((await stage.ft(stage.visitorFolder(), address, "who")).out).toContain("Ben");
    program.kill();
    await program.exited;
    const again = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce"]);
    await again.waitFor(/joined[^\n]*Ben/);
    await stage.sharing(address, stage.notesFolder(), 1);
    expect(await ben.exited).toBe(0);
    expect(readFileSync(join(to, "notes.txt"), "utf8")).toBe("twelve bytes");
  });

  test("get --wait ends with a sentence when its time is over", async () => {
    const { address } = await stage.tracker();
    const { code, err } = await stage.ft(stage.visitorFolder(), address, "get", "notes.txt", "--wait", "1s", "--quiet");
    expect({ code, err }).toEqual({ code: 1, err: 'Nobody has shared "notes.txt" within 1.0 s.\n' });
  });

  test("want prints each file that fits once, there already or new, and fetches it with --get", async () => {
    const { address } = await stage.tracker();
    await stage.sharing(address, stage.folderWith({ "lesson 1.txt": "one" }), 1);
    const to = stage.folder();
    const args = [address, "want", "lesson", "--ext", "txt", "--get", "--to", to, "--port", "0", "--json"];
    const ben = stage.run(PEER, args, { cwd: stage.visitorFolder() });
    await ben.waitFor(/"event":"done","name":"lesson 1\.txt"/);
    const later = stage.folderWith({ "lesson 2.txt": "two", "lesson 3.pdf": "three", "copy of lesson 1.txt": "one" });
    await stage.sharing(address, later, 3);
    await ben.waitFor(/"event":"done","name":"lesson 2\.txt"/);
    ben.kill("SIGINT");
    expect(await ben.exited).toBe(130);
    const appeared = ben.objects().filter(({ event }) => event === "appeared");
    expect(appeared.map(({ name }) => name)).toEqual(["lesson 1.txt", "lesson 2.txt"]);
    expect(readFileSync(join(to, "lesson 2.txt"), "utf8")).toBe("two");
  });
});

describe("collect", () => {
  test("a file that has the name of one person's folder does not keep the files of the others from coming", async () => {
    const { address } = await stage.tracker();
    for (const name of ["Ben", "Chloe"])
      await stage.sharing(address, stage.folderWith({ "homework.txt": `of ${name}` }), 1, "--name", name);
    const to = stage.folderWith({ Ben: "a file" });
    const run = await stage.ft(stage.visitorFolder(), address, "collect", "homework", "--to", to);
    expect(run.code).toBe(1);
    expect(run.err).toContain(`Cannot save into "${join(to, "Ben")}": it is not a folder.`);
    expect(run.err).toContain('Not fetched: "homework.txt" of Ben. Run the same command to fetch only these.');
    expect(readFileSync(join(to, "Chloe", "homework.txt"), "utf8")).toBe("of Chloe");
    expect(readFileSync(join(to, "Ben"), "utf8")).toBe("a file");
  });

  test("fetches each file that fits into a folder a person, says who had none, and again only what is new", async () => {
    const { address } = await stage.tracker();
    const ben = stage.folderWith({ "homework.txt": "of Ben" });
    await stage.sharing(address, ben, 1, "--name", "Ben");
    await stage.sharing(address, stage.folderWith({ "homework.txt": "of Chloe", "other.txt": "x" }), 2, "--name", "Chloe");
    await stage.sharing(address, stage.folderWith({ "other.txt": "x" }), 1, "--name", "Dan");
    const to = join(stage.folder(), "work");
    const collect = (...args: string[]) => stage.ft(stage.visitorFolder(), address, "collect", "homework", "--to", to, ...args);
    const first = await collect();
    expect(first.code).toBe(0);
    expect(first.out.trimEnd().split("\n").sort()).toEqual([
      "2 new files of 2 people, 14 B",
      "Ben: 1 file, 6 B",
      "Chloe: 1 file, 8 B",
      "Nothing that fits from Dan.",
    ]);
    expect(readdirSync(to).sort()).toEqual(["Ben", "Chloe"]);
    expect(readFileSync(join(to, "Chloe", "homework.txt"), "utf8")).toBe("of Chloe");
    writeFileSync(join(to, "Ben", "homework.txt"), "older");
    const again = await collect("--json");
    expect(again.program.objects().filter(({ event }) => event === "collected" || event === "total")).toEqual([
      expect.objectContaining({ event: "collected" }),
      expect.objectContaining({ event: "collected" }),
      { event: "total", people: 2, files: 1, size: 6, none: ["Dan"] },
    ]);
    expect(readdirSync(join(to, "Ben"))).toHaveLength(2);
    expect(readdirSync(join(to, "Chloe"))).toHaveLength(1);
    const one = await collect("--from", "chloe", "--json");
    expect(one.program.objects().at(-1)).toEqual({ event: "total", people: 1, files: 0, size: 0, none: [] });
    const nobody = await stage.ft(stage.visitorFolder(), address, "collect", "nothing", "--to", to, "--quiet");
    expect(nobody).toMatchObject({ code: 1, err: "Nobody has a file that fits.\n" });
  });

  test("waits for somebody who left in the middle, goes on when it is back, and takes those along who came meanwhile", async () => {
    const { address, program } = await stage.tracker();
    const cwd = stage.folderWith({ "homework.bin": new Uint8Array(3_000_000).fill(7) });
    const share = async (...args: string[]) =>
      (await stage.sharing(address, cwd, 0, "--share", "homework.bin", "--name", "Ben", ...args)).program;
    const ben = await share("--limit", "100kB");
    await ben.waitFor(/"event":"root"/);
    const to = join(stage.folder(), "work");
    const args = [address, "collect", "homework", "--to", to, "--port", "0", "--name", "Anna"];
    const collecting = stage.run(PEER, args, { cwd: stage.visitorFolder() });
    await ben.waitFor(/"event":"upload-started"/);
    await stage.sharing(address, stage.folderWith({ "homework.txt": "of Chloe" }), 1, "--name", "Chloe");
    ben.kill();
    await program.waitFor(/left[^\n]*"Ben"/);
    await collecting.waitFor(/Chloe: 1 file, 8 B/);
    await share();
    expect({ code: await collecting.exited, err: collecting.err }).toMatchObject({
      code: 0,
      err: expect.stringContaining("Left before all was fetched: Ben. Waiting"),
    });
    expect(collecting.out).toContain("Ben: 1 file, 3.0 MB\n2 new files of 2 people, 3.0 MB\n");
    expect(readFileSync(join(to, "Ben", "homework.bin")).every((byte) => byte === 7)).toBe(true);
  });
});
