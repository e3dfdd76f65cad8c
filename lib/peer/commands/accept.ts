// Takes what others offer while a command keeps this peer online: fetches it where that was allowed, or asks a person on a terminal.

import { resolve } from "node:path";
import { codeOf, FtError, sentenceOf } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { contentKeyOf } from "../../protocol/folder.ts";
import { foldPeerName } from "../../protocol/peer-name.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { plural, printable, printableName } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import type { PeerEvent } from "../events.ts";
import { holderName } from "../people/holder-name.ts";
import { columnsOf } from "../screen/columns.ts";
import { describeFailed } from "../screen/folder-words.ts";
import { describeOffers, groupOffers, offerObject } from "../screen/offer-words.ts";
import type { Screen } from "../screen/screen.ts";
import { canAskHere, TypedLines } from "../screen/typed-lines.ts";
import { describeDownload, describeRenaming, downloadObject } from "../screen/view.ts";
import type { Peer } from "./types.ts";

/** The most offers that are fetched at once. */
const AT_ONCE = 3;
/** The most offers that wait for an answer. Further ones are not shown. */
const MOST_WAITING = 200;
/** The files of one hand-out come within this time. Milliseconds. */
const GATHER_MS = 300;

export class Accepting {
  readonly #line: CommandLine;
  readonly #screen: Screen;
  readonly #signal: AbortSignal;
  readonly #ready = Promise.withResolvers<Peer>();
  /** Offers about which a person will be asked. */
  #waiting: FileRecord[] = [];
  readonly #queue: FileRecord[] = [];
  #running = 0;
  /** Gives the question that is shown now. It says how many other offers wait. */
  #question: (() => string) | undefined;
  #lines: TypedLines | undefined;
  #asking = false;
  #hinted = false;

  constructor(line: CommandLine, screen: Screen, signal: AbortSignal) {
    this.#line = line;
    this.#screen = screen;
    this.#signal = signal;
  }

  /** This peer is online. */
  start(peer: Peer): void {
    this.#ready.resolve(peer);
  }

  /** Hears an event after it was shown. */
  hear(event: PeerEvent): void {
    if (event.event === "offer") this.#offered(event.record);
    // The line of the event stands where the question was.
    this.#showQuestion();
  }

  #offered(record: FileRecord): void {
    const { json } = this.#screen;
    if (json) this.#screen.object(offerObject(record));
    if (isAccepted(record, this.#line.accept)) {
      if (!json) this.#screen.event(`${describeOffers([record])}. Fetching it.`);
      this.#queue.push(record);
      void this.#fetchNext();
    } else if (!json && !this.#line.quiet && this.#lines?.ended !== true && canAskHere()) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push(record);
      void this.#ask();
    } else if (!json) {
      const hint = this.#hinted ? "" : ' It is not fetched: that needs --accept with this name, or "--accept all".';
      this.#hinted = true;
      this.#screen.event(`${describeOffers([record])}.${hint}`);
    }
  }

  /** Asks about all offers that wait, one person after the other. */
  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#lines ??= new TypedLines(process.stdin, this.#signal);
    this.#lines.open();
    // Several files of one person come one after the other.
    await new Promise((soon) => setTimeout(soon, GATHER_MS));
    while (this.#waiting.length > 0 && !this.#signal.aborted) {
      const [group] = groupOffers(this.#waiting);
      if (group === undefined) break;
      const answer = await this.#answerTo(group);
      if (answer === undefined) {
        this.#endQuestions();
        break;
      }
      const answered = answer === "none" ? this.#waiting : group;
      this.#waiting = this.#waiting.filter((one) => !answered.includes(one));
      if (answer !== "yes") {
        const { handing } = await this.#ready.promise;
        for (const record of answered) handing.decline(record);
        continue;
      }
      this.#queue.push(...group);
      void this.#fetchNext();
    }
    this.#lines.rest();
    this.#asking = false;
  }

  /** No answer can come any more. The offers stay with the others, who may offer them again. */
  #endQuestions(): void {
    if (this.#signal.aborted) return;
    this.#waiting = [];
    this.#hinted = true;
    this.#screen.event(
      'No question can be answered any more, because the input has ended. Nothing is fetched without --accept with a name, or "--accept all".',
    );
  }

  async #answerTo(group: [FileRecord, ...FileRecord[]]): Promise<"yes" | "no" | "none" | undefined> {
    const others = () => groupOffers(this.#waiting.filter((one) => !group.includes(one))).length;
    let isToldApart = false;
    const question = () => {
      const more = others() === 0 ? "" : ` (${plural(others(), "more offer")}; x: no to all)`;
      const whole = `${describeOffers(group)}: fetch? [Y/n]${more} `;
      if (!isToldApart && columnsOf(whole) >= (this.#screen.width ?? 80) - 2) {
        isToldApart = true;
        this.#screen.event(`${describeOffers(group)}.`);
      }
      return isToldApart ? `Fetch? [Y/n]${more} ` : whole;
    };
    for (;;) {
      this.#question = question;
      this.#showQuestion();
      const typed = (await this.#lines?.next())?.trim().toLowerCase();
      this.#question = undefined;
      if (typed === undefined) return undefined;
      this.#screen.answered();
      if (typed === "" || typed === "y" || typed === "yes") return "yes";
      if (typed === "n" || typed === "no") return "no";
      if (typed === "x" && others() > 0) return "none";
    }
  }

  #showQuestion(): void {
    if (this.#question !== undefined) this.#screen.progress(this.#question());
  }

  async #fetchNext(): Promise<void> {
    if (this.#running >= AT_ONCE || this.#signal.aborted) return;
    const record = this.#queue.shift();
    if (record === undefined) return;
    this.#running += 1;
    const peer = await this.#ready.promise;
    try {
      await this.#fetch(record, peer);
    } catch (error) {
      // When the offer is made again, as after a restart of the tracker, it counts anew.
      peer.handing.again(record);
      if (!this.#signal.aborted) this.#tellError(record, error);
    }
    this.#running -= 1;
    this.#showQuestion();
    await this.#fetchNext();
  }

  async #fetch(record: FileRecord, peer: Peer): Promise<void> {
    const started = performance.now();
    const holders = await holdersOf(record, peer);
    const { to, overwrite } = this.#line;
    const how = { folder: resolve(to), overwrite, signal: this.#signal, report: () => undefined };
    const done = await peer.download(holders, how);
    const seconds = (performance.now() - started) / 1000;
    if (this.#screen.json) {
      this.#screen.object(downloadObject(record, done, seconds));
      return;
    }
    const renamed = describeRenaming(record.name, done);
    // It has colours in it, and is printable already.
    if (!this.#line.quiet) this.#screen.results([describeDownload(done, seconds)]);
    if (renamed !== undefined) this.#screen.note(renamed);
    const { inFolder } = done;
    if (inFolder !== undefined && inFolder.failed.length > 0)
      this.#screen.note(`"${printable(record.name)}": ${describeFailed(inFolder)}`);
  }

  #tellError({ name }: FileRecord, error: unknown): void {
    if (this.#screen.json) this.#screen.error(sentenceOf(error), codeOf(error) || "failed", { about: { name } });
    else this.#screen.note(sentenceOf(error));
  }
}

/** The holders of an offered content, the person who offers it first. Throws a sentence when there is none any more. */
async function holdersOf(record: FileRecord, { session }: Pick<Peer, "session">): Promise<[FileRecord, ...FileRecord[]]> {
  const found = await session.requests.holders(record.root ?? "");
  const holders = found.filter((one) => contentKeyOf(one) === contentKeyOf(record));
  const isFirst = (one: FileRecord) => one.address === record.address && one.port === record.port;
  const [first, ...others] = [...holders.filter(isFirst), ...holders.filter((one) => !isFirst(one))];
  if (first !== undefined) return [{ ...first, name: record.name }, ...others];
  throw new FtError("not-found", `Nobody online has "${printableName(record.name)}" any more: ${holderName(record)} has left.`);
}

/** Whether offers of this person are fetched without a question. */
function isAccepted({ by, address, port }: FileRecord, accept: string[]): boolean {
  const names = accept.flatMap((text) => [text, ...text.split(",")]).map((text) => text.trim());
  return names.some((name) => {
    if (name.toLowerCase() === "all" || name === address || name === formatEndpoint({ address, port })) return true;
    return by !== undefined && name !== "" && foldPeerName(by) === foldPeerName(name);
  });
}
