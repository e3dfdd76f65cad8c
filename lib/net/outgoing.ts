// The queue of one connection: bytes and texts that wait to be sent. Small pieces are joined, so that many small answers are one write.

/** Pieces are joined up to this size. Bytes. */
export const JOINED_LIMIT = 256 * 1024;
/** A piece of this length is not joined with others: copying it would cost more than a write. Bytes. */
const ALONE = 64 * 1024;
/** The most that one unit of a string's `length` takes in UTF-8. Bytes. */
const UTF8_MOST = 3;
/** Where small pieces are joined. The system copies them at once, so one buffer is enough for all connections. */
const joined = Buffer.allocUnsafeSlow(JOINED_LIMIT);

type Piece = Uint8Array | string;

/** A text stays a text until it is written, so that it is encoded where it is joined. */
export class Outgoing {
  readonly #pieces: Piece[] = [];
  /** Bytes that wait. A text counts by its length until it is written. */
  bytes = 0;
  /** When the network last took some of it, or first refused to take any: the clock's elapsed time. */
  takenAt = 0;

  get isEmpty(): boolean {
    return this.#pieces.length === 0;
  }

  push(piece: Piece): void {
    this.#pieces.push(piece);
    this.bytes += piece.length;
  }

  /** Takes the bytes of the next write off the front. They are good until `next` is called for any connection. */
  next(): Uint8Array {
    const [first = ""] = this.#pieces;
    if (typeof first !== "string" && (this.#pieces.length === 1 || first.length >= ALONE)) {
      this.#pieces.shift();
      return first;
    }
    if (typeof first === "string" && first.length >= ALONE) {
      const bytes = Buffer.from(first);
      this.bytes += bytes.length - first.length;
      this.#pieces.shift();
      return bytes;
    }
    return this.#join();
  }

  /** The network took this number of the bytes from `next`. The rest goes first the next time. */
  took(bytes: Uint8Array, taken: number): void {
    this.bytes -= taken;
    if (taken === bytes.length) return;
    const rest = bytes.subarray(taken);
    // Joined bytes are copied, because other connections need the buffer next. A Buffer's own `slice` would be no copy.
    this.#pieces.unshift(rest.buffer === joined.buffer ? new Uint8Array(rest) : rest);
  }

  #join(): Uint8Array {
    let size = 0;
    let count = 0;
    for (const piece of this.#pieces) {
      const isText = typeof piece === "string";
      if (piece.length >= ALONE || piece.length * (isText ? UTF8_MOST : 1) > joined.length - size) break;
      if (isText) {
        const written = joined.write(piece, size);
        this.bytes += written - piece.length;
        size += written;
      } else {
        joined.set(piece, size);
        size += piece.length;
      }
      count += 1;
    }
    this.#pieces.splice(0, count);
    return joined.subarray(0, size);
  }
}
