// Reads the command line of ft-tracker: the table of its options and commands, and its help.

import { hostname } from "node:os";
import { join } from "node:path";
import { UsageError } from "../error.ts";
import { homeFolder, userFolder } from "../files.ts";
import { didYouMean } from "../nearest.ts";
import { textAskedFor } from "../program/cli.ts";
import {
  type Command,
  commandRows,
  DURATION,
  FILE,
  FLAG,
  type Kind,
  misplacedOption,
  type Option,
  optionRows,
  type ProgramTable,
  readValues,
  refuse,
  SHELL,
  splitArguments,
  TEXT,
  wholeNumber,
} from "../program/options.ts";
import { describeSettings, NOTHING_OUTSIDE, type Outside, type Settings, settingsFrom } from "../program/settings.ts";
import { type Address, parseAddress } from "../protocol/address.ts";
import { GROUP_NAME_LIMIT } from "../protocol/group.ts";
import { DEFAULT_TRACKER_PORT } from "../protocol/numbers.ts";
import { NAME_LIMIT } from "../protocol/record.ts";
import { byteLength, parseDuration, printable } from "../text.ts";
import { hasPassword, parseRedisUrl, type RedisPlace, readRedisFile, withoutPassword } from "./group/redis.ts";
import { LIMIT_TABLE, type Limits } from "./limits.ts";
import type { Order } from "./operator/orders.ts";
import { serviceText } from "./system/service.ts";

/** An address of this machine. */
const HOST: Kind<Address> = {
  completes: "nothing",
  read: (text, option) => parseAddress(text) ?? refuse(option, "an IP address of this machine", text),
};

const TRACKER_NAME: Kind<string> = {
  ...TEXT,
  read: (text, option) => {
    if (text !== "" && byteLength(text) <= NAME_LIMIT) return text;
    throw new UsageError(`${option} needs 1 to ${NAME_LIMIT} bytes.`);
  },
};

const GROUP_NAME: Kind<string> = {
  ...TEXT,
  read: (text, option) => {
    const isName = text.trim() !== "" && byteLength(text) <= GROUP_NAME_LIMIT && !/[\u0000-\u001f\u007f-\u009f]/.test(text);
    return isName ? text.trim() : refuse(option, `1 to ${GROUP_NAME_LIMIT} bytes on one line`, text);
  },
};

/** The password of a URL is not repeated anywhere. */
const REDIS_URL: Kind<RedisPlace> = { ...TEXT, read: parseRedisUrl, shown: withoutPassword };

/** The name of a tracker whose person has given none: the host's name without its domain, such as the "local" of macOS. */
export function defaultTrackerName(host = hostname()): string {
  return /^[^.]+/.exec(host)?.[0] ?? "tracker";
}

/** Whether there is a web page, and whether guests may download by it. */
const WEB: Kind<"page" | "guests"> = {
  completes: ["guests"],
  read: (text, option) => (text === "page" || text === "guests" ? text : refuse(option, "page or guests", text)),
};

const COMMANDS: readonly Command[] = [
  { name: "status", about: "peers, files, rates, refusals, memory (or: SIGUSR1)" },
  { name: "peers", about: "who is online, and how many files they share" },
  { name: "files", about: "which files are shared, and how many people have each" },
  { name: "holders", label: "NAME", about: "who has this file, who is fetching it, who has not" },
  { name: "kick", label: "PEER", about: "disconnect it for a minute: a name, 10.1.0.9, 10.1.0.0/16" },
  { name: "ban", label: "PEER [REASON]", about: "keep its address out, for good or --for a while" },
  { name: "unban", label: "PEER", about: "let it in again" },
  { name: "bans", about: "which addresses are banned, and for how long" },
  { name: "mute", label: "[PEER]", about: "pass none of its offers on; alone: who is muted" },
  { name: "unmute", label: "PEER", about: "pass its offers on again" },
  { name: "notice", label: "WORDS", about: "tell every peer" },
  { name: "room", label: "new", about: "give the private room another key; everybody is out" },
  { name: "home", about: "send the peers of other trackers of the group back" },
  { name: "config", about: "print each setting and where it comes from" },
  { name: "service", about: "print what this system needs to run it as a service" },
];

const GENERAL = [
  {
    name: "port",
    setting: true,
    kind: wholeNumber(0, 65_535),
    label: "N",
    about: `port to listen on (default ${DEFAULT_TRACKER_PORT}; 0 takes a free one)`,
    standard: String(DEFAULT_TRACKER_PORT),
  },
  { name: "host", setting: true, kind: HOST, label: "ADDRESS", about: "address to listen on (default: all of this machine)" },
  {
    name: "name",
    setting: true,
    kind: TRACKER_NAME,
    label: "NAME",
    about: "this tracker's name (default: the host's name)",
    standard: defaultTrackerName(),
  },
  {
    name: "group",
    setting: true,
    kind: GROUP_NAME,
    label: "NAME",
    about: "trackers of one group take over each other's peers",
  },
  {
    name: "redis",
    setting: true,
    kind: REDIS_URL,
    label: "URL",
    about: "share one index with the group, such as redis://10.0.0.5",
  },
  {
    name: "redis-file",
    setting: true,
    kind: FILE,
    label: "FILE",
    about: "a file with that URL, because it may hold a password",
  },
  { name: "no-announce", setting: true, kind: FLAG, about: "do not announce the tracker on the network" },
  { name: "room", setting: true, kind: FLAG, about: "a private room: only people who know its key come in" },
  {
    name: "room-file",
    setting: true,
    kind: FILE,
    label: "FILE",
    about: "a private room with the key in this file (or: FT_ROOM)",
  },
  { name: "web", setting: true, kind: WEB, label: "[guests]", about: "show browsers a page; guests: they may download, too" },
  { name: "for", kind: DURATION, label: "DURATION", about: "how long a ban holds, such as 30m, 2h or 7d", command: "ban" },
  { name: "bans", setting: true, kind: FILE, label: "FILE", about: "where bans are kept (default: in the state folder)" },
  { name: "json", setting: true, kind: FLAG, about: "one JSON object a line for each event" },
  { name: "quiet", setting: true, short: "q", kind: FLAG, about: "print errors only" },
  { name: "completions", kind: SHELL, label: "SHELL", about: "completions for bash, zsh, fish or powershell" },
  { name: "help", short: "h", kind: FLAG, about: "this text" },
  { name: "version", short: "V", kind: FLAG, about: "the version" },
] as const satisfies Option[];

const LIMIT_ROWS: Option[] = Object.values(LIMIT_TABLE).map(({ option, label, about, standard, least, most }) => ({
  name: option,
  setting: true,
  kind: wholeNumber(least, most),
  label,
  about,
  standard: String(standard),
}));

export const TRACKER_TABLE: ProgramTable = {
  program: "ft-tracker",
  commands: COMMANDS,
  options: [...GENERAL, ...LIMIT_ROWS],
};

const SYSTEM = { platform: process.platform, program: process.execPath, home: homeFolder() };

/** The width of the options and commands in `--help`. Columns. */
const TYPED_WIDTH = 19;

export const TRACKER_HELP = `ft-tracker: knows which peer on this network has which file.

Usage: ft-tracker [options]
       ft-tracker COMMAND [--port N]    to one that is running on this machine

${commandRows(COMMANDS, TYPED_WIDTH)}

${optionRows(GENERAL, TYPED_WIDTH)}

Limits:

${optionRows(LIMIT_ROWS, TYPED_WIDTH)}

Peers then run:  ft-peer   or, if they cannot find the tracker:  ft-peer ADDRESS
with one of the addresses printed at the start.
Ctrl-C stops it; the peers come back by themselves when it is started again.
To run it in the background: nohup ft-tracker > tracker.log &
To run it at each start of this machine: ft-tracker service`;

interface TrackerCommandLine {
  options: {
    host: Address | undefined;
    port: number;
    name: string;
    /** The limits that were given. */
    limits: Partial<Limits>;
    bans: string;
    announce: boolean;
    group?: string;
    redis?: RedisPlace;
    /** Undefined: the tracker does not answer browsers. */
    web?: "page" | "guests";
  };
  /** Whether the tracker is a private room, and the file of its key. */
  room: { room: boolean; file: string | undefined };
  /** The command to a running tracker; without one, a tracker is to be started. */
  order?: Order;
  /** A warning about the command line, as a sentence. */
  remark?: string;
  json: boolean;
  quiet: boolean;
}

/** Reads a command line of ft-tracker. Throws a `UsageError`. Gives a text when only that was asked for. */
export function parseTrackerArguments(
  argv: string[],
  outside: Outside = NOTHING_OUTSIDE,
): { text: string } | TrackerCommandLine {
  const typed = splitArguments(withWeb(argv), TRACKER_TABLE);
  const { given, words } = typed;
  const text = textAskedFor(typed, TRACKER_TABLE, TRACKER_HELP);
  if (text !== undefined) return { text };
  const settings = settingsFrom(TRACKER_TABLE, given, outside);
  if (words[0] === "config") {
    if (words[1] !== undefined) throw new UsageError(`"config" takes no arguments. Try: ft-tracker config`);
    return { text: describeSettings(TRACKER_TABLE, settings, outside, settings.given.json === true) };
  }
  if (words[0] === "service") {
    if (words[1] !== undefined) throw new UsageError(`"service" takes no arguments. Try: ft-tracker service --port 1234`);
    // The options are looked at, so that the service does not fail because of one of them.
    readValues([...GENERAL, ...LIMIT_ROWS], settings.given, settings.called);
    if (hasPassword(String(given.redis ?? ""))) throw new UsageError(PASSWORD_IN_SERVICE);
    return { text: serviceText({ ...SYSTEM, options: argv.toSpliced(argv.indexOf("service"), 1) }) };
  }
  const order = words[0] === undefined ? undefined : orderFrom(words);
  if (misplacedOption(GENERAL, given, order?.order) !== undefined)
    throw new UsageError("--for only works with ban. Try: ft-tracker ban 192.168.1.7 --for 2h");
  const values = readValues(GENERAL, settings.given, settings.called);
  const redis = order === undefined ? redisOf(values, settings) : undefined;
  const limitValues: Record<string, unknown> = readValues(LIMIT_ROWS, settings.given, settings.called);
  const limits = Object.entries(LIMIT_TABLE).flatMap(([limit, { option }]) =>
    settings.given[option] === undefined ? [] : [[limit, limitValues[option]]],
  );
  return {
    options: {
      host: values.host,
      port: values.port,
      name: values.name,
      limits: Object.fromEntries(limits),
      bans: values.bans ?? join(userFolder("state"), "bans.txt"),
      announce: !values["no-announce"],
      ...(values.group === undefined ? {} : { group: values.group }),
      ...(redis === undefined ? {} : { redis }),
      ...(values.web === undefined ? {} : { web: values.web }),
    },
    room: { room: values.room, file: values["room-file"] },
    ...(hasPassword(String(given.redis ?? "")) ? { remark: PASSWORD_SEEN } : {}),
    ...(order === undefined ? {} : { order: values.for === undefined ? order : { ...order, seconds: values.for } }),
    json: values.json,
    quiet: values.quiet,
  };
}

const PASSWORD_SEEN =
  "Every user of this machine can see the password in --redis. Put the URL in a file instead (--redis-file FILE), or in FT_REDIS.";
const PASSWORD_IN_SERVICE =
  "Every user of this machine could read the password in that service. Put the URL in a file: ft-tracker service --redis-file FILE";

/** The Redis of --redis or --redis-file. A file is read only when a tracker is to be started. */
function redisOf(
  { redis, "redis-file": file }: { redis: RedisPlace | undefined; "redis-file": string | undefined },
  { called, origin }: Settings,
): RedisPlace | undefined {
  if (redis !== undefined && file !== undefined && origin("redis").from === origin("redis-file").from) {
    throw new UsageError(`${called("redis")} and ${called("redis-file")} both name a Redis. Give one of them.`);
  }
  // The command line comes before the environment, and that before the file of settings.
  const ranks = ["command line", "environment", "file", "default"];
  const isFile = ranks.indexOf(origin("redis-file").from) < ranks.indexOf(origin("redis").from);
  return file !== undefined && isFile ? readRedisFile(file, called("redis-file")) : redis;
}

/** `--web` without a word of its own is a page for looking only. Another word than `guests` is refused, not taken for a command. */
function withWeb(argv: string[]): string[] {
  const isItsOwn = (next = "-") => !next.startsWith("-") && ![...COMMANDS, { name: "help" }].some(({ name }) => name === next);
  return argv.map((one, at) => (one === "--web" && !isItsOwn(argv[at + 1]) ? "--web=page" : one));
}

/** The operator's command with its arguments. */
function orderFrom([command = "", ...rest]: string[]): Order {
  const [first] = rest;
  switch (command) {
    case "status":
    case "peers":
    case "files":
    case "bans":
    case "home":
      if (first !== undefined) throw new UsageError(`"${command}" takes no arguments. Try: ft-tracker ${command}`);
      return { order: command };
    case "room":
      if (first !== "new" || rest[1] !== undefined) {
        throw new UsageError('"room" needs the word "new": it gives the room another key. Try: ft-tracker room new');
      }
      return { order: command };
    case "holders":
      if (rest.length === 0 || rest.join("").trim() === "") {
        throw new UsageError('holders needs a file\'s name. Example: ft-tracker holders "Lesson 7.pdf"');
      }
      return { order: command, file: rest.join(" ") };
    case "kick":
    case "mute":
    case "unban":
    case "unmute":
      if (rest[1] !== undefined) {
        throw new UsageError(`Unexpected "${printable(rest[1])}". If a name contains spaces, put it in quotes.`);
      }
      if (command === "mute" && first === undefined) return { order: command };
      return { order: command, address: peerArgument(command, first) };
    case "ban":
      refuseBareDuration(peerArgument(command, first), rest.slice(1));
      return { order: command, address: peerArgument(command, first), words: rest.slice(1).join(" ") };
    case "notice":
      if (first === undefined) {
        throw new UsageError('notice needs a message. Example: ft-tracker notice "Class ends in 5 minutes"');
      }
      return { order: command, words: rest.join(" ") };
    default:
      throw new UsageError(
        `"${printable(command)}" is not a command.${didYouMean(command, [...COMMANDS.map(({ name }) => name), "help"])} Try: ft-tracker --help`,
      );
  }
}

/** Refuses `ban Ben 10m`: read as a reason, the duration would make a ban without an end. */
function refuseBareDuration(banned: string, [second = "", ...more]: string[]): void {
  if (parseDuration(second) === undefined) return;
  const shown = /\s/.test(banned) ? `"${printable(banned)}"` : printable(banned);
  const words = [shown, "--for", second, ...more.map(printable)].join(" ");
  throw new UsageError(`A ban ends after a time that is given with --for. Try: ft-tracker ban ${words}`);
}

/** A peer or a network as typed. Only the running tracker knows which peers are online. */
function peerArgument(command: string, typed: string | undefined): string {
  if (typed !== undefined && typed.trim() !== "") return typed;
  throw new UsageError(`${command} needs a peer's name or address. Try: ft-tracker ${command} 192.168.1.7`);
}
