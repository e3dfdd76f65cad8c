// Bytes that arrive: wrong ones, too many at once, and a disk that fails.

import { afterEach, describe, expect, test } from "bun:test";
import { getEventListeners } from "node:events";
import { FtError } from "../../../lib/error.ts";
import { RateLimit } from "../../../lib/peer/rate-limit.ts";
import { settle } from "../../helpers/channel.ts";
import { A, B, bytesOf, checkFields, Field, failure, KiB, MiB, PIECE, SIZE, stateOf } from "../../helpers/fetching.ts";

afterEach(checkFields);

describe("Arrivals: a holder whose bytes are wrong", () => {
  const flip = (at: number) => (bytes: Uint8Array) => bytes.with(at, (bytes[at] ?? 0) ^ 1);
  const spoils: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["a wrong first byte", flip(0)],
    ["a wrong byte in the middle", flip(5 * PIECE + 777)],
    ["a wrong last byte", flip(SIZE - 1)],
    ["zeros", () => new Uint8Array(SIZE)],
    [
      "two blocks of a piece exchanged",
      (bytes) => {
        const mixed = bytes.slice();
        mixed.set(bytes.subarray(2 * PIECE, 2 * PIECE + 16 * KiB), 2 * PIECE + 16 * KiB);
        mixed.set(bytes.subarray(2 * PIECE + 16 * KiB, 2 * PIECE + 32 * KiB), 2 * PIECE);
        return mixed;
      },
    ],
    [
      "two pieces exchanged",
      (bytes) => {
        const mixed = bytes.slice();
        mixed.set(bytes.subarray(PIECE, 2 * PIECE), 2 * PIECE);
        mixed.set(bytes.subarray(2 * PIECE, 3 * PIECE), PIECE);
        return mixed;
      },
    ],
  ];

  test.each(spoils)("%s: it is named once and never asked again, another gives the file", async (_what, spoil) => {
    const field = new Field(bytesOf(SIZE));
    const liar = field.add(A, spoil(field.bytes));
    field.add(B).pace = 200_000;
    field.more.look = async () => [field.record(A), field.record(B)];
    // The liar alone is asked for everything first.
    field.expectWhole(await field.finish(field.fetch([A])));
    expect(field.failures).toEqual([`${A}: what it sent is not the file it announced`]);
    expect(liar.connections).toHaveLength(1);
    expect(field.elapsed).toBeGreaterThan(0);
    expect(liar.connections[0]?.over).toBe(true);
  });

  test("beside an honest one from the start: the file is right, and the liar is out", async () => {
    const field = new Field(bytesOf(4 * MiB));
    const liar = field.add(A, bytesOf(4 * MiB, 1));
    field.add(B).pace = 1_000_000;
    field.expectWhole(await field.finish(field.fetch([A, B])), [B]);
    expect(field.failures).toEqual([`${A}: what it sent is not the file it announced`]);
    expect(liar.connections).toHaveLength(1);
  });

  test("the right pieces of the same stretch are kept", async () => {
    const field = new Field(bytesOf(SIZE));
    const liar = field.add(A, flip(PIECE + 5)(field.bytes));
    const honest = field.add(B);
    honest.pace = 200_000;
    liar.instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count > 0;
    field.more.look = async () => (field.failures.length > 0 ? [field.record(B)] : []);
    field.expectWhole(await field.finish(field.fetch([A])), [A, B]);
    expect(liar.connections).toHaveLength(1);
    expect(liar.ranges[0]).toEqual({ offset: 0, length: 4 * PIECE });
    expect([...honest.asked].sort((a, b) => a - b)).toEqual([1, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("only liars: a sentence that names them, and never a wrong byte on the disk", async () => {
    const field = new Field(bytesOf(SIZE));
    field.add(A, bytesOf(SIZE, 1));
    field.add(B, new Uint8Array(SIZE));
    field.more.look = async () => [field.record(A), field.record(B)];
    const { message, code } = await failure(field.finish(field.fetch([A, B])));
    expect(code).toBe("no-holder");
    expect(message).toStartWith('Cannot fetch "report, final.pdf": ');
    for (const address of [A, B]) {
      expect(message).toMatch(new RegExp(`${address}:5000.*: what it sent is not the file it announced`));
      expect(field.dials(address)).toHaveLength(1);
    }
    expect(field.part.writes).toBe(0);
    await field.expectGone();
  });

  test("a file of one piece is proven, too", async () => {
    const field = new Field(bytesOf(100));
    field.add(A, bytesOf(100, 1));
    field.add(B);
    field.more.look = async () => [field.record(B)];
    field.expectWhole(await field.finish(field.fetch([A])), [B]);
  });
});

describe("Arrivals: backpressure", () => {
  test.each([1, 5, 16])("while the disk is slow %d fast holders wait, and memory stays bounded", async (count) => {
    // So much that every request can be as long as requests get.
    const size = Math.max(48, 6 * count) * MiB;
    const field = new Field(bytesOf(size));
    const disk = Promise.withResolvers<void>();
    field.part.gate = disk.promise;
    const addresses = Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`);
    for (const address of addresses) field.add(address);
    const fetching = field.fetch(addresses);
    await field.clock.pass(60_000);
    expect(await stateOf(fetching)).toBe("waiting");
    expect(field.received).toBeGreaterThan(4 * MiB);
    // With many holders every one has a stretch that is not whole yet.
    expect(field.received).toBeLessThan((count > 5 ? 48 : 32) * MiB);
    for (const holder of field.holders.values()) expect(holder.connections.map(({ near }) => near.paused)).toEqual([true]);
    disk.resolve();
    field.expectWhole(await field.finish(fetching));
    // A long wait for our own disk is not the holder's fault.
    expect(field.failures).toEqual([]);
  });

  test("a limit holds over several seconds, with several holders", async () => {
    const field = new Field(bytesOf(8 * MiB));
    const rate = 500_000;
    field.more.limit = new RateLimit(rate, field.clock);
    for (const address of [A, B]) field.add(address);
    const fetching = field.fetch([A, B]);
    await field.clock.pass(1000);
    const early = field.received;
    await field.clock.pass(6000);
    const received = field.received - early;
    expect(received).toBeGreaterThan(0.9 * 6 * rate);
    expect(received).toBeLessThan(1.1 * 6 * rate);
    expect(field.failures).toEqual([]);
    field.expectWhole(await field.finish(fetching));
    expect(field.elapsed).toBeGreaterThan(((8 * MiB) / rate) * 1000 * 0.8);
    await field.expectGone();
  });

  test("a limit below what counts as slow gives nobody up", async () => {
    const field = new Field(bytesOf(SIZE));
    field.more.limit = new RateLimit(500, field.clock);
    for (const address of [A, B]) field.add(address).pace = 100_000;
    void field.fetch([A, B]);
    await field.clock.pass(60_000);
    expect(field.failures).toEqual([]);
    expect(field.received).toBeGreaterThan(0);
  });
});

describe("Arrivals: our own disk", () => {
  const full = new FtError("ENOSPC", 'Cannot fetch "report": the disk of "/downloads" is full; 17 MB are needed.');

  test.each([0, 4, 8, 60])("a write that fails at piece %d ends it at once, with its own sentence", async (piece) => {
    const field = new Field(bytesOf(4 * MiB + 1));
    const at = piece * PIECE;
    field.part.fails = (offset, length) => (offset <= at && at < offset + length ? full : undefined);
    for (const address of [A, B]) field.add(address).pace = 4_000_000;
    expect(await failure(field.finish(field.fetch([A, B])))).toBe(full);
    expect(field.failures).toEqual([]);
    expect(field.part.restarts).toBe(0);
    await settle();
    expect(getEventListeners(field.stop.signal, "abort").length).toBe(0);
    for (const { connections } of field.holders.values()) expect(connections.every(({ over }) => over)).toBe(true);
  });

  test("one that fails while the holder is silent is told at once, not when the holder goes on", async () => {
    const field = new Field(bytesOf(2 * MiB));
    field.part.fails = () => full;
    field.add(A).instead = (_far, { verb, count }) => verb === "DOWNLOAD" && count > 0;
    const fetching = field.fetch([A]);
    for (let i = 0; i < 20 && (await stateOf(fetching)) === "waiting"; i++) await settle();
    expect(field.elapsed).toBe(0);
    expect(await failure(fetching)).toBe(full);
    await field.expectGone();
  });

  test("hashing that fails ends it, and is no holder's fault", async () => {
    const broken = new FtError("hash-failed", "hashing failed: out of memory");
    const field = new Field(bytesOf(2 * MiB));
    field.more.layer = () => Promise.reject(broken);
    field.add(A);
    expect(await failure(field.finish(field.fetch([A])))).toBe(broken);
    expect(field.failures).toEqual([]);
    expect(field.part.writes).toBe(0);
  });
});
