// Several ways to one channel: which is begun when, which is taken, and what becomes of the others.

import { describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { firstToOpen, mainReason } from "../../../lib/peer/connect/happy-eyeballs.ts";
import { addressOf, connection, type Far, HandClock, REFUSED, type Side, settle } from "../../helpers/channel.ts";

const SILENCE = new FtError("no-answer", "no answer within 5 s");

/** One way, which opens or fails when the test says so. */
class Way {
  /** When it was begun, in milliseconds of the race; undefined until then. */
  begunAt: number | undefined;
  signal: AbortSignal | undefined;
  near: Side | undefined;
  far: Far | undefined;
  readonly #outcome = Promise.withResolvers<Side>();

  begin(signal: AbortSignal, at: number): Promise<Side> {
    this.begunAt = at;
    this.signal = signal;
    return this.#outcome.promise;
  }

  open(): Side {
    const { near, far } = connection({ address: addressOf("192.168.1.31"), port: 5000 });
    Object.assign(this, { near, far });
    this.#outcome.resolve(near);
    return near;
  }

  fail(error: Error): void {
    this.#outcome.reject(error);
  }

  /** It was opened too late: its far side sees nothing but the end, and then it is closed. */
  async expectClosed(): Promise<void> {
    await settle();
    expect([this.far?.over, this.far?.total]).toEqual([true, 0]);
    this.far?.close();
    await settle();
    expect(this.near?.closed).toBe(true);
  }
}

/** A race between so many ways. */
class Race {
  readonly clock = new HandClock();
  readonly stop = new AbortController();
  readonly ways: Way[];
  readonly outcome: Promise<unknown>;
  readonly #start = this.clock.at();

  constructor(count: number, headStartMs?: number) {
    this.ways = Array.from({ length: count }, () => new Way());
    const attempts = this.ways.map((way) => (signal: AbortSignal) => way.begin(signal, this.clock.at() - this.#start));
    const { clock, stop } = this;
    this.outcome = firstToOpen(attempts, { clock, signal: stop.signal, ...(headStartMs === undefined ? {} : { headStartMs }) });
    this.outcome.catch(() => undefined);
  }

  get begun(): (number | undefined)[] {
    return this.ways.map(({ begunAt }) => begunAt);
  }

  way(index: number): Way {
    const way = this.ways[index];
    if (way === undefined) throw new Error(`there is no way ${index}`);
    return way;
  }

  async failure(): Promise<unknown> {
    return await this.outcome.then(
      () => {
        throw new Error("it should have failed");
      },
      (error: unknown) => error,
    );
  }

  async isWaiting(): Promise<boolean> {
    const settled = this.outcome.then(
      () => false,
      () => false,
    );
    return await Promise.race([settled, settle().then(() => true)]);
  }

  /** Nothing of it is left in the world. */
  expectGone(): void {
    expect(this.clock.untilNext).toBe(Number.POSITIVE_INFINITY);
    expect(getEventListeners(this.stop.signal, "abort")).toEqual([]);
  }
}

describe("when each way is begun", () => {
  test("the first at once, the others a quarter of a second apart, in their order", async () => {
    const race = new Race(3);
    expect(race.begun).toEqual([0, undefined, undefined]);
    await race.clock.pass(249);
    expect(race.begun).toEqual([0, undefined, undefined]);
    await race.clock.pass(1);
    expect(race.begun).toEqual([0, 250, undefined]);
    await race.clock.pass(250);
    expect(race.begun).toEqual([0, 250, 500]);
  });

  test("the head start is the caller's, and none at all is possible", async () => {
    const race = new Race(2, 1000);
    await race.clock.pass(999);
    expect(race.begun).toEqual([0, undefined]);
    await race.clock.pass(1);
    expect(race.begun).toEqual([0, 1000]);
    const level = new Race(2, 0);
    await level.clock.pass(0);
    expect(level.begun).toEqual([0, 0]);
  });

  test("a way that fails lets the next one begin at once, which has a whole head start again", async () => {
    const race = new Race(3);
    await race.clock.pass(100);
    race.way(0).fail(REFUSED);
    await settle();
    expect(race.begun).toEqual([0, 100, undefined]);
    await race.clock.pass(249);
    expect(race.begun).toEqual([0, 100, undefined]);
    await race.clock.pass(1);
    expect(race.begun).toEqual([0, 100, 350]);
  });

  test("also while an earlier one is still trying", async () => {
    const race = new Race(3);
    await race.clock.pass(250);
    race.way(1).fail(REFUSED);
    await settle();
    expect(race.begun).toEqual([0, 250, 250]);
  });

  test("once one is taken, none is begun any more", async () => {
    const race = new Race(2);
    race.way(0).open();
    await race.outcome;
    await race.clock.pass(10_000);
    expect(race.begun).toEqual([0, undefined]);
  });
});

describe("which one is taken", () => {
  test("the first that opens, although it was begun last", async () => {
    const race = new Race(3);
    await race.clock.pass(500);
    const near = race.way(2).open();
    expect(await race.outcome).toBe(near);
    expect(near.closed).toBe(false);
    expect(race.ways.map(({ signal }) => signal?.aborted)).toEqual([true, true, true]);
    race.expectGone();
  });

  test("one that opens after that is closed, and one that fails after that is nobody's error", async () => {
    const race = new Race(3);
    await race.clock.pass(500);
    const near = race.way(1).open();
    race.way(0).open();
    race.way(2).fail(REFUSED);
    expect(await race.outcome).toBe(near);
    await race.way(0).expectClosed();
    expect([near.closed, race.way(1).far?.over]).toEqual([false, false]);
  });

  test("two that open in the same moment: the one that was first, and the other is closed", async () => {
    const race = new Race(2, 0);
    await race.clock.pass(0);
    const second = race.way(1).open();
    race.way(0).open();
    expect(await race.outcome).toBe(second);
    await race.way(0).expectClosed();
    expect([second.closed, race.way(1).far?.over]).toEqual([false, false]);
  });

  test("the one way that there is", async () => {
    const race = new Race(1);
    await race.clock.pass(10_000);
    const near = race.way(0).open();
    expect(await race.outcome).toBe(near);
    race.expectGone();
  });
});

describe("when it cannot be had", () => {
  test("all reasons are given in the order of the ways, whichever failed first", async () => {
    const race = new Race(3);
    await race.clock.pass(500);
    const errors = [SILENCE, REFUSED, new FtError("unreachable", "network unreachable")];
    for (const index of [2, 0, 1]) {
      expect(await race.isWaiting()).toBe(true);
      race.way(index).fail(errors[index] ?? REFUSED);
      await settle();
    }
    const error = await race.failure();
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors).toEqual(errors);
    race.expectGone();
  });

  test("no way at all fails at once", async () => {
    const race = new Race(0);
    const error = await race.failure();
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors).toEqual([]);
    race.expectGone();
  });

  test("stopped, it ends at once, tells all that were begun, begins no other, and closes what opens late", async () => {
    const race = new Race(3);
    await race.clock.pass(250);
    race.stop.abort();
    expect(await race.failure()).toBeInstanceOf(CancelledError);
    expect(race.ways.map(({ signal }) => signal?.aborted)).toEqual([true, true, undefined]);
    race.expectGone();
    race.way(0).open();
    race.way(1).fail(REFUSED);
    await race.clock.pass(10_000);
    await race.way(0).expectClosed();
    expect(race.begun).toEqual([0, 250, undefined]);
  });

  test("stopped before it began, it begins nothing", async () => {
    const stop = new AbortController();
    stop.abort();
    let begun = 0;
    const way = async () => {
      begun += 1;
      throw REFUSED;
    };
    const clock = new HandClock();
    const error = await firstToOpen([way], { signal: stop.signal, clock }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CancelledError);
    expect(begun).toBe(0);
    expect(clock.untilNext).toBe(Number.POSITIVE_INFINITY);
    expect(getEventListeners(stop.signal, "abort")).toEqual([]);
  });
});

describe("the reason that is told", () => {
  test("of several, silence says more than a refusal; else the first way's", () => {
    const nowhere = new FtError("unreachable", "network unreachable");
    expect(mainReason(new AggregateError([REFUSED, SILENCE]))).toBe(SILENCE);
    expect(mainReason(new AggregateError([nowhere, REFUSED]))).toBe(nowhere);
    expect(mainReason(REFUSED)).toBe(REFUSED);
  });
});
