// Folders that are shared as one, on the compiled programs.

import { describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { folderList } from "../helpers/folder-list.ts";
import { guidedStage } from "../helpers/guided-stage.ts";
import { contentId, noise } from "../helpers/holder.ts";
import { INSIDE } from "../helpers/peer-stage.ts";
import { PEER, type Program } from "../helpers/programs.ts";
import { Raw, rawServer } from "../helpers/raw.ts";

const stage = guidedStage();

/** A time in the past, in seconds since 1970. */
const LONG_AGO = 1_600_000_000;
const BIG = noise(2_500_000);

/** Makes a folder "Lesson" with these files and empty folders; gives the folder that it is in. */
function lesson(files: Record<string, string | Uint8Array>, name = "Lesson"): string {
  const top = stage.folder();
  const folders = new Set<string>();
  for (const [path, content] of Object.entries(files)) {
    const full = join(top, name, path);
    mkdirSync(path.endsWith("/") ? full : dirname(full), { recursive: true });
    folders.add(path.endsWith("/") ? full : dirname(full));
    if (path.endsWith("/")) continue;
    writeFileSync(full, content);
    utimesSync(full, LONG_AGO, LONG_AGO);
  }
  for (const folder of folders) utimesSync(folder, LONG_AGO, LONG_AGO);
  return top;
}

const FILES = { "a.txt": "one", "big.bin": BIG, "sub/deep/d.txt": "deep", "sub/zero": "", "empty/": "" };

/** Shares the folder "Lesson" in `top` as one, until it is ready. */
async function shared(address: string, top: string, ...args: string[]): Promise<Program> {
  const program = stage.run(PEER, [address, "share", "Lesson", "--name", "Anna", "--port", "0", "--json", ...args], {
    cwd: top,
  });
  await program.waitFor(/"event":"folder"/);
  return program;
}

/** All entries in a folder, with the bytes of the files. */
function treeOf(folder: string): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const full = join(folder, path);
    tree[path] = statSync(full).isDirectory() ? "folder" : Bun.hash(readFileSync(full)).toString();
  }
  return tree;
}

describe("a folder that is shared as one", () => {
  test("is one record, is found and listed, and arrives with dates and empty folders", async () => {
    const { address } = await stage.tracker();
    const top = lesson(FILES);
    writeFileSync(join(top, "Lesson", ".hidden"), "");
    writeFileSync(join(top, "Lesson", "Thumbs.db"), "");
    symlinkSync("a.txt", join(top, "Lesson", "link"));
    utimesSync(join(top, "Lesson"), LONG_AGO, LONG_AGO);
    await shared(address, top);
    expect(await stage.onlyRecord(address, "Lesson")).toMatchObject({
      type: "inode/directory",
      size: 3 + BIG.length + 4,
      files: 4,
      holders: 1,
    });
    const visitor = stage.visitorFolder();
    expect((await stage.ft(visitor, address, "find", "lesso")).out).toStartWith("Lesson\t2.5 MB\tinode/directory\t");
    const list = await stage.ft(visitor, address, "list", "Anna/Lesson", "--json");
    expect(list.program.objects().map(({ path }) => path)).toEqual([
      "a.txt",
      "big.bin",
      "empty/",
      "sub/deep/d.txt",
      "sub/zero",
    ]);
    const piped = (await stage.ft(visitor, address, "list", "Anna/Lesson")).out.trimEnd().split("\n");
    expect(piped.map((line) => line.split("\t").slice(0, 2))).toEqual([
      ["a.txt", "3 B"],
      ["big.bin", "2.5 MB"],
      ["empty/", ""],
      ["sub/deep/d.txt", "4 B"],
      ["sub/zero", "0 B"],
    ]);
    expect(piped.map((line) => line.split("\t")[2])).toEqual(list.program.objects().map(({ root }) => String(root)));
    const to = stage.folder();
    const { code, program } = await stage.ft(visitor, address, "get", "Lesson", "--to", to, "--json");
    expect(code).toBe(0);
    expect(program.objects().at(-1)).toMatchObject({ event: "done", files: 4, failed: 0, verified: true, outcome: "new" });
    expect(program.objects().filter(({ event }) => event === "file")).toEqual([]);
    rmSync(join(top, "Lesson", ".hidden"));
    rmSync(join(top, "Lesson", "Thumbs.db"));
    rmSync(join(top, "Lesson", "link"));
    expect(readdirSync(to)).toEqual(["Lesson"]);
    expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
    for (const path of ["", "a.txt", "big.bin", "empty", "sub/deep"]) {
      expect(statSync(join(to, "Lesson", path)).mtimeMs).toBe(LONG_AGO * 1000);
    }
  });

  test("says what is left out, and how many files it has", async () => {
    const { address } = await stage.tracker();
    const top = lesson({ "a.txt": "one", ".one": "", ".two": "", "desktop.ini": "" });
    symlinkSync("a.txt", join(top, "Lesson", "link"));
    const program = stage.run(PEER, [address, "share", "Lesson", "--port", "0"], { cwd: top });
    await program.waitFor(/is ready/);
    expect(program.out + program.err).toContain(
      'Sharing the folder "Lesson" as one: 1 file, 3 B. Left out: 3 hidden entries, 1 link.',
    );
  });

  test("one file or folder inside of it can be fetched alone", async () => {
    const { address } = await stage.tracker();
    await shared(address, lesson(FILES));
    const [to, visitor] = [stage.folder(), stage.visitorFolder()];
    expect((await stage.ft(visitor, address, "get", "Lesson/sub/deep/d.txt", "--to", to)).code).toBe(0);
    expect((await stage.ft(visitor, address, "get", "Lesson/sub", "--to", to)).code).toBe(0);
    expect(Object.keys(treeOf(to)).sort()).toEqual(["d.txt", "sub", "sub/deep", "sub/deep/d.txt", "sub/zero"]);
    const missing = await stage.ft(visitor, address, "get", "Lesson/nothing", "--to", to);
    expect(missing).toMatchObject({ code: 1, err: expect.stringContaining('There is no "nothing" in the folder "Lesson".') });
  });

  test("goes into a folder of its name that is there: nothing is replaced, equal files stay", async () => {
    const { address } = await stage.tracker();
    await shared(address, lesson(FILES));
    const to = lesson({ "a.txt": "mine", "sub/deep/d.txt": "deep", "own.txt": "own" });
    const { code, err } = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to, "--overwrite");
    expect(code).toBe(0);
    expect(err).toContain("--overwrite replaces single files, and nothing in a folder.");
    expect(err).toContain('Another file is at "a.txt": the fetched one is "a (1).txt".');
    expect(readFileSync(join(to, "Lesson", "a.txt"), "utf8")).toBe("mine");
    expect(readFileSync(join(to, "Lesson", "a (1).txt"), "utf8")).toBe("one");
    expect(existsSync(join(to, "Lesson", "own.txt"))).toBe(true);
    expect(readdirSync(to)).toEqual(["Lesson"]);
  });

  test("has a file that a computer acts upon by itself: it gets another name, and that is said", async () => {
    const { address } = await stage.tracker();
    await shared(address, lesson({ "a.txt": "one", "in/go.desktop": "[Desktop Entry]" }));
    const to = stage.folder();
    const { code, err } = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to);
    expect(code).toBe(0);
    expect(err).toContain('"in/go.desktop" is stored as "go.desktop.download", because a computer may act by itself');
    expect(readdirSync(join(to, "Lesson", "in"))).toEqual(["go.desktop.download"]);
  });

  test("that changes has a new list when it was quiet, and a second fetch brings the change", async () => {
    const { address } = await stage.tracker();
    const top = lesson(FILES);
    const sharing = await shared(address, top);
    const [to, visitor] = [stage.folder(), stage.visitorFolder()];
    expect((await stage.ft(visitor, address, "get", "Lesson", "--to", to)).code).toBe(0);
    writeFileSync(join(top, "Lesson", "new.txt"), "new");
    await sharing.waitFor(/"event":"folder".*"files":5/);
    expect(await stage.onlyRecord(address, "Lesson")).toMatchObject({ files: 5 });
    expect((await stage.ft(visitor, address, "get", "Lesson", "--to", to)).code).toBe(0);
    expect(readFileSync(join(to, "Lesson", "new.txt"), "utf8")).toBe("new");
  });

  test("cannot go to standard output, nor get another name", async () => {
    const { address } = await stage.tracker();
    await shared(address, lesson(FILES));
    const visitor = stage.visitorFolder();
    for (const where of [
      ["--to", "-"],
      ["-o", "-"],
      ["-o", "Other"],
    ]) {
      for (const name of ["Lesson", "Lesson/a.txt"]) {
        const { code, out, err } = await stage.ft(visitor, address, "get", name, ...where);
        expect({ code, out, where, name }).toEqual({ code: 2, out: "", where, name });
        expect(err).toContain(`"${name}" is `);
        expect(err).toContain("Give --to DIR");
      }
    }
    expect(readdirSync(visitor)).toEqual(["visitor.txt"]);
  });

  test("goes on after kill -9 where it was", async () => {
    const { address } = await stage.tracker();
    const top = lesson({ "first.txt": "first", "big.bin": noise(6_000_000) });
    await shared(address, top, "--limit", "2MB");
    const [to, visitor] = [stage.folder(), stage.visitorFolder()];
    const killed = stage.run(PEER, [address, "get", "Lesson", "--to", to, "--port", "0", "--json"], { cwd: visitor });
    await killed.waitFor(/"received":[2-9]\d{6}/);
    killed.kill();
    await killed.exited;
    expect(existsSync(join(to, "Lesson"))).toBe(false);
    const again = await stage.ft(visitor, address, "get", "Lesson", "--to", to, "--json");
    expect(again.code).toBe(0);
    const [first] = again.program.objects().filter(({ event }) => event === "progress");
    expect(first?.received).toBeGreaterThanOrEqual(1_000_000);
    expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
    expect(readdirSync(to)).toEqual(["Lesson"]);
  });

  test.skipIf(process.platform === "win32")("a file that could not be saved whole does not get its name", async () => {
    const { address } = await stage.tracker();
    const top = lesson({ "big.bin": noise(3_000_000), "small.txt": "small" });
    await shared(address, top);
    const [to, visitor] = [stage.folder(), stage.visitorFolder()];
    const args = [PEER, address, "get", "Lesson", "--to", to, "--port", "0"];
    // 3,000 blocks of 512 bytes.
    const program = stage.run("/bin/sh", ["-c", 'ulimit -f 3000; exec "$@"', "sh", ...args], { cwd: visitor });
    expect(await program.exited).toBe(1);
    expect(program.out).toMatch(/Lesson {2}1 file {2}5 B {2}[^\n]*verified\n$/);
    expect(program.err).toContain('Not saved: "big.bin" (');
    expect(program.err).toContain("1 of 2 files could not be saved. Run the same command to fetch only the rest.\n");
    expect(treeOf(to)).toMatchObject({ "Lesson/small.txt": expect.anything() });
    expect(Object.keys(treeOf(to))).not.toContain("Lesson/big.bin");
    expect((await stage.ft(visitor, address, "get", "Lesson", "--to", to)).code).toBe(0);
    expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
  });

  test("is one content wherever it lies, and comes from all of its holders", async () => {
    const { address } = await stage.tracker();
    const top = lesson(FILES);
    await shared(address, top);
    const to = stage.folder();
    const second = stage.run(PEER, [address, "share", "Lesson", "--name", "Bo", "--port", "0", "--json"], {
      cwd: lesson(FILES),
    });
    await second.waitFor(/"event":"folder"/);
    expect((await stage.ft(stage.visitorFolder(), address, "find", "lesson", "--json")).program.objects()).toMatchObject([
      { name: "Lesson", holders: 2 },
    ]);
    const { code, program } = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to, "--json");
    expect({ code, holders: program.objects().at(-1)?.holders }).toEqual({ code: 0, holders: expect.any(Number) });
    expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
  });

  test("is invisible to a program of the basic protocol", async () => {
    const { address, port } = await stage.tracker();
    await shared(address, lesson(FILES));
    const raw = await Raw.connect(port);
    stage.atEnd(() => raw.close());
    raw.send("HELLO");
    await raw.take(2);
    raw.send("<mine.txt,text/plain,4,01/01/20,127.0.0.1,4000>");
    const asking = await Raw.connect(port);
    stage.atEnd(() => asking.close());
    asking.send("SEARCH: Lesson");
    expect((await asking.rest()).toString()).toBe("NOT FOUND");
  });
});

test("a basic tracker has no folders: sharing nothing else is one sentence", async () => {
  const server = await rawServer(({ socket }) => {
    socket.on("data", (bytes) => void (String(bytes) === "HELLO" && socket.write("HI")));
  });
  stage.atEnd(() => server.close());
  const { code, err } = await stage.ft(lesson(FILES), `127.0.0.1:${server.port}`, "share", "Lesson", "--quiet");
  expect({ code, err }).toEqual({
    code: 1,
    err: `The tracker at "127.0.0.1:${server.port}" speaks the basic protocol, which has no folders. Share a file, too: ft-peer share FOLDER FILE\n`,
  });
});

test("a folder whose list would be longer than 16 MiB is one sentence, although it has few files", async () => {
  const { address } = await stage.tracker();
  const top = stage.folder();
  const inner = `${"n".repeat(200)}/`.repeat(16);
  mkdirSync(join(top, "Long", inner), { recursive: true });
  for (let i = 0; i < 5_000; i++) writeFileSync(join(top, "Long", inner, `${"n".repeat(200)}${i}`), "");
  const { code, out, err } = await stage.ft(top, address, "share", "Long", "--quiet");
  expect({ code, out, err }).toEqual({
    code: 1,
    out: "",
    err: `The names in the folder "${join(top, "Long")}" are too long together. Share a part of it.\n`,
  });
});

/** A holder of a folder with a made-up list: honest about the list's bytes, not about those of the folder. Gives its port. */
async function madeUp(trackerPort: number, list: string, { files, size } = { files: 1, size: 1 }): Promise<number> {
  const content = Buffer.from(list);
  const converse = async (connection: Raw) => {
    for (;;) {
      const line = await connection.line();
      const number = (key: string) => Number(new RegExp(` ${key}=(\\d+)`).exec(line)?.[1] ?? 0);
      if (line.startsWith("HELLO")) connection.send("HI FT/2\n");
      else if (line.startsWith("DOWNLOAD")) {
        const [offset, length] = [number("offset"), number("length")];
        const isList = line.includes(" root=");
        connection.send(`FILE: length=${length} size=${isList ? content.length : size}\n`);
        connection.send(isList ? content.subarray(offset, offset + length) : Buffer.alloc(length));
      } else connection.send("NOT FOUND\n");
    }
  };
  // The end of a connection ends its script.
  const server = await rawServer((connection) => void converse(connection).catch(() => undefined));
  stage.atEnd(() => server.close());
  const fields = `;v=2;root=${contentId(content)};files=${files};list=${content.length}`;
  await stage.enlist(trackerPort, server.port, [`<Lesson,inode/directory,${size},28/11/26,127.0.0.1,${server.port}${fields}>`]);
  return server.port;
}

describe("a hostile list", () => {
  const root = contentId("x");
  const line = (path: string) => `1 ${root} ${path}\n`;
  test.each([
    ["leads out", line("../evil")],
    ["is absolute", line("/tmp/evil")],
    ["has an empty part", line("a//b")],
    ["has a NUL", line("a\0b")],
    ["has a path twice", line("a") + line("a")],
    ["has a file that is a folder", line("a") + line("a/b")],
    ["is out of order", line("b") + line("a")],
    ["is not normalised", line("e\u0301")],
    ["is too deep", line(`${"d/".repeat(64)}x`)],
    ["has a name that is too long", line("n".repeat(256))],
    ["has a number that is too large", `99999999999999999999 ${root} a\n`],
    ["does not end", `1 ${root} a`],
  ])("that %s is one sentence, and nothing is written", async (_, list) => {
    const { address, port } = await stage.tracker();
    await madeUp(port, list);
    const top = stage.folder();
    const to = join(top, "to");
    mkdirSync(to);
    const { code, out, err } = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to, "--quiet");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^The list of the folder cannot be used: .*\.\n$/);
    expect(err).not.toMatch(INSIDE);
    expect([readdirSync(top), readdirSync(to)]).toEqual([["to"], []]);
  });
});

/** Twelve files of 900 kB: three packs. */
const PACKS = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`f${i + 10}`, noise(900_000, i + 1)]));

test("a peer that is still fetching a folder gives others what it has; all of them get all of it", async () => {
  const { address } = await stage.tracker();
  const top = lesson(PACKS);
  await shared(address, top, "--limit", "1MB");
  const run = (to: string, ...command: string[]) =>
    stage.run(PEER, [address, ...command, "--to", to, "--port", "0", "--json"], { cwd: stage.visitorFolder() });
  const [ann, ben, chloe] = [stage.folder(), stage.folder(), stage.folder()];
  const first = run(ann, "want", "Lesson", "--get", "--name", "Ann");
  await first.waitFor(/"files":\{"done":[1-9]/);
  const others = [run(ben, "get", "Lesson", "--from", "Ann"), run(chloe, "get", "Lesson")];
  for (const other of others) expect(await other.exited).toBe(0);
  await first.waitFor(/"event":"done"/);
  for (const to of [ann, ben, chloe]) expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
});

test("of two holders one sends wrong bytes: it is named, and the folder is right", async () => {
  const { address, port } = await stage.tracker();
  const top = lesson(PACKS);
  await shared(address, top, "--limit", "2MB");
  const entries = Object.entries(PACKS).map(([path, bytes]) => ({ path, size: bytes.length, root: contentId(bytes) }));
  const liar = await madeUp(port, new TextDecoder().decode(folderList(entries)), { files: 12, size: 12 * 900_000 });
  const to = stage.folder();
  const { code, program } = await stage.ft(stage.visitorFolder(), address, "get", "Lesson", "--to", to, "--json");
  expect(code).toBe(0);
  expect(program.objects()).toContainEqual(
    expect.objectContaining({
      event: "holder-failed",
      port: liar,
      reason: expect.stringContaining("not the file it announced"),
    }),
  );
  expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
});

test("a fetch that is killed again and again goes on where it was, and leaves the folder and nothing else", async () => {
  const { address } = await stage.tracker();
  const many = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`d${i % 7}/f${i}`, noise(20_000, i)]));
  const top = lesson({ ...many, "empty/": "" });
  await shared(address, top, "--limit", "6MB");
  const [to, cwd] = [stage.folder(), stage.visitorFolder()];
  const get = () => stage.run(PEER, [address, "get", "Lesson", "--to", to, "--port", "0", "--json"], { cwd });
  for (const share of ["[1-9]", "[3-9]", "[6-9]", "[9]"]) {
    const killed = get();
    // It may have ended before that.
    await Promise.race([killed.waitFor(new RegExp(`"received":${share}\\d{6}`)).catch(() => undefined), killed.exited]);
    killed.kill();
    await killed.exited;
  }
  expect(await get().exited).toBe(0);
  expect(treeOf(join(to, "Lesson"))).toEqual(treeOf(join(top, "Lesson")));
  expect(readdirSync(to)).toEqual(["Lesson"]);
  for (const path of ["d0/f0", "d6", "empty"]) expect(statSync(join(to, "Lesson", path)).mtimeMs).toBe(LONG_AGO * 1000);
});

test("in the prompts a fetched folder is marked as one's own at once, and is in the list of what is shared", async () => {
  const { address } = await stage.tracker();
  await shared(address, lesson(FILES));
  const screen = await stage.atSearch(address, {}, "--to", stage.folder());
  screen.press("Lesson");
  await screen.take("Lesson/");
  await screen.waitFor("is a folder: 4 files");
  await screen.choose("Fetch all");
  await screen.waitFor(", verified");
  await screen.waitFor(/Lesson\/[^\n]*yours/);
  screen.press("\x13");
  await screen.waitFor(/What I share.*Lesson\//s);
});
