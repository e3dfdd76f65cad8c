// Settings in a file and in the environment: what they mean, which one counts, and the sentences about mistakes.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { UsageError } from "../../lib/error.ts";
import { parsePeerArguments } from "../../lib/peer/arguments.ts";
import { NOTHING_OUTSIDE, type Outside, readSettingsFile } from "../../lib/program/settings.ts";
import { parseTrackerArguments } from "../../lib/tracker/options.ts";
import { hasOtherUser, OTHER } from "../helpers/other-user.ts";

const PATH = "/home/ann/.config/filetracker/x.toml";

function outside(text: string | undefined, environment: Outside["environment"] = {}): Outside {
  return { path: PATH, text, environment, home: "/home/ann" };
}

const peer = (argv: string[], text?: string, environment?: Outside["environment"]) =>
  parsePeerArguments(argv, outside(text, environment));
const tracker = (argv: string[], text?: string, environment?: Outside["environment"]) =>
  parseTrackerArguments(argv, outside(text, environment));

function refusalOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error("was not refused");
}

describe("which one counts", () => {
  test("the command line before the environment, the environment before the file", () => {
    const file = 'port = 1\nname = "file"\nlimit = "10MB"\n';
    const environment = { FT_PORT: "2", FT_NAME: "environment" };
    expect(peer(["who", "--port", "3"], file, environment)).toMatchObject({ port: 3, name: "environment", limit: 10_000_000 });
    expect(tracker([], "max-files = 40\nmax-peers = 7", { FT_MAX_FILES: "50" })).toMatchObject({
      options: { limits: { files: 50, peers: 7 } },
    });
    expect(tracker([])).toMatchObject({ options: { limits: {} } });
  });

  test("a yes in the file is a no where the environment says so", () => {
    expect(peer(["who"], "quiet = true")).toMatchObject({ quiet: true });
    for (const no of ["0", "false", "No", "off"]) {
      expect(peer(["who"], "quiet = true", { FT_QUIET: no })).toMatchObject({ quiet: false });
    }
    expect(peer(["who"], "quiet = false", { FT_QUIET: "yes" })).toMatchObject({ quiet: true });
  });

  test("several paths are an array, or separated as in PATH; ~ is the home folder; those of the command line replace them", () => {
    const share = ["/home/ann/Music", "b c.txt"];
    expect(peer(["who"], 'share = ["~/Music", "b c.txt"]\nto = "~"')).toMatchObject({ share, to: "/home/ann" });
    expect(peer(["who"], 'share = "b c.txt"')).toMatchObject({ share: ["b c.txt"] });
    expect(peer(["who"], undefined, { FT_SHARE: `~/Music${delimiter}b c.txt` })).toMatchObject({ share });
    expect(peer(["who", "--share", "x"], 'share = ["y"]')).toMatchObject({ share: ["x"] });
    expect(peer(["share", "x"], 'share = ["y"]')).toMatchObject({ share: [], paths: ["x"] });
    expect(peer(["share"], 'share = ["y"]')).toMatchObject({ share: ["y"] });
  });

  test("a file to save as comes before a folder in the settings", () => {
    expect(peer(["get", "a", "-o", "b"], 'to = "/inbox"')).toMatchObject({ output: "b", to: "." });
  });

  test("an empty variable is none; another program's variable, and one of our other program, are left alone", () => {
    const environment = { FT_PORT: "", FT_FONTS: "x", FT_MAX_FILES: "x", FTP_PORT: "x", FT_: "x" };
    expect(peer(["who"], undefined, environment)).toMatchObject({ port: undefined });
    expect(parseTrackerArguments([], { ...NOTHING_OUTSIDE, environment: { FT_SHARE: "x", FT_TO: "x" } })).toHaveProperty(
      "options",
    );
  });

  test("help and version need no settings", () => {
    for (const words of [["--help"], ["--version"], ["--completions", "bash"]]) {
      expect(peer(words, "nonsense", { FT_PROT: "1" })).toHaveProperty("text");
      expect(tracker(words, "nonsense", { FT_PROT: "1" })).toHaveProperty("text");
    }
  });
});

describe("mistakes", () => {
  test.each([
    ["an unknown key", "max-file = 3", `Unknown key "max-file" in "${PATH}". Did you mean "max-files"?`],
    ["a wrong value", 'max-files = "many"', `"max-files" in "${PATH}" needs a whole number from 1 to 10000, not "many".`],
    ["a number out of range", "port = 65536", `"port" in "${PATH}" needs a whole number from 0 to 65535, not "65536".`],
    ["a fraction", "port = 1.5", `"port" in "${PATH}" needs a whole number from 0 to 65535, not "1.5".`],
    ["a list for one value", "port = [1, 2]", `"port" in "${PATH}" needs one value, not a list, not "[1,2]".`],
    ["yes for a text", "name = true", `"name" in "${PATH}" needs a text in quotes or a number, not "true".`],
    ["a text for yes", 'json = "true"', `"json" in "${PATH}" needs true or false, without quotes, not "true".`],
    ["a table", "[name]\na = 1", `"name" in "${PATH}" needs a text in quotes or a number, not "{"a":1}".`],
  ])("%s is told with its key and file", (_what, text, sentence) => {
    expect(refusalOf(() => tracker([], text))).toBe(sentence);
  });

  test.each(["__proto__ = 1", "constructor = 1", "help = true", 'for = "2h"', "[limits]\nx = 1"])(
    "%j is an unknown key",
    (text) => {
      expect(refusalOf(() => tracker([], text))).toStartWith("Unknown key ");
    },
  );

  test("an unknown key that is like none: those that there are", () => {
    expect(refusalOf(() => peer(["who"], "colour = 1"))).toContain("There are share, to, port, name,");
  });

  test("a damaged file is told with its line", () => {
    const lineOf = (text: string) => /line (\d+)/.exec(refusalOf(() => peer(["who"], text)))?.[1];
    expect(lineOf("port = ")).toBe("1");
    expect(lineOf('name = "a"\n\nport ==\nquiet = true\n')).toBe("3");
    expect(lineOf('name = "a"\nshare = ["a",\n"b"\nquiet = true')).toBe("2");
    expect(lineOf("port = 1\nport = 2")).toBe("2");
  });

  test("a Windows path in double quotes, where TOML reads its backslashes as escapes, is told with its line and the way out", () => {
    const way = ": put a Windows path in single quotes, such as 'C:\\Users\\ada'.";
    for (const text of [
      'to = "C:\\Users\\ada"',
      'to = "D:\\temp"',
      'share = ["a",\n"d:\\new\\report.pdf"]',
      'to = "\\\\server\\files"',
      'to = "~\\Downloads"',
      'to = "%USERPROFILE%\\Music"',
    ]) {
      const line = text.split("\n").length;
      expect(refusalOf(() => peer(["who"], `port = 1\n# "C:\\x"\n${text}\n`))).toEndWith(`line ${line + 2}${way}`);
    }
    expect(peer(["who"], '# "C:\\x"\nto = "C:\\\\Users\\\\ada"')).toHaveProperty("to");
    expect(peer(["who"], "to = '\"D:\\temp\"'")).toHaveProperty("to");
  });

  test("a variable with a wrong value, or nearly of one of our names", () => {
    expect(refusalOf(() => peer(["who"], undefined, { FT_PORT: "x" }))).toStartWith("FT_PORT needs a whole number");
    expect(refusalOf(() => peer(["who"], undefined, { FT_QUIET: "x" }))).toBe('FT_QUIET needs true or false, not "x".');
    expect(refusalOf(() => peer(["who"], undefined, { FT_PROT: "1" }))).toBe(
      "Unknown variable FT_PROT in the environment. Did you mean FT_PORT?",
    );
    expect(refusalOf(() => tracker([], undefined, { FT_MAXFILES: "1" }))).toContain("Did you mean FT_MAX_FILES?");
  });
});

describe("config", () => {
  const text = (given: object) => ("text" in given ? String(given.text) : "");

  test("prints each value and where it comes from, as a file of settings that means the same", () => {
    const environment = { FT_LIMIT: "10MB" };
    const shown = text(peer(["config", "--port", "5"], 'share = ["~/a b", "c"]\nname = "Ann"', environment));
    expect(shown).toContain(`# File: ${PATH}\n`);
    expect(shown).toMatch(/^share = \["\/home\/ann\/a b", "c"\] +# from the file: \/home/m);
    expect(shown).toMatch(/^port = 5 +# from the command line$/m);
    expect(shown).toMatch(/^limit = "10MB" +# from the environment: FT_LIMIT$/m);
    expect(shown).toMatch(/^# to = "\." +# default$/m);
    expect(peer(["who"], shown)).toEqual(peer(["who", "--port", "5"], 'share = ["~/a b", "c"]\nname = "Ann"', environment));
    expect(text(tracker(["config"]))).toMatch(/^# max-files = 5 +# default$/m);
  });

  test("with --json, an object for each", () => {
    const objects = text(tracker(["config", "--json"], 'name = "Room 12"'))
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(objects).toContainEqual({ event: "setting", name: "name", value: "Room 12", from: "file", where: PATH });
    expect(objects).toContainEqual({ event: "setting", name: "json", value: true, from: "command line" });
    expect(objects).toContainEqual({ event: "setting", name: "port", value: 1234, from: "default" });
    expect(objects).toContainEqual({ event: "setting", name: "host", value: null, from: "default" });
  });

  test("takes no words, and refuses what any command refuses", () => {
    for (const parse of [peer, tracker]) {
      expect(refusalOf(() => parse(["config", "port"]))).toMatch(/"port"|no arguments/);
      expect(refusalOf(() => parse(["config"], "x = 1"))).toContain('Unknown key "x"');
      expect(refusalOf(() => parse(["config"], "port = -1"))).toContain('"port" in');
    }
  });
});

describe("readSettingsFile", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ft-settings-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);

  test("reads a file of this user, by a link too; a group may write to it", () => {
    writeFileSync(at("a"), "port = 1");
    chmodSync(at("a"), 0o664);
    symlinkSync(at("a"), at("link"));
    for (const name of ["a", "link"]) expect(readSettingsFile(at(name))).toEqual({ text: "port = 1" });
    expect(readSettingsFile(at("none"))).toEqual({ text: undefined });
    expect(readSettingsFile(join(at("a"), "none"))).toEqual({ text: undefined });
  });

  test("does not use a folder, a pipe, a large file, or one that is not text; and says so", () => {
    mkdirSync(at("folder"));
    Bun.spawnSync(["mkfifo", at("pipe")]);
    writeFileSync(at("large"), "#".repeat(40_000));
    writeFileSync(at("binary"), new Uint8Array([0xff, 0xfe, 0x00]));
    for (const name of ["folder", "pipe", "large", "binary"]) {
      const { text, remark } = readSettingsFile(at(name));
      expect(text).toBeUndefined();
      expect(remark).toStartWith(`The settings in "${at(name)}" are not used: `);
    }
  });

  test.skipIf(process.platform === "win32")("does not use a file that everybody may write to", () => {
    writeFileSync(at("a"), "port = 1");
    chmodSync(at("a"), 0o646);
    expect(readSettingsFile(at("a"))).toMatchObject({
      text: undefined,
      remark: expect.stringContaining("everybody may write to it"),
    });
  });

  test.skipIf(!hasOtherUser)("does not use another user's file", () => {
    writeFileSync(at("a"), "port = 1");
    chownSync(at("a"), OTHER, OTHER);
    expect(readSettingsFile(at("a"))).toMatchObject({ text: undefined, remark: expect.stringContaining("another user") });
  });
});
