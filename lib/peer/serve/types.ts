// Defines the types of serving: its tools, its options, and the uploads that it reports.

import type { Clock } from "../../clock.ts";
import type { Channel } from "../../net/channel.ts";
import type { Address, Endpoint } from "../../protocol/address.ts";
import type { Sha256 } from "../content/merkle.ts";
import type { PieceSet } from "../content/pieces.ts";
import type { RateLimit } from "../rate-limit.ts";

/** An open file that is served. */
export interface Served {
  readonly size: number;
  /** Reads into the buffer from a position. Gives how many bytes it read; 0 at the end of the file. */
  read(into: Uint8Array, at: number): Promise<number>;
  /** Before this place, reading keeps the whole program waiting for a moment. It is done in the time of the downloader's host. Bytes. */
  readonly busyUntil?: number;
  /** Whether the file still fits its record. */
  unchanged(): boolean;
  /** Only for a file that is still being fetched: whether all of this range is here and proven. */
  has?(offset: number, length: number): boolean;
  close(): void;
}

/** A file that was opened for a downloader, with its content id where it is known. */
export interface Opened {
  name: string;
  root?: string | undefined;
  file: Served;
  /** The content that the file is in, when that is more than the file: a folder. */
  whole?: { name: string; size: number };
}

/** A content that this peer serves: its size, hashes and pieces. */
export interface Known {
  size: number;
  /** The hashes of its pieces. */
  pieces: Uint8Array;
  /** Only for a file that is still being fetched: the pieces that are here. */
  have?: PieceSet;
}

/** A folder whose files this peer serves. */
export interface KnownFolder {
  /** The hashes of all packs and pieces. */
  hashes: Uint8Array;
  /** Only for a folder that is still being fetched: the pieces that are here. */
  have?: PieceSet;
  /** The dates of its files and folders, as DATES carries them. */
  dates(): Uint8Array;
}

/** A request for a file, by any of its name, content id and size; or for the bytes of a folder, by the content id of its list. */
export interface FileAsked {
  name?: string;
  root?: string;
  folder?: string;
  size?: number;
}

/** The id of the peer that shows a pass, or a sentence that says why it is not accepted, or the proof that it has to give first. */
export type PassCheck = { id: string } | { refusal: string } | ProofWanted;

/** The pass is good for a peer that proves that it is its own. */
export interface ProofWanted {
  readonly id: string;
  /** The text to sign. */
  readonly nonce: string;
  /** Whether this is the proof. `at`: the holder that the downloader means. */
  accepts(at: Endpoint, proof: string): boolean;
}

/** Names that are safe on every system, and no two of them one. */
export interface SafePaths {
  placeOf(path: string): string;
}

export interface ServeOptions {
  /** Opens the file of the list that fits everything that is asked for; undefined when there is none. */
  open(asked: FileAsked): Opened | undefined;
  /** Looks up a content id; undefined when its file is not served. */
  look(root: string): Known | undefined;
  /** Looks up a folder by the content id of its list; undefined when it is not served. */
  lookFolder?(root: string): KnownFolder | undefined;
  sha256: Sha256;
  /** Gives the entries of a folder, in the order of its list, names for a zip. Without it there are no zips. */
  safePaths?(paths: Iterable<string>): SafePaths;
  /** The most uploads at once; other downloaders wait in a queue. */
  slots?: number;
  /** The limit on all uploads together. */
  limit?: RateLimit | undefined;
  clock?: Clock;
  /** A file does not fit its record any more. */
  changed(name: string): void;
  /** Whether a downloader at this address, with the certificate of this fingerprint, is accepted with these passes. */
  readPass(pass: string, from: Address, keyed: string, fingerprint: string | undefined): PassCheck;
  /** Why a guest's ticket is not good for a content from an address, as a sentence; undefined when it is. Without it no guest is served. */
  refuseTicket?(ticket: string, root: string, from: Address): string | undefined;
  /** Calls `act` with the reason when the pass of a downloader is not good any more. Gives a function that cancels it. */
  whenRevoked?(id: string, act: (why: string) => void): () => void;
  /** A connection shows a token instead of a pass. True when this peer has asked for the connection, and takes it over. */
  arrived?(token: string, channel: Channel): boolean;
  /** FT/1 has no passes: whether the tracker knows this address as that of an accepted peer. */
  known(from: Address): Promise<boolean>;
  report(event: ServeEvent): void;
}

export type ServeEvent =
  | { event: "upload-started"; upload: Upload }
  | { event: "upload-ended"; upload: Upload; complete: boolean; reason: string }
  | { event: "download-refused"; address: Address; reason: string };

/** One downloader's transfer of one content: all its requests, until it asked for nothing more for a while or left. */
export interface Upload {
  readonly to: Endpoint;
  /** The peer's id; undefined for an FT/1 downloader, which has none. */
  readonly id: string | undefined;
  /** The peer's name at the tracker, where it is known. */
  readonly by?: string | undefined;
  readonly name: string;
  readonly root: string | undefined;
  /** The content of `root`: the file itself, or the folder that it is in. Bytes. */
  readonly whole: { readonly name: string; readonly size: number };
  /** Bytes that were asked for so far. */
  wanted: number;
  /** Bytes that were sent so far. */
  sent: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** The time from the first request to the last byte that was sent. */
  seconds: number;
}
