// Finds the tracker of a command and joins it: looks around, remembers trackers, and asks a person about a tracker that is not known.

import { join } from "node:path";
import { CancelledError } from "../../error.ts";
import { userFolder } from "../../files.ts";
import type { SharedFile } from "../disk/share.ts";
import type { SharedFolder } from "../disk/shared-folder.ts";
import type { PeerEvent } from "../events.ts";
import { describePlace, findAgain, KnownTrackers, type Located, lookAround, nobodyFound, severalFound } from "../locate.ts";
import { type CommandLine, defaultPeerName } from "../options.ts";
import type { Screen } from "../screen/screen.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";
import type { TrackerPlace } from "../session.ts";
import { Trust, UntrustedTracker } from "../trust.ts";
import type { Peer, StartPeer } from "./types.ts";

/** What a command needs to join a tracker. */
export interface Joining {
  line: CommandLine;
  startPeer: StartPeer;
  /** The tracker that was typed or found. */
  place: TrackerPlace | Located;
  files: SharedFile[];
  folders?: SharedFolder[];
  report(event: PeerEvent): void;
  signal: AbortSignal;
  /** A person has chosen these files for any tracker. Otherwise a person on a terminal is asked about a tracker that is not known. */
  consent: boolean;
}

/** Starts a peer at a tracker, and remembers that tracker for the next time. */
export async function joinTracker(joining: Joining): Promise<Peer> {
  const { line, startPeer, place, files, folders = [], report, signal, consent } = joining;
  const trust = new Trust(knownTrackers(), consent);
  const start = () =>
    startPeer(
      {
        tracker: { ...place, full: trust.isFull(place) },
        // A tracker whose address was typed may move too: after joining, its name and key are known.
        find: async () => (trust.current === undefined ? [] : await findAgain({ ...place, ...trust.current })),
        approve: (tracker) => trust.approve(tracker),
        wasFull: (at) => trust.isFull(at),
        files,
        folders,
        port: line.port,
        name: line.name ?? defaultPeerName(),
        cachePath: join(userFolder("cache"), "roots.json"),
        limit: line.limit,
        guests: !line["no-guests"],
        report: (event) => {
          if (event.event === "joined" && event.profile === 2) trust.joined();
          report(event);
        },
      },
      signal,
    );
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof UntrustedTracker) || line.json || !hasTerminal()) throw error;
    await promptsOn(signal).agreeToShare(error, files);
    trust.agree(error);
    return await start();
  }
}

/** The trackers that were used before. */
export function knownTrackers(): KnownTrackers {
  return new KnownTrackers(join(userFolder("cache"), "tracker.json"));
}

/** Finds the tracker that announces itself; of several, the person chooses one. */
export async function findTracker({ json }: CommandLine, screen: Screen, signal: AbortSignal): Promise<Located> {
  const last = knownTrackers().last;
  screen.progress("looking for a tracker…");
  const { trackers, found } = await lookAround(last, signal);
  screen.clearProgress();
  if (signal.aborted) throw new CancelledError();
  const [first, second] = trackers;
  if (first === undefined) throw nobodyFound(found, last);
  if (second === undefined) {
    screen.note(`Using the tracker ${describePlace(first)}.`);
    return first;
  }
  if (json || !hasTerminal()) throw severalFound(trackers);
  return await promptsOn(signal).chooseTracker(trackers, last);
}
