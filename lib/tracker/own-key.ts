// The key by which peers know this tracker again, in a file of this user. It stays when the tracker is restarted: else every restart
// would look to every peer like another tracker of the same name.

import { createPrivateKey, type KeyObject } from "node:crypto";
import { readOwnFile, writeOwnFile } from "../files.ts";
import { newKey } from "../protocol/pass.ts";

/** No key is longer. Bytes. */
const LONGEST = 4096;

/** The key in the file, or a new one, which the file has from now on. Where neither is possible, the key ends with the program. */
export function ownKey(path: string): KeyObject {
  const kept = keyOf(readOwnFile(path, LONGEST, { secret: true }) ?? "");
  if (kept !== undefined) return kept;
  const key = newKey();
  // A file that is there already was not understood, or is another user's: it is left as it is.
  writeOwnFile(path, String(key.export({ format: "pem", type: "pkcs8" })), { over: false });
  return key;
}

function keyOf(text: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(text);
    return key.asymmetricKeyType === "ed25519" ? key : undefined;
  } catch {
    // This text is no key.
    return undefined;
  }
}
