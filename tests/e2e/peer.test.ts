// ft-peer as people and scripts run it: the compiled program against the compiled tracker, and against trackers, holders and
// downloaders that speak bytes written from the protocol's text.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync, sign } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { type Answers, contentId, type Holder, noise, startHolder } from "../helpers/holder.ts";
import { PEER, type Program, Stage, TRACKER } from "../helpers/programs.ts";
import { Raw, rawServer } from "../helpers/raw.ts";
import { Screen } from "../helpers/terminal.ts";

let stage: Stage;
let cleanups: (() => void | Promise<void>)[];

/** One tracker and one sharing peer for every test that only asks and fetches; who needs more has a stage of its own. */
const house = new Stage();
let home: { program: Program; port: number; address: string };
let library: { program: Program; port: number; id: string };

const MODIFIED = new Date("2024-03-04T05:06:07.000Z");
const BIG = noise(3_000_000);
const BOOKS: Record<string, string | Uint8Array> = {
  "notes.txt": "twelve bytes",
  "big.bin": BIG,
  "empty.dat": "",
  "two words & more.txt": "spaces",
  "Größe naïve.txt": "umlauts",
  "файл 空.txt": "letters",
  "a.txt": "a",
  "b.txt": "b",
  "c.txt": "c",
  "no extension": "theirs too",
  "run-me.sh": "#!/bin/sh\necho run\n",
  "--version": "not an option",
};

beforeAll(async () => {
  const folder = house.folder();
  for (const [name, content] of Object.entries(BOOKS)) writeFileSync(join(folder, name), content);
  utimesSync(join(folder, "notes.txt"), MODIFIED, MODIFIED);
  chmodSync(join(folder, "run-me.sh"), 0o755);
  home = await house.tracker("--max-files", "50", "--json");
  const named = Object.keys(BOOKS).flatMap((name) => ["--share", join(folder, name)]);
  const { program } = await house.sharing(home.address, folder, Object.keys(BOOKS).length, ...named);
  library = { program, ...(await waitForJoined(home.program)) };
});

afterAll(() => house.close());

beforeEach(() => {
  stage = new Stage();
  cleanups = [];
});

afterEach(async () => {
  for (const clean of cleanups.reverse()) await clean();
  await stage.close();
});

// ---------------------------------------------------------------- what the tests are made of

/** A new folder with these files in it. */
function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** A folder of somebody who came to fetch: it has the one file that a peer must share. */
function visitorFolder(): string {
  return folderWith({ "visitor.txt": "I share this.\n" });
}

/** What somebody sees in a folder; the hidden files of transfers left out. */
function seenIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .sort();
}

interface Outcome {
  code: number;
  out: string;
  err: string;
  program: Program;
}

async function ended(program: Program): Promise<Outcome> {
  const code = await program.exited;
  return { code, out: program.out, err: program.err, program };
}

/** Runs one command to its end, serving on a free port. */
function ft(folder: string, ...args: string[]): Promise<Outcome> {
  const end = args.indexOf("--");
  const placed = end < 0 ? [...args, "--port", "0"] : [...args.slice(0, end), "--port", "0", ...args.slice(end)];
  return ended(stage.run(PEER, placed, { cwd: folder }));
}

/** A shell's pipeline around a command: `"$@"` in the script is the command. */
function shell(script: string, folder: string, ...command: string[]): Program {
  return stage.run("/bin/sh", ["-c", script, "sh", ...command], { cwd: folder });
}

/** What only a program that failed unseen would print. */
const INSIDE = /bunfs|node:|^\s+at |Error:|undefined|\[object/m;

/** Exactly one line for a person: no stack, nothing of the program's inside. */
function expectSentence(text: string): void {
  expect(text).toMatch(/^[^\n]*[.?!][^\n]*\n$/);
  expect(text).not.toMatch(INSIDE);
}

/** Characters that a terminal, a log or a reader could be misled by; line ends are the program's own. */
const DECEIVING = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/;

/** The next peer that a tracker's log says joined. */
async function waitForJoined(tracker: Program): Promise<{ id: string; port: number; files: number }> {
  const [line] = await tracker.waitFor(/\{"event":"joined"[^\n]*/);
  return JSON.parse(line) as { id: string; port: number; files: number };
}

/** The next line of a tracker's log about whoever serves on this port. */
async function waitForLog(tracker: Program, event: string, port: number): Promise<Record<string, unknown>> {
  const [line] = await tracker.waitFor(new RegExp(`\\{"event":"${event}"[^\\n]*"port":${port}[,}][^\\n]*`));
  return JSON.parse(line) as Record<string, unknown>;
}

/** The only record that a search finds. */
async function onlyRecord(address: string, name: string): Promise<Record<string, unknown>> {
  const { program, err } = await ft(visitorFolder(), address, "search", name, "--json");
  const [record, more] = program.objects();
  if (record === undefined || more !== undefined) throw new Error(`not one record: ${program.out}${err}`);
  return record;
}

/** A raw FT/2 session with a tracker that shares these records; it stays open. Gives its pass. */
async function enlist(tracker: number, port: number, records: string[]): Promise<string> {
  const session = await Raw.connect(tracker);
  cleanups.push(() => session.close());
  session.send(`HELLO FT/2 agent=raw\nFILES ${records.length} port=${port}\n${records.map((line) => `${line}\n`).join("")}`);
  expect(await session.line()).toStartWith("HI FT/2 ");
  const welcome = await session.line();
  expect(welcome).toStartWith("WELCOME ");
  return /pass=(\S+)/.exec(welcome)?.[1] ?? "";
}

/** A name as a record or a `key=value` carries it: `%XX` for what the grammar needs for itself. */
function escaped(name: string): string {
  return name.replace(/[%,;<> \u0000-\u001f\u007f-\u009f]/g, (character) =>
    Array.from(Buffer.from(character), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** A record line of a holder on this machine. */
function record(name: string, size: number, port: number, root?: string): string {
  return `<${escaped(name)},text/plain,${size},22/11/26,127.0.0.1,${port};v=2${root === undefined ? "" : `;root=${root}`}>`;
}

/** A raw holder of one content that answers as it is told, else honestly. */
async function holder(content: Uint8Array, answers: Answers = {}): Promise<Holder> {
  const started = await startHolder(content, answers);
  cleanups.push(() => started.close());
  return started;
}

/** A raw tracker with a key of its own, so that a test can sign any pass and give any answer. */
async function rawTracker({
  answers = {},
  known = () => false,
}: {
  answers?: Record<string, string>;
  known?: () => boolean;
} = {}) {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const key = String(publicKey.export({ format: "jwk" }).x);
  const signed = (payload: string, by = privateKey) =>
    `${Buffer.from(payload).toString("base64url")}.${sign(null, Buffer.from(payload), by).toString("base64url")}`;
  const pass = (address: string, inSeconds: number, by = privateKey) =>
    signed(`somebody ${address} ${Math.floor(Date.now() / 1000) + inSeconds}`, by);
  const port = Promise.withResolvers<number>();
  const converse = async (connection: Raw) => {
    for (;;) {
      const line = await connection.line();
      const [verb = ""] = line.split(" ");
      const files = /^FILES (\d+) port=(\d+)$/.exec(line);
      if (line.startsWith("HELLO FT/2")) connection.send(`HI FT/2 name=raw max=5 key=${key} you=127.0.0.1\n`);
      else if (files !== null) {
        for (let i = 0; i < Number(files[1]); i++) await connection.line();
        connection.send(`WELCOME id=somebody pass=${pass("127.0.0.1", 3600)} peers=1 files=${files[1]}\n`);
        port.resolve(Number(files[2]));
      } else if (verb === "KNOWN") connection.send(known() ? "YES\n" : "NO\n");
      else if (verb === "BYE") {
        connection.send("BYE\n");
        connection.halfClose();
      } else if (answers[verb] === undefined) connection.send("OK\n");
      else if (answers[verb] === "") connection.close();
      else connection.send(answers[verb]);
    }
  };
  const server = await rawServer((connection) => void converse(connection).catch(() => undefined));
  cleanups.push(() => server.close());
  /** `peerPort` is where the first peer that joins serves. */
  return { address: `127.0.0.1:${server.port}`, pass, signed, peerPort: port.promise };
}

/** Everything a peer answers to these bytes, until it closes. */
async function answerTo(port: number, bytes: string): Promise<Buffer> {
  const connection = await Raw.connect(port);
  cleanups.push(() => connection.close());
  connection.send(bytes);
  connection.halfClose();
  return connection.rest();
}

/** A loopback port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = await rawServer(() => undefined);
  server.close();
  return server.port;
}

// ---------------------------------------------------------------- search, list, who

const two = (n: number) => String(n).padStart(2, "0");
const MODIFIED_DAY = `${two(MODIFIED.getDate())}/${two(MODIFIED.getMonth() + 1)}/${two(MODIFIED.getFullYear() % 100)}`;

/** A folder with `notes.txt` of twelve bytes and a known date. */
function notesFolder(): string {
  const folder = folderWith({ "notes.txt": "twelve bytes" });
  utimesSync(join(folder, "notes.txt"), MODIFIED, MODIFIED);
  return folder;
}

describe("search, list and who", () => {
  test("search prints a table of who has the file of exactly this name", async () => {
    const { address } = home;
    const { code, out } = await ft(visitorFolder(), address, "search", "notes.txt");
    const [title = "", row = "", ...more] = out.trimEnd().split("\n");
    expect(title).toMatch(/^NAME +SIZE +TYPE +DATE +WHO$/);
    expect(row.split(/ {2,}/)).toEqual(["notes.txt", "12 B", "text/plain", MODIFIED_DAY, `127.0.0.1:${library.port}`]);
    expect(more).toEqual([]);
    expect(code).toBe(0);
    const { code: other, out: nothing } = await ft(visitorFolder(), address, "search", "notes");
    expect({ other, nothing }).toEqual({ other: 1, nothing: "" });
  });

  test("search --json prints one record object a line and nothing else on standard output", async () => {
    const { address } = home;
    const { port } = library;
    const { code, program, err } = await ft(visitorFolder(), address, "search", "notes.txt", "--json");
    expect(program.objects()).toMatchObject([
      {
        name: "notes.txt",
        type: "text/plain",
        size: 12,
        modified: "2024-03-04T05:06:07.000Z",
        address: "127.0.0.1",
        port,
        root: contentId("twelve bytes"),
        holders: 1,
      },
    ]);
    expect(err).toContain("visitor.txt");
    expect(code).toBe(0);
  });

  test("holders counts the peers with the same content, whatever they call it", async () => {
    const { address } = await stage.tracker();
    await Promise.all([
      stage.sharing(address, folderWith({ "a.txt": "the same", "other.txt": "something else" }), 2),
      stage.sharing(address, folderWith({ "a.txt": "the same" }), 1),
      stage.sharing(address, folderWith({ "b.txt": "the same" }), 1),
    ]);
    const { program } = await ft(visitorFolder(), address, "list", "--json");
    const counts = program.objects().map(({ name, holders }) => `${name} ${holders}`);
    expect(counts.sort()).toEqual(["a.txt 3", "a.txt 3", "b.txt 3", "other.txt 1", "visitor.txt 1"]);
  });

  test("a name that nobody shares is one sentence and exit code 1, or one error object with --json", async () => {
    const { address } = home;
    for (const command of ["search", "get"]) {
      const plain = await ft(visitorFolder(), address, command, "nowhere.txt", "--quiet");
      expect({ code: plain.code, out: plain.out }).toEqual({ code: 1, out: "" });
      expectSentence(plain.err);
      expect(plain.err).toContain('"nowhere.txt"');
      const json = await ft(visitorFolder(), address, command, "nowhere.txt", "--json");
      expect(json.code).toBe(1);
      expect(json.program.objects()).toMatchObject([
        { event: "error", code: "not-found", message: expect.stringContaining('"nowhere.txt"') },
      ]);
    }
  });

  test("list prints everything, or one peer's records by its id or its address and port", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const first = await stage.sharing(address, folderWith({ "a.txt": "a", "b.txt": "b" }), 2);
    const { port, id } = await waitForJoined(tracker);
    await stage.sharing(address, folderWith({ "c.txt": "c" }), 1);
    const names = async (...args: string[]) => {
      const { program } = await ft(visitorFolder(), address, "list", ...args, "--json");
      return program
        .objects()
        .map(({ name }) => String(name))
        .sort();
    };
    expect(await names()).toEqual(["a.txt", "b.txt", "c.txt", "visitor.txt"]);
    expect(await names(`127.0.0.1:${port}`)).toEqual(["a.txt", "b.txt"]);
    expect(await names(id)).toEqual(["a.txt", "b.txt"]);
    const table = await ft(visitorFolder(), address, "list", id);
    expect(table.out).toMatch(/^NAME .*\na\.txt .*\nb\.txt .*\n$/);
    first.program.kill("SIGTERM");
    await first.program.exited;
    expect(await names()).toEqual(["c.txt", "visitor.txt"]);
  });

  test("list of a peer that is not online, or of an address that several have, says so with exit code 1", async () => {
    const { address } = home;
    for (const [peer, words] of [
      ["192.0.2.1", '"192.0.2.1"'],
      ["127.0.0.1", "127.0.0.1:"],
    ] as const) {
      const { code, out, err } = await ft(visitorFolder(), address, "list", peer, "--quiet");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(words);
    }
  });

  test("who prints the peers online as a table, or as objects with --json", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    await stage.sharing(address, folderWith({ "a.txt": "four", "b.txt": "sixsix" }), 2);
    const { port, id } = await waitForJoined(tracker);
    const table = await ft(visitorFolder(), address, "who");
    expect(table.code).toBe(0);
    const [title, ...rows] = table.out.trimEnd().split("\n");
    expect(title).toStartWith("WHO ");
    expect(rows.length).toBe(2);
    expect(rows[0]).toMatch(new RegExp(`^127\\.0\\.0\\.1:${port} +2 +10 B +ft-peer/`));
    const json = await ft(visitorFolder(), address, "who", "--json");
    expect(json.code).toBe(0);
    const [one, other, ...more] = json.program.objects();
    expect(one).toMatchObject({
      id,
      address: "127.0.0.1",
      port,
      files: 2,
      bytes: 10,
      agent: expect.stringMatching(/^ft-peer\//),
    });
    expect(Date.parse(String(one?.since))).toBeWithin(Date.now() - 60_000, Date.now() + 1_000);
    expect(other).toMatchObject({ files: 1 });
    expect(more).toEqual([]);
  });

  test("no id that who prints looks like an option, so that list takes every one as it is", async () => {
    const { port } = await stage.tracker("--max-per-address", "1000");
    const idOf = async () => {
      const session = await Raw.connect(port);
      cleanups.push(() => session.close());
      session.send(`HELLO FT/2 agent=raw\nFILES 1 port=40000\n${record("a.txt", 1, 40_000)}\n`);
      await session.line();
      return /^WELCOME id=(\S+) /.exec(await session.line())?.[1] ?? "";
    };
    // Ids are random: one in 64 of a careless kind would begin with a dash.
    const ids = await Promise.all(Array.from({ length: 400 }, idOf));
    expect(new Set(ids).size).toBe(400);
    expect(ids.filter((id) => id.startsWith("-"))).toEqual([]);
  });

  test("--quiet leaves only the results", async () => {
    const { address } = home;
    const { code, out, err } = await ft(visitorFolder(), address, "search", "notes.txt", "--quiet");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("notes.txt ");
  });

  test("hostile names are shown as visible escapes in tables and come back exactly from --json", async () => {
    const { address, port } = await stage.tracker("--max-files", "20");
    const names = [
      "clear\u001b[2J.txt",
      "two\nlines",
      "bell\u0007",
      "right\u202eleft",
      "zero\u200bwidth",
      "c1\u009b31m",
      "a,b;c<d>%.txt",
    ];
    const lines = names.map((name, i) => record(name, i, 40_000));
    await enlist(port, 40_000, lines);
    const table = await ft(visitorFolder(), address, "list");
    expect(table.out).not.toMatch(DECEIVING);
    expect(table.out.trimEnd().split("\n").length).toBe(names.length + 2);
    const json = await ft(visitorFolder(), address, "list", "--json");
    expect(json.out).not.toMatch(DECEIVING);
    expect(json.program.objects().map(({ name }) => name)).toEqual([...names, "visitor.txt"]);
    const search = await ft(visitorFolder(), address, "search", "two\nlines", "--json");
    expect(search.program.objects().length).toBe(1);
  });
});

// ---------------------------------------------------------------- what is shared

describe("sharing", () => {
  test("by default the folder's first five files by name are shared, hidden ones left out, and it says which", async () => {
    const { address, port } = await stage.tracker();
    const folder = folderWith({
      "g.txt": "g",
      "f.txt": "f",
      "e.txt": "e",
      "d.txt": "d",
      "c.txt": "c",
      "b.txt": "b",
      "a.txt": "a",
      ".hidden": "h",
    });
    mkdirSync(join(folder, "Folder"));
    const { program } = await stage.sharing(address, folder, 5);
    const { program: list } = await ft(visitorFolder(), address, "list", "--json");
    const names = list.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt", "visitor.txt"]);
    const [taken = "", left = ""] = program.err.split("Left out");
    for (const name of ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]) expect(taken).toContain(`"${name}"`);
    for (const name of ["f.txt", "g.txt"]) {
      expect(taken).not.toContain(name);
      expect(left).toContain(name);
    }
    // What is not on the list is not served either, whoever asks; all such requests get the same answer.
    const pass = await enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const { port: serving } = await onlyRecord(address, "a.txt");
    for (const name of [
      "f.txt",
      ".hidden",
      "Folder",
      ".",
      "..",
      "../a.txt",
      "..%2Fa.txt",
      join(folder, "a.txt"),
      "./a.txt",
      "%2e%2e",
      "C:\\",
    ]) {
      const answer = await answerTo(Number(serving), `HELLO FT/2 pass=${pass}\nDOWNLOAD name=${escaped(name)}\nBYE\n`);
      expect({ name, answer: answer.toString() }).toEqual({ name, answer: "HI FT/2\nNOT FOUND\n" });
    }
    const control = await answerTo(Number(serving), `HELLO FT/2 pass=${pass}\nDOWNLOAD name=a.txt\nBYE\n`);
    expect(control.toString()).toBe("HI FT/2\nFILE: length=1 size=1\na");
  });

  test("--share takes files and folders, and may be repeated", async () => {
    const { address } = await stage.tracker();
    const elsewhere = folderWith({ "x.txt": "x", "y.txt": "y" });
    const third = folderWith({ "z.txt": "z", "not this.txt": "n" });
    await stage.sharing(address, visitorFolder(), 3, "--share", elsewhere, "--share", join(third, "z.txt"));
    const { program } = await ft(visitorFolder(), address, "list", "--json");
    const names = program.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["visitor.txt", "x.txt", "y.txt", "z.txt"]);
  });

  test("links, pipes and folders inside a folder are not shared and block nothing", async () => {
    const { address } = await stage.tracker();
    const outside = folderWith({ "secret.txt": "secret" });
    const folder = folderWith({ "plain.txt": "plain" });
    symlinkSync(join(outside, "secret.txt"), join(folder, "link.txt"));
    expect(Bun.spawnSync(["mkfifo", join(folder, "pipe.txt")]).exitCode).toBe(0);
    await stage.sharing(address, folder, 1);
    const { program } = await ft(visitorFolder(), address, "list", "--json");
    const names = program.objects().map(({ name }) => String(name));
    expect(names.sort()).toEqual(["plain.txt", "visitor.txt"]);
  });

  test("with nothing to share it says so and how, and ends with exit code 2 before it connects", async () => {
    let connections = 0;
    const server = await rawServer((connection) => {
      connections += 1;
      connection.close();
    });
    cleanups.push(() => server.close());
    const address = `127.0.0.1:${server.port}`;
    const empty = stage.folder();
    const hidden = folderWith({ ".profile": "x" });
    mkdirSync(join(hidden, "folder"));
    const attempts = [
      [empty, "share"],
      [empty, "who"],
      [hidden, "list"],
      [hidden, "search", "a.txt"],
      [empty, "get", "a.txt"],
      [visitorFolder(), "who", "--share", empty],
      [visitorFolder(), "who", "--share", join(empty, "missing.txt")],
    ] as const;
    await Promise.all(
      attempts.map(async ([folder, ...words]) => {
        const { code, out, err } = await ft(folder, address, ...words);
        expect({ words, code, out }).toEqual({ words, code: 2, out: "" });
        expectSentence(err);
        expect(err).toContain("--share");
      }),
    );
    const json = await ft(empty, address, "who", "--json");
    expect(json.code).toBe(2);
    expect(json.program.objects()).toMatchObject([
      { event: "error", code: "usage", message: expect.stringContaining("--share") },
    ]);
    expect(connections).toBe(0);
    // The server does see a peer that has something to share.
    expect((await ft(visitorFolder(), address, "who")).code).toBe(1);
    expect(connections).toBeGreaterThan(0);
  });

  test("share stays online, prints one line an event, and leaves with BYE and exit code 130 on Ctrl-C", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const program = stage.run(PEER, [address, "share", "--port", "0"], { cwd: notesFolder() });
    await program.waitFor(/Online at [^\n]*\n/);
    await program.waitFor(/notes\.txt[^\n]*\n/);
    const { port } = await waitForJoined(tracker);
    expect((await ft(visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    await program.waitFor(/downloads "notes\.txt"[^\n]*\n/);
    await program.waitFor(/got 12 B of "notes\.txt"[^\n]*\n/);
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect(await waitForLog(tracker, "left", port)).toMatchObject({ reason: expect.stringContaining("BYE") });
    expect(program.out).toContain("Others can connect to this machine: port ");
    expect(program.out.trimEnd().split("\n").length).toBe(5);
  });

  test("share --quiet serves and says nothing", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const program = stage.run(PEER, [address, "share", "--port", "0", "--quiet"], { cwd: notesFolder() });
    await waitForJoined(tracker);
    expect((await ft(visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    program.kill("SIGINT");
    expect(await program.exited).toBe(130);
    expect([program.out, program.err]).toEqual(["", ""]);
  });

  test("share --json prints one object an event and nothing else on standard output", async () => {
    const { address } = await stage.tracker("--name", "Lab 3");
    const { program } = await stage.sharing(address, notesFolder(), 1);
    expect((await ft(visitorFolder(), address, "get", "notes.txt")).code).toBe(0);
    await program.waitFor(/"event":"upload-ended"/);
    program.kill("SIGTERM");
    expect(await program.exited).toBe(130);
    const events = program.objects();
    // Whether others can connect is told when the tracker has tried, at any time after joining.
    const [reach] = events.filter(({ event }) => event === "reach");
    expect(reach).toMatchObject({ reachable: true, reason: "", port: expect.any(Number) });
    const rest = events.filter(({ event }) => event !== "reach");
    expect(rest.map(({ event }) => event)).toEqual(["joined", "root", "upload-started", "upload-ended"]);
    expect(rest[0]).toMatchObject({ profile: 2, name: "Lab 3", peers: 1, files: 1, left: [] });
    expect(rest[1]).toMatchObject({ event: "root", name: "notes.txt", size: 12, root: contentId("twelve bytes") });
    expect(rest[3]).toMatchObject({ name: "notes.txt", sent: 12, wanted: 12, complete: true });
    expect(program.err).toContain("notes.txt");
  });

  test("--port is where it serves; a port that is taken is a sentence and exit code 1, and 1235 taken means a free one", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const port = await closedPort();
    const chosen = stage.run(PEER, [address, "share", "--port", String(port), "--json"], { cwd: visitorFolder() });
    await chosen.waitFor(/"event":"joined"/);
    expect((await waitForJoined(tracker)).port).toBe(port);
    const taken = await ended(stage.run(PEER, [address, "who", "--port", String(port), "--quiet"], { cwd: visitorFolder() }));
    expect({ code: taken.code, out: taken.out }).toEqual({ code: 1, out: "" });
    expectSentence(taken.err);
    expect(taken.err).toContain(String(port));
    // Whoever has the default port, this test or somebody else, it is taken.
    const squatter = net.createServer();
    await new Promise<void>((resolve) => squatter.once("error", () => resolve()).listen(1235, "0.0.0.0", resolve));
    cleanups.push(() => void squatter.close());
    const another = stage.run(PEER, [address, "share", "--json"], { cwd: visitorFolder() });
    await another.waitFor(/"event":"joined"/);
    const { port: free } = await waitForJoined(tracker);
    expect(free).toBeGreaterThan(0);
    expect(free).not.toBe(1235);
  });

  test("a tracker that takes fewer files is told fewer, and it says which were left out", async () => {
    const { address } = await stage.tracker("--max-files", "2");
    const { program } = await stage.sharing(address, folderWith({ "a.txt": "a", "b.txt": "b", "c.txt": "c" }), 0);
    expect(program.objects()[0]).toMatchObject({ event: "joined", files: 2, left: ["c.txt"] });
    const { code } = await ft(visitorFolder(), address, "search", "c.txt");
    expect(code).toBe(1);
  });

  test("a file that changes while it is shared is served with its new content or not at all", async () => {
    const { address, port } = await stage.tracker();
    const folder = folderWith({ "page.txt": "the first text", "other.txt": "stays" });
    await stage.sharing(address, folder, 2);
    const pass = await enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const before = await onlyRecord(address, "page.txt");
    expect(before.root).toBe(contentId("the first text"));
    // As long as before, so that only looking at the file itself can tell.
    writeFileSync(join(folder, "page.txt"), "the other text");
    const stale = await answerTo(Number(before.port), `HELLO FT/2 pass=${pass}\nDOWNLOAD root=${before.root}\nBYE\n`);
    expect(stale.toString()).toBe("HI FT/2\nNOT FOUND\n");
    const until = Date.now() + 20_000;
    let now = before;
    while (now.root !== contentId("the other text") && Date.now() < until) now = await onlyRecord(address, "page.txt");
    expect(now.root).toBe(contentId("the other text"));
    const inbox = stage.folder();
    const { code } = await ft(visitorFolder(), address, "get", "page.txt", "--to", inbox);
    expect(code).toBe(0);
    expect(readFileSync(join(inbox, "page.txt"), "utf8")).toBe("the other text");
  });

  test("a file that changes while it goes out ends that download short, with not one byte of the new content", async () => {
    const { address, port } = await stage.tracker();
    const size = 48 * 1024 * 1024;
    const folder = folderWith({ "big.bin": Buffer.alloc(size, "a") });
    await stage.sharing(address, folder, 1);
    const pass = await enlist(port, 40_000, [record("raw.txt", 1, 40_000)]);
    const { port: serving } = await onlyRecord(address, "big.bin");
    const socket = net.connect(Number(serving), "127.0.0.1");
    cleanups.push(() => void socket.destroy());
    const chunks: Buffer[] = [];
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    const head = `HI FT/2\nFILE: length=${size} size=${size}\n`;
    await new Promise<void>((resolve) => {
      let received = 0;
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        received += chunk.length;
        if (received <= head.length || received - chunk.length > head.length) return;
        // The first bytes of the file are here: from now on nobody reads, so that most of it has yet to be sent.
        socket.pause();
        resolve();
      });
      socket.write(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=big.bin\nBYE\n`);
    });
    writeFileSync(join(folder, "big.bin"), Buffer.alloc(size, "b"));
    socket.resume();
    await closed;
    const answer = Buffer.concat(chunks);
    expect(answer.subarray(0, head.length).toString()).toBe(head);
    const body = answer.subarray(head.length);
    expect(body.length).toBeGreaterThan(0);
    expect(body.length).toBeLessThan(size);
    expect(body.includes("b")).toBe(false);
  });

  test("a file that disappears while it is shared is withdrawn, and fetching it is a sentence with exit code 1", async () => {
    const { address } = await stage.tracker();
    const folder = folderWith({ "gone.txt": "gone soon", "stays.txt": "stays" });
    const { program } = await stage.sharing(address, folder, 2);
    unlinkSync(join(folder, "gone.txt"));
    const { code, err, out } = await ft(visitorFolder(), address, "get", "gone.txt", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain('"gone.txt"');
    await program.waitFor(/"event":"withdrawn"[^\n]*gone\.txt/);
    expect((await ft(visitorFolder(), address, "search", "gone.txt")).code).toBe(1);
    expect((await ft(visitorFolder(), address, "get", "stays.txt")).code).toBe(0);
  });
});

// ---------------------------------------------------------------- get

describe("get", () => {
  test("fetches a file and ends with a line of path, size, rate and whether it was verified", async () => {
    const { address } = home;
    const inbox = stage.folder();
    const { code, out, err } = await ft(visitorFolder(), address, "get", "big.bin", "--to", inbox);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^${RegExp.escape(join(inbox, "big.bin"))}  3\\.0 MB  [\\d.]+ [kMG]?B/s  verified\n$`));
    expect(err).not.toContain("big.bin");
    expect(readFileSync(join(inbox, "big.bin")).equals(BIG)).toBe(true);
    expect(readdirSync(inbox)).toEqual(["big.bin"]);
  });

  test("get --json prints progress objects and one done object at the end", async () => {
    const { address } = home;
    const folder = visitorFolder();
    const { code, program } = await ft(folder, address, "get", "big.bin", "--json");
    expect(code).toBe(0);
    const objects = program.objects();
    const last = objects.pop();
    expect(last).toMatchObject({
      event: "done",
      name: "big.bin",
      path: join(folder, "big.bin"),
      size: BIG.length,
      seconds: expect.any(Number),
      verified: true,
      holders: 1,
    });
    expect(objects[0]).toEqual({ event: "asking", address: "127.0.0.1", port: library.port });
    const progress = objects.filter(({ event }) => event === "progress");
    expect(progress.length).toBeGreaterThan(0);
    for (const object of progress) {
      expect(object).toMatchObject({ size: BIG.length, holders: expect.any(Number), rate: expect.any(Number) });
      expect(object.received).toBeWithin(1, BIG.length + 1);
    }
    const others = objects.filter(({ event }) => event !== "progress").map(({ event }) => event);
    expect(others).toEqual(["asking", "verifying"]);
    expect(readFileSync(join(folder, "big.bin")).equals(BIG)).toBe(true);
  });

  test("get root:HEX fetches by content id, in either case, whatever the file is called", async () => {
    const { address } = home;
    const root = contentId("twelve bytes");
    for (const typed of [`root:${root}`, `root:${root.toUpperCase()}`]) {
      const inbox = stage.folder();
      const { code, out } = await ft(visitorFolder(), address, "get", typed, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toContain("verified");
      expect(readFileSync(join(inbox, "notes.txt"), "utf8")).toBe("twelve bytes");
    }
    const unknown = await ft(visitorFolder(), address, "get", `root:${contentId("nobody has this")}`, "--quiet");
    expect(unknown.code).toBe(1);
    expectSentence(unknown.err);
    for (const typed of ["root:", "root:123", `root:${root}0`, `root:${root.slice(1)}g`]) {
      const { code, err, out } = await ft(visitorFolder(), address, "get", typed, "--quiet");
      expect({ typed, code, out }).toEqual({ typed, code: 2, out: "" });
      expectSentence(err);
    }
  });

  test("an empty file, and names with spaces and non-Latin letters, arrive like any other", async () => {
    const { address } = home;
    const files = { "empty.dat": "", "two words & more.txt": "spaces", "Größe naïve.txt": "umlauts", "файл 空.txt": "letters" };
    const inbox = stage.folder();
    for (const [name, content] of Object.entries(files)) {
      // Typed with the accents apart, as some keyboards and file systems do.
      const { code, program } = await ft(visitorFolder(), address, "get", name.normalize("NFD"), "--to", inbox, "--json");
      expect({ name, code }).toEqual({ name, code: 0 });
      expect(program.objects().at(-1)).toMatchObject({
        name,
        path: join(inbox, name),
        size: Buffer.byteLength(content),
        verified: true,
      });
      expect(readFileSync(join(inbox, name), "utf8")).toBe(content);
    }
    expect(readdirSync(inbox).sort()).toEqual(Object.keys(files).sort());
  });

  test("an identical file is left as it is and reported", async () => {
    const { address } = home;
    const inbox = folderWith({ "notes.txt": "twelve bytes" });
    utimesSync(join(inbox, "notes.txt"), MODIFIED, MODIFIED);
    const before = statSync(join(inbox, "notes.txt"));
    const { code, out } = await ft(visitorFolder(), address, "get", "notes.txt", "--to", inbox);
    expect(code).toBe(0);
    expect(out).toStartWith(join(inbox, "notes.txt"));
    expect(out).toContain("already");
    const json = await ft(visitorFolder(), address, "get", "notes.txt", "--to", inbox, "--json");
    expect(json.program.objects().at(-1)).toMatchObject({ event: "done", path: join(inbox, "notes.txt"), verified: true });
    const after = statSync(join(inbox, "notes.txt"));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(readdirSync(inbox)).toEqual(["notes.txt"]);
  });

  test("a different file of the name stays, and the fetched one becomes name (1), once and not again", async () => {
    const { address } = home;
    const inbox = folderWith({ "notes.txt": "mine", "no extension": "mine too" });
    for (let round = 0; round < 2; round++) {
      const { code, out } = await ft(visitorFolder(), address, "get", "notes.txt", "--to", inbox);
      expect(code).toBe(0);
      expect(out).toStartWith(join(inbox, "notes (1).txt"));
      expect(seenIn(inbox)).toEqual(round === 0 ? ["no extension", "notes (1).txt", "notes.txt"] : expect.anything());
    }
    expect((await ft(visitorFolder(), address, "get", "no extension", "--to", inbox)).code).toBe(0);
    expect(readdirSync(inbox).sort()).toEqual(["no extension", "no extension (1)", "notes (1).txt", "notes.txt"]);
    const read = (name: string) => readFileSync(join(inbox, name), "utf8");
    expect([read("notes.txt"), read("notes (1).txt")]).toEqual(["mine", "twelve bytes"]);
    expect([read("no extension"), read("no extension (1)")]).toEqual(["mine too", "theirs too"]);
  });

  test("a link or a folder under the name is neither followed nor touched", async () => {
    const { address } = home;
    const outside = folderWith({ "precious.txt": "precious" });
    const inbox = stage.folder();
    symlinkSync(join(outside, "precious.txt"), join(inbox, "a.txt"));
    symlinkSync(join(outside, "dangling.txt"), join(inbox, "b.txt"));
    mkdirSync(join(inbox, "c.txt"));
    for (const name of ["a", "b", "c"]) {
      const { code, out } = await ft(visitorFolder(), address, "get", `${name}.txt`, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toStartWith(join(inbox, `${name} (1).txt`));
      expect(readFileSync(join(inbox, `${name} (1).txt`), "utf8")).toBe(name);
    }
    expect(readdirSync(outside)).toEqual(["precious.txt"]);
    expect(readFileSync(join(outside, "precious.txt"), "utf8")).toBe("precious");
    expect(readlinkSync(join(inbox, "b.txt"))).toBe(join(outside, "dangling.txt"));
    expect(readdirSync(join(inbox, "c.txt"))).toEqual([]);
  });

  test("--overwrite replaces a file or a link of the name, never what the link points to, and never a folder", async () => {
    const { address } = home;
    const outside = folderWith({ "precious.txt": "precious" });
    const inbox = folderWith({ "a.txt": "mine" });
    symlinkSync(join(outside, "precious.txt"), join(inbox, "b.txt"));
    mkdirSync(join(inbox, "c.txt"));
    for (const name of ["a", "b"]) {
      const path = join(inbox, `${name}.txt`);
      const { code, out } = await ft(visitorFolder(), address, "get", `${name}.txt`, "--to", inbox, "--overwrite");
      expect(code).toBe(0);
      expect(out).toStartWith(`${path} `);
      expect(lstatSync(path).isFile()).toBe(true);
      expect(readFileSync(path, "utf8")).toBe(name);
    }
    expect(readFileSync(join(outside, "precious.txt"), "utf8")).toBe("precious");
    const { code, err } = await ft(visitorFolder(), address, "get", "c.txt", "--to", inbox, "--overwrite", "--quiet");
    expect(code).toBe(1);
    expectSentence(err);
    expect(seenIn(inbox)).toEqual(["a.txt", "b.txt", "c.txt"]);
    expect(readdirSync(join(inbox, "c.txt"))).toEqual([]);
  });

  test("--to a folder that is not there, or a file, is a sentence with exit code 1 before anything is transferred", async () => {
    const { address } = home;
    const uploads = () => library.program.objects().filter(({ event }) => event === "upload-started").length;
    const before = uploads();
    const folder = visitorFolder();
    for (const to of ["missing", "visitor.txt"]) {
      const { code, out, err } = await ft(folder, address, "get", "notes.txt", "--to", to, "--quiet");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(to);
    }
    expect(readdirSync(folder)).toEqual(["visitor.txt"]);
    expect(uploads()).toBe(before);
  });

  test("--from fetches from this holder only", async () => {
    const { address, port } = home;
    const first = await holder(Buffer.from("from the first"));
    const second = await holder(Buffer.from("from the other"));
    for (const [{ port: at }, content] of [
      [first, "from the first"],
      [second, "from the other"],
    ] as const) {
      await enlist(port, at, [record("file.txt", 14, at, contentId(content))]);
    }
    const inbox = stage.folder();
    const { code } = await ft(visitorFolder(), address, "get", "file.txt", "--to", inbox, "--from", `127.0.0.1:${second.port}`);
    expect(code).toBe(0);
    expect(readFileSync(join(inbox, "file.txt"), "utf8")).toBe("from the other");
    expect(first.asked).toEqual([]);
    const nobody = await ft(
      visitorFolder(),
      address,
      "get",
      "file.txt",
      "--from",
      `127.0.0.1:${await closedPort()}`,
      "--quiet",
    );
    expect(nobody.code).toBe(1);
    expectSentence(nobody.err);
  });

  test("-- ends the options, so that a name may begin with a dash", async () => {
    const { address } = home;
    const inbox = stage.folder();
    const { code, program } = await ft(visitorFolder(), address, "get", "--to", inbox, "--json", "--", "--version");
    expect(code).toBe(0);
    const [saved = "", ...more] = seenIn(inbox);
    expect(more).toEqual([]);
    expect(saved).not.toStartWith("-");
    expect(program.objects().at(-1)).toMatchObject({ name: "--version", path: join(inbox, saved) });
    expect(readFileSync(join(inbox, saved), "utf8")).toBe("not an option");
    const search = await ft(visitorFolder(), address, "search", "--", "--version");
    expect(search.out).toContain("\n--version ");
  });

  test("what only this peer shares itself is not fetched, and it says so", async () => {
    const { address } = home;
    const { code, err, out } = await ft(visitorFolder(), address, "get", "visitor.txt", "--to", stage.folder(), "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
  });

  test("an executable file arrives without its execute bits", async () => {
    const { address } = home;
    const inbox = stage.folder();
    expect((await ft(visitorFolder(), address, "get", "run-me.sh", "--to", inbox)).code).toBe(0);
    expect(statSync(join(inbox, "run-me.sh")).mode & 0o111).toBe(0);
  });

  test("hostile names from records become one harmless file in the download folder, or are refused", async () => {
    const { address, port } = home;
    const names = [
      "../escape.txt",
      "../../../../../../tmp/ft-escape.txt",
      "/tmp/ft-escape.txt",
      "..\\escape.txt",
      "C:\\escape.txt",
      "file.txt:stream",
      "CON",
      "nul.txt",
      "trailing dot.",
      "trailing space ",
      "-rf",
      ".bashrc",
      ".",
      "..",
      "~",
      "$(touch escape)",
      "%2e%2e%2fescape",
      "right\u202egnp.exe",
      "zero\u200bwidth",
      "two\nlines",
      "escape\u001b[2J",
      `${"長".repeat(83)}.txt`,
    ];
    const contents = new Map(names.map((name) => [contentId(name), Buffer.from(name)]));
    const serving = await holder(Buffer.alloc(0), {
      download: ({ line }, connection) => {
        const content = contents.get(/root=([0-9a-f]{64})/.exec(line)?.[1] ?? "");
        connection.send(content === undefined ? "NOT FOUND\n" : `FILE: length=${content.length} size=${content.length}\n`);
        if (content !== undefined) connection.send(content);
      },
    });
    const lines = names.map((name) => record(name, Buffer.byteLength(name), serving.port, contentId(name)));
    await enlist(port, serving.port, lines);
    const base = stage.folder();
    const work = join(base, "work");
    mkdirSync(work);
    writeFileSync(join(work, "visitor.txt"), "visitor");
    const fetchOne = async (name: string, i: number) => {
      const inbox = join(base, `inbox ${i}`);
      mkdirSync(inbox);
      const { code, out, err } = await ft(work, address, "get", `root:${contentId(name)}`, "--to", inbox);
      expect(out + err).not.toMatch(DECEIVING);
      const saved = readdirSync(inbox);
      if (code === 1) {
        expect(saved.filter((one) => !one.startsWith("."))).toEqual([]);
        return;
      }
      expect({ name, code, files: saved.length }).toEqual({ name, code: 0, files: 1 });
      const [file = ""] = saved;
      expect(lstatSync(join(inbox, file)).isFile()).toBe(true);
      expect(readFileSync(join(inbox, file), "utf8")).toBe(name);
      expect(file).not.toMatch(/^[-.\s]|[.\s]$|[\\:*?"<>|]/);
      expect(file).not.toMatch(/^(?:con|nul)(?:\.|$)/i);
      expect(file).not.toMatch(DECEIVING);
    };
    const queue = names.map((name, i) => () => fetchOne(name, i));
    const next = async () => {
      for (let job = queue.shift(); job !== undefined; job = queue.shift()) await job();
    };
    await Promise.all([next(), next(), next()]);
    expect(readdirSync(base).sort()).toEqual([...names.map((_, i) => `inbox ${i}`), "work"].sort());
    expect(readdirSync(work)).toEqual(["visitor.txt"]);
    expect(readdirSync("/tmp")).not.toContain("ft-escape.txt");
  });

  test("an announced size beyond the free space is refused before the holder is asked", async () => {
    const { address, port } = home;
    const { asked, port: at } = await holder(Buffer.alloc(0));
    await enlist(port, at, [record("absurd.bin", Number.MAX_SAFE_INTEGER, at, contentId("absurd"))]);
    const inbox = stage.folder();
    const { code, out, err } = await ft(visitorFolder(), address, "get", "absurd.bin", "--to", inbox, "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain("absurd.bin");
    expect(asked).toEqual([]);
    expect(readdirSync(inbox)).toEqual([]);
  });

  test("records that point at no single host are not dialled", async () => {
    // Whoever dials 0.0.0.0 reaches this machine, and with it this holder.
    const { port: at, asked } = await holder(Buffer.from("other"));
    const refusedAt = async (place: string) => {
      const found = `FOUND: 1\n<x.bin,text/plain,5,22/11/26,${place},${at};v=2;root=${contentId("other")}>\n`;
      const { address } = await rawTracker({ answers: { "SEARCH:": found } });
      const { code, out, err } = await ft(visitorFolder(), address, "get", "x.bin", "--quiet");
      expect({ place, code, out }).toEqual({ place, code: 1, out: "" });
      expectSentence(err);
    };
    await Promise.all(["0.0.0.0", "0.0.0.1", "224.0.0.251", "255.255.255.255", "::", "ff02::1"].map(refusedAt));
    expect(asked).toEqual([]);
  });
});

// ---------------------------------------------------------------- holders that lie, fail and vanish

describe("holders", () => {
  let count = 0;
  let calls = 0;
  let name: string;
  let content: Buffer;
  let root: string;

  // Every test has a file of its own, so that no other test's holder is ever asked for it.
  beforeEach(() => {
    count += 1;
    name = `file ${count}.bin`;
    content = noise(200_000, 100 + count);
    root = contentId(content);
  });

  /** Fetches the content from these raw holders, in this order, under a name that no other call uses. */
  async function fetchFrom(...holders: { port: number }[]): Promise<Outcome & { inbox: string; name: string }> {
    calls += 1;
    const called = `${calls} ${name}`;
    for (const { port: at } of holders) await enlist(home.port, at, [record(called, content.length, at, root)]);
    const inbox = stage.folder();
    return { ...(await ft(visitorFolder(), home.address, "get", called, "--to", inbox, "--json")), inbox, name: called };
  }

  /** Answers only when another holder has turned up, who calls the content something else: so this one is asked first. */
  function before(other: Holder, answer: NonNullable<Answers["download"]>): Answers {
    let turnedUp: Promise<string> | undefined;
    return {
      download: async (asked, connection) => {
        turnedUp ??= enlist(home.port, other.port, [record(`other ${name}`, content.length, other.port, root)]);
        await turnedUp;
        answer(asked, connection);
      },
    };
  }

  const liars: [string, NonNullable<Answers["download"]>][] = [
    [
      "wrong bytes",
      ({ offset, length }, connection) => {
        const wrong = Buffer.from(content);
        wrong[100_000] = (wrong[100_000] ?? 0) ^ 1;
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(wrong.subarray(offset, offset + length));
      },
    ],
    [
      "fewer bytes than it announced",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + length - 1));
        connection.halfClose();
      },
    ],
    [
      "a shorter length than was asked for",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length - 1} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + length - 1));
      },
    ],
    [
      "more bytes than were asked for",
      ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length + 1} size=${content.length}\n`);
        connection.send(Buffer.concat([content.subarray(offset, offset + length), Buffer.alloc(1)]));
      },
    ],
    [
      "a file of another size",
      ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length + 1}\n`);
        connection.send(Buffer.alloc(length));
      },
    ],
    ["rubbish", (_, connection) => connection.send(`${"\u0000\u00ff".repeat(5_000)}\n`)],
    ["a refusal with escape codes in it", (_, connection) => connection.send("ERROR no-way go%1B[2Jaway\n")],
  ];

  test.each(liars)(
    "a holder that sends %s is named and nothing of it is published; another one gives the file",
    async (_, download) => {
      const alone = async () => {
        const liar = await holder(content, { download });
        const { code, program, inbox, name, out, err } = await fetchFrom(liar);
        expect(code).toBe(1);
        const last = program.objects().at(-1);
        expect(last).toMatchObject({ event: "error", code: expect.any(String) });
        expect(last?.message).toContain(`127.0.0.1:${liar.port}`);
        expect(last?.message).toContain(`"${name}"`);
        expect(seenIn(inbox)).toEqual([]);
        expect(out + err).not.toMatch(DECEIVING);
      };
      const followed = async () => {
        const honest = await holder(content);
        const liar = await holder(content, before(honest, download));
        const { code, program, inbox, name } = await fetchFrom(liar);
        expect(code).toBe(0);
        expect(program.objects().at(-1)).toMatchObject({ event: "done", verified: true });
        expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
        expect(readdirSync(inbox)).toEqual([name]);
        expect(program.objects()).toContainEqual({
          event: "holder-failed",
          address: "127.0.0.1",
          port: liar.port,
          reason: expect.stringMatching(/./),
        });
      };
      // Not at once: whoever is online with the same content is asked, too.
      await alone();
      await followed();
    },
  );

  test("a holder that vanishes in the middle is followed by another, which goes on where it stopped", async () => {
    const honest = await holder(content);
    const vanishing = await holder(
      content,
      before(honest, ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + 120_000));
        connection.halfClose();
      }),
    );
    const { code, program, inbox, name } = await fetchFrom(vanishing);
    expect(code).toBe(0);
    expect(program.objects().at(-1)).toMatchObject({ event: "done", verified: true, holders: 2 });
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
    const asked = honest.asked.filter((line) => line.startsWith("DOWNLOAD"));
    expect(asked.length).toBeGreaterThan(0);
    // 120,000 bytes are one piece and the beginning of another.
    for (const line of asked) expect(Number(/ offset=(\d+) /.exec(line)?.[1])).toBeGreaterThanOrEqual(65_536);
  });

  test("when all holders are gone it says how far it came, and no file has the name", async () => {
    const vanishing = await holder(content, {
      download: ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, Math.max(offset, 70_000)));
        connection.halfClose();
      },
    });
    const nobody = await closedPort();
    const { code, program, inbox } = await fetchFrom(vanishing, { port: nobody });
    expect(code).toBe(1);
    const message = String(program.objects().at(-1)?.message);
    expect(message).toContain(`127.0.0.1:${vanishing.port}`);
    expect(message).toContain(`127.0.0.1:${nobody}`);
    // One piece is here and is not fetched again.
    expect(message).toContain("after 66 kB of 200 kB");
    expect(message).toContain("Run the same command to go on.");
    expect(seenIn(inbox)).toEqual([]);
    expect(readdirSync(inbox)).toEqual([expect.stringMatching(/^\.ft-.+\.part$/)]);
    // Tried a bounded number of times.
    expect(vanishing.asked.filter((line) => line.startsWith("DOWNLOAD")).length).toBeWithin(1, 11);
  });

  test("what a peer says first to an address from a record is constant up to the pass", async () => {
    const honest = await holder(content);
    expect((await fetchFrom(honest)).code).toBe(0);
    expect(honest.asked[0]).toMatch(/^HELLO FT\/2 pass=[\w-]+\.[\w-]+$/);
    expect(honest.asked[1]).toBe(`TREE root=${root} piece=65536`);
    expect(honest.asked[2]).toStartWith(`DOWNLOAD root=${root} `);
    expect(honest.asked.at(-1)).toBe("BYE");
  });

  test("the same file fetched twice at once does no damage: the second says so, the first gets it", async () => {
    const { address, port } = home;
    const begun = Promise.withResolvers<Raw>();
    const slow = await holder(content, {
      download: ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(0, 1_000));
        begun.resolve(connection);
      },
    });
    await enlist(port, slow.port, [record(name, content.length, slow.port, root)]);
    const inbox = stage.folder();
    const first = ft(visitorFolder(), address, "get", name, "--to", inbox);
    const connection = await begun.promise;
    const second = await ft(visitorFolder(), address, "get", name, "--to", inbox, "--quiet");
    expect({ code: second.code, out: second.out }).toEqual({ code: 1, out: "" });
    expectSentence(second.err);
    expect(second.err).toContain(name);
    connection.send(content.subarray(1_000));
    expect((await first).code).toBe(0);
    expect(readdirSync(inbox)).toEqual([name]);
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
  });

  test("after a kill -9 in the middle the same command gets the right file", async () => {
    const { address, port } = home;
    let held = true;
    const slow = await holder(content, {
      download: ({ offset, length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(offset, offset + (held ? 100_000 : length)));
      },
    });
    await enlist(port, slow.port, [record(name, content.length, slow.port, root)]);
    const inbox = stage.folder();
    const killed = stage.run(PEER, [address, "get", name, "--to", inbox, "--port", "0", "--json"], {
      cwd: visitorFolder(),
    });
    await killed.waitFor(/"event":"progress"/);
    killed.kill("SIGKILL");
    await killed.exited;
    expect(seenIn(inbox)).toEqual([]);
    held = false;
    expect((await ft(visitorFolder(), address, "get", name, "--to", inbox)).code).toBe(0);
    expect(readdirSync(inbox)).toEqual([name]);
    expect(readFileSync(join(inbox, name)).equals(content)).toBe(true);
  });

  test("ten downloads at once from one peer all arrive right", async () => {
    const { address } = home;
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, async () => {
        const inbox = stage.folder();
        const { code, program } = await ft(visitorFolder(), address, "get", "big.bin", "--to", inbox, "--json");
        const { event, verified } = program.objects().at(-1) ?? {};
        return { code, event, verified, same: readFileSync(join(inbox, "big.bin")).equals(BIG) };
      }),
    );
    expect(outcomes).toEqual(Array.from({ length: 10 }, () => ({ code: 0, event: "done", verified: true, same: true })));
  });
});

// ---------------------------------------------------------------- who is served

describe("downloaders", () => {
  /** A peer that shares `notes.txt`, at a raw tracker whose passes the test signs. */
  async function sharingAtRaw(known: () => boolean = () => false) {
    const tracker = await rawTracker({ known });
    await stage.sharing(tracker.address, notesFolder(), 1);
    return { ...tracker, port: await tracker.peerPort };
  }

  test("a downloader with a good pass gets the bytes it asks for", async () => {
    const { pass, port } = await sharingAtRaw();
    const root = contentId("twelve bytes");
    const requests = [
      `HELLO FT/2 pass=${pass("127.0.0.1", 60)}`,
      "DOWNLOAD name=notes.txt",
      `DOWNLOAD root=${root} offset=7 length=3`,
      `DOWNLOAD root=${root} offset=7`,
      `DOWNLOAD root=${contentId("something else")}`,
      "BYE",
    ];
    const answer = await answerTo(port, requests.map((line) => `${line}\n`).join(""));
    expect(answer.toString()).toBe(
      "HI FT/2\nFILE: length=12 size=12\ntwelve bytesFILE: length=3 size=12\nbytFILE: length=5 size=12\nbytesNOT FOUND\n",
    );
  });

  test("no pass, a forged, tampered, expired or borrowed one is refused before any byte of a file", async () => {
    const { pass, signed, port } = await sharingAtRaw();
    const { privateKey: stranger } = generateKeyPairSync("ed25519");
    const good = pass("127.0.0.1", 60);
    const [payload = "", signature = ""] = good.split(".");
    const later = Buffer.from(`somebody 127.0.0.1 ${Math.floor(Date.now() / 1000) + 9_999}`).toString("base64url");
    const bad = {
      none: "HELLO FT/2",
      empty: "HELLO FT/2 pass=",
      rubbish: "HELLO FT/2 pass=rubbish",
      dots: "HELLO FT/2 pass=...",
      unsigned: `HELLO FT/2 pass=${payload}.`,
      halfSigned: `HELLO FT/2 pass=${payload}.${signature.slice(0, 40)}`,
      forged: `HELLO FT/2 pass=${pass("127.0.0.1", 60, stranger)}`,
      tampered: `HELLO FT/2 pass=${later}.${signature}`,
      expired: `HELLO FT/2 pass=${pass("127.0.0.1", -60)}`,
      borrowed: `HELLO FT/2 pass=${pass("192.0.2.55", 60)}`,
      notAPass: `HELLO FT/2 pass=${signed("127.0.0.1")}`,
      long: `HELLO FT/2 pass=${"A".repeat(3_000)}.${signature}`,
    };
    for (const [what, hello] of Object.entries(bad)) {
      const answer = await answerTo(port, `${hello}\nDOWNLOAD name=notes.txt\n`);
      expect({ what, answer: answer.toString() }).toEqual({
        what,
        answer: expect.stringMatching(/^ERROR not-accepted [^\n]+\n$/),
      });
    }
    expect((await answerTo(port, `HELLO FT/2 pass=${good}\nDOWNLOAD name=notes.txt\nBYE\n`)).toString()).toEndWith(
      "twelve bytes",
    );
  });

  test("a stranger of the basic protocol, whom the tracker does not know, gets not one byte; once it is known, the file", async () => {
    let accepted = false;
    const { port } = await sharingAtRaw(() => accepted);
    for (const request of ["DOWNLOAD:notes.txt,text/plain,12", "DOWNLOAD notes.txt"]) {
      expect((await answerTo(port, request)).toString()).toBe("");
    }
    accepted = true;
    expect((await answerTo(port, "DOWNLOAD:notes.txt,text/plain,12")).toString()).toBe("FILE:twelve bytes");
  });

  test("other programs' bytes on the serving port hurt nobody", async () => {
    const { pass, port } = await sharingAtRaw();
    const rubbish = [
      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\u0016\u0003\u0001\u0002\u0000",
      "SSH-2.0-x\r\n",
      "\u0000".repeat(9_000),
      "A".repeat(9_000),
    ];
    for (const bytes of rubbish) expect((await answerTo(port, bytes)).toString()).not.toContain("twelve");
    expect(
      (await answerTo(port, `HELLO FT/2 pass=${pass("127.0.0.1", 60)}\nDOWNLOAD name=notes.txt\nBYE\n`)).toString(),
    ).toEndWith("twelve bytes");
  });
});

// ---------------------------------------------------------------- wrong usage, trackers that are not there

describe("wrong usage", () => {
  // Nothing listens on this port: whoever tried to connect would end with 1 and another sentence.
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
    ["127.0.0.1:1", "get", "a", "b"],
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
    ["127.0.0.1:1", "get", "x", "--from", "nonsense"],
    ["127.0.0.1:1", "get", "x", "--from", "127.0.0.1"],
    ["127.0.0.1:1", "get", "x", "--from", "127.0.0.1:0"],
    ["127.0.0.1:1", "get", "x", "--from", "[::1]"],
  ];

  test("each of many wrong command lines is one sentence and exit code 2", async () => {
    const folder = visitorFolder();
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
      const { code, out, err } = await ft(visitorFolder(), "127.0.0.1:1", "get", "x", "--from", from);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expectSentence(err);
    },
  );

  test("with --json wrong usage is one error object", async () => {
    const { code, program } = await ended(stage.run(PEER, ["127.0.0.1:1", "dance", "--json"], { cwd: visitorFolder() }));
    expect(code).toBe(2);
    expect(program.objects()).toMatchObject([{ event: "error", code: "usage", message: expect.stringContaining('"dance"') }]);
  });

  test("the right spellings of an address are understood", async () => {
    const { port } = home;
    for (const address of [`127.0.0.1:${port}`, `localhost:${port}`, `[::ffff:127.0.0.1]:${port}`]) {
      const { code } = await ft(visitorFolder(), address, "who");
      expect({ address, code }).toEqual({ address, code: 0 });
    }
  });
});

describe("trackers that cannot be used", () => {
  test("a tracker that nobody reaches is one sentence with the address and exit code 1", async () => {
    const address = `127.0.0.1:${await closedPort()}`;
    for (const command of [["who"], ["share"], ["get", "x"], ["search", "x"], ["list"]]) {
      const { code, out, err } = await ft(visitorFolder(), address, ...command, "--quiet");
      expect({ command, code, out }).toEqual({ command, code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(address);
    }
    const json = await ft(visitorFolder(), address, "who", "--json");
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
    cleanups.push(() => server.close());
    const { code, out, err } = await ft(visitorFolder(), `127.0.0.1:${server.port}`, "who", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain(`127.0.0.1:${server.port}`);
    expect(err).not.toMatch(DECEIVING);
  });

  test("a tracker that closes instead of answering a search is one sentence and exit code 1", async () => {
    const { address } = await rawTracker({ answers: { "SEARCH:": "" } });
    const { code, out, err } = await ft(visitorFolder(), address, "search", "x", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain(address);
  });

  test("a tracker that is full refuses with its reason, and that is exit code 1", async () => {
    const { address } = await stage.tracker("--max-peers", "1");
    await stage.sharing(address, notesFolder(), 1);
    const { code, out, err } = await ft(visitorFolder(), address, "who", "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain("1 peer");
  });

  test("Ctrl-C while a silent tracker is waited for ends with exit code 130 soon", async () => {
    const greeted = Promise.withResolvers<void>();
    const server = await rawServer((connection) => connection.socket.once("data", () => greeted.resolve()));
    cleanups.push(() => server.close());
    const program = stage.run(PEER, [`127.0.0.1:${server.port}`, "who", "--port", "0"], { cwd: visitorFolder() });
    await greeted.promise;
    program.kill("SIGINT");
    expect(await Promise.race([program.exited, Bun.sleep(4_000)])).toBe(130);
    expect(program.out).toBe("");
  });
});

// ---------------------------------------------------------------- coming, going, being killed

describe("presence", () => {
  test("when the tracker is killed and started again on its port, the peers come back by themselves and are found", async () => {
    const { address, program: tracker, port } = await stage.tracker();
    const [first, second] = await Promise.all([
      stage.sharing(address, folderWith({ "first.txt": "first" }), 1),
      stage.sharing(address, folderWith({ "second.txt": "second" }), 1),
    ]);
    tracker.kill("SIGKILL");
    await Promise.all([first, second].map(({ program }) => program.waitFor(/"event":"away"/)));
    const again = stage.run(TRACKER, ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"]);
    await again.waitFor(/"event":"listening"/);
    await Promise.all([first, second].map(({ program }) => program.waitFor(/"event":"joined"/)));
    for (const name of ["first", "second"]) {
      const inbox = stage.folder();
      const { code, out } = await ft(visitorFolder(), address, "get", `${name}.txt`, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toContain("verified");
      expect(readFileSync(join(inbox, `${name}.txt`), "utf8")).toBe(name);
    }
    // And they are peers like before, who can leave.
    first.program.kill("SIGINT");
    expect(await first.program.exited).toBe(130);
    expect((await ft(visitorFolder(), address, "search", "first.txt")).code).toBe(1);
  });

  test("a transfer goes on when the tracker goes away in its middle", async () => {
    const { address, program: tracker, port } = await stage.tracker();
    const content = noise(200_000, 9);
    const begun = Promise.withResolvers<Raw>();
    const slow = await holder(content, {
      download: ({ length }, connection) => {
        connection.send(`FILE: length=${length} size=${content.length}\n`);
        connection.send(content.subarray(0, 1_000));
        begun.resolve(connection);
      },
    });
    await enlist(port, slow.port, [record("file.bin", content.length, slow.port, contentId(content))]);
    const inbox = stage.folder();
    const program = stage.run(PEER, [address, "get", "file.bin", "--to", inbox, "--port", "0", "--json"], {
      cwd: visitorFolder(),
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
      const slow = await holder(content, {
        download: ({ length }, connection) => {
          connection.send(`FILE: length=${length} size=${content.length}\n`);
          connection.send(content.subarray(0, 100_000));
        },
      });
      await enlist(port, slow.port, [record("file.bin", content.length, slow.port, contentId(content))]);
      await tracker.waitFor(/"event":"joined"/);
      const inbox = stage.folder();
      const program = stage.run(PEER, [address, "get", "file.bin", "--to", inbox, "--port", "0", "--json"], {
        cwd: visitorFolder(),
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
      expect(await waitForLog(tracker, "left", own)).toMatchObject({ reason: expect.stringContaining("BYE") });
    },
  );

  test("every command says BYE when it is done", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    await stage.sharing(address, notesFolder(), 1);
    await tracker.waitFor(/"event":"joined"/);
    for (const command of [
      ["search", "notes.txt"],
      ["search", "nothing"],
      ["list"],
      ["get", "notes.txt"],
      ["get", "nothing"],
    ]) {
      await ft(visitorFolder(), address, ...command);
      const { port } = await waitForJoined(tracker);
      expect(await waitForLog(tracker, "left", port)).toMatchObject({ reason: expect.stringContaining("BYE") });
    }
  });

  test("a sharing peer that is killed with -9 is gone from the index at once", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const { program } = await stage.sharing(address, notesFolder(), 1);
    const { port } = await waitForJoined(tracker);
    expect((await ft(visitorFolder(), address, "search", "notes.txt")).code).toBe(0);
    const killed = Date.now();
    program.kill("SIGKILL");
    await waitForLog(tracker, "left", port);
    // At once, and not after a ping that was missed: the shortest of those takes 45 s.
    expect(Date.now() - killed).toBeLessThan(10_000);
    expect((await ft(visitorFolder(), address, "search", "notes.txt")).code).toBe(1);
    const { program: who } = await ft(visitorFolder(), address, "who", "--json");
    expect(who.objects().length).toBe(1);
  });
});

// ---------------------------------------------------------------- pipes and terminals

describe("standard input and output", () => {
  const MANY = 1_500;

  /** A tracker whose index is longer than a pipe holds. */
  async function longIndex(): Promise<{ address: string; program: Program }> {
    const tracker = await stage.tracker("--max-files", String(MANY), "--json");
    const name = (i: number) => `file ${String(i).padStart(5, "0")} ${"x".repeat(60)}`;
    await enlist(
      tracker.port,
      40_000,
      Array.from({ length: MANY }, (_, i) => record(name(i), i, 40_000)),
    );
    await tracker.program.waitFor(/"event":"joined"/);
    return tracker;
  }

  test("a reader that is slow gets every line", async () => {
    const { address, program: tracker } = await longIndex();
    const folder = visitorFolder();
    const gate = join(stage.folder(), "gate");
    expect(Bun.spawnSync(["mkfifo", gate]).exitCode).toBe(0);
    const script = `"$@" | { read go < '${gate}'; cat; }`;
    const program = shell(script, folder, PEER, address, "list", "--json", "--port", "0");
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
    const program = shell(script, visitorFolder(), PEER, address, ...words, "--quiet", "--port", "0");
    expect(await program.exited).toBe(0);
    expect(program.err).toBe("code 0\n");
    expect(program.out.split("\n").length).toBe(2);
  });

  test("a share whose reader goes away ends by itself at its next line", async () => {
    const { address } = await stage.tracker();
    const script = '{ "$@"; echo "code $?" >&2; } | head -1';
    const program = shell(script, notesFolder(), PEER, address, "share", "--json", "--quiet", "--port", "0");
    await program.waitFor(/"event":"joined"/);
    // Each download makes it print something.
    const until = Date.now() + 20_000;
    while (!program.err.includes("code ") && Date.now() < until) await ft(visitorFolder(), address, "get", "notes.txt");
    expect(program.err).toBe("code 0\n");
    expect(await program.exited).toBe(0);
  });

  test("closed standard streams change no exit code and hang nothing", async () => {
    const { address } = home;
    const attempt = async (closing: string) => {
      const inbox = stage.folder();
      for (const [command, code] of [
        [["who"], 0],
        [["get", "notes.txt", "--to", inbox], 0],
        [["search", "nothing"], 1],
        [["dance"], 2],
      ] as const) {
        const program = shell(`exec "$@" ${closing}`, visitorFolder(), PEER, address, ...command, "--port", "0");
        expect({ closing, command, code: await program.exited }).toEqual({ closing, command, code });
        expect(program.err).not.toMatch(INSIDE);
      }
      expect(readFileSync(join(inbox, "notes.txt"), "utf8")).toBe("twelve bytes");
    };
    await Promise.all([">&-", "<&-", "<&- >&- 2>&-"].map(attempt));
  });

  test("without a terminal there are no escape sequences, no progress and no questions", async () => {
    const { address } = home;
    const attempt = async (env: Record<string, string>) => {
      for (const command of [
        ["search", "big.bin"],
        ["get", "big.bin", "--to", stage.folder()],
      ]) {
        const program = stage.run(PEER, [address, ...command, "--port", "0"], { cwd: visitorFolder(), env });
        const { code, out, err } = await ended(program);
        expect({ env, code }).toEqual({ env, code: 0 });
        expect(out + err).not.toMatch(DECEIVING);
        expect(out).not.toContain("%");
      }
    };
    await Promise.all([{ NO_COLOR: "" }, { NO_COLOR: "1" }, { TERM: "dumb" }].map(attempt));
    const guided = await ended(stage.run(PEER, [address], { cwd: visitorFolder() }));
    expect({ code: guided.code, out: guided.out }).toEqual({ code: 2, out: "" });
    expectSentence(guided.err);
  });

  test("on a terminal there is progress; with TERM=dumb there is no escape sequence, with NO_COLOR no colour", async () => {
    const { address } = home;
    const onTerminal = async (env: Record<string, string>, ...command: string[]) => {
      const cwd = visitorFolder();
      const screen = new Screen([PEER, address, ...command, "--port", "0"], {
        cwd,
        env: { XDG_CACHE_HOME: stage.folder(), ...env },
      });
      cleanups.push(() => screen.close());
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
