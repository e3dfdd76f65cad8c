// Makes the certificates of private rooms. They carry a key and nothing else: no name, no date, no issuer that anybody believes.

import { createHash, X509Certificate } from "node:crypto";

/** A certificate with its private key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** What stands in every certificate, so that it tells nothing about its holder. */
const NAME = "CN=peer";
/** RFC 5280 writes this for a certificate without an end. */
const NEVER = new Date("9999-12-31T23:59:59Z");

/** A certificate with a new P-256 key. */
export async function newCertificate(): Promise<Certificate> {
  // The package takes a moment to load, and open trackers do not need it. It wants `Reflect.metadata` to be there before it.
  await import("reflect-metadata");
  const { PemConverter, X509CertificateGenerator } = await import("@peculiar/x509");
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "01",
    name: NAME,
    notBefore: new Date(0),
    notAfter: NEVER,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    keys,
  });
  const secret = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { cert: made.toString("pem"), key: PemConverter.encode(secret, "PRIVATE KEY") };
}

/** SHA-256 of a certificate, in 64 hex digits. */
export function fingerprintOf(certificate: X509Certificate | Pick<Certificate, "cert">): string {
  const { raw } = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate.cert);
  return createHash("sha256").update(raw).digest("hex");
}
