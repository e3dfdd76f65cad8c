// Signs a file as minisign does (https://jedisct1.github.io/minisign), and checks such a signature.

import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";

/** A key that has no password: `minisign -G -W` makes one. */
export interface SecretKey {
  id: Buffer;
  key: KeyObject;
}

/** The size of a secret key's file, and where its parts are. Bytes. */
const SECRET_SIZE = 158;
const SECRET_ID = 54;
const SECRET_SEED = 62;
const SEED_SIZE = 32;
/** What stands before a raw Ed25519 key in the formats that node:crypto reads (RFC 8410). */
const PRIVATE_START = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_START = Buffer.from("302a300506032b6570032100", "hex");
/** Ed25519 of the file's BLAKE2b hash. */
const HASHED = "ED";

/** Reads the text of a secret key's file. Throws a sentence. */
export function readSecretKey(text: string): SecretKey {
  const bytes = Buffer.from(text.split("\n")[1] ?? "", "base64");
  if (bytes.length !== SECRET_SIZE || bytes.toString("latin1", 0, 2) !== "Ed")
    throw new RangeError("This is no secret key of minisign.");
  if (bytes.readUInt16LE(2) !== 0) throw new RangeError("This key has a password. Make one without: minisign -G -W");
  const seed = bytes.subarray(SECRET_SEED, SECRET_SEED + SEED_SIZE);
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_START, seed]), format: "der", type: "pkcs8" });
  return { id: bytes.subarray(SECRET_ID, SECRET_SEED), key };
}

/** The text of the signature file of these bytes. `comment` is signed, too. */
export function signatureText(bytes: Uint8Array, { id, key }: SecretKey, comment: string): string {
  const own = sign(null, hashOf(bytes), key);
  const whole = sign(null, Buffer.concat([own, Buffer.from(comment)]), key);
  const packed = Buffer.concat([Buffer.from(HASHED), id, own]).toString("base64");
  return `untrusted comment: signature of FileTracker\n${packed}\ntrusted comment: ${comment}\n${whole.toString("base64")}\n`;
}

/** The public key's file that belongs to a secret key. */
export function publicKeyText({ id, key }: SecretKey): string {
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(PUBLIC_START.length);
  const name = Buffer.from(id).reverse().toString("hex").toUpperCase();
  return `untrusted comment: minisign public key ${name}\n${Buffer.concat([Buffer.from("Ed"), id, raw]).toString("base64")}\n`;
}

/** Whether a signature file is that of these bytes, by this public key. */
export function isSignedBy(bytes: Uint8Array, signature: string, publicKey: string): boolean {
  const [, packed = "", commentLine = "", whole = ""] = signature.split("\n");
  const given = Buffer.from(packed, "base64");
  const known = Buffer.from(publicKey.split("\n")[1] ?? "", "base64");
  if (given.toString("latin1", 0, 2) !== HASHED || !given.subarray(2, 10).equals(known.subarray(2, 10))) return false;
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_START, known.subarray(10)]), format: "der", type: "spki" });
  const own = given.subarray(10);
  const comment = Buffer.from(commentLine.replace(/^trusted comment: /, ""));
  return (
    verify(null, hashOf(bytes), key, own) && verify(null, Buffer.concat([own, comment]), key, Buffer.from(whole, "base64"))
  );
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash("blake2b512").update(bytes).digest();
}
