// The search index against a naive model, hostile queries, complete paging, and churn.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/error.ts";
import type { Wish } from "../../lib/protocol/messages.ts";
import { find } from "../../lib/tracker/find.ts";
import { type Findable, FindIndex } from "../../lib/tracker/find-index.ts";
import { fold } from "../../lib/tracker/words.ts";
import { type Content, Finder, type Item, toEnd } from "../helpers/finder.ts";

interface Shared extends Findable<Shared> {}

const SEED = 20_261_122;

const base: Wish = { words: [], offset: 0, limit: 1000, group: false };

function record(name: string, more: Partial<Item> = {}): Item {
  return { name, type: "data", size: 1, modified: "2024-05-06", root: undefined, part: false, ...more };
}

function indexOf(records: Item[]): Finder {
  const index = new Finder();
  for (const one of records) index.add(one);
  return index;
}

function namesFor(words: string[], names: string[]): string[] {
  const { contents } = indexOf(names.map((name) => record(name))).find({ ...base, words });
  return contents.flatMap(({ items }) => items.map(({ name }) => name));
}

const isLetter = (text: string | undefined) => text !== undefined && /[\p{L}\p{N}]/u.test(text);

/** A word as a regular expression, for names without exotic punctuation. */
function patternOf(word: string): RegExp {
  const wild = /[*?]/;
  const body = [...word]
    .map((one) => (one === "*" ? "[^]*" : one === "?" ? "[^]" : one.replace(/[\\^$.|+()[\]{}/]/g, "\\$&")))
    .join("");
  const opens = wild.test(word[0] ?? "");
  const closes = wild.test(word.at(-1) ?? "");
  if (opens && !closes) return new RegExp(`${body}$`, "u");
  if (closes && !opens) return new RegExp(isLetter(word[0]) ? `(?<![\\p{L}\\p{N}])${body}` : body, "u");
  return new RegExp(body, "u");
}

function rankOf(name: string, words: string[]): number {
  const [lead] = words;
  if (lead === undefined) return 0;
  if (name === words.join(" ")) return 3;
  if (name.startsWith(lead)) return 2;
  for (let at = name.indexOf(lead); at >= 0; at = name.indexOf(lead, at + 1)) {
    if (!isLetter(name[at - 1]) || !isLetter(name[at])) return 1;
  }
  return 0;
}

const folded = new WeakMap<Item, string>();

/** The folded name of an item, which takes long to make. */
function foldedOf(item: Item): string {
  const name = folded.get(item) ?? fold(item.name);
  folded.set(item, name);
  return name;
}

/** A content as the model finds it. */
interface Expected {
  level: string;
  holders: number;
  items: Set<Item>;
  wholes: number;
}

/** What the index says it does, done the long way. */
class Model {
  readonly items: Item[] = [];
  readonly newest = new Map<string, number>();
  /** Records of each content, and those of them that are whole. */
  readonly #records = new Map<string, number>();
  readonly #holders = new Map<string, number>();
  readonly #keys = new Map<Item, string>();

  keyOf(item: Item): string {
    const key = this.#keys.get(item) ?? (item.root === undefined ? `#${this.#keys.size}` : `${item.root} ${item.size}`);
    this.#keys.set(item, key);
    return key;
  }

  add(item: Item): void {
    this.items.push(item);
    const key = this.keyOf(item);
    this.#count(item, 1);
    this.newest.set(key, Math.max(this.newest.get(key) ?? 0, Math.floor(Date.parse(item.modified) / 1000)));
  }

  remove(item: Item): void {
    this.items.splice(this.items.indexOf(item), 1);
    this.#count(item, -1);
    if (this.#records.get(this.keyOf(item)) === 0) this.newest.delete(this.keyOf(item));
  }

  #count(item: Item, by: number): void {
    const key = this.keyOf(item);
    this.#records.set(key, (this.#records.get(key) ?? 0) + by);
    if (!item.part) this.#holders.set(key, (this.#holders.get(key) ?? 0) + by);
  }

  /** The records that fit. */
  fitting({ words, ext, type, min, max, after, before, root }: Wish): Item[] {
    const patterns = words.map((raw) => {
      const excludes = raw.length > 1 && raw.startsWith("-");
      return { excludes, pattern: patternOf(fold(excludes ? raw.slice(1) : raw)) };
    });
    return this.items.filter((item) => {
      const name = foldedOf(item);
      const day = item.modified.slice(0, 10);
      return (
        patterns.every(({ excludes, pattern }) => pattern.test(name) !== excludes) &&
        (ext === undefined || ext.some((one) => name.endsWith(`.${one}`))) &&
        item.type.startsWith(type?.toLowerCase() ?? "") &&
        item.size >= (min ?? 0) &&
        item.size <= (max ?? Number.POSITIVE_INFINITY) &&
        day >= (after ?? "") &&
        day <= (before ?? "9") &&
        (root === undefined || item.root === root)
      );
    });
  }

  /** Contents in order; what makes them equal in rank is in `level`. */
  find(wish: Wish): Expected[] {
    const lead = wish.words
      .filter((word) => !(word.length > 1 && word.startsWith("-")))
      .map(fold)
      .map((word) => /^\*+([^*?]+)\*+$/.exec(word)?.[1] ?? word)
      .filter((word) => word !== "" && !/[*?]/.test(word));
    const groups = new Map<string, Item[]>();
    for (const item of this.fitting(wish)) {
      const key = this.keyOf(item);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
    const contents = [...groups].map(([key, items]) => {
      const best = items
        .map((item) => ({ name: foldedOf(item), rank: rankOf(foldedOf(item), lead) }))
        .sort((a, b) => b.rank - a.rank || (a.name < b.name ? -1 : 1))[0];
      const holders = this.#holders.get(key) ?? 0;
      const newest = this.newest.get(key) ?? 0;
      const { rank, name } = best ?? { rank: 0, name: "" };
      const verified = items[0]?.root === undefined ? 0 : 1;
      return { rank, verified, name, holders, newest, items: new Set(items), wholes: items.filter(({ part }) => !part).length };
    });
    contents.sort(
      (a, b) =>
        b.rank - a.rank ||
        b.verified - a.verified ||
        b.holders - a.holders ||
        b.newest - a.newest ||
        (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
    );
    return contents.map(({ rank, verified, name, holders, newest, items, wholes }) => ({
      level: JSON.stringify([rank, verified, holders, newest, name]),
      holders,
      items,
      wholes,
    }));
  }
}

const STEMS = [
  "report",
  "Rapport",
  "a",
  "mp3",
  "2024",
  "été",
  "ESSEN",
  "straße",
  "отчёт",
  "報告",
  "한글",
  "x",
  "re",
  "port",
  "reporting",
  "😀",
];
const name = fc
  .array(fc.constantFrom(...STEMS), { minLength: 1, maxLength: 3 })
  .chain((stems) => fc.tuple(fc.constant(stems), fc.constantFrom(" ", "_", "-", "", ".")))
  .chain(([stems, separator]) => fc.constantFrom("", ".pdf", ".mp3", ".tar.gz").map((end) => stems.join(separator) + end));
const findable: fc.Arbitrary<Item> = fc.record({
  name,
  type: fc.constantFrom("audio/mpeg", "video/mp4", "data"),
  size: fc.constantFrom(1, 2, 3),
  modified: fc.constantFrom("2024-05-06", "2024-05-07T10:00:00Z", "2025-01-01T00:00:00.500Z", "2023-12-31"),
  root: fc.constantFrom(undefined, "a".repeat(64), "b".repeat(64), "c".repeat(64)),
  part: fc.boolean(),
});
const plainWord = fc.constantFrom(
  "e",
  "r",
  "re",
  "rep",
  "report",
  "port",
  "mp3",
  ".mp3",
  "2024",
  "20",
  "ete",
  "SS",
  "strasse",
  "от",
  "報",
  "한",
  ".",
  "a",
  "rt.p",
  "t-",
  "-x",
  "-report",
  "t_r",
  "zz",
  "😀",
  "-.pdf",
  "a b",
);
const wildWord = fc
  .array(fc.constantFrom("*", "?", "re", "r", "t", ".", "pdf", "a", "報", "2", "😀"), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join(""))
  .filter((word) => word.replace(/[^*?]/g, "").length <= 8);
const day = fc.constantFrom("2023-12-31", "2024-05-06", "2024-05-07", "2025-01-01");
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined, freq: 5 });
const wishes: fc.Arbitrary<Wish> = fc
  .record({
    words: fc.array(fc.oneof(plainWord, plainWord, wildWord), { maxLength: 3 }),
    ext: maybe(fc.subarray(["pdf", "mp3", "gz", "tar.gz"], { minLength: 1 })),
    type: maybe(fc.constantFrom("audio/", "video/mp4", "d")),
    min: maybe(fc.constantFrom(1, 2, 3)),
    max: maybe(fc.constantFrom(1, 2, 3)),
    after: maybe(day),
    before: maybe(day),
    root: maybe(fc.constantFrom("a".repeat(64), "b".repeat(64))),
    group: fc.boolean(),
  })
  .map((wish) => {
    const given = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
    return { ...given, words: wish.words, group: wish.group, offset: 0, limit: 1_000_000 };
  });

/** Compares with the model: the order as far as it is defined, each content's records, whole ones first, and the total. */
function compare(index: Finder, model: Model, wish: Wish): void {
  const expected = model.find(wish);
  const { contents, total } = index.find(wish);
  const levelOf = new Map(expected.flatMap((one) => [...one.items].map((item) => [item, one] as const)));
  const found = contents.map((content) => ({ content, one: content.items[0] && levelOf.get(content.items[0]) }));
  expect(found.map(({ one }) => one?.level)).toEqual(expected.map(({ level }) => level));
  expect(new Set(found.map(({ one }) => one)).size).toBe(expected.length);
  for (const { content, one } of found) {
    expect(content.holders).toBe(one?.holders ?? -1);
    if (wish.group) expect(content.items.length).toBeGreaterThanOrEqual(1);
    else expect(new Set(content.items)).toEqual(one?.items ?? new Set());
    const wholes = content.items.filter(({ part }) => !part).length;
    expect(content.items.slice(0, wholes).every(({ part }) => !part)).toBe(true);
    if (one !== undefined && one.wholes > 0) expect(content.items[0]?.part).toBe(false);
  }
  expect(total).toBe(wish.group ? expected.length : expected.reduce((sum, { items }) => sum + items.size, 0));
}

/** The first pages alone: what is as good as something else may stand in its place. */
function comparePages(index: Finder, expected: Expected[], wish: Wish): void {
  const levels = expected.flatMap(({ level, items }) => (wish.group ? [level] : Array.from(items, () => level)));
  const levelOf = new Map(expected.flatMap(({ level, items }) => Array.from(items, (item) => [item, level] as const)));
  for (const offset of [0, 25]) {
    const { contents, total } = index.find({ ...wish, offset, limit: 40 });
    const shown = contents.flatMap(({ items }) => (wish.group ? items.slice(0, 1) : items));
    expect(shown.map((item) => levelOf.get(item))).toEqual(levels.slice(offset, offset + 40));
    expect(total).toBe(levels.length);
  }
}

test("finds what a naive search finds, in the same order, while records come and go", () => {
  fc.assert(
    fc.property(
      fc.array(findable, { maxLength: 40 }),
      fc.array(fc.nat(1000), { maxLength: 40 }),
      fc.array(wishes, { minLength: 1, maxLength: 6 }),
      (records, leaving, asked) => {
        const index = new Finder();
        const model = new Model();
        for (const one of records) {
          index.add(one);
          model.add(one);
        }
        for (const wish of asked) compare(index, model, wish);
        for (const at of leaving) {
          const one = model.items[at % Math.max(1, model.items.length)];
          if (one === undefined) break;
          index.remove(one);
          model.remove(one);
          if (at % 3 === 0) {
            const again = { ...one };
            index.add(again);
            model.add(again);
          }
        }
        for (const wish of asked) compare(index, model, wish);
      },
    ),
    { seed: SEED, numRuns: 300 },
  );
});

/** Repeatable numbers below `n`. */
function dice(): (n: number) => number {
  let state = SEED;
  return (n) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function manyRecords(count: number, roll: (n: number) => number): Item[] {
  return Array.from({ length: count }, () => {
    const stems = Array.from({ length: 1 + roll(3) }, () => STEMS[roll(STEMS.length)] ?? "");
    const end = [".pdf", ".mp3", "", ".tar.gz"][roll(4)] ?? "";
    return record(`${stems.join([" ", "_", "-"][roll(3)])}${roll(3) === 0 ? ` ${roll(5000)}` : ""}${end}`, {
      type: roll(2) === 0 ? "audio/mpeg" : "video/mp4",
      size: roll(3),
      modified: new Date(1.6e12 + roll(2e5) * 1e6).toISOString(),
      root: roll(3) === 0 ? undefined : `${roll(count / 4)}`.padStart(64, "0"),
      part: roll(10) === 0,
    });
  });
}

const MANY_WISHES: Partial<Wish>[] = [
  ...[
    "e",
    "mp3",
    "re",
    "report",
    "20",
    "4",
    "2024",
    ".mp3",
    ".",
    "t_r",
    "*.pdf",
    "report*",
    "re*t",
    "*a?",
    "???*",
    "20?4",
    "報",
    "r",
    "report.pdf",
    "e*t",
    "t*e",
    "r*2*4",
  ].map((word) => ({ words: [word] })),
  { words: ["report", "-mp3"] },
  { words: ["-e", "-.pdf"] },
  { words: ["e", "2", "*.mp3"] },
  { words: ["e", "a"] },
  { words: ["x", "-r"] },
  { words: ["-2", "p", "report"] },
  { words: ["e", "-e"] },
  { words: ["2", "0"] },
  { words: ["5", "."] },
  { words: [], type: "AUDIO/" },
  { words: [], min: 1, max: 1 },
  { words: [], after: "2022-06-30" },
  { words: ["report"], before: "2022-06-30", min: 2 },
  { words: [], ext: ["pdf"] },
  { words: ["e"], type: "audio/", after: "2021-01-01", before: "2024-12-31" },
  { words: [] },
];

test("finds the same among many records, also after most of them were replaced", () => {
  const roll = dice();
  const index = new Finder();
  // More contents than a search puts in exact order, and several blocks.
  let records = manyRecords(3400, roll);
  const model = new Model();
  for (const one of records) {
    index.add(one);
    model.add(one);
  }
  for (const round of [0, 1]) {
    for (const partial of MANY_WISHES) {
      const expected = model.find({ ...base, ...partial });
      const fitting = expected.flatMap(({ items }) => [...items]);
      for (const group of [false, true]) {
        const wish = { ...base, limit: 1_000_000, group, ...partial };
        const { contents, total } = index.find(wish);
        const shown = contents.flatMap(({ items }) => items);
        expect(new Set(shown).size).toBe(shown.length);
        const wanted = new Set<unknown>(group ? fitting.map((one) => model.keyOf(one)) : fitting);
        const got = new Set<unknown>(group ? shown.map((one) => model.keyOf(one)) : shown);
        expect([got.size, [...got].filter((one) => !wanted.has(one))]).toEqual([wanted.size, []]);
        expect(total).toBe(wanted.size);
        // A page at the beginning is found by another way than everything.
        comparePages(index, expected, wish);
      }
    }
    if (round === 0) {
      const gone = records.slice(0, 2400);
      for (const one of gone) {
        index.remove(one);
        model.remove(one);
      }
      const come = manyRecords(2400, roll);
      for (const one of come) {
        index.add(one);
        model.add(one);
      }
      records = [...records.slice(2400), ...come];
    }
  }
  for (const one of records) index.remove(one);
  expect(index.find({ ...base, words: [] })).toEqual({ contents: [], total: 0 });
});

test("finds what fits among many names of few letters, also where others took their places", () => {
  const roll = dice();
  const letters = (most: number) => Array.from({ length: 1 + roll(most) }, () => "abde20"[roll(6)]).join("");
  const names = Array.from({ length: 6_000 }, () => {
    const separator = [" ", "_", "-", ".", " - "][roll(5)];
    const words = Array.from({ length: 1 + roll(6) }, () => letters(5));
    return `${words.join(separator)}${["", ".bed", ".ab", ".be.d", ".a b2", ".beda"][roll(6)]}`;
  });
  const index = new Finder();
  const items = names.map((name) => record(name));
  for (const item of items) index.add(item);
  // Others take the places of some.
  const later = names.filter((_, at) => at % 10 === 0).map((name) => name.replace(/\.(?=bed$)/, "_."));
  for (const [at, item] of items.entries()) if (at % 5 === 0) index.remove(item);
  for (const name of later) index.add(record(name));
  const kept = [...names.filter((_, at) => at % 5 !== 0), ...later];
  const words = ["a.b", "a.bed", "b.ab", "d.b", "a_b", "a - b", "2.be.d", "a.a b2", "e_", "_e", ".b", "a.", "ab.be", "0-2"];
  words.push(
    "a*e",
    "e*a",
    "a*e*d",
    "2*0",
    "a?e",
    "2?0",
    "a??e",
    "a?b*e",
    "d?e?a",
    "a?*e",
    "?a?e",
    "a?e?",
    "?a?e?",
    "?e",
    "?a.b",
    "a??.bed",
    "a*?e*b",
    "*a.bed",
    "*b",
  );
  words.push(
    "*.be.d",
    "a*.bed",
    "ab*d",
    "*a*.ab",
    "b?d.a*b",
    "a.b*d",
    "*a?e",
    "a?e*",
    "a*_*e",
    "*e*a",
    "*a*e.bed",
    "*?.b*.d",
    "a - b*2",
  );
  for (const word of words) {
    for (const other of [[], ["-a.b"], ["d"]]) {
      const patterns = [word, ...other.filter((one) => !one.startsWith("-"))].map(patternOf);
      const not = other.filter((one) => one.startsWith("-")).map((one) => patternOf(one.slice(1)));
      const fitting = kept.filter((name) => patterns.every((one) => one.test(name)) && !not.some((one) => one.test(name)));
      const { contents, total } = index.find({ ...base, words: [word, ...other], limit: 40 });
      expect([word, other, total]).toEqual([word, other, fitting.length]);
      const lead = [word, ...other].filter((one) => !one.startsWith("-") && !/[*?]/.test(one));
      const ranks = fitting.map((name) => rankOf(name, lead)).sort((a, b) => b - a);
      const shown = contents.flatMap((one) => one.items.map(({ name }) => rankOf(name, lead)));
      expect([word, other, shown]).toEqual([word, other, ranks.slice(0, shown.length)]);
    }
  }
});

test("a word may be longer than it was typed, among however many names", () => {
  // One unit of three bytes that is compared as four of three each.
  const company = "㍿".repeat(22);
  const index = indexOf(Array.from({ length: 3000 }, (_, at) => record(`${company}xa${at}b`)));
  expect(index.find({ ...base, words: [`${company}?a*b`], limit: 1 }).total).toBe(3000);
});

test("pages are complete, without repetition, and the order of the first ones is exact", () => {
  const roll = dice();
  const index = indexOf(manyRecords(4000, roll));
  for (const words of [["e"], [], ["report"], ["mp3", "-2024"]]) {
    for (const group of [false, true]) {
      const whole = index.find({ ...base, words, group, limit: 1_000_000 });
      const all = whole.contents.flatMap(({ items }) => items);
      for (const limit of [997, 3001]) {
        const pages: Item[] = [];
        for (let offset = 0; offset < whole.total; offset += limit) {
          const { contents, total } = index.find({ ...base, words, group, offset, limit });
          const items = contents.flatMap((content: Content) => content.items);
          expect(total).toBe(whole.total);
          expect(items.length).toBe(Math.min(limit, total - offset));
          pages.push(...items);
        }
        expect(pages.length).toBe(all.length);
        expect(pages.every((item, i) => item === all[i])).toBe(true);
      }
    }
  }
});

test("a page that ends inside a content goes on with the rest of it", () => {
  const root = "d".repeat(64);
  const records = Array.from({ length: 7 }, (_, i) => record("same.iso", { root, part: i % 3 === 0 }));
  const index = indexOf([...records, record("same.iso")]);
  const pages = [0, 3, 6].map((offset) => index.find({ ...base, words: ["same"], offset, limit: 3 }));
  expect(pages.map(({ total }) => total)).toEqual([8, 8, 8]);
  expect(pages.flatMap(({ contents }) => contents.map(({ items }) => items.length))).toEqual([3, 3, 1, 1]);
  const items = pages.flatMap(({ contents }) => contents.flatMap((content) => content.items));
  expect(items.slice(0, 7).map(({ part }) => part)).toEqual([false, false, false, false, true, true, true]);
  expect(new Set(items).size).toBe(8);
});

test("an exact name comes before one that begins with it, a word that does, and others; then holders, newness, name", () => {
  const root = "e".repeat(64);
  const index = indexOf([
    record("unreport"),
    record("my report"),
    record("report b"),
    record("report a"),
    record("report new", { modified: "2025-01-01" }),
    record("report popular", { root }),
    record("report popular", { root }),
    record("Report"),
  ]);
  const { contents, total } = index.find({ ...base, words: ["REPORT"] });
  expect(contents.map(({ items, holders }) => `${items[0]?.name} ${holders}`)).toEqual([
    "Report 1",
    "report popular 2",
    "report new 1",
    "report a 1",
    "report b 1",
    "my report 1",
    "unreport 1",
  ]);
  expect(total).toBe(8);
});

test("hosts count, not peers, and a content without an id comes after all that have one", () => {
  const [honest = "", invented = ""] = ["a", "b"].map((digit) => digit.repeat(64));
  const index = new Finder();
  for (let i = 0; i < 6; i++) index.add(record("film.mkv", { root: invented }), "10.0.0.66");
  for (const host of ["10.0.0.1", "10.0.0.2"]) index.add(record("film.mkv", { root: honest }), host);
  for (let i = 0; i < 9; i++) index.add(record("film.mkv", { modified: "2025-01-01" }), "10.0.0.67");
  const order = () => index.find({ ...base, words: ["film"], group: true }).contents.map(({ items }) => items[0]?.root);
  expect(order()).toEqual([honest, invented, ...Array(9).fill(undefined)]);
  for (const host of ["10.0.0.68", "10.0.0.69", "10.0.0.70"]) index.add(record("film.mkv", { root: invented }), host);
  expect(order().slice(0, 2)).toEqual([invented, honest]);
});

test("a date in the future is not the newest, but a clock that is fast by some hours counts as new", () => {
  const now = Date.UTC(2026, 10, 22, 12);
  const index = new Finder(() => now);
  const [future = "", fast = "", today = "", old = ""] = ["a", "b", "c", "d"].map((digit) => digit.repeat(64));
  index.add(record("a", { root: future, modified: "9999-12-31T23:59:59Z" }));
  index.add(record("b", { root: old, modified: "2020-01-01T00:00:00Z" }));
  index.add(record("c", { root: today, modified: "2026-11-22T11:00:00Z" }));
  index.add(record("d", { root: fast, modified: "2026-11-23T11:00:00Z" }));
  expect(index.find(base).contents.map(({ items }) => items[0]?.root)).toEqual([fast, today, old, future]);
});

test("a word of one letter goes by the same order, also where it begins words only inside names, or none", () => {
  const names = ["b", "x b", "_b x", "bc", "ab", "1b", "xb~", "b{", "b b", "a{b", "éb"];
  for (const words of [["b"], ["b", "x"], ["x", "b"], ["{"], ["~"], ["é"], ["1", "b"], ["b", "-x"], ["-b"], ["b?", "b"]]) {
    const model = new Model();
    for (const one of names) model.add(record(one));
    const index = indexOf(model.items);
    compare(index, model, { ...base, words });
    compare(index, model, { ...base, words, group: true });
  }
});

test("filters look at each record of a content, and at what came or went since the last search", () => {
  const root = "f".repeat(64);
  const song = record("song.mp3", { root, type: "audio/mpeg", modified: "2024-05-06T23:59:59Z" });
  const film = record("film.mp4", { root, type: "Video/MP4", modified: "2025-01-01T00:00:00Z" });
  const old = record("film.mp4", { root, type: "Video/MP4", modified: "2019-12-31" });
  const other = record("other", { size: 7 });
  const index = indexOf([song, film, old, other]);
  const found = (more: Partial<Wish>) => {
    const { contents, total } = index.find({ ...base, ...more });
    const items = contents.flatMap((content) => content.items);
    expect(total).toBe(items.length);
    return new Set(items);
  };
  expect(found({ type: "video/" })).toEqual(new Set([film, old]));
  expect(found({ type: "video/", after: "2020-01-01" })).toEqual(new Set([film]));
  expect(found({ after: "2024-05-06", before: "2024-05-06", max: 1 })).toEqual(new Set([song]));
  expect(found({ min: 7, max: 7 })).toEqual(new Set([other]));
  expect(index.find({ ...base, after: "2019-01-01", group: true }).total).toBe(2);
  index.remove(film);
  const newer = record("film.mp4", { root, type: "video/mp4", modified: "2021-02-03" });
  index.add(newer);
  expect(found({ type: "video/", after: "2020-01-01" })).toEqual(new Set([newer]));
  index.remove(other);
  expect(found({ min: 7 })).toEqual(new Set());
});

test("one content under several names is one, with all its holders", () => {
  const root = "f".repeat(64);
  const index = indexOf([
    record("holiday.mp4", { root }),
    record("Urlaub.mp4", { root }),
    record("holiday.mp4", { root, size: 2 }),
  ]);
  const { contents, total } = index.find({ ...base, words: ["urlaub"], group: true });
  expect([total, contents[0]?.items.length, contents[0]?.holders]).toEqual([1, 1, 2]);
  // It is shown under the name that fits best.
  expect(contents[0]?.items[0]?.name).toBe("Urlaub.mp4");
  expect(index.find({ ...base, words: ["mp4"], group: true }).total).toBe(2);
  expect(index.find({ ...base, words: ["mp4"] }).total).toBe(3);
});

test("case, accents and forms of letters do not matter", () => {
  expect(namesFor(["resume"], ["Résumé.pdf", "RE\u0301SUME\u0301.PDF", "other"]).length).toBe(2);
  expect(namesFor(["STRASSE"], ["Große Straße", "strasse"]).length).toBe(2);
  expect(namesFor(["οδοσ"], ["ΟΔΟΣ", "οδος"]).length).toBe(2);
  expect(namesFor(["отчет"], ["Отчёт 2024"]).length).toBe(1);
  expect(namesFor(["한글".normalize("NFD")], ["내 한글 파일"]).length).toBe(1);
  expect(namesFor(["報"], ["結果報告.pdf"]).length).toBe(1);
  expect(namesFor(["ABC１２"], ["abc12"]).length).toBe(1);
});

test("wildcards tie down the other end of a word", () => {
  const names = ["report.pdf", "report.pdf.zip", "my-report", "unreport", "axxb", "ab", "b a"];
  expect(namesFor(["*.pdf"], names)).toEqual(["report.pdf"]);
  expect(namesFor(["report*"], names).sort()).toEqual(["my-report", "report.pdf", "report.pdf.zip"]);
  expect(namesFor(["a*b"], names).sort()).toEqual(["ab", "axxb"]);
  expect(namesFor(["a??b"], names)).toEqual(["axxb"]);
  expect(namesFor(["*nrep*"], names)).toEqual(["unreport"]);
  expect(namesFor(["?.pdf"], names)).toEqual(["report.pdf"]);
  expect(namesFor(["a?b"], ["a😀b", "a😀😀b"])).toEqual(["a😀b"]);
  expect(namesFor(["*"], names).length).toBe(names.length);
  expect(namesFor(["-*"], names)).toEqual([]);
});

test("what asks for too much is refused with a reason", () => {
  const index = indexOf([record("a")]);
  const refused = (words: string[]) => {
    try {
      index.find({ ...base, words });
    } catch (error) {
      return error instanceof ProtocolError ? error.code : "other";
    }
    return "answered";
  };
  expect(refused(Array.from({ length: 17 }, () => "a"))).toBe("bad-find");
  expect(refused(Array.from({ length: 16 }, () => "a"))).toBe("answered");
  expect(refused(["*a*a*a*a*"])).toBe("answered");
  expect(refused(["?????????"])).toBe("bad-find");
  expect(refused(["é".repeat(128)])).toBe("bad-find");
  expect(refused(["é".repeat(127)])).toBe("answered");
  expect(refused(["", "-", "\u0301", "\0", "\ud800", "*".repeat(8)])).toBe("answered");
});

test("words for which almost all names must be read are answered one by one, and refused when they are many", () => {
  const index = indexOf(Array.from({ length: 2500 }, (_, at) => record(`${"a".repeat(240)}${at}`)));
  // Each name is compared from each of its letters on, up to the word's last letter.
  const words = [..."bcdefghijklmnopq"].map((last) => `-${"a?".repeat(7)}${last}`);
  expect(index.find({ ...base, words: words.slice(0, 1), limit: 1 }).total).toBe(2500);
  const error = (() => {
    try {
      index.find({ ...base, words });
    } catch (error) {
      return error;
    }
  })();
  expect(error).toBeInstanceOf(ProtocolError);
  expect(error).toMatchObject({ code: "bad-find", message: expect.stringContaining("Too many names") });
  // What it had read does not count for the next one.
  expect(index.find({ ...base, words: words.slice(0, 2), limit: 1 }).total).toBe(2500);
});

test("strange words, filters and records are answered, not followed", () => {
  const strange = [
    "(",
    "[a-z]+",
    "\\",
    "__proto__",
    "constructor",
    "\0",
    "\ud800",
    "\u{1f600}",
    " ",
    "--",
    "a".repeat(255),
    "ﷺ".repeat(85),
  ];
  const index = indexOf(strange.map((name) => record(name, { modified: "never", type: name, size: Number.MAX_SAFE_INTEGER })));
  for (const word of strange.filter((one) => one !== "--")) {
    expect(index.find({ ...base, words: [word] }).contents.flatMap(({ items }) => items.map(({ name }) => name))).toContain(
      word,
    );
  }
  expect(index.find({ ...base, words: [], limit: 0 })).toEqual({ contents: [], total: strange.length });
  expect(index.find({ ...base, words: [], offset: Number.MAX_SAFE_INTEGER, limit: 5 })).toEqual({
    contents: [],
    total: strange.length,
  });
  expect(index.find({ ...base, words: [], ext: [], type: "", min: 5, max: 1 }).total).toBe(0);
});

test("an extension may have a dot in it, and an empty one fits nothing", () => {
  const index = indexOf(["home.tar.gz", "home.gz", "tar.gz", "hometar.gz", "HOME.TAR.GZ", "home."].map((name) => record(name)));
  const found = (...ext: string[]) =>
    index
      .find({ ...base, words: [], ext })
      .contents.flatMap(({ items }) => items.map(({ name }) => name))
      .toSorted();
  expect(found("tar.gz")).toEqual(["HOME.TAR.GZ", "home.tar.gz"]);
  expect(found("Tar.GZ", "odt")).toEqual(["HOME.TAR.GZ", "home.tar.gz"]);
  expect(found("gz")).toHaveLength(5);
  expect(found("")).toEqual([]);
});

test("a record that is there counts once, and one that is not cannot be taken out", () => {
  const root = "a".repeat(64);
  for (const one of [record("x"), record("x", { root })]) {
    const index = indexOf([one, one]);
    index.remove({ ...one });
    expect(index.find({ ...base, words: ["x"] }).total).toBe(1);
    index.remove(one);
    index.remove(one);
    expect(index.find({ ...base, words: ["x"] }).total).toBe(0);
    expect(index.find(base).total).toBe(0);
  }
});

test("a wildcard word made to be slow is answered", () => {
  const index = indexOf(Array.from({ length: 3000 }, (_, i) => record(`${"a".repeat(240)}${i}`)));
  expect(index.find({ ...base, words: Array.from({ length: 16 }, () => `${"a?".repeat(4)}${"a*".repeat(4)}b`) }).total).toBe(0);
  expect(index.find({ ...base, words: [`*${"?a".repeat(7)}b`] }).total).toBe(0);
});

test("find finds each record that stays once while others come and go between two steps", () => {
  const index = new FindIndex<Shared>(
    ({ name }) => name,
    () => Number.POSITIVE_INFINITY,
  );
  const all = Array.from(
    { length: 6000 },
    (_, at): Shared => ({ name: `file ${at}`, type: "data", size: 1, modified: "2024-05-06" }),
  );
  for (const one of all) index.add(one);
  const steps = find(index, { ...base, words: ["file"], limit: 10_000 });
  let gone = 0;
  for (;;) {
    const { done, value } = steps.next();
    if (done) {
      const items = value.contents.flatMap((content) => content.items);
      const found = new Set(items);
      expect(found.size).toBe(items.length);
      expect(gone).toBeGreaterThan(1000);
      expect(all.slice(gone).filter((one) => !found.has(one))).toEqual([]);
      break;
    }
    for (const one of all.slice(gone, gone + 500)) index.remove(one);
    gone += 500;
    index.add({ name: `file new ${gone}`, type: "data", size: 1, modified: "2024-05-06" });
  }
});

test("the names of the contents on a page are a part of the work of a search, and only those that fit are on it", () => {
  const index = new FindIndex<Shared>(
    ({ name }) => name,
    () => Number.POSITIVE_INFINITY,
  );
  for (let content = 0; content < 20; content++) {
    const root = `${content}`.padStart(64, "0");
    for (let at = 0; at < 2000; at++) {
      const name = `${at % 500 === 7 ? "film" : "x"} ${at}`;
      index.add({ name, type: "data", size: 1, modified: "2024-05-06", root });
    }
  }
  const steps = find(index, { ...base, words: ["film"] });
  const page = toEnd(find(index, { ...base, words: ["film"] }));
  expect(page.contents.map(({ items }) => items.map(({ name }) => name).sort())).toEqual(
    Array.from({ length: 20 }, () => ["film 1007", "film 1507", "film 507", "film 7"]),
  );
  // All names are read once for the search, and those of each content once more for its place on the page.
  let yields = 0;
  while (!steps.next().done) yields += 1;
  expect(yields).toBeGreaterThanOrEqual(4);
});

test("a folder is another content than a file with the bytes of its list, such as an empty one", () => {
  const root = "e".repeat(64);
  const [file, folder] = [record("empty", { root, size: 0 }), record("Empty", { root, size: 0, type: "inode/directory" })];
  const index = indexOf([file, folder]);
  const found = index.find({ ...base, group: true });
  expect(found.contents.map(({ items, holders }) => [items, holders])).toEqual([
    [[file], 1],
    [[folder], 1],
  ]);
  index.remove(file);
  expect(index.find({ ...base, group: true }).contents.map(({ items }) => items)).toEqual([[folder]]);
});
