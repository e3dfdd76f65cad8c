// Finding the peer that a person means by what is printed of it.

import { describe, expect, test } from "bun:test";
import { findPeer } from "../../../lib/peer/people/find-peer.ts";
import type { PeerLine } from "../../../lib/protocol/messages.ts";
import { addressOf } from "../../helpers/channel.ts";

function peer(id: string, address: string, port: number, name?: string): PeerLine {
  return { id, address: addressOf(address), port, files: 1, bytes: 1, agent: "", since: "", name };
}

const PEERS = [
  peer("a1", "192.168.1.7", 1235, "Ben"),
  peer("a2", "192.168.1.7", 1236, "Ben (2)"),
  peer("a3", "fd00::7", 1235, "Zoë"),
  peer("a4", "192.168.1.9", 1235),
  peer("a5", "192.168.1.10", 1235, "a4"),
];

describe("findPeer", () => {
  test.each([
    ["a2", "a2"],
    ["192.168.1.7:1236", "a2"],
    ["192.168.1.9", "a4"],
    ["[fd00::7]:1235", "a3"],
    ["[FD00:0::7%eth0]:1235", "a3"],
    ["fd00::7", "a3"],
    ["[fd00::7]", "a3"],
    ["Ben", "a1"],
    ["BEN", "a1"],
    ["ben (2)", "a2"],
    ["Zoe\u0308", "a3"],
    ["a4", "a4"],
  ])("%p is the peer %p", (typed, id) => {
    expect(findPeer(typed, PEERS).id).toBe(id);
  });

  test("of several peers at one address all are named", () => {
    expect(() => findPeer("192.168.1.7", PEERS)).toThrow(
      '2 peers are at "192.168.1.7": 192.168.1.7:1235 (Ben), 192.168.1.7:1236 (Ben (2)). Name one of these.',
    );
  });

  test.each(["Ann", "192.168.1.7:1", "10.0.0.1", "\u001b[2J", ""])("%j is nobody", (typed) => {
    expect(() => findPeer(typed, PEERS)).toThrow(/^No peer "[^\u001b]*" is online\. See who is: ft-peer who$/);
  });
});
