// Passes: a tracker's signed statement that it has accepted a peer. Ed25519 (RFC 8032) by the runtime's own cryptography.

import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { type Address, parseAddress, parseWhole } from "./address.ts";

/** What a pass says. `expires` is in seconds since 1970, by the tracker's clock. */
export interface Pass {
  id: string;
  address: Address;
  expires: number;
}

/** Signs passes. The keys live as long as the tracker. After a restart every peer gets a new pass. */
export class PassOffice {
  readonly #privateKey: KeyObject;
  /** The public key as `HI` carries it, base64url. */
  readonly key: string;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.#privateKey = privateKey;
    this.key = String(publicKey.export({ format: "jwk" }).x);
  }

  /** `base64url(payload).base64url(signature)`; the payload is the id, the address and the expiry, a space between. */
  issue({ id, address, expires }: Pass): string {
    const payload = Buffer.from(`${id} ${address} ${expires}`);
    return `${payload.toString("base64url")}.${sign(null, payload, this.#privateKey).toString("base64url")}`;
  }
}

/** What a pass says, if `key` signed it, or undefined. The caller checks the expiry and the address. */
export function readPass(pass: string, key: string): Pass | undefined {
  const [payload64, signature64, more] = pass.split(".");
  if (payload64 === undefined || signature64 === undefined || more !== undefined || pass.length > 1024) return undefined;
  const payload = Buffer.from(payload64, "base64url");
  try {
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: key }, format: "jwk" });
    if (!verify(null, payload, publicKey, Buffer.from(signature64, "base64url"))) return undefined;
  } catch {
    // This text is no key.
    return undefined;
  }
  const [id, addressText, expiresText, rest] = payload.toString("utf8").split(" ");
  const address = parseAddress(addressText ?? "");
  const expires = parseWhole(expiresText ?? "");
  if (!id || address === undefined || expires === undefined || rest !== undefined) return undefined;
  return { id, address, expires };
}
