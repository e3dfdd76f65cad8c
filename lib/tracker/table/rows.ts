// The tracker's records as rows of numbers and bytes: about 150 bytes each, with their place under their name and their content.

import type { FileName, FileRecord } from "../../protocol/record.ts";
import { Chains } from "./chains.ts";
import { Doubles, Ints, PAGE, Places } from "./columns.ts";
import { hashOf, hashOfBytes, Numbers, Texts } from "./texts.ts";
import { plainTime } from "./time.ts";

const ROOT_BYTES = 32;

/** Behind a row's date, the bits of what it says of itself. */
const V2 = 1 << 16;

const PART = 1 << 17;

const ROOT = 1 << 18;

/** There is an exact time; in a form of its own. */
const TIMED = 1 << 19;

const ODD = 1 << 20;

const NONE = -1;

const NO_ROOTS = new Uint8Array(PAGE * ROOT_BYTES);

/** A record without the endpoint of its holder. */
export type Said = Omit<FileRecord, "address" | "port">;

export class Rows {
  readonly #places = new Places();
  readonly #names = new Texts();
  readonly #types = new Numbers();
  readonly #holder = new Ints();
  /** The next row of the same holder, and one more. */
  readonly #sibling = new Ints();
  readonly #type = new Ints();
  readonly #about = new Ints();
  readonly #size = new Doubles();
  /** Milliseconds since 1970, twice; and one more where they were written down. */
  readonly #time = new Doubles();
  readonly #oddTimes = new Map<number, string>();
  readonly #roots: Uint8Array[] = [];
  readonly #byName: Chains;
  readonly #byContent: Chains;

  constructor() {
    const names = this.#names;
    this.#byName = new Chains({ hash: (row) => names.hash(row), same: (row, other) => names.compare(row, other) === 0 });
    this.#byContent = new Chains({
      hash: (row) => this.#hashOfRoot(row),
      same: (row, other) => this.size(row) === this.size(other) && this.#haveSameRoot(row, other),
    });
  }

  /** Different contents of which the id is known. */
  get contents(): number {
    return this.#byContent.count;
  }

  /** Adds a record of the holder with a number; gives its row, and another row of the same content, or -1. */
  add(record: Said, holder: number): { row: number; twin: number } {
    const row = this.#places.take();
    const { mtime, root } = record;
    this.#names.set(row, record.name);
    this.#type.set(row, this.#types.take(record.type));
    this.#holder.set(row, holder);
    this.#size.set(row, record.size);
    let about = numberOfDate(record.date) | (record.v2 ? V2 : 0) | (record.part ? PART : 0) | (root === undefined ? 0 : ROOT);
    if (mtime !== undefined) {
      const time = numberOfTime(mtime);
      about |= time === undefined ? ODD : TIMED;
      if (time === undefined) this.#oddTimes.set(row, mtime);
      else this.#time.set(row, time);
    }
    this.#about.set(row, about);
    this.#byName.add(row);
    if (root === undefined) return { row, twin: NONE };
    while (row >= this.#roots.length * PAGE) this.#roots.push(new Uint8Array(PAGE * ROOT_BYTES));
    this.#root(row).setFromHex(root);
    return { row, twin: this.#byContent.add(row) };
  }

  /** Takes a record out; its row may be another's from then on. */
  remove(row: number): void {
    this.#byName.remove(row);
    const about = this.#about.get(row);
    if ((about & ROOT) !== 0) this.#byContent.remove(row);
    if ((about & ODD) !== 0) this.#oddTimes.delete(row);
    this.#types.release(this.#type.get(row));
    this.#names.drop(row);
    this.#places.giveBack(row);
  }

  holder(row: number): number {
    return this.#holder.get(row);
  }

  /** The row that was set as the one behind this one in its holder's list; -1 when there is none. */
  sibling(row: number): number {
    return this.#sibling.get(row) - 1;
  }

  setSibling(row: number, next: number): void {
    this.#sibling.set(row, next + 1);
  }

  size(row: number): number {
    return this.#size.get(row);
  }

  /** Whether its holder is still fetching it. */
  isPart(row: number): boolean {
    return (this.#about.get(row) & PART) !== 0;
  }

  name(row: number): FileName {
    return this.#names.get(row) as FileName;
  }

  isNamed(row: number, name: FileName): boolean {
    return this.#names.is(row, name);
  }

  /** What was said of it. */
  said(row: number): Said {
    const about = this.#about.get(row);
    const said: Said = {
      name: this.name(row),
      type: this.#types.text(this.#type.get(row)),
      size: this.size(row),
      date: dateOfNumber(about & 0xffff),
      v2: (about & V2) !== 0,
    };
    if ((about & TIMED) !== 0) said.mtime = timeOfNumber(this.#time.get(row));
    else if ((about & ODD) !== 0) said.mtime = this.#oddTimes.get(row) ?? "";
    if ((about & ROOT) !== 0) said.root = this.#root(row).toHex();
    if ((about & PART) !== 0) said.part = true;
    return said;
  }

  /** The first row of a name, or -1; `afterNamed` gives the others, in the order in which they came. */
  named(name: FileName): number {
    return this.#byName.first(hashOf(name), (row) => this.#names.is(row, name));
  }

  afterNamed(row: number, first: number): number {
    return this.#byName.after(row, first);
  }

  /** All rows of a content, each size of it after the other. */
  *ofRoot(root: string): Generator<number> {
    for (const first of this.#byContent.firsts(hashOfBytes(Uint8Array.fromHex(root)))) {
      if (this.#root(first).toHex() !== root) continue;
      for (let row = first; row >= 0; row = this.#byContent.after(row, first)) yield row;
    }
  }

  #hashOfRoot(row: number): number {
    const roots = this.#roots[Math.floor(row / PAGE)] ?? NO_ROOTS;
    const from = (row % PAGE) * ROOT_BYTES;
    return hashOfBytes(roots, from, from + ROOT_BYTES);
  }

  #haveSameRoot(row: number, other: number): boolean {
    const roots = this.#roots[Math.floor(row / PAGE)] ?? NO_ROOTS;
    const others = this.#roots[Math.floor(other / PAGE)] ?? NO_ROOTS;
    const [from, at] = [(row % PAGE) * ROOT_BYTES, (other % PAGE) * ROOT_BYTES];
    for (let i = 0; i < ROOT_BYTES; i++) if (roots[from + i] !== others[at + i]) return false;
    return true;
  }

  #root(row: number): Uint8Array {
    const from = (row % PAGE) * ROOT_BYTES;
    return (this.#roots[Math.floor(row / PAGE)] ?? NO_ROOTS).subarray(from, from + ROOT_BYTES);
  }
}

/** `DD/MM/YY` in 16 bits. */
function numberOfDate(date: string): number {
  const two = (at: number) => (date.charCodeAt(at) - 48) * 10 + date.charCodeAt(at + 1) - 48;
  return (two(6) * 12 + two(3) - 1) * 31 + two(0) - 1;
}

function dateOfNumber(date: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const months = Math.floor(date / 31);
  return `${two((date % 31) + 1)}/${two((months % 12) + 1)}/${two(Math.floor(months / 12))}`;
}

/** A time in one of the two forms that are usual, with milliseconds or without; undefined for others. */
function numberOfTime(text: string): number | undefined {
  const ms = plainTime(text);
  return ms === undefined ? undefined : ms * 2 + (text.length > 20 ? 1 : 0);
}

function timeOfNumber(number: number): string {
  const fine = number % 2 !== 0;
  const text = new Date(Math.floor(number / 2)).toISOString();
  return fine ? text : `${text.slice(0, 19)}Z`;
}
