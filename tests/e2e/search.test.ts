// ft-peer search, list and who as people and scripts run them: the compiled program against the compiled tracker.

import { describe, expect, test } from "bun:test";
import { contentId } from "../helpers/holder.ts";
import { DECEIVING, expectSentence, MODIFIED, peerStage, record, startLibrary, waitForJoined } from "../helpers/peer-stage.ts";
import { Raw } from "../helpers/raw.ts";

const stage = peerStage();
const library = startLibrary();

const two = (n: number) => String(n).padStart(2, "0");
const MODIFIED_DAY = `${two(MODIFIED.getDate())}/${two(MODIFIED.getMonth() + 1)}/${two(MODIFIED.getFullYear() % 100)}`;

describe("search, list and who", () => {
  test("search prints a table of the holders of the file of exactly this name", async () => {
    const { address } = library.tracker;
    const { code, out } = await stage.ft(stage.visitorFolder(), address, "search", "notes.txt");
    const [title = "", row = "", ...more] = out.trimEnd().split("\n");
    expect(title).toMatch(/^NAME +SIZE +TYPE +DATE +WHO$/);
    expect(row.split(/ {2,}/)).toEqual(["notes.txt", "12 B", "text/plain", MODIFIED_DAY, expect.any(String)]);
    expect(more).toEqual([]);
    expect(code).toBe(0);
    const { code: other, out: nothing } = await stage.ft(stage.visitorFolder(), address, "search", "notes");
    expect({ other, nothing }).toEqual({ other: 1, nothing: "" });
  });

  test("search --json prints one record object a line and nothing else on standard output", async () => {
    const { address } = library.tracker;
    const { port } = library;
    const { code, program, err } = await stage.ft(stage.visitorFolder(), address, "search", "notes.txt", "--json");
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
      stage.sharing(address, stage.folderWith({ "a.txt": "the same", "other.txt": "something else" }), 2),
      stage.sharing(address, stage.folderWith({ "a.txt": "the same" }), 1),
      stage.sharing(address, stage.folderWith({ "b.txt": "the same" }), 1),
    ]);
    const { program } = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    const counts = program.objects().map(({ name, holders }) => `${name} ${holders}`);
    expect(counts.sort()).toEqual(["a.txt 3", "a.txt 3", "b.txt 3", "other.txt 1", "visitor.txt 1"]);
  });

  test("a name that nobody shares is one sentence and exit code 1, or one error object with --json", async () => {
    const { address } = library.tracker;
    for (const command of ["search", "get"]) {
      const plain = await stage.ft(stage.visitorFolder(), address, command, "nowhere.txt", "--quiet");
      expect({ code: plain.code, out: plain.out }).toEqual({ code: 1, out: "" });
      expectSentence(plain.err);
      expect(plain.err).toContain('"nowhere.txt"');
      const json = await stage.ft(stage.visitorFolder(), address, command, "nowhere.txt", "--json");
      expect(json.code).toBe(1);
      expect(json.program.objects()).toMatchObject([
        { event: "error", code: "not-found", message: expect.stringContaining('"nowhere.txt"') },
      ]);
    }
  });

  test("list prints everything, or one peer's records by its id or its address and port", async () => {
    const { address, program: tracker } = await stage.tracker("--json");
    const first = await stage.sharing(address, stage.folderWith({ "a.txt": "a", "b.txt": "b" }), 2);
    const { port, id } = await waitForJoined(tracker);
    await stage.sharing(address, stage.folderWith({ "c.txt": "c" }), 1);
    const names = async (...args: string[]) => {
      const { program } = await stage.ft(stage.visitorFolder(), address, "list", ...args, "--json");
      return program
        .objects()
        .map(({ name }) => String(name))
        .sort();
    };
    expect(await names()).toEqual(["a.txt", "b.txt", "c.txt", "visitor.txt"]);
    expect(await names(`127.0.0.1:${port}`)).toEqual(["a.txt", "b.txt"]);
    expect(await names(id)).toEqual(["a.txt", "b.txt"]);
    const table = await stage.ft(stage.visitorFolder(), address, "list", id);
    expect(table.out).toMatch(/^NAME .*\na\.txt .*\nb\.txt .*\n$/);
    first.program.kill("SIGTERM");
    await first.program.exited;
    expect(await names()).toEqual(["c.txt", "visitor.txt"]);
  });

  test("list of a peer that is not online, or of an address that several have, says so with exit code 1", async () => {
    const { address } = library.tracker;
    for (const [peer, words] of [
      ["192.0.2.1", '"192.0.2.1"'],
      ["127.0.0.1", "127.0.0.1:"],
    ] as const) {
      const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "list", peer, "--quiet");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(words);
    }
  });

  test("who prints the peers online as a table, or as objects with --json", async () => {
    const began = Date.now();
    const { address, program: tracker } = await stage.tracker("--json");
    await stage.sharing(address, stage.folderWith({ "a.txt": "four", "b.txt": "sixsix" }), 2);
    const { port, id } = await waitForJoined(tracker);
    const table = await stage.ft(stage.visitorFolder(), address, "who");
    expect(table.code).toBe(0);
    const [title, ...rows] = table.out.trimEnd().split("\n");
    expect(title).toStartWith("WHO ");
    expect(rows.length).toBe(2);
    expect(title).toMatch(/^WHO +ADDRESS /);
    expect(rows[0]).toMatch(new RegExp(`  127\\.0\\.0\\.1:${port} +2 +10 B +ft-peer/`));
    const json = await stage.ft(stage.visitorFolder(), address, "who", "--json");
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
    expect(Date.parse(String(one?.since))).toBeWithin(began - 1_000, Date.now() + 1_000);
    expect(other).toMatchObject({ files: 1 });
    expect(more).toEqual([]);
  });

  test("no id that who prints looks like an option, so that list takes every one as it is", async () => {
    const { port } = await stage.tracker("--max-per-address", "1000");
    const idOf = async () => {
      const session = await Raw.connect(port);
      stage.atEnd(() => session.close());
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
    const { address } = library.tracker;
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "search", "notes.txt", "--quiet");
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
      "filler\u3164\u2800\u115f\uffa0",
      "selector\ufe0f\u{e0101}\u034f\u180b",
      "a,b;c<d>%.txt",
    ];
    const lines = names.map((name, i) => record(name, i, 40_000));
    await stage.enlist(port, 40_000, lines);
    const table = await stage.ft(stage.visitorFolder(), address, "list");
    expect(table.out).not.toMatch(DECEIVING);
    expect(table.out.trimEnd().split("\n").length).toBe(names.length + 2);
    const json = await stage.ft(stage.visitorFolder(), address, "list", "--json");
    expect(json.out).not.toMatch(DECEIVING);
    expect(json.program.objects().map(({ name }) => name)).toEqual([...names, "visitor.txt"]);
    const search = await stage.ft(stage.visitorFolder(), address, "search", "two\nlines", "--json");
    expect(search.program.objects().length).toBe(1);
  });
});
