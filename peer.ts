#!/usr/bin/env bun
// ft-peer: shares files, searches at the tracker, downloads straight from other peers and serves them.
//
//     ft-peer                    guided prompts, with the tracker that announces itself
//     ft-peer ADDRESS            with the one at this address
//     ft-peer get NAME           one command, for scripts
//
// Every command joins the tracker first, because a peer that shares nothing is not accepted; serves while it runs; and says
// BYE at the end.

import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { systemClock } from "./lib/clock.ts";
import { CancelledError, codeOf, FtError, UsageError } from "./lib/error.ts";
import { userFolder } from "./lib/files.ts";
import { dial } from "./lib/net/dial.ts";
import { dialableFrom, interfaces, watchInterfaces } from "./lib/net/interfaces.ts";
import { type Listener, listen } from "./lib/net/listen.ts";
import { Connector } from "./lib/peer/connect.ts";
import { HashPool, sha256 } from "./lib/peer/content/hash.ts";
import { TreeCache } from "./lib/peer/content/tree-cache.ts";
import { groupByContent } from "./lib/peer/contents.ts";
import { checkFolder } from "./lib/peer/disk/incoming.ts";
import { chooseFiles, computeTree, recordOf, Share, type SharedFile } from "./lib/peer/disk/share.ts";
import { ShareWatch } from "./lib/peer/disk/watch.ts";
import { type DownloadOptions, Downloads } from "./lib/peer/download.ts";
import type { Downloaded, PeerEvent } from "./lib/peer/events.ts";
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
import { type CommandLine, PEER_COMMANDS, type PeerCommand, parsePeerArguments, rootArgument } from "./lib/peer/options.ts";
import { Prompts } from "./lib/peer/screen/ask.ts";
import { type Check, checkLines, examine } from "./lib/peer/screen/doctor.ts";
import { guide } from "./lib/peer/screen/guide.ts";
import { progressReporter, Screen } from "./lib/peer/screen/screen.ts";
import {
  contentTable,
  describeDownload,
  describeEvent,
  describeLeft,
  eventObject,
  notFoundSentence,
  peerTable,
  recordObjects,
  recordTable,
} from "./lib/peer/screen/view.ts";
import { type Known, type Served, Server } from "./lib/peer/serve/serve.ts";
import { Session, type TrackerPlace } from "./lib/peer/session.ts";
import { EXIT, exitCodeFor, hangUp, measure, nameArgument, orCancelled, out, runProgram, VERSION } from "./lib/program/cli.ts";
import {
  type Address,
  type Endpoint,
  formatEndpoint,
  isHostAddress,
  isLoopback,
  parseAddress,
  withoutZone,
} from "./lib/protocol/address.ts";
import { DEFAULT_MAX_FILES } from "./lib/protocol/messages.ts";
import { readPass } from "./lib/protocol/pass.ts";
import type { FileRecord } from "./lib/protocol/record.ts";
import { encodeToTracker } from "./lib/protocol/write.ts";
import { RateLimit } from "./lib/rate.ts";
import { plural, printable } from "./lib/text.ts";

const DEFAULT_PORT = 1235;
const MAX_PER_ADDRESS = 32;
const KNOWN_CACHE_MS = 30_000;
/** A changed file is hashed when it was left alone for this long. */
const QUIET_MS = 500;
const LEAVING_MS = 4_000;

// ---------------------------------------------------------------- the peer

export interface PeerOptions {
  tracker: TrackerPlace;
  /** Looks for that tracker anew when it cannot be reached any more. */
  find?: () => Promise<TrackerPlace | undefined>;
  files: SharedFile[];
  /** Where to serve; undefined takes 1235, or a free port when that is taken. */
  port?: number | undefined;
  /** Where content ids are remembered between runs. */
  cachePath: string;
  /** Bytes a second at most, up and down each. */
  limit?: number | undefined;
  report(event: PeerEvent): void;
}

export interface Peer {
  readonly port: number;
  readonly session: Session;
  readonly share: Share;
  readonly server: Server;
  /** Computes the content ids of what is shared, in the background. */
  computeRoots(): void;
  /** Whether a record is this peer's own. */
  isOwn(record: Endpoint): boolean;
  /** Fetches one content; the records are its holders. Throws a sentence. */
  download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded>;
  /** Says BYE and stops serving. */
  stop(): Promise<void>;
}

/** Starts serving and joins the tracker. Throws a sentence when either cannot be. */
export async function startPeer(options: PeerOptions, signal?: AbortSignal): Promise<Peer> {
  const { report } = options;
  const share = new Share(options.files);
  const pool = new HashPool(new URL("./lib/peer/content/hasher.ts", import.meta.url));
  const cache = new TreeCache(options.cachePath);
  const stopped = new AbortController();
  /** Shared files that have changed and are about to get their content ids. */
  const renewals = new Map<SharedFile, AbortController>();
  for (const file of share.files) Object.assign(file, cache.get(file));

  const limitOf = () => (options.limit === undefined ? undefined : new RateLimit(options.limit, systemClock));
  const knownUntil = new Map<Address, number>();
  const server = new Server({
    open: openShared,
    look,
    changed: () => watch.nudge(),
    readPass: checkPass,
    arrived: (token, channel) => connector.arrived(token, channel),
    known,
    sha256,
    limit: limitOf(),
    report,
  });
  const listener = listenFrom(options.port, (channel) => server.accept(channel));
  const session = new Session({
    dial,
    tracker: options.tracker,
    ...(options.find === undefined ? {} : { find: options.find }),
    agent: `ft-peer/${VERSION}`,
    port: listener.port,
    records: (own) => share.files.filter(({ beyond }) => !beyond).map((file) => recordOf(file, own)),
    parts: (own) => [
      ...share.files.filter(({ beyond }) => beyond).map((file) => recordOf(file, own)),
      ...downloads.records(own),
    ],
    callBack: (to) => void connector.callBack(to),
    report,
  });
  const connector = new Connector({
    dial: ({ address, port }, how) => dial({ address: nearby(address), port }, how),
    ask: (call) => session.connect(call),
    serve: (channel) => server.accept(channel),
    isDialable,
    // On the tracker's own machine a pass is good from every address of it.
    you: () => (isTrackerHere() ? undefined : session.standing?.you),
    closed: () =>
      session.standing?.reach === false ? `nobody can connect to port ${listener.port} of this machine either` : "",
    token: () => randomBytes(18).toString("base64url"),
  });
  const downloads = new Downloads({
    dial: (record, how) => connector.open(record, how),
    pool,
    limit: limitOf(),
    pass: () => session.standing?.pass ?? "",
    away: () => session.away,
    unsettled: () => session.unsettled,
    look: (root) => session.holders(root),
    isFetchable: (record) => isDialable(record) && !isOwn(record),
    isOwn,
    announce: (record) => {
      if (share.find({ name: record.name }) === undefined) void tell(record);
    },
    withdraw: ({ name }) => {
      if (share.find({ name }) === undefined) session.drop(name).catch(() => undefined);
    },
    finished: keepServing,
  });
  const watch = new ShareWatch(share, { changed: renew, gone: withdraw, back: comeBack });
  const stopWatchingNetwork = watchInterfaces((now) => {
    session.networkChanged(new Set(now.flatMap(({ addresses }) => addresses.map(({ address }) => address))));
  });

  /** What is on the list, or what has arrived of a file that is being fetched. */
  function openShared(wanted: { name?: string; root?: string; size?: number }): { name: string; file: Served } | undefined {
    const found = share.find(wanted);
    if (found === undefined) return wanted.root === undefined ? undefined : downloads.open(wanted.root);
    const file = share.open(found);
    if (file === undefined) watch.nudge();
    return file === undefined ? undefined : { name: found.name, file };
  }

  function look(root: string): Known | undefined {
    const found = share.find({ root });
    return found?.pieces === undefined ? downloads.look(root) : { size: found.size, pieces: found.pieces };
  }

  /** Whose pass this is, or why it is not good from this address; the tracker's word counts, by the tracker's clock. */
  function checkPass(text: string, from: Address): { id: string } | { refusal: string } {
    const standing = session.standing;
    if (standing === undefined || standing.profile === 1) return { refusal: "This peer's tracker gives no passes." };
    const pass = readPass(text, standing.key);
    if (pass === undefined) return { refusal: "The pass is not from this peer's tracker." };
    if (pass.expires * 1000 < Date.now() + standing.skew) return { refusal: "The pass has expired." };
    // On one machine the same peer is seen as loopback by some and by its network address by others.
    const same =
      pass.address === from ||
      (isLoopback(pass.address) && (isLoopback(from) || from === standing.tracker || (isTrackerHere() && isOurs(from)))) ||
      (isLoopback(from) && pass.address === standing.you);
    return same ? { id: pass.id } : { refusal: `The pass is for another address than ${from}.` };
  }

  /** FT/1 downloaders show no pass: the tracker is asked. A basic tracker cannot say; then everybody is served, as ever. */
  async function known(from: Address): Promise<boolean> {
    const until = knownUntil.get(from) ?? 0;
    if (until > Date.now()) return true;
    const asked = isLoopback(from) ? (session.standing?.you ?? from) : from;
    const answer = (await session.known(asked)) ?? true;
    if (answer) knownUntil.set(from, Date.now() + KNOWN_CACHE_MS);
    return answer;
  }

  /** A shared file changed: its record follows, with a new content id as soon as there is one. */
  async function renew(file: SharedFile): Promise<void> {
    if (!share.renew(file)) return;
    report({ event: "changed", file });
    // A file that is being written changes again and again: only its last state is worth hashing.
    renewals.get(file)?.abort();
    const renewal = new AbortController();
    renewals.set(file, renewal);
    await publish(file);
    await Bun.sleep(QUIET_MS);
    const signal = AbortSignal.any([renewal.signal, stopped.signal]);
    if (signal.aborted || !(await computeTree(file, pool, cache, { signal }))) return;
    renewals.delete(file);
    report({ event: "root", file });
    await publish(file);
    await cache.save();
  }

  async function withdraw(file: SharedFile): Promise<void> {
    share.remove(file);
    report({ event: "withdrawn", name: file.name, reason: "it cannot be read any more" });
    const dropped = await session.drop(file.name).catch(() => true);
    // Who shares nothing is not online, unless a download still needs the tracker; coming back is for when a file does.
    if (!dropped && !downloads.running) await session.leave();
  }

  async function comeBack(file: SharedFile): Promise<void> {
    if (share.find({ name: file.name }) !== undefined) return;
    share.add(file);
    await renew(file);
    session.comeBack();
  }

  /** What was fetched is served on while this peer is online; beyond the tracker's limit as what does not count. */
  function keepServing(path: string, root: string, pieces: Uint8Array): void {
    if (share.find({ root }) !== undefined) return;
    const [file] = chooseFiles([path], 1).taken;
    if (file === undefined || share.find({ name: file.name }) !== undefined) return;
    const counted = share.files.filter(({ beyond }) => !beyond).length;
    Object.assign(file, { root, pieces }, counted < (session.standing?.max ?? 0) ? {} : { beyond: true });
    cache.set(file, { root, pieces });
    share.add(file);
    void publish(file);
  }

  async function publish(file: SharedFile): Promise<void> {
    const you = session.standing?.you;
    if (you !== undefined) await tell(recordOf(file, { address: you, port: listener.port }));
  }

  async function tell(record: FileRecord): Promise<void> {
    await session.add(record).catch(() => undefined);
  }

  async function computeRoots(): Promise<void> {
    for (const file of [...share.files]) {
      if (stopped.signal.aborted) return;
      if (file.root !== undefined) continue;
      if (!(await computeTree(file, pool, cache, { signal: stopped.signal }))) continue;
      report({ event: "root", file });
      await publish(file);
    }
    await cache.save();
  }

  function isOwn(record: Endpoint): boolean {
    const you = session.standing?.you;
    return record.port === listener.port && (record.address === you || (isLoopback(record.address) && isTrackerHere()));
  }

  function isTrackerHere(): boolean {
    const tracker = session.standing?.tracker;
    const { you, local } = session.standing ?? {};
    return tracker !== undefined && (isLoopback(tracker) || tracker === you || tracker === local);
  }

  function isOurs(address: Address): boolean {
    return interfaces().some(({ addresses }) => addresses.some((own) => own.address === address));
  }

  /** A link-local address is good on one link: the one by which the tracker is reached. */
  function nearby(address: string): string {
    const local = session.standing?.local;
    const parsed = parseAddress(address);
    return local === undefined || parsed === undefined ? address : dialableFrom(local, parsed);
  }

  /** A tracker elsewhere cannot know of loopback, and no record can mean a group of hosts: such are not dialled. */
  function isDialable({ address }: Endpoint): boolean {
    return isHostAddress(address) && (!isLoopback(address) || isTrackerHere());
  }

  const peer: Peer = {
    port: listener.port,
    session,
    share,
    server,
    computeRoots: () => void computeRoots(),
    isOwn,
    download: (records, how) => downloads.start(records, { ...how, signal: AbortSignal.any([how.signal, stopped.signal]) }),
    stop: async () => {
      stopped.abort();
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

/** Listens where it was told to; by default on 1235, or on a free port when that is taken. */
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

/** Joins, does one thing, leaves. */
async function runCommand(line: CommandLine, command: Exclude<PeerCommand, "doctor">, signal: AbortSignal): Promise<void> {
  const screen = new Screen(line);
  const files = filesToShare(line, (words) => screen.note(words));
  if (command === "get") checkFolder(resolve(line.to));
  const place = line.tracker ?? (await locate(line, screen, signal));
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

/** Joins a tracker that was typed or found, and remembers it. */
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
      // Also one that was typed may have moved: by then its name is known.
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

/** The tracker that announces itself; of several, the one that the person chooses. */
async function locate({ json }: CommandLine, screen: Screen, signal: AbortSignal): Promise<Located> {
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

/** Chooses what is shared and says so; without anything to share nobody is asked anything. */
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
      ? await peer.session.search(nameArgument(argument ?? ""))
      : await peer.session.list(argument === undefined ? undefined : await peerId(peer, argument));
  if (records.length === 0) throw new FtError("not-found", notFoundSentence(argument ?? ""));
  if (screen.json) for (const object of recordObjects(records)) screen.object(object);
  else for (const line of recordTable(records, measure, screen.width)) screen.line(line);
}

async function find(peer: Peer, { wish }: CommandLine, screen: Screen): Promise<void> {
  const records = await peer.session.findAll(wish);
  if (records.length === 0) throw new FtError("not-found", "Nobody who is online shares a file that fits.");
  if (screen.json) for (const object of recordObjects(records)) screen.object(object);
  else for (const line of contentTable(records, measure, screen.width)) screen.line(line);
}

/** An endpoint in its one form; other text as it is. */
function canonical(typed: string): string {
  const [, host = "", port = ""] = /^\[([^\]]*)\]:(\d+)$/.exec(typed) ?? [];
  const address = parseAddress(host);
  return address === undefined ? typed : formatEndpoint({ address: withoutZone(address), port: Number(port) });
}

/** A peer as typed (id, address, or address and port), as its id. */
async function peerId(peer: Peer, typed: string): Promise<string> {
  const at = parseAddress(typed.replace(/^\[([^\]]*)\]$/, "$1"));
  const wanted = at === undefined ? canonical(typed) : withoutZone(at);
  const found = (await peer.session.who()).filter((one) => [one.id, one.address, formatEndpoint(one)].includes(wanted));
  if (found.length > 1) {
    const choices = found.map((one) => formatEndpoint(one)).join(", ");
    throw new FtError("ambiguous", `${found.length} peers are at "${printable(typed)}": ${choices}. Name one of these.`);
  }
  if (found[0] === undefined)
    throw new FtError("not-found", `No peer "${printable(typed)}" is online. Try: ft-peer ADDRESS who`);
  return found[0].id;
}

async function who(peer: Peer, screen: Screen): Promise<void> {
  const peers = await peer.session.who();
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
  if (screen.json) {
    const { path, size, verified } = done;
    screen.object({
      event: "done",
      name: records[0].name,
      path,
      size,
      seconds: Number(seconds.toFixed(3)),
      verified,
      holders: done.holders.length,
      outcome: done.outcome,
    });
  } else {
    screen.line(describeDownload(done, seconds));
  }
}

/** A root that is about to be computed is worth waiting for: without it nothing can be verified. */
const ROOT_WAIT_MS = 300;
const ROOT_SPEED = 200_000_000;
const ROOT_MOST_MS = 8_000;

/** The holders of what was typed: of the content that most have, where one name means several. */
async function findContent(
  peer: Peer,
  typed: string,
  from: Endpoint | undefined,
  signal: AbortSignal,
): Promise<[FileRecord, ...FileRecord[]]> {
  const root = rootArgument(typed);
  const started = performance.now();
  for (;;) {
    const found = await orCancelled(
      root === undefined ? peer.session.search(nameArgument(typed)) : peer.session.holders(root),
      signal,
    );
    const fitting = found.filter(
      (record) =>
        (root === undefined || record.root === root) &&
        (from === undefined || (record.address === from.address && record.port === from.port)),
    );
    if (fitting.length === 0) {
      const where = from === undefined ? "" : ` at ${formatEndpoint(from)}`;
      throw new FtError(
        "not-found",
        from === undefined ? notFoundSentence(typed) : `Nobody${where} shares "${printable(typed)}".`,
      );
    }
    const others = fitting.filter((record) => !peer.isOwn(record));
    const [best] = groupByContent(others.length === 0 ? fitting : others);
    if (best === undefined) throw new FtError("not-found", notFoundSentence(typed));
    const patience = Math.min(ROOT_MOST_MS, 1000 + (best[0].size / ROOT_SPEED) * 1000);
    if (best[0].root !== undefined || !best[0].v2 || performance.now() - started > patience) return best;
    if (signal.aborted) throw new CancelledError();
    await Bun.sleep(ROOT_WAIT_MS);
  }
}

/** How long who is connected to may take to show that it is no tracker. */
const KNOCK_MS = 1_500;

/** Says HELLO to a tracker and hangs up; fails with a clause when nobody is there, or somebody else. An old tracker keeps silent. */
async function knock(place: TrackerPlace, signal: AbortSignal): Promise<void> {
  const channel = await dial(place, { signal });
  const said = await new Promise<string>((resolve) => {
    setTimeout(() => resolve(""), KNOCK_MS);
    channel.start({
      data: (chunk) => resolve(new TextDecoder().decode(chunk.subarray(0, 8))),
      end: () => resolve("its end"),
      close: () => resolve("its end"),
    });
    channel.send(encodeToTracker({ verb: "HELLO", profile: 2, agent: `ft-peer/${VERSION}` }));
  });
  channel.finish();
  if (said !== "" && !said.startsWith("HI")) throw new FtError("no-tracker", "what answers there is not a tracker");
}

/** Looks at everything that can stand between this machine and the others; false when something does. */
async function runDoctor(line: CommandLine, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(line);
  if (screen.json) screen.object({ event: "doctor", version: VERSION, platform: process.platform, arch: process.arch });
  const checks = await examine({
    tracker: line.tracker,
    last: lastTracker().read(),
    choose: () => chooseFiles(line.share.length === 0 ? ["."] : line.share, DEFAULT_MAX_FILES),
    to: resolve(line.to),
    usualPort: line.port ?? DEFAULT_PORT,
    knock: (place) => knock(place, signal),
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

/** What happens meanwhile: all of it for `share`, only what matters for the other commands. */
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

/** Whether a person can be asked. */
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

/** Leaving takes a moment, for the BYE; a second Ctrl-C, or whatever hangs, does not make it longer. */
function leaveSoon(cancel: AbortController, signal: NodeJS.Signals): void {
  // Only a second Ctrl-C is impatience: a closed window is told in more than one way.
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
