// Asks a tracker for its name and its limit of files before a peer chooses its files. The tracker learns nothing about the peer.

import { type Clock, sleep } from "../../clock.ts";
import { CancelledError, FtError } from "../../error.ts";
import type { Dial } from "../../net/channel.ts";
import { DEFAULT_MAX_FILES, PROFILE_WAIT_MS } from "../../protocol/numbers.ts";
import { encodeToTracker } from "../../protocol/write.ts";
import { type Addresses, dialTracker, type Enter } from "../connect/dial-tracker.ts";
import { isRoomsAnswer } from "./room.ts";
import { TrackerConnection } from "./tracker-connection.ts";

/** The facts that a tracker gives to any program that says hello. */
export interface Met {
  /** Its name, in any characters; "" for a tracker that gives none. */
  name: string;
  /** The most files of one peer. */
  max: number;
  /** It answered as a private room does to plain bytes. Then nothing else is known of it. */
  room?: true;
}

interface MeetTools {
  dial: Dial;
  /** Only for a private room. */
  enter?: Enter | undefined;
  clock: Clock;
  /** This program and its version. */
  agent: string;
  signal?: AbortSignal | undefined;
}

/**
 * Connects to a tracker, says hello and closes. A tracker that does not answer soon is taken for a basic one, which takes five files;
 * joining it will tell. Throws a sentence when the tracker cannot be reached.
 */
export async function meetTracker(place: Addresses, { dial, enter, clock, agent, signal }: MeetTools): Promise<Met> {
  const hint = " Check the address and that ft-tracker runs there.";
  const channel = await dialTracker(place, { dial, enter, clock, signal, hint });
  const stop = () => channel.destroy();
  signal?.addEventListener("abort", stop);
  try {
    if (signal?.aborted) throw new CancelledError();
    const lost = (reason: string) => new FtError("tracker-gone", reason);
    let isRoom = false;
    const bytes = (chunk: Uint8Array) => {
      isRoom ||= isRoomsAnswer(chunk);
    };
    const connection = new TrackerConnection(channel, clock, { push: () => {}, lost, bytes });
    const answer = connection.ask(encodeToTracker({ verb: "HELLO", profile: 2, agent, extras: true })).catch(() => undefined);
    const reply = await Promise.race([answer, sleep(clock, PROFILE_WAIT_MS)]);
    if (signal?.aborted) throw new CancelledError();
    if (isRoom) return { name: "", max: DEFAULT_MAX_FILES, room: true };
    return reply?.verb === "HI" ? { name: reply.name, max: reply.max } : { name: "", max: DEFAULT_MAX_FILES };
  } finally {
    signal?.removeEventListener("abort", stop);
    channel.finish();
  }
}
