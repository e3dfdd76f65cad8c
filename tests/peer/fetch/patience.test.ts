// Every wait for a holder has an end, and the time in which this program was stopped is no part of it.

import { afterEach, describe, expect, test } from "bun:test";
import type { Fetched } from "../../../lib/peer/fetch/types.ts";
import { REFUSED } from "../../helpers/channel.ts";
import { A, B, bytesOf, checkFields, Field, failure, type Holder, KiB, PIECE, SIZE, stateOf } from "../../helpers/fetching.ts";

afterEach(checkFields);

const MINUTE = 60_000;

/** Sends the hashes, or the bits, a byte a second. */
function drips(field: Field, holder: Holder, verb: "TREE" | "HAVE", body: Uint8Array, count: number): void {
  holder.instead = async (far, request) => {
    if (request.verb !== verb) return false;
    far.say(`${verb}: ${count}\n`);
    for (let at = 0; at < body.length && !far.closed; at++) {
      await new Promise<void>((resolve) => field.clock.after(4_000, resolve));
      far.say(body.subarray(at, at + 1));
    }
    return true;
  };
}

/** Lets much time pass until it is over. */
async function finish(field: Field, fetching: Promise<Fetched>, withinMs: number): Promise<Fetched> {
  for (const until = field.elapsed + withinMs; (await stateOf(fetching)) === "waiting"; ) {
    if (field.elapsed >= until) throw new Error(`it should have been over within ${withinMs} ms`);
    await field.clock.pass(MINUTE / 2);
  }
  return fetching;
}

describe("fetchFile: patience with a holder that is alone", () => {
  async function sentence(field: Field, withinMs: number): Promise<string> {
    const { message, code } = await failure(finish(field, field.fetch([A]), withinMs));
    expect(code).toBe("no-holder");
    return message;
  }

  test("BUSY for ever at one place: ten minutes", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { verb }) => {
      if (verb === "DOWNLOAD") far.say("BUSY position=3\n");
      return verb === "DOWNLOAD";
    };
    expect(await sentence(field, 12 * MINUTE)).toContain("its queue did not move for 10 minutes");
    expect(field.elapsed).toBeGreaterThan(10 * MINUTE);
  });

  test("a queue that moves is waited for, and gives the file at last", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).instead = (far, { verb }) => {
      const position = 5 - Math.floor(field.elapsed / (9 * MINUTE));
      if (verb === "DOWNLOAD" && position > 0) far.say(`BUSY position=${position}\n`);
      return verb === "DOWNLOAD" && position > 0;
    };
    field.expectWhole(await finish(field, field.fetch([A]), 50 * MINUTE), [A]);
  });

  test("a queue that moves for ever: an hour", async () => {
    const field = new Field(bytesOf(SIZE));
    let position = 2 ** 53;
    field.add(A).instead = (far, { verb }) => {
      position -= 2;
      if (verb === "DOWNLOAD") far.say(`BUSY position=${position}\n`);
      return verb === "DOWNLOAD";
    };
    expect(await sentence(field, 62 * MINUTE)).toContain("it was busy for 60 minutes");
  });

  test("ten bytes a second for ever: ten minutes, and the part is kept", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A).pace = 10;
    expect(await sentence(field, 12 * MINUTE)).toContain("it sent next to nothing for 10 minutes");
    expect(field.part.restarts).toBe(0);
  });

  test("hashes that drip: ten minutes", async () => {
    const field = new Field(bytesOf(SIZE));
    drips(field, field.add(A), "TREE", field.tree, field.tree.length / 32);
    expect(await sentence(field, 12 * MINUTE)).toContain("it sent next to nothing for 10 minutes");
  });

  test("which pieces it has, said bit by bit, and never more of them: an end", async () => {
    const field = new Field(bytesOf(400 * PIECE));
    drips(field, field.add(A), "HAVE", new Uint8Array(50), 50);
    const { code } = await failure(finish(field, field.fetch([`~${A}`]), 12 * MINUTE));
    expect(code).toBe("no-holder");
  });

  test("one that gives a piece, then takes connections and says nothing: an end", async () => {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    holder.instead = (far, request) => {
      if (request.verb === "DOWNLOAD" && request.count === 0) {
        holder.announce(far, request);
        far.say(field.bytes.subarray(request.offset, request.offset + 2 * PIECE));
      }
      return request.verb === "DOWNLOAD" || holder.connections.length > 1;
    };
    expect(await sentence(field, 5 * MINUTE)).toContain("Your progress is saved");
  });
});

describe("fetchFile: a holder that loses the file for a moment", () => {
  function losing(gone: (field: Field) => boolean): Field {
    const field = new Field(bytesOf(SIZE));
    const holder = field.add(A);
    holder.pace = 200 * KiB;
    holder.instead = (far, { verb }) => {
      if (verb === "HELLO" || !gone(field)) return false;
      far.say("NOT FOUND\n");
      return true;
    };
    field.more.look = async () => (gone(field) ? [] : [field.record(A)]);
    return field;
  }

  test.each([1_000, 4_000, 8_000])("and has it again after %d ms gives the rest", async (ms) => {
    const field = losing(({ elapsed }) => elapsed > 1_000 && elapsed < 1_000 + ms);
    field.expectWhole(await field.finish(field.fetch([A])), [A]);
    expect(field.part.restarts).toBe(0);
  });

  test("is waited for some seconds, not for ever", async () => {
    const field = losing(({ elapsed }) => elapsed > 1_000);
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain("it does not have the file any more");
    expect(message).toContain("Your progress is saved");
    expect(field.elapsed).toBeGreaterThan(8_000);
    expect(field.dials(A).length).toBeLessThan(20);
    await field.expectGone();
  });

  test("is waited for while it reads its file again, which is said once", async () => {
    let reads = true;
    const field = losing(({ elapsed }) => elapsed > 1_000 && reads);
    field.more.rereads = async ({ address }) => address === A && reads;
    const fetching = field.fetch([A]);
    await field.clock.pass(9_000);
    expect(await stateOf(fetching)).toBe("waiting");
    reads = false;
    field.expectWhole(await field.finish(fetching), [A]);
    expect(field.events.filter(({ event }) => event === "gone")).toMatchObject([{ rereads: true }]);
  });

  test("is waited for only some seconds when it has no such file any more, however large the file was", async () => {
    const field = losing(({ elapsed }) => elapsed > 1_000);
    field.more.rereads = async () => false;
    const { message } = await failure(field.finish(field.fetch([A])));
    expect(message).toContain("it does not have the file any more");
    expect(field.elapsed).toBeLessThan(16_000);
    expect(field.events.filter(({ event }) => event === "gone")).toMatchObject([{ rereads: false }]);
  });

  test("is not waited for while another holder gives the file", async () => {
    const field = losing(() => true);
    field.add(B);
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(field.elapsed).toBeLessThan(2_000);
  });
});

describe("fetchFile: a program that was stopped", () => {
  async function halfway(field: Field, addresses: string[]) {
    for (const address of addresses) field.add(address).pace = 200 * KiB;
    const fetching = field.fetch(addresses);
    await field.reach(() => field.received > 2 * PIECE);
    return { fetching };
  }

  test.each([3, 20, 33, 40, 80, 3_600])("for %d s blames nobody", async (seconds) => {
    const field = new Field(bytesOf(SIZE));
    const { fetching } = await halfway(field, [A, B]);
    field.clock.spend(seconds * 1_000);
    field.expectWhole(await field.finish(fetching), [A, B]);
    expect(field.failures).toEqual([]);
  });

  test("whose holder closed meanwhile, and needs a moment, goes on", async () => {
    const field = new Field(bytesOf(SIZE));
    const { fetching } = await halfway(field, [A]);
    for (const { connections } of field.holders.values()) for (const far of connections) far.reset();
    field.net.fate = () => REFUSED;
    field.clock.spend(80_000);
    await field.clock.pass(4_000);
    expect(await stateOf(fetching)).toBe("waiting");
    field.net.fate = () => undefined;
    field.expectWhole(await field.finish(fetching), [A]);
  });

  test("while it waited in a queue keeps its patience", async () => {
    const field = new Field(bytesOf(SIZE));
    let busy = true;
    field.add(A).instead = (far, { verb }) => {
      if (verb === "DOWNLOAD" && busy) far.say("BUSY position=1\n");
      return verb === "DOWNLOAD" && busy;
    };
    const fetching = field.fetch([A]);
    await field.clock.pass(5_000);
    field.clock.spend(20 * MINUTE);
    await field.clock.pass(5_000);
    expect(await stateOf(fetching)).toBe("waiting");
    busy = false;
    field.expectWhole(await field.finish(fetching), [A]);
    expect(field.failures).toEqual([]);
  });
});
