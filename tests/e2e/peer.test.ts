// The compiled ft-peer as a program: command lines, trackers that cannot be used, coming and going, pipes and terminals.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { contentId, noise } from "../helpers/holder.ts";
import {
  closedPort,
  DECEIVING,
  ended,
  expectSentence,
  INSIDE,
  peerStage,
  record,
  seenIn,
  startLibrary,
  waitForJoined,
  waitForLog,
} from "../helpers/peer-stage.ts";
import { PEER, type Program, TRACKER } from "../helpers/programs.ts";
import { type Raw, rawServer } from "../helpers/raw.ts";
import { Screen } from "../helpers/terminal.ts";

const stage = peerStage();
const library = startLibrary();

describe("wrong usage", () => {
  // Nothing listens on this port: a peer that tried to connect would end with 1 and another sentence.
  const wrong: string[][] = [
    [],
    ["127.0.0.1:1"],
    ["127.0.0.1:0", "who"],
    ["127.0.0.1:70000", "who"],
    ["127.0.0.1:", "who"],
    ["127.0.0.1:1x", "who"],
    ["300.1.1.1", "who"],
    ["1.2.3", "who"],
    ["[::1", "who"],
    ["::1]:1", "who"],
    ["two words", "who"],
    ["", "who"],
    ["127.0.0.1:1", "dance"],
    ["127.0.0.1:1", "search"],
    ["127.0.0.1:1", "search", ""],
    ["127.0.0.1:1", "get"],
    ["127.0.0.1:1", "search", "a", "b"],
    ["127.0.0.1:1", "who", "x"],
    ["127.0.0.1:1", "share", "x"],
    ["127.0.0.1:1", "who", "--port", "70000"],
    ["127.0.0.1:1", "who", "--port", "-1"],
    ["127.0.0.1:1", "who", "--port", "1e3"],
    ["127.0.0.1:1", "who", "--port", ""],
    ["127.0.0.1:1", "who", "--port"],
    ["127.0.0.1:1", "who", "--share"],
    ["127.0.0.1:1", "who", "--nonsense"],
    ["127.0.0.1:1", "who", "-x"],
    ["127.0.0.1:1", "who", "--json=yes"],
    ["127.0.0.1:1", "who", "\u001b[2J"],
    ["127.0.0.1:1", "get", "x", "--from", ""],
    ["127.0.0.1:1", "get", "x", "--from", "127.0.0.1:0"],
    ["127.0.0.1:1", "get", "x", "--from", "[::1]:0"],
    ["127.0.0.1:1", "who", "--name", "\u202e"],
  ];

  test("each of many wrong command lines is one sentence and exit code 2", async () => {
    const folder = stage.visitorFolder();
    const queue = [...wrong];
    const next = async () => {
      for (let args = queue.shift(); args !== undefined; args = queue.shift()) {
        const { code, out, err } = await ended(stage.run(PEER, args, { cwd: folder }));
        expect({ args, code, out }).toEqual({ args, code: 2, out: "" });
        expectSentence(err);
        expect(err).not.toMatch(DECEIVING);
      }
    };
    await Promise.all([next(), next(), next()]);
  });

  test.each(["::1:1235", "fe80::1"])(
    "--from %s names no port for certain: an IPv6 address with one needs brackets",
    async (from) => {
      const { code, out, err } = await stage.ft(stage.visitorFolder(), "127.0.0.1:1", "get", "x", "--from", from);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expectSentence(err);
    },
  );

  test("with --json wrong usage is one error object", async () => {
    const { code, program } = await ended(stage.run(PEER, ["127.0.0.1:1", "dance", "--json"], { cwd: stage.visitorFolder() }));
    expect(code).toBe(2);
    expect(program.objects()).toMatchObject([{ event: "error", code: "usage", message: expect.stringContaining('"dance"') }]);
  });

  test("the right spellings of an address are understood", async () => {
    const { port } = library.tracker;
    for (const address of [`127.0.0.1:${port}`, `localhost:${port}`, `[::ffff:127.0.0.1]:${port}`]) {
      const { code } = await stage.ft(stage.visitorFolder(), address, "who");
      expect({ address, code }).toEqual({ address, code: 0 });
    }
  });
});

describe("trackers that cannot be used", () => {
  test("a tracker that nobody reaches is one sentence with the address and exit code 1", async () => {
    const address = `127.0.0.1:${await closedPort()}`;
    for (const command of [["who"], ["share"], ["get", "x"], ["search", "x"], ["list"]]) {
      const { code, out, err } = await stage.ft(stage.visitorFolder(), address, ...command, "--quiet");
      expect({ command, code, out }).toEqual({ command, code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(address);
    }
    const json = await stage.ft(stage.visitorFolder(), address, "who", "--json");
    expect(json.code).toBe(1);
    expect(json.program.objects()).toMatchObject([
      { event: "error", code: expect.stringMatching(/^[\w-]+$/), message: expect.stringContaining(address) },
    ]);
  });

  const strangers: [string, (connection: Raw) => void][] = [
    ["closes at once", (connection) => connection.close()],
    ["speaks HTTP", (connection) => answering(connection, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")],
    ["speaks SSH", (connection) => answering(connection, "SSH-2.0-Server\r\n")],
    ["sends an endless line", (connection) => answering(connection, "A".repeat(100_000))],
    ["sends a HI that is none", (connection) => answering(connection, "HI FT/2 max=many\n")],
    ["refuses with escape codes", (connection) => answering(connection, "ERROR tracker-full go%1B[2Jaway\n")],
  ];

  /** Answers the first bytes with these, then closes. */
  function answering(connection: Raw, bytes: string): void {
    connection.socket.once("data", () => {
      connection.send(bytes);
      connection.halfClose();
    });
  }

  test.each(strangers)("a server that %s is one sentence and exit code 1", async (_, script) => {
    const server = await rawServer(script);
    stage.atEnd(() => server.close());
    const { code, out, err } = await stage.ft(stage.visitorFolder(), `127.0.0.1:${server.port}`, "who", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain(`127.0.0.1:${server.port}`);
    expect(err).not.toMatch(DECEIVING);
  });

  test("a tracker that closes instead of answering a search is one sentence and exit code 1", async () => {
    const { address } = await stage.rawTracker({ answers: { "SEARCH:": "" } });
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "search", "x", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(address);
  });

  test("a tracker that is full refuses with its reason, and that is exit code 1", async () => {
    const { address } = await stage.tracker("--max-peers", "1");
    await stage.sharing(address, stage.notesFolder(), 1);
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "who", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain("1 peer");
  });

  test("Ctrl-C while a silent tracker is waited for ends with exit code 130", async () => {
    const greeted = Promise.withResolvers<void>();
    const server = await rawServer((connection) => connection.socket.once("data", () => greeted.resolve()));
    stage.atEnd(() => server.close());
    const program = stage.run(PEER, [`127.0.0.1:${server.port}`, "who", "--port", "0"], { cwd: stage.visitorFolder() });
    await greeted.promise;
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect(program.out).toBe("");
  });
});

describe("presence", () => {
  test("when the tracker is killed and started again on its port, the peers come back by themselves and are found", async () => {
    const { address, program: tracker, port } = await stage.tracker();
    const [first, second] = await Promise.all([
      stage.sharing(address, stage.folderWith({ "first.txt": "first" }), 1),
      stage.sharing(address, stage.folderWith({ "second.txt": "second" }), 1),
    ]);
    tracker.kill("SIGKILL");
    await Promise.all([first, second].map(({ program }) => program.waitFor(/"event":"away"/)));
    const again = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"]);
    await again.waitFor(/"event":"listening"/);
    await Promise.all([first, second].map(({ program }) => program.waitFor(/"event":"joined"/)));
    for (const name of ["first", "second"]) {
      const inbox = stage.folder();
      const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", `${name}.txt`, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toContain("verified");
      expect(readFileSync(join(inbox, `${name}.txt`), "utf8")).toBe(name);
    }
    // And they are peers like before: they can leave.
    first.program.kill("SIGINT");
    expect(await first.program.exited).toBe(130);
    expect((await stage.ft(stage.visitorFolder(), address, "search", "first.txt")).code).toBe(1);
  });

  test("a transfer goes on when the tracker goes away in its middle", async () => {
    const { address, program: tracker, port } = await stage.tracker();
    const content = noise(200_000, 9);
    const begun = Promise.withResolvers<Raw>();
    const slow = await stage.holder(content, {
      download: ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(0, 1_000));
        begun.resolve(connection);
      },
    });
    await stage.enlist(port, slow.port, [record("file.bin", content.length, slow.port, contentId(content))]);
    const inbox = stage.folder();
    const program = stage.run(PEER, [address, "get", "file.bin", "--to", inbox, "--port", "0", "--json"], {
      cwd: stage.visitorFolder(),
    });
    const connection = await begun.promise;
    await program.waitFor(/"event":"progress"/);
    tracker.kill("SIGKILL");
    await tracker.exited;
    connection.send(content.subarray(1_000));
    expect(await program.exited).toBe(0);
    expect(readFileSync(join(inbox, "file.bin")).equals(content)).toBe(true);
  });

  test.each(["SIGINT", "SIGTERM"] as const)(
    "%s during a transfer: exit code 130, no file of the name, BYE at the tracker",
    async (signal) => {
      const { address, program: tracker, port } = await stage.tracker("--json");
      const content = noise(200_000, 5);
      const slow = await stage.holder(content, {
        download: ({ length }, connection) => {
          connection.send(`FILE: length=${length} size=${content.length}\n`);
          connection.send(content.subarray(0, 100_000));
        },
      });
      await stage.enlist(port, slow.port, [record("file.bin", content.length, slow.port, contentId(content))]);
      await tracker.waitFor(/"event":"joined"/);
      const inbox = stage.folder();
      const program = stage.run(PEER, [address, "get", "file.bin", "--to", inbox, "--port", "0", "--json"], {
        cwd: stage.visitorFolder(),
      });
      await program.waitFor(/"event":"progress"/);
      const { port: own } = await waitForJoined(tracker);
      program.kill(signal);
      expect(await program.exited).toBe(130);
      // What arrived is kept, under no name that anybody would take for the file.
      expect(seenIn(inbox)).toEqual([]);
      expect(readdirSync(inbox).length).toBeGreaterThan(0);
      expect(new Set(program.objects().map(({ event }) => event))).toEqual(new Set(["asking", "progress"]));
      expect(program.err).not.toMatch(INSIDE);
      expect(await waitForLog(tracker, "left", own)).toMatchObject({ reason: "left" });
    },
  );

  test("every command says BYE when it is done", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    await stage.sharing(address, stage.notesFolder(), 1);
    await tracker.waitFor(/"event":"joined"/);
    for (const command of [
      ["search", "notes.txt"],
      ["search", "nothing"],
      ["list"],
      ["get", "notes.txt"],
      ["get", "nothing"],
    ]) {
      await stage.ft(stage.visitorFolder(), address, ...command);
      const { port } = await waitForJoined(tracker);
      expect(await waitForLog(tracker, "left", port)).toMatchObject({ reason: "left" });
    }
  });

  test("a sharing peer that is killed with -9 is gone from the index at once", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const { program } = await stage.sharing(address, stage.notesFolder(), 1);
    const { port } = await waitForJoined(tracker);
    expect((await stage.ft(stage.visitorFolder(), address, "search", "notes.txt")).code).toBe(0);
    program.kill("SIGKILL");
    // Its end is what the tracker sees, not pings that are missed.
    expect(await waitForLog(tracker, "left", port)).toMatchObject({ reason: expect.stringMatching(/closed|broke/) });
    expect((await stage.ft(stage.visitorFolder(), address, "search", "notes.txt")).code).toBe(1);
    const { program: who } = await stage.ft(stage.visitorFolder(), address, "who", "--json");
    expect(who.objects().length).toBe(1);
  });
});

describe("standard input and output", () => {
  const MANY = 1_500;

  /** A tracker whose index is longer than a pipe holds. */
  async function longIndex(): Promise<{ address: string; program: Program }> {
    const tracker = await stage.tracker("--max-files", String(MANY), "--json");
    const name = (i: number) => `file ${String(i).padStart(5, "0")} ${"x".repeat(60)}`;
    await stage.enlist(
      tracker.port,
      40_000,
      Array.from({ length: MANY }, (_, i) => record(name(i), i, 40_000)),
    );
    await tracker.program.waitFor(/"event":"joined"/);
    return tracker;
  }

  test("a reader that is slow gets every line", async () => {
    const { address, program: tracker } = await longIndex();
    const folder = stage.visitorFolder();
    const gate = join(stage.folder(), "gate");
    expect(Bun.spawnSync(["mkfifo", gate]).exitCode).toBe(0);
    const script = `"$@" | { read go < '${gate}'; cat; }`;
    const program = stage.shell(script, folder, PEER, address, "list", "--json", "--port", "0");
    // The reader starts when the peer has said BYE and has had the time to end, which it must not do before it is read.
    const { port } = await waitForJoined(tracker);
    await Promise.race([waitForLog(tracker, "left", port), Bun.sleep(2_000)]);
    await Bun.sleep(300);
    writeFileSync(gate, "go\n");
    expect(await program.exited).toBe(0);
    expect(program.objects().length).toBe(MANY + 1);
  });

  test.each(["list", "list --json"])("piped to head -1, %s ends quietly with exit code 0", async (command) => {
    const { address } = await longIndex();
    const words = command.split(" ");
    const script = '{ "$@"; echo "code $?" >&2; } | head -1';
    const program = stage.shell(script, stage.visitorFolder(), PEER, address, ...words, "--quiet", "--port", "0");
    expect(await program.exited).toBe(0);
    expect(program.err).toBe("code 0\n");
    expect(program.out.split("\n").length).toBe(2);
  });

  test("a share whose reader goes away ends by itself at its next line", async () => {
    const { address } = await stage.tracker();
    const script = '{ "$@"; echo "code $?" >&2; } | head -1';
    const program = stage.shell(script, stage.notesFolder(), PEER, address, "share", "--json", "--quiet", "--port", "0");
    await program.waitFor(/"event":"joined"/);
    // Each download makes it print something.
    while (!program.err.includes("code ")) await stage.ft(stage.visitorFolder(), address, "get", "notes.txt");
    expect(program.err).toBe("code 0\n");
    expect(await program.exited).toBe(0);
  });

  test("closed standard streams hang nothing and lose no file; a closed output is an error", async () => {
    const { address } = library.tracker;
    const attempt = async (closing: string) => {
      const inbox = stage.folder();
      const done = closing.includes(">&-") ? 1 : 0;
      for (const [command, code] of [
        [["who"], done],
        [["get", "notes.txt", "--to", inbox], done],
        [["search", "nothing"], 1],
        [["dance"], 2],
      ] as const) {
        const program = stage.shell(`exec "$@" ${closing}`, stage.visitorFolder(), PEER, address, ...command, "--port", "0");
        expect({ closing, command, code: await program.exited }).toEqual({ closing, command, code });
        expect(program.err).not.toMatch(INSIDE);
      }
      expect(readFileSync(join(inbox, "notes.txt"), "utf8")).toBe("twelve bytes");
    };
    await Promise.all([">&-", "<&-", "<&- >&- 2>&-"].map(attempt));
  });

  test("without a terminal there are no escape sequences, no progress and no questions", async () => {
    const { address } = library.tracker;
    const attempt = async (env: Record<string, string>) => {
      for (const command of [
        ["search", "big.bin"],
        ["get", "big.bin", "--to", stage.folder()],
      ]) {
        const program = stage.run(PEER, [address, ...command, "--port", "0"], { cwd: stage.visitorFolder(), env });
        const { code, out, err } = await ended(program);
        expect({ env, code }).toEqual({ env, code: 0 });
        // In a pipe, tabs stand between the fields of a line.
        expect((out + err).replaceAll("\t", " ")).not.toMatch(DECEIVING);
        expect(out).not.toContain("%");
      }
    };
    await Promise.all([{ NO_COLOR: "" }, { NO_COLOR: "1" }, { TERM: "dumb" }].map(attempt));
    const guided = await ended(stage.run(PEER, [address], { cwd: stage.visitorFolder() }));
    expect({ code: guided.code, out: guided.out }).toEqual({ code: 2, out: "" });
    expectSentence(guided.err);
  });

  test("on a terminal there is progress; with TERM=dumb there is no escape sequence, with NO_COLOR no colour", async () => {
    const { address } = library.tracker;
    const onTerminal = async (env: Record<string, string>, ...command: string[]) => {
      const cwd = stage.visitorFolder();
      const screen = new Screen([PEER, address, ...command, "--port", "0"], {
        cwd,
        env: { XDG_CACHE_HOME: stage.folder(), ...env },
      });
      stage.atEnd(() => screen.close());
      const code = await screen.exited;
      return { code, raw: screen.raw };
    };
    const colours = /\u001b\[[\d;]*m/;
    const plain = await onTerminal({}, "get", "big.bin");
    expect(plain.code).toBe(0);
    expect(plain.raw).toContain("\u001b[");
    expect(plain.raw).toMatch(colours);
    for (const command of [["get", "big.bin"], ["search", "big.bin"], ["who"], ["search", "nothing"]]) {
      const expected = command[1] === "nothing" ? 1 : 0;
      const dumb = await onTerminal({ TERM: "dumb" }, ...command);
      expect({ command, code: dumb.code }).toEqual({ command, code: expected });
      expect(dumb.raw).not.toContain("\u001b");
      const noColor = await onTerminal({ NO_COLOR: "1" }, ...command);
      expect({ command, code: noColor.code }).toEqual({ command, code: expected });
      expect(noColor.raw).not.toMatch(colours);
    }
    const guided = await onTerminal({ TERM: "dumb" });
    expect(guided.code).toBe(2);
    expect(guided.raw).not.toContain("\u001b");
  });
});
