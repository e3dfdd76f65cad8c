// Finds what others ask this peer for: among its shared files, its shared folders, and the parts of its downloads.

import type { Endpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { Downloads } from "../download/download.ts";
import type { FolderDownloads } from "../download/folder-downloads.ts";
import type { FileAsked, Known, KnownFolder, Opened } from "../serve/types.ts";
import type { FolderSharing } from "./folder-sharing.ts";
import type { Sharing } from "./sharing.ts";

interface HoldingsTools {
  sharing: Pick<Sharing, "records" | "look" | "has" | "open">;
  folders: Pick<FolderSharing, "records" | "look" | "lookFolder" | "open">;
  downloads: Pick<Downloads, "records" | "look" | "open">;
  folderDownloads: Pick<FolderDownloads, "records" | "look" | "lookFolder" | "open">;
}

export class Holdings {
  readonly #tools: HoldingsTools;

  constructor(tools: HoldingsTools) {
    this.#tools = tools;
  }

  /** The records of all that this peer has, with this address and port. */
  records(own: Endpoint): FileRecord[] {
    const { sharing, folders, downloads, folderDownloads } = this.#tools;
    return [sharing, folders, downloads, folderDownloads].flatMap((some) => some.records(own));
  }

  /** The pieces of a content that this peer shares or fetches. */
  look(root: string): Known | undefined {
    const { sharing, folders, downloads, folderDownloads } = this.#tools;
    return sharing.look(root) ?? downloads.look(root) ?? folders.look(root) ?? folderDownloads.look(root);
  }

  /** The pieces of a folder that this peer shares or fetches. */
  lookFolder(root: string): KnownFolder | undefined {
    const { folders, folderDownloads } = this.#tools;
    return folders.lookFolder(root) ?? folderDownloads.lookFolder(root);
  }

  /** Whether this peer shares the whole of a content. */
  shares(root: string): boolean {
    const { sharing, folders } = this.#tools;
    return sharing.has(root) || folders.look(root) !== undefined;
  }

  /** Opens a shared file, or the part of a download that has arrived. */
  open(asked: FileAsked): Opened | undefined {
    const { sharing, folders, downloads, folderDownloads } = this.#tools;
    const { root } = asked;
    const shared = sharing.open(asked);
    if (shared !== undefined) return shared;
    const part = root === undefined ? undefined : downloads.open(root);
    return part === undefined ? (folders.open(asked) ?? folderDownloads.open(asked)) : { ...part, root };
  }
}
