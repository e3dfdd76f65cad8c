// Knows the other trackers of this peer's group: where the peer goes when its own tracker is away, and the way back.

import type { Clock } from "../../clock.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { GroupTracker } from "../../protocol/group.ts";
import type { TrackerPlace } from "./session-types.ts";

/** A tracker that is away for this long is replaced by another one of its group. Milliseconds. */
const GONE_MS = 5_000;
/** Peers that lose one tracker go to others within this further time, not all at once. Milliseconds. */
const SPREAD_MS = 1_500;
/** Peers that are asked to go back to their tracker do so within this time, not all at once. Milliseconds. */
const HOMEWARD_MS = 5_000;

interface GroupTools {
  clock: Clock;
  /** From 0 to 1. */
  random(): number;
  /** Whether this peer can dial an address that a tracker gives. */
  isDialable(at: Endpoint): boolean;
}

export class TrackerGroup {
  readonly #tools: GroupTools;
  #name: string | undefined;
  /** The tracker that this peer joined first. */
  #home: (TrackerPlace & { key: string }) | undefined;
  /** The tracker that this peer has joined last. */
  #current: (TrackerPlace & { key: string }) | undefined;
  #others: GroupTracker[] = [];
  #lostAt: number | undefined;
  #cancel = () => {};

  constructor(tools: GroupTools) {
    this.#tools = tools;
  }

  /** The group's name; undefined when this peer's tracker is in none. */
  get name(): string | undefined {
    return this.#name;
  }

  /** The tracker that this peer has joined last. */
  get current(): TrackerPlace | undefined {
    return this.#current;
  }

  /** The way back to this peer's own tracker; undefined when it is there. */
  get home(): (TrackerPlace & { key: string }) | undefined {
    return this.#home?.key === this.#current?.key ? undefined : this.#home;
  }

  /** The key of this peer's own tracker, for another tracker that it dials. */
  homeFor({ key }: TrackerPlace): string | undefined {
    return this.#home === undefined || key === undefined || key === this.#home.key ? undefined : this.#home.key;
  }

  /** The other trackers whose passes are good, and the time in these passes minus the time of this peer's tracker. Seconds. */
  get signers(): { key: string; ahead: number }[] {
    return (this.#name === undefined ? [] : this.#others).flatMap(({ key, ahead }) =>
      ahead === undefined ? [] : [{ key, ahead }],
    );
  }

  /** This peer has joined a tracker of this group. */
  joined(place: TrackerPlace, key: string, name: string | undefined): void {
    this.#cancel();
    this.#lostAt = undefined;
    this.#current = { ...place, key };
    // A tracker of another group, or of none, was chosen by the person, or has taken this one's place.
    if (this.#home === undefined || name === undefined || name !== this.#name) this.#home = this.#current;
    // It may have moved.
    if (key === this.#home.key) this.#home = this.#current;
    this.#name = name;
  }

  /** The tracker tells which others are in its group. */
  heard(trackers: GroupTracker[]): void {
    this.#others = trackers;
  }

  /** The tracker is away. Calls `act` when it is time to go elsewhere, if there is a group. */
  lost(act: () => void): void {
    const { clock, random } = this.#tools;
    this.#lostAt = clock.elapsed();
    if (this.#name === undefined) return;
    this.#cancel();
    this.#cancel = clock.after(GONE_MS + SPREAD_MS * random(), act);
  }

  /** Calls `act` after a moment, because the tracker has asked this peer to go back. */
  sentHome(act: () => void): void {
    const { clock, random } = this.#tools;
    if (this.home === undefined) return;
    this.#cancel();
    this.#cancel = clock.after(HOMEWARD_MS * random(), act);
  }

  /**
   * Where this peer may go now: nowhere while its tracker may be back soon. Its own tracker comes first if the group was told to have it,
   * the others in any order. This peer tries these places now, so it is not told again that it is time.
   */
  takeElsewhere(): TrackerPlace[] {
    if (!this.isGone) return [];
    this.#cancel();
    const { home } = this;
    const ranked = this.#others.flatMap((one) => {
      const place = one.key === home?.key ? home : this.#placeOf(one);
      return place === undefined ? [] : [{ place, rank: place === home ? 0 : 1 + this.#tools.random() }];
    });
    if (home !== undefined && !ranked.some(({ place }) => place === home)) ranked.push({ place: home, rank: 3 });
    ranked.sort((a, b) => a.rank - b.rank);
    return ranked.map(({ place }) => place).filter(({ key }) => key !== this.#current?.key);
  }

  /** The tracker is away for so long that this peer may go to another one of its group. */
  get isGone(): boolean {
    const { clock } = this.#tools;
    return this.#name !== undefined && this.#lostAt !== undefined && clock.elapsed() - this.#lostAt >= GONE_MS;
  }

  /** Whether a tracker that announces itself is in the group, with another key than this peer's tracker. */
  isOther({ group, key }: TrackerPlace): boolean {
    return this.#name !== undefined && group === this.#name && key !== undefined && key !== this.#current?.key;
  }

  stop(): void {
    this.#cancel();
  }

  /** This peer's tracker has told the key: the tracker there must prove that it has it. */
  #placeOf({ key, at }: GroupTracker): TrackerPlace | undefined {
    const [first, ...others] = at.filter((one) => this.#tools.isDialable(one));
    if (first === undefined) return undefined;
    // The places of one tracker may have different ports only where it moved: the first one counts.
    const same = others.filter(({ port }) => port === first.port).map(({ address }) => address);
    return { address: first.address, port: first.port, others: same, key, announced: true, vouched: true, full: true };
  }
}
