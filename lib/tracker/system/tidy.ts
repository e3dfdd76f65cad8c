// Keeps the tracker's memory small during and after a storm of connections: has the runtime collect garbage early. The runtime by itself
// waits long. Then the garbage of the joins lies scattered among objects that stay, and the system never gets the memory between them back.

import type { Clock } from "../../clock.ts";
import { PING_MS } from "../../protocol/numbers.ts";
import type { TrackerState } from "../state.ts";

/** The time between two looks whether to collect the garbage of joins. Milliseconds. */
const COLLECT_EVERY_MS = 200;
/** After this number of joins, leaves and tries of a port, the runtime collects their garbage, beside the tracker's work. */
const COLLECT_AFTER = 100;
/** The time between two looks whether to give memory back to the system. Milliseconds. */
const TIDY_EVERY_MS = 1_000;
/** After this number of joins, leaves and tries of a port, the tracker gives memory back as soon as it is quiet. */
const TIDY_AFTER = 1_000;
/** After this number of joins, leaves and tries, it gives memory back even while busy: the runtime does not count all memory of sockets. */
const TIDY_AT_LAST = 20_000;
/** The most requests and changes in one second, beside twice the pings of the peers, at which the tracker is quiet. */
const QUIET = 100;

/** Looks regularly whether there is something to do. Returns a function that stops that. */
export function tidyMemory(state: TrackerState): () => void {
  let [collected, before, tidied] = [0, 0, 0];
  const collect = () => {
    if (state.changes - collected < COLLECT_AFTER) return;
    collected = state.changes;
    Bun.gc(false);
  };
  const tidy = () => {
    const { changes, catalog, activity } = state;
    const sum = activity.requests.total + changes;
    const busy = sum - before > QUIET + (2 * catalog.peers * 1000) / PING_MS;
    before = sum;
    if (changes - tidied < (busy ? TIDY_AT_LAST : TIDY_AFTER)) return;
    tidied = changes;
    Bun.gc(true);
  };
  const stops = [every(state.clock, COLLECT_EVERY_MS, collect), every(state.clock, TIDY_EVERY_MS, tidy)];
  return () => {
    for (const stop of stops) stop();
  };
}

/** Calls `act` again and again. Returns a function that stops that. */
function every(clock: Clock, ms: number, act: () => void): () => void {
  let cancel = () => {};
  const wait = () => {
    cancel = clock.after(ms, () => {
      wait();
      act();
    });
  };
  wait();
  return () => cancel();
}
