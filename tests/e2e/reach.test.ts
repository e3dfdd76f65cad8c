// Getting a file from a holder behind a firewall, on the tracker's own machine, or on another network: the compiled programs on
// LANs of several hosts.

import { describe, expect } from "bun:test";
import { SEARCH } from "../helpers/guided-stage.ts";
import { behindFirewall, end, House, onLan, onLanWithIPv6, PORT } from "../helpers/house.ts";
import { PEER } from "../helpers/programs.ts";
import { KEY, Screen } from "../helpers/terminal.ts";

describe("reaching a holder", () => {
  behindFirewall("whose firewall drops what comes in: it connects to who wants something", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    const tracker = await house.track(a);
    b.drop({ protocol: "tcp", port: PORT });
    const holder = await house.shareNotes(b);
    const [said] = await holder.waitFor(/\{"event":"reach"[^\n]*\n/);
    expect(JSON.parse(said)).toMatchObject({ reachable: false, port: PORT, reason: expect.stringContaining("no answer") });
    await tracker.waitFor(/"event":"unreachable"/);
    expect((await house.peer(c, ["who"])).out).toMatch(/\(firewalled\)\t10\.77\.0\.2:1235\t/);
    await house.fetchNotes(c);
    await holder.waitFor(/"event":"upload-started","address":"10\.77\.0\.3"/);
  });

  behindFirewall("when neither side lets the other in, a sentence says so", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    await house.track(a);
    b.drop({ protocol: "tcp", port: PORT });
    c.drop({ protocol: "tcp", port: PORT });
    await (await house.shareNotes(b)).waitFor(/"event":"reach"/);
    const { code, err } = await house.peer(c, ["get", "notes.txt"]);
    expect(code).toBe(1);
    expect(err).toMatch(/Cannot fetch "notes\.txt": .*10\.77\.0\.2:1235\)?: no answer.*connect back/s);
  });

  behindFirewall("and the prompts, and share, tell whom it concerns which port to allow", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const tracker = await house.track(a);
    b.drop({ protocol: "tcp", port: PORT });
    const folder = house.folderWith("mine.txt", "mine");
    const sharing = house.start(b, PEER, ["share", "--share", folder], folder);
    const [words] = await sharing.waitFor(/Others cannot connect to this machine: port 1235[^\n]*\n/);
    expect(words).toContain("sudo ufw allow 1235/tcp");
    expect(words).toContain("sudo firewall-cmd --add-port=1235/tcp");
    await end(sharing);
    await tracker.waitFor(/"event":"unreachable"[^\n]*\n/);
    const [command, args] = b.command(PEER, "--share", "mine.txt", "--name", "Tester");
    const screen = new Screen([command, ...args], {
      cwd: folder,
      env: { XDG_CACHE_HOME: house.stage.folder(), XDG_STATE_HOME: folder },
    });
    try {
      await screen.waitFor(SEARCH);
      // The tracker's try takes three seconds; what it found is there at the next question.
      await tracker.waitFor(/"event":"unreachable"[^\n]*\n/);
      screen.press(KEY.shared);
      await screen.waitFor("Others cannot connect to this machine: port 1235");
      screen.press(KEY.ctrlC);
      await screen.exited;
    } finally {
      await screen.close();
    }
  });

  onLan("on the tracker's own machine, which joined by loopback, from another machine", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    await house.track(a);
    const holder = await house.shareNotes(a, "127.0.0.1");
    const { out } = await house.peer(b, ["search", "notes.txt", "--json"]);
    expect(JSON.parse(out)).toMatchObject({ address: "10.77.0.1", port: PORT });
    await house.fetchNotes(b);
    // The other way round too: a peer on the tracker's machine fetches from elsewhere.
    await end(holder);
    await house.shareNotes(b);
    await house.fetchNotes(a, "127.0.0.1");
  });

  onLan("on one of two networks of the tracker's machine, from that machine, by whatever address it joined", async () => {
    await using house = new House();
    const [near, far] = [house.lan.switch(), house.lan.switch()];
    const both = house.lan.host({
      eth0: { to: near, addresses: ["10.77.0.1/24"] },
      wlan0: { to: far, addresses: ["192.168.9.1/24"] },
    });
    const holder = house.lan.host({ eth0: { to: far, addresses: ["192.168.9.2/24"] } });
    await house.track(both);
    await house.shareNotes(holder);
    for (const address of ["10.77.0.1", "192.168.9.1", "127.0.0.1"]) await house.fetchNotes(both, address);
  });

  onLanWithIPv6("that is online by another family of addresses", async () => {
    await using house = new House();
    const to = house.lan.switch();
    const tracker = house.lan.host({ eth0: { to, addresses: ["10.77.0.1/24", "fd77::1/64"] } });
    const both = house.lan.host({ eth0: { to, addresses: ["10.77.0.2/24", "fd77::2/64"] } });
    const six = house.lan.host({ eth0: { to, addresses: ["fd77::3/64"] } });
    const four = house.lan.host({ eth0: { to, addresses: ["10.77.0.4/24"] } });
    await house.track(tracker);
    const holder = await house.shareNotes(both, "10.77.0.1");
    await house.fetchNotes(six);
    await end(holder);
    await house.shareNotes(both, "[fd77::1]:1234");
    await house.fetchNotes(four);
  });
});
