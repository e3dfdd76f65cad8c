// Small files that the programs keep: only this user's own are read, and nobody sees half of one.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOwnFile, readPlainFile, replaceOwnFile, userFolder } from "../lib/files.ts";
import { hasOtherUser, OTHER } from "./helpers/other-user.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ft-files-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);

describe("readPlainFile", () => {
  test("reads a plain file up to the limit, and nothing that is longer", () => {
    writeFileSync(at("a"), "12345");
    expect(readPlainFile(at("a"), 5).toString()).toBe("12345");
    expect(() => readPlainFile(at("a"), 4)).toThrow();
    writeFileSync(at("empty"), "");
    expect(readPlainFile(at("empty"), 5)).toHaveLength(0);
  });

  test("follows no link, waits for no pipe, reads no device and no folder", () => {
    writeFileSync(at("a"), "12345");
    symlinkSync(at("a"), at("link"));
    mkdirSync(at("folder"));
    Bun.spawnSync(["mkfifo", at("pipe")]);
    for (const path of [at("link"), at("folder"), at("pipe"), "/dev/zero", at("none")]) {
      expect(() => readPlainFile(path, 100)).toThrow();
    }
  });
});

describe("readOwnFile", () => {
  test("does not read a file that others may write to", () => {
    writeFileSync(at("a"), "12345");
    for (const mode of [0o600, 0o644, 0o400]) {
      chmodSync(at("a"), mode);
      expect(readOwnFile(at("a"), 5).toString()).toBe("12345");
    }
    for (const mode of [0o660, 0o602, 0o666]) {
      chmodSync(at("a"), mode);
      expect(() => readOwnFile(at("a"), 5)).toThrow();
    }
  });

  test.skipIf(!hasOtherUser)("does not read a file of another user", () => {
    writeFileSync(at("a"), "12345", { mode: 0o600 });
    chownSync(at("a"), OTHER, OTHER);
    expect(() => readOwnFile(at("a"), 5)).toThrow();
  });
});

describe("replaceOwnFile", () => {
  test("makes a file that only this user may read, in place of whatever has the name", () => {
    writeFileSync(at("precious"), "precious");
    symlinkSync(at("precious"), at("a"));
    replaceOwnFile(at("a"), "new");
    expect(readFileSync(at("a"), "utf8")).toBe("new");
    expect([lstatSync(at("a")).isFile(), lstatSync(at("a")).mode & 0o777]).toEqual([true, 0o600]);
    expect(readFileSync(at("precious"), "utf8")).toBe("precious");
    expect(readdirSync(folder).sort()).toEqual(["a", "precious"]);
  });

  test("leaves nothing beside it when it cannot take the name", () => {
    mkdirSync(at("a"));
    expect(() => replaceOwnFile(at("a"), "new")).toThrow();
    expect(readdirSync(folder)).toEqual(["a"]);
  });
});

describe("userFolder", () => {
  test.each([
    ["linux", { HOME: "/home/ann" }, "/home/ann", "/home/ann/.config/filetracker"],
    ["linux", { XDG_CONFIG_HOME: "/cfg" }, "/home/ann", "/cfg/filetracker"],
    ["freebsd", { XDG_CONFIG_HOME: "" }, "/home/ann", "/home/ann/.config/filetracker"],
    ["darwin", {}, "/Users/ann", "/Users/ann/Library/Application Support/filetracker"],
    ["win32", { APPDATA: "D:\\Roaming" }, "C:\\Users\\ann", "D:\\Roaming\\filetracker"],
    ["win32", {}, "C:\\Users\\ann", "C:\\Users\\ann\\AppData\\Roaming\\filetracker"],
  ] as const)("settings on %s with %j in %s", (platform, environment, home, folder) => {
    expect(userFolder("config", { platform, environment, home })).toBe(folder);
  });

  test("caches and state stay where they were", () => {
    const linux = { platform: "linux", environment: {}, home: "/home/ann" } as const;
    expect(userFolder("cache", linux)).toBe("/home/ann/.cache/filetracker");
    expect(userFolder("state", linux)).toBe("/home/ann/.local/state/filetracker");
    const windows = { platform: "win32", environment: { LOCALAPPDATA: "D:\\Local" }, home: "C:\\Users\\ann" } as const;
    for (const kind of ["cache", "state"] as const) expect(userFolder(kind, windows)).toBe("D:\\Local\\filetracker");
  });
});
