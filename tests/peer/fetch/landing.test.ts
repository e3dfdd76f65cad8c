// What has arrived, between the network and the disk: order, bounds, and memory that is used again.

import { describe, expect, test } from "bun:test";
import { Landing, type LandingTools } from "../../../lib/peer/fetch/landing.ts";
import { settle } from "../../helpers/channel.ts";

const MiB = 1024 * 1024;

/** A disk in memory that writes when it is told to. */
class Disk implements LandingTools {
  readonly written: [offset: number, bytes: number[]][] = [];
  readonly hashed: number[] = [];
  readonly failures: Error[] = [];
  rooms = 0;
  gate: Promise<void> = Promise.resolve();
  write = async (offset: number, bytes: Uint8Array): Promise<void> => {
    await this.gate;
    this.written.push([offset, [...bytes.subarray(0, 4)]]);
  };
  layer: LandingTools["layer"] = async (_memory, length) => {
    this.hashed.push(length);
    return new Uint8Array(32);
  };
  room = () => {
    this.rooms += 1;
  };
  failed = (error: Error) => {
    this.failures.push(error);
  };
}

describe("Landing: a range", () => {
  test("is hashed before anything of it is written, and only what is judged right is written", async () => {
    const disk = new Disk();
    const landing = new Landing(disk);
    const stretch = landing.open({ offset: 1000, length: 300 });
    landing.fill(stretch, Uint8Array.of(1, 2, 3, 4));
    landing.fill(stretch, new Uint8Array(296).fill(9));
    const told: unknown[] = [];
    landing.land(
      stretch,
      300,
      () => {
        expect([disk.hashed, disk.written]).toEqual([[300], []]);
        return [{ offset: 1000, length: 2 }];
      },
      (ranges) => told.push(ranges),
    );
    await landing.settled();
    expect(disk.written).toEqual([[1000, [1, 2]]]);
    expect(told).toEqual([[{ offset: 1000, length: 2 }]]);
  });

  test("that cannot be written, or hashed, is told once and never as written", async () => {
    for (const what of ["write", "layer"] as const) {
      const disk = new Disk();
      const fails = () => Promise.reject(new Error("on fire"));
      if (what === "write") disk.write = fails;
      else disk.layer = fails;
      const landing = new Landing(disk);
      let told = 0;
      landing.land(
        landing.open({ offset: 0, length: 10 }),
        10,
        () => [{ offset: 0, length: 10 }],
        () => {
          told += 1;
        },
      );
      await landing.settled();
      expect([told, disk.failures.map(({ message }) => message)]).toEqual([0, ["on fire"]]);
    }
  });
});

test("Landing: senders have to wait while 8 MiB are under way, and are told when there is room", async () => {
  const disk = new Disk();
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  const landing = new Landing(disk);
  for (let i = 0; i < 2; i++) {
    expect(landing.full).toBe(false);
    const range = { offset: i * 4 * MiB, length: 4 * MiB };
    landing.land(
      landing.open(range),
      4 * MiB,
      () => [range],
      () => undefined,
    );
  }
  expect(landing.full).toBe(true);
  await settle();
  expect(disk.rooms).toBe(0);
  gate.resolve();
  await landing.settled();
  expect(landing.full).toBe(false);
  expect(disk.rooms).toBeGreaterThan(0);
});

test("Landing: memory is used again, whatever lengths came before", async () => {
  const landing = new Landing(new Disk());
  const memories = new Set<SharedArrayBuffer>();
  const use = async (lengths: number[]) => {
    for (const length of lengths) {
      const stretch = landing.open({ offset: 0, length });
      memories.add(stretch.memory);
      landing.land(
        stretch,
        length,
        () => [],
        () => undefined,
      );
    }
    await landing.settled();
  };
  // Requests grow, as they do at the beginning of every transfer, and then change all the time.
  for (const length of [0.25, 0.5, 1, 2, 4]) await use(Array(4).fill(length * MiB));
  const before = memories.size;
  for (let i = 0; i < 200; i++) await use(Array.from({ length: 5 }, (_, j) => ((i * 7 + j * 3) % 16) * 65_536 * 4 + 65_536));
  expect(memories.size).toBeLessThanOrEqual(before + 8);
});
