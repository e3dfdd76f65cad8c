// Looks after the folders that are shared as one while this peer is online: hashes them, tells the tracker, and opens them for downloaders.
// Does not watch the disk; disk/folders/folder-watch.ts does.

import { basename, dirname, join } from "node:path";
import { type Clock, quietClock } from "../../clock.ts";
import { codeOf, FtError, sentenceOf } from "../../error.ts";
import type { Endpoint } from "../../protocol/address.ts";
import { FOLDER_TYPE } from "../../protocol/folder.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import { formatDate } from "../../text.ts";
import type { HashPool } from "../content/hash.ts";
import type { FolderCache } from "../disk/folders/folder-cache.ts";
import type { SharedFolder } from "../disk/folders/shared-folder.ts";
import { realOf } from "../disk/identity.ts";
import type { PeerEvent } from "../events.ts";
import type { FileAsked, Known, KnownFolder, Opened } from "../serve/types.ts";

/** A changed folder is hashed when nothing in it has changed for this long. Milliseconds. */
const QUIET_MS = 2_000;

/** The progress of hashing is reported each time this time has passed. Milliseconds. */
const HASHING_MS = 500;

interface FolderSharingTools {
  pool: HashPool;
  cache: FolderCache;
  /** Calls `changed` when something in a folder may have changed. Gives a function that ends that. */
  watch(path: string, changed: () => void): () => void;
  /** Whether the tracker takes another file or folder that counts. */
  hasRoom(): boolean;
  /** Sends a record to the tracker, as far as it is there. */
  tell(record: (own: Endpoint) => FileRecord): Promise<void>;
  /** Takes a record off the list at the tracker. */
  drop(name: FileName): Promise<void>;
  report(event: PeerEvent): void;
  clock: Clock;
}

interface Watched {
  readonly folder: SharedFolder;
  stopWatching: () => void;
  cancelWait: () => void;
  /** It is being hashed now; `again`: something changed meanwhile. */
  busy: boolean;
  again: boolean;
  /** The tracker has a record of this name, of an earlier fetch. */
  isTold: boolean;
}

export class FolderSharing {
  readonly #tools: FolderSharingTools;
  readonly #watched: Watched[];
  readonly #stopped = new AbortController();

  constructor(folders: readonly SharedFolder[], tools: FolderSharingTools) {
    this.#tools = tools;
    this.#watched = folders.map((folder) => watchedOf(folder));
  }

  get folders(): readonly SharedFolder[] {
    return this.#watched.map(({ folder }) => folder);
  }

  /** The records of the folders, with this address and port. One that is still being hashed has no content id. */
  records(own: Endpoint): FileRecord[] {
    // A fetched folder gets no record before this peer has looked into it.
    const told = this.folders.filter(({ fetched, state }) => fetched === undefined || state !== undefined);
    return told.map((folder) => recordOf(folder, own));
  }

  /** Hashes the folders, one after the other, and watches them from then on. */
  async compute(): Promise<void> {
    for (const one of this.#watched) await this.#refresh(one);
  }

  /** Shares another folder; beyond the tracker's limit as one that does not count. Resolves when it is hashed and can be served. */
  async add(folder: SharedFolder): Promise<void> {
    const known = this.#watched.find((one) => one.folder.name === folder.name);
    if (known !== undefined) {
      if (known.folder.path !== folder.path || known.folder.fetched === undefined) return;
      if (known.folder.root === folder.fetched?.root) return await this.#addAgain(known, folder);
      // The folder was fetched with another list, perhaps for other people. The new entry must know nothing of the old one.
      this.#watched.splice(this.#watched.indexOf(known), 1);
      known.stopWatching();
      known.cancelWait();
    }
    folder.beyond = known?.folder.beyond ?? !this.#tools.hasRoom();
    const one = watchedOf(folder);
    one.isTold = known !== undefined && (known.isTold || known.folder.state !== undefined);
    this.#watched.push(one);
    await this.#refresh(one);
  }

  /** The same list was fetched once more into a folder that is shared already. */
  async #addAgain(known: Watched, { fetched, only }: SharedFolder): Promise<void> {
    this.showTo(fetched?.root ?? "", only);
    known.folder.fetched = fetched;
    await this.#refresh(known);
  }

  /** Shows a folder that is only for some to the circle of another token; without one to everybody. */
  showTo(root: string, only: string | undefined): void {
    const folder = this.#find(root);
    if (folder?.only === undefined || folder.only === only) return;
    folder.only = only;
    void this.#tools.tell((own) => recordOf(folder, own));
  }

  /**
   * Files or folders came to these places for some people only: the folders that this person shares with everybody leave them out.
   * `isReplacement`: each is in the place of another file.
   */
  withhold(places: Iterable<string>, isReplacement = false): void {
    const chosen = this.#watched.filter(({ folder }) => folder.fetched === undefined && folder.only === undefined);
    if (chosen.length === 0) return;
    for (const place of places) {
      const real = join(realOf(dirname(place)), basename(place));
      for (const one of chosen) if (one.folder.withhold(real, isReplacement)) this.#changed(one);
    }
  }

  /** The list of a folder, which is served like a file. */
  look(root: string): Known | undefined {
    const { state } = this.#find(root) ?? {};
    return state === undefined ? undefined : { size: state.list.bytes.length, pieces: state.tree.pieces };
  }

  lookFolder(root: string): KnownFolder | undefined {
    const folder = this.#find(root);
    return folder?.state === undefined ? undefined : { hashes: folder.state.hashes, dates: () => folder.dates() };
  }

  /** Opens the bytes of a folder, or its list. */
  open({ root, folder: bytes }: FileAsked): Opened | undefined {
    const folder = this.#find(bytes ?? root ?? "");
    const file = bytes === undefined ? folder?.openList(root ?? "") : folder?.open(bytes);
    return folder === undefined || file === undefined ? undefined : { name: folder.name, root: bytes ?? root, file };
  }

  /** Stops hashing and watching. */
  stop(): void {
    this.#stopped.abort();
    for (const { stopWatching, cancelWait } of this.#watched) {
      stopWatching();
      cancelWait();
    }
  }

  /** Reports the progress of hashing every now and then. */
  #hashingOf(folder: SharedFolder): () => void {
    const { report, clock } = this.#tools;
    let last = clock.elapsed();
    return () => {
      const now = clock.elapsed();
      if (now - last < HASHING_MS) return;
      last = now;
      report({ event: "hashing", name: folder.name, done: folder.hashed, total: folder.files });
    };
  }

  #find(root: string): SharedFolder | undefined {
    return this.folders.find(({ state }) => state?.tree.root === root);
  }

  /** Something in the folder may have changed: it is looked at when it was quiet for a while. */
  #changed(one: Watched): void {
    one.cancelWait();
    one.cancelWait = quietClock.after(QUIET_MS, () => void this.#refresh(one));
  }

  async #refresh(one: Watched): Promise<void> {
    const { pool, cache, report, tell, drop, watch } = this.#tools;
    const { folder } = one;
    if (this.#stopped.signal.aborted) return;
    one.again = one.busy;
    if (one.busy) return;
    one.busy = true;
    const isTold = one.isTold || folder.fetched === undefined || folder.state !== undefined;
    try {
      const isNew = await folder.refresh(pool, cache, this.#stopped.signal, this.#hashingOf(folder));
      if (!this.#watched.includes(one)) return;
      if (folder.fetched !== undefined && folder.root !== folder.fetched.root) {
        throw new FtError("not-as-fetched", "not all that was fetched is in it as it was");
      }
      if (isNew) {
        const { files, size, name, left } = folder;
        report({ event: "folder", name, files, size, root: folder.state?.tree.root ?? "", left: Object.fromEntries(left) });
        await tell((own) => recordOf(folder, own));
      }
    } catch (error) {
      if (this.#stopped.signal.aborted || !this.#watched.includes(one)) return;
      if (codeOf(error) === "not-as-fetched") this.#watched.splice(this.#watched.indexOf(one), 1);
      folder.state = undefined;
      report({ event: "withdrawn", name: folder.name, reason: sentenceOf(error).replace(/\.$/, "") });
      if (isTold) await drop(folder.name);
    } finally {
      one.busy = false;
      one.stopWatching();
      if (!this.#stopped.signal.aborted && this.#watched.includes(one))
        one.stopWatching = watch(folder.path, () => this.#changed(one));
    }
    if (one.again && this.#watched.includes(one)) await this.#refresh(one);
  }
}

function watchedOf(folder: SharedFolder): Watched {
  return { folder, stopWatching: () => undefined, cancelWait: () => undefined, busy: false, again: false, isTold: false };
}

/** The record of a folder. The tracker replaces the address by that from which it sees this peer. */
function recordOf({ name, size, files, modified, state, only, beyond }: SharedFolder, { address, port }: Endpoint): FileRecord {
  const date = new Date(modified);
  return {
    name,
    type: FOLDER_TYPE,
    size,
    date: formatDate(date),
    address,
    port,
    v2: true,
    mtime: date.toISOString(),
    files,
    ...(beyond && { beyond }),
    ...(only === undefined ? {} : { only }),
    ...(state === undefined ? {} : { root: state.tree.root, list: state.list.bytes.length }),
  };
}
