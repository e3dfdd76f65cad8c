// Reads the command line of ft-peer, by the table in options.ts.

import { sentenceOf, UsageError } from "../error.ts";
import { didYouMean } from "../nearest.ts";
import { zonesFor } from "../net/interfaces.ts";
import { textAskedFor } from "../program/cli.ts";
import { type Given, misplacedOption, readValues, splitArguments, type Values } from "../program/options.ts";
import { describeSettings, NOTHING_OUTSIDE, type Outside, settingsFrom } from "../program/settings.ts";
import { meantPath } from "../program/typed-path.ts";
import { isLinkLocal, parseAddress } from "../protocol/address.ts";
import type { Page, Wish } from "../protocol/messages.ts";
import { DEFAULT_TRACKER_PORT } from "../protocol/numbers.ts";
import { type FileName, parseFileName, parseRoot, SAY_LIMIT } from "../protocol/record.ts";
import { byteLength, printable } from "../text.ts";
import { parseTracker } from "./locate/locate.ts";
import type { TrackerPlace } from "./online/session-types.ts";
import { FINDING, OPTIONS, PEER_COMMANDS, PEER_HELP, PEER_TABLE, type PeerCommand, SEVERAL_TO } from "./options.ts";
import { isNameChanged } from "./people/own-name.ts";
import { fit } from "./screen/columns.ts";

/** The wait of --wait alone: about three years. */
const LONGEST_WAIT = "999d";

export interface CommandLine {
  tracker: TrackerPlace | undefined;
  /** Without one, the prompts guide the person. */
  command: PeerCommand | undefined;
  /** The name of search and holders, or the peer of list. */
  argument: string | undefined;
  /** The names and content ids of get, each once. */
  names: string[];
  wish: Omit<Wish, keyof Page>;
  share: string[];
  /** The people to whom send hands files out, as typed. */
  recipients: string[];
  /** The words that send hands out with the files. */
  say: string;
  /** The people whose offers share fetches, as typed. */
  accept: string[];
  /** The paths behind "share" and "send": files, and folders that are shared as one. */
  paths: string[];
  /** The folder for fetched files; "-" is standard output. */
  to: string;
  /** The path under which get saves its one file, and the option as it was typed: `-o` or `--output`. */
  output: string | undefined;
  outputOption: string;
  port: number | undefined;
  /** The name that was given; "" asks for none. */
  name: string | undefined;
  /** That name is shorter than the typed one, or has other characters. */
  isNameChanged: boolean;
  /** The holder, as typed. */
  from: string | undefined;
  /** get waits for this time until somebody has the file; send stays for this time at least. Seconds. */
  wait: number | undefined;
  /** want fetches each file that appears. */
  get: boolean;
  /** Of several contents of a name, get takes the best. */
  any: boolean;
  overwrite: boolean;
  /** The file with the key of a private room. */
  "room-file": string | undefined;
  /** ft-peer forgets the key and certificate of the private room, and keeps none. */
  forget: boolean;
  /** The most bytes per second, up and down each. */
  limit: number | undefined;
  "no-guests": boolean;
  json: boolean;
  quiet: boolean;
}

/** The first word has only letters and resembles no command: it may be the name of the tracker's computer. */
export class UnknownWord extends UsageError {
  readonly word: string;
  constructor(word: string, message: string) {
    super(message);
    this.word = word;
  }
}

/**
 * Reads a command line of ft-peer. Throws a `UsageError`. Gives a text when only that was asked for.
 * `host`: a first word of which a person has said that it is a computer's name.
 */
export function parsePeerArguments(
  argv: string[],
  outside: Outside = NOTHING_OUTSIDE,
  host?: string,
): { text: string } | CommandLine {
  const typed = splitArguments(withWait(argv), SEVERAL_TO);
  const { given, words, typedAs } = typed;
  const text = textAskedFor(typed, PEER_TABLE, PEER_HELP);
  if (text !== undefined) return { text };
  const tracker =
    words[0] === undefined || isCommand(words[0]) || words[0] === "config"
      ? undefined
      : trackerArgument(words.shift() ?? "", host);
  const command = words.shift();
  if (command === "config") {
    refuseMore(words);
    const settings = settingsFrom(PEER_TABLE, given, outside);
    return { text: describeSettings(PEER_TABLE, settings, outside, settings.given.json === true) };
  }
  if (command !== undefined && !isCommand(command)) {
    const commands = [...PEER_COMMANDS, "config"];
    const meant = didYouMean(command, commands) || ` There are ${commands.join(", ")}.`;
    throw new UsageError(`"${printable(command)}" is not a command.${meant} Try: ft-peer --help`);
  }
  refuseMisplaced(command, given, typedAs);
  const recipients = recipientsOf(command, given);
  // Paths behind "share" come before the files in the settings.
  if (command === "share" && words.length > 0) given.share ??= [];
  if (command === "send") {
    if (given.share !== undefined) throw new UsageError("send shares what it sends. Leave --share out.");
    if (words.length === 0) throw new UsageError("send needs a file or a folder. Try: ft-peer send slides.pdf --to all");
    given.share = [];
  }
  // A file to save as, on the command line, comes before a folder in the settings.
  if (given.output !== undefined) given.to ??= ".";
  const { given: all, called } = settingsFrom(PEER_TABLE, given, outside);
  const argument = command === "search" || command === "list" || command === "holders" ? argumentOf(command, words) : undefined;
  const names = command === "get" ? namesOf(words) : [];
  if (command === "who" || command === "doctor") refuseMore(words);
  const {
    ext,
    type,
    min,
    max,
    after,
    before,
    help,
    version,
    completions,
    say = "",
    ...values
  } = readValues(OPTIONS, all, called);
  const filters = { ext, type, min, max, after, before };
  const wish = isFinding(command) ? wishOf(command, words, filters) : { words: [], group: true };
  const paths = command === "share" || command === "send" ? words.map((word) => meantPath(word)) : [];
  const nameChanged = values.name !== undefined && values.name !== "" && isNameChanged(String(all.name));
  const outputOption = typedAs.output ?? "--output";
  if (command === "get") checkOutput({ ...values, outputOption }, names);
  if (command === "collect" && values.to === "-") throw new UsageError("collect saves files. Give --to DIR.");
  if (command === "want" && values.get && values.to === "-") throw new UsageError("want --get saves files. Give --to DIR.");
  if (values.accept.length > 0 && values.to === "-") throw new UsageError("--accept saves files. Give --to DIR.");
  if (byteLength(say) > SAY_LIMIT) throw new UsageError(`--say takes ${SAY_LIMIT} bytes at most.`);
  const about = { recipients, say: say.trim(), paths, outputOption, isNameChanged: nameChanged };
  return { tracker, command, argument, names, wish, ...about, ...values };
}

/** The people behind the --to of send. For every other command --to is a folder, and the last one counts. */
function recipientsOf(command: string | undefined, given: Given): string[] {
  const typed = [given.to ?? []].flat().map(String);
  delete given.to;
  const last = typed.at(-1);
  if (command !== "send" && last !== undefined) given.to = last;
  if (command !== "send") return [];
  if (typed.join("").replaceAll(",", "").trim() !== "") return typed;
  throw new UsageError("send needs people. Give --to with a name, several names with commas, or all.");
}

/** `30`, `1.5h` or `10 minutes`: no duration as `parseDuration` reads it, but hardly the name of a file. */
const LIKE_DURATION = /^\d{1,6}(?:[.,]\d+)? ?(?:s|m|h|d|secs?|mins?|hrs?|seconds?|minutes?|hours?|days?)?$/i;

/**
 * `--wait` without a duration behind it waits for as long as it takes. A word that looks like a duration stays behind it, so that it is
 * refused: as a file's name, `get a.pdf --wait 30` would wait for a file "30" for ever.
 */
function withWait(argv: string[]): string[] {
  const end = argv.indexOf("--");
  const isOption = (at: number) => end < 0 || at < end;
  return argv.map((one, at) =>
    one === "--wait" && isOption(at) && !LIKE_DURATION.test(argv[at + 1] ?? "") ? `--wait=${LONGEST_WAIT}` : one,
  );
}

function isFinding(command: string | undefined): command is (typeof FINDING)[number] {
  return (FINDING as readonly (string | undefined)[]).includes(command);
}

/** The one argument of search, list and holders. */
function argumentOf(command: "search" | "list" | "holders", [argument, ...more]: string[]): string | undefined {
  if (command !== "list" && !argument) {
    throw new UsageError(`${command} needs a file's name. Try: ft-peer ${command} NAME`);
  }
  refuseMore(more);
  return argument;
}

function refuseMore([extra]: string[]): void {
  if (extra === undefined) return;
  throw new UsageError(`Unexpected "${printable(extra)}". If a name contains spaces, put it in quotes.`);
}

/** The names and content ids that get fetches, each once. */
function namesOf(words: string[]): string[] {
  const names = [...new Set(words.filter((word) => word !== ""))];
  if (names.length === 0) throw new UsageError("get needs a file's name. Try: ft-peer get NAME");
  return names;
}

/** Refuses a download that cannot go to standard output, or into one file. */
function checkOutput(
  { to, output, outputOption, json }: Pick<CommandLine, "to" | "output" | "outputOption" | "json">,
  names: string[],
): void {
  if (output !== undefined && output !== "-" && to !== ".") {
    throw new UsageError(`${outputOption} names the whole path. Give either ${outputOption} FILE or --to DIR.`);
  }
  const option = output === undefined ? "--to -" : `${outputOption} ${printable(output)}`;
  if (output !== undefined && names.length > 1) throw new UsageError(`${option} takes one file. Give --to DIR for several.`);
  if (to !== "-" && output !== "-") return;
  if (names.length > 1) throw new UsageError(`${option} writes one file. Give --to DIR for several.`);
  if (json) throw new UsageError(`${option} and --json both write to standard output. Leave one of them out.`);
}

/**
 * The tracker's address as the first word. A word of letters alone is hardly one: more often it is a mistyped command, and a person who
 * means a host says so with a port.
 */
function trackerArgument(word: string, named?: string): TrackerPlace {
  if (/[.:\d]/.test(word) || word === "localhost" || word === named) return onAnyLink(parseTracker(word));
  const meant = didYouMean(word, [...PEER_COMMANDS, "help"]);
  const shown = printable(word);
  const isName = /^[a-z_-]+$/i.test(word);
  const host = isName ? ` If a tracker's host has this name, add the port: ft-peer ${shown}:${DEFAULT_TRACKER_PORT}` : "";
  const help = meant === "" && host === "" ? " Try: ft-peer --help" : "";
  const sentence = `"${shown}" is not a command.${meant}${host}${help}`;
  throw isName && meant === "" ? new UnknownWord(word, sentence) : new UsageError(sentence);
}

/** A link-local address without its zone is tried on every link. */
function onAnyLink(place: TrackerPlace): TrackerPlace {
  const address = parseAddress(place.address);
  if (address === undefined || !isLinkLocal(address) || address.includes("%")) return place;
  const [first, ...others] = zonesFor(address);
  return first === undefined ? place : { address: first, port: place.port, others };
}

type Filters = Pick<Values<typeof OPTIONS>, "ext" | "type" | "min" | "max" | "after" | "before">;

/** Throws a `UsageError` for an option that does nothing with this command. `typedAs`: the options as they were typed. */
function refuseMisplaced(command: PeerCommand | undefined, given: Given, typedAs: Record<string, string>): void {
  const misplaced = misplacedOption(OPTIONS, given, command);
  if (misplaced === undefined) return;
  const [only = ""] = [misplaced.command].flat();
  const examples: Record<string, string> = { get: "get NAME", send: "send PATH --to NAME", share: "share" };
  const example = examples[only] ?? `${only} WORD`;
  const value = "label" in misplaced ? " ..." : "";
  const option = typedAs[misplaced.name];
  throw new UsageError(
    `${option} only works with ${[misplaced.command].flat().join(", ")}. Try: ft-peer ${example} ${option}${value}`,
  );
}

/** The words and filters of the find command. Several words may come in one argument. */
function wishOf(
  command: (typeof FINDING)[number],
  typed: string[],
  { ext: extensions, ...filters }: Filters,
): Omit<Wish, keyof Page> {
  const all = typed.flatMap((one) => one.split(/\s+/)).filter((one) => one !== "");
  const roots = all.flatMap((one) => rootArgument(one) ?? []);
  const words = all.filter((one) => !one.startsWith("root:"));
  const ext = extensions
    .flatMap((one) => one.split(","))
    .map((one) => one.replace(/^\./, ""))
    .filter((one) => one !== "");
  if (roots.length > 1) throw new UsageError(`${command} takes one content id at a time.`);
  const wish: Omit<Wish, keyof Page> = { words, group: true };
  if (roots[0] !== undefined) wish.root = roots[0];
  if (ext.length > 0) wish.ext = ext;
  Object.assign(wish, Object.fromEntries(Object.entries(filters).filter(([, value]) => value !== undefined)));
  if (Object.keys(wish).length === 2 && words.length === 0) {
    throw new UsageError(`${command} needs a word, or a filter such as --ext pdf. Try: ft-peer ${command} report`);
  }
  return wish;
}

/** A content id as typed, `root:` and 64 hex digits; undefined for other text. */
export function rootArgument(typed: string): string | undefined {
  if (!typed.startsWith("root:")) return undefined;
  const root = parseRoot(typed.slice(5));
  if (root !== undefined) return root;
  throw new UsageError(`"${printable(typed)}" is not a content id: root: is followed by 64 hex digits.`);
}

function isCommand(word: string): word is PeerCommand {
  return (PEER_COMMANDS as readonly string[]).includes(word);
}

/** A path in a shared folder, such as `Photos/2026`, as it was typed: on Windows also with `\`. */
export function slashed(typed: string, platform: string = process.platform): string {
  return platform === "win32" ? typed.replaceAll("\\", "/") : typed;
}

/** A file's name as typed, in the form that records have: "e" and a combining accent become "é". Throws a `UsageError`. */
export function nameArgument(text: string): FileName {
  try {
    return parseFileName(text.normalize("NFC"));
  } catch (error) {
    throw new UsageError(`"${fit(printable(text), 60)}" cannot be a file's name. ${sentenceOf(error)}`);
  }
}
