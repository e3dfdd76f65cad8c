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
import { quietClock, systemClock } from "./lib/clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf, UsageError } from "./lib/error.ts";
import { userFolder } from "./lib/files.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom, interfaces, isOnNetwork, watchInterfaces } from "./lib/net/interfaces.ts";
import { type Listener, listen } from "./lib/net/listen.ts";
import { Admission } from "./lib/peer/admission.ts";
import { mayCallBack } from "./lib/peer/call-backs.ts";
import { orCancelled } from "./lib/peer/cancel.ts";
import { Connector } from "./lib/peer/connect.ts";
import { HashPool, sha256 } from "./lib/peer/content/hash.ts";
import { TreeCache } from "./lib/peer/content/tree-cache.ts";
import { type Content, SeveralContentsError, waitForContents } from "./lib/peer/contents.ts";
import { checkDefaultFolder } from "./lib/peer/disk/default-folder.ts";
import { checkFolder } from "./lib/peer/disk/incoming.ts";
import { chooseFiles, Share, type SharedFile } from "./lib/peer/disk/share.ts";
import { checkSpelling } from "./lib/peer/disk/spelling.ts";
import { ShareWatch } from "./lib/peer/disk/watch.ts";
import { type DownloadOptions, Downloads } from "./lib/peer/download.ts";
import { EventDamper, type PeerEvent } from "./lib/peer/events.ts";
import type { FetchEvent } from "./lib/peer/fetch/types.ts";
import {
  describePlace,
  findAgain,
  KnownTrackers,
  type Located,
  lookAround,
  nobodyFound,
  severalFound,
  typed,
} from "./lib/peer/locate.ts";
import {
  type CommandLine,
  nameArgument,
  PEER_COMMANDS,
  type PeerCommand,
  parsePeerArguments,
  rootArgument,
} from "./lib/peer/options.ts";
import { type Holding, isDialable, isOwnRecord, isTrackerHere } from "./lib/peer/own-address.ts";
import { RateLimit } from "./lib/peer/rate-limit.ts";
import { Prompts } from "./lib/peer/screen/ask.ts";
import { type Check, checkLines, examine } from "./lib/peer/screen/doctor.ts";
import { type GuidedPeer, guide } from "./lib/peer/screen/guide.ts";
import { progressReporter, Screen } from "./lib/peer/screen/screen.ts";
import {
  choiceLines,
  choiceObjects,
  choiceTable,
  contentTable,
  describeDownload,
  describeEvent,
  describeLeft,
  describeRenaming,
  downloadObject,
  eventObject,
  notFoundSentence,
  peerTable,
  recordObjects,
  recordTable,
} from "./lib/peer/screen/view.ts";
import { type FileAsked, type Opened, Server } from "./lib/peer/serve/serve.ts";
import { type Introduced, Session, type TrackerPlace } from "./lib/peer/session.ts";
import { Sharing } from "./lib/peer/sharing.ts";
import { Trust, UntrustedTracker } from "./lib/peer/trust.ts";
import { EXIT, exitCodeFor, hangUp, out, runProgram, VERSION } from "./lib/program/cli.ts";
import { endingSignals } from "./lib/program/signals.ts";
import { type Address, type Endpoint, formatEndpoint, parseAddress, withoutZone } from "./lib/protocol/address.ts";
import { DEFAULT_MAX_FILES } from "./lib/protocol/messages.ts";
import { isProven, SessionKey } from "./lib/protocol/pass.ts";
import { plural, printable } from "./lib/text.ts";

/** The port on which a peer serves, unless another program has it. */
const DEFAULT_PORT = 1235;
/** The most connections from one address at once. */
const MAX_PER_ADDRESS = 32;
/** After Ctrl-C the program ends within this time, even if something hangs. Milliseconds. */
const LEAVING_MS = 4_000;

// ---------------------------------------------------------------- the peer

export interface PeerOptions {
  tracker: TrackerPlace;
  /** Looks for the tracker at another address, when it cannot be reached any more. */
  find?: () => Promise<TrackerPlace[]>;
  /** Throws a sentence when this peer's files may not be told to the tracker. */
  approve?: (tracker: Introduced) => void;
  /** Whether the tracker that was reached at this address has spoken FT/2 before. */
  wasFull?: (at: Endpoint) => boolean;
  files: SharedFile[];
  /** The port to serve on; undefined takes 1235, or a free port when that is taken. */
  port?: number | undefined;
  /** The file in which content ids are remembered between runs. */
  cachePath: string;
  /** The most bytes per second, up and down each. */
  limit?: number | undefined;
  report(event: PeerEvent): void;
}

/** A peer that is online. */
export interface Peer extends GuidedPeer {
  readonly port: number;
  /** Whether a record is this peer's own. */
  isOwn(record: Holding): boolean;
}

/** Starts serving and joins the tracker. Throws a sentence when it cannot. */
export async function startPeer(options: PeerOptions, signal?: AbortSignal): Promise<Peer> {
  const clock = systemClock;
  const events = new EventDamper(options.report, quietClock);
  const report = (event: PeerEvent) => events.report(event);
  const share = new Share(options.files);
  const pool = new HashPool(new URL("./lib/peer/content/hasher.ts", import.meta.url));
  const cache = new TreeCache(options.cachePath);
  const stopped = new AbortController();
  const rateLimit = () => (options.limit === undefined ? undefined : new RateLimit(options.limit, clock));

  const sessionKey = new SessionKey();
  const admission = new Admission({
    standing: () => session.standing,
    askKnown: (address) => session.requests.known(address),
    isOfThisMachine,
    port: () => listener.port,
    nonce: secret,
    clock,
  });
  const server = new Server({
    open: (wanted) => openShared(wanted),
    look: (root) => sharing.look(root) ?? downloads.look(root),
    changed: () => watch.nudge(),
    readPass: (pass, from, keyed) => {
      const checked = admission.checkPass(pass, from, keyed);
      if ("id" in checked && !("nonce" in checked)) connector.proven(from);
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
    ...(options.approve === undefined ? {} : { approve: options.approve }),
    ...(options.wasFull === undefined ? {} : { wasFull: options.wasFull }),
    isProven,
    challenge: secret,
    agent: `ft-peer/${VERSION}`,
    port: listener.port,
    records: (own) => [...sharing.records(own), ...downloads.records(own)],
    sessionKey,
    revoked: (ids) => admission.revoke(ids),
    callBack: (to) => void connector.callBack(to),
    report,
    clock,
    random: Math.random,
  });
  const connector = new Connector({
    dial: ({ address, port }, how) => dial({ address: onTrackersLink(address), port }, how),
    ask: (call, id) => session.requests.connect(call, id),
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
    // A keyed pass is good from every address, and on the tracker's own machine every pass from every address of that machine.
    local: () => (session.standing?.keyed || isTrackerHere(session.standing) ? undefined : session.standing?.local),
    closed: () =>
      session.standing?.reach === false ? `nobody can connect to port ${listener.port} of this machine either` : "",
    token: secret,
    clock,
  });
  const isOwn = (record: Holding) => isOwnRecord(record, listener.port, session.standing);
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
    keyed: () => {
      const text = session.standing?.keyed ?? "";
      return text === "" ? undefined : { text, prove: (nonce, at) => sessionKey.provePass(nonce, at) };
    },
    away: () => session.away,
    unsettled: () => session.unsettled,
    look: (root) => session.requests.holders(root),
    isFetchable: (record) => isDialable(record, session.standing) && !isOwn(record),
    isOwn,
    announce: (record) => sharing.announcePart(record),
    withdraw: (record) => sharing.withdrawPart(record),
    finished: (file, root, pieces) => sharing.addDownloaded(file, root, pieces),
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
  function openShared(wanted: FileAsked): Opened | undefined {
    const found = share.find(wanted);
    const { root } = wanted;
    if (found === undefined) {
      const part = root === undefined ? undefined : downloads.open(root);
      return part && { ...part, root };
    }
    const file = share.open(found);
    if (file === undefined) watch.nudge();
    return file && { name: found.name, root: found.root, file };
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
      events.flush();
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

/** A text that nobody can guess, of letters, digits, `-` and `_`. */
function secret(): string {
  return randomBytes(18).toString("base64url");
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
  const peer = await startAt(line, place, files, report, signal, { consent: line.share.length > 0 });
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

/**
 * Starts a peer at a tracker that was typed or found, and remembers that tracker for the next time. `consent`: a person has chosen
 * these files for any tracker. Otherwise a person on a terminal is asked about a tracker that is not known.
 */
async function startAt(
  line: CommandLine,
  place: TrackerPlace | Located,
  files: SharedFile[],
  report: (event: PeerEvent) => void,
  signal: AbortSignal,
  { consent }: { consent: boolean },
): Promise<Peer> {
  const trust = new Trust(knownTrackers(), consent);
  const start = () =>
    startPeer(
      {
        tracker: { ...place, full: trust.isFull(place) },
        // A tracker whose address was typed may move too: after joining, its name and key are known.
        find: async () => (trust.current === undefined ? [] : await findAgain({ ...place, ...trust.current })),
        approve: (tracker) => trust.approve(tracker),
        wasFull: (at) => trust.isFull(at),
        files,
        port: line.port,
        cachePath: join(userFolder("cache"), "roots.json"),
        limit: line.limit,
        report: (event) => {
          if (event.event === "joined" && event.profile === 2) trust.joined();
          report(event);
        },
      },
      signal,
    );
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof UntrustedTracker) || line.json || !hasTerminal()) throw error;
    await promptsOn(signal).agreeToShare(error, files);
    trust.agree(error);
    return await start();
  }
}

function knownTrackers(): KnownTrackers {
  return new KnownTrackers(join(userFolder("cache"), "tracker.json"));
}

/** Finds the tracker that announces itself; of several, the person chooses one. */
async function findTracker({ json }: CommandLine, screen: Screen, signal: AbortSignal): Promise<Located> {
  const last = knownTrackers().last;
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

/** The files that --share names; without it the first ones of this folder, unless that is a folder from which nobody shares. */
function namedOrDefault({ share }: CommandLine): ReturnType<typeof chooseFiles> {
  if (share.length === 0) checkDefaultFolder(process.cwd());
  return chooseFiles(share.length === 0 ? ["."] : share, DEFAULT_MAX_FILES);
}

/** Chooses the files to share and names them. Throws a `UsageError` when there are none. */
function filesToShare(line: CommandLine, say: (words: string) => void): SharedFile[] {
  const { taken, left } = namedOrDefault(line);
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
  const contents = await chooseContent(await findContents(peer, line, signal), line, screen, signal);
  const progress = progressReporter(screen);
  const started = performance.now();
  let received = 0;
  const report = (event: FetchEvent) => {
    if (event.event === "progress") received = event.received;
    progress(event);
  };
  const how = { folder: resolve(line.to), overwrite: line.overwrite, only: line.from !== undefined, signal, report };
  const { record, done } = await downloadFirst(peer, contents, how, screen).catch((error: unknown) => {
    if (signal.aborted && received > 0) screen.note("Stopped; what arrived is kept. Run the same command to go on.");
    throw error;
  });
  const seconds = (performance.now() - started) / 1000;
  screen.results(screen.json ? [downloadObject(record, done, seconds)] : [describeDownload(done, seconds)]);
  const renamed = describeRenaming(record.name, done);
  if (renamed !== undefined) screen.note(renamed);
}

/** Downloads the first of these contents that can be fetched. Throws the sentence of the last one. */
async function downloadFirst(peer: Peer, [content, ...others]: Content[], how: DownloadOptions, screen: Screen) {
  if (content === undefined) throw new FtError("no-holder", "There is no holder to fetch from.");
  try {
    return { record: content.records[0], done: await peer.download(content.records, how) };
  } catch (error) {
    if (others.length === 0 || how.signal.aborted) throw error;
    screen.note(sentenceOf(error));
    return await downloadFirst(peer, others, how, screen);
  }
}

/** The contents that a file's name or a content id means, the best first. Throws a sentence when nobody has one. */
async function findContents(peer: Peer, { argument = "", from }: CommandLine, signal: AbortSignal): Promise<Content[]> {
  const root = rootArgument(argument);
  const { requests } = peer.session;
  const contents = await waitForContents({
    look: () => orCancelled(root === undefined ? requests.search(nameArgument(argument)) : requests.holders(root), signal),
    fits: (record) =>
      (root === undefined || record.root === root) &&
      (from === undefined || (record.address === from.address && record.port === from.port)),
    isOwn: peer.isOwn,
    clock: systemClock,
  });
  if (contents.length > 0) return contents;
  const words =
    from === undefined ? notFoundSentence(argument) : `Nobody at ${formatEndpoint(from)} shares "${printable(argument)}".`;
  throw new FtError("not-found", words);
}

/**
 * The contents to try, in this order. Where a name means several, a person chooses one; without a terminal that is an error, except with
 * --any. For a content id these are all contents that claim it: if they differ in size, only one of them can be right.
 */
async function chooseContent(contents: Content[], line: CommandLine, screen: Screen, signal: AbortSignal): Promise<Content[]> {
  const { argument = "", any, json, quiet, tracker } = line;
  const [best, second] = contents;
  if (best === undefined || rootArgument(argument) !== undefined) return contents;
  const name = printable(argument);
  if (second === undefined) {
    const { hosts, unproven, records } = best;
    if (records[0].root !== undefined && unproven > hosts) {
      const where = unproven === 1 ? "1 host has" : `${unproven} hosts have`;
      screen.note(`${where} a "${name}" of the same size without a content id; it may be another file.`);
    }
    return [best];
  }
  const count = `${contents.length} different files are called "${name}"`;
  if (any) {
    for (const words of [`${count}. Taking this one:`, ...choiceTable([best])]) screen.note(words);
    return [best];
  }
  if (!json && !quiet && hasTerminal()) return [await promptsOn(signal).chooseContent(argument, contents)];
  const at = tracker === undefined ? "" : typed(tracker);
  const words = `${count}. Fetch one of them by its content id, or give --any for the first of this list.`;
  throw new SeveralContentsError(words, choiceObjects(contents, at), choiceLines(contents, at));
}

/** Checks this machine and its network, and says what keeps it from the other peers; false when something does. */
async function runDoctor(line: CommandLine, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(line);
  if (screen.json) screen.object({ event: "doctor", version: VERSION, platform: process.platform, arch: process.arch });
  const checks = await examine({
    tracker: line.tracker,
    last: knownTrackers().last,
    choose: () => namedOrDefault(line),
    to: resolve(line.to),
    usualPort: line.port ?? DEFAULT_PORT,
    signal,
    report: (check: Check) => {
      screen.results(screen.json ? [{ event: "check", ...check }] : checkLines(check, screen.width));
    },
    start: async (place, files, anyPort) => {
      const reached = Promise.withResolvers<{ reachable: boolean; reason: string }>();
      const report = (event: PeerEvent) => event.event === "reach" && reached.resolve(event);
      const how = { consent: line.share.length > 0 };
      const peer = await startAt(anyPort ? { ...line, port: 0 } : line, place, files, report, signal, how);
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
  const last = knownTrackers().last;
  await guide({
    prompts,
    tracker: line.tracker,
    last,
    files: line.share.length === 0 ? undefined : filesToShare(line, (words) => prompts.say(words)),
    to: resolve(line.to),
    overwrite: line.overwrite,
    signal,
    start: (tracker, files, report) => startAt(line, tracker, files, report, signal, { consent: true }),
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
  for (const signal of endingSignals()) process.on(signal, () => leaveSoon(cancel, signal));
  try {
    const line = parsePeerArguments(argv);
    if ("text" in line) {
      out(line.text);
      return EXIT.done;
    }
    json = line.json;
    const shared = line.share.length > 0 || line.command === "doctor" ? line.share : ["."];
    const receives = line.command === undefined || line.command === "get";
    checkSpelling([...shared, ...(receives ? [line.to] : [])]);
    if (line.command === undefined) await runGuided(line, cancel.signal);
    else if (line.command === "doctor") return (await runDoctor(line, cancel.signal)) ? EXIT.done : EXIT.failed;
    else await runCommand(line, line.command, cancel.signal);
    return cancel.signal.aborted ? EXIT.interrupted : EXIT.done;
  } catch (error) {
    const cancelled = cancel.signal.aborted ? new CancelledError() : error;
    const choice = cancelled instanceof SeveralContentsError ? cancelled : undefined;
    return exitCodeFor(cancelled, (message, code) => new Screen({ json, quiet: false }).error(message, code, choice));
  }
}

if (import.meta.main) await runProgram(main);
