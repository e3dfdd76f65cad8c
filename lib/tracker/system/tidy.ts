// Gives memory back to the system after a storm of connections. By itself the runtime waits for the next storm.

import { PING_MS } from "../../protocol/numbers.ts";
import type { TrackerState } from "../state.ts";

/** After this number of joins, leaves and tries of a port, the tracker gives memory back as soon as it is quiet. */
const TIDY_AFTER = 1000;
/** After this number of joins, leaves and tries, it gives memory back even while busy: the runtime does not count all memory of sockets. */
const TIDY_AT_LAST = 20_000;
/** The most requests and changes in one second, beside twice the pings of the peers, at which the tracker is quiet. */
const QUIET = 100;

/** Looks every second whether to give memory back. Returns a function that stops that. */
export function tidyMemory(state: TrackerState): () => void {
  let [before, tidied] = [0, 0];
  let cancel = state.clock.after(1000, look);
  function look(): void {
    cancel = state.clock.after(1000, look);
    const { changes, catalog, activity } = state;
    const sum = activity.requests.total + changes;
    const busy = sum - before > QUIET + (2 * catalog.peers * 1000) / PING_MS;
    before = sum;
    if (changes - tidied < (busy ? TIDY_AT_LAST : TIDY_AFTER)) return;
    tidied = changes;
    Bun.gc(true);
  }
  return () => cancel();
}
