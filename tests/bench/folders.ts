// Measures folders on this machine, by hand: `bun tests/bench/folders.ts [FILES] [BYTES] [ROUNDS] [KILLS]`. Fetches a folder of FILES files
// of BYTES each and copies it by `tar | nc | tar` with one `sync -f`, in turn; then kills a fetch KILLS times, at random moments, and
// compares the copy by rsync. TMPDIR says on which disk. Needs nc, tar and rsync.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { median, PEER, Scene } from "./scene.ts";

const [files = 10_000, bytes = 4_096, rounds = 3, kills = 20] = process.argv.slice(2).map(Number);

const scene = new Scene();
try {
  const from = scene.place("from");
  for (let i = 0; i < files; i++) {
    const folder = join(from, "Many", `d${Math.floor(i / 500)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, `f${i}`),
      crypto
        .getRandomValues(new Uint8Array(Math.min(bytes, 65_536)))
        .toBase64()
        .repeat(Math.ceil(bytes / 65_536))
        .slice(0, bytes),
    );
  }
  const address = await scene.tracker();
  const holder = scene.start([PEER, address, "share", "Many", "--port", "0", "--json"], from);
  await scene.line(holder, /"event":"folder"/);
  const visitor = scene.place("visitor");
  writeFileSync(join(visitor, "mine.txt"), "mine");
  // Each round has a folder of its own: ext4 is many times slower at making files shortly after as many were removed.
  let to = scene.place("to");
  const get = () =>
    Bun.spawn([PEER, address, "get", "Many", "--to", to, "--port", "0", "--quiet"], { cwd: visitor, stderr: "inherit" });
  const ours: number[] = [];
  const theirs: number[] = [];
  let fetcherMemory = 0;
  for (let round = 0; round < rounds; round++) {
    to = scene.place(`to${round}`);
    ours.push(
      await timed(async () => {
        const child = get();
        if ((await child.exited) !== 0) throw new Error("get failed");
        fetcherMemory = Math.max(fetcherMemory, child.resourceUsage()?.maxRSS ?? 0);
      }),
    );
    const copy = scene.place(`copy${round}`);
    const script =
      // 176F is the port in hex, 0A a listener: a sender that comes too early would leave the receiver waiting for ever.
      '(nc -l 127.0.0.1 5999 | tar xf - -C "$2"; sync -f "$2") & until grep -q ":176F .* 0A " /proc/net/tcp; do sleep 0.01; done; ' +
      'tar cf - -C "$1" Many | nc -N 127.0.0.1 5999; wait';
    theirs.push(await timed(async () => void (await Bun.spawn(["sh", "-c", script, "sh", from, copy]).exited)));
  }
  const [mine, other] = [median(ours), median(theirs)];
  console.log(`get ${mine.toFixed(2)} s · tar | nc | tar + sync -f ${other.toFixed(2)} s · ${(mine / other).toFixed(2)} ×`);
  const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${holder.pid}/status`, "utf8"))?.[1];
  console.log(`RSS: holder ${(Number(peak) / 1000).toFixed(0)} MB, fetcher ${(fetcherMemory / 1e6).toFixed(0)} MB`);
  to = scene.place("killed");
  for (let i = 0; i < kills; i++) {
    const child = get();
    await Bun.sleep(Math.random() * mine * 1000);
    child.kill("SIGKILL");
    await child.exited;
  }
  await get().exited;
  const compare = Bun.spawnSync(["rsync", "-rtnci", "--delete", `${join(from, "Many")}/`, `${join(to, "Many")}/`]);
  console.log(`after ${kills} kills rsync says: ${compare.stdout.toString().trim() || "nothing"}`);
} finally {
  await scene.close();
}

async function timed(act: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await act();
  return (performance.now() - started) / 1000;
}
