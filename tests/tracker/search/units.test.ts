// Which names have a character, and which words begin with it, against the names themselves.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { eachOf } from "../../../lib/tracker/search/posting.ts";
import { Units } from "../../../lib/tracker/search/units.ts";
import { isWordUnit } from "../../../lib/tracker/search/words.ts";
import { PAGE } from "../../../lib/tracker/table/columns.ts";

const SLOTS = 2 * PAGE;
const WORDS = SLOTS / 32;
const ALPHABET = [..."abz059 ._-()~^`", '"', "<", "\u007f", "é", "ß", "п", "結", "😀", "\ud800"];

function slotsOf(add: (bits: Int32Array) => void): number[] {
  const bits = new Int32Array(WORDS);
  add(bits);
  const slots: number[] = [];
  eachOf(bits, (slot) => slots.push(slot));
  return slots;
}

const begins = (name: string, unit: number) =>
  isWordUnit(unit) &&
  Array.from(name.split(""), (one) => one.charCodeAt(0)).some(
    (one, at) => one === unit && (at === 0 || !isWordUnit(name.charCodeAt(at - 1))),
  );

test("knows the names that have a unit, while they come and go", () => {
  const name = fc.string({ unit: fc.constantFrom(...ALPHABET), maxLength: 12 });
  const slot = fc.oneof(fc.nat(40), fc.integer({ min: PAGE - 3, max: PAGE + 3 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(slot, name), { maxLength: 120 }), (changes) => {
      const units = new Units();
      const model = new Map<number, string>();
      for (const [slot, name] of changes) {
        const old = model.get(slot);
        if (old !== undefined) {
          units.remove(slot, old);
          model.delete(slot);
        } else {
          units.add(slot, name, WORDS);
          model.set(slot, name);
        }
      }
      const names = [...model].sort(([a], [b]) => a - b);
      for (const unit of new Set(ALPHABET.flatMap((text) => text.split("").map((one) => one.charCodeAt(0))))) {
        const own = names.filter(([, name]) => name.includes(String.fromCharCode(unit))).map(([slot]) => slot);
        const initial = names.filter(([, name]) => begins(name, unit)).map(([slot]) => slot);
        expect([unit, units.count(unit)]).toEqual([unit, own.length]);
        expect([unit, slotsOf((bits) => units.addTo(unit, bits))]).toEqual([unit, own]);
        const first = names.filter(([, name]) => name.charCodeAt(0) === unit).map(([slot]) => slot);
        let known = false;
        const said = slotsOf((bits) => {
          known = units.addFirstTo(unit, bits);
        });
        if (known) expect([unit, said]).toEqual([unit, first]);
        if (isWordUnit(unit)) expect([unit, slotsOf((bits) => units.addInitialTo(unit, bits))]).toEqual([unit, initial]);
      }
      for (const length of [0, 1, 5, 12]) {
        const long = slotsOf((bits) => units.addLengthTo(length, bits));
        expect(long).toEqual(names.filter(([, name]) => name.length === length).map(([slot]) => slot));
      }
    }),
    { seed: 20_261_125, numRuns: 60 },
  );
});
