// Files on their way in, on a real disk: nobody else's file is ever harmed, and a name is given only to what is whole.

import { afterEach, beforeEach, describe, expect, mock, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { FtError } from "../../../lib/error.ts";
import { lookForRenamed, lookForTargets, openForHashing } from "../../../lib/peer/disk/already-here.ts";
import { Incoming, type Published, partKeyOf } from "../../../lib/peer/disk/incoming.ts";
import { checkFolder, tryFolder } from "../../../lib/peer/disk/target-folder.ts";
import { asOther, hasOtherUser, OTHER, otherRunsSources, scriptAsOther } from "../../helpers/other-user.ts";

const STORE = join(import.meta.dir, "..", "..", "..", "lib", "peer", "disk", "incoming.ts");
const TARGET = join(import.meta.dir, "..", "..", "..", "lib", "peer", "disk", "target-folder.ts");
const KEY = "0123456789abcdef0123456789abcdef";

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-store-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function at(...names: string[]): string {
  return join(folder, ...names);
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Receives a whole file and gives it its name. */
async function receive(
  name: string,
  content: string,
  { overwrite = false, key = partKeyOf(name, content), into = folder } = {},
) {
  const incoming = await Incoming.open({ folder: into, name, size: content.length, key });
  await incoming.write(0, bytesOf(content));
  return incoming.publish(overwrite);
}

/** Stops a fetch, and removes its part file. */
async function discard(incoming: Incoming): Promise<void> {
  await incoming.keep();
  rmSync(incoming.part, { force: true });
}

async function failure(promise: Promise<unknown>): Promise<FtError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(outcome instanceof FtError)) throw new Error(`it should have failed with a sentence: ${outcome}`);
  return outcome;
}

/** Waits until the file system's clock has moved on, so that a change made now can be told from one made before. */
async function nextTick(): Promise<void> {
  const probe = join(tmpdir(), `.ft-tick-${process.pid}`);
  const now = () => {
    writeFileSync(probe, "");
    return statSync(probe, { bigint: true }).ctimeNs;
  };
  for (const before = now(); now() - before < 10_000_000n; ) await Bun.sleep(1);
  unlinkSync(probe);
}

function listing(path = folder): string[] {
  return readdirSync(path).sort();
}

describe("Incoming: on the way in", () => {
  test("bytes may come in any order; until it is whole nothing has the name", async () => {
    const incoming = await Incoming.open({ folder, name: "report.pdf", size: 10, key: KEY });
    await Promise.all([incoming.write(7, bytesOf("789")), incoming.write(0, bytesOf("012"))]);
    await incoming.write(3, bytesOf("3456"));
    await incoming.settled();
    expect(listing().every((name) => name.startsWith(".ft-"))).toBe(true);
    const published = await incoming.publish(false);
    expect(published).toMatchObject({ path: at("report.pdf"), outcome: "new" });
    expect(readFileSync(at("report.pdf"), "utf8")).toBe("0123456789");
    expect(listing()).toEqual(["report.pdf"]);
  });

  test("it keeps the date that it was modified at; an odd one is 1970, and one of a wrong clock is not kept", async () => {
    const dates: [string, string | undefined][] = [
      ["2026-11-22T10:04:05.000Z", "2026-11-22T10:04:05.000Z"],
      ["0001-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"],
      ["9999-12-31T23:59:59.000Z", undefined],
      ["not a date", undefined],
    ];
    for (const [i, [modified, kept]] of dates.entries()) {
      const from = Date.now();
      const incoming = await Incoming.open({ folder, name: `dated ${i}`, size: 1, key: KEY, modified: new Date(modified) });
      await incoming.write(0, bytesOf("x"));
      const { path, entry } = await incoming.publish(false);
      const { mtime, mtimeMs } = statSync(path);
      if (kept === undefined) expect(mtimeMs).toBeGreaterThan(Math.min(from, Date.now()) - 60_000);
      else expect(mtime.toISOString()).toBe(kept);
      expect(BigInt(Math.floor(mtimeMs))).toBe(entry.mtimeMs);
    }
  });

  test("an empty file", async () => {
    const incoming = await Incoming.open({ folder, name: "nothing", size: 0, key: KEY });
    expect(await incoming.publish(false)).toMatchObject({ path: at("nothing"), outcome: "new" });
    expect(statSync(at("nothing")).size).toBe(0);
  });

  test("the name never shows less than the whole", async () => {
    const size = 24 * 1024 * 1024;
    const piece = new Uint8Array(1024 * 1024).fill(7);
    const incoming = await Incoming.open({ folder, name: "big.bin", size, key: KEY });
    const seen = new Set<number>();
    let watching = true;
    const watch = async () => {
      while (watching) {
        if (existsSync(at("big.bin"))) seen.add(statSync(at("big.bin")).size);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const watched = watch();
    for (let offset = 0; offset < size; offset += piece.length) await incoming.write(offset, piece);
    expect(seen.size).toBe(0);
    await incoming.publish(false);
    await new Promise((resolve) => setImmediate(resolve));
    watching = false;
    await watched;
    expect([...seen]).toEqual([size]);
  });

  test("what arrives cannot be run", async () => {
    for (const name of ["virus.sh", "virus.exe", "virus"]) {
      const { path } = await receive(name, "#!/bin/sh\n");
      expect(statSync(path).mode & 0o111).toBe(0);
    }
    writeFileSync(at("tool"), "old");
    chmodSync(at("tool"), 0o755);
    await receive("tool", "#!/bin/sh\n", { overwrite: true });
    expect(statSync(at("tool")).mode & 0o111).toBe(0);
  });

  test("keep: the part stays and can be fetched again", async () => {
    const first = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
    await first.write(0, bytesOf("ab"));
    await first.keep();
    expect(existsSync(first.part)).toBe(true);
    expect(dirname(first.part)).toBe(folder);
    expect(existsSync(at("a.txt"))).toBe(false);
    const second = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
    await second.write(0, bytesOf("xyz"));
    await discard(second);
    expect(listing()).toEqual([]);
  });

  test("keep: a part file in which nothing has arrived does not stay, unless the download was stopped", async () => {
    const incoming = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
    await incoming.keep();
    expect(listing()).toEqual([]);
    const stopped = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
    await stopped.keep(true);
    expect(existsSync(stopped.part)).toBe(true);
    rmSync(stopped.part);
    // Where another one has taken its name, that one is not touched.
    const other = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
    rmSync(other.part);
    writeFileSync(other.part, "");
    await other.keep();
    expect(existsSync(other.part)).toBe(true);
    rmSync(other.part);
  });

  test("a longer part of an earlier run leaves nothing in the file", async () => {
    const first = await Incoming.open({ folder, name: "a.txt", size: 100, key: KEY });
    await first.write(0, new Uint8Array(100).fill(65));
    await first.keep();
    await receive("a.txt", "abc", { key: KEY });
    expect(readFileSync(at("a.txt"), "utf8")).toBe("abc");
  });

  test("begun again: what came before is gone", async () => {
    const incoming = await Incoming.open({ folder, name: "a.txt", size: 5, key: KEY });
    await incoming.write(0, bytesOf("WRONG"));
    await incoming.restart();
    await incoming.write(0, bytesOf("abc"));
    await incoming.publish(false);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("abc");
  });

  test("begun again while something is still being written", async () => {
    const incoming = await Incoming.open({ folder, name: "a.txt", size: 4_000_000, key: KEY });
    const writing = incoming.write(0, new Uint8Array(4_000_000).fill(65));
    await incoming.restart();
    await writing;
    await incoming.write(0, bytesOf("abc"));
    await incoming.publish(false);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("abc");
  });
});

describe("Incoming: names from strangers", () => {
  const NAMES = [
    "../x",
    "../../../../etc/cron.d/x",
    "/etc/passwd",
    "..",
    ".",
    "...",
    "..\\x",
    "C:\\x",
    "C:x",
    "\\\\server\\share\\x",
    "a/b",
    "a\\b",
    "x:stream",
    "CON",
    "con",
    "nul.txt",
    "NUL .txt",
    "com1.tar.gz",
    "lpt¹",
    "conin$",
    "a.",
    "a ",
    "a. . .",
    " ",
    "-rf",
    "--to=x",
    ".bashrc",
    ".ft-0123.part",
    "a\nb",
    "\u001b[2J",
    "a\u0000b",
    "a\u202etxt.exe",
    "\u200b",
    "\ufeff",
    'a*?"<>|b',
    "x".repeat(255),
    `${"x".repeat(250)}.txt`,
    "漢".repeat(85),
    `${"e\u0301".repeat(80)}.txt`,
    "~",
    "$HOME",
  ];

  test("every one becomes one harmless name inside the folder", async () => {
    mkdirSync(at("in"));
    for (const name of NAMES) {
      const { path, outcome } = await receive(name, `content of ${name}`, { into: at("in") });
      expect([name, dirname(path)]).toEqual([name, at("in")]);
      const local = basename(path);
      expect([name, local]).toEqual([
        name,
        expect.not.stringMatching(/^[.\s-]|[.\s]$|[/\\:*?"<>|\u0000-\u001f\u007f-\u009f\u200b\u202e\ufeff]/),
      ]);
      expect([name, local]).toEqual([name, expect.not.stringMatching(/^(con|nul|com1|lpt¹|conin\$)\s*(\.|$)/i)]);
      expect(Buffer.byteLength(local)).toBeLessThanOrEqual(255);
      expect([name, outcome, readFileSync(path, "utf8")]).toEqual([name, "new", `content of ${name}`]);
    }
    expect(listing()).toEqual(["in"]);
    expect(listing(at("in"))).toHaveLength(NAMES.length);
  });

  test("the extension of a long name stays", async () => {
    const { path } = await receive(`${"x".repeat(250)}.pdf`, "a");
    expect(path).toEndWith(".pdf");
  });

  test("what is shown of them is harmless", async () => {
    for (const promise of [
      Incoming.open({ folder: at("none\u001b[2J"), name: "a\u001b[2J\u202e", size: 1, key: KEY }),
      Incoming.open({ folder, name: "a\u001b[2J\u202e", size: 2 ** 53 - 1, key: KEY }),
    ]) {
      expect((await failure(promise)).message).not.toMatch(/[\u0000-\u001f\u202e]/);
    }
  });
});

describe("Incoming: when the name is taken", () => {
  test("the same content is left as it is", async () => {
    writeFileSync(at("a.txt"), "same");
    const before = statSync(at("a.txt"));
    const published = await receive("a.txt", "same");
    expect(published).toMatchObject({ path: at("a.txt"), outcome: "already here" });
    const after = statSync(at("a.txt"));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(listing()).toEqual(["a.txt"]);
  });

  test("another content gets the next free number, and the old one is untouched", async () => {
    writeFileSync(at("a.txt"), "mine");
    expect(await receive("a.txt", "theirs")).toMatchObject({ path: at("a (1).txt"), outcome: "new" });
    expect(await receive("a.txt", "other!")).toMatchObject({ path: at("a (2).txt"), outcome: "new" });
    // The same once more is found under its number.
    expect(await receive("a.txt", "theirs")).toMatchObject({ path: at("a (1).txt"), outcome: "already here" });
    expect(await receive("a.txt", "mine")).toMatchObject({ path: at("a.txt"), outcome: "already here" });
    expect(listing().map((name) => [name, readFileSync(at(name), "utf8")])).toEqual([
      ["a (1).txt", "theirs"],
      ["a (2).txt", "other!"],
      ["a.txt", "mine"],
    ]);
  });

  test("same size, one byte different at the very end or beginning, is another content", async () => {
    const content = "x".repeat(3_000_000);
    writeFileSync(at("a"), `${content}a`);
    expect((await receive("a", `${content}b`)).path).toBe(at("a (1)"));
    expect((await receive("a", `b${content}`)).path).toBe(at("a (2)"));
    expect((await receive("a", `${content}a`)).outcome).toBe("already here");
  });

  test("a name without extension, or of an extension only", async () => {
    for (const name of ["Makefile", "_profile"]) writeFileSync(at(name), "mine");
    expect((await receive("Makefile", "theirs")).path).toBe(at("Makefile (1)"));
    expect((await receive(".profile", "theirs")).path).toBe(at("_profile (1)"));
  });

  test("a long name still has room for its number", async () => {
    const name = `${"x".repeat(251)}.txt`;
    const first = await receive(name, "one");
    const second = await receive(name, "two");
    expect(second.outcome).toBe("new");
    expect(second.path).not.toBe(first.path);
    expect(second.path).toMatch(/ \(1\)\.txt$/);
  });

  const TAKEN: [string, () => void][] = [
    [
      "a link to a file",
      () => {
        writeFileSync(at("precious"), "precious");
        symlinkSync(at("precious"), at("a.txt"));
      },
    ],
    [
      "a link to a file of the same content",
      () => {
        writeFileSync(at("precious"), "theirs");
        symlinkSync(at("precious"), at("a.txt"));
      },
    ],
    ["a dangling link", () => symlinkSync(at("victim"), at("a.txt"))],
    ["a link to a folder", () => symlinkSync(tmpdir(), at("a.txt"))],
    ["a link to itself", () => symlinkSync("a.txt", at("a.txt"))],
    ["a folder", () => mkdirSync(at("a.txt"))],
    ["a pipe", () => Bun.spawnSync(["mkfifo", at("a.txt")])],
  ];

  test.each(TAKEN)("%s is neither followed nor harmed nor waited for", async (_what, take) => {
    take();
    const before = lstatSync(at("a.txt"));
    expect(await receive("a.txt", "theirs")).toMatchObject({ path: at("a (1).txt"), outcome: "new" });
    const after = lstatSync(at("a.txt"));
    expect([after.ino, after.mode, after.mtimeMs]).toEqual([before.ino, before.mode, before.mtimeMs]);
    expect(existsSync(at("victim"))).toBe(false);
    if (existsSync(at("precious"))) expect(lstatSync(at("precious")).nlink).toBe(1);
    expect(readFileSync(at("a (1).txt"), "utf8")).toBe("theirs");
    // An empty file is not "already here" because a pipe has no size.
    expect((await receive("a.txt", "")).path).toBe(at("a (2).txt"));
  });

  test("a file that is not ours to read is not harmed", async () => {
    writeFileSync(at("a.txt"), "mine", { mode: 0o000 });
    const { path } = await receive("a.txt", "1234");
    expect(path).toBe(at("a (1).txt"));
    expect(statSync(at("a.txt")).size).toBe(4);
  });

  test("several at once with one name each get a name of their own", async () => {
    const contents = Array.from({ length: 6 }, (_, i) => `content ${i}`);
    const published = await Promise.all(contents.map((content) => receive("a.txt", content)));
    expect(new Set(published.map(({ path }) => path)).size).toBe(6);
    expect(published.map(({ path }) => readFileSync(path, "utf8"))).toEqual(contents);
    expect(listing()).toHaveLength(6);
  });

  describe("with overwrite", () => {
    const overwrite = true;

    test("a file is replaced, all at once; another name of the old one keeps it", async () => {
      writeFileSync(at("a.txt"), "old");
      linkSync(at("a.txt"), at("backup"));
      expect(await receive("a.txt", "new content", { overwrite })).toMatchObject({ path: at("a.txt"), outcome: "replaced" });
      expect(readFileSync(at("a.txt"), "utf8")).toBe("new content");
      expect(readFileSync(at("backup"), "utf8")).toBe("old");
      expect(listing()).toEqual(["a.txt", "backup"]);
    });

    test("a free name is simply taken", async () => {
      expect(await receive("a.txt", "x", { overwrite })).toMatchObject({ path: at("a.txt"), outcome: "new" });
    });

    test("a link is replaced, not what it points to", async () => {
      writeFileSync(at("precious"), "precious");
      symlinkSync(at("precious"), at("a.txt"));
      symlinkSync(at("victim"), at("b.txt"));
      await receive("a.txt", "theirs", { overwrite });
      await receive("b.txt", "theirs", { overwrite });
      expect(readFileSync(at("precious"), "utf8")).toBe("precious");
      expect(existsSync(at("victim"))).toBe(false);
      expect(lstatSync(at("a.txt")).isFile()).toBe(true);
      expect(lstatSync(at("b.txt")).isFile()).toBe(true);
    });

    test("a folder is never replaced", async () => {
      mkdirSync(at("a.txt"));
      writeFileSync(at("a.txt", "inner"), "inner");
      const { message } = await failure(receive("a.txt", "theirs", { overwrite }));
      expect(message).toMatch(/it is a folder/);
      expect(readFileSync(at("a.txt", "inner"), "utf8")).toBe("inner");
    });
  });
});

describe("Incoming: what lies in the way of a part file", () => {
  test("links of the part's and the lock's name are not followed", async () => {
    writeFileSync(at("precious"), "precious");
    const probe = await Incoming.open({ folder, name: "a.txt", size: 6, key: KEY });
    const names = listing().filter((name) => name.startsWith(".ft-"));
    await discard(probe);
    for (const name of names) symlinkSync(at("precious"), at(name));
    utimesSync(at("precious"), new Date(0), new Date(0));
    const { path } = await receive("a.txt", "theirs", { key: KEY });
    expect(readFileSync(path, "utf8")).toBe("theirs");
    expect(lstatSync(path).isFile()).toBe(true);
    expect(readFileSync(at("precious"), "utf8")).toBe("precious");
    expect(statSync(at("precious")).nlink).toBe(1);
  });

  test("a folder of the part's name is a sentence, and the lock is given back", async () => {
    const probe = await Incoming.open({ folder, name: "a.txt", size: 6, key: KEY });
    const { part } = probe;
    await discard(probe);
    mkdirSync(part);
    await failure(Incoming.open({ folder, name: "a.txt", size: 6, key: KEY }));
    expect(listing()).toEqual([basename(part)]);
    rmSync(part, { recursive: true });
    await receive("a.txt", "theirs", { key: KEY });
  });
});

describe("Incoming: going on from an earlier run", () => {
  const options = (more: { resume?: boolean; size?: number } = {}) => ({
    folder,
    name: "a.txt",
    size: 6,
    key: KEY,
    resume: true,
    ...more,
  });
  const PART = `.ft-${KEY}.part`;

  async function leaveBehind(text: string, size = 6): Promise<string> {
    const first = await Incoming.open(options({ resume: false, size }));
    await first.write(0, bytesOf(text));
    await first.keep();
    return first.part;
  }

  test("what arrived is there, and the rest is put to it", async () => {
    const part = await leaveBehind("the");
    const { ino } = statSync(part);
    const second = await Incoming.open(options());
    expect([second.part, second.present, fstatSync(second.fd).ino]).toEqual([part, 3, ino]);
    await second.write(3, bytesOf("irs"));
    expect(await second.publish(false)).toMatchObject({ path: at("a.txt"), outcome: "new" });
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
    expect(listing()).toEqual(["a.txt"]);
  });

  test("without it, the part is begun again, empty", async () => {
    await leaveBehind("the");
    for (const resume of [false, undefined]) {
      const again = await Incoming.open({
        folder,
        name: "a.txt",
        size: 6,
        key: KEY,
        ...(resume === undefined ? {} : { resume }),
      });
      expect(again.present).toBe(0);
      await again.write(0, bytesOf("x"));
      await again.keep();
    }
  });

  test("with nothing there, it begins", async () => {
    const incoming = await Incoming.open(options());
    expect(incoming.present).toBe(0);
    await incoming.write(0, bytesOf("theirs"));
    await incoming.publish(false);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
  });

  test("a part that is longer than the file is cut to it", async () => {
    await leaveBehind("theirs and much more", 20);
    const incoming = await Incoming.open(options());
    expect(incoming.present).toBe(6);
    const { path } = await incoming.publish(false);
    expect(readFileSync(path, "utf8")).toBe("theirs");
  });

  test("many times over, each run goes on from the one before", async () => {
    for (let i = 0; i < 6; i++) {
      const run = await Incoming.open(options());
      expect(run.present).toBe(i);
      await run.write(i, bytesOf("theirs".charAt(i)));
      await run.keep();
      expect(listing()).toEqual([PART]);
    }
    await (await Incoming.open(options())).publish(false);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
  });

  test("beginning again afterwards begins from nothing", async () => {
    await leaveBehind("the");
    const incoming = await Incoming.open(options());
    await incoming.restart();
    expect(incoming.present).toBe(0);
    await discard(incoming);
    expect(listing()).toEqual([]);
  });

  test("a link in its place is not followed: what it points to stays as it is, whatever it is", async () => {
    writeFileSync(at("precious"), "precious things");
    for (const target of [at("precious"), at("nowhere"), folder, PART]) {
      symlinkSync(target, at(PART));
      const incoming = await Incoming.open(options());
      expect([target, incoming.present, lstatSync(incoming.part).isFile()]).toEqual([target, 0, true]);
      await incoming.write(0, bytesOf("theirs"));
      await discard(incoming);
    }
    expect(readFileSync(at("precious"), "utf8")).toBe("precious things");
    expect(listing()).toEqual(["precious"]);
  });

  test("a second name of another file in its place is only a name: the file keeps its bytes", async () => {
    writeFileSync(at("precious"), "precious things");
    linkSync(at("precious"), at(PART));
    const incoming = await Incoming.open(options());
    expect(incoming.present).toBe(0);
    await incoming.write(0, bytesOf("theirs"));
    await incoming.publish(false);
    expect(readFileSync(at("precious"), "utf8")).toBe("precious things");
    expect(statSync(at("precious")).nlink).toBe(1);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
  });

  test.skipIf(process.platform === "win32")("a pipe in its place is not waited for", async () => {
    expect(Bun.spawnSync(["mkfifo", at(PART)]).exitCode).toBe(0);
    const incoming = await Incoming.open(options());
    expect([incoming.present, lstatSync(incoming.part).isFile()]).toEqual([0, true]);
    await discard(incoming);
  });

  test("a folder in its place is a sentence; what is in it stays, and the lock is given back", async () => {
    mkdirSync(at(PART));
    writeFileSync(at(PART, "precious"), "x");
    const { message } = await failure(Incoming.open(options()));
    expect(message).toContain('"a.txt"');
    expect([listing(), listing(at(PART))]).toEqual([[PART], ["precious"]]);
  });

  test("a second one at the same time does not touch what the first has", async () => {
    await leaveBehind("the");
    const first = await Incoming.open(options());
    expect((await failure(Incoming.open(options()))).code).toBe("already-fetching");
    expect((await failure(Incoming.open(options({ resume: false })))).code).toBe("already-fetching");
    expect(first.present).toBe(3);
    await discard(first);
  });

  test("has the size of what is there already in mind, not that twice", async () => {
    await leaveBehind("the");
    expect((await failure(Incoming.open(options({ size: 2 ** 50 })))).code).toBe("no-space");
    expect(readFileSync(at(PART), "utf8")).toBe("the");
  });
});

describe.skipIf(process.platform === "win32")("Incoming: a part file that others could have made, or could change", () => {
  const PART = `.ft-${KEY}.part`;
  const LOCK = `.ft-${KEY}.lock`;
  const options = (more: { resume?: boolean; size?: number; overwrite?: boolean } = {}) => {
    return { folder, name: "a.txt", size: 6, key: KEY, resume: true, ...more };
  };

  test("while it is fetched, only this user may read and write it; the finished file has the usual rights", async () => {
    const umask = process.umask();
    const incoming = await Incoming.open(options());
    expect(statSync(incoming.part).mode & 0o777).toBe(0o600);
    await incoming.write(0, bytesOf("theirs"));
    const { path } = await incoming.publish(false);
    expect(statSync(path).mode & 0o777).toBe(0o666 & ~umask);
  });

  test("one that others may write to is not used, and neither is what others had open", async () => {
    for (const mode of [0o666, 0o620, 0o602]) {
      writeFileSync(at(PART), "theirs");
      chmodSync(at(PART), mode);
      const open = openSync(at(PART), "r+");
      const incoming = await Incoming.open(options());
      expect([mode, incoming.present, statSync(incoming.part).mode & 0o777]).toEqual([mode, 0, 0o600]);
      await incoming.write(0, bytesOf("theirs"));
      writeSync(open, "XXXXXX", 0);
      closeSync(open);
      const { path } = await incoming.publish(false);
      expect(readFileSync(path, "utf8")).toBe("theirs");
      rmSync(path);
    }
  });

  test.skipIf(!hasOtherUser)("another user's is neither used nor touched: another name is taken, and found again", async () => {
    chmodSync(folder, 0o1777);
    asOther('printf theirs > "$1"; chmod 666 "$1"', at(PART));
    const { ino } = statSync(at(PART));
    const first = await Incoming.open(options());
    expect([first.foreign, first.part, first.present]).toEqual([at(PART), expect.not.stringContaining(PART), 0]);
    await first.write(0, bytesOf("the"));
    expect((await failure(Incoming.open(options()))).code).toBe("already-fetching");
    await first.keep();
    const second = await Incoming.open(options());
    expect([second.part, second.present]).toEqual([first.part, 3]);
    await second.write(3, bytesOf("irs"));
    const { path } = await second.publish(false);
    expect([statSync(path).uid, readFileSync(path, "utf8")]).toEqual([0, "theirs"]);
    expect([statSync(at(PART)).ino, readFileSync(at(PART), "utf8")]).toEqual([ino, "theirs"]);
    expect(listing()).toEqual([PART, "a.txt"]);
  });

  test.skipIf(!hasOtherUser)("another user's lock, link, folder or pipe of the name blocks nobody", async () => {
    chmodSync(folder, 0o1777);
    writeFileSync(at("precious"), "precious");
    const prepared = [
      ['echo $PPID > "$1"', LOCK],
      ['ln -s "$2" "$1"', PART],
      ['ln -s "$2" "$1"', LOCK],
      ['mkdir "$1"', PART],
      ['mkdir "$1"', LOCK],
      ['mkfifo "$1"', PART],
      ['mkfifo "$1"', LOCK],
    ] as const;
    for (const [command, name] of prepared) {
      asOther(command, at(name), at("precious"));
      const incoming = await Incoming.open(options());
      expect(incoming.foreign).toBe(at(name));
      await incoming.write(0, bytesOf("theirs"));
      const { path } = await incoming.publish(false);
      expect(readFileSync(path, "utf8")).toBe("theirs");
      expect(listing()).toEqual([name, "a.txt", "precious"]);
      rmSync(path);
      rmSync(at(name), { recursive: true });
    }
    expect(readFileSync(at("precious"), "utf8")).toBe("precious");
  });

  test.skipIf(!otherRunsSources)(
    "two users fetch the same file into one folder at once, each into a part of its own",
    async () => {
      chmodSync(folder, 0o1777);
      const ours = await Incoming.open(options());
      await ours.write(0, bytesOf("the"));
      const script = `
      const { Incoming } = await import(${JSON.stringify(STORE)});
      const incoming = await Incoming.open(${JSON.stringify({ ...options(), name: "b.txt" })});
      await incoming.write(0, new TextEncoder().encode("theirs"));
      await incoming.publish(false);`;
      scriptAsOther(script);
      expect([statSync(at("b.txt")).uid, readFileSync(at("b.txt"), "utf8")]).toEqual([OTHER, "theirs"]);
      await ours.write(3, bytesOf("irs"));
      await ours.publish(false);
      expect(listing()).toEqual(["a.txt", "b.txt"]);
    },
  );

  test("written to by another program: it is noticed, and what is not proven gets no name", async () => {
    const changes: ((path: string) => void)[] = [
      (path) => writeFileSync(path, "XXXXXX"),
      (path) => appendFileSync(path, "X"),
      (path) => truncateSync(path, 3),
      (path) => {
        const { atime, mtime } = statSync(path);
        writeFileSync(path, "XXXXXX");
        utimesSync(path, atime, mtime);
      },
    ];
    for (const change of changes) {
      const incoming = await Incoming.open(options());
      await incoming.write(0, bytesOf("theirs"));
      expect(incoming.changedByOthers).toBe(false);
      await nextTick();
      change(incoming.part);
      expect(incoming.changedByOthers).toBe(true);
      expect((await failure(incoming.publish(false))).code).toBe("part-changed");
      expect(listing()).toEqual([PART]);
    }
  });

  test("written to between two of our writes: it is noticed, until its bytes are checked again", async () => {
    const incoming = await Incoming.open(options());
    await incoming.write(0, bytesOf("the"));
    await nextTick();
    writeFileSync(incoming.part, "XXX");
    await incoming.write(3, bytesOf("irs"));
    expect(incoming.changedByOthers).toBe(true);
    incoming.trust();
    expect(incoming.changedByOthers).toBe(false);
    await discard(incoming);
  });

  test("removed, or replaced, or gone with its folder: the next write says so", async () => {
    const replace = (path: string, put: () => void) => {
      renameSync(path, at("moved"));
      put();
    };
    const lost: [string, (path: string) => void][] = [
      ["part-gone", (path) => unlinkSync(path)],
      ["part-gone", (path) => rmSync(dirname(path), { recursive: true })],
      ["part-replaced", (path) => replace(path, () => writeFileSync(path, ""))],
      ["part-replaced", (path) => replace(path, () => symlinkSync(at("moved"), path))],
    ];
    for (const [code, lose] of lost) {
      mkdirSync(at("in"), { recursive: true });
      const incoming = await Incoming.open({ ...options(), folder: at("in") });
      await incoming.write(0, bytesOf("the"));
      lose(incoming.part);
      expect((await failure(incoming.write(3, bytesOf("irs")))).code).toBe(code);
      await incoming.keep();
      rmSync(at("in"), { recursive: true, force: true });
    }
  });

  test("swapped for another file at the end: that one does not get the name", async () => {
    writeFileSync(at("precious"), "precious");
    for (const overwrite of [false, true]) {
      const incoming = await Incoming.open(options({ overwrite }));
      await incoming.write(0, bytesOf("theirs"));
      renameSync(incoming.part, at("moved"));
      linkSync(at("precious"), incoming.part);
      expect((await failure(incoming.publish(overwrite))).code).toBe("part-replaced");
      expect(existsSync(at("a.txt"))).toBe(false);
    }
  });

  test("what was published is told by the entry of that very file", async () => {
    for (const [overwrite, outcome] of [
      [false, "new"],
      [false, "already here"],
      [true, "replaced"],
    ] as const) {
      const incoming = await Incoming.open(options({ resume: false }));
      await incoming.write(0, bytesOf("theirs"));
      const published = await incoming.publish(overwrite);
      expect(published.outcome).toBe(outcome);
      const { dev, ino, size, mtimeNs, ctimeNs } = lstatSync(published.path, { bigint: true });
      expect(published.entry).toMatchObject({ dev, ino, size, mtimeNs, ctimeNs });
    }
  });
});

describe("Incoming: what a folder does not take is said before the first byte", () => {
  test("a folder of the file's name, when it is to be replaced", async () => {
    mkdirSync(at("a.txt"));
    const asked = { folder, name: "a.txt", size: 3, key: KEY };
    const { code, message } = await failure(Incoming.open({ ...asked, overwrite: true }));
    expect([code, message]).toEqual(["is-folder", `Cannot replace "${at("a.txt")}": it is a folder.`]);
    expect(listing()).toEqual(["a.txt"]);
    await discard(await Incoming.open(asked));
  });

  test.skipIf(process.platform === "win32")("a file above the limit on the size of files", async () => {
    const script = `
      const { Incoming } = await import(${JSON.stringify(STORE)});
      for (const size of [400_000, 600_000]) {
        await Incoming.open({ folder: process.argv.at(-1), name: "a.txt", size, key: "k" + size }).then(
          (incoming) => (console.log("it opened", incoming.present), incoming.keep()),
          (error) => console.log(error.code, error.message),
        );
      }`;
    // 1,000 blocks of 512 bytes.
    mkdirSync(at("in"));
    const { stdout } = Bun.spawnSync([
      "sh",
      "-c",
      'ulimit -f 1000; exec "$0" -e "$1" "$2"',
      process.execPath,
      script,
      at("in"),
    ]);
    const words = `Cannot fetch "a.txt": files of 600 kB are not allowed in "${at("in")}".`;
    expect(stdout.toString()).toBe(`it opened 0\nEFBIG ${words}\n`);
    expect(listing(at("in"))).toEqual([]);
  });
});

describe("Incoming: reading what has arrived", () => {
  const options = () => ({ folder, name: "a.txt", size: 6, key: KEY });
  const read = async (reader: { read(into: Uint8Array, at: number): Promise<number> }, at: number, length: number) => {
    const into = new Uint8Array(length);
    return Buffer.from(into.subarray(0, await reader.read(into, at))).toString();
  };

  test("goes on after the file has its name, or the fetch stops", async () => {
    for (const end of ["publish", "keep"] as const) {
      const incoming = await Incoming.open({ ...options(), name: `${end}.txt` });
      await incoming.write(0, bytesOf("theirs"));
      const reader = incoming.openForReading();
      expect(await read(reader, 2, 3)).toBe("eir");
      if (end === "publish") await incoming.publish(false);
      else await incoming[end]();
      expect(await read(reader, 0, 99)).toBe("theirs");
      reader.close();
    }
  });

  test("what has its name but is not it is not read", async () => {
    const incoming = await Incoming.open(options());
    writeFileSync(at("secret"), "secret");
    for (const put of [
      () => symlinkSync(at("secret"), incoming.part),
      () => linkSync(at("secret"), incoming.part),
      () => writeFileSync(incoming.part, "other"),
      () => undefined,
    ]) {
      unlinkSync(incoming.part);
      put();
      let refused: unknown;
      try {
        incoming.openForReading();
      } catch (error) {
        refused = error;
      }
      expect(refused).toBeInstanceOf(FtError);
      if (!existsSync(incoming.part)) writeFileSync(incoming.part, "");
    }
    await incoming.keep();
    expect(readFileSync(at("secret"), "utf8")).toBe("secret");
  });
});

describe("Incoming: the same file twice at once", () => {
  const options = () => ({ folder, name: "a.txt", size: 6, key: KEY });

  test("the second one in this process is told so, and harms nothing", async () => {
    const first = await Incoming.open(options());
    await first.write(0, bytesOf("the"));
    const { code, message } = await failure(Incoming.open(options()));
    expect(code).toBe("already-fetching");
    expect(message).toContain('"a.txt"');
    await first.write(3, bytesOf("irs"));
    await first.publish(false);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
    // And afterwards it may.
    await discard(await Incoming.open(options()));
  });

  test("the second one is told so although it calls the folder by another name", async () => {
    mkdirSync(at("real"));
    symlinkSync(at("real"), at("link"));
    const first = await Incoming.open({ ...options(), folder: at("real") });
    await first.write(0, bytesOf("the"));
    const second = await Incoming.open({ ...options(), folder: at("link") }).catch((error: unknown) => error);
    await first.write(3, bytesOf("irs"));
    const published = await first.publish(false).catch((error: unknown) => error);
    if (second instanceof Incoming) await discard(second);
    // Whoever of the two gives in: what has the name is whole.
    for (const name of listing(at("real"))) expect([name, readFileSync(at("real", name), "utf8")]).toEqual(["a.txt", "theirs"]);
    expect(second).toBeInstanceOf(FtError);
    expect(published).toMatchObject({ outcome: "new" });
  });

  test("other files, and the same one into another folder, are not held up", async () => {
    mkdirSync(at("other"));
    const open = await Promise.all([
      Incoming.open(options()),
      Incoming.open({ ...options(), key: "f".repeat(32) }),
      Incoming.open({ ...options(), folder: at("other") }),
    ]);
    for (const incoming of open) await discard(incoming);
    expect(listing()).toEqual(["other"]);
  });

  /** Another process that has begun to fetch the same file; it is ended with the test. */
  async function another(): Promise<{ pid: number; kill(): Promise<void> }> {
    const script = `
      const { Incoming } = await import(${JSON.stringify(STORE)});
      const incoming = await Incoming.open(${JSON.stringify(options())});
      await incoming.write(0, new TextEncoder().encode("XX"));
      console.log("open");
      setInterval(() => {}, 1000);
    `;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("open\n");
    return {
      pid: child.pid,
      kill: async () => {
        child.kill("SIGKILL");
        await child.exited;
      },
    };
  }

  test("across processes: told so while the other one lives; after kill -9 taken over at once", async () => {
    const other = await another();
    try {
      const { code } = await failure(Incoming.open(options()));
      expect(code).toBe("already-fetching");
      expect(listing()).toHaveLength(2);
    } finally {
      await other.kill();
    }
    expect(listing()).toHaveLength(2);
    await receive("a.txt", "theirs", { key: KEY });
    expect(readFileSync(at("a.txt"), "utf8")).toBe("theirs");
    expect(listing()).toEqual(["a.txt"]);
  });

  test("one that was stopped so long that another took over never publishes the other's unfinished file", async () => {
    const sleeper = await Incoming.open(options());
    const long = new Date(Date.now() - 3_600_000);
    for (const name of listing()) utimesSync(at(name), long, long);
    const other = await another();
    try {
      expect((await failure(sleeper.write(0, bytesOf("theirs")))).code).toBe("taken-over");
      const published: Published | FtError = await sleeper.publish(false).catch((error: FtError) => error);
      const whole = listing().filter((name) => !name.startsWith("."));
      expect(whole.map((name) => readFileSync(at(name), "utf8"))).toEqual(published instanceof FtError ? [] : ["theirs"]);
    } finally {
      await other.kill();
    }
  });

  test.each(["publish", "keep"] as const)(
    "one that lost its part to another takes neither the other's part nor its lock with it (%s)",
    async (how) => {
      const sleeper = await Incoming.open(options());
      const long = new Date(Date.now() - 3_600_000);
      for (const name of listing()) utimesSync(at(name), long, long);
      const other = await another();
      try {
        const before = listing();
        expect((await failure(sleeper.write(0, bytesOf("theirs")))).code).toBe("taken-over");
        await (how === "publish" ? sleeper.publish(false) : sleeper[how]()).catch(() => undefined);
        expect(listing()).toEqual(before);
        expect(readFileSync(sleeper.part, "utf8")).toBe("XX");
        expect((await failure(Incoming.open(options()))).code).toBe("already-fetching");
      } finally {
        await other.kill();
      }
    },
  );

  test("a pipe in the lock's place is not waited for", async () => {
    const probe = await Incoming.open(options());
    const [lock = ""] = listing().filter((name) => at(name) !== probe.part);
    await discard(probe);
    Bun.spawnSync(["mkfifo", at(lock)]);
    const script = `
      const { Incoming } = await import(${JSON.stringify(STORE)});
      await Incoming.open(${JSON.stringify(options())}).then((incoming) => incoming.keep(), () => undefined);
      console.log("went on");
    `;
    // In a process of its own: what waits for a pipe cannot be interrupted.
    const { stdout } = Bun.spawnSync([process.execPath, "-e", script], { timeout: 50_000 });
    expect(stdout.toString()).toBe("went on\n");
  });

  test.each([
    ["of a process that is no more", () => String(deadPid()), 0],
    ["with rubbish in it", () => "\u0000rubbish", 0],
    ["with nothing in it", () => "", 0],
    ["of an earlier process with our own number", () => String(process.pid), 0],
    ["that has not been refreshed for an hour, its number taken by another process", () => String(process.ppid), 3_600],
  ])("a lock %s does not count", async (_what, content, age) => {
    const probe = await Incoming.open(options());
    const [lock = ""] = listing().filter((name) => at(name) !== probe.part);
    await discard(probe);
    writeFileSync(at(lock), content());
    const then = new Date(Date.now() - age * 1000);
    utimesSync(at(lock), then, then);
    await receive("a.txt", "theirs", { key: KEY });
    expect(listing()).toEqual(["a.txt"]);
  });

  test("a fresh lock of a living process counts", async () => {
    const probe = await Incoming.open(options());
    const [lock = ""] = listing().filter((name) => at(name) !== probe.part);
    await discard(probe);
    writeFileSync(at(lock), String(process.ppid));
    expect((await failure(Incoming.open(options()))).code).toBe("already-fetching");
    expect(listing()).toEqual([lock]);
  });

  function deadPid(): number {
    const child = Bun.spawnSync([process.execPath, "-e", ""]);
    return child.pid;
  }
});

describe("Incoming: folders that will not do", () => {
  test("one that is not there, or is a file, is said before anything is made", async () => {
    writeFileSync(at("file"), "x");
    for (const path of [at("none"), at("file"), at("file", "x"), at("none", "deeper")]) {
      for (const promise of [
        Promise.try(() => checkFolder(path)),
        Incoming.open({ folder: path, name: "a.txt", size: 0, key: KEY }),
      ]) {
        expect((await failure(promise)).message).toContain(path);
      }
    }
    expect(listing()).toEqual(["file"]);
  });

  test.each([2 ** 53 - 1, 2 ** 50, 10 ** 15])("a file of %d bytes is refused before the first byte", async (size) => {
    const { code, message } = await failure(Incoming.open({ folder, name: "huge.bin", size, key: KEY }));
    expect(code).toBe("no-space");
    expect(message).toContain('"huge.bin"');
    expect(message).toMatch(/it needs .*[TP]B, and .* free/);
    expect(listing()).toEqual([]);
  });

  test("a folder that vanishes meanwhile is a sentence", async () => {
    mkdirSync(at("gone"));
    const incoming = await Incoming.open({ folder: at("gone"), name: "a.txt", size: 1, key: KEY });
    await incoming.write(0, bytesOf("x"));
    rmSync(at("gone"), { recursive: true });
    expect((await failure(incoming.publish(false))).message).toContain(at("gone"));
    expect(listing()).toEqual([]);
  });

  test("a folder that became a link to another meanwhile: the file that is there is not harmed", async () => {
    mkdirSync(at("in"));
    mkdirSync(at("elsewhere"));
    writeFileSync(at("elsewhere", "a.txt"), "precious");
    const incoming = await Incoming.open({ folder: at("in"), name: "a.txt", size: 1, key: KEY });
    await incoming.write(0, bytesOf("x"));
    renameSync(at("in"), at("moved"));
    symlinkSync(at("elsewhere"), at("in"));
    await incoming.publish(false).catch(() => undefined);
    expect(readFileSync(at("elsewhere", "a.txt"), "utf8")).toBe("precious");
  });

  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const isRoot = process.getuid?.() === 0;
  const importStore = `const { Incoming } = await import(${JSON.stringify(STORE)}); const { checkFolder } = await import(${JSON.stringify(TARGET)});`;
  const canDrop =
    !isRoot || (Bun.which("setpriv") !== null && Bun.spawnSync([...asNobody, process.execPath, "-e", importStore]).success);
  if (!canDrop) console.log("skipped: a folder that may not be written; this is root and cannot become somebody else");

  test.skipIf(!canDrop)("one that may not be written is said at the start, with what to do", async () => {
    mkdirSync(at("shut"));
    chmodSync(at("shut"), 0o555);
    chmodSync(folder, 0o755);
    const script = `${importStore}
      await Incoming.open(${JSON.stringify({ folder: at("shut"), name: "a.txt", size: 3, key: KEY })}).then(
        () => console.log("it opened"), (error) => console.log(error.message));`;
    const { stdout } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
    expect(stdout.toString().trim()).toBe(
      `Cannot save into "${at("shut")}": you may not write there. Choose another folder with --to.`,
    );
    expect(listing(at("shut"))).toEqual([]);
  });

  test.skipIf(!canDrop)(
    "a part of an earlier run that may not be written any more is said so, and stays as it is",
    async () => {
      mkdirSync(at("open"));
      chmodSync(folder, 0o755);
      chmodSync(at("open"), 0o777);
      const part = at("open", `.ft-${KEY}.part`);
      writeFileSync(part, "precious");
      chmodSync(part, 0o444);
      if (isRoot) chownSync(part, 65_534, 65_534);
      const script = `${importStore}
      const options = ${JSON.stringify({ folder: at("open"), name: "a.txt", size: 3, key: KEY, resume: true })};
      await Incoming.open(options).then(() => console.log("it opened"), (error) => console.log(error.message));`;
      const { stdout } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
      expect(stdout.toString()).toStartWith(`Cannot save into "${at("open")}": you may not write there.`);
      expect(readFileSync(part, "utf8")).toBe("precious");
      expect(listing(at("open"))).toEqual([basename(part)]);
    },
  );

  test.skipIf(!canDrop)(
    "a file of the same name that may not be read is another file: it stays, and ours is put beside it",
    async () => {
      mkdirSync(at("open"));
      chmodSync(folder, 0o755);
      chmodSync(at("open"), 0o777);
      writeFileSync(at("open", "a.txt"), "XXX");
      chmodSync(at("open", "a.txt"), 0o000);
      const script = `${importStore}
      const incoming = await Incoming.open(${JSON.stringify({ folder: at("open"), name: "a.txt", size: 3, key: KEY })});
      await incoming.write(0, new TextEncoder().encode("XXX"));
      console.log((await incoming.publish(false)).path);`;
      const { stdout } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
      expect(stdout.toString().trim()).toBe(at("open", "a (1).txt"));
      expect(listing(at("open"))).toEqual(["a (1).txt", "a.txt"]);
      expect([statSync(at("open", "a.txt")).size, statSync(at("open", "a.txt")).mode & 0o777]).toEqual([3, 0]);
    },
  );

  const disk = (options: string, script: string) => [
    "unshare",
    "--mount",
    "sh",
    "-c",
    `mount -t tmpfs -o ${options} tmpfs "$1" && exec "$2" -e "$3"`,
    "sh",
    folder,
    process.execPath,
    script,
  ];
  const probe = mkdtempSync(join(tmpdir(), "ft-store-"));
  const canMount =
    Bun.which("unshare") !== null &&
    Bun.spawnSync(["unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", probe]).success;
  rmSync(probe, { recursive: true });
  if (!canMount) console.log("skipped: a full disk and a read-only one; nothing may be mounted here");

  /** Runs a script where the test's folder is a small disk of its own; gives what it printed as JSON. */
  function onDisk(options: string, script: string): unknown {
    const { stdout, stderr } = Bun.spawnSync(disk(options, script));
    expect(stderr.toString()).toBe("");
    return JSON.parse(stdout.toString());
  }

  test.skipIf(!canMount)(
    "a disk that fills up: the sentence names folder and need, the part is kept, nothing has the name",
    () => {
      const seen = onDisk(
        "size=4m",
        `${importStore}
      const { writeFileSync, readdirSync, unlinkSync } = await import("node:fs");
      const folder = ${JSON.stringify(folder)};
      const options = { folder, name: "big.bin", size: 3000000, key: "${KEY}" };
      const sentence = (promise) => promise.then(() => "no error", (error) => error.message);
      const incoming = await Incoming.open(options);
      const piece = new Uint8Array(1000000).fill(7);
      await incoming.write(0, piece);
      writeFileSync(folder + "/other", new Uint8Array(2500000));
      const write = await sentence(incoming.write(1000000, piece));
      // Room comes back, but what could not be written is missing all the same.
      unlinkSync(folder + "/other");
      const next = await sentence(incoming.write(2000000, piece));
      const publish = await sentence(incoming.publish(false));
      writeFileSync(folder + "/other", new Uint8Array(2000000));
      const left = readdirSync(folder).sort();
      const again = await sentence(Incoming.open(options));
      console.log(JSON.stringify({ write, next, publish, left, again }));`,
      ) as { write: string; next: string; publish: string; left: string[]; again: string };
      expect(seen.write).toContain(`the disk of "${folder}" is full`);
      expect(seen.write).toContain('"big.bin"');
      expect(seen.write).toContain("3.0 MB");
      expect(seen.next).toBe(seen.write);
      expect(seen.publish).toBe(seen.write);
      expect(seen.left.filter((name) => name.endsWith(".part"))).toHaveLength(1);
      expect(seen.left.filter((name) => !name.startsWith("."))).toEqual(["other"]);
      expect(seen.again).toMatch(/it needs 3\.0 MB, and .* free/);
    },
  );

  test.skipIf(!canMount)("what a kept part takes up counts as room for the same file", () => {
    const seen = onDisk(
      "size=4m",
      `${importStore}
      const { readdirSync } = await import("node:fs");
      const options = { folder: ${JSON.stringify(folder)}, name: "big.bin", size: 3000000, key: "${KEY}" };
      const piece = new Uint8Array(1000000).fill(7);
      const first = await Incoming.open(options);
      for (const at of [0, 1000000]) await first.write(at, piece);
      await first.keep();
      const second = await Incoming.open(options).catch((error) => error.message);
      if (typeof second === "string") console.log(JSON.stringify(second));
      else {
        for (const at of [0, 1000000, 2000000]) await second.write(at, piece);
        await second.publish(false);
        console.log(JSON.stringify(readdirSync(options.folder)));
      }`,
    );
    expect(seen).toEqual(["big.bin"]);
  });

  test.skipIf(!canMount)("a read-only disk is said at the start", () => {
    const seen = onDisk(
      "size=1m,ro",
      `${importStore}
      const options = { folder: ${JSON.stringify(folder)}, name: "a.txt", size: 3, key: "${KEY}" };
      console.log(JSON.stringify(await Incoming.open(options).then(() => "no error", (error) => error.message)));`,
    );
    expect(seen).toBe(`Cannot save into "${folder}": it is read-only. Choose another folder with --to.`);
  });
});

describe("Incoming: trying whether a folder can be saved into", () => {
  test("leaves nothing behind, and touches nothing that is there", () => {
    writeFileSync(at("a.txt"), "precious");
    symlinkSync(at("nowhere"), at("link"));
    for (let i = 0; i < 20; i++) tryFolder(folder);
    expect(listing()).toEqual(["a.txt", "link"]);
    expect(readFileSync(at("a.txt"), "utf8")).toBe("precious");
  });

  test("one that is a link to a folder will do", () => {
    mkdirSync(at("real"));
    symlinkSync(at("real"), at("link"));
    tryFolder(at("link"));
    expect(readdirSync(at("real"))).toEqual([]);
  });

  test("one that is not there, or is a file, is a sentence with its name, and is not made", async () => {
    writeFileSync(at("file"), "x");
    for (const path of [at("none"), at("file"), at("file", "x"), at("none", "deeper")]) {
      const { message } = await failure(Promise.try(() => tryFolder(path)));
      expect(message).toContain(path);
      expect(message).toMatch(/\.$/);
    }
    expect(listing()).toEqual(["file"]);
  });

  test("whatever a folder is called, the sentence is harmless", async () => {
    const { message } = await failure(Promise.try(() => tryFolder(at("a\u001b[2J\u202eb"))));
    expect(message).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(message).toContain("\\x1b[2J");
  });

  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const isRoot = process.getuid?.() === 0;
  const importStore = `const { tryFolder } = await import(${JSON.stringify(TARGET)});`;
  const canDrop =
    !isRoot || (Bun.which("setpriv") !== null && Bun.spawnSync([...asNobody, process.execPath, "-e", importStore]).success);
  if (!canDrop) console.log("skipped: trying a folder that may not be written; this is root and cannot become somebody else");

  test.skipIf(!canDrop)("one that may not be written is said, with what to do", () => {
    mkdirSync(at("shut"));
    chmodSync(at("shut"), 0o555);
    chmodSync(folder, 0o755);
    const script = `${importStore}
      try { tryFolder(${JSON.stringify(at("shut"))}); } catch (error) { console.log(JSON.stringify([error.code, error.message])); }`;
    const { stdout, stderr } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
    chmodSync(at("shut"), 0o755);
    expect([stdout.toString().trim(), stderr.toString()]).toEqual([
      JSON.stringify(["EACCES", `Cannot save into "${at("shut")}": you may not write there. Choose another folder with --to.`]),
      "",
    ]);
    expect(readdirSync(at("shut"))).toEqual([]);
  });

  const canMount = process.platform === "linux" && isRoot && Bun.spawnSync(["unshare", "-m", "true"]).success;
  if (!canMount) console.log("skipped: trying read-only and full folders; this system lets nobody mount one here");

  test.skipIf(!canMount)("one on a read-only disk is said to be that", () => {
    mkdirSync(at("disk"));
    const script = `${importStore}
      try { tryFolder(${JSON.stringify(at("disk"))}); } catch (error) { console.log(JSON.stringify([error.code, error.message])); }`;
    const mounted = 'mount -t tmpfs -o ro tmpfs "$1" && exec "$2" -e "$3"';
    const { stdout } = Bun.spawnSync(["unshare", "-m", "sh", "-c", mounted, "sh", at("disk"), process.execPath, script]);
    expect(stdout.toString().trim()).toBe(
      JSON.stringify(["EROFS", `Cannot save into "${at("disk")}": it is read-only. Choose another folder with --to.`]),
    );
  });
});

describe("Incoming: what is here already", () => {
  test("only a plain file of exactly the safe name counts", () => {
    writeFileSync(at("a.txt"), "12345");
    writeFileSync(at("_hidden"), "1");
    symlinkSync(at("a.txt"), at("link"));
    mkdirSync(at("folder"));
    expect(lookForTargets(folder, "a.txt", 5)).toEqual([at("a.txt")]);
    expect(lookForTargets(folder, ".hidden", 1)).toEqual([at("_hidden")]);
    for (const name of ["link", "folder", "none", "../a.txt"]) expect(lookForTargets(folder, name, 5)).toEqual([]);
  });

  test("a file of that size with a number behind the name counts, too", () => {
    for (const name of ["a (1).txt", "a (x).txt", "a (1).bin", "a (12).txt", "b (1).txt", "a"])
      writeFileSync(at(name), "12345");
    writeFileSync(at("a (2).txt"), "123");
    symlinkSync(at("a"), at("a (3).txt"));
    expect(lookForTargets(folder, "a.txt", 5)).toEqual([at("a (1).txt"), at("a (12).txt")]);
    writeFileSync(at("a (1)"), "12345");
    expect(lookForTargets(folder, "a", 5)).toEqual([at("a"), at("a (1)")]);
  });

  test("files of that size with any other name count: all with the date of the record, and a few others", () => {
    const modified = new Date("2026-11-20T10:00:00Z");
    for (const name of ["b", "c", "d", "e", "f", "z"]) writeFileSync(at(name), "12345");
    for (const name of ["a.txt", "a (1).txt", ".hidden"]) writeFileSync(at(name), "12345");
    writeFileSync(at("longer"), "123456");
    symlinkSync(at("b"), at("link"));
    utimesSync(at("z"), modified, modified);
    const others = lookForRenamed(folder, "a.txt", 5, modified);
    expect([others[0], others.length]).toEqual([at("z"), 5]);
    expect(others.every((path) => ["b", "c", "d", "e", "f", "z"].includes(basename(path)))).toBe(true);
    expect(lookForRenamed(folder, "a.txt", 5, undefined)).toHaveLength(4);
    writeFileSync(at("empty"), "");
    expect(lookForRenamed(folder, "a.txt", 0, undefined)).toEqual([]);
  });

  test("a file is opened to be hashed; a link is not, and a pipe is not waited for", () => {
    writeFileSync(at("a.txt"), "12345");
    symlinkSync(at("a.txt"), at("link"));
    Bun.spawnSync(["mkfifo", at("pipe")]);
    const file = openForHashing(at("a.txt"));
    expect(file?.size).toBe(5);
    file?.close();
    for (const name of ["link", "nothing"]) expect(openForHashing(at(name))).toBeUndefined();
    openForHashing(at("pipe"))?.close();
    expect(readlinkSync(at("link"))).toBe(at("a.txt"));
    unlinkSync(at("pipe"));
  });

  test("keys for files without a content id tell what is different apart", () => {
    const keys = [
      partKeyOf("a", 1, "1.2.3.4:5"),
      partKeyOf("a", 11, ".2.3.4:5"),
      partKeyOf("a1", "", "1.2.3.4:5"),
      partKeyOf("b", 1, "1.2.3.4:5"),
    ];
    expect(new Set(keys).size).toBe(4);
    expect(partKeyOf("a", 1, "1.2.3.4:5")).toBe(keys[0] ?? "");
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe("Incoming: a bad place on the disk", () => {
  test("a write or a sync that failed: a part file elsewhere keeps what is right, and goes on", async () => {
    const real = { ...(await import("node:fs")) };
    const broken = (...words: unknown[]) =>
      (words.at(-1) as (error: Error) => void)(Object.assign(new Error("EIO"), { code: "EIO" }));
    for (const call of ["write", "fsync"]) {
      const incoming = await Incoming.open({ folder, name: `${call}.txt`, size: 6, key: KEY });
      await incoming.write(0, Buffer.from("abc"));
      await mock.module("node:fs", () => ({ ...real, [call]: broken }));
      const failed = call === "write" ? incoming.write(3, Buffer.from("def")) : incoming.flush();
      const error = await failed.catch((reason: unknown) => reason);
      await mock.module("node:fs", () => real);
      expect(error).toMatchObject({ code: "EIO" });
      await incoming.moveElsewhere();
      await incoming.write(3, Buffer.from("def"));
      await incoming.publish(false);
      expect(readFileSync(at(`${call}.txt`), "utf8")).toBe("abcdef");
    }
    expect(listing(folder)).toEqual(["fsync.txt", "write.txt"]);
  });

  test("a disk that takes no file any more: a sentence, not the system's words", async () => {
    const real = { ...(await import("node:fs")) };
    const incoming = await Incoming.open({ folder, name: "a.txt", size: 6, key: KEY });
    await incoming.write(0, Buffer.from("abc"));
    const openSync = () => {
      throw Object.assign(new Error("EIO: i/o error, open"), { code: "EIO" });
    };
    await mock.module("node:fs", () => ({ ...real, openSync }));
    const error = await failure(incoming.moveElsewhere());
    await mock.module("node:fs", () => real);
    expect(error.message).toStartWith(
      `Cannot fetch "a.txt": the disk of "${folder}" reports an error when it is written (EIO).`,
    );
    await incoming.keep();
    expect(listing(folder)).toEqual([`.ft-${KEY}.part`]);
  });
});

describe("Incoming: a disk without hard links", () => {
  // Windows says EISDIR of exFAT and FAT, other systems and network drives have other codes.
  test.each(["EPERM", "EISDIR", "ENOTSUP", "EIO", "EACCES", "EXDEV"])("which says %s: the file gets its name", async (code) => {
    const real = { ...(await import("node:fs/promises")) };
    const link = () => Promise.reject(Object.assign(new Error(code), { code }));
    await mock.module("node:fs/promises", () => ({ ...real, link }));
    try {
      writeFileSync(at("a.txt"), "precious");
      const incoming = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
      await incoming.write(0, Buffer.from("new"));
      expect(await incoming.publish(false)).toMatchObject({ path: at("a (1).txt"), outcome: "new" });
    } finally {
      await mock.module("node:fs/promises", () => real);
    }
    expect(readFileSync(at("a.txt"), "utf8")).toBe("precious");
    expect(readFileSync(at("a (1).txt"), "utf8")).toBe("new");
    expect(listing(folder)).toEqual(["a (1).txt", "a.txt"]);
  });
});

describe("Incoming: a file system with unusual answers", () => {
  /** Runs this with other answers of the system. */
  async function withDisk(changed: object, act: () => Promise<void>): Promise<void> {
    const real = { ...(await import("node:fs/promises")) };
    await mock.module("node:fs/promises", () => ({ ...real, ...changed }));
    try {
      await act();
    } finally {
      await mock.module("node:fs/promises", () => real);
    }
  }
  const disk = (type: number) => ({ statfs: async () => ({ type, blocks: 0, bavail: 0, bsize: 0 }) });

  test("on a FAT disk a file above 4 GiB is refused before the first byte", async () => {
    await withDisk(disk(0x4d44), async () => {
      const { code, message } = await failure(Incoming.open({ folder, name: "a.iso", size: 2 ** 32, key: KEY }));
      expect([code, message]).toEqual(["EFBIG", `Cannot fetch "a.iso": files of 4.3 GB are not allowed in "${folder}".`]);
      await discard(await Incoming.open({ folder, name: "a.iso", size: 2 ** 32 - 1, key: KEY }));
    });
  });

  test("where a longer file is filled with zeros, it is not made longer", async () => {
    // FUSE, exFAT, FAT, SMB, and one that does not say what it is.
    for (const type of [0x65735546, 0x2011bab0, 0x4d44, 0xfe534d42, 99]) {
      await withDisk(disk(type), async () => {
        const incoming = await Incoming.open({ folder, name: "a.iso", size: 2 ** 30, key: KEY });
        await incoming.write(0, Buffer.from("first"));
        expect(incoming.present).toBe(5);
        await discard(incoming);
      });
    }
  });

  test("a disk that can neither link nor rename leaves no empty file of the name", async () => {
    const refuse = () => Promise.reject(Object.assign(new Error("EROFS"), { code: "EROFS" }));
    await withDisk({ link: refuse, rename: refuse }, async () => {
      const incoming = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
      await incoming.write(0, Buffer.from("new"));
      expect((await failure(incoming.publish(false))).code).toBe("EROFS");
    });
    expect(listing(folder)).toEqual([`.ft-${KEY}.part`]);
  });

  test.each([false, true])(
    "a rename that another program prevents for a moment is tried again (overwrite: %p)",
    async (overwrite) => {
      const { rename } = await import("node:fs/promises");
      const refuse = () => Promise.reject(Object.assign(new Error("EBUSY"), { code: "EBUSY" }));
      let tries = 0;
      await withDisk(
        { link: refuse, rename: (from: string, to: string) => (++tries < 3 ? refuse() : rename(from, to)) },
        async () => {
          const incoming = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
          await incoming.write(0, Buffer.from("new"));
          expect(await incoming.publish(overwrite)).toMatchObject({ path: at("a.txt"), outcome: "new" });
        },
      );
      expect([tries, listing(folder)]).toEqual([3, ["a.txt"]]);
    },
  );

  test("a link with another inode number is the same file when its bytes are", async () => {
    const { copyFile } = await import("node:fs/promises");
    await withDisk({ link: (from: string, to: string) => copyFile(from, to, constants.COPYFILE_EXCL) }, async () => {
      const incoming = await Incoming.open({ folder, name: "a.txt", size: 3, key: KEY });
      await incoming.write(0, Buffer.from("new"));
      expect(await incoming.publish(false)).toMatchObject({ path: at("a.txt"), outcome: "new" });
    });
    expect(listing(folder)).toEqual(["a.txt"]);
  });
});
