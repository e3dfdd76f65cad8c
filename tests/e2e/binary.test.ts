// The compiled programs as files that somebody downloads: copied anywhere, started in any folder and any environment.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { PEER, type Program, Stage, TRACKER } from "../helpers/programs.ts";

const REPOSITORY = join(import.meta.dir, "..", "..");
const ENV = "/usr/bin/env";

/** Copies of both programs, alone in a folder of their own. */
const away = new Stage();
let tracker: string;
let peer: string;

let stage: Stage;

beforeAll(() => {
  const folder = away.folder();
  tracker = join(folder, "a tracker");
  peer = join(folder, "päer");
  copyFileSync(TRACKER, tracker);
  copyFileSync(PEER, peer);
  for (const copy of [tracker, peer]) chmodSync(copy, 0o755);
});

afterAll(() => away.close());

beforeEach(() => {
  stage = new Stage();
});

afterEach(() => stage.close());

/** Runs with nothing in the environment but what is given here. */
function bare(env: Record<string, string>, binary: string, args: string[], cwd: string): Program {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return stage.run(ENV, ["-i", ...assignments, binary, ...args], { cwd });
}

interface Outcome {
  code: number;
  out: string;
  err: string;
}

async function ended(program: Program): Promise<Outcome> {
  const code = await program.exited;
  return { code, out: program.out, err: program.err };
}

const programs = [
  ["ft-tracker", TRACKER],
  ["ft-peer", PEER],
] as const;

// ---------------------------------------------------------------- texts

describe.each(programs)("%s", (name, binary) => {
  test("--help prints the text that the README quotes, and nothing else", async () => {
    const { code, out, err } = await ended(stage.run(binary, ["--help"]));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toStartWith(`${name}: `);
    const readme = readFileSync(join(REPOSITORY, "README.md"), "utf8");
    expect(readme).toContain(`\`\`\`text\n${out}\`\`\``);
  });

  test("--help explains every option that it takes", async () => {
    const { out } = await ended(stage.run(binary, ["--help"]));
    const options =
      name === "ft-tracker"
        ? [
            "--port",
            "--host",
            "--name",
            "--max-files",
            "--max-peers",
            "--max-per-address",
            "--no-announce",
            "--json",
            "--quiet",
          ]
        : ["--share", "--to", "--port", "--from", "--overwrite", "--json", "--quiet", "--"];
    for (const option of [...options, "--help", "--version"])
      expect(out).toMatch(new RegExp(`^  (?:-\\w, )?${option}(?: [A-Z:]+)?  +\\S`, "m"));
  });

  test("--version prints the version of the package", async () => {
    const { version } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8")) as { version: string };
    const { code, out, err } = await ended(stage.run(binary, ["--version"]));
    expect({ code, out, err }).toEqual({ code: 0, out: `${name} ${version}\n`, err: "" });
  });

  test("--help and --version win over everything else on the line", async () => {
    for (const option of ["--help", "--version"]) {
      const { code, out, err } = await ended(stage.run(binary, ["--port", "nonsense", option, "--json"]));
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain(name);
    }
  });

  test("holds no path of the place where it was built", () => {
    const bytes = readFileSync(binary);
    // The search itself finds what is there.
    expect(bytes.includes(`${name} --help`)).toBe(true);
    const paths = new Set([REPOSITORY, realpathSync(REPOSITORY), process.cwd()]);
    for (const path of paths) {
      for (const encoding of ["utf8", "utf16le"] as const) {
        expect({ path, encoding, found: bytes.includes(Buffer.from(`${path}/`, encoding)) }).toEqual({
          path,
          encoding,
          found: false,
        });
      }
    }
  });

  test("says its first line", async () => {
    const args = binary === TRACKER ? ["--port", "0", "--host", "127.0.0.1", "--no-announce"] : ["--version"];
    await stage.run(binary === TRACKER ? tracker : peer, args).waitFor(/\n/);
  });
});

// ---------------------------------------------------------------- places

describe("copies in an empty folder", () => {
  test("do the whole job with an empty environment, an empty PATH and nothing but themselves", async () => {
    const home = stage.folder();
    // So that nothing is left in the home of the person that runs this test.
    const env = { HOME: home, PATH: "" };
    const index = bare(env, tracker, ["--port", "0", "--host", "127.0.0.1", "--no-announce"], stage.folder());
    const [, port] = await index.waitFor(/listening on 127\.0\.0\.1:(\d+)/);
    const address = `127.0.0.1:${port}`;
    const shared = stage.folder();
    const content = Buffer.alloc(2_000_000, "all work and no play ");
    writeFileSync(join(shared, "file.bin"), content);
    const holder = bare(env, peer, [address, "share", "--port", "0", "--json"], shared);
    // Content ids are computed by workers, which must be found inside the moved file.
    await holder.waitFor(/"event":"root"/);
    const folder = stage.folder();
    writeFileSync(join(folder, "mine.txt"), "mine");
    const { code, out } = await ended(bare(env, peer, [address, "get", "file.bin", "--port", "0"], folder));
    expect(code).toBe(0);
    expect(out).toContain("verified");
    expect(readFileSync(join(folder, "file.bin")).equals(content)).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["file.bin", "mine.txt"]);
    expect(readdirSync(shared)).toEqual(["file.bin"]);
    holder.kill("SIGINT");
    index.kill("SIGINT");
    expect(await holder.exited).toBe(130);
    expect(await index.exited).toBe(0);
  });

  test.each(programs)("%s runs with nothing in its environment at all", async (name, binary) => {
    const copy = binary === TRACKER ? tracker : peer;
    for (const args of [["--version"], ["--help"]]) {
      const { code, out, err } = await ended(bare({}, copy, args, stage.folder()));
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toStartWith(name);
    }
  });

  test("a peer whose home cannot be written to works all the same", async () => {
    const { address } = await stage.tracker();
    const folder = stage.folder();
    writeFileSync(join(folder, "mine.txt"), "mine");
    // A plain file, into which nobody can put anything.
    const env = { HOME: join(folder, "mine.txt"), XDG_CACHE_HOME: join(folder, "mine.txt") };
    const { code, err } = await ended(bare(env, peer, [address, "who", "--port", "0", "--quiet"], folder));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(readdirSync(folder)).toEqual(["mine.txt"]);
    expect(readFileSync(join(folder, "mine.txt"), "utf8")).toBe("mine");
  });
});

// ---------------------------------------------------------------- traps

/** A folder that runs code in whatever reads configuration from the folder it is started in; each way leaves a file. */
function trappedFolder(): string {
  const folder = stage.folder();
  const leave = (mark: string) =>
    `require("node:fs").writeFileSync(${JSON.stringify(join(folder, "sprung"))}, ${JSON.stringify(mark)});\n`;
  const files: Record<string, string> = {
    "bunfig.toml": 'preload = ["./trap.cjs"]\nlogLevel = "debug"\n[test]\npreload = ["./trap.cjs"]\n[run]\nbun = true\n',
    ".bunfig.toml": 'preload = ["./trap.cjs"]\n',
    "trap.cjs": leave("preload"),
    ".env":
      'BUN_OPTIONS="--preload ./trap.cjs"\nNODE_OPTIONS="--require ./trap.cjs"\nXDG_CACHE_HOME=./sprung\nTRAP=sprung\nFORCE_COLOR=1\n',
    ".env.local": "XDG_CACHE_HOME=./sprung\n",
    ".env.production": "XDG_CACHE_HOME=./sprung\n",
    ".env.development": "XDG_CACHE_HOME=./sprung\n",
    "package.json": JSON.stringify({
      name: "trap",
      version: "6.6.6",
      type: "commonjs",
      main: "./trap.cjs",
      bun: { preload: ["./trap.cjs"] },
      imports: { "#x": "./trap.cjs" },
      scripts: { preinstall: "touch sprung", start: "touch sprung" },
    }),
    "tsconfig.json": JSON.stringify({
      compilerOptions: {
        baseUrl: ".",
        paths: { picocolors: ["./trap.cjs"], "@clack/prompts": ["./trap.cjs"], "node:*": ["./trap.cjs"] },
        jsx: "react-jsx",
        jsxImportSource: "./trap.cjs",
      },
    }),
    "jsconfig.json": "{ this is no JSON",
    "hasher.ts": leave("worker"),
    "peer.ts": leave("peer"),
    "tracker.ts": leave("tracker"),
    "index.ts": leave("index"),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const place of ["node_modules/picocolors", "node_modules/@clack/prompts", "lib", "lib/peer/content"]) {
    mkdirSync(join(folder, place), { recursive: true });
    for (const name of ["index.js", "hasher.ts", "hasher.js"]) writeFileSync(join(folder, place, name), leave(place));
  }
  return folder;
}

describe("a folder with hostile configuration in it", () => {
  test("springs its trap on a runtime that reads it, so that the tests below mean something", () => {
    const folder = trappedFolder();
    const child = Bun.spawnSync([process.execPath, "-e", "0"], { cwd: folder, stdin: "ignore" });
    expect({ code: child.exitCode, err: child.stderr.toString() }).toEqual({ code: 0, err: expect.any(String) });
    expect(readdirSync(folder)).toContain("sprung");
  });

  test.each(programs)("does nothing to %s --help and --version", async (name, binary) => {
    const folder = trappedFolder();
    const before = readdirSync(folder);
    for (const args of [["--version"], ["--help"], ["--nonsense"]]) {
      const { out, err, code } = await ended(stage.run(binary, args, { cwd: folder }));
      expect({ args, code }).toEqual({ args, code: args[0] === "--nonsense" ? 2 : 0 });
      expect(out + err).toContain(name);
      expect(out + err).not.toContain("6.6.6");
      expect(out + err).not.toContain("\u001b");
    }
    expect(readdirSync(folder)).toEqual(before);
  });

  test("does nothing to a tracker, a sharing peer and a fetching peer that are started in it", async () => {
    const folder = trappedFolder();
    const before = readdirSync(folder);
    const outside = stage.folder();
    writeFileSync(join(outside, "wanted.txt"), "wanted");
    // What was changed just now is not remembered.
    utimesSync(join(outside, "wanted.txt"), new Date("2024-03-04"), new Date("2024-03-04"));
    // No XDG_CACHE_HOME of its own, so that one from the folder's .env would be taken.
    const env = { HOME: stage.folder(), PATH: process.env.PATH ?? "" };
    const index = bare(env, TRACKER, ["--port", "0", "--host", "127.0.0.1", "--no-announce", "--json"], folder);
    const [, port] = await index.waitFor(/"event":"listening"[^\n]*"port":(\d+)/);
    const address = `127.0.0.1:${port}`;
    const share = ["share", "--share", join(outside, "wanted.txt"), "--port", "0", "--json"];
    const holder = bare(env, PEER, [address, ...share], folder);
    await holder.waitFor(/"event":"root"/);
    const inbox = stage.folder();
    const get = ["get", "wanted.txt", "--share", "package.json", "--to", inbox, "--port", "0", "--json"];
    const { code, out } = await ended(bare(env, PEER, [address, ...get], folder));
    expect(code).toBe(0);
    expect(out).toContain('"verified":true');
    expect(readFileSync(join(inbox, "wanted.txt"), "utf8")).toBe("wanted");
    holder.kill("SIGINT");
    index.kill("SIGINT");
    expect(await Promise.all([holder.exited, index.exited])).toEqual([130, 0]);
    expect(readdirSync(folder)).toEqual(before);
    // The cache, and what outlives a tracker, went where the environment says, into the home.
    expect(readdirSync(env.HOME).sort()).toEqual(process.platform === "linux" ? [".cache", ".local"] : ["Library"]);
  });
});
