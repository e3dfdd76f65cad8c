import { expect, test } from "bun:test";
import { describeMissing } from "../../../lib/peer/screen/offer-words.ts";
import type { HandOut, Receiver } from "../../../lib/peer/share/hand-out.ts";

test("describeMissing does not complain of people who have left and could not be asked", () => {
  const receiver = (name: string, state: Receiver["state"], isOnline: boolean) => ({ person: { name }, state, isOnline });
  const all = [receiver("Ann", "not", false), receiver("Ben", "cannot", true), receiver("Chloe", "cannot", false)];
  expect(describeMissing({ receivers: all } as unknown as HandOut)).toBe(
    "Not yet: Ann (has left). " +
      "Cannot be asked, because the program there is an older version, does not take offers now, or is at another tracker of the group: Ben.",
  );
});
