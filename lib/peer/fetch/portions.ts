// Divides a file among the peers that fetch it, so that a holder of the whole file sends each piece once before it sends any twice. Pure.
//
// Nobody hands the portions out. For each group of pieces every peer gets a number from its key and the group, and the group belongs to
// the peer with the highest one (rendezvous hashing, Thaler and Ravishankar 1998) that has not its full number of groups yet. Without
// that limit some peers have three times the portion of others, and the last pieces wait for them. Two peers that know the same others
// agree. Where they do not, a piece is sent twice: nothing is lost.
//
// The numbers also say who takes the pieces of a peer that is slow or gone: the second highest first.

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

/** All later turns are like this one: with a turn for every peer, hardly two pieces in a row could be asked for in one request. */
const LAST_TURN = 3;

/**
 * For each piece the turn of `self` to ask a holder of the whole file for it: 0 if it is in its own portion; else 1 and the number of peers
 * beside the piece's own that come before it, at most LAST_TURN. Two peers whose portions are done go on with different pieces. `group` is
 * the number of pieces that stay together.
 */
export function turnsOf(self: string, others: string[], total: number, group: number): Uint8Array {
  const own = { seed: seedOf(self), groups: 0, score: 0 };
  const peers = [own, ...others.slice(0, MOST_PEERS).map((key) => ({ seed: seedOf(key), groups: 0, score: 0 }))];
  const most = Math.ceil(Math.ceil(total / group) / peers.length);
  const turns = new Uint8Array(total);
  for (let first = 0; first < total; first += group) {
    let owner = own;
    let highest = -1;
    for (const peer of peers) {
      peer.score = scoreOf(peer.seed, first);
      if (peer.groups >= most || peer.score <= highest) continue;
      highest = peer.score;
      owner = peer;
    }
    owner.groups += 1;
    if (owner === own) continue;
    const before = peers.filter((peer) => peer !== owner && peer.score > own.score).length;
    turns.fill(Math.min(LAST_TURN, 1 + before), first, first + group);
  }
  return turns;
}

/** The pieces whose turn is 0. */
export function portionOf(turns: Uint8Array): PieceSet {
  const portion = new PieceSet(turns.length);
  for (const [piece, turn] of turns.entries()) if (turn === 0) portion.add(piece);
  return portion;
}

/**
 * How far another peer is behind this one on a ring of all peers. If each connects to the next ones, about the same number of peers
 * connect to each.
 */
export function ringDistanceOf(self: string, other: string): number {
  return (scoreOf(seedOf(other), 0) - scoreOf(seedOf(self), 0)) >>> 0;
}

/** The first piece to ask for while no other peer is known that fetches the file: another one for each peer. */
export function startOf(self: string, total: number, group: number): number {
  const groups = Math.ceil(total / group);
  return group * (scoreOf(seedOf(self), groups) % Math.max(1, groups));
}
