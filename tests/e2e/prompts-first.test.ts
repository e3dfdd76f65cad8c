// The first questions of the guided prompts of the compiled ft-peer on a pseudo-terminal: which tracker, and which files to share.

import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atFiles, expectBye, expectLeft, guidedStage, SEARCH } from "../helpers/guided-stage.ts";
import { Alone } from "../helpers/lan.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { rawServer } from "../helpers/raw.ts";
import { KEY } from "../helpers/terminal.ts";

const stage = guidedStage();
const notAlone = Alone.possible();
if (notAlone !== undefined) console.warn(`Not tried: a peer that hears no tracker at all, because ${notAlone}.`);
/** Tests of what is asked when no tracker announces itself, which others may do on the network of this machine. */
const hearingNobody = test.skipIf(notAlone !== undefined);

const SEVEN = { "a.txt": "a", "b.txt": "bb", "c.txt": "ccc", "d.txt": "dddd", "e.txt": "eeeee", "f.txt": "6", "g.txt": "7" };

describe("choosing what to share", () => {
  test("the first five files are marked already, and shared with one key", async () => {
    const { program, address } = await stage.tracker("--json", "--name", "Lab 3");
    const cwd = stage.folderWith({ ...SEVEN, ".hidden": "never" });
    mkdirSync(join(cwd, "folder"));
    const screen = stage.guided(address, { cwd });
    const list = await atFiles(screen);
    expect(list).toContain("(up to 5)");
    expect(list).toContain("7 files (and 1 folder, not listed) in ");
    expect(list.match(/◼ \S+/g)).toEqual(["◼ a.txt", "◼ b.txt", "◼ c.txt", "◼ d.txt", "◼ e.txt"]);
    expect(list.match(/◻ \S+/g)).toEqual(["◻ f.txt", "◻ g.txt"]);
    expect(list).toContain("e.txt  5 B");
    expect(list).not.toContain(".hidden");
    screen.press(KEY.enter);
    await screen.waitFor('Online at "Lab 3": 1 peer, 5 files.');
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await screen.waitFor("Bye.");
    await expectLeft(screen, 0);
    await expectBye(program);
    expect(screen.text).not.toMatch(/--[a-z]+/);
  });

  test("a folder of very many files: how many there are, and how many of them are listed", async () => {
    const { address } = await stage.tracker();
    const names = Array.from({ length: 2_003 }, (_, i) => [`${String(i).padStart(4, "0")}.txt`, "x"]);
    const screen = stage.guided(address, { cwd: stage.folderWith(Object.fromEntries(names)) });
    expect(await atFiles(screen)).toContain("the first 2000 of 2003 files in ");
    screen.press("2002");
    await screen.waitFor("No matches among the first 2000 files.");
  });

  test("a sixth is refused in place, and the others stay marked", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = stage.guided(address, { cwd: stage.folderWith(SEVEN) });
    await atFiles(screen);
    screen.press(KEY.up, KEY.space);
    await screen.waitFor(/Up to 5 files: this is the tracker's limit.*share this folder as one/s);
    expect(screen.text).not.toContain("◼ g.txt");
    screen.press(KEY.down, KEY.space);
    await screen.waitFor("◻ a.txt");
    screen.press(KEY.up, KEY.space);
    await screen.waitFor("◼ g.txt");
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press(KEY.shared);
    const [mine] = await screen.waitFor(/What I share ─.*Nobody/s);
    expect(mine.match(/[a-g]\.txt/g)).toEqual(["b.txt", "c.txt", "d.txt", "e.txt", "g.txt"]);
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
  });

  test("the tracker's limit is known before the question, and Ctrl-A marks all", async () => {
    const { program, address } = await stage.tracker("--json", "--max-files", "40");
    const screen = stage.guided(address, { cwd: stage.folderWith(SEVEN) });
    expect(await atFiles(screen)).toContain("(up to 40)");
    screen.press("\x01");
    await screen.waitFor("0 of at most 40 marked");
    screen.press("\x01");
    await screen.waitFor("7 of at most 40 marked");
    screen.press(KEY.enter);
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("7");
  });

  test("the list is narrowed down by typing", async () => {
    const { program, address } = await stage.tracker("--json", "--max-files", "1");
    const files = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`file ${i}.txt`, `${i}`]));
    const screen = stage.guided(address, { cwd: stage.folderWith(files) });
    await atFiles(screen);
    screen.press(KEY.space, "217");
    await screen.waitFor(/● ◻ file 217\.txt/);
    screen.press("\t");
    await screen.waitFor(/● ◼ file 217\.txt/);
    screen.press(KEY.enter);
    await program.waitFor(/"event":"joined".*"files":1/);
    await screen.waitFor(SEARCH);
    screen.press(KEY.shared);
    await screen.waitFor("file 217.txt");
  });

  test("nothing marked is refused with a sentence, because a peer shares at least one", async () => {
    const { address } = await stage.tracker();
    const screen = stage.guided(address, { cwd: stage.folderWith({ "only.txt": "1" }) });
    await atFiles(screen);
    screen.press(KEY.space);
    await screen.waitFor("◻ only.txt");
    screen.press(KEY.enter);
    await screen.waitFor("Mark at least one file");
    screen.press(KEY.space, KEY.enter);
    await screen.waitFor(SEARCH);
  });

  test("an empty folder leads to another one; a folder that does not exist is refused with a sentence; ~ is home", async () => {
    const { address } = await stage.tracker();
    const home = stage.folder();
    mkdirSync(join(home, "papers"));
    writeFileSync(join(home, "papers", "from home.txt"), "home");
    const screen = stage.guided(address, { env: { HOME: home } });
    await screen.waitFor("There are no files in ");
    await screen.waitFor("Which folder has the files");
    screen.press("~/nowhere", KEY.enter);
    await screen.waitFor(new RegExp(`There is no folder "${home}/nowhere"`));
    screen.press("\x15", "~/pap", "\t");
    await screen.waitFor("~/papers/");
    screen.press(KEY.enter);
    expect(await atFiles(screen)).toContain("from home.txt");
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
  });

  test("this project's own programs are not offered, and commands do not share them", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "notes.txt": "notes" });
    const running = join(cwd, "my ft");
    copyFileSync(PEER, running);
    copyFileSync(TRACKER, join(cwd, "ft-tracker"));
    const screen = stage.onTerminal([running, address, "--port", "0"], { cwd });
    const list = await atFiles(screen);
    expect(list.match(/[◼◻] \S+/g)).toEqual(["◼ notes.txt"]);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    const { code, err } = await stage.ft(cwd, address, "who");
    expect(code).toBe(0);
    expect(err).toMatch(/Sharing "(?:my ft", ")?notes\.txt"/);
    expect(err).not.toMatch(/Sharing [^.]*ft-tracker/);
  });

  test("what is named with --share is not asked about, and what is left out is said", async () => {
    const { program, address } = await stage.tracker("--json");
    const cwd = stage.folderWith(SEVEN);
    const screen = stage.guided(address, { cwd }, "--share", cwd);
    await screen.waitFor(/Sharing "a\.txt", "b\.txt", "c\.txt", "d\.txt", "e\.txt"\..*g\.txt/s);
    await screen.waitFor(SEARCH);
    expect(screen.text).not.toContain("Which files");
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
  });

  test("what was chosen is remembered for the folder, without those that are gone", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "a.txt": "a", "b.txt": "bb", "c.txt": "ccc" });
    const env = { XDG_STATE_HOME: stage.knownPerson() };
    const screen = stage.guided(address, { cwd, env });
    await atFiles(screen);
    screen.press(KEY.space, KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);

    const again = stage.guided(address, { cwd, env });
    await again.waitFor("Sharing 2 files as last time: b.txt, c.txt.");
    await again.waitFor(SEARCH);
    again.press(KEY.leave);
    await expectLeft(again, 0);
    const elsewhere = stage.guided(address, { cwd: stage.folderWith({ "d.txt": "d" }), env });
    expect(await atFiles(elsewhere)).toContain("◼ d.txt");
    writeFileSync(join(env.XDG_STATE_HOME, "filetracker", "prompts.json"), '{"folders":[{"folder":7},null');
    const damaged = stage.guided(address, { cwd, env });
    expect(await atFiles(damaged)).toContain("◼ a.txt");
  });

  test("the name is asked for once, offered, and seen by others; then nothing is asked any more", async () => {
    const { address } = await stage.tracker();
    const place = { cwd: stage.folderWith({ "one.txt": "1" }), env: { XDG_STATE_HOME: stage.folder() } };
    const screen = stage.guided(address, place);
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor(/What is your name.*Enter takes/s);
    screen.press("Ben \u202e Smith", KEY.enter);
    await screen.waitFor('You are "Ben Smith".');
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
    const again = stage.guided(address, place);
    await again.waitFor('You are "Ben Smith".');
    await again.waitFor(SEARCH);
    expect(again.text).not.toContain("What is your name");
  });

  test("a person whose last shared file is gone shares another one, and is online again", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "old.txt": "old" });
    const screen = await stage.atSearch(address, { cwd });
    rmSync(join(cwd, "old.txt"));
    writeFileSync(join(cwd, "new.txt"), "new");
    await screen.waitFor("You share no file any more, so you are offline.");
    screen.press("\x14");
    await screen.waitFor("Settings");
    await screen.choose("Files that I share");
    await screen.waitFor(/Which files do you want to share.*new\.txt/s);
    screen.press(KEY.enter);
    await screen.waitFor("Sharing 1 file now.");
    await screen.waitFor("Back at the tracker.");
    const { out } = await stage.ft(stage.visitorFolder(), address, "search", "new.txt");
    expect(out).toContain("new.txt");
  });

  test.skipIf(process.platform === "win32")("a person whose folder is gone is asked for another one", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "old.txt": "old" });
    const other = stage.folderWith({ "new.txt": "new" });
    const screen = await stage.atSearch(address, { cwd });
    rmSync(cwd, { recursive: true });
    await screen.waitFor("You share no file any more, so you are offline.");
    screen.press(KEY.settings);
    await screen.waitFor("Settings");
    await screen.choose("Files that I share");
    await screen.waitFor("Which folder has the files that you want to share?");
    screen.press(KEY.enter);
    await screen.waitFor("that can be read.");
    screen.press(other, KEY.enter);
    await screen.waitFor(/Which files do you want to share.*new\.txt/s);
    screen.press(KEY.enter);
    await screen.waitFor("Sharing 1 file now.");
    await screen.waitFor("Back at the tracker.");
  });

  test("a folder for downloads that will not do is said before anything is fetched, and another one chosen", async () => {
    const { address } = await stage.tracker();
    const to = stage.folder();
    const cwd = stage.folderWith({ "one.txt": "1" });
    const screen = stage.guided(address, { cwd }, "--to", join(to, "missing"));
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor("there is no such folder.");
    const [question] = await screen.waitFor(/Where do downloads go\?.*Enter keeps [^\n]*/s);
    expect(question).not.toContain("missing");
    screen.press(to, KEY.enter);
    await screen.waitFor(SEARCH);
  });
});

describe("Esc", () => {
  test("leads from the name back to the files, whose marks stay, and from there to the end", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = stage.guided(address, { cwd: stage.folderWith(SEVEN), env: { XDG_STATE_HOME: stage.folder() } });
    await atFiles(screen);
    screen.press(KEY.space);
    await screen.waitFor("4 of at most 5 marked");
    screen.press(KEY.enter);
    await screen.waitFor("What is your name");
    screen.press(KEY.escape);
    const list = await atFiles(screen);
    expect(list.match(/◼ \S+/g)).toEqual(["◼ b.txt", "◼ c.txt", "◼ d.txt", "◼ e.txt"]);
    screen.press(KEY.escape);
    await screen.waitFor("Leave?");
    await screen.choose("No, go on");
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor("What is your name");
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    expect((await program.waitFor(/"event":"joined".*"files":(\d+)/))[1]).toBe("5");
  });
});

describe("the tracker", () => {
  test("whose address is given is tried before any question", async () => {
    const gone = await rawServer(() => {});
    gone.close();
    const screen = stage.guided(`127.0.0.1:${gone.port}`, { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor(new RegExp(`Cannot reach the tracker at "127.0.0.1:${gone.port}"`));
    await expectLeft(screen, 1);
    expect(screen.text).not.toContain("Which files");
  });

  test("that does not answer at once is named meanwhile, by the prompts and by a command", async () => {
    const silent = await rawServer(() => {});
    const address = `127.0.0.1:${silent.port}`;
    const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor(`Trying the tracker at ${address}…`);
    const command = stage.onTerminal([PEER, address, "who"], { cwd: stage.folderWith({ "one.txt": "1" }) });
    await command.waitFor(`waiting for the tracker at ${address}…`);
    silent.close();
  });

  hearingNobody(
    "that nobody announces can be looked for again, typed, or started here; a wrong address is refused",
    async () => {
      using alone = await Alone.make();
      const [command = "", ...args] = alone.command(TRACKER, "--no-announce", "--json");
      await stage.run(command, args).waitFor(/"event":"listening"/);
      const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
      await screen.waitFor("No tracker found on this network");
      await screen.choose("Look again");
      await screen.waitFor("Still no tracker found.");
      await screen.choose("Type an address");
      await screen.waitFor("Tracker's address?");
      screen.press("not an address", KEY.enter);
      await screen.waitFor(/"not an address" is not a\s+│?\s*tracker's address/);
      screen.press(KEY.escape, KEY.escape);
      await screen.choose("Type an address");
      await screen.waitFor("Tracker's address?");
      screen.press("127.0.0.1", KEY.enter);
      await atFiles(screen);
      screen.press(KEY.enter);
      await screen.waitFor("Online");
    },
  );

  hearingNobody("can be started on this computer, and stopped when the person leaves", async () => {
    using alone = await Alone.make();
    const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor("No tracker found on this network");
    await screen.choose("Start a tracker here");
    await screen.waitFor("Started a tracker on this computer.");
    const [, pid = ""] = await screen.waitFor(/kill (\d+)/);
    await atFiles(screen);
    // Also a person who leaves before having joined is asked about it.
    screen.press(KEY.ctrlC);
    await screen.choose("Stay");
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await screen.choose("Leave, and stop it");
    await expectLeft(screen, 0);
    expect(Number(pid)).toBeGreaterThan(1);
  });

  hearingNobody("that runs on this computer is asked about once: Ctrl-C then leaves, and lets it run", async () => {
    using alone = await Alone.make();
    const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor("No tracker found on this network");
    await screen.choose("Start a tracker here");
    const [, pid = ""] = await screen.waitFor(/kill (\d+)/);
    await atFiles(screen);
    screen.press(KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await screen.waitFor(/Leave, and stop it.*confirm/s);
    screen.press(KEY.ctrlC);
    await expectLeft(screen, 0);
    expect(process.kill(Number(pid), "SIGTERM")).toBe(true);
  });
});

test("a first word that resembles no command is asked about, and is refused after No", async () => {
  const screen = stage.onTerminal([PEER, "library", "who"], { cwd: stage.folderWith({ "a.txt": "a" }) });
  await screen.waitFor('"library" is not a command. Is it the name of the tracker\'s computer?');
  screen.press(KEY.enter);
  await screen.waitFor("add the port: ft-peer library:1234");
  await expectLeft(screen, 2);
});
