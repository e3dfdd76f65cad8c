// Leads a person through the program while the peer is online: the search line, downloads, the menu, and goodbye.

import { CancelledError, codeOf, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { FOLDER_TYPE, type FolderEntry } from "../../protocol/folder.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../text.ts";
import { nameArgument } from "../arguments.ts";
import { orCancelled } from "../cancel.ts";
import type { Share, SharedFile } from "../disk/share.ts";
import type { SharedFolder } from "../disk/shared-folder.ts";
import type { Downloaded, DownloadOptions } from "../download/download.ts";
import type { PeerEvent } from "../events.ts";
import type { Located } from "../locate/locate.ts";
import type { Session, TrackerPlace } from "../online/session.ts";
import type { Wants } from "../online/wants.ts";
import { holderName } from "../people/holder-name.ts";
import type { Upload } from "../serve/serve.ts";
import type { Telling } from "./asking.ts";
import { askFiles, askFolder, refuseTarget } from "./choosing.ts";
import { columnsOf, fitName } from "./columns.ts";
import { describeEvent } from "./event-words.ts";
import { fetchAll } from "./fetching.ts";
import { Finder, type Found, keyOfFound, layFound } from "./finder.ts";
import type { Handing } from "./handing.ts";
import { askName, Joining, type JoiningOptions, usableFolder } from "./joining.ts";
import { mayLeave } from "./leaving.ts";
import { askInside } from "./looking-in.ts";
import { News } from "./news.ts";
import { Offering } from "./offering.ts";
import { peerTable } from "./view.ts";
import { withoutCommands } from "./without-commands.ts";

/** The list of the first search comes within this time, or the line is shown without it. Milliseconds. */
const FIRST_LIST_MS = 400;
/** The keys of the search line: Ctrl with these letters. */
const SHORTCUTS = [
  { letter: "f", label: "offers" },
  { letter: "g", label: "send" },
  { letter: "o", label: "online" },
  { letter: "s", label: "shared" },
  { letter: "t", label: "settings" },
  { letter: "x", label: "leave" },
];

/** After these events the list of the search line may be another one. */
const CHANGES_LIST: readonly string[] = [
  "joined",
  "root",
  "folder",
  "changed",
  "renamed",
  "withdrawn",
] satisfies PeerEvent["event"][];

type Setting = "to" | "files" | "name" | "back";

/** A peer, as far as the prompts use it. */
export interface GuidedPeer {
  readonly session: Session;
  readonly share: Share;
  readonly wants: Pick<Wants, "add">;
  readonly server: { readonly uploads: ReadonlySet<Upload>; readonly waiting: number };
  readonly handing: Handing;
  readonly folders: {
    readonly folders: readonly SharedFolder[];
    /** Shares a folder as one. Resolves when it is hashed. */
    add(folder: SharedFolder): Promise<void>;
    /** Shows a folder that is only for some to the circle of another token; without one to everybody. */
    showTo(root: string, only: string | undefined): void;
  };
  /** The list of a folder; the records are its holders. Throws a sentence. */
  listOf(records: [FileRecord, ...FileRecord[]], how: { signal: AbortSignal }): Promise<FolderEntry[]>;
  /** Whether this peer shares the content of a record. */
  isMine(record: FileRecord): boolean;
  /** Computes the content ids of the shared files, in the background. */
  computeRoots(): void;
  /** Shares these files instead of those that a person chose before. */
  shareInstead(files: SharedFile[]): Promise<void>;
  /** Fetches one content; the records are its holders. Throws a sentence. */
  download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded>;
  /** Says BYE and stops serving. */
  stop(): Promise<void>;
}

export interface GuideOptions extends JoiningOptions {
  prompts: JoiningOptions["prompts"] & Telling;
  /** The folder for fetched files on the command line. */
  to: string | undefined;
  overwrite: boolean;
  /** Asks the person for the new key of a private room. */
  renewKey(tracker: TrackerPlace): Promise<void>;
  /** `consent`: a person has chosen these files for this tracker just now. */
  start(
    tracker: TrackerPlace | Located,
    files: SharedFile[],
    report: (event: PeerEvent) => void,
    how: { consent: boolean; name: string; folders: SharedFolder[] },
  ): Promise<GuidedPeer>;
}

/** The guided prompts, until the person leaves. Ctrl-C is a `CancelledError`. */
export async function guide(options: GuideOptions): Promise<void> {
  await new Guide(options).run();
}

class Guide {
  readonly #options: GuideOptions;
  readonly #joining: Joining;
  readonly #news = new News(() => new Date());
  readonly #marks = new Map<string, Found>();
  #to: string;
  readonly #offering: Offering;
  #joined = false;
  #tracker: TrackerPlace | undefined;
  /** The private room has another key, and this peer is out. */
  #needsKey = false;
  /** Whether others can connect to this machine: it is shown when the person asks for it. */
  #reach: PeerEvent | undefined;
  /** Asks for the list of the search line again. */
  #refresh = () => {};
  /** What is typed in the search line, and the place of the cursor. */
  #typed = "";
  #at: string | undefined;

  constructor(options: GuideOptions) {
    this.#options = options;
    this.#joining = new Joining(options);
    const { to, cwd, remembered } = options;
    this.#to = to ?? remembered.choices.to ?? cwd;
    this.#offering = new Offering(options.prompts, (words) => {
      this.#news.add(words);
      this.#showNews();
    });
    this.#news.offers = () => this.#offering.line;
  }

  async run(): Promise<void> {
    const peer = await this.#joinOrLeave();
    try {
      peer.computeRoots();
      await this.#untilLeft(peer);
    } finally {
      for (const words of this.#offering.unfinished) this.#options.prompts.say(words);
      await peer.stop();
      this.#options.prompts.live = [];
    }
  }

  /** Joins. A person who leaves before that is asked about a tracker that was started here. */
  async #joinOrLeave(): Promise<GuidedPeer> {
    for (;;) {
      try {
        return await this.#join();
      } catch (error) {
        const isLeaving = error instanceof CancelledError && !this.#options.signal.aborted;
        if (!isLeaving || (await this.#mayLeaveTracker())) throw error;
      }
    }
  }

  async #join(): Promise<GuidedPeer> {
    const { prompts, remembered, start, tracker: given } = this.#options;
    for (let again = false; ; again = true) {
      const chosen = await this.#joining.choose(again);
      try {
        const joining = start(chosen.tracker, chosen.files, (event) => this.#hear(event), {
          consent: chosen.consent,
          name: this.#joining.name,
          folders: chosen.asOne === undefined ? [] : [chosen.asOne],
        });
        const peer = await prompts.waitFor("Waiting for the tracker…", joining);
        this.#tracker = chosen.tracker;
        if (chosen.from !== undefined) this.#rememberShared(chosen.files, chosen.from, chosen.asOne);
        await this.#checkTarget();
        return peer;
      } catch (error) {
        // Else the same folder would fail at this tracker each time, and nobody would be asked.
        if (codeOf(error) === "basic-folder") remembered.remember({ asOne: undefined });
        if (given !== undefined || error instanceof CancelledError) throw error;
        prompts.warn(withoutCommands(sentenceOf(error)));
      }
    }
  }

  #rememberShared(files: SharedFile[], from: string, asOne?: SharedFolder): void {
    this.#options.remembered.remember({ files: files.map(({ path }) => path), from, asOne: asOne?.path });
  }

  // -------------------------------------------------------------- the search line

  async #untilLeft(peer: GuidedPeer): Promise<void> {
    const { prompts, signal } = this.#options;
    for (;;) {
      try {
        if (await this.#searchOnce(peer)) return;
      } catch (error) {
        if (signal.aborted) throw error;
        if (!(error instanceof CancelledError)) prompts.warn(withoutCommands(sentenceOf(error)));
        else if (await this.#mayLeave(peer)) throw error;
      }
    }
  }

  async #mayLeave({ server, share }: GuidedPeer): Promise<boolean> {
    const { prompts } = this.#options;
    const tools = {
      uploads: () => server.uploads,
      waiting: () => server.waiting,
      sizeOf: ({ name, root }: Upload) => share.find(root === undefined ? { name } : { root })?.size,
      sleep: Bun.sleep,
      now: Date.now,
    };
    return (await mayLeave(prompts, tools)) && (await this.#mayLeaveTracker());
  }

  /** Asks whether a tracker that was started here is to go on. */
  async #mayLeaveTracker(): Promise<boolean> {
    const { prompts } = this.#options;
    const { trackerHere } = this.#joining;
    if (trackerHere === undefined) return true;
    const answer = await prompts.choose("You have started a tracker on this computer. The others need it to find each other.", [
      { value: "keep" as const, label: "Leave, and let it run" },
      { value: "stop" as const, label: "Leave, and stop it" },
      { value: "stay" as const, label: "Stay" },
    ]);
    if (answer === "stop") trackerHere.stop();
    return answer === "keep" || answer === "stop";
  }

  /** Shows the search line once, and does what the person wants. True when that is to leave. */
  async #searchOnce(peer: GuidedPeer): Promise<boolean> {
    const answer = await this.#askSearch(peer);
    if (answer === undefined) return await this.#menu(peer);
    if (typeof answer === "string") return await this.#act(answer, peer);
    if (answer.length === 0) {
      await this.#offerToTell(peer);
      return false;
    }
    const wanted = await this.#wantedOf(answer, peer);
    if (wanted === undefined) return false;
    const left = await fetchAll(wanted, this.#fetching(peer));
    const keys = new Set(left.map(keyOfFound));
    for (const key of [...this.#marks.keys()]) if (!keys.has(key)) this.#marks.delete(key);
    // After a download that went well the line is empty for the next one.
    if (left.length === 0) this.#typed = "";
    this.#at = left[0] && keyOfFound(left[0]);
    return false;
  }

  /** What is fetched of what was chosen: a folder can be looked into before. Undefined when the person goes back. */
  async #wantedOf(chosen: Found[], { session, listOf }: GuidedPeer): Promise<Found[] | undefined> {
    const [only] = chosen;
    if (only === undefined || chosen.length > 1 || only.own || only.record.type !== FOLDER_TYPE) return chosen;
    this.#at = keyOfFound(only);
    return await askInside(only, { prompts: this.#options.prompts, session, listOf });
  }

  /** Nobody has what was typed: the person can be told when somebody has. */
  async #offerToTell(peer: GuidedPeer): Promise<void> {
    const typed = this.#typed;
    const answer = await this.#options.prompts.choose(`Nobody shares a file for "${printable(typed)}".`, [
      { value: "tell" as const, label: "Tell me when somebody has it" },
      { value: "back" as const, label: "Back to the search" },
    ]);
    if (answer !== "tell") return;
    this.#options.prompts.say("A line above the search tells you when somebody has it.");
    const words = typed.split(/\s+/).filter((word) => word !== "");
    this.#typed = "";
    const want = peer.session.standing?.profile === 1 ? { name: nameArgument(typed), words: [] } : { words };
    peer.wants.add({ ...want, group: true }, (record) => {
      this.#news.add(`${holderName(record)} has "${printableName(record.name)}" now (${formatSize(record.size)}).`);
      this.#showNews();
    });
  }

  /** What to fetch, the letter of a key, or undefined for Esc. */
  async #askSearch({ session, isMine }: GuidedPeer): Promise<Found[] | string | undefined> {
    const { prompts } = this.#options;
    let draw = () => {};
    const finder = new Finder({
      session,
      isOwn: isMine,
      changed: () => draw(),
      after: (ms, act) => {
        const timer = setTimeout(act, ms);
        return () => clearTimeout(timer);
      },
      now: Date.now,
    });
    this.#refresh = () => finder.again();
    if (!finder.exact) await Promise.race([finder.ask(this.#typed), Bun.sleep(FIRST_LIST_MS)]);
    try {
      const answer = await prompts.list<Found>(
        {
          message: "What are you looking for?",
          hint: finder.exact ? "the exact name of a file" : "words, * and ? for any letters, -word to leave out",
          text: this.#typed,
          at: this.#at,
          look: (typed) => finder.look(typed),
          lay: layFound,
          keyOf: keyOfFound,
          marks: this.#marks,
          enter: finder.exact ? "search, fetch" : "fetch",
          onEnter: (typed) => finder.enter(typed),
          isCurrent: (typed) => finder.isCurrent(typed),
          hurry: (typed) => void finder.ask(typed),
          escape: "menu",
          shortcuts: SHORTCUTS,
          check: ({ row, marked, typed }) =>
            row === undefined && marked.length === 0 && !finder.isNone(typed) ? "There is nothing to fetch." : undefined,
          sum: ({ row, marked, shortcut, typed }) =>
            shortcut !== undefined || (marked.length === 0 && row === undefined)
              ? printable(typed)
              : (marked.length > 0 ? marked : row === undefined ? [] : [row])
                  .map(({ record }) => printableName(record.name))
                  .join(", "),
        },
        (refresh) => {
          draw = refresh;
        },
      );
      if (answer === undefined) {
        // Esc has taken the text away before.
        this.#typed = "";
        this.#at = undefined;
        return undefined;
      }
      this.#typed = answer.typed;
      this.#at = answer.moved && answer.row !== undefined ? keyOfFound(answer.row) : undefined;
      if (answer.shortcut !== undefined) return answer.shortcut;
      return answer.marked.length > 0 ? answer.marked : answer.row === undefined ? [] : [answer.row];
    } finally {
      draw = this.#refresh = () => {};
      finder.stop();
    }
  }

  #fetching(peer: GuidedPeer) {
    const { prompts, overwrite } = this.#options;
    return {
      prompts,
      session: peer.session,
      download: (records: [FileRecord, ...FileRecord[]], how: DownloadOptions) => peer.download(records, how),
      folder: this.#to,
      overwrite,
      elapsed: () => performance.now(),
    };
  }

  // -------------------------------------------------------------- the menu

  async #menu(peer: GuidedPeer): Promise<boolean> {
    const answer = await this.#options.prompts.choose("Menu", [
      ...(this.#needsKey ? [{ value: "k", label: "Type the room's new key" }] : []),
      { value: "search", label: "Back to the search" },
      { value: "f", label: "What others offer me" },
      { value: "g", label: "Send to…" },
      { value: "o", label: "Who is online" },
      { value: "s", label: "What I share" },
      { value: "t", label: "Settings" },
      { value: "x", label: "Leave" },
    ]);
    return answer === undefined || answer === "search" ? false : await this.#act(answer, peer);
  }

  /** Does what a key stands for. True when the person has left. */
  async #act(letter: string, peer: GuidedPeer): Promise<boolean> {
    const { prompts, signal } = this.#options;
    const { session } = peer;
    if (letter === "o") {
      const peers = await prompts.waitFor("Waiting for the tracker…", orCancelled(session.requests.who(), signal));
      prompts.show(peerTable(peers, session.standing?.id ?? "", prompts.width - 2), "Online");
    } else if (letter === "s") {
      prompts.show(describeShare(peer, prompts.width - 2), "What I share");
      if (this.#reach !== undefined) prompts.say(describeEvent(this.#reach));
      if (this.#offering.progress.length > 0) prompts.show(this.#offering.progress, "Handed out");
    } else if (letter === "f") {
      await this.#offering.take(peer, this.#fetching(peer));
      this.#showNews();
    } else if (letter === "g") {
      const { remembered, cwd } = this.#options;
      await this.#offering.send(peer, usableFolder(remembered.choices.from) ?? cwd);
    } else if (letter === "t") await this.#settings(peer);
    else if (letter === "k") await this.#renewKey(peer);
    else if (letter === "x" && (await this.#mayLeave(peer))) return true;
    return false;
  }

  async #renewKey({ session }: GuidedPeer): Promise<void> {
    const { renewKey, signal } = this.#options;
    if (this.#tracker === undefined) return;
    try {
      await renewKey(this.#tracker);
    } catch (error) {
      // Esc leads back to the search line.
      if (error instanceof CancelledError && !signal.aborted) return;
      throw error;
    }
    session.comeBack();
  }

  async #settings(peer: GuidedPeer): Promise<void> {
    const { prompts } = this.#options;
    for (let at: Setting = "to"; ; ) {
      const shared = plural(peer.share.files.length, "file");
      const answer: Setting | undefined = await prompts.choose<Setting>(
        "Settings",
        [
          { value: "to" as const, label: `Folder for downloads: ${this.#to}` },
          { value: "files" as const, label: `Files that I share: ${shared}` },
          { value: "name" as const, label: `My name: ${this.#joining.name}` },
          { value: "back" as const, label: "Back" },
        ],
        at,
      );
      if (answer === undefined || answer === "back") return;
      at = answer;
      if (answer === "to") await this.#askTarget();
      else if (answer === "files") await this.#changeFiles(peer);
      else await this.#changeName();
    }
  }

  async #askTarget(): Promise<void> {
    const { prompts, remembered } = this.#options;
    // A folder that does not work is not offered with Enter again.
    const now = refuseTarget(this.#to) === undefined ? this.#to : this.#options.cwd;
    const folder = await askFolder(prompts, "Where do downloads go?", now, refuseTarget);
    if (folder === undefined) return;
    this.#to = folder;
    remembered.remember({ to: folder });
  }

  /** Says where downloads go; when nothing can be saved there, another folder is chosen now, not after a download. */
  async #checkTarget(): Promise<void> {
    const { prompts } = this.#options;
    const refusal = refuseTarget(this.#to);
    if (refusal === undefined) {
      prompts.say(`Downloads go to ${printable(this.#to)}`);
      return;
    }
    prompts.warn(refusal);
    await this.#askTarget();
  }

  async #changeName(): Promise<void> {
    const { prompts, remembered } = this.#options;
    const name = await askName(prompts, this.#joining.name);
    if (name === undefined || name === this.#joining.name) return;
    this.#joining.name = name;
    remembered.remember({ name });
    prompts.done("Others see your new name when you start this program again.");
  }

  async #changeFiles(peer: GuidedPeer): Promise<void> {
    const { prompts, remembered, cwd } = this.#options;
    const { session, share } = peer;
    const marked = share.files.filter(({ only }) => only === undefined).map(({ path }) => path);
    const folder = usableFolder(remembered.choices.from) ?? cwd;
    const chosen = await askFiles(prompts, folder, { max: session.standing?.max ?? 0, where: undefined, marked });
    if (chosen === undefined) return;
    if (chosen.asOne !== undefined) {
      prompts.done(
        `Sharing the folder "${printableName(chosen.asOne.name)}" as one, too. Others can fetch it when it is read.`,
      );
      void peer.folders.add(chosen.asOne);
      remembered.remember({ asOne: chosen.asOne.path });
      return;
    }
    await peer.shareInstead(chosen.files);
    this.#rememberShared(chosen.files, chosen.from);
    prompts.done(`Sharing ${plural(chosen.files.length, "file")} now.`);
  }

  // -------------------------------------------------------------- events

  #hear(event: PeerEvent): void {
    const { prompts } = this.#options;
    if (event.event === "reach") this.#reach = event;
    if (event.event === "joined") this.#needsKey = false;
    if (event.event === "shut-out") this.#needsKey = event.code === "room-key";
    if (event.event === "joined" && !this.#joined) {
      this.#joined = true;
      prompts.done(describeEvent(event));
      return;
    }
    if (CHANGES_LIST.includes(event.event)) this.#refresh();
    if (event.event === "offer") this.#offering.offered(event.record);
    // A hand-out tells itself who has it.
    if (event.event === "has-all" && this.#offering.hands(event.upload.root)) return;
    const loud = this.#news.hear(event);
    if (loud !== undefined) prompts.ring(loud);
    this.#showNews();
  }

  #showNews(): void {
    const { prompts } = this.#options;
    prompts.live = this.#news.lines(prompts.rows);
  }
}

function describeShare(peer: GuidedPeer, width: number): string[] {
  const folders = peer.folders.folders.map(({ name, size }) => ({ name: `${name}/`, size }));
  const files = [...peer.share.files, ...folders];
  const sizes = files.map(({ size }) => formatSize(size));
  const widest = Math.max(0, ...sizes.map((size) => size.length));
  const lines = files.map(
    ({ name }, i) => `${(sizes[i] ?? "").padStart(widest)}  ${fitName(printableName(name), width - widest - 2)}`,
  );
  const { uploads, waiting } = peer.server;
  lines.push("", uploads.size === 0 ? "Nobody is downloading now." : "Downloading now:");
  for (const { to, by, name, sent } of uploads) {
    const start = `${printable(by ?? formatEndpoint(to))}  ${formatSize(sent)} sent  `;
    lines.push(start + fitName(printableName(name), width - columnsOf(start)));
  }
  if (waiting > 0) lines.push(`${plural(waiting, "downloader")} waiting for a free slot.`);
  return lines;
}
