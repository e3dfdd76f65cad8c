// Folders in the guided prompts: looking into one before it is fetched, and sharing one as one.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { atFiles, expectLeft, guidedStage, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { PEER } from "../helpers/programs.ts";
import { KEY, type Screen } from "../helpers/terminal.ts";

const stage = guidedStage();
const [CTRL_F, CTRL_G] = ["\x06", "\x07"];

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

  test("is shared as one again the next time without a question, until files are chosen instead or it is gone", async () => {
    const { address } = await stage.tracker();
    const top = lesson(FILES);
    const place = { cwd: join(top, "Lesson"), env: { XDG_STATE_HOME: stage.knownPerson() } };
    const start = async (shown: string) => {
      const screen = stage.guided(address, place);
      await screen.waitFor(shown);
      return screen;
    };
    const leave = async (screen: Screen) => {
      await screen.waitFor(SEARCH);
      screen.press(KEY.leave);
      await expectLeft(screen, 0);
    };
    const first = stage.guided(address, place);
    await atFiles(first);
    first.press(KEY.asOne);
    await first.waitFor(/Share the folder "Lesson" as one/);
    first.press(KEY.enter);
    await leave(first);

    const asLastTime = 'Sharing the folder "Lesson" as one, as last time: 4 files, 16 B.';
    const again = await start(asLastTime);
    await again.waitFor(SEARCH);
    expect(again.text).not.toContain("Which files");
    expect(await stage.onlyRecord(address, "Lesson")).toMatchObject({ type: "inode/directory", files: 4 });
    again.press(KEY.settings);
    await again.choose("Files that I share");
    await atFiles(again);
    again.press(KEY.enter);
    await again.waitFor("Sharing 1 file now.");
    await again.choose("Back");
    await leave(again);

    const files = await start("Sharing 1 file as last time: a.txt.");
    await leave(files);
    expect(files.text).not.toContain(asLastTime);

    const choices = { folders: [{ folder: place.cwd, name: "Tester", asOne: join(top, "gone") }] };
    writeFileSync(join(place.env.XDG_STATE_HOME, "filetracker", "prompts.json"), JSON.stringify(choices), { mode: 0o600 });
    await atFiles(stage.guided(address, place));
  });

  test("is sent to one person as a whole, and the others do not find it", async () => {
    const { address } = await stage.tracker();
    const at = async (name: string, cwd: string) => {
      const own = join(stage.folderWith({ [`${name}.txt`]: "own" }), `${name}.txt`);
      const screen = stage.guided(address, { cwd, columns: 100 }, "--share", own, "--name", name, "--to", stage.folder());
      await screen.waitFor(SEARCH);
      return screen;
    };
    const anna = await at("Anna", join(lesson(FILES), "Lesson"));
    const ben = await at("Ben", stage.folder());
    const chloe = await at("Chloe", stage.folder());
    anna.press(CTRL_G);
    await anna.waitFor("Who gets it?");
    await anna.choose("Ben");
    await anna.waitFor("What do you send?");
    anna.press(CTRL_F);
    await anna.waitFor(/has 4 files.*Send the folder "Lesson" as one/s);
    anna.press(KEY.enter);
    await anna.waitFor("A word to go with it?");
    anna.press(KEY.enter);
    await anna.waitFor('Offered "Lesson" (16 B) to Ben.');
    await ben.waitFor('Anna offers the folder "Lesson" (4 files, 16 B): Ctrl-F fetches');
    ben.press(CTRL_F);
    await ben.waitFor("What do you want to fetch?");
    ben.press(KEY.enter);
    await ben.waitFor(VERIFIED);
    await anna.waitFor('Ben has "Lesson" (1 of 1).');
    expect((await stage.ft(stage.visitorFolder(), address, "search", "Lesson", "--json")).code).toBe(1);
    expect(chloe.text).not.toContain("Lesson");
  });
});
