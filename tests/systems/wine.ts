// Runs the programs for Windows under Wine, against each other and against the programs of this system: `bun run wine`.
//
// It needs Linux and Debian's wine64, gcc and gcc-mingw-w64-x86-64. Wine 8 lacks one function that Bun calls, so the run makes a small
// library that has it, in a Wine folder of its own that is removed at the end. Wine is not Windows: what passes here may still fail there.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, type Program, Stage } from "../helpers/programs.ts";
import { EMULATED_MS, ended, foreignPrograms, killAndResume, type Programs, ROOM } from "./foreign.ts";

/** The first of these programs that is here. */
function firstOf(...names: string[]): string {
  return names.find((name) => Bun.which(name) !== null) ?? "";
}

const WINE = firstOf("wine64", "wine", "/usr/lib/wine/wine64");
const SERVER = firstOf("wineserver", "/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver");
const MINGW = Bun.which("x86_64-w64-mingw32-gcc");
const GCC = Bun.which("gcc");

function reasonNotToRun(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return "it needs Linux on a PC";
  if (WINE === "" || SERVER === "") return "there is no Wine: apt install wine64";
  if (MINGW === null) return "there is no compiler for Windows: apt install gcc-mingw-w64-x86-64";
  return GCC === null ? "there is no compiler: apt install gcc" : undefined;
}

const reason = reasonNotToRun();
if (reason !== undefined) console.log(`Nothing is run under Wine: ${reason}.`);

/** The function of Windows that Wine 8 lacks. SystemFunction036 is the older name of RtlGenRandom. */
const RANDOM = `
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T size) {
  return SystemFunction036(data, (ULONG)size);
}
`;

/** Opens a file so that no other program can, as some programs of Windows do, and keeps it open. */
const HOLD = `
#include <stdio.h>
#include <windows.h>
int main(int count, char **words) {
  HANDLE file = CreateFileA(words[1], GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
  puts(file == INVALID_HANDLE_VALUE ? "not there" : "held");
  fflush(stdout);
  Sleep(INFINITE);
}
`;

/** Makes Wine say of hard links what Windows says on an exFAT disk: "Incorrect function", which Bun calls EISDIR. */
const NO_LINKS = `
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
static int refuse(const char *to) {
  FILE *log = fopen(getenv("REFUSED_LINKS"), "a");
  if (log) { fprintf(log, "%s\\n", to); fclose(log); }
  errno = ESPIPE;
  return -1;
}
int link(const char *from, const char *to) { return refuse(to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { return refuse(to); }
`;

const stage = new Stage(EMULATED_MS);
/** Programs, made files and Wine's own folder, which one run of this script keeps. */
const kept = new Stage();
let programs: Programs;
let prefix: string;
let noLinks: string;
let hold: string;

function command(words: string[], cwd: string, env: Record<string, string> = {}): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, { cwd, env: { ...process.env, ...env }, stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString()}${stdout.toString()}`);
  return stdout.toString();
}

const wineEnv = () => ({ WINEPREFIX: prefix, WINEDEBUG: "-all", WINEARCH: "win64", DISPLAY: "" });

/** Starts one of the programs for Windows. */
function windows(program: keyof Programs, args: string[], cwd: string, env: Record<string, string> = {}): Program {
  return stage.run(WINE, [programs[program], ...args], { cwd, env: { ...wineEnv(), ...env } });
}

function native(args: string[], cwd: string): Program {
  return stage.run(PEER, args, { cwd });
}

/** A folder that Windows' programs see too, with these files. */
function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}

/** The files in a folder. Wine makes a file of a stream, such as `a.txt:Zone.Identifier`. */
function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !name.includes(":Zone.Identifier"))
    .sort();
}

/** A tracker for Windows on a free port. */
async function windowsTracker(...args: string[]): Promise<{ tracker: Program; port: string; address: string }> {
  const tracker = windows("ft-tracker", ["--port", "0", "--no-announce", ...args], stage.folder());
  const [, port = ""] = await tracker.waitFor(/listening on \S+:(\d+)/);
  return { tracker, port, address: `127.0.0.1:${port}` };
}

/** A peer for Windows that shares a folder and is ready. */
async function windowsHolder(address: string, folder: string, files: number, ...args: string[]): Promise<Program> {
  const holder = windows("ft-peer", [address, "share", "--port", "0", "--json", ...args], folder);
  await holder.waitFor(/"event":"joined"/);
  for (let i = 0; i < files; i++) await holder.waitFor(/"event":"root"/);
  return holder;
}

const visitor = () => folderWith({ "visitor.txt": "I share this.\n" });

/** Ends all programs under Wine, also those that Wine itself started. */
function endWine(): void {
  if (prefix !== undefined) Bun.spawnSync([SERVER, "-k"], { env: { ...process.env, ...wineEnv() } });
}

describe.skipIf(reason !== undefined)("the programs for Windows under Wine", () => {
  beforeAll(async () => {
    const place = kept.folder();
    prefix = join(place, "wine");
    programs = await foreignPrograms("windows-x64", kept);
    command([WINE, "wineboot", "-i"], place, wineEnv());
    writeFileSync(join(place, "random.c"), RANDOM);
    writeFileSync(join(place, "links.c"), NO_LINKS);
    const library = join(prefix, "drive_c/windows/system32/bcryptprimitives.dll");
    if (!existsSync(library)) command([MINGW ?? "", "-shared", "-o", library, "random.c", "-ladvapi32"], place);
    writeFileSync(join(place, "hold.c"), HOLD);
    hold = join(place, "hold.exe");
    command([MINGW ?? "", "-o", hold, "hold.c"], place);
    noLinks = join(place, "links.so");
    command([GCC ?? "", "-shared", "-fPIC", "-o", noLinks, "links.c"], place);
  });
  afterAll(async () => {
    endWine();
    await stage.close();
    await kept.close();
  });

  test("both say their version", async () => {
    for (const program of ["ft-peer", "ft-tracker"] as const)
      expect(await ended(windows(program, ["--version"], kept.folder()))).toMatch(new RegExp(`^${program} [\\d.]+\\r?\\n$`));
  });

  test("share, list, find and get work with Windows' tracker, from a peer of Windows to one of this system and back", async () => {
    const { address } = await windowsTracker();
    const files = { "empty.txt": "", "Übung ä.txt": "Guten Tag\n", "film.bin": randomBytes(3_000_000) };
    await windowsHolder(address, folderWith(files), 3);
    const theirs = folderWith({ "from linux.bin": randomBytes(1_500_000) });
    await stage.sharing(address, theirs, 1);
    expect(await ended(windows("ft-peer", [address, "list", "--port", "0"], visitor()))).toContain("from linux.bin");
    expect(await ended(windows("ft-peer", [address, "find", "UBUNG", "--port", "0"], visitor()))).toContain("Übung ä.txt");
    const [inbox, other] = [stage.folder(), stage.folder()];
    for (const [name, content] of Object.entries(files)) {
      await ended(native([address, "get", name, "--to", inbox, "--port", "0"], visitor()));
      expect(readFileSync(join(inbox, name)).equals(Buffer.from(content))).toBe(true);
      await ended(windows("ft-peer", [address, "get", name, "--to", other, "--port", "0"], visitor()));
      expect(readFileSync(join(other, name)).equals(Buffer.from(content))).toBe(true);
    }
    await ended(windows("ft-peer", [address, "get", "from linux.bin", "--to", other, "--port", "0"], visitor()));
    expect(readFileSync(join(other, "from linux.bin"))).toEqual(readFileSync(join(theirs, "from linux.bin")));
    expect(filesIn(other).filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("a folder is shared as one, and fetched with everything in it", async () => {
    const { address } = await stage.tracker();
    const photos = join(stage.folder(), "Photos");
    mkdirSync(join(photos, "2026"), { recursive: true });
    writeFileSync(join(photos, "2026", "beach.jpg"), randomBytes(200_000));
    writeFileSync(join(photos, "list.txt"), "one\n");
    const holder = windows("ft-peer", [address, "share", photos, "--port", "0", "--json", "--name", "Ana"], stage.folder());
    await holder.waitFor(/"event":"joined"/);
    const inbox = stage.folder();
    await ended(native([address, "get", "Photos", "--wait", "1m", "--to", inbox, "--port", "0"], visitor()));
    const place = stage.folder();
    const toWindows = [address, "get", "Photos", "--to", place, "--port", "0"];
    await ended(windows("ft-peer", toWindows, visitor()));
    // Once more, into the folder that is there, with a file that differs. Nothing is left behind.
    writeFileSync(join(place, "Photos", "list.txt"), "two\n");
    await ended(windows("ft-peer", toWindows, visitor()));
    for (const at of [inbox, place])
      expect(readFileSync(join(at, "Photos/2026/beach.jpg"))).toEqual(readFileSync(join(photos, "2026/beach.jpg")));
    expect(readdirSync(join(place, "Photos")).sort()).toEqual(["2026", "list (1).txt", "list.txt"]);
    expect(readdirSync(place)).toEqual(["Photos"]);
    // A part of it, as people of Windows type that.
    const parts = stage.folder();
    await ended(windows("ft-peer", [address, "get", "Photos\\2026\\beach.jpg", "--to", parts, "--port", "0"], visitor()));
    expect(filesIn(parts)).toEqual(["beach.jpg"]);
    const listed = windows("ft-peer", [address, "list", "Ana\\Photos\\2026", "--port", "0"], visitor());
    expect(await ended(listed)).toContain("2026/beach.jpg");
  });

  test("a private room of Windows lets in whoever has its key, from each system, and nobody else", async () => {
    // Windows' peer remembers the room by its name, in the one Wine folder of all these tests.
    const args = ["--room", "--name", "Private", "--port", "0", "--host", "127.0.0.1", "--no-announce"];
    const tracker = windows("ft-tracker", args, stage.folder(), ROOM);
    const [, port = ""] = await tracker.waitFor(/listening on \S+:(\d+)/);
    const address = `127.0.0.1:${port}`;
    const ours = folderWith({ "secret.bin": randomBytes(500_000) });
    const sharing = stage.run(PEER, [address, "share", "--port", "0", "--json"], { cwd: ours, env: ROOM });
    await sharing.waitFor(/"event":"root"/);
    const inbox = stage.folder();
    await ended(windows("ft-peer", [address, "get", "secret.bin", "--to", inbox, "--port", "0"], visitor(), ROOM));
    expect(readFileSync(join(inbox, "secret.bin"))).toEqual(readFileSync(join(ours, "secret.bin")));
    const stranger = stage.run(PEER, [address, "list", "--port", "0"], { cwd: visitor(), env: { XDG_STATE_HOME: inbox } });
    expect(await stranger.exited).not.toBe(0);
    expect(stranger.err).toContain("private room");
  });

  test("a fetcher that was killed goes on where it was", async () => {
    const inbox = stage.folder();
    const args = ["get", "big.bin", "--to", inbox, "--port", "0", "--json"];
    const fetch = (tracker: string) => windows("ft-peer", [tracker, ...args], visitor());
    const { saved, kept, done, content } = await killAndResume(stage, fetch, () => {
      expect(readdirSync(inbox).some((name) => name.endsWith(".part"))).toBe(true);
    });
    expect(kept).toBeGreaterThanOrEqual(saved);
    expect(done).toMatchObject({ event: "done", verified: true });
    expect(readFileSync(join(inbox, "big.bin")).equals(content)).toBe(true);
    expect(filesIn(inbox)).toEqual(["big.bin"]);
  });

  test("names that Windows does not allow are changed, and lead to no other folder", async () => {
    const { address } = await stage.tracker();
    const names = { CON: "_CON", "nul.txt": "_nul.txt", "a:b.txt": "a_b.txt", 'q?*<>|"x': "q______x" };
    await stage.sharing(address, folderWith(Object.fromEntries(Object.keys(names).map((name) => [name, name]))), 4);
    const inbox = stage.folder();
    for (const name of Object.keys(names))
      await ended(windows("ft-peer", [address, "get", name, "--to", inbox, "--port", "0"], visitor()));
    expect(filesIn(inbox)).toEqual(Object.values(names).sort());
  });

  test("a disk without hard links, on which Windows says EISDIR: downloads get their names", async () => {
    endWine();
    const refused = join(stage.folder(), "refused");
    const env = { LD_PRELOAD: noLinks, REFUSED_LINKS: refused };
    const { address } = await stage.tracker();
    const content = randomBytes(1_000_000);
    await stage.sharing(address, folderWith({ "movie.bin": content }), 1);
    const inbox = stage.folder();
    const get = () => windows("ft-peer", [address, "get", "movie.bin", "--to", inbox, "--port", "0"], visitor(), env);
    await ended(get());
    expect(filesIn(inbox)).toEqual(["movie.bin"]);
    expect(readFileSync(refused, "utf8")).toContain("movie.bin");
    writeFileSync(join(inbox, "movie.bin"), "another movie");
    await ended(get());
    expect(filesIn(inbox)).toEqual(["movie (1).bin", "movie.bin"]);
    expect(readFileSync(join(inbox, "movie.bin"), "utf8")).toBe("another movie");
    expect(readFileSync(join(inbox, "movie (1).bin")).equals(content)).toBe(true);
    endWine();
  });

  test("a port that is taken or reserved: the peer takes another one, the tracker says the way out", async () => {
    const { address, port } = await windowsTracker();
    const second = windows("ft-tracker", ["--port", port, "--no-announce"], stage.folder());
    await ended(second, 1);
    expect(second.err).toMatch(/Cannot listen on \S+: .*--port/);
    const peers = [0, 1].map((i) =>
      windows("ft-peer", [address, "share", "--json"], folderWith({ [`file ${i}.txt`]: `${i}` })),
    );
    for (const peer of peers) await peer.waitFor(/"event":"joined"/);
  });

  test("hidden files, the files that systems make, and FileTracker's own are not shared unless they are named", async () => {
    const { address } = await stage.tracker();
    const hidden = ["secret.txt", "desktop.ini", "Thumbs.db", "filetracker-1.0.0-windows-x64.zip", "ft-peer.exe"];
    const folder = folderWith({ "plain.txt": "plain", ...Object.fromEntries(hidden.map((name) => [name, `MZ ${name}`])) });
    command([WINE, "attrib", "+h", "secret.txt"], folder, wineEnv());
    await windowsHolder(address, folder, 1);
    expect(await names(address)).toEqual(["plain.txt"]);
    await windowsHolder(address, folder, 1, "--share", "secret.txt");
    expect(await names(address)).toEqual(["plain.txt", "secret.txt"]);
  });

  test("a file that another program keeps to itself is not shared, and a sentence says why", async () => {
    const { address } = await stage.tracker();
    const folder = folderWith({ "held.txt": "held", "plain.txt": "plain" });
    const holding = stage.run(WINE, [hold, "held.txt"], { cwd: folder, env: wineEnv() });
    await holding.waitFor(/held/);
    const all = windows("ft-peer", [address, "list", "--port", "0"], folder);
    expect(await ended(all)).toContain("plain.txt");
    expect(all.err).toContain('Not shared (another program has it open): "held.txt"');
    const one = windows("ft-peer", [address, "share", "held.txt", "--port", "0"], folder);
    await ended(one, 2);
    expect(one.err).toContain("another program has it open");
    holding.kill();
    await holding.exited;
    await windowsHolder(address, folder, 2);
  });

  const names = async (address: string) => {
    const listed = await ended(native([address, "list", "--port", "0"], visitor()));
    const all = listed.split("\n").map((line) => line.split("\t")[0] ?? "");
    return all.filter((name) => name !== "" && name !== "visitor.txt").sort();
  };

  test("the operator's commands reach the tracker", async () => {
    const { address, port } = await windowsTracker();
    const holder = await windowsHolder(address, folderWith({ "a.txt": "a" }), 1, "--name", "Ana");
    const order = (...words: string[]) => ended(windows("ft-tracker", [...words, "--port", port], stage.folder()));
    expect(await order("status")).toMatch(/peers +1 online/);
    expect(await order("peers")).toContain("Ana");
    await order("notice", "We move at noon");
    await holder.waitFor(/We move at noon/);
    await order("ban", "Ana", "too", "much");
    await holder.waitFor(/banned/);
    expect(await order("bans")).toContain("127.0.0.1");
    await order("unban", "127.0.0.1");
    expect(await order("bans")).not.toContain("127.0.0.1");
  });

  test("the doctor looks at everything", async () => {
    const { address } = await stage.tracker();
    const said = windows("ft-peer", [address, "doctor", "--port", "0"], visitor());
    await said.exited;
    expect(said.out).toContain("tracker");
    expect(said.err).not.toMatch(/\n\s+at |Error:/);
  });
});
