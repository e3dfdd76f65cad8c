// Remembers the peers whose offers the operator has muted: the tracker tells nobody of these. It forgets them when it stops.

import { foldBareName, foldPeerName } from "../../protocol/peer-name.ts";
import { printable } from "../../text.ts";
import type { Member } from "../shelf.ts";
import { isIn, type Network } from "./networks.ts";

/** Everybody at these addresses; with `name` only the peer of this name there. */
interface Mute {
  readonly network: Network;
  readonly name: string | undefined;
}

/** The addresses that an operator means, and the peer there when only that one is meant. */
interface Muted {
  network: Network;
  peer?: Member;
}

export class Mutes {
  readonly #mutes = new Map<string, Mute>();

  /**
   * Mutes the peer or the network that the operator means. A peer that shares its address with others is muted by its name there. Gives
   * the muted one as text.
   */
  add({ network, peer }: Muted, isAlone: boolean): string {
    const name = peer === undefined || isAlone ? undefined : peer.name;
    const mute = { network, name };
    this.#mutes.set(textOf(mute), mute);
    return textOf(mute);
  }

  /** Ends the mutes that have this text, name or address in them. Gives them as texts. */
  remove(typed: string, meant: Muted | undefined): string[] {
    const folded = foldPeerName(typed.trim());
    const ended = [...this.#mutes].filter(([text, { network, name }]) => {
      const isNamed = text === typed || (name !== undefined && foldPeerName(name) === folded);
      return (
        isNamed || (meant !== undefined && meant.network.text === network.text && (!meant.peer || this.isMuted(meant.peer)))
      );
    });
    for (const [text] of ended) this.#mutes.delete(text);
    return ended.map(([text]) => text);
  }

  /** All mutes, as texts. */
  get list(): string[] {
    return [...this.#mutes.keys()];
  }

  isMuted({ address, name }: Pick<Member, "address" | "name">): boolean {
    return Iterator.from(this.#mutes.values()).some(
      (mute) => isIn(address, mute.network) && (mute.name === undefined || (name !== undefined && isSameName(mute.name, name))),
    );
  }
}

/** Whether a name is the other one, also with the number that a second peer of that name gets. */
function isSameName(one: string, other: string): boolean {
  return foldBareName(one) === foldBareName(other);
}

function textOf({ network, name }: Mute): string {
  return name === undefined ? network.text : `"${printable(name)}" at ${network.text}`;
}
