// Defines a peer that is online as the guided prompts use it.

import type { FolderEntry } from "../../../protocol/folder.ts";
import type { FileRecord } from "../../../protocol/record.ts";
import type { SharedFolder } from "../../disk/folders/shared-folder.ts";
import type { Share, SharedFile } from "../../disk/share.ts";
import type { Downloaded, DownloadOptions } from "../../download/download.ts";
import type { Session } from "../../online/session.ts";
import type { Wants } from "../../online/wants.ts";
import type { Upload } from "../../serve/types.ts";
import type { Handing } from "./handing.ts";

/** A peer, as far as the prompts use it. */
export interface GuidedPeer {
  readonly session: Session;
  readonly share: Share;
  readonly wants: Pick<Wants, "add">;
  readonly server: { readonly uploads: ReadonlySet<Upload>; readonly waiting: number };
  readonly handing: Handing;
  readonly folders: {
    readonly folders: readonly SharedFolder[];
    /** Shares a folder as one. Resolves when it is hashed. */
    add(folder: SharedFolder): Promise<void>;
    /** Shows a folder that is only for some to the circle of another token; without one to everybody. */
    showTo(root: string, only: string | undefined): void;
  };
  /** The list of a folder; the records are its holders. Throws a sentence. */
  listOf(records: [FileRecord, ...FileRecord[]], how: { signal: AbortSignal }): Promise<FolderEntry[]>;
  /** Whether this peer shares the content of a record. */
  isMine(record: FileRecord): boolean;
  /** Computes the content ids of the shared files, in the background. */
  computeRoots(): void;
  /** Shares these files instead of those that a person chose before. */
  shareInstead(files: SharedFile[]): Promise<void>;
  /** Fetches one content; the records are its holders. Throws a sentence. */
  download(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded>;
  /** Says BYE and stops serving. */
  stop(): Promise<void>;
}
