// How soon a tracker is found, and what a holder behind a firewall gives against one without. Hosts on a switch as fast as the machine.
//
//     bun tests/bench/reach.ts [rounds]     Needs root, `ip` and `nft`.

import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, makeFile, median, PEER, TRACKER } from "./lan.ts";

const rounds = Number(process.argv[2] ?? 7);
const JOINS = 10;
const SIZE = 1024 ** 3;

const lan = new Lan();
try {
  const [hub, open, closed, fetcher] = [lan.host(), lan.host(), lan.host(), lan.host()];
  await lan.startUntil(hub, /"event":"addresses"/, TRACKER, "--json", "--name", "Bench");
  writeFileSync(join(fetcher.folder, "mine.txt"), "mine");
  // It asks before it announces, and says it three times.
  await Bun.sleep(4000);

  const joins: number[] = [];
  for (let i = 0; i < JOINS; i++) joins.push(await lan.timed(fetcher, PEER, "who", "--share", "mine.txt", "--json"));
  const slowest = Math.max(...joins);
  console.log(`find, join, ask, leave: ${median(joins).toFixed(2)} s (median of ${JOINS}, longest ${slowest.toFixed(2)} s)`);

  firewall(closed, 1235);
  for (const [host, name] of [
    [open, "open.bin"],
    [closed, "closed.bin"],
  ] as const) {
    makeFile(join(host.folder, name), SIZE);
    await lan.startUntil(host, /"event":"root"/, PEER, "share", "--share", name, "--json");
  }
  // By now the tracker has found out whom it cannot reach.
  await Bun.sleep(4000);
  const times: Record<"open.bin" | "closed.bin", number[]> = { "open.bin": [], "closed.bin": [] };
  for (let i = 0; i < rounds; i++) {
    for (const name of ["open.bin", "closed.bin"] as const) {
      times[name].push(await lan.timed(fetcher, PEER, "get", name, "--share", "mine.txt", "--json"));
      rmSync(join(fetcher.folder, name));
    }
  }
  const [straight, back] = [median(times["open.bin"]), median(times["closed.bin"])];
  console.log(`1 GiB from a holder that can be dialled: ${straight.toFixed(2)} s`);
  console.log(`1 GiB from one that connects back:       ${back.toFixed(2)} s, ${(straight / back).toFixed(2)} x the speed`);
} finally {
  await lan.close();
}

function firewall(host: Host, port: number): void {
  for (const rule of [
    "add table inet ft",
    "add chain inet ft in { type filter hook input priority 0; }",
    `add rule inet ft in tcp dport ${port} drop`,
  ]) {
    const { exitCode, stderr } = Bun.spawnSync(host.command("nft", rule));
    if (exitCode !== 0) throw new Error(`nft: ${stderr}`);
  }
}
