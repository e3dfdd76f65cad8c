// Offers on a pseudo-terminal: the question of share, and a hand-out from prompts to prompts.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { guidedStage, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { seenIn } from "../helpers/peer-stage.ts";
import { PEER } from "../helpers/programs.ts";
import { KEY } from "../helpers/terminal.ts";

const stage = guidedStage();
const [CTRL_F, CTRL_G, CTRL_N] = ["\x06", "\x07", "\x0e"];

describe("share on a terminal", () => {
  /** Somebody at a terminal, and a function that sends a file from another program. */
  async function pupil() {
    const { address } = await stage.tracker();
    const to = stage.folder();
    const command = [PEER, address, "share", "--port", "0", "--name", "Ben", "--to", to];
    const screen = stage.onTerminal(command, { cwd: stage.visitorFolder(), columns: 100 });
    await screen.waitFor(/"visitor\.txt" is ready/);
    const send = (name: string, sender: string, ...args: string[]) => {
      const file = join(stage.folderWith({ [name]: `content of ${name}` }), name);
      const all = [address, "send", file, "--to", "Ben", "--port", "0", "--name", sender, ...args];
      return stage.run(PEER, all, { cwd: stage.folder() });
    };
    return { screen, send, to };
  }

  test("asks; Enter fetches, n does not, and what was typed before the question is no answer", async () => {
    const { screen, send, to } = await pupil();
    screen.press(KEY.enter, KEY.enter);
    const anna = send("slides.txt", "Anna", "--say", "for Monday");
    await screen.waitFor(/Anna offers "slides\.txt" \(21 B\), "for Monday": fetch\? \[Y\/n\]/);
    screen.press("what?", KEY.enter);
    await screen.waitFor(/fetch\? \[Y\/n\]/);
    expect(seenIn(to)).toEqual([]);
    screen.press(KEY.enter);
    await screen.waitFor(/slides\.txt {2}21 B {2}[\d.]+ \w+\/s {2}verified/);
    expect(await anna.exited).toBe(0);
    expect(readFileSync(join(to, "slides.txt"), "utf8")).toBe("content of slides.txt");
    const eve = send("advertisement.txt", "Eve");
    await screen.waitFor(/Eve offers "advertisement\.txt"[^\n]*fetch\? \[Y\/n\]/);
    screen.press("n", KEY.enter);
    const chloe = send("notes.txt", "Chloe");
    await screen.waitFor(/Chloe offers "notes\.txt"[^\n]*fetch\? \[Y\/n\]/);
    screen.press("y", KEY.enter);
    expect(await chloe.exited).toBe(0);
    expect(seenIn(to)).toEqual(["notes.txt", "slides.txt"]);
    expect(await eve.exited).toBe(0);
    expect(eve.out).toBe('Ben does not want "advertisement.txt".\nSaid no: Ben.\n');
    screen.press(KEY.ctrlC);
    expect(await screen.exited).toBe(130);
    expect(screen.cooked).toBe(true);
  });

  test.skipIf(process.platform === "win32")(
    "after Ctrl-D it says that nothing can be answered, and tells of later offers",
    async () => {
      const { screen, send, to } = await pupil();
      send("slides.txt", "Anna");
      await screen.waitFor(/Anna offers [^\n]*fetch\? \[Y\/n\] /);
      screen.press("\x04");
      await screen.waitFor("No question can be answered any more");
      send("notes.txt", "Chloe");
      const [told] = await screen.waitFor(/Chloe offers "notes\.txt"[^\n]*/);
      expect(told).not.toContain("fetch?");
      screen.press(KEY.ctrlC);
      expect(await screen.exited).toBe(130);
      expect(seenIn(to)).toEqual([]);
    },
  );

  test("asks about all files of one person in one question, and says no to everybody at once", async () => {
    const { screen, send, to } = await pupil();
    const anna = send("of Anna.txt", "Anna");
    await screen.waitFor(/Anna offers [^\n]*fetch\? \[Y\/n\] /);
    const others = [anna, ...["Chloe", "Dan"].map((name) => send(`of ${name}.txt`, name))];
    // The others come while the first question waits: it shows their number.
    await screen.waitFor(/fetch\? \[Y\/n\] \(2 more offers; x: no to all\) /);
    screen.press("x", KEY.enter);
    const eve = send("last.txt", "Eve");
    await screen.waitFor(/Eve offers "last\.txt"[^\n]*fetch\? \[Y\/n\] /);
    screen.press(KEY.enter);
    expect(await eve.exited).toBe(0);
    expect(seenIn(to)).toEqual(["last.txt"]);
    for (const other of others) {
      await other.exited;
      expect(other.out).toContain("Said no: Ben.\n");
    }
  });
});

describe("the prompts", () => {
  test("hand a file out from one to another in a few keys; a third one is told nothing", async () => {
    const { address } = await stage.tracker();
    const at = async (name: string, files: Record<string, string>) => {
      const cwd = stage.folderWith(files);
      const screen = stage.guided(address, { cwd }, "--share", Object.keys(files)[0] ?? "", "--name", name, "--to", cwd);
      await screen.waitFor(SEARCH);
      return { screen, cwd };
    };
    const anna = await at("Anna", { "own.txt": "own", "lesson.txt": "lesson seven" });
    const ben = await at("Ben", { "ben.txt": "ben" });
    const chloe = await at("Chloe", { "chloe.txt": "chloe" });
    anna.screen.press(CTRL_G);
    await anna.screen.waitFor("Who gets it?");
    await anna.screen.choose("Ben");
    await anna.screen.waitFor("What do you send?");
    await anna.screen.choose("◻ lesson.txt");
    await anna.screen.waitFor("A word to go with it?");
    // Esc leads one step back, and what was chosen stays.
    anna.screen.press(KEY.escape);
    await anna.screen.waitFor("◼ lesson.txt");
    anna.screen.press(KEY.escape);
    await anna.screen.waitFor("Who gets it?");
    await anna.screen.choose("Ben");
    await anna.screen.waitFor("What do you send?");
    await anna.screen.choose("◻ lesson.txt");
    await anna.screen.waitFor("A word to go with it?");
    anna.screen.press("for\u202e Monday", KEY.enter);
    await anna.screen.waitFor('Offered "lesson.txt" (12 B) to Ben.');
    await ben.screen.waitFor('Anna offers "lesson.txt" (12 B), "for\\u202e Monday": Ctrl-F fetches');
    ben.screen.press(CTRL_F);
    await ben.screen.waitFor("What do you want to fetch?");
    ben.screen.press(KEY.enter);
    await ben.screen.waitFor(VERIFIED);
    expect(readFileSync(join(ben.cwd, "lesson.txt"), "utf8")).toBe("lesson seven");
    await anna.screen.waitFor('Ben has "lesson.txt" (1 of 1).');
    await anna.screen.waitFor(SEARCH);
    anna.screen.press(KEY.shared);
    await anna.screen.waitFor(/Handed out.*1 of 1 has it\./s);
    // To everybody, a file that is shared with everybody already: Chloe says no.
    anna.screen.press(CTRL_G);
    await anna.screen.waitFor("Who gets it?");
    await anna.screen.choose("Everybody");
    await anna.screen.waitFor("What do you send?");
    anna.screen.press("nosuch", KEY.enter);
    await anna.screen.waitFor("No file is marked, and none fits what is typed. Esc clears it.");
    anna.screen.press(KEY.escape);
    await anna.screen.choose("◻ own.txt");
    await anna.screen.waitFor("A word to go with it?");
    anna.screen.press(KEY.enter);
    await chloe.screen.waitFor('Anna offers "own.txt" (3 B): Ctrl-F fetches');
    expect(chloe.screen.text).not.toContain("lesson");
    chloe.screen.press(CTRL_F);
    await chloe.screen.waitFor("none of these");
    chloe.screen.press(CTRL_N);
    await chloe.screen.waitFor(SEARCH);
    chloe.screen.press(CTRL_F);
    await chloe.screen.waitFor("Nobody offers you a file now.");
    await anna.screen.waitFor('Chloe does not want "own.txt".');
    anna.screen.press(KEY.leave);
    await anna.screen.waitFor(/"own\.txt" \(3 B\): 0 of 1 have it, 1 not yet\. Not yet: Ben\. Said no: Chloe\./);
  });
});
