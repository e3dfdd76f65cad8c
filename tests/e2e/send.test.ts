// Handing out with the compiled programs: send on one side, share --accept, a terminal or a script on the other.

import { describe, expect, test } from "bun:test";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerStage, seenIn } from "../helpers/peer-stage.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";

const stage = peerStage();

/** Somebody who stays online and fetches what is sent by these people. Gives the folder into which that goes. */
async function pupil(address: string, name: string, ...args: string[]) {
  const to = stage.folder();
  const run = [address, "share", "--port", "0", "--name", name, "--to", to, ...args];
  const program = stage.run(PEER, run, { cwd: stage.visitorFolder() });
  await program.waitFor(args.includes("--json") ? /"event":"root"/ : /"visitor\.txt" is ready/);
  return { program, to };
}

function sending(address: string, what: string[], ...args: string[]) {
  return stage.run(PEER, [address, "send", ...what, "--port", "0", "--name", "Anna", ...args], { cwd: stage.folder() });
}

const slides = (text = "slides") => join(stage.folderWith({ "slides.txt": text }), "slides.txt");

describe("send", () => {
  test("to some ends when they have it; others do not find it, are not told and keep nothing", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const ben = await pupil(address, "Ben", "--accept", "Anna");
    const chloe = await pupil(address, "Chloe", "--accept", "all", "--json");
    const anna = sending(address, [slides()], "--to", "ben", "--say", "for\u202e Monday");
    await ben.program.waitFor(/Anna offers "slides\.txt" \(6 B\), "for\\u202e Monday"\. Fetching it\.\n/);
    expect(await anna.exited).toBe(0);
    expect(anna.out).toBe('Ben has "slides.txt" (1 of 1).\n1 of 1 has it.\n');
    expect(anna.err).toContain('Handing out "slides.txt" (6 B) to Ben. Ctrl-C ends that.\n');
    expect(readFileSync(join(ben.to, "slides.txt"), "utf8")).toBe("slides");
    // Ben has it now, and shows it to nobody else.
    const found = await stage.ft(stage.visitorFolder(), address, "find", "slides");
    expect(found).toMatchObject({ code: 1, err: expect.stringContaining("No matching files.") });
    const listed = await stage.ft(stage.visitorFolder(), address, "list", "Ben");
    expect(listed.out).not.toContain("slides");
    const got = await stage.ft(stage.visitorFolder(), address, "get", "slides.txt");
    expect(got.code).toBe(1);
    const holders = stage.run(TRACKER, ["holders", "slides.txt", "--port", address.split(":")[1] ?? ""]);
    expect(await holders.exited).toBe(1);
    expect(chloe.program.out).not.toContain("offer");
    expect(seenIn(chloe.to)).toEqual([]);
    expect(tracker.out).toMatch(/"event":"offered"[^\n]*"name":"Anna"[^\n]*"size":6,"to":1/);
    expect(tracker.out).not.toContain("slides");
  });

  test("a person who only sends to others is listed as one who shares nothing with you", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben");
    sending(address, [slides()], "--to", "Ben", "--wait", "1h");
    await ben.program.waitFor(/Anna offers/);
    const listed = await stage.ft(stage.visitorFolder(), address, "list", "Anna", "--quiet");
    expect(listed).toMatchObject({ code: 1, err: '"Anna" shares no file with you.\n' });
  });

  test("to all reaches those that are there, those that join later, and those that have the file already", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben", "--accept", "all", "--json");
    writeFileSync(join(ben.to, "slides.txt"), "slides");
    const file = slides();
    const anna = sending(address, [file], "--to", "all", "--wait", "--json");
    await anna.waitFor(/"event":"has-all"[^\n]*"by":"Ben"/);
    const chloe = await pupil(address, "Chloe", "--accept", "Dan,Anna", "--json");
    await anna.waitFor(/"event":"has-all"[^\n]*"by":"Chloe"[^\n]*"has":2,"online":2/);
    expect(readFileSync(join(chloe.to, "slides.txt"), "utf8")).toBe("slides");
    const event = ben.program.objects().find(({ event }) => event === "offer");
    expect(event).toMatchObject({ name: "slides.txt", size: 6, by: "Anna", say: "", root: expect.any(String) });
    expect(ben.program.objects().find(({ event }) => event === "done")).toMatchObject({ outcome: "already here" });
    expect(seenIn(ben.to)).toEqual(["slides.txt"]);
    anna.kill("SIGINT");
    expect(await anna.exited).toBe(130);
    expect(anna.objects().findLast(({ event }) => event === "sent")).toMatchObject({
      files: ["slides.txt"],
      done: true,
      people: [
        { by: "Ben", state: "has" },
        { by: "Chloe", state: "has" },
      ],
    });
  });

  test("hands out a folder and several files at once, under other names where these are taken", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben", "--accept", "Anna", "--json");
    writeFileSync(join(ben.to, "a.txt"), "another one");
    const folder = stage.folderWith({ "a.txt": "a", "b.txt": "b", "c.txt": "c", "d.txt": "d", "e.txt": "e", "f.txt": "f" });
    const files = ["a", "b", "c", "d", "e", "f"].map((name) => join(folder, `${name}.txt`));
    const lesson = join(stage.folder(), "Lesson");
    await Bun.write(join(lesson, "1", "one.txt"), "one");
    const anna = sending(address, [...files, lesson], "--to", "Ben");
    expect(await anna.exited).toBe(0);
    expect(anna.out).toBe("Ben has all 7 files (1 of 1).\n1 of 1 has all.\n");
    expect(seenIn(ben.to)).toEqual(["Lesson", "a (1).txt", "a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "f.txt"]);
    expect(readFileSync(join(ben.to, "Lesson", "1", "one.txt"), "utf8")).toBe("one");
    expect(readFileSync(join(ben.to, "a.txt"), "utf8")).toBe("another one");
  });

  test("of a folder says what is left out of it", async () => {
    const { address } = await stage.tracker();
    await pupil(address, "Ben", "--accept", "Anna");
    const folder = stage.folderWith({ "a.txt": "a", ".secret": "s" });
    symlinkSync("a.txt", join(folder, "link"));
    const anna = sending(address, [folder], "--to", "Ben");
    expect(await anna.exited).toBe(0);
    expect(anna.err).toMatch(/The folder "[^"]+" is ready: 1 file, 1 B\. Left out: 1 hidden entry, 1 link\.\n/);
  });

  test("of a folder ends also when the receiver has own files in a folder of its name, which nobody else gets", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben", "--accept", "all");
    await Bun.write(join(ben.to, "Lesson", "private.txt"), "mine");
    await Bun.write(join(ben.to, "Lesson", "1", "own.txt"), "mine");
    await Bun.write(join(ben.to, "Lesson", "two.txt"), "my own words");
    const lesson = join(stage.folder(), "Lesson");
    await Bun.write(join(lesson, "1", "one.txt"), "one");
    await Bun.write(join(lesson, "two.txt"), "two");
    const anna = sending(address, [lesson], "--to", "all");
    expect(await anna.exited).toBe(0);
    expect(anna.out).toBe('Ben has "Lesson" (1 of 1).\n1 of 1 has it.\n');
    expect(readFileSync(join(ben.to, "Lesson", "private.txt"), "utf8")).toBe("mine");
    expect(readFileSync(join(ben.to, "Lesson", "two.txt"), "utf8")).toBe("my own words");
    expect(seenIn(join(ben.to, "Lesson"))).toEqual(["1", "private.txt", "two (1).txt", "two.txt"]);
    // Anna has left: Ben hands it on as it came.
    const to = stage.folder();
    const got = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to);
    expect(got.code).toBe(0);
    expect(seenIn(join(to, "Lesson"))).toEqual(["1", "two.txt"]);
    expect(readFileSync(join(to, "Lesson", "two.txt"), "utf8")).toBe("two");
    expect(seenIn(join(to, "Lesson", "1"))).toEqual(["one.txt"]);
  });

  test("to one who shares the folder into which it comes: nobody else finds it, or sees it in that folder", async () => {
    const { address } = await stage.tracker();
    const box = join(stage.folder(), "Box");
    await Bun.write(join(box, "Lesson", "own.txt"), "own");
    const run = [address, "share", box, "--port", "0", "--name", "Ben", "--to", box, "--accept", "all", "--json"];
    const ben = stage.run(PEER, run, { cwd: stage.folder() });
    await ben.waitFor(/"event":"folder"[^\n]*"files":1/);
    const lesson = join(stage.folder(), "Lesson");
    await Bun.write(join(lesson, "1", "secret.txt"), "for Ben");
    expect(await sending(address, [slides(), lesson], "--to", "Ben").exited).toBe(0);
    expect(seenIn(join(box, "Lesson"))).toEqual(["1", "own.txt"]);
    // What comes for everybody is shown, and with it all that is.
    expect(await sending(address, [slides("for all")], "--to", "all").exited).toBe(0);
    await ben.waitFor(/"event":"folder"[^\n]*"files":2[^\n]*"sent to you only":2/);
    const to = stage.folder();
    expect((await stage.ft(stage.visitorFolder(), address, "get", "Box", "--to", to)).code).toBe(0);
    expect([seenIn(join(to, "Box")), seenIn(join(to, "Box", "Lesson"))]).toEqual([["Lesson", "slides (1).txt"], ["own.txt"]]);
  });

  test("says who is there when a name is not, who cannot be asked, and which other people have the name", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben");
    await pupil(address, "Ben", "--accept", "all");
    await stage.enlist(Number(address.split(":")[1]), 5000, ["<old.txt,text/plain,5,22/11/26,127.0.0.1,5000;v=2>"]);
    const send = (...args: string[]) => stage.ft(stage.folder(), address, "send", slides(), "--name", "Anna", ...args);
    expect(await send("--to", "Bne", "--quiet")).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^No peer "Bne" is online\. Online: .*"Ben".*\.\n$/),
    });
    expect(await send("--to", "Anna", "--quiet")).toMatchObject({ code: 1, err: expect.stringMatching(/^"Anna" is you\. /) });
    expect(await send("--to", "127.0.0.1:5000", "--quiet")).toMatchObject({
      code: 1,
      err: "Cannot be asked, because the program there is an older version, does not take offers now, or is at another tracker of the group: 127.0.0.1:5000.\n",
    });
    const both = await send("--to", "Ben (2)");
    expect(both).toMatchObject({ code: 0, err: expect.stringContaining('There is also "Ben". This goes to "Ben (2)" only.') });
    expect(ben.program.out).not.toContain("offers");
  });

  test("tells an older tracker nothing of a file that is for some, and says that it cannot hand out", async () => {
    const { address } = await stage.rawTracker();
    for (const to of ["Ben", "all"]) {
      const { code, err } = await stage.ft(stage.folder(), address, "send", slides(), "--to", to, "--quiet");
      expect({ code, err }).toEqual({
        code: 1,
        err: "The tracker there is of an older version and cannot hand out files. Share them with everybody: ft-peer share PATH...\n",
      });
    }
  });

  test("Ctrl-C says who has not; without --accept an offer is a line, and nothing is fetched", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben");
    const anna = sending(address, [slides()], "--to", "Ben", "--quiet");
    await ben.program.waitFor(/Anna offers "slides\.txt" \(6 B\)\. It is not fetched: [^\n]*--accept/);
    anna.kill("SIGINT");
    expect(await anna.exited).toBe(130);
    expect(anna.out).toBe("0 of 1 have it, 1 not yet. Not yet: Ben.\n");
    expect(seenIn(ben.to)).toEqual([]);
  });

  test("whose person leaves before the answer leaves nothing to fetch, and that is said", async () => {
    const { address } = await stage.tracker();
    const ben = await pupil(address, "Ben", "--accept", "Anna", "--limit", "1kB", "--json");
    const anna = sending(address, [slides("x".repeat(200_000))], "--to", "Ben");
    await ben.program.waitFor(/"event":"offer"/);
    anna.kill();
    await ben.program.waitFor(/"event":"error"[^\n]*"name":"slides\.txt"/);
    expect(seenIn(ben.to)).toEqual([]);
    // Offered again it is fetched.
    const again = sending(address, [slides("y")], "--to", "Ben");
    expect(await again.exited).toBe(0);
    expect(seenIn(ben.to)).toEqual(["slides.txt"]);
  });

  test("goes on over a restart of the tracker, and nothing is offered twice", async () => {
    const { address, port, program } = await stage.tracker();
    const ben = await pupil(address, "Ben", "--accept", "Anna", "--json");
    const chloe = await pupil(address, "Chloe", "--json");
    const anna = sending(address, [slides()], "--to", "Ben", "--to", "Chloe,Dan", "--json");
    expect(await anna.exited).toBe(1);
    const again = sending(address, [slides()], "--to", "Ben,Chloe", "--json");
    await again.waitFor(/"event":"has-all"[^\n]*"by":"Ben"/);
    await chloe.program.waitFor(/"event":"offer"/);
    program.kill();
    await program.exited;
    const tracker = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce"]);
    for (let i = 0; i < 3; i++) await tracker.waitFor(/joined/);
    await tracker.waitFor(/offered[^\n]*to 2 people/);
    const dan = await pupil(address, "Dan", "--json");
    again.kill("SIGINT");
    expect(await again.exited).toBe(130);
    expect(again.objects().at(-1)).toMatchObject({
      event: "sent",
      done: false,
      people: [
        { by: "Ben", state: "has" },
        { by: "Chloe", state: "not" },
      ],
    });
    const offers = (pupil: { program: { objects(): Record<string, unknown>[] } }) =>
      pupil.program.objects().filter(({ event }) => event === "offer").length;
    expect([ben, chloe, dan].map(offers)).toEqual([1, 1, 0]);
  });
});
