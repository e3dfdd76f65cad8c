#!/usr/bin/env bun

// ft-peer: shares files, searches at the tracker, downloads straight from other peers and serves them.
//
//     ft-peer                    guided prompts, with the tracker that announces itself
//     ft-peer ADDRESS            guided prompts, with the tracker at this address
//     ft-peer get NAME           one command, for scripts
//
// Every command joins the tracker first, because the tracker accepts only peers that share a file. While the command runs, the
// peer serves its files; at the end it says BYE.

import { quietClock } from "./lib/clock.ts";
import { CancelledError, FtError } from "./lib/error.ts";
import { watchInterfaces } from "./lib/net/interfaces.ts";
import { type CommandLine, slashed } from "./lib/peer/arguments.ts";
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
import { chooseToSend, fitIn, send, type ToSend } from "./lib/peer/commands/send.ts";
import { stayOnline, tellEvent } from "./lib/peer/commands/share.ts";
import type { Peer, PeerOptions } from "./lib/peer/commands/types.ts";
import { waitForHolders, want } from "./lib/peer/commands/want.ts";
import { HashPool } from "./lib/peer/content/hash.ts";
import type { SharedFile } from "./lib/peer/disk/share.ts";
import { checkSpelling } from "./lib/peer/disk/spelling.ts";
import { SeveralContentsError } from "./lib/peer/download/contents.ts";
import { fetchFolderList } from "./lib/peer/download/folder-downloads.ts";
import { EventDamper, type PeerEvent } from "./lib/peer/events.ts";
import type { PeerCommand } from "./lib/peer/options.ts";
import { type Contacts, makeContacts } from "./lib/peer/parts/contacts.ts";
import { OwnFiles } from "./lib/peer/parts/own-files.ts";
import { secret } from "./lib/peer/parts/secret.ts";
import { type Serving, startServing } from "./lib/peer/parts/serving.ts";
import { DownloaderNames } from "./lib/peer/people/downloader-names.ts";
import { describeChangedName } from "./lib/peer/people/own-name.ts";
import { describeEvent, leftInFolder } from "./lib/peer/screen/event-words.ts";
import { Screen } from "./lib/peer/screen/screen.ts";
import { EXIT, endSoon, err, exitCodeFor, out, runProgram } from "./lib/program/cli.ts";
import { outsideOf } from "./lib/program/settings.ts";
import { endingSignals } from "./lib/program/signals.ts";
import { FOLDER_TYPE } from "./lib/protocol/folder.ts";
import { printable } from "./lib/text.ts";

// ---------------------------------------------------------------- the peer

/** Starts serving and joins the tracker. Throws a sentence when it cannot. */
export async function startPeer(options: PeerOptions, signal?: AbortSignal): Promise<Peer> {
  const names = new DownloaderNames({
    ask: (id) => session.requests.nameOf(id),
    report: options.report,
    clock: quietClock,
  });
  const events = new EventDamper((event) => names.report(event), quietClock);
  const report = (event: PeerEvent) => {
    events.report(event);
    contacts.handOuts.hear(event);
  };
  const pool = new HashPool(new URL("./lib/peer/content/hasher.ts", import.meta.url));
  const serving: Serving = startServing(options, {
    session: () => contacts.session,
    connector: () => contacts.connector,
    finishers: () => contacts.finishers,
    holdings: () => own.holdings,
    fileChanged: () => own.watch.nudge(),
    report,
  });
  const contacts: Contacts = makeContacts(options, { serving, own: () => own, report });
  const own: OwnFiles = new OwnFiles(options, { pool, serving, contacts, report });
  const { session, wants } = contacts;
  const stopWatchingNetwork = watchInterfaces((now) => {
    session.networkChanged(new Set(now.flatMap(({ addresses }) => addresses.map(({ address }) => address))));
  });
  const stopped = new AbortController();

  const peer: Peer = {
    port: serving.listener.port,
    session,
    share: own.share,
    wants,
    server: serving.server,
    folders: own.folders,
    ...actionsOf(contacts, own, stopped.signal),
    stop: async () => {
      stopped.abort();
      own.stop();
      contacts.finishers.stop();
      wants.stop();
      contacts.handOuts.stop();
      stopWatchingNetwork();
      serving.listener.stop();
      await Promise.all([session.leave(), own.settled()]);
      pool.close();
      events.flush();
      await names.settled();
      await own.save();
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

/** The functions of a peer that `actionsOf` makes. */
type Action = "computeRoots" | "shareInstead" | "handing" | "isOwn" | "isMine" | "openPart" | "download" | "listOf";

/** What commands and prompts tell a peer to do. */
function actionsOf({ session, handOuts, offers }: Contacts, own: OwnFiles, stopped: AbortSignal): Pick<Peer, Action> {
  return {
    computeRoots: () => void own.computeRoots(),
    shareInstead: async (files) => {
      const isHandedOut = (file: SharedFile) => handOuts.hands(file) && !files.some(({ path }) => path === file.path);
      // What is handed out stays.
      own.share.replace([...files, ...own.share.files.filter(isHandedOut)]);
      await session.sendAgain();
      void own.computeRoots();
    },
    handing: {
      offer: (files, to, say, tell) => handOuts.prepare(files, to, say, tell),
      share: (file) => void own.sharing.add(file),
      again: (record) => offers.forget(record),
      decline: ({ offer = "" }) => void session.requests.decline(offer).catch(() => undefined),
      token: secret,
    },
    isOwn: (record) => own.isOwn(record),
    isMine: (record) => own.isMine(record),
    openPart: (root) => own.downloads.open(root)?.file,
    download: (records, how) => {
      const engine = records[0].type === FOLDER_TYPE ? own.folderDownloads : own.downloads;
      return engine.start(records, { ...how, signal: AbortSignal.any([how.signal, stopped]) });
    },
    listOf: async (records, how) => [...(await fetchFolderList(records, own.folderTools, how))],
  };
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
  // When a private room does not take this peer back, a command that waits for others ends.
  const shutOut = new AbortController();
  const waiting = AbortSignal.any([signal, shutOut.signal]);
  const report = (event: PeerEvent) => {
    // Nothing is shared before the tracker has taken the list.
    if (event.event === "joined") tellSharing();
    tellEvent(screen, event, command === "share");
    // The other commands have named what a folder leaves out, with what they share.
    if (sending !== undefined && event.event === "folder" && leftInFolder(event.left) !== "") screen.note(describeEvent(event));
    accepting?.hear(event);
    if (event.event === "shut-out") shutOut.abort(new FtError(event.code, event.words));
  };
  const consent = share.length > 0 || folders.length > 0 || sending !== undefined;
  const takesOffers = accepting !== undefined;
  const how = { takesOffers, consent };
  const peer = await joinTracker({ line, startPeer, place, rooms, screen, files, folders, report, signal, ...how });
  try {
    accepting?.start(peer);
    await runOnline(peer, { line, command, screen, signal, waiting, toSend: sending ?? { files, folders } });
    // These two end without an error.
    if (command === "share" || command === "want") shutOut.signal.throwIfAborted();
  } catch (error) {
    throw error instanceof CancelledError && shutOut.signal.aborted ? shutOut.signal.reason : error;
  } finally {
    screen.clearProgress();
    await peer.stop();
  }
}

/** A command, and the things that it works with. */
interface RunningCommand {
  line: CommandLine;
  command: Exclude<PeerCommand, "doctor">;
  screen: Screen;
  signal: AbortSignal;
  /** For commands that wait for others: aborts also when this peer is shut out. */
  waiting: AbortSignal;
  toSend: ToSend;
}

/** The command itself, while the peer is online. */
async function runOnline(peer: Peer, { line, command, screen, signal, waiting, toSend }: RunningCommand): Promise<void> {
  switch (command) {
    case "share":
      return await stayOnline(peer, screen, waiting);
    case "send":
      return await send(peer, line, toSend, screen, waiting);
    case "get":
      if (line.wait !== undefined) await waitForHolders(peer, line, screen, waiting);
      return await get(peer, line, screen, signal);
    case "collect":
      return await collect(peer, line, screen, signal);
    case "want":
      return await want(peer, line, screen, waiting);
    case "who":
      return await orCancelled(who(peer, screen), signal);
    case "holders":
      return await orCancelled(holders(peer, line, screen), signal);
    case "find":
      return await orCancelled(find(peer, line, screen), signal);
    case "list": {
      const folder = slashed(line.argument ?? "");
      if (folder.includes("/")) return await listFolder(peer, folder, screen, signal);
      return await orCancelled(search(peer, line, command, screen), signal);
    }
    case "search":
      return await orCancelled(search(peer, line, command, screen), signal);
    default:
      command satisfies never;
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
