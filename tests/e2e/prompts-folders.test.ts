// Folders in the guided prompts: looking into one before it is fetched, and sharing one as one.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { atFiles, guidedStage, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { PEER } from "../helpers/programs.ts";
import { KEY } from "../helpers/terminal.ts";

const stage = guidedStage();

/** A folder "Lesson" with these files; gives the folder that it is in. */
function lesson(files: Record<string, string>): string {
  const top = stage.folder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(top, "Lesson", path)), { recursive: true });
    writeFileSync(join(top, "Lesson", path), content);
  }
  return top;
}

async function shared(address: string, files: Record<string, string>): Promise<void> {
  const program = stage.run(PEER, [address, "share", "Lesson", "--port", "0", "--json"], { cwd: lesson(files) });
  await program.waitFor(/"event":"folder"/);
}

const FILES = { "a.txt": "one", "week 1/notes.txt": "notes", "week 1/sheet.txt": "sheet", "week 2/b.txt": "two" };

describe("a folder in the list", () => {
  test("can be looked into, and one file of it fetched", async () => {
    const { address } = await stage.tracker();
    await shared(address, FILES);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    screen.press("lesson");
    await screen.take("Lesson");
    await screen.waitFor("is a folder: 4 files");
    await screen.choose("Look inside");
    await screen.take("week 1/");
    await screen.take("notes.txt");
    await screen.waitFor(VERIFIED);
    expect(readdirSync(to)).toEqual(["notes.txt"]);
    expect(readFileSync(join(to, "notes.txt"), "utf8")).toBe("notes");
  });

  test("is fetched as a whole, too", async () => {
    const { address } = await stage.tracker();
    await shared(address, FILES);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    screen.press("lesson");
    await screen.take("Lesson");
    await screen.waitFor("is a folder: 4 files");
    await screen.choose("Fetch all");
    await screen.waitFor(VERIFIED);
    expect(readFileSync(join(to, "Lesson", "week 2", "b.txt"), "utf8")).toBe("two");
  });
});

describe("a folder of one's own", () => {
  test("is shared as one, instead of its files", async () => {
    const { address } = await stage.tracker();
    const top = lesson(FILES);
    const screen = stage.guided(address, { cwd: join(top, "Lesson") });
    await atFiles(screen);
    screen.press(KEY.asOne);
    await screen.waitFor(/has 4 files.*Share the folder "Lesson" as one/s);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    expect(await stage.onlyRecord(address, "Lesson")).toMatchObject({ type: "inode/directory", files: 4 });
    expect(existsSync(join(top, "Lesson", "a.txt"))).toBe(true);
  });
});
