// Leads a person through the program while the peer is online: the search line, downloads, the menu, and goodbye.

import { CancelledError, codeOf, sentenceOf } from "../../../error.ts";
import { formatEndpoint } from "../../../protocol/address.ts";
import { FOLDER_TYPE } from "../../../protocol/folder.ts";
import type { FileRecord } from "../../../protocol/record.ts";
import { formatSize, plural, printable, printableName } from "../../../text.ts";
import { nameArgument } from "../../arguments.ts";
import { orCancelled } from "../../cancel.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import type { SharedFile } from "../../disk/share.ts";
import type { DownloadOptions } from "../../download/download.ts";
import type { PeerEvent } from "../../events.ts";
import type { Located } from "../../locate/locate.ts";
import { ROOM_KEY } from "../../online/room.ts";
import type { TrackerPlace } from "../../online/session-types.ts";
import { holderName } from "../../people/holder-name.ts";
import type { Upload } from "../../serve/types.ts";
import { columnsOf, fitName } from "../columns.ts";
import { describeEvent } from "../event-words.ts";
import { peerTable } from "../view.ts";
import { withoutCommands } from "../without-commands.ts";
import type { Asking, Telling } from "./asking.ts";
import { fetchAll } from "./fetching.ts";
import { Finder, type Found, keyOfFound, layFound } from "./finder.ts";
import type { GuidedPeer } from "./guided-peer.ts";
import { Joining, type JoiningOptions, usableFolder } from "./joining.ts";
import { mayLeave, mayLeaveTracker } from "./leaving.ts";
import { askInside } from "./looking-in.ts";
import { News } from "./news.ts";
import { Offering } from "./offering.ts";
import { rememberShared, Settings } from "./settings.ts";

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

interface GuideOptions extends JoiningOptions {
  prompts: Asking & Telling;
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
  readonly #settings: Settings;
  readonly #offering: Offering;
  #joined = false;
  #tracker: TrackerPlace | undefined;
  /** The private room has another key, and this peer is out. */
  #needsKey = false;
  /** Whether others can connect to this machine: it is shown when the person asks for it. */
  #reach: PeerEvent | undefined;
  /** Asks for the list of the search line again. */
  #refresh = () => {};
  /** The text in the search line, and the key of the row that the cursor is on. */
  #typed = "";
  #at: string | undefined;

  constructor(options: GuideOptions) {
    this.#options = options;
    this.#joining = new Joining(options);
    this.#settings = new Settings(options, this.#joining);
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
        if (!isLeaving || (await mayLeaveTracker(this.#options.prompts, this.#joining.trackerHere))) throw error;
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
        if (chosen.from !== undefined) rememberShared(remembered, chosen.files, chosen.from, chosen.asOne);
        await this.#settings.checkTarget();
        return peer;
      } catch (error) {
        // Else the same folder would fail at this tracker each time, and nobody would be asked.
        if (codeOf(error) === "basic-folder") remembered.remember({ asOne: undefined });
        if (given !== undefined || error instanceof CancelledError) throw error;
        prompts.warn(withoutCommands(sentenceOf(error)));
      }
    }
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
    return (await mayLeave(prompts, tools)) && (await mayLeaveTracker(prompts, this.#joining.trackerHere));
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

  /** The files to fetch: a person can look into a chosen folder, and take some of it. Undefined when the person goes back. */
  async #wantedOf(chosen: Found[], { session, listOf }: GuidedPeer): Promise<Found[] | undefined> {
    const [only] = chosen;
    if (only === undefined || chosen.length > 1 || only.own || only.record.type !== FOLDER_TYPE) return chosen;
    this.#at = keyOfFound(only);
    return await askInside(only, { prompts: this.#options.prompts, session, listOf });
  }

  /** Nobody has a file for the typed text: offers to tell the person when somebody has one. */
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

  /** The files to fetch, the letter of a key, or undefined for Esc. */
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
      folder: this.#settings.to,
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
    } else if (letter === "t") await this.#settings.ask(peer);
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

  // -------------------------------------------------------------- events

  #hear(event: PeerEvent): void {
    const { prompts } = this.#options;
    if (event.event === "reach") this.#reach = event;
    if (event.event === "joined") this.#needsKey = false;
    if (event.event === "shut-out") this.#needsKey = event.code === ROOM_KEY;
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
  if (waiting > 0) lines.push(`${plural(waiting, "downloader")} waiting for their turn.`);
  return lines;
}
