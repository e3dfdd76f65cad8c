// Makes a release: both programs for every target, an archive each, and the archives' sums; the same bytes every time.
//
//     bun run release                  all targets, into dist/release
//     bun run release linux-x64 …      only these
//     RELEASE_URL=https://… bun run release   also the texts for Scoop, winget, Homebrew and the AUR; RELEASE_HOME is the home page
//     RELEASE_QUICK=1 bun run release  packs less: for a try, in a third of the time
//     RELEASE_MAINTAINER="Name <mail address>" bun run release    names the person who makes the packages for Debian
//     MINISIGN_KEY=FILE bun run release    signs the sums with this key, which `minisign -G -W` has made
//
// A target is built on a runtime that is downloaded once, kept in node_modules/.cache and held against the lock file in
// tests/runtimes every time. Nothing appears in dist/release before every archive has passed e2e/release.test.ts.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { unpackTar } from "modern-tar";
import { CancelledError, FtError, sentenceOf, UsageError } from "../lib/error.ts";
import { PEER_TABLE } from "../lib/peer/options.ts";
import { completionScript } from "../lib/program/completions.ts";
import { SHELLS, type Shell } from "../lib/program/options.ts";
import { formatSize, printable } from "../lib/text.ts";
import { TRACKER_TABLE } from "../lib/tracker/options.ts";
import project from "../package.json";
import { HAS_XZ, type PackedFile, packTarGz, packTarXz, packZip } from "./helpers/archive.ts";
import { describeBinary, signed } from "./helpers/binary.ts";
import { debianPackage, NO_MAINTAINER } from "./helpers/debian.ts";
import { manualPage } from "./helpers/manual.ts";
import { readSecretKey, type SecretKey, signatureText } from "./helpers/minisign.ts";
import { packageTexts } from "./helpers/packages.ts";
import { windowsReadMe } from "./helpers/read-me-windows.ts";
import { withVersion } from "./helpers/version-resource.ts";
import { withIcon } from "./helpers/windows-icon.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const ROOT = join(import.meta.dir, "..");
const LOCK = join(import.meta.dir, "runtimes", "bun.lock");
const CACHE = join(ROOT, "node_modules", ".cache", "filetracker-runtimes");
const DIST = join(ROOT, "dist");
export const RELEASE = join(DIST, "release");
export const SUMS = "SHA256SUMS";
/** The folder of the texts for package managers, when RELEASE_URL says where the archives will be. */
export const PACKAGES = "packages";
/** The signature of the sums, when the releaser has a key. */
export const SIGNATURE = `${SUMS}.minisig`;

export const PROGRAMS = ["ft-tracker", "ft-peer"] as const;
export const TEXTS = ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"] as const;

const ENTRY_FILES = { "ft-tracker": ["tracker.ts"], "ft-peer": ["peer.ts", "lib/peer/content/hasher.ts"] };
/** How the programs are compiled for a release; the `build` scripts say the same. */
export const BUILD_FLAGS = [
  "--compile",
  "--bytecode",
  "--format=esm",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-dotenv",
  "--minify-syntax",
  "--minify-whitespace",
];
/** Hashing, bundling and packing one target takes a core and some 700 MB. */
const LANES = Math.min(2, availableParallelism());
const RUNTIME_LIMIT = 256 * 1024 * 1024;
const DOWNLOAD_MS = 600_000;
/** Each test of the finished archives ends within this time: a busy machine must not cost the work of minutes. Milliseconds. */
const CHECK_MS = 900_000;
/** The times of files: the first that a zip archive can say, and the last. */
const FIRST_TIME = Date.UTC(1980, 0, 1) / 1000;
const LAST_TIME = Date.UTC(2099, 11, 31) / 1000;

export interface Target {
  /** As in the archive's name. */
  name: string;
  /** The runtime's package. */
  runtime: string;
  /** What `describeBinary` says of its programs. */
  binary: string;
}

const GLIBC = { x64: "/lib64/ld-linux-x86-64.so.2", arm64: "/lib/ld-linux-aarch64.so.1" };

export const TARGETS: Target[] = [
  { name: "linux-x64", runtime: "@oven/bun-linux-x64", binary: `ELF x86-64 ${GLIBC.x64}` },
  { name: "linux-arm64", runtime: "@oven/bun-linux-aarch64", binary: `ELF aarch64 ${GLIBC.arm64}` },
  { name: "linux-x64-musl", runtime: "@oven/bun-linux-x64-musl", binary: "ELF x86-64 /lib/ld-musl-x86_64.so.1" },
  { name: "linux-arm64-musl", runtime: "@oven/bun-linux-aarch64-musl", binary: "ELF aarch64 /lib/ld-musl-aarch64.so.1" },
  { name: "darwin-x64", runtime: "@oven/bun-darwin-x64", binary: "Mach-O x86-64" },
  { name: "darwin-arm64", runtime: "@oven/bun-darwin-aarch64", binary: "Mach-O aarch64" },
  { name: "windows-x64", runtime: "@oven/bun-windows-x64", binary: "PE x86-64" },
  { name: "windows-arm64", runtime: "@oven/bun-windows-aarch64", binary: "PE aarch64" },
];

/** A release could not be made; nothing of it was written. */
class ReleaseError extends FtError {
  constructor(message: string) {
    super("release", message);
  }
}

const isWindows = (target: Target) => target.name.startsWith("windows-");

/** The file's name of a program on a target. */
export function programFile(target: Target, program: string): string {
  return isWindows(target) ? `${program}.exe` : program;
}

/** The name of an archive and of the one folder in it. */
export function folderName(target: Target, version: string): string {
  return `filetracker-${version}-${target.name}`;
}

/** `isXz`: whether the machine that packs has xz. */
export function archiveName(target: Target, version: string, isXz = HAS_XZ): string {
  const kind = isWindows(target) ? "zip" : isXz ? "tar.xz" : "tar.gz";
  return `${folderName(target, version)}.${kind}`;
}

/** Where each shell looks for the completions of a program, as a file's name. */
export function completionFile(shell: Shell, program: string): string {
  return { bash: `${program}.bash`, zsh: `_${program}`, fish: `${program}.fish`, powershell: `${program}.ps1` }[shell];
}

/**
 * The time that every file gets: SOURCE_DATE_EPOCH, in seconds since 1970 (reproducible-builds.org), or 1980-01-01. A zip archive
 * knows only even seconds.
 */
export function fileTime(epoch: string | undefined): Date {
  const seconds = epoch === undefined || epoch === "" ? FIRST_TIME : /^\d{1,11}$/.test(epoch) ? Number(epoch) : Number.NaN;
  if (seconds >= FIRST_TIME && seconds <= LAST_TIME) return new Date((seconds - (seconds % 2)) * 1000);
  throw new UsageError(`SOURCE_DATE_EPOCH needs the seconds of a time from 1980 to 2099, not "${printable(epoch ?? "")}".`);
}

/** The manual of a program, as the source of a man page. */
export function manualOf(program: (typeof PROGRAMS)[number], version: string): string {
  const isPeer = program === "ft-peer";
  return manualPage({
    table: isPeer ? PEER_TABLE : TRACKER_TABLE,
    version,
    about: isPeer ? "share, find and fetch files on a local network" : "know which peer on a local network has which file",
    usage: isPeer ? "[ADDRESS[:PORT]] [COMMAND] [OPTIONS]" : "[COMMAND] [OPTIONS]",
    description: isPeer
      ? [
          "ADDRESS is the tracker's; without it, ft-peer takes the one that announces itself on the network. Without a command, on a terminal, it asks what to do.",
          "A peer shares at least one file, or the tracker does not accept it.",
        ]
      : ["Without a command, a tracker runs until Ctrl-C. A command is for a tracker that runs on this machine."],
  });
}

const textBytes = (text: string) => new TextEncoder().encode(text);

/** The files of an archive, in their order, below its one folder. */
export function releaseFiles(target: Target, version: string, programs: Record<string, Bytes>): PackedFile[] {
  const folder = folderName(target, version);
  return [
    ...PROGRAMS.map((program) => ({
      path: `${folder}/${programFile(target, program)}`,
      bytes: programs[program] ?? new Uint8Array(),
      mode: 0o755,
    })),
    ...TEXTS.map((name) => ({ path: `${folder}/${name}`, bytes: new Uint8Array(readFileSync(join(ROOT, name))), mode: 0o644 })),
    ...(isWindows(target)
      ? [{ path: `${folder}/README.txt`, bytes: textBytes(windowsReadMe(version)), mode: 0o644 }]
      : PROGRAMS.map((program) => ({
          path: `${folder}/man/${program}.1`,
          bytes: textBytes(manualOf(program, version)),
          mode: 0o644,
        }))),
    ...PROGRAMS.flatMap((program) =>
      SHELLS.map((shell) => ({
        path: `${folder}/completions/${completionFile(shell, program)}`,
        bytes: textBytes(completionScript(shell, program === "ft-peer" ? PEER_TABLE : TRACKER_TABLE)),
        mode: 0o644,
      })),
    ),
  ];
}

/** An archive as its target has it: a zip on Windows, elsewhere a `.tar.xz`, or a `.tar.gz` if this machine has no xz. */
export function pack(target: Target, files: PackedFile[], when: Date, level?: Parameters<typeof packZip>[2]): Promise<Bytes> {
  if (isWindows(target)) return Promise.resolve(packZip(files, when, level));
  return HAS_XZ ? packTarXz(files, when) : packTarGz(files, when, level);
}

/** A compiled program as it goes into an archive: with its own name in its signature for macOS, or in its version and icon for Windows. */
export function finished(program: string, bytes: Bytes): Bytes {
  const [format] = describeBinary(bytes).split(" ");
  if (format === "Mach-O") return signed(bytes, program);
  return format === "PE" ? withIcon(withVersion(bytes, versionStrings(program), project.version), program) : bytes;
}

/** What Windows shows of a program. */
function versionStrings(program: string): Record<string, string> {
  return {
    CompanyName: "FileTracker",
    FileDescription: program === "ft-peer" ? "FileTracker peer" : "FileTracker tracker",
    FileVersion: project.version,
    OriginalFilename: `${program}.exe`,
    ProductName: "FileTracker",
    ProductVersion: project.version,
  };
}

/** The key to sign the sums with, from the file that MINISIGN_KEY names; undefined without one. */
function signingKey(path: string | undefined): SecretKey | undefined {
  if (path === undefined || path === "") return undefined;
  try {
    return readSecretKey(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`Cannot sign with "${printable(path)}": ${sentenceOf(error)}`);
  }
}

// ---------------------------------------------------------------- runtimes

interface LockedRuntime {
  package: string;
  version: string;
  /** `sha512-` and the hash in base64, of the package's tarball. */
  integrity: string;
}

/** What a lock file says of a target's runtime. Throws a `ReleaseError` when it does not say it, or of another version. */
export function lockedRuntime(target: Target, lockText: string, version: string): LockedRuntime {
  const lock = Bun.JSONC.parse(lockText) as { packages?: Record<string, unknown[]> };
  const [id, , , integrity] = lock.packages?.[target.runtime] ?? [];
  if (id !== `${target.runtime}@${version}` || typeof integrity !== "string" || !/^sha512-[\w+/]{86}==$/.test(integrity)) {
    throw new ReleaseError(
      `tests/runtimes/bun.lock has no hash of "${target.runtime}" ${version}. ` +
        "Set that version in tests/runtimes/package.json and run there: bun install --lockfile-only",
    );
  }
  return { package: target.runtime, version, integrity };
}

/** A runtime's tarball, from the folder where they are kept or downloaded; what does not match the lock is never given. */
export async function runtimeTarball(
  locked: LockedRuntime,
  folder: string,
  download: (locked: LockedRuntime) => Promise<Bytes>,
): Promise<Bytes> {
  const path = join(folder, `${locked.package.replace(/^.*\//, "")}-${locked.version}.tgz`);
  if (existsSync(path)) {
    const kept = await Bun.file(path).bytes();
    if (integrityOf(kept) === locked.integrity) return kept;
  }
  const bytes = await download(locked);
  const integrity = integrityOf(bytes);
  if (integrity !== locked.integrity) {
    throw new ReleaseError(
      `The runtime "${locked.package}" ${locked.version} is not the one that tests/runtimes/bun.lock names: ` +
        `its hash is ${integrity}, it should be ${locked.integrity}. Do not use it; find out who changed the package or the lock.`,
    );
  }
  mkdirSync(folder, { recursive: true });
  const part = `${path}.${process.pid}`;
  writeFileSync(part, bytes);
  renameSync(part, path);
  return bytes;
}

/** The one executable in a runtime's tarball. */
export async function executableOf(tarball: Bytes): Promise<Bytes> {
  const isExecutable = ({ name }: { name: string }) => /^package\/bin\/bun(\.exe)?$/.test(name);
  const [entry, ...more] = await unpackTar(Bun.gunzipSync(tarball), { strict: true, filter: isExecutable });
  if (entry?.data === undefined || more.length > 0)
    throw new ReleaseError("The runtime's package does not hold one executable.");
  return entry.data;
}

function integrityOf(bytes: Bytes): string {
  return `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
}

/** From where the package manager says that it is. What comes is not trusted. */
async function download(locked: LockedRuntime): Promise<Bytes> {
  const name = `${locked.package}@${locked.version}`;
  const view = Bun.spawnSync([process.execPath, "pm", "view", name, "dist.tarball"], { cwd: ROOT, timeout: DOWNLOAD_MS });
  const url = view.stdout.toString().trim();
  if (view.exitCode !== 0 || !URL.canParse(url)) {
    throw new ReleaseError(`Cannot find out where the runtime "${name}" is: ${printable(view.stderr.toString().trim())}`);
  }
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
    if (!answer.ok) throw new Error(`the answer was ${answer.status}`);
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of answer.body ?? []) {
      size += chunk.length;
      if (size > RUNTIME_LIMIT) throw new Error(`it is larger than ${formatSize(RUNTIME_LIMIT)}`);
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  } catch (error) {
    throw new ReleaseError(
      `Cannot download the runtime "${name}": ${printable(sentenceOf(error))}. Run the same command again.`,
    );
  }
}

// ---------------------------------------------------------------- one target, in a process of its own

interface Made {
  name: string;
  size: number;
  sha256: string;
}

/** Both programs of a target, built in a folder beside `folder` that is removed again. */
export async function buildPrograms(target: Target, folder: string): Promise<Record<string, Bytes>> {
  const version = runtimeVersion();
  const locked = lockedRuntime(target, readFileSync(LOCK, "utf8"), version);
  const work = mkdtempSync(join(folder, "..", "work-"));
  const runtime = join(work, "runtime");
  writeFileSync(runtime, await executableOf(await runtimeTarball(locked, CACHE, download)));
  chmodSync(runtime, 0o755);
  const programs: Record<string, Bytes> = {};
  for (const program of PROGRAMS) {
    const outfile = join(work, programFile(target, program));
    const how = [...BUILD_FLAGS, `--target=bun-${target.name}`, `--compile-executable-path=${runtime}`, `--outfile=${outfile}`];
    // Where it is started, the compiler keeps what it has not finished.
    const build = Bun.spawnSync([process.execPath, "build", ...how, ...ENTRY_FILES[program].map((file) => join(ROOT, file))], {
      cwd: work,
      env: { ...process.env, NODE_ENV: "production" },
    });
    if (build.exitCode !== 0)
      throw new ReleaseError(`Cannot build ${program} for ${target.name}: ${build.stderr.toString().trim()}`);
    programs[program] = finished(program, await Bun.file(outfile).bytes());
  }
  rmSync(work, { recursive: true });
  return programs;
}

/** Builds and packs one target into `folder`: its archive, and its package where Debian runs. */
async function make(target: Target, folder: string): Promise<Made[]> {
  const programs = await buildPrograms(target, folder);
  const files = releaseFiles(target, project.version, programs);
  const when = fileTime(process.env.SOURCE_DATE_EPOCH);
  const keep = (name: string, bytes: Bytes): Made => {
    writeFileSync(join(folder, name), bytes);
    return { name, size: bytes.length, sha256: new Bun.CryptoHasher("sha256").update(bytes).digest("hex") };
  };
  const made = [keep(archiveName(target, project.version), await pack(target, files, when))];
  const architecture = DEBIAN[target.name];
  if (architecture === undefined) return made;
  return [...made, keep(debName(architecture, project.version), await debOf(architecture, programs, when))];
}

/** The processors of Debian for which there is a package, by the targets. */
const DEBIAN: Record<string, string> = { "linux-x64": "amd64", "linux-arm64": "arm64" };

/** The file's name of the package for Debian. */
export function debName(architecture: string, version: string): string {
  return `filetracker_${version}-1_${architecture}.deb`;
}

function debOf(architecture: string, programs: Record<string, Bytes>, when: Date): Promise<Bytes> {
  const packaged = PROGRAMS.map((name) => ({
    name,
    bytes: programs[name] ?? new Uint8Array(),
    table: name === "ft-peer" ? PEER_TABLE : TRACKER_TABLE,
    manual: manualOf(name, project.version),
  }));
  const [license, changes] = ["LICENSE", "CHANGELOG.md"].map((name) => readFileSync(join(ROOT, name), "utf8"));
  const texts = { license: license ?? "", changes: changes ?? "", maintainer: process.env.RELEASE_MAINTAINER || NO_MAINTAINER };
  return debianPackage({ version: project.version, architecture, programs: packaged, ...texts }, when);
}

/** Writes the texts for package managers. They name every target's archive, so they need a release of all targets. */
function writePackages(folder: string, made: Made[], place: string): void {
  const homepage = process.env.RELEASE_HOME || place;
  const texts = packageTexts({
    version: project.version,
    description: "Share, find and fetch files on a local network",
    homepage,
    license: project.license,
    place,
    sums: new Map(made.map(({ name, sha256 }) => [name, sha256])),
    archiveOf: (name) =>
      chooseTargets([name])
        .map((target) => archiveName(target, project.version))
        .join(),
  });
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** The version that package.json names; a release is built by no other. */
function runtimeVersion(): string {
  return project.packageManager.replace(/^bun@/, "");
}

// ---------------------------------------------------------------- all of them

/** The text of a sums file, as `sha256sum -c` reads it. */
export function sumsText(made: { name: string; sha256: string }[]): string {
  const lines = made.map(({ name, sha256 }) => `${sha256}  ${name}\n`);
  return lines.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join("");
}

async function release(targets: Target[], key: SecretKey | undefined, signal: AbortSignal): Promise<void> {
  mkdirSync(DIST, { recursive: true });
  const temporary = mkdtempSync(join(DIST, ".release-"));
  try {
    const folder = join(temporary, "release");
    mkdirSync(folder);
    const made: Made[] = [];
    const waiting = [...targets];
    const failed = new AbortController();
    const lane = async () => {
      for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
        const started = performance.now();
        const some = await inChild(target, folder, AbortSignal.any([signal, failed.signal]));
        made.push(...some);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        for (const { name, size, sha256 } of some)
          console.log(`${name.padEnd(44)} ${formatSize(size).padStart(8)}  ${sha256.slice(0, 16)}  ${seconds} s`);
      }
    };
    const lanes = Array.from({ length: LANES }, () => lane());
    try {
      await Promise.all(lanes);
    } finally {
      failed.abort();
      await Promise.allSettled(lanes);
    }
    const place = process.env.RELEASE_URL ?? "";
    const sums = sumsText(made);
    writeFileSync(join(folder, SUMS), sums);
    if (key !== undefined) {
      writeFileSync(
        join(folder, SIGNATURE),
        signatureText(textBytes(sums), key, `FileTracker ${project.version} file:${SUMS} hashed`),
      );
    }
    if (place !== "") writePackages(join(folder, PACKAGES), made, place);
    await check(folder, signal);
    if (existsSync(RELEASE)) renameSync(RELEASE, join(temporary, "before"));
    renameSync(folder, RELEASE);
    console.log(`${made.length === 1 ? "One file is" : `${made.length} files are`} in dist/release.`);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** One target in a process of its own: packing blocks, and what it took of memory is given back. */
async function inChild(target: Target, folder: string, signal: AbortSignal): Promise<Made[]> {
  if (signal.aborted) throw new CancelledError();
  const command = [process.execPath, import.meta.path, "--into", folder, target.name];
  const child = Bun.spawn(command, { cwd: ROOT, stdin: "ignore", stdout: "pipe", stderr: "pipe", signal });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (signal.aborted) throw new CancelledError();
  if (code !== 0) throw new ReleaseError(err.trim() || `Making ${target.name} ended with exit code ${code}.`);
  return JSON.parse(out) as Made[];
}

/** Holds the finished archives against what they should be; throws a `ReleaseError` after the test has said what is wrong. */
async function check(folder: string, signal: AbortSignal): Promise<void> {
  const test = join(import.meta.dir, "e2e/release.test.ts");
  const child = Bun.spawn([process.execPath, "test", "--timeout", String(CHECK_MS), test], {
    cwd: ROOT,
    env: { ...process.env, RELEASE_FOLDER: folder },
    stdin: "ignore",
    stdout: "inherit",
    stderr: "inherit",
    signal,
  });
  const code = await child.exited;
  if (signal.aborted) throw new CancelledError();
  if (code !== 0) throw new ReleaseError("The archives are not as they should be; nothing was put into dist/release.");
}

/** The targets of a command line; all of them when it names none. */
export function chooseTargets(names: string[]): Target[] {
  if (names.length === 0) return TARGETS;
  for (const name of names) {
    if (TARGETS.some((target) => target.name === name)) continue;
    throw new UsageError(`"${printable(name)}" is not a target; there are ${TARGETS.map(({ name }) => name).join(", ")}.`);
  }
  return TARGETS.filter(({ name }) => names.includes(name));
}

/** The signals that stop a release. */
const STOPS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

async function main(argv: string[]): Promise<number> {
  try {
    const [option, folder, ...names] = argv;
    if (option === "--into" && folder !== undefined) {
      // Ends xz, too.
      for (const signal of STOPS) process.once(signal, () => process.exit(130));
      for (const target of chooseTargets(names)) console.log(JSON.stringify(await make(target, folder)));
      return 0;
    }
    const targets = chooseTargets(argv);
    if (process.env.RELEASE_URL && targets.length < TARGETS.length)
      throw new UsageError("RELEASE_URL is for a release of all targets: the texts for package managers name their archives.");
    fileTime(process.env.SOURCE_DATE_EPOCH);
    const key = signingKey(process.env.MINISIGN_KEY);
    if (Bun.version !== runtimeVersion()) {
      throw new ReleaseError(
        `This is Bun ${Bun.version}; a release is made by ${runtimeVersion()}: npx -y bun@${runtimeVersion()} run release`,
      );
    }
    const stopped = new AbortController();
    for (const signal of STOPS) process.once(signal, () => stopped.abort());
    await release(targets, key, stopped.signal);
    return 0;
  } catch (error) {
    console.error(sentenceOf(error));
    if (error instanceof CancelledError) return 130;
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) process.exit(await main(process.argv.slice(2)));
