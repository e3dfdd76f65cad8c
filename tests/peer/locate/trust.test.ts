// Which trackers are given the files of a peer, and which are not before a person has said yes.

import { describe, expect, test } from "bun:test";
import { UsageError } from "../../../lib/error.ts";
import type { KnownTracker } from "../../../lib/peer/locate/locate.ts";
import { judgeTracker, Trust, UntrustedTracker } from "../../../lib/peer/locate/trust.ts";
import type { Introduced } from "../../../lib/peer/online/session-types.ts";
import { addressOf } from "../../helpers/channel.ts";

const LAB: KnownTracker = { name: "Lab 3", address: "192.168.1.5", port: 1234, key: "lab" };

/** A tracker that announced itself. */
function found(more: Partial<Introduced> = {}, name = "Lab 3"): Introduced {
  const place = { address: "192.168.1.9", port: 1234, name, announced: true } as const;
  return { place, at: addressOf("192.168.1.9"), name, key: "other", proven: true, ...more };
}

/** A tracker at a place whose key the own tracker has told. */
function vouched(key: string): Partial<Introduced> {
  return { place: { ...found().place, vouched: true, key } };
}

function trustOf({ known = [] as KnownTracker[], consent = false } = {}): { trust: Trust; kept: KnownTracker[] } {
  const kept: KnownTracker[] = [];
  return { trust: new Trust({ all: () => known, remember: (one) => kept.push(one) }, consent), kept };
}

function refusal(trust: Trust, tracker: Introduced): UntrustedTracker {
  try {
    trust.approve(tracker);
  } catch (error) {
    if (error instanceof UntrustedTracker) return error;
    throw error;
  }
  throw new Error("it was approved");
}

describe("judgeTracker", () => {
  test.each([
    ["of a typed address, whatever its key", { place: { address: "10.0.0.1", port: 1234 } }, [LAB], "trusted"],
    ["that proves the key of one that was used before", { key: "lab" }, [LAB], "trusted"],
    ["that says the key of another and does not prove it", { key: "lab", proven: false }, [LAB], "changed"],
    ["with a new key under an old name", {}, [LAB], "changed"],
    ["with a new key under almost an old name", { name: " lab  ３" }, [LAB], "changed"],
    ["with a new key and a new name", found({}, "Cellar"), [LAB], "new"],
    ["whose announcement has an old name, and whose HI another", { name: "Cellar" }, [LAB], "changed"],
    ["when none was used before", {}, [], "new"],
    ["whose key the own tracker has told, and that proves it", vouched("other"), [LAB], "trusted"],
    [
      "whose key the own tracker has told, and that does not prove it",
      { ...vouched("other"), proven: false },
      [LAB],
      "changed",
    ],
    ["with another key than the own tracker has told", vouched("third"), [LAB], "changed"],
    ["when an earlier version remembered no key", {}, [{ ...LAB, key: "" }], "new"],
    ["without a key, when an earlier version remembered none", { key: "" }, [{ ...LAB, key: "" }], "new"],
  ] as [string, Partial<Introduced>, KnownTracker[], string][])("a tracker %s", (_what, tracker, known, verdict) => {
    if (verdict === "new" && tracker.key === "")
      return expect(judgeTracker(found({ key: "", proven: false }), known)).toBe("new");
    expect(judgeTracker(found(tracker), known)).toBe(verdict as never);
  });
});

describe("Trust", () => {
  test("a new tracker gets nothing, and the sentence says what to do", () => {
    const error = refusal(trustOf().trust, found());
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toBe(
      'The tracker "Lab 3" at 192.168.1.9 was found on this network, and was never used from here. ' +
        "To give it your files, name them with --share, or type its address: ft-peer 192.168.1.9",
    );
  });

  test("whoever named the files has said yes to a new tracker, but not to a new key under an old name", () => {
    const { trust, kept } = trustOf({ known: [LAB], consent: true });
    expect(refusal(trust, found()).message).toBe(
      'The tracker "Lab 3" at 192.168.1.9 is not the one of this name that was used before: it does not prove that it is that one. ' +
        "If that is right, type its address: ft-peer 192.168.1.9",
    );
    trust.approve(found({}, "Cellar"));
    trust.joined();
    expect(kept).toMatchObject([{ name: "Cellar", key: "other", address: "192.168.1.9" }]);
  });

  test("after a person's yes it is remembered, and trusted when it comes back elsewhere with the same key only", () => {
    const { trust } = trustOf();
    trust.agree(refusal(trust, found()));
    trust.approve(found());
    trust.joined();
    const moved = { address: "10.0.0.3", port: 1234, name: "Lab 3", announced: true } as const;
    trust.approve(found({ place: moved }));
    expect(refusal(trust, found({ place: moved, key: "a third" })).verdict).toBe("changed");
  });

  test("a place where a tracker of FT/2 was used before is remembered as such", () => {
    const { trust } = trustOf({ known: [LAB] });
    expect([trust.isFull(LAB), trust.isFull({ ...LAB, port: 4321 })]).toEqual([true, false]);
  });

  test("whatever a tracker is called, the sentence is harmless", () => {
    const { message } = refusal(trustOf().trust, found({}, "a\u001b[2J\u202eb"));
    expect(message).not.toMatch(/[\u001b\u202e]/);
  });
});
