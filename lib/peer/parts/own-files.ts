// Puts together the files of a peer: those that it shares, its folders, its downloads, and the view of all these for others.

import { dirname, join } from "node:path";
import { systemClock } from "../../clock.ts";
import { formatEndpoint } from "../../protocol/address.ts";
import type { FileRecord } from "../../protocol/record.ts";
import type { PeerOptions } from "../commands/types.ts";
import type { HashPool } from "../content/hash.ts";
import { TreeCache } from "../content/tree-cache.ts";
import { FolderCache } from "../disk/folders/folder-cache.ts";
import { watchFolder } from "../disk/folders/folder-watch.ts";
import { SharedFolder } from "../disk/folders/shared-folder.ts";
import { Share } from "../disk/share.ts";
import { ShareWatch } from "../disk/watch.ts";
import { Downloads, type DownloadTools } from "../download/download.ts";
import { FolderDownloads, type FolderDownloadTools } from "../download/folder-downloads.ts";
import type { PeerEvent } from "../events.ts";
import { isDialable, isOwnRecord, type RecordHolder } from "../online/own-address.ts";
import { RateLimit } from "../rate-limit.ts";
import { FolderSharing } from "../share/folder-sharing.ts";
import { Holdings } from "../share/holdings.ts";
import { Sharing } from "../share/sharing.ts";
import type { Contacts } from "./contacts.ts";
import type { Serving } from "./serving.ts";

interface OwnFileTools {
  pool: HashPool;
  serving: Serving;
  contacts: Contacts;
  report(event: PeerEvent): void;
}

/** The files of a running peer. */
export class OwnFiles {
  readonly share: Share;
  readonly sharing: Sharing;
  readonly folders: FolderSharing;
  readonly downloads: Downloads;
  readonly folderDownloads: FolderDownloads;
  /** What `folderDownloads` works with, for a list that is fetched alone. */
  readonly folderTools: FolderDownloadTools;
  /** All of it, as others ask for it. */
  readonly holdings: Holdings;
  readonly watch: ShareWatch;
  readonly #cache: TreeCache;
  readonly #tools: OwnFileTools;

  constructor(options: PeerOptions, tools: OwnFileTools) {
    this.#tools = tools;
    this.#cache = new TreeCache(options.cachePath);
    this.share = new Share(options.files);
    this.sharing = this.#makeSharing();
    this.folders = this.#makeFolders(options);
    const downloadTools = this.#downloadTools(options);
    this.downloads = new Downloads({
      ...downloadTools,
      finished: (file, about) => {
        if (about.only !== undefined) this.folders.withhold([file.path], about.isReplacement);
        this.sharing.addDownloaded(file, about);
      },
    });
    this.folderTools = {
      ...downloadTools,
      finished: (path, fetched, only) => this.folders.add(Object.assign(new SharedFolder(path), { fetched, only })),
      withhold: (places) => this.folders.withhold(places),
    };
    this.folderDownloads = new FolderDownloads(this.folderTools);
    this.watch = new ShareWatch(this.share, {
      changed: (file) => void this.sharing.changed(file),
      renamed: (file, was) => void this.sharing.renamed(file, was),
      gone: (file) => void this.sharing.gone(file),
      back: (file) => void this.sharing.back(file),
    });
    this.holdings = new Holdings(this);
  }

  #makeSharing(): Sharing {
    const { pool, serving, contacts, report } = this.#tools;
    return new Sharing({
      share: this.share,
      pool,
      cache: this.#cache,
      session: contacts.session,
      port: serving.listener.port,
      hasRoom: () => this.#hasRoom(),
      isDownloading: () => this.downloads.running || this.folderDownloads.running,
      unreadable: () => this.watch.nudge(),
      report,
      clock: systemClock,
    });
  }

  #makeFolders({ folders = [], cachePath }: PeerOptions): FolderSharing {
    const { pool, report } = this.#tools;
    return new FolderSharing(folders, {
      hasRoom: () => this.#hasRoom(),
      pool,
      cache: new FolderCache(join(dirname(cachePath), "folders")),
      watch: watchFolder,
      tell: (recordFor) => this.sharing.tellAbout(recordFor),
      drop: (name) => this.sharing.dropRecord(name),
      report,
      clock: systemClock,
    });
  }

  #downloadTools({ limit }: PeerOptions): Omit<DownloadTools, "finished"> {
    const { pool, serving, contacts } = this.#tools;
    const { session, sessionKey, connector } = contacts;
    return {
      dial: (record, how) => connector.open(record, how),
      pool,
      limit: limit === undefined ? undefined : new RateLimit(limit, systemClock),
      self: () => session.standing && formatEndpoint({ address: session.standing.you, port: serving.listener.port }),
      pass: () => session.standing?.pass ?? "",
      keyed: () => {
        const text = session.standing?.keyed ?? "";
        return text === "" ? undefined : { text, prove: (nonce, at) => sessionKey.provePass(nonce, at) };
      },
      away: () => session.away,
      unsettled: () => session.unsettled,
      look: (root) => session.requests.holders(root),
      held: (record) => session.requests.ofHolder(record),
      isFetchable: (record) => isDialable(record, session.standing) && !this.isOwn(record),
      isOwn: (record) => this.isOwn(record),
      announce: (record) => this.sharing.announcePart(record),
      withdraw: (record) => {
        // A folder that was fetched is shared by now.
        if (this.folders.look(record.root ?? "") === undefined) this.sharing.withdrawPart(record);
      },
    };
  }

  /** Whether the tracker's list has a place for another record. */
  #hasRoom(): boolean {
    const counted = [...this.share.files, ...this.folders.folders].filter(({ beyond }) => !beyond).length;
    return counted < (this.#tools.contacts.session.standing?.max ?? 0);
  }

  /** Whether a record is this peer's own. */
  isOwn(record: RecordHolder): boolean {
    const { serving, contacts } = this.#tools;
    return isOwnRecord(record, serving.listener.port, contacts.session.standing);
  }

  /** Whether this peer shares the content of a record, whoever the record is of. */
  isMine(record: FileRecord): boolean {
    return this.isOwn(record) || (record.root !== undefined && this.holdings.shares(record.root));
  }

  /** Whether a content is arriving. */
  isFetching(root: string): boolean {
    return (this.downloads.look(root) ?? this.folderDownloads.look(root)) !== undefined;
  }

  /** Shows a content that is only for some to the circle of another token; without one to everybody. */
  showTo(root: string, only: string | undefined): void {
    this.sharing.showTo(root, only);
    this.folders.showTo(root, only);
  }

  /** Computes the content ids of all files, then of all folders, and tells the tracker. */
  async computeRoots(): Promise<void> {
    await this.sharing.computeRoots();
    await this.folders.compute();
  }

  /** Nothing is shared and watched any more. Downloads end by their own signals. */
  stop(): void {
    this.sharing.stop();
    this.folders.stop();
    this.watch.stop();
  }

  /** Resolves when all downloads have ended. */
  async settled(): Promise<void> {
    await Promise.all([this.downloads.settled(), this.folderDownloads.settled()]);
  }

  /** Remembers the content ids for the next run. */
  async save(): Promise<void> {
    await this.#cache.save();
  }
}
