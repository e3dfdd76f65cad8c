// Finds the people to whom a person hands something out, by the ids, addresses or names that were typed.

import { FtError } from "../../error.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { PeerLine } from "../../protocol/messages.ts";
import { printable } from "../../text.ts";
import { findPeer } from "../people/find-peer.ts";
import { MOST_RECEIVERS } from "../share/hand-out.ts";

/** The most people who are named in a sentence. */
const NAMED = 20;

/**
 * The people that these texts mean: each text is one person, or several with commas between. Throws a sentence about a person who is not
 * online, which names the people online. `self`: this peer's own id.
 */
export function findReceivers(typed: string[], people: PeerLine[], self: string | undefined): PeerLine[] {
  const others = people.filter(({ id }) => id !== self);
  const find = (text: string): PeerLine => {
    const all = others.length === people.length ? others : people;
    try {
      const found = findPeer(text, all);
      if (found.id !== self) return found;
    } catch (error) {
      if (!(error instanceof FtError) || error.code !== "not-found") throw error;
      throw new FtError("not-found", `No peer "${printable(text)}" is online. ${onlineSentence(others)}`);
    }
    throw new FtError("self", `"${printable(text)}" is you. ${onlineSentence(others)}`);
  };
  const found = typed.flatMap((text) => {
    const names = text.split(",").filter((one) => one.trim() !== "");
    // A name may have a comma in it.
    return names.length > 1 && isOne(text, others) ? [find(text.trim())] : names.map((one) => find(one.trim()));
  });
  const distinct = [...new Set(found)];
  if (distinct.length <= MOST_RECEIVERS) return distinct;
  throw new FtError("too-many", `An offer to some goes to ${MOST_RECEIVERS} people at most. Give --to all.`);
}

function isOne(text: string, people: PeerLine[]): boolean {
  try {
    findPeer(text.trim(), people);
    return true;
  } catch {
    return false;
  }
}

/** Who is online, as a sentence. */
function onlineSentence(people: PeerLine[]): string {
  if (people.length === 0) return "Nobody else is online.";
  const labels = people.map((one) => (one.name === undefined ? formatEndpoint(one) : `"${printable(one.name)}"`));
  const more = labels.length > NAMED ? ` and ${labels.length - NAMED} more` : "";
  return `Online: ${labels.slice(0, NAMED).join(", ")}${more}.`;
}
