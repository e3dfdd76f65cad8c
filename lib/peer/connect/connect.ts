// Connects a downloader to a holder: dials it and, if that takes long, asks it through the tracker to connect back. The caller hands in
// the network, the tracker and chance.

import type { Clock } from "../../clock.ts";
import { FtError, sentenceOf } from "../../error.ts";
import type { Channel, Dial } from "../../net/channel.ts";
import { type Address, type Endpoint, isHostAddress, isIPv6, isLinkLocal, isLoopback } from "../../protocol/address.ts";
import type { CallBack } from "../../protocol/messages.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { encodeToHolder } from "../../protocol/write.ts";
import { CallBackLimits } from "./call-backs.ts";
import { firstToOpen } from "./happy-eyeballs.ts";

/** A holder that was asked to connect back does so within this time. Milliseconds. */
const CALL_BACK_MS = 5_000;
/** Dialling has this time to succeed before the holder is asked to connect back. Milliseconds. */
const DIAL_ALONE_MS = 300;
interface ConnectTools {
  dial: Dial;
  /** Asks a holder, through the tracker, to connect to this peer; false when the tracker cannot. */
  ask(call: CallBack, id: string | undefined): Promise<boolean>;
  /** Serves a connection that another peer asked for, like any other. */
  serve(channel: Channel): void;
  /** Whether an address that a tracker gives can be dialled. */
  isDialable(at: Endpoint): boolean;
  /** Whether this peer may connect back there. The tracker may be asked. */
  mayCallBack(to: Endpoint): Promise<boolean>;
  /**
   * This peer's own end of its connection to the tracker: the pass is good from there. Where an address is translated on the way, the
   * pass names another one, but the holder sees that one too. Undefined when the pass is good from every address.
   */
  local(): Address | undefined;
  /** Why other peers cannot connect to this one either, as a clause; "" when they can, or when it is not known. */
  closed(): string;
  /** A secret that nobody can guess, of letters, digits, `-` and `_`. */
  token(): string;
  clock: Clock;
}

/** Opens connections to holders, and connects back to peers that ask for it. */
export class Connector {
  readonly #tools: ConnectTools;
  readonly #clock: Clock;
  readonly #limits: CallBackLimits;
  /** Holders that were asked to connect back, by the token with which they will say HELLO. */
  readonly #expected = new Map<string, (channel: Channel) => void>();
  /** Tokens of holders whose connection is not needed any more, but may still come. */
  readonly #late = new Set<string>();

  constructor(tools: ConnectTools) {
    this.#tools = tools;
    this.#clock = tools.clock;
    this.#limits = new CallBackLimits(this.#clock);
  }

  /** Connects to a record's holder in the way that is faster. Fails with a clause for a person. */
  async open(record: FileRecord, { signal }: { signal?: AbortSignal } = {}): Promise<Channel> {
    const local = this.#tools.local();
    const straight = async (lost: AbortSignal) => {
      const channel = checked(await this.#tools.dial(record, { signal: lost }), record);
      const { address } = channel.local;
      if (local === undefined || !record.v2 || address === local || isLoopback(address)) return channel;
      // A machine on several networks may reach the holder from another address than the one in its pass.
      channel.finish();
      throw new FtError("other-address", `this machine reaches it from ${address} and its tracker from ${local}`);
    };
    // An FT/1 holder cannot connect back.
    if (!record.v2) return await straight(signal ?? new AbortController().signal);
    const back = (lost: AbortSignal) => this.#askBack(record, lost);
    // A pass is for one kind of address, so this peer does not dial another kind. A holder that has both kinds can connect back.
    const sameKind = local === undefined || addressKind(local) === addressKind(record.address);
    const headStartMs = record.unreachable ? 0 : DIAL_ALONE_MS;
    // Several peers behind one router have this address and port: dialling reaches any of them, so the holder is asked by its id.
    const isAlone = record.peer === undefined;
    const ways = isAlone && sameKind ? [straight, back] : [back];
    try {
      return await firstToOpen(ways, { headStartMs, signal, clock: this.#clock });
    } catch (error) {
      if (!(error instanceof AggregateError)) throw error;
      const [first] = error.errors;
      const otherKind = "it is online by another kind of address (IPv4, IPv6, link-local) than this peer";
      const direct = !isAlone
        ? "several peers behind one router have this address and port"
        : sameKind
          ? sentenceOf(first)
          : otherKind;
      // A person gets the reason of the failed dial, because "the tracker does not know the holder" would not help.
      const indirect = error.errors.at(-1);
      const why = indirect instanceof NotAskedError ? "" : `, and ${sentenceOf(indirect)}`;
      throw new FtError("unreachable", `${direct}${why}`, { cause: first });
    }
  }

  /** A connection said HELLO with this token. True when this peer asked for the connection: then it is taken over. */
  arrived(token: string, channel: Channel): boolean {
    if (this.#late.delete(token)) {
      // Dialling was faster. The holder did nothing wrong.
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

  /** Another peer asks, through the tracker, that this one connect back to it. */
  async callBack(to: CallBack): Promise<void> {
    if (!isHostAddress(to.address) || !this.#tools.isDialable(to) || !this.#limits.begin(to.address)) return;
    try {
      if (!(await this.#tools.mayCallBack(to))) return;
      const channel = checked(await this.#tools.dial(to), to);
      channel.send(encodeToHolder({ verb: "HELLO", pass: "", token: to.token }));
      this.#tools.serve(channel);
    } catch {
      // The other peer notices that no connection comes.
    } finally {
      this.#limits.end(to.address);
    }
  }

  /** A peer at this address has shown a good pass. */
  proven(address: Address): void {
    this.#limits.proven(address);
  }

  /** Asks a holder to connect back, and waits for its connection. */
  #askBack(record: FileRecord, lost: AbortSignal): Promise<Channel> {
    const { address, port, peer } = record;
    const token = this.#tools.token();
    const coming = Promise.withResolvers<Channel>();
    const cannotAsk = () => coming.reject(new NotAskedError());
    const cancel = this.#clock.after(CALL_BACK_MS, () => {
      const closed = this.#tools.closed();
      const why = closed === "" ? "" : `, because ${closed}`;
      coming.reject(new FtError("did-not-come", `it did not come when it was asked to connect back${why}`));
    });
    this.#expected.set(token, (channel) => {
      try {
        coming.resolve(checked(channel, record));
      } catch (error) {
        coming.reject(error);
      }
    });
    lost.addEventListener("abort", () => {
      if (this.#expected.has(token)) {
        this.#late.add(token);
        this.#clock.after(CALL_BACK_MS, () => this.#late.delete(token));
      }
      cannotAsk();
    });
    this.#tools.ask({ address, port, token }, peer).then((asked) => asked || cannotAsk(), cannotAsk);
    return coming.promise.finally(() => {
      cancel();
      this.#expected.delete(token);
    });
  }
}

/**
 * Gives a connection back if the other side has the certificate that the tracker saw, or if neither has any. Otherwise closes it before
 * a byte is sent, and throws a clause.
 */
function checked(channel: Channel, { fingerprint }: { fingerprint?: string | undefined }): Channel {
  if (channel.secured?.fingerprint === fingerprint) return channel;
  channel.destroy();
  throw new FtError("other-certificate", "another program than the peer that the tracker knows answers there");
}

/** The kind of an address; a connection has addresses of one kind at both ends. */
function addressKind(address: Address): string {
  return !isIPv6(address) ? "IPv4" : isLinkLocal(address) ? "link-local" : "IPv6";
}

/** The tracker could not be asked, or does not know the holder. */
class NotAskedError extends FtError {
  constructor() {
    super("not-asked", "the tracker cannot ask it to connect back");
  }
}
