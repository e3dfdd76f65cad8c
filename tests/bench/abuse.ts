// One address does its worst; what does everybody else notice? Linux and root (network namespaces), `ip`, `tc`, `nft`.
//
//     bun tests/bench/abuse.ts [DIST] [CASE …]       DIST: another folder with ft-tracker and ft-peer, such as an older build
//
// Every case starts anew: a tracker, where it is needed a holder, an attacker and a bystander, each a process in a network namespace
// of its own with a link of its own. What is measured, for a few seconds without the attack and then for about six with it:
// - against a tracker: a bystander sends 40 requests a second (PING; in `join…` rows a new connection each time) and counts the
//   milliseconds from when each was due to its answer. Its target: 99 of 100 within 100 ms, none lost.
// - against a holder and against a downloader: the speed of `ft-peer get` of 30 MB on a link of 100 Mbit/s, start of the program
//   included. Its target: half the speed that it has alone. Beside it the bystander asks the tracker whether it knows the holder.
// - in every case: the lines a second that the attacked program writes to its log. The target: 10.
// The attacker is one process on a link of 1 Gbit/s, less important to the scheduler than the rest and with a pause after each piece,
// so that on two cores it is the attacked program that keeps the others waiting, and not the attacker. All of it is more important
// than the machine's other work. The exit code is 0 whenever it could measure.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { ATTACKS, Orders } from "./attacks.ts";
import { get } from "./attacks-web.ts";
import { dist, type Host, Lan, makeFile } from "./lan.ts";
import { Bystander, type Delays, now, PER_SECOND, Program } from "./watch.ts";

/** Seconds without the attack, and with it. */
const ALONE_S = 4;
const ATTACK_S = 6;
/** The attack comes to its full strength before a download begins beside it. Milliseconds. */
const WARM_MS = 1_500;
/** Pages a second that a bystander asks for. */
const PAGES_PER_SECOND = 4;
const TARGET_MS = 100;
const TARGET_SHARE = 0.5;
const TARGET_LINES = 10;
/** A download that takes longer than this is ended. Seconds. */
const GET_S = 12;
/** The same where a downloader has to find the honest one among invented holders. Seconds. */
const SEEK_S = 40;
const SIZE = 30_000_000;
/** 4096 pieces of 64 KiB: the most hashes that a layer has. */
const BIG_SIZE = 4096 * 65_536;
/** Links, megabits a second. */
const FAST = 1000;
const NARROW = 100;

const words = process.argv.slice(2);
const folder = words[0]?.includes("/") ? resolve(words.shift() ?? "") : dist;
const [TRACKER, PEER] = [join(folder, "ft-tracker"), join(folder, "ft-peer")];

// ---------------------------------------------------------------- one case's world

interface Setting {
  /** Further options of the tracker. */
  options?: string[];
  /** The attacker's link; megabits a second. */
  link?: number;
  /** The holder's link, else as fast as the machine is. */
  holderLink?: number;
  /** Nobody can connect to the holder. */
  firewall?: boolean;
  /** The holder shares a folder of this number of small files, too. */
  folder?: number;
}

type Name = keyof typeof ATTACKS;

interface Holder {
  host: Host;
  program: Program;
}

class World {
  readonly lan = new Lan();
  readonly hub = this.lan.host();
  readonly #bystanders = this.lan.host();
  readonly attacker: Host;
  readonly #setting: Setting;

  constructor(setting: Setting) {
    this.#setting = setting;
    this.attacker = this.lan.host(setting.link ?? FAST);
  }

  start(host: Host, ...command: string[]): Program {
    return new Program(this.lan.start(host, ...command));
  }

  /** Runs a command on a host to its end. */
  run(host: Host, ...command: string[]): void {
    const { exitCode, stderr } = Bun.spawnSync(host.command(...command));
    if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
  }

  async tracker(): Promise<Program> {
    const bans = join(this.hub.folder, "bans.txt");
    const options = ["--json", "--no-announce", "--bans", bans, ...(this.#setting.options ?? [])];
    const program = this.start(this.hub, TRACKER, ...options);
    await program.until(/listening/);
    return program;
  }

  /** A host with fifty addresses and peers on each of them, which fill the index. */
  async fill(peers: number, records: number): Promise<void> {
    const crowd = this.lan.host();
    for (let i = 1; i <= 50; i++) this.run(crowd, "ip", "addr", "add", `10.77.1.${i}/16`, "dev", "eth0");
    this.run(this.hub, "ip", "route", "add", "10.77.1.0/24", "dev", "eth0");
    await this.attack("fill", { peers, records, own: "10.77.1." }, crowd).begun;
  }

  attack(name: Name, orders: Partial<Orders> = {}, host = this.attacker): { program: Program; begun: Promise<unknown> } {
    const all = { tracker: this.hub.address, seconds: ATTACK_S, ...orders };
    const script = join(import.meta.dir, "attacks.ts");
    const program = this.start(host, "nice", "-n", "5", process.execPath, script, name, JSON.stringify(all));
    return { program, begun: program.until(/^begin$/m, 120) };
  }

  async bystander(...mode: string[]): Promise<Bystander> {
    const [kind = "ask", ...request] = mode;
    const script = join(import.meta.dir, "bystander.ts");
    // An address may ask for few pages a second, and needs one of its own for them.
    const [host, perSecond] = kind === "page" ? [this.lan.host(), PAGES_PER_SECOND] : [this.#bystanders, PER_SECOND];
    const command = [script, kind, this.hub.address, "1234", String(perSecond), ...request];
    const program = this.start(host, process.execPath, ...command);
    await program.until(/^ready$/m);
    return new Bystander(program, perSecond);
  }

  /** A host that shares two files. */
  async holder(): Promise<Holder> {
    const host = this.lan.host(this.#setting.holderLink);
    makeFile(join(host.folder, "big.bin"), BIG_SIZE);
    makeFile(join(host.folder, "some.bin"), SIZE);
    if (this.#setting.firewall) {
      this.run(host, "nft", "add table inet ft");
      this.run(host, "nft", "add chain inet ft input { type filter hook input priority 0; }");
      this.run(host, "nft", "add rule inet ft input tcp dport 1235 drop");
    }
    const { folder = 0 } = this.#setting;
    if (folder > 0) mkdirSync(join(host.folder, "many"));
    for (let i = 0; i < folder; i++) writeFileSync(join(host.folder, "many", `file ${i}.txt`), String(i));
    return { host, program: await this.share(host) };
  }

  async share(host: Host): Promise<Program> {
    const folder = this.#setting.folder === undefined ? [] : ["many"];
    const program = this.start(host, PEER, this.hub.address, "share", "big.bin", "some.bin", ...folder, "--json");
    await program.until(/"event":"root"[^\n]*\n(?:[^\n]*\n)*?[^\n]*"event":"root"[^\n]*\n/);
    if (folder.length > 0) await program.until(/"event":"folder"/, 300);
    return program;
  }

  /** Bytes a second of a download; 0 and the reason if it does not come to its end. */
  async get(host: Host, most = GET_S): Promise<{ speed: number; failed: string }> {
    rmSync(join(host.folder, "to"), { recursive: true, force: true });
    this.run(host, "mkdir", "-p", join(host.folder, "to"));
    writeFileSync(join(host.folder, "own.txt"), "a peer shares at least one file\n");
    const command = [PEER, this.hub.address, "get", "some.bin", "--to", "to", "--share", "own.txt", "--json"];
    const from = performance.now();
    const program = this.start(host, ...command);
    const code = await Promise.race([program.child.exited, Bun.sleep(most * 1000)]);
    const seconds = (performance.now() - from) / 1000;
    if (code === 0) return { speed: SIZE / seconds, failed: "" };
    if (code === undefined) {
      await this.lan.stop(program.child, "SIGKILL");
      return { speed: 0, failed: `not done after ${most} s` };
    }
    return { speed: 0, failed: `ended with ${code}: ${program.text.trim().split("\n").at(-1)?.slice(0, 160)}` };
  }

  victim(): Host {
    return this.lan.host(NARROW);
  }
}

// ---------------------------------------------------------------- rows

interface Row {
  case: string;
  alone: string;
  attacked: string;
  target: string;
  met: boolean;
  notes: string;
}

const WIDTHS = [18, 26, 34, 13, 5];

function print(...cells: string[]): void {
  console.log(cells.map((cell, i) => cell.padEnd(WIDTHS[i] ?? 0)).join("  "));
}

function say({ p50, p99, longest, lost }: Delays): string {
  const gone = lost === 0 ? "" : `, ${lost} lost`;
  return `${p50.toFixed(1)} / ${p99.toFixed(1)} / ${longest.toFixed(0)}${gone}`;
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function tell(row: Row): void {
  print(row.case, row.alone, row.attacked, row.target, row.met ? "yes" : "NO", row.notes);
}

function tellLines(name: string, perSecond: number, bytes: number): void {
  tell({
    case: `${name} log`,
    alone: "",
    attacked: `${perSecond.toFixed(0)} lines/s, ${(bytes / 1000).toFixed(0)} KB/s`,
    target: `${TARGET_LINES} lines/s`,
    met: perSecond <= TARGET_LINES,
    notes: "",
  });
}

function done(program: Program): string {
  const json = /^\{.*\}$/m.exec(program.text)?.[0];
  if (json === undefined) return "";
  const { connections = 0, refused = 0, bytes = 0, read = 0, held, asked } = JSON.parse(json);
  const said = `${connections} connections (${refused} failed), ${mb(bytes)} MB sent, ${mb(read)} MB read`;
  if (asked !== undefined) return `${said}, asked ${asked} times`;
  return held === undefined ? said : `${said}, ${held} held at once`;
}

// ---------------------------------------------------------------- kinds of cases

interface TrackerCase extends Setting {
  attack: Name;
  orders?: Partial<Orders>;
  /** The index: peers, and records of each. */
  index?: [peers: number, records: number];
  ipv6?: boolean;
  joins?: boolean;
  /** Somebody else looks at the web page meanwhile. */
  pages?: boolean;
}

async function againstTracker(name: string, one: TrackerCase): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const world = new World(one);
  stack.defer(() => world.lan.close());
  const tracker = await world.tracker();
  if (one.index !== undefined) await world.fill(...one.index);
  if (one.ipv6 === true) sixes(world);
  const watchers: [suffix: string, Bystander][] = [["", await world.bystander("ask", "PING")]];
  if (one.joins === true) watchers.push([" join", await world.bystander("join")]);
  if (one.pages === true) watchers.push([" page", await world.bystander("page")]);
  await Bun.sleep(1000);
  const from = now();
  await Bun.sleep(ALONE_S * 1000);
  const to = now();
  const { program, begun } = world.attack(one.attack, { ...(one.ipv6 ? { tracker: "fd77::1" } : {}), ...one.orders });
  await begun;
  const began = now();
  const [lines, bytes] = [tracker.lines, tracker.bytes];
  await Bun.sleep(ATTACK_S * 1000);
  const ended = now();
  const seconds = (ended - began) / 1000;
  const logged: [number, number] = [(tracker.lines - lines) / seconds, (tracker.bytes - bytes) / seconds];
  if (tracker.ended) throw new Error(`The tracker ended: ${tracker.text.slice(-500)}`);
  for (const [suffix, bystander] of watchers) {
    const alone = await bystander.between(from, to);
    const attacked = await bystander.between(began, ended);
    tell({
      case: name + suffix,
      alone: say(alone),
      attacked: say(attacked),
      target: `p99 ${TARGET_MS} ms`,
      met: attacked.p99 < TARGET_MS && attacked.lost === 0,
      notes: suffix === "" ? done(program) : "",
    });
  }
  tellLines(name, ...logged);
}

/** IPv6 addresses for the tracker and the attacker, who has a whole /64 besides. */
function sixes(world: World): void {
  const { hub, attacker } = world;
  const run = (host: Host, ...command: string[]) => world.run(host, "ip", "-6", ...command);
  run(hub, "addr", "add", "fd77::1/64", "dev", "eth0", "nodad");
  run(attacker, "addr", "add", "fd77::2/64", "dev", "eth0", "nodad");
  run(attacker, "route", "add", "local", "fd77:0:0:1::/64", "dev", "lo");
  world.run(attacker, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind");
  run(hub, "route", "add", "fd77:0:0:1::/64", "via", "fd77::2");
}

interface GetCase extends Setting {
  attack: Name;
  orders?: Partial<Orders>;
  /** Whether the attack is on the downloader, by holders that are none. */
  invented?: boolean;
  /** Whether the holder stays at its tracker is watched for this long behind the attack. Seconds. */
  afterwards?: number;
}

async function againstDownload(name: string, one: GetCase): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const world = new World(one);
  stack.defer(() => world.lan.close());
  await world.tracker();
  const holder = await world.holder();
  const victim = world.victim();
  if (one.attack === "callback") {
    world.run(world.attacker, "nft", "add table inet ft");
    world.run(world.attacker, "nft", "add chain inet ft input { type filter hook input priority 0; }");
    world.run(world.attacker, "nft", "add rule inet ft input tcp dport 4444 drop");
  }
  for (let i = 1; one.invented === true && i <= 3; i++)
    world.run(world.attacker, "ip", "addr", "add", `10.77.0.20${i}/24`, "dev", "eth0");
  const watcher = await world.bystander("ask", `KNOWN ${holder.host.address}`);
  const alone = await world.get(victim);
  if (alone.failed !== "") throw new Error(`${name}: a download without an attack ${alone.failed}`);
  const most = one.invented === true ? SEEK_S : GET_S;
  const orders = { holder: holder.host.address, seconds: most + 15, own: "10.77.0.20", ...one.orders };
  // Invented holders are there first: the honest one is the last of the list.
  if (one.invented === true) await world.lan.stop(holder.program.child);
  const { program, begun } = world.attack(one.attack, { file: join(holder.host.folder, "some.bin"), ...orders });
  await begun;
  if (one.invented === true) holder.program = await world.share(holder.host);
  const began = now();
  const [lines, bytes] = [holder.program.lines, holder.program.bytes];
  await Bun.sleep(WARM_MS);
  const attacked = await world.get(victim, most);
  // A quick download is not the whole attack.
  await Bun.sleep(Math.max(0, began + ATTACK_S * 1000 - now()));
  const ended = now();
  const seconds = (ended - began) / 1000;
  const logged: [number, number] = [(holder.program.lines - lines) / seconds, (holder.program.bytes - bytes) / seconds];
  if (program.ended) throw new Error(`The attack ended early: ${program.text.slice(-500)}`);
  await world.lan.stop(program.child);
  await Bun.sleep((one.afterwards ?? 0) * 1000);
  const known = await watcher.between(began, now() - 500);
  const share = attacked.speed / alone.speed;
  const away = known.no > 0 ? `away from its tracker for ${((100 * known.no) / known.count).toFixed(0)} % of the time` : "";
  tell({
    case: name,
    alone: `${mb(alone.speed)} MB/s`,
    attacked: attacked.failed === "" ? `${mb(attacked.speed)} MB/s = ${share.toFixed(2)}` : "0.00",
    target: `half, online`,
    met: share >= TARGET_SHARE && known.no === 0,
    notes: [attacked.failed, away, holder.program.ended ? "the holder ended" : "", done(program)].filter(Boolean).join("; "),
  });
  if (one.invented !== true) tellLines(name, ...logged);
}

/** A tracker of the attacker: what the peer there writes to its log. */
async function againstItsPeer(name: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const world = new World({});
  stack.defer(() => world.lan.close());
  const host = world.victim();
  writeFileSync(join(host.folder, "own.txt"), "a peer shares at least one file\n");
  const { program, begun } = world.attack("notices");
  await program.until(/^listening$/m);
  const peer = world.start(host, PEER, world.attacker.address, "share", "--share", "own.txt");
  await begun;
  const [lines, bytes] = [peer.lines, peer.bytes];
  await Bun.sleep(ATTACK_S * 1000);
  tellLines(name, (peer.lines - lines) / ATTACK_S, (peer.bytes - bytes) / ATTACK_S);
}

// ---------------------------------------------------------------- cases

function poured(connections: number, requests: string[], guests = false): TrackerCase {
  return { attack: "requests", orders: { connections, requests, guests } };
}

const mine = (name: string) => `<${name},application/pdf,48213,22/11/26,10.0.0.1,9;v=2>`;
const changes = [...Array(50).keys()].map((i) => `ADD ${mine(`more ${i % 3}.pdf`)}\nDROP more ${i % 3}.pdf\n`).join("");
const renewals = [...Array(20).keys()]
  .map((i) => `FILES 5 port=9\n${[0, 1, 2, 3, 4].map((j) => `${mine(`new ${i} ${j}.pdf`)}\n`).join("")}`)
  .join("");
const finds = [
  "a*e*i",
  "?*?*?",
  "*a*e*i*o*u*",
  "a*b*c*d*e*f*g*h*i",
  "ba ce di fo gu la me ni po ru sa te vi wo xu ka",
  "-ba -ce -di -fo",
  "b?c?d? *a*a*a*a",
  "a e i o u *1*2*3",
].map((wanted) => `FIND ${wanted} limit=2000\n`);
const many: Setting["options"] = ["--max-files", "10000", "--accept-within", "60"];

const withPage = { index: [1000, 5] as [number, number], options: ["--web", "guests"] };

function againstPage(name: string, requests: string[], patient = false): Promise<void> {
  return againstTracker(name, { attack: "pages", orders: { requests, patient }, ...withPage });
}

/** `mode`: the option of slowhttptest. */
function againstSlow(name: string, ...mode: string[]): Promise<void> {
  return againstTracker(name, { attack: "slow", orders: { requests: mode }, ...withPage, joins: true, pages: true });
}

function againstGuests(name: string, requests: string[]): Promise<void> {
  return againstDownload(name, {
    attack: "guests",
    orders: { name: "many", requests },
    options: ["--web", "guests"],
    folder: 20_000,
  });
}

const cases: Record<string, () => Promise<void>> = {
  "guest-ping-1": () => againstTracker("guest-ping-1", poured(1, ["PING\n".repeat(12_000)], true)),
  "guest-ping": () => againstTracker("guest-ping", poured(32, ["PING\n".repeat(12_000)], true)),
  "peer-ping": () => againstTracker("peer-ping", poured(30, ["PING\n".repeat(12_000)])),
  list: () => againstTracker("list", { ...poured(30, ["LIST limit=2000\n".repeat(200)]), index: [1000, 5] }),
  who: () => againstTracker("who", { ...poured(30, ["WHO limit=2000\n".repeat(200)]), index: [1000, 5] }),
  add: () => againstTracker("add", poured(30, [changes])),
  renew: () => againstTracker("renew", poured(30, [renewals])),
  find: () => againstTracker("find", { ...poured(8, finds), index: [100, 1000], options: many }),
  "find-1": () => againstTracker("find-1", { ...poured(1, finds), index: [100, 1000], options: many }),
  half: () => againstTracker("half", { attack: "half", joins: true }),
  connects: () => againstTracker("connects", { attack: "connects", joins: true }),
  words: () => againstTracker("words", { attack: "words" }),
  "ipv6-64": () =>
    againstTracker("ipv6-64", {
      attack: "net64",
      orders: { own: "fd77:0:0:1::", connections: 600 },
      options: ["--max-connections", "400"],
      ipv6: true,
      joins: true,
    }),
  rubbish: () => againstTracker("rubbish", { attack: "rubbish", joins: true }),
  tree: () => againstDownload("tree", { attack: "tree", orders: { name: "big.bin", connections: 1 } }),
  "tree-4": () => againstDownload("tree-4", { attack: "tree", orders: { name: "big.bin", connections: 4 } }),
  // A holder whose question waits for 15 s gives its tracker up.
  basic: () => againstDownload("basic", { attack: "basic", orders: { name: "some.bin" }, afterwards: 16 }),
  ids: () => againstDownload("ids", { attack: "ids", orders: { name: "big.bin", connections: 32 }, link: NARROW }),
  "ids-narrow": () =>
    againstDownload("ids-narrow", {
      attack: "ids",
      orders: { name: "big.bin", connections: 32 },
      holderLink: NARROW,
    }),
  tiny: () => againstDownload("tiny", { attack: "tiny", orders: { name: "big.bin", connections: 32 } }),
  small: () => againstDownload("small", { attack: "small", orders: { name: "big.bin", connections: 31 } }),
  "small-narrow": () =>
    againstDownload("small-narrow", { attack: "small", orders: { name: "big.bin", connections: 31 }, holderLink: NARROW }),
  callback: () => againstDownload("callback", { attack: "callback", firewall: true }),
  "holder-rubbish": () => againstDownload("holder-rubbish", { attack: "rubbish" }),
  trickle: () => againstDownload("trickle", { attack: "trickle", orders: { name: "some.bin" }, invented: true }),
  busy: () => againstDownload("busy", { attack: "busy", orders: { name: "some.bin" }, invented: true }),
  notices: () => againstItsPeer("notices"),
  watches: () => againstTracker("watches", { attack: "watches" }),
  page: () => againstPage("page", [get("/"), get("/?q=a*e*i"), get("/peers"), get("/nothing"), get("/?q=ba+ce")], true),
  "page-poured": () => againstPage("page-poured", [get("/").repeat(4)]),
  "page-body": () => againstPage("page-body", [get("/", `Content-Length: 99999999999\r\n`), "x".repeat(32_768)]),
  "page-rubbish": () => againstPage("page-rubbish", ["GET / NONSENSE\r\n\r\n"]),
  "page-live": () => againstTracker("page-live", { attack: "readers", orders: { requests: ["/?q=a*e+"] }, ...withPage }),
  "slow-headers": () => againstSlow("slow-headers", "-H"),
  "slow-body": () => againstSlow("slow-body", "-B"),
  "slow-range": () => againstSlow("slow-range", "-R", "-t", "HEAD"),
  "slow-read": () => againstSlow("slow-read", "-X", "-k", "20", "-w", "10", "-y", "20", "-n", "1", "-z", "32"),
  "guest-folder": () => againstGuests("guest-folder", [get("TICKET")]),
  "guest-zip": () => againstGuests("guest-zip", [get("TICKET&zip=1").replace("GET", "HEAD"), get("TICKET&zip=1")]),
  "guest-range": () =>
    againstDownload("guest-range", {
      attack: "guests",
      orders: { name: "big.bin", requests: [get("TICKET", "Range: bytes=0-0\r\n"), get("TICKET", "Range: bytes=-1\r\n")] },
      options: ["--web", "guests"],
    }),
  "guest-bad": () => againstGuests("guest-bad", [get("TICKETx")]),
};

const unknown = words.find((word) => !(word in cases));
if (unknown !== undefined || !isAbsolute(folder)) {
  console.error(`There is no case "${unknown}". Choose from: ${Object.keys(cases).join(" ")}.`);
  process.exit(2);
}
try {
  setPriority(-10);
} catch {
  console.log("Other work on this machine counts as much as this: it may not be made less important.");
}
console.log(`${folder}; milliseconds p50 / p99 / longest`);
print("case", "alone", "attacked", "target", "met", "");
let failed = 0;
for (const name of words.length > 0 ? words : Object.keys(cases)) {
  try {
    await cases[name]?.();
  } catch (error) {
    failed += 1;
    print(name, `could not be measured: ${error instanceof Error ? error.message : error}`);
  }
}
process.exit(failed > 0 ? 1 : 0);
