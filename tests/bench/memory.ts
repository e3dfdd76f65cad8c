// What stays in the memory of the compiled ft-tracker after strangers, clients that never read, and an endless line.
// Run by hand: bun tests/bench/memory.ts [strangers]. Linux only: memory is read from /proc. Exit 1 when it grows by 5 MB.

import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { files, Guests } from "../helpers/guests.ts";
import type { Raw } from "../helpers/raw.ts";
import { memory } from "./load.ts";

/** Strangers in each round. */
const STRANGERS = Number(process.argv[2] ?? 1500);
/** What may stay. Bytes. */
const GROWTH = 5 * 1024 * 1024;
/** What ten clients that never read may take while they are there: ten times 1 MiB, and the answers that are next. Bytes. */
const CROWD = 160 * 1024 * 1024;
/** Memory that is not used any more is swept within this time. Milliseconds. */
const SWEEP_MS = 12_000;
/** Nothing listens on it. */
const CLOSED = 1;

const CHUNK = Buffer.alloc(64 * 1024, "x");
const RUBBISH: (string | Uint8Array)[] = [
  "GET /index.html HTTP/1.1\r\nHost: tracker.local:1234\r\n\r\n",
  "SSH-2.0-OpenSSH_9.9\r\n",
  "*1\r\n$4\r\nPING\r\n",
  new Uint8Array(64),
  Buffer.concat([Buffer.from("SEARCH: "), Buffer.alloc(9, 0xfe), Buffer.from("\n")]),
  "HELLO FT/2 agent=x\nPI\0NG\n",
  `SEARCH: ${"x".repeat(9000)}`,
  `<${"x".repeat(9000)}`,
  `HELLO FT/2 agent=${"x".repeat(9000)}`,
  "HELLO tracker, how are you?\n",
];

function record(name: string): string {
  return `<${name},data,7,01/02/03,192.0.2.9,9>`;
}

async function open(...args: string[]): Promise<Guests> {
  return new Guests(...(await Guests.started("--max-per-address", "2000", ...args)));
}

async function join(tracker: Guests, ...names: string[]): Promise<Raw> {
  const guest = await tracker.connect();
  guest.send(`HELLO FT/2 agent=bench\n${files(CLOSED, ...names.map(record))}`);
  await guest.line();
  if (!(await guest.reply()).startsWith("WELCOME ")) throw new Error("the tracker did not accept a peer");
  return guest;
}

/**
 * Bytes that stay when something is done once more. Unused memory is swept now and then, so what counts is the least that is held
 * while it is done; if it was not swept by then, what is held after a rest.
 */
async function growthOf({ program }: Guests, act: () => Promise<unknown>): Promise<number> {
  const leastWhile = async (): Promise<number> => {
    let least = memory(program.pid);
    const timer = setInterval(() => {
      least = Math.min(least, memory(program.pid));
    }, 10);
    await act();
    clearInterval(timer);
    return Math.min(least, memory(program.pid));
  };
  // The first rounds warm the tracker up.
  for (let i = 0; i < 2; i++) await act();
  const before = await leastWhile();
  let growth = (await leastWhile()) - before;
  for (const until = performance.now() + SWEEP_MS; growth >= GROWTH && performance.now() < until; await Bun.sleep(50))
    growth = memory(program.pid) - before;
  return growth;
}

async function strangers(tracker: Guests): Promise<void> {
  for (let from = 0; from < STRANGERS; from += 20) {
    const some = Array.from({ length: 20 }, async (_, place) => {
      const i = from + place;
      const stranger = await tracker.connect();
      stranger.send(RUBBISH[i % RUBBISH.length] ?? "");
      if (i % 3 === 0) stranger.send(CHUNK);
      if (i % 7 !== 0) await stranger.rest();
      stranger.close();
    });
    await Promise.all(some);
  }
}

/** Two crowds of ten that ask for half a megabyte a hundred times and read none of it. Gives the most memory in use. */
async function deaf(tracker: Guests): Promise<number> {
  let most = 0;
  for (let round = 0; round < 2; round++) {
    const crowd = await Promise.all(Array.from({ length: 10 }, () => join(tracker, "report.pdf")));
    for (const guest of crowd) {
      guest.socket.pause();
      guest.send("LIST limit=2000\n".repeat(100));
    }
    for (const _ of crowd) await tracker.program.waitFor(/"event":"left".*does not read.*\n/);
    most = Math.max(most, memory(tracker.program.pid));
    for (const guest of crowd) guest.close();
  }
  return most;
}

/** 32 MB of one line; the tracker closes the connection at its limit. */
async function endlessLine(tracker: Guests): Promise<void> {
  const guest = await tracker.connect();
  guest.send("HELLO FT/2 agent=");
  await pipeline(Readable.from(Array.from({ length: 512 }, () => CHUNK)), guest.socket).catch(() => undefined);
}

function say(what: string, growth: number): void {
  console.log(`${what}: ${(growth / 1e6).toFixed(1)} MB more than before, ${(GROWTH / 1e6).toFixed(1)} MB allowed`);
  if (growth >= GROWTH) process.exitCode = 1;
}

{
  await using tracker = await open();
  await join(tracker, "notes.txt");
  say(`${STRANGERS} strangers a round`, await growthOf(tracker, () => strangers(tracker)));
}
{
  await using tracker = await open();
  say("an endless line of 32 MB", await growthOf(tracker, () => endlessLine(tracker)));
}
{
  await using tracker = await open("--max-files", "2000");
  await join(tracker, ...Array.from({ length: 2000 }, (_, i) => `${"n".repeat(200)}${i}`));
  const idle = memory(tracker.program.pid);
  let most = 0;
  const growth = await growthOf(tracker, async () => {
    most = Math.max(most, await deaf(tracker));
  });
  say("ten clients that never read", growth);
  console.log(`  while they are there ${((most - idle) / 1e6).toFixed(1)} MB, ${(CROWD / 1e6).toFixed(1)} MB allowed`);
  if (most - idle > CROWD) process.exitCode = 1;
}
