// Finding files by parts of their names, with the compiled programs: as a command, in the prompts, and byte by byte at the tracker.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SEARCH } from "../helpers/guided-stage.ts";
import { PEER, Stage } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

let stage: Stage;
let address: string;
let port: number;

beforeEach(async () => {
  stage = new Stage();
  ({ address, port } = await stage.tracker());
});

afterEach(() => stage.close());

/** A peer that shares files of these names; what is in them is their own name, or the same for all. */
async function share(names: string[], content?: string): Promise<void> {
  const folder = stage.folder();
  for (const name of names) writeFileSync(join(folder, name), content ?? name);
  await stage.sharing(address, folder, names.length);
}

async function find(...args: string[]) {
  const folder = stage.folder();
  writeFileSync(join(folder, "zzz.bin"), "mine");
  const program = stage.run(PEER, [address, "find", ...args], { cwd: folder });
  return { code: await program.exited, out: program.out, err: program.err };
}

async function names(...args: string[]): Promise<unknown[]> {
  const { code, out, err } = await find("--json", ...args);
  expect({ code, err }).toEqual({ code: 0, err: expect.any(String) });
  return out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).name);
}

describe("the command", () => {
  test("finds words in any case and with any accents, all of them, and leaves others out", async () => {
    await share(["Annual Report 2024.pdf", "report-draft.pdf", "Überblick Straße.txt", "holiday video.mp4"]);
    expect((await names("REPORT")).sort()).toEqual(["Annual Report 2024.pdf", "report-draft.pdf"]);
    expect(await names("report", "annual")).toEqual(["Annual Report 2024.pdf"]);
    expect(await names("report annual")).toEqual(["Annual Report 2024.pdf"]);
    expect(await names("report", "--", "-draft")).toEqual(["Annual Report 2024.pdf"]);
    expect(await names("uber", "strasse")).toEqual(["Überblick Straße.txt"]);
    expect(await names("*.mp4")).toEqual(["holiday video.mp4"]);
    expect(await names("rep?rt-*")).toEqual(["report-draft.pdf"]);
    expect(await find("nothing like it")).toMatchObject({
      code: 1,
      out: "",
      err: expect.stringContaining("No matching files."),
    });
  });

  test("filters by extension, type, size and day", async () => {
    await share(["a.pdf", "b.txt", "c.mp4", "a long name.pdf"]);
    expect((await names("--ext", "pdf")).sort()).toEqual(["a long name.pdf", "a.pdf"]);
    expect((await names("--ext", ".PDF,txt")).sort()).toEqual(["a long name.pdf", "a.pdf", "b.txt"]);
    expect(await names("--type", "video/")).toEqual(["c.mp4"]);
    expect(await names("--min", "10", "--ext", "pdf")).toEqual(["a long name.pdf"]);
    expect(await names("--max", "6", "--ext", "pdf")).toEqual(["a.pdf"]);
    expect((await find("a", "--after", "2099-01-01")).code).toBe(1);
    expect((await names("a", "--before", "2099-01-01")).sort()).toEqual(["a long name.pdf", "a.pdf"]);
  });

  test("finds a content by its id, under whatever name; what is no id is said", async () => {
    await share(["song.mp3"], "la la la");
    await share(["tune.mp3"], "la la la");
    await share(["another song.mp3"]);
    // Of up to 16 KiB the content id is the hash of the bytes.
    const id = new Bun.CryptoHasher("sha256").update("la la la").digest("hex");
    expect((await find(`root:${id.toUpperCase()}`)).out).toMatch(/(?:song|tune)\.mp3\t.*\t2 people\t[0-9a-f]{64}\n$/);
    expect(await names(`root:${id}`, "tune")).toEqual(["tune.mp3"]);
    expect(await find(`root:${id}`, "another")).toMatchObject({ code: 1, out: "" });
    expect(await find(`root:${id.replace(/./g, "0")}`)).toMatchObject({ code: 1, out: "" });
    const short = await find("root:12");
    expect([short.code, short.err]).toEqual([2, '"root:12" is not a content id: root: is followed by 64 hex digits.\n']);
  });

  test("shows each content once, with how many have it", async () => {
    await share(["song.mp3"], "la la la");
    await share(["the same song.mp3"], "la la la");
    await share(["another song.mp3"]);
    const { out } = await find("song");
    expect(out).toMatch(/song\.mp3\t.*\t2 people\t[0-9a-f]{64}\n/);
    expect(out.trim().split("\n")).toHaveLength(2);
    const [first] = (await find("song", "--json")).out.split("\n");
    expect(JSON.parse(first ?? "")).toMatchObject({ holders: 2, root: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  test.each([[[]], [["x", "--min", "big"]], [["x", "--after", "yesterday"]], [["x", "--after", "2026-13-01"]]])(
    "%p is wrong usage",
    async (args) => {
      const { code, out, err } = await find(...args);
      expect({ code, out, lines: err.trim().split("\n").length }).toEqual({ code: 2, out: "", lines: 1 });
    },
  );

  test("a pattern that nobody could mean is refused with a sentence, and the session goes on", async () => {
    await share(["a.txt"]);
    const { code, err } = await find("*a*b*c*d*e*f*g*h*i*j*k*");
    expect(code).toBe(1);
    expect(err).toContain("refused");
    expect(await names("a.txt")).toEqual(["a.txt"]);
  });
});

describe("the prompts", () => {
  test("find as one types, and fetch what was found", async () => {
    await share(["Annual Report 2024.pdf", "report-draft.pdf", "holiday.mp4"]);
    const folder = stage.folder();
    writeFileSync(join(folder, "zzz.bin"), "mine");
    const env = { XDG_CACHE_HOME: stage.folder(), XDG_STATE_HOME: stage.folder() };
    const screen = new Screen([PEER, address, "--share", "zzz.bin", "--port", "0", "--name", "Tester"], { cwd: folder, env });
    try {
      await screen.waitFor(SEARCH);
      screen.press("repo");
      await screen.waitFor("report-draft.pdf");
      screen.press("rt 24");
      await screen.waitFor(/● Annual Report 2024\.pdf/);
      screen.press(KEY.enter);
      await screen.waitFor(/22\sB, in /);
      expect(readFileSync(join(folder, "Annual Report 2024.pdf"), "utf8")).toBe("Annual Report 2024.pdf");
      await screen.waitFor(SEARCH);
      screen.press("no such thing");
      await screen.waitFor("No matches.");
      screen.press(KEY.ctrlC);
      expect(await screen.exited).toBe(130);
    } finally {
      await screen.close();
    }
  });
});

describe("at the tracker", () => {
  test("every record comes, those of one content together, in pages that hold everything once", async () => {
    await share(["one.txt"], "same");
    await share(["two one.txt"], "same");
    await share(["one more.txt"]);
    const raw = await Raw.connect(port);
    raw.send("HELLO FT/2 agent=raw\nFILES 1 port=9\n<own.bin,data,1,22/11/26,1.2.3.4,9;v=2>\n");
    expect(await raw.reply()).toStartWith("HI FT/2 ");
    expect(await raw.reply()).toStartWith("WELCOME ");
    raw.send("FIND one\n");
    const all = (await raw.reply()).split("\n");
    expect(all[0]).toBe("FOUND: 3");
    const rootOf = (line = "") => /root=(\w+)/.exec(line)?.[1];
    // The two of one content are beside each other, before the other one or after it: all three are of one host.
    expect(new Set(all.slice(1).map(rootOf)).size).toBe(2);
    expect(rootOf(all[1])).not.toBe(rootOf(all[3]));
    raw.send("FIND one limit=2\nFIND one limit=2 offset=2\nFIND one limit=2 offset=3\nFIND one group=1\n");
    const pages = [await raw.reply(), await raw.reply(), await raw.reply()].map((reply) => reply.split("\n"));
    expect(pages[0]).toEqual(["FOUND: 2", all[1] ?? "", all[2] ?? ""]);
    expect(pages[1]).toEqual(["FOUND: 1", all[3] ?? ""]);
    expect(pages[2]).toEqual(["NOT FOUND"]);
    const grouped = await raw.reply();
    expect(grouped).toStartWith("FOUND: 2\n");
    expect(grouped).toMatch(/^<one\.txt,.*;holders=2>$/m);
    expect(grouped).toMatch(/^<one more\.txt,.*;holders=1>$/m);
    raw.send(`FIND ${"a ".repeat(100)}\nPING\n`);
    expect(await raw.reply()).toStartWith("ERROR bad-find ");
    expect(await raw.reply()).toBe("PONG");
    raw.close();
  });
});
