// get of several files, of similar names and to standard output, on the compiled programs.

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { typedName } from "../../lib/peer/screen/typed-name.ts";
import { noise } from "../helpers/holder.ts";
import { ended, expectSentence, MODIFIED, peerStage, seenIn } from "../helpers/peer-stage.ts";
import { PEER } from "../helpers/programs.ts";

const stage = peerStage();
const BIG = noise(3_000_000);

/** A tracker, and a peer that shares these files. */
async function library(files: Record<string, string | Uint8Array>) {
  const tracker = await stage.tracker();
  const folder = stage.folderWith(files);
  await stage.sharing(tracker.address, folder, Object.keys(files).length);
  return { ...tracker, folder };
}

describe("get of several", () => {
  test("fetches one after another, and names at the end those that did not come", async () => {
    const { address } = await library({ "a.txt": "one", "b b.txt": "two" });
    const inbox = stage.folder();
    const both = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "b b.txt", "--to", inbox);
    expect(both.code).toBe(0);
    expect(both.out).toMatch(/2 of 2 files {2}6 B {2}/);
    expect(seenIn(inbox)).toEqual(["a.txt", "b b.txt"]);
    const some = await stage.ft(stage.visitorFolder(), address, "get", "gone.zip", "a.txt", "--to", stage.folder(), "--quiet");
    expect(some.code).toBe(1);
    expect(some.out).toContain("a.txt");
    expect(some.err.split("\n").at(-2)).toBe('Not fetched: "gone.zip".');
  });

  test("--json gives an object for each file, and the totals", async () => {
    const { address } = await library({ "a.txt": "one", "b.txt": "three" });
    const { code, program } = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "gone.zip", "b.txt", "--json");
    expect(code).toBe(1);
    const objects = program.objects();
    expect(objects.filter(({ event }) => event === "done")).toMatchObject([{ name: "a.txt" }, { name: "b.txt" }]);
    expect(objects.find(({ event }) => event === "progress")).toMatchObject({ name: "a.txt" });
    expect(objects.find(({ code }) => code === "not-found")).toMatchObject({ event: "error", name: "gone.zip" });
    expect(objects.at(-2)).toEqual({ event: "total", files: 2, size: 8, seconds: expect.any(Number), failed: ["gone.zip"] });
    expect(objects.at(-1)).toMatchObject({ event: "error", code: "incomplete" });
  });

  test("words of one name that were not put in quotes", async () => {
    const { address } = await library({ "a.txt": "one" });
    const { code, err } = await stage.ft(stage.visitorFolder(), address, "get", "Field", "trip", "--quiet");
    expect(code).toBe(1);
    expect(err).toContain("If this is one name with spaces, put it in quotes.");
  });
});

test("a name that nobody shares brings similar ones: typos, case, accents, parts", async () => {
  const { address } = await library({ "Report.pdf": "pdf", "Field trip video.mp4": "mp4", "Größe.txt": "txt" });
  const asked = async (name: string) => await stage.ft(stage.visitorFolder(), address, "get", name, "--quiet");
  for (const name of ["report.pdf", "raport.pdf", "Reprot", "REPORT.PDF"]) {
    const { code, err } = await asked(name);
    expect({ name, code, err }).toEqual({
      name,
      code: 1,
      err: `No exact match. Similar: "Report.pdf" (3 B, 1 person). Try: ft-peer ${address} get Report.pdf\n`,
    });
  }
  expect((await asked("video")).err).toContain(`get ${typedName("Field trip video.mp4")}`);
  // Every command that takes an exact name says it, with its own name.
  for (const command of ["search", "holders"]) {
    const { code, err } = await stage.ft(stage.visitorFolder(), address, command, "video", "--quiet");
    const try_ = `Try: ft-peer ${address} ${command} ${typedName("Field trip video.mp4")}\n`;
    expect({ code, err }).toEqual({ code: 1, err: `No exact match. Similar: "Field trip video.mp4" (3 B, 1 person). ${try_}` });
  }
  expect((await asked("groesse.txt")).code).toBe(1);
  expect((await asked("grosse.txt")).err).toContain("Größe.txt");
  const none = await asked("nothing like it.zip");
  expect(none.err).not.toContain("Similar");
  expectSentence(none.err);
});

describe("a fetched file", () => {
  test("keeps its date, unless that is in the future", async () => {
    const { address } = await stage.tracker();
    const dated = stage.folderWith({ "old.txt": "old", "future.txt": "future" });
    utimesSync(join(dated, "old.txt"), MODIFIED, MODIFIED);
    const ahead = new Date("2093-01-02T03:04:05Z");
    utimesSync(join(dated, "future.txt"), ahead, ahead);
    await stage.sharing(address, dated, 2);
    const inbox = stage.folder();
    const { code } = await stage.ft(stage.visitorFolder(), address, "get", "old.txt", "future.txt", "--to", inbox);
    expect(code).toBe(0);
    expect(statSync(join(inbox, "old.txt")).mtime).toEqual(MODIFIED);
    expect(statSync(join(inbox, "future.txt")).mtime.getTime()).toBeLessThanOrEqual(Date.now());
  });

  test("goes nowhere without its folder: the sentence has the option that was typed", async () => {
    const wrong = async (...args: string[]) => (await stage.ft(stage.visitorFolder(), "127.0.0.1:1", "get", "a", ...args)).err;
    expect(await wrong("-o", "no/b")).toEndWith("there is no such folder. Make it, or choose another path with -o.\n");
    expect(await wrong("--output", "no/b")).toEndWith("Make it, or choose another path with --output.\n");
    expect(await wrong("--to", "no")).toEndWith("Make it, or choose another with --to.\n");
    const folder = stage.folder();
    for (const path of [folder, `${folder}/`])
      expect(await wrong("-o", path)).toContain("is a folder. To save into it, give --to.");
  });

  test("cannot be where no file can be, and says so without the system's codes", async () => {
    const folder = stage.folderWith({ "file.txt": "" });
    const wrong = async (path: string) => {
      const { code, err } = await stage.ft(stage.visitorFolder(), "127.0.0.1:1", "get", "a", "-o", path);
      expect({ path, code }).toEqual({ path, code: 2 });
      expect(err).not.toMatch(/E[A-Z]{4,}/);
      return err;
    };
    expect(await wrong(join(folder, "x".repeat(300)))).toEndWith("its name is too long.\n");
    expect(await wrong(join(folder, "file.txt", "a"))).toEndWith("a part of its path is not a folder.\n");
    expect(await wrong("")).toContain("needs a path");
    if (process.platform === "win32") return;
    expect(await wrong("/dev/null")).toEndWith('"/dev/null" is not a regular file. For standard output, give -o -\n');
  });

  test("says so when the name of --output is made safe", async () => {
    const { address } = await library({ "a.txt": "one" });
    const folder = stage.visitorFolder();
    const { code, err } = await stage.ft(folder, address, "get", "a.txt", "-o", ".a:b");
    expect(code).toBe(0);
    expect(err).toContain('".a:b" is stored as "_a_b", because that name is not safe on every computer.');
  });

  test("gets the name of --output, and never the place of another file", async () => {
    const { address } = await library({ "a.txt": "one" });
    const inbox = stage.folderWith({ "mine.txt": "mine" });
    const path = join(inbox, "mine.txt");
    const { code, out } = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "-o", path);
    expect(code).toBe(0);
    expect(out).toContain("mine (1).txt");
    expect(readFileSync(path, "utf8")).toBe("mine");
    const again = await stage.ft(stage.visitorFolder(), address, "get", "a.txt", "-o", path, "--overwrite");
    expect(again.code).toBe(0);
    expect(readFileSync(path, "utf8")).toBe("one");
  });
});

test("get of several files says which is no content id before it fetches any", async () => {
  const { address } = await library({ "a.txt": "one" });
  const folder = stage.visitorFolder();
  const { code, err } = await stage.ft(folder, address, "get", "a.txt", "root:abc");
  expect({ code, names: readdirSync(folder) }).toEqual({ code: 2, names: ["visitor.txt"] });
  expect(err).toContain('"root:abc" is not a content id');
});

describe("standard output", () => {
  test("--to - writes the whole file to it, nothing else, and leaves nothing behind", async () => {
    const { address } = await library({ "big.bin": BIG, "empty.dat": "" });
    const temporary = stage.folder();
    const outbox = stage.folder();
    for (const [name, content] of [
      ["big.bin", BIG],
      ["empty.dat", new Uint8Array()],
    ] as const) {
      const args = [PEER, address, "get", name, "--to", "-", "--port", "0"];
      const program = stage.run("/bin/sh", ["-c", `"$@" > "$OUT"`, "sh", ...args], {
        cwd: stage.visitorFolder(),
        env: { TMPDIR: temporary, OUT: join(outbox, name) },
      });
      expect({ name, code: (await ended(program)).code, err: program.err.includes("Cannot") }).toEqual({
        name,
        code: 0,
        err: false,
      });
      expect(readFileSync(join(outbox, name)).equals(content)).toBe(true);
    }
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("--to - into a pipe that closes is an error", async () => {
    const { address } = await library({ "big.bin": BIG });
    const script = `{ "$@"; echo "code $?" >&2; } | head -c 10 > /dev/null`;
    const program = stage.shell(script, stage.visitorFolder(), PEER, address, "get", "big.bin", "--to", "-", "--port", "0");
    const { err } = await ended(program);
    expect(err).toContain("Cannot write the output: the program that reads it has ended.");
    expect(err).toContain("code 1");
  });

  test("get --json goes on when its reader is gone", async () => {
    const { address } = await library({ "big.bin": BIG });
    const folder = stage.visitorFolder();
    const script = `{ "$@"; echo "code $?" >&2; } | head -n 1 > /dev/null`;
    const { err } = await ended(stage.shell(script, folder, PEER, address, "get", "big.bin", "--json", "--port", "0"));
    expect(err).toContain("code 0");
    expect(readFileSync(join(folder, "big.bin")).equals(BIG)).toBe(true);
  });

  test.skipIf(process.platform !== "linux")("a closed standard output is an error, and get keeps its file", async () => {
    const { address } = await library({ "a.txt": "one" });
    const closed = (folder: string, ...args: string[]) => ended(stage.shell(`exec "$@" >&-`, folder, PEER, ...args));
    const list = await closed(stage.visitorFolder(), address, "list", "--port", "0");
    expect(list).toMatchObject({ code: 1 });
    expect(list.err).toEndWith("\nCannot write the output: standard output is closed.\n");
    expect(await closed(stage.visitorFolder(), "--version")).toMatchObject({
      code: 1,
      err: "Cannot write the output: standard output is closed.\n",
    });
    const folder = stage.visitorFolder();
    const got = await closed(folder, address, "get", "a.txt", "--port", "0");
    expect(got.code).toBe(1);
    expect(got.err).toContain("standard output is closed. Going on without it.");
    expect(readFileSync(join(folder, "a.txt"), "utf8")).toBe("one");
    const poured = await closed(stage.visitorFolder(), address, "get", "a.txt", "--to", "-", "--port", "0");
    expect(poured.code).toBe(1);
    expect(poured.err).toContain("Cannot write the output: standard output is closed.");
  });

  test.skipIf(!existsSync("/dev/full"))(
    "a full or limited disk ends a command with an error, and get keeps its file",
    async () => {
      const { address } = await library({ "a.txt": "one" });
      const full = await ended(stage.shell(`"$@" > /dev/full`, stage.visitorFolder(), PEER, address, "list", "--port", "0"));
      expect(full.code).toBe(1);
      expect(full.err).toContain("Cannot write the output: the disk is full.");
      const folder = stage.visitorFolder();
      const got = await ended(stage.shell(`"$@" > /dev/full`, folder, PEER, address, "get", "a.txt", "--port", "0"));
      expect(got.code).toBe(1);
      expect(got.err).toContain("Cannot write the output: the disk is full. Going on without it.");
      expect(readFileSync(join(folder, "a.txt"), "utf8")).toBe("one");
      // A one-piece file, too: the error may come after the last byte was handed over.
      const poured = stage.shell(`"$@" > /dev/full`, folder, PEER, address, "get", "a.txt", "--to", "-", "--port", "0");
      const { code: pouredCode, err: pouredErr } = await ended(poured);
      expect(pouredCode).toBe(1);
      expect(pouredErr).toContain("Cannot write the output: the disk is full.");
      const limited = `trap '' XFSZ; ulimit -f 0; "$@" > out.txt`;
      const { code, err } = await ended(stage.shell(limited, stage.visitorFolder(), PEER, address, "list", "--port", "0"));
      expect(code).toBe(1);
      expect(err).toContain("Cannot write the output");
    },
  );
});

test("a complete copy beyond the limit of files is a holder, also when its owner is gone", async () => {
  const { address } = await library({ "slow.bin": BIG });
  const owner = await stage.sharing(address, stage.folderWith({ "report.pdf": "pdf" }), 1);
  const collector = stage.folderWith(Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`own ${i}.txt`, `own ${i}`])));
  const args = [address, "get", "report.pdf", "slow.bin", "--limit", "100kB", "--json", "--port", "0"];
  const collecting = stage.run(PEER, args, { cwd: collector });
  await collecting.waitFor(/"event":"done","name":"report.pdf"/);
  // It fetches the second file now, and serves the first one meanwhile.
  await collecting.waitFor(/"event":"progress"[^\n]*"name":"slow.bin"/);
  owner.program.kill("SIGINT");
  await owner.program.exited;
  const found = await stage.ft(stage.visitorFolder(), address, "find", "report", "--json");
  expect(found.program.objects()).toMatchObject([{ name: "report.pdf", holders: 1 }]);
  expect(found.out).not.toContain('"part"');
  const { out } = await stage.ft(stage.visitorFolder(), address, "search", "report.pdf");
  expect(out).not.toContain("unfinished");
  const fetched = await stage.ft(stage.visitorFolder(), address, "get", "report.pdf");
  expect(fetched.out).toContain("verified");
});

test("doctor does not call port 0 taken: it stands for any free one", async () => {
  const { address } = await stage.tracker();
  const { out } = await stage.ft(stage.visitorFolder(), address, "doctor", "--port", "0");
  expect(out).toContain("is open to the tracker");
  expect(out).not.toContain("is taken");
});

test("doctor names the unfinished downloads of a folder and what to do with them", async () => {
  const { address } = await stage.tracker();
  const inbox = stage.folderWith({ [`.ft-${"a".repeat(32)}.part`]: noise(100_000) });
  const { out } = await stage.ft(stage.visitorFolder(), address, "doctor", "--to", inbox, "--json");
  expect(out).toMatch(/1 unfinished download \([^)]+\): get the same file again to resume, or delete/);
});
