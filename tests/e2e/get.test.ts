// ft-peer get as people and scripts run it: what is saved where, on the compiled programs.

import { describe, expect, test } from "bun:test";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { contentId } from "../helpers/holder.ts";
import {
  BIG,
  closedPort,
  DECEIVING,
  expectSentence,
  MODIFIED,
  peerStage,
  record,
  seenIn,
  startLibrary,
} from "../helpers/peer-stage.ts";

const stage = peerStage();
const library = startLibrary();

describe("get", () => {
  test("fetches a file and ends with a line of path, size, rate and whether it was verified", async () => {
    const { address } = library.tracker;
    const inbox = stage.folder();
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "big.bin", "--to", inbox);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^${RegExp.escape(join(inbox, "big.bin"))}  3\\.0 MB  [\\d.]+ [kMG]?B/s  verified\n$`));
    expect(err).not.toContain("big.bin");
    expect(readFileSync(join(inbox, "big.bin")).equals(BIG)).toBe(true);
    expect(readdirSync(inbox)).toEqual(["big.bin"]);
  });

  test("get --json prints progress objects and one done object at the end", async () => {
    const { address } = library.tracker;
    const folder = stage.visitorFolder();
    const { code, program } = await stage.ft(folder, address, "get", "big.bin", "--json");
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
      expect(object.received).toBeWithin(0, BIG.length + 1);
    }
    const others = objects.filter(({ event }) => event !== "progress").map(({ event }) => event);
    expect(others).toEqual(["asking", "verifying"]);
    expect(readFileSync(join(folder, "big.bin")).equals(BIG)).toBe(true);
  });

  test("get root:HEX fetches by content id, in either case, whatever the file is called", async () => {
    const { address } = library.tracker;
    const root = contentId("twelve bytes");
    for (const typed of [`root:${root}`, `root:${root.toUpperCase()}`]) {
      const inbox = stage.folder();
      const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", typed, "--to", inbox);
      expect(code).toBe(0);
      expect(out).toContain("verified");
      expect(readFileSync(join(inbox, "notes.txt"), "utf8")).toBe("twelve bytes");
    }
    const unknown = await stage.ft(stage.visitorFolder(), address, "get", `root:${contentId("nobody has this")}`, "--quiet");
    expect(unknown.code).toBe(1);
    expectSentence(unknown.err);
    for (const typed of ["root:", "root:123", `root:${root}0`, `root:${root.slice(1)}g`]) {
      const { code, err, out } = await stage.ft(stage.visitorFolder(), address, "get", typed, "--quiet");
      expect({ typed, code, out }).toEqual({ typed, code: 2, out: "" });
      expectSentence(err);
    }
  });

  test("an empty file, and names with spaces and non-Latin letters, arrive like any other", async () => {
    const { address } = library.tracker;
    const files = { "empty.dat": "", "two words & more.txt": "spaces", "Größe naïve.txt": "umlauts", "файл 空.txt": "letters" };
    const inbox = stage.folder();
    for (const [name, content] of Object.entries(files)) {
      // Typed with the accents apart, as some keyboards and file systems do.
      const { code, program } = await stage.ft(
        stage.visitorFolder(),
        address,
        "get",
        name.normalize("NFD"),
        "--to",
        inbox,
        "--json",
      );
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
    const { address } = library.tracker;
    const inbox = stage.folderWith({ "notes.txt": "twelve bytes" });
    utimesSync(join(inbox, "notes.txt"), MODIFIED, MODIFIED);
    const before = statSync(join(inbox, "notes.txt"));
    const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", "notes.txt", "--to", inbox);
    expect(code).toBe(0);
    expect(out).toStartWith(join(inbox, "notes.txt"));
    expect(out).toContain("already");
    const json = await stage.ft(stage.visitorFolder(), address, "get", "notes.txt", "--to", inbox, "--json");
    expect(json.program.objects().at(-1)).toMatchObject({ event: "done", path: join(inbox, "notes.txt"), verified: true });
    const after = statSync(join(inbox, "notes.txt"));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(readdirSync(inbox)).toEqual(["notes.txt"]);
  });

  test("a different file of the name stays, and the fetched one becomes name (1), once and not again", async () => {
    const { address } = library.tracker;
    const inbox = stage.folderWith({ "notes.txt": "mine", "no extension": "mine too" });
    for (let round = 0; round < 2; round++) {
      const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", "notes.txt", "--to", inbox);
      expect(code).toBe(0);
      expect(out).toStartWith(join(inbox, "notes (1).txt"));
      expect(seenIn(inbox)).toEqual(round === 0 ? ["no extension", "notes (1).txt", "notes.txt"] : expect.anything());
    }
    expect((await stage.ft(stage.visitorFolder(), address, "get", "no extension", "--to", inbox)).code).toBe(0);
    expect(readdirSync(inbox).sort()).toEqual(["no extension", "no extension (1)", "notes (1).txt", "notes.txt"]);
    const read = (name: string) => readFileSync(join(inbox, name), "utf8");
    expect([read("notes.txt"), read("notes (1).txt")]).toEqual(["mine", "twelve bytes"]);
    expect([read("no extension"), read("no extension (1)")]).toEqual(["mine too", "theirs too"]);
  });

  test("a link or a folder under the name is neither followed nor touched", async () => {
    const { address } = library.tracker;
    const outside = stage.folderWith({ "precious.txt": "precious" });
    const inbox = stage.folder();
    symlinkSync(join(outside, "precious.txt"), join(inbox, "a.txt"));
    symlinkSync(join(outside, "dangling.txt"), join(inbox, "b.txt"));
    mkdirSync(join(inbox, "c.txt"));
    for (const name of ["a", "b", "c"]) {
      const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", `${name}.txt`, "--to", inbox);
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
    const { address } = library.tracker;
    const outside = stage.folderWith({ "precious.txt": "precious" });
    const inbox = stage.folderWith({ "a.txt": "mine" });
    symlinkSync(join(outside, "precious.txt"), join(inbox, "b.txt"));
    mkdirSync(join(inbox, "c.txt"));
    for (const name of ["a", "b"]) {
      const path = join(inbox, `${name}.txt`);
      const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", `${name}.txt`, "--to", inbox, "--overwrite");
      expect(code).toBe(0);
      expect(out).toStartWith(`${path} `);
      expect(lstatSync(path).isFile()).toBe(true);
      expect(readFileSync(path, "utf8")).toBe(name);
    }
    expect(readFileSync(join(outside, "precious.txt"), "utf8")).toBe("precious");
    const { code, err } = await stage.ft(
      stage.visitorFolder(),
      address,
      "get",
      "c.txt",
      "--to",
      inbox,
      "--overwrite",
      "--quiet",
    );
    expect(code).toBe(1);
    expectSentence(err);
    expect(seenIn(inbox)).toEqual(["a.txt", "b.txt", "c.txt"]);
    expect(readdirSync(join(inbox, "c.txt"))).toEqual([]);
  });

  test("--to a folder that is not there, or a file, is a sentence with exit code 1 before anything is transferred", async () => {
    const { address } = library.tracker;
    const uploads = () => library.program.objects().filter(({ event }) => event === "upload-started").length;
    const before = uploads();
    const folder = stage.visitorFolder();
    for (const to of ["missing", "visitor.txt"]) {
      const { code, out, err } = await stage.ft(folder, address, "get", "notes.txt", "--to", to, "--quiet");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expectSentence(err);
      expect(err).toContain(to);
    }
    expect(readdirSync(folder)).toEqual(["visitor.txt"]);
    expect(uploads()).toBe(before);
  });

  test("--from fetches from this holder only", async () => {
    const { address, port } = library.tracker;
    const first = await stage.holder(Buffer.from("from the first"));
    const second = await stage.holder(Buffer.from("from the other"));
    for (const [{ port: at }, content] of [
      [first, "from the first"],
      [second, "from the other"],
    ] as const) {
      await stage.enlist(port, at, [record("file.txt", 14, at, contentId(content))]);
    }
    const inbox = stage.folder();
    const { code } = await stage.ft(
      stage.visitorFolder(),
      address,
      "get",
      "file.txt",
      "--to",
      inbox,
      "--from",
      `127.0.0.1:${second.port}`,
    );
    expect(code).toBe(0);
    expect(readFileSync(join(inbox, "file.txt"), "utf8")).toBe("from the other");
    expect(first.asked).toEqual([]);
    const nobody = await stage.ft(
      stage.visitorFolder(),
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
    const { address } = library.tracker;
    const inbox = stage.folder();
    const { code, program } = await stage.ft(stage.visitorFolder(), address, "get", "--to", inbox, "--json", "--", "--version");
    expect(code).toBe(0);
    const [saved = "", ...more] = seenIn(inbox);
    expect(more).toEqual([]);
    expect(saved).not.toStartWith("-");
    expect(program.objects().at(-1)).toMatchObject({ name: "--version", path: join(inbox, saved) });
    expect(readFileSync(join(inbox, saved), "utf8")).toBe("not an option");
    const search = await stage.ft(stage.visitorFolder(), address, "search", "--", "--version");
    expect(search.out).toStartWith("--version\t");
  });

  test("what only this peer shares itself is not fetched, and it says so", async () => {
    const { address } = library.tracker;
    const { code, err, out } = await stage.ft(
      stage.visitorFolder(),
      address,
      "get",
      "visitor.txt",
      "--to",
      stage.folder(),
      "--quiet",
    );
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
  });

  test("an executable file arrives without its execute bits", async () => {
    const { address } = library.tracker;
    const inbox = stage.folder();
    expect((await stage.ft(stage.visitorFolder(), address, "get", "run-me.sh", "--to", inbox)).code).toBe(0);
    expect(statSync(join(inbox, "run-me.sh")).mode & 0o111).toBe(0);
  });

  test("hostile names from records become one harmless file in the download folder, or are refused", async () => {
    const { address, port } = library.tracker;
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
    const serving = await stage.holder(Buffer.alloc(0), {
      download: ({ line }, connection) => {
        const content = contents.get(/root=([0-9a-f]{64})/.exec(line)?.[1] ?? "");
        connection.send(content === undefined ? "NOT FOUND\n" : `FILE: length=${content.length} size=${content.length}\n`);
        if (content !== undefined) connection.send(content);
      },
    });
    const lines = names.map((name) => record(name, Buffer.byteLength(name), serving.port, contentId(name)));
    await stage.enlist(port, serving.port, lines);
    const base = stage.folder();
    const work = join(base, "work");
    mkdirSync(work);
    writeFileSync(join(work, "visitor.txt"), "visitor");
    const fetchOne = async (name: string, i: number) => {
      const inbox = join(base, `inbox ${i}`);
      mkdirSync(inbox);
      const { code, out, err } = await stage.ft(work, address, "get", `root:${contentId(name)}`, "--to", inbox);
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
    const { address, port } = library.tracker;
    const { asked, port: at } = await stage.holder(Buffer.alloc(0));
    await stage.enlist(port, at, [record("absurd.bin", Number.MAX_SAFE_INTEGER, at, contentId("absurd"))]);
    const inbox = stage.folder();
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "absurd.bin", "--to", inbox, "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expectSentence(err);
    expect(err).toContain("absurd.bin");
    expect(asked).toEqual([]);
    expect(readdirSync(inbox)).toEqual([]);
  });

  test("records that point at no single host are not dialled", async () => {
    // A peer that dials 0.0.0.0 reaches this machine, and with it this holder.
    const { port: at, asked } = await stage.holder(Buffer.from("other"));
    const refusedAt = async (place: string) => {
      const found = `FOUND: 1\n<x.bin,text/plain,5,22/11/26,${place},${at};v=2;root=${contentId("other")}>\n`;
      const { address } = await stage.rawTracker({ answers: { "SEARCH:": found } });
      const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "x.bin", "--quiet");
      expect({ place, code, out }).toEqual({ place, code: 1, out: "" });
      expectSentence(err);
    };
    await Promise.all(["0.0.0.0", "0.0.0.1", "224.0.0.251", "255.255.255.255", "::", "ff02::1"].map(refusedAt));
    expect(asked).toEqual([]);
  });
});
