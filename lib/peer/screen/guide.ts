// Decides what the guided prompts ask next, from the first question to goodbye. ask.ts shows the questions.

import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { CancelledError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatDuration, formatSize, plural, printableName } from "../../text.ts";
import { orCancelled } from "../cancel.ts";
import { chooseFiles, type Share, type SharedFile } from "../disk/share.ts";
import type { Downloaded, DownloadOptions } from "../download.ts";
import type { PeerEvent } from "../events.ts";
import type { FetchEvent } from "../fetch/types.ts";
import { asRemembered, describePlace, type Located, lookAround, nobodyFound, parseTracker, typed } from "../locate.ts";
import { nameArgument } from "../options.ts";
import type { Upload } from "../serve/serve.ts";
import type { Session, TrackerPlace } from "../session.ts";
import type { Prompts } from "./ask.ts";
import { fitName } from "./columns.ts";
import { progressReporter, Screen } from "./screen.ts";
import { describeEvent, describeRenaming, notFoundSentence, peerTable } from "./view.ts";

/** The most files of a folder that the prompts offer. */
const OFFERED = 500;
/** The most contents that the prompts show while the person types. */
const FOUND_SHOWN = 100;

type Choice = "search" | "find" | "browse" | "who" | "mine";

/** A peer, as far as the prompts use it. */
export interface GuidedPeer {
  readonly session: Session;
  readonly share: Share;
  readonly server: { readonly uploads: ReadonlySet<Upload>; readonly waiting: number };
  /** Computes the content ids of the shared files, in the background. */
  computeRoots(): void;
  /** Fetches one content; the records are its holders. Throws a sentence. */
  download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded>;
  /** Says BYE and stops serving. */
  stop(): Promise<void>;
}

export interface GuideOptions {
  prompts: Prompts;
  /** The tracker on the command line; undefined when there was none. */
  tracker: TrackerPlace | undefined;
  /** The tracker that was used last. */
  last: Located | undefined;
  /** The files that --share names; undefined when there was no --share. */
  files: SharedFile[] | undefined;
  /** The folder for fetched files. */
  to: string;
  overwrite: boolean;
  signal: AbortSignal;
  start(tracker: TrackerPlace | Located, files: SharedFile[], report: (event: PeerEvent) => void): Promise<GuidedPeer>;
}

/** The guided prompts: choose files, connect, then a menu until the person leaves. Ctrl-C is a `CancelledError`. */
export async function guide(options: GuideOptions): Promise<void> {
  const { prompts } = options;
  let joined = false;
  // Whether others can connect to this machine: it is shown when the person asks for it.
  let reach: PeerEvent | undefined;
  const peer = await connect(options, (event) => {
    if (event.event === "reach") reach = event;
    // Later the menu is on the screen, and no event may be written over it.
    if (event.event !== "joined" || joined) return;
    joined = true;
    prompts.done(describeEvent(event));
  });
  try {
    peer.computeRoots();
    await menu(peer, options, () => reach);
    prompts.goodbye("Bye.");
  } finally {
    await peer.stop();
  }
}

/** Joins a tracker. When an address that was typed here does not answer, the person types another. */
async function connect(options: GuideOptions, report: (event: PeerEvent) => void): Promise<GuidedPeer> {
  const { prompts } = options;
  let tracker = options.tracker ?? (await askForTracker(options));
  const files = options.files ?? (await askFiles(options, tracker));
  for (;;) {
    try {
      return await options.start(tracker, files, report);
    } catch (error) {
      if (options.tracker !== undefined || error instanceof CancelledError) throw error;
      prompts.warn(sentenceOf(error));
      tracker = await askAddress(options);
    }
  }
}

/** The tracker that announces itself; of several, the person chooses one; of none, the person types an address. */
async function askForTracker(options: GuideOptions): Promise<TrackerPlace | Located> {
  const { prompts, last, signal } = options;
  const { trackers, found } = await lookAround(last, signal);
  if (signal.aborted) throw new CancelledError();
  const [first, second] = trackers;
  if (first === undefined) {
    prompts.warn(nobodyFound(found, undefined).message);
    return await askAddress(options);
  }
  if (second !== undefined) return await prompts.chooseTracker(trackers, last);
  prompts.done(`Found the tracker ${describePlace(first)}.`);
  return first;
}

async function askAddress({ prompts, last }: GuideOptions): Promise<TrackerPlace> {
  const hint = last === undefined ? "such as 192.168.1.5; ft-tracker prints it" : `empty: ${typed(last)}, as last time`;
  const answer = await prompts.line("Tracker's address?", hint, (text) => {
    return text === "" && last !== undefined ? undefined : refusalOf(() => parseTracker(text));
  });
  return answer === "" && last !== undefined ? asRemembered(last) : parseTracker(answer);
}

async function askFiles({ prompts }: GuideOptions, tracker: TrackerPlace): Promise<SharedFile[]> {
  // A person who chooses files for a tracker that only announced itself says yes to that tracker.
  const where = tracker.announced ? describePlace({ ...tracker, name: tracker.name ?? "" }) : undefined;
  let folder = process.cwd();
  for (;;) {
    const chosen = await prompts.chooseShared(folder, chooseFiles([folder], OFFERED), DEFAULT_MAX_FILES, where);
    if (chosen !== undefined) return chosen;
    const typed = await prompts.line("Which folder?", `empty: ${folder}`, (answer) => {
      return answer === "" ? undefined : refusalOf(() => chooseFiles([resolve(folder, expandHome(answer))], 1));
    });
    folder = resolve(folder, expandHome(typed));
  }
}

/** The sentence with which `check` refuses an answer; undefined when it does not. */
function refusalOf(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return sentenceOf(error);
  }
}

function expandHome(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

async function menu(peer: GuidedPeer, options: GuideOptions, reach: () => PeerEvent | undefined): Promise<void> {
  const { prompts } = options;
  const { session } = peer;
  for (;;) {
    const blocked = session.standing?.reach === false ? ' (others cannot connect to you: see "What I share")' : "";
    const state = session.online ? blocked : " (the tracker is away; coming back by itself)";
    const choice = await prompts.choose<Choice | "leave">(`What next?${state}`, [
      { value: "search", label: "Search for a file" },
      ...(session.standing?.profile === 1 ? [] : [{ value: "find" as const, label: "Find as you type" }]),
      { value: "browse", label: "Browse everything" },
      { value: "who", label: "Who is online" },
      { value: "mine", label: "What I share" },
      { value: "leave", label: "Leave" },
    ]);
    if (choice === "leave") return;
    if (!session.online) prompts.say("Asking the tracker, which is away…");
    try {
      // Ctrl-C ends a choice at once, whatever it waits for.
      await orCancelled(act(choice, peer, options, reach), options.signal);
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      prompts.warn(sentenceOf(error));
    }
  }
}

/** Carries out the person's choice in the menu. */
async function act(choice: Choice, peer: GuidedPeer, options: GuideOptions, reach: () => PeerEvent | undefined) {
  const { prompts } = options;
  const { session } = peer;
  if (choice === "who") {
    const self = session.standing?.id ?? "";
    prompts.show(peerTable(await session.requests.who(), self, prompts.width - 2), "Online");
  } else if (choice === "mine") {
    prompts.show(describeShare(peer, prompts.width - 2), "What I share");
    const event = reach();
    if (event !== undefined) prompts.say(describeEvent(event));
  } else {
    const { holder, records } = await CHOOSERS[choice](prompts, session);
    if (holder !== undefined) await guidedDownload(peer, options, holder, records);
  }
}

/** A holder to fetch from, or undefined to go back; and records among which are the other holders of the same content. */
type Chosen = { holder: FileRecord | undefined; records: FileRecord[] };

const CHOOSERS = { search: chooseByName, find: chooseByWords, browse: chooseFromAll };

async function chooseByName(prompts: Prompts, { requests }: Session): Promise<Chosen> {
  const typed = await prompts.line("File name?", "exactly as it is shared; empty: back", (answer) => {
    return answer === "" ? undefined : refusalOf(() => nameArgument(answer));
  });
  const records = typed === "" ? [] : await requests.search(nameArgument(typed));
  if (typed !== "" && records.length === 0) prompts.warn(notFoundSentence(typed));
  return { holder: records.length === 0 ? undefined : await prompts.chooseHolder(typed, records), records };
}

async function chooseByWords(prompts: Prompts, { requests }: Session): Promise<Chosen> {
  const content = await prompts.findAsYouType(async (typed) => {
    const words = typed.split(/\s+/).filter((word) => word !== "");
    if (words.length === 0) return { records: [], total: 0 };
    return await requests.find({ words, group: true, offset: 0, limit: FOUND_SHOWN });
  });
  if (content === undefined) return { holder: undefined, records: [] };
  const { root, name } = content;
  const records = root === undefined ? [content] : await requests.holders(root);
  return { holder: await prompts.chooseHolder(name, records.length === 0 ? [content] : records), records };
}

async function chooseFromAll(prompts: Prompts, { requests }: Session): Promise<Chosen> {
  const records = await requests.list();
  return { holder: await prompts.chooseRecord(records), records };
}

/** Fetches from the chosen holder, and from the other holders of the same content. */
async function guidedDownload(peer: GuidedPeer, how: GuideOptions, chosen: FileRecord, records: FileRecord[]): Promise<void> {
  const same = records.filter((record) => record !== chosen && record.root !== undefined && record.root === chosen.root);
  const { prompts, to: folder, overwrite, signal } = how;
  const screen = new Screen({ json: false, quiet: false });
  const started = performance.now();
  const progress = progressReporter(screen);
  // The sentence at the end says why a holder failed; the prompts have no place for it here.
  const report = (event: FetchEvent) => event.event !== "holder-failed" && progress(event);
  try {
    const done = await peer.download([chosen, ...same], { folder, overwrite, signal, report });
    screen.clearProgress();
    const seconds = (performance.now() - started) / 1000;
    const taken = done.outcome === "already here" ? "already here" : `in ${formatDuration(seconds)}`;
    prompts.done(`${done.path}: ${formatSize(done.size)}, ${taken}, ${done.verified ? "verified" : "not verified"}`);
    const renamed = describeRenaming(chosen.name, done);
    if (renamed !== undefined) prompts.say(renamed);
  } finally {
    screen.clearProgress();
  }
}

function describeShare(peer: GuidedPeer, width: number): string[] {
  const lines = peer.share.files.map((file) => `${fitName(printableName(file.name), width - 12)}  ${formatSize(file.size)}`);
  const { uploads, waiting } = peer.server;
  lines.push("", uploads.size === 0 ? "Nobody is downloading now." : "Downloading now:");
  for (const { to, name, sent } of uploads) {
    const start = `${formatEndpoint(to)}  ${formatSize(sent)} sent  `;
    lines.push(start + fitName(printableName(name), width - start.length));
  }
  if (waiting > 0) lines.push(`${plural(waiting, "downloader")} waiting for a free slot.`);
  return lines;
}
