#!/usr/bin/env bun
// ft-tracker: the index server of a LAN. It knows which online peer has which file, and serves only peers it has accepted.
//
//     ft-tracker [--port 1234]     runs a tracker until Ctrl-C
//     ft-tracker COMMAND           gives an order to the tracker that runs on this machine
//
// Each TCP connection is one conversation. An FT/2 peer stays connected for as long as it is online; an FT/1 program connects for one
// exchange at a time. The index holds the records of the online peers. The tracker writes only bans and its own key to disk.

import { type KeyObject, randomBytes } from "node:crypto";
import { join } from "node:path";
import { type Clock, sleep, systemClock } from "./lib/clock.ts";
import { codeOf, sentenceOf, UsageError } from "./lib/error.ts";
import { userFolder } from "./lib/files.ts";
import type { Certificate } from "./lib/net/certificate.ts";
import type { Channel, Dial } from "./lib/net/channel.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom } from "./lib/net/interfaces.ts";
import { type Listener, type ListenOptions, listen, type RefusalCode } from "./lib/net/listen.ts";
import { colours, EXIT, endSoon, err, exitCodeFor, goOnWithoutOutput, out, runProgram, VERSION } from "./lib/program/cli.ts";
import { roomSecret } from "./lib/program/room-key.ts";
import { outsideOf } from "./lib/program/settings.ts";
import { endingSignals } from "./lib/program/signals.ts";
import { type Address, formatEndpoint, hostOf, isIPv6, parseAddress } from "./lib/protocol/address.ts";
import { DEFAULT_TRACKER_PORT } from "./lib/protocol/numbers.ts";
import { encodeFromTracker } from "./lib/protocol/write.ts";
import { jsonLine, printable } from "./lib/text.ts";
import type { Catalog } from "./lib/tracker/catalog.ts";
import { Conversation } from "./lib/tracker/conversation.ts";
import { Credentials } from "./lib/tracker/credentials.ts";
import { EventDamper, type TrackerEvent, TrackerLog, withTime } from "./lib/tracker/events.ts";
import { Group } from "./lib/tracker/group/group.ts";
import { Neighbours } from "./lib/tracker/group/neighbours.ts";
import { openRedis, type RedisPlace } from "./lib/tracker/group/redis.ts";
import type { SharedIndex } from "./lib/tracker/group/shared-index.ts";
import { startSharing } from "./lib/tracker/group/start.ts";
import type { OpenStore } from "./lib/tracker/group/store.ts";
import { LIMITS, type Limits } from "./lib/tracker/limits.ts";
import { Bans } from "./lib/tracker/operator/bans.ts";
import { describeSummary, Operator, type Summary } from "./lib/tracker/operator/operator.ts";
import { giveOrder, NO_TRACKER, openOperatorSocket } from "./lib/tracker/operator/operator-socket.ts";
import type { Order, OrderResult } from "./lib/tracker/operator/orders.ts";
import { parseTrackerArguments } from "./lib/tracker/options.ts";
import { Gate } from "./lib/tracker/room/gate.ts";
import { changeKey, type KeptRoom, keepRoom, openRoom, roomKeyPath, wasRoom } from "./lib/tracker/room/kept-room.ts";
import { TrackerState } from "./lib/tracker/state.ts";
import { type Announcement, announce } from "./lib/tracker/system/announce.ts";
import { writesToJournal } from "./lib/tracker/system/journal.ts";
import { likelyAddresses } from "./lib/tracker/system/likely-addresses.ts";
import { keepKey, ownKey } from "./lib/tracker/system/own-key.ts";
import { tidyMemory } from "./lib/tracker/system/tidy.ts";
import { openSite } from "./lib/tracker/web/open.ts";
import { qrLines } from "./lib/tracker/web/qr.ts";

export interface TrackerOptions {
  port: number;
  /** Undefined: every interface. */
  host?: string | undefined;
  name: string;
  /** The limits that differ from the defaults. */
  limits?: Partial<Limits>;
  /** Whether peers may find the tracker by DNS-SD. */
  announce?: boolean;
  /** The group of trackers that it belongs to. */
  group?: string | undefined;
  /** The Redis by which the trackers of the group share one index. */
  redis?: RedisPlace | undefined;
  /** Answers browsers with a page. `guests`: they may download from peers that agree. */
  web?: "page" | "guests" | undefined;
  /** The file in which bans are kept. Without it they end with the tracker. */
  bans?: string | undefined;
  /** The key by which peers know the tracker again. Without it the tracker makes a new one. */
  key?: KeyObject;
  /** With it the tracker is a private room: its connections are encrypted, and peers show that they know the key with this secret. */
  room?: { secret: Uint8Array; certificate: Certificate } | undefined;
  /** Called with everything that happens. */
  report(event: TrackerEvent): void;
  /** Tests hand in a clock and a network of their own. */
  clock?: Clock;
  network?: { listen(options: ListenOptions): Listener; dial: Dial; redis?(place: RedisPlace): OpenStore };
}

/** The name under which every private room is announced. */
const ROOM_NAME = "Private room";

/** When the tracker stops, its peers have this time to read the notice. Milliseconds. */
const FAREWELL_MS = 2_000;
/** The group of a tracker that was given a Redis, but no group. */
const ONE_GROUP = "default";

export interface Tracker {
  readonly address: string;
  readonly port: number;
  readonly catalog: Catalog;
  /** The present state of the tracker, for its operator. */
  summary(): Summary;
  /** Carries out an operator's order. */
  obey(order: Order): OrderResult;
  /** Gives a private room another key. Everybody has to show the new one. */
  changeSecret(secret: Uint8Array): void;
  /** Writes the bans again when their file was deleted with its folder. Throws when that cannot be. */
  keepBans(): void;
  /** Accepts no more connections, tells the peers, and resolves when all connections are closed. */
  stop(): Promise<void>;
}

/** Starts a tracker. Throws a sentence when it cannot listen. */
export function startTracker(options: TrackerOptions): Tracker {
  const {
    name,
    host,
    announce: announced = false,
    clock = systemClock,
    network = { listen, dial, redis: openRedis },
    room,
  } = options;
  const damper = new EventDamper(options.report, clock);
  const limits = { ...LIMITS, ...options.limits };
  limits.results = Math.min(limits.results, limits.mostResults);
  const group = options.group === undefined && options.redis === undefined ? undefined : new Group(options.group ?? ONE_GROUP);
  const state = new TrackerState({
    name,
    announced,
    room: room !== undefined,
    guests: options.web === "guests",
    limits,
    clock,
    bans: new Bans(options.bans, () => clock.at()),
    credentials: new Credentials(clock, options.key),
    group,
    dial: network.dial,
    dialable: dialableFrom,
    report: (event) => damper.report(event),
  });
  const { report } = state.setup;
  let stopping = false;
  const reportUntilStop = (event: TrackerEvent) => {
    if (!stopping) report(event);
  };
  const converse = (channel: Channel) => new Conversation(state, channel).start();
  const gate = room && gateOf(state, room.secret, converse);
  const web =
    options.web === undefined
      ? undefined
      : openSite(state, {
          guests: options.web === "guests",
          names: () => announcement?.hosts ?? [],
          summary: () => operator.summary(),
        });
  const listener = network.listen({
    host,
    tls: room?.certificate,
    port: options.port,
    maxPerAddress: limits.perAddress,
    maxConnections: limits.connections,
    onConnection: (channel) => {
      if (gate !== undefined) gate.accept(channel);
      else if (web === undefined) converse(channel);
      else web.accept(channel);
    },
    onRefused: (code, { address }) => {
      const words = whyNoRoom(code, address, limits);
      state.refused(address, code, words);
      return encodeFromTracker({ verb: "ERROR", code, words });
    },
  });
  const { address, port } = listener;
  const operator = new Operator(state, { address, port });
  report({ event: "listening", address, port, ...(room === undefined ? {} : { room: true }) });
  reportAddresses({ host, port, announced, web: options.web }, reportUntilStop);
  const announcement = announced ? announceAs(state, listener, reportUntilStop) : undefined;
  const stopTidying = tidyMemory(state);
  const redis = options.redis && { shown: options.redis.shown, open: (network.redis ?? openRedis)(options.redis) };
  const shared = group && redis && shareIndex(state, group, redis, { host, port });

  return {
    address,
    port,
    catalog: state.catalog,
    summary: () => operator.summary(),
    obey: (order) => operator.obey(order),
    changeSecret: (secret) => {
      gate?.changeKey(secret);
      // They come back when they have the new key.
      state.endRoom();
    },
    keepBans: () => state.setup.bans.keep(),
    stop: async () => {
      stopping = true;
      gate?.stop();
      stopTidying();
      web?.stop();
      listener.stop();
      await Promise.race([shared?.stop(), sleep(clock, FAREWELL_MS)]);
      const goodbyes = Promise.all([state.stop(), announcement?.stop()]);
      await Promise.race([goodbyes, sleep(clock, FAREWELL_MS)]);
      for (const { channel } of [...state.connections]) channel.destroy();
      report({ event: "stopped" });
    },
  };
}

/** The gate of a private room. */
function gateOf(state: TrackerState, secret: Uint8Array, enter: (channel: Channel) => void): Gate {
  return new Gate(secret, {
    random: () => randomBytes(32),
    clock: state.clock,
    withinMs: state.limits.acceptance * 1000,
    enter,
    refused: (address, code, reason) => state.refused(address, code, reason),
  });
}

/** The reason to refuse a connection before its first byte. */
function whyNoRoom(code: RefusalCode, address: string, { perAddress }: Limits): string {
  if (code === "tracker-full") return "The tracker has no room for more connections. Try again later.";
  return `Too many connections from ${hostOf(address)} (limit ${perAddress}).`;
}

/** Whether a tracker that listens there listens on every address of this machine. */
function isEveryAddress(host: string | undefined): boolean {
  return host === undefined || host === "::" || host === "0.0.0.0";
}

/** Reports the addresses that peers can type. A tracker on every interface has to look them up first. */
function reportAddresses(
  { host, port, announced, web }: { host: string | undefined; port: number; announced: boolean; web: TrackerOptions["web"] },
  report: (event: TrackerEvent) => void,
): void {
  const tell = (all: string[]) => {
    const addresses = all.map((address) => (port === DEFAULT_TRACKER_PORT ? address : formatEndpoint({ address, port })));
    report({ event: "addresses", addresses, announced });
    if (web === undefined) return;
    const pages = [...all, ...(all.length === 0 ? ["127.0.0.1"] : [])].map(
      (address) => `http://${formatEndpoint({ address, port })}/`,
    );
    report({ event: "web", addresses: pages, guests: web === "guests" });
  };
  if (host !== undefined && !isEveryAddress(host)) tell([host]);
  // A tracker on 0.0.0.0 cannot be reached by IPv6.
  else void likelyAddresses().then((all) => tell(all.filter((address) => host !== "0.0.0.0" || !isIPv6(address))));
}

/** Shares the index of this tracker with the others of its group. */
function shareIndex(
  state: TrackerState,
  group: Group,
  { shown, open }: { shown: string; open: OpenStore },
  { host, port }: { host: string | undefined; port: number },
): SharedIndex {
  const only = isEveryAddress(host) ? undefined : parseAddress(host ?? "");
  const places = async () => {
    const found = only === undefined ? await likelyAddresses() : [only];
    // Without a network, the group is on this computer.
    const all = found.length > 0 ? found : ["127.0.0.1" as Address];
    return all.map((address) => ({ address, port }));
  };
  const self = randomBytes(6).toString("hex");
  return startSharing(state, { group, redis: shown, open, self, places, random: Math.random });
}

/** Announces the tracker by DNS-SD, and reports each name under which it is shown. A tracker of a group hears the others. */
function announceAs(
  state: TrackerState,
  { address, port }: Listener,
  report: (event: TrackerEvent) => void,
): Pick<Announcement, "hosts" | "stop"> {
  const { name, group, credentials, clock, room } = state.setup;
  const { key } = credentials;
  const reported = new Set<string>();
  const announced = (shown: string) => {
    if (!reported.has(shown)) report({ event: "announced", name: shown });
    reported.add(shown);
  };
  // The name and the key of a private room are nobody's business outside.
  const shown = room ? { name: ROOM_NAME, room } : { name, key };
  const options = { ...shown, port, version: VERSION, host: address, announced };
  if (group === undefined) return announce(options);
  const changed = () => group.changed(state);
  const neighbours = new Neighbours({ group: group.name, key, clock, ask: () => announcement.ask(), changed });
  group.add(neighbours);
  const announcement = announce({ ...options, group: group.name, heard: (packet, from) => neighbours.hear(packet, from) });
  return {
    hosts: announcement.hosts,
    stop: () => {
      neighbours.stop();
      return announcement.stop();
    },
  };
}

/** Gives an order to the tracker of this user on this machine. */
async function order(port: number, order: Order, json: boolean): Promise<number> {
  const { done, lines, data } = await giveOrder(port, order).catch((error: unknown) => {
    // A room that does not run gets its new key, too. One that runs and does not answer makes another one when it can.
    if (codeOf(error) !== NO_TRACKER || order.order !== "room" || !wasRoom(port)) throw error;
    return changeKey(roomKeyPath(port), false).result;
  });
  // A screen of several lines is for people: a program reads the same from `data`.
  const words = lines.length === 1 ? lines[0] : undefined;
  if (json) out(jsonLine({ event: order.order, done, words, data }));
  else for (const line of lines) (done ? out : err)(line);
  return done ? EXIT.done : EXIT.failed;
}

/** Gives the private room of a running tracker another key. */
function newRoom(tracker: Tracker, room: KeptRoom): OrderResult {
  const changed = changeKey(room.path, true);
  if ("key" in changed) {
    room.key = changed.key;
    tracker.changeSecret(roomSecret(changed.key));
  }
  return changed.result;
}

/** Runs a tracker until a signal stops it. */
async function serve(
  options: Omit<TrackerOptions, "report" | "room">,
  room: KeptRoom | undefined,
  json: boolean,
  quiet: boolean,
): Promise<number> {
  // These come before the line that says that the tracker listens: a program that reads it may end the tracker at once. A closed terminal
  // window sends SIGHUP more than once, and the second one must not end the program before its goodbye.
  const told = Promise.withResolvers<void>();
  for (const signal of endingSignals()) process.on(signal, () => told.resolve());
  const log = new TrackerLog(colours, writesToJournal());
  const report = (event: TrackerEvent) => {
    if (quiet) return;
    for (const line of json ? [jsonLine(withTime(event))] : log.lines(event, new Date())) out(line);
    if (event.event === "web" && !json && process.stdout.isTTY) {
      const { columns, rows } = process.stdout;
      for (const line of qrLines(event.addresses[0] ?? "", columns, rows) ?? []) out(line);
    }
  };
  // Peers need the tracker more than anybody needs its log.
  goOnWithoutOutput("with a full disk");
  // A tracker on any free port is another one each time.
  const keyPath = join(userFolder("state"), `key-${options.port}.pem`);
  let lost = "";
  const key = options.port === 0 ? undefined : ownKey(keyPath, (reason) => (lost = reason));
  const secret = room && roomSecret(room.key);
  const own = { ...(key === undefined ? {} : { key }), room: room && secret && { ...room, secret } };
  const tracker = startTracker({ ...options, ...own, report });
  if (room !== undefined) report(room.event);
  if (lost !== "" && !quiet) err(`After the next start of this tracker, peers do not know it again: ${lost}.`);
  const unreachable = (reason: string) => {
    if (!quiet) err(`Commands such as "ft-tracker status" do not reach this tracker: ${reason}.`);
  };
  const remade = () => {
    if (key !== undefined) keepKey(keyPath, key);
    if (room !== undefined) keepRoom(room, options.port);
    if (!quiet) err(`Somebody has deleted this tracker's files in "${printable(userFolder("state"))}". They were made anew.`);
    try {
      tracker.keepBans();
    } catch (error) {
      err(`The bans end with this tracker: ${printable(sentenceOf(error))}.`);
    }
  };
  const obey = (order: Order) => (room !== undefined && order.order === "room" ? newRoom(tracker, room) : tracker.obey(order));
  const closeSocket = openOperatorSocket(tracker.port, obey, unreachable, remade);
  if (process.platform !== "win32") {
    process.on("SIGUSR1", () => {
      if (json) out(jsonLine(withTime({ event: "status", ...tracker.summary() })));
      else for (const line of describeSummary(tracker.summary())) out(line);
    });
  }
  await told.promise;
  closeSocket();
  await tracker.stop();
  endSoon(EXIT.done);
  return EXIT.done;
}

/** Whether a person can be asked. */
function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** For an operator who forgot --room. */
const OPEN_NOW =
  "This tracker is open to everybody now. It was a private room before, and peers that know it refuse to join. To make it one again: ft-tracker --room";

const NO_GROUP =
  "A private room is one tracker of its own: its members are not passed on to others. Leave --group and --redis out, or --room and the key.";
const NO_WEB = "A private room has no web page, because browsers do not know its key. Leave --web out, or --room and the key.";

async function main(argv: string[]): Promise<number> {
  let json = argv.includes("--json");
  try {
    const outside = outsideOf("ft-tracker");
    const parsed = parseTrackerArguments(argv, outside);
    if (outside.remark !== undefined) err(printable(outside.remark));
    if ("text" in parsed) {
      out(parsed.text);
      return EXIT.done;
    }
    json = parsed.json;
    const { options, quiet } = parsed;
    if (parsed.order !== undefined) return await order(options.port, parsed.order, json);
    if (parsed.remark !== undefined) err(parsed.remark);
    const room = await openRoom({ ...parsed.room, port: options.port }, hasTerminal() && !quiet && !json);
    if (room !== undefined && options.web !== undefined) throw new UsageError(NO_WEB);
    if (room !== undefined && (options.group ?? options.redis) !== undefined) throw new UsageError(NO_GROUP);
    if (room === undefined && wasRoom(options.port)) err(OPEN_NOW);
    return await serve(options, room, json, quiet);
  } catch (error) {
    return exitCodeFor(error, (message, code) => (json ? out(jsonLine({ event: "error", code, message })) : err(message)));
  }
}

if (import.meta.main) await runProgram(main);
