// What happens to a peer while it is online, for the screen to show.

import type { ServeEvent } from "./serve/serve.ts";
import type { SessionEvent } from "./session.ts";

export type PeerEvent =
  | SessionEvent
  | ServeEvent
  /** The content id of a shared file is computed. */
  | { event: "root"; name: string; size: number; root: string }
  | { event: "changed"; name: string; size: number }
  | { event: "withdrawn"; name: string; reason: string };
