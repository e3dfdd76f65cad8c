// In which order names have the parts of a word like `the.mp3` or `a*e`, as far as the characters of their tokens tell it.

import { COLUMN_STEP } from "./matrix.ts";
import type { Bits } from "./posting.ts";
import { TOKEN_PLACES, type Units, usual, WORD_COLUMNS } from "./units.ts";
import { isWordUnit, runsOf, type Word } from "./words.ts";

/** Steps of a word, and characters that are looked up for it: more would cost more than they tell. */
const MOST_STEPS = 10;

const MOST_UNITS = 16;

/** A run of letters and digits that a name must have in one of its tokens. */
interface Step {
  /** Those that have a column. */
  columns: number[];
  /** In a token after that of the step before; otherwise it may be the same. */
  apart: boolean;
}

/** What names that fit a word have one after the other. */
interface Order {
  steps: Step[];
  /** A name that takes each step in a token of its own fits. */
  sure: boolean;
  /** Joints that all of them have. */
  joints: Joint[];
  /** Those of which they have one unless one of their tokens fits by itself; none if there is no telling. */
  across: Joint[];
}

/** What a token ends with and the next one begins with. */
export interface Joint {
  last: number;
  first: number;
}

/** The order of a word; undefined when that tells nothing. */
export function orderOf({ text, pieces, singles }: Word): Order | undefined {
  const steps: Step[] = [];
  const joints: Joint[] = [];
  const across: Joint[] = [];
  let units = 0;
  let last = Number.NaN;
  let between = "";
  let separated = false;
  for (const run of text.split(/([*?]+)/).flatMap((part) => (part === "" ? [] : runsOf(part)))) {
    if (!isWordUnit(run.charCodeAt(0))) {
      between += run;
      separated ||= /[^*?]/.test(run);
      continue;
    }
    const apart = steps.length > 0 && !/[*?]/.test(between);
    // One `?` is all there is between two tokens, or stands in one; more may be the end of one and what follows it.
    if (apart || (between === "?" && steps.length > 0)) (apart ? joints : across).push({ last, first: run.charCodeAt(0) });
    const all = Array.from(new Set(run), (one) => usual(one.charCodeAt(0)));
    const columns = all.filter((column) => column >= 0).slice(0, Math.max(0, MOST_UNITS - units));
    units += columns.length;
    steps.push({ columns, apart });
    if (steps.length >= MOST_STEPS) return { steps, sure: false, joints, across: [] };
    last = run.charCodeAt(run.length - 1);
    between = "";
  }
  if (steps.length < 2) return undefined;
  const sure = singles?.every((unit) => usual(unit) >= 0 && usual(unit) < WORD_COLUMNS) === true;
  const within = pieces?.length === 1 && !separated && !/^\?|\?$/.test(text) && steps.length === across.length + 1;
  return { steps, sure, joints, across: within ? across : [] };
}

/**
 * Takes out the slots that cannot have the steps in their order, and moves those that have them for certain to `sure`.
 * `noneAlone`: no slot has a token that fits by itself.
 */
export function keepInOrder(order: Order, units: Units, bits: Bits, sure: Bits, noneAlone: boolean): void {
  const { steps } = order;
  const { inToken } = units;
  const columns = steps.map((step) => Int32Array.from(step.columns, (column) => column * TOKEN_PLACES * COLUMN_STEP));
  const pair = noneAlone && order.sure && steps.length === 2;
  // By the place of a token: the slots that have had all steps so far, the last of them there.
  const had = new Int32Array(TOKEN_PLACES);
  for (let w = 0; w < bits.length; w++) {
    const left = bits[w] ?? 0;
    const page = left === 0 ? undefined : inToken.page(w);
    if (page === undefined) continue;
    const start = inToken.start(w);
    let may = 0;
    for (let i = 0; i < steps.length; i++) {
      const apart = pair || steps[i]?.apart === true;
      const wanted = columns[i] ?? NONE;
      let before = 0;
      may = 0;
      for (let place = 0; place < TOKEN_PLACES; place++) {
        const here = had[place] ?? 0;
        let has = left;
        if (i > 0) {
          has &= apart && place < FURTHER ? before : before | here;
          before |= here;
        }
        const from = start + place * COLUMN_STEP;
        for (let c = 0; c < wanted.length && has !== 0; c++) has &= page[from + (wanted[c] ?? 0)] ?? 0;
        had[place] = has;
        may |= has;
      }
      if (may === 0) break;
    }
    let does = 0;
    for (let i = 0; order.sure && i < steps.length; i++) {
      const column = columns[i]?.[0] ?? 0;
      let before = i === 0 ? left : 0;
      does = 0;
      for (let place = 0; place < TOKEN_PLACES; place++) {
        const has = before & (page[start + place * COLUMN_STEP + column] ?? 0);
        if (i > 0) before |= had[place] ?? 0;
        had[place] = has;
        does |= has;
      }
    }
    sure[w] = (sure[w] ?? 0) | does;
    bits[w] = may & ~does;
  }
}

/** Places from here on may stand for several tokens. */
const FURTHER = TOKEN_PLACES - 2;

const NONE = new Int32Array(0);
