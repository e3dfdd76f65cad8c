// Asks a tracker who it is before a peer joins it: how many files it takes of one peer decides what a person may choose.

import { type Clock, sleep } from "../clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf } from "../error.ts";
import type { Channel, Dial } from "../net/channel.ts";
import { formatEndpoint } from "../protocol/address.ts";
import { DEFAULT_MAX_FILES, PROFILE_WAIT_MS } from "../protocol/messages.ts";
import { encodeToTracker } from "../protocol/write.ts";
import { firstToOpen, mainReason } from "./happy-eyeballs.ts";
import type { TrackerPlace } from "./session.ts";
import { TrackerConnection } from "./tracker-connection.ts";

/** A tracker of FT/2 that is silent for this long is not waited for here: joining it will say what is wrong. Milliseconds. */
const PATIENCE_MS = 5_000;

/** What a tracker says of itself before a peer joins. */
export interface Met {
  /** The name; "" when it says none. */
  name: string;
  /** How many files it takes of one peer. */
  max: number;
}

export interface MeetTools {
  dial: Dial;
  agent: string;
  clock: Clock;
  signal: AbortSignal;
}

/**
 * Connects to the tracker and asks for its name and limit. Throws a sentence when nothing answers at its address. A basic tracker cannot
 * say its limit; one that is silent is taken to have the usual one.
 */
export async function meetTracker(
  { address, port, others = [], announced, full }: TrackerPlace,
  tools: MeetTools,
): Promise<Met> {
  const { dial, agent, clock, signal } = tools;
  const dialOne = (one: string) => (signal?: AbortSignal) => dial({ address: one, port }, signal && { signal });
  let channel: Channel;
  try {
    channel = await firstToOpen([address, ...others].map(dialOne), { signal, clock });
  } catch (error) {
    if (codeOf(error) === "cancelled" || signal.aborted) throw new CancelledError();
    const reason = mainReason(error);
    const where = formatEndpoint({ address, port });
    const words = `Cannot reach the tracker at "${where}": ${sentenceOf(reason)}. Check the address and that ft-tracker runs there.`;
    throw new FtError(codeOf(reason), words);
  }
  const stop = () => channel.destroy();
  signal.addEventListener("abort", stop);
  try {
    const usual: Met = { name: "", max: DEFAULT_MAX_FILES };
    const lost = (reason: string) => new FtError("tracker-gone", `The tracker closed the connection (${reason}).`);
    const connection = new TrackerConnection(channel, clock, { push: () => undefined, lost });
    const hello = encodeToTracker({ verb: "HELLO", profile: 2, agent, extras: true });
    // Only a tracker that is known to speak FT/2 is waited for.
    const patience = sleep(clock, announced || full ? PATIENCE_MS : PROFILE_WAIT_MS);
    const reply = await Promise.race([connection.ask(hello).catch(() => undefined), patience]);
    if (signal.aborted) throw new CancelledError();
    return reply?.verb === "HI" ? { name: reply.name, max: reply.max } : usual;
  } finally {
    signal.removeEventListener("abort", stop);
    channel.finish();
  }
}
