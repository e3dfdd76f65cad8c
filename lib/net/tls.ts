// Encrypts the connections of private rooms with TLS 1.3. Certificates prove nothing by themselves: every one is taken, and the programs
// compare fingerprints with what the tracker says, or prove the room's key over this very connection.

import type { Socket, TLSOptions } from "bun";
import { type Certificate, fingerprintOf } from "./certificate.ts";
import type { Secured } from "./channel.ts";
import type { TcpChannel } from "./tcp.ts";

/** A connection whose handshake takes longer is closed. Milliseconds. */
export const HANDSHAKE_MS = 10_000;
/** TLS 1.3, as the protocol numbers it. */
const TLS_1_3 = 0x0304;
/** The name under which both ends compute their binding (RFC 8446, section 7.5). */
const BINDING_LABEL = "EXPORTER-FileTracker-room";
/** The length of a binding. Bytes. */
const BINDING_BYTES = 32;

/** The options of a socket that speaks TLS 1.3 and nothing older. Both sides show a certificate. */
export function tlsOptions({ cert, key }: Certificate): TLSOptions {
  const either = { cert, key, requestCert: true, rejectUnauthorized: false, lowMemoryMode: true };
  // A server's name would be sent as plain text. The number is missing in the types of the runtime.
  const options: TLSOptions & { minVersion: number } = { ...either, serverName: "", minVersion: TLS_1_3 };
  return options;
}

/** The facts of a connection after its handshake; undefined when that failed, or the other side has shown no certificate. */
export function securedBy(socket: Socket<TcpChannel>): Secured | undefined {
  try {
    if (socket.getTLSVersion() !== "TLSv1.3") return undefined;
    const binding = () => socket.exportKeyingMaterial(BINDING_BYTES, BINDING_LABEL, Buffer.alloc(0));
    binding();
    return { fingerprint: fingerprintOf(socket.getPeerX509Certificate()), binding };
  } catch {
    return undefined;
  }
}
