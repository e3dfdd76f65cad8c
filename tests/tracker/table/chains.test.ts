// The hash table in columns against a Map, with keys that collide and rows that come and go.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { Chains } from "../../../lib/tracker/table/chains.ts";
import { Doubles, Ints, PAGE, Places } from "../../../lib/tracker/table/columns.ts";

const SEED = 20_261_123;

/** Rows with a key each; so few hashes that keys share buckets. */
function tableOf(keys: Map<number, string>, hashes: number): Chains {
  const hash = (row: number) => (keys.get(row) ?? "").length % hashes;
  return new Chains({ hash, same: (row, other) => keys.get(row) === keys.get(other) });
}

function rowsOf(chains: Chains, keys: Map<number, string>, key: string, hashes: number): number[] {
  const rows: number[] = [];
  const first = chains.first(key.length % hashes, (row) => keys.get(row) === key);
  for (let row = first; row >= 0; row = chains.after(row, first)) rows.push(row);
  return rows;
}

for (const hashes of [1, 3, 1000]) {
  test(`gives the rows of each key in the order in which they came, with ${hashes} hashes`, () => {
    const change = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.string({ maxLength: 5, unit: fc.constantFrom("a", "b") }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 300 }), (changes) => {
        const keys = new Map<number, string>();
        const chains = tableOf(keys, hashes);
        const model = new Map<string, number[]>();
        for (const [row, key] of changes) {
          const old = keys.get(row);
          if (old !== undefined) {
            chains.remove(row);
            keys.delete(row);
            model.set(
              old,
              (model.get(old) ?? []).filter((one) => one !== row),
            );
            if (model.get(old)?.length === 0) model.delete(old);
          } else {
            keys.set(row, key);
            const [first = -1] = model.get(key) ?? [];
            expect(chains.add(row)).toBe(first);
            model.set(key, [...(model.get(key) ?? []), row]);
          }
        }
        expect(chains.count).toBe(model.size);
        for (const [key, rows] of model) expect(rowsOf(chains, keys, key, hashes)).toEqual(rows);
        expect(rowsOf(chains, keys, "no such key", hashes)).toEqual([]);
      }),
      { seed: SEED, numRuns: 200 },
    );
  });
}

test("finds everything among many, while it grows and after most have gone", () => {
  const count = 20_000;
  const chains = new Chains({ hash: (row) => Math.imul(row, 0x9e3779b1), same: (row, other) => row === other });
  const find = (row: number) => chains.first(Math.imul(row, 0x9e3779b1), (other) => other === row);
  for (let row = 0; row < count; row++) chains.add(row);
  for (let row = 0; row < count; row++) if (find(row) !== row) throw new Error(`Row ${row} is lost.`);
  for (let row = 0; row < count; row++) if (row % 10 !== 0) chains.remove(row);
  for (let row = 0; row < count; row++) {
    if (find(row) !== (row % 10 === 0 ? row : -1)) throw new Error(`Row ${row} is not what it should be.`);
  }
  expect(chains.count).toBe(count / 10);
  expect(find(count)).toBe(-1);
});

test("a column is 0 where nothing was set, on every page, and places are given out again", () => {
  const ints = new Ints();
  const doubles = new Doubles();
  ints.set(3 * PAGE + 5, -7);
  doubles.set(2 * PAGE, 0.5);
  ints.set(PAGE, 0);
  expect([ints.get(0), ints.get(PAGE), ints.get(3 * PAGE + 4), ints.get(3 * PAGE + 5), ints.get(9 * PAGE)]).toEqual([
    0, 0, 0, -7, 0,
  ]);
  expect([doubles.get(0), doubles.get(2 * PAGE), doubles.get(7 * PAGE)]).toEqual([0, 0.5, 0]);
  const places = new Places();
  expect([places.take(), places.take(), places.take()]).toEqual([0, 1, 2]);
  places.giveBack(1);
  expect([places.take(), places.take(), places.end]).toEqual([1, 3, 4]);
});
