// The search index's slots in columns, a page at a time: a slot is one folded name of one content, with the records that have it.

import { PAGE } from "../table/columns.ts";
import { TextPage } from "../table/texts.ts";

/** Words of bits for the slots of a page. */
export const PAGE_WORDS = PAGE / 32;

/** A content's score: holders, then seconds since 1970; together with two bits for the rank still an exact number. */
export const SECONDS = 2 ** 33;

const MOST_HOLDERS = 2 ** 18 - 1;

/** In a column: not all records of the slot have the same value. */
export const MIXED = -1;

/** The score of a slot whose content has other slots too. */
export const ELSEWHERE = -1;

/** The records of a slot that has several. */
export interface Held {
  /** In the order in which they came, with what the filters need of each. */
  stamps: Map<number, number>;
  /** How many of them are whole. */
  holders: number;
}

/** What the filters need of a record: the number of its type, its day, and whether it is a part. */
export function stampOf(type: number, day: number, part: number): number {
  return (type * 2 + part) * DAYS + day;
}

const DAYS = 1e8;

export const dayIn = (stamp: number) => stamp % DAYS;

export const typeIn = (stamp: number) => Math.floor(stamp / DAYS / 2);

export const isPartIn = (stamp: number) => Math.floor(stamp / DAYS) % 2 === 1;

/** All records of one content that has several names. */
export interface Whole {
  holders: number;
  /** The newest time it was announced with since it is here, in seconds. */
  newest: number;
  /** By folded name. */
  slots: Map<string, number>;
}

/** The columns of PAGE slots. A slot is one folded name of one content. */
export class Slots {
  readonly names = new TextPage();
  /** The only record; below 0, how many there are. */
  readonly item = new Int32Array(PAGE);
  readonly held = new Map<number, Held>();
  /** Those whose content has several slots. */
  readonly wholes = new Map<number, Whole>();
  readonly score = new Float64Array(PAGE).fill(ELSEWHERE);
  /** The best score of each 32. */
  readonly top = new Float64Array(PAGE_WORDS).fill(ELSEWHERE);
  /** Bits: its content has several slots; it has several records. */
  readonly spread = new Int32Array(PAGE_WORDS);
  readonly many = new Int32Array(PAGE_WORDS);
  readonly size = new Float64Array(PAGE);
  readonly ext = new Int32Array(PAGE);
  readonly type = new Int32Array(PAGE);
  readonly day = new Int32Array(PAGE);
  /** Whether the only record is a part. */
  readonly part = new Uint8Array(PAGE);
  /** The number of the name's first token. */
  readonly first = new Int32Array(PAGE);
  readonly unit = new Uint16Array(PAGE);
  /** The number of the token right before the name's last dot, and one more; 0 if there is none. */
  readonly stem = new Int32Array(PAGE);

  /** Sets the score of a slot; ELSEWHERE when it has none of its own. */
  rate(at: number, score: number): void {
    const { top } = this;
    const w = at >>> 5;
    const old = this.score[at] ?? 0;
    this.score[at] = score;
    if (score >= (top[w] ?? 0)) top[w] = score;
    else if (old === top[w]) top[w] = this.score.subarray(w * 32, w * 32 + 32).reduce((a, b) => Math.max(a, b));
  }
}

/** The place in a page of the lowest bit of its word `w`. */
export function atOf(w: number, bits: number): number {
  return w * 32 + 31 - Math.clz32(bits & -bits);
}

/** How many records a slot has. */
export function countAt({ item }: Slots, at: number): number {
  const only = item[at] ?? 0;
  return only < 0 ? -only : 1;
}

/** How many of them are whole. */
export function holdersAt({ held, part }: Slots, at: number): number {
  return held.get(at)?.holders ?? (part[at] === 1 ? 0 : 1);
}

export function scoreOf(holders: number, seconds: number): number {
  return Math.min(holders, MOST_HOLDERS) * SECONDS + seconds;
}
