// Keeps a set of a file's pieces as a bit field, as HAVE carries it. Pure.

import { ProtocolError } from "../../error.ts";

/** A set of pieces of a file. As bytes, bit 7 of byte 0 is piece 0, as in BitTorrent (BEP 3). */
export class PieceSet {
  /** How many pieces the file has. */
  readonly total: number;
  readonly #bits: Uint8Array;
  #count = 0;

  constructor(total: number) {
    this.total = total;
    this.#bits = new Uint8Array(Math.ceil(total / 8));
  }

  /** All pieces of a file. */
  static whole(total: number): PieceSet {
    const set = new PieceSet(total);
    for (let i = 0; i < total; i++) set.add(i);
    return set;
  }

  /**
   * The pieces are those of this bit field from now on. Fails when its length does not fit the number of pieces. The spare bits at the
   * end mean nothing.
   */
  read(bytes: Uint8Array): void {
    if (bytes.length !== this.#bits.length)
      throw new ProtocolError("bad-have", "The bit field has another length than the file.");
    this.#bits.set(bytes);
    const spare = 8 * bytes.length - this.total;
    if (spare > 0) this.#bits[bytes.length - 1] = ((bytes.at(-1) ?? 0) >> spare) << spare;
    this.#count = 0;
    for (let byte of this.#bits) for (; byte !== 0; byte &= byte - 1) this.#count += 1;
  }

  /** The bit field. To look at only. */
  get bits(): Uint8Array {
    return this.#bits;
  }

  /** How many pieces are in it. */
  get count(): number {
    return this.#count;
  }

  get complete(): boolean {
    return this.#count === this.total;
  }

  has(piece: number): boolean {
    return ((this.#bits[piece >> 3] ?? 0) & (128 >> (piece & 7))) !== 0;
  }

  add(piece: number): void {
    if (this.has(piece) || piece >= this.total) return;
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) | (128 >> (piece & 7));
    this.#count += 1;
  }

  delete(piece: number): void {
    if (!this.has(piece)) return;
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) & ~(128 >> (piece & 7));
    this.#count -= 1;
  }

  /** The bit field as HAVE carries it. For a whole file all bits are ones, the spare ones, too. */
  toBytes(): Uint8Array {
    return this.complete ? new Uint8Array(this.#bits.length).fill(255) : this.#bits.slice();
  }
}
