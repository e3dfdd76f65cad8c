// Installs the package for Debian on this machine, looks at what it brought, and purges it again: `bun run debian`.
//
// It needs root on Debian or Ubuntu; what lintian, man, zsh, fish and systemd-analyze say is tried where they are. The package is that of
// dist/release if there is one, else it is made now, with the programs in dist and little compression.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PEER_TABLE } from "../../lib/peer/options.ts";
import { TRACKER_TABLE } from "../../lib/tracker/options.ts";
import project from "../../package.json";
import { debianPackage, NO_MAINTAINER } from "../helpers/debian.ts";
import { PEER, Stage, TRACKER } from "../helpers/programs.ts";
import { debName, fileTime, manualOf, RELEASE } from "../release.ts";

const LINK = "/etc/systemd/system/multi-user.target.wants/ft-tracker.service";
const UNIT = "/usr/lib/systemd/system/ft-tracker.service";
const STATE = "/var/lib/filetracker";

function run(command: string[], env: Record<string, string> = {}): { code: number; out: string; err: string } {
  const all = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8", ...env };
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: all, stdin: "ignore" });
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

const has = (name: string) => Bun.which(name) !== null;

function reasonNotToRun(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64" || !has("dpkg") || !has("apt-get"))
    return "it needs Debian on a PC";
  if (process.getuid?.() !== 0) return "it needs root";
  return run(["dpkg", "-s", "filetracker"]).code === 0 ? "filetracker is installed here already" : undefined;
}

const reason = reasonNotToRun();
if (reason !== undefined) console.log(`The package for Debian is not tried: ${reason}.`);
for (const name of ["lintian", "man", "zsh", "fish", "systemd-analyze"])
  if (!has(name)) console.log(`There is no ${name} here; what it would say is not known.`);
const hasSystemd = existsSync("/run/systemd/system");
if (!hasSystemd) console.log("systemd does not run here: the unit is looked at, and its command is started by hand.");

/** A package with the programs in dist, made quickly: dpkg-deb packs what a small package had, and the programs. */
async function madeNow(place: string): Promise<string> {
  const programs = (["ft-tracker", "ft-peer"] as const).map((name) => ({
    name,
    bytes: new TextEncoder().encode("stand-in"),
    table: name === "ft-peer" ? PEER_TABLE : TRACKER_TABLE,
    manual: manualOf(name, project.version),
  }));
  const [license, changes] = ["LICENSE", "CHANGELOG.md"].map((name) =>
    readFileSync(join(import.meta.dir, "../..", name), "utf8"),
  );
  const about = { version: project.version, architecture: "amd64", programs, license: license ?? "", changes: changes ?? "" };
  const small = join(place, "small.deb");
  writeFileSync(small, await debianPackage({ ...about, maintainer: NO_MAINTAINER }, fileTime(undefined)));
  const root = join(place, "root");
  expect(run(["dpkg-deb", "-R", small, root]).code).toBe(0);
  for (const path of [PEER, TRACKER]) cpSync(path, join(root, "usr/bin", path.slice(dirname(path).length + 1)));
  const sums = run(["sh", "-c", `cd '${root}' && find usr -type f | sort | xargs md5sum`]).out;
  writeFileSync(join(root, "DEBIAN/md5sums"), sums);
  const path = join(place, debName("amd64", project.version));
  expect(run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", root, path]).code).toBe(0);
  return path;
}

const stage = new Stage();

describe.skipIf(reason !== undefined)("the package for Debian", () => {
  let path: string;
  let files: string[];

  beforeAll(async () => {
    const place = stage.folder();
    // The user of apt may read it there.
    run(["chmod", "755", place]);
    const released = join(RELEASE, debName("amd64", project.version));
    path = join(place, debName("amd64", project.version));
    if (existsSync(released)) cpSync(released, path);
    else await madeNow(place);
    console.log(`The package is ${existsSync(released) ? released : "made now"}.`);
  });

  // The tests run in any order, and one of them purges it.
  beforeEach(() => {
    if (run(["dpkg", "-s", "filetracker"]).code === 0) return;
    const installed = run(["apt-get", "install", "-y", path]);
    expect({ code: installed.code, err: installed.code === 0 ? "" : installed.err }).toEqual({ code: 0, err: "" });
    files = run(["dpkg", "-L", "filetracker"]).out.trim().split("\n");
  });

  afterAll(async () => {
    run(["apt-get", "purge", "-y", "filetracker"]);
    await stage.close();
  });

  test.skipIf(!has("lintian"))("lintian finds nothing but what the package names itself", () => {
    expect(run(["lintian", path]).out).toBe("");
  });

  test("both programs are in the path", () => {
    for (const program of ["ft-peer", "ft-tracker"])
      expect(run([`/usr/bin/${program}`, "--version"]).out).toBe(`${program} ${project.version}\n`);
  });

  test.skipIf(!has("man"))("the manual pages are found and rendered without a warning", () => {
    for (const program of ["ft-peer", "ft-tracker"]) {
      // Small systems install no manual pages: then those of the package itself are read.
      const page = `/usr/share/man/man1/${program}.1.gz`;
      const root = join(dirname(path), "unpacked");
      if (!existsSync(page)) run(["dpkg-deb", "-x", path, root]);
      const { code, out, err } = run(["man", "--warnings", "-P", "cat", "-l", existsSync(page) ? page : join(root, page)]);
      expect({ program, code, err }).toEqual({ program, code: 0, err: "" });
      expect(out.replace(/.\u0008/g, "")).toContain("--completions");
    }
  });

  test("the shells find their completions", () => {
    const bash = "source /usr/share/bash-completion/completions/ft-peer && complete -p ft-peer";
    expect(run(["bash", "--norc", "-c", bash]).out).toContain("ft-peer");
    if (has("zsh")) {
      const zsh = "autoload -U compinit; compinit -u -D; print $_comps[ft-peer] $_comps[ft-tracker]";
      expect(run(["zsh", "-fc", zsh]).out.trim()).toBe("_ft-peer _ft-tracker");
    }
    if (has("fish"))
      expect(run(["fish", "-c", "complete -C 'ft-tracker not'"], { HOME: stage.folder() }).out).toStartWith("notice");
  });

  test.skipIf(!has("systemd-analyze"))("systemd finds nothing wrong in the unit, and little exposed", () => {
    expect(run(["systemd-analyze", "verify", "--man=no", UNIT])).toEqual({ code: 0, out: "", err: "" });
    // Tenths: 30 is 3.0.
    const safe = run(["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", UNIT]);
    console.log(safe.out.trim().split("\n").at(-1));
    expect(safe.code).toBe(0);
  });

  test("the command of the unit starts a tracker, which hears its operator and stops at SIGTERM", async () => {
    const command = /^ExecStart=(.+)$/m.exec(readFileSync(UNIT, "utf8"))?.[1] ?? "";
    const [program = "", ...args] = command.split(" ");
    const tracker = stage.run(program, [...args, "--port", "0", "--host", "127.0.0.1", "--no-announce"]);
    const [, port = ""] = await tracker.waitFor(/listening on \S+:(\d+)/);
    const status = stage.run(program, ["status", "--port", port]);
    expect(await status.exited).toBe(0);
    expect(status.out).toMatch(/peers +0 online/);
    tracker.kill("SIGTERM");
    expect(await tracker.exited).toBe(0);
  });

  test.skipIf(!hasSystemd)("the service starts and stops", () => {
    expect(run(["systemctl", "start", "ft-tracker"]).code).toBe(0);
    expect(run(["systemctl", "is-active", "ft-tracker"]).out).toBe("active\n");
    expect(run(["systemctl", "stop", "ft-tracker"]).code).toBe(0);
  });

  test("a purge leaves nothing, also of a service that was enabled", () => {
    mkdirSync(dirname(LINK), { recursive: true });
    if (!existsSync(LINK)) symlinkSync(UNIT, LINK);
    mkdirSync(STATE, { recursive: true });
    writeFileSync(join(STATE, "bans.txt"), "");
    expect(run(["apt-get", "purge", "-y", "filetracker"]).code).toBe(0);
    const own = files.filter((file) => /ft-(?:peer|tracker)|filetracker/.test(file));
    expect(own.length).toBeGreaterThan(10);
    for (const file of [...own, STATE, `/var/lib/private/filetracker`, LINK])
      expect({ file, there: existsSync(file) }).toEqual({ file, there: false });
    expect(run(["dpkg", "-s", "filetracker"]).code).not.toBe(0);
  });
});
