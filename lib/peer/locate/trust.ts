// Decides whether a peer tells its files to a tracker. It trusts an address that a person typed. A tracker that only announced itself
// could be anybody: it must prove that it has the key of a tracker that was used before, or a person must say yes.

import { UsageError } from "../../error.ts";
import { plainName } from "../../text.ts";
import { type Introduced, type TrackerPlace, UNTRUSTED } from "../online/session-types.ts";
import { describePlace, type KnownTracker, type KnownTrackers, typed } from "./locate.ts";

/** `changed`: a tracker of this name was used before, and this one does not prove that it is that one. */
type Verdict = "trusted" | "new" | "changed";

export function judgeTracker({ place, name, key, proven }: Introduced, known: KnownTracker[]): Verdict {
  if (!place.announced) return "trusted";
  if (proven && place.vouched && place.key === key) return "trusted";
  if (proven && known.some((one) => one.key === key)) return "trusted";
  const names = [name, place.name ?? ""].map(plainName);
  return known.some((one) => one.key !== "" && names.includes(plainName(one.name))) ? "changed" : "new";
}

/** A tracker is not trusted. As an error it tells a script what to do; on a terminal a person is asked. */
export class UntrustedTracker extends UsageError {
  readonly key: string;
  readonly verdict: Exclude<Verdict, "trusted">;
  /** The tracker's name and address. */
  readonly where: string;

  constructor({ place, name, key }: Introduced, verdict: Exclude<Verdict, "trusted">) {
    const where = describePlace({ ...place, name: place.name ?? name });
    const type = `type its address: ft-peer ${typed(place)}`;
    super(
      verdict === "new"
        ? `The tracker ${where} was found on this network, and was never used from here. To give it your files, name them with --share, or ${type}`
        : `The tracker ${where} is not the one of this name that was used before: it does not prove that it is that one. If that is right, ${type}`,
      UNTRUSTED,
    );
    this.key = key;
    this.verdict = verdict;
    this.where = where;
  }
}

/** The trackers that a peer trusts while it runs. It remembers them for the next time. */
export class Trust {
  readonly #memory: Pick<KnownTrackers, "remember">;
  readonly #known: KnownTracker[];
  readonly #consent: boolean;
  /** Keys to which a person has said yes. */
  readonly #agreed = new Set<string>();
  #current: Introduced | undefined;

  /** `consent`: a person has chosen the files for whatever tracker announces itself. */
  constructor(memory: Pick<KnownTrackers, "all" | "remember">, consent: boolean) {
    this.#memory = memory;
    this.#known = memory.all();
    this.#consent = consent;
  }

  /** Whether a tracker at this place has spoken FT/2 before. */
  isFull({ address, port }: Pick<TrackerPlace, "address" | "port">): boolean {
    return this.#known.some((one) => [one.address, one.at].includes(address) && one.port === port);
  }

  /** Throws an `UntrustedTracker` when this peer's files may not be told to the tracker. */
  approve(tracker: Introduced): void {
    const verdict = judgeTracker(tracker, this.#known);
    const isAgreed = this.#agreed.has(tracker.key) || (verdict === "new" && this.#consent);
    if (verdict !== "trusted" && !isAgreed) throw new UntrustedTracker(tracker, verdict);
    this.#current = tracker;
  }

  /** A tracker that has shown the key of a private room needs no other proof. */
  accept(tracker: Introduced): void {
    this.#current = tracker;
  }

  /** A person has said yes to the tracker that was refused. */
  agree({ key }: UntrustedTracker): void {
    this.#agreed.add(key);
  }

  /** The name and the key of the tracker that was approved last. */
  get current(): { name: string; key: string } | undefined {
    return this.#current && { name: this.#current.place.name ?? this.#current.name, key: this.#current.key };
  }

  /** The address at which the tracker that was approved last was reached. */
  get at(): string | undefined {
    return this.#current?.at;
  }

  /** This peer has joined the tracker that was approved last: it is remembered. */
  joined(): void {
    // A tracker that only stands in for the person's own one is not remembered.
    if (this.#current === undefined || this.#current.place.vouched) return;
    const { key, name, place, at } = this.#current;
    const known = { ...place, name, key, at };
    if (!this.#known.some((one) => one.key === key)) this.#known.unshift(known);
    this.#memory.remember(known);
  }
}
