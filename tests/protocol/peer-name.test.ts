// Names of peers: what a stranger's text becomes, and which names are one.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { foldPeerName, PEER_NAME_LIMIT, peerName } from "../../lib/protocol/peer-name.ts";
import { byteLength, printable } from "../../lib/text.ts";

/** Fixed, so that a run can be repeated. */
const SEED = 20_261_122;

describe("peerName", () => {
  test.each([
    ["Ben", "Ben"],
    ["Room 12, left", "Room 12, left"],
    ['"Ben" <b@c>; 100 %', '"Ben" <b@c>; 100 %'],
    ["Büro Zoë", "Büro Zoë"],
    ["Zoe\u0308", "Zoë"],
    ["李雷", "李雷"],
    ["דנה", "דנה"],
    ["🦊 fox ❤️", "🦊 fox ❤️"],
    ["Ben (2)", "Ben (2)"],
  ])("keeps %j", (text, name) => {
    expect(peerName(text)).toBe(name);
  });

  test.each([
    ["  Ben \t Smith ", "Ben Smith"],
    ["Ben\nkicked: Ann", "Ben kicked: Ann"],
    ["Ben\r\n\0\x1b[31m", "Ben [31m"],
    ["\u202eneB", "neB"],
    ["B\u200be\u200dn\ufeff", "Ben"],
    ["\u3000Ben\u00a0S\u2028x", "Ben S x"],
    ["Ben\u{e0041}\u{e007f}", "Ben"],
    [`e${"\u0301".repeat(500)}`, "é\u0301\u0301\u0301\u0301"],
    ["Be\ud800n", "Ben"],
  ])("makes %j harmless", (text, name) => {
    expect(peerName(text)).toBe(name);
  });

  test.each([
    "",
    " \n\t ",
    "\u200b\u2060",
    "\u2800\u3164",
    "10.0.0.7",
    "10.0.0.7:1235",
    "[fd00::7]:1235",
    "fd00::7",
    "10.0.0.0/8",
    "１０.0.0.7",
    "10.0.0.\u200b7",
  ])("gives no name for %j", (text) => {
    expect(peerName(text)).toBe("");
  });

  test("cuts to 64 bytes, between characters, however long the text is", () => {
    expect(peerName("n".repeat(65_536))).toBe("n".repeat(PEER_NAME_LIMIT));
    expect(peerName("李".repeat(30))).toBe("李".repeat(21));
    expect(peerName(`${"n".repeat(62)}👩🏽rest`)).toBe("n".repeat(62));
    expect(peerName(`${"n".repeat(63)} end`)).toBe("n".repeat(63));
  });

  test("whatever the text: short, printable, and the same when it is read again", () => {
    const hostile = fc.constantFrom(
      "\n",
      "\u202e",
      "\u200d",
      "\u0301",
      " ",
      "\u3000",
      "%",
      "(2)",
      "\ud800",
      "é",
      "❤",
      "\ufe0f",
      "1",
      ".",
    );
    const text = fc.array(fc.oneof(hostile, fc.string({ unit: "binary", maxLength: 4 })), { maxLength: 40 });
    fc.assert(
      fc.property(text, (parts) => {
        const name = peerName(parts.join(""));
        expect(byteLength(name)).toBeLessThanOrEqual(PEER_NAME_LIMIT);
        expect(printable(name)).toBe(name);
        expect(name.trim()).toBe(name);
        expect(peerName(name)).toBe(name);
      }),
      { seed: SEED, numRuns: 2_000 },
    );
  });
});

describe("foldPeerName", () => {
  test.each([
    ["Ben", "BEN"],
    ["straße", "STRASSE"],
    ["Σίσυφος", "ΣΊΣΥΦΟΣ"],
    ["Ｂen", "Ben"],
    ["ﬁsh", "fish"],
  ])("%j and %j are one name", (one, other) => {
    expect(foldPeerName(one)).toBe(foldPeerName(other));
  });

  test("other letters are another name", () => {
    expect(foldPeerName("Ben")).not.toBe(foldPeerName("Bén"));
  });
});
