// What a release holds: every archive is looked into, by a check that is itself shown archives with something wrong.
//
// In the archives in RELEASE_FOLDER, which the release script sets; and always in archives that are packed here, the one
// for this machine among them.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { packTar } from "modern-tar";
import { sentenceOf } from "../../lib/error.ts";
import { PEER_TABLE } from "../../lib/peer/options.ts";
import { SHELLS } from "../../lib/program/options.ts";
import { formatSize } from "../../lib/text.ts";
import { TRACKER_TABLE } from "../../lib/tracker/options.ts";
import project from "../../package.json";
import { type Entry, kindOf, type PackedFile, packTarGz, packZip, readArchive } from "../helpers/archive.ts";
import { describeBinary, signatureFault, signatureIdentifier, signed } from "../helpers/binary.ts";
import { isSignedBy, publicKeyText, readSecretKey, signatureText } from "../helpers/minisign.ts";
import { Stage } from "../helpers/programs.ts";
import { placesOf, RESOURCE } from "../helpers/resources.ts";
import { versionText, withVersion } from "../helpers/version-resource.ts";
import { hasIcon, withIcon } from "../helpers/windows-icon.ts";
import {
  archiveName,
  BUILD_FLAGS,
  chooseTargets,
  completionFile,
  executableOf,
  fileTime,
  finished,
  folderName,
  lockedRuntime,
  manualOf,
  PACKAGES,
  PROGRAMS,
  pack,
  programFile,
  releaseFiles,
  runtimeTarball,
  SIGNATURE,
  SUMS,
  sumsText,
  TARGETS,
  type Target,
  TEXTS,
} from "../release.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const ROOT = join(import.meta.dir, "..", "..");
const { version } = project;
const FIRST_TIME = Date.UTC(1980, 0, 1) / 1000;
/** Sizes of a real program, and of what stands in for one here. */
const REAL: [number, number] = [80e6, 130e6];
const SMALL: [number, number] = [64, 1e6];
/** A .tar.xz is at least this number of times smaller than what is in it; one that does not see that both programs begin alike is not. */
const XZ_SAVES = 4;

/** Paths of the machine that built it. The places that a compiled program's own files seem to be in are none. */
const OWN_PLACE = /(?:\$bunfs|~BUN|%7EBUN)$/;
const PRIVATE_PATHS = [
  ...["peer.ts", "tracker.ts", "lib/", "tests/", "dist/", "node_modules/"].map((inside) => `${ROOT}/${inside}`),
  ...(homedir().length > 1 ? [`${homedir()}/`] : []),
];

const stage = new Stage();
afterAll(() => stage.close());

// ---------------------------------------------------------------- the check

interface Expected {
  version: string;
  sizes: [number, number];
  /** Seconds since 1970. */
  time: number;
}

/** What is wrong with an archive, a sentence each; none when it is as it should be. */
async function faultsOf(target: Target, archive: Bytes, expected: Expected): Promise<string[]> {
  return (await look(target, archive, expected)).faults;
}

async function look(
  target: Target,
  archive: Bytes,
  { version, sizes, time }: Expected,
): Promise<{ faults: string[]; entries: Entry[] }> {
  const name = archiveName(target, version);
  const isZip = kindOf(archive) === "zip";
  if (isZip !== name.endsWith(".zip")) return { faults: [`${name} is not what its name says`], entries: [] };
  let entries: Entry[];
  try {
    entries = await readArchive(archive);
  } catch (error) {
    return { faults: [`${name} ${sentenceOf(error)}`], entries: [] };
  }
  const faults: string[] = [];
  if (kindOf(archive) === "tar.gz" && archive.subarray(3, 8).some((byte) => byte !== 0))
    faults.push(`${name} keeps a name or a time of its packing`);
  const unpacked = entries.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (unpacked >= 2 * REAL[0] && kindOf(archive) === "tar.xz" && archive.length > unpacked / XZ_SAVES)
    faults.push(`${name} holds the runtime of both programs twice: ${formatSize(archive.length)}`);

  const folder = folderName(target, version);
  const programs = PROGRAMS.map((program) => `${folder}/${programFile(target, program)}`);
  const completions = PROGRAMS.flatMap((program) => SHELLS.map((shell) => completionFile(shell, program)));
  const wanted = [
    ...programs,
    ...TEXTS.map((text) => `${folder}/${text}`),
    ...(isZip ? [`${folder}/README.txt`] : PROGRAMS.map((program) => `${folder}/man/${program}.1`)),
    ...completions.map((file) => `${folder}/completions/${file}`),
  ];
  const paths = entries.map(({ path }) => path);
  for (const path of wanted) if (!paths.includes(path)) faults.push(`${path} is missing`);
  for (const path of paths) if (!wanted.includes(path)) faults.push(`${path} does not belong there`);
  if (new Set(paths).size !== paths.length) faults.push(`${name} holds a file twice`);

  for (const { path, bytes, mode, time: when, owner } of entries) {
    const isProgram = programs.includes(path);
    if (mode !== (isProgram ? 0o755 : 0o644)) faults.push(`${path} has the mode ${mode.toString(8)}`);
    if (owner !== "0:0") faults.push(`${path} belongs to ${owner}`);
    if (when !== time) faults.push(`${path} has the time ${new Date(when * 1000).toISOString()}`);
    if (bytes.length === 0) faults.push(`${path} is empty`);
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const secret of PRIVATE_PATHS) {
      for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + 1)) {
        if (OWN_PLACE.test(text.toString("latin1", Math.max(0, at - 8), at))) continue;
        faults.push(`${path} holds ${secret}`);
        break;
      }
    }
    if (!isProgram) continue;
    const is = describeBinary(bytes);
    if (is !== target.binary) faults.push(`${path} is ${is}, not ${target.binary}`);
    if (bytes.length < sizes[0] || bytes.length > sizes[1]) faults.push(`${path} takes ${formatSize(bytes.length)}`);
    const signature = is.startsWith("Mach-O") ? signatureFault(bytes) : undefined;
    if (signature !== undefined) faults.push(`${path} ${signature}`);
    const program = basename(path, ".exe");
    if (is.startsWith("Mach-O") && signature === undefined && signatureIdentifier(bytes) !== program)
      faults.push(`${path} is signed as "${signatureIdentifier(bytes)}"`);
    if (!is.startsWith("PE")) continue;
    const shown = versionText(bytes).replaceAll("\0", " ");
    if (!shown.includes("FileTracker") || !shown.includes(`${program}.exe`) || /oven|bun/i.test(shown))
      faults.push(`${path} says that it is another program`);
    if (!hasIcon(bytes, program)) faults.push(`${path} has another icon`);
  }
  return { faults, entries };
}

/** What is wrong with the sums file of a folder. */
function sumsFaults(folder: string): string[] {
  const faults: string[] = [];
  const files = readdirSync(folder).filter((name) => ![SUMS, SIGNATURE, PACKAGES].includes(name));
  const listed: string[] = [];
  const text = readFileSync(join(folder, SUMS), "utf8");
  for (const line of text.split("\n").slice(0, -1)) {
    const [, sum, name = ""] = /^([0-9a-f]{64}) {2}([\w.-]+)$/.exec(line) ?? [];
    listed.push(name);
    if (!files.includes(name)) faults.push(`${SUMS} names "${name}", which is not there`);
    else if (
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex") !== sum
    )
      faults.push(`${name} has another sum`);
  }
  for (const name of files) if (!listed.includes(name)) faults.push(`${SUMS} does not name ${name}`);
  if (!text.endsWith("\n")) faults.push(`${SUMS} ends inside a line`);
  return faults;
}

/** The lines of an archive's list as another program reads it: mode, size and path; undefined where there is no such program. */
function secondOpinion(path: string): string[] | undefined {
  const listed = (command: string[]) => {
    const child = Bun.spawnSync(command, { env: { ...process.env, TZ: "UTC", LC_ALL: "C" }, stdin: "ignore" });
    expect({ command, code: child.exitCode, err: child.stderr.toString() }).toEqual({ command, code: 0, err: "" });
    return child.stdout.toString().trim().split("\n");
  };
  if (path.endsWith(".zip")) {
    if (Bun.which("unzip") === null || Bun.which("zipinfo") === null) return undefined;
    listed(["unzip", "-tqq", path]);
    // -rwxr-xr-x  2.0 unx  108 bX defN 19800101.000000 path
    const row = /^(\S{10}) .* unx +(\d+) \S+ +def\S +\d{8}\.\d{6} (.*)$/;
    return listed(["zipinfo", "-sT", path])
      .map((line) => row.exec(line))
      .flatMap((match) => (match === null ? [] : [match.slice(1).join(" ")]));
  }
  if (Bun.which("tar") === null) return undefined;
  // -rwxr-xr-x 0/0  108 1980-01-01 00:00 path; the system of a Mac writes "0  0  0" and the date in words.
  const row = /^(\S{10})\s+(?:0\/0|0\s+0\s+0)\s+(\d+)\s+.* (\S+)$/;
  return listed(["tar", "-tvf", path]).map((line) => row.exec(line)?.slice(1).join(" ") ?? line);
}

/** Holds an archive on the disk against the check, and what is in it against another program's reading. */
async function expectGood(target: Target, path: string, expected: Expected): Promise<Entry[]> {
  const { faults, entries } = await look(target, await Bun.file(path).bytes(), expected);
  expect(faults).toEqual([]);
  const listed = secondOpinion(path);
  if (listed === undefined) console.log(`${basename(path)}: no second program here that reads it.`);
  else {
    const letters = (mode: number) => (mode === 0o755 ? "-rwxr-xr-x" : "-rw-r--r--");
    expect(listed).toEqual(entries.map(({ path, bytes, mode }) => `${letters(mode)} ${bytes.length} ${path}`));
  }
  return entries;
}

// ---------------------------------------------------------------- stand-ins

/** The resources of a stand-in: an icon with room for ours, its group, and a version. */
const RESOURCES = [
  { kind: RESOURCE.icon, at: 1024, size: 270_600 },
  { kind: RESOURCE.iconGroup, at: 240, size: 20 },
  { kind: RESOURCE.version, at: 264, size: 656 },
];
const IS_FOLDER = 0x80000000;

/** The least of a file that is what a target's programs are. */
function standIn(target: Target): Bytes {
  const bytes = new Uint8Array(target.binary.startsWith("PE") ? 280_000 : 9_000);
  const view = new DataView(bytes.buffer);
  const isArm = target.name.includes("arm64");
  const [format, , interpreter = ""] = target.binary.split(" ");
  if (format === "ELF") {
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
    view.setUint16(18, isArm ? 0xb7 : 0x3e, true);
    view.setBigUint64(32, 64n, true);
    view.setUint16(54, 56, true);
    view.setUint16(56, 1, true);
    view.setUint32(64, 3, true);
    view.setBigUint64(72, 256n, true);
    view.setBigUint64(96, BigInt(interpreter.length + 1), true);
    bytes.set(new TextEncoder().encode(interpreter), 256);
  } else if (format === "PE") {
    bytes.set([0x4d, 0x5a]);
    view.setUint32(0x3c, 128, true);
    bytes.set([0x50, 0x45], 128);
    view.setUint16(132, isArm ? 0xaa64 : 0x8664, true);
    // One section with the resources of another program: for each kind two folders, an entry, and the bytes.
    view.setUint16(134, 1, true);
    view.setUint16(148, 112, true);
    bytes.set(new TextEncoder().encode(".rsrc"), 264);
    view.setUint32(276, 0x1000, true);
    view.setUint32(284, 1024, true);
    view.setUint16(1024 + 14, RESOURCES.length, true);
    for (const [i, { kind, at, size }] of RESOURCES.entries()) {
      const folder = 40 + 48 * i;
      view.setUint32(1040 + 8 * i, kind, true);
      view.setUint32(1044 + 8 * i, IS_FOLDER + folder, true);
      for (const [own, id, below] of [
        [folder, 1, IS_FOLDER + folder + 24],
        [folder + 24, 1033, 184 + 16 * i],
      ] as const) {
        view.setUint16(1024 + own + 14, 1, true);
        view.setUint32(1040 + own, id, true);
        view.setUint32(1044 + own, below, true);
      }
      view.setUint32(1024 + 184 + 16 * i, 0x1000 + at, true);
      view.setUint32(1028 + 184 + 16 * i, size, true);
    }
    bytes.set(Buffer.from("bun.exe by Oven".padEnd(328), "utf16le"), 1024 + 264);
  } else {
    view.setUint32(0, 0xfeedfacf, true);
    view.setUint32(4, isArm ? 0x0100000c : 0x01000007, true);
    view.setUint32(16, 3, true);
    ["__TEXT", "__LINKEDIT"].forEach((name, i) => {
      const command = 32 + i * 72;
      view.setUint32(command, 0x19, true);
      view.setUint32(command + 4, 72, true);
      bytes.set(new TextEncoder().encode(name), command + 8);
      view.setBigUint64(command + 40, i === 0 ? 0n : 8_000n, true);
      view.setBigUint64(command + 48, i === 0 ? 8_000n : 1_000n, true);
    });
    [0x1d, 16, 8_500, 500].forEach((value, i) => void view.setUint32(176 + 4 * i, value, true));
    return signed(bytes, "stand-in");
  }
  return bytes;
}

function filesOf(target: Target): PackedFile[] {
  const programs = PROGRAMS.map((program) => [program, finished(program, standIn(target))]);
  return releaseFiles(target, version, Object.fromEntries(programs));
}

function targetNamed(name: string): Target {
  const [target] = chooseTargets([name]);
  if (target === undefined) throw new Error(`No target ${name}.`);
  return target;
}

const EXPECTED: Expected = { version, sizes: SMALL, time: FIRST_TIME };

// ---------------------------------------------------------------- the tests

const folder = process.env.RELEASE_FOLDER;

describe("archives that are packed here", () => {
  // While a release is made there need not be any programs in dist; its own archives are looked into then.
  if (folder === undefined) {
    test("are right for this machine, with the programs in dist", async () => {
      const programs: Record<string, Bytes> = {};
      for (const program of PROGRAMS) {
        const file = join(ROOT, "dist", program);
        programs[program] = finished(program, new Uint8Array(readFileSync(existsSync(file) ? file : `${file}.exe`)));
      }
      const system = { linux: "linux", darwin: "darwin", win32: "windows" }[process.platform as string];
      const is = describeBinary(programs["ft-peer"] ?? new Uint8Array());
      const here = TARGETS.filter(({ name, binary }) => name.startsWith(`${system}-${process.arch}`) && binary === is);
      expect(here.map(({ binary }) => binary)).toEqual([is]);
      const [target = targetNamed("linux-x64")] = here;
      // Not packed as for a release, which takes a minute.
      const files = releaseFiles(target, version, programs);
      const isZip = archiveName(target, version).endsWith(".zip");
      const path = join(stage.folder(), folderName(target, version) + (isZip ? ".zip" : ".tar.gz"));
      writeFileSync(path, isZip ? packZip(files, fileTime(undefined), 0) : await packTarGz(files, fileTime(undefined), 0));
      const entries = await expectGood(target, path, { ...EXPECTED, sizes: REAL });
      for (const program of PROGRAMS) {
        const packed = entries.find(({ path }) => path.endsWith(`/${programFile(target, program)}`));
        expect(packed?.bytes.length).toBe(programs[program]?.length);
      }
    });
  }

  test.each(TARGETS.map((target) => [target.name, target] as const))(
    "are right for %s, with stand-ins for the programs",
    async (_, target) => {
      const path = join(stage.folder(), archiveName(target, version));
      writeFileSync(path, await pack(target, filesOf(target), fileTime(undefined)));
      await expectGood(target, path, EXPECTED);
    },
  );

  test.each(["linux-x64", "windows-x64"])(
    "are the same bytes twice, and hold the texts of the repository: %s",
    async (name) => {
      const target = targetNamed(name);
      const [one, two] = [
        await pack(target, filesOf(target), fileTime("")),
        await pack(target, filesOf(target), fileTime(undefined)),
      ];
      expect(Buffer.compare(one, two)).toBe(0);
      const entries = await readArchive(one);
      for (const text of TEXTS) {
        const found = entries.find(({ path }) => path.endsWith(`/${text}`));
        expect(new TextDecoder().decode(found?.bytes)).toBe(readFileSync(join(ROOT, text), "utf8"));
      }
    },
  );

  test.each(["linux-x64", "windows-x64"])("have the time of SOURCE_DATE_EPOCH, whatever the clock's zone: %s", async (name) => {
    const target = targetNamed(name);
    const entries = await readArchive(await pack(target, filesOf(target), fileTime("1700000045")));
    expect(new Set(entries.map(({ time }) => time))).toEqual(new Set([1700000044]));
  });

  test.each(["-1", "1e9", "0", "tomorrow", "4102444800000", " 1700000000"])("have no time that is none: %j", (epoch) => {
    expect(() => fileTime(epoch)).toThrow(`not "${epoch}"`);
  });
});

describe("the check", () => {
  const linux = targetNamed("linux-x64");
  const windows = targetNamed("windows-x64");
  const top = folderName(linux, version);
  const topArchive = archiveName(linux, version);
  const when = fileTime(undefined);

  /** The faults of an archive whose files were changed before they were packed. */
  const faultsAfter = async (
    change: (files: PackedFile[]) => PackedFile[],
    target = linux,
    expected = EXPECTED,
  ): Promise<string[]> => faultsOf(target, await pack(target, change(filesOf(target)), when), expected);
  const edit = (path: string, change: (file: PackedFile) => Partial<PackedFile>) => (files: PackedFile[]) =>
    files.map((file) => (file.path.endsWith(`/${path}`) ? { ...file, ...change(file) } : file));
  const withText = (text: string) =>
    edit("ft-peer", ({ bytes }) => ({ bytes: new Uint8Array(Buffer.concat([bytes, Buffer.from(text)])) }));

  test("finds nothing where nothing is wrong", async () => {
    expect(await faultsAfter((files) => files)).toEqual([]);
    expect(await faultsAfter((files) => files, windows)).toEqual([]);
  });

  test("finds the programs of another processor, system or C library", async () => {
    for (const other of TARGETS) {
      if (other === linux) continue;
      const bytes = standIn(other);
      const faults = await faultsAfter(edit("ft-tracker", () => ({ bytes })));
      expect(faults).toContain(`${top}/ft-tracker is ${other.binary}, not ${linux.binary}`);
    }
    expect(await faultsAfter(edit("ft-peer", () => ({ bytes: new Uint8Array(100) })))).toContain(
      `${top}/ft-peer is unknown, not ${linux.binary}`,
    );
  });

  test("finds a path of the building machine, and none in a compiled program's own places", async () => {
    // A clone in a home folder: the path of a file in it is also a path in the home.
    const foundIn = (text: string) =>
      PRIVATE_PATHS.filter((path) => text.includes(path)).map((path) => `${top}/ft-peer holds ${path}`);
    for (const path of PRIVATE_PATHS) {
      const text = `at ${path}x`;
      expect(foundIn(text)).toContain(`${top}/ft-peer holds ${path}`);
      expect(await faultsAfter(withText(text))).toEqual(foundIn(text));
    }
    expect(
      await faultsAfter(withText("/$bunfs/root/ft-peer B:/~BUN/root/ft-peer.exe file:///B:/%7EBUN/root/ft-peer.exe")),
    ).toEqual([]);
    const [path = ""] = PRIVATE_PATHS;
    expect(await faultsAfter(withText(`/$bunfs${path} ${path}`))).toEqual(foundIn(path));
  });

  test("finds a file too few, too many, twice, empty or elsewhere", async () => {
    expect(await faultsAfter((files) => files.filter(({ path }) => !path.endsWith("/LICENSE")))).toEqual([
      `${top}/LICENSE is missing`,
    ]);
    const extra = { path: `${top}/.env`, bytes: new Uint8Array(1), mode: 0o644 };
    expect(await faultsAfter((files) => [...files, extra])).toEqual([`${top}/.env does not belong there`]);
    expect(await faultsAfter((files) => [...files, ...files.slice(-1)])).toEqual([`${topArchive} holds a file twice`]);
    expect(await faultsAfter(edit("README.md", () => ({ bytes: new Uint8Array() })))).toEqual([`${top}/README.md is empty`]);
    expect(await faultsAfter(edit("LICENSE", () => ({ path: "../LICENSE" })))).toEqual([
      `${top}/LICENSE is missing`,
      "../LICENSE does not belong there",
    ]);
    expect(await faultsAfter((files) => files, linux, { ...EXPECTED, version: "0.0.1" })).toContain(
      `filetracker-0.0.1-linux-x64/ft-peer is missing`,
    );
  });

  test("finds a wrong mode, in a zip too", async () => {
    expect(await faultsAfter(edit("ft-peer", () => ({ mode: 0o644 })))).toEqual([`${top}/ft-peer has the mode 644`]);
    expect(await faultsAfter(edit("LICENSE", () => ({ mode: 0o666 })))).toEqual([`${top}/LICENSE has the mode 666`]);
    expect(
      await faultsAfter(
        edit("ft-peer.exe", () => ({ mode: 0o700 })),
        windows,
      ),
    ).toEqual([`${folderName(windows, version)}/ft-peer.exe has the mode 700`]);
  });

  test("finds a wrong size of a program", async () => {
    expect(await faultsAfter((files) => files, linux, { ...EXPECTED, sizes: REAL })).toEqual([
      `${top}/ft-tracker takes 9.0 kB`,
      `${top}/ft-peer takes 9.0 kB`,
    ]);
  });

  test("finds times, owners, links and names that a packing left behind", async () => {
    const late = await packTarGz(filesOf(linux), new Date(1_700_000_000_000), 1);
    expect(await faultsOf(linux, late, EXPECTED)).toContain(`${top}/LICENSE has the time 2023-11-14T22:13:20.000Z`);
    expect(await faultsOf(linux, late, { ...EXPECTED, time: 1_700_000_000 })).toEqual([]);
    expect(await faultsOf(windows, packZip(filesOf(windows), new Date(1_700_000_000_000), 1), EXPECTED)).toContain(
      `${folderName(windows, version)}/LICENSE has the time 2023-11-14T22:13:20.000Z`,
    );
    const header = { name: `${top}/LICENSE`, size: 1, mtime: when, mode: 0o644 };
    const tarWith = async (more: object) => Bun.gzipSync(await packTar([{ header: { ...header, ...more }, body: "x" }]));
    expect(await faultsOf(linux, await tarWith({ uid: 1000, gid: 0 }), EXPECTED)).toContain(`${top}/LICENSE belongs to 1000:0`);
    expect(await faultsOf(linux, await tarWith({ uid: 0, gid: 0, uname: "ada" }), EXPECTED)).toContain(
      `${top}/LICENSE belongs to 0:0 ada`,
    );
    const link = await packTar([{ header: { ...header, size: 0, type: "symlink", linkname: "/etc/passwd" } }]);
    expect(await faultsOf(linux, Bun.gzipSync(link), EXPECTED)).toEqual([
      `${topArchive} holds "${top}/LICENSE", which is no file but a symlink`,
    ]);
    const stamped = await packTarGz(filesOf(linux), when, 1);
    stamped[5] = 1;
    expect(await faultsOf(linux, stamped, EXPECTED)).toEqual([`${topArchive} keeps a name or a time of its packing`]);
  });

  test("finds the other kind of archive, and a damaged one", async () => {
    expect(await faultsOf(linux, packZip(filesOf(linux), when, 1), EXPECTED)).toEqual([
      `${topArchive} is not what its name says`,
    ]);
    expect(await faultsOf(windows, await packTarGz(filesOf(windows), when, 1), EXPECTED)).toHaveLength(1);
    expect(await faultsOf(linux, new Uint8Array(100), EXPECTED)).toEqual([`${topArchive} is no archive`]);
    for (const target of [linux, windows]) {
      const good = await pack(target, filesOf(target), when);
      expect(await faultsOf(target, good.slice(0, -40), EXPECTED)).toHaveLength(1);
      const flipped = good.slice();
      // Inside what the first file was packed to.
      flipped[85] = (flipped[85] ?? 0) ^ 0xff;
      expect(await faultsOf(target, flipped, EXPECTED)).toHaveLength(1);
    }
  });

  test("finds a program for macOS that was changed after it was signed, or is not signed", async () => {
    for (const name of ["darwin-x64", "darwin-arm64"]) {
      const target = targetNamed(name);
      const program = `${folderName(target, version)}/ft-peer`;
      const change = (at: number) =>
        edit("ft-peer", ({ bytes }) => {
          const changed = bytes.slice();
          changed[at] = (changed[at] ?? 0) ^ 1;
          return { bytes: changed };
        });
      expect(await faultsAfter(change(4_500), target)).toEqual([`${program} was changed in page 1 after it was signed`]);
      expect(await faultsAfter(change(8_499), target)).toEqual([`${program} was changed in page 2 after it was signed`]);
      expect(await faultsAfter(withText("more"), target)).toEqual([`${program} does not end with its code signature`]);
      expect(await faultsAfter(change(176), target)).toEqual([`${program} has no code signature`]);
    }
  });

  test("finds a program for macOS with the name of another one in its signature, or without memory for it", async () => {
    const target = targetNamed("darwin-arm64");
    const program = `${folderName(target, version)}/ft-peer`;
    expect(
      await faultsAfter(
        edit("ft-peer", ({ bytes }) => ({ bytes: signed(bytes, "a.out") })),
        target,
      ),
    ).toEqual([`${program} is signed as "a.out"`]);
    const small = edit("ft-peer", ({ bytes }) => {
      const changed = bytes.slice();
      // The memory of __LINKEDIT, the second load command.
      new DataView(changed.buffer).setBigUint64(32 + 72 + 32, 8n, true);
      return { bytes: changed };
    });
    expect(await faultsAfter(small, target)).toEqual([`${program} has no memory for its code signature`]);
  });

  test("finds a program for Windows that says that it is another one", async () => {
    const program = `${folderName(windows, version)}/ft-peer.exe`;
    const asBuilt = standIn(windows);
    const expected = [`${program} says that it is another program`, `${program} has another icon`];
    expect(
      await faultsAfter(
        edit("ft-peer.exe", () => ({ bytes: asBuilt })),
        windows,
      ),
    ).toEqual(expected);
    const tracker = finished("ft-tracker", asBuilt);
    expect(
      await faultsAfter(
        edit("ft-peer.exe", () => ({ bytes: tracker })),
        windows,
      ),
    ).toEqual(expected);
  });

  test("finds sums that are wrong, too few or too many", async () => {
    const place = stage.folder();
    const sum = (text: string) => createHash("sha256").update(text).digest("hex");
    for (const name of ["b.zip", "a.tar.gz"]) writeFileSync(join(place, name), name);
    const right = sumsText([
      { name: "b.zip", sha256: sum("b.zip") },
      { name: "a.tar.gz", sha256: sum("a.tar.gz") },
    ]);
    expect(right).toBe(`${sum("a.tar.gz")}  a.tar.gz\n${sum("b.zip")}  b.zip\n`);
    const faults = (text: string) => {
      writeFileSync(join(place, SUMS), text);
      return sumsFaults(place);
    };
    expect(faults(right)).toEqual([]);
    expect(faults(right.replaceAll(sum("b.zip"), sum("c")))).toEqual(["b.zip has another sum"]);
    expect(faults(right.slice(0, right.indexOf("\n") + 1))).toEqual([`${SUMS} does not name b.zip`]);
    expect(faults(`${right}${sum("c")}  c.zip\n`)).toEqual([`${SUMS} names "c.zip", which is not there`]);
    expect(faults(right.trimEnd())).not.toEqual([]);
  });
});

describe("a runtime", () => {
  const target = targetNamed("linux-x64");
  const hashOf = (bytes: Bytes) => `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
  let tarball: Bytes;
  beforeAll(async () => {
    const header = { name: "package/bin/bun", size: 7, mode: 0o755 };
    tarball = Bun.gzipSync(await packTar([{ header, body: "runtime" }]));
  });
  const lockWith = (integrity: string) =>
    `{ "packages": { "${target.runtime}": ["${target.runtime}@9.9.9", "", {}, "${integrity}"], }, }`;
  /** What is downloaded: made up here, and counted. */
  const source = (bytes: Bytes) => {
    const from = {
      times: 0,
      download: async () => {
        from.times++;
        return bytes;
      },
    };
    return from;
  };

  test("is taken when its hash is the lock file's, and downloaded once", async () => {
    const place = join(stage.folder(), "kept");
    const locked = lockedRuntime(target, lockWith(hashOf(tarball)), "9.9.9");
    const from = source(tarball);
    for (let i = 0; i < 2; i++) {
      const given = await runtimeTarball(locked, place, from.download);
      expect(new TextDecoder().decode(await executableOf(given))).toBe("runtime");
    }
    expect(from.times).toBe(1);
    expect(readdirSync(place)).toEqual(["bun-linux-x64-9.9.9.tgz"]);
  });

  test("is refused, and nothing kept, when its hash is another", async () => {
    const place = stage.folder();
    const locked = lockedRuntime(target, lockWith(hashOf(new Uint8Array(1))), "9.9.9");
    const given = runtimeTarball(locked, place, source(tarball).download);
    await expect(given).rejects.toThrow(`"${target.runtime}" 9.9.9 is not the one that tests/runtimes/bun.lock names`);
    expect(readdirSync(place)).toEqual([]);
  });

  test("is downloaded again when what was kept was changed, and then still held against the lock", async () => {
    const place = stage.folder();
    const locked = lockedRuntime(target, lockWith(hashOf(tarball)), "9.9.9");
    const path = join(place, "bun-linux-x64-9.9.9.tgz");
    writeFileSync(path, "changed");
    await expect(runtimeTarball(locked, place, source(new Uint8Array(2)).download)).rejects.toThrow("is not the one");
    const from = source(tarball);
    await runtimeTarball(locked, place, from.download);
    expect(from.times).toBe(1);
    expect(hashOf(new Uint8Array(readFileSync(path)))).toBe(locked.integrity);
  });

  test("has to be in the lock file, with a hash that can be trusted", () => {
    const missing = `tests/runtimes/bun.lock has no hash of "${target.runtime}" 9.9.9`;
    const good = hashOf(tarball);
    for (const integrity of ["", "sha1-qVJ2DKQmWT4CbYmQKyNGm4FdS+0=", `${good} sha512-`, good.slice(0, -3)]) {
      expect(() => lockedRuntime(target, lockWith(integrity), "9.9.9")).toThrow(missing);
    }
    expect(() => lockedRuntime(target, lockWith(good).replaceAll("9.9.9", "9.9.8"), "9.9.9")).toThrow(missing);
    expect(() => lockedRuntime(target, "{}", "9.9.9")).toThrow(missing);
  });

  test("without one executable is refused", async () => {
    const empty = Bun.gzipSync(await packTar([{ header: { name: "package/README.md", size: 1 }, body: "x" }]));
    await expect(executableOf(empty)).rejects.toThrow("does not hold one executable");
  });

  test("of every target is in this repository's lock file, in the version that package.json names", () => {
    const lock = readFileSync(join(import.meta.dir, "..", "runtimes", "bun.lock"), "utf8");
    const wanted = project.packageManager.replace("bun@", "");
    for (const target of TARGETS) expect(lockedRuntime(target, lock, wanted).version).toBe(wanted);
    const { optionalDependencies } = JSON.parse(readFileSync(join(import.meta.dir, "..", "runtimes", "package.json"), "utf8"));
    expect(optionalDependencies).toEqual(Object.fromEntries(TARGETS.map(({ runtime }) => [runtime, wanted])));
  });
});

describe("the version of a program for Windows", () => {
  const asBuilt = standIn(targetNamed("windows-x64"));

  test("names the program and this project, and the numbers of the version", () => {
    const shown = versionText(finished("ft-peer", asBuilt)).split("\0");
    for (const text of ["FileTracker", "FileTracker peer", "ft-peer.exe", version]) expect(shown).toContain(text);
    expect(versionText(asBuilt)).toContain("Oven");
  });

  test("comes with an icon of its own for each program", () => {
    const peer = finished("ft-peer", asBuilt);
    expect(["ft-peer", "ft-tracker"].map((program) => hasIcon(peer, program))).toEqual([true, false]);
    expect(hasIcon(asBuilt, "ft-peer")).toBe(false);
    const [group] = placesOf(peer, RESOURCE.iconGroup);
    const [icon] = placesOf(peer, RESOURCE.icon);
    expect(new DataView(peer.buffer).getUint32((group?.offset ?? 0) + 14, true)).toBe(icon?.size ?? 0);
  });

  test("is refused when it does not fit, or when the program has none", () => {
    expect(() => withVersion(asBuilt, { FileDescription: "x".repeat(400) }, version)).toThrow("has 656 bytes for");
    const without = asBuilt.slice();
    without[264] = 0;
    expect(() => withVersion(without, {}, version)).toThrow("has no version resource");
    expect(() => withIcon(without, "ft-peer")).toThrow("has no icon");
  });
});

describe("the signature of the sums", () => {
  /** A throw-away key as `minisign -G -W` writes one: "Ed", no password, "B2", salt and limits, the id, seed and public key, a sum. */
  const secretKey = (protection = 0) => {
    const bytes = Buffer.alloc(158, 7);
    bytes.write("Ed", 0);
    bytes.writeUInt16LE(protection, 2);
    return `untrusted comment: minisign secret key\n${bytes.toString("base64")}\n`;
  };
  const sums = Buffer.from("0".repeat(64));

  test("is that of the key that the releaser supplies, and of nothing else", () => {
    const key = readSecretKey(secretKey());
    const signature = signatureText(sums, key, "FileTracker 1.0.0");
    expect(isSignedBy(sums, signature, publicKeyText(key))).toBe(true);
    expect(isSignedBy(Buffer.from("other"), signature, publicKeyText(key))).toBe(false);
    expect(isSignedBy(sums, signature.replace("1.0.0", "1.0.1"), publicKeyText(key))).toBe(false);
    expect(signature.split("\n").map((line) => line.length)).toEqual([43, 100, 34, 88, 0]);
    expect(publicKeyText(key)).toStartWith("untrusted comment: minisign public key 0707070707070707\nRWQH");
  });

  test("needs a key without a password", () => {
    expect(() => readSecretKey(secretKey(0x6353))).toThrow("This key has a password");
    expect(() => readSecretKey("hello")).toThrow("no secret key");
  });

  const minisign = Bun.which("minisign");
  test.skipIf(minisign === null)("is one that minisign takes", () => {
    const key = readSecretKey(secretKey());
    const place = stage.folder();
    writeFileSync(join(place, SUMS), sums);
    writeFileSync(join(place, SIGNATURE), signatureText(sums, key, "FileTracker"));
    writeFileSync(join(place, "key.pub"), publicKeyText(key));
    const { exitCode } = Bun.spawnSync([minisign ?? "", "-V", "-p", "key.pub", "-m", SUMS], { cwd: place });
    expect(exitCode).toBe(0);
  });
});

describe("the manual pages", () => {
  const man = Bun.which("man");
  test.skipIf(man === null || process.platform !== "linux")(
    "are rendered without a warning, and have every command and option",
    () => {
      for (const program of PROGRAMS) {
        const page = join(stage.folder(), `${program}.1`);
        writeFileSync(page, manualOf(program, version));
        const env = { ...process.env, MANWIDTH: "200", LC_ALL: "C", MAN_KEEP_FORMATTING: "" };
        const { stdout, stderr, exitCode } = Bun.spawnSync([man ?? "", "--warnings", "-l", page], { env });
        expect({ exitCode, err: stderr.toString() }).toEqual({ exitCode: 0, err: "" });
        const shown = stdout.toString().replace(/.\u0008/g, "");
        const { commands, options } = program === "ft-peer" ? PEER_TABLE : TRACKER_TABLE;
        for (const { name } of commands) expect(shown).toContain(`       ${name}`);
        for (const { name } of options) expect(shown).toContain(`--${name}`);
      }
    },
  );
});

describe("the release script", () => {
  test("compiles as the build scripts do", () => {
    for (const program of ["tracker", "peer"] as const) {
      const script = project.scripts[`build:${program}`].split(" ");
      expect(script[0]).toBe("NODE_ENV=production");
      expect(script.filter((word) => word.startsWith("--") && word !== "--outfile")).toEqual(BUILD_FLAGS);
    }
  });

  test("refuses a target that there is not, and a time that is none, before it does anything", () => {
    const run = (args: string[], env = {}) => {
      const command = [process.execPath, join(import.meta.dir, "..", "release.ts"), ...args];
      const { exitCode, stderr } = Bun.spawnSync(command, {
        cwd: stage.folder(),
        env: { ...process.env, ...env },
        stdin: "ignore",
      });
      return { exitCode, err: stderr.toString() };
    };
    const all = TARGETS.map(({ name }) => name).join(", ");
    expect(run(["linux-x64", "linux-\x1b[31mx86"])).toEqual({
      exitCode: 2,
      err: `"linux-\\x1b[31mx86" is not a target; there are ${all}.\n`,
    });
    expect(run([], { SOURCE_DATE_EPOCH: "now" }).exitCode).toBe(2);
  });
});

if (folder !== undefined) {
  const sums = readFileSync(join(folder, SUMS), "utf8");
  // The packages for Debian hold the same programs; e2e/packages.test.ts looks into one.
  const names = [...sums.matchAll(/ {2}(\S+)$/gm)].map(([, name = ""]) => name).filter((name) => !name.endsWith(".deb"));

  describe("the archives in the new release", () => {
    test("are those that the sums name", () => {
      expect(sumsFaults(folder)).toEqual([]);
      expect(names.length).toBeGreaterThan(0);
    });

    test.each(names)("are right: %s", async (name) => {
      const [, version = "", about = ""] = /^filetracker-([\w.]+)-(.+?)\.(?:tar\.gz|tar\.xz|zip)$/.exec(name) ?? [];
      expect(version).toBe(project.version);
      expect(name).toEndWith(`.${kindOf(await Bun.file(join(folder, name)).slice(0, 16).bytes())}`);
      const target = targetNamed(about);
      expect(archiveName(target, version)).toBe(name);
      const time = fileTime(process.env.SOURCE_DATE_EPOCH).getTime() / 1000;
      const entries = await expectGood(target, join(folder, name), { version, sizes: REAL, time });
      for (const { path, bytes } of releaseFiles(target, version, {})) {
        const packed = entries.find((entry) => entry.path === path);
        if (bytes.length > 0)
          expect({ path, same: packed !== undefined && Buffer.compare(packed.bytes, bytes) === 0 }).toEqual({
            path,
            same: true,
          });
      }
    });
  });
}
