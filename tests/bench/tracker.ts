// The tracker under load: searches against redis GET, a crowd that is idle, a restart that everybody comes back from, and floods.
//
//     bun tests/bench/tracker.ts [speed|crowd|return|flood|all [rounds [PATH]]]     PATH: another tracker than the one in dist.
//
// Linux only: memory and processor time are read from /proc. `speed` needs Debian's `redis-server`.

import { freePort } from "../helpers/programs.ts";
import {
  type Ask,
  cpuSeconds,
  type Delays,
  descriptorLimit,
  Generator,
  memory,
  nameOf,
  type Opened,
  type Return,
  settled,
  stolenSeconds,
} from "./load.ts";
import { median, Scene, TRACKER } from "./scene.ts";

const part = process.argv[2] ?? "all";
const rounds = Number(process.argv[3] ?? 7);
const binary = process.argv[4] ?? TRACKER;

const CONNECTIONS = 50;
const SECONDS = 1;
const PACED_ROUNDS = 16;
const CROWD = 20_000;
const RETURNING = 10_000;
const RECORDS = 5;
/** Descriptors that the tracker keeps for itself, and a few for the clients that ask. */
const DESCRIPTORS_KEPT = 128 + 72;
const LIFTED = ["--rate", "1000000", "--burst", "1000000", "--max-per-address", "1000000"];
const SOURCES = Array.from({ length: 200 }, (_, i) => i + 10);

const scene = new Scene();
const generators: Generator[] = [];
try {
  if (part === "all" || part === "speed") await speed();
  if (part === "all" || part === "crowd") await crowd();
  if (part === "all" || part === "return") await comeBack();
  if (part === "all" || part === "flood") await flood();
} finally {
  await Promise.all(generators.map((generator) => generator.stop()));
  await scene.close();
}

type Child = ReturnType<Scene["start"]>;

async function startTracker(port: number, ...options: string[]): Promise<{ child: Child; port: number }> {
  const at = ["--port", String(port), "--host", "127.0.0.1", "--no-announce", "--json"];
  const child = scene.start([binary, ...at, ...options], scene.folder);
  const [, taken = ""] = await scene.line(child, /"port":(\d+)/);
  return { child, port: Number(taken) };
}

function generator(): Generator {
  const started = Generator.start();
  generators.push(started);
  return started;
}

/** Exact SEARCH against GET of an answer of the same size: in turns, from one generator, over the same number of connections. */
async function speed(): Promise<void> {
  // Short turns, and many: what else the machine does meanwhile falls on both sides.
  const turns = 2 * rounds + 1;
  const load = generator();
  const { child, port } = await startTracker(0, ...LIFTED);
  const peers = { hosts: ["127.0.0.1"], port, count: CONNECTIONS };
  const { set } = await load.call("open", { ...peers, peer: { records: RECORDS, first: 0, port: 0, reach: true } });
  const search: Ask = { kind: "search", names: CONNECTIONS * RECORDS };

  const redis = await startRedis();
  const key = nameOf(1);
  // A record and its FOUND line, in redis's frame.
  const value = "x".repeat((await load.call("size", set, search)) - "$170\r\n\r\n".length);
  await redis.set(key, value);
  const clients = await load.call("open", { hosts: ["127.0.0.1"], port: redis.port, count: CONNECTIONS });
  const get: Ask = { kind: "text", text: `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n` };

  const sides = [
    { name: "ft-tracker SEARCH", set, ask: search, child },
    { name: "redis GET", set: clients.set, ask: get, child: redis.child },
  ];
  for (const pipeline of [1, 16]) {
    const rates: number[][] = [[], []];
    const costs: number[][] = [[], []];
    const busy: number[][] = [[], []];
    const shares: number[][] = [[], []];
    // The first round warms up.
    for (let round = 0; round <= turns; round++) {
      for (const [i, side] of sides.entries()) {
        const from = cpuSeconds(side.child.pid);
        const rate = await load.call("closed", side.set, side.ask, pipeline, SECONDS);
        if (round === 0) continue;
        rates[i]?.push(rate.perSecond);
        busy[i]?.push(rate.busy);
        const each = (cpuSeconds(side.child.pid) - from) / rate.all;
        costs[i]?.push(each * 1e6);
        shares[i]?.push(each * rate.perSecond);
      }
    }
    console.log(
      `${CONNECTIONS} connections, ${pipeline === 1 ? "one request at a time" : `${pipeline} pipelined`}, ${turns} rounds:`,
    );
    for (const [i, { name }] of sides.entries()) {
      const [rate, cost, own, its] = [rates, costs, shares, busy].map((all) => median(all[i] ?? []));
      console.log(
        `  ${name.padEnd(18)} ${thousands(rate)} a second, ${(cost ?? 0).toFixed(2)} µs of processor each; ${percent(own)} busy, generator ${percent(its)}`,
      );
    }
    const ratios = (rates[0] ?? []).map((rate, round) => rate / (rates[1]?.[round] ?? 1));
    const cheaper = median(costs[1] ?? []) / median(costs[0] ?? []);
    console.log(
      `  ratio ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}), by processor time ${cheaper.toFixed(2)}; target ${pipeline === 1 ? 0.8 : 0.7}`,
    );
    if (pipeline > 1) continue;
    const delays: Timed[][] = [[], []];
    for (let round = 0; round < PACED_ROUNDS; round++) {
      for (const [i, { set, ask }] of sides.entries()) {
        const from = stolenSeconds();
        const delay = await load.call("paced", set, ask, median(rates[i] ?? []) / 2, SECONDS);
        delays[i]?.push({ ...delay, stolen: stolenSeconds() - from });
      }
    }
    for (const [i, { name }] of sides.entries())
      console.log(`  ${name.padEnd(18)} at half its rate: ${sayCalmest(delays[i] ?? [])}`);
  }
  await scene.stop(child);
  await scene.stop(redis.child);
}

/** Delays, and for how long the machine's host took a processor away meanwhile: nobody answers then. */
type Timed = Delays & { stolen: number };

function sayCalmest(rounds: Timed[]): string {
  const calmest = rounds.toSorted((a, b) => a.stolen - b.stolen).slice(0, Math.ceil(rounds.length / 2));
  const all = median(rounds.map(({ p99 }) => p99));
  const ms = (median(calmest.map(({ stolen }) => stolen)) * 1000).toFixed(0);
  return `${sayMedian(calmest)} in the calmer half of ${rounds.length} seconds (${ms} ms stolen by the host); p99 of all ${all.toFixed(1)} ms`;
}

async function startRedis(): Promise<{ child: Child; port: number; set(key: string, value: string): Promise<void> }> {
  const port = freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const child = scene.start(["redis-server", ...options], scene.folder);
  await scene.line(child, /Ready to accept connections/);
  const set = async (key: string, value: string) => {
    const { exitCode } = Bun.spawnSync(["redis-cli", "-p", String(port), "set", key, value]);
    if (exitCode !== 0) throw new Error("redis did not take the value.");
  };
  return { child, port, set };
}

/** A crowd of idle peers, limited by the descriptors: what each costs, how long joining takes, and whether searches notice. */
async function crowd(): Promise<void> {
  const count = Math.min(CROWD, descriptorLimit() - DESCRIPTORS_KEPT);
  for (const reach of ["refuses", "listens"] as const) {
    const { child, port } = await startTracker(0, ...LIFTED);
    const asking = generator();
    const halves = [generator(), generator()];
    const peer = { records: RECORDS, first: 1_000_000, port: reach === "refuses" ? 9 : 0, reach: false };
    const ten = await asking.call("open", {
      hosts: ["127.0.0.1"],
      port,
      count: 10,
      peer: { ...peer, first: 0, reach: true },
    });
    const ask: Ask = { kind: "search", names: 10 * RECORDS };
    await asking.call("closed", ten.set, ask, 1, 2);
    const before = await asking.call("paced", ten.set, ask, 2000, 5);
    await Bun.sleep(1000);
    const empty = memory(child.pid);
    const cpu = cpuSeconds(child.pid);
    const from = performance.now();
    const opened: Opened[] = await Promise.all(
      halves.map((half, i) =>
        half.call("open", {
          hosts: ["127.0.0.1"],
          port,
          // A host each, as on a LAN. The tracker keeps a tenth of its places for hosts without a connection.
          sources: Array.from({ length: Math.floor(count / 2) }, (_, j) => 256 + 2 * j + i),
          count: Math.floor(count / 2),
          peer: { ...peer, first: 1_000_000 * (i + 1) },
        }),
      ),
    );
    const joining = (performance.now() - from) / 1000;
    await settled(child.pid);
    // What is not used any more is given back a little later.
    await Bun.sleep(5000);
    const cost = cpuSeconds(child.pid) - cpu;
    const full = memory(child.pid);
    const after = await asking.call("paced", ten.set, ask, 2000, 5);
    const later = memory(child.pid);
    const online = opened.reduce((sum, { failed }) => sum - failed, 2 * Math.floor(count / 2));
    const each = (full - empty) / online;
    console.log(`${online} peers with ${RECORDS} records each, whose port ${reach}:`);
    console.log(
      `  all joined after ${joining.toFixed(1)} s; ${((cost * 1e6) / online).toFixed(0)} µs of processor a join with its try of the port`,
    );
    console.log(
      `  memory ${mb(empty)} → ${mb(full)} MB (${mb(later)} after searches): ${(each / 1024).toFixed(2)} KB a peer (target < 8)`,
    );
    console.log(`  2000 searches a second with 10 peers:  ${say(before)}`);
    console.log(`  and with the crowd:                    ${say(after)}`);
    const left = cpuSeconds(child.pid);
    await Bun.sleep(5000);
    console.log(`  idle it takes ${percent((cpuSeconds(child.pid) - left) / 5)} of a core`);
    await Promise.all([asking, ...halves].map((one) => one.stop()));
    const gone = performance.now();
    await settled(child.pid);
    console.log(
      `  all left at once: quiet again after ${((performance.now() - gone) / 1000).toFixed(1)} s, ${mb(memory(child.pid))} MB`,
    );
    await scene.stop(child);
  }
}

/** The tracker is killed and started again: when is everybody back, with a session's jitter? */
async function comeBack(): Promise<void> {
  const first = await startTracker(0, ...LIFTED);
  const halves = [generator(), generator()];
  const half = RETURNING / halves.length;
  const sets = await Promise.all(
    halves.map((one, i) =>
      one.call("open", {
        hosts: ["127.0.0.1"],
        port: first.port,
        sources: SOURCES,
        count: half,
        peer: { records: RECORDS, first: 1_000_000 * i, port: 9, reach: false, back: true },
      }),
    ),
  );
  await settled(first.child.pid);
  let running = first;
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    await scene.stop(running.child, signal);
    const restarted = performance.now();
    running = await startTracker(first.port, ...LIFTED);
    const started = (performance.now() - restarted) / 1000;
    const all = await Promise.all(halves.map((one, i) => one.call("returned", sets[i]?.set ?? 0, 60)));
    const sum = (pick: (one: Return) => number) => all.reduce((total, one) => total + pick(one), 0);
    const most = (pick: (one: Return) => number) => Math.max(...all.map(pick)).toFixed(2);
    console.log(
      `${sum(({ back }) => back)} of ${RETURNING} peers back after ${signal}; it listened again after ${started.toFixed(2)} s`,
    );
    console.log(
      `  from each one's first try: median ${most((one) => one.median)} s, p99 ${most((one) => one.p99)} s, longest ${most((one) => one.longest)} s (target < 10)`,
    );
    console.log(
      `  the last one ${most((one) => one.all)} s after the loss; ${(sum(({ tries }) => tries) / RETURNING).toFixed(2)} tries each`,
    );
    await settled(running.child.pid);
  }
  await Promise.all(halves.map((one) => one.stop()));
  await scene.stop(running.child);
}

/** One address does its worst, with the limits as they are by default; another one asks 200 times a second. */
async function flood(): Promise<void> {
  const { child, port } = await startTracker(0);
  const victim = generator();
  const attacker = generator();
  const { set } = await victim.call("open", {
    hosts: ["127.0.0.1"],
    port,
    sources: [5],
    count: 5,
    peer: { records: RECORDS, first: 0, port: 0, reach: true },
  });
  const ask: Ask = { kind: "search", names: 5 * RECORDS };
  await victim.call("paced", set, ask, 200, 2);
  const quiet = await victim.call("paced", set, ask, 200, 5);
  console.log(`200 searches a second, nothing else:      ${say(quiet)}`);
  for (const kind of ["endless line", "100,000 commands", "connects"] as const) {
    const [delays, done] = await Promise.all([
      victim.call("paced", set, ask, 200, 5),
      attacker.call("attack", kind, port, 6, 5.5),
    ]);
    const what = `${thousands(done.connections)} connections, ${mb(done.bytes)} MB`;
    console.log(`  under ${kind.padEnd(17)} (${what}): ${say(delays)} (target p99 < 100), memory ${mb(memory(child.pid))} MB`);
  }
  await Promise.all([victim.stop(), attacker.stop()]);
  await scene.stop(child);
}

function say({ p50, p99, longest }: Delays): string {
  return `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, longest ${longest.toFixed(1)} ms`;
}

/** Each number's median over several rounds. */
function sayMedian(all: Delays[]): string {
  const of = (pick: (one: Delays) => number) => median(all.map(pick));
  return say({
    answers: 0,
    perSecond: 0,
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    longest: of((one) => one.longest),
  });
}

function thousands(value = 0): string {
  return Math.round(value).toLocaleString("en");
}

function percent(share = 0): string {
  return `${(share * 100).toFixed(0)} %`;
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
