// Runs the doctor command: hands the checks of screen/doctor.ts what they need, and shows their results.

import { resolve } from "node:path";
import { VERSION } from "../../program/cli.ts";
import { DEFAULT_MAX_FILES } from "../../protocol/numbers.ts";
import { plural } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import type { PeerEvent } from "../events.ts";
import { DEFAULT_PORT } from "../options.ts";
import { type Check, checkLines, examine } from "../screen/doctor.ts";
import { Screen } from "../screen/screen.ts";
import { namedOrDefault } from "./files.ts";
import { joinTracker, knownTrackers, roomsOf } from "./join.ts";
import type { StartPeer } from "./types.ts";

/** Checks this machine and its network, and says what keeps it from the other peers; false when something does. */
export async function runDoctor(line: CommandLine, startPeer: StartPeer, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(line);
  if (screen.json) screen.object({ event: "doctor", version: VERSION, platform: process.platform, arch: process.arch });
  const rooms = roomsOf(line, signal);
  const checks = await examine({
    tracker: line.tracker,
    last: knownTrackers().last,
    choose: () => namedOrDefault(line, DEFAULT_MAX_FILES),
    to: resolve(line.to),
    usualPort: line.port ?? DEFAULT_PORT,
    signal,
    isRoom: async (place) => (await rooms.meet(place)).room !== undefined,
    report: (check: Check) => {
      screen.results(screen.json ? [{ event: "check", ...check }] : checkLines(check, screen.width));
    },
    start: async (place, files, anyPort) => {
      const reached = Promise.withResolvers<{ reachable: boolean; reason: string }>();
      const report = (event: PeerEvent) => event.event === "reach" && reached.resolve(event);
      const own = anyPort ? { ...line, port: 0 } : line;
      const consent = line.share.length > 0;
      const peer = await joinTracker({ line: own, startPeer, place, rooms, files, report, signal, consent });
      const { room } = await rooms.approach(place);
      return {
        port: peer.port,
        isRoom: room !== undefined,
        session: peer.session,
        reached: reached.promise,
        stop: () => peer.stop(),
      };
    },
  });
  const faults = checks.filter(({ status }) => status === "fault").length;
  const words = faults === 0 ? "Everything looks fine." : `${plural(faults, "problem")} found.`;
  screen.results(screen.json ? [{ event: "done", faults }] : [words]);
  return faults === 0;
}
