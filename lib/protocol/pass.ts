// Signs and reads passes and the tickets of guests. By a pass, a tracker states that it has accepted a peer. The signatures are Ed25519
// (RFC 8032), by the runtime's own cryptography.

import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { type Address, type Endpoint, formatEndpoint, parseAddress, parseWhole } from "./address.ts";

/** The content of a pass. `expires` is in seconds since 1970, by the tracker's clock. */
export interface Pass {
  id: string;
  address: Address;
  expires: number;
  /** In a private room: the fingerprint of the peer's certificate. The pass is good on connections with that certificate only. */
  fingerprint?: string | undefined;
}

/** The content of a keyed pass: good from every address, for the peer that has the private half of the key. */
interface KeyedPass extends Omit<Pass, "address"> {
  /** The public key of the peer's session. */
  key: string;
}

/** The content of a ticket: a guest at this address may download this content. `expires` is in seconds since 1970. */
interface Ticket {
  address: Address;
  /** The content id. */
  root: string;
  expires: number;
}

/** A new private key of a tracker. */
export function newKey(): KeyObject {
  return generateKeyPairSync("ed25519").privateKey;
}

/** Signs passes, and proves that it has the key. */
export class PassOffice {
  readonly #privateKey: KeyObject;
  /** The public key as `HI` carries it, base64url. */
  readonly key: string;

  constructor(privateKey: KeyObject = newKey()) {
    this.#privateKey = privateKey;
    this.key = String(createPublicKey(privateKey).export({ format: "jwk" }).x);
  }

  /** The answer to a peer's challenge, base64url; none to a text that is no challenge. */
  prove(challenge: string): string | undefined {
    return CHALLENGE.test(challenge) ? sign(null, proofText(challenge), this.#privateKey).toString("base64url") : undefined;
  }

  /** `base64url(payload).base64url(signature)`; the payload is the id, the address and the expiry, a space between. */
  issue({ id, address, expires, fingerprint }: Pass): string {
    return this.#signed(`${id} ${address} ${expires}${ending(fingerprint)}`);
  }

  /** The same with the key of a peer's session in place of the address; undefined for a text that is no key. */
  issueKeyed({ id, key, expires, fingerprint }: KeyedPass): string | undefined {
    return KEY.test(key) ? this.#signed(`${id} ${key} ${expires}${ending(fingerprint)}`) : undefined;
  }

  /** A ticket for a guest of the tracker's web page. */
  issueTicket({ address, root, expires }: Ticket): string {
    return this.#signed(`guest ${address} ${root} ${expires}`);
  }

  #signed(text: string): string {
    const payload = Buffer.from(text);
    return `${payload.toString("base64url")}.${sign(null, payload, this.#privateKey).toString("base64url")}`;
  }
}

/** In a private room a payload has a fourth word. */
function ending(fingerprint: string | undefined): string {
  return fingerprint === undefined ? "" : ` fp=${fingerprint}`;
}

/** A peer's challenge to a tracker: letters, digits, `-` and `_`. With a space in it, its proof could be a pass. */
const CHALLENGE = /^[\w-]{16,64}$/;

/** An Ed25519 public key in base64url. No address looks like one. */
const KEY = /^[\w-]{43}$/;

/** A pass has three words. This text has two, so that no proof is a pass. */
function proofText(challenge: string): Buffer {
  return Buffer.from(`challenge ${challenge}`);
}

/** Whether the tracker that answered the challenge has the private key to `key`. */
export function isProven(key: string, challenge: string, proof: string): boolean {
  return proof.length <= 256 && isSigned(proofText(challenge), proof, key);
}

/** The key by which a peer proves that a session is its own. A new one is made for each run. */
export class SessionKey {
  readonly #privateKey = newKey();
  /** The public key as HELLO carries it, base64url. */
  readonly key = String(createPublicKey(this.#privateKey).export({ format: "jwk" }).x);

  /** The proof that FILES carries, base64url. */
  prove(nonce: string, session: string): string {
    return sign(null, Buffer.from(`session ${nonce} ${session}`), this.#privateKey).toString("base64url");
  }

  /** The proof that a keyed pass is this peer's own, for the holder whose record has this address and port; none to a text that is no nonce. */
  provePass(nonce: string, at: Endpoint): string | undefined {
    return CHALLENGE.test(nonce) ? sign(null, passProofText(nonce, at), this.#privateKey).toString("base64url") : undefined;
  }
}

/**
 * The holder's address and port are in the text, so that one holder cannot use the proof at another. The first word tells it from
 * the proof of a session.
 */
function passProofText(nonce: string, at: Endpoint): Buffer {
  return Buffer.from(`pass ${nonce} ${formatEndpoint(at)}`);
}

/** Whether the peer that shows a keyed pass has the private key to `key`. */
export function isPassProven(key: string, nonce: string, at: Endpoint, proof: string): boolean {
  return proof.length <= 256 && isSigned(passProofText(nonce, at), proof, key);
}

/** Whether the peer that says a session has the private key to `key`. */
export function isSessionProven(key: string, nonce: string, session: string, proof: string): boolean {
  return proof.length <= 256 && isSigned(Buffer.from(`session ${nonce} ${session}`), proof, key);
}

function isSigned(payload: Buffer, signature64: string, key: string): boolean {
  try {
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key }, format: "jwk" });
    return verify(null, payload, publicKey, Buffer.from(signature64, "base64url"));
  } catch {
    // This text is no key.
    return false;
  }
}

/** The content of a pass if `key` signed it, or undefined. The caller checks the expiry and the address. */
export function readPass(pass: string, key: string): Pass | undefined {
  const { id, second, expires, more } = readSigned(pass, key) ?? {};
  const address = parseAddress(second ?? "");
  if (id === undefined || address === undefined || expires === undefined) return undefined;
  return { id, address, expires, ...more };
}

/** The content of a keyed pass if the tracker with the key `signer` signed it, or undefined. The caller checks the expiry and the proof. */
export function readKeyedPass(pass: string, signer: string): KeyedPass | undefined {
  const { id, second: key = "", expires, more } = readSigned(pass, signer) ?? {};
  return id === undefined || expires === undefined || !KEY.test(key) ? undefined : { id, key, expires, ...more };
}

/** The content of a ticket if `key` signed it, or undefined. The caller checks the expiry, the address and the content. */
export function readTicket(ticket: string, key: string): Ticket | undefined {
  const [kind, addressText = "", root, expiresText = "", rest] = wordsSigned(ticket, key);
  const address = parseAddress(addressText);
  const expires = parseWhole(expiresText);
  if (kind !== "guest" || address === undefined || !root || expires === undefined || rest !== undefined) return undefined;
  return { address, root, expires };
}

/** The last word of a payload in a private room. */
const FINGERPRINT = /^fp=([0-9a-f]{64})$/;

interface Signed {
  id: string;
  second: string;
  expires: number;
  more: { fingerprint?: string };
}

function readSigned(pass: string, key: string): Signed | undefined {
  const [id, second, expiresText, last, rest] = wordsSigned(pass, key);
  const expires = parseWhole(expiresText ?? "");
  const [, fingerprint] = FINGERPRINT.exec(last ?? "") ?? [];
  if (!id || second === undefined || expires === undefined || rest !== undefined) return undefined;
  if (last !== undefined && fingerprint === undefined) return undefined;
  return { id, second, expires, more: fingerprint === undefined ? {} : { fingerprint } };
}

/** The words of a payload that `key` signed; none if it did not. */
function wordsSigned(signed: string, key: string): string[] {
  const [payload64, signature64, more] = signed.split(".");
  if (payload64 === undefined || signature64 === undefined || more !== undefined || signed.length > 1024) return [];
  const payload = Buffer.from(payload64, "base64url");
  return isSigned(payload, signature64, key) ? payload.toString("utf8").split(" ") : [];
}
