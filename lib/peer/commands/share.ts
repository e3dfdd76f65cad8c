// Runs the share command, and shows the events of a peer while any command runs.

import type { PeerEvent } from "../events.ts";
import { describeEvent, eventObject } from "../screen/event-words.ts";
import type { Screen } from "../screen/screen.ts";
import type { Peer } from "./types.ts";

/** Serves until the person ends it. */
export async function stayOnline(peer: Peer, screen: Screen, signal: AbortSignal): Promise<void> {
  peer.computeRoots();
  await new Promise<void>((stop) => {
    if (signal.aborted) stop();
    signal.addEventListener("abort", () => stop());
  });
  screen.note("Leaving.");
}

/** Shows an event: every one for `share`, only important ones for other commands. */
export function tellEvent(screen: Screen, event: PeerEvent, all: boolean): void {
  // Accepting tells of an offer, with what becomes of it.
  if (event.event === "offer") return;
  if (all && screen.json) {
    screen.object(eventObject(event));
    return;
  }
  const words = describeEvent(event);
  if (event.event === "hashing") screen.progress(words);
  else if (all && words !== "") screen.event(words);
  else if (event.event === "joined" && (event.profile === 1 || event.left.length > 0)) screen.note(words);
  else if (["away", "dismissed", "shut-out", "offline", "notice", "unread"].includes(event.event)) screen.note(words);
}
