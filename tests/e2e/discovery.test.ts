// Joining without an address: the compiled programs on LANs of several hosts.

import { describe, expect } from "bun:test";
import { SEARCH } from "../helpers/guided-stage.ts";
import { behindFirewall, House, onLan } from "../helpers/house.ts";
import { PEER, TRACKER } from "../helpers/programs.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

describe("joining without an address", () => {
  onLan("a peer finds the tracker, and two peers on one host are two", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const tracker = await house.track(a);
    const holder = await house.shareNotes(b);
    const { err } = await house.peer(b, ["who"]);
    expect(err).toContain('Using the tracker "Lab 3" at 10.77.0.1.');
    await house.fetchNotes(b);
    await house.fetchNotes(c);
    holder.kill("SIGINT");
    await tracker.waitFor(/"event":"left".*"port":1235,"reason":"left"/);
  });

  onLan("of two trackers one has to be chosen: by address in scripts, from a list on a terminal", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    await house.track(a);
    await house.track(b, "--name", "\u001b[31mRed\u0007");
    const { code, out, err } = await house.peer(c, ["who"]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("Found 2 trackers:");
    expect(err).toMatch(/"Lab 3" at 10\.77\.0\.1/);
    // Another tracker's name is a stranger's text.
    expect(err).not.toContain("\u001b");
    expect(err).not.toContain("\u0007");
    expect((await house.peer(c, ["10.77.0.2", "who"])).code).toBe(0);

    const [command, words] = c.command(PEER, "--share", "mine.txt", "--name", "Tester");
    const folder = house.folderWith("mine.txt", "mine");
    const screen = new Screen([command, ...words], {
      cwd: folder,
      env: { XDG_CACHE_HOME: house.stage.folder(), XDG_STATE_HOME: folder },
    });
    try {
      await screen.waitFor("Found 2 trackers. Which one do you want to join?");
      screen.press(KEY.enter);
      await screen.waitFor("Online at");
      await screen.waitFor(SEARCH);
      screen.press(KEY.ctrlC);
      expect(await screen.exited).toBe(130);
    } finally {
      await screen.close();
    }
  });

  onLan("without a tracker, or with one that does not announce itself, a sentence says what to do", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const quiet = house.start(a, TRACKER, ["--json", "--no-announce"]);
    await quiet.waitFor(/"event":"addresses"/);
    const { code, out, err } = await house.peer(b, ["who"]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/No tracker found.*multicast.*ft-peer ADDRESS/);
    expect((await house.peer(b, ["10.77.0.1", "who"])).code).toBe(0);
    // The address of last time is offered, never taken by itself.
    const again = await house.peer(b, ["who"]);
    expect(again.code).toBe(1);
    expect(again.err).toContain("The last one was");
    expect(again.err).toContain("at 10.77.0.1");
  });

  onLan("a tracker with two interfaces and no default route is found on both", async () => {
    await using house = new House();
    const [near, far] = [house.lan.switch(), house.lan.switch()];
    const tracker = house.lan.host({
      eth0: { to: near, addresses: ["10.1.0.1/24"] },
      eth1: { to: far, addresses: ["10.2.0.1/24"] },
    });
    const one = house.lan.host({ eth0: { to: near, addresses: ["10.1.0.2/24"] } });
    const other = house.lan.host({ eth0: { to: far, addresses: ["10.2.0.2/24"] } });
    await house.track(tracker);
    expect((await house.peer(one, ["who"])).err).toContain('"Lab 3" at 10.1.0.1.');
    expect((await house.peer(other, ["who"])).err).toContain('"Lab 3" at 10.2.0.1.');
    // A peer with both finds one tracker, not two.
    const both = house.lan.host({
      eth0: { to: near, addresses: ["10.1.0.3/24"] },
      eth1: { to: far, addresses: ["10.2.0.3/24"] },
    });
    expect((await house.peer(both, ["who"])).code).toBe(0);
  });

  behindFirewall("where multicast is dropped, a sentence names it, and the address works", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    b.drop({ protocol: "udp", port: "all" });
    const { code, err } = await house.peer(b, ["who"]);
    expect(code).toBe(1);
    expect(err).toMatch(/firewall on this machine seems to block multicast \(UDP port 5353\)/);
    expect((await house.peer(b, ["10.77.0.1", "who"])).code).toBe(0);
  });

  behindFirewall("behind a firewall that lets in only answers to what was sent, the tracker is found", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    b.letInAnswersOnly();
    b.run("nft", "add rule inet ft input ct state established accept");
    const { code, err } = await house.peer(b, ["who"]);
    expect(err).toContain("Lab 3");
    expect(code).toBe(0);
  });

  onLan("a machine without any network has its own tracker", async () => {
    await using house = new House();
    const host = house.lan.host();
    await house.track(host);
    expect((await house.peer(host, ["who"])).err).toContain('Using the tracker "Lab 3" at 127.0.0.1.');
  });
});
