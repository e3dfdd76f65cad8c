// Packages for package managers: what is in them, as their own tools read it where there are any.

import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER_TABLE } from "../../lib/peer/options.ts";
import { TRACKER_TABLE } from "../../lib/tracker/options.ts";
import { debianPackage, NO_MAINTAINER } from "../helpers/debian.ts";
import { type Project, packageTexts } from "../helpers/packages.ts";
import { Stage } from "../helpers/programs.ts";
import { archiveName, fileTime, manualOf, TARGETS } from "../release.ts";

const stage = new Stage();
afterAll(() => stage.close());

const version = "1.2.3";
const archiveOf = (name: string) => {
  const target = TARGETS.find((one) => one.name === name);
  if (target === undefined) throw new Error(`No target ${name}.`);
  return archiveName(target, version, true);
};
const sums = new Map(TARGETS.map(({ name }, i) => [archiveOf(name), String(i).repeat(64)]));
const project: Project = {
  version,
  description: "Share, find and fetch files on a local network",
  homepage: "https://example.org/filetracker",
  license: "MIT",
  place: "https://example.org/releases/1.2.3/",
  sums,
  archiveOf,
};

describe("a package for Debian", () => {
  const program = (name: "ft-peer" | "ft-tracker") => ({
    name,
    bytes: new TextEncoder().encode(`#!/bin/sh\necho ${name} 1.2.3\n`),
    table: name === "ft-peer" ? PEER_TABLE : TRACKER_TABLE,
    manual: manualOf(name, version),
  });
  const about = {
    version,
    architecture: "amd64",
    programs: [program("ft-tracker"), program("ft-peer")],
    license: "MIT\n",
    changes: "1.2.3\n",
    maintainer: NO_MAINTAINER,
  };
  const make = () => debianPackage(about, fileTime(undefined));

  test("is the same bytes twice", async () => {
    expect(Buffer.compare(await make(), await make())).toBe(0);
  });

  const dpkg = Bun.which("dpkg-deb");
  test.skipIf(dpkg === null)("is read by dpkg, with everything in its place", async () => {
    const place = stage.folder();
    const file = join(place, "filetracker.deb");
    writeFileSync(file, await make());
    const run = (...args: string[]) => {
      const { stdout, stderr, exitCode } = Bun.spawnSync([dpkg ?? "", ...args], {
        env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      });
      expect({ args, exitCode, err: stderr.toString() }).toEqual({ args, exitCode: 0, err: "" });
      return stdout.toString();
    };
    expect(run("--field", file, "Package", "Version", "Architecture", "Depends")).toBe(
      "Package: filetracker\nVersion: 1.2.3-1\nArchitecture: amd64\nDepends: libc6 (>= 2.17)\n",
    );
    const rows = run("--contents", file).trim().split("\n");
    const listed = rows.map((row) => row.replace(/\s+/g, " ").split(" "));
    expect(listed.every(([, owner, , date]) => owner === "0/0" || (owner === "root/root" && date === "1980-01-01"))).toBe(true);
    const paths = listed.map(([mode, , , , , path]) => `${mode} ${path}`);
    for (const path of [
      "drwxr-xr-x ./",
      "drwxr-xr-x ./usr/bin/",
      "-rwxr-xr-x ./usr/bin/ft-peer",
      "-rwxr-xr-x ./usr/bin/ft-tracker",
      "-rw-r--r-- ./usr/lib/systemd/system/ft-tracker.service",
      "-rw-r--r-- ./usr/share/bash-completion/completions/ft-peer",
      "-rw-r--r-- ./usr/share/doc/filetracker/changelog.Debian.gz",
      "-rw-r--r-- ./usr/share/doc/filetracker/copyright",
      "-rw-r--r-- ./usr/share/fish/vendor_completions.d/ft-peer.fish",
      "-rw-r--r-- ./usr/share/lintian/overrides/filetracker",
      "-rw-r--r-- ./usr/share/man/man1/ft-tracker.1.gz",
      "-rw-r--r-- ./usr/share/zsh/vendor-completions/_ft-tracker",
    ])
      expect(paths).toContain(path);
    expect(new Set(paths).size).toBe(paths.length);
    run("--extract", file, join(place, "root"));
    run("--control", file, join(place, "control"));
    const { stdout } = Bun.spawnSync([join(place, "root/usr/bin/ft-peer")]);
    expect(stdout.toString()).toBe("ft-peer 1.2.3\n");
    expect(readFileSync(join(place, "root/usr/lib/systemd/system/ft-tracker.service"), "utf8")).toContain(
      "\nExecStart=/usr/bin/ft-tracker\n",
    );
    const md5 = Bun.spawnSync(["md5sum", "--check", "--quiet", join(place, "control/md5sums")], { cwd: join(place, "root") });
    expect(md5.exitCode).toBe(0);
    for (const script of ["postinst", "prerm", "postrm"]) {
      expect(Bun.spawnSync(["sh", "-n", join(place, "control", script)]).exitCode).toBe(0);
    }
  });
});

describe("the texts for package managers", () => {
  const texts = packageTexts(project);
  const sumOf = (target: string) => sums.get(archiveOf(target)) ?? "";
  const urlOf = (target: string) => `https://example.org/releases/1.2.3/${archiveOf(target)}`;

  test("name the archives of their systems, with their sums", () => {
    for (const [file, targets] of [
      ["scoop/filetracker.json", ["windows-x64", "windows-arm64"]],
      ["homebrew/filetracker.rb", ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64"]],
      ["aur/PKGBUILD", ["linux-x64", "linux-arm64"]],
      ["winget/1.2.3/FileTracker.FileTracker.installer.yaml", ["windows-x64", "windows-arm64"]],
    ] as const) {
      for (const target of targets) {
        expect(texts[file]).toContain(urlOf(target));
        expect(texts[file]).toContain(sumOf(target));
      }
    }
    expect(() => packageTexts({ ...project, sums: new Map() })).toThrow(`There is no sum of "${archiveOf("windows-x64")}".`);
  });

  test("are what Scoop and winget read", () => {
    const scoop = JSON.parse(texts["scoop/filetracker.json"] ?? "");
    expect(scoop.architecture["64bit"]).toEqual({
      url: urlOf("windows-x64"),
      hash: sumOf("windows-x64"),
      extract_dir: "filetracker-1.2.3-windows-x64",
    });
    const installer = Bun.YAML.parse(texts["winget/1.2.3/FileTracker.FileTracker.installer.yaml"] ?? "") as {
      PackageVersion: string;
      Installers: { InstallerUrl: string; NestedInstallerFiles: object[] }[];
    };
    expect(installer.PackageVersion).toBe("1.2.3");
    expect(installer.Installers.map(({ InstallerUrl }) => InstallerUrl)).toEqual([
      urlOf("windows-x64"),
      urlOf("windows-arm64"),
    ]);
    expect(installer.Installers[0]?.NestedInstallerFiles).toContainEqual({
      RelativeFilePath: "filetracker-1.2.3-windows-x64\\ft-peer.exe",
      PortableCommandAlias: "ft-peer",
    });
    for (const [file, text] of Object.entries(texts)) if (file.endsWith(".yaml")) expect(Bun.YAML.parse(text)).toBeObject();
  });

  test("are scripts without a fault in their grammar", () => {
    const build = join(stage.folder(), "PKGBUILD");
    writeFileSync(build, texts["aur/PKGBUILD"] ?? "");
    expect(Bun.spawnSync(["bash", "-n", build]).exitCode).toBe(0);
    expect(texts["aur/PKGBUILD"]).toContain("options=('!strip' '!debug')");
    const ruby = Bun.which("ruby");
    if (ruby === null) return;
    const formula = join(stage.folder(), "filetracker.rb");
    writeFileSync(formula, texts["homebrew/filetracker.rb"] ?? "");
    expect(Bun.spawnSync([ruby, "-c", formula]).exitCode).toBe(0);
  });
});
