// Says how a content is cut into pieces: where each piece begins, and how long it is. Pure.

import { pieceCountOf, pieceSizeOf } from "./merkle.ts";

/** The pieces of a content, one behind the other. Lengths and places are in bytes. */
export interface Cut {
  /** The length of the whole content. */
  readonly size: number;
  /** The number of pieces. */
  readonly count: number;
  /** The length of the longest piece. */
  readonly longest: number;
  /** Where a piece begins. For the number after the last piece it is `size`. */
  startOf(piece: number): number;
  /** The piece that has the byte at this place. */
  pieceAt(offset: number): number;
}

/** The pieces of a file: all have one length, only the last one may be shorter. */
export function cutOfFile(size: number): Cut {
  const longest = pieceSizeOf(size);
  return {
    size,
    count: pieceCountOf(size),
    longest,
    startOf: (piece) => Math.min(size, piece * longest),
    pieceAt: (offset) => Math.floor(offset / longest),
  };
}
