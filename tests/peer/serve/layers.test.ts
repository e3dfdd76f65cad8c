import { describe, expect, test } from "bun:test";
import { sha256 } from "../../../lib/peer/content/hash.ts";
import { Layers } from "../../../lib/peer/serve/layers.ts";
import { Work } from "../../../lib/peer/serve/work.ts";
import { HandClock } from "../../helpers/channel.ts";
import { bytesOf, KiB, layerOf, MiB } from "../../helpers/serving.ts";

function stage() {
  let hashes = 0;
  const layers = new Layers(new Work(new HandClock(), () => false), (data, out) => {
    hashes += 1;
    sha256(data, out);
  });
  return { layers, hashes: () => hashes };
}

const knownOf = (count: number) => ({ size: count * 64 * KiB, pieces: bytesOf(count * 32) });

describe("Layers", () => {
  test("a layer is computed once, for one that asks after another and for those that ask at the same time", async () => {
    const { layers, hashes } = stage();
    const known = knownOf(4096);
    const asked = await Promise.all(Array.from({ length: 20 }, () => layers.get("a", "root", known, 4096)));
    const once = hashes();
    expect(once).toBeLessThan(4200);
    asked.push(await layers.get("b", "root", known, 4096));
    expect(hashes()).toBe(once);
    for (const layer of asked) expect(layer).toEqual(layerOf(known.pieces, known.size, 4096));
  });

  test("the layer of the pieces themselves costs nothing", async () => {
    const { layers, hashes } = stage();
    const known = knownOf(4096);
    expect(await layers.get("a", "root", known, 1)).toBe(known.pieces);
    expect(hashes()).toBe(0);
  });

  test("no more than 16 MiB of layers are kept, those that were used last", async () => {
    const { layers, hashes } = stage();
    // 8 MiB of pieces: the layer above has 4 MiB.
    const known = { size: 2 ** 40, pieces: new Uint8Array(8 * MiB) };
    for (let i = 0; i < 5; i++) await layers.get("a", `root ${i}`, known, 2);
    const before = hashes();
    for (let i = 1; i < 5; i++) await layers.get("a", `root ${i}`, known, 2);
    expect(hashes()).toBe(before);
    await layers.get("a", "root 0", known, 2);
    expect(hashes()).toBeGreaterThan(before);
  }, 60_000);
});
