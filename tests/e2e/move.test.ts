// Addresses that change and cables that are pulled in the middle of a download.

import { describe, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { House, type Outcome, onLan } from "../helpers/house.ts";
import { type Host, Lan } from "../helpers/lan.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";

/** The tracker, as far as it goes away and comes back. */
interface Restart {
  kill(): void;
  start(): Promise<void>;
}

describe("a move in the middle of a download", () => {
  /** Big enough that the transfer, at the limit, is under way for a few seconds. */
  const SIZE = 12_000_000;
  const LIMIT = ["--limit", "4MB"];

  async function fetching(
    move: (holder: Host, fetcher: Host, tracker: Restart) => void | Promise<void>,
  ): Promise<Outcome & { right: boolean }> {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const tracker = await house.track(a);
    const bytes = new Uint8Array(SIZE);
    for (let at = 0; at < SIZE; at += 65_536) crypto.getRandomValues(bytes.subarray(at, Math.min(SIZE, at + 65_536)));
    await house.share(b, house.folderWith("big.bin", bytes));
    const folder = house.folderWith("mine.txt", "mine");
    const program = house.start(c, PEER, ["get", "big.bin", "--json", ...LIMIT], folder);
    await program.waitFor(/"event":"progress","received":(?:[4-9]\d{6}|\d{8,})\b/);
    await move(b, c, {
      kill: () => tracker.kill(),
      start: async () => void (await house.track(a)),
    });
    const code = await program.exited;
    const right = code === 0 && Buffer.compare(readFileSync(join(folder, "big.bin")), bytes) === 0;
    return { code, out: program.out, err: program.err, right };
  }

  onLan("of who fetches: it goes on by itself, and every byte is right", async () => {
    const { code, out, right } = await fetching((_, fetcher) => fetcher.readdress("eth0", "10.77.0.33/24"));
    expect({ code, right, out: code === 0 ? "" : out }).toEqual({ code: 0, right: true, out: "" });
  });

  onLan("of the holder: its record follows, and every byte is right", async () => {
    const { code, out, right } = await fetching((holder) =>
      holder.readdress("eth0", "10.77.0.22/24", ...(Lan.ipv6() === undefined ? ["fd77::22/64"] : [])),
    );
    expect({ code, right, out: code === 0 ? "" : out }).toEqual({ code: 0, right: true, out: "" });
    expect(out).toContain('"address":"10.77.0.22"');
  });

  onLan("of who fetches, while the tracker is started again: everybody comes back in their own time", async () => {
    const { code, out, right } = await fetching(async (_, fetcher, tracker) => {
      tracker.kill();
      fetcher.readdress("eth0", "10.77.0.33/24");
      await Bun.sleep(3_000);
      await tracker.start();
    });
    expect({ code, right, out: code === 0 ? "" : out }).toEqual({ code: 0, right: true, out: "" });
  });

  onLan("a cable that is pulled for a while ends nothing", async () => {
    const { code, out, right } = await fetching(async (_, fetcher) => {
      fetcher.link("eth0", "down");
      await Bun.sleep(4_000);
      fetcher.link("eth0", "up");
    });
    expect({ code, right, out: code === 0 ? "" : out }).toEqual({ code: 0, right: true, out: "" });
  });
});

describe("a tracker that moves to another address", () => {
  onLan("is found by its key, whatever its name, and not another one that has its name", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const name = `lab.example.com ${"ü".repeat(40)}`;
    const tracker = await house.track(a, "--name", name);
    const holder = await house.shareNotes(b, "10.77.0.1");
    // Another tracker with that name, and with a key of its own.
    const other = house.start(c, TRACKER, ["--json", "--name", name], undefined, { XDG_STATE_HOME: house.stage.folder() });
    await other.waitFor(/"event":"announced"/);
    tracker.kill();
    await holder.waitFor(/"event":"away"/);
    const elsewhere = house.lan.host({ eth0: { to: house.outside, addresses: ["10.77.0.9/24"] } });
    const moved = await house.track(elsewhere, "--name", name);
    await moved.waitFor(/"event":"joined"[^\n]*"address":"10\.77\.0\.2"/);
    await house.fetchNotes(a, "10.77.0.9");
    expect(other.out).not.toContain('"event":"joined"');
  });
});
