// Makes the certificates of private rooms. They carry a key and nothing else: no name, no date, no issuer that anybody believes.
//
// TLS wants an X.509 certificate (RFC 5280). The runtime makes keys and signatures, but no certificates. The simple code would be a package
// for them: `@peculiar/x509` is 0.4 MB of code, and cost each start of both programs 10 ms of CPU time. Here all fields
// but the key and the signature are the same in every certificate, so a page of code is enough.

import { createHash, generateKeyPairSync, sign, X509Certificate } from "node:crypto";

/** A certificate with its private key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** The kinds of values in DER, the encoding of certificates (X.690): the first byte of each value. */
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_ID = 0x06;
const UTF8 = 0x0c;
const UTC_TIME = 0x17;
const LONG_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
const VERSION = 0xa0;

/** One value in DER: its kind, its length and its content. `der(INTEGER, [1])` is 02 01 01. */
function der(kind: number, ...parts: (string | Uint8Array | number[])[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
  const { length } = content;
  // From 128 on, the first byte of a length gives the number of its bytes.
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([kind, ...size]), content]);
}

/** `ecdsa-with-SHA256`, 1.2.840.10045.4.3.2. */
const ALGORITHM = der(SEQUENCE, der(OBJECT_ID, [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
/** `CN=peer` stands in every certificate, so that it tells nothing about its holder. */
const NAME = der(SEQUENCE, der(SET, der(SEQUENCE, der(OBJECT_ID, [0x55, 0x04, 0x03]), der(UTF8, "peer"))));
/** From 1970 to the time that RFC 5280 writes for a certificate without an end. */
const VALIDITY = der(SEQUENCE, der(UTC_TIME, "700101000000Z"), der(LONG_TIME, "99991231235959Z"));
/** Version 3 is written as 2. */
const START = Buffer.concat([der(VERSION, der(INTEGER, [2])), der(INTEGER, [1]), ALGORITHM, NAME, VALIDITY, NAME]);

/** A certificate with a new P-256 key. */
export function newCertificate(): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signed = der(SEQUENCE, START, publicKey.export({ type: "spki", format: "der" }));
  // A bit string begins with the number of bits that its last byte does not use.
  const signature = der(BIT_STRING, [0], sign("sha256", signed, privateKey));
  const cert = new X509Certificate(der(SEQUENCE, signed, ALGORITHM, signature)).toString();
  return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
}

/** SHA-256 of a certificate, in 64 hex digits. */
export function fingerprintOf(certificate: X509Certificate | Pick<Certificate, "cert">): string {
  const { raw } = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate.cert);
  return createHash("sha256").update(raw).digest("hex");
}
