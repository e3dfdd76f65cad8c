// A private room against an open tracker, on loopback: `ft-peer get` of one file in turns; what an idle peer costs the tracker; how soon
// peers are back after the tracker was restarted; and what 10,000 guesses of the key from 10,000 addresses do to the room.
// Run by hand: bun tests/bench/room.ts [MiB [rounds [peers]]], or one part: bun tests/bench/room.ts guesses [GUESSES]. Linux only.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, newCertificate } from "../../lib/net/certificate.ts";
import { roomSecret } from "../../lib/program/room-key.ts";
import { RoomGuest } from "../helpers/room.ts";
import { tryKey } from "./guesses.ts";
import { makeFile, median, PEER, Scene, TRACKER } from "./scene.ts";

const onlyGuesses = process.argv[2] === "guesses";
const MIB = Number((onlyGuesses ? undefined : process.argv[2]) ?? 1024);
const ROUNDS = Number((onlyGuesses ? undefined : process.argv[3]) ?? 5);
const PEERS = Number(process.argv[4] ?? 1000);
const GUESSES = Number((onlyGuesses ? process.argv[3] : undefined) ?? 10_000);
/** Guesses that are made at the same time. */
const AT_ONCE = 200;
/** A member asks something once in this time. Milliseconds. */
const ASK_MS = 25;
/** A member joins anew once in this time, and so does a newcomer with the key. Milliseconds. */
const JOIN_MS = 500;
/** The members are measured without guesses for this time. Milliseconds. */
const ALONE_MS = 5000;
/** The tracker closes a connection that has not shown the key after this time, so a newcomer then comes again. Milliseconds. */
const NEWCOMER_MS = 10_000;
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
    const join = () => joined(Number(port), tls, secret);
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

const RECORD = "<notes.txt,text/plain,1200,21/11/26,127.0.0.1,9;v=2>";

/** Shows the key and shares a file. */
async function joined(port: number, tls: Certificate, secret: Uint8Array): Promise<RoomGuest> {
  const guest = await RoomGuest.connect(port, tls);
  if (!(await guest.prove(secret))) throw new Error("the key was not taken");
  guest.send(`HELLO FT/2 agent=bench/1\nFILES 1 port=9\n${RECORD}\n`);
  await guest.line();
  if (!(await guest.line())?.startsWith("WELCOME")) throw new Error("there was no WELCOME");
  return guest;
}

/** Does something at even intervals until it is stopped. Gives the milliseconds that each took. */
function again(every: number, act: (i: number) => Promise<unknown>): { stop(): Promise<number[]> } {
  const taken: number[] = [];
  const running = new Set<Promise<unknown>>();
  let i = 0;
  const timer = setInterval(() => {
    const from = performance.now();
    const one = act(i++).then(() => taken.push(performance.now() - from));
    running.add(one);
    void one.finally(() => running.delete(one));
  }, every);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
      return taken;
    },
  };
}

function spread(taken: number[]): string {
  const sorted = taken.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(1) ?? "–";
  return `${sorted.length} answered, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

/** Members ask and join while others guess the key. */
async function guessing(): Promise<void> {
  const scene = new Scene();
  try {
    const env = { FT_ROOM: KEY, XDG_STATE_HOME: scene.place("state") };
    const tracker = scene.start([TRACKER, "--port", "0", "--host", "127.0.0.1", "--json"], scene.folder, env);
    const [, text = ""] = await scene.line(tracker, /"port":(\d+)/);
    const port = Number(text);
    const [secret, tls] = [roomSecret(KEY), newCertificate()];
    const member = await joined(port, tls, secret);
    const askOnce = async () => {
      member.send("PING\n");
      let line = await member.line();
      while (line !== undefined && !line.startsWith("PONG")) line = await member.line();
      if (line === undefined) throw new Error("a member was put out");
    };
    // One after the other; each is measured from when it was due.
    let last = Promise.resolve();
    const ask = () => {
      last = last.then(askOnce);
      return last;
    };
    const rejoin = async () => {
      const guest = await joined(port, tls, secret);
      guest.send("BYE\n");
      await guest.until(() => guest.over);
      guest.channel.destroy();
    };
    const measure = () => {
      const asking = again(ASK_MS, ask);
      const joining = again(JOIN_MS, rejoin);
      return async (name: string) => {
        console.log(`${name}: a member's PING: ${spread(await asking.stop())}`);
        console.log(`  joins of a member: ${spread(await joining.stop())}`);
      };
    };
    const alone = measure();
    await Bun.sleep(ALONE_MS);
    await alone("without guesses");

    const before = cpuOf(tracker.pid);
    const script = join(import.meta.dir, "guesses.ts");
    const attack = ["nice", "-n", "5", process.execPath, script, String(port), String(GUESSES), String(AT_ONCE)];
    const attacker = scene.start(attack, scene.folder);
    await scene.line(attacker, /^begin$/m);
    const from = performance.now();
    const attacked = measure();
    const newcomers: Record<string, number> = {};
    const coming = again(JOIN_MS, async (i) => {
      const outcome = await tryKey(port, `127.200.${Math.floor(i / 256)}.${i % 256}`, tls, secret, NEWCOMER_MS);
      newcomers[outcome] = (newcomers[outcome] ?? 0) + 1;
    });
    const [outcomes] = await scene.line(attacker, /^\{.*\}$/m);
    const seconds = (performance.now() - from) / 1000;
    await attacked(`${GUESSES} guesses from as many addresses in ${seconds.toFixed(0)} s`);
    await coming.stop();
    const cpu = cpuOf(tracker.pid) - before;
    const status = Bun.spawnSync([TRACKER, "status", "--port", text, "--json"], { env: { ...process.env, ...env } });
    const { refused } = JSON.parse(status.stdout.toString()).data;
    console.log(`  keys that the tracker looked at: ${refused["wrong-key"]}; what the guesses met: ${outcomes}`);
    console.log(`  the tracker used ${cpu.toFixed(1)} s of a processor`);
    console.log(`  people with the key, each from a new address: ${JSON.stringify(newcomers)}`);
  } finally {
    await scene.close();
  }
}

if (!onlyGuesses) {
  await transfers();
  await comingBack();
}
await guessing();
