// Processes on a LAN of network namespaces that announce trackers, look for them, or send packets by hand.

import { expect } from "bun:test";
import { join } from "node:path";
import type { Announced, Found } from "../../lib/peer/locate/look.ts";
import { type Host, Lan } from "./lan.ts";
import { type Program, Stage } from "./programs.ts";

/** Longer than any test runs: a search that waits to its end is noticed by the test's timeout. */
const PATIENCE_MS = 600_000;
/** How long it takes to be sure that nothing comes. */
export const NOTHING_MS = 1_200;

const LIB = join(import.meta.dir, "..", "..", "lib");
const ANNOUNCE = JSON.stringify(join(LIB, "tracker", "system", "announce.ts"));
const LOOK = JSON.stringify(join(LIB, "peer", "locate", "look.ts"));

export { ANNOUNCE, LOOK, PATIENCE_MS };

/** The only tracker that was found. */
export function one(found: Found): Announced {
  const [first] = found.trackers;
  if (first === undefined || found.trackers.length !== 1) throw new Error(`not one tracker: ${JSON.stringify(found)}`);
  return first;
}

/** The processes of one test and the LAN they run on. */
export class DiscoveryLan implements AsyncDisposable {
  readonly lan = new Lan();
  readonly stage = new Stage();

  script(host: Host, text: string): Program {
    return this.stage.run(...host.command(process.execPath, "-e", text), { cwd: import.meta.dir });
  }

  /** A tracker's announcement, as soon as it stands on these links. It prints whenever something about it changes. */
  async announce(
    host: Host,
    options: { name?: string; host?: string; port?: number } = {},
    on: string[] = [],
  ): Promise<Program> {
    const program = this.script(
      host,
      `const { announce } = await import(${ANNOUNCE});
       const it = announce(${JSON.stringify({ name: "lab", port: 1234, version: "1.2.3", host: "::", ...options })});
       let last = "";
       const look = setInterval(() => {
         const now = JSON.stringify({ names: it.names(), on: it.announcedOn(), problems: it.problems() });
         if (now !== last) console.log((last = now));
       }, 10);
       process.once("SIGTERM", async () => {
         clearInterval(look);
         await it.stop();
         console.log("stopped");
       });`,
    );
    const all = on.map((link) => `(?=[^\\n]*"${link.replace(/[()]/g, "\\$&")}")`).join("");
    if (all !== "") await program.waitFor(new RegExp(`"on":${all}`));
    return program;
  }

  /** What is found from a host, how long it took, and how many sockets of discovery are still open when it resolves. */
  async find(host: Host, patienceMs = PATIENCE_MS, abortMs?: number): Promise<Found & { ms: number; open: number }> {
    const program = this.script(
      host,
      `const { findTrackers } = await import(${LOOK});
       const { readFileSync } = await import("node:fs");
       const abort = new AbortController();
       ${abortMs === undefined ? "" : `setTimeout(() => abort.abort(), ${abortMs});`}
       const from = performance.now();
       const found = await findTrackers({ patienceMs: ${patienceMs}, signal: abort.signal });
       const ms = performance.now() - from;
       const sockets = ["udp", "udp6"].map((file) => readFileSync("/proc/self/net/" + file, "utf8").split("\\n")).flat();
       console.log(JSON.stringify({ ...found, ms, open: sockets.filter((line) => line.includes(":14E9 ")).length }));`,
    );
    expect([await program.exited, program.err]).toEqual([0, ""]);
    return JSON.parse(program.out);
  }

  /** Looks again and again until this is found: a busy machine may answer later than a search waits for further answers. */
  async findUntil(host: Host, holds: (found: Found) => boolean): Promise<Found & { ms: number; open: number }> {
    for (;;) {
      const found = await this.find(host);
      if (holds(found)) return found;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage.close();
    this.lan.close();
  }
}

/** For scripts: a socket in the group, and packets by hand (RFC 1035, section 4). */
const BY_HAND = `
  const { createSocket } = await import("node:dgram");
  const GROUP = "224.0.0.251", SERVICE = "_filetracker._tcp.local";
  const two = (n) => [n >> 8 & 255, n & 255];
  const name = (text, last = [0]) =>
    [...text.split(".").flatMap((label) => { const bytes = [...Buffer.from(label)]; return [bytes.length, ...bytes]; }), ...last];
  const record = (of, type, data, ttl = 120) => [...of, ...two(type), 0, 1, 0, 0, ...two(ttl), ...two(data.length), ...data];
  const packet = (flags, questions, answers) =>
    Buffer.from([0, 0, ...two(flags), ...two(questions.length), ...two(answers.length), 0, 0, 0, 0, ...questions.flat(), ...answers.flat()]);
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  const own = Object.values(require("os").networkInterfaces()).flat().find((one) => one.address.startsWith("10.")).address;
  const send = (bytes) => socket.send(bytes, 5353, GROUP);
  await new Promise((resolve) => socket.bind(5353, "0.0.0.0", resolve));
  socket.addMembership(GROUP, own);
  socket.setMulticastInterface(own);
`;

/** Says when it hears a pointer to a tracker that lives no longer, and one to a second tracker of the same name. */
export const LISTENER = `${BY_HAND}
  const pointer = Buffer.from([...name(SERVICE), 0, 12, 0, 1, 0, 0, 0, 0]);
  socket.on("message", (bytes) => {
    if (bytes[2] & 128 && bytes.includes(pointer)) console.log("heard goodbye");
    if (bytes[2] & 128 && bytes.includes("lab (2)")) console.log("heard a second");
  });
  console.log("ready");
`;

/** Sends what no tracker would. */
export const LIAR = `${BY_HAND}
  const tracker = (label, port, address, id) => {
    const full = name(label + "." + SERVICE), host = name(label.slice(0, 9) + "-host.local");
    const txt = ("id=" + id), bytes = [txt.length, ...Buffer.from(txt)];
    return [
      record(name(SERVICE), 12, full),
      record(full, 33, [0, 0, 0, 0, ...two(port), ...host]),
      record(full, 16, bytes),
      ...address.map((one) => one.length === 4 ? record(host, 1, one) : record(host, 28, one)),
    ];
  };
  const answer = (...records) => packet(0x8400, [], records.flat());
  const loop = [12, ...Buffer.from("x"), 0xc0, 12];
  const lies = [
    Buffer.alloc(0), Buffer.alloc(11), Buffer.alloc(12), Buffer.alloc(1400, 255), Buffer.alloc(1400, 0xc0),
    Buffer.from([0, 0, 0x84, 0, 255, 255, 255, 255, 255, 255, 255, 255]),
    packet(0x8400, [], [loop, loop]),
    answer(tracker("zero", 0, [], "z")),
    answer(tracker("trap", 4000, [[127, 0, 0, 1], [224, 0, 0, 1], [0, 0, 0, 0], [...Array(15).fill(0), 1], [10, 1, 0, 1]], "t")),
    answer(tracker("w".repeat(63), 4001, [], "w")),
    answer(tracker("\\x1b[2J\\x07", 4002, [], "e")),
    answer([record(name(SERVICE), 12, name("half." + SERVICE))], [record(name("other." + SERVICE), 33, [0])]),
    answer([record(name(SERVICE), 12, name("__proto__." + SERVICE)), record(name("__proto__." + SERVICE), 16, [11, ...Buffer.from("__proto__=1")])]),
    Buffer.concat([answer(tracker("cut", 4003, [], "c")).subarray(0, -20)]),
    Buffer.concat([packet(0x8400, [], []), Buffer.alloc(60_000)]),
    Buffer.concat([answer(tracker("huge", 4005, [], "h")), Buffer.alloc(10_000)]),
    packet(0, Array(200).fill([...name(SERVICE), 0, 12, 0, 1]), []),
    packet(0, [[0, 0, 255, 0, 255]], []),
  ];
  const valid = answer(tracker("flip", 4004, [], "f"));
  let count = 0;
  const stray = createSocket({ type: "udp4" });
  await new Promise((resolve) => stray.bind(0, own, resolve));
  const turn = () => {
    stray.send(answer(tracker("astray", 4006, [], "a")), 5353, GROUP);
    for (const lie of lies) send(lie);
    const flipped = Buffer.from(valid);
    flipped[count % flipped.length] ^= 1 << count % 8;
    send(flipped);
    if (count > 20) send(answer(tracker("many" + count, 5000, [], "m" + count)));
    count += 1;
  };
  turn();
  setInterval(turn, 5);
  console.log("ready");
`;

/** Asks a thousand times, and says how often it is answered within how many seconds. */
export const ASKER = `${BY_HAND}
  let answers = 0;
  socket.on("message", (bytes, { address }) => { if (address !== own && bytes[2] & 128) answers += 1; });
  const question = [...name(SERVICE), 0, 12, 0, 1];
  const from = performance.now();
  for (let i = 0; i < 100; i++) {
    for (let k = 0; k < 10; k++) send(packet(0, Array(20).fill(question), []));
    await Bun.sleep(5);
  }
  await Bun.sleep(300);
  console.log("answers: " + answers + " in " + Math.ceil((performance.now() - from) / 1000) + " s");
  process.exit();
`;

/** Asks as a plain DNS program does, and for an answer to itself alone; says what comes to each of its two sockets. */
export const LONE_ASKER = `${BY_HAND}
  const question = (last) => [...name(SERVICE), 0, 12, last, 1];
  const said = (how, bytes) => console.log(how + ": id " + bytes.readUInt16BE(0) + ", questions " + bytes.readUInt16BE(4) +
    ", lab " + bytes.includes("lab") + ", key " + bytes.includes("version=1.2.3"));
  const plain = createSocket({ type: "udp4" });
  plain.on("message", (bytes, { port }) => said("plain from " + port, bytes));
  await new Promise((resolve) => plain.bind(0, own, resolve));
  plain.setMulticastInterface(own);
  const asked = packet(0, [question(0)], []);
  asked.writeUInt16BE(4242, 0);
  plain.send(asked, 5353, GROUP);
  // It hears no multicast: what comes is for it alone.
  const alone = createSocket({ type: "udp4", reuseAddr: true });
  alone.on("message", (bytes, { address }) => address !== own && said("alone", bytes));
  socket.close();
  await new Promise((resolve) => alone.bind(5353, own, resolve));
  alone.setMulticastInterface(own);
  alone.send(packet(0, [question(128)], []), 5353, GROUP);
`;

/** Asks where the tracker "lab" is, as programs do that have found it: twice, and says what the tracker does then. */
export const RESOLVER = `${BY_HAND}
  const full = name("lab." + SERVICE);
  const ask = () => send(packet(0, [[...full, 0, 33, 0, 1]], []));
  let answers = 0;
  socket.on("message", (bytes, { address }) => {
    if (address === own) return;
    if (bytes.includes("lab (2)")) console.log("renamed");
    // An announcement has more than this one record.
    if ((bytes[2] & 128) === 0 || bytes.readUInt16BE(6) !== 1 || !bytes.includes(Buffer.from([...full, 0, 33]))) return;
    console.log("answer " + ++answers);
    // By then the tracker has heard its own first answer.
    if (answers === 1) setTimeout(ask, 100);
  });
  ask();
`;

/** Says of every name of a tracker that somebody asks for that it is its own. */
export const CLAIMER = `${BY_HAND}
  socket.on("message", (bytes, { address }) => {
    if (address === own || bytes[2] & 128) return;
    let end = 12;
    while (bytes[end] !== 0) end += bytes[end] + 1;
    const asked = [...bytes.subarray(12, end + 1)];
    if (bytes[end + 2] !== 255) return;
    send(packet(0x8400, [], [record(asked, 33, [0, 0, 0, 0, 1, 1, ...name("claimer.local")])]));
  });
  console.log("ready");
`;

/** A bus and the system's DNS-SD in a folder of their own; lists the trackers, runs what is given, and takes both away. */
export const AVAHI = `
  mount -t tmpfs none /run && mkdir -p /run/dbus /run/avahi-daemon && chown avahi /run/avahi-daemon
  dbus-daemon --system --fork --print-pid > /run/dbus.pid
  printf '[server]\\nuse-ipv4=yes\\nuse-ipv6=yes\\n' > /run/avahi.conf
  avahi-daemon -D --no-rlimits -f /run/avahi.conf
  avahi-browse -rpt _filetracker._tcp
  "$@"
  avahi-daemon -k
  kill $(cat /run/dbus.pid)
`;

/** Why there can be no test of discovery on a LAN; undefined if there can. The reason is printed. */
export const impossible = said("discovery on LANs of several kinds", Lan.possible());

/** The same of firewalls. */
export const unfiltered = said("discovery behind firewalls", Lan.firewalls());

function said(what: string, reason: string | undefined): string | undefined {
  if (reason !== undefined) console.log(`Not tried, ${what}: ${reason}.`);
  return reason;
}
