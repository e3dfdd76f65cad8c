// Marks the FT/2 peers that have the same address and port: they are behind one router, and are told apart by their ids.

import { formatEndpoint } from "../protocol/address.ts";
import { eachOf, type Few, putIn, takeFrom } from "./compact/few.ts";
import type { Shelf } from "./shelf.ts";

export class Twins {
  readonly #byEndpoint = new Map<string, Few<Shelf>>();
  readonly #changed: (shelf: Shelf) => void;

  /** `changed`: called when a peer has become a twin, or is one no more. */
  constructor(changed: (shelf: Shelf) => void) {
    this.#changed = changed;
  }

  /** A peer is at its address and port. */
  add(shelf: Shelf): void {
    if (shelf.profile === 1) return;
    const key = formatEndpoint(shelf);
    putIn(this.#byEndpoint, key, shelf);
    this.#mark(key);
  }

  /** A peer is not there any more. */
  remove(shelf: Shelf): void {
    if (shelf.profile === 1) return;
    const key = formatEndpoint(shelf);
    takeFrom(this.#byEndpoint, key, shelf);
    shelf.isTwin = false;
    this.#mark(key);
  }

  #mark(key: string): void {
    const there = [...eachOf(this.#byEndpoint.get(key))];
    for (const shelf of there) {
      if (shelf.isTwin === there.length > 1) continue;
      shelf.isTwin = there.length > 1;
      this.#changed(shelf);
    }
  }
}
