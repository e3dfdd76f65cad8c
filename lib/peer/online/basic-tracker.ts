// Speaks the basic protocol (FT/1) with a tracker, and finds out whether a tracker speaks it. Each message has a connection of its own,
// except the list of files, which follows the HELLO. Remembers nothing.

import { concatBytes } from "../../bytes.ts";
import { type Clock, sleep } from "../../clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";
import type { Channel } from "../../net/channel.ts";
import { basic, parseBasicFound } from "../../protocol/basic.ts";
import { FOLDER_TYPE } from "../../protocol/folder.ts";
import { DEFAULT_MAX_FILES, PROFILE_WAIT_MS } from "../../protocol/numbers.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import { plural, printable } from "../../text.ts";
import { REPLY_MS, type Reply } from "./tracker-connection.ts";

/** A basic tracker says HI within this time. Milliseconds. */
const HI_MS = 10_000;
/** A peer that leaves waits this long for the tracker to take its BYE. Milliseconds. */
export const BYE_MS = 1_000;
/** A longer answer of a basic tracker is cut off. Bytes. */
const BASIC_ANSWER_LIMIT = 4 * 1024 * 1024;
/**
 * A tracker is taken for a basic one only when it has not answered HELLO FT/2 for this long, although it says HI: on a network that
 * loses packets the answer may be late. A packet that is lost five times in a row comes after 6.2 s. Milliseconds.
 */
const PATIENCE_MS = 6_500;

interface BasicTrackerTools {
  /** Connects to the tracker. Fails with a sentence. */
  dial(signal: AbortSignal | undefined): Promise<Channel>;
  /** The tracker's address, for sentences. */
  where(): string;
  clock: Clock;
}

export class BasicTracker {
  readonly #tools: BasicTrackerTools;

  constructor(tools: BasicTrackerTools) {
    this.#tools = tools;
  }

  /**
   * Gives the reply to HELLO FT/2, or the connection to an FT/1 tracker. A basic tracker does not answer HELLO FT/2, but neither
   * does a busy one at once: so a late reply wins against the bare HELLO on a second connection. The reply is undefined when its
   * connection has ended. `heard` tells whether anything came on that: a web server answers a line, and no word without its end.
   */
  async greetUnless(reply: Promise<Reply | undefined>, heard: () => boolean, signal: AbortSignal | undefined) {
    const { clock } = this.#tools;
    let ended = false;
    reply.then(
      () => {
        ended = true;
      },
      () => undefined,
    );
    const patience = sleep(clock, PATIENCE_MS);
    const early = await Promise.race([reply, sleep(clock, PROFILE_WAIT_MS)]);
    if (signal?.aborted) throw new CancelledError();
    if (early !== undefined) return early;
    const second = this.#greet(heard, signal).catch(async (error: unknown) => {
      // When the tracker is slow in everything, or the second connection fails, the reply may still come.
      if (codeOf(error) !== "no-tracker") await reply.catch(() => undefined);
      throw error;
    });
    // When the first connection ends without a reply, only the second one can still bring one.
    const late = reply.then((late) => late ?? new Promise<never>(() => {}));
    let chosen: Reply | Channel | undefined;
    try {
      chosen = await Promise.race([late, second]);
      if ("verb" in chosen || ended) return chosen;
      chosen = (await Promise.race([late, patience])) ?? chosen;
      if (signal?.aborted) throw new CancelledError();
      return chosen;
    } finally {
      second.then((channel) => channel !== chosen && channel.destroy()).catch(() => undefined);
    }
  }

  /** Says the bare HELLO; gives the connection on which the tracker has said HI. Fails with a sentence. */
  async #greet(heard: () => boolean, signal: AbortSignal | undefined): Promise<Channel> {
    const channel = await this.#tools.dial(signal);
    signal?.addEventListener("abort", () => channel.destroy(), { once: true });
    const hi = await this.#ask(channel, basic.hello, { isWhole: (bytes) => bytes.length >= basic.hi.length, within: HI_MS });
    if (new TextDecoder().decode(hi).startsWith(basic.hi)) return channel;
    const isSilent = hi.length === 0 && !channel.ended && !channel.closed && !heard();
    channel.destroy();
    if (isSilent) throw new FtError("no-answer", `The tracker at "${this.#tools.where()}" does not answer. Try again later.`);
    const words = `The program that answers at "${this.#tools.where()}" is not a FileTracker tracker. Check the address and port.`;
    throw new FtError("no-tracker", words);
  }

  /**
   * Sends the list of files on the connection that `greetUnless` gave; gives the records that this tracker cannot take. A basic tracker
   * reads once for each message: HELLO went alone, and now the whole list goes in one piece.
   */
  sendList(channel: Channel, records: FileRecord[]): FileRecord[] {
    // This profile has no folders.
    const files = records.filter(({ type }) => type !== FOLDER_TYPE);
    const { taken, left } = forOldTracker(files.slice(0, DEFAULT_MAX_FILES));
    if (files.length === 0 && records.length > 0) {
      throw new FtError(
        "basic-folder",
        `The tracker at "${this.#tools.where()}" speaks the basic protocol, which has no folders. Share a file, too: ft-peer share FOLDER FILE`,
      );
    }
    if (taken.length === 0) {
      throw new FtError(
        "basic-names",
        `The tracker at "${this.#tools.where()}" speaks the basic protocol and takes only names of letters, ".", "_", "-" and spaces; none of ` +
          `the ${plural(left.length, "shared file")} has one. Rename a file, or share another one.`,
      );
    }
    channel.send(basic.records(taken));
    channel.finish();
    return left;
  }

  /** Records for an exact file name. */
  async search(name: FileName): Promise<FileRecord[]> {
    let request: string;
    try {
      request = basic.search(name);
    } catch (error) {
      throw new FtError(
        "basic-name",
        `Cannot ask the tracker for "${printable(name)}": ${sentenceOf(error)}. Give another name.`,
      );
    }
    const channel = await this.#tools.dial(undefined);
    const answer = await this.#ask(channel, request);
    channel.destroy();
    return parseBasicFound(answer, name);
  }

  /** Says BYE. A tracker that is away is not waited for. */
  async leave(): Promise<void> {
    const channel = await this.#tools.dial(undefined).catch(() => undefined);
    if (channel === undefined) return;
    const answered = this.#ask(channel, basic.bye);
    channel.finish();
    await Promise.race([answered, sleep(this.#tools.clock, BYE_MS)]);
    channel.destroy();
  }

  /** Sends one message and gathers the answer until it is whole, the connection ends, or the time is over. */
  #ask(
    channel: Channel,
    request: string,
    { isWhole = () => false, within = REPLY_MS }: { isWhole?: (bytes: Uint8Array) => boolean; within?: number } = {},
  ): Promise<Uint8Array> {
    return new Promise((resolve) => {
      const chunks: Uint8Array[] = [];
      let size = 0;
      let settled = false;
      const settle = () => {
        settled = true;
        cancel();
        resolve(concatBytes(chunks));
      };
      const cancel = this.#tools.clock.after(within, settle);
      channel.start({
        data: (chunk) => {
          if (settled) return;
          chunks.push(chunk);
          size += chunk.length;
          if (size > BASIC_ANSWER_LIMIT || isWhole(concatBytes(chunks))) settle();
        },
        end: settle,
        close: settle,
      });
      channel.send(request);
    });
  }
}

/** The most that an old tracker reads of a list. Bytes. */
const OLD_TRACKER_READS = 1024;

/**
 * Which of these records an old tracker can take. It knows only names of letters, `.`, `_`, `-` and space, and forgets a whole list
 * with another name in it. It refuses types with digits in them, so they become `data`. It reads at most 1024 bytes.
 */
export function forOldTracker(records: FileRecord[]): { taken: FileRecord[]; left: FileRecord[] } {
  const taken: FileRecord[] = [];
  const left: FileRecord[] = [];
  for (const record of records) {
    const plain = { ...record, type: /^[A-Za-z/-]{3,70}$/.test(record.type) ? record.type : "data" };
    const fits = basic.records([...taken, plain]).length <= OLD_TRACKER_READS;
    const known = /^[._A-Za-z -]+$/.test(plain.name) && plain.name.trim() === plain.name && !plain.address.includes(":");
    if (known && fits) taken.push(plain);
    else left.push(record);
  }
  return { taken, left };
}
