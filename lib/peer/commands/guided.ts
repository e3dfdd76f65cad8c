// Runs ft-peer without a command: hands the guided prompts what they need of the terminal, the disk and the network.

import { join, resolve } from "node:path";
import { UsageError } from "../../error.ts";
import { userFolder } from "../../files.ts";
import { VERSION } from "../../program/cli.ts";
import type { CommandLine } from "../arguments.ts";
import { defaultPeerName, PEER_COMMANDS } from "../options.ts";
import { describeChangedName } from "../people/own-name.ts";
import { guide } from "../screen/prompts/guide.ts";
import { Remembered } from "../screen/prompts/remembered.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";
import { shareNamed } from "./files.ts";
import { joinTracker, knownTrackers, roomsOf } from "./join.ts";
import type { StartPeer } from "./types.ts";

/** Asks a person what to do, until the person leaves. Throws a sentence where no person can be asked. */
export async function runGuided(line: CommandLine, startPeer: StartPeer, signal: AbortSignal): Promise<void> {
  if (!hasTerminal()) {
    throw new UsageError(
      `Guided prompts need a terminal. Without one, give a command: ${PEER_COMMANDS.join(", ")}. Try: ft-peer --help`,
    );
  }
  const prompts = promptsOn(signal);
  const rooms = roomsOf(line, signal);
  const state = userFolder("state");
  // In raw mode Ctrl-C is a key.
  prompts.hold(() => process.kill(process.pid, "SIGINT"));
  try {
    prompts.greet(`ft-peer ${VERSION}`);
    if (line.isNameChanged) prompts.say(describeChangedName(line.name));
    await guide({
      prompts,
      tracker: line.tracker,
      last: knownTrackers().last,
      named: line.share.length === 0 ? undefined : (max) => shareNamed(line, max, (words) => prompts.say(words)),
      to: line.to === "." ? undefined : resolve(line.to),
      cwd: process.cwd(),
      remembered: new Remembered(join(state, "prompts.json"), process.cwd()),
      overwrite: line.overwrite,
      signal,
      trackerLog: join(state, "tracker.log"),
      meet: async (place) => (await rooms.meet(place)).met,
      renewKey: (place) => rooms.renewKey(place),
      name: line.name,
      usualName: defaultPeerName(),
      start: (place, files, report, { consent, name, folders }) => {
        const how = { takesOffers: true, consent, folders };
        return joinTracker({ line: { ...line, name }, startPeer, place, rooms, files, report, signal, ...how });
      },
    });
    prompts.goodbye("Bye.");
  } finally {
    prompts.release();
  }
}
