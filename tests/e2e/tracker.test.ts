// The compiled ft-tracker as people and scripts meet it: its output, its options and exit codes, and what it holds out against.

import { describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync, writeFileSync, writeSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { systemClock } from "../../lib/clock.ts";
import { dial } from "../../lib/net/dial.ts";
import { Session } from "../../lib/peer/online/session.ts";
import { type FileRecord, parseFileName } from "../../lib/protocol/record.ts";
import { TRACKER_HELP } from "../../lib/tracker/options.ts";
import { version } from "../../package.json";
import { freePort, type Program, Stage, TRACKER } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";

const LOOPBACK = "127.0.0.1";
const linux = process.platform === "linux";
const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
if (!hasIPv6) console.log("This machine has no IPv6: a tracker on both kinds of addresses is not tested here.");
/** Nothing listens on it. */
const CLOSED = 1;
const NOTES = "<notes.txt,text/plain,1200,21/11/26,192.168.1.17,40123;v=2>";
const NOTES_SEEN = `<notes.txt,text/plain,1200,21/11/26,127.0.0.1,${CLOSED};v=2>`;

/** A stage whose programs and connections are gone at the end. */
class House implements AsyncDisposable {
  readonly stage = new Stage();
  readonly #guests: Raw[] = [];

  async [Symbol.asyncDispose](): Promise<void> {
    for (const guest of this.#guests) guest.close();
    await this.stage.close();
  }

  async connect(port: number): Promise<Raw> {
    const guest = await Raw.connect(port);
    this.#guests.push(guest);
    return guest;
  }

  /** An accepted FT/2 peer. */
  async join(port: number, { agent = "test/1", record = NOTES } = {}): Promise<Raw> {
    const guest = await this.connect(port);
    guest.send(`HELLO FT/2 agent=${agent}\nFILES 1 port=${CLOSED}\n${record}\n`);
    expect(await guest.line()).toStartWith("HI FT/2 ");
    expect(await guest.line()).toStartWith("WELCOME ");
    return guest;
  }

  /** A program that ends by itself. */
  async runToEnd(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const program = this.stage.run(TRACKER, args);
    const code = await program.exited;
    return { code, out: program.out, err: program.err };
  }
}

async function ask(peer: Raw, request: string): Promise<string> {
  peer.send(`${request}\n`);
  return await peer.reply();
}

/** Nothing of a program's insides, no control characters, one line. */
function expectOneLine(text: string): void {
  expect(text).toMatch(/^[^\u0000-\u001f\u007f-\u009f]+\n$/);
  expect(text).not.toMatch(/ at |\$bunfs|\.ts:|Error:/);
}

/** Connects as soon as a program listens there. */
async function connectWhenReady(house: House, port: number): Promise<Raw> {
  for (;;) {
    const guest = await house.connect(port).catch(() => undefined);
    if (guest !== undefined) return guest;
    await Bun.sleep(10);
  }
}

describe("the command line", () => {
  test("--help prints the usage and nothing else, exit code 0", async () => {
    await using house = new House();
    expect(await house.runToEnd("--help")).toEqual({ code: 0, out: `${TRACKER_HELP}\n`, err: "" });
  });

  test("--completions prints a script for the shell and nothing else, exit code 0", async () => {
    await using house = new House();
    for (const shell of ["bash", "powershell"]) {
      const { code, out, err } = await house.runToEnd("--completions", shell);
      expect([code, err]).toEqual([0, ""]);
      expect(out).toContain("--max-per-address");
    }
  });

  test("--version prints name and version, exit code 0", async () => {
    await using house = new House();
    expect(await house.runToEnd("--version")).toEqual({ code: 0, out: `ft-tracker ${version}\n`, err: "" });
  });

  const wrong: string[][] = [
    ["--bogus"],
    ["serve"],
    ["--port", "70000"],
    ["--port", "many"],
    ["--port"],
    ["--max-files", "0"],
    ["--max-per-address", "-3"],
    ["--host", "nowhere"],
    ["--host", ""],
    ["--host"],
    ["--completions", "tcsh"],
    ["--quiet=yes"],
    ["--bogus\x1b[2J\u202e"],
  ];
  test("wrong usage is one line on standard error, exit code 2", async () => {
    await using house = new House();
    for (const args of wrong) {
      const { code, out, err } = await house.runToEnd(...args);
      expect([args, code, out]).toEqual([args, 2, ""]);
      expectOneLine(err);
    }
  });

  test("wrong usage with --json is one object on standard output, exit code 2", async () => {
    await using house = new House();
    const { code, out, err } = await house.runToEnd("--json", "--port", "many\x1b[2J\u202e");
    expect([code, err]).toEqual([2, ""]);
    expectOneLine(out);
    expect(JSON.parse(out)).toEqual({ event: "error", code: "usage", message: expect.stringContaining("--port") });
  });

  test("a port in use and an address that is not this machine's are one line, exit code 1", async () => {
    await using house = new House();
    const { address, port } = await house.stage.tracker();
    const taken = await house.runToEnd("--host", LOOPBACK, "--port", String(port));
    expect([taken.code, taken.out]).toEqual([1, ""]);
    expectOneLine(taken.err);
    expect(taken.err).toContain(`"${address}"`);
    const elsewhere = await house.runToEnd("--host", "203.0.113.9", "--port", "0");
    expect([elsewhere.code, elsewhere.out]).toEqual([1, ""]);
    expectOneLine(elsewhere.err);
    expect(elsewhere.err).toContain("203.0.113.9");
    const asJson = await house.runToEnd("--host", LOOPBACK, "--port", String(port), "--json");
    expect([asJson.code, asJson.err]).toEqual([1, ""]);
    expect(JSON.parse(asJson.out)).toEqual({ event: "error", code: "port-in-use", message: expect.stringContaining(address) });
  });

  test("with --quiet an error is still said", async () => {
    await using house = new House();
    const { code, out, err } = await house.runToEnd("--quiet", "--host", "203.0.113.9", "--port", "0");
    expect([code, out]).toEqual([1, ""]);
    expectOneLine(err);
  });
});

test("files that the folder it is started in holds change nothing", async () => {
  await using house = new House();
  const cwd = house.stage.folder();
  const evil = join(cwd, "evil.ts");
  writeFileSync(evil, 'require("node:fs").writeFileSync("owned", ""); console.log("owned");');
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n');
  writeFileSync(join(cwd, ".env"), `BUN_OPTIONS="--preload ${evil}"\nNODE_OPTIONS="--require ${evil}"\n`);
  writeFileSync(join(cwd, "package.json"), "{ this is no JSON");
  writeFileSync(join(cwd, "tsconfig.json"), "{ nor is this");
  const program = house.stage.run(TRACKER, ["--version"], { cwd });
  expect(await program.exited).toBe(0);
  expect([program.out, program.err]).toEqual([`ft-tracker ${version}\n`, ""]);
  expect(readdirSync(cwd)).not.toContain("owned");
});

describe("what it prints", () => {
  test("first where it listens, then what peers can type, then one line an event", async () => {
    await using house = new House();
    const { program, port } = await house.stage.tracker();
    const peer = await house.join(port, { agent: "evil%1B]0;x%07%0Aline%E2%80%AE" });
    expect(await peer.push()).toStartWith("REACH no ");
    const stranger = await house.connect(port);
    stranger.send("GET / HTTP/1.1\r\n\r\n");
    await stranger.rest();
    await program.waitFor(/refused/);
    expect(await ask(peer, "BYE")).toBe("BYE");
    await program.waitFor(/left.*\n/);
    const lines = program.out.trimEnd().split("\n");
    expect(lines).toHaveLength(8);
    expect(lines[0]).toContain(`listening on 127.0.0.1:${port}`);
    expect(lines.slice(1, 3)).toEqual(["Other computers: run", `    ft-peer 127.0.0.1:${port}`]);
    expect(lines[3]).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(lines[4]).toMatch(/joined .*127\.0\.0\.1:1,.*1 file.*evil\\x1b\]0;x\\x07\\nline\\u202e/);
    expect(lines[5]).toMatch(/blocked .*127\.0\.0\.1:1: .*refused/);
    expect(lines[6]).toMatch(/refused .*127\.0\.0\.1: \S/);
    expect(lines[7]).toMatch(/left .*127\.0\.0\.1:1 \(0 peers online\)$/);
    expect(program.out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(program.err).toBe("");
  });

  test("with --json one object an event, and only that", async () => {
    await using house = new House();
    const { program, port } = await house.stage.tracker("--json", "--max-files", "2");
    const agent = "evil\u001b]0;x\u0007\nline\u202e";
    const peer = await house.join(port, { agent: encodeURIComponent(agent) });
    expect(await peer.push()).toStartWith("REACH no ");
    const stranger = await house.connect(port);
    stranger.send("GET / HTTP/1.1\r\n\r\n");
    await stranger.rest();
    const greedy = await house.connect(port);
    greedy.send("HELLO FT/2 agent=x\nFILES 3 port=1\n");
    await greedy.rest();
    peer.send(`FILES 1 port=2\n${NOTES}\n`);
    expect(await peer.reply()).toStartWith("WELCOME ");
    expect(await peer.push()).toStartWith("REACH no ");
    expect(await ask(peer, "BYE")).toBe("BYE");
    await program.waitFor(/"left".*\n/);
    for (const guest of [peer, stranger, greedy]) guest.close();
    program.kill("SIGTERM");
    expect(await program.exited).toBe(0);
    expect(program.err).toBe("");
    expect(program.out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    const text = expect.stringMatching(/\S/);
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const id = String(program.objects()[2]?.id);
    expect(program.objects()).toEqual([
      { event: "listening", address: LOOPBACK, port, time },
      { event: "addresses", addresses: [`127.0.0.1:${port}`], announced: false, time },
      { event: "joined", id, address: LOOPBACK, port: 1, files: 1, agent, profile: "FT/2", peers: 1, time },
      { event: "unreachable", id, address: LOOPBACK, port: 1, reason: expect.stringContaining("refused"), time },
      { event: "refused", address: LOOPBACK, code: "unknown-message", reason: text, time },
      { event: "refused", address: LOOPBACK, code: "too-many-files", reason: text, time },
      { event: "updated", id, address: LOOPBACK, port: 2, files: 1, time },
      { event: "unreachable", id, address: LOOPBACK, port: 2, reason: expect.stringContaining("refused"), time },
      { event: "left", id, address: LOOPBACK, port: 2, reason: text, peers: 0, time },
      { event: "stopped", time },
    ]);
  });

  test("with --quiet nothing, from start to stop", async () => {
    await using house = new House();
    const port = freePort();
    const program = house.stage.run(TRACKER, ["--quiet", "--no-announce", "--host", LOOPBACK, "--port", String(port)]);
    const guest = await connectWhenReady(house, port);
    guest.send("GET / HTTP/1.1\r\n\r\n");
    await guest.rest();
    guest.close();
    const peer = await house.join(port);
    expect(await ask(peer, "BYE")).toBe("BYE");
    peer.close();
    program.kill("SIGINT");
    expect(await program.exited).toBe(0);
    expect([program.out, program.err]).toEqual(["", ""]);
  });

  test("--port is the port, --name and --max-files are what peers are told", async () => {
    await using house = new House();
    const wanted = freePort();
    const { program, port } = await house.stage.tracker("--port", String(wanted), "--name", "Raum 3, Süd", "--max-files", "9");
    expect(port).toBe(wanted);
    const guest = await house.connect(port);
    guest.send("HELLO FT/2 agent=x\n");
    expect(await guest.line()).toMatch(/^HI FT\/2 name=Raum%203%2C%20Süd max=9 key=[\w-]{43} you=127\.0\.0\.1$/);
    expect(program.err).toBe("");
  });

  const lan = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (lan === undefined)
    console.log("This machine is on no network: the addresses that the tracker prints are not tested here.");
  test.skipIf(lan === undefined)("on every interface, an address of this machine that others can type", async () => {
    await using house = new House();
    const program = house.stage.run(TRACKER, ["--port", "0", "--no-announce"]);
    const port = (await program.waitFor(/listening on (?:\[::\]|0\.0\.0\.0):(\d+)\n/))[1];
    await program.waitFor(new RegExp(`^    ft-peer ${lan}:${port}$`, "m"));
    expect(program.out).not.toContain(`ft-peer ${LOOPBACK}`);
    // By that address, and on this machine, it is reached.
    for (const host of [lan ?? "", LOOPBACK]) {
      const guest = await Raw.connect(Number(port), host);
      guest.send("HELLO FT/2 agent=x\n");
      expect(await guest.line()).toEndWith(` you=${host}`);
      guest.close();
    }
  });
});

describe("without --host", () => {
  test.skipIf(!hasIPv6)("IPv4 and IPv6 are served by one tracker, and each address has one count of connections", async () => {
    await using house = new House();
    const args = ["--port", "0", "--no-announce", "--json", "--max-per-address", "2"];
    const program = house.stage.run(TRACKER, args);
    const port = Number((await program.waitFor(/"listening","address":"::","port":(\d+)/))[1]);
    const guests: Raw[] = [];
    try {
      for (const host of ["::1", LOOPBACK, "::ffff:127.0.0.1", LOOPBACK, "::1"]) guests.push(await Raw.connect(port, host));
      const [six, four, mapped, refused, six2] = guests;
      expect((await refused?.rest())?.toString()).toMatch(/^ERROR too-many-connections \S[^\n]+\n$/);
      for (const [guest, you] of [
        [six, "::1"],
        [six2, "::1"],
        [four, LOOPBACK],
        [mapped, LOOPBACK],
      ] as const) {
        guest?.send("HELLO FT/2 agent=x\n");
        expect(await guest?.line()).toEndWith(` you=${you}`);
      }
    } finally {
      for (const guest of guests) guest.close();
    }
  });
});

describe("stopping", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal} tells the peers, exit code 0, and the port is free`, async () => {
      await using house = new House();
      const { program, port } = await house.stage.tracker("--json");
      const peer = await house.join(port);
      const stranger = await house.connect(port);
      for (const guest of [peer, stranger]) guest.socket.on("end", () => guest.close());
      program.kill(signal);
      expect(await peer.replies()).toBe("");
      expect(peer.pushes.at(-1)).toMatch(/^NOTICE \S.+$/);
      expect((await stranger.rest()).toString()).toBe("");
      expect(await program.exited).toBe(0);
      expect(program.objects().at(-1)).toMatchObject({ event: "stopped" });
      expect(program.err).toBe("");
      expect((await house.stage.tracker("--port", String(port))).port).toBe(port);
    });
  }

  test("ends although one peer does not read and another does not close", async () => {
    await using house = new House();
    const { program, port } = await house.stage.tracker("--json");
    const stubborn = await house.join(port);
    const deaf = await house.join(port);
    deaf.socket.pause();
    program.kill("SIGTERM");
    expect(await stubborn.replies()).toBe("");
    expect(stubborn.pushes.at(-1)).toMatch(/^NOTICE \S.+$/);
    expect(await program.exited).toBe(0);
  });

  test.skipIf(process.platform === "win32")("ends although its output goes to somebody who does not read", async () => {
    await using house = new House();
    const pipe = join(house.stage.folder(), "pipe");
    expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
    const reader = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    const child = Bun.spawn([TRACKER, "--json", "--no-announce", "--port", "0", "--host", LOOPBACK], { stdout: reader });
    try {
      const line = Buffer.alloc(4096);
      const read = () => {
        try {
          return line.toString("utf8", 0, readSync(reader, line));
        } catch {
          return "";
        }
      };
      for (let said = ""; !said.includes("listening"); said += read()) await Bun.sleep(10);
      const fill = () => {
        for (;;) writeSync(reader, line);
      };
      expect(fill).toThrow("EAGAIN");
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
      closeSync(reader);
    }
  });

  test("quietly, exit code 0, when the reader of its output has gone away", async () => {
    await using house = new House();
    const child = Bun.spawn([TRACKER, "--json", "--no-announce", "--port", "0", "--host", LOOPBACK], {
      stdout: "pipe",
      stderr: "pipe",
    });
    try {
      const reader = child.stdout.getReader();
      let printed = "";
      while (!/"addresses".*\n/.test(printed)) printed += Buffer.from((await reader.read()).value ?? []).toString();
      await reader.cancel();
      const port = Number(/"port":(\d+)/.exec(printed)?.[1]);
      // Each stranger is an event; one of the first finds the pipe closed, and none is served after that.
      while (child.exitCode === null) {
        const stranger = await house.connect(port).catch(() => undefined);
        stranger?.send("GET / HTTP/1.1\r\n\r\n");
        await stranger?.rest();
        stranger?.close();
      }
      expect(await child.exited).toBe(0);
      expect(await child.stderr.text()).toBe("");
    } finally {
      child.kill("SIGKILL");
    }
  });

  test("killed without a word under 100 peers and started again: all come back, and not in one rush", async () => {
    await using house = new House();
    const PEERS = 100;
    const many = ["--json", "--max-per-address", "200"];
    const first = await house.stage.tracker(...many);
    const record = (i: number): Omit<FileRecord, "address" | "port"> => {
      return { name: parseFileName(`file ${i}`), type: "data", size: i, date: "01/02/03", v2: true };
    };
    let joined = 0;
    let allJoined = Promise.withResolvers<void>();
    const dialled: number[] = [];
    const sessions = Array.from({ length: PEERS }, (_, i) => {
      return new Session({
        dial: (to, options) => {
          dialled.push(performance.now());
          return dial(to, options);
        },
        tracker: { address: LOOPBACK, port: first.port },
        agent: "test/1",
        port: 1024 + i,
        clock: systemClock,
        random: Math.random,
        records: (own) => [{ ...record(i), ...own }],
        report: ({ event }) => {
          if (event !== "joined") return;
          joined += 1;
          if (joined % PEERS === 0) allJoined.resolve();
        },
      });
    });
    try {
      await Promise.all(sessions.map((session) => session.join()));
      await allJoined.promise;
      allJoined = Promise.withResolvers();
      dialled.length = 0;
      first.program.kill("SIGKILL");
      await first.program.exited;
      await house.stage.tracker(...many, "--port", String(first.port));
      await allJoined.promise;
      // The first try of each comes within a second; a stampede would be a moment.
      const moments = new Set(dialled.slice(0, PEERS).map((at) => Math.floor(at / 50)));
      expect(moments.size).toBeGreaterThan(5);
      const peer = await house.join(first.port);
      expect(await ask(peer, "SEARCH: file 99")).toBe("FOUND: 1\n<file 99,data,99,01/02/03,127.0.0.1,1123;v=2>");
    } finally {
      await Promise.all(sessions.map((session) => session.leave()));
    }
  });
});

describe("a peer that is killed", () => {
  test("is gone at once, with its records", async () => {
    await using house = new House();
    const { program, port, address } = await house.stage.tracker("--json");
    const folder = house.stage.folder();
    writeFileSync(join(folder, "homework.txt"), "two pages\n");
    const { program: sharer } = await house.stage.sharing(address, folder, 1);
    const other = await house.join(port);
    expect(await ask(other, "SEARCH: homework.txt")).toStartWith("FOUND: 1\n<homework.txt,text/plain,10,");
    sharer.kill("SIGKILL");
    await program.waitFor(/"left"/);
    expect(await ask(other, "SEARCH: homework.txt")).toBe("NOT FOUND");
  });
});

/** Seconds of processor time that a program has used. */
function processorTimeOf(program: Program): number {
  const fields = readFileSync(`/proc/${program.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Sends `first` and then `chunk` again and again, until the other side ends the connection; `times` times at most. */
async function pour(guest: Raw, first: string, chunk: Uint8Array, times: number): Promise<void> {
  guest.send(first);
  const source = function* () {
    for (let i = 0; i < times; i += 1) yield chunk;
  };
  // That it is cut off is what is wanted of the tracker.
  await pipeline(Readable.from(source()), guest.socket).catch(() => undefined);
}

/** Asks so often, and has the right answer each time. */
async function expectAnswers(peer: Raw, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) expect(await ask(peer, "SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
}

const RUBBISH: [string, string, Uint8Array][] = [
  ["an endless line", "", Buffer.alloc(64 * 1024, "x")],
  ["an endless FT/1 record", "<", Buffer.alloc(64 * 1024, "x")],
  ["an endless FT/2 line", "HELLO FT/2 agent=", Buffer.alloc(64 * 1024, "x")],
  ["NULs", "", Buffer.alloc(64 * 1024)],
  ["bytes that are not UTF-8", "SEARCH: ", Buffer.alloc(64 * 1024, 0xfe)],
  ["HTTP", "POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Buffer.alloc(64 * 1024, "10000\r\n")],
  ["TLS", "\u0016\u0003\u0001", Buffer.alloc(64 * 1024, 0x16)],
];

describe("under attack", () => {
  for (const [what, first, chunk] of RUBBISH) {
    test(`${what}: 16 MB are refused in one event, and a peer that asks meanwhile is answered`, async () => {
      await using house = new House();
      const { program, port } = await house.stage.tracker("--json");
      const peer = await house.join(port);
      const poured = pour(await house.connect(port), first, chunk, 256);
      await expectAnswers(peer, 20);
      await poured;
      await program.waitFor(/"refused".*\n/);
      expect(await ask(peer, "PING")).toBe("PONG");
      program.kill("SIGTERM");
      peer.socket.on("end", () => peer.close());
      expect(await program.exited).toBe(0);
      expect(program.err).toBe("");
      expect(program.objects().filter(({ event }) => event === "refused")).toHaveLength(1);
    });
  }

  test("100,000 pipelined commands of several peers are cut off, and another peer is answered meanwhile", async () => {
    await using house = new House();
    const { program, port } = await house.stage.tracker("--json");
    const peer = await house.join(port);
    const crowd = await Promise.all(
      Array.from({ length: 4 }, () => house.join(port, { record: NOTES.replace("notes", "other") })),
    );
    for (const guest of crowd) guest.send("SEARCH: other.txt\n".repeat(100_000));
    await expectAnswers(peer, 100);
    for (const guest of crowd) {
      const lines = (await guest.replies()).trimEnd().split("\n");
      expect(lines.length).toBeLessThan(5_000);
      expect(lines.at(-1)).toMatch(/^ERROR too-fast \S.+$/);
    }
    for (const _ of crowd) await program.waitFor(/"left"/);
    expect(await ask(peer, "SEARCH: other.txt")).toBe("NOT FOUND");
  });

  test("200 connections from one address: the 33rd is refused with a reason, and --max-per-address moves that", async () => {
    await using house = new House();
    for (const [most, ...args] of [[32], [40, "--max-per-address", "40"]] as [number, ...string[]][]) {
      const { program, port } = await house.stage.tracker("--json", ...args);
      const peer = await house.join(port);
      for (let i = 1; i < most; i += 1) await house.connect(port);
      const last = await house.connect(port);
      expect((await last.rest()).toString()).toMatch(/^ERROR too-many-connections \S[^\n]+\n$/);
      await program.waitFor(/"refused".*"too-many-connections"/);
      await Promise.allSettled(Array.from({ length: 200 - most }, () => house.connect(port)));
      expect(await ask(peer, "PING")).toBe("PONG");
    }
  });

  test.skipIf(!linux)("more connections than descriptors: refused politely, no core spins, and it recovers", async () => {
    await using house = new House();
    const started = ["-c", 'ulimit -n 160 && exec "$0" "$@"', TRACKER, "--no-announce", "--port", "0", "--host", LOOPBACK];
    const program = house.stage.run("sh", [...started, "--json", "--max-per-address", "100000"]);
    const port = Number((await program.waitFor(/"port":(\d+)/))[1]);
    const peer = await house.join(port);
    // 160 less 128 are 32 connections. The last three are kept for hosts without one, and the peer has one of the others.
    const inside = await Promise.all(Array.from({ length: 28 }, () => house.connect(port)));
    const refused = await house.connect(port);
    expect((await refused.rest()).toString()).toMatch(/^ERROR tracker-full \S[^\n]+\n$/);
    const crowd = await Promise.allSettled(Array.from({ length: 300 }, () => house.connect(port)));
    for (const guest of crowd) if (guest.status === "fulfilled") await guest.value.rest();
    const used = processorTimeOf(program);
    const from = performance.now();
    await Bun.sleep(400);
    expect((processorTimeOf(program) - used) / ((performance.now() - from) / 1000)).toBeLessThan(0.4);
    expect(inside.some(({ ended }) => ended)).toBe(false);
    expect(await ask(peer, "SEARCH: notes.txt")).toBe(`FOUND: 1\n${NOTES_SEEN}`);
    for (const guest of [refused, ...inside]) guest.close();
    for (const guest of crowd) if (guest.status === "fulfilled") guest.value.close();
    for (let served = ""; served !== "HI"; ) {
      const guest = await house.connect(port);
      guest.send("HELLO");
      served = (await Promise.race([guest.take(2), guest.rest()]).catch(() => "")).toString();
      guest.close();
    }
    expect(program.err).toBe("");
  });
});
