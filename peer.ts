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
import { dirname, join } from "node:path";
import { quietClock, systemClock } from "./lib/clock.ts";
import { CancelledError, FtError } from "./lib/error.ts";
import type { Dial } from "./lib/net/channel.ts";
import { dial } from "./lib/net/dial.ts";
import { acceptBoth } from "./lib/net/http.ts";
import { dialableFrom, interfaces, watchInterfaces } from "./lib/net/interfaces.ts";
import { type Listener, type ListenOptions, listen, listenNear } from "./lib/net/listen.ts";
import type { CommandLine } from "./lib/peer/arguments.ts";
import { orCancelled } from "./lib/peer/cancel.ts";
import { Accepting } from "./lib/peer/commands/accept.ts";
import { collect } from "./lib/peer/commands/collect.ts";
import { readCommandLine } from "./lib/peer/commands/command-line.ts";
import { runDoctor } from "./lib/peer/commands/doctor.ts";
import { describeFolder, describeSharing, filesToShare, fillUp, pathsToShare } from "./lib/peer/commands/files.ts";
import { find, search, who } from "./lib/peer/commands/find.ts";
import { checkWhere, get } from "./lib/peer/commands/get.ts";
import { runGuided } from "./lib/peer/commands/guided.ts";
import { holders } from "./lib/peer/commands/holders.ts";
import { findTracker, joinTracker, roomsOf } from "./lib/peer/commands/join.ts";
import { listFolder } from "./lib/peer/commands/list-folder.ts";
import { chooseToSend, fitIn, send } from "./lib/peer/commands/send.ts";
import { stayOnline, tellEvent } from "./lib/peer/commands/share.ts";
import type { Peer, PeerOptions } from "./lib/peer/commands/types.ts";
import { waitForHolders, want } from "./lib/peer/commands/want.ts";
import { mayCallBack } from "./lib/peer/connect/call-backs.ts";
import { Connector } from "./lib/peer/connect/connect.ts";
import { isOnNetwork } from "./lib/peer/connect/on-network.ts";
import { HashPool, sha256 } from "./lib/peer/content/hash.ts";
import { TreeCache } from "./lib/peer/content/tree-cache.ts";
import { FolderCache } from "./lib/peer/disk/folder-cache.ts";
import { FolderLayout } from "./lib/peer/disk/folder-layout.ts";
import { watchFolder } from "./lib/peer/disk/folder-watch.ts";
import { Share } from "./lib/peer/disk/share.ts";
import { SharedFolder } from "./lib/peer/disk/shared-folder.ts";
import { checkSpelling } from "./lib/peer/disk/spelling.ts";
import { ShareWatch } from "./lib/peer/disk/watch.ts";
import { SeveralContentsError } from "./lib/peer/download/contents.ts";
import { Downloads, type DownloadTools } from "./lib/peer/download/download.ts";
import { FolderDownloads, type FolderDownloadTools, fetchFolderList } from "./lib/peer/download/folder-downloads.ts";
import { EventDamper, type PeerEvent } from "./lib/peer/events.ts";
import { Offers } from "./lib/peer/online/offers.ts";
import { isDialable, isOwnRecord, isTrackerHere, type RecordHolder } from "./lib/peer/online/own-address.ts";
import { ROOM_KEY } from "./lib/peer/online/room.ts";
import { Session } from "./lib/peer/online/session.ts";
import { Wants } from "./lib/peer/online/wants.ts";
import { DEFAULT_PORT, type PeerCommand } from "./lib/peer/options.ts";
import { DownloaderNames } from "./lib/peer/people/downloader-names.ts";
import { Finishers } from "./lib/peer/people/finishers.ts";
import { describeChangedName } from "./lib/peer/people/own-name.ts";
import { RateLimit } from "./lib/peer/rate-limit.ts";
import { Screen } from "./lib/peer/screen/screen.ts";
import { Admission } from "./lib/peer/serve/admission.ts";
import { Server } from "./lib/peer/serve/serve.ts";
import { FolderSharing } from "./lib/peer/share/folder-sharing.ts";
import { HandOuts } from "./lib/peer/share/hand-out.ts";
import { Holdings } from "./lib/peer/share/holdings.ts";
import { Sharing } from "./lib/peer/share/sharing.ts";
import { EXIT, endSoon, err, exitCodeFor, out, runProgram, VERSION } from "./lib/program/cli.ts";
import { outsideOf } from "./lib/program/settings.ts";
import { endingSignals } from "./lib/program/signals.ts";
import { type Address, formatEndpoint, parseAddress } from "./lib/protocol/address.ts";
import { FOLDER_TYPE } from "./lib/protocol/folder.ts";
import { isProven, SessionKey } from "./lib/protocol/pass.ts";
import type { FileRecord } from "./lib/protocol/record.ts";
import { printable } from "./lib/text.ts";

/** The most connections from one address at once. */
const MAX_PER_ADDRESS = 32;
/** Where guests are served, a connection must begin with its first word within this time. Milliseconds. */
const FIRST_WORD_MS = 10_000;

// ---------------------------------------------------------------- the peer

/** Starts serving and joins the tracker. Throws a sentence when it cannot. */
export async function startPeer(options: PeerOptions, signal?: AbortSignal): Promise<Peer> {
  const clock = systemClock;
  const { room } = options;
  const dialHere: Dial = (to, how) => dial(to, { ...how, tls: room?.certificate });
  const names = new DownloaderNames({ ask: (id) => session.requests.nameOf(id), report: options.report, clock: quietClock });
  const events = new EventDamper((event) => names.report(event), quietClock);
  const report = (event: PeerEvent) => {
    events.report(event);
    handOuts.hear(event);
  };
  const share = new Share(options.files);
  const pool = new HashPool(new URL("./lib/peer/content/hasher.ts", import.meta.url));
  const cache = new TreeCache(options.cachePath);
  const stopped = new AbortController();
  const rateLimit = () => (options.limit === undefined ? undefined : new RateLimit(options.limit, clock));

  const sessionKey = new SessionKey();
  const admission = new Admission({
    standing: () => session.standing,
    signers: () => session.signers,
    askKnown: (address) => session.requests.known(address),
    isOfThisMachine,
    port: () => listener.port,
    nonce: secret,
    clock,
  });
  const server = new Server({
    open: (asked) => holdings.open(asked),
    look: (root) => holdings.look(root),
    lookFolder: (root) => holdings.lookFolder(root),
    changed: () => watch.nudge(),
    readPass: (pass, from, keyed, fingerprint) => {
      const checked = admission.checkPass(pass, from, keyed, fingerprint);
      if ("id" in checked && !("nonce" in checked)) connector.proven(from);
      return checked;
    },
    refuseTicket: (ticket, root, from) => admission.refuseTicket(ticket, root, from),
    whenRevoked: (id, act) => admission.whenRevoked(id, act),
    arrived: (token, channel) => connector.arrived(token, channel),
    // A program without a pass is nobody in a private room.
    known: async (from) => room === undefined && (await admission.isKnown(from)),
    sha256,
    safePaths: (paths) => new FolderLayout(paths, false),
    limit: rateLimit(),
    report: (event) => {
      report(event);
      finishers.hear(event);
    },
  });
  const acceptGuests = acceptBoth(
    (exchange) => server.answer(exchange),
    (channel) => server.accept(channel),
    FIRST_WORD_MS,
  );
  const listener = listenFrom(options.port, {
    tls: room?.certificate,
    onConnection: (channel) => (session.standing?.guests ? acceptGuests(channel) : server.accept(channel)),
  });
  const session = new Session({
    dial: dialHere,
    enter: room?.enter,
    tracker: options.tracker,
    ...(options.find === undefined ? {} : { find: options.find }),
    ...(options.approve === undefined ? {} : { approve: options.approve }),
    ...(options.wasFull === undefined ? {} : { wasFull: options.wasFull }),
    isProven,
    challenge: secret,
    agent: `ft-peer/${VERSION}`,
    name: options.name,
    guests: options.guests !== false,
    port: listener.port,
    records: (own) => holdings.records(own),
    sessionKey,
    revoked: (ids) => admission.revoke(ids),
    callBack: (to) => void connector.callBack(to),
    appeared: (message) => wants.appeared(message),
    declined: ({ offer, id }) => handOuts.declined(offer, id),
    ...(options.takesOffers ? { offered: (message: { record?: FileRecord }) => offers.offered(message) } : {}),
    report: (event) => {
      report(event);
      if (event.event === "shut-out" && event.code === ROOM_KEY) admission.shutOut();
      if (event.event !== "joined") return;
      admission.joined();
      wants.joined();
      offers.joined();
    },
    clock,
    random: Math.random,
  });
  const wants = new Wants({
    watch: (watch) => session.requests.watch(watch),
    unwatch: (token) => session.requests.unwatch(token),
    look: (wanted) => session.requests.wanted(wanted),
    isOwn: (record) => isMine(record),
    clock: quietClock,
  });
  const offers = new Offers({
    make: (offer) => session.requests.offer(offer),
    look: () => session.requests.offered(),
    has: ({ root = "", only }) => {
      sharing.showTo(root, only);
      folders.showTo(root, only);
      return holdings.look(root) !== undefined;
    },
    told: (record) => report({ event: "offer", record }),
    clock,
  });
  const handOuts = new HandOuts({
    who: () => session.requests.who(),
    holders: (root) => session.requests.holders(root),
    offer: (offer) => offers.make(offer),
    endOffer: (token) => offers.end(token),
    self: () => session.standing?.id,
    tracker: () => session.standing?.key,
    token: secret,
    clock: quietClock,
  });
  const connector = new Connector({
    dial: ({ address, port }, how) => dialHere({ address: onTrackersLink(address), port }, how),
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
  const finishers = new Finishers({
    holders: (root) => session.requests.holders(root),
    who: () => session.requests.who(),
    isFetching: (root) => (downloads.look(root) ?? folderDownloads.look(root)) !== undefined,
    report,
    clock: quietClock,
  });
  const isOwn = (record: RecordHolder) => isOwnRecord(record, listener.port, session.standing);
  /** Whether this peer shares the content of a record, whoever the record is of. */
  const isMine = (record: FileRecord) => isOwn(record) || (record.root !== undefined && holdings.shares(record.root));
  const sharing = new Sharing({
    share,
    pool,
    cache,
    session,
    port: listener.port,
    hasRoom,
    isDownloading: () => downloads.running || folderDownloads.running,
    unreadable: () => watch.nudge(),
    report,
    clock,
  });
  function hasRoom(): boolean {
    const counted = [...share.files, ...folders.folders].filter(({ beyond }) => !beyond).length;
    return counted < (session.standing?.max ?? 0);
  }
  const folders = new FolderSharing(options.folders ?? [], {
    hasRoom,
    pool,
    cache: new FolderCache(join(dirname(options.cachePath), "folders")),
    watch: watchFolder,
    tell: (recordFor) => sharing.tellAbout(recordFor),
    drop: (name) => sharing.dropRecord(name),
    report,
    clock,
  });
  const downloadTools: Omit<DownloadTools, "finished"> = {
    dial: (record, how) => connector.open(record, how),
    pool,
    limit: rateLimit(),
    self: () => session.standing && formatEndpoint({ address: session.standing.you, port: listener.port }),
    pass: () => session.standing?.pass ?? "",
    keyed: () => {
      const text = session.standing?.keyed ?? "";
      return text === "" ? undefined : { text, prove: (nonce, at) => sessionKey.provePass(nonce, at) };
    },
    away: () => session.away,
    unsettled: () => session.unsettled,
    look: (root) => session.requests.holders(root),
    held: (record) => session.requests.ofHolder(record),
    isFetchable: (record) => isDialable(record, session.standing) && !isOwn(record),
    isOwn,
    announce: (record) => sharing.announcePart(record),
    withdraw: (record) => {
      // A folder that was fetched is shared by now.
      if (folders.look(record.root ?? "") === undefined) sharing.withdrawPart(record);
    },
  };
  const downloads = new Downloads({
    ...downloadTools,
    finished: (file, about) => {
      if (about.only !== undefined) folders.withhold([file.path], about.isReplacement);
      sharing.addDownloaded(file, about);
    },
  });
  const finished: FolderDownloadTools["finished"] = (path, fetched, only) =>
    folders.add(Object.assign(new SharedFolder(path), { fetched, only }));
  const withhold = (places: Iterable<string>) => folders.withhold(places);
  const folderTools = { ...downloadTools, finished, withhold };
  const folderDownloads = new FolderDownloads(folderTools);
  const watch = new ShareWatch(share, {
    changed: (file) => void sharing.changed(file),
    renamed: (file, was) => void sharing.renamed(file, was),
    gone: (file) => void sharing.gone(file),
    back: (file) => void sharing.back(file),
  });
  const holdings = new Holdings({ sharing, folders, downloads, folderDownloads });
  const stopWatchingNetwork = watchInterfaces((now) => {
    session.networkChanged(new Set(now.flatMap(({ addresses }) => addresses.map(({ address }) => address))));
  });

  async function computeRoots(): Promise<void> {
    await sharing.computeRoots();
    await folders.compute();
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
    wants,
    server,
    computeRoots: () => void computeRoots(),
    shareInstead: async (files) => {
      // What is handed out stays.
      share.replace([
        ...files,
        ...share.files.filter((file) => handOuts.hands(file) && !files.some(({ path }) => path === file.path)),
      ]);
      await session.sendAgain();
      void computeRoots();
    },
    handing: {
      offer: (files, to, say, tell) => handOuts.prepare(files, to, say, tell),
      share: (file) => void sharing.add(file),
      again: (record) => offers.forget(record),
      decline: ({ offer = "" }) => void session.requests.decline(offer).catch(() => undefined),
      token: secret,
    },
    isOwn,
    isMine,
    folders,
    openPart: (root) => downloads.open(root)?.file,
    download: (records, how) => {
      const engine = records[0].type === FOLDER_TYPE ? folderDownloads : downloads;
      return engine.start(records, { ...how, signal: AbortSignal.any([how.signal, stopped.signal]) });
    },
    listOf: async (records, how) => [...(await fetchFolderList(records, folderTools, how))],
    stop: async () => {
      stopped.abort();
      sharing.stop();
      finishers.stop();
      wants.stop();
      handOuts.stop();
      folders.stop();
      watch.stop();
      stopWatchingNetwork();
      listener.stop();
      await Promise.all([session.leave(), downloads.settled(), folderDownloads.settled()]);
      pool.close();
      events.flush();
      await names.settled();
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

/** Listens on the given port; without one on 1235, or on a free port when that cannot be had. */
function listenFrom(port: number | undefined, how: Pick<ListenOptions, "tls" | "onConnection">): Listener {
  const options = { maxPerAddress: MAX_PER_ADDRESS, ...how };
  return port === undefined ? listenNear({ ...options, port: DEFAULT_PORT }) : listen({ ...options, port });
}

// ---------------------------------------------------------------- one command

/** Joins the tracker, runs one command, and leaves. */
async function runCommand(line: CommandLine, command: Exclude<PeerCommand, "doctor">, signal: AbortSignal): Promise<void> {
  const screen = new Screen(line);
  if (line.isNameChanged) screen.note(describeChangedName(line.name));
  const sending = command === "send" ? chooseToSend(line, secret) : undefined;
  const { folders, share } = sending === undefined ? pathsToShare(line) : { ...sending, share: [] };
  const named = { ...line, share };
  const hasNamed = sending !== undefined || (folders.length > 0 && share.length === 0);
  const chosen = hasNamed ? { taken: [], left: [] } : filesToShare(named);
  if (command === "get" || line.get || line.accept.length > 0) checkWhere(line);
  const rooms = roomsOf(line, signal, screen);
  const place = line.tracker ?? (await findTracker(line, rooms, screen, signal));
  const askLimit = async () => (await rooms.meet(place)).met.max;
  if (sending !== undefined) await fitIn(sending, askLimit);
  const { taken: files, left } = sending ? { taken: sending.files, left: [] } : await fillUp(named, chosen, askLimit);
  for (const folder of folders) await folder.look(signal);
  let isTold = sending !== undefined;
  const tellSharing = () => {
    if (isTold) return;
    isTold = true;
    if (files.length > 0) screen.note(describeSharing(named, { taken: files, left }));
    for (const folder of folders) screen.note(describeFolder(folder));
  };
  const accepting = command === "share" ? new Accepting(line, screen, signal) : undefined;
  /** A private room does not take this peer back: what only waits for others has an end. */
  const shutOut = new AbortController();
  const waiting = AbortSignal.any([signal, shutOut.signal]);
  const report = (event: PeerEvent) => {
    // Nothing is shared before the tracker has taken the list.
    if (event.event === "joined") tellSharing();
    tellEvent(screen, event, command === "share");
    accepting?.hear(event);
    if (event.event === "shut-out") shutOut.abort(new FtError(event.code, event.words));
  };
  const consent = share.length > 0 || folders.length > 0 || sending !== undefined;
  const takesOffers = accepting !== undefined;
  const how = { takesOffers, consent };
  const peer = await joinTracker({ line, startPeer, place, rooms, screen, files, folders, report, signal, ...how });
  try {
    accepting?.start(peer);
    if (command === "share") await stayOnline(peer, screen, waiting);
    else if (command === "send") await send(peer, line, sending ?? { files, folders }, screen, waiting);
    else if (command === "get") {
      if (line.wait !== undefined) await waitForHolders(peer, line, screen, waiting);
      await get(peer, line, screen, signal);
    } else if (command === "collect") await collect(peer, line, screen, signal);
    else if (command === "want") await want(peer, line, screen, waiting);
    else if (command === "who") await orCancelled(who(peer, screen), signal);
    else if (command === "holders") await orCancelled(holders(peer, line, screen), signal);
    else if (command === "find") await orCancelled(find(peer, line, screen), signal);
    else if (command === "list" && line.argument?.includes("/")) await listFolder(peer, line.argument, screen, signal);
    else await orCancelled(search(peer, line, command, screen), signal);
    // These two end without an error.
    if (command === "share" || command === "want") shutOut.signal.throwIfAborted();
  } catch (error) {
    throw error instanceof CancelledError && shutOut.signal.aborted ? shutOut.signal.reason : error;
  } finally {
    screen.clearProgress();
    await peer.stop();
  }
}

// ---------------------------------------------------------------- main

/** Ends the command, which says BYE first. A second Ctrl-C, or the end of the time for leaving, ends the program at once. */
function leaveSoon(cancel: AbortController, signal: NodeJS.Signals): void {
  // A closed terminal window sends several signals: only Ctrl-C counts twice.
  if (cancel.signal.aborted && signal === "SIGINT") process.exit(EXIT.interrupted);
  if (cancel.signal.aborted) return;
  cancel.abort();
  endSoon(EXIT.interrupted);
}

async function main(argv: string[]): Promise<number> {
  let json = argv.includes("--json");
  const cancel = new AbortController();
  for (const signal of endingSignals()) process.on(signal, () => leaveSoon(cancel, signal));
  try {
    const outside = outsideOf("ft-peer");
    const line = await readCommandLine(argv, outside, cancel.signal);
    if (outside.remark !== undefined) err(printable(outside.remark));
    if ("text" in line) {
      out(line.text);
      return EXIT.done;
    }
    json = line.json;
    const needsFiles = line.command !== undefined && line.command !== "doctor" && line.command !== "send";
    const shared = line.share.length === 0 && needsFiles ? ["."] : line.share;
    const receives = line.command === undefined || line.command === "get" || line.get || line.accept.length > 0;
    checkSpelling([...shared, ...(receives ? [line.to] : [])]);
    if (line.command === undefined) await runGuided(line, startPeer, cancel.signal);
    else if (line.command === "doctor") return (await runDoctor(line, startPeer, cancel.signal)) ? EXIT.done : EXIT.failed;
    else await runCommand(line, line.command, cancel.signal);
    return cancel.signal.aborted ? EXIT.interrupted : EXIT.done;
  } catch (error) {
    const cancelled = cancel.signal.aborted ? new CancelledError() : error;
    const choice = cancelled instanceof SeveralContentsError ? cancelled : undefined;
    return exitCodeFor(cancelled, (message, code) => new Screen({ json, quiet: false }).error(message, code, choice));
  }
}

if (import.meta.main) await runProgram(main);
