// What is shared from a real disk, and what never is: links, pipes, files that are not what they were.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
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
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../../lib/error.ts";
import { HashPool } from "../../../lib/peer/content/hash.ts";
import { TreeCache } from "../../../lib/peer/content/tree-cache.ts";
import { chooseFiles, computeTree, describeFile, recordOf, Share, type SharedFile } from "../../../lib/peer/disk/share.ts";
import { formatRecord, parseRecord } from "../../../lib/protocol/record.ts";
import { addressOf } from "../../helpers/channel.ts";
import { asOther, hasOtherUser } from "../../helpers/other-user.ts";

const LIB = join(import.meta.dir, "..", "..", "..", "lib", "peer", "disk");
const OWN = { address: addressOf("192.168.1.17"), port: 40_123 };

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-share-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A path in the test's folder. */
function at(...names: string[]): string {
  return join(folder, ...names);
}

function put(name: string, content: string | Uint8Array = name): string {
  writeFileSync(at(name), content);
  return at(name);
}

function pipe(name: string): string {
  expect(Bun.spawnSync(["mkfifo", at(name)]).exitCode).toBe(0);
  return at(name);
}

function namesOf(files: SharedFile[]): string[] {
  return files.map(({ name }) => String(name));
}

/** Why each was left, by its name. */
function reasons(left: { path: string; reason: string }[]): Record<string, string> {
  return Object.fromEntries(left.map(({ path, reason }) => [path.slice(folder.length + 1), reason]));
}

/** Waits until the file system's clock has moved on, so that a change made now can be told from one made before. */
async function nextTick(): Promise<void> {
  const probe = at(".probe");
  writeFileSync(probe, "");
  const before = statSync(probe, { bigint: true }).ctimeNs;
  do {
    await Bun.sleep(1);
    writeFileSync(probe, "");
  } while (statSync(probe, { bigint: true }).ctimeNs - before < 10_000_000n);
  unlinkSync(probe);
}

function only(files: SharedFile[]): SharedFile {
  const [file] = files;
  if (file === undefined || files.length !== 1) throw new Error(`${files.length} files, not one`);
  return file;
}

/** One file, shared. */
function sharing(path: string): { share: Share; file: SharedFile } {
  const { taken } = chooseFiles([path], 5);
  return { share: new Share(taken), file: only(taken) };
}

async function readAll(share: Share, file: SharedFile): Promise<string | undefined> {
  const open = share.open(file);
  if (open === undefined) return undefined;
  const bytes = new Uint8Array(open.size + 16);
  const got = await open.read(bytes, 0);
  open.close();
  return Buffer.from(bytes.subarray(0, got)).toString();
}

describe("Share: choosing files", () => {
  test("a folder's files by name, at most the limit; the others are named with the reason", () => {
    for (const name of ["d.txt", "b.txt", "g.txt", "a.txt", "e.txt", "c.txt", "f.txt"]) put(name);
    const { taken, left } = chooseFiles([folder], 5);
    expect(namesOf(taken)).toEqual(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
    expect(Object.keys(reasons(left))).toEqual(["f.txt", "g.txt"]);
    expect(reasons(left)["f.txt"]).toMatch(/5 files/);
  });

  test("files that are named come first, whatever the order, and count towards the limit", () => {
    mkdirSync(at("folder"));
    for (const name of ["1", "2", "3", "4"]) put(join("folder", name));
    put("z.txt");
    put("y.txt");
    const { taken, left } = chooseFiles([at("folder"), at("z.txt"), at("y.txt")], 5);
    expect(namesOf(taken)).toEqual(["z.txt", "y.txt", "1", "2", "3"]);
    expect(Object.keys(reasons(left))).toEqual(["folder/4"]);
  });

  test("of files that are named one by one, those above the limit are left out, too", () => {
    const paths = ["1", "2", "3", "4", "5", "6", "7"].map((name) => put(name));
    const { taken, left } = chooseFiles(paths, 5);
    expect(namesOf(taken)).toEqual(["1", "2", "3", "4", "5"]);
    expect(left).toMatchObject([{ surplus: true }, { reason: "the limit is 5 files" }]);
  });

  test("a file is named once, although two paths lead to it", () => {
    put("a.txt");
    mkdirSync(at("folder"));
    put(join("folder", "a.txt"), "another one");
    const { taken, left } = chooseFiles([at("a.txt"), at("a.txt"), at("folder")], 5);
    expect(taken.map(({ path }) => path)).toEqual([at("a.txt")]);
    expect(left.map(({ reason }) => reason)).toEqual(["another file has the same name", "another file has the same name"]);
  });

  test("files that systems and office programs make for themselves are not taken from a folder, but are when they are named", () => {
    const own = [
      ..."desktop.ini Desktop.INI Thumbs.db ehthumbs.db ehthumbs_vista.db NTUSER.DAT ntuser.dat.LOG1 ~$report.docx".split(" "),
      "$RECYCLE.BIN",
      "Icon\r",
    ];
    for (const name of [...own, "report.docx", "My desktop.ini.txt", "thumbs.db.zip"]) put(name);
    const { taken, left } = chooseFiles([folder], 20);
    expect(namesOf(taken)).toEqual(["My desktop.ini.txt", "report.docx", "thumbs.db.zip"]);
    expect(left).toEqual([]);
    expect(namesOf(chooseFiles([at("Thumbs.db")], 5).taken)).toEqual(["Thumbs.db"]);
  });

  test("hidden files and folders inside are not taken", () => {
    put("a.txt");
    put(".env");
    put(".ft-0000.part");
    mkdirSync(at("sub"));
    mkdirSync(at(".git"));
    put(join("sub", "inner.txt"));
    put(join(".git", "config"));
    expect(namesOf(chooseFiles([folder], 5).taken)).toEqual(["a.txt"]);
  });

  test("links, pipes, sockets and dangling names are skipped with a reason, and nothing waits for them", async () => {
    mkdirSync(at("shared"));
    mkdirSync(at("elsewhere"));
    put("secret.txt");
    put(join("shared", "plain.txt"));
    symlinkSync(at("secret.txt"), at("shared", "out.txt"));
    symlinkSync("plain.txt", at("shared", "in.txt"));
    symlinkSync("nowhere", at("shared", "dangling"));
    symlinkSync(at("elsewhere"), at("shared", "linked-folder"));
    symlinkSync("loop", at("shared", "loop"));
    pipe(join("shared", "pipe"));
    const server = createServer().listen(at("shared", "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      const { taken, left } = chooseFiles([at("shared")], 5);
      expect(namesOf(taken)).toEqual(["plain.txt"]);
      expect(reasons(left)).toEqual({
        "shared/dangling": "it is a link",
        "shared/in.txt": "it is a link",
        "shared/linked-folder": "it is a link",
        "shared/loop": "it is a link",
        "shared/out.txt": "it is a link",
        "shared/pipe": "it is not a regular file",
        "shared/socket": "it is not a regular file",
      });
    } finally {
      server.close();
    }
  });

  test("a pipe or a device that somebody names is skipped, too", () => {
    pipe("pipe");
    const { taken, left } = chooseFiles([at("pipe"), "/dev/zero", "/dev/null"], 5);
    expect(taken).toEqual([]);
    expect(left.map(({ reason }) => reason)).toEqual(Array(3).fill("it is not a regular file"));
  });

  test("a link that somebody names is what it points to", () => {
    put("target.txt", "content");
    symlinkSync(at("target.txt"), at("link.txt"));
    const file = only(chooseFiles([at("link.txt")], 5).taken);
    expect([String(file.name), file.path, file.size]).toEqual(["target.txt", at("target.txt"), 7]);
    mkdirSync(at("folder"));
    put(join("folder", "a.txt"));
    symlinkSync(at("folder"), at("linked"));
    expect(namesOf(chooseFiles([at("linked")], 5).taken)).toEqual(["a.txt"]);
  });

  test("a path that leads nowhere is wrong usage, and quoted harmlessly", () => {
    let error: unknown;
    try {
      chooseFiles([at("no\u001b[2Jthing")], 5);
    } catch (thrown) {
      error = thrown;
    }
    if (!(error instanceof UsageError)) throw new Error(`it should have been wrong usage: ${error}`);
    expect(error.message).toContain("there is no such file");
    expect(error.message).toContain("no\\x1b[2Jthing");
    expect(error.message).not.toContain("\u001b");
  });

  test("an empty folder gives nothing, an empty file is a file", () => {
    mkdirSync(at("empty"));
    expect(chooseFiles([at("empty")], 5)).toEqual({ taken: [], left: [] });
    put("nothing.txt", "");
    expect(only(chooseFiles([at("nothing.txt")], 5).taken).size).toBe(0);
  });

  test("names are composed, whatever the disk has; two forms of one name are one", async () => {
    put("U\u0308ber.txt", "decomposed");
    const { share, file } = sharing(folder);
    expect(String(file.name)).toBe("\u00dcber.txt");
    expect(share.find({ name: "\u00dcber.txt" })).toBe(file);
    expect(await readAll(share, file)).toBe("decomposed");
    put("\u00dcber.txt", "composed");
    const { taken, left } = chooseFiles([folder], 5);
    expect(taken).toHaveLength(1);
    expect(left.map(({ reason }) => reason)).toEqual(["another file has the same name"]);
  });

  test("names that the protocol cannot carry are skipped with a reason", () => {
    writeFileSync(Buffer.concat([Buffer.from(at("bad")), Buffer.of(0xff, 0xfe)]), "x");
    // 255 bytes on the disk, 510 when composed.
    put("\u0958".repeat(85));
    put("fine.txt");
    const { taken, left } = chooseFiles([folder], 5);
    expect(namesOf(taken)).toEqual(["fine.txt"]);
    expect(left.map(({ reason }) => reason).sort()).toEqual([
      "its name is longer than 255 bytes",
      "its name is not valid UTF-8",
    ]);
  });

  test("whatever else is in a name, its record is one line and reads back the same", () => {
    const names = [
      "a\nb.txt",
      "a\r\u001b[2J\u0007.txt",
      "a\u202etxt.exe",
      "<a,b;c=d>.txt",
      "50%.txt",
      " a ",
      "-rf",
      "a\\b",
      "\u200b",
    ];
    for (const name of names) put(name);
    const { taken } = chooseFiles([folder], 20);
    expect(namesOf(taken).sort()).toEqual([...names].sort());
    for (const file of taken) {
      const line = formatRecord(recordOf(file, OWN));
      expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
      expect(parseRecord(line)).toEqual(recordOf(file, OWN));
    }
  });

  test.each([
    ["year 10000", 253_402_300_800_000n, "9999-12-30T00:00:00.000Z"],
    ["a time that no Date can have", 9_000_000_000_000_000_000n, "9999-12-30T00:00:00.000Z"],
    ["before the year 1", -99_999_999_999_999n, "0001-01-02T00:00:00.000Z"],
    ["before 1970", -1_000n, "1969-12-31T23:59:59.000Z"],
  ])("a file of %s has the nearest time that a record can carry", (_, mtimeMs, iso) => {
    const entry = statSync(put("odd.txt"), { bigint: true });
    const record = recordOf(describeFile(at("odd.txt"), Object.assign(entry, { mtimeMs })), OWN);
    expect(record.mtime).toBe(iso);
    expect(parseRecord(formatRecord(record))).toEqual(record);
  });

  test("a file that is too large for a record is left out, the others are taken", () => {
    put("fine.txt");
    put("vast.bin");
    if (!Bun.spawnSync(["truncate", "-s", "9007199254740993", at("vast.bin")]).success) {
      console.log("skipped: a file above 2^53 bytes; the file system of the temporary folder has none");
      return;
    }
    const { taken, left } = chooseFiles([folder], 5);
    expect(namesOf(taken)).toEqual(["fine.txt"]);
    expect(left).toEqual([{ path: at("vast.bin"), reason: "it is larger than 9.0 PB" }]);
  });

  test("a record says type, size and time", () => {
    put("report.pdf", "12345");
    put("unknown.qqq", "");
    const time = new Date(2026, 10, 22, 11, 4, 5);
    utimesSync(at("report.pdf"), time, time);
    const [pdf, other] = chooseFiles([at("report.pdf"), at("unknown.qqq")], 5).taken;
    if (pdf === undefined || other === undefined) throw new Error("two files were put");
    expect({ ...recordOf(pdf, OWN), name: "" }).toEqual({
      ...recordOf(pdf, OWN),
      name: "",
      type: "application/pdf",
      size: 5,
      date: "22/11/26",
      mtime: time.toISOString(),
      v2: true,
      ...OWN,
    });
    expect(recordOf(pdf, OWN).root).toBeUndefined();
    expect(recordOf({ ...pdf, root: "ab".repeat(32) }, OWN).root).toBe("ab".repeat(32));
    expect(other.type).toBe("application/octet-stream");
  });

  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const isRoot = process.getuid?.() === 0;
  const canDrop =
    !isRoot ||
    (Bun.which("setpriv") !== null &&
      Bun.spawnSync([...asNobody, process.execPath, "-e", `await import(${JSON.stringify(join(LIB, "share.ts"))})`]).success);
  if (!canDrop) console.log("skipped: files that may not be read; this is root and cannot become somebody else");

  test.skipIf(!canDrop)("files and folders that may not be read are skipped with a reason", () => {
    mkdirSync(at("closed"));
    put("open.txt");
    put("shut.txt");
    put(join("closed", "inner.txt"));
    chmodSync(at("shut.txt"), 0o000);
    chmodSync(at("closed"), 0o000);
    chmodSync(folder, 0o755);
    const script = `
      const { chooseFiles } = await import(${JSON.stringify(join(LIB, "share.ts"))});
      console.log(JSON.stringify(chooseFiles(${JSON.stringify([folder, at("shut.txt"), at("closed")])}, 5)));
    `;
    const { stdout, stderr } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
    chmodSync(at("closed"), 0o700);
    expect(stderr.toString()).toBe("");
    const { taken, left } = JSON.parse(stdout.toString());
    expect(namesOf(taken)).toEqual(["open.txt"]);
    expect(reasons(left)).toEqual({ "shut.txt": "permission denied", closed: "permission denied" });
  });
});

describe("Share: the list", () => {
  test("a file is found by everything that is asked for, and by nothing less", () => {
    put("a.txt", "aaa");
    put("b.txt", "bbbb");
    const share = new Share(chooseFiles([folder], 5).taken);
    const [a, b] = share.files;
    if (a === undefined || b === undefined) throw new Error("two files were put");
    a.root = "aa".repeat(32);
    expect(share.find({ name: "a.txt" })).toBe(a);
    expect(share.find({ root: "aa".repeat(32) })).toBe(a);
    expect(share.find({ name: "b.txt", size: 4 })).toBe(b);
    expect(share.find({ name: "b.txt", size: 3 })).toBeUndefined();
    expect(share.find({ name: "b.txt", root: "aa".repeat(32) })).toBeUndefined();
    expect(share.find({ root: "bb".repeat(32) })).toBeUndefined();
    for (const name of ["A.TXT", "a.txt/", "./a.txt", "../a.txt", at("a.txt"), "", "."]) {
      expect(share.find({ name })).toBeUndefined();
    }
    share.remove(a);
    expect(share.find({ name: "a.txt" })).toBeUndefined();
    share.remove(a);
    expect(share.files).toEqual([b]);
  });

  test("a file in the folder that is not on the list is not found", () => {
    put("a.txt");
    const share = new Share(chooseFiles([folder], 5).taken);
    put("later.txt");
    expect(share.find({ name: "later.txt" })).toBeUndefined();
  });
});

describe("Share: an open file", () => {
  test("reads at positions, as much as there is", async () => {
    const { share, file } = sharing(put("a.bin", "0123456789"));
    const open = share.open(file);
    if (open === undefined) throw new Error("it did not open");
    expect(open.size).toBe(10);
    const read = async (length: number, position: number) => {
      const into = new Uint8Array(length);
      return Buffer.from(into.subarray(0, await open.read(into, position))).toString();
    };
    expect(await Promise.all([read(3, 0), read(3, 4), read(10, 0), read(10, 7), read(5, 10), read(5, 100)])).toEqual([
      "012",
      "456",
      "0123456789",
      "789",
      "",
      "",
    ]);
    expect(open.unchanged()).toBe(true);
    open.close();
  });

  type Change = [string, (path: string) => void];
  const IN_PLACE: Change[] = [
    ["grew", (path) => appendFileSync(path, "more")],
    ["became shorter", (path) => truncateSync(path, 3)],
    ["became empty", (path) => truncateSync(path, 0)],
    ["has other bytes", (path) => writeFileSync(path, "CONTENT")],
    [
      "has other bytes but the same size and time",
      (path) => {
        const { atime, mtime } = statSync(path);
        writeFileSync(path, "CONTENT");
        utimesSync(path, atime, mtime);
      },
    ],
    ["was touched", (path) => utimesSync(path, new Date(), new Date())],
  ];
  const REPLACED: Change[] = [
    [
      "was replaced by one of the same size and time",
      (path) => {
        const { atime, mtime } = statSync(path);
        writeFileSync(`${path}.new`, "CONTENT");
        utimesSync(`${path}.new`, atime, mtime);
        renameSync(`${path}.new`, path);
      },
    ],
    ["is gone", (path) => unlinkSync(path)],
    [
      "became a link to another file",
      (path) => {
        writeFileSync(`${path}.secret`, "CONTENT");
        unlinkSync(path);
        symlinkSync(`${path}.secret`, path);
      },
    ],
    [
      "became a link to itself elsewhere",
      (path) => {
        renameSync(path, `${path}.moved`);
        symlinkSync(`${path}.moved`, path);
      },
    ],
    [
      "became a dangling link",
      (path) => {
        unlinkSync(path);
        symlinkSync("nowhere", path);
      },
    ],
    [
      "became a folder",
      (path) => {
        unlinkSync(path);
        mkdirSync(path);
      },
    ],
    [
      "became a pipe",
      (path) => {
        unlinkSync(path);
        Bun.spawnSync(["mkfifo", path]);
      },
    ],
  ];

  test.each([...IN_PLACE, ...REPLACED])("a file that %s since it was listed is not opened", async (_what, change) => {
    const { share, file } = sharing(put("a.txt", "content"));
    expect(await readAll(share, file)).toBe("content");
    await nextTick();
    change(file.path);
    expect(share.open(file)).toBeUndefined();
    expect(share.open(file)).toBeUndefined();
  });

  test.each(IN_PLACE)("a file that %s while it is open is noticed", async (_what, change) => {
    const { share, file } = sharing(put("a.txt", "content"));
    const open = share.open(file);
    if (open === undefined) throw new Error("it did not open");
    expect(open.unchanged()).toBe(true);
    await nextTick();
    change(file.path);
    expect(open.unchanged()).toBe(false);
    open.close();
  });

  test.each(IN_PLACE)("a file that %s is shared again as what it is now, without a root", async (_what, change) => {
    const { share, file } = sharing(put("a.txt", "content"));
    file.root = "aa".repeat(32);
    const old = share.open(file);
    await nextTick();
    change(file.path);
    expect(share.renew(file)).toBe(true);
    expect(file.root).toBeUndefined();
    expect(file.size).toBe(statSync(file.path).size);
    expect(await readAll(share, file)).toBe(readFileSync(file.path, "utf8"));
    // Who opened it before the change was promised the old bytes.
    expect(old?.unchanged()).toBe(false);
    old?.close();
  });

  test.each(REPLACED.slice(1))("a file that %s cannot be shared any more", async (_what, change) => {
    const { share, file } = sharing(put("a.txt", "content"));
    await nextTick();
    change(file.path);
    expect(share.renew(file)).toBe(false);
  });

  test("a folder that became a link to another one gives nothing of the other", async () => {
    mkdirSync(at("shared"));
    mkdirSync(at("private"));
    put(join("shared", "a.txt"), "shared");
    put(join("private", "a.txt"), "secret");
    const { share, file } = sharing(at("shared"));
    renameSync(at("shared"), at("moved"));
    symlinkSync(at("private"), at("shared"));
    expect(await readAll(share, file)).toBeUndefined();
    if (share.renew(file)) expect(await readAll(share, file)).not.toBe("secret");
  });

  test("a file that an editor saves by a rename is shared as what it is now", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    for (const mode of [0o644, 0o600]) {
      await nextTick();
      chmodSync(put("a.new", `saved with ${mode}`), mode);
      renameSync(at("a.new"), at("a.txt"));
      expect([share.refusalOf(file), share.renew(file)]).toEqual([undefined, true]);
      expect(await readAll(share, file)).toBe(`saved with ${mode}`);
    }
  });

  test("in a folder that others may write to, a private file that got its name is not shared", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    chmodSync(folder, 0o777);
    chmodSync(put("private.txt", "secret"), 0o600);
    renameSync(at("private.txt"), at("a.txt"));
    expect([share.renew(file), share.refusalOf(file)]).toEqual([false, expect.stringMatching(/may be private/)]);
    expect(await readAll(share, file)).toBeUndefined();
    // A file that all may read is no secret: its owner has saved it.
    chmodSync(put("a.new", "saved"), 0o644);
    renameSync(at("a.new"), at("a.txt"));
    expect(share.renew(file)).toBe(true);
    expect(await readAll(share, file)).toBe("saved");
  });

  test.skipIf(!hasOtherUser)(
    "another user's file that got its name is not shared, nor what another user's link leads to",
    async () => {
      const { share, file } = sharing(put("a.txt", "content"));
      put("private.txt", "secret");
      chmodSync(folder, 0o777);
      for (const swap of ['rm "$1"; echo theirs > "$1"', 'rm "$1"; ln -s "$2" "$1"']) {
        asOther(swap, at("a.txt"), at("private.txt"));
        expect([share.refusalOf(file) === undefined, share.renew(file), await readAll(share, file)]).toEqual([
          false,
          false,
          undefined,
        ]);
      }
    },
  );

  test("a folder on the way that is swapped for a link and back, again and again: never one byte of the other folder", async () => {
    mkdirSync(at("private"));
    put(join("private", "a.txt"), "secret");
    mkdirSync(at("shared"));
    const { share, file } = sharing(put(join("shared", "a.txt"), "shared"));
    const script = `
      const { renameSync, symlinkSync, unlinkSync } = require("node:fs");
      const [folder, other] = process.argv.slice(-2);
      for (let i = 0; i < 5_000; i++) {
        renameSync(folder, folder + ".aside"); symlinkSync(other, folder);
        unlinkSync(folder); renameSync(folder + ".aside", folder);
      }
    `;
    const swapper = Bun.spawn([process.execPath, "-e", script, at("shared"), at("private")], { stderr: "inherit" });
    let running = true;
    void swapper.exited.then(() => {
      running = false;
    });
    const seen = new Set<string | undefined>();
    while (running) {
      for (let i = 0; i < 50; i++) {
        share.renew(file);
        seen.add(await readAll(share, file));
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await swapper.exited).toBe(0);
    expect(seen.has("secret")).toBe(false);
    share.renew(file);
    expect(await readAll(share, file)).toBe("shared");
  });

  test("thousands of swaps against a link to the outside: never one byte of it", async () => {
    mkdirSync(at("shared"));
    const inside = "inside".repeat(50);
    put("outside.txt", "SECRET".repeat(50));
    put("original", inside);
    linkSync(at("original"), at("shared", "a.txt"));
    const { share, file } = sharing(at("shared"));
    const script = `
      const { linkSync, renameSync, symlinkSync } = require("node:fs");
      const [original, outside, path] = process.argv.slice(-3);
      const until = Date.now() + 20_000;
      for (let i = 0; i < 12_000 && Date.now() < until; i++) {
        symlinkSync(outside, path + ".1"); renameSync(path + ".1", path);
        linkSync(original, path + ".2"); renameSync(path + ".2", path);
      }
    `;
    const swapper = Bun.spawn([process.execPath, "-e", script, at("original"), at("outside.txt"), file.path], {
      stderr: "pipe",
    });
    let running = true;
    void swapper.exited.then(() => {
      running = false;
    });
    const seen = { inside: 0, refused: 0, renewed: 0, other: 0 };
    while (running) {
      for (let i = 0; i < 50; i++) {
        const content = await readAll(share, file);
        if (content === undefined) {
          seen.refused += 1;
          if (share.renew(file)) seen.renewed += 1;
        } else if (content === inside) seen.inside += 1;
        else seen.other += 1;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([await swapper.exited, await new Response(swapper.stderr).text()]).toEqual([0, ""]);
    expect(seen.other).toBe(0);
    // The race took place: both happened, many times.
    expect(seen.inside).toBeGreaterThan(20);
    expect(seen.refused).toBeGreaterThan(100);
    expect(seen.renewed).toBeGreaterThan(20);
  }, 30_000);
});

describe("Share: one file, many readers", () => {
  const linux = process.platform === "linux";
  /** The descriptors of this process that point to a path. */
  function descriptorsOf(path: string): number {
    return readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).replace(" (deleted)", "") === path;
      } catch {
        return false;
      }
    }).length;
  }
  /** Closing happens off the main thread. */
  async function untilClosed(path: string): Promise<void> {
    while (descriptorsOf(path) > 0) await Bun.sleep(1);
  }

  function openTwice(share: Share, file: SharedFile) {
    const [one, two] = [share.open(file), share.open(file)];
    if (one === undefined || two === undefined) throw new Error("it did not open");
    return { one, two };
  }

  async function text(open: { size: number; read(into: Uint8Array, at: number): Promise<number> }): Promise<string> {
    const into = new Uint8Array(open.size);
    return Buffer.from(into.subarray(0, await open.read(into, 0))).toString();
  }

  test.skipIf(!linux)("share one descriptor, which is closed when the last of them is done", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    const opened = Array.from({ length: 500 }, () => share.open(file));
    expect(descriptorsOf(file.path)).toBe(1);
    const [first, ...others] = opened;
    first?.close();
    // Twice is once: nobody else's is given back.
    for (let i = 0; i < 600; i++) first?.close();
    expect(descriptorsOf(file.path)).toBe(1);
    for (const open of others) {
      if (open === undefined) throw new Error("it did not open");
      expect(open.unchanged()).toBe(true);
    }
    const last = others.pop();
    for (const open of others) open?.close();
    if (last === undefined) throw new Error("it did not open");
    expect(await text(last)).toBe("content");
    last.close();
    await untilClosed(file.path);
    // And again.
    expect(await readAll(share, file)).toBe("content");
    await untilClosed(file.path);
  });

  test.skipIf(!linux)("two files have two", async () => {
    const [a, b] = [put("a.txt"), put("b.txt")];
    const share = new Share(chooseFiles([a, b], 5).taken);
    const open = share.files.map((file) => share.open(file));
    expect([descriptorsOf(a), descriptorsOf(b)]).toEqual([1, 1]);
    open[0]?.close();
    await untilClosed(a);
    expect(descriptorsOf(b)).toBe(1);
    open[1]?.close();
    await untilClosed(b);
  });

  test("all readers notice that a file changes, and one that opens it after the change was seen reads the new one", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    const { one, two } = openTwice(share, file);
    await nextTick();
    put("a.txt", "CONTENT");
    expect([one.unchanged(), two.unchanged(), share.open(file)]).toEqual([false, false, undefined]);
    expect(share.renew(file)).toBe(true);
    const fresh = share.open(file);
    if (fresh === undefined) throw new Error("it did not open");
    expect([one.unchanged(), two.unchanged(), fresh.unchanged()]).toEqual([false, false, true]);
    expect(await text(fresh)).toBe("CONTENT");
    one.close();
    two.close();
    expect(await text(fresh)).toBe("CONTENT");
    fresh.close();
    if (linux) await untilClosed(file.path);
  });

  test("of a file that is replaced while it is read: the old readers read on and know it, the new ones read the new one", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    const { one, two } = openTwice(share, file);
    await nextTick();
    put("a.new", "another");
    renameSync(at("a.new"), at("a.txt"));
    share.renew(file);
    const fresh = share.open(file);
    if (fresh === undefined) throw new Error("it did not open");
    expect([await text(one), one.unchanged(), await text(fresh), fresh.unchanged()]).toEqual([
      "content",
      false,
      "another",
      true,
    ]);
    if (linux) expect(descriptorsOf(file.path)).toBe(2);
    // The old one's end does not take the new one's descriptor with it, in either order.
    fresh.close();
    one.close();
    const again = share.open(file);
    two.close();
    if (again === undefined) throw new Error("it did not open");
    expect(await text(again)).toBe("another");
    again.close();
    if (linux) await untilClosed(file.path);
  });

  test.skipIf(!linux)("that fails to open leaves no descriptor behind", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    await nextTick();
    put("a.txt", "CONTENT");
    for (let i = 0; i < 50; i++) expect(share.open(file)).toBeUndefined();
    await untilClosed(file.path);
    unlinkSync(file.path);
    expect(share.open(file)).toBeUndefined();
  });
});

describe("Share: a list that changes", () => {
  test("whether a file has changed, and whether it can be read, is told by its path", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    expect([share.hasChanged(file), share.refusalOf(file) === undefined]).toEqual([false, true]);
    await nextTick();
    put("a.txt", "CONTENT");
    expect([share.hasChanged(file), share.refusalOf(file) === undefined]).toEqual([true, true]);
    share.renew(file);
    expect(share.hasChanged(file)).toBe(false);
    unlinkSync(file.path);
    expect([share.hasChanged(file), share.refusalOf(file) === undefined]).toEqual([true, false]);
    put("secret");
    symlinkSync(at("secret"), file.path);
    expect([share.hasChanged(file), share.refusalOf(file) === undefined]).toEqual([true, false]);
    unlinkSync(file.path);
    mkdirSync(file.path);
    expect([share.hasChanged(file), share.refusalOf(file) === undefined]).toEqual([true, false]);
  });

  test("a renewed file has no content id and no piece hashes until they are computed again", async () => {
    const { share, file } = sharing(put("a.txt", "content"));
    Object.assign(file, { root: "aa".repeat(32), pieces: new Uint8Array(32) });
    await nextTick();
    put("a.txt", "new content");
    expect(share.renew(file)).toBe(true);
    expect([file.size, file.root, file.pieces]).toEqual([11, undefined, undefined]);
    expect(share.find({ root: "aa".repeat(32) })).toBeUndefined();
  });

  test("a file that is put on it takes the place of one of the same name, else the end", () => {
    const share = new Share(chooseFiles([put("a.txt"), put("b.txt")], 5).taken);
    mkdirSync(at("sub"));
    writeFileSync(at("sub", "a.txt"), "another");
    writeFileSync(at("sub", "c.txt"), "c");
    for (const file of chooseFiles([at("sub", "a.txt"), at("sub", "c.txt")], 5).taken) share.add(file);
    expect(share.files.map(({ path }) => path)).toEqual([at("sub", "a.txt"), at("b.txt"), at("sub", "c.txt")]);
  });

  test("what was fetched beyond the limit is announced as whole, and does not count", () => {
    const { file } = sharing(put("a.txt"));
    file.root = "ab".repeat(32);
    expect(formatRecord(recordOf(file, OWN))).toEndWith(`;root=${file.root}>`);
    file.beyond = true;
    expect(formatRecord(recordOf(file, OWN))).toEndWith(`;root=${file.root};part=1;whole=1>`);
  });
});

describe("Share: content ids between runs", () => {
  const pool = new HashPool(new URL("../../../lib/peer/content/hasher.ts", import.meta.url), 1);
  const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const TEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

  async function computeRoot(
    file: SharedFile,
    by: HashPool,
    cache: TreeCache,
    onHashed: (bytes: number) => void = () => undefined,
    signal = new AbortController().signal,
  ): Promise<string | undefined> {
    return (await computeTree(file, by, cache, { onHashed, signal })) ? file.root : undefined;
  }

  /** A file that nobody has touched for years. */
  function putOld(name: string, content: string): string {
    const path = put(name, content);
    const old = new Date(2020, 1, 1);
    utimesSync(path, old, old);
    return path;
  }

  test("a root is computed once, and known in the next run", async () => {
    const { file } = sharing(putOld("a.txt", "abc"));
    const cache = new TreeCache(at("cache", "roots.json"));
    expect(cache.get(file)?.root).toBeUndefined();
    let hashed = 0;
    expect(await computeRoot(file, pool, cache, (bytes) => (hashed += bytes))).toBe(ABC);
    expect([String(file.root), hashed]).toEqual([ABC, 3]);
    await cache.save();
    const next = new TreeCache(at("cache", "roots.json"));
    const again = sharing(at("a.txt")).file;
    expect(next.get(again)?.root).toBe(ABC);
    // Nothing is read for it: there is nothing to read any more.
    unlinkSync(again.path);
    expect(await computeRoot(again, pool, next)).toBe(ABC);
    expect(readdirSync(at("cache"))).toEqual(["roots.json"]);
  });

  test("a changed file is another one, although size and time are the same", async () => {
    const path = putOld("a.txt", "abcd");
    const cache = new TreeCache(at("roots.json"));
    const before = sharing(path).file;
    await computeRoot(before, pool, cache);
    await nextTick();
    putOld("a.txt", "test");
    const after = sharing(path).file;
    expect(after.size).toBe(before.size);
    expect(after.modified).toEqual(before.modified);
    expect(cache.get(after)?.root).toBeUndefined();
    expect(await computeRoot(after, pool, cache)).toBe(TEST);
  });

  test("a file of another path with the same content is not taken for it", async () => {
    const cache = new TreeCache(at("roots.json"));
    await computeRoot(sharing(putOld("a.txt", "abc")).file, pool, cache);
    linkSync(at("a.txt"), at("b.txt"));
    expect(cache.get(sharing(at("b.txt")).file)).toBeUndefined();
  });

  test("a file changed a moment ago is not remembered: it may change again within the same tick", async () => {
    const { file } = sharing(put("a.txt", "abc"));
    const cache = new TreeCache(at("roots.json"));
    expect(await computeRoot(file, pool, cache)).toBe(ABC);
    expect(cache.get(file)?.root).toBeUndefined();
  });

  test.each([
    ["nothing", ""],
    ["no JSON", "{\u0000rubbish"],
    ["a number", "42"],
    ["null", "null"],
    ["a list", '["a", "b"]'],
    ["half of it", '{"1 2 3": "ab'],
  ])("a cache file that holds %s costs only time", async (_what, content) => {
    put("roots.json", content);
    const cache = new TreeCache(at("roots.json"));
    const { file } = sharing(putOld("a.txt", "abc"));
    expect(cache.get(file)?.root).toBeUndefined();
    expect(await computeRoot(file, pool, cache)).toBe(ABC);
    await cache.save();
    expect(new TreeCache(at("roots.json")).get(file)?.root).toBe(ABC);
  });

  test("what is no root in a cache file is not believed", async () => {
    const { file } = sharing(putOld("a.txt", "abc"));
    const cache = new TreeCache(at("roots.json"));
    await computeRoot(file, pool, cache);
    await cache.save();
    const [key] = Object.keys(JSON.parse(readFileSync(at("roots.json"), "utf8")));
    for (const lie of [42, null, "", "xyz", ABC.slice(1), `${ABC}00`, ABC.toUpperCase(), [ABC], { root: ABC }]) {
      writeFileSync(at("roots.json"), JSON.stringify({ [key ?? ""]: lie, __proto__: lie }));
      expect(new TreeCache(at("roots.json")).get(file)?.root).toBeUndefined();
    }
  });

  test("a cache that cannot be read or written is no error", async () => {
    put("in-the-way");
    mkdirSync(at("folder"));
    const { file } = sharing(putOld("a.txt", "abc"));
    for (const path of [at("in-the-way", "roots.json"), at("folder"), "/dev/null/roots.json"]) {
      const cache = new TreeCache(path);
      expect(await computeRoot(file, pool, cache)).toBe(ABC);
      await cache.save();
      expect(cache.get(file)?.root).toBe(ABC);
    }
  });

  test("it does not grow for ever", async () => {
    const { file } = sharing(putOld("a.txt", "abc"));
    const cache = new TreeCache(at("roots.json"));
    for (let i = 0; i < 5000; i++)
      cache.set({ ...file, path: `/somewhere/${i}` }, { root: ABC, pieces: Buffer.from(ABC, "hex") });
    await cache.save();
    const saved = Object.keys(JSON.parse(readFileSync(at("roots.json"), "utf8")));
    expect(saved.length).toBeLessThanOrEqual(2000);
    expect(saved.at(-1)).toContain("/somewhere/4999");
  });

  test("it is for its owner only", async () => {
    const cache = new TreeCache(at("roots.json"));
    await computeRoot(sharing(putOld("a.txt", "abc")).file, pool, cache);
    await cache.save();
    expect(statSync(at("roots.json")).mode & 0o077).toBe(0);
  });

  test("a file that changes while it is hashed gets no root", async () => {
    const { file } = sharing(putOld("a.txt", "abc"));
    const cache = new TreeCache(at("roots.json"));
    await nextTick();
    expect(await computeRoot(file, pool, cache, () => appendFileSync(file.path, "d"))).toBeUndefined();
    expect(file.root).toBeUndefined();
    expect(cache.get(file)?.root).toBeUndefined();
  });

  test("nor does one that changed, or vanished, or became a pipe before", async () => {
    const cache = new TreeCache(at("roots.json"));
    for (const change of [
      (path: string) => appendFileSync(path, "d"),
      unlinkSync,
      (path: string) => {
        unlinkSync(path);
        Bun.spawnSync(["mkfifo", path]);
      },
    ]) {
      rmSync(at("a.txt"), { force: true });
      const { file } = sharing(putOld("a.txt", "abc"));
      await nextTick();
      change(file.path);
      expect(await computeRoot(file, pool, cache)).toBeUndefined();
      expect(file.root).toBeUndefined();
    }
  });

  test("stopping leaves the file without a root", async () => {
    const { file } = sharing(putOld("a.txt", "abc"));
    const stop = new AbortController();
    stop.abort();
    expect(await computeRoot(file, pool, new TreeCache(at("roots.json")), undefined, stop.signal)).toBeUndefined();
    expect(existsSync(at("roots.json"))).toBe(false);
  });
});

test("a file that receives the program's own output is not shared, with that reason", () => {
  mkdirSync(at("shared"));
  put(join("shared", "a.txt"));
  put(join("shared", "log.txt"));
  const module = JSON.stringify(join(import.meta.dir, "..", "..", "..", "lib", "peer", "disk", "share.ts"));
  const script = `
    const { chooseFiles } = await import(${module});
    const { taken, left } = chooseFiles([${JSON.stringify(at("shared"))}], 5);
    console.error(JSON.stringify([taken.map(({ name }) => name), left.map(({ reason }) => reason)]));
  `;
  const { stderr } = Bun.spawnSync([process.execPath, "-e", script], {
    stdout: Bun.file(at("shared", "log.txt")),
    stderr: "pipe",
  });
  expect(JSON.parse(stderr.toString())).toEqual([["a.txt"], ["this program's output is being written to it"]]);
});
