// Gathers the bytes that holders send, proves them piece by piece, and writes them. Stops the holders while the disk or the limit needs a
// moment.

import { HASH } from "../../protocol/numbers.ts";
import type { Holder, PieceRequest } from "./holder.ts";
import { Landing } from "./landing.ts";
import type { Requests } from "./requests.ts";
import type { Range } from "./source.ts";
import type { PieceJob } from "./types.ts";

interface ArrivalEvents {
  /** Pieces of this holder are proven and written; none when all of them were wrong, or here already. */
  landed(holder: Holder, pieces: number): void;
  /** This holder sent a wrong piece. */
  wrong(holder: Holder): void;
  /** Holders may send again, or must stop. */
  paused(paused: boolean): void;
  /** Our own disk, or hashing, failed. */
  failed(error: Error): void;
}

/** Takes the bytes of requests, and adds the pieces that are right to `Requests.have`. */
export class Arrivals {
  /** The hashes of all pieces, once they are known to be right. */
  hashes: Uint8Array | undefined;
  readonly #job: PieceJob;
  readonly #requests: Requests;
  readonly #on: ArrivalEvents;
  readonly #landing: Landing;
  /** Bytes of requests that are not written yet. */
  #arriving = 0;
  #paused = false;
  #over = false;

  constructor(job: PieceJob, requests: Requests, on: ArrivalEvents) {
    this.#job = job;
    this.#requests = requests;
    this.#on = on;
    this.#landing = new Landing({
      write: (offset, bytes) => job.tools.target.write(offset, bytes),
      layer: job.tools.layer,
      room: () => this.#turnTaps(),
      failed: (error) => on.failed(error),
    });
  }

  /** Holders must not send now. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Bytes of proven pieces, and of pieces that are still arriving. */
  get received(): number {
    return Math.min(this.#job.cut.size, this.#requests.kept + this.#arriving);
  }

  /** Bytes of a request have come, in order. */
  take(request: PieceRequest, bytes: Uint8Array): void {
    if (request.buffer !== undefined || !this.#requests.isHere(request)) {
      request.buffer ??= this.#landing.open(request.range);
      this.#landing.fill(request.buffer, bytes);
      this.#arriving += bytes.length;
    }
    this.#landing.throttle(bytes.length, this.#job.tools.limit, this.#job.clock);
    this.#turnTaps();
  }

  /** All bytes of a request have come. */
  finish(request: PieceRequest): void {
    if (request.buffer === undefined) this.#requests.drop(request);
    else this.#land(request, request.range.length);
  }

  /** A connection ended in the middle of a request. The whole pieces that have come are still used. */
  salvage(request: PieceRequest): void {
    const { buffer } = request;
    const whole = buffer === undefined ? 0 : this.#wholePieces(request, buffer.filled);
    if (whole > 0) {
      this.#land(request, whole);
      return;
    }
    this.#requests.drop(request);
    if (buffer === undefined) return;
    this.#arriving -= buffer.filled;
    this.#landing.drop(buffer);
  }

  /** Resolves when nothing is being hashed or written. */
  settled(): Promise<void> {
    return this.#landing.settled();
  }

  stop(): void {
    this.#over = true;
    this.#landing.stop();
  }

  #land(request: PieceRequest, length: number): void {
    const { buffer, holder } = request;
    if (buffer === undefined) return;
    let right: number[] = [];
    const judge = (layer: Uint8Array) => {
      right = this.#judge(request, layer);
      return this.#rangesOf(right);
    };
    const written = () => {
      this.#arriving -= buffer.filled;
      this.#requests.drop(request);
      for (const piece of right) this.#requests.keep(piece);
      this.#on.landed(holder, right.length);
    };
    this.#landing.land(buffer, length, judge, written);
    this.#turnTaps();
  }

  /** The length of the whole pieces among the first `filled` bytes of a request. */
  #wholePieces({ first, count, range }: PieceRequest, filled: number): number {
    const { cut } = this.#job;
    let end = first;
    while (end < first + count && cut.startOf(end + 1) <= range.offset + filled) end += 1;
    return cut.startOf(end) - range.offset;
  }

  /** Which pieces of a request are right and still missing. `layer` has the hashes of the bytes that came. */
  #judge(request: PieceRequest, layer: Uint8Array): number[] {
    const right: number[] = [];
    let wrong = false;
    for (let i = 0; i < layer.length / HASH; i++) {
      const piece = request.first + i;
      if (!isSameHash(layer, i, this.hashes ?? layer, piece)) {
        wrong = true;
        continue;
      }
      if (!this.#requests.have.has(piece)) right.push(piece);
    }
    if (wrong) this.#on.wrong(request.holder);
    return right;
  }

  /** The ranges of some pieces, in the order of the pieces. Pieces in a row make one range. */
  #rangesOf(pieces: number[]): Range[] {
    const { cut } = this.#job;
    const ranges: Range[] = [];
    for (const piece of pieces) {
      const offset = cut.startOf(piece);
      const length = cut.startOf(piece + 1) - offset;
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === offset) last.length += length;
      else ranges.push({ offset, length });
    }
    return ranges;
  }

  #turnTaps(): void {
    const paused = this.#landing.full;
    if (this.#over || paused === this.#paused) return;
    this.#paused = paused;
    this.#on.paused(paused);
  }
}

/** Compares hash number `i` of layer `a` with hash number `j` of layer `b`. */
function isSameHash(a: Uint8Array, i: number, b: Uint8Array, j: number): boolean {
  for (let at = 0; at < HASH; at++) if (a[i * HASH + at] !== b[j * HASH + at]) return false;
  return true;
}
