// Foreign programs for DNS-SD look at a tracker that announces itself: `bun run dnssd`.
//
// It needs root on Linux with network namespaces, and tries each of Debian's python3-zeroconf, avahi-daemon with avahi-utils and
// dbus-daemon, and systemd-resolved that is here. Every program runs on hosts of its own, and nothing of this machine's network is used.

import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { House } from "../helpers/house.ts";
import { type Host, Lan } from "../helpers/lan.ts";
import type { Program } from "../helpers/programs.ts";

const noLan = Lan.possible();
const PYTHON = "/usr/bin/python3";
const hasZeroconf = Bun.spawnSync([PYTHON, "-c", "import zeroconf"]).exitCode === 0;
const AVAHI = ["avahi-daemon", "avahi-browse", "dbus-daemon"].map((name) => Bun.which(name, { PATH: "/usr/sbin:/usr/bin" }));
const hasAvahi = AVAHI.every((path) => path !== null);
const RESOLVED = "/usr/lib/systemd/systemd-resolved";
const hasResolved = (await Bun.file(RESOLVED).exists()) && Bun.which("resolvectl") !== null && hasAvahi;
if (noLan !== undefined) console.log(`No foreign program looks at a tracker: ${noLan}.`);
if (!hasZeroconf) console.log("python3-zeroconf is not here: apt install python3-zeroconf");
if (!hasAvahi) console.log("avahi-browse is not tried: apt install avahi-daemon avahi-utils dbus-daemon");
if (!hasResolved) console.log("resolvectl is not tried: apt install systemd-resolved");

/** Finds the services of our type, prints the first one, and ends. */
const BROWSER = `
import sys, threading
from zeroconf import ServiceBrowser, Zeroconf
found = threading.Event()
class Seen:
    def add_service(self, zc, kind, name):
        info = zc.get_service_info(kind, name)
        if info:
            print(name, info.port, ",".join(info.parsed_addresses()), sorted(info.properties.items()), flush=True)
            found.set()
    def update_service(self, zc, kind, name): pass
    def remove_service(self, zc, kind, name): print("gone", name, flush=True)
zc = Zeroconf()
ServiceBrowser(zc, "_filetracker._tcp.local.", Seen())
if not found.wait(50): sys.exit("nothing was found")
sys.stdin.readline() if sys.argv[1:] else None
threading.Event().wait(30 if sys.argv[1:] else 0)
`;

/** A bus on which everybody may do everything. */
const BUS = (place: string) => `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=${place}/bus</listen>
  <policy context="default">
    <allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>`;

const houses: House[] = [];
afterEach(async () => {
  for (const house of houses.splice(0)) await house[Symbol.asyncDispose]();
});

/** Two hosts of a LAN, a tracker called "Lab 3" on the first. */
async function scene(): Promise<{ house: House; there: Host; tracker: Program }> {
  const house = new House();
  houses.push(house);
  const [here, there] = house.hosts();
  const tracker = await house.track(here);
  return { house, there, tracker };
}

/** Starts a bus on a host; gives the environment of the programs that use it. */
async function startBus(house: House, host: Host): Promise<Record<string, string>> {
  const place = house.stage.folder();
  writeFileSync(join(place, "bus.conf"), BUS(place));
  // systemd-resolved runs as a user of its own.
  chmodSync(place, 0o755);
  const bus = house.start(host, "dbus-daemon", [`--config-file=${place}/bus.conf`, "--nofork", "--print-address"], place);
  await bus.waitFor(/unix:path/);
  return { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${place}/bus` };
}

describe.skipIf(noLan !== undefined)("a tracker that announces itself is found", () => {
  test.skipIf(!hasZeroconf)("by python3-zeroconf, which also sees it leave", async () => {
    const { house, there, tracker } = await scene();
    const browser = house.start(there, PYTHON, ["-c", BROWSER, "stay"]);
    const [, line = ""] = await browser.waitFor(/^(Lab 3\._filetracker\._tcp\.local\. .*)\n/m);
    expect(line).toContain(" 1234 ");
    expect(line).toContain("10.77.0.1");
    tracker.kill("SIGTERM");
    await browser.waitFor(/gone Lab 3\._filetracker/);
  });

  test.skipIf(!hasAvahi)("by avahi-browse", async () => {
    const { house, there } = await scene();
    const env = await startBus(house, there);
    const config = join(house.stage.folder(), "avahi.conf");
    writeFileSync(config, "[server]\nuse-ipv4=yes\nuse-ipv6=yes\n[publish]\ndisable-publishing=no\n");
    // Its files in /run are its own there.
    const script = `mount -t tmpfs none /run/avahi-daemon 2>/dev/null || { mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon; }
      exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f ${config} 2>&1`;
    const daemon = house.start(there, "sh", ["-c", script], undefined, { ...env, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" });
    await daemon.waitFor(/Server startup complete/);
    const browse = house.start(there, "avahi-browse", ["--resolve", "--parsable", "_filetracker._tcp"], undefined, env);
    const [line] = await browse.waitFor(/^=;eth0;IPv4;Lab\\0323;_filetracker\._tcp;local;.*\n/m);
    expect(line).toContain(";10.77.0.1;1234;");
  });

  test.skipIf(!hasResolved)("by resolvectl", async () => {
    const { house, there } = await scene();
    const env = await startBus(house, there);
    const script = `mkdir -p /run/systemd/resolve && mount -t tmpfs -o mode=755,uid=systemd-resolve,gid=systemd-resolve none /run/systemd/resolve; exec ${RESOLVED} 2>&1`;
    house.start(there, "sh", ["-c", script], undefined, { ...env, SYSTEMD_LOG_TARGET: "console", SYSTEMD_LOG_LEVEL: "info" });
    for (let tries = 0; tries < 100; tries++) {
      const set = house.start(there, "resolvectl", ["mdns", "eth0", "yes"], undefined, env);
      if ((await set.exited) === 0) break;
      await Bun.sleep(200);
    }
    const found = house.start(there, "resolvectl", ["service", "Lab 3", "_filetracker._tcp", "local"], undefined, env);
    // It gives the addresses of one family, that which answers first (systemd's issue 19003).
    await found.waitFor(/:1234 .*\n +(?:10\.77\.0\.1|f[de][0-9a-f:]+)[\s\S]*Data from/);
  });
});
