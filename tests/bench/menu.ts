// A peer in its menu while ten downloaders take a file from it at full speed: how long a key waits for its answer on the screen.
// Run by hand: bun tests/bench/menu.ts, after a build.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { PEER, Stage } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

const DOWNLOADS = 10;
const SIZE = 400_000_000;
const KEYS = 60;

if (process.argv[2] !== undefined) {
  await downloadAll(Number(process.argv[2]), process.argv[3] ?? "");
  process.exit();
}

const stage = new Stage();
let screen: Screen | undefined;
try {
  const { program, port, address } = await stage.tracker("--json");
  const folder = stage.folder();
  writeFileSync(join(folder, "film.mkv"), Buffer.alloc(SIZE, "film"));
  screen = new Screen([PEER, address, "--share", "film.mkv", "--port", "0", "--name", "Bench"], {
    cwd: folder,
    env: { XDG_CACHE_HOME: folder, XDG_STATE_HOME: folder },
  });
  await screen.waitFor(/\^X leave/);
  screen.press(KEY.escape);
  await screen.waitFor("Menu");
  const [, serving] = await program.waitFor(/"event":"joined".*?"port":(\d+)/);

  const session = await Raw.connect(port);
  session.send("HELLO FT/2 agent=bench\nFILES 1 port=9\n<a.txt,text/plain,1,01/01/26,127.0.0.1,9>\n");
  await session.line();
  const pass = /pass=(\S+)/.exec(await session.line())?.[1];

  // In a process of their own, so that reading the screen does not wait for the downloaders.
  const downloaders = Bun.spawn([process.execPath, import.meta.path, serving ?? "", pass ?? ""], { stdout: "pipe" });

  const waits: number[] = [];
  for (let i = 0; i < KEYS && downloaders.exitCode === null; i++) {
    const wanted = i % 2 === 0 ? /● Who/ : /● Back/;
    const from = performance.now();
    screen.press(i % 2 === 0 ? KEY.down : KEY.up);
    await screen.waitFor(wanted);
    waits.push(performance.now() - from);
  }
  waits.sort((a, b) => a - b);
  const at = (part: number) => (waits[Math.min(waits.length - 1, Math.floor(waits.length * part))] ?? 0).toFixed(1);
  console.log(`${waits.length} keys while downloads ran; ${(await new Response(downloaders.stdout).text()).trim()}`);
  console.log(`from key to screen: median ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`);
} finally {
  screen?.kill();
  await stage.close();
}

/** Ten downloads at once, thrown away. */
async function downloadAll(port: number, pass: string): Promise<void> {
  let received = 0;
  const started = performance.now();
  const one = () =>
    new Promise<void>((done) => {
      Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          open: (socket) => {
            socket.write(`HELLO FT/2 pass=${pass}\nDOWNLOAD name=film.mkv\nBYE\n`);
          },
          data: (_, chunk) => {
            received += chunk.length;
          },
          close: () => done(),
        },
      });
    });
  await Promise.all(Array.from({ length: DOWNLOADS }, one));
  const seconds = (performance.now() - started) / 1000;
  console.log(`${DOWNLOADS} downloads of ${SIZE / 1e6} MB: ${(received / 1e9).toFixed(1)} GB in ${seconds.toFixed(1)} s`);
}
