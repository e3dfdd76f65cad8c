// Connects to a tracker that may have several addresses.

import type { Clock } from "../../clock.ts";
import { CancelledError, codeOf, FtError, sentenceOf } from "../../error.ts";
import type { Channel, Dial } from "../../net/channel.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import { firstToOpen, mainReason } from "./happy-eyeballs.ts";

/** The addresses of a tracker, and its port. The first one that answers is used. */
export interface Addresses {
  address: string;
  port: number;
  others?: string[];
}

/** Shows the key of a private room on a connection to its tracker. Throws a sentence. */
export type Enter = (channel: Channel, signal: AbortSignal | undefined) => Promise<void>;

interface DialTrackerTools {
  dial: Dial;
  /** Only for a private room: called once, with the connection that is used. */
  enter?: Enter | undefined;
  clock: Clock;
  signal?: AbortSignal | undefined;
  hint?: string;
}

/** Connects to the first of the tracker's addresses that answers. Fails with a sentence, to which it adds the hint. */
export async function dialTracker(at: Addresses, tools: DialTrackerTools): Promise<Channel> {
  const channel = await dialAny(at, tools);
  await tools.enter?.(channel, tools.signal);
  return channel;
}

async function dialAny(
  { address, port, others = [] }: Addresses,
  { dial, clock, signal, hint = "" }: DialTrackerTools,
): Promise<Channel> {
  const dialOne = (one: string) => (signal?: AbortSignal) => dial({ address: one, port }, signal && { signal });
  try {
    if (others.length === 0) return await dialOne(address)(signal);
    return await firstToOpen([address, ...others].map(dialOne), { signal, clock });
  } catch (error) {
    if (codeOf(error) === "cancelled") throw new CancelledError();
    const reason = mainReason(error);
    const where = formatEndpoint({ address, port });
    throw new FtError(codeOf(reason), `Cannot reach the tracker at "${where}": ${sentenceOf(reason)}.${hint}`);
  }
}
