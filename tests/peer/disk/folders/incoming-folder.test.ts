// A folder that is fetched: how its files come to the disk, what an earlier run leaves, and what happens to files that are there.

import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FolderCut } from "../../../../lib/peer/content/folder-cut.ts";
import { FolderDates } from "../../../../lib/peer/content/folder-dates.ts";
import { HashPool, treeOfBytes } from "../../../../lib/peer/content/hash.ts";
import { PieceSet } from "../../../../lib/peer/content/pieces.ts";
import { IncomingFolder, type IncomingFolderOptions } from "../../../../lib/peer/disk/folders/incoming-folder.ts";
import { EMPTY_ROOT } from "../../../../lib/protocol/folder.ts";
import { type FolderList, parseFolderList } from "../../../../lib/protocol/folder-list.ts";
import { folderList } from "../../../helpers/folder-list.ts";

const pool = new HashPool(new URL("../../../../lib/peer/content/hasher.ts", import.meta.url), 2);
const LIB = new URL("../../../../lib/", import.meta.url).href;
let top = "";
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), "ft-in-folder-"));
});
afterEach(() => rmSync(top, { recursive: true }));
afterAll(() => pool.close());

/** A folder to fetch: its files by path; a path that ends in `/` is an empty folder. */
class Source {
  readonly list: FolderList;
  readonly cut: FolderCut;
  readonly hashes: Promise<Uint8Array>;
  readonly bytes: Uint8Array;

  constructor(files: Record<string, string | Uint8Array>) {
    const contents = new Map(Object.entries(files).map(([path, content]) => [path, new Uint8Array(Buffer.from(content))]));
    const entries = [...contents].map(([path, bytes]) => ({
      path,
      size: bytes.length,
      root: bytes.length === 0 ? EMPTY_ROOT : treeOfBytes(bytes).root,
    }));
    this.list = parseFolderList(folderList(entries));
    this.cut = new FolderCut(this.list);
    this.bytes = new Uint8Array(new SharedArrayBuffer(this.cut.size));
    for (const { file, offset } of this.cut.slices(0, this.cut.size)) {
      this.bytes.set(contents.get(this.list.pathOf(this.cut.entryOf(file))) ?? new Uint8Array(0), offset);
    }
    const memory = this.bytes.buffer as unknown as SharedArrayBuffer;
    this.hashes = pool.layer({ memory, units: this.cut.unitsOf(0, this.cut.count) });
    // The last test may end before it needs them.
    this.hashes.catch(() => undefined);
  }

  open(options: Partial<IncomingFolderOptions> = {}): IncomingFolder {
    const { list, cut } = this;
    const dates = new FolderDates(list);
    return IncomingFolder.open({ into: top, name: "Lesson", list, cut, inside: "", dates, ...options });
  }

  /** Fetches everything that is not there. Gives the number of pieces that were fetched. */
  async fill(incoming: IncomingFolder): Promise<number> {
    const have = await incoming.present(await this.hashes, pool, () => undefined);
    let fetched = 0;
    for (let piece = 0; piece < this.cut.count; piece++) {
      if (have.has(piece)) continue;
      fetched += 1;
      const [start, end] = [this.cut.startOf(piece), this.cut.startOf(piece + 1)];
      await incoming.write(start, this.bytes.subarray(start, end));
    }
    return fetched;
  }

  async fetch(options: Partial<IncomingFolderOptions> = {}) {
    const incoming = this.open(options);
    const fetched = await this.fill(incoming);
    const published = await incoming.publish();
    return { fetched, failed: incoming.failed, saved: incoming.saved, ...published };
  }
}

function put(path: string, content: string): void {
  mkdirSync(dirname(join(top, path)), { recursive: true });
  writeFileSync(join(top, path), content);
}

const read = (path: string) => readFileSync(join(top, path), "utf8");

/** All paths under the folder for downloads, with the text of small files. */
function tree(folder = top, start = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) Object.assign(found, { [`${start}${entry.name}/`]: "" }, tree(path, `${start}${entry.name}/`));
    else
      found[start + entry.name] =
        entry.isFile() && statSync(path).size < 100 ? readFileSync(path, "utf8") : `${statSync(path).size}`;
  }
  return found;
}

const LARGE = new Uint8Array(2_700_000).map((_, i) => i * 7 + (i >> 9));

describe("IncomingFolder", () => {
  test("the whole folder arrives under its name, with empty files and folders, and nothing else stays", async () => {
    const source = new Source({ "a.txt": "one", "b/c.txt": "two", "b/nothing": "", "empty/": "", "large.bin": LARGE });
    const done = await source.fetch();
    expect(done).toMatchObject({ path: join(top, "Lesson"), outcome: "new", numbered: [], failed: [], fetched: 4 });
    expect(tree()).toEqual({
      "Lesson/": "",
      "Lesson/a.txt": "one",
      "Lesson/b/": "",
      "Lesson/b/c.txt": "two",
      "Lesson/b/nothing": "",
      "Lesson/empty/": "",
      "Lesson/large.bin": "2700000",
    });
    expect(Buffer.compare(readFileSync(join(top, "Lesson/large.bin")), LARGE)).toBe(0);
  });

  test("files and folders get their dates, also when they are made before others in the same folder", async () => {
    const source = new Source({ "a.txt": "one", "b/c/d.txt": "two", "large.bin": LARGE, "b/empty/": "" });
    const paths = ["a.txt", "b/c/d.txt", "large.bin", "/", "b/", "b/c/", "b/empty/"];
    const given = new FolderDates(source.list);
    for (const [i, path] of paths.entries()) given.set(new TextEncoder().encode(path), 1_000_000_000_000 + i * 1000);
    await source.fetch({ dates: given });
    const dates = paths.map((path) => statSync(join(top, "Lesson", path)).mtimeMs);
    expect(dates).toEqual(paths.map((_, i) => 1_000_000_000_000 + i * 1000));
  });

  test("nothing of it can be run", async () => {
    await new Source({ "a.sh": "#!/bin/sh" }).fetch();
    expect(statSync(join(top, "Lesson/a.sh")).mode & 0o111).toBe(0);
  });

  test("after a break only the missing pieces are fetched", async () => {
    const source = new Source({ "a.txt": "one", "b.bin": LARGE });
    const first = source.open();
    await first.write(0, source.bytes.subarray(0, source.cut.startOf(2)));
    await first.keep();
    expect(readdirSync(top)).toEqual([expect.stringMatching(/^\.ft-[0-9a-f]{32}\.part$/)]);
    expect(await source.fetch()).toMatchObject({ fetched: 2, outcome: "new" });
    expect(Buffer.compare(readFileSync(join(top, "Lesson/b.bin")), LARGE)).toBe(0);
  });

  test("a file that is wrong after a break is fetched again", async () => {
    const source = new Source({ "a.txt": "one", "b.txt": "two" });
    const first = source.open();
    await source.fill(first);
    await first.keep();
    const [part = ""] = readdirSync(top);
    writeFileSync(join(top, part, "b.txt"), "bad");
    expect(await source.fetch()).toMatchObject({ fetched: 1 });
    expect(read("Lesson/b.txt")).toBe("two");
  });

  test("a folder that has changed meanwhile uses what is the same", async () => {
    const before = new Source({ "large.bin": LARGE, "b.txt": "two" });
    const open = before.open();
    await before.fill(open);
    await open.keep();
    const after = new Source({ "large.bin": LARGE, "b.txt": "changed", "c.txt": "new" });
    expect(await after.fetch()).toMatchObject({ fetched: 1, outcome: "new" });
    expect(tree()).toMatchObject({ "Lesson/b.txt": "changed", "Lesson/c.txt": "new", "Lesson/large.bin": "2700000" });
  });

  test("a folder that is there completely is not fetched again", async () => {
    const source = new Source({ "a.txt": "one", "b/c.bin": LARGE, "d/": "" });
    await source.fetch();
    expect(await source.fetch()).toMatchObject({ fetched: 0, outcome: "already here", numbered: [] });
    expect(readdirSync(top)).toEqual(["Lesson"]);
  });

  test("files that are there stay: the same ones are not fetched, another one keeps its name", async () => {
    put("Lesson/b/c.txt", "mine");
    put("Lesson/own.txt", "untouched");
    const source = new Source({ "a.txt": "one", "b/c.txt": "theirs" });
    const done = await source.fetch();
    expect(done).toMatchObject({ outcome: "merged", numbered: [{ path: "b/c.txt", local: "b/c (1).txt" }] });
    expect(tree()).toEqual({
      "Lesson/": "",
      "Lesson/a.txt": "one",
      "Lesson/b/": "",
      "Lesson/b/c (1).txt": "theirs",
      "Lesson/b/c.txt": "mine",
      "Lesson/own.txt": "untouched",
    });
    expect(await source.fetch()).toMatchObject({ outcome: "already here" });
    expect(Object.keys(tree())).toHaveLength(6);
  });

  test("a large file that is there and not right is fetched as a whole: what is there does not make holes in it", async () => {
    const source = new Source({ "large.bin": LARGE, "small.txt": "one" });
    await source.fetch();
    const path = join(top, "Lesson", "large.bin");
    const changed = (bytes: Uint8Array) => {
      rmSync(join(top, "Lesson", "large (1).bin"), { force: true });
      writeFileSync(path, bytes);
    };
    for (const mine of [LARGE.map((byte, i) => (i === 1_500_000 ? byte ^ 1 : byte)), LARGE.subarray(0, 1_100_000)]) {
      changed(mine);
      expect(await source.fetch()).toMatchObject({ fetched: 3, numbered: [{ local: "large (1).bin" }] });
      expect(Buffer.compare(readFileSync(join(top, "Lesson", "large (1).bin")), LARGE)).toBe(0);
      expect(Buffer.compare(readFileSync(path), mine)).toBe(0);
    }
    changed(new Uint8Array([...LARGE, 1]));
    expect(await source.fetch()).toMatchObject({ fetched: 3, outcome: "merged" });
    expect(Buffer.compare(readFileSync(join(top, "Lesson", "large (1).bin")), LARGE)).toBe(0);
  });

  test.each(["large.bin", "small.txt"])(
    "%s that another program changes in the part folder does not get its name",
    async (name) => {
      const source = new Source({ "large.bin": LARGE, "small.txt": "small", "other.txt": "other" });
      const incoming = source.open();
      await source.fill(incoming);
      const [part = ""] = readdirSync(top).filter((one) => one.endsWith(".part"));
      const path = join(top, part, name);
      const before = statSync(path, { bigint: true }).ctimeNs;
      const changed = readFileSync(path).map((byte, i) => (i === 2 ? byte ^ 1 : byte));
      // The clock of the file system may tick slowly.
      do writeFileSync(path, changed);
      while (statSync(path, { bigint: true }).ctimeNs === before);
      await expect(incoming.publish()).rejects.toThrow(`another program changes "${name}" in its part folder`);
      expect(existsSync(join(top, "Lesson"))).toBe(false);
      expect(await source.fetch()).toMatchObject({ fetched: 1, outcome: "new" });
      expect(Buffer.compare(readFileSync(join(top, "Lesson", "large.bin")), LARGE)).toBe(0);
      expect(read("Lesson/small.txt")).toBe("small");
    },
  );

  test.skipIf(process.platform === "win32")(
    "an entry that this disk cannot take does not keep the others from coming",
    async () => {
      const deep = Array.from({ length: 16 }, () => "n".repeat(235)).join("/");
      const source = new Source({
        "a.txt": "one",
        [`${deep}/empty/`]: "",
        [`${deep}/nothing`]: "",
        [`${deep}/some.txt`]: "some",
      });
      const into = join(top, "q".repeat(200), "q".repeat(200));
      mkdirSync(into, { recursive: true });
      for (const outcome of ["new", "already here"]) {
        const { failed, ...done } = await source.fetch({ into });
        expect(done.outcome as string).toBe(outcome);
        // A folder is not one of the files.
        expect(done.saved).toEqual({ files: 1, size: 3 });
        expect(failed.map(({ path }) => path.slice(deep.length + 1)).sort()).toEqual(["empty/", "nothing", "some.txt"]);
        expect(new Set(failed.map(({ reason }) => reason))).toEqual(new Set(["its name is too long"]));
        expect(readFileSync(join(into, "Lesson", "a.txt"), "utf8")).toBe("one");
      }
    },
  );

  test("a file that got a number is told with it, also when it is there already", async () => {
    put("Lesson/a.txt", "mine");
    const source = new Source({ "a.txt": "one", "b.txt": "two" });
    for (const outcome of ["merged", "already here"] as const) {
      const numbered = [{ path: "a.txt", local: "a (1).txt" }];
      expect(await source.fetch()).toMatchObject({ outcome, numbered });
    }
    expect(tree()).toEqual({ "Lesson/": "", "Lesson/a.txt": "mine", "Lesson/a (1).txt": "one", "Lesson/b.txt": "two" });
  });

  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  const isRoot = process.getuid?.() === 0;
  const imports = `
    import { IncomingFolder } from "${LIB}peer/disk/folders/incoming-folder.ts";
    import { FolderCut } from "${LIB}peer/content/folder-cut.ts";
    import { FolderDates } from "${LIB}peer/content/folder-dates.ts";
    import { formatFolderList } from "${LIB}protocol/folder.ts";
    import { parseFolderList } from "${LIB}protocol/folder-list.ts";`;
  const canDrop =
    process.platform !== "win32" &&
    (!isRoot || (Bun.which("setpriv") !== null && Bun.spawnSync([...asNobody, process.execPath, "-e", imports]).success));
  if (!canDrop) console.log("skipped: a folder inside that may not be written; there is nobody else to become");

  test.skipIf(!canDrop)("a folder inside that may not be written is the one that the sentence names", () => {
    for (const folder of ["", "Lesson", "Lesson/shut"]) {
      mkdirSync(join(top, folder), { recursive: true });
      chmodSync(join(top, folder), 0o777);
    }
    chmodSync(join(top, "Lesson/shut"), 0o555);
    const script = `${imports}
      const entry = { path: "shut/a.txt", size: 3, root: "${treeOfBytes(Buffer.from("one")).root}" };
      const list = parseFolderList(formatFolderList([entry]));
      const [cut, dates] = [new FolderCut(list), new FolderDates(list)];
      const incoming = IncomingFolder.open({ into: ${JSON.stringify(top)}, name: "Lesson", list, cut, inside: "", dates });
      await incoming.write(0, Buffer.from("one"));
      await incoming.publish().catch((error) => console.log(error.message));`;
    const { stdout, stderr } = Bun.spawnSync([...(isRoot ? asNobody : []), process.execPath, "-e", script]);
    const where = realpathSync(join(top, "Lesson/shut"));
    expect([stdout.toString(), stderr.toString()]).toEqual([
      `Cannot save into "${where}": you may not write there. Choose another folder with --to.\n`,
      "",
    ]);
    chmodSync(join(top, "Lesson/shut"), 0o755);
  });

  test("a file in the part folder that is only touched gets its name", async () => {
    const source = new Source({ "large.bin": LARGE, "small.txt": "small" });
    const incoming = source.open();
    await source.fill(incoming);
    const [part = ""] = readdirSync(top).filter((one) => one.endsWith(".part"));
    for (const name of ["large.bin", "small.txt"]) chmodSync(join(top, part, name), 0o600);
    expect(await incoming.publish()).toMatchObject({ outcome: "new" });
  });

  test("what an earlier run left for another list does not get into the folder, and is not in the way", async () => {
    const before = new Source({ "a.bin": LARGE, "b.bin": LARGE, "c.bin": LARGE, "d/in.txt": "in", "z.txt": "z" });
    const first = before.open();
    await before.fill(first);
    await first.keep();
    const short = LARGE.slice(0, 1_200_000);
    const after = new Source({ "a.bin": short, "b.bin/in.txt": "was a file", d: "was a folder", "z.txt": "z" });
    await after.fetch();
    expect(tree()).toEqual({
      "Lesson/": "",
      "Lesson/a.bin": "1200000",
      "Lesson/b.bin/": "",
      "Lesson/b.bin/in.txt": "was a file",
      "Lesson/d": "was a folder",
      "Lesson/z.txt": "z",
    });
    expect(Buffer.compare(readFileSync(join(top, "Lesson", "a.bin")), short)).toBe(0);
  });

  test("a run that was killed while it gave the names: a later list does not change the finished file", async () => {
    const before = new Source({ "a.bin": LARGE });
    await before.fetch();
    const incoming = before.open({ name: "Other" });
    await before.fill(incoming);
    await incoming.keep();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    mkdirSync(join(top, "Other"));
    linkSync(join(top, part, "a.bin"), join(top, "Other", "a.bin"));
    const after = new Source({ "a.bin": LARGE.slice(0, 1_200_000).map((byte) => byte ^ 1) });
    await after.fetch({ name: "Other" });
    expect(Buffer.compare(readFileSync(join(top, "Other", "a.bin")), LARGE)).toBe(0);
    expect(statSync(join(top, "Other", "a (1).bin")).size).toBe(1_200_000);
  });

  test("a file that has the folder's name stays, and so does a link: nothing is written through it", async () => {
    put("Lesson", "a file");
    const source = new Source({ "in/a.txt": "one" });
    expect(await source.fetch()).toMatchObject({ path: join(top, "Lesson (1)") });
    mkdirSync(join(top, "elsewhere"));
    rmSync(join(top, "Lesson"));
    rmSync(join(top, "Lesson (1)"), { recursive: true });
    mkdirSync(join(top, "Lesson"));
    symlinkSync(join(top, "elsewhere"), join(top, "Lesson", "in"));
    expect(await source.fetch()).toMatchObject({ numbered: [{ path: "in/", local: "in (1)" }] });
    expect(readdirSync(join(top, "elsewhere"))).toEqual([]);
    expect(read("Lesson/in (1)/a.txt")).toBe("one");
  });

  test("a link in the place of a folder keeps the date of its target; the folder that was fetched gets its own", async () => {
    const source = new Source({ "in/a.txt": "one", "in/empty": "" });
    const given = new FolderDates(source.list);
    given.set(new TextEncoder().encode("in/"), 1_000_000_000_000);
    mkdirSync(join(top, "elsewhere"));
    writeFileSync(join(top, "elsewhere", "empty"), "");
    const before = statSync(join(top, "elsewhere")).mtimeMs;
    mkdirSync(join(top, "Lesson"));
    symlinkSync(join(top, "elsewhere"), join(top, "Lesson", "in"));
    await source.fetch({ dates: given });
    expect(statSync(join(top, "elsewhere")).mtimeMs).toBe(before);
    expect(statSync(join(top, "Lesson", "in (1)")).mtimeMs).toBe(1_000_000_000_000);
    expect(readdirSync(join(top, "Lesson", "in (1)")).sort()).toEqual(["a.txt", "empty"]);
  });

  test("a file that is there only through a link counts as missing, and is not read through it", async () => {
    const source = new Source({ "in/a.txt": "one", "in/z.bin": LARGE });
    await source.fetch();
    renameSync(join(top, "Lesson", "in"), join(top, "elsewhere"));
    symlinkSync(join(top, "elsewhere"), join(top, "Lesson", "in"));
    const incoming = source.open();
    expect((await incoming.present(await source.hashes, pool, () => undefined)).count).toBe(0);
    await expect(incoming.read(new Uint8Array(3), 0)).rejects.toThrow("is not here");
    await source.fill(incoming);
    await incoming.publish();
    expect(read("Lesson/in (1)/a.txt")).toBe("one");
  });

  test("a read of many small files ends after a moment, with a part of the bytes", async () => {
    const source = new Source(Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`${n}`, "x"])));
    const incoming = source.open();
    await source.fill(incoming);
    const got = await incoming.read(new Uint8Array(2000), 0);
    await incoming.keep();
    expect(got).toBeGreaterThan(0);
    expect(got).toBeLessThan(2000);
  });

  test("a folder that is larger than the disk is refused before its hashes are asked for, and leaves nothing", () => {
    const list = parseFolderList(new TextEncoder().encode(`16000000000000 ${"a".repeat(64)} a\n`));
    const options = { list, cut: new FolderCut(list), inside: "", dates: new FolderDates(list), into: top, name: "Lesson" };
    expect(() => IncomingFolder.open(options)).toThrow(/it needs 16 TB, and ".*" has .* free/);
    expect(readdirSync(top)).toEqual([]);
  });

  test.each([
    ["bytes", { bavail: 2_000_000 }, /it needs 2\.7 MB, and ".*" has 2\.0 MB free/],
    ["files", { ffree: 5 }, /it has 6 files and folders to save, and ".*" has room for 5 more/],
  ])("a disk that has no room for its %s is a sentence before the first byte, and nothing is left", async (_, free, why) => {
    const source = new Source({ "a/b/c.txt": "one", "a/d.txt": "two", "e/f.bin": LARGE });
    const disk = { ...statfsSync(top), bsize: 1, blocks: 1e12, bavail: 1e12, files: 1000, ffree: 1000, ...free };
    const incoming = source.open({ room: () => disk });
    await expect(incoming.present(await source.hashes, pool, () => undefined)).rejects.toThrow(why);
    await incoming.keep();
    expect(readdirSync(top)).toEqual([]);
  });

  test("what an earlier run left needs no room again, and a disk that does not count files has room for any", async () => {
    const source = new Source({ "a.txt": "one", "b/f.bin": LARGE });
    const first = source.open();
    await source.fill(first);
    await first.keep();
    const disk = { ...statfsSync(top), bsize: 1, blocks: 1e12, bavail: 100, files: 0, ffree: 0 };
    const second = source.open({ room: () => disk });
    expect((await second.present(await source.hashes, pool, () => undefined)).complete).toBe(true);
    await second.keep();
  });

  test("names that are not safe here are changed", async () => {
    await new Source({ "..x/CON": "one", "a:b": "two" }).fetch();
    expect(Object.keys(tree())).toEqual(expect.arrayContaining(["Lesson/_x/_CON", "Lesson/a_b"]));
  });

  test("one file inside goes into the folder that was named, a folder inside becomes a folder there", async () => {
    const source = new Source({ "a.txt": "one", "b/c.txt": "two", "b/d/e.txt": "three", "z.bin": LARGE });
    expect(await source.fetch({ inside: "b/c.txt" })).toMatchObject({ path: join(top, "c.txt"), outcome: "new", fetched: 1 });
    expect(await source.fetch({ inside: "b/c.txt" })).toMatchObject({ path: join(top, "c.txt"), outcome: "already here" });
    expect(tree()).toEqual({ "c.txt": "two" });
    expect(await source.fetch({ inside: "b" })).toMatchObject({ path: join(top, "b") });
    expect(tree()).toMatchObject({ "b/c.txt": "two", "b/d/e.txt": "three" });
    expect(existsSync(join(top, "z.bin"))).toBe(false);
  });

  test("a file that cannot be saved is named, and the others arrive", async () => {
    const source = new Source({ "a.txt": "one", "b/c.txt": "two", "d.txt": "three" });
    const incoming = source.open();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    // Something that cannot be replaced has the file's place.
    mkdirSync(join(top, part, "a.txt", "inner"), { recursive: true });
    await source.fill(incoming);
    expect(incoming.failed).toEqual([{ path: "a.txt", reason: expect.any(String) }]);
    rmSync(join(top, part, "a.txt"), { recursive: true });
    await incoming.publish();
    expect(tree()).toEqual({ "Lesson/": "", "Lesson/b/": "", "Lesson/b/c.txt": "two", "Lesson/d.txt": "three" });
  });

  test("of several large files that come at once, one that cannot be saved is named, and the others arrive", async () => {
    const source = new Source({ "a.bin": LARGE, "b.bin": LARGE, "c.bin": LARGE });
    const incoming = source.open();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    mkdirSync(join(top, part, "b.bin"));
    await incoming.write(0, source.bytes);
    expect(incoming.failed).toEqual([{ path: "b.bin", reason: expect.any(String) }]);
    for (const name of ["a.bin", "c.bin"]) expect(Buffer.compare(readFileSync(join(top, part, name)), LARGE)).toBe(0);
    await incoming.keep();
  });

  test("without its part folder it ends, however many large files come at once", async () => {
    const source = new Source({ "a.bin": LARGE, "b.bin": LARGE, "c.bin": LARGE });
    const incoming = source.open();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    rmSync(join(top, part), { recursive: true });
    await expect(incoming.write(0, source.bytes)).rejects.toThrow("part folder");
    await incoming.keep();
  });

  test("what has come can be read again for others, the rest cannot", async () => {
    const source = new Source({ "a.txt": "one", "b.bin": LARGE });
    const incoming = source.open();
    await incoming.write(0, source.bytes.subarray(0, source.cut.startOf(2)));
    const into = new Uint8Array(1000);
    expect(await incoming.read(into, 1)).toBe(1000);
    expect(Buffer.compare(into, source.bytes.subarray(1, 1001))).toBe(0);
    await expect(incoming.read(into, source.cut.startOf(2))).rejects.toThrow();
    await incoming.keep();
  });

  test("a file that was there already is read for others only while it is the one that was checked", async () => {
    put("Lesson/a.txt", "one");
    const source = new Source({ "a.txt": "one", "large.bin": LARGE });
    const incoming = source.open();
    await source.fill(incoming);
    const into = new Uint8Array(3);
    expect(await incoming.read(into, 0)).toBe(3);
    rmSync(join(top, "Lesson/a.txt"));
    put("Lesson/a.txt", "own");
    await expect(incoming.read(into, 0)).rejects.toThrow();
    expect(Buffer.from(into).toString()).toBe("one");
    await incoming.keep();
  });

  test("a person's own file, beside which the fetched one got a number, is not read in its place", async () => {
    put("Lesson/b.txt", "own");
    const source = new Source({ "b.txt": "two" });
    const incoming = source.open();
    await source.fill(incoming);
    expect((await incoming.publish()).numbered).toEqual([{ path: "b.txt", local: "b (1).txt" }]);
    const into = new Uint8Array(3);
    await expect(incoming.read(into, 0)).rejects.toThrow();
    expect(Buffer.from(into).toString()).not.toBe("own");
  });

  test("how many files are complete, and how many there are", async () => {
    const source = new Source({ "a.txt": "one", "b.txt": "two", "c.bin": LARGE, "d.txt": "" });
    const incoming = source.open();
    expect(incoming).toMatchObject({ files: 4, size: LARGE.length + 6 });
    const have = new PieceSet(source.cut.count);
    expect(incoming.filesIn(have)).toBe(1);
    have.add(0);
    expect(incoming.filesIn(have)).toBe(3);
    for (let piece = 0; piece < source.cut.count; piece++) have.add(piece);
    expect(incoming.filesIn(have)).toBe(4);
    await incoming.keep();
  });

  test("a second fetch of the same folder into the same place is refused, of another one is not", async () => {
    const source = new Source({ "a.txt": "one" });
    const first = source.open();
    expect(() => source.open()).toThrow('The folder "Lesson" is being fetched into this folder already');
    await source.open({ name: "Other" }).keep();
    await first.keep();
    await source.open().keep();
    expect(readdirSync(top)).toEqual([]);
  });

  test("a part folder that others may write to is not used", async () => {
    const source = new Source({ "a.txt": "one" });
    const first = source.open();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    writeFileSync(join(top, part, "x"), "");
    await first.keep();
    chmodSync(join(top, part), 0o777);
    expect(() => source.open()).toThrow("is in the way");
  });

  test("a part folder that was removed meanwhile is a sentence", async () => {
    const source = new Source({ "a.txt": "one", "b/c.txt": "two" });
    const incoming = source.open();
    const [part = ""] = readdirSync(top).filter((name) => name.endsWith(".part"));
    rmSync(join(top, part), { recursive: true });
    await expect(source.fill(incoming)).rejects.toThrow("its part folder in");
    await incoming.keep();
  });
});
