// What fetching a file needs, and what it tells: the types that both ways of fetching share.

import type { Clock } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import type { RateLimit } from "../../rate.ts";
import type { Sha256 } from "../content/merkle.ts";
import type { PieceSet } from "../content/pieces.ts";

/** Where the bytes go: a part file. */
export interface Target {
  /** Writes at a position; fails with a sentence. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Throws away what was written. */
  restart(): Promise<void>;
}

/** What to fetch: records of the same content. */
export interface Wanted {
  name: FileName;
  size: number;
  root?: string | undefined;
  holders: FileRecord[];
}

/** Opens a channel to a record's holder; fails with a clause when it cannot be had in time. */
export type OpenHolder = (record: FileRecord, options?: { signal?: AbortSignal }) => Promise<Channel>;

export interface FetchTools {
  dial: OpenHolder;
  target: Target;
  /** The pass to show to other peers; asked for at each connection, because it is renewed. */
  pass(): string;
  /** The hashes of the pieces in a stretch of the file; off the main thread. */
  layer(memory: SharedArrayBuffer, length: number): Promise<Uint8Array>;
  sha256: Sha256;
  report(event: FetchEvent): void;
  /** Which pieces an earlier run has left, by their hashes; says how many bytes it has looked at. */
  present?(pieces: Uint8Array, onChecked: (bytes: number) => void): Promise<PieceSet>;
  /** The transfer begins: from here on `have` grows, and others may be served from it. */
  begun?(pieces: Uint8Array, have: PieceSet): void;
  /** Who has this content now. */
  look?(): Promise<FileRecord[]>;
  /** Whether this machine is off the network just now, and on its way back: nobody is to blame then. */
  away?(): boolean;
  /** Whether it, or its tracker, came back a moment ago: passes of before are worth nothing, and not everybody has a new key yet. */
  unsettled?(): boolean;
  /** Over all downloads. */
  limit?: RateLimit | undefined;
  signal?: AbortSignal;
  clock?: Clock;
  /** From 0 to 1. */
  random?: () => number;
  sleep?: (ms: number) => Promise<void>;
}

export type FetchEvent =
  | { event: "asking"; holder: FileRecord }
  /** What an earlier run has left is being looked at. */
  | { event: "checking"; checked: number; size: number }
  | { event: "progress"; received: number; size: number /** Those that bytes come from now. */; holders: number }
  /** Nothing comes; this holder has the best place in its queue to offer. */
  | { event: "waiting"; holder: FileRecord; position: number }
  /** The only one who has the rest has fallen silent, without a goodbye; it is waited for. */
  | { event: "silent"; holder: FileRecord }
  /** Nobody can be asked, because the network or the tracker is gone just now. */
  | { event: "away" }
  | { event: "verifying" }
  | { event: "holder-failed"; holder: FileRecord; reason: string };

export interface Fetched {
  verified: boolean;
  /** Those whose bytes are in the file. */
  holders: FileRecord[];
}
