// Trackers of one group on a LAN of several hosts: one takes over the peers of another. The compiled programs.

import { describe, expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { end, House, onLan } from "../helpers/house.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { eventually } from "../helpers/sockets.ts";

/** The records of a file of the peer at 10.77.0.3 that a peer on this host finds, as JSON objects. */
async function found(house: House, host: Parameters<House["peer"]>[0], tracker: string, name: string): Promise<unknown[]> {
  const { out } = await house.peer(host, [tracker, "search", name, "--json"]);
  return out.split("\n").filter((line) => line.startsWith("{") && line.includes("10.77.0.3"));
}

describe("trackers of one group", () => {
  onLan(
    "the peers of a tracker that is killed join another one, a download goes on, and they come home when asked",
    async () => {
      await using house = new House();
      const [a, b, c] = house.hosts();
      const state = house.stage.folder();
      const start = () =>
        house.start(a, TRACKER, ["--json", "--name", "A", "--group", "lab"], state, { XDG_STATE_HOME: state });
      const first = start();
      await first.waitFor(/"event":"announced"/);
      const second = await house.track(b, "--name", "B", "--group", "lab");
      const big = house.folderWith("big.bin", new Uint8Array(8_000_000).fill(7));
      const holder = await house.share(c, big, "10.77.0.1", "--limit", "500kB");
      await first.waitFor(/"event":"joined"/);
      const into = house.folderWith("mine.txt", "mine");
      const getting = house.start(b, PEER, ["10.77.0.1", "get", "big.bin", "--json", "--share", join(into, "mine.txt")], into);
      await holder.waitFor(/"event":"upload-started"/);
      first.kill("SIGKILL");
      await holder.waitFor(/"event":"away"/);
      await holder.waitFor(/"event":"joined"[^\n]*"tracker":"B"|"event":"joined"[^\n]*"name":"B"/);
      await second.waitFor(/"event":"joined"/);
      expect(await found(house, b, "10.77.0.2", "big.bin")).toHaveLength(1);
      expect(await getting.exited).toBe(0);
      expect(readFileSync(join(into, "big.bin")).every((byte) => byte === 7)).toBe(true);

      const again = start();
      await again.waitFor(/"event":"announced"/);
      const home = house.start(b, TRACKER, ["home"]);
      expect(await home.exited).toBe(0);
      expect(home.out).toContain("Asked 1 peer to go back");
      await again.waitFor(/"event":"joined"/);
      await second.waitFor(/"event":"left"[^\n]*"reason":"left"/);
      expect(await found(house, b, "10.77.0.1", "big.bin")).toHaveLength(1);
      expect(await found(house, b, "10.77.0.2", "big.bin")).toHaveLength(0);
      await end(holder);
    },
  );

  onLan("what is sent to one person does not go to another one of that name at the tracker that takes over", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const first = await house.track(a, "--name", "A", "--group", "lab");
    const second = await house.track(b, "--name", "B", "--group", "lab");
    const own = house.folderWith("other.txt", "other");
    house.start(b, PEER, ["10.77.0.2", "share", "--name", "Ben", "--accept", "all", "--share", "other.txt"], own);
    await second.waitFor(/"event":"joined"/);
    const into = house.folderWith("mine.txt", "mine");
    const ben = house.start(a, PEER, ["10.77.0.1", "share", "--name", "Ben", "--accept", "all", "--share", "mine.txt"], into);
    await first.waitFor(/"event":"joined"/);
    // Ben's computer sleeps, and wakes up when Ana is at the other tracker.
    process.kill(ben.pid, "SIGSTOP");
    const plans = house.folderWith("plan.txt", "for Ben");
    const ana = house.start(c, PEER, ["10.77.0.1", "send", "plan.txt", "--to", "Ben", "--json", "--name", "Ana"], plans);
    await first.waitFor(/"event":"joined"[^\n]*"Ana"/);
    await eventually(() => ana.err.includes("Handing out"));
    first.kill("SIGKILL");
    await second.waitFor(/"event":"joined"[^\n]*"Ana"/);
    process.kill(ben.pid, "SIGCONT");
    expect(await ana.exited).toBe(0);
    expect(ana.out).toMatch(/"event":"has-all","address":"10.77.0.1"/);
    expect(readFileSync(join(into, "plan.txt"), "utf8")).toBe("for Ben");
    expect(existsSync(join(own, "plan.txt"))).toBe(false);
  });
});
