// Leaving the guided prompts of the compiled ft-peer in every way, a tracker that leaves, and prompts without a terminal.

import { describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { atFiles, expectBye, expectLeft, fetchFound, guidedStage, SEARCH } from "../helpers/guided-stage.ts";
import { Alone } from "../helpers/lan.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { rawServer } from "../helpers/raw.ts";
import { KEY, type Screen } from "../helpers/terminal.ts";

const stage = guidedStage();
const notAlone = Alone.possible();
if (notAlone !== undefined) console.warn(`Not tried: a peer that hears no tracker at all, because ${notAlone}.`);
/** Tests of what is asked when no tracker announces itself, which others may do on the network of this machine. */
const hearingNobody = test.skipIf(notAlone !== undefined);

describe("leaving", () => {
  /** Each prompt: how to get there, and whether the peer is online by then. */
  const PROMPTS: Record<string, { online: boolean; reach(address: string): Promise<Screen> }> = {
    "the files": {
      online: false,
      reach: async (address) => {
        const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
        await atFiles(screen);
        return screen;
      },
    },
    "another folder": {
      online: false,
      reach: async (address) => {
        const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
        await atFiles(screen);
        screen.press(KEY.otherFolder);
        await screen.waitFor(/Which folder\?.*└/s);
        return screen;
      },
    },
    "the search line": { online: true, reach: (address) => stage.atSearch(address) },
    "half a name": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atSearch(address);
        screen.press("half a na");
        await screen.waitFor("half a na");
        return screen;
      },
    },
    "the menu": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atSearch(address);
        screen.press(KEY.escape);
        await screen.waitFor(/Menu.*confirm/s);
        return screen;
      },
    },
    "the settings": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atSearch(address);
        screen.press(KEY.settings);
        await screen.waitFor(/Settings.*confirm/s);
        return screen;
      },
    },
  };

  hearingNobody("Ctrl-C where no tracker is found leaves with 130 and the terminal as it was", async () => {
    using alone = await Alone.make();
    const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor(/No tracker found.*confirm/s);
    expect(screen.cooked).toBe(false);
    expect(screen.cursorShown).toBe(false);
    screen.press(KEY.ctrlC);
    await expectLeft(screen, 130);
  });

  for (const [prompt, { online, reach }] of Object.entries(PROMPTS)) {
    test(`Ctrl-C at ${prompt} leaves with 130, a BYE, and the terminal as it was`, async () => {
      const { program, address } = await stage.tracker("--json");
      const screen = await reach(address);
      expect(screen.cooked).toBe(false);
      expect(screen.cursorShown).toBe(false);
      screen.press(KEY.ctrlC);
      await expectLeft(screen, 130);
      if (online) await expectBye(program);
      else expect(program.out).not.toContain('"joined"');
    });
  }

  for (const prompt of ["the files", "the search line", "half a name"]) {
    test(`SIGTERM at ${prompt} leaves with 130, a BYE, and the terminal as it was`, async () => {
      const { program, address } = await stage.tracker("--json");
      const { online = false, reach = (at: string) => stage.atSearch(at) } = PROMPTS[prompt] ?? {};
      const screen = await reach(address);
      screen.kill("SIGTERM");
      await expectLeft(screen, 130);
      if (online) await expectBye(program);
    });
  }

  for (const [prompt, { online, reach }] of Object.entries(PROMPTS)) {
    test(`Escape at ${prompt} is a step back and leaves nothing`, async () => {
      const { program, address } = await stage.tracker("--json");
      const screen = await reach(address);
      screen.press(KEY.escape);
      if (prompt === "half a name") await screen.waitFor("Esc menu");
      else if (online) await screen.waitFor(prompt === "the search line" ? /Menu.*confirm/s : SEARCH);
      else await screen.waitFor(prompt === "the files" ? /Leave\?.*confirm/s : /Which files.*other folder/s);
      screen.press(KEY.ctrlC);
      await expectLeft(screen, 130);
      if (online) await expectBye(program);
    });
  }

  test("closing the terminal's window ends the peer, with a BYE", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = await stage.atSearch(address);
    screen.hangUp();
    expect(await screen.exited).toBeNumber();
    await expectBye(program);
  });

  test("SIGTERM during a transfer leaves with 130, a BYE, the terminal as it was, and no file under its name", async () => {
    const { program, port, address } = await stage.tracker("--json");
    const size = 50_000_000;
    await stage.rawPeer(port, await stage.slowHolder(size), [`big.iso,application/x-iso9660-image,${size},01/01/26`]);
    const to = stage.folder();
    const screen = await stage.atSearch(address, {}, "--to", to);
    await fetchFound(screen, "big");
    await screen.waitFor(/big\.iso.* 0 %/);
    screen.kill("SIGTERM");
    await expectLeft(screen, 130);
    await expectBye(program);
    // The part file stays, to go on from; nothing that looks finished does.
    // No lock stays either: it would keep the same person from going on.
    expect(readdirSync(to)).toEqual([expect.stringMatching(/^\..*\.part$/)]);
  });

  test("Ctrl-C while the tracker's address does not answer leaves at once", async () => {
    const asked = Promise.withResolvers<void>();
    const silent = await rawServer(
      (connection) =>
        void connection.line().then(
          () => asked.resolve(),
          () => {},
        ),
    );
    stage.atEnd(() => silent.close());
    const screen = stage.guided(`127.0.0.1:${silent.port}`, { cwd: stage.folderWith({ "one.txt": "1" }) });
    await asked.promise;
    screen.press(KEY.ctrlC);
    await expectLeft(screen, 130);
  });

  test("Ctrl-C while the tracker does not answer a question leaves at once", async () => {
    const asked = Promise.withResolvers<void>();
    const server = await rawServer(async (connection) => {
      try {
        for (;;) {
          const line = await connection.line();
          if (line.startsWith("HELLO")) connection.send(`HI FT/2 name=mute max=5 key=${"A".repeat(43)} you=127.0.0.1\n`);
          if (line.startsWith("FILES 1")) connection.send("WELCOME id=me pass=a.b peers=1 files=1\n");
          if (line.startsWith("FIND")) connection.send("NOT FOUND\n");
          if (line.startsWith("WHO")) asked.resolve();
        }
      } catch {
        // It left.
      }
    });
    stage.atEnd(() => server.close());
    const screen = await stage.atSearch(`127.0.0.1:${server.port}`);
    screen.press(KEY.online);
    await asked.promise;
    screen.press(KEY.ctrlC);
    await expectLeft(screen, 130);
  });
});

describe("a tracker that goes away", () => {
  test("is said at once, the prompts still answer, and when it is back on the same port everything works again", async () => {
    const { program, port, address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    program.kill();
    await program.exited;
    await screen.waitFor("Lost the tracker");
    screen.press(KEY.shared);
    await screen.waitFor("4 B  mine.txt");
    await screen.waitFor(SEARCH);
    screen.press(KEY.online);
    await screen.waitFor(/▲ {2}The tracker/);
    await screen.waitFor(SEARCH);

    const again = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"]);
    await again.waitFor(/"event":"joined".*"files":1/);
    await screen.waitFor("Back at the tracker.");
    screen.press(KEY.online);
    await screen.waitFor("(you)");
    await screen.waitFor(SEARCH);
    screen.press("mine");
    await screen.waitFor(/[●○] mine\.txt/);
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
    await expectBye(again);
  });

  test("does not keep a person from leaving", async () => {
    const { program, address } = await stage.tracker();
    const screen = await stage.atSearch(address);
    program.kill();
    await program.exited;
    await screen.waitFor("Lost the tracker");
    screen.press(KEY.leave);
    await expectLeft(screen, 0);
  });
});

describe("without a terminal", () => {
  const SENTENCE = /^Guided prompts need a terminal\. .*\bsearch\b.*\bget\b.*\n$/;

  test("neither stdin nor stdout: a sentence, exit code 2, nothing on stdout", async () => {
    const { program: tracker, address } = await stage.tracker("--json");
    const program = stage.run(PEER, [address], { cwd: stage.folderWith({ "one.txt": "1" }) });
    expect(await program.exited).toBe(2);
    expect(program.err).toMatch(SENTENCE);
    expect(program.out).toBe("");
    expect(tracker.out).not.toContain('"joined"');
  });

  for (const [what, script] of [
    ["stdin is a pipe that nobody closes", 'sleep 60 | { "$@"; echo "code $?"; kill 0; }'],
    ["stdin is closed", '"$@" <&-; echo "code $?"'],
    ["stdin is a file", '"$@" </dev/null; echo "code $?"'],
    ["stdout is a pipe", '{ "$@"; echo "code $?" >&2; } | cat'],
    ["stdout is closed", '"$@" >&-; echo "code $?"'],
  ] as const) {
    test(`${what}: a sentence and exit code 2, and no waiting for a key`, async () => {
      const { address } = await stage.tracker();
      const screen = stage.onTerminal(["sh", "-c", script, "sh", PEER, address], { cwd: stage.folderWith({ "one.txt": "1" }) });
      await screen.waitFor(/Guided prompts need a terminal\. .*code 2\n/s);
      expect(screen.raw).not.toContain("\x1b");
    });
  }

  test("TERM=dumb: a sentence and exit code 2, without one escape code", async () => {
    const { address } = await stage.tracker();
    const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }), env: { TERM: "dumb" } });
    expect(await screen.exited).toBe(2);
    expect(screen.text).toMatch(SENTENCE);
    expect(screen.raw).not.toContain("\x1b");
  });
});
