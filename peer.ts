#!/usr/bin/env bun
// ft-peer: shares files, searches at the tracker, downloads straight from other peers and serves them.
//
//     ft-peer                    guided prompts, with the tracker that announces itself
//     ft-peer ADDRESS            guided prompts, with the tracker at this address
//     ft-peer get NAME           one command, for scripts
//
// Every command joins the tracker first, because the tracker accepts only peers that share a file. While the command runs, the
// peer serves its files; at the end it says BYE.

import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { systemClock } from "./lib/clock.ts";
import { CancelledError, codeOf, FtError, UsageError } from "./lib/error.ts";
import { userFolder } from "./lib/files.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom, interfaces, watchInterfaces, zonesFor } from "./lib/net/interfaces.ts";
import { type Listener, listen } from "./lib/net/listen.ts";
import { Admission } from "./lib/peer/admission.ts";
import { Connector } from "./lib/peer/connect.ts";
import { HashPool, sha256 } from "./lib/peer/content/hash.ts";
import { TreeCache } from "./lib/peer/content/tree-cache.ts";
import { waitForContent } from "./lib/peer/contents.ts";
import { checkFolder } from "./lib/peer/disk/incoming.ts";
import { chooseFiles, Share, type SharedFile } from "./lib/peer/disk/share.ts";
import { ShareWatch } from "./lib/peer/disk/watch.ts";
import { Downloads } from "./lib/peer/download.ts";
import type { PeerEvent } from "./lib/peer/events.ts";
import type { FetchEvent } from "./lib/peer/fetch/types.ts";
import {
  describePlace,
  findAgain,
  LastTracker,
  type Located,
  lookAround,
  nobodyFound,
  severalFound,
} from "./lib/peer/locate.ts";
import { isDialable, isOwnEndpoint, isTrackerHere } from "./lib/peer/own-address.ts";
import { Prompts } from "./lib/peer/screen/ask.ts";
import { type Check, checkLines, examine } from "./lib/peer/screen/doctor.ts";
import { type GuidedPeer, guide } from "./lib/peer/screen/guide.ts";
import { progressReporter, Screen } from "./lib/peer/screen/screen.ts";
import {
  contentTable,
  describeDownload,
  describeEvent,
  describeLeft,
  downloadObject,
  eventObject,
  notFoundSentence,
  peerTable,
  recordObjects,
  recordTable,
} from "./lib/peer/screen/view.ts";
import { type Served, Server } from "./lib/peer/serve/serve.ts";
import { Session, type TrackerPlace } from "./lib/peer/session.ts";
import { Sharing } from "./lib/peer/sharing.ts";
import {
  EXIT,
  exitCodeFor,
  hangUp,
  measure,
  nameArgument,
  numberOption,
  orCancelled,
  out,
  parseTracker,
  readArguments,
  runProgram,
  shellOption,
  VERSION,
} from "./lib/program/cli.ts";
import { completionScript } from "./lib/program/completions.ts";
import { type Endpoint, formatEndpoint, isLinkLocal, parseAddress, withoutZone } from "./lib/protocol/address.ts";
import { DEFAULT_MAX_FILES, type Page, type Wish } from "./lib/protocol/messages.ts";
import { type FileRecord, parseRoot } from "./lib/protocol/record.ts";
import { RateLimit } from "./lib/rate.ts";
import { parseSize, plural, printable } from "./lib/text.ts";

export const USAGE = `ft-peer: get a file from whoever on this network has it.

Usage: ft-peer [ADDRESS[:PORT]] [command] [options]

ADDRESS is the tracker's; without it, the one that announces itself on the network.
Without a command, on a terminal: guided prompts.

  search NAME       who has the file of exactly this name
  find WORD...      who has files with all these words in their names, or a content: root:HEX
  get NAME          fetch it (or: get root:HEX, by its content id)
  list [PEER]       every file online, or those of one peer (id or address)
  who               the peers online
  share             stay online and serve until Ctrl-C
  doctor            what stands between this machine and the others

  --share PATH      a file or folder to share; repeatable (default: this folder's first ${DEFAULT_MAX_FILES} files)
  --to DIR          where fetched files go (default: this folder)
  --port N          where this peer serves (default 1235, else a free port)
  --from ADDR:PORT  fetch from this holder only
  --overwrite       let a fetched file replace one of the same name
  --ext EXT         find: only these extensions, such as pdf or pdf,odt
  --type TYPE       find: only types that begin so, such as video/
  --min SIZE        find: at least this big, such as 10MB
  --max SIZE        find: at most this big
  --after DATE      find: last changed on this day or later, such as 2026-11-22
  --before DATE     find: last changed on this day or earlier
  --limit RATE      bytes a second at most, such as 10MB; up and down each
  --json            one JSON object a line
  --quiet           print results and errors only
  --help            this text
  --completions SHELL
                    completions for bash, zsh, fish or powershell
  --version         the version
  --                ends the options

A peer shares at least one file, or the tracker does not accept it.
Exit codes: 0 done, 1 could not, 2 wrong usage, 130 interrupted.`;

/** The port on which a peer serves, if no other program has it. */
const DEFAULT_PORT = 1235;
/** Connections from one address at once. */
const MAX_PER_ADDRESS = 32;
/** After Ctrl-C the program ends within this time, even if something hangs. Milliseconds. */
const LEAVING_MS = 4_000;
const COMMANDS = ["search", "find", "get", "list", "who", "share", "doctor"] as const;
type Command = (typeof COMMANDS)[number];

// ---------------------------------------------------------------- the peer

export interface PeerOptions {
  tracker: TrackerPlace;
  /** Looks for the tracker at another address, when it cannot be reached any more. */
  find?: () => Promise<TrackerPlace | undefined>;
  files: SharedFile[];
  /** The port to serve on; undefined takes 1235, or a free port when that is taken. */
  port?: number | undefined;
  /** The file in which content ids are remembered between runs. */
  cachePath: string;
  /** Bytes a second at most, up and down each. */
  limit?: number | undefined;
  report(event: PeerEvent): void;
}

/** A peer that is online. */
export interface Peer extends GuidedPeer {
  readonly port: number;
  /** Whether a record is this peer's own. */
  isOwn(record: Endpoint): boolean;
}

/** Starts serving and joins the tracker. Throws a sentence when it cannot. */
export async function startPeer(options: PeerOptions, signal?: AbortSignal): Promise<Peer> {
  const { report } = options;
  const clock = systemClock;
  const share = new Share(options.files);
  const pool = new HashPool(new URL("./lib/peer/content/hasher.ts", import.meta.url));
  const cache = new TreeCache(options.cachePath);
  const stopped = new AbortController();
  const rateLimit = () => (options.limit === undefined ? undefined : new RateLimit(options.limit, clock));

  const admission = new Admission({
    standing: () => session.standing,
    askKnown: (address) => session.requests.known(address),
    isOfThisMachine: (address) => interfaces().some(({ addresses }) => addresses.some((own) => own.address === address)),
    clock,
  });
  const server = new Server({
    open: (wanted) => openShared(wanted),
    look: (root) => sharing.look(root) ?? downloads.look(root),
    changed: () => watch.nudge(),
    readPass: (pass, from) => admission.checkPass(pass, from),
    arrived: (token, channel) => connector.arrived(token, channel),
    known: (from) => admission.isKnown(from),
    sha256,
    limit: rateLimit(),
    report,
  });
  const listener = listenFrom(options.port, (channel) => server.accept(channel));
  const session = new Session({
    dial,
    tracker: options.tracker,
    ...(options.find === undefined ? {} : { find: options.find }),
    agent: `ft-peer/${VERSION}`,
    port: listener.port,
    records: (own) => sharing.records(own),
    parts: (own) => [...sharing.recordsBeyond(own), ...downloads.records(own)],
    callBack: (to) => void connector.callBack(to),
    report,
    clock,
    random: Math.random,
  });
  const connector = new Connector({
    dial: ({ address, port }, how) => dial({ address: onTrackersLink(address), port }, how),
    ask: (call) => session.requests.connect(call),
    serve: (channel) => server.accept(channel),
    isDialable: (at) => isDialable(at, session.standing),
    // On the tracker's own machine a pass is good from every address of that machine.
    you: () => (isTrackerHere(session.standing) ? undefined : session.standing?.you),
    closed: () =>
      session.standing?.reach === false ? `nobody can connect to port ${listener.port} of this machine either` : "",
    token: () => randomBytes(18).toString("base64url"),
    clock,
  });
  const isOwn = (record: Endpoint) => isOwnEndpoint(record, listener.port, session.standing);
  const sharing = new Sharing({
    share,
    pool,
    cache,
    session,
    port: listener.port,
    isDownloading: () => downloads.running,
    report,
    clock,
  });
  const downloads = new Downloads({
    dial: (record, how) => connector.open(record, how),
    pool,
    limit: rateLimit(),
    pass: () => session.standing?.pass ?? "",
    away: () => session.away,
    unsettled: () => session.unsettled,
    look: (root) => session.requests.holders(root),
    isFetchable: (record) => isDialable(record, session.standing) && !isOwn(record),
    isOwn,
    announce: (record) => sharing.announcePart(record),
    withdraw: (record) => sharing.withdrawPart(record),
    finished: (path, root, pieces) => sharing.addDownloaded(path, root, pieces),
  });
  const watch = new ShareWatch(share, {
    changed: (file) => void sharing.changed(file),
    gone: (file) => void sharing.gone(file),
    back: (file) => void sharing.back(file),
  });
  const stopWatchingNetwork = watchInterfaces((now) => {
    session.networkChanged(new Set(now.flatMap(({ addresses }) => addresses.map(({ address }) => address))));
  });

  /** A shared file, or the part of a download that has arrived. */
  function openShared(wanted: { name?: string; root?: string; size?: number }): { name: string; file: Served } | undefined {
    const found = share.find(wanted);
    if (found === undefined) return wanted.root === undefined ? undefined : downloads.open(wanted.root);
    const file = share.open(found);
    if (file === undefined) watch.nudge();
    return file === undefined ? undefined : { name: found.name, file };
  }

  /** A link-local address is good on one link: a peer with such an address is on the link to the tracker. */
  function onTrackersLink(address: string): string {
    const local = session.standing?.local;
    const parsed = parseAddress(address);
    return local === undefined || parsed === undefined ? address : dialableFrom(local, parsed);
  }

  const peer: Peer = {
    port: listener.port,
    session,
    share,
    server,
    computeRoots: () => void sharing.computeRoots(),
    isOwn,
    download: (records, how) => downloads.start(records, { ...how, signal: AbortSignal.any([how.signal, stopped.signal]) }),
    stop: async () => {
      stopped.abort();
      sharing.stop();
      watch.stop();
      stopWatchingNetwork();
      listener.stop();
      await Promise.all([session.leave(), downloads.settled()]);
      pool.close();
      await cache.save();
    },
  };
  try {
    await session.join(signal);
  } catch (error) {
    await peer.stop();
    throw error;
  }
  return peer;
}

/** Listens on the given port; without one on 1235, or on a free port when that is taken. */
function listenFrom(port: number | undefined, onConnection: Parameters<typeof listen>[0]["onConnection"]): Listener {
  const options = { maxPerAddress: MAX_PER_ADDRESS, onConnection };
  if (port !== undefined) return listen({ ...options, port });
  try {
    return listen({ ...options, port: DEFAULT_PORT });
  } catch (error) {
    if (codeOf(error) !== "port-in-use") throw error;
    return listen({ ...options, port: 0 });
  }
}

// ---------------------------------------------------------------- the command line

interface CommandLine {
  tracker: TrackerPlace | undefined;
  command: Command | undefined;
  argument: string | undefined;
  wish: Omit<Wish, keyof Page>;
  share: string[];
  to: string;
  port: number | undefined;
  from: Endpoint | undefined;
  overwrite: boolean;
  limit: number | undefined;
  json: boolean;
  quiet: boolean;
}

/** The options of a command line; throws a `UsageError`. Only a text when that is all that was asked for. */
export function parseOptions(argv: string[]): { text: string } | CommandLine {
  const { values, positionals } = readArguments(
    argv,
    {
      share: { type: "string", multiple: true, default: [] as string[] },
      to: { type: "string", default: "." },
      port: { type: "string" },
      from: { type: "string" },
      overwrite: { type: "boolean", default: false },
      limit: { type: "string" },
      ext: { type: "string", multiple: true, default: [] as string[] },
      type: { type: "string" },
      min: { type: "string" },
      max: { type: "string" },
      after: { type: "string" },
      before: { type: "string" },
      json: { type: "boolean", default: false },
      quiet: { type: "boolean", default: false },
      completions: { type: "string" },
      help: { type: "boolean", default: false },
      version: { type: "boolean", default: false },
    },
    "ft-peer",
  );
  if (values.help) return { text: USAGE };
  if (values.completions !== undefined) return { text: completionScript(shellOption(values.completions), "ft-peer") };
  if (values.version) return { text: `ft-peer ${VERSION}` };
  const words = [...positionals];
  const tracker = words[0] === undefined || isCommand(words[0]) ? undefined : onAnyLink(parseTracker(words.shift() ?? ""));
  const word = words.shift();
  if (word !== undefined && !isCommand(word)) {
    throw new UsageError(`"${printable(word)}" is not a command; there are ${COMMANDS.join(", ")}. Try: ft-peer --help`);
  }
  const wish = word === "find" ? wishOf(words.splice(0), values) : undefined;
  const filter =
    wish === undefined
      ? (["ext", "type", "min", "max", "after", "before"] as const).find((one) => given(values[one]))
      : undefined;
  if (filter !== undefined) throw new UsageError(`--${filter} belongs to find. Try: ft-peer find WORD --${filter} ...`);
  const [argument, extra] = words;
  const needs = word === "search" || word === "get";
  if (needs && !argument) throw new UsageError(`${word} needs a file's name. Try: ft-peer ADDRESS ${word} NAME`);
  if (extra !== undefined || (argument !== undefined && (word === "who" || word === "share" || word === "doctor"))) {
    throw new UsageError(`"${printable(extra ?? argument ?? "")}" is too much; put a name with spaces in quotes.`);
  }
  return {
    tracker,
    command: word,
    argument,
    wish: wish ?? { words: [], group: true },
    share: values.share,
    to: values.to,
    port: values.port === undefined ? undefined : numberOption("--port", values.port, 0, 65535),
    from: values.from === undefined ? undefined : parseHolder(values.from),
    overwrite: values.overwrite,
    limit: values.limit === undefined ? undefined : parseLimit(values.limit),
    json: values.json,
    quiet: values.quiet,
  };
}

/** A link-local address without its zone is tried on every link. */
function onAnyLink(place: TrackerPlace): TrackerPlace {
  const address = parseAddress(place.address);
  if (address === undefined || !isLinkLocal(address) || address.includes("%")) return place;
  const [first, ...others] = zonesFor(address);
  return first === undefined ? place : { address: first, port: place.port, others };
}

/** Slower than this is a mistake in the unit. */
const LEAST_LIMIT = 1000;

function parseLimit(text: string): number {
  const rate = parseSize(text);
  if (rate !== undefined && rate >= LEAST_LIMIT) return rate;
  throw new UsageError(`--limit needs bytes a second, at least 1kB, such as 500kB or 10MB, not "${printable(text)}".`);
}

function given(value: string | string[] | undefined): boolean {
  return value !== undefined && value.length > 0;
}

/** What find was asked for; several words may come in one argument. */
function wishOf(
  args: string[],
  values: Partial<Record<"type" | "min" | "max" | "after" | "before", string>> & { ext: string[] },
) {
  const typed = args.flatMap((one) => one.split(/\s+/)).filter((one) => one !== "");
  const roots = typed.flatMap((one) => rootArgument(one) ?? []);
  const words = typed.filter((one) => !one.startsWith("root:"));
  const ext = values.ext
    .flatMap((one) => one.split(","))
    .map((one) => one.replace(/^\./, ""))
    .filter((one) => one !== "");
  const wish: Omit<Wish, keyof Page> = { words, group: true };
  if (roots.length > 1) throw new UsageError("find takes one content id at a time.");
  if (roots[0] !== undefined) wish.root = roots[0];
  if (ext.length > 0) wish.ext = ext;
  if (values.type !== undefined) wish.type = values.type;
  if (values.min !== undefined) wish.min = sizeOption("--min", values.min);
  if (values.max !== undefined) wish.max = sizeOption("--max", values.max);
  if (values.after !== undefined) wish.after = dayOption("--after", values.after);
  if (values.before !== undefined) wish.before = dayOption("--before", values.before);
  if (Object.keys(wish).length === 2 && words.length === 0) {
    throw new UsageError("find needs a word, or a filter such as --ext pdf. Try: ft-peer find report");
  }
  return wish;
}

/** A content id as typed, `root:` and 64 hex digits; undefined for other text. */
function rootArgument(typed: string): string | undefined {
  if (!typed.startsWith("root:")) return undefined;
  const root = parseRoot(typed.slice(5));
  if (root !== undefined) return root;
  throw new UsageError(`"${printable(typed)}" is not a content id: root: is followed by 64 hex digits.`);
}

function sizeOption(option: string, text: string): number {
  const size = parseSize(text);
  if (size !== undefined) return size;
  throw new UsageError(`${option} needs a size, such as 500kB or 10MB, not "${printable(text)}".`);
}

function dayOption(option: string, text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new UsageError(`${option} needs a day, such as 2026-11-22, not "${printable(text)}".`);
}

function isCommand(word: string): word is Command {
  return (COMMANDS as readonly string[]).includes(word);
}

function parseHolder(text: string): Endpoint {
  const { address, port } = parseTracker(text);
  const parsed = parseAddress(address);
  if (parsed !== undefined && /^(?:\[[^\]]*\]|[^:]*):\d+$/.test(text)) return { address: withoutZone(parsed), port };
  throw new UsageError(`--from needs a holder's address with its port, such as 192.168.1.7:1235, not "${printable(text)}".`);
}

// ---------------------------------------------------------------- one command

/** Joins the tracker, runs one command, and leaves. */
async function runCommand(line: CommandLine, command: Exclude<Command, "doctor">, signal: AbortSignal): Promise<void> {
  const screen = new Screen(line);
  const files = filesToShare(line, (words) => screen.note(words));
  if (command === "get") checkFolder(resolve(line.to));
  const place = line.tracker ?? (await findTracker(line, screen, signal));
  const report = (event: PeerEvent) => tellEvent(screen, event, command === "share");
  const peer = await startAt(line, place, files, report, signal);
  try {
    if (command === "share") await stayOnline(peer, screen, signal);
    else if (command === "get") await get(peer, line, screen, signal);
    else if (command === "who") await orCancelled(who(peer, screen), signal);
    else if (command === "find") await orCancelled(find(peer, line, screen), signal);
    else await orCancelled(search(peer, line, command, screen), signal);
  } finally {
    screen.clearProgress();
    await peer.stop();
  }
}

/** Starts a peer at a tracker that was typed or found, and remembers that tracker for the next time. */
async function startAt(
  line: CommandLine,
  place: TrackerPlace | Located,
  files: SharedFile[],
  report: (event: PeerEvent) => void,
  signal: AbortSignal,
): Promise<Peer> {
  let name = "name" in place ? place.name : "";
  return await startPeer(
    {
      tracker: place,
      // A tracker whose address was typed may move too: after joining, its name is known.
      find: async () => (name === "" ? undefined : await findAgain({ ...place, name })),
      files,
      port: line.port,
      cachePath: join(userFolder("cache"), "roots.json"),
      limit: line.limit,
      report: (event) => {
        if (event.event === "joined" && event.profile === 2) {
          name = event.name;
          lastTracker().write({ ...place, name });
        }
        report(event);
      },
    },
    signal,
  );
}

function lastTracker(): LastTracker {
  return new LastTracker(join(userFolder("cache"), "tracker.json"));
}

/** Finds the tracker that announces itself; of several, the person chooses one. */
async function findTracker({ json }: CommandLine, screen: Screen, signal: AbortSignal): Promise<Located> {
  const last = lastTracker().read();
  screen.progress("looking for a tracker…");
  const { trackers, found } = await lookAround(last, signal);
  screen.clearProgress();
  if (signal.aborted) throw new CancelledError();
  const [first, second] = trackers;
  if (first === undefined) throw nobodyFound(found, last);
  if (second === undefined) {
    screen.note(`Using the tracker ${describePlace(first)}.`);
    return first;
  }
  if (json || !hasTerminal()) throw severalFound(trackers);
  return await promptsOn(signal).chooseTracker(trackers, last);
}

/** Chooses the files to share and names them. Throws a `UsageError` when there are none. */
function filesToShare(line: CommandLine, say: (words: string) => void): SharedFile[] {
  const { taken, left } = chooseFiles(line.share.length === 0 ? ["."] : line.share, DEFAULT_MAX_FILES);
  if (taken.length === 0) {
    const where = line.share.length === 0 ? `the folder "${printable(process.cwd())}"` : "what --share names";
    const why = left[0] === undefined ? "" : ` ("${printable(left[0].path)}": ${left[0].reason})`;
    throw new UsageError(
      `There is no file to share in ${where}${why}. A peer shares at least one: give --share FILE or --share FOLDER.`,
    );
  }
  say(`Sharing ${taken.map((file) => `"${file.name}"`).join(", ")}.${describeLeft(left)}`);
  return taken;
}

async function search(peer: Peer, { argument }: CommandLine, command: "search" | "list", screen: Screen): Promise<void> {
  const records =
    command === "search"
      ? await peer.session.requests.search(nameArgument(argument ?? ""))
      : await peer.session.requests.list(argument === undefined ? undefined : await peerId(peer, argument));
  if (records.length === 0) throw new FtError("not-found", notFoundSentence(argument ?? ""));
  if (screen.json) for (const object of recordObjects(records)) screen.object(object);
  else for (const line of recordTable(records, measure, screen.width)) screen.line(line);
}

async function find(peer: Peer, { wish }: CommandLine, screen: Screen): Promise<void> {
  const records = await peer.session.requests.findAll(wish);
  if (records.length === 0) throw new FtError("not-found", "Nobody who is online shares a file that fits.");
  if (screen.json) for (const object of recordObjects(records)) screen.object(object);
  else for (const line of contentTable(records, measure, screen.width)) screen.line(line);
}

/** An endpoint as records write it, such as `[fd00::7]:1235`; other text stays as it is. */
function canonicalEndpoint(typed: string): string {
  const [, host = "", port = ""] = /^\[([^\]]*)\]:(\d+)$/.exec(typed) ?? [];
  const address = parseAddress(host);
  return address === undefined ? typed : formatEndpoint({ address: withoutZone(address), port: Number(port) });
}

/** The id of a peer that was typed as an id, an address, or an address and port. */
async function peerId(peer: Peer, typed: string): Promise<string> {
  const at = parseAddress(typed.replace(/^\[([^\]]*)\]$/, "$1"));
  const wanted = at === undefined ? canonicalEndpoint(typed) : withoutZone(at);
  const found = (await peer.session.requests.who()).filter((one) =>
    [one.id, one.address, formatEndpoint(one)].includes(wanted),
  );
  if (found.length > 1) {
    const choices = found.map((one) => formatEndpoint(one)).join(", ");
    throw new FtError("ambiguous", `${found.length} peers are at "${printable(typed)}": ${choices}. Name one of these.`);
  }
  if (found[0] === undefined)
    throw new FtError("not-found", `No peer "${printable(typed)}" is online. Try: ft-peer ADDRESS who`);
  return found[0].id;
}

async function who(peer: Peer, screen: Screen): Promise<void> {
  const peers = await peer.session.requests.who();
  const self = peer.session.standing?.id ?? "";
  if (screen.json) for (const one of peers) screen.object(one);
  else for (const line of peerTable(peers, self, measure, screen.width)) screen.line(line);
}

async function get(peer: Peer, line: CommandLine, screen: Screen, signal: AbortSignal): Promise<void> {
  const typed = line.argument ?? "";
  const records = await findContent(peer, typed, line.from, signal);
  const progress = progressReporter(screen);
  const started = performance.now();
  let received = 0;
  const report = (event: FetchEvent) => {
    if (event.event === "progress") received = event.received;
    progress(event);
  };
  const how = { folder: resolve(line.to), overwrite: line.overwrite, only: line.from !== undefined, signal, report };
  const done = await peer.download(records, how).catch((error: unknown) => {
    if (signal.aborted && received > 0) screen.note("Stopped; what arrived is kept. Run the same command to go on.");
    throw error;
  });
  const seconds = (performance.now() - started) / 1000;
  screen.clearProgress();
  if (screen.json) screen.object(downloadObject(records[0].name, done, seconds));
  else screen.line(describeDownload(done, seconds));
}

/** The holders of a file name or a content id; where a name means several contents, of the one with the most holders. */
async function findContent(
  peer: Peer,
  typed: string,
  from: Endpoint | undefined,
  signal: AbortSignal,
): Promise<[FileRecord, ...FileRecord[]]> {
  const root = rootArgument(typed);
  const { requests } = peer.session;
  const found = await waitForContent({
    look: () => orCancelled(root === undefined ? requests.search(nameArgument(typed)) : requests.holders(root), signal),
    fits: (record) =>
      (root === undefined || record.root === root) &&
      (from === undefined || (record.address === from.address && record.port === from.port)),
    isOwn: peer.isOwn,
    clock: systemClock,
  });
  if (found !== undefined) return found;
  const words =
    from === undefined ? notFoundSentence(typed) : `Nobody at ${formatEndpoint(from)} shares "${printable(typed)}".`;
  throw new FtError("not-found", words);
}

/** Checks this machine and its network, and says what stands between it and the others; false when something does. */
async function runDoctor(line: CommandLine, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(line);
  if (screen.json) screen.object({ event: "doctor", version: VERSION, platform: process.platform, arch: process.arch });
  const checks = await examine({
    tracker: line.tracker,
    last: lastTracker().read(),
    choose: () => chooseFiles(line.share.length === 0 ? ["."] : line.share, DEFAULT_MAX_FILES),
    to: resolve(line.to),
    usualPort: line.port ?? DEFAULT_PORT,
    signal,
    report: (check: Check) => {
      if (screen.json) screen.object({ event: "check", ...check });
      else for (const words of checkLines(check, measure, screen.width)) screen.line(words);
    },
    start: async (place, files, anyPort) => {
      const reached = Promise.withResolvers<{ reachable: boolean; reason: string }>();
      const report = (event: PeerEvent) => event.event === "reach" && reached.resolve(event);
      const peer = await startAt(anyPort ? { ...line, port: 0 } : line, place, files, report, signal);
      return { port: peer.port, session: peer.session, reached: reached.promise, stop: () => peer.stop() };
    },
  });
  const faults = checks.filter(({ status }) => status === "fault").length;
  if (screen.json) screen.object({ event: "done", faults });
  else screen.line(faults === 0 ? "Nothing stands in the way." : `${plural(faults, "fault")}.`);
  return faults === 0;
}

async function stayOnline(peer: Peer, screen: Screen, signal: AbortSignal): Promise<void> {
  peer.computeRoots();
  await new Promise<void>((stop) => {
    if (signal.aborted) stop();
    signal.addEventListener("abort", () => stop());
  });
  screen.note("Leaving.");
}

/** Shows an event: every one for `share`, only important ones for other commands. */
function tellEvent(screen: Screen, event: PeerEvent, all: boolean): void {
  if (all && screen.json) {
    screen.object(eventObject(event));
    return;
  }
  const words = describeEvent(event);
  if (all) screen.event(words);
  else if (event.event === "joined" && (event.profile === 1 || event.left.length > 0)) screen.note(words);
  else if (event.event === "away" || event.event === "notice") screen.note(words);
}

/** Whether there is a terminal, so that a person can be asked. */
function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true && process.env.TERM !== "dumb";
}

function promptsOn(signal: AbortSignal): Prompts {
  process.stdin.on("error", hangUp);
  return new Prompts({ input: process.stdin, output: process.stdout, signal });
}

// ---------------------------------------------------------------- guided prompts

async function runGuided(line: CommandLine, signal: AbortSignal): Promise<void> {
  if (!hasTerminal()) {
    throw new UsageError(
      `Guided prompts need a terminal. Without one, give a command: ${COMMANDS.join(", ")}. Try: ft-peer --help`,
    );
  }
  const prompts = promptsOn(signal);
  prompts.greet(`ft-peer ${VERSION}`);
  const last = lastTracker().read();
  await guide({
    prompts,
    tracker: line.tracker,
    last,
    look: () => lookAround(last, signal),
    files: line.share.length === 0 ? undefined : filesToShare(line, (words) => prompts.say(words)),
    folder: process.cwd(),
    to: resolve(line.to),
    overwrite: line.overwrite,
    signal,
    start: (tracker, files, report) => startAt(line, tracker, files, report, signal),
  });
}

// ---------------------------------------------------------------- main

/** Ends the command, which says BYE first. A second Ctrl-C, or the end of the time for leaving, ends the program at once. */
function leaveSoon(cancel: AbortController, signal: NodeJS.Signals): void {
  // A closed terminal window sends several signals: only Ctrl-C counts twice.
  if (cancel.signal.aborted && signal === "SIGINT") process.exit(EXIT.interrupted);
  if (cancel.signal.aborted) return;
  cancel.abort();
  setTimeout(() => process.exit(EXIT.interrupted), LEAVING_MS).unref();
}

async function main(argv: string[]): Promise<number> {
  let json = argv.includes("--json");
  const cancel = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => leaveSoon(cancel, signal));
  try {
    const line = parseOptions(argv);
    if ("text" in line) {
      out(line.text);
      return EXIT.done;
    }
    json = line.json;
    if (line.command === undefined) await runGuided(line, cancel.signal);
    else if (line.command === "doctor") return (await runDoctor(line, cancel.signal)) ? EXIT.done : EXIT.failed;
    else await runCommand(line, line.command, cancel.signal);
    return cancel.signal.aborted ? EXIT.interrupted : EXIT.done;
  } catch (error) {
    const cancelled = cancel.signal.aborted ? new CancelledError() : error;
    return exitCodeFor(cancelled, (message, code) => new Screen({ json, quiet: false }).error(message, code));
  }
}

if (import.meta.main) await runProgram(main);
