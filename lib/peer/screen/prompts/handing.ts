// Defines handing out, as the commands and the prompts use it.

import type { PeerLine } from "../../../protocol/messages.ts";
import type { FileRecord } from "../../../protocol/record.ts";
import type { SharedFile } from "../../disk/share.ts";
import type { Handed, HandOut, HandOutEvent } from "../../share/hand-out.ts";

/** Hands out, as the commands and the prompts do it. */
export interface Handing {
  /** Prepares to hand out: `start` begins. `to`: everybody, or these people. */
  offer(files: readonly Handed[], to: "all" | PeerLine[], say: string, report: (event: HandOutEvent) => void): HandOut;
  /** Shares another file, to hand it out. `only`: the token of those who may be shown it. */
  share(file: SharedFile): void;
  /** An offer of somebody else could not be fetched: when it is made again, it is told again. */
  again(offered: FileRecord): void;
  /** The person does not want what somebody else offers. */
  decline(offered: FileRecord): void;
  /** A text that nobody can guess. */
  token(): string;
}
