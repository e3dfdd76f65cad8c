#!/usr/bin/env bun
// ft-tracker: the index server of a LAN. It knows which online peer has which file, and serves only peers it has accepted.
//
//     ft-tracker [--port 1234]     runs a tracker until Ctrl-C
//     ft-tracker COMMAND           gives an order to the tracker that runs on this machine
//
// Each TCP connection is one conversation. An FT/2 peer stays connected for as long as it is online; an FT/1 program connects for
// one exchange at a time. The index holds what the online peers say. Only bans are written to disk.

import { hostname } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "./lib/clock.ts";
import { UsageError } from "./lib/error.ts";
import { userFolder } from "./lib/files.ts";
import type { Dial } from "./lib/net/channel.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom, likelyAddresses } from "./lib/net/interfaces.ts";
import { type Listener, type ListenOptions, listen } from "./lib/net/listen.ts";
import {
  EXIT,
  err,
  exitCodeFor,
  numberOption,
  out,
  readArguments,
  runProgram,
  shellOption,
  VERSION,
} from "./lib/program/cli.ts";
import { completionScript } from "./lib/program/completions.ts";
import { LIMIT_OPTIONS, LIMITS, type Limits } from "./lib/program/limits.ts";
import { formatEndpoint, isIPv6, parseAddress } from "./lib/protocol/address.ts";
import { DEFAULT_TRACKER_PORT } from "./lib/protocol/messages.ts";
import { byteLength, NAME_LIMIT } from "./lib/protocol/record.ts";
import { encodeFromTracker } from "./lib/protocol/write.ts";
import { jsonLine, parseDuration, printable } from "./lib/text.ts";
import { type Announcement, announce } from "./lib/tracker/announce.ts";
import { Bans } from "./lib/tracker/bans.ts";
import { Catalog } from "./lib/tracker/catalog.ts";
import { Conversation } from "./lib/tracker/conversation.ts";
import { Credentials } from "./lib/tracker/credentials.ts";
import { describeEvent, EventDamper, type TrackerEvent, withTime } from "./lib/tracker/events.ts";
import { Members } from "./lib/tracker/members.ts";
import { Activity } from "./lib/tracker/meter.ts";
import { describeSummary, Operator, type Order, type OrderResult, type Summary } from "./lib/tracker/operator.ts";
import { giveOrder, openOperatorSocket } from "./lib/tracker/operator-socket.ts";
import { OpenConversations, type TrackerParts } from "./lib/tracker/parts.ts";
import { Prober } from "./lib/tracker/prober.ts";
import { tidyMemory } from "./lib/tracker/tidy.ts";
import { SearchTimes } from "./lib/tracker/turns.ts";

export const USAGE = `ft-tracker: knows which peer on this network has which file.

Usage: ft-tracker [options]
       ft-tracker COMMAND [--port N]    to one that is running on this machine

  status               what it does: peers, files, rates, refused, memory (or: SIGUSR1)
  kick ADDRESS         disconnect an address; it may come back after a minute
  ban ADDRESS          disconnect it and keep it out, for good or --for a while
  unban ADDRESS        let it in again
  bans                 who is kept out, and for how long
  notice WORDS         tell every peer

  --port N             port to listen on (default ${DEFAULT_TRACKER_PORT}; 0 takes a free one)
  --host ADDRESS       address to listen on (default: every interface, IPv4 and IPv6)
  --name NAME          what peers see as this tracker's name (default: the host's name)
  --no-announce        do not announce the tracker on the network
  --for DURATION       how long a ban holds, such as 30m, 2h or 7d
  --bans FILE          where bans are kept (default: bans.txt in this user's state folder)
  --json               one JSON object a line for each event
  --quiet              print errors only
  --completions SHELL  completions for bash, zsh, fish or powershell
  --help               this text
  --version            the version

Limits:

${LIMIT_OPTIONS.map(({ option, label, about }) => `  ${`--${option} ${label}`.padEnd(19)}  ${about}`).join("\n")}

Peers then run:  ft-peer   or, where announcements do not get through, ft-peer ADDRESS
with one of the addresses printed at the start.
Ctrl-C stops it; the peers come back by themselves when it is started again.`;

export interface TrackerOptions {
  port: number;
  /** Undefined: every interface. */
  host?: string | undefined;
  name: string;
  /** The limits that differ from the defaults. */
  limits?: Partial<Limits>;
  /** Whether peers may find the tracker by DNS-SD. */
  announce?: boolean;
  /** The file in which bans are kept. Without it they end with the tracker. */
  bans?: string | undefined;
  /** Called with everything that happens. */
  report(event: TrackerEvent): void;
  /** Tests hand in a clock and a network of their own. */
  clock?: Clock;
  network?: { listen(options: ListenOptions): Listener; dial: Dial };
}

/** When the tracker stops, its peers have this time to read the notice. Milliseconds. */
const FAREWELL_MS = 2_000;

export interface Tracker {
  readonly address: string;
  readonly port: number;
  readonly catalog: Catalog;
  /** What it does at the moment, for its operator. */
  summary(): Summary;
  /** Carries out an operator's order. */
  obey(order: Order): OrderResult;
  /** Accepts no more connections, tells the peers, and resolves when all connections are closed. */
  stop(): Promise<void>;
}

/** Starts a tracker. Throws a sentence when it cannot listen. */
export function startTracker(options: TrackerOptions): Tracker {
  const { name, host, announce: announced = false, clock = systemClock, network = { listen, dial } } = options;
  const damper = new EventDamper(options.report, clock);
  let stopping = false;
  const report = (event: TrackerEvent) => damper.report(event);
  const reportUntilStop = (event: TrackerEvent) => {
    if (!stopping) report(event);
  };

  const limits = { ...LIMITS, ...options.limits };
  limits.results = Math.min(limits.results, limits.mostResults);
  const activity = new Activity(clock);
  const catalog = new Catalog();
  const prober = new Prober(network.dial);
  const members = new Members({ clock, catalog, activity, prober, dialable: dialableFrom, most: limits.peers, report });
  const parts: TrackerParts = {
    about: { name, announced },
    limits,
    clock,
    catalog,
    members,
    credentials: new Credentials(clock),
    conversations: new OpenConversations(),
    activity,
    searchTimes: new SearchTimes(limits.findTime, clock),
    whyRefused: (from) => operator.whyRefused(from),
  };
  const { conversations } = parts;
  const listener = network.listen({
    host,
    port: options.port,
    maxPerAddress: limits.perAddress,
    maxConnections: limits.connections,
    onConnection: (channel) => new Conversation(parts, channel).start(),
    onRefused: (code, { address }) => {
      const words =
        code === "tracker-full"
          ? "The tracker has no room for more connections; try again later."
          : `There are ${limits.perAddress} connections from ${address} already; close one first.`;
      members.refused(address, code, words);
      return encodeFromTracker({ verb: "ERROR", code, words });
    },
  });
  const { address, port } = listener;
  const operator = new Operator(parts, { address, port }, new Bans(options.bans, () => clock.at()), report);
  report({ event: "listening", address, port });
  reportAddresses(host, port, announced, reportUntilStop);
  const announcement = announced ? announceAs(name, listener, reportUntilStop) : undefined;
  const stopTidying = tidyMemory(clock, () => ({
    requests: activity.requests.total,
    changes: members.changes,
    peers: catalog.peers,
  }));

  return {
    address,
    port,
    catalog,
    summary: () => operator.summary(),
    obey: (order) => operator.obey(order),
    stop: async () => {
      stopping = true;
      stopTidying();
      listener.stop();
      members.stop();
      conversations.dismiss("The tracker stops.");
      const farewell = Promise.withResolvers<void>();
      const cancel = clock.after(FAREWELL_MS, farewell.resolve);
      await Promise.race([Promise.all([conversations.allClosed(), announcement?.stop()]), farewell.promise]);
      cancel();
      conversations.destroy();
      report({ event: "stopped" });
    },
  };
}

/** Reports the addresses that peers can type. A tracker on every interface has to look them up first. */
function reportAddresses(
  host: string | undefined,
  port: number,
  announced: boolean,
  report: (event: TrackerEvent) => void,
): void {
  const tell = (all: string[]) => {
    const addresses = all.map((address) => (port === DEFAULT_TRACKER_PORT ? address : formatEndpoint({ address, port })));
    report({ event: "addresses", addresses, announced });
  };
  if (host !== undefined && host !== "::" && host !== "0.0.0.0") tell([host]);
  // A tracker on 0.0.0.0 cannot be reached by IPv6.
  else void likelyAddresses().then((all) => tell(all.filter((address) => host !== "0.0.0.0" || !isIPv6(address))));
}

/** Announces the tracker by DNS-SD, and reports each name under which it is shown. */
function announceAs(name: string, { address, port }: Listener, report: (event: TrackerEvent) => void): Announcement {
  const reported = new Set<string>();
  const announced = (shown: string) => {
    if (!reported.has(shown)) report({ event: "announced", name: shown });
    reported.add(shown);
  };
  return announce({ name, port, version: VERSION, host: address, announced });
}

/** The options of a command line; throws a `UsageError`. Only a text when that is all that was asked for. */
export function parseOptions(
  argv: string[],
): { text: string } | { options: Omit<TrackerOptions, "report">; order?: Order; json: boolean; quiet: boolean } {
  const { values, positionals } = readArguments(
    argv,
    {
      port: { type: "string", default: String(DEFAULT_TRACKER_PORT) },
      host: { type: "string" },
      name: { type: "string", default: hostname() },
      ...(Object.fromEntries(LIMIT_OPTIONS.map(({ option }) => [option, { type: "string" }])) as LimitArguments),
      for: { type: "string" },
      bans: { type: "string" },
      "no-announce": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      quiet: { type: "boolean", default: false },
      completions: { type: "string" },
      help: { type: "boolean", default: false },
      version: { type: "boolean", default: false },
    },
    "ft-tracker",
  );
  if (values.help) return { text: USAGE };
  if (values.completions !== undefined) return { text: completionScript(shellOption(values.completions), "ft-tracker") };
  if (values.version) return { text: `ft-tracker ${VERSION}` };
  const order = positionals[0] === undefined ? undefined : orderOf(positionals, values.for);
  if (order?.order !== "ban" && values.for !== undefined) throw new UsageError("--for belongs to ban ADDRESS.");
  const host = values.host === undefined ? undefined : parseAddress(values.host);
  if (values.host !== undefined && host === undefined) {
    throw new UsageError(`--host needs an IP address of this machine, not "${printable(values.host)}".`);
  }
  if (values.name === "" || byteLength(values.name) > NAME_LIMIT) {
    throw new UsageError(`--name needs 1 to ${NAME_LIMIT} bytes.`);
  }
  return {
    options: {
      host,
      port: numberOption("--port", values.port, 0, 65535),
      name: values.name,
      limits: limitsOf(values),
      bans: values.bans ?? join(userFolder("state"), "bans.txt"),
      announce: !values["no-announce"],
    },
    ...(order === undefined ? {} : { order }),
    json: values.json,
    quiet: values.quiet,
  };
}

/** What the operator orders: the command, and what belongs to it. */
function orderOf([command = "", ...rest]: string[], duration: string | undefined): Order {
  const [first] = rest;
  switch (command) {
    case "status":
    case "bans":
      if (first !== undefined) throw new UsageError(`"${printable(first)}" is too much behind ${command}.`);
      return { order: command };
    case "kick":
    case "ban":
    case "unban": {
      if (first === undefined || parseAddress(first) === undefined) {
        throw new UsageError(
          `${command} needs an IP address, not "${printable(first ?? "")}". Try: ft-tracker ${command} 192.168.1.7`,
        );
      }
      const seconds = duration === undefined ? undefined : parseDuration(duration);
      if (duration !== undefined && seconds === undefined) {
        throw new UsageError(`--for needs a duration such as 30m, 2h or 7d, not "${printable(duration)}".`);
      }
      return { order: command, address: first, words: rest.slice(1).join(" "), ...(seconds === undefined ? {} : { seconds }) };
    }
    case "notice":
      if (first === undefined) throw new UsageError("notice needs words. Try: ft-tracker notice The tracker moves at noon");
      return { order: command, words: rest.join(" ") };
    default:
      throw new UsageError(`"${printable(command)}" is not an option or a command. Try: ft-tracker --help`);
  }
}

type LimitArguments = Record<string, { type: "string" }>;

/** The limits that were given. */
function limitsOf(values: Record<string, unknown>): Partial<Limits> {
  const limits: Partial<Limits> = {};
  for (const { option, limit, least, most } of LIMIT_OPTIONS) {
    const given = values[option];
    if (typeof given === "string") limits[limit] = numberOption(`--${option}`, given, least, most);
  }
  return limits;
}

/** Gives an order to the tracker of this user on this machine. */
async function order(port: number, order: Order, json: boolean): Promise<number> {
  const { done, lines, data } = await giveOrder(port, order);
  if (json) out(jsonLine({ event: order.order, done, words: lines.join(" "), data }));
  else for (const line of lines) (done ? out : err)(line);
  return done ? EXIT.done : EXIT.failed;
}

/** Runs a tracker until a signal stops it. */
async function serve(options: Omit<TrackerOptions, "report">, json: boolean, quiet: boolean): Promise<number> {
  const report = (event: TrackerEvent) => {
    if (!quiet) out(json ? jsonLine(withTime(event)) : describeEvent(event));
  };
  const tracker = startTracker({ ...options, report });
  const socket = openOperatorSocket(tracker.port, tracker.obey, (reason) => {
    if (!quiet) err(`Commands such as "ft-tracker status" do not reach this tracker: ${printable(reason)}.`);
  });
  if (process.platform !== "win32") {
    process.on("SIGUSR1", () => {
      if (json) out(jsonLine(withTime({ event: "status", ...tracker.summary() })));
      else for (const line of describeSummary(tracker.summary())) out(line);
    });
  }
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  socket.close();
  await tracker.stop();
  return EXIT.done;
}

async function main(argv: string[]): Promise<number> {
  let json = argv.includes("--json");
  try {
    const parsed = parseOptions(argv);
    if ("text" in parsed) {
      out(parsed.text);
      return EXIT.done;
    }
    json = parsed.json;
    const { options, quiet } = parsed;
    if (parsed.order !== undefined) return await order(options.port, parsed.order, json);
    return await serve(options, json, quiet);
  } catch (error) {
    return exitCodeFor(error, (message, code) => (json ? out(jsonLine({ event: "error", code, message })) : err(message)));
  }
}

if (import.meta.main) await runProgram(main);
