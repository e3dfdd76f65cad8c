#!/usr/bin/env bun
// ft-tracker: the index server of a LAN. It knows which online peer has which file, and serves only peers it has accepted.
//
//     ft-tracker [--port 1234]
//
// One TCP connection is one conversation: FT/2 peers stay connected for as long as they are online; FT/1 programs come for one
// exchange at a time. The index is what the peers that are online say, and nothing of it is written to disk; only bans are.

import { createHmac, randomBytes } from "node:crypto";
import { systemClock } from "./lib/clock.ts";
import type { Channel } from "./lib/net/channel.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom, likelyAddresses } from "./lib/net/interfaces.ts";
import { type Listener, listen } from "./lib/net/listen.ts";
import { EXIT, err, exitCodeFor, out, runProgram, VERSION } from "./lib/program/cli.ts";
import { type Address, formatEndpoint, isIPv6, isLoopback, parseAddress, withoutZone } from "./lib/protocol/address.ts";
import { DEFAULT_TRACKER_PORT, PASS_LIFETIME_S, PING_MS } from "./lib/protocol/messages.ts";
import { PassOffice } from "./lib/protocol/pass.ts";
import { encodeFromTracker } from "./lib/protocol/write.ts";
import { Allowance } from "./lib/rate.ts";
import { formatDuration, formatSize, jsonLine, plural, printable } from "./lib/text.ts";
import { type Announcement, announce } from "./lib/tracker/announce.ts";
import { type Ban, Bans } from "./lib/tracker/bans.ts";
import { Catalog, type Member } from "./lib/tracker/catalog.ts";
import { Conversation, type House } from "./lib/tracker/conversation.ts";
import { LIMITS, type Limits } from "./lib/tracker/limits.ts";
import { Meter } from "./lib/tracker/meter.ts";
import { giveOrder, type Order, type OrderResult, openDoor } from "./lib/tracker/operator.ts";
import { parseTrackerArguments } from "./lib/tracker/options.ts";
import { Prober } from "./lib/tracker/prober.ts";

export interface TrackerOptions {
  port: number;
  /** Undefined: every interface. */
  host?: string | undefined;
  name: string;
  /** Those that are not as usual. */
  limits?: Partial<Limits>;
  /** Whether peers may find the tracker by DNS-SD. */
  announce?: boolean;
  /** The file in which bans are kept; without it they end with the tracker. */
  bans?: string | undefined;
  /** Called with everything that happens. */
  report(event: TrackerEvent): void;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** Milliseconds; handed in by tests. */
  timing?: Partial<Timing>;
}

interface Timing {
  /** To complete the first request: the whole exchange of FT/1, the acceptance of FT/2. */
  acceptance: number;
  /** An accepted peer that is silent for this long is gone. */
  idle: number;
  /** FT/1 peers hold no connection: their port is tried after this time, */
  firstProbe: number;
  /** and then every so often. */
  probe: number;
}

const TIMING: Omit<Timing, "acceptance"> = { idle: 2 * PING_MS, firstProbe: 30_000, probe: 60_000 };
/** How long the peers may take to hear that the tracker stops. */
const FAREWELL_MS = 2_000;
const PROBE_FAILURES = 2;
/** Who was kicked stays away for this long. */
const KICK_MS = 60_000;
const NOTICE_LIMIT = 1000;
/** When so many have come, were tried or have gone, and for a second little happens, the memory that it took is given back. */
const TIDY_AFTER = 1000;
/** After so many that is done in any case: a socket holds more than the runtime counts. */
const TIDY_AT_LAST = 20_000;
const TIDY_EVERY_MS = 1000;
const QUIET = 100;
/** Of the peers that ping, so many do in a second. */
const PINGING = 1000 / PING_MS;
/** Characters of a session's proof: 128 bits. */
const SESSION_LENGTH = 22;
/** Addresses whose FINDs are timed, and seconds of that time that may be used at once. */
const FIND_TIMES = 1024;
const FIND_BURST_S = 4;

export type TrackerEvent =
  | { event: "listening"; address: string; port: number }
  | { event: "addresses"; addresses: string[]; announced: boolean }
  | { event: "joined"; id: string; address: string; port: number; files: number; agent: string; profile: string; peers: number }
  | { event: "updated"; id: string; address: string; port: number; files: number }
  /** Peers can find it from now on, under this name. */
  | { event: "announced"; name: string }
  | { event: "unreachable"; id: string; address: string; port: number; reason: string }
  | { event: "left"; id: string; address: string; port: number; reason: string; peers: number }
  /** `more`: so many of the same kind came shortly after each other and are not told one by one. */
  | { event: "refused"; address: string; code: string; reason: string; more?: number }
  | { event: "operator"; order: string; words: string }
  | { event: "stopped" };

export interface Tracker {
  readonly address: string;
  readonly port: number;
  readonly catalog: Catalog;
  /** What it does now, for its operator. */
  summary(): Summary;
  /** Does what its operator asks for. */
  obey(order: Order): OrderResult;
  /** Accepts nobody any more, tells the peers, and resolves when they are told. */
  stop(): Promise<void>;
}

/** Starts a tracker. Throws a sentence when it cannot listen. */
export function startTracker(options: TrackerOptions): Tracker {
  const { now = Date.now } = options;
  const damper = new Damper(options.report, now);
  const report = (event: TrackerEvent) => damper.report(event);
  const limits = { ...LIMITS, ...options.limits };
  limits.results = Math.min(limits.results, limits.mostResults);
  const timing = { acceptance: limits.acceptance * 1000, ...TIMING, ...options.timing };
  const catalog = new Catalog();
  const office = new PassOffice();
  const conversations = new Set<Conversation>();
  let onLastClosed: (() => void) | undefined;
  const probes = new Map<string, ReturnType<typeof setTimeout>>();
  const prober = new Prober(dial);
  /** Proves sessions: who knows it could be any peer. */
  const secret = randomBytes(32);
  const findTimes = new Map<Address, Allowance>();
  const bans = new Bans(options.bans, now);
  const kicked = new Map<string, number>();
  const since = now();
  const meter = () => new Meter(systemClock);
  const meters = { requests: meter(), searches: meter(), joins: meter(), refused: meter() };
  const refusals = new Map<string, number>();
  let stopping = false;
  /** Joins, tries and leaves since memory was given back. */
  let changes = 0;

  const listener: Listener = listen({
    host: options.host,
    port: options.port,
    maxPerAddress: limits.perAddress,
    maxConnections: limits.connections,
    onConnection: (channel) => new Conversation(house, channel).start(),
    onRefused: (code, { address }) => {
      const words =
        code === "tracker-full"
          ? "The tracker has no room for more connections; try again later."
          : `There are ${limits.perAddress} connections from ${address} already; close one first.`;
      refused(address, code, words);
      return encodeFromTracker({ verb: "ERROR", code, words });
    },
  });

  function refused(address: string, code: string, reason: string): void {
    meters.refused.count();
    refusals.set(code, (refusals.get(code) ?? 0) + 1);
    report({ event: "refused", address, code, reason });
  }

  const { address, port } = listener;
  report({ event: "listening", address, port });
  const { host, name, announce: announced } = options;
  const tellAddresses = (all: string[]) => {
    const addresses = all.map((address) => (port === DEFAULT_TRACKER_PORT ? address : formatEndpoint({ address, port })));
    if (!stopping) report({ event: "addresses", addresses, announced: announced === true });
  };
  if (host === undefined || host === "::" || host === "0.0.0.0") {
    // On 0.0.0.0 nobody gets in by IPv6.
    void likelyAddresses().then((all) => tellAddresses(all.filter((address) => host !== "0.0.0.0" || !isIPv6(address))));
  } else tellAddresses([host]);
  const told = new Set<string>();
  const tellName = (as: string) => {
    if (!stopping && !told.has(as)) report({ event: "announced", name: as });
    told.add(as);
  };
  const announcement: Announcement | undefined = announced
    ? announce({ name, port, version: VERSION, host: address, announced: tellName })
    : undefined;

  const house: House = {
    name,
    limits,
    timing,
    catalog,
    conversations,
    spare: [],
    clock: systemClock,
    meters,
    key: office.key,
    announced: announcement !== undefined,
    now,
    newId: () => randomBytes(8).toString("hex"),
    passFor: (id, channel) => {
      const expires = Math.floor(now() / 1000) + PASS_LIFETIME_S;
      return office.issue({ id, address: passAddress(channel), expires });
    },
    sessionOf: (id, connection) => {
      const proof = createHmac("sha256", secret).update(`${id} ${connection}`).digest("base64url");
      return `${id}.${proof.slice(0, SESSION_LENGTH)}`;
    },
    reach: async ({ address, port }, via) => {
      const reach = await prober.reach({ address: dialableFrom(via, address), port });
      changes += 1;
      return reach;
    },
    whyUnwanted,
    findTime: (from) => {
      const known = findTimes.get(from);
      if (known !== undefined) return known;
      if (findTimes.size >= FIND_TIMES) findTimes.clear();
      const time = new Allowance(limits.findTime, limits.findTime * FIND_BURST_S, systemClock);
      findTimes.set(from, time);
      return time;
    },
    refused,
    arrived,
    unreachable: ({ id, address, port }, reason) => report({ event: "unreachable", id, address, port, reason }),
    remove,
    watchOver: (member, via) => {
      probeLater(member, { address: dialableFrom(via, member.address), port: member.port }, timing.firstProbe, 0);
    },
    onLastClosed: () => onLastClosed?.(),
  };

  let done = 0;
  const tidying = setInterval(() => {
    const all = meters.requests.total + changes;
    const lately = all - done;
    done = all;
    const busy = lately > QUIET + 2 * PINGING * catalog.peers;
    if (changes < (busy ? TIDY_AT_LAST : TIDY_AFTER)) return;
    done -= changes;
    changes = 0;
    // By itself the runtime waits for the next storm.
    Bun.gc(true);
  }, TIDY_EVERY_MS);

  function arrived({ id, address, port, agent, profile }: Member, files: number, renewed: boolean): void {
    if (renewed) {
      report({ event: "updated", id, address, port, files });
      return;
    }
    meters.joins.count();
    changes += 1;
    report({ event: "joined", id, address, port, files, agent, profile: `FT/${profile}`, peers: catalog.peers });
  }

  function remove(id: string, reason: string): void {
    const member = catalog.leave(id);
    clearTimeout(probes.get(id));
    probes.delete(id);
    if (member === undefined) return;
    changes += 1;
    const { address, port } = member;
    report({ event: "left", id, address, port, reason, peers: catalog.peers });
  }

  /** FT/1: a bare connect and close tells whether the peer is still there. */
  function probeLater(member: Member, at: { address: string; port: number }, delay: number, failures: number): void {
    const timer = setTimeout(async () => {
      const reach = await prober.reach(at);
      if (probes.get(member.id) !== timer || stopping) return;
      const failed = reach === undefined ? failures : reach.reachable ? 0 : failures + 1;
      if (failed >= PROBE_FAILURES) remove(member.id, "its port does not answer");
      else probeLater(member, at, timing.probe, failed);
    }, delay);
    probes.set(member.id, timer);
  }

  // -------------------------------------------------------------- the operator

  /** Why somebody at this address is not talked to. */
  function whyUnwanted(from: Address): string | undefined {
    const ban = bans.of(from);
    if (ban !== undefined) return `This tracker's operator keeps ${from} out${untilWhen(ban)}.`;
    const until = kicked.get(from) ?? 0;
    if (until > now()) return `This tracker's operator has disconnected ${from}; try again in a minute.`;
    kicked.delete(from);
    return undefined;
  }

  /** Ends what comes from an address; gives how many connections and FT/1 peers that were. */
  function dismissAll(from: Address): number {
    let count = 0;
    for (const conversation of [...conversations]) {
      if (conversation.address !== from) continue;
      conversation.dismiss("The tracker's operator has disconnected you.");
      count += 1;
    }
    for (const { id } of catalog.basicMembers(from)) {
      remove(id, "was dismissed");
      count += 1;
    }
    return count;
  }

  /** Gives how many peers were told. */
  function tellEverybody(words: string): number {
    const present = [...conversations].filter(({ isPresent }) => isPresent);
    for (const conversation of present) conversation.tell({ verb: "NOTICE", words });
    return present.length;
  }

  function obey(order: Order): OrderResult {
    const result = carryOut(order);
    if (result.done && order.order !== "status" && order.order !== "bans") {
      report({ event: "operator", order: order.order, words: result.lines.join(" ") });
    }
    return result;
  }

  function carryOut({ order, address: at = "", seconds, words = "" }: Order): OrderResult {
    const parsed = parseAddress(at);
    const from = parsed === undefined ? undefined : withoutZone(parsed);
    if (from === undefined && (order === "kick" || order === "ban" || order === "unban")) {
      return { done: false, lines: [`"${printable(at)}" is not an IP address.`] };
    }
    switch (order) {
      case "status":
        return { done: true, lines: describeSummary(summary()), data: summary() };
      case "kick": {
        if (from !== undefined) kicked.set(from, now() + KICK_MS);
        const count = from === undefined ? 0 : dismissAll(from);
        return { done: count > 0, lines: [count > 0 ? `Disconnected ${from}.` : `Nobody is here from ${from}.`] };
      }
      case "ban": {
        if (from === undefined) return { done: false, lines: [] };
        const ban = bans.add(from, seconds === undefined ? undefined : now() + seconds * 1000, words);
        dismissAll(from);
        return { done: true, lines: [`Keeping ${from} out${untilWhen(ban)}.`] };
      }
      case "unban": {
        const was = from !== undefined && (bans.remove(from) || kicked.delete(from));
        return { done: was, lines: [was ? `Letting ${from} in again.` : `${from} is not kept out.`] };
      }
      case "bans": {
        const { list } = bans;
        const lines = list.map((ban) => `${ban.address}${untilWhen(ban)}${ban.reason === "" ? "" : `: ${ban.reason}`}`);
        return { done: true, lines: lines.length === 0 ? ["Nobody is kept out."] : lines, data: list };
      }
      case "notice":
        if (words.trim() === "") return { done: false, lines: ["A notice needs words."] };
        return {
          done: true,
          lines: [`Told ${plural(tellEverybody(words.slice(0, NOTICE_LIMIT)), "peer")}: ${printable(words)}`],
        };
      default:
        order satisfies never;
        return { done: false, lines: [`"${printable(String(order))}" is no order.`] };
    }
  }

  function summary(): Summary {
    const rates = Object.fromEntries(Object.entries(meters).map(([what, { total, rate }]) => [what, { total, rate }]));
    return {
      name,
      version: VERSION,
      address,
      port,
      seconds: Math.floor((now() - since) / 1000),
      peers: catalog.peers,
      files: catalog.files,
      contents: catalog.contents,
      bytes: catalog.bytes,
      connections: conversations.size,
      rates: rates as Summary["rates"],
      refused: Object.fromEntries(refusals),
      bans: bans.list.length,
      memory: process.memoryUsage.rss(),
    };
  }

  return {
    address,
    port,
    catalog,
    summary,
    obey,
    stop: async () => {
      stopping = true;
      clearInterval(tidying);
      listener.stop();
      for (const timer of probes.values()) clearTimeout(timer);
      const closed = new Promise<void>((resolve) => {
        onLastClosed = resolve;
        if (conversations.size === 0) resolve();
      });
      for (const conversation of [...conversations]) conversation.dismiss("The tracker stops.");
      await Promise.race([Promise.all([closed, announcement?.stop()]), Bun.sleep(FAREWELL_MS)]);
      for (const { channel } of [...conversations]) channel.destroy();
      report({ event: "stopped" });
    },
  };
}

/** Who comes from the tracker's own machine comes from another address of it to every network: its pass says so. */
function passAddress({ remote, local }: Channel): Address {
  if (remote.address !== local.address || isLoopback(remote.address)) return remote.address;
  return (isIPv6(remote.address) ? "::1" : "127.0.0.1") as Address;
}

/** Refusals of one kind from one address: so many are told one by one in this time, the others as a number. */
const TOLD = 10;
const TOLD_IN_MS = 10_000;

/** Keeps a flood out of the log: what is refused again and again is told as a number. */
class Damper {
  readonly #report: (event: TrackerEvent) => void;
  readonly #now: () => number;
  readonly #kinds = new Map<string, { last: Extract<TrackerEvent, { event: "refused" }>; count: number }>();
  #from = 0;

  constructor(report: (event: TrackerEvent) => void, now: () => number) {
    this.#report = report;
    this.#now = now;
  }

  report(event: TrackerEvent): void {
    if (this.#now() - this.#from >= TOLD_IN_MS || event.event === "stopped") this.#tellNumbers();
    if (event.event !== "refused") {
      this.#report(event);
      return;
    }
    const key = `${event.address} ${event.code}`;
    const kind = this.#kinds.get(key) ?? { last: event, count: 0 };
    kind.last = event;
    kind.count += 1;
    this.#kinds.set(key, kind);
    if (kind.count <= TOLD) this.#report(event);
  }

  #tellNumbers(): void {
    for (const { last, count } of this.#kinds.values()) if (count > TOLD) this.#report({ ...last, more: count - TOLD });
    this.#kinds.clear();
    this.#from = this.#now();
  }
}

/** What a tracker does, for its operator. Rates are a second, over the last minute. */
export interface Summary {
  name: string;
  version: string;
  address: string;
  port: number;
  seconds: number;
  peers: number;
  files: number;
  contents: number;
  bytes: number;
  connections: number;
  rates: Record<"requests" | "searches" | "joins" | "refused", { total: number; rate: number }>;
  /** By the code of the refusal. */
  refused: Record<string, number>;
  bans: number;
  /** Resident, in bytes. */
  memory: number;
}

function untilWhen({ until }: Pick<Ban, "until">): string {
  return until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
}

function describeSummary(summary: Summary): string[] {
  const { rates, refused } = summary;
  const often = ({ total, rate }: { total: number; rate: number }) => `${total}, ${rate.toFixed(1)} a second`;
  const codes = Object.entries(refused).map(([code, count]) => `${count} ${code}`);
  return [
    `"${printable(summary.name)}", ft-tracker ${summary.version} on ${formatEndpoint(summary)}, for ${formatDuration(summary.seconds)}`,
    `peers        ${summary.peers} online, ${plural(summary.connections, "connection")}`,
    `files        ${summary.files} of ${formatSize(summary.bytes)}, ${plural(summary.contents, "content")}`,
    `requests     ${often(rates.requests)}`,
    `searches     ${often(rates.searches)}`,
    `joined       ${often(rates.joins)}`,
    `refused      ${often(rates.refused)}${codes.length === 0 ? "" : ` (${codes.join(", ")})`}`,
    `kept out     ${summary.bans === 1 ? "1 address" : `${summary.bans} addresses`}`,
    `memory       ${formatSize(summary.memory)}`,
  ];
}

/** An event as a log collector wants it: with its time, ISO 8601 UTC. */
function timed<Event extends object>(event: Event): Event & { time: string } {
  return { ...event, time: new Date().toISOString() };
}

/** An event as a line for a person. */
function describe(event: TrackerEvent): string {
  const time = new Date().toTimeString().slice(0, 8);
  switch (event.event) {
    case "listening":
      return `ft-tracker ${VERSION} listening on ${formatEndpoint(event)}`;
    case "addresses":
      return describeAddresses(event);
    case "announced":
      return `${time}  announced as "${printable(event.name)}"`;
    case "unreachable":
      return `${time}  blocked  ${formatEndpoint(event)}: its port does not let others in (${printable(event.reason)}); it will connect to them instead`;
    case "joined":
      return `${time}  joined   ${formatEndpoint(event)}, ${plural(event.files, "file")}, ${printable(event.agent)} (${plural(event.peers, "peer")} online)`;
    case "updated":
      return `${time}  updated  ${formatEndpoint(event)}, ${plural(event.files, "file")}`;
    case "left":
      return `${time}  left     ${formatEndpoint(event)}: ${printable(event.reason)} (${plural(event.peers, "peer")} online)`;
    case "refused":
      return event.more === undefined
        ? `${time}  refused  ${event.address}: ${printable(event.reason)}`
        : `${time}  refused  ${event.address}, ${event.more} times more: ${printable(event.reason)}`;
    case "operator":
      return `${time}  operator ${printable(event.words)}`;
    case "stopped":
      return `${time}  stopped`;
    default:
      return event satisfies never;
  }
}

function describeAddresses({ addresses, announced }: Extract<TrackerEvent, { event: "addresses" }>): string {
  const plain = announced ? "ft-peer   or, with the address: " : "";
  if (addresses.length > 0)
    return `Peers on this network can run: ${plain}${addresses.map((one) => `ft-peer ${one}`).join("   or: ")}`;
  return `This machine has no network address now; peers on it can run: ${plain}ft-peer 127.0.0.1`;
}

async function main(argv: string[]): Promise<number> {
  let json = argv.includes("--json");
  try {
    const parsed = parseTrackerArguments(argv);
    if ("text" in parsed) {
      out(parsed.text);
      return EXIT.done;
    }
    const { options, order, quiet } = parsed;
    json = parsed.json;
    if (order !== undefined) {
      const { done, lines, data } = await giveOrder(options.port, order);
      if (json) out(jsonLine({ event: order.order, done, words: lines.join(" "), data }));
      else for (const line of lines) (done ? out : err)(line);
      return done ? EXIT.done : EXIT.failed;
    }
    const report = (event: TrackerEvent) => {
      if (!quiet) out(json ? jsonLine(timed(event)) : describe(event));
    };
    const tracker = startTracker({ ...options, report });
    const door = openDoor(tracker.port, tracker.obey, (reason) => {
      if (!quiet) err(`Commands such as "ft-tracker status" do not reach this tracker: ${printable(reason)}.`);
    });
    if (process.platform !== "win32") {
      process.on("SIGUSR1", () => {
        if (json) out(jsonLine(timed({ event: "status", ...tracker.summary() })));
        else for (const line of describeSummary(tracker.summary())) out(line);
      });
    }
    await new Promise<void>((resolve) => {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
    });
    door.close();
    await tracker.stop();
    return EXIT.done;
  } catch (error) {
    return exitCodeFor(error, (message, code) => (json ? out(jsonLine({ event: "error", code, message })) : err(message)));
  }
}

if (import.meta.main) await runProgram(main);
