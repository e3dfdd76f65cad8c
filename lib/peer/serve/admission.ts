// Decides which downloaders this peer serves: those with a pass or a guest's ticket that its tracker signed, and FT/1 downloaders that its
// tracker knows.

import type { Clock } from "../../clock.ts";
import { type Address, type Endpoint, hostOf, isLoopback } from "../../protocol/address.ts";
import { isPassProven, type Pass, readKeyedPass, readPass, readTicket } from "../../protocol/pass.ts";
import { Allowance } from "../../rate.ts";
import { isSameHost } from "../online/own-address.ts";
import type { Standing } from "../online/standing.ts";
import type { PassCheck } from "./types.ts";

/** An FT/1 downloader that the tracker knows is served for this long before this peer asks the tracker again. Milliseconds. */
const YES_KEPT_MS = 30_000;
/** An FT/1 downloader that the tracker does not know is refused for this long before this peer asks again. Milliseconds. */
const NO_KEPT_MS = 2_000;
/** The most answers of the tracker that this peer remembers. */
const ANSWERS_KEPT = 1024;
/** The most questions per second to the tracker. It takes 50 requests per second, and most are for this peer's own user. */
const ASKED_PER_S = 5;
/** The most questions to the tracker at once, after a pause. */
const ASKED_AT_ONCE = 20;
/** The most questions per second about one host, which may have several addresses. */
const ASKED_PER_S_OF_HOST = 0.5;
/** The most questions about one host at once, after a pause. */
const ASKED_AT_ONCE_OF_HOST = 4;
/** The most questions without an answer. At this number, this peer refuses an address that it does not know. */
const MOST_PENDING = 8;

/** Why a connection ends when the tracker has revoked its pass. A clause. */
const REVOKED = "the operator of the tracker has disconnected it";
/** Why all connections end when this peer is not in its private room any more. A clause. */
const OUT = "the private room has another key";

/** Ids whose passes are refused. The oldest are forgotten, when their passes have expired. */
const REVOKED_KEPT = 10_000;

interface AdmissionTools {
  /** This peer's standing at its tracker; undefined before it has joined. */
  standing(): Standing | undefined;
  /** Other trackers whose passes are good, and the time in these passes minus the time of this peer's tracker. Seconds. */
  signers?(): { key: string; ahead: number }[];
  /** Asks the tracker whether a peer at this address is online; undefined when it cannot say. */
  askKnown(address: Address): Promise<boolean | undefined>;
  /** Whether an interface of this machine has the address. */
  isOfThisMachine(address: Address): boolean;
  /** The port on which this peer serves. */
  port(): number;
  /** A secret that nobody can guess, of letters, digits, `-` and `_`. */
  nonce(): string;
  clock: Clock;
}

export class Admission {
  readonly #tools: AdmissionTools;
  /** The tracker's answer for each address, and until when that counts. */
  readonly #answers = new Map<Address, { known: boolean; until: number }>();
  readonly #pending = new Map<Address, Promise<boolean>>();
  readonly #questions: Allowance;
  readonly #questionsOf = new Map<string, Allowance>();

  readonly #revoked = new Set<string>();
  /** The private room has another key, which this peer does not know. */
  #isOut = false;
  /** The functions to call when the pass of a peer is revoked. */
  readonly #watchers = new Map<string, Set<(why: string) => void>>();

  constructor(tools: AdmissionTools) {
    this.#tools = tools;
    this.#questions = new Allowance(ASKED_PER_S, ASKED_AT_ONCE, tools.clock);
  }

  /** The tracker has revoked the passes of these peers: refuses them from now on. */
  revoke(ids: string[]): void {
    for (const id of ids) {
      const [oldest] = this.#revoked;
      if (this.#revoked.size >= REVOKED_KEPT && oldest !== undefined) this.#revoked.delete(oldest);
      this.#revoked.add(id);
      for (const act of this.#watchers.get(id) ?? []) act(REVOKED);
    }
  }

  /** The private room has another key, and its members have to show it: until this peer is in again, it serves nobody. */
  shutOut(): void {
    this.#isOut = true;
    for (const watchers of [...this.#watchers.values()]) for (const act of [...watchers]) act(OUT);
  }

  /** This peer is online at its tracker. */
  joined(): void {
    this.#isOut = false;
  }

  /** Calls `act` with the reason when the pass of this peer is not good any more. Gives a function that cancels it. */
  whenRevoked(id: string, act: (why: string) => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(act));
    return () => {
      watchers.delete(act);
      if (watchers.size === 0) this.#watchers.delete(id);
    };
  }

  /**
   * The id of the peer whose pass this is, or why the pass is not good. The time is the tracker's. A pass is overheard easily, so it is
   * good only from its own address; from another one the peer has to prove that it has the key in its keyed pass. In a private room a
   * pass is good only with the certificate that the tracker saw. `fingerprint`: that of the certificate on this connection.
   */
  checkPass(text: string, from: Address, keyedText = "", fingerprint?: string): PassCheck {
    const { isOfThisMachine, nonce } = this.#tools;
    const standing = this.#tools.standing();
    if (standing === undefined || standing.profile === 1) return { refusal: "This peer's tracker gives no passes." };
    if (this.#isOut) return { refusal: "This peer is not in the private room any more." };
    const own = { key: standing.key, ahead: 0 };
    const signers = [own, ...(this.#tools.signers?.() ?? [])];
    const signer = signers.find(({ key }) => readPass(text, key) !== undefined) ?? own;
    const pass = readPass(text, signer.key);
    if (pass === undefined) return { refusal: "The pass is not from this peer's tracker." };
    const now = this.#tools.clock.elapsed() + standing.ahead + signer.ahead * 1000;
    const refusal = this.#whyRefused(pass, now, fingerprint);
    if (refusal !== undefined) return { refusal };
    // Loopback in the pass of another tracker is the machine of that tracker.
    const isHere = signer === own || !isLoopback(pass.address);
    if (isHere && isSameHost(pass.address, from, standing, isOfThisMachine)) return { id: pass.id };
    const keyed = readKeyedPass(keyedText, signer.key);
    if (keyed === undefined || keyed.id !== pass.id || this.#whyRefused(keyed, now, fingerprint) !== undefined) {
      return { refusal: `The pass is for another address than ${from}.` };
    }
    const challenge = { id: keyed.id, nonce: nonce() };
    return {
      ...challenge,
      accepts: (at, proof) => this.#isThisPeer(at, standing) && isPassProven(keyed.key, challenge.nonce, at, proof),
    };
  }

  /** Why a guest's ticket is not good for a content from an address, as a sentence; undefined when it is. */
  refuseTicket(text: string, root: string, from: Address): string | undefined {
    const standing = this.#tools.standing();
    const ticket = standing === undefined ? undefined : readTicket(text, standing.key);
    if (standing?.guests !== true || ticket === undefined) return "This link is not from this computer's tracker.";
    if (this.#isPast(ticket, standing)) return "This link is more than ten minutes old.";
    if (ticket.root !== root) return "This link is for another file.";
    const isSame = isSameHost(ticket.address, from, standing, this.#tools.isOfThisMachine);
    return isSame ? undefined : "This link is for another computer.";
  }

  #isPast({ expires }: { expires: number }, { ahead }: Standing): boolean {
    return expires * 1000 < this.#tools.clock.elapsed() + ahead;
  }

  /** `now`: the time in passes of the tracker that gave it. Milliseconds. */
  #whyRefused(
    { id, expires, ...pass }: Pick<Pass, "id" | "expires" | "fingerprint">,
    now: number,
    fingerprint?: string,
  ): string | undefined {
    if (pass.fingerprint !== fingerprint) return "The pass is for another certificate than that of this connection.";
    if (expires * 1000 < now) return "The pass has expired.";
    return this.#revoked.has(id) ? "The operator of the tracker has disconnected this peer." : undefined;
  }

  /** Whether a record with this address and port is about this peer. A proof for another holder was not made for this one. */
  #isThisPeer({ address, port }: Endpoint, { you, local }: Standing): boolean {
    if (port !== this.#tools.port()) return false;
    return address === you || address === local || isLoopback(address) || this.#tools.isOfThisMachine(address);
  }

  /**
   * Whether an FT/1 downloader, which has no pass, is served. A basic tracker cannot say: then it is. The tracker is asked on the
   * connection that this peer needs for itself, and so few times that a flood of downloaders takes nothing from it.
   */
  async isKnown(from: Address): Promise<boolean> {
    const answer = this.#answers.get(from);
    if (answer !== undefined && answer.until > this.#tools.clock.elapsed()) return answer.known;
    const pending = this.#pending.get(from);
    if (pending !== undefined) return pending;
    if (this.#pending.size >= MOST_PENDING || !this.#mayAsk(hostOf(from))) return false;
    const asking = this.#ask(from).finally(() => this.#pending.delete(from));
    this.#pending.set(from, asking);
    return asking;
  }

  async #ask(from: Address): Promise<boolean> {
    const { standing, askKnown, clock } = this.#tools;
    // The tracker sees a downloader on this machine by the address by which it sees this peer.
    const asked = isLoopback(from) ? (standing()?.you ?? from) : from;
    const known = (await askKnown(asked)) ?? true;
    this.#answers.delete(from);
    keepRoom(this.#answers, ANSWERS_KEPT);
    this.#answers.set(from, { known, until: clock.elapsed() + (known ? YES_KEPT_MS : NO_KEPT_MS) });
    return known;
  }

  #mayAsk(host: string): boolean {
    const known = this.#questionsOf.get(host);
    const own = known ?? new Allowance(ASKED_PER_S_OF_HOST, ASKED_AT_ONCE_OF_HOST, this.#tools.clock);
    if (known === undefined) {
      keepRoom(this.#questionsOf, ANSWERS_KEPT);
      this.#questionsOf.set(host, own);
    }
    return own.left && this.#questions.take() && own.take();
  }
}

/** Takes the oldest entry out of a full map. */
function keepRoom<Key>(map: Map<Key, unknown>, most: number): void {
  const [oldest] = map.keys();
  if (map.size >= most && oldest !== undefined) map.delete(oldest);
}
