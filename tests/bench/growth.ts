// One to thirty who fetch one file from one source at once: what it costs each, and how long the last one takes.
// First on this computer, beside everybody fetching from the source alone; then each on a link of its own.
// Run by hand as root: bun tests/bench/growth.ts [rounds [MB [Mbit/s [N ...]]]]. Debian: iproute2, tcpdump.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, makeFile, median, PEER, TRACKER } from "./lan.ts";

const [ROUNDS = 3, MB = 50, MEGABITS = 10, ...given] = process.argv.slice(2).map(Number);
const COUNTS = given.length > 0 ? given : [1, 2, 5, 10, 20, 30];
const SIZE = MB * 1_000_000;
/** Ethernet, IP and TCP with time stamps: what a packet has before its bytes. */
const HEADERS = 66;
/** The first four letters of what a fetcher says to a holder. */
const VERBS = { DOWNLOAD: 0x444f574e, HAVE: 0x48415645, TREE: 0x54524545 };
/** What TCP and Ethernet leave of a link for the bytes of a file. */
const COPY_S = SIZE / ((MEGABITS / 8) * 1e6 * (1448 / 1514));

interface Round {
  wall: number;
  /** Processor seconds of a fetcher, in the middle. */
  cpu: number;
}

/** All of them at once, each into an empty folder; checks what came. */
async function fetchAll(places: { host: Host; folder: string }[], hub: string, ...more: string[]): Promise<Round> {
  for (const { folder } of places) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, "to"), { recursive: true });
    writeFileSync(join(folder, `${folder.split("/").at(-1)}.txt`), "a peer shares at least one file\n");
  }
  const from = performance.now();
  let wall = 0;
  const cpus = await Promise.all(
    places.map(async ({ host, folder }) => {
      const child = Bun.spawn(host.command(PEER, hub, "get", "big.bin", "--to", "to", "--json", ...more), {
        cwd: folder,
        env: { ...process.env, XDG_CACHE_HOME: join(folder, ".cache"), XDG_STATE_HOME: join(folder, ".state") },
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      });
      const said = new Response(child.stderr).text();
      if ((await child.exited) !== 0) throw new Error(`a fetcher ended with ${child.exitCode}: ${await said}`);
      wall = Math.max(wall, (performance.now() - from) / 1000);
      return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
    }),
  );
  for (const { folder } of places) {
    if (sha(join(folder, "to", "big.bin")) !== right) throw new Error(`${folder} has a wrong file`);
  }
  return { wall, cpu: median(cpus) };
}

function sha(path: string): string {
  return new Bun.CryptoHasher("sha256").update(readFileSync(path)).digest("hex");
}

/** The bytes that a host has received in TCP packets. */
function received(host: Host): number {
  const of = (what: string) =>
    Number(Bun.spawnSync(host.command("cat", `/sys/class/net/eth0/statistics/rx_${what}`)).stdout.toString());
  return of("bytes") - HEADERS * of("packets");
}

/** Counts the packets that leave a host and begin with each verb, until it is called. */
function countVerbs(lan: Lan, host: Host): () => Promise<string> {
  const counters = Object.entries(VERBS).map(([verb, letters]) => {
    const filter = `src ${host.address} and tcp[((tcp[12] & 0xf0) >> 2):4] = ${letters}`;
    return { verb, child: lan.start(host, "tcpdump", "-i", "eth0", "-w", "/dev/null", filter) };
  });
  return async () => {
    const counts = counters.map(async ({ verb, child }) => {
      await lan.stop(child, "SIGINT");
      const count = /(\d+) packets captured/.exec(await new Response(child.stderr).text())?.[1];
      return `${count ?? "?"} ${verb}`;
    });
    return (await Promise.all(counts)).join(", ");
  };
}

const lan = new Lan();
let right = "";
try {
  const hub = lan.host();
  const source = lan.host(MEGABITS);
  const hosts = Array.from({ length: Math.max(...COUNTS) }, () => lan.host(MEGABITS));
  makeFile(join(source.folder, "big.bin"), SIZE);
  right = sha(join(source.folder, "big.bin"));

  console.log(`on one computer, ${MB} MB: seconds of the last one, and of processor time each`);
  const one = { ...hub, address: "127.0.0.1", folder: source.folder };
  const tracker = (await lan.startUntil(one, /listening/, TRACKER, "--max-per-address", "500")).child;
  const share = async (host: Host, address: string) =>
    (await lan.startUntil(host, /"event":"root"/, PEER, address, "share", "--share", "big.bin", "--name", "source", "--json"))
      .child;
  const near = await share(one, one.address);
  let alone: number | undefined;
  for (const count of COUNTS) {
    const places = Array.from({ length: count }, (_, i) => ({ host: one, folder: join(lan.folder, `near${i}`) }));
    const all: Round[] = [];
    const apart: Round[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      all.push(await fetchAll(places, one.address));
      apart.push(await fetchAll(places, one.address, "--from", "source"));
    }
    const cpu = median(all.map((round) => round.cpu));
    alone ??= cpu;
    const wall = (rounds: Round[]) => median(rounds.map((round) => round.wall)).toFixed(1);
    const from = median(apart.map((round) => round.cpu));
    console.log(
      `${count}: ${wall(all)} s, processor ${cpu.toFixed(2)} s (${(cpu / alone).toFixed(2)} x one alone); --from the source ${wall(apart)} s, ${from.toFixed(2)} s`,
    );
  }
  await lan.stop(near);
  await lan.stop(tracker);

  console.log(`links of ${MEGABITS} Mbit/s, ${MB} MB, one copy takes ${COPY_S.toFixed(1)} s at best`);
  await lan.startUntil(hub, /listening/, TRACKER);
  await share(source, hub.address);
  for (const count of COUNTS) {
    const places = hosts.slice(0, count).map((host) => ({ host, folder: join(host.folder, `far${host.name}`) }));
    const everybody = [hub, source, ...hosts];
    const [first] = hosts;
    if (first === undefined) continue;
    const before = everybody.map(received).reduce((sum, bytes) => sum + bytes, 0);
    const verbs = countVerbs(lan, first);
    await Bun.sleep(500);
    const { wall, cpu } = await fetchAll(places, hub.address);
    const after = everybody.map(received).reduce((sum, bytes) => sum + bytes, 0);
    const over = ((after - before) / (count * SIZE) - 1) * 100;
    console.log(
      `${count}: ${wall.toFixed(1)} s (${(wall / COPY_S).toFixed(2)} x one copy), processor ${cpu.toFixed(2)} s, ${over.toFixed(2)} % more than the file; one of them said ${await verbs()}`,
    );
  }
} finally {
  await lan.close();
}
