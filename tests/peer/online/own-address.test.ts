// Which addresses mean this machine, with the tracker elsewhere and with the tracker here.

import { describe, expect, test } from "bun:test";
import { isDialable, isOwnRecord, isSameHost, isTrackerHere, type TrackerEnds } from "../../../lib/peer/online/own-address.ts";
import { addressOf } from "../../helpers/channel.ts";

function ends(tracker: string, local: string, you = local): TrackerEnds {
  return { tracker: addressOf(tracker), local: addressOf(local), you: addressOf(you) };
}

function at(address: string, port = 1235) {
  return { address: addressOf(address), port };
}

const ELSEWHERE = ends("192.168.1.2", "192.168.1.17");
const BY_LOOPBACK = ends("127.0.0.1", "127.0.0.1");
const BY_OWN_ADDRESS = ends("192.168.1.17", "192.168.1.17");

describe("isTrackerHere", () => {
  test.each([
    ["before this peer has joined", undefined, false],
    ["with a tracker elsewhere", ELSEWHERE, false],
    ["over loopback", BY_LOOPBACK, true],
    ["over this machine's own address", BY_OWN_ADDRESS, true],
    ["with a tracker that says that this peer has the tracker's address", ends("10.0.0.7", "192.168.1.17", "10.0.0.7"), false],
    ["with a tracker that says that this peer has a loopback address", ends("10.0.0.7", "192.168.1.17", "127.0.0.1"), false],
  ])("%s", (_when, standing, here) => {
    expect(isTrackerHere(standing)).toBe(here);
  });
});

describe("isDialable", () => {
  test.each([
    ["192.168.1.30", ELSEWHERE, true],
    ["192.168.1.30", undefined, true],
    ["127.0.0.1", ELSEWHERE, false],
    ["127.0.0.1", ends("192.168.1.2", "192.168.1.17", "192.168.1.2"), false],
    ["::1", ends("192.168.1.2", "192.168.1.17", "::1"), false],
    ["127.0.0.1", undefined, false],
    ["::1", BY_LOOPBACK, true],
    ["127.0.0.1", BY_OWN_ADDRESS, true],
    ["224.0.0.251", BY_LOOPBACK, false],
    ["0.0.0.0", BY_LOOPBACK, false],
  ])("%s with tracker %o: %s", (address, standing, dialable) => {
    expect(isDialable(at(address), standing)).toBe(dialable);
  });
});

describe("isOwnRecord", () => {
  test.each([
    ["192.168.1.17", 1235, ELSEWHERE, true],
    ["192.168.1.17", 1236, ELSEWHERE, false],
    ["192.168.1.30", 1235, ELSEWHERE, false],
    ["127.0.0.1", 1235, ELSEWHERE, false],
    ["127.0.0.1", 1235, BY_OWN_ADDRESS, true],
    ["192.168.1.17", 1235, undefined, false],
    // Behind a translation of addresses: as it sees itself, and as the tracker sees it.
    ["192.168.7.2", 1235, ends("10.9.0.1", "192.168.7.2", "10.9.0.9"), true],
    ["10.9.0.9", 1235, ends("10.9.0.1", "192.168.7.2", "10.9.0.9"), true],
  ])("%s:%d with tracker %o: %s", (address, port, standing, own) => {
    expect(isOwnRecord(at(address, port), 1235, standing && { ...standing, id: "p1" })).toBe(own);
  });

  test("behind a router, where others have this address and port, the id tells", () => {
    const standing = { ...ends("10.9.0.1", "192.168.7.2", "10.9.0.9"), id: "p1" };
    const own = ["p1", "p2"].map((peer) => isOwnRecord({ ...at("10.9.0.9", 1235), peer }, 1235, standing));
    expect(own).toEqual([true, false]);
  });
});

describe("isSameHost", () => {
  const interfaces = ["192.168.1.17", "10.0.0.7"];
  test.each([
    ["192.168.1.30", "192.168.1.30", ELSEWHERE, true],
    ["192.168.1.30", "192.168.1.31", ELSEWHERE, false],
    // A downloader on this machine, seen by loopback here and by its network address at the tracker.
    ["192.168.1.17", "127.0.0.1", ELSEWHERE, true],
    ["192.168.1.30", "127.0.0.1", ELSEWHERE, false],
    // A downloader on the tracker's machine, which the tracker sees by loopback.
    ["127.0.0.1", "192.168.1.2", ELSEWHERE, true],
    ["127.0.0.1", "192.168.1.30", ELSEWHERE, false],
    // All on one machine.
    ["127.0.0.1", "::1", BY_LOOPBACK, true],
    ["127.0.0.1", "10.0.0.7", BY_OWN_ADDRESS, true],
    ["127.0.0.1", "10.0.0.8", BY_OWN_ADDRESS, false],
  ])("a pass for %s from %s with tracker %o: %s", (passed, from, standing, same) => {
    expect(isSameHost(addressOf(passed), addressOf(from), standing, (address) => interfaces.includes(address))).toBe(same);
  });
});
