// CPace against the vectors of draft-irtf-cfrg-cpace-21 (appendices A.1 and B.1), and its curve against another implementation.

import { describe, expect, test } from "bun:test";
import { _map_to_curve_elligator2_curve25519, x25519 } from "@noble/curves/ed25519.js";
import {
  confirmation,
  elligator2,
  generator,
  generatorText,
  isSameTag,
  lengthValues,
  multiply,
  sessionKey,
} from "../../lib/protocol/cpace.ts";
import { noise } from "../helpers/sockets.ts";

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");
const words = Buffer.from("Password");
const about = hex("0b415f696e69746961746f720b425f726573706f6e646572");
const session = hex("7e4b4791d6a8ef019b936c79fb7f2c57");
const scalars = {
  a: hex("21b4f4bd9e64ed355c3eb676a28ebedaf6d8f17bdc365995b319097153044080"),
  b: hex("848b0779ff415f0af4ea14df9dd1d3c29ac41d836c7808896c4eba19c51ac40a"),
};
const opener = {
  point: hex("1d13c89278cdadd826f6d8d7f887701430f8380ddc17611cdd6dc989ce0c9f32"),
  data: Buffer.from("ADa"),
};
const answerer = {
  point: hex("248cccf6d5cdc3646f0ad593f9e6cef4e69d4945f8372e623512ecea32185623"),
  data: Buffer.from("ADb"),
};
const common = hex("5b067effbdc0b2a0e1d907b21ebb25cfedb96a852179a847c37e43ee71322c6b");
const key = hex(
  "6e19b875f7a561d6b3ca3dbb9ef42ac55de3e717881018204b8922b4d5e53bb2aa82c300bea7b65d2b671da71922ddf6472301b79bc270adfa8bf413285f2263",
);

describe("the vectors of the draft", () => {
  test("lengthValues", () => {
    expect(lengthValues(Buffer.from("1234"), Buffer.from("5"), Buffer.alloc(0), Buffer.from("678"))).toEqual(
      hex("043132333401350003363738"),
    );
    expect(lengthValues(new Uint8Array(127)).subarray(0, 2)).toEqual(hex("7f00"));
    expect(lengthValues(new Uint8Array(128)).subarray(0, 3)).toEqual(hex("800100"));
    expect(lengthValues(new Uint8Array(128))).toHaveLength(130);
  });

  test("generator", () => {
    const text = `0843506163653235350850617373776f72646d${"00".repeat(109)}180b415f696e69746961746f720b425f726573706f6e646572
      107e4b4791d6a8ef019b936c79fb7f2c57`;
    expect(generatorText(words, about, session)).toEqual(hex(text));
    expect(generator(words, about, session)).toEqual(hex("d04bf6d41f6a289632a2e929fa29bebd51092512a7829fdde7d314b62f05a73f"));
  });

  test("shares, and the product of both scalars", () => {
    const point = generator(words, about, session);
    expect(multiply(scalars.a, point)).toEqual(opener.point);
    expect(multiply(scalars.b, point)).toEqual(answerer.point);
    expect(multiply(scalars.a, answerer.point)).toEqual(common);
    expect(multiply(scalars.b, opener.point)).toEqual(common);
  });

  test("sessionKey", () => {
    expect(sessionKey(common, session, opener, answerer)).toEqual(key);
  });

  test("points of low order give nothing, and those above the field what they stand for", () => {
    const scalar = hex("af46e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449aff");
    const products = {
      "0000000000000000000000000000000000000000000000000000000000000000": undefined,
      "0100000000000000000000000000000000000000000000000000000000000000": undefined,
      ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f: undefined,
      e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800: undefined,
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157": undefined,
      edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f: undefined,
      daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff:
        "d8e2c776bbacd510d09fd9278b7edcd25fc5ae9adfba3b6e040e8d3b71b21806",
      eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f: undefined,
      dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff:
        "c85c655ebe8be44ba9c0ffde69f2fe10194458d137f09bbff725ce58803cdb38",
      d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff:
        "db64dafa9b8fdd136914e61461935fe92aa372cb056314e1231bc4ec12417456",
      cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880:
        "e062dcd5376d58297be2618c7498f55baa07d7e03184e8aada20bca28888bf7a",
      "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7":
        "993c6ad11c4c29da9a56f7691fd0ff8d732e49de6250b6c2e80003ff4629a175",
    };
    for (const [point, product] of Object.entries(products)) {
      expect([point, multiply(scalar, hex(point))?.toString("hex")]).toEqual([point, product]);
    }
    expect(multiply(scalar, new Uint8Array(31))).toBeUndefined();
  });
});

test("the curve is that of another implementation", () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const number = BigInt(`0x${Buffer.from(noise(31, seed)).toString("hex")}`);
    const { xMn, xMd } = _map_to_curve_elligator2_curve25519(number);
    const p = 2n ** 255n - 19n;
    expect((elligator2(number) * xMd) % p).toBe(xMn);
    const [scalar, point] = [noise(32, 1000 + seed), noise(32, 2000 + seed)];
    expect(multiply(scalar, point)).toEqual(Buffer.from(x25519.getSharedSecret(scalar, point)));
  }
});

test("a confirmation is good for its key, its session and its share alone", () => {
  const tag = confirmation(key, session, opener);
  expect(isSameTag(tag, confirmation(key, session, opener))).toBe(true);
  expect(isSameTag(tag, confirmation(key, session, answerer))).toBe(false);
  expect(isSameTag(tag, confirmation(key, about, opener))).toBe(false);
  expect(isSameTag(tag, confirmation(common, session, opener))).toBe(false);
  expect(isSameTag(tag, tag.subarray(1))).toBe(false);
});
