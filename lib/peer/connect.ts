// How two peers get a connection: the downloader dials the holder and, where that does not succeed at once, asks to be connected
// to. The network, the tracker and chance are handed in.

import { type Clock, systemClock } from "../clock.ts";
import { FtError, sentenceOf } from "../error.ts";
import type { Channel, Dial } from "../net/channel.ts";
import { type Address, type Endpoint, isHostAddress, isIPv6, isLinkLocal, isLoopback } from "../protocol/address.ts";
import type { CallBack } from "../protocol/messages.ts";
import type { FileRecord } from "../protocol/record.ts";
import { encodeToHolder } from "../protocol/write.ts";
import { Allowance } from "../rate.ts";
import { type Attempt, firstToOpen } from "./happy-eyeballs.ts";

/** A holder that was asked to connect comes within this time. */
const COMING_MS = 5_000;

/** Dialling gets this much of a head start: most firewalls are never noticed. */
const HEAD_START_MS = 300;

/** Connections that others have asked for: a second, at once, and under way. */
const CALLS = 8;

const CALLS_BURST = 32;

const DIALLING = 16;

export interface ConnectTools {
  dial: Dial;
  /** Asks a holder, through the tracker, to connect to this peer; false when the tracker cannot. */
  ask(call: CallBack): Promise<boolean>;
  /** A connection that somebody asked for is there, and is served like any other. */
  serve(channel: Channel): void;
  /** Whether an address that a tracker gives can be meant. */
  isDialable(at: Endpoint): boolean;
  /** This peer's address as its pass has it: good in no other family. */
  you(): Address | undefined;
  /** Why nobody can connect to this peer either, as a clause; "" when somebody can, or it is not known. */
  closed(): string;
  /** A secret that nobody can guess, of letters, digits, `-` and `_`. */
  token(): string;
  clock?: Clock;
}

export class Connector {
  readonly #tools: ConnectTools;
  readonly #clock: Clock;
  readonly #calls: Allowance;
  /** Those who were asked to connect, by the token that they will say. */
  readonly #expected = new Map<string, (channel: Channel) => void>();
  /** Those whose connection is not needed any more; they may be on their way. */
  readonly #late = new Set<string>();
  #dialling = 0;

  constructor(tools: ConnectTools) {
    this.#tools = tools;
    this.#clock = tools.clock ?? systemClock;
    this.#calls = new Allowance(CALLS, CALLS_BURST, this.#clock);
  }

  /** Opens a channel to a record's holder, whichever way is first. Fails with a clause for a person. */
  async open(record: FileRecord, { signal }: { signal?: AbortSignal } = {}): Promise<Channel> {
    const you = this.#tools.you();
    const straight = async (lost: AbortSignal) => {
      const channel = await this.#tools.dial(record, { signal: lost });
      const { address } = channel.local;
      if (you === undefined || !record.v2 || address === you || isLoopback(you) || isLoopback(address)) return channel;
      // On several networks the way there can begin at another address than the one that the pass is for.
      channel.finish();
      throw new FtError("other-address", `this machine reaches it from ${address} and its tracker from ${you}`);
    };
    // FT/1 knows no other way.
    if (!record.v2) return await straight(signal ?? new AbortController().signal);
    const back = (lost: AbortSignal) => this.#comeBack(record, lost);
    const headStartMs = record.unreachable ? 0 : HEAD_START_MS;
    if (you !== undefined && !isLoopback(you) && kindOf(you) !== kindOf(record.address))
      return await this.#fromOtherFamily(back, signal);
    try {
      return await firstToOpen([straight, back], { headStartMs, signal, clock: this.#clock });
    } catch (error) {
      if (!(error instanceof AggregateError)) throw error;
      const [direct, indirect] = error.errors;
      // That the tracker does not know the holder says nothing that the person could use.
      const why = indirect instanceof NotAskedError ? "" : `, and ${sentenceOf(indirect)}`;
      throw new FtError("unreachable", `${sentenceOf(direct)}${why}`, { cause: direct });
    }
  }

  /** Where its pass would not be good this peer need not dial; a holder that has addresses of both kinds can. */
  async #fromOtherFamily(back: Attempt, signal: AbortSignal | undefined): Promise<Channel> {
    try {
      return await firstToOpen([back], { signal, clock: this.#clock });
    } catch (error) {
      if (!(error instanceof AggregateError)) throw error;
      const [reason] = error.errors;
      const why = reason instanceof NotAskedError ? "" : `, and ${sentenceOf(reason)}`;
      const words = `it is online by another kind of address (IPv4, IPv6, link-local) than this peer${why}`;
      throw new FtError("unreachable", words, { cause: reason });
    }
  }

  /** A connection has come that says this token: true when it was asked for, and it is taken over then. */
  arrived(token: string, channel: Channel): boolean {
    if (this.#late.delete(token)) {
      // Another way was first. That is no offence, and nothing to report.
      channel.start({ data: () => undefined });
      channel.finish();
      return true;
    }
    const take = this.#expected.get(token);
    if (take === undefined) return false;
    this.#expected.delete(token);
    take(channel);
    return true;
  }

  /** Somebody asks, through the tracker, to be connected to. */
  async callBack(to: CallBack): Promise<void> {
    if (!isHostAddress(to.address) || !this.#tools.isDialable(to)) return;
    if (this.#dialling >= DIALLING || !this.#calls.take()) return;
    this.#dialling += 1;
    try {
      const channel = await this.#tools.dial(to);
      channel.send(encodeToHolder({ verb: "HELLO", pass: "", token: to.token }));
      this.#tools.serve(channel);
    } catch {
      // The one who asked notices that nobody comes.
    } finally {
      this.#dialling -= 1;
    }
  }

  /** Waits for a holder that was asked to connect. */
  #comeBack({ address, port }: FileRecord, lost: AbortSignal): Promise<Channel> {
    const token = this.#tools.token();
    return new Promise((resolve, reject) => {
      const end = (act: () => void) => {
        cancel();
        this.#expected.delete(token);
        act();
      };
      const cancel = this.#clock.after(COMING_MS, () => {
        const closed = this.#tools.closed();
        const why = closed === "" ? "" : `, because ${closed}`;
        end(() => reject(new FtError("did-not-come", `it did not come when it was asked to connect back${why}`)));
      });
      this.#expected.set(token, (channel) => {
        cancel();
        resolve(channel);
      });
      lost.addEventListener("abort", () => {
        if (this.#expected.has(token)) {
          this.#late.add(token);
          this.#clock.after(COMING_MS, () => this.#late.delete(token));
        }
        end(() => reject(new NotAskedError()));
      });
      this.#tools.ask({ address, port, token }).then(
        (asked) => {
          if (!asked) end(() => reject(new NotAskedError()));
        },
        () => end(() => reject(new NotAskedError())),
      );
    });
  }
}

/** From an address of one kind nobody connects to one of another. */
function kindOf(address: Address): string {
  return !isIPv6(address) ? "IPv4" : isLinkLocal(address) ? "link-local" : "IPv6";
}

/** The tracker could not be asked, or does not know the holder. */
class NotAskedError extends FtError {
  constructor() {
    super("not-asked", "the tracker cannot ask it to connect back");
  }
}
