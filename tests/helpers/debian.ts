// The package for Debian and its relatives: which files it has, and what is said of it.

import { completionScript } from "../../lib/program/completions.ts";
import type { ProgramTable } from "../../lib/program/options.ts";
import { serviceText } from "../../lib/tracker/system/service.ts";
import type { PackedFile } from "./archive.ts";
import { type DebControl, packDeb } from "./deb.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A program with the texts that are made from its table. */
interface PackagedProgram {
  name: string;
  bytes: Bytes;
  table: ProgramTable;
  /** The source of its man page. */
  manual: string;
}

interface DebianPackage {
  version: string;
  /** As Debian names the processor, such as amd64. */
  architecture: string;
  programs: PackagedProgram[];
  license: string;
  changes: string;
  /** The person who makes the package, as `Name <mail address>`. */
  maintainer: string;
}

/** Has systemd read the unit again. Without systemd there is nothing to do. */
const RELOAD = "systemctl daemon-reload || true";
/** A service that a person has enabled has a link here. */
const ENABLED = "/etc/systemd/system/multi-user.target.wants/ft-tracker.service";
const SCRIPTS = {
  postinst: `#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
  ${RELOAD}
  if [ -n "$2" ]; then deb-systemd-invoke try-restart ft-tracker.service >/dev/null || true; fi
fi
`,
  prerm: `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  deb-systemd-invoke stop ft-tracker.service >/dev/null || true
fi
`,
  postrm: `#!/bin/sh
set -e
if [ "$1" = remove ] || [ "$1" = purge ]; then
  rm -f ${ENABLED}
fi
if [ "$1" = purge ]; then
  rm -rf /var/lib/private/filetracker /var/lib/filetracker
fi
if [ -d /run/systemd/system ]; then ${RELOAD}; fi
`,
};

/**
 * What lintian finds and cannot be otherwise. A program that Bun has compiled has its code behind a runtime that is not stripped, has a
 * fixed place in memory, and has libraries in it. The package comes from this project and closes no bug of Debian.
 */
const OVERRIDES = [
  "embedded-library *libjpeg*",
  "unstripped-binary-or-object *",
  "hardening-no-pie *",
  "hardening-no-relro *",
  "initial-upload-closes-no-bugs *",
];

/** The project has no mail address. This domain is reserved for examples: nobody gets what is sent there (RFC 2606). */
export const NO_MAINTAINER = "FileTracker authors (no mail address) <nobody@example.org>";

/** The package as the bytes of a `.deb`. The tracker's service is installed, and nobody's machine runs it before a person says so. */
export function debianPackage(about: DebianPackage, when: Date): Promise<Bytes> {
  const control: DebControl = {
    fields: {
      Package: "filetracker",
      Version: `${about.version}-1`,
      Architecture: about.architecture,
      Maintainer: about.maintainer,
      Section: "net",
      Priority: "optional",
      Depends: "libc6 (>= 2.17)",
      Description: `share, find and fetch files on a local network
 ft-peer shares files, searches those of everybody on the network, and fetches
 them straight from the computers that have them. ft-tracker knows who has
 which file: one of them runs in each building.`,
    },
    scripts: SCRIPTS,
  };
  return packDeb(filesOf(about, when), control, when);
}

/** The changes as Debian writes them, of one version only. */
function debianChanges({ version, maintainer }: DebianPackage, when: Date): string {
  const time = when.toUTCString().replace("GMT", "+0000");
  const what = "  * The changes of the programs are in changelog.gz.";
  return `filetracker (${version}-1) unstable; urgency=medium\n\n${what}\n\n -- ${maintainer}  ${time}\n`;
}

function filesOf(about: DebianPackage, when: Date): PackedFile[] {
  const { programs, license, changes } = about;
  const text = (path: string, content: string) => ({ path, bytes: new TextEncoder().encode(content), mode: 0o644 });
  const zipped = (path: string, content: string) => ({ path, bytes: Bun.gzipSync(content, { level: 9 }), mode: 0o644 });
  const unit = serviceText({ platform: "linux", program: "/usr/bin/ft-tracker", options: [], home: "/" });
  return [
    ...programs.map(({ name, bytes }) => ({ path: `usr/bin/${name}`, bytes, mode: 0o755 })),
    text("usr/lib/systemd/system/ft-tracker.service", `${unit.slice(unit.indexOf("[Unit]"))}\n`),
    ...programs.flatMap(({ name, table, manual }) => [
      zipped(`usr/share/man/man1/${name}.1.gz`, manual),
      text(`usr/share/bash-completion/completions/${name}`, completionScript("bash", table)),
      text(`usr/share/zsh/vendor-completions/_${name}`, completionScript("zsh", table)),
      text(`usr/share/fish/vendor_completions.d/${name}.fish`, completionScript("fish", table)),
    ]),
    text("usr/share/doc/filetracker/copyright", license),
    zipped("usr/share/doc/filetracker/changelog.gz", changes),
    zipped("usr/share/doc/filetracker/changelog.Debian.gz", debianChanges(about, when)),
    text("usr/share/lintian/overrides/filetracker", OVERRIDES.map((tag) => `filetracker: ${tag}\n`).join("")),
  ];
}
