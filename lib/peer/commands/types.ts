// Defines an online peer as the commands use it.

import type { Certificate } from "../../net/certificate.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { FolderEntry } from "../../protocol/folder.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { Enter } from "../connect/dial-tracker.ts";
import type { SharedFolder } from "../disk/folders/shared-folder.ts";
import type { SharedFile } from "../disk/share.ts";
import type { PeerEvent } from "../events.ts";
import type { RecordHolder } from "../online/own-address.ts";
import type { Introduced, TrackerPlace } from "../online/session-types.ts";
import type { GuidedPeer } from "../screen/prompts/guided-peer.ts";
import type { Served } from "../serve/types.ts";

/** The private room that a peer is in. */
export interface PeerRoom {
  /** Made for this run: other members know this peer by its fingerprint. */
  readonly certificate: Certificate;
  readonly enter: Enter;
}

export interface PeerOptions {
  tracker: TrackerPlace;
  /** Only for a private room: this peer's certificate, and how it shows the key. */
  room?: PeerRoom | undefined;
  /** Looks for the tracker at another address, when it cannot be reached any more. */
  find?: (group?: string) => Promise<TrackerPlace[]>;
  /** Throws a sentence when this peer's files may not be told to the tracker. */
  approve?: (tracker: Introduced) => void;
  /** Whether the tracker that was reached at this address has spoken FT/2 before. */
  wasFull?: (at: Endpoint) => boolean;
  files: SharedFile[];
  /** The folders that are shared as one. They were looked at. */
  folders?: SharedFolder[];
  /** The port to serve on; undefined takes 1235, or a free port when that is taken. */
  port?: number | undefined;
  /** The name by which people know this peer; "" for none. */
  name: string;
  /** The file in which content ids are remembered between runs. */
  cachePath: string;
  /** Whether a person is there who takes what others offer, or a setting that says what to do with it. */
  takesOffers?: boolean;
  /** The most bytes per second, up and down each. */
  limit?: number | undefined;
  /** False: it serves no guests of the tracker's web page. */
  guests?: boolean;
  report(event: PeerEvent): void;
}

/** A peer that is online. */
export interface Peer extends GuidedPeer {
  readonly port: number;
  /** The part of a download that has arrived. The caller closes it. */
  openPart(root: string): Served | undefined;
  /** The list of a folder; the records are its holders. Throws a sentence. */
  listOf(records: [FileRecord, ...FileRecord[]], how: { signal: AbortSignal }): Promise<FolderEntry[]>;
  /** Whether a record is this peer's own. */
  isOwn(record: RecordHolder): boolean;
}

/** Starts serving and joins the tracker. Throws a sentence when it cannot. */
export type StartPeer = (options: PeerOptions, signal?: AbortSignal) => Promise<Peer>;
