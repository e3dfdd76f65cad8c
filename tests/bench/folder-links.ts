// Folders on links of 100 Mbit/s: a large file beside many small ones at the speed of the link, then ten fetchers of one folder from one
// source. Run by hand as root: `bun tests/bench/folder-links.ts [LARGE_MB] [SMALL_FILES] [SHARED_MB] [MEGABITS]`; with LARGE_MB or
// SHARED_MB 0 only the other half runs. Slower links ask less of a machine that plays twelve. Debian: iproute2.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, makeFile, PEER, TRACKER } from "./lan.ts";

const [large = 200, small = 5_000, sharedSize = 60, megabits = 100] = process.argv.slice(2).map(Number);
const FETCHERS = 10;
/** What TCP and Ethernet leave of a link for the bytes of files. Bytes per second. */
const GOODPUT = (megabits / 8) * 1e6 * (1448 / 1514);
/** The length of a small file. Bytes. */
const SMALL = 4_096;
/** Half of the shared folder are files of this length; the other half are larger files. Bytes. */
const LESSON_SMALL = 20_000;
const LESSON_LARGE = 5_000_000;

function makeSmall(folder: string, files: number, length: number): void {
  for (let i = 0; i < files; i++) {
    const inner = join(folder, `d${Math.floor(i / 500)}`);
    mkdirSync(inner, { recursive: true });
    writeFileSync(join(inner, `f${i}`), crypto.getRandomValues(new Uint8Array(length)));
  }
}

/** The bytes that a host has sent. */
function sent(host: Host): number {
  const { stdout } = Bun.spawnSync(host.command("cat", "/sys/class/net/eth0/statistics/tx_bytes"));
  return Number(stdout.toString());
}

/** The time of all processors since the start, and the part of it in which they had nothing to do. */
function processors(): { idle: number; all: number } {
  const times = (/^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? "").split(" ").map(Number);
  return { idle: times[3] ?? 0, all: times.reduce((sum, one) => sum + one, 0) };
}

const lan = new Lan();
try {
  const hub = lan.host();
  const source = lan.host(megabits);
  const others = Array.from({ length: FETCHERS }, () => lan.host(megabits));
  for (const host of others) writeFileSync(join(host.folder, `${host.name}.txt`), "a peer shares at least one file\n");
  await lan.startUntil(hub, /listening/, TRACKER);
  const mixed = async (host: Host) => {
    mkdirSync(join(source.folder, "Mixed"));
    makeFile(join(source.folder, "Mixed", "large.bin"), large * 1_000_000);
    makeSmall(join(source.folder, "Mixed"), small, SMALL);
    const child = await share("Mixed");
    const seconds = await get(host, "Mixed");
    compare(host, "Mixed");
    const part = (large * 1_000_000 + small * SMALL) / seconds / GOODPUT;
    console.log(
      `${large} MB beside ${small} small files: ${seconds.toFixed(1)} s, ${part.toFixed(2)} of the link, start and end included`,
    );
    await lan.stop(child);
  };
  const lesson = async (host: Host) => {
    const smallFiles = Math.round((sharedSize * 1_000_000) / 2 / LESSON_SMALL);
    const largeFiles = Math.round((sharedSize * 1_000_000) / 2 / LESSON_LARGE);
    makeSmall(join(source.folder, "Lesson"), smallFiles, LESSON_SMALL);
    for (let i = 0; i < largeFiles; i++) makeFile(join(source.folder, "Lesson", `large${i}.bin`), LESSON_LARGE);
    await share("Lesson");
    const one = await get(host, "Lesson");
    compare(host, "Lesson");
    const [before, sentBefore] = [processors(), sent(source)];
    const all = await Promise.all(others.map((host) => get(host, "Lesson")));
    const copies = (sent(source) - sentBefore) / (sharedSize * 1_000_000);
    const after = processors();
    const idle = (after.idle - before.idle) / (after.all - before.all);
    for (const host of others) compare(host, "Lesson");
    console.log(`one copy of ${sharedSize} MB in ${smallFiles} small files and ${largeFiles} larger ones: ${one.toFixed(1)} s`);
    console.log(
      `${FETCHERS} at once: ${all.map((value) => value.toFixed(1)).join(" ")}; the last one after ${(Math.max(...all) / one).toFixed(2)} ×; the source sent ${copies.toFixed(2)} copies; the processors were idle for ${(idle * 100).toFixed(0)} % of the time`,
    );
  };
  const share = async (name: string) =>
    (await lan.startUntil(source, /"event":"folder"/, PEER, hub.address, "share", name, "--json")).child;
  const get = async (host: Host, name: string) => {
    rmSync(join(host.folder, "to"), { recursive: true, force: true });
    mkdirSync(join(host.folder, "to"));
    return await lan.timed(host, PEER, hub.address, "get", name, "--to", "to", "--json");
  };
  const compare = (host: Host, name: string) => {
    const command = ["rsync", "-rtnci", "--delete", `${join(source.folder, name)}/`, join(host.folder, "to", name)];
    const { stdout } = Bun.spawnSync(command);
    if (stdout.length > 0) throw new Error(`${host.name} has a wrong folder: ${stdout}`);
  };
  const [first] = others;
  if (first === undefined) throw new Error("no host");

  if (large > 0) await mixed(first);
  if (sharedSize > 0) await lesson(first);
} finally {
  await lan.close();
}
