// In which order words have their characters: no name that fits may be taken out, and what is called sure must fit.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Joint, keepInOrder, orderOf } from "../../../lib/tracker/search/order.ts";
import { eachOf, setBit } from "../../../lib/tracker/search/posting.ts";
import { Units } from "../../../lib/tracker/search/units.ts";
import { fits, parseWords, runsOf, type Word } from "../../../lib/tracker/search/words.ts";

const WORDS = 128;

/** One name alone: what is said of it. */
function said(name: string, text: string): { may: boolean; sure: boolean; joined: boolean; across: boolean } {
  const [word] = parseWords([text]);
  const order = word === undefined ? undefined : orderOf(word);
  if (word === undefined || order === undefined) return { may: true, sure: false, joined: true, across: true };
  const units = new Units();
  units.add(70, name, WORDS);
  const has = ({ last, first }: Joint) => {
    const bits = new Int32Array(WORDS);
    units.addJointTo(last, first, bits);
    units.addExtensionJointTo(last, first, bits);
    return numbersIn(bits).includes(70);
  };
  const bits = new Int32Array(WORDS);
  const sure = new Int32Array(WORDS);
  setBit(bits, 70);
  keepInOrder(order, units, bits, sure, !hasFittingWord(name, word));
  const kept = numbersIn(bits).includes(70);
  const certain = numbersIn(sure).includes(70);
  return {
    may: kept || certain,
    sure: certain,
    joined: order.joints.every(has),
    across: order.across.length === 0 || hasFittingWord(name, word) || order.across.some(has),
  };
}

const hasFittingWord = (name: string, word: Word) => runsOf(name).some((run) => fits(run, word));

function numbersIn(bits: Int32Array): number[] {
  const numbers: number[] = [];
  eachOf(bits, (one) => numbers.push(one));
  return numbers;
}

const UNITS = [..."abe3", "п", "報", ".", ".", "_", " ", "-", "😀"];
const name = fc.string({ unit: fc.constantFrom(...UNITS), minLength: 1, maxLength: 24 });
const cut = fc.tuple(name, fc.nat(20), fc.nat(8));

test("a name that fits a word is never taken out, and one that is called sure fits", () => {
  const wild = fc.array(fc.constantFrom("*", "?", "?", "a", "a", "b", "e", "3", "п", ".", "_"), { minLength: 2, maxLength: 7 });
  fc.assert(
    fc.property(cut, wild, fc.boolean(), ([text, from, length], parts, own) => {
      // A part of the name with wildcards in it, or anything.
      const piece = [...text.slice(from % text.length, (from % text.length) + length + 2)];
      const wildAt = (at: number) => /[*?]/.exec(parts[at % parts.length] ?? "")?.[0];
      const word = own ? piece.map((unit, at) => wildAt(at) ?? unit).join("") : parts.join("");
      const [one] = word.replace(/[^*?]/g, "").length > 8 ? [] : parseWords([word.replace(/^-/, "a")]);
      if (one === undefined) return;
      const fit = fits(text, one);
      const { may, sure, joined, across } = said(text, one.text);
      if (fit) expect({ may, joined, across }).toEqual({ may: true, joined: true, across: true });
      if (sure) expect(fit).toBe(true);
    }),
    { seed: 20_261_126, numRuns: 20_000 },
  );
});

test("a part of a name across its words is never taken out", () => {
  fc.assert(
    fc.property(cut, ([text, from, length]) => {
      const piece = text.slice(from % text.length, (from % text.length) + length + 1).replace(/^-/, "");
      if (piece === "") return;
      const { may, joined } = said(text, piece);
      expect({ may, joined }).toEqual({ may: true, joined: true });
    }),
    { seed: 20_261_127, numRuns: 20_000 },
  );
});

test("a word of very many parts is no trouble", () => {
  const long = "a.b_3-e ".repeat(31);
  for (const word of [long.trim(), long.slice(3, 200), "a*e*b*3*a*e*b*3*a", "e?a?b?3?e?a"]) {
    const [one] = parseWords([word]);
    expect([word, one !== undefined && fits(long, one), said(long, word)]).toMatchObject([
      word,
      true,
      { may: true, joined: true, across: true },
    ]);
  }
  expect(orderOf(parseWords([long.trim()])[0] as Word)?.joints.length).toBeLessThan(10);
});

test("only slots that are asked about are called sure", () => {
  const units = new Units();
  for (const slot of [3, 35, 36]) units.add(slot, "ban x men", WORDS);
  const [word] = parseWords(["a*e"]);
  const order = word === undefined ? undefined : orderOf(word);
  if (order === undefined) throw new Error("no order");
  const [bits, sure] = [new Int32Array(WORDS), new Int32Array(WORDS)];
  setBit(bits, 3);
  setBit(bits, 36);
  keepInOrder(order, units, bits, sure, true);
  expect([numbersIn(sure), numbersIn(bits)]).toEqual([[3, 36], []]);
});

test("names with everything in another order are taken out", () => {
  const names = ["live at the bay.mp3", "mp3 the x.pdf", "the wind.mp3", "the.mp3.old", "a the.mp3"];
  const kept = names.filter((one) => {
    const { may, joined } = said(one, "the.mp3");
    return may && joined;
  });
  expect(kept).toEqual(["the.mp3.old", "a the.mp3"]);
  expect(said("summer day.pdf", "a*e").may).toBe(false);
  expect(said("summer day.pdf", "e*a").sure).toBe(true);
  expect(said("ever on.nap", "a*e").may).toBe(false);
  expect(said("ban x men.pdf", "a*e")).toMatchObject({ may: true, sure: true });
  expect(said("eban x mon.pdf", "a*e").may).toBe(false);
});
