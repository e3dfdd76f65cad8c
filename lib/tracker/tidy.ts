// Gives memory back to the system after a storm of connections. By itself the runtime waits for the next storm.

import type { Clock } from "../clock.ts";
import { PING_MS } from "../protocol/messages.ts";

/** After this number of changes, and when little happens for a second, memory is given back. A change: a join, a try of a port, a leave. */
const TIDY_AFTER = 1000;

/** After this number of changes memory is given back in any case: a socket holds more memory than the runtime counts. */
const TIDY_AT_LAST = 20_000;

/** How often the changes are looked at. Milliseconds. */
const LOOK_MS = 1000;

/** Requests and changes in a second, beside the peers' pings, that are little. */
const QUIET = 100;

/** The share of the peers that ping within a second. */
const PINGING = 1000 / PING_MS;

/** What has happened since the tracker was started. */
export interface Load {
  requests: number;
  changes: number;
  peers: number;
}

/** Gives memory back when it is time; returns a function that stops that. */
export function tidyMemory(clock: Clock, load: () => Load): () => void {
  let before = 0;
  let tidied = 0;
  let cancel = clock.after(LOOK_MS, look);
  function look(): void {
    cancel = clock.after(LOOK_MS, look);
    const { requests, changes, peers } = load();
    const lately = requests + changes - before;
    before = requests + changes;
    const busy = lately > QUIET + 2 * PINGING * peers;
    if (changes - tidied < (busy ? TIDY_AT_LAST : TIDY_AFTER)) return;
    tidied = changes;
    Bun.gc(true);
  }
  return () => cancel();
}
