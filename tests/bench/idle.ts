// What an idle peer costs the tracker's memory, and how much of it any socket of the runtime costs.
//
//     bun tests/bench/idle.ts [PATH [COUNT …]]     PATH: another ft-tracker than the one in dist. COUNT: peers, 5000, 10000 and 19000 if none is given
//
// Linux only: memory is read from /proc. The peers come from addresses of their own, with names, files and greetings as people have them.

import { listen } from "../../lib/net/listen.ts";
import { descriptorLimit, Generator, memory, settled } from "./load.ts";
import { Scene, TRACKER } from "./scene.ts";

const DESCRIPTORS_KEPT = 200;
/** Peers that join and leave before the first look, so that the program has done everything once. */
const WARM = 300;
/** The time in which the program gives back what it does not use any more. Milliseconds. */
const REST_MS = 6_000;

const ROWS = {
  "a socket of Bun.listen": [process.execPath, import.meta.path, "serve", "bare"],
  "a channel of lib/net": [process.execPath, import.meta.path, "serve", "channel"],
  "a peer with 1 record": undefined,
  "a peer with 5 records": undefined,
};

/** Answers everything with WELCOME, and keeps nothing. */
function serve(kind: string): void {
  const port =
    kind === "channel"
      ? listen({
          port: 0,
          onConnection: (channel) => channel.start({ data: () => channel.send("WELCOME -\n") }),
        }).port
      : Bun.listen({
          hostname: "::",
          port: 0,
          allowHalfOpen: true,
          socket: { data: (socket) => void socket.write("WELCOME -\n") },
        }).port;
  console.log(JSON.stringify({ port }));
  setInterval(() => Bun.gc(true), 1000);
}

async function measure(scene: Scene, command: string[], records: number, counts: number[]): Promise<number[]> {
  const child = scene.start(command, scene.folder);
  const [, port = ""] = await scene.line(child, /"port":(\d+)/);
  const generators = [Generator.start(), Generator.start()];
  const open = (generator: Generator | undefined, first: number, count: number) =>
    generator?.call("open", {
      hosts: ["127.0.0.1"],
      port: Number(port),
      count,
      sources: Array.from({ length: count }, (_, i) => 256 + first + i),
      peer: { records, first, port: 9, reach: false, people: true },
    });
  const warm = Generator.start();
  await open(warm, 100_000, WARM);
  await warm.stop();
  await Bun.sleep(REST_MS);
  const empty = memory(child.pid);
  const costs: number[] = [];
  let online = 0;
  for (const count of counts) {
    const half = Math.floor((count - online) / 2);
    await Promise.all(generators.map((one, i) => open(one, online + i * half, half)));
    online += 2 * half;
    await settled(child.pid);
    await Bun.sleep(REST_MS);
    costs.push((memory(child.pid) - empty) / online);
  }
  await Promise.all(generators.map((one) => one.stop()));
  await scene.stop(child, "SIGKILL");
  return costs;
}

async function main([binary = TRACKER, ...given]: string[]): Promise<void> {
  const most = descriptorLimit() - DESCRIPTORS_KEPT;
  const counts = (given.length > 0 ? given.map(Number) : [5_000, 10_000, 19_000]).filter((count) => count <= most);
  const tracker = [binary, "--port", "0", "--no-announce", "--json"];
  console.log(`Bytes of resident memory each, at ${counts.join(", ")} of them:`);
  const scene = new Scene();
  try {
    for (const [what, command] of Object.entries(ROWS)) {
      const costs = await measure(scene, command ?? tracker, Number(/\d/.exec(what)?.[0] ?? 1), counts);
      console.log(`  ${what.padEnd(24)} ${costs.map((cost) => cost.toFixed(0).padStart(6)).join(" ")}`);
    }
  } finally {
    await scene.close();
  }
}

if (process.argv[2] === "serve") serve(process.argv[3] ?? "");
else await main(process.argv.slice(2));
