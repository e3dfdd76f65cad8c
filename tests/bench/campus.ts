// Trackers that share one index by a real Redis: how soon a change is found elsewhere, what searches cost, how cuts heal, and how much of
// Redis it takes.
//
//     bun tests/bench/campus.ts [change|cost|cuts|kill|partition|growth|all [peers of each tracker]]
//
// Linux only. It needs Debian's `redis-server`; and for `partition` root, `iproute2` and `nftables`.

import { systemClock } from "../../lib/clock.ts";
import { dial } from "../../lib/net/dial.ts";
import { Session } from "../../lib/peer/online/session.ts";
import { isProven, SessionKey } from "../../lib/protocol/pass.ts";
import { Raw } from "../helpers/raw.ts";
import { RedisServer } from "../helpers/redis-server.ts";
import { type Ask, cpuSeconds, Generator, memory, nameOf, settled } from "./load.ts";
import { median, Scene, TRACKER } from "./scene.ts";

const part = process.argv[2] ?? "all";
const PEERS = Number(process.argv[3] ?? 5_000);
const RECORDS = 5;
const CHANGES = 400;
const LIFTED = ["--rate", "1000000", "--burst", "1000000", "--max-per-address", "1000000"];
/** The sources of each tracker's peers: a host each. */
const sources = (tracker: number) => Array.from({ length: PEERS }, (_, i) => 65_536 * (tracker + 1) + i + 1);

const scene = new Scene();
const generators: Generator[] = [];
const guests: Raw[] = [];

type Child = ReturnType<Scene["start"]>;
interface Hall {
  child: Child;
  port: number;
}

async function open(name: string, redis?: { readonly url: string }): Promise<Hall> {
  const at = ["--port", "0", "--host", "127.0.0.1", "--no-announce", "--json", "--name", name];
  const shared = redis === undefined ? [] : ["--group", "campus", "--redis", redis.url];
  const child = scene.start([TRACKER, ...at, ...shared, ...LIFTED], scene.folder);
  const [, port = ""] = await scene.line(child, /"port":(\d+)/);
  if (redis !== undefined) await scene.line(child, /"state":"connected"/);
  return { child, port: Number(port) };
}

/** Peers of a tracker that stay. */
async function crowd(hall: Hall, tracker: number, count = PEERS): Promise<Generator> {
  const generator = Generator.start();
  generators.push(generator);
  const peer = { records: RECORDS, first: 1_000_000 * tracker, port: 9, reach: false };
  const { failed } = await generator.call("open", {
    hosts: ["127.0.0.1"],
    port: hall.port,
    sources: sources(tracker),
    count,
    peer,
  });
  if (failed > 0) console.log(`  ${failed} peers did not join`);
  return generator;
}

/** A peer that asks. */
async function join(hall: Hall, name: string, port = 4_000): Promise<Raw> {
  const raw = await Raw.connect(hall.port);
  guests.push(raw);
  raw.send(`HELLO FT/2 agent=bench/1 extras=1\nFILES 1 port=${port}\n<${name},text/plain,1,01/02/26,10.0.0.1,${port};v=2>\n`);
  await raw.line();
  await raw.line();
  return raw;
}

async function find(raw: Raw, name: string): Promise<boolean> {
  raw.send(`SEARCH: ${name}\n`);
  return (await raw.reply()).startsWith("FOUND");
}

/** A hash of all records that a tracker knows. */
async function table(raw: Raw): Promise<string> {
  const lines: string[] = [];
  for (let offset = 0; ; offset += 2000) {
    raw.send(`LIST offset=${offset} limit=2000\n`);
    const page = (await raw.reply()).split("\n").slice(1);
    lines.push(...page);
    if (page.length < 2000) break;
  }
  return `${lines.length} ${Bun.hash(lines.sort().join("\n")).toString(36)}`;
}

/** Seconds until all tables are equal, and what they are then. */
async function untilEqual(raws: Raw[], most = 60, atLeast = 0): Promise<{ seconds: number; hash: string }> {
  const from = performance.now();
  for (;;) {
    const hashes = await Promise.all(raws.map(table));
    const seconds = (performance.now() - from) / 1000;
    const [hash = ""] = hashes;
    if (hashes.every((one) => one === hash) && Number.parseInt(hash, 10) >= atLeast) return { seconds, hash };
    if (seconds > most) return { seconds, hash: `NOT EQUAL: ${hashes.join(" · ")}` };
    await Bun.sleep(50);
  }
}

function quantile(all: number[], q: number): number {
  return all.toSorted((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * q))] ?? 0;
}

async function end(halls: Hall[], redis?: RedisServer): Promise<void> {
  for (const guest of guests.splice(0)) guest.close();
  await Promise.all(generators.splice(0).map((one) => one.stop()));
  for (const { child } of halls) await scene.stop(child, "SIGKILL").catch(() => undefined);
  await redis?.[Symbol.asyncDispose]();
}

/** How soon a record that one tracker's peer adds is found at another one. */
async function change(): Promise<void> {
  for (const count of [2, 3]) {
    const redis = await RedisServer.start();
    const halls: Hall[] = [];
    for (let i = 0; i < count; i++) halls.push(await open(`Hall ${i + 1}`, redis));
    const from = performance.now();
    await Promise.all(halls.map((hall, i) => crowd(hall, i)));
    const raws = await Promise.all(halls.map((hall, i) => join(hall, `own-${i}.txt`, 4_000 + i)));
    const { seconds, hash } = await untilEqual(raws, 120, count * PEERS * RECORDS);
    console.log(
      `${count} trackers × ${PEERS} peers × ${RECORDS} records: all joined and equal after ${((performance.now() - from) / 1000).toFixed(1)} s (${seconds.toFixed(1)} s after the last one; ${hash})`,
    );
    for (const { child } of halls) await settled(child.pid);
    const [first, ...others] = raws;
    if (first === undefined) return;
    const delays: number[] = [];
    for (let i = 0; i < CHANGES; i++) {
      const name = `change-${i}.txt`;
      first.send(`ADD <${name},text/plain,1,01/02/26,10.0.0.1,4000;v=2>\n`);
      const sent = performance.now();
      await Promise.all([
        first.reply(),
        ...others.map(async (other) => {
          while (!(await find(other, name))) await Bun.sleep(0);
          delays.push(performance.now() - sent);
        }),
      ]);
      first.send(`DROP ${name}\n`);
      await first.reply();
      await Bun.sleep(5);
    }
    const max = Math.max(...delays).toFixed(1);
    console.log(
      `  a change is found at the others: p50 ${quantile(delays, 0.5).toFixed(1)} ms, p99 ${quantile(delays, 0.99).toFixed(1)} ms, longest ${max} ms`,
    );
    const each = halls.map(({ child }) => memory(child.pid) / 1e6);
    console.log(
      `  memory of each tracker ${each.map((one) => one.toFixed(0)).join(", ")} MB; Redis ${redis.ask("INFO", "memory").match(/used_memory_human:(\S+)/)?.[1]}`,
    );
    await end(halls, redis);
  }
  const alone = await open("alone");
  const empty = memory(alone.child.pid);
  await Promise.all([crowd(alone, 0), crowd(alone, 1)]);
  await settled(alone.child.pid);
  console.log(
    `  one tracker with the ${2 * PEERS} peers, all its own: ${(memory(alone.child.pid) / 1e6).toFixed(0)} MB (${(empty / 1e6).toFixed(0)} MB empty)`,
  );
  await end([alone]);
}

/** Searches at a tracker that shares its index against one that has the same peers alone, in turns. */
async function cost(): Promise<void> {
  const redis = await RedisServer.start();
  const [one, two, alone] = [await open("one", redis), await open("two", redis), await open("alone")];
  const asking = Generator.start();
  generators.push(asking);
  const kinds: [string, Ask][] = [
    ["SEARCH", { kind: "text", text: `SEARCH: ${nameOf(1_000_007)}\n` }],
    ["FIND", { kind: "text", text: "FIND 1000007 offset=0 limit=5\n" }],
  ];
  const peer = { records: 1, first: 5_000_000, port: 9, reach: true };
  const set = async ({ port }: Hall) => (await asking.call("open", { hosts: ["127.0.0.1"], port, count: 20, peer })).set;
  // They come first: the tracker tries the ports of all others after theirs.
  const sides = [
    { hall: one, set: await set(one) },
    { hall: alone, set: await set(alone) },
  ];
  await Promise.all([crowd(one, 0), crowd(two, 1), crowd(alone, 0), crowd(alone, 1)]);
  for (const { child } of [one, two, alone]) await settled(child.pid);
  for (const [name, ask] of kinds) {
    const costs: number[][] = [[], []];
    for (let round = 0; round <= 7; round++) {
      for (const [i, side] of sides.entries()) {
        const from = cpuSeconds(side.hall.child.pid);
        const rate = await asking.call("closed", side.set, ask, name === "FIND" ? 1 : 16, 1);
        if (round > 0) costs[i]?.push(((cpuSeconds(side.hall.child.pid) - from) / rate.all) * 1e6);
      }
    }
    const [shared = 0, own = 0] = costs.map((all) => median(all));
    console.log(
      `${name}: ${shared.toFixed(2)} µs of processor with --redis, ${own.toFixed(2)} µs without; ratio ${(shared / own).toFixed(2)}`,
    );
  }
  await end([one, two, alone], redis);
}

/** Each fault of Redis: failed searches meanwhile, and how soon all tables are equal again. */
async function cuts(): Promise<void> {
  const redis = await RedisServer.start();
  const halls = [await open("Hall 1", redis), await open("Hall 2", redis)];
  const [one, two] = halls as [Hall, Hall];
  await Promise.all([crowd(one, 0), crowd(two, 1)]);
  const raws = [await join(one, "own-0.txt"), await join(two, "own-1.txt", 4_001)];
  const askers = [await join(one, "ask-0.txt", 4_002), await join(two, "ask-1.txt", 4_003)];
  await untilEqual(raws, 120, 2 * PEERS * RECORDS);
  const faults: [string, () => Promise<void>][] = [
    [
      "kill -9, 5 s",
      async () => {
        await redis.kill();
        await Bun.sleep(5_000);
        await redis.start();
      },
    ],
    ["CLIENT KILL", async () => void redis.ask("CLIENT", "KILL", "TYPE", "normal")],
    ["DEBUG SLEEP 20", () => redis.hang(20)],
    [
      "MISCONF, 20 s",
      async () => {
        await redis.fillDisk();
        await Bun.sleep(20_000);
        redis.ask("CONFIG", "SET", "stop-writes-on-bgsave-error", "no");
      },
    ],
    [
      "wrong password, 20 s",
      async () => {
        redis.ask("CONFIG", "SET", "requirepass", "other");
        redis.ask("-a", "other", "CLIENT", "KILL", "TYPE", "normal");
        await Bun.sleep(20_000);
        redis.ask("-a", "other", "CONFIG", "SET", "requirepass", "");
      },
    ],
    ["FLUSHALL", async () => void redis.ask("FLUSHALL")],
  ];
  let n = 0;
  for (const [what, fault] of faults) {
    let over = false;
    let [searches, failed] = [0, 0];
    const asking = askers.map(async (raw, i) => {
      while (!over) {
        if (!(await find(raw, nameOf(1_000_000 * (1 - i) + 17)))) failed += 1;
        searches += 1;
        await Bun.sleep(2);
      }
    });
    const during = join(one, `during-${n++}.txt`, 4_100 + n);
    await fault();
    await during;
    const { seconds, hash } = await untilEqual(raws, 60, 2 * PEERS * RECORDS + n);
    over = true;
    await Promise.all(asking);
    console.log(`  ${what.padEnd(22)} equal ${seconds.toFixed(1)} s later (${hash}); ${failed} of ${searches} searches failed`);
  }
  await end(halls, redis);
}

/** A tracker is killed: when are all records found again at the other one? The peers are sessions, as ft-peer has them. */
async function kill(): Promise<void> {
  const redis = await RedisServer.start();
  const [one, two] = [await open("Hall 1", redis), await open("Hall 2", redis)];
  const asker = await join(two, "own.txt");
  const joined: number[] = [];
  const tries: number[] = [];
  let away = 0;
  const sessions = Array.from({ length: PEERS }, (_, i) => {
    const sessionKey = new SessionKey();
    let first = true;
    return new Session({
      dial: (to, how) => {
        if (to.port === two.port) tries[i] ??= performance.now();
        return dial(to, { ...how, timeoutMs: 30_000 });
      },
      tracker: { address: "127.0.0.1", port: one.port },
      agent: "bench/1",
      port: 9,
      records: (own) =>
        Array.from({ length: RECORDS }, (_, j) => ({
          ...own,
          name: nameOf(i * RECORDS + j) as never,
          type: "application/pdf",
          size: 48_213,
          date: "22/11/26",
          v2: true,
        })),
      sessionKey,
      isProven,
      challenge: () => "challenge-challenge",
      report: ({ event }) => {
        if (event === "away") away += 1;
        if (event === "joined" && !first) joined.push(performance.now() - (tries[i] ?? 0));
        if (event === "joined") first = false;
      },
      clock: systemClock,
      random: Math.random,
    });
  });
  for (let i = 0; i < PEERS; i += 50) await Promise.all(sessions.slice(i, i + 50).map((session) => session.join()));
  await Bun.sleep(3_000);
  console.log(`${PEERS} sessions at one tracker, known at the other: ${(await table(asker)).split(" ")[0]} records`);
  const from = performance.now();
  await scene.stop(one.child, "SIGKILL");
  while (joined.length < PEERS && performance.now() - from < 60_000) await Bun.sleep(50);
  const all = (performance.now() - from) / 1000;
  await Bun.sleep(16_000);
  const records = Number.parseInt(await table(asker), 10);
  console.log(`  ${away} lost it, ${joined.length} joined the other one; the last ${all.toFixed(1)} s after the kill`);
  console.log(
    `  from each one's first try elsewhere: p50 ${(quantile(joined, 0.5) / 1000).toFixed(2)} s, p99 ${(quantile(joined, 0.99) / 1000).toFixed(2)} s, longest ${(Math.max(...joined) / 1000).toFixed(2)} s (target < 10)`,
  );
  console.log(`  16 s later ${records} records are found, of ${PEERS * RECORDS + 1}`);
  await Promise.all(sessions.map((session) => session.leave()));
  await end([two], redis);
}

/** Redis is on a host of its own, with a link to each of two trackers: one link is cut for a minute, then both for 20 seconds. */
async function partition(): Promise<void> {
  const space = `ftc${process.pid}`;
  const run = (...command: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(command);
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  };
  const links = [1, 2].map((n) => ({ far: `f${n}`, near: `${space}n${n}`.slice(-15), net: `10.78.${n}` }));
  run("ip", "netns", "add", space);
  for (const { far, near, net } of links) {
    run("ip", "link", "add", near, "type", "veth", "peer", "name", far, "netns", space);
    run("ip", "address", "add", `${net}.1/24`, "dev", near);
    run("ip", "link", "set", near, "up");
    run("ip", "-n", space, "address", "add", `${net}.2/24`, "dev", far);
    run("ip", "-n", space, "link", "set", far, "up");
  }
  /** Nothing comes through, and nobody is told of that. */
  const nft = (rule: string) => run("ip", "netns", "exec", space, "nft", ...rule.split(" "));
  const cut = (n: number) => nft(`add rule inet cut in iifname f${n} drop`);
  const mendAll = () => nft("flush chain inet cut in");
  try {
    nft("add table inet cut");
    nft("add chain inet cut in { type filter hook input priority 0 ; }");
    const child = scene.start(
      ["ip", "netns", "exec", space, "redis-server", "--save", "", "--protected-mode", "no", "--dir", scene.folder],
      scene.folder,
    );
    await scene.line(child, /Ready to accept connections/);
    const [one, two] = [await open("Hall 1", { url: "redis://10.78.1.2" }), await open("Hall 2", { url: "redis://10.78.2.2" })];
    await Promise.all([crowd(one, 0), crowd(two, 1)]);
    const leaving = Math.floor(PEERS / 10);
    const leavers = [await crowd(one, 3, leaving), await crowd(two, 4, leaving)];
    const raws = [await join(one, "own-0.txt"), await join(two, "own-1.txt", 4_001)];
    const askers = [await join(one, "ask-0.txt", 4_002), await join(two, "ask-1.txt", 4_003)];
    await untilEqual(raws, 120, 2 * (PEERS + leaving) * RECORDS);
    /** Asks while `act` goes on: each tracker for a file of its own peers, and for one of the other's. */
    const whileAsking = async (act: () => Promise<void>) => {
      let over = false;
      const counts = { own: 0, ownFailed: 0, others: 0, othersFailed: 0 };
      const asking = askers.map(async (raw, i) => {
        while (!over) {
          counts.own += 1;
          counts.others += 1;
          if (!(await find(raw, nameOf(1_000_000 * i + 17)))) counts.ownFailed += 1;
          if (!(await find(raw, nameOf(1_000_000 * (1 - i) + 17)))) counts.othersFailed += 1;
          await Bun.sleep(20);
        }
      });
      await act();
      over = true;
      await Promise.all(asking);
      return `${counts.ownFailed} of ${counts.own} searches for own files failed, ${counts.othersFailed} of ${counts.others} for the other's`;
    };
    const size = async (raw: Raw) => (await table(raw)).split(" ")[0];
    const during = await whileAsking(async () => {
      cut(2);
      await Bun.sleep(30_000);
      await Promise.all(leavers.map((generator) => generator.stop()));
      console.log(`  after 30 s: ${await size(raws[0] as Raw)} and ${await size(raws[1] as Raw)} records are known`);
      await Bun.sleep(30_000);
      console.log(`  after 60 s: ${await size(raws[0] as Raw)} and ${await size(raws[1] as Raw)} records are known`);
      mendAll();
    });
    const healed = await untilEqual(raws, 60, 2 * PEERS * RECORDS);
    console.log(
      `partition of 60 s, ${2 * leaving} peers leave meanwhile: equal ${healed.seconds.toFixed(1)} s after it (${healed.hash}; ${2 * PEERS * RECORDS + 4} are right); ${during}`,
    );
    const away = await whileAsking(async () => {
      cut(1);
      cut(2);
      await join(one, "during.txt", 4_004);
      await Bun.sleep(20_000);
      mendAll();
    });
    const again = await untilEqual(raws, 60, 2 * PEERS * RECORDS + 5);
    console.log(`both links cut for 20 s: equal ${again.seconds.toFixed(1)} s after it (${again.hash}); ${away}`);
    await end([one, two]);
  } finally {
    for (const { near } of links) Bun.spawnSync(["ip", "link", "del", near]);
    Bun.spawnSync(["ip", "netns", "del", space]);
  }
}

/** 1, 2 and 4 trackers: searches in all, and the load of Redis under a steady flow of changes. */
async function growth(): Promise<void> {
  for (const count of [1, 2, 4]) {
    const redis = await RedisServer.start();
    const halls: Hall[] = [];
    for (let i = 0; i < count; i++) halls.push(await open(`Hall ${i + 1}`, redis));
    const each = Math.floor(PEERS / count);
    await Promise.all(halls.map((hall, i) => crowd(hall, i, each)));
    const raws = await Promise.all(halls.map((hall, i) => join(hall, `own-${i}.txt`, 4_000 + i)));
    await untilEqual(raws, 120, count * each * RECORDS);
    for (const { child } of halls) await settled(child.pid);
    const askers = halls.map(() => Generator.start());
    generators.push(...askers);
    const peer = { records: 1, first: 5_000_000, port: 9, reach: true };
    const sets = await Promise.all(
      askers.map((one, i) => one.call("open", { hosts: ["127.0.0.1"], port: halls[i]?.port ?? 0, count: 20, peer })),
    );
    const ask: Ask = { kind: "text", text: `SEARCH: ${nameOf(17)}\n` };
    const rates = await Promise.all(askers.map((one, i) => one.call("closed", sets[i]?.set ?? 0, ask, 16, 3)));
    const searches = rates.reduce((sum, { perSecond }) => sum + perSecond, 0);
    const pid = Number(redis.ask("INFO", "server").match(/process_id:(\d+)/)?.[1]);
    const bytes = () =>
      Number(redis.ask("INFO", "stats").match(/total_net_input_bytes:(\d+)/)?.[1]) +
      Number(redis.ask("INFO", "stats").match(/total_net_output_bytes:(\d+)/)?.[1]);
    const idle = [cpuSeconds(pid), bytes()];
    await Bun.sleep(5_000);
    const quiet = [cpuSeconds(pid) - (idle[0] ?? 0), bytes() - (idle[1] ?? 0)];
    const before = [cpuSeconds(pid), bytes(), ...halls.map(({ child }) => cpuSeconds(child.pid))];
    // 200 changes a second in all, an ADD and a DROP in turns.
    const seconds = 5;
    for (let i = 0; i < 200 * seconds; i++) {
      const raw = raws[i % raws.length];
      const name = `change-${i % raws.length}.txt`;
      raw?.send(
        Math.floor(i / raws.length) % 2 === 0 ? `ADD <${name},text/plain,1,01/02/26,10.0.0.1,4000;v=2>\n` : `DROP ${name}\n`,
      );
      await raw?.reply();
      await Bun.sleep(4);
    }
    const after = [cpuSeconds(pid), bytes(), ...halls.map(({ child }) => cpuSeconds(child.pid))];
    const used = after.map((one, i) => one - (before[i] ?? 0));
    const changes = 200 * seconds;
    console.log(
      `${count} trackers, ${each} peers each: ${Math.round(searches).toLocaleString("en")} searches a second in all; Redis idle ${(((quiet[0] ?? 0) / 5) * 100).toFixed(1)} % of a core, ${((quiet[1] ?? 0) / 5 / 1000).toFixed(1)} kB/s; a change ${(((used[0] ?? 0) / changes) * 1e6).toFixed(0)} µs and ${((used[1] ?? 0) / changes).toFixed(0)} bytes of Redis, ${((used.slice(2).reduce((sum, one) => sum + one, 0) / changes) * 1e6).toFixed(0)} µs of all trackers`,
    );
    await end(halls, redis);
  }
}

try {
  if (part === "all" || part === "change") await change();
  if (part === "all" || part === "cost") await cost();
  if (part === "all" || part === "cuts") await cuts();
  if (part === "all" || part === "kill") await kill();
  if (part === "all" || part === "partition") await partition();
  if (part === "all" || part === "growth") await growth();
} finally {
  await end([]);
  await scene.close();
}
