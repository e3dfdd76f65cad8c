// The options and commands of ft-peer: what their values are, and the help that is made of them. arguments.ts reads them.

import { hostname } from "node:os";
import {
  type Command,
  commandRows,
  DURATION,
  FILE,
  FILES,
  FLAG,
  FOLDER,
  type Kind,
  type Option,
  optionRows,
  type ProgramTable,
  refuse,
  SHELL,
  SIZE,
  TEXT,
  TEXTS,
  wholeNumber,
} from "../program/options.ts";
import { parseEndpoint } from "../protocol/address.ts";
import { DEFAULT_MAX_FILES } from "../protocol/numbers.ts";
import { peerName } from "../protocol/peer-name.ts";
import { cutTo, parseSize } from "../text.ts";
import { typedAddress } from "./people/find-peer.ts";

/** The port on which a peer serves, unless another program has it. */
export const DEFAULT_PORT = 1235;

const COMMANDS = [
  { name: "search", label: "NAME", about: "who has the file of exactly this name" },
  {
    name: "find",
    label: "WORD...",
    about: "who has files with all these words in their names, or the one file with the content id root:HEX",
  },
  { name: "get", label: "NAME...", about: "fetch files or folders, by name or by content id (root:HEX)" },
  { name: "want", label: "WORD...", about: "print each file that fits, now and when it appears, until Ctrl-C" },
  { name: "send", label: "PATH...", about: "hand files and folders out: --to Ben,Chloe or --to all" },
  { name: "collect", label: "WORD...", about: "fetch each file that fits, of everybody, into a folder a person" },
  { name: "list", label: "[PEER]", about: "every file online, or those of a peer, or those in PEER/FOLDER" },
  { name: "holders", label: "NAME", about: "who has this file, who is fetching it, who has not" },
  { name: "who", about: "the peers online" },
  { name: "share", label: "[PATH...]", about: "serve files, and folders as one each, until Ctrl-C" },
  { name: "config", about: "print each setting and where it comes from" },
  { name: "doctor", about: "check the network, the firewall and the tracker" },
] as const satisfies Command[];

/** The commands that join a tracker. */
export type PeerCommand = Exclude<(typeof COMMANDS)[number]["name"], "config">;

export const PEER_COMMANDS = COMMANDS.map(({ name }) => name).filter((name) => name !== "config");

/** A holder as it is printed: `address:port`, a name, or an id. Which peer that is turns out online. */
const HOLDER: Kind<string> = {
  completes: "nothing",
  read: (text, option) => {
    const isAddress = peerName(text) === "";
    if (!isAddress || parseEndpoint(text) !== undefined || (typedAddress(text) !== undefined && !isOpenIPv6(text))) return text;
    return refuse(option, "a holder as it is listed, such as 192.168.1.7:1235, [fd00::7]:1235 or Ben", text);
  },
};

/** Whether this is an IPv6 address without brackets: the last group could be meant as a port. */
function isOpenIPv6(text: string): boolean {
  return text.includes(":") && !text.startsWith("[");
}

/** A name that is refused is shown up to this length. Bytes. */
const NAME_SHOWN = 80;
/** The name by which others see this peer. An empty text asks for none. */
const PEER_NAME: Kind<string> = {
  completes: "nothing",
  read: (text, option) => {
    const name = peerName(text);
    return name !== "" || text === ""
      ? name
      : refuse(option, "a name that people can read, such as Ben", cutTo(text, NAME_SHOWN));
  },
};

/** The name of a peer whose person has given none: the host's name without its domain. */
export function defaultPeerName(host = hostname()): string {
  return peerName(/^[^.]+/.exec(host)?.[0] ?? "");
}

/** The lowest rate that an option takes; a lower one is a mistake in the unit. Bytes per second. */
const LEAST_RATE = 1000;
/** Bytes per second, such as 10MB. */
const RATE: Kind<number> = {
  completes: "nothing",
  read: (text, option) => {
    const rate = parseSize(text);
    if (rate !== undefined && rate >= LEAST_RATE) return rate;
    return refuse(option, "bytes per second, at least 1kB, such as 500kB or 10MB", text);
  },
};

/** A day, `YYYY-MM-DD`. */
const DAY: Kind<string> = {
  completes: "nothing",
  read: (text, option) => {
    if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
    return refuse(option, "a day, such as 2026-11-22", text);
  },
};

/** The commands that take words and filters. */
export const FINDING = ["find", "want", "collect"] as const;

export const OPTIONS = [
  {
    name: "share",
    setting: true,
    kind: FILES,
    label: "PATH",
    about: `a file or folder to share; repeatable (default: this folder's first ${DEFAULT_MAX_FILES} files)`,
  },
  {
    name: "to",
    setting: true,
    kind: FOLDER,
    label: "DIR",
    about: "where fetched files go (default: this folder); - is standard output; send: to whom, such as Ben,Chloe or all",
    standard: ".",
  },
  {
    name: "output",
    short: "o",
    kind: FILE,
    label: "FILE",
    about: "get: save the one file as this; - is standard output",
    command: "get",
  },
  {
    name: "port",
    setting: true,
    kind: wholeNumber(0, 65_535),
    label: "N",
    about: "where this peer serves (default 1235, else a free port)",
  },
  {
    name: "name",
    setting: true,
    kind: PEER_NAME,
    label: "NAME",
    about: "your name, as others see it (default: this computer's name)",
  },
  {
    name: "from",
    kind: HOLDER,
    label: "PEER",
    about: "fetch from this holder only: its name or address:port; collect: Ben,Chloe",
  },
  { name: "any", kind: FLAG, about: "get: when several files have the name, take the best", command: "get" },
  { name: "overwrite", setting: true, kind: FLAG, about: "let a fetched file replace one of the same name" },
  {
    name: "wait",
    kind: DURATION,
    label: "[DURATION]",
    about: "get: wait until somebody has it, such as 2h; send: stay at least for this time",
    command: ["get", "send"],
  },
  { name: "say", kind: TEXT, label: "WORDS", about: "send: a word to those who get it", command: "send" },
  {
    name: "accept",
    kind: TEXTS,
    label: "NAME",
    about: "share: fetch what this person sends, or everybody with all; repeatable",
    command: "share",
  },
  { name: "get", kind: FLAG, about: "want: fetch each file that appears", command: "want" },
  {
    name: "ext",
    kind: TEXTS,
    label: "EXT",
    about: "find: only these extensions, such as pdf or pdf,odt",
    command: FINDING,
  },
  { name: "type", kind: TEXT, label: "TYPE", about: "find: only this kind of file, such as video/", command: FINDING },
  { name: "min", kind: SIZE, label: "SIZE", about: "find: at least this big, such as 10MB", command: FINDING },
  { name: "max", kind: SIZE, label: "SIZE", about: "find: at most this big", command: FINDING },
  {
    name: "after",
    kind: DAY,
    label: "DATE",
    about: "find: last changed on this day or later, such as 2026-11-22",
    command: FINDING,
  },
  { name: "before", kind: DAY, label: "DATE", about: "find: last changed on this day or earlier", command: FINDING },
  {
    name: "room-file",
    setting: true,
    kind: FILE,
    label: "FILE",
    about: "the key of a private room is in this file (or: FT_ROOM)",
  },
  { name: "forget", kind: FLAG, about: "do not keep what is known of this private room" },
  { name: "limit", setting: true, kind: RATE, label: "RATE", about: "most bytes per second, such as 10MB (up and down each)" },
  { name: "no-guests", setting: true, kind: FLAG, about: "do not serve browsers, also where the tracker's page lets them" },
  { name: "json", setting: true, kind: FLAG, about: "one JSON object a line" },
  { name: "quiet", setting: true, short: "q", kind: FLAG, about: "print results and errors only" },
  { name: "help", short: "h", kind: FLAG, about: "this text" },
  { name: "completions", kind: SHELL, label: "SHELL", about: "completions for bash, zsh, fish or powershell" },
  { name: "version", short: "V", kind: FLAG, about: "the version" },
] as const satisfies Option[];

/** The table in which --to may come several times, as send needs it. */
export const SEVERAL_TO: ProgramTable = {
  program: "ft-peer",
  commands: COMMANDS,
  options: OPTIONS.map((option) => (option.name === "to" ? { ...option, kind: TEXTS } : option)),
};

export const PEER_TABLE: ProgramTable = { program: "ft-peer", commands: COMMANDS, options: OPTIONS };

/** The width of the options and commands in `--help`. Columns. */
const TYPED_WIDTH = 17;

export const PEER_HELP = `ft-peer: get a file from whoever on this network has it.

Usage: ft-peer [ADDRESS[:PORT]] [command] [options]

ADDRESS is the tracker's; without it, the one that announces itself on the
network.
Without a command, on a terminal: guided prompts.

${commandRows(COMMANDS, TYPED_WIDTH)}

${optionRows(OPTIONS, TYPED_WIDTH)}
  ${"--".padEnd(TYPED_WIDTH)}  ends the options

A peer shares at least one file, or the tracker does not accept it.
Exit codes: 0 done, 1 could not, 2 wrong usage, 130 interrupted.`;
