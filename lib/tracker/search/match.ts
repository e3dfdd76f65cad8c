// Which slots of the search index fit the words of a search. Few names are read for it: tokens, which are fewer, tell most.

import { ProtocolError } from "../../error.ts";
import type { Numbers } from "../table/texts.ts";
import { PAGE_WORDS, type Slots } from "./findpage.ts";
import { type Joint, keepInOrder, orderOf } from "./order.ts";
import { type Bits, countOf, keepIn, keepOut, type Posting, unite } from "./posting.ts";
import { type Ending, type Lead, siftEnds, siftPage } from "./scan.ts";
import { isToken, type Tokens, type Where } from "./tokens.ts";
import type { Units } from "./units.ts";
import { isWordUnit, pieceOf, runsOf, type Word } from "./words.ts";

/** Candidates so few that looking at each name is quicker than anything else. */
export const FEW = 2048;

/** Candidates so many that tokens are looked at first. */
const MANY = 32_768;

/** What one search may read of names, in units: about a second's worth. */
const MOST_READ = 256e6;

/** Sets of slots that lie ready. */
const SETS_KEPT = 32;

/** Which slots fit a word: all of them and perhaps more, unless exact. */
interface Fit {
  bits: Bits;
  exact: boolean;
  /** What names must have, at their end or anywhere, and whether those that have it fit. */
  text?: string;
  atEnd?: boolean;
  enough?: boolean;
  /** All slots with a token that fits by itself. */
  single?: Bits;
}

/** Finds slots by words. */
export class Matcher {
  readonly #pages: readonly Slots[];
  readonly #live: Posting;
  readonly #units: Units;
  readonly #tokens: Tokens;
  readonly #exts: Numbers;
  /** Sets of slots that searches have done with, and those that one is at work on: new ones would be much to collect. */
  readonly #idle: Bits[] = [];
  readonly #lent: Bits[] = [];
  /** What the search at work has read of names. */
  #read = 0;

  /** What an index knows: its slots, which of them are taken, and what is in their names. */
  constructor(pages: readonly Slots[], live: Posting, units: Units, tokens: Tokens, exts: Numbers) {
    this.#pages = pages;
    this.#live = live;
    this.#units = units;
    this.#tokens = tokens;
    this.#exts = exts;
  }

  /** All slots that are taken, as a set to use until `rest`. */
  everything(): Bits {
    const bits = this.none();
    this.#live.addTo(bits);
    return bits;
  }

  /** An empty set of slots to use until `rest`. */
  none(): Bits {
    const length = this.#pages.length * PAGE_WORDS;
    const idle = this.#idle.pop();
    const bits = idle?.length === length ? idle.fill(0) : new Int32Array(length);
    this.#lent.push(bits);
    return bits;
  }

  /** The search is over. */
  rest(): void {
    this.#read = 0;
    this.#idle.push(...this.#lent.splice(0));
    this.#idle.length = Math.min(this.#idle.length, SETS_KEPT);
  }

  /**
   * Keeps of a set the slots that fit all words; what is learned of the leading one is put there. Throws a `ProtocolError` when too
   * many names would have to be read.
   */
  keep(bits: Bits, words: Word[], lead: Lead | undefined): void {
    const weighed = words.map((word) => ({ word, weight: word.excludes ? Number.POSITIVE_INFINITY : this.#weight(word) }));
    weighed.sort((a, b) => (a.weight < b.weight ? -1 : a.weight > b.weight ? 1 : 0));
    let few = countOf(bits, FEW) <= FEW;
    for (const { word } of weighed) {
      if (few) {
        this.#sift(bits, word, !word.excludes);
        continue;
      }
      const leads =
        lead !== undefined && !word.excludes && word.pieces === undefined && word.text === lead.text ? lead : undefined;
      const fit = this.#fit(word, leads);
      if (word.excludes) {
        if (!fit.exact) {
          keepIn(fit.bits, bits);
          this.#check(fit.bits, word, fit);
        }
        keepOut(bits, fit.bits);
      } else {
        keepIn(bits, fit.bits);
        if (!fit.exact) this.#check(bits, word, fit);
      }
      few = countOf(bits, FEW) <= FEW;
    }
  }

  /** Takes out the slots whose names do not fit a word, or, if not `wanted`, those that do. */
  #sift(bits: Bits, word: Word, wanted: boolean): void {
    for (const [p, page] of this.#pages.entries()) {
      this.#read += siftPage(page, p * PAGE_WORDS, bits, word, wanted);
      if (this.#read <= MOST_READ) continue;
      throw new ProtocolError("bad-find", "Too many names would have to be read for these words; use longer or fewer ones.");
    }
  }

  /** Takes out the slots whose names do not fit a word. Most need not be read for that. */
  #check(bits: Bits, word: Word, { text, atEnd = false, enough = true, single }: Fit): void {
    const sure = this.none();
    if (single !== undefined) {
      unite(sure, single);
      keepIn(sure, bits);
      keepOut(bits, sure);
    }
    const ending = text === undefined || countOf(bits, FEW) <= FEW ? undefined : this.#ending(text, atEnd, bits);
    if (ending !== undefined) {
      const done = enough ? sure : this.none();
      for (const [p, page] of this.#pages.entries()) siftEnds(page, p * PAGE_WORDS, bits, ending, done);
      if (!enough) unite(bits, done);
    }
    const stemmed = enough && ending?.stems !== undefined;
    if (stemmed) {
      // Where the text's dot is the name's last one, the name is sure already; the others need a dot before the last.
      const dotted = this.none();
      this.#units.addInnerDotTo(dotted);
      keepIn(bits, dotted);
    }
    const order = countOf(bits, FEW) > FEW ? orderOf(word) : undefined;
    if (order !== undefined) {
      for (const joint of order.joints) keepIn(bits, this.#joined([joint], !stemmed));
      if (single !== undefined && order.across.length > 0) keepIn(bits, this.#joined(order.across, true));
      if (countOf(bits, FEW) > FEW) keepInOrder(order, this.#units, bits, sure, single !== undefined);
    }
    this.#sift(bits, word, true);
    unite(bits, sure);
  }

  /** The slots that may have one of these joints, also before the extension if that is meant. */
  #joined(joints: Joint[], extension: boolean): Bits {
    const bits = this.none();
    for (const { last, first } of joints) {
      this.#units.addJointTo(last, first, bits);
      if (extension) this.#units.addExtensionJointTo(last, first, bits);
    }
    return bits;
  }

  /** About how many slots a word leads to. */
  #weight({ text, pieces }: Word): number {
    const longest = (pieces === undefined ? [text] : text.split(/[*?]+/))
      .flatMap((piece) => (piece === "" ? [] : runsOf(piece)))
      .reduce((most, run) => (run.length > most.length ? run : most), "");
    if (longest === "") return this.#live.count;
    if (longest.length === 1 || !isToken(longest)) return this.#units.count(longest.charCodeAt(0));
    return this.#tokens.weight(longest, FEW, this.#live.count);
  }

  #fit(word: Word, lead: Lead | undefined): Fit {
    const { text, pieces, tied } = word;
    if (pieces === undefined) return { ...this.#containing(text, lead), text };
    const fragments = text.split(/[*?]+/).filter((fragment) => fragment !== "");
    const [only = ""] = fragments;
    if (fragments.length === 0) return { bits: this.everything(), exact: !text.includes("?") };
    if (fragments.length === 1 && !text.includes("?")) {
      if (tied === "start" && isWordUnit(only.charCodeAt(0)) && runsOf(only).length === 1) {
        const bits = this.none();
        this.#collect(only, "start", bits, undefined);
        return { bits, exact: true };
      }
      if (tied === "end") return { ...this.#containing(only, undefined), exact: false, text: only, atEnd: true };
    }
    fragments.sort((a, b) => b.length - a.length);
    const { bits } = this.#containing(fragments[0] ?? "", undefined);
    for (const fragment of fragments.slice(1, 4)) keepIn(bits, this.#containing(fragment, undefined).bits);
    if (tied === "end") return { bits, exact: false, text: /[^*?]*$/.exec(text)?.[0] ?? "", atEnd: true, enough: false };
    const inTokens = fragments.every((fragment) => runsOf(fragment).length === 1 && isToken(fragment));
    const count = countOf(bits, Number.POSITIVE_INFINITY);
    if (!inTokens || count <= MANY || this.#tokens.visits(fragments[0] ?? "", "any") > count) return { bits, exact: false };
    for (const piece of pieces.length > 1 ? pieces : []) this.#keepPiece(bits, piece, count);
    return { bits, exact: false, single: this.#within(word, fragments) };
  }

  /** Takes out slots whose names do not have a piece with a `?` inside, if fewer tokens than names must be read for it. */
  #keepPiece(bits: Bits, piece: string, most: number): void {
    const word = pieceOf(piece.replace(/^\?+|\?+$/g, ""));
    const parts = word.text.split(/\?+/).sort((a, b) => b.length - a.length);
    const across = orderOf(word)?.across ?? [];
    if (across.length === 0 || this.#tokens.visits(parts[0] ?? "", "any") > most) return;
    const either = this.#within(word, parts);
    unite(either, this.#joined(across, true));
    keepIn(bits, either);
  }

  /** The slots with a token that fits a word by itself; `parts` is what it must contain, the longest first. */
  #within(word: Word, parts: string[]): Bits {
    const bits = this.none();
    this.#tokens.eachFitting(word, parts, (id) => this.#tokens.addSlotsTo(id, bits));
    return bits;
  }

  /** The slots whose names contain a text, and perhaps others unless exact. */
  #containing(text: string, lead: Lead | undefined): { bits: Bits; exact: boolean } {
    const runs = runsOf(text);
    const bits = this.none();
    const [first = ""] = runs;
    if (runs.length === 1 && (isToken(first) || first.length === 1)) {
      this.#collect(text, "any", bits, lead);
      return { bits, exact: true };
    }
    for (let i = 0; i < runs.length; i++) {
      const run = runs[i] ?? "";
      if (i > 0 && !isToken(run) && this.#units.count(run.charCodeAt(0)) * 2 > this.#live.count) continue;
      const more = i === 0 ? bits : this.none();
      // What stands between words is common: one unit of it tells as much as all.
      const where = i === 0 ? "end" : i === runs.length - 1 ? "start" : "whole";
      if (isToken(run)) this.#collect(run, where, more, undefined);
      else this.#units.addTo(run.charCodeAt(0), more);
      if (i > 0) keepIn(bits, more);
    }
    if (lead !== undefined && isToken(first)) {
      // Where a word begins with it, its first run is a whole one.
      const begins = this.none();
      this.#collect(first, "whole", begins, undefined);
      lead.begins = begins;
      lead.beginsSurely = false;
    }
    return { bits, exact: false };
  }

  /** What the ends of these names tell about whether they have a text, at their end or anywhere; undefined for nothing. */
  #ending(text: string, atEnd: boolean, bits: Bits): Ending | undefined {
    const dot = text.lastIndexOf(".");
    const [stem = "", between, ...more] = runsOf(text);
    const known = isToken(stem) && between === "." && more.length === 1;
    const stemmed = known && this.#tokens.visits(stem, "end") <= countOf(bits, Number.POSITIVE_INFINITY);
    if (!atEnd && dot !== 0 && !stemmed) return undefined;
    const end = text.slice(dot + 1);
    const exts = this.#exts.table((ext) => (dot < 0 ? ext.endsWith(end) : atEnd ? ext === end : ext.startsWith(end)));
    if (dot < 0) return { exts, stems: undefined, others: NO_EXTENSION };
    const others = atEnd ? NOTHING : undefined;
    if (dot === 0) return { exts, stems: undefined, others };
    if (!stemmed) return { exts: NOTHING, stems: undefined, others: exts };
    const stems = new Uint8Array(this.#tokens.end + 1);
    this.#tokens.each(stem, "end", (id) => {
      stems[id + 1] = 1;
    });
    return { exts, stems, others };
  }

  /** Adds the slots with a token that has a text somewhere, at an end, or is it. For one unit at the end it may add more. */
  #collect(text: string, where: Where, bits: Bits, lead: Lead | undefined): void {
    const unit = text.charCodeAt(0);
    const tokens = this.#tokens;
    if (text.length === 1 && where !== "whole") {
      if (where === "start") this.#units.addInitialTo(unit, bits);
      else this.#units.addTo(unit, bits);
      if (lead === undefined) return;
      lead.begins = this.none();
      if (isWordUnit(unit)) this.#units.addInitialTo(unit, lead.begins);
      else this.#units.addTo(unit, lead.begins);
      return;
    }
    if (lead === undefined) {
      tokens.each(text, where, (id) => tokens.addSlotsTo(id, bits));
      return;
    }
    const begins = this.none();
    const marks = new Uint8Array(tokens.end);
    tokens.each(text, where, (id) => {
      const leads = tokens.startsWith(id, text);
      if (leads) marks[id] = 1;
      tokens.addSlotsTo(id, leads ? begins : bits);
    });
    unite(bits, begins);
    lead.begins = begins;
    lead.tokens = marks;
  }
}

/** Tables of extensions: none, and that of names without one. */
const NOTHING = new Uint8Array(0);

const NO_EXTENSION = Uint8Array.of(1);
