// What faults cost: a fetcher killed fifty times, and three bad holders out of four (one lies, one trickles, one resets).
// Run by hand: bun tests/bench/faults.ts [MiB [rounds [kills]]].

import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Socket } from "bun";
import { sha256 } from "../../lib/peer/content/hash.ts";
import { blockLayer, pieceHash, pieceSizeOf } from "../../lib/peer/content/merkle.ts";
import { makeFile, median, PEER, Scene } from "./scene.ts";

const MIB = Number(process.argv[2] ?? 1024);
const ROUNDS = Number(process.argv[3] ?? 5);
const KILLS = Number(process.argv[4] ?? 50);
const SIZE = MIB * 1024 * 1024;

const scene = new Scene();

function shaOf(path: string): string {
  const hash = createHash("sha256");
  const fd = openSync(path, "r");
  const buffer = new Uint8Array(4 * 1024 * 1024);
  for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) hash.update(buffer.subarray(0, got));
  closeSync(fd);
  return hash.digest("hex");
}

function treeOf(bytes: Uint8Array): Uint8Array {
  const step = pieceSizeOf(bytes.length);
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    hashes.push(pieceHash(blockLayer(bytes.subarray(at, at + step), sha256), bytes.length, sha256));
  return Buffer.concat(hashes);
}

type Answer = (socket: Socket<{ text: string }>, offset: number, length: number) => void;

/** A holder that gives the right hashes and then does what it likes; it is online at the tracker as long as it runs. */
async function badHolder(
  trackerPort: number,
  root: string,
  tree: Uint8Array,
  answer: Answer,
): Promise<{ port: number; stop(): void }> {
  const listener = Bun.listen<{ text: string }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => {
        socket.data = { text: "" };
      },
      data: (socket, chunk) => {
        socket.data.text += chunk.toString("latin1");
        for (let end = socket.data.text.indexOf("\n"); end >= 0; end = socket.data.text.indexOf("\n")) {
          const line = socket.data.text.slice(0, end);
          socket.data.text = socket.data.text.slice(end + 1);
          const [, offset = "", length = ""] = /offset=(\d+) length=(\d+)/.exec(line) ?? [];
          if (line.startsWith("HELLO")) socket.write("HI FT/2\n");
          else if (line.startsWith("TREE")) socket.write(Buffer.concat([Buffer.from(`TREE: ${tree.length / 32}\n`), tree]));
          else if (line.startsWith("DOWNLOAD")) answer(socket, Number(offset), Number(length));
        }
      },
    },
  });
  const session = await Bun.connect({ hostname: "127.0.0.1", port: trackerPort, socket: { data: () => undefined } });
  session.write(
    `HELLO FT/2 agent=bench\nFILES 1 port=${listener.port}\n<big.bin,application/octet-stream,${SIZE},22/11/26,127.0.0.1,${listener.port};v=2;root=${root}>\n`,
  );
  return {
    port: listener.port,
    stop: () => {
      listener.stop(true);
      session.end();
    },
  };
}

try {
  const source = scene.place("source");
  const own = scene.place("own");
  const to = scene.place("to");
  writeFileSync(join(own, "mine.txt"), "a peer shares at least one file\n");
  const file = join(source, "big.bin");
  makeFile(file, SIZE);
  const right = shaOf(file);
  const address = await scene.tracker();
  const trackerPort = Number(address.split(":")[1]);
  const get = [PEER, address, "get", "big.bin", "--to", to, "--json"];

  // ------------------------------------------------ killed again and again
  {
    const holder = scene.start([PEER, address, "share", "--limit", "100MB", "--json"], source);
    const [, root = ""] = await scene.line(holder, /"root":"([0-9a-f]{64})"/);
    let killed = 0;
    let early = 0;
    for (; killed < KILLS && !existsSync(join(to, "big.bin")); killed++) {
      const fetcher = scene.start(get, own);
      await scene.line(fetcher, /"event":"(?:checking|progress)"/);
      await Bun.sleep(Math.random() * 250);
      await scene.stop(fetcher, "SIGKILL");
      early += readdirSync(to).filter((name) => !name.startsWith(".ft-")).length;
    }
    const last = scene.start(get, own);
    const done = await scene.line(last, /"event":"(done|error)"/);
    await last.exited;
    scene.forget(last);
    await Bun.sleep(1500); // The holder says what it sent when a connection was quiet for a second.
    let sent = 0;
    for (;;) {
      const found = await Promise.race([scene.line(holder, /"event":"upload-ended".*?"sent":(\d+)/), Bun.sleep(500)]);
      if (found === undefined) break;
      sent += Number(found[1]);
    }
    const ok = done[1] === "done" && shaOf(join(to, "big.bin")) === right;
    console.log(
      `killed ${killed} times: ${ok ? "right hash" : "WRONG"}; final name seen early ${early} times; root ${root.slice(0, 8)}`,
    );
    console.log(
      `  sent ${(sent / 1e6).toFixed(0)} MB for ${(SIZE / 1e6).toFixed(0)} MB: ${((sent - SIZE) / killed / 1e6).toFixed(2)} MB more a kill`,
    );
    rmSync(join(to, "big.bin"), { force: true });
    await scene.stop(holder);
  }

  // ------------------------------------------------ three bad holders and a good one
  const holder = scene.start([PEER, address, "share", "--json"], source);
  const [, root = ""] = await scene.line(holder, /"root":"([0-9a-f]{64})"/);
  const bytes = new Uint8Array(readFileSync(file));
  const tree = treeOf(bytes);
  const head = (length: number) => `FILE: length=${length} size=${SIZE}\n`;
  const alone: number[] = [];
  const among: number[] = [];
  const named: boolean[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(join(to, "big.bin"), { force: true });
    let from = performance.now();
    const first = scene.start(get, own);
    await first.exited;
    alone.push((performance.now() - from) / 1000);
    scene.forget(first);
    rmSync(join(to, "big.bin"), { force: true });

    const liar = await badHolder(trackerPort, root, tree, (socket, offset, length) => {
      const wrong = bytes.slice(offset, offset + length);
      wrong[Math.floor(length / 2)] = (wrong[Math.floor(length / 2)] ?? 0) ^ 1;
      socket.write(Buffer.concat([Buffer.from(head(length)), wrong]));
    });
    const trickler = await badHolder(trackerPort, root, tree, (socket, offset, length) => {
      socket.write(head(length));
      let at = offset;
      const timer = setInterval(() => {
        if (socket.write(bytes.subarray(at, at + 1)) < 1) clearInterval(timer);
        at += 1;
      }, 100);
    });
    const resetter = await badHolder(trackerPort, root, tree, (socket, offset, length) => {
      socket.write(head(length));
      socket.write(bytes.subarray(offset, offset + Math.floor(Math.random() * length)));
      socket.terminate();
    });
    from = performance.now();
    const second = scene.start(get, own);
    const lied = await scene.line(
      second,
      new RegExp(`"event":"(?:holder-failed","address":"127.0.0.1","port":${liar.port},"reason":"what it sent|done)`),
    );
    await second.exited;
    among.push((performance.now() - from) / 1000);
    scene.forget(second);
    named.push(lied[0].includes("what it sent"));
    if (shaOf(join(to, "big.bin")) !== right) throw new Error("the file is wrong");
    for (const bad of [liar, trickler, resetter]) bad.stop();
  }
  const [a, b] = [median(alone), median(among)];
  console.log(
    `the honest holder alone ${a.toFixed(2)} s; with a liar, a trickler and a resetter ${b.toFixed(2)} s: ${(b / a).toFixed(2)} x`,
  );
  console.log(`  right every time; the liar was named ${named.filter(Boolean).length} times of ${ROUNDS}`);
} finally {
  await scene.close();
}
