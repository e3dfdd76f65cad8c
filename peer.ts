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
import { dialableFrom, interfaces, isOnNetwork, watchInterfaces } from "./lib/net/interfaces.ts";
import { type Listener, listen } from "./lib/net/listen.ts";
import { Admission } from "./lib/peer/admission.ts";
import { mayCallBack } from "./lib/peer/call-backs.ts";
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
import {
  type CommandLine,
  nameArgument,
  PEER_COMMANDS,
  type PeerCommand,
  parsePeerArguments,
  rootArgument,
} from "./lib/peer/options.ts";
import { isDialable, isOwnEndpoint, isTrackerHere } from "./lib/peer/own-address.ts";
import { RateLimit } from "./lib/peer/rate-limit.ts";
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
import { EXIT, exitCodeFor, hangUp, orCancelled, out, runProgram, VERSION } from "./lib/program/cli.ts";
import { type Address, type Endpoint, formatEndpoint, parseAddress, withoutZone } from "./lib/protocol/address.ts";
import { DEFAULT_MAX_FILES } from "./lib/protocol/messages.ts";
import { SessionKey } from "./lib/protocol/pass.ts";
import type { FileRecord } from "./lib/protocol/record.ts";
import { plural, printable } from "./lib/text.ts";

/** The port on which a peer serves, if no other program has it. */
const DEFAULT_PORT = 1235;
/** Connections from one address at once. */
const MAX_PER_ADDRESS = 32;
/** After Ctrl-C the program ends within this time, even if something hangs. Milliseconds. */
const LEAVING_MS = 4_000;

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
    isOfThisMachine,
    clock,
  });
  const server = new Server({
    open: (wanted) => openShared(wanted),
    look: (root) => sharing.look(root) ?? downloads.look(root),
    changed: () => watch.nudge(),
    readPass: (pass, from) => {
      const checked = admission.checkPass(pass, from);
      if ("id" in checked) connector.proven(from);
      return checked;
    },
    whenRevoked: (id, act) => admission.whenRevoked(id, act),
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
    records: (own) => [...sharing.records(own), ...downloads.records(own)],
    sessionKey: new SessionKey(),
    revoked: (ids) => admission.revoke(ids),
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
    mayCallBack: (to) =>
      mayCallBack(to, {
        isTrackerHere: isTrackerHere(session.standing),
        isOfThisMachine,
        isOnNetwork: (address) => isOnNetwork(address, interfaces()),
        known: (address) => session.requests.known(address),
        who: () => session.requests.who(),
      }),
    // On the tracker's own machine a pass is good from every address of that machine.
    local: () => (isTrackerHere(session.standing) ? undefined : session.standing?.local),
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

/** Whether an interface of this machine has the address. */
function isOfThisMachine(address: Address): boolean {
  return interfaces().some(({ addresses }) => addresses.some((own) => own.address === address));
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

// ---------------------------------------------------------------- one command

/** Joins the tracker, runs one command, and leaves. */
async function runCommand(line: CommandLine, command: Exclude<PeerCommand, "doctor">, signal: AbortSignal): Promise<void> {
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
  screen.results(screen.json ? recordObjects(records) : recordTable(records, screen.width));
}

async function find(peer: Peer, { wish }: CommandLine, screen: Screen): Promise<void> {
  const records = await peer.session.requests.findAll(wish);
  if (records.length === 0) throw new FtError("not-found", "Nobody who is online shares a file that fits.");
  screen.results(screen.json ? recordObjects(records) : contentTable(records, screen.width));
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
  screen.results(screen.json ? peers : peerTable(peers, self, screen.width));
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
  screen.results(screen.json ? [downloadObject(records[0].name, done, seconds)] : [describeDownload(done, seconds)]);
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
      screen.results(screen.json ? [{ event: "check", ...check }] : checkLines(check, screen.width));
    },
    start: async (place, files, anyPort) => {
      const reached = Promise.withResolvers<{ reachable: boolean; reason: string }>();
      const report = (event: PeerEvent) => event.event === "reach" && reached.resolve(event);
      const peer = await startAt(anyPort ? { ...line, port: 0 } : line, place, files, report, signal);
      return { port: peer.port, session: peer.session, reached: reached.promise, stop: () => peer.stop() };
    },
  });
  const faults = checks.filter(({ status }) => status === "fault").length;
  const words = faults === 0 ? "Nothing stands in the way." : `${plural(faults, "fault")}.`;
  screen.results(screen.json ? [{ event: "done", faults }] : [words]);
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
  else if (event.event === "away" || event.event === "notice" || event.event === "unread") screen.note(words);
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
      `Guided prompts need a terminal. Without one, give a command: ${PEER_COMMANDS.join(", ")}. Try: ft-peer --help`,
    );
  }
  const prompts = promptsOn(signal);
  prompts.greet(`ft-peer ${VERSION}`);
  const last = lastTracker().read();
  await guide({
    prompts,
    tracker: line.tracker,
    last,
    files: line.share.length === 0 ? undefined : filesToShare(line, (words) => prompts.say(words)),
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
    const line = parsePeerArguments(argv);
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
