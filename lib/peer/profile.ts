// Finds out which protocol a tracker speaks: says HELLO FT/2 and, if no reply comes, the bare HELLO of FT/1. Joins nothing.

import { type Clock, sleep } from "../clock.ts";
import { CancelledError } from "../error.ts";
import type { Channel } from "../net/channel.ts";
import { PROFILE_WAIT_MS, type Profile } from "../protocol/messages.ts";
import type { Reply } from "./tracker-connection.ts";

/**
 * The time in which a tracker that spoke FT/2 before has to say HI again, before the peer tries FT/1. It is longer than for a
 * new one, because after a restart all peers ask at once. Milliseconds.
 */
const KNOWN_PROFILE_WAIT_MS = 10_000;

export interface ProfileTools {
  /** Says HELLO FT/2 on the first connection. Undefined when that ends without a reply. */
  greet(): Promise<Reply | undefined>;
  /** Says the bare HELLO on a second connection; gives it once the tracker has said HI there. */
  greetBasic(): Promise<Channel>;
  /** The profile that this tracker spoke last time. */
  before: Profile | undefined;
  clock: Clock;
  signal: AbortSignal | undefined;
}

/**
 * Gives the reply of an FT/2 tracker, or the connection to an FT/1 tracker. A basic tracker does not answer HELLO FT/2, but neither
 * does a busy one at once: so a late reply on the first connection wins against the second one.
 */
export async function findProfile({ greet, greetBasic, before, clock, signal }: ProfileTools): Promise<Reply | Channel> {
  const answer = greet();
  const reply = await Promise.race([answer, sleep(clock, before === 2 ? KNOWN_PROFILE_WAIT_MS : PROFILE_WAIT_MS)]);
  if (signal?.aborted) throw new CancelledError();
  if (reply !== undefined) return reply;
  const second = greetBasic();
  let chosen: Reply | Channel | undefined;
  try {
    // When the first connection ends without a reply, only the second one can still bring one.
    const late = answer.then((reply) => reply ?? new Promise<never>(() => {}));
    chosen = await Promise.race([late, second]);
    return chosen;
  } finally {
    second.then(
      (channel) => {
        if (channel !== chosen) channel.destroy();
      },
      () => undefined,
    );
  }
}
