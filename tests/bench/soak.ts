// A tracker for minutes under peers that come, search and go in every way there is: its memory and descriptors must stay flat.
//
//     bun tests/bench/soak.ts [minutes [PATH]]     PATH: another tracker than the one in dist. Linux only. Exit 1 when it grows.

import { cpuSeconds, descriptors, Generator, memory, settled } from "./load.ts";
import { Scene, TRACKER } from "./scene.ts";

const minutes = Number(process.argv[2] ?? 10);
const binary = process.argv[3] ?? TRACKER;

const EVERY_S = 10;
/** Until the runtime has compiled what it compiles, and the heap has its size. */
const WARM_UP_S = 60;
const LANES = 200;
const NAMES = 5000;
/** A slope below this is the collector's noise. */
const MB_A_MINUTE = 1;

const scene = new Scene();
const generator = Generator.start();
try {
  const options = ["--port", "0", "--host", "127.0.0.1", "--no-announce", "--json", "--max-per-address", "1000000"];
  const child = scene.start([binary, ...options], scene.folder);
  const [, port = ""] = await scene.line(child, /"port":(\d+)/);
  await settled(child.pid);
  const before = { memory: memory(child.pid), descriptors: descriptors(child.pid) };
  console.log(
    `at rest: ${mb(before.memory)} MB, ${before.descriptors} descriptors; ${minutes} minutes of ${LANES} peers at once`,
  );

  const churned = generator.call(
    "churn",
    {
      hosts: ["127.0.0.1"],
      port: Number(port),
      sources: Array.from({ length: 50 }, (_, i) => i + 10),
      count: LANES,
      peer: { records: 5, first: 0, port: 9, reach: false },
    },
    NAMES,
    minutes * 60,
  );
  const samples: { minute: number; memory: number; descriptors: number }[] = [];
  const started = performance.now();
  const end = started + minutes * 60_000;
  let cpu = cpuSeconds(child.pid);
  while (performance.now() + EVERY_S * 1000 <= end + 500) {
    await Bun.sleep(EVERY_S * 1000);
    const sample = {
      minute: (performance.now() - started) / 60_000,
      memory: memory(child.pid),
      descriptors: descriptors(child.pid),
    };
    samples.push(sample);
    const now = cpuSeconds(child.pid);
    console.log(
      `${(sample.minute * 60).toFixed(0).padStart(5)} s  ${mb(sample.memory).padStart(6)} MB  ${String(sample.descriptors).padStart(4)} descriptors  ${(((now - cpu) / EVERY_S) * 100).toFixed(0).padStart(3)} % of a core`,
    );
    cpu = now;
  }
  const { joined, searches, failed } = await churned;
  await settled(child.pid);
  const after = descriptors(child.pid);
  console.log(`${joined} peers came and went, ${searches} searches, ${failed} could not join`);

  const late = samples.filter(({ minute }) => minute * 60 > WARM_UP_S);
  const { slope, error } = slopeOf(late.map(({ minute, memory }) => [minute, memory / 1e6]));
  // The collector's saw teeth make a short run say anything: only what is twice as far away as they reach counts.
  const verdict =
    after > before.descriptors + 2 || slope - 2 * error > MB_A_MINUTE
      ? "IT GROWS"
      : slope + 2 * error < MB_A_MINUTE
        ? "flat"
        : "cannot tell, run it for longer";
  console.log(
    `after the first minute ${slope.toFixed(2)} ± ${(2 * error).toFixed(2)} MB a minute; at rest ${before.descriptors} → ${after} descriptors, ${mb(before.memory)} → ${mb(memory(child.pid))} MB: ${verdict}`,
  );
  process.exitCode = verdict === "flat" ? 0 : 1;
} finally {
  await generator.stop();
  await scene.close();
}

/** Of a line through the points, by least squares, and its standard error. */
function slopeOf(points: [x: number, y: number][]): { slope: number; error: number } {
  if (points.length < 3) return { slope: 0, error: Number.POSITIVE_INFINITY };
  const mean = (pick: (point: [number, number]) => number) => points.reduce((sum, one) => sum + pick(one), 0) / points.length;
  const [x, y] = [mean(([x]) => x), mean(([, y]) => y)];
  const spread = points.reduce((sum, [px]) => sum + (px - x) ** 2, 0);
  const slope = points.reduce((sum, [px, py]) => sum + (px - x) * (py - y), 0) / spread;
  const rest = points.reduce((sum, [px, py]) => sum + (py - y - slope * (px - x)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (points.length - 2) / spread) };
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
