// The compiled programs on LANs without IPv4.

import { describe, expect } from "bun:test";
import { House, onLanWithIPv6, PORT } from "../helpers/house.ts";
import type { Host } from "../helpers/lan.ts";

describe("over IPv6 only", () => {
  onLanWithIPv6("the whole job: found, searched, listed, fetched, left", async () => {
    await using house = new House();
    const to = house.lan.switch();
    const [a, b, c] = [1, 2, 3].map((i) => house.lan.host({ eth0: { to, addresses: [`fd77::${i}/64`] } })) as [
      Host,
      Host,
      Host,
    ];
    const tracker = await house.track(a);
    const holder = await house.shareNotes(b);
    await house.fetchNotes(c);
    for (const address of ["fd77::1", "[fd77::1]", "[fd77::1]:1234"]) {
      const found = await house.peer(c, [address, "search", "notes.txt", "--json"]);
      expect(JSON.parse(found.out)).toMatchObject({ address: "fd77::2", port: PORT });
    }
    expect((await house.peer(c, ["list", "[fd77::2]:1235"])).out).toContain("notes.txt");
    expect((await house.peer(c, ["who"])).out).toContain("[fd77::2]:1235");
    await house.fetchNotes(c, "fd77::1", "--from", "[fd77::2]:1235");
    holder.kill("SIGINT");
    await tracker.waitFor(/"event":"left","id":"\w+",[^\n]*"address":"fd77::2".*"reason":"left"/);
  });

  onLanWithIPv6("with nothing but link-local addresses", async () => {
    await using house = new House();
    const to = house.lan.switch();
    const [a, b, c] = [1, 2, 3].map(() => house.lan.host({ eth0: { to, ipv6: true } })) as [Host, Host, Host];
    await house.track(a);
    const holder = await house.shareNotes(b);
    await holder.waitFor(/"event":"reach","reachable":true|$/);
    await house.fetchNotes(c);
    const address = a.linkLocal("eth0");
    for (const typed of [address, `${address}%eth0`, `[${address}%eth0]:1234`])
      expect((await house.peer(c, [typed, "who"])).code).toBe(0);
  });
});
