// Fetches onto a real exFAT disk, as sticks and cards have it, which knows no hard links, rights or owners: `bun run disks`.
//
// It needs root on Linux, and the kernel's exFAT or Debian's exfat-fuse, and exfatprogs. The disk is a file that is removed at the end.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, Stage } from "../helpers/programs.ts";
import { ended } from "./foreign.ts";

const MIB = 1024 * 1024;

function run(...command: string[]): { code: number; out: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stdin: "ignore" });
  return { code: exitCode, out: stdout.toString() + stderr.toString() };
}

const stage = new Stage();
const kept = new Stage();
let disk = "";
let device = "";

/** Makes a disk and mounts it. Gives the reason where that is not possible. */
function mountDisk(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "it needs root on Linux";
  for (const [name, from] of [
    ["mkfs.exfat", "exfatprogs"],
    ["losetup", "mount"],
  ] as const)
    if (Bun.which(name) === null) return `there is no ${name}: apt install ${from}`;
  const place = kept.folder();
  const image = join(place, "disk");
  disk = join(place, "mounted");
  mkdirSync(disk);
  writeFileSync(image, "");
  truncateSync(image, 200 * MIB);
  if (run("mkfs.exfat", image).code !== 0) return "mkfs.exfat does not work here";
  const looped = run("losetup", "--find", "--show", image);
  if (looped.code !== 0) return "there are no loop devices here";
  device = looped.out.trim();
  const isMounted = ["mount.exfat-fuse", "mount"].some(
    (name) => Bun.which(name) !== null && run(name, ...(name === "mount" ? ["-t", "exfat"] : []), device, disk).code === 0,
  );
  return isMounted ? undefined : "no exFAT disk can be mounted here: apt install exfat-fuse";
}

const reason = mountDisk();
if (reason !== undefined) console.log(`Nothing is fetched onto an exFAT disk: ${reason}.`);
afterEach(() => stage.close());
afterAll(async () => {
  if (disk !== "") run("umount", disk);
  if (device !== "") run("losetup", "--detach", device);
  await kept.close();
});

function folderWith(files: Record<string, string | Uint8Array>): string {
  const folder = stage.folder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

describe.skipIf(reason !== undefined)("an exFAT disk", () => {
  let inbox: string;
  let made = 0;
  const newInbox = () => {
    inbox = join(disk, `inbox ${made++}`);
    mkdirSync(inbox);
    return inbox;
  };
  const get = (address: string, name: string, ...args: string[]) =>
    stage.run(PEER, [address, "get", name, "--to", inbox, "--port", "0", ...args], { cwd: folderWith({ "visitor.txt": "v" }) });

  beforeAll(() => {
    expect(run("ln", disk, join(disk, "link")).code).not.toBe(0);
  });

  test("takes a file; another one of its name stays, and the same content is not fetched twice", async () => {
    newInbox();
    const { address } = await stage.tracker();
    const content = randomBytes(5_000_000);
    await stage.sharing(address, folderWith({ "movie.bin": content, "a:b?.txt": "odd name" }), 2);
    await ended(get(address, "movie.bin"));
    expect(readdirSync(inbox)).toEqual(["movie.bin"]);
    expect(await ended(get(address, "movie.bin"))).toContain("already here");
    writeFileSync(join(inbox, "movie.bin"), "another one");
    await ended(get(address, "movie.bin"));
    await ended(get(address, "a:b?.txt"));
    expect(readdirSync(inbox).sort()).toEqual(["a_b_.txt", "movie (1).bin", "movie.bin"]);
    expect(readFileSync(join(inbox, "movie.bin"), "utf8")).toBe("another one");
    expect(readFileSync(join(inbox, "movie (1).bin")).equals(content)).toBe(true);
    await ended(get(address, "movie.bin", "--overwrite"));
    expect(readFileSync(join(inbox, "movie.bin")).equals(content)).toBe(true);
  });

  test("keeps what arrived when the fetcher is killed", async () => {
    newInbox();
    const { address } = await stage.tracker();
    const content = randomBytes(24_000_000);
    await stage.sharing(address, folderWith({ "big.bin": content }), 1, "--limit", "8MB");
    const first = get(address, "big.bin", "--json");
    let received = 0;
    while (received < 8_000_000) received = Number((await first.waitFor(/"event":"progress","received":(\d+)/))[1]);
    first.kill("SIGKILL");
    await first.exited;
    const second = get(address, "big.bin", "--json");
    await ended(second);
    expect(second.objects().find(({ event }) => event === "progress")?.received).toBeGreaterThan(4_000_000);
    expect(readFileSync(join(inbox, "big.bin")).equals(content)).toBe(true);
    expect(readdirSync(inbox)).toEqual(["big.bin"]);
  });

  test("takes a folder, and is shared from", async () => {
    newInbox();
    const { address } = await stage.tracker();
    const files = { "Photos/2026/beach.jpg": randomBytes(300_000), "Photos/what.txt": "x", "Photos/empty.txt": "" };
    const from = folderWith(files);
    const holder = stage.run(PEER, [address, "share", join(from, "Photos"), "--port", "0", "--json"], { cwd: from });
    await holder.waitFor(/"event":"joined"/);
    await ended(get(address, "Photos", "--wait", "1m"));
    for (const [name, content] of Object.entries(files)) expect(readFileSync(join(inbox, name))).toEqual(Buffer.from(content));
    holder.kill();
    await holder.exited;
    const again = stage.run(PEER, [address, "share", join(inbox, "Photos"), "--port", "0", "--json"], { cwd: from });
    await again.waitFor(/"event":"joined"/);
    newInbox();
    await ended(get(address, "Photos", "--wait", "1m"));
    expect(readFileSync(join(inbox, "Photos/2026/beach.jpg"))).toEqual(files["Photos/2026/beach.jpg"]);
  });
});
