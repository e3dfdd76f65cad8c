import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isOwnProgram } from "../../../lib/peer/disk/own-program.ts";
import { chooseFiles } from "../../../lib/peer/disk/share.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-own-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const ELF = Buffer.from("7f454c4602010100", "hex");

test("the running program is known under any name", () => {
  const running = file("running", "anything");
  linkSync(running, join(folder, "other name"));
  expect(isOwnProgram(running, running)).toBe(true);
  expect(isOwnProgram(join(folder, "other name"), running)).toBe(true);
  expect(isOwnProgram(file("another", "anything"), running)).toBe(false);
});

test("a program is known by its name and its beginning; a text of that name is a text", () => {
  expect(isOwnProgram(file("ft-tracker", ELF), "/nowhere")).toBe(true);
  expect(isOwnProgram(file("FT-Peer.EXE", "MZ…"), "/nowhere")).toBe(true);
  expect(isOwnProgram(file("ft-peer", "notes about ft-peer"), "/nowhere")).toBe(false);
  expect(isOwnProgram(file("ft-peering", ELF), "/nowhere")).toBe(false);
  expect(isOwnProgram(join(folder, "missing"), "/nowhere")).toBe(false);
});

test("an archive of the programs is known by its name, whatever system it is for", () => {
  for (const name of [
    "filetracker-1.0.0-linux-x64-musl.tar.xz",
    "filetracker-1.0.0-darwin-arm64.tar.gz",
    "filetracker-10.2.0-beta.1-windows-x64.zip",
    "filetracker-1.0.0-windows-x64 (1).zip",
    "FileTracker-1.0.0-windows-arm64(2).ZIP",
    "filetracker_1.0.0-1_amd64.deb",
  ])
    expect({ name, own: isOwnProgram(file(name, "any"), "/nowhere") }).toEqual({ name, own: true });
  for (const name of ["filetracker.zip", "filetracker-notes.zip", "my filetracker-1.0.0.zip", "filetracker-1.0.0.pdf"])
    expect({ name, own: isOwnProgram(file(name, "any"), "/nowhere") }).toEqual({ name, own: false });
});

test("it is left out of a folder that is shared, and shared when it is named", () => {
  for (const own of [file("ft-tracker", ELF), file("filetracker-1.0.0-linux-x64.tar.xz", "any")]) {
    const { taken, left } = chooseFiles([folder], 100);
    expect(taken.map(({ path }) => path)).not.toContain(own);
    expect(left.map(({ path }) => path)).toContain(own);
    expect(chooseFiles([own], 100).taken).toHaveLength(1);
  }
});
