// Completions: real shells complete by the scripts that are made from a program's table.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER_TABLE } from "../../lib/peer/options.ts";
import { completionScript } from "../../lib/program/completions.ts";
import { SHELLS } from "../../lib/program/options.ts";
import { TRACKER_TABLE } from "../../lib/tracker/options.ts";
import { Stage } from "../helpers/programs.ts";
import { Screen } from "../helpers/terminal.ts";

const TABLES = { "ft-peer": PEER_TABLE, "ft-tracker": TRACKER_TABLE };
type Program = keyof typeof TABLES;
const PROGRAMS = ["ft-peer", "ft-tracker"] as const;
const optionsOf = (program: Program) => TABLES[program].options.map(({ name }) => `--${name}`);
const PROMPT = "typed> ";
/** Prints its arguments in angle brackets; whether a folder's name is completed with a slash is the shell's affair. */
const PRINTER = `#!/bin/sh
for argument; do printf '<%s>' "\${argument%/}"; done
echo .
`;

const stage = new Stage();
afterAll(() => stage.close());

test.each(PROGRAMS)("the table of %s has only characters that no shell takes for more than they are", (program) => {
  const { options, commands } = TABLES[program];
  for (const { name, about } of [...options, ...commands]) {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(about).toMatch(/^[ -~]+$/);
  }
});

/** Whether a shell is here, and new enough; one that is not is named. */
function has(shell: string, ...check: string[]): boolean {
  const path = Bun.which(shell);
  const ok = path !== null && (check.length === 0 || Bun.spawnSync([path, ...check], { stdin: "ignore" }).exitCode === 0);
  if (!ok)
    console.log(
      `Completions were not tried in ${shell}: it is not on this machine${path === null ? "" : " in a version that they are for"}.`,
    );
  return ok;
}

/** A folder with a program that prints each of its arguments in angle brackets, and with files whose names have spaces. */
function scene(): { folder: string; env: Record<string, string> } {
  const folder = stage.folder();
  mkdirSync(join(folder, "bin"));
  for (const program of PROGRAMS) {
    const path = join(folder, "bin", program);
    writeFileSync(path, PRINTER);
    chmodSync(path, 0o755);
  }
  mkdirSync(join(folder, "your folder"));
  writeFileSync(join(folder, "your file.txt"), "");
  writeFileSync(join(folder, "it's $HOME; `one` [1].txt"), "");
  for (const program of PROGRAMS) {
    for (const shell of SHELLS) writeFileSync(join(folder, `${program}.${shell}`), completionScript(shell, TABLES[program]));
  }
  return { folder, env: { HOME: folder, XDG_CONFIG_HOME: folder, PATH: `${join(folder, "bin")}:${process.env.PATH ?? ""}` } };
}

/** What a script prints in a shell that reads no configuration. */
function printed(command: string[], { folder, env }: ReturnType<typeof scene>): string[] {
  const child = Bun.spawnSync(command, { cwd: folder, env: { ...process.env, ...env }, stdin: "ignore" });
  expect({ code: child.exitCode, err: child.stderr.toString() }).toEqual({ code: 0, err: "" });
  return child.stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "");
}

/** What a person gets who types, with Tab as \t, and then Enter: the arguments that the program was started with. */
type Typed = [keys: string, given: string];
const TYPED: Typed[] = [
  ["ft-peer do\t", "<doctor>"],
  ["ft-peer 192.168.1.5:1234 do\t", "<192.168.1.5:1234><doctor>"],
  ["ft-peer who do\t", "<who><do>"],
  ["ft-peer --json do\t", "<--json><doctor>"],
  ["ft-peer --to do\t", "<--to><do>"],
  ["ft-peer --port 1 li\t", "<--port><1><list>"],
  ["ft-peer --ov\t", "<--overwrite>"],
  ["ft-peer get --ov\t", "<get><--overwrite>"],
  ["ft-peer --share your\\ fi\t", "<--share><your file.txt>"],
  ["ft-peer --share it\t", "<--share><it's $HOME; `one` [1].txt>"],
  ["ft-peer --share your\\ fo\t", "<--share><your folder>"],
  ["ft-peer --to your\t", "<--to><your folder>"],
  ["ft-peer --completions pow\t", "<--completions><powershell>"],
  ["ft-peer get your\t", "<get><your>"],
  ["ft-peer --from your\t", "<--from><your>"],
  ["ft-tracker --max-pee\t", "<--max-peers>"],
  ["ft-tracker --host your\t", "<--host><your>"],
  ["ft-tracker your\t", "<your>"],
];

/** A shell on a terminal, with both scripts read. */
async function typing(command: string[], setUp: string[], where: ReturnType<typeof scene>): Promise<Screen> {
  const screen = new Screen(command, { cwd: where.folder, env: { ...where.env, PS1: PROMPT }, columns: 200 });
  await screen.waitFor(PROMPT.trim());
  for (const line of [...setUp, "echo re''ady"]) screen.press(`${line}\r`);
  await screen.waitFor("ready");
  await screen.waitFor(PROMPT.trim());
  return screen;
}

async function expectTyped(screen: Screen, rows: Typed[]): Promise<void> {
  const given: Typed[] = [];
  for (const [keys] of rows) {
    screen.press(`${keys}\r`);
    const [, line = ""] = await screen.waitFor(/((?:<[^\n]*>)?)\.\n/);
    given.push([keys, line]);
    await screen.waitFor(PROMPT.trim());
  }
  expect(given).toEqual(rows);
}

describe.skipIf(!has("bash", "-c", "((BASH_VERSINFO[0] >= 4))"))("bash", () => {
  /** What the script's function offers for the words behind the program's name, the last of them being typed. */
  const offered = (program: Program, ...words: string[]): string[] => {
    const call = `source "./$0.bash"; COMP_WORDS=("$0" "$@"); COMP_CWORD=$#; _\${0/-/_}; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return printed(["bash", "--norc", "--noprofile", "-c", call, program, ...words], scene());
  };
  const commands = ["search", "find", "get", "want", "send", "collect", "list", "holders", "who", "share", "config", "doctor"];

  test("offers commands first and behind an address, and options wherever one begins", () => {
    expect(offered("ft-peer", "").sort()).toEqual([...commands].sort());
    expect(offered("ft-peer", "lab.local", "").sort()).toEqual([...commands].sort());
    expect(offered("ft-peer", "192.168.1.5", ":", "1234", "")).toContain("search");
    expect(offered("ft-peer", "[", "::", "1]", ":", "1234", "")).toContain("search");
    expect(offered("ft-peer", "--limit", "=", "10MB", "")).toContain("search");
    expect(offered("ft-peer", "s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer", "--", "s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer", "--")).toEqual(optionsOf("ft-peer"));
    expect(offered("ft-tracker", "--")).toEqual(optionsOf("ft-tracker"));
    expect(offered("ft-peer", "--completions", "=", "")).toEqual([...SHELLS]);
  });

  test("offers nothing where anything may stand", () => {
    expect(offered("ft-peer", "search", "")).toEqual([]);
    expect(offered("ft-peer", "lab", "get", "s")).toEqual([]);
    expect(offered("ft-peer", "--port", "s")).toEqual([]);
    expect(offered("ft-peer", "--from", "lab", ":", "")).toEqual([]);
    expect(offered("ft-peer", "--", "--")).toEqual([]);
    expect(offered("ft-tracker", "st")).toEqual(["status"]);
    expect(offered("ft-tracker", "--host", "")).toEqual([]);
  });

  test("completes what is typed, names with spaces too", async () => {
    const screen = await typing(
      ["bash", "--norc", "--noprofile", "-i"],
      ["bind 'set enable-bracketed-paste off' 'set bell-style none'", "source ./ft-peer.bash", "source ./ft-tracker.bash"],
      scene(),
    );
    await expectTyped(screen, [...TYPED, ["ft-peer --to=your\t", "<--to=your folder>"]]);
    await screen.close();
  });
});

describe.skipIf(!has("zsh"))("zsh", () => {
  const setUp = ["unsetopt beep prompt_sp", "autoload -Uz compinit", "compinit -u -D"];

  test.each([
    ["sourced", ["source ./ft-peer.zsh", "source ./ft-tracker.zsh"]],
    [
      "as files of $fpath",
      ["mkdir f", "cp ft-peer.zsh f/_ft-peer", "cp ft-tracker.zsh f/_ft-tracker", "fpath=($PWD/f $fpath)", "compinit -u -D"],
    ],
  ])("completes what is typed, names with spaces too: %s", async (_, reading) => {
    const screen = await typing(["zsh", "-f", "-i"], [...setUp, ...reading], scene());
    // What zsh adds to a name that takes a value goes away when a space follows.
    const spaced = TYPED.map(([keys, given]): Typed => [keys.endsWith("-max-pee\t") ? `${keys} ` : keys, given]);
    await expectTyped(screen, [...spaced, ["ft-peer --to=your\t", "<--to=your folder>"]]);
    await screen.close();
  });
});

describe.skipIf(!has("fish"))("fish", () => {
  const offered = (line: string): string[] =>
    printed(
      ["fish", "--no-config", "-c", "source ./ft-peer.fish; source ./ft-tracker.fish; complete -C $argv[1]", line],
      scene(),
    ).map((row) => row.replace(/\t.*/, ""));

  test("completes what is typed, names with spaces too", () => {
    expect(offered("ft-peer s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer 192.168.1.5:1234 s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer --port 1 s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer who s")).toEqual([]);
    expect(offered("ft-peer lab get s")).toEqual([]);
    expect(offered("ft-peer --from s")).toEqual([]);
    expect(offered("ft-peer --").sort()).toEqual(optionsOf("ft-peer").sort());
    expect(offered("ft-tracker --").sort()).toEqual(optionsOf("ft-tracker").sort());
    expect(offered("ft-tracker your")).toEqual([]);
    expect(offered("ft-peer --share your")).toEqual(["your file.txt", "your folder/"]);
    expect(offered("ft-peer --to your")).toEqual(["your folder/"]);
    expect(offered("ft-peer --completions ").sort()).toEqual([...SHELLS].sort());
  });
});

describe("PowerShell", () => {
  // Not run: its shell is on few machines. The script has the shape that Register-ArgumentCompleter documents.
  const pwsh = Bun.which("pwsh");
  if (pwsh === null) console.log("Completions were not tried in PowerShell: it is not on this machine.");

  test.each(PROGRAMS)("is given a native completer of %s with balanced brackets, and each option once", (program) => {
    const script = completionScript("powershell", TABLES[program]);
    expect(script).toContain(`Register-ArgumentCompleter -Native -CommandName '${program}', '${program}.exe' -ScriptBlock {`);
    expect(script).toContain("param($wordToComplete, $commandAst, $cursorPosition)");
    // Without its strings and comments.
    const code = script.replace(/#.*/g, "").replace(/'(?:[^']|'')*'|"[^"]*"/g, "");
    const open: string[] = [];
    for (const [bracket] of code.matchAll(/[()[\]{}]/g)) {
      const pair = { ")": "(", "]": "[", "}": "{" }[bracket];
      if (pair === undefined) open.push(bracket);
      else expect(open.pop()).toBe(pair);
    }
    expect(open).toEqual([]);
    const names = [...script.matchAll(/\{ Name = '(--[^']+)'; Takes = '[^']*'; About = '(?:[^']|'')+' \}/g)].map(
      ([, name]) => name,
    );
    expect(names).toEqual(optionsOf(program));
  });

  test.skipIf(pwsh === null)("completes what is typed", () => {
    const where = scene();
    const offered = (line: string): string[] =>
      printed(
        [
          pwsh ?? "",
          "-NoProfile",
          "-NonInteractive",
          "-Command",
          `. ./ft-peer.powershell.ps1; (TabExpansion2 '${line}' ${line.length}).CompletionMatches.CompletionText`,
        ],
        where,
      );
    writeFileSync(join(where.folder, "ft-peer.powershell.ps1"), completionScript("powershell", PEER_TABLE));
    expect(offered("ft-peer s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer lab s")).toEqual(["search", "send", "share"]);
    expect(offered("ft-peer --ov")).toEqual(["--overwrite"]);
    expect(offered("ft-peer --to your").join()).toContain("your folder");
  });
});
