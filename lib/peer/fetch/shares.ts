// Divides a file among the peers that fetch it, so that a holder of the whole file sends each piece once before it sends any twice. Pure.
//
// Nobody hands the shares out. For each group of pieces every peer gets a number from its key and the group, and the group belongs to
// the peer with the highest one (rendezvous hashing, Thaler and Ravishankar 1998). Two peers that know the same others agree. Where they
// do not, a piece is sent twice: nothing is lost.

import { PieceSet } from "../content/pieces.ts";

/** A number for a key, the same everywhere. */
function seedOf(key: string): number {
  let seed = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) seed = Math.imul(seed ^ key.charCodeAt(i), 0x01000193);
  return seed;
}

function scoreOf(seed: number, group: number): number {
  let score = seed ^ Math.imul(group + 1, 0x9e3779b1);
  score = Math.imul(score ^ (score >>> 16), 0x85ebca6b);
  score = Math.imul(score ^ (score >>> 13), 0xc2b2ae35);
  return (score ^ (score >>> 16)) >>> 0;
}

/** The most peers that are looked at. */
const MOST_PEERS = 64;

/** The pieces of `self`, among it and the `others`. `group` is the number of pieces that stay together. */
export function shareOf(self: string, others: string[], total: number, group: number): PieceSet {
  const own = seedOf(self);
  const seeds = others.slice(0, MOST_PEERS).map(seedOf);
  const share = new PieceSet(total);
  for (let first = 0; first < total; first += group) {
    const score = scoreOf(own, first);
    if (seeds.some((seed) => scoreOf(seed, first) > score)) continue;
    for (let piece = first; piece < Math.min(total, first + group); piece++) share.add(piece);
  }
  return share;
}

/** The first piece to ask for while no other peer is known that fetches the file: another one for each peer. */
export function startOf(self: string, total: number, group: number): number {
  const groups = Math.ceil(total / group);
  return group * (scoreOf(seedOf(self), groups) % Math.max(1, groups));
}
