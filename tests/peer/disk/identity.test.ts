// Which file is at a path, and who can put another one there.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  entryOf,
  type FirstChoice,
  folderOf,
  identityOf,
  inodeOf,
  isAtItsPath,
  isSameEntry,
  learnNumbering,
  originalOf,
  othersMayReplace,
  refuseInPlaceOf,
} from "../../../lib/peer/disk/identity.ts";
import { looksWhole, writeReach } from "../../../lib/peer/disk/part-file.ts";
import { hasOtherUser, OTHER } from "../../helpers/other-user.ts";

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-identity-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (...names: string[]) => join(folder, ...names);

/** A folder in the test's folder with these rights, whatever the umask. */
function makeFolder(mode: number, ...names: string[]): void {
  mkdirSync(at(...names));
  chmodSync(at(...names), mode);
}

describe("entryOf", () => {
  test("follows no link, and is undefined where nothing is", () => {
    writeFileSync(at("a"), "x");
    symlinkSync(at("a"), at("link"));
    expect([entryOf(at("a"))?.isFile(), entryOf(at("link"))?.isFile(), entryOf(at("none"))]).toEqual([true, false, undefined]);
  });

  test("an identity differs after any change, a renamed file keeps its inode", () => {
    writeFileSync(at("a"), "x");
    const before = lstatSync(at("a"), { bigint: true });
    renameSync(at("a"), at("b"));
    chmodSync(at("b"), 0o640);
    writeFileSync(at("b"), "yy");
    const after = lstatSync(at("b"), { bigint: true });
    expect(inodeOf(after)).toBe(inodeOf(before));
    expect(identityOf(after)).not.toBe(identityOf(before));
  });
});

describe("isAtItsPath", () => {
  test("a file that was opened through a link is not", () => {
    mkdirSync(at("real"));
    writeFileSync(at("real", "a"), "x");
    symlinkSync(at("real"), at("link"));
    const fd = openSync(at("link", "a"), "r");
    expect(isAtItsPath(fd, at("real", "a"))).toBe(true);
    // Only Linux tells where an open file is.
    if (process.platform === "linux") expect(isAtItsPath(fd, at("link", "a"))).toBe(false);
    renameSync(at("real", "a"), at("real", "b"));
    writeFileSync(at("real", "a"), "other");
    expect(isAtItsPath(fd, at("real", "a"))).toBe(false);
    closeSync(fd);
  });
});

describe.skipIf(process.platform === "win32")("othersMayReplace", () => {
  test("not in a folder that only this user may write to", () => {
    for (const mode of [0o700, 0o755, 0o1755]) {
      chmodSync(folder, mode);
      expect([mode, othersMayReplace(at("a"))]).toEqual([mode, false]);
    }
  });

  test("in a folder that all may write to, also with the sticky bit, and below one without it", () => {
    makeFolder(0o777, "open");
    makeFolder(0o755, "open", "closed");
    makeFolder(0o1777, "sticky");
    makeFolder(0o755, "sticky", "closed");
    expect(othersMayReplace(at("open", "a"))).toBe(true);
    expect(othersMayReplace(at("open", "closed", "a"))).toBe(true);
    expect(othersMayReplace(at("sticky", "a"))).toBe(true);
    expect(othersMayReplace(at("sticky", "closed", "a"))).toBe(false);
  });

  test.skipIf(!hasOtherUser)("in a folder of another user or group", () => {
    makeFolder(0o755, "theirs");
    chownSync(at("theirs"), OTHER, 0);
    expect(othersMayReplace(at("theirs", "a"))).toBe(true);
    makeFolder(0o775, "group");
    // This user's own group has nobody else in it.
    expect(othersMayReplace(at("group", "a"))).toBe(false);
    chownSync(at("group"), 0, OTHER);
    expect(othersMayReplace(at("group", "a"))).toBe(true);
  });
});

describe.skipIf(process.platform === "win32")("refuseInPlaceOf", () => {
  function choose(path: string): FirstChoice {
    const entry = lstatSync(path, { bigint: true });
    return { owner: Number(entry.uid), original: originalOf(entry), folder: folderOf(path) };
  }

  /** What is said of another file that is renamed over "a" in a folder with these rights. */
  function replace(rights: number, make: (path: string) => void): string | undefined {
    chmodSync(folder, rights);
    writeFileSync(at("a"), "first");
    const first = choose(at("a"));
    make(at("new"));
    renameSync(at("new"), at("a"));
    return refuseInPlaceOf(first, at("a"), lstatSync(at("a"), { bigint: true }));
  }

  const file = (mode: number) => (path: string) => {
    writeFileSync(path, "new");
    chmodSync(path, mode);
  };

  test("the same file is never refused, whatever is written to it", () => {
    chmodSync(folder, 0o777);
    writeFileSync(at("a"), "first", { mode: 0o600 });
    const first = choose(at("a"));
    writeFileSync(at("a"), "second");
    expect(refuseInPlaceOf(first, at("a"), lstatSync(at("a"), { bigint: true }))).toBeUndefined();
  });

  test("where only this user may write, a new file takes its place: editors save so", () => {
    for (const mode of [0o600, 0o644]) expect(replace(0o755, file(mode))).toBeUndefined();
  });

  test("where others may write, only a file that all may read and that has one name", () => {
    const link = (path: string) => {
      file(0o644)(at("private"));
      linkSync(at("private"), path);
    };
    for (const rights of [0o777, 0o1777]) {
      expect(replace(rights, file(0o644))).toBeUndefined();
      expect(replace(rights, file(0o600))).toMatch(/may be private/);
      expect(replace(rights, file(0o640))).toMatch(/may be private/);
      expect(replace(rights, link)).toMatch(/may be private/);
      rmSync(at("private"));
    }
  });

  test("where others may write, a file in another folder that got the name of the first one is refused", () => {
    makeFolder(0o777, "shared");
    makeFolder(0o700, "private");
    chmodSync(folder, 0o777);
    file(0o644)(at("shared", "a"));
    file(0o644)(at("private", "a"));
    const first = choose(at("shared", "a"));
    renameSync(at("shared"), at("aside"));
    renameSync(at("private"), at("shared"));
    expect(refuseInPlaceOf(first, at("shared", "a"), lstatSync(at("shared", "a"), { bigint: true }))).toMatch(/may be private/);
  });

  test.skipIf(!hasOtherUser)("a file that was given to another user is the same one, if all may read it", () => {
    writeFileSync(at("a"), "1");
    const first = choose(at("a"));
    const now = () => refuseInPlaceOf(first, at("a"), lstatSync(at("a"), { bigint: true }));
    chownSync(at("a"), OTHER, OTHER);
    chmodSync(at("a"), 0o644);
    expect(now()).toBeUndefined();
    chmodSync(at("a"), 0o640);
    expect(now()).toMatch(/^it belongs to another user now/);
    // Where files have no time of birth, another file may have its number.
    const entry = lstatSync(at("a"), { bigint: true });
    const unborn = { ...entry, birthtimeNs: 0n } as typeof entry;
    expect(refuseInPlaceOf({ ...first, original: originalOf(unborn) }, at("a"), unborn)).toMatch(/^a file of another user/);
  });

  test.skipIf(!hasOtherUser)("a file of another user is refused everywhere, unless the first one was that user's", () => {
    const theirs = (path: string) => {
      file(0o644)(path);
      chownSync(path, OTHER, OTHER);
    };
    expect(replace(0o755, theirs)).toMatch(/another user/);
    theirs(at("a"));
    const first = choose(at("a"));
    theirs(at("new"));
    renameSync(at("new"), at("a"));
    expect(refuseInPlaceOf(first, at("a"), lstatSync(at("a"), { bigint: true }))).toBeUndefined();
  });
});

describe("isSameEntry", () => {
  const entry = { dev: 1n, ino: 2n, uid: 3n, size: 4n, mtimeNs: 5n, ctimeNs: 6n } as BigIntStats;

  test("of one inode is true, whatever its times are", () => {
    expect(isSameEntry(entry, { ...entry, size: 9n, ctimeNs: 9n } as BigIntStats)).toBe(true);
  });

  test("of two inodes is true only where the file system numbers one file twice: all else is the same", () => {
    const other = { ...entry, ino: 7n } as BigIntStats;
    expect(isSameEntry(entry, other)).toBe(true);
    for (const differs of ["dev", "uid", "size", "mtimeNs", "ctimeNs"])
      expect([differs, isSameEntry(entry, { ...other, [differs]: 9n } as BigIntStats)]).toEqual([differs, false]);
  });
});

test("looksWhole: without holes, except on Windows, which compresses", () => {
  expect(looksWhole({ size: 5000, blocks: 8 }, 5000, "linux")).toBe(false);
  expect(looksWhole({ size: 5000, blocks: 16 }, 5000, "linux")).toBe(true);
  expect(looksWhole({ size: 5000, blocks: 0 }, 5000, "win32")).toBe(true);
  expect(looksWhole({ size: 4000, blocks: 16 }, 5000, "win32")).toBe(false);
});

test("writeReach: on Windows a part file is not written far behind its end", () => {
  expect([writeReach("win32"), writeReach("linux"), writeReach("darwin")]).toEqual([64 * 1024 * 1024, undefined, undefined]);
});

test("a file system that gives a file another number each time is noticed: its numbers do not count any more, and no other's", () => {
  let ino = 0n;
  const onNetworkDrive = () => ({ ...at(2_718_281n), ino: ++ino }) as BigIntStats;
  const at = (dev: bigint) => ({ dev, ino: 1n, size: 5n, mtimeNs: 6n, ctimeNs: 7n }) as BigIntStats;
  expect(identityOf(onNetworkDrive())).not.toBe(identityOf(onNetworkDrive()));
  learnNumbering("film.mp4", onNetworkDrive);
  expect(identityOf(onNetworkDrive())).toBe(identityOf(onNetworkDrive()));
  expect(identityOf({ ...onNetworkDrive(), ctimeNs: 8n } as BigIntStats)).not.toBe(identityOf(onNetworkDrive()));
  learnNumbering("film.mp4", () => at(2_718_282n));
  expect(identityOf(at(2_718_282n))).not.toBe(identityOf({ ...at(2_718_282n), ino: 2n } as BigIntStats));
});
