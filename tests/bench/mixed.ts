// One source at 100 Mbit/s and few, or unequal, fetchers of one file: three of them; then ten, of which one has 1 Gbit/s, one has
// 10 Mbit/s, one is killed and one comes when half of a copy's time is over. Says when each is done, in copies on its own link.
// Run by hand as root: bun tests/bench/mixed.ts [rounds [MB [Mbit/s]]]. Debian: iproute2.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, makeFile, median, PEER, TRACKER } from "./lan.ts";

const [ROUNDS = 3, MB = 100, MEGABITS = 100] = process.argv.slice(2).map(Number);
const SIZE = MB * 1_000_000;

/** What TCP and Ethernet leave of a link for one copy of the file. Seconds. */
function copyOn(megabits: number): number {
  return SIZE / ((megabits / 8) * 1e6 * (1448 / 1514));
}

function sha(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}

const lan = new Lan();
try {
  const hub = lan.host();
  const source = lan.host(MEGABITS);
  const fast = lan.host(10 * MEGABITS);
  const slow = lan.host(MEGABITS / 10);
  const [killed, late, ...rest] = Array.from({ length: 8 }, () => lan.host(MEGABITS));
  if (killed === undefined || late === undefined) throw new Error("there are eight");
  const file = join(source.folder, "big.bin");
  makeFile(file, SIZE);
  const right = sha(file);
  await lan.startUntil(hub, /listening/, TRACKER);
  await lan.startUntil(
    source,
    /"event":"root"/,
    PEER,
    hub.address,
    "share",
    "--share",
    "big.bin",
    "--name",
    "source",
    "--json",
  );

  const clear = (host: Host) => {
    rmSync(join(host.folder, "to"), { recursive: true, force: true });
    mkdirSync(join(host.folder, "to"));
    writeFileSync(join(host.folder, `${host.name}.txt`), "a peer shares at least one file\n");
  };
  const command = [PEER, hub.address, "get", "big.bin", "--to", "to", "--json"] as const;
  /** Fetches to the end; gives the seconds. */
  const get = (host: Host) => lan.timed(host, ...command);
  /** To be called when all are done: it takes processor time from those that are not. */
  const check = (host: Host) => {
    if (sha(join(host.folder, "to", "big.bin")) !== right) throw new Error(`${host.name} has a wrong file`);
  };
  const killHalfway = async (host: Host) => {
    const child = lan.start(host, ...command);
    void new Response(child.stdout).text();
    await Bun.sleep(copyOn(MEGABITS) * 500);
    await lan.stop(child, "SIGKILL");
  };
  const lateGet = async (host: Host) => {
    await Bun.sleep(copyOn(MEGABITS) * 500);
    return await get(host);
  };
  const say = (who: string, seconds: number[], megabits = MEGABITS) => {
    const copies = median(seconds) / copyOn(megabits);
    const all = seconds.map((value) => value.toFixed(1)).join(" ");
    console.log(`  ${who}: ${copies.toFixed(2)} x one copy at ${megabits} Mbit/s (${all} s)`);
  };

  console.log(`three at ${MEGABITS} Mbit/s, ${MB} MB`);
  const three: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const host of rest.slice(0, 3)) clear(host);
    three.push(Math.max(...(await Promise.all(rest.slice(0, 3).map(get)))));
    for (const host of rest.slice(0, 3)) check(host);
  }
  say("the last one", three);

  console.log(`ten: six at ${MEGABITS} Mbit/s, one faster, one slower, one killed, one late`);
  const times = { last: [] as number[], fast: [] as number[], late: [] as number[], slow: [] as number[] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const host of [fast, slow, killed, late, ...rest]) clear(host);
    const [many, ofFast, ofLate, ofSlow] = await Promise.all([
      Promise.all(rest.map(get)),
      get(fast),
      lateGet(late),
      get(slow),
      killHalfway(killed),
    ]);
    for (const host of [fast, slow, late, ...rest]) check(host);
    times.last.push(Math.max(...many));
    times.fast.push(ofFast);
    times.late.push(ofLate);
    times.slow.push(ofSlow);
  }
  say("the last of the six", times.last);
  say("the faster one, through the source's link", times.fast);
  say("the late one, from its own start", times.late);
  say("the slower one", times.slow, MEGABITS / 10);
} finally {
  await lan.close();
}
