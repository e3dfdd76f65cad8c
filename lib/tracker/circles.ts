// Keeps the records that are not shown to everybody, and which peers may see them. A circle is the peers that were told one token.

import { contentKeyOf } from "../protocol/folder.ts";
import type { Wish } from "../protocol/messages.ts";
import { eachOf, type Few, putIn, takeFrom } from "./compact/few.ts";
import { type Fitting, fitOf } from "./fit.ts";
import { fold } from "./words.ts";

/** The most tokens that a peer is told. After that it forgets the first one. */
const MOST_TOKENS = 256;

/** A record; with `only` it is shown to its holder and to the circle of that token. */
interface Enclosed extends Fitting {
  readonly only: string | undefined;
  readonly size: number;
  readonly part: boolean | undefined;
  readonly holder: { readonly id: string };
}

/** The records of one answer: those of one content together, or one for each content. */
interface EnclosedFound<File> {
  file: File;
  /** The number of holders that have the whole of it. */
  holders: number;
}

export class Circles<File extends Enclosed> {
  /** The tokens that each peer was told. Most peers were told none. */
  readonly #told = new Map<string, Set<string>>();
  readonly #byToken = new Map<string, Few<File>>();

  /** Adds a record that has a token. Its holder knows that token. */
  add(file: File): void {
    const { only, holder } = file;
    if (only === undefined) return;
    putIn(this.#byToken, only, file);
    this.tell(holder.id, only);
  }

  /** Takes a record out. */
  remove(file: File): void {
    if (file.only !== undefined) takeFrom(this.#byToken, file.only, file);
  }

  /** From now on a peer sees the records with this token. */
  tell(id: string, token: string): void {
    const told = this.#told.get(id) ?? new Set();
    const [first] = told;
    if (told.size >= MOST_TOKENS && first !== undefined && !told.has(token)) told.delete(first);
    this.#told.set(id, told.add(token));
  }

  /** A peer has left. */
  forget(id: string): void {
    this.#told.delete(id);
  }

  /** Whether a peer may see a record. `id`: undefined for everybody who is no FT/2 peer. */
  sees(id: string | undefined, { only, holder }: File): boolean {
    if (only === undefined) return true;
    return id !== undefined && (holder.id === id || this.#told.get(id)?.has(only) === true);
  }

  /** The records of the circles of a peer. */
  seenBy(id: string | undefined): File[] {
    const tokens = id === undefined ? undefined : this.#told.get(id);
    return [...(tokens ?? [])].flatMap((token) => [...eachOf(this.#byToken.get(token))]);
  }

  /** The records with a token that a peer sees, and that fit its words and filters. Throws a `ProtocolError` about words that are no search. */
  find(wish: Wish, id: string | undefined): EnclosedFound<File>[] {
    const seen = this.seenBy(id);
    if (seen.length === 0) return [];
    const { isFit } = fitOf(wish);
    const contents = Map.groupBy(seen, (file) => contentKeyOf(file) ?? file);
    return [...contents.values()].flatMap((files) => {
      const holders = new Set(files.filter(({ part }) => !part).map(({ holder }) => holder.id)).size;
      const found = files.filter((file) => isFit(file, fold(file.name))).sort((a, b) => Number(a.part) - Number(b.part));
      return found.slice(0, wish.group ? 1 : found.length).map((file) => ({ file, holders }));
    });
  }
}
