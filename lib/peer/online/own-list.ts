// Keeps this peer's list at its tracker: sends it, adds the records of parts, and sends all of it again before the pass expires.

import type { Channel } from "../../net/channel.ts";
import { OLD_PASS_LIFETIME_S, PASS_LIFETIME_S } from "../../protocol/numbers.ts";
import { type FileName, type FileRecord, isCounted } from "../../protocol/record.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { oldTracker } from "./offers.ts";
import type { SessionOptions } from "./session-types.ts";
import { aheadOf, type Standing } from "./standing.ts";
import { type Reply, unexpected } from "./tracker-connection.ts";

/** If the time of day jumps by more than this, the machine may have slept. Milliseconds. */
const CLOCK_JUMP_MS = 2_000;

/** The session whose list this is. */
interface ListSession {
  /** Sends a request to the tracker. A refusal is thrown. */
  ask(request: string): Promise<Reply>;
  add(record: FileRecord): Promise<unknown>;
  /** Whether the peer is online on this channel. */
  isUsed(channel: Channel): boolean;
}

export class OwnList {
  readonly #options: Pick<SessionOptions, "records" | "port" | "clock" | "random">;
  readonly #session: ListSession;
  #cancelRenewal = () => {};
  /** The names of the records at the tracker that count. */
  #counted = new Set<FileName>();
  /** The tracker where the list is, once it is there. */
  #at: { channel: Channel; standing: Standing } | undefined;
  /** `#timeOfDayAtZero` when this peer learnt the tracker's time last. */
  #learntAtZero = 0;

  constructor(options: Pick<SessionOptions, "records" | "port" | "clock" | "random">, session: ListSession) {
    this.#options = options;
    this.#session = session;
  }

  /** The records of whole files, with the address that this end of the connection has. */
  on(channel: Channel, standing: Pick<Standing, "offers">): FileRecord[] {
    const list = this.#records(channel, standing).filter(isCounted);
    const isEnclosed = list.length === 0 && this.#records(channel, { offers: true }).some(isCounted);
    if (!isEnclosed) return list;
    throw oldTracker();
  }

  /** Sends the list, up to the tracker's limit, and keeps the new pass. */
  async send(list: FileRecord[], standing: Standing, proof?: string): Promise<Extract<Reply, { verb: "WELCOME" }>> {
    const records = list.slice(0, standing.max);
    const request = encodeToTracker({
      verb: "FILES",
      profile: 2,
      port: this.#options.port,
      records,
      proof,
      guests: standing.guests,
    });
    const reply = await this.#session.ask(request);
    if (reply.verb !== "WELCOME") return unexpected(reply);
    this.#counted = new Set(records.map((record) => record.name));
    const { id, pass, keyed = "", now, name } = reply;
    this.#learntAtZero = this.#timeOfDayAtZero;
    Object.assign(standing, { id, pass, keyed, name, ahead: aheadOf(pass, now, this.#options.clock.elapsed()) });
    standing.lifetime = now === undefined ? OLD_PASS_LIFETIME_S : PASS_LIFETIME_S;
    return reply;
  }

  /**
   * Adds the records of parts, because a list replaces all earlier records. At about half the life of the pass it is renewed: by
   * sending the list again, and then the parts. Peers that joined together renew at different times.
   */
  addParts(channel: Channel, standing: Standing): void {
    this.#at = { channel, standing };
    for (const record of this.#records(channel, standing))
      if (!isCounted(record)) this.#session.add(record).catch(() => undefined);
    const { clock, random } = this.#options;
    this.#cancelRenewal();
    const wait = standing.lifetime * 1000 * (0.4 + 0.2 * random());
    this.#cancelRenewal = clock.after(wait, () => this.#renew(channel, standing));
  }

  /**
   * Whether the tracker takes a record that is to be added now. It disconnects a peer that adds more files than its limit, so a file that
   * was left out of the list stays out when it changes or gets its content id.
   */
  takes(record: FileRecord): boolean {
    if (!isCounted(record)) this.#counted.delete(record.name);
    else if (this.#counted.size >= (this.#at?.standing.max ?? 0) && !this.#counted.has(record.name)) return false;
    else this.#counted.add(record.name);
    return true;
  }

  /** The tracker has dropped a record: a file that was left out takes its place. */
  dropped(name: FileName): void {
    if (!this.#counted.delete(name) || this.#at === undefined) return;
    const { channel, standing } = this.#at;
    if (!this.#session.isUsed(channel)) return;
    for (const record of this.on(channel, standing).slice(0, standing.max))
      if (!this.#counted.has(record.name)) this.#session.add(record).catch(() => undefined);
  }

  /** Sends the list and the parts of now. */
  async sendAgain(channel: Channel, standing: Standing): Promise<void> {
    await this.send(this.on(channel, standing), standing);
    this.addParts(channel, standing);
  }

  /** If this machine slept, `elapsed` may have stood still: the new pass comes with the tracker's time. */
  renewIfClockJumped(channel: Channel, standing: Standing): void {
    if (Math.abs(this.#timeOfDayAtZero - this.#learntAtZero) > CLOCK_JUMP_MS) this.#renew(channel, standing);
  }

  /** The list is not sent again by itself. */
  stop(): void {
    this.#cancelRenewal();
  }

  /** Sends the list again, for a new pass. */
  #renew(channel: Channel, standing: Standing): void {
    // A lost connection is no error here: reconnecting brings a new pass.
    if (this.#session.isUsed(channel)) this.sendAgain(channel, standing).catch(() => undefined);
  }

  /** A tracker that does not know what a token is would show such a record to everybody, so it gets none. */
  #records(channel: Channel, { offers }: Pick<Standing, "offers">): FileRecord[] {
    const records = this.#options.records({ address: channel.local.address, port: this.#options.port });
    return offers ? records : records.filter(({ only }) => only === undefined);
  }

  /** The time of day when `elapsed` was 0. It changes when somebody sets the clock, or the machine sleeps. Milliseconds. */
  get #timeOfDayAtZero(): number {
    return this.#options.clock.at() - this.#options.clock.elapsed();
  }
}
