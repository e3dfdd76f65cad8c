// Proves to two programs that both know the same words, and tells nobody else anything about these words: CPace, as in
// draft-irtf-cfrg-cpace-21, with X25519 and SHA-512. A program with wrong words learns that they were wrong, and cannot try others
// with what it has heard. BigInts are not of constant time; the generator depends on each connection, so that a time tells little.

import { createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, timingSafeEqual } from "node:crypto";

/** The field of Curve25519 (RFC 7748). */
const P = 2n ** 255n - 19n;
/** The coefficient of Curve25519: v² = u³ + Ju² + u. */
const J = 486662n;
/** The name of the group in every hash. */
const DSI = ascii("CPace255");
/** A block of SHA-512. Bytes. */
const HASH_BLOCK = 128;
/** A scalar, or an encoded point. Bytes. */
export const POINT_BYTES = 32;
/** What stands before the 32 bytes of a private X25519 key in PKCS #8, and of a public one in SPKI. */
const PKCS8_START = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI_START = Buffer.from("302a300506032b656e032100", "hex");

/** A side's message: its public share, and the data that it binds to it. */
export interface Share {
  point: Uint8Array;
  data: Uint8Array;
}

/** Joins byte strings, each with its length before it, so that no other strings give the same bytes. */
export function lengthValues(...values: Uint8Array[]): Buffer {
  return Buffer.concat(values.flatMap((value) => [leb128(value.length), value]));
}

/** The point of which both sides compute multiples. `words`: the secret; `about`: public; `session`: another one each time. */
export function generator(words: Uint8Array, about: Uint8Array, session: Uint8Array): Buffer {
  const hash = createHash("sha512")
    .update(generatorText(words, about, session))
    .digest();
  return encode(elligator2(decode(hash.subarray(0, POINT_BYTES))));
}

/** The text whose hash gives the generator. Its first block depends on the words alone. */
export function generatorText(words: Uint8Array, about: Uint8Array, session: Uint8Array): Buffer {
  const used = lengthValues(DSI, words).length + 1;
  return lengthValues(DSI, words, new Uint8Array(Math.max(0, HASH_BLOCK - used)), about, session);
}

/** X25519 of a scalar and a point; undefined for a point of low order, whose multiples tell nothing about the scalar. */
export function multiply(scalar: Uint8Array, point: Uint8Array): Buffer | undefined {
  if (point.length !== POINT_BYTES) return undefined;
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_START, scalar]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_START, point]), format: "der", type: "spki" });
  try {
    const product = diffieHellman({ privateKey, publicKey });
    return product.every((byte) => byte === 0) ? undefined : product;
  } catch {
    // The runtime refuses points of low order, too.
    return undefined;
  }
}

/** The key that both sides have if their words, and everything else, are the same. `common`: the product of both scalars. */
export function sessionKey(common: Uint8Array, session: Uint8Array, opener: Share, answerer: Share): Buffer {
  return createHash("sha512")
    .update(lengthValues(Buffer.concat([DSI, ascii("_ISK")]), session, common))
    .update(lengthValues(opener.point, opener.data))
    .update(lengthValues(answerer.point, answerer.data))
    .digest();
}

/** The tag by which a side shows that it has the key. It covers the share that this side has sent. */
export function confirmation(key: Uint8Array, session: Uint8Array, { point, data }: Share): Buffer {
  const macKey = createHash("sha512").update(ascii("CPaceMac")).update(session).update(key).digest();
  return createHmac("sha512", macKey).update(lengthValues(point, data)).digest();
}

/** Whether two tags are the same, in a time that does not depend on where they differ. */
export function isSameTag(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

/** Maps a number of the field to the u of a point of the curve: Elligator 2 (RFC 9380, section 6.7.1), with Z = 2. */
export function elligator2(number: bigint): bigint {
  const u = modulo(-J * power(modulo(1n + 2n * number * number), P - 2n));
  // Exactly one of the two is the u of a point of the curve. The other one is of its twist.
  const isOnCurve = power(modulo(u * (u * u + J * u + 1n)), (P - 1n) / 2n) === 1n;
  const other = modulo(-u - J);
  return isOnCurve ? u : other;
}

/** The number that 32 bytes stand for in RFC 7748: the lowest byte first, without the highest bit. */
function decode(bytes: Uint8Array): bigint {
  const high = Buffer.from(bytes).reverse();
  high[0] = (high[0] ?? 0) & 0x7f;
  return BigInt(`0x${high.toString("hex")}`) % P;
}

function encode(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(2 * POINT_BYTES, "0"), "hex").reverse();
}

function modulo(number: bigint): bigint {
  const rest = number % P;
  return rest < 0n ? rest + P : rest;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % P;
    if (bit === "1") result = (result * base) % P;
  }
  return result;
}

/** A length as a number of any size: seven bits a byte, the lowest first. */
function leb128(length: number): Buffer {
  const bytes: number[] = [];
  let left = length;
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80);
  return Buffer.from([...bytes, left]);
}

function ascii(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
