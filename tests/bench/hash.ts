// Hashing a large file when it is shared, against what all cores together can do; and how soon an interrupted download of it goes on.
// Run by hand: bun tests/bench/hash.ts [MiB [rounds]]. The file is in the page cache; the two take turns in one run.

import { closeSync, copyFileSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFile, median, PEER, Scene } from "./scene.ts";

const MIB = Number(process.argv[2] ?? 4096);
const ROUNDS = Number(process.argv[3] ?? 5);
const BLOCK = 16 * 1024;
const CORES = navigator.hardwareConcurrency;

const READ = 1024 * 1024;

/** SHA-256 on one core, in the blocks that content ids are made of, of a file or of as much memory; bytes a second. */
function oneCore(path?: string): number {
  const buffer = new Uint8Array(READ);
  crypto.getRandomValues(buffer.subarray(0, 65_536));
  const out = new Uint8Array(32);
  const fd = path === undefined ? undefined : openSync(path, "r");
  const size = 1024 * READ;
  const from = performance.now();
  for (let done = 0; done < size; done += READ) {
    if (fd !== undefined) readSync(fd, buffer);
    for (let at = 0; at < READ; at += BLOCK) Bun.SHA256.hash(buffer.subarray(at, at + BLOCK), out);
  }
  const speed = size / ((performance.now() - from) / 1000);
  if (fd !== undefined) closeSync(fd);
  return speed;
}

function readAll(path: string): void {
  const fd = openSync(path, "r");
  const buffer = new Uint8Array(4 * READ);
  while (readSync(fd, buffer) > 0);
  closeSync(fd);
}

const scene = new Scene();
try {
  const source = scene.place("source");
  const own = scene.place("own");
  const to = scene.place("to");
  writeFileSync(join(own, "mine.txt"), "a peer shares at least one file\n");
  const file = join(source, "big.bin");
  makeFile(file, MIB * 1024 * 1024);
  const address = await scene.tracker();

  const speeds: number[] = [];
  const cores: number[] = [];
  const inMemory: number[] = [];
  let root = "";
  for (let round = 0; round < ROUNDS; round++) {
    cores.push(oneCore(file));
    inMemory.push(oneCore());
    rmSync(scene.cache, { recursive: true, force: true });
    const sharing = scene.start([PEER, address, "share", "--json"], source);
    await scene.line(sharing, /"event":"joined"/);
    const from = performance.now();
    const found = await scene.line(sharing, /"event":"root".*"root":"([0-9a-f]{64})"/);
    speeds.push((MIB * 1024 * 1024) / ((performance.now() - from) / 1000));
    root = found[1] ?? "";
    await scene.stop(sharing);
  }
  const [whole, core, memory] = [median(speeds), median(cores), median(inMemory)].map((speed) => speed / 1e9);
  const of = (reference = 0) =>
    `${((whole ?? 0) / (CORES * reference)).toFixed(2)} of ${CORES} cores x ${reference.toFixed(2)} GB/s`;
  console.log(`hashing ${MIB} MiB when sharing: ${whole?.toFixed(2)} GB/s`);
  console.log(`  ${of(core)}, what one core hashes of the same file`);
  console.log(`  ${of(memory)}, what one core hashes of memory, with nothing to read`);

  // ------------------------------------------------ resume at 90 %
  const holder = scene.start([PEER, address, "share", "--json"], source);
  await scene.line(holder, /"event":"root"/);
  const part = join(to, `.ft-${root.slice(0, 32)}.part`);
  const there = Math.floor(MIB * 0.9) * 1024 * 1024;
  const firsts: number[] = [];
  const hashings: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(join(to, "big.bin"), { force: true });
    copyFileSync(file, part);
    truncateSync(part, there);
    readAll(part);
    const from = performance.now();
    const get = scene.start([PEER, address, "get", "big.bin", "--to", to, "--json"], own);
    // The first progress says what was here; the next one that something new has come.
    const begun = await scene.line(get, /"event":"progress","received":(\d+)/);
    if (Number(begun[1]) < there) throw new Error(`only ${begun[1]} bytes counted`);
    await scene.line(get, new RegExp(`"event":"progress","received":(?!${begun[1]},)`));
    firsts.push((performance.now() - from) / 1000);
    await get.exited;
    scene.forget(get);

    rmSync(scene.cache, { recursive: true, force: true });
    rmSync(join(to, "big.bin"), { force: true });
    const piece = join(scene.place("piece"), "piece.bin");
    copyFileSync(file, piece);
    truncateSync(piece, there);
    readAll(piece);
    const hashing = performance.now();
    const sharing = scene.start([PEER, address, "share", "--port", "0", "--json"], join(piece, ".."));
    await scene.line(sharing, /"event":"root"/);
    hashings.push((performance.now() - hashing) / 1000);
    await scene.stop(sharing);
    rmSync(piece);
  }
  const [first, hashing] = [median(firsts), median(hashings)];
  console.log(
    `resume at 90 % of ${MIB} MiB, whole process: first new byte after ${first.toFixed(2)} s; hashing what is there ${hashing.toFixed(2)} s`,
  );
  console.log(`  ${(first / hashing).toFixed(2)} x the time of hashing`);
} finally {
  await scene.close();
}
