// Judges the name that a person chooses for this peer. A stranger's name is made harmless in silence; a person is told what is wrong.

import { PEER_NAME_LIMIT, peerName } from "../protocol/peer-name.ts";
import { byteLength, printable } from "../text.ts";

/** What a typed name has to be, as the end of a sentence; undefined when it can be the name. Blanks at its ends do not matter. */
export function needsOfName(typed: string): string | undefined {
  const name = peerName(typed);
  const plain = typed
    .normalize("NFC")
    .replace(/\p{Zs}+/gu, " ")
    .trim();
  if (name !== "" && name === plain) return undefined;
  if (byteLength(plain) > PEER_NAME_LIMIT) return `a name of at most ${PEER_NAME_LIMIT} bytes`;
  const example = name === "" ? "Ben" : `"${name}"`;
  return `a name that people can read, such as ${example}`;
}

/** The sentence about a name of the command line that was shortened or made harmless. */
export function describeChangedName(name = ""): string {
  return `Others see you as "${printable(name)}": a name has at most ${PEER_NAME_LIMIT} bytes, and only characters that people can see.`;
}
