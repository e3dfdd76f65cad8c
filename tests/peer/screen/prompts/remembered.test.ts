import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Remembered } from "../../../../lib/peer/screen/prompts/remembered.ts";

const root = mkdtempSync(join(tmpdir(), "ft-remembered-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const newPath = () => join(root, String(++count), "prompts.json");

describe("what a person has chosen", () => {
  test("is remembered for each folder, and choices are added to earlier ones", () => {
    const path = newPath();
    new Remembered(path, "/a").remember({ files: ["/a/1", "/a/2"], from: "/a" });
    new Remembered(path, "/a").remember({ to: "/downloads" });
    new Remembered(path, "/b").remember({ name: "Ben" });
    expect(new Remembered(path, "/a").choices).toEqual({ files: ["/a/1", "/a/2"], from: "/a", to: "/downloads" });
    expect(new Remembered(path, "/b").choices).toEqual({ name: "Ben" });
    expect(new Remembered(path, "/c").choices).toEqual({});
    if (process.platform !== "win32") expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("of the folders that were used last is kept, of a bounded number of them", () => {
    const path = newPath();
    for (let i = 0; i < 70; i += 1) new Remembered(path, `/${i}`).remember({ to: `/to/${i}` });
    expect(new Remembered(path, "/69").choices).toEqual({ to: "/to/69" });
    expect(new Remembered(path, "/6").choices).toEqual({ to: "/to/6" });
    expect(new Remembered(path, "/5").choices).toEqual({});
  });

  for (const [what, content] of Object.entries({
    nothing: "",
    half: '{"folders":[{"folder":"/a","to"',
    "something else": "[1,2,3]",
    "wrong types": '{"folders":[null,7,{"folder":"/a","files":[1,"",{}],"to":5,"name":["x"]}]}',
    "a text that is too long": JSON.stringify({ folders: [{ folder: "/a", to: "x".repeat(5000) }] }),
    "too much": " ".repeat(5 * 1024 * 1024),
  })) {
    test(`${what} in its file is as if nothing had been chosen, and the next choice is kept`, () => {
      const path = newPath();
      new Remembered(path, "/a").remember({ to: "/x" });
      writeFileSync(path, content);
      const { files = [], ...others } = new Remembered(path, "/a").choices;
      expect({ files, ...others }).toEqual({ files: [] });
      new Remembered(path, "/a").remember({ to: "/y" });
      expect(new Remembered(path, "/a").choices.to).toBe("/y");
    });
  }

  test("is not believed from a link, or a file that others may write", () => {
    if (process.platform === "win32") return;
    const [path, linked] = [newPath(), newPath()];
    new Remembered(path, "/a").remember({ to: "/x" });
    new Remembered(linked, "/a").remember({ to: "/x" });
    rmSync(linked);
    symlinkSync(path, linked);
    expect(new Remembered(linked, "/a").choices).toEqual({});
    chmodSync(path, 0o666);
    expect(new Remembered(path, "/a").choices).toEqual({});
  });

  test("where nothing can be written is no failure", () => {
    const blocked = join(root, "a file");
    writeFileSync(blocked, "");
    new Remembered(join(blocked, "prompts.json"), "/a").remember({ to: "/x" });
  });
});
