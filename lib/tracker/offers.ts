// Keeps what peers offer to others, and tells those to whom it is offered, now and when they join. No byte of a file comes through here.

import type { Clock } from "../clock.ts";
import type { Offer, Page } from "../protocol/messages.ts";
import { escapeValue } from "../protocol/record.ts";
import { lineOf } from "./answer-lines.ts";
import type { Catalog } from "./catalog.ts";
import type { Member, SharedFile } from "./shelf.ts";
import { Account, type Host } from "./work/hosts.ts";

/** The offers that one peer may make, and the most of them that the tracker keeps: after that it forgets the first one. */
export const OFFERS = { perSecond: 20 / 60, burst: 20 };
/** After more offers than a peer may be told at once, it gets their number after this time. Milliseconds. */
const NUMBER_MS = 1_000;
/** The most peers that are told in one turn. Then others have theirs. */
const TOLD_IN_TURN = 200;

/** An offer, and who has heard of it. */
interface Kept extends Offer {
  /** The id of its maker. */
  readonly from: string;
  /** The ids of the receivers; undefined: everybody. */
  readonly ids: Set<string> | undefined;
  /** The ids of the peers that were told of it, or of its number. */
  readonly told: Set<string>;
  /** The ids of those that do not want it. */
  readonly declined: Set<string>;
}

/** Why an offer is not taken. */
type OfferRefusal = "no-such-file" | "too-many-offers";

export class Offers {
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #made = new Map<string, Map<string, Kept>>();
  readonly #allowed = new Map<string, Account>();
  /** How many offers each peer was not told of. */
  readonly #unsaid = new Map<string, number>();
  /** Called when a record can be seen by more peers than before. */
  readonly #shown: (file: SharedFile) => void;

  constructor(catalog: Catalog, clock: Clock, shown: (file: SharedFile) => void) {
    this.#catalog = catalog;
    this.#clock = clock;
    this.#shown = shown;
  }

  /** Makes an offer, or replaces the one of this token. Gives the reason when it is not taken, else the record that is offered. */
  make(from: string, host: Host, offer: Offer): SharedFile | OfferRefusal {
    const file = this.#catalog.wholeOf(from, offer.root);
    if (file === undefined) return "no-such-file";
    const made = this.#made.get(from) ?? new Map<string, Kept>();
    const before = made.get(offer.offer);
    const isSame = before !== undefined && before.root === offer.root && before.say === offer.say;
    if (!isSame && !this.#take(from, host)) return "too-many-offers";
    const ids = offer.to === "all" ? undefined : new Set(offer.to);
    const { told, declined } = isSame ? before : { told: new Set<string>(), declined: new Set<string>() };
    const kept = { ...offer, from, ids, told, declined };
    made.delete(offer.offer);
    const [first] = made.keys();
    if (made.size >= OFFERS.burst && first !== undefined) made.delete(first);
    this.#made.set(from, made.set(offer.offer, kept));
    const receivers = ids === undefined ? this.#catalog.members() : [...ids].flatMap((id) => this.#catalog.member(id) ?? []);
    this.#tellAll(kept, file, receivers[Symbol.iterator]());
    return file;
  }

  /** A peer that was told of an offer does not want it: its maker is told, once. False when there is no such offer. */
  decline(id: string, token: string): boolean {
    for (const made of this.#made.values()) {
      const kept = made.get(token);
      if (kept === undefined || !kept.told.has(id)) continue;
      if (!kept.declined.has(id)) this.#catalog.member(kept.from)?.presence?.push({ verb: "DECLINED", offer: token, id });
      kept.declined.add(id);
      return true;
    }
    return false;
  }

  /** A peer has joined: the tracker tells it of the offers to it. */
  joined(member: Member): void {
    for (const made of this.#made.values()) {
      for (const kept of made.values()) {
        const file = isFor(kept, member.id) ? this.#catalog.wholeOf(kept.from, kept.root) : undefined;
        if (file !== undefined) this.#tell(kept, file, member);
      }
    }
  }

  /** A page of the offers to a peer, as lines. */
  to(member: Member, { offset, limit }: Page): string[] {
    const all = Iterator.from(this.#made.values()).flatMap((made) => made.values());
    return all
      .flatMap((kept) => {
        const file = isFor(kept, member.id) ? this.#catalog.wholeOf(kept.from, kept.root) : undefined;
        return file === undefined ? [] : [offeredLine(kept, file, member)];
      })
      .drop(Math.min(offset, Number.MAX_SAFE_INTEGER))
      .take(limit)
      .toArray();
  }

  /** Forgets the offers of a peer. */
  forget(id: string): void {
    this.#made.delete(id);
  }

  /** A peer has left. When it comes back under its id, it is told again. */
  left(id: string): void {
    this.forget(id);
    this.#allowed.delete(id);
    this.#unsaid.delete(id);
    for (const made of this.#made.values()) for (const { told } of made.values()) told.delete(id);
  }

  #take(from: string, host: Host): boolean {
    const now = this.#clock.elapsed();
    const own = this.#allowed.get(from) ?? new Account(OFFERS);
    this.#allowed.set(from, own);
    return own.mayWork(now) && host.offers.take(now) && own.take(now);
  }

  /** Tells many peers in several turns. */
  #tellAll(kept: Kept, file: SharedFile, receivers: Iterator<Member>): void {
    for (let count = 0; count < TOLD_IN_TURN; count++) {
      const { value: member, done } = receivers.next();
      if (done) return;
      this.#tell(kept, file, member);
    }
    this.#clock.after(0, () => {
      if (this.#made.get(kept.from)?.get(kept.offer) === kept) this.#tellAll(kept, file, receivers);
    });
  }

  #tell(kept: Kept, file: SharedFile, member: Member): void {
    const { id, presence } = member;
    if (id === kept.from || presence?.hearsOffers !== true || kept.told.has(id)) return;
    kept.told.add(id);
    if (file.only !== undefined) {
      this.#catalog.tell(id, file.only);
      this.#shown(file);
    }
    const unsaid = this.#unsaid.get(id) ?? 0;
    if (unsaid === 0 && presence.pushes.take()) {
      presence.push({ verb: "OFFERED", line: offeredLine(kept, file, member) });
      return;
    }
    if (unsaid === 0) this.#clock.after(NUMBER_MS, () => this.#sayNumber(id));
    this.#unsaid.set(id, unsaid + 1);
  }

  #sayNumber(id: string): void {
    const more = this.#unsaid.get(id);
    this.#unsaid.delete(id);
    if (more !== undefined) this.#catalog.member(id)?.presence?.push({ verb: "OFFERED", more });
  }
}

function isFor({ from, ids }: Kept, id: string): boolean {
  return from !== id && (ids === undefined || ids.has(id));
}

/** The record of an offer as its receiver gets it. */
function offeredLine({ offer, say }: Kept, file: SharedFile, { presence }: Member): string {
  const line = presence === undefined ? "" : lineOf(file, presence);
  return `${line.slice(0, -1)};offer=${offer}${say === "" ? "" : `;say=${escapeValue(say)}`}>`;
}
