// Which downloaders this peer serves: those with a pass that its tracker signed, and FT/1 downloaders that its tracker knows.

import type { Clock } from "../clock.ts";
import { type Address, isLoopback } from "../protocol/address.ts";
import { readPass } from "../protocol/pass.ts";
import { isSameHost } from "./own-address.ts";
import type { Standing } from "./session.ts";

/** An FT/1 downloader that the tracker knows is served for this long before the tracker is asked again. Milliseconds. */
const KNOWN_CACHE_MS = 30_000;

/** Ids whose passes are refused. The oldest are forgotten, when their passes have expired. */
const REVOKED_KEPT = 10_000;

export interface AdmissionTools {
  /** What this peer knows of its tracker; undefined before it has joined. */
  standing(): Standing | undefined;
  /** Asks the tracker whether a peer at this address is online; undefined when it cannot say. */
  askKnown(address: Address): Promise<boolean | undefined>;
  /** Whether an interface of this machine has the address. */
  isOfThisMachine(address: Address): boolean;
  clock: Clock;
}

export class Admission {
  readonly #tools: AdmissionTools;
  /** Addresses that the tracker knows, and until when that counts. */
  readonly #knownUntil = new Map<Address, number>();

  readonly #revoked = new Set<string>();
  /** What is to be done when the pass of a peer is revoked. */
  readonly #watchers = new Map<string, Set<() => void>>();

  constructor(tools: AdmissionTools) {
    this.#tools = tools;
  }

  /** The passes of these peers are refused from now on. */
  revoke(ids: string[]): void {
    for (const id of ids) {
      const [oldest] = this.#revoked;
      if (this.#revoked.size >= REVOKED_KEPT && oldest !== undefined) this.#revoked.delete(oldest);
      this.#revoked.add(id);
      for (const act of this.#watchers.get(id) ?? []) act();
    }
  }

  /** Calls `act` when the pass of this peer is revoked. Gives a function that cancels it. */
  whenRevoked(id: string, act: () => void): () => void {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(act));
    return () => {
      watchers.delete(act);
      if (watchers.size === 0) this.#watchers.delete(id);
    };
  }

  /** The id of the peer whose pass this is, or why the pass is not good from this address. The time is the tracker's. */
  checkPass(text: string, from: Address): { id: string } | { refusal: string } {
    const { clock, isOfThisMachine } = this.#tools;
    const standing = this.#tools.standing();
    if (standing === undefined || standing.profile === 1) return { refusal: "This peer's tracker gives no passes." };
    const pass = readPass(text, standing.key);
    if (pass === undefined) return { refusal: "The pass is not from this peer's tracker." };
    if (pass.expires * 1000 < clock.at() + standing.skew) return { refusal: "The pass has expired." };
    if (this.#revoked.has(pass.id)) return { refusal: "The operator of the tracker has disconnected this peer." };
    if (isSameHost(pass.address, from, standing, isOfThisMachine)) return { id: pass.id };
    return { refusal: `The pass is for another address than ${from}.` };
  }

  /** Whether an FT/1 downloader, which has no pass, is served. A basic tracker cannot say: then it is. */
  async isKnown(from: Address): Promise<boolean> {
    const { clock } = this.#tools;
    if ((this.#knownUntil.get(from) ?? 0) > clock.elapsed()) return true;
    // The tracker sees a downloader on this machine by the address by which it sees this peer.
    const asked = isLoopback(from) ? (this.#tools.standing()?.you ?? from) : from;
    const answer = (await this.#tools.askKnown(asked)) ?? true;
    if (answer) this.#knownUntil.set(from, clock.elapsed() + KNOWN_CACHE_MS);
    return answer;
  }
}
