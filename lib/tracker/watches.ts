// Keeps what peers watch for, and tells them when a file appears that fits.
//
// A new record is compared only with the watches that it may fit. Each watch lies under its rarest word, or under eight letters of it, and a
// record looks under all groups of one to eight letters in its own name. To compare each record with all watches would be simpler; with
// 80,000 watches it takes 20 ms for each record.

import type { Clock } from "../clock.ts";
import { ProtocolError } from "../error.ts";
import type { Watch } from "../protocol/messages.ts";
import type { Allowance } from "../rate.ts";
import { lineOf } from "./answer-lines.ts";
import type { TrackerReply } from "./connection.ts";
import { endingsOf, type Fit, fitOf } from "./fit.ts";
import type { Seer, SharedFile } from "./shelf.ts";
import { fold, type Word } from "./words.ts";
import type { Host } from "./work/hosts.ts";

/** The most watches of one peer. */
export const MOST_WATCHES = 16;
/** The most records that a peer is told of, those that are offered to it among them. A second. */
export const PUSHES_A_SECOND = 5;
/** Further records come as a number, after this time. Milliseconds. */
const NUMBER_MS = 1_000;
/** The most contents that a watch remembers as told. */
const MOST_TOLD = 500;
/** The most letters in a group. A longer one tells more words apart, and a record has more groups. */
const GROUP = 8;
/** The work of looking at a watch or at one of its words, in compared characters. */
const LOOK = 50;
/** Stands before keys that are no letters of a name. No folded name or word has a capital letter. */
const OTHER = "A ";

/** A peer that watches. */
export interface Watcher {
  readonly id: string;
  readonly seer: Seer;
  readonly pushes: Allowance;
  /** Its host, whose watches share the work of comparing. */
  readonly host: Pick<Host, "comparing">;
  reply(message: TrackerReply): void;
}

/** One watch. */
interface Kept {
  readonly owner: Owner;
  readonly watch: Watch;
  readonly fit: Fit;
  /** Where it lies. */
  readonly keys: string[];
  /**
   * A part of a word that is not its key: names without it do not fit. To look at all words of each watch under a key takes three times as
   * long with 80,000 watches, because their words are far apart in memory.
   */
  readonly also: string;
  /** The contents that its peer was told of, or has heard of as a number. */
  readonly told: Set<string>;
  /** The characters that its words have compared so far. */
  compared: number;
  /** The number of the record that it was looked at for last. */
  looked: number;
}

interface Owner {
  readonly watcher: Watcher;
  readonly watches: Map<string, Kept>;
  /** How many records each watch was not told of. */
  readonly unsaid: Map<string, number>;
  cancel(): void;
}

export class Watches {
  readonly #clock: Clock;
  readonly #sees: (id: string, file: SharedFile) => boolean;
  readonly #owners = new Map<string, Owner>();
  /** The number of records that have appeared. */
  #looked = 0;
  readonly #byKey = new Map<string, Set<Kept>>();

  /** `sees`: whether a record is shown to the peer with this id. */
  constructor(clock: Clock, sees: (id: string, file: SharedFile) => boolean) {
    this.#clock = clock;
    this.#sees = sees;
  }

  /** Adds a watch, or replaces the one with this token; false when the peer has too many. Throws a `ProtocolError`. */
  add(watcher: Watcher, watch: Watch): boolean {
    const fit = fitOf(watch);
    const keys = this.#keysOf(watch, fit.words);
    const owner = this.#owners.get(watcher.id) ?? newOwner(watcher);
    if (!owner.watches.has(watch.watch) && owner.watches.size >= MOST_WATCHES) return false;
    this.remove(watcher.id, watch.watch);
    const kept = {
      owner,
      watch,
      fit,
      keys,
      also: otherNeedle(fit.words, keys),
      told: new Set<string>(),
      compared: 0,
      looked: 0,
    };
    this.#owners.set(watcher.id, owner);
    owner.watches.set(watch.watch, kept);
    for (const key of keys) {
      const there = this.#byKey.get(key);
      if (there === undefined) this.#byKey.set(key, new Set([kept]));
      else there.add(kept);
    }
    return true;
  }

  /** Removes a watch; false when there is none. */
  remove(id: string, token: string): boolean {
    const owner = this.#owners.get(id);
    const kept = owner?.watches.get(token);
    if (owner === undefined || kept === undefined) return false;
    owner.watches.delete(token);
    owner.unsaid.delete(token);
    for (const key of kept.keys) {
      const there = this.#byKey.get(key);
      there?.delete(kept);
      if (there?.size === 0) this.#byKey.delete(key);
    }
    return true;
  }

  /** Removes all watches of a peer that has left. */
  forget(id: string): void {
    const owner = this.#owners.get(id);
    if (owner === undefined) return;
    for (const token of [...owner.watches.keys()]) this.remove(id, token);
    owner.cancel();
    this.#owners.delete(id);
  }

  /** A record is new, or has changed. An FT/2 holder that still computes the content id says the record again with it. */
  appeared(file: SharedFile): void {
    if (this.#byKey.size === 0 || file.part || (file.v2 && file.root === undefined)) return;
    const name = fold(file.name);
    const now = this.#clock.elapsed();
    this.#looked += 1;
    const look = (key: string) => {
      const there = this.#byKey.get(key);
      if (there === undefined) return;
      for (const kept of there) {
        // Some keys come several times: "e" in "letter".
        if (kept.looked === this.#looked) continue;
        kept.looked = this.#looked;
        if (name.includes(kept.also) && isFit(kept, file, name, now)) this.#tell(kept, file);
      }
    };
    eachKeyIn(file, name, look);
  }

  #tell({ owner, watch: { watch }, told }: Kept, file: SharedFile): void {
    const content = file.root ?? `${file.size} ${file.name}`;
    const { watcher, unsaid } = owner;
    if (told.has(content) || file.holder.id === watcher.id || !this.#sees(watcher.id, file)) return;
    const [oldest] = told;
    if (told.size >= MOST_TOLD && oldest !== undefined) told.delete(oldest);
    told.add(content);
    if (unsaid.size === 0 && watcher.pushes.take()) {
      watcher.reply({ verb: "APPEARED", watch, line: lineOf(file, watcher.seer) });
      return;
    }
    if (unsaid.size === 0) owner.cancel = this.#clock.after(NUMBER_MS, () => sayNumbers(owner));
    unsaid.set(watch, (unsaid.get(watch) ?? 0) + 1);
  }

  /** Where a watch lies: under one key that each record that fits has, or under its extensions, of which a record has one. */
  #keysOf({ name, root, ext, type }: Watch, words: Word[]): string[] {
    if (name !== undefined) return [`${OTHER}name ${name}`];
    if (root !== undefined) return [`${OTHER}root ${root}`];
    const groups = words.flatMap(({ excludes, needle }) => (excludes ? [] : groupsOf(needle)));
    const size = (key: string) => this.#byKey.get(key)?.size ?? 0;
    const [first, ...others] = groups;
    if (first !== undefined) return [others.reduce((rarest, key) => (size(key) < size(rarest) ? key : rarest), first)];
    const endings = endingsOf({ ext }) ?? [];
    if (endings.length > 0) return [...new Set(endings.map((ending) => `${OTHER}ending ${ending}`))];
    if (type?.includes("/")) return [`${OTHER}type ${type.slice(0, type.indexOf("/")).toLowerCase()}`];
    throw new ProtocolError("bad-find", "To be told, give a word, an extension or a type such as video/.");
  }
}

/**
 * Whether a watch fits, as far as its host may cause work. Watches can be made to be slow: 480 of one host with `eeee…?x` took a second for
 * each name of many letters e.
 */
function isFit(kept: Kept, file: SharedFile, name: string, now: number): boolean {
  const { comparing } = kept.owner.watcher.host;
  if (!comparing.mayWork(now)) return false;
  const does = kept.fit.isFit(file, name);
  const compared = kept.fit.words.reduce((sum, word) => sum + word.compared, 0);
  comparing.charge(LOOK * (1 + kept.fit.words.length) + compared - kept.compared, now);
  kept.compared = compared;
  return does;
}

function newOwner(watcher: Watcher): Owner {
  return { watcher, watches: new Map(), unsaid: new Map(), cancel: () => {} };
}

/** Tells a peer how many records it was not told of. */
function sayNumbers({ watcher, unsaid }: Owner): void {
  for (const [watch, more] of unsaid) watcher.reply({ verb: "APPEARED", watch, more });
  unsaid.clear();
}

/** The groups of letters of a part of a word, each as a key. A shorter part is one key. */
function groupsOf(needle: string): string[] {
  if (needle === "") return [];
  if (needle.length <= GROUP) return [needle];
  return Array.from({ length: needle.length - GROUP + 1 }, (_, at) => needle.slice(at, at + GROUP));
}

/** The longest part of a word without wildcards in which the key is not; "" when there is none. */
function otherNeedle(words: Word[], [key = ""]: string[]): string {
  const others = words.flatMap(({ excludes, needle }) => (excludes || needle.includes(key) ? [] : [needle]));
  return others.reduce((longest, needle) => (needle.length > longest.length ? needle : longest), "");
}

/** Calls `look` with all keys under which a watch may lie that a record fits. A key may come twice. `name` is folded. */
function eachKeyIn({ name: exact, root, type }: SharedFile, name: string, look: (key: string) => void): void {
  look(`${OTHER}name ${exact}`);
  if (root !== undefined) look(`${OTHER}root ${root}`);
  if (type.includes("/")) look(`${OTHER}type ${type.slice(0, type.indexOf("/")).toLowerCase()}`);
  for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) look(`${OTHER}ending ${name.slice(dot)}`);
  for (let at = 0; at < name.length; at++) {
    for (let end = at + 1; end <= Math.min(at + GROUP, name.length); end++) look(name.slice(at, end));
  }
}
