// Makes a peer's name harmless. The name is a label that a person chose: it proves nothing, and a stranger may have written it.

import { cutTo, replaceMisleading } from "../text.ts";
import { parseAddress } from "./address.ts";

/** The longest name of a peer. Bytes of UTF-8. */
export const PEER_NAME_LIMIT = 64;
/** A text of visible ASCII with single spaces. Most names are, and need no further look at their characters. */
const PLAIN = /^[!-~]+(?: [!-~]+)*$/;
/** Only the beginning of a longer text is read. Characters. */
const READ_LIMIT = 256;

/**
 * A stranger's text as the name of a peer, or "" when nothing of it can be one. A name is one line of visible characters, at most 64
 * bytes; blanks are single spaces. `" Ben\n\u202e"` becomes `"Ben"`. A text that reads as an address is no name.
 */
export function peerName(text: string): string {
  const isPlain = text.length <= PEER_NAME_LIMIT && PLAIN.test(text);
  const name = isPlain ? text : harmless(text.slice(0, READ_LIMIT));
  return readsAsAddress(name) ? "" : name;
}

function harmless(text: string): string {
  let name = text;
  // After a removal, the characters around it can be misleading in their new place.
  for (let before = ""; before !== name; ) {
    before = name;
    const visible = replaceMisleading(name.normalize("NFC").replace(/[\s\p{Cc}]+/gu, " "), () => "");
    name = cutTo(visible.replace(/\p{Zs}+/gu, " ").trim(), PEER_NAME_LIMIT).trim();
  }
  return name;
}

/** `10.0.0.7`, `[fd00::7]:1235`, `10.0.0.0/8`, in any digits that look like these. */
function readsAsAddress(name: string): boolean {
  const plain = name.normalize("NFKC");
  const bare = plain.replace(/[:/]\d*$/, "").replace(/^\[(.*)\]$/, "$1");
  return [plain, bare].some((one) => parseAddress(one) !== undefined);
}

/** A name without the number that a tracker gives to the second peer of that name: `Ben (2)` → `Ben`. */
export function withoutNumber(name: string): string {
  return name.replace(/ \(\d{1,2}\)$/, "");
}

/** A name as it is compared with others, whichever number each of them got. */
export function foldBareName(name: string): string {
  return foldPeerName(withoutNumber(name));
}

/** A name as it is compared with others: without case, and without the differences between forms of one character. */
export function foldPeerName(name: string): string {
  return name.normalize("NFKC").toUpperCase().toLowerCase().normalize("NFKC");
}
