// Defines the types that both ways of fetching a file share.

import type { Clock, RunningTime } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import type { Cut } from "../content/cut.ts";
import type { FolderCut } from "../content/folder-cut.ts";
import type { Sha256 } from "../content/merkle.ts";
import type { PieceSet } from "../content/pieces.ts";
import type { RateLimit } from "../rate-limit.ts";

/** The part file that bytes are written to. */
export interface Target {
  /** Writes at a position; fails with a sentence. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Throws away the bytes that were written. */
  restart(): Promise<void>;
}

/** The file to fetch, and the records of the same content. */
export interface WantedFile {
  name: FileName;
  size: number;
  root?: string | undefined;
  /** Set when the bytes of a folder are wanted: how they are cut. The `root` is then that of the folder's list. */
  folder?: FolderCut | undefined;
  holders: FileRecord[];
}

/** Connects to the holder of a record. Fails with a clause when it cannot in time. */
export type OpenHolder = (record: FileRecord, options?: { signal?: AbortSignal }) => Promise<Channel>;

/** A pass that is good from every address, with the proof that it is this peer's own. */
export interface ProvablePass {
  text: string;
  /** The proof for the holder whose record has this address and port; undefined to a nonce that is none. */
  prove(nonce: string, at: Endpoint): string | undefined;
}

export interface FetchTools {
  dial: OpenHolder;
  target: Target;
  /** This peer's own address and port, as its records have them, as text; undefined where it does not know them. */
  self?(): string | undefined;
  /** The pass to show to other peers. It is asked for at each connection, because the tracker renews it. */
  pass(): string;
  /** The keyed pass to show with it; undefined where the tracker gives none. */
  keyed?(): ProvablePass | undefined;
  /** The hashes of the pieces in this memory, computed off the main thread. The first one begins at `offset`. */
  layer(memory: SharedArrayBuffer, length: number, offset: number): Promise<Uint8Array>;
  sha256: Sha256;
  report(event: FetchEvent): void;
  /** Which pieces an earlier run has left, by their hashes. Calls `onChecked` for bytes that it has looked at. */
  present?(pieces: Uint8Array, onChecked: (bytes: number) => void): Promise<PieceSet>;
  /** The transfer begins: from now on `have` grows, and other peers may be served from it. */
  begun?(pieces: Uint8Array, have: PieceSet): void;
  /** The records of the peers that have this content now. */
  look?(): Promise<FileRecord[]>;
  /** Whether the holder of a record is online, and reads a file of this size to compute its content id. */
  rereads?(record: FileRecord): Promise<boolean>;
  /** Whether this machine is off the network now and tries to come back: then a failure is no holder's fault. */
  away?(): boolean;
  /** Whether this peer or its tracker has just come back: older passes are not valid, and some holders have no new key yet. */
  unsettled?(): boolean;
  /** How far behind the first missing byte pieces are written, while there are any. Bytes; undefined: anywhere. */
  reach?: number | undefined;
  /** The limit on all downloads together. */
  limit?: RateLimit | undefined;
  signal?: AbortSignal;
  clock?: Clock;
  /** A random number from 0 to 1. */
  random?: () => number;
}

/** The values that the parts of a fetch by pieces share. */
export interface PieceJob {
  readonly file: WantedFile & { root: string };
  readonly tools: FetchTools;
  readonly clock: Clock;
  /** The clock for everything that may be a holder's fault. */
  readonly time: RunningTime;
  readonly random: () => number;
  /** See `FetchTools`, at the start of the fetch. */
  readonly self: string | undefined;
  /** The pieces that are asked for and proven, one by one. */
  readonly cut: Cut;
}

/** The progress of a fetch by pieces. */
export interface FetchState {
  readonly over: boolean;
  /** Holders must not send, because the disk or the limit needs a moment. */
  readonly paused: boolean;
  /** The hashes of the pieces are known. */
  readonly hasHashes: boolean;
  /** Pieces are being asked for. Between `hasHashes` and this, the bytes of an earlier run are looked at. */
  readonly ready: boolean;
  /** Bytes that are proven and written. */
  readonly kept: number;
  /** Resolves when nothing is being hashed or written. */
  settled(): Promise<void>;
  /** Ends the fetch: done, or failed. */
  end(error?: Error): void;
}

export type FetchEvent =
  /** Another user's file has the usual name of the part file: another name was taken. */
  | { event: "foreign-part"; path: string }
  | { event: "asking"; holder: FileRecord }
  /** The bytes of an earlier run are being looked at. */
  | { event: "checking"; checked: number; size: number }
  | {
      event: "progress";
      received: number;
      size: number;
      /** How many holders send bytes now. */
      holders: number;
      /** Only of a folder: how many of its files are complete. */
      files?: { done: number; total: number };
    }
  /** No bytes come. The best place in a queue is that of this holder. */
  | { event: "waiting"; holder: FileRecord; position: number }
  /** The only holder that has the rest sends nothing any more. The fetch waits for it. */
  | { event: "silent"; holder: FileRecord }
  /** The only holder that has the rest does not have the file now. The fetch waits. `rereads`: it computes the content id again. */
  | { event: "gone"; holder: FileRecord; rereads: boolean }
  /** No holder can be asked, because the network or the tracker is gone now. The fetch waits. */
  | { event: "away" }
  /** Only of a folder: it was changed by its holder, and the fetch goes on with the folder as it is now. */
  | { event: "folder-changed" }
  | { event: "verifying" }
  | { event: "holder-failed"; holder: FileRecord; reason: string };

export interface Fetched {
  verified: boolean;
  /** The content id of the bytes that were written, where the record has none. */
  arrived?: string;
  /** The holders whose bytes are in the file. */
  holders: FileRecord[];
  /** The bytes that were here before it began. */
  resumed?: number | undefined;
}
