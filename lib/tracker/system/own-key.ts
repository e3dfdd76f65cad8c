// Keeps the key by which peers recognise this tracker, in a file of this user. A restarted tracker has the same key: otherwise each restart
// would look to every peer like another tracker of the same name.

import { createPrivateKey, type KeyObject } from "node:crypto";
import { mkdirSync, type Stats, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { codeOf, pathFault } from "../../error.ts";
import { readPlainFile } from "../../files.ts";
import { newKey } from "../../protocol/pass.ts";
import { printable } from "../../text.ts";

/** The longest key file that is read. Bytes. */
const LONGEST = 4096;

/**
 * The key in the file, or a new one, which the file has from now on. Where neither is possible, the key ends with the program, and `lost`
 * is called with the reason, a clause.
 */
export function ownKey(path: string, lost: (reason: string) => void = () => {}): KeyObject {
  const kept = readKey(path);
  if (kept !== undefined) return kept;
  const key = newKey();
  keepKey(path, key, lost);
  return key;
}

/** Puts the key into the file, if there is none. */
export function keepKey(path: string, key: KeyObject, lost: (reason: string) => void = () => {}): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // `wx`: a file that is there already was not understood, or is another user's, and is left as it is.
    writeFileSync(path, key.export({ format: "pem", type: "pkcs8" }), { flag: "wx", mode: 0o600 });
  } catch (error) {
    const isThere = codeOf(error) === "EEXIST";
    const file = `"${printable(path)}"`;
    lost(isThere ? `${file} is no key that only you can read and write` : `cannot write ${file} (${pathFault(error)})`);
  }
}

/** A key that others could have written, or can read, is not used. */
function readKey(path: string): KeyObject | undefined {
  const self = process.getuid?.();
  const isSecret = ({ uid, mode, nlink }: Stats) => self === undefined || (uid === self && (mode & 0o077) === 0 && nlink === 1);
  try {
    const key = createPrivateKey(readPlainFile(path, LONGEST, isSecret));
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    // There is no such file yet, or no key in it.
    return undefined;
  }
}
