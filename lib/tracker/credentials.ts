// Issues a peer's id, its pass for other peers, and its session for the next connection to the tracker; also the tickets of guests.
// The secret of the sessions lives as long as the tracker.

import { createHmac, type KeyObject, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Channel } from "../net/channel.ts";
import { type Address, isIPv6, isLoopback } from "../protocol/address.ts";
import { PASS_LIFETIME_S } from "../protocol/numbers.ts";
import { PassOffice } from "../protocol/pass.ts";

/** Characters of a session's proof, base64url: 132 bits. */
const PROOF_LENGTH = 22;

export class Credentials extends PassOffice {
  readonly #clock: Clock;
  /** The time of day minus the clock's `elapsed`, when the tracker was started. Milliseconds. */
  readonly #offset: number;
  /** Signs sessions. A program that knew it could take the place of any peer. */
  readonly #secret = randomBytes(32);

  constructor(clock: Clock, key?: KeyObject) {
    super(key);
    this.#clock = clock;
    this.#offset = clock.at() - clock.elapsed();
  }

  /**
   * The time in passes: the time of day when the tracker was started, and the time since then. It does not jump when somebody sets
   * the computer's clock, because then all passes would have expired. Seconds since 1970.
   */
  get now(): number {
    return Math.floor((this.#offset + this.#clock.elapsed()) / 1000);
  }

  newId(): string {
    return randomBytes(8).toString("hex");
  }

  /**
   * A pass for a peer, good for ten minutes. A peer on the tracker's own machine has another address on every network that this machine
   * is on, so its pass says loopback.
   */
  passFor(id: string, channel: Pick<Channel, "remote" | "local" | "secured">): string {
    const { fingerprint } = channel.secured ?? {};
    return this.issue({ id, address: sourceOf(channel), expires: this.now + PASS_LIFETIME_S, fingerprint });
  }

  /** A ticket for a guest of the web page, for a content. Its address is as in a pass. */
  ticketFor(root: string, ends: Pick<Channel, "remote" | "local">): string {
    return this.issueTicket({ address: sourceOf(ends), root, expires: this.now + PASS_LIFETIME_S });
  }

  /** A pass for the peer that has the private half of this key, good for ten minutes from every address; undefined without a key. */
  keyedPassFor(id: string, key: string, { secured }: Channel): string | undefined {
    return this.issueKeyed({ id, key, expires: this.now + PASS_LIFETIME_S, fingerprint: secured?.fingerprint });
  }

  /** A text that nobody can guess, for a peer to sign. */
  newNonce(): string {
    return randomBytes(16).toString("base64url");
  }

  /** The session of a peer on one of its connections: `ID.PROOF`. */
  sessionOf(id: string, connection: number): string {
    const proof = createHmac("sha256", this.#secret).update(`${id} ${connection}`).digest("base64url");
    return `${id}.${proof.slice(0, PROOF_LENGTH)}`;
  }
}

/** The address in a pass: loopback for everything on the tracker's own machine. */
function sourceOf({ remote, local }: Pick<Channel, "remote" | "local">): Address {
  const isHere = remote.address === local.address && !isLoopback(remote.address);
  return isHere ? ((isIPv6(remote.address) ? "::1" : "127.0.0.1") as Address) : remote.address;
}
