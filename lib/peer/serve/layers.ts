// Computes the layers of hashes that downloaders ask for, and keeps them for the next downloader.

import { layerAbove, type Sha256 } from "../content/merkle.ts";
import type { Known } from "./types.ts";
import type { Work } from "./work.ts";

/** The most bytes of layers that are kept, all together. A file of 1 TiB has 8 MiB of layers. */
const KEPT = 16 * 1024 * 1024;

export class Layers {
  readonly #work: Work;
  readonly #sha256: Sha256;
  /** By content id and step; the most recently used one is last. A layer that is still being computed has no size yet. */
  readonly #layers = new Map<string, { layer: Promise<Uint8Array>; size: number }>();

  constructor(work: Work, sha256: Sha256) {
    this.#work = work;
    this.#sha256 = sha256;
  }

  /** The layer in which `step` pieces of this content are one hash. To compute it is work of the host that asks first. */
  async get(host: string, root: string, { pieces, size }: Known, step: number): Promise<Uint8Array> {
    if (step === 1) return pieces;
    const key = `${root} ${step}`;
    const known = this.#layers.get(key);
    const entry = known ?? { layer: this.#work.steps(host, layerAbove(pieces, size, step, this.#sha256)), size: 0 };
    this.#layers.delete(key);
    this.#layers.set(key, entry);
    const layer = await entry.layer;
    entry.size = layer.length;
    this.#forgetOld();
    return layer;
  }

  #forgetOld(): void {
    let kept = 0;
    for (const { size } of this.#layers.values()) kept += size;
    for (const [key, { size }] of this.#layers) {
      if (kept <= KEPT) return;
      kept -= size;
      if (size > 0) this.#layers.delete(key);
    }
  }
}
