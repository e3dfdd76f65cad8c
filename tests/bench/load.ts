// A load generator in a process of its own: it plays FT/2 peers, or clients of any server whose answers have one size, by raw sockets.
//
// `Generator.start()` starts the process; every method is a call to it. The process that asks does not slow what is measured there.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import type { Socket } from "bun";
import { greetingOf } from "./people.ts";

/** Connections of one kind. */
export interface Target {
  /** Connections are spread over these in turn. */
  hosts: string[];
  port: number;
  count: number;
  /** Undefined: they say nothing at first (not FT/2 peers). */
  peer?: PeerKind;
  /** Where connections come from: these addresses of 127.0.0.0/8, by their numbers from 0, in turn. */
  sources?: number[];
  /** Connections that are on their way at once. */
  atOnce?: number;
}

interface PeerKind {
  /** Records each; the names are `first`, `first + 1` … */
  records: number;
  first: number;
  /** The port that they announce; 0: the generator listens on one. */
  port: number;
  /** Whether to wait until the tracker has tried that port. */
  reach: boolean;
  /** Whether they come back as a session does when the tracker is gone. */
  back?: boolean;
  /** Whether they greet, and have files, as people do. Then the first one is person number `first`. */
  people?: boolean;
}

export interface Opened {
  set: number;
  /** From the first connect to the last WELCOME (and REACH). */
  seconds: number;
  failed: number;
}

interface Rate {
  /** While it was measured, and in all: it runs in and out for a while. */
  answers: number;
  all: number;
  perSecond: number;
  /** Processor seconds of the generator a second. */
  busy: number;
}

/** Milliseconds. */
export interface Delays {
  answers: number;
  perSecond: number;
  p50: number;
  p99: number;
  longest: number;
}

/** What became of peers whose tracker was restarted: seconds from each one's first try to its WELCOME. */
export interface Return {
  back: number;
  median: number;
  p99: number;
  longest: number;
  /** From the loss of the first to the return of the last. */
  all: number;
  tries: number;
}

/** What one address may do to a tracker. */
type Attack = "endless line" | "100,000 commands" | "connects";

/** How often. */
interface Churn {
  joined: number;
  searches: number;
  failed: number;
}

/** A record's name; all have the same length, so that all answers have one too. */
export function nameOf(index: number): string {
  return `lecture-${String(index).padStart(7, "0")}.pdf`;
}

function recordOf(index: number, port: number): string {
  const root = index.toString(16).padStart(64, "0");
  return `<${nameOf(index)},application/pdf,48213,22/11/26,127.0.0.1,${port};v=2;mtime=2026-11-22T10:04:05Z;root=${root}>`;
}

/** What one request is, for connection number `index` of a set. */
export type Ask = { kind: "search"; names: number } | { kind: "text"; text: string };

type Calls = typeof calls;
type Result<Name extends keyof Calls> = Awaited<ReturnType<Calls[Name]>>;

/** The process, from outside. */
export class Generator {
  readonly #child: Bun.Subprocess;
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #next = 1;

  private constructor(command: string[]) {
    this.#child = Bun.spawn(command, {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (message: { id: number; result?: unknown; error?: string }) => {
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.error === undefined) pending?.resolve(message.result);
        else pending?.reject(new Error(message.error));
      },
      onExit: (_, code) => {
        for (const { reject } of this.#pending.values()) reject(new Error(`The load generator ended with ${code}.`));
      },
    });
  }

  static start(): Generator {
    return new Generator([process.execPath, import.meta.path, "generate"]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  call<Name extends keyof Calls>(name: Name, ...args: Parameters<Calls[Name]>): Promise<Result<Name>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve: (value) => resolve(value as Result<Name>), reject });
      this.#child.send({ id, name, args });
    });
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.exited;
  }
}

// ---------------------------------------------------------------- the process that is measured

/** Processor seconds that a process has used. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Seconds of this machine's processors that its host gave to others. */
export function stolenSeconds(): number {
  return Number(readFileSync("/proc/stat", "utf8").split("\n")[0]?.split(/ +/)[8]) / 100;
}

/** Resident bytes. */
export function memory(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
}

/** Waits until a process does next to nothing. */
export async function settled(pid: number): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const from = cpuSeconds(pid);
    await Bun.sleep(1000);
    if (cpuSeconds(pid) - from < 0.1) return;
  }
}

/** Descriptors that a process started here may have. */
export function descriptorLimit(): number {
  const limits = existsSync("/proc/self/limits") ? readFileSync("/proc/self/limits", "utf8") : "";
  return Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? 10_240);
}

/** Descriptors that a process has open. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

// ---------------------------------------------------------------- in the process

interface Client {
  readonly index: number;
  socket: Socket<Client> | undefined;
  /** Text of the greeting's answers, until it is complete. */
  text: string;
  ready: boolean;
  onReady: (() => void) | undefined;
  onLost: (() => void) | undefined;
  /** While measuring: what arrived, and what that does. */
  bytes: number;
  onBytes: ((client: Client) => void) | undefined;
  /** When the requests without an answer were due. */
  due: number[];
  ping: ReturnType<typeof setTimeout> | undefined;
  /** A PING has not been answered yet. */
  pinging: boolean;
  firstTry: number;
}

function newClient(index: number): Client {
  return {
    index,
    socket: undefined,
    text: "",
    ready: false,
    onReady: undefined,
    onLost: undefined,
    bytes: 0,
    onBytes: undefined,
    due: [],
    ping: undefined,
    pinging: false,
    firstTry: 0,
  };
}

interface ClientSet {
  target: Target;
  clients: Client[];
  failed: number;
  returning: { lostAt: number; delays: number[]; lastAt: number; tries: number };
}

const sets: ClientSet[] = [];
let ownPort = 0;
const PING_MS = 45_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 25_000;
const CONNECT_MS = 5_000;
/** At this rate and above, requests are sent one by one, and the generator is awake all the time. Requests a second. */
const SMOOTH = 10_000;

const events = {
  data(socket: Socket<Client>, chunk: Uint8Array) {
    const client = socket.data;
    client.bytes += chunk.length;
    if (client.onBytes !== undefined) client.onBytes(client);
    else if (client.pinging) client.pinging = false;
    else if (!client.ready) greeted(client, chunk);
  },
  close(socket: Socket<Client>) {
    lost(socket.data, socket);
  },
  // Bun calls this when a handler threw, and leaves the socket open.
  error(socket: Socket<Client>, error: Error) {
    console.error(`load: ${error.message}`);
    socket.terminate();
    lost(socket.data, socket);
  },
  drain() {},
  end(socket: Socket<Client>) {
    socket.end();
  },
};

function lost(client: Client, socket: Socket<Client>): void {
  if (client.socket !== socket) return;
  client.socket = undefined;
  client.ready = false;
  client.text = "";
  client.pinging = false;
  clearTimeout(client.ping);
  client.onLost?.();
}

let waitsForReach = false;

function greeted(client: Client, chunk: Uint8Array): void {
  client.text += new TextDecoder().decode(chunk);
  const welcome = /^WELCOME .*\n/m.test(client.text);
  if (!welcome || (waitsForReach && !/^REACH .*\n/m.test(client.text))) return;
  client.ready = true;
  client.text = "";
  client.onReady?.();
}

/** Bun binds the local address too, though its types do not say so. */
function sourceOf(sources: number[] | undefined, index: number): { localAddress?: string } {
  const source = sources?.[index % sources.length];
  if (source === undefined) return {};
  return { localAddress: `127.${source >> 16}.${(source >> 8) & 255}.${source & 255}` };
}

function connect(target: Target, client: Client): Promise<void> {
  const source = sourceOf(target.sources, client.index);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      client.socket?.terminate();
      reject(new Error("no answer"));
    }, CONNECT_MS);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      act();
    };
    client.onReady = () => settle(resolve);
    client.onLost = () => settle(() => reject(new Error(`closed: ${client.text}`)));
    Bun.connect<Client>({
      hostname: target.hosts[client.index % target.hosts.length] ?? "127.0.0.1",
      port: target.port,
      ...source,
      data: client,
      socket: {
        ...events,
        open(socket) {
          client.socket = socket;
          socket.setNoDelay(true);
          if (target.peer === undefined) {
            client.ready = true;
            settle(resolve);
          } else socket.write(greeting(target.peer, client.index));
        },
      },
    }).catch((error: Error) => settle(() => reject(error)));
  });
}

function greeting({ records, first, port, people }: PeerKind, index: number): string {
  const announced = port === 0 ? ownPort : port;
  if (people) return greetingOf(first + index, records, announced);
  const lines = Array.from({ length: records }, (_, i) => recordOf(first + index * records + i, announced));
  return `HELLO FT/2 agent=ft-peer/1.0.0 extras=1\nFILES ${records} port=${announced}\n${lines.join("\n")}\n`;
}

function pingLater(client: Client): void {
  clearTimeout(client.ping);
  client.ping = setTimeout(() => {
    client.pinging = client.socket !== undefined;
    client.socket?.write("PING\n");
    pingLater(client);
  }, PING_MS);
}

/** Measures without PINGs: their answers would be taken for those that are counted. */
async function withoutPings<Measured>({ target, clients }: ClientSet, measure: () => Promise<Measured>): Promise<Measured> {
  for (const client of clients) clearTimeout(client.ping);
  for (let i = 0; i < 1000 && clients.some(({ pinging }) => pinging); i++) await Bun.sleep(10);
  try {
    return await measure();
  } finally {
    if (target.peer !== undefined) for (const client of clients) if (client.socket !== undefined) pingLater(client);
  }
}

/** As lib/peer/online/retries.ts does it: the first try within a second, then doubling waits with jitter. */
function comeBack(set: ClientSet, client: Client, retries: number): void {
  const { returning } = set;
  const longest = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** retries);
  const wait = retries === 0 ? longest * Math.random() : longest * (0.5 + Math.random() / 2);
  setTimeout(async () => {
    if (retries === 0) client.firstTry = performance.now();
    returning.tries += 1;
    try {
      await connect(set.target, client);
      returning.lastAt = performance.now();
      returning.delays.push(returning.lastAt - client.firstTry);
      watchForLoss(set, client);
    } catch {
      comeBack(set, client, retries + 1);
    }
  }, wait);
}

function watchForLoss(set: ClientSet, client: Client): void {
  pingLater(client);
  client.onLost = () => {
    if (set.target.peer?.back !== true) {
      set.failed += 1;
      return;
    }
    if (set.returning.lostAt === 0) set.returning.lostAt = performance.now();
    comeBack(set, client, 0);
  };
}

function requestFor(ask: Ask, set: ClientSet, index: number): string {
  if (ask.kind === "text") return ask.text;
  // Every connection asks for another name, and all of them for many.
  const first = set.target.peer?.first ?? 0;
  return `SEARCH: ${nameOf(first + ((index * 7919) % ask.names))}\n`;
}

function setOf(number: number): ClientSet {
  const set = sets[number];
  if (set === undefined) throw new Error(`There is no set ${number}.`);
  return set;
}

/** Asks once on each connection; all answers must have one size, which is given. */
async function answerBytes(set: ClientSet, ask: Ask): Promise<number> {
  const sizes = new Set<number>();
  for (const client of set.clients) {
    let text = "";
    const size = await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("A request got no answer.")), 10_000);
      client.bytes = 0;
      client.onBytes = () => {
        clearTimeout(timer);
        // An answer of this size is one piece on loopback.
        setTimeout(() => resolve(client.bytes), 0);
      };
      const request = requestFor(ask, set, client.index);
      text = request;
      if (client.socket === undefined) reject(new Error("A connection was lost."));
      client.socket?.write(request);
    });
    client.onBytes = undefined;
    if (ask.kind === "search" && size < 100) throw new Error(`"${text.trim()}" was not found.`);
    sizes.add(size);
  }
  const [size = 0] = sizes;
  if (sizes.size !== 1) throw new Error(`Answers of ${[...sizes].join(", ")} bytes: they need one size.`);
  return size;
}

function busySeconds(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

async function closedLoop(set: ClientSet, ask: Ask, pipeline: number, seconds: number): Promise<Rate> {
  const size = await answerBytes(set, ask);
  const batch = size * pipeline;
  let answers = 0;
  let all = 0;
  let counting = false;
  const requests = new Map<Client, Uint8Array>();
  const encoder = new TextEncoder();
  for (const client of set.clients) {
    const request = encoder.encode(requestFor(ask, set, client.index).repeat(pipeline));
    requests.set(client, request);
    client.bytes = 0;
    client.onBytes = () => {
      if (client.bytes < batch) return;
      if (client.bytes > batch) throw new Error("More was answered than asked for.");
      client.bytes = 0;
      all += pipeline;
      if (counting) answers += pipeline;
      client.socket?.write(request);
    };
  }
  for (const client of set.clients) client.socket?.write(requests.get(client) ?? "");
  await Bun.sleep(Math.min(500, seconds * 250));
  counting = true;
  const cpu = process.cpuUsage();
  const from = performance.now();
  await Bun.sleep(seconds * 1000);
  const elapsed = (performance.now() - from) / 1000;
  const busy = busySeconds(cpu) / elapsed;
  counting = false;
  // The last batches come in.
  for (const client of set.clients) {
    client.onBytes = () => {};
  }
  for (let i = 0; i < 200 && set.clients.some(({ bytes }) => bytes < batch); i++) await Bun.sleep(10);
  for (const client of set.clients) client.onBytes = undefined;
  return { answers, all, perSecond: answers / elapsed, busy };
}

async function pacedLoop(set: ClientSet, ask: Ask, perSecond: number, seconds: number): Promise<Delays> {
  const size = await answerBytes(set, ask);
  const total = Math.floor(perSecond * seconds);
  // So that the generator collects no garbage of its own while it measures.
  const delays = new Float64Array(total);
  let answered = 0;
  const requests = set.clients.map((client) => new TextEncoder().encode(requestFor(ask, set, client.index)));
  for (const client of set.clients) {
    client.bytes = 0;
    client.due = [];
    client.onBytes = () => {
      const now = performance.now();
      while (client.bytes >= size) {
        client.bytes -= size;
        delays[answered++] = now - (client.due.shift() ?? now);
      }
    };
  }
  const from = performance.now();
  let sent = 0;
  while (sent < total) {
    const now = performance.now();
    const until = Math.min(total, Math.floor(((now - from) / 1000) * perSecond) + 1);
    for (; sent < until; sent++) {
      const at = sent % set.clients.length;
      const client = set.clients[at];
      if (client === undefined) break;
      // What is due within this millisecond is sent together: the generator's own grain is not the server's delay.
      const due = from + (sent / perSecond) * 1000;
      client.due.push(now - due < 1.5 ? now : due);
      client.socket?.write(requests[at] ?? "");
    }
    // Of many a second, a millisecond's worth at once would be a burst that nobody asked for.
    if (perSecond > SMOOTH) await new Promise((resolve) => setImmediate(resolve));
    else await Bun.sleep(1);
  }
  for (let i = 0; i < 500 && set.clients.some(({ due }) => due.length > 0); i++) await Bun.sleep(10);
  for (const client of set.clients) client.onBytes = undefined;
  const missing = set.clients.reduce((count, { due }) => count + due.length, 0);
  if (missing > 0) throw new Error(`${missing} requests of ${total} got no answer.`);
  delays.sort();
  return {
    answers: total,
    perSecond: total / ((performance.now() - from) / 1000),
    p50: part(delays, 0.5),
    p99: part(delays, 0.99),
    longest: part(delays, 1),
  };
}

const calls = {
  /** Opens connections, and joins where they are peers. */
  async open(target: Target): Promise<Opened> {
    if (target.peer?.port === 0 && ownPort === 0) {
      ownPort = Bun.listen({
        hostname: "0.0.0.0",
        port: 0,
        socket: { open() {}, data() {}, end: (socket) => void socket.end(), error() {} },
      }).port;
    }
    const number = sets.length;
    const returning = { lostAt: 0, delays: [], lastAt: 0, tries: 0 };
    const set: ClientSet = { target, clients: [], failed: 0, returning };
    sets.push(set);
    waitsForReach = target.peer?.reach === true;
    const from = performance.now();
    let next = 0;
    let firstError = "";
    const lane = async () => {
      for (let index = next++; index < target.count; index = next++) {
        const client = newClient(index);
        try {
          await connect(target, client);
          set.clients.push(client);
          if (target.peer === undefined) client.onLost = undefined;
          else watchForLoss(set, client);
        } catch (error) {
          set.failed += 1;
          firstError ||= String(error);
        }
      }
    };
    await Promise.all(Array.from({ length: target.atOnce ?? 128 }, lane));
    if (firstError !== "") console.error(`load: ${set.failed} could not be opened, the first: ${firstError.slice(0, 200)}`);
    waitsForReach = false;
    return { set: number, seconds: (performance.now() - from) / 1000, failed: set.failed };
  },

  /** Bytes of an answer. */
  size(number: number, ask: Ask): Promise<number> {
    const set = setOf(number);
    return withoutPings(set, () => answerBytes(set, ask));
  },

  /** As fast as the answers come: each connection has `pipeline` requests on their way, and sends the next ones when all are answered. */
  closed(number: number, ask: Ask, pipeline: number, seconds: number): Promise<Rate> {
    const set = setOf(number);
    return withoutPings(set, () => closedLoop(set, ask, pipeline, seconds));
  },

  /**
   * A fixed number of requests a second over all connections, whatever the answers do; a request's delay counts from when it was due, so a
   * server that stops for a while is not let off the requests that would have come.
   */
  paced(number: number, ask: Ask, perSecond: number, seconds: number): Promise<Delays> {
    const set = setOf(number);
    return withoutPings(set, () => pacedLoop(set, ask, perSecond, seconds));
  },

  /** Connections of a set that are open now. */
  async ready(number: number): Promise<number> {
    return setOf(number).clients.filter(({ ready }) => ready).length;
  },

  /** Waits until all peers that were lost are back, at most so long. */
  async returned(number: number, seconds: number): Promise<Return> {
    const { returning, clients } = setOf(number);
    const until = performance.now() + seconds * 1000;
    while (performance.now() < until && clients.some(({ ready }) => !ready)) await Bun.sleep(50);
    const delays = returning.delays.splice(0).sort((a, b) => a - b);
    const result = {
      back: delays.length,
      median: part(delays, 0.5) / 1000,
      p99: part(delays, 0.99) / 1000,
      longest: part(delays, 1) / 1000,
      all: (returning.lastAt - returning.lostAt) / 1000,
      tries: returning.tries,
    };
    returning.lostAt = 0;
    returning.tries = 0;
    return result;
  },

  /** Keeps at it for so long, from one address; says how many connections it made, and the bytes that were taken of it. */
  async attack(kind: Attack, port: number, source: number, seconds: number): Promise<{ connections: number; bytes: number }> {
    const until = performance.now() + seconds * 1000;
    const piece = new TextEncoder().encode(kind === "100,000 commands" ? "PING\n".repeat(10_000) : "x".repeat(50_000));
    const pieces = kind === "100,000 commands" ? 10 : Number.POSITIVE_INFINITY;
    let connections = 0;
    let bytes = 0;
    const once = () =>
      new Promise<void>((done) => {
        let sent = 0;
        const limit = pieces * piece.length;
        const pump = (socket: Socket) => {
          while (kind !== "connects" && sent < limit && performance.now() < until) {
            const taken = Math.max(0, socket.write(piece, sent % piece.length, piece.length - (sent % piece.length)));
            sent += taken;
            bytes += taken;
            if (taken === 0) return;
          }
        };
        const timer = setTimeout(done, Math.max(0, Math.min(2000, until - performance.now())));
        const over = () => {
          clearTimeout(timer);
          done();
        };
        Bun.connect({
          hostname: "127.0.0.1",
          port,
          ...sourceOf([source], 0),
          socket: {
            open(socket) {
              connections += 1;
              if (kind === "connects") {
                // Half of them are told why they are refused, half hang up before.
                if (connections % 2 === 0) socket.terminate();
                return;
              }
              if (kind === "100,000 commands")
                socket.write(greeting({ records: 1, first: 9_000_000, port: 9, reach: false }, 0));
              else socket.write("HELLO FT/2 agent=");
              pump(socket);
              setTimeout(() => socket.terminate(), 2000);
            },
            data() {},
            drain: pump,
            close: over,
            error: over,
            end: (socket) => void socket.end(),
          },
        }).catch(over);
      });
    const lane = async () => {
      while (performance.now() < until) await once();
    };
    await Promise.all(Array.from({ length: kind === "connects" ? 200 : 16 }, lane));
    return { connections, bytes };
  },

  /** Peers that come, search and go, in every way there is to go, until the time is over. */
  async churn(target: Target, names: number, seconds: number): Promise<Churn> {
    const until = performance.now() + seconds * 1000;
    const counts: Churn = { joined: 0, searches: 0, failed: 0 };
    const lane = async (number: number) => {
      for (let index = number; performance.now() < until; index += target.count) {
        const client = newClient(index % names);
        try {
          await connect(target, client);
          client.onLost = undefined;
          counts.joined += 1;
          for (let i = Math.floor(Math.random() * 20); i > 0 && client.socket !== undefined; i--) {
            client.socket.write(`SEARCH: ${nameOf(Math.floor(Math.random() * names))}\n`);
            counts.searches += 1;
            await Bun.sleep(Math.random() * 20);
          }
          await goAway(client, index % 5);
        } catch {
          counts.failed += 1;
          client.socket?.terminate();
          await Bun.sleep(50);
        }
      }
    };
    await Promise.all(Array.from({ length: target.count }, (_, number) => lane(number)));
    return counts;
  },

  /** Closes all connections of a set. */
  async close(number: number): Promise<void> {
    for (const client of setOf(number).clients) {
      client.onLost = undefined;
      clearTimeout(client.ping);
      client.socket?.terminate();
    }
  },
};

/** BYE, a plain close, a reset, an end in the middle of a line, and a request whose answer nobody waits for. */
async function goAway(client: Client, way: number): Promise<void> {
  const { socket } = client;
  if (socket === undefined) return;
  const closed = new Promise<void>((resolve) => {
    client.onLost = resolve;
  });
  if (way === 0) socket.write("BYE\n");
  else if (way === 1) socket.end();
  else if (way === 2) socket.terminate();
  else {
    socket.write(way === 3 ? "SEARCH: half a li" : "WHO\nLIST\n");
    socket.end();
  }
  await Promise.race([closed, Bun.sleep(1000)]);
  client.socket?.terminate();
}

function part(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

if (import.meta.main && process.argv[2] === "generate") {
  process.on("message", ({ id, name, args }: { id: number; name: keyof Calls; args: never[] }) => {
    const call: (...args: never[]) => Promise<unknown> = calls[name];
    call(...args).then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit());
}
