// Makes texts that nobody can guess: tokens, nonces and challenges.

import { randomBytes } from "node:crypto";

/** A text that nobody can guess, of letters, digits, `-` and `_`. */
export function secret(): string {
  return randomBytes(18).toString("base64url");
}
