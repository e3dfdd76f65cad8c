// Shared files that change, go and come back, on a real disk with its real events.

import { describe, expect, test } from "bun:test";
import {
  appendFileSync,
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
import { dirname, join } from "node:path";
import { chooseFiles, Share, type SharedFile } from "../../../lib/peer/disk/share.ts";
import { ShareWatch } from "../../../lib/peer/disk/watch.ts";

/** What a peer does: it renews what changed, drops what is gone, takes back what is there again. */
class House implements Disposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-watch-")));
  readonly share: Share;
  readonly watch: ShareWatch;
  readonly said: string[] = [];
  #look = () => {};

  /** Files by name, in folders that are made with them. */
  constructor(...names: string[]) {
    for (const name of names) {
      mkdirSync(dirname(this.at(name)), { recursive: true });
      writeFileSync(this.at(name), `first ${name}`);
    }
    this.share = new Share(
      chooseFiles(
        names.map((name) => this.at(name)),
        9,
      ).taken,
    );
    const note = (what: string, act: (file: SharedFile) => void) => (file: SharedFile) => {
      act(file);
      this.said.push(`${what} ${file.name}`);
      this.#look();
    };
    this.watch = new ShareWatch(this.share, {
      changed: note("changed", (file) => this.share.renew(file)),
      renamed: note("renamed", (file) => this.share.renew(file)),
      gone: note("gone", (file) => this.share.remove(file)),
      back: note("back", (file) => {
        this.share.add(file);
        this.share.renew(file);
      }),
    });
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  [Symbol.dispose](): void {
    this.watch.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Resolves as soon as this was said that many times. */
  async hear(what: string, times = 1): Promise<void> {
    const heard = () => this.said.filter((one) => one === what).length >= times;
    if (heard()) return;
    await new Promise<void>((resolve) => {
      this.#look = () => {
        if (heard()) resolve();
      };
    });
  }
}

describe.concurrent("ShareWatch: a shared file", () => {
  test("that is written to has changed, and is what it is now", async () => {
    using one = new House("a", "b");
    appendFileSync(one.at("a"), " and more");
    await one.hear("changed a");
    expect(one.share.find({ name: "a" })?.size).toBe(16);
    expect(one.said).toEqual(["changed a"]);
  });

  test("that is renamed in its folder is shared under its new name", async () => {
    using one = new House("a.txt", "b");
    renameSync(one.at("a.txt"), one.at("c.html"));
    await one.hear("renamed c.html");
    expect(one.share.find({ name: "c.html" })).toMatchObject({ path: one.at("c.html"), type: "text/html", size: 11 });
    expect([one.share.find({ name: "a.txt" }), one.said]).toEqual([undefined, ["renamed c.html"]]);
    renameSync(one.at("c.html"), one.at("d"));
    await one.hear("renamed d");
    expect(one.share.files.map(({ name }) => String(name))).toEqual(["d", "b"]);
  });

  test("that is renamed to a hidden name, into another folder, or to a name that is shared, is gone", async () => {
    using one = new House("a", "b", "c", "d", "in/d2");
    renameSync(one.at("a"), one.at(".a"));
    renameSync(one.at("b"), one.at("in/b"));
    await one.hear("gone a");
    await one.hear("gone b");
    expect(one.said.toSorted()).toEqual(["gone a", "gone b"]);
    renameSync(one.at("c"), one.at("d"));
    await one.hear("gone c");
    expect(one.share.files.map(({ name }) => String(name))).toEqual(["d", "d2"]);
  });

  test("that is touched, with the same size, has changed", async () => {
    using one = new House("a");
    const then = new Date(1_000_000);
    utimesSync(one.at("a"), then, then);
    await one.hear("changed a");
    expect(one.share.find({ name: "a" })?.modified).toEqual(then);
  });

  test("that is replaced by a rename, as editors save, has changed and was never gone", async () => {
    using one = new House("a", "b");
    for (const round of [1, 2]) {
      writeFileSync(one.at(".a.new"), `round ${round}`);
      renameSync(one.at(".a.new"), one.at("a"));
      await one.hear("changed a", round);
    }
    expect(one.said).toEqual(["changed a", "changed a"]);
  });

  test("that is moved aside and written anew, as other editors save, has changed and was never gone", async () => {
    using one = new House("a");
    renameSync(one.at("a"), one.at("a~"));
    writeFileSync(one.at("a"), "again");
    await one.hear("changed a");
    expect(one.said).toEqual(["changed a"]);
  });

  test("that is deleted is gone, and comes back when it is there again", async () => {
    using one = new House("a", "b");
    rmSync(one.at("a"));
    await one.hear("gone a");
    expect(one.share.find({ name: "a" })).toBeUndefined();
    writeFileSync(one.at("a"), "back again");
    await one.hear("back a");
    expect(one.share.find({ name: "a" })?.size).toBe(10);
    expect(one.said).toEqual(["gone a", "back a"]);
    // And it is watched as before.
    appendFileSync(one.at("a"), "!");
    await one.hear("changed a");
  });

  test("whose place is taken by a folder or a link is gone, and what the link points to is never looked at", async () => {
    using one = new House("a", "b");
    rmSync(one.at("a"));
    mkdirSync(one.at("a"));
    await one.hear("gone a");
    rmSync(one.at("b"));
    writeFileSync(one.at("elsewhere"), "x");
    symlinkSync(one.at("elsewhere"), one.at("b"));
    await one.hear("gone b");
    expect(one.said).toEqual(["gone a", "gone b"]);
  });

  test("moved away with its folder is gone, and comes back with it", async () => {
    using one = new House("sub/deep");
    renameSync(one.at("sub"), one.at("aside"));
    one.watch.nudge();
    await one.hear("gone deep");
    renameSync(one.at("aside"), one.at("sub"));
    one.watch.nudge();
    await one.hear("back deep");
  });

  test("several at once are each said once", async () => {
    using one = new House("a", "b", "c");
    for (let i = 0; i < 20; i++) for (const name of ["a", "b"]) appendFileSync(one.at(name), "more");
    rmSync(one.at("c"));
    await one.hear("changed a");
    await one.hear("changed b");
    await one.hear("gone c");
    expect(one.said.toSorted()).toEqual(["changed a", "changed b", "gone c"]);
  });

  test("that is said to have changed by somebody else is looked at soon", async () => {
    using one = new House("a");
    // As when a reader notices it first: no event is needed.
    const file = one.share.find({ name: "a" });
    if (file === undefined) throw new Error("it is not shared");
    file.identity = "another";
    one.watch.nudge();
    await one.hear("changed a");
  });
});

describe.concurrent("ShareWatch: others in the same folder", () => {
  test("are nobody's business", async () => {
    using one = new House("a");
    writeFileSync(one.at("other"), "x");
    rmSync(one.at("other"));
    one.watch.nudge();
    appendFileSync(one.at("a"), "end");
    await one.hear("changed a");
    expect(one.said).toEqual(["changed a"]);
  });
});

describe.concurrent("ShareWatch: stopped", () => {
  test("it says nothing any more, and does not keep the program alive", async () => {
    using one = new House("a");
    const lib = join(import.meta.dir, "..", "..", "..", "lib", "peer", "disk");
    const script = `
      const { chooseFiles, Share } = await import(${JSON.stringify(join(lib, "share.ts"))});
      const { ShareWatch } = await import(${JSON.stringify(join(lib, "watch.ts"))});
      const say = () => console.log("said");
      const share = new Share(chooseFiles([${JSON.stringify(one.at("a"))}], 5).taken);
      const watch = new ShareWatch(share, { changed: say, gone: say, back: say });
      (await import("node:fs")).appendFileSync(${JSON.stringify(one.at("a"))}, "more");
      watch.nudge();
      if (process.argv.at(-1) === "stop") {
        watch.stop();
        watch.stop();
      }
      console.log("end");
    `;
    for (const how of ["stop", "go"]) {
      const child = Bun.spawn([process.execPath, "-e", script, how], { stdout: "pipe", stderr: "inherit" });
      const text = await new Response(child.stdout).text();
      expect([how, await child.exited, text]).toEqual([how, 0, "end\n"]);
    }
  });
});
