// Hands files out to people: offers the files at the tracker, and finds out which receivers have them by now. An offer reaches people who
// join later, too. The files themselves go the usual way: each receiver fetches them.

import type { Clock } from "../../clock.ts";
import { codeOf, FtError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { Offer, PeerLine } from "../../protocol/messages.ts";
import { foldBareName } from "../../protocol/peer-name.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { isRecordOf } from "../people/find-peer.ts";
import { mayBeSameComputer } from "../people/same-computer.ts";

/** A hand-out asks the tracker each time this time has passed which receivers have the files. Milliseconds. */
const LOOK_MS = 1_000;
/** For each group of this number of people online, the time between two questions grows by LOOK_MS. */
const PEOPLE_A_WAIT = 50;
/** Somebody who leaves without the files may be back within this time: until then the others wait for it. Milliseconds. */
const GRACE_MS = 30_000;
/** The most receivers of an offer that names them: their ids are in one line. */
export const MOST_RECEIVERS = 200;

/** A file or folder that is handed out. Its content id may come later, and change. */
export interface Handed {
  readonly name: string;
  readonly size: number;
  readonly root?: string | undefined;
}

/** Somebody to whom the files are offered. */
export interface Receiver {
  /** As last seen. */
  person: PeerLine;
  /** The tracker at which it was last seen. */
  tracker: string | undefined;
  isOnline: boolean;
  /** When it was online last. Milliseconds of the clock's `elapsed`. */
  seenAt: number;
  /** `cannot`: the program there takes no offers. `declined`: the person does not want all of it. */
  state: "has" | "fetching" | "not" | "cannot" | "declined";
  /** Only while it is fetching, where it is known. Per cent. */
  percent?: number | undefined;
}

export type HandOutEvent =
  /** A person has all files by now: `has` of `of` people. */
  | { event: "has"; receiver: Receiver; has: number; of: number }
  /** A person does not want it. */
  | { event: "declined"; receiver: Receiver }
  /** The tracker does not take an offer. */
  | { event: "refused"; message: string }
  /** The tracker was asked. */
  | { event: "looked" };

interface HandOutTools {
  who(): Promise<PeerLine[]>;
  holders(root: string): Promise<FileRecord[]>;
  offer(offer: Offer): Promise<void>;
  endOffer(token: string): void;
  /** This peer's own id. */
  self(): string | undefined;
  /** The key of this peer's tracker. */
  tracker(): string | undefined;
  /** A text that nobody can guess. */
  token(): string;
  report(event: HandOutEvent): void;
  clock: Clock;
}

export class HandOut {
  readonly files: readonly Handed[];
  readonly #say: string;
  readonly #tools: HandOutTools;
  /** The receivers were named. */
  readonly isToSome: boolean;
  readonly receivers: Receiver[] = [];
  readonly #offers: { file: Handed; token: string; made: string }[];
  #started = false;
  /** The contents that each receiver was seen to have. */
  readonly #had = new Map<Receiver, Set<string>>();
  readonly #told = new Set<Receiver>();
  /** The ids of those that do not want a file, and these receivers. They may be back under another id. */
  readonly #decliners = new Set<string>();
  readonly #declined = new Set<Receiver>();
  /** The names that several people had at once, without their numbers. */
  readonly #repeated = new Set<string>();
  #cancel = () => {};
  #looking = false;
  #again = false;
  #stopped = false;
  #refusal = "";

  /** `to`: everybody, or these people. */
  constructor(files: readonly Handed[], to: "all" | PeerLine[], say: string, tools: HandOutTools) {
    this.files = files;
    this.#say = say;
    this.#tools = tools;
    this.isToSome = to !== "all";
    if (to !== "all") this.receivers = to.map((person) => newReceiver(person, tools));
    this.#offers = files.map((file) => ({ file, token: tools.token(), made: "" }));
  }

  /** Whether all have all files: all who were named, or else all who are online and take offers. Those who do not want them do not count. */
  get isDone(): boolean {
    const counted = this.counted;
    return counted.length + this.#declined.size > 0 && counted.every(({ state }) => state === "has");
  }

  /** The receivers that should fetch the files. */
  get counted(): Receiver[] {
    const since = this.#tools.clock.elapsed() - GRACE_MS;
    return this.receivers.filter(
      ({ state, seenAt }) =>
        state === "has" || (state !== "cannot" && state !== "declined" && (this.isToSome || seenAt > since)),
    );
  }

  /** Offers the files, and looks who has them, now and from then on. */
  start(): void {
    this.#started = true;
    this.nudge();
  }

  /** Something may be different now: a content id, or who is online. */
  nudge(): void {
    if (this.#stopped || !this.#started) return;
    this.#again = this.#looking;
    if (this.#looking) return;
    this.#cancel();
    this.#looking = true;
    // While the tracker is away nothing is known; it is asked again later.
    void this.#look()
      .catch(() => 0)
      .then((people) => {
        this.#looking = false;
        if (this.#stopped) return;
        if (this.#again) this.nudge();
        else this.#cancel = this.#tools.clock.after(LOOK_MS * (1 + Math.floor(people / PEOPLE_A_WAIT)), () => this.nudge());
      });
  }

  /** The person of this peer does not want the offer of this token. */
  declined(token: string, id: string): void {
    if (!this.#offers.some((one) => one.token === token)) return;
    this.#decliners.add(id);
    this.nudge();
  }

  /** Ends the offers. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancel();
    for (const { token, made } of this.#offers) if (made !== "") this.#tools.endOffer(token);
  }

  /** Gives the number of people online. */
  async #look(): Promise<number> {
    const { who, self, report } = this.#tools;
    const people = (await who()).filter(({ id }) => id !== self());
    this.#match(people);
    await this.#offer();
    for (const receiver of this.receivers) if (receiver.state === "fetching") receiver.state = this.#atFirst(receiver);
    for (const { file } of this.#offers) await this.#follow(file);
    this.#judge();
    if (!this.#stopped) report({ event: "looked" });
    return people.length;
  }

  /** Finds the receivers among the people online. */
  #match(people: PeerLine[]): void {
    const free = new Set(people);
    const names = Map.groupBy(people, bareName);
    for (const [name, those] of names) if (those.length > 1) this.#repeated.add(name);
    for (const receiver of this.receivers)
      receiver.isOnline = this.#see(
        receiver,
        people.find(({ id }) => id === receiver.person.id),
        free,
      );
    for (const receiver of this.receivers) {
      if (!receiver.isOnline) receiver.isOnline = this.#see(receiver, this.#backOf(receiver, free), free);
    }
    if (this.isToSome) return;
    for (const person of free) this.receivers.push(newReceiver(person, this.#tools));
  }

  #see(receiver: Receiver, person: PeerLine | undefined, free: Set<PeerLine>): boolean {
    if (person === undefined || !free.delete(person)) return false;
    receiver.person = person;
    receiver.tracker = this.#tools.tracker();
    if (receiver.state === "cannot" || !person.offers)
      receiver.state = receiver.state === "has" ? "has" : this.#atFirst(receiver);
    receiver.seenAt = this.#tools.clock.elapsed();
    return true;
  }

  /**
   * A receiver that is back under another id. It has its name, and its place or another port of its computer. After a restart of the tracker
   * "Ben" and "Ben (2)" may be the other way round. A name alone is nobody's: another Ben may take it when this one has left, or may be
   * at the tracker that takes over.
   */
  #backOf({ person, tracker }: Receiver, free: Set<PeerLine>): PeerLine | undefined {
    const name = bareName(person);
    const same = [...free].filter((one) => bareName(one) === name);
    const there = same.find((one) => isAt(one, person));
    if (there !== undefined || this.#repeated.has(name)) return there;
    // At another tracker only the same address counts: there, another Ben may have been online all the time.
    const isSameTracker = tracker === this.#tools.tracker();
    const isThere = (one: PeerLine) =>
      isSameTracker ? mayBeSameComputer(person.address, one.address) : one.address === person.address;
    return same.find(isThere);
  }

  /** Makes the offers that are not made yet, or have other receivers now. */
  async #offer(): Promise<void> {
    const to = this.isToSome ? this.receivers.filter(({ isOnline }) => isOnline).map(({ person }) => person.id) : "all";
    for (const one of this.#offers) {
      const { root } = one.file;
      const made = `${root} ${to}`;
      if (root === undefined || made === one.made) continue;
      try {
        await this.#tools.offer({ offer: one.token, root, to, say: this.#say });
        one.made = made;
        this.#refusal = "";
      } catch (error) {
        const isEarly = codeOf(error) === "no-such-file" || codeOf(error) === "tracker-gone";
        if (isEarly || !(error instanceof FtError)) continue;
        if (sentenceOf(error) !== this.#refusal) this.#tools.report({ event: "refused", message: sentenceOf(error) });
        this.#refusal = sentenceOf(error);
      }
    }
  }

  /** The state of a receiver that neither has the files nor is fetching them. */
  #atFirst(receiver: Receiver): Receiver["state"] {
    return this.#declined.has(receiver) ? "declined" : stateAtFirst(receiver.person);
  }

  async #follow({ root }: Handed): Promise<void> {
    if (root === undefined) return;
    const records = await this.#tools.holders(root);
    for (const receiver of this.receivers) {
      if (!receiver.isOnline) continue;
      const own = records.filter((record) => isRecordOf(record, receiver.person));
      const had = this.#had.get(receiver) ?? new Set();
      this.#had.set(receiver, had);
      if (own.some(({ part }) => !part)) had.add(root);
      else if (own.length > 0 && !had.has(root)) {
        receiver.percent = own.find(({ have }) => have !== undefined)?.have;
        if (receiver.state !== "cannot") receiver.state = "fetching";
      }
    }
  }

  #judge(): void {
    const has = (receiver: Receiver) =>
      this.files.every(({ root }) => root !== undefined && this.#had.get(receiver)?.has(root));
    for (const receiver of this.receivers) {
      if (has(receiver)) receiver.state = "has";
      else if (receiver.state !== "fetching") receiver.state = this.#atFirst(receiver);
      if (receiver.state !== "fetching") receiver.percent = undefined;
      if (receiver.state !== "has") this.#told.delete(receiver);
    }
    for (const receiver of this.receivers) {
      if (!this.#decliners.has(receiver.person.id) || this.#declined.has(receiver)) continue;
      this.#declined.add(receiver);
      receiver.state = receiver.state === "has" ? "has" : this.#atFirst(receiver);
      this.#tools.report({ event: "declined", receiver });
    }
    const counted = this.counted;
    let count = counted.filter((one) => this.#told.has(one)).length;
    for (const receiver of counted) {
      if (receiver.state !== "has" || this.#told.has(receiver)) continue;
      this.#told.add(receiver);
      count += 1;
      this.#tools.report({ event: "has", receiver, has: count, of: counted.length });
    }
  }
}

/** All hand-outs of a peer. */
export class HandOuts {
  readonly #tools: Omit<HandOutTools, "report">;
  readonly #all: HandOut[] = [];

  constructor(tools: Omit<HandOutTools, "report">) {
    this.#tools = tools;
  }

  prepare(files: readonly Handed[], to: "all" | PeerLine[], say: string, report: HandOutTools["report"]): HandOut {
    const handOut = new HandOut(files, to, say, { ...this.#tools, report });
    this.#all.push(handOut);
    return handOut;
  }

  /** Looks again at once after an event that may matter. */
  hear({ event }: { event: string }): void {
    if (LOOK_AFTER.includes(event)) for (const one of this.#all) one.nudge();
  }

  /** The person of a peer does not want the offer of this token. */
  declined(token: string, id: string): void {
    for (const one of this.#all) one.declined(token, id);
  }

  /** Whether a file is handed out. */
  hands(file: Handed): boolean {
    return this.#all.some(({ files }) => files.includes(file));
  }

  stop(): void {
    for (const one of this.#all) one.stop();
  }
}

/** After these events of a peer the tracker is asked at once. */
const LOOK_AFTER = ["root", "folder", "joined"];

function newReceiver(person: PeerLine, { tracker, clock }: HandOutTools): Receiver {
  return { person, tracker: tracker(), isOnline: true, seenAt: clock.elapsed(), state: stateAtFirst(person) };
}

function stateAtFirst({ offers }: PeerLine): Receiver["state"] {
  return offers ? "not" : "cannot";
}

function isAt(one: PeerLine, other: PeerLine): boolean {
  return one.address === other.address && one.port === other.port;
}

/** A name without the number that a second peer of that name gets; of a peer without a name its place. */
function bareName(person: PeerLine): string {
  return person.name === undefined ? formatEndpoint(person) : foldBareName(person.name);
}
