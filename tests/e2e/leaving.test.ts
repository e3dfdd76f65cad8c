// Leaving the guided prompts of the compiled ft-peer in every way, a tracker that leaves, and prompts without a terminal.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectBye, expectLeft, guidedStage } from "../helpers/guided-stage.ts";
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
    "the folder": {
      online: false,
      reach: async (address) => {
        const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
        await screen.waitFor("confirm");
        return screen;
      },
    },
    "another folder": {
      online: false,
      reach: async (address) => {
        const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
        await screen.choose("Choose a different folder");
        await screen.waitFor(/Which folder\?.*└/s);
        return screen;
      },
    },
    "the files": {
      online: false,
      reach: async (address) => {
        const screen = stage.guided(address, { cwd: stage.folderWith({ "one.txt": "1" }) });
        await screen.choose("Choose from these");
        await screen.waitFor(/Which to share\?.*confirm/s);
        return screen;
      },
    },
    "the menu": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atMenu(address);
        await screen.waitFor("confirm");
        return screen;
      },
    },
    "the file's name": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atMenu(address);
        await screen.choose("Search");
        await screen.waitFor(/File name\?.*└/s);
        screen.press("half a na");
        await screen.waitFor("half a na");
        return screen;
      },
    },
    "the holders": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atMenu(address);
        await screen.choose("Search");
        await screen.waitFor("File name?");
        screen.press("mine.txt", KEY.enter);
        await screen.waitFor(/SIZE.*confirm/s);
        return screen;
      },
    },
    "everything online": {
      online: true,
      reach: async (address) => {
        const screen = await stage.atMenu(address);
        await screen.choose("Browse");
        await screen.waitFor(/NAME.*confirm/s);
        return screen;
      },
    },
  };

  hearingNobody("Ctrl-C at the tracker's address leaves with 130 and the terminal as it was", async () => {
    using alone = await Alone.make();
    const screen = stage.onTerminal(alone.command(PEER), { cwd: stage.folderWith({ "one.txt": "1" }) });
    await screen.waitFor(/Tracker's address\?.*└/s);
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

  for (const prompt of ["the files", "the menu", "the file's name"]) {
    test(`SIGTERM at ${prompt} leaves with 130, a BYE, and the terminal as it was`, async () => {
      const { program, address } = await stage.tracker("--json");
      const { online = false, reach = (at: string) => stage.atMenu(at) } = PROMPTS[prompt] ?? {};
      const screen = await reach(address);
      screen.kill("SIGTERM");
      await expectLeft(screen, 130);
      if (online) await expectBye(program);
    });
  }

  for (const prompt of ["the folder", "the menu", "the holders"]) {
    test(`Escape at ${prompt} either goes back or leaves as Ctrl-C does`, async () => {
      const { program, address } = await stage.tracker("--json");
      const { online = false, reach = (at: string) => stage.atMenu(at) } = PROMPTS[prompt] ?? {};
      const screen = await reach(address);
      screen.press(KEY.escape);
      const back = screen.waitFor(/◆ {2}What next/).then(() => "back" as const);
      const outcome = await Promise.race([back.catch(() => screen.exited), screen.exited]);
      if (outcome === "back") {
        await screen.choose("Leave");
        await expectLeft(screen, 0);
      } else {
        await expectLeft(screen, 130);
      }
      if (online) await expectBye(program);
    });
  }

  test("closing the terminal's window ends the peer, with a BYE", async () => {
    const { program, address } = await stage.tracker("--json");
    const screen = await stage.atMenu(address);
    await screen.waitFor("confirm");
    screen.hangUp();
    expect(await screen.exited).toBeNumber();
    await expectBye(program);
  });

  for (const [how, stop] of [
    ["Ctrl-C", (screen: Screen) => screen.press(KEY.ctrlC)],
    ["SIGTERM", (screen: Screen) => screen.kill("SIGTERM")],
  ] as const) {
    test(`${how} during a transfer leaves with 130, a BYE, the terminal as it was, and no file under its name`, async () => {
      const { program, port, address } = await stage.tracker("--json");
      const size = 50_000_000;
      await stage.rawPeer(port, await stage.slowHolder(size), [`big.iso,application/x-iso9660-image,${size},01/01/26`]);
      const to = stage.folder();
      const screen = await stage.atMenu(address, {}, "--to", to);
      await screen.choose("Search");
      await screen.waitFor("File name?");
      screen.press("big.iso", KEY.enter);
      await screen.choose("application");
      await screen.waitFor(/ of 50 MB/);
      stop(screen);
      await expectLeft(screen, 130);
      await expectBye(program);
      // The part file stays, to go on from; nothing that looks finished does.
      // No lock stays either: it would keep the same person from going on.
      expect(readdirSync(to)).toEqual([expect.stringMatching(/^\..*\.part$/)]);
    });
  }

  test("keys pressed during a transfer do no harm: nothing is chosen, Escape included, until the menu is there", async () => {
    const { port, address } = await stage.tracker();
    const size = 300_000;
    let release = () => {};
    const holder = await stage.rawHolder((connection, { length }) => {
      connection.send(`FILE: length=${length} size=${size}\n${"x".repeat(100_000)}`);
      release = () => connection.send("x".repeat(200_000));
    });
    await stage.rawPeer(port, holder, [`slow.txt,text/plain,${size},01/01/26`]);
    const to = stage.folder();
    const screen = await stage.atMenu(address, {}, "--to", to);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("slow.txt", KEY.enter);
    await screen.choose("text/plain");
    await screen.waitFor(/ of 300 kB/);
    screen.press("impatient", KEY.enter);
    // The terminal has them.
    await screen.waitFor("impatient");
    release();
    await screen.waitFor("slow.txt: 300 kB");
    await screen.waitFor(/What next\?.*confirm/s);
    expect(readFileSync(join(to, "slow.txt"), "utf8")).toBe("x".repeat(size));
    screen.press(KEY.up);
    await screen.waitFor("● Leave");
    expect(screen.unread).not.toContain("File name?");
    screen.press(KEY.enter);
    await expectLeft(screen, 0);
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
    await screen.choose("Choose from these");
    await screen.waitFor(/Which to share\?.*confirm/s);
    screen.press(KEY.enter);
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
          if (line.startsWith("WHO")) asked.resolve();
        }
      } catch {
        // It left.
      }
    });
    stage.atEnd(() => server.close());
    const screen = await stage.atMenu(`127.0.0.1:${server.port}`);
    await screen.choose("Who is online");
    await asked.promise;
    screen.press(KEY.ctrlC);
    await expectLeft(screen, 130);
  });
});

describe("a tracker that goes away", () => {
  /** Uses the menu, which answers at once all the time, until it says that the tracker is away, or does not say so any more. */
  async function noticed(screen: Screen, { away }: { away: boolean }): Promise<void> {
    for (;;) {
      await screen.choose("What I share");
      const [, words = ""] = await screen.waitFor(/What next\?([^\n]*)\n/);
      if (words.includes("away") === away) return;
    }
  }

  test("is said in the menu, which still answers; when it is back on the same port, everything works again", async () => {
    const { program, port, address } = await stage.tracker();
    const screen = await stage.atMenu(address);
    program.kill();
    await program.exited;
    await noticed(screen, { away: true });
    await screen.choose("What I share");
    await screen.waitFor("mine.txt  4 B");
    await screen.waitFor(/What next\? \(the tracker is away/);

    const again = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"]);
    await again.waitFor(/"event":"joined".*"files":1/);
    await noticed(screen, { away: false });
    await screen.choose("Who is online");
    await screen.waitFor("(you)");
    await screen.waitFor(/What next\?\n/);
    await screen.choose("Search");
    await screen.waitFor("File name?");
    screen.press("mine.txt", KEY.enter);
    await screen.waitFor("1 holder of mine.txt");
    await screen.choose("Back");
    await screen.choose("Leave");
    await expectLeft(screen, 0);
    await expectBye(again);
  });

  test("is said at once when it is asked something", async () => {
    const { program, address } = await stage.tracker();
    const screen = await stage.atMenu(address);
    program.kill();
    await program.exited;
    await noticed(screen, { away: true });
    await screen.choose("Who is online");
    await screen.waitFor(/▲ {2}The tracker.*?away/s);
  });

  test("does not keep a person from leaving", async () => {
    const { program, address } = await stage.tracker();
    const screen = await stage.atMenu(address);
    program.kill();
    await program.exited;
    await noticed(screen, { away: true });
    await screen.choose("Leave");
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
