// Which folders are not shared unless --share names them.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UsageError } from "../../../lib/error.ts";
import { checkDefaultFolder, type Place, unsharedBecause } from "../../../lib/peer/disk/default-folder.ts";

const LINUX: Place = { platform: "linux", env: {}, homes: ["/home/ana"], temporary: "/tmp" };
const ROOT: Place = { ...LINUX, homes: ["/root"] };
const MAC: Place = { platform: "darwin", env: {}, homes: ["/Users/ana"], temporary: "/private/var/folders/x/T" };
const WINDOWS: Place = {
  platform: "win32",
  env: { SystemRoot: "C:\\WINDOWS", ProgramFiles: "C:\\Program Files" },
  homes: ["C:\\Users\\Ana"],
  temporary: "C:\\Users\\Ana\\AppData\\Local\\Temp",
};

describe("unsharedBecause", () => {
  test.each([
    [LINUX, "/", "the root of a drive"],
    [LINUX, "/home/ana", "your home folder"],
    [LINUX, "/home/ana/.ssh", "in a folder of settings"],
    [LINUX, "/home/ana/.config/x/y", "in a folder of settings"],
    [LINUX, "/home/ben", "somebody's home folder"],
    [LINUX, "/home", "a folder of the system"],
    [LINUX, "/etc", "a folder of the system"],
    [LINUX, "/etc/ssh", "a folder of the system"],
    [LINUX, "/usr/bin", "a folder of the system"],
    [LINUX, "/usr", "a folder of the system"],
    [LINUX, "/var/log/x", "a folder of the system"],
    [LINUX, "/root", "a folder of the system"],
    [ROOT, "/root", "your home folder"],
    [MAC, "/System/Library", "a folder of the system"],
    [MAC, "/USERS/ANA", "your home folder"],
    [MAC, "/private/etc", "a folder of the system"],
    [MAC, "/Users/ana/Library/Mail", "in a folder of settings"],
    [WINDOWS, "C:\\", "the root of a drive"],
    [WINDOWS, "d:\\", "the root of a drive"],
    [WINDOWS, "\\\\server\\share\\", "the root of a drive"],
    [WINDOWS, "c:\\windows\\System32", "a folder of the system"],
    [WINDOWS, "C:\\Program Files\\x", "a folder of the system"],
    [WINDOWS, "C:\\users\\ana", "your home folder"],
    [WINDOWS, "C:\\Users\\Ben", "somebody's home folder"],
    [WINDOWS, "C:\\Users\\Ana\\AppData\\Roaming", "in a folder of settings"],
  ])("%o %s: %s", (place, folder, why) => {
    expect(unsharedBecause(folder, place)).toBe(why);
  });

  test.each([
    [LINUX, "/home/ana/papers"],
    [LINUX, "/home/ana/papers/.hidden"],
    [LINUX, "/etcetera"],
    [LINUX, "/tmp/x"],
    [LINUX, "/mnt/ana"],
    [LINUX, "/var/www"],
    [LINUX, "/srv/files"],
    [ROOT, "/root/papers"],
    [MAC, "/Users/ana/Documents"],
    [MAC, "/private/var/folders/x/T/ft"],
    [WINDOWS, "C:\\Users\\Ana\\Documents"],
    [WINDOWS, "C:\\WindowsApps"],
    [WINDOWS, "D:\\papers"],
    [WINDOWS, "C:\\Users\\Ana\\AppData\\Local\\Temp\\ft"],
  ] as [Place, string][])("%o %s may be shared", (place, folder) => {
    expect(unsharedBecause(folder, place)).toBeUndefined();
  });
});

describe("checkDefaultFolder", () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "ft-default-")));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("a link to the home folder is the home folder; the sentence says what to do", () => {
    const home = join(folder, "home");
    mkdirSync(home);
    symlinkSync(home, join(folder, "link"));
    const place: Place = { platform: "linux", env: {}, homes: [home], temporary: "/nowhere" };
    const check = () => checkDefaultFolder(join(folder, "link"), place);
    expect(check).toThrow(UsageError);
    expect(check).toThrow(
      `The files of "${join(folder, "link")}" are not shared without being named, because it is your home folder. ` +
        "Start ft-peer in another folder, or give --share FILE or --share FOLDER.",
    );
    expect(() => checkDefaultFolder(folder, place)).not.toThrow();
  });
});
