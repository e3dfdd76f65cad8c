// Far more rubbish than the suite has time for: seeded inputs for everything that reads strangers' bytes, and seeded streams on the live
// port of the compiled tracker, which is a process of its own. Run by hand; exit code 1 says that something did not hold, and what.
//
//     bun tests/bench/fuzz.ts [inputs [streams]]     FT_FUZZ_SEED: the same inputs and streams again.
//
// Linux only: memory and processor time are read from /proc, and clients that behave come from other loopback addresses.

import { readFileSync } from "node:fs";
import net from "node:net";
import { inputOf, joined, pick, piecesOf, type Random, randomOf, runTrial, TO_TRACKER, TRIALS } from "../helpers/fuzzing.ts";
import { type Program, Stage } from "../helpers/programs.ts";
import { Raw } from "../helpers/raw.ts";

const INPUTS = Number(process.argv[2] ?? 1_000_000);
const STREAMS = Number(process.argv[3] ?? 10_000);
const SEED = Number(process.env.FT_FUZZ_SEED ?? Date.now() % 2 ** 31);

/** Connections at once. */
const WIDTH = 64;
/** The tracker's options, with which clients that waste time are soon gone. */
const DEADLINE_S = 1;
/** A connection that has not ended so long after its time, or not answered, hangs; the machine may be busy. */
const SLACK_MS = 4_000;
/** What memory may have grown from the first half of the streams to the second. */
const GROWTH_KB = 5 * 1024;
const SETTLE_MS = 2_000;
/** With fewer streams it is still warming up in the end. */
const COMPARED = 5_000;

const failures: string[] = [];

function failed(what: string): void {
  failures.push(what);
  if (failures.length <= 10) console.log(`FAILED: ${what}`);
}

// ---------------------------------------------------------------- readers

function fuzzReaders(): void {
  const from = performance.now();
  let inputs = 0;
  for (const trial of TRIALS) {
    try {
      const { runs, said, refused } = runTrial(trial, SEED, INPUTS);
      inputs += runs;
      console.log(`  ${trial.what}: ${runs} inputs, ${said} messages, ${refused} refused`);
    } catch (error) {
      failed(error instanceof Error ? error.message : String(error));
    }
  }
  console.log(`  ${inputs} inputs in ${seconds(from)}; peak memory of this process ${mega(process.resourceUsage().maxRSS)}`);
}

// ---------------------------------------------------------------- the tracker

async function fuzzTracker(): Promise<void> {
  const stage = new Stage();
  try {
    // The rate is there, and high enough that thousands of requests in one piece have had their turn before they count as a hang.
    const limits = [
      "--accept-within",
      String(DEADLINE_S),
      "--stall",
      "1",
      "--rate",
      "10000",
      "--max-per-address",
      String(2 * WIDTH),
    ];
    const { program, port } = await stage.tracker("--json", "--name", "Fuzz", ...limits);
    const watch = new Watch(program, port);
    await watch.start();
    try {
      const from = performance.now();
      // Some go ahead, so that what is compared is not its warming up.
      const warm = Math.ceil(STREAMS / 5);
      const half = warm + Math.ceil((STREAMS - warm) / 2);
      const counts: Counts = { refusals: 0, joined: 0, answered: 0, slowest: 0 };
      await runStreams(port, 0, warm, counts);
      const first = await watch.memoryWhile(() => runStreams(port, warm, half, counts));
      const second = await watch.memoryWhile(() => runStreams(port, half, STREAMS, counts));
      console.log(`  ${STREAMS} streams in ${seconds(from)}, ${WIDTH} at once`);
      console.log(
        `  answered ${counts.answered}, with an error ${counts.refusals}, accepted as a peer to the end ${counts.joined}`,
      );
      console.log(
        `  a connection was closed ${(counts.slowest / 1000).toFixed(2)} s after it was made at the latest, or was a peer's`,
      );
      const say = ({ least, settled }: Memory) => `${mega(least)} at the least, ${mega(settled)} when it rests`;
      console.log(`  memory: first half ${say(first)}; second half ${say(second)}`);
      if (STREAMS < COMPARED) console.log(`  too few streams to compare memory: ${COMPARED} it should be`);
      else {
        const growth = Math.max(second.least - first.least, second.settled - first.settled);
        if (growth > GROWTH_KB) failed(`memory grew by ${mega(growth)} from the first half of the streams to the second`);
      }
      await watch.stop();
    } finally {
      watch.close();
    }
  } catch (error) {
    failed(error instanceof Error ? error.message : String(error));
  } finally {
    await stage.close();
  }
}

interface Memory {
  /** Kilobytes: the least while streams ran, and some time after the last of them. */
  least: number;
  settled: number;
}

/** Clients that behave, of both profiles, and what they see of the tracker. */
class Watch {
  readonly #program: Program;
  readonly #port: number;
  readonly #pid: number;
  #peer: Raw | undefined;
  #old: net.Server | undefined;
  #record = "";
  #oldLine = "";
  #delays: number[] = [];
  #over = false;
  #asking: Promise<void> = Promise.resolve();

  constructor(program: Program, port: number) {
    this.#program = program;
    this.#port = port;
    this.#pid = program.pid;
  }

  async start(): Promise<void> {
    const peer = await Raw.connect(this.#port, "127.0.0.1", "127.0.0.2");
    this.#peer = peer;
    peer.send("HELLO FT/2 agent=good\nFILES 1 port=1\n<good.txt,data,7,01/02/03,10.0.0.1,1;v=2>\n");
    await peer.line();
    this.#record = "FOUND: 1\n<good.txt,data,7,01/02/03,127.0.0.2,1;v=2>";
    if (!(await peer.reply()).startsWith("WELCOME ")) throw new Error("the good peer is not accepted");

    // A program of FT/1 holds no connection; the tracker tries its port from time to time.
    const server = net.createServer((socket) => socket.on("error", () => undefined).end());
    this.#old = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.3", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    await this.#sayBasic(`<old good.txt,data,7,01/02/03,10.0.0.1,${address.port}>`);
    this.#oldLine = `FOUND: <data,7,01/02/03,127.0.0.3,${address.port}>\n`;
    this.#asking = this.#ask(peer);
  }

  async #sayBasic(bytes: string): Promise<string> {
    const guest = await Raw.connect(this.#port, "127.0.0.1", "127.0.0.3");
    guest.send(bytes);
    guest.halfClose();
    const answer = (await guest.rest()).toString();
    guest.close();
    return answer;
  }

  /** Asks for as long as streams run: before the first, between all of them, and after the last. */
  async #ask(peer: Raw): Promise<void> {
    for (let i = 0; !this.#over; i += 1) {
      try {
        const from = performance.now();
        peer.send("SEARCH: good.txt\n");
        const answer = await peer.reply();
        this.#delays.push(performance.now() - from);
        if (answer !== this.#record) return failed(`the good peer is answered ${JSON.stringify(answer)}`);
        if (i % 20 === 0) {
          const old = await this.#sayBasic("SEARCH: old good.txt");
          if (old !== this.#oldLine) return failed(`the good FT/1 program is answered ${JSON.stringify(old)}`);
        }
      } catch (error) {
        return failed(`the good peer is not served any more: ${error instanceof Error ? error.message : error}`);
      }
      await Bun.sleep(40);
    }
  }

  async memoryWhile(act: () => Promise<void>): Promise<Memory> {
    const samples: number[] = [];
    const timer = setInterval(() => samples.push(this.#memory()), 20);
    await act();
    clearInterval(timer);
    const resting: number[] = [];
    for (const until = performance.now() + SETTLE_MS; performance.now() < until; await Bun.sleep(50))
      resting.push(this.#memory());
    return { least: Math.min(...samples), settled: Math.min(...resting) };
  }

  #memory(): number {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#pid}/status`, "utf8"))?.[1]);
  }

  /** Seconds of processor time that it has used. */
  #processorTime(): number {
    const fields = readFileSync(`/proc/${this.#pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** What the tracker says of itself. */
  async #status(): Promise<{ connections: number; peers: number; refused: Record<string, number> }> {
    this.#program.kill("SIGUSR1");
    const [line] = await this.#program.waitFor(/\{"event":"status".*\n/);
    return JSON.parse(line);
  }

  /** The same process is alive, has nothing left of the streams, does nothing, has said only what it should, and stops in order. */
  async stop(): Promise<void> {
    this.#over = true;
    await this.#asking;
    this.#delays.sort((a, b) => a - b);
    const at = (share: number) =>
      `${(this.#delays[Math.floor(share * (this.#delays.length - 1))] ?? Number.NaN).toFixed(1)} ms`;
    console.log(
      `  the good peer asked ${this.#delays.length} times: half within ${at(0.5)}, 99 % within ${at(0.99)}, all within ${at(1)}`,
    );

    let status = await this.#status();
    for (const until = performance.now() + SLACK_MS; status.connections > 1 && performance.now() < until; await Bun.sleep(50)) {
      status = await this.#status();
    }
    if (status.connections !== 1) failed(`${status.connections} connections are left, not the good peer's alone`);
    console.log(`  left: ${status.connections} connection, ${status.peers} peers; refused: ${JSON.stringify(status.refused)}`);

    const [used, from] = [this.#processorTime(), performance.now()];
    await Bun.sleep(1_000);
    const busy = (this.#processorTime() - used) / ((performance.now() - from) / 1000);
    console.log(`  at rest it uses ${(busy * 100).toFixed(0)} % of a core`);
    if (busy > 0.25) failed(`it uses ${(busy * 100).toFixed(0)} % of a core at rest`);

    this.#peer?.socket.on("end", () => this.#peer?.close());
    this.#program.kill("SIGTERM");
    const code = await this.#program.exited;
    if (code !== 0) failed(`it ended with exit code ${code}`);
    if (this.#program.pid !== this.#pid) failed("it was another process in the end");
    if (this.#program.err !== "") failed(`it said on standard error: ${JSON.stringify(this.#program.err.slice(0, 500))}`);
    if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/.test(this.#program.out)) failed("its log holds a control character");
    if (this.#program.objects().at(-1)?.event !== "stopped") failed("it did not say that it stopped");
  }

  close(): void {
    this.#over = true;
    this.#peer?.close();
    this.#old?.close();
  }
}

interface Counts {
  refusals: number;
  joined: number;
  answered: number;
  slowest: number;
}

/** Runs the streams from one number to another, several at a time. */
async function runStreams(port: number, from: number, until: number, counts: Counts): Promise<void> {
  let next = from;
  const worker = async () => {
    while (next < until) {
      const number = next++;
      try {
        await runStream(port, randomOf(Math.imul(SEED, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)), counts);
      } catch (error) {
        failed(`stream ${number}: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
}

const ENDINGS = ["half-close", "half-close", "reset", "close", "silence", "silence", "deaf"] as const;
const utf8 = new TextEncoder();

/** What is sent: sessions as they should be, damaged, cut, or nothing like one. */
function bytesOf(random: Random): Uint8Array {
  switch (random(8)) {
    case 0:
      return Uint8Array.from({ length: 1 + random(8192) }, () => random(256));
    case 1: {
      let session = pick(random, [TO_TRACKER[0] ?? "", "HELLO", ""]);
      for (let i = random(12); i > 0; i--) session += pick(random, TO_TRACKER);
      const bytes = utf8.encode(session);
      return bytes.subarray(0, random(bytes.length + 1));
    }
    case 2:
      return joined(utf8.encode(`${TO_TRACKER[0]}${TO_TRACKER[1]}`), inputOf(random, TO_TRACKER));
    default:
      return inputOf(random, TO_TRACKER);
  }
}

async function runStream(port: number, random: Random, counts: Counts): Promise<void> {
  const pieces = piecesOf(random, bytesOf(random));
  const ending = pick(random, ENDINGS);
  const guest = await Raw.connect(port);
  const from = performance.now();
  try {
    if (ending === "deaf") guest.socket.pause();
    for (const piece of pieces) {
      if (guest.ended) break;
      guest.send(piece);
      // Some pieces leave together, some one by one, and some so late that in FT/1 they are another message.
      const pause = random(12);
      if (pause === 0) await Bun.sleep(60);
      else if (pause < 6) await new Promise((go) => setImmediate(go));
    }
    switch (ending) {
      case "reset":
        guest.socket.resetAndDestroy();
        return;
      case "close":
        guest.close();
        return;
      case "half-close":
        guest.halfClose();
        break;
      case "deaf":
        await Bun.sleep(random(1_500));
        guest.socket.resume();
        break;
      default:
        ending satisfies "silence";
    }
    if (
      !(await endsBy(
        guest,
        from + DEADLINE_S * 1000 + SLACK_MS,
        ending !== "half-close" ? from + DEADLINE_S * 1000 + 700 : undefined,
      ))
    ) {
      throw new Error(`after ${ending} the connection hangs; it was answered ${shown(guest)}`);
    }
    counts.slowest = Math.max(counts.slowest, guest.ended ? performance.now() - from : 0);
    const answer = guest.waiting.toString("latin1");
    if (answer !== "") counts.answered += 1;
    if (/^ERROR /m.test(answer)) counts.refusals += 1;
    if (/[^\n\u0020-\u007e\u0080-\u00ff]/.test(answer)) throw new Error(`it is answered what is no text: ${shown(guest)}`);
    if (guest.ended) return;
    counts.joined += 1;
    guest.halfClose();
    if (!(await endsBy(guest, performance.now() + SLACK_MS)))
      throw new Error(`an accepted peer half-closes, and the tracker does not`);
  } finally {
    guest.close();
  }
}

/**
 * Whether the connection ends by then. From `asking` on, a client that is still here is asked for a sign of life: an accepted peer has
 * a right to stay, and answers PONG.
 */
async function endsBy(guest: Raw, until: number, asking?: number): Promise<boolean> {
  let askedAt = Number.POSITIVE_INFINITY;
  while (!guest.ended) {
    const now = performance.now();
    if (now > until) return false;
    if (asking !== undefined && now > asking && askedAt === Number.POSITIVE_INFINITY) {
      askedAt = guest.waiting.length;
      guest.send("\nPING\n");
    }
    if (guest.waiting.length > askedAt && guest.waiting.includes("PONG\n", askedAt)) return true;
    await Bun.sleep(10);
  }
  return true;
}

function shown(guest: Raw): string {
  return JSON.stringify(guest.waiting.toString("latin1").slice(0, 300));
}

function seconds(from: number): string {
  return `${((performance.now() - from) / 1000).toFixed(1)} s`;
}

function mega(kilobytes: number): string {
  return `${(kilobytes / 1024).toFixed(1)} MiB`;
}

console.log(`seed ${SEED}: ${INPUTS} inputs, ${STREAMS} streams`);
if (INPUTS > 0) fuzzReaders();
if (STREAMS > 0) await fuzzTracker();
console.log(
  failures.length === 0 ? "All of it held." : `${failures.length} things did not hold; FT_FUZZ_SEED=${SEED} brings them back.`,
);
process.exit(failures.length === 0 ? 0 : 1);
