// What happens to a peer while it is online.

import type { FileRecord } from "../protocol/record.ts";
import type { SharedFile } from "./disk/share.ts";
import type { ServeEvent } from "./serve/serve.ts";
import type { SessionEvent } from "./session.ts";

/** Everything that happens to a peer while it is online. */
export type PeerEvent =
  | SessionEvent
  | ServeEvent
  | { event: "root"; file: SharedFile }
  | { event: "changed"; file: SharedFile }
  | { event: "withdrawn"; name: string; reason: string };

/** One finished download. */
export interface Downloaded {
  path: string;
  size: number;
  verified: boolean;
  outcome: "new" | "already here" | "replaced";
  holders: FileRecord[];
}
