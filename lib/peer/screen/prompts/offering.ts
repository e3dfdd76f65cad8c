// Handing out and taking offers in the prompts: the offers that wait, the questions for what a person sends to whom, and how far that is.

import type { PeerLine } from "../../../protocol/messages.ts";
import { type FileRecord, SAY_LIMIT } from "../../../protocol/record.ts";
import { byteLength, formatSize, plural, printable, printableName } from "../../../text.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import type { SharedFile } from "../../disk/share.ts";
import { holderName, peerLabel } from "../../people/holder-name.ts";
import type { HandOut, HandOutEvent } from "../../share/hand-out.ts";
import { columnsOf, fit, fitName } from "../columns.ts";
import {
  declinedSentence,
  describeHanded,
  describeMissing,
  describeOffers,
  describeProgress,
  groupOffers,
  nameHanded,
  receiverLabel,
} from "../offer-words.ts";
import type { Asking, Telling } from "./asking.ts";
import { askFiles, type FileChoice } from "./choosing.ts";
import { type Fetching, fetchAll } from "./fetching.ts";
import type { GuidedPeer } from "./guided-peer.ts";

/** The most offers that wait. Further ones are not shown. */
const MOST_WAITING = 200;
/** The most files that are handed out at once. */
const MOST_SENT = 20;
/** The row for everybody in the list of people. */
const EVERYBODY = "all";
/** The key that takes all offers away: Ctrl with this letter. */
const NONE = "n";

type Prompts = Asking & Telling;

export class Offering {
  readonly #prompts: Prompts;
  readonly #tell: (words: string) => void;
  #waiting: FileRecord[] = [];
  readonly #handOuts: HandOut[] = [];

  /** `tell` shows a line of news. */
  constructor(prompts: Prompts, tell: (words: string) => void) {
    this.#prompts = prompts;
    this.#tell = tell;
  }

  /** Somebody offers something. */
  offered(record: FileRecord): void {
    if (this.#waiting.length < MOST_WAITING) this.#waiting.push(record);
  }

  /** The line about the offers that wait; "" when there are none. */
  get line(): string {
    const groups = groupOffers(this.#waiting);
    const [first] = groups;
    if (first === undefined) return "";
    const more = groups.length === 1 ? "" : `, and ${plural(groups.length - 1, "more offer")}`;
    return `${describeOffers(first)}${more}: Ctrl-F fetches`;
  }

  /** Whether a content is handed out here: who has it is told by that. */
  hands(root: string | undefined): boolean {
    return root !== undefined && this.#handOuts.some(({ files }) => files.some((file) => file.root === root));
  }

  // -------------------------------------------------------------- taking

  /** Shows the offers that wait, and fetches those that the person wants. */
  async take(peer: GuidedPeer, fetching: Fetching): Promise<void> {
    if (this.#waiting.length === 0) {
      this.#prompts.say("Nobody offers you a file now.");
      return;
    }
    const marks = new Map(this.#waiting.map((record) => [keyOf(record), record]));
    const answer = await this.#prompts.list<FileRecord>({
      message: "What do you want to fetch?",
      hint: "letters of a name",
      look: (typed) => ({ rows: this.#waiting.filter(({ name }) => name.toLowerCase().includes(typed.toLowerCase())) }),
      lay: layOffers,
      keyOf,
      marks,
      all: () => this.#waiting,
      enter: "fetch",
      escape: "later",
      shortcuts: [{ letter: NONE, label: "none of these" }],
      check: () => (marks.size === 0 ? "Mark what you want with Space, or press Ctrl-N for none." : undefined),
      sum: ({ marked, shortcut }) =>
        shortcut === undefined ? marked.map(({ name }) => printableName(name)).join(", ") : "none",
    });
    if (answer === undefined) return;
    if (answer.shortcut === NONE) {
      for (const record of this.#waiting) peer.handing.decline(record);
      this.#waiting = [];
      return;
    }
    const wanted = answer.marked.filter((one) => this.#waiting.includes(one));
    const left = await fetchAll(
      wanted.map((record) => ({ record, own: false })),
      fetching,
    );
    const failed = new Set(left.map(({ record }) => keyOf(record)));
    // When an offer that could not be fetched is made again, it is told again.
    for (const { record } of left) peer.handing.again(record);
    this.#waiting = this.#waiting.filter((one) => !wanted.includes(one) || failed.has(keyOf(one)));
  }

  // -------------------------------------------------------------- sending

  /** Asks who gets what, and hands it out. `folder`: where the person's files are. */
  async send(peer: GuidedPeer, folder: string): Promise<void> {
    const { session } = peer;
    if (session.standing?.profile !== 2 || !session.standing.offers) {
      this.#prompts.warn("The tracker here is of an older version and cannot hand out files.");
      return;
    }
    const people = (await session.requests.who()).filter(({ id }) => id !== session.standing?.id);
    const marks = new Map<string, PeerLine | typeof EVERYBODY>();
    // Esc leads one step back.
    for (;;) {
      const to = await this.#askPeople(people, marks);
      if (to === undefined) return;
      const what = await this.#askWhat(folder);
      if (what === undefined) continue;
      this.#handOut(peer, what.chosen, to, what.say);
      return;
    }
  }

  /** Which files, or a folder as one, and a word to go with it. Undefined when the person goes back. */
  async #askWhat(folder: string): Promise<{ chosen: FileChoice; say: string } | undefined> {
    let marked: string[] = [];
    for (let from = folder; ; ) {
      const chosen = await askFiles(this.#prompts, from, { max: MOST_SENT, where: undefined, purpose: "send", marked });
      if (chosen === undefined) return undefined;
      const say = await this.#prompts.line("A word to go with it?", "Enter sends it without one", (typed) =>
        byteLength(typed) > SAY_LIMIT ? "That is too long." : undefined,
      );
      if (say !== undefined) return { chosen, say };
      from = chosen.from;
      marked = chosen.files.map(({ path }) => path);
    }
  }

  #handOut(peer: GuidedPeer, chosen: FileChoice, to: typeof EVERYBODY | PeerLine[], say: string): void {
    const isToAll = to === EVERYBODY;
    const files =
      chosen.asOne === undefined ? this.#share(peer, chosen.files, isToAll) : this.#shareFolder(peer, chosen.asOne, isToAll);
    if (files.length === 0) return;
    const handOut: HandOut = peer.handing.offer(files, to, say, (event) => this.#hear(event, handOut));
    this.#handOuts.push(handOut);
    handOut.start();
    const whom = to === EVERYBODY ? "everybody" : to.map(peerLabel).join(", ");
    this.#prompts.done(`Offered ${describeHanded(files)} to ${whom}. You will see here who has it.`);
  }

  /** Who gets it: everybody, or the people who are marked. */
  async #askPeople(
    people: PeerLine[],
    marks: Map<string, PeerLine | typeof EVERYBODY>,
  ): Promise<typeof EVERYBODY | PeerLine[] | undefined> {
    const rows = [EVERYBODY, ...people] as const;
    const answer = await this.#prompts.list<PeerLine | typeof EVERYBODY>({
      message: "Who gets it?",
      hint: "letters of a name",
      look: (typed) => ({
        rows: rows.filter((one) =>
          one === EVERYBODY ? typed === "" : peerLabel(one).toLowerCase().includes(typed.toLowerCase()),
        ),
      }),
      lay: (shown, width) => ({ title: "", lines: shown.map((one) => fit(rowOf(one, people), width)) }),
      keyOf: (one) => (one === EVERYBODY ? EVERYBODY : one.id),
      marks,
      refuseMark: (one) => (one !== EVERYBODY && !one.offers ? cannot(one) : undefined),
      enter: "go on",
      escape: "back",
      check: ({ row, marked }) => {
        const [only] = marked.length > 0 ? marked : row === undefined ? [] : [row];
        return only === undefined
          ? "Choose at least one person."
          : only !== EVERYBODY && !only.offers
            ? cannot(only)
            : undefined;
      },
      sum: ({ row, marked }) =>
        (marked.length > 0 ? marked : row === undefined ? [] : [row]).map((one) => rowOf(one, people)).join(", "),
    });
    if (answer === undefined) return undefined;
    const chosen = answer.marked.length > 0 ? answer.marked : answer.row === undefined ? [] : [answer.row];
    return chosen.includes(EVERYBODY) ? EVERYBODY : chosen.filter((one) => one !== EVERYBODY);
  }

  /** Shares the files, as far as they are not shared already. Gives those that can be handed out. */
  #share(peer: GuidedPeer, files: SharedFile[], isToAll: boolean): SharedFile[] {
    const only = isToAll ? undefined : peer.handing.token();
    return files.flatMap((file) => {
      const shared = peer.share.files.find(({ path }) => path === file.path);
      if (shared !== undefined) {
        if (shared.only === undefined && !isToAll)
          this.#prompts.say(`You share "${printableName(file.name)}" already: everybody can find it.`);
        if (shared.only !== undefined && isToAll) {
          shared.only = undefined;
          peer.handing.share(shared);
        }
        return [shared];
      }
      if (peer.share.files.some(({ name }) => name === file.name)) {
        this.#prompts.warn(`You share another file called "${printableName(file.name)}". Rename one of them.`);
        return [];
      }
      peer.handing.share(Object.assign(file, { only }));
      return [file];
    });
  }

  /** Shares the folder, if it is not shared already. Gives it if it can be handed out. */
  #shareFolder({ folders, handing, share }: GuidedPeer, folder: SharedFolder, isToAll: boolean): SharedFolder[] {
    const shared = [...folders.folders, ...share.files].find(({ name }) => name === folder.name);
    if (shared === undefined) {
      folder.only = isToAll ? undefined : handing.token();
      void folders.add(folder);
      return [folder];
    }
    if (!("files" in shared) || shared.path !== folder.path) {
      this.#prompts.warn(`You share something else called "${printableName(folder.name)}". Rename one of them.`);
      return [];
    }
    if (shared.only === undefined && !isToAll)
      this.#prompts.say(`You share "${printableName(folder.name)}" already: everybody can find it.`);
    // Until it is hashed nobody was told of it.
    if (isToAll && shared.root === undefined) shared.only = undefined;
    else if (isToAll) folders.showTo(shared.root ?? "", undefined);
    return [shared];
  }

  #hear(event: HandOutEvent, handOut: HandOut): void {
    if (event.event === "refused") this.#prompts.ring(event.message);
    if (event.event === "declined") this.#tell(declinedSentence(event.receiver, handOut));
    if (event.event !== "has") return;
    this.#tell(`${receiverLabel(event.receiver)} has ${nameHanded(handOut.files)} (${event.has} of ${event.of}).`);
  }

  /** How far each hand-out is, as lines. */
  get progress(): string[] {
    return this.#handOuts.flatMap((handOut) => {
      const missing = describeMissing(handOut);
      return [`${describeHanded(handOut.files)}: ${describeProgress(handOut)}.`, ...(missing === "" ? [] : [`  ${missing}`])];
    });
  }

  /** The hand-outs that not everybody has. */
  get unfinished(): string[] {
    return this.#handOuts
      .filter((one) => !one.isDone)
      .map((one) => `${describeHanded(one.files)}: ${describeProgress(one)}. ${describeMissing(one)}`);
  }
}

function keyOf({ offer, root }: FileRecord): string {
  return `${offer} ${root}`;
}

function cannot(person: PeerLine): string {
  return `${peerLabel(person)} cannot be asked: the program there is an older version, or does not take offers now.`;
}

function rowOf(one: PeerLine | typeof EVERYBODY, people: PeerLine[]): string {
  if (one !== EVERYBODY) return `${peerLabel(one)}${one.offers ? "" : " (cannot be asked)"}`;
  const count = people.filter(({ offers }) => offers).length;
  return `Everybody, now and when they join (${count === 1 ? "1 person" : `${count} people`} now)`;
}

function layOffers(records: FileRecord[], width: number): { title: string; lines: string[] } {
  const rest = records.map((one) => {
    const say = one.say ? `  "${printable(one.say)}"` : "";
    return `  ${formatSize(one.size)}  ${holderName(one)}${say}`;
  });
  const widest = Math.min(Math.floor(width / 2), Math.max(...records.map(({ name }) => columnsOf(printableName(name)))));
  const lines = records.map(({ name }, i) => {
    const shown = fitName(printableName(name), widest);
    return fit(`${shown}${" ".repeat(Math.max(0, widest - columnsOf(shown)))}${rest[i]}`, width);
  });
  return { title: "", lines };
}
