// A private room against an open tracker, on loopback: `ft-peer get` of one file in turns; what an idle peer costs the tracker; and how
// soon peers are back after the tracker was restarted. Run by hand: bun tests/bench/room.ts [MiB [rounds [peers]]].

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newCertificate } from "../../lib/net/certificate.ts";
import { roomSecret } from "../../lib/program/room-key.ts";
import { RoomGuest } from "../helpers/room.ts";
import { makeFile, median, PEER, Scene, TRACKER } from "./scene.ts";

const MIB = Number(process.argv[2] ?? 1024);
const ROUNDS = Number(process.argv[3] ?? 5);
const PEERS = Number(process.argv[4] ?? 1000);
/** The tracker gives memory back after this time. Milliseconds. */
const SETTLED_MS = 8000;
const KEY = "acid acorn acre acts afar affix";

function memoryOf(pid: number, what: "VmHWM" | "VmRSS"): number {
  return (Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024) / 1e6;
}

/** Seconds of a processor that a process has used. */
function cpuOf(pid: number): number {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
  const [user, system] = fields.split(" ").slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) / 100;
}

async function transfers(): Promise<void> {
  const scene = new Scene();
  try {
    const [source, own, target] = ["source", "own", "target"].map((name) => scene.place(name)) as [string, string, string];
    writeFileSync(join(own, "mine.txt"), "a peer shares at least one file\n");
    makeFile(join(source, "big.bin"), MIB * 1024 * 1024);
    const kinds = await Promise.all(
      [
        { name: "open", more: {} },
        { name: "room", more: { FT_ROOM: KEY } },
      ].map(async ({ name, more }) => {
        const env = { ...more, XDG_STATE_HOME: scene.place(`state-${name}`) };
        const address = await scene.tracker(env);
        const holder = scene.start([PEER, address, "share", "--port", "0", "--json"], source, env);
        await scene.line(holder, /"event":"root"/);
        return { name, env, address, holder, seconds: [] as number[], cpu: [] as number[], memory: 0 };
      }),
    );
    for (let round = 0; round <= ROUNDS; round++) {
      for (const kind of round % 2 === 0 ? kinds : kinds.toReversed()) {
        rmSync(join(target, "big.bin"), { force: true });
        // What the system has still to write to the disk would slow down the next one.
        Bun.spawnSync(["sync"]);
        const from = performance.now();
        const before = cpuOf(kind.holder.pid);
        const env = { ...process.env, XDG_CACHE_HOME: scene.cache, ...kind.env };
        const command = [PEER, kind.address, "get", "big.bin", "--to", target, "--json"];
        const child = Bun.spawn(command, { cwd: own, env, stdin: "ignore", stdout: "ignore", stderr: "inherit" });
        if ((await child.exited) !== 0) throw new Error(`get failed in the ${kind.name} kind`);
        if (round === 0) continue; // The first round warms the page cache.
        kind.seconds.push((performance.now() - from) / 1000);
        kind.cpu.push(Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6 + cpuOf(kind.holder.pid) - before);
        kind.memory = Math.max(kind.memory, (child.resourceUsage()?.maxRSS ?? 0) / 1e6);
      }
    }
    const medians = kinds.map(({ seconds }) => median(seconds));
    for (const [i, { name, memory, holder, cpu }] of kinds.entries()) {
      const peak = `fetcher ${memory.toFixed(0)} MB, holder ${memoryOf(holder.pid, "VmHWM").toFixed(0)} MB`;
      console.log(
        `${MIB} MiB, ${name}: ${medians[i]?.toFixed(2)} s, ${median(cpu).toFixed(2)} s of a processor; peak memory: ${peak}`,
      );
    }
    console.log(`  room against open: ${((medians[0] ?? 0) / (medians[1] ?? 1)).toFixed(2)} x`);
  } finally {
    await scene.close();
  }
}

/** Many members on few connections' worth of code: they keep the protocol, and come back by themselves. */
async function comingBack(): Promise<void> {
  const scene = new Scene();
  try {
    const env = { FT_ROOM: KEY, XDG_STATE_HOME: scene.place("state") };
    const command = (port: string) => [TRACKER, "--port", port, "--host", "127.0.0.1", "--json", "--max-per-address", "100000"];
    let tracker = scene.start(command("0"), scene.folder, env);
    const [, port = ""] = await scene.line(tracker, /"port":(\d+)/);
    const secret = roomSecret(KEY);
    const tls = newCertificate();
    const record = "<notes.txt,text/plain,1200,21/11/26,127.0.0.1,9;v=2>";
    const join = async () => {
      const guest = await RoomGuest.connect(Number(port), tls);
      if (!(await guest.prove(secret))) throw new Error("the key was not taken");
      guest.send(`HELLO FT/2 agent=bench/1\nFILES 1 port=9\n${record}\n`);
      await guest.line();
      if (!(await guest.line())?.startsWith("WELCOME")) throw new Error("there was no WELCOME");
      return guest;
    };
    const all = async (peers = PEERS) => {
      const from = performance.now();
      const guests: RoomGuest[] = [];
      for (let i = 0; i < peers; i += 50) guests.push(...(await Promise.all(Array.from({ length: 50 }, join))));
      return { guests, seconds: (performance.now() - from) / 1000 };
    };
    const quiet = async () => {
      await Bun.sleep(SETTLED_MS);
      return memoryOf(tracker.pid, "VmRSS");
    };
    // The first ones cost what the program needs once: code, and the memory in which the room's secret was computed.
    const few = await all(200);
    const before = await quiet();
    const first = await all();
    const each = (((await quiet()) - before) / PEERS) * 1000;
    console.log(`${PEERS} peers joined in ${first.seconds.toFixed(1)} s; an idle one costs the tracker ${each.toFixed(0)} kB`);
    await scene.stop(tracker, "SIGKILL");
    for (const { channel } of [...few.guests, ...first.guests]) channel.destroy();
    const from = performance.now();
    tracker = scene.start(command(port), scene.folder, env);
    await scene.line(tracker, /"port":(\d+)/);
    await all();
    console.log(`  after a restart all are back in ${((performance.now() - from) / 1000).toFixed(1)} s`);
  } finally {
    await scene.close();
  }
}

await transfers();
await comingBack();
