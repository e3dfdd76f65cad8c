// When a fetch ends without the file, and when it waits: new holders, and a machine that is off the network.

import { afterEach, describe, expect, test } from "bun:test";
import { CancelledError, FtError } from "../../../lib/error.ts";
import { PieceSet } from "../../../lib/peer/content/pieces.ts";
import type { Fetched } from "../../../lib/peer/fetch/types.ts";
import type { FileRecord } from "../../../lib/protocol/record.ts";
import { REFUSED } from "../../helpers/channel.ts";
import { A, B, bytesOf, C, checkFields, Field, failure, KiB, MiB, PIECE, SIZE, stateOf } from "../../helpers/fetching.ts";

afterEach(checkFields);

describe("GivingUp: new holders", () => {
  test("one that the tracker names in the middle of a transfer is used", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 300_000;
    field.add(B).pace = 3_000_000;
    let looks = 0;
    field.more.look = async () => (++looks < 3 ? [field.record(A)] : [field.record(A), field.record(B)]);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect(field.elapsed).toBeLessThan(6000);
    expect(field.dials(A)).toHaveLength(1);
    expect(field.dials(B)).toHaveLength(1);
  });

  test("while bytes come and holders wait for a connection, the tracker is asked rarely after the first questions", async () => {
    const looksOf = async (parts: number, isBusy = false) => {
      const field = new Field(bytesOf(6 * MiB));
      const whole = field.add(A);
      whole.pace = 100_000;
      whole.instead = (far, { verb }) => {
        if (isBusy && verb === "DOWNLOAD") far.say("BUSY position=1\n");
        return isBusy && verb === "DOWNLOAD";
      };
      const addresses = Array.from({ length: parts }, (_, i) => `10.0.1.${i + 1}`);
      for (const address of addresses) field.add(address).has = new PieceSet(96);
      const looks: number[] = [];
      field.more.look = async () => {
        looks.push(field.elapsed);
        return [];
      };
      void field.fetch([A, ...addresses.map((address) => `~${address}`)]);
      await field.clock.pass(28_000);
      return looks;
    };
    const [few, many, stuck] = [await looksOf(3), await looksOf(12), await looksOf(12, true)];
    expect(few.filter((at) => at < 10_000)).toEqual(many.filter((at) => at < 10_000));
    expect(few.filter((at) => at > 10_000).length).toBeGreaterThan(2);
    expect(many.filter((at) => at > 10_000)).toEqual([]);
    expect(stuck.filter((at) => at > 10_000).length).toBeGreaterThan(2);
  });

  test("the tracker is asked less and less often", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 10;
    const looks: number[] = [];
    field.more.look = async () => {
      looks.push(field.elapsed);
      return [];
    };
    void field.fetch([A]);
    await field.clock.pass(30_000);
    const pauses = looks.slice(1).map((at, i) => at - (looks[i] ?? 0));
    expect(looks.length).toBeGreaterThanOrEqual(5);
    expect(looks.length).toBeLessThanOrEqual(10);
    expect(pauses).toEqual([...pauses].sort((a, b) => a - b));
  });

  test("a holder that never came is waited for twice, however its network says so", async () => {
    const field = new Field(bytesOf(SIZE));
    let dials = 0;
    field.more.dial = () => {
      dials += 1;
      const error = new FtError("unreachable", "it did not come when it was asked to connect back");
      return new Promise((_, reject) => field.clock.after(5_000, () => reject(error)));
    };
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain("it did not come");
    expect(dials).toBe(2);
  });

  test("a tracker that does not answer harms nothing", async () => {
    for (const look of [
      () => Promise.reject(new FtError("away", "the tracker is away")),
      () => new Promise<FileRecord[]>(() => undefined),
    ]) {
      const field = new Field(bytesOf(2 * MiB));
      field.add(A).pace = 500_000;
      field.more.look = look;
      field.expectWhole(await field.finish(field.fetch([A])), [A]);
      expect(field.failures).toEqual([]);
    }
  });

  test("a holder that lied is not tried again when the tracker names it", async () => {
    const field = new Field(bytesOf(2 * MiB));
    const liar = field.add(A, bytesOf(2 * MiB, 1));
    field.add(B).pace = 300_000;
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return [field.record(A), field.record(B)];
    };
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(looks).toBeGreaterThan(2);
    expect(liar.connections).toHaveLength(1);
  });

  test("one that was given up and is named again is tried once more", async () => {
    const field = new Field(bytesOf(4 * MiB));
    field.add(A).pace = 300_000;
    field.add(B).pace = 3_000_000;
    let away = true;
    field.net.fate = ({ address }) => (address === B && away ? REFUSED : undefined);
    field.more.look = async () => {
      if (field.dials(B).length < 4 || field.elapsed < 4000) return [];
      away = false;
      return [field.record(B)];
    };
    field.expectWhole(await field.finish(field.fetch([A, B])), [A, B]);
    expect(field.dials(B)).toHaveLength(5);
  });

  test("records of another size, and of holders that speak the old protocol, are not asked", async () => {
    const field = new Field(bytesOf(2 * MiB));
    field.add(A).pace = 500_000;
    field.more.look = async () => [field.record(B, { size: 7 }), field.record(C, { v2: false })];
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect([...field.dials(B), ...field.dials(C)]).toEqual([]);
  });

  test("the tracker is asked once more before all is given up", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(B);
    field.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
    let looks = 0;
    field.more.look = async () => {
      looks += 1;
      return field.dials(A).length >= 4 ? [field.record(B)] : [];
    };
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
    expect(looks).toBeGreaterThan(0);
  });
});

describe("GivingUp: off the network", () => {
  /** A machine that loses its network, and its tracker with it, and gets them back. */
  class Machine extends Field {
    away = false;
    pass = "old.sig";
    /** Who has the file when it is asked; nobody but those that are known. */
    online: FileRecord[] = [];

    constructor(size = SIZE) {
      super(bytesOf(size));
      this.more = {
        pass: () => this.pass,
        away: () => this.away,
        // As a session asks: while the tracker is away, for a moment and then in vain.
        look: async () => {
          if (!this.away) return this.online;
          await new Promise<void>((resolve) => this.clock.after(1500, resolve));
          throw new FtError("tracker-gone", "The tracker is away.");
        },
      };
    }

    lose(): void {
      this.away = true;
      this.net.fate = () => new FtError("unreachable", "network unreachable");
      for (const { connections } of this.holders.values()) for (const far of connections) far.reset();
    }

    comeBack(): void {
      this.away = false;
      this.net.fate = () => undefined;
    }

    get aways(): number {
      return this.events.filter(({ event }) => event === "away").length;
    }

    /** Fetches until some of it is here. */
    async halfway(addresses: string[]): Promise<Promise<Fetched>[]> {
      const fetching = this.fetch(addresses);
      const from = this.received;
      await this.reach(() => this.received > from + 2 * PIECE && this.received < this.bytes.length - PIECE);
      // In a list, because a promise in a promise is one.
      return [fetching];
    }
  }

  async function halfway(addresses: string[]): Promise<{ machine: Machine; fetching: Promise<Fetched> }> {
    const machine = new Machine();
    for (const address of addresses) machine.add(address).pace = 200 * KiB;
    const [fetching] = await machine.halfway(addresses);
    if (fetching === undefined) throw new Error("it should be fetching");
    return { machine, fetching };
  }

  test("it waits, says so once, and goes on where it was when it is back", async () => {
    const { machine, fetching } = await halfway([A, B]);
    machine.lose();
    await machine.clock.pass(40_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 1]);
    const [here, asked] = [machine.received, machine.timesAsked];
    machine.comeBack();
    machine.pass = "new.sig";
    await machine.clock.pass(4000);
    expect(machine.dials(A).length + machine.dials(B).length).toBeGreaterThan(2);
    machine.expectWhole(await machine.finish(fetching));
    expect(machine.aways).toBe(1);
    expect(here).toBeGreaterThan(PIECE);
    // What was here is not asked for again.
    const again = machine.timesAsked.map((times, piece) => times - (asked[piece] ?? 0));
    expect(again.filter((times) => times === 0).length).toBeGreaterThanOrEqual(1);
    expect([...machine.holders.values()].flatMap(({ heard }) => heard)).toContain("HELLO FT/2 pass=new.sig");
    await machine.expectGone();
  });

  test("it goes on within a few seconds, however long it was away", async () => {
    for (const seconds of [1, 10, 30, 60, 85]) {
      const { machine, fetching } = await halfway([A]);
      machine.lose();
      await machine.clock.pass(seconds * 1000);
      expect([seconds, await stateOf(fetching)]).toEqual([seconds, "waiting"]);
      machine.comeBack();
      const from = machine.clock.at();
      machine.expectWhole(await machine.finish(fetching), [A]);
      expect([seconds, machine.clock.at() - from < 10_000]).toEqual([seconds, true]);
    }
  });

  test("again and again: every time it is waited for anew", async () => {
    const machine = new Machine(60 * PIECE);
    machine.add(A).pace = 200 * KiB;
    const fetching = machine.fetch([A]);
    for (let spell = 1; spell <= 4; spell++) {
      const from = machine.received;
      await machine.reach(() => machine.received > from + 2 * PIECE);
      machine.lose();
      await machine.clock.pass(50_000);
      expect([spell, await stateOf(fetching), machine.aways]).toEqual([spell, "waiting", spell]);
      machine.comeBack();
    }
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("the only one with the rest, silent all of a sudden, is waited for, and said so once", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    machine.away = false;
    machine.net.fate = () => new FtError("no-answer", "no answer within 5 s");
    await machine.clock.pass(40_000);
    const said = machine.events.filter(({ event }) => event === "silent");
    expect([await stateOf(fetching), said.length, machine.aways]).toEqual(["waiting", 1, 0]);
    machine.comeBack();
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("but not for ever, and not for one that refuses", async () => {
    for (const [error, most] of [
      [new FtError("no-answer", "no answer within 5 s"), 90_000],
      [REFUSED, 10_000],
    ] as const) {
      const { machine, fetching } = await halfway([A]);
      machine.lose();
      machine.away = false;
      machine.net.fate = () => error;
      const { message } = await failure(machine.finish(fetching, most));
      expect(message).toContain("Your progress is saved");
    }
  });

  test("while everybody is on the way back to a restarted tracker, a refused pass says nothing", async () => {
    const machine = new Machine();
    const holder = machine.add(A);
    holder.pace = 200 * KiB;
    machine.more.unsettled = () => true;
    const [fetching] = await machine.halfway([A]);
    if (fetching === undefined) throw new Error("it should be fetching");
    machine.lose();
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("ERROR not-accepted The pass is not from this peer's tracker.\n");
      return verb === "DOWNLOAD";
    };
    machine.comeBack();
    await machine.clock.pass(20_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 0]);
    delete (holder as { instead?: unknown }).instead;
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("a holder that has moved meanwhile is asked where it is now", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(20_000);
    machine.comeBack();
    machine.net.fate = ({ address }) => (address === A ? REFUSED : undefined);
    machine.add(B);
    machine.online = [machine.record(B)];
    machine.expectWhole(await machine.finish(fetching), [A, B]);
  });

  test("after ninety seconds it is the ordinary sentence, and what arrived is kept", async () => {
    const { machine, fetching } = await halfway([A, B]);
    machine.lose();
    const from = machine.clock.at();
    const kept = machine.bytes.length - PIECE;
    const { message, code } = await failure(machine.finish(fetching, 120_000));
    const waited = machine.clock.at() - from;
    expect(waited).toBeGreaterThan(90_000);
    expect(waited).toBeLessThan(100_000);
    expect(code).toBe("no-holder");
    expect(message).toMatch(
      /^The download of "report, final\.pdf" stopped at .* of .*: .*network unreachable.* Your progress is saved/,
    );
    expect([machine.aways, machine.part.restarts]).toEqual([1, 0]);
    expect(machine.received).toBeLessThanOrEqual(kept);
    await machine.expectGone();
  });

  test("back, and the holder is gone for good: a few tries, then the sentence", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(30_000);
    machine.comeBack();
    machine.net.fate = () => REFUSED;
    const from = machine.clock.at();
    const { message } = await failure(machine.finish(fetching));
    expect(message).toContain("connection refused");
    expect(machine.clock.at() - from).toBeLessThan(15_000);
    await machine.expectGone();
  });

  test("stopping ends the waiting at once", async () => {
    const { machine, fetching } = await halfway([A]);
    machine.lose();
    await machine.clock.pass(20_000);
    machine.stop.abort();
    expect(await stateOf(fetching)).toBe("failed");
    expect(await failure(fetching)).toBeInstanceOf(CancelledError);
  });

  test("a liar is not forgiven", async () => {
    const machine = new Machine();
    const liar = machine.add(A);
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      liar.announce(far, request);
      far.say(new Uint8Array(request.length).fill(65));
      return true;
    };
    machine.add(B).pace = 100 * KiB;
    const fetching = machine.fetch([A, B]);
    await machine.reach(() => machine.received > PIECE);
    machine.lose();
    await machine.clock.pass(30_000);
    machine.comeBack();
    machine.pass = "new.sig";
    machine.expectWhole(await machine.finish(fetching), [B]);
    expect(machine.dials(A)).toEqual([0]);
  });

  test("when all that are left are liars there is nothing to wait for, and nobody is told to", async () => {
    const machine = new Machine();
    machine.away = true;
    const liar = machine.add(A);
    liar.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      liar.announce(far, request);
      far.say(new Uint8Array(request.length).fill(65));
      return true;
    };
    const { message } = await failure(machine.finish(machine.fetch([A])));
    expect(message).toContain("not the file it announced");
    expect([machine.aways, machine.dials(A)]).toEqual([0, [0]]);
    expect(machine.elapsed).toBeLessThan(3000);
  });

  test("a holder that refuses the pass is not shown the same one again meanwhile, but the new one then", async () => {
    const { machine, fetching } = await halfway([A]);
    const [holder] = machine.holders.values();
    if (holder === undefined) throw new Error("there is no holder");
    machine.lose();
    // The holder is on this side of what is broken; only the tracker is away.
    machine.net.fate = () => undefined;
    holder.instead = (far, { verb, line }) => {
      if (verb !== "HELLO" || line.endsWith("new.sig")) return false;
      far.say("ERROR not-accepted The pass has expired.\n");
      return true;
    };
    const before = machine.dials(A).length;
    await machine.clock.pass(30_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(machine.dials(A).length - before).toBeLessThanOrEqual(3);
    machine.comeBack();
    machine.pass = "new.sig";
    machine.expectWhole(await machine.finish(fetching), [A]);
    await machine.expectGone();
  });

  test("a holder that breaks off in every piece does not keep it waiting for ever, nor tell of it again and again", async () => {
    const machine = new Machine();
    machine.away = true;
    const holder = machine.add(A);
    holder.instead = (far, request) => {
      if (request.verb !== "DOWNLOAD") return false;
      holder.announce(far, request);
      far.say(holder.bytes.subarray(request.offset, request.offset + 100));
      far.close();
      return true;
    };
    const { code } = await failure(machine.finish(machine.fetch([A]), 300_000));
    expect(code).toBe("no-holder");
    expect(machine.aways).toBeLessThanOrEqual(2);
    await machine.expectGone();
  });

  test("a holder whose queue took long after one absence is waited for in the next one, too", async () => {
    const { machine, fetching } = await halfway([A]);
    const holder = machine.holders.get(A);
    if (holder === undefined) throw new Error("there is no holder");
    machine.lose();
    await machine.clock.pass(10_000);
    let busy = true;
    holder.instead = (far, { verb }) => {
      if (verb === "DOWNLOAD" && busy) far.say("BUSY position=3\n");
      return verb === "DOWNLOAD" && busy;
    };
    machine.comeBack();
    await machine.clock.pass(120_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 1]);
    machine.lose();
    await machine.clock.pass(20_000);
    expect([await stateOf(fetching), machine.aways]).toEqual(["waiting", 2]);
    busy = false;
    machine.comeBack();
    machine.expectWhole(await machine.finish(fetching), [A]);
  });

  test("only the tracker is away: a holder that can give the whole file only is asked for that at once", async () => {
    const machine = new Machine();
    machine.away = true;
    machine.part.trusting = true;
    machine.add(A).instead = (far, { verb }) => {
      if (verb === "TREE") far.say("ERROR unknown-verb What is that?\n");
      return verb === "TREE";
    };
    machine.expectWhole(await machine.finish(machine.fetch([A])), [A]);
    expect(machine.elapsed).toBeLessThan(5_000);
  });

  test("not away, everything fails exactly when it always did", async () => {
    const dials: number[][] = [];
    for (const away of [undefined, () => false]) {
      const field = new Field(bytesOf(SIZE));
      field.more = { look: async () => [], ...(away === undefined ? {} : { away }) };
      field.net.fate = () => REFUSED;
      await failure(field.finish(field.fetch([A, B])));
      dials.push(field.dials(A), field.dials(B), [field.elapsed]);
      expect(field.events.some(({ event }) => event === "away")).toBe(false);
    }
    expect(dials.slice(3)).toEqual(dials.slice(0, 3));
    expect(dials[2]?.[0]).toBeLessThan(5_000);
  });

  test("a file that still comes from somebody is not held up", async () => {
    const machine = new Machine();
    machine.away = true;
    machine.add(A).pace = 200 * KiB;
    machine.net.fate = ({ address }) => (address === B ? REFUSED : undefined);
    machine.expectWhole(await machine.finish(machine.fetch([A, B])), [A]);
    expect(machine.aways).toBe(0);
  });
});
