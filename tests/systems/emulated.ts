// Runs the programs for Alpine (musl) and for ARM against those of this system: `bun run emulated`.
//
// It needs Linux on a PC and Debian's musl, qemu-user, gcc, g++, g++-aarch64-linux-gnu and libc6-arm64-cross. What is missing is said, and
// its systems are skipped. Debian has no libstdc++ for musl: the run links one that holds what the programs use. An emulator is not the
// machine: it tells nothing about speed, and knows no multicast.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, type Program, Stage } from "../helpers/programs.ts";
import { EMULATED_MS, ended, foreignPrograms, killAndResume, type Programs, ROOM } from "./foreign.ts";

/** How to run the programs of a target here. */
interface Emulator {
  /** The words before the program's path. */
  command: string[];
  env: Record<string, string>;
}

const stage = new Stage(EMULATED_MS);
/** Programs and libraries, which the whole run keeps. */
const kept = new Stage();
afterEach(() => stage.close());
afterAll(() => kept.close());

/** What musl's loader needs besides libstdc++.a: functions that only glibc has. No C++ exceptions are thrown in the programs. */
const GLIBC_ONLY = `
#include <stddef.h>
extern int getentropy(void *, size_t);
extern unsigned long getauxval(unsigned long);
__attribute__((visibility("hidden"))) void *__dso_handle = &__dso_handle;
char __libc_single_threaded = 0;
int _dl_find_object(void *at, void *found) { return -1; }
unsigned arc4random(void) { unsigned n; getentropy(&n, sizeof n); return n; }
unsigned long __getauxval(unsigned long kind) { return getauxval(kind); }
`;
const CPLUSPLUS = /^(?:_Z|__cxa|__gxx|__once|__dynamic|_Unwind)/;

function output(command: string[], cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`${command.slice(0, 3).join(" ")} …: ${stderr.toString()}`);
  return stdout.toString();
}

/** Links a libstdc++.so.6 with what these programs use of it, from Debian's static one. Gives its folder. */
function standInLibrary(programs: Programs, tools: string): string {
  const folder = kept.folder();
  writeFileSync(join(folder, "glibc.c"), GLIBC_ONLY);
  const names = Object.values(programs).flatMap((program) => output(["nm", "-D", program], folder).split("\n"));
  const used = new Set(names.map((line) => line.split(" ").at(-1) ?? "").filter((name) => CPLUSPLUS.test(name)));
  const library = output([`${tools}g++`, "-print-file-name=libstdc++.a"], folder).trim();
  const parts = ["glibc.c", ...[...used].map((name) => `-Wl,-u,${name}`), library, "-lgcc_eh", "-lgcc"];
  const how = ["-shared", "-nostdlib", "-fPIC", "-Wl,-soname,libstdc++.so.6", "-o", "libstdc++.so.6"];
  output([`${tools}gcc`, ...how, ...parts], folder);
  return folder;
}

/** Unpacks a package of Debian for ARM into a new folder, without telling this system of that processor. */
function packageForArm(name: string): string {
  const folder = kept.folder();
  for (const part of ["state/lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, part), { recursive: true });
  const settings = [
    "APT::Architecture=arm64",
    "APT::Architectures=arm64",
    `Dir::State=${folder}/state`,
    `Dir::Cache=${folder}/cache`,
    "Dir::State::status=/dev/null",
    "APT::Sandbox::User=root",
  ];
  const apt = ["apt-get", ...settings.flatMap((setting) => ["-o", setting])];
  output([...apt, "update"], folder);
  output([...apt, "download", name], folder);
  const [file = ""] = readdirSync(folder).filter((file) => file.endsWith(".deb"));
  output(["dpkg", "--extract", file, "root"], folder);
  return join(folder, "root");
}

/** Why a target cannot be run here; undefined if it can. */
function missing(...files: string[]): string | undefined {
  const why: Record<string, string> = {
    "/lib/ld-musl-x86_64.so.1": "musl",
    "/usr/bin/qemu-aarch64": "qemu-user",
    "/usr/aarch64-linux-gnu/lib/libc.so.6": "libc6-arm64-cross",
    "/usr/bin/aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "/usr/bin/g++": "g++",
  };
  if (process.platform !== "linux" || process.arch !== "x64") return "it needs Linux on a PC";
  const packages = files.filter((file) => !existsSync(file)).map((file) => why[file]);
  return packages.length === 0 ? undefined : `apt install ${packages.join(" ")}`;
}

const SYSTEMS: { target: string; lacks: string | undefined; emulator(programs: Programs): Emulator }[] = [
  {
    target: "linux-x64-musl",
    lacks: missing("/lib/ld-musl-x86_64.so.1", "/usr/bin/g++"),
    emulator: (programs) => ({ command: [], env: { LD_LIBRARY_PATH: standInLibrary(programs, "") } }),
  },
  {
    target: "linux-arm64",
    lacks: missing("/usr/bin/qemu-aarch64", "/usr/aarch64-linux-gnu/lib/libc.so.6"),
    emulator: () => ({ command: ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"], env: {} }),
  },
  {
    target: "linux-arm64-musl",
    lacks: missing("/usr/bin/qemu-aarch64", "/usr/bin/aarch64-linux-gnu-g++"),
    emulator: (programs) => {
      const library = standInLibrary(programs, "aarch64-linux-gnu-");
      const command = ["qemu-aarch64", "-L", packageForArm("musl"), "-E", `LD_LIBRARY_PATH=${library}`];
      return { command, env: {} };
    },
  },
];

for (const { target, lacks } of SYSTEMS) if (lacks !== undefined) console.log(`${target} is not run here: ${lacks}.`);

function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

const visitor = () => folderWith({ "visitor.txt": "I share this.\n" });

for (const { target, lacks, emulator } of SYSTEMS) {
  describe.skipIf(lacks !== undefined)(`the programs for ${target}`, () => {
    let programs: Programs;
    let how: Emulator;
    beforeAll(async () => {
      programs = await foreignPrograms(target, kept);
      how = emulator(programs);
    });

    const run = (program: keyof Programs, args: string[], cwd = visitor(), env = {}): Program => {
      const [first = "", ...rest] = [...how.command, programs[program], ...args];
      return stage.run(first, rest, { cwd, env: { ...how.env, ...env } });
    };
    const native = (args: string[]) => stage.run(PEER, args, { cwd: visitor() });

    test("both say their version", async () => {
      for (const program of ["ft-peer", "ft-tracker"] as const)
        expect(await ended(run(program, ["--version"]))).toMatch(new RegExp(`^${program} [\\d.]+\\n$`));
    });

    test("their tracker, and a peer of each system: share, find and get work both ways", async () => {
      const tracker = run("ft-tracker", ["--port", "0", "--host", "127.0.0.1", "--no-announce"]);
      const [, port] = await tracker.waitFor(/listening on \S+:(\d+)/);
      const address = `127.0.0.1:${port}`;
      const theirs = { "empty.txt": "", "Übung ä.txt": "Guten Tag\n", "film.bin": randomBytes(3_000_000) };
      const sharing = run("ft-peer", [address, "share", "--port", "0", "--json"], folderWith(theirs));
      await sharing.waitFor(/"event":"joined"/);
      for (const _ of Object.keys(theirs)) await sharing.waitFor(/"event":"root"/);
      const ours = { "from here.bin": randomBytes(5_000_000) };
      await stage.sharing(address, folderWith(ours), 1);
      expect(await ended(run("ft-peer", [address, "find", "UBUNG", "--port", "0"]))).toContain("Übung ä.txt");
      const [inbox, other] = [stage.folder(), stage.folder()];
      for (const [name, content] of Object.entries(theirs)) {
        await ended(native([address, "get", name, "--to", inbox, "--port", "0"]));
        expect(readFileSync(join(inbox, name)).equals(Buffer.from(content))).toBe(true);
      }
      await ended(run("ft-peer", [address, "get", "from here.bin", "--to", other, "--port", "0"]));
      expect(readFileSync(join(other, "from here.bin")).equals(ours["from here.bin"])).toBe(true);
      expect(readdirSync(other)).toEqual(["from here.bin"]);
    });

    test("their private room lets in whoever has its key, from each system, and nobody else", async () => {
      const tracker = run("ft-tracker", ["--room", "--port", "0", "--host", "127.0.0.1", "--no-announce"], visitor(), ROOM);
      const [, port] = await tracker.waitFor(/listening on \S+:(\d+)/);
      const address = `127.0.0.1:${port}`;
      const ours = folderWith({ "secret.bin": randomBytes(500_000) });
      const sharing = stage.run(PEER, [address, "share", "--port", "0", "--json"], { cwd: ours, env: ROOM });
      await sharing.waitFor(/"event":"root"/);
      const inbox = stage.folder();
      await ended(run("ft-peer", [address, "get", "secret.bin", "--to", inbox, "--port", "0"], visitor(), ROOM));
      expect(readFileSync(join(inbox, "secret.bin"))).toEqual(readFileSync(join(ours, "secret.bin")));
      const stranger = stage.run(PEER, [address, "list", "--port", "0"], { cwd: visitor(), env: { XDG_STATE_HOME: inbox } });
      expect(await stranger.exited).not.toBe(0);
      expect(stranger.err).toContain("private room");
    });

    test("a fetcher that was killed goes on where it was", async () => {
      const inbox = stage.folder();
      const args = ["get", "big.bin", "--to", inbox, "--port", "0", "--json"];
      const { saved, kept, content } = await killAndResume(stage, (tracker) => run("ft-peer", [tracker, ...args]));
      expect(kept).toBeGreaterThanOrEqual(saved);
      expect(readFileSync(join(inbox, "big.bin")).equals(content)).toBe(true);
    });

    test("the doctor looks at everything", async () => {
      const { address } = await stage.tracker();
      const said = run("ft-peer", [address, "doctor", "--port", "0"]);
      await said.exited;
      expect(said.out).toContain(address);
      expect(said.err).not.toMatch(/\n\s+at |Error:/);
    });
  });
}
