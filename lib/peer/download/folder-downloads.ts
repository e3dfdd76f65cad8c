// Downloads folders: fetches the list of one, then its bytes with the same engine as a file's, and publishes it. Meanwhile other peers may
// be served from the pieces that have arrived.

import { systemClock } from "../../clock.ts";
import { FtError } from "../../error.ts";
import { contentKeyOf, FOLDER_TYPE, LONGEST_LIST } from "../../protocol/folder.ts";
import { type FolderList, parseFolderList } from "../../protocol/folder-list.ts";
import type { FileRecord } from "../../protocol/record.ts";
import { printable } from "../../text.ts";
import { FolderCut } from "../content/folder-cut.ts";
import type { FolderDates } from "../content/folder-dates.ts";
import { sha256, treeOfBytes } from "../content/hash.ts";
import type { PieceSet } from "../content/pieces.ts";
import { IncomingFolder } from "../disk/folders/incoming-folder.ts";
import { type FetchedFolder, servedBytes } from "../disk/folders/shared-folder.ts";
import { writeReach } from "../disk/part-file.ts";
import { fetchDates, parseDates } from "../fetch/dates.ts";
import { fetchFile } from "../fetch/fetch.ts";
import type { FetchEvent, Fetched, FetchTools } from "../fetch/types.ts";
import type { Known, KnownFolder, Opened } from "../serve/types.ts";
import type { Downloaded, DownloadOptions, DownloadTools } from "./download.ts";
import { HowFar } from "./how-far.ts";
import { withKept } from "./kept.ts";
import { RunningDownloads } from "./running.ts";

/** The most holders that are asked for the new list of a folder. */
const MOST_ASKED = 3;
/** A folder that changes while it is fetched is followed at most this number of times. */
const MOST_CHANGES = 3;
/** The number of complete files is counted again when this time has passed. Milliseconds. */
const COUNT_MS = 250;

export type FolderDownloadTools = Pick<
  DownloadTools,
  | "dial"
  | "pool"
  | "limit"
  | "self"
  | "pass"
  | "keyed"
  | "away"
  | "unsettled"
  | "look"
  | "held"
  | "isFetchable"
  | "announce"
  | "withdraw"
> & {
  /** The whole folder is at this path. It may be served from the download until this resolves. */
  finished(path: string, fetched: FetchedFolder, only?: string): Promise<void>;
  /** Files or folders have come to these places for some people only. */
  withhold(places: Iterable<string>): void;
};

/** The part of a folder that has arrived and is verified. */
interface Part {
  readonly record: FileRecord;
  readonly list: Uint8Array;
  readonly cut: FolderCut;
  readonly hashes: Uint8Array;
  readonly have: PieceSet;
  readonly incoming: IncomingFolder;
  /** The hashes of the list's pieces. */
  readonly pieces: Uint8Array;
  readonly dates: FolderDates;
  /** The dates as DATES carries them: made once, since requests for them are short. */
  dateLines?: Uint8Array;
  howFar?: HowFar;
}

/** The list of a folder, from its holders. Throws a sentence when it cannot be fetched, or used. */
export async function fetchFolderList(
  records: [FileRecord, ...FileRecord[]],
  tools: FolderDownloadTools,
  how: Pick<DownloadOptions, "signal" | "only"> & { report?(event: FetchEvent): void },
): Promise<FolderList> {
  const [{ name, root, list }] = records;
  const shown = printable(name);
  if (root === undefined || list === undefined) {
    throw new FtError(
      "no-list",
      `Cannot fetch the folder "${shown}" yet: its holder is still reading its files. Try again soon.`,
    );
  }
  if (list > LONGEST_LIST) throw new FtError("bad-list", `Cannot fetch the folder "${shown}": its list is too long.`);
  const bytes = new Uint8Array(list);
  await fetchFile(
    { name, size: list, root, holders: records },
    {
      ...engineTools(tools, how, root),
      target: { write: async (offset, part) => bytes.set(part, offset), restart: async () => undefined },
      layer: (memory, length) => tools.pool.layer({ memory, length, fileSize: list }),
      report: (event) => event.event !== "progress" && event.event !== "verifying" && how.report?.(event),
    },
  );
  return parseFolderList(bytes);
}

/** Whether the holder of a record still has the folder on its list, which stays there until the folder is read again. */
function isReadAgain({ name }: FileRecord, root: string, held: FileRecord[]): boolean {
  return held.some((one) => one.name === name && (one.root === undefined || one.root === root));
}

/** The record of the same folder with another list; undefined when there is none. */
function newerOf({ name, root }: FileRecord, held: FileRecord[]): FileRecord | undefined {
  const isSame = (one: FileRecord) => one.name === name && one.type === FOLDER_TYPE && one.root !== undefined;
  return held.some((one) => isSame(one) && one.root === root) ? undefined : held.find(isSame);
}

/** The tools of the engine that do not depend on what is fetched. */
function engineTools(
  { dial, limit, self, pass, keyed, away, unsettled, look, held, isFetchable }: FolderDownloadTools,
  { signal, only }: Pick<DownloadOptions, "signal" | "only">,
  root: string,
): Omit<FetchTools, "target" | "layer" | "report"> {
  return {
    dial,
    self,
    pass,
    ...(keyed === undefined ? {} : { keyed }),
    away,
    unsettled,
    sha256,
    reach: writeReach(process.platform),
    limit,
    signal,
    rereads: async (holder) => isReadAgain(holder, root, await held(holder)),
    ...(only ? {} : { look: async () => (await look(root)).filter((one) => one.type === FOLDER_TYPE && isFetchable(one)) }),
  };
}

/** The folders that are being fetched, and their pieces that have arrived. */
export class FolderDownloads extends RunningDownloads<Part> {
  readonly #tools: FolderDownloadTools;

  constructor(tools: FolderDownloadTools) {
    super();
    this.#tools = tools;
  }

  /** Fetches one folder; the records are its holders. Throws a sentence. */
  start(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded> {
    return this.track(this.#follow(records, options));
  }

  /** The list of a folder that is being fetched, which is served like a file. */
  look(root: string): Known | undefined {
    const part = this.parts.get(root);
    return part === undefined ? undefined : { size: part.list.length, pieces: part.pieces };
  }

  lookFolder(root: string): KnownFolder | undefined {
    const part = this.parts.get(root);
    if (part === undefined) return undefined;
    const dates = () => {
      part.dateLines ??= part.dates.format();
      return part.dateLines;
    };
    return { hashes: part.hashes, have: part.have, dates };
  }

  /** Opens the bytes of a folder, or its list. Only verified pieces may be read. */
  open({ root, folder }: { root?: string | undefined; folder?: string | undefined }): Opened | undefined {
    const part = this.parts.get(folder ?? root ?? "");
    if (part === undefined) return undefined;
    const { record, list, cut, have, incoming } = part;
    const always = { unchanged: () => true, close: () => undefined };
    if (folder === undefined) return { name: record.name, root, file: servedBytes(list, always.unchanged) };
    const has = (offset: number, length: number) => {
      for (let piece = cut.pieceAt(offset); cut.startOf(piece) < offset + length; piece++) if (!have.has(piece)) return false;
      return true;
    };
    return {
      name: record.name,
      root: folder,
      file: { size: cut.size, busyUntil: cut.smallEnd, read: (into, at) => incoming.read(into, at), has, ...always },
    };
  }

  /** Fetches a folder. If it changes meanwhile, goes on with its new list: its pieces that have arrived stay. */
  async #follow(records: [FileRecord, ...FileRecord[]], options: DownloadOptions): Promise<Downloaded> {
    let now = records;
    for (let changes = 0; ; changes++) {
      // Ends the fetch of an old list as soon as its last holder has a new one.
      const changed = new AbortController();
      try {
        return await this.#download(now, { ...options, signal: AbortSignal.any([options.signal, changed.signal]) }, changed);
      } catch (error) {
        const next = changes < MOST_CHANGES && !options.signal.aborted ? await this.#changed(now, options) : undefined;
        if (next === undefined) throw error;
        options.report({ event: "folder-changed" });
        now = next;
      }
    }
  }

  /** The records of a folder as it is now; undefined when its holders have the same list as before, or no folder of its name. */
  async #changed(
    records: [FileRecord, ...FileRecord[]],
    { only }: Pick<DownloadOptions, "only">,
  ): Promise<[FileRecord, ...FileRecord[]] | undefined> {
    const { held, look, isFetchable } = this.#tools;
    for (const record of records.slice(0, MOST_ASKED)) {
      const other = newerOf(record, await held(record).catch(() => []));
      if (other?.root === undefined || !isFetchable(other)) continue;
      const found = only ? [] : await look(other.root).catch(() => []);
      const holders = found.filter((one) => contentKeyOf(one) === contentKeyOf(other));
      return [other, ...holders.filter(({ address, port }) => address !== other.address || port !== other.port)];
    }
    return undefined;
  }

  async #download(
    records: [FileRecord, ...FileRecord[]],
    options: DownloadOptions,
    changed: AbortController,
  ): Promise<Downloaded> {
    const { folder: into, inside = "" } = options;
    const { isFetchable, pool } = this.#tools;
    const [record] = records;
    const [holder, ...others] = records.filter(isFetchable);
    const shown = printable(record.name);
    if (holder === undefined) throw new FtError("no-holder", `Cannot fetch the folder "${shown}": only you share it.`);
    const holders: [FileRecord, ...FileRecord[]] = [holder, ...others];
    const root = record.root ?? "";
    const tools = engineTools(this.#tools, options, root);
    const { list, dates } = await this.#lookInto(holders, root, options);
    const [first, end] = list.rangeOf(inside);
    if (inside !== "" && first === end) {
      throw new FtError("not-found", `There is no "${printable(inside)}" in the folder "${shown}".`);
    }
    const cut = new FolderCut(list);
    const incoming = IncomingFolder.open({ into, name: record.name, list, cut, inside, dates });
    const progress = new FolderProgress(incoming, cut, options.report);
    const stop = () => incoming.stop();
    options.signal.addEventListener("abort", stop);
    let served: Part | undefined;
    try {
      const fetched: Fetched = await fetchFile(
        { name: record.name, size: cut.size, root, holders, folder: cut },
        {
          ...tools,
          rereads: async (holder) => {
            const list = await this.#tools.held(holder);
            if (newerOf({ ...holder, root }, list) !== undefined) changed.abort();
            return isReadAgain(holder, root, list);
          },
          target: incoming,
          layer: (memory, length, offset) => pool.layer({ memory, units: cut.unitsOf(...piecesIn(cut, offset, length)) }),
          present: (hashes, onChecked) => incoming.present(hashes, pool, onChecked),
          begun: (hashes, have) => {
            progress.begin(have);
            if (inside !== "") return;
            const { pieces } = treeOfBytes(list.bytes);
            served = this.#serve({ record, list: list.bytes, pieces, cut, hashes, have, incoming, dates });
          },
          report: (event) => {
            if (event.event === "progress") served?.howFar?.moved();
            progress.report(event);
          },
        },
      );
      const published = await incoming.publish(options.signal);
      if (record.only !== undefined) this.#tools.withhold(incoming.places(published));
      const { files, saved, failed, renamed } = incoming;
      const { path, outcome, numbered } = published;
      const isMoved = renamed.length > 0 || numbered.some((one) => one.path.endsWith("/"));
      const isWhole = inside === "" && failed.length === 0 && !isMoved;
      if (isWhole) this.#handOver(served, path, { root, list, numbered }, record.only);
      else this.#endPart(served);
      return {
        path,
        size: saved.size,
        resumed: fetched.resumed,
        verified: true,
        outcome,
        holders: fetched.holders,
        inFolder: { root, files, saved: saved.files, failed, numbered, renamed },
      };
    } catch (error) {
      this.#endPart(served);
      throw withKept(error, (await incoming.keep()) ? "all" : "part");
    } finally {
      options.signal.removeEventListener("abort", stop);
    }
  }

  /** The list of a folder and its dates, which are asked for at the same time. */
  async #lookInto(
    holders: [FileRecord, ...FileRecord[]],
    root: string,
    options: DownloadOptions,
  ): Promise<{ list: FolderList; dates: FolderDates }> {
    const failed = new AbortController();
    const signal = AbortSignal.any([options.signal, failed.signal]);
    const tools = engineTools(this.#tools, { ...options, signal }, root);
    const lines = fetchDates(root, holders, { ...tools, clock: systemClock });
    try {
      const list = await fetchFolderList(holders, this.#tools, options);
      return { list, dates: parseDates(await lines, list) };
    } catch (error) {
      failed.abort();
      throw error;
    }
  }

  /** The whole folder is shared from now on. Until it is hashed there, it is served like a part. */
  #handOver(served: Part | undefined, path: string, fetched: FetchedFolder, only: string | undefined): void {
    const ended = () => this.#endPart(served);
    this.#tools.finished(path, fetched, only).then(ended, ended);
  }

  #serve(part: Part): Part | undefined {
    const { root } = part.record;
    if (root === undefined || this.parts.has(root)) return undefined;
    const { by: _, part: __, ...record } = part.record;
    const served: Part = { ...part, record: { ...record, part: true as const } };
    this.parts.set(root, served);
    served.howFar = new HowFar(served.record, part.have, this.#tools.announce, systemClock);
    return served;
  }

  #endPart(part: Part | undefined): void {
    if (part === undefined) return;
    this.parts.delete(part.record.root ?? "");
    this.#tools.withdraw(part.record);
  }
}

/** The first piece of a range that begins with a piece, and how many whole pieces are in it. */
function piecesIn(cut: FolderCut, offset: number, length: number): [first: number, count: number] {
  const first = cut.pieceAt(offset);
  let end = first;
  while (end < cut.count && cut.startOf(end + 1) <= offset + length) end += 1;
  return [first, end - first];
}

/** Adds the number of complete files to the progress, and takes off the bytes that are not wanted. */
class FolderProgress {
  readonly #incoming: IncomingFolder;
  readonly #report: (event: FetchEvent) => void;
  readonly #unwanted: number;
  #have: PieceSet | undefined;
  #counted = { at: Number.NEGATIVE_INFINITY, pieces: -1, done: 0 };

  constructor(incoming: IncomingFolder, cut: FolderCut, report: (event: FetchEvent) => void) {
    this.#incoming = incoming;
    this.#report = report;
    let unwanted = 0;
    for (let piece = 0; piece < cut.count; piece++) {
      if (incoming.isUnwanted(piece)) unwanted += cut.startOf(piece + 1) - cut.startOf(piece);
    }
    this.#unwanted = unwanted;
  }

  begin(have: PieceSet): void {
    this.#have = have;
  }

  report(event: FetchEvent): void {
    if (event.event !== "progress") {
      this.#report(event);
      return;
    }
    const { received, size } = event;
    const files = { done: this.#complete(), total: this.#incoming.files };
    this.#report({ ...event, received: Math.max(0, received - this.#unwanted), size: size - this.#unwanted, files });
  }

  #complete(): number {
    const have = this.#have;
    if (have === undefined) return 0;
    const now = systemClock.elapsed();
    const { at, pieces } = this.#counted;
    if (pieces !== have.count && (now - at >= COUNT_MS || have.complete)) {
      this.#counted = { at: now, pieces: have.count, done: this.#incoming.filesIn(have) };
    }
    return this.#counted.done;
  }
}
