// The terminal below the guided prompts of the compiled ft-peer: job control, pastes, resizes, and lines that appear above an open prompt.

import { describe, expect, test } from "bun:test";
import { atFiles, expectLeft, fetchFound, guidedStage, SEARCH, VERIFIED } from "../helpers/guided-stage.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { KEY } from "../helpers/terminal.ts";

const stage = guidedStage();

describe("job control", () => {
  test("after Ctrl-Z and fg the prompt is drawn again, and keys work", async () => {
    const { address } = await stage.tracker();
    const cwd = stage.folderWith({ "one.txt": "1" });
    const script = 'set -m; "$@"; echo "code $? as $(stty -a | grep -o -- "-\\?icanon")"; fg; echo "end $?"';
    const screen = stage.onTerminal(["bash", "-c", script, "bash", PEER, address, "--port", "0"], { cwd });
    await atFiles(screen);
    screen.press(KEY.ctrlZ);
    await screen.waitFor(/code 1\d\d as icanon/);
    await atFiles(screen);
    screen.press(KEY.space);
    await screen.waitFor("◻ one.txt");
    screen.press(KEY.space, KEY.enter);
    await screen.waitFor(SEARCH);
    screen.press("one");
    await screen.waitFor(/[●○] one\.txt/);
    screen.press(KEY.leave);
    await screen.waitFor("end 0");
  });

  test("a program that was stopped from outside goes on when it is continued", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    screen.kill("SIGSTOP");
    screen.kill("SIGCONT");
    await screen.waitFor(SEARCH);
    screen.press("mine");
    await screen.waitFor("mine█");
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
  });
});

describe("a paste", () => {
  test("of ten thousand letters is taken at once, and the prompt answers", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    const before = screen.raw.length;
    screen.press("x".repeat(10_000));
    await screen.waitFor("No matches.");
    screen.press(KEY.escape);
    await screen.waitFor(/[●○] mine\.txt/);
    // Each letter would have drawn the prompt once.
    expect(screen.raw.length - before).toBeLessThan(200_000);
  });

  for (const [how, text] of [
    ["that the terminal marks as a paste", "\x1b[200~mine.txt\n\x1b[201~"],
    ["as the terminal sends it", "mine.txt\n"],
  ] as const) {
    test(`with a line end, ${how}, stays in the line`, async () => {
      const { address } = await stage.tracker();
      const screen = await stage.atSearch(address);
      screen.press(text);
      await screen.waitFor("mine.txt█");
      screen.press("!");
      await screen.waitFor("mine.txt!█");
    });
  }

  test("of several lines is one line, and chooses nothing", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    screen.press("\x1b[200~one\r\ntwo\x1b[2J\rthree\r\x1b[201~");
    await screen.waitFor("one two [2J three█");
    expect(screen.raw).not.toContain("\x1b[2J");
  });
});

describe("a line above an open prompt", () => {
  test("a notice of the operator is shown at once, with a bell, and the typed text stays", async () => {
    const { port, address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    screen.press("half");
    await screen.waitFor("half█");
    stage.run(TRACKER, ["notice", "--port", String(port), "Class ends in 5 minutes."]);
    await screen.waitFor("Class ends in 5 minutes.");
    await screen.waitFor("half█");
    screen.press(" a name");
    await screen.waitFor("half a name█");
    // The bell is written behind the notice.
    expect(screen.raw).toContain("\x07");
  });

  test("a tracker that is lost and comes back is shown at once", async () => {
    const { program, port, address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    program.kill();
    await program.exited;
    await screen.waitFor("Lost the tracker");
    stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"]);
    await screen.waitFor("Back at the tracker.");
  });

  test("a person who has got all of a file is shown", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address, { cwd: stage.folderWith({ "song.txt": "la" }) });
    await stage.ft(stage.visitorFolder(), address, "get", "song.txt", "--to", stage.folder());
    await screen.waitFor('has all of "song.txt".');
  });
});

describe("a terminal that gets another size", () => {
  test("shows the prompt once, as wide as it is now", async () => {
    const { address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    screen.press("mine");
    await screen.waitFor("mine█");
    const before = screen.text.length;
    screen.resize(40, 20);
    await screen.waitFor(SEARCH);
    const lines = screen.text.slice(before).split("\n");
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(40);
    expect(lines.filter((line) => line.includes("What are you looking for?"))).toHaveLength(1);
    screen.resize(120, 40);
    await screen.waitFor(SEARCH);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
  });
});

describe("other ways of showing", () => {
  for (const env of [{ NO_COLOR: "1" }, { ACCESSIBLE: "1" }]) {
    test(`a file is found and fetched with ${Object.keys(env)[0]}`, async () => {
      const { address } = await stage.tracker();
      await stage.sharing(address, stage.folderWith({ "apple.txt": "apple pie" }), 1);
      const screen = await stage.atSearch(address, { env }, "--to", stage.folder());
      await fetchFound(screen, "apple");
      await screen.waitFor(VERIFIED);
      await screen.waitFor(SEARCH);
      if ("NO_COLOR" in env) expect(screen.raw).not.toMatch(/\x1b\[\d*m/);
      screen.press(KEY.leave);
      await expectLeft(screen, 0);
    });
  }
});
