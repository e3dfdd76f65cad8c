import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ProtocolError } from "../../lib/error.ts";
import { type Address, parseAddress } from "../../lib/protocol/address.ts";
import type { FromTracker, PeerLine, Profile } from "../../lib/protocol/messages.ts";
import { SessionInbox, TrackerInbox } from "../../lib/protocol/read.ts";
import { type FileRecord, parseFileName, parseRecord } from "../../lib/protocol/record.ts";
import { encodeFromTracker } from "../../lib/protocol/write.ts";
import { Catalog } from "../../lib/tracker/catalog.ts";
import { LIMITS } from "../../lib/tracker/limits.ts";
import type { Member, Seer } from "../../lib/tracker/shelf.ts";
import { toEnd } from "../helpers/finder.ts";

const utf8 = new TextEncoder();
const ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const ALL = { offset: 0, limit: 2000 };

function addressOf(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`The test's own address ${text} is none.`);
  return address;
}

function memberOf(id: string, address: string, port = 40_000, profile: Profile = 2): Member {
  return { id, profile, address: addressOf(address), agent: `agent of ${id}`, since: Date.UTC(2026, 10, 22, 10, 4, 5), port };
}

/** As a peer would write it: with an address and a port that are not to be believed. */
function recordOf(name: string, size = 100, rest: Partial<FileRecord> = {}): FileRecord {
  const lie = { address: addressOf("6.6.6.6"), port: 666 };
  return { name: parseFileName(name), type: "text/plain", size, date: "22/11/26", ...lie, v2: true, ...rest };
}

function seerAt(address: string, via = "192.168.1.1"): Seer {
  return { address: addressOf(address), via: addressOf(via) };
}

const anyone = seerAt("192.168.1.99");

/** The names in answer lines. */
function namesIn(lines: string[]): string[] {
  return lines.map((line) => parseRecord(line).name);
}

/** Where the answer lines point. */
function endpointsIn(lines: string[]): string[] {
  return lines.map((line) => {
    const { address, port } = parseRecord(line);
    return `${address} ${port}`;
  });
}

describe("an answer with more records than fit", () => {
  /** 210 records of 7 hosts come first. Then one honest holder comes, and its record is renewed. */
  function crowded(hostOf: (i: number) => string, more: Partial<FileRecord> = {}, honest: Partial<FileRecord> = {}): Catalog {
    const catalog = new Catalog();
    for (let i = 0; i < 210; i++) catalog.put(memberOf(`x${i}`, hostOf(i)), [recordOf("film.mkv", 5, more)]);
    catalog.put(memberOf("honest", "10.9.9.9"), [recordOf("film.mkv", 5)]);
    catalog.put(memberOf("honest", "10.9.9.9"), [recordOf("film.mkv", 5, honest)]);
    return catalog;
  }
  const IPV4 = (i: number) => `10.0.0.${i % 7}`;
  const IPV6 = (i: number) => `2001:db8:0:${i % 7}::${(i + 1).toString(16)}`;

  test.each([
    ["an address", IPV4],
    ["an IPv6 network", IPV6],
  ])("has every host in it, and of each the same number: the peers of %s count as one host", (_, hostOf) => {
    const name = parseFileName("film.mkv");
    for (const [more, honest] of [
      [{}, {}],
      [{ root: ROOT }, { root: ROOT }],
      [{ root: ROOT }, {}],
      [{}, { root: ROOT }],
    ]) {
      const catalog = crowded(hostOf, more, honest);
      const seer = seerAt("2001:db8:5::1");
      const answers = [catalog.search(name, seer, 200)];
      if (honest?.root !== undefined && more?.root !== undefined)
        answers.push(catalog.holders(ROOT, { offset: 0, limit: 200 }, seer));
      for (const lines of answers) {
        expect(lines).toHaveLength(200);
        expect(endpointsIn(lines.slice(0, 8))).toContain("10.9.9.9 40000");
      }
      const basic = catalog.searchBasic(name, seer, 200);
      expect(basic).toHaveLength(200);
      expect(basic.slice(0, 8).filter((line) => line.includes("10.9.9.9"))).toHaveLength(1);
    }
  });

  test("gives each record once, page by page", () => {
    const catalog = crowded(IPV4, { root: ROOT }, { root: ROOT });
    const pages = [0, 50, 100, 150, 200].flatMap((offset) => catalog.holders(ROOT, { offset, limit: 50 }, anyone));
    expect(pages).toHaveLength(211);
    expect(pages).toEqual(catalog.holders(ROOT, ALL, anyone));
  });

  test("has records with a content id before those without, of one host and of several", () => {
    const catalog = new Catalog();
    for (const id of ["1", "2", "3", "4"]) {
      catalog.put(memberOf(id, `10.0.0.${Number(id) % 2}`), [recordOf("a", 5, Number(id) > 2 ? { root: ROOT } : {})]);
    }
    const records = catalog.search(parseFileName("a"), anyone, 200).map((line) => parseRecord(line));
    expect(records.map(({ root }) => root !== undefined)).toEqual([true, true, false, false]);
  });
});

describe("a peer's list", () => {
  test("is found under its names, with the address that was seen and the port of the peer", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "192.168.1.7", 40_001), [recordOf("notes.txt"), recordOf("report.pdf", 48_213)]);
    expect(catalog.search(parseFileName("notes.txt"), anyone, 200)).toEqual([
      "<notes.txt,text/plain,100,22/11/26,192.168.1.7,40001;v=2>",
    ]);
    expect(catalog.searchBasic(parseFileName("report.pdf"), anyone, 200)).toEqual([
      "<text/plain,48213,22/11/26,192.168.1.7,40001>",
    ]);
    expect([catalog.peers, catalog.files, catalog.member("a") !== undefined]).toEqual([1, 2, true]);
  });

  test("has an exact sum of bytes whatever the sizes are and in whatever order they come and go, and it is always a number to read", () => {
    const sizes = [9_007_199_254_740_991, 9_007_199_254_740_990, 1, 3, 4_503_599_627_370_497];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.constantFrom(...sizes), fc.nat(2)), { maxLength: 40 }), (steps) => {
        const catalog = new Catalog();
        const model = new Map([["first", 2]]);
        catalog.put(memberOf("a", "192.168.1.7"), [recordOf("first", 2)]);
        for (const [name, size, what] of steps) {
          if (what === 0) {
            const list: [string, number][] = [
              ["first", 2],
              [`f${name}`, size],
            ];
            model.clear();
            for (const [one, bytes] of list) model.set(one, bytes);
            catalog.put(
              memberOf("a", "192.168.1.7"),
              list.map(([one, bytes]) => recordOf(one, bytes)),
            );
          } else if (what === 1) {
            if (catalog.add("a", recordOf(`f${name}`, size), 10_000)) model.set(`f${name}`, size);
          } else if (catalog.drop("a", parseFileName(`f${name}`)) === "dropped") model.delete(`f${name}`);
          const exact = [...model.values()].reduce((sum, bytes) => sum + BigInt(bytes), 0n);
          const [peer] = catalog.who(ALL, anyone);
          expect(peer?.bytes).toBe(exact > 2n ** 53n - 1n ? 2 ** 53 - 1 : Number(exact));
          const inbox = new SessionInbox();
          inbox.push(utf8.encode(encodeFromTracker({ verb: "PEERS", peers: catalog.who(ALL, anyone) })));
          expect(inbox.next()).toMatchObject({ verb: "PEERS", peers: [{ id: "a" }] });
        }
      }),
      { seed: 20_261_128, numRuns: 200 },
    );
  });

  test("keeps its places in answers when it is renewed by a list or a record, whatever has changed in it", () => {
    const catalog = new Catalog();
    const name = parseFileName("notes.txt");
    const order = () => endpointsIn(catalog.search(name, anyone, 200)).map((text) => text.split(" ")[0]);
    for (const id of ["1", "2", "3"]) catalog.put(memberOf(id, `10.0.0.${id}`), [recordOf("notes.txt"), recordOf("b.txt")]);
    const all = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    catalog.put(memberOf("1", "10.0.0.1"), [recordOf("b.txt"), recordOf("notes.txt")]);
    expect(order()).toEqual(all);
    catalog.put(memberOf("1", "10.0.0.1"), [recordOf("notes.txt", 7)]);
    catalog.add("2", recordOf("notes.txt", 8, { mtime: "2026-11-22T10:04:05Z" }), 5);
    expect(order()).toEqual(all);
    expect(catalog.search(name, anyone, 200)[0]).toContain(",7,");
    catalog.add("1", recordOf("notes.txt", 7, { root: ROOT }), 5);
    catalog.add("3", recordOf("notes.txt", 7, { root: ROOT }), 5);
    catalog.add("1", recordOf("notes.txt", 9, { root: ROOT }), 5);
    expect(endpointsIn(catalog.holders(ROOT, ALL, anyone))).toEqual(["10.0.0.1 40000", "10.0.0.3 40000"]);
    catalog.add("1", recordOf("notes.txt", 9), 5);
    expect(endpointsIn(catalog.holders(ROOT, ALL, anyone))).toEqual(["10.0.0.3 40000"]);
  });

  test("is found by the exact name only", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "192.168.1.7"), [recordOf("Notes.txt")]);
    for (const name of ["notes.txt", "Notes", "Notes.txt ", "Notes.tx", "*"]) {
      expect(catalog.search(parseFileName(name), anyone, 200)).toEqual([]);
      expect(catalog.searchBasic(parseFileName(name), anyone, 200)).toEqual([]);
    }
  });

  test("keeps everything the peer says of a file", () => {
    const catalog = new Catalog();
    const root = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const record = recordOf("a, b;.txt", 7, { mtime: "2026-11-22T10:04:05Z", root });
    catalog.put(memberOf("a", "2001:db8::7", 5), [record]);
    const [line = ""] = catalog.search(record.name, anyone, 200);
    expect(line).toBe(`<a%2C b%3B.txt,text/plain,7,22/11/26,2001:db8::7,5;v=2;mtime=2026-11-22T10:04:05Z;root=${root}>`);
    expect(parseRecord(line)).toEqual({ ...record, address: addressOf("2001:db8::7"), port: 5 });
  });

  test("is replaced as a whole by the next one, with its port", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "192.168.1.7", 1), [recordOf("old.txt"), recordOf("both.txt", 1)]);
    catalog.put(memberOf("a", "192.168.1.7", 2), [recordOf("both.txt", 2), recordOf("new.txt")]);
    expect(catalog.search(parseFileName("old.txt"), anyone, 200)).toEqual([]);
    expect(catalog.search(parseFileName("both.txt"), anyone, 200)).toEqual([
      "<both.txt,text/plain,2,22/11/26,192.168.1.7,2;v=2>",
    ]);
    expect(namesIn(catalog.list("a", ALL, anyone))).toEqual(["both.txt", "new.txt"]);
    expect([catalog.peers, catalog.files]).toEqual([1, 2]);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ id: "a", port: 2, files: 2, bytes: 102 }]);
  });

  test("that names a file twice has it once, as it was said last", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "192.168.1.7"), [recordOf("a.txt", 1), recordOf("b.txt", 10), recordOf("a.txt", 5)]);
    expect(catalog.search(parseFileName("a.txt"), anyone, 200)).toHaveLength(1);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ files: 2, bytes: 15 }]);
    expect(catalog.files).toBe(2);
  });

  test("is the peer's own: the same name of another peer stands beside it, and goes with its holder only", () => {
    const catalog = new Catalog();
    for (const [i, id] of ["a", "b", "c"].entries()) catalog.put(memberOf(id, `10.0.0.${i + 1}`), [recordOf("same.txt", i)]);
    const name = parseFileName("same.txt");
    expect(endpointsIn(catalog.search(name, anyone, 200))).toEqual(["10.0.0.1 40000", "10.0.0.2 40000", "10.0.0.3 40000"]);
    catalog.leave("b");
    expect(endpointsIn(catalog.search(name, anyone, 200))).toEqual(["10.0.0.1 40000", "10.0.0.3 40000"]);
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("other.txt")]);
    expect(endpointsIn(catalog.search(name, anyone, 200))).toEqual(["10.0.0.3 40000"]);
  });

  test("cannot be touched through the record that was handed in", () => {
    const catalog = new Catalog();
    const record = recordOf("a.txt", 1);
    catalog.put(memberOf("a", "10.0.0.1"), [record]);
    record.size = 99;
    record.port = 99;
    expect(catalog.searchBasic(record.name, anyone, 1)).toEqual(["<text/plain,1,22/11/26,10.0.0.1,40000>"]);
  });
});

describe("adding and dropping", () => {
  test("adds up to the limit, and renews what is there even at the limit", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt", 1)]);
    expect(catalog.add("a", recordOf("b.txt", 2), 2)).toBeTrue();
    expect(catalog.add("a", recordOf("c.txt", 3), 2)).toBeFalse();
    expect(catalog.add("a", recordOf("a.txt", 10), 2)).toBeTrue();
    expect(catalog.search(parseFileName("a.txt"), anyone, 200)).toEqual(["<a.txt,text/plain,10,22/11/26,10.0.0.1,7;v=2>"]);
    expect(catalog.search(parseFileName("c.txt"), anyone, 200)).toEqual([]);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ files: 2, bytes: 12 }]);
    expect(catalog.files).toBe(2);
  });

  test("takes a record off, and the name with its last record", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("a.txt", 1), recordOf("b.txt", 2)]);
    expect(catalog.drop("a", parseFileName("a.txt"))).toBe("dropped");
    expect(catalog.drop("a", parseFileName("a.txt"))).toBe("missing");
    expect(catalog.search(parseFileName("a.txt"), anyone, 200)).toEqual([]);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ files: 1, bytes: 2 }]);
  });

  test("the last file stays", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("a.txt")]);
    expect(catalog.drop("a", parseFileName("a.txt"))).toBe("last");
    expect(catalog.search(parseFileName("a.txt"), anyone, 200)).toHaveLength(1);
    expect(catalog.drop("a", parseFileName("other.txt"))).toBe("missing");
    expect(catalog.add("a", recordOf("b.txt"), 5)).toBeTrue();
    expect(catalog.drop("a", parseFileName("a.txt"))).toBe("dropped");
    expect(catalog.drop("a", parseFileName("b.txt"))).toBe("last");
  });

  test("nobody adds to, or drops from, a list that is not there or not theirs", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("a.txt"), recordOf("b.txt")]);
    catalog.put(memberOf("b", "10.0.0.2"), [recordOf("c.txt")]);
    expect(catalog.add("stranger", recordOf("x.txt"), 5)).toBeFalse();
    expect(catalog.drop("stranger", parseFileName("a.txt"))).toBe("missing");
    expect(catalog.drop("b", parseFileName("a.txt"))).toBe("missing");
    expect(catalog.leave("stranger")).toBeUndefined();
    expect([catalog.peers, catalog.files]).toEqual([2, 3]);
  });
});

describe("folders", () => {
  test("are found by FT/2 with the number of their files and the length of their list, and never shown to FT/1", () => {
    const catalog = new Catalog();
    const folder = recordOf("Lesson 7", 9000, { type: "inode/directory", root: ROOT, files: 12, list: 1234 });
    catalog.put(memberOf("a", "10.0.0.1", 7), [folder]);
    catalog.put(memberOf("b", "10.0.0.2", 8), [recordOf("Lesson 7", 5)]);
    const name = parseFileName("Lesson 7");
    expect(catalog.search(name, anyone, 200)).toContain(
      `<Lesson 7,inode/directory,9000,22/11/26,10.0.0.1,7;v=2;root=${ROOT};files=12;list=1234>`,
    );
    expect(catalog.searchBasic(name, anyone, 1)).toEqual(["<text/plain,5,22/11/26,10.0.0.2,8>"]);
    catalog.add("a", { ...folder, files: 13 }, 5);
    expect(catalog.search(name, anyone, 1)).toEqual([expect.stringContaining(";files=13;")]);
  });
});

describe("unfinished files", () => {
  const partOf = (name: string, size = 100) => recordOf(name, size, { root: ROOT, part: true });

  test("are found by FT/2, said to be unfinished, and never shown to FT/1", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("own.txt")]);
    catalog.put(memberOf("b", "10.0.0.2", 8), [recordOf("big.iso", 9, { root: ROOT })]);
    expect(catalog.add("a", partOf("big.iso", 9), 1)).toBeTrue();
    const name = parseFileName("big.iso");
    expect(catalog.search(name, anyone, 200)).toEqual([
      `<big.iso,text/plain,9,22/11/26,10.0.0.2,8;v=2;root=${ROOT}>`,
      `<big.iso,text/plain,9,22/11/26,10.0.0.1,7;v=2;root=${ROOT};part=1>`,
    ]);
    expect(catalog.searchBasic(name, anyone, 200)).toEqual(["<text/plain,9,22/11/26,10.0.0.2,8>"]);
    // The limit is on what is shown: an unfinished file in front takes nobody's place.
    catalog.leave("b");
    expect(catalog.searchBasic(name, anyone, 200)).toEqual([]);
    catalog.put(memberOf("c", "10.0.0.3", 9), [recordOf("big.iso", 9)]);
    expect(catalog.searchBasic(name, anyone, 1)).toEqual(["<text/plain,9,22/11/26,10.0.0.3,9>"]);
  });

  test("do not count: not towards the limit, not in WHO, not among all files", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("1", 10), recordOf("2", 20)]);
    for (let i = 0; i < 3; i++) expect(catalog.add("a", partOf(`p${i}`, 1000), 2)).toBeTrue();
    expect(catalog.files).toBe(2);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ files: 2, bytes: 30 }]);
    expect(catalog.add("a", recordOf("3", 30), 2)).toBeFalse();
    expect(catalog.add("a", recordOf("3", 30), 3)).toBeTrue();
    expect(namesIn(catalog.list("a", ALL, anyone))).toEqual(["1", "2", "p0", "p1", "p2", "3"]);
  });

  test("a whole file beyond the limit is a holder like any other, also for FT/1, and takes no place on the list", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("own.txt", 10)]);
    expect(catalog.add("a", recordOf("big.iso", 9, { root: ROOT, beyond: true }), 1)).toBeTrue();
    const name = parseFileName("big.iso");
    expect(catalog.search(name, anyone, 200)).toEqual([
      `<big.iso,text/plain,9,22/11/26,10.0.0.1,7;v=2;root=${ROOT};part=1;whole=1>`,
    ]);
    expect(catalog.searchBasic(name, anyone, 200)).toEqual(["<text/plain,9,22/11/26,10.0.0.1,7>"]);
    expect(catalog.who(ALL, anyone)).toMatchObject([{ files: 2, bytes: 19 }]);
    expect(catalog.add("a", recordOf("3", 30), 1)).toBeFalse();
    expect(catalog.add("a", recordOf("own.txt", 10, { beyond: true }), 1)).toBeFalse();
    expect(catalog.drop("a", parseFileName("own.txt"))).toBe("last");
    for (let i = 1; i < 32; i++) expect(catalog.add("a", recordOf(`b${i}`, 1, { beyond: true }), 1)).toBeTrue();
    expect(catalog.add("a", partOf("one too many"), 1)).toBeFalse();
  });

  test("when whole, count; and the other way round", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("1", 10)]);
    catalog.add("a", partOf("big", 1000), 2);
    expect(catalog.add("a", recordOf("big", 1000, { root: ROOT }), 2)).toBeTrue();
    expect([catalog.files, catalog.who(ALL, anyone)]).toMatchObject([2, [{ files: 2, bytes: 1010 }]]);
    expect(catalog.add("a", partOf("big", 1000), 2)).toBeTrue();
    expect([catalog.files, catalog.who(ALL, anyone)]).toMatchObject([1, [{ files: 1, bytes: 10 }]]);
    expect(catalog.search(parseFileName("big"), anyone, 200)).toHaveLength(1);
    // With the list full, an unfinished file cannot become one too many.
    catalog.add("a", recordOf("2"), 2);
    expect(catalog.add("a", recordOf("big", 1000), 2)).toBeFalse();
    expect(catalog.search(parseFileName("big"), anyone, 200)).toEqual([
      `<big,text/plain,1000,22/11/26,10.0.0.1,40000;v=2;root=${ROOT};part=1>`,
    ]);
  });

  test("alone are no list: the last whole file can neither be dropped nor become unfinished", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("last.txt")]);
    catalog.add("a", partOf("p1"), 5);
    catalog.add("a", partOf("p2"), 5);
    expect(catalog.drop("a", parseFileName("last.txt"))).toBe("last");
    expect(catalog.add("a", partOf("last.txt"), 5)).toBeFalse();
    expect(catalog.search(parseFileName("last.txt"), anyone, 1)[0]).not.toContain("part=1");
    expect(catalog.drop("a", parseFileName("p1"))).toBe("dropped");
    expect(catalog.drop("a", parseFileName("p2"))).toBe("dropped");
    expect(catalog.drop("a", parseFileName("last.txt"))).toBe("last");
    expect([catalog.files, catalog.peers]).toEqual([1, 1]);
  });

  test("are 32 a peer at most; renewing one of them is no 33rd", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("own")]);
    for (let i = 0; i < 32; i++) expect(catalog.add("a", partOf(`p${i}`), 5)).toBeTrue();
    expect(catalog.add("a", partOf("p32"), 5)).toBeFalse();
    expect(catalog.search(parseFileName("p32"), anyone, 1)).toEqual([]);
    expect(catalog.add("a", partOf("p7", 5), 5)).toBeTrue();
    expect(catalog.add("a", recordOf("p7", 5), 5)).toBeTrue();
    expect(catalog.add("a", partOf("p32"), 5)).toBeTrue();
    expect(catalog.drop("a", parseFileName("p32"))).toBe("dropped");
    expect(catalog.add("a", partOf("p33"), 5)).toBeTrue();
  });

  test("go with the list that is replaced, and with the peer", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("own")]);
    for (let i = 0; i < 32; i++) catalog.add("a", partOf(`p${i}`), 5);
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("new")]);
    expect(namesIn(catalog.list("a", ALL, anyone))).toEqual(["new"]);
    expect(catalog.holders(ROOT, ALL, anyone)).toEqual([]);
    expect(catalog.add("a", partOf("p"), 5)).toBeTrue();
    catalog.leave("a");
    expect([catalog.files, catalog.holders(ROOT, ALL, anyone)]).toEqual([0, []]);
  });

  test("every holder of a content is found by its id, whatever it calls it, in pages", () => {
    const catalog = new Catalog();
    const other = ROOT.replace("9", "8");
    catalog.put(memberOf("a", "127.0.0.1", 1), [
      recordOf("a.txt", 9, { root: ROOT }),
      recordOf("copy of a.txt", 9, { root: ROOT }),
    ]);
    catalog.put(memberOf("b", "10.0.0.2", 2), [recordOf("b.txt", 9, { root: other }), recordOf("a.txt", 9)]);
    catalog.add("b", { ...partOf("z.txt", 9) }, 5);
    const lines = [
      `<a.txt,text/plain,9,22/11/26,192.168.1.1,1;v=2;root=${ROOT}>`,
      `<z.txt,text/plain,9,22/11/26,10.0.0.2,2;v=2;root=${ROOT};part=1>`,
      `<copy of a.txt,text/plain,9,22/11/26,192.168.1.1,1;v=2;root=${ROOT}>`,
    ];
    expect(catalog.holders(ROOT, ALL, anyone)).toEqual(lines);
    expect(catalog.holders(ROOT, { offset: 1, limit: 1 }, anyone)).toEqual(lines.slice(1, 2));
    expect(catalog.holders(ROOT, { offset: 3, limit: 9 }, anyone)).toEqual([]);
    expect(catalog.holders(other, ALL, anyone)).toHaveLength(1);
    expect(catalog.holders("0".repeat(64), ALL, anyone)).toEqual([]);
    catalog.drop("a", parseFileName("a.txt"));
    expect(catalog.holders(ROOT, ALL, anyone).toSorted()).toEqual(lines.slice(1).toSorted());
    // A renewed record may have another content.
    catalog.add("a", recordOf("copy of a.txt", 9, { root: other }), 5);
    expect(catalog.holders(ROOT, ALL, anyone)).toEqual(lines.slice(1, 2));
    expect(namesIn(catalog.holders(other, ALL, anyone))).toEqual(["b.txt", "copy of a.txt"]);
  });

  test("the index by content, the counts and the lists are those of the records, whatever happened before", () => {
    const roots = [undefined, ROOT, ROOT.replace("9", "8")];
    const file = fc.record({ name: fc.nat(5), size: fc.nat(1000), root: fc.nat(2), part: fc.boolean() });
    const step = fc.record({
      what: fc.constantFrom("put", "add", "add", "add", "drop", "leave"),
      peer: fc.nat(2),
      files: fc.array(file, { minLength: 1, maxLength: 3 }),
    });
    const made = ({ name, size, root, part }: { name: number; size: number; root: number; part: boolean }) => {
      const content = roots[root];
      return recordOf(`f${name}`, size, {
        ...(content === undefined ? {} : { root: content }),
        ...(part ? { part: true } : {}),
      });
    };
    const whole = (list: Map<string, FileRecord>) => [...list.values()].filter(({ part }) => !part);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const catalog = new Catalog();
        const model = new Map<string, Map<string, FileRecord>>();
        for (const { what, peer, files } of steps) {
          const id = `p${peer}`;
          const own = model.get(id);
          const [first] = files;
          if (first === undefined) continue;
          const record = made(first);
          if (what === "put") {
            // Unfinished files come one by one only.
            const list = files.map((one) => made({ ...one, part: false }));
            catalog.put(memberOf(id, `10.0.0.${peer + 1}`), list);
            model.set(id, new Map(list.map((one) => [one.name, one])));
          } else if (what === "add") {
            const after = new Map(own).set(record.name, record);
            const fits = own !== undefined && whole(after).length >= 1 && (record.part === true || whole(after).length <= 3);
            expect(catalog.add(id, record, 3)).toBe(fits);
            if (fits) model.set(id, after);
          } else if (what === "drop") {
            const there = own?.get(record.name);
            const last = own !== undefined && whole(own).length === 1 && !there?.part;
            const expected = there === undefined ? "missing" : last ? "last" : "dropped";
            expect(catalog.drop(id, record.name)).toBe(expected);
            if (expected === "dropped") own?.delete(record.name);
          } else {
            catalog.leave(id);
            model.delete(id);
          }
          const lists = [...model.values()];
          expect(catalog.files).toBe(lists.reduce((sum, list) => sum + whole(list).length, 0));
          for (const line of catalog.who(ALL, anyone)) {
            const records = whole(model.get(line.id) ?? new Map());
            expect([line.files, line.bytes]).toEqual([records.length, records.reduce((sum, { size }) => sum + size, 0)]);
          }
          const all = [...model].flatMap(([, list]) => [...list.values()]);
          for (const root of [ROOT, ROOT.replace("9", "8")]) {
            const expected = all.filter((one) => one.root === root).map(({ name }) => String(name));
            expect(namesIn(catalog.holders(root, ALL, anyone)).sort()).toEqual(expected.sort());
          }
          for (let i = 0; i <= 5; i++) {
            const holders = all.filter(({ name }) => name === `f${i}`);
            expect(catalog.search(parseFileName(`f${i}`), anyone, 200)).toHaveLength(holders.length);
            expect(catalog.searchBasic(parseFileName(`f${i}`), anyone, 200)).toHaveLength(
              holders.filter(({ part }) => !part).length,
            );
          }
        }
      }),
      { seed: 20_261_122, numRuns: 100 },
    );
  });
});

describe("the records of one content", () => {
  test("come in the order in which they came, under whatever names and sizes, those for a few people among them", () => {
    const catalog = new Catalog();
    const said: [id: string, name: string, size?: number, only?: string][] = [
      ["p1", "a.txt"],
      ["p2", "b.txt"],
      ["p3", "a.txt", 7],
      ["p4", "a.txt", 100, "circle"],
      ["p5", "b.txt"],
      ["p6", "a.txt"],
    ];
    for (const [i, [id, name, size, only]] of said.entries()) {
      catalog.put(memberOf(id, `10.0.0.${i + 1}`), [recordOf(name, size, { root: ROOT, only })]);
    }
    // A record that changes keeps its place; one of another content that becomes one of this content is the last.
    catalog.put(memberOf("p1", "10.0.0.1"), [recordOf("a.txt", 100, { root: ROOT, type: "image/png" })]);
    catalog.put(memberOf("p2", "10.0.0.2"), [recordOf("b.txt", 100, { root: "0".repeat(64) })]);
    catalog.put(memberOf("p2", "10.0.0.2"), [recordOf("b.txt", 100, { root: ROOT })]);
    const holdersFor = (id?: string) =>
      endpointsIn(catalog.holders(ROOT, ALL, id === undefined ? anyone : { ...anyone, id })).map((at) => at[7]);
    expect(holdersFor()).toEqual(["1", "3", "5", "6", "2"]);
    expect(holdersFor("p6")).toEqual(["1", "3", "5", "6", "2"]);
    expect(holdersFor("p4")).toEqual(["1", "3", "4", "5", "6", "2"]);
    catalog.tell("p6", "circle");
    expect(holdersFor("p6")).toEqual(["1", "3", "4", "5", "6", "2"]);
    expect(catalog.forGuests(ROOT, anyone)).toEqual([]);
    for (let token = 0; token < 300; token++) catalog.tell("p4", `token${token}`);
    // The tracker has forgotten that this peer knows its own token. It still sees its own record.
    expect(holdersFor("p4")).toEqual(["1", "3", "4", "5", "6", "2"]);
  });
});

describe("the number of holders in an answer to FIND", () => {
  const HOLDERS = 3;
  const NAMES = ["a.txt", "b.txt", "copy of a.txt"];

  /** The number in the answer; undefined when nothing is found. */
  function holdersIn(catalog: Catalog, id?: string): number | undefined {
    const wish = { words: ["txt"], group: true, ...ALL };
    const [line] = toEnd(catalog.find(wish, id === undefined ? anyone : { ...anyone, id })).lines;
    return line === undefined ? undefined : parseRecord(line).holders;
  }

  test("is that of the peers: one that has the content under two names counts once", () => {
    const catalog = new Catalog();
    const copies = [recordOf("report.txt", 100, { root: ROOT }), recordOf("report (1).txt", 100, { root: ROOT })];
    catalog.put(memberOf("ana", "10.0.0.1"), copies);
    expect(holdersIn(catalog)).toBe(1);
    // Another peer of the same computer is another holder.
    catalog.put(memberOf("ben", "10.0.0.1", 40_001), copies);
    expect(holdersIn(catalog)).toBe(2);
    catalog.drop("ana", parseFileName("report.txt"));
    expect(holdersIn(catalog)).toBe(2);
    catalog.leave("ana");
    expect(holdersIn(catalog)).toBe(1);
    const shown = copies.map((record) => ({ ...record, only: "circle" }));
    const few = new Catalog();
    few.put(memberOf("chloe", "10.0.0.3"), shown);
    expect([holdersIn(few), holdersIn(few, "chloe")]).toEqual([undefined, 1]);
  });

  test("stays that of the peers, whatever comes, changes and goes", () => {
    const change = fc.record({
      who: fc.nat(HOLDERS - 1),
      name: fc.constantFrom(...NAMES),
      act: fc.constantFrom("whole", "part", "other", "drop", "leave"),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const catalog = new Catalog();
        const wholes = new Map<string, Set<string>>();
        for (const { who, name, act } of changes) {
          const id = `p${who}`;
          if (act === "leave") {
            catalog.leave(id);
            wholes.delete(id);
            continue;
          }
          if (catalog.member(id) === undefined) catalog.put(memberOf(id, `10.0.0.${who % 2}`, 40_000 + who), []);
          const mine = wholes.get(id) ?? new Set();
          wholes.set(id, mine);
          mine.delete(name);
          if (act === "drop") catalog.mirror(id, [], [parseFileName(name)]);
          else {
            const root = act === "other" ? "0".repeat(64) : ROOT;
            catalog.mirror(id, [recordOf(name, 100, act === "part" ? { root, part: true } : { root })], []);
            if (act === "whole") mine.add(name);
          }
        }
        const found = toEnd(catalog.find({ words: [], group: true, root: ROOT, ...ALL }, anyone)).lines[0];
        const expected = [...wholes.values()].filter((names) => names.size > 0).length;
        expect(found === undefined ? 0 : parseRecord(found).holders).toBe(expected);
      }),
    );
  });
});

describe("leaving", () => {
  test("takes the peer, its records and its address away at once", () => {
    const catalog = new Catalog();
    const member = memberOf("a", "10.0.0.1");
    catalog.put(member, [recordOf("a.txt"), recordOf("b.txt")]);
    expect(catalog.leave("a")).toEqual(member);
    expect([catalog.peers, catalog.files, catalog.member("a") !== undefined, catalog.known(member.address)]).toEqual([
      0,
      0,
      false,
      false,
    ]);
    expect(catalog.search(parseFileName("a.txt"), anyone, 200)).toEqual([]);
    expect(catalog.list(undefined, ALL, anyone)).toEqual([]);
    expect(catalog.list("a", ALL, anyone)).toEqual([]);
    expect(catalog.who(ALL, anyone)).toEqual([]);
    expect(catalog.leave("a")).toBeUndefined();
    expect([catalog.peers, catalog.files]).toEqual([0, 0]);
  });

  test("an address is known until the last peer from it leaves", () => {
    const catalog = new Catalog();
    const address = addressOf("10.0.0.1");
    expect(catalog.known(address)).toBeFalse();
    catalog.put(memberOf("a", "10.0.0.1", 1), [recordOf("a.txt")]);
    catalog.put(memberOf("b", "10.0.0.1", 2), [recordOf("b.txt")]);
    catalog.put(memberOf("a", "10.0.0.1", 3), [recordOf("c.txt")]);
    expect([catalog.known(address), catalog.known(addressOf("10.0.0.2"))]).toEqual([true, false]);
    catalog.leave("a");
    catalog.leave("a");
    expect(catalog.known(address)).toBeTrue();
    catalog.leave("b");
    expect(catalog.known(address)).toBeFalse();
  });

  test("the peers of FT/1 are told apart, by their address", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("old 1", "10.0.0.1", 1, 1), [recordOf("a.txt")]);
    catalog.put(memberOf("old 2", "10.0.0.1", 2, 1), [recordOf("a.txt")]);
    catalog.put(memberOf("old 3", "10.0.0.2", 1, 1), [recordOf("a.txt")]);
    catalog.put(memberOf("new", "10.0.0.1", 3, 2), [recordOf("a.txt")]);
    const ids = (members: Member[]) => members.map(({ id }) => id);
    expect(ids(catalog.basicMembers(addressOf("10.0.0.1")))).toEqual(["old 1", "old 2"]);
    expect(ids(catalog.basicMembers())).toEqual(["old 1", "old 2", "old 3"]);
    expect(catalog.basicMembers(addressOf("10.0.0.3"))).toEqual([]);
    // As BYE does it: the list may be gone through while its peers leave.
    for (const { id } of catalog.basicMembers(addressOf("10.0.0.1"))) catalog.leave(id);
    expect(ids(catalog.basicMembers())).toEqual(["old 3"]);
    expect(catalog.member("new") !== undefined).toBeTrue();
  });
});

describe("a peer on the tracker's own machine", () => {
  const name = parseFileName("a.txt");
  const LOOPBACK = ["127.0.0.1", "127.8.9.10", "::1"];

  test.each(LOOPBACK)("seen at %s is shown to each searcher at the tracker's address on that searcher's connection", (own) => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", own, 7), [recordOf("a.txt")]);
    for (const via of ["192.168.1.1", "10.0.0.1", "2001:db8::1"]) {
      const seer = seerAt("192.168.1.99", via);
      expect(endpointsIn(catalog.search(name, seer, 200))).toEqual([`${via} 7`]);
      // Who came by IPv4 with the plain protocol does not know what to do with an IPv6 address.
      const basic = seerAt(via.includes(":") ? "2001:db8::99" : "192.168.1.99", via);
      expect(catalog.searchBasic(name, basic, 200)).toEqual([`<text/plain,100,22/11/26,${via},7>`]);
      if (via.includes(":")) expect(catalog.searchBasic(name, seer, 200)).toEqual([]);
      expect(endpointsIn(catalog.list(undefined, ALL, seer))).toEqual([`${via} 7`]);
      expect(endpointsIn(catalog.list("a", ALL, seer))).toEqual([`${via} 7`]);
      expect(catalog.who(ALL, seer).map(({ address }) => String(address))).toEqual([via]);
    }
  });

  test.each(LOOPBACK)("seen at %s is shown as it is to others on that machine", (own) => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", own, 7), [recordOf("a.txt")]);
    for (const near of LOOPBACK) {
      const seer = seerAt(near, near);
      expect(endpointsIn(catalog.search(name, seer, 200))).toEqual([`${own} 7`]);
      expect(catalog.who(ALL, seer).map(({ address }) => String(address))).toEqual([own]);
    }
  });

  test("does not change how the others are shown", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("near", "127.0.0.1", 7), [recordOf("a.txt")]);
    catalog.put(memberOf("far", "192.168.1.5", 8), [recordOf("a.txt")]);
    expect(endpointsIn(catalog.search(name, anyone, 200))).toEqual(["192.168.1.1 7", "192.168.1.5 8"]);
    expect(endpointsIn(catalog.search(name, seerAt("127.0.0.1", "127.0.0.1"), 200))).toEqual(["127.0.0.1 7", "192.168.1.5 8"]);
  });
});

describe("whether a peer can be connected to", () => {
  const name = parseFileName("a.txt");
  const knowing: Seer = { ...anyone, extras: true };
  const reachIn = (catalog: Catalog, seer: Seer) =>
    catalog.who(ALL, seer).map((line) => ("reach" in line ? line.reach : "unsaid"));
  const whole = "<a.txt,text/plain,100,22/11/26,10.0.0.1,7;v=2>";
  const blocked = whole.replace(">", ";reach=no>");

  test("is said to who knows the word, and only what is known", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    for (const [reach, line] of [
      [undefined, whole],
      [false, blocked],
      [true, whole],
      [false, blocked],
      [undefined, whole],
    ] as const) {
      catalog.setReach("a", reach);
      for (const lines of [
        catalog.search(name, knowing, 9),
        catalog.list("a", ALL, knowing),
        catalog.list(undefined, ALL, knowing),
      ]) {
        expect([reach, lines]).toEqual([reach, [line]]);
      }
      for (const seer of [anyone, { ...anyone, extras: false }]) {
        expect([reach, catalog.search(name, seer, 9), catalog.list(undefined, ALL, seer)]).toEqual([reach, [whole], [whole]]);
        expect(reachIn(catalog, seer)).toEqual(["unsaid"]);
      }
      expect(reachIn(catalog, knowing)).toEqual([reach]);
      expect(encodeFromTracker({ verb: "PEERS", peers: catalog.who(ALL, anyone) })).not.toContain("reach");
    }
  });

  test("stands last in a record, also of an unfinished file, and is read back", () => {
    const catalog = new Catalog();
    const root = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    catalog.add("a", recordOf("p", 9, { root, part: true }), 5);
    catalog.setReach("a", false);
    const line = `<p,text/plain,9,22/11/26,10.0.0.1,7;v=2;root=${root};part=1;reach=no>`;
    expect(catalog.holders(root, ALL, knowing)).toEqual([line]);
    expect(parseRecord(line)).toMatchObject({ part: true, unreachable: true });
  });

  test("is the tracker's word alone, whatever the peer's record says, and whatever it says again", () => {
    const catalog = new Catalog();
    const lie = recordOf("a.txt", 100, { unreachable: true });
    catalog.put(memberOf("a", "10.0.0.1", 7), [lie]);
    expect(catalog.search(name, knowing, 9)).toEqual([whole]);
    catalog.add("a", lie, 5);
    expect(catalog.search(name, knowing, 9)).toEqual([whole]);
    catalog.setReach("a", true);
    expect(catalog.search(name, knowing, 9)).toEqual([whole]);
    catalog.setReach("a", false);
    catalog.add("a", lie, 5);
    expect(catalog.search(name, knowing, 9)).toEqual([blocked]);
    expect(catalog.search(name, anyone, 9)).toEqual([whole]);
    expect(lie.unreachable).toBe(true);
  });

  test("outlives a new list, and not the peer; of strangers and of the others nothing is noted", () => {
    const catalog = new Catalog();
    catalog.setReach("a", false);
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    catalog.put(memberOf("b", "10.0.0.2", 7), [recordOf("a.txt")]);
    expect(reachIn(catalog, knowing)).toEqual([undefined, undefined]);
    catalog.setReach("a", false);
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("b.txt")]);
    expect(reachIn(catalog, knowing)).toEqual([false, undefined]);
    catalog.leave("a");
    catalog.setReach("a", false);
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    expect(reachIn(catalog, knowing)).toEqual([undefined, undefined]);
  });

  test("is nothing for FT/1", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    catalog.setReach("a", false);
    expect(catalog.searchBasic(name, knowing, 9)).toEqual(["<text/plain,100,22/11/26,10.0.0.1,7>"]);
  });
});

describe("who is where a record says", () => {
  const at = (catalog: Catalog, address: string, port: number, seer = anyone) =>
    catalog.at({ address: addressOf(address), port }, seer)?.id;

  test("is the peer of that address and port, and of no other", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt")]);
    catalog.put(memberOf("b", "10.0.0.1", 8), [recordOf("a.txt")]);
    catalog.put(memberOf("c", "2001:db8::7", 7), [recordOf("a.txt")]);
    expect([at(catalog, "10.0.0.1", 7), at(catalog, "10.0.0.1", 8), at(catalog, "2001:DB8:0::7", 7)]).toEqual(["a", "b", "c"]);
    expect([at(catalog, "10.0.0.1", 9), at(catalog, "10.0.0.2", 7), at(catalog, "::1", 7)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    catalog.put(memberOf("a", "10.0.0.1", 9), [recordOf("a.txt")]);
    expect([at(catalog, "10.0.0.1", 7), at(catalog, "10.0.0.1", 9)]).toEqual([undefined, "a"]);
    catalog.leave("a");
    expect([at(catalog, "10.0.0.1", 9), at(catalog, "10.0.0.1", 8)]).toEqual([undefined, "b"]);
  });

  test.each(["127.0.0.1", "127.0.0.5", "::1"])(
    "is the peer on the tracker's machine, seen at %s, where that was shown",
    (own) => {
      const catalog = new Catalog();
      catalog.put(memberOf("near", own, 7), [recordOf("a.txt")]);
      catalog.put(memberOf("far", "192.168.1.5", 8), [recordOf("a.txt")]);
      for (const via of ["192.168.1.1", "2001:db8::1"]) {
        const seer = seerAt("192.168.1.99", via);
        const [shown = ""] = endpointsIn(catalog.search(parseFileName("a.txt"), seer, 9));
        const [address = "", port = ""] = shown.split(" ");
        expect([address, at(catalog, address, Number(port), seer)]).toEqual([via, "near"]);
        expect(at(catalog, via, 8, seer)).toBeUndefined();
        expect(at(catalog, "192.168.1.2", 7, seer)).toBeUndefined();
        expect(at(catalog, "192.168.1.5", 8, seer)).toBe("far");
      }
      expect(at(catalog, own, 7, seerAt(own, own))).toBe("near");
    },
  );

  test("is first of all who was seen there", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("near", "127.0.0.1", 7), [recordOf("a.txt")]);
    catalog.put(memberOf("same machine", "192.168.1.1", 7), [recordOf("a.txt")]);
    expect(at(catalog, "192.168.1.1", 7)).toBe("same machine");
    catalog.leave("same machine");
    expect(at(catalog, "192.168.1.1", 7)).toBe("near");
  });

  test("follows the peers as they come and go: an address is known as long as somebody is there", () => {
    const step = fc.record({ peer: fc.nat(5), come: fc.boolean(), port: fc.integer({ min: 1, max: 3 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const catalog = new Catalog();
        const model = new Map<string, { address: string; port: number; profile: Profile }>();
        for (const { peer, come, port } of steps) {
          const [id, address, profile] = [`p${peer}`, `10.0.0.${(peer % 3) + 1}`, peer % 2 === 0 ? 1 : 2] as const;
          if (come) {
            catalog.put(memberOf(id, address, port, profile), [recordOf("a.txt")]);
            model.set(id, { address, port, profile });
          } else {
            catalog.leave(id);
            model.delete(id);
          }
          for (const place of ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) {
            const there = [...model].filter(([, member]) => member.address === place);
            expect(catalog.known(addressOf(place))).toBe(there.length > 0);
            const basic = there.filter(([, member]) => member.profile === 1).map(([name]) => name);
            expect(
              catalog
                .basicMembers(addressOf(place))
                .map((member) => member.id)
                .sort(),
            ).toEqual(basic.sort());
            for (const wanted of [1, 2, 3]) {
              const found = at(catalog, place, wanted);
              // FT/1 peers hold no connection by which they could be told anything.
              const ids = there.filter(([, { port, profile }]) => port === wanted && profile === 2).map(([name]) => name);
              if (found === undefined) expect(ids).toEqual([]);
              else expect(ids).toContain(found);
            }
          }
        }
        const all = [...model].filter(([, { profile }]) => profile === 1).map(([id]) => id);
        expect(
          catalog
            .basicMembers()
            .map(({ id }) => id)
            .sort(),
        ).toEqual(all.sort());
      }),
      { seed: 20_261_122, numRuns: 60 },
    );
  });
});

describe("FT/1 and IPv6", () => {
  test("what a program that came by IPv4 cannot use is left out, and takes no place from what it can", () => {
    const catalog = new Catalog();
    const name = parseFileName("a.txt");
    for (let i = 1; i <= 3; i++) catalog.put(memberOf(`six${i}`, `2001:db8::${i}`, 7), [recordOf("a.txt")]);
    catalog.put(memberOf("own", "::1", 7), [recordOf("a.txt")]);
    catalog.put(memberOf("four", "10.0.0.1", 7), [recordOf("a.txt")]);
    const four = "<text/plain,100,22/11/26,10.0.0.1,7>";
    // A peer on the tracker's machine is given by the address by which this program reached the tracker.
    const own = "<text/plain,100,22/11/26,192.168.1.1,7>";
    expect(catalog.searchBasic(name, anyone, 200)).toEqual([own, four]);
    expect(catalog.searchBasic(name, anyone, 1)).toEqual([own]);
    expect(catalog.searchBasic(name, seerAt("127.0.0.1", "127.0.0.1"), 200)).toEqual([four]);
    expect(catalog.searchBasic(name, seerAt("2001:db8::99", "2001:db8::ffff"), 200)).toHaveLength(5);
    expect(catalog.searchBasic(name, anyone, 0)).toEqual([]);
  });
});

describe("names with a meaning elsewhere", () => {
  const NAMES = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "prototype", "length", "../x", "CON"];

  test("are not there until somebody shares them", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1"), [recordOf("a.txt")]);
    for (const name of NAMES) {
      expect(catalog.search(parseFileName(name), anyone, 200)).toEqual([]);
      expect(catalog.drop("a", parseFileName(name))).toBe("missing");
      expect([catalog.member(name) !== undefined, catalog.leave(name), catalog.list(name, ALL, anyone)]).toEqual([
        false,
        undefined,
        [],
      ]);
    }
  });

  test("are shared, found, dropped and left like others", () => {
    const catalog = new Catalog();
    catalog.put(
      memberOf("__proto__", "10.0.0.1"),
      NAMES.map((name, i) => recordOf(name, i)),
    );
    for (const name of NAMES) expect(namesIn(catalog.search(parseFileName(name), anyone, 200))).toEqual([name]);
    expect(namesIn(catalog.list("__proto__", ALL, anyone))).toEqual(NAMES);
    expect(catalog.drop("__proto__", parseFileName("constructor"))).toBe("dropped");
    expect(catalog.search(parseFileName("constructor"), anyone, 200)).toEqual([]);
    expect(catalog.leave("__proto__")?.id).toBe("__proto__");
    expect([catalog.peers, catalog.files]).toEqual([0, 0]);
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});

describe("paging", () => {
  function filled(): { catalog: Catalog; names: string[] } {
    const catalog = new Catalog();
    const names: string[] = [];
    for (let peer = 0; peer < 23; peer++) {
      const records = Array.from({ length: (peer % 5) + 1 }, (_, i) => recordOf(`file ${peer}-${i}`));
      names.push(...records.map(({ name }) => name));
      catalog.put(memberOf(`p${peer}`, `10.0.0.${peer + 1}`), records);
    }
    return { catalog, names };
  }

  test.each([1, 2, 3, 7, 64, 65, 66, 2000])("in pages of %d, every record comes once, in one order", (limit) => {
    const { catalog, names } = filled();
    const seen: string[] = [];
    for (let offset = 0; ; offset += limit) {
      const page = namesIn(catalog.list(undefined, { offset, limit }, anyone));
      expect(page.length).toBe(Math.max(0, Math.min(limit, names.length - offset)));
      if (page.length === 0) break;
      seen.push(...page);
    }
    expect(seen).toEqual(names);
  });

  test.each([1, 2, 5, 22, 23, 24])("in pages of %d, every peer comes once, in one order", (limit) => {
    const { catalog } = filled();
    const seen: string[] = [];
    for (let offset = 0; ; offset += limit) {
      const page = catalog.who({ offset, limit }, anyone).map(({ id }) => id);
      if (page.length === 0) break;
      expect(page.length).toBeLessThanOrEqual(limit);
      seen.push(...page);
    }
    expect(seen).toEqual(Array.from({ length: 23 }, (_, i) => `p${i}`));
  });

  test("one peer's records have pages of their own", () => {
    const { catalog } = filled();
    expect(namesIn(catalog.list("p4", { offset: 0, limit: 2 }, anyone))).toEqual(["file 4-0", "file 4-1"]);
    expect(namesIn(catalog.list("p4", { offset: 2, limit: 2 }, anyone))).toEqual(["file 4-2", "file 4-3"]);
    expect(namesIn(catalog.list("p4", { offset: 4, limit: 2 }, anyone))).toEqual(["file 4-4"]);
    expect(catalog.list("p4", { offset: 5, limit: 2 }, anyone)).toEqual([]);
  });

  test("an offset beyond the end, and a limit of nothing, give nothing", () => {
    const { catalog, names } = filled();
    for (const page of [
      { offset: names.length, limit: 10 },
      { offset: Number.MAX_SAFE_INTEGER, limit: 10 },
      { offset: 0, limit: 0 },
    ]) {
      expect(catalog.list(undefined, page, anyone)).toEqual([]);
      expect(catalog.who(page, anyone)).toEqual([]);
    }
  });

  test("a search gives no more than its limit", () => {
    const catalog = new Catalog();
    for (let i = 0; i < 30; i++) catalog.put(memberOf(`p${i}`, `10.0.0.${i + 1}`), [recordOf("same.txt")]);
    for (const limit of [0, 1, 29, 30, 31]) {
      expect(catalog.search(parseFileName("same.txt"), anyone, limit)).toHaveLength(Math.min(30, limit));
      expect(catalog.searchBasic(parseFileName("same.txt"), anyone, limit)).toHaveLength(Math.min(30, limit));
    }
  });
});

describe("who is online", () => {
  /** What a peer on the other side of the connection reads. */
  function heard(catalog: Catalog): FromTracker | undefined {
    const inbox = new SessionInbox();
    inbox.push(utf8.encode(encodeFromTracker({ verb: "PEERS", peers: catalog.who(ALL, anyone) })));
    return inbox.next();
  }

  test("says of each what it is and shares", () => {
    const catalog = new Catalog();
    catalog.put(memberOf("a", "10.0.0.1", 7), [recordOf("a.txt", 3), recordOf("b.txt", 4)]);
    catalog.put(memberOf("b", "2001:db8::7", 8, 1), [recordOf("a.txt", 5)]);
    const peers: PeerLine[] = [
      {
        id: "a",
        address: addressOf("10.0.0.1"),
        port: 7,
        files: 2,
        bytes: 7,
        agent: "agent of a",
        since: "2026-11-22T10:04:05.000Z",
      },
      {
        id: "b",
        address: addressOf("2001:db8::7"),
        port: 8,
        files: 1,
        bytes: 5,
        agent: "agent of b",
        since: "2026-11-22T10:04:05.000Z",
      },
    ];
    expect(catalog.who(ALL, anyone)).toEqual(peers);
    expect(heard(catalog)).toEqual({ verb: "PEERS", peers });
  });

  test("can be read by the others even if one peer announces absurd sizes", () => {
    const catalog = new Catalog();
    const absurd = ["a", "b", "c"].map((name) => recordOf(name, Number.MAX_SAFE_INTEGER));
    catalog.put(memberOf("liar", "10.0.0.1"), absurd);
    catalog.put(memberOf("honest", "10.0.0.2"), [recordOf("a.txt", 5)]);
    expect(heard(catalog)).toMatchObject({ verb: "PEERS", peers: [{ id: "liar" }, { id: "honest", bytes: 5 }] });
  });

  test.each(["x".repeat(4050), ";".repeat(3000)])(
    "can be read by the others even if one peer calls itself something endless",
    (agent) => {
      const inbox = new TrackerInbox(LIMITS);
      inbox.push(utf8.encode(`HELLO FT/2 agent=${agent}\n`));
      let said = "";
      try {
        const hello = inbox.next();
        if (hello?.verb === "HELLO" && hello.profile === 2) said = hello.agent;
      } catch (error) {
        // Refusing it is a good answer too.
        if (!(error instanceof ProtocolError)) throw error;
      }
      const catalog = new Catalog();
      catalog.put({ ...memberOf("loud", "10.0.0.1"), agent: said }, [recordOf("a.txt")]);
      catalog.put(memberOf("honest", "10.0.0.2"), [recordOf("a.txt")]);
      expect(heard(catalog)).toMatchObject({ verb: "PEERS", peers: [{ id: "loud" }, { id: "honest" }] });
    },
  );

  test("the sums are those of the records, whatever happened before", () => {
    type Step = { what: "put" | "add" | "drop" | "leave"; peer: number; files: { name: number; size: number }[] };
    const step: fc.Arbitrary<Step> = fc.record({
      what: fc.constantFrom("put", "add", "drop", "leave"),
      peer: fc.nat(3),
      files: fc.array(fc.record({ name: fc.nat(6), size: fc.nat(1000) }), { minLength: 1, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const catalog = new Catalog();
        // The same rules on plain maps: peer → name → size, in the order in which they came.
        const model = new Map<string, Map<string, number>>();
        for (const { what, peer, files } of steps) {
          const id = `p${peer}`;
          const own = model.get(id);
          const [{ name, size } = { name: 0, size: 0 }] = files;
          const record = recordOf(`f${name}`, size);
          if (what === "put") {
            catalog.put(
              memberOf(id, `10.0.0.${peer + 1}`),
              files.map((file) => recordOf(`f${file.name}`, file.size)),
            );
            const list = new Map<string, number>();
            for (const file of files) list.set(`f${file.name}`, file.size);
            model.set(id, list);
          } else if (what === "add") {
            const fits = own !== undefined && (own.has(record.name) || own.size < 5);
            expect(catalog.add(id, record, 5)).toBe(fits);
            if (fits) own.set(record.name, size);
          } else if (what === "drop") {
            const expected = !own?.has(record.name) ? "missing" : own.size === 1 ? "last" : "dropped";
            expect(catalog.drop(id, record.name)).toBe(expected);
            if (expected === "dropped") own?.delete(record.name);
          } else {
            expect(catalog.leave(id)?.id).toBe(own === undefined ? undefined : id);
            model.delete(id);
          }
          const lists = [...model.values()];
          expect(catalog.peers).toBe(model.size);
          expect(catalog.files).toBe(lists.reduce((sum, list) => sum + list.size, 0));
          for (const line of catalog.who(ALL, anyone)) {
            const sizes = [...(model.get(line.id)?.values() ?? [])];
            expect([line.files, line.bytes]).toEqual([sizes.length, sizes.reduce((sum, bytes) => sum + bytes, 0)]);
          }
          for (let i = 0; i <= 6; i++) {
            const holders = lists.filter((list) => list.has(`f${i}`)).length;
            expect(catalog.search(parseFileName(`f${i}`), anyone, 200)).toHaveLength(holders);
          }
          for (const [held, list] of model) {
            expect(namesIn(catalog.list(held, ALL, anyone)).sort()).toEqual([...list.keys()].sort());
          }
        }
      }),
      { seed: 20_261_122, numRuns: 60 },
    );
  });
});

describe("an answer that is kept ready", () => {
  test("is the one that a search gives, whatever has happened since", () => {
    const step = fc.record({
      what: fc.constantFrom("put", "add", "drop", "leave", "reach"),
      peer: fc.nat(3),
      name: fc.constantFrom("a.txt", "b.txt"),
      size: fc.nat(9),
    });
    const places = ["10.0.0.1", "127.0.0.1", "::1", "10.0.0.4"];
    const seers = [
      seerAt("10.0.0.9", "10.0.0.254"),
      { ...seerAt("10.0.0.9", "10.0.0.254"), extras: true },
      seerAt("192.168.1.9", "192.168.1.1"),
      seerAt("127.0.0.1", "127.0.0.1"),
    ];
    const encode = (lines: string[]) => new TextEncoder().encode(lines.join("\n"));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const catalog = new Catalog();
        for (const { what, peer, name, size } of steps) {
          const id = `p${peer}`;
          const record = { ...recordOf(name), size };
          if (what === "put") catalog.put(memberOf(id, places[peer] ?? "10.0.0.1", 1000 + peer), [record]);
          else if (what === "add") catalog.add(id, record, 5);
          else if (what === "drop") catalog.drop(id, record.name);
          else if (what === "leave") catalog.leave(id);
          else catalog.setReach(id, size % 2 === 0);
          for (const seer of seers) {
            for (const wanted of ["a.txt", "b.txt"].map(parseFileName)) {
              const bytes = catalog.answer(wanted, seer, 200, encode);
              expect(new TextDecoder().decode(bytes)).toBe(catalog.search(wanted, seer, 200).join("\n"));
            }
          }
        }
      }),
      { seed: 20_261_122, numRuns: 100 },
    );
  });
});

describe("peers with one address and port, behind one router", () => {
  test("are told apart by id=, only while they are several, and only for those that know extras", () => {
    const catalog = new Catalog();
    const [a, b] = [recordOf("a.txt"), recordOf("b.txt")];
    const seer = { ...anyone, extras: true };
    const encode = (lines: string[]) => utf8.encode(lines.join("\n"));
    const found = (name: FileRecord, by: Seer = seer) =>
      parseRecord(new TextDecoder().decode(catalog.answer(name.name, by, 10, encode))).peer;
    catalog.put(memberOf("p1", "10.9.0.9", 1235), [a]);
    expect(found(a)).toBeUndefined();
    catalog.put(memberOf("p2", "10.9.0.9", 1235), [b]);
    expect([found(a), found(b), found(a, anyone)]).toEqual(["p1", "p2", undefined]);
    const at = { address: addressOf("10.9.0.9"), port: 1235 };
    expect(["p1", "p2", "p3"].map((id) => catalog.at(at, seer, id)?.id)).toEqual(["p1", "p2", undefined]);
    catalog.put(memberOf("p2", "10.9.0.9", 1236), [b]);
    expect([found(a), found(b)]).toEqual([undefined, undefined]);
    catalog.put(memberOf("p3", "10.9.0.9", 1236), [recordOf("c.txt")]);
    expect(found(b)).toBe("p2");
    catalog.leave("p3");
    expect(found(b)).toBeUndefined();
  });
});

test("a name that begins with the invisible U+FEFF is kept as it is", () => {
  const catalog = new Catalog();
  for (const name of ["\ufeff", "\ufefflist.csv"]) catalog.put(memberOf("p1", "10.0.0.1", 1235), [recordOf(name)]);
  expect(catalog.search(recordOf("\ufefflist.csv").name, anyone, 10).map((line) => parseRecord(line).name)).toEqual([
    recordOf("\ufefflist.csv").name,
  ]);
});
