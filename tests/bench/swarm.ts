// Links of 100 Mbit/s: four holders and one fetcher on a fast link; then one source and ten fetchers of one file, beside what
// BitTorrent (aria2c with opentracker) and nginx + curl take on the same links.
// Run by hand as root: bun tests/bench/swarm.ts [rounds [MB [references]]]. Debian: iproute2, nginx-light, curl, aria2, opentracker.

import { createHash } from "node:crypto";
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, makeFile, median, PEER, TRACKER } from "./lan.ts";

const ROUNDS = Number(process.argv[2] ?? 5);
const SIZE = Number(process.argv[3] ?? 200) * 1_000_000;
const REFERENCES = Number(process.argv[4] ?? 1);
const MEGABITS = 100;
const FETCHERS = 10;

/** What TCP and Ethernet leave of a link for the bytes of a file. */
const GOODPUT = (MEGABITS / 8) * 1e6 * (1448 / 1514);

function seconds(values: number[]): string {
  return `${median(values).toFixed(1)} s (${values.map((value) => value.toFixed(1)).join(" ")})`;
}

function sha(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function clear(host: Host): void {
  rmSync(join(host.folder, "to"), { recursive: true, force: true });
  Bun.spawnSync(["mkdir", "-p", join(host.folder, "to")]);
}

const lan = new Lan();
try {
  const hub = lan.host();
  const fast = lan.host();
  const source = lan.host(MEGABITS);
  const others = Array.from({ length: FETCHERS }, () => lan.host(MEGABITS));
  const file = join(source.folder, "big.bin");
  makeFile(file, SIZE);
  const right = sha(file);
  for (const host of [fast, ...others])
    writeFileSync(join(host.folder, `${host.name}.txt`), "a peer shares at least one file\n");
  const check = (host: Host) => {
    if (sha(join(host.folder, "to", "big.bin")) !== right) throw new Error(`${host.name} has a wrong file`);
  };

  await lan.startUntil(hub, /listening/, TRACKER);
  const share = async (host: Host) =>
    (await lan.startUntil(host, /"event":"root"/, PEER, hub.address, "share", "--share", "big.bin", "--json")).child;
  const get = (host: Host) => lan.timed(host, PEER, hub.address, "get", "big.bin", "--to", "to", "--json");

  // ------------------------------------------------ four holders, one fast fetcher
  for (const host of others.slice(0, 3)) linkSync(file, join(host.folder, "big.bin"));
  const holders = [await share(source)];
  for (const host of others.slice(0, 3)) holders.push(await share(host));
  const four: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    clear(fast);
    four.push(await get(fast));
    check(fast);
  }
  const rate = SIZE / median(four);
  console.log(`four holders at ${MEGABITS} Mbit/s: ${seconds(four)}, ${(rate / 1e6).toFixed(1)} MB/s`);
  console.log(
    `  of the sum of the links (${((4 * GOODPUT) / 1e6).toFixed(1)} MB/s of file): ${(rate / (4 * GOODPUT)).toFixed(2)}`,
  );
  for (const child of holders) await lan.stop(child);
  for (const host of others.slice(0, 3)) rmSync(join(host.folder, "big.bin"));

  // ------------------------------------------------ one copy on one link
  const nginxConf = join(source.folder, "nginx.conf");
  writeFileSync(
    nginxConf,
    `daemon off; pid ${source.folder}/nginx.pid; error_log /dev/null; worker_processes 1; user root;
events {} http { access_log off; sendfile on; server { listen ${source.address}:8080; root ${source.folder}; } }`,
  );
  lan.start(source, "nginx", "-c", nginxConf, "-e", "/dev/null");
  await Bun.sleep(500);
  const curl = (host: Host) => lan.timed(host, "curl", "-s", "-o", "to/big.bin", `http://${source.address}:8080/big.bin`);
  const [first] = others;
  if (first === undefined) throw new Error("nobody");
  const single: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    clear(first);
    single.push(await curl(first));
  }
  const copy = median(single);
  console.log(`one copy on one link (nginx + curl): ${seconds(single)}`);

  // ------------------------------------------------ one source, ten fetchers
  const sharing = await share(source);
  const last: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const host of others) clear(host);
    const times = await Promise.all(others.map(get));
    for (const host of others) check(host);
    last.push(Math.max(...times));
    console.log(`  ten with ft-peer: ${times.map((time) => time.toFixed(1)).join(" ")}`);
  }
  console.log(`one source, ten fetchers, the last one done: ${seconds(last)}: ${(median(last) / copy).toFixed(2)} x one copy`);
  await lan.stop(sharing);

  const torrents: number[] = [];
  const allowed = writeTorrent(file, join(lan.folder, "big.torrent"), `http://${hub.address}:6969/announce`);
  const tracker = lan.start(hub, "opentracker", "-i", hub.address, "-p", "6969", "-w", allowed);
  await Bun.sleep(500);
  for (let round = 0; round < REFERENCES; round++) {
    for (const host of others) clear(host);
    torrents.push(await torrentRound());
  }
  await lan.stop(tracker, "SIGKILL");
  if (REFERENCES > 0) console.log(`  aria2c, BitTorrent: ${seconds(torrents)}: ${(median(torrents) / copy).toFixed(2)} x`);

  const curls: number[] = [];
  for (let round = 0; round < REFERENCES; round++) {
    for (const host of others) clear(host);
    curls.push(Math.max(...(await Promise.all(others.map(curl)))));
  }
  if (REFERENCES > 0) console.log(`  nginx + curl: ${seconds(curls)}: ${(median(curls) / copy).toFixed(2)} x`);

  /** All seed until the last one is done. */
  async function torrentRound(): Promise<number> {
    const options = ["--enable-dht=false", "--bt-enable-lpd=false", "--seed-time=10", "--seed-ratio=0", "--quiet=true"];
    const torrent = join(lan.folder, "big.torrent");
    const seed = lan.start(source, "aria2c", ...options, "--check-integrity=true", "-d", source.folder, torrent);
    await Bun.sleep(2000);
    const done = join(lan.folder, "done.sh");
    writeFileSync(done, "#!/bin/sh\ntouch done\n", { mode: 0o755 });
    for (const host of others) rmSync(join(host.folder, "done"), { force: true });
    const from = performance.now();
    const leeches = others.map((host) =>
      lan.start(host, "aria2c", ...options, `--on-bt-download-complete=${done}`, "-d", join(host.folder, "to"), torrent),
    );
    while (!others.every((host) => existsSync(join(host.folder, "done")))) {
      if (performance.now() - from > 400_000) break;
      await Bun.sleep(100);
    }
    const time = (performance.now() - from) / 1000;
    for (const child of [...leeches, seed]) await lan.stop(child, "SIGKILL");
    return time;
  }
} finally {
  await lan.close();
}

/** A version 1 torrent (BEP 3) of one file; gives the path of a list with its hash, without which Debian's tracker knows nobody. */
function writeTorrent(file: string, path: string, announce: string): string {
  const bytes = readFileSync(file);
  const length = 262_144;
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += length)
    hashes.push(
      createHash("sha1")
        .update(bytes.subarray(at, at + length))
        .digest(),
    );
  const pieces = Buffer.concat(hashes);
  const head = `d6:lengthi${bytes.length}e4:name7:big.bin12:piece lengthi${length}e6:pieces${pieces.length}:`;
  const info = Buffer.concat([Buffer.from(head), pieces, Buffer.from("e")]);
  writeFileSync(path, Buffer.concat([Buffer.from(`d8:announce${announce.length}:${announce}4:info`), info, Buffer.from("e")]));
  const allowed = `${path}.allowed`;
  writeFileSync(allowed, `${createHash("sha1").update(info).digest("hex")}\n`);
  return allowed;
}
