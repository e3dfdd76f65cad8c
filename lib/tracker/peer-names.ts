// Gives each peer that is online a name that no other one has.

import { foldPeerName, PEER_NAME_LIMIT, withoutNumber } from "../protocol/peer-name.ts";
import { byteLength, cutTo } from "../text.ts";

/** A name that is taken gets a number, up to `NAME (99)`. After that it gets the peer's id, which no other peer has. */
const NUMBER_LIMIT = 99;

export class PeerNames {
  /** The ids of the peers by their names as these are compared. */
  readonly #ids = new Map<string, string>();

  /** Takes a free name for a peer: the one that it asks for, or that one with a number. Without a name it gets none. */
  take(asked: string | undefined, id: string): string | undefined {
    if (asked === undefined) return undefined;
    const name = this.#free(asked, id);
    this.#ids.set(foldPeerName(name), id);
    return name;
  }

  /** Frees the name of a peer that has left. */
  free(name: string | undefined): void {
    if (name !== undefined) this.#ids.delete(foldPeerName(name));
  }

  /** The id of the peer that has a name, in whatever case it was typed. */
  idOf(name: string): string | undefined {
    return this.#ids.get(foldPeerName(name));
  }

  #free(asked: string, id: string): string {
    if (this.idOf(asked) === undefined) return asked;
    // A second "Ben (2)" becomes "Ben (3)", not "Ben (2) (2)".
    const bare = withoutNumber(asked);
    const short = shortened(bare, ` (${NUMBER_LIMIT})`);
    const folded = foldPeerName(short);
    // Where the last number is taken, the others mostly are, too. So a flood of peers with one name costs one look each, not a hundred.
    const isFull = this.#ids.has(`${folded} (${NUMBER_LIMIT})`);
    for (let number = 2; !isFull && number <= NUMBER_LIMIT; number++) {
      if (!this.#ids.has(`${folded} (${number})`)) return `${short} (${number})`;
    }
    return `${shortened(bare, ` (${id})`)} (${id})`;
  }
}

/** A name that leaves room for the text behind it. */
function shortened(name: string, behind: string): string {
  const limit = PEER_NAME_LIMIT - behind.length;
  return byteLength(name) <= limit ? name : cutTo(name, limit).trim();
}
