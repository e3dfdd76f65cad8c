// Looks after the shared files while this peer is online: computes their content ids, and tells the tracker when a file changes, disappears
// or comes back. Does not watch the disk; disk/watch.ts does.

import { basename } from "node:path";
import { type Clock, sleep } from "../../clock.ts";
import type { Endpoint } from "../../protocol/address.ts";
import type { FileName, FileRecord } from "../../protocol/record.ts";
import type { HashPool } from "../content/hash.ts";
import type { TreeCache } from "../content/tree-cache.ts";
import type { Published } from "../disk/incoming.ts";
import { computeTree, describeFile, recordOf, type Share, type SharedFile } from "../disk/share.ts";
import type { Finished } from "../download/download.ts";
import type { PeerEvent } from "../events.ts";
import { withoutFiles } from "../online/exclusion.ts";
import type { TrackerRequests } from "../online/requests.ts";
import type { Session } from "../online/session.ts";
import type { FileAsked, Known, Opened } from "../serve/types.ts";

/** A changed file is hashed when it has not changed again for this long. Milliseconds. */
const UNCHANGED_MS = 500;

interface SharingTools {
  share: Share;
  pool: HashPool;
  cache: TreeCache;
  session: Pick<Session, "standing" | "leave" | "comeBack" | "sendAgain"> & {
    readonly requests: Pick<TrackerRequests, "add" | "drop">;
  };
  /** The port on which this peer serves. */
  port: number;
  /** Whether the tracker takes another file or folder that counts. */
  hasRoom(): boolean;
  /** Whether a download needs the tracker. */
  isDownloading(): boolean;
  /** A shared file could not be opened. */
  unreadable(): void;
  report(event: PeerEvent): void;
  clock: Clock;
}

export class Sharing {
  readonly #tools: SharingTools;
  readonly #stopped = new AbortController();
  /** Files whose content ids an earlier run has remembered, and nobody was told of yet. */
  readonly #remembered = new Set<SharedFile>();
  /** Changed files that will be hashed soon. */
  readonly #rehashing = new Map<SharedFile, AbortController>();

  constructor(tools: SharingTools) {
    this.#tools = tools;
    for (const file of tools.share.files) {
      const tree = tools.cache.get(file);
      if (tree !== undefined) this.#remembered.add(Object.assign(file, tree));
    }
  }

  /** The records of the shared files, with this address and port. A file that was fetched when the list was full does not count. */
  records(own: Endpoint): FileRecord[] {
    return this.#tools.share.files.map((file) => recordOf(file, own));
  }

  /** The pieces of a shared content. */
  look(root: string): Known | undefined {
    const file = this.#tools.share.find({ root });
    return file?.pieces === undefined ? undefined : { size: file.size, pieces: file.pieces };
  }

  /** Whether a shared file has this content. */
  has(root: string): boolean {
    return this.#tools.share.find({ root }) !== undefined;
  }

  /** Opens a shared file. A file that is only for some is not opened by its name. */
  open(asked: FileAsked): Opened | undefined {
    const { share, unreadable } = this.#tools;
    if (asked.folder !== undefined) return undefined;
    const found = share.find(asked);
    if (found === undefined || (asked.root === undefined && found.only !== undefined)) return undefined;
    const file = share.open(found);
    if (file === undefined) unreadable();
    return file && { name: found.name, root: found.root, file };
  }

  /**
   * Computes the content ids that are missing, file after file, and remembers them; reports those that an earlier run has remembered,
   * too. A small file does not wait for a large one.
   */
  async computeRoots(): Promise<void> {
    for (const file of this.#tools.share.files.toSorted((a, b) => a.size - b.size)) {
      if (this.#stopped.signal.aborted) return;
      if (file.root === undefined) await this.#computeRoot(file, this.#stopped.signal);
      else if (this.#remembered.delete(file)) this.#reportRoot(file, file.root);
    }
    await this.#tools.cache.save();
  }

  /** A shared file has changed: its record is replaced, and gets its new content id as soon as there is one. */
  async changed(file: SharedFile): Promise<void> {
    const { share, report } = this.#tools;
    if (!share.renew(file)) return;
    report({ event: "changed", name: file.name, size: file.size });
    await this.#publishAnew(file);
  }

  /** A shared file has another name now: so has its record. Its bytes are hashed again, because the rename has changed its times. */
  async renamed(file: SharedFile, was: FileName): Promise<void> {
    const { share, session, report } = this.#tools;
    if (!share.renew(file)) return;
    report({ event: "renamed", name: file.name, was });
    const isReplaced = () => share.find({ name: was }) !== undefined;
    // The last record on the list stays until another list is in its place.
    const dropped = isReplaced() || (await session.requests.drop(was).catch(() => true));
    await this.#publishAnew(file, async () => {
      if (!dropped && !isReplaced()) await session.sendAgain().catch(() => undefined);
    });
  }

  /** Replaces the record of a changed file, and then adds the content id. `then` is called between. */
  async #publishAnew(file: SharedFile, then?: () => Promise<void>): Promise<void> {
    const { clock, cache } = this.#tools;
    // A file that is being written changes again and again; only its last state is hashed.
    this.#rehashing.get(file)?.abort();
    const latest = new AbortController();
    this.#rehashing.set(file, latest);
    await this.#publish(file);
    await then?.();
    await sleep(clock, UNCHANGED_MS);
    const signal = AbortSignal.any([latest.signal, this.#stopped.signal]);
    if (signal.aborted || !(await this.#computeRoot(file, signal))) return;
    this.#rehashing.delete(file);
    await cache.save();
  }

  /** A shared file cannot be read any more. A peer without any file leaves the tracker, unless it is downloading. */
  async gone(file: SharedFile): Promise<void> {
    const { share, session, report } = this.#tools;
    const reason = share.refusalOf(file) ?? "it cannot be read any more";
    share.remove(file);
    report({ event: "withdrawn", name: file.name, reason });
    // A fetched file that did not count takes its place.
    const next = file.beyond ? undefined : share.files.find(({ beyond }) => beyond);
    delete next?.beyond;
    const dropped = await session.requests.drop(file.name).catch(() => true);
    // The last file on the list stays until another list is in its place.
    if (!dropped && share.files.some(({ beyond, only }) => !beyond && only === undefined)) {
      await session.sendAgain().catch(() => undefined);
    } else if (!dropped) await this.#leaveUnlessBusy();
    else if (next !== undefined) await this.#publish(next);
  }

  /** The last record cannot be taken off the list: a peer without any file leaves its tracker, unless it is downloading. */
  async #leaveUnlessBusy(): Promise<void> {
    const { session, report, isDownloading } = this.#tools;
    if (isDownloading()) return;
    report({ event: "offline", reason: "no-files" });
    await session.leave(withoutFiles());
  }

  /** A file that was gone can be read again. */
  async back(file: SharedFile): Promise<void> {
    const { share, session } = this.#tools;
    if (share.find({ name: file.name }) !== undefined) return;
    share.add(file);
    await this.changed(file);
    session.comeBack();
  }

  /**
   * Shares a finished download; beyond the tracker's limit as a file that does not count. It shares the file that
   * was published. If another file is at its path by now, it looks at that file before it shares it.
   */
  addDownloaded(
    { path, entry }: Pick<Published, "path" | "entry">,
    { root, pieces, only, isReplacement = false }: Finished,
  ): void {
    const { share, cache } = this.#tools;
    const file = describeFile(path, entry);
    // A link may lead to the folder: then the path is another one.
    const isSame = (one: SharedFile) => one.folder === file.folder && basename(one.path) === basename(path);
    const replaced = isReplacement ? share.files.find(isSame) : undefined;
    if (replaced !== undefined) {
      // The old file may have been shown to people to whom the new one must not be shown.
      replaced.only = only;
      void this.changed(replaced);
      return;
    }
    if (share.find({ root }) !== undefined) return;
    if (share.find({ name: file.name }) !== undefined) return;
    Object.assign(file, { root, pieces, only }, this.#tools.hasRoom() ? {} : { beyond: true });
    cache.set(file, { root, pieces });
    share.add(file);
    void this.#publish(file);
  }

  /** Shares another file. Beyond the tracker's limit it does not count. Resolves when its content id is told. */
  async add(file: SharedFile): Promise<void> {
    const { share, hasRoom, cache } = this.#tools;
    if (!hasRoom()) file.beyond = true;
    share.add(file);
    if (file.root === undefined) await this.#publish(file);
    await this.#computeRoot(file, this.#stopped.signal);
    await cache.save();
  }

  /** Shows a shared file that is only for some to the circle of another token; without one to everybody. */
  showTo(root: string, only: string | undefined): void {
    const file = this.#tools.share.find({ root });
    if (file?.only === undefined || file.only === only) return;
    file.only = only;
    void this.#publish(file);
  }

  /** Tells the tracker of an unfinished download, unless a shared file has its name. */
  announcePart(record: FileRecord): void {
    if (this.#tools.share.find({ name: record.name }) === undefined) void this.#tell(record);
  }

  /** Takes an unfinished download off the list at the tracker, unless a shared file has its name. */
  withdrawPart({ name }: FileRecord): void {
    const { share, session } = this.#tools;
    if (share.find({ name }) === undefined) session.requests.drop(name).catch(() => undefined);
  }

  /** Tells the tracker of a record of this peer, if the tracker is there. */
  async tellAbout(recordFor: (own: Endpoint) => FileRecord): Promise<void> {
    const { session, port } = this.#tools;
    const address = session.standing?.you;
    if (address !== undefined) await this.#tell(recordFor({ address, port }));
  }

  /** Takes a record off the list at the tracker. A peer without any file leaves the tracker, unless it is downloading. */
  async dropRecord(name: FileName): Promise<void> {
    if (!(await this.#tools.session.requests.drop(name).catch(() => true))) await this.#leaveUnlessBusy();
  }

  /** Stops hashing. */
  stop(): void {
    this.#stopped.abort();
  }

  async #computeRoot(file: SharedFile, signal: AbortSignal): Promise<boolean> {
    const { pool, cache } = this.#tools;
    if (!(await computeTree(file, pool, cache, { signal }))) return false;
    this.#reportRoot(file, file.root ?? "");
    await this.#publish(file);
    return true;
  }

  #reportRoot({ name, size }: SharedFile, root: string): void {
    this.#tools.report({ event: "root", name, size, root });
  }

  async #publish(file: SharedFile): Promise<void> {
    await this.tellAbout((own) => recordOf(file, own));
  }

  /** Sends a record to the tracker. Does nothing while the tracker is away: a peer that reconnects sends its whole list. */
  async #tell(record: FileRecord): Promise<void> {
    await this.#tools.session.requests.add(record).catch(() => undefined);
  }
}
