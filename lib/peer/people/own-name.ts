// Tells a person what becomes of the name that they have typed for this peer.

import { PEER_NAME_LIMIT, peerName } from "../../protocol/peer-name.ts";
import { printable } from "../../text.ts";

/** Whether others see another name than the typed one, because that is too long or has characters that nobody can see. */
export function isNameChanged(typed: string): boolean {
  return (
    peerName(typed) !==
    typed
      .normalize("NFC")
      .replace(/\p{Zs}+/gu, " ")
      .trim()
  );
}

/** The sentence about a name of the command line that was shortened or made harmless. */
export function describeChangedName(name = ""): string {
  return `Others see you as "${printable(name)}": a name has at most ${PEER_NAME_LIMIT} bytes, and only characters that people can see.`;
}
