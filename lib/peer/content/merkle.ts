// Computes content ids: the SHA-256 Merkle tree over 16 KiB blocks that BitTorrent v2 calls "pieces root" (BEP 52).
// Pure: the caller hands in the hash function. A hash is 32 bytes; a layer is its hashes one after the other.

import { concatBytes } from "../../bytes.ts";
import { HASH } from "../../protocol/numbers.ts";

/** SHA-256 of `data`, written into `out` (32 bytes). */
export type Sha256 = (data: Uint8Array, out: Uint8Array) => void;

/** A file's content id (64 hex digits) and the hashes of its pieces, one after the other. */
export interface Tree {
  root: string;
  pieces: Uint8Array;
}

/** The length of the block that a leaf of the tree stands for. Bytes. */
export const BLOCK = 16 * 1024;

/** The length of a piece of a small file. Bytes. */
export const SMALLEST_PIECE = 64 * 1024;
/** The longest piece, also of a very large file. Bytes. */
export const LARGEST_PIECE = 4 * 1024 * 1024;
/** The most pieces of a file, unless its pieces are LARGEST_PIECE long. A larger file gets larger pieces. */
const PIECES_WANTED = 4096;
/** A layer is computed in steps of this length. Bytes of the layer below. */
const PAUSE_AFTER = 256 * HASH;

/** The piece size in bytes for a file of `size` bytes: a power of two from 64 KiB to 4 MiB, about 4096 pieces at most. */
export function pieceSizeOf(size: number): number {
  let piece = SMALLEST_PIECE;
  while (piece < LARGEST_PIECE && size / piece > PIECES_WANTED) piece *= 2;
  return piece;
}

/** How many pieces a file of `size` bytes has. */
export function pieceCountOf(size: number): number {
  return Math.ceil(size / pieceSizeOf(size));
}

/** The hashes of the 16 KiB blocks of `data` (the last one may be short), as a layer. */
export function blockLayer(data: Uint8Array, sha256: Sha256): Uint8Array {
  const layer = new Uint8Array(Math.ceil(data.length / BLOCK) * HASH);
  for (let at = 0, i = 0; at < data.length; at += BLOCK, i += HASH) {
    sha256(data.subarray(at, at + BLOCK), layer.subarray(i, i + HASH));
  }
  return layer;
}

/**
 * The hash of one piece from its block layer. In a file of several pieces every piece is a whole subtree of `pieceSize`,
 * so a short last piece is padded with zero leaves; the only piece of a small file is padded to the next power of two.
 */
export function pieceHash(
  blocks: Uint8Array,
  fileSize: number,
  sha256: Sha256,
  pieceSize: number = pieceSizeOf(fileSize),
): Uint8Array {
  const leaves = fileSize > pieceSize ? pieceSize / BLOCK : powerOfTwoFrom(blocks.length / HASH);
  return foldLayer(blocks, leaves, new Uint8Array(HASH), sha256);
}

/**
 * The content id of a file of `fileSize` bytes from the hashes of its pieces, in order; for no piece, SHA-256 of nothing. The pieces
 * may be longer than those of `pieceSizeOf`; a file of one piece only has its content id as the hash of this piece.
 */
export function rootOf(
  pieces: Uint8Array,
  fileSize: number,
  sha256: Sha256,
  pieceSize: number = pieceSizeOf(fileSize),
): Uint8Array {
  if (fileSize === 0) {
    const root = new Uint8Array(HASH);
    sha256(new Uint8Array(0), root);
    return root;
  }
  return foldLayer(pieces, powerOfTwoFrom(pieces.length / HASH), pieceOfNothing(pieceSize, sha256), sha256);
}

/**
 * Computes the layer of larger pieces above a file's own: `step` (a power of two) of its pieces make one. The last one is padded as
 * the tree is. Every few hashes the caller gets a turn to do something else.
 */
export function* layerAbove(pieces: Uint8Array, fileSize: number, step: number, sha256: Sha256): Generator<void, Uint8Array> {
  const count = pieces.length / HASH;
  if (step === 1 || count === 0) return pieces;
  return yield* fold(pieces, Math.min(step, powerOfTwoFrom(count)), pieceOfNothing(pieceSizeOf(fileSize), sha256), sha256);
}

/** The hash that pads the tree at the level of pieces of this size. */
function pieceOfNothing(pieceSize: number, sha256: Sha256): Uint8Array {
  let padding = new Uint8Array(HASH);
  for (let size = BLOCK; size < pieceSize; size *= 2) padding = parent(padding, sha256);
  return padding;
}

/** Folds a layer up to one hash, padded on the right with `padding` to `width` hashes (a power of two). */
function foldLayer(layer: Uint8Array, width: number, padding: Uint8Array, sha256: Sha256): Uint8Array {
  const steps = fold(layer, width, padding, sha256);
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** Folds `width` hashes (a power of two) to one, then the next ones. Padded on the right with `padding`. Pauses every few hashes. */
function* fold(layer: Uint8Array, width: number, padding: Uint8Array, sha256: Sha256): Generator<void, Uint8Array> {
  let nodes = layer;
  let filler = padding;
  const isWhole = layer.length % (width * HASH) === 0;
  for (let wide = width; wide > 1; wide /= 2) {
    const above = new Uint8Array(Math.ceil(nodes.length / (2 * HASH)) * HASH);
    for (let at = 0; at < nodes.length; at += 2 * HASH) {
      if (at > 0 && at % PAUSE_AFTER === 0) yield;
      // Two children that stand side by side are hashed where they are.
      const pair = nodes.subarray(at, at + 2 * HASH);
      sha256(pair.length === 2 * HASH ? pair : concatBytes([pair, filler]), above.subarray(at / 2, at / 2 + HASH));
    }
    nodes = above;
    if (!isWhole) filler = parent(filler, sha256);
  }
  return nodes;
}

/** The hash of a node with two equal children. */
function parent(child: Uint8Array, sha256: Sha256): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(HASH);
  sha256(concatBytes([child, child]), out);
  return out;
}

function powerOfTwoFrom(count: number): number {
  let width = 1;
  while (width < count) width *= 2;
  return width;
}
