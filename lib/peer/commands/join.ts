// Finds the tracker of a command and joins it: looks around, remembers trackers, and asks a person about a tracker that is not known.

import { join } from "node:path";
import { CancelledError, codeOf, FtError } from "../../error.ts";
import { userFolder } from "../../files.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { plural } from "../../text.ts";
import type { CommandLine } from "../arguments.ts";
import type { SharedFolder } from "../disk/folders/shared-folder.ts";
import type { SharedFile } from "../disk/share.ts";
import type { PeerEvent } from "../events.ts";
import {
  describePlace,
  findAgain,
  KnownTrackers,
  type Located,
  lookAround,
  nobodyFound,
  severalFound,
} from "../locate/locate.ts";
import { Trust, UntrustedTracker } from "../locate/trust.ts";
import { IS_ROOM } from "../online/room.ts";
import type { TrackerPlace } from "../online/session-types.ts";
import { defaultPeerName } from "../options.ts";
import { agreeToShare, chooseTracker } from "../screen/prompts/questions.ts";
import type { Screen } from "../screen/screen.ts";
import { hasTerminal, promptsOn } from "../screen/terminal.ts";
import { Rooms } from "./rooms.ts";
import type { Peer, StartPeer } from "./types.ts";

/** The things that a command needs to join a tracker. */
export interface Joining {
  line: CommandLine;
  startPeer: StartPeer;
  /** The tracker that was typed or found. */
  place: TrackerPlace | Located;
  rooms: Rooms;
  /** Shows that the tracker is waited for. */
  screen?: Screen;
  files: SharedFile[];
  folders?: SharedFolder[];
  report(event: PeerEvent): void;
  signal: AbortSignal;
  takesOffers?: boolean;
  /** A person has chosen these files for any tracker. Otherwise a person on a terminal is asked about a tracker that is not known. */
  consent: boolean;
}

/** Starts a peer at a tracker, and remembers that tracker for the next time. */
export async function joinTracker(joining: Joining): Promise<Peer> {
  const { line, startPeer, rooms, screen, files, folders = [], report, signal, takesOffers = false, consent } = joining;
  screen?.progress(`waiting for the tracker at ${formatEndpoint(joining.place)}…`);
  let approached = await rooms.approach(joining.place);
  const known = knownTrackers();
  const trust = new Trust(known, consent);
  const start = () => {
    const { place, room } = approached;
    return startPeer(
      {
        tracker: { ...place, full: place.full === true || trust.isFull(place) },
        room,
        // A tracker whose address was typed may move too: after joining, its name and key are known.
        find: async (group) => (trust.current === undefined ? [] : await findAgain({ ...place, ...trust.current }, group)),
        approve: (tracker) => {
          if (room !== undefined) trust.accept(tracker);
          else {
            rooms.checkName(tracker.place, tracker.name);
            trust.approve(tracker);
          }
        },
        wasFull: (at) => trust.isFull(at),
        files,
        folders,
        port: line.port,
        name: line.name ?? defaultPeerName(),
        cachePath: join(userFolder("cache"), "roots.json"),
        limit: line.limit,
        takesOffers,
        guests: !line["no-guests"],
        report: (event) => {
          if (event.event === "joined" && room !== undefined && line.forget) known.forget(trust.current?.key ?? "");
          else if (event.event === "joined" && event.profile === 2) trust.joined();
          if (event.event === "joined") rooms.joined(approached, event.name, trust.at);
          report(event);
        },
      },
      signal,
    );
  };
  try {
    return await start().catch(async (error: unknown) => {
      if (codeOf(error) !== IS_ROOM) throw error;
      approached = await rooms.enter(joining.place);
      return await start();
    });
  } catch (error) {
    screen?.clearProgress();
    if (!(error instanceof UntrustedTracker) || line.json || !hasTerminal()) throw error;
    await agreeToShare(promptsOn(signal), error, files);
    trust.agree(error);
    return await start();
  } finally {
    screen?.clearProgress();
  }
}

/** The private rooms of a command. On a terminal a person is asked for a key. Throws a sentence about a key that cannot be one. */
export function roomsOf(line: CommandLine, signal: AbortSignal, screen?: Screen): Rooms {
  const ask = async (why: string | undefined) => {
    screen?.clearProgress();
    const prompts = promptsOn(signal);
    if (why !== undefined) prompts.warn(why);
    return await prompts.secret("This tracker is a private room. Its key?");
  };
  const asks = !line.json && hasTerminal();
  return new Rooms({ file: line["room-file"], forget: line.forget, signal, ask: asks ? ask : undefined });
}

/** The trackers that were used before. */
export function knownTrackers(): KnownTrackers {
  return new KnownTrackers(join(userFolder("cache"), "tracker.json"));
}

/** Finds the tracker that announces itself; of several, the person chooses one. */
export async function findTracker({ json }: CommandLine, rooms: Rooms, screen: Screen, signal: AbortSignal): Promise<Located> {
  const last = knownTrackers().last;
  screen.progress("looking for a tracker…");
  const { trackers: all, found } = await lookAround(last, signal);
  screen.clearProgress();
  if (signal.aborted) throw new CancelledError();
  const trackers = rooms.hasKey ? all.filter(({ room }) => room) : all;
  if (trackers.length < all.length && trackers.length === 0) {
    const open = `${plural(all.length, "open tracker")} ${all.length === 1 ? "does" : "do"}`;
    throw new FtError(
      "no-tracker",
      `No private room announces itself on this network; ${open}. Give its address: ft-peer ADDRESS`,
    );
  }
  const [first, second] = trackers;
  if (first === undefined) throw nobodyFound(found, last);
  if (second === undefined) {
    screen.note(`Using the tracker ${describePlace(first)}.`);
    return first;
  }
  if (json || !hasTerminal()) throw severalFound(trackers);
  return await chooseTracker(promptsOn(signal), trackers, last);
}
