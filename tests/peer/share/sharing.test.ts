// What the tracker is told when shared files change, go, come back or are new: real files, a tracker that only listens.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  appendFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HashPool } from "../../../lib/peer/content/hash.ts";
import { TreeCache } from "../../../lib/peer/content/tree-cache.ts";
import { chooseFiles, Share, type SharedFile } from "../../../lib/peer/disk/share.ts";
import type { PeerEvent } from "../../../lib/peer/events.ts";
import type { Standing } from "../../../lib/peer/online/standing.ts";
import { Sharing } from "../../../lib/peer/share/sharing.ts";
import { addressOf, HandClock } from "../../helpers/channel.ts";

const YOU = addressOf("192.168.1.17");

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-sharing-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Files in a folder, what was said of them, and a hasher that gives the size as the content id. */
function scene(names: string[], { max = 5, downloading = false, isLast = false } = {}) {
  for (const name of names) if (!existsSync(join(folder, name))) writeFileSync(join(folder, name), name);
  const said: string[] = [];
  const events: PeerEvent[] = [];
  const clock = new HandClock();
  const share = new Share(names.length === 0 ? [] : chooseFiles([folder], 5).taken);
  const pool = {
    tree: async (_fd: number, size: number) => ({ root: String(size).padStart(64, "0"), pieces: new Uint8Array(32) }),
  } as unknown as HashPool;
  const sharing = new Sharing({
    share,
    pool,
    cache: new TreeCache(join(folder, ".cache", "roots.json")),
    session: {
      standing: { you: YOU, max } as Standing,
      leave: async () => void said.push("leave"),
      comeBack: () => void said.push("come back"),
      sendAgain: async () => void said.push("send again"),
      requests: {
        add: async ({ name, size, root, part, beyond, only }) =>
          void said.push(
            `add ${name} ${size}${root === undefined ? "" : " root"}${part ? " part" : ""}${beyond ? " beyond" : ""}${only === undefined ? "" : ` only ${only}`}`,
          ),
        drop: async (name) => {
          said.push(`drop ${name}`);
          return !isLast && share.files.length > 0;
        },
      },
    },
    port: 1235,
    hasRoom: () => share.files.filter(({ beyond }) => !beyond).length < max,
    isDownloading: () => downloading,
    unreadable: () => said.push("unreadable"),
    report: (event) => events.push(event),
    clock,
  });
  const file = (name: string): SharedFile => {
    const found = share.find({ name });
    if (found === undefined) throw new Error(`"${name}" is not shared`);
    return found;
  };
  /** Waits for events; the disk takes the time that it takes. */
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise((go) => setImmediate(go));
  };
  return { sharing, share, said, events, clock, file, until };
}

/** A file in the folder as a download has left it. */
function published(name: string) {
  const path = join(folder, name);
  return { path, entry: lstatSync(path, { bigint: true }) };
}

/** The person renames a.txt to c.txt. `done` resolves when the tracker has been told. */
function rename({ sharing, share, file }: ReturnType<typeof scene>): { renamed: ReturnType<typeof file>; done: Promise<void> } {
  const renamed = file("a.txt");
  renameSync(join(folder, "a.txt"), join(folder, "c.txt"));
  const was = share.follow(renamed);
  if (was === undefined) throw new Error("the file was not found");
  return { renamed, done: sharing.renamed(renamed, was) };
}

describe("Sharing", () => {
  test("computeRoots adds each file's content id", async () => {
    const { sharing, said, events } = scene(["a.txt", "b.txt"]);
    await sharing.computeRoots();
    expect(said).toEqual(["add a.txt 5 root", "add b.txt 5 root"]);
    expect(events).toMatchObject([
      { event: "root", name: "a.txt", size: 5 },
      { event: "root", name: "b.txt", size: 5 },
    ]);
  });

  test("computeRoots reports the content ids that an earlier run has remembered, once", async () => {
    writeFileSync(join(folder, "a.txt"), "a.txt");
    utimesSync(join(folder, "a.txt"), new Date(0), new Date(0));
    await scene(["a.txt"]).sharing.computeRoots();
    const { sharing, said, events } = scene(["a.txt"]);
    await sharing.computeRoots();
    await sharing.computeRoots();
    expect(said).toEqual([]);
    expect(events).toMatchObject([{ event: "root", name: "a.txt", size: 5, root: "5".padStart(64, "0") }]);
  });

  test("computeRoots takes the small files first", async () => {
    const { sharing, said } = scene(["a-long-name.txt", "b.txt", "even-longer-name.txt", "z"]);
    await sharing.computeRoots();
    expect(said.map((line) => line.split(" ")[1])).toEqual(["z", "b.txt", "a-long-name.txt", "even-longer-name.txt"]);
  });

  test("open gives a shared file by its name or content", async () => {
    const { sharing } = scene(["a.txt"]);
    await sharing.computeRoots();
    const root = "5".padStart(64, "0");
    for (const asked of [{ name: "a.txt" }, { root }, { name: "a.txt", size: 5 }]) {
      const opened = sharing.open(asked);
      expect(opened).toMatchObject({ name: "a.txt", root, file: { size: 5 } });
      opened?.file.close();
    }
    for (const asked of [{ name: "b.txt" }, { name: "a.txt", size: 6 }, { folder: root }]) {
      expect(sharing.open(asked)).toBeUndefined();
    }
    expect([sharing.has(root), sharing.has("6".padStart(64, "0"))]).toEqual([true, false]);
  });

  test("open gives a file that is only for some by its content, not by its name", async () => {
    const { sharing, file } = scene(["a.txt"]);
    await sharing.computeRoots();
    file("a.txt").only = "token";
    expect(sharing.open({ name: "a.txt" })).toBeUndefined();
    const opened = sharing.open({ root: "5".padStart(64, "0") });
    expect(opened?.name).toBe("a.txt");
    opened?.file.close();
  });

  test("open says when a shared file cannot be read", () => {
    const { sharing, said } = scene(["a.txt"]);
    rmSync(join(folder, "a.txt"));
    expect(sharing.open({ name: "a.txt" })).toBeUndefined();
    expect(said).toEqual(["unreadable"]);
  });

  test("stop ends computeRoots", async () => {
    const { sharing, said } = scene(["a.txt"]);
    sharing.stop();
    await sharing.computeRoots();
    expect(said).toEqual([]);
  });

  test("changed replaces the record at once, and hashes only the last state, 500 ms later", async () => {
    const { sharing, said, events, clock, file, until } = scene(["a.txt"]);
    appendFileSync(join(folder, "a.txt"), "!");
    const first = sharing.changed(file("a.txt"));
    await clock.pass(400);
    appendFileSync(join(folder, "a.txt"), "!");
    const second = sharing.changed(file("a.txt"));
    await clock.pass(499);
    await first;
    expect(said).toEqual(["add a.txt 6", "add a.txt 7"]);
    await clock.pass(1);
    await until(() => said.length === 3);
    await second;
    expect(said.at(-1)).toBe("add a.txt 7 root");
    expect(events.map(({ event }) => event)).toEqual(["changed", "changed", "root"]);
  });

  test("renamed replaces the record by one of the new name, and hashes the file again", async () => {
    const of = scene(["a.txt", "b.txt"]);
    const { said, events, clock, until } = of;
    const { done } = rename(of);
    await until(() => said.length === 2);
    await clock.pass(500);
    await done;
    expect(said).toEqual(["drop a.txt", "add c.txt 5", "add c.txt 5 root"]);
    expect(events.map(({ event }) => event)).toEqual(["renamed", "root"]);
    expect(events[0]).toMatchObject({ name: "c.txt", was: "a.txt" });
  });

  test("gone drops the record; with the last file this peer leaves", async () => {
    const { sharing, said, file } = scene(["a.txt", "b.txt"]);
    await sharing.gone(file("a.txt"));
    expect(said).toEqual(["drop a.txt"]);
    await sharing.gone(file("b.txt"));
    expect(said).toEqual(["drop a.txt", "drop b.txt", "leave"]);
  });

  test("gone does not leave while a download needs the tracker", async () => {
    const { sharing, said, file } = scene(["a.txt"], { downloading: true });
    await sharing.gone(file("a.txt"));
    expect(said).toEqual(["drop a.txt"]);
  });

  test("back shares the file again and joins again", async () => {
    const { sharing, share, said, clock, file } = scene(["a.txt"]);
    const gone = file("a.txt");
    await sharing.gone(gone);
    const back = sharing.back(gone);
    await clock.pass(500);
    await back;
    expect(share.files).toEqual([gone]);
    expect(said).toEqual(["drop a.txt", "leave", "add a.txt 5", "add a.txt 5 root", "come back"]);
  });

  test("addDownloaded shares a finished download; above the tracker's limit as a whole file that does not count", async () => {
    const { sharing, said } = scene(["a.txt"], { max: 2 });
    for (const name of ["b.txt", "c.txt"]) {
      writeFileSync(join(folder, name), name);
      sharing.addDownloaded(published(name), { root: name.charAt(0).repeat(64), pieces: new Uint8Array(32) });
    }
    expect(said).toEqual(["add b.txt 5 root", "add c.txt 5 root beyond"]);
  });

  test("a file that did not count takes the place of one that is gone", async () => {
    const { sharing, share, said, file } = scene(["a.txt"], { max: 1 });
    writeFileSync(join(folder, "b.txt"), "b.txt");
    sharing.addDownloaded(published("b.txt"), { root: "b".repeat(64), pieces: new Uint8Array(32) });
    await sharing.gone(file("a.txt"));
    expect(said).toEqual(["add b.txt 5 root beyond", "drop a.txt", "add b.txt 5 root"]);
    expect(share.files.map(({ name }) => String(name))).toEqual(["b.txt"]);
  });

  test("the only file that the tracker takes is renamed, or gone while others wait: the list is sent again", async () => {
    const of = scene(["a.txt", "b.txt"], { max: 1, isLast: true });
    const { sharing, said, clock, until } = of;
    const { renamed, done } = rename(of);
    await until(() => said.length === 3);
    await clock.pass(500);
    await done;
    expect(said.slice(0, 3)).toEqual(["drop a.txt", "add c.txt 5", "send again"]);
    said.length = 0;
    await sharing.gone(renamed);
    expect(said).toEqual(["drop c.txt", "send again"]);
  });

  test("addDownloaded leaves a shared file of the same content or the same name alone", async () => {
    const { sharing, said } = scene(["a.txt"]);
    await sharing.computeRoots();
    sharing.addDownloaded(published("a.txt"), { root: "b".repeat(64), pieces: new Uint8Array(32) });
    writeFileSync(join(folder, "b.txt"), "same");
    sharing.addDownloaded(published("b.txt"), { root: "5".padStart(64, "0"), pieces: new Uint8Array(32) });
    expect(said).toEqual(["add a.txt 5 root"]);
  });

  test("a file that is only for some, and replaces one that everybody was shown, is shown to nobody else", async () => {
    const { sharing, said, clock, file, until } = scene(["a.txt"]);
    await sharing.computeRoots();
    writeFileSync(join(folder, "a.txt"), "for Ben alone");
    const about = { root: "b".repeat(64), pieces: new Uint8Array(32), only: "token", isReplacement: true };
    sharing.addDownloaded(published("a.txt"), about);
    await until(() => said.length === 2);
    await clock.pass(500);
    await until(() => said.length === 3);
    expect(said).toEqual(["add a.txt 5 root", "add a.txt 13 only token", "add a.txt 13 root only token"]);
    expect(sharing.open({ name: "a.txt" })).toBeUndefined();
    expect(file("a.txt").only).toBe("token");
  });

  test("addDownloaded shares the file that was published; what took its place meanwhile is not read", () => {
    const { sharing, share } = scene([]);
    writeFileSync(join(folder, "private"), "secret!");
    for (const [name, swap] of [
      ["link", (path: string) => symlinkSync(join(folder, "private"), path)],
      ["hard", (path: string) => linkSync(join(folder, "private"), path)],
      ["other", (path: string) => writeFileSync(path, "another")],
    ] as const) {
      writeFileSync(join(folder, name), "fetched");
      const fetched = published(name);
      rmSync(fetched.path);
      swap(fetched.path);
      sharing.addDownloaded(fetched, { root: name.charAt(0).repeat(64), pieces: new Uint8Array(32) });
      const file = share.find({ name });
      if (file === undefined) throw new Error(`"${name}" is not on the list`);
      expect([file.path, share.open(file), share.hasChanged(file)]).toEqual([fetched.path, undefined, true]);
      if (name === "link") expect([share.renew(file), share.refusalOf(file)]).toEqual([false, "it is a link"]);
    }
  });

  test("addDownloaded does nothing when the folder is gone by then, and withdraws the file", async () => {
    const { sharing, share, said, file } = scene([]);
    mkdirSync(join(folder, "in"));
    writeFileSync(join(folder, "in", "a.txt"), "fetched");
    const fetched = published(join("in", "a.txt"));
    rmSync(join(folder, "in"), { recursive: true });
    sharing.addDownloaded(fetched, { root: "a".repeat(64), pieces: new Uint8Array(32) });
    await sharing.gone(file("a.txt"));
    expect([share.files, said]).toEqual([[], ["add a.txt 7 root", "drop a.txt", "leave"]]);
  });

  test("gone says why", async () => {
    const { sharing, events, file } = scene(["a.txt", "b.txt"]);
    rmSync(join(folder, "a.txt"));
    symlinkSync(join(folder, "b.txt"), join(folder, "a.txt"));
    await sharing.gone(file("a.txt"));
    expect(events).toMatchObject([{ event: "withdrawn", name: "a.txt", reason: "it is a link" }]);
  });

  test("a part with the name of a shared file is neither announced nor withdrawn", async () => {
    const { sharing, said, file } = scene(["a.txt"]);
    const record = { type: "text/plain", size: 9, date: "01/02/26", address: YOU, port: 1235, v2: true };
    sharing.announcePart({ ...record, name: file("a.txt").name });
    sharing.withdrawPart({ ...record, name: file("a.txt").name });
    expect(said).toEqual([]);
  });
});
