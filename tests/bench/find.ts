// The tracker's table with 100,000 records of 20,000 peers, then with ten times as many: what a query, a peer that comes or goes,
// and a record cost. Run by hand: bun tests/bench/find.ts [peers [rounds]]. With a number of peers it measures that one only.

import { heapStats } from "bun:jsc";
import { parseAddress } from "../../lib/protocol/address.ts";
import type { Wish } from "../../lib/protocol/messages.ts";
import { type FileRecord, parseFileName } from "../../lib/protocol/record.ts";
import { Catalog } from "../../lib/tracker/catalog.ts";
import type { Member } from "../../lib/tracker/shelf.ts";
import { toEnd } from "../helpers/finder.ts";

/** Each number of peers has a process of its own, so that the garbage of one is not in the times of the other. */
if (process.argv[2] === undefined) {
  for (const peers of ["20000", "200000"]) {
    const run = Bun.spawn([process.execPath, import.meta.path, peers], { stdio: ["ignore", "inherit", "inherit"] });
    if ((await run.exited) !== 0) process.exit(1);
  }
  process.exit(0);
}

const PEERS = Number(process.argv[2]);
const ROUNDS = Number(process.argv[3] ?? 200);
/** Searches of a kind before those that are timed. */
const WARM = 10;
const FILES = 5;
const POPULAR = 3000;

let seed = 1;

/** The same numbers in every run (mulberry32). */
function random(): number {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const below = (n: number) => Math.floor(random() * n);
/** Low numbers are common, as words in a language are. */
const zipf = (n: number) => Math.floor(n ** random()) - 1;

const SYLLABLES =
  "ba be bi bo ca ce co da de di do en er es fa fe in is ka la le li lo ma me mi na ne no or pa pe ra re ri ro sa se si ta te ti to un ve vi".split(
    " ",
  );
const KNOWN =
  "report final the project photo video holiday budget invoice summer backup meeting music live draft notes team plan release data".split(
    " ",
  );
const WORDS = Array.from(
  { length: 20_000 },
  (_, i) => KNOWN[i] ?? Array.from({ length: 2 + below(3) }, () => SYLLABLES[below(SYLLABLES.length)]).join(""),
);
const EXTENSIONS = "mp3 jpg pdf docx txt mp4 png zip xlsx mkv iso flac pptx epub csv".split(" ");
const SEPARATORS = [" ", "_", "-", ".", " - "];

function makeName(): string {
  const separator = SEPARATORS[zipf(SEPARATORS.length + 1)] ?? " ";
  const words = Array.from({ length: 2 + below(4) }, () => WORDS[zipf(WORDS.length)] ?? "");
  const kind = random();
  if (kind < 0.25) words.push(`${2010 + below(17)}`);
  else if (kind < 0.4) words.unshift(`${2010 + below(17)}${10 + below(3)}${10 + below(19)}`);
  else if (kind < 0.6) words.unshift(`${below(100)}`.padStart(2, "0"));
  else if (kind < 0.75) words.push(`${below(100_000)}`);
  if (random() < 0.3) words[0] = (words[0] ?? "").toUpperCase();
  if (random() < 0.02) words.push("結果報告", "отчёт");
  return `${words.join(separator)}.${EXTENSIONS[zipf(EXTENSIONS.length + 1)] ?? "txt"}`;
}

function makeRoot(): string {
  return Array.from({ length: 8 }, () =>
    below(2 ** 32)
      .toString(16)
      .padStart(8, "0"),
  ).join("");
}

interface File {
  name: string;
  type: string;
  size: number;
  root: string | undefined;
}

function makeFile(): File {
  return {
    name: makeName(),
    type: random() < 0.5 ? "audio/mpeg" : "application/pdf",
    size: below(1e9),
    root: random() < 0.9 ? makeRoot() : undefined,
  };
}

const popular = Array.from({ length: POPULAR }, makeFile);

const flat = (text: string) => Buffer.from(text).toString();

function makeRecord(): FileRecord {
  const file = random() < 0.4 ? (popular[zipf(POPULAR)] ?? makeFile()) : makeFile();
  const time = new Date(1.3e12 + below(4.5e8) * 1000).toISOString();
  const date = `${time.slice(8, 10)}/${time.slice(5, 7)}/${time.slice(2, 4)}`;
  // As they come from the network: flat strings, none shared.
  const name = parseFileName(flat(file.name));
  const { type, size } = file;
  const record: FileRecord = { name, type, size, date, address, port: 1235, v2: true, mtime: flat(time) };
  if (file.root !== undefined) record.root = flat(file.root);
  return record;
}

const address = parseAddress("192.168.1.7") ?? fail("The address is none.");
const seer = { address, via: address, extras: true };

function fail(words: string): never {
  throw new Error(words);
}

function memberOf(peer: number): Member {
  const from = parseAddress(`10.${peer >> 16}.${(peer >> 8) & 255}.${peer & 255}`) ?? address;
  return { id: `peer-${peer}`, profile: 2, address: from, agent: "ft-peer", since: 1.7e12, port: 1235 };
}

function spread(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  const shown = [at(0.5), at(0.99), at(1)].map((ms) => (ms < 1 ? `${(ms * 1000).toFixed(1)} µs` : `${ms.toFixed(2)} ms`));
  return `p50 ${shown[0]}  p99 ${shown[1]}  max ${shown[2]}`;
}

/** What lives on the heap, and what the process takes; in bytes. */
function memory(): [heap: number, resident: number] {
  for (let i = 0; i < 3; i++) Bun.gc(true);
  const { heapSize } = heapStats();
  return [heapSize, process.memoryUsage().rss];
}

function memoryLine(): string {
  const [heap, resident] = memory();
  const each = (bytes: number) => (bytes / PEERS / FILES).toFixed(0);
  return `${each(heap - before[0])} bytes a record live, ${each(resident - before[1])} resident`;
}

const catalog = new Catalog();
const building: number[] = [];
const names: string[] = [];
const before = memory();
for (let peer = 0; peer < PEERS; peer++) {
  const member = memberOf(peer);
  const records = Array.from({ length: FILES }, makeRecord);
  names.push(flat(records[0]?.name ?? ""));
  const start = performance.now();
  catalog.put(member, records);
  building.push(performance.now() - start);
}
const sum = building.reduce((all, one) => all + one, 0) / 1000;
console.log(`${catalog.files} records, ${catalog.contents} contents`);
console.log(`build: ${sum.toFixed(2)} s; a peer's ${FILES} records ${spread(building)}`);
console.log(`memory: ${memoryLine()}`);

const page = { offset: 0, limit: 100, group: true };
const rare = () => (names[below(PEERS)]?.split(/[ _.-]+/)[0] ?? "x").toLowerCase();
type Make = () => Partial<Wish>;
/** One to three words, wildcards, and the rest; with the time below which 99 of 100 searches are to be answered. */
const kinds: [title: string, targetMs: number | undefined, Record<string, Make>][] = [
  [
    "words",
    PEERS * FILES > 100_000 ? 40 : 10,
    {
      "rare word": () => ({ words: [rare()] }),
      "common word (report, the, video)": () => ({ words: [KNOWN[below(6)] ?? ""] }),
      "two words": () => ({ words: [KNOWN[below(20)] ?? "", KNOWN[below(20)] ?? ""] }),
      "three words": () => ({ words: ["2024", KNOWN[below(6)] ?? "", "mp3"] }),
      ...each(["mp3", ".mp3", "2024", "20", "e"]),
      "one letter": () => ({ words: [String.fromCharCode(97 + below(26))] }),
      "two letters": () => ({ words: [SYLLABLES[below(SYLLABLES.length)] ?? ""] }),
      "e and a": () => ({ words: ["e", "a"] }),
      "1 and 2 and 0": () => ({ words: ["1", "2", "0"] }),
      absent: () => ({ words: ["zzqxj"] }),
      "report -mp3": () => ({ words: ["report", "-mp3"] }),
      ...each(["the.mp3", "a.mp3", "1.mp3", "20.pdf", "final_report", "e_r", "e.m", "the_"]),
    },
  ],
  [
    "wildcards",
    PEERS * FILES > 100_000 ? 300 : 30,
    each(["*.pdf", "report*", "re*rt", "re?ort", "20?4", "a*e", "a*e*i", "s?a*e", "*the*.mp3", "a*.pdf", "*e", "?e"]),
  ],
  [
    "other",
    PEERS * FILES > 100_000 ? 300 : undefined,
    {
      "only ext=pdf": () => ({ words: [], ext: ["pdf"] }),
      "only after=2024": () => ({ words: [], after: "2024-01-01" }),
      "only min=500 MB": () => ({ words: [], min: 500_000_000 }),
      "only type=audio/ after=2024": () => ({ words: [], type: "audio/", after: "2024-01-01" }),
      "e, not grouped": () => ({ words: ["e"], group: false }),
      "e, offset 15,000": () => ({ words: ["e"], offset: 15_000 }),
      "e, offset 300,000": () => ({ words: ["e"], offset: 300_000 }),
    },
  ],
];

function each(words: string[]): Record<string, Make> {
  return Object.fromEntries(words.map((word): [string, Make] => [word, () => ({ words: [word] })]));
}

for (const [kind, target, makers] of kinds) {
  console.log(`${kind}${target === undefined ? "" : `: target p99 < ${target} ms`}`);
  for (const [title, make] of Object.entries(makers)) {
    const times: number[] = [];
    let found = 0;
    for (let round = 0; round < ROUNDS + WARM; round++) {
      const wish = { ...page, words: [], ...make() };
      const start = performance.now();
      found = toEnd(catalog.find(wish, seer)).total;
      if (round >= WARM) times.push(performance.now() - start);
    }
    console.log(`  ${title.padEnd(34)} ${spread(times)}  (${found})`);
  }
}

const leaving: number[] = [];
const coming: number[] = [];
for (let round = 0; round < Math.min(PEERS, 50_000); round++) {
  const peer = below(PEERS);
  const member = memberOf(peer);
  const records = Array.from({ length: FILES }, makeRecord);
  const start = performance.now();
  catalog.leave(member.id);
  const middle = performance.now();
  catalog.put(member, records);
  coming.push(performance.now() - middle);
  leaving.push(middle - start);
}
console.log("a peer's records in or out: target p99 < 200 µs");
console.log(`  a peer leaves  ${spread(leaving)}`);
console.log(`  a peer comes   ${spread(coming)}`);
console.log(`memory after churn: ${memoryLine()}; ${toEnd(catalog.find({ ...page, words: [] }, seer)).total} contents`);
