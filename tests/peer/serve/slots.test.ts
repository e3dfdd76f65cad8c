// Who may upload now and who comes next. Time stands still until a test moves it.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { DEFAULT_SLOTS, type SlotClaim, TURN_MS, UploadSlots } from "../../../lib/peer/serve/slots.ts";
import { HandClock } from "../../helpers/channel.ts";

/** A claim of an id: `a@x` is of the host x, and `a` alone of a host of its own. */
function claim(text: string): SlotClaim {
  const [downloader = "", host = downloader] = text.split("@");
  return { downloader, host };
}

function claims(...downloaders: string[]): SlotClaim[] {
  return downloaders.map(claim);
}

/** A queue, and downloaders that ask. */
class Desk {
  readonly clock = new HandClock();
  readonly slots: UploadSlots;

  constructor(count: number) {
    this.slots = new UploadSlots(count, this.clock);
  }

  ask(...seats: SlotClaim[]): number[] {
    return seats.map((claim) => this.slots.ask(claim));
  }

  /** Time passes, and these ask once a second and are sent bytes if they may be. */
  async pass(seconds: number, ...asking: SlotClaim[]): Promise<void> {
    for (let i = 0; i < seconds; i++) {
      await this.clock.pass(1000);
      for (const claim of asking) if (this.slots.ask(claim) === 0) this.slots.use(claim, false, 100_000);
    }
  }
}

const pick = <Item>(items: Item[], index: number): Item => {
  const item = items[index];
  if (item === undefined) throw new Error(`there is no ${index}`);
  return item;
};

describe("UploadSlots", () => {
  test("the numbers of the protocol: eight at once, ten seconds a turn", () => {
    expect([DEFAULT_SLOTS, TURN_MS]).toEqual([8, 10_000]);
  });

  test("the first claims get all slots; the others get their places in the order in which they came", () => {
    const desk = new Desk(8);
    const all = claims(..."abcdefghijk");
    expect(desk.ask(...all)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    expect(desk.slots.waiting).toBe(3);
    // Asking again changes nothing, in whatever order.
    expect(desk.ask(...all.toReversed())).toEqual([3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(desk.slots.waiting).toBe(3);
  });

  test("a claim that leaves makes room for the first in the queue, and for no later one", () => {
    const desk = new Desk(1);
    const [a, b, c, d] = claims("a", "b", "c", "d") as [SlotClaim, SlotClaim, SlotClaim, SlotClaim];
    expect(desk.ask(a, b, c)).toEqual([0, 1, 2]);
    desk.slots.leave(a);
    // The slot is free, but kept for the first.
    expect(desk.ask(d, c)).toEqual([3, 2]);
    expect(desk.ask(b)).toEqual([0]);
    expect(desk.ask(c, d)).toEqual([1, 2]);
  });

  test("a claim that leaves the queue lets the others move up", () => {
    const desk = new Desk(1);
    const [a, b, c, d] = claims("a", "b", "c", "d") as [SlotClaim, SlotClaim, SlotClaim, SlotClaim];
    desk.ask(a, b, c, d);
    desk.slots.leave(b);
    expect(desk.ask(c, d)).toEqual([1, 2]);
    expect(desk.slots.waiting).toBe(2);
    desk.slots.leave(b);
    desk.slots.leave(claim("nobody"));
    expect(desk.ask(a, c, d)).toEqual([0, 1, 2]);
  });

  test("several that are free at once go to as many of the first", () => {
    const desk = new Desk(2);
    const all = claims("a", "b", "c", "d", "e");
    desk.ask(...all);
    desk.slots.leave(pick(all, 0));
    desk.slots.leave(pick(all, 1));
    expect(desk.ask(pick(all, 4), pick(all, 3), pick(all, 2), pick(all, 4))).toEqual([3, 0, 0, 1]);
  });

  test("while nobody waits a slot is kept, however long its turn and however long it is idle", async () => {
    const desk = new Desk(1);
    const [a] = claims("a") as [SlotClaim];
    desk.ask(a);
    await desk.clock.pass(600_000);
    expect(desk.ask(a)).toEqual([0]);
  });

  test("while somebody waits a turn ends after ten seconds, not before, and its owner waits behind the others", async () => {
    const desk = new Desk(1);
    const [a, b, c] = claims("a", "b", "c") as [SlotClaim, SlotClaim, SlotClaim];
    expect(desk.ask(a, b, c)).toEqual([0, 1, 2]);
    await desk.pass(9, a, b, c);
    expect(desk.ask(a, b, c)).toEqual([0, 1, 2]);
    await desk.clock.pass(1000);
    expect(desk.ask(a)).toEqual([3]);
    expect(desk.ask(b, c, a)).toEqual([0, 1, 2]);
  });

  test("the turn of a claim that was alone for long ends when another comes", async () => {
    const desk = new Desk(1);
    const [a, b] = claims("a", "b") as [SlotClaim, SlotClaim];
    desk.ask(a);
    await desk.pass(30, a);
    expect(desk.ask(b, a)).toEqual([0, 1]);
  });

  test("of several that nobody uses only as many are given away as somebody waits for", async () => {
    const desk = new Desk(3);
    const [a, b, c, d] = claims("a", "b", "c", "d") as [SlotClaim, SlotClaim, SlotClaim, SlotClaim];
    desk.ask(a, b, c);
    await desk.clock.pass(60_000);
    expect(desk.ask(d, d)).toEqual([0, 0]);
    expect(desk.slots.waiting).toBe(0);
    expect(desk.ask(d)).toEqual([0]);
  });

  test("a slot that is not used for two seconds is somebody else's, not before", async () => {
    const desk = new Desk(1);
    const [a, b] = claims("a", "b") as [SlotClaim, SlotClaim];
    desk.ask(a, b);
    await desk.clock.pass(1900);
    expect(desk.ask(b)).toEqual([1]);
    await desk.clock.pass(100);
    expect(desk.ask(b)).toEqual([0]);
    expect(desk.ask(a)).toEqual([1]);
  });

  test("bytes on their way are neither idle nor cut short; the turn ends with them", async () => {
    const desk = new Desk(1);
    const [a, b] = claims("a", "b") as [SlotClaim, SlotClaim];
    desk.ask(a);
    desk.slots.use(a, true);
    for (let i = 0; i < 30; i++) {
      expect(desk.ask(b)).toEqual([1]);
      await desk.clock.pass(1000);
    }
    desk.slots.use(a, false);
    expect(desk.ask(a)).toEqual([2]);
    expect(desk.ask(b)).toEqual([0]);
  });

  test("the two seconds are counted from the end of the bytes", async () => {
    const desk = new Desk(1);
    const [a, b] = claims("a", "b") as [SlotClaim, SlotClaim];
    desk.ask(a, b);
    desk.slots.use(a, true);
    await desk.pass(5, b);
    desk.slots.use(a, false, 100_000);
    await desk.clock.pass(1500);
    expect(desk.ask(b, a)).toEqual([1, 0]);
    desk.slots.use(claim("nobody"), true);
  });

  test("a place is forgotten when its owner does not ask for more than ten seconds", async () => {
    const desk = new Desk(1);
    const [a, b, c] = claims("a", "b", "c") as [SlotClaim, SlotClaim, SlotClaim];
    desk.ask(a);
    desk.slots.use(a, true);
    desk.ask(b, c);
    await desk.clock.pass(5000);
    expect(desk.ask(c)).toEqual([2]);
    await desk.clock.pass(5000);
    expect(desk.ask(c)).toEqual([2]);
    await desk.clock.pass(1);
    expect(desk.ask(c)).toEqual([1]);
    // It comes back behind the others.
    expect(desk.ask(b)).toEqual([2]);
  });

  test("a free slot is not kept for ever for a claim that does not ask any more", async () => {
    const desk = new Desk(1);
    const [a, b, c] = claims("a", "b", "c") as [SlotClaim, SlotClaim, SlotClaim];
    desk.ask(a, b, c);
    desk.slots.leave(a);
    await desk.pass(10, c);
    await desk.clock.pass(1);
    expect(desk.ask(c)).toEqual([0]);
  });

  test("one downloader with many connections keeps one slot when another comes", async () => {
    const desk = new Desk(2);
    const greedy = claims("g", "g", "g", "g", "g", "g");
    const [h] = claims("h") as [SlotClaim];
    expect(desk.ask(...greedy)).toEqual([0, 0, 1, 2, 3, 4]);
    // It does not wait for either of the two, which gives one back at its next request.
    expect(desk.ask(h)).toEqual([0]);
    expect(desk.ask(...greedy.slice(2))).toEqual([1, 2, 3, 4]);
    expect(desk.ask(...greedy.slice(0, 2))[0]).toBeGreaterThan(0);
    desk.slots.leave(pick(greedy, 1));
    expect(desk.ask(pick(greedy, 2))).toEqual([0]);
  });

  test("a downloader that takes all slots and never stops leaves every other one its turn", async () => {
    const desk = new Desk(4);
    const greedy = claims(...Array.from({ length: 40 }, () => "g"));
    const modest = claims("a", "b", "c");
    const served = new Map<string, number>();
    desk.ask(...greedy);
    for (let second = 0; second < 60; second++) {
      for (const claim of [...greedy, ...modest]) {
        if (desk.slots.ask(claim) > 0) continue;
        desk.slots.use(claim, false, 100_000);
        served.set(claim.downloader, (served.get(claim.downloader) ?? 0) + 1);
      }
      await desk.clock.pass(1000);
    }
    for (const who of ["a", "b", "c"]) expect([who, (served.get(who) ?? 0) >= 20]).toEqual([who, true]);
    expect(served.get("g") ?? 0).toBeGreaterThanOrEqual(40);
  });

  test("whatever happens: never more slots than there are, places without gaps, and each claim that keeps asking is served", async () => {
    type Step = { claim: number; act: "ask" | "leave" | "use" | "rest"; wait: number };
    const step = fc.record<Step>({
      claim: fc.nat(11),
      act: fc.constantFrom("ask", "ask", "ask", "leave", "use", "rest"),
      wait: fc.constantFrom(0, 0, 100, 1000, 2500, 11_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), async (count, steps) => {
        const desk = new Desk(count);
        const all = Array.from({ length: 12 }, (_, i) => claim(`w${i % 5}`));
        for (const { claim, act, wait } of steps) {
          const one = pick(all, claim);
          if (act === "ask") desk.slots.ask(one);
          else if (act === "leave") desk.slots.leave(one);
          else desk.slots.use(one, act === "use");
          if (wait > 0) await desk.clock.pass(wait);
        }
        for (const claim of all) desk.slots.use(claim, false);
        // All ask at the same moment: after a few rounds nothing changes any more.
        for (let round = 0; round < 3; round++) desk.ask(...all);
        const positions = desk.ask(...all);
        const settled = desk.ask(...all);
        expect(settled.filter((position) => position === 0).length).toBe(count);
        expect(settled.filter((position) => position > 0).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 12 - count }, (_, i) => i + 1),
        );
        expect(positions).toEqual(settled);
        expect(desk.slots.waiting).toBe(12 - count);
        const served = new Set<SlotClaim>();
        for (let second = 0; second < 12 * 12; second++) {
          for (const claim of all) if (desk.slots.ask(claim) === 0) served.add(claim);
          await desk.clock.pass(1000);
        }
        expect(new Set([...served].map(({ downloader }) => downloader)).size).toBe(5);
      }),
      { seed: 20_261_122, numRuns: 25 },
    );
  });

  test("one host with any number of ids leaves a slot to another host at once, and keeps one of its own", async () => {
    const desk = new Desk(8);
    const greedy = claims(...Array.from({ length: 32 }, (_, i) => `id${i}@g`));
    expect(desk.ask(...greedy).filter((position) => position === 0)).toHaveLength(8);
    for (const one of greedy.slice(0, 8)) desk.slots.use(one, true);
    // The bytes under way are not cut off: for a moment there is a ninth slot, and a tenth.
    const [h, i, h2] = claims("h", "i", "h2@h") as [SlotClaim, SlotClaim, SlotClaim];
    expect(desk.ask(h, i)).toEqual([0, 0]);
    desk.slots.use(h, true);
    desk.slots.use(i, true);
    expect(desk.ask(h2)[0]).toBeGreaterThan(0);
    for (const one of greedy.slice(0, 8)) desk.slots.use(one, false, 100_000);
    expect(desk.ask(...greedy).filter((position) => position === 0)).toHaveLength(1);
    // Alone again, it may have all.
    desk.slots.leave(h);
    desk.slots.leave(i);
    desk.slots.leave(h2);
    expect(desk.ask(...greedy).filter((position) => position === 0)).toHaveLength(8);
  });

  test("there are never more than twice the slots, whatever the number of hosts", () => {
    const desk = new Desk(4);
    const greedy = claims(...Array.from({ length: 4 }, (_, i) => `id${i}@g`));
    const others = claims(...Array.from({ length: 20 }, (_, i) => `h${i}`));
    for (const one of [...greedy, ...others]) if (desk.slots.ask(one) === 0) desk.slots.use(one, true);
    expect(desk.ask(...others).filter((position) => position === 0)).toHaveLength(3);
  });

  test("while others are served, the peers of one host take turns, and so do the connections of one peer", async () => {
    const desk = new Desk(8);
    const [other, a, b, a2] = claims("o", "a@h", "b@h", "a@h") as [SlotClaim, SlotClaim, SlotClaim, SlotClaim];
    desk.ask(other, a, b, a2);
    const served = new Map<SlotClaim, number>();
    for (let second = 0; second < 90; second++) {
      await desk.pass(1, other);
      for (const one of [a, b, a2]) {
        if (desk.slots.ask(one) > 0) continue;
        desk.slots.use(one, false, 100_000);
        served.set(one, (served.get(one) ?? 0) + 1);
      }
    }
    for (const one of [a, b, a2]) expect(served.get(one) ?? 0).toBeGreaterThanOrEqual(20);
  });

  test("tiny requests do not keep a slot while others wait", async () => {
    const desk = new Desk(1);
    const [tiny, honest] = claims("t", "h") as [SlotClaim, SlotClaim];
    for (let i = 0; i < 10; i++) {
      expect(desk.ask(tiny)).toEqual([0]);
      desk.slots.use(tiny, true);
      desk.slots.use(tiny, false, 1);
      await desk.clock.pass(200);
    }
    expect(desk.ask(honest, tiny)).toEqual([0, 1]);
  });

  test("a slot is kept by 32 KiB in two seconds, in one request or in many", async () => {
    const desk = new Desk(1);
    const [a, b] = claims("a", "b") as [SlotClaim, SlotClaim];
    desk.ask(a, b);
    for (let i = 0; i < 8; i++) {
      await desk.clock.pass(500);
      desk.slots.use(a, false, 10_000);
      expect(desk.ask(b, a)).toEqual([1, 0]);
    }
  });
});
