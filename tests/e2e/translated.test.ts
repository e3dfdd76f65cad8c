// Peers whose address is translated on the way (a router, WSL, Docker, a virtual machine), and peers with several addresses: a holder
// sees another address than the tracker.

import { describe, expect } from "bun:test";
import { behindFirewall, House, onLanWithIPv6 } from "../helpers/house.ts";

describe("a peer that fetches", () => {
  behindFirewall("behind one translation, from an open holder outside", async () => {
    await using house = new House();
    const [a, b, router] = house.hosts();
    const inside = house.lan.switch();
    router.plug("eth1", { to: inside, addresses: ["192.168.7.1/24"] });
    router.translate("eth0");
    const guest = house.lan.host({ eth0: { to: inside, addresses: ["192.168.7.2/24"] } }, { gateway: "192.168.7.1" });
    await house.track(a, "--no-announce");
    await house.shareNotes(b, "10.77.0.1");
    await house.fetchNotes(guest, "10.77.0.1");
  });

  behindFirewall("in a virtual machine whose host runs the tracker: only the holders see a translated address", async () => {
    await using house = new House();
    const [a, b] = house.hosts();
    const inside = house.lan.switch();
    a.plug("eth1", { to: inside, addresses: ["192.168.7.1/24"] });
    a.translate("eth0");
    const guest = house.lan.host({ eth0: { to: inside, addresses: ["192.168.7.2/24"] } }, { gateway: "192.168.7.1" });
    await house.track(a, "--no-announce");
    await house.shareNotes(b, "10.77.0.1");
    await house.fetchNotes(guest, "192.168.7.1");
  });

  behindFirewall("behind two routers: one leads to the tracker, the other to the holder", async () => {
    await using house = new House();
    const [a, b, first] = house.hosts();
    const inside = house.lan.switch();
    const second = house.lan.host({ eth0: { to: house.outside, addresses: ["10.77.0.4/24"] } });
    for (const [router, address] of [
      [first, "192.168.7.1/24"],
      [second, "192.168.7.3/24"],
    ] as const) {
      router.plug("eth1", { to: inside, addresses: [address] });
      router.translate("eth0");
    }
    const guest = house.lan.host({ eth0: { to: inside, addresses: ["192.168.7.2/24"] } }, { gateway: "192.168.7.1" });
    guest.run("ip", "route", "add", "10.77.0.2", "via", "192.168.7.3");
    await house.track(a, "--no-announce");
    await house.shareNotes(b, "10.77.0.1");
    await house.fetchNotes(guest, "10.77.0.1");
  });

  onLanWithIPv6("that joined by IPv4, from a holder that has only IPv6, and the other way round", async () => {
    await using house = new House();
    const [a, b, c] = house.hosts();
    await house.track(a, "--no-announce");
    b.readdress("eth0", "fd77::2/64");
    await house.shareNotes(b, "fd77::1");
    await house.fetchNotes(c, "10.77.0.1");
    const both = house.lan.host({ eth0: { to: house.outside, addresses: ["10.77.0.5/24", "fd77::5/64"] } });
    const only4 = house.lan.host({ eth0: { to: house.outside, addresses: ["10.77.0.6/24"] } });
    await house.share(only4, house.folderWith("four.txt", "4"), "10.77.0.1");
    const { code, err } = await house.peer(both, ["fd77::1", "get", "four.txt"]);
    expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
  });
});
