// A lesson: a teacher hands a file out to thirty pupils on slow links, asks at random moments who has it, and collects two files of each. One
// pupil's program is killed and started again in the middle of each part. Run by hand as root: bun tests/bench/lesson.ts [pupils [MB [Mbit/s]]]

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Host, Lan, lineOf, makeFile, PEER, TRACKER } from "./lan.ts";

const PUPILS = Number(process.argv[2] ?? 30);
const SIZE = Number(process.argv[3] ?? 50) * 1_000_000;
const MEGABITS = Number(process.argv[4] ?? 20);
/** Each pupil's two files for the teacher. Bytes. */
const HOMEWORK = 20_000;
/** The pupil that is killed while the teacher collects, and the size of its two files: they take a while. Bytes. */
const LEAVING = 3;
const LARGE = 2_000_000;
const LOOKS = 10;
const NAME = "lesson.bin";

interface Having {
  name?: string;
  state: "all" | "part" | "none";
  percent?: number;
}

const sha = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const has = ({ folder }: Host) => existsSync(join(folder, "to", NAME));

const lan = new Lan();
try {
  const hub = lan.host();
  const teacher = lan.host(MEGABITS);
  const pupils = Array.from({ length: PUPILS }, () => lan.host(MEGABITS));
  const file = join(teacher.folder, NAME);
  makeFile(file, SIZE);
  const right = sha(file);
  for (const [i, { folder }] of pupils.entries()) {
    mkdirSync(join(folder, "to"));
    for (const one of ["a", "b"]) makeFile(join(folder, `homework-${one}-${i}.bin`), (i === LEAVING ? LARGE : HOMEWORK) + i);
  }
  writeFileSync(join(teacher.folder, "own.txt"), "own");
  await lan.startUntil(hub, /listening/, TRACKER);
  const start = async (i: number, isNew = true) => {
    const host = pupils[i] as Host;
    const own = ["a", "b"].map((one) => `homework-${one}-${i}.bin`);
    const words = ["share", ...own, "--accept", "Teacher", "--to", "to", "--json", "--name", `Pupil ${i}`];
    // The second time the content ids are known already.
    const ready = isNew ? /"event":"root"[\s\S]*"event":"root"/ : /"event":"joined"/;
    return (await lan.startUntil(host, ready, PEER, hub.address, ...words)).child;
  };

  // One copy on one link, to a computer that is no pupil.
  const { child: sharing } = await lan.startUntil(teacher, /"event":"root"/, PEER, hub.address, "share", NAME, "--json");
  const first = pupils[0] as Host;
  const one = await lan.timed(first, PEER, hub.address, "get", NAME, "--to", "to", "--share", "homework-a-0.bin", "--json");
  await lan.stop(sharing);
  rmSync(join(first.folder, "to", NAME));
  rmSync(join(first.folder, ".cache"), { recursive: true, force: true });
  console.log(`one copy of ${SIZE / 1e6} MB at ${MEGABITS} Mbit/s: ${one.toFixed(1)} s`);

  const children = await Promise.all(pupils.map((_, i) => start(i)));
  const from = performance.now();
  const sending = lan.start(teacher, PEER, hub.address, "send", NAME, "--to", "all", "--name", "Teacher", "--json");
  const ended = { at: 0 };
  void sending.exited.then(() => {
    ended.at = performance.now();
  });
  void new Response(sending.stderr).text();
  const told = lineOf(sending);

  /** Who has it, as the tracker says it, held against the disks before and after. Gives the number of wrong ones. */
  const look = async (): Promise<string> => {
    const before = pupils.map(has);
    const child = lan.start(hub, TRACKER, "holders", NAME, "--json");
    const { data } = JSON.parse(await new Response(child.stdout).text()) as { data?: { people: Having[] }[] };
    const after = pupils.map(has);
    const people = data?.[0]?.people ?? [];
    const counts = { all: 0, part: 0, none: 0 };
    let wrong = 0;
    for (const [i] of pupils.entries()) {
      const state = people.find(({ name }) => name === `Pupil ${i}`)?.state ?? "none";
      counts[state] += 1;
      // A peer tells the tracker when the file is at its place: between two looks at the disk it may be either.
      if (before[i] === after[i] && before[i] !== (state === "all")) wrong += 1;
    }
    return `${counts.all} have it, ${counts.part} fetching, ${counts.none} not yet: ${wrong} wrong`;
  };
  const killed = Math.floor(PUPILS / 2);
  const moments = Array.from({ length: LOOKS }, () => Math.random() * one * 1.4).sort((a, b) => a - b);
  let isKilled = false;
  for (const moment of moments) {
    if (!isKilled && moment > one / 3) {
      isKilled = true;
      await lan.stop(children[killed] as (typeof children)[number], "SIGKILL");
      console.log(`  killed pupil ${killed} after ${((performance.now() - from) / 1000).toFixed(1)} s`);
      children[killed] = await start(killed, false);
    }
    await Bun.sleep(Math.max(0, from + moment * 1000 - performance.now()));
    console.log(`  after ${((performance.now() - from) / 1000).toFixed(1)} s: ${await look()}`);
  }
  const [, people = ""] = await told(/"event":"sent"[^\n]*"done":true,"people":([^\n]*)/);
  const last = (performance.now() - from) / 1000;
  console.log(`all ${PUPILS} have it after ${last.toFixed(1)} s: ${(last / one).toFixed(2)} × one copy; ${await look()}`);
  if (people.split('"state":"has"').length - 1 !== PUPILS) console.log(`  but send says: ${people}`);
  for (const { folder } of pupils) if (sha(join(folder, "to", NAME)) !== right) throw new Error(`${folder} has a wrong file`);

  const collect = async (round: string) => {
    const at = performance.now();
    const child = lan.start(teacher, PEER, hub.address, "collect", "homework", "--to", "in", "--name", "Teacher", "--json");
    void new Response(child.stderr).text();
    const line = lineOf(child);
    if (round === "first") {
      await line(/"event":"collected"/);
      await lan.stop(children[LEAVING] as (typeof children)[number], "SIGKILL");
      children[LEAVING] = await start(LEAVING, false);
    }
    const [total] = await line(/"event":"total"[^\n]*/);
    const code = await child.exited;
    const seconds = (performance.now() - at) / 1000;
    const count = readdirSync(join(teacher.folder, "in"), { recursive: true }).filter((path) => String(path).endsWith(".bin"));
    console.log(`collect, ${round}: ${count.length} files in ${seconds.toFixed(1)} s, exit ${code}; ${total}`);
  };
  await collect("first");
  await collect("again");
} finally {
  await lan.close();
}
process.exit(0);
