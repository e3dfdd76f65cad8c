// How long an ADD takes at a tracker at which 20,000 peers have four watches each. Run by hand: bun tests/bench/watches.ts

import { systemClock } from "../../lib/clock.ts";
import type { FileName } from "../../lib/protocol/record.ts";
import { Allowance } from "../../lib/rate.ts";
import { Catalog } from "../../lib/tracker/catalog.ts";
import { PUSHES_A_SECOND, Watches } from "../../lib/tracker/watches.ts";
import { Account } from "../../lib/tracker/work/hosts.ts";
import { addressOf } from "../helpers/channel.ts";

const PEERS = 20_000;
const WATCHES = 4;
const ADDS = 5_000;

const SYLLABLES = [
  "an",
  "be",
  "ci",
  "do",
  "ek",
  "fu",
  "ga",
  "hi",
  "jo",
  "ku",
  "la",
  "mi",
  "no",
  "pe",
  "ra",
  "si",
  "to",
  "ul",
  "ve",
  "wo",
];
let state = 1;
function random(below: number): number {
  state = (state * 48_271) % 2_147_483_647;
  return state % below;
}
const word = () => Array.from({ length: 2 + random(3) }, () => SYLLABLES[random(SYLLABLES.length)]).join("");

const watches = new Watches(systemClock, () => true);
const catalog = new Catalog();
const address = addressOf("10.0.0.1");
let pushes = 0;
for (let peer = 0; peer < PEERS; peer++) {
  const watcher = {
    id: `p${peer}`,
    seer: { address, via: address },
    pushes: new Allowance(PUSHES_A_SECOND, PUSHES_A_SECOND, systemClock),
    // Each is a host of its own.
    host: { comparing: new Account({ perSecond: 1_000_000, burst: 4_000_000 }) },
    reply: () => void pushes++,
  };
  for (let i = 0; i < WATCHES; i++) watches.add(watcher, { watch: `w${i}`, words: [word(), word()], group: true });
}
catalog.onRecord = (file) => watches.appeared(file);
const member = { id: "sharer", profile: 2 as const, address, agent: "bench", since: 0, port: 1 };
catalog.put(member, []);

/** The time that this process has had a processor: it does not count the waits on a busy computer. Milliseconds. */
function worked(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const times: number[] = [];
for (let add = 0; add < ADDS; add++) {
  const name = `${word()} ${word()} ${word()} ${add}.pdf` as FileName;
  const root = add.toString(16).padStart(64, "0");
  const record = { name, type: "application/pdf", size: add, date: "01/01/26", v2: true, root, address, port: 1 };
  const before = worked();
  catalog.add("sharer", record, ADDS);
  times.push(worked() - before);
}
times.sort((a, b) => a - b);
const at = (share: number) => `${(times[Math.floor(share * (times.length - 1))] ?? 0).toFixed(3)} ms`;
console.log(`ADD with ${PEERS * WATCHES} watches: median ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)}; ${pushes} pushes`);
process.exit(0);
